/* json_out.h - writes JSON: grows as needed, puts commas by itself, checks nothing that the
 * compiler's reader can see (the caller opens and closes in pairs). */
#ifndef HOLDFAST_SERVER_JSON_OUT_H
#define HOLDFAST_SERVER_JSON_OUT_H

#include <holdfast/blob.h>

#include <stdint.h>

struct json_out {
    char *data;
    size_t size, capacity;
    char small[1024]; /* most answers fit here */
};

void json_init(struct json_out *out);
void json_fini(struct json_out *out);
struct slice json_slice(const struct json_out *out);

void json_open(struct json_out *out, char bracket);  /* '{' or '[' */
void json_close(struct json_out *out, char bracket); /* '}' or ']' */
/* The end of the whole: a line feed, so that a terminal's next line is its own. */
void json_end(struct json_out *out);
/* A member's name, written by us: needs no escapes. */
void json_name(struct json_out *out, const char *name);
/* A string whose bytes are valid UTF-8; NUL is fine. */
void json_string(struct json_out *out, struct slice text);
void json_text(struct json_out *out, const char *text);
void json_u64(struct json_out *out, uint64_t number);
void json_bool(struct json_out *out, bool value);
void json_null(struct json_out *out);

/* Name and value together. */
void json_member_text(struct json_out *out, const char *name, const char *text);
void json_member_u64(struct json_out *out, const char *name, uint64_t number);
void json_member_bool(struct json_out *out, const char *name, bool value);
void json_member_null(struct json_out *out, const char *name);
/* 64-bit ids as 16 hexadecimal digits: as numbers they would not survive most JSON readers. */
void json_member_id(struct json_out *out, const char *name, uint64_t id);
/* Anything: as `name` if it is UTF-8 without NUL, else as `name_b64`. `name` is short. */
void json_member_bytes(struct json_out *out, const char *name, struct slice bytes);

/* True if the bytes can be a JSON string that every reader gets back whole. */
bool json_is_text(struct slice bytes);

#endif

/* text.h - bytes as people and as JSON readers can take them. */
#ifndef HOLDFAST_CMD_TEXT_H
#define HOLDFAST_CMD_TEXT_H

#include <holdfast/blob.h>

#include <stdint.h>
#include <stdio.h>

/* Bytes of the UTF-8 character at p; 0: there is none. */
size_t text_character(const unsigned char *p, size_t left);
/* The same, if a terminal prints it: control characters (C1 ones too, which a terminal may obey)
 * are not printable. */
size_t text_printable(const unsigned char *p, size_t left);

/* In quotes, on one line: \n, \t, \", \\ and \xNN.  Of more than `max` bytes the first ones, and
 * "..." behind the quotes. */
void text_quote(FILE *out, struct slice bytes, size_t max);

/* "2026-11-24T02:39:03.123Z"; `out` holds TEXT_TIME_MAX bytes. */
enum { TEXT_TIME_MAX = 40 };
void text_time(uint64_t ms, char out[TEXT_TIME_MAX]);

/* "17 B", "1.5 MiB". */
enum { TEXT_SIZE_MAX = 32 };
void text_size(uint64_t bytes, char out[TEXT_SIZE_MAX]);

/* ---- JSON.  A member is written with a comma before it, but behind an opening bracket; `name` is
 * ours and needs no escapes. */

struct json {
    FILE *out;
    bool began; /* something stands behind the last bracket */
};

void json_begin(struct json *json, char bracket);
void json_finish(struct json *json, char bracket);
void json_key(struct json *json, const char *name); /* NULL: an item of a list */
void json_number(struct json *json, const char *name, uint64_t number);
void json_truth(struct json *json, const char *name, bool value);
void json_words(struct json *json, const char *name, const char *text);
void json_hex(struct json *json, const char *name, uint64_t id); /* 16 digits, as a string */
/* As `name` if it is UTF-8 without NUL, else in base64 as `name_b64`. */
void json_bytes(struct json *json, const char *name, struct slice bytes);

#endif

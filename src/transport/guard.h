/* guard.h - judges the raw bytes of a request before evhttp sees them.
 *
 * Pure: bytes in, judgement out. */
#ifndef TRANSPORT_GUARD_H
#define TRANSPORT_GUARD_H

#include <holdfast/http.h>

enum { TARGET_SIZE_MAX = 8 * 1024 };

/* Why a request is refused.  `status` 0: it is not. */
struct refusal {
    int status;
    const char *code;
    char message[HTTP_MESSAGE_MAX];
};

void refusal_set(struct refusal *refusal, int status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* What is known of a request once its head has passed. */
struct head {
    enum http_method method;
    bool body_unread;        /* evhttp reads no body after this method, whatever the head says */
    bool http10;
    bool close;              /* the client wants the connection closed after the answer */
    bool has_body, chunked;
    uint64_t content_length; /* if has_body and not chunked */
    struct slice target;     /* path and query, within the bytes given */
};

enum scan { SCAN_MORE, SCAN_END, SCAN_REFUSED };

/* Looks for the empty line that ends a head in data[0..size), of which the first `seen` bytes
 * were looked at before.  Refuses at the first byte that no head may hold: a NUL, a line feed
 * without a carriage return, too many bytes.  At SCAN_END *end is the size of the head. */
enum scan head_scan(const unsigned char *data, size_t size, size_t seen, size_t headers_max,
                    size_t *end, struct refusal *refusal);

/* Judges a whole head, empty line included, that head_scan let through. */
bool head_parse(const unsigned char *data, size_t size, size_t body_max, struct head *head,
                struct refusal *refusal);

enum chunk_state {
    CHUNK_SIZE,       /* within the digits of a size */
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_LAST_CR,    /* the empty line after the last chunk */
    CHUNK_LAST_LF,
    CHUNK_END,
};

/* The framing of a chunked body, byte by byte; no extensions, no trailers. */
struct chunk_scanner {
    enum chunk_state state;
    unsigned digits;
    uint64_t left;  /* of this chunk */
    uint64_t total; /* data of all chunks announced so far */
};

/* Takes data[0..size), at most to the end of the body; *used tells how much. */
enum scan chunk_scan(struct chunk_scanner *scanner, const unsigned char *data, size_t size,
                     size_t body_max, size_t *used, struct refusal *refusal);

#endif

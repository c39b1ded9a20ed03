/* chunk.c - the framing of chunked bodies.
 *
 * evhttp buffers a chunk-size line without bound, takes "0x5" and "+5" as sizes, does not miss
 * the line end after a chunk, and lets trailers join the headers.  It is shown a chunked body
 * only as far as it passed here. */
#include "guard.h"
#include "percent.h"

enum { SIZE_DIGITS_MAX = 8 };

static bool bad(struct refusal *refusal, const char *sentence)
{
    refusal_set(refusal, 400, "bad_request", "%s", sentence);
    return false;
}

static bool take_size_byte(struct chunk_scanner *scanner, unsigned char c, size_t body_max,
                           struct refusal *refusal)
{
    int digit = percent_hex_value(c);
    if (c == '\r' && scanner->digits > 0) {
        scanner->state = CHUNK_SIZE_LF;
        return true;
    }
    if (digit < 0)
        return bad(refusal, "the size of a chunk must be hex digits and nothing else");
    if (++scanner->digits > SIZE_DIGITS_MAX)
        return bad(refusal, "the size of a chunk has more than 8 digits");
    scanner->left = scanner->left * 16 + (uint64_t)digit;
    if (scanner->total + scanner->left > body_max) {
        refusal_set(refusal, 413, "too_large", "the body may have %zu bytes", body_max);
        return false;
    }
    return true;
}

static bool expect_byte(struct chunk_scanner *scanner, unsigned char c, unsigned char wanted,
                        enum chunk_state next, struct refusal *refusal)
{
    if (c != wanted)
        return bad(refusal, scanner->state >= CHUNK_LAST_CR
                                ? "a chunked body may not have trailers"
                                : "a chunk does not end where its size says");
    scanner->state = next;
    return true;
}

static bool take_byte(struct chunk_scanner *scanner, unsigned char c, size_t body_max,
                      struct refusal *refusal)
{
    switch (scanner->state) {
    case CHUNK_SIZE:
        return take_size_byte(scanner, c, body_max, refusal);
    case CHUNK_SIZE_LF:
        scanner->total += scanner->left;
        scanner->digits = 0;
        return expect_byte(scanner, c, '\n', scanner->left > 0 ? CHUNK_DATA : CHUNK_LAST_CR,
                           refusal);
    case CHUNK_DATA_CR:
        return expect_byte(scanner, c, '\r', CHUNK_DATA_LF, refusal);
    case CHUNK_DATA_LF:
        return expect_byte(scanner, c, '\n', CHUNK_SIZE, refusal);
    case CHUNK_LAST_CR:
        return expect_byte(scanner, c, '\r', CHUNK_LAST_LF, refusal);
    default: /* CHUNK_LAST_LF */
        return expect_byte(scanner, c, '\n', CHUNK_END, refusal);
    }
}

enum scan chunk_scan(struct chunk_scanner *scanner, const unsigned char *data, size_t size,
                     size_t body_max, size_t *used, struct refusal *refusal)
{
    size_t at = 0;
    while (at < size && scanner->state != CHUNK_END) {
        if (scanner->state == CHUNK_DATA) {
            size_t step = scanner->left < size - at ? (size_t)scanner->left : size - at;
            scanner->left -= step;
            at += step;
            if (scanner->left == 0)
                scanner->state = CHUNK_DATA_CR;
        } else if (!take_byte(scanner, data[at++], body_max, refusal)) {
            return SCAN_REFUSED;
        }
    }
    *used = at;
    return scanner->state == CHUNK_END ? SCAN_END : SCAN_MORE;
}

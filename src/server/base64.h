/* base64.h - RFC 4648: the standard alphabet with padding for values, the URL-safe one without
 * for cursors.  Decoding is strict: one text for one value. */
#ifndef HOLDFAST_SERVER_BASE64_H
#define HOLDFAST_SERVER_BASE64_H

#include <holdfast/blob.h>

enum base64_kind { BASE64_STANDARD, BASE64_URL };

/* Characters that encoding writes (for BASE64_URL fewer), and bytes that decoding writes at most.
 */
#define BASE64_ENCODED_SIZE(n) (((n) + 2) / 3 * 4)
#define BASE64_DECODED_MAX(n) (((n) + 3) / 4 * 3)

/* No NUL is written.  Returns how many characters were. */
size_t base64_encode(enum base64_kind kind, struct slice bytes, char *out);

/* `out` may be the text's own memory.  False: not base64 of this kind. */
bool base64_decode(enum base64_kind kind, struct slice text, unsigned char *out, size_t *size);

#endif

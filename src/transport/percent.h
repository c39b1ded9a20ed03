/* percent.h - percent-decoding with lengths, for paths and queries. */
#ifndef TRANSPORT_PERCENT_H
#define TRANSPORT_PERCENT_H

#include <holdfast/blob.h>

/* Decodes into `out` (room for in.size bytes) and sets *size.  With `plus`, '+' is a space, as
 * HTML forms write it in queries.  False if a '%' is not followed by two hex digits. */
bool percent_decode(struct slice in, bool plus, unsigned char *out, size_t *size);

/* 0..15, or -1 if it is no hexadecimal digit. */
int percent_hex_value(unsigned char c);

#endif

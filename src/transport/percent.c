/* percent.c - percent-decoding.  A decoded NUL is a byte like any other: no strings here. */
#include "percent.h"

int percent_hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool percent_decode(struct slice in, bool plus, unsigned char *out, size_t *size)
{
    const unsigned char *at = in.data;
    size_t n = 0;
    for (size_t i = 0; i < in.size; i++) {
        if (at[i] == '%') {
            int high = i + 2 < in.size ? percent_hex_value(at[i + 1]) : -1;
            int low = i + 2 < in.size ? percent_hex_value(at[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            out[n++] = (unsigned char)(high * 16 + low);
            i += 2;
        } else {
            out[n++] = plus && at[i] == '+' ? ' ' : at[i];
        }
    }
    *size = n;
    return true;
}

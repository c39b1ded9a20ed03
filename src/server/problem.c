/* problem.c - the words for what is wrong with a request.  Which HTTP answer carries them is
 * reply.c's affair. */
#include "problem.h"

#include <stdarg.h>
#include <stdio.h>

bool problem_set(struct problem *problem, enum err err, const char *hint, const char *format, ...)
{
    problem->err = err;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem->message, sizeof problem->message, format, arguments);
    va_end(arguments);
    snprintf(problem->hint, sizeof problem->hint, "%s", hint);
    return false;
}

struct problem_quote problem_quote(struct slice bytes)
{
    static const char hex[] = "0123456789abcdef";
    struct problem_quote quote;
    const unsigned char *from = bytes.data;
    size_t used = 0;

    quote.text[used++] = '"';
    for (size_t i = 0; i < bytes.size; i++) {
        if (used + 4 + sizeof "\"..." > sizeof quote.text) { /* room for \xNN and the end */
            memcpy(quote.text + used, "...", 3);
            used += 3;
            break;
        }
        if (from[i] >= 0x20 && from[i] < 0x7f) {
            quote.text[used++] = (char)from[i];
        } else {
            quote.text[used++] = '\\';
            quote.text[used++] = 'x';
            quote.text[used++] = hex[from[i] >> 4];
            quote.text[used++] = hex[from[i] & 15];
        }
    }
    quote.text[used++] = '"';
    quote.text[used] = '\0';
    return quote;
}

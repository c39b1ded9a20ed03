/* client_words.c - splits a line of the shell or of a batch into words. */
#include "client_session.h"
#include "values.h"

#include <string.h>

/* Copies the rest of a quoted part; returns what is behind the closing quote, NULL if none. */
static const char *copy_quoted(const char *in, char **out)
{
    char quote = *in++;
    for (; *in != quote; in++) {
        if (*in == '\0')
            return NULL;
        if (*in != '\\' || quote == '\'') {
            *(*out)++ = *in;
            continue;
        }
        in++;
        switch (*in) {
        case '\0':
            return NULL;
        case 'n':
            *(*out)++ = '\n';
            break;
        case 't':
            *(*out)++ = '\t';
            break;
        case '"':
        case '\\':
            *(*out)++ = *in;
            break;
        default: /* no escape of ours: keep both */
            *(*out)++ = '\\';
            *(*out)++ = *in;
        }
    }
    return in + 1;
}

int words_split(char *line, char **words, int max, char *why)
{
    const char *in = line;
    char *out = line; /* never ahead of `in` */
    int n = 0;
    for (;;) {
        in += strspn(in, " \t\r\n");
        if (*in == '\0' || *in == '#')
            return n;
        if (n == max) {
            snprintf(why, WHY_MAX, "the line has more than %d words", max);
            return -1;
        }
        words[n++] = out;
        while (*in != '\0' && strchr(" \t\r\n", *in) == NULL) {
            if (*in == '"' || *in == '\'') {
                in = copy_quoted(in, &out);
                if (in == NULL) {
                    snprintf(why, WHY_MAX, "a quote is not closed");
                    return -1;
                }
            } else {
                in += *in == '\\' && in[1] != '\0';
                *out++ = *in++;
            }
        }
        /* The NUL may overwrite the separator, so step over that first. */
        in += *in != '\0';
        *out++ = '\0';
    }
}

/* usage.c - one sentence for a command line that is wrong. */
#include "commands.h"

#include <stdarg.h>
#include <stdio.h>

int usage_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("holdfast: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return COMMAND_USAGE;
}

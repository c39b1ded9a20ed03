/* panic.c - instead of base's, which the linker leaves out: a fuzzer keeps an input only if the
 * process aborts. */
#include <holdfast/panic.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn void assert_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, what);
    abort();
}

_Noreturn void panic(enum exit_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "panic, exit %d: ", (int)status);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

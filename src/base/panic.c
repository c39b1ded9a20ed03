/* panic.c - ends the process at once, with a line that says why. */
#include <holdfast/log.h>
#include <holdfast/panic.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void assert_failed(const char *file, int line, const char *what)
{
    log_error("assertion failed, this is a bug", "file=%s line=%d what=\"%s\"", file, line, what);
#ifdef HOLDFAST_ABORT_ON_BUG
    abort();
#else
    _exit(EXIT_STATUS_BUG);
#endif
}

_Noreturn void panic(enum exit_status status, const char *format, ...)
{
    char sentence[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    log_error(sentence, "exit=%d", (int)status);
    _exit((int)status);
}

/* log.c - one line an event, written whole to standard error. */
#include <holdfast/clock.h>
#include <holdfast/log.h>

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048 };

static _Atomic int current_level = LOG_LEVEL_INFO;
static enum log_format current_format = LOG_FORMAT_TEXT;
static char node_name[80];

static const char *const level_names[] = { "error", "warn", "info", "debug" };

void log_setup(enum log_level level, enum log_format format, const char *name)
{
    atomic_store(&current_level, (int)level);
    current_format = format;
    snprintf(node_name, sizeof node_name, "%s", name);
}

void log_set_level(enum log_level level)
{
    atomic_store(&current_level, (int)level);
}

enum log_level log_get_level(void)
{
    return (enum log_level)atomic_load_explicit(&current_level, memory_order_relaxed);
}

/* Appends `text` as the inside of a JSON string; control characters become spaces. */
static size_t append_json(char *line, size_t used, const char *text)
{
    for (; *text != '\0' && used + 3 < LINE_MAX_BYTES; text++) {
        if (*text == '"' || *text == '\\')
            line[used++] = '\\';
        line[used++] = (unsigned char)*text < ' ' ? ' ' : *text;
    }
    line[used] = '\0';
    return used;
}

static size_t bounded(int printed, size_t used)
{
    size_t end = used + (printed > 0 ? (size_t)printed : 0);
    return end < LINE_MAX_BYTES - 8 ? end : LINE_MAX_BYTES - 8;
}

static size_t format_json(char *line, const char *when, enum log_level level, const char *sentence,
                          const char *pairs)
{
    size_t used = bounded(snprintf(line, LINE_MAX_BYTES,
                                   "{\"time\":\"%s\",\"level\":\"%s\",\"node\":\"", when,
                                   level_names[level]), 0);
    used = append_json(line, used, node_name);
    used = bounded(snprintf(line + used, LINE_MAX_BYTES - used, "\",\"message\":\""), used);
    used = append_json(line, used, sentence);
    used = bounded(snprintf(line + used, LINE_MAX_BYTES - used, "\",\"detail\":\""), used);
    used = bounded(0, append_json(line, used, pairs));
    return bounded(snprintf(line + used, LINE_MAX_BYTES - used, "\"}"), used);
}

static size_t format_text(char *line, const char *when, enum log_level level, const char *sentence,
                          const char *pairs)
{
    size_t used = bounded(snprintf(line, LINE_MAX_BYTES, "%s %-5s %s%s%s%s%s", when,
                                   level_names[level], node_name, node_name[0] ? " " : "",
                                   sentence, pairs[0] ? " " : "", pairs), 0);
    for (size_t i = 0; i < used; i++)
        if ((unsigned char)line[i] < ' ')
            line[i] = ' ';
    return used;
}

void log_write(enum log_level level, const char *sentence, const char *pairs, ...)
{
    if (level > log_get_level())
        return;

    char detail[1400], when[40], line[LINE_MAX_BYTES];
    va_list args;
    va_start(args, pairs);
    vsnprintf(detail, sizeof detail, pairs, args);
    va_end(args);

    uint64_t now_ms = clock_wall_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    size_t n = strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(when + n, sizeof when - n, ".%03uZ", (unsigned)(now_ms % 1000));

    size_t used = current_format == LOG_FORMAT_JSON
                      ? format_json(line, when, level, sentence, detail)
                      : format_text(line, when, level, sentence, detail);
    line[used++] = '\n';
    /* One write: lines of several threads or processes do not mix.  If standard error is
     * gone there is nobody left to tell. */
    ssize_t written = write(STDERR_FILENO, line, used);
    (void)written;
}

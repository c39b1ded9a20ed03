/* log.h - what the program tells people while it runs, on standard error.
 *
 * One line each: a stable lower-case sentence, then key=value, as in
 *     log_info("became leader", "term=%llu votes=%u/%u", ...);
 * No values of keys, no secrets.  Any thread may call; a line is written whole. */
#ifndef HOLDFAST_LOG_H
#define HOLDFAST_LOG_H

enum log_level {
    LOG_LEVEL_ERROR, /* someone must act */
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,  /* roles, members, start and stop: an idle day is under 100 lines */
    LOG_LEVEL_DEBUG,
};

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* To be called before any thread is started.  `name` is copied and stands in each line. */
void log_setup(enum log_level level, enum log_format format, const char *name);
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

void log_write(enum log_level level, const char *sentence, const char *pairs, ...)
    __attribute__((format(printf, 3, 4)));

/* `pairs` is a printf format that yields key=value words, or "". */
#define log_error(sentence, ...) log_write(LOG_LEVEL_ERROR, sentence, __VA_ARGS__)
#define log_warn(sentence, ...) log_write(LOG_LEVEL_WARN, sentence, __VA_ARGS__)
#define log_info(sentence, ...) log_write(LOG_LEVEL_INFO, sentence, __VA_ARGS__)
#define log_debug(sentence, ...)                         \
    do {                                                 \
        if (log_get_level() >= LOG_LEVEL_DEBUG)          \
            log_write(LOG_LEVEL_DEBUG, sentence, __VA_ARGS__); \
    } while (0)

#endif

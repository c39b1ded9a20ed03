/* config_file.c - reads holdfast.conf(5): `name = value`, a line each, # begins a comment. */
#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Cuts the comment and the blanks at both ends; a # within a word belongs to the word. */
static char *trim(char *line)
{
    for (char *c = line; *c != '\0'; c++) {
        if (*c == '#' && (c == line || c[-1] == ' ' || c[-1] == '\t')) {
            *c = '\0';
            break;
        }
    }
    char *begin = line + strspn(line, " \t\r\n");
    size_t size = strlen(begin);
    while (size > 0 && strchr(" \t\r\n", begin[size - 1]) != NULL)
        size--;
    begin[size] = '\0';
    return begin;
}

static bool take_line(char *line, const char *where, struct options *out, char *why)
{
    char *text = trim(line);
    if (text[0] == '\0')
        return true;
    char *equals = strchr(text, '=');
    if (equals == NULL) {
        snprintf(why, WHY_MAX, "%s: \"%.100s\" has no '=': write name = value", where, text);
        return false;
    }
    *equals = '\0';
    char *name = trim(text), *value = trim(equals + 1);
    if (strcmp(name, "config") == 0) {
        snprintf(why, WHY_MAX, "%s: a configuration file cannot name another", where);
        return false;
    }
    return options_set(out, where, name, value, why);
}

bool options_load_file(const char *path, struct options *out, char *why)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        snprintf(why, WHY_MAX, "cannot read the configuration file %.400s: %s", path,
                 strerror(errno));
        return false;
    }
    char *line = NULL;
    size_t room = 0;
    unsigned number = 0;
    bool fine = true;
    errno = 0;
    while (fine && getline(&line, &room, file) >= 0) {
        char where[300];
        snprintf(where, sizeof where, "%.250s:%u", path, ++number);
        fine = take_line(line, where, out, why);
    }
    if (fine && ferror(file)) {
        snprintf(why, WHY_MAX, "cannot read the configuration file %.400s: %s", path,
                 strerror(errno));
        fine = false;
    }
    free(line);
    fclose(file);
    return fine;
}

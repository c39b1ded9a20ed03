/* tool.h - what inspect and doctor share: flags, the way to a node's directory, and what happens
 * when a file is too damaged to be read. */
#ifndef HOLDFAST_CMD_TOOL_H
#define HOLDFAST_CMD_TOOL_H

#include "commands.h"
#include "options.h"

struct tool_flag {
    const char *name, *argument, *text; /* argument NULL: takes none */
    enum { TOOL_TEXT, TOOL_COUNT, TOOL_OUTPUT, TOOL_TRUE, TOOL_DURATION } kind;
    void *at;        /* const char *, uint64_t (COUNT; DURATION: ms), bool (OUTPUT: JSON; TRUE) */
    uint64_t least;  /* of a count or duration */
};

/* Reads flags among argv[1] and after, which is reordered; *first is the first that is none.
 * False if something was wrong, which was said. */
bool tool_flags_parse(const char *name, const struct tool_flag *flags, size_t n, int argc,
                      char **argv, int *first);
void tool_flags_help(const struct tool_flag *flags, size_t n);

/* The directory of one node: that of node `id` in `data_dir`; without an id `data_dir` itself, or
 * the only node's in it.  False if there is none, or more than one, which was said. */
bool tool_directory(const char *data_dir, const char *id, char out[OPTION_PATH_MAX]);

/* From here on a SIGBUS or SIGSEGV, as LMDB gets from a file that is cut off or whose pages are
 * damaged, prints `line` to standard output and ends with status 1.  NULL: as before. */
void tool_guard(const char *line);

/* Standard output was written to the end?  Else says so; what was written in vain is no success. */
int tool_finish(int status);

#endif

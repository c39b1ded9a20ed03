/* problem.h - what is wrong with a request, in words for whoever sent it. */
#ifndef HOLDFAST_SERVER_PROBLEM_H
#define HOLDFAST_SERVER_PROBLEM_H

#include <holdfast/blob.h>
#include <holdfast/err.h>

enum { PROBLEM_TEXT_MAX = 320, PROBLEM_QUOTE_MAX = 96 };

struct problem {
    enum err err;
    char message[PROBLEM_TEXT_MAX]; /* what is wrong, naming the limit if there is one */
    char hint[PROBLEM_TEXT_MAX];    /* what would be right; may be empty */
};

/* Fills `problem` and returns false, so that a parser can `return problem_set(...)`.  `hint`
 * is copied as it is. */
bool problem_set(struct problem *problem, enum err err, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A client's bytes made fit for a message: in double quotes, printable, cut when long.  Use
 * it in place: problem_quote(bytes).text lives until the end of the full expression. */
struct problem_quote {
    char text[PROBLEM_QUOTE_MAX];
};
struct problem_quote problem_quote(struct slice bytes);

#endif

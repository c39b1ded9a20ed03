/* main.c - holdfast-linear: reads a history as JSON lines, says whether it is linearizable.
 *
 *     holdfast-linear [FILE]
 *
 * Exit status: 0 it is, 1 it is not, 2 the input is wrong, 3 undecided. */
#include "tests/linear/linear.h"

#include <string.h>

int main(int argc, char **argv)
{
    if (argc > 2 || (argc == 2 && strcmp(argv[1], "--help") == 0)) {
        fputs("usage: holdfast-linear [FILE]\n"
              "Reads client operations as JSON lines and says whether they are linearizable.\n",
              stderr);
        return argc > 2 ? 2 : 0;
    }
    FILE *in = argc == 2 ? fopen(argv[1], "r") : stdin;
    if (in == NULL) {
        perror(argv[1]);
        return 2;
    }
    struct linear_history *history = linear_new();
    char message[256];
    bool read = linear_read(history, in, message);
    if (in != stdin)
        fclose(in);
    if (!read) {
        fprintf(stderr, "holdfast-linear: %s\n", message);
        linear_free(history);
        return 2;
    }
    static const int status[] = { [LINEAR_GOOD] = 0, [LINEAR_BAD] = 1, [LINEAR_UNDECIDED] = 3 };
    static const char *const words[] = { "linearizable", "NOT linearizable", "undecided" };
    enum linear_verdict verdict = linear_check(history, stdout);
    printf("%u operations: %s\n", linear_size(history), words[verdict]);
    linear_free(history);
    return status[verdict];
}

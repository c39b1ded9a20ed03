/* replay.c - the main function of a fuzz target without a fuzzer: runs it over its corpus,
 * $top_srcdir/tests/fuzz/corpus/NAME for the program fuzz_NAME, or over the files named. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>

static unsigned replayed;

static void replay(const char *path)
{
    static uint8_t bytes[4 * 1024 * 1024];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(EXIT_FAILURE);
    }
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    printf("%s\n", path); /* the last line is the one that failed */
    fflush(stdout);
    unsigned char *exact = fuzz_copy(slice_of(bytes, size));
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    replayed++;
}

static void replay_corpus(const char *program)
{
    const char *slash = strrchr(program, '/'), *top = getenv("top_srcdir");
    const char *name = slash != NULL ? slash + 1 : program;
    name += strncmp(name, "lt-", 3) == 0 ? 3 : 0; /* Libtool's wrapper */
    name += strncmp(name, "fuzz_", 5) == 0 ? 5 : 0;
    char folder[2048], path[4096];
    snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/%s", top != NULL ? top : ".", name);
    struct dirent **entries;
    int n = scandir(folder, &entries, NULL, alphasort);
    if (n < 0) {
        fprintf(stderr, "there is no corpus %s\n", folder);
        exit(EXIT_FAILURE);
    }
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            replay(path);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    static const uint8_t nothing[1];
    LLVMFuzzerTestOneInput(nothing, 0);
    if (argc > 1) {
        for (int i = 1; i < argc; i++)
            replay(argv[i]);
    } else {
        replay_corpus(argv[0]);
    }
    printf("%u inputs\n", replayed);
    return replayed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* fuzz_linear.c - the reader of histories, and the checker on what it reads: a history that is
 * written down and read again is judged alike. */
#include "tests/fuzz/fuzz.h"
#include "tests/linear/linear.h"

static bool read_text(struct linear_history *history, const void *text, size_t size)
{
    char message[256] = "";
    FILE *in = fmemopen((void *)(uintptr_t)text, size, "r");
    FUZZ_MUST(in != NULL);
    bool fine = linear_read(history, in, message);
    fclose(in);
    FUZZ_MUST(fine || message[0] != '\0');
    return fine;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct linear_history *history = linear_new(), *again = linear_new();
    if (size > 0 && read_text(history, data, size) && linear_size(history) <= 12) {
        char *text = NULL;
        size_t length = 0;
        FILE *out = open_memstream(&text, &length);
        FUZZ_MUST(out != NULL);
        linear_write(history, out);
        fclose(out);
        if (length > 0)
            FUZZ_MUST(read_text(again, text, length));
        FUZZ_MUST(linear_size(again) == linear_size(history));
        FUZZ_MUST(linear_check(history, NULL) == linear_check(again, NULL));
        free(text);
    }
    linear_free(history);
    linear_free(again);
    return 0;
}

/* fuzz_options.c - a configuration file, and each of its values.
 *
 * What is accepted is within bounds; what is refused is refused with a sentence. */
#include "src/cmd/options.h"
#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

static void check_file(struct slice text)
{
    static int fd = -1;
    static char path[64];
    static struct options options;
    char why[WHY_MAX] = "";
    if (fd < 0) {
        fd = memfd_create("holdfast.conf", MFD_CLOEXEC);
        FUZZ_MUST(fd >= 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    FUZZ_MUST(ftruncate(fd, 0) == 0);
    FUZZ_MUST(pwrite(fd, text.data, text.size, 0) == (ssize_t)text.size);
    memset(&options, 0, sizeof options);
    if (!options_load_file(path, &options, why)) {
        FUZZ_MUST(why[0] != '\0' && strlen(why) < WHY_MAX);
        return;
    }
    FUZZ_MUST(why[0] == '\0');
    FUZZ_MUST(options.peers.n <= MEMBERS_MAX);
    FUZZ_MUST(strlen(options.id) <= NODE_NAME_MAX);
    FUZZ_MUST(options.election_min_ms <= options.election_max_ms);
    FUZZ_MUST(options.log_level <= LOG_LEVEL_DEBUG);
}

static void check_values(const char *text)
{
    uint64_t a, b;
    bool flag;
    char why[WHY_MAX] = "", out[ADDRESS_MAX + 1], again[ADDRESS_MAX + 1];
    struct address_list list;
    if (value_duration(text, 1, 60000, &a, why))
        FUZZ_MUST(a >= 1 && a <= 60000);
    if (value_duration_range(text, 1, 60000, &a, &b, why))
        FUZZ_MUST(a >= 1 && a <= b && b <= 60000);
    if (value_count(text, 1, 100, &a, why))
        FUZZ_MUST(a >= 1 && a <= 100);
    if (value_size(text, 1, 1 << 20, &a, why))
        FUZZ_MUST(a >= 1 && a <= 1 << 20);
    if (value_flag(text, &flag, why))
        FUZZ_MUST(strlen(text) <= 5);
    if (value_name(text, out, why))
        FUZZ_MUST(strcmp(text, out) == 0 && strlen(out) <= NODE_NAME_MAX);
    if (value_address(text, out, why))
        FUZZ_MUST(value_address(out, again, why) && strcmp(out, again) == 0);
    if (value_addresses(text, &list, why)) {
        FUZZ_MUST(list.n <= MEMBERS_MAX);
        for (uint32_t i = 0; i < list.n; i++)
            FUZZ_MUST(strlen(list.at[i]) <= ADDRESS_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    FUZZ_MUST(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    check_values(text);
    free(text);
    check_file(slice_of(data, size));
    return 0;
}

/* sums.c - see sums.h. */
#include "sums.h"

#include <holdfast/blob.h>
#include <holdfast/panic.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sha256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

struct sums {
    SHA256_CTX sha256;
    XXH3_state_t *xxh3;
};

struct sums *sums_new(void)
{
    struct sums *sums = memory_new(sizeof *sums);
    sums->xxh3 = XXH3_createState();
    if (sums->xxh3 == NULL)
        panic(EXIT_STATUS_IO, "out of memory");
    sums_reset(sums);
    return sums;
}

void sums_free(struct sums *sums)
{
    if (sums == NULL)
        return;
    XXH3_freeState(sums->xxh3);
    free(sums);
}

void sums_reset(struct sums *sums)
{
    SHA256_Init(&sums->sha256);
    XXH3_64bits_reset(sums->xxh3);
}

void sums_add(struct sums *sums, const void *data, size_t size)
{
    SHA256_Update(&sums->sha256, data, size);
    XXH3_64bits_update(sums->xxh3, data, size);
}

uint64_t sums_xxh3(const struct sums *sums)
{
    return XXH3_64bits_digest(sums->xxh3);
}

void sums_sha256(const struct sums *sums, char out[SHA256_TEXT_MAX])
{
    SHA256_CTX copy = sums->sha256;
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256_Final(digest, &copy);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

int sums_sync_directory(const char *file)
{
    char copy[SUMS_PATH_MAX];
    snprintf(copy, sizeof copy, "%s", file);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int code = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return code;
}

static int sum_name(char out[SUMS_PATH_MAX], const char *file, const char *end)
{
    return snprintf(out, SUMS_PATH_MAX, "%s.sha256%s", file, end) < SUMS_PATH_MAX ? 0 : ENAMETOOLONG;
}

int sums_write(const char *file, const char *sha256)
{
    char name[SUMS_PATH_MAX], part[SUMS_PATH_MAX];
    const char *slash = strrchr(file, '/');
    int code = sum_name(name, file, "");
    if (code == 0)
        code = sum_name(part, file, ".part");
    if (code != 0)
        return code;
    FILE *out = fopen(part, "we");
    if (out == NULL)
        return errno;
    fprintf(out, "%s  %s\n", sha256, slash != NULL ? slash + 1 : file);
    if (fflush(out) != 0 || fsync(fileno(out)) != 0)
        code = errno;
    if (fclose(out) != 0 && code == 0)
        code = errno;
    if (code == 0 && rename(part, name) != 0)
        code = errno;
    return code == 0 ? sums_sync_directory(file) : code;
}

int sums_read(const char *file, char sha256[SHA256_TEXT_MAX])
{
    char name[SUMS_PATH_MAX], line[SHA256_TEXT_MAX] = "";
    int code = sum_name(name, file, "");
    FILE *in = code == 0 ? fopen(name, "re") : NULL;
    if (in == NULL)
        return code != 0 ? code : errno;
    size_t got = fread(line, 1, sizeof line - 1, in);
    code = ferror(in) ? EIO : 0;
    fclose(in);
    if (code == 0 && (got != sizeof line - 1 || strspn(line, "0123456789abcdef") != got))
        code = EINVAL;
    memcpy(sha256, line, sizeof line);
    return code;
}

int sums_of_file(const char *file, char sha256[SHA256_TEXT_MAX])
{
    static unsigned char bytes[256 * 1024];
    ssize_t got = -1;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    struct sums *sums = sums_new();
    while ((got = read(fd, bytes, sizeof bytes)) > 0)
        sums_add(sums, bytes, (size_t)got);
    int code = got == 0 ? 0 : errno;
    sums_sha256(sums, sha256);
    sums_free(sums);
    close(fd);
    return code;
}

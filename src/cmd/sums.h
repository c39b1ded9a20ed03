/* sums.h - the checksums of backups: XXH3 as the nodes make it, SHA-256 for people's tools. */
#ifndef HOLDFAST_CMD_SUMS_H
#define HOLDFAST_CMD_SUMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHA256_TEXT_MAX = 65, SUMS_PATH_MAX = 4096 };

struct sums;

struct sums *sums_new(void);
void sums_free(struct sums *sums); /* NULL is fine */
void sums_reset(struct sums *sums);
void sums_add(struct sums *sums, const void *data, size_t size);
uint64_t sums_xxh3(const struct sums *sums);
void sums_sha256(const struct sums *sums, char out[SHA256_TEXT_MAX]);

/* `<file>.sha256`, as `sha256sum -c` reads it in that directory; durable.  0 or errno. */
int sums_write(const char *file, const char *sha256);
/* The line in `<file>.sha256`.  0; ENOENT: there is none; EINVAL: it is not one; or errno. */
int sums_read(const char *file, char sha256[SHA256_TEXT_MAX]);
/* SHA-256 of what is in the file now. 0 or errno. */
int sums_of_file(const char *file, char sha256[SHA256_TEXT_MAX]);
/* Flushes the directory that the file is in. 0 or errno. */
int sums_sync_directory(const char *file);

#endif

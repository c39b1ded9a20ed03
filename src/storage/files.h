/* files.h - small steps with files and directories, for what must survive a crash.
 *
 * The functions that take `code` go on only if it is 0, and set it to errno if they fail; the
 * caller looks once, at the end. */
#ifndef HOLDFAST_STORAGE_FILES_H
#define HOLDFAST_STORAGE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "<path>/<name>" in ENV_PATH_MAX bytes. 0 or ENAMETOOLONG. */
int files_join(char *out, const char *path, const char *name);

void files_make_directory(int *code, const char *path, const char *name);
/* Opens, flushes to disk, closes; a file or a directory ("." for `path` itself). */
void files_sync(int *code, const char *path, const char *name);
void files_move(int *code, const char *path, const char *from, const char *to);
/* One that is absent is fine. */
void files_remove(int *code, const char *path, const char *name);
void files_remove_directory(int *code, const char *path, const char *name);

/* What one of our directories with an environment in it can hold, then itself. */
void files_remove_environment(int *code, const char *path, const char *name);

/* Bytes that the file system of `path` still gives, less what is kept for the stores. */
uint64_t files_room_bytes(const char *path);

/* All of `size` bytes, or errno. */
int files_write(int fd, const void *data, size_t size, uint64_t offset);
/* Fewer only at the end of the file. */
int files_read(int fd, void *out, size_t size, uint64_t offset, size_t *got);

/* XXH3 (seed 0) and size of the whole file. */
int files_checksum(int fd, uint64_t *size, uint64_t *sum);

#endif

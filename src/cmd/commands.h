/* commands.h - the subcommands that main hands over to.
 *
 * Each takes argv[0] as its own name and returns the exit status of the program. */
#ifndef HOLDFAST_CMD_COMMANDS_H
#define HOLDFAST_CMD_COMMANDS_H

#include <holdfast/panic.h>

/* How a command on the client's side ends; documented in holdfast(1). */
enum command_status {
    COMMAND_OK = 0,
    COMMAND_NOT_FOUND = 1, /* no such key, a condition does not hold; a failed tour */
    COMMAND_USAGE = 2,
    COMMAND_NO_CLUSTER = 3,
    COMMAND_UNKNOWN = 4,   /* it is not known whether the write was applied */
};

int server_command(int argc, char **argv);
int demo_command(int argc, char **argv);
int doctor_command(int argc, char **argv);
int inspect_command(int argc, char **argv);
int recover_command(int argc, char **argv);
int restore_command(int argc, char **argv);
int version_command(int argc, char **argv);

/* Prints "holdfast: " and a sentence to standard error; returns COMMAND_USAGE. */
int usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

/* client_commands.h - the subcommands that speak to a cluster: get, put, delete, list, batch,
 * status, info and shell. */
#ifndef HOLDFAST_CMD_CLIENT_COMMANDS_H
#define HOLDFAST_CMD_CLIENT_COMMANDS_H

/* Runs the subcommand `name`; argv[0] is skipped.  Returns the exit status of the program
 * (enum command_status of commands.h).  With --help prints what it takes. */
int client_command_main(const char *name, int argc, char **argv);

#endif

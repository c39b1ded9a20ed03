/* panic.h - the end of the process, on purpose.
 *
 * Two ways in.  ASSERT is for what only a programmer's error can break; it is always
 * compiled in.  panic() is for a promise that the machine broke (a commit failed, a
 * record is corrupt).  Input from a network, a disk or a user never reaches ASSERT.
 * Any thread may call either; neither returns. */
#ifndef HOLDFAST_PANIC_H
#define HOLDFAST_PANIC_H

/* How a server process ends; documented in holdfast-server(8).  Numbers as in sysexits.h. */
enum exit_status {
    EXIT_STATUS_OK = 0,
    EXIT_STATUS_USAGE = 2,     /* flags, configuration, an address, a directory that is not ours */
    EXIT_STATUS_CORRUPT = 65,  /* a stored record does not match its checksum */
    EXIT_STATUS_BUG = 70,      /* an assertion failed */
    EXIT_STATUS_IO = 74,       /* a disk refused a write or a read */
    EXIT_STATUS_REFUSED = 77,  /* the cluster refuses this node's identity */
};

/* Prints where and what, then ends the process with EXIT_STATUS_BUG (by abort() in builds
 * that want a core).  The only symbol besides mem* that src/raft may leave undefined. */
_Noreturn void assert_failed(const char *file, int line, const char *what);

/* Logs the sentence at level error and ends the process with `status`, at once: no atexit
 * handler runs, nothing more is written or sent. */
_Noreturn void panic(enum exit_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define ASSERT(condition) \
    ((condition) ? (void)0 : assert_failed(__FILE__, __LINE__, #condition))

#endif

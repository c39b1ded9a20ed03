/* faults.h - what a test tells the preloaded library `faults.so`, and what that counts.
 *
 * A test makes a file of FAULT_SLOTS whole numbers of 64 bits and names it in HOLDFAST_FAULTS;
 * the library maps it, so a change takes effect with the next system call.  The slots stand in
 * tests/cluster/chaos_disk.py once more. */
#ifndef TESTS_FAULTS_H
#define TESTS_FAULTS_H

enum fault_slot {
    /* orders */
    FAULT_SYNC_DELAY_MS, /* how long each flush (fdatasync, a write of O_DSYNC) takes at least */
    FAULT_CALLS,         /* which calls fail: sum of enum fault_call */
    FAULT_FILES,         /* of which files: sum of enum fault_file */
    FAULT_ERRNO,         /* how */
    FAULT_SKIP,          /* so many such calls succeed before */
    FAULT_SHORT,         /* 1: a failing write writes the first half and says so, instead of errno */
    FAULT_ROOM_BYTES,    /* not 0: a write that would make a file larger than this is ENOSPC */
    FAULT_WALL_MS,       /* is added to CLOCK_REALTIME */
    FAULT_UNDO,          /* 1: what is written and not flushed is kept in the undo files */
    FAULT_LIE,           /* 1: a flush says that it is done and does nothing */
    /* counters */
    FAULT_SYNCS,
    FAULT_PAGE_WRITES,
    FAULT_META_WRITES,
    FAULT_FAILED,
    FAULT_WALL_READS,
    FAULT_CONNECTS, /* that were led to another port */
    FAULT_SLOTS = 32,
};

enum fault_call {
    FAULT_CALL_SYNC = 1,  /* fdatasync, fsync */
    FAULT_CALL_PAGES = 2, /* a write to a file that is not O_DSYNC: LMDB's pages */
    FAULT_CALL_META = 4,  /* a write to one that is: LMDB's meta pages */
    FAULT_CALL_READ = 8,  /* pread: LMDB's reading of the meta pages at the start */
};

enum fault_file {
    FAULT_FILE_LOG = 1,   /* .../log/data.mdb */
    FAULT_FILE_STATE = 2, /* .../state/data.mdb */
};

/* A record of an undo file; the bytes that stood there follow.  Bytes past the file's end then
 * are zero. */
struct fault_undo {
    unsigned long long offset, size;
};

#endif

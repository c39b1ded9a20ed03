"""What tests/faults/faults.so is told: slow, failing, full, forgetful disks; a jumping wall clock.

The numbers of the slots are those of tests/faults/faults.h."""
import errno
import mmap
import os
import struct

BUILD = os.environ.get("top_builddir", ".")
FAULTS = os.path.join(BUILD, "tests", "faults", ".libs", "faults.so")
PROXY = os.path.join(BUILD, "tests", "faults", "holdfast-proxy")

SLOTS = 32
(SYNC_DELAY_MS, CALLS, FILES, ERRNO, SKIP, SHORT, ROOM_BYTES, WALL_MS, UNDO, LIE,
 SYNCS, PAGE_WRITES, META_WRITES, FAILED, WALL_READS, CONNECTS) = range(16)
CALL_SYNC, CALL_PAGES, CALL_META, CALL_READ = 1, 2, 4, 8
FILE_LOG, FILE_STATE = 1, 2


class Faults:
    """The orders and counters of one node; they outlive its process."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.path = os.path.join(folder, "orders")
        with open(self.path, "wb") as file:
            file.write(bytes(8 * SLOTS))
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 8 * SLOTS)

    def close(self):
        self.map.close()

    def set(self, slot, value):
        struct.pack_into("=q", self.map, 8 * slot, value)

    def get(self, slot):
        return struct.unpack_from("=q", self.map, 8 * slot)[0]

    def environment(self, routes=None):
        # A sanitizer wants to be the first library; it need not be.
        asan = os.environ.get("ASAN_OPTIONS", "")
        said = {"LD_PRELOAD": FAULTS, "HOLDFAST_FAULTS": self.path,
                "HOLDFAST_FAULTS_UNDO": self.folder,
                "ASAN_OPTIONS": (asan + ":" if asan else "") + "verify_asan_link_order=0"}
        if routes:
            said["HOLDFAST_FAULTS_ROUTES"] = ",".join(f"{a}={b}" for a, b in routes.items())
        return said

    def calm(self):
        """No fault any more; the clock stays where it jumped to, as a clock would."""
        for slot in (SYNC_DELAY_MS, CALLS, ROOM_BYTES, SKIP, SHORT):
            self.set(slot, 0)

    def fail(self, calls, files, code=errno.EIO, skip=0, short=False):
        self.set(CALLS, 0)
        for slot, value in ((FILES, files), (ERRNO, code), (SKIP, skip), (SHORT, int(short))):
            self.set(slot, value)
        self.set(CALLS, calls)

    # ---- power loss

    def lose_unflushed(self, data, chance, rng):
        """Undoes each write that was not flushed with this chance; the process must be dead.
        Returns how many writes there were, and how many are undone."""
        seen = undone = 0
        for name in ("log", "state"):
            records = self.records(name)
            seen += len(records)
            path = os.path.join(data, name, "data.mdb")
            if not records or not os.path.exists(path):
                continue
            with open(path, "r+b") as file:
                # Newest first, so that what is undone is what stood there before the oldest of them.
                for offset, before in reversed(records):
                    if rng.random() < chance:
                        os.pwrite(file.fileno(), before, offset)
                        undone += 1
        return seen, undone

    def records(self, name):
        path, records, at = os.path.join(self.folder, name + ".undo"), [], 0
        if not os.path.exists(path):
            return records
        with open(path, "rb") as file:
            content = file.read()
        # A process that dies while it writes a record has not written the page yet.
        while at + 16 <= len(content):
            offset, size = struct.unpack_from("=QQ", content, at)
            before = content[at + 16:at + 16 + size]
            if len(before) == size:
                records.append((offset, before))
            at += 16 + size
        return records

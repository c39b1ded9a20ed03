#!/usr/bin/env python3
"""includes: arrows between the layers only go down.

Each folder of src holds a file `.may_include`, one rule a line:

    owns raft.h          include/holdfast/raft.h is this folder's contract, bound by its rules
    holdfast/panic.h     this public header may be included
    lmdb.h, event2/*     so may these of the system
    libc                 the C library and POSIX;  libc-pure: what does no I/O and allocates nothing

A quoted include names a header in the same folder.  The rules together must have no cycle.
"""
import fnmatch
import os
import re
import sys

import sources

LIBC_PURE = {"limits.h", "stdalign.h", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "string.h"}
LIBC = LIBC_PURE | {
    "arpa/inet.h", "arpa/nameser.h", "assert.h", "ctype.h", "dirent.h", "errno.h", "fcntl.h", "ftw.h", "getopt.h",
    "inttypes.h", "libgen.h", "malloc.h", "math.h", "netdb.h", "netinet/in.h", "netinet/tcp.h", "poll.h",
    "pthread.h", "resolv.h", "signal.h", "spawn.h", "stdatomic.h", "stdio.h", "stdlib.h", "strings.h",
    "sys/epoll.h", "sys/eventfd.h", "sys/file.h", "sys/ioctl.h", "sys/mman.h", "sys/prctl.h",
    "sys/queue.h", "sys/random.h", "sys/resource.h", "sys/sendfile.h", "sys/socket.h",
    "sys/stat.h", "sys/statvfs.h", "sys/syscall.h", "sys/sysmacros.h", "sys/time.h", "sys/types.h", "sys/uio.h",
    "sys/un.h", "sys/vfs.h", "sys/wait.h", "termios.h", "threads.h", "time.h", "unistd.h",
}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


class Rules:
    """What one folder's `.may_include` says."""

    def __init__(self, top, folder):
        self.folder, self.owns, self.allowed, self.libc = folder, set(), [], set()
        with open(os.path.join(top, "src", folder, ".may_include"), encoding="utf-8") as file:
            for line in file:
                words = line.split("#")[0].replace(",", " ").split()
                if not words:
                    continue
                if words[0] == "owns":
                    self.owns |= {f"holdfast/{word}" for word in words[1:]}
                    continue
                for word in words:
                    if word in ("libc", "libc-pure"):
                        self.libc |= LIBC if word == "libc" else LIBC_PURE
                    else:
                        self.allowed.append(word)

    def allows(self, header):
        return (header in self.owns or header in self.libc
                or any(fnmatch.fnmatch(header, pattern) for pattern in self.allowed))


def check_file(top, path, rules, owner):
    complaints = []
    for number, line in enumerate(sources.lines_of(top, path), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quote, header = match.groups()
        where = f"{path}:{number}"
        if quote == '"':
            beside = os.path.join(top, os.path.dirname(path), header)
            if "/" in header or not os.path.exists(beside):
                complaints.append(f"{where}: \"{header}\" is not a header in this folder: what others "
                                  "may use belongs in include/holdfast, in <>")
        elif not rules.allows(header):
            whose = f", which belongs to src/{owner[header]}" if header in owner else ""
            complaints.append(
                f"{where}: src/{rules.folder} may not include <{header}>{whose}: let the news travel "
                "upward as a return value, a completion or a callback, or move the code to the "
                f"floor where it belongs (rules: src/{rules.folder}/.may_include)")
    return complaints


def find_cycle(all_rules, owner):
    """The names of folders that include each other in a ring, or None."""
    below = {rules.folder: {owner[h] for h in owner if owner[h] != rules.folder and rules.allows(h)}
             for rules in all_rules}

    def walk(folder, path):
        if folder in path:
            return path[path.index(folder):] + [folder]
        for other in sorted(below[folder]):
            ring = walk(other, path + [folder])
            if ring:
                return ring
        return None

    for folder in sorted(below):
        ring = walk(folder, [])
        if ring:
            return ring
    return None


def check(top):
    complaints, looked_at, all_rules, owner = [], 0, [], {}
    for folder in sorted(os.listdir(os.path.join(top, "src"))):
        if not os.path.isdir(os.path.join(top, "src", folder)):
            continue
        if not os.path.exists(os.path.join(top, "src", folder, ".may_include")):
            complaints.append(f"src/{folder}: has no .may_include: write down what it may include")
            continue
        rules = Rules(top, folder)
        all_rules.append(rules)
        owner.update({header: folder for header in rules.owns})
    for header in sources.files(top, ["include"], (".h",)):
        if os.path.relpath(header, "include") not in owner:
            complaints.append(f"{header}: no folder owns it: add `owns {os.path.basename(header)}` to "
                              "the .may_include of the folder whose contract it is")
    ring = find_cycle(all_rules, owner)
    if ring:
        complaints.append("the rules allow a ring of includes: " + " -> ".join(ring)
                          + ": take one arrow out of a .may_include")
    for rules in all_rules:
        paths = sources.files(top, [os.path.join("src", rules.folder)], (".c", ".h"))
        paths += sorted(p for p in (os.path.join("include", h) for h in rules.owns)
                        if os.path.exists(os.path.join(top, p)))
        looked_at += len(paths)
        for path in paths:
            complaints += check_file(top, path, rules, owner)
    return complaints, looked_at


if __name__ == "__main__":
    sources.finish("includes", *check(sys.argv[1] if len(sys.argv) > 1 else sources.TOP))

#!/usr/bin/env python3
"""purity: the Raft core does no I/O, reads no clock and allocates nothing.

The proof: all of src/raft, linked into one relocatable object, leaves nothing undefined but
memory functions of the compiler, the stack protector's symbol and the panic function.
"""
import os
import re
import subprocess
import sys
import tempfile

# What the compiler or the linker itself puts in: the table of position-independent code, and the
# counters and probes of sanitizer and coverage builds, which are no work of the core.
MACHINERY = re.compile(r"^(_GLOBAL_OFFSET_TABLE_|__(asan|ubsan|tsan|sanitizer|gcov|llvm_gcov)_\w+)$")
ALLOWED = re.compile(r"^(mem\w+|__mem\w+_chk|__stack_chk_fail|assert_failed)$")


def undefined_symbols(archive):
    ld = os.environ.get("LD", "ld").split()
    nm = os.environ.get("NM", "nm").split()
    with tempfile.TemporaryDirectory() as folder:
        whole = os.path.join(folder, "raft.o")
        subprocess.run(ld + ["-r", "-o", whole, "--whole-archive", archive], check=True)
        listing = subprocess.run(nm + ["-u", whole], check=True, capture_output=True, text=True)
    return [line.split()[-1] for line in listing.stdout.splitlines() if line.strip()]


def check(archive):
    return [f"{archive}: src/raft needs `{symbol}`: the core may use only memcpy and its kin and "
            "ASSERT; take the work out into src/node and hand its result in with an event"
            for symbol in sorted(set(undefined_symbols(archive)))
            if not ALLOWED.match(symbol) and not MACHINERY.match(symbol)]


if __name__ == "__main__":
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(
        os.environ.get("top_builddir", "."), "libraft.a")
    found = check(path)
    for complaint in found:
        print(complaint)
    print("purity: " + (f"{len(found)} complaint(s)" if found else f"{path} is pure"))
    sys.exit(1 if found else 0)

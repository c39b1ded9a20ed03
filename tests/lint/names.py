#!/usr/bin/env python3
"""names: no two modules of the program define the same global name.

The archives are linked in order, so of two functions with one name the linker silently takes the
first, and the other module calls a stranger.
"""
import os
import subprocess
import sys


def defined_names(archive):
    nm = os.environ.get("NM", "nm").split()[0]
    listing = subprocess.run([nm, "-g", "--defined-only", archive], check=True,
                             capture_output=True, text=True)
    return {line.split()[2] for line in listing.stdout.splitlines() if len(line.split()) == 3}


def check(archives):
    where = {}
    for archive in archives:
        for name in defined_names(archive):
            where.setdefault(name, []).append(os.path.basename(archive))
    return [f"`{name}` is defined in {' and '.join(homes)}: the linker takes one of them for both; "
            "rename one after its module (module_verb_noun)"
            for name, homes in sorted(where.items())
            if len(homes) > 1 and not name.startswith(("__", "_fini", "_init"))]


if __name__ == "__main__":
    top = os.environ.get("top_builddir", ".")
    found = sys.argv[1:] or [os.path.join(top, archive)
                             for archive in os.environ.get("PROGRAM_ARCHIVES", "").split()]
    complaints = check(found)
    for complaint in complaints:
        print(complaint)
    if len(found) < 2:
        print("names: fewer than two archives: this check would prove nothing")
    print(f"names: {len(found)} archives, " + (f"{len(complaints)} complaint(s)" if complaints else "all well"))
    sys.exit(1 if complaints or len(found) < 2 else 0)

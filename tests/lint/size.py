#!/usr/bin/env python3
"""size: a file has at most 800 lines, a function at most 70.

A function in our style begins with `{` and ends with `}`, each alone in the first column.  A
function whose brace stands elsewhere could not be measured, so that is a complaint too.
"""
import re
import sys

import sources

FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
FOLDERS = ("src", "include", "tests", "scripts")


def check_functions(path, lines):
    complaints = []
    code = sources.without_comments("\n".join(lines)).split("\n")
    begin = None
    for number, line in enumerate(code, 1):
        if re.match(r"(?!(?:static |const |extern )*(?:struct|enum|union)\s*\w*\s*\{)[A-Za-z_].*\)\s*\{\s*$",
                    line):
            complaints.append(f"{path}:{number}: put a function's opening brace alone on the next "
                              "line, so that its length can be measured")
        if line.startswith("{") and begin is None:
            begin = number
        elif line.startswith("}") and begin is not None:
            length = number - begin - 1
            if length > FUNCTION_LINES_MAX:
                name = re.search(r"(\w+)\s*\(", " ".join(code[max(0, begin - 4):begin - 1]) or "")
                complaints.append(
                    f"{path}:{begin}: function {name.group(1) if name else '?'} has {length} lines, "
                    f"{FUNCTION_LINES_MAX} are allowed: split it by purpose, keep the switch in "
                    "the parent and move the straight-line work into helpers")
            begin = None
    return complaints


def check(top):
    complaints = []
    paths = sources.files(top, FOLDERS, (".c", ".h", ".py", ".sh"))
    for path in paths:
        lines = sources.lines_of(top, path)
        count = len(lines) - (lines[-1] == "")
        if count > FILE_LINES_MAX:
            complaints.append(f"{path}: {count} lines, {FILE_LINES_MAX} are allowed: split the file "
                              "so that each part has one purpose, and name the parts after it")
        if path.endswith((".c", ".h")):
            complaints += check_functions(path, lines)
    return complaints, len(paths)


if __name__ == "__main__":
    sources.finish("size", *check(sys.argv[1] if len(sys.argv) > 1 else sources.TOP))

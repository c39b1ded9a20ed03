"""What the structural checks share: which files there are, and how to read C without its words."""
import os
import re
import sys

TOP = os.environ.get("top_srcdir", os.path.join(os.path.dirname(__file__), "..", ".."))


def files(top, folders, endings):
    """Paths below `top`, relative to it, sorted."""
    found = []
    for folder in folders:
        for where, subfolders, names in os.walk(os.path.join(top, folder)):
            subfolders[:] = sorted(s for s in subfolders if not s.startswith((".", "__")))
            found += [os.path.relpath(os.path.join(where, name), top)
                      for name in sorted(names) if name.endswith(endings)]
    return found


def lines_of(top, path):
    with open(os.path.join(top, path), encoding="utf-8") as file:
        return file.read().split("\n")


def without_comments(text):
    """The same C text with comments and the inside of strings blanked; line numbers stay."""
    token = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def blank(match):
        word = match.group(0)
        if word[0] in "\"'":
            return word[0] + word[0]
        return re.sub(r"[^\n]", " ", word)

    return token.sub(blank, text)


def finish(name, complaints, looked_at):
    """Prints what was found and ends the check."""
    for complaint in complaints:
        print(complaint)
    if not looked_at:
        print(f"{name}: found nothing to look at below {TOP}; this check would prove nothing")
        sys.exit(1)
    if complaints:
        print(f"{name}: {len(complaints)} complaint(s)")
        sys.exit(1)
    print(f"{name}: {looked_at} file(s), all well")

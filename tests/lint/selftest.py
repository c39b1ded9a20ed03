#!/usr/bin/env python3
"""The structural checks find what they are there to find."""
import os
import subprocess
import tempfile
import unittest

import includes
import names
import purity
import size


class Tree:
    """A small source tree that lives for one test."""

    def __init__(self, **contents):
        self.folder = tempfile.TemporaryDirectory()
        self.top = self.folder.name
        for path, text in contents.items():
            self.write(path, text)

    def write(self, path, text):
        whole = os.path.join(self.top, path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(whole, "w", encoding="utf-8") as file:
            file.write(text)


def layers():
    tree = Tree()
    tree.write("src/base/.may_include", "owns err.h\nlibc\n")
    tree.write("src/storage/.may_include", "owns storage.h\nholdfast/err.h lmdb.h libc\n")
    tree.write("src/raft/.may_include", "owns raft.h\nlibc-pure\n")
    tree.write("include/holdfast/err.h", "#include <stdbool.h>\n")
    tree.write("include/holdfast/storage.h", "#include <holdfast/err.h>\n")
    tree.write("include/holdfast/raft.h", "#include <stdint.h>\n")
    tree.write("src/storage/a.c", '#include "a.h"\n#include <lmdb.h>\n#include <stdio.h>\n')
    tree.write("src/storage/a.h", "#include <holdfast/storage.h>\n")
    tree.write("src/raft/r.c", "#include <holdfast/raft.h>\n")
    return tree


class Includes(unittest.TestCase):
    def complaints(self, tree):
        return includes.check(tree.top)[0]

    def expect(self, tree, *words):
        found = self.complaints(tree)
        self.assertEqual(len(found), 1, found)
        for word in words:
            self.assertIn(word, found[0])

    def test_a_tree_that_obeys_is_silent(self):
        self.assertEqual(self.complaints(layers()), [])

    def test_an_arrow_upward_is_found(self):
        tree = layers()
        tree.write("src/base/b.c", "#include <holdfast/storage.h>\n")
        self.expect(tree, "src/base/b.c:1", "belongs to src/storage", "completion or a callback")

    def test_a_library_on_the_wrong_floor_is_found(self):
        tree = layers()
        tree.write("src/base/b.c", "  # include <lmdb.h>\n")
        self.expect(tree, "src/base/b.c:1", "<lmdb.h>")

    def test_the_core_gets_no_stdio(self):
        tree = layers()
        tree.write("src/raft/r.c", "#include <stdio.h>\n")
        self.expect(tree, "src/raft may not include <stdio.h>")

    def test_a_public_header_is_bound_by_its_owner(self):
        tree = layers()
        tree.write("include/holdfast/raft.h", "#include <holdfast/storage.h>\n")
        self.expect(tree, "include/holdfast/raft.h:1", "src/raft may not include")

    def test_another_folders_private_header_is_found(self):
        tree = layers()
        tree.write("src/raft/r.c", '#include "../storage/a.h"\n')
        self.expect(tree, "not a header in this folder")

    def test_a_header_without_owner_is_found(self):
        tree = layers()
        tree.write("include/holdfast/new.h", "")
        self.expect(tree, "include/holdfast/new.h", "owns new.h")

    def test_a_folder_without_rules_is_found(self):
        tree = layers()
        tree.write("src/new/n.c", "")
        self.expect(tree, "src/new", ".may_include")

    def test_a_ring_of_rules_is_found(self):
        tree = layers()
        tree.write("src/base/.may_include", "owns err.h\nholdfast/storage.h libc\n")
        self.expect(tree, "base -> storage -> base")


class Size(unittest.TestCase):
    def complaints(self, text):
        tree = Tree(**{"src/base/f.c": text})
        return size.check(tree.top)[0]

    @staticmethod
    def function(lines):
        return "static int\nlong_one(void)\n{\n" + "    x();\n" * lines + "}\n"

    def test_the_longest_that_is_allowed(self):
        self.assertEqual(self.complaints(self.function(70) * 10), [])

    def test_a_function_of_71_lines(self):
        found = self.complaints("int a;\n" + self.function(71))
        self.assertEqual(len(found), 1, found)
        self.assertIn("src/base/f.c:4: function long_one has 71 lines", found[0])
        self.assertIn("split it", found[0])

    def test_a_brace_in_a_comment_or_string_ends_nothing(self):
        body = "/*\n}\n*/\n" + "    x(\"{\");\n" * 68
        self.assertIn("71 lines", self.complaints("int f(void)\n{\n" + body + "}\n")[0])

    def test_tables_are_no_functions(self):
        table = "static const int t[] = {\n" + "    1,\n" * 200 + "};\nstruct s {\n" + "    int a;\n" * 99
        self.assertEqual(self.complaints(table + "};\n"), [])

    def test_a_function_that_cannot_be_measured(self):
        found = self.complaints("int f(void) {\n    return 1;\n}\n")
        self.assertEqual(len(found), 1, found)
        self.assertIn("opening brace", found[0])

    def test_a_file_of_801_lines(self):
        self.assertEqual(self.complaints("int a;\n" * 800), [])
        self.assertIn("801 lines", self.complaints("int a;\n" * 801)[0])


class Purity(unittest.TestCase):
    def complaints(self, text):
        tree = Tree(**{"f.c": text})
        archive = os.path.join(tree.top, "libx.a")
        compiler = os.environ.get("CC", "cc").split()
        subprocess.run(compiler + ["-c", "-O0", "-o", os.path.join(tree.top, "f.o"),
                                   os.path.join(tree.top, "f.c")], check=True)
        subprocess.run(["ar", "cr", archive, os.path.join(tree.top, "f.o")], check=True)
        return purity.check(archive)

    def test_memory_functions_and_the_panic_are_fine(self):
        self.assertEqual(self.complaints(
            "#include <string.h>\nvoid assert_failed(void);\nint n;\n"
            "void f(void *a, void *b) { memcpy(a, b, (size_t)n); assert_failed(); }\n"), [])

    def test_a_clock_is_found(self):
        found = self.complaints("#include <time.h>\nlong f(void) { return time(0); }\n")
        self.assertEqual(len(found), 1, found)
        self.assertIn("`time`", found[0])

    def test_an_allocation_is_found(self):
        self.assertEqual(len(self.complaints(
            "#include <stdlib.h>\nvoid *f(void) { return malloc(9); }\n")), 1)


class Names(unittest.TestCase):
    @staticmethod
    def archive(tree, name, text):
        tree.write(name + ".c", text)
        path = os.path.join(tree.top, name)
        compiler = os.environ.get("CC", "cc").split()
        subprocess.run(compiler + ["-c", "-o", path + ".o", path + ".c"], check=True)
        subprocess.run(["ar", "cr", path + ".a", path + ".o"], check=True)
        return path + ".a"

    def test_a_name_in_two_modules_is_found(self):
        tree = Tree()
        one = self.archive(tree, "one", "int twice; static int once; int *f(void) { return &once; }")
        other = self.archive(tree, "other", "int twice; static int once; int *g(void) { return &once; }")
        found = names.check([one, other])
        self.assertEqual(len(found), 1, found)
        self.assertIn("`twice` is defined in one.a and other.a", found[0])


if __name__ == "__main__":
    unittest.main(verbosity=2)

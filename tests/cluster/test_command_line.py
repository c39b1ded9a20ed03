"""The command line as a whole: commands, help, versions, and the manual that names every flag."""
import os
import re
import subprocess
import unittest

from cluster import PATIENCE, PROGRAM, SharedCluster, main

TOP = os.environ.get("top_srcdir", os.path.join(os.path.dirname(__file__), "..", ".."))


def run(*arguments, stdin="", environment=None):
    ran = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, input=stdin,
                         timeout=30 * PATIENCE, env={**os.environ, **(environment or {})})
    return ran.returncode, ran.stdout, ran.stderr


def manual(name):
    with open(os.path.join(TOP, "man", name), encoding="utf-8") as file:
        return file.read()


class Commands(unittest.TestCase):
    def test_help_lists_the_commands(self):
        for way in (["help"], ["--help"], ["-help"], ["-h"]):
            code, out, _ = run(*way)
            self.assertEqual(code, 0)
            for command in ("server", "get", "put", "delete", "list", "batch", "status", "info", "shell",
                            "demo", "version", "help"):
                self.assertRegex(out, rf"(?m)^  {command} ")

    def test_each_command_has_help(self):
        for command in ("server", "get", "put", "delete", "list", "batch", "status", "info", "shell",
                        "demo"):
            with self.subTest(command=command):
                for way in (["help", command], [command, "--help"]):
                    code, out, err = run(*way)
                    self.assertEqual((code, err), (0, ""))
                    self.assertIn(f"usage: holdfast {command}", out)

    def test_without_a_command(self):
        code, out, _ = run()
        self.assertEqual(code, 2)
        self.assertIn("usage:", out)

    def test_unknown_commands_and_modes(self):
        for arguments, says in ((["sevrer"], 'did you mean "server"?'), (["quit"], "holdfast help"),
                                (["-mode=servr"], "server, client or demo"),
                                (["-id=node1"], "say which command"),
                                (["demo", "--tuor"], "did you mean --tour?"),
                                (["demo", "--nodes=0"], "from 1 to 7"), (["version", "x"], "too much"),
                                (["demo", "--tour", "--nodes=1"], "--nodes=3"),
                                (["get", "--ouput=json", "k"], "")):
            with self.subTest(arguments=arguments):
                code, _, err = run(*arguments)
                self.assertEqual(code, 2, err)
                self.assertIn(says, err)
                self.assertEqual(err.count("\n"), 1, err)

    def test_version(self):
        code, out, _ = run("version")
        self.assertEqual(code, 0)
        self.assertRegex(out, r"holdfast \d+\.\d+\.\d+\nlmdb \d.*\nlibevent \d.*\nlibcurl \d")

    def test_the_manual_names_every_flag(self):
        _, out, _ = run("help", "server")
        flags = re.findall(r"(?m)^  --([a-z-]+)", out)
        self.assertGreater(len(flags), 15)
        pages = manual("holdfast-server.8"), manual("holdfast.conf.5")
        for flag in flags:
            with self.subTest(flag=flag):
                self.assertIn(f".It Fl -{flag}", pages[0])
                if flag != "config":
                    self.assertRegex(pages[1], rf"(?m)^\.It Cm .*\b{flag}\b")
        for flag in re.findall(r"(?m)^\.It Fl -([a-z-]+)", pages[0]):
            self.assertIn(flag, flags, "the manual names a flag that does not exist")


class Client(SharedCluster):
    NODES = 3

    def setUp(self):
        self.environment = {"HOLDFAST_ENDPOINTS": ",".join(node.url for node in self.cluster.nodes)}

    def test_put_get_delete(self):
        code, _, err = run("put", "greeting", "hello", environment=self.environment)
        self.assertEqual(code, 0, err)
        code, out, err = run("get", "greeting", environment=self.environment)
        self.assertEqual((code, out.strip()), (0, "hello"), err)
        self.assertEqual(run("delete", "greeting", environment=self.environment)[0], 0)
        self.assertEqual(run("get", "greeting", environment=self.environment)[0], 1)

    def test_no_cluster(self):
        port = self.cluster.ports.take()
        code, _, err = run("get", "k", "--timeout=300ms", f"--endpoints=http://127.0.0.1:{port}")
        self.assertEqual(code, 3, err)

    def test_client_mode_is_the_shell(self):
        code, out, err = run("-mode=client", stdin="put a 1\nget a\n", environment=self.environment)
        self.assertEqual(code, 0, err)
        self.assertIn("1", out)


if __name__ == "__main__":
    main()

"""holdfast inspect: what stands in the directory of a node, running or stopped, for people and programs."""
import base64
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from cluster import CALM, PROGRAM, Cluster, main, wait_for

BINARY = b'\x00\xff"key'


def holdfast(*arguments, expect=0):
    """Standard output; with another status than 0 expected, standard error too."""
    ran = subprocess.run([PROGRAM, *arguments], capture_output=True, timeout=60,
                         cwd=tempfile.gettempdir())
    if ran.returncode != expect:
        raise AssertionError(f"{arguments}: status {ran.returncode}, expected {expect}:\n"
                             f"{ran.stdout.decode()}\n{ran.stderr.decode()}")
    return ran.stdout.decode() + (ran.stderr.decode() if expect else "")


def lines(*arguments, expect=0):
    out = holdfast(*arguments, "--output=json", expect=expect)
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def flip(path, text):
    """In every copy of the text: LMDB leaves older copies of pages."""
    with open(path, "r+b") as file:
        content = file.read()
        at, copies = content.find(text), 0
        while at >= 0:
            os.pwrite(file.fileno(), bytes([content[at] ^ 1]), at)
            at, copies = content.find(text, at + 1), copies + 1
    assert copies > 0, f"{text!r} is in {path}"


class Inspect(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(1, "--flush-interval=100ms", environment=CALM).start()
        cls.node = cls.cluster.wait_ready()
        cls.where = f"--data-dir={os.path.dirname(cls.node.data)}"
        for i in range(5):
            assert cls.node.put(f"key{i}", b"value-%04d" % i).status == 200
        assert cls.node.put(BINARY, b"\xfe\x00").status == 200
        cls.status = wait_for("all is on the disk", lambda: cls.on_disk(cls.node))

    @staticmethod
    def on_disk(node):
        status = node.status()
        return status if status["durable_index"] == status["log_last_index"] else None

    @classmethod
    def tearDownClass(cls):
        cls.cluster.close_well()

    def test_every_entry_of_a_running_node_is_shown(self):
        entries = lines("inspect", "log", self.where)
        self.assertEqual([entry["index"] for entry in entries],
                         list(range(self.status["log_first_index"], self.status["log_last_index"] + 1)))
        self.assertEqual({entry["kind"] for entry in entries}, {"noop", "announce", "batch"})
        sets = {op.get("key", op.get("key_b64")): op for entry in entries for op in entry.get("ops", ())}
        self.assertEqual(sets["key3"], {"op": "set", "key": "key3", "value": "value-0003"})
        binary = sets[base64.b64encode(BINARY).decode()]
        self.assertEqual(base64.b64decode(binary["value_b64"]), b"\xfe\x00")
        self.assertTrue(all(entry["time"].endswith("Z") and entry["term"] for entry in entries))

    def test_the_log_for_people(self):
        shown = holdfast("inspect", "log", self.where, f"--id={self.node.name}")
        self.assertIn('set "key4" = 10 B "value-0004"', shown)
        self.assertIn('set "\\x00\\xff\\"key" = 2 B "\\xfe\\x00"', shown)
        self.assertIn(f'is "{self.node.name}", raft {self.node.raft_addr}', shown)

    def test_ranges(self):
        last = self.status["log_last_index"]
        shown = lambda *flags: [entry["index"] for entry in lines("inspect", "log", self.where, *flags)]
        self.assertEqual(shown("--from=2", "--to=4"), [2, 3, 4])
        self.assertEqual(shown("--from=2", "--limit=1"), [2])
        self.assertEqual(shown(f"--from={last}", f"--to={last + 100}"), [last])
        for flags, says in (((f"--from={last + 1}",), f"1 to {last}"), (("--from=4", "--to=3"), "is behind"),
                            (("--from=x",), "no whole number"), (("--from=0",), "out of range"),
                            (("--prefix=a",), "inspect state"), (("--form=1",), "--from")):
            self.assertIn(says, holdfast("inspect", "log", self.where, *flags, expect=2))

    def test_the_state(self):
        items = lines("inspect", "state", self.where)
        self.assertEqual(len(items), self.status["keys"])
        self.assertEqual(base64.b64decode(items[0]["key_b64"]), BINARY, "in the order of the bytes")
        found = lines("inspect", "state", self.where, "--prefix=key", "--limit=2")
        self.assertEqual([(item["key"], item["value"], item["version"]) for item in found],
                         [("key0", "value-0000", 1), ("key1", "value-0001", 1)])
        self.assertEqual(found[0]["revision"], found[0]["create_revision"])
        self.assertEqual(len(lines("inspect", "state", self.where, "--prefix=%00%ff", "--percent")), 1)
        member, = lines("inspect", "state", self.where, "--table=members")
        self.assertEqual((member["id"], member["name"]), (self.status["id"], self.node.name))
        self.assertIn('"key2"  revision', holdfast("inspect", "state", self.where))
        self.assertIn("one of", holdfast("inspect", "state", self.where, "--table=x", expect=2))

    def test_what_the_environments_say_of_themselves(self):
        status = wait_for("all is on the disk", lambda: self.on_disk(self.node))
        log, state = lines("inspect", "meta", self.where)
        self.assertEqual((log["environment"], log["rows"]["name"]), ("log", self.node.name))
        self.assertEqual(log["last_index"], status["log_last_index"])
        self.assertEqual(state["rows"]["digest"], status["digest"])
        self.assertEqual(state["keys"], self.status["keys"])
        self.assertLess(log["used_bytes"], log["map_bytes"])
        self.assertIn(self.status["id"], holdfast("inspect", "meta", self.where))

    def test_the_same_when_it_is_stopped_and_what_is_damaged(self):
        before = lines("inspect", "log", self.where)
        copy = os.path.join(self.cluster.directory, "copy")
        self.assertEqual(self.node.stop(), 0)
        try:
            self.assertEqual(lines("inspect", "log", self.where)[:len(before)], before)
            shutil.copytree(self.node.data, copy)
        finally:
            self.node.start()
            self.cluster.wait_ready()
        flip(os.path.join(copy, "log", "data.mdb"), b"value-0002")
        flip(os.path.join(copy, "state", "data.mdb"), b"value-0003")
        entries = lines("inspect", "log", f"--data-dir={copy}", expect=1)
        damaged, = [entry for entry in entries if entry.get("damaged")]
        index, = [entry["index"] for entry in before if any(op.get("key") == "key2" for op in entry.get("ops", ()))]
        self.assertEqual((damaged["index"], damaged["kind"]), (index, "damaged"))
        self.assertGreaterEqual(len(entries), len(before), "it goes on behind it")
        shown = holdfast("inspect", "state", f"--data-dir={copy}", expect=1)
        self.assertIn('"key3"  damaged', shown)
        self.assertIn('"key4"  revision', shown)
        self.assertIn("1 damaged", shown)

    def test_what_is_no_data_directory(self):
        with tempfile.TemporaryDirectory() as empty:
            self.assertIn("no node has ever started", holdfast("inspect", "meta", f"--data-dir={empty}", expect=2))
            with open(os.path.join(empty, "letter"), "w", encoding="utf-8") as file:
                file.write("not a database")
            self.assertIn("holds no data", holdfast("inspect", "log", f"--data-dir={empty}", expect=2))
            os.mkdir(os.path.join(empty, "log"))
            with open(os.path.join(empty, "log", "data.mdb"), "wb") as file:
                file.write(b"x" * 8192)
            holdfast("inspect", "log", f"--data-dir={empty}", expect=1)
            self.assertEqual(sorted(os.listdir(empty)), ["letter", "log"], "nothing is left behind")
        self.assertIn("No such file", holdfast("inspect", "log", f"--data-dir={empty}", expect=2))
        self.assertIn("log, state or meta", holdfast("inspect", "all", self.where, expect=2))


if __name__ == "__main__":
    main()

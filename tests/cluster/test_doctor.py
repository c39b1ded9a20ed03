"""holdfast doctor: says in words what is wrong with a data directory or a cluster, and nothing of one
that is well."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from cluster import CALM, PROGRAM, Cluster, main, wait_for
from test_inspect import flip

ROWS = "VERSION=3\nformat=print\ntype=btree\nHEADER=END\n {}\n {}\nDATA=END\n"


def doctor(*arguments, expect=0):
    """Findings as (severity, about, sentence)."""
    ran = subprocess.run([PROGRAM, "doctor", *arguments, "--output=json"], capture_output=True,
                         text=True, timeout=60)
    if ran.returncode != expect:
        raise AssertionError(f"{arguments}: status {ran.returncode}, expected {expect}:\n{ran.stdout}{ran.stderr}")
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    return [(f["severity"], f["about"], f["finding"] + "; " + f.get("todo", "")) for f in found]


def problems(found):
    return [f for f in found if f[0] == "problem"]


class Directory(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(1, "--flush-interval=100ms", environment=CALM).start()
        node = cls.cluster.wait_ready()
        for i in range(30):
            assert node.put(f"key{i}", b"value-%04d" % i).status == 200
        wait_for("all is on the disk", lambda: node.status()["durable_index"]
                 == node.status()["log_last_index"])
        cls.running = doctor(f"--data-dir={node.data}")
        cls.data = node.data
        assert node.stop() == 0

    @classmethod
    def tearDownClass(cls):
        cls.cluster.close_well()

    def setUp(self):
        self.copy = tempfile.mkdtemp(prefix="holdfast-test-")
        self.addCleanup(shutil.rmtree, self.copy)
        self.path = os.path.join(self.copy, "node1")
        shutil.copytree(self.data, self.path)

    def look(self, expect=1):
        return doctor(f"--data-dir={self.path}", expect=expect)

    def expect_problem(self, about, *words):
        found = problems(self.look())
        self.assertTrue([f for f in found if f[1] == about and all(word in f[2] for word in words)],
                        f"no problem of {about} with {words} in {found}")
        return found

    def set_row(self, environment, key, value):
        subprocess.run(["mdb_load", "-f", "/dev/stdin", "-s", "meta", os.path.join(self.path, environment)],
                       input=ROWS.format(key, value), text=True, check=True, timeout=30)

    def test_a_sound_one_running_and_stopped(self):
        stopped = doctor(f"--data-dir={os.path.dirname(self.data)}", "--id=node1")
        for found, runs in ((self.running, "a node runs here"), (stopped, "no node runs here")):
            self.assertEqual([f for f in found if f[0] == "problem"], [])
            said = "\n".join(f[2] for f in found)
            for word in (runs, "31 keys", "the digest is as written", "entries, 1 to", "node node1"):
                self.assertIn(word, said)

    def test_a_damaged_entry_is_named(self):
        flip(os.path.join(self.path, "log", "data.mdb"), b"value-0013")
        shown = subprocess.run([PROGRAM, "inspect", "log", f"--data-dir={self.path}", "--output=json"],
                               capture_output=True, text=True, timeout=30)
        index, = [entry["index"] for entry in map(json.loads, shown.stdout.splitlines()) if entry.get("damaged")]
        found = self.expect_problem("log", f"entry {index} does not match its checksum", "replace this member")
        self.assertEqual(len(found), 1, "nothing else is wrong")

    def test_a_damaged_value_is_named(self):
        flip(os.path.join(self.path, "state", "data.mdb"), b"value-0007")
        self.expect_problem("state", 'key "key7" does not match its checksum')

    @unittest.skipUnless(shutil.which("mdb_load"), "lmdb-utils are not installed")
    def test_rows_that_contradict_what_is_there(self):
        for environment, key, value, about, words in (
                ("state", "digest", "0000000000000001", "state", ("0000000000000001", "something has changed")),
                ("state", "keys", "30", "state", ("31 keys", "there are 30")),
                ("state", "incarnation", "0" * 32, "identity", ("different incarnations",)),
                ("state", "applied_index", "1000", "log", ("the state has come to 1000", "lost its tail")),
                ("state", "doubt", "differs 12", "state", ("hold other data (differs 12)",)),
                ("log", "removed", "nobody wants it", "membership", ("was removed", "nobody wants it")),
                ("log", "lost", "the log ends early", "log", ("has lost what it acknowledged",)),
                ("log", "install", "5000 2", "state", ("snapshot at entry 5000", "not in snapshot.incoming"))):
            with self.subTest(row=key):
                shutil.rmtree(self.path)
                shutil.copytree(self.data, self.path)
                self.set_row(environment, key, value)
                self.expect_problem(about, *words)

    @unittest.skipUnless(shutil.which("mdb_load"), "lmdb-utils are not installed")
    def test_a_log_that_begins_behind_the_state(self):
        self.set_row("log", "base_index", "5000")
        self.expect_problem("log", "begins behind entry 5000", "entries are missing between them")

    def test_pages_that_lead_nowhere(self):
        """LMDB itself fails on them, or the kernel for it; that is said, too."""
        for byte in (b"\xff", b"\x04"):
            with self.subTest(byte=byte), open(os.path.join(self.path, "log", "data.mdb"), "r+b") as file:
                size = os.fstat(file.fileno()).st_size
                os.pwrite(file.fileno(), byte * (size - 8192), 8192)
                self.expect_problem("log", "")

    def test_what_is_missing_or_cut_off(self):
        with open(os.path.join(self.path, "state", "data.mdb"), "r+b") as file:
            file.truncate(8192)
        self.expect_problem("state", "")
        shutil.rmtree(os.path.join(self.path, "state"))
        self.expect_problem("directory", "state/data.mdb is missing")

    def test_what_a_crash_leaves_is_no_problem(self):
        os.mkdir(os.path.join(self.path, "creating"))
        os.mkdir(os.path.join(self.path, "snapshot.incoming"))
        open(os.path.join(self.path, "letter"), "w", encoding="utf-8").close()
        said = "\n".join(f[2] for f in self.look(0))
        for word in ("creating/", "of a snapshot cannot be told", "letter is not Holdfast's"):
            self.assertIn(word, said)

    def test_what_is_no_data_directory(self):
        with tempfile.TemporaryDirectory() as empty:
            self.assertEqual(doctor(f"--data-dir={empty}", expect=2), [])
        self.assertEqual(doctor(f"--data-dir={empty}", expect=2), [])
        self.assertEqual(doctor(f"--data-dir={self.path}", "--endpoints=localhost", expect=2), [])


class Online(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster(3, environment=CALM)

    def ask(self, expect, *nodes):
        return doctor("--endpoints=" + ",".join(node.url for node in nodes or self.cluster.nodes), expect=expect)

    def well(self):
        ran = subprocess.run([PROGRAM, "doctor", f"--endpoints={self.cluster.nodes[0].url}"],
                             capture_output=True, text=True, timeout=60)
        return ran.returncode == 0 and "nothing is wrong" in ran.stdout

    def test_a_cluster_that_is_well_then_one_node_is_gone_then_two(self):
        with self.cluster as cluster:
            leader = cluster.wait_ready()
            cluster.wait_applied()
            wait_for("one endpoint is enough to find that all is well", self.well)
            found = self.ask(0)
            self.assertIn(("ok", "quorum", "3 of 3 voters are there: 1 may fail; "), found)

            gone = cluster.followers()[0]
            gone.kill()
            found = wait_for("the leader does not hear it any more", lambda: self.when(
                gone.name, "the leader does not hear it", *cluster.running()))
            self.assertIn("one more failure stops the cluster", "".join(f[2] for f in found if f[1] == "quorum"))
            self.assertIn(("ok", "leader"), [f[:2] for f in found])

            leader.kill()
            found = self.ask(1)
            self.assertIn(("problem", "leader"), [f[:2] for f in found])
            self.assertIn("1 of 3 voters are there, 2 are needed",
                          "".join(f[2] for f in found if f[1] == "quorum"))
            for node in cluster.running():
                node.kill()
            self.ask(3)

    def when(self, name, words, *nodes):
        """All findings, once there is such a problem of that node."""
        ran = subprocess.run([PROGRAM, "doctor", "--output=json", f"--endpoints={nodes[0].url}"],
                             capture_output=True, text=True, timeout=60)
        found = [json.loads(line) for line in ran.stdout.splitlines()]
        hit = [f for f in found if f["severity"] == "problem" and f["about"] == name and words in f["finding"]]
        return hit and [(f["severity"], f["about"], f["finding"] + "; " + f.get("todo", "")) for f in found]


if __name__ == "__main__":
    main()

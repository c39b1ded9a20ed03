"""Backups: taken under load from any node, restored into a new cluster, refused when damaged; and
what one node that is left makes of a lost majority."""
import hashlib
import json
import os
import random
import shutil
import subprocess
import threading
import time
import unittest

from cluster import PATIENCE, PROGRAM, CALM, Cluster, main, wait_for
from load import Load
from test_members import Joiner, members


def run(*words, **more):
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True,
                          timeout=120 * PATIENCE, **more)


def backup(node, file, *flags):
    return run("backup", file, f"--endpoints={node.http_addr}", "--only-endpoints",
               "--output=json", *flags)


def restore(cluster, file):
    """For each node of a cluster that has not been started; what was said."""
    said = []
    for node in cluster.nodes:
        done = run("restore", file, *node.flags())
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        said.append(done.stdout)
    return said


def fill(node, keys, size=200):
    for i in range(0, keys, 100):
        operations = [{"type": "set", "key": f"fill/{k:06d}", "value": f"{k}" + "x" * size}
                      for k in range(i, min(keys, i + 100))]
        answer = node.request("POST", "/batch", json.dumps({"operations": operations}))
        assert answer.status == 200, answer


def all_data(node):
    """Every key with its value and all its numbers."""
    cursor, found = "", {}
    while True:
        page = node.request("GET", "/kv?limit=1000" + (f"&cursor={cursor}" if cursor else "")).json()
        for kv in page["kvs"]:
            found[kv["key"]] = (kv["value"], kv["revision"], kv["create_revision"], kv["version"])
        if not page["more"]:
            return found, page["revision"]
        cursor = page["cursor"]


class Backups(unittest.TestCase):
    def test_under_load_into_a_new_cluster(self):
        """What was acknowledged before the backup began is in it; the new cluster goes on from its
        revision; the same addresses give the same digest."""
        with Cluster(3, environment=CALM) as cluster:
            leader = cluster.wait_ready()
            fill(leader, 3000)
            file = os.path.join(cluster.directory, "backup.mdb")
            follower = cluster.followers()[0]
            with Load(cluster, writers=2) as load:
                load.wait_progress(20)
                before = {w.key(i): w.value(i) for w in load.writers for i in list(w.acknowledged)}
                taken = backup(follower, file)
                self.assertEqual(taken.returncode, 0, taken.stderr)
            told = json.loads(taken.stdout)
            with open(file, "rb") as data:
                self.assertEqual(hashlib.sha256(data.read()).hexdigest(), told["sha256"])
            check = subprocess.run(["sha256sum", "-c", "backup.mdb.sha256"], cwd=cluster.directory,
                                   capture_output=True)
            self.assertEqual(check.returncode, 0, check.stderr)
            shown = subprocess.run(["mdb_stat", "-n", "-s", "kv", file], capture_output=True, text=True)
            self.assertIn(f"Entries: {told['keys']}\n", shown.stdout)

            for node in cluster.nodes:
                node.stop()
            old = os.path.join(cluster.directory, "old")
            shutil.move(os.path.join(cluster.directory, "data"), old)
            said = restore(cluster, file)
            self.assertEqual(len({s[s.index("new cluster"):].split()[2] for s in said}), 1)
            # Alone a node elects nobody: its state is what the file holds.
            first = cluster.nodes[0].start()
            status = wait_for("the node answers", first.status)
            self.assertEqual((status["digest"], status["revision"], status["keys"], status["applied_index"]),
                             (told["digest"], told["revision"], told["keys"], told["index"]))
            for node in cluster.nodes[1:]:
                node.start()
            leader = cluster.wait_ready()
            data, _ = all_data(leader)
            for key, value in before.items():
                self.assertEqual(data[key][0].encode(), value)
            self.assertGreater(leader.status()["revision"], told["revision"])
            cluster.wait_applied()
            # A node of the old cluster is told off, though its name and address are right.
            cluster.nodes[2].stop()
            shutil.rmtree(cluster.nodes[2].data)
            shutil.copytree(os.path.join(old, cluster.nodes[2].name), cluster.nodes[2].data)
            cluster.nodes[2].start()
            wait_for("it is refused", lambda: "a peer refuses this node" in cluster.nodes[2].log())
            self.assertIsNone(cluster.nodes[2].status()["leader"])

    def test_other_addresses(self):
        """A cluster of other nodes, of another size: all data with all its numbers."""
        with Cluster(1) as cluster, Cluster(3, environment=CALM) as other:
            leader = cluster.wait_ready()
            fill(leader, 500)
            file = os.path.join(cluster.directory, "backup.mdb")
            told = backup(leader, file)
            self.assertEqual(told.returncode, 0, told.stderr)
            data, revision = all_data(leader)
            for node in other.nodes:
                node.kill()
                shutil.rmtree(node.data, ignore_errors=True)
            restore(other, file)
            for node in other.nodes:
                node.start()
            leader = wait_for("a leader", other.leader)
            found, found_revision = all_data(leader)
            self.assertEqual(found, data)
            self.assertEqual(found_revision, revision)
            other.wait_applied()
            digests = {node.status()["digest"] for node in other.nodes}
            self.assertEqual(len(digests), 1)
            other.nodes[0].kill()
            again = run("restore", file, *other.nodes[0].flags())
            self.assertEqual(again.returncode, 2)
            self.assertIn("holds a node already", again.stderr)

    def test_damaged_files_are_refused(self):
        """Bits flipped, cut off, another program's: nothing is touched, and a sentence says why."""
        with Cluster(1) as cluster:
            leader = cluster.wait_ready()
            fill(leader, 2000)
            good = os.path.join(cluster.directory, "good.mdb")
            self.assertEqual(backup(leader, good).returncode, 0)
            with open(good, "rb") as file:
                whole = file.read()
            bad = os.path.join(cluster.directory, "bad.mdb")
            flags = [f"--id=x", f"--data-dir={cluster.directory}/new", "--raft-addr=127.0.0.1:1",
                     "--http-addr=127.0.0.1:2"]

            def refused(content, with_sum):
                with open(bad, "wb") as file:
                    file.write(content)
                if with_sum:
                    shutil.copy(good + ".sha256", bad + ".sha256")
                elif os.path.exists(bad + ".sha256"):
                    os.remove(bad + ".sha256")
                done = run("restore", bad, *flags)
                self.assertNotIn(done.returncode, (0, -6, -7, -11), f"{done}")
                self.assertIn("bad.mdb", done.stderr)
                self.assertFalse(os.path.exists(os.path.join(cluster.directory, "new")))

            for _ in range(12):
                place = random.randrange(len(whole) * 8)
                flipped = bytearray(whole)
                flipped[place // 8] ^= 1 << place % 8
                refused(flipped, True)
            # Without the sum beside it: the checksums within find what is in a value.
            place = whole.index(b"1234xxxxxxxx") + 8
            refused(whole[:place] + b"y" + whole[place + 1:], False)
            for size in (0, 1, 4096, 8192, len(whole) // 2, len(whole) - 4096):
                refused(whole[:size], False)
            refused(b"not LMDB at all" * 1000, False)
            foreign = os.path.join(cluster.directory, "foreign")
            os.mkdir(foreign)
            subprocess.run(["mdb_load", "-n", os.path.join(foreign, "f.mdb")], input="VERSION=3\nformat="
                           "bytevalue\ntype=btree\nHEADER=END\n 61\n 62\nDATA=END\n", text=True, check=True)
            with open(os.path.join(foreign, "f.mdb"), "rb") as file:
                refused(file.read(), False)
            os.mkdir(os.path.join(cluster.directory, "new"))
            os.mkdir(os.path.join(cluster.directory, "new", "x"))
            with open(os.path.join(cluster.directory, "new", "x", "letter"), "w") as file:
                file.write("mine")
            done = run("restore", good, *flags)
            self.assertEqual(done.returncode, 2)
            self.assertIn("letter", done.stderr)

    def test_a_file_that_is_there(self):
        with Cluster(1) as cluster:
            leader = cluster.wait_ready()
            file = os.path.join(cluster.directory, "a.mdb")
            self.assertEqual(backup(leader, file).returncode, 0)
            refused = backup(leader, file)
            self.assertEqual(refused.returncode, 2)
            self.assertIn("--force", refused.stderr)
            leader.put("more", b"1")
            self.assertEqual(backup(leader, file, "--force").returncode, 0)
            out = subprocess.run([PROGRAM, "backup", "-", f"--endpoints={leader.http_addr}"],
                                 capture_output=True)
            with open(file, "rb") as data:
                self.assertEqual(out.stdout, data.read())
            self.assertEqual(sorted(os.listdir(cluster.directory)),
                             ["a.mdb", "a.mdb.sha256", "data", "node1.log"])
            leader.kill()
            gone = backup(leader, os.path.join(cluster.directory, "b.mdb"), "--timeout=1s")
            self.assertEqual(gone.returncode, 3)
            self.assertFalse(os.path.exists(os.path.join(cluster.directory, "b.mdb.part")))

    def test_slow_and_lost_readers(self):
        """A reader that takes its time pins little, hinders no write, and nobody else's copy is made
        meanwhile; one that goes away leaves nothing behind."""
        with Cluster(1) as cluster:
            leader = cluster.wait_ready()
            for i in range(40):
                self.assertEqual(leader.put(f"big/{i}", os.urandom(1000 * 1000)).status, 200)
            folder = os.path.join(leader.data, "snapshot")
            slow = leader.connect(30)
            slow.http.request("GET", "/snapshot")
            answer = slow.http.getresponse()
            self.assertEqual(answer.status, 200)
            answer.read(100000)
            held = leader.request("GET", "/stats").json()["connections"]["bytes_held"]
            self.assertLessEqual(held, 1024 * 1024)
            self.assertEqual(leader.put("small", b"1").status, 200)
            second = leader.request("GET", "/snapshot")
            self.assertEqual((second.status, second.code(), second.headers["Retry-After"]),
                             (429, "overloaded", "1"))
            self.assertEqual(len(os.listdir(folder)), 1)
            answer.close()
            slow.close()
            wait_for("the copy is removed", lambda: os.listdir(folder) == [])
            wait_for("the next may be taken",
                     lambda: leader.request("GET", "/snapshot", timeout=60).status == 200)

    def test_the_node_dies_meanwhile(self):
        """The file does not appear; a cluster's other node gives it."""
        with Cluster(3, environment=CALM) as cluster:
            leader = cluster.wait_ready()
            fill(leader, 5000, 2000)
            follower = cluster.followers()[0]
            file = os.path.join(cluster.directory, "b.mdb")
            connection = follower.connect(30)
            connection.http.request("GET", "/snapshot")
            answer = connection.http.getresponse()
            answer.read(1000)
            follower.kill()
            with self.assertRaises(Exception):
                if len(answer.read()) + 1000 < int(answer.headers["Content-Length"]):
                    raise EOFError
            done = run("backup", file, "--endpoints=" + ",".join(n.http_addr for n in cluster.nodes))
            self.assertEqual(done.returncode, 0, done.stderr)
            follower.start()
            cluster.wait_ready()


class LostMajority(unittest.TestCase):
    def test_one_of_three_goes_on(self):
        """All that the node had is there; a new one joins; who comes back from the dead is refused."""
        with Cluster(3, environment=CALM) as cluster:
            leader = cluster.wait_ready()
            fill(leader, 300)
            cluster.wait_applied()
            data, _ = all_data(leader)
            survivor, *others = cluster.nodes
            flags, old_flags = survivor.flags(), others[0].flags()
            for node in cluster.nodes:
                node.kill()
            asked = run("recover", *flags, stdin=subprocess.DEVNULL)
            self.assertEqual(asked.returncode, 2)
            self.assertIn("IS LOST", asked.stdout)
            for _ in range(2):
                done = run("recover", "--yes", *flags)
                self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("already", done.stdout)
            survivor.launch([PROGRAM, "server", *flags])  # that it always had
            wait_for("it leads", lambda: (survivor.status() or {}).get("state") == "leader")
            found, _ = all_data(survivor)
            self.assertEqual({k: found[k] for k in data}, data)
            self.assertEqual(survivor.put("new", b"1").status, 200)
            cluster.nodes = [survivor]
            joined = Joiner(cluster, "node4").start()
            cluster.nodes = [survivor, joined]
            wait_for("it is a voter", lambda: (members(cluster) or {}).get(joined.name) == "voter", 60)
            self.assertEqual(all_data(joined)[0]["new"][0], "1")
            ghost = others[0].launch([PROGRAM, "server", *old_flags])
            cluster.nodes.append(ghost)
            wait_for("it is refused", lambda: "a peer refuses this node" in ghost.log())
            self.assertIsNone(ghost.status()["leader"])
            self.assertEqual(survivor.put("still", b"1").status, 200)


class Quota(unittest.TestCase):
    QUOTA = 4 * 1024 * 1024

    def test_writes_end_and_deletes_go_on(self):
        """At the quota writes are refused and deletes are not; after deletes the alarm goes by itself."""
        with Cluster(3, f"--quota={self.QUOTA}", "--flush-interval=50ms", environment=CALM) as cluster:
            leader = cluster.wait_ready()
            follower = cluster.followers()[0]
            value, written, answer = b"v" * 50000, 0, None
            while written < 500:
                answer = leader.put(f"q/{written}", value)
                if answer.status != 200:
                    break
                written += 1
            self.assertEqual((answer.status, answer.code(), answer.outcome()),
                             (503, "no_space", "not_applied"))
            self.assertIn(str(self.QUOTA), answer.json()["error"]["message"])
            # What waits for the state file is counted twice, and then lies there once.
            def fill_up():
                nonlocal written
                while leader.put(f"q/{written}", value).status == 200:
                    written += 1
                stats = leader.request("GET", "/stats").json()["state"]
                return stats["used_bytes"] > self.QUOTA * 0.9 and \
                    leader.status()["alarms"] == ["no_space", "quota"]
            wait_for("the quota is used up", fill_up, 30, 0.2)
            stats = leader.request("GET", "/stats").json()["state"]
            self.assertEqual(stats["quota_bytes"], self.QUOTA)
            self.assertLess(stats["used_bytes"], self.QUOTA * 1.1)
            self.assertEqual(follower.put("q/other", value).code(), "no_space")
            self.assertEqual(follower.get("q/0").body, value)
            self.assertEqual(leader.request("DELETE", "/kv/q/0").status, 200)
            self.assertEqual(leader.request("DELETE", "/kv?prefix=q/").status, 200)
            wait_for("the alarm is over", lambda: leader.status()["alarms"] == [])
            self.assertEqual(leader.put("again", value).status, 200)


if __name__ == "__main__":
    main()

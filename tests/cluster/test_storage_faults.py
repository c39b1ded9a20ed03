"""Disks that fail, fill up or change what they keep; directories that are not what they should be.

A node may end of it, with the status that holdfast-server(8) names; what it acknowledged stays true,
and what is damaged is never served.

HOLDFAST_DISK_ROUNDS: how many of the kinds of failing writes (4; all in check-long)."""
import errno
import itertools
import os
import shutil
import subprocess
import time
import unittest

import chaos_disk as disk
from chaos_cluster import ChaosCluster, seeded, some_of
from cluster import PATIENCE, SEED, main, number, wait_for
from load import Load

CORRUPT, IO, REFUSED = 65, 74, 77
CALLS = {"flush": disk.CALL_SYNC, "pages": disk.CALL_PAGES, "meta page": disk.CALL_META}
FILES = {"log": disk.FILE_LOG, "state": disk.FILE_STATE}
HOWS = {"EIO": (errno.EIO, False), "ENOSPC": (errno.ENOSPC, False), "short write": (errno.EIO, True)}
KINDS = [kind for kind in itertools.product(CALLS, FILES, HOWS) if kind[::2] != ("flush", "short write")]


def ended(node, seconds=20):
    """Its exit status."""
    node.ended_by_us = True
    return node.process.wait(seconds * PATIENCE)


class FailingWrites(unittest.TestCase):
    """One node alone, so that nobody else can make good for it."""

    def test_each_ends_the_node_and_nothing_of_it_was_acknowledged(self):
        rng = seeded(SEED, "disk")
        kinds = some_of(rng, KINDS, number("HOLDFAST_DISK_ROUNDS", 4))
        with ChaosCluster(1, "--flush-interval=100ms") as cluster:
            node = cluster.wait_ready()
            node.faults.set(disk.UNDO, 1)
            with Load(cluster, writers=3) as load:
                for call, file, how in kinds:
                    load.wait_progress(30)
                    code, short = HOWS[how]
                    node.faults.fail(CALLS[call], FILES[file], code, rng.randrange(3), short)
                    with self.subTest(call=call, file=file, how=how):
                        self.assertEqual(ended(node), IO, node.log()[-500:])
                        # The loop may still log a line, or, when a state page has failed,
                        # find that it cannot be read before the writer can say so.
                        words = [line for line in node.log().strip().split("\n")[-5:]
                                 if f"exit={IO}" in line]
                        self.assertTrue(words, node.log()[-500:])
                        if "the state cannot be read" not in words[-1]:
                            self.assertIn("nothing of this write was acknowledged", words[-1])
                            self.assertIn(f"{node.data}/{file}", words[-1])
                    node.faults.calm()
                    # The disk has lost what it refused, and what was on its way.
                    node.lose_power(rng, 1.0)
                    node.start()
            cluster.wait_ready()
            load.verify(self)
        print("failed:", ", ".join(" ".join(kind) for kind in kinds))


class Damage(unittest.TestCase):
    """A bit flips in what a stopped node keeps."""

    def flip(self, node, name, text):
        """In every copy of the text: LMDB leaves older copies of pages."""
        path = os.path.join(node.data, name, "data.mdb")
        with open(path, "r+b") as file:
            content = file.read()
            at, copies = content.find(text), 0
            while at >= 0:
                os.pwrite(file.fileno(), bytes([content[at] ^ 1]), at)
                at, copies = content.find(text, at + 1), copies + 1
        self.assertGreater(copies, 0, f"{text!r} is in {path}")

    def stops_for_it(self, node, *says):
        self.assertEqual(ended(node), CORRUPT, node.log()[-700:])
        for word in says:
            self.assertIn(word, "".join(node.log().splitlines(True)[-3:]))

    def others_go_on(self, cluster, damaged):
        cluster.wait_ready()
        for node in cluster.running():
            self.assertIsNot(node, damaged)
            for i in range(20):
                self.assertEqual(node.get(f"key{i}").body, b"value-%04d" % i)

    def fill(self, leader):
        """Key i is entry `first` + i, when nothing else writes."""
        wait_for("the members are announced", lambda: all(
            member["name"] for member in leader.request("GET", "/cluster/info").json()["members"]
            if member["last_contact_ms"] is not None or member["self"]))
        self.first = leader.status()["log_last_index"] + 1
        for i in range(20):
            self.assertEqual(leader.put(f"key{i}", b"value-%04d" % i).status, 200)

    def test_a_log_entry_that_is_to_be_applied(self):
        """Killed before its state was written, it must replay the damaged entry."""
        with ChaosCluster(3, "--flush-interval=60s") as cluster:
            leader = cluster.wait_ready()
            self.fill(leader)
            cluster.wait_applied()
            node = cluster.followers()[0]
            node.kill()
            index = self.first + 13
            self.flip(node, "log", b"value-0013")
            node.start()
            self.stops_for_it(node, f"log entry {index} ")
            self.others_go_on(cluster, node)

    def test_a_log_entry_that_another_needs(self):
        """It is neither sent nor cut off; who has it whole sends it later."""
        with ChaosCluster(3, "--flush-interval=100ms") as cluster:
            cluster.wait_ready()
            damaged, behind, whole = cluster.nodes
            behind.kill()
            self.fill(cluster.wait_leader())
            cluster.wait_applied()
            index = self.first + 7
            whole.kill()
            damaged.stop()
            self.flip(damaged, "log", b"value-0007")
            before = os.path.getsize(os.path.join(damaged.data, "log", "data.mdb"))
            damaged.start()
            behind.start()
            self.stops_for_it(damaged, f"log entry {index} ")
            self.assertEqual(os.path.getsize(os.path.join(damaged.data, "log", "data.mdb")), before)
            self.assertEqual(behind.get("key7", "?raw&consistency=stale").status, 404, "it was not sent")
            whole.start()
            self.others_go_on(cluster, damaged)

    def test_a_value_of_the_state(self):
        """A read at the damaged node is never answered with it."""
        for consistency in ("stale", "linearizable"):
            with self.subTest(consistency=consistency), \
                 ChaosCluster(3, "--flush-interval=100ms") as cluster:
                self.fill(cluster.wait_ready())
                cluster.wait_applied()
                node = cluster.followers()[0]
                self.assertEqual(node.stop(), 0)
                self.flip(node, "state", b"value-0011")
                node.start()
                cluster.wait_ready()
                self.assertEqual(node.get("key3", f"?raw&consistency={consistency}").body, b"value-0003")
                try:
                    answer = node.get("key11", f"?raw&consistency={consistency}")
                    self.assertEqual((answer.status, answer.code()), (500, "internal"))
                except OSError:
                    pass # it ended before it could answer
                self.stops_for_it(node, "key11")
                self.others_go_on(cluster, node)

    def test_a_list_with_a_damaged_value(self):
        with ChaosCluster(1, "--flush-interval=100ms") as cluster:
            self.fill(cluster.wait_ready())
            node = cluster.nodes[0]
            self.assertEqual(node.stop(), 0)
            self.flip(node, "state", b"value-0011")
            node.start()
            cluster.wait_ready()
            try:
                answer = node.request("GET", "/kv?prefix=key")
                self.assertEqual((answer.status, answer.code()), (500, "internal"))
            except OSError:
                pass
            self.stops_for_it(node, "key11")


class Full(unittest.TestCase):
    """Too little room: writes are refused in time, all else goes on, and they come back."""
    VALUE = b"v" * 500_000

    def fill(self, node, writes=2000):
        """As fast as it goes, until three in a row are refused; returns how many were taken."""
        taken, refused = 0, 0
        for i in range(writes):
            answer = node.put(f"big{i:04d}", self.VALUE)
            if answer.status == 200:
                taken, refused = taken + 1, 0
                continue
            self.assertEqual((answer.status, answer.code(), answer.outcome()),
                             (503, "no_space", "not_applied"))
            self.assertIn("Retry-After", answer.headers)
            refused += 1
            if refused == 3 and taken > 20:
                return taken
            wait_for("what waits in memory is stored", lambda: node.put("small", b"x").status == 200
                     or "no_space" in node.status()["alarms"], 5)
        raise AssertionError(f"{taken} of {writes} large writes were taken, and none was refused")

    def reads_and_deletes_go_on(self, node):
        self.assertEqual(node.get("big0001").body, self.VALUE)
        self.assertIn("no_space", node.status()["alarms"])
        self.assertEqual(node.request("DELETE", "/kv/big0000").status, 200)
        self.assertEqual(node.get("big0000").status, 404)

    def takes_writes_again(self, node):
        wait_for("writes are taken again", lambda: node.put("again", b"x").status == 200, 15)
        self.assertEqual(node.status()["alarms"], [])

    def test_map_of_the_state(self):
        with ChaosCluster(3, "--state-map-size=64MiB", "--flush-interval=200ms") as cluster:
            leader = cluster.wait_ready()
            self.fill(leader)
            self.reads_and_deletes_go_on(leader)
            leader.kill()
            leader.start()
            leader = cluster.wait_leader()
            wait_for("a new leader serves reads",
                     lambda: leader.get("big0001", timeout=2).body == self.VALUE)
            self.assertEqual(leader.request("DELETE", "/kv?prefix=big").status, 200)
            self.takes_writes_again(leader)
            self.assertEqual(len(cluster.running()), 3, "no node ended")

    def test_map_of_the_log(self):
        with ChaosCluster(1, "--log-map-size=64MiB", "--flush-interval=200ms") as cluster:
            node = cluster.wait_ready()
            refused, written = 0, 0
            while written < 400: # four times what the map holds, over the same few keys
                answer = node.put(f"big{written % 8:04d}", self.VALUE)
                if answer.status == 200:
                    written += 1
                    continue
                self.assertEqual(answer.code(), "no_space", answer)
                self.assertEqual(answer.outcome(), "not_applied")
                refused += 1
                self.assertLess(refused, 2000, "a full log makes room by itself")
                time.sleep(0.01)
            print(f"{written} writes of {len(self.VALUE)} bytes went through a log of 64 MiB, "
                  f"{refused} were told to come again")
            self.takes_writes_again(node)
            status = node.status()
            self.assertGreater(status["log_first_index"], 300)
            node.kill()
            node.start()
            cluster.wait_ready()
            self.assertEqual(node.get("big0001").body, self.VALUE)

    def test_disk(self):
        with ChaosCluster(1, "--flush-interval=200ms") as cluster:
            node = cluster.nodes[0]
            wait_for("it runs", node.status)
            self.assertEqual(node.stop(), 0)
            data = os.path.dirname(node.data)
            shutil.rmtree(data)
            os.mkdir(data)
            if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "none", data],
                              stderr=subprocess.DEVNULL, check=False).returncode != 0:
                self.skipTest("a small disk cannot be mounted: needs root")
            try:
                node.start()
                cluster.wait_ready()
                self.fill(node)
                self.reads_and_deletes_go_on(node)
                subprocess.run(["mount", "-o", "remount,size=400m", data], check=True)
                self.takes_writes_again(node)
                self.assertEqual(node.get("big0001").body, self.VALUE)
                node.kill()
            finally:
                if node.running():
                    node.kill()
                subprocess.run(["umount", data], check=True)


class Directories(unittest.TestCase):
    def test_another_members_directory(self):
        with ChaosCluster(3) as cluster:
            cluster.wait_ready()
            a, b = cluster.followers()
            self.assertEqual((a.stop(), b.stop()), (0, 0))
            shutil.rmtree(a.data)
            shutil.copytree(b.data, a.data)
            b.start()
            a.start()
            self.assertEqual(ended(a), 2)
            self.assertIn("belongs to the node named " + b.name, a.log().strip().split("\n")[-1])
            cluster.wait_ready()

    def test_an_old_copy(self):
        """It has forgotten what it acknowledged, so it is not the same voter any more: while the leader
        that knows it runs, it is refused, for good, and nobody has lost anything.  (What an old copy
        forgot and nobody else knows is lost; hence holdfast-server(8) forbids to restore one.)"""
        with ChaosCluster(3) as cluster:
            cluster.wait_ready()
            cluster.wait_applied()
            old = cluster.followers()[0]
            self.assertEqual(old.stop(), 0)
            shutil.copytree(old.data, old.data + ".old")
            old.start()
            leader = cluster.wait_ready()
            for i in range(50):
                self.assertEqual(leader.put(f"key{i}", b"new").status, 200)
            cluster.wait_applied()
            old.kill()
            shutil.rmtree(old.data)
            shutil.copytree(old.data + ".old", old.data)
            for _ in range(2): # also when it is started again
                old.start()
                self.assertEqual(ended(old), REFUSED, old.log()[-500:])
                said = old.log().strip().split("\n")[-1]
                self.assertIn("was acknowledged here", said)
                self.assertIn("replace the member", said)
            # The others go on, and what the directory really held is still good.
            leader = cluster.wait_ready()
            for node in cluster.running():
                for i in range(50):
                    self.assertEqual(node.get(f"key{i}").body, b"new")


if __name__ == "__main__":
    main()

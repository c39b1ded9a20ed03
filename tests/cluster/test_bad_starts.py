"""What keeps a node from starting is said in one sentence, with exit status 2; and nodes whose
members differ, or whose directory was wiped, are noticed on both sides."""
import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import unittest

from cluster import PATIENCE, PROGRAM, Cluster, main, wait_for


def start_in_vain(*flags, environment=None, preexec=None):
    """Runs a server that must not start; returns its exit status and what it said."""
    ran = subprocess.run([PROGRAM, "server", *flags], capture_output=True, text=True,
                         timeout=20 * PATIENCE, env={**os.environ, **(environment or {})},
                         preexec_fn=preexec)
    return ran.returncode, ran.stderr


class OneSentence(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="holdfast-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        # Nothing here gets so far as to listen; port 1 needs no care.
        self.base = ["--http-addr=127.0.0.1:1", "--raft-addr=127.0.0.1:2", f"--data-dir={self.folder}"]

    def refused(self, *flags, says, environment=None, status=2):
        code, said = start_in_vain(*flags, environment=environment)
        self.assertEqual(code, status, said)
        self.assertEqual(said.count("\n"), 1, f"one line: {said}")
        self.assertTrue(said.startswith("holdfast: "), said)
        self.assertIn(says, said)

    def test_flags(self):
        self.refused("--idd=x", says="did you mean --id?")
        self.refused("-raft-adr=localhost:1", says="did you mean --raft-addr?")
        self.refused("--zzz", says="there is no flag --zzz")
        self.refused("--id", says="needs a value")
        self.refused("--id=a b", says="no name for a node")
        self.refused("--election-timeout=fast", says="150-300ms")
        self.refused("--heartbeat-interval=1s", says="election timeout")
        self.refused("--peers=localhost:1,localhost:1", says="named twice")
        self.refused("--http-addr=localhost", says="--http-addr")
        self.refused("--http-addr=localhost:99999", says="--http-addr")
        self.refused("--storage=floppy", says="lmdb, memory")
        self.refused("now", says="flags only")

    def test_configuration_file(self):
        path = os.path.join(self.folder, "c.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write("# fine\nid = n1\nelection-timout = 1s\n")
        self.refused(f"--config={path}", says=f"{path}:3: there is no option election-timout; "
                                              "did you mean election-timeout?")
        self.refused(f"--config={self.folder}/none", says="No such file")
        self.refused(*self.base, says="HOLDFAST_LOG_LEVEL: log-level:",
                     environment={"HOLDFAST_LOG_LEVEL": "shout"})

    def test_address_of_nobody_here(self):
        self.refused(f"--data-dir={self.folder}", "--http-addr=192.0.2.1:8001", "--raft-addr=127.0.0.1:9",
                     says="192.0.2.1:8001")

    def test_address_that_is_taken(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            taken = f"127.0.0.1:{other.getsockname()[1]}"
            for flag in ("--http-addr", "--raft-addr"):
                flags = {"--http-addr": "127.0.0.1:0", "--raft-addr": "127.0.0.1:0"}
                with socket.socket() as free:
                    free.bind(("127.0.0.1", 0))
                    flags = dict.fromkeys(flags, f"127.0.0.1:{free.getsockname()[1]}")
                flags[flag] = taken
                self.refused(*(f"{name}={value}" for name, value in flags.items()),
                             f"--data-dir={self.folder}", says=f"{flag}: the address {taken} is taken")
            self.assertEqual(os.listdir(self.folder), [], "nothing was left behind")

    def free_addresses(self):
        with socket.socket() as a, socket.socket() as b:
            a.bind(("127.0.0.1", 0))
            b.bind(("127.0.0.1", 0))
            return [f"--http-addr=127.0.0.1:{a.getsockname()[1]}",
                    f"--raft-addr=127.0.0.1:{b.getsockname()[1]}"]

    def test_data_directory_that_cannot_be(self):
        self.refused(*self.free_addresses(), "--data-dir=/proc/holdfast", says="/proc/holdfast")
        path = os.path.join(self.folder, "file")
        with open(path, "w", encoding="utf-8") as file:
            file.write("x")
        self.refused(*self.free_addresses(), f"--data-dir={path}", says=path)

    def test_data_directory_that_is_not_ours(self):
        os.mkdir(os.path.join(self.folder, "node1"))
        with open(os.path.join(self.folder, "node1", "letter.txt"), "w", encoding="utf-8") as file:
            file.write("dear diary")
        self.refused(*self.free_addresses(), f"--data-dir={self.folder}", says=f"{self.folder}/node1")
        self.assertTrue(os.path.exists(os.path.join(self.folder, "node1", "letter.txt")))

    def test_read_only_data_directory(self):
        os.chmod(self.folder, 0o500)
        if os.access(os.path.join(self.folder), os.W_OK):
            self.skipTest("root writes everywhere")
        self.refused(*self.free_addresses(), f"--data-dir={self.folder}", says=self.folder)

    def test_full_disk(self):
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", self.folder],
                                 capture_output=True, check=False).returncode == 0
        if not mounted:
            self.skipTest("no small disk can be mounted here")
        try:
            with contextlib.suppress(OSError):
                with open(os.path.join(self.folder, "filler"), "wb", buffering=0) as file:
                    while file.write(b"x" * 4096):
                        pass
            self.refused(*self.free_addresses(), f"--data-dir={self.folder}", says=self.folder)
        finally:
            subprocess.run(["umount", self.folder], check=False)


class OfAnotherNode(unittest.TestCase):
    def test_in_use(self):
        with Cluster(1) as cluster:
            node = cluster.wait_ready()
            http, raft = cluster.ports.take(), cluster.ports.take()
            code, said = start_in_vain("--id=node1", f"--data-dir={cluster.directory}/data",
                                       f"--http-addr=127.0.0.1:{http}", f"--raft-addr=127.0.0.1:{raft}")
            self.assertEqual(code, 2, said)
            self.assertIn(f"{cluster.directory}/data/node1", said)
            self.assertIn("in use", said)
            self.assertEqual(node.put("k", b"v").status, 200, "the first goes on")

    def test_another_nodes_and_another_clusters(self):
        with Cluster(1) as cluster:
            node = cluster.wait_ready()
            node.kill()
            other = cluster.ports.take()
            base = ["--id=node1", f"--data-dir={cluster.directory}/data", f"--http-addr={node.http_addr}"]
            code, said = start_in_vain(*base, f"--raft-addr=127.0.0.1:{other}")
            self.assertEqual(code, 2, said)
            self.assertIn(node.raft_addr, said, "it names whose directory it is")
            self.assertIn(f"127.0.0.1:{other}", said, "and who asked for it")
            code, said = start_in_vain(*base, f"--raft-addr={node.raft_addr}", f"--peers=127.0.0.1:{other}")
            self.assertEqual(code, 2, said)
            self.assertIn(f"127.0.0.1:{other}", said, "it names the members that differ")
            node.start()
            cluster.wait_ready()

    def test_unequal_peers_are_noticed_on_both_sides(self):
        with Cluster(3) as cluster:
            cluster.wait_ready()
            # A follower comes back as a node of a cluster that the others do not know of.
            stranger = cluster.followers()[0]
            first, second = (node for node in cluster.nodes if node is not stranger)
            stranger.kill()
            shutil.rmtree(stranger.data)
            odd = cluster.ports.take()
            stranger.launch([PROGRAM, "server"] + [flag if not flag.startswith("--peers=") else
                                                   f"--peers={first.raft_addr},127.0.0.1:{odd}"
                                                   for flag in stranger.flags()])
            wait_for("the stranger is told what its members should be", lambda:
                     f"127.0.0.1:{odd}" in stranger.log() and second.raft_addr in stranger.log()
                     and "another cluster" in stranger.log() + first.log())
            wait_for("the members see it too", lambda: "another cluster" in first.log())
            self.assertEqual(first.put("k", b"v").status, 200, "the cluster goes on")

    def test_memory_storage_forgets_and_is_refused(self):
        with Cluster(3, "--storage=memory") as cluster:
            cluster.wait_ready()
            cluster.wait_applied()
            follower = cluster.followers()[0]
            self.assertIn("nothing survives", follower.log())
            self.assertFalse(os.path.exists(follower.data))
            self.assertEqual(follower.put("k", b"v").status, 200)
            self.assertEqual(follower.status()["storage"], "memory")
            follower.kill()
            follower.start()
            self.assertEqual(follower.process.wait(20 * PATIENCE), 77)

    def test_a_wiped_directory_is_refused(self):
        with Cluster(3) as cluster:
            cluster.wait_ready()
            cluster.wait_applied()
            wiped = cluster.followers()[0]
            wiped.kill()
            shutil.rmtree(wiped.data)
            wiped.start()
            self.assertEqual(wiped.process.wait(20 * PATIENCE), 77)
            self.assertIn("replace the member", wiped.log())
            self.assertEqual(cluster.wait_leader().put("k", b"v").status, 200, "the cluster goes on")


if __name__ == "__main__":
    main()

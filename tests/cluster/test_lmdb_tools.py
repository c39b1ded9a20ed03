"""The files can be looked at with LMDB's own tools while the node runs."""
import shutil
import subprocess
import unittest

from cluster import SharedCluster, main


@unittest.skipUnless(shutil.which("mdb_stat"), "lmdb-utils are not installed")
class LmdbTools(SharedCluster):
    NODES = 1

    def tool(self, *command):
        ran = subprocess.run(command, capture_output=True, text=True, timeout=30)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return ran.stdout

    def test_mdb_stat_on_a_running_node(self):
        data = self.cluster.nodes[0].data
        self.assertIn("Status of log", self.tool("mdb_stat", "-a", data + "/log"))
        self.assertIn("Status of kv", self.tool("mdb_stat", "-a", data + "/state"))

    def test_term_and_vote_are_readable_text(self):
        node = self.cluster.nodes[0]
        lines = self.tool("mdb_dump", "-p", "-s", "meta", node.data + "/log").splitlines()
        words = [line.strip() for line in lines[lines.index("HEADER=END") + 1:-1]]
        meta = dict(zip(words[::2], words[1::2]))
        status = node.status()
        self.assertEqual(meta["term"], str(status["term"]))
        self.assertEqual(meta["vote"], status["id"], "it voted for itself")
        self.assertEqual((meta["name"], meta["raft_addr"]), (node.name, node.raft_addr))

    def test_the_node_goes_on_serving(self):
        node = self.cluster.nodes[0]
        self.assertEqual(node.put("after", b"x").status, 200)
        self.assertEqual(node.get("after").body, b"x")


if __name__ == "__main__":
    main()

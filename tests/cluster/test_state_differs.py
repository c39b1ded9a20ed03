"""A node that has come to other data than the others, on real processes: it says so, serves nobody,
does not lead, also after a restart; the others go on, with its vote."""
import os
import subprocess
import unittest

from cluster import CALM, Cluster, main, wait_for

LOSE_KEY = os.path.join(os.environ.get("top_builddir", "."), "tests", "cluster", "lose-key")


class StateDiffers(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster(3, environment=CALM)

    def agreed(self):
        """All that run have the same digest at the same index, and no alarm."""
        def same():
            said = [node.status() for node in self.cluster.running()]
            return all(said) and not any(s["alarms"] for s in said) and \
                len({(s["applied_index"], s["digest"]) for s in said}) == 1
        wait_for("all nodes tell the same digest", same)

    def lose(self, node, key):
        """The node is stopped, its state altered, and it is started again."""
        self.assertEqual(node.stop(), 0)
        subprocess.run([LOSE_KEY, node.data, key], check=True, timeout=30, stderr=subprocess.DEVNULL)
        node.start()

    def expect_alarm(self, node):
        wait_for(f"{node.name} finds that its data differs",
                 lambda: "state_differs" in (node.status() or {"alarms": ()})["alarms"])
        self.expect_no_service(node)
        self.assertIn("the data of this node differs", node.log())

    def expect_no_service(self, node):
        for query in ("?raw", "?raw&consistency=lease", "?raw&consistency=stale"):
            answer = node.get("kept", query)
            self.assertEqual((answer.status, answer.code()), (503, "state_differs"), answer)
        for answer in (node.put("new", b"x"), node.request("GET", "/kv?consistency=stale"),
                       node.request("DELETE", "/kv/kept")):
            self.assertEqual((answer.status, answer.code()), (503, "state_differs"), answer)
            self.assertTrue(answer.json()["error"]["hint"])
        self.assertEqual(node.request("GET", "/health").json()["code"], "state_differs")
        ready = node.request("GET", "/readyz")
        self.assertEqual((ready.status, b"[-]state differs" in ready.body), (503, True), ready)
        self.assertNotEqual(node.status()["state"], "leader")

    def expect_service(self, node):
        self.assertEqual(node.put("kept", b"v").status, 200)
        self.assertEqual(node.get("kept").body, b"v")

    def test_a_follower_that_lost_a_key(self):
        with self.cluster as cluster:
            leader = cluster.wait_ready()
            for key in ("kept", "lost"):
                self.assertEqual(leader.put(key, b"v").status, 200)
            cluster.wait_applied()
            self.agreed()
            odd, other = cluster.followers()
            self.lose(odd, "lost")
            self.expect_alarm(odd)
            self.expect_service(leader)
            self.expect_service(other)

            self.assertEqual(odd.stop(), 0)
            odd.start()
            wait_for("it answers", odd.status)
            self.expect_no_service(odd)

            # With one down, nothing goes without the odd one's log and vote.
            leader.kill()
            self.assertIs(cluster.wait_leader(), other)
            wait_for("the last one serves", lambda: other.put("kept", b"v").status == 200)
            self.expect_service(other)
            self.expect_no_service(odd)
            leader.start()
            wait_for("the first one serves", lambda: leader.status() and leader.put("kept", b"v").status == 200)

    def test_a_leader_that_lost_a_key(self):
        with self.cluster as cluster:
            leader = cluster.wait_ready()
            self.assertEqual(leader.put("kept", b"v").status, 200)
            self.assertEqual(leader.put("lost", b"v").status, 200)
            cluster.wait_applied()
            self.agreed()
            for node in cluster.nodes:  # all down, so that who is odd may lead again
                self.assertEqual(node.stop(), 0)
            subprocess.run([LOSE_KEY, leader.data, "lost"], check=True, timeout=30,
                           stderr=subprocess.DEVNULL)
            for node in cluster.nodes:
                node.start()
            self.expect_alarm(leader)
            others = [node for node in cluster.nodes if node is not leader]
            wait_for("another one leads", lambda: cluster.leader() in others)
            for node in others:
                self.expect_service(node)
            self.expect_no_service(leader)
            for key in ("kept", "lost"):
                self.assertEqual(others[0].get(key).body, b"v")


if __name__ == "__main__":
    main()

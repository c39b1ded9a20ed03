"""An orderly stop: the leader hands over, what is on its way is answered, nothing is lost."""
import signal
import time
import unittest

from cluster import Cluster, main, wait_for
from load import Load


class Stop(unittest.TestCase):
    def test_a_leader_hands_over(self):
        with Cluster(3) as cluster:
            leader = cluster.wait_ready()
            with Load(cluster) as load:
                load.wait_progress(100)
                self.assertEqual(leader.stop(), 0)
                self.assertIn("stopped", leader.log())
                load.wait_progress(100)
                leader.start()
                load.wait_progress(100)
            cluster.wait_ready()
            load.verify(self)

    def test_a_stopped_node_needs_no_replay(self):
        with Cluster(1) as cluster:
            node = cluster.wait_ready()
            self.assertEqual(node.put("k", b"v").status, 200)
            applied = node.status()["applied_index"]
            self.assertEqual(node.stop(), 0)
            node.start()
            cluster.wait_ready()
            self.assertIn(f"applied={applied} ", node.log().split("stopped")[1])
            self.assertEqual(node.get("k").body, b"v")

    def test_sigint_is_an_orderly_stop_too(self):
        with Cluster(1) as cluster:
            node = cluster.wait_ready()
            node.process.send_signal(signal.SIGINT)
            self.assertEqual(node.process.wait(20), 0)

    def test_a_second_signal_ends_at_once(self):
        with Cluster(3, "--stop-timeout=60s") as cluster:
            leader = cluster.wait_ready()
            for node in cluster.nodes:
                if node is not leader:
                    node.kill()
            # It cannot hand over to anybody, so an orderly stop would take its full minute, or
            # until it notices that it leads nobody.
            leader.process.send_signal(signal.SIGTERM)
            wait_for("it began to stop", lambda: "stopping" in leader.log())
            began = time.monotonic()
            leader.process.send_signal(signal.SIGTERM)
            self.assertEqual(leader.process.wait(20), 0)
            self.assertLess(time.monotonic() - began, 5)

    def test_a_node_without_its_cluster_stops_in_time(self):
        with Cluster(3, "--stop-timeout=1s") as cluster:
            alone = cluster.wait_ready()
            for node in cluster.nodes:
                if node is not alone:
                    node.kill()
            self.assertEqual(alone.stop(), 0)

    def test_sighup_reads_the_log_level_anew(self):
        with Cluster(1) as cluster:
            path = cluster.directory + "/holdfast.conf"

            def configure(text):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            configure("log-level = warn\n")
            node = cluster.nodes[0]
            node.kill()
            with open(node.log_path, "w", encoding="utf-8"):
                pass
            node.start(f"--config={path}")
            cluster.wait_ready()
            self.assertEqual(node.log(), "")
            configure("log-level = info\n")
            node.process.send_signal(signal.SIGHUP)
            wait_for("it says so", lambda: "reloaded the log level" in node.log())
            configure("log-level = loud\n")
            node.process.send_signal(signal.SIGHUP)
            wait_for("it says what is wrong", lambda: ":1: log-level:" in node.log())
            self.assertEqual(node.put("k", b"v").status, 200)


if __name__ == "__main__":
    main()

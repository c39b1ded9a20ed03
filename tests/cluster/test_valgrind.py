"""valgrind finds no error and no leak over start, traffic and stop of three nodes."""
import os
import shutil
import unittest

from cluster import Cluster, main
from load import Load

SLOW = ("--election-timeout=2s-4s", "--heartbeat-interval=200ms", "--stop-timeout=30s")


@unittest.skipUnless(shutil.which("valgrind"), "valgrind is not installed")
class Valgrind(unittest.TestCase):
    def test_start_traffic_stop(self):
        # 99: an error or a leak.  The map is small because valgrind has little address space.
        wrapper = ["valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full",
                   "--errors-for-leak-kinds=definite,indirect,possible", "--num-callers=30"]
        with Cluster(3, *SLOW, "--log-map-size=256MiB", "--state-map-size=256MiB",
                     wrapper=wrapper) as cluster:
            leader = cluster.wait_ready(180)
            with Load(cluster, writers=2) as load:
                load.wait_progress(100, 120)
            for node in cluster.nodes:
                self.assertEqual(node.put("k", b"v" * 100000, timeout=60).status, 200)
                self.assertEqual(node.get("k", timeout=60).status, 200)
                self.assertEqual(node.request("GET", "/kv?prefix=w&limit=10", timeout=60).status, 200)
                self.assertEqual(node.request("POST", "/batch", '{"operations":[{"type":"set","key":"a",'
                                              '"value":"1"},{"type":"get","key":"a"}]}',
                                              timeout=60).status, 200)
                for path in ("/cluster/info", "/status", "/stats", "/health", "/no/such"):
                    node.request("GET", path, timeout=60)
            load.verify(self)
            followers = [node for node in cluster.nodes if node is not leader]
            for node in [leader] + followers:
                status = node.stop(120)
                self.assertEqual(status, 0, f"{node.name}: {os.path.basename(node.log_path)} tells")


if __name__ == "__main__":
    main()

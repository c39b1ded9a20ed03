"""kill -9 of all nodes at once, under writers: nothing acknowledged is lost.

HOLDFAST_ROUNDS: how often with three nodes (3; 20 in check-long);
HOLDFAST_ROUNDS_ALONE: how often with one (8; 50)."""
import os
import random
import time
import unittest

from cluster import Cluster, main, number
from load import Load

ROUNDS = number("HOLDFAST_ROUNDS", 3)
ROUNDS_ALONE = number("HOLDFAST_ROUNDS_ALONE", 8)
ONLY = os.environ.get("HOLDFAST_ONLY", "")


class KillAll(unittest.TestCase):
    def kill_all(self, nodes, rounds):
        with Cluster(nodes) as cluster:
            cluster.wait_ready()
            with Load(cluster, writers=3) as load:
                for _ in range(rounds):
                    load.wait_progress(40)
                    time.sleep(random.random() * 0.2)  # any moment will do
                    for node in cluster.nodes:
                        node.process.kill()
                    for node in cluster.nodes:
                        node.process.wait()
                        node.start()
                load.wait_progress(40)
            print(f"all killed {rounds} times")
            cluster.wait_ready()
            load.verify(self)

    @unittest.skipIf(ONLY == "alone", "not asked for")
    def test_three_nodes(self):
        self.kill_all(3, ROUNDS)

    def test_one_node_alone(self):
        self.kill_all(1, ROUNDS_ALONE)


if __name__ == "__main__":
    main()

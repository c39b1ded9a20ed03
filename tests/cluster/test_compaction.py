"""Overwriting the same keys for a long time does not make the files grow: the log drops what the
state holds, and both environments use their pages again.

HOLDFAST_OVERWRITE_SECONDS: how long (8; 600 in the long form).
HOLDFAST_STEPS: how often it looks meanwhile (8; 10)."""
import json
import random
import threading
import time
import unittest

from cluster import CALM, Cluster, SEED, main, number, wait_for

SECONDS = number("HOLDFAST_OVERWRITE_SECONDS", 8)
STEPS = number("HOLDFAST_STEPS", 8)
KEYS = 10000
BATCH = 20
WRITERS = 8
FLAGS = ("--log-keep=2000", "--flush-interval=200ms")
SLACK = 8 << 20  # pages that a flush and a compaction have in hand at any moment


class Overwriter(threading.Thread):
    def __init__(self, node, number_of_writer):
        super().__init__(daemon=True)
        self.node, self.random = node, random.Random(SEED + number_of_writer)
        self.ending, self.written, self.problem = threading.Event(), 0, None

    def run(self):
        connection = self.node.connect(timeout=30)
        while not self.ending.is_set():
            operations = [{"type": "set", "key": f"k{self.random.randrange(KEYS):05d}",
                           "value": "v" * self.random.randrange(50, 250)} for _ in range(BATCH)]
            answer = connection.request("POST", "/batch", json.dumps({"operations": operations}))
            if answer.status != 200:
                self.problem = answer
                return
            self.written += BATCH
        connection.close()


def pages(cluster):
    """Bytes of the pages in use: the largest of all nodes, of the log and of the state."""
    said = [node.request("GET", "/stats").json() for node in cluster.nodes]
    return tuple(max(stats[part]["used_bytes"] for stats in said) for part in ("log", "state"))


class Compaction(unittest.TestCase):
    def test_the_files_do_not_grow_for_ever(self):
        with Cluster(3, *FLAGS, environment=CALM) as cluster:
            leader = cluster.wait_ready()
            writers = [Overwriter(leader, i) for i in range(WRITERS)]
            for writer in writers:
                writer.start()
            looks = []
            for step in range(STEPS):
                time.sleep(SECONDS / STEPS)
                looks.append(pages(cluster))
                print(f"{(step + 1) * SECONDS / STEPS:6.1f} s  {sum(w.written for w in writers):9d} "
                      f"writes  log {looks[-1][0] / 2**20:6.1f} MiB  "
                      f"state {looks[-1][1] / 2**20:6.1f} MiB")
            for writer in writers:
                writer.ending.set()
                writer.join(30)
                self.assertIsNone(writer.problem)
            for part, name in enumerate(("log", "state")):
                early = max(look[part] for look in looks[STEPS // 4:STEPS // 2])
                late = max(look[part] for look in looks[3 * STEPS // 4:])
                self.assertLessEqual(late, 1.25 * early + SLACK, f"the {name} has levelled off")
            for node in cluster.nodes:
                def trimmed(node=node):
                    status = node.status()
                    return status and status["log_last_index"] - status["log_first_index"] <= 4000
                wait_for(f"the log of {node.name} keeps little more than it shall", trimmed)


if __name__ == "__main__":
    main()

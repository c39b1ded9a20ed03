"""A stopped follower that missed many writes catches up under load, without an election.

HOLDFAST_WRITES: how many it misses (8,000; 100,000 in check-long).
HOLDFAST_STRICT: with default timeouts (check-long); else with patient ones, since a busy machine
may stop a whole process for longer than the default election timeout."""
import json
import threading
import time
import unittest

from cluster import Cluster, main, number, wait_for
from load import Load

WRITES = number("HOLDFAST_WRITES", 8000)
TIMEOUTS = () if number("HOLDFAST_STRICT", 0) else ("--election-timeout=1s-2s",
                                                    "--heartbeat-interval=100ms")
CONNECTIONS = 16  # each write is an entry; several at a time, or it would take long


def write_many(node, count):
    """`count` single writes, over some connections at once."""
    def worker(share):
        connection = node.connect(timeout=30)
        for i in range(share):
            body = json.dumps({"value": "v" * 100})
            answer = connection.request("PUT", f"/kv/missed/{threading.get_ident()}/{i}", body)
            if answer.status != 200:
                problems.append(answer)
                return
        connection.close()

    problems = []
    workers = [threading.Thread(target=worker, args=(count // CONNECTIONS,)) for _ in range(CONNECTIONS)]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join()
    return problems


class CatchUp(unittest.TestCase):
    def test_a_follower_that_was_away(self):
        with Cluster(3, *TIMEOUTS) as cluster:
            leader = cluster.wait_ready()
            term = leader.status()["term"]
            away = cluster.followers()[0]
            self.assertEqual(away.stop(), 0)
            self.assertEqual(write_many(leader, WRITES), [])
            missed = leader.status()["commit_index"]
            with Load(cluster, writers=2, pause=0.002) as load:
                load.wait_progress(10)
                began = time.monotonic()
                away.start()

                def caught_up():
                    status = away.status()
                    return status and status["applied_index"] >= missed
                wait_for(f"it has applied the {WRITES} entries it missed", caught_up, 120)
                print(f"caught up with {WRITES} entries in {time.monotonic() - began:.1f} s")
            cluster.wait_applied()
            for node in cluster.nodes:
                self.assertEqual(node.status()["term"], term, "no election was needed")
            load.verify(self)


if __name__ == "__main__":
    main()

"""A read that waits in the socket of a stopped leader never returns a value older than one that was
acknowledged elsewhere (B40), whether it asks for `linearizable` or for `lease`.

HOLDFAST_PAUSED_ROUNDS: how often (5; 30 in check-long)."""
import http.client
import threading
import time
import unittest

from cluster import PATIENCE, SEED, Cluster, main, number, wait_for
from chaos_cluster import seeded

ROUNDS = number("HOLDFAST_PAUSED_ROUNDS", 5)
HOWS = ("linearizable", "lease")


class Reading(threading.Thread):
    """One GET that is sent now; what it is told, and the least that it may be told."""

    def __init__(self, node, key, how, least):
        super().__init__(daemon=True)
        self.how, self.least, self.value, self.problem = how, least, None, None
        # The kernel completes the connection and takes the request, whatever the process does.
        self.connection = http.client.HTTPConnection("127.0.0.1", node.http_port, timeout=20 * PATIENCE)
        self.connection.request("GET", f"/kv/{key}?raw&timeout=5s&consistency={how}")
        self.start()

    def run(self):
        try:
            answer = self.connection.getresponse()
            body = answer.read()
            if answer.status == 200:
                self.value = int(body)
            else:
                self.problem = answer.status
        except (OSError, http.client.HTTPException) as error:
            self.problem = repr(error)
        finally:
            self.connection.close()


class PausedLeader(unittest.TestCase):
    def write_elsewhere(self, cluster, paused, key, value):
        """Through a node that runs; acknowledged by a majority without the paused one."""
        def acknowledged():
            for node in cluster.nodes:
                if node is paused:
                    continue
                try:
                    if node.put(key, str(value), timeout=2).status == 200:
                        return True
                except (OSError, http.client.HTTPException):
                    pass
            return False
        wait_for("the others elect a leader that takes a write", acknowledged, 20)

    def round(self, cluster, rng, i, counts):
        key, old, new = f"key{i % 3}", 2 * i, 2 * i + 1
        leader = cluster.wait_ready()
        self.assertEqual(leader.put(key, str(old)).status, 200)
        term = leader.status()["term"]
        leader.pause()
        try:
            # All of these reads arrive in the process after it goes on, hence after the write.
            readings = [Reading(leader, key, how, new) for how in HOWS]
            time.sleep(rng.uniform(0, 0.3))
            self.write_elsewhere(cluster, leader, key, new)
            readings += [Reading(leader, key, how, new) for how in HOWS]
            time.sleep(rng.choice((0, 0.05, rng.uniform(0, 1))))
        finally:
            leader.resume()
        readings += [Reading(leader, key, how, new) for how in HOWS]
        for reading in readings:
            reading.join(30 * PATIENCE)
            counts["answered" if reading.value is not None else "refused"] += 1
            if reading.value is not None:
                self.assertGreaterEqual(
                    reading.value, reading.least,
                    f"round {i}: a {reading.how} read at the leader of term {term}, which was stopped, "
                    f"returned {reading.value} after {reading.least} was acknowledged elsewhere")

    def test_no_old_value(self):
        rng, counts = seeded(SEED, "paused"), {"answered": 0, "refused": 0}
        with Cluster(3) as cluster:
            for i in range(ROUNDS):
                self.round(cluster, rng, i, counts)
        print(f"{ROUNDS} rounds: {counts}")
        self.assertGreater(counts["answered"], ROUNDS, "most reads are answered; else nothing is proved")


if __name__ == "__main__":
    main()

"""A follower that has missed more than the log keeps gets the state whole, under full load; and
however its sender or it is killed meanwhile, all nodes end with the same content.

HOLDFAST_MISSED: writes that it misses (20,000; 1,000,000 in the long form).
HOLDFAST_ROUNDS_SNAPSHOT: kills at random moments of a transfer (5; 50).
HOLDFAST_STRICT: the leader's p99 must stay below three times its usual while a follower fetches."""
import http.client
import json
import random
import threading
import time
import unittest

from cluster import CALM, Cluster, main, number, wait_for
from load import read_all

MISSED = number("HOLDFAST_MISSED", 20000)
ROUNDS = number("HOLDFAST_ROUNDS_SNAPSHOT", 5)
STRICT = number("HOLDFAST_STRICT", 0)
KEEP = 1000
BATCH = 50  # keys in one write where only the content counts
VALUE = 500
WRITERS = 4


class Client(threading.Thread):
    """Single writes to whoever leads, one after the other; notes how long each took."""

    def __init__(self, cluster, name):
        super().__init__(daemon=True)
        self.cluster, self.name_of_client = cluster, name
        self.ending, self.took, self.problems = threading.Event(), [], []

    def run(self):
        connection, i = None, 0
        while not self.ending.is_set():
            try:
                if connection is None:
                    leader = self.cluster.leader()
                    if leader is None:
                        time.sleep(0.02)
                        continue
                    connection = leader.connect(timeout=10)
                began = time.monotonic()
                answer = connection.request("PUT", f"/kv/load/{self.name_of_client}/{i % 500}",
                                            b"x" * 200, {"Content-Type": "application/octet-stream"})
                if answer.status == 200:
                    self.took.append((began, time.monotonic() - began))
                elif answer.outcome() is None:
                    self.problems.append(answer)
                i += 1
            except (OSError, http.client.HTTPException):
                if connection is not None:
                    connection.close()
                connection = None
        if connection is not None:
            connection.close()


class Clients:
    def __init__(self, cluster):
        self.clients = [Client(cluster, n) for n in range(WRITERS)]

    def __enter__(self):
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.ending.set()
        for client in self.clients:
            client.join(30)

    def p99_ms(self, since, until):
        took = sorted(t for client in self.clients for at, t in client.took if since <= at < until)
        return (1000 * took[int(0.99 * len(took))], len(took)) if took else (0.0, 0)


def write_keys(node, first, count, batch=BATCH):
    """`count` keys with values that do not compress, from `first` on; over some connections."""
    problems = []

    def worker(begin, end):
        connection = node.connect(timeout=30)
        for i in range(begin, end, batch):
            operations = [{"type": "set", "key": f"w{k:08d}", "value": f"{k}:".ljust(VALUE, "v")}
                          for k in range(i, min(i + batch, end))]
            answer = connection.request("POST", "/batch", json.dumps({"operations": operations}))
            if answer.status != 200:
                problems.append(answer)
                return
        connection.close()

    share = -(-count // 8)
    workers = [threading.Thread(target=worker, args=(b, min(b + share, first + count)))
               for b in range(first, first + count, share)]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join()
    return problems


def snapshots(node):
    return node.request("GET", "/stats").json()["snapshots"]


def fetched(node):
    try:
        return snapshots(node)["installed"] > 0
    except (OSError, http.client.HTTPException, ValueError):
        return False


def fetched_bytes(node):
    fetch = (node.status() or {}).get("snapshot_fetch")
    return fetch["bytes"] if fetch else 0


def compacted_beyond(node, index):
    status = node.status()
    return status and status["log_first_index"] > index + 1


class Snapshots(unittest.TestCase):
    def assert_same_content(self, cluster):
        cluster.wait_applied(120)
        contents = [read_all(node) for node in cluster.nodes]
        for node, content in zip(cluster.nodes[1:], contents[1:]):
            self.assertEqual(len(content), len(contents[0]), f"keys at {node.name}")
            self.assertTrue(content == contents[0], f"{node.name} holds the same values")
        revisions = {node.status()["revision"] for node in cluster.nodes}
        self.assertEqual(len(revisions), 1, "one revision everywhere")
        return contents[0]

    def test_a_follower_far_behind_gets_the_state_whole(self):
        flags = (f"--log-keep={KEEP}", "--flush-interval=200ms")
        with Cluster(3, *flags, environment=CALM) as cluster:
            leader = cluster.wait_ready()
            away = cluster.followers()[0]
            self.assertEqual(away.stop(), 0)
            missed_from = leader.status()["log_last_index"]
            # one write in ten holds ten keys: as many entries, and a state worth fetching
            self.assertEqual(write_keys(leader, 0, MISSED, batch=1 if MISSED <= 20000 else 10), [])
            wait_for("the log no longer holds what it missed",
                     lambda: compacted_beyond(leader, missed_from), 60)
            with Clients(cluster) as clients:
                begun = time.monotonic()
                time.sleep(3)
                usual, n = clients.p99_ms(begun + 0.5, time.monotonic())
                since = time.monotonic()
                away.start()
                wait_for("it has installed a snapshot", lambda: fetched(away), 300, every=0.05)
                until = time.monotonic()
                during, m = clients.p99_ms(since, until)
            took = snapshots(away)
            mib = took["bytes_in"] / 2**20
            seconds = max(took["install_ms_total"], 1) / 1000
            print(f"{MISSED} writes missed: {mib:.1f} MiB fetched and installed in {seconds:.2f} s "
                  f"({mib / seconds:.1f} MiB/s); p99 of the leader's writes {usual:.1f} ms before "
                  f"({n} writes), {during:.1f} ms meanwhile ({m} writes)")
            for client in clients.clients:
                self.assertEqual(client.problems[:3], [])
            self.assertGreaterEqual(snapshots(leader)["sent"], 1)
            if STRICT:
                self.assertLess(during, 3 * usual, "a fetch hardly slows the leader down")
            content = self.assert_same_content(cluster)
            self.assertEqual(len(content), MISSED)

    def test_kills_at_any_moment_of_a_transfer(self):
        flags = (f"--log-keep={KEEP}", "--flush-interval=100ms", "--snapshot-rate=4MiB")
        with Cluster(3, *flags, environment=CALM) as cluster:
            leader = cluster.wait_ready()
            self.assertEqual(write_keys(leader, 0, 10000), [])
            total, resumed, interrupted = 10000, 0, 0
            for turn in range(ROUNDS):
                leader = cluster.wait_ready(60)
                away = cluster.followers()[0]
                away.kill()
                missed_from = leader.status()["log_last_index"]
                self.assertEqual(write_keys(leader, total, 3000, batch=1), [])
                total += 3000
                wait_for("the log no longer holds what it missed",
                         lambda: compacted_beyond(leader, missed_from), 60)
                away.start()
                wait_for("it fetches", lambda: (away.status() or {}).get("snapshot_fetch")
                         or fetched(away), 60)
                # a transfer takes about two seconds at this rate; verifying and installing belong to it
                time.sleep(random.uniform(0, 3))
                interrupted += not fetched(away)
                victim = random.choice((away, leader))
                victim.kill()
                victim.start()
                wait_for(f"round {turn}: it is up to date again",
                         lambda: (away.status() or {}).get("applied_index", 0) >= missed_from + 3000, 120)
                resumed += snapshots(away)["resumed"]
                print(f"round {turn}: {'sender' if victim is leader else 'receiver'} killed; "
                      f"resumed so far {resumed}")
            print(f"{ROUNDS} kills, {interrupted} in the middle of a transfer, {resumed} resumed")
            content = self.assert_same_content(cluster)
            self.assertEqual(len(content), total)
            for k in range(0, total, 997):
                self.assertEqual(content[f"w{k:08d}"], f"{k}:".ljust(VALUE, "v").encode())

    def test_a_killed_receiver_goes_on_near_where_it_stopped(self):
        """What it has flushed, every 32 MiB, is not sent again."""
        if MISSED <= 20000:
            self.skipTest("only in the long form, for it needs a large state: HOLDFAST_MISSED")
        flags = (f"--log-keep={KEEP}", "--flush-interval=200ms", "--snapshot-rate=24MiB")
        with Cluster(3, *flags, environment=CALM) as cluster:
            leader = cluster.wait_ready()
            away = cluster.followers()[0]
            away.kill()
            missed_from = leader.status()["log_last_index"]
            self.assertEqual(write_keys(leader, 0, 100000), [])
            wait_for("the log no longer holds what it missed",
                     lambda: compacted_beyond(leader, missed_from), 60)
            away.start()
            wait_for("more than 32 MiB have come", lambda: fetched_bytes(away) > 40 << 20, 60)
            away.kill()
            away.start()
            wait_for("it has installed a snapshot", lambda: fetched(away), 120)
            took = snapshots(away)
            print(f"{took['bytes_in'] / 2**20:.1f} MiB were fetched after the kill")
            self.assertEqual(took["resumed"], 1)
            self.assertEqual(len(self.assert_same_content(cluster)), 100000)


if __name__ == "__main__":
    main()

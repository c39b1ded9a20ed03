"""Garbage and replayed messages on the port where nodes meet, beside a client that behaves well.

HOLDFAST_HOSTILE_SECONDS: the length of each attack (2)."""
import multiprocessing
import os
import random
import time
import unittest

from chaos_cluster import ChaosCluster, seeded
from cluster import CALM, SEED, main, number, wait_for
from hostile import Bystander, dial, drain, many, push, split_answers, talk
from load import Load
from peers import BODY_MAX, damaged, exchange, recorded, shuffled_for_ever

SECONDS = number("HOLDFAST_HOSTILE_SECONDS", 2)
PAUSE_S = 0.001 # between replayed bodies: faster, it is the attack that takes the processors
LINES_MAX = 100 # what an attack of any length may add to a node's log, and some for what it also does


def replay(ports, exchanges, seed, ending):
    """Says again and again what was once said, to whom it was said."""
    connections, n = {}, 0
    for receiver, path, body in shuffled_for_ever(exchanges, seed):
        if ending.is_set():
            for each in connections.values():
                each.close()
            return
        try:
            if receiver not in connections:
                connections[receiver] = dial(ports[receiver])
            connections[receiver].sendall(exchange(path, body))
            n += 1
            time.sleep(PAUSE_S)
            if n % 8 == 0:
                for each in connections.values():
                    each.setblocking(False)
                    try:
                        each.recv(1 << 20)
                    except BlockingIOError:
                        pass
                    each.settimeout(5)
        except OSError:
            if receiver in connections:
                connections.pop(receiver).close()


class Peers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = ChaosCluster(3, environment=CALM)
        cls.folder = os.path.join(cls.cluster.directory, "recorded")
        os.mkdir(cls.folder)
        cls.cluster.network.tell(f"record {cls.folder}")
        cls.cluster.start()
        cls.leader = cls.cluster.wait_ready()
        with Load(cls.cluster, writers=4) as load: # all that nodes say: entries, forwards, reads
            load.wait_progress(200)
        cls.exchanges = recorded(cls.folder)
        cls.bodies = [body for _, _, body in cls.exchanges]
        cls.bystander = Bystander(cls.cluster)
        cls.port = cls.leader.raft_port

    @classmethod
    def tearDownClass(cls):
        cls.bystander.close()
        cls.cluster.close_well()

    def setUp(self):
        self.lines = [len(node.log().splitlines()) for node in self.cluster.nodes]

    def tearDown(self):
        for node, before in zip(self.cluster.nodes, self.lines):
            said = node.log().splitlines()[before:]
            self.assertLess(len(said), LINES_MAX, f"{node.name} fills its log: {said[-3:]}")
        wait_for("all members hear of each other", self.all_well)

    def all_well(self):
        for node in self.cluster.nodes:
            if node.request("GET", "/readyz").status != 200:
                return False
        members = self.leader.request("GET", "/cluster/info").json()["members"]
        return len(members) == 3 and all(each["self"] or (each["last_contact_ms"] or 9999) < 1000
                                         for each in members)

    def watch(self, name, connections=0):
        return self.bystander.watch(self, name, SECONDS, connections)

    def test_recording_holds_all_kinds(self):
        kinds = {body[76] for body in self.bodies if len(body) >= 88}
        self.assertLessEqual({1, 2, 6}, kinds, "raft messages, forwards, questions")

    def test_nearly_right_bodies(self):
        rng = seeded(SEED, "damaged")
        with self.watch("damaged bodies"):
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                for name, body in damaged(self.bodies, rng):
                    path = rng.choice((b"/raft/control", b"/raft/bulk", b"/raft/control?answers"))
                    answers = talk(self.port, exchange(path, body))
                    with self.subTest(name):
                        self.assertEqual(len(answers), 1, answers)
                        self.assertIn(answers[0], (200, 409) if name in (
                            "a body cut short", "a frame of another kind", "more frames than there are",
                            "bytes behind the last frame") else (409,))

    def test_garbage_instead_of_http(self):
        rng = seeded(SEED, "garbage")
        with self.watch("garbage"):
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                data = rng.randbytes(rng.randrange(1, 3000))
                if rng.random() < 0.3:
                    data = exchange(b"/raft/bulk", data)[:rng.randrange(1, 200)]
                answers = talk(self.port, data)
                self.assertIn(answers, ([], [400], [409], [414], [431]), data[:40])
            for path, method, status in ((b"/kv/a", b"POST", 404), (b"/raft/bulk", b"PUT", 405)):
                data = exchange(path, b"a").replace(b"POST", method)
                self.assertEqual(talk(self.port, data), [status])

    def test_bodies_that_are_too_large(self):
        block = b"x" * 65536
        with self.watch("large bodies", 40):
            with dial(self.port) as connection:
                connection.sendall(exchange(b"/raft/bulk", b"", BODY_MAX + 1))
                self.assertEqual(split_answers(drain(connection)), [413])
            self.assertEqual(talk(self.port, exchange(b"/raft/bulk", block * (BODY_MAX // len(block)))), [409])
            with many(self.port, 40) as connections: # nearly whole, and together too much
                for connection in connections:
                    push(connection, exchange(b"/raft/bulk", b"", BODY_MAX))
                for _ in range(BODY_MAX // len(block) - 1):
                    for connection in connections:
                        push(connection, block)
                time.sleep(SECONDS)

    def test_slow_and_idle_connections(self):
        with self.watch("500 connections", 500), many(self.port, 500) as connections:
            for i, connection in enumerate(connections):
                push(connection, (b"", b"POST /raft", exchange(b"/raft/bulk", b"", 10000))[i % 3])
            follower = self.cluster.followers()[0]
            # Who has to connect anew is let in, though strangers have taken every place.
            for other in self.cluster.nodes:
                if other is not follower:
                    self.cluster.network.drop(follower, other)
                    self.cluster.network.drop(other, follower)
            wait_for("a write gets through the crowd", lambda: follower.put(
                "through", b"the crowd", "?timeout=1s").status == 200, 10)
            wait_for("the peers have met again", self.all_well)

    def test_replayed_bodies(self):
        """Said again in any order, while the cluster works: nothing is lost or done twice."""
        ports = [node.raft_port for node in self.cluster.nodes]
        ending = multiprocessing.Event()
        replayers = [multiprocessing.Process(target=replay, daemon=True,
                                             args=(ports, self.exchanges, SEED + i, ending)) for i in range(2)]
        counts = {f"counter{i}": 0 for i in range(4)}
        for each in replayers:
            each.start()
        try:
            with self.watch("replayed bodies", 6), Load(self.cluster, writers=3) as load:
                until = time.monotonic() + SECONDS * 2
                while time.monotonic() < until:
                    key = random.choice(list(counts))
                    counts[key] += 1
                    answer = self.cluster.nodes[counts[key] % 3].put(key, b"%d" % counts[key])
                    self.assertEqual(answer.status, 200, answer)
                    self.assertEqual(answer.json()["version"], counts[key], "each write is done once")
                load.wait_progress(20)
                print(f"replayed bodies: {len(self.exchanges)} recorded, {sum(counts.values())} counted")
        finally:
            ending.set()
            for each in replayers:
                each.join(10)
        load.verify(self)
        for key, n in counts.items():
            self.assertEqual(self.leader.get(key, "").json()["version"], n, "and nothing else writes")


if __name__ == "__main__":
    main()

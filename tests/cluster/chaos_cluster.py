"""Nodes that a test can hurt: their disks and clocks by faults.so, their network by a proxy, or by
routes between network namespaces where the caller is allowed to make them."""
import os
import random
import subprocess

import chaos_disk
from chaos_disk import Faults
from cluster import Cluster, Connection, Node


class ChaosNode(Node):
    host = "127.0.0.1"
    number = 0
    expected_status = None # with which it may end of itself
    faults = None
    routes = None
    inside = () # runs a command in the node's network namespace

    def connect(self, timeout=10.0):
        return Connection(self.http_port, timeout, self.host)

    def launch(self, command):
        self.expected_status = None
        self.ended_by_us = False
        environment = dict(os.environ, **self.faults.environment(self.routes))
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*self.inside, *self.cluster.wrapper, *command], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, env=environment)
        return self

    def lose_power(self, rng, chance):
        """kill -9, and what it wrote without a flush is gone, each page with this chance."""
        if self.running():
            self.kill()
        return self.faults.lose_unflushed(self.data, chance, rng)


class Proxy:
    """tests/faults/holdfast-proxy: a way of its own from each node to each other."""
    kind = "proxy"

    def __init__(self, nodes):
        self.process = subprocess.Popen([chaos_disk.PROXY], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        for a in nodes:
            a.routes = {}
            for b in nodes:
                if a is not b:
                    a.routes[b.raft_port] = int(self.tell(f"link {a.number} {b.number} {b.raft_port}"))

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        answer = self.process.stdout.readline().strip()
        if answer in ("", "what?"):
            raise AssertionError(f"the proxy did not understand '{line}'")
        return answer

    def cut(self, a, b):
        self.tell(f"cut {a.number} {b.number}")

    def heal(self, a, b):
        self.tell(f"heal {a.number} {b.number}")

    def drop(self, a, b):
        self.tell(f"drop {a.number} {b.number}")

    def carried(self):
        return int(self.tell("count"))

    def close(self, _nodes=()):
        self.process.stdin.close()
        self.process.wait(10)


class ChaosCluster(Cluster):
    node_class = ChaosNode

    def __init__(self, n, *extra, network=Proxy, **more):
        super().__init__(n, *extra, **more)
        self.spare = list(self.nodes)
        self.nodes = [self.node_class(self, node.name, node.http_port, node.raft_port)
                      for node in self.spare]
        for number, node in enumerate(self.nodes):
            node.number = number
            node.faults = Faults(os.path.join(self.directory, "faults", node.name))
        self.network = network(self.nodes)

    def close(self):
        super().close()
        self.network.close(self.nodes)
        for node in self.nodes:
            node.faults.close()

    # ---- the network

    def pairs(self):
        return [(a, b) for a in self.nodes for b in self.nodes if a is not b]

    def heal_all(self):
        for a, b in self.pairs():
            self.network.heal(a, b)

    def cut_between(self, some, others):
        for a in some:
            for b in others:
                self.network.cut(a, b)
                self.network.cut(b, a)

    def isolate(self, node):
        self.cut_between([node], [other for other in self.nodes if other is not node])


def shuffled(rng, items):
    items = list(items)
    rng.shuffle(items)
    return items


def some_of(rng, items, n):
    return shuffled(rng, items)[:n]


def seeded(*parts):
    return random.Random("/".join(map(str, parts)))

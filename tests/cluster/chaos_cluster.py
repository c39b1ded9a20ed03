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
    failed_before = 0
    line = ()

    def flags(self):
        """The very same line at each start."""
        return self.line or super().flags()

    def start_with(self, how):
        self.line = [f"--id={self.name}", f"--raft-addr={self.raft_addr}", f"--http-addr={self.http_addr}",
                     f"--data-dir={os.path.join(self.cluster.directory, 'data')}", *how]
        return self.start()

    def connect(self, timeout=10.0):
        return Connection(self.http_port, timeout, self.host)

    def launch(self, command):
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
    """`places` are addresses where nodes may live one after the other, each with a name and a disk of
    its own; `nodes` are those that are to be members now, the first n to begin with; `leaving`
    those that shall not be any more, but may still run.  These two are replaced, never changed."""
    node_class = ChaosNode

    def __init__(self, n, *extra, network=Proxy, places=0, **more):
        super().__init__(max(n, places), *extra, **more)
        self.places = [self.node_class(self, node.name, node.http_port, node.raft_port)
                       for node in self.nodes]
        self.nobodies = [f"127.0.0.1:{self.ports.take()}" for _ in range(2)]
        self.everyone, self.leaving = [], []
        for number, node in enumerate(self.places):
            self.equip(node, number)
        self.network = network(self.places)
        self.nodes = self.places[:n]
        for node in self.nodes:
            node.line = node.flags()

    def equip(self, node, number):
        node.number = number
        node.faults = Faults(os.path.join(self.directory, "faults", node.name))
        self.everyone.append(node)

    def occupied(self):
        """Numbers of the places where a node may answer."""
        return [node.number for node in self.nodes + self.leaving]

    def vacant(self):
        occupied = self.occupied()
        return [number for number in range(len(self.places)) if number not in occupied]

    def new_life(self, number):
        """A node with a new name and an empty disk at a vacant place; not started."""
        old = self.places[number]
        if old.process is None:
            node = old
        else:
            first, _, life = old.name.partition(".")
            node = self.node_class(self, f"{first}.{int(life or 1) + 1}", old.http_port, old.raft_port)
            for name in ("host", "inside", "holder", "raft_addr", "http_addr", "url", "routes"):
                if hasattr(old, name):
                    setattr(node, name, getattr(old, name))
            self.equip(node, number)
            self.places[number] = node
        node.faults.set(chaos_disk.UNDO, 1)
        return node

    def __exit__(self, *problem):
        self.nodes = [node for node in self.everyone if node.process]
        super().__exit__(*problem)

    def tell(self):
        self.nodes = [node for node in self.everyone if node.process]
        super().tell()

    def close(self):
        self.nodes = self.everyone
        super().close()
        self.network.close(self.places)
        for node in self.everyone:
            node.faults.close()

    # ---- the network

    def pairs(self):
        return [(a, b) for a in self.nodes for b in self.nodes if a is not b]

    def heal_all(self):
        for a in self.places:
            for b in self.places:
                if a is not b:
                    self.network.heal(a, b)

    def cut_between(self, some, others):
        for a in some:
            for b in others:
                self.network.cut(a, b)
                self.network.cut(b, a)

    def isolate(self, node):
        self.cut_between([node], [other for other in self.places if other.number != node.number])


def shuffled(rng, items):
    items = list(items)
    rng.shuffle(items)
    return items


def some_of(rng, items, n):
    return shuffled(rng, items)[:n]


def seeded(*parts):
    return random.Random("/".join(map(str, parts)))

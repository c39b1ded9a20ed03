"""Who means harm, and who is watched meanwhile: for the tests of hostile clients and peers.

    bystander = Bystander(cluster)      a well-behaved client, in a process of its own
    with bystander.watch(self, "slow headers"):
        ...                             an attack

What holds after each watch: the client got all it asked for, in about its usual time; no process
ended or changed, the leader leads on, no node took more memory than holdfast-server(8) allows, and
all descriptors come back."""
import contextlib
import math
import multiprocessing
import os
import resource
import socket
import struct
import time

from cluster import PATIENCE, path_of, wait_for

# holdfast-server(8), MEMORY: of its own, for what is large and in flight, and for each connection.
MIB = 1 << 20
OWN_BYTES = 256 * MIB
HTTP_BYTES = 128 * MIB
CONNECTION_BYTES = 64 * 1024
BODY_MAX = 1536 * 1024

# Ten times the usual p99 may be less than what this machine does now and then to any process, so
# nothing under one election timeout counts as slow: a cluster that keeps its leader may be so late.
NOISE_S = 1.0 * PATIENCE # the longest of cluster.CALM


# Sanitizers keep what was freed.
MEMORY_COUNTS = PATIENCE == 1


def memory_bound(connections):
    return OWN_BYTES + HTTP_BYTES + connections * CONNECTION_BYTES


def many_descriptors():
    """Lets this process have them: 2,000 connections need as many."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def with_descriptors(n):
    """To be put before a command."""
    return ["sh", "-c", f'ulimit -n {n}; exec "$@"', "sh"]


# ---- what a process takes

def private_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- raw connections

def dial(port, timeout=10.0):
    return socket.create_connection(("127.0.0.1", port), timeout=timeout * PATIENCE)


def reset(connection):
    """Ends it with an RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@contextlib.contextmanager
def many(port, n):
    """So many connections; closed at the end."""
    connections = []
    try:
        for _ in range(n):
            connections.append(dial(port, 30))
        yield connections
    finally:
        for connection in connections:
            connection.close()


def push(connection, data):
    """Sends what the other side takes at once; False: the other side is gone."""
    connection.setblocking(False)
    try:
        connection.send(data)
    except BlockingIOError:
        pass
    except OSError:
        return False
    return True


def split_answers(data, heads=()):
    """The status of each whole answer.  `heads`: which of them answer a HEAD, from 0."""
    statuses = []
    while data:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end or not head.startswith(b"HTTP/1.1 "):
            return statuses + [f"broken: {data[:60]!r}"]
        status, size = int(head[9:12]), 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length" and len(statuses) not in heads:
                size = int(value)
        if status == 100:
            size = 0
        elif len(rest) < size:
            return statuses + [f"cut short: {data[:60]!r}"]
        statuses.append(status)
        data = rest[size:]
    return statuses


def talk(port, data, heads=(), end=True):
    """Sends all of it, then says that no more comes; returns the statuses of the answers.  It must
    come to its end."""
    with dial(port) as connection:
        try:
            connection.sendall(data)
            if end:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass # refused before it was all sent: the answer may still be read
        return split_answers(drain(connection), heads)


def drain(connection):
    """All that comes until the other side ends it."""
    got = []
    try:
        while True:
            part = connection.recv(65536)
            if not part:
                break
            got.append(part)
    except ConnectionResetError:
        pass
    return b"".join(got)


# ---- the one who behaves well

def percentile99(latencies):
    return sorted(latencies)[math.ceil(len(latencies) * 0.99) - 1]


def behave_well(pipe, node, pids):
    """Asks one thing after the other on one connection; tells what it saw when told to."""
    connection, troubles, latencies = None, [], []
    most, looked, i = {pid: 0 for pid in pids}, 0.0, 0
    while True:
        if pipe.poll(0.002):
            if pipe.recv() == "end":
                connection.close()
                return
            pipe.send((latencies, troubles, most))
            troubles, latencies, most = [], [], {pid: 0 for pid in pids}
        if time.monotonic() > looked + 0.03:
            looked = time.monotonic()
            try:
                most = {pid: max(seen, private_bytes(pid)) for pid, seen in most.items()}
            except OSError:
                troubles.append("a node has ended")
        i += 1
        key, value = f"well/{i % 50}", f"{i}".encode() * 20
        began = time.monotonic()
        try:
            if connection is None:
                connection = node.connect(timeout=10)
            for answer in (connection.request("PUT", path_of(key), value,
                                              {"Content-Type": "application/octet-stream"}),
                           connection.request("GET", path_of(key) + "?raw")):
                if answer.status != 200:
                    troubles.append(str(answer))
            if answer.body != value:
                troubles.append(f"wrote {value!r}, read {answer.body!r}")
        except Exception as problem: # pylint: disable=broad-except
            troubles.append(repr(problem))
            if connection is not None:
                connection.close()
            connection = None
        latencies.append(time.monotonic() - began)


class Bystander:
    """Its node is the one that is attacked, unless another is named."""

    def __init__(self, cluster, node=None, usual_s=2.0):
        self.cluster = cluster
        self.leader = cluster.wait_ready()
        self.node = node or self.leader
        self.pids = [each.process.pid for each in cluster.nodes]
        many_descriptors()
        self.pipe, other = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=behave_well, daemon=True,
                                               args=(other, self.node, self.pids))
        self.process.start()
        time.sleep(0.2)
        self.tell()
        time.sleep(usual_s * PATIENCE) # not a wait for anything: the sample's length
        latencies, troubles, _ = self.tell()
        if troubles or len(latencies) < 20:
            raise AssertionError(f"{len(latencies)} requests in peace; {troubles[:3]}")
        self.usual = percentile99(latencies)
        self.own = private_bytes(self.node.process.pid)
        self.figures = []

    def tell(self):
        self.pipe.send("tell")
        if not self.pipe.poll(60 * PATIENCE):
            raise AssertionError("the well-behaved client hangs")
        return self.pipe.recv()

    def close(self):
        self.pipe.send("end")
        self.process.join(10)
        for line in self.figures:
            print(line)

    @contextlib.contextmanager
    def watch(self, test, name, seconds=0.0, connections=0, bound=None):
        """For at least so long.  `connections`: how many the attack holds at once."""
        ours = descriptors(self.node.process.pid)
        term = wait_for("the leader tells its term", self.leader.status)["term"]
        self.tell()
        began = time.monotonic()
        yield
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        latencies, troubles, most = self.tell()
        self.judge(test, name, latencies, troubles, most, bound or memory_bound(connections))
        status = wait_for("the leader tells its state", self.leader.status)
        test.assertEqual((status["state"], status["term"]), ("leader", term),
                         f"{name}: the leader leads on")
        test.assertEqual([each.process.pid for each in self.cluster.running()], self.pids,
                         f"{name}: no process ended")
        self.comes_back(name, ours)

    def judge(self, test, name, latencies, troubles, most, bound):
        test.assertEqual(troubles[:3], [], f"{name}: {len(troubles)} of {len(latencies)} requests of "
                                           "the well-behaved client failed")
        test.assertGreater(len(latencies), 0, name)
        now = percentile99(latencies)
        self.figures.append(
            f"{name}: p99 {now * 1e3:.1f} ms ({now / self.usual:.1f} times the usual "
            f"{self.usual * 1e3:.1f} ms) of {len(latencies)}, private memory at most "
            f"{max(most.values()) / MIB:.0f} MiB of {bound / MIB:.0f} MiB allowed")
        test.assertLessEqual(now, max(10 * self.usual, NOISE_S), self.figures[-1])
        if MEMORY_COUNTS:
            test.assertLessEqual(max(most.values()), bound, self.figures[-1])

    def comes_back(self, name, ours):
        """Room for others, at once; and the attack's descriptors soon."""
        if self.node.get("well/1").status != 200:
            raise AssertionError(f"{name}: a new connection is not served afterwards")
        pid = self.node.process.pid
        wait_for(f"{name}: the attack's descriptors come back", lambda: descriptors(pid) <= ours + 4, 40)
        wait_for(f"{name}: its memory comes back",
                 lambda: private_bytes(pid) <= self.own + 64 * MIB or not MEMORY_COUNTS, 40)

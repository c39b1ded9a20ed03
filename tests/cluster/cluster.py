"""Real nodes on real sockets and disks, for the tests in this folder.

    with Cluster(3) as cluster:
        leader = cluster.wait_leader()
        leader.put("key", b"value")
        leader.kill()

A cluster's files live in a directory of its own; it is removed, unless the test failed: then it is
kept and named.  Nothing here sleeps and hopes: `wait_for` waits for a condition, with a deadline.
"""
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse

PROGRAM = os.environ.get("HOLDFAST", os.path.join(os.environ.get("top_builddir", "."), "holdfast"))
SEED = int(os.environ.get("HOLDFAST_SEED", random.randrange(1 << 32)))
# Sanitizers, valgrind and a busy machine make everything slower; what must never happen still
# must not, what takes a time may take more.
# What no log may hold, however the test ends.
BUG = re.compile(r"assertion failed|Sanitizer|runtime error:|Segmentation fault")
PATIENCE = float(os.environ.get("HOLDFAST_PATIENCE", "1"))


# Slow builds, or a test that is not about elections: a process that waits for a processor for
# longer than the default election timeout is no leader that failed.
if PATIENCE > 1:
    os.environ.setdefault("HOLDFAST_ELECTION_TIMEOUT", f"{150 * PATIENCE:.0f}-{300 * PATIENCE:.0f}ms")
    os.environ.setdefault("HOLDFAST_HEARTBEAT_INTERVAL", f"{50 * PATIENCE:.0f}ms")
CALM = {"HOLDFAST_ELECTION_TIMEOUT": f"{600 * PATIENCE:.0f}-{1000 * PATIENCE:.0f}ms"}


def number(name, default):
    """A parameter of a test, from the environment."""
    return int(os.environ.get(name, default))


def wait_for(what, condition, seconds=20.0, every=0.02):
    """The condition's first true value; fails with `what` after the deadline."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"within {seconds * PATIENCE:.0f} s this did not come true: {what}")
        time.sleep(every)


class Ports:
    """Free ports that stay ours: bound but not listened on, so that the kernel gives them to
    nobody else while a node that is to have them is down."""

    def __init__(self):
        self.held = []

    def take(self):
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        self.held.append(holder)
        return holder.getsockname()[1]

    def close(self):
        for holder in self.held:
            holder.close()


class Answer:
    """What came back: status, headers, body."""

    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def json(self):
        return json.loads(self.body)

    def code(self):
        """The stable code of an error, or None."""
        try:
            return self.json()["error"]["code"]
        except (ValueError, KeyError, TypeError):
            return None

    def outcome(self):
        try:
            return self.json()["error"]["outcome"]
        except (ValueError, KeyError, TypeError):
            return None

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Connection:
    """One keep-alive connection to a node's client port."""

    def __init__(self, port, timeout=10.0, host="127.0.0.1"):
        self.http = http.client.HTTPConnection(host, port, timeout=timeout * PATIENCE)

    def request(self, method, path, body=None, headers=None):
        self.http.request(method, path, body=body, headers=headers or {})
        return Answer(self.http.getresponse())

    def close(self):
        self.http.close()


def path_of(key):
    if isinstance(key, str):
        key = key.encode()
    return "/kv/" + urllib.parse.quote_from_bytes(key, safe="/")


class Node:
    def __init__(self, cluster, name, http_port, raft_port):
        self.cluster, self.name = cluster, name
        self.http_port, self.raft_port = http_port, raft_port
        self.raft_addr = f"127.0.0.1:{raft_port}"
        self.http_addr = f"127.0.0.1:{http_port}"
        self.url = f"http://{self.http_addr}"
        self.data = os.path.join(cluster.directory, "data", name)
        self.log_path = os.path.join(cluster.directory, name + ".log")
        self.process = None
        self.ended_by_us = False

    # ---- the process

    def flags(self):
        others = [n.raft_addr for n in self.cluster.nodes if n is not self]
        return [f"--id={self.name}", f"--raft-addr={self.raft_addr}",
                f"--http-addr={self.http_addr}", f"--peers={','.join(others)}",
                f"--data-dir={os.path.join(self.cluster.directory, 'data')}"]

    def start(self, *extra):
        return self.launch([PROGRAM, "server"] + self.flags() + list(self.cluster.extra) + list(extra))

    def launch(self, command):
        self.ended_by_us = False
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.cluster.wrapper + command, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL,
                                            env={**os.environ, **self.cluster.environment})
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """kill -9"""
        self.ended_by_us = True
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=20):
        """An orderly stop; returns the exit status."""
        self.ended_by_us = True
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds * PATIENCE)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    # ---- requests, each on a connection of its own

    def connect(self, timeout=10.0):
        return Connection(self.http_port, timeout)

    def request(self, method, path, body=None, headers=None, timeout=10.0):
        connection = self.connect(timeout)
        try:
            return connection.request(method, path, body, headers)
        finally:
            connection.close()

    def put(self, key, value, query="", timeout=10.0):
        return self.request("PUT", path_of(key) + query, value,
                            {"Content-Type": "application/octet-stream"}, timeout)

    def get(self, key, query="?raw", timeout=10.0):
        return self.request("GET", path_of(key) + query, timeout=timeout)

    def status(self):
        """What the node says of itself, or None if it does not answer."""
        try:
            answer = self.request("GET", "/status", timeout=2.0)
            return answer.json() if answer.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            return None


class Cluster:
    def __init__(self, n, *extra, wrapper=(), keep=False, environment=None):
        self.directory = tempfile.mkdtemp(prefix="holdfast-test-")
        self.extra, self.wrapper, self.keep = extra, list(wrapper), keep
        self.environment = environment or {}
        self.ports = Ports()
        self.nodes = []
        for i in range(n):
            self.nodes.append(Node(self, f"node{i + 1}", self.ports.take(), self.ports.take()))

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, problem, trace):
        if kind is not None:
            self.keep = True
            self.tell()
            self.close()
        else:
            self.close_well()

    def start(self):
        for node in self.nodes:
            node.start()
        return self

    def close(self):
        for node in self.nodes:
            if node.running():
                node.resume()
                node.kill()
        self.ports.close()
        if not self.keep:
            shutil.rmtree(self.directory, ignore_errors=True)

    def close_well(self):
        """Closes; fails if a node's log tells of a bug."""
        bugs = [f"{node.name}: {line}" for node in self.nodes if os.path.exists(node.log_path)
                for line in node.log().splitlines() if BUG.search(line)]
        if bugs:
            self.keep = True
            self.tell()
        self.close()
        if bugs:
            raise AssertionError("the nodes' logs tell of bugs:\n" + "\n".join(bugs[:5]))

    def tell(self):
        """What one wants to know after a failure."""
        print(f"kept: {self.directory}", file=sys.stderr)
        for node in self.nodes:
            ended = node.process.poll() if node.process else "never started"
            print(f"--- {node.name} ({'running' if node.running() else f'ended: {ended}'}):",
                  file=sys.stderr)
            if os.path.exists(node.log_path):
                print("".join(node.log().splitlines(True)[-25:]), file=sys.stderr)

    def running(self):
        return [node for node in self.nodes if node.running()]

    def leader(self):
        """The node that says it leads in the highest term, or None."""
        said = [(node.status(), node) for node in self.running()]
        leaders = [(status["term"], node.name, node) for status, node in said
                   if status and status["state"] == "leader"]
        return max(leaders)[2] if leaders else None

    def wait_leader(self, seconds=20.0):
        return wait_for("a node leads", self.leader, seconds)

    def wait_ready(self, seconds=20.0):
        """All running nodes know the same leader, and it takes writes; returns it."""
        def ready():
            for node in self.nodes:
                if node.process and not node.running() and not node.ended_by_us:
                    raise AssertionError(f"{node.name} ended with status {node.process.poll()}")
            leader = self.leader()
            if leader is None:
                return None
            term = leader.status()
            for node in self.running():
                status = node.status()
                if not status or not term or status["term"] != term["term"] or not status["leader"]:
                    return None
            try:
                answer = leader.put("ready", b"", timeout=2.0)
            except (OSError, http.client.HTTPException):
                return None
            return leader if answer.status == 200 else None
        return wait_for("all nodes follow one leader that takes writes", ready, seconds)

    def followers(self):
        leader = self.wait_leader()
        return [node for node in self.running() if node is not leader]

    def wait_applied(self, seconds=30.0):
        """Every running node has applied what the leader has committed."""
        def applied():
            said = [node.status() for node in self.running()]
            if not all(said):
                return False
            newest = max(status["commit_index"] for status in said)
            return all(status["applied_index"] >= newest for status in said)
        wait_for("every node has applied what is committed", applied, seconds)


class SharedCluster(unittest.TestCase):
    """Tests that share one running cluster; its files are kept if one of them failed."""
    NODES = 3

    @classmethod
    def start(cls):
        cls.cluster.start()

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(cls.NODES, environment=CALM)
        try:
            cls.start()
            cls.cluster.wait_ready()
        except BaseException:
            cls.cluster.keep = True
            cls.cluster.tell()
            cls.cluster.close()
            raise

    @classmethod
    def tearDownClass(cls):
        if cls.cluster.keep:
            cls.cluster.tell()
        cls.cluster.close_well()

    def run(self, result=None):
        troubles = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > troubles:
            self.cluster.keep = True


def main():
    print(f"seed {SEED} (HOLDFAST_SEED repeats it)")
    random.seed(SEED)
    unittest.main(verbosity=2)

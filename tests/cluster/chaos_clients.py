"""Clients that write down all they ask and are told, as JSON lines for holdfast-linear.

Each speaks HTTP by itself, for it must know whether a byte of a request left.  An operation is
`ok`, `condition` (refused, the answer says why), `failed` (certainly not done) or `unknown`."""
import json
import socket
import threading
import time

from chaos_cluster import seeded
from cluster import PATIENCE

TIMEOUT_S = 0.2
KEYS = 10
# Operations with an unknown outcome stay open for ever, and the checker has to try all of them at
# each place; so the keys are changed for fresh ones after so many operations.
OPS_PER_EPOCH, UNKNOWN_PER_EPOCH = 2500, 25


class NotSent(Exception):
    """No byte of the request left."""


class Wire:
    """One keep-alive connection."""

    def __init__(self, address):
        self.address, self.socket, self.rest = address, None, b""

    def close(self):
        if self.socket is not None:
            self.socket.close()
        self.socket, self.rest = None, b""

    def connect(self, deadline):
        try:
            self.socket = socket.create_connection(self.address, max(0.001, deadline - time.monotonic()))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            self.socket = None
            raise NotSent(str(error)) from error

    def ask(self, method, target, body, timeout_s):
        """Status and body."""
        deadline = time.monotonic() + timeout_s
        if self.socket is None:
            self.connect(deadline)
        head = f"{method} {target} HTTP/1.1\r\nHost: x\r\n"
        if body is not None:
            head += f"Content-Length: {len(body)}\r\n"
        try:
            self.socket.settimeout(max(0.001, deadline - time.monotonic()))
            self.socket.sendall(head.encode() + b"\r\n" + (body or b""))
            return self.answer(deadline)
        except OSError:
            self.close()
            raise

    def more(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        self.socket.settimeout(left)
        got = self.socket.recv(65536)
        if not got:
            raise ConnectionResetError("closed by the server")
        self.rest += got

    def answer(self, deadline):
        while b"\r\n\r\n" not in self.rest:
            self.more(deadline)
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        size = int(headers["content-length"])
        while len(self.rest) < size:
            self.more(deadline)
        body, self.rest = self.rest[:size], self.rest[size:]
        if headers.get("connection") == "close":
            self.close()
        return int(lines[0].split(" ")[1]), body


class Shared:
    """What the clients of one run have in common."""

    def __init__(self, cluster):
        self.cluster, self.directory = cluster, cluster.directory
        self.ending = threading.Event()
        self.lock = threading.Lock()
        self.epoch = 0
        self.in_epoch = {"ok": 0, "condition": 0, "failed": 0, "unknown": 0}
        self.outcomes = {"ok": 0, "condition": 0, "failed": 0, "unknown": 0}
        self.kinds = {}
        self.problems = []

    def count(self, kind, outcome):
        with self.lock:
            self.in_epoch[outcome] += 1
            if sum(self.in_epoch.values()) >= OPS_PER_EPOCH or self.in_epoch["unknown"] >= UNKNOWN_PER_EPOCH:
                self.in_epoch = dict.fromkeys(self.in_epoch, 0)
                self.epoch += 1
            self.outcomes[outcome] += 1
            self.kinds[kind] = self.kinds.get(kind, 0) + 1


class Client(threading.Thread):
    def __init__(self, shared, nodes, number, seed, pause_s):
        super().__init__(daemon=True)
        self.shared, self.number, self.pause_s = shared, number, pause_s
        self.rng = seeded(seed, "client", number)
        self.addresses = [(node.host, node.http_port) for node in nodes]
        self.wires = [Wire(address) for address in self.addresses]
        self.revisions = {} # what was last seen of a key
        self.writes = 0
        self.path = f"{shared.directory}/history.{number}.jsonl"

    def run(self):
        with open(self.path, "w", encoding="ascii") as self.file:
            while not self.shared.ending.is_set():
                try:
                    self.one()
                except Exception as error: # pylint: disable=broad-except
                    self.shared.problems.append(f"client {self.number}: {error!r}")
                    raise
                time.sleep(self.rng.random() * 2 * self.pause_s)
        for wire in self.wires:
            wire.close()

    # ---- what to ask

    def key(self, i=None):
        return f"k{self.rng.randrange(KEYS) if i is None else i}.{self.shared.epoch}"

    def value(self):
        self.writes += 1
        return f"{self.number}-{self.writes}"

    def expect(self, key):
        """Mostly what was seen last, sometimes nonsense."""
        return self.revisions.get(key, 0) if self.rng.random() < 0.9 else self.rng.randrange(100)

    def one(self):
        choice = self.rng.random()
        if choice < 0.30:
            self.read()
        elif choice < 0.40:
            self.read("consistency=lease")
        elif choice < 0.65:
            self.write({"op": "set", "key": self.key(), "value": self.value()})
        elif choice < 0.80:
            key = self.key()
            self.write({"op": "cas", "key": key, "value": self.value(), "expected": self.expect(key)})
        elif choice < 0.88:
            key = self.key()
            step = {"op": "delete", "key": key}
            if self.rng.random() < 0.4:
                step["expected"] = self.expect(key)
            self.write(step)
        else:
            self.batch()

    def time_limit(self):
        """Half of the time the server is to give up before the client does."""
        return [f"timeout={int(TIMEOUT_S * PATIENCE * 700)}ms"] if self.rng.random() < 0.5 else []

    # ---- asking

    def ask(self, record, method, target, query, body, judge):
        """Asks, lets `judge(status, answer)` fill in the record, and writes it down."""
        wire = self.wires[self.rng.choice(self.shared.cluster.occupied())]
        target += "?" + "&".join(query) if query else ""
        record["process"] = self.number
        record["node"] = self.wires.index(wire) + 1
        record["call"] = time.monotonic_ns()
        try:
            status, answer = wire.ask(method, target, body, TIMEOUT_S * PATIENCE)
            record["return"] = time.monotonic_ns()
            record["status"] = status
            judge(status, json.loads(answer))
        except NotSent:
            time.sleep(0.01) # the node is down: there is no hurry
            record["outcome"] = "failed"
            record["return"] = time.monotonic_ns()
        except OSError:
            record["outcome"] = "failed" if method == "GET" else "unknown"
            record["return"] = time.monotonic_ns()
        if record["outcome"] == "unknown":
            record.pop("return", None)
        self.shared.count(record["op"], record["outcome"])
        self.file.write(json.dumps(record, separators=(",", ":")) + "\n")

    def error(self, record, status, answer):
        outcome = answer.get("error", {}).get("outcome")
        known = {"not_applied": "failed", "unknown": "unknown"}
        if outcome not in known or status < 500 and status != 429:
            self.shared.problems.append(f"client {self.number}: {status} {answer} to {record}")
        record["outcome"] = known.get(outcome, "unknown")
        record["code"] = answer.get("error", {}).get("code")

    def read(self, *how):
        record = {"op": "get", "key": self.key(), "how": "".join(how)}

        def judge(status, answer):
            if status == 200:
                record.update(outcome="ok", value=answer["value"], revision=answer["revision"],
                              version=answer["version"])
                self.revisions[record["key"]] = answer["revision"]
            elif status == 404 and answer["error"]["code"] == "key_not_found":
                record["outcome"] = "ok"
                self.revisions.pop(record["key"], None)
            else:
                self.error(record, status, answer)
        self.ask(record, "GET", f"/kv/{record['key']}", self.time_limit() + list(how), None, judge)

    def write(self, record):
        key = record["key"]
        query = self.time_limit()
        if "expected" in record:
            query.append(f"if_revision={record['expected']}")

        def judge(status, answer):
            if status == 200:
                record["outcome"] = "ok"
                if record["op"] == "delete":
                    record["found"] = answer["deleted"] == 1
                    record["store_revision"] = answer["revision"]
                    self.revisions.pop(key, None)
                else:
                    record.update(revision=answer["revision"], version=answer["version"])
                    self.revisions[key] = answer["revision"]
            elif status == 404 and record["op"] == "delete" and answer["error"]["code"] == "key_not_found":
                record.update(outcome="ok", found=False)
            elif status == 412:
                self.refused(record, answer, key)
            else:
                self.error(record, status, answer)
        if record["op"] == "delete":
            self.ask(record, "DELETE", f"/kv/{key}", query, None, judge)
        else:
            body = json.dumps({"value": record["value"]}).encode()
            self.ask(record, "PUT", f"/kv/{key}", query, body, judge)

    def refused(self, record, answer, key):
        record.update(outcome="condition", failed_op=answer["error"].get("operation", 0),
                      failed_revision=answer["error"]["revision"])
        self.revisions[key] = answer["error"]["revision"]

    def batch(self):
        """Over a key and its neighbour, so that the checker's problems stay small."""
        pair = self.rng.randrange(KEYS // 2) * 2
        steps, asked = [], []
        for _ in range(self.rng.randrange(1, 5)):
            kind = self.rng.choice(("set", "set", "get", "delete"))
            step = {"op": kind, "key": self.key(pair + self.rng.randrange(2))}
            ask = {"type": kind, "key": step["key"]}
            if kind == "set":
                step["value"] = ask["value"] = self.value()
            if kind != "get" and self.rng.random() < 0.2:
                step["expected"] = ask["if_revision"] = self.expect(step["key"])
            steps.append(step)
            asked.append(ask)
        record = {"op": "batch", "ops": steps}

        def judge(status, answer):
            if status == 200:
                record.update(outcome="ok", store_revision=answer["revision"])
                for step, result in zip(steps, answer["results"], strict=True):
                    self.learn(step, result)
            elif status == 412:
                self.refused(record, answer, answer["error"]["key"])
            else:
                self.error(record, status, answer)
        body = json.dumps({"operations": asked}).encode()
        self.ask(record, "POST", "/batch", self.time_limit(), body, judge)

    @staticmethod
    def learn(step, result):
        if step["op"] == "delete":
            step["found"] = result["deleted"] == 1
        elif step["op"] == "set" or result["found"]:
            step.update(revision=result["revision"], version=result["version"])
            if step["op"] == "get":
                step["value"] = result["value"]


class Crowd:
    """The clients of a run, for the length of a `with`."""

    def __init__(self, cluster, seed, clients=8, pause_s=0.004):
        self.shared = Shared(cluster)
        self.clients = [Client(self.shared, cluster.places, n, seed, pause_s) for n in range(clients)]

    def __enter__(self):
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_):
        self.shared.ending.set()
        for client in self.clients:
            client.join(30)

    def answered(self):
        return self.shared.outcomes["ok"] + self.shared.outcomes["condition"]

    def snapshot(self):
        return dict(self.shared.outcomes)

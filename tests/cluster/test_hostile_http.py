"""Clients that mean harm, beside one that behaves well: it must hardly notice.

HOLDFAST_HOSTILE_CONNECTIONS: slow and idle connections at a time (2,000).
HOLDFAST_HOSTILE_SECONDS: the length of those attacks that could go on for ever (1)."""
import random
import socket
import subprocess
import time
import unittest

from cluster import CALM, PROGRAM, Cluster, SharedCluster, main, number
from hostile import (BODY_MAX, MIB, Bystander, cpu_seconds, descriptors, dial, drain, many, push, reset,
                     split_answers, talk, with_descriptors)

N = number("HOLDFAST_HOSTILE_CONNECTIONS", 2000)
SECONDS = number("HOLDFAST_HOSTILE_SECONDS", 1)
HOST = b"Host: a\r\n"
GET = b"GET /kv/well/1?raw HTTP/1.1\r\n" + HOST + b"\r\n"
CHUNKED = b"PUT /kv/hostile HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"


def put(key, length, more=b""):
    return b"PUT /kv/%s HTTP/1.1\r\n%sContent-Length: %d\r\n%s\r\n" % (key, HOST, length, more)


class Attacks(SharedCluster):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.leader = cls.cluster.wait_leader()
        cls.port = cls.leader.http_port
        cls.leader.put("big", b"b" * MIB)
        cls.bystander = Bystander(cls.cluster)

    @classmethod
    def tearDownClass(cls):
        cls.bystander.close()
        super().tearDownClass()

    def watch(self, name, seconds=0.0, connections=0):
        return self.bystander.watch(self, name, seconds, connections)

    def drip(self, name, first, byte):
        """Each of them is open, and says a little now and then."""
        with self.watch(name, SECONDS, N), many(self.port, N) as connections:
            for connection in connections:
                push(connection, first)
            for _ in range(3):
                for connection in connections:
                    push(connection, byte)
                time.sleep(SECONDS / 4)
            self.assertEqual(self.leader.get("well/1").status, 200, "there is room for one more")

    # ---- slow and idle

    def test_slow_headers(self):
        self.drip("slow headers", b"GET /kv/a HTTP/1.1\r\nHost: ", b"a")

    def test_slow_bodies(self):
        self.drip("slow bodies", put(b"hostile", BODY_MAX), b"a")

    def test_slow_chunks(self):
        self.drip("slow chunks", CHUNKED + b"100000\r\n", b"a")

    def test_idle_connections(self):
        self.drip("idle connections", GET, b"")

    def test_bodies_that_never_end(self):
        """Nearly whole, all of them: together more than the node may keep."""
        block = b"x" * 65536
        with self.watch("unfinished bodies", SECONDS, N // 10), many(self.port, N // 10) as connections:
            for connection in connections:
                push(connection, put(b"hostile", BODY_MAX))
            for _ in range(BODY_MAX // len(block) - 1):
                for connection in connections:
                    push(connection, block)
            self.assertEqual(self.leader.put("well/0", b"s" * 1000).status, 200, "small writes go on")

    # ---- without end, without measure

    def endless(self, name, first, again, status):
        """Sends until the node has had enough; it must say so, and take little."""
        until = time.monotonic() + SECONDS / 4
        with self.watch(name):
            while time.monotonic() < until:
                with dial(self.port) as connection:
                    sent = 0
                    try:
                        connection.sendall(first)
                        while sent < 64 * MIB:
                            connection.sendall(again)
                            sent += len(again)
                    except OSError:
                        pass
                    answers = split_answers(drain(connection))
                    self.assertIn(answers, ([status], []), name) # a reset may overtake the answer

    def test_endless(self):
        block = 65536
        for name, first, again, status in (
                ("endless chunk size", CHUNKED, b"0" * block, 400),
                ("endless chunk extension", CHUNKED + b"5;", b"a" * block, 400),
                ("endless trailers", CHUNKED + b"0\r\n", b"A: b\r\n" * 10000, 400),
                ("endless header", b"GET / HTTP/1.1\r\nA: ", b"a" * block, 431),
                ("endless headers", b"GET / HTTP/1.1\r\n" + HOST, b"A: b\r\n" * 10000, 431),
                ("endless target", b"GET /", b"a" * block, 414),
                ("endless chunks", CHUNKED, b"10000\r\n" + b"x" * block + b"\r\n", 413),
                ("endless spaces", b"GET /", b" " * block, 414)):
            with self.subTest(name):
                self.endless(name, first, again, status)

    # ---- numbers

    def test_pipelined_requests(self):
        with self.watch("pipelined requests"):
            self.assertEqual(talk(self.port, GET * 2000), [200] * 2000)
            self.assertEqual(talk(self.port, (b"HEAD" + GET[3:]) * 200, range(200)), [200] * 200)

    def test_floods_of_connections(self):
        with self.watch("open and close", SECONDS):
            for i in range(N):
                connection = dial(self.port)
                if i % 3 == 0:
                    push(connection, GET[:i % len(GET)])
                (reset if i % 2 else socket.socket.close)(connection)

    def test_readers_that_never_read(self):
        request = b"GET /kv/big?raw HTTP/1.1\r\n" + HOST + b"\r\n"
        n = 100
        with self.watch("no reader", SECONDS + 1, n), many(self.port, n) as connections:
            for connection in connections:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                push(connection, request * 1000)
            time.sleep(1)

    def test_resets_and_half_closed(self):
        with self.watch("resets", SECONDS):
            for first in (GET[:20], GET, GET * 3, put(b"hostile", 1000) + b"a" * 500, CHUNKED + b"5\r\nab",
                          b"GET /kv/big HTTP/1.1\r\n" + HOST + b"\r\n"):
                for _ in range(30):
                    connection = dial(self.port)
                    push(connection, first)
                    if random.random() < 0.5:
                        time.sleep(0.002)
                    reset(connection)
            self.assertEqual(talk(self.port, GET), [200], "half closed, and answered")
            with dial(self.port) as connection: # half closed in the middle of a request
                connection.sendall(put(b"hostile", 1000) + b"a" * 500)
                connection.shutdown(socket.SHUT_WR)
                self.assertNotIn(200, split_answers(drain(connection)))

    def test_expectations_without_a_body(self):
        n = 200
        with self.watch("expectations", SECONDS, n), many(self.port, n) as connections:
            for connection in connections:
                connection.sendall(put(b"hostile", 100000, b"Expect: 100-continue\r\n"))
            for connection in connections:
                self.assertTrue(connection.recv(100).startswith(b"HTTP/1.1 100 "))


class Limits(unittest.TestCase):
    """What nodes may have is little, and strangers want it all."""

    def test_too_few_descriptors_to_start(self):
        said = subprocess.run([*with_descriptors(30), PROGRAM, "server", "--data-dir=/nonexistent"],
                              capture_output=True, text=True, check=False)
        self.assertEqual(said.returncode, 2)
        self.assertRegex(said.stderr, r"may have 30 file descriptors, but the node needs \d+")
        self.assertIn("ulimit -n", said.stderr)

    def test_a_limit_of_64_descriptors(self):
        with Cluster(3, wrapper=with_descriptors(64), environment=CALM) as cluster:
            bystander = Bystander(cluster)
            leader, pid = bystander.leader, bystander.leader.process.pid
            with bystander.watch(self, "64 descriptors", SECONDS), many(leader.http_port, 100), \
                 many(leader.raft_port, 100):
                time.sleep(1 + SECONDS)
                self.assertLess(descriptors(pid), 64)
            bystander.close()
            self.assertNotIn("accepting paused", leader.log(), "clients cannot take them all")
            self.still_when_full(leader)
            for node in cluster.nodes:
                self.assertEqual(node.put("after", b"it").status, 200)

    def still_when_full(self, node):
        """It does not run in circles for those whom it cannot accept."""
        pid = node.process.pid
        with many(node.http_port, 100), many(node.raft_port, 100):
            began, cpu = time.monotonic(), cpu_seconds(pid)
            time.sleep(1.0)
            used = (cpu_seconds(pid) - cpu) / (time.monotonic() - began)
        print(f"at the limit: {used:.2f} of a processor")
        self.assertLess(used, 0.3)

    def test_the_limit_of_connections(self):
        """Those who do nothing make room; who is at work stays."""
        with Cluster(1, "--max-connections=64", environment=CALM) as cluster:
            bystander = Bystander(cluster)
            node = bystander.node
            with bystander.watch(self, "the limit of connections", SECONDS), many(node.http_port, 150):
                for _ in range(5):
                    self.assertEqual(node.get("well/1", timeout=20).status, 200)
                self.assertLessEqual(node.request("GET", "/stats").json()["connections"]["open"], 64)
            bystander.close()


# What could be understood in two ways: each must end in one answer and a closed connection, or be
# understood in the one right way.  INNER would delete what must stay, if anybody took it for a request.
INNER = b"DELETE /kv/canary HTTP/1.1\r\n" + HOST + b"\r\n"


def request(*lines, method=b"PUT", target=b"/kv/outer?raw", body=b""):
    return b"\r\n".join([method + b" " + target + b" HTTP/1.1", *lines, b"", body])


H, CL, TE = b"Host: a", b"Content-Length: %d" % len(INNER), b"Transfer-Encoding: chunked"
NONE = b"0\r\n\r\n"
SMUGGLING = {
    "both lengths": (request(H, CL, TE, body=INNER), [400]),
    "both lengths, the other way round": (request(H, TE, b"Content-Length: 5", body=NONE + INNER), [400]),
    "two codings": (request(H, TE, TE, body=NONE + INNER), [400]),
    "coding twice in one": (request(H, TE + b", chunked", body=NONE + INNER), [400]),
    "coding with identity": (request(H, TE + b", identity", body=NONE + INNER), [400]),
    "unknown coding": (request(H, b"Transfer-Encoding: xchunked", body=NONE + INNER), [400]),
    "quoted coding": (request(H, b'Transfer-Encoding: "chunked"', body=NONE + INNER), [400]),
    "coding with a tab before": (request(H, b"Transfer-Encoding:\tchunked", body=NONE), [200]),
    "coding with a vertical tab": (request(H, b"Transfer-Encoding: \x0bchunked", body=NONE + INNER), [400]),
    "coding in capitals": (request(H, b"TRANSFER-ENCODING: CHUNKED", body=NONE), [200]),
    "coding, space before the colon": (request(H, b"Transfer-Encoding : chunked", CL, body=INNER), [400]),
    "coding, folded": (request(H, b"Transfer-Encoding:\r\n chunked", CL, body=INNER), [400]),
    "coding after a bare LF": (request(H, b"A: b\nTransfer-Encoding: chunked", CL, body=INNER), [400]),
    "coding after a bare CR": (request(H, b"A: b\rTransfer-Encoding: chunked", CL, body=INNER), [400]),
    "coding in HTTP/1.0": (request(H, TE, body=NONE + INNER).replace(b"1.1", b"1.0", 1), [400]),
    "two lengths": (request(H, b"Content-Length: 0", CL, body=INNER), [400]),
    "two lengths that agree": (request(H, CL, CL, body=INNER), [400]),
    "two lengths in one": (request(H, b"Content-Length: 0, %d" % len(INNER), body=INNER), [400]),
    "a header without a colon": (request(H, b"A", CL, body=INNER), [400]),
    "a folded header": (request(H, b"A: b", b" Content-Length: 0", CL, body=INNER), [400]),
    "a folded first header": (request(b" Host: a", CL, body=INNER), [400]),
    "NUL in a value": (request(H, b"A: \0", CL, body=INNER), [400]),
    "NUL in a name": (request(H, b"Content-Length\0: 0", CL, body=INNER), [400]),
    "no Host": (request(CL, body=INNER), [400]),
    "two Hosts": (request(H, b"Host: b", CL, body=INNER), [400]),
    "absolute form": (request(H, CL, target=b"http://b/kv/outer", body=INNER), [400]),
    "authority form": (request(H, CL, method=b"CONNECT", target=b"a:80", body=INNER), [400]),
    "asterisk form": (request(H, CL, method=b"OPTIONS", target=b"*", body=INNER), [400]),
    "two spaces": (request(H, CL, target=b" /kv/outer", body=INNER), [400]),
    "a tab for a space": (request(H, CL, body=INNER).replace(b" ", b"\t", 1), [400]),
    "bare line feeds": (request(H, CL, body=INNER).replace(b"\r\n", b"\n"), [400]),
    "an empty line first": (b"\r\n" + request(H, CL, body=INNER), [400]),
    "HTTP/1.10": (request(H, CL, body=INNER).replace(b"1.1", b"1.10", 1), [400]),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + INNER, [505]),
    "HTTP/0.9": (b"GET /kv/canary\r\n" + INNER, [400]),
    "a TLS greeting": (b"\x16\x03\x01\x02\x00\x01\x00" + INNER, [400]),
    "chunk with an extension": (request(H, TE, body=b"1;a=b\r\nx\r\n" + NONE + INNER), [400]),
    "chunk size with 0x": (request(H, TE, body=b"0x1\r\nx\r\n" + NONE + INNER), [400]),
    "chunk size with plus": (request(H, TE, body=b"+1\r\nx\r\n" + NONE + INNER), [400]),
    "chunk size negative": (request(H, TE, body=b"-1\r\nx\r\n" + NONE + INNER), [400]),
    "chunk size with a space": (request(H, TE, body=b"1 \r\nx\r\n" + NONE + INNER), [400]),
    "chunk size that overflows": (request(H, TE, body=b"10000000000000001\r\nx\r\n" + NONE + INNER), [400, 413]),
    "chunk longer than said": (request(H, TE, body=b"1\r\nxy\r\n" + NONE + INNER), [400]),
    "chunk with a bare line feed": (request(H, TE, body=b"1\nx\n0\n\n" + INNER), [400]),
    "trailers": (request(H, TE, body=b"0\r\nContent-Length: 9\r\n\r\n" + INNER), [400]),
    # understood in the one right way
    "a request in a body": (request(H, CL, body=INNER), [200]),
    "a request in a chunk": (request(H, TE, body=b"%x\r\n%s\r\n%s" % (len(INNER), INNER, NONE)), [200]),
    "GET with a body": (request(H, CL, method=b"GET", target=b"/kv/canary", body=INNER), [200]),
    "HEAD with a body": (request(H, CL, method=b"HEAD", target=b"/kv/canary", body=INNER), [200]),
    "DELETE with a body": (request(H, CL, method=b"DELETE", target=b"/kv/outer", body=INNER), [200, 404]),
    "TRACE with a body": (request(H, CL, method=b"TRACE", target=b"/kv/outer", body=INNER), [405]),
    "PATCH with a body": (request(H, CL, method=b"PATCH", body=INNER), [405]),
    "an unknown method with a body": (request(H, CL, method=b"BREW", body=INNER), [405, 501]),
    "a method in small letters": (request(H, CL, method=b"put", body=INNER), [405, 501]),
}
for wrong in (b"+%d", b"-%d", b"0x%x", b"%d ,", b"%d.0", b"%de0", b"% d", b"%d abc", b"\x0b%d", b"00000000000000000%d",
              b"18446744073709551616%d", b""):
    text = wrong % len(INNER) if b"%" in wrong else wrong
    SMUGGLING[f"a length of {text!r}"] = (request(H, b"Content-Length: " + text, body=INNER),
                                          [200] if text.strip(b" ") == b"%d" % len(INNER) else [400])


class Smuggling(SharedCluster):
    NODES = 1

    def test_nothing_is_understood_in_two_ways(self):
        node = self.cluster.nodes[0]
        self.assertEqual(node.put("canary", b"sings").status, 200)
        for name, (data, expected) in SMUGGLING.items():
            # Whole, and byte by byte around the places where the parsers change.
            for cut in (None, 1, data.find(b"\r\n") + 1, len(data) - len(INNER)):
                with self.subTest(name, cut=cut):
                    head = (0,) if data.startswith(b"HEAD") else ()
                    answers = self.told(node.http_port, data, cut, head)
                    self.assertEqual(len(answers), 1, f"{answers}: one answer, then the end")
                    self.assertIn(answers[0], expected)
        self.assertEqual(node.get("canary").body, b"sings")

    def told(self, port, data, cut, heads):
        if cut is None or not 0 < cut < len(data):
            return talk(port, data, heads)
        with dial(port) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(data[:cut])
            time.sleep(0.001)
            try:
                connection.sendall(data[cut:])
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            return split_answers(drain(connection), heads)


if __name__ == "__main__":
    main()

"""Values come back byte for byte, from each node; and what is too large is refused by name."""
import base64
import json
import random

from cluster import SharedCluster, main, number

MIB = 1024 * 1024


class Values(SharedCluster):
    NODES = number("HOLDFAST_NODES", 3)

    def round_trip(self, key, value):
        """Writes at one node, reads raw and in JSON at each."""
        writer = random.choice(self.cluster.nodes)
        answer = writer.put(key, value)
        self.assertEqual(answer.status, 200, answer)
        for reader in self.cluster.nodes:
            answer = reader.get(key)
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(answer.headers["Content-Type"], "application/octet-stream")
            self.assertTrue(answer.body == value, f"{key!r}: other bytes came back from {reader.name}")
            shown = reader.get(key, query="").json()
            in_json = (base64.b64decode(shown["value_b64"]) if "value_b64" in shown
                       else shown["value"].encode())
            self.assertTrue(in_json == value, f"{key!r}: other bytes in JSON from {reader.name}")

    def test_empty(self):
        self.round_trip("empty", b"")
        self.assertEqual(self.cluster.nodes[0].get("empty", query="").json()["value"], "")

    def test_one_mebibyte(self):
        self.round_trip("large", random.randbytes(MIB))

    def test_all_256_bytes(self):
        self.round_trip("bytes", bytes(range(256)))

    def test_utf8(self):
        text = "grüße, 世界, 🦀"
        self.round_trip("utf8", text.encode())
        self.assertEqual(self.cluster.nodes[0].get("utf8", query="").json()["value"], text)

    def test_json_in_and_out(self):
        value = 'quote " backslash \\ newline \n tab \t'
        node = self.cluster.nodes[0]
        answer = node.request("PUT", "/kv/json", json.dumps({"value": value}))
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(self.cluster.nodes[-1].get("json").body, value.encode())

    def test_keys_of_all_kinds(self):
        for key in (b"a", b"a/b/c", b"/", b"//", b"with space", b"100%", b"%41", b"a+b", b"?x=1&y#z",
                    "schlüssel".encode(), b"\x00", b"\xff\xfe", b"k" * 511, bytes(range(1, 256)),
                    b".", b"..", b"a/../b", b"{\"value\"}"):
            with self.subTest(key=key[:20]):
                self.round_trip(key, b"value of " + key)

    def test_a_key_of_512_bytes_is_refused(self):
        answer = self.cluster.nodes[0].put("k" * 512, b"x")
        self.assertIn(answer.status, (400, 413), answer)
        self.assertIn("511", answer.json()["error"]["message"])

    def test_an_empty_key_is_refused(self):
        self.assertEqual(self.cluster.nodes[0].request("PUT", "/kv/", b"x").status, 400)

    def test_a_value_over_the_limit_is_refused(self):
        for size in (MIB + 1, 2 * MIB):
            answer = self.cluster.nodes[0].put("too-large", b"x" * size)
            self.assertEqual((answer.status, answer.code()), (413, "too_large"), answer)
        self.assertEqual(self.cluster.nodes[0].get("too-large").status, 404)

    def test_a_percent_zero_is_a_byte_like_others(self):
        answer = self.cluster.nodes[0].request("PUT", "/kv/a%00b", b"x",
                                               {"Content-Type": "application/octet-stream"})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(self.cluster.nodes[0].get(b"a\0b").body, b"x")
        self.assertEqual(self.cluster.nodes[0].get(b"a").status, 404)

    def test_many_random_values(self):
        for i in range(40):
            key = random.randbytes(random.choice((1, 2, 17, 200, 511)))
            self.round_trip(key, random.randbytes(random.choice((0, 1, 15, 4096, 70000))))


if __name__ == "__main__":
    main()

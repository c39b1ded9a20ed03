"""The quick start of the README: three nodes from one directory, every curl line at each port."""
from cluster import PROGRAM, SharedCluster, main, wait_for


def with_one_dash(node):
    return ["-mode=server"] + [flag[1:] for flag in node.flags()]


class QuickStart(SharedCluster):
    NODES = 3

    @classmethod
    def start(cls):
        for node in cls.cluster.nodes:
            node.launch([PROGRAM] + with_one_dash(node))

    def each(self):
        for node in self.cluster.nodes:
            with self.subTest(at=node.name):
                yield node

    def test_one_leader_and_two_followers(self):
        def states():
            said = [node.status() for node in self.cluster.nodes]
            return all(said) and sorted(s["state"] for s in said) == ["follower", "follower", "leader"]
        wait_for("one node says leader, two say follower", states)

    def test_put_get_delete(self):
        for node in self.each():
            key = f"hello-{node.name}"
            answer = node.request("PUT", f"/kv/{key}", b'{"value":"world"}',
                                  {"Content-Type": "application/x-www-form-urlencoded"})
            self.assertEqual(answer.status, 200, answer)
            put = answer.json()
            self.assertEqual((put["key"], put["version"], put["created"]), (key, 1, True))
            for reader in self.cluster.nodes:
                answer = reader.request("GET", f"/kv/{key}")
                self.assertEqual(answer.status, 200, answer)
                self.assertEqual(answer.json()["value"], "world")
                self.assertEqual(answer.headers["ETag"], f'"{put["revision"]}"')
            answer = node.request("DELETE", f"/kv/{key}")
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(answer.json()["deleted"], 1)
            for reader in self.cluster.nodes:
                answer = reader.request("GET", f"/kv/{key}")
                self.assertEqual((answer.status, answer.code()), (404, "key_not_found"), answer)
            self.assertEqual(node.request("DELETE", f"/kv/{key}").status, 404)

    def test_batch(self):
        for node in self.each():
            body = ('{"operations":[{"type":"set","key":"a","value":"1"},'
                    '{"type":"get","key":"a"},{"type":"delete","key":"b"}]}')
            answer = node.request("POST", "/batch", body,
                                  {"Content-Type": "application/x-www-form-urlencoded"})
            self.assertEqual(answer.status, 200, answer)
            results = answer.json()["results"]
            self.assertEqual([r["type"] for r in results], ["set", "get", "delete"])
            self.assertEqual(results[1]["value"], "1", "a get sees the set before it")

    def test_list(self):
        for node in self.each():
            for i in range(3):
                self.assertEqual(node.put(f"app/{node.name}/{i}", b"x").status, 200)
            page = node.request("GET", f"/kv?prefix=app/{node.name}/&limit=2").json()
            self.assertEqual((page["count"], page["more"]), (2, True))
            rest = node.request("GET", f"/kv?prefix=app/{node.name}/&limit=2&cursor={page['cursor']}").json()
            self.assertEqual((rest["count"], rest["more"]), (1, False))

    def test_documents_that_jq_takes(self):
        for node in self.each():
            for path in ("/cluster/info", "/status", "/stats", "/health", "/version"):
                answer = node.request("GET", path)
                self.assertEqual(answer.status, 200, (path, answer))
                self.assertIsInstance(answer.json(), dict, path)
            members = node.request("GET", "/cluster/info").json()["members"]
            self.assertEqual(len(members), 3)
            self.assertEqual([m["role"] for m in members].count("leader"), 1)

    def test_every_member_is_known_by_name(self):
        def known():
            for node in self.cluster.nodes:
                members = node.request("GET", "/cluster/info").json()["members"]
                if sorted(str(m["name"]) for m in members) != ["node1", "node2", "node3"]:
                    return False
            return True
        wait_for("each node knows the name of each", known)

    def test_redirect_on_request(self):
        leader = self.cluster.wait_leader()
        follower = next(node for node in self.cluster.nodes if node is not leader)
        answer = follower.request("PUT", "/kv/redirected?redirect", b'{"value":"x"}')
        self.assertEqual(answer.status, 307, answer)
        self.assertEqual(answer.headers["Location"].split("?")[0], f"{leader.url}/kv/redirected")

    def test_leader_for_load_balancers(self):
        leader = self.cluster.wait_leader()
        for node in self.each():
            self.assertEqual(node.request("GET", "/leader").status, 200 if node is leader else 503)


if __name__ == "__main__":
    main()

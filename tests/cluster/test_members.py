"""Members come and go: growing with --join alone, replacing a dead node, removing the leader, two changes
at once - all of it while clients write."""
import json
import os
import subprocess
import sys
import threading
import unittest

from cluster import PATIENCE, PROGRAM, Cluster, Node, number, wait_for
from load import Load

ROUNDS = number("HOLDFAST_ROUNDS", 3)


class Joiner(Node):
    """A node that knows where the cluster is, and nothing else."""

    def __init__(self, cluster, name, *extra):
        super().__init__(cluster, name, cluster.ports.take(), cluster.ports.take())
        # Of those that were there first: the very same line each time.
        self.line = [f"--id={name}", f"--raft-addr={self.raft_addr}", f"--http-addr={self.http_addr}",
                     f"--join={','.join(n.raft_addr for n in cluster.nodes)}",
                     f"--data-dir={os.path.join(cluster.directory, 'data')}", *extra]

    def flags(self):
        return self.line


class First(Node):
    def flags(self):
        return [f"--id={self.name}", f"--raft-addr={self.raft_addr}", f"--http-addr={self.http_addr}",
                f"--data-dir={os.path.join(self.cluster.directory, 'data')}"]


def one_node():
    cluster = Cluster(0)
    cluster.nodes.append(First(cluster, "node1", cluster.ports.take(), cluster.ports.take()))
    return cluster


def join(cluster, *extra):
    node = Joiner(cluster, f"node{len(cluster.nodes) + 1}", *extra).start()
    cluster.nodes.append(node)
    return node


def command(cluster, *words):
    """holdfast WORDS, asked of the running nodes; its exit status and what it said."""
    endpoints = ",".join(node.http_addr for node in cluster.running())
    run = subprocess.run([PROGRAM, *words, f"--endpoints={endpoints}",
                          f"--timeout={10 * PATIENCE:.0f}s"], capture_output=True, text=True)
    return run.returncode, run.stdout + run.stderr


def members(cluster):
    """Name to role, as the leader has it; None if nobody can tell."""
    for node in cluster.running():
        try:
            answer = node.request("GET", "/cluster/members", timeout=3.0)
            if answer.status == 200 and answer.json()["from_leader"]:
                return {m["name"] or m["raft_addr"]: m["role"] for m in answer.json()["members"]}
        except (OSError, ValueError, KeyError):
            pass
    return None


def wait_members(cluster, voters, seconds=30.0):
    """All of them are voters, nobody else is a member."""
    def as_wanted():
        found = members(cluster)
        return found is not None and sorted(found) == sorted(voters) and \
            all(role in ("leader", "voter") for role in found.values())
    try:
        wait_for(f"the members are {voters}", as_wanted, seconds)
    except AssertionError as problem:
        raise AssertionError(f"{problem}; they are {members(cluster)}") from None


def remove(cluster, node):
    status, said = command(cluster, "member", "remove", node.name)
    assert status == 0, f"remove {node.name}: {said}"
    node.ended_by_us = True
    ended = node.process.wait(20 * PATIENCE)
    assert ended == 0, f"{node.name} was removed and ended with status {ended}"


class Person(threading.Thread):
    """Writes with the command-line client, which repeats by itself what is safe to repeat; what it calls
    unknown is asked once more, as a person would.  For the length of a `with`."""

    def __init__(self, cluster, name):
        super().__init__(daemon=True)
        self.cluster, self.name_of_person = cluster, name
        self.ending, self.done, self.repeated, self.problems = threading.Event(), 0, 0, []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.join(60)

    def run(self):
        while not self.ending.is_set():
            words = ("put", f"person/{self.name_of_person}/{self.done}", str(self.done))
            status, said = command(self.cluster, *words)
            if status == 4:
                self.repeated += 1
                status, said = command(self.cluster, *words)
            if status != 0:
                self.problems.append((status, said))
            self.done += 1


class Members(unittest.TestCase):
    def test_a_cluster_grows_and_shrinks_under_load(self):
        with one_node() as cluster:
            cluster.wait_ready()
            with Load(cluster, writers=2, pause=0.005) as load, Person(cluster, "a") as person:
                for n in range(2, 6):
                    join(cluster)
                    wait_members(cluster, [f"node{i}" for i in range(1, n + 1)])
                    if n == 2 or n == 4:
                        continue # on to three, and to five
                    # Once more by the same line, each of them.
                    for node in cluster.nodes:
                        self.assertEqual(node.stop(), 0)
                        node.start()
                        cluster.wait_ready()
                    wait_members(cluster, [f"node{i}" for i in range(1, n + 1)])
                load.wait_progress(100)
                leader = cluster.wait_leader()
                remove(cluster, leader)
                remaining = [node for node in cluster.nodes if node is not leader]
                remove(cluster, remaining[0])
                wait_members(cluster, [node.name for node in remaining[1:]])
                cluster.wait_ready()
                load.wait_progress(100)
            print(f"{person.done} writes by the client, {person.repeated} asked once more")
            self.assertEqual(person.problems, [], "no request fails that a client's repetition does not cover")
            self.assertGreater(person.done, 20)
            problems = [problem for writer in load.writers for problem in writer.problems]
            self.assertEqual(problems, [])
            acknowledged = sum(len(writer.acknowledged) for writer in load.writers)
            self.assertGreater(acknowledged, 100)
            # Every acknowledged write is there, on each of the three.
            for node in remaining[1:]:
                for writer in load.writers:
                    for i in writer.acknowledged[::max(1, len(writer.acknowledged) // 50)]:
                        answer = node.get(writer.key(i))
                        self.assertEqual((answer.status, answer.body), (200, writer.value(i)))
            # Who was removed stays away.
            again = subprocess.run([PROGRAM, "server", *leader.flags()], capture_output=True, text=True,
                                   timeout=60 * PATIENCE)
            self.assertEqual(again.returncode, 77, again.stderr)
            self.assertIn("removed", again.stderr)

    def test_a_dead_node_is_replaced_by_one_command(self):
        with Cluster(3) as cluster:
            cluster.wait_ready()
            cluster.nodes[0].put("kept", b"1")
            old = cluster.wait_leader()
            for _ in range(ROUNDS):
                old.kill()
                cluster.wait_ready()
                new = join(cluster, f"--replace={old.name}")
                wait_members(cluster, [node.name for node in cluster.running()])
                self.assertEqual(new.get("kept").body, b"1")
                old = cluster.wait_leader()

    def test_who_replaces_a_member_that_is_not_known_yet_everywhere_waits(self):
        with Cluster(3) as cluster:
            cluster.wait_ready()
            new = Joiner(cluster, "node5", "--replace=node4").start()
            late = join(cluster)
            self.assertEqual(late.name, "node4")
            cluster.nodes.append(new)
            wait_members(cluster, ["node1", "node2", "node3", "node5"])
            late.ended_by_us = True
            self.assertEqual(late.process.wait(20 * PATIENCE), 0)

    def test_of_two_changes_at_once_one_is_refused(self):
        with Cluster(5) as cluster:
            leader = cluster.wait_ready()
            a, b = [node for node in cluster.nodes if node is not leader][:2]
            accepted = refused = 0
            connections = [node.connect() for node in (leader, leader)]
            for connection, node in zip(connections, (a, b)):
                connection.http.request("DELETE", f"/cluster/members/{node.name}")
            for connection, node in zip(connections, (a, b)):
                response = connection.http.getresponse()
                body = json.loads(response.read())
                connection.close()
                if response.status == 200:
                    accepted += 1
                    gone = node
                else:
                    self.assertEqual((response.status, body["error"]["code"]), (409, "change_under_way"))
                    refused += 1
            self.assertEqual((accepted, refused), (1, 1))
            gone.ended_by_us = True
            self.assertEqual(gone.process.wait(20 * PATIENCE), 0)

    def test_what_is_refused_and_why(self):
        with Cluster(3) as cluster:
            leader = cluster.wait_ready()
            dead, other = [node for node in cluster.nodes if node is not leader]
            dead.kill()
            cluster.wait_ready()
            # Only the leader would be left of two.
            wait_for("the leader misses it", lambda: cluster.wait_leader().request(
                "DELETE", f"/cluster/members/{other.name}").code() == "quorum_at_risk")
            self.assertEqual(leader.request("DELETE", "/cluster/members/nobody").code(), "no_such_member")
            answer = leader.request("POST", "/cluster/members", json.dumps({"raft_addr": other.raft_addr}))
            self.assertEqual(answer.code(), "member_exists")
            late = Joiner(cluster, dead.name)
            late.line[-1] += "2" # on another disk, that is
            run = subprocess.run([PROGRAM, "server", *late.flags()], capture_output=True, text=True,
                                 timeout=60 * PATIENCE)
            self.assertEqual(run.returncode, 2)
            self.assertIn("--replace", run.stderr)

    def test_a_member_moves_to_another_address(self):
        with one_node() as cluster:
            cluster.wait_ready()
            second, third = join(cluster), None
            wait_members(cluster, ["node1", "node2"])
            third = join(cluster)
            wait_members(cluster, ["node1", "node2", "node3"])
            second.stop()
            port = cluster.ports.take()
            second.line = [f"--raft-addr=127.0.0.1:{port}" if flag.startswith("--raft-addr") else flag
                           for flag in second.line]
            second.start()

            def moved():
                answer = third.request("GET", "/cluster/members").json()
                return f"127.0.0.1:{port}" in [m["raft_addr"] for m in answer["members"]]
            wait_for("the others know its new address", moved)
            cluster.wait_ready()

    def test_the_leadership_goes_where_it_is_asked_to(self):
        with Cluster(3) as cluster:
            cluster.wait_ready()
            wait_for("every member has told its name", lambda: all(
                member["name"]
                for member in cluster.wait_leader().request("GET", "/cluster/info").json()["members"]))
            cluster.wait_applied()
            for node in cluster.nodes:
                status, said = command(cluster, "leader", "transfer", node.name)
                self.assertEqual(status, 0, said)
                self.assertEqual(cluster.wait_leader().name, node.name)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))

"""Nodes that find each other by a name in DNS: all are started by the same line, a cluster begins when the
expected number see each other, later ones join, and never is there a cluster of one by accident."""
import http.client
import json
import socket
import unittest

from cluster import PATIENCE, Cluster, Node, wait_for
from dns import Dns
from test_members import members, wait_members

NAME = "holdfast.test"


class Finder(Node):
    """A node that is told nothing but a name; on a loopback address of its own, as a pod has one."""

    def __init__(self, cluster, name, host, dns, *extra, place=None, port=None, expect=3):
        super().__init__(cluster, name, cluster.ports.take(), port or cluster.raft_port)
        self.host, self.raft_addr = host, f"{host}:{self.raft_port}"
        self.words = [f"--id={name}", f"--raft-addr={self.raft_addr}", f"--http-addr={self.http_addr}",
                      f"--discover={place or f'dns:{NAME}:{cluster.raft_port}'}", dns.flag,
                      *([f"--expect={expect}"] if expect else []),
                      "--data-dir=" + cluster.directory + "/data", *extra]
        cluster.nodes.append(self)

    def flags(self):
        return self.words

    def whois(self):
        connection = http.client.HTTPConnection(self.host, self.raft_port, timeout=3 * PATIENCE)
        try:
            connection.request("GET", "/raft/whois")
            return json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException):
            return {}
        finally:
            connection.close()

    def wait_says(self, sentence, seconds=30):
        wait_for(f"{self.name} says: {sentence}", lambda: sentence in self.log(), seconds)


def free_on(hosts):
    """A port that is free on all of these addresses."""
    while True:
        held = [socket.socket() for _ in hosts]
        try:
            held[0].bind((hosts[0], 0))
            for holder, host in zip(held[1:], hosts[1:]):
                holder.bind((host, held[0].getsockname()[1]))
            return held[0].getsockname()[1]
        except OSError:
            continue
        finally:
            for holder in held:
                holder.close()


def hosts(*numbers):
    return [f"127.0.7.{n}" for n in numbers]


def begin(dns):
    cluster = Cluster(0)
    cluster.raft_port = free_on(hosts(*range(1, 7)))
    dns.addresses[NAME] = []
    return cluster


def clusters(nodes):
    return {node.whois().get("cluster_id") for node in nodes}


class Discover(unittest.TestCase):
    def test_three_begin_together_a_fourth_joins_and_all_restart_by_the_same_line(self):
        with Dns() as dns, begin(dns) as cluster:
            dns.addresses[NAME] = hosts(1, 2, 3)
            first = [Finder(cluster, f"node{i}", f"127.0.7.{i}", dns).start() for i in (1, 2, 3)]
            wait_members(cluster, ["node1", "node2", "node3"])
            self.assertEqual(first[0].put("key", b"value").status, 200)
            dns.addresses[NAME] = hosts(1, 2, 3, 4)
            fourth = Finder(cluster, "node4", "127.0.7.4", dns).start()
            wait_members(cluster, ["node1", "node2", "node3", "node4"])
            self.assertEqual(len(clusters(cluster.nodes)), 1)
            # Their directories tell them who they are: DNS may be gone.
            dns.silent, asked = True, dns.asked
            for node in cluster.nodes:
                self.assertEqual(node.stop(), 0)
            for node in cluster.nodes:
                node.start()
            wait_members(cluster, ["node1", "node2", "node3", "node4"])
            self.assertEqual(fourth.get("key").body, b"value")
            self.assertEqual(dns.asked, asked)

    def test_one_or_two_of_three_wait_and_say_so(self):
        with Dns() as dns, begin(dns) as cluster:
            dns.addresses[NAME] = hosts(1)
            one = Finder(cluster, "node1", "127.0.7.1", dns).start()
            one.wait_says("1 of 3 expected addresses are seen")
            dns.addresses[NAME] = hosts(1, 2)
            Finder(cluster, "node2", "127.0.7.2", dns).start()
            one.wait_says("2 of 3 expected addresses are seen")
            # The third address is there before the third node: nobody begins without its word.
            dns.addresses[NAME] = hosts(1, 2, 3)
            one.wait_says("127.0.7.3:%d does not answer yet" % cluster.raft_port)
            self.assertIn("waits", one.whois())
            Finder(cluster, "node3", "127.0.7.3", dns).start()
            wait_members(cluster, ["node1", "node2", "node3"])

    def test_more_than_expected_wait_and_say_so(self):
        with Dns() as dns, begin(dns) as cluster:
            dns.addresses[NAME] = hosts(1, 2, 3, 4)
            nodes = [Finder(cluster, f"node{i}", f"127.0.7.{i}", dns).start() for i in (1, 2, 3, 4)]
            for node in nodes:
                node.wait_says("4 addresses are seen, more than the 3 expected")
            self.assertEqual(clusters(nodes), {None})
            # A node that waits ends in order.
            self.assertEqual(nodes[3].stop(), 0)
            dns.addresses[NAME] = hosts(1, 2, 3)
            wait_members(cluster, ["node1", "node2", "node3"])

    def test_nodes_that_see_different_sets_begin_nothing(self):
        with Dns() as dns, Dns() as other, begin(dns) as cluster:
            dns.addresses[NAME], other.addresses[NAME] = hosts(1, 2, 3), hosts(2, 3, 4)
            one = Finder(cluster, "node1", "127.0.7.1", dns).start()
            two = Finder(cluster, "node2", "127.0.7.2", dns).start()
            three = Finder(cluster, "node3", "127.0.7.3", other).start()
            four = Finder(cluster, "node4", "127.0.7.4", other).start()
            one.wait_says("is not ready for the same set of nodes yet")
            four.wait_says("is not ready for the same set of nodes yet")
            self.assertEqual(clusters([one, two, three, four]), {None})
            # When the views are one again there is one cluster, which the fourth joins.
            other.addresses[NAME] = hosts(1, 2, 3)
            wait_for("node1 begins", lambda: clusters([one, two, three]) not in ({None}, set()) and
                     None not in clusters([one, two, three]), 40)
            wait_members(cluster, ["node1", "node2", "node3", "node4"], 40)
            self.assertEqual(len(clusters(cluster.nodes)), 1)

    def test_without_expect_a_node_only_joins(self):
        with Dns() as dns, begin(dns) as cluster:
            dns.addresses[NAME] = hosts(1)
            joiner = Finder(cluster, "node1", "127.0.7.1", dns, expect=0).start()
            joiner.wait_says("the first nodes need --expect=N")
            # --expect=1 is the word for a cluster of one.
            dns.addresses[NAME] = hosts(2)
            Finder(cluster, "node2", "127.0.7.2", dns, expect=1).start()
            wait_members(cluster, ["node1", "node2"])

    def test_services_name_the_ports_too(self):
        with Dns() as dns, begin(dns) as cluster:
            ports = [free_on(hosts(1)) for _ in range(3)]
            dns.addresses["one.test"] = hosts(1)
            dns.services["_raft._tcp.holdfast.test"] = [("one.test", port) for port in ports]
            for i, port in enumerate(ports):
                Finder(cluster, f"node{i + 1}", "127.0.7.1", dns, port=port,
                       place="dns-srv:_raft._tcp.holdfast.test").start()
            wait_members(cluster, ["node1", "node2", "node3"])

    def test_a_first_member_that_comes_late_takes_its_place(self):
        with Dns() as dns, begin(dns) as cluster:
            dns.addresses[NAME] = hosts(1, 2, 3, 4)
            nodes = [Finder(cluster, f"node{i}", f"127.0.7.{i}", dns) for i in (1, 2, 3)]
            for node in nodes[:2]: # as if they had begun, and the third had died in the last moment
                node.words = [word for word in node.words if not word.startswith(("--disc", "--exp", "--dns"))]
                node.words.append("--peers=" + ",".join(n.raft_addr for n in nodes))
                node.start()
            wait_for("two of three serve", lambda: nodes[0].status() and nodes[0].put("key", b"value").status == 200)
            nodes[2].start()
            wait_members(cluster, ["node1", "node2", "node3"])
            nodes[2].wait_says("all are ready: a cluster begins")

    def test_a_first_member_that_lost_its_disk_is_told_that_its_place_is_taken(self):
        with Dns() as dns, begin(dns) as cluster:
            dns.addresses[NAME] = hosts(1, 2, 3)
            nodes = [Finder(cluster, f"node{i}", f"127.0.7.{i}", dns).start() for i in (1, 2, 3)]
            wait_members(cluster, ["node1", "node2", "node3"])
            lost = nodes[2]
            self.assertEqual(lost.stop(), 0)
            lost.words[0] = "--id=node5" # its directory is another: an empty one
            lost.start()
            self.assertNotEqual(lost.process.wait(30 * PATIENCE), 0)
            lost.wait_says("the cluster does not take this node")
            cluster.nodes.remove(lost)
            self.assertEqual(sorted(members(cluster)), ["node1", "node2", "node3"])


if __name__ == "__main__":
    unittest.main()

"""Nodes in network namespaces of their own, with this process as their router: what is cut loses real
packets, and TCP finds out in its own time.  Needs to be allowed to make namespaces (root)."""
import os
import subprocess
import sys
import time

INSIDE = "HOLDFAST_CHAOS_INSIDE"


def enter():
    """Runs this program again in a network namespace, where nothing of it touches the machine's.
    Returns in there, or with a reason why it cannot be."""
    if INSIDE in os.environ:
        ip("link set lo up")
        with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as file:
            file.write("1")
        return None
    tried = subprocess.run(["unshare", "--net", "ip", "rule", "add", "from", "10.0.0.1", "blackhole"],
                           capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        return tried.stderr.strip() or "unshare --net failed"
    os.environ[INSIDE] = "1"
    sys.stdout.flush()
    os.execvp("unshare", ["unshare", "--net", sys.executable] + sys.argv)
    return "not reached"


def ip(words, inside=()):
    subprocess.run([*inside, "ip", *words.split()], check=True)


class Namespaces:
    kind = "namespaces"

    def __init__(self, nodes):
        self.cuts = set()
        for node in nodes:
            self.place(node)

    def place(self, node):
        """10.77.n.2, behind the router's 10.77.n.1."""
        n = node.number
        # The namespace lives as long as this process; nodes come and go.
        node.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        pid = node.holder.pid
        own = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{pid}/ns/net") == own:
            time.sleep(0.01)
        node.inside = ["nsenter", "-t", str(pid), "-n", "--"]
        ip(f"link add hf{n} type veth peer name node{n}")
        ip(f"link set node{n} netns {pid}")
        ip(f"addr add 10.77.{n}.1/24 dev hf{n}")
        ip(f"link set hf{n} up")
        ip("link set lo up", node.inside)
        ip(f"addr add 10.77.{n}.2/24 dev node{n}", node.inside)
        ip(f"link set node{n} up", node.inside)
        ip(f"route add default via 10.77.{n}.1", node.inside)
        node.host = f"10.77.{n}.2"
        node.raft_addr = f"{node.host}:{node.raft_port}"
        node.http_addr = f"{node.host}:{node.http_port}"
        node.url = f"http://{node.http_addr}"

    @staticmethod
    def rule(what, a, b):
        ip(f"rule {what} from 10.77.{a}.2 to 10.77.{b}.2 blackhole")

    def cut(self, a, b):
        if (a.number, b.number) not in self.cuts:
            self.cuts.add((a.number, b.number))
            self.rule("add", a.number, b.number)

    def heal(self, a, b):
        if (a.number, b.number) in self.cuts:
            self.cuts.remove((a.number, b.number))
            self.rule("del", a.number, b.number)

    def drop(self, a, b):
        """Connections are not reset here: packets only get lost."""

    def close(self, nodes=()):
        for node in nodes:
            node.holder.kill()
            node.holder.wait()

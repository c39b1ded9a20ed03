"""A writer of unique values that remembers what it was told, and the check against the nodes."""
import http.client
import threading
import time

from cluster import path_of, wait_for


class Writer(threading.Thread):
    """Writes key i = value i, each key once, through one node after the other.

    Every answer is believed: `acknowledged` must be readable for ever, `refused` (not_applied) must
    never appear, the rest may do either."""

    def __init__(self, cluster, name, pause=0.0):
        super().__init__(daemon=True)
        self.cluster, self.name_of_writer, self.pause = cluster, name, pause
        self.acknowledged, self.refused, self.unknown = [], [], []
        self.problems = []
        self.ending = threading.Event()

    def key(self, i):
        return f"{self.name_of_writer}/{i:07d}"

    def value(self, i):
        return f"{self.name_of_writer}:{i}:{'x' * (i % 50)}".encode()

    def run(self):
        connections, i = {}, 0
        while not self.ending.is_set():
            node = self.cluster.nodes[i % len(self.cluster.nodes)]
            try:
                if node not in connections:
                    connections[node] = node.connect(timeout=6)
                answer = connections[node].request("PUT", path_of(self.key(i)), self.value(i),
                                            {"Content-Type": "application/octet-stream"})
                self.judge(i, answer)
            except (OSError, http.client.HTTPException) as problem:
                never_sent = isinstance(problem, ConnectionRefusedError)
                (self.refused if never_sent else self.unknown).append(i)
                connections.pop(node).close()
                if never_sent:
                    time.sleep(0.002)
            i += 1
            if self.pause:
                time.sleep(self.pause)
        for connection in connections.values():
            connection.close()

    def judge(self, i, answer):
        if answer.status == 200:
            self.acknowledged.append(i)
        elif answer.outcome() == "not_applied":
            self.refused.append(i)
            time.sleep(0.002)
        elif answer.outcome() == "unknown":
            self.unknown.append(i)
        else:
            self.problems.append(f"write {i}: {answer}")

    def finish(self):
        self.ending.set()
        self.join(30)

    def summary(self):
        return (f"{len(self.acknowledged)} acknowledged, {len(self.refused)} refused, "
                f"{len(self.unknown)} unknown")


class Load:
    """Some writers at once, for the length of a `with`."""

    def __init__(self, cluster, writers=4, pause=0.0):
        self.cluster = cluster
        self.writers = [Writer(cluster, f"w{n}", pause) for n in range(writers)]

    def __enter__(self):
        for writer in self.writers:
            writer.start()
        return self

    def __exit__(self, *_):
        for writer in self.writers:
            writer.finish()

    def acknowledged(self):
        return sum(len(writer.acknowledged) for writer in self.writers)

    def wait_progress(self, writes=50, seconds=20.0):
        """Until so many more were acknowledged."""
        target = self.acknowledged() + writes
        wait_for(f"{writes} more writes are acknowledged", lambda: self.acknowledged() >= target, seconds)

    def verify(self, test):
        """Every acknowledged write is readable from each node, no refused one is."""
        for writer in self.writers:
            print(f"{writer.name_of_writer}: {writer.summary()}")
            test.assertEqual(writer.problems[:3], [], "every answer is one of the three")
        for node in self.cluster.nodes:
            stored = read_all(node)
            for writer in self.writers:
                lost = [i for i in writer.acknowledged
                        if stored.get(writer.key(i)) != writer.value(i)]
                test.assertEqual(lost[:5], [], f"{len(lost)} acknowledged writes are not at {node.name}")
                risen = [i for i in writer.refused if writer.key(i) in stored]
                test.assertEqual(risen[:5], [], f"{len(risen)} writes were said not to be applied, "
                                                f"but are at {node.name}")
        print(f"all {self.acknowledged()} acknowledged writes are at each of "
              f"{len(self.cluster.nodes)} node(s)")


def read_all(node, prefix="w"):
    """All keys that begin with `prefix`, page by page, linearizable."""
    found, cursor = {}, ""
    connection = node.connect()
    while True:
        answer = connection.request("GET", f"/kv?prefix={prefix}&limit=1000" + cursor)
        if answer.status != 200:
            raise AssertionError(f"list at {node.name}: {answer}")
        page = answer.json()
        for kv in page["kvs"]:
            found[kv["key"]] = kv["value"].encode()
        if not page["more"]:
            connection.close()
            return found
        cursor = "&cursor=" + page["cursor"]

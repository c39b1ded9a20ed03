"""The faults of a chaos run: each begins, lasts, and is undone.

Whatever is drawn comes from the run's seed.  What the machine makes of it (who leads at that
moment) does not, so a seed repeats the faults, not the run."""
import signal
import time

import chaos_disk as disk
from chaos_cluster import shuffled, some_of
from cluster import PATIENCE

ELECTION_S = 0.3
STATUS_IO, STATUS_START = 74, 2


def minority(cluster):
    return (len(cluster.nodes) - 1) // 2


class Fault:
    name = ""

    def __init__(self, run):
        self.run, self.cluster, self.rng = run, run.cluster, run.rng
        self.told = []

    def leader_or_any(self, chance=0.6):
        leader = self.cluster.leader() if self.rng.random() < chance else None
        return leader or self.rng.choice(self.cluster.nodes)

    def tell(self, *nodes):
        self.told += [node.name for node in nodes]

    def begin(self):
        raise NotImplementedError

    def turn(self):
        """Now and then while it lasts."""

    def end(self):
        """The run itself heals links, wakes the paused, calms disks and starts the dead, after this."""

    def finish(self):
        """When all is healed."""

    def __repr__(self):
        return self.name + (f"({' '.join(self.told)})" if self.told else "")


# ---- processes

class Kill(Fault):
    power = False

    def victims(self):
        return [self.leader_or_any()]

    def begin(self):
        victims = self.victims()
        self.tell(*victims)
        if self.power:
            # A slow disk has more on its way to it.
            for node in victims:
                node.faults.set(disk.SYNC_DELAY_MS, self.rng.choice((5, 20, 60)))
            time.sleep(0.1)
        for node in victims:
            if node.running():
                node.kill()
        for node in victims:
            node.faults.set(disk.SYNC_DELAY_MS, 0)
            if self.power:
                seen, undone = node.lose_power(self.rng, self.rng.choice((0.3, 0.7, 1.0)))
                self.run.count("unflushed writes", seen)
                self.run.count("of them lost", undone)


class KillOne(Kill):
    name = "kill one"


class KillMajority(Kill):
    name = "kill majority"

    def victims(self):
        return some_of(self.rng, self.cluster.nodes, len(self.cluster.nodes) // 2 + 1)


class KillAll(Kill):
    name = "kill all"

    def victims(self):
        return list(self.cluster.nodes)


class PowerOne(KillOne):
    name, power = "power of one", True


class PowerAll(KillAll):
    name, power = "power of all", True


class Restart(Fault):
    name = "orderly restart"

    def begin(self):
        node = self.leader_or_any()
        self.tell(node)
        if node.running():
            node.resume()
            status = node.stop(10)
            # One that is still loading has no handler yet.
            if status not in (0, -signal.SIGTERM) and not node.expected_status:
                self.run.problem(f"{node.name} ended with status {status} on SIGTERM")


class Pause(Fault):
    """SIGSTOP for 0.1 to 10 election timeouts."""
    name = "pause"

    def begin(self):
        nodes = some_of(self.rng, self.cluster.nodes, self.rng.choice((1, 1, len(self.cluster.nodes) // 2 + 1)))
        if self.rng.random() < 0.6:
            nodes[0] = self.leader_or_any(1.0)
        self.paused = set(nodes)
        self.until = time.monotonic() + ELECTION_S * PATIENCE * 10 ** self.rng.uniform(-1, 1)
        self.tell(*self.paused)
        for node in self.paused:
            if node.running():
                node.pause()

    def turn(self):
        if time.monotonic() > self.until:
            for node in self.paused:
                if node.running():
                    node.resume()


# ---- network

class IsolateLeader(Fault):
    name = "isolate the leader"

    def begin(self):
        node = self.leader_or_any(1.0)
        self.tell(node)
        self.cluster.isolate(node)


class Split(Fault):
    name = "split"

    def begin(self):
        nodes = shuffled(self.rng, self.cluster.nodes)
        at = self.rng.randrange(1, len(nodes))
        self.tell(*nodes[:at])
        self.cluster.cut_between(nodes[:at], nodes[at:])


class OneLink(Fault):
    name = "one link"

    def begin(self):
        a, b = some_of(self.rng, self.cluster.nodes, 2)
        self.tell(a, b)
        self.cluster.cut_between([a], [b])


class OneWay(Fault):
    """A node is heard by nobody, or hears nobody; or one does not hear one other."""
    name = "one way"

    def begin(self):
        node = self.leader_or_any()
        others = [other for other in self.cluster.nodes if other is not node]
        if self.rng.random() < 0.4:
            others = [self.rng.choice(others)]
        to = self.rng.random() < 0.5
        self.tell(node, *others)
        for other in others:
            self.cluster.network.cut(*((node, other) if to else (other, node)))


class Flapping(Fault):
    name = "flapping"

    def begin(self):
        self.links = some_of(self.rng, self.cluster.pairs(), self.rng.choice((2, 4)))
        self.cut = False

    def turn(self):
        self.cut = not self.cut
        for a, b in self.links:
            if self.cut:
                self.cluster.network.cut(a, b)
                if self.rng.random() < 0.3:
                    self.cluster.network.drop(a, b)
            else:
                self.cluster.network.heal(a, b)


# ---- disks and clocks

class SlowDisk(Fault):
    name = "slow disk"

    def begin(self):
        nodes = [self.leader_or_any()] if self.rng.random() < 0.7 else self.cluster.nodes
        self.tell(*nodes)
        for node in nodes:
            node.faults.set(disk.SYNC_DELAY_MS, self.rng.choice((5, 20, 100, 500)))


class BadDisk(Fault):
    """The node must end with its documented status, and come back when the disk does."""

    def spoil(self, node):
        raise NotImplementedError

    def begin(self):
        nodes = {self.leader_or_any()} if self.rng.random() < 0.8 else set(self.cluster.nodes)
        self.tell(*nodes)
        for node in nodes:
            node.expected_status = (STATUS_IO, STATUS_START)
            self.spoil(node)


class FailingDisk(BadDisk):
    name = "failing disk"

    def spoil(self, node):
        calls = self.rng.choice((disk.CALL_SYNC, disk.CALL_PAGES, disk.CALL_META))
        files = self.rng.choice((disk.FILE_LOG, disk.FILE_STATE, disk.FILE_LOG | disk.FILE_STATE))
        node.faults.fail(calls, files, skip=self.rng.randrange(20), short=self.rng.random() < 0.2)


class FullDisk(BadDisk):
    name = "full disk"

    def spoil(self, node):
        node.faults.set(disk.ROOM_BYTES, 4096)


class WallClock(Fault):
    """It stays where it jumped to."""
    name = "wall clock"

    def begin(self):
        node = self.leader_or_any()
        self.tell(node)
        seconds = self.rng.choice((-86400 * 365, -3600, -1, 1, 3600, 86400 * 365 * 10))
        node.faults.set(disk.WALL_MS, seconds * 1000)


PROCESS = (KillOne, KillMajority, KillAll, PowerOne, PowerAll, Restart, Pause, Pause)
NETWORK = (IsolateLeader, IsolateLeader, Split, OneLink, OneWay, OneWay, Flapping)
DISK = (SlowDisk, FailingDisk, FullDisk)
ALL = PROCESS + NETWORK + DISK + (WallClock,)

"""Faults that change who belongs to the cluster, and that break snapshots off.

Each runs in a thread of its own while other faults hurt the nodes.  A change is asked for again
until it is so; when all is healed it must come to its end in a bounded time."""
import http.client
import json
import random
import threading
import time

from chaos_faults import Fault
from cluster import PATIENCE, wait_for

ENDED_WELL = (0, 77) # told that it was removed; or it knew when it was started again
FINISH_S = 60.0
KEYS_OF_BALLAST, BALLAST = 24, 128 * 1024
STORM = ("--flush-interval=100ms", "--snapshot-rate=4MiB")


def addresses(told):
    return [address for _, address in told]


class GivenUp(Exception):
    """The run is over."""


class Membership:
    """Who is to be in the cluster, one wish after the other."""

    def __init__(self, run, base):
        self.run, self.cluster, self.base = run, run.cluster, base
        self.lock = threading.Lock()
        self.over = threading.Event()

    def ask(self, rng, method, path, body=None):
        """Of any node, as a person would: the answer, or None."""
        running = [node for node in self.cluster.nodes if node.running()]
        if not running:
            return None
        try:
            return rng.choice(running).request(method, path, json.dumps(body) if body else None, timeout=4.0)
        except (OSError, http.client.HTTPException):
            return None

    def told(self):
        """(Name, raft address) to role, as a leader tells it; None: nobody does, or a change is under way.
        One address may have two members: a dead one, and who is to replace it there."""
        for node in self.cluster.running():
            try:
                answer = node.request("GET", "/cluster/members", timeout=2.0)
                said = answer.json() if answer.status == 200 else {}
            except (OSError, http.client.HTTPException, ValueError):
                continue
            if said.get("from_leader"):
                return None if said["change_under_way"] else \
                    {(member["name"] or "", member["raft_addr"]): member["role"] for member in said["members"]}
        return None

    def pause(self):
        if self.over.wait(0.1):
            raise GivenUp

    def until(self, true):
        while not true():
            self.pause()

    # ---- wishes; with the lock

    def join(self, rng, instead_of=None, at=None, how=(), promote=False):
        node = self.cluster.new_life(rng.choice(self.cluster.vacant()) if at is None else at)
        flags = [f"--join={','.join(n.raft_addr for n in self.cluster.nodes)}", *how]
        if instead_of is not None:
            flags.append(f"--replace={instead_of.name}")
        node.start_with(flags)
        self.cluster.nodes = self.cluster.nodes + [node]

        def is_voter():
            told = self.told()
            role = told and told.get((node.name, node.raft_addr))
            if promote and role == "learner":
                self.ask(rng, "POST", f"/cluster/members/{node.name}/promote")
            return role in ("voter", "leader") and \
                (instead_of is None or (instead_of.name, instead_of.raft_addr) not in told)
        self.until(is_voter)
        return node

    def let_go(self, node):
        """From now on it is not to be a member; the faults leave it alone."""
        self.cluster.nodes = [other for other in self.cluster.nodes if other is not node]
        self.cluster.leaving = self.cluster.leaving + [node]

    def gone(self, node):
        self.cluster.leaving = [other for other in self.cluster.leaving if other is not node]

    def leave(self, rng, node):
        self.let_go(node)

        def is_out():
            told = self.told()
            if told is not None and node.raft_addr not in addresses(told):
                return True
            # A node that has just come may not have told all the others its name yet.
            self.ask(rng, "DELETE", f"/cluster/members/{rng.choice((node.name, node.raft_addr))}")
            return False
        self.until(is_out)
        if not node.running() and node.expected_status is None and rng.random() < 0.5:
            node.start() # it does not know
        self.until(lambda: not node.running())
        if node.process.poll() not in ENDED_WELL and not node.ended_by_us and not node.expected_status:
            self.run.problem(f"{node.name} was removed and ended with status {node.process.poll()}")
        self.gone(node)

    def replace(self, rng, victim):
        """It dies and stays dead; another one takes its place, perhaps at the very same address."""
        self.let_go(victim)
        if victim.running():
            victim.kill()
        self.gone(victim)
        # The address of a dead member can be taken by nobody but who replaces it.
        others = [place for place in self.cluster.vacant() if place != victim.number]
        self.join(rng, victim, victim.number if not others or rng.random() < 0.4 else rng.choice(others))

    # ---- at the end

    def check(self):
        """The members are those that were asked for."""
        asked = sorted((node.name, node.raft_addr) for node in self.cluster.nodes)

        def as_asked():
            told = self.told()
            return told and sorted(told) == asked and set(told.values()) == {"leader", "voter"}
        try:
            wait_for("the members are as asked", as_asked, 30)
        except AssertionError:
            self.run.problem(f"these were to be the members: {asked}; these are: {self.told()}")


class Background(Fault):
    """A fault that takes its time; the others go on meanwhile."""

    def begin(self):
        self.own = random.Random(self.rng.random())
        self.ending, self.thread = threading.Event(), threading.Thread(target=self.guarded, daemon=True)
        self.thread.start()

    def guarded(self):
        try:
            self.work()
        except GivenUp:
            pass
        except Exception as error: # pylint: disable=broad-except
            self.run.problem(f"{self.name}: {error!r}")

    def work(self):
        raise NotImplementedError

    def finish(self):
        """After all is healed."""
        end = time.monotonic() + FINISH_S * PATIENCE
        while self.thread.is_alive() and time.monotonic() < end and not self.run.problems:
            self.thread.join(0.2)
            self.cluster.heal_all() # it may have cut somebody off only now
            self.run.check_processes()
        if self.thread.is_alive():
            self.run.membership.over.set()
            self.run.problem(f"'{self!r}' has come to no end though all is healed; "
                             f"members: {self.run.membership.told()}")


# ---- members

class Change(Background):
    def work(self):
        members = self.run.membership
        with members.lock:
            begun = time.monotonic()
            self.change(members, self.own)
            self.run.count("changes of the members finished")
            self.run.say(f"   done in {time.monotonic() - begun:.1f} s: {self!r}")

    def change(self, members, rng):
        raise NotImplementedError

    def any_member(self, rng, chance):
        leader = self.cluster.leader() if rng.random() < chance else None
        return leader if leader in self.cluster.nodes else rng.choice(self.cluster.nodes)


class MemberJoins(Change):
    name = "member joins"

    def change(self, members, rng):
        if not self.cluster.vacant():
            self.tell(node := self.any_member(rng, 0))
            members.leave(rng, node)
        self.tell(members.join(rng))


class MemberLeaves(Change):
    name = "member leaves"
    leader_chance = 0.0

    def change(self, members, rng):
        if len(self.cluster.nodes) <= members.base:
            self.tell(members.join(rng))
        self.tell(node := self.any_member(rng, self.leader_chance))
        self.keep_from_it(rng, node)
        members.leave(rng, node)

    def keep_from_it(self, rng, node):
        """Who is dead or cut off does not hear that it is removed."""
        how = rng.random()
        if how < 0.25 and node.running():
            node.kill()
        elif how < 0.5:
            self.cluster.isolate(node)


class LeaderLeaves(MemberLeaves):
    name = "leader leaves"
    leader_chance = 1.0

    def keep_from_it(self, rng, node):
        pass


class MemberReplaced(Change):
    name = "member replaced"

    def change(self, members, rng):
        self.tell(node := self.any_member(rng, 0.5))
        members.replace(rng, node)


class LeaderAsked(Background):
    """The leadership is handed over on request; while nodes die it may stay where it is."""
    name = "leader transfer"

    def work(self):
        to = self.own.choice(self.cluster.nodes)
        self.tell(to)
        body = {"to": to.name} if self.own.random() < 0.7 else None
        answer = self.run.membership.ask(self.own, "POST", "/cluster/leader", body)
        if answer is not None and answer.status == 200:
            self.run.count("leaderships handed over")


class TwoChanges(Background):
    """Two clients at once expect a learner each, which never comes.  Who is accepted as the second
    must know of the first."""
    name = "two changes"

    def work(self):
        members = self.run.membership
        with members.lock:
            answers = [None, None]
            nobodies = self.cluster.nobodies

            def one(i, rng):
                answers[i] = members.ask(rng, "POST", "/cluster/members",
                                         {"raft_addr": nobodies[i], "learner": True})
            threads = [threading.Thread(target=one, args=(i, random.Random(self.own.random()))) for i in (0, 1)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.judge(nobodies, answers)
            self.withdraw(members, nobodies)

    def judge(self, nobodies, answers):
        accepted = [answer for answer in answers if answer is not None and answer.status == 200]
        self.run.count(f"of two changes {len(accepted)} accepted")
        for answer in answers:
            if answer is not None and answer.code() == "change_under_way":
                self.run.count("changes refused since another was under way")
        know_both = [answer for answer in accepted
                     if {m["raft_addr"] for m in answer.json()["members"]} >= set(nobodies)]
        if len(accepted) == 2 and not know_both:
            self.run.problem(f"two changes at once were accepted: {answers}")

    def withdraw(self, members, nobodies):
        """Also one whose end is unknown: until a while after nobody would still carry it out."""
        quiet = 0

        def withdrawn():
            nonlocal quiet
            told = members.told()
            here = [address for address in nobodies if told is None or address in addresses(told)]
            quiet = 0 if here else quiet + 1
            for address in here if told is not None else []:
                members.ask(self.own, "DELETE", f"/cluster/members/{address}")
            return quiet > 3
        members.until(withdrawn)


# ---- snapshots

class SnapshotCut(Background):
    """A follower misses more than the log keeps, and while it fetches the state it or the sender dies."""
    name = "snapshot cut short"

    def wait(self, true, seconds):
        end = time.monotonic() + seconds * PATIENCE
        while not self.ending.is_set() and time.monotonic() < end:
            if true():
                return True
            time.sleep(0.02)
        return False

    def work(self):
        leader = self.cluster.leader()
        nodes = [node for node in self.cluster.nodes if node is not leader and node.expected_status is None]
        if leader is None or not nodes:
            return
        away = self.own.choice(nodes)
        self.tell(away)
        if away.running():
            away.kill()
        missed = (leader.status() or {}).get("log_last_index", 0)
        self.wait(lambda: (leader.status() or {}).get("log_first_index", 0) > missed, 5)
        if not away.running() and not self.ending.is_set() and away in self.cluster.nodes:
            away.start()
        if not self.wait(lambda: (away.status() or {}).get("snapshot_fetch"), 3):
            return
        self.ending.wait(self.own.uniform(0, 0.5))
        self.run.count("snapshots cut short", bool((away.status() or {}).get("snapshot_fetch")))
        victim = self.own.choice((away, leader))
        self.tell(victim)
        if victim.running():
            victim.kill()

    def end(self):
        """The run is about to start the dead."""
        # A transfer is let come to its middle, for some seconds.
        self.thread.join(8 * PATIENCE)
        self.ending.set()
        self.thread.join()


def write_ballast(node):
    """So much that a snapshot is more than a moment's work."""
    for i in range(KEYS_OF_BALLAST):
        answer = node.put(f"ballast/{i}", bytes([97 + i]) * BALLAST)
        if answer.status != 200:
            raise AssertionError(f"ballast {i}: {answer}")


MEMBERS = (MemberJoins, MemberLeaves, LeaderLeaves, MemberReplaced, LeaderAsked, TwoChanges)
FINISHED = (MemberJoins, MemberLeaves, LeaderLeaves, MemberReplaced)
SNAPSHOTS = (SnapshotCut,)

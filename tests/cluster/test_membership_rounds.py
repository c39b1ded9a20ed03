"""Members are added, promoted, removed and replaced, again and again, while clients write, nodes are
killed and links are cut.  The history must be linearizable, and the cluster as asked.

HOLDFAST_MEMBER_ROUNDS: rounds of add, promote, remove (3; 100 in the long form).
HOLDFAST_MEMBER_REPLACEMENTS: dead nodes that are replaced by one command (2; 20)."""
import http.client
import json
import threading
import time
import unittest

import chaos
from chaos_cluster import seeded, some_of
from cluster import PATIENCE, SEED, main, number, wait_for

ROUNDS = number("HOLDFAST_MEMBER_ROUNDS", 3)
REPLACEMENTS = number("HOLDFAST_MEMBER_REPLACEMENTS", 2)
LOG_KEEP = 300
FINISH_S = 60.0


class Unrest(threading.Thread):
    """Kills nodes and cuts links, for the length of a `with`; then all is healed."""

    def __init__(self, run, rng):
        super().__init__(daemon=True)
        self.run_of_chaos, self.cluster, self.rng = run, run.cluster, rng
        self.ending = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.join()

    def run(self):
        while not self.ending.wait(self.rng.uniform(0, 0.5) * PATIENCE):
            if self.rng.random() < 0.5:
                self.kill_one()
            else:
                self.cut_one()
            # A disturbed change must have time to come to its end.
            self.ending.wait(self.rng.uniform(0.5, 2) * PATIENCE)

    def kill_one(self):
        leader = self.cluster.leader() if self.rng.random() < 0.4 else None
        node = leader if leader in self.cluster.nodes else self.rng.choice(self.cluster.nodes)
        if node.running():
            node.kill()
            self.run_of_chaos.count("nodes killed")
        self.ending.wait(self.rng.uniform(0, 0.7) * PATIENCE)
        if node in self.cluster.nodes and not node.running():
            node.start()

    def cut_one(self):
        a, b = some_of(self.rng, self.cluster.nodes, 2)
        if self.rng.random() < 0.3:
            self.cluster.isolate(a)
        else:
            self.cluster.cut_between([a], [b])
        self.run_of_chaos.count("links cut")
        self.ending.wait(self.rng.uniform(0.1, 1) * PATIENCE)
        self.cluster.heal_all()


class Watch(threading.Thread):
    """Looks at the voters all the time while one member is replaced by another."""

    def __init__(self, membership):
        super().__init__(daemon=True)
        self.membership = membership
        self.ending, self.seen = threading.Event(), set()

    def __enter__(self):
        self.start()
        wait_for("the voters are told", lambda: self.seen)
        return self

    def __exit__(self, *problem):
        if problem[0] is None:
            wait_for("other voters are told", lambda: len(self.seen) > 1)
        self.ending.set()
        self.join()

    def run(self):
        while not self.ending.wait(0.01):
            for node in self.membership.cluster.running():
                try:
                    said = node.request("GET", "/cluster/members", timeout=2.0).json()
                except (OSError, http.client.HTTPException, ValueError):
                    continue
                if said.get("from_leader"):
                    self.seen.add(frozenset((m["id"], m["role"] == "leaving") for m in said["members"]
                                            if m["role"] != "learner"))


class Rounds(chaos.Run):
    def act(self):
        self.rng = seeded(self.seed, "rounds")
        # Replacements come among the rounds.
        order = ["round"] * ROUNDS + ["replacement"] * REPLACEMENTS
        self.rng.shuffle(order)
        for what in order:
            begun = time.monotonic()
            getattr(self, what)()
            self.count(what + "s")
            self.say(f"{what} {self.marks[what + 's']}: {time.monotonic() - begun:.1f} s, now "
                     f"{' '.join(node.name for node in self.cluster.nodes)}")
            if self.problems or self.crowd.shared.problems:
                return

    def guarded(self, change, *arguments):
        """A change with unrest around it; after a while all is healed, and it must come to its end."""
        def work():
            try:
                change(self.rng, *arguments)
            except Exception as error: # pylint: disable=broad-except
                self.problem(f"{change.__name__}: {error!r}")
        thread = threading.Thread(target=work, daemon=True)
        with Unrest(self, seeded(self.rng.random())):
            thread.start()
            thread.join(4 * PATIENCE)
        thread.join(FINISH_S * PATIENCE)
        if thread.is_alive():
            raise AssertionError(f"{change.__name__} has come to no end though all is healed; "
                                 f"members: {self.membership.told()}")
        self.check_processes()

    def round(self):
        self.guarded(self.add)
        if self.marks["rounds"] % 3 == 2:
            leader = self.cluster.wait_leader()
            self.guarded(self.membership.leave, leader)
            self.count("leaders removed")
        else:
            self.one_of_two()

    def add(self, rng):
        by_hand = rng.random() < 0.4
        self.membership.join(rng, how=("--learner",) if by_hand else (), promote=by_hand)

    def one_of_two(self):
        """Two clients remove one member each, at the same moment: one is told to wait."""
        for _ in range(10): # the change before may not be through yet: then both are
            leader = self.cluster.wait_ready(60)
            self.membership.check()
            both = some_of(self.rng, [node for node in self.cluster.nodes if node is not leader], 2)
            accepted = self.remove_at_once(leader, both)
            if accepted:
                break
            time.sleep(0.2 * PATIENCE)
        if len(accepted) != 1:
            self.problem(f"of two changes at once {len(accepted)} were accepted")
        for node in accepted:
            self.membership.leave(self.rng, node)
        self.count("one of two changes refused", len(accepted) == 1)

    def remove_at_once(self, leader, nodes):
        """Those whose removal was accepted."""
        connections = [leader.connect(timeout=20) for _ in nodes]
        for connection in connections:
            connection.http.connect()
        for connection, node in zip(connections, nodes):
            connection.http.request("DELETE", f"/cluster/members/{node.raft_addr}?timeout=15s")
        accepted = []
        for connection, node in zip(connections, nodes):
            response = connection.http.getresponse()
            said = json.loads(response.read())
            connection.close()
            if response.status == 200:
                accepted.append(node)
            elif (response.status, said["error"]["code"]) != (409, "change_under_way"):
                self.problem(f"of two changes one was answered {response.status} {said}")
        return accepted

    def replacement(self):
        """The voters are those before, then both in one joint step, then those after: never fewer."""
        victim = self.rng.choice(self.cluster.nodes)
        with Watch(self.membership) as watch:
            if self.rng.random() < 0.5:
                self.guarded(self.membership.replace, victim)
            else:
                self.membership.replace(self.rng, victim)
        for seen in watch.seen:
            if sum(not leaving for _, leaving in seen) != len(self.cluster.nodes):
                self.problem(f"while {victim.name} was replaced the voters were {sorted(seen)}")

    def gates(self):
        self.terms()
        outcomes = self.crowd.shared.outcomes
        self.say(f"{sum(outcomes.values())} operations: {outcomes}")
        self.say(f"{dict(self.marks)}; {self.snapshots_installed()} snapshots installed")
        for good, what in ((self.marks["rounds"] == ROUNDS, "all rounds"),
                           (self.marks["replacements"] == REPLACEMENTS, "all replacements"),
                           (self.serves(), "requests answered after healing"),
                           (outcomes["ok"] >= 300 * (ROUNDS + REPLACEMENTS) / PATIENCE, "enough requests"),
                           (self.marks["nodes killed"] + self.marks["links cut"] >= 1 + ROUNDS // 2, "unrest"),
                           (self.snapshots_installed() > 0, "a snapshot")):
            if not good:
                self.problem(f"this run proves nothing, it lacks: {what}")


class MembershipRounds(unittest.TestCase):
    def test_members_come_and_go_under_load_with_kills_and_cut_links(self):
        problems = chaos.play_on(chaos.cluster_for(3, 6, LOG_KEEP),
                                 lambda cluster: Rounds(cluster, 0, SEED, (), storm=True))
        self.assertEqual(problems, [])


if __name__ == "__main__":
    main()

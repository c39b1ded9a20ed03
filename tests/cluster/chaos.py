#!/usr/bin/env python3
"""chaos: real nodes, real disks, real clients, and everything that one machine can do to them.

    chaos.py [--nodes 3|5] [--seconds N] [--seed N] [--faults NAME,...] [--namespaces]

Eight clients write down all that they ask and are told.  Faults come alone and mixed.  At the end
all nodes must have converged to the same content, and holdfast-linear must find the history
linearizable.  A run in which too little happened fails: see `Run.gates`.  The seed is printed;
after a failure all logs and the history are kept and named."""
import argparse
import bisect
import collections
import http.client
import itertools
import json
import os
import re
import subprocess
import sys
import time

import chaos_disk as disk
import chaos_faults
import chaos_members
import chaos_namespaces
from chaos_clients import Crowd
from chaos_cluster import ChaosCluster, Proxy, seeded
from cluster import PATIENCE, SEED, wait_for

LINEAR = os.environ.get("HOLDFAST_LINEAR", os.path.join(disk.BUILD, "tests", "linear", "holdfast-linear"))
BEFORE_FIRST_FAULT = 300
HEAL_S, HEAL_LOOKS = 4.0, 5
ALL = chaos_faults.ALL + chaos_members.MEMBERS + chaos_members.SNAPSHOTS


class Run:
    def __init__(self, cluster, seconds, seed, kinds, storm=False, lying=False):
        self.cluster, self.seconds, self.kinds = cluster, seconds, kinds
        self.seed, self.storm, self.lying = seed, storm, lying
        self.rng = seeded(seed, "faults")
        self.marks = collections.Counter()
        self.problems = []
        self.rounds, self.deck = 0, self.first_deck()
        self.membership = chaos_members.Membership(self, len(cluster.nodes))
        self.started = time.monotonic()

    def count(self, what, by=1):
        self.marks[what] += by

    def problem(self, what):
        self.problems.append(what)
        self.say("PROBLEM: " + what)

    def say(self, what):
        print(f"{time.monotonic() - self.started:8.2f} {what}", flush=True)

    # ---- faults

    def changes_members(self):
        return any(kind in chaos_members.FINISHED for kind in self.kinds)

    def first_deck(self):
        """Also the shortest run has a change of the members and a snapshot."""
        deck = list(self.kinds)
        self.rng.shuffle(deck)
        for early in (chaos_members.FINISHED, chaos_members.SNAPSHOTS):
            kinds = [kind for kind in deck if kind in early]
            if kinds:
                deck.remove(kinds[0])
                deck.insert(len(deck) - self.rng.randrange(min(3, len(deck) + 1)), kinds[0])
        return deck

    def draw(self):
        """One fault alone, or up to three at once.  Each kind comes before one comes again."""
        n = 1 if self.rng.random() < 0.5 else self.rng.choice((2, 3))
        drawn = []
        while len(drawn) < n:
            if not self.deck:
                self.deck = list(self.kinds)
                self.rng.shuffle(self.deck)
            drawn.append(self.deck.pop())
        return [kind(self) for kind in drawn]

    def check_processes(self):
        """None ends of itself, but with the status that a fault explains."""
        for node in self.cluster.nodes:
            if node.running() or node.ended_by_us:
                continue
            status = node.process.poll()
            expected = node.expected_status or ()
            if status not in expected:
                self.problem(f"{node.name} ended with status {status}")
            else:
                self.count(f"ended with status {status}")
            node.ended_by_us = True # told once

    def relieve(self):
        self.cluster.heal_all()
        for node in self.cluster.nodes + self.cluster.leaving:
            if node.running():
                node.resume()
        self.check_processes()
        for node in self.cluster.nodes + self.cluster.leaving:
            node.faults.calm()
        # One that is dying of its disk must not be taken for alive.
        for node in self.cluster.nodes:
            if node.expected_status and node.running() and node.faults.get(disk.FAILED) > node.failed_before:
                try:
                    node.process.wait(10 * PATIENCE)
                except subprocess.TimeoutExpired:
                    self.problem(f"{node.name} goes on though its disk refused a write")
        self.check_processes()
        for node in self.cluster.nodes:
            if not node.running():
                node.start()
            node.expected_status = None

    def round(self):
        faults = self.draw()
        for node in self.cluster.nodes:
            node.failed_before = node.faults.get(disk.FAILED)
        for fault in faults:
            fault.begin()
            self.count(fault.name)
            if len(faults) > 1:
                time.sleep(self.rng.uniform(0, 0.3))
        self.say(" + ".join(map(repr, faults)))
        self.count("alone" if len(faults) == 1 else "mixed")
        end = time.monotonic() + chaos_faults.ELECTION_S * PATIENCE * 10 ** self.rng.uniform(-0.5, 1)
        while time.monotonic() < end:
            time.sleep(self.rng.uniform(0.02, 0.15))
            for fault in faults:
                fault.turn()
            self.check_processes()
        for fault in faults:
            fault.end()
        self.relieve()
        for fault in faults:
            fault.finish()
        self.rounds += 1
        # Mostly it recovers before the next round, sometimes not.
        time.sleep(self.rng.choice((0.05, 0.5, 1.5)) * PATIENCE)
        self.check_processes()

    # ---- the run

    def act(self):
        """What is done to the cluster while the clients ask."""
        end = time.monotonic() + self.seconds
        while time.monotonic() < end and not self.problems and not self.crowd.shared.problems:
            self.round()

    def play(self):
        """False: there is nothing to judge any more."""
        cluster = self.cluster
        cluster.wait_ready(60)
        for node in cluster.nodes:
            node.faults.set(disk.UNDO, 1)
            node.faults.set(disk.LIE, int(self.lying))
        if self.storm:
            chaos_members.write_ballast(cluster.wait_leader())
        with Crowd(cluster, self.seed) as crowd:
            self.crowd = crowd
            wait_for(f"{BEFORE_FIRST_FAULT} requests are answered before the first fault",
                     lambda: crowd.answered() >= BEFORE_FIRST_FAULT, 60)
            self.say(f"{crowd.answered()} requests were answered, the faults begin")
            self.act()
            self.say("all is healed")
            if self.problems:
                return False
            cluster.wait_ready(60)
            self.look_at_healed()
        self.problems += crowd.shared.problems[:5]
        self.last_write()
        self.converge()
        self.read_all()
        return True

    def look_at_healed(self):
        """How the clients fare now; on a machine that is busy with other things it may take more looks."""
        for _ in range(HEAL_LOOKS):
            before = self.crowd.snapshot()
            time.sleep(HEAL_S * PATIENCE)
            after = self.crowd.snapshot()
            healed = {name: after[name] - before[name] for name in after}
            self.healed, self.all_healed = healed["ok"] + healed["condition"], sum(healed.values())
            if self.serves():
                return

    def serves(self):
        return self.healed >= 0.8 * self.all_healed and self.healed >= 100

    def last_write(self):
        for node in self.cluster.nodes:
            answer = node.put("the-last-write", node.name.encode())
            if answer.status != 200:
                self.problem(f"after all is healed a write through {node.name} fails: {answer}")

    def listing(self, node, how):
        found, cursor = {}, ""
        while True:
            answer = node.request("GET", f"/kv?limit=1000{how}{cursor}")
            if answer.status != 200:
                raise AssertionError(f"list at {node.name}: {answer}")
            page = answer.json()
            for kv in page["kvs"]:
                found[kv.pop("key")] = kv
            if not page["more"]:
                return found
            cursor = "&cursor=" + page["cursor"]

    def converge(self):
        """The members are those asked for, have applied the same, and have the same content."""
        self.membership.check()

        def same_index():
            said = [node.status() for node in self.cluster.nodes]
            return all(said) and len({(s["applied_index"], s["commit_index"], s["revision"], s["keys"],
                                       s["log_last_index"]) for s in said}) == 1 and said
        said = wait_for("all nodes have applied the same entries", same_index, 60)
        if len({s["digest"] for s in said}) != 1 or any(s["alarms"] for s in said):
            self.problem(f"at entry {said[0]['applied_index']} the nodes tell these digests and alarms: "
                         f"{[(s['name'], s['digest'], s['alarms']) for s in said]}")
        first = self.listing(self.cluster.nodes[0], "&consistency=stale")
        for node in self.cluster.nodes[1:]:
            other = self.listing(node, "&consistency=stale")
            if other != first:
                keys = sorted(k for k in first.keys() | other.keys() if first.get(k) != other.get(k))
                self.problem(f"{node.name} differs from {self.cluster.nodes[0].name} in {len(keys)} keys: "
                             f"{[(k, first.get(k), other.get(k)) for k in keys[:3]]}")
        self.keys = len(first)

    def read_all(self):
        """The end of the history: each key that was ever named, read once more."""
        call = time.monotonic_ns()
        found = self.listing(self.cluster.nodes[-1], "")
        done = time.monotonic_ns()
        self.history = os.path.join(self.cluster.directory, "history.jsonl")
        named = set()
        with open(self.history, "w", encoding="ascii") as out:
            for client in self.crowd.clients:
                with open(client.path, encoding="ascii") as file:
                    for line in file:
                        out.write(line)
                        named.update(re.findall(r'"key":"([^"]+)"', line))
                os.unlink(client.path)
            for key in sorted(named):
                record = {"op": "get", "key": key, "process": 99, "call": call, "return": done, "outcome": "ok"}
                if key in found:
                    record.update(value=found[key]["value"], revision=found[key]["revision"],
                                  version=found[key]["version"])
                out.write(json.dumps(record) + "\n")

    # ---- what must have held

    def linearizable(self):
        begin = time.monotonic()
        checked = subprocess.run([LINEAR, self.history], capture_output=True, text=True, check=False)
        self.checked = checked.stdout.strip().split("\n")[-1]
        self.say(f"{self.checked} ({time.monotonic() - begin:.1f} s)")
        if checked.returncode != 0:
            self.problem(f"holdfast-linear, status {checked.returncode}:\n{checked.stdout}{checked.stderr}")

    def revisions(self):
        """The store counts its changes: of two writes the later one, by the clients' clock, has the
        higher revision, on whatever key; and no two have the same."""
        writes, seen = [], {}
        with open(self.history, encoding="ascii") as file:
            for line in file:
                op = json.loads(line)
                if op["outcome"] != "ok" or op["op"] == "get":
                    continue
                revision = op.get("revision") or op.get("store_revision")
                changes = op["op"] in ("set", "cas") or op.get("found") or \
                    any(step["op"] == "set" or step.get("found") for step in op.get("ops", ()))
                if revision is None or not changes:
                    continue
                writes.append((op["call"], op["return"], revision))
                if revision in seen:
                    self.problem(f"two writes have the revision {revision}: {seen[revision]} {line}")
                seen[revision] = line
        writes.sort(key=lambda write: write[1])
        ends = [write[1] for write in writes]
        highest = list(itertools.accumulate((write[2] for write in writes), max))
        for call, _, revision in writes:
            earlier = bisect.bisect_left(ends, call)
            if earlier and highest[earlier - 1] >= revision:
                self.problem(f"a write of revision {revision} began after revision {highest[earlier - 1]} "
                             f"was acknowledged:\n{seen[revision]}{seen[highest[earlier - 1]]}")
                return
        self.say(f"{len(writes)} acknowledged changes have revisions in the order of time")

    def terms(self):
        """Terms in which a node led, from the logs; two leaders in one term are a bug."""
        leaders = collections.defaultdict(set)
        for node in self.cluster.everyone:
            if not node.process:
                continue
            for term in re.findall(r"became leader term=(\d+)", node.log()):
                leaders[int(term)].add(node.name)
        for term, names in leaders.items():
            if len(names) > 1:
                self.problem(f"term {term} had two leaders: {sorted(names)}")
        return len(leaders)

    def snapshots_installed(self):
        return sum(node.log().count("installed a snapshot") for node in self.cluster.everyone if node.process)

    def gates(self):
        """A run in which nothing happened proves nothing."""
        outcomes = self.crowd.shared.outcomes
        counters = {name: sum(node.faults.get(slot) for node in self.cluster.everyone)
                    for name, slot in (("flushes", disk.SYNCS), ("refused by the disk", disk.FAILED),
                                       ("connections led through the proxy", disk.CONNECTS),
                                       ("readings of the wall clock", disk.WALL_READS))}
        terms = self.terms()
        installed = self.snapshots_installed()
        self.say(f"{sum(outcomes.values())} operations: {outcomes}; {self.crowd.shared.kinds}")
        self.say(f"{self.rounds} rounds of faults: {dict(self.marks)}")
        self.say(f"{installed} snapshots installed; {len(self.cluster.nodes)} members at the end: "
                 f"{' '.join(node.name for node in self.cluster.nodes)}")
        self.say(f"{terms} leaders; {counters}; {self.keys} keys at the end")
        self.say(f"after healing {self.healed} of {self.all_healed} requests were answered")
        wanted = [
            (self.rounds >= self.seconds / 8 / PATIENCE, "enough rounds of faults"),
            (outcomes["ok"] >= 40 * self.seconds / PATIENCE, "enough requests are answered"),
            (terms >= 1 + self.rounds / 5, "enough leader changes"),
            (self.serves(), "most requests are answered after healing"),
            (outcomes["unknown"] + outcomes["failed"] > 0, "some requests meet a fault"),
            (outcomes["condition"] > 0, "some conditions fail"),
            (counters["flushes"] > 100, "the disks are ours"),
            (self.cluster.network.kind != "proxy" or counters["connections led through the proxy"] > 0,
             "the network is ours"),
            (not self.storm or installed > 0, "a snapshot is installed"),
            (not self.changes_members() or self.marks["changes of the members finished"] > 0,
             "a change of the members comes to its end"),
        ]
        if self.rounds > 3 * len(self.kinds): # long enough for all
            wanted += [(self.marks[kind.name] > 0, f"'{kind.name}' happens") for kind in self.kinds]
            wanted += [(not self.marks["power of all"] or self.marks["of them lost"] > 0, "writes get lost"),
                       (not self.marks["failing disk"] or self.marks["ended with status 74"] > 0,
                        "nodes end by their disks")]
        for good, what in wanted:
            if not good:
                self.problem(f"this run proves nothing, it lacks: {what}")

    def judge(self):
        self.linearizable()
        self.revisions()
        self.gates()


def is_storm(kinds, seed):
    """Snapshots all the time; in some runs rather joiners that get the log from its beginning."""
    if not any(kind in chaos_members.SNAPSHOTS for kind in kinds):
        return 0
    rng = seeded(seed, "storm")
    return rng.choice((50, 100, 300)) if len(kinds) < len(ALL) or rng.random() < 0.8 else 0


def play(nodes, seconds, seed, kinds=ALL, lying=False, keep=True, network=Proxy):
    """What was wrong."""
    log_keep = is_storm(kinds, seed)
    if not log_keep:
        kinds = tuple(kind for kind in kinds if kind not in chaos_members.SNAPSHOTS)
    places = nodes + 2 if any(kind in chaos_members.MEMBERS for kind in kinds) else nodes
    print(f"chaos: {nodes} nodes, {seconds} s, seed {seed}, network: {network.kind}, log-keep: {log_keep}",
          flush=True)
    return play_on(cluster_for(nodes, places, log_keep, network),
                   lambda cluster: Run(cluster, seconds, seed, kinds, log_keep > 0, lying), keep)


def cluster_for(nodes, places, log_keep, network=Proxy):
    flags = (f"--log-keep={log_keep}", *chaos_members.STORM) if log_keep else ()
    return ChaosCluster(nodes, "--log-level=info", *flags, network=network, places=places)


def play_on(cluster, new_run, keep=True):
    with cluster:
        run = new_run(cluster)
        try:
            if run.play():
                run.judge()
        except (AssertionError, OSError, http.client.HTTPException) as error:
            run.check_processes()
            run.problem(repr(error))
        run.membership.over.set()
        if run.problems and keep:
            cluster.keep = True
            cluster.tell()
            print(f"FAILED: {len(cluster.nodes)} nodes, seed {run.seed}, kept in {cluster.directory}")
            for problem in run.problems[:10]:
                print("  " + problem)
    return run.problems


def named(text):
    if not text:
        return ALL
    known = {kind.name: kind for kind in ALL}
    unknown = [name for name in text.split(",") if name not in known]
    if unknown:
        sys.exit(f"no such fault: {unknown}; there are: {', '.join(known)}")
    return tuple(known[name] for name in text.split(","))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--faults", default="", help="only these, by their names")
    parser.add_argument("--lying-disks", action="store_true",
                        help="flushes do nothing: with 'power of all' the run must fail")
    parser.add_argument("--namespaces", action="store_true",
                        help="nodes in network namespaces instead of behind a proxy")
    options = parser.parse_args()
    if options.namespaces:
        why_not = chaos_namespaces.enter()
        if why_not:
            print(f"SKIPPED: no network namespaces here: {why_not}")
            return 77
    problems = play(options.nodes, options.seconds, options.seed, named(options.faults),
                    lying=options.lying_disks,
                    network=chaos_namespaces.Namespaces if options.namespaces else Proxy)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""What many keys cost: three nodes with 10 million keys, in turn with three that have 10 thousand, on the same disk.

Each turn starts the nodes after a clean stop, looks at the time until each serves and at its memory, writes to random keys
through wrk, and stops the nodes.  With --against the turns alternate between two programs, too.

The states are made by make_state (`make tests/bench/make_state`) and `holdfast restore`, and stay in --directory for the
next run: about 10 GB.  Remove it in the end.  Needs wrk.

usage: scale.py --directory DIR [--holdfast PROGRAM] [--against PROGRAM] [--keys N] [--rounds 3] [--seconds 10]
"""
import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

from bench import free_ports

HERE = os.path.dirname(os.path.abspath(__file__))
MIB = 1 << 20


def get_json(address, path):
    with urllib.request.urlopen(f"http://{address}{path}", timeout=2) as answer:
        return json.load(answer)


def private_bytes(pid):
    """Private_Clean + Private_Dirty of all that is mapped, but for LMDB's files: these pages are the page cache's, and
    'private' only as long as nobody else has mapped them."""
    total, counted = 0, True
    with open(f"/proc/{pid}/smaps") as smaps:
        for line in smaps:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                counted = not line.rstrip().endswith(".mdb")
            elif counted and line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1]) * 1024
    return total


def anonymous_bytes(pid):
    """Cheap to ask for while a node is at work: all private pages but a few of the program's own file."""
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"RssAnon:\s+(\d+)", status.read()).group(1)) * 1024


class Nodes:
    """Three nodes' directories; they can be started again and again, by any program."""

    def __init__(self, directory, keys):
        self.directory, self.keys = os.path.join(directory, str(keys)), keys
        self.processes = []

    def prepare(self, program, maker):
        ports_file = os.path.join(self.directory, "ports")
        if not os.path.exists(ports_file):
            shutil.rmtree(self.directory, ignore_errors=True)
            os.makedirs(self.directory)
            self.ports = free_ports(6)
            subprocess.run([maker, f"{self.directory}/maker", str(self.keys), "256"], check=True)
            for i in range(3):
                subprocess.run([program, "restore", f"{self.directory}/maker/state/data.mdb"] + self.flags(i),
                               check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            shutil.rmtree(f"{self.directory}/maker")
            with open(ports_file, "w") as file:
                json.dump(self.ports, file)
        with open(ports_file) as file:
            self.ports = json.load(file)

    def http(self, i):
        return f"127.0.0.1:{self.ports[3 + i]}"

    def flags(self, i):
        peers = ",".join(f"127.0.0.1:{self.ports[j]}" for j in range(3) if j != i)
        return [f"--id=node{i + 1}", f"--raft-addr=127.0.0.1:{self.ports[i]}", f"--http-addr={self.http(i)}",
                f"--data-dir={self.directory}/data", f"--peers={peers}"]

    def start(self, program, extra):
        """Seconds until each serves."""
        took = []
        for i in range(3):
            with open(f"{self.directory}/node{i + 1}.log", "ab") as log:
                began = time.monotonic()
                self.processes.append(subprocess.Popen([program, "server"] + self.flags(i) + extra, stdout=log, stderr=log))
            while True:
                try:
                    get_json(self.http(i), "/status")
                    break
                except (OSError, ValueError):
                    if self.processes[-1].poll() is not None or time.monotonic() > began + 60:
                        sys.exit(f"node {i + 1} does not start; see {self.directory}")
                    time.sleep(0.002)
            took.append(time.monotonic() - began)
        return took

    def leader(self):
        for _ in range(2000):
            for i in range(3):
                if get_json(self.http(i), "/status")["state"] == "leader":
                    return i
            time.sleep(0.01)
        sys.exit(f"no leader; see {self.directory}")

    def stop(self):
        began = time.monotonic()
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(60)
        self.processes = []
        return time.monotonic() - began

    def cpu_seconds(self):
        total = 0.0
        for process in self.processes:
            fields = open(f"/proc/{process.pid}/stat").read().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return total


def write_bytes(nodes):
    total = 0
    for process in nodes.processes:
        total += int(re.search(r"^write_bytes: (\d+)", open(f"/proc/{process.pid}/io").read(), re.M).group(1))
    return total


def load(nodes, connections, seconds):
    leader = nodes.leader()
    peak, over = [0], threading.Event()

    def watch():
        while not over.wait(0.1):
            peak[0] = max([peak[0]] + [anonymous_bytes(p.pid) for p in nodes.processes])

    watcher = threading.Thread(target=watch)
    before = [get_json(nodes.http(i), "/stats") for i in range(3)]
    cpu, written = nodes.cpu_seconds(), write_bytes(nodes)
    watcher.start()
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s",
                          os.path.join(HERE, "scale.lua"), f"http://{nodes.http(leader)}"],
                         env=dict(os.environ, KEYS=str(nodes.keys)), capture_output=True, text=True, check=True)
    result = {k: float(v) for k, v in (pair.split("=") for pair in
                                       re.search(r"RESULT (.*)", out.stdout).group(1).split())}
    result["cpu_per_1000"] = (nodes.cpu_seconds() - cpu) * 1000 / max(1, result["requests"])
    result["written_per_put"] = (write_bytes(nodes) - written) / max(1, result["requests"])
    over.set()
    watcher.join()
    result["peak"] = peak[0]
    result["under_load"] = max(private_bytes(p.pid) for p in nodes.processes)
    after = get_json(nodes.http(leader), "/stats")
    result["flushes"] = {k: after["state"][k] - before[leader]["state"][k]
                         for k in after["state"] if isinstance(after["state"][k], int)} if "state" in after else after
    return result


def turn(nodes, program, args):
    took = nodes.start(program, args.extra)
    result = {}
    try:
        nodes.leader()
        time.sleep(2)
        idle = max(private_bytes(p.pid) for p in nodes.processes)
        if args.seconds > 0:
            result = load(nodes, args.connections, args.seconds)
            time.sleep(args.rest)
        result["start"], result["idle"] = max(took), idle
        result["idle_after"] = max(private_bytes(p.pid) for p in nodes.processes)
        if args.stats:
            print(json.dumps(get_json(nodes.http(nodes.leader()), "/stats"), indent=1))
    finally:
        result["stop"] = nodes.stop()
    return result


def show(name, keys, r):
    text = f"{name:12} {keys:9}"
    if "rate" in r:
        text += (f" {r['rate']:8.0f}/s p50 {r['p50_us'] / 1000:6.2f} p99 {r['p99_us'] / 1000:6.2f}"
                 f" p99.9 {r['p999_us'] / 1000:6.1f} max {r['max_us'] / 1000:6.0f} ms"
                 f" cpu {r['cpu_per_1000']:.3f} s/1000 disk {r['written_per_put'] / 1024:5.1f} KiB/PUT"
                 f" err {r['errors']:.0f} memory peak {r['peak'] / MIB:5.0f} loaded {r['under_load'] / MIB:5.0f}")
    text += (f" idle {r['idle'] / MIB:5.1f} after {r['idle_after'] / MIB:5.1f} MiB  start {r['start']:.3f} s"
             f" stop {r['stop']:.2f} s")
    print(text, flush=True)


def median(results, what):
    return statistics.median(r[what] for r in results)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", required=True)
    parser.add_argument("--holdfast", default="./holdfast")
    parser.add_argument("--against")
    parser.add_argument("--make-state", default="tests/bench/make_state")
    parser.add_argument("--keys", type=int, default=10 * 1000 * 1000)
    parser.add_argument("--few", type=int, default=10 * 1000, help="0: none")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=10, help="of load; 0: none")
    parser.add_argument("--rest", type=float, default=5, help="seconds from the load to the last look at memory")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stats", action="store_true")
    parser.add_argument("extra", nargs="*", help="flags for the nodes, behind --")
    args = parser.parse_args()

    clusters = [Nodes(args.directory, keys) for keys in (args.few, args.keys) if keys > 0]
    for nodes in clusters:
        nodes.prepare(os.path.abspath(args.holdfast), os.path.abspath(args.make_state))
    programs = [("holdfast", os.path.abspath(args.holdfast))]
    if args.against:
        programs.append(("against", os.path.abspath(args.against)))
    results = {}
    for _ in range(args.rounds):
        for name, program in programs:
            for nodes in clusters:
                result = turn(nodes, program, args)
                show(name, nodes.keys, result)
                results.setdefault((name, nodes.keys), []).append(result)
    for name, _ in programs:
        if args.seconds > 0 and args.few > 0:
            print(f"{name}: rate with {args.keys} keys / with {args.few}, of medians: "
                  f"{median(results[name, args.keys], 'rate') / median(results[name, args.few], 'rate'):.2f}")
        print(f"{name}: start with {args.keys} keys, median: {median(results[name, args.keys], 'start'):.3f} s")


if __name__ == "__main__":
    main()

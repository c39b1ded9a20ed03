#!/usr/bin/env python3
"""Measures PUT on three Holdfast nodes and, in turn, on three etcd nodes (its JSON gateway), with
the same load on the same disk, A B A B.  Needs wrk and etcd-server (Debian packages).

usage: bench.py [--holdfast PROGRAM] [--connections 64] [--seconds 20] [--rounds 3] [--no-etcd]
"""
import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def get_json(url, data=None, timeout=2):
    request = urllib.request.Request(url, data=data)
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.load(answer)


class Cluster:
    """Three processes that live in a directory of their own."""

    def __init__(self, directory):
        self.directory = directory
        self.processes = []
        self.ports = free_ports(6)

    def start(self, command, name):
        log = open(os.path.join(self.directory, name + ".log"), "wb")
        self.processes.append(subprocess.Popen(command, stdout=log, stderr=log))

    def await_leader(self):
        deadline = time.time() + 20
        while time.time() < deadline:
            url = self.leader()
            if url:
                return url
            time.sleep(0.1)
        sys.exit(f"no leader within 20 s; logs are in {self.directory}")

    def stop(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def cpu_seconds(self):
        total = 0.0
        for process in self.processes:
            fields = open(f"/proc/{process.pid}/stat").read().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return total


class Holdfast(Cluster):
    name = "holdfast"

    def __init__(self, directory, program):
        super().__init__(directory)
        raft = [f"127.0.0.1:{p}" for p in self.ports[:3]]
        self.http = [f"127.0.0.1:{p}" for p in self.ports[3:]]
        for i in range(3):
            peers = ",".join(r for j, r in enumerate(raft) if j != i)
            self.start([program, "server", f"--id=node{i + 1}", f"--raft-addr={raft[i]}",
                        f"--http-addr={self.http[i]}", f"--data-dir={directory}/data",
                        f"--peers={peers}"], f"node{i + 1}")

    def leader(self):
        for address in self.http:
            try:
                if get_json(f"http://{address}/status")["state"] == "leader":
                    return f"http://{address}"
            except (OSError, ValueError, KeyError):
                pass
        return None

    def term(self):
        return max(get_json(f"http://{a}/status")["term"] for a in self.http)


class Etcd(Cluster):
    name = "etcd"

    def __init__(self, directory):
        super().__init__(directory)
        peer = [f"http://127.0.0.1:{p}" for p in self.ports[:3]]
        self.http = [f"http://127.0.0.1:{p}" for p in self.ports[3:]]
        everyone = ",".join(f"n{i}={p}" for i, p in enumerate(peer))
        for i in range(3):
            self.start(["etcd", "--name", f"n{i}", "--data-dir", f"{directory}/n{i}",
                        "--listen-peer-urls", peer[i], "--initial-advertise-peer-urls", peer[i],
                        "--listen-client-urls", self.http[i], "--advertise-client-urls",
                        self.http[i], "--initial-cluster", everyone, "--initial-cluster-state",
                        "new", "--logger", "zap", "--log-level", "error"], f"n{i}")

    def statuses(self):
        return [get_json(f"{url}/v3/maintenance/status", data=b"{}") for url in self.http]

    def leader(self):
        try:
            for url, status in zip(self.http, self.statuses()):
                if status.get("leader") == status["header"]["member_id"]:
                    return url
        except (OSError, ValueError, KeyError):
            pass
        return None

    def term(self):
        return max(int(s["raftTerm"]) for s in self.statuses())


def load(cluster, connections, seconds):
    url = cluster.await_leader()
    term, cpu = cluster.term(), cluster.cpu_seconds()
    out = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s",
         os.path.join(HERE, "put.lua"), url],
        env=dict(os.environ, TARGET=cluster.name), capture_output=True, text=True, check=True)
    match = re.search(r"RESULT (.*)", out.stdout)
    result = {k: float(v) for k, v in (pair.split("=") for pair in match.group(1).split())}
    result["cpu_per_1000"] = (cluster.cpu_seconds() - cpu) * 1000 / max(1, result["requests"])
    result["elections"] = cluster.term() - term
    return result


def show(name, r):
    print(f"{name:10} {r['rate']:9.0f}/s  p50 {r['p50_us'] / 1000:7.2f} ms  p90 {r['p90_us'] / 1000:7.2f} ms"
          f"  p99 {r['p99_us'] / 1000:7.2f} ms  max {r['max_us'] / 1000:8.2f} ms"
          f"  cpu {r['cpu_per_1000']:.3f} s/1000  errors {r['errors']:.0f}  elections {r['elections']:.0f}",
          flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--holdfast", default="./holdfast")
    parser.add_argument("--connections", default="64")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-etcd", action="store_true")
    args = parser.parse_args()
    for connections in args.connections.split(","):
        print(f"PUT 256 B, {connections} connections, {args.seconds} s a run")
        results = {}
        for _ in range(args.rounds):
            for kind in ("holdfast",) if args.no_etcd else ("holdfast", "etcd"):
                directory = tempfile.mkdtemp(prefix=f"bench-{kind}-")
                cluster = (Holdfast(directory, os.path.abspath(args.holdfast))
                           if kind == "holdfast" else Etcd(directory))
                try:
                    result = load(cluster, connections, args.seconds)
                finally:
                    cluster.stop()
                show(kind, result)
                results.setdefault(kind, []).append(result)
        if "etcd" in results:
            for what, better in (("rate", "more"), ("p50_us", "less"), ("p99_us", "less")):
                a, b = (statistics.median(r[what] for r in results[k]) for k in ("holdfast", "etcd"))
                print(f"  holdfast / etcd, median {what}: {a / b:.2f} ({better} is better)")


if __name__ == "__main__":
    main()

"""A DNS server of a few lines: what the test puts into `addresses` and `services` is answered at once.

    with Dns() as dns:
        dns.addresses["holdfast.test"] = ["127.0.0.2", "127.0.0.3"]
        dns.services["_raft._tcp.holdfast.test"] = [("one.test", 9001)]
"""
import ipaddress
import socket
import struct
import threading

A, AAAA, SRV = 1, 28, 33


def packed_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


class Dns(threading.Thread):
    def __init__(self):
        super().__init__(daemon=True)
        self.addresses, self.services, self.asked = {}, {}, 0
        self.silent = False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.flag = f"--dns-server=127.0.0.1:{self.socket.getsockname()[1]}"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.socket.sendto(b"", self.socket.getsockname())
        self.join(10)
        self.socket.close()

    def records(self, name, kind):
        if kind == SRV:
            return [struct.pack(">HHH", 0, 0, port) + packed_name(target)
                    for target, port in self.services.get(name, [])]
        version = 4 if kind == A else 6
        return [ip.packed for ip in map(ipaddress.ip_address, self.addresses.get(name, []))
                if ip.version == version] if kind in (A, AAAA) else []

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        question, (kind,) = query[12:at + 5], struct.unpack(">H", query[at + 1:at + 3])
        name = ".".join(labels).lower()
        records = self.records(name, kind)
        known = name in self.addresses or name in self.services
        head = query[:2] + struct.pack(">HHHHH", 0x8580 if known else 0x8583, 1, len(records), 0, 0)
        return head + question + b"".join(
            b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, len(data)) + data for data in records)

    def run(self):
        while True:
            query, sender = self.socket.recvfrom(4096)
            if query == b"":
                return
            self.asked += 1
            if not self.silent:
                self.socket.sendto(self.answer(query), sender)

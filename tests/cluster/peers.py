"""What nodes say to each other: recorded, taken apart, signed anew.  docs/PROTOCOL.md has the format."""
import ctypes
import ctypes.util
import os
import random
import struct

ENVELOPE, FRAME_HEADER = 64, 24
BODY_MAX = 8 * 1024 * 1024

xxhash = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
xxhash.XXH3_64bits_withSeed.restype = ctypes.c_uint64
xxhash.XXH3_64bits_withSeed.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]


def checksum(data):
    return struct.pack("<Q", xxhash.XXH3_64bits_withSeed(data, len(data), 0))


class Body:
    """An envelope and what follows it."""

    def __init__(self, data):
        (self.magic, self.version, self.n_frames, self.cluster, self.sender, self.receiver,
         self.incarnation) = struct.unpack_from("<8sIIQQQ16s", data)
        self.frames = data[ENVELOPE:]

    def signed(self, **changes):
        """Its bytes, with other fields but a checksum that matches."""
        fields = {**vars(self), **changes}
        head = struct.pack("<8sIIQQQ16s", *(fields[name] for name in (
            "magic", "version", "n_frames", "cluster", "sender", "receiver", "incarnation")))
        return head + checksum(head) + fields["frames"]


def exchange(path, body, length=None):
    return (b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\n"
            b"Content-Length: %d\r\n\r\n" % (path, len(body) if length is None else length)) + body


def recorded(folder, senders=None):
    """Every whole exchange in the files of a recording: (number of the receiver, path, body)."""
    found = []
    for name in sorted(os.listdir(folder)):
        sender, receiver, _ = map(int, name.split("-"))
        if senders is not None and sender not in senders:
            continue
        with open(os.path.join(folder, name), "rb") as file:
            data = file.read()
        while True:
            head, end, rest = data.partition(b"\r\n\r\n")
            if not end:
                break
            size = next(int(line.split(b":")[1]) for line in head.split(b"\r\n")
                        if line.lower().startswith(b"content-length"))
            if len(rest) < size:
                break
            found.append((receiver, head.split(b" ")[1], rest[:size]))
            data = rest[size:]
    return found


def damaged(bodies, rng):
    """Name and bytes of what is nearly right, made of what was right."""
    body = Body(rng.choice([each for each in bodies if len(each) > ENVELOPE + FRAME_HEADER]))
    good = body.signed()
    at = rng.randrange(len(good))
    frame = body.frames

    def framed(**fields):
        size = fields.get("size", struct.unpack_from("<I", frame, 8)[0])
        kind = fields.get("kind", frame[12])
        rest = struct.pack("<IB", size, kind) + frame[13:]
        return body.signed(frames=checksum(rest) + rest, n_frames=1)

    return [
        ("random bytes", rng.randbytes(rng.randrange(1, 2000))),
        ("nothing", b""),
        ("a body cut short", good[:at]),
        ("bytes behind the last frame", good + rng.randbytes(50)),
        ("a flipped bit", good[:at] + bytes([good[at] ^ 1 << rng.randrange(8)]) + good[at + 1:]),
        ("another magic", body.signed(magic=b"HOLDSLOW")),
        ("another version", body.signed(version=2)),
        ("another cluster", body.signed(cluster=body.cluster ^ 1)),
        ("another incarnation", body.signed(incarnation=rng.randbytes(16))),
        ("a stranger", body.signed(sender=rng.getrandbits(64))),
        ("oneself", body.signed(sender=body.receiver)),
        ("another receiver", body.signed(receiver=body.sender)),
        ("nobody", body.signed(sender=0)),
        ("more frames than there are", body.signed(n_frames=1000)),
        ("more frames than there can be", body.signed(n_frames=0xffffffff)),
        ("a huge frame", framed(size=0xffffffff)),
        ("a tiny frame", framed(size=rng.randrange(FRAME_HEADER))),
        ("an unknown frame", framed(kind=rng.randrange(40, 256))),
        ("a frame of another kind", framed(kind=rng.randrange(1, 12))),
    ]


def shuffled_for_ever(exchanges, seed):
    rng = random.Random(seed)
    while True:
        for receiver, path, body in rng.sample(exchanges, len(exchanges)):
            yield receiver, path, body

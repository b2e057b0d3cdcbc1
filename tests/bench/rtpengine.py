#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Set up calls in a running rtpengine by its ng protocol, plain or with SDES, and write the flow file for rtpgen.

  rtpengine.py --ng 127.0.0.1:2223 -n 500 -o FLOWS
"""
import argparse
import base64
import os
import re
import socket
import time


def encode(x):
    """Bencode."""
    if isinstance(x, str):
        x = x.encode()
    if isinstance(x, bytes):
        return b"%d:%s" % (len(x), x)
    if isinstance(x, list):
        return b"l" + b"".join(map(encode, x)) + b"e"
    return b"d" + b"".join(encode(k) + encode(x[k]) for k in sorted(x)) + b"e"


class Engine:
    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((host, int(port)))
        self.socket.settimeout(2)
        self.cookie = 0

    def command(self, fields):
        self.cookie += 1
        cookie = b"%d_%d " % (os.getpid(), self.cookie)
        end = time.monotonic() + 15     # it may just be starting
        while time.monotonic() < end:
            try:
                self.socket.send(cookie + encode(fields))
                reply = self.socket.recv(65536)
                while not reply.startswith(cookie):
                    reply = self.socket.recv(65536)
            except socket.timeout:
                continue
            except ConnectionRefusedError:
                time.sleep(0.1)
                continue
            if b"6:result5:error" in reply:
                raise SystemExit(f"rtpengine: {reply}")
            return reply.decode()
        raise SystemExit("rtpengine does not answer")


LENGTH = {"AES_CM_128_HMAC_SHA1_80": 30, "AES_CM_128_HMAC_SHA1_32": 30, "AES_256_CM_HMAC_SHA1_80": 46, "AEAD_AES_128_GCM": 28, "AEAD_AES_256_GCM": 44}


def sdp(host, port, suite=None, key=None, tag=1):
    crypto = f"a=crypto:{tag} {suite} inline:{base64.b64encode(key).decode()}\r\n" if suite else ""
    return (f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/{'SAVP' if suite else 'AVP'} 0\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n{crypto}")


def crypto_of(reply, suite):
    """Tag and key of the line with that suite."""
    tag, key = re.search(r"a=crypto:(\d+) %s inline:([^\s|]+)" % suite, reply).groups()
    return tag, base64.b64decode(key + "=" * (-len(key) % 4))


def keys_field(end, suite, ours, theirs):
    return f" {end}K={suite},{ours.hex()},{theirs.hex()}" if suite else ""


def place(reply):
    host = re.findall(r"c=IN IP4 (\S+)", reply)[-1]
    port = re.search(r"m=audio (\d+)", reply).group(1)
    return f"{host}:{port}"


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--ng", default="127.0.0.1:2223")
    p.add_argument("-n", type=int, default=100)
    p.add_argument("-o", required=True)
    p.add_argument("-a", default="127.0.0.2:6000")
    p.add_argument("-b", default="127.0.0.3:6000")
    p.add_argument("--suite-a", choices=LENGTH)
    p.add_argument("--suite-b", choices=LENGTH)
    o = p.parse_args()
    engine = Engine(o.ng)
    common = {"ICE": "remove", "replace": ["origin", "session-connection"], "flags": ["trust-address"], "rtcp-mux": ["demux"], "DTLS": "off"}
    with open(o.o, "w") as out:
        for i in range(o.n):
            ids = {"call-id": f"bench-{os.getpid()}-{i}", "from-tag": "a"}
            ka, kb = (os.urandom(LENGTH[s]) if s else None for s in (o.suite_a, o.suite_b))
            there = {"transport-protocol": "RTP/SAVP" if o.suite_b else "RTP/AVP"}
            rb = engine.command({"command": "offer", "sdp": sdp(*o.a.split(":"), o.suite_a, ka), **ids, **common, **there})
            tag, their_b = crypto_of(rb, o.suite_b) if o.suite_b else (1, None)
            ra = engine.command({"command": "answer", "to-tag": "b", "sdp": sdp(*o.b.split(":"), o.suite_b, kb, tag), **ids, **common})
            their_a = crypto_of(ra, o.suite_a)[1] if o.suite_a else None
            out.write(f"A={o.a} RA={place(ra)} B={o.b} RB={place(rb)}{keys_field('A', o.suite_a, ka, their_a)}{keys_field('B', o.suite_b, kb, their_b)}\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Set up plain RTP calls in a running rtpengine by its ng protocol and write the flow file for rtpgen.

  rtpengine.py --ng 127.0.0.1:2223 -n 500 -o FLOWS
"""
import argparse
import os
import re
import socket


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
        for _ in range(5):
            self.socket.send(cookie + encode(fields))
            try:
                reply = self.socket.recv(65536)
                while not reply.startswith(cookie):
                    reply = self.socket.recv(65536)
            except (socket.timeout, ConnectionRefusedError):
                continue
            if b"6:result5:error" in reply:
                raise SystemExit(f"rtpengine: {reply}")
            return reply.decode()
        raise SystemExit("rtpengine does not answer")


def sdp(host, port):
    return (f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n")


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
    o = p.parse_args()
    engine = Engine(o.ng)
    common = {"ICE": "remove", "replace": ["origin", "session-connection"], "flags": ["trust-address"], "rtcp-mux": ["demux"]}
    with open(o.o, "w") as out:
        for i in range(o.n):
            ids = {"call-id": f"bench-{os.getpid()}-{i}", "from-tag": "a"}
            rb = place(engine.command({"command": "offer", "sdp": sdp(*o.a.split(":")), **ids, **common}))
            ra = place(engine.command({"command": "answer", "to-tag": "b", "sdp": sdp(*o.b.split(":")), **ids, **common}))
            out.write(f"A={o.a} RA={ra} B={o.b} RB={rb}\n")


if __name__ == "__main__":
    main()

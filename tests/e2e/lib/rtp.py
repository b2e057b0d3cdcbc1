# SPDX-License-Identifier: Apache-2.0
"""RTP parties: a pair of ports that sends paced packets and keeps all it receives, and u-law tones to tell audio by."""
import math
import os
import socket
import struct
import threading
import time

from .base import check, WAIT

SO_TIMESTAMPNS = 35


def ulaw(sample):
    sign = 0x80 if sample < 0 else 0
    x = min(abs(int(sample)), 32635) + 132
    exp = max(0, x.bit_length() - 8)
    return ~(sign | exp << 4 | (x >> (exp + 3)) & 15) & 0xff


def ulaw_linear(byte):
    byte = ~byte & 0xff
    x = (((byte & 15) << 3) + 132 << (byte >> 4 & 7)) - 132
    return -x if byte & 0x80 else x


def tone(hz, seconds):
    """u-law bytes of a sine."""
    return bytes(ulaw(12000 * math.sin(2 * math.pi * hz * n / 8000)) for n in range(int(8000 * seconds)))


def frequency(payload):
    """Rough frequency of u-law bytes, by zero crossings."""
    x = [ulaw_linear(b) for b in payload]
    if len(x) < 800:
        return 0.0
    crossings = sum(1 for a, b in zip(x, x[1:]) if (a < 0) != (b < 0))
    return crossings / 2 / (len(x) / 8000)


class Packet:
    __slots__ = ('at', 'source', 'pt', 'seq', 'ts', 'ssrc', 'marker', 'payload')

    def __init__(self, data, source, at):
        b0, b1, self.seq, self.ts, self.ssrc = struct.unpack('!BBHII', data[:12])
        self.pt, self.marker = b1 & 0x7f, bool(b1 & 0x80)
        self.payload, self.source, self.at = data[12 + 4 * (b0 & 15):], source, at


class Rtp:
    """A media party on ip; ports are an even one and the next."""

    def __init__(self, t, ip):
        family = socket.AF_INET6 if ':' in ip else socket.AF_INET
        self.ip, self.rx, self.rtcp_rx, self.junk = ip, [], [], 0
        self.ssrc = int.from_bytes(os.urandom(4), 'big')
        self.seq, self.ts = int.from_bytes(os.urandom(2), 'big') // 2, 1000
        for _ in range(500):
            port = 30000 + int.from_bytes(os.urandom(2), 'big') % 2700 // 2 * 2
            self.sock = socket.socket(family, socket.SOCK_DGRAM)
            self.rtcp = socket.socket(family, socket.SOCK_DGRAM)
            try:
                self.sock.bind((ip, port))
                self.rtcp.bind((ip, port + 1))
                self.port = port
                break
            except OSError:
                self.sock.close()
                self.rtcp.close()
        else:
            check(False, 'no free RTP port at %s', ip)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.closed = threading.Event()
        self.lock = threading.Condition()
        threading.Thread(target=self._read, args=(self.sock, self._got_rtp), daemon=True).start()
        threading.Thread(target=self._read, args=(self.rtcp, self._got_rtcp), daemon=True).start()
        t.defer(self.close)

    def _read(self, sock, got):
        sock.settimeout(0.2)
        while not self.closed.is_set():
            try:
                data, anc, _, source = sock.recvmsg(4096, 64)
            except socket.timeout:
                continue
            except OSError:
                return
            at = time.time()
            for level, kind, val in anc:
                if kind == SO_TIMESTAMPNS and len(val) >= 16:
                    s, ns = struct.unpack('qq', val[:16])
                    at = s + ns / 1e9
            with self.lock:
                got(data, source[:2], at)
                self.lock.notify_all()

    def _got_rtp(self, data, source, at):
        if len(data) >= 12 and data[0] >> 6 == 2:
            self.rx.append(Packet(data, source, at))
        else:
            self.junk += 1

    def _got_rtcp(self, data, source, at):
        self.rtcp_rx.append((data, source))

    def close(self):
        self.closed.set()
        self.sock.close()
        self.rtcp.close()

    def packet(self, payload, pt=0, marker=False):
        head = struct.pack('!BBHII', 0x80, pt | (0x80 if marker else 0), self.seq & 0xffff, self.ts & 0xffffffff, self.ssrc)
        self.seq += 1
        self.ts += 160
        return head + payload

    def send(self, dest, count=10, pt=0, audio=None, interval=0.02):
        """Send count paced packets; audio: u-law bytes cut into 20 ms."""
        start = time.monotonic()
        for k in range(count):
            payload = audio[160 * k % len(audio):][:160].ljust(160, b'\xff') if audio else bytes([k & 0x7f]) * 160
            self.sock.sendto(self.packet(payload, pt, k == 0), dest)
            left = start + (k + 1) * interval - time.monotonic()
            if left > 0:
                time.sleep(left)

    def stream(self, dest, audio=None):
        """Send until the returned function is called."""
        stop = threading.Event()

        def run():
            while not stop.is_set():
                self.send(dest, 5, audio=audio)
        th = threading.Thread(target=run, daemon=True)
        th.start()

        def end():
            stop.set()
            th.join()
        return end

    def send_rtcp(self, dest):
        """A sender report."""
        sr = struct.pack('!BBHIIIIII', 0x80, 200, 6, self.ssrc, 1, 2, self.ts & 0xffffffff, 3, 4)
        self.rtcp.sendto(sr, (dest[0], dest[1] + 1))

    def wait(self, count, seconds=2.0):
        """Number of packets received, once count are there or the time is over."""
        with self.lock:
            self.lock.wait_for(lambda: len(self.rx) >= count, seconds * WAIT)
            return len(self.rx)

    def clear(self):
        with self.lock:
            self.rx = []
            self.rtcp_rx = []

    def audio(self):
        return b''.join(p.payload for p in self.rx if p.pt == 0)


def both_ways(a, a_dest, b, b_dest, count=15):
    """a and b send count packets each at the same time; all of them must arrive, in order, unchanged, from the address that was signalled."""
    a.clear()
    b.clear()
    th = threading.Thread(target=a.send, args=(a_dest, count))
    th.start()
    b.send(b_dest, count)
    th.join()
    for who, rx, sender, source in (('callee', b, a, b_dest), ('caller', a, b, a_dest)):
        # the very first packets may be what latches a stream; none is lost for that
        n = rx.wait(count)
        check(n >= count - 1, 'the %s got %d of %d packets', who, n, count)
        check(len({p.seq for p in rx.rx}) == n, 'the %s got packets twice', who)
        check([p.seq for p in rx.rx] == sorted(p.seq for p in rx.rx), 'the %s got packets out of order', who)
        check(all(p.ssrc == sender.ssrc and p.pt == 0 and len(p.payload) == 160 and len(set(p.payload)) == 1 for p in rx.rx), 'packets to the %s were changed', who)
        check(all(p.source == source for p in rx.rx), 'packets to the %s come from %s, the SDP said %s', who, rx.rx[0].source, source)

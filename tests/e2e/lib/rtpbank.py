# SPDX-License-Identifier: Apache-2.0
"""
Many RTP flows in a process of their own, so that what a test does besides does not disturb their pace. As a program: `rtpbank.py IP BASE COUNT`
opens COUNT ports (BASE, BASE + 2, ...) at IP; lines on its input: `to K IP PORT`, `start`, `stop`, `mark` (forget figures), `report`, `quit`.
A flow's gap is the time between two arrivals beyond what the sender (another bank: it writes the time into its packets) let pass itself.
"""
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time

INTERVAL = 0.02
SO_TIMESTAMPNS = 35


class Flow:
    def __init__(self, ip, port):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.sock.bind((ip, port))
        self.sock.setblocking(False)
        self.dest, self.seq, self.ssrc = None, 0, int.from_bytes(os.urandom(4), 'big')
        self.mark()
        self.last_sent = self.last_at = None

    def mark(self):
        self.sent = self.received = self.lost = self.misordered = 0
        self.gap, self.last_seq = 0.0, None
        self.last_sent = self.last_at = None

    def send(self, now):
        head = struct.pack('!BBHIId', 0x80, 0, self.seq & 0xffff, self.seq * 160 & 0xffffffff, self.ssrc, now)
        self.seq += 1
        try:
            self.sock.sendto(head + b'\xd5' * 152, self.dest)
            self.sent += 1
        except OSError:
            pass

    def receive(self):
        while True:
            try:
                data, anc, _, _ = self.sock.recvmsg(2048, 64)
            except OSError:
                return
            if len(data) != 172:
                continue
            s, ns = struct.unpack('qq', anc[0][2][:16])
            at = s + ns / 1e9
            seq, sent = struct.unpack('!H', data[2:4])[0], struct.unpack('!d', data[12:20])[0]
            self.received += 1
            if self.last_seq is not None:
                step = (seq - self.last_seq) & 0xffff
                if step == 0 or step > 0x8000:
                    self.misordered += 1
                    continue
                self.lost += step - 1
                self.gap = max(self.gap, at - self.last_at - max(INTERVAL, (sent - self.last_sent) / step))
            self.last_seq, self.last_sent, self.last_at = seq, sent, at

    def report(self):
        return {'sent': self.sent, 'received': self.received, 'lost': self.lost, 'misordered': self.misordered, 'gap_ms': round(self.gap * 1000, 1)}


def serve(ip, base, count):
    flows = [Flow(ip, base + 2 * k) for k in range(count)]
    ep = select.epoll()
    for k, f in enumerate(flows):
        ep.register(f.sock.fileno(), select.EPOLLIN)
    by_fd = {f.sock.fileno(): f for f in flows}
    ep.register(0, select.EPOLLIN)
    os.set_blocking(0, False)
    print('ready', flush=True)
    running, turn, buf = False, 0, b''
    start = time.monotonic()
    while True:
        wait = 1.0
        if running:
            wait = max(0.0, start + turn * INTERVAL / count - time.monotonic())
        for fd, _ in ep.poll(wait):
            if fd:
                by_fd[fd].receive()
                continue
            data = os.read(0, 65536)
            if not data:
                return
            buf += data
            while b'\n' in buf:
                line, _, buf = buf.partition(b'\n')
                word = line.decode().split()
                if word[0] == 'to':
                    flows[int(word[1])].dest = (word[2], int(word[3]))
                elif word[0] == 'start':
                    running, turn, start = True, 0, time.monotonic()
                elif word[0] == 'stop':
                    running = False
                elif word[0] == 'mark':
                    for f in flows:
                        f.mark()
                elif word[0] == 'report':
                    print(json.dumps([f.report() for f in flows]), flush=True)
                elif word[0] == 'quit':
                    return
        # flows take turns, evenly over the interval
        while running and time.monotonic() >= start + turn * INTERVAL / count:
            f = flows[turn % count]
            if f.dest:
                f.send(time.time())
            turn += 1


class Bank:
    def __init__(self, t, ip, base, count):
        self.ip, self.base, self.count = ip, base, count
        self.p = subprocess.Popen([sys.executable, os.path.abspath(__file__), ip, str(base), str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        t.defer(self.close)
        if self.p.stdout.readline().strip() != 'ready':
            raise OSError('the RTP bank at %s:%d did not start' % (ip, base))

    def port(self, k):
        return self.base + 2 * k

    def tell(self, *words):
        self.p.stdin.write(' '.join(str(w) for w in words) + '\n')
        self.p.stdin.flush()

    def report(self):
        self.tell('report')
        return json.loads(self.p.stdout.readline())

    def close(self):
        try:
            self.p.stdin.close()
            self.p.wait(3)
        except (OSError, subprocess.TimeoutExpired):
            self.p.kill()
            self.p.wait()


if __name__ == '__main__':
    serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

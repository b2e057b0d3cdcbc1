# SPDX-License-Identifier: Apache-2.0
"""Session timers under load: many established calls without media whose legs Postern refreshes, and re-INVITEs that change nothing."""
import os
import re
import select
import socket
import time

from lab import cpu_ns, percentile, pss_kb, row
from lib.base import check
from lib.sip import sdp_text

INTERVAL = 90
COPIED = re.compile(rb'(?im)^(?:Via|From|To|Call-ID|CSeq):.*\r\n')
ALLOW = b'Allow: INVITE, ACK, BYE, CANCEL, UPDATE\r\n'


def field(data, name):
    m = re.search(rb'(?im)^' + name + rb':[ \t]*(.*?)\r\n', data)
    return m.group(1) if m else b''


class Leg:
    def __init__(self):
        self.due, self.refreshed, self.target, self.to, self.cseq = 0, 0, b'', b'', 1


class Crowd:
    """Both ends of many calls, on two sockets: sets them up, answers refreshes and notes how late they are."""

    def __init__(self, lab, system, calls):
        t = lab.t
        self.system, self.calls = system, calls
        self.ip = [t.ip(11), t.ip(12)]
        self.peer = [system.entry, (t.ip(2), 5060)]
        self.sock = []
        for ip in self.ip:
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            s.bind((ip, 5060))
            s.setblocking(False)
            self.sock.append(s)
        self.sdp = [sdp_text(ip, 6000).encode() for ip in self.ip]
        self.legs = [{}, {}]               # by Call-ID
        self.late, self.byes, self.answers, self.waiting = [], 0, 0, {}

    def answer(self, k, data, extra=b'', body=b''):
        to = field(data, b'To')
        head = b''.join(COPIED.findall(data))
        if b';tag=' not in to:
            head = head.replace(b'To: ' + to, b'To: ' + to + b';tag=callee')
        if body:
            extra += b'Content-Type: application/sdp\r\n'
        self.sock[k].sendto(b'SIP/2.0 200 OK\r\n' + head + b'Contact: <sip:x@%s:5060>\r\n' % self.ip[k].encode() + ALLOW + extra +
                            b'Content-Length: %d\r\n\r\n' % len(body) + body, self.peer[k])

    def request(self, k, method, call_id, leg, body=b'', extra=b''):
        leg.cseq += method != b'ACK'
        self.sock[k].sendto(b'%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s:5060;branch=z9hG4bK%s%d%s\r\nMax-Forwards: 70\r\nFrom: <sip:caller@%s>;tag=caller\r\nTo: %s\r\nCall-ID: %s\r\n'
                            b'CSeq: %d %s\r\nContact: <sip:x@%s:5060>\r\n%s%sContent-Length: %d\r\n\r\n%s' %
                            (method, leg.target, self.ip[k].encode(), call_id, leg.cseq, method, self.ip[k].encode(), leg.to, call_id, leg.cseq, method,
                             self.ip[k].encode(), ALLOW + extra, b'Content-Type: application/sdp\r\n' if body else b'', len(body), body), self.peer[k])

    def invite(self, n):
        call_id = b'crowd-%d-%s' % (n, os.urandom(4).hex().encode())
        leg = Leg()
        leg.target = b'sip:%d@%s:5060' % (700000 + n, self.peer[0][0].encode())
        leg.to, leg.cseq = b'<%s>' % leg.target, 0
        self.legs[0][call_id] = leg
        self.request(0, b'INVITE', call_id, leg, self.sdp[0])

    def refreshed(self, k, data, now):
        leg = self.legs[k].get(field(data, b'Call-ID'))
        if leg and leg.due:
            self.late.append(now - leg.due)
        if leg:
            leg.due = now + INTERVAL / 2
        self.answer(k, data, b'Supported: timer\r\nSession-Expires: %d;refresher=uac\r\nRequire: timer\r\n' % INTERVAL, self.sdp[k] if data.startswith(b'INVITE') else b'')

    def response(self, k, data, now):
        call_id, method = field(data, b'Call-ID'), field(data, b'CSeq').split()[-1]
        leg = self.legs[k].get(call_id)
        if not leg or not data.startswith(b'SIP/2.0 200') or method != b'INVITE':
            return
        leg.to = field(data, b'To')
        leg.target = re.search(rb'<([^>]*)>', field(data, b'Contact')).group(1)
        self.request(k, b'ACK', call_id, leg)
        if not leg.due:
            leg.due = now + INTERVAL / 2
        sent = self.waiting.pop(call_id, None)
        self.answers += sent is not None

    def take(self, k, data):
        now = time.monotonic()
        if data.startswith(b'SIP/2.0'):
            self.response(k, data, now)
        elif data.startswith((b'INVITE', b'UPDATE')) and b';tag=' in field(data, b'To'):
            self.refreshed(k, data, now)
        elif data.startswith(b'INVITE'):
            leg = self.legs[k][field(data, b'Call-ID')] = Leg()
            leg.due = now + INTERVAL / 2
            self.answer(k, data, b'Supported: timer\r\nSession-Expires: %d;refresher=uac\r\nRequire: timer\r\n' % INTERVAL, self.sdp[k])
        elif data.startswith(b'BYE'):
            self.byes += 1
            self.answer(k, data)

    def run(self, seconds, each=None):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if each:
                each()
            ready, _, _ = select.select(self.sock, [], [], 0.002 if each else 0.05)
            for s in ready:
                try:
                    while True:
                        self.take(self.sock.index(s), s.recv(65536))
                except BlockingIOError:
                    pass

    def set_up(self, rate):
        todo, start = iter(range(self.calls)), time.monotonic()
        sent = [0]

        def more():
            while sent[0] < min(self.calls, (time.monotonic() - start) * rate):
                self.invite(next(todo))
                sent[0] += 1
        self.run(self.calls / rate + 1, more)
        check(len(self.legs[1]) == self.calls, 'only %d of %d calls stand', len(self.legs[1]), self.calls)

    def overdue(self, now):
        return sum(1 for legs in self.legs for x in legs.values() if x.due + 5 < now)

    def close(self):
        for s in self.sock:
            s.close()


def system_with_timers(lab, calls):
    s = lab.postern(calls + 100)
    for method, path, body in (('POST', '/config/session_timers', {'id': 'short', 'expires': INTERVAL, 'min_se': INTERVAL}),
                               ('PATCH', '/config/trunks/caller', {'session_timer': 'short'}), ('PATCH', '/config/trunks/callee', {'session_timer': 'short'})):
        r = s.daemon.http(method, path, body, ctype='application/merge-patch+json' if method == 'PATCH' else 'application/json')
        check(r.status in (200, 201), '%s %s: %d %s', method, path, r.status, r.text[:200])
    return s


@row('refresh', '4,000 established calls without media, both legs refreshed by us at 90 s: CPU share, lateness, memory; BENCH_REFRESH_SECONDS (600)')
def refresh(lab):
    calls = lab.o.held
    seconds = int(os.environ.get('BENCH_REFRESH_SECONDS', '50' if lab.o.quick else '600'))
    s = system_with_timers(lab, calls)
    os.sched_setaffinity(0, {1})
    crowd = Crowd(lab, s, calls)
    crowd.set_up(400)
    first = pss_kb(s.pids())
    before, start = cpu_ns(s.pids()), time.monotonic()
    crowd.run(seconds)
    took, used = time.monotonic() - start, cpu_ns(s.pids()) - before
    now = pss_kb(s.pids())
    note = '%d calls, %d refreshes in %d s' % (calls, len(crowd.late), took)
    lab.add('refreshes: CPU share of one core', s.name, 100 * used / 1e9 / took, '%', None, note)
    lab.add('  CPU per refresh', s.name, used / 1000 / max(1, len(crowd.late)), 'us')
    lab.add('  lateness, 99.9 %', s.name, 1000 * percentile(crowd.late or [0], 0.999), 'ms', None, 'most %.0f ms, least %.0f ms' % (1000 * max(crowd.late or [0]), 1000 * min(crowd.late or [0])))
    lab.add('  lost', s.name, crowd.overdue(time.monotonic()) + crowd.byes, 'calls')
    lab.add('  memory', s.name, (now - first) / 1024, 'MB more', None, '%.1f MB at the beginning' % (first / 1024))
    crowd.close()


@row('consume', 'CPU per consumed refresh: re-INVITEs that change nothing, answered here')
def consume(lab):
    calls, rounds = 200, 5 if lab.o.quick else 50
    s = lab.postern(calls + 100)
    os.sched_setaffinity(0, {1})
    crowd = Crowd(lab, s, calls)
    crowd.set_up(200)
    before = cpu_ns(s.pids())
    for n in range(rounds):
        for call_id, leg in crowd.legs[0].items():
            crowd.waiting[call_id] = time.monotonic()
            crowd.request(0, b'INVITE', call_id, leg, crowd.sdp[0])
            crowd.run(0.0005)
        crowd.run(0.5)
    used = cpu_ns(s.pids()) - before
    check(crowd.answers == calls * rounds, '%d of %d re-INVITEs were answered', crowd.answers, calls * rounds)
    lab.add('CPU per consumed refresh', s.name, used / 1000 / crowd.answers, 'us', None, '%d re-INVITEs, 200 and ACK each' % crowd.answers)
    crowd.close()

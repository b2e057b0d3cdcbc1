# SPDX-License-Identifier: Apache-2.0
"""Trunks: how fast calls leave a dead server, what hunting adds, what watching a thousand of them and ten thousand routes cost."""
import datetime
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from lab import cpu_ns, percentile, pss_kb, row
from lib.base import check, until
from lib.daemon import Postern
from lib.sip import sdp_text
from lib.ua import Agent


def document(t, targets, transport='udp', more=None):
    doc = {'schema': 1, 'system': {'name': 'bench', 'max_calls': 2000}, 'realms': [], 'listeners': [], 'trunks': [], 'routes': [{'id': 'r', 'from': ['caller'], 'to': 'callee'}]}
    for k, realm in enumerate(('core', 'peering')):
        doc['realms'].append({'id': realm, 'media': {'address': t.ip(1 + k), 'port_min': 10000, 'port_max': 15998}})
        doc['listeners'].append({'id': realm, 'realm': realm, 'transport': transport if k else 'udp', 'address': t.ip(1 + k), 'port': 5060})
    doc['trunks'] = [{'id': 'caller', 'realm': 'core', 'target': 'sip:%s:5060;transport=udp' % t.ip(11)},
                     {'id': 'callee', 'realm': 'peering', 'targets': ['sip:%s:5060;transport=%s' % (ip, transport) for ip in targets], **(more or {})}]
    return doc


class Callees:
    """Two servers that refuse every call with 486 as it comes; the first may be killed (its port closed) or silenced."""

    def __init__(self, t, transport):
        self.agents = [Agent(t, t.ip(12 + k), (t.ip(2), 5060), 5060, transport) for k in range(2)]
        self.mute = [False, False]
        self.on = True
        for k in range(2):
            threading.Thread(target=self.serve, args=(k,), daemon=True).start()

    def serve(self, k):
        while self.on:
            try:
                m = self.agents[k].take(lambda m: m.method == 'INVITE' and not m.tag('to'), 0.5)
            except Exception:
                continue
            if self.mute[k]:
                continue
            lines = ['SIP/2.0 486 Busy Here'] + ['Via: ' + v for v in m.all('via')] + ['From: ' + m.get('from'), 'To: %s;tag=x%d' % (m.get('to'), k),
                     'Call-ID: ' + m.call_id, 'CSeq: ' + m.get('cseq'), 'Content-Length: 0', '', '']
            self.agents[k].transmit('\r\n'.join(lines).encode(), m.source, m.conn)

    def close(self):
        self.on = False
        for x in self.agents:
            x.close()


def one_death(lab, how):
    """50 calls a second; the best server dies: (ms from its death to the first answer of the other, calls that were not answered by a server, hunts)."""
    t = lab.t
    transport = 'tcp' if how == 'refused TCP' else 'udp'
    d = Postern(t, document(t, [t.ip(12), t.ip(13)], transport), args=['--log-level', 'warn'])
    d.argv = lambda *more, argv=d.argv: ['taskset', '-c', '0', *argv(*more)]
    d.start(60)
    callees, a = Callees(t, transport), Agent(t, t.ip(11), (t.ip(1), 5060))
    until(lambda: len(d.get('/trunks/callee').json.get('targets', [])) == 2, 5, 'targets')
    calls, died = [], None
    start = time.monotonic()
    for n in range(500):
        if n == 100:
            if how == 'silent UDP':
                callees.mute[0] = True
            else:
                callees.agents[0].close()
                time.sleep(0.05)       # a socket lives on until its reader has noticed
            died = time.monotonic()
        calls.append((time.monotonic(), a.call('2%04d' % n, sdp=sdp_text(a.ip, 6000))))
        time.sleep(max(0.0, start + n * 0.02 - time.monotonic()))
    lost = 0
    for at, c in calls:
        try:
            lost += c.wait({486}, 10).status != 486
        except Exception:
            lost += 1
    ends = [x['end'] for x in d.all_items('/cdrs') if x['targets'] and t.ip(13) in json.dumps(x['targets'][-1])]
    check(ends, 'no call was answered by the next server')
    took = min(stamp(x) for x in ends) - (time.time() - (time.monotonic() - died))
    delays = sorted(stamp(x['end']) - stamp(x['start']) for x in d.all_items('/cdrs'))
    hunts = d.counter('postern_hunt_next_total')
    callees.close()
    a.close()
    d.stop()
    return took * 1000, lost, hunts, delays[-1] * 1000


def stamp(text):
    return datetime.datetime.strptime(text, '%Y-%m-%dT%H:%M:%S.%f%z').timestamp()


@row('failover', 'from the death of the best of two servers to the first call answered by the next, at 50 calls/s: silent over UDP, ICMP, refused TCP; calls lost')
def failover(lab):
    for how in ('silent UDP', 'ICMP', 'refused TCP'):
        took, lost, hunts, most = one_death(lab, how)
        lab.add('death to first answer, ' + how, 'postern', took, 'ms', None, '%d of 500 calls lost, %d went on, longest call %.0f ms' % (lost, hunts, most))


@row('hunt', 'added post-dial delay of hunting: INVITE to 180 when the first of two servers answers 503, minus that of one that answers at once')
def hunt(lab):
    t = lab.t
    more = {'failover': {'tries': 3, 'try_timeout': 2.0, 'on_status': [500, 503]}}
    d = Postern(t, document(t, [t.ip(12), t.ip(13)], 'udp', more), args=['--log-level', 'warn'])
    d.argv = lambda *more, argv=d.argv: ['taskset', '-c', '0', *argv(*more)]
    d.start(60)
    until(lambda: len(d.get('/trunks/callee').json.get('targets', [])) == 2, 5, 'targets')
    box = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    for k, s in enumerate(box):
        s.bind((t.ip(11 + k), 5060))
        s.settimeout(2)
    direct, through = [], []
    for n in range(100 * lab.o.seconds):
        if n % 3 == 0:
            direct.append(ring(box[0], box[2], box[1], t, n, None))   # the first refuses nothing
        else:
            through.append(ring(box[0], box[2], box[1], t, n, 500))
    for p in (0.5, 0.99):
        lab.add('added delay of one refusal p%g' % (p * 100), 'postern', percentile(through, p) - percentile(direct, p), 'ms', None,
                '%.3f - %.3f, %d calls' % (percentile(through, p), percentile(direct, p), len(through)))
    for s in box:
        s.close()
    d.stop()


def reply(s, data, source, status, tag):
    head = data.split(b'\r\n\r\n')[0].split(b'\r\n')
    keep = [x for x in head if x.split(b':')[0].lower() in (b'via', b'v', b'from', b'f', b'call-id', b'i', b'cseq')]
    to = next(x for x in head if x.split(b':')[0].lower() in (b'to', b't'))
    s.sendto(b'\r\n'.join([b'SIP/2.0 %d X' % status, *keep, to + b';tag=' + tag, b'Content-Length: 0', b'', b'']), source)


def got(s, what):
    while True:
        data, source = s.recvfrom(65535)
        if data.startswith(what):
            return data, source


def ring(caller, second, first, t, n, refuse):
    """Milliseconds from INVITE to 180 of one call, which the first server refuses or not."""
    ident = b'b%d-%d' % (os.getpid(), n)
    sdp = sdp_text(t.ip(11), 6000)
    sdp = sdp if isinstance(sdp, bytes) else sdp.encode()
    uri = b'sip:2000@%s:5060' % t.ip(1).encode()
    me = t.ip(11).encode()

    def request(method, to=b'', branch=b''):
        body = sdp if method == b'INVITE' else b''
        return b'\r\n'.join([method + b' ' + uri + b' SIP/2.0', b'Via: SIP/2.0/UDP ' + me + b':5060;branch=z9hG4bK' + ident + branch, b'Max-Forwards: 70', b'From: <sip:c@' + me + b'>;tag=' + ident,
                              b'To: ' + (to or b'<' + uri + b'>'), b'Call-ID: ' + ident, b'CSeq: 1 ' + method, b'Contact: <sip:c@' + me + b':5060>',
                              b'Content-Type: application/sdp', b'Content-Length: %d' % len(body), b'', body])
    start = time.monotonic()
    caller.sendto(request(b'INVITE'), (t.ip(1), 5060))
    data, source = got(first, b'INVITE')
    at = first
    if refuse:
        # one 500 in a row takes no server down: a refusal of the call before is followed by an answer of this one's
        reply(first, data, source, 100, b'x')
        reply(first, data, source, refuse, b'x')
        at = second
        data, source = got(second, b'INVITE')
    reply(at, data, source, 180, b'y')
    got(caller, b'SIP/2.0 180')
    took = (time.monotonic() - start) * 1000
    reply(at, data, source, 486, b'y')
    answer, _ = got(caller, b'SIP/2.0 486')
    to = next(x for x in answer.split(b'\r\n') if x.lower().startswith(b'to:'))[3:].strip()
    caller.sendto(request(b'ACK', to), (t.ip(1), 5060))
    if refuse:
        got(first, b'ACK')
    got(at, b'ACK')
    return took


@row('probes', '1,000 trunks with 3 targets each, probed every 30 s: CPU share of all processes, memory of the trunks')
def probes(lab):
    t = lab.t
    d = Postern(t, document(t, [t.ip(12)]), args=['--log-level', 'warn'])
    d.argv = lambda *more, argv=d.argv: ['taskset', '-c', '0', *argv(*more)]
    d.start(60)
    server = subprocess.Popen(['taskset', '-c', '1', sys.executable, '-c', RESPONDER, t.ip(60)])
    try:
        time.sleep(2)
        quiet, before = cpu_ns(d.family()), pss_kb(d.family())
        time.sleep(lab.o.seconds)
        quiet = (cpu_ns(d.family()) - quiet) / 1e9 / lab.o.seconds
        doc = d.get('/config').json
        doc['trunks'] += [{'id': 't%d' % k, 'realm': 'peering', 'targets': ['sip:t%d-%d@%s;transport=udp' % (k, j, t.ip(60)) for j in range(3)], 'match': {'to_user': '^t%d-' % k},
                           'probe': {'enabled': True}} for k in range(1000)]
        check(d.http('PUT', '/config', doc, seconds=30).status == 200, 'write')
        time.sleep(5)
        used = cpu_ns(d.family())
        seconds = max(30, lab.o.seconds)
        time.sleep(seconds)
        used = (cpu_ns(d.family()) - used) / 1e9 / seconds
        up = sum(x['state'] == 'up' and x['last_probe'] is not None for k in d.all_items('/trunks') for x in k['targets'])
        lab.add('1,000 x 3 targets probed, CPU', 'postern', used * 100, '% of core', None, 'idle before %.2f %%; %d targets answered' % (quiet * 100, up))
        lab.add('1,000 x 3 targets, memory', 'postern', (pss_kb(d.family()) - before) / 1024, 'MiB', None, 'PSS of all processes, the revision included')
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
    d.stop()


RESPONDER = '''
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
s.bind((sys.argv[1], 5060))
while True:
    data, source = s.recvfrom(4000)
    head = data.split(b"\\r\\n")
    keep = [x for x in head if x.split(b":")[0].lower() in (b"via", b"v", b"from", b"f", b"call-id", b"i", b"cseq")]
    to = next(x for x in head if x.split(b":")[0].lower() in (b"to", b"t"))
    s.sendto(b"\\r\\n".join([b"SIP/2.0 200 OK", *keep, to + b";tag=x", b"Content-Length: 0", b"", b""]), source)
'''


@row('routes', 'nanoseconds of a look-up among 10,000 routes')
def routes(lab):
    tests = os.path.join(lab.o.build, 'tests')
    subprocess.run(['make', '-s', '-C', tests, 'bench/routes'], check=True, stdout=subprocess.DEVNULL)
    for count in (100, 10000):
        r = json.loads(subprocess.run(['taskset', '-c', '1', os.path.join(tests, 'bench', 'routes'), str(count)], stdout=subprocess.PIPE, check=True).stdout)
        for name, ns in r.items():
            lab.add('route among %d, %s' % (count, name), 'postern', ns, 'ns')

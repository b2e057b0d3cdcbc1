# SPDX-License-Identifier: Apache-2.0
"""What the field asks of failover and failback (field facts F1 and F3), and which trunk a request belongs to (design.md section 4), message by message."""
import os
import pwd
import re
import shlex
import socket
import struct
import time

from lib.base import SANITIZED, SLOW, Proc, Skip, check, equal, need, test, until
from lib.daemon import Bed, context
from lib.sip import sdp_text
from lib.ua import Agent, Call
from t_trunks import QUICK, Bent, Dns, House, answer, by_name, static_group

SOON = {'failover': QUICK, 'failback': {'interval': 1, 'hold_down': 1}, 'probe': {'up_after': 2}}


def mixed(t, **kw):
    """A house whose trunk b has listeners of all three transports, not yet started, and an agent of each: TLS, TCP, UDP."""
    h = House(t, n=1, start=False, tls={'verify': 'none'}, **kw)
    ip = t.at['b'][0]
    h.doc['listeners'] += [{'id': 'p-tcp', 'realm': 'peering', 'transport': 'tcp', 'address': ip, 'port': 5060},
                           {'id': 'p-tls', 'realm': 'peering', 'transport': 'tls', 'address': ip, 'port': 5061, 'tls': 'edge'}]
    next(x for x in h.doc['trunks'] if x['id'] == 'b')['tls'] = 'edge'
    h.b = [agent_of(t, 'tls'), agent_of(t, 'tcp'), h.b[0]]
    return h


def agent_of(t, transport):
    ip = t.at['b'][0]
    if transport == 'tls':
        return Agent(t, t.ip(21), (ip, 5061), 5061, 'tls', server_tls=context(t, True), client_tls=context(t, False))
    return Agent(t, t.ip(22 if transport == 'tcp' else 12), (ip, 5060), 5060, transport)


def serve_probes(h, agents):
    """Answer the OPTIONS that have come."""
    for x in agents:
        for m in list(x.peek(lambda m: m.method == 'OPTIONS')):
            x.take(lambda k, m=m: k is m, 1, 'OPTIONS')
            answer(x, m)


@test()
def f1_failback_over_transports(t):
    """F1: while TCP serves TLS is probed; when it answers new calls go back to it, the call in progress stays on TCP and ends there"""
    h = mixed(t)
    trunk = next(x for x in h.doc['trunks'] if x['id'] == 'b')
    trunk['targets'] = ['sip:%s:5061;transport=tls' % t.ip(21), 'sip:%s:5060;transport=tcp' % t.ip(22), 'sip:%s:5060;transport=udp' % t.ip(12)]
    trunk.update(SOON)
    h.d.write()
    h.d.start()
    until(lambda: len(h.targets()) == 3, 5, 'targets')
    h.b[0].close()
    k, c, i = h.through('2001', bye=False)
    equal(k, 1, 'the next by priority')
    equal(h.state(0), 'down', 'the first')
    h.b[0] = agent_of(t, 'tls')

    def back():
        serve_probes(h, h.b)
        return h.state(0) == 'up'
    until(back, 6, 'the first is well again')
    equal(h.through('2002')[0], 1, 'during hold_down')
    time.sleep(1.2)
    equal(h.through('2003')[0], 0, 'new calls go back')
    tx = c.request('BYE')
    i.answer_bye()
    equal(tx.final().status, 200, 'the call in progress stayed where it was')


@test()
def f1_static_lists(t):
    """F1: static lists of servers in place of DNS, one of each trunk, over UDP, TCP and TLS mixed; `sips:` is TLS"""
    h = mixed(t)
    ip = [t.ip(21), t.ip(22), t.ip(12)]
    trunk = next(x for x in h.doc['trunks'] if x['id'] == 'b')
    trunk['targets'] = ['sip:%s;transport=udp' % ip[2], 'sips:%s' % ip[0]]
    h.doc['trunks'].append({**trunk, 'id': 'c', 'targets': ['sip:%s;transport=tcp' % ip[1], 'sip:%s:5061;transport=tls' % ip[0]], 'match': {'to_user': '^c'}})
    h.doc['routes'] = [{'id': 'c', 'order': 1, 'from': ['a'], 'match': {'to_user': '^3'}, 'to': 'c'}, {'id': 'b', 'order': 2, 'from': ['a'], 'to': 'b'}]
    h.d.write()
    h.d.start()
    until(lambda: len(h.targets('c')) == 2, 5, 'targets')
    equal([(x['transport'], x['port']) for x in h.targets('b')], [('udp', 5060), ('tls', 5061)], 'targets of the first')
    equal([(x['transport'], x['port']) for x in h.targets('c')], [('tcp', 5060), ('tls', 5061)], 'targets of the second')
    equal(h.through('2001')[0], 2, 'first list')
    equal(h.through('3001')[0], 1, 'second list')
    h.b[2].close()
    h.b[1].close()
    time.sleep(0.2)        # a socket lives on until its reader has noticed
    equal(h.through('2002')[0], 0, 'first list, UDP refused: TLS')
    equal(h.through('3002')[0], 0, 'second list, TCP refused: TLS')


def naptr(order, service, name):
    text = b''.join(bytes([len(x)]) + x for x in (b's', service.encode(), b''))
    return struct.pack('>HH', order, 10) + text + Bent.name(name)


@test()
def f1_six_naptr_twelve_srv(t):
    """F1: of NAPTR records the 6 best are used, of SRV records the 12 best, whatever their order in the answer"""
    h = House(t, n=1, start=False)
    names = ['n%d.test' % k for k in range(8)]
    zone = {('voice.test', 35): [naptr(10 * (8 - k), 'SIP+D2U', '_sip._udp.' + n) for k, n in enumerate(names)]}
    zone.update({('_sip._udp.' + n, 33): [struct.pack('>HHH', 1, 1, 5060 + k) + Bent.name('h.test')] for k, n in enumerate(names)})
    zone[('_sip._udp.many.test', 33)] = [struct.pack('>HHH', 20 - k, 1, 5100 + k) + Bent.name('h.test') for k in range(15)]
    zone[('h.test', 1)] = [socket.inet_aton(h.b[0].ip)]
    Bent(t, zone)
    by_name(h, t, 'sip:voice.test')
    until(lambda: len(h.targets()) == 6, 6, lambda: 'six targets: %s' % h.targets())
    equal([x['port'] for x in h.targets()], [5067, 5066, 5065, 5064, 5063, 5062], 'NAPTR by order, the first six')
    doc = h.d.get('/config').json
    next(x for x in doc['trunks'] if x['id'] == 'b')['targets'] = ['sip:many.test;transport=udp']
    equal(h.d.http('PUT', '/config', doc).status, 200, 'write')
    until(lambda: len(h.targets()) == 12, 6, lambda: 'twelve targets: %s' % h.targets())
    equal([x['port'] for x in h.targets()], list(range(5114, 5102, -1)), 'SRV by priority, the first twelve')


@test()
def dns_weights(t):
    """RFC 2782: within a priority targets share by weight; the other is still the next of a call"""
    h = House(t, start=False)
    Dns(t, ['--host-record=h%d.test,%s' % (k, x.ip) for k, x in enumerate(h.b)] + ['--srv-host=_sip._udp.voice.test,h0.test,5060,1,80', '--srv-host=_sip._udp.voice.test,h1.test,5060,1,20'])
    by_name(h, t, 'sip:voice.test;transport=udp')
    until(lambda: len(h.targets()) == 2, 5, 'both targets')
    first, both = [0, 0], 0
    for k in range(40):
        number = '3%03d' % k
        c = h.call(number)
        x, i = h.asked(number)
        first[h.b.index(x)] += 1
        i.reply(500 if k == 0 else 486)
        if k == 0:
            h.asked(number, [y for y in h.b if y is not x])[1].reply(486)
        c.wait(486)
    check(20 <= first[0] < 40, '80:20 gave %s', first)


@test()
def sips_by_dns(t):
    """a `sips:` target takes SIPS+D2T alone of its NAPTR records"""
    h = mixed(t)
    Dns(t, ['--naptr-record=voice.test,10,50,s,SIP+D2U,,_sip._udp.voice.test', '--naptr-record=voice.test,20,50,s,SIPS+D2T,,_sips._tcp.voice.test',
            '--srv-host=_sip._udp.voice.test,u.test,5060,1,1', '--srv-host=_sips._tcp.voice.test,s.test,5061,1,1', '--host-record=u.test,' + t.ip(12), '--host-record=s.test,' + t.ip(21)])
    by_name(h, t, 'sips:voice.test')
    until(lambda: len(h.targets()) == 1, 5, lambda: 'one target: %s' % h.targets())
    equal((h.targets()[0]['transport'], h.targets()[0]['address']), ('tls', t.ip(21)), 'the target')
    equal(h.through('2001')[0], 0, 'a call')


def full_backlog(t, ip):
    """A TCP port whose connections hang: nobody accepts, and the queue is full."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((ip, 5060))
    s.listen(0)
    t.defer(s.close)
    for _ in range(3):
        c = socket.socket()
        c.setblocking(False)
        c.connect_ex((ip, 5060))
        t.defer(c.close)


def unavailable(t, why, transport='udp', within=0.45, prepare=lambda h: None, first=lambda h: None):
    """A first server that does not serve: the next is asked in time, and the state says why."""
    h = House(t, transport=transport)
    prepare(h)
    time.sleep(0.1)        # a socket lives on until its reader has noticed
    c = h.call()
    t0 = time.monotonic()
    first(h)
    i = h.b[1].await_call('2001')
    took = time.monotonic() - t0
    i.reply(486)
    c.wait(486)
    t.note('the next after %.0f ms' % (took * 1000))
    check(took < within * SLOW, 'the next was asked after %.2f s', took)
    equal((h.state(0), h.targets()[0]['reason']), ('down', why), 'state')


@test()
def f3_unavailable_503(t):
    """F3: 503: the next server at once"""
    unavailable(t, '503', first=lambda h: h.b[0].await_call('2001').reply(503))


@test()
def f3_unavailable_icmp(t):
    """F3: ICMP unreachable over UDP: the next server at once"""
    unavailable(t, 'unreachable', prepare=lambda h: h.b[0].close())


@test()
def f3_unavailable_refused(t):
    """a refused TCP connection: the next server at once"""
    unavailable(t, 'unreachable', 'tcp', prepare=lambda h: h.b[0].close())


@test()
def f3_unavailable_connect_timeout(t):
    """F3: a TCP connection that hangs: the next server after tries x try_timeout"""
    unavailable(t, 'no-answer', 'tcp', 1.5, prepare=lambda h: (h.b[0].close(), full_backlog(t, h.b[0].ip)))


@test()
def f3_failback_disabled(t):
    """F3: failback may be switched off (`park`): calls stay at the backup until it fails"""
    h = House(t, b={**SOON, 'failback': {'mode': 'park', 'interval': 1, 'hold_down': 0}, 'probe': {'up_after': 1}})
    c = h.call()
    h.b[0].await_call('2001').reply(503)
    h.b[1].await_call('2001').reply(486)
    c.wait(486)

    def well():
        serve_probes(h, h.b)
        return h.state(0) == 'up'
    until(well, 5, 'the first is well')
    equal(h.targets()[0]['reason'], 'parked', 'reason')
    time.sleep(0.3)
    equal(h.through('2002')[0], 1, 'calls stay')
    c = h.call('2003')
    h.b[1].await_call('2003').reply(503)
    h.asked('2003', [h.b[0]])[1].reply(486)
    c.wait(486)
    equal(h.through('2004')[0], 0, 'the present one failed')


@test()
def system_drains(t):
    """drain of the whole system by REST: calls in progress go on, new ones get 503, /health says so, also over an engine's death; undrain by CLI"""
    h = House(t, n=1)
    k, c, i = h.through('2001', bye=False)
    equal(h.d.http('POST', '/drain').status, 204, 'drain')
    until(lambda: h.d.get('/health').json['status'] == 'draining', 3, 'health')
    equal(h.d.get('/health').status, 503, 'status of /health')
    check(h.call('2002').wait(503).get('retry-after'), 'no Retry-After')
    tx = c.request('BYE')
    i.answer_bye()
    equal(tx.final().status, 200, 'the call in progress')
    old = h.d.role_pid('engine')
    h.d.kill('engine')
    h.d.restarted('engine', old)
    h.call('2003').wait(503)
    equal(h.d.ctl('undrain').returncode, 0, 'undrain')
    until(lambda: h.d.get('/health').json['status'] == 'ok', 3, 'health')
    equal(h.through('2004')[0], 0, 'calls again')


@test()
def drained_by_rest_survives(t):
    """a drained trunk stays drained over an engine's death, its calls go on; undrain by REST"""
    h = House(t, n=1)
    k, c, i = h.through('2001', bye=False)
    equal(h.d.http('POST', '/trunks/b/drain').status, 204, 'drain')
    until(lambda: h.state() == 'draining', 2, 'state')
    h.call('2002').wait(503)
    old = h.d.role_pid('engine')
    h.d.kill('engine')
    h.d.restarted('engine', old)
    until(lambda: h.state() == 'draining', 3, 'state afterwards')
    h.call('2003').wait(503)
    tx = c.request('BYE')
    i.answer_bye()
    equal(tx.final().status, 200, 'the call in progress')
    equal(h.d.http('POST', '/trunks/b/undrain').status, 204, 'undrain')
    until(lambda: h.state() == 'up', 2, 'state')
    equal(h.through('2004')[0], 0, 'calls again')
    equal(h.d.http('POST', '/trunks/x/drain').status, 404, 'no such trunk')


@test()
def group_in_group(t):
    """groups inside groups: inner members in the place of the group; a loop is refused with its place"""
    def change(doc, b):
        static_group('priority', [{'priority': k} for k in (1, 2, 3)])(doc, b)
        doc['trunk_groups'] = [{'id': 'g', 'members': [{'trunk': 'b0', 'priority': 1}, {'trunk': 'inner', 'priority': 2}]},
                               {'id': 'inner', 'strategy': 'round-robin', 'members': [{'trunk': 'b1'}, {'trunk': 'b2'}]}]
    h = House(t, n=3, doc=change)
    c = h.call()
    h.b[0].await_call('2001').reply(503)
    h.asked('2001', h.b[1:])[1].reply(486)
    c.wait(486)
    got = [h.through('30%02d' % k)[0] for k in range(4)]
    check(sorted(got) == [1, 1, 2, 2] and got[0] != got[1], 'the inner group takes turns: %s', got)
    doc = h.d.get('/config').json
    doc['trunk_groups'][1]['members'].append({'trunk': 'g'})
    r = h.d.http('PUT', '/config', doc)
    equal((r.status, r.json['errors'][0]['pointer']), (422, '/trunk_groups/0/members'), 'a loop')


@test()
def one_address_many_customers(t):
    """several customers behind one address: told apart by port, by match; those that cannot be are refused; a stranger is 403"""
    def change(doc, b):
        a = next(x for x in doc['trunks'] if x['id'] == 'a')
        ip = t.ip(40)
        for k, more in enumerate(({'sources': ['%s/32:5061' % ip]}, {'sources': ['%s/32' % ip], 'match': {'to_host': '^one\\.example$'}},
                                  {'sources': ['%s/32' % ip], 'match': {'from_host': '^two\\.example$'}})):
            doc['trunks'].append({**a, 'id': 'cust%d' % k, 'target': 'sip:%s:%d' % (t.ip(41 + k), 5060), **more})
        doc['routes'] = [{'id': 'r%d' % k, 'from': ['cust%d' % k], 'to': 'b'} for k in range(3)]
    h = House(t, n=1, doc=change)
    at = t.at['a']

    def trunk_of(port, uri=None, host=None):
        x = Agent(t, t.ip(40), at, port)
        c = Call(x, '2001')
        c.uri = uri or c.uri
        c.invite(sdp=sdp_text(x.ip, 30000), from_host=host)
        before = len(h.d.all_items('/cdrs'))
        if c.wait({100, 403}, ack=False).status == 403:
            x.close()
            return None
        h.b[0].await_call('2001').reply(486)
        c.wait(486)
        until(lambda: len(h.d.all_items('/cdrs')) > before, 3, 'CDR')
        x.close()
        return h.d.all_items('/cdrs')[0]['trunk_in']
    equal(trunk_of(5061), 'cust0', 'by its port')
    equal(trunk_of(5080, uri='sip:2001@one.example'), 'cust1', 'by the Request-URI')
    equal(trunk_of(5081, host='two.example'), 'cust2', 'by From')
    equal(trunk_of(5082), None, 'nobody')
    doc = h.d.get('/config').json
    doc['trunks'][-1]['match'] = doc['trunks'][-2]['match']
    r = h.d.http('PUT', '/config', doc)
    equal(r.status, 422, 'two that cannot be told apart')
    check('told apart' in r.json['errors'][0]['message'], 'message: %s', r.text)
    for one, two, status in (('sip:gw.example', 'sip:GW.example', 422), ('sip:gw.example;transport=tls', 'sip:gw.example;transport=tcp', 200), ('sip:gw.example:5060', 'sip:gw.example:5062', 200),
                             ('sip:gw.example:5061;transport=tls', 'sip:gw.example:5062;transport=tls', 422), ('sip:gw.example', 'sip:other.example', 200)):
        doc = h.d.get('/config').json
        for k, target in enumerate((one, two)):
            doc['trunks'].append({'id': 'name%d' % k, 'realm': 'core', 'target': target})
        r = h.d.http('PUT', '/config?dry_run=1', doc)
        equal(r.status, status, 'by name: %s and %s; %s' % (one, two, r.text))


@test()
def tls_subject_tells(t):
    """customers behind one address over TLS are told apart by the names of their verified certificates"""
    bed = Bed(t, a='tls', start=False, tls={'verify': 'required'})
    a = next(x for x in bed.doc['trunks'] if x['id'] == 'a')
    bed.doc['tls_profiles'][0]['verify'] = 'required'
    a['target'] = 'sip:%s:5061;transport=tls' % t.ip(50)
    for k, name in enumerate(('party', 'second')):
        bed.doc['trunks'].append({**a, 'id': name, 'target': 'sip:%s:5061;transport=tls' % t.ip(51 + k), 'sources': [t.ip(11) + '/32'], 'match': {'tls_subject': '(^|[ ,])%s\\.test' % name}})
    bed.doc['routes'] = [{'id': 'p', 'from': ['party'], 'match': {'to_user': '^1'}, 'to': 'b'}, {'id': 's', 'from': ['second'], 'match': {'to_user': '^2'}, 'to': 'b'}]
    bed.d.write()
    bed.d.start()
    bed.a.close()
    for cert, number in (('party', '1001'), ('second', '2001')):
        x = Agent(t, t.ip(11), t.at['a'], 5061, 'tls', server_tls=context(t, True, cert=cert), client_tls=context(t, False, cert=cert))
        c = x.call(number, sdp=sdp_text(x.ip, 30000))
        bed.b.await_call(number).reply(486)
        c.wait(486)
        c = x.call('9' + number, sdp=sdp_text(x.ip, 30000))
        c.wait(404)
        x.close()


@test(seconds=60)
def probes_are_spread(t):
    """1,000 trunks with 3 targets each: their probes are spread over the interval, also after a write of all of them"""
    h = House(t, n=1)
    box = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    box.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    box.bind((t.ip(60), 5060))
    box.settimeout(0.2)
    t.defer(box.close)
    interval, n = 4, 300 if SANITIZED else 1000
    doc = h.d.get('/config').json
    for k in range(n):
        doc['trunks'].append({'id': 't%d' % k, 'realm': 'peering', 'targets': ['sip:t%d-%d@%s;transport=udp' % (k, j, t.ip(60)) for j in range(3)], 'match': {'to_user': '^t%d-' % k},
                              'probe': {'enabled': True, 'interval': interval, 'timeout': 2}})
    equal(h.d.http('PUT', '/config', doc, seconds=20).status, 200, 'write')
    t0, seen, per = time.monotonic(), 0, [0] * 20
    while time.monotonic() < t0 + interval + 1:
        try:
            data, source = box.recvfrom(4000)
        except socket.timeout:
            continue
        head = data.split(b'\r\n')
        keep = [x for x in head if x.split(b':')[0].lower() in (b'via', b'v', b'from', b'f', b'call-id', b'i', b'cseq')]
        to = next(x for x in head if x.split(b':')[0].lower() in (b'to', b't'))
        box.sendto(b'\r\n'.join([b'SIP/2.0 200 OK', *keep, to + b';tag=x', b'Content-Length: 0', b'', b'']), source)
        seen += 1
        slot = int((time.monotonic() - t0) * 4)
        if slot < len(per):
            per[slot] += 1
    full = per[1:interval * 4 - 1]
    t.note('%d probes, in quarters of a second: %s' % (seen, per))
    check(seen >= 2.5 * n, 'only %d probes of %d targets', seen, 3 * n)
    check(max(full) < 4 * sum(full) / len(full), 'a burst: %s', per)


# ---- the zones of the corpora on a real server ----
def records(text):
    """Records of a zone file as the corpora write it: {(name, type): [fields]}, names relative to the origin."""
    out = {}
    for line in text.splitlines():
        m = re.match(r'(\S+)\s+(?:\d+\s+)?IN\s+(NAPTR|SRV|A|AAAA)\s+(.*)', line)
        if m:
            out.setdefault((m.group(1).lower().rstrip('.'), m.group(2)), []).append(shlex.split(m.group(3)))
    return out


def expected(rr):
    """RFC 3263 over those records, all NAPTR orders one after the other: [set of (transport, address, port)], a set for each priority."""
    transports = {'sip+d2u': 'udp', 'sip+d2t': 'tcp', 'sips+d2t': 'tls'}

    def hosts(name, transport, port):
        return {(transport, f[0], port) for f in rr.get((name, 'A'), [])}

    def srv(name, transport):
        by = {}
        for f in rr.get((name, 'SRV'), []):
            by.setdefault(int(f[0]), set()).update(hosts(f[3].lower().rstrip('.'), transport, int(f[2])))
        return [by[k] for k in sorted(by)]
    out, used = [], False
    for f in sorted(rr.get(('@', 'NAPTR'), []), key=lambda f: (int(f[0]), int(f[1]))):
        t = transports.get(f[3].lower())
        if t and not f[4] and f[2].lower() == 's':
            used = True
            out += srv(f[5].lower().rstrip('.'), t)
    if not used:
        for prefix, t in (('_sip._udp', 'udp'), ('_sip._tcp', 'tcp'), ('_sips._tcp', 'tls')):
            out += srv(prefix, t)
    if not used and not any(n.startswith('_sip') for n, kind in rr if kind == 'SRV'):
        out = [hosts('@', 'udp', 5060)]
    return [x for x in out if x]


def knot(t, zones):
    """Knot DNS with zones {name: text}."""
    conf = ['server:', '  listen: %s@5353' % t.ip(9), '  rundir: ' + t.tmp, '  user: ' + pwd.getpwuid(os.getuid()).pw_name, 'database:', '  storage: ' + t.path('knot'), 'log:',
            '  - target: stderr', '    any: warning', 'template:', '  - id: default', '    storage: ' + t.tmp, '    zonefile-sync: -1', '    journal-content: none', 'zone:']
    for name, text in zones.items():
        t.path(name + '.zone', text)
        conf += ['  - domain: ' + name, '    file: %s.zone' % name]
    p = Proc(t, 'knotd', [need('knotd', 'the zones of the corpora on a real server'), '-c', t.path('knot.conf', '\n'.join(conf) + '\n')])
    time.sleep(0.5)
    check(p.running(), 'knotd ended: %s', p.tail())
    return p


@test()
def dns_zones_of_the_corpora(t):
    """every zone of the corpora on Knot DNS: targets of its name in the order of RFC 3263, priority by priority"""
    folder = os.path.join(os.environ.get('POSTERN_CORPORA') or '', 'dns')
    if not os.path.isdir(folder):
        raise Skip('zones of the corpora (POSTERN_CORPORA) on a real server')
    need('knotd', 'the zones of the corpora on a real server')
    zones, want = {}, {}
    for k, name in enumerate(sorted(x for x in os.listdir(folder) if x.endswith('.zone'))):
        with open(os.path.join(folder, name)) as f:
            text = f.read()
        origin = re.search(r'\$ORIGIN\s+(\S+)', text).group(1)
        ours = 'z%d.test' % k
        text = text.replace(origin.rstrip('.'), ours)
        zones[ours] = text
        rr = records(re.sub(r'(\S+)\.%s\.' % re.escape(ours), r'\1', text).replace(ours + '.', '@'))
        want[ours] = (name, expected(rr))
    knot(t, zones)
    h = mixed(t)
    h.doc['system']['dns'] = {'servers': ['%s:5353' % t.ip(9)], 'timeout': 1}
    b = next(x for x in h.doc['trunks'] if x['id'] == 'b')
    h.doc['trunks'] += [{**b, 'id': z.replace('.', '-'), 'targets': ['sip:' + z]} for z in zones]
    h.d.write()
    h.d.start()
    for z, (name, sets) in want.items():
        flat = sum(len(x) for x in sets)
        until(lambda z=z: len(h.targets(z.replace('.', '-'))) == flat, 6, lambda z=z: '%d targets of %s: %s' % (flat, name, h.targets(z.replace('.', '-'))))
        got = [(x['transport'], x['address'], x['port']) for x in h.targets(z.replace('.', '-'))]
        for part in sets:
            equal(set(got[:len(part)]), part, name)
            got = got[len(part):]
    t.note('%d zones, %d targets' % (len(want), sum(len(x) for _, s in want.values() for x in s)))
    check(sum(bool(s) for _, s in want.values()) >= 15, 'hardly a zone has targets')

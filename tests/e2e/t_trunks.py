# SPDX-License-Identifier: Apache-2.0
"""Trunks: hunting, health, failback, groups, limits, DNS, drains (design.md section 8; field facts F1 and F3), message by message."""
import os
import signal
import socket
import struct
import threading
import time

from lib.base import SLOW, Proc, check, equal, need, test, until
from lib.daemon import Bed, context
from lib.rtp import Rtp, both_ways
from lib.sip import sdp_text
from lib.ua import Agent, Call

QUICK = {'tries': 1, 'try_timeout': 0.5}


class House:
    """A daemon with caller `a` and callees b1, b2 ... at .12, .13 ..., which are the targets of trunk b."""

    def __init__(self, t, n=2, b=None, doc=None, start=True, transport='udp', **kw):
        self.t = t
        bed = Bed(t, start=False, b=transport, **kw)
        self.d, self.doc, self.a = bed.d, bed.doc, bed.a
        self.b = [bed.b] + [Agent(t, t.ip(12 + k), t.at['b'], t.party['b'][1], transport) for k in range(1, n)]
        trunk = next(x for x in self.doc['trunks'] if x['id'] == 'b')
        del trunk['target']
        trunk['targets'] = ['sip:%s:%d;transport=%s' % (x.ip, x.port, transport) for x in self.b]
        trunk['failover'] = dict(QUICK)
        trunk.update(b or {})
        if doc:
            doc(self.doc, self.b)
        self.rtp = Rtp(t, self.a.ip)
        self.d.write()
        if start:
            self.d.start()
            until(lambda: self.d.get('/trunks/a').status == 200, 5, 'the engine')

    def call(self, number='2001'):
        return self.a.call(number, sdp=sdp_text(self.a.ip, self.rtp.port))

    def asked(self, number, who=None, seconds=3.0):
        """The callee that gets the INVITE, and its side of the call."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for x in who or self.b:
                if x.peek(lambda m: m.method == 'INVITE' and m.user == number and not m.tag('to')):
                    return x, x.await_call(number)
            time.sleep(0.01)
        raise AssertionError('nobody got the INVITE for %s' % number)

    def through(self, number='2001', bye=True):
        """A call that whoever is asked first takes: that callee's index, both sides."""
        c = self.call(number)
        x, i = self.asked(number)
        i.reply(200, sdp=sdp_text(x.ip, 30000))
        c.wait(200)
        i.expect('ACK')
        if bye:
            tx = c.request('BYE')
            i.answer_bye()
            equal(tx.final().status, 200, 'answer to BYE')
        return self.b.index(x), c, i

    def targets(self, trunk='b'):
        return self.d.get('/trunks/' + trunk).json.get('targets', [])   # none yet: the engine just starts

    def state(self, k=0):
        return self.targets()[k]['state']


def static_group(strategy, members, stop_on=None):
    """Each callee a trunk of its own, in a group."""
    def change(doc, b):
        old = next(x for x in doc['trunks'] if x['id'] == 'b')
        doc['trunks'].remove(old)
        for k, x in enumerate(b):
            trunk = {**old, 'id': 'b%d' % k, 'targets': [old['targets'][k]]}
            trunk.update(members[k].pop('more', {}))
            doc['trunks'].append(trunk)
        doc['trunk_groups'] = [{'id': 'g', 'strategy': strategy, 'members': [{'trunk': 'b%d' % k, **m} for k, m in enumerate(members)], **({'stop_on': stop_on} if stop_on else {})}]
        doc['routes'] = [{'id': 'out', 'from': ['a'], 'to': 'g'}]
    return change


@test()
def hunt_next_target_on_status(t):
    """a 503 sends the call on; the caller sees one 100 and no trace; the CDR names both targets with outcome"""
    h = House(t)
    c = h.call()
    i = h.b[0].await_call('2001')
    i.reply(503)
    i.expect('ACK')
    x, j = h.asked('2001')
    equal(x, h.b[1], 'who is asked next')
    check(j.call_id != i.call_id, 'a new target is a new dialog')
    j.reply(200, sdp=sdp_text(x.ip, 30000))
    c.wait(200)
    j.expect('ACK')
    equal(len(c.agent.peek(lambda m: m.status >= 300)), 0, 'failures that the caller saw')
    c.request('BYE')
    j.answer_bye()
    cdr = h.d.cdrs('2001')[0]
    equal([(y['status'], y['outcome']) for y in cdr['targets']], [(503, 'rejected'), (200, 'answered')], 'targets of the CDR')
    equal(h.state(0), 'down', 'state after 503')
    equal(h.through('2002')[0], 1, 'a down target is skipped')


@test()
def hunt_silent_target(t):
    """tries x try_timeout without a response: the next; a late 200 of the one before gets ACK and BYE"""
    h = House(t)
    c = h.call()
    i = h.b[0].await_call('2001')
    t0 = time.monotonic()
    j = h.b[1].await_call('2001')
    t.note('next target after %.2f s' % (time.monotonic() - t0))
    j.reply(200, sdp=sdp_text(h.b[1].ip, 30000))
    c.wait(200)
    j.expect('ACK')
    i.reply(200, sdp=sdp_text(h.b[0].ip, 30002))
    i.expect('ACK')
    i.answer_bye()
    c.bye_tx = c.request('BYE')
    j.answer_bye()
    equal(c.bye_tx.final().status, 200, 'answer to BYE')


@test()
def hunt_replaces_early_media(t):
    """early media of a target that fails is replaced by that of the next: the caller hears the second alone"""
    h = House(t, b={'failover': {'tries': 1, 'try_timeout': 2.0, 'on_status': [500]}})
    r1, r2 = Rtp(t, h.b[0].ip), Rtp(t, h.b[1].ip)
    c = h.call()
    i = h.b[0].await_call('2001')
    i.reply(183, sdp=sdp_text(h.b[0].ip, r1.port))
    c.wait(183)
    old = i.rsdp.dest()
    i.reply(500)
    j = h.b[1].await_call('2001')
    j.reply(200, sdp=sdp_text(h.b[1].ip, r2.port))
    c.wait(200)
    j.expect('ACK')
    both_ways(h.rtp, c.rsdp.dest(), r2, j.rsdp.dest())
    h.rtp.clear()
    r1.send(old, count=10)
    time.sleep(0.2)
    equal(len(h.rtp.audio()), 0, 'packets of the failed target that the caller heard')
    c.request('BYE')
    j.answer_bye()


@test()
def hunt_gives_last_status(t):
    """without success the caller gets the last final that a target sent"""
    h = House(t)
    c = h.call()
    h.b[0].await_call('2001').reply(500)
    h.b[1].await_call('2001').reply(502, 'Bad Luck')
    equal(c.wait(502).status, 502, 'status')
    cdr = h.d.cdrs('2001')[0]
    equal([y['status'] for y in cdr['targets']], [500, 502], 'targets of the CDR')


@test()
def hunt_ends_with_600(t):
    """6xx ends the hunt, also where on_status names it"""
    h = House(t, b={'failover': {**QUICK, 'on_status': [486, 603]}})
    c = h.call()
    h.b[0].await_call('2001').reply(603)
    c.wait(603)
    h.b[1].none(lambda m: m.method == 'INVITE', 0.3, 'INVITE after 603')


@test()
def hunt_cancelled(t):
    """CANCEL while a target is silent: 487, and no further target"""
    h = House(t, b={'failover': {'tries': 1, 'try_timeout': 1.0}})
    c = h.call()
    h.b[0].await_call('2001')
    equal(c.cancel().final().status, 200, 'answer to CANCEL')
    c.wait(487)
    h.b[1].none(lambda m: m.method == 'INVITE', 1.3, 'INVITE after CANCEL')


@test()
def health_500_thrice(t):
    """one 500 takes no carrier down, three in a row do"""
    h = House(t, n=1, b={'failover': {**QUICK, 'on_status': [503]}})
    for k in range(3):
        check(h.state() in ('up', 'suspect'), 'state after %d x 500: %s', k, h.state())
        c = h.call('20%d' % k)
        h.b[0].await_call('20%d' % k).reply(500)
        c.wait(500)
    equal(h.state(), 'down', 'state after three')
    equal(h.through('2009')[0], 0, 'all are down: tried anyway')
    equal(h.state(), 'up', 'an answer makes it up')


@test()
def health_survives_engine_restart(t):
    """states of targets stay when the engine is killed"""
    h = House(t)
    c = h.call()
    h.b[0].await_call('2001').reply(503)
    h.b[1].await_call('2001').reply(486)
    c.wait(486)
    equal(h.state(0), 'down', 'before')
    since = h.targets()[0]['since']
    old = h.d.role_pid('engine')
    h.d.kill('engine')
    h.d.restarted('engine', old)
    equal((h.state(0), h.targets()[0]['since']), ('down', since), 'after')
    until(lambda: h.through('2002')[0] == 1, 5, 'a call to the second')


@test()
def health_retry_after_rests(t):
    """503 with Retry-After: resting, for at most max_rest, then held before it takes calls again"""
    h = House(t, b={'failback': {'hold_down': 1, 'max_rest': 2}})
    c = h.call()
    h.b[0].await_call('2001').reply(503, headers=[('Retry-After', '300')])
    h.b[1].await_call('2001').reply(486)
    c.wait(486)
    equal(h.state(0), 'resting', 'state')
    equal(h.through('2002')[0], 1, 'while it rests')
    t0 = time.monotonic()
    until(lambda: h.state(0) == 'up', 4, 'end of rest')
    check(time.monotonic() - t0 < 2.6, 'rested longer than max_rest')
    equal(h.through('2003')[0], 1, 'held')
    time.sleep(1.2)
    equal(h.through('2004')[0], 0, 'back')


@test()
def probe_on_demand(t):
    """posternctl trunk probe works with probes off; drain and undrain by CLI"""
    h = House(t)
    equal(h.d.ctl('trunk', 'probe', 'b').returncode, 0, 'exit code')
    for x in h.b:
        m = x.take(lambda m: m.method == 'OPTIONS', 2, 'OPTIONS')
        equal(m.source[0], t.at['b'][0], 'where a probe comes from')
    equal(h.d.ctl('trunk', 'drain', 'b').returncode, 0, 'exit code of drain')
    equal(h.state(0), 'draining', 'state')
    equal(h.call('2001').wait(503).get('retry-after') != '', True, 'Retry-After')
    equal(h.d.ctl('trunk', 'undrain', 'b').returncode, 0, 'exit code of undrain')
    equal(h.through('2002')[0], 0, 'undrained')
    check(h.d.ctl('trunk', 'drain', 'nobody').returncode != 0, 'drain of no trunk')


@test()
def probe_brings_back(t):
    """a down target that is not probed otherwise gets OPTIONS at failback.interval; up_after answers bring it back"""
    h = House(t, b={'failback': {'interval': 1, 'hold_down': 0}, 'probe': {'up_after': 2}})
    c = h.call()
    h.b[0].await_call('2001').reply(503)
    h.b[1].await_call('2001').reply(486)
    c.wait(486)
    for k in range(2):
        m = h.b[0].take(lambda m: m.method == 'OPTIONS', 3, 'OPTIONS')
        equal(h.state(0), 'down', 'after %d answers' % k)
        answer(h.b[0], m)
    until(lambda: h.state(0) == 'up', 2, 'up')
    equal(h.through('2002')[0], 0, 'back')
    h.b[0].none(lambda m: m.method == 'OPTIONS', 1.3, 'probe of a target that is up')


def answer(agent, m, status=200, more=()):
    lines = ['SIP/2.0 %d OK' % status, *more] + ['Via: ' + v for v in m.all('via')] + ['From: ' + m.get('from'), 'To: %s;tag=x' % m.get('to'),
             'Call-ID: ' + m.call_id, 'CSeq: ' + m.get('cseq'), 'Content-Length: 0', '', '']
    agent.transmit('\r\n'.join(lines).encode(), m.source, m.conn)


@test()
def group_weighted(t):
    """shares by weight"""
    h = House(t, doc=static_group('weighted', [{'weight': 90}, {'weight': 10}]))
    got = [0, 0]
    for k in range(40):
        c = h.call('3%03d' % k)
        x, i = h.asked('3%03d' % k)
        got[h.b.index(x)] += 1
        i.reply(486)
        c.wait(486)
    check(got[0] > got[1] and got[0] >= 25, '90:10 gave %s', got)


@test()
def group_least_calls(t):
    """the member with the fewest calls first"""
    h = House(t, doc=static_group('least-calls', [{}, {}]))
    first, c, i = h.through('2001', bye=False)
    second, d, j = h.through('2002', bye=False)
    check(first != second, 'both calls went to one')
    c.request('BYE')
    i.answer_bye()
    equal(h.through('2003')[0], first, 'the freed one')
    d.request('BYE')
    j.answer_bye()


@test()
def group_stop_on(t):
    """stop_on takes a code out of on_status; unreachable trunks are left for the next"""
    h = House(t, doc=static_group('priority', [{'priority': 1}, {'priority': 2}], stop_on=[500]))
    c = h.call()
    h.b[0].await_call('2001').reply(500)
    c.wait(500)
    h.b[0].close()
    t0 = time.monotonic()
    equal(h.through('2002')[0], 1, 'ICMP: the next trunk')
    check(time.monotonic() - t0 < 1.5, 'a refused port took %.1f s', time.monotonic() - t0)


@test()
def limits_in_and_cps(t):
    """over max_calls_in an inbound call gets 503 with Retry-After; over max_cps a trunk is skipped"""
    h = House(t, doc=static_group('priority', [{'priority': 1, 'more': {'limits': {'max_cps': 1}}}, {'priority': 2}]), trunk_a={'limits': {'max_calls_in': 1}})
    k, c, i = h.through('2001', bye=False)
    check(h.call('2002').wait(503).get('retry-after'), 'no Retry-After')
    c.request('BYE')
    i.answer_bye()
    until(lambda: h.d.get('/trunks/a').json['calls_in'] == 0, 2, 'the call is counted off')
    equal(h.through('2003')[0], 1, 'second call within the second')
    time.sleep(1.1)
    equal(h.through('2004')[0], 0, 'a second later')


@test()
def preview_order_and_reasons(t):
    """POST /routes/preview and posternctl route preview: route, policies and targets in the order that a call tries them, each with its reason"""
    def change(doc, b):
        static_group('priority', [{'priority': k} for k in range(1, 5)])(doc, b)
        doc['trunks'][-1]['limits'] = {'max_calls_out': 1}
        doc['policies'] = [{'id': 'p%d' % k, 'file': 'p%d.policy' % k} for k in range(3)]
        doc['system']['policies'] = ['p0']
        doc['realms'][0]['policies'] = ['p1']
        doc['trunks'][-2]['policies'] = ['p2']
    files = {'p%d.policy' % k: 'policy p%d on send request {\n    set header["X-P"] "%d"\n}\n' % (k, k) for k in range(3)}
    h = House(t, n=4, doc=change, daemon={'files': files})
    k, c, i = None, h.call(), None
    h.b[0].await_call('2001').reply(503)
    h.b[1].await_call('2001').reply(503, headers=[('Retry-After', '60')])
    i = h.b[2].await_call('2001')
    i.reply(486)
    c.wait(486)
    h.d.http('POST', '/trunks/b2/drain')
    until(lambda: h.d.get('/trunks/b2').json['drained'], 2, 'the drain')
    equal(h.through('2002')[0], 3, 'where a call goes')

    def preview(**body):
        return h.d.http('POST', '/routes/preview', {'from_trunk': 'a', 'to': '2001', **body})
    p = preview().json
    equal((p['route'], p['to']), ('out', 'g'), 'route')
    equal([(x['trunk'], x['tried'], x['why'], x['state']) for x in p['targets']],
          [('b3', True, 'up', 'up'), ('b0', False, 'down', 'down'), ('b1', False, 'resting', 'resting'), ('b2', False, 'draining', 'draining')], 'targets')
    equal([(x['policy'], x['on'], x['trunk']) for x in p['rules']], [('p0', 'receive', 'a'), ('p1', 'receive', 'a'), ('p0', 'send', 'b3')], 'policies')
    n, c, i = h.through('2003', bye=False)
    equal(n, 3, 'the last that is left')
    equal([(x['trunk'], x['tried'], x['why']) for x in preview().json['targets']][0], ('b3', False, 'max_calls_out'), 'over its limit')
    check(h.call('2004').wait(503).get('retry-after'), 'nothing is left: no Retry-After')
    c.request('BYE')
    i.answer_bye()
    h.d.no_calls()
    h.d.http('POST', '/trunks/b2/undrain')
    until(lambda: not h.d.get('/trunks/b2').json['drained'], 2, 'the end of the drain')
    equal([x['trunk'] for x in preview().json['targets'] if x['tried']], ['b2', 'b3'], 'undrained')
    equal([x['policy'] for x in preview().json['rules']], ['p0', 'p1', 'p0', 'p2'], 'policies of the trunk that is tried')
    equal(preview(from_trunk='b0').status, 404, 'no route')
    equal(preview(from_trunk='x').json['errors'][0]['pointer'], '/from_trunk', 'no trunk')
    equal(preview(to=5).json['errors'][0]['pointer'], '/to', 'no number')
    equal(preview(headers=[1]).json['errors'][0]['pointer'], '/headers', 'no headers')
    r = h.d.ctl('route', 'preview', 'a', 'sip:2001@x', '100')
    equal(r.returncode, 0, r.stdout)
    lines = r.stdout.splitlines()
    equal(lines[:2], ['route: out', 'to: g'], r.stdout)
    check([ln.split()[:2] for ln in lines[-4:]] == [['yes', 'b2'], ['yes', 'b3'], ['no', 'b0'], ['no', 'b1']], 'targets: %s', r.stdout)
    check(h.d.ctl('route', 'preview', 'b0', '1').returncode == 3, 'no route')


@test()
def route_by_header_and_time(t):
    """routes by headers of the request, as the policies on receipt left them, and by the day in a zone: calls, other requests and the preview"""
    days = ('sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat')
    now = int(time.strftime('%w', time.gmtime()))

    def change(doc, b):
        static_group('priority', [{}, {}, {}])(doc, b)
        doc['policies'] = [{'id': 'class', 'file': 'class.policy'}]
        next(x for x in doc['trunks'] if x['id'] == 'a')['policies'] = ['class']
        doc['routes'] = [
            {'id': 'gold', 'from': ['a'], 'match': {'headers': [{'name': 'X-Class', 'value': '^gold$'}]}, 'to': 'b0'},
            {'id': 'other-day', 'from': ['a'], 'match': {'time': {'zone': 'Europe/Berlin', 'days': [days[(now + 3) % 7], days[(now + 4) % 7]]}}, 'to': 'b1'},
            {'id': 'today', 'from': ['a'], 'match': {'time': {'zone': 'Europe/Berlin', 'days': [days[(now + k) % 7] for k in (6, 0, 1)]}}, 'to': 'b2'}]
    files = {'class.policy': 'policy class on receive request {\n    when ruri.user == "2009" then set header["X-Class"] "gold"\n}\n'}
    h = House(t, n=3, doc=change, daemon={'files': files})

    def way(number, headers=()):
        c = Call(h.a, number)
        c.invite(sdp=sdp_text(h.a.ip, h.rtp.port), headers=headers)
        x, i = h.asked(number)
        i.reply(486)
        c.wait(486)
        return h.b.index(x)
    equal(way('2001'), 2, 'a call without the header')
    equal(way('2002', [('X-Class', 'gold')]), 0, 'one with it')
    equal(way('2003', [('X-Class', 'marigold')]), 2, 'one with another value')
    equal(way('2004', [('X-Class', 'tin'), ('X-Class', 'gold')]), 2, 'the first value counts')
    equal(way('2009'), 0, 'one that a policy marks')
    ask = Call(h.a, '2005').request('MESSAGE', headers=[('X-Class', 'gold')], body=b'hi', ctype='text/plain')
    answer(h.b[0], h.b[0].take(lambda m: m.method == 'MESSAGE', 2, 'MESSAGE'))
    equal(ask.final().status, 200, 'answer')

    def preview(**body):
        return h.d.http('POST', '/routes/preview', {'from_trunk': 'a', 'to': '2001', **body}).json['route']
    equal([preview(), preview(headers={'x-class': 'gold'}), preview(headers={'X-Class': 'tin'})], ['today', 'gold', 'today'], 'preview')
    equal(h.d.http('POST', '/routes/preview', {'from_trunk': 'a', 'to': '2001'}).json['passed'], [{'route': 'gold', 'why': 'headers'}, {'route': 'other-day', 'why': 'time'}],
          'routes that were passed over')
    r = h.d.ctl('route', 'preview', 'a', '2001')
    check(['other-day', 'time'] in [ln.split() for ln in r.stdout.splitlines()], 'posternctl: %s', r.stdout)
    h.doc['routes'][0]['match']['time'] = {'zone': 'Europe/Nowhere'}
    r = h.d.http('PUT', '/config', h.doc)
    equal([r.status, [e['pointer'] for e in r.json['errors']]], [422, ['/routes/0/match/time/zone']], 'no such zone')


@test()
def bye_through_the_next_target(t):
    """F3: a BYE that the call's target does not answer goes through the next target of the trunk"""
    h = House(t)
    k, c, i = h.through('2001', bye=False)
    equal(k, 0, 'target of the call')
    h.b[0].deaf = True
    c.request('BYE')
    m = h.b[1].take(lambda m: m.method == 'BYE' and m.call_id == i.call_id, 3, 'BYE of the call')
    answer(h.b[1], m)
    h.d.no_calls()
    equal(h.state(0), 'down', 'a target that did not answer')


@test()
def request_through_the_next_target(t):
    """a re-INVITE that the call's target does not answer goes through the next target"""
    h = House(t)
    k, c, i = h.through('2001', bye=False)
    h.b[0].deaf = True
    c.reinvite(sdp=sdp_text(h.a.ip, h.rtp.port, direction='sendonly'))
    m = h.b[1].take(lambda m: m.method in ('INVITE', 'UPDATE') and m.call_id == i.call_id, 3, 'the request')
    i.agent = h.b[1]
    i.reply(200, to=m, sdp=sdp_text(h.b[1].ip, 30000, direction='recvonly'))
    equal(c.wait(200).status, 200, 'answer')


@test()
def message_goes_on(t):
    """a request outside of calls that a target is silent to goes to the next after tries x try_timeout; its 503 with Retry-After lets a target rest"""
    h = House(t)
    ask = Call(h.a, '2001').request('MESSAGE', body=b'hi', ctype='text/plain')
    h.b[0].take(lambda m: m.method == 'MESSAGE', 2, 'MESSAGE')
    m = h.b[1].take(lambda m: m.method == 'MESSAGE', 2, 'MESSAGE at the next')
    answer(h.b[1], m)
    equal(ask.final().status, 200, 'answer')
    equal(h.state(0), 'down', 'the silent one')
    ask = Call(h.a, '2002').request('MESSAGE', body=b'hi', ctype='text/plain')
    m = h.b[1].take(lambda m: m.method == 'MESSAGE' and m.user == '2002', 2, 'MESSAGE')
    answer(h.b[1], m, 503, ('Retry-After: 30',))
    equal(ask.final().status, 503, 'answer')
    equal(h.state(1), 'resting', 'the one that asked for rest')


# ---- DNS ----
class Dns:
    """dnsmasq on a port of the test's own; lines are its options."""

    def __init__(self, t, lines, ttl=1):
        self.t, self.ttl, self.n = t, ttl, 0
        self.program = need('dnsmasq', 'targets by DNS')
        self.at = t.ip(9)
        self.proc = None
        self.serve(lines)

    def serve(self, lines):
        self.stop()
        self.n += 1
        self.proc = Proc(self.t, 'dnsmasq%d' % self.n, [self.program, '-k', '--conf-file=/dev/null', '--port=5353', '--listen-address=' + self.at,
                         '--bind-interfaces', '--no-resolv', '--no-hosts', '--no-poll', '--user=', '--pid-file=', '--local=/test/', '--local-ttl=%d' % self.ttl, *lines])
        time.sleep(0.3)

    def stop(self):
        if self.proc:
            self.proc.end()
        self.proc = None


def by_name(h, t, uri):
    """Trunk b is that name, asked from the test's own server."""
    h.doc['system']['dns'] = {'servers': ['%s:5353' % t.ip(9)], 'timeout': 1}
    trunk = next(x for x in h.doc['trunks'] if x['id'] == 'b')
    trunk['targets'] = [uri]
    h.d.write()
    h.d.start()


@test()
def dns_zone_of_f1(t):
    """F1: NAPTR orders 50, 90, 100 for TLS, TCP, UDP, each its SRV set; failover crosses transports"""
    h = House(t, n=1, start=False, tls={'verify': 'none'})
    ip = t.at['b'][0]
    h.doc['listeners'] += [{'id': 'p-tcp', 'realm': 'peering', 'transport': 'tcp', 'address': ip, 'port': 5060},
                           {'id': 'p-tls', 'realm': 'peering', 'transport': 'tls', 'address': ip, 'port': 5061, 'tls': 'edge'}]
    next(x for x in h.doc['trunks'] if x['id'] == 'b')['tls'] = 'edge'
    tls = Agent(t, t.ip(21), (ip, 5061), 5061, 'tls', server_tls=context(t, True), client_tls=context(t, False))
    tcp = Agent(t, t.ip(22), (ip, 5060), 5060, 'tcp')
    udp = h.b[0]
    lines = ['--naptr-record=voice.test,50,50,s,SIPS+D2T,,_sips._tcp.voice.test', '--naptr-record=voice.test,90,50,s,SIP+D2T,,_sip._tcp.voice.test',
             '--naptr-record=voice.test,100,50,s,SIP+D2U,,_sip._udp.voice.test']
    for svc, host, x in (('_sips._tcp', 'tls', tls), ('_sip._tcp', 'tcp', tcp), ('_sip._udp', 'udp', udp)):
        lines += ['--srv-host=%s.voice.test,%s1.test,%d,1,10' % (svc, host, x.port), '--host-record=%s1.test,%s' % (host, x.ip),
                  '--srv-host=%s.voice.test,%s2.test,%d,2,10' % (svc, host, x.port), '--host-record=%s2.test,%s' % (host, t.ip(100))]
    Dns(t, lines)
    by_name(h, t, 'sip:voice.test')
    until(lambda: len(h.targets()) == 6, 5, lambda: 'six targets: %s' % h.targets())
    equal([(x['transport'], x['address']) for x in h.targets()],
          [(p, a) for p, x in (('tls', tls), ('tcp', tcp), ('udp', udp)) for a in (x.ip, t.ip(100))], 'targets in order')
    h.b = [tls, tcp, udp]
    equal(h.through('2001')[0], 0, 'TLS first')
    tls.close()
    equal(h.through('2002')[0], 1, 'then TCP')
    tcp.close()
    equal(h.through('2003')[0], 2, 'then UDP')


@test()
def dns_changes_in_flight(t):
    """a target that leaves the zone drains with its call; one that stays keeps its state; a dead server costs no call"""
    h = House(t, n=3, start=False)
    host = ['--host-record=h%d.test,%s' % (k, x.ip) for k, x in enumerate(h.b)]

    def srv(*prio):
        return host + ['--srv-host=_sip._udp.voice.test,h%d.test,5060,%d,10' % (k, p) for k, p in prio]
    dns = Dns(t, srv((0, 1), (1, 2)))
    by_name(h, t, 'sip:voice.test;transport=udp')
    k, c, i = h.through('2001', bye=False)
    equal(k, 0, 'first by priority')
    dns.serve(srv((2, 1), (1, 2)))
    until(lambda: [x['address'] for x in h.targets() if x['state'] != 'draining'] == [h.b[2].ip, h.b[1].ip], 6, lambda: 'the new zone: %s' % h.targets())
    old = [x for x in h.targets() if x['address'] == h.b[0].ip]
    equal([(x['state'], x['reason'], x['calls']) for x in old], [('draining', 'vanished', 1)], 'the one that left')
    equal(h.through('2002')[0], 2, 'new calls')
    dns.stop()
    time.sleep(2.5)
    equal(h.through('2003')[0], 2, 'with a dead DNS server')
    c.request('BYE')
    i.answer_bye()
    e = h.d.role_pid('engine')
    h.d.kill('engine')
    h.d.restarted('engine', e)
    until(lambda: h.through('2004')[0] == 2, 5, 'known targets after a restart with a dead DNS server')


@test()
def dns_resolved_sources_match(t):
    """a request from an address that the trunk's name resolved to belongs to the trunk"""
    h = House(t, n=1, start=False)
    Dns(t, ['--host-record=pbx.test,' + h.b[0].ip])
    by_name(h, t, 'sip:pbx.test:5060;transport=udp')
    until(lambda: len(h.targets()) == 1, 5, 'an address')
    time.sleep(0.1)
    c = h.b[0].call('4001', sdp=sdp_text(h.b[0].ip, 30000))
    h.a.await_call('4001').reply(486)
    c.wait(486)


class Bent:
    """A DNS server that answers as it is told: rcode, delay, truncated over UDP. zone: {(name, type): [rdata]}; no EDNS, no compression."""

    def __init__(self, t, zone):
        self.zone, self.rcode, self.delay, self.truncate, self.asked, self.tcp_asked = zone, 0, 0, False, 0, 0
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((t.ip(9), 5353))
        self.tcp = socket.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind((t.ip(9), 5353))
        self.tcp.listen(8)
        for fn in (self._udp, self._tcp):
            threading.Thread(target=fn, daemon=True).start()
        t.defer(self.udp.close)
        t.defer(self.tcp.close)

    def _udp(self):
        while True:
            try:
                q, source = self.udp.recvfrom(4096)
            except OSError:
                return
            self.asked += 1
            a = self.answer(q, self.truncate)
            threading.Timer(self.delay, self.udp.sendto, (a, source)).start()

    def _tcp(self):
        while True:
            try:
                s = self.tcp.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._tcp_one, args=(s,), daemon=True).start()

    def _tcp_one(self, s):
        """All queries of a connection: a resolver sends several through one (RFC 7766)."""
        data = b''
        while True:
            try:
                got = s.recv(4096)
            except OSError:
                got = b''
            if not got:
                s.close()
                return
            data += got
            while len(data) >= 2 and len(data) >= 2 + struct.unpack('>H', data[:2])[0]:
                n = 2 + struct.unpack('>H', data[:2])[0]
                self.tcp_asked += 1
                a = self.answer(data[2:n], False)
                data = data[n:]
                s.sendall(struct.pack('>H', len(a)) + a)

    @staticmethod
    def name(text):
        return b''.join(bytes([len(x)]) + x.encode() for x in text.split('.') if x) + b'\0'

    def answer(self, q, cut):
        at, labels = 12, []
        while q[at]:
            labels.append(q[at + 1:at + 1 + q[at]].decode())
            at += 1 + q[at]
        kind = struct.unpack('>H', q[at + 1:at + 3])[0]
        rr = [] if cut or self.rcode else self.zone.get(('.'.join(labels).lower(), kind), [])
        head = q[:2] + struct.pack('>HHHHH', 0x8180 | (0x200 if cut else 0) | self.rcode, 1, len(rr), 0, 0)
        return head + q[12:at + 5] + b''.join(b'\xc0\x0c' + struct.pack('>HHIH', kind, 1, 1, len(r)) + r for r in rr)


def bent_zone(*hosts):
    srv = [struct.pack('>HHH', 1 + k, 10, 5060) + Bent.name('h%d.test' % k) for k in range(len(hosts))]
    return {('_sip._udp.voice.test', 33): srv, **{('h%d.test' % k, 1): [socket.inet_aton(ip)] for k, ip in enumerate(hosts)}}


@test()
def dns_truncated_slow_servfail(t):
    """a truncated answer is asked for by TCP; a slow one is waited for by the call; SERVFAIL takes nothing away"""
    h = House(t, start=False)
    dns = Bent(t, bent_zone(h.b[0].ip, h.b[1].ip))
    dns.truncate, dns.delay = True, 0.3
    by_name(h, t, 'sip:voice.test;transport=udp')
    until(lambda: h.d.get('/trunks/a').status == 200, 5, 'the engine')
    check(h.through('2001')[0] in (0, 1), 'a call that comes while names are resolved goes to whichever address is known first')
    check(dns.tcp_asked, 'nothing was asked by TCP')
    until(lambda: len(h.targets()) == 2, 8, 'both targets')
    dns.rcode = 2
    n = dns.asked
    until(lambda: dns.asked > n + 2, 6, 'queries during SERVFAIL')
    equal(h.through('2002')[0], 0, 'during SERVFAIL')
    equal([x['state'] for x in h.targets()], ['up', 'up'], 'states')


@test()
def dns_no_name_at_all(t):
    """a name that does not exist: 503 with Retry-After, at once; it comes into being: calls"""
    h = House(t, n=1, start=False)
    dns = Bent(t, {})
    dns.rcode = 3
    by_name(h, t, 'sip:voice.test')
    until(lambda: h.d.get('/trunks/a').status == 200, 5, 'the engine')
    until(lambda: dns.asked >= 3, 5, 'queries')
    check(h.call('2001').wait(503, 4).get('retry-after'), 'no Retry-After')
    trunk = h.d.get('/trunks/b').json
    equal(trunk['targets'], [], 'targets')


# ---- many of them ----
def cpu_s(pids):
    total = 0
    for pid in pids:
        with open('/proc/%d/stat' % pid) as f:
            total += sum(int(x) for x in f.read().rsplit(')', 1)[1].split()[11:13])
    return total / os.sysconf('SC_CLK_TCK')


@test(seconds=60)
def thousand_trunks_take_effect(t):
    """a write of 1,000 trunks is in force within a second, as is one of 10,000 routes; states of those that were there stay"""
    h = House(t)
    c = h.call()
    h.b[0].await_call('2001').reply(503)
    h.b[1].await_call('2001').reply(486)
    c.wait(486)
    doc = h.d.get('/config').json
    doc['trunks'] = [{'id': 't%d' % k, 'realm': 'peering', 'targets': ['sip:127.%d.%d.%d:5060;transport=udp' % (200 + j, k // 250, k % 250 + 1) for j in range(3)]}
                     for k in range(1000)] + doc['trunks']
    routes = doc['routes']
    for n in (0, 10000):
        doc['routes'] = [{'id': 'r%d' % k, 'order': k // 2, 'from': ['a'], 'match': {'to_user': '^\\+49%05d' % k}, 'to': 't%d' % (k % 1000)} for k in range(n)] + routes
        t0, c0 = time.monotonic(), cpu_s(h.d.family())
        equal(h.d.http('PUT', '/config', doc, seconds=20).status, 200, 'write of %d routes' % n)
        until(lambda: len(h.d.all_items('/trunks')) == 1002, 5, 'all trunks in force')
        took, cpu = time.monotonic() - t0, cpu_s(h.d.family()) - c0
        t.note('%d routes: %.2f s, %.2f s of CPU in all processes' % (n, took, cpu))
        check(min(took, cpu) < (1.0 if not n else 3.0) * SLOW, 'took %.2f s', took)   # CPU where others have the machine
        equal(h.state(0), 'down', 'the state that a target had before')
        equal(h.through('2002')[0], 1, 'a call afterwards')


# ---- soak ----
def uas(t, ip):
    need('sipp', 'the soak of trunks')
    return Proc(t, 'sipp', ['sipp', '-sn', 'uas', '-i', ip, '-p', '5060', '-nostdin', '-mi', ip, '-mp', '9000']).listens(ip, 5060)


# calls a second and seconds; script/test soak: 100 x 300
SOAK_RATE, SOAK_SECONDS = (int(x) for x in os.environ.get('POSTERN_SOAK', '50x26').split('x'))


@test(seconds=100 + 2 * SOAK_SECONDS, slow=True)
def soak_targets_stop_in_turn(t):
    """50 calls/s through a group of three while targets are killed, frozen and restarted in turn: no call fails, none that was answered is touched"""
    need('sipp', 'the soak of trunks')
    fast = {'more': {'failback': {'interval': 1, 'hold_down': 1}, 'probe': {'enabled': True, 'interval': 1, 'timeout': 1, 'up_after': 1}}}
    h = House(t, n=3, ports=1000, doc=static_group('round-robin', [dict(fast) for _ in range(3)]), start=False)
    for x in h.b + [h.a]:
        x.close()
    up = [uas(t, x.ip) for x in h.b]
    h.d.start()
    total = SOAK_RATE * SOAK_SECONDS
    caller = Proc(t, 'sipp', ['sipp', '-sn', 'uac', '-i', h.a.ip, '-p', '5060', '-r', str(SOAK_RATE), '-m', str(total), '-l', '800', '-d', '200', '-s', '2001', '-nostdin',
                              '-timeout', '%ds' % (SOAK_SECONDS + 64), '-timeout_error', '-mi', h.a.ip, '-mp', '9000', '-trace_err', '-error_file', t.path('errors'), '%s:%d' % t.at['a']])
    end, k = time.monotonic() + SOAK_SECONDS - 8, 0
    while time.monotonic() < end:
        time.sleep(2)
        up[k].end(signal.SIGKILL)
        time.sleep(2)
        up[k] = uas(t, h.b[k].ip)
        time.sleep(2)
        k = (k + 1) % 3
        up[k].p.send_signal(signal.SIGSTOP)
        time.sleep(2)
        up[k].p.send_signal(signal.SIGCONT)
    rc = caller.wait(80)
    hunts = h.d.counter('postern_hunt_next_total')
    until(lambda: len(h.d.all_items('/cdrs')) >= total, 15, 'a CDR of each call')   # of some the BYE is still repeated to a dead target
    cdrs = h.d.all_items('/cdrs')
    t.note('%d calls, %d went on to a further target' % (total, hunts))
    bad = [x for x in cdrs if (x['status'], x['ended_by']) != (200, 'caller')]
    errors = open(t.path('errors'), errors='replace').read() if rc else ''
    equal(rc, 0, 'exit code of the caller (1: calls failed): %s %s' % (bad[:3], errors[:3000]))
    equal((len(cdrs), bad[:3]), (total, []), 'CDRs, and those that are not of a call that its caller ended')
    check(hunts > 0, 'no call had to go on')

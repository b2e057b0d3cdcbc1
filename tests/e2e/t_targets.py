# SPDX-License-Identifier: Apache-2.0
"""Targets of a trunk seen closely: health, limits and hunts that meet, odd records of DNS (design.md section 8), message by message."""
import socket
import struct
import time

from lib.base import check, equal, test, until
from lib.sip import sdp_text
from t_failover import mixed
from t_trunks import QUICK, Bent, Dns, House, answer, by_name


@test()
def hunt_within_a_limit(t):
    """a call that goes on to the next target is still one call: limits of one call and of one a second do not end its hunt"""
    h = House(t)
    for k, limits in enumerate(({'max_calls': 1}, {'max_calls_out': 1}, {'max_cps': 1})):
        equal(h.d.http('PATCH', '/config/trunks/b', {'limits': limits}, ctype='application/merge-patch+json').status, 200, 'write of %s' % limits)
        number = '200%d' % k
        c = h.call(number)
        x, i = h.asked(number)
        i.reply(500)
        y, j = h.asked(number, [z for z in h.b if z is not x])
        j.reply(486)
        c.wait(486)


@test()
def hunt_silent_within_a_limit(t):
    """the same where the first target is silent: it has tries x try_timeout, not the full 64*T1 of a last target"""
    h = House(t, b={'limits': {'max_calls': 1}})
    c = h.call()
    h.b[0].await_call('2001')
    h.b[1].await_call('2001').reply(486)
    c.wait(486)


@test()
def health_500_after_100(t):
    """a 100 before each 500 is no other answer: three calls that end with 500 take the target down"""
    h = House(t, n=1, b={'failover': {**QUICK, 'on_status': [503]}})
    for k in range(3):
        check(h.state() in ('up', 'suspect'), 'state after %d x 500: %s', k, h.state())
        c = h.call('20%d' % k)
        i = h.b[0].await_call('20%d' % k)
        i.reply(100)
        i.reply(500)
        c.wait(500)
    equal(h.state(), 'down', 'state after three')


@test()
def probe_is_timed(t):
    """a probe shows its time and its round trip"""
    h = House(t)
    equal(h.d.http('POST', '/trunks/b/probe').status in (200, 202, 204), True, 'status')
    for x in h.b:
        answer(x, x.take(lambda m: m.method == 'OPTIONS', 3, 'OPTIONS'))
    until(lambda: all(x['last_probe'] and x['rtt_ms'] and x['rtt_ms'] > 0 for x in h.targets()), 5, lambda: 'round trips: %s' % h.targets())


@test()
def reasons_are_of_now(t):
    """a drain and its end show in the reason, not what was before"""
    h = House(t)
    h.d.http('POST', '/trunks/b/drain')
    until(lambda: h.state() == 'draining', 5, 'drain')
    equal([(x['state'], x['reason']) for x in h.targets()], [('draining', 'drained')] * 2, 'drained')
    h.d.http('POST', '/trunks/b/undrain')
    until(lambda: h.state() == 'up', 5, 'undrain')
    equal([(x['state'], x['reason']) for x in h.targets()], [('up', 'new')] * 2, 'what it was before')


@test()
def dns_ipv6_without_listener(t):
    """a name that has AAAA records alone, and no IPv6 listener: its target is down, no-listener; calls get 503"""
    h = House(t, n=1, start=False)
    Dns(t, ['--host-record=six.test,::1'])
    by_name(h, t, 'sip:six.test:5060;transport=udp')
    until(lambda: h.targets(), 10, lambda: 'a target: %s' % h.d.get('/trunks/b').text)
    equal([(x['state'], x['reason']) for x in h.targets()], [('down', 'no-listener')], 'targets')
    check(h.call().wait(503).get('retry-after'), 'no Retry-After')


@test()
def dns_odd_srv(t):
    """SRV records: '.' says that there is none, port 0 and a target without address are passed over, equal ones counted once"""
    h = House(t, n=2, start=False)
    zone = {('_sip._udp.voice.test', 33): [struct.pack('>HHH', p, w, port) + Bent.name(n) for p, w, port, n in
                                          ((1, 0, 5060, ''), (2, 0, 0, 'h0.test'), (3, 1, 5060, 'none.test'), (4, 0, 5060, 'h0.test'), (4, 0, 5060, 'h0.test'), (5, 0, 5060, 'h1.test'))]}
    for k in range(2):
        zone[('h%d.test' % k, 1)] = [socket.inet_aton(h.b[k].ip)]
    Bent(t, zone)
    by_name(h, t, 'sip:voice.test;transport=udp')
    want = [(h.b[0].ip, 5060, 4), (h.b[1].ip, 5060, 5)]
    until(lambda: [(x['address'], x['port'], x['priority']) for x in h.targets()] == want, 10, lambda: 'targets: %s' % h.targets())


@test()
def late_18x_of_an_abandoned_target(t):
    """a target that was left for its silence rings late: it gets CANCEL, the caller hears nothing of it"""
    h = House(t)
    c = h.call()
    i = h.b[0].await_call('2001')
    j = h.b[1].await_call('2001')
    j.reply(180)
    c.wait(180)
    i.reply(183, sdp=sdp_text(h.b[0].ip, 30002))
    m = i.expect('CANCEL', 3)
    i.reply(200, to=m)
    i.reply(487)
    i.expect('ACK')
    j.reply(200, sdp=sdp_text(h.b[1].ip, 30000))
    c.wait(200)
    j.expect('ACK')
    equal(len(c.agent.peek(lambda m: m.status == 183)), 0, '183 that the caller saw')
    tx = c.request('BYE')
    j.answer_bye()
    tx.final()


@test()
def dns_name_goes_away(t):
    """a name that exists no more empties its trunk: it is down, and calls get 503 with Retry-After, until it is back"""
    h = House(t, start=False)
    zone = bent(h)
    dns = Bent(t, zone)
    by_name(h, t, 'sip:voice.test;transport=udp')
    until(lambda: len(h.targets()) == 2, 10, 'targets')
    dns.rcode = 3
    until(lambda: not h.targets(), 10, lambda: 'no targets: %s' % h.targets())
    equal(h.d.get('/trunks/b').json['state'], 'down', 'state of a trunk without an address')
    check(h.call().wait(503, 6).get('retry-after'), 'no Retry-After')
    dns.rcode = 0
    until(lambda: len(h.targets()) == 2, 12, lambda: 'the name is back: %s' % h.targets())


def bent(h):
    srv = [struct.pack('>HHH', 1 + k, 10, 5060) + Bent.name('h%d.test' % k) for k in range(len(h.b))]
    return {('_sip._udp.voice.test', 33): srv, **{('h%d.test' % k, 1): [socket.inet_aton(x.ip)] for k, x in enumerate(h.b)}}


@test()
def retry_after_forms(t):
    """Retry-After with comment and parameters counts (RFC 3261 20.33)"""
    h = House(t)
    c = h.call()
    h.b[0].await_call('2001').reply(503, headers=[('Retry-After', '30 (in a meeting);duration=60')])
    h.b[1].await_call('2001').reply(486)
    c.wait(486)
    equal(h.state(0), 'resting', 'state')


@test()
def bye_to_an_unreachable_target(t):
    """a target that is unreachable by ICMP in the middle of a call: BYE goes through the next"""
    h = House(t)
    k, c, i = h.through('2001', bye=False)
    h.b[0].close()
    time.sleep(0.1)
    c.request('BYE')
    m = h.b[1].take(lambda m: m.method == 'BYE' and m.call_id == i.call_id, 3, 'BYE of the call')
    answer(h.b[1], m)
    h.d.no_calls()


@test()
def probe_over_revisions(t):
    """a down target is probed in time also where the document is written more often than that"""
    h = House(t, b={'failback': {'interval': 2, 'hold_down': 0}, 'probe': {'up_after': 1}})
    c = h.call()
    h.b[0].await_call('2001').reply(503)
    h.b[1].await_call('2001').reply(486)
    c.wait(486)

    def probed():
        equal(h.d.http('PATCH', '/config/trunks/a', {'no_answer': 60 + int(time.monotonic() * 10) % 100}, ctype='application/merge-patch+json').status, 200, 'a write')
        return h.b[0].peek(lambda m: m.method == 'OPTIONS')
    until(probed, 8, 'a probe', step=0.3)


@test()
def rest_survives(t):
    """a rest goes on over a revision and an engine's death, and ends in its time"""
    h = House(t, b={'failback': {'hold_down': 0, 'max_rest': 10}})
    c = h.call()
    h.b[0].await_call('2001').reply(503, headers=[('Retry-After', '300')])
    h.b[1].await_call('2001').reply(486)
    c.wait(486)
    old = h.d.role_pid('engine')
    h.d.kill('engine')
    h.d.restarted('engine', old)
    equal(h.state(0), 'resting', 'state after the engine died')
    equal(h.d.http('PATCH', '/config/trunks/b', {'no_answer': 90}, ctype='application/merge-patch+json').status, 200, 'a write')
    equal(h.state(0), 'resting', 'state after a revision')
    until(lambda: h.state(0) == 'up', 15, 'the end of the rest')


@test()
def tls_name_is_another(t):
    """a TLS target whose certificate is of another name is unreachable: the next at once"""
    h = mixed(t)
    trunk = next(x for x in h.doc['trunks'] if x['id'] == 'b')
    h.doc['tls_profiles'].append({'id': 'strict', 'certificate': 'edge.pem', 'key': 'edge.key', 'ca': 'ca.pem', 'verify': 'required'})
    trunk.update(tls='strict', targets=['sip:%s:5061;transport=tls' % t.ip(21), 'sip:%s:5060;transport=udp' % t.ip(12)], failover={'tries': 1, 'try_timeout': 10})
    h.d.write()
    h.d.start()
    until(lambda: len(h.targets()) == 2, 10, 'targets')
    c = h.call()
    h.b[2].await_call('2001', 6).reply(486)
    c.wait(486)
    equal((h.state(0), h.targets()[0]['reason']), ('down', 'unreachable'), 'state')


@test()
def tcp_closed_by_the_target(t):
    """a TCP target that closes the connection when it gets the INVITE, or after its 100: the next at once"""
    h = House(t, n=3, transport='tcp', b={'failover': {'tries': 1, 'try_timeout': 10}})
    c = h.call()
    h.b[0].await_call('2001')
    h.b[0].close()
    j = h.b[1].await_call('2001', 6)
    j.reply(100)
    time.sleep(0.2)
    h.b[1].close()
    h.b[2].await_call('2001', 6).reply(486)
    c.wait(486)
    equal([x['reason'] for x in h.targets()][:2], ['unreachable'] * 2, 'reasons')


@test()
def cancelled_before_a_name_is_known(t):
    """CANCEL while a target's name is still looked up: 487, and a CDR that has the caller's Call-ID"""
    h = House(t, n=1, start=False)
    mute = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    mute.bind((t.ip(9), 5353))
    t.defer(mute.close)
    h.doc['system']['dns'] = {'servers': ['%s:5353' % t.ip(9)], 'timeout': 10}
    next(x for x in h.doc['trunks'] if x['id'] == 'b')['targets'] = ['sip:h.test:5060;transport=udp']
    h.d.write()
    h.d.start()
    until(lambda: h.d.get('/trunks/a').status == 200, 5, 'the engine')
    c = h.call()
    c.wait(100)
    equal(c.cancel().final().status, 200, 'answer to CANCEL')
    c.wait(487)
    h.d.no_calls()
    cdr = h.d.cdrs('2001')[0]
    equal((cdr['status'], cdr['cause'], cdr['call_id_a'], cdr['targets']), (487, 'canceled', c.call_id, []), 'CDR')
    h.b[0].none(lambda m: m.method == 'INVITE', 0.3, 'INVITE')


@test()
def probe_interval_below_timeout(t):
    """an interval shorter than the timeout that is not given: an answer is waited for until the next probe, silence takes the target down"""
    h = House(t, b={'probe': {'enabled': True, 'interval': 1, 'down_after': 2}})
    h.b[0].deaf = True

    def down():
        for m in list(h.b[1].peek(lambda m: m.method == 'OPTIONS')):
            h.b[1].take(lambda k, m=m: k is m, 1, 'OPTIONS')
            answer(h.b[1], m)
        return h.state(0) == 'down'
    until(down, 8, lambda: 'down: %s' % h.targets())
    equal(h.targets()[0]['reason'], 'probe-unanswered', 'reason')

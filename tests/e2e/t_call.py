# SPDX-License-Identifier: Apache-2.0
"""The basic call: transports, families, early media, failures, CANCEL, ACK and BYE in their races. Parties of our own, message by message."""
import re
import time

from lib.base import Skip, check, equal, need_ipv6, test
from lib.daemon import Bed, context
from lib.rtp import Rtp, both_ways
from lib.sip import sdp_text


def establish(bed, x, y, number='2001', **kw):
    """A call from x to y with media on both sides: (caller, callee, caller's RTP, callee's RTP)."""
    ra, rb = Rtp(bed.t, x.ip), Rtp(bed.t, y.ip)
    c = x.call(number, sdp=sdp_text(x.ip, ra.port), **kw)
    i = y.await_call(number)
    i.reply(180)
    c.wait(180)
    i.reply(200, sdp=sdp_text(y.ip, rb.port))
    c.wait(200)
    i.expect('ACK')
    check(c.rsdp and i.rsdp, 'no SDP on one side')
    return c, i, ra, rb


def anchored(bed, c, i):
    for who, leg, realm in (('caller', c, bed.realm_of(c)), ('callee', i, bed.realm_of(i))):
        ip, port = leg.rsdp.dest()
        m = next(r for r in bed.doc['realms'] if r['id'] == realm)['media']
        equal(ip, m.get('address6') if ':' in ip else m.get('address'), 'media address shown to the ' + who)
        check(m['port_min'] <= port <= m['port_max'] and port % 2 == 0, 'media port %d shown to the %s', port, who)


def realm_of(bed, call):
    return 'core' if call.agent is bed.a else 'peering'


Bed.realm_of = realm_of


def talk(bed, x, y, number, by):
    c, i, ra, rb = establish(bed, x, y, number)
    anchored(bed, c, i)
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    first, second = (c, i) if by == 'caller' else (i, c)
    tx = first.request('BYE')
    second.answer_bye()
    equal(tx.final().status, 200, 'answer to BYE')


def four_calls(bed):
    """Both directions, BYE from either side, audio each time, nothing left."""
    for n, (x, y, by) in enumerate(((bed.a, bed.b, 'caller'), (bed.b, bed.a, 'callee'), (bed.a, bed.b, 'callee'), (bed.b, bed.a, 'caller'))):
        talk(bed, x, y, '200%d' % n, by)
    bed.d.no_calls()
    for n in range(4):
        cdr = bed.d.cdrs('200%d' % n)
        equal(len(cdr), 1, 'CDRs of a call')
        equal(cdr[0]['status'], 200, 'status in the CDR')


@test()
def call_udp(t):
    """UDP calls both ways with audio, BYE from either side, a CDR each"""
    four_calls(Bed(t))


@test()
def call_tcp(t):
    """the same over TCP"""
    four_calls(Bed(t, a='tcp', b='tcp'))


@test()
def call_tls(t):
    """the same over TLS on both sides, peers' certificates verified by the daemon"""
    four_calls(Bed(t, a='tls', b='tls'))


@test()
def call_udp_to_tls(t):
    """a UDP leg and a TLS leg"""
    four_calls(Bed(t, a='udp', b='tls'))


@test()
def call_tcp_to_udp(t):
    """a TCP leg and a UDP leg"""
    four_calls(Bed(t, a='tcp', b='udp'))


@test()
def call_ipv6(t):
    """both legs over IPv6, signalling and media"""
    need_ipv6()
    four_calls(Bed(t, v6='ab'))


@test()
def call_ipv6_to_ipv4(t):
    """an IPv6 leg and an IPv4 leg"""
    need_ipv6()
    bed = Bed(t, v6='a')
    four_calls(bed)


@test()
def trying_and_ringing(t):
    """100 at once; 180 passed; the caller sees one 100 and no trace of the callee's"""
    bed = Bed(t)
    c = bed.a.call('2100', sdp=sdp_text(bed.a.ip, 30000))
    c.wait(100, 1)
    i = bed.b.await_call('2100')
    i.reply(100)
    i.reply(180, 'Ringing')
    c.wait(180)
    bed.a.none(lambda m: m.status == 100, 0.3, 'a second 100')
    i.reply(486)
    equal(c.wait({486}).status, 486, 'final')
    i.expect('ACK')


@test()
def early_media_183(t):
    """183 with SDP opens the path before the answer; a 180 after it keeps it; 200 with the same SDP goes on"""
    bed = Bed(t)
    ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
    c = bed.a.call('2101', sdp=sdp_text(bed.a.ip, ra.port))
    i = bed.b.await_call('2101')
    sdp = sdp_text(bed.b.ip, rb.port)
    i.reply(183, 'Session Progress', sdp=sdp)
    early = c.wait(183)
    check(early.sdp, '183 lost its SDP')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    i.reply(180)
    c.wait(180)
    both_ways(ra, early.sdp.dest(), rb, i.rsdp.dest())
    i.reply(200, sdp=sdp)
    ok = c.wait(200)
    i.expect('ACK')
    check(not ok.sdp or ok.sdp.dest() == early.sdp.dest(), 'media moved between 183 and 200')
    both_ways(ra, early.sdp.dest(), rb, i.rsdp.dest())
    tx = c.request('BYE')
    i.answer_bye()
    tx.final()


@test()
def offerless_invite(t):
    """INVITE without SDP: the offer comes in the 200, the answer in the ACK"""
    bed = Bed(t)
    ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
    c = bed.a.call('2102')
    i = bed.b.await_call('2102')
    check(not i.inv.body, 'an offerless INVITE got a body')
    i.reply(200, sdp=sdp_text(bed.b.ip, rb.port))
    ok = c.wait(200, ack=False)
    check(ok.sdp, 'no offer in the 200')
    c.ack(body=sdp_text(bed.a.ip, ra.port))
    ack = i.expect('ACK')
    check(ack.sdp, 'no answer in the ACK to the callee')
    both_ways(ra, ok.sdp.dest(), rb, ack.sdp.dest())
    tx = i.request('BYE')
    c.answer_bye()
    tx.final()


@test()
def failure_statuses(t):
    """3xx to 6xx of the callee reach the caller as they are; the callee's are acknowledged; CDRs show them"""
    bed = Bed(t)
    wrong = []
    for status in (300, 302, 380, 400, 404, 410, 415, 480, 484, 486, 488, 500, 502, 503, 600, 603, 606):
        number = '21%d' % status
        c = bed.a.call(number, sdp=sdp_text(bed.a.ip, 30000))
        i = bed.b.await_call(number)
        headers = [('Contact', '<sip:other@198.51.100.7>')] if status < 400 else []
        i.reply(status, headers=headers)
        got = c.wait(lambda m: m.status >= 200).status
        i.expect('ACK')
        if got != status:
            wrong.append('%d came as %d' % (status, got))
    check(not wrong, '; '.join(wrong))
    equal(bed.d.cdrs('21486')[0]['status'], 486, 'status in the CDR')
    bed.d.no_calls()


@test()
def reason_crosses(t):
    """Reason of a failure and of a BYE crosses to the other side"""
    bed = Bed(t)
    c = bed.a.call('2190', sdp=sdp_text(bed.a.ip, 30000))
    i = bed.b.await_call('2190')
    i.reply(480, headers=[('Reason', 'Q.850;cause=20;text="Subscriber absent"')])
    m = c.wait({480})
    check('cause=20' in m.get('reason'), 'Reason of the 480: %r', m.get('reason'))
    c, i, _, _ = establish(bed, bed.a, bed.b, '2191')
    tx = i.request('BYE', headers=[('Reason', 'Q.850;cause=16;text="Normal"')])
    bye = c.answer_bye()
    tx.final()
    check('cause=16' in bye.get('reason'), 'Reason of the BYE: %r', bye.get('reason'))


# ---- CANCEL ----
@test()
def cancel_before_any_answer(t):
    """CANCEL before the callee said anything: it waits for a provisional answer on the callee's leg (RFC 3261 9.1), the caller gets 487"""
    bed = Bed(t)
    c = bed.a.call('2200', sdp=sdp_text(bed.a.ip, 30000))
    c.wait(100)
    i = bed.b.await_call('2200')
    equal(c.cancel().final().status, 200, 'answer to CANCEL')
    equal(c.wait({487}).status, 487, 'final')
    i.not_seen('CANCEL', 0.4)
    i.reply(180)
    k = i.expect('CANCEL', 4)
    i.reply(200, to=k)
    i.reply(487)
    i.expect('ACK')
    bed.d.no_calls()


@test()
def cancel_after_180(t):
    """CANCEL while it rings"""
    bed = Bed(t)
    c = bed.a.call('2201', sdp=sdp_text(bed.a.ip, 30000))
    i = bed.b.await_call('2201')
    i.reply(180)
    c.wait(180)
    tx = c.cancel()
    equal(tx.final().status, 200, 'answer to CANCEL')
    k = i.expect('CANCEL')
    equal(k.branch, i.inv.branch, 'branch of CANCEL')
    i.reply(200, to=k)
    i.reply(487)
    i.expect('ACK')
    equal(c.wait({487}).status, 487, 'final')
    bed.d.no_calls()
    cdr = bed.d.cdrs('2201')
    equal((len(cdr), cdr[0]['status']), (1, 487), 'CDR')
    check(not cdr[0].get('answer'), 'the CDR has an answer time: %s', cdr[0])


@test()
def cancel_crossing_200(t):
    """a 200 that is on its way when our CANCEL arrives is acknowledged and ended with BYE"""
    bed = Bed(t)
    rb = Rtp(t, bed.b.ip)
    for n in range(5):
        number = '221%d' % n
        c = bed.a.call(number, sdp=sdp_text(bed.a.ip, 30000))
        i = bed.b.await_call(number)
        i.reply(180)
        c.wait(180)
        c.cancel()
        k = i.expect('CANCEL')
        i.reply(200, sdp=sdp_text(bed.b.ip, rb.port))
        i.reply(200, to=k)
        i.expect('ACK')
        m = c.wait(lambda m: m.status >= 200, 4)
        if m.status == 200:
            tx = c.request('BYE')
            i.answer_bye()
            tx.final()
        else:
            equal(m.status, 487, 'final to the caller')
            i.answer_bye()
    bed.d.no_calls()
    equal(len(bed.d.cdrs('221', 5)), 5, 'CDRs')


@test()
def cancel_after_200(t):
    """CANCEL that arrives after the answer changes nothing"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '2202')
    st = c.cancel().final().status
    check(st in (200, 481), 'late CANCEL was answered %d', st)
    i.not_seen('BYE', 0.4)
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    tx = c.request('BYE')
    i.answer_bye()
    tx.final()


@test()
def cancel_of_nothing(t):
    """CANCEL without its INVITE: 481"""
    bed = Bed(t)
    equal(bed.a.ask('CANCEL', '2203').status, 481, 'answer')


# ---- time ----
@test(seconds=20)
def no_answer(t):
    """`no_answer` counts from the first response: then CANCEL to the callee, 480 to the caller"""
    bed = Bed(t, trunk_b={'no_answer': 2})
    c = bed.a.call('2300', sdp=sdp_text(bed.a.ip, 30000))
    i = bed.b.await_call('2300')
    i.reply(180)
    c.wait(180)
    start = time.monotonic()
    k = i.expect('CANCEL', 5)
    took = time.monotonic() - start
    check(1.7 < took < 4, 'CANCEL after %.1f s', took)
    i.reply(200, to=k)
    i.reply(487)
    equal(c.wait({480}).status, 480, 'final')
    bed.d.no_calls()


@test(seconds=60, slow=True)
def timer_b_no_response(t):
    """a callee that never says anything: INVITE repeated with growing gaps, after 64*T1 a final status to the caller"""
    bed = Bed(t)
    c = bed.a.call('2301', sdp=sdp_text(bed.a.ip, 30000))
    i = bed.b.await_call('2301')
    start = time.monotonic()
    m = c.wait(lambda m: m.status >= 200, 45)
    took = time.monotonic() - start
    check(m.status in (408, 503, 480, 504), 'final is %d', m.status)
    check(25 < took < 40, 'after %.0f s', took)
    check(bed.b.repeats(i.inv) >= 4, 'INVITE was repeated %d times', bed.b.repeats(i.inv))
    bed.d.no_calls()
    equal(len(bed.d.cdrs('2301')), 1, 'CDRs')


@test(seconds=60, slow=True)
def no_ack_ends_with_bye(t):
    """2xx without ACK for 64*T1: BYE on both legs"""
    bed = Bed(t)
    c = bed.a.call('2302', sdp=sdp_text(bed.a.ip, 30000))
    i = bed.b.await_call('2302')
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
    ok = c.wait(200, ack=False)
    start = time.monotonic()
    b = i.expect('BYE', 42)
    took = time.monotonic() - start
    check(25 < took < 40, 'BYE after %.0f s', took)
    i.reply(200, to=b)
    c.answer_bye()
    check(bed.a.repeats(ok) >= 8, 'the 200 was repeated %d times', bed.a.repeats(ok))
    bed.d.no_calls()


@test()
def answer_repeats_until_ack(t):
    """200 at T1, 2*T1, 4*T1 .. until the ACK comes, never after it"""
    bed = Bed(t)
    c = bed.a.call('2303', sdp=sdp_text(bed.a.ip, 30000))
    i = bed.b.await_call('2303')
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
    ok = c.wait(200, ack=False)
    time.sleep(3.8)
    n = bed.a.repeats(ok)
    check(n == 3, '200 repeated %d times in 3.8 s, due at 0.5, 1.5 and 3.5 s', n)
    c.ack()
    i.expect('ACK')
    time.sleep(4.5)
    check(bed.a.repeats(ok) == n, '200 repeated after the ACK')
    tx = c.request('BYE')
    i.answer_bye()
    tx.final()


@test()
def repeated_200_is_acknowledged(t):
    """a callee that repeats its 200 gets the ACK again"""
    bed = Bed(t)
    c, i, _, _ = establish(bed, bed.a, bed.b, '2304')
    acks = len([x for x in bed.b.trace if x[1] == '<-' and x[2].startswith('ACK ')])
    data = bed.b.answers[(i.inv.branch, i.inv.cseq, 'INVITE')]
    bed.b.transmit(*data)
    time.sleep(0.5)
    now = len([x for x in bed.b.trace if x[1] == '<-' and x[2].startswith('ACK ')])
    equal(now, acks + 1, 'ACKs')
    tx = c.request('BYE')
    i.answer_bye()
    tx.final()


@test()
def repeated_requests(t):
    """a repeated INVITE makes no second call and gets the last answer again; a repeated BYE its 200"""
    bed = Bed(t)
    c = bed.a.call('2305', sdp=sdp_text(bed.a.ip, 30000))
    i = bed.b.await_call('2305')
    i.reply(180)
    ring = c.wait(180)
    bed.a.transmit(c.tx.data)
    time.sleep(0.3)
    check(bed.a.repeats(ring) >= 1, 'a repeated INVITE did not get the 180 again')
    bed.b.none(lambda m: m.method == 'INVITE', 0.2, 'a second INVITE')
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
    c.wait(200)
    i.expect('ACK')
    tx = c.request('BYE')
    i.answer_bye()
    m = tx.final()
    bed.a.transmit(tx.data)
    time.sleep(0.3)
    check(bed.a.repeats(m) >= 1, 'a repeated BYE got no answer')


@test()
def bye_crossing(t):
    """BYE from both sides at once: both are answered, one CDR"""
    bed = Bed(t)
    for n in range(5):
        number = '240%d' % n
        c, i, _, _ = establish(bed, bed.a, bed.b, number)
        x, y = c.request('BYE'), i.request('BYE')
        for leg in (c, i):
            for m in leg.agent.peek(lambda m: m.method == 'BYE' and m.call_id == leg.call_id):
                leg.answer_bye()
        for tx in (x, y):
            def other(m):
                return m.status >= 200
            st = tx.response(other, 4).status
            check(st in (200, 481), 'BYE was answered %d', st)
        for leg in (c, i):
            time.sleep(0.05)
            for m in leg.agent.peek(lambda m: m.method == 'BYE' and m.call_id == leg.call_id):
                leg.reply(200, to=leg.expect('BYE'))
    bed.d.no_calls()
    equal(len(bed.d.cdrs('240', 5)), 5, 'CDRs')


@test(seconds=30)
def bye_unanswered(t):
    """a side that does not answer our BYE holds nothing up: the other side is done at once and the call leaves the list"""
    bed = Bed(t)
    c, i, _, _ = establish(bed, bed.a, bed.b, '2306')
    bed.b.deaf = True
    equal(c.bye().status, 200, 'BYE')
    cdr = bed.d.cdrs('2306')
    equal(len(cdr), 1, 'CDRs')


# ---- statuses of our own ----
@test()
def statuses_of_our_own(t):
    """403 404 405 420 481 483 and 200 to OPTIONS, each where it belongs"""
    bed = Bed(t, routes=[{'id': 'some', 'order': 1, 'from': ['a'], 'match': {'to_user': '^2'}, 'to': 'b'}, {'id': 'back', 'order': 2, 'from': ['b'], 'to': 'a'}])
    a = bed.a
    c = a.call('9999', sdp=sdp_text(a.ip, 30000))
    equal(c.wait(lambda m: m.status >= 200).status, 404, 'no route')
    c = a.call('2000', sdp=sdp_text(a.ip, 30000), headers=[('Require', 'no-such-thing')])
    m = c.wait(lambda m: m.status >= 200)
    equal((m.status, m.get('unsupported')), (420, 'no-such-thing'), 'unknown Require')
    c = a.call('2000', sdp=sdp_text(a.ip, 30000), headers=[('Max-Forwards', '0')])
    equal(c.wait(lambda m: m.status >= 200).status, 483, 'Max-Forwards: 0')
    m = a.ask('OPTIONS', '')
    equal(m.status, 200, 'OPTIONS')
    check('INVITE' in m.tokens('allow'), 'Allow of OPTIONS: %r', m.get('allow'))
    m = a.ask('FROBNICATE', '2000')
    equal(m.status, 405, 'unknown method')
    check('INVITE' in m.tokens('allow') and 'FROBNICATE' not in m.tokens('allow'), 'Allow of the 405: %r', m.get('allow'))
    wrong = []
    for method in ('BYE', 'INVITE', 'UPDATE', 'INFO'):
        from lib.ua import Call
        k = Call(a, '2000')
        k.remote_tag = 'nosuchtag'
        st = k.request(method, body=sdp_text(a.ip, 30000) if method in ('INVITE', 'UPDATE') else b'').final().status
        if st != 481:
            wrong.append('%s: %d' % (method, st))
    check(not wrong, 'in no dialog, not 481: %s', wrong)
    bed.b.none(lambda m: True, 0.3, 'a message to the other side')


@test()
def stranger_403(t):
    """a source that is no trunk: 403 to everything, and nothing of the inside in it"""
    from lib.ua import Agent
    bed = Bed(t)
    s = Agent(t, t.ip(66), t.at['b'])
    for method in ('INVITE', 'REGISTER', 'MESSAGE', 'SUBSCRIBE', 'INFO'):
        m = s.ask(method, '2000', body=sdp_text(s.ip, 30000) if method == 'INVITE' else b'')
        equal(m.status, 403, method)
        text = m.raw.decode('latin1')
        for word in (t.ip(1) + ':', t.ip(11), t.ip(12), 'core', 'peering'):
            check(word not in text, '%s in the 403: %s', word, text)
    for side in (bed.a, bed.b):
        side.none(lambda m: True, 0.2, 'a message of a stranger')
    check(bed.d.get('/health').status == 200, 'health')


@test()
def max_forwards_counts_down(t):
    """Max-Forwards goes down across the legs: a loop of two trunks of ours ends with 483"""
    bed = Bed(t)
    c = bed.a.call('2500', sdp=sdp_text(bed.a.ip, 30000), headers=[('Max-Forwards', '12')])
    i = bed.b.await_call('2500')
    equal(i.inv.get('max-forwards'), '11', 'Max-Forwards to the callee')
    i.reply(486)
    c.wait({486})


@test()
def call_to_oneself_ends(t):
    """a trunk that points at our own listener: the loop ends with 483 and leaves no call"""
    bed = Bed(t, start=False)
    ip, port = t.at['a']
    loop = {'id': 'loop', 'realm': 'core', 'target': 'sip:%s:%d' % (ip, port)}
    bed.doc['trunks'].append(loop)
    bed.doc['routes'] = [{'id': 'all', 'order': 1, 'from': ['a', 'b', 'loop'], 'to': 'loop'}]
    bed.d.write()
    bed.d.start()
    c = bed.a.call('2501', sdp=sdp_text(bed.a.ip, 30000), headers=[('Max-Forwards', '8')])
    m = c.wait(lambda m: m.status >= 200, 8)
    check(m.status in (483, 482), 'a loop ended with %d', m.status)
    bed.d.no_calls()


# ---- inside a dialog ----
@test()
def reinvite_hold_and_resume(t):
    """re-INVITE from either side is relayed: hold, resume; o= version rises by one, media goes on; a refusal goes back and changes nothing"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '2600')
    for x, y, rx, ry in ((c, i, ra, rb), (i, c, rb, ra)):
        versions = []
        for n, (way, mirror) in enumerate((('sendonly', 'recvonly'), (None, 'sendrecv'))):
            tx = x.reinvite(sdp_text(x.agent.ip, rx.port, direction=way, version=10 + n))
            m = y.expect('INVITE')
            equal(m.sdp.direction(), way or 'sendrecv', 'direction offered')
            versions.append(m.sdp.origin)
            y.reply(200, to=m, sdp=sdp_text(y.agent.ip, ry.port, direction=mirror, version=10 + n))
            ok = x.wait(200)
            y.expect('ACK')
            equal(ok.sdp.direction(), mirror, 'direction answered')
        equal(versions[0][0], versions[1][0], 'o= session id')
        equal(versions[1][1], versions[0][1] + 1, 'o= version')
        both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    tx = c.reinvite(sdp_text(c.agent.ip, ra.port, formats='9', version=20))
    m = i.expect('INVITE')
    i.reply(488, to=m)
    equal(c.wait(lambda m: m.status >= 200).status, 488, 'refusal')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    tx = c.request('BYE')
    i.answer_bye()
    tx.final()


@test()
def reinvite_moves_media(t):
    """a party that moves its media address in a re-INVITE gets its packets there"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '2601')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    new = Rtp(t, bed.a.ip)
    c.reinvite(sdp_text(bed.a.ip, new.port, version=2))
    c.wait(200)
    i.not_seen('INVITE', 0.3)
    both_ways(new, c.rsdp.dest(), rb, i.rsdp.dest())
    tx = i.request('BYE')
    c.answer_bye()
    tx.final()


@test()
def update_relayed(t):
    """UPDATE goes on as UPDATE where the other side allows it, else as re-INVITE"""
    bed = Bed(t)
    ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
    for number, allow, method in (('2602', 'INVITE, ACK, BYE, CANCEL, UPDATE', 'UPDATE'), ('2603', 'INVITE, ACK, BYE, CANCEL', 'INVITE')):
        c = bed.a.call(number, sdp=sdp_text(bed.a.ip, ra.port))
        i = bed.b.await_call(number)
        i.reply(200, sdp=sdp_text(bed.b.ip, rb.port), headers=[('Allow', allow)])
        c.wait(200)
        i.expect('ACK')
        tx = c.request('UPDATE', body=sdp_text(bed.a.ip, ra.port, direction='sendonly', version=2))
        m = i.expect(method)
        equal(m.sdp.direction(), 'sendonly', 'direction offered')
        i.reply(200, to=m, sdp=sdp_text(bed.b.ip, rb.port, direction='recvonly', version=2))
        if method == 'INVITE':
            i.expect('ACK')
        ok = tx.final()
        equal((ok.status, ok.sdp.direction()), (200, 'recvonly'), 'answer to UPDATE')
        tx = c.request('BYE')
        i.answer_bye()
        tx.final()


@test()
def reinvite_glare(t):
    """re-INVITEs that cross: one of them gets 491, the call stays"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '2604')
    c.reinvite(sdp_text(bed.a.ip, ra.port, direction='sendonly', version=2))
    m = i.expect('INVITE')
    tx = i.request('INVITE', body=sdp_text(bed.b.ip, rb.port, direction='sendonly', version=2))
    r = tx.final()
    equal(r.status, 491, 'answer to a re-INVITE while ours is pending')
    i.tx = tx
    i._ack_failure(r)
    i.reply(200, to=m, sdp=sdp_text(bed.b.ip, rb.port, direction='recvonly', version=3))
    c.wait(200)
    i.expect('ACK')
    tx = c.request('BYE')
    i.answer_bye()
    tx.final()


@test()
def mid_call_481_ends_the_call(t):
    """481 to a relayed re-INVITE: the requester gets it, then both legs end"""
    bed = Bed(t)
    c, i, ra, _ = establish(bed, bed.a, bed.b, '2605')
    c.reinvite(sdp_text(bed.a.ip, ra.port, direction='sendonly', version=2))
    m = i.expect('INVITE')
    i.reply(481, to=m)
    equal(c.wait(lambda m: m.status >= 200).status, 481, 'answer')
    c.answer_bye()
    bed.d.no_calls(8)


@test()
def stray_bye_in_foreign_dialog(t):
    """a BYE with right Call-ID and wrong tags ends nothing"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '2606')
    tag, c.local_tag = c.local_tag, 'wrong'
    equal(c.request('BYE').final().status, 481, 'BYE with a wrong tag')
    c.local_tag = tag
    i.not_seen('BYE', 0.3)
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    tx = c.request('BYE')
    i.answer_bye()
    tx.final()


# ---- TCP, TLS ----
@test()
def tcp_framing(t):
    """two messages in odd pieces with keep-alives between are two calls on one connection"""
    bed = Bed(t, a='tcp', b='tcp')
    conn = bed.a.connect()
    bed.a.out = conn
    from lib.ua import Call
    reqs = []
    calls = [Call(bed.a, n) for n in ('2700', '2701')]
    for c in calls:
        reqs.append(c.build('INVITE', body=sdp_text(bed.a.ip, 30000)))
    data = b'\r\n\r\n' + reqs[0].bytes() + b'\r\n' + reqs[1].bytes()
    cut = len(reqs[0].bytes()) + 61
    for piece in (data[:3], data[3:40], data[40:cut], data[cut:cut + 1], data[cut + 1:]):
        conn.send(piece)
        time.sleep(0.05)
    for c in calls:
        i = bed.b.await_call(c.number)
        i.reply(486)
        bed.a.take(lambda m: m.status == 486 and m.call_id == c.call_id, 3, '486')
    check(conn.open, 'the connection was closed')


@test()
def tls_peer_certificates(t):
    """towards a trunk the certificate is required: one of a foreign CA or another name gets no INVITE, the caller 503; a listener with
    verify required refuses a peer without a certificate"""
    bed = Bed(t, a='udp', b='tls', party_cert='other')
    c = bed.a.call('2710', sdp=sdp_text(bed.a.ip, 30000))
    m = c.wait(lambda m: m.status >= 200, 40)
    check(m.status in (503, 502, 500, 408), 'call to a peer with a foreign certificate: %d', m.status)
    bed.b.none(lambda m: m.method == 'INVITE', 0.2, 'an INVITE over a connection that was not verified')
    bed.d.stop()


@test()
def tls_client_certificate_required(t):
    """a listener with verify `required` takes peers with a certificate of the CA, no others"""
    bed = Bed(t, a='tls', b='udp', tls={'verify': 'required'})
    c = bed.a.call('2711', sdp=sdp_text(bed.a.ip, 30000))
    i = bed.b.await_call('2711')
    i.reply(486)
    c.wait({486})
    for cert in (None, 'other'):
        bed.a.client_tls = context(t, False, cert=cert)
        for conn in bed.a.conns:
            conn.close()
        bed.a.out = None
        try:
            bed.a.call('2712', sdp=sdp_text(bed.a.ip, 30000))
        except OSError:
            pass
        bed.b.none(lambda m: m.method == 'INVITE' and m.user == '2712', 0.7, 'a call of a peer with certificate %s' % cert)


@test()
def tls_certificate_of_the_daemon(t):
    """the daemon shows a certificate that a strict peer accepts, and TLS below 1.2 is refused"""
    import socket
    import ssl
    bed = Bed(t, a='tls', b='udp')
    ctx = context(t, False, verify=True)
    ctx.check_hostname = True
    with ctx.wrap_socket(socket.create_connection(t.at['a'], 3), server_hostname='sbc.test') as s:
        check(s.version() in ('TLSv1.2', 'TLSv1.3'), 'version %s', s.version())
    old = context(t, False)
    try:
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.set_ciphers('ALL:@SECLEVEL=0')
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    except (ValueError, ssl.SSLError):
        raise Skip('TLS 1.1 refused (this OpenSSL does not speak it)')
    try:
        old.wrap_socket(socket.create_connection(t.at['a'], 3)).close()
        check(False, 'TLS 1.1 was taken')
    except OSError:
        pass


@test()
def tls_certificate_per_listener(t):
    """two TLS listeners with certificates of their own show each its own"""
    import socket
    bed = Bed(t, start=False, a='tls', b='tls')
    from lib import certs
    c = certs.make(t)
    bed.d.files.update({'second.pem': c.read('second.pem'), 'second.key': c.read('second.key')})
    bed.doc['tls_profiles'].append({'id': 'second', 'certificate': 'second.pem', 'key': 'second.key', 'ca': 'ca.pem'})
    next(x for x in bed.doc['listeners'] if x['realm'] == 'peering')['tls'] = 'second'
    bed.d.write()
    bed.d.start()
    for side, name in (('a', 'sbc.test'), ('b', 'second.test')):
        ctx = context(t, False, verify=True)
        ctx.check_hostname = True
        with ctx.wrap_socket(socket.create_connection(t.at[side], 3), server_hostname=name) as s:
            check(s.getpeercert(), 'no certificate of %s', name)


@test()
def tls_sni_sent(t):
    """towards a trunk that is named by host the daemon sends that name (SNI) and checks the certificate against it"""
    import ssl
    bed = Bed(t, start=False, a='udp', b='tls')
    got = []
    bed.b.server_tls.sni_callback = lambda sock, name, ctx: got.append(name)
    bed.doc['trunks'][1]['target'] = 'sip:localhost:%d;transport=tls' % t.party['b'][1]
    # a host name needs DNS, which has its own issue; an address must send no SNI (RFC 6066 section 3)
    bed.doc['trunks'][1]['target'] = 'sip:%s:%d;transport=tls' % t.party['b']
    bed.d.write()
    bed.d.start()
    c = bed.a.call('2720', sdp=sdp_text(bed.a.ip, 30000))
    i = bed.b.await_call('2720')
    i.reply(486)
    c.wait({486})
    check(got and not any(got), 'SNI sent for an address: %s', got)
    check(ssl.HAS_SNI, 'no SNI here')


@test()
def own_identifiers_per_leg(t):
    """each leg has its own Call-ID, tags, Via, Contact, CSeq; hosts are as design.md section 4 says"""
    bed = Bed(t)
    c, i, _, _ = establish(bed, bed.a, bed.b, '2800', from_user='4930123', display='Ann Bee')
    m = i.inv
    check(m.call_id != c.call_id and m.tag('from') != c.local_tag and c.remote_tag != i.local_tag, 'identifiers are shared')
    equal(len(m.all('via')), 1, 'Via headers')
    check(not m.all('record-route'), 'Record-Route in the INVITE')
    ip, port = t.at['b']
    check(re.match(r'sip:[^@]*@?%s(:%d)?' % (re.escape(ip), port), m.addr('contact')), 'Contact %s', m.addr('contact'))
    equal(m.uri, 'sip:2800@%s:%d' % t.party['b'], 'Request-URI')
    check(m.addr('to').startswith('sip:2800@' + t.party['b'][0]), 'To %s', m.addr('to'))
    check(m.addr('from') in ('sip:4930123@' + ip, 'sip:4930123@%s:%d' % (ip, port)), 'From %s', m.addr('from'))
    check('Ann Bee' in m.get('from'), 'display name is lost: %s', m.get('from'))
    tx = c.request('BYE')
    i.answer_bye()
    tx.final()

# SPDX-License-Identifier: Apache-2.0
"""Dialogs that take each other's place: INVITE with Replaces on a leg of ours, call pick-up, attended transfer (RFC 3891, 3515, 5589; design.md section 4)."""
import re

from lib.base import check, equal, test, until
from lib.daemon import Bed
from lib.rtp import Rtp, both_ways
from lib.sip import sdp_text
from lib.ua import Agent

from t_b2bua import begin, hang_up
from t_call import establish


def house(t, routes=None, **kw):
    """A bed with a third party: `x`, trunk c, in the callees' realm; calls to 8... go there."""
    ip = t.ip(13)
    rows = [{'id': 'c', 'realm': 'peering', 'target': 'sip:%s:5060' % ip}]
    routes = routes or [{'id': 'x', 'order': 5, 'from': ['a', 'b'], 'match': {'to_user': '^8'}, 'to': 'c'}, {'id': 'a-b', 'order': 10, 'from': ['a'], 'to': 'b'},
                        {'id': 'b-a', 'order': 20, 'from': ['b', 'c'], 'to': 'a'}]
    bed = Bed(t, more_trunks=rows, routes=routes, **kw)
    bed.x = Agent(t, ip, t.at['b'])
    return bed


def names(call, more=''):
    """Replaces that names our end of this party's dialog."""
    return [('Replaces', '%s;to-tag=%s;from-tag=%s%s' % (call.call_id, call.remote_tag, call.local_tag, more))]


def take(bed, leg, sdp, number='1', more='', party=None):
    return (party or bed.x).call(number, sdp=sdp, headers=names(leg, more))


@test()
def replaces_takes_a_leg(t):
    """a third party takes the callee's leg, then another the caller's: 200, BYE to who was there, nothing to the other leg as it fits; audio; BYE of the newcomer ends the call"""
    bed = house(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '6000')
    rx = Rtp(t, bed.x.ip)
    n = take(bed, i, sdp_text(bed.x.ip, rx.port))
    n.wait(200)
    b = i.answer_bye()
    check('Replaced' in b.get('reason'), 'Reason of the BYE: %r', b.get('reason'))
    c.not_seen('INVITE', 0.2)
    both_ways(ra, c.rsdp.dest(), rx, n.rsdp.dest())
    legs = bed.d.calls()[0]['legs']
    equal([x['trunk'] for x in legs], ['a', 'c'], 'trunks of the legs')
    rz = Rtp(t, bed.b.ip)
    z = take(bed, c, sdp_text(bed.b.ip, rz.port), party=bed.b)
    z.wait(200)
    c.answer_bye()
    both_ways(rz, z.rsdp.dest(), rx, n.rsdp.dest())
    bed.d.restarted('engine', bed.d.kill('engine'))
    both_ways(rz, z.rsdp.dest(), rx, n.rsdp.dest())
    tx = n.request('BYE')
    z.answer_bye()
    equal(tx.final().status, 200, 'BYE')
    bed.d.no_calls()
    cdr = bed.d.cdrs('6000')
    equal((len(cdr), cdr[0]['trunk_out'], cdr[0]['call_id_b']), (1, 'c', n.call_id), 'CDR')


@test()
def replaces_through_the_other_leg(t):
    """a newcomer whose session differs: his offer goes to the other leg, her answer is his; refused there: he gets the status, and who was there goes on"""
    bed = house(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '6010')
    n = take(bed, i, sdp_text(bed.x.ip, 31500, formats='8'))
    m = c.expect('INVITE')
    equal(m.sdp.formats(), ['8'], 'formats offered to the other leg')
    bed.x.none(lambda m: m.status >= 200, 0.2, 'an answer before hers')
    c.reply(488, to=m)
    equal(n.wait({488}).status, 488, 'the newcomer')
    i.not_seen('BYE', 0.2)
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    n = take(bed, i, sdp_text(bed.x.ip, 31500, formats='8'))
    m = c.expect('INVITE')
    c.reply(200, to=m, sdp=sdp_text(bed.a.ip, ra.port, formats='8', version=2))
    c.expect('ACK')
    equal(n.wait(200).sdp.formats(), ['8'], 'the answer')
    i.answer_bye()
    hang_up(n, c)
    bed.d.no_calls()


@test()
def replaces_crossing(t):
    """while the other leg has not answered: CANCEL of the newcomer, BYE of who was there, BYE of the other leg; a 2xx that crosses is undone"""
    bed = house(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '6020')
    n = take(bed, i, sdp_text(bed.x.ip, 31500, formats='8'))
    m = c.expect('INVITE')
    equal(n.cancel().final().status, 200, 'CANCEL')
    equal(n.wait({487}).status, 487, 'the newcomer')
    c.reply(200, to=m, sdp=sdp_text(bed.a.ip, ra.port, formats='8', version=2))
    c.expect('ACK')
    m = c.expect('INVITE')
    check('0' in m.sdp.formats(), 'formats that undo it: %s', m.sdp.formats())
    c.reply(200, to=m, sdp=sdp_text(bed.a.ip, ra.port, version=3))
    c.expect('ACK')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    n = take(bed, i, sdp_text(bed.x.ip, 31500, formats='8'))
    m = c.expect('INVITE')
    equal(i.request('BYE').final().status, 200, 'BYE of who was there')
    equal(i.request('INFO').final().status, 500, 'his INFO')
    c.reply(200, to=m, sdp=sdp_text(bed.a.ip, ra.port, formats='8', version=4))
    n.wait(200)
    i.not_seen('BYE', 0.2)
    hang_up(n, c)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '6021')
    n = take(bed, i, sdp_text(bed.x.ip, 31500, formats='8'))
    m = c.expect('INVITE')
    tx = c.request('BYE')
    equal(tx.final().status, 200, 'BYE of the other leg')
    i.answer_bye()
    equal(n.wait({487}).status, 487, 'the newcomer')
    c.reply(487, to=m)
    bed.d.no_calls()


@test()
def replaces_waits_for_the_ack(t):
    """a newcomer who comes before the caller's ACK, or while a re-INVITE is open, waits; too long is 500 with Retry-After; his CANCEL is 487"""
    bed = house(t)
    c = bed.a.call('6025', sdp=sdp_text(bed.a.ip, 30000))
    i = bed.b.await_call('6025')
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
    c.wait(200, ack=False)
    i.expect('ACK')
    n = take(bed, i, sdp_text(bed.x.ip, 31500))
    equal(n.wait(100).status, 100, 'the newcomer')
    bed.x.none(lambda m: m.status > 100, 0.2, 'an answer before the ACK')
    c.ack()
    n.wait(200)
    i.answer_bye()
    tx = c.reinvite(sdp_text(bed.a.ip, 30000, direction='sendonly', version=2))
    m = n.expect('INVITE')
    late = take(bed, n, sdp_text(bed.b.ip, 31700), party=bed.b)
    late.wait(100)
    equal(late.cancel().final().status, 200, 'CANCEL')
    equal(late.wait({487}).status, 487, 'the one who waits no more')
    late = take(bed, n, sdp_text(bed.b.ip, 31700), party=bed.b)
    r = late.wait({500}, 6)
    check(r.get('retry-after').isdigit(), 'Retry-After: %r', r.get('retry-after'))
    n.reply(200, to=m, sdp=sdp_text(bed.x.ip, 31500, direction='recvonly', version=2))
    c.wait(200)
    hang_up(c, n)
    bed.d.no_calls()


@test()
def replaces_offerless(t):
    """a newcomer without SDP: our 200 offers what the other leg has, his answer in ACK"""
    bed = house(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '6030')
    rx = Rtp(t, bed.x.ip)
    n = take(bed, i, None)
    ok = n.wait(200, ack=False)
    check('0' in ok.sdp.formats(), 'offer in the 200: %s', ok.sdp.formats())
    n.ack(body=sdp_text(bed.x.ip, rx.port, formats='0 101'))
    i.answer_bye()
    m = c.expect('INVITE')      # the newcomer takes less than the other leg has
    equal(m.sdp.formats(), ['0', '101'], 'what the other leg is shown')
    c.reply(200, to=m, sdp=sdp_text(bed.a.ip, ra.port, formats='0 101', version=2))
    c.expect('ACK')
    both_ways(ra, c.rsdp.dest(), rx, n.rsdp.dest())
    hang_up(n, c)
    bed.d.no_calls()


@test()
def replaces_refused(t):
    """nobody's dialog 481; early-only of an answered one 486; the caller's while it rings 481; an ended one 603; two of them, or Join beside it, 400; nothing changes"""
    bed = house(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '6040')
    sdp = sdp_text(bed.x.ip, 31500)
    for headers, status in (([('Replaces', 'nobody;to-tag=1;from-tag=2')], 481), (names(i, ';early-only'), 486), (names(i) + names(c), 400),
                            (names(i) + [('Join', 'x;to-tag=1;from-tag=2')], 400), ([('Replaces', 'x')], 400),
                            ([('Replaces', '%s;to-tag=%s;from-tag=%s' % (i.call_id, i.remote_tag, 'another'))], 481)):
        n = bed.x.call('1', sdp=sdp, headers=headers)
        equal(n.wait(lambda m: m.status >= 200).status, status, '%s' % headers)
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    c2, i2 = begin(bed, '6041')
    i2.reply(180)
    c2.wait(180)
    equal(take(bed, c2, sdp).wait(lambda m: m.status >= 200).status, 481, 'an early dialog that its peer began')
    i2.reply(486)
    c2.wait({486})
    tx = c.request('BYE')
    b = i.expect('BYE')
    equal(take(bed, i, sdp).wait(lambda m: m.status >= 200).status, 603, 'a dialog that is ended')
    i.reply(200, to=b)
    tx.final()
    bed.d.no_calls()


@test()
def replaces_picks_up(t):
    """a ringing leg is picked up: CANCEL with its Reason there, 200 to both, audio; after early media too, which then moves; a newcomer who cannot be agreed with changes nothing"""
    bed = house(t)
    for n, early in ((6050, False), (6051, True)):
        ra, rb, rx = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip), Rtp(t, bed.x.ip)
        c = bed.a.call(str(n), sdp=sdp_text(bed.a.ip, ra.port))
        i = bed.b.await_call(str(n))
        if early:
            i.reply(183, sdp=sdp_text(bed.b.ip, rb.port, formats='0'))
            c.wait(183)
        else:
            i.reply(180)
            c.wait(180)
        x = take(bed, i, sdp_text(bed.x.ip, 31500, formats='9'), more=';early-only')
        equal(x.wait(lambda m: m.status >= 200).status, 488, 'a newcomer with another codec')
        i.not_seen('CANCEL', 0.2)
        x = take(bed, i, sdp_text(bed.x.ip, rx.port), more=';early-only')
        x.wait(200)
        k = i.expect('CANCEL')
        check('elsewhere' in k.get('reason'), 'Reason of the CANCEL: %r', k.get('reason'))
        i.reply(200, to=k)
        i.reply(487)
        i.expect('ACK')
        c.wait(200)
        if early:
            got = bed.a.peek(lambda m: m.method == 'INVITE' and m.call_id == c.call_id)
            check(not got, 'the caller had to hear of it: %s', got)
        both_ways(ra, c.rsdp.dest(), rx, x.rsdp.dest())
        hang_up(x, c)
    bed.d.no_calls()
    equal([bed.d.cdrs(str(n))[0]['status'] for n in (6050, 6051)], [200, 200], 'CDRs')


def refer(a1, a2, b, target):
    """The transferor of two calls sends REFER in the first; what the other party of it is told."""
    rep = names(a2)[0][1]
    for s, e in (('@', '%40'), (';', '%3B'), ('=', '%3D')):
        rep = rep.replace(s, e)
    tx = a1.request('REFER', headers=[('Refer-To', '<sip:%s@%s:%d?Replaces=%s>' % (target, *a1.agent.peer, rep)), ('Referred-By', '<sip:ann@%s>' % a1.agent.ip)])
    m = b.expect('REFER')
    b.reply(202, to=m)
    equal(tx.final().status, 202, 'REFER')
    uri = m.addr('refer-to')
    told = re.search(r'[?&]Replaces=([^&>]*)', uri).group(1)
    for e, s in (('%40', '@'), ('%3B', ';'), ('%3D', '=')):
        told = told.replace(e, s)
    return re.match(r'sip:([^@]*)@', uri).group(1), told


def sipfrag(b, a1, text, state):
    tx = b.request('NOTIFY', headers=[('Event', 'refer'), ('Subscription-State', state)], body=text, ctype='message/sipfrag;version=2.0')
    m = a1.expect('NOTIFY')
    check(m.body.decode().startswith(text.split('\r\n')[0]), 'sipfrag: %s', m.body)
    a1.reply(200, to=m)
    equal(tx.final().status, 200, 'NOTIFY')


@test()
def attended_transfer(t):
    """both calls through Postern: the target gets an INVITE whose Replaces names its own dialog, ends it, and NOTIFY comes back; nobody is left over"""
    bed = house(t)
    a1, b, ra, rb = establish(bed, bed.a, bed.b, '6060')
    a2, x, rc, rx = establish(bed, bed.a, bed.x, '8060')
    user, told = refer(a1, a2, b, '8060')
    equal(told, '%s;to-tag=%s;from-tag=%s' % (x.call_id, x.local_tag, x.remote_tag), 'Replaces that the transferee is told')
    sipfrag(b, a1, 'SIP/2.0 100 Trying\r\n', 'active;expires=60')
    n = bed.b.call(user, sdp=sdp_text(bed.b.ip, rb.port), headers=[('Replaces', told), ('Referred-By', '<sip:ann@%s>' % bed.b.ip)])
    i = bed.x.await_call('8060')
    equal(i.inv.get('replaces'), told, 'Replaces at the target')
    i.reply(200, sdp=sdp_text(bed.x.ip, rx.port))
    n.wait(200)
    i.expect('ACK')
    tx = x.request('BYE')
    a2.answer_bye()
    equal(tx.final().status, 200, 'BYE of the dialog that was replaced')
    sipfrag(b, a1, 'SIP/2.0 200 OK\r\n', 'terminated;reason=noresource')
    hang_up(a1, b)
    both_ways(rb, n.rsdp.dest(), rx, i.rsdp.dest())
    hang_up(n, i)
    bed.d.no_calls()


def taken_here(bed, number, supported):
    t = bed.t
    a1, b, ra, rb = establish(bed, bed.a, bed.b, '6070')
    rc, rx = Rtp(t, bed.a.ip), Rtp(t, bed.x.ip)
    a2 = bed.a.call(number, sdp=sdp_text(bed.a.ip, rc.port))
    x = bed.x.await_call(number)
    x.reply(200, sdp=sdp_text(bed.x.ip, rx.port), headers=supported)
    a2.wait(200)
    x.expect('ACK')
    user, told = refer(a1, a2, b, number)
    n = bed.b.call(user, sdp=sdp_text(bed.b.ip, rb.port), headers=[('Replaces', told)])
    n.wait(200)
    a2.answer_bye()
    x.not_seen('INVITE', 0.2)
    hang_up(a1, b)
    both_ways(rb, n.rsdp.dest(), rx, x.rsdp.dest())
    hang_up(n, x)
    bed.d.no_calls()


@test()
def attended_transfer_to_a_simple_phone(t):
    """a target whose Supported lacks `replaces` keeps its dialog: its leg is taken here"""
    taken_here(house(t), '8070', [('Supported', 'timer')])


@test()
def attended_transfer_without_route(t):
    """the transferee's INVITE has no route to the target: it is taken here too"""
    taken_here(house(t, routes=[{'id': 'x', 'order': 5, 'from': ['a'], 'match': {'to_user': '^6071'}, 'to': 'c'}, {'id': 'a-b', 'order': 10, 'from': ['a'], 'to': 'b'},
                                {'id': 'b-a', 'order': 20, 'from': ['b', 'c'], 'to': 'a'}]), '6071', [])

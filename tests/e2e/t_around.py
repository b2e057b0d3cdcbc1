# SPDX-License-Identifier: Apache-2.0
"""`anchor: false` on both legs: media flows around Postern, addresses and keys pass, no port is taken; on one leg alone it changes nothing."""
import re

from lib.base import Fail, check, equal, test
from lib.daemon import Bed
from lib.rtp import Rtp, both_ways
from lib.sip import sdp_text

AROUND = {'id': 'around', 'transport': 'rtp', 'anchor': False}
CRYPTO = 'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj'
HOP = ['a=rtcp:40001', 'a=rtcp-mux', 'a=candidate:1 1 UDP 2130706431 127.0.0.9 40000 typ host', 'a=ice-ufrag:abcd', CRYPTO]


def bed_with(t, a=True, b=True, **kw):
    bed = Bed(t, start=False, trunk_a={'media': 'around'} if a else {}, trunk_b={'media': 'around'} if b else {}, **kw)
    bed.doc['media_profiles'] = [AROUND]
    bed.d.write()
    return bed.d.start() and bed


def establish(bed, number, ra, rb, extra=()):
    c = bed.a.call(number, sdp=sdp_text(bed.a.ip, ra.port, extra=extra))
    i = bed.b.await_call(number)
    i.reply(200, sdp=sdp_text(bed.b.ip, rb.port, extra=extra))
    c.wait(200)
    i.expect('ACK')
    return c, i


def moved(first, second, text, answer):
    """A re-INVITE of one side that the other one sees, and answers."""
    first.reinvite(text)
    m = second.expect('INVITE')
    second.reply(200, to=m, sdp=answer)
    r = first.wait(200)
    second.expect('ACK')
    return m.sdp, r.sdp


def hang_up(c, i):
    tx = c.request('BYE')
    i.answer_bye()
    equal(tx.final().status, 200, 'BYE')


@test()
def around_addresses_pass(t):
    """both addresses, a=rtcp, a=rtcp-mux, candidates and keys pass; o= stays ours; the parties hear each other directly; more calls than there are ports"""
    bed = bed_with(t, ports=2)
    held = []
    for n in range(6):
        ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
        c, i = establish(bed, '85%02d' % n, ra, rb, HOP)
        equal((i.rsdp.dest(), c.rsdp.dest()), ((bed.a.ip, ra.port), (bed.b.ip, rb.port)), 'addresses')
        for sdp in (i.rsdp, c.rsdp):
            check(set(HOP) <= set(x for x in sdp.text.split('\r\n')), 'lines that are missing: %s', sdp.text)
            check(bed.a.ip not in sdp.line('o', 99) and bed.b.ip not in sdp.line('o', 99), 'o= names the other side: %s', sdp.text)
        held.append((c, i, ra, rb))
    ra.send(c.rsdp.dest(), 5)
    rb.send(i.rsdp.dest(), 5)
    equal((ra.wait(5), rb.wait(5)), (5, 5), 'packets')
    equal({p.source[0] for p in rb.rx}, {bed.a.ip}, 'where they come from')
    call = bed.d.calls()[0]
    shown = bed.d.get('/calls/%s' % call['id'])
    check(CRYPTO[-40:] not in shown.text and CRYPTO[-40:] not in bed.d.log(), 'a key can be read')
    equal([len(leg['media']) for leg in shown.json['legs']], [1, 1], 'streams in the list')
    for c, i, _, _ in held:
        hang_up(c, i)
    equal(bed.d.cdrs('8500')[0]['quality'], [], 'quality of what did not pass')


@test(seconds=30)
def around_moves_are_shown(t):
    """a moved address or a new key is shown to the other side whatever the profile consumes, a refresh is answered here with its address, also after an engine's death"""
    bed = bed_with(t)
    ra, rb, rc = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip), Rtp(t, bed.a.ip)
    c, i = establish(bed, '8601', ra, rb)
    answer = sdp_text(bed.b.ip, rb.port)
    offer, got = moved(c, i, sdp_text(bed.a.ip, rc.port, version=2), answer)
    equal((offer.dest(), got.dest()), ((bed.a.ip, rc.port), (bed.b.ip, rb.port)), 'addresses after the move')
    old = bed.d.kill('engine')
    bed.d.restarted('engine', old)
    for who, leg, other, text, dest in (('caller', c, i, sdp_text(bed.a.ip, rc.port, version=2), (bed.b.ip, rb.port)), ('callee', i, c, answer, (bed.a.ip, rc.port))):
        leg.reinvite(text)
        equal(leg.wait(200).sdp.dest(), dest, 'address in the answer to the %s\'s refresh' % who)
        other.not_seen('INVITE', 0.2)
    offer, got = moved(c, i, sdp_text(bed.a.ip, rc.port, version=3, extra=[CRYPTO]), answer)
    check(CRYPTO in offer.text, 'the key was not shown: %s', offer.text)
    offer, got = moved(i, c, sdp_text(bed.b.ip, rb.port + 2, version=2), sdp_text(bed.a.ip, rc.port, version=3, extra=[CRYPTO]))
    equal((offer.dest(), got.dest()), ((bed.b.ip, rb.port + 2), (bed.a.ip, rc.port)), 'addresses after the callee moved')
    hang_up(c, i)


@test()
def around_needs_both_legs(t):
    """one leg that says anchor: false is anchored"""
    for a, b in ((True, False), (False, True)):
        bed = bed_with(t, a, b)
        ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
        c, i = establish(bed, '8701', ra, rb)
        equal((i.rsdp.host(), c.rsdp.host()), (t.ip(2), t.ip(1)), 'addresses')
        both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest(), 5)
        hang_up(c, i)
        bed.d.stop()
        for x in (bed.a, bed.b):
            x.close()

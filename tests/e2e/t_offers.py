# SPDX-License-Identifier: Apache-2.0
"""Offer and answer in every shape, legs that differ in theirs (RFC 3264, 3262, 3311, 6337; design.md sections 4 and 10)."""
from lib.base import check, equal, test
from lib.daemon import Bed
from lib.rtp import Rtp, both_ways
from lib.sip import sdp_text

from t_b2bua import begin, hang_up, prack, reliable

FORCE = {'early_offer': 'force'}


def parties(t, bed):
    return Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)


def prack_answer(c, r, sdp):
    return c.request('PRACK', headers=[('RAck', '%s %s' % (r.get('rseq'), r.get('cseq')))], body=sdp)


@test()
def early_offer_forced(t):
    """`early_offer: force`: the callee gets an offer of ours, its ACK at once; the caller is offered what it took, and answers in ACK; audio; an INVITE with SDP is as it was"""
    bed = Bed(t, trunk_b=FORCE)
    ra, rb = parties(t, bed)
    c, i = begin(bed, '6000', sdp=False)
    check(i.inv.sdp and i.inv.sdp.dest()[0] == t.at['b'][0], 'no offer of ours: %s', i.inv.body)
    check({'0', '8', '101'} <= set(i.inv.sdp.formats()), 'formats of it: %s', i.inv.sdp.formats())
    i.reply(180)
    c.wait(180)
    i.reply(200, sdp=sdp_text(bed.b.ip, rb.port, formats='0 101'))
    equal(i.expect('ACK').sdp, None, 'SDP in the ACK of the callee')
    ok = c.wait(200, ack=False)
    equal(ok.sdp.formats(), ['0', '101'], 'what the caller is offered')
    c.ack(body=sdp_text(bed.a.ip, ra.port, formats='0 101'))
    both_ways(ra, ok.sdp.dest(), rb, i.rsdp.dest())
    i.not_seen('INVITE', 0.2)
    hang_up(c, i)
    c, i = begin(bed, '6001')
    equal(i.inv.sdp.formats(), ['0', '8', '101'], 'a caller that offers by itself')
    i.reply(486)
    c.wait({486})
    bed.d.no_calls()


@test()
def early_offer_agreed_afterwards(t):
    """what the caller takes of it differs: a re-INVITE shows it to the callee; a caller who takes nothing ends the call; one whose callee says nothing gets its failure"""
    bed = Bed(t, trunk_b=FORCE)
    ra, rb = parties(t, bed)
    c, i = begin(bed, '6010', sdp=False)
    i.reply(200, sdp=sdp_text(bed.b.ip, rb.port, formats='8 0 101'))
    i.expect('ACK')
    ok = c.wait(200, ack=False)
    equal(ok.sdp.formats(), ['8', '0', '101'], 'what the caller is offered')
    c.ack(body=sdp_text(bed.a.ip, ra.port, formats='0 101'))
    m = i.expect('INVITE')
    equal(m.sdp.formats(), ['0', '101'], 'what the callee is shown')
    check(m.sdp.origin[1] == i.inv.sdp.origin[1] + 1, 'o= version %s after %s', m.sdp.origin, i.inv.sdp.origin)
    i.reply(200, to=m, sdp=sdp_text(bed.b.ip, rb.port, formats='0 101', version=2))
    i.expect('ACK')
    both_ways(ra, ok.sdp.dest(), rb, i.rsdp.dest())
    hang_up(c, i)
    for body in (b'', sdp_text(bed.a.ip, 0)):
        c, i = begin(bed, '6011', sdp=False)
        i.reply(200, sdp=sdp_text(bed.b.ip, rb.port))
        i.expect('ACK')
        c.wait(200, ack=False)
        c.ack(body=body)
        i.answer_bye()
        c.answer_bye()
    c, i = begin(bed, '6012', sdp=False)
    i.reply(200)
    i.expect('ACK')
    i.answer_bye()
    equal(c.wait({488}).status, 488, 'a 200 without answer')
    bed.d.no_calls()


@test()
def early_offer_in_reliable_response(t):
    """a caller with 100rel is offered the callee's answer in the reliable 183 and answers in PRACK: early media, no SDP in the 200; also where the 200 comes before that PRACK"""
    bed = Bed(t, trunk_b=FORCE)
    for number, early in (('6020', True), ('6021', False)):
        ra, rb = parties(t, bed)
        c, i = begin(bed, number, [('Supported', '100rel')], sdp=False)
        i.reply(183, sdp=sdp_text(bed.b.ip, rb.port), headers=reliable(5))
        p = i.expect('PRACK')
        equal(p.sdp, None, 'SDP in the PRACK of the callee')
        i.reply(200, to=p)
        r = c.wait(183)
        check(r.sdp and r.get('rseq'), 'the caller was not offered anything')
        if not early:
            i.reply(200)
            i.expect('ACK')
            bed.a.none(lambda m: m.status == 200 and m.call_id == c.call_id, 0.2, '200 before PRACK')
        equal(prack_answer(c, r, sdp_text(bed.a.ip, ra.port)).final().status, 200, 'PRACK')
        if early:
            both_ways(ra, r.sdp.dest(), rb, i.rsdp.dest())
            i.reply(200)
            i.expect('ACK')
        equal(c.wait(200).sdp, None, 'SDP in the 200')
        both_ways(ra, r.sdp.dest(), rb, i.rsdp.dest())
        hang_up(c, i)
    bed.d.no_calls()


@test()
def offerless_without_100rel(t):
    """an offerless caller without 100rel, a callee that requires it and offers in its 183: the answer in PRACK is ours, the caller is asked in the 200; 18x reach him without SDP"""
    bed = Bed(t)
    ra, rb = parties(t, bed)
    c, i = begin(bed, '6030', sdp=False)
    check('100rel' in i.inv.tokens('supported'), 'Supported: %s', i.inv.get('supported'))
    i.reply(183, sdp=sdp_text(bed.b.ip, rb.port), headers=reliable(9))
    p = i.expect('PRACK')
    equal(p.sdp.formats(), ['0', '8', '101'], 'the answer in PRACK')
    i.reply(200, to=p)
    r = c.wait(183)
    check(not r.sdp and not r.get('rseq'), 'the 183 of the caller: %s', r.headers)
    i.reply(200)
    equal(i.expect('ACK').sdp, None, 'SDP in the ACK')
    ok = c.wait(200, ack=False)
    check(ok.sdp, 'no offer in the 200')
    c.ack(body=sdp_text(bed.a.ip, ra.port))
    both_ways(ra, ok.sdp.dest(), rb, p.sdp.dest())
    i.not_seen('INVITE', 0.2)
    hang_up(c, i)
    bed.d.no_calls()


@test()
def prack_with_new_offer(t):
    """a caller who has his answer offers anew in PRACK: carried as UPDATE where the callee allows it, its answer in the 200 to PRACK; else answered here where that can be, else 488"""
    bed = Bed(t)
    for number, allow in (('6040', 'INVITE, ACK, BYE, CANCEL, PRACK, UPDATE'), ('6041', 'INVITE, ACK, BYE, CANCEL, PRACK')):
        c, i = begin(bed, number, [('Supported', '100rel')])
        i.reply(183, sdp=sdp_text(bed.b.ip, 31000), headers=reliable(9) + [('Allow', allow)])
        i.reply(200, to=i.expect('PRACK'))
        r = c.wait(183)
        tx = prack_answer(c, r, sdp_text(bed.a.ip, 30000, direction='sendonly', version=2))
        if 'UPDATE' in allow:
            m = i.expect('UPDATE')
            equal(m.sdp.direction(), 'sendonly', 'the offer at the callee')
            i.reply(200, to=m, sdp=sdp_text(bed.b.ip, 31000, direction='recvonly', version=2))
        ok = tx.final()
        equal((ok.status, ok.sdp and ok.sdp.direction()), (200, 'recvonly'), 'PRACK')
        if 'UPDATE' not in allow:
            i.not_seen('UPDATE', 0.2)
            i.reply(180, headers=reliable(10))
            i.reply(200, to=i.expect('PRACK'))
            r = c.wait(180)
            equal(prack_answer(c, r, sdp_text(bed.a.ip, 30000, formats='9', version=3)).final().status, 488, 'what cannot be answered here')
        i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
        c.wait(200)
        i.expect('ACK')
        hang_up(c, i)
    bed.d.no_calls()

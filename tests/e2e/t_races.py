# SPDX-License-Identifier: Apache-2.0
"""CANCEL, BYE, ACK and requests that cross on their way: every race of issue 4 by its name (RFC 3261 9, 13, 14, 15; RFC 3262; RFC 3311)."""
from lib.base import check, equal, test
from lib.daemon import Bed
from lib.rtp import Rtp, both_ways
from lib.sip import sdp_text

from t_b2bua import begin, hang_up, prack, reliable
from t_call import establish


@test()
def race_open_requests_capped(t):
    """16 requests of a call may be open: the next is 500 with Retry-After and reaches nobody; one that is answered makes room"""
    bed = Bed(t)
    c, i, _, _ = establish(bed, bed.a, bed.b, '6200')
    open_ones = [c.request('INFO', body='x', ctype='text/plain') for _ in range(16)]
    got = [i.expect('INFO') for _ in open_ones]
    r = c.request('INFO', body='y', ctype='text/plain').final()
    equal(r.status, 500, 'one more')
    check(r.get('retry-after').isdigit(), 'Retry-After: %r', r.get('retry-after'))
    i.not_seen('INFO', 0.2)
    i.reply(200, to=got[0])
    equal(open_ones[0].final().status, 200, 'the first')
    tx = c.request('INFO', body='z', ctype='text/plain')
    i.reply(200, to=i.expect('INFO'))
    equal(tx.final().status, 200, 'after room was made')
    check('postern_call_requests_cut_total 1' in bed.d.get('/metrics').text, 'the counter')
    for m in got[1:]:
        i.reply(200, to=m)
    hang_up(c, i)


@test()
def race_bye_during_reinvite(t):
    """BYE of the requester, and BYE of the other side, while a re-INVITE is open: the re-INVITE gets a final failure, both sides end, nothing is left"""
    bed = Bed(t)
    for number, by in (('6210', 'requester'), ('6211', 'other')):
        c, i, _, _ = establish(bed, bed.a, bed.b, number)
        tx = c.reinvite(sdp_text(bed.a.ip, 30000, direction='sendonly', version=2))
        m = i.expect('INVITE')
        x, y = (c, i) if by == 'requester' else (i, c)
        bye = x.request('BYE')
        y.answer_bye()
        equal(bye.final().status, 200, 'BYE of the ' + by)
        check(tx.final().status >= 300, 'the re-INVITE')
        i.reply(487, to=m)
        i.expect('ACK')
        bed.d.no_calls()
    equal([len(bed.d.cdrs(n)) for n in ('6210', '6211')], [1, 1], 'CDRs')


@test()
def race_bye_during_prack(t):
    """BYE of the caller in the early dialog while his PRACK is due, and of the callee while hers is open: the INVITE ends, nobody is left ringing"""
    bed = Bed(t)
    c, i = begin(bed, '6220', [('Supported', '100rel')])
    i.reply(183, sdp=sdp_text(bed.b.ip, 31000), headers=reliable(7))
    p = i.expect('PRACK')
    c.wait(183)
    bye = c.request('BYE')
    equal(bye.final().status, 200, 'BYE of the caller')
    k = i.expect('CANCEL')
    i.reply(200, to=k)
    i.reply(200, to=p)
    i.reply(487)
    i.expect('ACK')
    equal(c.wait({487}).status, 487, 'the INVITE')
    c, i = begin(bed, '6221', [('Supported', '100rel')])
    i.reply(183, sdp=sdp_text(bed.b.ip, 31000), headers=reliable(7))
    p = i.expect('PRACK')
    r = c.wait(183)
    i.remote_cseq = None
    bye = i.request('BYE')
    equal(bye.final().status, 200, 'BYE of the callee')
    check(c.wait(lambda m: m.status >= 300).status >= 400, 'the INVITE')
    equal(prack(c, r).final().status, 481, 'PRACK after the end')
    i.reply(200, to=p)
    k = i.expect('CANCEL')
    i.reply(200, to=k)
    i.reply(487)
    bed.d.no_calls()


@test()
def race_cancel_crosses_reliable(t):
    """CANCEL of the caller while the callee's reliable 183 is on its way: PRACK or not, CANCEL and ACK reach the callee, the caller gets 487 and no 183 after it"""
    bed = Bed(t)
    for n in range(4):
        c, i = begin(bed, '623%d' % n, [('Supported', '100rel')])
        i.reply(180)
        c.wait(180)
        if n % 2:
            i.reply(183, sdp=sdp_text(bed.b.ip, 31000), headers=reliable(7))
            tx = c.cancel()
        else:
            tx = c.cancel()
            i.reply(183, sdp=sdp_text(bed.b.ip, 31000), headers=reliable(7))
        equal(tx.final().status, 200, 'CANCEL')
        k = i.expect('CANCEL')
        for p in bed.b.peek(lambda m: m.method == 'PRACK' and m.call_id == i.call_id):
            i.reply(200, to=p)
        i.reply(200, to=k)
        i.reply(487)
        i.expect('ACK')
        equal(c.wait({487}).status, 487, 'the INVITE')
    bed.a.none(lambda m: m.status == 183 and 'INVITE' not in m.get('cseq'), 0.1, 'a 183 after the end')
    bed.d.no_calls()


@test()
def race_reinvite_before_ack(t):
    """a re-INVITE of the callee before the caller's ACK waits for it; one of the caller before his own ACK is 491 or 500"""
    bed = Bed(t)
    c, i = begin(bed, '6240')
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
    c.wait(200, ack=False)
    i.expect('ACK')
    late = i.reinvite(sdp_text(bed.b.ip, 31000, direction='sendonly', version=2))
    c.not_seen('INVITE', 0.2)
    tx = c.request('INVITE', body=sdp_text(bed.a.ip, 30000, direction='sendonly', version=2))
    r = tx.final()
    check(r.status in (491, 500), 're-INVITE of the caller: %d', r.status)
    c.tx = tx
    c._ack_failure(r)
    c.ack()
    m = c.expect('INVITE')
    c.reply(200, to=m, sdp=sdp_text(bed.a.ip, 30000, direction='recvonly', version=2))
    r = late.final()
    equal(r.status, 200, 'after the ACK')
    i.ack(r)
    c.expect('ACK')
    hang_up(c, i)


@test()
def race_merged_requests(t):
    """the same INVITE by another way (same Call-ID, From tag and CSeq, another branch) is 482, and the first goes on"""
    bed = Bed(t)
    c, i = begin(bed, '6250')
    again = c.build('INVITE', cseq=c.inv_req.cseq[0], body=c.inv_req.body)
    bed.a.transmit(again.bytes())
    r = bed.a.take(lambda m: m.status >= 200 and m.branch == again.branch, 2, 'final answer to the merged request')
    equal(r.status, 482, 'the merged request')
    bed.b.none(lambda m: m.method == 'INVITE', 0.2, 'a second INVITE')
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
    c.wait(200)
    i.expect('ACK')
    hang_up(c, i)


@test()
def race_bye_before_ack(t):
    """the callee hangs up before the caller's ACK: his BYE is passed on after it (RFC 3261 15), or at once where it never comes; BYE of the caller before his ACK ends both"""
    bed = Bed(t)
    c, i = begin(bed, '6260')
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
    ok = c.wait(200, ack=False)
    i.expect('ACK')
    equal(i.request('BYE').final().status, 200, 'BYE of the callee')
    c.ack(ok)
    c.answer_bye()
    bed.d.no_calls()
    c, i = begin(bed, '6261')
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
    c.wait(200, ack=False)
    i.expect('ACK')
    tx = c.request('BYE')
    i.answer_bye()
    equal(tx.final().status, 200, 'BYE of the caller')
    n = bed.a.repeats(c.established)
    bed.a.none(lambda m: False, 1.2, '')
    check(bed.a.repeats(c.established) <= n + 1, 'the 200 is repeated to a caller who hung up')
    bed.d.no_calls()

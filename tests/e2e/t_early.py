# SPDX-License-Identifier: Apache-2.0
"""Before the answer: ringing of every kind, early media, forking below us, preconditions (RFC 3261 13.2, RFC 3312, RFC 3960; design.md section 10)."""
from lib.base import check, equal, test, until
from lib.daemon import Bed
from lib.rtp import Rtp, both_ways
from lib.sip import sdp_text

from t_b2bua import begin, hang_up, reliable


@test()
def early_kinds_of_ringing(t):
    """181, 182, 183 without SDP, 199, 180, one without To tag, several of a kind: each reaches the caller once and in order, under one tag, with its headers"""
    bed = Bed(t)
    c, i = begin(bed, '6500')
    kinds = ((181, []), (182, [('X-Queue', '3')]), (182, [('X-Queue', '2')]), (183, []), (180, []), (199, [('Reason', 'SIP;cause=486')]), (180, [('Alert-Info', '<urn:alert:tone:x>')]))
    for status, headers in kinds:
        i.reply(status, headers=headers)
        m = c.wait(status)
        check(not m.sdp, '%d has SDP', status)
        for name, value in headers:
            equal(m.get(name).replace(' ', ''), value.replace(' ', ''), name)
    bed.a.none(lambda m: m.status > 100, 0.2, 'one more')
    tags = {x[2].split('To:')[1].split('\r\n')[0] for x in bed.a.trace if x[1] == '<-' and x[2].startswith('SIP/2.0 1') and not x[2].startswith('SIP/2.0 100')}
    equal(len(tags), 1, 'tags that the caller saw')
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
    c.wait(200)
    i.expect('ACK')
    hang_up(c, i)


@test()
def early_media_of_forks(t):
    """two branches with early media: the last one's flows, the winner's after the 200; a late 183 of the loser takes nothing, its late 200 gets ACK and BYE"""
    bed = Bed(t)
    ra, r1, r2 = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip), Rtp(t, bed.b.ip)
    c = bed.a.call('6510', sdp=sdp_text(bed.a.ip, ra.port))
    i = bed.b.await_call('6510')
    i.reply(183, sdp=sdp_text(bed.b.ip, r1.port), tag='one')
    e1 = c.wait(183)
    both_ways(ra, e1.sdp.dest(), r1, i.rsdp.dest())
    i.reply(183, sdp=sdp_text(bed.b.ip, r2.port), tag='two')
    # one stable dialog: the caller sees the same description again, and hears another branch
    until(lambda: len([x for x in bed.a.trace if x[1] == '<-' and x[2].startswith('SIP/2.0 183')]) == 2, 2, 'the second 183')
    both_ways(ra, e1.sdp.dest(), r2, i.rsdp.dest())
    i.reply(180, tag='one')
    c.wait(180)
    both_ways(ra, e1.sdp.dest(), r2, i.rsdp.dest())
    i.reply(200, sdp=sdp_text(bed.b.ip, r2.port), tag='two')
    c.wait(200)
    equal(i.expect('ACK').tag('to'), 'two', 'dialog of the ACK')
    i.reply(183, 'late', sdp=sdp_text(bed.b.ip, r1.port, version=2), tag='one')
    bed.a.none(lambda m: m.status == 183, 0.2, 'a late 183')
    both_ways(ra, c.rsdp.dest(), r2, i.rsdp.dest())
    i.reply(200, sdp=sdp_text(bed.b.ip, r1.port), tag='one')
    equal(i.expect('ACK').tag('to'), 'one', 'dialog of the second ACK')
    b = i.expect('BYE')
    equal(b.tag('to'), 'one', 'dialog of the BYE')
    i.reply(200, to=b)
    both_ways(ra, c.rsdp.dest(), r2, i.rsdp.dest())
    i.local_tag = 'two'
    hang_up(c, i)
    bed.d.no_calls()


def qos(local, remote, more=()):
    return ['a=curr:qos local %s' % local, 'a=curr:qos remote %s' % remote, 'a=des:qos mandatory local sendrecv', 'a=des:qos mandatory remote sendrecv', *more]


def conditions(sdp):
    return [x for x in sdp.attrs() if x.split(':')[0] in ('curr', 'des', 'conf')]


@test()
def early_preconditions(t):
    """preconditions pass in INVITE, reliable 183, UPDATE and its answer, both ways and unbroken; ringing and answer follow"""
    bed = Bed(t)
    allow = [('Allow', 'INVITE, ACK, BYE, CANCEL, PRACK, UPDATE'), ('Supported', '100rel, precondition')]
    offer = qos('none', 'none')
    c = bed.a.call('6520', sdp=sdp_text(bed.a.ip, 30000, extra=offer), headers=allow)
    i = bed.b.await_call('6520')
    equal(conditions(i.inv.sdp), [x[2:] for x in offer], 'in the INVITE')
    answer = qos('none', 'none', ['a=conf:qos remote sendrecv'])
    i.reply(183, sdp=sdp_text(bed.b.ip, 31000, extra=answer), headers=reliable(3) + allow[:1])
    i.reply(200, to=i.expect('PRACK'))
    r = c.wait(183)
    equal(conditions(r.sdp), [x[2:] for x in answer], 'in the 183')
    tx = c.request('PRACK', headers=[('RAck', '%s %s' % (r.get('rseq'), r.get('cseq')))])
    equal(tx.final().status, 200, 'PRACK')
    met = qos('sendrecv', 'none')
    tx = c.request('UPDATE', headers=allow, body=sdp_text(bed.a.ip, 30000, version=2, extra=met))
    m = i.expect('UPDATE')
    equal(conditions(m.sdp), [x[2:] for x in met], 'in the UPDATE')
    both = qos('sendrecv', 'sendrecv')
    i.reply(200, to=m, sdp=sdp_text(bed.b.ip, 31000, version=2, extra=both))
    ok = tx.final()
    equal((ok.status, conditions(ok.sdp)), (200, [x[2:] for x in both]), 'the answer to UPDATE')
    i.reply(180)
    c.wait(180)
    i.reply(200)
    c.wait(200)
    i.expect('ACK')
    hang_up(c, i)
    bed.d.no_calls()

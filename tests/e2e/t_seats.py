# SPDX-License-Identifier: Apache-2.0
"""What comes while something else is open: requests and digits around a newcomer whose seat is not taken yet, and around a target that fails (RFC 3891, 3311; design.md section 8)."""
from lib.base import check, equal, test, until
from lib.daemon import Bed
from lib.rtp import Rtp, both_ways
from lib.sip import sdp_text
from lib.ua import Agent

from t_b2bua import begin, hang_up, prack, reliable
from t_call import establish
from t_dtmf import press
from t_transfer import house, take


def pending(bed, number):
    """A call whose callee's leg a newcomer wants with another session: (caller, callee, newcomer, the offer at the caller, their RTP)."""
    c, i, ra, rb = establish(bed, bed.a, bed.b, number)
    rx = Rtp(bed.t, bed.x.ip)
    n = take(bed, i, sdp_text(bed.x.ip, rx.port, formats='8 101'))
    return c, i, n, c.expect('INVITE'), ra, rb, rx


def seated(c, n, m, ra):
    """The caller agrees: the newcomer sits."""
    c.reply(200, to=m, sdp=sdp_text(c.agent.ip, ra.port, formats='8 101', version=2))
    n.wait(200)
    c.expect('ACK')


def same_engine(bed):
    equal(bed.d.processes()['engine']['restarts'], 0, 'deaths of the engine')


@test()
def seats_requests_wait(t):
    """while a newcomer waits for the other leg's answer, that leg's INFO and MESSAGE get 500 and reach nobody; afterwards they cross"""
    bed = house(t)
    c, i, n, m, ra, _, _ = pending(bed, '6100')
    for method in ('INFO', 'MESSAGE', 'OPTIONS'):
        equal(c.request(method).final().status, 500, method)
    for agent in (bed.b, bed.x):
        agent.none(lambda m: m.method in ('INFO', 'MESSAGE', 'OPTIONS'), 0.2, 'a request that has no other side')
    seated(c, n, m, ra)
    i.answer_bye()
    tx = c.request('INFO')
    n.reply(200, to=n.expect('INFO'))
    equal(tx.final().status, 200, 'INFO to the newcomer')
    hang_up(c, n)
    bed.d.no_calls()
    same_engine(bed)


@test()
def seats_digits_wait(t):
    """a digit that is heard while a newcomer of a leg with INFO waits goes nowhere; the next one, when he sits, is his INFO"""
    bed = house(t, start=False)
    bed.doc['media_profiles'] = [{'id': 'pa', 'transport': 'rtp', 'dtmf': 'info'}]
    next(x for x in bed.doc['trunks'] if x['id'] == 'c')['media'] = 'pa'
    bed.d.write()
    bed.d.start()
    c, i, n, m, ra, _, _ = pending(bed, '6110')
    ra.send(c.rsdp.dest(), 3)
    press(ra, c.rsdp.dest(), '7')
    bed.x.none(lambda m: m.method == 'INFO', 0.3, 'an INFO of a dialog that is not there')
    seated(c, n, m, ra)
    i.answer_bye()
    ra.send(c.rsdp.dest(), 3)
    press(ra, c.rsdp.dest(), '8')
    m = n.expect('INFO')
    n.reply(200, to=m)
    check(b'Signal=8' in m.body, 'INFO of 8: %r', m.body)
    hang_up(c, n)
    bed.d.no_calls()
    same_engine(bed)


@test()
def seats_glare_is_the_other_legs(t):
    """491 and 422 of the other leg are no matter of the newcomer's: he gets 500, and who was there goes on"""
    bed = house(t)
    for k, (status, headers) in enumerate(((491, []), (422, [('Min-SE', '7200')]))):
        c, i, n, m, ra, rb, _ = pending(bed, '612%d' % k)
        c.reply(status, to=m, headers=headers)
        equal(n.wait(lambda m: m.status >= 200).status, 500, 'the newcomer after %d' % status)
        i.not_seen('BYE', 0.1)
        both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
        hang_up(c, i)
    bed.d.no_calls()
    same_engine(bed)


@test()
def seats_a_second_newcomer_waits(t):
    """one who wants the other leg's seat meanwhile gets 500 after a while, and the first one still sits"""
    bed = house(t)
    c, i, n, m, ra, _, rx = pending(bed, '6130')
    late = take(bed, c, sdp_text(bed.b.ip, 31700), party=bed.b)
    equal(late.wait(lambda m: m.status >= 200, 8).status, 500, 'the second newcomer')
    seated(c, n, m, ra)
    i.answer_bye()
    bed.d.restarted('media', bed.d.kill('media'))
    hang_up(c, n)
    bed.d.no_calls()
    same_engine(bed)


@test()
def seats_answer_in_a_reliable_response(t):
    """the other leg answers the newcomer's offer in a reliable 183 and sends a 200 without SDP: the newcomer has the answer"""
    bed = house(t)
    c, i, n, m, ra, _, rx = pending(bed, '6140')
    check('100rel' in ' '.join(m.all('supported')), 'Supported of the re-INVITE: %s', m.all('supported'))
    c.reply(183, to=m, sdp=sdp_text(bed.a.ip, ra.port, formats='8 101', version=2), headers=reliable(77))
    p = c.expect('PRACK')
    equal(p.get('rack').split()[0], '77', 'RAck')
    c.reply(200, to=p)
    c.reply(200, to=m)
    equal(n.wait(200).sdp.formats(), ['8', '101'], 'the answer')
    c.expect('ACK')
    i.answer_bye()
    hang_up(c, n)
    bed.d.no_calls()
    same_engine(bed)


@test()
def hunt_drops_what_was_open(t):
    """an UPDATE in the early dialog of a target that then fails: the caller gets 500 for it, and the target's late answer ends nothing of the call with the next one"""
    x = t.ip(14)
    bed = Bed(t, start=False)
    row = next(k for k in bed.doc['trunks'] if k['id'] == 'b')
    row.pop('target')
    row['targets'] = ['sip:%s:5060;transport=udp' % bed.b.ip, 'sip:%s:5060;transport=udp' % x]
    row['sources'] = [x]
    bed.d.write()
    bed.d.start()
    bed.x = Agent(t, x, t.at['b'])
    c, i = begin(bed, '6150', headers=[('Supported', '100rel'), ('Allow', 'INVITE, ACK, BYE, CANCEL, PRACK, UPDATE')])
    i.reply(183, sdp=sdp_text(bed.b.ip, 31000), headers=reliable(5) + [('Allow', 'INVITE, ACK, BYE, CANCEL, PRACK, UPDATE')])
    r = c.wait(183)
    if r.get('rseq'):
        tx = prack(c, r)
        i.reply(200, to=i.expect('PRACK'))
        tx.final()
    tx = c.request('UPDATE', body=sdp_text(bed.a.ip, 30000, direction='sendonly', version=2))
    u = i.expect('UPDATE')
    i.reply(503)
    i.expect('ACK')
    n = bed.x.await_call('6150')
    equal(tx.final().status, 500, 'UPDATE')
    i.reply(481, to=u)
    n.reply(200, sdp=sdp_text(x, 31200))
    c.wait(200)
    n.expect('ACK')
    n.not_seen('BYE', 0.3)
    until(lambda: [k['state'] for k in bed.d.calls()] == ['up'], 3, lambda: 'the call stands: %s' % bed.d.calls())
    hang_up(c, n)
    bed.d.no_calls()
    same_engine(bed)



# SPDX-License-Identifier: Apache-2.0
"""Mid-call policy (design.md section 6), message by message: what is answered here, what the other side sees of it, and what it never sees."""
from lib.base import check, equal, test
from lib.daemon import Bed
from lib.rtp import Rtp, both_ways
from lib.sip import sdp_text
from t_call import establish


def quiet(x, seconds=0.4):
    for method in ('INVITE', 'UPDATE'):
        x.not_seen(method, seconds / 2)


def hang_up(c, i):
    tx = c.request('BYE')
    i.answer_bye()
    equal(tx.final().status, 200, 'answer to BYE')


def consumed(c, i, sdp, direction='sendrecv'):
    """A re-INVITE that the other side does not see: its answer."""
    c.reinvite(sdp)
    r = c.wait(200)
    equal(r.sdp.direction(), direction, 'direction of the answer')
    quiet(i)
    return r.sdp


@test()
def midcall_refresh_is_consumed(t):
    """a re-INVITE that changes nothing is answered here, from either side; o= stays; the decision is told"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '8001')
    before = c.rsdp.text
    for version in (2, 3):
        equal(consumed(c, i, sdp_text(bed.a.ip, ra.port, version=version)).text, before, 'SDP of the answer')
    consumed(i, c, sdp_text(bed.b.ip, rb.port, version=2))
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    call = next(x for x in bed.d.calls() if x['to'] == '8001')
    items = bed.d.get('/calls/%s/decisions' % call['id']).json['items']
    equal([(x['leg'], x['purposes'], x['action']) for x in items if x['kind'] == 'mid-call'], [('a', ['refresh'], 'consume')] * 2 + [('b', ['refresh'], 'consume')], 'decisions')
    hang_up(c, i)


@test()
def midcall_consumed_hold_is_never_shown(t):
    """under consume-all a hold stays on its leg, also when the codec request of an own profile is relayed after it"""
    bed = Bed(t, start=False, trunk_a={'mid_call': 'own'}, trunk_b={'mid_call': 'own'})
    bed.doc['mid_call'] = [{'id': 'own', 'reinvite': {'hold': 'consume', 'other': 'relay'}}]
    bed.d.write()
    bed.d.start()
    c, i, ra, rb = establish(bed, bed.a, bed.b, '8002')
    consumed(c, i, sdp_text(bed.a.ip, ra.port, direction='sendonly', version=2), 'recvonly')
    c.reinvite(sdp_text(bed.a.ip, ra.port, direction='sendonly', version=3, extra=('a=maxptime:40',)))
    m = i.expect('INVITE')
    equal(m.sdp.direction(), 'sendrecv', 'direction that the other side is shown')
    check('a=maxptime:40' in m.sdp.text, 'maxptime does not cross: %s', m.sdp.text)
    i.reply(200, to=m, sdp=sdp_text(bed.b.ip, rb.port))
    equal(c.wait(200).sdp.direction(), 'recvonly', 'direction of the answer')
    i.expect('ACK')
    hang_up(c, i)


@test()
def midcall_hold_taken_back_by_offerless(t):
    """CUCM: hold by inactive, resume without an offer and a new address in the ACK: the other side is taken off hold, audio is back"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '8003')
    c.reinvite(sdp_text(bed.a.ip, ra.port, direction='inactive', version=2))
    m = i.expect('INVITE')
    equal(m.sdp.direction(), 'inactive', 'hold')
    i.reply(200, to=m, sdp=sdp_text(bed.b.ip, rb.port, direction='inactive'))
    c.wait(200)
    i.expect('ACK')
    new = Rtp(t, bed.a.ip)
    c.reinvite()
    r = c.wait(200, ack=False)
    equal(r.sdp.direction(), 'sendrecv', 'our offer')
    c.ack(r, body=sdp_text(bed.a.ip, new.port, version=3))
    m = i.expect('INVITE')
    equal(m.sdp.direction(), 'sendrecv', 'the hold is taken back')
    i.reply(200, to=m, sdp=sdp_text(bed.b.ip, rb.port, version=3))
    i.expect('ACK')
    both_ways(new, r.sdp.dest(), rb, m.sdp.dest())
    hang_up(c, i)


@test()
def midcall_after_a_killed_engine(t):
    """the engine that takes over classifies the next request rightly: what was agreed is a refresh, a hold is relayed"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '8004')
    consumed(c, i, sdp_text(bed.a.ip, ra.port, version=2))
    bed.d.restarted('engine', bed.d.kill('engine'))
    consumed(c, i, sdp_text(bed.a.ip, ra.port, version=3))
    c.reinvite(sdp_text(bed.a.ip, ra.port, direction='sendonly', version=4))
    m = i.expect('INVITE')
    equal(m.sdp.direction(), 'sendonly', 'hold')
    i.reply(200, to=m, sdp=sdp_text(bed.b.ip, rb.port, direction='recvonly'))
    equal(c.wait(200).sdp.direction(), 'recvonly', 'answer')
    i.expect('ACK')
    hang_up(c, i)

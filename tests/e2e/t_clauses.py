# SPDX-License-Identifier: Apache-2.0
"""Clauses that no scenario of another file shows: order of CSeq, target refresh by UPDATE, UPDATE that crosses UPDATE (RFC 3261 12.2.2, RFC 3311 5)."""
from lib.base import check, equal, test
from lib.daemon import Bed
from lib.sip import sdp_text
from lib.ua import Agent, Tx

from t_b2bua import begin, hang_up

ALLOW = [('Allow', 'INVITE, ACK, BYE, CANCEL, UPDATE, INFO')]


def stand(bed, number):
    c, i = begin(bed, number, ALLOW)
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000), headers=ALLOW)
    c.wait(200)
    i.expect('ACK')
    return c, i


@test()
def cseq_in_a_dialog(t):
    """a request with a lower CSeq than the last is 500 and reaches nobody; a gap is none of our business"""
    bed = Bed(t)
    c, i = stand(bed, '7601')
    c.local_cseq = 40
    tx = c.request('INFO', body='x', ctype='text/plain')
    i.reply(200, to=i.expect('INFO'))
    equal(tx.final().status, 200, 'INFO after a gap')
    equal(Tx(c, c.build('INFO', body='y', ctype='text/plain', cseq=7)).final().status, 500, 'INFO with a lower CSeq')
    i.not_seen('INFO', 0.3)
    hang_up(c, i)


@test()
def update_moves_the_target(t):
    """a 2xx to an UPDATE moves the target to its Contact, on either side (RFC 3311 5.1); a refused one does not"""
    bed = Bed(t, trunk_a={'mid_call': 'relay-all'}, trunk_b={'mid_call': 'relay-all'})
    c, i = stand(bed, '7602')
    moved = Agent(t, t.ip(41), t.at['a'])
    c.agent.contact, plain = (lambda: '<sip:refused@%s>' % t.ip(42)), c.agent.contact
    tx = c.request('UPDATE', body=sdp_text(bed.a.ip, 30000, direction='sendonly', version=2))
    i.reply(488, to=i.expect('UPDATE'))
    equal(tx.final().status, 488, 'UPDATE that is refused')
    tx = i.request('INFO', body='x', ctype='text/plain')
    m = c.expect('INFO')
    check('refused' not in m.uri, 'a refused UPDATE moved the target')
    c.reply(200, to=m)
    tx.final()
    c.agent.contact = lambda: '<sip:moved@%s>' % moved.ip
    tx = c.request('UPDATE', body=sdp_text(bed.a.ip, 30000, direction='sendonly', version=3))
    i.reply(200, to=i.expect('UPDATE'), sdp=sdp_text(bed.b.ip, 31000, direction='recvonly', version=2))
    equal(tx.final().status, 200, 'UPDATE')
    c.agent.contact = plain
    tx = i.request('BYE')
    m = moved.take(lambda m: m.method == 'BYE', 3, 'BYE at the new target')
    equal(m.uri, 'sip:moved@%s' % moved.ip, 'Request-URI of the BYE')
    c.agent = moved
    c.reply(200, to=m)
    tx.final()


@test()
def update_crosses_update(t):
    """an offer in UPDATE while one of the other side is open is 491 (RFC 3311 5.2); the first goes on"""
    bed = Bed(t, trunk_a={'mid_call': 'relay-all'}, trunk_b={'mid_call': 'relay-all'})
    c, i = stand(bed, '7603')
    tx = c.request('UPDATE', body=sdp_text(bed.a.ip, 30000, direction='sendonly', version=2))
    m = i.expect('UPDATE')
    equal(i.request('UPDATE', body=sdp_text(bed.b.ip, 31000, direction='inactive', version=2)).final().status, 491, 'an UPDATE against an open one')
    again = c.request('UPDATE', body=sdp_text(bed.a.ip, 30000, direction='inactive', version=3)).final()
    equal((again.status, again.get('retry-after').isdigit()), (500, True), 'an UPDATE behind his own')
    i.reply(200, to=m, sdp=sdp_text(bed.b.ip, 31000, direction='recvonly', version=2))
    equal(tx.final().status, 200, 'the first UPDATE')
    hang_up(c, i)

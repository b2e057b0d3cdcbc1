# SPDX-License-Identifier: Apache-2.0
"""The sentences of design.md section 6 beside its table: what crosses and what never does, streams that go and come, UPDATE in early dialogs, glare, storms."""
import json
import re
import time

from lib.base import check, equal, test, until
from lib.daemon import Bed
from lib.rtp import Rtp, both_ways
from lib.sip import sdp_text

from t_midtable import ALLOW, NO_VIDEO, PAI, VIDEO, fax, profile

NO_UPDATE = ('Allow', 'INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, INFO')


class Two:
    """An established call: the parties' descriptions by keywords of sdp_text, requests and answers of either in one line."""

    def __init__(self, bed, number, headers=(ALLOW,), answer=(ALLOW,), rtp=False, **kw):
        self.bed = bed
        self.ra, self.rb = (Rtp(bed.t, bed.a.ip), Rtp(bed.t, bed.b.ip)) if rtp else (None, None)
        self.c = bed.a.call(number, sdp=self.sdp('a', **kw), headers=headers)
        self.i = bed.b.await_call(number)
        self.i.reply(200, sdp=self.sdp('b', **kw), headers=answer)
        self.c.wait(200)
        self.i.expect('ACK')

    def sdp(self, side, port=None, **kw):
        agent, rtp, base = (self.bed.a, self.ra, 30000) if side == 'a' else (self.bed.b, self.rb, 31000)
        return sdp_text(agent.ip, port or (rtp.port if rtp else base), **{'version': 2, **kw})

    def ask(self, x, method='INVITE', headers=(ALLOW,), **kw):
        return x.request(method, headers, self.sdp('a' if x is self.c else 'b', **kw) if kw.pop('body', True) else '')

    def take(self, y, method, direction=None):
        m = y.expect(method)
        if direction:
            equal(m.sdp.direction(), direction, 'direction that the other side is shown')
        return m

    def give(self, y, m, headers=(ALLOW,), **kw):
        y.reply(200, to=m, sdp=self.sdp('a' if y is self.c else 'b', **kw), headers=headers)

    def final(self, x, tx, status=200, ack=b''):
        r = tx.final()
        equal(r.status, status, 'final answer')
        if tx.req.method == 'INVITE' and status == 200:
            x.ack(r, body=ack)
        elif tx.req.method == 'INVITE':
            x.tx = tx
            x._ack_failure(r)
        return r

    def consumed(self, x, want='sendrecv', **kw):
        r = self.final(x, self.ask(x, **kw))
        if r.sdp:
            equal(r.sdp.direction(), want, 'direction of our answer')
        return r

    def relayed(self, x, y, want=None, answer=None, method='INVITE', **kw):
        tx = self.ask(x, method, **kw)
        m = self.take(y, method, want)
        self.give(y, m, **(answer or {}))
        r = self.final(x, tx)
        if method == 'INVITE':
            y.expect('ACK')
        return m, r

    def quiet(self):
        for agent, x in ((self.bed.a, self.c), (self.bed.b, self.i)):
            got = agent.peek(lambda m: m.method in ('INVITE', 'UPDATE') and m.call_id == x.call_id)
            check(not got, 'what was to stay here went on: %s', got)

    def end(self):
        self.quiet()
        tx = self.c.request('BYE')
        self.i.answer_bye()
        equal(tx.final().status, 200, 'BYE')


def own(bed_test, **profiles):
    """A daemon with profiles of its own; the first is in force on both legs."""
    first = next(iter(profiles)).replace('_', '-')
    bed = Bed(bed_test, start=False, trunk_a={'mid_call': first}, trunk_b={'mid_call': first})
    bed.doc['mid_call'] = [{'id': name.replace('_', '-'), **p} for name, p in profiles.items()]
    bed.d.write()
    bed.d.start()
    return bed


@test()
def midrule_per_purpose(t):
    """one request, two purposes: each crosses by its own action, also later; a refusal wins; a consumed identity and a consumed hold never cross"""
    bed = own(t, mine={'reinvite': {'hold': 'consume', 'other': 'relay', 'identity': 'consume', 'codec': 606}, 'update': {}})
    old, new = [(PAI, '<sip:1@x.example>'), ALLOW], [(PAI, '<sip:2@x.example>'), ALLOW]
    two = Two(bed, '7001', headers=old)
    tx = two.ask(two.c, headers=new, direction='sendonly', extra=('a=maxptime:40',))
    m = two.take(two.i, 'INVITE', 'sendrecv')
    check('a=maxptime:40' in m.sdp.text and PAI.lower() not in (n.lower() for n, _ in m.headers), 'what crosses: %s %s', m.headers, m.sdp.text)
    two.give(two.i, m)
    equal(two.final(two.c, tx).sdp.direction(), 'recvonly', 'answer to the hold')
    two.i.expect('ACK')
    # later: the same value again is no change, and was never shown
    tx = two.ask(two.c, headers=new, direction='sendonly', extra=('a=maxptime:60',))
    m = two.take(two.i, 'INVITE', 'sendrecv')
    check(PAI.lower() not in (n.lower() for n, _ in m.headers), 'a consumed identity crosses later')
    two.give(two.i, m)
    two.final(two.c, tx)
    two.i.expect('ACK')
    two.final(two.c, two.ask(two.c, formats='8 101', direction='sendonly'), 606)
    two.end()


@test()
def midrule_answers(t):
    """an answer that asks for more than our offer did: by its own leg's profile it rides in the answer that is waited for, or stays; to a request of ours it goes on by another"""
    bed = own(t, mine={}, eat={'reinvite': {'hold': 'consume', 'other': 'consume', 'refresh': 'relay'}})
    two = Two(bed, '7010')
    m, r = two.relayed(two.c, two.i, extra=('a=maxptime:40',), answer={'direction': 'recvonly', 'extra': ('a=maxptime:40',)})
    equal(r.sdp.direction(), 'recvonly', 'a hold in the answer, relayed')
    # it is taken back by her, and he is shown that
    m, r = two.relayed(two.i, two.c, 'sendrecv', extra=('a=maxptime:40',), answer={'extra': ('a=maxptime:40',)})
    # hold against hold: each side's own wish lasts
    two.relayed(two.c, two.i, 'sendonly', direction='sendonly', extra=('a=maxptime:40',), answer={'direction': 'inactive', 'extra': ('a=maxptime:40',)})
    two.relayed(two.c, two.i, 'sendrecv', extra=('a=maxptime:40',), answer={'direction': 'sendonly', 'extra': ('a=maxptime:40',)})
    two.end()
    profile(bed, 'eat')
    two = Two(bed, '7011')
    m, r = two.relayed(two.c, two.i, answer={'direction': 'recvonly'})
    equal(r.sdp.direction(), 'sendrecv', 'a hold in the answer, consumed')
    two.end()


@test()
def midrule_offerless(t):
    """offerless consumed: a consumed hold is not in our offer, its answer in the ACK is classified; relayed: what the profiles consumed stays unknown; an ACK without answer ends nothing"""
    bed = own(t, mine={'reinvite': {'hold': 'consume'}}, through={'reinvite': {'hold': 'consume', 'offerless': 'relay'}})
    two = Two(bed, '7020')
    two.consumed(two.i, 'recvonly', direction='sendonly')
    r = two.final(two.c, two.ask(two.c, body=False), ack=two.sdp('a', version=3))
    equal((r.sdp.direction(), r.sdp.formats()), ('sendrecv', ['0', '8', '101']), 'our offer')
    r = two.final(two.c, two.ask(two.c, body=False))
    tx = two.ask(two.c, body=False)
    r = two.final(two.c, tx, ack=two.sdp('a', formats='8 101', version=4))
    m = two.take(two.i, 'INVITE')
    equal(m.sdp.formats(), ['8', '101'], 'a codec that the answer in the ACK dropped')
    two.i.reply(488, to=m)
    bed.b.take(lambda m: m.method == 'ACK' and m.call_id == two.i.call_id, 3, 'ACK of the 488')
    call = next(x for x in bed.d.calls() if x['to'] == '7020')
    until(lambda: 'own-request-failed' in bed.d.get('/calls/%s/decisions' % call['id']).text, 2, 'the failed request in the decisions')
    check('no-answer-in-ack' in bed.d.get('/calls/%s/decisions' % call['id']).text, 'an ACK without answer is not noted')
    two.end()
    profile(bed, 'through')
    two = Two(bed, '7021')
    two.consumed(two.i, 'recvonly', direction='sendonly')
    two.consumed(two.c, 'recvonly', direction='sendonly')
    tx = two.ask(two.c, body=False)
    m = two.take(two.i, 'INVITE')
    check(not m.body, 'an offerless re-INVITE stays one')
    two.give(two.i, m, direction='sendonly', version=3)
    r = two.final(two.c, tx, ack=two.sdp('a', direction='sendonly', version=3))
    equal(r.sdp.direction(), 'sendrecv', 'his consumed hold in the offer that she gets')
    k = two.i.expect('ACK')
    equal(k.sdp.direction(), 'recvonly', 'her consumed hold in the answer that he gets: his own offer reversed')
    two.end()


@test()
def midrule_streams(t):
    """a consumed remove leaves the other side's stream; offered again it joins; a consumed add is port 0, and the other side's own add too; fax: the same again is a refresh"""
    bed = own(t, mine={'reinvite': {'remove': 'consume', 'add': 'consume', 'hold': 'consume'}}, open={'reinvite': {}})
    two = Two(bed, '7030', extra=VIDEO)
    r = two.consumed(two.c, extra=NO_VIDEO)
    equal(r.sdp.port(1), 0, 'the removed stream')
    two.consumed(two.i, extra=VIDEO)
    r = two.consumed(two.c, extra=VIDEO)
    check(r.sdp.port(1) > 0, 'the stream that is offered again is refused: %s', r.sdp.text)
    two.end()
    two = Two(bed, '7031')
    for x in (two.c, two.i, two.c):
        equal(two.consumed(x, extra=VIDEO).sdp.port(1), 0, 'an added stream that is consumed')
    two.end()
    profile(bed, 'open')
    two = Two(bed, '7032')
    tx = two.c.request('INVITE', [ALLOW], fax(bed.a.ip, 30000))
    m = two.i.expect('INVITE')
    two.i.reply(200, to=m, sdp=fax(bed.b.ip, 31000), headers=[ALLOW])
    two.final(two.c, tx)
    two.i.expect('ACK')
    for x, ip in ((two.c, bed.a.ip), (two.i, bed.b.ip)):
        r = two.final(x, x.request('INVITE', [ALLOW], fax(ip, 30000 if x is two.c else 31000)))
        check('m=image' in r.sdp.text and r.sdp.port() > 0, 'a refresh of fax: %s', r.sdp.text)
    two.end()


@test()
def midrule_renumber(t):
    """a payload type that moves is consumed where it can be: our answer has the new number, as the other side sends the old one; an address family that the realm lacks is 488"""
    bed = own(t, mine={'reinvite': {'codec': 'consume-or-relay'}})
    two = Two(bed, '7040', rtp=True)
    moved = two.sdp('a', formats='0 8', extra=('a=rtpmap:97 telephone-event/8000', 'a=fmtp:97 0-15')).replace('AVP 0 8', 'AVP 0 8 97')
    r = two.final(two.c, two.c.request('INVITE', [ALLOW], moved))
    equal(r.sdp.formats(), ['0', '8', '97'], 'formats of our answer')
    check('a=rtpmap:97 telephone-event/8000' in r.sdp.text and 'a=fmtp:97' in r.sdp.text, 'attributes of our answer: %s', r.sdp.text)
    both_ways(two.ra, r.sdp.dest(), two.rb, two.i.rsdp.dest())
    tx = two.c.request('INVITE', [ALLOW], two.sdp('a').replace('c=IN IP4 %s' % bed.a.ip, 'c=IN IP6 2001:db8::1'))
    two.final(two.c, tx, 488)
    two.end()


@test()
def midrule_shield(t):
    """shield: what consume-all consumes is consumed instead of relayed to it, the rest is 488; its own requests go by its profile"""
    bed = own(t, all={'reinvite': {'hold': 'relay', 'codec': 'relay', 'fax': 'relay'}}, guarded={'shield': True})
    r = bed.d.http('PATCH', '/config/trunks/b', {'mid_call': 'guarded'}, ctype='application/merge-patch+json')
    equal(r.status, 200, 'PATCH')
    two = Two(bed, '7050')
    two.consumed(two.c, 'recvonly', direction='sendonly')
    two.consumed(two.c)
    two.final(two.c, two.ask(two.c, formats='8 101'), 488)
    two.final(two.c, two.c.request('INVITE', [ALLOW], fax(bed.a.ip, 30000)), 488)
    two.relayed(two.i, two.c, 'sendonly', direction='sendonly', answer={'direction': 'recvonly'})
    two.end()


@test()
def midrule_update_forms(t):
    """405, 501, 504 to a relayed UPDATE: as re-INVITE; 422: again with its Min-SE; UPDATE without SDP as re-INVITE with our last; 491, 500 go back; 408 and 481 end both"""
    bed = own(t, through={m: {p: 'relay' for p in ('refresh', 'hold', 'identity')} for m in ('reinvite', 'update')})
    two = Two(bed, '7060')
    for status, direction in ((405, 'sendonly'), (501, 'inactive'), (504, 'sendrecv')):
        tx = two.ask(two.c, 'UPDATE', direction=direction)
        two.i.reply(status, to=two.take(two.i, 'UPDATE', direction), headers=[ALLOW])
        m = two.take(two.i, 'INVITE', direction)
        two.give(two.i, m, direction={'sendonly': 'recvonly'}.get(direction, direction))
        r = two.final(two.c, tx)
        check(r.sdp, '%d: no answer', status)
        two.i.expect('ACK')
    tx = two.ask(two.c, 'UPDATE', direction='sendonly', headers=[ALLOW, ('Supported', 'timer'), ('Session-Expires', '1800;refresher=uac')])
    m = two.take(two.i, 'UPDATE')
    two.i.reply(422, to=m, headers=[('Min-SE', '2400')])
    again = two.take(two.i, 'UPDATE', 'sendonly')
    equal(again.cseq[0], m.cseq[0] + 1, 'CSeq after a 422')
    two.give(two.i, again, direction='recvonly')
    two.final(two.c, tx)
    for status in (491, 500):
        tx = two.ask(two.c)
        two.i.reply(status, to=two.take(two.i, 'INVITE', 'sendrecv'))
        two.i.expect('ACK')
        two.final(two.c, tx, status)
    tx = two.ask(two.c)
    two.i.reply(481, to=two.take(two.i, 'INVITE'))
    two.i.expect('ACK')
    two.final(two.c, tx, 481)
    two.c.answer_bye()
    two = Two(bed, '7061', answer=(NO_UPDATE,))
    last = two.i.rsdp.text
    tx = two.ask(two.c, 'UPDATE', body=False)
    m = two.take(two.i, 'INVITE')
    equal(m.sdp.text, last, 'our last description')
    two.give(two.i, m, headers=(NO_UPDATE,))
    check(not two.final(two.c, tx).body, 'the answer does not stay on its leg')
    two.i.expect('ACK')
    two.end()


@test()
def midrule_early_update(t):
    """UPDATE before the call is answered: relayed as UPDATE where the other side has it, else answered here, or 488; preconditions always cross; the 2xx does not undo it"""
    bed = own(t, mine={'update': {'other': 'consume', 'address': 'consume'}})
    for number, allow in (('7070', ALLOW), ('7071', NO_UPDATE)):
        c = bed.a.call(number, sdp=sdp_text(bed.a.ip, 30000, extra=('a=curr:qos local none',)), headers=[('Supported', '100rel'), ALLOW])
        i = bed.b.await_call(number)
        i.reply(183, sdp=sdp_text(bed.b.ip, 31000), headers=[('Require', '100rel'), ('RSeq', '1'), allow])
        r = c.wait(183)
        i.reply(200, to=i.expect('PRACK'))
        tx = c.request('PRACK', headers=[('RAck', '%s %s' % (r.get('rseq'), r.get('cseq')))])
        equal(tx.final().status, 200, 'PRACK')
        # a moved address stays here, preconditions do not
        equal(c.request('UPDATE', [ALLOW], sdp_text(bed.a.ip, 30002, version=2, extra=('a=curr:qos local none',))).final().status, 200, 'a moved address')
        tx = c.request('UPDATE', [ALLOW], sdp_text(bed.a.ip, 30002, version=3, extra=('a=curr:qos local sendrecv',)))
        if allow is ALLOW:
            m = i.expect('UPDATE')
            check('a=curr:qos local sendrecv' in m.sdp.text, 'preconditions: %s', m.sdp.text)
            i.reply(200, to=m, sdp=sdp_text(bed.b.ip, 31000, version=2))
            equal(tx.final().status, 200, 'UPDATE')
            equal(i.request('UPDATE', [ALLOW], sdp_text(bed.b.ip, 31002, version=3)).final().status, 200, "the callee's moved address")
        else:
            equal(tx.final().status, 488, 'UPDATE towards a side that has none')
        i.not_seen('UPDATE', 0.1)
        # the 2xx repeats the first answer, which changes nothing: the caller gets what is in force, and a refresh is one
        i.reply(200, headers=[allow], sdp=sdp_text(bed.b.ip, 31000))
        check(c.wait(200).sdp, 'no description in the 2xx')
        i.expect('ACK')
        kept = ('a=curr:qos local sendrecv',) if allow is ALLOW else ('a=curr:qos local none',)
        tx = c.request('INVITE', [ALLOW], sdp_text(bed.a.ip, 30002, version=4, extra=kept))
        r = tx.final()
        equal(r.status, 200, 'a refresh')
        c.ack(r)
        i.not_seen('INVITE', 0.1)
        tx = c.request('BYE')
        i.answer_bye()
        equal(tx.final().status, 200, 'BYE')


@test()
def midrule_glare(t):
    """offers that cross, in all four orders: 491 to the one that comes second, 500 to one behind another of its own; nothing hangs"""
    bed = Bed(t)
    for k, (first, second) in enumerate((('INVITE', 'INVITE'), ('INVITE', 'UPDATE'), ('UPDATE', 'INVITE'), ('UPDATE', 'UPDATE'))):
        for turn in (0, 1):
            two = Two(bed, '708%d' % (2 * k + turn))
            x, y = (two.c, two.i) if not turn else (two.i, two.c)
            tx = two.ask(x, first, direction='sendonly')
            m = two.take(y, first, 'sendonly')
            cross = two.ask(y, second, direction='sendonly')
            two.final(y, cross, 491)
            behind = two.ask(x, 'UPDATE', direction='inactive')
            r = two.final(x, behind, 500)
            check(0 <= int(r.get('retry-after')) <= 10, 'Retry-After: %s', r.get('retry-after'))
            two.give(y, m, direction='recvonly')
            two.final(x, tx)
            if first == 'INVITE':
                y.expect('ACK')
            two.end()
    check(bed.d.counter('postern_midcall_glare_total') >= 8, 'glare is not counted')


@test()
def midrule_own_glare(t):
    """491 to a request of our own: it comes once more after the time of its role, and nothing of the other side overtakes it"""
    bed = own(t, mine={'reinvite': {}})
    two = Two(bed, '7090')
    r = two.final(two.c, two.ask(two.c, body=False), ack=two.sdp('a', direction='sendonly', version=3))
    m = two.take(two.i, 'INVITE', 'sendonly')
    two.i.reply(491, to=m)
    two.i.expect('ACK')
    # the hold waits to be shown; a codec request meanwhile takes it along
    two.relayed(two.c, two.i, 'sendonly', direction='sendonly', formats='8 101', answer={'direction': 'recvonly', 'formats': '8 101'})
    two.i.not_seen('INVITE', 4.3)
    two.relayed(two.c, two.i, 'sendrecv', formats='8 101', answer={'formats': '8 101'})
    two.end()


@test()
def midrule_storm(t):
    """more than 10 requests in a while that change no media are answered here, whatever the profile says, counted, decided and reported"""
    bed = own(t, mine={'reinvite': {'refresh': 'relay'}, 'storm_seconds': 600})
    two = Two(bed, '7100')
    for _ in range(10):
        two.relayed(two.c, two.i)
    for _ in range(3):
        two.consumed(two.c)
    two.relayed(two.c, two.i, 'sendonly', direction='sendonly', answer={'direction': 'recvonly'})
    equal(bed.d.counter('postern_midcall_storm_total'), 3.0, 'storm counter')
    call = next(x for x in bed.d.calls() if x['to'] == '7100')
    check('storm' in bed.d.get('/calls/%s/decisions' % call['id']).text, 'no decision says storm')
    # the event says it once in a window
    told = until(lambda: [json.loads(m) for m in re.findall(r'(\{"time_ms".*"type":"storm".*\})', bed.d.log())], 5, 'the event of a storm')
    equal([(e['class'], e['call'], e['leg'], e['requests']) for e in told], [('call', call['id'], 'a', 11)], 'events')
    two.end()


@test()
def midrule_long_hold(t):
    """a hold is never timed out, by sendonly or inactive, consumed or relayed, though no packet comes for longer than `inactivity`; after the resume audio flows"""
    bed = Bed(t, start=False, trunk_a={'media': 'quick'}, trunk_b={'media': 'quick'})
    bed.doc['mid_call'] = [{'id': 'eat', 'reinvite': {'hold': 'consume'}}]
    bed.doc['media_profiles'] = [{'id': 'quick', 'transport': 'rtp', 'inactivity': 2}]
    bed.d.write()
    bed.d.start()
    calls = []
    for name, direction, back in (('eat', 'sendonly', 'recvonly'), ('eat', 'inactive', 'inactive'), ('media-change', 'sendonly', 'recvonly'),
                                  ('media-change', 'inactive', 'inactive')):
        profile(bed, name)
        two = Two(bed, '711%d' % len(calls), rtp=True)
        both_ways(two.ra, two.c.rsdp.dest(), two.rb, two.i.rsdp.dest())
        if name == 'eat':
            two.consumed(two.c, back, direction=direction)
        else:
            two.relayed(two.c, two.i, direction, direction=direction, answer={'direction': back})
        calls.append((two, name))
    silent = [two for two, name in calls if name != 'eat']
    end = time.monotonic() + 3.5
    while time.monotonic() < end:
        # who was not told of a hold goes on sending
        for two, name in calls:
            if name == 'eat':
                two.rb.send(two.i.rsdp.dest())
        time.sleep(0.3)
    equal(len(bed.d.calls()), 4, 'calls after 3.5 s of hold')
    for two in silent:
        two.relayed(two.c, two.i, 'sendrecv')
    for two, name in calls:
        if name == 'eat':
            two.consumed(two.c)
        both_ways(two.ra, two.c.rsdp.dest(), two.rb, two.i.rsdp.dest())
        two.end()


@test()
def midrule_large(t):
    """descriptions that would make the record too large to be written are 513, from either side and in an answer; what is in force is known to the next engine"""
    bed = own(t, mine={'reinvite': {'hold': 'relay', 'refresh': 'relay', 'offerless': 'relay'}})
    long = tuple('a=x-%03d:%s' % (k, 'x' * 700) for k in range(30))
    two = Two(bed, '7120')
    for x in (two.c, two.i):
        two.final(x, two.ask(x, direction='sendonly', extra=long), 513)
    tx = two.ask(two.c, direction='sendonly')
    m = two.take(two.i, 'INVITE', 'sendonly')
    two.give(two.i, m, direction='recvonly', extra=long)
    check(two.final(two.c, tx, 513).status == 513, 'a long answer')
    two.i.expect('ACK')
    # the callee has the hold, and gets back what was in force
    m = two.take(two.i, 'INVITE', 'sendrecv')
    two.give(two.i, m)
    two.i.expect('ACK')
    two.relayed(two.c, two.i, 'sendonly', direction='sendonly', answer={'direction': 'recvonly'})
    equal(bed.d.counter('postern_call_records_failed_total'), 0.0, 'records that could not be written')
    bed.d.restarted('engine', bed.d.kill('engine'))
    two.relayed(two.c, two.i, 'sendrecv')
    two.end()


REL = ('Supported', '100rel')


def early_answer(two, headers):
    """His re-INVITE to hold, answered by a reliable 183 that has the answer: (transaction, request at the other side, the 183 that he got or None)."""
    tx = two.ask(two.c, headers=headers, direction='sendonly')
    m = two.take(two.i, 'INVITE', 'sendonly')
    two.i.reply(183, to=m, sdp=two.sdp('b', direction='recvonly', version=3), headers=[('Require', '100rel'), ('RSeq', '7'), ALLOW])
    if REL in headers:
        r = tx.response(183)
        equal((r.sdp.direction(), r.get('require')), ('recvonly', '100rel'), 'the 183')
        k = two.c.request('PRACK', headers=[('RAck', '%s %s' % (r.get('rseq'), r.get('cseq')))])
    p = two.i.expect('PRACK')
    equal(p.get('rack'), '7 ' + m.get('cseq'), 'RAck')
    two.i.reply(200, to=p)
    if REL in headers:
        equal(k.final().status, 200, 'PRACK')
    return tx, m


@test()
def midrule_reliable_reinvite(t):
    """a reliable 1xx to a relayed re-INVITE: what it answered holds though the request fails, on both legs; where the requester cannot have it reliably, the other side gets back what was in force"""
    bed = Bed(t)
    two = Two(bed, '7130', headers=(ALLOW, REL))
    tx, m = early_answer(two, (ALLOW, REL))
    two.i.reply(200, to=m, headers=[ALLOW])
    two.final(two.c, tx)
    two.i.expect('ACK')
    two.consumed(two.c, 'recvonly', direction='sendonly')
    two.relayed(two.c, two.i, 'sendrecv')
    # it fails after the answer was acknowledged: the hold is effective (RFC 6141 3.3), the same again is a refresh
    tx, m = early_answer(two, (ALLOW, REL))
    two.i.reply(500, to=m)
    two.i.expect('ACK')
    two.final(two.c, tx, 500)
    two.consumed(two.c, 'recvonly', direction='sendonly')
    two.relayed(two.c, two.i, 'sendrecv')
    two.end()
    two = Two(bed, '7131')
    tx, m = early_answer(two, (ALLOW,))
    two.i.reply(500, to=m)
    two.i.expect('ACK')
    two.final(two.c, tx, 500)
    m = two.take(two.i, 'INVITE', 'sendrecv')
    two.give(two.i, m)
    two.i.expect('ACK')
    two.consumed(two.c)
    two.end()


@test()
def midrule_identity(t):
    """an identity crosses where it changed, by an UPDATE without SDP too; one that is absent, or that Privacy keeps from a trunk that is not trusted, is no change"""
    bed = Bed(t)
    ask = lambda *headers: two.ask(two.c, 'UPDATE', body=False, headers=(ALLOW, *headers))
    two = Two(bed, '7140', headers=(ALLOW, (PAI, '<sip:1@x.example>')))
    two.final(two.c, ask())
    two.final(two.c, ask((PAI, '<sip:1@x.example>')))
    two.final(two.c, ask((PAI, '<sip:2@x.example>'), ('Privacy', 'id')))
    two.quiet()
    tx = ask((PAI, '<sip:3@x.example>'))
    m = two.take(two.i, 'UPDATE')
    equal((m.body, m.get(PAI)), (b'', '<sip:3@%s>' % bed.b.peer[0]), 'what crosses')
    two.i.reply(200, to=m, headers=[ALLOW])
    two.final(two.c, tx)
    two.end()


@test()
def midrule_removed_is_not_silent(t):
    """after a consumed remove of the only stream nothing is timed out, though no packet comes for longer than `inactivity`; offered again it is heard"""
    bed = own(t, mine={'reinvite': {'remove': 'consume'}})
    equal(bed.d.http('POST', '/config/media_profiles', {'id': 'quick', 'transport': 'rtp', 'inactivity': 2}).status, 201, 'POST')
    for trunk in ('a', 'b'):
        equal(bed.d.http('PATCH', '/config/trunks/' + trunk, {'media': 'quick'}, ctype='application/merge-patch+json').status, 200, 'PATCH')
    two = Two(bed, '7150', rtp=True)
    both_ways(two.ra, two.c.rsdp.dest(), two.rb, two.i.rsdp.dest())
    gone = two.sdp('a').replace('m=audio %d' % two.ra.port, 'm=audio 0')
    r = two.final(two.c, two.c.request('INVITE', [ALLOW], gone))
    equal(r.sdp.port(), 0, 'the removed stream')
    time.sleep(3.5)
    equal(len(bed.d.calls()), 1, 'calls after 3.5 s')
    r = two.consumed(two.c)
    both_ways(two.ra, r.sdp.dest(), two.rb, two.i.rsdp.dest())
    two.end()

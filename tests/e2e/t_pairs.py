# SPDX-License-Identifier: Apache-2.0
"""
State machines of a leg, all pairs: the INVITE of both legs, and offer/answer. Each (state, event) is driven on the real daemon and must end as the table
here says (RFC 3261 9, 12.2, 13, 14, 15; RFC 3262; RFC 3264; RFC 3311). A pair that is not listed fails.

No time decides an outcome. An OPTIONS that is answered after an event says that the daemon has seen the event and has sent what comes of it at once: sockets keep
their order. What is listed and does not come at once is waited for; a pair that ends otherwise is driven again alone, with more patience each time.
"""
import time

from lib.base import SLOW, check, equal, test, until
from lib.daemon import Bed
from lib.sip import sdp_text

from t_b2bua import reliable

LONG = 30           # seconds that a step may take on a busy machine before it has failed
BATCH = 14          # calls at once
QUIET = 0.1         # seconds in which nothing further comes
PATIENCE = (1, 4, 12)   # seconds for what is listed to come: among others, then alone


class Pair:
    """One call that is brought into a state, and what came of an event in it."""

    def __init__(self, bed, number, sdp=True, headers=()):
        self.bed, self.number = bed, number
        self.c = bed.a.call(number, sdp=sdp_text(bed.a.ip, 30000) if sdp else None, headers=headers)
        self.i = bed.b.await_call(number, LONG)
        self.tx = None
        self.saw, self.left = {'a': [], 'b': []}, []

    def sides(self):
        return ('a', self.bed.a, self.c), ('b', self.bed.b, self.i)

    def collect(self):
        for who, agent, call in self.sides():
            with agent.lock:
                got = [m for m in agent.inbox if m.call_id == call.call_id]
                for m in got:
                    agent.inbox.remove(m)
            self.saw[who] += got
            self.left += [(call, m) for m in got if m.method not in ('', 'ACK')]

    def clear(self):
        self.collect()
        self.saw = {'a': [], 'b': []}

    def outcome(self):
        """`answer to the event; what the caller saw; what the callee saw`"""
        self.collect()
        mine = lambda m: self.tx and m.status and m.branch == self.tx.req.branch and m.cseq == self.tx.req.cseq
        text = lambda m: str(m.status) + ('' if 'INVITE' in m.get('cseq') else '!') if m.status else m.method
        answer = [str(m.status) for who in 'ab' for m in self.saw[who] if mine(m) and m.status > 100]
        return '; '.join([answer[-1] if answer else '-'] +
                         [' '.join(sorted(text(m) for m in self.saw[w] if m.status != 100 and not mine(m))) or '-' for w in 'ab'])


def settled(bed):
    """The daemon has seen all that was sent to it, and what it sent because of that is here."""
    for agent in (bed.a, bed.b) * 2:
        agent.ask('OPTIONS', seconds=LONG)


def finish(call, m):
    call.reply(487 if m.method == 'INVITE' else 200, to=m)
    if m.method == 'CANCEL' and call.inv:
        call.reply(487)


def serve(bed, pairs):
    """Whatever is left of these calls is answered until they are gone."""
    for p in pairs:
        if (p.i.inv.branch, p.i.inv.cseq, 'INVITE') not in bed.b.answers:
            p.i.reply(487)

    def step():
        for p in pairs:
            p.collect()
            for call, m in p.left:
                finish(call, m)
            p.left = []
        return not bed.d.calls()
    step()
    for c in bed.d.calls():
        bed.d.delete('/calls/' + c['id'])
    until(step, 60, lambda: 'no call is left; %s' % [(c['to'], c['state']) for c in bed.d.calls()])


def drive(bed, states, events, table, pairs, first, patience):
    """These pairs at once, each in a call of its own: what came of it, by pair."""
    calls = {pair: states[pair[0]](bed, str(first + k)) for k, pair in enumerate(pairs)}
    settled(bed)
    for p in calls.values():
        p.clear()
    for pair, p in calls.items():
        p.tx = events[pair[1]](p)
    settled(bed)
    end = time.monotonic() + patience * SLOW
    while time.monotonic() < end and any(p.outcome() != table.get(pair) for pair, p in calls.items()):
        time.sleep(0.05)
    time.sleep(QUIET)
    settled(bed)
    got = {pair: p.outcome() for pair, p in calls.items()}
    serve(bed, list(calls.values()))
    return got


def run(bed, states, events, table, first):
    """Every pair; what differs from the table, and what it does not list."""
    pairs, got = [(s, e) for s in states for e in events], {}
    for k in range(0, len(pairs), BATCH):
        got.update(drive(bed, states, events, table, pairs[k:k + BATCH], first + k, PATIENCE[0]))
    first += len(pairs)
    for patience in PATIENCE[1:]:
        for pair in [p for p in pairs if got[p] != table.get(p)]:
            got.update(drive(bed, states, events, table, [pair], first, patience))
            first += 1
    wrong = ["    ('%s', '%s'): '%s',    # table: %s" % (*p, got[p], table.get(p)) for p in pairs if got[p] != table.get(p)]
    check(not wrong, 'pairs that end otherwise:\n%s', '\n'.join(wrong))
    equal(len(table), len(pairs), 'pairs listed')


# ---- the INVITE ----

def calling(bed, number):
    return Pair(bed, number)


def ringing(bed, number):
    p = Pair(bed, number)
    p.i.reply(180)
    p.c.wait(180, LONG)
    return p


def early(bed, number):
    p = Pair(bed, number)
    p.i.reply(183, sdp=sdp_text(bed.b.ip, 31000))
    p.c.wait(183, LONG)
    return p


def answered(bed, number):
    p = Pair(bed, number)
    p.i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
    p.c.wait(200, LONG, ack=False)
    p.i.expect('ACK', LONG)
    return p


def up(bed, number):
    p = answered(bed, number)
    p.c.ack()
    return p


def cancelled(bed, number):
    p = ringing(bed, number)
    p.c.cancel()
    p.c.wait({487}, LONG)
    p.i.reply(200, to=p.i.expect('CANCEL', LONG))
    return p


def ended(bed, number):
    p = up(bed, number)
    tx = p.c.request('BYE')
    p.i.answer_bye(LONG)
    tx.final(LONG)
    return p


STATES = {'calling': calling, 'ringing': ringing, 'early': early, 'answered': answered, 'up': up, 'cancelled': cancelled, 'ended': ended}


def respond(status, sdp=False):
    def do(p):
        p.i.reply(status, sdp=sdp_text(p.bed.b.ip, 31000) if sdp else None, headers=[('X-Event', p.number)])     # no repeat of one before
    return do


def again(p):
    p.bed.a.transmit(p.c.tx.data)


def ack(p):
    if getattr(p.c, 'established', None) and p.c.established.status == 200:
        p.c.ack()
    else:
        p.bed.a.transmit(p.c.build('ACK', cseq=p.c.inv_req.cseq[0]).bytes())


EVENTS = {
    'caller CANCEL': lambda p: p.c.cancel(), 'caller BYE': lambda p: p.c.request('BYE'), 'caller ACK': ack, 'caller INVITE again': again,
    'caller INFO': lambda p: p.c.request('INFO'),
    'caller PRACK': lambda p: p.c.request('PRACK', headers=[('RAck', '1 1 INVITE')]),
    'callee 180': respond(180), 'callee 183': respond(183, True), 'callee 200': respond(200, True), 'callee 486': respond(486),
    'callee BYE': lambda p: p.i.request('BYE'), 'callee INFO': lambda p: p.i.request('INFO'),
}

INVITE = {
    ('calling', 'caller CANCEL'): '200; 487; -',
    ('calling', 'caller BYE'): '481; -; -',
    ('calling', 'caller ACK'): '-; -; -',
    ('calling', 'caller INVITE again'): '-; -; -',
    ('calling', 'caller INFO'): '-; -; -',
    ('calling', 'caller PRACK'): '481; -; -',
    ('calling', 'callee 180'): '-; 180; -',
    ('calling', 'callee 183'): '-; 183; -',
    ('calling', 'callee 200'): '-; 200; ACK',
    ('calling', 'callee 486'): '-; 486; ACK',
    ('calling', 'callee BYE'): '200; 487; -',
    ('calling', 'callee INFO'): '500; -; -',
    ('ringing', 'caller CANCEL'): '200; 487; CANCEL',
    ('ringing', 'caller BYE'): '200; 487; CANCEL',
    ('ringing', 'caller ACK'): '-; -; -',
    ('ringing', 'caller INVITE again'): '-; -; -',
    ('ringing', 'caller INFO'): '-; -; INFO',
    ('ringing', 'caller PRACK'): '481; -; -',
    ('ringing', 'callee 180'): '-; 180; -',
    ('ringing', 'callee 183'): '-; 183; -',
    ('ringing', 'callee 200'): '-; 200; ACK',
    ('ringing', 'callee 486'): '-; 486; ACK',
    ('ringing', 'callee BYE'): '200; 487; CANCEL',
    ('ringing', 'callee INFO'): '-; INFO; -',
    ('early', 'caller CANCEL'): '200; 487; CANCEL',
    ('early', 'caller BYE'): '200; 487; CANCEL',
    ('early', 'caller ACK'): '-; -; -',
    ('early', 'caller INVITE again'): '-; -; -',
    ('early', 'caller INFO'): '-; -; INFO',
    ('early', 'caller PRACK'): '481; -; -',
    ('early', 'callee 180'): '-; 180; -',
    ('early', 'callee 183'): '-; 183; -',
    ('early', 'callee 200'): '-; 200; ACK',
    ('early', 'callee 486'): '-; 486; ACK',
    ('early', 'callee BYE'): '200; 487; CANCEL',
    ('early', 'callee INFO'): '-; INFO; -',
    ('answered', 'caller CANCEL'): '481; -; -',
    ('answered', 'caller BYE'): '200; -; BYE',
    ('answered', 'caller ACK'): '-; -; -',
    ('answered', 'caller INVITE again'): '-; -; -',
    ('answered', 'caller INFO'): '-; -; INFO',
    ('answered', 'caller PRACK'): '481; -; -',
    ('answered', 'callee 180'): '-; -; -',
    ('answered', 'callee 183'): '-; -; -',
    ('answered', 'callee 200'): '-; -; ACK',
    ('answered', 'callee 486'): '-; -; -',
    ('answered', 'callee BYE'): '200; BYE; -',
    ('answered', 'callee INFO'): '-; INFO; -',
    ('up', 'caller CANCEL'): '481; -; -',
    ('up', 'caller BYE'): '200; -; BYE',
    ('up', 'caller ACK'): '-; -; -',
    ('up', 'caller INVITE again'): '-; -; -',
    ('up', 'caller INFO'): '-; -; INFO',
    ('up', 'caller PRACK'): '481; -; -',
    ('up', 'callee 180'): '-; -; -',
    ('up', 'callee 183'): '-; -; -',
    ('up', 'callee 200'): '-; -; ACK',
    ('up', 'callee 486'): '-; -; -',
    ('up', 'callee BYE'): '200; BYE; -',
    ('up', 'callee INFO'): '-; INFO; -',
    ('cancelled', 'caller CANCEL'): '-; -; -',
    ('cancelled', 'caller BYE'): '481; -; -',
    ('cancelled', 'caller ACK'): '-; -; -',
    ('cancelled', 'caller INVITE again'): '-; -; -',
    ('cancelled', 'caller INFO'): '481; -; -',
    ('cancelled', 'caller PRACK'): '481; -; -',
    ('cancelled', 'callee 180'): '-; -; -',
    ('cancelled', 'callee 183'): '-; -; -',
    ('cancelled', 'callee 200'): '-; -; ACK BYE',
    ('cancelled', 'callee 486'): '-; -; ACK',
    ('cancelled', 'callee BYE'): '481; -; -',
    ('cancelled', 'callee INFO'): '481; -; -',
    ('ended', 'caller CANCEL'): '481; -; -',
    ('ended', 'caller BYE'): '481; -; -',
    ('ended', 'caller ACK'): '-; -; -',
    ('ended', 'caller INVITE again'): '-; -; -',
    ('ended', 'caller INFO'): '481; -; -',
    ('ended', 'caller PRACK'): '481; -; -',
    ('ended', 'callee 180'): '-; -; -',
    ('ended', 'callee 183'): '-; -; -',
    ('ended', 'callee 200'): '-; -; ACK BYE',
    ('ended', 'callee 486'): '-; -; -',
    ('ended', 'callee BYE'): '481; -; -',
    ('ended', 'callee INFO'): '481; -; -',
}


@test(seconds=240)
def pairs_invite(t):
    """the INVITE of both legs: seven states, twelve events, every pair as listed; afterwards no call is left"""
    run(Bed(t, ports=200), STATES, EVENTS, INVITE, 7000)


# ---- offer/answer ----

def reliable_early(bed, number):
    """the callee's answer came reliably: offers may follow in both early dialogs"""
    p = Pair(bed, number, headers=[('Supported', '100rel')])
    p.i.reply(183, sdp=sdp_text(bed.b.ip, 31000), headers=reliable(1) + [('Allow', 'INVITE, ACK, BYE, CANCEL, PRACK, UPDATE')])
    p.i.reply(200, to=p.i.expect('PRACK', LONG))
    r = p.c.wait(183, LONG)
    p.c.request('PRACK', headers=[('RAck', '%s %s' % (r.get('rseq'), r.get('cseq')))]).final(LONG)
    return p


def offered(bed, number):
    """the caller's re-INVITE is open at the callee"""
    p = up(bed, number)
    p.c.reinvite(sdp_text(bed.a.ip, 30000, direction='sendonly', version=2))
    p.m = p.i.expect('INVITE', LONG)
    return p


def offer_in_2xx(bed, number):
    """the caller's offerless re-INVITE was answered with an offer of ours: his ACK has the answer"""
    p = up(bed, number)
    p.c.reinvite()
    p.c.tx.response(200, LONG)
    return p


def stable(bed, number):
    return up(bed, number)


def none(bed, number):
    """an INVITE without SDP rings: nothing was offered"""
    p = Pair(bed, number, sdp=False)
    p.i.reply(180)
    p.c.wait(180, LONG)
    return p


OA_STATES = {'nothing offered': none, 'offer in INVITE': ringing, 'answered early': reliable_early, 'answered, no ACK': answered, 'stable': stable,
             'offer relayed': offered, 'offer in our 2xx': offer_in_2xx}


def offer(side, method, direction='sendonly'):
    def do(p):
        call = getattr(p, side)
        body = sdp_text(call.agent.ip, 30000 if side == 'c' else 31000, direction=direction, version=5) if direction else b''
        return call.request(method, body=body, headers=[('Allow', 'INVITE, ACK, BYE, CANCEL, PRACK, UPDATE')])
    return do


OA_EVENTS = {
    'caller offers in INVITE': offer('c', 'INVITE'), 'caller offers in UPDATE': offer('c', 'UPDATE'), 'caller INVITE without SDP': offer('c', 'INVITE', None),
    'caller UPDATE without SDP': offer('c', 'UPDATE', None),
    'callee offers in INVITE': offer('i', 'INVITE'), 'callee offers in UPDATE': offer('i', 'UPDATE'), 'callee INVITE without SDP': offer('i', 'INVITE', None),
    'callee UPDATE without SDP': offer('i', 'UPDATE', None),
}

OFFERS = {
    ('nothing offered', 'caller offers in INVITE'): '500; -; -',
    ('nothing offered', 'caller offers in UPDATE'): '500; -; -',
    ('nothing offered', 'caller INVITE without SDP'): '500; -; -',
    ('nothing offered', 'caller UPDATE without SDP'): '200; -; -',
    ('nothing offered', 'callee offers in INVITE'): '491; -; -',
    ('nothing offered', 'callee offers in UPDATE'): '491; -; -',
    ('nothing offered', 'callee INVITE without SDP'): '491; -; -',
    ('nothing offered', 'callee UPDATE without SDP'): '200; -; -',
    ('offer in INVITE', 'caller offers in INVITE'): '500; -; -',
    ('offer in INVITE', 'caller offers in UPDATE'): '500; -; -',
    ('offer in INVITE', 'caller INVITE without SDP'): '500; -; -',
    ('offer in INVITE', 'caller UPDATE without SDP'): '200; -; -',
    ('offer in INVITE', 'callee offers in INVITE'): '491; -; -',
    ('offer in INVITE', 'callee offers in UPDATE'): '491; -; -',
    ('offer in INVITE', 'callee INVITE without SDP'): '491; -; -',
    ('offer in INVITE', 'callee UPDATE without SDP'): '200; -; -',
    ('answered early', 'caller offers in INVITE'): '500; -; -',
    ('answered early', 'caller offers in UPDATE'): '-; -; UPDATE',
    ('answered early', 'caller INVITE without SDP'): '500; -; -',
    ('answered early', 'caller UPDATE without SDP'): '200; -; -',
    ('answered early', 'callee offers in INVITE'): '491; -; -',
    ('answered early', 'callee offers in UPDATE'): '200; -; -',
    ('answered early', 'callee INVITE without SDP'): '491; -; -',
    ('answered early', 'callee UPDATE without SDP'): '200; -; -',
    ('answered, no ACK', 'caller offers in INVITE'): '491; -; -',
    ('answered, no ACK', 'caller offers in UPDATE'): '491; -; -',
    ('answered, no ACK', 'caller INVITE without SDP'): '200; -; -',
    ('answered, no ACK', 'caller UPDATE without SDP'): '200; -; -',
    ('answered, no ACK', 'callee offers in INVITE'): '-; -; -',
    ('answered, no ACK', 'callee offers in UPDATE'): '-; -; -',
    ('answered, no ACK', 'callee INVITE without SDP'): '-; -; -',
    ('answered, no ACK', 'callee UPDATE without SDP'): '200; -; -',
    ('stable', 'caller offers in INVITE'): '-; -; INVITE',
    ('stable', 'caller offers in UPDATE'): '-; -; INVITE',
    ('stable', 'caller INVITE without SDP'): '200; -; -',
    ('stable', 'caller UPDATE without SDP'): '200; -; -',
    ('stable', 'callee offers in INVITE'): '-; INVITE; -',
    ('stable', 'callee offers in UPDATE'): '-; INVITE; -',
    ('stable', 'callee INVITE without SDP'): '200; -; -',
    ('stable', 'callee UPDATE without SDP'): '200; -; -',
    ('offer relayed', 'caller offers in INVITE'): '500; -; -',
    ('offer relayed', 'caller offers in UPDATE'): '500; -; -',
    ('offer relayed', 'caller INVITE without SDP'): '500; -; -',
    ('offer relayed', 'caller UPDATE without SDP'): '200; -; -',
    ('offer relayed', 'callee offers in INVITE'): '491; -; -',
    ('offer relayed', 'callee offers in UPDATE'): '491; -; -',
    ('offer relayed', 'callee INVITE without SDP'): '491; -; -',
    ('offer relayed', 'callee UPDATE without SDP'): '200; -; -',
    ('offer in our 2xx', 'caller offers in INVITE'): '491; -; -',
    ('offer in our 2xx', 'caller offers in UPDATE'): '491; -; -',
    ('offer in our 2xx', 'caller INVITE without SDP'): '491; -; -',
    ('offer in our 2xx', 'caller UPDATE without SDP'): '200; -; -',
    ('offer in our 2xx', 'callee offers in INVITE'): '491; -; -',
    ('offer in our 2xx', 'callee offers in UPDATE'): '491; -; -',
    ('offer in our 2xx', 'callee INVITE without SDP'): '200; -; -',
    ('offer in our 2xx', 'callee UPDATE without SDP'): '200; -; -',
}


@test(seconds=240)
def pairs_offer_answer(t):
    """offer/answer of both legs: seven states, eight events, every pair as listed; afterwards no call is left"""
    run(Bed(t, ports=200), OA_STATES, OA_EVENTS, OFFERS, 7200)

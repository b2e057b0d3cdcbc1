# SPDX-License-Identifier: Apache-2.0
"""
Session timers over two cycles at least (RFC 4028; design.md section 7): stacks that we did not write on either side of Postern, and two Posterns in a row.

90 s is the shortest interval, so a refresh comes after 45 s. In short the phones' clocks run eight times as fast, and they refresh; with POSTERN_SOAK_REFRESH=1
(`script/test soak`) all clocks are true, and Postern refreshes the phones, too.
"""
import json
import os
import re
import time

from lib.base import check, equal, test, until
from lib.daemon import Postern, document
from lib.refreshers import Jssip, Linphone
from lib.sip import sdp_text
from lib.stacks import kamailio
from lib.ua import Agent

SOAK = bool(os.environ.get('POSTERN_SOAK_REFRESH'))
SPEED = 1 if SOAK else 8
HALF = 45.0                     # half of the interval [s]
BOUND = 220 if SOAK else 90
ALLOW = ('Allow', 'INVITE, ACK, BYE, CANCEL, UPDATE')


def daemon(t, doc, who='auto'):
    """who: refresher, as the profile of both legs says."""
    doc['system']['session_timer'] = 'short'
    doc['session_timers'] = [{'id': 'short', 'expires': 90, 'min_se': 90, 'refresher': who}]
    return Postern(t, doc)


def refreshes(d, leg, way, method):
    """(when [s], Session-Expires of the request, of its answer, length of its body) of each refresh on a leg of the only call."""
    items = d.get('/calls/%s/messages' % d.calls()[0]['id']).json['items']
    mine = [m for m in items if m['leg'] == leg]
    expires = lambda m: (re.findall(r'(?m)^Session-Expires: *([^\r\n]*)', m['text']) or [''])[0]
    out = []
    for m in mine:
        if m['start'].startswith(method + ' ') and m['direction'] == way and ';tag=' in re.search(r'(?m)^To:.*', m['text']).group():
            answer = [x for x in mine if x['cseq'] == m['cseq'] and x['direction'] != way and x['start'].startswith('SIP/2.0 200')]
            if answer and not any(at == m['time_us'] / 1e6 for at, *_ in out):
                out.append((m['time_us'] / 1e6, expires(m), expires(answer[0]), len(m['text'].partition('\r\n\r\n')[2])))
    return out


def lines(d, leg):
    """What crossed a leg, to be read where a test fails."""
    return [m['direction'] + ' ' + m['start'] for c in d.calls() for m in d.get('/calls/%s/messages' % c['id']).json['items'] if m['leg'] == leg]


def two_cycles(d, leg, way, method='UPDATE', speed=SPEED):
    """Waits for two refreshes and looks at them: on time, the interval of 90 s named in both, nothing about media in an UPDATE."""
    start = time.time()
    got = until(lambda: (lambda r: len(r) >= 2 and r)(refreshes(d, leg, way, method)), 2 * HALF / speed + 30, lambda: 'two refreshes by %s on leg %s, %s; there came %s' % (method, leg, way, lines(d, leg)), 0.5)
    for at, asked, answered, size in got:
        check(asked.startswith('90') and answered.startswith('90;refresher='), 'Session-Expires: %r, answered %r', asked, answered)
        check(method != 'UPDATE' or size == 0, 'a refresh with %d bytes of SDP', size)
    gap = got[1][0] - got[0][0]
    # in short a slow machine may see the first late
    check((0.8 if speed == 1 else 0.3) * HALF / speed < gap < HALF / speed + 12, 'the second refresh comes %.1f s after the first', gap)
    return time.time() - start


def peer_saw_nothing(agent, call):
    got = agent.peek(lambda m: m.method in ('INVITE', 'UPDATE') and m.call_id == call.call_id)
    check(not got, 'a refresh crossed: %s', got)


def with_agent(t, d, phone, side, dial, who, method='UPDATE'):
    """A call between a phone of the side and an agent on the other: two cycles, nothing crosses, BYE."""
    agent = Agent(t, t.party['b' if side == 'a' else 'a'][0], t.at['b' if side == 'a' else 'a'])
    # the agent has no timer: its leg's interval is long, nothing comes there
    if side == 'a':
        dial()
        x = agent.await_call('6001', 15)
        x.reply(200, sdp=sdp_text(agent.ip, 31000), headers=[ALLOW])
        x.expect('ACK')
    else:
        x = agent.call('6001', sdp=sdp_text(agent.ip, 30000), headers=[ALLOW, ('Supported', 'timer'), ('Session-Expires', '1800;refresher=uac')])
        x.wait(200, 15)
    two_cycles(d, side, 'in' if who == 'peer' else 'out', method, SPEED if who == 'peer' else 1)
    peer_saw_nothing(agent, x)
    equal(len(d.calls()), 1, 'calls')
    check(d.counter('postern_midcall_purposes_total') >= (2 if who == 'peer' else 0), 'consumed refreshes are not counted')
    phone.hang_up()
    x.answer_bye(10)
    d.no_calls()


def linphone(t, side, who='peer'):
    doc = document(t)
    # the other leg is the caller's or callee's own affair, with an interval of half an hour
    d = daemon(t, doc, 'local' if who == 'us' else 'peer')
    doc['trunks']['ab'.index('b' if side == 'a' else 'a')]['session_timer'] = 'default'
    d.write()
    d.start()
    phone = Linphone(t, t.party[side][0], 5060, speed=SPEED)
    with_agent(t, d, phone, side, lambda: phone.dial('sip:6001@%s:%d' % t.at['a']), who)


@test(seconds=BOUND, slow=True)
def refresh_by_linphone_caller(t):
    """linphone calls and refreshes by UPDATE: each is answered here, the callee sees none, the call lives over two cycles and ends well"""
    linphone(t, 'a')


@test(seconds=BOUND, slow=True)
def refresh_by_linphone_callee(t):
    """linphone is called and refreshes"""
    linphone(t, 'b')


def jssip(t, side, who='peer'):
    doc = document(t)
    d = daemon(t, doc, 'local' if who == 'us' else 'peer')
    doc['trunks']['ab'.index('b' if side == 'a' else 'a')]['session_timer'] = 'default'
    proxy = t.ip(20)
    doc['trunks']['ab'.index(side)]['target'] = 'sip:%s:5060' % proxy
    d.write()
    d.start()
    party = t.party[side][0]
    kamailio(t, proxy, 5060, t.at[side], t.party[side], cfg='websocket', more=[('WS', proxy + ':8080')])
    phone = Jssip(t, (proxy, 8080), '6001' if side == 'b' else 'web', 'sip.test', (party, 13000), speed=SPEED)
    # its 2xx has no Allow: where it is called it is refreshed by re-INVITE
    with_agent(t, d, phone, side, lambda: phone.dial('sip:6001@sip.test'), who, 'INVITE' if who == 'us' and side == 'b' else 'UPDATE')


@test(seconds=BOUND, slow=True)
def refresh_by_jssip_caller(t):
    """JsSIP behind Kamailio calls over WebSocket and refreshes by UPDATE: each is answered here, the callee sees none"""
    jssip(t, 'a')


@test(seconds=BOUND, slow=True)
def refresh_by_jssip_callee(t):
    """JsSIP behind Kamailio is called and refreshes by UPDATE"""
    jssip(t, 'b')


def in_a_row(t):
    """(first, second daemon): a - first - second - b, timers of 90 s on all four legs."""
    out = []
    for places in ({12: 4}, {1: 4, 2: 5, 11: 2}):
        text = json.dumps(document(t))
        doc = json.loads(re.sub(re.escape(t.site.net) + r'(\d+)', lambda m: t.ip(places.get(int(m.group(1)), int(m.group(1)))), text))
        out.append(daemon(t, doc).start())
    t.at['b'] = (t.ip(5), 5060)
    return out


def kill_engines(both):
    for d in both:
        d.restarted('engine', d.kill('engine'))


SE = 'Session-Expires'


def refreshed_by_us(c, i, both, kill):
    """All legs are refreshed by a Postern; the parties answer. Two cycles; the engines are killed after the first. When each leg's refreshes came."""
    legs = ((both[0], 'a', 'out'), (both[0], 'b', 'out'), (both[1], 'a', 'in'), (both[1], 'b', 'out'))
    came = [[] for _ in legs]

    def answered():
        for x in (c, i):
            for m in x.agent.peek(lambda m: m.method in ('INVITE', 'UPDATE') and m.call_id == x.call_id):
                x.expect(m.method)
                check(m.method == 'UPDATE' and not m.body, 'a refresh is %s with %d bytes', m.method, len(m.body))
                x.reply(200, to=m, headers=[ALLOW, ('Supported', 'timer'), (SE, m.get(SE))])
        came[:] = [refreshes(d, leg, way, 'UPDATE') for d, leg, way in legs]
        return min(len(r) for r in came)
    until(lambda: answered() >= 1, HALF + 20, lambda: 'the first refresh of each leg: %s' % came)
    kill()
    until(lambda: answered() >= 2, HALF + 20, lambda: 'the second refresh of each leg: %s' % came)
    return came


@test(seconds=BOUND, slow=SOAK)
def refresh_two_in_a_row(t):
    """a caller, two Posterns, a callee, timers on all legs: a refresh stays on its leg, also after the engines were killed between two; BYE from the far side ends all"""
    both = in_a_row(t)
    a, b = Agent(t, t.party['a'][0], t.at['a']), Agent(t, t.party['b'][0], t.at['b'])
    timer = [ALLOW, ('Supported', 'timer')]
    start = time.time()
    # in short the parties refresh, else the Posterns: who does is said by them
    c = a.call('6002', sdp=sdp_text(a.ip, 30000), headers=timer + [(SE, '90;refresher=' + ('uas' if SOAK else 'uac'))])
    i = b.await_call('6002')
    i.reply(200, sdp=sdp_text(b.ip, 31000), headers=timer + [(SE, '90;refresher=' + ('uac' if SOAK else 'uas'))])
    r = c.wait(200)
    i.expect('ACK')
    equal(r.get(SE), '90;refresher=' + ('uas' if SOAK else 'uac'), "the caller's leg")
    middle = [leg['timer'] for leg in (both[0].get('/calls/%s' % both[0].calls()[0]['id']).json['legs'][1], both[1].get('/calls/%s' % both[1].calls()[0]['id']).json['legs'][0])]
    equal([(x['expires'], x['refresher']) for x in middle], [(90, 'local'), (90, 'peer')], 'the leg between them')
    if SOAK:
        for n, leg in enumerate(refreshed_by_us(c, i, both, lambda: kill_engines(both))):
            for k, (at, *_) in enumerate(leg[:2]):
                check(abs(at - start - (k + 1) * HALF) < 3, 'refresh %d of leg %d comes after %.2f s', k + 1, n, at - start)
            equal(len(leg), 2, 'refreshes of leg %d' % n)
    else:
        for turn in range(3):
            for x, role in ((c, 'uac'), (i, 'uac')):
                equal(x.request('UPDATE', timer + [(SE, '90;refresher=' + role)]).final().get(SE), '90;refresher=uac', 'Session-Expires of the answer')
            if turn == 0:
                kill_engines(both)
        for x in (c, i):
            peer_saw_nothing(x.agent, x)
    equal([len(d.calls()) for d in both], [1, 1], 'calls')
    tx = i.request('BYE')
    c.answer_bye()
    equal(tx.final().status, 200, 'BYE')
    for d in both:
        d.no_calls()
        equal(len(d.cdrs('6002')), 1, 'CDRs')


if SOAK:
    @test(seconds=BOUND)
    def refresh_of_linphone_caller(t):
        """Postern refreshes linphone, which called, by UPDATE"""
        linphone(t, 'a', 'us')

    @test(seconds=BOUND)
    def refresh_of_linphone_callee(t):
        """Postern refreshes linphone, which was called"""
        linphone(t, 'b', 'us')

    @test(seconds=BOUND)
    def refresh_of_jssip_caller(t):
        """Postern refreshes JsSIP behind Kamailio, which called"""
        jssip(t, 'a', 'us')

    @test(seconds=BOUND)
    def refresh_of_jssip_callee(t):
        """Postern refreshes JsSIP behind Kamailio, which was called, by re-INVITE"""
        jssip(t, 'b', 'us')

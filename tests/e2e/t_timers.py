# SPDX-License-Identifier: Apache-2.0
"""Session timers (design.md section 7, RFC 4028) as far as they show without waiting: who refreshes, intervals, 422 in both directions."""
from lib.base import equal, test
from lib.daemon import Bed
from lib.rtp import Rtp
from lib.sip import sdp_text
from t_midcall import hang_up

TIMER = ('Supported', 'timer')


def up(bed, number, asked=(), answer=()):
    """A call with these headers in the caller's INVITE and the callee's 200: (caller, callee, the caller's 200)."""
    ra, rb = Rtp(bed.t, bed.a.ip), Rtp(bed.t, bed.b.ip)
    c = bed.a.call(number, sdp=sdp_text(bed.a.ip, ra.port), headers=asked)
    i = bed.b.await_call(number)
    i.reply(200, sdp=sdp_text(bed.b.ip, rb.port), headers=answer)
    r = c.wait(200)
    i.expect('ACK')
    return c, i, r


@test()
def timer_who_refreshes(t):
    """the caller where it can and names none, it where it names itself, we where it cannot; the interval is lowered to ours"""
    bed = Bed(t)
    for k, (asked, want, require) in enumerate((([TIMER, ('Session-Expires', '3600')], '1800;refresher=uac', True),
                                                ([TIMER, ('Session-Expires', '600;refresher=uas')], '600;refresher=uas', False),
                                                ([], '1800;refresher=uas', False))):
        c, i, r = up(bed, '810%d' % k, asked)
        equal(r.get('session-expires'), want, 'Session-Expires of the 200')
        equal('timer' in r.tokens('require'), require, 'Require: timer')
        hang_up(c, i)


@test()
def timer_422_both_ways(t):
    """too small an interval of the caller gets 422 with our Min-SE; the callee's 422 has the INVITE again with its Min-SE, and the caller sees nothing"""
    bed = Bed(t)
    c = bed.a.call('8110', sdp=sdp_text(bed.a.ip, 30000), headers=[TIMER, ('Session-Expires', '60')])
    r = c.wait(422)
    equal(r.get('min-se'), '90', 'Min-SE')
    ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
    c = bed.a.call('8111', sdp=sdp_text(bed.a.ip, ra.port))
    first = bed.b.await_call('8111')
    first.reply(422, headers=[('Min-SE', '3000')])
    i = bed.b.await_call('8111')
    i.reply(200, sdp=sdp_text(bed.b.ip, rb.port))
    c.wait(200)
    i.expect('ACK')
    equal(i.inv.get('session-expires'), '3000', 'Session-Expires of the second INVITE')
    equal((i.inv.get('min-se'), i.call_id), ('3000', first.call_id), 'Min-SE and Call-ID of the second INVITE')
    hang_up(c, i)


@test()
def timer_off_and_refused(t):
    """mode off: no timer on the leg, whoever asks; Require: timer is no 420"""
    bed = Bed(t, start=False, trunk_a={'session_timer': 'none'}, trunk_b={'session_timer': 'none'})
    bed.doc['session_timers'] = [{'id': 'none', 'mode': 'off'}]
    bed.d.write()
    bed.d.start()
    c, i, r = up(bed, '8120', [TIMER, ('Require', 'timer'), ('Session-Expires', '1800')])
    equal((r.get('session-expires'), 'timer' in r.tokens('supported')), ('', False), 'timer in the 200')
    hang_up(c, i)


@test()
def timer_in_supported(t):
    """Supported says timer, 100rel, replaces on one line (linphone reads the first alone) in INVITE, 18x, 2xx and to OPTIONS; under mode off no timer"""
    bed = Bed(t, start=False, trunk_b={'session_timer': 'none'})
    bed.doc['session_timers'] = [{'id': 'none', 'mode': 'off'}]
    bed.d.write()
    bed.d.start()
    for x, y, mine, other in ((bed.a, bed.b, 'timer, 100rel, replaces', '100rel, replaces'), (bed.b, bed.a, '100rel, replaces', 'timer, 100rel, replaces')):
        equal(x.ask('OPTIONS').all('supported'), [mine], 'Supported of the 200 to OPTIONS')
        c = x.call('8130', sdp=sdp_text(x.ip, 30000))
        i = y.await_call('8130')
        equal(i.inv.all('supported'), [other], 'Supported of the INVITE')
        i.reply(180)
        equal(c.wait(180).all('supported'), [mine], 'Supported of the 180')
        i.reply(200, sdp=sdp_text(y.ip, 31000))
        equal(c.wait(200).all('supported'), [mine], 'Supported of the 200')
        i.expect('ACK')
        equal(c.request('UPDATE').final().all('supported'), [mine], 'Supported of the 200 to UPDATE')
        hang_up(c, i)


# (Supported: timer, Session-Expires of the request) -> (Session-Expires, Require: timer) of our 2xx, by `refresher` of the profile: RFC 4028 table 2
ASKED = {(False, ''): {'auto': 'uas', 'local': 'uas', 'peer': 'uas'},
         (False, '600'): {'auto': 'uas', 'local': 'uas', 'peer': 'uas'},
         (True, ''): {'auto': 'uac', 'local': 'uas', 'peer': 'uac'},
         (True, '600'): {'auto': 'uac', 'local': 'uas', 'peer': 'uac'},
         (True, '600;refresher=uac'): {'auto': 'uac', 'local': 'uac', 'peer': 'uac'},
         (True, '600;refresher=uas'): {'auto': 'uas', 'local': 'uas', 'peer': 'uas'}}
# Session-Expires of the callee's 2xx -> who refreshes its leg
ANSWERED = {'': None, '600;refresher=uac': 'local', '600;refresher=uas': 'peer'}


@test(seconds=60)
def timer_matrix(t):
    """who supports timers, what the request says, what the profile pins, add_if_missing: each combination in both roles has the refresher and interval of the table"""
    bed = Bed(t, start=False)
    bed.doc['session_timers'] = [{'id': who + ('' if add else '-alone'), 'expires': 1200, 'refresher': who, 'add_if_missing': add} for who in ('auto', 'local', 'peer') for add in (True, False)]
    bed.d.write()
    bed.d.start()
    for who in ('auto', 'local', 'peer'):
        for add in (True, False):
            for trunk in ('a', 'b'):
                r = bed.d.http('PATCH', '/config/trunks/' + trunk, {'session_timer': who + ('' if add else '-alone')}, ctype='application/merge-patch+json')
                equal(r.status, 200, 'PATCH')
            for k, ((supports, says), want) in enumerate(ASKED.items()):
                answer = list(ANSWERED)[k % 3]
                where = 'refresher %s, add_if_missing %s, timer supported %s, Session-Expires %r, answered %r' % (who, add, supports, says, answer)
                c, i, r = up(bed, '82%02d' % k, ([TIMER] if supports else []) + ([('Session-Expires', says)] if says else []), [TIMER, ('Session-Expires', answer)] if answer else [])
                role = want[who] if says or add else None
                equal(r.get('session-expires'), '' if not role else '%s;refresher=%s' % ('600' if says else '1200', role), where + ': our 2xx')
                equal('timer' in r.tokens('require'), role == 'uac', where + ': Require: timer')
                # our INVITE: the interval that the caller gave, or ours where the profile adds it; it names whom the profile pins
                s = '600' if says else '1200' if add else ''
                equal(i.inv.get('session-expires'), s + {'auto': '', 'local': ';refresher=uac', 'peer': ';refresher=uas'}[who] if s else '', where + ': our INVITE')
                legs = bed.d.get('/calls/%s' % bed.d.calls()[0]['id']).json['legs']
                got = [leg['timer'] and (leg['timer']['refresher'], leg['timer']['expires']) for leg in legs]
                ours = {'uac': 'peer', 'uas': 'local'}.get(role)
                equal(got, [ours and (ours, 600 if says else 1200), ANSWERED[answer] and (ANSWERED[answer], 600)], where + ': timers of the legs')
                hang_up(c, i)
                bed.d.no_calls()

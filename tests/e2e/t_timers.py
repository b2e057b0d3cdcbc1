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

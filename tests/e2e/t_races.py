# SPDX-License-Identifier: Apache-2.0
"""CANCEL, BYE, ACK and requests that cross on their way: every race of issue 4 by its name (RFC 3261 9, 13, 14, 15; RFC 3262; RFC 3311)."""
from lib.base import check, equal, test
from lib.daemon import Bed

from t_b2bua import hang_up
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

# SPDX-License-Identifier: Apache-2.0
"""Policies (design.md section 9) on live messages: both hooks, verdicts, what Postern makes of its own edits, a reload."""
import os
import signal

from lib.base import check, equal, test, until
from lib.daemon import Bed
from lib.sip import sdp_text
from t_call import establish


def bed_with(t, text, side='b', at='trunk'):
    """A daemon with one policy file on a trunk, or on the system."""
    kw = {'trunk_' + side: {'policies': ['p']}} if at == 'trunk' else {'system': {'policies': ['p']}}
    bed = Bed(t, start=False, **kw)
    bed.doc['policies'] = [{'id': 'p', 'file': 'p.policy'}]
    bed.d.files['p.policy'] = text
    bed.d.write()
    return bed


def hang_up(c, i):
    tx = c.request('BYE')
    i.answer_bye()
    equal(tx.final().status, 200, 'answer to BYE')


@test()
def policy_strip_update(t):
    """UPDATE taken from Allow: not offered, refused with 405 and that Allow, and never sent"""
    bed = bed_with(t, 'policy no-update on send any {\n when has allow["UPDATE"] then remove allow["UPDATE"]\n}\n')
    bed.d.start()
    c, i, ra, _ = establish(bed, bed.a, bed.b, '9001')
    check('UPDATE' not in i.inv.get('Allow') and 'BYE' in i.inv.get('Allow'), 'Allow to b: %s', i.inv.get('Allow'))
    r = i.request('UPDATE').final()
    equal(r.status, 405, 'UPDATE of b')
    check(r.get('Allow') and 'UPDATE' not in r.get('Allow'), 'Allow of the 405: %s', r.get('Allow'))
    tx = c.request('UPDATE', body=sdp_text(bed.a.ip, ra.port, direction='sendonly', version=2), ctype='application/sdp')
    m = i.expect('INVITE')
    i.reply(200, to=m, sdp=sdp_text(bed.b.ip, 40000, direction='recvonly', version=2))
    equal(tx.final().status, 200, 'UPDATE of a')
    i.expect('ACK')
    hang_up(c, i)


@test()
def policy_verdicts(t):
    """reject with its words, drop without a word, redirect with Contact; others pass"""
    bed = bed_with(t, 'policy screen on receive request {\n when ruri.user == "9101" then reject 603 "Not For You"\n'
                      ' when ruri.user == "9102" then drop\n when ruri.user == "9103" then redirect "sip:new@203.0.113.5"\n}\n', 'a')
    bed.d.start()
    r = bed.a.call('9101', sdp=sdp_text(bed.a.ip, 40000)).wait(603)
    check('Not For You' in r.start, 'reject: %s', r.start)
    r = bed.a.call('9103', sdp=sdp_text(bed.a.ip, 40000)).wait(302)
    check('sip:new@203.0.113.5' in r.get('Contact'), 'Contact: %s', r.get('Contact'))
    bed.a.call('9102', sdp=sdp_text(bed.a.ip, 40000))
    bed.a.none(lambda m: not m.method, 1, 'answer to what is dropped')
    bed.b.none(lambda m: m.method == 'INVITE', 0.2, 'call of what was screened')
    c, i, *_ = establish(bed, bed.a, bed.b, '9104')
    hang_up(c, i)


@test()
def policy_identity_lasts(t):
    """From set on the way out is the dialog's: in both directions, to its end"""
    bed = bed_with(t, 'policy who on send request {\n when dialog == initial then set from.user "4711"\n}\n')
    bed.d.start()
    c, i, *_ = establish(bed, bed.a, bed.b, '9201', from_user='2002')
    check('4711' in i.inv.get('From'), 'From to b: %s', i.inv.get('From'))
    tx = i.request('INFO', body=b'x', ctype='application/x')
    m = c.expect('INFO')
    check('4711' not in m.get('To'), 'To of a request of b, at a: %s', m.get('To'))
    c.reply(200, to=m)
    equal(tx.final().status, 200, 'INFO of b')
    tx = c.request('BYE')
    m = i.expect('BYE')
    check('4711' in m.get('From'), 'From of BYE: %s', m.get('From'))
    i.reply(200, to=m)
    equal(tx.final().status, 200, 'BYE')


@test()
def policy_reload(t):
    """SIGHUP: the new text holds at once, in calls that stand too; a bad one is refused and the old stays"""
    text = 'policy mark on send request {\n set header["X-Mark"] "%s"\n}\n'
    bed = bed_with(t, text % 'one', at='system')
    bed.d.start()
    c, i, *_ = establish(bed, bed.a, bed.b, '9301')
    equal(i.inv.get('X-Mark'), 'one', 'X-Mark')

    def info(want):
        tx = c.request('INFO', body=b'x', ctype='application/x')
        m = i.expect('INFO')
        i.reply(200, to=m)
        tx.final()
        return m.get('X-Mark') == want

    bed.d.files['p.policy'] = text % 'two'
    bed.d.write()
    os.kill(bed.d.proc.pid, signal.SIGHUP)
    until(lambda: info('two'), 5, 'the new text')
    bed.d.files['p.policy'] = 'policy mark on send request {\n set headr["X-Mark"] "three"\n}\n'
    bed.d.write()
    os.kill(bed.d.proc.pid, signal.SIGHUP)
    until(lambda: 'p.policy:2:' in bed.d.log(), 5, 'the error in the log')
    check(info('two'), 'a refused text changed what is in force')
    hang_up(c, i)


@test()
def policy_check(t):
    """--check tells every error of a policy file with its place, and fails"""
    bed = bed_with(t, 'policy p on send request {\n set form.user "x"\n remvoe subject\n}\n')
    code, out = bed.d.run('--check')
    check(code != 0 and 'p.policy:2:' in out and 'p.policy:3:' in out, 'exit %d: %s', code, out)

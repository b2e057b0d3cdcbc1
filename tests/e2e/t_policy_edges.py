# SPDX-License-Identifier: Apache-2.0
"""The less trodden sentences of the policy language on live messages: drop on the way out, methods other than UPDATE, edits that meet a second try."""
import json
import os
import re

from lib.base import check, equal, test, until
from lib.daemon import Bed
from lib.rtp import Rtp
from lib.sip import sdp_text
from t_call import establish
from t_policy import bed_with, hang_up


def side_by_side(t, a, b):
    """A daemon with one policy file at each trunk."""
    bed = Bed(t, start=False, trunk_a={'policies': ['pa']}, trunk_b={'policies': ['pb']})
    bed.doc['policies'] = [{'id': 'pa', 'file': 'pa.policy'}, {'id': 'pb', 'file': 'pb.policy'}]
    bed.d.files['pa.policy'], bed.d.files['pb.policy'] = a, b
    bed.d.write()
    bed.d.start()
    return bed


@test()
def policy_drop_on_send(t):
    """drop at send: a provisional response, requests within a call and one that begins a call do not leave; BYE and final responses do, and that is counted"""
    bed = side_by_side(t, 'policy a on send response {\n when status == 180 and to.user == "9701" then drop\n when status == 200 and method == INVITE then set subject "s"\n when status > 199 then count finals\n}\n',
                       'policy b on send request {\n when method == INFO or ruri.user == "9702" then drop\n when has header["X-Drop"] then drop\n}\n')
    ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
    c = bed.a.call('9701', sdp=sdp_text(bed.a.ip, ra.port))
    i = bed.b.await_call('9701')
    i.reply(180)
    i.reply(183)
    equal(c.wait((180, 183)).status, 183, 'first provisional response')
    i.reply(200, sdp=sdp_text(bed.b.ip, rb.port))
    equal(c.wait(200).get('subject'), 's', 'rules of final responses')
    i.expect('ACK')
    equal(c.request('INFO', body=b'x', ctype='application/x').final().status, 403, 'INFO that was dropped')
    i.not_seen('INFO', 0.3)
    tx = c.request('BYE', headers=[('X-Drop', '1')])
    i.answer_bye()
    equal(tx.final().status, 200, 'BYE')
    equal(bed.a.call('9702', sdp=sdp_text(bed.a.ip, ra.port)).wait((403, 503)).status, 403, 'INVITE that was dropped')
    bed.b.none(lambda m: m.method == 'INVITE', 0.3, 'call that was dropped')
    equal(bed.d.counter('postern_policy_actions_skipped_total'), 1, 'a drop of BYE is counted')
    equal(bed.d.counter('postern_policy_verdicts_total{verdict="drop"}'), 3, 'what was dropped is counted')
    c, i, *_ = establish(bed, bed.a, bed.b, '9703')
    hang_up(c, i)


@test()
def policy_strip_others(t):
    """INFO and PRACK taken from Allow: INFO is neither sent there nor taken from there, nothing is said to be reliable; the other leg keeps them"""
    bed = bed_with(t, 'policy p on send any {\n remove allow["INFO"]\n remove allow["PRACK"]\n}\n')
    bed.d.start()
    c, i, *_ = establish(bed, bed.a, bed.b, '9711')
    check(not {'INFO', 'PRACK'} & set(i.inv.tokens('allow')) and 'UPDATE' in i.inv.tokens('allow'), 'Allow to b: %s', i.inv.get('Allow'))
    check('100rel' not in i.inv.tokens('supported'), 'Supported to b: %s', i.inv.get('Supported'))
    r = i.request('INFO', body=b'x', ctype='application/x').final()
    equal(r.status, 405, 'INFO of b')
    check('INFO' not in r.tokens('allow') and 'BYE' in r.tokens('allow'), 'Allow of the 405: %s', r.get('Allow'))
    equal(c.request('INFO', body=b'x', ctype='application/x').final().status, 405, 'INFO of a')
    i.not_seen('INFO', 0.3)
    hang_up(c, i)


@test()
def policy_second_try(t):
    """an INVITE that is sent once more (422) has From and To as the policy made them once, not twice; the dialog keeps the last"""
    bed = bed_with(t, 'policy p on send request {\n when dialog == initial then set from.user "+49${from.user}", set to.user "0${to.user}"\n}\n')
    bed.d.start()
    ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
    c = bed.a.call('9721', sdp=sdp_text(bed.a.ip, ra.port), from_user='301')
    i = bed.b.await_call('9721')
    first = i.inv
    equal((first.addr('from').split('@')[0], first.addr('to').split('@')[0]), ('sip:+49301', 'sip:09721'), 'the first try')
    i.reply(422, headers=[('Min-SE', '3600')])
    m = i.expect('INVITE')
    equal((m.get('min-se'), m.addr('from'), m.addr('to')), ('3600', first.addr('from'), first.addr('to')), 'the second try')
    i.reply(200, to=m, sdp=sdp_text(bed.b.ip, rb.port))
    c.wait(200)
    i.expect('ACK')
    tx = c.request('INFO', body=b'x', ctype='application/x')
    m = i.expect('INFO')
    equal((m.addr('from'), m.addr('to')), (first.addr('from'), first.addr('to')), 'a request within the dialog')
    i.reply(200, to=m)
    tx.final()
    hang_up(c, i)


@test()
def policy_redirect_forms(t):
    """redirect to a URI, to an address with a name and parameters, to what a field has; one that is no address is skipped and counted"""
    bed = bed_with(t, 'policy p on receive request {\n when ruri.user == "9731" then redirect "\\"New\\" <sip:new@203.0.113.5>;q=0.5"\n'
                      ' when ruri.user == "9732" then redirect "sip:${from.user}@203.0.113.6;transport=tcp"\n when ruri.user == "9733" then redirect "sip:${subject}@203.0.113.7"\n}\n', 'a')
    bed.d.start()
    equal(bed.a.call('9731', sdp=sdp_text(bed.a.ip, 40000)).wait(302).get('Contact'), '"New" <sip:new@203.0.113.5>;q=0.5', 'Contact')
    equal(bed.a.call('9732', sdp=sdp_text(bed.a.ip, 40000), from_user='77').wait(302).get('Contact'), '<sip:77@203.0.113.6;transport=tcp>', 'Contact')
    c, i, *_ = establish(bed, bed.a, bed.b, '9733')
    hang_up(c, i)
    equal(bed.d.counter('postern_policy_actions_skipped_total'), 1, 'no address')


@test()
def policy_long_values(t):
    """no length limit of its own: a header of 20,000 bytes is matched, captured and written, a Request-URI of 3,000 is read"""
    bed = bed_with(t, 'policy p on receive request {\n when header["X-Long"] ~ "^a(b+)c$" then set header["X-Copy"] "<$1>"\n when ruri.params["x"] ~ "^(y+)$" then set header["X-Param"] "$1"\n}\n', 'a')
    bed.d.start()
    c = bed.a.call('9741', sdp=sdp_text(bed.a.ip, 40000), headers=[('X-Long', 'a' + 'b' * 20000 + 'c')])
    i = bed.b.await_call('9741')
    equal(len(i.inv.get('X-Copy')), 20002, 'X-Copy')
    i.reply(486)
    c.wait(486)


@test()
def policy_both_trunks(t):
    """at send src.trunk and src.realm are the other leg's, dst.* the leg's own, on both legs and in the next engine too"""
    text = 'policy p%s on send any {\n set header["X-Way"] "${src.trunk}/${src.realm} ${dst.trunk}/${dst.realm}"\n}\n'
    bed = side_by_side(t, text % 'a', text % 'b')
    to_b, to_a = 'a/core b/peering', 'b/peering a/core'
    c, i, *_ = establish(bed, bed.a, bed.b, '9751')
    equal((i.inv.get('X-Way'), c.established.get('X-Way')), (to_b, to_a), 'INVITE and its 200')
    old = bed.d.kill('engine')
    bed.d.restarted('engine', old)
    for x, y, way in ((c, i, to_b), (i, c, to_a)):
        tx = x.request('INFO', body=b'x', ctype='application/x')
        m = y.expect('INFO')
        equal(m.get('X-Way'), way, 'INFO')
        y.reply(200, to=m)
        tx.final()
    hang_up(c, i)


@test()
def policy_tool_files(t):
    """posternctl policy check of a folder, a missing and an empty file: an error with its name, an error, good"""
    bed = bed_with(t, '')
    folder = bed.d.dir
    for name, code, said in ((folder, 1, folder + ': '), (os.path.join(folder, 'nowhere.policy'), 1, 'nowhere.policy: '), (os.path.join(folder, 'p.policy'), 0, '0 policies')):
        r = bed.d.ctl('policy', 'check', name)
        equal((r.returncode, said in r.stdout), (code, True), 'policy check %s: %s' % (name, r.stdout))


@test()
def policy_tags_in_events(t):
    """an event of a call that a policy marked has its tags"""
    bed = bed_with(t, 'policy p on receive request {\n when from.user == "4711" then tag vip, tag cologne\n}\n', 'a')
    bed.d.start()
    ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
    for number, user in (('9761', '4711'), ('9762', '4712')):
        c = bed.a.call(number, sdp=sdp_text(bed.a.ip, ra.port), from_user=user)
        i = bed.b.await_call(number)
        i.reply(200, sdp=sdp_text(bed.b.ip, rb.port))
        c.wait(200)
        i.expect('ACK')
        ra.send(c.rsdp.dest(), 5)
        rb.send(i.rsdp.dest(), 5)
        hang_up(c, i)
    events = lambda: [e for e in map(json.loads, re.findall(r'(\{"time_ms".*\})', bed.d.log())) if e['type'] == 'quality']
    until(lambda: len({e['call'] for e in events()}) == 2, 5, 'events of both calls')
    first = min(events(), key=lambda e: e['time_ms'])['call']
    equal([e.get('tags') for e in events() if e['call'] == first][0], ['vip', 'cologne'], 'tags')
    equal([e.get('tags') for e in events() if e['call'] != first][0], None, 'tags of the other call')

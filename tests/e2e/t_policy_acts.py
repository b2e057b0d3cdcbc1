# SPDX-License-Identifier: Apache-2.0
"""Postern acts on what its policies edited (design.md section 9): capabilities, session timer, versions of descriptions, over an engine's death too."""
import os
import time

from lib.base import E2E, Proc, check, equal, need, test, until
from lib.daemon import Bed
from lib.rtp import Rtp
from lib.sip import sdp_text
from t_call import establish
from t_policy import bed_with, hang_up
from t_timers import TIMER, up
from t_trunks import answer


def timers(bed, number):
    """(interval, refresher) of both legs, None where there is no timer."""
    one = next(x for x in bed.d.calls() if x['to'] == number)
    legs = bed.d.get('/calls/' + one['id']).json['legs']
    return [(x['timer']['expires'], x['timer']['refresher']) if x['timer'] else None for x in legs]


@test()
def policy_timer_answer(t):
    """Session-Expires and refresher of our 2xx as a policy wrote them are the timer of the caller's leg; taken out, there is none"""
    bed = bed_with(t, 'policy se on send response {\n when method == INVITE and status == 200 and to.user == "9601" then set session-expires 300, set session-expires.refresher uas\n'
                      ' when method == INVITE and status == 200 and to.user == "9602" then remove session-expires, remove require["timer"]\n}\n', 'a')
    bed.d.start()
    c, i, r = up(bed, '9601', [TIMER, ('Session-Expires', '1800;refresher=uac')])
    equal(r.get('session-expires'), '300;refresher=uas', 'Session-Expires of the 200')
    equal(timers(bed, '9601')[0], (300, 'local'), 'timer of the caller\'s leg')
    hang_up(c, i)
    c, i, r = up(bed, '9602', [TIMER, ('Session-Expires', '1800;refresher=uac')])
    equal((r.get('session-expires'), timers(bed, '9602')[0]), ('', None), 'Session-Expires taken out')
    hang_up(c, i)


@test()
def policy_timer_received(t):
    """what a policy made of a received Session-Expires holds, in requests of the caller and answers of the callee"""
    bed = bed_with(t, 'policy rx on receive any {\n when has session-expires and method == INVITE then set session-expires 400, set session-expires.refresher uas\n}\n', at='system')
    bed.d.start()
    c, i, r = up(bed, '9611', [TIMER, ('Session-Expires', '1800;refresher=uac')], [TIMER, ('Session-Expires', '1800;refresher=uac')])
    equal(r.get('session-expires'), '400;refresher=uas', 'Session-Expires of the 200')
    equal(timers(bed, '9611'), [(400, 'local'), (400, 'peer')], 'timers')
    hang_up(c, i)


def no_timer(t, side, hook):
    bed = bed_with(t, 'policy nt on %s any {\n when has supported["timer"] then remove supported["timer"]\n}\n' % hook, side)
    bed.d.start()
    c, i, r = up(bed, '9621', [TIMER, ('Session-Expires', '1800;refresher=uac'), ('Min-SE', '100')], [('Session-Expires', '1800;refresher=uas')] if side == 'b' else [])
    m = i.inv if side == 'b' else r
    equal((m.get('session-expires'), m.get('min-se'), 'timer' in m.tokens('supported'), 'timer' in m.tokens('require')), ('', '', False, False), 'headers')
    k = timers(bed, '9621')
    equal(k[side == 'b'], None, 'timer of the leg')
    if side == 'b':
        equal(k[0], (1800, 'peer'), 'timer of the other leg')
    hang_up(c, i)


@test()
def policy_no_timer_sent(t):
    """`timer` taken from the Supported that the callee is told: no Session-Expires, no Min-SE and no timer on that leg, on the other as ever"""
    no_timer(t, 'b', 'send')


@test()
def policy_no_timer_answered(t):
    """the same of what the caller is told"""
    no_timer(t, 'a', 'send')


@test()
def policy_no_timer_received(t):
    """the same of what the caller says"""
    no_timer(t, 'a', 'receive')


@test()
def policy_strip_received(t):
    """UPDATE taken from what a peer says that it takes: it is not sent one, is not offered it any more, and its own gets 405 with that Allow"""
    bed = bed_with(t, 'policy rx on receive any {\n when has allow["UPDATE"] then remove allow["UPDATE"]\n}\n', 'a')
    bed.d.start()
    ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
    c = bed.a.call('9631', sdp=sdp_text(bed.a.ip, ra.port), headers=[('Allow', 'INVITE, ACK, BYE, CANCEL, UPDATE, INFO')])
    i = bed.b.await_call('9631')
    i.reply(200, sdp=sdp_text(bed.b.ip, rb.port), headers=[('Allow', 'INVITE, ACK, BYE, CANCEL, UPDATE')])
    r = c.wait(200)
    i.expect('ACK')
    check('UPDATE' not in r.tokens('allow') and 'BYE' in r.tokens('allow'), 'Allow of the 200: %s', r.get('Allow'))
    check('UPDATE' in i.inv.tokens('allow'), 'Allow to the other leg: %s', i.inv.get('Allow'))
    r = c.request('UPDATE').final()
    equal(r.status, 405, 'UPDATE of a')
    check(r.get('Allow') and 'UPDATE' not in r.tokens('allow'), 'Allow of the 405: %s', r.get('Allow'))
    tx = i.request('UPDATE', body=sdp_text(bed.b.ip, rb.port, direction='sendonly', version=2), ctype='application/sdp')
    m = c.expect('INVITE')
    c.reply(200, to=m, sdp=sdp_text(bed.a.ip, ra.port, direction='recvonly', version=2))
    equal(tx.final().status, 200, 'UPDATE of b')
    c.expect('ACK')
    hang_up(c, i)


@test()
def policy_after_a_killed_engine(t):
    """variables, tags, stripped methods, the mapping of From and To, and the version of what left last are known to the next engine"""
    bed = bed_with(t, 'policy all on send any {\n when has allow["UPDATE"] then remove allow["UPDATE"]\n'
                      ' when dialog == initial and method == INVITE and not has call.var["who"] then set call.var["who"] "${from.user}", tag seen, set from.user "4711", set to.user "4712", set sdp.audio.ptime 30\n'
                      ' when method == INFO then set header["X-Who"] "${call.var[\\"who\\"]}"\n}\n', 'b')
    bed.d.start()
    c, i, ra, rb = establish(bed, bed.a, bed.b, '9641', from_user='2009')
    check('a=ptime:30' in i.inv.sdp.text, 'ptime: %s', i.inv.sdp.text)
    check('4711' in i.inv.get('From') and '4712' in i.inv.get('To'), 'From and To: %s %s', i.inv.get('From'), i.inv.get('To'))
    old = bed.d.kill('engine')
    bed.d.restarted('engine', old)
    tx = c.request('INFO', body=b'x', ctype='application/x')
    m = i.expect('INFO')
    equal(m.get('X-Who'), '2009', 'variable')
    check('4711' in m.get('From') and '4712' in m.get('To'), 'From and To: %s %s', m.get('From'), m.get('To'))
    i.reply(200, to=m)
    tx.final()
    r = i.request('UPDATE').final()
    equal((r.status, 'UPDATE' in r.tokens('allow'), 'BYE' in r.tokens('allow')), (405, False, True), 'UPDATE of b')
    equal(next(x for x in bed.d.calls() if x['to'] == '9641')['tags'], ['seen'], 'tags')
    first = i.inv.sdp.origin
    c.reinvite(sdp_text(bed.a.ip, ra.port, direction='sendonly', version=2))
    m = i.expect('INVITE')
    equal(m.sdp.origin, (first[0], first[1] + 1), 'version of the next description')
    i.reply(200, to=m, sdp=sdp_text(bed.b.ip, rb.port, direction='recvonly', version=2))
    c.wait(200)
    i.expect('ACK')
    hang_up(c, i)


@test()
def policy_refresh_repeats(t):
    """a refresh of ours repeats the description as it left, byte for byte: actions on descriptions are not run again"""
    bed = bed_with(t, 'policy once on send request {\n when not has call.var["done"] then set sdp.audio.ptime 30, set call.var["done"] "1"\n}\n'
                      'policy soon on receive response {\n when status == 200 and method == INVITE then default session-expires 6, set session-expires.refresher uac\n}\n', 'b')
    bed.d.start()
    c, i, *_ = establish(bed, bed.a, bed.b, '9651')
    check('a=ptime:30' in i.inv.sdp.text, 'ptime: %s', i.inv.sdp.text)
    m = i.expect('INVITE', 6)
    equal(m.sdp.text, i.inv.sdp.text, 'description of the refresh')
    i.reply(200, to=m, sdp=sdp_text(bed.b.ip, 40000))
    i.expect('ACK')
    hang_up(c, i)


@test()
def policy_rate(t):
    """src.rate counts the requests of a source in the last second: what is over it is refused, a second later it is served again"""
    bed = bed_with(t, 'policy slow on receive request {\n when method == INVITE and src.rate > 5/s then reject 503 "Slow down"\n}\n', 'a')
    bed.d.start()
    calls = [bed.a.call('966%d' % k, sdp=sdp_text(bed.a.ip, 40000)) for k in range(8)]
    for c in calls[5:]:
        check('Slow down' in c.wait(503).start, 'no words')
    for k, c in enumerate(calls[:5]):
        bed.b.await_call('966%d' % k).reply(486)
        c.wait(486)
    time.sleep(2.1)
    c = bed.a.call('9669', sdp=sdp_text(bed.a.ip, 40000))
    bed.b.await_call('9669').reply(486)
    c.wait(486)


@test()
def policy_ack_received(t):
    """the ACK with the answer passes the receive hook; hop-by-hop ACKs pass none"""
    bed = bed_with(t, 'policy ack on receive request {\n when method == ACK then keep sdp.audio.codecs { PCMA }, count acks\n}\n', 'a')
    bed.d.start()
    ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
    c = bed.a.call('9671')
    i = bed.b.await_call('9671')
    i.reply(200, sdp=sdp_text(bed.b.ip, rb.port, formats='0 8'))
    r = c.wait(200, ack=False)
    c.ack(r, body=sdp_text(bed.a.ip, ra.port, formats='0 8'))
    m = i.expect('ACK')
    equal(m.sdp.formats(), ['8'], 'formats of the answer')
    hang_up(c, i)
    c = bed.a.call('9672', sdp=sdp_text(bed.a.ip, ra.port))
    bed.b.await_call('9672').reply(486)
    c.wait(486)
    until(lambda: any(x['value'] == 1 for x in bed.d.get('/stats').json['postern_policy_count_total'] if x['counter'] == 'acks'), 2, 'one ACK counted')


@test()
def policy_mid_dialog(t):
    """reject and drop of requests in a dialog; edits of their headers cross; BYE cannot be dropped"""
    bed = bed_with(t, 'policy mid on receive request {\n when dialog == mid and method == INVITE then reject 488 "Not now"\n when method == INFO and body.type == "application/drop" then drop\n'
                      ' when method == INFO then set header["X-Seen"] "${src.trunk}/${src.realm}/${call.direction}"\n when header["X-Drop"] == "1" then drop\n}\n', 'a')
    bed.d.start()
    c, i, ra, _ = establish(bed, bed.a, bed.b, '9681')
    c.reinvite(sdp_text(bed.a.ip, ra.port, direction='sendonly', version=2))
    r = c.wait(488)
    check('Not now' in r.start, 'words: %s', r.start)
    i.not_seen('INVITE', 0.2)
    c.request('INFO', body=b'x', ctype='application/drop')
    i.not_seen('INFO', 0.3)
    tx = c.request('INFO', body=b'x', ctype='application/x')
    m = i.expect('INFO')
    check(m.get('X-Seen').startswith('a/') and m.get('X-Seen').endswith('/in'), 'X-Seen: %s', m.get('X-Seen'))
    i.reply(200, to=m)
    equal(tx.final().status, 200, 'INFO')
    tx = c.request('BYE', headers=[('X-Drop', '1')])
    i.answer_bye()
    equal(tx.final().status, 200, 'BYE')
    equal(bed.d.counter('postern_policy_actions_skipped_total'), 1, 'a drop of BYE is counted')


SETS = '''include "lists.policy"
set @near ip { "127.0.0.0/8", "::1" }
set @odd regex { "^x[0-9]+$", "^anonymous" }
set @codes int { 480, 486 }
set @peers peer { a, b }
map %names string { "100" => "reception", "101" => "fax" }
policy sets on receive request from @peers {
    when src.ip in @near                 then set header["X-Near"] "yes"
    when from.user in @odd               then set header["X-Odd"] "yes"
    when ruri.user in @blocked           then reject 403 "Blocked"
    when from.user == "100"              then set from.display %names[from.user]
    when user-agent in @pests            then set header["X-Pest"] "yes"
    when ruri.user == "9699"             then route b
}
policy answers on receive response {
    when status in @codes then set status 600
}
'''


@test()
def policy_sets(t):
    """sets of every type, maps and an included file on live calls; a verdict `route` goes past the table of routes"""
    bed = Bed(t, start=False, system={'policies': ['sets']})
    bed.doc['policies'] = [{'id': 'sets', 'file': 'sets.policy'}]
    bed.doc['routes'] = [{'id': 'only', 'order': 1, 'match': {'to_user': '^969[0-8]$'}, 'to': 'b'}]
    bed.d.files['sets.policy'] = SETS
    bed.d.files['lists.policy'] = 'set @blocked string { "9690", "9691" }\nset @pests glob { "pest/*" }\n'
    bed.d.write()
    bed.d.start()
    r = bed.a.call('9690', sdp=sdp_text(bed.a.ip, 40000)).wait(403)
    check('Blocked' in r.start, 'string set: %s', r.start)
    c = bed.a.call('9692', sdp=sdp_text(bed.a.ip, 40000), from_user='x12', headers=[('User-Agent', 'pest/1')])
    i = bed.b.await_call('9692')
    equal((i.inv.get('X-Near'), i.inv.get('X-Odd'), i.inv.get('X-Pest')), ('yes', 'yes', 'yes'), 'ip, regex, glob')
    i.reply(486)
    c.wait(600)
    c = bed.a.call('9693', sdp=sdp_text(bed.a.ip, 40000), from_user='100')
    i = bed.b.await_call('9693')
    check('reception' in i.inv.get('From'), 'map: %s', i.inv.get('From'))
    equal((i.inv.get('X-Odd'), i.inv.get('X-Pest')), ('', ''), 'no match')
    i.reply(404)
    c.wait(404)
    c, i, *_ = establish(bed, bed.a, bed.b, '9699')
    one = next(x for x in bed.d.calls() if x['to'] == '9699')
    equal(one['route'], 'policy', 'route')
    hang_up(c, i)
    c = bed.a.call('9700', sdp=sdp_text(bed.a.ip, 40000))
    c.wait(404)


def load(t, bed, rate, seconds):
    """SIPp to SIPp at a rate without media: (caller, callee), processes."""
    need('sipp', 'hot reload under calls')
    folder = os.path.join(os.path.dirname(E2E), 'bench', 'sipp')
    out = []
    for side in ('b', 'a'):
        cwd = os.path.join(t.tmp, 'sipp-' + side)
        os.makedirs(cwd)
        argv = ['sipp', '-sf', os.path.join(folder, 'caller.xml' if side == 'a' else 'callee.xml'), '-i', t.party[side][0], '-p', str(t.party[side][1]), '-t', 'u1', '-nostdin', '-d', '300', '-s', '2000']
        if side == 'a':
            argv += ['-r', str(rate), '-rp', '1000', '-m', str(rate * seconds), '-timeout', '30s', '-timeout_error', '%s:%d' % t.at['a']]
        out.append(Proc(t, 'sipp', argv, cwd=cwd))
        if side == 'b':
            out[0].listens(*t.party[side])
    return out[1], out[0]


@test(seconds=60)
def policy_reload_under_load(t):
    """200 calls a second while the policy is exchanged again and again: no call fails, and counts are neither lost nor doubled"""
    text = 'policy mark on send request to b {\n set header["X-Mark"] "%d"\n when method == INVITE then count seen\n}\n'
    bed = Bed(t, start=False, ports=1200, system={'policies': ['p'], 'max_calls': 1000})
    bed.doc['policies'] = [{'id': 'p', 'file': 'p.policy'}]
    bed.d.files['p.policy'] = text % 0
    bed.d.write()
    bed.d.start()
    bed.a.close()
    bed.b.close()
    rate, seconds = 200, 5
    p, q = load(t, bed, rate, seconds)
    n, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        n += 1
        r = bed.d.http('PUT', '/policies/p', (text % n).encode(), ctype='text/plain')
        check(r.status == 200, 'PUT: %d %s', r.status, r.text)
        r = bed.d.http('PUT', '/policies/p', b'policy mark on send request {\n set headr["X"] "1"\n}\n', ctype='text/plain')
        equal(r.status, 422, 'a bad text')
        time.sleep(0.2)
    equal(p.wait(30), 0, 'SIPp: calls failed')
    q.end()
    check(n >= 5, 'only %d reloads', n)
    bed.d.no_calls(10)
    seen = [x['value'] for x in bed.d.get('/stats').json['postern_policy_count_total'] if x['counter'] == 'seen']
    equal(seen, [rate * seconds], 'INVITEs that were counted')
    check('"%d"' % n in bed.d.get('/policies/p').text, 'the last text')


@test()
def policy_hostile_expression(t):
    """(a+)+$ on a hostile header is bounded by its match limit: answered fast, counted, and taken as false"""
    bed = bed_with(t, 'policy evil on receive request {\n when header["X-Evil"] ~ "^(a+)+$" then reject 403\n when header["X-Evil"] ~ "(*NO_JIT)^(a|a?)+$" then reject 403\n}\n', 'a')
    bed.d.start()
    begin = time.monotonic()
    for k in range(5):
        c = bed.a.call('970%d' % k, sdp=sdp_text(bed.a.ip, 40000), headers=[('X-Evil', 'a' * 2000 + '!')])
        bed.b.await_call('970%d' % k).reply(486)
        c.wait(486)
    check(time.monotonic() - begin < 3, '%.1f s for five calls', time.monotonic() - begin)
    check(bed.d.counter('postern_regex_limit_total') >= 5, 'limits: %s', bed.d.counter('postern_regex_limit_total'))


@test()
def policy_on_probes(t):
    """probes pass the trunk's policies: their Contact is the name that a peer insists on, and what answers mean can be changed"""
    bed = Bed(t, start=False, trunk_b={'policies': ['p'], 'probe': {'enabled': True, 'interval': 1, 'timeout': 1, 'down_after': 1, 'up_after': 1}})
    bed.doc['policies'] = [{'id': 'p', 'file': 'p.policy'}]
    bed.d.files['p.policy'] = ('policy p on send request {\n when method == OPTIONS and dialog != initial then set contact.host "sbc.example.com"\n}\n'
                               'policy q on receive response {\n when method == OPTIONS and status == 403 then set status 503\n}\n')
    bed.d.write()
    bed.d.start()
    m = bed.b.take(lambda x: x.method == 'OPTIONS', 5, 'a probe')
    check('sbc.example.com' in m.get('Contact'), 'Contact: %s', m.get('Contact'))
    answer(bed.b, m, 403)
    until(lambda: bed.d.get('/trunks/b').json['targets'][0]['state'] == 'down', 4, 'the target down: 403 is 503 here')

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


def post(bed, path, body):
    return bed.d.http('POST', path, body)


@test()
def policy_notes(t):
    """tags in the list of calls, the call and its CDR; counters and hits in /stats, /metrics and `policy list`; what fired in the decisions"""
    bed = bed_with(t, 'policy mark on receive request {\n when from.user == "4711" then set call.var["who"] "x", tag cologne, count cologne-calls\n}\n'
                      'policy other on send response {\n when status == 200 and method == INVITE then set header["X-Answer"] "yes"\n}\n', 'a')
    bed.d.start()
    c, i, *_ = establish(bed, bed.a, bed.b, '9401', from_user='4711')
    call = bed.d.calls()[0]
    equal(call['tags'], ['cologne'], 'tags in the list')
    one = bed.d.get('/calls/' + call['id']).json
    equal((one['tags'], one['vars']), (['cologne'], {'who': 'x'}), 'tags and variables of the call')
    items = [x for x in bed.d.get('/calls/%s/decisions' % call['id']).json['items'] if x['kind'] == 'policy']
    equal([(x['policy'], x['line'], x['hook'], x['message'], x['leg'], x['count']) for x in items],
          [('mark', 2, 'receive', 'request', 'a', 1), ('other', 5, 'send', 'response', 'a', 1)], 'rules in the decisions')
    hang_up(c, i)
    cdr = bed.d.cdrs('9401')[0]
    equal(cdr['tags'], ['cologne'], 'tags of the CDR')
    items = [x for x in bed.d.get('/cdrs/%s/decisions' % call['id']).json['items'] if x['kind'] == 'policy']
    check(('mark', 2) in [(x['policy'], x['line']) for x in items] and all(x['time'] and x['last'] for x in items), 'rules in the decisions of the CDR: %s', items)
    stats = bed.d.get('/stats').json
    equal([x['value'] for x in stats['postern_policy_count_total'] if x['counter'] == 'cologne-calls'], [3], 'counter in /stats: INVITE, ACK, BYE')
    equal([x['value'] for x in stats['postern_policy_rule_hits_total'] if x['policy'] == 'other'], [1], 'hits in /stats')
    check('postern_policy_rule_hits_total{id="p",policy="other",rule="1",line="5"} 1' in bed.d.get('/metrics').text, 'hits in /metrics')
    check('postern_policy_rule_last_hit_seconds{id="p",policy="other"' in bed.d.get('/metrics').text, 'last hit in /metrics')
    r = bed.d.ctl('policy', 'list')
    check('cologne-calls' in r.stdout and 'X-Answer' in r.stdout and 'builtin-scanners' in r.stdout, 'policy list: %s', r.stdout)
    rule = [x for x in bed.d.items('/policies') if x['id'] == 'p'][0]['rules'][1]
    equal(rule['hits'], 1, 'hits in /policies')
    check(rule['last_hit'].startswith('2'), 'last hit: %s', rule['last_hit'])
    bed.d.kill('engine')
    until(lambda: bed.d.get('/health').status == 200, 5, 'the next engine')
    equal([x for x in bed.d.items('/policies') if x['id'] == 'p'][0]['rules'][1]['hits'], 1, 'hits after an engine restart')


@test()
def policy_shadow(t):
    """a policy in shadow changes nothing; what it would have done is counted, and the last messages are told by REST and posternctl"""
    text = ('policy quiet on send request {\n when method == INVITE then set header["X-Shadow"] "yes", set call.var["v"] "1", tag never\n'
            ' when ruri.user == "9503" then drop\n}\npolicy no on receive request {\n when ruri.user == "9502" then reject 603\n}\n')
    bed = Bed(t, start=False, trunk_b={'policies': ['p']}, trunk_a={'policies': ['p']})
    bed.doc['policies'] = [{'id': 'p', 'file': 'p.policy', 'shadow': True}]
    bed.d.files['p.policy'] = text
    bed.d.write()
    bed.d.start()
    equal(bed.d.get('/policies/p/shadow').json, {'count': 0, 'items': []}, 'before anything')
    for number in ('9501', '9502'):
        c, i, *_ = establish(bed, bed.a, bed.b, number)
        check(not i.inv.get('X-Shadow'), 'a shadow wrote into a message')
        equal(next(x for x in bed.d.calls() if x['to'] == number)['tags'], [], 'a shadow tagged')
        hang_up(c, i)
    s = bed.d.get('/policies/p/shadow').json
    equal(s['count'], 3, 'messages')
    check(all(set(x) >= {'time', 'before', 'after'} for x in s['items']), 'items: %s', s)
    equal([x['verdict'] for x in s['items']], [None, 'reject 603', None], 'verdicts, newest first')
    last = s['items'][0]
    check('X-Shadow' not in last['before'] and 'X-Shadow: yes' in last['after'] and last['before'].startswith('INVITE sip:9502'), 'item: %s', last)
    check('a=rtpmap' in last['after'] or 'm=audio' in last['after'], 'the body is lost: %s', last['after'])
    r = bed.d.ctl('policy', 'shadow', 'p')
    check('+ X-Shadow: yes' in r.stdout and 'reject 603' in r.stdout and '3 messages' in r.stdout, 'posternctl: %s', r.stdout)
    equal(bed.d.get('/policies/nobody/shadow').status, 404, 'shadow of nobody')
    until(lambda: bed.d.counter('postern_policy_shadows_total') == 3, 2, 'the counter')
    # what a shadow keeps of a message has no keys, wherever they stand in it
    c = bed.a.call('9502', sdp=sdp_text(bed.a.ip, 40000, extra=['k=clear:T1AhaGFz', 'a=crypto:1 inline:dGhlc2VjcmV0', 'a=key-mgmt:mikey AQAFgM0X']))
    bed.b.await_call('9502').reply(486)
    c.wait(486)
    text = bed.d.get('/policies/p/shadow').text
    check('k=***' in text, 'the line of the key: %s', text[:600])
    check(not [k for k in ('T1AhaGFz', 'dGhlc2VjcmV0', 'AQAFgM0X') if k in text], 'keys in what a shadow keeps: %s', text[:3000])


@test()
def policy_trial(t):
    """POST /policies/{id}/test: rules that fired, the message before and after, the verdict; what is wrong with the question"""
    bed = bed_with(t, 'policy p on send request to b {\n when from.user ~ "^0" then set from.user "+49"\n}\npolicy q on receive request {\n when ruri.user == "1" then reject 603 "No"\n}\n')
    bed.d.start()
    msg = 'INVITE sip:1@x SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.1\nFrom: <sip:030@x>;tag=1\nTo: <sip:1@x>\nCall-ID: c\nCSeq: 1 INVITE\n\n'
    r = post(bed, '/policies/p/test', {'message': msg, 'direction': 'send', 'trunk': 'b'})
    equal(r.status, 200, 'status')
    equal([(x['policy'], x['line']) for x in r.json['rules']], [('p', 2)], 'rules')
    check('sip:030@x' in r.json['before'] and 'sip:+49@x' in r.json['after'] and '+ From' in r.json['diff'], 'before and after: %s', r.json)
    equal(r.json['verdict']['action'], 'pass', 'verdict')
    r = post(bed, '/policies/p/test', {'message': msg, 'direction': 'send', 'trunk': 'a'})
    equal((r.json['rules'], r.json['before']), ([], r.json['after']), 'towards another trunk')
    r = post(bed, '/policies/p/test', {'message': msg, 'direction': 'receive', 'trunk': 'a'})
    equal(r.json['verdict'], {'action': 'reject', 'status': 603, 'text': 'No'}, 'verdict')
    for body, pointer in (({'message': 'x'}, '/message'), ({'direction': 'send'}, '/message'), ({'message': msg, 'direction': 'up'}, '/direction'),
                          ({'message': msg, 'trunk': 'z'}, '/trunk'), ({'message': msg, 'x': 1}, '/x'), ({'message': 5}, '/message')):
        r = post(bed, '/policies/p/test', body)
        equal((r.status, r.json['errors'][0]['pointer']), (422, pointer), 'answer to %s' % body)
    equal(post(bed, '/policies/z/test', {'message': msg}).status, 404, 'no such policy')
    paths = bed.d.get('/openapi.json').json['paths']
    check('post' in paths['/policies/{id}/test'] and 'get' in paths['/policies/{id}/shadow'] and 'get' in paths['/policies'], 'not in openapi.json')

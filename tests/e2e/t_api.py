# SPDX-License-Identifier: Apache-2.0
"""REST, metrics, posternctl: what a live daemon tells, and calls ended from outside."""
import http.client
import json
import re
import socket
import subprocess
import time

from lib.base import SLOW, check, equal, need, test, until
from lib.daemon import Bed
from lib.sip import sdp_text
from t_call import establish

TIME = re.compile(r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)$')


@test()
def rest_health(t):
    """200 and ok without a token; the processes with one"""
    bed = Bed(t)
    # `degraded` until every role has its spare
    until(lambda: bed.d.get('/health', token=None).json == {'status': 'ok'}, 5, lambda: 'ok from /health: %s' % bed.d.get('/health', token=None).text)
    equal(bed.d.get('/health', token=None).status, 200, 'health without a token')
    p = bed.d.get('/health').json['processes']
    equal(sorted(x['role'] for x in p), ['admin', 'engine', 'media', 'supervisor'], 'roles')
    check(all({'role', 'pid', 'restarts', 'since'} <= set(x) for x in p), 'fields: %s', p)
    check({x['pid'] for x in p} <= bed.d.family(), 'pids: %s', p)


@test()
def rest_authorization(t):
    """401 without or with a wrong token, on every path but /health; problem+json"""
    bed = Bed(t)
    for path in ('/config', '/calls', '/cdrs', '/trunks', '/stats', '/metrics', '/config/system', '/calls/x'):
        for token in (None, 'wrong', '', 'x' * 5000):
            r = bed.d.get(path, token=token or None)
            equal(r.status, 401, 'GET %s with token %.10r' % (path, token))
    r = bed.d.get('/calls', token='wrong')
    check(r.headers.get('Content-Type', '').startswith('application/problem+json'), 'type of an error: %s', r.headers.get('Content-Type'))
    equal(bed.d.get('/calls', token=None, headers={'Authorization': 'Basic YTpi'}).status, 401, 'Basic')


@test()
def rest_errors(t):
    """404, 405, problem+json bodies; odd limits are 400"""
    bed = Bed(t)
    for method, path, status in (('GET', '/no-such', 404), ('GET', '/calls/nosuch', 404), ('DELETE', '/calls/nosuch', 404), ('GET', '/trunks/nosuch', 404), ('GET', '/cdrs/nosuch', 404),
                                 ('POST', '/health', 405), ('DELETE', '/stats', 405), ('GET', '/calls?limit=x', 400), ('GET', '/calls?limit=-1', 400), ('GET', '/cdrs?limit=x', 400)):
        r = bed.d.http(method, path)
        equal(r.status, status, '%s %s' % (method, path))
        check(r.headers.get('Content-Type', '').startswith('application/problem+json'), '%s %s: type %s', method, path, r.headers.get('Content-Type'))
        j = r.json
        check(j.get('status') == status and j.get('title'), 'problem of %s %s: %s', method, path, j)
    equal(bed.d.get('/calls?limit=5000').status, 200, 'limit over 1,000 is capped')
    check(bed.d.http('POST', '/health').headers.get('Allow'), 'no Allow in a 405')


@test()
def rest_config(t):
    """GET /config is the document, secrets hidden, ETag is the revision; collections and single objects"""
    bed = Bed(t, start=False, trunk_a={'auth': {'username': 'u', 'password': 'a-secret-word'}})
    bed.d.start()
    r = bed.d.get('/config')
    check(r.headers.get('ETag'), 'no ETag')
    j = r.json
    equal([x['id'] for x in j['trunks']], ['a', 'b'], 'trunks')
    equal(j['trunks'][0]['auth']['password'], '***', 'password')
    check('a-secret-word' not in r.text and 'a-secret-word' not in bed.d.log(), 'a secret is told')
    equal(j['system']['name'], 'e2e', 'system.name')


@test()
def rest_calls(t):
    """a call in GET /calls and /calls/{id} with the fixed names; filters, pages; gone when it has ended"""
    bed = Bed(t)
    held = [establish(bed, bed.a, bed.b, '80%02d' % n, from_user='4930%02d' % n) for n in range(5)]
    rows = bed.d.calls()
    equal(len(rows), 5, 'calls')
    c, i = held[2][:2]
    row = next(x for x in rows if '8002' in json.dumps(x['to']))
    j = bed.d.get('/calls/%s' % row['id']).json
    missing = [k for k in ('id', 'state', 'from', 'to', 'started', 'answered', 'legs') if k not in j]
    missing += [k for leg in j['legs'] for k in ('trunk', 'realm', 'call_id', 'direction', 'target', 'sdp_in', 'sdp_out', 'timer', 'media') if k not in leg]
    check(not missing, 'missing: %s', missing)
    equal([(x['trunk'], x['realm'], x['call_id']) for x in j['legs']], [('a', 'core', c.call_id), ('b', 'peering', i.call_id)], 'legs')
    check('493002' in json.dumps(j['from']), 'from: %s', j['from'])
    check(TIME.match(j['started']) and TIME.match(j['answered']), 'times: %s %s', j['started'], j['answered'])
    check(str(held[2][2].port) in j['legs'][0]['sdp_in'], 'sdp_in: %s', j['legs'][0]['sdp_in'])
    # pages
    seen, after = [], ''
    for _ in range(6):
        r = bed.d.get('/calls?limit=2' + (('&after=' + after) if after else '')).json
        seen += [x['id'] for x in r['items']]
        after = r.get('next')
        if not after:
            break
    equal(sorted(seen), sorted(x['id'] for x in rows), 'ids by pages of two')
    equal([x['id'] for x in bed.d.get('/calls?number=8002').json['items']], [row['id']], 'filter by number')
    equal(len(bed.d.get('/calls?trunk=b').json['items']), 5, 'filter by trunk')
    equal(len(bed.d.get('/calls?trunk=nosuch').json['items']), 0, 'filter by an unknown trunk')
    for h in held:
        tx = h[0].request('BYE')
        h[1].answer_bye()
        tx.final()
    bed.d.no_calls()
    equal(bed.d.get('/calls/%s' % row['id']).status, 404, 'an ended call')


@test()
def rest_call_delete(t):
    """DELETE of an established call: BYE to both sides, CDR ended by the API; of a ringing one: CANCEL and a final status"""
    bed = Bed(t)
    c, i, _, _ = establish(bed, bed.a, bed.b, '8100')
    row = bed.d.calls()[0]
    st = bed.d.delete('/calls/%s' % row['id']).status
    check(st in (200, 202, 204), 'DELETE: %d', st)
    c.answer_bye()
    i.answer_bye()
    cdr = bed.d.cdrs('8100')
    equal(len(cdr), 1, 'CDRs')
    check(cdr[0]['ended_by'] not in ('a', 'b', None, ''), 'ended_by: %s', cdr[0]['ended_by'])
    c = bed.a.call('8101', sdp=sdp_text(bed.a.ip, 30000))
    i = bed.b.await_call('8101')
    i.reply(180)
    c.wait(180)
    row = bed.d.calls()[0]
    bed.d.delete('/calls/%s' % row['id'])
    k = i.expect('CANCEL')
    i.reply(200, to=k)
    i.reply(487)
    c.wait(lambda m: m.status >= 300)
    bed.d.no_calls()


@test()
def rest_cdrs(t):
    """CDRs with the fixed names, newest first, by pages, one by id; answered, refused and cancelled calls; times in order"""
    bed = Bed(t)
    c, i, _, _ = establish(bed, bed.a, bed.b, '8200', from_user='4930')
    time.sleep(0.3)
    tx = i.request('BYE')
    c.answer_bye()
    tx.final()
    c2 = bed.a.call('8201', sdp=sdp_text(bed.a.ip, 30000))
    bed.b.await_call('8201').reply(404)
    c2.wait({404})
    row = bed.d.cdrs('8200')[0]
    missing = [k for k in ('id', 'call_id_a', 'call_id_b', 'from', 'to', 'trunk_in', 'trunk_out', 'route', 'start', 'ringing', 'answer', 'end', 'status', 'cause', 'ended_by', 'targets', 'quality') if k not in row]
    check(not missing, 'missing: %s', missing)
    equal((row['call_id_a'], row['call_id_b'], row['trunk_in'], row['trunk_out'], row['route'], row['status']), (c.call_id, i.call_id, 'a', 'b', 'a-b', 200), 'CDR')
    for k in ('start', 'ringing', 'answer', 'end'):
        check(TIME.match(row[k] or ''), '%s: %r', k, row[k])
    check(row['start'] <= row['ringing'] <= row['answer'] < row['end'], 'times: %s', row)
    check(isinstance(row['targets'], list), 'targets: %s', row['targets'])
    equal(bed.d.cdrs('8201')[0]['status'], 404, 'status of a refused call')
    equal(bed.d.get('/cdrs/%s' % row['id']).json['id'], row['id'], 'CDR by id')
    items = bed.d.items('/cdrs')
    equal([x['start'] for x in items], sorted((x['start'] for x in items), reverse=True), 'newest first')
    one = bed.d.get('/cdrs?limit=1').json
    equal(len(one['items']), 1, 'limit')
    check(one.get('next'), 'no next')
    two = bed.d.get('/cdrs?limit=1&after=' + one['next']).json
    check(two['items'][0]['id'] != one['items'][0]['id'], 'the second page is the first')
    bed.d.stop()
    bed.d.start()
    equal(len(bed.d.cdrs('8200')), 1, 'CDRs after a restart of all')


@test()
def rest_trunks(t):
    """state per trunk and target, calls counted while they last"""
    bed = Bed(t)
    c, i, _, _ = establish(bed, bed.a, bed.b, '8300')
    rows = {x['id']: x for x in bed.d.items('/trunks')}
    equal(sorted(rows), ['a', 'b'], 'trunks')
    one = bed.d.get('/trunks/b').json
    target = one['targets'][0]
    missing = [k for k in ('uri', 'address', 'port', 'transport', 'priority', 'weight', 'state', 'reason', 'since', 'calls') if k not in target]
    check(not missing, 'missing: %s', missing)
    equal((target['address'], target['port'], target['transport'], target['state']), (*t.party['b'], 'udp', 'up'), 'target')
    equal(target['calls'], 1, 'calls at the target')
    tx = c.request('BYE')
    i.answer_bye()
    tx.final()
    until(lambda: bed.d.get('/trunks/b').json['targets'][0]['calls'] == 0, 3, 'no call at the target')


@test()
def rest_stats_and_metrics(t):
    """JSON counters; Prometheus text that promtool takes without a word; they move with calls and only upwards"""
    promtool = need('promtool', 'metrics are good Prometheus text')
    bed = Bed(t)
    before = bed.d.counter('postern_calls_answered_total')
    c, i, _, _ = establish(bed, bed.a, bed.b, '8400')
    tx = c.request('BYE')
    i.answer_bye()
    tx.final()
    until(lambda: bed.d.counter('postern_calls_answered_total') == before + 1, 3, 'postern_calls_answered_total rises by one')
    check(bed.d.counter('postern_sip_messages_received_total') >= 4, 'messages received')
    check(isinstance(bed.d.get('/stats').json, dict), 'stats')
    r = bed.d.get('/metrics')
    check(r.headers.get('Content-Type', '').startswith('text/plain'), 'type %s', r.headers.get('Content-Type'))
    p = subprocess.run([promtool, 'check', 'metrics'], input=r.text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20 * SLOW)
    equal((p.returncode, p.stdout.strip()), (0, ''), 'promtool')


@test()
def metrics_survive_a_restart(t):
    """counters of a role that died go on, they do not start at 0"""
    bed = Bed(t)
    c, i, _, _ = establish(bed, bed.a, bed.b, '8401')
    before = bed.d.counter('postern_calls_answered_total')
    bed.d.restarted('engine', bed.d.kill('engine'))
    check(bed.d.counter('postern_calls_answered_total') >= before >= 1, 'counter fell back')
    tx = c.request('BYE')
    i.answer_bye()
    tx.final()


@test()
def rest_bad_requests(t):
    """malformed and huge HTTP: refused, closed or ignored, a call and the API are not disturbed"""
    bed = Bed(t)
    c, i, _, _ = establish(bed, bed.a, bed.b, '8500')
    for data in (b'GET / HTTP/9.9\r\n\r\n', b'\0' * 500, b'GET /' + b'a' * 100000 + b' HTTP/1.1\r\n\r\n', b'POST /api/v1/config HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n',
                 b'PUT /api/v1/config HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n', b'GET /api/v1/calls/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n',
                 b'GET /api/v1/%00%ff HTTP/1.1\r\nHost: x\r\n\r\n', b'GET /api/v1/calls HTTP/1.1\r\n' + b'X: y\r\n' * 20000 + b'\r\n'):
        s = socket.create_connection(bed.d.api, 3)
        s.settimeout(1)
        try:
            s.sendall(data)
            got = s.recv(2000)
            check(b'root:' not in got and not got.startswith(b'HTTP/1.1 2'), '%r... was answered %r', data[:30], got[:60])
        except OSError:
            pass
        s.close()
    r = bed.d.http('PUT', '/config', body=b'x' * 3000000)
    check(400 <= r.status < 500, 'a huge body with a token: %d', r.status)
    idle = [socket.create_connection(bed.d.api, 3) for _ in range(40)]
    equal(bed.d.get('/health').status, 200, 'health beside 40 idle connections')
    for s in idle:
        s.close()
    tx = c.request('BYE')
    i.answer_bye()
    equal(tx.final().status, 200, 'BYE')


@test()
def rest_keep_alive_and_head(t):
    """several requests on one connection"""
    bed = Bed(t)
    h = http.client.HTTPConnection(*bed.d.api, timeout=5)
    for _ in range(3):
        h.request('GET', '/api/v1/trunks', headers={'Authorization': 'Bearer ' + bed.d.token})
        r = h.getresponse()
        equal(r.status, 200, 'status')
        json.loads(r.read())
    h.close()


@test()
def posternctl(t):
    """status, call list, show, end; exit codes"""
    bed = Bed(t)
    c, i, _, _ = establish(bed, bed.a, bed.b, '8600')
    r = bed.d.ctl('status')
    equal(r.returncode, 0, 'status: %s; exit code' % r.stdout)
    check(all(w in r.stdout for w in ('engine', 'media', 'admin')), 'status: %s', r.stdout)
    r = bed.d.ctl('call', 'list')
    call = bed.d.calls()[0]['id']
    check(r.returncode == 0 and str(call) in r.stdout and '8600' in r.stdout, 'call list: %s', r.stdout)
    r = bed.d.ctl('call', 'show', str(call))
    check(r.returncode == 0 and c.call_id in r.stdout and i.call_id in r.stdout, 'call show: %s', r.stdout)
    r = bed.d.ctl('call', 'end', str(call))
    equal(r.returncode, 0, 'call end: %s; exit code' % r.stdout)
    c.answer_bye()
    i.answer_bye()
    bed.d.no_calls()
    check(bed.d.ctl('call', 'show', 'nosuch').returncode != 0, 'show of no call is 0')
    check(bed.d.ctl('no-such-command').returncode != 0, 'an unknown command is 0')


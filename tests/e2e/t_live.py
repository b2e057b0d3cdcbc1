# SPDX-License-Identifier: Apache-2.0
"""What can be seen of a call: its messages as they were on the wire, and why it went as it went."""
import json
import os
import re
import subprocess
import tempfile
import time

from lib.base import Proc, ROOT, SLOW, check, equal, need, test, until
from lib.daemon import Bed, Postern, document
from lib.sip import sdp_text
from lib.srtp import Srtp
from t_call import establish
from t_srtp import SUITES, bed_with, establish as establish_srtp
from t_trunks import House


def messages(bed, path):
    r = bed.d.get(path + '?format=json')
    equal(r.status, 200, 'GET %s' % path)
    return r.json


def dissect(t, pcap, ports):
    """What tshark sees: [(method or status, Call-ID, source, destination, malformed)]."""
    tshark = need('tshark', 'capture files of calls are read by tshark')
    with tempfile.NamedTemporaryFile(suffix='.pcap') as f:
        f.write(pcap)
        f.flush()
        q = subprocess.run([tshark, '-r', f.name, '-o', 'sip.tcp.port:1-65535'] + [x for p in ports for x in ('-d', 'udp.port==%s,sip' % p)] +
                           ['-Y', 'sip', '-T', 'fields', '-e', 'sip.Method', '-e', 'sip.Status-Code', '-e', 'sip.Call-ID', '-e', 'ip.src', '-e', 'ip.dst', '-e', '_ws.malformed'],
                           capture_output=True, text=True, timeout=30)
    equal(q.returncode, 0, 'tshark: %s' % q.stderr[-200:])
    rows = [x.split('\t') for x in q.stdout.splitlines()]
    check(not any(r[5] for r in rows), 'malformed packets: %s', rows)
    return [(r[0] or r[1], r[2], r[3], r[4]) for r in rows]


def m_call_id(c, i, leg):
    return c.call_id if leg == 'a' else i.call_id


def wire(agent, arrow, call_id):
    """Texts that an agent sent (->) or got (<-) of a dialog."""
    return [text for _, a, text in agent.trace if a == arrow and 'Call-ID: ' + call_id in text]


def kind(m):
    """INVITE, 200 ..."""
    words = m['start'].split()
    return words[1] if words[0] == 'SIP/2.0' else words[0]


def one_call(t, bed, number):
    """A call with ringing and an INFO, which stands. @return (caller, callee, messages of the live call)"""
    c = bed.a.call(number, sdp=sdp_text(bed.a.ip, 30000))
    i = bed.b.await_call(number)
    i.reply(180)
    c.wait(180)
    i.reply(200, sdp=sdp_text(bed.b.ip, 30002))
    c.wait(200)
    i.expect('ACK')
    tx = c.request('INFO', body=b'Signal=5\r\n', ctype='application/x-note')
    i.reply(200, to=i.expect('INFO'))
    tx.final()
    cid = bed.d.calls()[0]['id']
    return c, i, cid


WHOLE = ['INVITE', '100', 'INVITE', '180', '180', '200', '200', 'ACK', 'ACK', 'INFO', 'INFO', '200', '200']


def look(t, bed, number):
    """Both legs, in order, byte for byte, in all three forms; after the end under the CDR."""
    c, i, cid = one_call(t, bed, number)
    path = '/calls/%s/messages' % cid
    j = messages(bed, path)
    items = j['items']
    equal(j['overwritten'], False, 'overwritten')
    # the 200 may leave before or after the ACK to the callee
    equal(sorted(map(kind, items)), sorted(WHOLE), 'messages')
    equal([kind(m) for m in items][:6], WHOLE[:6], 'the first ones')
    equal({m['call_id'] for m in items}, {c.call_id, i.call_id}, 'Call-IDs')
    equal({m['leg'] for m in items if m['call_id'] == c.call_id}, {'a'}, 'leg of the caller')
    inv = items[0]
    equal((inv['direction'], inv['transport'], inv['leg']), ('in', bed.a.transport, 'a'), 'the first message')
    for leg, agent in (('a', bed.a), ('b', bed.b)):
        for direction, arrow in (('in', '->'), ('out', '<-')):
            equal([m['text'] for m in items if (m['leg'], m['direction']) == (leg, direction)], wire(agent, arrow, m_call_id(c, i, leg)),
                  'messages %s on leg %s, as the party saw them' % (direction, leg))
    check(inv['source'].startswith(bed.a.ip + ':') and items[2]['destination'] == '%s:%d' % (bed.b.ip, bed.b.port), 'addresses: %s %s', inv, items[2])
    equal(sorted(m['time_us'] for m in items), [m['time_us'] for m in items], 'times in order')
    text = bed.d.get(path + '?format=text')
    check(text.headers['Content-Type'].startswith('text/plain'), 'type: %s', text.headers['Content-Type'])
    ladder = text.text.split('\n---- 1 ----')[0].splitlines()
    equal(len([x for x in ladder if '|' in x]), len(items), 'steps of the ladder')
    check(any('INVITE (SDP)' in x for x in ladder), 'ladder: %s', ladder)
    seen = dissect(t, bed.d.get(path + '?format=pcap').body, {x.rsplit(':', 1)[1] for m in items for x in (m['source'], m['destination'])})
    equal([(k, c_) for k, c_, _, _ in seen], [(kind(m), m['call_id']) for m in items], 'what tshark sees')
    equal([s for _, _, s, _ in seen], [m['source'].rsplit(':', 1)[0] for m in items], 'sources that tshark sees')
    tx = c.request('BYE')
    i.answer_bye()
    tx.final()
    bed.d.cdrs(number)
    j = messages(bed, '/cdrs/%s/messages' % cid)
    equal(sorted(kind(m) for m in j['items'][len(items):]), ['200', '200', 'BYE', 'BYE'], 'messages after the end')
    equal(bed.d.get('/cdrs/%s/messages?format=gif' % cid).status, 400, 'format=gif')


@test()
def messages_udp(t):
    """every message of both legs over UDP as it was on the wire, in order, as JSON, ladder and pcap; under the CDR after the end"""
    look(t, Bed(t), '9001')


@test()
def messages_tcp(t):
    """the same over TCP"""
    look(t, Bed(t, a='tcp', b='tcp'), '9002')


@test()
def messages_tls(t):
    """the same over TLS, in the clear"""
    look(t, Bed(t, a='tls', b='tls'), '9003')


@test()
def messages_of_a_hunt(t):
    """the messages to each target that was tried belong to the call, and its decisions name trunk, route and targets with their outcome"""
    h = House(t)
    c = h.call()
    i = h.b[0].await_call('2001')
    i.reply(503)
    i.expect('ACK')
    x, j = h.asked('2001')
    j.reply(200, sdp=sdp_text(x.ip, 30000))
    c.wait(200)
    j.expect('ACK')
    cid = h.d.calls()[0]['id']
    items = h.d.get('/calls/%s/messages' % cid).json['items']
    equal({m['call_id'] for m in items}, {c.call_id, i.call_id, j.call_id}, 'Call-IDs')
    live = h.d.get('/calls/%s/decisions' % cid).json['items']
    equal([d['kind'] for d in live], ['trunk', 'route', 'target', 'target'], 'decisions')
    h.d.kill('engine')
    until(lambda: h.d.get('/calls/%s/decisions' % cid).status == 200 and len(h.d.calls()) == 1, 5, 'the next engine')
    time.sleep(0.3)
    c.request('BYE')
    j.answer_bye()
    cdr = h.d.cdrs('2001')[0]
    ended = h.d.get('/cdrs/%s/decisions' % cid).json['items']
    for items in (live, ended):
        targets = [d for d in items if d['kind'] == 'target']
        equal([d['call_id'] for d in targets], [i.call_id, j.call_id], 'dialogs of the targets')
        equal((targets[0]['status'], targets[0]['outcome']), (503, 'rejected'), 'the first target')
        equal(items[0]['trunk'], cdr['trunk_in'], 'the trunk that matched')
        equal(items[1]['route'], cdr['route'], 'the route')
    equal((targets[1]['status'], targets[1]['outcome']), (200, 'answered'), 'the second target, in the CDR')
    equal(h.d.get('/cdrs/nosuch/decisions').status, 404, 'decisions of no call')


@test()
def messages_hide_secrets(t):
    """credentials and SDP keys are stars of the same length in the ring; the rest of the line is there"""
    bed = bed_with(t, 'sdes', 'sdes')
    ra, rb = Srtp(t, bed.a.ip, SUITES), Srtp(t, bed.b.ip, SUITES)
    c, i = establish_srtp(bed, ra, rb, '9201')
    tx = c.request('INFO', headers=[('Authorization', 'Digest username="u", response="0123456789abcdef0123456789abcdef"'),
                                       ('Proxy-Authorization', 'Basic dXNlcjpwYXNzd29yZA==')])
    i.reply(200, to=i.expect('INFO'))
    tx.final()
    # a datagram that goes on behind its body, with an empty line where the body would begin if it were its end
    m = c.build('INFO', body='a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:T1AhaGFzdGhlc2VjcmV0a2V5\r\n')
    bed.a.transmit(m.bytes() + b'\r\n\r\n' + b'x' * len(m.body))
    i.reply(200, to=i.expect('INFO'))
    bed.a.take(lambda r: r.status == 200 and r.branch == m.branch, what='answer to the long datagram')
    j = messages(bed, '/calls/%s/messages' % bed.d.calls()[0]['id'])
    texts = json.dumps(j) + bed.d.get('/calls/%s/messages?format=text' % bed.d.calls()[0]['id']).text
    for k in set(re.findall(r'inline:([A-Za-z0-9+/]+)', c.rsdp.text + i.rsdp.text)):
        check(k not in texts, 'a key can be read')
    check('0123456789abcdef' not in texts and 'dXNlcjpwYXNzd29yZA' not in texts, 'credentials can be read')
    check('xxxxxxxx' in texts and 'T1AhaGFzdGhl' not in texts, 'a key of a datagram that is longer than its message can be read')
    check('Authorization: Digest' in texts and 'Authorization: Basic ***' in texts, 'the schemes are there')
    inv = j['items'][0]['text']
    sent = wire(bed.a, '->', c.call_id)[0]
    equal(len(inv), len(sent), 'length of the INVITE')
    check(re.search(r'a=crypto:1 \w+ inline:\*+\r\n', inv), 'the line with stars: %s', inv)


@test()
def messages_overwritten(t):
    """a small ring: what is overwritten is counted, and the list says so; strangers and OPTIONS leave nothing in it"""
    bed = Bed(t, system={'trace': {'bytes': 32768}})
    c, i, cid = one_call(t, bed, '9301')
    written = bed.d.counter('postern_trace_messages_total')
    for _ in range(5):
        bed.a.ask('OPTIONS')
    equal(bed.d.counter('postern_trace_messages_total'), written, 'messages in the ring after OPTIONS')
    equal(messages(bed, '/calls/%s/messages' % cid)['overwritten'], False, 'overwritten')
    for n in range(20):
        tx = c.request('INFO', body=b'x' * 1500, ctype='text/plain')
        i.reply(200, to=i.expect('INFO'))
        tx.final()
    j = messages(bed, '/calls/%s/messages' % cid)
    equal(j['overwritten'], True, 'overwritten')
    check(3 < len(j['items']) < 60, 'messages that are left: %d', len(j['items']))
    check(bed.d.counter('postern_trace_overwritten_total') > 20, 'counted')
    check('missing' in bed.d.get('/calls/%s/messages?format=text' % cid).text, 'the ladder says so')


@test()
def messages_off(t):
    """trace.bytes 0: no ring, an empty list that says that some are missing"""
    bed = Bed(t, system={'trace': {'bytes': 0}})
    c, i, cid = one_call(t, bed, '9401')
    j = messages(bed, '/calls/%s/messages' % cid)
    equal((j['items'], j['overwritten']), ([], True), 'messages')
    equal(bed.d.counter('postern_trace_messages_total'), 0, 'written')


@test()
def messages_survive_the_engine(t):
    """kill -9 of the engine: the messages before are still there, and the next ones follow them"""
    bed = Bed(t)
    c, i, cid = one_call(t, bed, '9501')
    before = messages(bed, '/calls/%s/messages' % cid)['items']
    old = bed.d.kill('engine')
    bed.d.restarted('engine', old)
    tx = c.request('INFO', body=b'Signal=6\r\n', ctype='application/x-note')
    i.reply(200, to=i.expect('INFO'))
    tx.final()
    j = messages(bed, '/calls/%s/messages' % cid)
    equal(j['items'][:len(before)], before, 'what was there before')
    equal(sorted(kind(m) for m in j['items'][len(before):]), ['200', '200', 'INFO', 'INFO'], 'what came after')
    equal(j['overwritten'], False, 'overwritten')


MONITORING = os.path.join(ROOT, 'examples', 'monitoring')


def sip_responses(bed):
    return {(r['direction'], r['class']): r['value'] for r in bed.d.get('/stats').json['postern_sip_responses_total']}


@test()
def metrics_for_prometheus(t):
    """set-up times as histograms, responses by class, target states, queues; promtool takes them; /stats has the same rows; they outlive an engine"""
    bed = Bed(t)
    before = sip_responses(bed)
    c, i, cid = one_call(t, bed, '9601')
    time.sleep(1.1)
    tx = c.request('BYE')
    i.answer_bye()
    tx.final()
    bed.d.cdrs('9601')
    more = {k: n - before[k] for k, n in sip_responses(bed).items() if n != before[k]}
    equal(more, {('in', '1xx'): 1, ('in', '2xx'): 3, ('out', '1xx'): 2, ('out', '2xx'): 3}, 'responses by direction and class')
    old = bed.d.kill('engine')
    bed.d.restarted('engine', old)
    text = bed.d.get('/metrics').text
    q = subprocess.run([need('promtool', 'the metrics are what Prometheus wants'), 'check', 'metrics'], input=text, capture_output=True, text=True, timeout=10)
    equal((q.returncode, q.stderr), (0, ''), 'promtool check metrics')
    rows = dict(re.findall(r'(?m)^([a-z_]+(?:\{[^}]*\})?) (\S+)$', text))
    for name in ('post_dial_delay', 'setup', 'duration'):
        name = 'postern_call_%s_seconds' % name
        check('# TYPE %s histogram' % name in text, 'type of %s', name)
        buckets = [float(v) for v in re.findall(r'(?m)^%s_bucket\{le="[^"]+"\} (\S+)$' % name, text)]
        equal((buckets[-1], rows[name + '_count']), (1.0, '1'), 'calls in ' + name)
        check(buckets == sorted(buckets), 'buckets of %s: %s', name, buckets)
    check(1.0 < float(rows['postern_call_duration_seconds_sum']) < 5 * SLOW, 'sum of the duration: %s', rows['postern_call_duration_seconds_sum'])
    check(float(rows['postern_call_post_dial_delay_seconds_bucket{le="1"}']) == 1, 'the call rang within a second')
    equal(rows['postern_targets{state="up"}'], '2', 'targets that are up')
    stats = bed.d.get('/stats').json
    names = set(re.findall(r'(?m)^([a-z_]+)[ {]', text))
    equal(names - set(stats), set(), 'rows that /stats lacks')


@test()
def monitoring_examples(t):
    """the dashboard and the alert rules: promtool takes the rules, and each metric that they name is one of ours"""
    promtool = need('promtool', 'the alert rules are sound')
    q = subprocess.run([promtool, 'check', 'rules', os.path.join(MONITORING, 'alerts.yml')], capture_output=True, text=True, timeout=10)
    equal(q.returncode, 0, 'promtool check rules: %s' % (q.stdout + q.stderr))
    bed = Bed(t)
    have = set(re.findall(r'(?m)^# TYPE (\S+)', bed.d.get('/metrics').text))
    with open(os.path.join(MONITORING, 'grafana-dashboard.json')) as f:
        panels = json.load(f)['panels']
    exprs = [x['expr'] for p in panels for x in p['targets']]
    with open(os.path.join(MONITORING, 'alerts.yml')) as f:
        exprs += re.findall(r'expr: (.*)', f.read())
    named = {re.sub(r'_bucket$', '', n) for e in exprs for n in re.findall(r'postern_[a-z_]+', e)}
    check(len(named) > 20, 'metrics that are named: %s', named)
    equal(named - have, set(), 'metrics that do not exist')


@test()
def cdr_filters(t):
    """CDRs by number, trunk, status and time, with pages; odd values are 400"""
    bed = Bed(t)
    for n in range(4):
        c = bed.a.call('97%02d' % n, sdp=sdp_text(bed.a.ip, 30000))
        i = bed.b.await_call('97%02d' % n)
        i.reply(486 if n % 2 else 603)
        c.wait(lambda m: m.status >= 300)
        i.expect('ACK')
        bed.d.cdrs('97%02d' % n)
    rows = bed.d.items('/cdrs')
    numbers = lambda q: [re.search(r'97\d\d', x['to']).group(0) for x in bed.d.items('/cdrs?' + q)]
    equal(numbers('number=9702'), ['9702'], 'by number')
    equal(numbers('status=486'), ['9703', '9701'], 'by status, newest first')
    equal(len(numbers('trunk=a')), 4, 'by the trunk that called')
    equal(numbers('trunk=nosuch'), [], 'by a trunk that has none')
    end = rows[1]['end']
    equal(numbers('since=' + end), ['9703', '9702'], 'since')
    equal(numbers('until=' + end), ['9701', '9700'], 'until')
    r = bed.d.get('/cdrs?status=603&limit=1').json
    equal(('9702' in r['items'][0]['to'], bool(r['next'])), (True, True), 'the first page')
    r = bed.d.get('/cdrs?status=603&limit=1&after=' + r['next']).json
    check('9700' in r['items'][0]['to'], 'the second page: %s', r)
    for q in ('since=yesterday', 'status=9000', 'status=x', 'sinc=' + end):
        equal(bed.d.get('/cdrs?' + q).status, 400, q)


@test()
def posternctl_calls(t):
    """posternctl call messages and decisions, the same for CDRs, and cdr list with filters"""
    bed = Bed(t)
    c, i, cid = one_call(t, bed, '9801')
    ladder = bed.d.ctl('call', 'messages', cid)
    equal(ladder.returncode, 0, 'exit code: %s' % ladder.stderr)
    check('INVITE (SDP)' in ladder.stdout and '100 Trying' in ladder.stdout, 'the ladder: %s', ladder.stdout)
    equal(len(json.loads(bed.d.ctl('--json', 'call', 'messages', cid).stdout)['items']), len(WHOLE), 'messages as JSON')
    why = bed.d.ctl('call', 'decisions', cid).stdout
    check('target' in why and 'answered' in why and 'route' in why, 'decisions: %s', why)
    tx = c.request('BYE')
    i.answer_bye()
    tx.final()
    bed.d.cdrs('9801')
    check('BYE' in bed.d.ctl('cdr', 'messages', cid).stdout, 'messages of the CDR')
    check('answered' in bed.d.ctl('cdr', 'decisions', cid).stdout, 'decisions of the CDR')
    check(cid in bed.d.ctl('cdr', 'list', '--number', '9801').stdout and cid not in bed.d.ctl('cdr', 'list', '--status', '486').stdout, 'cdr list by filter')
    equal(bed.d.ctl('call', 'messages', 'nosuch').returncode, 3, 'messages of no call')


# ---- many calls ----
PAGED, PAGED_RATE = (int(x) for x in os.environ.get('POSTERN_SOAK_CALLS', '1500x250').split('x'))


def switches(pid):
    """How often the threads of a process went to sleep: as often as they were woken."""
    total = 0
    for tid in os.listdir('/proc/%d/task' % pid):
        with open('/proc/%d/task/%s/status' % (pid, tid)) as f:
            total += int(re.search(r'^voluntary_ctxt_switches:\s+(\d+)', f.read(), re.M).group(1))
    return total


def pages(d, query, limit):
    """Ids of a list, page by page, and how many requests it took."""
    ids, after, n = [], None, 0
    while n == 0 or after:
        r = d.get('/calls?limit=%d%s%s' % (limit, query, '&after=' + after if after else '')).json
        check(len(r['items']) == limit or not r['next'], 'a page of %d with a next one', len(r['items']))
        ids += [c['id'] for c in r['items']]
        after, n = r['next'], n + 1
    return ids, n


@test(seconds=90 + PAGED // PAGED_RATE * 3, slow=True)
def calls_paged(t):
    """1,500 signalling-only calls (20,000: script/test soak) listed page by page: each that stands is there once, also while others come and go; filters find what they should;
    the engine is not woken by it"""
    need('sipp', 'lists of many calls are complete')
    doc = document(t, system={'max_calls': PAGED + 400, 'drain_seconds': 0, 'media': 'around'})
    doc['media_profiles'] = [{'id': 'around', 'anchor': False}]
    d = Postern(t, doc)
    d.start()
    a, b = t.party['a'][0], t.party['b'][0]

    def caller(port, calls, rate, hold_ms, number):
        return Proc(t, 'sipp', ['sipp', '-sn', 'uac', '-i', a, '-p', str(port), '-r', str(rate), '-m', str(calls), '-l', str(calls), '-d', str(hold_ms), '-s', number,
                                '-nostdin', '-mi', a, '-mp', str(3 * port), '%s:%d' % t.at['a']])
    uas = Proc(t, 'sipp', ['sipp', '-sn', 'uas', '-i', b, '-p', '5060', '-nostdin', '-mi', b, '-mp', '9000']).listens(b, 5060)
    held = caller(5060, PAGED, PAGED_RATE, 3600000, '2001')
    until(lambda: len(pages(d, '&state=up', 1000)[0]) == PAGED, 30 + PAGED / PAGED_RATE * 3, lambda: '%d calls stand: %d' % (PAGED, len(pages(d, '&state=up', 1000)[0])), step=1)
    first, n = pages(d, '', 100)
    equal((len(first), len(set(first)), n), (PAGED, PAGED, -(-PAGED // 100)), 'calls, different ones, pages of 100')
    for limit in (1, 7, 999, 1000, 5000):
        if PAGED // limit < 2000:
            got = pages(d, '', limit)[0] if limit <= 1000 else [c['id'] for c in d.get('/calls?limit=5000').json['items']]
            equal(got, first[:1000] if limit > 1000 else first, 'calls by pages of %d' % limit)
    equal(pages(d, '&trunk=a&number=2001', 500)[0], first, 'calls of a trunk and to a number')
    equal(pages(d, '&number=nobody', 500)[0] + pages(d, '&state=early', 500)[0] + pages(d, '&age=3600', 500)[0], [], 'calls that are not there')
    engine = d.role_pid('engine')
    at, low = time.monotonic(), switches(engine)
    time.sleep(2)
    idle = (switches(engine) - low) / (time.monotonic() - at)
    at, low, requests = time.monotonic(), switches(engine), 0
    while requests < 200 or time.monotonic() < at + 2:
        requests += pages(d, '', 50)[1]
        d.get('/calls/' + first[requests % PAGED])
    woken = switches(engine) - low - idle * (time.monotonic() - at)
    check(woken < requests / 4, 'the engine was woken %d times by %d requests', woken, requests)
    t.note('%d calls, %d pages: the engine woke %d times more than without' % (PAGED, requests, woken))
    passing = caller(5062, 400, 80, 300, '2002')    # calls come and go
    while passing.running():
        now = pages(d, '', 97)[0]
        equal((sorted(set(first) - set(now)), len(now) - len(set(now))), ([], 0), 'calls that stand and are not listed, calls listed twice')
    equal(passing.p.returncode, 0, 'the caller of those that came and went')
    equal(d.get('/health').json['processes'][1]['restarts'], 0, 'restarts')
    r = d.http('POST', '/calls/end', {'filter': {'number': '2001', 'trunk': 'a'}, 'dry_run': True}).json
    equal((r['count'], len(r['items'])), (PAGED, min(PAGED, 1000)), 'calls that a filter would end')
    held.end()
    uas.end()

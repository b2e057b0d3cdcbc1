# SPDX-License-Identifier: Apache-2.0
"""The configuration written over REST: revisions, guards, references, going back by itself, listeners under standing calls, kills, tokens."""
import os
import random
import socket
import ssl
import subprocess
import threading
import time

from lib import certs
from lib.base import Fail, Skip, alive, check, descendants, equal, need_root, test, until
from lib.daemon import Bed
from lib.rtp import both_ways
from lib.sip import sdp_text
from t_call import establish

SOAK = bool(os.environ.get('POSTERN_SOAK_WRITES'))
KILLS, CALLS = (200, 200) if SOAK else (9, 60)


def write(bed, method, path, body=None, want=(200, 201, 204), **kw):
    r = bed.d.http(method, path, body, ctype='application/merge-patch+json' if method == 'PATCH' else 'application/json', **kw)
    check(r.status in want if isinstance(want, tuple) else r.status == want, '%s %s: %d %s', method, path, r.status, r.text[:300])
    return r


def hang_up(c, i):
    tx = c.request('BYE')
    i.answer_bye()
    equal(tx.final().status, 200, 'BYE')


def etag(bed):
    return bed.d.get('/config').headers['ETag']


@test()
def write_revisions(t):
    """Every write is a revision with user and comment; If-Match guards; a dry run changes nothing; rollback is a new revision"""
    bed = Bed(t)
    first = etag(bed)
    write(bed, 'PATCH', '/config/system', {'name': 'other'}, headers={'X-Comment': 'why not'})
    second = etag(bed)
    check(first != second, 'no revision was made')
    row = bed.d.get('/config/revisions').json['items'][0]
    equal((row['user'], row['comment'], row['in_force']), ('admin', 'why not', True), 'the revision')
    equal([o['path'] for o in bed.d.get('/config/revisions/%d/diff' % row['number']).json], ['/system/name'], 'what changed')
    write(bed, 'PATCH', '/config/system', {'name': 'third'}, want=412, headers={'If-Match': first})
    write(bed, 'PUT', '/config?dry_run=1', dict(bed.d.get('/config').json, nonsense=1), want=422)
    write(bed, 'PATCH', '/config/system?dry_run=1', {'name': 'never'})
    equal(etag(bed), second, 'the revision after what must not change it')
    later = {'max_calls': 9000, 'trace': {'bytes': 1 << 20}}
    told = {w['pointer']: w['message'] for w in write(bed, 'PUT', '/config', dict(bed.doc, system={'name': 'e2e', **later})).json['warnings']}
    for pointer in ('/system/max_calls', '/system/trace/bytes'):
        check('next start' in told.get(pointer, ''), 'what acts at the next start only: %s', told)
    told = write(bed, 'PUT', '/config', dict(bed.doc, system={'name': 'e2e', 'user_agent': 'Other', 'caps': {'idle_seconds': 77}, 'trace': {'bytes': 0}})).json['warnings']
    check('next start' not in str(told), 'all of this acts at once: %s', told)
    told = write(bed, 'PATCH', '/config/system', {'max_calls': 9000}).headers.get_all('X-Warning', [])
    check(any(w.startswith('/system/max_calls: ') and 'next start' in w for w in told), 'what a PATCH says of it: %s', told)
    told = bed.d.ctl('config', 'set', 'system/max_calls', '9001').stdout
    check('warning: /system/max_calls' in told, 'what posternctl says of it: %s', told)
    write(bed, 'POST', '/config/rollback', {'revision': 1})
    check(int(etag(bed).strip('"')) > int(second.strip('"')), 'a rollback is a new revision')
    equal(bed.d.get('/config').json['system']['name'], 'e2e', 'the name after the rollback')


@test()
def write_references(t):
    """What others name is not deleted: 409 lists them; secrets stay when *** is written back"""
    bed = Bed(t, trunk_a={'auth': {'username': 'u', 'password': 'a-secret-word'}})
    r = write(bed, 'DELETE', '/config/trunks/b', want=409)
    check(any(u.startswith('routes/') for u in r.json['users']), 'users: %s', r.text)
    write(bed, 'PUT', '/config', bed.d.get('/config').json)
    write(bed, 'PATCH', '/config/trunks/a', {'auth': {'username': 'v'}})
    equal(bed.d.get('/config/trunks/a').json['auth'], {'username': 'v', 'password': '***'}, 'auth')
    check('a-secret-word' not in bed.d.log(), 'the secret is in the log')


@test()
def write_confirm(t):
    """A change goes back by itself unless it is confirmed, also when admin dies meanwhile"""
    bed = Bed(t)
    write(bed, 'PATCH', '/config/system?confirm_within=30', {'name': 'kept'})
    write(bed, 'POST', '/config/confirm', {})
    write(bed, 'POST', '/config/confirm', {}, want=409)
    write(bed, 'PATCH', '/config/system?confirm_within=2', {'name': 'passing'})
    old = bed.d.kill('admin')
    bed.d.restarted('admin', old)

    def name():
        return bed.d.get('/config').json['system']['name']
    until(lambda: name() == 'kept', 8, lambda: 'the old name: %s' % name())


@test()
def write_killed(t):
    """kill -9 of admin right after a write: what was answered 200 is there, and all roles go on"""
    bed = Bed(t)
    for k in range(4):
        write(bed, 'PATCH', '/config/trunks/a', {'limits': {'max_calls': 70 + k}})
        old = bed.d.kill('admin' if k % 2 else 'engine')
        bed.d.restarted('admin' if k % 2 else 'engine', old)
        equal(bed.d.get('/config/trunks/a').json['limits']['max_calls'], 70 + k, 'the value written last')
    write(bed, 'PATCH', '/config/trunks/a', {'limits': None})


@test()
def write_tokens(t):
    """A token is shown once, works in its role and its networks alone, and ends when it is taken back"""
    bed = Bed(t)
    write(bed, 'POST', '/config/users', {'id': 'eve', 'role': 'viewer', 'allow': ['127.0.0.0/8']})
    r = write(bed, 'POST', '/users/eve/tokens', {'expires_in': 3600})
    token, ident = r.json['token'], r.json['id']
    equal(bed.d.get('/stats', token=token).status, 200, 'reading as a viewer')
    equal(bed.d.http('PATCH', '/config/system', {}, token=token, ctype='application/merge-patch+json').status, 403, 'writing as a viewer')
    check(token not in bed.d.get('/users/eve/tokens').text and token not in bed.d.log(), 'the token is told again')
    write(bed, 'PATCH', '/config/users/eve', {'deny': ['127.0.0.0/8']})
    equal(bed.d.get('/stats', token=token).status, 403, 'from a denied network')
    write(bed, 'PATCH', '/config/users/eve', {'deny': None})
    write(bed, 'DELETE', '/users/eve/tokens/' + ident)
    equal(bed.d.get('/stats', token=token).status, 401, 'after it was taken back')


@test()
def write_listeners(t):
    """Listeners come, move and go while a call stands; one that cannot be opened is 422 and changes nothing"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b)
    ip, realm = bed.doc['listeners'][0]['address'], bed.doc['listeners'][0]['realm']
    held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    held.bind((ip, 0))
    r = write(bed, 'POST', '/config/listeners', {'id': 'more', 'realm': realm, 'transport': 'udp', 'address': ip, 'port': held.getsockname()[1]}, want=422)
    check(r.json['errors'][0]['pointer'].startswith('/listeners/'), 'pointer: %s', r.text)
    tcp = {'id': 'more', 'realm': realm, 'transport': 'tcp', 'address': ip, 'port': held.getsockname()[1]}
    write(bed, 'POST', '/config/listeners', tcp)
    s = socket.create_connection((ip, tcp['port']), 2)
    held.close()
    write(bed, 'PATCH', '/config/listeners/more', {'transport': 'udp'})
    write(bed, 'DELETE', '/config/listeners/more')
    try:
        socket.create_connection((ip, tcp['port']), 1)
        check(False, 'a removed listener takes connections')
    except OSError:
        pass
    s.close()
    c.bye()
    i.expect('BYE')


@test()
def write_listener_comes_back(t):
    """A listener that was removed under a standing call comes back at the same address: by rollback, and by a change that nobody confirmed; once the call is over the address is free"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b)
    ip, port = bed.doc['listeners'][0]['address'], bed.doc['listeners'][0]['port']
    write(bed, 'PATCH', '/config/listeners/core-udp', {'port': port + 100})
    write(bed, 'POST', '/config/rollback', {'revision': 1})
    hang_up(c, i)
    bed.d.no_calls()
    c, i, ra, rb = establish(bed, bed.a, bed.b)      # the listener takes calls again
    write(bed, 'PATCH', '/config/listeners/core-udp?confirm_within=1', {'port': port + 101})
    until(lambda: bed.d.get('/config/listeners/core-udp').json['port'] == port, 6, 'the former port')
    hang_up(c, i)
    hang_up(*establish(bed, bed.a, bed.b)[:2])
    bed.d.no_calls()
    write(bed, 'PATCH', '/config/listeners/core-udp', {'port': port + 102})

    def free():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            s.bind((ip, port))
            return True
        except OSError:
            return False
        finally:
            s.close()
    until(free, 6, 'the address of the removed listener is free')


@test()
def write_port_ranges(t):
    """Realms' port ranges grow, move and shrink under a call that stands: its audio goes on, new calls use the new ports, a realm that is new works at once;
    ports that are others' are 422 and nothing changes; a removed range comes back; all of it also over the death of engine and media"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b)
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    ip = {r['id']: r['media']['address'] for r in bed.doc['realms']}
    before = bed.d.processes()

    def new_call(number, low, high):
        c2, i2, ra2, rb2 = establish(bed, bed.a, bed.b, number)
        check(low <= c2.rsdp.dest()[1] <= high, 'port %d is not of %d-%d', c2.rsdp.dest()[1], low, high)
        both_ways(ra2, c2.rsdp.dest(), rb2, i2.rsdp.dest())
        hang_up(c2, i2)

    write(bed, 'PATCH', '/config/realms/core', {'media': {'port_min': 30000, 'port_max': 30098}})
    new_call('2002', 30000, 30099)
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    equal(bed.d.processes()['engine']['pid'], before['engine']['pid'], 'the engine')
    equal(bed.d.processes()['media']['restarts'], 0, 'restarts of media')

    held = []
    for port in range(31000, 31010):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((ip['core'], port))
        held.append(s)
    tag = etag(bed)
    r = write(bed, 'PATCH', '/config/realms/core', {'media': {'port_min': 31000, 'port_max': 31008}}, want=422)
    check(r.json['errors'][0]['pointer'].startswith('/realms/0') and 'in use' in r.text, 'why: %s', r.text)
    equal(etag(bed), tag, 'the revision')
    for s in held:
        s.close()
    write(bed, 'PATCH', '/config/realms/core', {'media': {'port_min': 31000, 'port_max': 31008}})
    for role in ('media', 'engine'):
        bed.d.restarted(role, bed.d.kill(role))
        both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
        new_call('2003', 31000, 31009)
    write(bed, 'PATCH', '/config/realms/core', {'media': {'port_min': 20000, 'port_max': 20118}})
    new_call('2004', 20000, 20119)
    write(bed, 'POST', '/config/realms', {'id': 'third', 'media': {'address': t.ip(4), 'port_min': 20000, 'port_max': 20018}})
    write(bed, 'POST', '/config/listeners', {'id': 'third-udp', 'realm': 'third', 'transport': 'udp', 'address': t.ip(4), 'port': 5060})
    write(bed, 'PATCH', '/config/trunks/b', {'realm': 'third'})
    c3, i3, ra3, rb3 = establish(bed, bed.a, bed.b, '2005')
    equal(i3.rsdp.dest()[0], t.ip(4), 'media address of the new realm')
    both_ways(ra3, c3.rsdp.dest(), rb3, i3.rsdp.dest())
    hang_up(c3, i3)
    hang_up(c, i)
    bed.d.no_calls()


def revision_of(bed):
    """(number, what admin shows, what the engine acts on) of the value that the writer counts up."""
    number = int(etag(bed).strip('"'))
    name = bed.d.get('/config/system').json['name']
    targets = bed.d.get('/trunks/b').json['targets']
    return number, name, targets[0]['port'] if targets else None


@test(seconds=900 if SOAK else 90, slow=True)
def write_killed_anywhere(t):
    """kill -9 of engine, media, admin and the supervisor at any moment of a write: the old or the new revision is in force, whole, in all of them (200 times: script/test soak)"""
    bed = Bed(t)
    rnd, stop, tried, done = random.Random(1), threading.Event(), [0], [0]

    def writer():
        while not stop.is_set():
            n = tried[0] + 1
            doc = dict(bed.doc, system={'name': 'n%d' % n}, trunks=[dict(x, **({'target': 'sip:%s:%d;transport=udp' % (t.party['b'][0], 10000 + n)} if x['id'] == 'b' else {})) for x in bed.doc['trunks']])
            tried[0] = n
            try:
                if bed.d.http('PUT', '/config', doc, seconds=15).status == 200:
                    done[0] = n
            except OSError:
                time.sleep(0.01)

    def whole():
        """What is in force is one revision: the last one that was answered, or one that was tried since."""
        low = done[0]
        try:
            number, name, port = revision_of(bed)
        except (OSError, Fail, KeyError, ValueError):
            return None
        n = int(name[1:])
        return n if port == 10000 + n and low <= n <= tried[0] else None

    kills = 0
    while kills < KILLS:
        stop.clear()
        w = threading.Thread(target=writer, daemon=True)
        w.start()
        until(lambda: done[0] > 0, 5, 'a first write')
        for role in rnd.sample(('engine', 'media', 'admin') * 3, min(7, KILLS - kills - 1)):   # who dies often is given time
            time.sleep(rnd.random() * 0.2)
            try:
                old = bed.d.kill(role)
            except (Fail, ProcessLookupError):
                continue
            kills += 1
            bed.d.restarted(role, old, seconds=12)
        stop.set()
        w.join(30)
        until(whole, 8, lambda: 'one revision in all: tried %d, answered %d, seen %s' % (tried[0], done[0], revision_of(bed)))
        w = threading.Thread(target=writer, daemon=True)     # the supervisor in the middle of a write: all end, and start again
        stop.clear()
        w.start()
        time.sleep(0.05 + rnd.random() * 0.1)
        kids = descendants(bed.d.proc.p.pid)
        os.kill(bed.d.proc.p.pid, 9)
        stop.set()
        w.join(30)
        bed.d.proc.wait(5)
        until(lambda: not any(alive(p) for p in kids), 5, 'the children end')
        kills += 1
        t.procs.remove(bed.d.proc)
        bed.d.start()
        until(whole, 8, lambda: 'one revision in all after a start: tried %d, answered %d, seen %s' % (tried[0], done[0], revision_of(bed)))
    t.note('%d kills, %d writes tried, %d in force' % (kills, tried[0], done[0]))
    check(tried[0] > kills, 'hardly anything was written: %d', tried[0])


@test()
def write_disk_full(t):
    """A full disk in the middle of a write: 507 or 500 with a reason, the old revision stays in force, calls go on; with room again writes go on"""
    need_root('a full disk is answered with 507')
    state = t.path('small')
    os.mkdir(state)
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', state], stderr=subprocess.DEVNULL).returncode:
        raise Skip('a full disk is answered with 507: no tmpfs can be mounted here')
    t.defer(lambda: subprocess.run(['umount', '-l', state]))
    bed = Bed(t, start=False)
    bed.d.state = os.path.join(state, 'state')
    bed.d.start()
    c, i, ra, rb = establish(bed, bed.a, bed.b)
    tag = etag(bed)
    with open(os.path.join(state, 'filler'), 'wb', buffering=0) as f:
        try:
            while True:
                f.write(b'x' * 4096)
        except OSError:
            pass
    big = dict(bed.doc, policies=[], trunks=bed.doc['trunks'] + [{'id': 'more-%d' % k, 'realm': 'peering', 'target': 'sip:%s:%d' % (t.ip(99), 6000 + k)} for k in range(600)])
    r = bed.d.http('PUT', '/config', big, seconds=10)
    check(r.status in (507, 500) and r.json['detail'], 'the answer: %d %s', r.status, r.text[:200])
    equal(r.status, 507, 'status: %s' % r.text)
    equal(etag(bed), tag, 'the revision')
    equal(len(bed.d.get('/config').json['trunks']), 2, 'trunks in force')
    hang_up(c, i)
    os.unlink(os.path.join(state, 'filler'))
    write(bed, 'PATCH', '/config/system', {'name': 'room again'})
    bed.d.stop()


@test(seconds=90, slow=True)
def write_all_under_calls(t):
    """Every certificate and listener is replaced while calls over TLS and TCP stand (60; 200: script/test soak): no call ends, each can be hung up by its own connection"""
    bed = Bed(t, a='tls', b='tcp', ports=260, system={'max_calls': 500})
    calls = [establish(bed, bed.a, bed.b, '3%03d' % k) for k in range(CALLS)]
    cert = certs.make(t)
    cert.leaf('fresh', 'sbc.test', 'DNS:sbc.test,DNS:localhost,IP:' + t.ip(1))
    write(bed, 'PUT', '/certificates/edge.pem', {'certificate': cert.read('fresh.pem').decode(), 'key': cert.read('fresh.key').decode()})
    doc = bed.d.get('/config').json
    for row in doc['listeners']:
        row['port'] += 1000
    write(bed, 'PUT', '/config', doc)
    equal(len(bed.d.all_items('/calls')), CALLS, 'calls after listeners and certificates were replaced')
    check(ssl.get_server_certificate((t.ip(1), t.at['a'][1] + 1000)).split() == cert.read('fresh.pem').decode().split(), 'the new certificate at the new listener')
    for row in doc['listeners']:
        row['port'] -= 1000
    write(bed, 'PUT', '/config', doc)
    both_ways(calls[0][2], calls[0][0].rsdp.dest(), calls[0][3], calls[0][1].rsdp.dest())
    for k, (c, i, ra, rb) in enumerate(calls):
        tx = (c if k % 2 else i).request('BYE')
        (i if k % 2 else c).answer_bye()
        equal(tx.final().status, 200, 'BYE of call %d' % k)
    bed.d.no_calls()


def is_closed(s):
    try:
        return s.recv(1000, socket.MSG_DONTWAIT) == b''
    except BlockingIOError:
        return False
    except OSError:
        return True


@test(seconds=90, slow=True)
def write_settings(t):
    """Name, caps, message ring and media threads change at once, without a warning, under a standing call that keeps its audio; the processes stay"""
    bed = Bed(t, a='tcp')
    c, i, ra, rb = establish(bed, bed.a, bed.b)
    was = bed.d.processes()
    opened = []

    def set_to(system):
        told = write(bed, 'PATCH', '/config/system', system).headers.get_all('X-Warning', [])
        check('next start' not in str(told), 'it acts at once: %s', told)

    def opens():
        s = socket.create_connection(t.at['a'], 5)
        opened.append(s)
        return s

    def options(more=0):
        return ('OPTIONS sip:x@%s:%d SIP/2.0\r\nVia: SIP/2.0/TCP %s:5060;branch=z9hG4bK%d\r\nFrom: <sip:x@x>;tag=1\r\nTo: <sip:x@y>\r\nCall-ID: c%d\r\nCSeq: 1 OPTIONS\r\nX-More: %s\r\nContent-Length: 0\r\n\r\n' % (
            *t.at['a'], bed.a.ip, random.getrandbits(60), random.getrandbits(60), 'x' * more)).encode()

    def answer(s, data):
        s.sendall(data)
        s.settimeout(10)
        try:
            return s.recv(65536).decode('utf-8', 'replace')
        except OSError:
            return ''

    set_to({'user_agent': 'Edge/7'})
    equal(bed.a.ask('OPTIONS').get('server'), 'Edge/7', 'Server')
    set_to({'caps': {'idle_seconds': 10}})
    idle = opens()
    check('SIP/2.0' in answer(idle, options()), 'an answer')
    since = time.monotonic()
    set_to({'caps': {'message_bytes': 4096}})
    got = answer(opens(), options(8000))
    check(not got or ' 413 ' in got or ' 513 ' in got or ' 400 ' in got, 'a message over the new cap: %s', got[:100])
    set_to({'caps': {'message_bytes': 65536}})
    got = answer(opens(), options(8000))
    check(' 413 ' not in got and 'SIP/2.0' in got, 'a message under the cap of before: %s', got[:100])
    set_to({'caps': {'connections_per_source': 6}})

    def refused():
        s = opens()
        try:
            s.sendall(options())
        except OSError:
            return True
        s.settimeout(2)
        try:
            return not s.recv(1000)
        except socket.timeout:
            return False
        except OSError:
            return True
    until(refused, 20, 'a connection over connections_per_source is refused')
    for s in opened:
        if s is not idle:
            s.close()
    set_to({'caps': {'connections_per_source': 256, 'handshake_seconds': 1}})
    silent = opens()
    silent.sendall(b'OPT')
    until(lambda: is_closed(silent), 10, 'a connection without a whole message is closed')

    def threads():
        return len(os.listdir('/proc/%d/task' % was['media']['pid']))
    before = threads()
    set_to({'media_process': {'workers': 5, 'gather': 'off'}})
    until(lambda: threads() > before, 5, 'more threads of media')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())

    def written():
        return bed.d.counter('postern_trace_messages_total')
    set_to({'trace': {'bytes': 0}})
    low = written()
    c2, i2 = establish(bed, bed.a, bed.b, '2009')[:2]
    equal(written(), low, 'messages kept while the ring is off')
    set_to({'trace': {'bytes': 67108864}})
    hang_up(c2, i2)
    until(lambda: written() > low, 5, 'messages are kept again')
    until(lambda: is_closed(idle), 25, 'an idle connection is closed')
    check(time.monotonic() - since >= 9, 'it was closed too early')
    equal({r: p['pid'] for r, p in bed.d.processes().items()}, {r: p['pid'] for r, p in was.items()}, 'processes')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    hang_up(c, i)


@test(seconds=120, slow=True)
def write_many_listeners(t):
    """Several hundred listeners come and go, on ever new addresses, under a call that stands on one that was removed: nothing is used up, and calls are taken and made by the last of them,
    over UDP and TCP, with their own address in Via and Contact"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b)
    engine = bed.d.role_pid('engine')
    doc = bed.d.get('/config').json
    own = [dict(row) for row in doc['listeners']]
    more = []

    def fds():
        return len(os.listdir('/proc/%d/fd' % engine)), len(os.listdir('/proc/%d/fd' % bed.d.proc.pid))

    def put(rows, port):
        doc['listeners'] = own + [{'id': 'n%d' % k, 'realm': 'core', 'transport': 'udp' if k % 2 else 'tcp', 'address': t.ip(1), 'port': port + k} for k in range(rows)]
        r = bed.d.http('PUT', '/config', doc, seconds=15)
        check(r.status in (200, 422), 'PUT: %d %s', r.status, r.text[:300])
        return r.status == 200

    def answers(transport, port):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if transport == 'udp' else socket.SOCK_STREAM) as s:
            s.settimeout(5)
            s.bind((t.ip(21), 0))                        # a stranger: 403 comes at once
            s.connect((t.ip(1), port))
            me = '%s:%d' % s.getsockname()
            s.sendall(('OPTIONS sip:x@%s:%d SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK%d\r\nMax-Forwards: 70\r\nFrom: <sip:x@x>;tag=1\r\nTo: <sip:y@y>\r\nCall-ID: %d@x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n' % (
                t.ip(1), port, transport.upper(), me, random.getrandbits(60), random.getrandbits(60))).encode())
            try:
                return s.recv(65536).startswith(b'SIP/2.0 ')
            except OSError:
                return False
    own[0]['port'] += 7                                  # the standing call's own listener is removed
    for turn in range(7):
        port = 20500 + 100 * turn
        until(lambda: put(60, port), 15, 'room for 60 other listeners, turn %d' % turn, step=0.5)
        more.append(fds())
        for k in (0, 1, 58, 59):
            check(answers('udp' if k % 2 else 'tcp', port + k), 'no answer at port %d in turn %d', port + k, turn)
    check(max(more[-1]) < max(more[4]) + 30, 'descriptors of engine and supervisor add up: %s', more)
    until(lambda: put(0, 0), 15, 'none of them')
    own[0]['port'] = port + 59                           # the trunk itself, at an address of the last
    until(lambda: put(0, 0), 15, 'one of them is the trunk\'s')
    t.at['a'] = (t.ip(1), port + 59)
    bed.a.peer = t.at['a']
    c2, i2, ra2, rb2 = establish(bed, bed.a, bed.b, '2002')
    check('%s:%d' % t.at['a'] in c2.uri, 'Contact of the answer: %s', c2.uri)
    both_ways(ra2, c2.rsdp.dest(), rb2, i2.rsdp.dest())
    hang_up(c2, i2)
    c3, i3, ra3, rb3 = establish(bed, bed.b, bed.a, '2003')   # and outwards
    for header in ('via', 'contact', 'from'):
        check((t.ip(1) if header == 'from' else '%s:%d' % t.at['a']) in i3.inv.get(header), '%s of an INVITE that left there: %s', header, i3.inv.get(header))
    hang_up(c3, i3)
    equal(bed.d.role_pid('engine'), engine, 'the engine')
    bed.d.restarted('engine', bed.d.kill('engine'))      # the next one knows what is free, too
    for turn in range(5):
        until(lambda: put(60, 22000 + 100 * turn), 15, 'room for 60 other listeners after a death of the engine, turn %d' % turn, step=0.5)
        check(answers('udp', 22059 + 100 * turn) and answers('tcp', 22058 + 100 * turn), 'no answer in turn %d', turn)
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())


@test()
def write_files_roll_back(t):
    """Certificates and policies belong to the revision: a rollback brings the former ones back, shown and at work"""
    bed = Bed(t, a='tls')
    cert = certs.make(t)
    cert.leaf('fresh', 'sbc.test', 'DNS:sbc.test,IP:' + t.ip(1))
    plain = 'policy mark on send any {\n    when method == INVITE then set header["X-Mark"] "one"\n}\n'

    def served():
        return ssl.get_server_certificate(t.at['a']).split()

    def shown():
        return next(c['fingerprint'] for c in bed.d.items('/certificates') if c['name'] == 'edge.pem')

    def mark(number):
        bed.a.call(number, sdp=None)
        i = bed.b.await_call(number)
        i.reply(486)
        i.expect('ACK')
        return i.inv.get('x-mark')
    first, print_first = served(), shown()
    r = bed.d.http('PUT', '/policies/mark', plain.encode(), ctype='text/plain')
    check(r.status in (200, 201), 'PUT policy: %s', r.text)
    write(bed, 'PATCH', '/config/trunks/b', {'policies': ['mark']})
    before = int(etag(bed).strip('"'))
    equal(mark('6001'), 'one', 'the policy at work')
    write(bed, 'PUT', '/certificates/edge.pem', {'certificate': cert.read('fresh.pem').decode(), 'key': cert.read('fresh.key').decode()})
    bed.d.http('PUT', '/policies/mark', plain.replace('one', 'two').encode(), ctype='text/plain')
    equal(mark('6002'), 'two', 'the policy at work')
    check(served() == cert.read('fresh.pem').decode().split() and shown() != print_first, 'the new certificate')
    write(bed, 'POST', '/config/rollback', {'revision': before})
    equal((served() == first, shown(), bed.d.get('/policies/mark').text), (True, print_first, plain), 'certificate and policy after the rollback')
    equal(mark('6003'), 'one', 'the policy at work after the rollback')
    equal({w['path'] for w in bed.d.get('/config/revisions/%d/diff?against=%d' % (int(etag(bed).strip('"')), before)).json}, set(), 'the document is as it was')


@test()
def write_profiles_of_live_calls(t):
    """A live call keeps the profile that it began with: a hold of it is consumed after its trunk was told to relay all, one of a new call is relayed; limits hold for both at once"""
    bed = Bed(t, trunk_a={'mid_call': 'quiet'}, trunk_b={'mid_call': 'quiet'}, start=False)
    bed.doc['mid_call'] = [{'id': 'quiet', 'reinvite': {'hold': 'consume'}}]
    bed.d.write()
    bed.d.start()
    c, i, ra, rb = establish(bed, bed.a, bed.b, '6101')
    write(bed, 'PATCH', '/config/mid_call/quiet', {'reinvite': {'hold': 'relay'}})
    c.reinvite(sdp_text(bed.a.ip, ra.port, direction='sendonly', version=2))
    equal(c.wait(200).sdp.direction(), 'recvonly', 'the answer to a hold of the standing call')
    i.not_seen('INVITE', 0.4)
    c2, i2, ra2, rb2 = establish(bed, bed.a, bed.b, '6102')
    c2.reinvite(sdp_text(bed.a.ip, ra2.port, direction='sendonly', version=2))
    m = i2.expect('INVITE')
    equal(m.sdp.direction(), 'sendonly', 'the hold of a new call crosses')
    i2.reply(200, to=m, sdp=sdp_text(bed.b.ip, rb2.port, direction='recvonly', version=2))
    c2.wait(200)
    write(bed, 'PATCH', '/config/trunks/a', {'limits': {'max_calls': 2}})
    equal(bed.a.call('6103', sdp=sdp_text(bed.a.ip, 30000)).wait(lambda m: m.status >= 200).status, 503, 'a third call of a trunk of two')
    hang_up(c, i)
    hang_up(c2, i2)


@test()
def write_advertise(t):
    """What a listener advertises changes at once in Via, Contact and From of new calls; one that stands goes on"""
    bed = Bed(t, start=False)
    bed.doc['listeners'][1]['advertise'] = 'sbc.example.net'
    bed.d.write()
    bed.d.start()
    calls = []
    for k, name in enumerate(('sbc.example.net', 'other.example.net:5099', None)):
        if k:
            write(bed, 'PATCH', '/config/listeners/peering-udp', {'advertise': name})
        c, i, ra, rb = establish(bed, bed.a, bed.b, '62%02d' % k)
        calls.append((c, i))
        for header in ('via', 'contact', 'from'):
            want = name or t.ip(2)
            check((want.split(':')[0] if header == 'from' else want) in i.inv.get(header), '%s of %s: %s', header, name, i.inv.get(header))
    for c, i in calls:
        hang_up(c, i)

# SPDX-License-Identifier: Apache-2.0
"""Who may use the API, and from where: first start, the control socket, tokens, users, lock-out, the audit log, TLS."""
import http.client
import json
import os
import re
import socket
import ssl
import stat
import subprocess

from lib import certs
from lib.base import SANITIZED, check, equal, need_root, test, until
from lib.daemon import Bed, Postern, document
from lib.rtp import both_ways
from t_call import establish
from t_write import hang_up


@test()
def admin_first_start(t):
    """A first start below a folder that its user may not enter: a token in a file of its own, readable by the owner, nowhere else in the state"""
    d = Postern(t, document(t), token=None)
    os.chmod(d.dir, 0o700)
    d.state = os.path.join(d.dir, 'new', 'state')
    d.start()
    mode = {}
    for folder, _, files in os.walk(d.state):
        for name in files:
            path = os.path.join(folder, name)
            mode[name] = stat.S_IMODE(os.stat(path).st_mode)
            with open(path, 'rb') as f:
                if name == 'admin.token':
                    token = f.read().decode().strip()
    equal({n: m for n, m in mode.items() if m != 0o600}, {}, 'files of another mode than 0600')
    check(len(token) >= 20, 'a token of %d characters', len(token))
    for name in set(mode) - {'admin.token'}:
        with open(os.path.join(d.state, name), 'rb') as f:
            check(token.encode() not in f.read(), 'the token stands in %s', name)
    check(token not in d.log(), 'the token stands in the log')
    equal(d.get('/stats', token=token).status, 200, 'with the token')


@test()
def admin_control_socket(t):
    """The control socket asks no token of its owner and of root, and takes nobody else, though its name can be seen"""
    need_root('others than root and the owner are turned away at the control socket')
    bed = Bed(t)
    with open(os.path.join(bed.d.state, 'control')) as f:
        name = f.read().strip()
    check(name.startswith('@postern-'), 'STATE/control has %s', name)
    check(bed.d.ctl('config', 'show', 'system').returncode == 0, 'posternctl by the control socket')
    script = ('import os,socket; os.setgid(%d); os.setuid(%d); s=socket.socket(socket.AF_UNIX); s.connect("\\0%s");\n'
              's.settimeout(3)\ntry:\n s.sendall(b"GET /api/v1/config HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n"); d=s.recv(4096)\nexcept OSError: d=b""\nprint(d[:12].decode())')

    def ask(uid):
        return subprocess.run(['python3', '-c', script % (uid, uid, name[1:])], stdout=subprocess.PIPE, text=True, timeout=10).stdout.strip()
    equal(ask(os.stat(bed.d.state).st_uid), 'HTTP/1.1 200', 'the owner')
    equal(ask(12345), '', 'somebody else')
    try:
        socket.socket(socket.AF_UNIX).connect(os.path.join(bed.d.state, 'control'))
        check(False, 'STATE/control is a socket')
    except OSError:
        pass


@test()
def posternctl_configuration(t):
    """config get, set, apply, diff, history, rollback, confirm by posternctl: tables, JSON, and errors with the pointer and what to do"""
    bed = Bed(t)

    def ctl(*args, rc=0):
        r = bed.d.ctl(*args)
        equal(r.returncode, rc, '%s: %s' % (args, r.stdout))
        return r.stdout
    check('revision 2 is in force' in ctl('config', 'apply', t.path('doc', json.dumps(dict(bed.doc, system={'name': 'other'}))), '--comment', 'by hand'), 'what apply says')
    ctl('config', 'set', 'trunks/a/limits/max_calls', '77', '--comment', 'less')
    equal(json.loads(ctl('config', 'get', 'trunks', 'a'))['limits'], {'max_calls': 77}, 'the limits')
    ctl('config', 'set', 'system/name', 'named')
    history = ctl('config', 'history')
    check('by hand' in history and 'less' in history and 'REVISION' in history, 'the history: %s', history)
    equal([r['number'] for r in json.loads(ctl('--json', 'config', 'history'))], [4, 3, 2, 1], 'revisions')
    equal(ctl('config', 'diff').strip(), 'replace /system/name "named"', 'what the newest changed')
    check('/trunks/a/limits' in ctl('config', 'diff', t.path('old', json.dumps(bed.doc))), 'what a file would change')
    bad = ctl('config', 'set', 'listeners/core-udp/port', '99999', rc=3)
    check('/listeners/0/port' in bad and 'Nothing was changed' in bad, 'an error: %s', bad)
    bad = ctl('config', 'remove', 'trunks', 'a', rc=3)
    check('routes/a-b' in bad and 'Take it out of those first' in bad, 'an error: %s', bad)
    check('it would be taken' in ctl('config', 'set', 'system/name', 'never', '--dry-run'), 'a dry run')
    ctl('config', 'rollback', '1')
    equal(json.loads(ctl('config', 'get', 'system'))['name'], 'e2e', 'the name after the rollback')
    check('config confirm' in ctl('config', 'apply', t.path('doc2', json.dumps(bed.doc)), '--confirm-within', '60'), 'what it says of the confirmation')
    ctl('config', 'confirm')
    check('no change waits' in ctl('config', 'confirm', rc=3), 'a confirmation of nothing')


@test()
def posternctl_access(t):
    """Tokens, certificates, policies, the audit log and the shell's completion by posternctl"""
    bed = Bed(t)

    def ctl(*args, rc=0):
        r = bed.d.ctl(*args)
        equal(r.returncode, rc, '%s: %s' % (args, r.stdout))
        return r.stdout
    token = ctl('token', 'add', 'admin', '--expires-in', '3600').splitlines()[0]
    equal(bed.d.get('/stats', token=token).status, 200, 'with the token')
    row = json.loads(ctl('--json', 'token', 'list', 'admin'))[0]
    ctl('token', 'remove', 'admin', row['id'])
    equal(bed.d.get('/stats', token=token).status, 401, 'after it was taken back')
    c = certs.make(t)
    ctl('certificate', 'set', 'web.pem', c.path('party.pem'), c.path('party.key'))
    check('web.pem' in ctl('certificate', 'list') and 'fingerprint' in ctl('certificate', 'show', 'web.pem'), 'the certificate')
    check('/key' in ctl('certificate', 'set', 'web.pem', c.path('party.pem'), c.path('edge.key'), rc=3), 'a key of another one')
    ctl('certificate', 'remove', 'web.pem')
    ctl('policy', 'set', 'mine', t.path('mine.policy', 'policy mine on send any {\n    when has allow then remove allow["UPDATE"]\n}\n'))
    equal(bed.d.get('/policies/mine').status, 200, 'the policy')
    ctl('policy', 'remove', 'mine')
    log = ctl('audit')
    check('/api/v1/certificates/web.pem' in log and 'METHOD' in log and 'admin' in log, 'the audit log: %s', log)
    script = 'source <(%s completion); COMP_WORDS=(posternctl config r); COMP_CWORD=2; PATH=%s:$PATH; _posternctl; echo "${COMPREPLY[*]}"' % (
        t.program('posternctl'), os.path.dirname(t.program('posternctl')))
    equal(subprocess.run(['bash', '-c', script], stdout=subprocess.PIPE, text=True, timeout=10).stdout.split(), ['remove', 'rollback'], 'completion')


# ---- logins ----
def raw(bed, text, source=None, seconds=3):
    """What comes back for these bytes: (status or None, text)."""
    s = socket.socket(socket.AF_INET)
    s.settimeout(seconds)
    if source:
        s.bind((source, 0))
    got = b''
    try:
        s.connect(bed.d.api)
        s.sendall(text if isinstance(text, bytes) else text.encode())
        while len(got) < 100000:
            more = s.recv(65536)
            if not more:
                break
            got += more
            if b'\r\n\r\n' in got and (b'Content-Length: 0' in got or len(got.split(b'\r\n\r\n', 1)[1]) >= int((re.search(rb'Content-Length: (\d+)', got) or [0, 0])[1])):
                break
    except OSError:
        pass
    s.close()
    m = re.match(rb'HTTP/1.1 (\d+)', got)
    return int(m.group(1)) if m else None, got.decode('utf-8', 'replace')


def ask(bed, token, source=None, path='/api/v1/stats', more=''):
    return raw(bed, 'GET %s HTTP/1.1\r\nHost: %s:%d\r\nAuthorization: Bearer %s\r\n%s\r\n' % (path, *bed.d.api, token, more), source)


@test()
def admin_lock_out(t):
    """Wrong tokens shut their address out for a while, with good ones too; not another address, nor one that a good token came from before; all stand in the audit log"""
    bed = Bed(t)
    bad, good = t.ip(21), t.ip(22)
    equal(ask(bed, bed.d.token, good)[0], 200, 'a good token')
    got = [ask(bed, 'wrong-%d' % k, bad)[0] for k in range(40)]
    check(got[0] == 401 and got[-1] == 429, 'statuses: %s', got)
    status, text = ask(bed, bed.d.token, bad)
    check(status == 429 and 'Retry-After' in text, 'a good token from there: %s', text[:200])
    for k in range(40):
        ask(bed, 'wrong', good)
    equal(ask(bed, bed.d.token, good)[0], 200, 'an address that is known')
    equal(ask(bed, bed.d.token, t.ip(23))[0], 200, 'another address')
    rows = bed.d.all_items('/audit')
    failed = [r for r in rows if r['status'] == 401 and r['address'].startswith(bad)]
    check(25 <= len(failed) <= 31 and failed[0]['user'] == '', 'failed logins in the audit log: %d', len(failed))
    check('wrong-1' not in json.dumps(rows) and 'wrong-1' not in bed.d.log(), 'a token is told')


@test()
def admin_logins(t):
    """A login is the first request of a token from an address: one line however many reads follow; refused networks and unknown tokens are failed ones; the control socket's too"""
    bed = Bed(t)
    bed.d.http('POST', '/config/users', {'id': 'ops', 'role': 'viewer', 'allow': [t.ip(21)]})
    token = bed.d.http('POST', '/users/ops/tokens', {}).json['token']
    for k in range(200):
        equal(ask(bed, token, t.ip(21))[0], 200, 'a read')
    equal([ask(bed, token, t.ip(22))[0] for k in range(3)], [403] * 3, 'from another network')
    equal(ask(bed, 'wrong', t.ip(23))[0], 401, 'an unknown token')
    for _ in range(3):
        equal(bed.d.ctl('status').returncode, 0, 'posternctl')
    rows = [(r['user'], r['method'], r['address'], r['status']) for r in bed.d.all_items('/audit')]
    equal([r for r in rows if r[0] == 'ops'], [('ops', 'GET', t.ip(22), 403)] * 3 + [('ops', 'LOGIN', t.ip(21), 200)], 'lines of a viewer')
    equal([r for r in rows if r[0] == ''], [('', 'GET', t.ip(23), 401)], 'lines of nobody')
    check(1 <= len([r for r in rows if r[1] == 'LOGIN' and r[0] == 'admin']) <= 3, 'logins of the admin: %s', rows)


@test()
def admin_tokens(t):
    """Tokens end with their time and are rotated one by one; networks and roles hold for each; each write is in the audit log with its user"""
    bed = Bed(t)
    bed.d.http('POST', '/config/users', {'id': 'ops', 'role': 'operator', 'allow': [t.ip(21)], 'deny': []})
    made = [bed.d.http('POST', '/users/ops/tokens', {'expires_in': s}).json for s in (1, 3600)]
    first, second = [x['token'] for x in made]
    equal(ask(bed, second, t.ip(21))[0], 200, 'from its network')
    equal(ask(bed, second, t.ip(22))[0], 403, 'from another network')
    until(lambda: ask(bed, first, t.ip(21))[0] == 401, 4, 'the end of a token that is good for a second')
    third = bed.d.http('POST', '/users/ops/tokens', {}).json
    bed.d.delete('/users/ops/tokens/' + made[1]['id'])
    equal((ask(bed, second, t.ip(21))[0], ask(bed, third['token'], t.ip(21))[0]), (401, 200), 'after the rotation')
    body = 'POST /api/v1/drain HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 0\r\n\r\n' % third['token']
    equal(raw(bed, body.replace('Host: x', 'Host: %s:%d' % bed.d.api), t.ip(21))[0], 204, 'an operator drains')
    equal(raw(bed, body.replace('Host: x', 'Host: %s:%d' % bed.d.api).replace('/drain', '/config/confirm'), t.ip(21))[0], 403, 'an operator does not configure')
    rows = bed.d.all_items('/audit')
    for want in (('ops', 'POST', '/api/v1/drain', 204), ('ops', 'POST', '/api/v1/config/confirm', 403), ('admin', 'POST', '/api/v1/config/users', 201)):
        check(want in [(r['user'], r['method'], r['path'], r['status']) for r in rows], '%s is not in the audit log', want)
    with open(os.path.join(bed.d.state, 'postern.db'), 'rb') as f, open(os.path.join(bed.d.state, 'postern.db-wal'), 'rb') as g:
        data = f.read() + g.read()
    check(third['token'].encode() not in data and second.encode() not in data, 'a token stands in the database')


@test()
def admin_pages_of_others(t):
    """A Host that is not ours is 421 (DNS rebinding), an Origin that is not ours 403"""
    bed = Bed(t)
    head = 'GET /api/v1/stats HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer ' + bed.d.token + '\r\n%s\r\n'
    ours = '%s:%d' % bed.d.api
    for host, origin, want in ((ours, '', 200), ('localhost:8080', '', 200), ('e2e', '', 200), ('evil.example', '', 421), (ours, 'Origin: http://evil.example\r\n', 403),
                               (ours, 'Origin: http://%s\r\n' % ours, 200), (ours, 'Origin: null\r\n', 403)):
        equal(raw(bed, head % (host, origin))[0], want, 'Host %s %s' % (host, origin.strip()))


# ---- hostile HTTP ----
def hostile(bed):
    """(what it is, bytes, statuses that are right; None: closed without a word)."""
    auth = 'Authorization: Bearer %s\r\nHost: %s:%d\r\n' % (bed.d.token, *bed.d.api)

    def put(body, ctype='application/json', path='/api/v1/config', more='', method='PUT', length=None):
        body = body if isinstance(body, bytes) else body.encode()
        return ('%s %s HTTP/1.1\r\n%sContent-Type: %s\r\nContent-Length: %s\r\n%s\r\n' % (method, path, auth, ctype, len(body) if length is None else length, more)).encode() + body
    yield 'a deep document', put('{"a":' * 50000 + '1' + '}' * 50000), (400, 422)
    yield 'a deep list', put('{"realms":' + '[' * 100000), (400,)
    yield 'invalid UTF-8', put(b'{"system": {"name": "\xff\xfe"}}'), (400, 422)
    yield 'invalid UTF-8 in the query', ('GET /api/v1/calls?number=%%ff%%fe HTTP/1.1\r\n%s\r\n' % auth).encode(), (200, 400)
    yield 'duplicate keys', put('{"schema": 1, "schema": 1}'), (400, 422)
    yield 'a NUL in a string', put('{"system": {"name": "a\\u0000b"}}'), (400, 422)
    yield 'a list', put('[]'), (400, 422)
    yield 'nothing', put(''), (400, 422)
    yield 'a number out of all bounds', put('{"schema": 1e999}'), (400, 422)
    yield 'a wrong type', put('<a/>', 'text/xml'), (415,)
    yield 'no type', put('{}').replace(b'Content-Type: application/json\r\n', b''), (415,)
    yield 'a length that is no number', put('{}', length='abc'), (400, None)
    yield 'a negative length', put('{}', length='-1'), (400, 413, None)
    yield 'two lengths', put('{}', more='Content-Length: 7\r\n'), (400, None)
    yield 'a length beyond all', put('{}', length='99999999999999999999'), (400, 413, None)
    yield 'a length beyond ours', put('{}', length='99999999'), (413,)
    yield 'length and chunks', put('2\r\n{}\r\n0\r\n\r\n', more='Transfer-Encoding: chunked\r\n'), (400, 422, None)
    yield 'an odd chunk', put('zz\r\n', more='Transfer-Encoding: chunked\r\n').replace(b'Content-Length: 4\r\n', b''), (400, None)
    yield 'an unknown coding', put('{}', more='Transfer-Encoding: gzip\r\n').replace(b'Content-Length: 2\r\n', b''), (400, 415, 501, None)
    yield 'a large body where it must be small', put('{"filter": {"number": "%s"}}' % ('x' * 100000), path='/api/v1/calls/end', method='POST'), (413,)
    yield 'an unknown method', ('BREW /api/v1/config HTTP/1.1\r\n%s\r\n' % auth).encode(), (405, 501, None)
    yield 'a long path', ('GET /api/v1/%s HTTP/1.1\r\n%s\r\n' % ('x' * 20000, auth)).encode(), (404, 414, 431, None)
    yield 'a huge head', ('GET /api/v1/calls HTTP/1.1\r\n%s%s\r\n' % (auth, 'X-Y: %s\r\n' % ('z' * 900) * 200)).encode(), (400, 413, 431, None)
    yield 'no version', b'GET /api/v1/health\r\n\r\n', (400, None)
    yield 'no host', ('GET /api/v1/stats HTTP/1.1\r\nAuthorization: Bearer %s\r\n\r\n' % bed.d.token).encode(), (400, None)
    yield 'bytes of a TLS hello', b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + b'\0' * 500, (400, None)
    yield 'a path with dots', ('GET /api/v1/../../../etc/passwd HTTP/1.1\r\n%s\r\n' % auth).encode(), (404,)


@test(seconds=60, slow=True)
def hostile_http(t):
    """Huge, half, pipelined, wrong and deep HTTP under a standing call: each gets the right status or the end of its connection; no memory or descriptor stays, the call and others are not disturbed"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b)
    admin = bed.d.role_pid('admin')

    def rss():
        with open('/proc/%d/statm' % admin) as f:
            return int(f.read().split()[1]) * 4
    line = 'GET /api/v1/health HTTP/1.1\r\nHost: %s:%d\r\n\r\n' % bed.d.api
    fds = len(os.listdir('/proc/%d/fd' % admin))
    half = [socket.create_connection(bed.d.api, 3) for _ in range(100)]   # half a request, then nothing; some half closed
    for k, h in enumerate(half):
        h.sendall(line[:20 + k % 30].encode())
        if k % 2:
            h.shutdown(socket.SHUT_WR)
    equal(bed.d.get('/health').status, 200, 'health beside 100 half requests')
    for h in half:
        h.close()
    odd, before = [], 0
    for turn in range(3):
        before = rss() if turn == 1 else before
        for what, data, right in hostile(bed):
            status, text = raw(bed, data, seconds=1)
            if status not in right:
                odd.append('%s: %s %s' % (what, status, text[:80]))
            if status and status >= 400 and status not in (400, 413, 414, 431, 501) and 'problem+json' not in text:
                odd.append('%s: %s is no problem+json: %s' % (what, status, text[:120]))
    check(not odd, 'not right: %s', odd[:4])
    s = socket.create_connection(bed.d.api, 3)                      # pipelined
    s.sendall(line.encode() * 50)
    got = b''
    while got.count(b'HTTP/1.1 200') < 50:
        more = s.recv(65536)
        check(more, 'the connection ended after %d of 50 answers', got.count(b'HTTP/1.1 200'))
        got += more
    s.close()
    until(lambda: len(os.listdir('/proc/%d/fd' % admin)) <= fds + 3, 12, lambda: 'descriptors are given back: %d of %d' % (len(os.listdir('/proc/%d/fd' % admin)), fds))
    check(SANITIZED or rss() - before < 4096, 'admin grew by %d KB', rss() - before)
    equal(bed.d.role_pid('admin'), admin, 'admin')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    hang_up(c, i)


@test()
def admin_connection_cap(t):
    """More connections than the API takes: those that ask nothing make room in seconds; the control socket has places of its own"""
    bed = Bed(t)
    idle = []
    for _ in range(300):
        try:
            idle.append(socket.create_connection(bed.d.api, 1))
        except OSError:
            break
    check(len(idle) >= 200, 'only %d connections', len(idle))
    check(bed.d.ctl('status').returncode == 0, 'posternctl beside them')
    until(lambda: raw(bed, 'GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n', seconds=2)[0] == 200, 15, 'a place for who asks')
    for s in idle:
        s.close()


# ---- the API's own place and TLS ----
@test()
def admin_api_moves(t):
    """system.api changes without a restart: port, TLS profile, client certificates, oldest version; what cannot be is 422 and nothing changes"""
    doc = document(t, tls={})
    doc['system']['api'] = {'address': t.ip(3), 'port': 8080}
    d = Postern(t, doc)
    d.argv = lambda *more: [t.program('posternd'), '--state', d.state, '--config', d.config, *more]
    d.start()
    c = certs.make(t)

    def patch(api, want, **kw):
        r = d.http('PATCH', '/config/system', {'api': api}, ctype='application/merge-patch+json', **kw)
        equal(r.status, want, 'PATCH %s: %s' % (api, r.text))
        return r

    def opens(port):
        try:
            socket.create_connection((t.ip(3), port), 1).close()
            return True
        except OSError:
            return False

    def secure(cert=None, version=None, path='/api/v1/stats'):
        ctx = ssl.create_default_context(cafile=c.path('ca.pem'))
        ctx.check_hostname = False
        if cert:
            ctx.load_cert_chain(c.path(cert + '.pem'), c.path(cert + '.key'))
        if version:
            ctx.maximum_version = version
        h = http.client.HTTPSConnection(*d.api, timeout=5, context=ctx)
        try:
            h.request('GET', path, headers={'Authorization': 'Bearer ' + d.token})
            return h.getresponse().status
        except (OSError, http.client.HTTPException) as e:
            return type(e).__name__
        finally:
            h.close()
    held = socket.socket()
    held.bind((t.ip(3), 8090))
    held.listen()
    check('/system/api' in patch({'port': 8090}, 422).text, 'a port in use')
    check('/system/api/tls' in patch({'address': '0.0.0.0', 'port': 8091}, 422).text, 'plain HTTP beyond loopback')
    patch({'port': 8081}, 200)
    until(lambda: opens(8081) and not opens(8080), 5, 'the API at its new port alone')
    d.api = (t.ip(3), 8081)
    patch({'port': 8080}, 200)
    until(lambda: opens(8080) and not opens(8081), 5, 'the API at its former port')
    d.api = (t.ip(3), 8080)
    patch({'tls': 'edge'}, 200)
    until(lambda: secure() == 200, 5, lambda: 'https: %s' % secure())

    def change(profile):
        env = dict(POSTERN_TOKEN=d.token)
        for key, value in profile.items():
            r = d.ctl('config', 'set', 'tls_profiles/edge/' + key, value)
            equal(r.returncode, 0, r.stdout)
        return env
    change({'verify': 'required'})
    until(lambda: secure() == 403, 5, lambda: 'without a client certificate: %s' % secure())
    equal((secure('party'), secure('other')), (200, 403), 'with a good and with a foreign certificate')
    change({'verify': 'optional'})
    until(lambda: secure() == 200, 5, 'optional: none is fine')
    equal((secure('party'), secure('other')), (200, 403), 'with a good and with a foreign certificate')
    change({'verify': 'none', 'min_version': '"1.3"'})
    until(lambda: secure(version=ssl.TLSVersion.TLSv1_2) != 200, 5, 'TLS 1.2 is refused')
    equal(secure(), 200, 'TLS 1.3')
    r = d.ctl('config', 'set', 'system/api/tls', 'null')
    equal(r.returncode, 0, r.stdout)
    until(lambda: not isinstance(plain(d), str) and plain(d) == 200, 5, 'plain again')


def plain(d):
    try:
        return d.get('/stats').status
    except OSError as e:
        return str(e)


# ---- lists ----
@test()
def lists_alike(t):
    """Every list: pages by limit and cursor are complete and in order; an odd limit, cursor or key is 400; a limit over 1,000 is capped"""
    bed = Bed(t, more_trunks=[{'id': 'x%d' % k, 'realm': 'core', 'target': 'sip:%s:%d;transport=udp' % (t.ip(90), 7000 + k)} for k in range(7)])
    c = certs.make(t)
    for k in range(3):
        d = bed.d
        d.http('PUT', '/certificates/c%d.pem' % k, {'certificate': c.read('party.pem').decode(), 'key': c.read('party.key').decode()})
        d.http('PUT', '/policies/p%d' % k, ('policy p%d on send any {\n    when has allow then remove allow["UPDATE"]\n}\n' % k).encode(), ctype='text/plain')
        d.http('POST', '/config/trunk_groups', {'id': 'g%d' % k, 'members': [{'trunk': 'a'}]})
        d.http('POST', '/users/admin/tokens', {})
        bed.a.call('55%02d' % k, sdp=None).wait(lambda m: m.status >= 100)
        i = bed.b.await_call('55%02d' % k)
        i.reply(486)
        i.expect('ACK')
        d.cdrs('55%02d' % k)
    for path, least in (('/config/trunks', 9), ('/config/revisions', 10), ('/trunks', 9), ('/trunk-groups', 3), ('/policies', 4), ('/certificates', 3), ('/users/admin/tokens', 3), ('/cdrs', 3), ('/calls', 0)):
        whole = bed.d.get(path + '?limit=1000').json['items']
        check(len(whole) >= least, '%s has %d items', path, len(whole))
        for limit in (1, 2, len(whole) or 1, 100000, 10 ** 30):
            got, after = [], ''
            while after is not None:
                r = bed.d.get('%s?limit=%d%s' % (path, limit, '&after=' + after if after else '')).json
                check(len(r['items']) <= min(limit, 1000), '%s: a page of %d', path, len(r['items']))
                got += r['items']
                after = r['next']
            equal([x.get('id', x.get('name', x.get('number'))) for x in got], [x.get('id', x.get('name', x.get('number'))) for x in whole], '%s by pages of %d' % (path, limit))
        for odd in ('limit=0', 'limit=-1', 'limit=x', 'limit=', 'limit=1.5', 'limit=1&limit=2', 'after=x', 'after=-1', 'nonsense=1'):
            equal(bed.d.get('%s?%s' % (path, odd)).status, 400, '%s?%s' % (path, odd))


@test()
def posternctl_json(t):
    """Every command that shows something: a table for people, with --json what parses; errors go to stderr's words and another exit code"""
    bed = Bed(t)
    c, i, _, _ = establish(bed, bed.a, bed.b, '6301')
    call = bed.d.calls()[0]['id']
    c2, i2, _, _ = establish(bed, bed.a, bed.b, '6302')
    hang_up(c2, i2)
    cdr = bed.d.cdrs('6302')[0]['id']
    ce = certs.make(t)
    bed.d.http('PUT', '/certificates/web.pem', {'certificate': ce.read('party.pem').decode(), 'key': ce.read('party.key').decode()})
    commands = [['status'], ['stats'], ['audit'], ['call', 'list'], ['call', 'show', call], ['call', 'decisions', call], ['call', 'messages', call], ['cdr', 'list'], ['cdr', 'show', cdr],
                ['cdr', 'decisions', cdr], ['cdr', 'messages', cdr], ['trunk', 'list'], ['trunk', 'show', 'a'], ['route', 'preview', 'a', '2001'], ['config', 'get'], ['config', 'get', 'trunks'],
                ['config', 'get', 'trunks', 'a'], ['config', 'history'], ['config', 'diff'], ['token', 'list', 'admin'], ['certificate', 'list'], ['certificate', 'show', 'web.pem'],
                ['policy', 'list']]
    for words in commands:
        r = bed.d.ctl(*words)
        equal(r.returncode, 0, 'posternctl %s: %s' % (' '.join(words), r.stdout[:300]))
        check(r.stdout.strip(), 'posternctl %s says nothing', ' '.join(words))
        r = bed.d.ctl('--json', *words)
        equal(r.returncode, 0, 'posternctl --json %s: %s' % (' '.join(words), r.stdout[:300]))
        try:
            json.loads(r.stdout)
        except ValueError:
            check(False, 'posternctl --json %s is no JSON: %s', ' '.join(words), r.stdout[:200])
    for words in (['call', 'show', 'none'], ['trunk', 'show', 'none'], ['cdr', 'show', 'none'], ['certificate', 'show', 'none'], ['token', 'list', 'none']):
        r = bed.d.ctl(*words)
        check(r.returncode not in (0, 1) and r.stdout.startswith('posternctl: '), 'posternctl %s: %d %s', ' '.join(words), r.returncode, r.stdout[:200])
    equal(bed.d.ctl('nonsense', 'list').returncode, 1, 'a word that is none')
    hang_up(c, i)

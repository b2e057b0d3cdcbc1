# SPDX-License-Identifier: Apache-2.0
"""A real posternd: its document, its start, its REST API, its processes, its end."""
import json
import os
import re
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request

from . import certs
from .base import Fail, Proc, SANITIZED, WAIT, alive, check, descendants, until
from .openapi import Watch
from .ua import Agent

TOKEN = 'e2e-admin-token-4d1f6a90c3'
ROLES = ('engine', 'media', 'admin')
SOCKETS = os.environ.get('POSTERN_MEDIA_SOCKETS')     # shared or ports: every daemon's back end of media, `auto` without it
BAD = re.compile(r'AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|SUMMARY: \w+Sanitizer|Segmentation fault|stack smashing|double free|must\(')


def document(t, a='udp', b='udp', system=None, ports=60, v6='', more_trunks=(), routes=None, trunk_a=None, trunk_b=None, tls=None):
    """
    Two realms, `core` at .1 with trunk `a` at .11 and `peering` at .2 with trunk `b` at .12, routed to each other.
    a, b: transport of the side. v6: which sides are on ::1. tls: further keys of the TLS profile.
    """
    doc = {'schema': 1, 'system': {'name': 'e2e', **(system or {})}, 'realms': [], 'listeners': [], 'trunks': [], 'routes': []}
    t.at, t.party = {}, {}
    for i, (side, realm, transport) in enumerate((('a', 'core', a), ('b', 'peering', b))):
        six = side in v6
        ip, party = ('::1', '::1') if six else (t.ip(1 + i), t.ip(11 + i))
        port = t.port6() if six else 5061 if transport == 'tls' else 5060
        base = t.port6(2 * ports + 2) // 2 * 2 if six else 20000
        media = {'port_min': base, 'port_max': base + 2 * ports - 2, 'address6' if six else 'address': ip}
        doc['realms'].append({'id': realm, 'media': media})
        row = {'id': '%s-%s' % (realm, transport), 'realm': realm, 'transport': transport, 'address': ip, 'port': port}
        if transport == 'tls':
            row['tls'] = 'edge'
        doc['listeners'].append(row)
        t.at[side] = (ip, port)
        t.party[side] = (party, t.port6() if six else port)
        host = '[::1]' if six else party
        trunk = {'id': side, 'realm': realm, 'target': 'sip:%s:%d;transport=%s' % (host, t.party[side][1], transport)}
        if transport == 'tls':
            trunk['tls'] = 'edge'
        trunk.update((trunk_a if side == 'a' else trunk_b) or {})
        doc['trunks'].append(trunk)
    doc['trunks'] += list(more_trunks)
    doc['routes'] = routes if routes is not None else [{'id': 'a-b', 'order': 10, 'from': ['a'], 'to': 'b'}, {'id': 'b-a', 'order': 20, 'from': ['b'], 'to': 'a'}]
    if 'tls' in (a, b) or tls is not None:
        doc['tls_profiles'] = [{'id': 'edge', 'certificate': 'edge.pem', 'key': 'edge.key', 'ca': 'ca.pem', **(tls or {})}]
    return doc


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.text = body.decode('utf-8', 'replace')

    @property
    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            raise Fail('the API answered %d with what is not JSON: %r' % (self.status, self.body[:200]))


class Postern:
    def __init__(self, t, doc, files=None, args=(), env=None, token=TOKEN):
        self.t, self.doc, self.files, self.args, self.token = t, doc, dict(files or {}), list(args), token
        self.dir = os.path.join(t.tmp, 'd%d' % len(t.daemons))
        os.mkdir(self.dir, 0o755)
        os.chmod(self.dir, 0o755)
        self.state = os.path.join(self.dir, 'state')
        self.config = os.path.join(self.dir, 'postern.json')
        self.api = (t.ip(3), 8080 + len(t.daemons))
        self.env = {'ASAN_OPTIONS': 'detect_leaks=0:abort_on_error=0:handle_abort=1', 'UBSAN_OPTIONS': 'print_stacktrace=1', **(env or {})}
        if token:
            self.env['POSTERN_ADMIN_TOKEN'] = token
        self.proc, self.killed, self.may_log_bad = None, set(), False
        self.watch = Watch(os.path.join(os.path.dirname(t.program('posternd')), 'api-reference'))
        t.daemons.append(self)
        self.write()

    def write(self):
        if SOCKETS:
            self.doc.setdefault('system', {}).setdefault('media_process', {}).setdefault('sockets', SOCKETS)
        if any(p.get('certificate') == 'edge.pem' for p in self.doc.get('tls_profiles', ())):
            c = certs.make(self.t)
            for name in ('edge.pem', 'edge.key', 'ca.pem'):
                self.files.setdefault(name, c.read(name))
        for name, data in self.files.items():
            path = os.path.join(self.dir, name)
            with open(path, 'wb') as f:
                f.write(data if isinstance(data, bytes) else data.encode())
            os.chmod(path, 0o600 if name.endswith('.key') else 0o644)
        with open(self.config, 'w') as f:
            json.dump(self.doc, f, indent=1)
        os.chmod(self.config, 0o644)

    def argv(self, *more):
        return [self.t.program('posternd'), '--state', self.state, '--config', self.config, '--api', '%s:%d' % self.api, *self.args, *more]

    def run(self, *more, seconds=15):
        """Run to its end (--check, failing starts): (exit code, output)."""
        r = subprocess.run(self.argv(*more), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.dir,
                           env=dict(os.environ, **self.env), timeout=seconds * WAIT, text=True, errors='replace')
        return r.returncode, r.stdout

    def start(self, seconds=15):
        self.proc = Proc(self.t, 'posternd', self.argv(), env=self.env, cwd=self.dir)

        def healthy():
            if not self.proc.running():
                raise Fail('posternd ended at its start with %s:\n%s' % (self.proc.p.returncode, self.proc.tail(12)))
            try:
                return self.get('/health', token=None).status == 200
            except OSError:
                return False
        until(healthy, seconds, lambda: 'posternd is not healthy; its log:\n%s' % self.proc.tail(12))
        return self

    # ---- API ----
    def http(self, method, path, body=None, token='', headers=None, seconds=5, ctype='application/json'):
        url = 'http://%s:%d%s' % (*self.api, path if path.startswith(('/metrics', '/api')) else '/api/v1' + path)
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        rq = urllib.request.Request(url, data=data, method=method, headers=headers or {})
        if data is not None:
            rq.add_header('Content-Type', ctype)
        token = self.token if token == '' else token
        if token:
            rq.add_header('Authorization', 'Bearer ' + token)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(rq, timeout=seconds * WAIT) as r:
                answer = Answer(r.status, r.headers, r.read())
        except urllib.error.HTTPError as e:
            answer = Answer(e.code, e.headers, e.read())
        self.watch.note(method, path, None if isinstance(body, bytes) else body, answer)
        return answer

    def get(self, path, **kw):
        return self.http('GET', path, **kw)

    def delete(self, path, **kw):
        return self.http('DELETE', path, **kw)

    def items(self, path):
        r = self.get(path)
        check(r.status == 200, 'GET %s: %d %s', path, r.status, r.text[:200])
        return r.json['items']

    def calls(self):
        return self.items('/calls')

    def all_items(self, path, page=1000):
        """Every item of a list, page by page."""
        out, after = [], None
        while True:
            r = self.get('%s?limit=%d%s' % (path, page, '&after=%s' % urllib.request.quote(after, safe='') if after else '')).json
            out += r['items']
            after = r.get('next')
            if not after:
                return out

    def cdrs(self, number, count=1, seconds=4):
        """The CDRs of calls to this number, once there are `count`."""
        def find():
            return [c for c in self.all_items('/cdrs') if number in json.dumps(c.get('to'))]
        until(lambda: len(find()) >= count, seconds, 'CDR of the call to %s' % number)
        return find()

    def no_calls(self, seconds=4):
        until(lambda: not self.calls(), seconds, lambda: 'no call is left; listed: %s' % [(c['to'], c['state']) for c in self.calls()])

    def counter(self, name):
        """Sum of a metric's rows."""
        total = 0.0
        for line in self.get('/metrics').text.splitlines():
            m = re.match(r'%s(?:\{[^}]*\})? ([-0-9.e+]+)$' % re.escape(name), line)
            if m:
                total += float(m.group(1))
        return total

    def processes(self):
        return {p['role']: p for p in self.get('/health').json['processes']}

    def role_pid(self, role):
        """Pid that serves now; the API may be away while admin restarts."""
        def ask():
            try:
                return self.processes().get(role, {}).get('pid')
            except (OSError, KeyError, Fail):
                return None
        pid = until(ask, 5, 'pid of %s in /health' % role)
        check(pid == self.proc.pid or pid in self.family(), '%s is pid %s, which is no process of posternd', role, pid)
        return pid

    def kill(self, role, sig=signal.SIGKILL):
        pid = self.role_pid(role)
        self.killed.add(pid)
        os.kill(pid, sig)
        return pid

    def restarted(self, role, old, seconds=6):
        def ask():
            try:
                p = self.processes()[role]
                return p['pid'] if p['pid'] != old else None
            except (OSError, KeyError, Fail):
                return None
        return until(ask, seconds, '%s is served by another process' % role)

    def family(self):
        """All pids: the supervisor, its children, spares."""
        return {self.proc.pid} | descendants(self.proc.pid)

    def fds(self):
        return sum(len(os.listdir('/proc/%d/fd' % p)) for p in self.family() if alive(p))

    def pss_kb(self):
        """Its memory without mapped files: our share of those depends on how many other daemons run."""
        total = 0
        for p in self.family():
            try:
                with open('/proc/%d/smaps_rollup' % p) as f:
                    total += sum(int(ln.split()[1]) for ln in f if ln.startswith(('Pss_Anon:', 'Pss_Shmem:')))
            except OSError:
                pass
        return total

    def ctl(self, *args, seconds=10):
        env = dict(os.environ, **self.env, POSTERN_API='http://%s:%d' % self.api, POSTERN_TOKEN=self.token or '')
        return subprocess.run([self.t.program('posternctl'), '--state', self.state, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, env=env, timeout=seconds * WAIT)

    # ---- end ----
    def log(self):
        return self.proc.text()

    def stop(self, sig=signal.SIGTERM, seconds=8):
        """End it, calls or not; returns the exit code."""
        if not self.proc.running():
            return self.proc.p.returncode
        kids = descendants(self.proc.pid)
        self.proc.p.send_signal(sig)
        rc = self.proc.wait(seconds)
        left = [p for p in kids if alive(p)]
        if left:
            time.sleep(0.5)
            left = [p for p in left if alive(p)]
        check(not left, 'children outlived posternd: %s', left)
        return rc

    def verdict(self):
        """What every test ends with: still alive, nothing died by itself, no sanitizer report, no secret in the log."""
        text = self.log()
        bad = [ln for ln in text.splitlines() if BAD.search(ln)]
        check(not bad or self.may_log_bad, 'the log has: %s', bad[:3])
        check(TOKEN not in text, 'the admin token stands in the log')
        odd = self.watch.errors()
        check(not odd, 'not as the OpenAPI document says: %s', odd[:4])
        check(self.proc.running() or self.proc.p.returncode == 0, 'posternd ended with %s\n%s', self.proc.p.returncode, self.proc.tail())


def context(t, server, cafile=None, cert=None, verify=False):
    """An ssl context for a party."""
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    c = certs.make(t)
    if cert or server:
        ctx.load_cert_chain(c.path((cert or 'party') + '.pem'), c.path((cert or 'party') + '.key'))
    if verify:
        ctx.load_verify_locations(c.path('ca.pem') if not cafile else cafile)
    return ctx


class Bed:
    """A daemon with a party on each side."""

    def __init__(self, t, start=True, daemon=None, party_cert='party', **kw):
        self.t = t
        a, b = kw.get('a', 'udp'), kw.get('b', 'udp')
        self.doc = document(t, **kw)
        self.d = Postern(t, self.doc, **(daemon or {}))
        if start:
            self.d.start()
        self.agents = {}
        for side, transport in (('a', a), ('b', b)):
            ip, port = t.party[side]
            tls = {}
            if transport == 'tls':
                tls = {'server_tls': context(t, True, cert=party_cert), 'client_tls': context(t, False, cert=party_cert)}
            self.agents[side] = Agent(t, ip, t.at[side], port, transport, **tls)
        self.a, self.b = self.agents['a'], self.agents['b']


def running(proc):
    return proc and proc.running()


__all__ = ['Postern', 'Bed', 'document', 'context', 'TOKEN', 'ROLES', 'SANITIZED', 'running']

# SPDX-License-Identifier: Apache-2.0
"""Processes: nothing is lost when one is killed, restarts, drain, reload, exit codes, privileges, the state folder."""
import json
import os
import re
import signal
import socket
import stat
import subprocess
import time

from lib import certs
from lib.base import SANITIZED, SLOW, Fail, alive, check, descendants, equal, need_root, test, until
from lib.daemon import ROLES, TOKEN, Bed, Postern, context, document
from lib.rtp import Rtp, both_ways
from lib.rtpbank import Bank
from lib.sip import sdp_text
from t_call import establish

CALLS = 50
KILLS = 4               # tries of a kill whose gap is longer than promised


def many_calls(bed, count, first=6000):
    """count calls with RTP flowing both ways: list of (caller, callee), the two banks."""
    banks = Bank(bed.t, bed.a.ip, 40000, count), Bank(bed.t, bed.b.ip, 40000, count)
    calls = []
    for k in range(count):
        number = str(first + k)
        c = bed.a.call(number, sdp=sdp_text(bed.a.ip, banks[0].port(k)))
        i = bed.b.await_call(number)
        i.reply(200, sdp=sdp_text(bed.b.ip, banks[1].port(k)))
        c.wait(200)
        i.expect('ACK')
        banks[0].tell('to', k, *c.rsdp.dest())
        banks[1].tell('to', k, *i.rsdp.dest())
        calls.append((c, i))
    for b in banks:
        b.tell('start')
    time.sleep(0.8)
    return calls, banks


def worst(banks):
    rows = [r for b in banks for r in b.report()]
    return {'gap_ms': max(r['gap_ms'] for r in rows), 'lost': sum(r['lost'] for r in rows), 'least': min(r['received'] for r in rows)}


def end_all(bed, calls):
    """Half by BYE of the caller, half of the callee; each call has one complete CDR."""
    for k, (c, i) in enumerate(calls):
        first, second = (c, i) if k % 2 else (i, c)
        tx = first.request('BYE')
        second.answer_bye(6)
        equal(tx.final(6).status, 200, 'BYE of call %s' % c.number)
    bed.d.no_calls(6)
    numbers = {c.number for c, _ in calls}

    def cdrs():
        out = {}
        for row in bed.d.all_items('/cdrs'):
            m = re.search(r'\d{4}', json.dumps(row['to']))
            if m and m.group(0) in numbers:
                out.setdefault(m.group(0), []).append(row)
        return out
    until(lambda: len(cdrs()) == len(numbers), 8, lambda: 'a CDR of each of %d calls: there are %d' % (len(numbers), len(cdrs())))
    for number, rows in cdrs().items():
        equal(len(rows), 1, 'CDRs of call %s' % number)
        row = rows[0]
        missing = [k for k in ('id', 'call_id_a', 'call_id_b', 'from', 'to', 'trunk_in', 'trunk_out', 'route', 'start', 'answer', 'end', 'status', 'cause', 'ended_by') if not row.get(k)]
        check(not missing, 'the CDR of call %s lacks %s: %s', number, missing, row)
        equal((row['status'], row['trunk_in'], row['trunk_out']), (200, 'a', 'b'), 'CDR')
    ids = [r[0]['id'] for r in cdrs().values()]
    equal(len(set(ids)), len(ids), 'CDR ids')


def flowing(banks, seconds, event=None):
    """What came to pass in a window of time that begins with the event; every flow carries packets in it."""
    for b in banks:
        b.tell('mark')
    if event:
        event()
    time.sleep(seconds)
    got = worst(banks)
    check(got['least'], 'some flow carried nothing: %s', got)
    return got


def audio_gap(bed, banks, role):
    """Milliseconds of silence that a kill of the role adds to what the machine's load does in as much time."""
    old = []
    calm = flowing(banks, 1.5)
    after = flowing(banks, 1.5, lambda: old.append(bed.d.kill(role)))
    bed.t.note('%s killed under %d calls: gap %.0f ms, %d packets lost; before: %.0f ms' % (role, CALLS, after['gap_ms'], after['lost'], calm['gap_ms']))
    bed.d.restarted(role, old[0])
    if role != 'media':
        equal(after['lost'], 0, 'packets lost when %s was killed' % role)
    return after['gap_ms'] - calm['gap_ms']


def kill_under_calls(t, role, bound_ms):
    bed = Bed(t, ports=2 * CALLS)
    calls, banks = many_calls(bed, CALLS)
    # what a kill costs, each kill costs; what other tests on the machine cost, comes and goes
    gaps = []
    while not gaps or (min(gaps) >= bound_ms * SLOW and len(gaps) < KILLS):
        gaps.append(audio_gap(bed, banks, role))
    check(min(gaps) < bound_ms * SLOW, 'each kill of %s stopped the audio longer than it stops without: by %s ms', role, ['%.0f' % g for g in gaps])
    for agent in (bed.a, bed.b):
        agent.none(lambda m: m.method in ('INVITE', 'BYE'), 0.1, 'signalling after a kill of %s' % role)
    # in-dialog requests work, and new calls
    c, i = calls[0]
    c.reinvite(sdp_text(bed.a.ip, banks[0].port(0), direction='sendonly', version=2))
    m = i.expect('INVITE', 5)
    i.reply(200, to=m, sdp=sdp_text(bed.b.ip, banks[1].port(0), direction='recvonly', version=2))
    c.wait(200, 5)
    i.expect('ACK')
    calls.append(establish(bed, bed.a, bed.b, '6900')[:2])
    end_all(bed, calls)


@test(seconds=60)
def kill_media_under_calls(t):
    """kill -9 of media under 50 calls: audio goes on within 100 ms, re-INVITE and BYE work, one complete CDR each"""
    kill_under_calls(t, 'media', 100)


@test(seconds=60)
def kill_engine_under_calls(t):
    """kill -9 of the engine under 50 calls: no packet lost, re-INVITE and BYE work, one complete CDR each"""
    kill_under_calls(t, 'engine', 20)


@test(seconds=60)
def kill_admin_under_calls(t):
    """kill -9 of admin under 50 calls: no packet lost, calls and CDRs go on"""
    kill_under_calls(t, 'admin', 20)


@test(seconds=60)
def kill_each_in_turn(t):
    """engine, media, admin and again, one call through all of it"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '6100')
    for role in ROLES * 2:
        old = bed.d.kill(role)
        bed.d.restarted(role, old, 10)
        both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest(), 8)
    p = bed.d.processes()
    check(all(p[r]['restarts'] >= 2 for r in ROLES), 'restarts shown: %s', p)
    end_all(bed, [(c, i)])


@test(seconds=60)
def kill_during_setup(t):
    """a call that rings when the engine is killed is not stuck: its CDR says engine-restart, and the next call works"""
    bed = Bed(t)
    c = bed.a.call('6200', sdp=sdp_text(bed.a.ip, 30000))
    i = bed.b.await_call('6200')
    i.reply(180)
    c.wait(180)
    bed.d.restarted('engine', bed.d.kill('engine'))
    cdr = bed.d.cdrs('6200', seconds=8)
    equal((len(cdr), cdr[0]['cause']), (1, 'engine-restart'), 'CDR')
    bed.d.no_calls()
    end_all(bed, [establish(bed, bed.a, bed.b, '6203')[:2]])


@test(seconds=60)
def kill_engine_200_is_acknowledged(t):
    """a 2xx that comes again after an engine restart is acknowledged"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '6201')
    bed.d.restarted('engine', bed.d.kill('engine'))
    bed.b.transmit(*bed.b.answers[(i.inv.branch, i.inv.cseq, 'INVITE')])
    end = time.monotonic() + 2
    acks = [x for x in bed.b.trace if x[1] == '<-' and x[2].startswith('ACK ')]
    while len(acks) < 2 and time.monotonic() < end:
        time.sleep(0.05)
        acks = [x for x in bed.b.trace if x[1] == '<-' and x[2].startswith('ACK ')]
    check(len(acks) >= 2, 'the repeated 200 was not acknowledged')
    end_all(bed, [(c, i)])


@test(seconds=60)
def restart_delay_grows(t):
    """a role that dies again and again is replaced with growing delay, the others go on"""
    bed = Bed(t)
    times = []
    for _ in range(6):
        old = bed.d.kill('media')
        start = time.monotonic()
        bed.d.restarted('media', old, 12)
        times.append(time.monotonic() - start)
    check(times[0] < 1.0 * SLOW, 'the first replacement took %.2f s', times[0])
    check(max(times[3:]) > times[0], 'no growing delay: %s', ['%.2f' % x for x in times])
    t.note('seconds until replaced: %s' % ' '.join('%.2f' % x for x in times))
    talk = establish(bed, bed.a, bed.b, '6202')
    both_ways(talk[2], talk[0].rsdp.dest(), talk[3], talk[1].rsdp.dest(), 8)


@test(seconds=40)
def sigterm_drains(t):
    """SIGTERM: calls go on, new ones get 503, health says draining; when the last has ended the daemon ends with 0"""
    bed = Bed(t, system={'drain_seconds': 20})
    c, i, ra, rb = establish(bed, bed.a, bed.b, '6300')
    os.kill(bed.d.proc.pid, signal.SIGTERM)

    def draining():
        r = bed.d.get('/health', token=None)
        return r.status == 503 and r.json['status'] == 'draining'
    until(draining, 3, '503 draining from /health')
    n = bed.a.call('6301', sdp=sdp_text(bed.a.ip, 30000))
    m = n.wait(lambda m: m.status >= 200)
    equal(m.status, 503, 'a new call while draining')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest(), 8)
    kids = descendants(bed.d.proc.pid)
    tx = c.request('BYE')
    i.answer_bye()
    tx.final()
    equal(bed.d.proc.wait(6), 0, 'exit code')
    check(not [p for p in kids if alive(p)], 'children are left')


@test(seconds=40)
def sigterm_ends_calls_after_drain(t):
    """after drain_seconds what is left is ended with BYE on both sides; the CDR is there at the next start"""
    bed = Bed(t, system={'drain_seconds': 2})
    c, i, _, _ = establish(bed, bed.a, bed.b, '6302')
    start = time.monotonic()
    os.kill(bed.d.proc.pid, signal.SIGTERM)
    c.answer_bye(6)
    took = time.monotonic() - start
    i.answer_bye(3)
    check(1.5 < took < 5 * SLOW, 'BYE after %.1f s', took)
    equal(bed.d.proc.wait(8), 0, 'exit code')
    bed.d.start()
    equal(len(bed.d.cdrs('6302')), 1, 'CDRs after the next start')


def served_certificate(t, bed):
    import ssl
    with context(t, False).wrap_socket(socket.create_connection(t.at['a'], 3), server_hostname='sbc.test') as s:
        return ssl.DER_cert_to_PEM_cert(s.getpeercert(True)).strip()


@test(seconds=40)
def sighup_reads_certificates_again(t):
    """SIGHUP: a changed certificate is served and is a new revision; a bad one leaves the old in force; calls go on"""
    bed = Bed(t, a='tls', b='udp')
    c, i, ra, rb = establish(bed, bed.a, bed.b, '6400')
    first = served_certificate(t, bed)
    etag = bed.d.get('/config').headers.get('ETag')
    cs = certs.make(t)
    cs.leaf('edge', 'sbc.test', 'DNS:sbc.test,IP:' + t.ip(1))
    for name in ('edge.pem', 'edge.key'):
        bed.d.files[name] = cs.read(name)
    bed.d.write()
    os.kill(bed.d.proc.pid, signal.SIGHUP)
    want = subprocess.run(['openssl', 'x509', '-in', cs.path('edge.pem')], stdout=subprocess.PIPE, text=True).stdout.strip()
    until(lambda: served_certificate(t, bed) == want, 4, 'the new certificate is served')
    check(first != want, 'the certificates are the same')
    check(bed.d.get('/config').headers.get('ETag') != etag, 'the revision did not change')
    bed.d.files['edge.pem'] = b'-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n'
    bed.d.write()
    log = len(bed.d.log())
    os.kill(bed.d.proc.pid, signal.SIGHUP)
    until(lambda: re.search(r'(?i)error .*(edge|certificate|tls_profiles)', bed.d.log()[log:]), 4, 'a line in the log about the bad certificate')
    equal(served_certificate(t, bed), want, 'certificate served after a bad file')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest(), 8)
    end_all(bed, [(c, i)])
    for role in ('engine',):
        bed.d.restarted(role, bed.d.kill(role))
        equal(served_certificate(t, bed), want, 'certificate after a restart of ' + role)


@test()
def exit_codes(t):
    """1 usage or configuration, 2 a taken port, 0 clean"""
    d = Postern(t, document(t))
    r = subprocess.run([t.program('posternd'), '--no-such-option'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=10 * SLOW, text=True)
    equal(r.returncode, 1, 'unknown option')
    check(r.stdout.strip(), 'no message')
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(t.at['a'])
    rc, out = d.run()
    equal(rc, 2, 'a taken port: %s; exit code' % out[-200:])
    s.close()
    # without a revision in the state: with one a bad document is only logged
    for text, what in (('{"schema": 1, "nonsense": 5}', 'a bad document'), ('{', 'no JSON')):
        d = Postern(t, document(t))
        with open(d.config, 'w') as f:
            f.write(text)
        rc, out = d.run()
        equal(rc, 1, '%s: %s; exit code' % (what, out[-200:]))
        check('nonsense' in out or text == '{', 'the key is not named: %s', out)
    d = Postern(t, document(t))
    os.remove(d.config)
    rc, out = d.run()
    check(rc in (1, 2), 'no such file: exit code %d', rc)
    d2 = Postern(t, document(t))
    d2.start()
    equal(d2.stop(), 0, 'SIGTERM; exit code')
    d2.start()
    equal(d2.stop(signal.SIGINT), 0, 'SIGINT; exit code')


@test()
def api_refuses_plain_http_elsewhere(t):
    """plain HTTP on an address that is not loopback is refused"""
    d = Postern(t, document(t))
    d.api = ('192.0.2.7', 8080)
    rc, out = d.run()
    check(rc in (1, 2), 'exit code %d', rc)
    check('192.0.2.7' in out or 'api' in out.lower(), 'message: %s', out[-300:])


@test()
def state_folder(t):
    """the state folder is 0700, token and database 0600; a second daemon on the same state is refused; a start with another --config logs a difference once"""
    bed = Bed(t, daemon={'token': None})
    d = bed.d
    equal(stat.S_IMODE(os.stat(d.state).st_mode), 0o700, 'mode of the state folder')
    path = os.path.join(d.state, 'admin.token')
    equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, 'mode of admin.token')
    with open(path) as f:
        token = f.read().strip()
    check(len(token) >= 20, 'token of %d characters', len(token))
    d.token = token
    equal(d.get('/calls').status, 200, 'the token of the file')
    check(token not in d.log(), 'the token stands in the log')
    for name in os.listdir(d.state):
        st = os.lstat(os.path.join(d.state, name))
        check(not st.st_mode & 0o077, '%s has mode %o', name, stat.S_IMODE(st.st_mode))
    if os.geteuid() == 0:
        check(os.stat(d.state).st_uid != 0, 'the state folder belongs to root')
    other = Postern(t, document(t))
    other.state = d.state
    other.token = token
    rc, out = other.run()
    check(rc in (1, 2), 'a second daemon on the same state: exit code %s: %s', rc, out[-200:])
    d.stop()
    d.doc['system']['name'] = 'renamed'
    d.write()
    d.start()
    equal(d.get('/config').json['system']['name'], 'e2e', 'the stored revision wins; system.name')
    check(re.search(r'(?i)differ|stored revision', d.log()), 'no word of the difference in the log:\n%s', d.proc.tail())


@test()
def token_survives_and_is_not_logged(t):
    """POSTERN_ADMIN_TOKEN sets the token; it is in no child's environment, command line or log"""
    bed = Bed(t)
    d = bed.d
    equal(d.get('/calls').status, 200, 'token of the environment')
    for pid in d.family() - {d.proc.pid}:
        for name in ('environ', 'cmdline'):
            try:
                with open('/proc/%d/%s' % (pid, name), 'rb') as f:
                    data = f.read()
            except PermissionError:
                continue
            check(TOKEN.encode() not in data, 'the token stands in %s of a child', name)


def status_of(pid):
    with open('/proc/%d/status' % pid) as f:
        return dict(ln.split(':\t', 1) for ln in f.read().splitlines() if ':\t' in ln)


@test()
def privileges(t):
    """children: another user, no capabilities, no new privileges, seccomp; admin stands back for audio and calls; the supervisor reads no network socket"""
    need_root('privileges are dropped')
    bed = Bed(t)
    d = bed.d
    for role in ROLES:
        s = status_of(d.role_pid(role))
        check(set(s['Uid'].split()) != {'0'} and '0' not in s['Uid'].split(), '%s runs as uid %s', role, s['Uid'])
        check('0' not in s['Gid'].split(), '%s runs as gid %s', role, s['Gid'])
        equal(int(s['CapEff'], 16), 0, 'capabilities of ' + role)
        equal(int(s['CapPrm'], 16), 0, 'permitted capabilities of ' + role)
        equal(s['NoNewPrivs'], '1', 'NoNewPrivs of ' + role)
        if not SANITIZED:
            equal(s['Seccomp'], '2', 'seccomp filter of ' + role)
        groups = s.get('Groups', '').split()
        check('0' not in groups, '%s is in groups %s', role, groups)
    behind = os.getpriority(os.PRIO_PROCESS, d.role_pid('admin')) - os.getpriority(os.PRIO_PROCESS, d.proc.pid)
    check(0 < behind <= 10, 'admin stands back behind calls and audio by %d', behind)
    for role in ('engine', 'media'):
        equal(os.getpriority(os.PRIO_PROCESS, d.role_pid(role)), os.getpriority(os.PRIO_PROCESS, d.proc.pid), 'priority of ' + role)


@test()
def separate_executables(t):
    """the roles are executables of their own, and only the engine has the guard"""
    bed = Bed(t)
    d = bed.d
    for role in ROLES:
        exe = os.readlink('/proc/%d/exe' % d.role_pid(role))
        equal(os.path.basename(exe).replace('lt-', ''), 'postern-' + role, 'executable of ' + role)
    spares = d.family() - {d.proc.pid} - {d.role_pid(r) for r in ROLES}
    t.note('%d spare processes' % len(spares))


@test()
def sd_notify_ready(t):
    """READY=1 goes to NOTIFY_SOCKET once calls are taken, STOPPING=1 at the end"""
    path = os.path.join(t.tmp, 'notify')
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(path)
    os.chmod(path, 0o777)
    s.settimeout(5 * SLOW)
    bed = Bed(t, daemon={'env': {'NOTIFY_SOCKET': path}})
    got = b''
    while b'READY=1' not in got:
        try:
            got += s.recv(4096) + b'\n'
        except socket.timeout:
            raise Fail('no READY=1; got %r' % got)
    check(bed.d.proc.running(), 'not running')


@test()
def descriptors_and_memory_come_back(t):
    """300 calls and their end: descriptors are as many as before, memory grows by less than 40 KB a call (transactions rest for 32 s)"""
    bed = Bed(t)

    def work(n, first):
        for k in range(n):
            c = bed.a.call('7%03d' % (first + k), sdp=sdp_text(bed.a.ip, 30000))
            i = bed.b.await_call(c.number)
            i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
            c.wait(200)
            tx = c.request('BYE')
            i.answer_bye()
            tx.final()
        bed.d.no_calls()
    def settled():
        """spares get their descriptors a moment after the start: as many as a second ago"""
        n = bed.d.fds()
        time.sleep(1)
        return bed.d.fds() == n
    work(20, 0)
    until(settled, 10, 'the family is complete', step=0)
    fds, kb = bed.d.fds(), bed.d.pss_kb()
    work(280, 20)
    until(lambda: bed.d.fds() <= fds + 2, 8, lambda: 'descriptors: %d before, now %d' % (fds, bed.d.fds()), step=0.5)
    grown = bed.d.pss_kb() - kb
    t.note('memory grew by %d KB' % grown)
    check(SANITIZED or grown < 280 * 40, 'memory: %d KB before, %d KB more now', kb, grown)


@test(seconds=30)
def supervisor_death_ends_all(t):
    """the supervisor's death ends the service: no child is left behind"""
    bed = Bed(t)
    kids = descendants(bed.d.proc.pid)
    check(len(kids) >= 3, 'children: %s', kids)
    bed.d.proc.p.kill()
    until(lambda: not [p for p in kids if alive(p)], 5, 'children end with their supervisor')
    bed.d.proc = None


@test()
def log_lines(t):
    """one line each: level role component message; --log-level debug says more than error, which says nothing of a good start"""
    sizes = {}
    for level in ('error', 'debug'):
        bed = Bed(t, daemon={'args': ['--log-level', level]})
        c, i, _, _ = establish(bed, bed.a, bed.b, '6500')
        tx = c.request('BYE')
        i.answer_bye()
        tx.final()
        bed.d.cdrs('6500')
        bed.d.stop()
        lines = bed.d.log().splitlines()
        sizes[level] = len(lines)
        odd = [ln for ln in lines if not re.match(r'(error|warn|info|debug) (supervisor|engine|media|admin) \S+ \S', ln)]
        check(not odd, 'lines of another form: %s', odd[:3])
        bed.a.close()
        bed.b.close()
    check(sizes['debug'] > sizes['error'], 'lines: %s', sizes)


@test()
def started_by_a_user(t):
    """a user who is not root can start it too"""
    need_root('a start by a user who is not root')
    d = Postern(t, document(t))
    os.chown(d.dir, 65534, 65534)
    import lib.base as base
    p = base.Proc(t, 'posternd', ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', *d.argv()], env=d.env, cwd=d.dir)
    d.proc = p

    def healthy():
        if not p.running():
            raise Fail('ended with %s: %s' % (p.p.returncode, p.tail()))
        try:
            return d.get('/health', token=None).status == 200
        except OSError:
            return False
    until(healthy, 15, 'healthy as a user: %s' % p.tail())


__all__ = ['Rtp']

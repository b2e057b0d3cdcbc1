# SPDX-License-Identifier: Apache-2.0
"""What every test uses: failing and skipping, an address block of its own, processes that end with the test."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

LIB = os.path.dirname(os.path.abspath(__file__))
E2E = os.path.dirname(LIB)
ROOT = os.path.dirname(os.path.dirname(E2E))
CORPORA = os.environ.get('POSTERN_CORPORA', os.path.join(os.path.dirname(ROOT), 'shared', 'corpora'))
SANITIZED = os.environ.get('POSTERN_SANITIZED', '')
# Under a sanitizer everything is slower, time bounds on what the daemon does are stretched.
SLOW = float(os.environ.get('POSTERN_SLOW', '3' if SANITIZED else '1'))
# What is waited for, and comes, costs only the time that it takes: a machine on which four tests share two busy cores gets this many times the seconds.
WAIT = max(3.0, 1.5 * SLOW)


class Fail(AssertionError):
    """The claim does not hold."""


class Skip(Exception):
    """The claim could not be tested here; the text says which claim stays unproven and why."""


def check(cond, text, *args):
    if not cond:
        raise Fail(text % args if args else text)
    return cond


def equal(got, want, what):
    check(got == want, '%s: %r, expected %r' % (what, got, want))


def until(fn, seconds, what, step=0.05):
    """Call fn until it returns something true; what: text of the failure."""
    end = time.monotonic() + seconds * WAIT
    while True:
        got = fn()
        if got:
            return got
        if time.monotonic() > end:
            raise Fail('%s: not within %g s' % (what() if callable(what) else what, seconds * WAIT))
        time.sleep(step)


def need(program, claim):
    path = shutil.which(program) or shutil.which(program, path='/usr/sbin:/sbin:/usr/local/sbin')
    if not path:
        raise Skip('%s (no %s here)' % (claim, program))
    return path


def need_root(claim):
    if os.geteuid() != 0:
        raise Skip('%s (needs root)' % claim)


def need_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
            s.bind(('::1', 0))
    except OSError:
        raise Skip('calls over IPv6 (no ::1 here)')


def corpus(*parts):
    path = os.path.join(CORPORA, *parts)
    if not os.path.exists(path):
        raise Skip('messages of %s (not at %s, see POSTERN_CORPORA)' % ('/'.join(parts), CORPORA))
    return path


def free_port6():
    """A port of ::1 below the ephemeral range."""
    for _ in range(200):
        port = 10000 + int.from_bytes(os.urandom(2), 'big') % 20000
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                with socket.socket(socket.AF_INET6, kind) as s:
                    s.bind(('::1', port))
            return port
        except OSError:
            continue
    raise Fail('no free port on ::1')


class Site:
    """A block 127.x.y.0/24 that no other test has: taken by binding one port of it."""

    def __init__(self):
        for _ in range(500):
            a, b = os.urandom(2)
            self.net = '127.%d.%d.' % (16 + a % 230, 1 + b % 253)
            self.hold = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                self.hold.bind((self.net + '254', 4999))
                return
            except OSError:
                self.hold.close()
        raise Fail('no free address block in 127.0.0.0/8')

    def ip(self, host):
        return self.net + str(host)

    def close(self):
        self.hold.close()


def descendants(pid):
    """Pids of all processes below pid, zombies not counted."""
    parent = {}
    for d in os.listdir('/proc'):
        if d.isdigit():
            try:
                with open('/proc/%s/stat' % d) as f:
                    rest = f.read().rpartition(')')[2].split()
                if rest[0] != 'Z':
                    parent[int(d)] = int(rest[1])
            except (OSError, IndexError):
                pass
    found, grown = set(), {pid}
    while grown:
        grown = {p for p, q in parent.items() if q in grown}
        found |= grown
    return found


def alive(pid):
    try:
        with open('/proc/%d/stat' % pid) as f:
            return f.read().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


class Proc:
    """A process of ours with its output in a file."""

    def __init__(self, t, name, argv, env=None, cwd=None, stdin=None):
        self.name, self.argv = name, [str(a) for a in argv]
        self.log = os.path.join(t.tmp, '%s-%d.log' % (name, len(t.procs)))
        self.out = open(self.log, 'ab')
        self.p = subprocess.Popen(self.argv, stdin=stdin or subprocess.DEVNULL, stdout=self.out, stderr=self.out, cwd=cwd or t.tmp,
                                  env=dict(os.environ, **(env or {})))
        self.pid = self.p.pid
        t.procs.append(self)

    def text(self):
        with open(self.log, errors='replace') as f:
            return f.read()

    def tail(self, n=6):
        return '\n'.join(line[:300] for line in self.text().splitlines()[-n:])

    def running(self):
        return self.p.poll() is None

    def listens(self, ip, port, kind='udp', seconds=10):
        """Wait until somebody has this IPv4 address; kind: udp or tcp."""
        want = '%02X%02X%02X%02X:%04X' % (*reversed([int(x) for x in ip.split('.')]), port)

        def up():
            check(self.running(), '%s ended: %s', self.name, self.tail())
            with open('/proc/net/' + kind) as f:
                return any(line.split()[1] == want and (kind == 'udp' or line.split()[3] == '0A') for line in f.readlines()[1:])
        until(up, seconds, lambda: '%s listens at %s:%d: %s' % (self.name, ip, port, self.tail()))
        return self

    def wait(self, seconds):
        try:
            return self.p.wait(seconds * WAIT)
        except subprocess.TimeoutExpired:
            raise Fail('%s still runs after %g s\n%s' % (self.name, seconds * WAIT, self.tail()))

    def end(self, sig=signal.SIGTERM, seconds=5):
        """Ask it to end, then kill it, and what it started, by pid."""
        below = descendants(self.pid)
        if self.running():
            self.p.send_signal(sig)
            try:
                self.p.wait(seconds)
            except subprocess.TimeoutExpired:
                self.p.kill()
                self.p.wait()
        for pid in below:
            if alive(pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
        self.out.close()
        return self.p.returncode


class Test:
    """What a test function is given: `t`."""

    def __init__(self, name, build):
        self.name, self.build = name, build
        self.tmp = tempfile.mkdtemp(prefix='postern-e2e-')
        os.chmod(self.tmp, 0o755)          # the daemon's children run as another user
        self.site = Site()
        self.procs, self.closers, self.agents, self.daemons = [], [], [], []
        self.notes, self.taken6 = [], set()

    def defer(self, fn):
        self.closers.append(fn)

    def note(self, text):
        """A figure or remark that is printed with the result."""
        self.notes.append(text)

    def ip(self, host):
        return self.site.ip(host)

    def port6(self, span=1):
        """A free port of ::1, the first of `span`; not given twice to one test."""
        for _ in range(300):
            port = free_port6()
            block = set(range(port, port + span))
            if not block & self.taken6:
                self.taken6 |= block
                return port
        raise Fail('no free ports on ::1')

    def program(self, name):
        path = os.path.join(self.build, 'src', name)
        check(os.path.exists(path), '%s is not built', path)
        return path

    def path(self, name, data=None):
        path = os.path.join(self.tmp, name)
        if data is not None:
            with open(path, 'wb') as f:
                f.write(data if isinstance(data, bytes) else data.encode())
            os.chmod(path, 0o644)
        return path

    def close(self, failed):
        for fn in reversed(self.closers):
            try:
                fn()
            except Exception as e:      # closing goes on, whatever one of them says
                self.notes.append('while closing: %r' % e)
        for p in reversed(self.procs):
            p.end()
        self.site.close()
        if failed and os.environ.get('POSTERN_KEEP'):
            self.notes.append('kept: %s' % self.tmp)
        else:
            shutil.rmtree(self.tmp, ignore_errors=True)


TESTS = {}


def test(seconds=45, slow=False):
    """Make a function a test. seconds: its bound; slow: started first, because it waits for long timers."""
    def wrap(fn):
        check(fn.__name__ not in TESTS, 'two tests are called %s', fn.__name__)
        fn.seconds, fn.slow = seconds, slow
        TESTS[fn.__name__] = fn
        return fn
    return wrap

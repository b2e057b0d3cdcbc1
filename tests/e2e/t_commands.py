# SPDX-License-Identifier: Apache-2.0
"""script/run, the first command of the README, with examples/quickstart.json on its own ports; that it builds first is shown by `script/test minimal`."""
import os
import re
import signal
import socket
import subprocess
import urllib.request

from lib.base import ROOT, SLOW, Proc, Skip, check, equal, need, test, until

CLAIM = 'script/run starts the quickstart and places a demo call'


def free(kind, port):
    with socket.socket(socket.AF_INET, kind) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(('127.0.0.1', port))
        except OSError:
            return False
    return True


def ports():
    """Those of the quickstart and of its two parties."""
    taken = [p for p in (5060, 5061, 8080) if not free(socket.SOCK_STREAM, p)]
    taken += [p for p in (5060, 5070, 5080, 16000, 17000) if not free(socket.SOCK_DGRAM, p)]
    if taken:
        raise Skip('%s (taken on 127.0.0.1: %s)' % (CLAIM, ', '.join(map(str, taken))))


def env(t):
    return {'POSTERN_BUILD': t.build, 'POSTERN_RUN': os.path.join(t.tmp, 'run')}


@test(seconds=90)
def script_run(t):
    """script/run tells addresses, the token and a first call; Ctrl-C ends it with 0; --demo places a call with audio both ways and prints its CDR"""
    need('sipp', CLAIM)
    need('openssl', CLAIM)
    ports()
    script = os.path.join(ROOT, 'script', 'run')
    p = Proc(t, 'run', [script], env=env(t), cwd=ROOT)
    told = until(lambda: 'Ctrl-C' in p.text() and p.text() or check(p.running(), 'script/run ended: %s', p.tail()) and None, 15, lambda: 'what to do next: %s' % p.tail())
    for word in ('127.0.0.1:5060', '127.0.0.1:5061', 'http://127.0.0.1:8080/api/v1', 'sipp -sn uac', 'cdr list'):
        check(word in told, '%s is not told: %s', word, told)
    token = re.search(r'token: (\S+)', told).group(1)
    ask = urllib.request.Request('http://127.0.0.1:8080/api/v1/calls', headers={'Authorization': 'Bearer ' + token})
    with urllib.request.urlopen(ask, timeout=5 * SLOW) as r:
        equal(r.status, 200, 'GET /calls with the token that is told')
    p.p.send_signal(signal.SIGINT)
    equal(p.wait(15), 0, 'exit status after Ctrl-C: %s' % p.tail())

    r = subprocess.run([script, '--demo'], env=dict(os.environ, **env(t)), cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60 * SLOW)
    equal(r.returncode, 0, '--demo: %s%s; exit status' % (r.stdout, r.stderr))
    check('demo: ok, audio went both ways' in r.stdout, 'no audio: %s', r.stdout)
    check(re.search(r'"status": *200', r.stdout), 'no CDR: %s', r.stdout)
    equal(subprocess.run([script, '--no-such-option'], env=dict(os.environ, **env(t)), capture_output=True).returncode, 1, 'an option that there is not')

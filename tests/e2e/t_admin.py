# SPDX-License-Identifier: Apache-2.0
"""Who may use the API, and from where: first start, the control socket, tokens, users, lock-out, the audit log, TLS."""
import json
import os
import socket
import stat
import subprocess

from lib import certs
from lib.base import check, equal, need_root, test
from lib.daemon import Bed, Postern, document


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

# SPDX-License-Identifier: Apache-2.0
"""Who may use the API, and from where: first start, the control socket, tokens, users, lock-out, the audit log, TLS."""
import os
import socket
import stat
import subprocess

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

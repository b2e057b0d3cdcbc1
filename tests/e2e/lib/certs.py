# SPDX-License-Identifier: Apache-2.0
"""A throw-away CA and the certificates of a test, made with openssl(1)."""
import os
import subprocess
import threading

from .base import need

LOCK = threading.Lock()


class Certs:
    """edge (the daemon's), party (what a peer shows), other (signed by a CA that nobody trusts), second (another name for SNI)."""

    def __init__(self, folder, net):
        self.dir = folder
        os.makedirs(folder)
        os.chmod(folder, 0o755)
        addresses = ','.join('IP:%s%d' % (net, h) for h in (1, 2, 3, 11, 12, 13))
        self.authority('ca', 'E2E CA')
        self.authority('ca2', 'Foreign CA')
        self.leaf('edge', 'sbc.test', 'DNS:sbc.test,DNS:localhost,IP:127.0.0.1,' + addresses)
        self.leaf('party', 'party.test', 'DNS:party.test,IP:127.0.0.1,' + addresses)
        self.leaf('second', 'second.test', 'DNS:second.test')
        self.leaf('other', 'party.test', 'DNS:party.test,' + addresses, 'ca2')

    def run(self, *argv):
        subprocess.run(['openssl', *argv], check=True, cwd=self.dir, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def authority(self, name, cn):
        self.run('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30', '-subj', '/CN=' + cn,
                 '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign', '-keyout', name + '.key', '-out', name + '.pem')

    def leaf(self, name, cn, san, ca='ca', days='20'):
        self.run('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=' + cn, '-keyout', name + '.key', '-out', name + '.csr')
        with open(self.path(name + '.ext'), 'w') as f:
            f.write('subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\n' % san)
        self.run('x509', '-req', '-in', name + '.csr', '-CA', ca + '.pem', '-CAkey', ca + '.key', '-CAcreateserial', '-days', days, '-extfile', name + '.ext', '-out', name + '.pem')
        with open(self.path(name + '-both.pem'), 'wb') as f:
            f.write(self.read(name + '.pem') + self.read(name + '.key'))

    def path(self, name):
        return os.path.join(self.dir, name)

    def read(self, name):
        with open(self.path(name), 'rb') as f:
            return f.read()


def make(t):
    need('openssl', 'TLS')
    with LOCK:
        if not hasattr(t, 'certs'):
            t.certs = Certs(os.path.join(t.tmp, 'tls'), t.site.net)
    return t.certs

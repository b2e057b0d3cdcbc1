# SPDX-License-Identifier: Apache-2.0
"""
Phones with session timers that we did not write: linphone, and JsSIP on Node behind a Kamailio that speaks WebSocket. Their clocks can run faster than ours
(libfaketime), so that their refreshes of 90 s intervals come within seconds.
"""
import glob
import json
import os
import socket
import subprocess

from .base import E2E, ROOT, Proc, Skip, check, need, until

CLAIM = 'session timers of %s'


def faster(speed):
    """Environment of a process whose clock runs `speed` times as fast."""
    if speed == 1:
        return {}
    found = glob.glob('/usr/lib/*/faketime/libfaketimeMT.so.1')
    if not found:
        raise Skip('refreshes of real phones in short (no libfaketime here)')
    return {'LD_PRELOAD': found[0], 'FAKETIME': '+0 x%d' % speed, 'DONT_FAKE_MONOTONIC': '0', 'FAKETIME_DONT_RESET': '1'}


class Linphone:
    """linphone-daemon at ip:port; it answers by itself where it is called."""

    def __init__(self, t, ip, port, refresher=0, speed=1, timers=True, rtp=13000):
        self.ip = ip
        program = need('linphone-daemon', CLAIM % 'linphone')
        home = os.path.join(t.tmp, 'linphone-%s-%d' % (ip, port))
        # without these it starts, but never opens a port
        for folder in ('.local/share/linphone', '.config/linphone'):
            os.makedirs(os.path.join(home, folder))
        rows = {'sip': {'sip_port': port, 'sip_tcp_port': 0, 'sip_tls_port': 0, 'bind_address': ip, 'default_proxy': -1, 'guess_hostname': 0, 'use_ipv6': 0, 'media_encryption': 'none',
                        'session_expires_enabled': int(timers), 'session_expires_value': 90, 'session_expires_min_value': 90, 'session_expires_refresher_value': refresher,
                        'contact': 'sip:phone@%s:%d' % (ip, port)},
                'net': {'mtu': 1300}, 'rtp': {'audio_rtp_port': rtp, 'nortp_timeout': 100000}, 'sound': {'echocancellation': 0}, 'video': {'enabled': 0, 'capture': 0, 'display': 0},
                'misc': {'config_migration_done': 1, 'uuid': ''}}
        text = '\n'.join('[%s]\n%s' % (s, '\n'.join('%s=%s' % kv for kv in keys.items())) for s, keys in rows.items())
        with open(os.path.join(home, 'rc'), 'w') as f:
            f.write(text + '\n')
        name = 'postern-e2e-%d-%d' % (os.getpid(), len(t.procs))
        self.path = '/tmp/' + name              # where it always makes its control socket
        self.log = os.path.join(home, 'log')
        self.proc = Proc(t, 'linphone', [program, '--auto-answer', '--config', os.path.join(home, 'rc'), '--pipe', name, '--log', self.log], env={'HOME': home, **faster(speed)})
        t.defer(self.close)
        self.s = until(self._connect, 15, lambda: 'linphone starts: %s' % self.proc.tail())

        def listens():
            with open('/proc/net/udp') as f:
                return '%02X%02X%02X%02X:%04X' % (*reversed([int(x) for x in ip.split('.')]), port) in f.read()
        until(listens, 15, lambda: 'linphone listens: %s' % self.proc.tail())

    def _connect(self):
        # one connection for all: it dies of SIGPIPE where a client leaves while it writes
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(self.path)
            return s
        except OSError:
            s.close()
            check(self.proc.running(), 'linphone ended: %s', self.proc.tail())
            return None

    def command(self, text):
        self.s.sendall(text.encode() + b'\n')

    def dial(self, uri):
        self.command('call ' + uri)

    def hang_up(self):
        self.command('terminate')

    def close(self):
        try:
            os.unlink(self.path)
        except OSError:
            pass


def js_folder():
    """The folder with the packages of js/package-lock.json, where script/test installs them."""
    need('node', CLAIM % 'JsSIP')
    folder = os.environ.get('POSTERN_JS') or os.path.join(ROOT, 'build-test', 'js')
    if not os.path.isdir(os.path.join(folder, 'node_modules', 'jssip')):
        raise Skip('%s (not installed at %s: `script/test` does it with npm)' % (CLAIM % 'JsSIP', folder))
    return folder


class Jssip:
    """JsSIP at a Kamailio's WebSocket; it registers, and answers by itself where it is called."""

    def __init__(self, t, kamailio, user, domain, rtp, speed=1):
        modules = os.path.join(js_folder(), 'node_modules')
        argv = [need('node', ''), os.path.join(E2E, 'js', 'phone.js'), 'ws://%s:%d' % kamailio, 'sip:%s@%s' % (user, domain), '%s:%d' % rtp]
        self.proc = Proc(t, 'jssip', argv, env={'NODE_PATH': modules, **faster(speed)}, stdin=subprocess.PIPE)
        self.wait('registered')

    def events(self):
        return [json.loads(ln) for ln in self.proc.text().splitlines() if ln.startswith('{')]

    def wait(self, name, seconds=10):
        until(lambda: any(e['event'] == name for e in self.events()), seconds, lambda: 'JsSIP: no %s; it told %s\n%s' % (name, self.events(), self.proc.tail(12)))

    def _say(self, *words):
        self.proc.p.stdin.write((' '.join(words) + '\n').encode())
        self.proc.p.stdin.flush()

    def dial(self, uri):
        self._say('call', uri)

    def hang_up(self):
        self._say('bye')

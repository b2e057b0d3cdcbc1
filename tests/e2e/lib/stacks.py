# SPDX-License-Identifier: Apache-2.0
"""Stacks that we did not write: SIPp, baresip, Kamailio; started, driven, asked what they saw."""
import glob
import json
import os
import re
import socket
import threading
import time

from .base import E2E, Fail, Proc, WAIT, check, need, until
from .rtp import tone

CLAIM = 'a call with %s as party'


def modules_of(program, name):
    for place in ('/usr/lib/', '/usr/lib/*/', '/usr/lib64/', '/usr/local/lib/'):
        for p in glob.glob(place + program + '/modules/' + name):
            return os.path.dirname(p)
    raise Fail('no modules of %s' % program)


def sipp(t, scenario, ip, port, remote=None, transport='u1', calls=1, hold=1500, hz=440, number='1000', media_port=12000, seconds=30, via=None):
    """Start SIPp in a folder of its own with tone.ul of hz in it."""
    need('sipp', CLAIM % 'SIPp')
    folder = os.path.join(t.tmp, 'sipp-%s-%d' % (scenario, port))
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, 'tone.ul'), 'wb') as f:
        f.write(tone(hz, 3))
    path = scenario if os.path.isabs(scenario) else os.path.join(E2E, 'sipp', scenario + '.xml')
    argv = ['sipp', '-sf', path, '-i', ip, '-p', port, '-mi', ip, '-mp', media_port, '-t', transport, '-m', calls, '-l', calls, '-r', 10, '-d', hold,
            '-key', 'number', number, '-nostdin', '-timeout', '%ds' % seconds, '-timeout_error', '-trace_err', '-error_file', os.path.join(folder, 'errors'),
            '-key', 'via', via or ('UDP' if transport[0] == 'u' else 'TCP')]
    if remote:
        argv.append('%s:%d' % remote)
    p = Proc(t, 'sipp', argv, cwd=folder)
    return p if remote else p.listens(ip, int(port), 'udp' if transport[0] == 'u' else 'tcp')


def sipp_done(p, seconds=30):
    rc = p.wait(seconds)
    if rc:
        errors = glob.glob(os.path.join(os.path.dirname(p.argv[2]), 'errors')) or glob.glob(os.path.join(os.path.dirname(p.log), 'sipp-*', 'errors'))
        text = ''.join(open(e, errors='replace').read()[:1500] for e in errors)
        raise Fail('SIPp ended with %d: %s\n%s' % (rc, text, p.tail(4)))


def wav_frequency(path):
    """(seconds, rough Hz of the loud part) of a recording, one in progress too."""
    with open(path, 'rb') as f:
        data = f.read()
    rate = int.from_bytes(data[24:28], 'little') or 8000
    channels = int.from_bytes(data[22:24], 'little') or 1
    at = data.find(b'data') + 8
    raw = data[at:at + (len(data) - at) // 2 * 2]
    x = memoryview(raw).cast('h')[::channels].tolist()
    start = next((k for k, v in enumerate(x) if abs(v) > 600), len(x))
    loud = x[start:]
    if len(loud) < 800:
        return len(x) / rate, 0.0
    crossings = sum(1 for a, b in zip(loud, loud[1:]) if (a < 0) != (b < 0))
    return len(x) / rate, crossings / 2 / (len(loud) / rate)


class Baresip:
    """sip_listen at ip:port (TLS at port + 1), control at port + 4. Sends a tone of hz, records what it hears."""

    def __init__(self, t, ip, port, hz, user='phone', account='', answer=False, outbound=None, cert=None, ca=None, srtp=False):
        need('baresip', CLAIM % 'baresip')
        self.ip, self.port, self.hz, self.control = ip, port, hz, port + 4
        self.dir = os.path.join(t.tmp, 'baresip-%s-%d' % (ip, port))
        os.makedirs(os.path.join(self.dir, 'rec'))
        modules = modules_of('baresip', 'g711.so')
        lines = ['poll_method epoll', 'sip_listen %s:%d' % (ip, port), 'net_interface %s' % ip, 'call_local_timeout 60', 'call_max_calls 8',
                 'audio_source ausine,%d' % hz, 'ausrc_srate 48000', 'ausrc_channels 2', 'auplay_srate 8000', 'auplay_channels 1', 'audio_level no',
                 'rtp_ports 12000-12200', 'rtcp_mux no', 'jitter_buffer_delay 1-3', 'rtp_stats yes', 'snd_path %s/rec' % self.dir,
                 'ctrl_tcp_listen %s:%d' % (ip, self.control), 'module_path ' + modules]
        if cert:
            lines.append('sip_certificate ' + cert)
        if ca:
            lines.append('sip_cafile ' + ca)
        lines += ['module %s.so' % m for m in ('g711', 'ausine', 'sndfile', 'uuid', *(['srtp'] if srtp else []))]
        lines += ['module_tmp account.so'] + ['module_app %s.so' % m for m in ('menu', 'contact', 'ctrl_tcp')]
        via = ';outbound="%s"' % outbound if outbound else ''
        files = {'config': '\n'.join(lines) + '\n', 'contacts': '',
                 'accounts': '<sip:%s@%s:%d>;regint=0;audio_codecs=pcmu,pcma%s%s%s\n' % (user, ip, port, via, ';answermode=auto' if answer else '', account)}
        for name, text in files.items():
            with open(os.path.join(self.dir, name), 'w') as f:
                f.write(text)
        self.proc = Proc(t, 'baresip', ['baresip', '-f', self.dir, '-t', '100'])
        self.events, self.lock = [], threading.Condition()
        self.s = until(self._connect, 8, lambda: 'baresip starts: %s' % self.proc.tail())
        threading.Thread(target=self._read, daemon=True).start()
        t.defer(self.close)

    def _connect(self):
        try:
            return socket.create_connection((self.ip, self.control), 1)
        except OSError:
            return None

    def _read(self):
        self.s.settimeout(None)
        buf = b''
        try:
            while True:
                data = self.s.recv(65536)
                if not data:
                    return
                buf += data
                while True:
                    n, colon, rest = buf.partition(b':')
                    if not colon or not n.isdigit() or len(rest) <= int(n):
                        break
                    with self.lock:
                        self.events.append(json.loads(rest[:int(n)].decode('utf-8', 'replace')))
                        self.lock.notify_all()
                    buf = rest[int(n) + 1:]
        except (OSError, ValueError):
            pass

    def command(self, name, params=None):
        text = json.dumps({'command': name, 'token': 'x', **({'params': params} if params else {})}).encode()
        self.s.sendall(b'%d:%s,' % (len(text), text))

    def wait(self, kind, seconds=6):
        with self.lock:
            ok = self.lock.wait_for(lambda: any(e.get('type') == kind for e in self.events), seconds * WAIT)
            check(ok, 'baresip at %s saw no %s; it saw %s\n%s', self.ip, kind, [e.get('type') or e for e in self.events], self.proc.tail())
            e = next(e for e in self.events if e.get('type') == kind)
            self.events.remove(e)
            return e

    def heard(self):
        """(seconds, Hz) of the longest recording of what it received."""
        best = (0.0, 0.0)
        for p in glob.glob(os.path.join(self.dir, 'rec', '*-dec.wav')):
            best = max(best, wav_frequency(p))
        return best

    def close(self):
        try:
            self.s.close()
        except OSError:
            pass


def hears(phone, hz, least=1.0):
    """The phone has recorded at least this many seconds of that tone."""
    def right():
        seconds, got = phone.heard()
        return seconds >= least and abs(got - hz) < 0.06 * hz
    until(right, 6, lambda: 'baresip at %s hears %d Hz; it has %.1f s of %.0f Hz' % (phone.ip, hz, *phone.heard()))


def sox_frequency(path):
    """What sox says of a recording."""
    import subprocess
    r = subprocess.run([need('sox', 'the tone as sox measures it'), path, '-n', 'stat'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    m = re.search(r'Rough\s+frequency:\s+(\d+)', r.stdout)
    return int(m.group(1)) if m else 0


def kamailio(t, ip, port, postern, party, cfg='proxy', define=(), more=()):
    """A proxy at ip:port between Postern and a party. define: names for -A; more: further (key, value) to fill in."""
    program = need('kamailio', 'calls through a proxy (Kamailio)')
    modules = modules_of('kamailio', 'tm.so')
    with open(os.path.join(E2E, 'kamailio', cfg + '.cfg')) as f:
        text = f.read()
    for key, value in (('LISTEN', '%s:%d' % (ip, port)), ('POSTERNIP', postern[0]), ('POSTERN', '%s:%d' % postern), ('PARTYIP', party[0]), ('PARTY', '%s:%d' % party),
                       ('MODULES', modules + '/'), *more):
        text = text.replace('@%s@' % key, value)
    cfg = t.path('kamailio-%s-%d.cfg' % (cfg, len(t.procs)), text)
    run = os.path.join(t.tmp, 'kamailio-%d' % port)
    os.makedirs(run, exist_ok=True)
    p = Proc(t, 'kamailio', [program, '-f', cfg, *(x for d in define for x in ('-A', d)), '-DD', '-E', '-Y', run, '-m', '16', '-M', '4', '-w', run])
    return p.listens(ip, port)


class TlsPipe:
    """socat between plain TCP and TLS: SIPp, which speaks no TLS here, as a TLS party."""

    @staticmethod
    def to(t, ip, port, dest, cert, ca):
        need('socat', 'SIPp over TLS')
        return Proc(t, 'socat', ['socat', 'TCP-LISTEN:%d,bind=%s,fork,reuseaddr' % (port, ip),
                                 'OPENSSL:%s:%d,cafile=%s,cert=%s,commonname=sbc.test,bind=%s' % (*dest, ca, cert, ip)]).listens(ip, port, 'tcp')

    @staticmethod
    def into(t, ip, port, dest, cert, ca):
        need('socat', 'SIPp over TLS')
        return Proc(t, 'socat', ['socat', 'OPENSSL-LISTEN:%d,bind=%s,fork,reuseaddr,cert=%s,cafile=%s,verify=0' % (port, ip, cert, ca), 'TCP:%s:%d' % dest]).listens(ip, port, 'tcp')



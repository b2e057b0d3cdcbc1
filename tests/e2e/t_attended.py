# SPDX-License-Identifier: Apache-2.0
"""
Attended transfer by phones that we did not write (RFC 5589 7; design.md section 4): A (linphone) calls B and C through Postern, then transfers B to C.
Audio between B and C is judged by what arrives: baresip sends a tone of its own and records what it hears, linphone plays a file.
"""
import math
import os
import socket
import struct
import time
import wave

from lib.base import SLOW, Fail, check, need_root, test, until
from lib.daemon import Postern, document
from lib.refreshers import Linphone
from lib.rtp import frequency
from lib.stacks import Baresip, hears

LONG = 20


def ports_held(t):
    """A hundred ports for linphone's media, which is on all addresses: who has the last of them has them all."""
    for _ in range(500):
        port = 13100 + 100 * (int.from_bytes(os.urandom(2), 'big') % 66)
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            s.bind(('0.0.0.0', port + 99))
            t.defer(s.close)
            return port
        except OSError:
            s.close()
    raise Fail('no ports for linphone')


class Phone(Linphone):
    """linphone that is asked, and tells what it answers."""

    def __init__(self, t, ip):
        self.rtp = ports_held(t)
        super().__init__(t, ip, 5060, rtp=self.rtp)

    def ask(self, text, seconds=LONG):
        self.command(text)
        self.s.settimeout(0.2)
        end, got = time.monotonic() + seconds * SLOW, b''
        while b'Status:' not in got and time.monotonic() < end:
            try:
                got += self.s.recv(65536)
            except socket.timeout:
                pass
        try:
            got += self.s.recv(65536)
        except socket.timeout:
            pass
        return got.decode('utf-8', 'replace')

    def call(self, uri):
        """The number of the new call."""
        said = self.ask('call ' + uri)
        check('Status: Ok' in said and 'Id:' in said, 'linphone does not call: %s', said)
        return said.split('Id:')[1].split()[0]


def tone_file(t, hz):
    path = t.path('tone-%d.wav' % hz)
    with wave.open(path, 'wb') as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(8000)
        f.writeframes(b''.join(struct.pack('<h', int(12000 * math.sin(2 * math.pi * hz * k / 8000))) for k in range(8000 * 40)))
    return path


def three(t):
    """The daemon: trunks a, b, c; numbers 1... go to a, 2... to b, 3... to c."""
    near = {'sources': ['127.0.0.0/8']}
    ip = t.ip(13)
    routes = [{'id': 'to-' + k, 'order': 10, 'match': {'to_user': '^' + n}, 'to': k} for n, k in (('1', 'a'), ('2', 'b'), ('3', 'c'))]
    doc = document(t, more_trunks=[{'id': 'c', 'realm': 'peering', 'target': 'sip:%s:5060' % ip}], routes=routes)
    d = Postern(t, doc)
    d.start()
    return d, t.party['a'][0], t.party['b'][0], ip


def talk(d, count):
    until(lambda: len([c for c in d.calls() if c['state'] == 'up']) == count, LONG, lambda: '%d calls up; %s' % (count, [(c['to'], c['state']) for c in d.calls()]))


def transferred(d, a, first, second):
    """A transfers its first call to the second; what is left is one call, between the two others."""
    said = a.ask('call-transfer %s %s' % (first, second))
    check('Status: Ok' in said, 'linphone does not transfer: %s', said)
    until(lambda: sorted(x['trunk'] for c in d.calls() for x in c['legs']) == ['b', 'c'], LONG,
          lambda: 'one call between b and c; %s' % [(c['to'], c['state'], [x['trunk'] for x in c['legs']]) for c in d.calls()])


class Ear:
    """Hears the PCMU that arrives at a range of ports, whoever listens there."""

    def __init__(self, t, port):
        need_root('what a phone that records nothing is sent')
        self.ports = range(port, port + 20)
        self.s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.s.settimeout(0.2)
        t.defer(self.s.close)

    def listen(self, seconds):
        """The audio of that long, as mu-law."""
        end, audio = time.monotonic() + seconds, b''
        while time.monotonic() < end:
            try:
                data, address = self.s.recvfrom(4096)
            except socket.timeout:
                continue
            at = (data[0] & 15) * 4         # behind the IP header; on the loopback each packet is seen as it leaves, too
            if data[9] != socket.IPPROTO_UDP or address[2] == socket.PACKET_OUTGOING or len(data) < at + 21:
                continue
            if int.from_bytes(data[at + 2:at + 4], 'big') in self.ports and data[at + 8] >> 6 == 2 and data[at + 9] & 127 == 0:
                audio += data[at + 20:]
        return audio

    def hears(self, hz, what):
        def right():
            audio = self.listen(1)
            return len(audio) > 4000 and abs(frequency(audio) - hz) < 0.06 * hz
        until(right, LONG, '%s hears %d Hz' % (what, hz))


def pcmu(phone):
    phone.ask('audio-codec-disable ALL')
    check('Status: Ok' in phone.ask('audio-codec-enable PCMU/8000/1'), 'linphone has no PCMU')


@test(seconds=120)
def attended_transfer_by_phones(t):
    """linphone transfers linphone to a baresip that knows no Replaces: its leg is taken here; audio both ways, who transferred is told and leaves"""
    d, ip_a, ip_b, ip_c = three(t)
    a, b = Phone(t, ip_a), Phone(t, ip_b)
    pcmu(a)
    pcmu(b)
    c = Baresip(t, ip_c, 5060, 440, user='3000', answer=True, outbound='sip:%s:%d' % t.at['b'])
    one = a.call('sip:2000@%s' % t.at['a'][0])
    talk(d, 1)
    two = a.call('sip:3000@%s' % t.at['a'][0])
    c.wait('CALL_ESTABLISHED', LONG)
    talk(d, 2)
    transferred(d, a, one, two)
    check('Status: Ok' in b.ask('incall-player-start ' + tone_file(t, 700)), 'linphone plays nothing')
    hears(c, 700)
    Ear(t, b.rtp).hears(440, 'linphone')


@test(seconds=120)
def attended_transfer_among_linphones(t):
    """three linphones: the target knows Replaces and takes the call itself, by the name of its own dialog"""
    d, ip_a, ip_b, ip_c = three(t)
    a, b, c = [Phone(t, ip) for ip in (ip_a, ip_b, ip_c)]
    for phone in (a, b, c):
        pcmu(phone)
    one = a.call('sip:2000@%s' % t.at['a'][0])
    talk(d, 1)
    two = a.call('sip:3000@%s' % t.at['a'][0])
    talk(d, 2)
    transferred(d, a, one, two)
    for phone, hz in ((b, 700), (c, 1200)):
        check('Status: Ok' in phone.ask('incall-player-start ' + tone_file(t, hz)), 'linphone plays nothing')
    Ear(t, b.rtp).hears(1200, 'the phone that was transferred')
    Ear(t, c.rtp).hears(700, 'its target')
    b.hang_up()
    d.no_calls(LONG)


@test(seconds=120)
def blind_transfer_by_baresip(t):
    """baresip transfers linphone to another baresip: the REFER crosses, what becomes of it is told, audio both ways"""
    d, ip_a, ip_b, ip_c = three(t)
    a = Baresip(t, ip_a, 5060, 900, outbound='sip:%s:%d' % t.at['a'])
    b = Phone(t, ip_b)
    pcmu(b)
    c = Baresip(t, ip_c, 5060, 440, user='3000', answer=True, outbound='sip:%s:%d' % t.at['b'])
    a.command('dial', 'sip:2000@%s' % t.at['a'][0])
    a.wait('CALL_ESTABLISHED', LONG)
    talk(d, 1)
    a.command('transfer', 'sip:3000@%s:%d' % t.at['a'])
    c.wait('CALL_ESTABLISHED', LONG)
    until(lambda: sorted(x['trunk'] for k in d.calls() for x in k['legs']) == ['b', 'c'], LONG, lambda: 'one call between b and c; %s' % d.calls())
    check('Status: Ok' in b.ask('incall-player-start ' + tone_file(t, 700)), 'linphone plays nothing')
    hears(c, 700)
    Ear(t, b.rtp).hears(440, 'linphone')
    a.wait('CALL_CLOSED', LONG)

# SPDX-License-Identifier: Apache-2.0
"""The library tests itself: its parties call each other with nothing in between, so that a red test elsewhere is the daemon's."""
from lib.base import check, equal, test
from lib.daemon import context
from lib.rtp import Rtp, both_ways, frequency, tone
from lib.sip import Msg, sdp_text
from lib.ua import Agent


def direct(t, transport):
    tls = {'server_tls': context(t, True), 'client_tls': context(t, False, cert='party')} if transport == 'tls' else {}
    a, b = (Agent(t, t.ip(h), (t.ip(23 - h), 5060), 5060, transport, **tls) for h in (11, 12))
    ra, rb = Rtp(t, a.ip), Rtp(t, b.ip)
    c = a.call('100', sdp=sdp_text(a.ip, ra.port))
    i = b.await_call('100')
    i.reply(180)
    c.wait(180)
    i.reply(200, sdp=sdp_text(b.ip, rb.port))
    c.wait(200)
    i.expect('ACK')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    tx = i.request('BYE')
    c.answer_bye()
    equal(tx.final().status, 200, 'BYE')


@test()
def library_parties(t):
    """parties of the test library call each other over UDP"""
    direct(t, 'udp')


@test()
def library_parties_tls(t):
    """and over TLS"""
    direct(t, 'tls')


@test()
def library_codecs(t):
    """messages parse back, tones are told apart"""
    m = Msg.parse(b'INVITE sip:1@h SIP/2.0\r\nv: SIP/2.0/UDP h;branch=z9hG4bKx\r\nf: <sip:a@h>;tag=9\r\nSubject: a\r\n b\r\nl: 2\r\n\r\nhi')
    equal((m.method, m.user, m.branch, m.tag('from'), m.get('subject'), m.body), ('INVITE', '1', 'z9hG4bKx', '9', 'a b', b'hi'), 'parsed')
    for hz in (440, 1000):
        check(abs(frequency(tone(hz, 0.5)) - hz) < 12, 'tone of %d Hz reads as %.0f', hz, frequency(tone(hz, 0.5)))

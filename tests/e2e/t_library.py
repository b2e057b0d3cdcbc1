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


@test()
def library_sipp(t):
    """SIPp scenarios of ours fit each other with nothing in between"""
    from lib.stacks import sipp, sipp_done
    q = sipp(t, 'callee', t.ip(12), 5060, calls=3)
    p = sipp(t, 'caller', t.ip(11), 5060, (t.ip(12), 5060), calls=3, hold=500)
    sipp_done(p)
    sipp_done(q)


@test()
def library_sipp_audio(t):
    """SIPp's audio is heard by our receiver"""
    from lib.stacks import sipp, sipp_done
    b = Agent(t, t.ip(12), (t.ip(11), 5060))
    p = sipp(t, 'caller', t.ip(11), 5060, (t.ip(12), 5060), hz=440, number='7', hold=1500)
    rb = Rtp(t, b.ip)
    i = b.await_call('7')
    i.reply(200, sdp=sdp_text(b.ip, rb.port, formats='0'))
    i.expect('ACK')
    i.answer_bye(6)
    sipp_done(p)
    check(len(rb.rx) > 50 and abs(frequency(rb.audio()) - 440) < 20, '%d packets, %.0f Hz', len(rb.rx), frequency(rb.audio()))


@test()
def library_baresip_kamailio(t):
    """two phones hear each other through Kamailio alone"""
    from lib.stacks import Baresip, hears, kamailio
    kamailio(t, t.ip(20), 5060, (t.ip(11), 5060), (t.ip(12), 5060))
    a = Baresip(t, t.ip(11), 5060, 440, outbound='sip:%s:5060' % t.ip(20))
    b = Baresip(t, t.ip(12), 5060, 1000, user='5', answer=True)
    a.command('dial', 'sip:5@%s' % t.ip(20))
    a.wait('CALL_ESTABLISHED', 8)
    hears(a, 1000)
    hears(b, 440)
    a.command('hangup')
    b.wait('CALL_CLOSED')


@test()
def library_bank(t):
    """the RTP bank sees a pause of 150 ms that is none of its sender's, and no other"""
    import socket
    import time
    from lib.rtpbank import Bank
    a, b = Bank(t, t.ip(11), 40000, 50), Bank(t, t.ip(12), 40000, 50)
    relay = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    relay.bind((t.ip(13), 40000))
    for k in range(50):
        a.tell('to', k, b.ip, b.port(k))
        b.tell('to', k, a.ip, a.port(k))
    a.tell('to', 7, t.ip(13), 40000)
    a.tell('start')
    b.tell('start')
    relay.settimeout(1)
    end = time.monotonic() + 1.5
    paused = False
    while time.monotonic() < end:
        data = relay.recv(300)
        if not paused and end - time.monotonic() < 0.8:
            time.sleep(0.15)
            paused = True
        relay.sendto(data, (b.ip, b.port(7)))
    rows = b.report()
    check(120 < rows[7]['gap_ms'] < 220, 'gap seen: %s', rows[7])
    check(max(r['gap_ms'] for k, r in enumerate(rows) if k != 7) < 60, 'gaps: %s', [r['gap_ms'] for r in rows])
    check(min(r['received'] for r in rows) > 40 and not any(r['lost'] for r in rows), 'rows: %s', rows[:3])
    relay.close()

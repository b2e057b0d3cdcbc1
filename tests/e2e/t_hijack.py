# SPDX-License-Identifier: Apache-2.0
"""Attackers on a stream, moved phones, RTCP in all its forms, payload types, fax: design.md section 10 from outside."""
import struct
import threading
import time

from lib.base import check, equal, test, until
from lib.daemon import Bed
from lib.rtp import Rtp, both_ways
from lib.sip import sdp_text
from lib.srtp import Srtp
from t_call import establish
from t_srtp import SUITES, bed_with, describe
from t_srtp import establish as establish_srtp


def hang_up(c, i):
    tx = c.request('BYE')
    i.answer_bye()
    equal(tx.final().status, 200, 'BYE')


class Spray:
    """Packets at ten times the rate from an address of its own to a port and its RTCP port, with the SSRC and sequence of the victim; or what it is given."""

    def __init__(self, t, host, victim, dest, replay=()):
        self.rtp, self.stop = Rtp(t, t.ip(host)), threading.Event()
        self.thread = threading.Thread(target=self._run, args=(victim, dest, list(replay)), daemon=True)
        self.thread.start()

    def _run(self, victim, dest, replay):
        n = 0
        while not self.stop.wait(0.002):
            head = struct.pack('!BBHII', 0x80, 0, (victim.seq + n % 4) & 0xffff, victim.ts & 0xffffffff, victim.ssrc)
            self.rtp.sock.sendto(replay[n % len(replay)] if replay else head + b'EVIL' * 40, dest)
            if n % 10 == 0:
                self.rtp.rtcp.sendto(struct.pack('!BBHIIIIII', 0x80, 200, 6, victim.ssrc, 0xbad, 2, 3, 4, 5), (dest[0], dest[1] + 1))
            n += 1

    def end(self):
        self.stop.set()
        self.thread.join()


def unhurt(rtp, what):
    """No packet of the attacker, no hole, no packet lost."""
    check(not any(b'EVIL' in p.payload for p in rtp.rx), 'packets of the attacker reached the %s', what)
    check(not any(b'\x00\x00\x0b\xad' in d for d, _ in rtp.rtcp_rx), 'RTCP of the attacker reached the %s', what)
    seqs = [p.seq for p in rtp.rx]
    equal(seqs, list(range(seqs[0], seqs[0] + len(seqs))), 'sequence at the ' + what)
    gap = max(b.at - a.at for a, b in zip(rtp.rx, rtp.rx[1:]))
    check(gap < 0.4, 'a hole of %.0f ms at the %s', 1000 * gap, what)


@test(seconds=30)
def hijack_spray(t):
    """before, during and after the latch: who sprays both ports with the right SSRC and sequence never takes nor cuts a stream of the signalled address"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '8901')
    ends = [ra.stream(c.rsdp.dest()), rb.stream(i.rsdp.dest())]
    until(lambda: len(ra.rx) > 3 and len(rb.rx) > 3, 3, 'audio')
    sprays = [Spray(t, 61, ra, c.rsdp.dest()), Spray(t, 62, rb, i.rsdp.dest())]
    for _ in range(10):
        ra.send_rtcp(c.rsdp.dest())
        rb.send_rtcp(i.rsdp.dest())
        time.sleep(0.1)
    for s in sprays:
        s.end()
    time.sleep(0.2)
    for e in ends:
        e()
    for rtp, what in ((ra, 'caller'), (rb, 'callee')):
        unhurt(rtp, what)
        check(len(rtp.rtcp_rx) >= 9, '%d of 10 reports reached the %s', len(rtp.rtcp_rx), what)
    equal([(len(s.rtp.rx), s.rtp.junk, len(s.rtp.rtcp_rx)) for s in sprays], [(0, 0, 0)] * 2, 'what the attackers got')
    dropped = [leg['media'][0]['rx']['dropped']['source'] for leg in bed.d.get('/calls/%s' % bed.d.calls()[0]['id']).json['legs']]
    check(min(dropped) > 200, 'packets that were refused: %s', dropped)
    hang_up(c, i)


@test(seconds=30)
def hijack_replay_under_srtp(t):
    """captured SRTP packets sent again from elsewhere, and packets with a guessed SSRC: nothing passes, nothing latches"""
    bed = bed_with(t, 'sdes', None)
    ra, rb = Srtp(t, bed.a.ip, SUITES[:1]), Rtp(t, bed.b.ip)
    c, i = establish_srtp(bed, ra, rb, '8902')
    caught = []
    seal = ra.tx_session.run
    ra.tx_session.run = lambda name, data: (caught.append(seal(name, data)), caught[-1])[1]
    ends = [ra.stream(c.rsdp.dest()), rb.stream(i.rsdp.dest())]
    until(lambda: len(rb.rx) > 5, 3, 'audio')
    sprays = [Spray(t, 61, ra, c.rsdp.dest(), caught[:4]), Spray(t, 62, ra, c.rsdp.dest())]
    time.sleep(1)
    for s in sprays:
        s.end()
    for e in ends:
        e()
    unhurt(rb, 'callee')
    unhurt(ra, 'caller')
    equal([(len(s.rtp.rx) + s.rtp.junk) for s in sprays], [0, 0], 'what the attackers got')
    hang_up(c, i)


@test(seconds=30)
def relatch_after_silence(t):
    """a phone behind NAT whose address really changes is followed within one silent interval of 2 s, not before"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '8903')
    old, new = Rtp(t, t.ip(55)), Rtp(t, t.ip(56))
    old.send(c.rsdp.dest(), 8)
    check(rb.wait(5) >= 5, 'the first address was not latched: %d packets', len(rb.rx))
    gone = time.monotonic()
    new.ssrc, new.seq, new.ts = old.ssrc, old.seq, old.ts
    end = new.stream(c.rsdp.dest())
    rb.clear()
    until(lambda: rb.rx, 5, 'packets from the new address', step=0.01)
    took = time.monotonic() - gone
    end()
    check(1.9 < took < 2.8, 'followed after %.2f s', took)
    new.clear()
    rb.send(i.rsdp.dest(), 5)
    check(new.wait(5) >= 5, '%d of 5 packets went to the new address', len(new.rx))
    equal(len(old.rx), 0, 'packets to the old one')
    hang_up(c, i)


@test(seconds=30)
def held_call_lives(t):
    """a held call is no silent one: it lives beyond `inactivity`; resumed and silent it ends"""
    bed = Bed(t, start=False, trunk_a={'media': 'quick'}, trunk_b={'media': 'quick'})
    bed.doc['media_profiles'] = [{'id': 'quick', 'transport': 'rtp', 'inactivity': 2}]
    bed.d.write()
    bed.d.start()
    c, i, ra, rb = establish(bed, bed.a, bed.b, '8904')
    for version, (mine, theirs) in enumerate((('inactive', 'inactive'), ('sendrecv', 'sendrecv')), 2):
        c.reinvite(sdp_text(bed.a.ip, ra.port, direction=mine, version=version))
        m = i.expect('INVITE')
        i.reply(200, to=m, sdp=sdp_text(bed.b.ip, rb.port, direction=theirs, version=version))
        c.wait(200)
        i.expect('ACK')
        if mine == 'inactive':
            i.not_seen('BYE', 4)
    c.answer_bye(6)
    i.answer_bye()


def muxed(t, bed, number, mux_a, mux_b):
    ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
    c = bed.a.call(number, sdp=sdp_text(bed.a.ip, ra.port, extra=['a=rtcp-mux'] if mux_a else ()))
    m = c.wait(lambda m: m.status >= 200 or m.status == 100)
    if m.status == 100:
        try:
            i = bed.b.await_call(number, 1.5)
        except Exception:
            return c.wait(lambda m: m.status >= 200).status, None
        i.reply(200, sdp=sdp_text(bed.b.ip, rb.port, extra=['a=rtcp-mux'] if mux_b else ()))
        m = c.wait(lambda m: m.status >= 200)
        if m.status != 200:
            i.expect('ACK')
            i.answer_bye()
    if m.status != 200:
        return m.status, None
    i.expect('ACK')
    return 200, (c, i, ra, rb)


@test(seconds=30)
def rtcp_mux_of_the_profile(t):
    """`auto` takes a=rtcp-mux and does not offer it, `off` does neither, `require` offers it and refuses without; reports go by the one port"""
    for mode, (mux_a, mux_b), status, offered in (('auto', (True, True), 200, False), ('off', (True, False), 200, False), ('require', (True, True), 200, True),
                                                  ('require', (False, True), 488, None), ('require', (True, False), 488, None)):
        bed = Bed(t, start=False, trunk_a={'media': 'm'}, trunk_b={'media': 'm'})
        bed.doc['media_profiles'] = [{'id': 'm', 'transport': 'rtp', 'rtcp_mux': mode}]
        bed.d.write()
        bed.d.start()
        got, call = muxed(t, bed, '8905', mux_a, mux_b)
        equal(got, status, 'status with %s, %s' % (mode, (mux_a, mux_b)))
        if call:
            c, i, ra, rb = call
            equal('a=rtcp-mux' in i.rsdp.text, offered, 'offered with ' + mode)
            equal('a=rtcp-mux' in c.rsdp.text, mode != 'off', 'answered with ' + mode)
            both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest(), 5)
            sr = struct.pack('!BBHIIIIII', 0x80, 200, 6, ra.ssrc, 1, 2, 3, 4, 5)
            n = len(rb.rx) + rb.junk
            (ra.sock if mode != 'off' else ra.rtcp).sendto(sr, c.rsdp.dest() if mode != 'off' else (c.rsdp.host(), c.rsdp.port() + 1))
            until(lambda: rb.rtcp_rx if mode != 'require' else len(rb.rx) + rb.junk > n, 2, 'the report with ' + mode)
            hang_up(c, i)
        bed.d.stop()
        for x in (bed.a, bed.b):
            x.close()


@test()
def rtcp_feedback(t):
    """feedback (RFC 4585) crosses between AVPF and AVPF; the callee is offered the profile of the caller, AVP stays AVP"""
    bed = Bed(t)
    ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
    lines = ['a=rtcp-fb:* nack', 'a=rtcp-fb:* ccm fir']
    feedback = lambda text: text.replace('RTP/AVP', 'RTP/AVPF')
    c = bed.a.call('8906', sdp=feedback(sdp_text(bed.a.ip, ra.port, extra=lines)))
    i = bed.b.await_call('8906')
    equal(i.rsdp.line('m').split()[2], 'RTP/AVPF', 'offer')
    check(all(ln in i.rsdp.text for ln in lines), 'a=rtcp-fb in the offer: %s', i.rsdp.text)
    i.reply(200, sdp=feedback(sdp_text(bed.b.ip, rb.port, extra=lines)))
    c.wait(200)
    i.expect('ACK')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest(), 5)
    nack = struct.pack('!BBHIIHH', 0x81, 205, 3, rb.ssrc, ra.ssrc, 77, 0)
    pli = struct.pack('!BBHII', 0x81, 206, 2, rb.ssrc, ra.ssrc)
    for packet in (nack, pli):
        ra.rtcp_rx = []
        rb.rtcp.sendto(struct.pack('!BBHI', 0x80, 201, 1, rb.ssrc) + packet, (i.rsdp.host(), i.rsdp.port() + 1))
        until(lambda: ra.rtcp_rx, 2, 'feedback')
        equal(ra.rtcp_rx[0][0][8:], packet, 'feedback as it was sent')
    hang_up(c, i)
    c, i, _, _ = establish(bed, bed.a, bed.b, '8907')
    equal((i.rsdp.line('m').split()[2], c.rsdp.line('m').split()[2]), ('RTP/AVP', 'RTP/AVP'), 'plain profiles')
    hang_up(c, i)


@test()
def payload_types_renumbered(t):
    """each side gets a format under the number by which it listed it, also telephone-event; comfort noise passes unlisted"""
    bed = Bed(t)
    ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)

    def text(agent, rtp, opus, event):
        return sdp_text(agent.ip, rtp.port, formats='%d %d' % (opus, event), extra=['a=rtpmap:%d opus/48000/2' % opus, 'a=rtpmap:%d telephone-event/48000' % event])
    c = bed.a.call('8908', sdp=text(bed.a, ra, 97, 96))
    i = bed.b.await_call('8908')
    i.reply(200, sdp=text(bed.b, rb, 109, 100))
    c.wait(200)
    i.expect('ACK')
    for pt in (97, 96, 13):
        ra.send(c.rsdp.dest(), 3, pt=pt)
    for pt in (109, 100, 13):
        rb.send(i.rsdp.dest(), 3, pt=pt)
    until(lambda: len(rb.rx) == 9 and len(ra.rx) == 9, 3, lambda: '9 packets each way: %d, %d' % (len(rb.rx), len(ra.rx)))
    equal([p.pt for p in rb.rx], [109] * 3 + [100] * 3 + [13] * 3, 'at the callee')
    equal([p.pt for p in ra.rx], [97] * 3 + [96] * 3 + [13] * 3, 'at the caller')
    hang_up(c, i)


@test()
def udptl_is_relayed(t):
    """m=image udptl: datagrams of any content cross both ways, also where they look like nothing; unknown media is answered with port 0"""
    bed = Bed(t)
    ra, rb, fa, fb = (Rtp(t, ip) for ip in (bed.a.ip, bed.b.ip, bed.a.ip, bed.b.ip))

    def text(agent, audio, fax, rest):
        return sdp_text(agent.ip, audio.port) + ''.join(ln + '\r\n' for ln in ['m=image %d udptl t38' % fax.port, 'a=T38FaxVersion:0', *rest])
    c = bed.a.call('8909', sdp=text(bed.a, ra, fa, ['m=application 9 TCP/BFCP *', 'm=message 7 TCP/MSRP *']))
    i = bed.b.await_call('8909')
    i.reply(200, sdp=text(bed.b, rb, fb, ['m=application 0 TCP/BFCP *', 'm=message 0 TCP/MSRP *']))
    c.wait(200)
    i.expect('ACK')
    equal([c.rsdp.port(k) > 0 for k in range(4)], [True, True, False, False], 'streams of the answer')
    for k in range(5):
        fa.sock.sendto(bytes([0, k]) + b'\x01\xff' * 20, (c.rsdp.host(1), c.rsdp.port(1)))
        fb.sock.sendto(bytes([0, k]) + b'\x02' * 7, (i.rsdp.host(1), i.rsdp.port(1)))
        time.sleep(0.02)
    until(lambda: fb.junk == 5 and fa.junk == 5, 2, lambda: '5 datagrams each way: %d, %d' % (fb.junk, fa.junk))
    hang_up(c, i)


@test(seconds=40)
def srtp_counter_over_hold_and_wrap(t):
    """the rollover counter of both directions goes on over a wrap, hold, resume, a codec change and a consumed refresh"""
    bed = bed_with(t, 'sdes', None)
    ra, rb = Srtp(t, bed.a.ip, SUITES[:1]), Rtp(t, bed.b.ip)
    c, i = establish_srtp(bed, ra, rb, '8910')
    for r in (ra, rb):
        r.seq = 65530
    for version, change in enumerate((None, 'sendonly', 'sendrecv', 'codec', None), 2):
        both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest(), 6) if change != 'sendrecv' else None # held
        text = describe(bed.a, ra, version=version, direction=change if change in ('sendonly', 'sendrecv') else None)
        if change == 'codec':
            text = text.replace('RTP/SAVP 0 8 101', 'RTP/SAVP 0 101')
        c.reinvite(sdp=text)
        try:
            m = i.expect('INVITE', 0.7)
            i.reply(200, to=m, sdp=sdp_text(bed.b.ip, rb.port, direction={'sendonly': 'recvonly'}.get(change), version=version))
        except AssertionError:
            m = None
        ra.take(c.wait(200).sdp)
        if m:
            i.expect('ACK')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest(), 6)
    check(ra.rx[0].seq < 100 and rb.rx[0].seq < 100, 'the sequence did not wrap')
    equal(ra.bad, 0, 'packets that do not verify')
    hang_up(c, i)

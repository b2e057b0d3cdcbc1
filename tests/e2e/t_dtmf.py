# SPDX-License-Identifier: Apache-2.0
"""Digits: telephone-event (RFC 4733) and INFO between legs of either kind, and the events that tell of them."""
import json
import re
import struct
import time

from lib.base import check, equal, test, until
from lib.daemon import Bed
from lib.rtp import Rtp
from lib.sip import sdp_text
from lib.srtp import Srtp, library

EVENTS = '0123456789*#ABCD'


def bed_with(t, a=None, b=None, system=None):
    """A daemon whose trunks have these media profiles: {} is the built-in one."""
    bed = Bed(t, start=False, system=system, trunk_a={'media': 'pa'} if a else {}, trunk_b={'media': 'pb'} if b else {})
    bed.doc['media_profiles'] = [{'id': n, 'transport': 'rtp', **p} for n, p in (('pa', a), ('pb', b)) if p]
    bed.d.write()
    return bed.d.start() and bed


def establish(bed, number, ra, rb, formats_a='0 101', formats_b='0'):
    c = bed.a.call(number, sdp=sdp_text(bed.a.ip, ra.port, formats=formats_a, extra=ra.lines() if isinstance(ra, Srtp) else ()).replace(
        'RTP/AVP', 'RTP/SAVP' if isinstance(ra, Srtp) else 'RTP/AVP'))
    i = bed.b.await_call(number)
    i.reply(200, sdp=sdp_text(bed.b.ip, rb.port, formats=formats_b))
    c.wait(200)
    i.expect('ACK')
    if isinstance(ra, Srtp):
        ra.take(c.rsdp)
    return c, i


def press(rtp, dest, digit, ms=120, pt=101, ends=3):
    """The packets of an event, paced; its timestamp stands still."""
    ts, n = rtp.ts, ms // 20
    for k in range(n + ends - 1):
        rtp.ts = ts
        last = k >= n - 1
        payload = struct.pack('!BBH', EVENTS.index(digit), (0x80 if last and ends else 0) | 10, min(k + 1, n) * 160)
        rtp.sock.sendto(rtp.packet(payload, pt, k == 0), dest)
        time.sleep(0.02)
    rtp.ts = ts + ms * 8


def info(call, digit, ms=160, ctype='application/dtmf-relay'):
    body = 'Signal=%s\r\nDuration=%d\r\n' % (digit, ms) if ctype.endswith('relay') else digit
    return call.request('INFO', body=body, ctype=ctype).final().status


def heard(rtp, pt=101):
    """The digits that came as telephone-event, with their packets."""
    out = {}
    for p in rtp.rx:
        if p.pt == pt:
            out.setdefault(p.ts, []).append(p)
    return [(EVENTS[ps[0].payload[0]], ps) for ps in out.values()]


def well_formed(digit, ps, ms):
    check(ps[0].marker and not any(p.marker for p in ps[1:]), 'the first packet of %s alone is marked', digit)
    lengths = [struct.unpack('!H', p.payload[2:4])[0] for p in ps]
    equal(lengths, sorted(lengths), 'durations of %s' % digit)
    equal(lengths[-1], ms * 8, 'duration of %s' % digit)
    equal([p.payload[1] & 0x80 for p in ps[-3:]], [0x80] * 3, 'end bits of %s' % digit)
    check(not any(p.payload[1] & 0x80 for p in ps[:-3]), 'an end bit of %s comes early', digit)


def one_sequence(rtp, what):
    seqs = [p.seq for p in rtp.rx]
    equal([(b - a) & 0xffff for a, b in zip(seqs, seqs[1:])], [1] * (len(seqs) - 1), what)
    equal(len({p.ssrc for p in rtp.rx}), 1, 'SSRCs of ' + what)


def hang_up(c, i):
    tx = c.request('BYE')
    i.answer_bye()
    equal(tx.final().status, 200, 'BYE')


@test()
def dtmf_event_to_info(t):
    """a leg with `dtmf: info`: its other side is answered telephone-event though it has none; each digit is one INFO, in order, and no packet of it crosses"""
    bed = bed_with(t, b={'dtmf': 'info'})
    ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
    c, i = establish(bed, '8001', ra, rb)
    equal((i.rsdp.formats(), 'telephone-event' in i.rsdp.text), (['0'], False), 'what the leg of INFO is offered')
    equal(c.rsdp.formats(), ['0', '101'], 'what the other one is answered')
    check('a=rtpmap:101 telephone-event/8000' in c.rsdp.text, 'no rtpmap in %s', c.rsdp.text)
    ra.send(c.rsdp.dest(), 5)
    for digit, ms, ends in (('1', 120, 3), ('#', 80, 1), ('1', 200, 0), ('D', 60, 3)):
        press(ra, c.rsdp.dest(), digit, ms, ends=ends)
        m = i.expect('INFO')
        i.reply(200, to=m)
        equal(m.get('content-type'), 'application/dtmf-relay', 'type')
        body = dict(x.split('=') for x in m.body.decode().split('\r\n') if x)
        equal(body['Signal'], digit, 'digit')
        check(abs(int(body['Duration']) - ms) <= 20, 'duration of %s: %s, %d was pressed', digit, body['Duration'], ms)
    ra.send(c.rsdp.dest(), 5)
    i.not_seen('INFO', 0.4)
    equal({p.pt for p in rb.rx}, {0}, 'payload types at the leg of INFO')
    hang_up(c, i)


@test()
def dtmf_info_to_event(t):
    """INFO of such a leg, application/dtmf-relay and application/dtmf, becomes telephone-event in the stream that runs: one SSRC, one sequence, three ends"""
    bed = bed_with(t, b={'dtmf': 'info'})
    ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
    c, i = establish(bed, '8002', ra, rb)
    end = rb.stream(i.rsdp.dest())
    ra.wait(5)
    for digit, ms, ctype in (('5', 200, 'application/dtmf-relay'), ('*', 100, 'application/dtmf-relay'), ('a', 160, 'application/dtmf')):
        equal(info(i, digit, ms, ctype), 200, 'INFO')
    equal(info(i, '55'), 400, 'INFO with two digits')
    until(lambda: len(heard(ra)) == 3 and len(heard(ra)[2][1]) >= 10, 4, lambda: 'three digits: %s' % heard(ra))
    time.sleep(0.2)
    end()
    got = heard(ra)
    equal([d for d, _ in got], ['5', '*', 'A'], 'digits')
    for (digit, ps), ms in zip(got, (200, 100, 160)):
        well_formed(digit, ps, ms)
    one_sequence(ra, 'the stream with its events')
    check(ra.rx[-1].pt == 0, 'audio goes on behind the digits')
    gap = [b.at - a.at for a, b in zip(ra.rx, ra.rx[1:])]
    check(max(gap) < 0.3, 'a hole of %.0f ms', 1000 * max(gap))
    c.not_seen('INFO', 0.1)
    hang_up(c, i)


@test()
def dtmf_info_without_audio(t):
    """digits of a leg that sends no audio come in a stream of our own; audio that begins later is relayed as it is"""
    bed = bed_with(t, b={'dtmf': 'info'})
    ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
    c, i = establish(bed, '8003', ra, rb)
    for digit in '42':
        equal(info(i, digit, 100), 200, 'INFO')
    until(lambda: len(heard(ra)) == 2 and len(heard(ra)[1][1]) >= 7, 4, 'two digits')
    for digit, ps in heard(ra):
        well_formed(digit, ps, 100)
    one_sequence(ra, 'the stream of digits')
    ra.clear()
    rb.send(i.rsdp.dest(), 10)
    check(ra.wait(10) >= 10, '%d of 10 packets of audio', len(ra.rx))
    equal([p.seq for p in ra.rx], list(range(rb.seq - 10, rb.seq)), 'audio as it came')
    hang_up(c, i)


@test()
def dtmf_info_caller(t):
    """the caller's leg is of INFO: telephone-event is offered to the callee under a free number, the caller is not answered it, digits cross both ways"""
    bed = bed_with(t, a={'dtmf': 'info'})
    ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
    c, i = establish(bed, '8004', ra, rb, formats_a='0 8', formats_b='0 101')
    equal(i.rsdp.formats(), ['0', '8', '101'], 'offer')
    equal(c.rsdp.formats(), ['0'], 'answer')
    rb.send(i.rsdp.dest(), 3)
    press(rb, i.rsdp.dest(), '7')
    m = c.expect('INFO')
    c.reply(200, to=m)
    check(b'Signal=7' in m.body, 'INFO of 7: %r', m.body)
    equal(info(c, '9', 160), 200, 'INFO')
    until(lambda: heard(rb) and len(heard(rb)[0][1]) >= 10, 3, 'a digit at the callee')
    equal([d for d, _ in heard(rb)], ['9'], 'digits')
    # a re-INVITE of the callee is shown the same number again
    i.reinvite(sdp_text(bed.b.ip, rb.port, formats='0 101', version=2))
    i.wait(200)
    equal(i.rsdp.formats(), ['0', '101'], 'answer to the callee')
    press(rb, i.rsdp.dest(), '8')
    m = c.expect('INFO')
    c.reply(200, to=m)
    check(b'Signal=8' in m.body, 'INFO of 8: %r', m.body)
    hang_up(c, i)


@test()
def dtmf_under_srtp(t):
    """digits into an SRTP stream verify, and no index comes twice"""
    library()
    bed = bed_with(t, a={'transport': 'sdes', 'suites': ['AES_CM_128_HMAC_SHA1_80']}, b={'dtmf': 'info'})
    ra, rb = Srtp(t, bed.a.ip, ['AES_CM_128_HMAC_SHA1_80']), Rtp(t, bed.b.ip)
    c, i = establish(bed, '8005', ra, rb)
    rb.seq = 65530
    end = rb.stream(i.rsdp.dest())
    ra.wait(3)
    for digit in '159':
        equal(info(i, digit, 100), 200, 'INFO')
    until(lambda: len(heard(ra)) == 3 and len(heard(ra)[2][1]) >= 7, 4, 'three digits')
    time.sleep(0.3)
    end()
    equal(ra.bad, 0, 'packets that do not verify, or came before')
    one_sequence(ra, 'the stream')
    equal([d for d, _ in heard(ra)], ['1', '5', '9'], 'digits')
    hang_up(c, i)


def crosses(sender, other, headers):
    tx = sender.request('INFO', headers=headers, body='Signal=2\r\nDuration=100\r\n', ctype='application/dtmf-relay')
    m = other.expect('INFO')
    other.reply(200, to=m)
    equal(tx.final().status, 200, 'INFO through')
    check(b'Signal=2' in m.body, 'its body: %r', m.body)


@test()
def dtmf_alike_crosses(t):
    """telephone-event is relayed; an INFO becomes one where the other side agreed to it, under `auto` and `rfc4733`; else, and with an Info-Package, it goes through"""
    bed = bed_with(t, b={'dtmf': 'rfc4733'})
    ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
    c, i = establish(bed, '8006', ra, rb, formats_b='0 101')
    press(ra, c.rsdp.dest(), '3')
    until(lambda: heard(rb), 2, 'telephone-event')
    equal([len(ps) for _, ps in heard(rb)], [8], 'its packets')
    rb.clear()
    equal(info(c, '6', 100), 200, 'INFO')
    until(lambda: heard(rb), 2, 'telephone-event')
    equal(info(i, '2', 100), 200, 'INFO of the callee, towards `auto`')
    until(lambda: heard(ra), 2, 'telephone-event at the caller')
    crosses(i, c, [('Info-Package', 'infoDtmf')])
    hang_up(c, i)
    c, i = establish(bed, '8008', ra, rb, formats_a='0')
    crosses(i, c, [])
    crosses(c, i, [])
    hang_up(c, i)


@test()
def dtmf_over_a_replaced_leg(t):
    """digits that wait when another party takes the leg's place are dropped with it; the newcomer's digits cross"""
    bed = bed_with(t, b={'dtmf': 'info'})
    ra, rb, rc = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip), Rtp(t, bed.b.ip)
    c, i = establish(bed, '8008', ra, rb)
    for digit in '123456':
        equal(info(i, digit, 1000), 200, 'INFO')
    n = bed.b.call('1', sdp=sdp_text(bed.b.ip, rc.port, formats='0'),
                   headers=[('Replaces', '%s;to-tag=%s;from-tag=%s' % (i.call_id, i.remote_tag, i.local_tag))])
    m = c.expect('INVITE')
    equal(m.sdp.formats(), ['0', '101'], 'what the other side is offered')
    c.reply(200, to=m, sdp=sdp_text(bed.a.ip, ra.port, formats='0 101', version=2))
    n.wait(200)
    i.answer_bye()
    ra.clear()
    equal(info(n, '9', 100), 200, 'INFO of the newcomer')
    until(lambda: [d for d, _ in heard(ra)][-1:] == ['9'], 3, 'the newcomer\'s digit')
    check('2' not in [d for d, _ in heard(ra)], 'a digit of who went: %s', [d for d, _ in heard(ra)])
    hang_up(c, n)


def rows(bed, kind):
    return [json.loads(m) for m in re.findall(r'(\{"time_ms".*\})', bed.d.log()) if json.loads(m)['type'] == kind]


@test(seconds=30)
def media_events(t):
    """event rows `dtmf` (with `*`, or the digit where mask_dtmf is off) and, within 15 s, `one-way`"""
    for mask, shown in ((True, '*'), (False, '4')):
        bed = bed_with(t, system={} if mask else {'mask_dtmf': False})
        ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
        c, i = establish(bed, '8007', ra, rb, formats_b='0 101')
        call = bed.d.calls()[0]['id']
        ra.send(c.rsdp.dest(), 3)
        press(ra, c.rsdp.dest(), '4')
        until(lambda: rows(bed, 'dtmf'), 3, 'the event of a digit')
        got = [{k: r[k] for k in ('class', 'call', 'leg', 'digit')} for r in rows(bed, 'dtmf')]
        equal(got, [{'class': 'media', 'call': call, 'leg': 'a', 'digit': shown}], 'event')
        if not mask:
            end = ra.stream(c.rsdp.dest())
            until(lambda: rows(bed, 'one-way'), 15, 'the event of one-way audio')
            end()
            equal([(r['call'], r['leg']) for r in rows(bed, 'one-way')], [(call, 'b')], 'who is silent')
        hang_up(c, i)
        bed.d.stop()
        for a in (bed.a, bed.b):
            a.close()

# SPDX-License-Identifier: Apache-2.0
"""Media: RTCP, latching, inactivity, counters."""
import time

from lib.base import SLOW, check, equal, test, until
from lib.daemon import Bed
from lib.rtp import Rtp, both_ways, frequency, tone
from lib.sip import sdp_text
from t_call import establish


def hang_up(c, i):
    tx = c.request('BYE')
    i.answer_bye()
    equal(tx.final().status, 200, 'BYE')


@test()
def tone_through(t):
    """each side hears the other's tone, not its own"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '5001')
    ends = ra.stream(c.rsdp.dest(), tone(440, 1)), rb.stream(i.rsdp.dest(), tone(1000, 1))
    time.sleep(1.5)
    for e in ends:
        e()
    for who, rtp, hz in (('caller', ra, 1000), ('callee', rb, 440)):
        got = frequency(rtp.audio())
        check(abs(got - hz) < 20, 'the %s hears %.0f Hz, %d was sent', who, got, hz)
    hang_up(c, i)


@test()
def rtcp_relayed(t):
    """sender reports cross both ways with their SSRC"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '5002')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest(), 5)

    def crossed():
        ra.send_rtcp(c.rsdp.dest())
        rb.send_rtcp(i.rsdp.dest())
        time.sleep(0.1)
        return ra.rtcp_rx and rb.rtcp_rx
    until(crossed, 3, 'RTCP both ways')
    check(any(d[1] == 200 and d[4:8] == ra.ssrc.to_bytes(4, 'big') for d, _ in rb.rtcp_rx), 'SSRC of the report')
    check(all(src == (i.rsdp.host(), i.rsdp.port() + 1) for _, src in rb.rtcp_rx), 'RTCP comes from %s', rb.rtcp_rx[0][1])
    hang_up(c, i)


@test()
def latching_moves_to_a_nat_source(t):
    """a party behind NAT: media comes from elsewhere than signalled, three packets in sequence latch, the other side's packets go there"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '5003')
    nat = Rtp(t, t.ip(55))
    nat.send(c.rsdp.dest(), 10)
    check(rb.wait(7) >= 7, 'of 10 packets from behind NAT %d reached the callee', len(rb.rx))
    rb.send(i.rsdp.dest(), 10)
    check(nat.wait(9) >= 9, 'after latching %d of 10 packets went to the source', len(nat.rx))
    check(len(ra.rx) <= 1, '%d packets went to the signalled address after another one was latched', len(ra.rx))
    hang_up(c, i)


@test()
def latching_signalled_address_wins(t):
    """the signalled address takes the stream with its first packet, from another latch also; then a stranger gets nothing"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '5004')
    thief = Rtp(t, t.ip(56))
    thief.send(c.rsdp.dest(), 6)
    ra.send(c.rsdp.dest(), 3)
    thief.send(c.rsdp.dest(), 6)
    thief.clear()
    ra.clear()
    rb.send(i.rsdp.dest(), 10)
    check(ra.wait(10) >= 10, 'the signalled address got %d of 10 packets', len(ra.rx))
    equal(len(thief.rx), 0, 'packets to a stranger')
    rb.clear()
    thief.send(c.rsdp.dest(), 6)
    time.sleep(0.2)
    equal(len(rb.rx), 0, 'packets of a stranger that reached the callee')
    hang_up(c, i)


@test()
def latching_not_by_noise(t):
    """two packets, another payload type, no RTP: they latch nothing and do not reach the other side"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '5005')
    noise = Rtp(t, t.ip(57))
    noise.send(c.rsdp.dest(), 2)
    for k in range(6):
        noise.sock.sendto(noise.packet(b'x' * 40, pt=96), c.rsdp.dest())
        noise.sock.sendto(b'\0' * 40, c.rsdp.dest())
        noise.sock.sendto(b'', c.rsdp.dest())
    time.sleep(0.2)
    rb.send(i.rsdp.dest(), 5)
    check(ra.wait(5) >= 5, 'the signalled address got %d of 5 packets', len(ra.rx))
    equal(len(noise.rx), 0, 'packets to the noise')
    hang_up(c, i)


@test()
def latching_strict(t):
    """latch: strict takes the signalled address alone"""
    bed = Bed(t, start=False, trunk_a={'media': 'strict'})
    bed.doc['media_profiles'] = [{'id': 'strict', 'transport': 'rtp', 'latch': 'strict'}]
    bed.d.write()
    bed.d.start()
    c, i, ra, rb = establish(bed, bed.a, bed.b, '5006')
    other = Rtp(t, t.ip(58))
    other.send(c.rsdp.dest(), 8)
    time.sleep(0.2)
    equal(len(rb.rx), 0, 'packets from elsewhere that reached the callee')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    hang_up(c, i)


@test(seconds=30)
def inactivity_ends_the_call(t):
    """no packet from either... one side for `inactivity` seconds: BYE to both, CDR says so; RTP from both keeps a call"""
    bed = Bed(t, start=False, trunk_a={'media': 'quick'}, trunk_b={'media': 'quick'})
    bed.doc['media_profiles'] = [{'id': 'quick', 'transport': 'rtp', 'inactivity': 3}]
    bed.d.write()
    bed.d.start()
    silent = establish(bed, bed.a, bed.b, '5007')
    talking = establish(bed, bed.a, bed.b, '5008')
    ends = talking[2].stream(talking[0].rsdp.dest()), talking[3].stream(talking[1].rsdp.dest())
    start = time.monotonic()
    silent[0].answer_bye(8)
    took = time.monotonic() - start
    silent[1].answer_bye()
    check(2 < took < 7, 'ended after %.1f s', took)
    talking[1].not_seen('BYE', 1.5)
    for e in ends:
        e()
    cdr = bed.d.cdrs('5007')
    equal(len(cdr), 1, 'CDRs')
    check('inactiv' in (cdr[0].get('cause') or ''), 'cause in the CDR: %r', cdr[0].get('cause'))


@test()
def media_counters(t):
    """packets and bytes per stream and direction in GET /calls/{id} are what was sent"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '5009')
    ra.send(c.rsdp.dest(), 40)
    rb.send(i.rsdp.dest(), 25)
    call = bed.d.calls()[0]

    def numbers(x, out):
        if isinstance(x, dict):
            for v in x.values():
                numbers(v, out)
        elif isinstance(x, list):
            for v in x:
                numbers(v, out)
        elif isinstance(x, (int, float)):
            out.append(x)
        return out

    def counted():
        legs = bed.d.get('/calls/%s' % call['id']).json['legs']
        got = [numbers(leg['media'], []) for leg in legs]
        return 40 in got[0] and 25 in got[0] and 40 in got[1] and 25 in got[1]
    until(counted, 4, lambda: '40 and 25 packets in the counters of both legs: %s' % [leg['media'] for leg in bed.d.get('/calls/%s' % call['id']).json['legs']])
    hang_up(c, i)


@test()
def telephone_events_and_comfort_noise(t):
    """payload types beside the codec cross as they are"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '5010')
    ra.send(c.rsdp.dest(), 3)
    for k in range(4):
        ra.sock.sendto(ra.packet(b'\x05\x0a\x00\xa0', pt=101, marker=k == 0), c.rsdp.dest())
    until(lambda: len([p for p in rb.rx if p.pt == 101]) == 4, 2, 'four telephone-events')
    check(all(p.payload == b'\x05\x0a\x00\xa0' for p in rb.rx if p.pt == 101), 'payload of the events')
    hang_up(c, i)


@test()
def held_stream_carries_nothing(t):
    """a stream whose direction forbids it carries no packets to that side; RTCP goes on"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '5011')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest(), 5)
    c.reinvite(sdp_text(bed.a.ip, ra.port, direction='sendonly', version=2))
    m = i.expect('INVITE')
    i.reply(200, to=m, sdp=sdp_text(bed.b.ip, rb.port, direction='recvonly', version=2))
    c.wait(200)
    i.expect('ACK')
    time.sleep(0.1 * SLOW)      # what was on its way, and the directions' way to the media process
    ra.clear()
    rb.clear()
    rb.send(i.rsdp.dest(), 8)
    ra.send(c.rsdp.dest(), 8)
    check(rb.wait(8) >= 8, 'music on hold: %d of 8 packets', len(rb.rx))
    equal(len(ra.rx), 0, 'packets to the side that only sends')
    hang_up(c, i)


@test()
def ports_are_given_back(t):
    """more calls one after the other than the range has ports: none is refused; a range used up is 503"""
    bed = Bed(t, ports=4)
    for n in range(12):
        c, i, _, _ = establish(bed, bed.a, bed.b, '51%02d' % n)
        hang_up(c, i)
    held = [establish(bed, bed.a, bed.b, '52%02d' % n) for n in range(4)]
    c = bed.a.call('5299', sdp=sdp_text(bed.a.ip, 30000))
    equal(c.wait(lambda m: m.status >= 200).status, 503, 'a call without ports')
    for k in held:
        hang_up(k[0], k[1])

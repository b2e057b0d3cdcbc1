# SPDX-License-Identifier: Apache-2.0
"""Figures of streams that were impaired in a known way: in the call, its CDR, the event of each stream and the metrics, and MOS by ITU-T G.107."""
import json
import re
import struct
import time

from lib.base import check, equal, test, until
from lib.daemon import Bed
from lib.rtp import Rtp
from t_call import establish


def hang_up(c, i):
    tx = c.request('BYE')
    i.answer_bye()
    equal(tx.final().status, 200, 'BYE')


def impaired(rtp, dest, plan, late=()):
    """Send the packets of plan (numbers of a stream, in this order, None: a hole in time); those in `late` leave 10 ms late. Returns bytes of each."""
    first, ts = rtp.seq, rtp.ts
    start, sent = time.monotonic(), 0
    for k, n in enumerate(plan):
        left = start + 0.02 * k + (0.01 if n in late else 0) - time.monotonic()
        if left > 0:
            time.sleep(left)
        if n is None:
            continue
        rtp.seq, rtp.ts = first + n, ts + 160 * n
        rtp.sock.sendto(rtp.packet(b'q' * 160), dest)
        sent += 1
    return sent * 172


def plan_of(n, lost, twice, swapped):
    """Numbers 0 to n - 1 as they are sent."""
    out = []
    for k in range(n):
        if k in swapped:
            out += [k + 1, k]
        elif k - 1 in swapped:
            continue
        elif k in lost:
            out.append(None)
        else:
            out += [k, k] if k in twice else [k]
    return out


def mos(lost, got, jitter_ms, rtt_ms):
    """G.107 with its defaults for G.711 with concealment; a buffer of twice the jitter, at least 40 ms; 20 ms packets, 10 ms beside."""
    p = 100.0 * lost / (got + lost)
    d = rtt_ms / 2 + max(40, 2 * jitter_ms) + 30
    r = 93.2 - 0.024 * d - (0.11 * (d - 177.3) if d > 177.3 else 0) - 95 * p / (p + 25.1)
    return 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6


def streams(bed):
    call = bed.d.calls()[0]
    return [leg['media'][0] for leg in bed.d.get('/calls/%s' % call['id']).json['legs']]


@test()
def quality_exact(t):
    """loss, doubles and disorder of a stream that wraps are counted exactly, on that stream alone, and are the same in call, CDR, event and metrics"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '8801')
    ra.seq = 65536 - 40
    lost, twice, swapped = {7, 8, 9, 39, 60, 88}, {3, 41, 70, 71}, {12, 38 + 15, 80}
    plan = plan_of(100, lost, twice, swapped)
    octets = impaired(ra, c.rsdp.dest(), plan)
    rb.send(i.rsdp.dest(), 30)
    want = {'packets': 98, 'lost': 6, 'duplicated': 4, 'reordered': 3, 'bytes': octets}
    until(lambda: streams(bed)[0]['rx']['packets'] == 98, 2, lambda: 'counters: %s' % streams(bed))
    a, b = streams(bed)
    equal({k: a['rx'][k] for k in want}, want, 'what was received from the caller')
    equal({k: b['rx'][k] for k in want}, {'packets': 30, 'lost': 0, 'duplicated': 0, 'reordered': 0, 'bytes': 30 * 172}, 'from the callee')
    equal((a['tx']['packets'], b['tx']['packets']), (30, 98), 'packets sent')
    equal(len(rb.rx), 98, 'packets at the callee')
    score = mos(6, 98, a['rx']['jitter_ms'], 0)
    check(abs(a['rx']['mos'] - score) < 0.02, 'MOS %.3f, G.107 gives %.3f', a['rx']['mos'], score)
    hang_up(c, i)
    cdr = {q['leg']: q for q in bed.d.cdrs('8801')[0]['quality']}
    names = {'packets': 'packets_received', 'bytes': 'bytes_received'}
    for leg, s in (('a', a), ('b', b)):
        equal({k: cdr[leg][names.get(k, k)] for k in want}, {k: s['rx'][k] for k in want}, 'CDR of leg ' + leg)
    events = lambda: [e for e in map(json.loads, re.findall(r'(\{"time_ms".*\})', bed.d.log())) if e['type'] == 'quality']
    until(lambda: len(events()) == 2, 2, 'an event of each stream')
    rows = {e['leg']: e for e in events()}
    for leg in 'ab':
        equal({k: rows[leg][k] for k in cdr[leg] if k != 'leg'}, {k: cdr[leg][k] for k in cdr[leg] if k != 'leg'}, 'event of leg ' + leg)
    for name, value in (('ended', 2), ('packets_received', 128), ('packets_lost', 6), ('packets_duplicated', 4), ('packets_reordered', 3)):
        equal(bed.d.counter('postern_streams_%s_total' % name), value, name)


@test(seconds=30)
def quality_jitter(t):
    """jitter of RFC 3550 for a stream of which every second packet comes 10 ms late: near 10 ms; of one that is even: near 0"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '8802')
    impaired(ra, c.rsdp.dest(), list(range(160)), late=set(range(0, 160, 2)))
    rb.send(i.rsdp.dest(), 40)
    # what the callee's kernel saw is the measure: the machine adds its own
    j, last = 0.0, None
    for p in rb.rx:
        transit = p.at * 8000 - p.ts
        if last is not None:
            j += (abs(transit - last) - j) / 16
        last = transit
    a, b = streams(bed)
    check(abs(a['rx']['jitter_ms'] - j / 8) < 1.0, 'jitter %.2f ms, the callee measured %.2f', a['rx']['jitter_ms'], j / 8)
    check(7 < a['rx']['jitter_ms'] < 14, 'jitter %.2f ms', a['rx']['jitter_ms'])
    check(b['rx']['jitter_ms'] < 5, 'jitter of an even stream: %.2f ms', b['rx']['jitter_ms'])
    equal((a['rx']['lost'], a['rx']['reordered']), (0, 0), 'lost, reordered')
    hang_up(c, i)


@test()
def quality_round_trip(t):
    """the round trip between Postern and a party, from its reports (RFC 3550 section 6.4.1): what the party waited is not in it"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '8803')
    ra.send(c.rsdp.dest(), 3)
    rb.send(i.rsdp.dest(), 3)
    # answered twice: at once but for 60 ms that it says it held it, and after 50 ms more
    for extra in (0.0, 0.05):
        rb.rtcp_rx = []
        ntp = int((time.time() + 2208988800) * 65536) & 0xffffffffffff
        sr = struct.pack('!BBHIIIIII', 0x80, 200, 6, ra.ssrc, ntp >> 16, (ntp & 0xffff) << 16, 8000, 3, 480)
        ra.rtcp.sendto(sr, (c.rsdp.host(), c.rsdp.port() + 1))
        until(lambda: rb.rtcp_rx, 2, 'the report', step=0.002)
        lsr = struct.unpack('!I', rb.rtcp_rx[-1][0][10:14])[0]
        equal(lsr, ntp & 0xffffffff, 'its time')
        time.sleep(0.06 + extra)
        rr = struct.pack('!BBHIIIIIII', 0x81, 201, 7, rb.ssrc, ra.ssrc, 0, ra.seq, 0, lsr, int(0.06 * 65536))
        rb.rtcp.sendto(rr, (i.rsdp.host(), i.rsdp.port() + 1))
        time.sleep(0.1)
        got = streams(bed)[1]['round_trip_ms']
        check(got is not None and 1000 * extra - 1 <= got < 1000 * extra + 40, 'round trip %s ms, %.0f were added', got, 1000 * extra)
    b = streams(bed)[1]['rx']
    score = mos(0, 3, b['jitter_ms'], got)
    check(abs(b['mos'] - score) < 0.02, 'MOS %.3f with a round trip, G.107 gives %.3f', b['mos'], score)
    hang_up(c, i)
    equal([q['round_trip_ms'] > 0 for q in bed.d.cdrs('8803')[0]['quality']], [False, True], 'round trips in the CDR')

# SPDX-License-Identifier: Apache-2.0
"""SRTP keyed in SDP: transports and suites of the media profile, keys over re-INVITEs, kills of media and engine, keys nowhere to be read."""
import base64
import json
import os
import re
import time

from lib.base import check, equal, need_root, test, until
from lib.daemon import Bed
from lib.rtp import Rtp, both_ways
from lib.sip import sdp_text
from lib.srtp import Srtp, library

SUITES = ['AES_CM_128_HMAC_SHA1_80', 'AES_CM_128_HMAC_SHA1_32', 'AES_256_CM_HMAC_SHA1_80', 'AEAD_AES_128_GCM', 'AEAD_AES_256_GCM']


def bed_with(t, a=None, b=None, suites=SUITES, **kw):
    """A daemon whose trunks have these transports."""
    library()
    bed = Bed(t, start=False, trunk_a={'media': a} if a else {}, trunk_b={'media': b} if b else {}, **kw)
    bed.doc['media_profiles'] = [{'id': x, 'transport': x, 'suites': suites} for x in sorted({a, b} - {None, 'default'})]
    bed.d.write()
    return bed.d.start() and bed


def describe(agent, rtp, secure=None, only=None, version=1, direction=None):
    """SDP of a party: RTP/SAVP with its keys where it has some, unless `secure` says otherwise."""
    has = isinstance(rtp, Srtp)
    text = sdp_text(agent.ip, rtp.port, version=version, direction=direction, extra=rtp.lines(only) if has else ())
    return text.replace('RTP/AVP', 'RTP/SAVP') if (has if secure is None else secure) else text


def establish(bed, ra, rb, number, secure_a=None):
    c = bed.a.call(number, sdp=describe(bed.a, ra, secure_a))
    i = bed.b.await_call(number)
    tag = rb.take(i.rsdp) if isinstance(rb, Srtp) and 'a=crypto' in i.rsdp.text else None
    text = sdp_text(bed.b.ip, rb.port, extra=['a=crypto:%d %s inline:%s' % (tag, rb.suite, base64.b64encode(rb.seal_with).decode())] if tag else ())
    i.reply(200, sdp=text.replace('RTP/AVP', i.rsdp.line('m').split()[2]))
    c.wait(200)
    i.expect('ACK')
    if isinstance(ra, Srtp):
        ra.take(c.rsdp)
    return c, i


def hang_up(c, i):
    tx = c.request('BYE')
    i.answer_bye()
    equal(tx.final().status, 200, 'BYE')


def proto(sdp):
    return sdp.line('m').split()[2]


def reports(ra, c, rb, i):
    def crossed():
        ra.send_rtcp(c.rsdp.dest())
        rb.send_rtcp(i.rsdp.dest())
        time.sleep(0.1)
        return ra.rtcp_rx and rb.rtcp_rx
    until(crossed, 3, 'RTCP both ways')


@test(seconds=40)
def srtp_every_suite_both_legs(t):
    """each suite on the caller's leg beside another on the callee's: RTP and RTCP verify, offers and answers carry the profile's order and the tag"""
    bed = bed_with(t, 'sdes', 'sdes')
    for n, suite in enumerate(SUITES):
        ra, rb = Srtp(t, bed.a.ip, [suite]), Srtp(t, bed.b.ip, [SUITES[(n + 2) % len(SUITES)]])
        c, i = establish(bed, ra, rb, '71%02d' % n)
        equal((proto(c.rsdp), proto(i.rsdp)), ('RTP/SAVP', 'RTP/SAVP'), 'transports')
        equal(re.findall(r'a=crypto:(\d+) (\S+)', i.rsdp.text), [(str(k + 1), s) for k, s in enumerate(SUITES)], 'offer in the order of the profile')
        equal(re.findall(r'a=crypto:(\d+) (\S+)', c.rsdp.text), [('1', suite)], 'answer')
        both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest(), 10)
        reports(ra, c, rb, i)
        equal((ra.bad, rb.bad), (0, 0), 'packets that do not verify, %s' % suite)
        hang_up(c, i)


@test()
def srtp_beside_plain(t):
    """SRTP on one leg, plain RTP on the other; SSRC and payload cross, nothing of a key does"""
    bed = bed_with(t, 'sdes', None)
    ra, rb = Srtp(t, bed.a.ip, SUITES[:1]), Rtp(t, bed.b.ip)
    c, i = establish(bed, ra, rb, '7201')
    check('crypto' not in i.rsdp.text and proto(i.rsdp) == 'RTP/AVP', 'the plain leg was offered %s', i.rsdp.text)
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    reports(ra, c, rb, i)
    equal(ra.bad, 0, 'packets that do not verify')
    hang_up(c, i)


@test()
def srtp_transports_of_the_profile(t):
    """sdes refuses plain, rtp refuses SAVP, what has an MKI or no suite of ours is refused, all with 488"""
    bed = bed_with(t, 'sdes', None, suites=SUITES[:1])
    ra, good = Rtp(t, bed.a.ip), Srtp(t, bed.a.ip, SUITES[:1])
    other = Srtp(t, bed.a.ip, [SUITES[4]])
    mki = describe(bed.a, good).replace('a=crypto:1 ', 'a=crypto:1 ').rstrip('\r\n') + '|2^20|1:4\r\n'
    short = re.sub(r'inline:\S{8}', 'inline:', describe(bed.a, good))
    extra = describe(bed.a, good).rstrip('\r\n') + ' UNENCRYPTED_SRTP\r\n'
    for n, (what, text) in enumerate((('plain', describe(bed.a, ra)), ('another suite', describe(bed.a, other)), ('MKI', mki), ('a short key', short), ('no encryption', extra))):
        c = bed.a.call('73%02d' % n, sdp=text)
        equal(c.wait(lambda m: m.status >= 200).status, 488, what)
    c = bed.b.call('7399', sdp=describe(bed.b, Srtp(t, bed.b.ip, SUITES[:1])))
    equal(c.wait(lambda m: m.status >= 200).status, 488, 'SAVP from a leg that is plain')
    c, i = establish(bed, good, Rtp(t, bed.b.ip), '7398')
    hang_up(c, i)


@test(seconds=30)
def srtp_optional(t):
    """sdes-optional: one AVP line with a=crypto is offered; plain, crypto or SAVP flows as the answer says"""
    bed = bed_with(t, 'sdes-optional', 'sdes-optional')
    for n, (secure_a, secure_b) in enumerate(((False, False), (True, False), (False, True), (True, True))):
        ra = Srtp(t, bed.a.ip, SUITES[:2]) if secure_a else Rtp(t, bed.a.ip)
        rb = Srtp(t, bed.b.ip, SUITES[:2]) if secure_b else Rtp(t, bed.b.ip)
        c, i = establish(bed, ra, rb, '74%02d' % n)
        equal((proto(i.rsdp), len(i.rsdp.media)), ('RTP/AVP', 1), 'offer')
        check('a=crypto' in i.rsdp.text, 'the offer has no a=crypto: %s', i.rsdp.text)
        equal(proto(c.rsdp), 'RTP/SAVP' if secure_a else 'RTP/AVP', 'answer')
        both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest(), 10)
        hang_up(c, i)


def reinvite(bed, c, i, text, peer_text):
    """A re-INVITE of the caller, answered here or, where it is relayed, by the callee with peer_text. Its 200."""
    tx = c.reinvite(sdp=text)

    def crossed():
        return i.agent.peek(lambda m: m.method == 'INVITE' and m.call_id == i.call_id)
    until(lambda: crossed() or c.agent.peek(lambda m: m.status >= 200 and m.branch == tx.req.branch), 5, 'the re-INVITE crosses or is answered')
    m = crossed() and i.expect('INVITE')
    if m:
        i.reply(200, to=m, sdp=peer_text(m.sdp))
    r = c.wait(200)
    if m:
        i.expect('ACK')
    return r


@test(seconds=30)
def srtp_keys_over_a_reinvite(t):
    """the same description again keeps both keys; a new key of the caller is a new context in that direction, ours stays"""
    bed = bed_with(t, 'sdes', None)
    ra, rb = Srtp(t, bed.a.ip, SUITES[:1]), Rtp(t, bed.b.ip)
    c, i = establish(bed, ra, rb, '7501')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest(), 10)
    ours = re.search(r'inline:(\S+)', c.rsdp.text).group(1)
    for fresh in (False, True):
        if fresh:
            ra.keys = Srtp(t, bed.a.ip, SUITES[:1]).keys
        m = reinvite(bed, c, i, describe(bed.a, ra, version=2 + fresh), lambda offer: sdp_text(bed.b.ip, rb.port))
        equal(re.search(r'inline:(\S+)', m.sdp.text).group(1), ours, 'our key after a re-INVITE')
        ra.take(m.sdp)
        both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest(), 10)
    equal(ra.bad, 0, 'packets that do not verify')
    hang_up(c, i)


@test(seconds=40)
def srtp_survives_a_killed_media_process(t):
    """kill -9 of media under traffic with SRTP on both legs: no index of RTP or RTCP comes twice, audio and reports go on"""
    bed = bed_with(t, 'sdes', 'sdes')
    ra, rb = Srtp(t, bed.a.ip, [SUITES[0]]), Srtp(t, bed.b.ip, [SUITES[3]])
    ra.seq = rb.seq = 65500
    c, i = establish(bed, ra, rb, '7601')
    ends = ra.stream(c.rsdp.dest()), rb.stream(i.rsdp.dest())
    for _ in range(3):
        time.sleep(0.8)
        reports(ra, c, rb, i)
        old = bed.d.kill('media')
        time.sleep(0.3)
        bed.d.restarted('media', old)
        ra.rtcp_rx, rb.rtcp_rx = [], []
        reports(ra, c, rb, i)
    for e in ends:
        e()
    time.sleep(0.2)
    for who, r in (('caller', ra), ('callee', rb)):
        # the library of the receiver refuses an index that it has seen: bad would count it
        equal(r.bad, 0, 'packets that the %s could not verify, or had before' % who)
        seqs = [p.seq for p in r.rx]
        equal(len(seqs), len(set(seqs)), 'sequence numbers of the %s' % who)
        check(max(seqs) > 65500 and min(seqs) < 200, 'the sequence did not wrap')
        gap = max(y.at - x.at for x, y in zip(r.rx, r.rx[1:]))
        t.note('%s: %d packets, longest gap %.0f ms' % (who, len(seqs), 1000 * gap))
        check(gap < 0.5, 'the %s heard nothing for %.0f ms', who, 1000 * gap)
        equal(r.indices, sorted(set(r.indices)), 'SRTCP indices of the %s' % who)
    hang_up(c, i)


@test(seconds=30)
def srtp_survives_a_killed_engine(t):
    """kill -9 of the engine: media goes on, a re-INVITE afterwards has our key as before, nothing is sent plain"""
    bed = bed_with(t, 'sdes', None)
    ra, rb = Srtp(t, bed.a.ip, SUITES[:1]), Rtp(t, bed.b.ip)
    c, i = establish(bed, ra, rb, '7701')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest(), 10)
    ours = re.search(r'inline:(\S+)', c.rsdp.text).group(1)
    old = bed.d.kill('engine')
    bed.d.restarted('engine', old)
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest(), 10)
    m = reinvite(bed, c, i, describe(bed.a, ra, version=2), lambda offer: sdp_text(bed.b.ip, rb.port))
    equal(re.search(r'inline:(\S+)', m.sdp.text).group(1), ours, 'our key after a restart of the engine')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest(), 10)
    equal(ra.bad, 0, 'packets that do not verify')
    hang_up(c, i)


@test()
def srtp_only_who_has_the_key_latches(t):
    """packets of a stranger, also with the right SSRC and sequence, neither latch nor reach the other side; a phone behind NAT does at once"""
    bed = bed_with(t, 'sdes', None)
    ra, rb = Srtp(t, bed.a.ip, SUITES[3:4]), Rtp(t, bed.b.ip)
    c, i = establish(bed, ra, rb, '7801')
    thief = Rtp(t, t.ip(56))
    thief.ssrc, thief.seq = ra.ssrc, ra.seq
    thief.send(c.rsdp.dest(), 10)
    rb.send(i.rsdp.dest(), 3)
    check(ra.wait(3) >= 3, 'media did not go to the signalled address')
    equal((len(thief.rx) + thief.junk, len(rb.rx)), (0, 0), 'packets to and of a stranger')
    nat = Srtp(t, t.ip(57), [])
    nat.rx_session, nat.tx_session, nat.suite = ra.rx_session, ra.tx_session, ra.suite
    nat.send(c.rsdp.dest(), 5)
    check(rb.wait(5) >= 5, 'of 5 packets from behind NAT %d reached the callee', len(rb.rx))
    rb.send(i.rsdp.dest(), 5)
    check(nat.wait(5) >= 5, 'after latching %d of 5 packets went to the source', len(nat.rx))
    hang_up(c, i)


@test()
def srtp_keys_are_nowhere_to_be_read(t):
    """no key in the API, the CDR or the log; the list of calls shows the descriptions with *** in their place"""
    bed = bed_with(t, 'sdes', 'sdes')
    ra, rb = Srtp(t, bed.a.ip, SUITES), Srtp(t, bed.b.ip, SUITES)
    c, i = establish(bed, ra, rb, '7901')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest(), 5)
    keys = set(re.findall(r'inline:(\S+)', c.rsdp.text + i.rsdp.text + describe(bed.a, ra) + describe(bed.b, rb)))
    call = bed.d.calls()[0]
    shown = json.dumps(bed.d.get('/calls/%s' % call['id']).json)
    check('inline:***' in shown, 'the descriptions are shown: %s', shown)
    check('"srtp": true' in shown, 'the streams are shown as SRTP: %s', shown)
    hang_up(c, i)
    texts = shown + json.dumps(bed.d.cdrs('7901')) + bed.d.log() + bed.d.get('/stats').text
    for k in keys:
        check(k not in texts and k.rstrip('=') not in texts and base64.b64decode(k).hex() not in texts.lower(), 'a key can be read')


def shared_memory(bed):
    """What of the daemon's memory more than one role maps: {name: bytes}."""
    out, folder = {}, '/proc/%d/fd' % bed.d.proc.pid
    for fd in os.listdir(folder):
        name = os.readlink(os.path.join(folder, fd))
        m = re.match(r'/memfd:(?:postern[-.])?(\w+)', name)
        if m:
            with open(os.path.join(folder, fd), 'rb') as mem:
                out[m.group(1)] = out.get(m.group(1), b'') + mem.read()
    return out


@test(seconds=30)
def srtp_keys_are_in_no_shared_memory(t):
    """the call's record holds what the legs were shown and will be, also after a hold that was consumed, and no key: those are in memory of media or engine alone"""
    need_root('memory of the daemon is read')
    library()
    bed = Bed(t, start=False, trunk_a={'media': 'sdes', 'mid_call': 'm'}, trunk_b={'media': 'sdes', 'mid_call': 'm'}, system={'max_calls': 30, 'trace': {'bytes': 1 << 20}})
    bed.doc['media_profiles'] = [{'id': 'sdes', 'transport': 'sdes', 'suites': SUITES}]
    bed.doc['mid_call'] = [{'id': 'm', 'reinvite': {'hold': 'consume'}}]
    bed.d.write()
    bed.d.start()
    ra, rb = Srtp(t, bed.a.ip, SUITES), Srtp(t, bed.b.ip, SUITES)
    c, i = establish(bed, ra, rb, '7902')
    keys = set(re.findall(r'inline:([^|\s]+)', c.rsdp.text + i.rsdp.text + describe(bed.a, ra) + describe(bed.b, rb)))
    text = sdp_text(bed.b.ip, rb.port, formats='0', version=2, extra=['a=crypto:%d %s inline:%s' % (rb.take(i.rsdp), rb.suite, base64.b64encode(rb.seal_with).decode())])
    steps = (('sendonly', '0 8 101'), ('sendrecv', '0 8 101'), ('sendrecv', '0'), ('sendonly', '0'))      # the third one crosses
    for n, (direction, formats) in enumerate(steps):
        reinvite(bed, c, i, describe(bed.a, ra, version=2 + n, direction=direction).replace('SAVP 0 8 101', 'SAVP ' + formats), lambda offer: text.replace('RTP/AVP', 'RTP/SAVP'))
        memory = shared_memory(bed)
        check({'calls', 'streams'} <= set(memory), 'memory that is shared: %s', sorted(memory))
        for k in keys:
            where = [name for name, data in memory.items() if name not in ('keys', 'secrets') and (k.encode() in data or base64.b64decode(k + '=' * (-len(k) % 4)) in data)]
            check(not where, 'after step %d a key can be read in %s', n, where)
    check(any(k.encode() in memory.get('secrets', b'') for k in keys), 'the keys are nowhere at all')
    hang_up(c, i)

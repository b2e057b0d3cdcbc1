# SPDX-License-Identifier: Apache-2.0
"""Stacks that we did not write call each other through Postern: SIPp, baresip, Kamailio in between. Audio is judged by what arrives."""
import glob
import os
import re
import sys
import time

from lib import certs
from lib.base import Proc, check, equal, need, test, until
from lib.daemon import Bed, Postern, document
from lib.rtp import Rtp, both_ways, frequency, tone
from lib.sip import Sdp, sdp_text
from lib.stacks import Baresip, TlsPipe, hears, kamailio, sipp, sipp_done, sox_frequency
from lib.ua import Agent


@test()
def sipp_calls_us(t):
    """SIPp calls through Postern; its audio and ours are heard on the other side"""
    bed = Bed(t)
    bed.a.close()
    p = sipp(t, 'caller', bed.a.ip, 5060, t.at['a'], hz=440, number='1001', hold=2000)
    rb = Rtp(t, bed.b.ip)
    i = bed.b.await_call('1001')
    i.reply(180)
    i.reply(200, sdp=sdp_text(bed.b.ip, rb.port, formats='0'))
    i.expect('ACK')
    end = rb.stream(i.rsdp.dest(), tone(1000, 1))
    i.answer_bye(6)
    end()
    sipp_done(p)
    got = frequency(rb.audio())
    check(len(rb.rx) > 60 and abs(got - 440) < 20, '%d packets of SIPp, %.0f Hz', len(rb.rx), got)
    equal(len(bed.d.cdrs('1001')), 1, 'CDRs')


@test()
def sipp_answers_us(t):
    """SIPp is called through Postern; its tone reaches the caller"""
    bed = Bed(t)
    bed.b.close()
    p = sipp(t, 'callee', bed.b.ip, 5060, hz=1000)
    ra = Rtp(t, bed.a.ip)
    c = bed.a.call('1002', sdp=sdp_text(bed.a.ip, ra.port))
    c.wait(200, 5)
    ra.send(c.rsdp.dest(), 75, audio=tone(440, 1))
    c.bye()
    sipp_done(p)
    got = frequency(ra.audio())
    check(len(ra.rx) > 60 and abs(got - 1000) < 30, '%d packets of SIPp, %.0f Hz', len(ra.rx), got)


def sipp_to_sipp(t, bed, ta, tb, calls=20):
    bed.a.close()
    bed.b.close()
    q = sipp(t, 'callee', bed.b.ip, t.party['b'][1], transport=tb, calls=calls, hz=1000)
    p = sipp(t, 'caller', bed.a.ip, t.party['a'][1], t.at['a'], transport=ta, calls=calls, number='1003', hold=1000)
    end = time.monotonic() + 5
    while len(bed.d.calls()) < 3 and time.monotonic() < end:
        time.sleep(0.05)
    sipp_done(p)
    sipp_done(q)
    bed.d.no_calls()
    equal(len(bed.d.cdrs('1003', calls)), calls, 'CDRs')
    check(all(r['status'] == 200 for r in bed.d.cdrs('1003', calls)), 'a call failed')


@test()
def sipp_to_sipp_udp(t):
    """20 calls of SIPp to SIPp over UDP"""
    sipp_to_sipp(t, Bed(t, ports=100), 'u1', 'u1')


@test()
def sipp_to_sipp_tcp(t):
    """20 calls of SIPp to SIPp over TCP"""
    sipp_to_sipp(t, Bed(t, a='tcp', b='tcp', ports=100), 't1', 't1')


@test()
def sipp_over_tls(t):
    """SIPp through socat as a TLS party on the caller's side, UDP on the other"""
    bed = Bed(t, a='tls', b='udp', ports=100, tls={'verify': 'required'})
    c = certs.make(t)
    bed.b.close()
    TlsPipe.to(t, bed.a.ip, 5070, t.at['a'], c.path('party-both.pem'), c.path('ca.pem'))
    q = sipp(t, 'callee', bed.b.ip, 5060, calls=3, hz=1000)
    p = sipp(t, 'caller', bed.a.ip, 5075, (bed.a.ip, 5070), transport='t1', via='TLS', calls=3, number='1004', hold=800)
    sipp_done(p)
    sipp_done(q)
    equal(len(bed.d.cdrs('1004', 3)), 3, 'CDRs')


def two_phones(t, number, transport='udp', secure=None):
    """(daemon, phone a, phone b); phone b is called number and answers by itself. secure: side whose leg has SDES"""
    # baresip's own connections come from any loopback address
    near = {'sources': ['127.0.0.0/8']}
    doc = document(t, a=transport, b=transport, trunk_a=near, trunk_b=near)
    if secure:
        doc['media_profiles'] = [{'id': 'sdes', 'transport': 'sdes', 'suites': ['AES_CM_128_HMAC_SHA1_80']}]
        next(k for k in doc['trunks'] if k['id'] == secure)['media'] = 'sdes'
    phone = lambda side: {'srtp': True, 'account': ';mediaenc=srtp-mand'} if side == secure else {}
    d = Postern(t, doc)
    d.start()
    tls = {}
    if transport == 'tls':
        c = certs.make(t)
        tls = {'cert': c.path('party-both.pem'), 'ca': c.path('ca.pem')}
    # baresip's TLS listener is one above the plain one
    port = 5060 if transport != 'tls' else t.party['a'][1] - 1
    a = Baresip(t, t.party['a'][0], port, 440, outbound='sip:%s:%d;transport=%s' % (*t.at['a'], transport), **tls, **phone('a'))
    b = Baresip(t, t.party['b'][0], port, 1000, user=number, answer=True, outbound='sip:%s:%d;transport=%s' % (*t.at['b'], transport), **tls, **phone('b'))
    return d, a, b


def phone_call(t, d, a, b, number):
    a.command('dial', 'sip:%s@%s' % (number, t.at['a'][0]))
    a.wait('CALL_ESTABLISHED', 8)
    b.wait('CALL_ESTABLISHED', 8)
    hears(a, 1000)
    hears(b, 440)


@test()
def baresip_to_baresip(t):
    """two phones: each hears the other's tone (sox agrees), one hangs up, a CDR"""
    need('sox', 'tones as sox measures them')
    d, a, b = two_phones(t, '1010')
    phone_call(t, d, a, b, '1010')
    a.command('hangup')
    b.wait('CALL_CLOSED')
    a.wait('CALL_CLOSED')
    d.no_calls()
    for phone, hz in ((a, 1000), (b, 440)):
        got = [sox_frequency(p) for p in glob.glob(os.path.join(phone.dir, 'rec', '*-dec.wav'))]
        check(got and abs(max(got) - hz) < 0.1 * hz, 'sox: %s Hz, %d were sent', got, hz)
    cdr = d.cdrs('1010')
    equal((len(cdr), cdr[0]['status']), (1, 200), 'CDR')


@test()
def baresip_callee_hangs_up(t):
    """the called phone hangs up"""
    d, a, b = two_phones(t, '1011')
    phone_call(t, d, a, b, '1011')
    b.command('hangup')
    a.wait('CALL_CLOSED')
    d.no_calls()


@test()
def baresip_hold_and_resume(t):
    """hold and resume of a real phone: silence, then audio both ways again"""
    d, a, b = two_phones(t, '1012')
    phone_call(t, d, a, b, '1012')

    def held():
        sdp = d.get('/calls/%s' % d.calls()[0]['id']).json['legs'][1]['sdp_out']
        return 'sendonly' in sdp or 'inactive' in sdp
    a.command('hold')
    until(held, 3, 'the hold reaches the other phone')
    a.command('resume')
    until(lambda: not held(), 4, 'the resume reaches the other phone')
    a.command('hangup')
    b.wait('CALL_CLOSED')
    d.no_calls()


@test()
def baresip_tcp(t):
    """two phones over TCP"""
    d, a, b = two_phones(t, '1013', 'tcp')
    phone_call(t, d, a, b, '1013')
    a.command('hangup')
    b.wait('CALL_CLOSED')


@test()
def baresip_tls(t):
    """two phones over TLS, certificates checked on both sides"""
    d, a, b = two_phones(t, '1014', 'tls')
    phone_call(t, d, a, b, '1014')
    b.command('hangup')
    a.wait('CALL_CLOSED')
    d.no_calls()


@test()
def baresip_survives_kills(t):
    """two phones talk while media, engine and admin are killed: they never notice, and hang up well"""
    d, a, b = two_phones(t, '1015')
    phone_call(t, d, a, b, '1015')
    for role in ('media', 'engine', 'admin'):
        d.restarted(role, d.kill(role))
        time.sleep(0.3)
    before = a.heard()[0], b.heard()[0]
    until(lambda: a.heard()[0] > before[0] + 0.8 and b.heard()[0] > before[1] + 0.8, 6, 'audio both ways after the kills')
    a.command('hangup')
    b.wait('CALL_CLOSED')
    d.no_calls()
    equal(len(d.cdrs('1015')), 1, 'CDRs')


@test()
def baresip_refuses(t):
    """a phone that hangs up instead of answering: its status reaches the caller"""
    doc = document(t)
    d = Postern(t, doc)
    d.start()
    b = Baresip(t, t.party['b'][0], 5060, 1000, user='1016')
    a = Agent(t, t.party['a'][0], t.at['a'])
    c = a.call('1016', sdp=sdp_text(a.ip, 30000))
    c.wait(180, 5)
    b.command('hangup')
    m = c.wait(lambda m: m.status >= 300, 5)
    check(m.status in (486, 603, 480), 'final %d', m.status)


def through_kamailio(t):
    """A bed whose trunk b is a Kamailio in front of the party."""
    bed = Bed(t, start=False)
    ip = t.ip(20)
    bed.doc['trunks'][1]['target'] = 'sip:%s:5060' % ip
    bed.d.write()
    bed.d.start()
    kamailio(t, ip, 5060, t.at['b'], t.party['b'])
    bed.b.peer = (ip, 5060)
    return bed


@test()
def kamailio_in_between(t):
    """a proxy that records its route: calls both ways, in-dialog requests take its route, BYE from either side"""
    bed = through_kamailio(t)
    ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
    proxy = t.ip(20)
    for x, y, rx, ry, number, by_caller in ((bed.a, bed.b, ra, rb, '1020', True), (bed.b, bed.a, rb, ra, '1021', False), (bed.a, bed.b, ra, rb, '1022', False), (bed.b, bed.a, rb, ra, '1023', True)):
        c = x.call(number, sdp=sdp_text(x.ip, rx.port))
        i = y.await_call(number)
        i.reply(180)
        c.wait(180)
        i.reply(200, sdp=sdp_text(y.ip, ry.port))
        c.wait(200)
        i.expect('ACK')
        if y is bed.b:
            check(i.inv.tokens('record-route') and proxy in i.inv.get('record-route'), 'the call to b does not come through the proxy')
        c.reinvite(sdp_text(x.ip, rx.port, direction='sendonly', version=2))
        m = i.expect('INVITE')
        if y is bed.b:
            check(len(m.all('via')) == 2, 're-INVITE did not take the proxy\'s route')
        i.reply(200, to=m, sdp=sdp_text(y.ip, ry.port, direction='recvonly', version=2))
        c.wait(200)
        i.expect('ACK')
        first, second = (c, i) if by_caller else (i, c)
        tx = first.request('BYE')
        m = second.answer_bye()
        equal(tx.final().status, 200, 'BYE')
        for agent in (bed.a,):
            check(all(proxy not in text for _, way, text in agent.trace if way == '<-'), 'the proxy\'s address was shown to the other side')
    bed.d.no_calls()


@test()
def kamailio_cancel(t):
    """CANCEL and failures through the proxy"""
    bed = through_kamailio(t)
    c = bed.a.call('1024', sdp=sdp_text(bed.a.ip, 30000))
    i = bed.b.await_call('1024')
    i.reply(180)
    c.wait(180)
    c.cancel()
    k = i.expect('CANCEL')
    i.reply(200, to=k)
    i.reply(487)
    equal(c.wait(lambda m: m.status >= 300).status, 487, 'final')
    c = bed.a.call('1025', sdp=sdp_text(bed.a.ip, 30000))
    i = bed.b.await_call('1025')
    i.reply(404)
    equal(c.wait(lambda m: m.status >= 300).status, 404, 'final')
    bed.d.no_calls()


@test()
def kamailio_and_baresip_killed_engine(t):
    """through the proxy: the engine is killed, then BYE takes the stored route set"""
    bed = through_kamailio(t)
    ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
    calls = []
    for x, y, rx, ry, number in ((bed.a, bed.b, ra, rb, '1026'), (bed.b, bed.a, rb, ra, '1027')):
        c = x.call(number, sdp=sdp_text(x.ip, rx.port))
        i = y.await_call(number)
        i.reply(200, sdp=sdp_text(y.ip, ry.port))
        c.wait(200)
        i.expect('ACK')
        calls.append((c, i))
    bed.d.restarted('engine', bed.d.kill('engine'))
    for c, i in calls:
        first, second = (c, i) if c.agent is bed.a else (i, c)
        tx = first.request('BYE')
        m = second.answer_bye(5)
        equal(len(m.all('via')), 2, 'Via of a BYE through the proxy')
        equal(tx.final(5).status, 200, 'BYE')
    bed.d.no_calls()


def sdes_call(t, number, secure):
    d, a, b = two_phones(t, number, secure=secure)
    phone_call(t, d, a, b, number)
    legs = d.get('/calls/%s' % d.calls()[0]['id']).json['legs']
    equal([leg['media'][0]['rx']['srtp'] for leg in legs], [secure == 'a', secure == 'b'], 'SRTP by leg')
    equal([leg['media'][0]['rx']['dropped']['authentication'] for leg in legs], [0, 0], 'packets that did not verify')
    a.command('hangup')
    b.wait('CALL_CLOSED')
    d.no_calls()


@test()
def baresip_sdes_caller(t):
    """a real phone with SDES-SRTP calls a plain one: each hears the other's tone"""
    sdes_call(t, '1021', 'a')


@test()
def baresip_sdes_callee(t):
    """a real phone with SDES-SRTP is called by a plain one"""
    sdes_call(t, '1022', 'b')


@test(seconds=40)
def rtpengine_beyond(t):
    """rtpengine stands between the callee and Postern: SRTP of either maker's opens at the other's, plain RTP comes out, both ways"""
    program = need('rtpengine', 'interworking with rtpengine')
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'bench'))
    from rtpengine import Engine
    ip = t.ip(40)
    p = Proc(t, 'rtpengine', [program, '--config-file=' + t.path('rtpengine.conf', '[rtpengine]\n'), '--interface=' + ip, '--listen-ng=%s:2223' % ip, '--table=-1', '--foreground',
                              '--log-stderr', '--log-level=4', '--port-min=12000', '--port-max=12100', '--num-threads=1', '--pidfile=%s/rtpengine.pid' % t.tmp])
    t.defer(p.end)
    ng = Engine(ip + ':2223')
    ng.command({'command': 'ping'})
    bed = Bed(t, start=False, trunk_b={'media': 'sdes'})
    bed.doc['media_profiles'] = [{'id': 'sdes', 'transport': 'sdes', 'suites': ['AEAD_AES_128_GCM', 'AES_CM_128_HMAC_SHA1_80']}]
    bed.d.write()
    bed.d.start()
    ra, rb = Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
    c = bed.a.call('1023', sdp=sdp_text(bed.a.ip, ra.port))
    i = bed.b.await_call('1023')
    ids = {'call-id': 'beyond', 'from-tag': 'a'}
    common = {'ICE': 'remove', 'flags': ['trust-address'], 'rtcp-mux': ['demux'], 'DTLS': 'off', 'replace': ['origin', 'session-connection']}
    inner = sdp_of(ng.command({'command': 'offer', 'sdp': i.rsdp.text, 'transport-protocol': 'RTP/AVP', **ids, **common}))
    outer = sdp_of(ng.command({'command': 'answer', 'sdp': sdp_text(bed.b.ip, rb.port), 'to-tag': 'b', **ids, **common}))
    check('RTP/SAVP' in outer and 'a=crypto' in outer, 'answer of rtpengine: %s', outer)
    i.reply(200, sdp=outer)
    c.wait(200)
    i.expect('ACK')
    inside = Sdp(inner)

    def heard():
        ra.send(c.rsdp.dest(), 5)
        rb.send(inside.dest(), 5)
        return ra.rx and rb.rx
    until(heard, 5, 'each hears the other')
    both_ways(ra, c.rsdp.dest(), rb, inside.dest(), 20)
    leg = bed.d.get('/calls/%s' % bed.d.calls()[0]['id']).json['legs'][1]['media'][0]
    equal((leg['rx']['srtp'], leg['rx']['dropped']['authentication']), (True, 0), 'SRTP towards rtpengine')
    tx = c.request('BYE')
    i.answer_bye()
    equal(tx.final().status, 200, 'BYE')


def sdp_of(reply):
    """The description in a reply of rtpengine: a bencoded string."""
    m = re.search(r'3:sdp(\d+):', reply)
    return reply[m.end():m.end() + int(m.group(1))]

# SPDX-License-Identifier: Apache-2.0
"""The front door: rate and size caps, garbage, floods of connections; a call works during and after all of it."""
import os
import socket
import time

from lib.base import check, corpus, equal, test, until
from lib.daemon import Bed
from lib.sip import sdp_text
from lib.ua import Agent
from t_call import establish


def still_works(bed, number='4999'):
    c, i, _, _ = establish(bed, bed.a, bed.b, number)
    tx = c.request('BYE')
    i.answer_bye()
    equal(tx.final().status, 200, 'BYE')


@test()
def max_calls_503(t):
    """over system.max_calls: 503 with Retry-After, at once, and room again when a call has ended"""
    bed = Bed(t, system={'max_calls': 2})
    pairs = [establish(bed, bed.a, bed.b, '400%d' % n) for n in range(2)]
    c = bed.a.call('4003', sdp=sdp_text(bed.a.ip, 30000))
    m = c.wait(lambda m: m.status >= 200)
    equal(m.status, 503, 'third call')
    check(m.get('retry-after').split(';')[0].split(' ')[0].isdigit(), 'Retry-After: %r', m.get('retry-after'))
    bed.b.none(lambda m: m.method == 'INVITE', 0.2, 'an INVITE over the limit')
    tx = pairs[0][0].request('BYE')
    pairs[0][1].answer_bye()
    tx.final()
    bed.d.cdrs('4000')

    def room():
        c = bed.a.call('4004', sdp=sdp_text(bed.a.ip, 30000))
        m = c.wait(lambda m: m.status >= 100 and m.status != 100 or m.status == 503 or bool(bed.b.peek(lambda k: k.method == 'INVITE')), 2)
        return m.status != 503
    until(room, 4, 'room for a new call after one has ended', step=0.5)


@test()
def max_cps_503(t):
    """over system.max_cps: 503 with Retry-After for what is above it"""
    bed = Bed(t, system={'max_cps': 5})
    calls = [bed.a.call('41%02d' % n, sdp=sdp_text(bed.a.ip, 30000)) for n in range(20)]
    time.sleep(0.7)
    refused = bed.a.peek(lambda m: m.status == 503)
    passed = bed.b.peek(lambda m: m.method == 'INVITE')
    check(4 <= len(passed) <= 12 and len(refused) >= 8, 'of 20 INVITEs at once %d passed and %d were refused', len(passed), len(refused))
    check(all(m.get('retry-after') for m in refused), 'a 503 without Retry-After')
    check(len(calls) == 20, 'calls')


@test()
def oversized_messages(t):
    """a datagram that is no whole message, a TCP message over 65,536 bytes: 413 or closed, and never a call"""
    bed = Bed(t, a='tcp', b='udp')
    from lib.ua import Call
    c = Call(bed.a, '4200')
    req = c.build('INVITE', headers=[('X-Big', 'x' * 1000)] * 80, body=sdp_text(bed.a.ip, 30000))
    conn = bed.a.connect()
    bed.a.out = conn
    try:
        conn.send(req.bytes())
    except OSError:
        pass

    def refused():
        return not conn.open or bed.a.peek(lambda m: m.status in (413, 513, 400))
    until(refused, 4, 'a message of %d bytes is refused' % len(req.bytes()))
    # a body that is said to be huge and never comes
    conn = bed.a.connect()
    try:
        conn.send(b'INVITE sip:1@x SIP/2.0\r\nVia: SIP/2.0/TCP x;branch=z9hG4bK1\r\nContent-Length: 999999999\r\n\r\n' + b'y' * 200000)
    except OSError:
        pass
    until(lambda: not conn.open or bed.a.peek(lambda m: m.status in (413, 513, 400)), 4, 'a huge Content-Length is refused')
    bed.b.none(lambda m: m.method == 'INVITE', 0.2, 'an oversized INVITE')
    bed.a.out = None
    still_works(bed)


@test()
def header_floods(t):
    """thousands of headers, deep URIs, long tokens over UDP: an error or silence, the daemon lives"""
    bed = Bed(t)
    from lib.ua import Call
    for n, headers in enumerate(([('Via', 'SIP/2.0/UDP h%d;branch=z9hG4bK%d' % (k, k)) for k in range(900)],
                                 [('X', '')] * 6000, [('Route', '<sip:h;lr>')] * 1500, [('Contact', '<sip:a@b>')] * 1500,
                                 [('Supported', ','.join(['x'] * 9000))], [('Subject', 'z' * 55000)], [('Accept', '/' * 9000)])):
        c = Call(bed.a, '43%02d' % n)
        data = c.build('INVITE', headers=headers, body=sdp_text(bed.a.ip, 30000)).bytes()
        if len(data) < 65000:
            bed.a.transmit(data)
    time.sleep(0.5)
    still_works(bed)


@test()
def garbage(t):
    """random bytes, truncated and mangled messages over UDP and TCP during calls: nothing happens to the calls"""
    import random
    rnd = random.Random(7)
    bed = Bed(t, a='udp', b='tcp')
    good = bed.a.call('4400', sdp=sdp_text(bed.a.ip, 30000))
    i = bed.b.await_call('4400')
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
    good.wait(200)
    i.expect('ACK')
    seed = good.tx.data
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((t.ip(90), 0))
    t.defer(s.close)
    own = bed.a.sock
    for n in range(1500):
        data = bytearray(seed)
        kind = n % 5
        if kind == 0:
            data = bytearray(os.urandom(rnd.randrange(1, 400)))
        elif kind == 1:
            del data[rnd.randrange(len(data)):]
        else:
            for _ in range(rnd.randrange(1, 12)):
                data[rnd.randrange(len(data))] = rnd.choice(b'\0\r\n:;<>"=,@%\xff aA09')
        (own if n % 2 else s).sendto(bytes(data), t.at['a'])
        if n % 100 == 0:
            time.sleep(0.01)
    for n in range(20):
        conn = socket.create_connection(t.at['b'], 3)
        conn.sendall(bytes(rnd.choice(seed) for _ in range(600)) + b'\r\n\r\n')
        conn.close()
    time.sleep(0.5)
    check(not bed.b.peek(lambda m: m.method == 'BYE'), 'garbage ended a call')
    good.bye_tx = good.request('BYE')
    i.answer_bye()
    equal(good.bye_tx.final(6).status, 200, 'BYE')
    # mangled INVITEs of a trunk may have become calls; they are no stuck ones
    for m in bed.b.peek(lambda m: m.method == 'INVITE'):
        from lib.ua import Call
        Call(bed.b, '', m).reply(486)
    for m in bed.a.peek(lambda m: m.status >= 200 and m.cseq[1] == 'INVITE'):
        pass
    until(lambda: not bed.d.calls() or answer_all(bed), 10, 'no call is stuck')


def answer_all(bed):
    from lib.ua import Call
    for m in bed.b.peek(lambda m: m.method == 'INVITE'):
        bed.b.inbox.remove(m)
        Call(bed.b, '', m).reply(486)
    return False


@test()
def connection_flood(t):
    """hundreds of idle TCP connections from one source do not keep others out"""
    bed = Bed(t, a='tcp', b='udp')
    held = []
    for _ in range(300):
        try:
            s = socket.socket()
            s.settimeout(1)
            s.bind((t.ip(91), 0))
            s.connect(t.at['a'])
            held.append(s)
        except OSError:
            break
    still_works(bed)
    for s in held:
        s.close()
    still_works(bed, '4998')


@test()
def slow_tcp_sender(t):
    """a peer that sends a byte now and then holds nobody up"""
    bed = Bed(t, a='tcp', b='udp')
    s = socket.create_connection(t.at['a'], 3)
    t.defer(s.close)
    for b in b'INVITE sip:1':
        s.send(bytes([b]))
        time.sleep(0.02)
    still_works(bed)


@test()
def fuzz_seeds(t):
    """the fuzzers' seeds of the corpora, sent by a trunk: no crash, no stuck call"""
    folder = corpus('sip-fuzz')
    bed = Bed(t)
    for name in sorted(os.listdir(folder)):
        if name.endswith('.sip'):
            with open(os.path.join(folder, name), 'rb') as f:
                bed.a.transmit(f.read()[:60000])
    time.sleep(0.5)
    bed.b.closed_calls = answer_all(bed)
    still_works(bed)


@test()
def keepalives(t):
    """CRLF and STUN-like keep-alives over UDP are no messages and make no noise"""
    bed = Bed(t)
    for data in (b'\r\n\r\n', b'\0\0\0\0', b'\0', b'\r\n', bytes.fromhex('000100002112a442') + os.urandom(12)):
        bed.a.sock.sendto(data, t.at['a'])
    still_works(bed)


@test()
def stranger_flood_403(t):
    """many requests of strangers: answered or dropped, none becomes state, the trunk's call goes through"""
    bed = Bed(t)
    s = Agent(t, t.ip(92), t.at['a'])
    for n in range(400):
        s.call('45%03d' % n, sdp=sdp_text(s.ip, 30000))
    still_works(bed)
    equal(len(bed.d.calls()), 0, 'calls')

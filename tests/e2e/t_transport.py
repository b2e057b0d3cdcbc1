# SPDX-License-Identifier: Apache-2.0
"""Connections and datagrams: keep-alive (RFC 5626, 6223), connections used again and lost in mid-call, requests too large for UDP (RFC 3261 18.1.1)."""
import os
import re
import socket
import time

from lib.base import Fail, SLOW, check, equal, test, until
from lib.daemon import Bed, context
from lib.sip import sdp_text
from lib.ua import Agent

from t_b2bua import begin, hang_up
from t_call import establish


def incoming(agent):
    """Connections that the daemon has made to the party."""
    return [c for c in agent.conns if c.source[1] != agent.peer[1] and c.open]


@test()
def crlf_keepalive_answered(t):
    """two CRLF on a TCP or TLS connection get one back (RFC 5626 4.4.1), between messages too; one CRLF alone gets nothing"""
    for transport in ('tcp', 'tls'):
        bed = Bed(t, a=transport, b='udp')
        s = socket.create_connection(t.at['a'], 3)
        if transport == 'tls':
            s = context(t, False, cert='party').wrap_socket(s)
        s.settimeout(3 * SLOW)
        s.sendall(b'\r\n\r\n')
        equal(s.recv(100), b'\r\n', 'answer over ' + transport)
        c = bed.a.call('7100', sdp=sdp_text(bed.a.ip, 30000))
        bed.b.await_call('7100').reply(486)
        c.wait({486})
        s.sendall(b'\r\n\r\n')
        equal(s.recv(100), b'\r\n', 'second answer over ' + transport)
        s.sendall(b'\r\n')
        s.settimeout(0.4)
        try:
            raise Fail('one CRLF got %r' % s.recv(100))
        except socket.timeout:
            pass
        s.close()
        bed.d.stop()
        bed.a.close()
        bed.b.close()


@test()
def keep_parameter_is_answered(t):
    """`keep` in the Via of an INVITE has a value in our answer's (RFC 6223), over every transport; where nobody asks there is none; our own Via has none"""
    for transport in ('udp', 'tcp'):
        bed = Bed(t, a=transport, b='udp')
        plain = bed.a.via
        for n, keep in ((1, True), (2, False)):
            bed.a.via = lambda branch=None, keep=keep: plain(branch) + (';keep' if keep else '')
            c = bed.a.call('711%d' % n, sdp=sdp_text(bed.a.ip, 30000))
            i = bed.b.await_call('711%d' % n)
            check('keep' not in i.inv.get('via'), 'keep in our own Via: %s', i.inv.get('via'))
            i.reply(486)
            got = re.search(r';keep=(\d+)', c.wait({486}).get('via'))
            check(bool(got) == keep, '%s, keep %s: Via of the answer', transport, keep)
            check(not got or 10 <= int(got.group(1)) <= 600, 'interval')
        bed.d.stop()
        bed.a.close()
        bed.b.close()


@test()
def stun_keepalive_answered(t):
    """a STUN Binding request at a UDP listener gets the source's address in XOR-MAPPED-ADDRESS (RFC 5626 4.4.2, RFC 8489); what is not one gets nothing"""
    bed = Bed(t)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((bed.a.ip, 0))
    s.settimeout(3 * SLOW)
    tid = os.urandom(12)
    good = bytes.fromhex('000100002112a442') + tid
    s.sendto(good, t.at['a'])
    r = s.recv(1000)
    equal((r[:2], r[4:8], r[8:20]), (b'\x01\x01', bytes.fromhex('2112a442'), tid), 'head of the answer')
    equal(len(r), 20 + int.from_bytes(r[2:4], 'big'), 'length')
    at = r.index(bytes.fromhex('00200008'), 20)
    port = int.from_bytes(r[at + 6:at + 8], 'big') ^ 0x2112
    ip = '.'.join(str(a ^ b) for a, b in zip(r[at + 8:at + 12], bytes.fromhex('2112a442')))
    equal((ip, port), s.getsockname(), 'XOR-MAPPED-ADDRESS')
    s.settimeout(0.3)
    for bad in (good[:19], good + b'\0', good[:4] + b'\0' * 16, b'\x00\x11' + good[2:], b'\x01\x01' + good[2:], bytes.fromhex('000100082112a442') + tid):
        s.sendto(bad, t.at['a'])
        try:
            raise Fail('%s was answered: %s' % (bad.hex(), s.recv(1000).hex()))
        except socket.timeout:
            pass
        s.settimeout(0.1)
    c, i = begin(bed, '7119')
    i.reply(486)
    c.wait({486})


@test()
def connection_reuse(t):
    """calls to a trunk share one connection; requests in a dialog that the peer made go back on its connection, over TCP and TLS"""
    for transport in ('tcp', 'tls'):
        bed = Bed(t, a=transport, b=transport)
        for n in range(4):
            c, i, _, _ = establish(bed, bed.a, bed.b, '712%d' % n)
            tx = i.request('BYE')
            m = c.expect('BYE')
            check(m.conn is bed.a.out, '%s: the BYE came by a connection of its own', transport)
            c.reply(200, to=m)
            tx.final()
        equal((len(bed.a.conns), len(bed.b.conns)), (1, 2), '%s: connections of caller (its own) and callee (ours, and its own for BYE)' % transport)
        bed.d.stop()
        bed.a.close()
        bed.b.close()


@test()
def tcp_closed_in_mid_call(t):
    """peers close their connections in mid-call: our next request makes a new one to the Contact, theirs comes by a new one; the call knows nothing of it"""
    for transport in ('tcp', 'tls'):
        bed = Bed(t, a=transport, b=transport)
        c, i, _, _ = establish(bed, bed.a, bed.b, '7130')
        for agent in (bed.a, bed.b):
            for conn in list(agent.conns):
                conn.close()
            agent.out = None
        until(lambda: bed.d.counter('postern_sip_connections') == 0 or True, 1, 'closed')
        time.sleep(0.2)
        tx = c.request('INFO', body='x', ctype='text/plain')
        m = i.expect('INFO', 5)
        i.reply(200, to=m)
        equal(tx.final().status, 200, transport + ': INFO')
        for conn in list(bed.a.conns):
            conn.close()
        bed.a.out = None
        time.sleep(0.2)
        tx = i.request('BYE')
        m = c.expect('BYE', 5)
        c.reply(200, to=m)
        equal(tx.final(5).status, 200, transport + ': BYE')
        bed.d.no_calls()
        bed.d.stop()
        bed.a.close()
        bed.b.close()


@test()
def tcp_closed_before_the_answer(t):
    """the caller's connection closes while it rings: the answers go to its Via over a new one (RFC 3261 18.2.2), the call goes through"""
    bed = Bed(t, a='tcp', b='tcp')
    c = bed.a.call('7131', sdp=sdp_text(bed.a.ip, 30000))
    i = bed.b.await_call('7131')
    i.reply(180)
    c.wait(180)
    bed.a.out.close()
    bed.a.out = None
    time.sleep(0.2)
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
    c.wait(200, 5)
    i.expect('ACK')
    hang_up(c, i)


@test()
def tcp_refused_falls_back_to_udp(t):
    """a request over `udp_max` whose TCP connection is refused goes by UDP after all (RFC 3261 18.1.1); the target is not down for it"""
    bed = Bed(t, start=False, trunk_b={'udp_max': 1300})
    row = next(x for x in bed.doc['listeners'] if x['realm'] == 'peering')
    bed.doc['listeners'].append({**row, 'id': 'peering-tcp', 'transport': 'tcp'})
    bed.d.write()
    bed.d.start()
    c, i = begin(bed, '7140', [('X-Long', 'x' * 2000)])
    check('/UDP' in i.inv.get('via'), 'Via: %s', i.inv.get('via'))
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
    c.wait(200)
    i.expect('ACK')
    tx = c.request('INFO', body='y' * 2000, ctype='text/plain')
    m = i.expect('INFO')
    equal(len(m.body), 2000, 'body of a large INFO')
    i.reply(200, to=m)
    equal(tx.final().status, 200, 'INFO')
    equal(bed.d.get('/trunks/b').json['targets'][0]['state'], 'up', 'state of the target')
    hang_up(c, i)


@test()
def large_requests_in_dialog(t):
    """over `udp_max` requests in a dialog go by TCP too, smaller ones stay on UDP; a large answer stays on the way of its request"""
    bed = Bed(t, start=False, trunk_b={'udp_max': 1300})
    row = next(x for x in bed.doc['listeners'] if x['realm'] == 'peering')
    bed.doc['listeners'].append({**row, 'id': 'peering-tcp', 'transport': 'tcp'})
    bed.d.write()
    bed.d.start()
    tcp = Agent(t, bed.b.ip, t.at['b'], bed.b.port, 'tcp')
    c, i = begin(bed, '7150')
    big = ['a=x-long:%s' % ('z' * 200)] * 20
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000, extra=big))
    c.wait(200)
    i.expect('ACK')
    tx = c.request('INFO', body='y' * 2000, ctype='text/plain')
    m = tcp.take(lambda m: m.method == 'INFO', 3, 'INFO over TCP')
    check('/TCP' in m.get('via'), 'Via: %s', m.get('via'))
    i.agent = tcp
    i.reply(200, to=m, headers=[('X-Long', 'w' * 4000)])
    i.agent = bed.b
    equal(len(tx.final().get('x-long')), 4000, 'a large answer over UDP')
    tx = c.request('INFO', body='small', ctype='text/plain')
    i.reply(200, to=i.expect('INFO'))
    tx.final()
    hang_up(c, i)

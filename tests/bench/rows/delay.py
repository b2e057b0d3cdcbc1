# SPDX-License-Identifier: Apache-2.0
import os
import select
import socket
import struct
import time

from lab import System, percentile, row
from lib.base import check
from lib.sip import Msg, sdp_text

SO_TIMESTAMPNS = 35


@row('delay', 'added post-dial delay: INVITE to 180 with a callee that answers at once, minus that of the two connected directly')
def delay(lab):
    lab.postern(2000)
    lab.kamailio()
    lab.opensips()
    direct = System('direct', (lab.t.ip(12), 5060), None, set)
    got = {}
    for _ in range(lab.o.rounds):
        for s in [direct] + lab.systems:
            got.setdefault(s.name, []).extend(rtts(lab, s))
    for s in lab.systems:
        for p in (0.5, 0.99):
            d = percentile(got[s.name], p) - percentile(got['direct'], p)
            lab.add('added post-dial delay p%g' % (p * 100), s.name, d, 'ms', None, '%.3f - %.3f' % (percentile(got[s.name], p), percentile(got['direct'], p)))


def rtts(lab, system):
    """Milliseconds from INVITE to 180 of calls one after the other, 100 a second: a caller and a callee in one thread, arrival times by the kernel."""
    ends = []
    for host in (11, 12):
        k = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        k.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        k.bind((lab.t.ip(host), 5060))
        ends.append(k)
    os.sched_setaffinity(0, {1})
    try:
        out = []
        start = time.monotonic()
        for n in range(100 * lab.o.seconds):
            out.append(ring(lab, *ends, system.entry, n))
            time.sleep(max(0.0, start + n * 0.01 - time.monotonic()))
    finally:
        os.sched_setaffinity(0, range(os.cpu_count()))
        for k in ends:
            k.close()
    return out


def ring(lab, caller, callee, entry, n):
    """One call, refused after it rang."""
    ident = '%d-%d' % (os.getpid(), time.monotonic_ns())
    base = [('Via', 'SIP/2.0/UDP %s:5060;branch=z9hG4bK%s' % (lab.t.ip(11), ident)), ('Max-Forwards', '70'), ('From', '<sip:c@%s>;tag=%s' % (lab.t.ip(11), ident)),
            ('Call-ID', ident)]
    uri = 'sip:2000@%s:%d' % entry
    invite = Msg('INVITE %s SIP/2.0' % uri, base + [('To', '<%s>' % uri), ('CSeq', '1 INVITE'), ('Contact', '<sip:c@%s:5060>' % lab.t.ip(11)), ('Content-Type', 'application/sdp')],
                 sdp_text(lab.t.ip(11), 6000)).bytes()
    sent = time.time()
    caller.sendto(invite, entry)
    rang = refused = acked = None
    asked = None
    while not (refused and acked):
        ready = select.select([caller, callee], [], [], 3)[0]
        check(ready, 'call %d got stuck: rang %s, refused %s, acknowledged %s', n, rang, refused, acked)
        for k in ready:
            data, anc, _, source = k.recvmsg(65536, 64)
            s, ns = struct.unpack('qq', anc[0][2][:16])
            m = Msg.parse(data)
            if k is callee and m.method == 'INVITE' and not asked:
                asked = [('Via', v) for v in m.all('via')] + [('Record-Route', v) for v in m.all('record-route')] + [
                    ('From', m.get('from')), ('To', m.get('to') + ';tag=x'), ('Call-ID', m.call_id), ('CSeq', m.get('cseq')), ('Contact', '<sip:s@%s:5060>' % lab.t.ip(12))], source
                callee.sendto(Msg('SIP/2.0 180 Ringing', asked[0]).bytes(), source)
            elif k is callee and m.method == 'ACK':
                acked = True
            elif m.status == 180 and not rang and m.call_id == ident:
                rang = s + ns / 1e9 - sent
                callee.sendto(Msg('SIP/2.0 486 Busy', asked[0]).bytes(), asked[1])
            elif k is caller and m.status >= 300 and m.call_id == ident:
                caller.sendto(Msg('ACK %s SIP/2.0' % uri, base + [('To', m.get('to')), ('CSeq', '1 ACK')]).bytes(), entry)
                refused = m.status
    check(refused == 486, 'a call was refused with %s', refused)
    return rang * 1000

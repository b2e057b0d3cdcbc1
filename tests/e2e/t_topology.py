# SPDX-License-Identifier: Apache-2.0
"""Nothing of one side is seen on the other: every byte that leaves is searched for every address and name of the other side's inside (design.md section 4; RFC 3323, 3325)."""
import re

from lib.base import check, equal, test
from lib.daemon import Bed
from lib.sip import sdp_text
from lib.ua import Agent, Call

from t_b2bua import hang_up

# hosts of each inside beside the parties' own addresses
INSIDE = {'a': ('10.11.12.13', 'pbx.a-inside.example', 'fd00:a::5'), 'b': ('10.21.22.23', 'gw.b-inside.example', 'fd00:b::5')}


def words(bed, side):
    """What must not be seen on the other side."""
    own = [bed.t.ip({'a': 1, 'b': 2}[side]), bed.agents[side].ip, *bed.extra[side]]
    return [re.compile((r'(?<![\w.])%s(?![\w])' % re.escape(w) if w[-1] != '-' else re.escape(w)).encode(), re.I) for w in list(INSIDE[side]) + own + ['inside-%s-' % side]]


def search(bed, parties):
    """parties: (side, agent) of all who received something. Every byte, heads and bodies."""
    count, found = 0, []
    for side, agent in parties:
        for w in words(bed, 'b' if side == 'a' else 'a'):
            for data in agent.got:
                m = w.search(data)
                if m:
                    line = data[data.rfind(b'\n', 0, m.start()) + 1:data.find(b'\n', m.end())]
                    found.append('%s was shown %r in %r of %r' % (side, m.group(0), line[:160], data.split(b'\r\n')[0]))
        count += len(agent.got)
    check(not found, '%d leaks; first: %s', len(found), '\n'.join(found[:4]))
    return count


def watch(agent):
    """Keep every byte that arrives."""
    agent.got = []
    arrived = agent.arrived

    def keep(data, source, conn):
        agent.got.append(bytes(data))
        arrived(data, source, conn)
    agent.arrived = keep


def bed_of(t, **kw):
    bed = Bed(t, **kw)
    bed.extra = {'a': [], 'b': []}
    watch(bed.a)
    watch(bed.b)
    return bed


def telling(side, n=1):
    """Headers that name the inside in every way that headers have."""
    ip, name, six = INSIDE[side]
    return [('P-Asserted-Identity', '"Ann" <sip:49%d@%s:5070;transport=tcp>, <tel:+4930>' % (n, name)), ('P-Preferred-Identity', 'sip:49%d@%s;maddr=%s;y=[%s]:5060' % (n, ip, name, six)),
            ('Remote-Party-ID', '"Ann" <sip:49%d@[%s]>;party=calling;id-type=subscriber;privacy=off;z="%s:5060"' % (n, six, ip)),
            ('Diversion', '<sip:50%d@%s>;reason=unconditional;counter=1, <sip:51%d@%s:5080;x=y>;reason=no-answer' % (n, name, n, ip)),
            ('History-Info', '<sip:52%d@%s?Reason=SIP%%3Bcause%%3D302&Route=%s>;index=1, <sip:53%d@[%s];cause=486>;index=1.1;rc=1' % (n, name, name, n, six)),
            ('Referred-By', '"R" <sip:54%d@%s>;cid="2039.%d@%s"' % (n, ip, n, name)), ('Reply-To', '<sip:55%d@%s>' % (n, name)),
            ('Call-Info', '<http://%s/photo.png>;purpose=icon, <sip:56%d@%s:5099;maddr=%s;x=%s>;purpose=info, <cid:part7>' % (name, n, ip, ip, ip)), ('Error-Info', '<sip:57%d@%s>, <https://[%s]:8443/x>' % (n, name, six)),
            ('Alert-Info', '<http://%s/ring.wav>, <urn:alert:service:normal>' % ip), ('Warning', '399 %s:5060 "no way at %s", 301 %s "x"' % (ip, ip, name)),
            ('P-Called-Party-ID', '<sip:58%d@%s>' % (n, name)), ('In-Reply-To', '7@%s' % ip), ('Server' if n > 90 else 'User-Agent', 'inside-%s-PBX/1' % side), ('Contact-Test', 'kept')]


def sdp_with(side, ip, port, direction=None, version=1):
    """A description that names the inside wherever SDP lets it."""
    a, name, six = INSIDE[side]
    extra = ['a=rtcp:%d IN IP4 %s' % (port + 1, a), 'a=candidate:1 1 UDP 2130706431 %s %d typ host' % (a, port), 'a=candidate:2 1 UDP 1694498815 %s 6000 typ srflx raddr %s rport %d' % (ip, a, port),
             'a=ice-ufrag:F7gI', 'a=ice-pwd:x9cml/YzichV2+XlhiMu8g', 'a=remote-candidates:1 %s 9' % a, 'a=x-host:%s' % a, 'a=source-filter: incl IN IP4 * %s' % a, 'a=ssrc:1 cname:u@%s' % a]
    text = sdp_text(ip, port, direction=direction, version=version, extra=extra)
    return text.replace('s=call\r\n', 's=call\r\ni=made at %s\r\nu=http://%s/x\r\ne=a@%s\r\np=+1\r\n' % (a, name, name)).replace('o=ua ', 'o=inside-%s-ua ' % side)


FRAG = 'SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP {ip};branch=z9hG4bKx\r\nFrom: <sip:x@{name}>;tag=1\r\nTo: <sip:y@{ip}>;tag=2\r\nCall-ID: 5@{ip}\r\nCSeq: 1 INVITE\r\nContact: <sip:z@{ip}>\r\nWarning: 399 {name} "at {name}"\r\nContent-Length: 0\r\n\r\n'


def frag(side):
    return FRAG.format(ip=INSIDE[side][0], name=INSIDE[side][1])


def many_parts(side, sdp):
    ip = INSIDE[side][0]
    nested = '--in\r\nContent-Type: application/sdp\r\n\r\n%s\r\n--in--\r\n' % sdp
    return ('--p1\r\nContent-Type: message/sipfrag\r\n\r\n%s\r\n--p1\r\nContent-Type: application/sdp\r\n\r\n%s\r\n--p1\r\nContent-Type: application/isup;version=x\r\nContent-Disposition: signal;handling=optional\r\n\r\nISUP\r\n'
            '--p1\r\nContent-Type: multipart/alternative;boundary=in\r\n\r\n%s\r\n--p1\r\nContent-Type: message/sip\r\n\r\n%s--p1--\r\n' % (frag(side), sdp, nested, frag(side).replace('200 OK', '180 At ' + 'x'))), ip


def day(bed, x, y, sx, sy, n):
    """A call with everything in it, both sides telling whatever they know."""
    c = x.call('80%d' % n, sdp=sdp_with(sx, x.ip, 30000), headers=telling(sx, n) + [('Supported', '100rel')], display='Ann')
    i = y.await_call('80%d' % n)
    for status in (181, 182, 180):
        i.reply(status, headers=telling(sy, n))
        c.wait(status)
    i.reply(183, sdp=sdp_with(sy, y.ip, 31000), headers=telling(sy, n) + [('Require', '100rel'), ('RSeq', '7')])
    i.reply(200, to=i.expect('PRACK'), headers=telling(sy, n))
    r = c.wait(183)
    if r.get('rseq'):
        c.request('PRACK', headers=[('RAck', '%s %s' % (r.get('rseq'), r.get('cseq')))] + telling(sx, n)).final()
    i.reply(200, sdp=sdp_with(sy, y.ip, 31000), headers=telling(sy, n))
    c.wait(200)
    i.expect('ACK')
    for first, second, sf, ss, fip, sip in ((c, i, sx, sy, x.ip, y.ip), (i, c, sy, sx, y.ip, x.ip)):
        version = 5
        for direction in ('sendonly', 'sendrecv'):
            first.reinvite(sdp_with(sf, fip, 30000 if first is c else 31000, direction, version), headers=telling(sf, n))
            m = second.expect('INVITE')
            second.reply(200, to=m, sdp=sdp_with(ss, sip, 31000 if first is c else 30000, {'sendonly': 'recvonly'}.get(direction, direction), version), headers=telling(ss, n))
            first.wait(200)
            second.expect('ACK')
            version += 1
        for method, body, ctype in (('INFO', 'Signal=5', 'application/x-note'), ('MESSAGE', 'hello', 'text/plain'), ('NOTIFY', frag(sf), 'message/sipfrag;version=2.0'),
                                    ('NOTIFY', frag(sf), 'message/sip')):
            tx = first.request(method, headers=telling(sf, n) + ([('Event', 'refer'), ('Subscription-State', 'active')] if method == 'NOTIFY' else []), body=body, ctype=ctype)
            m = second.expect(method)
            second.reply(200, to=m, headers=telling(ss, n))
            tx.final()
        tx = first.request('REFER', headers=telling(sf, n)[:5] + [('Refer-To', '<sip:61@%s?Replaces=1%%40%s%%3Bto-tag%%3Da%%3Bfrom-tag%%3Db>' % (INSIDE[sf][1], INSIDE[sf][0])),
                                                                  ('Referred-By', '<sip:me@%s>' % INSIDE[sf][0])])
        m = bed.later(second, 'REFER')
        if m:
            second.reply(603, to=m, headers=telling(ss, n))
        tx.final()
    tx = i.request('BYE', headers=telling(sy, n) + [('Reason', 'Q.850;cause=16')])
    c.reply(200, to=c.expect('BYE'), headers=telling(sx, n))
    tx.final()


def later(self, call, method):
    """The request, if it comes at all (one that is refused here does not)."""
    try:
        return call.expect(method, 0.7)
    except AssertionError:
        return None


Bed.later = later


@test(seconds=60)
def topology_every_byte(t):
    """a day's work with the inside named in every header, description, part and fragment that may, from both sides: no byte that leaves shows any of it; users and reasons stay"""
    bed = bed_of(t)
    day(bed, bed.a, bed.b, 'a', 'b', 1)
    day(bed, bed.b, bed.a, 'b', 'a', 2)
    for x, y, sx, sy, n in ((bed.a, bed.b, 'a', 'b', 11), (bed.b, bed.a, 'b', 'a', 12)):
        for status in (300, 302, 380, 404, 415, 485, 503, 603):
            c = x.call('81%d' % n, sdp=sdp_with(sx, x.ip, 30000), headers=telling(sx, n))
            i = y.await_call('81%d' % n)
            i.reply(status, headers=telling(sy, 91) + [('Contact', '<sip:alt@%s>;q=0.5, <sip:or@%s:5070>' % INSIDE[sy][:2])])
            c.wait({status})
        body, _ = many_parts(sx, sdp_with(sx, x.ip, 30000))
        c = x.call('82%d' % n, body=body, ctype='multipart/mixed;boundary=p1', headers=telling(sx, n))
        i = y.await_call('82%d' % n)
        check(b'ISUP' in i.inv.raw and b'm=audio' in i.inv.raw and i.inv.raw.count(b'message/sip') == 2, 'parts that may cross: %s', i.inv.raw.decode())
        body, _ = many_parts(sy, sdp_with(sy, y.ip, 31000))
        i.reply(200, sdp=body.encode(), ctype='multipart/mixed;boundary=p1', headers=telling(sy, n))
        c.wait(200)
        i.expect('ACK')
        hang_up(c, i)
        c = x.call('83%d' % n, headers=telling(sx, n))
        i = y.await_call('83%d' % n)
        i.reply(200, sdp=sdp_with(sy, y.ip, 31000), headers=telling(sy, n))
        c.wait(200, ack=False)
        c.ack(c.established, body=sdp_with(sx, x.ip, 30000))
        i.expect('ACK')
        bed.d.delete('/calls/%s' % next(k['id'] for k in bed.d.calls() if k['state'] != 'ending'))
        c.answer_bye()
        i.answer_bye()
        c = x.call('84%d' % n, sdp=sdp_with(sx, x.ip, 30000), headers=telling(sx, n) + [('Route', '<sip:%s;lr>' % INSIDE[sx][0]), ('Record-Route', '<sip:%s;lr>' % INSIDE[sx][1]),
                                                                                  ('Via', 'SIP/2.0/UDP %s;branch=z9hG4bKz' % INSIDE[sx][0])])
        i = y.await_call('84%d' % n)
        i.reply(180, headers=telling(sy, n) + [('Record-Route', '<sip:%s;lr>' % INSIDE[sy][0])])
        c.wait(180)
        tx = c.cancel()
        i.reply(200, to=i.expect('CANCEL'), headers=telling(sy, n))
        i.reply(487, headers=telling(sy, n))
        c.wait({487})
        tx.final()
        for method in ('OPTIONS', 'MESSAGE', 'SUBSCRIBE', 'PUBLISH', 'REFER', 'FROB'):
            q = Call(x, '85%d' % n)
            tx = q.request(method, headers=telling(sx, n) + [('Event', 'presence')], body='x', ctype='text/plain')
            m = next(iter(y.peek(lambda m: m.method == method)), None) or bed.seen(y, method)
            if m:
                y.inbox.remove(m)
                Call(y, 'x', m).reply(200, to=m, headers=telling(sy, n) + [('Expires', '0')])
            tx.final()
    stranger = Agent(t, t.ip(79), t.at['a'])
    watch(stranger)
    stranger.call('86', sdp=sdp_with('a', stranger.ip, 30000))
    stranger.take(lambda m: m.status >= 300, 3, 'answer to a stranger')
    count = search(bed, (('a', bed.a), ('b', bed.b), ('a', stranger)))
    check(count > 150, 'only %d messages were seen', count)
    for side, agent in (('a', bed.a), ('b', bed.b)):       # the search finds what it is for
        sent = '\n'.join(text for _, way, text in agent.trace if way == '->').encode()
        check(all(w.search(sent) for w in words(bed, side)[:3]), 'the inside of %s was not told by its party', side)
    t.note('%d messages searched' % count)


def seen(self, agent, method):
    """A request that comes within half a second, left in the inbox; None: it was answered here."""
    import time
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        got = agent.peek(lambda m: m.method == method)
        if got:
            return got[0]
        time.sleep(0.02)
    return None


Bed.seen = seen


@test()
def topology_users_stay(t):
    """what the hiding leaves: users, display names, reasons of History-Info and Diversion, indices, schemes without hosts, texts of Warning"""
    bed = bed_of(t)
    c = bed.a.call('8001', sdp=sdp_text(bed.a.ip, 30000), headers=telling('a'))
    i = bed.b.await_call('8001')
    host = t.at['b'][0]
    m = i.inv
    for name, parts in {'p-asserted-identity': ['"Ann" <sip:491@%s>' % host, '<tel:+4930>'], 'p-preferred-identity': ['sip:491@%s' % host],
                        'remote-party-id': ['<sip:491@%s>;party=calling;id-type=subscriber;privacy=off' % host],
                        'diversion': ['<sip:501@%s>;reason=unconditional;counter=1' % host, '<sip:511@%s>;reason=no-answer' % host],
                        'history-info': ['<sip:521@%s?Reason=SIP%%3Bcause%%3D302>;index=1' % host, '<sip:531@%s;cause=486>;index=1.1;rc=1' % host],
                        'referred-by': ['"R" <sip:541@%s>' % host], 'call-info': ['<http://%s>;purpose=icon' % host, '<sip:561@%s>;purpose=info' % host, '<cid:part7>'],
                        'alert-info': ['<urn:alert:service:normal>'], 'warning': ['399 %s "no way at %s"' % (host, host), '301 %s "x"' % host], 'contact-test': ['kept']}.items():
        for part in parts:
            check(part in ', '.join(m.all(name)), '%s: %r lacks %r', name, m.all(name), part)
    i.reply(486)
    c.wait({486})


@test()
def privacy_and_trust(t):
    """RFC 3323, 3325: P-Asserted-Identity with Privacy: id (alone or among others) leaves to trusted trunks alone, in requests, answers and in dialogs; without id, or with none, to all;
    Privacy itself and an anonymous From cross"""
    for trusted in (False, True):
        bed = Bed(t, trunk_a={'trusted': trusted}, trunk_b={'trusted': trusted})
        for n, (privacy, shown) in enumerate((('id', trusted), ('user;id', trusted), ('header; id ;critical', trusted), ('none', True), ('user', True), ('idle', True), (None, True))):
            private = [('P-Asserted-Identity', '<sip:4930@x.example>')] + ([('Privacy', privacy)] if privacy else [])
            c = Call(bed.a, '809%d' % n)
            c.local = 'sip:anonymous@anonymous.invalid'
            c.local_name = '"Anonymous" '
            c.invite(sdp=sdp_text(bed.a.ip, 30000), headers=private)
            i = bed.b.await_call('809%d' % n)
            what = 'trusted %s, Privacy %s: ' % (trusted, privacy)
            equal('4930' in i.inv.get('p-asserted-identity'), shown, what + 'INVITE')
            equal((i.inv.get('privacy').replace(' ', ''), i.inv.addr('from'), 'Anonymous' in i.inv.get('from')), ((privacy or '').replace(' ', ''), 'sip:anonymous@anonymous.invalid', True), what + 'Privacy and From')
            i.reply(200, sdp=sdp_text(bed.b.ip, 31000), headers=private)
            equal('4930' in c.wait(200).get('p-asserted-identity'), shown, what + '200')
            i.expect('ACK')
            tx = c.request('INFO', headers=private, body='x', ctype='text/plain')
            m = i.expect('INFO')
            equal('4930' in m.get('p-asserted-identity'), shown, what + 'INFO')
            i.reply(200, to=m)
            tx.final()
            hang_up(c, i)
        bed.d.stop()
        bed.a.close()
        bed.b.close()

# SPDX-License-Identifier: Apache-2.0
"""What crosses and what does not: topology hiding in every message, the table of headers."""
import re

from lib.base import check, equal, test
from lib.daemon import Bed
from lib.rtp import Rtp
from lib.sip import sdp_text
from lib.ua import Agent


def words_of(bed, side):
    """What must never be seen on the other side: addresses, trunk and realm names of this one."""
    ip = {'a': 1, 'b': 2}[side], {'a': 11, 'b': 12}[side]
    return [re.compile(r'(?<![\d.])%s(?![\d])' % re.escape(bed.t.ip(h))) for h in ip]


def leaks(bed):
    found, count = [], 0
    for side, other in (('a', 'b'), ('b', 'a')):
        agent = bed.agents[side]
        for _, way, text in agent.trace:
            if way != '<-':
                continue
            count += 1
            for w in words_of(bed, other):
                m = w.search(text)
                if m:
                    line = text[:m.start()].count('\n')
                    found.append('party %s was shown %s in: %s' % (side, m.group(0), text.split('\n')[line].strip()))
    return found, count


INSIDE = ('10.11.12.13', 'pbx.inside.example')

CALLER_HEADERS = [
    ('P-Asserted-Identity', '"Ann" <sip:4930@pbx.inside.example>'),
    ('P-Preferred-Identity', '<sip:4931@10.11.12.13>'),
    ('Remote-Party-ID', '"Ann" <sip:4930@pbx.inside.example>;party=calling;privacy=off'),
    ('Diversion', '<sip:4932@pbx.inside.example>;reason=unconditional;counter=1'),
    ('History-Info', '<sip:4933@pbx.inside.example>;index=1'),
    ('Referred-By', '<sip:4934@pbx.inside.example>'),
    ('Call-Info', '<http://pbx.inside.example/photo.png>;purpose=icon'),
    ('User-to-User', '56a390f3d2b7310023a2;encoding=hex'),
    ('Subject', 'a subject'), ('X-Our-Thing', 'kept 17'), ('Priority', 'urgent'), ('Accept-Language', 'de'),
    ('Organization', 'Example'), ('Reason', 'Q.850;cause=16'), ('Privacy', 'none'),
    ('User-Agent', 'SecretPBX/9.9'), ('Route', '<sip:%s;lr>'), ('Record-Route', '<sip:10.11.12.13;lr>'),
    ('Via', 'SIP/2.0/UDP 10.11.12.13:5060;branch=z9hG4bKinside'),
    ('Allow', 'INVITE, ACK, BYE, CANCEL, FROB'), ('Supported', 'gruu, norefersub'), ('Allow-Events', 'talk'),
]


@test()
def headers_table(t):
    """carried, rebuilt, dropped: the headers of an INVITE on the other leg"""
    bed = Bed(t)
    headers = [(n, v % ('%s:%d' % t.at['a']) if '%s' in v else v) for n, v in CALLER_HEADERS]
    c = bed.a.call('3001', sdp=sdp_text(bed.a.ip, 30000), headers=headers)
    i = bed.b.await_call('3001')
    m = i.inv
    carried = {'user-to-user': '56a390f3d2b7310023a2;encoding=hex', 'subject': 'a subject', 'x-our-thing': 'kept 17', 'priority': 'urgent',
               'accept-language': 'de', 'organization': 'Example'}
    for name, value in carried.items():
        equal(m.get(name), value, name)
    check('cause=16' in m.get('reason'), 'Reason is lost')
    users = {'p-asserted-identity': '4930', 'remote-party-id': '4930', 'diversion': '4932', 'history-info': '4933', 'referred-by': '4934', 'p-preferred-identity': '4931'}
    for name, user in users.items():
        check('sip:%s@' % user in m.get(name), '%s lost its user: %r', name, m.get(name))
    text = m.raw.decode('latin1')
    for word in INSIDE + ('SecretPBX', 'FROB', 'gruu', 'norefersub', 'z9hG4bKinside'):
        check(word not in text, '%s reached the callee:\n%s', word, text)
    equal(m.get('user-agent'), 'Postern', 'User-Agent')
    for name in ('route', 'record-route'):
        check(not m.get(name), '%s: %s', name, m.get(name))
    check({'INVITE', 'ACK', 'BYE', 'CANCEL', 'OPTIONS'} <= set(m.tokens('allow')), 'Allow: %s', m.get('allow'))
    i.reply(180, headers=[('Server', 'SecretGW/1'), ('X-Back', 'kept 18'), ('Allow', 'INVITE, GRAB'), ('Supported', 'histinfo'), ('Warning', '399 gw.inside.example "x"'),
                          ('Alert-Info', '<urn:alert:service:normal>')])
    r = c.wait(180)
    equal((r.get('x-back'), r.get('server')), ('kept 18', 'Postern'), 'X-Back and Server of the 180')
    check('GRAB' not in r.get('allow') and 'histinfo' not in r.get('supported'), 'Allow and Supported of the 180 are the callee\'s')
    check('gw.inside.example' not in r.raw.decode('latin1'), 'host in Warning')
    i.reply(486, headers=[('Server', 'SecretGW/1'), ('Warning', '399 gw.inside.example "Busy there"'), ('Error-Info', '<sip:busy@gw.inside.example>')])
    r = c.wait({486})
    check('gw.inside.example' not in r.raw.decode('latin1') and 'Secret' not in r.raw.decode('latin1'), 'inside host in a 486:\n%s', r.raw.decode('latin1'))


@test()
def privacy_id(t):
    """towards a trunk that is not trusted P-Asserted-Identity leaves only without Privacy: id; a trusted one gets it"""
    for trusted in (False, True):
        bed = Bed(t, trunk_b={'trusted': trusted})
        c = bed.a.call('3002', sdp=sdp_text(bed.a.ip, 30000), headers=[('P-Asserted-Identity', '<sip:4930@x.example>'), ('Privacy', 'id')])
        i = bed.b.await_call('3002')
        equal('4930' in i.inv.get('p-asserted-identity'), trusted, 'P-Asserted-Identity to a trunk with trusted=%s' % trusted)
        i.reply(486)
        c.wait({486})
        bed.d.stop()
        bed.a.close()
        bed.b.close()


@test()
def uris_rebuilt(t):
    """userinfo whole and user= alone of the Request-URI; tel: becomes sip with user=phone; anonymous.invalid stays"""
    bed = Bed(t)
    from lib.ua import Call
    host = '%s:%d' % t.at['a']
    for uri, want in (('sip:3003;phone-context=example.com@%s;user=phone;transport=udp;maddr=10.1.1.1;x=y' % host, 'sip:3003;phone-context=example.com@%s:%d;user=phone' % t.party['b']),
                      ('tel:+493034', 'sip:+493034@%s:%d;user=phone' % t.party['b'])):
        c = Call(bed.a, uri.split(':')[1].split(';')[0])
        c.uri = uri
        c.local = 'sip:anonymous@anonymous.invalid'
        c.invite(sdp=sdp_text(bed.a.ip, 30000))
        m = bed.b.take(lambda m: m.method == 'INVITE', 3, 'INVITE for %s' % uri)
        equal(m.uri, want, 'Request-URI of %s' % uri)
        equal(m.addr('from'), 'sip:anonymous@anonymous.invalid', 'From')
        i = Call(bed.b, c.number, m)
        i.reply(486)
        c.wait({486})


@test()
def body_multipart(t):
    """a multipart body keeps its other part, the SDP in it is ours"""
    bed = Bed(t)
    sdp = sdp_text(bed.a.ip, 30000)
    body = '--b1\r\nContent-Type: application/sdp\r\n\r\n%s\r\n--b1\r\nContent-Type: application/x-thing\r\n\r\nTHE-THING\r\n--b1--\r\n' % sdp
    c = bed.a.call('3004', body=body, ctype='multipart/mixed;boundary=b1')
    m = bed.b.take(lambda m: m.method == 'INVITE', 3, 'INVITE')
    text = m.body.decode('latin1')
    check('THE-THING' in text, 'the other part is lost: %s', text)
    check(bed.a.ip not in text and 'm=audio' in text, 'SDP of the multipart: %s', text)
    from lib.ua import Call
    i = Call(bed.b, '3004', m)
    i.reply(486)
    c.wait({486})


@test()
def nothing_leaks(t):
    """in no message of a day's work does a side see an address or a name of the other: calls, failures, CANCEL, re-INVITE, strangers"""
    from t_call import establish
    bed = Bed(t)
    for x, y, n in ((bed.a, bed.b, '3010'), (bed.b, bed.a, '3011')):
        c, i, ra, rb = establish(bed, x, y, n)
        c.reinvite(sdp_text(x.ip, ra.port, direction='sendonly', version=2))
        m = i.expect('INVITE')
        i.reply(200, to=m, sdp=sdp_text(y.ip, rb.port, direction='recvonly', version=2))
        c.wait(200)
        i.expect('ACK')
        tx = i.request('BYE', headers=[('Reason', 'SIP;cause=200')])
        c.answer_bye()
        tx.final()
        for st in (302, 404, 503):
            c = x.call('30%d' % st, sdp=sdp_text(x.ip, 30000))
            i = y.await_call('30%d' % st)
            i.reply(st, headers=[('Warning', '399 %s:5060 "no"' % y.ip), ('X-From', 'sip:x@%s' % '198.51.100.1'), ('Contact', '<sip:alt@%s>' % y.ip)])
            c.wait(lambda m: m.status >= 200)
        c = x.call('3012', sdp=sdp_text(x.ip, 30000))
        i = y.await_call('3012')
        i.reply(183, sdp=sdp_text(y.ip, 31000))
        c.wait(183)
        tx = c.cancel()
        k = i.expect('CANCEL')
        i.reply(200, to=k)
        i.reply(487)
        c.wait({487})
        x.ask('OPTIONS', '')
        c, i, ra, rb = establish(bed, x, y, '3013')
        call = next(k for k in bed.d.calls() if k['state'])
        bed.d.delete('/calls/%s' % call['id'])
        c.answer_bye()
        i.answer_bye()
    found, count = leaks(bed)
    check(count > 60, 'only %d messages were seen', count)
    check(not found, '%d leaks in %d messages; first: %s', len(found), count, found[0] if found else '')
    t.note('%d messages looked at' % count)


@test()
def sdp_shows_nothing(t):
    """o=, c=, rtcp, candidates and unknown attributes with addresses of the other side do not cross; agreed codecs do"""
    bed = Bed(t)
    ra = Rtp(t, bed.a.ip)
    extra = ['a=rtcp:%d IN IP4 %s' % (ra.port + 1, bed.a.ip), 'a=candidate:1 1 UDP 2130706431 %s %d typ host' % (bed.a.ip, ra.port), 'a=ice-ufrag:F7gI', 'a=ice-pwd:x9cml/YzichV2+XlhiMu8g', 'a=x-host:%s' % bed.a.ip]
    c = bed.a.call('3020', sdp=sdp_text(bed.a.ip, ra.port, extra=extra))
    i = bed.b.await_call('3020')
    text = i.inv.body.decode()
    check(bed.a.ip not in text, 'address of the caller in the SDP:\n%s', text)
    check('candidate' not in text and 'ice-' not in text, 'ICE of the caller in the SDP:\n%s', text)
    check({'0', '8', '101'} <= set(i.inv.sdp.formats()), 'formats: %s', i.inv.sdp.formats())
    check('o=ua ' not in text and ' 1000 ' not in text.split('\n')[1], 'o= is the caller\'s: %s', text.split('\n')[1])
    i.reply(486)
    c.wait({486})


@test()
def unknown_party_learns_no_software(t):
    """answers of our own carry no name of ours beyond system.user_agent, which is a row of the configuration"""
    bed = Bed(t, system={'user_agent': 'Door/1'})
    s = Agent(t, t.ip(77), t.at['a'])
    m = s.ask('INVITE', '1', body=sdp_text(s.ip, 30000))
    text = m.raw.decode('latin1').lower()
    check('sofia' not in text and 'postern' not in text, 'software named in:\n%s', text)
    m = bed.a.ask('OPTIONS', '')
    equal(m.get('server') or m.get('user-agent') or 'Door/1', 'Door/1', 'Server')

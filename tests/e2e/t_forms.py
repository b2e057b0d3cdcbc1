# SPDX-License-Identifier: Apache-2.0
"""Messages in every form that RFC 3261 lets them have: compact and folded headers, escapes, tel: URIs, long values, UTF-8, bodies of several parts (RFC 3261 7.3, 19.1, 25; RFC 3966, 5621)."""
from lib.base import check, equal, test
from lib.daemon import Bed
from lib.sip import Msg, sdp_text
from lib.ua import Call, Tx

from t_b2bua import begin, hang_up
from t_call import establish


def raw_invite(bed, number, head, sdp=True, uri=None):
    """A call begun with the very bytes of `head` (bytes, lines without their CRLF), with Via, CSeq and the like as build() makes them where head has none."""
    c = Call(bed.a, number)
    c.uri = uri or c.uri
    m = c.build('INVITE', body=sdp_text(bed.a.ip, 30000) if sdp else b'')
    given = {line.partition(b':')[0].strip().lower().decode('latin1') for line in head if not line[:1].isspace()}
    lines = [m.start.encode()]
    lines += [('%s: %s' % h).encode() for h in m.headers if h[0].lower() not in given]
    body = m.body.encode() if isinstance(m.body, str) else m.body
    data = b'\r\n'.join(lines + head + [b'Content-Length: %d' % len(body)]) + b'\r\n\r\n' + body
    c.tx = Tx(c, m)
    return c, data


def send_raw(bed, number, head, **kw):
    """The same, sent; the transaction repeats these bytes."""
    transmit = bed.a.transmit
    bed.a.transmit = lambda data, *a: None
    try:
        c, data = raw_invite(bed, number, head, **kw)
    finally:
        bed.a.transmit = transmit
    c.tx.data = data
    bed.a.transmit(data)
    return c


@test()
def compact_headers(t):
    """an INVITE, its answers and a BYE with compact names alone are understood and answered; what we send is in long form"""
    bed = Bed(t)
    c = Call(bed.a, '7200')
    m = c.build('INVITE', body=sdp_text(bed.a.ip, 30000), headers=[('Supported', 'timer'), ('Subject', 'short'), ('Referred-By', '<sip:r@x.example>'), ('User-to-User', 'u')])
    short = {'via': 'v', 'from': 'f', 'to': 't', 'contact': 'm', 'call-id': 'i', 'content-type': 'c', 'supported': 'k', 'subject': 's', 'referred-by': 'b'}
    m.headers = [(short.get(n.lower(), n), v) for n, v in m.headers]
    data = m.bytes().replace(b'Content-Length:', b'l:')
    c.tx = Tx(c, m)
    i = bed.b.await_call('7200')
    equal((i.inv.get('subject'), i.inv.addr('referred-by').split('@')[0]), ('short', 'sip:r'), 'Subject and Referred-By')
    names = [n for n, _ in i.inv.headers]
    check(data and all(len(n) > 1 for n in names), 'compact names in what we send: %s', names)
    check(b'm=audio' in i.inv.body, 'the body')
    req = i.inv
    body = sdp_text(bed.b.ip, 31000)
    answer = Msg('SIP/2.0 200 OK', [('v', req.get('via')), ('f', req.get('from')), ('t', req.get('to') + ';tag=' + i.local_tag), ('i', req.call_id), ('CSeq', req.get('cseq')),
                                   ('m', bed.b.contact()), ('c', 'application/sdp')], body).bytes().replace(b'Content-Length:', b'l:')
    bed.b.transmit(answer, req.source)
    c.wait(200)
    i.expect('ACK')
    bye = i.build('BYE')
    bye.headers = [(short.get(n.lower(), n), v) for n, v in bye.headers]
    tx = Tx(i, bye)
    got = c.expect('BYE')
    c.reply(200, to=got)
    equal(tx.final().status, 200, 'BYE')


@test()
def folded_headers(t):
    """headers over several lines, white space wherever it may stand, comma lists over several lines; carried ones cross on one line with the same value"""
    bed = Bed(t)
    c = send_raw(bed, '7201', [b'X-Folded: one,', b'\ttwo;a=b ,', b'      three', b'Subject:', b' I know you are', b' \tthere',
                            b'Contact : "A', b'  B" <sip:ua@%s:5060>' % bed.a.ip.encode(), b'P-Asserted-Identity: <sip:4930@x.example> ,', b' <tel:+4930>', b'Max-Forwards :  0068'])
    i = bed.b.await_call('7201')
    m = i.inv
    raw = m.raw.split(b'\r\n\r\n')[0]
    check(b'\r\n ' not in raw and b'\r\n\t' not in raw, 'folded lines in what we send:\n%s', raw.decode('latin1'))
    equal([x.strip() for x in m.get('x-folded').split(',')], ['one', 'two;a=b', 'three'], 'X-Folded')
    equal(m.get('subject').split(), ['I', 'know', 'you', 'are', 'there'], 'Subject')
    equal(m.get('max-forwards'), '67', 'Max-Forwards')
    equal(len(m.tokens('p-asserted-identity')), 2, 'P-Asserted-Identity')
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
    c.wait(200)
    tx = i.request('BYE')
    got = c.expect('BYE')
    equal(got.uri, 'sip:ua@%s:5060' % bed.a.ip, 'target from the folded Contact')
    c.reply(200, to=got)
    tx.final()


@test()
def escaped_uris(t):
    """escapes in the user part stay as they are, in Request-URI, To and From (what needs no escape in a user part, + and ; say, may lose it)"""
    bed = Bed(t)

    def read(text):
        return text.replace('%2B', '+').replace('%3b', ';')
    host = '%s:%d' % t.at['a']
    for user in ('sip%3Auser%40example.com', 'a%20b', '%2B4930', 'null-%00-null', '123;x=y%3b', '!*~', 'caf%C3%A9'):
        c = Call(bed.a, user)
        c.uri = 'sip:%s@%s' % (user, host)
        c.remote = c.uri
        c.local = 'sip:%s@%s' % (user, bed.a.ip)
        c.invite(sdp=sdp_text(bed.a.ip, 30000))
        m = bed.b.take(lambda m: m.method == 'INVITE', 3, 'INVITE for %s' % user)
        for what, uri in (('Request-URI', m.uri), ('To', m.addr('to')), ('From', m.addr('from'))):
            equal(read(uri.split('@')[0]), 'sip:' + read(user), what)
        i = Call(bed.b, user, m)
        i.reply(486)
        c.wait({486})


@test()
def tel_uris(t):
    """tel: URIs in Request-URI, To, From and identity headers: the call goes on as sip with user=phone, parameters of the number kept (RFC 3261 19.1.6)"""
    bed = Bed(t)
    for uri, want in (('tel:+49-30-34', '+49-30-34'), ('tel:7042;phone-context=example.com', '7042;phone-context=example.com'), ('tel:+1-201-555-0123;ext=99', '+1-201-555-0123;ext=99')):
        c = Call(bed.a, want)
        c.uri = c.remote = uri
        c.local = 'tel:+4940'
        c.invite(sdp=sdp_text(bed.a.ip, 30000), headers=[('P-Asserted-Identity', '<tel:+4941>'), ('Diversion', '<tel:+4942>;reason=no-answer')])
        m = bed.b.take(lambda m: m.method == 'INVITE', 3, 'INVITE for %s' % uri)
        equal(m.uri, 'sip:%s@%s:%d;user=phone' % (want, *t.party['b']), 'Request-URI')
        check(m.addr('to').startswith('sip:%s@%s' % (want, t.party['b'][0])) and m.addr('to').endswith(';user=phone'), 'To %s', m.addr('to'))
        check(m.addr('from').startswith('sip:+4940@%s' % t.at['b'][0]) and m.addr('from').endswith(';user=phone'), 'From %s', m.addr('from'))
        check('+4941' in m.get('p-asserted-identity') and '+4942' in m.get('diversion'), 'identities: %s, %s', m.get('p-asserted-identity'), m.get('diversion'))
        i = Call(bed.b, want, m)
        i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
        c.wait(200)
        i.expect('ACK')
        c.remote, c.local = uri, 'tel:+4940'
        hang_up(c, i)


@test()
def long_headers(t):
    """a header of 8,000 bytes, a user part of 200, 60 identity entries, a display name of 300, a Call-ID of 500: all cross, or the message is answered; nothing is cut in between"""
    bed = Bed(t)
    long = 'v' * 8000
    user = '7' * 200
    diversions = ', '.join('<sip:49%04d@x.example>;reason=unconditional' % k for k in range(60))
    c = Call(bed.a, user)
    c.call_id = 'i' * 500 + '@x'
    c.invite(sdp=sdp_text(bed.a.ip, 30000), headers=[('X-Long', long), ('Diversion', diversions)], display='n' * 300)
    m = bed.b.take(lambda m: m.method == 'INVITE', 3, 'INVITE')
    equal(m.user, user, 'user part')
    equal(len(m.get('x-long')), 8000, 'X-Long')
    equal(len(m.tokens('diversion')), 60, 'Diversion')
    check('n' * 300 in m.get('from'), 'display name')
    i = Call(bed.b, user, m)
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000), headers=[('X-Back', 'w' * 8000), ('Record-Route', ', '.join('<sip:%s;lr;x=%03d>' % (bed.b.ip, k) for k in range(40)))])
    equal(len(c.wait(200).get('x-back')), 8000, 'X-Back')
    equal(len(i.expect('ACK').tokens('route')), 40, 'routes of the ACK')
    hang_up(c, i)


@test()
def utf8_headers(t):
    """UTF-8 in display names, Subject, reason phrases and unknown headers crosses byte by byte; so do quotes and escapes in display names"""
    bed = Bed(t)
    name, subject = 'J\u00f6rg \u5b89 \\"Quote\\" \\\\', '\u043f\u0440\u0438\u0432\u0435\u0442 \U0001f4de'
    c = bed.a.call('7205', sdp=sdp_text(bed.a.ip, 30000), display=name, headers=[('Subject', subject), ('X-Text', subject), ('P-Asserted-Identity', '"%s" <sip:49@x.example>' % name)])
    i = bed.b.await_call('7205')
    check('"%s"' % name in i.inv.get('from'), 'From: %s', i.inv.get('from'))
    check('"%s"' % name in i.inv.get('p-asserted-identity'), 'P-Asserted-Identity: %s', i.inv.get('p-asserted-identity'))
    equal((i.inv.get('subject'), i.inv.get('x-text')), (subject, subject), 'Subject and X-Text')
    i.reply(486, 'Besetzt \u2013 sp\u00e4ter', headers=[('X-Back', subject)])
    r = c.wait({486})
    equal((r.reason, r.get('x-back')), ('Besetzt \u2013 sp\u00e4ter', subject), 'phrase and header of the answer')
    cdr = bed.d.cdrs('7205')[0]
    equal(cdr['status'], 486, 'CDR')


ISUP = bytes(range(256)) + b'\r\n--almost\r\n' + bytes(64)


def parts(boundary, *parts):
    return b''.join(b'--%s\r\n%s\r\n\r\n%s\r\n' % (boundary, b'\r\n'.join(head), body) for head, body in parts) + b'--%s--\r\n' % boundary


@test()
def multipart_bodies(t):
    """SDP with ISUP and others in INVITE, 183, 200; ISUP alone in BYE: other parts cross byte by byte with their headers, SDP is ours wherever it stood; nested and broken ones do no harm"""
    bed = Bed(t)
    isup = ((b'Content-Type: application/isup;version=itu-t92+', b'Content-Disposition: signal;handling=optional'), ISUP)
    other = ((b'Content-Type: application/x-data', b'X-Part: 7'), b'\0\xff data')
    sdp = lambda ip: ((b'Content-Type: application/sdp', b'Content-Disposition: session'), sdp_text(ip, 30000).encode())
    mixed = lambda ip, *p: (parts(b'b/1:x', *p), 'multipart/mixed;boundary="b/1:x"')
    body, ctype = mixed(bed.a.ip, isup, sdp(bed.a.ip), other)
    c = bed.a.call('7206', body=body, ctype=ctype, headers=[('MIME-Version', '1.0')])
    i = bed.b.await_call('7206')

    def right(m, far):
        for data in (ISUP, b'\0\xff data', b'X-Part: 7', b'handling=optional', b'm=audio'):
            check(data in m.raw, '%r is lost in %s', data[:20], m.start)
        check(far.encode() not in m.raw and m.get('content-type').startswith('multipart/mixed'), 'SDP or type of %s', m.start)
        equal(m.raw.count(b'm=audio'), 1, 'descriptions')
    right(i.inv, bed.a.ip)
    for status in (183, 200):
        body, ctype = mixed(bed.b.ip, other, sdp(bed.b.ip), isup)
        i.reply(status, sdp=body, ctype=ctype)
        right(c.wait(status), bed.b.ip)
    i.expect('ACK')
    tx = c.request('INFO', body=ISUP, ctype='application/isup;version=itu-t92+')
    m = i.expect('INFO')
    equal((m.body, m.get('content-type')), (ISUP, 'application/isup;version=itu-t92+'), 'INFO')
    i.reply(200, to=m)
    tx.final()
    tx = c.request('BYE', body=ISUP, ctype='application/isup')
    m = i.answer_bye()
    equal(m.body, ISUP, 'body of the BYE')
    tx.final()
    for n, body in enumerate((b'--b/1:x\r\n', b'--b/1:x--', b'no part at all', parts(b'b/1:x', ((b'Content-Type: multipart/mixed;boundary=in',), parts(b'in', sdp(bed.a.ip)))))):
        c = bed.a.call('7207%d' % n, body=body, ctype='multipart/mixed;boundary="b/1:x"')
        r = bed.b.take(lambda m: m.method == 'INVITE', 3, 'INVITE')
        check(bed.a.ip.encode() not in r.raw, 'inside address in %r', r.raw)
        Call(bed.b, 'x', r).reply(486)
        c.wait(lambda m: m.status >= 300)
    c, i, _, _ = establish(bed, bed.a, bed.b, '7208')
    hang_up(c, i)


@test()
def odd_but_legal(t):
    """header names in odd case, parameters in odd order, unknown ones, addr-spec without <>, several Vias, From with parameters: read as RFC 3261 says"""
    bed = Bed(t)
    c = Call(bed.a, '7209')
    m = c.build('INVITE', body=sdp_text(bed.a.ip, 30000))
    m.headers = [(n.swapcase(), v) for n, v in m.headers]
    for k, (n, v) in enumerate(m.headers):
        if n.lower() == 'from':
            m.headers[k] = (n, 'sip:caller@%s;x-before=1;tag=%s;x-after="a;b"' % (bed.a.ip, c.local_tag))
        elif n.lower() == 'to':
            m.headers[k] = (n, 'sip:7209@%s' % t.at['a'][0])
        elif n.lower() == 'contact':
            m.headers[k] = (n, 'sip:ua@%s:5060;expires=5' % bed.a.ip)
        elif n.lower() == 'via':
            m.headers[k] = (n, v + ', SIP/2.0/UDP far.example;branch=z9hG4bKother;hidden')
    c.tx = Tx(c, m)
    i = bed.b.await_call('7209')
    check(i.inv.tag('from') and 'x-before' not in i.inv.get('from'), 'From: %s', i.inv.get('from'))
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
    r = c.wait(200)
    equal(len(r.tokens('via')), 2, 'Vias of the answer')
    i.expect('ACK')
    hang_up(c, i)

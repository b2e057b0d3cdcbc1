# SPDX-License-Identifier: Apache-2.0
"""The B2BUA between its legs: 100rel, requests of other methods, REFER and Replaces, subscriptions, redirection, digest, forking, NAT (design.md section 4)."""
import hashlib
import os
import re

from lib.base import check, equal, test, until
from lib.daemon import Bed
from lib.sip import sdp_text
from lib.ua import Agent, Call

from t_call import establish


def begin(bed, number, headers=(), sdp=True):
    c = bed.a.call(number, sdp=sdp_text(bed.a.ip, 30000) if sdp else None, headers=headers)
    return c, bed.b.await_call(number)


def prack(c, r, shift=0):
    return c.request('PRACK', headers=[('RAck', '%d %s' % (int(r.get('rseq')) + shift, r.get('cseq')))])


def reliable(n):
    return [('Require', '100rel'), ('RSeq', str(n))]


def hang_up(c, i):
    tx = c.request('BYE')
    i.answer_bye()
    equal(tx.final().status, 200, 'answer to BYE')


# ---- 100rel ----

@test()
def reliable_matrix(t):
    """nine combinations of caller and callee: each leg gets what it asks for, a callee's reliable 183 always gets PRACK"""
    bed = Bed(t)
    n = 6000
    for caller in (None, 'Supported', 'Require'):
        for callee in (False, True, 'late'):
            n += 1
            what = 'caller %s, callee %s' % (caller, callee)
            c, i = begin(bed, str(n), [(caller, '100rel')] if caller else [])
            check('100rel' in i.inv.tokens('supported'), '%s: the INVITE does not offer 100rel', what)
            i.reply(183, sdp=sdp_text(bed.b.ip, 31000), headers=reliable(77) if callee else [])
            if callee:
                p = i.expect('PRACK')
                equal(p.get('rack').split()[:2], ['77', i.inv.get('cseq').split()[0]], what + ': RAck')
                i.reply(200, to=p)
            r = c.wait(183)
            want = caller == 'Require' or bool(caller and callee)
            equal(bool(r.get('rseq')) and '100rel' in r.tokens('require'), want, what + ': reliable to the caller')
            if want:
                if callee == 'late':
                    until(lambda: bed.a.repeats(r) >= 1, 2, what + ': the 183 again without PRACK')
                equal(prack(c, r).final().status, 200, what + ': PRACK')
            i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
            c.wait(200)
            i.expect('ACK')
            hang_up(c, i)
    bed.d.no_calls()


@test()
def prack_order(t):
    """a wrong RAck is 481; a second response waits for the first's PRACK; so does a 2xx where a description is unacknowledged; repeats of a callee get no second PRACK"""
    bed = Bed(t)
    c, i = begin(bed, '6101', [('Supported', '100rel')])
    i.reply(183, sdp=sdp_text(bed.b.ip, 31000), headers=reliable(5))
    i.reply(200, to=i.expect('PRACK'))
    i.reply(183, sdp=sdp_text(bed.b.ip, 31000), headers=reliable(5))
    i.not_seen('PRACK', 0.3)
    i.reply(180, headers=reliable(6))
    i.reply(200, to=i.expect('PRACK'))
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
    i.expect('ACK')
    r = c.wait(183)
    equal(prack(c, r, 3).final().status, 481, 'a wrong RAck')
    bed.a.none(lambda m: m.status in (180, 200) and m.call_id == c.call_id and 'INVITE' in m.get('cseq'), 0.2, 'what must wait for PRACK')
    equal(prack(c, r).final().status, 200, 'PRACK')
    r2 = c.wait(180)
    equal(int(r2.get('rseq')), int(r.get('rseq')) + 1, 'RSeq rises by one')
    c.wait(200)
    equal(prack(c, r2).final().status, 200, 'PRACK of what the 200 overtook')
    hang_up(c, i)


@test()
def offer_in_reliable_response(t):
    """an offerless INVITE: the callee's offer in a reliable 183, the answer in both PRACKs, none in the 200"""
    bed = Bed(t)
    c, i = begin(bed, '6201', [('Supported', '100rel')], sdp=False)
    i.reply(183, sdp=sdp_text(bed.b.ip, 31000), headers=reliable(9))
    r = c.wait(183)
    check(r.sdp and r.get('rseq'), 'the offer did not reach the caller reliably')
    i.not_seen('PRACK', 0.2)
    tx = c.request('PRACK', headers=[('RAck', '%s %s' % (r.get('rseq'), r.get('cseq')))], body=sdp_text(bed.a.ip, 30000))
    p = i.expect('PRACK')
    check(p.sdp and p.sdp.dest()[0] != bed.a.ip, 'the answer in PRACK')
    i.reply(200, to=p)
    equal(tx.final().status, 200, 'PRACK')
    i.reply(200)
    equal(c.wait(200).sdp, None, 'SDP in the 200')
    i.expect('ACK')
    hang_up(c, i)


# ---- other methods ----

@test()
def methods_in_dialog(t):
    """INFO, MESSAGE, NOTIFY, SUBSCRIBE, OPTIONS cross both ways with their bodies; what nobody knows crosses where both allow it, else 405"""
    bed = Bed(t)
    c, i, _, _ = establish(bed, bed.a, bed.b, '6301', headers=[('Allow', 'INVITE, ACK, BYE, FROB')])
    for x, y in ((c, i), (i, c)):
        for method in ('INFO', 'MESSAGE', 'NOTIFY', 'SUBSCRIBE', 'OPTIONS'):
            tx = x.request(method, headers=[('Event', 'talk'), ('X-Kept', 'yes')], body='a body', ctype='text/plain')
            m = y.expect(method)
            equal((m.body, m.get('x-kept'), m.get('content-type')), (b'a body', 'yes', 'text/plain'), method)
            y.reply(202, to=m, headers=[('X-Back', 'yes')])
            r = tx.final()
            equal((r.status, r.get('x-back')), (202, 'yes'), 'answer to ' + method)
    r = c.request('FROB').final()
    equal(r.status, 405, 'a method that one side does not allow')
    check('REFER' in r.get('allow') and 'PRACK' in r.get('allow'), 'Allow of the 405: %s', r.get('allow'))
    tx = i.request('INFO', headers=[('Allow', 'INVITE, BYE, FROB')])
    c.reply(200, to=c.expect('INFO'))
    tx.final()
    tx = c.request('FROB', body='x', ctype='text/plain')
    i.reply(299, to=i.expect('FROB'))
    equal(tx.final().status, 299, 'a method that both allow')
    hang_up(c, i)


@test()
def refer_and_replaces(t):
    """Refer-To leads to us, a Replaces in it names the other side's dialog, sipfrag shows no inside host; a Replaces of nothing is 481"""
    bed = Bed(t)
    c, i, _, _ = establish(bed, bed.a, bed.b, '6401')
    c2, i2, _, _ = establish(bed, bed.a, bed.b, '6402')
    ours = '%s:%d' % t.at['b']
    rep = '%s%%3Bto-tag%%3D%s%%3Bfrom-tag%%3D%s' % (c2.call_id.replace('@', '%40'), c2.remote_tag, c2.local_tag)
    tx = c.request('REFER', headers=[('Refer-To', '<sip:6402@%s:%d?Replaces=%s>' % (*t.at['a'], rep)), ('Referred-By', '<sip:ann@%s>' % bed.a.ip)])
    m = i.expect('REFER')
    to = m.get('refer-to')
    check(to.startswith('<sip:6402@%s' % ours), 'Refer-To: %s', to)
    want = '%s%%3Bto-tag%%3D%s%%3Bfrom-tag%%3D%s' % (i2.call_id, i2.local_tag, i2.remote_tag)
    check('?Replaces=' + want in to, 'Replaces: %s, expected %s', to, want)
    check(bed.a.ip not in m.bytes().decode('latin1').split('Via:')[0] + m.get('referred-by'), 'Referred-By: %s', m.get('referred-by'))
    i.reply(202, to=m)
    equal(tx.final().status, 202, 'REFER')
    frag = 'SIP/2.0 180 Ringing\r\nContact: <sip:x@%s>\r\nVia: SIP/2.0/UDP %s\r\nWarning: 399 %s "text"\r\n' % ((bed.b.ip,) * 3)
    tx = i.request('NOTIFY', headers=[('Event', 'refer'), ('Subscription-State', 'active')], body=frag, ctype='message/sipfrag;version=2.0')
    m = c.expect('NOTIFY')
    text = m.body.decode()
    check(text.startswith('SIP/2.0 180 Ringing\r\n') and bed.b.ip not in text and '"text"' in text, 'sipfrag: %s', text)
    c.reply(200, to=m)
    equal(tx.final().status, 200, 'NOTIFY')
    x = bed.b.call('6403', sdp=sdp_text(bed.b.ip, 31500), headers=[('Replaces', 'nobody;to-tag=1;from-tag=2')])
    x.wait({481})
    hang_up(c, i)
    hang_up(c2, i2)


@test()
def refer_rejected(t):
    """`refer: reject`: 603, and no Allow names it"""
    bed = Bed(t, trunk_a={'refer': 'reject'})
    c, i, _, _ = establish(bed, bed.a, bed.b, '6451')
    check('REFER' not in c.established.get('allow'), 'Allow: %s', c.established.get('allow'))
    check('REFER' in i.inv.get('allow'), 'Allow on the other leg: %s', i.inv.get('allow'))
    equal(c.request('REFER', headers=[('Refer-To', '<sip:1@%s:%d>' % t.at['a'])]).final().status, 603, 'REFER')
    i.not_seen('REFER', 0.2)
    hang_up(c, i)


@test()
def requests_outside(t):
    """MESSAGE, PUBLISH, OPTIONS for a user go by route; a subscription's NOTIFYs come back in its dialog, from either end; none is a call"""
    bed = Bed(t)
    for method, headers in (('MESSAGE', []), ('PUBLISH', [('Event', 'presence')]), ('OPTIONS', []), ('NOTIFY', [('Event', 'x')]), ('INFO', [])):
        c = Call(bed.a, '6501')
        tx = c.request(method, headers=headers, body='hello', ctype='text/plain')
        m = bed.b.take(lambda m: m.method == method, 3, method)
        equal((m.user, m.body), ('6501', b'hello'), method)
        check(m.call_id != c.call_id, '%s has the Call-ID of the other leg', method)
        Call(bed.b, '6501', m).reply(299, to=m, headers=[('SIP-ETag', 'tag7')])
        r = tx.final()
        equal((r.status, r.get('sip-etag')), (299, 'tag7'), 'answer to ' + method)
    equal(bed.a.ask('OPTIONS').status, 200, 'OPTIONS for us')
    equal(bed.a.ask('OPTIONS', '1', uri='nobody:1@x').status, 416, 'an unknown scheme')
    c = Call(bed.a, '6502')
    tx = c.request('SUBSCRIBE', headers=[('Event', 'dialog'), ('Expires', '60')])
    m = bed.b.take(lambda m: m.method == 'SUBSCRIBE', 3, 'SUBSCRIBE')
    i = Call(bed.b, '6502', m)
    i.reply(202, to=m, headers=[('Expires', '60'), ('Contact', bed.b.contact())])
    r = tx.final()
    equal(r.status, 202, 'SUBSCRIBE')
    c.remote_tag, c.uri = r.tag('to'), r.addr('contact')
    for state in ('active', 'terminated'):
        tx = i.request('NOTIFY', headers=[('Event', 'dialog'), ('Subscription-State', state)])
        m = c.expect('NOTIFY')
        equal(m.tag('to'), c.local_tag, 'the subscriber\'s dialog')
        c.reply(200, to=m)
        equal(tx.final().status, 200, 'NOTIFY')
    equal(bed.d.calls(), [], 'calls')


# ---- redirection ----

@test()
def redirection(t):
    """`follow`: Contacts by falling q, each once, no loop to us; all refuse: the last answer"""
    bed = Bed(t, trunk_b={'redirect': 'follow'})
    more = [Agent(t, t.ip(k), t.at['b']) for k in (21, 22)]
    c, i = begin(bed, '6601')
    i.reply(302, headers=[('Contact', '<sip:low@%s>;q=0.2, <sip:high@%s>;q=0.9, <sip:us@%s:%d>;q=0.8, <http://x/>;q=1' % (more[0].ip, more[1].ip, *t.at['b']))])
    high = more[1].await_call('high')
    more[0].none(lambda m: m.method == 'INVITE', 0.2, 'INVITE out of turn')
    high.reply(302, headers=[('Contact', '<sip:high@%s>' % more[1].ip)])
    low = more[0].await_call('low')
    low.reply(200, sdp=sdp_text(more[0].ip, 31000))
    c.wait(200)
    low.expect('ACK')
    hang_up(c, low)
    equal(len(bed.d.cdrs('6601')[0]['targets']), 3, 'targets in the CDR')
    c, i = begin(bed, '6602')
    i.reply(302, headers=[('Contact', '<sip:low@%s>' % more[0].ip)])
    more[0].await_call('low').reply(486)
    c.wait({486})


# ---- digest ----

def params(value):
    return {m.group(1): m.group(2).strip('"') for m in re.finditer(r'(\w+)=("[^"]*"|[^,\s]+)', value.split(' ', 1)[1])}


def proof(p, method, body, secret='secret'):
    h = lambda s: (hashlib.sha256 if p.get('algorithm', '').upper().startswith('SHA') else hashlib.md5)(s).hexdigest()
    a1 = h(('%s:%s:%s' % (p['username'], p['realm'], secret)).encode())
    a2 = h(('%s:%s' % (method, p['uri']) + (':' + h(body) if p.get('qop') == 'auth-int' else '')).encode())
    mid = ':%s:%s:%s' % (p['nc'], p['cnonce'], p['qop']) if p.get('qop') else ''
    return h(('%s:%s%s:%s' % (a1, p['nonce'], mid, a2)).encode())


def proven(m, name, nonce):
    p = params(m.get(name))
    equal(p['nonce'], nonce, 'nonce')
    equal(p['response'], proof(p, m.method, m.body), 'digest of %s' % m.get(name))
    return p


@test()
def digest(t):
    """challenges of the callee are answered: MD5, SHA-256, auth, auth-int, none; stale once more; wrong credentials are not tried again; inside the dialog too"""
    bed = Bed(t, trunk_b={'auth': {'username': 'u', 'password': 'secret'}})
    n = 6700
    for algorithm, qop, status in (('MD5', 'auth', 407), (None, None, 401), ('SHA-256', 'auth', 401), ('MD5', 'auth-int', 407)):
        n += 1
        head, name = ('Proxy-Authenticate', 'proxy-authorization') if status == 407 else ('WWW-Authenticate', 'authorization')
        ask = lambda nonce, stale='': [(head, 'Digest realm="r", nonce="%s"%s%s%s' % (nonce, ', algorithm=' + algorithm if algorithm else '', ', qop="%s"' % qop if qop else '', stale))]
        c, i = begin(bed, str(n))
        for nonce, stale in (('n1', ''), ('n2', ', stale=true')):
            before = i.inv
            i.reply(status, headers=ask(nonce, stale))
            i = bed.b.await_call(str(n))
            p = proven(i.inv, name, nonce)
            check(i.inv.cseq[0] > before.cseq[0] and i.inv.call_id == before.call_id, 'CSeq or Call-ID of the second try')
        equal(p.get('nc'), '00000001' if qop else None, 'nc')
        i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
        equal(c.wait(200).status, 200, 'the caller')
        ack = bed.b.take(lambda m: m.method == 'ACK' and m.cseq[0] == i.inv.cseq[0], 3, 'ACK of the 200')
        equal(ack.get(name), i.inv.get(name), 'credentials of the ACK')
        tx = c.request('INFO', body='x', ctype='text/plain')
        m = i.expect('INFO')
        equal(proven(m, name, 'n2').get('nc'), '00000002' if qop else None, 'nc of the next request')
        i.reply(status, to=m, headers=ask('n3'))
        m = i.expect('INFO')
        proven(m, name, 'n3')
        i.reply(200, to=m)
        equal(tx.final().status, 200, 'INFO')
        hang_up(c, i)
    c, i = begin(bed, '6799')
    for _ in range(2):
        i.reply(407, headers=[('Proxy-Authenticate', 'Digest realm="r", nonce="%s"' % os.urandom(4).hex())])
        if 'proxy-authorization' not in [h[0].lower() for h in i.inv.headers]:
            i = bed.b.await_call('6799')
    check(c.wait({401, 403, 407}).status >= 400, 'wrong credentials')
    check('secret' not in bed.d.log(), 'the password is in the log')


# ---- forking, strays, NAT ----

@test()
def early_dialogs(t):
    """three early dialogs below us are one to the caller; PRACK and BYE go to the right one; a 2xx that names other Vias is nobody's"""
    bed = Bed(t)
    c, i = begin(bed, '6801')
    for k, (status, port) in enumerate(((183, 31000), (182, 31010), (180, 31020))):
        i.reply(status, sdp=sdp_text(bed.b.ip, port), tag='fork%d' % k, headers=reliable(100 * k + 1))
        p = i.expect('PRACK')
        equal(p.tag('to'), 'fork%d' % k, 'dialog of the PRACK')
        i.reply(200, to=p)
        c.wait(status)
    i.reply(200, sdp=sdp_text(bed.b.ip, 31020), tag='fork2')
    c.wait(200)
    equal(i.expect('ACK').tag('to'), 'fork2', 'dialog of the ACK')
    tags = {m.tag('to') for m in bed.a.inbox} | {c.remote_tag}
    check(not any((x or '').startswith('fork') for x in tags), 'tags of the callee at the caller: %s', tags)
    lost = 'SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.9.8.7:5060;branch=z9hG4bKx\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>;tag=2\r\nCall-ID: stray\r\nCSeq: 1 INVITE\r\nContact: %s\r\nContent-Length: 0\r\n\r\n' % bed.b.contact()
    bed.b.transmit(lost.encode())
    bed.b.none(lambda m: m.call_id == 'stray', 0.4, 'an answer to a response that is not ours')
    c.request('BYE')
    equal(i.answer_bye().tag('to'), 'fork2', 'dialog of the BYE')


@test()
def private_contact(t):
    """a private Contact that is not where the peer speaks from: requests go to the source, the Request-URI is the Contact"""
    bed = Bed(t)
    c, i = begin(bed, '6901', [('Contact', '<sip:me@10.11.12.13:5066>')])
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000), headers=[('Contact', '<sip:you@192.168.9.9>')])
    c.wait(200)
    check(i.expect('ACK').uri.startswith('sip:you@192.168.9.9'), 'the ACK')
    tx = i.request('BYE')
    m = c.expect('BYE')
    check(m.uri.startswith('sip:me@10.11.12.13:5066'), 'Request-URI of the BYE: %s', m.uri)
    c.reply(200, to=m)
    equal(tx.final().status, 200, 'BYE')


@test()
def large_requests(t):
    """over `udp_max` a request goes by TCP to the same address, where there is a listener for it; smaller ones stay on UDP"""
    bed = Bed(t, start=False, trunk_b={'udp_max': 2000})
    row = next(x for x in bed.doc['listeners'] if x['realm'] == 'peering')
    bed.doc['listeners'].append({**row, 'id': 'peering-tcp', 'transport': 'tcp'})
    bed.d.write()
    bed.d.start()
    until(lambda: bed.d.get('/trunks/a').status == 200, 5, 'the engine')
    tcp = Agent(t, bed.b.ip, t.at['b'], bed.b.port, 'tcp')
    c, i = begin(bed, '6951')
    i.reply(486)
    c.wait({486})
    c = bed.a.call('6952', sdp=sdp_text(bed.a.ip, 30000), headers=[('X-Long', 'x' * 2000)])
    i = tcp.await_call('6952')
    check('/TCP' in i.inv.get('via'), 'Via: %s', i.inv.get('via'))
    i.reply(486)
    c.wait({486})

# SPDX-License-Identifier: Apache-2.0
"""Challenges of targets answered (RFC 3261 22, RFC 7616, RFC 8760): two challengers, the strongest algorithm, nonce counts, what is not answered; Kamailio as the challenger."""
from lib.base import check, equal, test
from lib.daemon import Bed
from lib.sip import sdp_text
from lib.stacks import kamailio
from lib.ua import Agent, Call

from t_b2bua import begin, hang_up, params, proven

LOGIN = {'auth': {'username': 'u', 'password': 'secret'}}


def digest_line(realm='r', nonce='n1', more=''):
    return 'Digest realm="%s", nonce="%s"%s' % (realm, nonce, more)


def ack_of(i, m):
    """The ACK of a 2xx: not the one of a challenge."""
    return i.agent.take(lambda a: a.method == 'ACK' and a.call_id == i.call_id and a.cseq[0] == m.cseq[0], 3, 'ACK of the 2xx')


def values(m, name):
    return [v for n, v in m.headers if n.lower() == name]


@test()
def login_two_challengers(t):
    """a proxy's 407, then the peer's 401 behind it: both credentials in one request, in the ACK, and in every later request, each with its own nonce count"""
    bed = Bed(t, trunk_b=LOGIN)
    c, i = begin(bed, '7401')
    check(not values(i.inv, 'authorization') and not values(i.inv, 'proxy-authorization'), 'credentials that nobody asked for')
    i.reply(407, headers=[('Proxy-Authenticate', digest_line('proxy', 'p1', ', qop="auth", algorithm=MD5, opaque="o1"'))])
    i = bed.b.await_call('7401')
    equal(params(i.inv.get('proxy-authorization')).get('opaque'), 'o1', 'opaque')
    i.reply(401, headers=[('WWW-Authenticate', digest_line('peer', 'w1', ', qop="auth-int,auth", algorithm=SHA-256'))])
    i = bed.b.await_call('7401')
    counts = {}
    for k, m in enumerate((i.inv, 'INFO', 'INFO', 'BYE')):
        if k == 0:
            i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
            c.wait(200)
            ack = ack_of(i, m)
            for name in ('authorization', 'proxy-authorization'):
                equal(ack.get(name), m.get(name), 'the ACK repeats ' + name)
        else:
            tx = c.request(m, body='x' if m == 'INFO' else b'', ctype='text/plain')
            m = i.expect(m)
            i.reply(200, to=m)
            tx.final()
        for name, nonce in (('authorization', 'w1'), ('proxy-authorization', 'p1')):
            p = proven(m, name, nonce)
            counts.setdefault(name, []).append(int(p['nc'], 16))
    equal(counts, {'authorization': [1, 2, 3, 4], 'proxy-authorization': [2, 3, 4, 5]}, 'nonce counts')


@test()
def login_strongest(t):
    """of several challenges the strongest that we speak is answered, in one header or in several; unknown algorithms, qops and schemes are passed over"""
    bed = Bed(t, trunk_b=LOGIN)
    md5, sha = digest_line('r', 'm1', ', algorithm=MD5, qop="auth"'), digest_line('r', 's1', ', algorithm=SHA-256, qop="auth"')
    odd = digest_line('r', 'x1', ', algorithm=SHA-999, qop="auth"')
    strange = digest_line('r', 'y1', ', algorithm=SHA-256, qop="auth-conf"')
    for n, (offered, nonce) in enumerate((([md5, sha], 's1'), ([sha, md5], 's1'), ([odd, md5, 'Basic realm="r"'], 'm1'), ([strange, md5], 'm1'))):
        c, i = begin(bed, '741%d' % n)
        i.reply(401, headers=[('WWW-Authenticate', x) for x in offered])
        i = bed.b.await_call('741%d' % n)
        proven(i.inv, 'authorization', nonce)
        i.reply(486)
        c.wait({486})


@test()
def login_not_answered(t):
    """the caller gets the challenge's status where the realm is another, no algorithm is known, the credentials were refused, or the trunk has none; challenges without end are given up"""
    bed = Bed(t, trunk_b={'auth': {'username': 'u', 'password': 'secret', 'realm': 'mine'}})
    for n, challenge in enumerate((digest_line('theirs'), digest_line('mine', 'n', ', algorithm=SHA-999'), 'Basic realm="mine"', 'Digest realm="mine"')):
        c, i = begin(bed, '742%d' % n)
        i.reply(401, headers=[('WWW-Authenticate', challenge)])
        equal(c.wait(lambda m: m.status >= 300).status, 401, challenge)
    c, i = begin(bed, '7428')
    i.reply(401, headers=[('WWW-Authenticate', digest_line('mine', 'a'))])
    i = bed.b.await_call('7428')
    i.reply(401, headers=[('WWW-Authenticate', digest_line('mine', 'b'))])
    equal(c.wait(lambda m: m.status >= 300).status, 401, 'refused credentials')
    c, i = begin(bed, '7429')
    tries = 1
    while not bed.a.peek(lambda m: m.status == 401 and m.call_id == c.call_id):
        i.reply(401, headers=[('WWW-Authenticate', digest_line('mine', 'a%d' % tries, ', stale=true'))])
        got = bed.b.take(lambda m: m.method == 'INVITE' or m.method == 'ACK' and m.cseq[0] == i.inv.cseq[0], 3, 'what comes next')
        if got.method == 'ACK':
            got = next(iter(bed.b.peek(lambda m: m.method == 'INVITE')), None) or (bed.a.none(lambda m: False, 0.3, '') or next(iter(bed.b.peek(lambda m: m.method == 'INVITE')), None))
            if not got:
                break
            bed.b.inbox.remove(got)
        i = Call(bed.b, '7429', got)
        tries += 1
        check(tries < 12, 'tried without end')
    c.wait({401})
    check(2 <= tries <= 6, '%d tries', tries)
    bed.d.no_calls()


@test()
def login_in_dialog(t):
    """a re-INVITE, an UPDATE, a PRACK and a BYE that are challenged in the dialog are answered; the other side sees what came after alone"""
    bed = Bed(t, trunk_b=LOGIN)
    c, i = begin(bed, '7430', [('Supported', '100rel')])
    i.reply(183, sdp=sdp_text(bed.b.ip, 31000), headers=[('Require', '100rel'), ('RSeq', '9'), ('Allow', 'INVITE, ACK, BYE, CANCEL, PRACK, UPDATE')])
    r = c.wait(183)
    if r.get('rseq'):
        c.request('PRACK', headers=[('RAck', '%s %s' % (r.get('rseq'), r.get('cseq')))]).final()

    def challenged(method, nonce):
        m = i.expect(method)
        i.reply(401, to=m, headers=[('WWW-Authenticate', digest_line('r', nonce, ', qop="auth-int"'))])
        again = i.expect(method)
        proven(again, 'authorization', nonce)
        check(again.cseq[0] > m.cseq[0] and again.body == m.body, '%s: CSeq or body of the second try', method)
        return again
    i.reply(200, to=challenged('PRACK', 'a'))
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000), headers=[('Allow', 'INVITE, ACK, BYE, CANCEL, PRACK, UPDATE')])
    c.wait(200)
    i.expect('ACK')
    for method, nonce in (('INVITE', 'b'), ('UPDATE', 'c')):
        sdp = sdp_text(bed.a.ip, 30000, direction='sendonly' if method == 'INVITE' else 'sendrecv', version=2 if method == 'INVITE' else 3)
        tx = c.reinvite(sdp) if method == 'INVITE' else c.request('UPDATE', body=sdp)
        m = challenged(method, nonce)
        i.reply(200, to=m, sdp=sdp_text(bed.b.ip, 31000, direction='recvonly' if method == 'INVITE' else 'sendrecv', version=2 if method == 'INVITE' else 3))
        if method == 'INVITE':
            c.wait(200)
            equal(ack_of(i, m).get('authorization'), m.get('authorization'), 'the ACK repeats the credentials')
        else:
            equal(tx.final().status, 200, 'UPDATE')
    tx = c.request('BYE')
    i.reply(200, to=challenged('BYE', 'd'))
    equal(tx.final().status, 200, 'BYE')
    check(not any(m.status == 401 for m in bed.a.inbox), 'the caller saw a challenge')


@test(seconds=60)
def login_kamailio(t):
    """Kamailio challenges every request: MD5 and SHA-256, without qop and with (its auth-int refuses what a party of ours, which reckons by RFC 7616, takes); calls with re-INVITE and BYE from either side go through"""
    for k, (algorithm, qop) in enumerate((('', '0'), ('MD5', '1'), ('SHA-256', '1'))):
        bed = Bed(t, start=False, trunk_b=LOGIN)
        ip = t.ip(20)
        bed.doc['trunks'][1]['target'] = 'sip:%s:5060' % ip
        bed.d.write()
        bed.d.start()
        proxy = kamailio(t, ip, 5060, t.at['b'], t.party['b'], 'trunk', ('AUTH',), [('ALGORITHM', algorithm), ('QOP', qop), ('REDIRECT', bed.b.ip)])
        bed.b.peer = (ip, 5060)
        check(register(bed.b, '7440', ip).status == 200, 'REGISTER')
        c = bed.a.call('7440', sdp=sdp_text(bed.a.ip, 30000))
        i = bed.b.take(lambda m: m.method == 'INVITE', 3, 'INVITE through Kamailio (%s, %s)' % (algorithm, qop))
        i = Call(bed.b, '7440', i)
        i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
        c.wait(200)
        i.expect('ACK')
        c.reinvite(sdp_text(bed.a.ip, 30000, direction='sendonly', version=2))
        i.reply(200, to=i.expect('INVITE'), sdp=sdp_text(bed.b.ip, 31000, direction='recvonly', version=2))
        c.wait(200)
        i.expect('ACK')
        hang_up(c, i)
        bed.d.no_calls()
        check(bed.d.counter('postern_sip_challenges_answered_total') >= 1, 'nothing was challenged')
        bed.d.stop()
        proxy.end()
        bed.a.close()
        bed.b.close()


def register(agent, user, registrar, host=None):
    """REGISTER of the party's own at the proxy."""
    c = Call(agent, user)
    c.uri = 'sip:%s' % registrar
    c.local = c.remote = 'sip:%s@%s' % (user, host or registrar)
    return c.request('REGISTER', headers=[('Expires', '300')]).final()


@test()
def kamailio_redirects(t):
    """Kamailio's 302 with two Contacts is followed in its order"""
    bed = Bed(t, start=False, trunk_b={'redirect': 'follow'})
    ip = t.ip(20)
    bed.doc['trunks'][1]['target'] = 'sip:%s:5060' % ip
    bed.d.write()
    bed.d.start()
    kamailio(t, ip, 5060, t.at['b'], t.party['b'], 'trunk', (), [('ALGORITHM', ''), ('QOP', '0'), ('REDIRECT', bed.b.ip)])
    c = bed.a.call('3027', sdp=sdp_text(bed.a.ip, 30000))
    bed.b.await_call('first3027').reply(480)
    i = bed.b.await_call('second3027')
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
    c.wait(200)
    i.expect('ACK')
    hang_up(c, i)


@test()
def kamailio_forks(t):
    """Kamailio as registrar and forking proxy: two phones ring with early media of their own, the caller has one dialog; who answers gets the call, the other a CANCEL; a 2xx of both: one goes on"""
    bed = Bed(t, start=False)
    ip = t.ip(20)
    bed.doc['trunks'][1]['target'] = 'sip:%s:5060' % ip
    bed.d.write()
    bed.d.start()
    kamailio(t, ip, 5060, t.at['b'], t.party['b'], 'trunk', (), [('ALGORITHM', ''), ('QOP', '0'), ('REDIRECT', bed.b.ip)])
    phones = [Agent(t, t.ip(k), (ip, 5060)) for k in (31, 32, 33)]
    for p in phones:
        equal(register(p, '7450', ip).status, 200, 'REGISTER')
    c = bed.a.call('7450', sdp=sdp_text(bed.a.ip, 30000))
    legs = [Call(p, '7450', p.take(lambda m: m.method == 'INVITE', 3, 'INVITE')) for p in phones]
    for k, leg in enumerate(legs):
        leg.reply(183 if k else 180, sdp=sdp_text(leg.agent.ip, 31000 + 10 * k) if k else None)
    c.wait(180)
    c.wait(183)
    tags = {m.tag('to') for m in bed.a.inbox if m.status > 100} | {c.remote_tag}
    equal(len(tags), 1, 'dialogs that the caller sees')
    legs[2].reply(200, sdp=sdp_text(legs[2].agent.ip, 31020))
    c.wait(200)
    legs[2].expect('ACK')
    for leg in legs[:2]:
        k = leg.expect('CANCEL')
        leg.reply(200, to=k)
        leg.reply(487)
    tx = legs[2].request('BYE')
    c.answer_bye()
    equal(tx.final().status, 200, 'BYE')
    bed.d.no_calls()

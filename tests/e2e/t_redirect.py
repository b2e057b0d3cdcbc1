# SPDX-License-Identifier: Apache-2.0
"""`redirect: follow` (RFC 3261 8.1.3.4): order, limits, loops, addresses that may not be followed, names; `pass`."""
import socket

from lib.base import check, equal, test
from lib.daemon import Bed
from lib.sip import sdp_text
from lib.ua import Agent

from t_b2bua import begin, hang_up
from t_trunks import Dns


def follower(t, **kw):
    bed = Bed(t, trunk_b={'redirect': 'follow', **kw.pop('trunk', {})}, **kw)
    return bed


def contacts(*values):
    return [('Contact', ', '.join(values))]


def places(t, *hosts):
    return [Agent(t, t.ip(k), t.at['b']) for k in hosts]


@test()
def redirect_order(t):
    """Contacts by falling q, none counts as 1, equal ones as they stand, over several headers; those of a second 302 take their place among what is left"""
    bed = follower(t)
    p = places(t, 21, 22, 23, 24, 25)
    c, i = begin(bed, '7301')
    i.reply(302, headers=[('Contact', '<sip:c3@%s>;q=0.3' % p[2].ip), ('Contact', '<sip:c1@%s;user=phone>, "Second" <sip:c2@%s>;q=0.5;expires=60' % (p[0].ip, p[1].ip)), ('Contact', 'sip:c4@%s;q=0.001' % p[3].ip)])
    first = p[0].await_call('c1')
    equal(first.inv.uri, 'sip:c1@%s;user=phone' % p[0].ip, 'Request-URI')
    check(first.inv.addr('to').startswith('sip:7301@'), 'To of the redirected call: %s', first.inv.get('to'))
    check(bed.b.ip not in first.inv.raw.decode(), 'the redirecting address')
    first.reply(480)
    second = p[1].await_call('c2')
    second.reply(302, headers=contacts('<sip:c5@%s>;q=0.2' % p[4].ip))
    p[2].await_call('c3').reply(404)
    p[4].await_call('c5').reply(503)
    last = p[3].await_call('c4')
    last.reply(200, sdp=sdp_text(p[3].ip, 31000))
    c.wait(200)
    last.expect('ACK')
    hang_up(c, last)
    equal([x['status'] for x in bed.d.cdrs('7301')[0]['targets']], [302, 480, 302, 404, 503, 200], 'targets in the CDR')


@test()
def redirect_limit(t):
    """five Contacts are followed in a call, whoever gave them; then the last answer of a target is the caller's; a 6xx and the caller's CANCEL end it at once"""
    bed = follower(t)
    p = places(t, 21)[0]
    c, i = begin(bed, '7302')
    i.reply(302, headers=contacts(*('<sip:n%d@%s>' % (k, p.ip) for k in range(4))))
    for k in range(4):
        p.await_call('n%d' % k).reply(302, headers=contacts(*('<sip:m%d%d@%s>' % (k, x, p.ip) for x in range(3))))
    p.await_call('m00').reply(486)
    equal(c.wait(lambda m: m.status >= 300).status, 486, 'the caller gets')
    p.none(lambda m: m.method == 'INVITE', 0.3, 'a sixth Contact')
    c, i = begin(bed, '7303')
    i.reply(302, headers=contacts('<sip:x@%s>' % p.ip, '<sip:y@%s>' % p.ip))
    p.await_call('x').reply(603)
    equal(c.wait(lambda m: m.status >= 300).status, 603, 'the caller gets')
    c, i = begin(bed, '7304')
    i.reply(302, headers=contacts('<sip:x@%s>' % p.ip, '<sip:y@%s>' % p.ip))
    x = p.await_call('x')
    x.reply(180)
    c.wait(180)
    tx = c.cancel()
    x.reply(200, to=x.expect('CANCEL'))
    x.reply(487)
    equal(c.wait(lambda m: m.status >= 300).status, 487, 'the caller gets')
    tx.final()
    p.none(lambda m: m.method == 'INVITE', 0.3, 'a Contact after CANCEL')
    bed.d.no_calls()


@test()
def redirect_loops(t):
    """no address twice: back to who sent us, the same in other words, back and forth between two, our own listeners; another user at the same address is another address"""
    bed = follower(t)
    p = places(t, 21)[0]
    for n, where in enumerate(('<sip:731%%d@%s>' % bed.b.ip, '<sip:731%%d@%s:5060;transport=UDP;x=y>' % bed.b.ip, '<sip:any@%s:%d>' % t.at['b'], '<sip:any@%s:%d>' % t.at['a'])):
        c, i = begin(bed, '731%d' % n)
        i.reply(302, headers=contacts(where % n if '%d' in where else where))
        equal(c.wait(lambda m: m.status >= 300).status, 302, 'redirected to %s' % where)
    c, i = begin(bed, '7315')
    i.reply(302, headers=contacts('<sip:there@%s>' % p.ip, '<sip:there@%s:5060>;q=0.5' % p.ip))
    p.await_call('there').reply(301, headers=contacts('<sip:7315@%s>' % bed.b.ip, '<sip:other@%s>' % bed.b.ip, '<sip:there@%s>' % p.ip))
    bed.b.await_call('other').reply(302, headers=contacts('<sip:there@%s>' % p.ip))
    equal(c.wait(lambda m: m.status >= 300).status, 302, 'all known')
    for a in (p, bed.b):
        a.none(lambda m: m.method == 'INVITE', 0.3, 'an address twice')


@test()
def redirect_not_followed(t):
    """what is left out: private addresses of a public peer, transports that the realm has no listener for, other schemes, 380; `pass` shows the caller our own host"""
    bed = follower(t)
    for n, where in enumerate(('<sip:x@10.1.2.3>', '<sip:x@192.168.1.1:5070>', '<sip:x@%s;transport=tcp>' % t.ip(21), '<sips:x@%s>' % t.ip(21), '<mailto:x@y.example>',
                               '<tel:+4930>', '<sip:x@[2001:db8::1]>', '<sip:x@0.0.0.0>', '*')):
        c, i = begin(bed, '732%d' % n)
        i.reply(302, headers=contacts(where))
        r = c.wait(lambda m: m.status >= 300)
        equal(r.status, 302, 'redirected to %s' % where)
    p = places(t, 21)[0]
    c, i = begin(bed, '7331')
    i.reply(380, headers=contacts('<sip:x@%s>' % p.ip))
    equal(c.wait(lambda m: m.status >= 300).status, 380, 'alternative service')
    p.none(lambda m: m.method == 'INVITE', 0.2, 'a 380 followed')
    c, i = begin(bed, '7332')
    i.reply(305, headers=contacts('<sip:%s;lr>' % p.ip))
    m = p.await_call('7332')
    m.reply(486)
    equal(c.wait(lambda m: m.status >= 300).status, 486, 'use proxy')
    bed.d.stop()
    bed.a.close()
    bed.b.close()
    p.close()
    bed = Bed(t)
    c, i = begin(bed, '7333')
    i.reply(302, headers=contacts('"There" <sip:there@%s:5070>;q=0.3' % bed.b.ip, '<sip:or@pbx.inside.example>'))
    r = c.wait({302})
    values = r.tokens('contact')
    equal(len(values), 2, 'Contacts passed: %s' % values)
    check('sip:there@' in values[0] and 'sip:or@' in values[1] and bed.b.ip not in r.get('contact') and 'inside' not in r.get('contact'), 'Contacts passed: %s', values)


@test()
def redirect_to_names(t):
    """a Contact that is a DNS name: SRV and A are asked, the Request-URI has the name; one that does not exist, or leads to what was tried or to us, is passed over"""
    bed = follower(t, start=False)
    bed.doc['system']['dns'] = {'servers': ['%s:5353' % t.ip(9)], 'timeout': 1}
    bed.d.write()
    p = places(t, 21, 22)
    Dns(t, ['--host-record=a.test,%s' % p[0].ip, '--srv-host=_sip._udp.s.test,b.test,5060,1,1', '--host-record=b.test,%s' % p[1].ip,
            '--host-record=us.test,%s' % t.at['b'][0], '--host-record=back.test,%s' % bed.b.ip, '--host-record=private.test,10.4.4.4'])
    bed.d.start()
    c, i = begin(bed, '7341')
    i.reply(302, headers=contacts('<sip:one@a.test:5060>', '<sip:two@s.test>;q=0.5'))
    x = p[0].await_call('one')
    equal(x.inv.uri, 'sip:one@a.test:5060', 'Request-URI')
    x.reply(480)
    x = p[1].await_call('two')
    equal(x.inv.uri, 'sip:two@s.test', 'Request-URI')
    x.reply(200, sdp=sdp_text(p[1].ip, 31000))
    c.wait(200)
    x.expect('ACK')
    hang_up(c, x)
    for n, where in enumerate(('sip:x@none.test', 'sip:x@us.test:5060', 'sip:735%d@back.test:5060' % 2, 'sip:x@private.test:5060')):
        c, i = begin(bed, '735%d' % n)
        i.reply(302, headers=contacts('<%s>' % where, '<sip:last@%s>;q=0.1' % p[0].ip))
        p[0].await_call('last', 5).reply(486)
        equal(c.wait(lambda m: m.status >= 300).status, 486, where)


@test()
def redirect_name_without_dns(t):
    """DNS that never answers: the name is given up in time, CANCEL is served meanwhile, the call ends with the last answer"""
    mute = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    mute.bind((t.ip(9), 5353))
    bed = follower(t, start=False)
    bed.doc['system']['dns'] = {'servers': ['%s:5353' % t.ip(9)], 'timeout': 1}
    bed.d.write()
    bed.d.start()
    c, i = begin(bed, '7361')
    i.reply(302, headers=contacts('<sip:x@quiet.test>'))
    tx = c.cancel()
    equal((c.wait(lambda m: m.status >= 300).status, tx.final().status), (487, 200), 'CANCEL while a name is looked up')
    c, i = begin(bed, '7362')
    i.reply(302, headers=contacts('<sip:x@silent.test>'))
    equal(c.wait(lambda m: m.status >= 300, 12).status, 302, 'the caller gets')
    bed.d.no_calls()

# SPDX-License-Identifier: Apache-2.0
"""Proxies and NATs around us: route sets per leg, strict and loose routers, outbound proxies, sources that differ from what messages say (RFC 3261 12.2.1.1, 16.12, 18.2.2; RFC 3581)."""
import re

from lib.base import check, equal, test
from lib.daemon import Bed
from lib.sip import sdp_text
from lib.ua import Agent, Call

from t_b2bua import begin, hang_up


def uris(m, name):
    """URIs of a header's values, in order."""
    return [re.search(r'<([^>]*)>', v).group(1) for v in m.tokens(name)]


def router(t, bed, side, host):
    return Agent(t, t.ip(host), t.at[side])


def through(proxy, call, method, seconds=3.0):
    """A request of the call's dialog that came to the router; answered by the router in the party's place unless it is an ACK."""
    m = proxy.take(lambda m: m.method == method and m.call_id == call.call_id, seconds, '%s by the route' % method)
    if method != 'ACK':
        Call.reply(call, 200, to=m)
    return m


@test()
def route_set_loose(t):
    """loose routers on both legs: requests in the dialog go to the first of the leg's route set with all of it in Route, the Contact is the Request-URI"""
    bed = Bed(t)
    pa, pb = router(t, bed, 'a', 21), router(t, bed, 'b', 22)
    mine = ['<sip:%s;lr>' % pa.ip, '<sip:10.8.8.8:5099;lr=on;x=y>']
    c, i = begin(bed, '7001', [('Record-Route', ', '.join(mine))])
    check(not i.inv.all('route') and not i.inv.all('record-route'), 'the caller\'s route at the callee')
    theirs = ['<sip:far.example;lr>', '<sip:%s:5060;lr>' % pb.ip]
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000), headers=[('Record-Route', theirs[0]), ('Record-Route', theirs[1])])
    r = c.wait(200, ack=False)
    equal(r.tokens('record-route'), mine, 'Record-Route of the caller in our 200')
    c.ack(r)
    m = through(pb, i, 'ACK')
    equal(m.tokens('route'), [theirs[1], theirs[0]], 'Route of the ACK to the callee')
    equal(m.uri, 'sip:ua@%s:5060' % bed.b.ip, 'Request-URI of the ACK')
    i.request('BYE')
    m = through(pa, c, 'BYE')
    equal(uris(m, 'route'), ['sip:%s;lr' % pa.ip, 'sip:10.8.8.8:5099;lr=on;x=y'], 'Route of the BYE to the caller')
    equal(m.uri, 'sip:ua@%s:5060' % bed.a.ip, 'Request-URI of the BYE')
    bed.d.no_calls()


@test()
def route_set_is_kept(t):
    """a re-INVITE and its answer move the target, never the route set; a route set survives the engine"""
    bed = Bed(t)
    pb = router(t, bed, 'b', 22)
    rr = [('Record-Route', '<sip:%s;lr>' % pb.ip)]
    c, i = begin(bed, '7002')
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000), headers=rr)
    c.wait(200)
    through(pb, i, 'ACK')
    tx = c.reinvite(sdp_text(bed.a.ip, 30000, direction='sendonly', version=2))
    m = pb.take(lambda m: m.method == 'INVITE', 3, 're-INVITE by the route')
    moved = 'sip:elsewhere@%s:5060' % bed.b.ip
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000, direction='recvonly', version=2), to=m, headers=[('Record-Route', '<sip:10.7.7.7;lr>'), ('Contact', '<%s>' % moved)])
    c.wait(200)
    m = through(pb, i, 'ACK')
    equal((m.uri, uris(m, 'route')), (moved, ['sip:%s;lr' % pb.ip]), 'ACK of the re-INVITE')
    check(tx, 'the re-INVITE')
    old = bed.d.kill('engine')
    bed.d.restarted('engine', old)
    tx = c.request('BYE')
    m = through(pb, i, 'BYE', 5)
    equal((m.uri, uris(m, 'route')), (moved, ['sip:%s;lr' % pb.ip]), 'BYE after the engine\'s death')
    tx.final()


@test()
def route_set_strict(t):
    """a strict router first in the route set: it is the Request-URI, the target stands last in Route (12.2.1.1), on either leg"""
    bed = Bed(t)
    pa, pb = router(t, bed, 'a', 21), router(t, bed, 'b', 22)
    c, i = begin(bed, '7003', [('Record-Route', '<sip:%s:5060>' % pa.ip), ('Record-Route', '<sip:next.example;lr>')])
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000), headers=[('Record-Route', '<sip:proxy@%s>' % pb.ip)])
    c.wait(200)
    m = through(pb, i, 'ACK')
    equal((m.uri, uris(m, 'route')), ('sip:proxy@%s' % pb.ip, ['sip:ua@%s:5060' % bed.b.ip]), 'ACK to the callee')
    tx = c.request('INFO', body='x', ctype='text/plain')
    m = through(pb, i, 'INFO')
    equal((m.uri, uris(m, 'route')), ('sip:proxy@%s' % pb.ip, ['sip:ua@%s:5060' % bed.b.ip]), 'INFO to the callee')
    tx.final()
    i.request('BYE')
    m = through(pa, c, 'BYE')
    equal((m.uri, uris(m, 'route')), ('sip:%s:5060' % pa.ip, ['sip:next.example;lr', 'sip:ua@%s:5060' % bed.a.ip]), 'BYE to the caller')


@test()
def route_names_us(t):
    """Route headers that name us, in and out of dialogs, alone and before others, are ours to take: the call goes as if they were not there"""
    bed = Bed(t)
    us = '<sip:%s:%d;lr>' % t.at['a']
    for n, routes in enumerate(([us], [us, '<sip:10.1.1.1;lr>'], ['<sip:%s>' % t.at['a'][0]])):
        c, i = begin(bed, '701%d' % n, [('Route', r) for r in routes])
        check(not i.inv.all('route'), 'Route at the callee: %s', i.inv.all('route'))
        i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
        c.wait(200, ack=False)
        c.routes = routes
        c.ack(c.established)
        check(not i.expect('ACK').all('route'), 'Route of the ACK')
        tx = c.request('INFO', body='x', ctype='text/plain')
        m = i.expect('INFO')
        check(not m.all('route'), 'Route of the INFO')
        i.reply(200, to=m)
        tx.final()
        hang_up(c, i)


@test()
def outbound_proxies(t):
    """`outbound_proxy`: requests go there, the Request-URI names the target; the next proxy when the first is silent; what the callee's Contact and Record-Route say counts in the dialog"""
    target = 'sip:pbx.inside.example:5080'
    bed = Bed(t, trunk_b={'target': target, 'outbound_proxy': ['sip:%s' % t.ip(23), 'sip:%s' % t.ip(22)], 'failover': {'tries': 1, 'try_timeout': 0.7}})
    dead, pb = router(t, bed, 'b', 23), router(t, bed, 'b', 22)
    c = bed.a.call('7021', sdp=sdp_text(bed.a.ip, 30000))
    for p in (dead, pb):
        i = p.await_call('7021')
        equal(i.inv.uri, 'sip:7021@pbx.inside.example:5080', 'Request-URI')
        equal(i.inv.addr('to'), 'sip:7021@pbx.inside.example:5080' if ':5080' in i.inv.addr('to') else 'sip:7021@pbx.inside.example', 'To')
    i = Call(bed.b, '7021', i.inv)
    pb_reply = Call.reply
    i.agent = pb
    pb_reply(i, 200, sdp=sdp_text(bed.b.ip, 31000), headers=[('Record-Route', '<sip:%s;lr>' % pb.ip), ('Contact', '<sip:ua@%s:5060>' % bed.b.ip)])
    c.wait(200)
    m = through(pb, i, 'ACK')
    equal((m.uri, uris(m, 'route')), ('sip:ua@%s:5060' % bed.b.ip, ['sip:%s;lr' % pb.ip]), 'ACK')
    tx = c.request('BYE')
    through(pb, i, 'BYE')
    equal(tx.final().status, 200, 'BYE')


@test()
def via_rport_and_received(t):
    """answers go to the source where the Via has rport, and name it (RFC 3581); without rport to the Via's port at the source, with received where the host differs;
    a private host that is not the source is behind a NAT: it is answered as if it had asked"""
    bed = Bed(t)
    there = Agent(t, bed.a.ip, t.at['a'], port=5099)
    c = Call(bed.a, '')
    for via, where, want in (('10.3.3.3:5077;rport', bed.a, {'received': bed.a.ip, 'rport': '5060'}), ('%s:5099;rport' % bed.a.ip, bed.a, {'rport': '5060'}),
                             ('203.0.113.3:5099', there, {'received': bed.a.ip}), ('gw.example.com:5099', there, {'received': bed.a.ip}), ('%s:5099' % bed.a.ip, there, {}),
                             ('10.3.3.3:5099', bed.a, {'received': bed.a.ip, 'rport': '5060'})):
        c.uri = 'sip:%s:%d' % t.at['a']
        m = c.build('OPTIONS')
        host, semi, rest = via.partition(';')
        m.headers[0] = ('Via', 'SIP/2.0/UDP %s;branch=%s%s' % (host, m.branch, semi + rest))
        bed.a.transmit(m.bytes())
        r = where.take(lambda r: r.status and r.branch == m.branch, 3, 'answer to Via %s' % via)
        for key, value in want.items():
            check(re.search(r';%s=%s(;|$)' % (key, re.escape(value)), r.get('via')), 'Via %s: %s is not %s in %s', via, key, value, r.get('via'))


@test()
def nat_off(t):
    """`nat: off`: requests in the dialog go to the Contact, wherever the peer speaks from; `auto` believes a Contact that is not private"""
    off = {'nat': 'off'}
    bed = Bed(t, trunk_a=off, trunk_b=off)
    ca, cb = router(t, bed, 'a', 24), router(t, bed, 'b', 25)
    for private in (False, True):
        c, i = begin(bed, '7031', [('Contact', '<sip:me@%s>' % ('10.255.3.4' if private else ca.ip))])
        i.reply(200, sdp=sdp_text(bed.b.ip, 31000), headers=[('Contact', '<sip:you@%s>' % ('192.168.255.4' if private else cb.ip))])
        c.wait(200)
        if private:
            bed.b.none(lambda m: m.method == 'ACK', 0.5, 'an ACK at the source, not at the Contact')
            bed.d.delete('/calls/%s' % bed.d.calls()[0]['id'])
            bed.a.none(lambda m: m.method == 'BYE', 0.5, 'a BYE at the source, not at the Contact')
            continue
        equal(through(cb, i, 'ACK').uri, 'sip:you@%s' % cb.ip, 'ACK')
        i.request('BYE')
        equal(through(ca, c, 'BYE').uri, 'sip:me@%s' % ca.ip, 'BYE')


@test()
def nat_with_routes(t):
    """a private Contact behind a proxy that records its route is reached by the route, not at the source of the answer"""
    bed = Bed(t)
    pb = router(t, bed, 'b', 22)
    c, i = begin(bed, '7032')
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000), headers=[('Contact', '<sip:you@192.168.4.4>'), ('Record-Route', '<sip:%s;lr>' % pb.ip)])
    c.wait(200)
    m = through(pb, i, 'ACK')
    equal((m.uri, uris(m, 'route')), ('sip:you@192.168.4.4', ['sip:%s;lr' % pb.ip]), 'ACK')
    tx = c.request('BYE')
    through(pb, i, 'BYE')
    tx.final()


@test()
def nat_binding_moves(t):
    """a caller behind a NAT whose binding moved is reached where its latest request came from"""
    bed = Bed(t)
    moved = Agent(t, bed.a.ip, t.at['a'], port=5093)
    c, i = begin(bed, '7033', [('Contact', '<sip:me@10.11.12.13:5066>')])
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
    c.wait(200)
    i.expect('ACK')
    c.agent = moved
    tx = c.request('INFO', headers=[('Contact', '<sip:me@10.11.12.13:5066>')], body='x', ctype='text/plain')
    i.reply(200, to=i.expect('INFO'))
    tx.final()
    tx = i.request('BYE')
    equal(through(moved, c, 'BYE').uri, 'sip:me@10.11.12.13:5066', 'BYE')
    tx.final()

# SPDX-License-Identifier: Apache-2.0
"""TLS beyond the handshake: certificates renewed under calls, client certificates, names, sips (RFC 3261 26, RFC 5922)."""
import os
import signal
import socket
import ssl
import time

from lib import certs
from lib.base import check, equal, test, until
from lib.daemon import Bed, context
from lib.sip import sdp_text
from lib.ua import Agent, Call

from t_b2bua import begin, hang_up
from t_call import establish
from t_trunks import Dns


def served(t, at):
    """The certificate that a new connection is shown."""
    with context(t, False, cert='party').wrap_socket(socket.create_connection(at, 3)) as s:
        return s.getpeercert(True)


def renew(t, bed, san=None):
    """Another certificate of the same name, in the files of the configuration."""
    cs = certs.make(t)
    cs.leaf('edge', 'sbc.test', 'DNS:sbc.test,' + ','.join('IP:' + t.ip(k) for k in (1, 2)))
    for name in ('edge.pem', 'edge.key'):
        bed.d.files[name] = cs.read(name)
    bed.d.write()
    return ssl.PEM_cert_to_DER_cert(cs.read('edge.pem').decode())


@test()
def tls_renewed_under_calls(t):
    """a renewed certificate is served to new connections; those that stand, the peers' and ours, go on with their calls, and carry new ones; by SIGHUP and by PUT"""
    bed = Bed(t, a='tls', b='tls')
    c, i, _, _ = establish(bed, bed.a, bed.b, '7501')
    before = (bed.a.out, list(bed.b.conns))
    first = served(t, t.at['a'])
    want = renew(t, bed)
    os.kill(bed.d.proc.pid, signal.SIGHUP)
    until(lambda: served(t, t.at['a']) == want, 4, 'the renewed certificate')
    check(first != want and served(t, t.at['b']) == want, 'both listeners of the profile')
    tx = c.request('INFO', body='x', ctype='text/plain')
    i.reply(200, to=i.expect('INFO'))
    equal(tx.final().status, 200, 'INFO on the old connections')
    hang_up(c, i)
    c, i, _, _ = establish(bed, bed.a, bed.b, '7502')
    hang_up(c, i)
    check(bed.a.out is before[0] and before[0].open, 'the connection of the caller was dropped')
    check(before[1] and all(k.open for k in before[1]), 'the connection to the callee was dropped')
    again = renew(t, bed)
    r = bed.d.http('PUT', '/certificates/edge.pem', {'certificate': bed.d.files['edge.pem'].decode(), 'key': bed.d.files['edge.key'].decode()})
    equal(r.status, 200, 'PUT')
    until(lambda: served(t, t.at['a']) == again, 4, 'the certificate that was PUT')
    check(before[0].open, 'the connection of the caller was dropped')
    old = bed.d.kill('engine')
    bed.d.restarted('engine', old)
    bed.a.out = None
    c, i, _, _ = establish(bed, bed.a, bed.b, '7503')
    hang_up(c, i)


@test()
def tls_client_certificate_optional(t):
    """verify `optional`: peers without a certificate are taken, with a good one too, with one of a foreign CA not; `tls_subject` tells trunks apart by it"""
    bed = Bed(t, start=False, a='tls', b='udp', tls={'verify': 'optional'})
    row = bed.doc['trunks'][0]
    row['match'] = {'tls_subject': 'party\\.test'}
    bed.doc['trunks'].append({**row, 'id': 'plain', 'match': {}})
    bed.doc['routes'].append({'id': 'plain', 'order': 5, 'from': ['plain'], 'match': {'to_user': '^75129'}, 'to': 'b'})
    bed.d.write()
    rc, out = bed.d.run('--check')
    if rc:          # two trunks of one address that match alone tells apart
        bed.doc['trunks'].pop()
        bed.doc['routes'].pop()
        row['match'] = {}
        bed.d.write()
    bed.d.start()
    for n, cert in enumerate((None, 'party')):
        bed.a.client_tls = context(t, False, cert=cert)
        bed.a.out = None
        number = '7512%d' % (9 if cert is None and not rc else n)
        c = bed.a.call(number, sdp=sdp_text(bed.a.ip, 30000))
        i = bed.b.await_call(number)
        i.reply(486)
        c.wait({486})
        equal(bed.d.cdrs(number)[0]['trunk_in'], 'plain' if cert is None and not rc else 'a', 'trunk of a peer with certificate %s' % cert)
    bed.a.client_tls = context(t, False, cert='other')
    bed.a.out = None
    try:
        bed.a.call('75123', sdp=sdp_text(bed.a.ip, 30000))
    except OSError:
        pass
    bed.b.none(lambda m: m.method == 'INVITE', 0.7, 'a call of a peer with a foreign certificate')


@test()
def tls_host_names_checked(t):
    """a trunk named by host: that name is asked for (SNI) and must stand in the certificate, not the address, nor another name; a wrong one gets no INVITE and is told in the log"""
    for name, good in (('party.test', True), ('wrong.test', False)):
        bed = Bed(t, start=False, a='udp', b='tls')
        got = []
        bed.b.server_tls.sni_callback = lambda sock, sni, ctx: got.append(sni)
        bed.doc['system']['dns'] = {'servers': ['%s:5353' % t.ip(9)], 'timeout': 1}
        bed.doc['trunks'][1]['target'] = 'sip:%s:%d;transport=tls' % (name, t.party['b'][1])
        bed.d.write()
        dns = Dns(t, ['--host-record=%s,%s' % (name, bed.b.ip)])
        bed.d.start()
        c = bed.a.call('7521', sdp=sdp_text(bed.a.ip, 30000))
        if good:
            i = bed.b.await_call('7521')
            equal(i.inv.uri, 'sip:7521@%s:%d' % (name, t.party['b'][1]), 'Request-URI')
            i.reply(486)
            equal(c.wait(lambda m: m.status >= 300).status, 486, 'final')
        else:
            equal(c.wait(lambda m: m.status >= 300, 8).status, 503, 'final')
            bed.b.none(lambda m: m.method == 'INVITE', 0.2, 'an INVITE to a peer of another name')
            check('handshake failed' in bed.d.log(), 'nothing in the log')
        check(got and set(got) == {name}, 'SNI: %s', got)
        bed.d.stop()
        dns.stop()
        bed.a.close()
        bed.b.close()


@test()
def sips_over_tls_alone(t):
    """sips: to a trunk whose target is sips: TLS, a sips Request-URI and To, a sips Contact (RFC 3261 8.1.1.8); a sips Request-URI from a caller gets a sips Contact (12.1.1); sips never goes over UDP or TCP"""
    bed = Bed(t, start=False, a='tls', b='tls')
    bed.doc['trunks'][1]['target'] = 'sips:%s:%d' % t.party['b']
    bed.d.write()
    bed.d.start()
    c = Call(bed.a, '7531')
    c.uri = c.remote = 'sips:7531@%s:%d' % t.at['a']
    c.invite(sdp=sdp_text(bed.a.ip, 30000), headers=[('Contact', '<sips:ua@%s:%d>' % (bed.a.ip, bed.a.port))])
    i = bed.b.await_call('7531')
    check(i.inv.uri.startswith('sips:7531@') and i.inv.addr('to').startswith('sips:7531@'), 'Request-URI %s, To %s', i.inv.uri, i.inv.get('to'))
    equal(i.inv.addr('contact'), 'sips:%s:%d' % t.at['b'], 'Contact to the callee')
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000), headers=[('Contact', '<sips:ua@%s:%d>' % (bed.b.ip, bed.b.port))])
    equal(c.wait(200).addr('contact'), 'sips:%s:%d' % t.at['a'], 'Contact to the caller')
    equal(i.expect('ACK').uri, 'sips:ua@%s:%d' % (bed.b.ip, bed.b.port), 'Request-URI of the ACK')
    for agent in (bed.a, bed.b):
        for conn in list(agent.conns):
            conn.close()
        agent.out = None
    time.sleep(0.2)
    tx = i.request('BYE')
    m = c.expect('BYE', 5)
    check(m.uri.startswith('sips:ua@') and '/TLS' in m.get('via'), 'BYE: %s over %s', m.uri, m.get('via'))
    c.reply(200, to=m)
    tx.final()
    bed.d.stop()
    bed.a.close()
    bed.b.close()
    bed = Bed(t, start=False)
    bed.doc['trunks'][1]['target'] = 'sips:%s:%d' % t.party['b']
    bed.d.write()
    rc, out = bed.d.run('--check')
    if not rc:
        bed.d.start()
        c = bed.a.call('7532', sdp=sdp_text(bed.a.ip, 30000))
        equal(c.wait(lambda m: m.status >= 300).status, 503, 'a sips trunk without a TLS listener')
        bed.b.none(lambda m: m.method == 'INVITE', 0.2, 'sips over UDP')


@test()
def tls_expired_and_not_yet(t):
    """a peer whose certificate is expired gets no INVITE"""
    bed = Bed(t, start=False, a='udp', b='tls')
    cs = certs.make(t)
    cs.leaf('late', 'party.test', 'DNS:party.test,IP:' + bed.b.ip, days='-1')
    bed.b.server_tls = context(t, True, cert='late')
    bed.d.start()
    c = bed.a.call('7541', sdp=sdp_text(bed.a.ip, 30000))
    equal(c.wait(lambda m: m.status >= 300, 8).status, 503, 'final')
    bed.b.none(lambda m: m.method == 'INVITE', 0.2, 'an INVITE to a peer with an expired certificate')

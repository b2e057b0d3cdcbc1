# SPDX-License-Identifier: Apache-2.0
"""
The table of mid-call purposes (design.md section 6), each row by re-INVITE and by UPDATE, from the caller and from the callee: in the built-in profiles, and in
profiles of one action for all. What the other side gets is compared byte by byte.
"""
import re

from lib.base import Fail, check, equal, test
from lib.daemon import Bed
from lib.sip import sdp_text

ALLOW = ('Allow', 'INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO')
PAI = 'P-Asserted-Identity'
VIDEO = ('m=video 5000 RTP/AVP 96', 'a=rtpmap:96 H264/90000')
NO_VIDEO = ('m=video 0 RTP/AVP 96',)
FAX = ['v=0', 'o=ua 1000 9 IN IP4 %s', 's=call', 'c=IN IP4 %s', 't=0 0', 'm=image %d udptl t38', 'a=T38FaxVersion:0', 'a=T38FaxMaxBuffer:72']
PURPOSES = ('refresh', 'offerless', 'hold', 'address', 'codec', 'order', 'other', 'add', 'remove', 'fax', 'identity')
MEDIA_CHANGE = dict(refresh='consume', offerless='consume', hold='relay', address='consume', codec='relay', other='relay', add='relay', remove='relay', fax='relay',
                    identity='relay')
CONSUME_ALL = dict({p: 'consume' for p in MEDIA_CHANGE}, fax=488)
CUBE = dict(CONSUME_ALL, codec='consume-or-relay', add='relay', fax='relay')
BUILT_IN = {'media-change': MEDIA_CHANGE, 'consume-all': CONSUME_ALL, 'cube': CUBE, 'relay-all': {p: 'relay' for p in MEDIA_CHANGE}}


def fax(ip, port):
    return '\r\n'.join(FAX) % (ip, ip, port) + '\r\n'


def asked(x, purpose):
    """(SDP, headers) of a request of this purpose."""
    kw, port, headers = dict(version=2), x.port, []
    if purpose in ('refresh', 'offerless', 'remove'):
        kw['extra'] = NO_VIDEO if purpose == 'remove' else ()
    elif purpose == 'hold':
        kw['direction'] = 'sendonly'
    elif purpose == 'address':
        port += 10
    elif purpose == 'codec':
        kw['formats'] = '8 101'
    elif purpose == 'order':
        kw['formats'] = '8 0 101'
    elif purpose == 'other':
        kw['extra'] = ('a=maxptime:40',)
    elif purpose == 'add':
        kw['extra'] = VIDEO
    elif purpose == 'identity':
        headers = [(PAI, '<sip:4930777@id.example>')]
    elif purpose == 'fax':
        return fax(x.agent.ip, x.port), headers
    return sdp_text(x.agent.ip, port, **kw), headers


def shown(before, purpose, got):
    """What the other side is to be shown, byte by byte; got: for the port of a new line."""
    def bump(text):
        return re.sub(r'(?m)^(o=\S+ \d+ )(\d+)', lambda m: m.group(1) + str(int(m.group(2)) + 1), text)

    new = re.search(r'm=(?:video|image) (\d+) ', got)
    conn = re.search(r'(?m)^m=.*\r\n(c=.*\r\n)', before).group(1)
    text = before
    if purpose == 'hold':
        text += 'a=sendonly\r\n'
    elif purpose == 'codec':
        text = text.replace(' 0 8 101', ' 8 101').replace('a=rtpmap:0 PCMU/8000\r\n', '')
    elif purpose == 'order':
        text = text.replace(' 0 8 101', ' 8 0 101').replace('a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n', 'a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n')
    elif purpose == 'other':
        text += 'a=maxptime:40\r\n'
    elif purpose == 'add':
        text += 'm=video %s RTP/AVP 96\r\n%sa=rtpmap:96 H264/90000\r\n' % (new.group(1), conn)
    elif purpose == 'remove':
        text = text[:text.index('m=video')] + 'm=video 0 RTP/AVP 96\r\n'
    elif purpose == 'fax':
        text = text[:text.index('m=audio')] + 'm=image %s udptl t38\r\n%sa=T38FaxVersion:0\r\na=T38FaxMaxBuffer:72\r\n' % (new.group(1), conn)
    return text if text == before else bump(text)


def answer_of(y, purpose):
    kw = {'hold': dict(direction='recvonly'), 'codec': dict(formats='8 101'), 'order': dict(formats='8 0 101'), 'add': dict(extra=VIDEO),
          'remove': dict(extra=NO_VIDEO)}.get(purpose, {})
    return fax(y.agent.ip, y.port) if purpose == 'fax' else sdp_text(y.agent.ip, y.port, version=2, **kw)


def o_rule(before, now, where):
    (id0, v0), (id1, v1) = before.origin, now.origin
    equal(id1, id0, where + ': session id')
    same = re.sub('(?m)^o=.*', '', before.text) == re.sub('(?m)^o=.*', '', now.text)
    equal(v1, v0 + (not same), where + ': version of o=')


def relayed(x, y, purpose, method, tx, before, where):
    m = y.agent.take(lambda m: m.method in ('INVITE', 'UPDATE') and m.call_id == y.call_id, 3, where + ': nothing goes on, ' + method)
    equal(m.method, method, where + ': goes on as')
    if m.sdp:
        got = m.sdp.text
        equal(got, shown(before, purpose, got), where + ': what the other side is shown')
        y.rsdp = m.sdp
    elif purpose not in ('refresh', 'offerless', 'identity', 'address'):
        raise Fail(where + ': goes on without its SDP')
    equal(m.get(PAI), '<sip:4930777@%s>' % y.agent.peer[0] if purpose == 'identity' else m.get(PAI), where + ': identity')
    y.reply(200, to=m, sdp=answer_of(y, purpose) if m.sdp or method == 'INVITE' else None, headers=[ALLOW])
    r = tx.final()
    equal(r.status, 200, where + ': final')
    return m, r


def row(bed, x, y, purpose, action, method, where):
    body, headers = asked(x, purpose)
    if purpose == 'order' and x.inv:
        purpose = 'address'     # an answer's order said nothing: for the callee it is a refresh, with SDP by either method
    if purpose == 'offerless' or (purpose == 'refresh' and method == 'UPDATE'):
        body = ''
    before_x, before_y = x.rsdp, y.rsdp
    can = purpose not in ('codec', 'fax')
    want = ('relay' if not can else 'consume') if action == 'consume-or-relay' else 488 if action == 'consume' and not can else action
    tx = x.request(method, headers + [ALLOW], body)
    m = None
    if want == 'relay':
        m, r = relayed(x, y, purpose, method, tx, before_y.text, where)
    else:
        r = tx.final()
        equal(r.status, want if isinstance(want, int) else 200, where + ': final')
    if r.status == 200:
        if r.sdp:
            o_rule(before_x, r.sdp, where)
            equal(r.sdp.direction() if purpose != 'fax' else '', {'hold': 'recvonly', 'fax': ''}.get(purpose, 'sendrecv'), where + ': direction of the answer')
            if purpose in ('add', 'remove'):
                equal(r.sdp.port(1) > 0, want == 'relay' and purpose == 'add', where + ': the second stream of the answer lives')
            x.rsdp = r.sdp
        check(r.sdp or not body, '%s: no answer', where)
    if method == 'INVITE' and r.status == 200:
        x.ack(r, body=sdp_text(x.agent.ip, x.port, version=2) if purpose == 'offerless' else b'')
    elif method == 'INVITE':
        x.tx = tx
        x._ack_failure(r)
    if m and method == 'INVITE':
        k = y.expect('ACK')
        check(bool(k.body) == (not m.sdp), '%s: answer in our ACK', where)


def up(bed, number, two):
    extra = VIDEO if two else ()
    headers = [ALLOW, (PAI, '<sip:4930111@id.example>')]
    c = bed.a.call(number, sdp=sdp_text(bed.a.ip, 30000, extra=extra), headers=headers)
    i = bed.b.await_call(number)
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000, extra=extra), headers=headers)
    c.wait(200)
    i.expect('ACK')
    c.port, i.port = 30000, 31000
    return c, i


def profile(bed, name):
    for trunk in ('a', 'b'):
        r = bed.d.http('PATCH', '/config/trunks/' + trunk, {'mid_call': name}, ctype='application/merge-patch+json')
        equal(r.status, 200, 'PATCH of the profile: ' + r.text[:200])


def run(bed, name, actions, base):
    """Every purpose, method and side under one profile."""
    profile(bed, name)
    n = 0
    for purpose in PURPOSES:
        for method in ('INVITE', 'UPDATE'):
            for side in ('caller', 'callee'):
                if purpose == 'offerless' and method == 'UPDATE':
                    continue
                where = '%s, %s by %s of the %s' % (name, purpose, method, side)
                action = actions['refresh' if purpose == 'order' and side == 'callee' else 'codec' if purpose == 'order' else purpose]
                c, i = up(bed, str(base + n), purpose == 'remove')
                n += 1
                row(bed, *((c, i) if side == 'caller' else (i, c)), purpose, action, method, where)
                tx = c.request('BYE')
                i.answer_bye()
                equal(tx.final().status, 200, where + ': BYE')
    for agent in (bed.a, bed.b):
        left = agent.peek(lambda m: m.method in ('INVITE', 'UPDATE'))
        check(not left, '%s: went on although it was to be answered here: %s', name, left)
    return n


@test()
def midtable_built_in(t):
    """each row of the table in each built-in profile, by re-INVITE and UPDATE, from either side; each decision is counted"""
    bed = Bed(t)
    n = sum(run(bed, name, actions, 3000 + 100 * k) for k, (name, actions) in enumerate(BUILT_IN.items()))
    equal(n, 4 * (11 * 2 - 1) * 2, 'combinations')
    text = bed.d.get('/metrics').text
    for purpose in MEDIA_CHANGE:
        for action in {a[purpose] for a in BUILT_IN.values()} & {'consume', 'relay'}:
            m = re.search(r'postern_midcall_purposes_total\{purpose="%s",action="%s"\} (\d+)' % (purpose, action), text)
            check(m and int(m.group(1)) > 0, 'no count of %s, %s', purpose, action)


@test()
def midtable_matrix(t):
    """generated: every action for every purpose, method and side has its outcome"""
    bed = Bed(t, start=False)
    names = ('refresh', 'hold', 'address', 'codec', 'other', 'add', 'remove', 'fax', 'identity')
    every = {'m%d' % k: action for k, action in enumerate(('consume', 'relay', 'consume-or-relay', 603))}
    bed.doc['mid_call'] = [{'id': name, 'reinvite': {p: action for p in names + ('offerless',)}, 'update': {p: action for p in names}} for name, action in every.items()]
    bed.d.write()
    bed.d.start()
    n = sum(run(bed, name, {p: action for p in MEDIA_CHANGE}, 4000 + 100 * k) for k, (name, action) in enumerate(every.items()))
    equal(n, 4 * (11 * 2 - 1) * 2, 'combinations')

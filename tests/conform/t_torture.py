# SPDX-License-Identifier: Apache-2.0
"""
The torture messages of RFC 4475 and RFC 5118, sent by a trunk to the running daemon, over TCP where their Via says TCP or TLS, else over UDP. What each got is compared with what is right, and with
docs/CONFORMANCE.md, whose tables `tests/conform/page` writes. The messages themselves are not ours: they lie in the corpora (POSTERN_CORPORA).
"""
import os
import re
import socket
import time

from lib.base import ROOT, Fail, check, corpus, equal, test, until
from lib.daemon import Bed
from lib.sip import Msg, sdp_text
from lib.ua import Agent, Call

PAGE = os.path.join(ROOT, 'docs', 'CONFORMANCE.md')
FOR_US = {200, 404, 405}            # an OPTIONS that is answered
NO_REGISTRAR = {403, 404, 405, 501}  # registrations come with their own issue

# folder, file, clause, what it tries, what is right: statuses, `call` (goes on as an INVITE), `silence`
TABLE = [
    ('sip-torture-rfc4475', 'wsinv', '4475 3.1.1.1', 'folding, white space, compact forms wherever they are allowed; it has a To tag', {481}),
    ('sip-torture-rfc4475', 'esc01', '4475 3.1.1.3', 'escapes in the user part that look like another URI', {'call'}),
    ('sip-torture-rfc4475', 'lwsdisp', '4475 3.1.1.6', 'no space between display name and <', FOR_US),
    ('sip-torture-rfc4475', 'longreq', '4475 3.1.1.7', 'very long values', {'call', 413, 414, 513}),
    ('sip-torture-rfc4475', 'transports', '4475 3.1.1.10', 'unknown transports in Via', FOR_US),
    ('sip-torture-rfc4475', 'unreason', '4475 3.1.1.12', 'a response of nobody, with a reason in UTF-8', {'silence'}),
    ('sip-torture-rfc4475', 'badinv01', '4475 3.1.2.1', 'separators without values', {400, 'silence'}),
    ('sip-torture-rfc4475', 'clerr', '4475 3.1.2.2', 'Content-Length beyond the datagram', {400, 'silence'}),
    ('sip-torture-rfc4475', 'scalar02', '4475 3.1.2.4', 'numbers out of range', {400, 'silence'}),
    ('sip-torture-rfc4475', 'quotbal', '4475 3.1.2.6', 'an open quote', {400, 'silence'}),
    ('sip-torture-rfc4475', 'ltgtruri', '4475 3.1.2.7', '<> around the Request-URI', {400, 'silence'}),
    ('sip-torture-rfc4475', 'lwsruri', '4475 3.1.2.8', 'a space in the Request-URI', {400, 'silence'}),
    ('sip-torture-rfc4475', 'baddate', '4475 3.1.2.12', 'Date in another zone than GMT', {400, 'call'}),
    ('sip-torture-rfc4475', 'regbadct', '4475 3.1.2.13', 'a Contact with headers and no <>', NO_REGISTRAR | {400}),
    ('sip-torture-rfc4475', 'badaspec', '4475 3.1.2.14', 'spaces within an addr-spec', FOR_US | {400, 'silence'}),
    ('sip-torture-rfc4475', 'mismatch01', '4475 3.1.2.17', 'CSeq of another method', {400, 'silence'}),
    ('sip-torture-rfc4475', 'bigcode', '4475 3.1.2.19', 'a status of ten digits', {'silence'}),
    ('sip-torture-rfc4475', 'badbranch', '4475 3.2.1', 'a branch of the magic cookie alone', FOR_US),
    ('sip-torture-rfc4475', 'insuf', '4475 3.3.1', 'no Call-ID, From, To', {400, 'silence'}),
    ('sip-torture-rfc4475', 'unkscm', '4475 3.3.2', 'an unknown scheme in the Request-URI', {416}),
    ('sip-torture-rfc4475', 'unksm2', '4475 3.3.4', 'unknown schemes in To and Contact', NO_REGISTRAR | {400}),
    ('sip-torture-rfc4475', 'bext01', '4475 3.3.5', 'unknown extensions required; Via says TLS, it comes over TCP', {420, 'silence'}),
    ('sip-torture-rfc4475', 'regaut01', '4475 3.3.7', 'an unknown authorization scheme', NO_REGISTRAR | {401}),
    ('sip-torture-rfc4475', 'zeromf', '4475 3.3.11', 'Max-Forwards: 0', {200, 483}),
    ('sip-torture-rfc4475', 'cparam01', '4475 3.3.12', 'an unknown parameter of Contact', NO_REGISTRAR),
    ('sip-torture-rfc5118', 'ipv6-good', '5118 4.1', 'an IPv6 reference', NO_REGISTRAR),
    ('sip-torture-rfc5118', 'port-unambiguous', '5118 4.4', 'an IPv6 reference and a port', NO_REGISTRAR),
    ('sip-torture-rfc5118', 'via-received-param-no-delim', '5118 4.5', 'received= without brackets', FOR_US),
    ('sip-torture-rfc5118', 'ipv6-in-sdp/ipv6-in-sdp', '5118 4.6', 'IPv6 in SDP, Content-Length as the RFC has it', {'call', 400, 'silence'}),
    ('sip-torture-rfc5118', 'ipv6-in-sdp/ipv6-in-sdp.fixed', '5118 4.6', 'IPv6 in SDP', {'call'}),
    ('sip-torture-rfc5118', 'ipv6-bug-abnf-3-colons', '5118 4.10', 'three colons', FOR_US | {400}),
    ('sip-torture-rfc5118', 'ipv6-correct-abnf-2-colons', '5118 4.10', 'two colons', FOR_US),
]


class Listener:
    """What comes to the ports that the messages' Vias name: the answer goes to the source address and the port of the Via (RFC 3261 18.2.2)."""

    def __init__(self, t, ip, own):
        self.socks = []
        for port in (5050, 5060, 5070):
            if port == own.port:
                continue
            s = socket.socket(own.family, socket.SOCK_DGRAM)
            s.bind((ip, port))
            s.setblocking(False)
            self.socks.append(s)
            t.defer(s.close)

    def messages(self):
        out = []
        for s in self.socks:
            while True:
                try:
                    out.append(Msg.parse(s.recv(65536)))
                except (OSError, ValueError):
                    break
        return out


def outcome(bed, listener, name, data):
    """What became of a message: (words for the page, the key of the table)."""
    a, b = bed.a, bed.b
    with a.lock:
        a.inbox.clear()
        a.seen.clear()
    b.inbox.clear()
    sent = Msg.parse(data)
    conn = None
    if re.match(r'SIP\s*/\s*2.0\s*/\s*T', sent.get('via')):
        conn = bed.tcp.connect()
        conn.send(data)
    else:
        a.sock.sendto(data, a.peer)
    answers, call = [], None
    end = time.monotonic() + 1.2
    while time.monotonic() < end:
        answers += [m for m in listener.messages() if m.call_id == sent.call_id]
        for x in (a, bed.tcp):
            with x.lock:
                answers += [m for m in x.inbox if m.call_id == sent.call_id]
                x.inbox.clear()
        for m in b.peek(lambda m: m.method == 'INVITE'):
            b.inbox.remove(m)
            call = Call(b, name, m)
            call.reply(486)
        for m in b.peek(lambda m: m.method == 'OPTIONS'):       # for a user: it goes on to them
            b.inbox.remove(m)
            clean(m)
            Call(b, name, m).reply(200)
        if any(m.status >= 200 for m in answers):
            break
        time.sleep(0.02)
    if sent.method == 'INVITE':
        acknowledge(a, conn, sent, answers)
    if conn:
        conn.close()
    if call:
        clean(call.inv)
        return 'goes on as a call', 'call'
    requests = sorted({m.method for m in answers if m.method})
    final = sorted({m.status for m in answers if m.status >= 200})
    if not requests and not final:
        return 'silence', 'silence'
    key = final[0] if final else requests[0]
    return ' and '.join(str(x) for x in final + requests), key if len(final + requests) == 1 else 'several'


def acknowledge(agent, conn, sent, answers):
    """So that the answer is not repeated into the next message's turn."""
    for m in answers:
        if m.status >= 300:
            headers = [('Via', sent.get('via')), ('Max-Forwards', '70'), ('From', m.get('from')), ('To', m.get('to')), ('Call-ID', m.get('call-id')), ('CSeq', '%d ACK' % m.cseq[0])]
            data = Msg('ACK %s SIP/2.0' % sent.uri, headers).bytes()
            if conn:
                conn.send(data)
            else:
                agent.sock.sendto(data, agent.peer)


def clean(m):
    """What was made of an odd message is an even one."""
    text = m.raw.decode('utf-8', 'replace')
    check(re.match(m.method + r' sips?:[^\s<>]* SIP/2.0\r\n', text), 'start line %r', m.start)
    check(not re.search(r'\r\n[ \t]', text.split('\r\n\r\n')[0]), 'folded headers went on')
    check(m.call_id and m.tag('from') and m.get('to') and m.cseq[1] == m.method and len(m.all('via')) == 1, 'headers of %s', m.headers)
    check(len(m.body) == int(m.get('content-length')), 'Content-Length')


def run(t, folder):
    """[(row of TABLE, words, key)] of a folder's messages; after each a call goes through."""
    corpus(folder)
    bed = Bed(t, start=False)
    udp = bed.doc['listeners'][0]
    bed.doc['listeners'].append(dict(udp, id='core-tcp', transport='tcp'))
    bed.d.write()
    bed.d.start()
    bed.tcp = Agent(t, bed.a.ip, t.at['a'], 5061, 'tcp')
    listener = Listener(t, bed.a.ip, bed.a)
    rows = []
    for row in TABLE:
        if row[0] != folder:
            continue
        path = corpus(folder, row[1] + '.dat')
        with open(path, 'rb') as f:
            data = f.read()
        words, key = outcome(bed, listener, row[1], data)
        rows.append((row, words, key))
        one_call(bed)
    known = {r[0][1] + '.dat' for r in rows}
    there = {os.path.relpath(os.path.join(d, n), corpus(folder)) for d, _, names in os.walk(corpus(folder)) for n in names if n.endswith('.dat')}
    check(not there - known, 'messages without a row: %s', sorted(there - known))
    until(lambda: not bed.d.calls(), 8, 'no call is stuck')
    check(bed.d.proc.running(), 'the daemon ended')
    return rows


def one_call(bed):
    number = '77' + os.urandom(3).hex()
    c = bed.a.call(number, sdp=sdp_text(bed.a.ip, 30000))
    i = bed.b.await_call(number)
    i.reply(486)
    equal(c.wait(lambda m: m.status >= 300).status, 486, 'the next call')


def judge(rows):
    wrong = ['%s (%s): %s, right is %s' % (r[1], r[2], words, ' or '.join(sorted(str(x) for x in r[4]))) for r, words, key in rows if key not in r[4]]
    check(not wrong, '; '.join(wrong))


def page_rows(text):
    """{(clause, file): outcome} of the page."""
    out = {}
    for line in text.split('\n'):
        cells = [c.strip() for c in line.strip().strip('|').split('|')]
        if len(cells) == 4 and re.match(r'(4475|5118) \d', cells[0]):
            out[(cells[0], cells[1].strip('`'))] = cells[3]
    return out


def same_as_page(rows):
    with open(PAGE) as f:
        page = page_rows(f.read())
    wrong = ['%s: now %s, the page says %s' % (r[1], words, page.get((r[2], r[1]), 'nothing')) for r, words, _ in rows if page.get((r[2], r[1])) != words]
    check(not wrong, '%s; run tests/conform/page', '; '.join(wrong))


@test(seconds=90)
def torture_rfc4475(t):
    """each message of RFC 4475 gets a right answer, or silence, and docs/CONFORMANCE.md says which; the next call works"""
    rows = run(t, 'sip-torture-rfc4475')
    judge(rows)
    same_as_page(rows)


@test(seconds=60)
def torture_rfc5118(t):
    """the same for the IPv6 messages of RFC 5118"""
    rows = run(t, 'sip-torture-rfc5118')
    judge(rows)
    same_as_page(rows)


@test(seconds=60)
def torture_over_tcp(t):
    """the same messages over TCP: an answer, a closed connection or silence; the daemon lives, the next call works"""
    corpus('sip-torture-rfc4475')
    bed = Bed(t, a='tcp', b='udp')
    for folder in ('sip-torture-rfc4475', 'sip-torture-rfc5118'):
        for row in TABLE:
            if row[0] == folder:
                with open(corpus(folder, row[1] + '.dat'), 'rb') as f:
                    data = f.read()
                conn = bed.a.connect()
                try:
                    conn.send(data)
                except OSError:
                    pass
                time.sleep(0.05)
                conn.close()
    bed.a.out = None
    for m in bed.b.peek(lambda m: m.method == 'INVITE'):
        bed.b.inbox.remove(m)
        Call(bed.b, '', m).reply(486)
    one_call(bed)


@test()
def torture_from_strangers(t):
    """the same messages from a source that is no trunk: 4xx or silence, no call, nothing reaches a trunk"""
    corpus('sip-torture-rfc4475')
    bed = Bed(t)
    s = Agent(t, t.ip(70), t.at['a'])
    for row in TABLE:
        with open(corpus(row[0], row[1] + '.dat'), 'rb') as f:
            s.sock.sendto(f.read(), t.at['a'])
        time.sleep(0.02)
    time.sleep(0.3)
    check(not bed.b.inbox, 'a stranger\'s message reached a trunk: %s', bed.b.inbox)
    bad = [m for m in s.inbox if m.status and not 400 <= m.status < 500]
    check(not bad, 'answers to a stranger: %s', bad)
    one_call(bed)


@test()
def conformance_page_names_tests(t):
    """every test that docs/CONFORMANCE.md names is there"""
    from lib.base import TESTS
    with open(PAGE) as f:
        text = f.read()
    for ref in re.findall(r'`([\w/]+)`', text):
        folder, _, name = ref.rpartition('/')
        if folder in ('e2e', 'conform') and name not in TESTS:
            raise Fail('docs/CONFORMANCE.md names %s, which is no test' % ref)

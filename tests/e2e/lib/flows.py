# SPDX-License-Identifier: Apache-2.0
"""
SIPp scenarios of a line a step: `> INVITE sdp`, `< 180`, `< 183?` (may come), `= 500` (a pause of so many ms), `> 200 sdp`.
A line that sends may have `+` and further headers behind it. What a callee answers is its INVITE, or with `last` the request that came last.
"""
import re
from xml.sax.saxutils import escape

SDP = '''
v=0
o=- 7 %d IN IP4 [local_ip]
s=-
c=IN IP4 [local_ip]
t=0 0
m=audio %d RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=%s
'''
ALLOW = 'Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE, INFO, REFER, OPTIONS'
KEPT = ('via', 'from', 'to', 'cseq')


def send(lines, body, more='', **attrs):
    if body:
        lines = lines + ['Content-Type: application/sdp']
    text = '\n'.join(lines + ['Content-Length: [len]', '']) + (body or '\n')
    return '<send%s%s><![CDATA[\n%s]]></send>' % (''.join(' %s="%s"' % kv for kv in attrs.items()), more, text)


def capture(header, name, regexp='.*'):
    return '<ereg regexp="%s" search_in="hdr" header="%s:" assign_to="%s"/>' % (escape(regexp), header, name)


def body_of(words, version, port):
    """sdp, or sdp=sendonly."""
    for w in words:
        if w.startswith('sdp'):
            return SDP % (version, port, w[4:] or 'sendrecv')
    return ''


class Flow:
    def __init__(self, name, text, caller):
        self.caller, self.cseq, self.invite_at, self.invite_cseq, self.version = caller, 0, 0, 0, 0
        self.at, self.dialog = 0, False         # number of the message in the file; a tag of the peer is known
        self.out = ['<?xml version="1.0" encoding="UTF-8" ?>', '<scenario name="%s">' % name]
        for line in filter(None, (x.strip() for x in text.strip().split('\n'))):
            line, _, headers = line.partition('+')
            way, *words = line.split()
            more = [h.strip() for h in headers.split('|') if h.strip()]
            self.out.append({'>': self.sends, '<': self.gets, '=': self.waits}[way](words, more))
            self.at += 1
        used = [v for v in KEPT + ('rseq',) if 'assign_to="%s"' % v in ''.join(self.out)]
        self.out += ['<Reference variables="%s"/>' % ','.join(used)] if used else []
        self.out.append('</scenario>\n')

    def text(self):
        return '\n'.join(self.out)

    def waits(self, words, more):
        return '<pause milliseconds="%s"/>' % words[0]

    def gets(self, words, more):
        word, maybe = words[0].rstrip('?'), ' optional="true"' if words[0].endswith('?') else ''
        acts = [capture('RSeq', 'rseq', '[0-9]+')] if 'rseq' in words else []
        self.dialog |= word in ('183', '200')
        if word == 'INVITE' and not self.caller and (not self.at or 'again' in words):
            acts += [capture(k.title() if k != 'cseq' else 'CSeq', k) for k in KEPT]
        rrs = ' rrs="true"' if word in ('INVITE', '183', '200') else ''
        kind = 'response' if word.isdigit() else 'request'
        auth = ' auth="true"' if word in ('401', '407') else ''
        return '<recv %s="%s"%s%s%s>%s</recv>' % (kind, word, maybe, rrs, auth, '<action>%s</action>' % ''.join(acts) if acts else '')

    def sends(self, words, more):
        return self.reply(words, more) if words[0].isdigit() else self.request(words, more)

    def ends(self, method):
        """(Request-URI, From, To) of a request."""
        if not self.caller:
            return '[next_url]', 'From:[$to];tag=s[call_number]', 'To:[$from]'
        to = 'To: <sip:[number]@[remote_ip]:[remote_port]>'
        first = method == 'CANCEL' or not (self.dialog or method == 'failure')
        return ('sip:[number]@[remote_ip]:[remote_port]' if first or method == 'failure' else '[next_url]', 'From: <sip:caller@[local_ip]:[local_port]>;tag=c[call_number]',
                to + ('' if first else '[peer_tag_param]'))

    def request(self, words, more):
        method, quiet = words[0], words[0] in ('ACK', 'CANCEL')
        failure = 'failed' in words             # the ACK of a failure is its INVITE's transaction
        if not quiet:
            self.cseq += 1
        if method == 'INVITE':
            self.invite_at, self.invite_cseq = self.at, self.cseq
            self.version += 1
        branch = '[branch-%d]' % (self.at - self.invite_at) if method == 'CANCEL' or failure else '[branch]'
        uri, frm, to = self.ends('failure' if failure else method)
        lines = ['%s %s SIP/2.0' % (method, uri), 'Via: SIP/2.0/UDP [local_ip]:[local_port];branch=' + branch, 'Max-Forwards: 70']
        lines += ([] if failure or method == 'CANCEL' or uri != '[next_url]' or not self.caller else ['[routes]']) + [frm, to, 'Call-ID: [call_id]']
        lines += ['CSeq: %d %s' % (self.invite_cseq if quiet else self.cseq, method)]
        lines += [] if quiet or method == 'BYE' else ['Contact: <sip:%s@[local_ip]:[local_port]>' % ('caller' if self.caller else 'callee'), ALLOW]
        attrs = {} if method == 'ACK' else {'retrans': 500}
        return send(lines + more, body_of(words, self.version + ('UPDATE' == method), 6000), **attrs)

    def reply(self, words, more):
        lines = ['SIP/2.0 %s Flow' % words[0]]
        lines += (['Via:[$via]', 'From:[$from]', 'To:[$to];tag=s[call_number]', '[last_Call-ID:]', 'CSeq:[$cseq]'] if 'last' not in words else
                  ['[last_Via:]', '[last_From:]', '[last_To:]', '[last_Call-ID:]', '[last_CSeq:]'])
        body = body_of(words, self.version + 1, 7000)
        self.version += bool(body)
        lines += ['Contact: <sip:callee@[local_ip]:[local_port]>', ALLOW] if not any(h.startswith('Contact') for h in more) else []
        return send(lines + more, body)


UP = '''> INVITE sdp
< 100?
< 180?
< 200
> ACK
'''
ANSWER = '''< INVITE
> 180
= 50
> 200 sdp
< ACK
'''
FAILED = '''> INVITE sdp
< 100?
< 180?
< %s
> ACK failed
'''
REFUSE = '''< INVITE
> %s%s
< ACK
'''
BYE, BYED = '= 300\n> BYE\n< 200\n', '< BYE\n> 200 last\n'

# name: (caller, callee or None: nobody answers, (status, ended_by) of its CDRs)
MIX = {
    'plain': (UP + BYE, ANSWER + BYED),
    'callee-bye': (UP + '< BYE\n> 200 last\n', ANSWER + '= 300\n> BYE\n< 200\n'),
    'cancel': ('> INVITE sdp\n< 100?\n< 180\n= 100\n> CANCEL\n< 200\n< 487\n> ACK failed\n', '< INVITE\n> 180\n< CANCEL\n> 200 last\n> 487\n< ACK\n'),
    'cancel-unheard': ('> INVITE sdp\n< 100\n= 200\n> CANCEL\n< 200\n< 487\n> ACK failed\n', None),
    'busy': (FAILED % 486, REFUSE % (486, '')),
    'redirect': (FAILED % 302, REFUSE % (302, ' + Contact: <sip:elsewhere@[local_ip]:[local_port]>')),
    'follow': (UP + BYE, REFUSE % (302, ' + Contact: <sip:[service]@[local_ip]:[plain]>')),
    'hold': (UP + '= 100\n> INVITE sdp=sendonly\n< 100?\n< 200\n> ACK\n= 100\n> INVITE sdp=sendrecv\n< 100?\n< 200\n> ACK\n' + BYE,
             ANSWER + '< INVITE\n> 200 last sdp=recvonly\n< ACK\n< INVITE\n> 200 last sdp=sendrecv\n< ACK\n' + BYED),
    'update': (UP + '= 100\n> UPDATE sdp=sendonly\n< 200\n' + BYE, ANSWER + '< UPDATE\n> 200 last sdp=recvonly\n' + BYED),
    'prack': ('> INVITE sdp + Supported: 100rel\n< 100?\n< 183 rseq\n> PRACK + RAck: [$rseq] 1 INVITE\n< 200\n< 200\n> ACK\n' + BYE,
              '< INVITE\n> 183 sdp + Require: 100rel | RSeq: 5\n< PRACK\n> 200 last\n= 50\n> 200\n< ACK\n' + BYED),
    'offerless': ('> INVITE\n< 100?\n< 180?\n< 200\n> ACK sdp\n' + BYE, ANSWER + BYED),
    'refer': (UP + '= 50\n> REFER + Refer-To: <sip:9@[remote_ip]>\n< 603\n' + BYE, ANSWER + BYED),
    'info': (UP + '= 50\n> INFO\n< 200\n' + BYE, ANSWER + '< INFO\n> 200 last\n' + BYED),
    'no-answer': (FAILED % 480, '< INVITE\n> 180\n< CANCEL\n> 200 last\n> 487\n< ACK\n'),
    'early': ('> INVITE sdp\n< 100?\n< 183\n< 180\n< 200\n> ACK\n' + BYE, '< INVITE\n> 183 sdp\n= 50\n> 180\n= 50\n> 200 sdp\n< ACK\n' + BYED),
    'digest': (UP + BYE, '< INVITE\n> 401 + WWW-Authenticate: Digest realm="flow", nonce="n0nce", algorithm=MD5, qop="auth"\n< ACK\n< INVITE again\n> 180\n> 200 sdp\n< ACK\n' + BYED),
}


def files(t, name):
    """Paths of the caller's and the callee's file; None where nobody answers."""
    caller, callee = MIX[name]
    return (t.path(name + '-caller.xml', Flow(name, caller, True).text()),
            t.path(name + '-callee.xml', Flow(name, callee, False).text()) if callee else None)

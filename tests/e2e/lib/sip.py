# SPDX-License-Identifier: Apache-2.0
"""SIP and SDP on text: just enough to speak to a daemon and to look at what it sends. Strict about nothing."""
import re

COMPACT = {'v': 'via', 'f': 'from', 't': 'to', 'm': 'contact', 'i': 'call-id', 'l': 'content-length', 'c': 'content-type', 's': 'subject',
           'k': 'supported', 'e': 'content-encoding', 'x': 'session-expires', 'r': 'refer-to', 'b': 'referred-by', 'o': 'event', 'u': 'allow-events'}


class Msg:
    def __init__(self, start, headers=(), body=b''):
        self.start, self.headers = start, list(headers)
        self.body = body.encode() if isinstance(body, str) else body
        self.source = self.conn = self.at = None
        words = start.split(' ', 2)
        self.status = int(words[1]) if words[0] == 'SIP/2.0' and len(words) > 1 and words[1].isdigit() else 0
        self.reason = words[2] if self.status and len(words) > 2 else ''
        self.method = '' if self.status else words[0]
        self.uri = '' if self.status or len(words) < 2 else words[1]

    @classmethod
    def parse(cls, data):
        head, _, body = data.partition(b'\r\n\r\n')
        lines = re.sub(r'\r\n[ \t]+', ' ', head.decode('utf-8', 'surrogateescape')).split('\r\n')
        headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(':')
            if colon:
                headers.append((name.strip(), value.strip()))
        m = cls(lines[0], headers, body)
        m.raw = data
        return m

    def bytes(self):
        head = [self.start] + ['%s: %s' % h for h in self.headers if h[0].lower() != 'content-length']
        head.append('Content-Length: %d' % len(self.body))
        return '\r\n'.join(head).encode('utf-8', 'surrogateescape') + b'\r\n\r\n' + self.body

    def all(self, name):
        name = name.lower()
        return [v for n, v in self.headers if COMPACT.get(n.lower(), n.lower()) == name]

    def get(self, name, default=''):
        got = self.all(name)
        return got[0] if got else default

    def tokens(self, name):
        return [x.strip() for v in self.all(name) for x in v.split(',') if x.strip()]

    @property
    def call_id(self):
        return self.get('call-id')

    @property
    def cseq(self):
        n, _, method = self.get('cseq').partition(' ')
        return int(n or 0), method.strip()

    @property
    def branch(self):
        m = re.search(r';\s*branch=([^;,\s]+)', self.get('via'))
        return m.group(1) if m else ''

    def tag(self, name):
        m = re.search(r';\s*tag=([^;,\s]+)', self.get(name))
        return m.group(1) if m else ''

    def addr(self, name):
        """URI of a name-addr header."""
        v = self.get(name)
        m = re.search(r'<([^>]*)>', v)
        return m.group(1) if m else v.split(';')[0].strip()

    @property
    def user(self):
        """User part of the Request-URI."""
        return uri_user(self.uri)

    @property
    def sdp(self):
        return Sdp(self.body.decode('utf-8', 'replace')) if 'sdp' in self.get('content-type').lower() else None

    def __repr__(self):
        return '<%s %s>' % (self.start, self.call_id)


def uri_user(uri):
    m = re.match(r'(?:sips?|tel):([^@;>]*)@?', uri)
    return m.group(1).split(';')[0] if m else ''


def uri_host(uri):
    """(host, port or 0) of a sip URI."""
    m = re.match(r'sips?:(?:[^@]*@)?(\[[^\]]+\]|[^:;?>]+)(?::(\d+))?', uri)
    return (m.group(1), int(m.group(2) or 0)) if m else ('', 0)


class Sdp:
    def __init__(self, text):
        self.text = text
        self.session, self.media = [], []
        for line in text.replace('\r\n', '\n').split('\n'):
            if line.startswith('m='):
                self.media.append([line])
            elif line:
                (self.media[-1] if self.media else self.session).append(line)

    def line(self, key, m=0):
        """Value of the first line `key=` of a stream, else of the session."""
        for block in ([self.media[m]] if m < len(self.media) else []) + [self.session]:
            for ln in block:
                if ln.startswith(key + '='):
                    return ln[len(key) + 1:]
        return ''

    def attrs(self, m=0):
        return [ln[2:] for ln in self.media[m] if ln.startswith('a=')]

    def port(self, m=0):
        return int(self.media[m][0].split()[1].split('/')[0])

    def formats(self, m=0):
        return self.media[m][0].split()[3:]

    def host(self, m=0):
        c = self.line('c', m).split()
        return c[2].split('/')[0] if len(c) > 2 else ''

    def dest(self, m=0):
        return self.host(m), self.port(m)

    def direction(self, m=0):
        for block in (self.media[m], self.session):
            for ln in block:
                if ln in ('a=sendrecv', 'a=sendonly', 'a=recvonly', 'a=inactive'):
                    return ln[2:]
        return 'sendrecv'

    @property
    def origin(self):
        """(session id, version) of o=."""
        o = self.line('o', 99).split()
        return o[1], int(o[2])


def sdp_text(ip, port, formats='0 8 101', direction=None, version=1, session=1000, extra=()):
    """One audio stream at ip:port; port None: no audio line at all."""
    af = 'IP6' if ':' in ip else 'IP4'
    lines = ['v=0', 'o=ua %d %d IN %s %s' % (session, version, af, ip), 's=call', 'c=IN %s %s' % (af, ip), 't=0 0']
    if port is not None:
        lines.append('m=audio %d RTP/AVP %s' % (port, formats))
        names = {'0': 'PCMU/8000', '8': 'PCMA/8000', '101': 'telephone-event/8000', '9': 'G722/8000'}
        lines += ['a=rtpmap:%s %s' % (f, names[f]) for f in formats.split() if f in names]
        if '101' in formats.split():
            lines.append('a=fmtp:101 0-15')
        lines.append('a=ptime:20')
        if direction:
            lines.append('a=' + direction)
    return '\r\n'.join(lines + list(extra)) + '\r\n'

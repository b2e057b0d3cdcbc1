# SPDX-License-Identifier: Apache-2.0
"""
Call flows of the corpora as steps of a caller and of a callee: SIPp scenarios that come in pairs, and the flows that RFCs print. Real messages: what they say besides
identifiers, routes and addresses is kept. A flow is of use where what one side sends is what the other gets, as through a B2BUA.
"""
import glob
import os
import re

OWN = {'via', 'v', 'from', 'f', 'to', 't', 'call-id', 'i', 'cseq', 'contact', 'm', 'max-forwards', 'content-length', 'l', 'content-type', 'c', 'route', 'record-route',
       'authorization', 'proxy-authorization', 'proxy-require', 'rack', 'timestamp'}
PAIRS = ('sipp-asterisk', 'sipp-opensips', 'sipp-sipwise', 'sipp-own')


class Step:
    """way: '>' sent, '<' expected; what: a method or a status as text; text: the message, None where it is not printed."""

    def __init__(self, way, what, text=None, optional=False):
        self.way, self.what, self.text, self.optional = way, what, text, optional

    @property
    def status(self):
        return int(self.what) if self.what.isdigit() else 0

    def head(self):
        return (self.text or '').replace('\r\n', '\n').partition('\n\n')[0]

    def start(self):
        return self.head().split('\n')[0]

    def fields(self):
        lines = re.sub(r'\n[ \t]+(?=\S)', ' ', self.head()) if not self.text or '[' not in self.text else self.head()
        for line in lines.split('\n')[1:]:
            name, colon, value = line.strip().partition(':')
            if colon and not name.startswith('['):
                yield name.strip(), value.strip()

    def get(self, name):
        return next((v for n, v in self.fields() if n.lower() == name), '')

    def headers(self):
        """What is not the dialog's own, and has no blank to be filled in; blanks of a challenge and of RSeq may be anything."""
        out = [(n, re.sub(r'\[[\w$.:+-]+\]', '1', v) if 'authenticate' in n.lower() or n.lower() == 'rseq' else v) for n, v in self.fields()]
        return [(n, v) for n, v in out if n.lower() not in OWN and v and not re.search(r'\[[\w$.:+-]+\]', v)]

    def body(self, ip):
        body = (self.text or '').replace('\r\n', '\n').partition('\n\n')[2].strip('\n')
        lines = [re.sub(r'\[[\w$.:-]*port[\w$.:+-]*\]', '30000', ln.strip()) for ln in body.split('\n')]
        lines = [re.sub(r'IN IP[46x\]\[\w]* \S+', 'IN IP4 ' + ip, ln) for ln in lines]
        lines = [re.sub(r'\[[\w$.:+-]+\]', '1', ln) for ln in lines if ln]
        return '\r\n'.join(lines) + '\r\n' if lines else ''

    def type(self):
        return self.get('content-type') or self.get('c')

    def user(self, name):
        m = re.search(r'sips?:([^@>;:\[\]]+)@', self.get(name))
        return m.group(1) if m else ''


def sipp(path):
    with open(path, errors='replace') as f:
        text = re.sub(r'<!--.*?-->', '', f.read(), flags=re.S)
    steps = []
    for kind, attrs, rest in re.findall(r'<(send|recv)\b([^>]*)>(.*?)(?=<(?:send|recv)\b|</scenario>)', text, re.S):
        if kind == 'send':
            m = re.search(r'<!\[CDATA\[\s*(.*?)\]\]>', rest, re.S)
            message = '\n'.join(ln.strip() for ln in m.group(1).split('\n')) if m else ''
            words = message.split(' ', 2)
            if len(words) > 1:
                steps.append(Step('>', words[1] if words[0].startswith('SIP/') else words[0], message.strip() + '\n'))
        else:
            m = re.search(r'(?:request|response)="([^"]*)"', attrs)
            if m:
                steps.append(Step('<', m.group(1), None, 'optional="true"' in attrs))
    return steps


def rfc(folder):
    """(caller, callee) of the first call of a printed flow; hops between proxies are left out."""
    with open(os.path.join(folder, 'FLOW.txt'), errors='replace') as f:
        parts = re.split(r'(?m)^=== ', f.read())[1:]
    sides = ([], [])
    first = last = None
    for part in parts:
        title, _, text = part.partition('\n')
        m = re.match(r'\d+ (?:F\w+ )?(.*?)\s*(?:\[.*)?$', title)
        text = text.strip('\n') + '\n'
        words = text.split(' ', 2)
        hop = re.search(r'(\w[\w ]*?) -> (\w[\w ]*)', m.group(1)) if m else None
        if not hop or len(words) < 2:
            continue
        what = words[1] if words[0].startswith('SIP/') else words[0]
        lead = r'^(?:%s)\s*' % re.escape(what)
        src = re.sub(r'^.*\b(?=(?:Proxy|Alice|Bob|Carol|Dave|Redirect|NGW|GW|SS|PBX|Music)\b)', '', re.sub(lead, '', hop.group(1)))
        src, dst = src.strip(), hop.group(2).strip()
        if first is None and what == 'INVITE':
            first = src
        if what == 'INVITE' and first and dst != first and not re.match(r'(Proxy|Redirect|SS)', dst) and last is None:
            last = dst
        for side, who in ((sides[0], first), (sides[1], last)):
            for way, party in (('>', src), ('<', dst)):
                if who and party == who and not (side and side[-1].way == way and side[-1].what == what):
                    side.append(Step(way, what, text if way == '>' else None))
    return sides


def challenged(steps):
    """The caller's own challenges are not ours to give: what comes after counts."""
    while True:
        for k, s in enumerate(steps[:4]):
            if s.way == '<' and s.what in ('401', '407') and not s.optional:
                nxt = next((j for j in range(k, len(steps)) if steps[j].way == '>' and steps[j].what == 'INVITE'), None)
                if nxt is None:
                    return steps
                steps = steps[nxt:]
                break
        else:
            return steps


def ends(steps, side):
    """What goes from end to end: (sent, got), without what each leg has for itself."""
    out, k = {'>': [], '<': []}, 0
    asked = []
    while k < len(steps):
        s = steps[k]
        k += 1
        if s.optional or s.what in ('ACK', 'PRACK', '100') or s.status // 100 == 1:
            if s.what == 'PRACK':
                asked.append('PRACK')
            continue
        if s.what in ('401', '407') and s.way == '>':       # answered by us; the request comes again
            again = out['<'].pop() if out['<'] else None
            asked and asked.pop()
            del again
            continue
        if s.status:
            method = asked.pop() if asked else ''
            if method in ('PRACK', 'CANCEL'):
                continue
        else:
            asked.append(s.what)
        out[s.way].append(s.what)
    return out


def fits(caller, callee):
    """None, or why the two are not two ends of a B2BUA."""
    everything = {s.what for s in caller + callee}
    if 'REFER' in everything or 'REGISTER' in everything:
        return 'a third party or a registrar'
    if not caller or not callee or caller[0].what != 'INVITE' or callee[0].what != 'INVITE' or caller[0].way != '>' or callee[0].way != '<':
        return 'no call from end to end'
    if not any(s.way == '>' and s.status >= 200 for s in callee) or any(s.way == '>' and s.status for s in caller[1:2]):
        return 'printed in parts'
    told = [s.what for s in callee if s.way == '>']
    if any(s.way == '<' and not s.optional and s.status // 100 == 1 and s.what != '100' and told.count(s.what) < sum(x.what == s.what and not x.optional for x in caller) for s in caller):
        return 'the server between them does more than a B2BUA'
    a, b = ends(caller, 0), ends(callee, 1)
    if a['>'] != b['<'] or a['<'] != b['>']:
        return 'the server between them does more than a B2BUA'
    return None


def pairs(folder):
    xs = sorted(glob.glob(os.path.join(folder, '*.xml')))
    scripts = [(os.path.basename(x), sipp(x)) for x in xs]
    callers = [(n, challenged(s)) for n, s in scripts if s and s[0].way == '>' and s[0].what == 'INVITE']
    callees = [(n, s) for n, s in scripts if s and s[0].way == '<' and s[0].what == 'INVITE']
    for cn, c in callers:
        for en, e in callees:
            yield cn, en, c, e


def all_flows(corpora):
    """(name, caller, callee) of each flow that fits, and {reason: how many} of the others."""
    found, others, seen = [], {}, set()
    for top in PAIRS:
        folders = sorted({os.path.dirname(p) for p in glob.glob(os.path.join(corpora, top, '**', '*.xml'), recursive=True)})
        for folder in folders:
            reason, took = 'one side alone', False
            for cn, en, c, e in pairs(folder):
                why = fits(c, e)
                if why:
                    reason = why
                    continue
                name = '%s: %s, %s' % (os.path.relpath(folder, corpora), cn[:-4], en[:-4])
                if len([n for n in seen if n.startswith(os.path.relpath(folder, corpora) + ':')]) < 2:
                    found.append((name, c, e))
                    seen.add(name)
                took = True
            if not took:
                others[reason] = others.get(reason, 0) + 1
    for folder in sorted(glob.glob(os.path.join(corpora, 'sip-callflows-rfc', '*', ''))):
        caller, callee = rfc(folder)
        caller = challenged(caller)
        why = fits(caller, callee)
        if why:
            others[why] = others.get(why, 0) + 1
        else:
            found.append((os.path.relpath(folder, corpora), caller, callee))
    return found, others

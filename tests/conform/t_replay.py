# SPDX-License-Identifier: Apache-2.0
"""
The call flows of the corpora that have both sides, with their real messages, through the running daemon: each party does what its side of the flow does, step by step, and waits
for what it waits for. Identifiers, routes and addresses are those of the live dialog. docs/CONFORMANCE.md lists the outcome of each (POSTERN_REPLAY=write makes the list).
"""
import os
import re
import threading
import time

from lib.base import CORPORA, ROOT, Fail, SLOW, check, corpus, test
from lib.daemon import Bed
from lib.ua import Call

import flows

PAGE = os.path.join(ROOT, 'docs', 'CONFORMANCE.md')
MARK = r'(<!-- flows: begin -->\n).*?(<!-- flows: end -->)'
PATIENCE = 2.5
TRIES = 3               # of a flow whose outcome is not the one that is told: on a busy machine it may have waited too short


class Side:
    """A party at work: its agent, its steps, its dialog."""

    def __init__(self, name, agent, steps, number):
        self.name, self.agent, self.steps, self.number = name, agent, steps, number
        self.call, self.tx, self.open, self.done = None, None, [], ''
        self.reliable, self.final = None, None

    def run(self):
        try:
            for k, step in enumerate(self.steps):
                if step.optional:
                    continue
                (self.send if step.way == '>' else self.get)(step, k)
        except Fail as e:
            self.done = self.done or str(e)

    # ---- sending ----
    def send(self, step, k):
        if step.status:
            self.answer(step)
        elif step.what == 'ACK':
            if self.final and self.final.status < 300:
                self.call.ack(self.final, body=step.body(self.agent.ip))
        elif step.what == 'CANCEL':
            self.tx = self.call.cancel()
        else:
            self.ask(step)

    def ask(self, step):
        body, ctype = step.body(self.agent.ip), step.type() or 'application/sdp'
        headers = step.headers()
        if step.what == 'PRACK':
            headers = [h for h in headers if h[0].lower() != 'rack'] + [('RAck', '%s %s' % (self.reliable.get('rseq'), self.reliable.get('cseq')))]
        if self.call is None:
            self.call = Call(self.agent, self.number)
            self.call.local = 'sip:%s@%s' % (step.user('from') or 'caller', self.agent.ip)
            name = re.match(r'\s*"?([\w .-]+?)"?\s*<', step.get('from'))
            self.call.local_name = '"%s" ' % name.group(1) if name else ''
        tx = self.call.request(step.what, headers=headers, body=body, ctype=ctype)
        if step.what == 'INVITE':
            self.call.tx = tx
        self.tx = tx

    def answer(self, step):
        if step.what == '100':
            return
        waiting = [m for m in self.open if m.method == 'INVITE'] if step.what == '487' or step.status < 200 else self.open
        if not waiting:
            raise Fail('has nothing to answer %s to' % step.what)
        m = waiting[-1]
        if step.status >= 200:
            self.open.remove(m)
        if m.tag('to'):
            self.call.reply(step.status, to=m, sdp=step.body(self.agent.ip), ctype=step.type() or None, headers=step.headers(), reason=step.start().partition(step.what)[2].strip() or None)
        else:
            self.call.reply(step.status, sdp=step.body(self.agent.ip), ctype=step.type() or None, headers=step.headers(), reason=step.start().partition(step.what)[2].strip() or None)

    # ---- receiving ----
    def get(self, step, k):
        if step.status == 100:
            return
        if step.status:
            self.learn(self.wait(lambda m: m.status == step.status and m.call_id == self.call.call_id, step.what))
            return
        fresh = step.what == 'INVITE' and not any(s.what == 'INVITE' and s.way == '<' for s in self.steps[:k] if not s.optional)
        again = step.what == 'INVITE' and self.call and not self.call.tx and not self.final_sent(k)
        if self.call is None or again or fresh and self.name == 'callee':
            m = self.wait(lambda m: m.method == 'INVITE' and m.user == self.number and not m.tag('to'), 'INVITE')
            tag = self.call.local_tag if self.call else None
            self.call = Call(self.agent, self.number, m)
            self.call.local_tag = tag or self.call.local_tag
        else:
            m = self.wait(lambda m: m.method == step.what and m.call_id == self.call.call_id, step.what)
        if m.method != 'ACK':
            self.open.append(m)

    def final_sent(self, k):
        return any(s.way == '>' and 200 <= s.status < 300 for s in self.steps[:k])

    def learn(self, m):
        if m.get('rseq'):
            self.reliable = m
        if m.cseq[1] != 'INVITE':
            return
        c = self.call
        if m.tag('to') and not (c.inv is not None):
            c.remote_tag = m.tag('to')
        if 100 < m.status < 300 and m.get('contact'):
            c.uri = m.addr('contact') if m.status >= 200 or c.uri == c.agent.target(self.number) else c.uri
        if m.status >= 300:
            c._ack_failure(m)
        if m.status >= 200:
            self.final = m

    def wait(self, pred, what):
        try:
            return self.agent.take(pred, PATIENCE, what, self.tx._again if self.tx and not self.final else None, factor=SLOW)
        except Fail:
            got = [m.start.replace('SIP/2.0 ', '').split(' ')[0] for m in self.agent.peek(lambda m: m.status != 100)]
            raise Fail('the %s waits for %s%s' % (self.name, what, ', has %s' % ' '.join(list(dict.fromkeys(got))[:1]) if got else ''))


def calls_of(bed, number):
    return [k for k in bed.d.calls() if k['to'] == number]


def hang_up_all(sides):
    """What a flow left open is answered, so that it does not come again under the next one."""
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        for s in sides:
            for m in s.agent.peek(lambda m: m.method in ('BYE', 'CANCEL', 'INVITE')):
                s.agent.inbox.remove(m)
                c = Call(s.agent, s.number, m)
                c.reply(200 if m.method != 'INVITE' else 487, to=m)
                if m.method == 'CANCEL' and s.call:
                    s.call.reply(487)
        time.sleep(0.05)


def play(bed, n, caller, callee):
    """What became of a flow."""
    number = '9%04d' % n
    sides = [Side('caller', bed.a, caller, number), Side('callee', bed.b, callee, number)]
    threads = [threading.Thread(target=s.run, daemon=True) for s in sides]
    for th in threads:
        th.start()
    for th in threads:
        th.join(30 * SLOW)
    words = [s.done for s in sides if s.done]
    ended = any(s.what in ('BYE', 'CANCEL') for s in caller + callee) or any(s.way == '<' and s.status >= 300 for s in caller)
    left = calls_of(bed, number)
    end = time.monotonic() + 2 * SLOW
    while left and ended and not words and time.monotonic() < end:
        time.sleep(0.05)
        left = calls_of(bed, number)
    for call in left:
        bed.d.delete('/calls/%s' % call['id'])
    if left or words:
        hang_up_all(sides)
    for a in (bed.a, bed.b):
        with a.lock:
            a.inbox.clear()
    if words:
        return words[0] if sides[0].done == words[0] else words[-1]
    return 'as written' if not (left and ended) else 'as written, and the call is still there'


def play_all(t, found, told):
    """The rows of the page. told: the outcome of each by the page, none where it is made anew."""
    bed = Bed(t, start=False, ports=200, trunk_a={'auth': {'username': 'u', 'password': 'p'}, 'mid_call': 'relay-all'}, trunk_b={'auth': {'username': 'u', 'password': 'p'}, 'mid_call': 'relay-all'})
    bed.d.start()
    rows = []
    for n, (name, caller, callee) in enumerate(found):
        for k in range(TRIES):
            what = play(bed, n + 1000 * k, caller, callee)
            if not told or what == told.get(name):
                break
        rows.append((name, ' '.join(s.what for s in caller if not s.optional and s.what != '100'), what))
        check(bed.d.proc.running(), 'posternd ended in %s', name)
    bed.d.no_calls(8)
    c = bed.a.call('99999', sdp='')
    i = bed.b.await_call('99999')
    i.reply(486)
    c.wait({486})
    return rows


def table(rows, others):
    lines = ['| flow: caller, callee | what the caller does and gets | outcome |', '|---|---|---|'] + ['| `%s` | %s | %s |' % r for r in rows]
    lines.append('')
    lines.append('Not played, by what they are: %s.' % '; '.join('%s (%d)' % (why, n) for why, n in sorted(others.items())))
    return '\n'.join(lines) + '\n'


@test(seconds=120, slow=True)
def replay_of_the_corpora(t):
    """every call flow of the corpora that has both sides goes through as it is written, or as docs/CONFORMANCE.md says; at least 50 as written; nothing is left behind"""
    corpus('sip-callflows-rfc')
    found, others = flows.all_flows(CORPORA)
    with open(PAGE) as f:
        page = f.read()
    told = dict(re.findall(r'(?m)^\| `([^`]+)` \| [^|]* \| ([^|]*?) \|$', re.search(MARK, page, re.S).group(0)))
    write = os.environ.get('POSTERN_REPLAY') == 'write'
    rows = play_all(t, found, {} if write else told)
    good = sum(r[2] == 'as written' for r in rows)
    t.note('%d flows, %d as written' % (len(rows), good))
    if write:
        text = table(rows, others)
        with open(PAGE, 'w') as f:
            f.write(re.sub(MARK, lambda m: m.group(1) + text + m.group(2), page, flags=re.S))
    else:
        wrong = ['%s: now %s, the page says %s' % (n, what, told.get(n, 'nothing')) for n, _, what in rows if what != told.get(n)]
        check(not wrong, '%s (POSTERN_REPLAY=write)', '; '.join(wrong[:5]))
    check(good >= 50 or len(found) < 50, 'only %d flows go through as written', good)

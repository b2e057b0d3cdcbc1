# SPDX-License-Identifier: Apache-2.0
"""What policies cost: CPU per call with so many rules at either hook against none, one daemon whose policy is exchanged between the runs."""
import statistics

from lab import row
from lib.base import check

MESSAGES = 14           # of a call that pass a hook: INVITE 180 200 ACK BYE 200 and the ACK of a 2xx, received and sent
MISS = ('when from.user ~ "^00([1-9][0-9]{6,14})$" then set from.user "x"', 'when has allow["PUBLISH"] then remove allow["PUBLISH"]',
        'when user-agent in @scanners then tag s', 'when method == BYE and has reason then tag x', 'when ruri.user == "999" then set ruri.user "1"',
        'when has header["X-None"] then remove header["X-None"]', 'when to.host == "other.example" then set subject "x"',
        'when src.transport == tls then tag t', 'when not has from.user then tag n', 'when sdp.audio.ptime > 500 then set sdp.audio.ptime 20')
HIT = ('set header["X-A"] "a"', 'set header["X-B"] "${from.user}"', 'when method == INVITE then set subject "s"', 'add header["X-C"] "c"', 'remove header["X-Gone"]',
       'set call.var["v"] "${to.user}"', 'when has allow then set header["X-Allow"] "yes"', 'when has sdp then set sdp.audio.ptime 20', 'set header["X-D"] "d"', 'count messages')
SETS = 'set @scanners glob { "sipcli*", "friendly*", "sipvicious*" }\n'


def both(rules):
    return SETS + ''.join('policy bench-%s on %s any {\n%s\n}\n' % (h, h, '\n'.join('    ' + r for r in rules)) for h in ('receive', 'send'))


KINDS = {
    'none': '# nothing but the builtin ones\n',
    'not even builtin': 'policy builtin-scanners on receive response {\n    when status == 999 then tag x\n}\n',
    '10 that do not match': both(MISS),
    '100 that do not match': both(MISS * 10),
    '1,000 that do not match': both(MISS * 100),
    '10 that do': both(HIT),
}


@row('policy', 'CPU per call of policies: none, 10, 100 and 1,000 rules that do not match at each hook, 10 that do (calls at 300/s)')
def policy(lab):
    o, got = lab.o, {k: [] for k in KINDS}
    s = lab.postern(o.max_calls)
    d = s.daemon
    put(d, KINDS['none'])
    r = d.http('PATCH', '/config/system', {'policies': ['bench']}, ctype='application/merge-patch+json')
    check(r.status == 200, 'system: %d %s', r.status, r.text)
    lab.load(s, 300, 2)
    for _ in range(o.rounds):
        for kind, text in KINDS.items():
            put(d, text)
            got[kind].append(lab.load(s, 300, o.seconds))
    median = {k: statistics.median(x['cpu_us'] for x in v) for k, v in got.items()}
    for kind, v in got.items():
        more = median[kind] - median['none']
        lab.add('CPU per call, rules: ' + kind, 'postern', median[kind], 'us', median[kind] / median['none'], '%+.1f us a call, %+.2f us a message and hook; %d of %d calls failed' % (
            more, more / MESSAGES, sum(x['failed'] for x in v), sum(x['calls'] for x in v)))


def put(d, text):
    r = d.http('PUT', '/policies/bench', text.encode(), ctype='text/plain')
    check(r.status in (200, 201), 'policy: %d %s', r.status, r.text)

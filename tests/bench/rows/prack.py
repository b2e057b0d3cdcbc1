# SPDX-License-Identifier: Apache-2.0
import statistics

from lab import row


@row('prack', 'CPU per call of set-ups with a reliable 183, PRACK and UPDATE on both legs (23 messages) beside plain ones (13), at 300/s')
def prack(lab):
    o = lab.o
    s = lab.postern(o.max_calls)
    rate = 300
    got = {'': [], '-prack': []}
    for flow in got:
        lab.load(s, rate, 2, flow)
    for _ in range(o.rounds):
        for flow in got:
            got[flow].append(lab.load(s, rate, o.seconds, flow))
    plain = statistics.median(x['cpu_us'] for x in got[''])
    for flow, what in (('', 'plain set-up'), ('-prack', 'set-up with PRACK and UPDATE')):
        v = got[flow]
        note = '' if all(x['clean'] for x in v) else 'not clean: %d failed, %d repeated of %d' % (sum(x['failed'] for x in v), sum(x['repeats'] for x in v), sum(x['calls'] for x in v))
        cpu = statistics.median(x['cpu_us'] for x in v)
        lab.add(what + ' at %d/s' % rate, s.name, cpu, 'us', cpu / plain, note)

# SPDX-License-Identifier: Apache-2.0
import statistics

from lab import row, say


@row('calls', 'CPU per call (signalling, whole family of processes) at 300/s, 3,000/s and the highest clean rate, and that rate; calls RATE ...: at these')
def calls(lab):
    o = lab.o
    rates = o.call_rates
    lab.postern(o.max_calls)
    lab.kamailio()
    lab.opensips()
    for rate in [r for r in rates if r != 'max']:
        got = {s.name: [] for s in lab.systems}
        for s in lab.systems:
            lab.load(s, rate, 2)
        for _ in range(o.rounds):
            for s in lab.systems:
                got[s.name].append(lab.load(s, rate, o.seconds))
        report_cpu(lab, 'CPU per call at %d/s' % rate, got)
    if 'max' in rates:
        best = {s.name: highest(lab, s) for s in lab.systems}
        got = {s.name: [] for s in lab.systems}
        for _ in range(o.rounds):
            for s in lab.systems:
                if best[s.name]:
                    got[s.name].append(lab.load(s, best[s.name], o.seconds))
        base = best.get('kamailio')
        for s in lab.systems:
            lab.add('highest clean rate', s.name, best[s.name], 'calls/s', best[s.name] / base if base else None)
        report_cpu(lab, 'CPU per call at the highest rate', got)


def report_cpu(lab, what, got):
    median = {n: statistics.median(x['cpu_us'] for x in v) for n, v in got.items() if v}
    for n, v in got.items():
        if not v:
            continue
        note = 'core %.0f %% busy' % (100 * statistics.median(x['busy'] for x in v))
        if not all(x['clean'] for x in v):
            note += '; not clean: %d failed, %d repeated of %d' % (sum(x['failed'] for x in v), sum(x['repeats'] for x in v), sum(x['calls'] for x in v))
        lab.add(what, n, median[n], 'us', median[n] / median['kamailio'] if median.get('kamailio') else None, note)


def highest(lab, system):
    best = 0
    for rate in lab.o.rates:
        x = lab.load(system, rate, 6 if not lab.o.quick else 3)
        if not x['clean']:
            x = lab.load(system, rate, 6 if not lab.o.quick else 3)      # once more: noise is not the system's limit
        say('%s at %d/s: %d failed, %d repeated, %.0f us, %s' % (system.name, rate, x['failed'], x['repeats'], x['cpu_us'], 'clean' if x['clean'] else 'not clean'))
        if not x['clean']:
            break
        best = rate
    return best

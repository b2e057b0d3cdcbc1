# SPDX-License-Identifier: Apache-2.0
"""What looking costs: the message ring on the call path, and lists of live calls beside the engine."""
import statistics
import time

from lab import cpu_ns, row
from lib.base import check

RATE = 300


@row('trace', 'CPU per call with the message ring (64 MiB) and without, in turn (calls at 300/s)')
def trace(lab):
    o, got = lab.o, {'on': [], 'off': []}
    for _ in range(o.rounds):
        for kind, size in (('on', 64 << 20), ('off', 0)):
            s = lab.postern(o.max_calls, system={'trace': {'bytes': size}})
            lab.load(s, RATE, 2)
            got[kind].append(lab.load(s, RATE, o.seconds))
            written = s.daemon.counter('postern_trace_messages_total')
            check((written > 0) == (kind == 'on'), 'messages in the ring: %s', written)
            s.daemon.stop()
            lab.systems.remove(s)
    median = {k: statistics.median(x['cpu_us'] for x in v) for k, v in got.items()}
    for kind, v in got.items():
        lab.add('CPU per call, message ring ' + kind, 'postern', median[kind], 'us', median[kind] / median['off'],
                '%+.1f us a call; %d of %d calls failed' % (median[kind] - median['off'], sum(x['failed'] for x in v), sum(x['calls'] for x in v)))


@row('list', 'all pages of GET /calls with 20,000 signalling-only calls held, again and again: time of a list, and CPU of the engine meanwhile against none')
def calls_list(lab):
    o = lab.o
    n = 2000 if o.quick else 20000
    s = lab.postern(n + 100, system={'drain_seconds': 0}, anchor=False)
    d = s.daemon
    q = lab.callee()
    hold, rate = 60, 1000
    p = lab.sipp('caller', rate, n, hold * 1000, s.entry)
    time.sleep(n / rate + 2)
    engine = [d.role_pid('engine')]

    def spend(seconds, look):
        took, seen, before, end = [], 0, cpu_ns(engine), time.monotonic() + seconds
        while time.monotonic() < end:
            t0 = time.monotonic()
            seen = len(d.all_items('/calls')) if look else time.sleep(0.1) or seen
            took.append(time.monotonic() - t0)
        return (cpu_ns(engine) - before) / 1e6 / seconds, took, seen

    idle = spend(5, False)[0]
    busy, took, seen = spend(5, True)
    check(seen > 0.9 * n, 'calls in the list: %d of %d', seen, n)
    t0 = time.monotonic()
    one = d.items('/calls?number=nobody&limit=1000')
    find = time.monotonic() - t0
    check(one == [], 'calls of nobody: %s', one)
    lab.add('whole list of %d calls' % seen, 'postern', 1000 * statistics.median(took), 'ms', None, '%d lists, pages of 1,000' % len(took))
    lab.add('  a filter that finds none', 'postern', 1000 * find, 'ms')
    lab.add('  CPU of the engine beside it', 'postern', busy, 'ms/s', None, '%.2f ms/s without' % idle)
    p.p.kill()
    p.p.wait()
    q.end()

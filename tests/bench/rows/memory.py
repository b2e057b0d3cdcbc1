# SPDX-License-Identifier: Apache-2.0
import subprocess
import time

from lab import fds, pss_kb, row


@row('memory', 'memory per held call with 4,000 calls, at once and 35 s later, and after they ended (PSS of all processes)')
def memory(lab):
    o = lab.o
    n = o.held
    lab.postern(n + 100)
    lab.kamailio()
    lab.opensips()
    first = {}
    for s in lab.systems:
        lab.load(s, 200, 2)
        time.sleep(0 if o.quick else 35)
        pids = s.pids()
        before, descriptors = pss_kb(pids), fds(pids)
        q = lab.callee()
        hold = 20 if o.quick else 50
        p = lab.sipp('caller', 500, n, hold * 1000, s.entry)
        time.sleep(n / 500 + 1)
        at_once = pss_kb(pids)
        time.sleep(2 if o.quick else 36)
        later = pss_kb(pids)
        try:
            p.p.wait(n / 500 + hold + 60)
        except subprocess.TimeoutExpired:
            p.p.kill()
            p.p.wait()
        x = lab.stats(p)
        q.end()
        good = int(x.get('SuccessfulCall(C)') or 0)
        time.sleep(1 if o.quick else 36)
        after = pss_kb(pids)
        first[s.name] = (at_once - before) / n
        ratio = first[s.name] / first['kamailio'] if first.get('kamailio') else None
        lab.add('memory per call, %d held' % n, s.name, first[s.name], 'KB', ratio if s.name != 'postern' else None, '%d calls well' % good)
        lab.add('  35 s later', s.name, (later - before) / n, 'KB')
        lab.add('  after they ended', s.name, (after - before) / n, 'KB', None, 'descriptors %+d' % (fds(s.pids()) - descriptors))

# SPDX-License-Identifier: Apache-2.0
import time

from lab import fds, pss_kb, row
from lib.base import check, until


@row('leak', 'memory and descriptors after 20,000 calls and their end')
def leak(lab):
    s = lab.postern(4000)
    total = 2000 if lab.o.quick else 20000
    lab.load(s, 1000, 2)
    rest(lab, s)
    pids = s.pids()
    # private memory: the state memory is of one size from the start, its rings fill up once
    memory, descriptors = pss_kb(pids, 'Pss_Anon'), fds(pids)
    x = lab.load(s, 1000, total / 1000)
    rest(lab, s)
    now, d = pss_kb(s.pids(), 'Pss_Anon'), fds(s.pids())
    lab.add('private memory after %d calls' % total, 'postern', (now - memory) / 1024, 'MB more', None, '%.1f MB before; %d calls failed' % (memory / 1024, x['failed']))
    lab.add('descriptors after %d calls' % total, 'postern', float(d - descriptors), 'more', None, '%d before' % descriptors)
    if lab.o.check:
        check(x['failed'] == 0, '%d calls failed', x['failed'])
        check(d <= descriptors + 4, 'descriptors: %d before, %d after', descriptors, d)
        check(now <= memory * 1.05 + 4096, 'memory: %d KB before, %d KB after', memory, now)


def rest(lab, s):
    """Transactions and buffers of ended calls are gone."""
    until(lambda: not s.daemon.calls(), 30, 'no call is left', step=0.5)
    time.sleep(3 if lab.o.quick else 40)

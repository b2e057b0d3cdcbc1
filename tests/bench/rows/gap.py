# SPDX-License-Identifier: Apache-2.0
import threading
import time

from lab import row


@row('gap', 'the audio gap when media is killed under 50 and 500 calls')
def gap(lab):
    s = lab.postern(700)
    for n in (50, 500):
        flows, calls, agents = lab.flows(s, n)
        calm = lab.rtpgen(flows, n, 3, s.daemon.role_pid('media'))
        killer = threading.Timer(3.0, lambda: s.daemon.kill('media'))
        killer.start()
        x = lab.rtpgen(flows, n, 4, 0)
        killer.join()
        lab.add('audio gap, media killed, %d calls' % n, 'postern', max(0.0, x['gap_max_ms'] - 20), 'ms', None,
                 '%d of %d packets lost; without a kill %.1f ms' % (x['sent'] - x['received'], x['sent'], max(0.0, calm['gap_max_ms'] - 20)))
        lab.end_calls(calls, agents)
        time.sleep(1)

# SPDX-License-Identifier: Apache-2.0
import statistics

from lab import row


@row('media', 'CPU per relayed packet, loss, delay at 500 and 1,000 calls (50,000 and 100,000 packets/s)')
def media(lab):
    o = lab.o
    s = lab.postern(1100)
    most = max(o.media)
    flows, calls, agents = lab.flows(s, most)
    peer = lab.rtpengine(most)
    media = s.daemon.role_pid('media')
    for n in o.media:
        got = {'postern': [], 'rtpengine': []}
        lab.rtpgen(flows, n, 2, media)
        for _ in range(o.rounds):
            got['postern'].append(lab.rtpgen(flows, n, o.media_seconds, media))
            if peer:
                got['rtpengine'].append(lab.rtpgen(peer[1], n, o.media_seconds, peer[2]))
        median = {k: statistics.median(x['cpu_us_per_packet'] for x in v) for k, v in got.items() if v}
        for k, v in got.items():
            if not v:
                continue
            note = 'loss %.4f %%, delay p50 %d p99 %d us, %.0f packets/s, generator late by %d us at most' % (
                statistics.median(x['loss_pct'] for x in v), statistics.median(x['p50_us'] for x in v), statistics.median(x['p99_us'] for x in v),
                statistics.median(x['pps'] for x in v), max(x['gen_lag_us'] for x in v))
            lab.add('CPU per packet, %d calls' % n, k, median[k], 'us', median[k] / median['rtpengine'] if median.get('rtpengine') else None, note)
    lab.end_calls(calls, agents)

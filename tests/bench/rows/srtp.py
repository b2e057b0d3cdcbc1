# SPDX-License-Identifier: Apache-2.0
"""SRTP: CPU per packet, delay and memory in each pairing, and the highest packet rate, beside rtpengine with the same flows."""
import statistics

from lab import row

CM, GCM = 'AES_CM_128_HMAC_SHA1_80', 'AEAD_AES_128_GCM'
PAIRINGS = (('RTP-RTP', (None, None)), ('RTP-SRTP CM-SHA1-80', (None, CM)), ('RTP-SRTP GCM-128', (None, GCM)), ('SRTP-SRTP CM-SHA1-80, GCM-128', (CM, GCM)))
LOSS, P99_US, LATE_US = 0.01, 20000, 15000      # a run is clean below these; buffers hide overload as delay


def note(v):
    m = lambda k: statistics.median(x[k] for x in v)
    return 'delay p50 %d p99 %d p999 %d us, loss %.4f %%, %.0f packets/s, not verified %d, generator late by %d us at most' % (
        m('p50_us'), m('p99_us'), m('p999_us'), m('loss_pct'), m('pps'), max(x['unverified'] for x in v), max(x['gen_lag_us'] for x in v))


class Pairing:
    """Postern and rtpengine with the same number of calls of one pairing."""

    def __init__(self, lab, suites, peer, calls):
        self.lab, self.calls = lab, calls
        self.s = lab.postern(calls + 50, suites)
        before = self.s.daemon.pss_kb()
        flows, self.held, self.agents = lab.flows(self.s, calls, suites)
        self.sides = {'postern': (flows, self.s.daemon.role_pid('media'))}
        if peer:
            self.sides['rtpengine'] = (lab.rtpengine_flows(peer[1], calls, suites), peer[0])
        lab.rtpgen(flows, calls, 2, 0)
        self.kb_per_call = (self.s.daemon.pss_kb() - before) / calls

    def run(self, who, calls, seconds):
        flows, pid = self.sides[who]
        return self.lab.rtpgen(flows, calls, seconds, pid)

    def close(self):
        self.lab.end_calls(self.held, self.agents)
        self.s.daemon.stop()
        self.lab.systems.remove(self.s)


@row('srtp', 'CPU per relayed packet, delay and memory: RTP-RTP, RTP-SRTP (CM, GCM), SRTP-SRTP at 1,000 calls (100,000 packets/s)')
def srtp(lab):
    o, calls = lab.o, max(lab.o.media)
    peer = lab.rtpengine_start()
    for name, suites in PAIRINGS:
        p = Pairing(lab, suites, peer, calls)
        got = {who: [] for who in p.sides}
        for _ in range(o.rounds):
            for who in p.sides:
                got[who].append(p.run(who, calls, o.media_seconds))
        cost = {who: statistics.median(x['cpu_us_per_packet'] for x in v) for who, v in got.items()}
        for who, v in got.items():
            lab.add('%s, %d calls' % (name, calls), who, cost[who], 'us', cost[who] / cost['rtpengine'] if 'rtpengine' in cost else None, note(v))
        lab.add('memory, ' + name, 'postern', p.kb_per_call, 'KB/call', None, 'all processes, with traffic')
        p.close()


@row('top', 'highest packet rate with < 0.01 % loss and p99 < 20 ms on one core, each pairing (steps of 25,000 packets/s)')
def top(lab):
    peer = lab.rtpengine_start()
    most = 1500 if lab.o.quick else 2500
    for name, suites in PAIRINGS:
        p = Pairing(lab, suites, peer, most)
        best = {}
        for who in p.sides:
            best[who], why = 0, 'the generator ends there'
            for calls in range(500, most + 1, 250):
                x = p.run(who, calls, max(3, lab.o.media_seconds // 2))
                if x['loss_pct'] >= LOSS or x['p99_us'] >= P99_US or x['gen_lag_us'] >= LATE_US:
                    why = 'at %d: loss %.3f %%, p99 %d us, generator late by %d us' % (calls * 100, x['loss_pct'], x['p99_us'], x['gen_lag_us'])
                    break
                best[who] = calls * 100
            lab.add('highest rate, ' + name, who, best[who], 'packets/s', best[who] / best['rtpengine'] if best.get('rtpengine') else None, why)
        p.close()


@row('srtp-gap', 'audio gap when media is killed under 500 calls with SRTP on both legs; every packet verifies, no index comes twice')
def srtp_gap(lab):
    import threading
    p = Pairing(lab, (CM, GCM), None, 500)
    calm = p.run('postern', 500, 3)
    killer = threading.Timer(3.0, lambda: p.s.daemon.kill('media'))
    killer.start()
    flows, _ = p.sides['postern']
    x = lab.rtpgen(flows, 500, 4, 0)
    killer.join()
    lab.add('audio gap, SRTP, media killed, 500 calls', 'postern', max(0.0, x['gap_max_ms'] - 20), 'ms', None,
            '%d of %d packets lost, %d did not verify or came twice; without a kill %.1f ms' % (
                x['sent'] - x['received'], x['sent'], x['unverified'], max(0.0, calm['gap_max_ms'] - 20)))
    p.close()


@row('scale', '2,000 plain calls, 200,000 packets/s through the box: Postern on one core, the generator needs the other')
def scale(lab):
    calls = 2000
    p = Pairing(lab, (None, None), None, calls)
    got = [p.run('postern', calls, lab.o.media_seconds) for _ in range(lab.o.rounds)]
    lab.add('loss, %d calls' % calls, 'postern', statistics.median(x['loss_pct'] for x in got), '%', None, note(got))
    lab.add('CPU per packet, %d calls' % calls, 'postern', statistics.median(x['cpu_us_per_packet'] for x in got), 'us', None, 'media process')
    lab.add('memory, %d calls' % calls, 'postern', p.kb_per_call, 'KB/call', None, 'all processes, with traffic')
    p.close()

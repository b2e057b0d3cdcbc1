# SPDX-License-Identifier: Apache-2.0
"""The admin API beside calls: what its readers cost SIP messages, how long a write of a large configuration takes until it is in force."""
import http.client
import multiprocessing
import os
import socket
import time

from lab import percentile, row
from lib.base import check, until
from rows.delay import SO_TIMESTAMPNS, ring

READS = 1000          # a second
CALLS = 300           # a second
PATHS = ('/api/v1/calls?limit=20', '/api/v1/stats', '/api/v1/trunks', '/api/v1/config/trunks', '/api/v1/health', '/api/v1/cdrs?limit=10', '/metrics', '/api/v1/config')


def reader(api, token, rate, stop, count):
    """Reads at a rate by one connection, as long as it may."""
    os.sched_setaffinity(0, {1})
    h = http.client.HTTPConnection(*api, timeout=10)
    start, n = time.monotonic(), 0
    while not stop.is_set():
        h.request('GET', PATHS[n % len(PATHS)], headers={'Authorization': 'Bearer ' + token})
        r = h.getresponse()
        r.read()
        if r.status != 200:
            break
        n += 1
        time.sleep(max(0.0, start + n / rate - time.monotonic()))
    with count.get_lock():
        count.value += n


def rings(lab, system, seconds):
    """Milliseconds from INVITE to 180 of CALLS calls a second."""
    ends = []
    for host in (11, 12):
        k = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        k.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        k.bind((lab.t.ip(host), 5060))
        ends.append(k)
    out, start = [], time.monotonic()
    for n in range(CALLS * seconds):
        out.append(ring(lab, *ends, system.entry, n))
        time.sleep(max(0.0, start + n / CALLS - time.monotonic()))
    for k in ends:
        k.close()
    return out


@row('api', '1,000 API reads a second beside 300 calls a second: delay added to SIP messages, all processes on one core')
def api(lab):
    system = lab.postern(2000)
    d = system.daemon
    quiet, beside, reads, took = [], [], 0, 0.0
    for _ in range(lab.o.rounds):
        quiet += rings(lab, system, lab.o.seconds)
        stop, count = multiprocessing.Event(), multiprocessing.Value('i', 0)
        readers = [multiprocessing.Process(target=reader, args=(d.api, d.token, READS / 2, stop, count)) for _ in range(2)]
        for p in readers:
            p.start()
        time.sleep(0.5)
        at = time.monotonic()
        beside += rings(lab, system, lab.o.seconds)
        took += time.monotonic() - at + 0.5
        stop.set()
        for p in readers:
            p.join(15)
        reads += count.value
    check(reads > 0, 'no read was answered')
    for p in (0.5, 0.99, 0.999, 1.0):
        a, b = (percentile(quiet, p), percentile(beside, p)) if p < 1 else (max(quiet), max(beside))
        lab.add('delay added by %.0f reads/s, %s' % (reads / took, 'most' if p == 1 else 'p%g' % (p * 100)), 'postern', b - a, 'ms', None, '%.3f - %.3f' % (b, a))


@row('write', 'a configuration of 1,000 trunks written over REST: until it is answered, in force in all processes and shown by the engine')
def write(lab):
    system = lab.postern(500)
    d = system.daemon
    doc = d.get('/config').json
    doc['trunks'] += [{'id': 'more-%d' % k, 'realm': 'peering', 'target': 'sip:%s:%d;transport=udp' % (lab.t.ip(90), 10000 + k)} for k in range(1000)]

    def shown(n):
        at = time.monotonic()
        until(lambda: len(d.all_items('/trunks')) == n, 20, 'trunks shown by the engine')
        return time.monotonic() - at
    at = time.monotonic()
    r = d.http('PUT', '/config', doc, seconds=30)
    put = time.monotonic() - at
    check(r.status == 200, 'PUT: %d %s', r.status, r.text[:200])
    lab.add('1,000 trunks written at once', 'postern', put * 1000, 'ms', None, 'then %.0f ms until /trunks has them, which reads them all' % (shown(1002) * 1000))
    times = []
    for k in range(10):
        at = time.monotonic()
        r = d.http('PATCH', '/config/trunks/more-%d' % k, {'limits': {'max_calls': k + 1}}, ctype='application/merge-patch+json', seconds=30)
        times.append((time.monotonic() - at) * 1000)
        check(r.status == 200, 'PATCH: %d', r.status)
    lab.add('one of 1,000 trunks changed, p50', 'postern', percentile(times, 0.5), 'ms', None, 'most %.0f ms' % max(times))

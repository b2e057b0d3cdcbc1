# SPDX-License-Identifier: Apache-2.0
"""
All scenarios of a call at once, by SIPp on both sides, a file of its own for each (lib/flows.py). In short here; POSTERN_SOAK_MIX=RATExSECONDS is what `script/test soak`
gives, with a build with sanitizers: no call ends otherwise than it should, none is left, no report of a sanitizer, memory is as before, a CDR for each call.
"""
import collections
import os
import socket
import time

from lib.base import SANITIZED, Proc, check, equal, need, test, until
from lib.daemon import Postern, document
from lib.flows import MIX, files

RATE, SECONDS = [float(x) for x in os.environ.get('POSTERN_SOAK_MIX', '32x4').split('x')]
ENDS = {'cancel': (487, 'caller'), 'cancel-unheard': (487, 'caller'), 'busy': (486, 'callee'), 'redirect': (302, 'callee'), 'no-answer': (480, 'postern'), 'callee-bye': (200, 'callee')}


def port_of(k):
    return 5070 + 2 * k


def house(t, names):
    """A trunk for each scenario; numbers 2kk... go to it."""
    more = {'follow': {'redirect': 'follow'}, 'refer': {'refer': 'reject'}, 'no-answer': {'no_answer': 1}, 'digest': {'auth': {'username': 'u', 'password': 'p'}}}
    rows, routes = [], []
    for k, name in enumerate(names):
        rows.append({'id': 's-' + name, 'realm': 'peering', 'target': 'sip:%s:%d' % (t.ip(12), port_of(k)), 'mid_call': 'relay-all', **more.get(name, {})})
        routes.append({'id': 's-' + name, 'order': 5, 'from': ['a'], 'match': {'to_user': '^2%02d' % k}, 'to': 's-' + name})
    calls = max(400, int(RATE * 8))
    doc = document(t, ports=calls * 2, more_trunks=rows, routes=routes, system={'max_calls': calls, 'trace': {'bytes': 1 << 20}}, trunk_a={'mid_call': 'relay-all', 'refer': 'reject'})
    # the supervisor alone may look for leaks at its end: its children may not trace; theirs are told by their memory, so little of what is freed is kept aside
    return Postern(t, doc, env={'ASAN_OPTIONS': 'detect_leaks=1:abort_on_error=0:handle_abort=1:quarantine_size_mb=8'} if SANITIZED else None)


def sipp(t, name, xml, ip, port, more):
    return Proc(t, 'sipp-' + name, ['sipp', '-sf', xml, '-i', ip, '-p', port, '-mi', ip, '-nostdin', '-nd', '-trace_err', '-error_file', t.path('%s-%d.errors' % (name, port), b''),
                                    '-timeout', '%ds' % (SECONDS + 150), '-timeout_error', '-key', 'plain', port_of(list(MIX).index('plain')), *more])


def listens(ip, port):
    want = '%02X%02X%02X%02X:%04X' % (*reversed([int(x) for x in ip.split('.')]), port)
    with open('/proc/net/udp') as f:
        return want in f.read()


def private_kb(d):
    """Memory of the engine alone."""
    with open('/proc/%d/smaps_rollup' % d.role_pid('engine')) as f:
        return sum(int(ln.split()[1]) for ln in f if ln.startswith('Private'))


def burst(t, d, names, count, seconds):
    """So many calls of each scenario, in that time; the SIPps that did them must all be content."""
    ip_a, ip_b = t.party['a'][0], t.ip(12)
    callees, callers, deaf = [], [], []
    for k, name in enumerate(names):
        caller, callee = files(t, name)
        if callee:
            n = count * (2 if name == 'plain' and 'follow' in names else 1)
            callees.append((name, sipp(t, name, callee, ip_b, port_of(k), ['-m', n])))
        else:
            deaf.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            deaf[-1].bind((ip_b, port_of(k)))
        callers.append((name, k, caller))
    until(lambda: all(listens(ip_b, port_of(k)) for k in range(len(names))), 20, 'SIPp listens')
    period = max(1000, int(seconds * 1000))
    callers = [(name, sipp(t, name, xml, ip_a, port_of(k), ['-m', count, '-r', count, '-rp', period, '-l', 4 * count, '-s', '2%02d1' % k, '-key', 'number', '2%02d1' % k,
                                                       '%s:%d' % t.at['a']])) for name, k, xml in callers]
    for name, p in callers + callees:
        rc = p.wait(SECONDS + 170)
        if rc:
            path = [x for x in p.argv if x.endswith('.errors')][0]
            check(False, 'SIPp %s ended with %d: %s\n%s', name, rc, open(path, errors='replace').read()[:3000], p.tail(4))
    for s in deaf:
        s.close()


@test(seconds=300 + 5 * SECONDS, slow=True)
def soak_all_scenarios(t):
    """16 scenarios of SIPp at once: each call ends as it should, with its CDR; none is left, nothing leaks"""
    need('sipp', 'the soak of all scenarios')
    names = list(MIX)
    d = house(t, names)
    d.start()
    # what grows with the first calls, up to the most that are open at once, is no leak
    rounds = [(max(1, int(RATE * s / len(names))), s) for s in ([SECONDS] if SECONDS < 20 else [min(SECONDS, 60), SECONDS])]
    done = 0
    for n, seconds in rounds:
        before = private_kb(d)
        begin = time.monotonic()
        burst(t, d, names, n, seconds)
        took = time.monotonic() - begin
        done += n * len(names)
        d.no_calls(60)
        if len(rounds) > 1:
            time.sleep(34)              # 64*T1: transactions and answers that are kept for those that come again
    t.note('%d calls in %.0f s; memory of the engine %d KB before the last round, %d after' % (n * len(names), took, before, private_kb(d)))
    until(lambda: len(d.all_items('/cdrs')) >= done, 60, 'a CDR of each call')
    got = collections.Counter((x['to'][-4:-1] if x['to'][-1].isdigit() else x['to'], x['status'], x['ended_by']) for x in d.all_items('/cdrs'))
    want = collections.Counter({('2%02d' % k, *ENDS.get(name, (200, 'caller'))): done // len(names) for k, name in enumerate(names)})
    equal(got, want, 'CDRs')
    check(private_kb(d) < before * 1.2 + 10000, 'memory of the engine: %d KB, before %d', private_kb(d), before)
    for role in ('engine', 'media', 'admin'):
        check(d.processes()[role]['restarts'] == 0, '%s died', role)
    equal(d.stop(seconds=60), 0, 'exit code')

# SPDX-License-Identifier: Apache-2.0
"""The laboratory of script/bench: systems under test on core 0, load on core 1, a table of what was measured. A row of the table is a function in rows/ with @row."""
import base64
import csv
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from lib.base import Proc, Test, alive, check, descendants, need      # noqa: E402
from lib.daemon import Postern                                         # noqa: E402
from lib.sip import sdp_text                                           # noqa: E402
from lib.srtp import LENGTH                                            # noqa: E402
from lib.stacks import modules_of                                      # noqa: E402
from lib.ua import Agent                                               # noqa: E402

BENCH = os.path.join(ROOT, 'tests', 'bench')
CLEAN = 0.001            # a rate is clean with fewer failed calls and fewer repeated messages than this, per call
ROWS = {}


def row(name, about):
    """Registers a row: a function of the laboratory that adds its figures to the table."""
    def take(f):
        ROWS[name] = (f, about)
        return f
    return take


def say(text):
    print('-- ' + text, file=sys.stderr, flush=True)


def cpu_ns(pids):
    """Time on the CPU of all threads of these processes."""
    total = 0
    for pid in pids:
        try:
            for tid in os.listdir('/proc/%d/task' % pid):
                with open('/proc/%d/task/%s/schedstat' % (pid, tid)) as f:
                    total += int(f.read().split()[0])
        except (OSError, IndexError):
            pass
    return total


def pss_kb(pids, field='Pss'):
    """Memory of the processes, what they share divided; field 'Pss_Anon': what is their own alone."""
    total = 0
    for pid in pids:
        try:
            with open('/proc/%d/smaps_rollup' % pid) as f:
                total += sum(int(ln.split()[1]) for ln in f if ln.startswith(field + ':'))
        except OSError:
            pass
    return total


def fds(pids):
    return sum(len(os.listdir('/proc/%d/fd' % p)) for p in pids if alive(p))


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p))]


def key_field(end, suite, ours, sdp):
    """Keys of an end as rtpgen reads them."""
    if not suite:
        return ''
    theirs = base64.b64decode(re.search(r'a=crypto:1 %s inline:(\S+)' % suite, sdp.text).group(1))
    return ' %sK=%s,%s,%s' % (end, suite, ours.hex(), theirs.hex())


class System:
    """Something that is measured: entry is where SIPp sends to."""

    def __init__(self, name, entry, callee, pids, entry_ip=None):
        self.name, self.entry, self.callee, self.pids, self.caller = name, entry, callee, pids, entry_ip


class Lab:
    def __init__(self, options):
        self.o = options
        self.t = Test('bench', options.build)
        self.t.procs_pinned = []
        self.systems, self.seq = [], 0
        self.table = []

    def pinned(self, name, cpu, argv, **kw):
        return Proc(self.t, name, ['taskset', '-c', str(cpu), *argv], **kw)

    def postern(self, calls, suites=(None, None), system=None, anchor=True):
        """suites: of SRTP on the caller's and the callee's leg, None: plain. system: more of its options. anchor False: signalling alone."""
        t = self.t
        doc = {'schema': 1, 'system': {'name': 'bench', 'max_calls': calls, 'media': 'bench', **(system or {})},
               'media_profiles': [{'id': 'bench', 'transport': 'rtp', 'inactivity': 0, 'anchor': anchor}], 'realms': [], 'listeners': [], 'trunks': [],
               'routes': [{'id': 'r', 'order': 1, 'from': ['caller'], 'to': 'callee'}]}
        for k, (realm, trunk) in enumerate((('core', 'caller'), ('peering', 'callee'))):
            span = calls + 100 if anchor else 100
            doc['realms'].append({'id': realm, 'media': {'address': t.ip(1 + k), 'port_min': 10000, 'port_max': min(65534, 10000 + 2 * span - 2)}})
            doc['listeners'].append({'id': realm + '-udp', 'realm': realm, 'transport': 'udp', 'address': t.ip(1 + k), 'port': 5060})
            doc['trunks'].append({'id': trunk, 'realm': realm, 'target': 'sip:%s:%d;transport=udp' % (t.ip(11 + k), 5060)})
            if suites[k]:
                doc['media_profiles'].append({'id': 'srtp-%d' % k, 'transport': 'sdes', 'suites': [suites[k]], 'inactivity': 0})
                doc['trunks'][-1]['media'] = 'srtp-%d' % k
        d = Postern(t, doc, args=['--log-level', 'warn'])
        d.argv = lambda *more, argv=d.argv: ['taskset', '-c', '0', *argv(*more)]
        d.start(60)
        s = System('postern', (t.ip(1), 5060), (t.ip(12), 5060), d.family)
        s.daemon = d
        self.systems.append(s)
        return s

    def kamailio(self):
        try:
            program = need('kamailio', 'the ratio to Kamailio')
        except Exception as e:
            say(str(e))
            return None
        t = self.t
        return self.proxy('kamailio', os.path.join(BENCH, 'kamailio.cfg'), 20, lambda cfg, run: [program, '-f', cfg, '-DD', '-E', '-Y', run, '-w', run, '-m', '4096', '-M', '64', '-x', 'fm', '-X', 'fm'],
                          {'MODULES': modules_of('kamailio', 'tm.so')}) if t else None

    def opensips(self):
        program, cfg = os.environ.get('OPENSIPS_BIN'), os.environ.get('OPENSIPS_CFG')
        if not program or not cfg:
            return None
        return self.proxy('opensips', cfg, 21, lambda path, run: [program, '-f', path, '-F', '-E', '-w', run, '-m', '1024', '-M', '64'], {})

    def proxy(self, name, cfg, host, argv, keys):
        t = self.t
        with open(cfg) as f:
            text = f.read()
        for key, value in {'LISTEN': t.ip(host) + ':5060', 'CALLEE': t.ip(12) + ':5060', **keys}.items():
            text = text.replace('@%s@' % key, value)
        run = os.path.join(t.tmp, name)
        os.makedirs(run)
        p = self.pinned(name, 0, argv(t.path(name + '.cfg', text), run))
        time.sleep(2)
        check(p.running(), '%s ended: %s', name, p.tail())
        s = System(name, (t.ip(host), 5060), (t.ip(12), 5060), lambda: {p.pid} | descendants(p.pid))
        self.systems.append(s)
        return s

    def sipp(self, side, rate, calls, hold_ms, remote=None, flow=''):
        self.seq += 1
        folder = os.path.join(self.t.tmp, 'sipp%d-%s' % (self.seq, side))
        os.makedirs(folder)
        ip = self.t.ip(11 if side == 'caller' else 12)
        argv = ['sipp', '-sf', os.path.join(BENCH, 'sipp', side + flow + '.xml'), '-i', ip, '-p', '5060', '-t', 'u1', '-nostdin', '-timer_resol', '1', '-buff_size', '8388608',
                '-trace_stat', '-stf', 'stat.csv', '-fd', '3600', '-d', str(hold_ms), '-s', '2000']
        if side == 'caller':
            argv += ['-r', str(rate), '-rp', '1000', '-m', str(calls), '-l', str(int(rate * (hold_ms / 1000 + 1)) * 2 + 100), '-timeout', '%ds' % (calls / rate + hold_ms / 1000 + 30)]
        if remote:
            argv.append('%s:%d' % remote)
        p = self.pinned('sipp', 1, argv, cwd=folder)
        p.folder = folder
        return p

    def callee(self, flow=''):
        p = self.sipp('callee', 0, 0, 0, flow=flow)
        time.sleep(0.4)
        check(p.running(), 'the callee does not start: %s', p.tail())
        return p

    @staticmethod
    def stats(p):
        """The last line of SIPp's statistics: {column: text}."""
        path = os.path.join(p.folder, 'stat.csv')
        try:
            with open(path) as f:
                rows = list(csv.reader(f, delimiter=';'))
            return dict(zip(rows[0], rows[-1]))
        except (OSError, IndexError):
            return {}

    def load(self, system, rate, seconds, flow=''):
        """Calls at a rate (flow: another scenario of both parties): dict with cpu_us, calls, failed, repeats, and whether the generator kept its rate. They are held for 1 s, shorter where ports end."""
        hold_ms = min(1000, int(self.o.max_calls * 600 / rate))
        calls = int(rate * seconds)
        q = self.callee(flow)
        before, start = cpu_ns(system.pids()), time.monotonic()
        p = self.sipp('caller', rate, calls, hold_ms, system.entry, flow)
        try:
            p.p.wait(calls / rate + hold_ms / 1000 + 60)
        except subprocess.TimeoutExpired:
            p.p.kill()
            p.p.wait()
        took = time.monotonic() - start
        time.sleep(0.3)
        used = cpu_ns(system.pids()) - before
        q.end()
        s, sq = self.stats(p), self.stats(q)
        good, bad = int(s.get('SuccessfulCall(C)') or 0), int(s.get('FailedCall(C)') or 0)
        repeats = int(s.get('Retransmissions(C)') or 0) + int(sq.get('Retransmissions(C)') or 0)
        if good + bad < calls:
            bad = calls - good
        return {'cpu_us': used / 1000 / max(1, good), 'calls': good, 'failed': bad, 'repeats': repeats, 'rate': calls / max(0.1, took - hold_ms / 1000 - 0.1),
                'clean': bad <= CLEAN * calls and repeats <= CLEAN * calls, 'busy': used / 1e9 / took}

    def add(self, what, system, value, unit, ratio=None, note=''):
        self.table.append({'row': what, 'system': system, 'value': value, 'unit': unit, 'ratio': ratio, 'note': note})
        say('%-34s %-10s %12s %-12s %s %s' % (what, system, value if isinstance(value, str) else '%.2f' % value, unit, '' if ratio is None else '%.2f x' % ratio, note))

    def keyed(self, ip, suite):
        """SDP of an end of the generator, and its key."""
        if not suite:
            return sdp_text(ip, 6000, formats='0'), None
        key = os.urandom(LENGTH[suite])
        text = sdp_text(ip, 6000, formats='0', extra=['a=crypto:1 %s inline:%s' % (suite, base64.b64encode(key).decode())])
        return text.replace('RTP/AVP', 'RTP/SAVP'), key

    def flows(self, system, count, suites=(None, None)):
        """Set up calls by SIP whose media are the generator's ports; returns the flow file."""
        t = self.t
        a, b = Agent(t, t.ip(11), system.entry), Agent(t, t.ip(12), (t.ip(2), 5060))
        path = os.path.join(t.tmp, 'postern.flows')
        calls = []
        with open(path, 'w') as f:
            for k in range(count):
                number = str(100000 + k)
                (offer, ka), (answer, kb) = (self.keyed(t.ip(31 + n), s) for n, s in enumerate(suites))
                c = a.call(number, sdp=offer)
                i = b.await_call(number, 5)
                i.reply(200, sdp=answer)
                c.wait(200, 5)
                i.expect('ACK', 5)
                calls.append((c, i))
                f.write('A=%s:6000 RA=%s:%d B=%s:6000 RB=%s:%d%s%s\n' % (t.ip(31), *c.rsdp.dest(), t.ip(32), *i.rsdp.dest(),
                                                                       key_field('A', suites[0], ka, c.rsdp), key_field('B', suites[1], kb, i.rsdp)))
        return path, calls, (a, b)

    def end_calls(self, calls, agents):
        for c, i in calls:
            tx = c.request('BYE')
            i.answer_bye(5)
            tx.final(5)
        for x in agents:
            x.close()

    def generator(self):
        path = os.path.join(self.o.build, 'tests', 'bench', 'rtpgen')
        if not os.path.exists(path) or self.o.rebuild:
            subprocess.run(['make', '-s', '-C', os.path.join(self.o.build, 'tests'), 'bench/rtpgen'], check=True, stdout=subprocess.DEVNULL)
        return path

    def rtpgen(self, flows, calls, seconds, pid, warm=1):
        r = subprocess.run(['taskset', '-c', '1', self.generator(), '-f', flows, '-n', str(calls), '-d', str(seconds), '-w', str(warm), '-c', '1', '-P', str(pid)],
                           stdout=subprocess.PIPE, text=True, timeout=seconds + 30, check=True)
        return json.loads(r.stdout)

    def rtpengine_start(self):
        """(pid, address of its ng protocol), or None where it is not there."""
        try:
            program = need('rtpengine', 'the ratio to rtpengine')
        except Exception as e:
            say(str(e))
            return None
        t = self.t
        ng = t.ip(40) + ':2223'
        p = self.pinned('rtpengine', 0, [program, '--config-file=' + t.path('rtpengine.conf', '[rtpengine]\n'), '--interface=' + t.ip(40), '--listen-ng=' + ng, '--table=-1', '--foreground', '--log-stderr', '--log-level=3',
                                         '--port-min=10000', '--port-max=60000', '--num-threads=1', '--pidfile=' + t.tmp + '/rtpengine.pid'])
        time.sleep(1.5)
        check(p.running(), 'rtpengine ended: %s', p.tail())
        return next(iter(descendants(p.pid)), p.pid), ng

    def rtpengine_flows(self, ng, count, suites=(None, None)):
        """Calls in it; the flow file."""
        t = self.t
        flows = os.path.join(t.tmp, 'rtpengine-%s-%s.flows' % suites)
        argv = [sys.executable, os.path.join(BENCH, 'rtpengine.py'), '--ng', ng, '-n', str(count), '-o', flows, '-a', t.ip(41) + ':6000', '-b', t.ip(42) + ':6000']
        for flag, suite in zip(('--suite-a', '--suite-b'), suites):
            argv += [flag, suite] if suite else []
        subprocess.run(argv, check=True, stdout=sys.stderr)
        return flows

    def rtpengine(self, count):
        peer = self.rtpengine_start()
        return peer and (None, self.rtpengine_flows(peer[1], count), peer[0])

    def close(self, failed=False):
        self.t.close(failed)
        for n in self.t.notes:
            say(n)

# SPDX-License-Identifier: Apache-2.0
"""Media sockets: shared by all ports where the machine lets us, two per port pair where not; what a small limit of open files does to new ports."""
import os
import re
import signal
import socket
import subprocess

from lib.base import Skip, alive, check, equal, need, need_root, need_ipv6, test, until
from lib.daemon import Bed, Postern
from lib.rtp import both_ways
from t_call import establish
from t_hijack import Spray, unhurt
from t_write import hang_up, write

REFUSED = re.compile(r'two sockets for each port pair, as ports cannot share them here (.*)')


def shared_bed(t, **kw):
    """A daemon whose ports share sockets; a skip that says why where it cannot be had."""
    need_root('shared media sockets')
    bed = Bed(t, start=False, system={'media_process': {'sockets': 'auto'}}, **kw)
    bed.d.start()
    why = REFUSED.search(bed.d.proc.text())
    if why:
        raise Skip('shared media sockets (%s)' % why.group(1))
    check('ports share sockets' in bed.d.proc.text(), 'the log says which way it is: %s', bed.d.proc.tail())
    equal(bed.d.counter('postern_media_shared_sockets'), 1, 'the metrics say so too')
    return bed


def descriptors(pid):
    return len(os.listdir('/proc/%d/fd' % pid))


@test(seconds=30)
def shared_sockets(t):
    """two calls' audio and reports over shared sockets; descriptors do not grow with the ports; who sprays stands behind the parties; over kills of media"""
    bed = shared_bed(t, ports=600)
    for role, pid in (('media', bed.d.role_pid('media')), ('supervisor', bed.d.proc.pid)):
        check(descriptors(pid) < 400, '%s holds %d descriptors for 1,200 port pairs', role, descriptors(pid))
    one, two = establish(bed, bed.a, bed.b, '7001'), establish(bed, bed.a, bed.b, '7002')
    for c, i, ra, rb in (one, two):
        both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    c, i, ra, rb = one
    ends = [ra.stream(c.rsdp.dest()), rb.stream(i.rsdp.dest())]
    sprays = [Spray(t, 61, ra, c.rsdp.dest()), Spray(t, 62, rb, i.rsdp.dest())]
    until(lambda: len(ra.rx) > 50 and len(rb.rx) > 50, 10, 'audio under the spray')
    for s in sprays:
        s.end()
    for e in ends:
        e()
    for rtp, what in ((ra, 'caller'), (rb, 'callee')):
        unhurt(rtp, what)
    for _ in range(2):
        bed.d.restarted('media', bed.d.kill('media'))
        for c, i, ra, rb in (one, two):
            both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    threads = lambda: len(os.listdir('/proc/%d/task' % bed.d.role_pid('media')))
    before = threads()
    write(bed, 'PATCH', '/config/system', {'media_process': {'workers': 5}})
    until(lambda: threads() > before, 10, 'more threads of media')
    for c, i, ra, rb in (one, two):
        both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
        hang_up(c, i)
    bed.d.no_calls()


@test()
def shared_sockets_ipv6(t):
    """an IPv4 leg beside an IPv6 leg: both go through the same sockets"""
    need_ipv6()
    bed = shared_bed(t, v6='b')
    c, i, ra, rb = establish(bed, bed.a, bed.b, '7003')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    hang_up(c, i)


@test()
def shared_sockets_leave_nothing(t):
    """the daemon killed with all its processes: packets to what were media ports reach whoever binds them"""
    bed = shared_bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '7004')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest(), 3)
    port = c.rsdp.dest()
    mine = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    mine.bind(port)
    mine.settimeout(0.2)
    ra.send(port, 3)
    try:
        mine.recv(2000)
        reached = True
    except socket.timeout:
        reached = False
    check(not reached, 'a packet of the call went to a foreign socket on its port')
    pids = [p['pid'] for p in bed.d.processes().values()]
    bed.d.killed.update(pids)
    os.kill(bed.d.proc.pid, signal.SIGKILL)
    bed.d.proc.p.wait(20)
    bed.d.proc = None
    until(lambda: not any(alive(p) for p in pids), 20, 'all processes end')

    def arrives():
        ra.send(port, 1)
        try:
            return mine.recv(2000)
        except socket.timeout:
            return False
    until(arrives, 10, 'packets reach the socket on the former media port')


def without(d, claim, *capabilities, limit=None):
    """The daemon starts without these capabilities, and with that limit of open files."""
    need_root(claim)
    argv = [need('setpriv', claim), '--bounding-set', ','.join('-' + c for c in capabilities)]
    if limit:
        argv += [need('prlimit', claim), '--nofile=%d:%d' % (limit, limit)]
    if subprocess.run(argv + ['true'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
        raise Skip('%s (no right to give capabilities up here)' % claim)
    plain = d.argv
    d.argv = lambda *more: argv + plain(*more)


@test()
def ports_as_configured(t):
    """`ports`: two sockets for each pair, and the log says so"""
    bed = Bed(t, start=False, system={'media_process': {'sockets': 'ports'}})
    bed.d.start()
    check('two sockets for each port pair, as configured' in bed.d.proc.text(), 'the log says so: %s', bed.d.proc.tail())
    equal(bed.d.counter('postern_media_shared_sockets'), 0, 'the metrics say so too')
    check(descriptors(bed.d.role_pid('media')) > 240, 'media holds %d descriptors', descriptors(bed.d.role_pid('media')))
    c, i, ra, rb = establish(bed, bed.a, bed.b, '7005')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    hang_up(c, i)


@test()
def shared_sockets_refused(t):
    """a start without CAP_NET_RAW: `auto` takes two sockets per pair and says why; `shared` ends with 2 and says why"""
    bed = Bed(t, start=False, system={'media_process': {'sockets': 'auto'}})
    without(bed.d, 'shared sockets refused', 'net_raw')
    bed.d.start()
    check(REFUSED.search(bed.d.proc.text()), 'the log says why: %s', bed.d.proc.tail())
    c, i, ra, rb = establish(bed, bed.a, bed.b, '7006')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    hang_up(c, i)
    bed.d.stop()
    bed.doc['system']['media_process']['sockets'] = 'shared'
    poor = Postern(t, bed.doc)
    without(poor, 'shared sockets refused', 'net_raw')
    code, text = poor.run()
    equal(code, 2, 'exit code')
    check('ports cannot share sockets' in text, 'it says why: %s', text[-600:])


@test(seconds=30)
def ports_beyond_the_limit(t):
    """a hard limit of open files: a range that would go beyond it is 422 with what to do, and takes nothing from the calls; one that fits is taken"""
    bed = Bed(t, start=False, system={'media_process': {'sockets': 'ports'}})
    without(bed.d, 'ports beyond the limit of open files', 'sys_resource', limit=500)
    bed.d.start()
    was = bed.d.processes()
    c, i, ra, rb = establish(bed, bed.a, bed.b, '7007')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    r = write(bed, 'PATCH', '/config/realms/core', {'media': {'port_min': 20000, 'port_max': 20318}}, want=422)
    check(r.json['errors'][0]['pointer'].startswith('/realms/0') and 'open files' in r.text, 'why: %s', r.text)
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    write(bed, 'PATCH', '/config/realms/core', {'media': {'port_min': 20000, 'port_max': 20138}})
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    now = bed.d.processes()
    equal({k: p['pid'] for k, p in now.items()}, {k: p['pid'] for k, p in was.items()}, 'processes')
    for role in ('media', 'engine'):
        bed.d.restarted(role, bed.d.kill(role))
        both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    hang_up(c, i)
    bed.d.no_calls()

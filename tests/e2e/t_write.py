# SPDX-License-Identifier: Apache-2.0
"""The configuration written over REST: revisions, guards, references, going back by itself, listeners under standing calls, kills, tokens."""
import socket

from lib.base import check, equal, test, until
from lib.daemon import Bed
from lib.rtp import both_ways
from t_call import establish


def write(bed, method, path, body=None, want=(200, 201, 204), **kw):
    r = bed.d.http(method, path, body, ctype='application/merge-patch+json' if method == 'PATCH' else 'application/json', **kw)
    check(r.status in want if isinstance(want, tuple) else r.status == want, '%s %s: %d %s', method, path, r.status, r.text[:300])
    return r


def hang_up(c, i):
    tx = c.request('BYE')
    i.answer_bye()
    equal(tx.final().status, 200, 'BYE')


def etag(bed):
    return bed.d.get('/config').headers['ETag']


@test()
def write_revisions(t):
    """Every write is a revision with user and comment; If-Match guards; a dry run changes nothing; rollback is a new revision"""
    bed = Bed(t)
    first = etag(bed)
    write(bed, 'PATCH', '/config/system', {'name': 'other'}, headers={'X-Comment': 'why not'})
    second = etag(bed)
    check(first != second, 'no revision was made')
    row = bed.d.get('/config/revisions').json['items'][0]
    equal((row['user'], row['comment'], row['in_force']), ('admin', 'why not', True), 'the revision')
    equal([o['path'] for o in bed.d.get('/config/revisions/%d/diff' % row['number']).json], ['/system/name'], 'what changed')
    write(bed, 'PATCH', '/config/system', {'name': 'third'}, want=412, headers={'If-Match': first})
    write(bed, 'PUT', '/config?dry_run=1', dict(bed.d.get('/config').json, nonsense=1), want=422)
    write(bed, 'PATCH', '/config/system?dry_run=1', {'name': 'never'})
    equal(etag(bed), second, 'the revision after what must not change it')
    write(bed, 'POST', '/config/rollback', {'revision': 1})
    check(int(etag(bed).strip('"')) > int(second.strip('"')), 'a rollback is a new revision')
    equal(bed.d.get('/config').json['system']['name'], 'e2e', 'the name after the rollback')


@test()
def write_references(t):
    """What others name is not deleted: 409 lists them; secrets stay when *** is written back"""
    bed = Bed(t, trunk_a={'auth': {'username': 'u', 'password': 'a-secret-word'}})
    r = write(bed, 'DELETE', '/config/trunks/b', want=409)
    check(any(u.startswith('routes/') for u in r.json['users']), 'users: %s', r.text)
    write(bed, 'PUT', '/config', bed.d.get('/config').json)
    write(bed, 'PATCH', '/config/trunks/a', {'auth': {'username': 'v'}})
    equal(bed.d.get('/config/trunks/a').json['auth'], {'username': 'v', 'password': '***'}, 'auth')
    check('a-secret-word' not in bed.d.log(), 'the secret is in the log')


@test()
def write_confirm(t):
    """A change goes back by itself unless it is confirmed, also when admin dies meanwhile"""
    bed = Bed(t)
    write(bed, 'PATCH', '/config/system?confirm_within=30', {'name': 'kept'})
    write(bed, 'POST', '/config/confirm', {})
    write(bed, 'POST', '/config/confirm', {}, want=409)
    write(bed, 'PATCH', '/config/system?confirm_within=2', {'name': 'passing'})
    old = bed.d.kill('admin')
    bed.d.restarted('admin', old)

    def name():
        return bed.d.get('/config').json['system']['name']
    until(lambda: name() == 'kept', 8, lambda: 'the old name: %s' % name())


@test()
def write_killed(t):
    """kill -9 of admin right after a write: what was answered 200 is there, and all roles go on"""
    bed = Bed(t)
    for k in range(4):
        write(bed, 'PATCH', '/config/trunks/a', {'limits': {'max_calls': 70 + k}})
        old = bed.d.kill('admin' if k % 2 else 'engine')
        bed.d.restarted('admin' if k % 2 else 'engine', old)
        equal(bed.d.get('/config/trunks/a').json['limits']['max_calls'], 70 + k, 'the value written last')
    write(bed, 'PATCH', '/config/trunks/a', {'limits': None})


@test()
def write_tokens(t):
    """A token is shown once, works in its role and its networks alone, and ends when it is taken back"""
    bed = Bed(t)
    write(bed, 'POST', '/config/users', {'id': 'eve', 'role': 'viewer', 'allow': ['127.0.0.0/8']})
    r = write(bed, 'POST', '/users/eve/tokens', {'expires_in': 3600})
    token, ident = r.json['token'], r.json['id']
    equal(bed.d.get('/stats', token=token).status, 200, 'reading as a viewer')
    equal(bed.d.http('PATCH', '/config/system', {}, token=token, ctype='application/merge-patch+json').status, 403, 'writing as a viewer')
    check(token not in bed.d.get('/users/eve/tokens').text and token not in bed.d.log(), 'the token is told again')
    write(bed, 'PATCH', '/config/users/eve', {'deny': ['127.0.0.0/8']})
    equal(bed.d.get('/stats', token=token).status, 403, 'from a denied network')
    write(bed, 'PATCH', '/config/users/eve', {'deny': None})
    write(bed, 'DELETE', '/users/eve/tokens/' + ident)
    equal(bed.d.get('/stats', token=token).status, 401, 'after it was taken back')


@test()
def write_listeners(t):
    """Listeners come, move and go while a call stands; one that cannot be opened is 422 and changes nothing"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b)
    ip, realm = bed.doc['listeners'][0]['address'], bed.doc['listeners'][0]['realm']
    held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    held.bind((ip, 0))
    r = write(bed, 'POST', '/config/listeners', {'id': 'more', 'realm': realm, 'transport': 'udp', 'address': ip, 'port': held.getsockname()[1]}, want=422)
    check(r.json['errors'][0]['pointer'].startswith('/listeners/'), 'pointer: %s', r.text)
    tcp = {'id': 'more', 'realm': realm, 'transport': 'tcp', 'address': ip, 'port': held.getsockname()[1]}
    write(bed, 'POST', '/config/listeners', tcp)
    s = socket.create_connection((ip, tcp['port']), 2)
    held.close()
    write(bed, 'PATCH', '/config/listeners/more', {'transport': 'udp'})
    write(bed, 'DELETE', '/config/listeners/more')
    try:
        socket.create_connection((ip, tcp['port']), 1)
        check(False, 'a removed listener takes connections')
    except OSError:
        pass
    s.close()
    c.bye()
    i.expect('BYE')


@test()
def write_listener_comes_back(t):
    """A listener that was removed under a standing call comes back at the same address: by rollback, and by a change that nobody confirmed; once the call is over the address is free"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b)
    ip, port = bed.doc['listeners'][0]['address'], bed.doc['listeners'][0]['port']
    write(bed, 'PATCH', '/config/listeners/core-udp', {'port': port + 100})
    write(bed, 'POST', '/config/rollback', {'revision': 1})
    hang_up(c, i)
    bed.d.no_calls()
    c, i, ra, rb = establish(bed, bed.a, bed.b)      # the listener takes calls again
    write(bed, 'PATCH', '/config/listeners/core-udp?confirm_within=1', {'port': port + 101})
    until(lambda: bed.d.get('/config/listeners/core-udp').json['port'] == port, 6, 'the former port')
    hang_up(c, i)
    hang_up(*establish(bed, bed.a, bed.b)[:2])
    bed.d.no_calls()
    write(bed, 'PATCH', '/config/listeners/core-udp', {'port': port + 102})

    def free():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            s.bind((ip, port))
            return True
        except OSError:
            return False
        finally:
            s.close()
    until(free, 6, 'the address of the removed listener is free')


@test()
def write_port_ranges(t):
    """Realms' port ranges grow, move and shrink under a call that stands: its audio goes on, new calls use the new ports, a realm that is new works at once;
    ports that are others' are 422 and nothing changes; a removed range comes back; all of it also over the death of engine and media"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b)
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    ip = {r['id']: r['media']['address'] for r in bed.doc['realms']}
    before = bed.d.processes()

    def new_call(number, low, high):
        c2, i2, ra2, rb2 = establish(bed, bed.a, bed.b, number)
        check(low <= c2.rsdp.dest()[1] <= high, 'port %d is not of %d-%d', c2.rsdp.dest()[1], low, high)
        both_ways(ra2, c2.rsdp.dest(), rb2, i2.rsdp.dest())
        hang_up(c2, i2)

    write(bed, 'PATCH', '/config/realms/core', {'media': {'port_min': 30000, 'port_max': 30098}})
    new_call('2002', 30000, 30099)
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    equal(bed.d.processes()['engine']['pid'], before['engine']['pid'], 'the engine')
    equal(bed.d.processes()['media']['restarts'], 0, 'restarts of media')

    held = []
    for port in range(31000, 31010):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((ip['core'], port))
        held.append(s)
    tag = etag(bed)
    r = write(bed, 'PATCH', '/config/realms/core', {'media': {'port_min': 31000, 'port_max': 31008}}, want=422)
    check(r.json['errors'][0]['pointer'].startswith('/realms/0') and 'in use' in r.text, 'why: %s', r.text)
    equal(etag(bed), tag, 'the revision')
    for s in held:
        s.close()
    write(bed, 'PATCH', '/config/realms/core', {'media': {'port_min': 31000, 'port_max': 31008}})
    for role in ('media', 'engine'):
        bed.d.restarted(role, bed.d.kill(role))
        both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
        new_call('2003', 31000, 31009)
    write(bed, 'PATCH', '/config/realms/core', {'media': {'port_min': 20000, 'port_max': 20118}})
    new_call('2004', 20000, 20119)
    write(bed, 'POST', '/config/realms', {'id': 'third', 'media': {'address': t.ip(4), 'port_min': 20000, 'port_max': 20018}})
    write(bed, 'POST', '/config/listeners', {'id': 'third-udp', 'realm': 'third', 'transport': 'udp', 'address': t.ip(4), 'port': 5060})
    write(bed, 'PATCH', '/config/trunks/b', {'realm': 'third'})
    c3, i3, ra3, rb3 = establish(bed, bed.a, bed.b, '2005')
    equal(i3.rsdp.dest()[0], t.ip(4), 'media address of the new realm')
    both_ways(ra3, c3.rsdp.dest(), rb3, i3.rsdp.dest())
    hang_up(c3, i3)
    hang_up(c, i)
    bed.d.no_calls()

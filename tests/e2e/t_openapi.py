# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document: whole, true, and what a machine makes of it: requests from its schemas, right and wrong ones, until the time is over."""
import http.client
import json
import os
import random
import string
import subprocess
import time
import urllib.parse

from lib.base import SLOW, check, equal, test
from lib.daemon import Bed
from lib.openapi import Contract
from t_call import establish
from t_write import hang_up

FUZZ_SECONDS = 8


def properties(schema, at=''):
    """(place, schema) of every property below."""
    for name, p in schema.get('properties', {}).items():
        yield at + '/' + name, p
        yield from properties(p, at + '/' + name)
    for key in ('items',):
        if isinstance(schema.get(key), dict):
            yield from properties(schema[key], at + '[]')
    for p in schema.get('anyOf', ()):
        yield from properties(p, at)


def numbers(schema):
    """Schemas of numbers in one: itself, alternatives."""
    if schema.get('type') in ('integer', 'number'):
        yield schema
    for p in schema.get('anyOf', ()):
        yield from numbers(p)


@test()
def openapi_document(t):
    """3.1, every reference resolves, every option has its words and every number its range, every route says what comes; the daemon gives what the build printed"""
    bed = Bed(t)
    doc = bed.d.get('/openapi.json').json
    equal(doc['openapi'][:3], '3.1', 'version')
    equal(doc, json.loads(subprocess.run([t.program('api-reference'), 'openapi'], stdout=subprocess.PIPE, check=True).stdout), 'the document of the build')
    refs = set()

    def walk(v):
        if isinstance(v, dict):
            refs.update([v['$ref']] if isinstance(v.get('$ref'), str) else [])
            for x in v.values():
                walk(x)
        elif isinstance(v, list):
            for x in v:
                walk(x)
    walk(doc)
    for ref in refs:
        at = doc
        for part in ref.lstrip('#/').split('/'):
            check(part in at, '%s leads nowhere', ref)
            at = at[part]
    schemas = doc['components']['schemas']
    count = 0
    for one in (p['items']['$ref'] if 'items' in p else p['$ref'] for n, p in schemas['configuration']['properties'].items() if n != 'schema'):
        for place, p in properties(schemas[one.rsplit('/', 1)[1]]):
            count += 1
            check(p.get('description'), '%s%s has no description', one, place)
            for n in numbers(p):
                check('minimum' in n and 'maximum' in n, '%s%s has no range', one, place)
    check(count > 150, 'only %d options are described', count)
    plain = [p for p in ('/config', '/calls', '/cdrs', '/trunks', '/config/realms', '/certificates') if '$ref' not in json.dumps(doc['paths'][p]['get']['responses']['200'])]
    equal(plain, [], 'paths whose answers have no schema')


class Maker:
    """Values from schemas: good ones, edges, and what does not belong there."""

    def __init__(self, rnd, doc, ids):
        self.r, self.doc, self.ids = rnd, doc, ids

    def text(self):
        r = self.r
        return r.choice([
            lambda: ''.join(r.choice(string.ascii_lowercase) for _ in range(r.randint(0, 9))), lambda: r.choice(self.ids), lambda: r.choice(self.ids),
            lambda: '\u00fc\u4e2d\U0001f4de', lambda: 'x' * r.choice((63, 64, 255, 4096)), lambda: '../../etc/passwd', lambda: '%s%n%d', lambda: '127.0.0.1', lambda: '::1/129',
            lambda: 'sip:%s@127.0.0.1:5070' % r.choice(self.ids), lambda: '^(a+)+$', lambda: '***', lambda: '\x7f\x01', lambda: "';DROP TABLE revision;--", lambda: '{id}',
        ])()

    def number(self, s):
        low, high = s.get('minimum', -5), s.get('maximum', 1 << 40)
        return self.r.choice([low, high, low - 1, high + 1, 0, -1, 1, self.r.randint(int(low), max(int(low), int(high))), 1 << 62, 1.5])

    def anything(self):
        return self.r.choice([None, True, [], {}, [[]], {'id': 'x'}, -1, 1e300, 'x', ['x'] * 3])

    def value(self, s, depth=0):
        r = self.r
        if r.random() < 0.03:
            return self.anything()
        if '$ref' in s:
            return self.value(self.doc['components']['schemas'][s['$ref'].rsplit('/', 1)[1]], depth)
        if 'anyOf' in s:
            return self.value(r.choice(s['anyOf']), depth)
        if 'const' in s:
            return s['const']
        if 'enum' in s:
            return r.choice(s['enum'])
        kind = s.get('type')
        if kind == 'object' or 'properties' in s:
            need = set(s.get('required', ()))
            out = {k: self.value(p, depth + 1) for k, p in s.get('properties', {}).items() if (k in need and r.random() < 0.97) or r.random() < 0.5 / (depth + 1)}
            if r.random() < 0.05:
                out[self.text()] = self.anything()
            return out
        if kind == 'array':
            return [self.value(s.get('items', {}), depth + 1) for _ in range(r.choice((0, 1, 1, 2, 3)))]
        if kind == 'boolean':
            return r.random() < 0.5
        if kind in ('integer', 'number'):
            return self.number(s)
        if kind == 'null':
            return None
        return self.text()

    def request(self, path, method, op):
        """(target, body, content type)"""
        r = self.r
        for p in op['parameters']:
            if p['in'] == 'path':
                path = path.replace('{%s}' % p['name'], urllib.parse.quote(r.choice(self.ids) if r.random() < 0.7 else self.text(), safe='') or '-')
        query = {p['name']: self.value(p['schema']) for p in op['parameters'] if p['in'] == 'query' and p['name'] != 'confirm_within' and r.random() < 0.25}
        if r.random() < 0.02:
            query[self.text()] = 'x'
        target = '/api/v1' + path + ('?' + urllib.parse.urlencode({k: str(v).lower() if isinstance(v, bool) else v for k, v in query.items()}) if query else '')
        if 'requestBody' not in op:
            return target, None, None
        ctype, row = next(iter(op['requestBody']['content'].items()))
        if not ctype.endswith('json'):
            return target, r.choice(['policy x on send any {\n}\n', self.text(), 'policy']).encode('utf-8', 'replace'), ctype
        body = self.value(row['schema'])
        if ctype.startswith('application/merge'):
            body = self.patch(path, body)
        return target, json.dumps(body).encode(), ctype

    def patch(self, path, body):
        """A merge patch of the kind of object that stands at this path."""
        row = self.doc['paths'].get(path) or {}
        put = (row.get('put') or {}).get('requestBody')
        return self.value(put['content']['application/json']['schema']) if put else body


def keep_reachable(path, body):
    """The API itself stays where it is, and so does who asks."""
    if body and ('/system' in path or path.endswith('/config')):
        try:
            v = json.loads(body)
        except ValueError:
            return body
        if isinstance(v, dict):
            for o in (v, v.get('system')):
                if isinstance(o, dict):
                    o.pop('api', None)
        return json.dumps(v).encode()
    return body


def fuzz(bed, contract, seed, seconds):
    rnd = random.Random(seed)
    doc = contract.doc
    ops = [(p, m, op) for p, row in doc['paths'].items() for m, op in row.items()]
    ids = ['a', 'b', 'core', 'peering', 'a-b', 'b-a', 'default', 'admin', 'core-udp', '1', '2', 'nope', bed.d.calls()[0]['id']]
    maker, count, bad = Maker(rnd, doc, ids), {}, []
    conn, end = None, time.monotonic() + seconds * SLOW
    while time.monotonic() < end:
        path, method, op = rnd.choice(ops)
        target, body, ctype = maker.request(path, method, op)
        if 'DELETE' == method.upper() and '/calls/' in target or '/calls/end' in target:
            continue                # the standing call is how we see that nothing was disturbed
        body = keep_reachable(path, body)
        head = {'Authorization': 'Bearer ' + bed.d.token, 'Connection': 'keep-alive'}
        if ctype:
            head['Content-Type'] = ctype
        if conn is None:
            conn = http.client.HTTPConnection(*bed.d.api, timeout=10 * SLOW)
        at = time.monotonic()
        try:
            conn.request(method.upper(), target, body, head)
            r = conn.getresponse()
            data = r.read()
        except (http.client.RemoteDisconnected, ConnectionError):
            conn = None             # a daemon that dies is seen below
            count['closed'] = count.get('closed', 0) + 1
            continue
        count[r.status] = count.get(r.status, 0) + 1
        sent = json.loads(body) if body and ctype and ctype.endswith('json') else None
        errors = contract.exchange_errors(method.upper(), target.replace('/metrics', '/api/v1/metrics') if target == '/metrics' else target, sent, r.status, r.getheader('Content-Type'), data)
        if r.status >= 500 and not (r.status == 503 and path == '/health'):
            errors.append('a %d' % r.status)
        if time.monotonic() - at > 3 * SLOW:
            errors.append('took %.1f s' % (time.monotonic() - at))
        if errors:
            bad.append('%s %s %s -> %d %s: %s' % (method.upper(), target[:120], (body or b'')[:300], r.status, data[:200], errors))
    return count, bad


@test(seconds=60)
def openapi_fuzz(t):
    """Requests made from the document, right and wrong, for some seconds: no 5xx, no crash, no hang, every answer as described, the call that stands is not disturbed"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b)
    contract = Contract(bed.d.get('/openapi.json').json)
    before = bed.d.processes()
    seed = int(os.environ.get('POSTERN_SEED', time.time() // 86400))
    count, bad = fuzz(bed, contract, seed, FUZZ_SECONDS)
    t.note('seed %d: %s' % (seed, dict(sorted(count.items(), key=str))))
    check(not bad, '%d of %d answers are not right, the first: %s', len(bad), sum(count.values()), bad[:1])
    check(sum(n for s, n in count.items() if isinstance(s, int) and s < 300) > 50, 'hardly anything was taken: %s', count)
    check(count.get('closed', 0) < 5, 'connections were closed: %s', count)
    equal(bed.d.processes(), before, 'processes')
    for path in ('/undrain', '/trunks/a/undrain', '/trunks/b/undrain'):
        bed.d.http('POST', path, {})
    r = bed.d.http('POST', '/config/rollback', {'revision': 1})
    equal(r.status, 200, 'back to revision 1: %s' % r.text)
    check(len(bed.d.calls()) == 1, 'the call that stood is gone')
    hang_up(c, i)
    bed.d.no_calls()
    for path in ('/trunks/a/undrain', '/trunks/b/undrain'):      # they may have been out of the configuration
        bed.d.http('POST', path, {})
    hang_up(*establish(bed, bed.a, bed.b)[:2])

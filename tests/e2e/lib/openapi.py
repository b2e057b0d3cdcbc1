# SPDX-License-Identifier: Apache-2.0
"""Every request that the daemon took, and every answer, against the OpenAPI document of the build."""
import json
import os
import re
import subprocess
import urllib.parse

try:
    import jsonschema
except ImportError:
    jsonschema = None

SAMPLES = 3            # of a path, method, status and set of keys; the others are like them
TIME = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$')


class Contract:
    """The document with its paths as patterns, the literal ones first."""

    def __init__(self, doc):
        self.doc = doc
        self.paths = sorted(((re.compile(re.sub(r'\{[^}]*\}', '[^/]+', p) + '$'), p) for p in doc['paths']), key=lambda x: x[1].count('{'))
        self.validators = {}

    def find(self, path):
        path = urllib.parse.urlsplit(path).path
        path = path[len('/api/v1'):] if path.startswith('/api/v1') else path
        return next((p for rx, p in self.paths if rx.match(path)), None)

    def errors(self, schema, value):
        key = json.dumps(schema, sort_keys=True)
        if key not in self.validators:
            checker = jsonschema.FormatChecker(formats=())
            checker.checks('date-time')(lambda v: not isinstance(v, str) or bool(TIME.match(v)))
            self.validators[key] = jsonschema.Draft202012Validator({**schema, 'components': self.doc['components']}, format_checker=checker)
        return ['%s: %s' % ('/'.join(map(str, e.absolute_path)), e.message[:160]) for e in self.validators[key].iter_errors(value)][:3]

    def content_errors(self, what, content, ctype, body):
        media = (ctype or '').split(';')[0]
        if media not in content:
            return ['%s comes as %s, not as %s' % (what, media or 'nothing', '/'.join(content))]
        if not media.endswith('json'):
            return []
        try:
            value = json.loads(body)
        except ValueError:
            return ['%s is no JSON' % what]
        return ['%s: %s' % (what, e) for e in self.errors(content[media]['schema'], value)]

    def answer_errors(self, op, status, ctype, body):
        answers = op['responses']
        row = answers.get(str(status)) or (answers.get('%dXX' % (status // 100)) if status < 300 else None)
        if row is None and status < 300:
            return ['status %d is not described' % status]
        if row is None:
            row = self.doc['components']['responses']['problem']
        if status in (204, 304) or (not body and 'content' not in row):
            return []
        return self.content_errors('the answer', row.get('content', {}), ctype, body)

    def exchange_errors(self, method, path, sent, status, ctype, body):
        """sent: the JSON value of the request, or None."""
        at = self.find(path)
        op = self.doc['paths'].get(at, {}).get(method.lower())
        if op is None:
            return ['it is answered, but not described'] if status < 300 and method != 'HEAD' else []
        bad = self.answer_errors(op, status, ctype, body)
        if sent is not None and status < 300 and 'requestBody' in op:
            for media, row in op['requestBody']['content'].items():
                if media.endswith('json'):
                    bad += ['the request: ' + e for e in self.errors(row['schema'], sent)]
        return bad


class Watch:
    """Samples of what a test exchanged with a daemon, checked at its end."""

    def __init__(self, program):
        self.program, self.seen, self.kept = program, {}, []

    def note(self, method, path, sent, answer):
        key = (method, re.sub(r'\?.*|\d[^/]*$', '', path), answer.status, frozenset(re.findall(rb'"(\w+)":', answer.body[:2000])))
        self.seen[key] = self.seen.get(key, 0) + 1
        if self.seen[key] <= SAMPLES:
            self.kept.append((method, path, sent, answer.status, answer.headers.get('Content-Type'), answer.body))

    def errors(self):
        if not jsonschema or not self.kept or not os.path.exists(self.program):
            return []
        contract = Contract(json.loads(subprocess.run([self.program, 'openapi'], stdout=subprocess.PIPE, check=True).stdout))
        return ['%s %s: %d: %s' % (k[0], k[1], k[3], e) for k in self.kept for e in contract.exchange_errors(*k)]

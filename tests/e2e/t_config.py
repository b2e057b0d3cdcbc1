# SPDX-License-Identifier: Apache-2.0
"""posternd --check: good documents, and every error of a bad one against a golden text."""
import json
import os
import re

from lib import certs
from lib.base import E2E, ROOT, check, equal, test
from lib.daemon import Postern, document

GOLDEN = os.path.join(E2E, 'check')


def doc_of(t):
    return document(t)


@test()
def check_good_documents(t):
    """a full document and every example that we ship check without an error"""
    d = Postern(t, document(t))
    rc, out = d.run('--check')
    equal((rc, [ln for ln in out.splitlines() if 'error' in ln.lower()]), (0, []), 'check of a good document')
    check(not os.path.exists(os.path.join(d.state, 'postern.db')), '--check made a database')
    folder = os.path.join(ROOT, 'examples')
    names = [n for n in sorted(os.listdir(folder)) if n.endswith('.json')]
    check(names, 'no examples')
    cs = certs.make(t)
    for n in names:
        with open(os.path.join(folder, n)) as f:
            doc = json.load(f)
        # an example names files that its reader makes: certificates stand in for them here
        for p in doc.get('tls_profiles', ()):
            for key, stand_in in (('certificate', 'edge.pem'), ('key', 'edge.key'), ('ca', 'ca.pem')):
                if p.get(key):
                    d.files[p[key]] = cs.read(stand_in)
        d.doc = doc
        d.write()
        rc, out = d.run('--check')
        equal(rc, 0, '%s: %s; exit code' % (n, out))


@test()
def check_goldens(t):
    """each bad document of check/*.json gives exactly the errors beside it: all of them, with pointer, reason, nearest key"""
    names = [n[:-5] for n in sorted(os.listdir(GOLDEN)) if n.endswith('.json')]
    check(names, 'no documents in %s', GOLDEN)
    wrong = []
    for n in names:
        d = Postern(t, {})
        with open(os.path.join(GOLDEN, n + '.json')) as f:
            text = f.read()
        with open(d.config, 'w') as f:
            f.write(text)
        rc, out = d.run('--check')
        with open(os.path.join(GOLDEN, n + '.expect')) as f:
            want = [ln for ln in f.read().splitlines() if ln and not ln.startswith('#')]
        if rc != 1:
            wrong.append('%s: exit code %d' % (n, rc))
        lines = [ln[len(d.config) + 2:] for ln in out.splitlines() if ln.startswith(d.config + ': ')]
        # a line of .expect is a pointer and words that the message has; `?` before it: may be there
        for w in [w for w in want if w[0] != '?']:
            pointer, _, words = w.partition(' ')
            hit = [ln for ln in lines if ln.startswith(pointer + ': ') and all(x in ln for x in words.split())]
            if not hit:
                wrong.append('%s: no line for %s; there are: %s' % (n, w, lines))
        pointers = {w.lstrip('?').split(' ')[0] for w in want}
        extra = [ln for ln in lines if ln.split(': ')[0] not in pointers and 'warning' not in ln]
        if extra:
            wrong.append('%s: unexpected: %s' % (n, extra))
    check(not wrong, '\n'.join(wrong))


@test()
def check_warns_of_what_is_not_built(t):
    """an option of the contract that is not acted on yet is taken with a warning that names it"""
    doc = document(t)
    doc['media_profiles'] = [{'id': 'browsers', 'ice': 'lite'}]
    rc, out = Postern(t, doc).run('--check')
    equal(rc, 0, '%s; exit code' % out)
    check(re.search(r'/media_profiles/0/ice: warning: .* does not act on it yet', out), 'no warning about ICE: %s', out)


@test()
def check_all_defaults_and_types(t):
    """a document with every key of design.md section 4 set checks"""
    path = os.path.join(GOLDEN, 'full.doc')
    with open(path) as f:
        doc = json.load(f)
    d = Postern(t, doc, files={'strip-update.policy': 'policy strip-update on send any {\n    when has allow then remove allow["UPDATE"]\n}\n', 'x': ''})
    c = certs.make(t)
    d.files.update({n: c.read(n) for n in ('edge.pem', 'edge.key', 'ca.pem')})
    d.write()
    rc, out = d.run('--check')
    equal(rc, 0, '%s; exit code' % out)

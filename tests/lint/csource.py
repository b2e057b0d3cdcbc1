# SPDX-License-Identifier: Apache-2.0
"""
What the lints know of C: files of the tree, source without comments and strings, tokens, functions.
No preprocessor and no types: macros are taken as what they look like.
"""
import os
import re

SKIP = {'node_modules', '__pycache__', 'build-aux', 'autom4te.cache', 'dist'}


def files(*tops, suffixes=('.c', '.h')):
    """Files below the folders, sorted, relative to the source root (the current folder)."""
    for top in tops:
        for folder, subs, names in os.walk(top):
            subs[:] = sorted(s for s in subs if not s.startswith('.') and s not in SKIP)
            for name in sorted(names):
                if name.endswith(suffixes) and not name.startswith('.'):
                    yield os.path.join(folder, name)


def read(path):
    with open(path, encoding='utf-8', errors='replace') as f:
        return f.read()


# a literal prefix (u8, L) is an identifier before it: it stays
LEX = re.compile(r'''
    (?P<comment> /\*.*?\*/ | //(?:\\\n|[^\n])* )
  | (?P<string>  "(?:\\.|[^"\\\n])*" )
  | (?P<char>    '(?:\\.|[^'\\\n])*' )
''', re.S | re.X)


def blank(text):
    """Spaces in place of text; lines stay where they are."""
    return re.sub(r'[^\n]', ' ', text)


def strip(text, comments=True):
    """Without comments, strings and characters emptied; positions and lines stay."""
    def put(m):
        if m.lastgroup == 'comment':
            return blank(m.group()) if comments else m.group()
        quote = m.group()[0]
        return quote + ' ' * (len(m.group()) - 2) + quote
    return LEX.sub(put, text)


def without_directives(text):
    """Blank directives with their continuation lines, what stands after #else and #elif, and what stands in #if 0."""
    out, dead, taken, cont = [], [], [], False
    for line in text.split('\n'):
        m = re.match(r'\s*#\s*(\w+)\s*(\w*)', line)
        directive = cont or m is not None
        if m and not cont:
            word = m.group(1)
            if word in ('if', 'ifdef', 'ifndef'):
                zero = word == 'if' and m.group(2) == '0'
                dead.append(zero)
                taken.append(not zero)
            elif word in ('else', 'elif') and dead:
                dead[-1] = taken[-1]
                taken[-1] = True
            elif word == 'endif' and dead:
                dead.pop()
                taken.pop()
        cont = directive and line.endswith('\\')
        out.append(' ' * len(line) if directive or any(dead) else line)
    return '\n'.join(out)


TOKEN = re.compile(r'[A-Za-z_]\w*|\d[\w.]*|&&|\|\||"[^"]*"|\'[^\']*\'|\S')


class Token(str):
    line = 0


def tokens(text):
    """Tokens with their line numbers."""
    result, line, at = [], 1, 0
    for m in TOKEN.finditer(text):
        line += text.count('\n', at, m.start())
        at = m.start()
        t = Token(m.group())
        t.line = line
        result.append(t)
    return result


OPEN = {'(': ')', '[': ']', '{': '}'}


def match(toks, i):
    """Index of the token that closes toks[i]; the last index where nothing does."""
    want = [OPEN[toks[i]]]
    for j in range(i + 1, len(toks)):
        if toks[j] in OPEN:
            want.append(OPEN[toks[j]])
        elif toks[j] == want[-1]:
            want.pop()
            if not want:
                return j
    return len(toks) - 1


class Function:
    """name; first and last line; tokens of the body, braces included"""
    def __init__(self, name, first, last, body):
        self.name, self.first, self.last, self.body = name, first, last, body


def head_name(head):
    """Name of the function whose head these tokens are; None where they are no head."""
    if '(' not in head or '=' in head or head[0] == 'typedef':
        return None
    i = 0
    while i < len(head):
        if head[i] in ('__attribute__', '__declspec', '_Alignas') and i + 1 < len(head) and head[i + 1] == '(':
            i = match(head, i + 1) + 1
        elif head[i] == '(':
            return head[i - 1] if i and re.match(r'[A-Za-z_]', head[i - 1]) else None
        else:
            i += 1
    return None


def functions(text):
    """Functions that are defined in a source text."""
    toks = tokens(without_directives(strip(text)))
    found, start, i = [], 0, 0
    while i < len(toks):
        if toks[i] == '{':
            end = match(toks, i)
            name = head_name(toks[start:i]) if i > start else None
            if name:
                found.append(Function(str(name), name.line, toks[end].line, toks[i:end + 1]))
                start = end + 1
            i = end + 1
        elif toks[i] in ('(', '['):
            i = match(toks, i) + 1
        else:
            if toks[i] == ';':
                start = i + 1
            i += 1
    return found


def report(problems, what):
    """Print file:line messages; exit status of the lint."""
    for p in problems:
        print(p)
    if problems:
        print('%s: %d' % (what, len(problems)))
    return 1 if problems else 0

# SPDX-License-Identifier: Apache-2.0
"""
A SIP party that does exactly what a test tells it, message by message, over UDP, TCP or TLS. It is stateful where that saves every test
from doing it: repeated requests get the stored answer, repeated 2xx the stored ACK, and repeats are counted. It does not answer by itself.
"""
import os
import re
import select
import socket
import ssl
import threading
import time

from .base import Fail, check, WAIT
from .sip import Msg, uri_host

T1 = 0.5


def host_text(ip):
    return '[%s]' % ip if ':' in ip else ip


def seen_as(m):
    """Two messages of one key are one that came again; provisional responses of one status may differ."""
    return (m.branch, m.cseq, m.status or m.method, m.tag('to') if m.status else '', m.raw if 100 < m.status < 200 else b'')


class Conn:
    """A TCP or TLS connection with its reader."""

    def __init__(self, agent, sock, source):
        self.agent, self.sock, self.source, self.open = agent, sock, source, True
        self.lock = threading.Lock()        # an SSL object is not made for two threads at once
        sock.setblocking(False)
        agent.conns.append(self)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        buf = b''
        try:
            while self.open:
                with self.lock:
                    try:
                        data = self.sock.recv(65536)
                    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                        data = None
                if data == b'':
                    break
                if data:
                    buf = self._frames(buf + data)
                else:
                    select.select([self.sock], [], [], 0.2)
        except (OSError, ValueError):
            pass
        self.open = False
        with self.agent.lock:
            self.agent.lock.notify_all()

    def _frames(self, buf):
        while True:
            buf = buf.lstrip(b'\r\n')
            head, sep, rest = buf.partition(b'\r\n\r\n')
            if not sep:
                return buf
            m = re.search(rb'(?im)^(?:content-length|l)\s*:\s*(\d+)', head)
            n = int(m.group(1)) if m else 0
            if len(rest) < n:
                return buf
            self.agent.arrived(head + sep + rest[:n], self.source, self)
            buf = rest[n:]

    def send(self, data):
        end = time.monotonic() + 5 * WAIT
        while data:
            with self.lock:
                try:
                    data = data[self.sock.send(data):]
                    continue
                except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    if time.monotonic() > end:
                        raise TimeoutError('the connection takes no more')
            select.select([], [self.sock], [], 0.05)

    def close(self):
        self.open = False
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()


class Agent:
    """
    A party at ip:port. peer: (ip, port) of the daemon's listener that it talks to.
    server_tls, client_tls: ssl contexts where the transport is tls.
    """

    def __init__(self, t, ip, peer, port=5060, transport='udp', server_tls=None, client_tls=None, sni=None):
        self.t, self.ip, self.port, self.peer, self.transport = t, ip, port, peer, transport
        self.server_tls, self.client_tls, self.sni = server_tls, client_tls, sni
        self.family = socket.AF_INET6 if ':' in ip else socket.AF_INET
        self.lock = threading.Condition()
        self.inbox, self.trace, self.conns = [], [], []
        self.seen, self.answers, self.acks = {}, {}, {}
        self.out, self.closed, self.deaf = None, False, False
        if transport == 'udp':
            self.sock = socket.socket(self.family, socket.SOCK_DGRAM)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            self.sock.bind((ip, port))
            self.reader = threading.Thread(target=self._read_udp, daemon=True)
        else:
            self.sock = socket.socket(self.family, socket.SOCK_STREAM)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.sock.bind((ip, port))
            self.sock.listen(64)
            self.reader = threading.Thread(target=self._accept, daemon=True)
        self.reader.start()
        t.agents.append(self)
        t.defer(self.close)

    # ---- wire ----
    def _read_udp(self):
        while not self.closed:
            try:
                data, source = self.sock.recvfrom(70000)
            except OSError:
                if self.closed:
                    return
                continue            # an ICMP error of an earlier send
            if data.strip(b'\r\n\0'):
                self.arrived(data, source[:2], None)

    def _accept(self):
        while not self.closed:
            try:
                sock, source = self.sock.accept()
                if self.server_tls:
                    sock.settimeout(5)
                    sock = self.server_tls.wrap_socket(sock, server_side=True)
                    sock.settimeout(None)
            except (OSError, ValueError) as e:
                if self.closed:
                    return
                self.trace.append((time.time(), '--', 'accept: %s' % e))
                continue
            Conn(self, sock, source[:2])

    def connect(self, peer=None):
        sock = socket.socket(self.family, socket.SOCK_STREAM)
        sock.settimeout(5 * WAIT)
        sock.bind((self.ip, 0))
        sock.connect(peer or self.peer)
        if self.transport == 'tls':
            sock = self.client_tls.wrap_socket(sock, server_hostname=self.sni)
        sock.settimeout(None)
        return Conn(self, sock, peer or self.peer)

    def arrived(self, data, source, conn):
        if self.deaf:
            return
        try:
            m = Msg.parse(data)
            key = seen_as(m)
        except ValueError:
            self.trace.append((time.time(), '<-', data[:400].decode('latin1')))
            return
        m.source, m.conn, m.at = source, conn, time.monotonic()
        again = None
        with self.lock:
            self.trace.append((time.time(), '<-', data.decode('utf-8', 'replace')))
            self.seen[key] = self.seen.get(key, 0) + 1
            if self.seen[key] > 1:
                if m.status:
                    again = self.acks.get((m.call_id, m.cseq[0], m.tag('to'))) if m.status >= 200 and m.cseq[1] == 'INVITE' else None
                else:
                    again = self.answers.get((m.branch, m.cseq, m.method))
            else:
                self.inbox.append(m)
            self.lock.notify_all()
        if again:
            self.transmit(*again)

    def repeats(self, m):
        """How often the message came again."""
        return self.seen.get(seen_as(m), 1) - 1

    def transmit(self, data, dest=None, conn=None):
        self.trace.append((time.time(), '->', data.decode('utf-8', 'replace')))
        if self.transport == 'udp':
            self.sock.sendto(data, dest or self.peer)
        elif conn and conn.open:
            conn.send(data)
        else:
            if not (self.out and self.out.open):
                self.out = self.connect()
            self.out.send(data)

    def close(self):
        self.closed = True
        for c in list(self.conns):
            c.close()
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        if self.reader is not threading.current_thread():
            self.reader.join(5)     # the port is free when nobody reads from it any more, not before

    # ---- mailbox ----
    def take(self, pred, seconds=3.0, what='message', each=None, factor=WAIT):
        """The first message that fits, taken out. each: called every 20 ms or so while waiting."""
        end = time.monotonic() + seconds * factor
        while True:
            with self.lock:
                for m in self.inbox:
                    if pred(m):
                        self.inbox.remove(m)
                        return m
                left = end - time.monotonic()
                if left <= 0:
                    raise Fail('%s:%d got no %s within %g s; waiting here: %s' % (self.ip, self.port, what, seconds * factor, self.inbox[-6:]))
                self.lock.wait(min(left, 0.05))
            if each:
                each()

    def peek(self, pred):
        with self.lock:
            return [m for m in self.inbox if pred(m)]

    def none(self, pred, seconds, what):
        """Nothing that fits arrives in this time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            got = self.peek(pred)
            check(not got, '%s: %s', what, got)
            time.sleep(0.02)

    # ---- requests outside dialogs, calls ----
    def via(self, branch=None):
        return 'SIP/2.0/%s %s:%d;branch=%s;rport' % (self.transport.upper(), host_text(self.ip), self.port, branch or 'z9hG4bK' + os.urandom(8).hex())

    def contact(self):
        return '<sip:ua@%s:%d%s>' % (host_text(self.ip), self.port, '' if self.transport == 'udp' else ';transport=' + self.transport)

    def target(self, user):
        return 'sip:%s%s:%d' % (user + '@' if user else '', host_text(self.peer[0]), self.peer[1])

    def call(self, number, **kw):
        c = Call(self, number)
        c.invite(**kw)
        return c

    def await_call(self, number, seconds=3.0):
        """The INVITE of a new call to this number, as a Call of the called side."""
        m = self.take(lambda m: m.method == 'INVITE' and m.user == number and not m.tag('to'), seconds, 'INVITE for %s' % number)
        return Call(self, number, m)

    def ask(self, method, user='', headers=(), body=b'', ctype=None, seconds=3.0, uri=None):
        """A request outside a dialog; its final answer."""
        c = Call(self, user)
        c.uri = uri or c.uri
        tx = c.request(method, headers=headers, body=body, ctype=ctype)
        return tx.final(seconds)


class Tx:
    """A client transaction: repeats its request over UDP while something waits for the answer."""

    def __init__(self, call, req):
        self.call, self.agent, self.req = call, call.agent, req
        self.data, self.started, self.sent = req.bytes(), time.monotonic(), 1
        self.answered = False
        self.gap, self.next = T1, self.started + T1
        self.agent.transmit(self.data)

    def _again(self):
        if self.agent.transport == 'udp' and not self.answered and time.monotonic() > self.next:
            self.gap = min(self.gap * 2, 4.0) if self.req.method != 'INVITE' else self.gap * 2
            self.next = time.monotonic() + self.gap
            self.sent += 1
            self.agent.transmit(self.data)

    def response(self, want, seconds=3.0, what=None):
        """want: a status, a set of them, or a predicate on the message."""
        if isinstance(want, int):
            want = {want}
        fits = want if callable(want) else lambda m: m.status in want

        def mine(m):
            if m.status and m.branch == self.req.branch and m.cseq == self.req.cseq:
                self.answered = True
                return fits(m)
            return False
        m = self.agent.take(mine, seconds, what or '%s to %s %s' % (sorted(want) if not callable(want) else 'answer', self.req.method, self.call.number), self._again)
        return m

    def final(self, seconds=3.0):
        return self.response(lambda m: m.status >= 200, seconds, 'final answer to %s %s' % (self.req.method, self.call.number))


class Call:
    """One dialog at an agent: of the calling side (number), or of the called side (its INVITE)."""

    def __init__(self, agent, number, invite=None):
        self.agent, self.number, self.inv = agent, number, invite
        self.local_cseq, self.routes, self.routes_set = 0, [], False
        if invite is None:
            self.call_id = os.urandom(8).hex() + '@' + agent.ip
            self.local_tag, self.remote_tag = os.urandom(5).hex(), ''
            self.uri = agent.target(number)
            self.local = 'sip:caller@%s' % host_text(agent.ip)
            self.local_name = ''
            self.remote = self.uri
            self.rsdp = None
        else:
            self.call_id, self.local_tag, self.remote_tag = invite.call_id, os.urandom(5).hex(), invite.tag('from')
            self.uri, self.local, self.remote = invite.addr('contact'), invite.addr('to'), invite.addr('from')
            self.local_name = ''
            self.rsdp = invite.sdp
            self.routes = invite.tokens('record-route')
        self.tx = None

    # ---- as client ----
    def build(self, method, headers=(), body=b'', ctype=None, cseq=None, branch=None):
        if cseq is None:
            self.local_cseq += 1
            cseq = self.local_cseq
        given = {h[0].lower() for h in headers}
        h = [('Via', self.agent.via(branch))]
        h += [('Route', r) for r in self.routes]
        if 'max-forwards' not in given:
            h.append(('Max-Forwards', '70'))
        h += [('From', '%s<%s>;tag=%s' % (self.local_name, self.local, self.local_tag)),
              ('To', '<%s>%s' % (self.remote, ';tag=' + self.remote_tag if self.remote_tag else '')),
              ('Call-ID', self.call_id), ('CSeq', '%d %s' % (cseq, method))]
        if method not in ('CANCEL', 'ACK', 'BYE') and 'contact' not in given:
            h.append(('Contact', self.agent.contact()))
        h += list(headers)
        if body and 'content-type' not in given:
            h.append(('Content-Type', ctype or 'application/sdp'))
        return Msg('%s %s SIP/2.0' % (method, self.uri), h, body)

    def request(self, method, headers=(), body=b'', ctype=None):
        return Tx(self, self.build(method, headers, body, ctype))

    def invite(self, sdp=None, headers=(), from_user=None, display=None, from_host=None, body=None, ctype=None):
        if from_user or from_host:
            self.local = 'sip:%s@%s' % (from_user or 'caller', from_host or host_text(self.agent.ip))
        if display:
            self.local_name = '"%s" ' % display
        self.tx = self.request('INVITE', headers, body if body is not None else (sdp or b''), ctype)
        self.inv_req = self.tx.req
        return self.tx

    def wait(self, want, seconds=3.0, ack=True):
        """An answer to the INVITE: tags and SDP are learnt from it, a final one is acknowledged."""
        m = self.tx.response(want, seconds)
        if m.tag('to') and m.status > 100:
            self.remote_tag = m.tag('to')
        if m.sdp:
            self.rsdp = m.sdp
        if 101 <= m.status < 300 and m.get('contact'):
            self.target_uri = m.addr('contact')
            self.routes_learnt = list(reversed(m.tokens('record-route')))
        if m.status >= 200:
            self.established = m
            if 200 <= m.status < 300:
                self.uri = self.target_uri          # a re-INVITE moves the target, never the route set (RFC 3261 12.2)
                if not self.routes_set and self.inv is None:
                    self.routes, self.routes_set = self.routes_learnt, True
                if ack:
                    self.ack(m)
            else:
                self._ack_failure(m)
        return m

    def ack(self, m=None, body=b''):
        """ACK of a 2xx; a repeated 2xx gets it again."""
        m = m or self.established
        req = self.build('ACK', body=body, cseq=m.cseq[0])
        self.agent.acks[(m.call_id, m.cseq[0], m.tag('to'))] = (req.bytes(),)
        self.agent.transmit(req.bytes())

    def _ack_failure(self, m):
        inv = self.tx.req
        req = Msg('ACK %s SIP/2.0' % inv.uri, [('Via', inv.get('via')), ('Max-Forwards', '70'), ('From', inv.get('from')), ('To', m.get('to')),
                                              ('Call-ID', inv.call_id), ('CSeq', '%d ACK' % inv.cseq[0])] + [('Route', r) for r in inv.all('route')])
        self.agent.acks[(m.call_id, m.cseq[0], m.tag('to'))] = (req.bytes(),)
        self.agent.transmit(req.bytes())

    def cancel(self):
        inv = self.tx.req
        req = Msg('CANCEL %s SIP/2.0' % inv.uri, [('Via', inv.get('via')), ('Max-Forwards', '70'), ('From', inv.get('from')), ('To', inv.get('to')),
                                                 ('Call-ID', inv.call_id), ('CSeq', '%d CANCEL' % inv.cseq[0])])
        return Tx(self, req)

    def reinvite(self, sdp=b'', headers=()):
        self.tx = self.request('INVITE', headers, sdp)
        return self.tx

    def bye(self, seconds=3.0, status=200):
        m = self.request('BYE').final(seconds)
        check(m.status == status, 'BYE of %s was answered %d', self.number, m.status)
        return m

    # ---- as server ----
    def expect(self, method, seconds=3.0):
        m = self.agent.take(lambda m: m.method == method and m.call_id == self.call_id, seconds, '%s in the call to %s' % (method, self.number))
        if m.method in ('INVITE', 'UPDATE') and m.sdp:
            self.rsdp = m.sdp
        return m

    def not_seen(self, method, seconds):
        self.agent.none(lambda m: m.method == method and m.call_id == self.call_id, seconds, 'a %s that should not be' % method)

    def reply(self, status, reason=None, sdp=None, to=None, headers=(), tag=None, ctype=None):
        """Answer a request of the dialog, by default the INVITE."""
        req = to or self.inv
        to_value = req.get('to')
        if status > 100 and ';tag=' not in to_value:
            to_value += ';tag=' + (tag or self.local_tag)
        h = [('Via', v) for v in req.all('via')] + [('Record-Route', v) for v in req.all('record-route')]
        h += [('From', req.get('from')), ('To', to_value), ('Call-ID', req.call_id), ('CSeq', req.get('cseq'))]
        if req.method in ('INVITE', 'UPDATE') and status > 100 and not any(x[0].lower() == 'contact' for x in headers):
            h.append(('Contact', self.agent.contact()))
        h += list(headers)
        body = sdp or b''
        if body:
            h.append(('Content-Type', ctype or 'application/sdp'))
        data = Msg('SIP/2.0 %d %s' % (status, reason or 'Status %d' % status), h, body).bytes()
        if status >= 200:
            self.agent.answers[(req.branch, req.cseq, req.method)] = (data, req.source, req.conn)
        self.agent.transmit(data, req.source, req.conn)

    def answer_bye(self, seconds=3.0):
        m = self.expect('BYE', seconds)
        self.reply(200, 'OK', to=m)
        return m


def target_host(uri):
    return uri_host(uri)

# SPDX-License-Identifier: Apache-2.0
"""SRTP of a test's parties by the system's libsrtp2 through ctypes, on its own ciphers: independent of what the daemon links; and media parties that speak it."""
import base64
import ctypes
import os
import struct
import threading

from .base import Skip, check
from .rtp import Rtp

LENGTH = {'AES_CM_128_HMAC_SHA1_80': 30, 'AES_CM_128_HMAC_SHA1_32': 30, 'AES_256_CM_HMAC_SHA1_80': 46, 'AEAD_AES_128_GCM': 28, 'AEAD_AES_256_GCM': 44}
POLICY = {'AES_CM_128_HMAC_SHA1_80': ('rtp_default', 'rtcp_default'), 'AES_CM_128_HMAC_SHA1_32': ('aes_cm_128_hmac_sha1_32', 'rtcp_default'),
          'AES_256_CM_HMAC_SHA1_80': ('aes_cm_256_hmac_sha1_80',) * 2, 'AEAD_AES_128_GCM': ('aes_gcm_128_16_auth',) * 2, 'AEAD_AES_256_GCM': ('aes_gcm_256_16_auth',) * 2}
RTCP_TAG = {s: 0 if 'GCM' in s else 10 for s in LENGTH}
TAG = {s: 16 if 'GCM' in s else 4 if s.endswith('_32') else 10 for s in LENGTH}


class CryptoPolicy(ctypes.Structure):
    _fields_ = [(n, ctypes.c_int) for n in ('cipher', 'cipher_len', 'auth', 'auth_len', 'tag_len', 'services')]


class Policy(ctypes.Structure):
    _fields_ = [('ssrc_type', ctypes.c_int), ('ssrc', ctypes.c_uint), ('rtp', CryptoPolicy), ('rtcp', CryptoPolicy), ('key', ctypes.c_char_p), ('keys', ctypes.c_void_p),
                ('nkeys', ctypes.c_ulong), ('ekt', ctypes.c_void_p), ('window', ctypes.c_ulong), ('repeat', ctypes.c_int), ('xtn', ctypes.c_void_p), ('nxtn', ctypes.c_int),
                ('next', ctypes.c_void_p)]


def library(cache=[]):
    if not cache:
        try:
            lib = ctypes.CDLL('libsrtp2.so.1')
        except OSError as e:
            raise Skip('SRTP end to end: %s' % e)
        check(lib.srtp_init() == 0, 'srtp_init')
        cache.append(lib)
    return cache[0]


class Session:
    """One direction. seal and open give bytes, or None where the library refuses."""

    def __init__(self, suite, key, sender):
        self.lib, self.lock, self.handle = library(), threading.Lock(), ctypes.c_void_p()
        check(len(key) == LENGTH[suite], 'a key of %d bytes for %s', len(key), suite)
        p = Policy(ssrc_type=3 if sender else 2, window=8192)
        for field, name in zip(('rtp', 'rtcp'), POLICY[suite]):
            getattr(self.lib, 'srtp_crypto_policy_set_' + name)(ctypes.byref(getattr(p, field)))
        self.key = ctypes.create_string_buffer(key, len(key))
        p.key = ctypes.cast(self.key, ctypes.c_char_p)
        check(self.lib.srtp_create(ctypes.byref(self.handle), ctypes.byref(p)) == 0, 'srtp_create for %s', suite)

    def run(self, name, data):
        buf, n = ctypes.create_string_buffer(data, len(data) + 160), ctypes.c_int(len(data))
        with self.lock:
            err = getattr(self.lib, name)(self.handle, buf, ctypes.byref(n))
        return None if err else buf.raw[:n.value]


class Srtp(Rtp):
    """A media party with SDES. `lines` are its a=crypto; `take` reads those of the other side. What does not verify is counted in `bad`."""

    def __init__(self, t, ip, suites):
        self.rx_session = self.tx_session = self.seal_with = None
        self.keys = [(n + 1, s, os.urandom(LENGTH[s])) for n, s in enumerate(suites)]
        self.bad, self.clear_seen, self.indices, self.suite, self.theirs = 0, 0, [], None, None
        library()
        super().__init__(t, ip)

    def lines(self, only=None):
        return ['a=crypto:%d %s inline:%s' % (n, s, base64.b64encode(k).decode()) for n, s, k in self.keys if only in (None, n)]

    def take(self, sdp, new_only=False):
        """Agree on the first line of theirs that is one of ours too; returns its tag."""
        for line in sdp.text.splitlines():
            if not line.startswith('a=crypto:'):
                continue
            tag, suite, params = line[9:].split()[:3]
            mine = [k for k in self.keys if k[1] == suite]
            if not mine:
                continue
            theirs = base64.b64decode(params[7:].split('|')[0])
            if theirs != self.theirs:
                self.rx_session = Session(suite, theirs, False)
            if not self.tx_session or self.seal_with != mine[0][2]:
                self.tx_session = Session(suite, mine[0][2], True)
            self.suite, self.theirs, self.seal_with = suite, theirs, mine[0][2]
            return int(tag)
        check(False, 'no a=crypto that fits in %s', sdp.text)

    def _got_rtp(self, data, source, at):
        plain = self.rx_session and self.rx_session.run('srtp_unprotect', data)
        if plain:
            super()._got_rtp(plain, source, at)
        else:
            self.bad += 1

    def _got_rtcp(self, data, source, at):
        plain = self.rx_session and self.rx_session.run('srtp_unprotect_rtcp', data)
        if plain:
            at = len(data) - RTCP_TAG[self.suite] - 4
            self.indices.append(struct.unpack('!I', data[at:at + 4])[0] & 0x7fffffff)
            super()._got_rtcp(plain, source, at)
        else:
            self.bad += 1

    def packet(self, payload, pt=0, marker=False):
        return self.tx_session.run('srtp_protect', super().packet(payload, pt, marker))

    def send_rtcp(self, dest):
        sr = struct.pack('!BBHIIIIII', 0x80, 200, 6, self.ssrc, 1, 2, self.ts & 0xffffffff, 3, 4)
        self.rtcp.sendto(self.tx_session.run('srtp_protect_rtcp', sr), (dest[0], dest[1] + 1))

# SPDX-License-Identifier: Apache-2.0
"""A 2xx that was sent and lost while the engine died (design.md section 11; RFC 3261 13.3.1.4). The times of its repeats: tests/scene/restart-*.scene."""
from lib.base import check, equal, test, until
from lib.daemon import Bed
from lib.rtp import Rtp, both_ways
from lib.sip import sdp_text

LONG = 20


def lost_answer(bed, number, ra, rb, sdp=True):
    """The caller has its 200, says no ACK, and the engine is killed."""
    c = bed.a.call(number, sdp=sdp_text(bed.a.ip, ra.port) if sdp else None)
    i = bed.b.await_call(number, LONG)
    i.reply(200, sdp=sdp_text(bed.b.ip, rb.port))
    m = c.wait(200, LONG, ack=False)
    bed.d.restarted('engine', bed.d.kill('engine'), LONG)
    return c, i, m


def hang_up(c, i):
    tx = c.request('BYE')
    i.answer_bye(LONG)
    equal(tx.final(LONG).status, 200, 'answer to BYE')


def keyed(ip, port):
    return sdp_text(ip, port, formats='0', extra=['a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz'])


@test(seconds=90)
def lost_answer_is_repeated(t):
    """engine killed before the ACK: its successor repeats the same 200 until ACK, then the call has audio, a hold and a hang-up like any other; offerless too"""
    bed = Bed(t)
    for n, sdp in enumerate((True, False)):
        number, ra, rb = str(7700 + n), Rtp(t, bed.a.ip), Rtp(t, bed.b.ip)
        c, i, m = lost_answer(bed, number, ra, rb, sdp)
        if sdp:
            i.expect('ACK', LONG)
        until(lambda: bed.a.repeats(m) >= 2, LONG, 'the 200 again')
        same = [x[2] for x in bed.a.trace if x[1] == '<-' and x[2].startswith('SIP/2.0 200') and m.call_id in x[2]]
        equal(len(set(same)), 1, 'different 200s')
        c.ack(m, body=b'' if sdp else sdp_text(bed.a.ip, ra.port).encode())
        if not sdp:
            i.not_seen('ACK', 0.3)
            bed.b.transmit(*bed.b.answers[(i.inv.branch, i.inv.cseq, 'INVITE')])
            i.rsdp = i.expect('ACK', LONG).sdp
            check(i.rsdp, 'the ACK for the callee has no answer')
        bed.a.ask('OPTIONS', seconds=LONG)      # the ACK has been seen
        before = bed.a.repeats(m)
        both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest(), 30)
        until(lambda: bed.d.counter('postern_call_answers_again_total') >= 2, LONG, 'the counter')
        check(bed.a.repeats(m) == before, 'the 200 again after its ACK')
        hang_up(c, i)
        cdr = bed.d.cdrs(number, seconds=LONG)
        equal((len(cdr), cdr[0]['status'], cdr[0]['cause']), (1, 200, 'normal'), 'CDR')


@test(seconds=90)
def lost_answer_hides_keys(t):
    """the same with SDES on the caller's leg: the 200 that comes again has its keys, the memory that admin maps has not"""
    bed = Bed(t, trunk_a={'media': 'sdes'}, start=False)
    bed.doc['media_profiles'] = [{'id': 'sdes', 'transport': 'sdes-optional', 'suites': ['AES_CM_128_HMAC_SHA1_80']}]
    bed.d.write()
    bed.d.start()
    c = bed.a.call('7710', sdp=keyed(bed.a.ip, 30000))
    i = bed.b.await_call('7710', LONG)
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000, formats='0'))
    m = c.wait(200, LONG, ack=False)
    key = next(a for a in c.rsdp.attrs() if a.startswith('crypto:')).split('inline:')[1].split('|')[0].split()[0]
    bed.d.restarted('engine', bed.d.kill('engine'), LONG)
    until(lambda: bed.a.repeats(m) >= 1, LONG, 'the 200 again')
    last = [x[2] for x in bed.a.trace if x[1] == '<-' and x[2].startswith('SIP/2.0 200')][-1]
    check(key in last, 'the repeated 200 has another key')
    r = bed.d.get('/calls').json['items'][0]
    text = bed.d.get('/calls/%s' % r['id']).text + bed.d.get('/calls/%s/messages' % r['id']).text + bed.d.log()
    check(key not in text, 'the key can be read')
    check(bed.d.get('/calls/%s/messages?format=text' % r['id']).text.count('SIP/2.0 200') >= 3, 'the messages lack the repeated 200')
    c.ack(m)
    hang_up(c, i)


@test(seconds=120)
def lost_answer_many(t):
    """30 calls whose 200 was lost, those that were acknowledged beside them: the engine dies twice; none is lost, none that has its ACK hears anything"""
    bed = Bed(t, ports=200)
    quiet, loud = [], []
    for n in range(30):
        c = bed.a.call(str(7720 + n), sdp=sdp_text(bed.a.ip, 30000))
        i = bed.b.await_call(str(7720 + n), LONG)
        i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
        m = c.wait(200, LONG, ack=n % 3 == 0)
        i.expect('ACK', LONG)
        (quiet if n % 3 == 0 else loud).append((c, i, m))
    bed.a.ask('OPTIONS', seconds=LONG)
    seen = {id(m): bed.a.repeats(m) for _, _, m in quiet + loud}
    for _ in range(2):
        bed.d.restarted('engine', bed.d.kill('engine'), LONG)
        seen.update({id(m): bed.a.repeats(m) for _, _, m in loud})
        until(lambda: all(bed.a.repeats(m) > seen[id(m)] for _, _, m in loud), LONG, 'the 200 again')
    check(all(bed.a.repeats(m) == seen[id(m)] for _, _, m in quiet), 'a 200 again although its ACK had come')
    for c, i, m in loud:
        c.ack(m)
    equal(len(bed.d.calls()), 30, 'calls')
    for c, i, m in quiet + loud:
        hang_up(c, i)
    bed.d.no_calls(LONG)

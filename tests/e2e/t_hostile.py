# SPDX-License-Identifier: Apache-2.0
"""What a hostile peer or an unlucky moment must not cost: a CDR, a call, a hang-up that its peer is told of."""
import time

from lib.base import check, equal, test
from lib.daemon import Bed
from lib.rtp import both_ways
from lib.sip import sdp_text
from lib.ua import Agent, Call, Tx
from t_call import establish


def hang_up(first, second):
    tx = first.request('BYE')
    second.answer_bye()
    equal(tx.final().status, 200, 'answer to BYE')


@test()
def cdr_of_long_identifiers(t):
    """a peer's endless Call-ID and From do not cost the CDR: they are cut in it"""
    bed = Bed(t)
    c = Call(bed.a, '7100')
    c.call_id = 'c' * 20000
    c.invite(sdp=sdp_text(bed.a.ip, 30000), from_user='\u00e9' * 900)
    i = bed.b.await_call('7100')
    i.reply(200, sdp=sdp_text(bed.b.ip, 31000))
    c.wait(200)
    i.expect('ACK')
    hang_up(c, i)
    cdr = bed.d.cdrs('7100')
    equal((len(cdr), cdr[0]['status'], cdr[0]['cause']), (1, 200, 'normal'), 'CDR')
    check(cdr[0]['call_id_a'].startswith('c' * 100), 'Call-ID in the CDR: %s', cdr[0]['call_id_a'][:40])
    r = Call(bed.a, '7101')
    r.invite(sdp=sdp_text(bed.a.ip, 30000), from_user='u' * 20000)
    final = r.wait(lambda m: m.status >= 200)
    equal(final.status, 414, 'INVITE with an endless From')
    equal(len(bed.d.cdrs('7101')), 1, 'CDRs of the call that was refused')
    equal(bed.d.counter('postern_cdr_lost_total'), 0, 'CDRs lost')


@test(seconds=60)
def kill_engine_after_trunk_is_removed(t):
    """a live call outlives its trunk's row, and then the engine too: BYE works, one complete CDR"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '7200')
    doc = bed.d.get('/config').json
    doc['trunks'] = [x for x in doc['trunks'] if x['id'] != 'b']
    doc['routes'] = []
    equal(bed.d.http('PUT', '/config', doc).status // 100, 2, 'PUT of a document without trunk b')
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    bed.d.restarted('engine', bed.d.kill('engine'))
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    hang_up(i, c)
    cdr = bed.d.cdrs('7200')
    equal((len(cdr), cdr[0]['status'], cdr[0]['trunk_out'], cdr[0]['cause']), (1, 200, 'b', 'normal'), 'CDR')


@test()
def in_dialog_request_at_another_realm(t):
    """who knows a dialog of one realm reaches it by the listeners of that realm alone"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '7300')
    stranger = Agent(t, bed.a.ip, bed.b.peer, 5099)
    req = c.build('BYE')
    real, c.agent = c.agent, stranger
    check(Tx(c, req).final().status in (403, 481), 'BYE at the other realm')
    c.agent = real
    i.not_seen('BYE', 0.3)
    both_ways(ra, c.rsdp.dest(), rb, i.rsdp.dest())
    hang_up(c, i)


@test(seconds=60)
def kill_engine_while_bye_is_open(t):
    """the engine dies between a BYE's arrival and the other side's answer: the next one finishes it, the CDR is the first one's"""
    bed = Bed(t)
    c, i, ra, rb = establish(bed, bed.a, bed.b, '7400')
    equal(c.request('BYE').final().status, 200, 'answer to BYE')
    first = i.expect('BYE')
    time.sleep(0.5)
    bed.d.restarted('engine', bed.d.kill('engine'))
    again = bed.b.take(lambda m: m.method == 'BYE' and m.branch != first.branch and m.call_id == i.call_id, 3, 'BYE of the next engine')
    check(again.cseq[0] > first.cseq[0], 'CSeq of the BYE fell from %d to %d', first.cseq[0], again.cseq[0])
    i.reply(200, to=again)
    bed.d.no_calls()
    c.not_seen('BYE', 0.1)
    cdr = bed.d.cdrs('7400')
    equal((len(cdr), cdr[0]['status'], cdr[0]['cause'], cdr[0]['ended_by']), (1, 200, 'normal', 'caller'), 'CDR')
    check('could not be carried on' not in bed.d.log(), 'a call that was being ended was taken for a damaged one')


@test()
def max_calls_follows_the_revision(t):
    """a smaller max_calls counts at once, for the next engine too, and the former one again when it is written back; nobody is hung up on"""
    bed = Bed(t)
    one = establish(bed, bed.a, bed.b, '7500')

    def ask(number):
        c = bed.a.call(number, sdp=sdp_text(bed.a.ip, 30000))
        m = c.wait(lambda m: m.status >= 180)
        return m.status

    doc = bed.d.get('/config').json
    doc['system']['max_calls'] = 1
    equal(bed.d.http('PUT', '/config', doc).status // 100, 2, 'PUT of a smaller max_calls')
    equal(ask('7501'), 503, 'a second call')
    bed.d.restarted('engine', bed.d.kill('engine'))
    equal(ask('7502'), 503, 'a second call after a restart')
    doc = bed.d.get('/config').json
    doc['system']['max_calls'] = 4000
    equal(bed.d.http('PUT', '/config', doc).status // 100, 2, 'PUT of the former max_calls')
    two = establish(bed, bed.a, bed.b, '7503')
    hang_up(*one[:2])
    hang_up(*two[:2])


@test()
def strangers_over_their_rate(t):
    """caps.source_rate: what an address of no trunk sends beyond it is dropped and counted; other strangers and trunks do not feel it"""
    bed = Bed(t, system={'caps': {'source_rate': 5}})
    noisy, quiet = (Agent(t, t.ip(n), bed.a.peer, 5060) for n in (50, 51))
    for _ in range(60):
        req = Call(noisy, '7600').build('OPTIONS')
        noisy.transmit(req.bytes())
    equal(quiet.ask('OPTIONS', '7600').status, 403, 'answer to another stranger')
    time.sleep(0.3)
    got = len(noisy.peek(lambda m: m.status == 403))
    check(4 <= got <= 12, '%d of 60 requests were answered', got)
    check(bed.d.counter('postern_requests_rejected_total') >= 55, 'requests rejected: %s', bed.d.counter('postern_requests_rejected_total'))
    hang_up(*establish(bed, bed.a, bed.b, '7601')[:2])

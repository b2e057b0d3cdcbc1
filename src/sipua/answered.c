/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests over UDP that were answered on the spot: BYE and the like. A server transaction of the library would keep both messages for timer J,
 * 32 s and 7 KB each; all that is wanted of it is that a retransmission gets the same answer (RFC 3261 17.2.2, state Completed).
 * So the datagram of the answer alone is kept, some 400 bytes, under a keyed hash of what makes a transaction (17.2.3).
 */
#include "sipua/priv.h"
#include "sipua/guard/guard.h"

#include <stdlib.h>

#define ANSWERED_MAX   200000u       /* entries; the oldest goes first */
#define ANSWERED_BYTES (64u << 20)   /* of them all: an answer repeats what its request said, up to 64 KB */

struct answered {
	struct hash_node node;
	struct list_node link;     /* oldest first */
	uint32_t check;
	struct mono until;
	int fd;
	socklen_t to_len;
	union base_addr to;
	size_t len;
	uint8_t bytes[];
};

static uint32_t add(const char *s, uint32_t h)
{
	return s ? base_hash_bytes(s, strlen(s), h) : h;
}

/* branch, sent-by and method; the rest serves branches of before RFC 3261 */
static uint32_t key_of(const sip_t *sip, uint32_t seed)
{
	const sip_via_t *v = sip->sip_via;
	uint32_t h = add(v->v_branch, seed);

	h = add(v->v_host, h);
	h = add(v->v_port, h);
	h = add(sip->sip_cseq->cs_method_name, h ^ sip->sip_cseq->cs_seq);
	return add(sip->sip_from->a_tag, add(sip->sip_call_id->i_id, h));
}

static void drop(struct sipua *ua, struct answered *a)
{
	base_hash_del(&ua->answered, &a->node);
	list_del(&a->link);
	ua->answered_bytes -= sizeof(*a) + a->len;
	free(a);
}

static void expire(struct sipua *ua, bool all)
{
	struct mono now = base_mono_now();

	while (!list_empty(&ua->answered_list)) {
		struct answered *a = container_of(ua->answered_list.next, struct answered, link);

		if (!all && a->until.us > now.us) {
			if (ua->answered.count < ANSWERED_MAX && ua->answered_bytes < ANSWERED_BYTES)
				return;
			base_count(COUNTER_SIP_ANSWERED_EARLY);
		}
		drop(ua, a);
	}
}

bool sipua_answered_again(struct sipua *ua, const sip_t *sip)
{
	uint32_t key = key_of(sip, sipua_hash_seed), check = key_of(sip, ~sipua_hash_seed);
	struct sipua_sent sent = { .fd = -1 };
	struct hash_node *n;

	for (n = base_hash_find(&ua->answered, key); n; n = n->next) {
		struct answered *a = container_of(n, struct answered, node);
		struct iovec iov = { .iov_base = a->bytes, .iov_len = a->len };

		if (n->key != key || a->check != check)
			continue;
		base_count(COUNTER_SIP_ANSWERED_AGAIN);
		sipua_now.sent = &sent;
		if (sipua_udp_queue(a->fd, &iov, 1, &a->to.sa, a->to_len))
			base_count(COUNTER_SIP_TX);
		sipua_now.sent = NULL;
		sipua_trace_answered(&sent, sip);
		return true;
	}
	return false;
}

void sipua_answered_keep(struct sipua *ua, const sip_t *sip, const struct sipua_sent *sent)
{
	struct answered *a;

	if (!sent->len || sent->to_len > sizeof a->to)
		return;
	a = malloc(sizeof *a + sent->len);
	if (!a)
		return; /* a retransmission gets 481 then */
	a->check = key_of(sip, ~sipua_hash_seed);
	a->until = mono_add_ms(base_mono_now(), SIPUA_T1X64_MS);
	a->fd = sent->fd;
	a->to_len = sent->to_len;
	memcpy(&a->to, sent->to, sent->to_len);
	a->len = sent->len;
	memcpy(a->bytes, sent->bytes, sent->len);
	base_hash_add(&ua->answered, &a->node, key_of(sip, sipua_hash_seed));
	ua->answered_bytes += sizeof(*a) + a->len;
	list_add_tail(&ua->answered_list, &a->link);
	expire(ua, false);
}

int sipua_answered_init(struct sipua *ua)
{
	list_init(&ua->answered_list);
	return base_hash_init(&ua->answered, 1024);
}

void sipua_answered_tick(struct sipua *ua)
{
	expire(ua, false);
}

void sipua_answered_fini(struct sipua *ua)
{
	if (ua->answered_list.next)
		expire(ua, true);
	base_hash_fini(&ua->answered);
}

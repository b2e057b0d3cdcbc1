/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 2xx to an INVITE over UDP is repeated until its ACK comes (RFC 3261 13.3.1.4), also by a process that has not made it: the dialog's owner is
 * given the datagram before it leaves, told when it is done with, and sends it again after a restart.
 */
#include "sipua/priv.h"
#include "sipua/guard/guard.h"

#include <errno.h>
#include <stdlib.h>

static struct sipua_dialog *dialog_of(const struct sipua_srv *s)
{
	sip_to_t to = *s->sip->sip_to;
	sip_t sip = *s->sip;

	if (!to.a_tag)
		to.a_tag = s->tag;
	sip.sip_to = &to;
	return sipua_dialog_find(s->ua, &sip);
}

void sipua_held_tell(struct sipua_srv *s, const struct sipua_sent *sent)
{
	struct sipua_dialog *d = dialog_of(s);
	struct sipua_dest to = { .listener = s->path.listener, .transport = SIPUA_UDP };
	struct slice bytes = { NULL, 0 };

	if (!d || !d->ops || !d->ops->answered)
		return;
	if (sent) {
		if (!sent->len || sent->to_len > sizeof to.addr)
			return;
		memcpy(&to.addr, sent->to, sent->to_len);
		bytes = (struct slice){ (const char *)sent->bytes, sent->len };
	}
	d->ops->answered(d->arg, s->sip->sip_cseq->cs_seq, bytes, &to);
}

bool sipua_held_ack(struct sipua_dialog *d, const sip_t *sip)
{
	return d && d->ops && d->ops->ack && d->ops->ack(d->arg, sip->sip_cseq->cs_seq, sipua_wire(sip));
}

void sipua_resend(struct sipua *ua, const struct sipua_dest *to, struct slice call_id, struct slice datagram)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)datagram.p, .iov_len = datagram.n };
	int fd = to->listener < ua->n && !ua->tp[to->listener].closed ? sipua_fd_of_listener(ua, to->listener) : -1;
	struct sipua_sent *outer = sipua_now.sent, sent = { .fd = -1 };

	if (fd < 0 || ua->closing)
		return;
	sipua_now.sent = &sent;
	if (sipua_udp_queue(fd, &iov, 1, &to->addr.sa, base_addr_len(&to->addr)))
		base_count(COUNTER_SIP_TX);
	sipua_now.sent = outer;
	sipua_trace_resent(&sent, call_id);
}

void sipua_dialog_ack_waits(struct sipua_dialog *d)
{
	d->ack_waits = true;
}

int sipua_dialog_ack_give(struct sipua_dialog *d, struct slice body)
{
	char *copy = body.n ? base_dup(body) : NULL;

	if (body.n && !copy)
		return -ENOMEM;
	free(d->ack_body);
	d->ack_body = copy;
	d->ack_len = body.n;
	d->ack_waits = false;
	return 0;
}

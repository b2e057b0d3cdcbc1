/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 2xx that nobody wants: ACK, so that it is not repeated, and BYE (RFC 3261 13.2.2.4), along the route that the 2xx
 * itself names, and numerically. What nta would do goes to hosts of the peer's choice (guide: nta_msg_ackbye).
 */
#include "sipua/police.h"

#include <errno.h>
#include <stdlib.h>

/* the answer in an ACK is part of it when it has to be repeated */
static int ack_body(struct sipua_dialog *d, struct sipua_msg **m, bool given)
{
	const sip_payload_t *pl = given ? (*m)->sip->sip_payload : NULL;
	int err;

	if (pl && pl->pl_len) {
		free(d->ack_body);
		d->ack_len = pl->pl_len;
		d->ack_body = base_dup((struct slice){ pl->pl_data, pl->pl_len });
		return d->ack_body ? 0 : -ENOMEM;
	}
	if (given)
		return 0;
	err = sipua_msg_request(d, SLICE("ACK"), NULL, 70, m);
	if (!err && d->ack_body) {
		err = sipua_msg_body(*m, SLICE("application/sdp"), (struct slice){ d->ack_body, d->ack_len });
		if (err)
			sipua_msg_free(*m);
	}
	return err;
}

/* an ACK to a 2xx is no transaction (RFC 3261 17.1.1.3): it leaves, and is made again when the 2xx comes again */
int sipua_dialog_ack(struct sipua_dialog *d, uint32_t cseq, struct sipua_msg *m)
{
	char branch[SIPUA_BRANCH_SIZE];
	struct sipua_way way;
	nta_outgoing_t *ack;
	msg_t *msg;
	int err = ack_body(d, &m, m != NULL);

	if (err)
		return err;
	err = sipua_way_of(d, NULL, &way);
	if (!err && !sipua_police_request(d, m)) {
		sipua_msg_free(m);
		return 0;
	}
	if (!err)
		err = sipua_auth_ack(d, m);
	if (!err)
		err = sipua_msg_finish(m, cseq);
	if (err) {
		sipua_msg_free(m);
		return err;
	}
	sipua_branch_new(branch);
	msg = m->msg;
	m->msg = NULL;
	sipua_msg_free(m);
	if (way.conn)
		ack = nta_outgoing_mcreate(d->ua->nta, NULL, NULL, NULL, msg, NTATAG_BRANCH_KEY(branch), NTATAG_ACK_BRANCH(branch),
			NTATAG_STATELESS(1), NTATAG_TPORT(way.conn), TAG_END());
	else
		ack = nta_outgoing_mcreate(d->ua->nta, NULL, NULL, (url_string_t *)&way.url, msg, NTATAG_BRANCH_KEY(branch),
			NTATAG_ACK_BRANCH(branch), NTATAG_STATELESS(1), TPTAG_IDENT(way.ident), TAG_END());
	if (!ack) {
		msg_destroy(msg);
		return ERR_PROTO;
	}
	nta_outgoing_destroy(ack); /* (void *)-1 where it is gone already: legal */
	return 0;
}

void sipua_ack_bye(struct sipua *ua, const sip_t *sip, const struct sipua_path *path)
{
	struct sipua_dialog *d;
	struct sipua_msg *bye;
	struct sipua_cli *cli;

	if (!sip->sip_to->a_tag || sipua_dialog_of_response(ua, sip, path, &d))
		return;
	if (sipua_dialog_ack(d, sip->sip_cseq->cs_seq, NULL) == 0 && sipua_msg_request(d, SLICE("BYE"), NULL, 70, &bye) == 0 &&
	    sipua_cli_send(d, bye, NULL, NULL, NULL, &cli) == 0)
		sipua_cli_free(cli);
	sipua_dialog_free(d);
}

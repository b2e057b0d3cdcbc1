/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 2xx that nobody wants: ACK, so that it is not repeated, and BYE (RFC 3261 13.2.2.4), along the route that the 2xx
 * itself names, and numerically. What nta would do goes to hosts of the peer's choice (guide: nta_msg_ackbye).
 */
#include "sipua/priv.h"

/* an ACK that belongs to no INVITE of this process: outside of nta's transactions */
int sipua_dialog_ack(struct sipua_dialog *d, uint32_t cseq)
{
	char branch[SIPUA_BRANCH_SIZE];
	struct sipua_msg *m;
	struct sipua_way way;
	nta_outgoing_t *ack;
	msg_t *msg;
	int err = sipua_way_of(d, NULL, &way);

	if (!err)
		err = sipua_msg_request(d, SLICE("ACK"), NULL, 70, &m);
	if (err)
		return err;
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
	if (sipua_dialog_ack(d, sip->sip_cseq->cs_seq) == 0 && sipua_msg_request(d, SLICE("BYE"), NULL, 70, &bye) == 0 &&
	    sipua_cli_send(d, bye, NULL, NULL, NULL, &cli) == 0)
		sipua_cli_free(cli);
	sipua_dialog_free(d);
}

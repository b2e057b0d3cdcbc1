/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Challenges of a peer answered with the dialog's credentials (RFC 3261 22, RFC 7616, RFC 8760), so that whoever sent the request sees only what came
 * after: the request goes again with the next CSeq. What was accepted is sent along with later requests of the dialog.
 */
#include "sipua/priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TRIES 5                  /* of one request: without credentials, for a proxy, for the peer behind it, and each once more for a stale nonce */
#define CHALLENGE_MAX 4096

/* of a peer (401), or of a proxy on the way to it (407): both are answered in one request (RFC 3261 22.3) */
enum { PEER, PROXY, CHALLENGERS };

struct sipua_login {
	char *username, *password, *realm;
	struct {
		char *challenge;   /* answered last */
		uint32_t nc;
		char *invite;      /* credentials of the latest INVITE: its ACK repeats them */
	} by[CHALLENGERS];
};

void sipua_login_free(struct sipua_login *l)
{
	if (!l)
		return;
	free(l->username);
	free(l->password);
	free(l->realm);
	for (unsigned i = 0; i < CHALLENGERS; i++) {
		free(l->by[i].challenge);
		free(l->by[i].invite);
	}
	free(l);
}

int sipua_dialog_set_auth(struct sipua_dialog *d, const struct sipua_auth *a)
{
	struct sipua_login *l = base_alloc(sizeof *l);

	if (!l)
		return -ENOMEM;
	memset(l, 0, sizeof *l);
	l->username = base_dup(slice_str(a->username));
	l->password = base_dup(slice_str(a->password));
	l->realm = a->realm ? base_dup(slice_str(a->realm)) : NULL;
	if (!l->username || !l->password || (a->realm && !l->realm)) {
		sipua_login_free(l);
		return -ENOMEM;
	}
	sipua_login_free(d->login);
	d->login = l;
	return 0;
}

static const char *const header_name[] = { "Authorization", "Proxy-Authorization" };

/** A challenge as text; false where it is no digest or too long. */
static bool challenge_text(const msg_auth_t *au, char buf[static CHALLENGE_MAX])
{
	struct text t = text_on(buf, CHALLENGE_MAX);
	size_t i;

	if (!au->au_scheme || strcasecmp(au->au_scheme, "Digest"))
		return false;
	for (i = 0; au->au_params && au->au_params[i]; i++)
		text_add(&t, "%s%s", i ? ", " : "", au->au_params[i]);
	return !t.cut;
}

/** The strongest of the challenges that our credentials fit. */
static bool pick(const struct sipua_login *l, const msg_auth_t *au, char best[static CHALLENGE_MAX], bool *stale)
{
	char buf[CHALLENGE_MAX];
	struct keys_digest ch;
	int grade = -1;

	for (; au; au = au->au_next) {
		if (!challenge_text(au, buf) || keys_digest_read(slice_str(buf), &ch))
			continue;
		if ((l->realm && !slice_eq(slice_str(l->realm), ch.realm)) || (int)ch.algorithm <= grade)
			continue;
		grade = (int)ch.algorithm;
		*stale = ch.stale;
		memcpy(best, buf, CHALLENGE_MAX);
	}
	return grade >= 0;
}

static int add_one(struct sipua_login *l, unsigned who, const struct keys_digest_request *rq, struct sipua_msg *m)
{
	char value[CHALLENGE_MAX + 512];
	struct keys_digest ch;
	int err = keys_digest_read(slice_str(l->by[who].challenge), &ch);

	if (!err)
		err = keys_digest_print(&ch, rq, ++l->by[who].nc, value, sizeof value);
	if (!err)
		err = sipua_msg_add(m, header_name[who], slice_str(value));
	if (!err && m->sip->sip_request->rq_method == sip_method_invite) {
		free(l->by[who].invite);
		l->by[who].invite = base_dup(slice_str(value));
	}
	return err;
}

/** Put the credentials for this request in it. */
static int add_credentials(struct sipua_dialog *d, msg_t *msg, sip_t *sip)
{
	struct sipua_login *l = d->login;
	char uri[2048];
	struct keys_digest_request rq = { .username = slice_str(l->username), .password = slice_str(l->password),
		.method = slice_str(sip->sip_request->rq_method_name) };
	struct sipua_msg m = { .ua = d->ua, .msg = msg, .sip = sip };
	int n = url_e(uri, sizeof uri, sip->sip_request->rq_url), err = 0;
	unsigned i;

	if (n < 0 || (size_t)n >= sizeof uri)
		return ERR_RANGE;
	rq.uri = slice_str(uri);
	if (sip->sip_payload)
		rq.body = (struct slice){ sip->sip_payload->pl_data, sip->sip_payload->pl_len };
	for (i = 0; !err && i < CHALLENGERS; i++)
		if (l->by[i].challenge)
			err = add_one(l, i, &rq, &m);
	return err;
}

void sipua_auth_known(struct sipua_dialog *d, msg_t *msg, sip_t *sip)
{
	if (d->login && add_credentials(d, msg, sip))
		base_log_limited(BASE_WARN, 1, "sipua", "credentials could not be added to a request");
}

int sipua_auth_ack(struct sipua_dialog *d, struct sipua_msg *m)
{
	const struct sipua_login *l = d->login;
	int err = 0;

	for (unsigned i = 0; l && !err && i < CHALLENGERS; i++)
		if (l->by[i].invite)
			err = sipua_msg_add(m, header_name[i], slice_str(l->by[i].invite));
	return err;
}

/** May this challenge be answered? The credentials in force are then for it. */
static bool take_challenge(struct sipua_cli *c, const sip_t *sip)
{
	struct sipua_login *l = c->dialog->login;
	unsigned who = sip->sip_status->st_status == 407 ? PROXY : PEER;
	bool stale = false;
	char best[CHALLENGE_MAX], *copy;

	if (!l || !c->again || c->tries >= TRIES || !pick(l, who == PROXY ? sip->sip_proxy_authenticate : sip->sip_www_authenticate, best, &stale))
		return false;
	if ((c->answered & 1u << who) && !stale)
		return false; /* the credentials are wrong */
	c->answered |= 1u << who;
	if (l->by[who].challenge && !strcmp(l->by[who].challenge, best))
		return true;
	copy = base_dup(slice_str(best));
	if (!copy)
		return false;
	free(l->by[who].challenge);
	l->by[who].challenge = copy;
	l->by[who].nc = 0;
	return true;
}

bool sipua_auth_again(struct sipua_cli *c, const sip_t *sip)
{
	msg_t *msg;
	sip_t *copy;

	if (c->zombie || c->wish_cancel || !take_challenge(c, sip))
		return false;
	msg = msg_dup(c->again);
	copy = msg ? sip_object(msg) : NULL;
	if (!copy || add_credentials(c->dialog, msg, copy)) {
		msg_destroy(msg);
		return false;
	}
	c->tries++;
	base_count(COUNTER_SIP_CHALLENGES);
	return sipua_cli_resend(c, msg, copy);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes: a request outside of any call from the trunk's own listener (RFC 3261 section 11). Where `probe` is on all targets are asked, else those that
 * are down, at failback.interval. First ones are spread over the interval and all of them drift, so that a thousand trunks do not speak at once.
 */
#include <stdio.h>

#include "peer/plane.h"
#include "postern/wire.h"

#define DRIFT_PERCENT 5

static void on_timer(void *arg);

/** Milliseconds from probe to probe, 0: none. */
static int64_t interval_ms(const struct plane_target *g)
{
	const struct peer_trunk_conf *c = g->trunk->pub->conf;

	if (g->live->vanished || g->pub.listener < 0 || g->live->health == PEER_RESTING)
		return 0;
	if (c->probe.enabled)
		return c->probe.interval * 1000;
	return g->live->health == PEER_DOWN ? c->failback.interval * 1000 : 0;
}

/** How long an answer is waited for: never beyond the next probe. */
static int64_t patience_ms(const struct plane_target *g)
{
	const struct peer_trunk_conf *c = g->trunk->pub->conf;

	return 1000 * (c->probe.enabled && c->probe.interval < c->probe.timeout ? c->probe.interval : c->probe.timeout);
}

static int64_t drift(int64_t every) { return base_random_below((uint32_t)(every * DRIFT_PERCENT / 100 + 1)); }

static void arm_at(struct plane_target *g, int64_t at)
{
	int64_t in = at - plane_now();

	loop_timer_start(g->trunk->plane->p.loop, &g->timer, in > 0 ? in : 0, on_timer, g);
}

void peer_probe_arm(struct plane_target *g)
{
	struct peer_plane *p = g->trunk->plane;
	struct peer_live_target *l = g->live;
	int64_t every = interval_ms(g), due = peer_health_due(g), now = plane_now();

	if (g->cli) {
		arm_at(g, g->probe_sent + patience_ms(g));
		return;
	}
	/* one that is planned stays so over a revision and an engine's death, unless the interval is shorter by now */
	if (!every)
		l->next_ms = 0;
	else if (!l->next_ms || l->next_ms > now + every)
		l->next_ms = now + (l->health == PEER_DOWN ? every - drift(every) : base_random_below((uint32_t)every));
	if (l->next_ms && p->ua && (!due || l->next_ms < due))
		due = l->next_ms;
	if (due)
		arm_at(g, due);
	else
		loop_timer_stop(&g->timer);
}

void peer_probe_stop(struct plane_target *g)
{
	sipua_cli_free(g->cli);
	sipua_dialog_free(g->dialog);
	g->cli = NULL;
	g->dialog = NULL;
}

static void done(struct plane_target *g, bool good, bool unreachable, const char *reason)
{
	peer_probe_stop(g);
	g->live->probe_ms = base_wall_ms();
	if (!unreachable)
		g->live->rtt_us = (uint32_t)(base_mono_now().us - g->sent_us);
	peer_health_probed(g, good, unreachable, reason);
	peer_probe_arm(g);
}

static bool is_bad(const struct peer_trunk_conf *c, int status)
{
	const int64_t *v = c->probe.down_on.v;
	size_t i;

	for (i = 0; i < c->probe.down_on.n; i++)
		if (v[i] == status)
			return true;
	return false;
}

static void on_response(void *arg, struct sipua_cli *cli, int status, const struct wire_sip *sip)
{
	struct plane_target *g = arg;
	char reason[32];

	if (status < 200)
		return;
	if (!sip) {
		done(g, false, status != 408, status == 408 ? "probe-unanswered" : "unreachable");
		return;
	}
	snprintf(reason, sizeof reason, "probe-%d", status);
	done(g, !is_bad(g->trunk->pub->conf, status), false, reason);
}

static const struct sipua_cli_ops ops = { .response = on_response };

static void addresses(const struct plane_target *g, struct text *from, struct text *to)
{
	text_add(from, "<sip:%s>", sipua_advertised(g->trunk->plane->ua, (unsigned)g->pub.listener));
	text_add(to, "%s:%s", g->pub.sips ? "sips" : "sip", g->pub.host);
}

/** A method that is none of a call's; what makes or ends one is no probe. */
static struct slice method_of(const struct plane_target *g)
{
	enum wire_method m;
	struct slice s = slice_str(g->trunk->pub->conf->probe.method);

	m = wire_method_of(s);
	return m == WIRE_INVITE || m == WIRE_ACK || m == WIRE_CANCEL || m == WIRE_BYE ? SLICE("OPTIONS") : s;
}

void peer_target_dest(const struct peer_plane *p, const struct peer_trunk *t, const struct peer_target *g, char name[static 256], struct sipua_dest *ret)
{
	struct wire_uri via;

	*ret = (struct sipua_dest){ .listener = (unsigned)g->listener, .transport = (enum sipua_transport)g->transport, .addr = g->addr };
	if (g->transport != SIPUA_TLS)
		return;
	/* RFC 5922 section 4: the certificate must be that of the host which was asked for, be it an outbound proxy, not of what it resolved to */
	if (wire_uri_parse(slice_str(g->via), &via) || !slice_copy(name, 256, via.host))
		name[0] = 0;
	ret->tls_name = name;
	ret->tls = t->conf->tls && p->p.tls ? p->p.tls(p->p.tls_arg, t->conf->tls) : NULL;
}

static int probe_send(struct plane_target *g)
{
	struct peer_plane *p = g->trunk->plane;
	char fbuf[320], tbuf[320], name[256], angle[330];
	struct text from = text_on(fbuf, sizeof fbuf), to = text_on(tbuf, sizeof tbuf);
	struct sipua_dest dest;
	struct sipua_msg *msg;
	int err;

	addresses(g, &from, &to);
	snprintf(angle, sizeof angle, "<%s>", tbuf);
	peer_target_dest(p, g->trunk->pub, &g->pub, name, &dest);
	err = sipua_dialog_new_uac(p->ua, text_get(&from), slice_str(angle), &dest, NULL, NULL, &g->dialog);
	if (!err && p->p.policy && g->trunk->pub->conf->id)
		sipua_dialog_police(g->dialog, p->p.policy(p->p.policy_arg, g->trunk->pub->conf->id), NULL);
	if (!err)
		err = sipua_msg_request(g->dialog, method_of(g), tbuf, 70, &msg);
	if (err)
		return err;
	err = sipua_msg_add(msg, "Contact", slice_str(sipua_contact(p->ua, dest.listener)));
	if (!err)
		err = sipua_msg_add(msg, "Accept", SLICE("application/sdp"));
	if (err) {
		sipua_msg_free(msg);
		return err;
	}
	return sipua_cli_send(g->dialog, msg, &dest, &ops, g, &g->cli);
}

void peer_probe_now(struct plane_target *g)
{
	struct peer_plane *p = g->trunk->plane;
	int64_t every = interval_ms(g);

	if (g->cli || !p->ua || g->pub.listener < 0)
		return;
	g->sent_us = base_mono_now().us;
	g->probe_sent = g->sent_us / 1000;
	g->live->next_ms = every ? g->probe_sent + every - drift(every) : 0;
	if (probe_send(g)) {
		done(g, false, true, "unreachable");
		return;
	}
	peer_probe_arm(g);
}

static void on_timer(void *arg)
{
	struct plane_target *g = arg;
	int64_t now = plane_now();

	if (g->cli && now >= g->probe_sent + patience_ms(g))
		done(g, false, false, "probe-unanswered");
	else if (!g->cli && g->live->next_ms && now >= g->live->next_ms && g->live->health != PEER_RESTING)
		peer_probe_now(g);
	else
		peer_probe_arm(g);
}

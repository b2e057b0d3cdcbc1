/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent: listeners on sockets that were handed in, nta set up as our front door wants it, and the end of it all.
 * RFC 3261 sections 8 and 18. Does no name resolution: every destination is numeric.
 */
#include "sipua/priv.h"
#include "sipua/guard/guard.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sofia-sip/su_log.h>

#define UDP_BUFFER_BYTES (4u << 20)
#define TRIM_EVERY_MS 30000
#define WATCH_EVERY_MS 1000
/* timers I and K hold whole transactions only to swallow what comes again; strays are swallowed without them (front.c) */
#define T4_MS 1000

extern su_log_t nta_log[], tport_log[];

struct list_node sipua_agents = { &sipua_agents, &sipua_agents };
uint32_t sipua_hash_seed;

const char *sipua_transport_name(enum sipua_transport t)
{
	static const char *const names[] = { "udp", "tcp", "tls" };
	return (unsigned)t < ARRAY_LEN(names) ? names[t] : "udp";
}

const char *sipua_advertised(const struct sipua *ua, unsigned listener)
{
	return listener < ua->n && ua->tp[listener].advertised ? ua->tp[listener].advertised : "";
}

const struct sipua_listener *sipua_listener_at(const struct sipua *ua, unsigned listener)
{
	return listener < ua->n ? &ua->lst[listener] : NULL;
}

const char *sipua_contact(const struct sipua *ua, unsigned listener)
{
	return listener < ua->n && ua->tp[listener].contact ? ua->tp[listener].contact : "";
}

void sipua_figures(const struct sipua *ua, struct sipua_figures *ret)
{
	*ret = ua->figures;
}

/* ---- what Sofia tells ---- */

static void copy_addr(union base_addr *a, const su_sockaddr_t *su)
{
	memset(a, 0, sizeof(*a));
	if (su->su_family == AF_INET6)
		memcpy(&a->in6, su, sizeof(a->in6));
	else
		memcpy(&a->in, su, sizeof(a->in));
}

tport_t *sipua_delivering(struct sipua *ua, const msg_t *msg)
{
	if (sipua_now.deliver_msg == msg && sipua_now.deliver_tport)
		return (tport_t *)(uintptr_t)sipua_now.deliver_tport;
	return tport_delivered_by(nta_agent_tports(ua->nta), msg);
}

void sipua_path_of(struct sipua *ua, const msg_t *msg, tport_t *tp, struct sipua_path *ret)
{
	const tport_t *primary = tp ? tport_parent(tp) : NULL;
	const struct sipua_conn *conn;
	unsigned i = 0;

	memset(ret, 0, sizeof(*ret));
	while (i + 1 < ua->n && ua->tp[i].primary != primary)
		i++;
	ret->listener = i;
	ret->transport = ua->lst[i].transport;
	copy_addr(&ret->source, msg_addr((msg_t *)(uintptr_t)msg));
	if (ret->transport == SIPUA_TLS && tp && (conn = sipua_conn_of_tport(tp)))
		ret->tls_subjects = slice_str(conn->subjects);
}

struct keys_tls *sipua_tls_of_listener(struct sipua *ua, unsigned listener)
{
	return listener < ua->n ? ua->lst[listener].tls : NULL;
}

void sipua_fork_2xx_of(void *agent_magic, msg_t *msg)
{
	sipua_fork_2xx(agent_magic, msg);
}

/* ---- housekeeping ---- */

/* what ended transactions and dialogs leave behind goes back to the system when they have become less */
static void trim(void *arg)
{
	struct sipua *ua = arg;
	unsigned now = ua->figures.srv + ua->figures.cli + ua->figures.dialogs;

	if (ua->trim_peak > 64 && now < ua->trim_peak / 2) {
		base_heap_trim();
		ua->trim_peak = now;
	} else if (now > ua->trim_peak) {
		ua->trim_peak = now;
	}
	loop_timer_start(ua->loop, &ua->trim, TRIM_EVERY_MS, trim, ua);
}

static void watch(void *arg)
{
	struct sipua *ua = arg;

	base_gauge(COUNTER_SIP_SRV_OPEN, ua->figures.srv);
	base_gauge(COUNTER_SIP_CLI_OPEN, ua->figures.cli);
	base_gauge(COUNTER_SIP_DIALOGS_OPEN, ua->figures.dialogs);
	base_gauge(COUNTER_SIP_CONNS_OPEN, ua->figures.connections);
	sipua_conn_watch(ua);
	sipua_answered_tick(ua);
	sipua_listeners_tick(ua);
	loop_timer_start(ua->loop, &ua->watch, WATCH_EVERY_MS, watch, ua);
}

/* ---- start ---- */

/* "host", "host:port", "[v6]:port" of `advertise`; without it the address itself */
static int read_advertise(struct sipua_tp *tp, const struct sipua_listener *l)
{
	char host[64];
	const char *s = l->advertise ? l->advertise : base_addr_host(&l->addr, true, host);
	const char *end = s + strlen(s), *colon = NULL, *p;
	uint64_t port = base_addr_port(&l->addr);

	p = *s == '[' ? strchr(s, ']') : s;
	if (!p)
		return ERR_CONFIG;
	colon = strchr(p, ':');
	if (colon && *s != '[' && strchr(colon + 1, ':'))
		colon = NULL; /* a bare IPv6 address */
	if (colon && slice_u64(slice_str(colon + 1), 65535, &port))
		return ERR_CONFIG;
	if (!slice_copy(tp->advertised_host, sizeof(tp->advertised_host) - 2,
			(struct slice){ s, (size_t)((colon ? colon : end) - s) }))
		return ERR_CONFIG;
	if (*s != '[' && strchr(tp->advertised_host, ':')) {
		char bare[256];
		slice_copy(bare, sizeof(bare), slice_str(tp->advertised_host));
		snprintf(tp->advertised_host, sizeof(tp->advertised_host), "[%.250s]", bare);
	}
	tp->advertised_port = (uint16_t)port;
	return 0;
}

int sipua_listener_name(struct sipua *ua, size_t i)
{
	struct sipua_tp *tp = &ua->tp[i];
	char buf[400];
	int err = read_advertise(tp, &ua->lst[i]);

	if (err)
		return err;
	snprintf(tp->ident, sizeof(tp->ident), "l%zu", i);
	snprintf(buf, sizeof(buf), "%s:%u", tp->advertised_host, tp->advertised_port);
	tp->advertised = base_dup(slice_str(buf));
	snprintf(buf, sizeof(buf), "<sip:%s:%u;transport=%s>", tp->advertised_host, tp->advertised_port,
		sipua_transport_name(ua->lst[i].transport));
	tp->contact = base_dup(slice_str(buf));
	return tp->advertised && tp->contact ? 0 : -ENOMEM;
}

static tport_t *primary_by_ident(struct sipua *ua, const char *ident)
{
	tport_t *tp = tport_primaries(nta_agent_tports(ua->nta));

	for (; tp; tp = tport_next(tp)) {
		const char *id = tport_name(tp)->tpn_ident;
		if (id && strcmp(id, ident) == 0)
			return tp;
	}
	return NULL;
}

/* the override of tport_bind_socket puts the socket handed in where the library would bind its own */
int sipua_listener_open(struct sipua *ua, size_t i)
{
	struct sipua_listener *l = &ua->lst[i];
	char url[512], local[64];
	int err = sipua_listener_name(ua, i), r;

	if (err)
		return err;
	if (l->transport == SIPUA_TLS && !l->tls)
		return ERR_CONFIG;
	snprintf(url, sizeof(url), "%s:%s:%u;maddr=%s;transport=%s", l->transport == SIPUA_TLS ? "sips" : "sip",
		ua->tp[i].advertised_host, base_addr_port(&l->addr), base_addr_host(&l->addr, true, local),
		sipua_transport_name(l->transport));
	sipua_now.ua = ua;
	sipua_now.listener = (unsigned)i;
	sipua_now.fd = l->fd;
	errno = 0;
	r = nta_agent_add_tport(ua->nta, URL_STRING_MAKE(url), TPTAG_IDENT(ua->tp[i].ident), TPTAG_STUN_SERVER(0),
		TPTAG_IDLE(UINT_MAX), TPTAG_TIMEOUT(ua->caps.handshake_s ? ua->caps.handshake_s * 1000 : UINT_MAX),
		TPTAG_SDWN_ERROR(1), TPTAG_PONG2PING(1), TPTAG_QUEUESIZE(1000), TPTAG_LOG(0),
		TPTAG_UDP_RMEM(UDP_BUFFER_BYTES), TPTAG_UDP_WMEM(UDP_BUFFER_BYTES),
		TPTAG_CERTIFICATE("/nonexistent"), TPTAG_TLS_VERIFY_POLICY(TPTLS_VERIFY_NONE), TAG_END());
	err = errno;
	sipua_now.ua = NULL;
	sipua_now.fd = -1;
	if (r < 0)
		return err ? -err : -EINVAL;
	ua->tp[i].primary = primary_by_ident(ua, ua->tp[i].ident);
	return ua->tp[i].primary ? 0 : ERR_WRONGSTATE;
}

/* room for all numbers at once: what is handed out of it stays where it is */
static int make_listeners(struct sipua *ua)
{
	ua->lst = base_alloc(SIPUA_LISTENERS * sizeof(*ua->lst));
	ua->tp = base_alloc(SIPUA_LISTENERS * sizeof(*ua->tp));
	if (!ua->lst || !ua->tp)
		return -ENOMEM;
	memset(ua->lst, 0, SIPUA_LISTENERS * sizeof(*ua->lst));
	memset(ua->tp, 0, SIPUA_LISTENERS * sizeof(*ua->tp));
	return 0;
}

static unsigned message_bytes(const struct sipua *ua)
{
	return ua->caps.message_bytes ? ua->caps.message_bytes : 65536;
}

static int start_nta(struct sipua *ua)
{
	su_log_set_level(nta_log, 0);
	su_log_set_level(tport_log, 0);
	su_log_set_level(su_log_default, 0);
	ua->nta = nta_agent_create(ua->root, (url_string_t *)-1, sipua_front, ua,
		NTATAG_UA(1), NTATAG_STATELESS(1), NTATAG_MAXSIZE(message_bytes(ua)), NTATAG_UDP_MTU(65535), NTATAG_SERVER_RPORT(1),
		NTATAG_CLIENT_RPORT(1), NTATAG_TCP_RPORT(1), NTATAG_TLS_RPORT(1), NTATAG_PASS_100(1), NTATAG_TIMEOUT_408(1),
		NTATAG_CANCEL_487(0), NTATAG_USE_NAPTR(0), NTATAG_USE_SRV(0), NTATAG_PRELOAD(2048), NTATAG_MERGE_482(0),
		NTATAG_EXTRA_100(0), NTATAG_SIP_T4(T4_MS), TAG_END());
	return ua->nta ? 0 : -ENOMEM;
}

/* Messages have copies of the headers: the former ones can go. */
static int set_identity(struct sipua *ua, const char *user_agent)
{
	const bool named = user_agent && *user_agent;
	su_home_t *names = su_home_new(sizeof(*names));
	sip_user_agent_t *agent = names && named ? sip_user_agent_make(names, user_agent) : NULL;
	sip_server_t *server = names && named ? sip_server_make(names, user_agent) : NULL;

	if (!names || (named && (!agent || !server))) {
		su_home_unref(names);
		return -ENOMEM;
	}
	su_home_unref(ua->names);
	ua->names = names;
	ua->user_agent = agent;
	ua->server = server;
	return 0;
}

int sipua_settings(struct sipua *ua, const char *user_agent, const struct sipua_caps *caps)
{
	const unsigned patience_ms = caps->handshake_s ? caps->handshake_s * 1000 : UINT_MAX;
	int err = set_identity(ua, user_agent);

	if (err)
		return err;
	ua->caps = *caps;
	nta_agent_set_params(ua->nta, NTATAG_MAXSIZE(message_bytes(ua)), TAG_END());
	for (unsigned i = 0; i < ua->n; i++)
		if (ua->tp[i].primary)
			tport_set_params(ua->tp[i].primary, TPTAG_TIMEOUT(patience_ms), TAG_END());
	return 0;
}

static int make_tables(struct sipua *ua)
{
	int err = base_hash_init(&ua->by_callid, 1024);

	if (!err)
		err = base_hash_init(&ua->by_branch, 1024);
	if (!err)
		err = base_hash_init(&ua->merged, 1024);
	return err ? err : sipua_answered_init(ua);
}

int sipua_new(struct loop *l, const struct sipua_listener *lst, size_t n, const char *user_agent, const struct sipua_caps *caps,
	const struct sipua_handlers *h, void *arg, size_t *ret_bad, struct sipua **ret)
{
	struct sipua *ua;
	size_t i = 0;
	int err;

	if (!sipua_guard_passed)
		return ERR_WRONGSTATE;
	ua = base_alloc(sizeof(*ua));
	if (!ua)
		return -ENOMEM;
	memset(ua, 0, sizeof(*ua));
	list_init(&ua->srvs);
	list_init(&ua->clis);
	list_init(&ua->dialogs);
	list_init(&ua->link);
	list_add_tail(&sipua_agents, &ua->link);
	ua->loop = l;
	ua->root = (su_root_t *)loop_su_root(l);
	ua->handlers = *h;
	ua->arg = arg;
	ua->caps = *caps;
	signal(SIGPIPE, SIG_IGN);
	while (!sipua_hash_seed)
		base_random(&sipua_hash_seed, sizeof(sipua_hash_seed));
	sipua_now.fd = -1;
	sipua_loop_thread = true;
	su_home_init(ua->home);
	err = set_identity(ua, user_agent);
	if (!err)
		err = make_tables(ua);
	if (!err)
		err = make_listeners(ua);
	if (!err)
		err = start_nta(ua);
	for (; !err && i < n; i++)
		err = lst[i].fd < 0 ? 0 : sipua_listener_add(ua, (unsigned)i, &lst[i]);
	if (err) {
		if (ret_bad)
			*ret_bad = i ? i - 1 : 0;
		sipua_free(ua);
		return err;
	}
	loop_at_turn_end(l, sipua_udp_turn_ended, NULL); /* beyond its limit: datagrams leave before the next wait */
	loop_timer_start(l, &ua->trim, TRIM_EVERY_MS, trim, ua);
	loop_timer_start(l, &ua->watch, WATCH_EVERY_MS, watch, ua);
	*ret = ua;
	return 0;
}

/* ---- end ---- */

static void free_leftovers(struct sipua *ua)
{
	while (!list_empty(&ua->clis))
		sipua_cli_free(container_of(ua->clis.next, struct sipua_cli, link));
	while (!list_empty(&ua->srvs))
		sipua_srv_free(container_of(ua->srvs.next, struct sipua_srv, link));
	while (!list_empty(&ua->dialogs))
		sipua_dialog_free(container_of(ua->dialogs.next, struct sipua_dialog, link));
}

void sipua_free(struct sipua *ua)
{
	if (!ua)
		return;
	ua->closing = true;
	loop_timer_stop(&ua->trim);
	loop_timer_stop(&ua->watch);
	free_leftovers(ua);
	sipua_udp_flush();
	if (ua->nta)
		nta_agent_destroy(ua->nta);
	sipua_conns_drop(ua);
	sipua_udp_forget();
	for (unsigned i = 0; i < ua->n; i++)
		sipua_listener_fini(ua, i);
	for (size_t i = 0; i < ua->ntls; i++)
		base_unref(ua->tls[i].tls);
	free(ua->tls);
	base_unref(ua->tls_default);
	free(ua->lst);
	free(ua->tp);
	base_hash_fini(&ua->by_callid);
	base_hash_fini(&ua->by_branch);
	base_hash_fini(&ua->merged);
	sipua_answered_fini(ua);
	su_home_unref(ua->names);
	su_home_deinit(ua->home);
	list_del(&ua->link);
	free(ua);
}

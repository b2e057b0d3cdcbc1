/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "unit/sipua/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

/* ---- the agent's side ---- */

static void on_ack(void *arg, struct sipua_srv *s, const struct wire_sip *sip)
{
	struct rig *r = arg;

	(void)s;
	if (sip)
		r->acks++;
	else
		r->acks_missing++;
}

static void on_cancel(void *arg, struct sipua_srv *s, const struct wire_sip *sip)
{
	struct rig *r = arg;

	(void)s;
	(void)sip;
	r->cancels++;
}

const struct sipua_srv_ops rig_srv_ops = { on_ack, on_cancel };

static void on_request(void *arg, struct sipua_in *in)
{
	struct rig *r = arg;
	struct slice sub = sipua_in_path(in)->tls_subjects;

	r->requests++;
	r->merged = sipua_in_is_merged(in);
	r->source = sipua_in_path(in)->source;
	slice_copy(r->subjects, sizeof(r->subjects), sub);
	if (r->policy && !sipua_in_police(in, r->policy))
		return;
	if (r->mode == RIG_ACCEPT && !r->srv)
		assert_true(sipua_in_accept(in, &rig_srv_ops, r, &r->srv) == 0 || r->may_fail);
	else if (r->mode == RIG_REPLY)
		sipua_in_reply(in, r->reply, NULL, (const struct sipua_text[]){ { "Retry-After", SLICE("5") }, { 0 } });
	else if (r->mode != RIG_IGNORE)
		sipua_in_drop(in);
}

static void on_policed(void *arg, struct sipua_dialog *d, void *dialog_arg, unsigned what, const struct wire_sip *sip)
{
	struct rig *r = arg;

	(void)d;
	(void)dialog_arg;
	(void)sip;
	r->policed |= what;
}

static void on_sending(void *arg)
{
	struct rig *r = arg;

	r->sendings++;
}

static void on_dialog_request(void *arg, struct sipua_dialog *d, struct sipua_srv *srv)
{
	struct rig *r = arg;

	(void)d;
	r->dialog_requests++;
	slice_copy(r->dialog_method, sizeof(r->dialog_method), wire_sip_method_name(sipua_srv_sip(srv)));
	sipua_srv_free(r->dsrv);
	r->dsrv = srv;
	sipua_srv_bind(srv, &rig_srv_ops, r);
}

const struct sipua_dialog_ops rig_dialog_ops = { .request = on_dialog_request };

static void on_response(void *arg, struct sipua_cli *c, int status, const struct wire_sip *sip)
{
	struct rig *r = arg;
	struct wire_addr to;

	r->status[r->responses] = sip ? status : -status;
	if (sip) {
		wire_sip_to(sip, &to);
		slice_copy(r->tag[r->responses], sizeof(r->tag[0]), to.tag);
	}
	r->responses++;
	if (sip && status > 100 && status < 300 && r->establish)
		sipua_dialog_establish(r->establish, sip);
	if (status >= 200 && r->free_on_final)
		sipua_cli_free(c);
}

const struct sipua_cli_ops rig_cli_ops = { on_response };

static bool on_stray(void *arg, const struct wire_sip *sip, const struct sipua_path *path)
{
	struct rig *r = arg;

	(void)sip;
	(void)path;
	r->strays++;
	return r->take_strays;
}

struct rig *rig_new(void)
{
	static bool tested;
	struct rig *r = calloc(1, sizeof(*r));
	char why[256];

	if (!tested) {
		int err = sipua_guard_selftest(why);
		if (err)
			print_error("%s\n", why);
		assert_int_equal(err, 0);
		tested = true;
	}
	r->live = base_live();
	assert_int_equal(loop_new(&r->loop), 0);
	return r;
}

unsigned rig_listener(struct rig *r, enum sipua_transport t, const char *host, const char *advertise, struct keys_tls *tls)
{
	struct sipua_listener *l = &r->lst[r->n];
	socklen_t len = sizeof(l->addr);

	l->id = "x";
	l->transport = t;
	l->advertise = advertise;
	l->tls = tls;
	assert_int_equal(base_addr_parse(slice_str(host), 0, &l->addr), 0);
	l->fd = socket(l->addr.sa.sa_family, t == SIPUA_UDP ? SOCK_DGRAM : SOCK_STREAM, 0);
	assert_true(l->fd >= 0);
	assert_int_equal(bind(l->fd, &l->addr.sa, base_addr_len(&l->addr)), 0);
	getsockname(l->fd, &l->addr.sa, &len);
	if (t != SIPUA_UDP)
		assert_int_equal(listen(l->fd, 64), 0);
	return (unsigned)r->n++;
}

int rig_start(struct rig *r, const struct sipua_caps *caps)
{
	static const struct sipua_caps usual = { .message_bytes = 65536, .connections = 1000, .handshake_s = 5, .idle_s = 300 };
	static const struct sipua_handlers handlers = { .request = on_request, .stray_2xx = on_stray, .sending = on_sending, .policed = on_policed };
	size_t bad = 99;

	return sipua_new(r->loop, r->lst, r->n, "Rig/1", caps ? caps : &usual, &handlers, r, &bad, &r->ua);
}

struct rig *rig_udp(void)
{
	struct rig *r;

	base_clock_fake(1000000000, 1800000000000);
	r = rig_new();
	rig_listener(r, SIPUA_UDP, "127.0.0.1", NULL, NULL);
	assert_int_equal(rig_start(r, NULL), 0);
	return r;
}

void rig_free(struct rig *r)
{
	struct sipua_figures f;

	sipua_srv_free(r->srv);
	sipua_srv_free(r->dsrv);
	sipua_figures(r->ua, &f);
	assert_int_equal(f.srv, 0);
	sipua_free(r->ua);
	loop_free(r->loop);
	for (size_t i = 0; i < r->n; i++)
		close(r->lst[i].fd);
	assert_int_equal(base_live(), r->live);
	free(r);
}

static int64_t real_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

void rig_turns(struct rig *r, int ms)
{
	int64_t end = real_ms() + ms;

	do
		loop_turn(r->loop, 1);
	while (real_ms() < end);
}

void rig_advance(struct rig *r, int64_t ms)
{
	while (ms > 0) {
		int64_t step = ms < 100 ? ms : 100;
		base_clock_advance_ms(step);
		loop_turn(r->loop, 0);
		loop_turn(r->loop, 0);
		ms -= step;
	}
	rig_turns(r, 3);
}

/* ---- peers ---- */

static struct peer *peer_new(struct rig *r, unsigned listener, bool stream)
{
	struct peer *p = calloc(1, sizeof(*p));
	socklen_t len = sizeof(p->addr);
	int fam = r->lst[listener].addr.sa.sa_family, one = 1;

	p->fd = p->listen_fd = -1;
	p->stream = stream;
	p->ua = r->lst[listener].addr;
	base_addr_parse(slice_str(fam == AF_INET ? "127.0.0.1" : "::1"), 0, &p->addr);
	p->fd = socket(fam, stream ? SOCK_STREAM : SOCK_DGRAM, 0);
	assert_int_equal(bind(p->fd, &p->addr.sa, base_addr_len(&p->addr)), 0);
	getsockname(p->fd, &p->addr.sa, &len);
	setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return p;
}

struct peer *peer_udp(struct rig *r, unsigned listener)
{
	struct peer *p = peer_new(r, listener, false);

	fcntl(p->fd, F_SETFL, O_NONBLOCK);
	return p;
}

struct peer *peer_listen(struct rig *r, unsigned listener)
{
	struct peer *p = peer_new(r, listener, true);

	p->listen_fd = p->fd;
	p->fd = -1;
	assert_int_equal(listen(p->listen_fd, 8), 0);
	fcntl(p->listen_fd, F_SETFL, O_NONBLOCK);
	return p;
}

struct peer *peer_connect(struct rig *r, unsigned listener)
{
	struct peer *p = peer_new(r, listener, true);

	assert_int_equal(connect(p->fd, &p->ua.sa, base_addr_len(&p->ua)), 0);
	fcntl(p->fd, F_SETFL, O_NONBLOCK);
	rig_turns(r, 2);
	return p;
}

void peer_accept(struct rig *r, struct peer *p)
{
	int64_t end = real_ms() + 1000;

	while (p->fd < 0 && real_ms() < end) {
		loop_turn(r->loop, 1);
		p->fd = accept(p->listen_fd, NULL, NULL);
	}
	assert_true(p->fd >= 0);
	fcntl(p->fd, F_SETFL, O_NONBLOCK);
}

void peer_free(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	if (p->listen_fd >= 0)
		close(p->listen_fd);
	free(p);
}

void peer_send(struct rig *r, struct peer *p, const char *text, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t k = p->stream ? send(p->fd, text + done, n - done, MSG_NOSIGNAL) :
			sendto(p->fd, text, n, 0, &p->ua.sa, base_addr_len(&p->ua));
		if (k < 0 && errno != EAGAIN)
			return;
		if (k > 0)
			done += (size_t)k;
		loop_turn(r->loop, 0);
	}
	rig_turns(r, 2);
}

/* one message off the front of p->rest */
static bool cut_message(struct peer *p)
{
	char *end = strstr(p->rest, "\r\n\r\n"), *cl = strcasestr(p->rest, "\r\nContent-Length:");
	size_t n;

	if (!end)
		return false;
	n = (size_t)(end + 4 - p->rest) + (cl && cl < end ? strtoul(cl + 17, NULL, 10) : 0);
	if (strlen(p->rest) < n)
		return false;
	memcpy(p->got, p->rest, n);
	p->got[n] = 0;
	memmove(p->rest, p->rest + n, strlen(p->rest + n) + 1);
	return true;
}

bool peer_recv(struct rig *r, struct peer *p, int ms)
{
	int64_t end = real_ms() + ms;

	do {
		size_t have = strlen(p->rest);
		ssize_t n;
		if (p->stream && cut_message(p))
			return true;
		n = recv(p->fd, p->stream ? p->rest + have : p->got, p->stream ? sizeof(p->rest) - 1 - have : sizeof(p->got) - 1, 0);
		if (n > 0 && !p->stream) {
			p->got[n] = 0;
			return true;
		}
		if (n > 0) {
			p->rest[have + (size_t)n] = 0;
			continue;
		}
		loop_turn(r->loop, 1);
	} while (real_ms() < end);
	return p->stream && cut_message(p);
}

void peer_expect(struct rig *r, struct peer *p, const char *first)
{
	if (!peer_recv(r, p, 1000)) {
		print_error("nothing came, expected %s\n", first);
		fail();
	}
	if (strncmp(p->got, first, strlen(first)) != 0) {
		print_error("expected %s, got:\n%s\n", first, p->got);
		fail();
	}
}

void peer_expect_none(struct rig *r, struct peer *p, int ms)
{
	if (peer_recv(r, p, ms)) {
		print_error("expected nothing, got:\n%s\n", p->got);
		fail();
	}
}

static const char *header_of(const char *text, const char *name)
{
	static char bufs[16][2048];
	static unsigned turn;
	char *buf = bufs[turn++ & 15];
	const char *p = strstr(text, "\r\n");
	size_t n = strlen(name);

	buf[0] = 0;
	for (; p && p[2] != '\r'; p = strstr(p + 2, "\r\n"))
		if (strncasecmp(p + 2, name, n) == 0 && p[2 + n] == ':') {
			const char *v = p + 3 + n;
			v += strspn(v, " ");
			snprintf(buf, 2048, "%.*s", (int)strcspn(v, "\r"), v);
			break;
		}
	return buf;
}

const char *peer_header(const struct peer *p, const char *name)
{
	return header_of(p->got, name);
}

static const char *transport(const struct peer *p)
{
	return p->stream ? "TCP" : "UDP";
}

void peer_request(struct rig *r, struct peer *p, const char *method, const char *call_id, const char *to_tag, unsigned cseq,
	const char *branch, const char *extra, const char *body)
{
	char me[56], ua[56], *text = NULL;
	int n;

	base_addr_print(&p->addr, me);
	base_addr_print(&p->ua, ua);
	n = asprintf(&text, "%s sip:bob@%s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK%s\r\nMax-Forwards: 70\r\n"
		"From: <sip:ann@%s>;tag=ann\r\nTo: <sip:bob@%s>%s%s\r\nCall-ID: %s\r\nCSeq: %u %s\r\nContact: <sip:ann@%s;transport=%s>\r\n"
		"%sContent-Length: %zu\r\n\r\n%s", method, ua, transport(p), me, branch, me, ua, *to_tag ? ";tag=" : "", to_tag, call_id, cseq,
		method, me, p->stream ? "tcp" : "udp", extra ? extra : "", strlen(body ? body : ""), body ? body : "");
	peer_send(r, p, text, (size_t)n);
	free(text);
}

void peer_answer_to(struct rig *r, struct peer *p, const char *request, int status, const char *tag, const char *extra)
{
	char me[56], *text = NULL;
	int n;

	base_addr_print(&p->addr, me);
	n = asprintf(&text, "SIP/2.0 %d Whatever\r\nVia: %s\r\nFrom: %s\r\nTo: %s%s%s\r\nCall-ID: %s\r\nCSeq: %s\r\n"
		"Contact: <sip:bob@%s;transport=%s>\r\n%sContent-Length: 0\r\n\r\n", status, header_of(request, "Via"),
		header_of(request, "From"), header_of(request, "To"), tag && *tag && !strstr(header_of(request, "To"), "tag=") ? ";tag=" : "",
		tag && !strstr(header_of(request, "To"), "tag=") ? tag : "", header_of(request, "Call-ID"), header_of(request, "CSeq"), me,
		p->stream ? "tcp" : "udp", extra ? extra : "");
	peer_send(r, p, text, (size_t)n);
	free(text);
}

void peer_answer(struct rig *r, struct peer *p, int status, const char *tag, const char *extra)
{
	char *copy = strdup(p->got);

	peer_answer_to(r, p, copy, status, tag, extra);
	free(copy);
}

/* ---- requests of ours ---- */

struct sipua_dest rig_dest(struct rig *r, struct peer *p, unsigned listener)
{
	return (struct sipua_dest){ .listener = listener, .transport = r->lst[listener].transport, .addr = p->addr };
}

struct sipua_cli *rig_invite(struct rig *r, struct peer *p, unsigned listener, struct sipua_dialog **ret_d)
{
	struct sipua_dest dest = rig_dest(r, p, listener);
	struct sipua_msg *m;
	struct sipua_cli *c;

	assert_int_equal(sipua_dialog_new_uac(r->ua, SLICE("\"Ann\" <sip:ann@example.com>"), SLICE("<sip:bob@example.com>"), &dest,
		&rig_dialog_ops, r, ret_d), 0);
	assert_int_equal(sipua_msg_request(*ret_d, SLICE("INVITE"), "sip:bob@example.com", 69, &m), 0);
	assert_int_equal(sipua_msg_add(m, "Contact", slice_str(sipua_contact(r->ua, listener))), 0);
	assert_int_equal(sipua_msg_body(m, SLICE("application/sdp"), SLICE("v=0\r\n")), 0);
	r->establish = *ret_d;
	assert_int_equal(sipua_cli_send(*ret_d, m, &dest, &rig_cli_ops, r, &c), 0);
	return c;
}

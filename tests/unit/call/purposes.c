/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real descriptions, each changed in every way of a table: what the change is said to be (design.md section 6). Those of the corpora where they are
 * ($POSTERN_CORPORA, or ../shared/corpora beside the sources), and some of our own.
 */
#define _GNU_SOURCE
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "call/classify.h"
#include "wire/sdp.h"

#define B(p) (1u << CALL_##p)
enum formats { KEPT, ONE_MORE, WITHOUT_FIRST, TURNED };

/* what is changed of the first m-line, and of the whole */
struct edit {
	const char *what;
	unsigned want;
	const char *o, *conn, *dir, *session, *line, *behind; /* in place of o=, of addresses and of the direction; more lines: session, first m-line, at the end */
	int port;                      /* added to the port; -1: removed */
	enum formats formats;
	bool reversed;                 /* attributes of each line from the last to the first */
};

static const struct edit edits[] = {
	{ "the same again", 0, .o = NULL },
	{ "another o=", 0, .o = "x 77 78 IN IP4 203.0.113.5" },
	{ "attributes turned round", 0, .reversed = true },
	{ "ssrc", 0, .line = "a=ssrc:4711 cname:x\r\n" },
	{ "msid", 0, .line = "a=msid:a b\r\n" },
	{ "an unknown session attribute", 0, .session = "a=x-unheard-of:1\r\n" },
	{ "session information", 0, .session = "i=nothing\r\n" },
	{ "one format more", 0, .formats = ONE_MORE },
	{ "one format more, turned round, another o=", 0, .o = "x 1 2 IN IP4 203.0.113.5", .formats = ONE_MORE, .reversed = true },
	{ "sendonly", B(HOLD), .dir = "sendonly" },
	{ "inactive", B(HOLD), .dir = "inactive" },
	{ "recvonly", B(HOLD), .dir = "recvonly" },
	{ "c=0.0.0.0", B(HOLD), .conn = "0.0.0.0" },
	{ "another address", B(ADDRESS), .conn = "203.0.113.77" },
	{ "another port", B(ADDRESS), .port = 2 },
	{ "another address and sendonly", B(ADDRESS) | B(HOLD), .conn = "203.0.113.77", .dir = "sendonly" },
	{ "another port and inactive", B(ADDRESS) | B(HOLD), .port = 4, .dir = "inactive" },
	{ "without the first format", B(CODEC), .formats = WITHOUT_FIRST },
	{ "another first format", B(CODEC), .formats = TURNED },
	{ "without the first format, sendonly", B(CODEC) | B(HOLD), .formats = WITHOUT_FIRST, .dir = "sendonly" },
	{ "a bandwidth", B(OTHER), .session = "b=AS:77\r\n" },
	{ "an attribute that bears on media", B(OTHER), .line = "a=x-bears:1\r\n" },
	{ "a stream more", B(ADD), .behind = "m=text 5000 RTP/AVP 98\r\na=rtpmap:98 t140/1000\r\n" },
	{ "fax beside", B(FAX), .behind = "m=image 6000 udptl t38\r\na=T38FaxVersion:0\r\n" },
	{ "a key more", B(KEYS), .line = "a=crypto:9 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n" },
	{ "the first stream gone", B(REMOVE), .port = -1 },
};

static const char *const own[] = {
	"v=0\r\no=a 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
	"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n",
	"v=0\r\no=- 5 6 IN IP4 192.0.2.2\r\ns=call\r\nt=0 0\r\nm=audio 4002 RTP/AVP 9 0\r\nc=IN IP4 192.0.2.2\r\n",
	"v=0\r\no=- 5 6 IN IP4 192.0.2.2\r\ns=call\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=audio 4002 RTP/AVP 18 0\r\na=fmtp:18 annexb=no\r\nm=video 5002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n",
	"v=0\r\no=- 5 6 IN IP4 192.0.2.3\r\ns=-\r\nc=IN IP4 192.0.2.3\r\nt=0 0\r\na=sendrecv\r\nm=audio 4002 RTP/SAVP 8 0\r\n"
	"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n",
	"v=0\r\no=- 5 6 IN IP4 192.0.2.4\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nb=AS:64\r\nt=0 0\r\nm=audio 4002 RTP/AVP 111 8\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\na=rtcp:4003\r\n",
	"v=0\r\no=- 5 6 IN IP4 192.0.2.5\r\ns=-\r\nc=IN IP4 192.0.2.5\r\nt=0 0\r\nm=audio 4002 RTP/AVP 0 96 97\r\na=rtpmap:96 AMR/8000\r\na=fmtp:96 mode-set=0,2\r\na=rtpmap:97 AMR-WB/16000\r\na=maxptime:40\r\n",
	"v=0\r\no=- 5 6 IN IP4 192.0.2.6\r\ns=-\r\nc=IN IP4 192.0.2.6\r\nt=0 0\r\nm=audio 4002 RTP/AVP 8 0 13 101\r\na=rtpmap:101 telephone-event/8000\r\nm=image 0 udptl t38\r\n",
	"v=0\r\no=- 5 6 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 4002 RTP/AVPF 8 0\r\na=rtcp-fb:* nack\r\na=rtcp-mux\r\na=mid:a\r\n",
	"v=0\r\no=- 5 6 IN IP4 192.0.2.8\r\ns=-\r\nc=IN IP4 192.0.2.8\r\nt=0 0\r\nm=audio 4002 RTP/AVP 3 0\r\na=curr:qos local none\r\na=des:qos optional local sendrecv\r\n",
	"v=0\r\no=- 5 6 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4002 RTP/AVP 0 8\r\nm=audio 4004 RTP/AVP 0 8\r\n",
};

static struct wire_sdp was, now;
static char text[2 * WIRE_SDP_BYTES], data[WIRE_SDP_BYTES + 1];
static unsigned pairs, bases, bad;

static void put(struct text *t, char type, struct slice v)
{
	text_add(t, "%c=", type);
	text_slice(t, v);
	text_add(t, "\r\n");
}

/* c= lines with the address that the edit says */
static void put_line(struct text *t, const struct edit *e, const struct wire_sdp_line *l)
{
	if (l->type == 'o' && e->o)
		text_add(t, "o=%s\r\n", e->o);
	else if (l->type == 'c' && e->conn)
		text_add(t, "c=IN IP4 %s\r\n", e->conn);
	else if (!(l->type == 'a' && e->dir && wire_sdp_dir_of(l->value) >= 0))
		put(t, l->type, l->value);
}

static void put_formats(struct text *t, const struct edit *e, struct slice formats)
{
	struct slice first, second, rest = formats;

	call_format_next(&rest, &first);
	switch (e->formats) {
	case KEPT:
	case ONE_MORE:
		text_slice(t, formats);
		text_add(t, e->formats == ONE_MORE ? " 15" : "");
		return;
	case WITHOUT_FIRST:
		text_slice(t, (struct slice){ rest.p + 1, rest.n - 1 });
		return;
	case TURNED:
		call_format_next(&rest, &second);
		text_slice(t, second);
		text_add(t, " ");
		text_slice(t, first);
		text_slice(t, rest);
	}
}

static void put_media(struct text *t, const struct edit *e, unsigned i)
{
	static const struct edit as_it_is;
	const struct wire_sdp_media *m = &was.media[i];
	const struct edit *mine = i ? &as_it_is : e;
	struct edit turned = *mine;
	unsigned k;

	turned.conn = e->conn; /* the address of the session is that of all */
	turned.reversed = e->reversed;
	text_add(t, "m=");
	text_slice(t, m->kind);
	text_add(t, " %d ", mine->port < 0 ? 0 : m->port + mine->port);
	text_slice(t, m->proto);
	text_add(t, " ");
	put_formats(t, mine, m->formats);
	text_add(t, "\r\n");
	/* whatever is no attribute stands first */
	for (k = 0; k < m->nlines; k++)
		if (was.line[m->first + k].type != 'a')
			put_line(t, &turned, &was.line[m->first + k]);
	for (k = 0; k < m->nlines; k++) {
		const struct wire_sdp_line *l = &was.line[m->first + (turned.reversed ? m->nlines - 1 - k : k)];

		if (l->type == 'a')
			put_line(t, &turned, l);
	}
	if (mine->line)
		text_add(t, "%s", mine->line);
	if (mine->dir)
		text_add(t, "a=%s\r\n", mine->dir);
}

static struct slice edited(const struct edit *e)
{
	struct text t = text_on(text, sizeof(text));
	struct edit session = *e;
	unsigned i;

	session.dir = NULL;
	text_add(&t, "v=0\r\n");
	for (i = 0; i < was.nsession; i++)
		put_line(&t, &session, &was.line[i]);
	if (e->session)
		text_add(&t, "%s", e->session);
	for (i = 0; i < was.nmedia; i++)
		put_media(&t, e, i);
	if (e->behind)
		text_add(&t, "%s", e->behind);
	assert_false(t.cut);
	return text_get(&t);
}

static void names(unsigned set, char *buf, size_t size)
{
	struct text t = text_on(buf, size);

	for (unsigned p = 0; p < CALL_ALL_PURPOSES; p++)
		if (set & 1u << p)
			text_add(&t, " %s", call_purpose_name((enum call_purpose)p));
}

static unsigned formats_of(const struct wire_sdp_media *m)
{
	struct slice rest = m->formats, f;
	unsigned n = 0;

	while (call_format_next(&rest, &f))
		n++;
	return n;
}

/* A live audio stream of two formats that both ends send and receive, at an IPv4 address, alone at it if that is said for the session. */
static bool serves(void)
{
	const struct wire_sdp_media *m = &was.media[0];
	unsigned i;

	if (!was.nmedia || was.nmedia > WIRE_SDP_MEDIA - 1 || !m->port || m->nports > 1 || m->port > 60000 || !m->rtp || m->conn6 || !m->conn.n || formats_of(m) < 2)
		return false;
	for (i = 1; i < was.nmedia; i++)
		if (was.media[i].port)
			return false;
	return wire_sdp_direction(&was, m) == WIRE_SENDRECV && !call_format_listed(m, SLICE("15")) && m->rtcp_addr.n == 0;
}

static void every_edit(const char *name, struct slice sdp)
{
	char got[128], want[128];
	struct call_change ch;

	if (wire_sdp_parse(sdp, &was) || !serves())
		return;
	bases++;
	for (size_t i = 0; i < ARRAY_LEN(edits); i++) {
		struct slice other = edited(&edits[i]);

		if (wire_sdp_parse(other, &now))
			fail_msg("%s, %s: is not read any more:\n%s", name, edits[i].what, text);
		call_classify(&was, true, &was, &now, &ch);
		pairs++;
		if (ch.all == edits[i].want)
			continue;
		names(ch.all, got, sizeof(got));
		names(edits[i].want, want, sizeof(want));
		print_message("%s, %s: got%s, want%s\n", name, edits[i].what, got, want);
		bad++;
	}
}

static void of_our_own(void **state)
{
	pairs = bases = bad = 0;
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		every_edit("our own", slice_str(own[i]));
	assert_int_equal(bad, 0);
	assert_true(pairs >= 200);
}

static int one_file(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	size_t n = strlen(path), len;
	FILE *f;

	if (flag != FTW_F || n < 4 || strcmp(path + n - 4, ".sdp") != 0 || (size_t)st->st_size >= sizeof(data))
		return 0;
	f = fopen(path, "rb");
	if (!f)
		return 0;
	len = fread(data, 1, sizeof(data) - 1, f);
	fclose(f);
	every_edit(path, (struct slice){ data, len });
	return 0;
}

static void of_the_corpora(void **state)
{
	static const char *const folders[] = { "sdp-samples", "sdp-rfc", "sdp-relay-pairs" };
	const char *root = getenv("POSTERN_CORPORA");
	char path[4096];

	pairs = bases = bad = 0;
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", root && *root ? root : SOURCE_ROOT "/../shared/corpora", folders[i]);
		nftw(path, one_file, 16, FTW_PHYS);
	}
	if (!bases) {
		print_message("skipped: no corpora (set POSTERN_CORPORA)\n");
		skip();
	}
	print_message("%u descriptions, %u pairs\n", bases, pairs);
	assert_int_equal(bad, 0);
	assert_true(pairs >= 250);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(of_our_own), cmocka_unit_test(of_the_corpora) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

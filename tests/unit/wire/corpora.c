/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every message and description of the corpora (folder $POSTERN_CORPORA, or ../shared/corpora beside the sources) goes through the
 * parsers: no fault, what we print parses again, and no address of the input is in it.
 */
#define _GNU_SOURCE /* memmem, nftw */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include <sofia-sip/msg_addr.h>
#include <sofia-sip/sip.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_parser.h>

#include "postern/wire.h"

static struct wire_sdp sdp, again;
static char data[1 << 20], out[2 * WIRE_SDP_BYTES];
static unsigned files, parsed, refused, messages, bodies;
static bool verbose;

static const char *root(void)
{
	const char *env = getenv("POSTERN_CORPORA");

	return env && *env ? env : SOURCE_ROOT "/../shared/corpora";
}

static bool address_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' || c == '.';
}

static void assert_absent(struct slice addr, const char *path)
{
	union base_addr a;

	if (base_addr_parse(addr, 0, &a))
		return;
	for (const char *p = out; (p = memmem(p, strlen(p), addr.p, addr.n)); p++) {
		bool before = p > out && address_char(p[-1]), after = address_char(p[addr.n]);

		if (!before && !after)
			fail_msg("%s: %.*s is in\n%s", path, (int)addr.n, addr.p, out);
	}
}

static void assert_no_leak(const char *path)
{
	assert_absent(sdp.o_addr, path);
	assert_absent(sdp.conn, path);
	for (unsigned i = 0; i < sdp.nmedia; i++) {
		assert_absent(sdp.media[i].conn, path);
		assert_absent(sdp.media[i].rtcp_addr, path);
	}
	/* whatever is an address between blanks, brackets or the like */
	for (unsigned i = 0; i < sdp.nlines; i++) {
		struct slice v = sdp.line[i].value;

		for (size_t at = 0, n; at < v.n; at += n + !n) {
			for (n = 0; at + n < v.n && address_char(v.p[at + n]); n++)
				;
			if (n > 6 && memchr(v.p + at, '.', n))
				assert_absent((struct slice){ v.p + at, n }, path);
		}
	}
}

static void print_again(const char *path)
{
	struct wire_sdp_place place[WIRE_SDP_MEDIA];
	struct wire_sdp_edit e = { .o_user = "postern", .o_id = 1, .o_version = 2, .o_addr = "233.252.0.250", .place = place };

	for (int dir = -1; dir < 4; dir++) {
		int n;

		for (unsigned i = 0; i < sdp.nmedia; i++)
			place[i] = (struct wire_sdp_place){ .addr = sdp.media[i].port ? "233.252.0.251" : NULL, .port = 4242, .dir = dir };
		n = wire_sdp_print(&sdp, &e, out, sizeof(out));
		assert_true(n > 0);
		if (wire_sdp_parse((struct slice){ out, (size_t)n }, &again))
			fail_msg("%s: printed, but does not parse:\n%s", path, out);
		assert_int_equal(again.nmedia, sdp.nmedia);
		assert_no_leak(path);
	}
}

static void try_sdp(struct slice text, const char *path)
{
	int err = wire_sdp_parse(text, &sdp);

	if (!err)
		print_again(path);
	if (err && verbose)
		print_message("refused %s: %s\n", path, base_strerror(err));
	parsed += !err;
	refused += err != 0;
}

static void look_at(const struct wire_sip *v, const char *path)
{
	struct wire_headers it;
	struct wire_header h;
	struct wire_addr a;
	struct wire_uri u;
	char buf[4096];
	bool has;

	wire_sip_ruri(v, &u);
	wire_sip_from(v, &a);
	wire_sip_to(v, &a);
	wire_sip_contact(v, &a);
	wire_sip_allow(v, &has);
	wire_sip_supported(v, "100rel");
	wire_sip_unknown_required(v, (const char *const[]){ NULL }, buf, sizeof(buf));
	wire_sip_headers(v, &it);
	while (wire_headers_next(&it, &h)) {
		char name[256];

		assert_true(h.name.n > 0 && h.opaque);
		if (h.value.p && (memchr(h.value.p, '\r', h.value.n) || memchr(h.value.p, '\n', h.value.n)))
			fail_msg("%s: line end in %.*s", path, (int)h.name.n, h.name.p);
		if (h.value.p)
			wire_addr_parse(h.value, &a);
		if (slice_copy(name, sizeof(name), h.name))
			assert_true(wire_sip_header(v, name, buf, sizeof(buf)).p || h.value.n > 1000 || !h.value.p);
	}
	if (slice_eq_nocase(wire_sip_content_type(v), SLICE("application/sdp"))) {
		bodies++;
		try_sdp(wire_sip_body(v), path);
	}
}

static void try_sip(struct slice text, const char *path)
{
	static const int modes[] = { 0, MSG_DO_EXTRACT_COPY };

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		msg_t *m = msg_make(sip_default_mclass(), modes[i], text.p, (ssize_t)text.n);
		sip_t *s = m ? sip_object(m) : NULL;

		if (s && (s->sip_request || s->sip_status)) {
			messages++;
			look_at((const struct wire_sip *)(const void *)s, path);
		}
		msg_destroy(m);
	}
}

static bool ends(const char *s, const char *tail)
{
	size_t n = strlen(s), t = strlen(tail);

	return n >= t && !strcmp(s + n - t, tail);
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	const char *folder = path + strlen(root());
	FILE *f;
	size_t n;

	/* the relay's expectations are templates, with words for ports */
	if (type != FTW_F || ends(path, "INDEX.md") || ends(path, ".expected.sdp") || ends(path, "pairs.txt"))
		return 0;
	if (strncmp(folder, "/sdp-", 5) && strncmp(folder, "/sip-", 5))
		return 0;
	f = fopen(path, "rb");
	assert_non_null(f);
	n = fread(data, 1, sizeof(data), f);
	fclose(f);
	files++;
	if (!strncmp(folder, "/sdp-", 5))
		try_sdp((struct slice){ data, n }, path);
	else
		try_sip((struct slice){ data, n }, path);
	return 0;
}

static void whole_corpora(void **state)
{
	size_t before = base_live();

	verbose = getenv("V") != NULL;
	if (access(root(), R_OK)) {
		print_message("skipped: no corpora at %s (set POSTERN_CORPORA)\n", root());
		skip();
	}
	assert_int_equal(nftw(root(), visit, 16, FTW_PHYS), 0);
	print_message("%u files: descriptions %u taken, %u refused; SIP messages %u, of them %u with SDP\n", files, parsed, refused, messages, bodies);
	assert_true(files > 0);
	assert_int_equal(base_live(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(whole_corpora) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* DNS answers byte by byte: aliases, negative ones, what a liar may send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "postern/wire.h"

static uint8_t msg[4096];
static size_t len;

static void bytes(const void *p, size_t n)
{
	memcpy(msg + len, p, n);
	len += n;
}

static void u16(unsigned v) { bytes((uint8_t[]){ (uint8_t)(v >> 8), (uint8_t)v }, 2); }
static void u32(uint32_t v) { u16(v >> 16); u16(v & 0xffff); }

static void name(const char *s)
{
	while (*s) {
		size_t n = strcspn(s, ".");

		bytes((uint8_t[]){ (uint8_t)n }, 1);
		bytes(s, n);
		s += n + (s[n] == '.');
	}
	bytes("", 1);
}

static void head(unsigned flags, unsigned an, unsigned ns, const char *q, unsigned type)
{
	len = 0;
	u16(7);
	u16(flags);
	u16(1);
	u16(an);
	u16(ns);
	u16(0);
	name(q);
	u16(type);
	u16(1);
}

static void record(const char *owner, unsigned type, uint32_t ttl, size_t data)
{
	name(owner);
	u16(type);
	u16(1);
	u32(ttl);
	u16((unsigned)data);
}

static int parse(enum wire_dns_type type, struct wire_dns_answer *a)
{
	uint8_t *exact = malloc(len);
	int err;

	assert_non_null(exact);
	memcpy(exact, msg, len);
	err = wire_dns_parse(exact, len, type, a);
	free(exact);
	return err;
}

static void addresses_through_aliases(void **state)
{
	static struct wire_dns_answer a;

	/* out of order: the alias stands behind what it leads to */
	head(0x8180, 3, 0, "WWW.example", 1);
	record("b.example", 1, 60, 4);
	bytes("\300\0\2\1", 4);
	record("www.example", 5, 20, 11);
	name("B.example");
	record("other.example", 1, 1, 4);
	bytes("\1\2\3\4", 4);
	assert_int_equal(parse(WIRE_DNS_A, &a), 0);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.ttl, 20);
	assert_int_equal(ntohl(a.rr[0].addr.in.sin_addr.s_addr), 0xc0000201);
}

static void aliases_in_a_ring(void **state)
{
	static struct wire_dns_answer a;

	head(0x8180, 2, 0, "a.x", 1);
	record("a.x", 5, 20, 5);
	name("b.x");
	record("b.x", 5, 20, 5);
	name("a.x");
	assert_int_equal(parse(WIRE_DNS_A, &a), 0);
	assert_int_equal(a.n, 0);
}

static void srv_and_naptr(void **state)
{
	static struct wire_dns_answer a;

	head(0x8180, 2, 0, "_sip._udp.x", 33);
	record("_sip._udp.x", 33, 30, 11);
	u16(1);
	u16(20);
	u16(5070);
	name("h.x");
	record("_sip._udp.x", 33, 40, 7);
	u16(2);
	u16(0);
	u16(0);
	name("");
	assert_int_equal(parse(WIRE_DNS_SRV, &a), 0);
	assert_int_equal(a.n, 2);
	assert_int_equal(a.ttl, 30);
	assert_int_equal(a.rr[0].order, 1);
	assert_int_equal(a.rr[0].preference, 20);
	assert_int_equal(a.rr[0].port, 5070);
	assert_string_equal(a.rr[0].name, "h.x");
	assert_string_equal(a.rr[1].name, "");
	head(0x8180, 1, 0, "x", 35);
	record("x", 35, 30, 4 + 2 + 8 + 1 + 13);
	u16(50);
	u16(51);
	bytes("\1s\7SIP+D2U", 10);
	bytes("", 1);
	name("_sip._udp.x");
	assert_int_equal(parse(WIRE_DNS_NAPTR, &a), 0);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.rr[0].order, 50);
	assert_string_equal(a.rr[0].service, "SIP+D2U");
	assert_string_equal(a.rr[0].flags, "s");
	assert_false(a.rr[0].regexp);
	assert_string_equal(a.rr[0].name, "_sip._udp.x");
}

static void nothing_there(void **state)
{
	static struct wire_dns_answer a;

	head(0x8183, 0, 1, "no.x", 1);
	record("x", 6, 300, 22);
	name("");
	name("");
	u32(1);
	u32(2);
	u32(3);
	u32(4);
	u32(45);
	assert_int_equal(parse(WIRE_DNS_A, &a), 0);
	assert_int_equal(a.rcode, 3);
	assert_int_equal(a.n, 0);
	assert_int_equal(a.ttl, 45);
	head(0x8180, 0, 0, "no.x", 1);
	assert_int_equal(parse(WIRE_DNS_A, &a), 0);
	assert_int_equal(a.ttl, 0);
}

static void damaged(void **state)
{
	static struct wire_dns_answer a;
	size_t whole, n;

	head(0x8180, 1, 0, "a.x", 1);
	record("a.x", 1, 60, 4);
	bytes("\1\2\3\4", 4);
	whole = len;
	for (n = 0; n < whole; n++) {
		len = n;
		assert_true(parse(WIRE_DNS_A, &a) < 0);
	}
	/* a pointer to itself, and one that leads forward */
	head(0x8180, 1, 0, "a.x", 1);
	n = len;
	u16(0xc000 | (unsigned)n);
	u16(1);
	u16(1);
	u32(1);
	u16(4);
	u32(1);
	assert_int_equal(parse(WIRE_DNS_A, &a), ERR_PROTO);
	/* a query is no answer */
	head(0x0100, 0, 0, "a.x", 1);
	assert_int_equal(parse(WIRE_DNS_A, &a), ERR_PROTO);
	/* bytes that no host name has */
	head(0x8180, 1, 0, "a.x", 33);
	record("a.x", 33, 60, 10);
	u16(1);
	u16(1);
	u16(1);
	bytes("\2;\n", 4);
	assert_int_equal(parse(WIRE_DNS_SRV, &a), 0);
	assert_int_equal(a.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_through_aliases), cmocka_unit_test(aliases_in_a_ring), cmocka_unit_test(srv_and_naptr),
		cmocka_unit_test(nothing_there), cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

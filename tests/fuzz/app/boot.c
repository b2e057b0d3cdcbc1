/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boot messages between the supervisor and its roles: the first byte says which; what parses is printed and parsed again. Admin's word, an
 * APPLY, is read by the privileged process.
 */
#include <string.h>

#include "app/boot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t out[65536];

static void again(int n, int (*parse)(struct slice body, void *ret), void *ret)
{
	if (n >= 0)
		must(parse((struct slice){ (const char *)out, (size_t)n }, ret) == 0);
	else
		must(n == ERR_TRUNCATED);
}

static int setup(struct slice b, void *r) { return app_setup_parse(b, r); }
static int go(struct slice b, void *r) { return app_go_parse(b, r); }
static int health(struct slice b, void *r) { return app_health_parse(b, r); }
static int prepare(struct slice b, void *r) { return app_prepare_parse(b, r); }
static int apply(struct slice b, void *r) { return app_apply_parse(b, r); }

static void one(uint8_t which, struct slice body)
{
	static union { struct app_setup setup; struct app_go go; struct app_health health; struct app_prepare prepare; struct app_apply apply; } a, b;

	switch (which % 5) {
	case 0:
		if (!setup(body, &a))
			again(app_setup_print(&a.setup, out, sizeof out), setup, &b);
		break;
	case 1:
		if (!go(body, &a))
			again(app_go_print(&a.go, out, sizeof out), go, &b);
		break;
	case 2:
		if (!health(body, &a))
			again(app_health_print(&a.health, out, sizeof out), health, &b);
		break;
	case 3:
		if (!prepare(body, &a))
			again(app_prepare_print(&a.prepare, out, sizeof out), prepare, &b);
		break;
	default:
		if (!apply(body, &a))
			again(app_apply_print(&a.apply, out, sizeof out), apply, &b);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 1)
		one(data[0], (struct slice){ (const char *)data + 1, size - 1 });
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reference-counted objects and the allocator that tests can make fail.
 * The count of an object is not atomic: an object belongs to one thread.
 */
#include <stdlib.h>

#include "postern/base.h"

#define OBJECT_MAGIC 0x0b1ec7a5u
#define OBJECT_DEAD  0xdeadbeefu

/* before each object; its size keeps what follows aligned like malloc's */
struct object {
	void (*destroy)(void *obj);
	uint32_t refs;
	uint32_t magic;
};
_Static_assert(sizeof(struct object) % 16 == 0, "objects lose their alignment");

static size_t live;
static long fail_after;

/* one counter for all threads, touched only while a test has armed it */
static bool must_fail(void)
{
	if (__atomic_load_n(&fail_after, __ATOMIC_RELAXED) <= 0)
		return false;
	return __atomic_sub_fetch(&fail_after, 1, __ATOMIC_RELAXED) == 0;
}

static struct object *object_of(void *obj)
{
	struct object *o = (struct object *)obj - 1;

	must(o->magic == OBJECT_MAGIC);
	return o;
}

void *base_alloc(size_t size)
{
	if (must_fail())
		return NULL;
	return calloc(1, size ? size : 1);
}

char *base_dup(struct slice s)
{
	char *p;

	if (must_fail())
		return NULL;
	p = malloc(s.n + 1);
	if (!p)
		return NULL;
	if (s.n)
		memcpy(p, s.p, s.n);
	p[s.n] = 0;
	return p;
}

void *base_new(size_t size, void (*destroy)(void *obj))
{
	struct object *o;

	if (must_fail())
		return NULL;
	o = calloc(1, sizeof(*o) + size);
	if (!o)
		return NULL;
	o->destroy = destroy;
	o->refs = 1;
	o->magic = OBJECT_MAGIC;
	__atomic_add_fetch(&live, 1, __ATOMIC_RELAXED);
	return o + 1;
}

void *base_ref(void *obj)
{
	struct object *o;

	if (!obj)
		return NULL;
	o = object_of(obj);
	o->refs++;
	must(o->refs != 0);
	return obj;
}

void *base_unref(void *obj)
{
	struct object *o;

	if (!obj)
		return NULL;
	o = object_of(obj);
	if (o->refs > 1) {
		o->refs--;
		return NULL;
	}
	/* many references while it is destroyed: a ref and unref of the destructor's callees must not destroy it twice */
	must(o->refs == 1);
	o->refs = UINT32_MAX / 2;
	if (o->destroy)
		o->destroy(obj);
	o->magic = OBJECT_DEAD;
	free(o);
	__atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
	return NULL;
}

size_t base_live(void)
{
	return __atomic_load_n(&live, __ATOMIC_RELAXED);
}

void base_alloc_fail_after(long n)
{
	__atomic_store_n(&fail_after, n, __ATOMIC_RELAXED);
}

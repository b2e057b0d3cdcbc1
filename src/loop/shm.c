/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State memory: a memfd with a directory of regions, and sealed memfds that hold a snapshot.
 *
 * The directory lies in memory that a broken or hostile process may write: each look at it copies an entry and
 * checks the copy. Size seals keep a mapping from being cut under its reader (SIGBUS).
 * Nothing of it goes into core files.
 */
#define _GNU_SOURCE /* memfd_create, seals */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "postern/loop.h"

#define SHM_MAGIC   0x316d656d74736f70u /* "postmem1" */
#define SHM_REGIONS 32u
#define SHM_ALIGN   64u
#define SHM_MAX     (UINT64_C(1) << 40)
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

struct entry {
	uint32_t id, pad;
	uint64_t offset, bytes;
};
struct directory {
	uint64_t magic;
	uint64_t bytes;
	uint32_t count, pad;
	struct entry entry[SHM_REGIONS];
};

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

/* kernels before 6.3 do not know MFD_NOEXEC_SEAL; newer ones may insist on it */
static int memfd(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd < 0 ? -errno : fd;
}

static int write_all(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t done = write(fd, at, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

/* a directory for these regions; ids must be distinct, sizes not 0 */
static int lay_out(const struct loop_shm_spec *spec, size_t n, struct directory *ret)
{
	uint64_t at = round_up(sizeof(*ret), SHM_ALIGN);

	if (n == 0 || n > SHM_REGIONS)
		return ERR_RANGE;
	for (size_t i = 0; i < n; i++) {
		if (spec[i].bytes == 0 || spec[i].bytes > SHM_MAX)
			return ERR_RANGE;
		for (size_t j = 0; j < i; j++) {
			if (spec[j].id == spec[i].id)
				return ERR_EXISTS;
		}
		ret->entry[i] = (struct entry){ spec[i].id, 0, at, spec[i].bytes };
		at = round_up(at + spec[i].bytes, SHM_ALIGN);
	}
	ret->magic = SHM_MAGIC;
	ret->count = (uint32_t)n;
	ret->bytes = round_up(at, 4096);
	return 0;
}

int loop_shm_create(const char *name, const struct loop_shm_spec *spec, size_t n, int *ret_fd)
{
	struct directory dir = { 0 };
	int fd, err = lay_out(spec, n, &dir);

	if (err < 0)
		return err;
	fd = memfd(name);
	if (fd < 0)
		return fd;
	if (fchmod(fd, 0600) < 0 || ftruncate(fd, (off_t)dir.bytes) < 0) {
		err = -errno;
		goto out;
	}
	err = write_all(fd, &dir, sizeof(dir));
	if (err < 0)
		goto out;
	/* F_SEAL_SEAL: nobody can add a write seal, which would lock out the successor of a writer */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		err = -errno;
		goto out;
	}
	*ret_fd = fd;
	return 0;
out:
	close(fd);
	return err;
}

/* number of entries, or ERR_TORN where the head is foreign */
static int head_of(const struct loop_shm *m)
{
	const struct directory *dir = (const void *)m->base;
	uint32_t count;

	if (m->bytes < sizeof(*dir) || dir->magic != SHM_MAGIC || dir->bytes != m->bytes)
		return ERR_TORN;
	count = __atomic_load_n(&dir->count, __ATOMIC_RELAXED);
	return count >= 1 && count <= SHM_REGIONS ? (int)count : ERR_TORN;
}

/* a checked copy of an entry */
static int entry_of(const struct loop_shm *m, unsigned i, struct entry *ret)
{
	const struct directory *dir = (const void *)m->base;
	struct entry e;

	memcpy(&e, &dir->entry[i], sizeof(e));
	__asm__ volatile("" ::: "memory"); /* check what was copied, do not read it again */
	if (e.offset < sizeof(*dir) || e.offset % SHM_ALIGN || e.offset > m->bytes || e.bytes == 0 || e.bytes > m->bytes - e.offset)
		return ERR_TORN;
	*ret = e;
	return 0;
}

int loop_shm_check(const struct loop_shm *m)
{
	int count = head_of(m);
	uint64_t end = 0;
	struct entry e;

	if (count < 0)
		return count;
	for (unsigned i = 0; i < (unsigned)count; i++) {
		/* the maker lays them out in order: what overlaps is foreign */
		if (entry_of(m, i, &e) < 0 || e.offset < end)
			return ERR_TORN;
		end = e.offset + e.bytes;
	}
	return 0;
}

/* seals and size of a memfd that shall be mapped */
static int sealed_size(int fd, int seals, size_t *ret)
{
	struct stat st;
	int got = fcntl(fd, F_GET_SEALS);

	if (got < 0)
		return errno == EINVAL ? ERR_TORN : -errno; /* EINVAL: no memfd */
	if ((got & seals) != seals)
		return ERR_TORN;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < 0 || (uint64_t)st.st_size > SHM_MAX * 2)
		return ERR_TORN;
	*ret = (size_t)st.st_size;
	return 0;
}

int loop_shm_map(int fd, bool writable, struct loop_shm *ret)
{
	struct loop_shm m = { .fd = -1 };
	void *p;
	int err = sealed_size(fd, F_SEAL_SHRINK | F_SEAL_GROW, &m.bytes);

	if (err < 0)
		return err;
	if (m.bytes < sizeof(struct directory))
		return ERR_TORN;
	p = mmap(NULL, m.bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	m.base = p;
	madvise(p, m.bytes, MADV_DONTDUMP);
	err = loop_shm_check(&m);
	if (err < 0)
		goto out;
	m.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (m.fd < 0) {
		err = -errno;
		goto out;
	}
	*ret = m;
	return 0;
out:
	munmap(p, m.bytes);
	return err;
}

void loop_shm_unmap(struct loop_shm *m)
{
	if (!m->base)
		return;
	munmap(m->base, m->bytes);
	close(m->fd);
	*m = (struct loop_shm){ .fd = -1 };
}

void *loop_shm_region(const struct loop_shm *m, uint32_t id, size_t *ret_bytes)
{
	int count = m->base ? head_of(m) : 0;
	struct entry e;

	for (int i = 0; i < count; i++) {
		if (entry_of(m, (unsigned)i, &e) < 0 || e.id != id)
			continue;
		if (ret_bytes)
			*ret_bytes = e.bytes;
		return m->base + e.offset;
	}
	return NULL;
}

int loop_shm_reopen_ro(int fd)
{
	char path[32];
	int ro;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	return ro < 0 ? -errno : ro;
}

int loop_blob_create(const char *name, struct slice bytes, int *ret_fd)
{
	int err, fd = memfd(name);

	if (fd < 0)
		return fd;
	err = write_all(fd, bytes.p, bytes.n);
	if (err < 0)
		goto out;
	if (fchmod(fd, 0600) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		err = -errno;
		goto out;
	}
	*ret_fd = fd;
	return 0;
out:
	close(fd);
	return err;
}

int loop_blob_map(int fd, struct slice *ret)
{
	size_t n;
	void *p;
	int err = sealed_size(fd, F_SEAL_WRITE | F_SEAL_SHRINK, &n);

	if (err < 0)
		return err;
	if (n == 0) {
		*ret = SLICE("");
		return 0;
	}
	p = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	madvise(p, n, MADV_DONTDUMP); /* snapshots hold secrets */
	*ret = (struct slice){ p, n };
	return 0;
}

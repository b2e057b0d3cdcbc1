/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Main of the fuzz targets where there is no libFuzzer: replays files through the target.
 *
 *   target [FILE|FOLDER...]   default: $srcdir/fuzz/<folder>/corpus-<target>/ beside the source
 *
 * Each input is given whole, then cut at every length and with single bytes changed (bounded, always the same ones),
 * in memory of just its size, so that a sanitizer sees each byte read too far. The empty input is always tried.
 */
#define _GNU_SOURCE /* asprintf */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define VARIANTS_MAX 400u
#define INPUT_MAX    (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));
int main(int argc, char **argv);

static unsigned files, runs;

static void run(const uint8_t *data, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	if (!copy)
		abort();
	if (n)
		memcpy(copy, data, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
	runs++;
}

static void variants(uint8_t *data, size_t n)
{
	size_t step = n / VARIANTS_MAX + 1;
	static const uint8_t values[] = { 0x00, 0xff, 0x80, 0x0a };

	for (size_t i = 0; i < n; i += step) {
		uint8_t keep = data[i];

		run(data, i);
		for (unsigned v = 0; v < sizeof(values); v++) {
			data[i] = values[v];
			run(data, n);
		}
		data[i] = keep ^ 1;
		run(data, n);
		data[i] = keep;
	}
}

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data;
	size_t n;

	if (!f) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	data = malloc(INPUT_MAX);
	if (!data)
		abort();
	n = fread(data, 1, INPUT_MAX, f);
	fclose(f);
	run(data, n);
	variants(data, n);
	free(data);
	files++;
	return 0;
}

static int replay(const char *path)
{
	struct dirent **entry;
	struct stat st;
	int n, err = 0;

	if (stat(path, &st) < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	if (!S_ISDIR(st.st_mode))
		return replay_file(path);
	n = scandir(path, &entry, NULL, alphasort);
	if (n < 0)
		return -1;
	for (int i = 0; i < n; i++) {
		char *sub = NULL;

		if (entry[i]->d_name[0] != '.' && asprintf(&sub, "%s/%s", path, entry[i]->d_name) > 0 && replay(sub) < 0)
			err = -1;
		free(sub);
		free(entry[i]);
	}
	free(entry);
	return err;
}

/* .../fuzz/wire/sdp -> $srcdir/fuzz/wire/corpus-sdp */
static int replay_own(const char *self)
{
	const char *srcdir = getenv("srcdir"), *at = strstr(self, "fuzz/"), *next, *name;
	char *path = NULL;
	int err;

	while (at && (next = strstr(at + 1, "fuzz/")))
		at = next;
	name = at ? strrchr(at, '/') + 1 : NULL;
	if (!name || asprintf(&path, "%s/%.*scorpus-%s", srcdir ? srcdir : ".", (int)(name - at), at, name) < 0)
		return -1;
	err = replay(path);
	free(path);
	return err;
}

int main(int argc, char **argv)
{
	int err = 0;

	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	run((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++)
		err |= replay(argv[i]);
	if (argc < 2)
		err = replay_own(argv[0]);
	printf("%u files, %u runs\n", files, runs);
	if (files == 0)
		fprintf(stderr, "no corpus\n");
	return err || files == 0 ? 1 : 0;
}

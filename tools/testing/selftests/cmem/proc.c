// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/cmem in the format that scripts of the old driver's users parse, and the fdinfo
 * of an open /dev/cmem.
 */
#include <ctype.h>
#include <stdarg.h>

#include "cmem_test.h"

#define PROC "/proc/cmem"

struct text {
	char *bytes;
	size_t length;
	size_t room;
};

static void print(struct text *t, const char *format, ...)
{
	va_list args;

	if (t->room - t->length < 4096) {
		t->room += 1 << 20;
		t->bytes = realloc(t->bytes, t->room);
		if (!t->bytes)
			abort();
	}
	va_start(args, format);
	t->length += vsnprintf(t->bytes + t->length, t->room - t->length, format, args);
	va_end(args);
}

/* A file of up to @limit bytes, read @step bytes at a time. */
static bool slurp_part(const char *path, size_t step, size_t limit, struct text *t)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = -1;

	t->length = 0;
	while (fd >= 0 && t->length < limit) {
		if (t->room - t->length <= step) {
			t->room = 2 * t->room + (1 << 20);
			t->bytes = realloc(t->bytes, t->room);
			if (!t->bytes)
				abort();
		}
		got = read(fd, t->bytes + t->length, step);
		if (got <= 0)
			break;
		t->length += got;
	}
	if (t->bytes)
		t->bytes[t->length] = 0;
	close(fd);
	return got == 0 || t->length >= limit;
}

static bool slurp(const char *path, size_t step, struct text *t)
{
	return slurp_part(path, step, -1, t);
}

FIXTURE(proc)
{
	int fd;
	struct text seen;
	struct snapshot before;
};

FIXTURE_SETUP(proc)
{
	OPEN_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	ASSERT_EQ(0, access(PROC, R_OK)) TH_LOG("no " PROC);
}

FIXTURE_TEARDOWN(proc)
{
	free(self->seen.bytes);
	close(self->fd);
	expect_same(&self->before);
}

/* The allocations: the buffers of the test, in any order. */
struct busy {
	const struct cmem_alloc *buf;
	int count;
	bool hidden;
};

static int slot_is_busy(const struct busy *busy, __u64 phys_addr)
{
	for (int i = 0; i < busy->count; i++)
		if (busy->buf[i].phys_addr == phys_addr)
			return 1;
	return 0;
}

/*
 * The text as it must be. A pool reads as the old driver's users know it:
 *
 *	Block 0: Pool 0: 1 bufs size 0xc000000 (0xc000000 requested)
 *
 *	Pool 0 busy bufs:
 *
 *	Pool 0 free bufs:
 *	id 0: phys addr 0xa0000000
 *
 * with an empty line between two pools.
 */
static void render_pool(struct text *t, const struct cmem_pool_info *p, const struct busy *busy)
{
	print(t, "Block %d: Pool %u: %u bufs size %#llx (%#llx requested)\n\n", p->block, p->pool,
	      p->count, p->length, p->requested_length);
	print(t, "Pool %u busy bufs:\n", p->pool);
	for (__u32 id = 0; id < p->count; id++) {
		if (!slot_is_busy(busy, p->base + id * p->length))
			continue;
		if (busy->hidden)
			print(t, "id %u: phys addr hidden\n", id);
		else
			print(t, "id %u: phys addr %#llx\n", id, p->base + id * p->length);
	}
	print(t, "\nPool %u free bufs:\n", p->pool);
	for (__u32 id = 0; id < p->count; id++)
		if (!slot_is_busy(busy, p->base + id * p->length))
			print(t, "id %u: phys addr %#llx\n", id, p->base + id * p->length);
}

static void render_heap(struct text *t, const struct cmem_block_info *b, const struct busy *busy)
{
	__u64 used = 0, last = 0;

	for (int i = 0; i < busy->count; i++)
		if (busy->buf[i].block == b->block && busy->buf[i].pool == CMEM_POOL_HEAP)
			used += busy->buf[i].length;
	print(t, "Block %d: Heap: size %#llx, %#llx free\n\nHeap busy bufs:\n", b->block,
	      b->heap_size, b->heap_size - used);
	/* Sorted by address. */
	for (;;) {
		const struct cmem_alloc *next = NULL;

		for (int i = 0; i < busy->count; i++) {
			const struct cmem_alloc *buf = &busy->buf[i];

			if (buf->block == b->block && buf->pool == CMEM_POOL_HEAP &&
			    buf->phys_addr > last && (!next || buf->phys_addr < next->phys_addr))
				next = buf;
		}
		if (!next)
			return;
		last = next->phys_addr;
		if (busy->hidden)
			print(t, "phys addr hidden size %#llx\n", next->length);
		else
			print(t, "phys addr %#llx size %#llx\n", next->phys_addr, next->length);
	}
}

static void render(struct text *t, const struct snapshot *s, const struct busy *busy)
{
	const char *separator = "";

	t->length = 0;
	print(t, "%s", "");
	for (unsigned int i = 0; i < s->num_blocks; i++) {
		/* CMA pools have no base, so there are no numbers to expect. */
		if (s->block[i].kind == CMEM_KIND_CMA)
			continue;
		for (__u32 j = 0; j < s->block[i].num_pools; j++) {
			print(t, "%s", separator);
			render_pool(t, &s->pool[i][j], busy);
			separator = "\n";
		}
		if (s->block[i].heap_size) {
			print(t, "%s", separator);
			render_heap(t, &s->block[i], busy);
			separator = "\n";
		}
	}
}

/* Compares both texts byte for byte and shows the first line that differs. */
static void expect_text(struct __test_metadata *_metadata, const struct text *want,
			const struct text *seen)
{
	size_t line = 0;
	size_t i;

	for (i = 0; i < want->length && i < seen->length; i++) {
		if (want->bytes[i] != seen->bytes[i])
			break;
		if (want->bytes[i] == '\n')
			line = i + 1;
	}
	EXPECT_TRUE(i == want->length && i == seen->length)
		TH_LOG("byte %zu: \"%.*s\" instead of \"%.*s\"", i,
		       (int)strcspn(seen->bytes + line, "\n"), seen->bytes + line,
		       (int)strcspn(want->bytes + line, "\n"), want->bytes + line);
}

/* The same for all but the CMA block, which comes last. */
static void expect_blocks(struct __test_metadata *_metadata, const struct text *want,
			  const struct text *seen)
{
	const char *cma = strstr(seen->bytes, "Block -1: ");
	struct text blocks = *seen;

	/* An empty line comes before it. */
	if (cma)
		blocks.length = cma > seen->bytes ? cma - 1 - seen->bytes : 0;
	expect_text(_metadata, want, &blocks);
}

/* How often the text has the address of a buffer */
static unsigned int times_told(const struct text *seen, const struct cmem_alloc *buf)
{
	unsigned int times = 0;
	char address[40];
	size_t length;

	length = snprintf(address, sizeof(address), "phys addr %#llx", buf->phys_addr);
	for (const char *at = seen->bytes; (at = strstr(at, address)); at += length)
		times += !isxdigit(at[length]);
	return times;
}

/* A few buffers of all pools and heaps. */
static int take_some(struct __test_metadata *_metadata, int fd, const struct snapshot *s,
		     struct cmem_alloc *buf, int max)
{
	int count = 0;

	for (unsigned int i = 0; i < s->num_blocks; i++) {
		const struct cmem_block_info *b = &s->block[i];

		for (__u32 j = 0; j < b->num_pools; j++) {
			for (int n = 0; n < 3 && count < max && s->pool[i][j].free > n; n++) {
				ASSERT_EQ(0, cmem_alloc(fd, b->block, j, 0, 0, &buf[count]));
				count++;
			}
		}
		for (int n = 1; n < 4 && count < max && b->heap_largest > 1 << 20; n++) {
			ASSERT_EQ(0, cmem_alloc(fd, b->block, CMEM_POOL_HEAP, n * 5000, 0,
						&buf[count]));
			count++;
		}
	}
	return count;
}

TEST_F(proc, the_format_is_that_of_the_old_driver)
{
	static struct cmem_alloc buf[64];
	struct busy busy = { .buf = buf };
	struct text want = {};

	render(&want, &self->before, &busy);
	ASSERT_TRUE(slurp(PROC, 65536, &self->seen));
	expect_blocks(_metadata, &want, &self->seen);

	busy.count = take_some(_metadata, self->fd, &self->before, buf, ARRAY_SIZE(buf));
	render(&want, &self->before, &busy);
	ASSERT_TRUE(slurp(PROC, 65536, &self->seen));
	expect_blocks(_metadata, &want, &self->seen);

	/* Free every second one. */
	for (int i = 0; i < busy.count; i++) {
		ASSERT_EQ(0, cmem_free(self->fd, buf[i].phys_addr));
		buf[i] = buf[busy.count - 1];
		busy.count--;
	}
	render(&want, &self->before, &busy);
	ASSERT_TRUE(slurp(PROC, 65536, &self->seen));
	expect_blocks(_metadata, &want, &self->seen);
	free(want.bytes);
}

TEST_F(proc, read_in_small_pieces_it_is_the_same)
{
	const size_t steps[] = { 1, 7, 100, 4095, 4096, 1 << 20 };
	struct text whole = {};

	ASSERT_TRUE(slurp(PROC, 65536, &whole));
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		size_t limit = steps[i] * scaled(10000);

		ASSERT_TRUE(slurp_part(PROC, steps[i], limit, &self->seen));
		if (whole.length <= limit) {
			expect_text(_metadata, &whole, &self->seen);
		} else {
			EXPECT_EQ(0, memcmp(whole.bytes, self->seen.bytes, limit));
		}
	}
	free(whole.bytes);
}

TEST_F(proc, it_can_be_read_from_the_middle)
{
	struct text whole = {};
	char piece[1000];
	int fd = open(PROC, O_RDONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	ASSERT_TRUE(slurp(PROC, 65536, &whole));
	for (unsigned int n = 1; n < 8; n++) {
		off_t at = whole.length * n / 8;
		ssize_t got = pread(fd, piece, sizeof(piece), at);

		ASSERT_LE(whole.length ? 1 : 0, got);
		EXPECT_EQ(0, memcmp(piece, whole.bytes + at, got));
	}
	EXPECT_EQ(0, pread(fd, piece, sizeof(piece), whole.length));
	EXPECT_EQ(0, pread(fd, piece, sizeof(piece), 1LL << 62));
	close(fd);
	free(whole.bytes);
}

TEST_F(proc, addresses_are_hidden_from_those_who_could_not_register)
{
	static struct cmem_alloc buf[64];
	struct busy busy = { .buf = buf, .hidden = true };
	struct text want = {};
	char share[16] = "";
	pid_t pid;
	int fd;

	fd = open("/sys/module/cmem/parameters/share", O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, share, sizeof(share) - 1) > 0 && !strncmp(share, "any", 3))
		SKIP(return, "cmem.share=any: nothing is hidden");
	close(fd);
	if (getuid())
		SKIP(return, "wants root");
	busy.count = take_some(_metadata, self->fd, &self->before, buf, ARRAY_SIZE(buf));
	if (!busy.count)
		SKIP(return, "no memory");
	IN_CHILD(pid) {
		ASSERT_EQ(0, become_user(OTHER_UID));
		render(&want, &self->before, &busy);
		ASSERT_TRUE(slurp(PROC, 65536, &self->seen));
		expect_blocks(_metadata, &want, &self->seen);
		for (int i = 0; i < busy.count; i++) {
			EXPECT_EQ(0, times_told(&self->seen, &buf[i]))
				TH_LOG("block %d: %#llx", buf[i].block, buf[i].phys_addr);
		}
		ASSERT_FALSE(has_failed(_metadata));

		/* The user sees buffers that its own files are registered for. */
		for (int i = 0; i < busy.count; i++) {
			ASSERT_EQ(0, cmem_free(self->fd, buf[i].phys_addr));
		}
		fd = cmem_open();
		busy.count = take_some(_metadata, fd, &self->before, buf, ARRAY_SIZE(buf));
		busy.hidden = false;
		render(&want, &self->before, &busy);
		ASSERT_TRUE(slurp(PROC, 65536, &self->seen));
		expect_blocks(_metadata, &want, &self->seen);
		for (int i = 0; i < busy.count; i++) {
			EXPECT_EQ(1, times_told(&self->seen, &buf[i]))
				TH_LOG("block %d: %#llx", buf[i].block, buf[i].phys_addr);
		}
		ASSERT_FALSE(has_failed(_metadata));
	}
	join_child(pid);
}

TEST_F(proc, reading_while_buffers_come_and_go_shows_whole_lines)
{
	unsigned int reads = 0;
	struct source src;
	pid_t pid;
	int status;

	if (!find_source(ANY_KIND, false, 1, &src))
		SKIP(return, "no pool");
	pid = fork_child(_metadata);
	if (!pid) {
		struct cmem_alloc buf;

		for (;;) {
			if (!source_alloc(self->fd, &src, 0, &buf))
				cmem_free(self->fd, buf.phys_addr);
		}
	}
	while (reads++ < scaled(5)) {
		char *line;

		ASSERT_TRUE(slurp(PROC, 5000, &self->seen));
		for (line = strtok(self->seen.bytes, "\n"); line; line = strtok(NULL, "\n")) {
			unsigned int id;
			char word[32];

			EXPECT_TRUE(!strncmp(line, "Block ", 6) || !strncmp(line, "Pool ", 5) ||
				    !strncmp(line, "Heap ", 5) ||
				    !strncmp(line, "phys addr 0x", 12) ||
				    sscanf(line, "id %u: phys addr 0%31s", &id, word) == 2 ||
				    /* free buffers of CMA, which have no address yet */
				    (sscanf(line, "%u %31s", &id, word) == 2 &&
				     !strcmp(word, "bufs")))
				TH_LOG("\"%s\"", line);
		}
	}
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	/* This process shares the file with the child, and so the child's buffers. */
	close(self->fd);
	self->fd = -1;
}

/*
 * /proc/<pid>/fdinfo/<fd>
 */

static void expect_held(struct __test_metadata *_metadata, int fd, unsigned long buffers,
			unsigned long long bytes)
{
	struct text info = {};
	char path[64], want[96];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	ASSERT_TRUE(slurp(path, 4096, &info));
	snprintf(want, sizeof(want), "\ncmem-buffers:\t%lu\ncmem-bytes:\t%llu\n", buffers, bytes);
	EXPECT_TRUE(!!strstr(info.bytes, want)) TH_LOG("want %s, see %s", want, info.bytes);
	free(info.bytes);
}

TEST_F(proc, fdinfo_counts_each_buffer_of_the_file_once)
{
	unsigned long page = page_size();
	int other_fd = cmem_open();
	struct cmem_alloc buf, heap;
	struct source src;
	char *map;

	ASSERT_LE(0, other_fd);
	expect_held(_metadata, self->fd, 0, 0);
	if (!find_source(ANY_KIND, false, 1, &src))
		SKIP(return, "no pool");
	ASSERT_EQ(0, source_alloc(self->fd, &src, 0, &buf));
	expect_held(_metadata, self->fd, 1, buf.length);
	expect_held(_metadata, other_fd, 0, 0);
	ASSERT_EQ(0, cmem_register(self->fd, buf.phys_addr));
	expect_held(_metadata, self->fd, 1, buf.length);
	ASSERT_EQ(0, cmem_register(other_fd, buf.phys_addr));
	ASSERT_EQ(0, cmem_register(other_fd, buf.phys_addr));
	expect_held(_metadata, other_fd, 1, buf.length);
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	expect_held(_metadata, self->fd, 1, buf.length);
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	expect_held(_metadata, self->fd, 0, 0);
	expect_held(_metadata, other_fd, 1, buf.length);

	if (find_source(ANY_KIND, true, 3 * page, &src)) {
		ASSERT_EQ(0, cmem_alloc(other_fd, src.block, src.pool, 3 * page, 0, &heap));
		expect_held(_metadata, other_fd, 2, buf.length + 3 * page);
		/* A mapping is no registration. */
		map = cmem_map(other_fd, &heap);
		ASSERT_MAPPED(map);
		ASSERT_EQ(0, cmem_free(other_fd, heap.phys_addr));
		expect_held(_metadata, other_fd, 1, buf.length);
		ASSERT_EQ(0, munmap(map, heap.length));
	}
	/* Failed calls do not count. */
	ASSERT_EQ(-ENOENT, cmem_alloc(self->fd, src.block, 99, 1, 0, &heap));
	ASSERT_EQ(-ENOENT, cmem_register(self->fd, 0));
	expect_held(_metadata, self->fd, 0, 0);
	close(other_fd);
}

/* Writes zero for each address of a text. */
static void hide_addresses(struct text *t)
{
	static const char word[] = "phys addr 0x";
	char *from = t->bytes, *to = t->bytes;

	while (*from) {
		if (strncmp(from, word, strlen(word))) {
			*to++ = *from++;
			continue;
		}
		from += strlen(word);
		from += strspn(from, "0123456789abcdef");
		memcpy(to, word, strlen(word));
		to += strlen(word);
		*to++ = '0';
	}
	*to = 0;
	t->length = to - t->bytes;
}

/* From now on a user that can't open the device, whatever its group is */
static int become_stranger(void)
{
	if (setgroups(0, NULL) || setresgid(OTHER_UID, OTHER_UID, OTHER_UID))
		return -errno;
	return become_user(OTHER_UID);
}

TEST_F(proc, addresses_are_zero_for_who_cannot_open_the_device)
{
	static struct cmem_alloc buf[256];
	struct text all = {}, seen = {};
	pid_t pid;

	take_some(_metadata, self->fd, &self->before, buf, ARRAY_SIZE(buf));
	ASSERT_TRUE(slurp(PROC, 4096, &all));
	IN_CHILD(pid) {
		ASSERT_EQ(0, become_stranger());
		ASSERT_EQ(-1, cmem_open());
		ASSERT_TRUE(slurp(PROC, 4096, &seen));
		hide_addresses(&all);
		expect_text(_metadata, &all, &seen);
		ASSERT_FALSE(has_failed(_metadata));
	}
	join_child(pid);
	free(all.bytes);
}

TEST_F(proc, who_opened_it_is_who_sees_addresses)
{
	struct text all = {}, seen = {};
	int sockets[2], fd;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets));
	ASSERT_TRUE(slurp(PROC, 4096, &all));
	IN_CHILD(pid) {
		ASSERT_EQ(0, become_stranger());
		ASSERT_EQ(0, send_fd(sockets[0], open(PROC, O_RDONLY | O_CLOEXEC)));
	}
	join_child(pid);
	fd = receive_fd(sockets[1]);
	ASSERT_LE(0, fd);
	seen.bytes = calloc(1, all.length + 4096);
	ASSERT_POINTER(seen.bytes);
	for (ssize_t got = 1; got > 0; seen.length += got)
		got = read(fd, seen.bytes + seen.length, all.length + 4095 - seen.length);
	hide_addresses(&all);
	expect_text(_metadata, &all, &seen);
	close(fd);
	close(sockets[0]);
	close(sockets[1]);
	free(all.bytes);
	free(seen.bytes);
}

TEST_F(proc, the_group_of_the_device_sees_addresses)
{
	struct text all = {}, seen = {};
	pid_t pid;

	/* Nothing is busy, so nothing is hidden. */
	ASSERT_TRUE(slurp(PROC, 4096, &all));
	IN_CHILD(pid) {
		int fd;

		ASSERT_EQ(0, become_user(OTHER_UID));
		fd = cmem_open();
		if (fd >= 0) {
			ASSERT_TRUE(slurp(PROC, 4096, &seen));
			expect_text(_metadata, &all, &seen);
			ASSERT_FALSE(has_failed(_metadata));
		}
	}
	join_child(pid);
	free(all.bytes);
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0
/*
 * SYNC and SYNC_ALL: which operations and ranges they accept and refuse, and that a batch
 * with one bad range does nothing at all. sync_trace.c checks what they execute.
 */
#include "cmem_trace.h"

FIXTURE(sync)
{
	int fd;
	struct source src;
	struct cmem_alloc buf;
	char *map;
	unsigned long page;
	struct snapshot before;
};

SOURCE_VARIANTS(sync);

FIXTURE_SETUP(sync)
{
	self->page = page_size();
	OPEN_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!find_source(variant->kind, variant->heap, 8 * self->page, &self->src))
		SKIP(return, "no such memory on this board");
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, variant->flags, &self->buf));
	self->map = cmem_map(self->fd, &self->buf);
	ASSERT_MAPPED(self->map);
	fill(self->map, self->buf.length, 1);
}

FIXTURE_TEARDOWN(sync)
{
	munmap(self->map, self->buf.length);
	close(self->fd);
	expect_same(&self->before);
}

static const __u32 ops[] = {
	CMEM_SYNC_WRITE_BACK, CMEM_SYNC_INVALIDATE, CMEM_SYNC_WRITE_BACK_INVALIDATE,
};

/* A range by numbers, wherever they point. */
static int sync_number(int fd, __u64 addr, __u64 length, __u32 op)
{
	struct cmem_sync_range range = { .user_addr = addr, .length = length, .op = op };

	return cmem_sync_ranges(fd, &range, 1);
}

TEST_F(sync, every_operation_is_served_on_every_part)
{
	const struct { __u64 first, length; } parts[] = {
		{ 0, 1 }, { 0, self->page }, { 1, 1 }, { 63, 2 }, { self->page - 1, 2 },
		{ 0, self->buf.length }, { self->buf.length - 1, 1 },
		{ 1, self->buf.length - 1 }, { 3 * self->page + 5, 2 * self->page },
	};

	/* Data that was written back can be invalidated without loss. */
	ASSERT_EQ(0, cmem_sync(self->fd, self->map, self->buf.length, CMEM_SYNC_WRITE_BACK));
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(ops); k++) {
			EXPECT_EQ(0, cmem_sync(self->fd, self->map + parts[i].first,
					       parts[i].length, ops[k]));
		}
	}
	EXPECT_EQ(-1, find_stranger(self->map, self->buf.length, 1));
}

TEST_F(sync, unknown_operations_are_EOPNOTSUPP)
{
	const __u32 unknown[] = { 0, 4, 5, 8, 0x10001, 0x80000001, ~0u };

	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		EXPECT_REFUSED(EOPNOTSUPP, cmem_sync(self->fd, self->map, 1, unknown[i]));
	}
}

TEST_F(sync, a_reserved_member_that_is_not_zero_is_EOPNOTSUPP)
{
	struct cmem_sync_range range = {
		.user_addr = (unsigned long)self->map, .length = 1, .op = CMEM_SYNC_WRITE_BACK,
	};

	for (int bit = 0; bit < 32; bit++) {
		range.__reserved = 1u << bit;
		EXPECT_REFUSED(EOPNOTSUPP, cmem_sync_ranges(self->fd, &range, 1));
	}
}

/* For programs that do not map memory */
TEST_F(sync, physical_addresses_are_taken)
{
	struct cmem_sync_range range = { .op = CMEM_SYNC_WRITE_BACK };
	struct cmem_sync sync = {
		.size = sizeof(sync), .flags = CMEM_SYNC_BY_PHYS, .num_ranges = 1,
		.ranges = (unsigned long)&range,
	};
	const __u64 phys = self->buf.phys_addr, length = self->buf.length;
	const struct { __u64 address, length; int err; } cases[] = {
		{ phys, length, 0 },
		{ phys + 17, 1, 0 },
		{ phys + length - 1, 1, 0 },
		{ phys, 0, EINVAL },
		{ phys, length + 1, EFAULT },
		{ phys + length - 1, 1ULL << 40, EFAULT },
		{ phys, -phys, EOVERFLOW },
		{ address_outside(), 1, EFAULT },
		{ -1ULL << 20, 1, EFAULT },
	};
	int other_fd = cmem_open();

	ASSERT_LE(0, other_fd);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		range.user_addr = cases[i].address;
		range.length = cases[i].length;
		for (size_t k = 0; k < ARRAY_SIZE(ops); k++) {
			range.op = ops[k];
			if (cases[i].err) {
				EXPECT_REFUSED(cases[i].err,
					       cmem_ioctl(self->fd, CMEM_IOCTL_SYNC, &sync));
			} else {
				EXPECT_EQ(0, cmem_ioctl(self->fd, CMEM_IOCTL_SYNC, &sync));
			}
			ASSERT_FALSE(has_failed(_metadata)) TH_LOG("case %zu, op %u", i, ops[k]);
		}
	}
	/* Only for a caller that is registered for it */
	range = (struct cmem_sync_range){ phys, length, CMEM_SYNC_WRITE_BACK, 0 };
	EXPECT_REFUSED(EPERM, cmem_ioctl(other_fd, CMEM_IOCTL_SYNC, &sync));
	ASSERT_EQ(0, cmem_register(other_fd, phys));
	EXPECT_EQ(0, cmem_ioctl(other_fd, CMEM_IOCTL_SYNC, &sync));
	close(other_fd);
}

/* Elements longer than the kernel's, and those of the first version */
TEST_F(sync, elements_say_how_long_they_are)
{
	struct { struct cmem_sync_range range; __u64 more; } later[3] = { 0 };
	struct cmem_sync sync = { .size = sizeof(sync), .num_ranges = 3 };

	for (int i = 0; i < 3; i++)
		later[i].range = (struct cmem_sync_range){
			(unsigned long)self->map + i * self->page, self->page,
			CMEM_SYNC_WRITE_BACK, 0
		};
	sync.ranges = (unsigned long)later;
	sync.range_size = sizeof(later[0]);
	EXPECT_EQ(0, cmem_ioctl(self->fd, CMEM_IOCTL_SYNC, &sync));
	later[2].more = 1;
	EXPECT_REFUSED(E2BIG, cmem_ioctl(self->fd, CMEM_IOCTL_SYNC, &sync));
	later[2].more = 0;
	/* With another element size, the second element is invalid. */
	sync.range_size = 0;
	EXPECT_REFUSED(EOPNOTSUPP, cmem_ioctl(self->fd, CMEM_IOCTL_SYNC, &sync));
	for (__u32 size = 1; size < sizeof(struct cmem_sync_range); size++) {
		sync.range_size = size;
		EXPECT_REFUSED(EINVAL, cmem_ioctl(self->fd, CMEM_IOCTL_SYNC, &sync));
	}
	sync.range_size = self->page + 8;
	EXPECT_REFUSED(E2BIG, cmem_ioctl(self->fd, CMEM_IOCTL_SYNC, &sync));
	sync.range_size = ~0U;
	EXPECT_REFUSED(E2BIG, cmem_ioctl(self->fd, CMEM_IOCTL_SYNC, &sync));
}

TEST_F(sync, a_length_of_zero_is_EINVAL)
{
	for (size_t k = 0; k < ARRAY_SIZE(ops); k++) {
		EXPECT_REFUSED(EINVAL, cmem_sync(self->fd, self->map, 0, ops[k]));
	}
}

TEST_F(sync, a_range_that_wraps_around_is_EOVERFLOW)
{
	const __u64 start = (unsigned long)self->map;
	const __u64 lengths[] = { ~0ULL, ~0ULL - start + 2, -start + 1, ~0ULL - 4095 };

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		EXPECT_REFUSED(EOVERFLOW, cmem_sync(self->fd, self->map, lengths[i],
						    CMEM_SYNC_WRITE_BACK))
			TH_LOG("length %#llx", lengths[i]);
	}
	EXPECT_REFUSED(EOVERFLOW, sync_number(self->fd, ~0ULL, 2, CMEM_SYNC_WRITE_BACK));
	EXPECT_REFUSED(EOVERFLOW, sync_number(self->fd, ~0ULL - 4095, 8192,
					      CMEM_SYNC_WRITE_BACK));
}

TEST_F(sync, a_range_that_reaches_beyond_the_mapping_is_EFAULT)
{
	const __u64 lengths[] = {
		self->buf.length + 1, self->buf.length + self->page, 1ULL << 30, 1ULL << 31,
		(__u64)1 << 32, 1ULL << 40, 1ULL << 62,
	};
	/* Nothing of ours directly after it. */
	char *area = mmap(NULL, self->buf.length + self->page, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *map;

	ASSERT_MAPPED(area);
	map = mmap(area, self->buf.length, PROT_READ, MAP_SHARED | MAP_FIXED, self->fd,
		   self->buf.mmap_offset);
	ASSERT_MAPPED(map);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		if (lengths[i] <= self->buf.length)
			continue;
		EXPECT_REFUSED(EFAULT, cmem_sync(self->fd, map, lengths[i],
						 CMEM_SYNC_WRITE_BACK))
			TH_LOG("length %#llx", lengths[i]);
	}
	EXPECT_REFUSED(EFAULT, cmem_sync(self->fd, map + self->buf.length - 1, 2,
					 CMEM_SYNC_WRITE_BACK));
	EXPECT_REFUSED(EFAULT, cmem_sync(self->fd, map + self->buf.length, 1,
					 CMEM_SYNC_WRITE_BACK));
	EXPECT_EQ(0, cmem_sync(self->fd, map, self->buf.length, CMEM_SYNC_WRITE_BACK));
	ASSERT_EQ(0, munmap(area, self->buf.length + self->page));
}

TEST_F(sync, a_range_with_a_hole_is_EFAULT)
{
	ASSERT_EQ(0, munmap(self->map + 2 * self->page, self->page));
	EXPECT_REFUSED(EFAULT, cmem_sync(self->fd, self->map, 4 * self->page,
					 CMEM_SYNC_WRITE_BACK));
	EXPECT_REFUSED(EFAULT, cmem_sync(self->fd, self->map + 2 * self->page - 1, 2,
					 CMEM_SYNC_WRITE_BACK));
	EXPECT_EQ(0, cmem_sync(self->fd, self->map, 2 * self->page, CMEM_SYNC_WRITE_BACK));
	EXPECT_EQ(0, cmem_sync(self->fd, self->map + 3 * self->page, self->page,
			       CMEM_SYNC_WRITE_BACK));
	/* Other memory in the hole does not make it part of the range. */
	ASSERT_MAPPED(mmap(self->map + 2 * self->page, self->page, PROT_READ,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_REFUSED(EFAULT, cmem_sync(self->fd, self->map, 4 * self->page,
					 CMEM_SYNC_WRITE_BACK));
}

TEST_F(sync, a_range_may_go_over_adjacent_mappings)
{
	char *area = mmap(NULL, 4 * self->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_MAPPED(area);
	/* Pages of the buffer in any order, with different protections. */
	for (int i = 0; i < 4; i++) {
		ASSERT_MAPPED(mmap(area + i * self->page, self->page,
				   i % 2 ? PROT_READ : PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_FIXED, self->fd,
				   self->buf.mmap_offset + (3 - i) * self->page));
	}
	for (size_t k = 0; k < ARRAY_SIZE(ops); k++) {
		EXPECT_EQ(0, cmem_sync(self->fd, area + 1, 4 * self->page - 2, ops[k]));
	}
	ASSERT_EQ(0, munmap(area, 4 * self->page));
}

TEST_F(sync, memory_that_is_not_ours_is_EFAULT)
{
	char *second = mmap(NULL, self->page, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const __u64 addr[] = {
		0, 4096, (unsigned long)second, (unsigned long)addr, (unsigned long)ops,
		0xc0000000, 0xffffff00, (unsigned long)sync_number,
		0xffff800000000000ULL, 1ULL << 63, ~0ULL - 4096,
	};

	ASSERT_MAPPED(second);
	*second = 1;
	for (size_t i = 0; i < ARRAY_SIZE(addr); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(ops); k++) {
			EXPECT_REFUSED(EFAULT, sync_number(self->fd, addr[i], 8, ops[k]))
				TH_LOG("%#llx", addr[i]);
		}
	}
	ASSERT_EQ(0, munmap(second, self->page));
	ASSERT_EQ(0, munmap(self->map, self->buf.length));
	EXPECT_REFUSED(EFAULT, cmem_sync(self->fd, self->map, 1, CMEM_SYNC_WRITE_BACK));
}

TEST_F(sync, bits_above_the_address_are_not_cut_off)
{
	struct cmem_sync_range range = {
		.user_addr = (unsigned long)self->map, .length = 8, .op = CMEM_SYNC_WRITE_BACK,
	};
	struct cmem_sync sync = { .size = sizeof(sync), .num_ranges = 1 };

	/* Bits 56 to 63 may be a tag that the CPU ignores. */
	for (int bit = 32; bit < 56; bit++) {
		sync.ranges = (unsigned long)&range ^ 1ULL << bit;
		EXPECT_REFUSED(EFAULT, cmem_ioctl(self->fd, CMEM_IOCTL_SYNC, &sync))
			TH_LOG("ranges, bit %d", bit);
		EXPECT_REFUSED(EFAULT, sync_number(self->fd, (unsigned long)self->map ^ 1ULL << bit,
						   8, CMEM_SYNC_WRITE_BACK))
			TH_LOG("user_addr, bit %d", bit);
	}
}

TEST_F(sync, any_file_and_any_protection_will_do)
{
	int other_fd = cmem_open();

	ASSERT_LE(0, other_fd);
	EXPECT_EQ(0, cmem_sync(other_fd, self->map, self->page, CMEM_SYNC_WRITE_BACK));
	ASSERT_EQ(0, mprotect(self->map, self->buf.length, PROT_NONE));
	EXPECT_EQ(0, cmem_sync(self->fd, self->map, self->page, CMEM_SYNC_WRITE_BACK));
	ASSERT_EQ(0, mprotect(self->map, self->buf.length, PROT_READ | PROT_WRITE));
	close(other_fd);
	EXPECT_EQ(-1, find_stranger(self->map, self->buf.length, 1));
}

/*
 * Batches
 */

TEST_F(sync, no_ranges_is_EINVAL_and_too_many_is_EOVERFLOW)
{
	static struct cmem_sync_range range[CMEM_MAX_SYNC_RANGES + 1];
	const __u32 many[] = {
		CMEM_MAX_SYNC_RANGES + 1, 0x10000, 0x7fffffff, 0x80000000, ~0u,
		(0xffffffff / sizeof(range[0])) + 2,
	};

	for (size_t i = 0; i < ARRAY_SIZE(range); i++) {
		range[i].user_addr = (unsigned long)self->map + i;
		range[i].length = 1;
		range[i].op = CMEM_SYNC_WRITE_BACK;
	}
	EXPECT_REFUSED(EINVAL, cmem_sync_ranges(self->fd, range, 0));
	EXPECT_REFUSED(EINVAL, cmem_sync_ranges(self->fd, NULL, 0));
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		EXPECT_REFUSED(EOVERFLOW, cmem_sync_ranges(self->fd, range, many[i]));
	}
	EXPECT_EQ(0, cmem_sync_ranges(self->fd, range, 1));
	EXPECT_EQ(0, cmem_sync_ranges(self->fd, range, 2));
	EXPECT_EQ(0, cmem_sync_ranges(self->fd, range, CMEM_MAX_SYNC_RANGES));
}

TEST_F(sync, ranges_that_can_not_be_read_are_EFAULT)
{
	char *mem = mmap(NULL, 2 * self->page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct cmem_sync_range *last;

	ASSERT_MAPPED(mem);
	ASSERT_EQ(0, mprotect(mem + self->page, self->page, PROT_NONE));
	last = (void *)(mem + self->page - sizeof(*last));
	*last = (struct cmem_sync_range){
		.user_addr = (unsigned long)self->map, .length = 1, .op = CMEM_SYNC_WRITE_BACK,
	};
	EXPECT_EQ(0, cmem_sync_ranges(self->fd, last, 1));
	EXPECT_REFUSED(EFAULT, cmem_sync_ranges(self->fd, last, 2));
	EXPECT_REFUSED(EFAULT, cmem_sync_ranges(self->fd, last, CMEM_MAX_SYNC_RANGES));
	EXPECT_REFUSED(EFAULT, cmem_sync_ranges(self->fd, last + 1, 1));
	EXPECT_REFUSED(EFAULT, cmem_sync_ranges(self->fd, (void *)((char *)last + 1), 1));
	EXPECT_REFUSED(EFAULT, cmem_sync_ranges(self->fd, NULL, 1));
	EXPECT_REFUSED(EFAULT, cmem_sync_ranges(self->fd, (void *)~0UL, 1));
	EXPECT_REFUSED(EFAULT, cmem_sync_ranges(self->fd, (void *)(~0UL << 30), 1));
	/* An odd address is readable. */
	memmove((char *)last - 3, last, sizeof(*last));
	EXPECT_EQ(0, cmem_sync_ranges(self->fd, (void *)((char *)last - 3), 1));
	ASSERT_EQ(0, munmap(mem, 2 * self->page));
}

static void count_sync(const char *name, const char *fields, void *arg)
{
	int *count = arg;

	*count += !strcmp(name, "cmem_sync");
}

TEST_F(sync, one_bad_range_in_a_batch_and_nothing_is_done)
{
	const struct { struct cmem_sync_range range; int err; } bad[] = {
		{ { .user_addr = 0, .length = 1, .op = 1 }, EFAULT },
		{ { .user_addr = (unsigned long)self->map, .length = self->buf.length + self->page,
		    .op = 1 }, EFAULT },
		{ { .user_addr = (unsigned long)self->map, .length = 0, .op = 1 }, EINVAL },
		{ { .user_addr = (unsigned long)self->map, .length = ~0ULL, .op = 1 }, EOVERFLOW },
		{ { .user_addr = (unsigned long)self->map, .length = 1, .op = 0 }, EOPNOTSUPP },
		{ { .user_addr = (unsigned long)self->map, .length = 1, .op = 4 }, EOPNOTSUPP },
		{ { .user_addr = (unsigned long)self->map, .length = 1, .op = 1,
		    .__reserved = 1 }, EOPNOTSUPP },
	};
	struct cmem_sync_range batch[5];
	int seen = 0;

	if (!trace_begin())
		SKIP(return, "no tracefs");
	if (!trace_has("cmem/cmem_sync")) {
		trace_end();
		SKIP(return, "no tracepoints");
	}
	ASSERT_TRUE(trace_enable("cmem/cmem_sync", getpid()));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		for (size_t at = 0; at < ARRAY_SIZE(batch); at++) {
			for (size_t k = 0; k < ARRAY_SIZE(batch); k++) {
				batch[k] = (struct cmem_sync_range){
					.user_addr = (unsigned long)self->map + k * self->page,
					.length = self->page, .op = ops[k % 3],
				};
			}
			batch[at] = bad[i].range;
			EXPECT_REFUSED(bad[i].err, cmem_sync_ranges(self->fd, batch,
								    ARRAY_SIZE(batch)))
				TH_LOG("bad range %zu at %zu", i, at);
		}
	}
	ASSERT_LE(0, trace_for_each(count_sync, &seen));
	EXPECT_EQ(0, seen);

	/* Proof that the trace would have shown it. */
	batch[ARRAY_SIZE(batch) - 1] = batch[0];
	ASSERT_EQ(0, cmem_sync_ranges(self->fd, batch, ARRAY_SIZE(batch)));
	ASSERT_LE(0, trace_for_each(count_sync, &seen));
	if (variant->flags & CMEM_ALLOC_CACHED && !block_is_coherent(self->fd, self->src.block)) {
		EXPECT_LE(ARRAY_SIZE(batch), seen);
	} else {
		EXPECT_EQ(0, seen);
	}
	trace_end();
}

/*
 * SYNC_ALL
 */

TEST_F(sync, all_is_written_back_or_written_back_and_invalidated)
{
	const __u32 unknown[] = { 0, 4, 5, 0x10001, 0x80000001, ~0u };

	EXPECT_EQ(0, cmem_sync_all(self->fd, CMEM_SYNC_WRITE_BACK));
	EXPECT_EQ(0, cmem_sync_all(self->fd, CMEM_SYNC_WRITE_BACK_INVALIDATE));
	EXPECT_REFUSED(EINVAL, cmem_sync_all(self->fd, CMEM_SYNC_INVALIDATE));
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		EXPECT_REFUSED(EOPNOTSUPP, cmem_sync_all(self->fd, unknown[i]));
	}
	EXPECT_EQ(-1, find_stranger(self->map, self->buf.length, 1));
}

TEST_F(sync, all_of_nothing_is_served)
{
	int other_fd = cmem_open();

	ASSERT_LE(0, other_fd);
	EXPECT_EQ(0, cmem_sync_all(other_fd, CMEM_SYNC_WRITE_BACK));
	EXPECT_EQ(0, cmem_sync_all(other_fd, CMEM_SYNC_WRITE_BACK_INVALIDATE));
	close(other_fd);
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0
/*
 * The table of libcmem, by itself, against an array with one word per page: what is
 * inserted, cut and found again, at boundaries of all slot sizes. Needs no /dev/cmem:
 * what is "mapped" here is empty address space.
 */
#include <sys/syscall.h>

#include "cmem_test.h"
#include "../../../cmem/lib/libcmem.h"

#ifndef __NR_mseal
#define __NR_mseal	462
#endif

#define PAGE		page_size()
#define SLOT		(sizeof(long) == 8 ? 2UL << 20 : 4UL << 20)	/* the second smallest */
#define PAGES		(4 * SLOT / PAGE)
#define END_OF_PHYS	0x10000000000ULL	/* for a slot of a 32-bit program */

struct page {
	uint64_t phys;
	__u64 buffer;
	unsigned int flags;			/* 0: not mapped */
};

/* What the table says about an address when it is unmapped */
static uintptr_t watched;
static bool known_when_unmapped;

/* The linker's names, with --wrap=munmap */
__typeof__(munmap) __real_munmap, __wrap_munmap;

int __wrap_munmap(void *address, size_t length)
{
	uint64_t phys;

	if (watched)
		known_when_unmapped = libcmem_table_phys(watched, &phys);
	return __real_munmap(address, length);
}

FIXTURE(table)
{
	char *space;				/* PAGES, aligned to large slots */
	struct page *pages;			/* what the table should know */
	unsigned int seed;
};

FIXTURE_SETUP(table)
{
	char *space = mmap(NULL, PAGES * PAGE + SLOT, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ASSERT_MAPPED(space);
	self->space = (char *)(((uintptr_t)space + SLOT - 1) & -SLOT);
	self->pages = calloc(PAGES, sizeof(*self->pages));
	ASSERT_POINTER(self->pages);
	self->seed = 1;
}

FIXTURE_TEARDOWN(table)
{
}

static uintptr_t at(struct __test_metadata *_metadata, FIXTURE_DATA(table) *self, size_t page)
{
	ASSERT_LE(page, PAGES);
	return (uintptr_t)self->space + page * PAGE;
}

#define AT(page) at(_metadata, self, page)

/* Insert pages in place of existing ones, as mmap() may. */
#define insert(first, count, phys, flags) __insert(_metadata, self, first, count, phys, flags)
static void __insert(struct __test_metadata *_metadata, FIXTURE_DATA(table) *self,
		     size_t first, size_t count, __u64 phys, unsigned int flags)
{
	struct libcmem_mapping mapping = {
		.start = AT(first), .length = count * PAGE, .buffer = phys,
	};

	ASSERT_EQ(0, libcmem_table_insert(&mapping, phys, TABLE_MAPPED | flags));
	for (size_t i = 0; i < count; i++)
		self->pages[first + i] = (struct page) {
			.phys = phys + i * PAGE, .buffer = phys, .flags = TABLE_MAPPED | flags,
		};
}

/* Unmap pages; all of them must be mapped. */
#define unmap(first, count) __unmap(_metadata, self, first, count)
static void __unmap(struct __test_metadata *_metadata, FIXTURE_DATA(table) *self,
		    size_t first, size_t count)
{
	bool all = true;
	int ret;

	for (size_t i = 0; i < count; i++)
		all &= self->pages[first + i].flags;
	/* Success leaves errno unchanged. */
	errno = EXDEV;
	ret = libcmem_table_unmap(AT(first), count * PAGE);
	ASSERT_EQ(all ? 0 : -1, ret);
	ASSERT_EQ(all ? EXDEV : EINVAL, errno);
	if (!all)
		return;
	memset(&self->pages[first], 0, count * sizeof(*self->pages));
	/* Reserve the range again after munmap(), so that nothing else gets there. */
	ASSERT_MAPPED(mmap((void *)AT(first), count * PAGE, PROT_NONE, MAP_FIXED |
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
}

#define check(first, count) __check(_metadata, self, first, count)
static void __check(struct __test_metadata *_metadata, FIXTURE_DATA(table) *self,
		    size_t first, size_t count)
{
	for (size_t i = first; i < first + count; i++) {
		const struct page *page = &self->pages[i];
		size_t offset = rand_r(&self->seed) % PAGE;
		const struct libcmem_mapping *mapping = libcmem_table_find(AT(i) + offset);
		uint64_t phys = 0;

		ASSERT_EQ(!!page->flags, libcmem_table_phys(AT(i) + offset, &phys))
			TH_LOG("page %zu", i);
		ASSERT_EQ(page->flags, libcmem_table_flags(AT(i) + offset, 1));
		ASSERT_EQ(!!page->flags, !!mapping);
		if (!page->flags)
			continue;
		ASSERT_EQ(page->phys + offset, phys) TH_LOG("page %zu", i);
		ASSERT_EQ(page->buffer, mapping->buffer) TH_LOG("page %zu", i);
		ASSERT_LE(mapping->start, AT(i));
		ASSERT_GE(mapping->start + mapping->length, AT(i) + PAGE);
	}
}

TEST_F(table, every_byte_of_a_page_is_found_and_none_beside_it)
{
	uint64_t phys;

	insert(1, 1, 0x80001000, 0);
	for (size_t i = 0; i < PAGE; i++) {
		ASSERT_TRUE(libcmem_table_phys(AT(1) + i, &phys));
		ASSERT_EQ(0x80001000 + i, phys);
	}
	EXPECT_FALSE(libcmem_table_phys(AT(1) - 1, &phys));
	EXPECT_FALSE(libcmem_table_phys(AT(2), &phys));
	EXPECT_FALSE(libcmem_table_phys(0, &phys));
	EXPECT_FALSE(libcmem_table_phys(UINTPTR_MAX, &phys));
	unmap(1, 1);
	EXPECT_FALSE(libcmem_table_phys(AT(1), &phys));
}

TEST_F(table, a_buffer_at_address_zero_is_one)
{
	insert(0, 3, 0, 0);
	check(0, 4);
	unmap(0, 3);
	check(0, 4);
}

TEST_F(table, ranges_at_borders_of_large_slots)
{
	const size_t slot = SLOT / PAGE;
	const size_t ends[] = { 0, 1, slot - 1, slot, slot + 1, 2 * slot - 1, 2 * slot,
				2 * slot + 1, 3 * slot };

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		for (size_t j = i + 1; j < ARRAY_SIZE(ends); j++) {
			/* Physically not on a large boundary: that must not matter. */
			insert(ends[i], ends[j] - ends[i], 0x87654000, TABLE_SYNC);
			check(0, 3 * slot + 1);
			unmap(ends[i], ends[j] - ends[i]);
			check(0, 3 * slot + 1);
		}
	}
}

TEST_F(table, parts_of_large_slots_are_cut_out)
{
	const size_t slot = SLOT / PAGE;
	const size_t cuts[][2] = {
		{ 0, 1 }, { 3 * slot - 1, 1 }, { slot + 5, 1 }, { slot - 1, 1 },
		{ 2 * slot, slot / 2 },
	};

	insert(0, 3 * slot, 0x90000000, TABLE_SYNC);
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		unmap(cuts[i][0], cuts[i][1]);
		check(0, 3 * slot);
		unmap(cuts[i][0], cuts[i][1]);		/* nothing is left there */
		check(0, 3 * slot);
	}
}

TEST_F(table, what_the_program_unmapped_itself_gives_way)
{
	const size_t slot = SLOT / PAGE;

	insert(0, 3 * slot, 0x90000000, TABLE_SYNC);
	insert(slot + 3, 5, 0xa0000000, 0);
	check(0, 3 * slot);
	insert(slot - 1, 2, 0xb0000000, 0);
	check(0, 3 * slot);
	insert(0, 3 * slot, 0xc0000000, TABLE_SYNC);
	check(0, 3 * slot);
	ASSERT_EQ(AT(0), libcmem_table_find(AT(0))->start);
	ASSERT_EQ(3 * SLOT, libcmem_table_find(AT(0))->length);
}

/* From then on the kernel may give the address to another thread, for anything. */
TEST_F(table, what_is_unmapped_is_forgotten_before)
{
	for (size_t i = 0; i < 3; i++) {
		insert(10, 4, 0x80000000, TABLE_SYNC);
		insert(14, 4, 0x90000000, TABLE_SYNC);
		watched = AT(13);
		known_when_unmapped = true;
		/* All of one, a part of one, parts of two */
		if (i == 0)
			unmap(10, 4);
		else if (i == 1)
			unmap(12, 2);
		else
			unmap(13, 2);
		EXPECT_FALSE(known_when_unmapped) TH_LOG("%zu", i);
		watched = 0;
	}
}

TEST_F(table, what_cannot_be_unmapped_stays_as_it_was)
{
	const size_t slot = SLOT / PAGE, first = slot - 3;

	insert(0, 3 * slot, 0x90000000, TABLE_SYNC);
	if (syscall(__NR_mseal, AT(slot), PAGE, 0))
		SKIP(return, "no mseal(): %s", strerror(errno));
	errno = 0;
	EXPECT_EQ(-1, libcmem_table_unmap(AT(first), 9 * PAGE));
	EXPECT_EQ(EPERM, errno);
	check(0, 3 * slot + 1);
	EXPECT_EQ(AT(0), libcmem_table_find(AT(first))->start);
	EXPECT_EQ(3 * SLOT, libcmem_table_find(AT(first))->length);
	unmap(0, first);
	unmap(slot + 1, slot);
	check(0, 3 * slot + 1);
}

TEST_F(table, mappings_beside_each_other_stay_two)
{
	insert(0, 2, 0x80000000, 0);
	insert(2, 2, 0x80002000, 0);
	EXPECT_EQ(AT(0), libcmem_table_find(AT(1))->start);
	EXPECT_EQ(AT(2), libcmem_table_find(AT(2))->start);
	unmap(1, 2);
	check(0, 5);
}

TEST_F(table, flags_of_a_range_are_those_of_all_of_it)
{
	const unsigned int cached = TABLE_MAPPED | TABLE_SYNC;

	insert(0, 2, 0x80000000, TABLE_SYNC);
	insert(2, 2, 0x90000000, TABLE_SYNC);
	insert(4, 2, 0xa0000000, 0);
	EXPECT_EQ(cached, libcmem_table_flags(AT(0), 2 * PAGE));
	EXPECT_EQ(cached, libcmem_table_flags(AT(0) + 1, 4 * PAGE - 1));
	EXPECT_EQ(cached, libcmem_table_flags(AT(3) + PAGE - 1, 1));
	EXPECT_EQ(TABLE_MAPPED, libcmem_table_flags(AT(4), 2 * PAGE));
	EXPECT_EQ(0, libcmem_table_flags(AT(3), 2 * PAGE));
	EXPECT_EQ(0, libcmem_table_flags(AT(5), PAGE + 1));
	EXPECT_EQ(0, libcmem_table_flags(AT(6), 1));
	EXPECT_EQ(0, libcmem_table_flags(AT(0), UINTPTR_MAX - AT(0)));
}

TEST_F(table, what_a_slot_cannot_hold_is_left_to_the_kernel)
{
	uint64_t phys;

	if (sizeof(long) == 8)
		SKIP(return, "a 64-bit slot holds any address");
	insert(0, 2, END_OF_PHYS - 2 * PAGE, 0);
	check(0, 2);
	unmap(0, 2);
	insert(0, 2, END_OF_PHYS - PAGE, 0);
	EXPECT_FALSE(libcmem_table_phys(AT(0), &phys));
	EXPECT_FALSE(libcmem_table_phys(AT(1), &phys));
	ASSERT_POINTER(libcmem_table_find(AT(1)));
	unmap(0, 2);
}

/* Short and long ones, aligned and not, mapped over others and cut at random. */
TEST_F(table, thousands_of_random_mappings)
{
	for (unsigned int n = scaled(20000); n; n--) {
		size_t first = rand_r(&self->seed) % PAGES, count, max = PAGES - first;
		unsigned int what = rand_r(&self->seed);

		count = rand_r(&self->seed) % (what & 0x10 ? PAGES : 16) + 1;
		if (!(what & 0x60))
			first &= -(SLOT / PAGE), max = PAGES - first;
		if (count > max)
			count = max;
		if (what & 1)
			insert(first, count, (__u64)(what >> 8 & 0xffff) << 12,
			       what & 2 ? TABLE_SYNC : 0);
		else
			unmap(first, count);
		check(first, count);
		if (!(n % 256))
			check(0, PAGES);
	}
	check(0, PAGES);
}

TEST_HARNESS_MAIN

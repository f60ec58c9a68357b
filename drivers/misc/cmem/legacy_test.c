// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the layout of old programs' structures, and of the conversion of their
 * addresses. They compare layouts with structures laid out by the compiler, with the
 * kernel's own long and with the long of 32-bit programs of the kernel's architecture:
 * i386 on x86_64, where a u64 is aligned to 4 bytes, and arm on arm64, where it is
 * aligned to 8.
 */
#include <linux/compat.h>

#include "kunit.h"
#include "legacy_layout.h"

#define INT	CMEM_LEGACY_INT
#define LONG	CMEM_LEGACY_LONG
#define U64	CMEM_LEGACY_U64

#define JUNK	0xa5

struct heap_native {
	unsigned long size;
	unsigned long align;
	int block;
};

struct heap_32 {
	u32 size;
	u32 align;
	s32 block;
};

struct freed_native {
	int pool;
	unsigned long size;
};

struct freed_32 {
	s32 pool;
	u32 size;
};

struct pool_native {
	u64 size;
	int block;
};

/* As on i386; on arm it is padded. */
struct pool_32 {
	u64 size;
	s32 block;
} __packed;

struct buffer_native {
	u64 phys;
	u64 size;
};

static const u8 heap_fields[] = { LONG, LONG, INT };
static const u8 freed_fields[] = { INT, LONG, 0 };
static const u8 pool_fields[] = { U64, INT, 0 };
static const u8 buffer_fields[] = { U64, U64, 0 };
static const u8 no_fields[] = { 0, 0, 0 };

static void cmem_legacy_sizes_end_with_the_last_member(struct kunit *test)
{
	unsigned int native = sizeof(long);

	KUNIT_EXPECT_EQ(test, cmem_legacy_size(heap_fields, native),
			offsetofend(struct heap_native, block));
	KUNIT_EXPECT_EQ(test, cmem_legacy_size(heap_fields, 4),
			sizeof(struct heap_32));
	KUNIT_EXPECT_EQ(test, cmem_legacy_size(freed_fields, native),
			sizeof(struct freed_native));
	KUNIT_EXPECT_EQ(test, cmem_legacy_size(freed_fields, 4),
			sizeof(struct freed_32));
	/* The driver must not read more. */
	KUNIT_EXPECT_EQ(test, cmem_legacy_size(pool_fields, native),
			offsetofend(struct pool_native, block));
	KUNIT_EXPECT_EQ(test, cmem_legacy_size(pool_fields, 4),
			sizeof(struct pool_32));
	KUNIT_EXPECT_EQ(test, cmem_legacy_size(buffer_fields, 4),
			sizeof(struct buffer_native));
	KUNIT_EXPECT_EQ(test, cmem_legacy_size(no_fields, native), 0);
	KUNIT_EXPECT_EQ(test, cmem_legacy_size(no_fields, 4), 0);
}

static void cmem_legacy_decodes_native_structs(struct kunit *test)
{
	struct heap_native heap = { ULONG_MAX, 1, -1 };
	struct pool_native pool = { U64_MAX - 1, 3 };
	u64 values[CMEM_LEGACY_FIELDS];

	cmem_legacy_decode(heap_fields, sizeof(long), &heap, values);
	KUNIT_EXPECT_EQ(test, values[0], ULONG_MAX);
	KUNIT_EXPECT_EQ(test, values[1], 1);
	KUNIT_EXPECT_EQ(test, (s64)values[2], -1);

	cmem_legacy_decode(pool_fields, sizeof(long), &pool, values);
	KUNIT_EXPECT_EQ(test, values[0], U64_MAX - 1);
	KUNIT_EXPECT_EQ(test, values[1], 3);
}

static void cmem_legacy_decodes_structs_of_32_bits(struct kunit *test)
{
	struct heap_32 heap = { U32_MAX, 1, S32_MIN };
	struct pool_32 pool = { U64_MAX - 1, 3 };
	u64 values[CMEM_LEGACY_FIELDS];

	/* Longs are unsigned, ints are signed. */
	cmem_legacy_decode(heap_fields, 4, &heap, values);
	KUNIT_EXPECT_EQ(test, values[0], U32_MAX);
	KUNIT_EXPECT_EQ(test, values[1], 1);
	KUNIT_EXPECT_EQ(test, (s64)values[2], S32_MIN);

	cmem_legacy_decode(pool_fields, 4, &pool, values);
	KUNIT_EXPECT_EQ(test, values[0], U64_MAX - 1);
	KUNIT_EXPECT_EQ(test, values[1], 3);
}

static void cmem_legacy_encodes_and_leaves_no_junk(struct kunit *test)
{
	const u64 values[CMEM_LEGACY_FIELDS] = { -1, 0x12345000 };
	struct freed_native freed, expected;
	struct freed_32 freed_32[2];

	memset(&expected, 0, sizeof(expected));
	expected.pool = -1;
	expected.size = 0x12345000;
	memset(&freed, JUNK, sizeof(freed));
	cmem_legacy_encode(freed_fields, sizeof(long), values, &freed);
	KUNIT_EXPECT_MEMEQ(test, &freed, &expected, sizeof(freed));

	memset(freed_32, JUNK, sizeof(freed_32));
	cmem_legacy_encode(freed_fields, 4, values, freed_32);
	KUNIT_EXPECT_EQ(test, freed_32[0].pool, -1);
	KUNIT_EXPECT_EQ(test, freed_32[0].size, 0x12345000);
	KUNIT_EXPECT_EQ(test, freed_32[1].size, 0xa5a5a5a5);
}

#ifdef CONFIG_COMPAT
/*
 * The types of compat.h have the alignment of 32-bit programs. Each is in a separate
 * structure, so that any wrong alignment shows.
 */
static void cmem_legacy_has_the_layout_of_compat_programs(struct kunit *test)
{
	struct {
		compat_ulong_t size;
		compat_ulong_t align;
		compat_int_t block;
	} heap = { U32_MAX, 2, -1 };
	struct {
		compat_int_t pool;
		compat_ulong_t size;
	} freed = { -2, 0x87654321 };
	struct {
		compat_u64 size;
		compat_int_t block;
	} pool = { U64_MAX - 1, -3 };
	struct {
		compat_u64 phys;
		compat_u64 size;
	} buffer = { 0x8a0000000, 0x1c0000000 };
	u64 values[CMEM_LEGACY_FIELDS];

	KUNIT_EXPECT_EQ(test, cmem_legacy_size(heap_fields, 4), sizeof(heap));
	cmem_legacy_decode(heap_fields, 4, &heap, values);
	KUNIT_EXPECT_EQ(test, values[0], U32_MAX);
	KUNIT_EXPECT_EQ(test, values[1], 2);
	KUNIT_EXPECT_EQ(test, (s64)values[2], -1);

	KUNIT_EXPECT_EQ(test, cmem_legacy_size(freed_fields, 4), sizeof(freed));
	cmem_legacy_decode(freed_fields, 4, &freed, values);
	KUNIT_EXPECT_EQ(test, (s64)values[0], -2);
	KUNIT_EXPECT_EQ(test, values[1], 0x87654321);

	/* 12 bytes on i386. The driver must not read more: nothing may follow. */
	KUNIT_EXPECT_EQ(test, cmem_legacy_size(pool_fields, 4),
			offsetof(typeof(pool), block) + sizeof(pool.block));
	cmem_legacy_decode(pool_fields, 4, &pool, values);
	KUNIT_EXPECT_EQ(test, values[0], U64_MAX - 1);
	KUNIT_EXPECT_EQ(test, (s64)values[1], -3);

	KUNIT_EXPECT_EQ(test, cmem_legacy_size(buffer_fields, 4),
			sizeof(buffer));
	cmem_legacy_decode(buffer_fields, 4, &buffer, values);
	KUNIT_EXPECT_EQ(test, values[0], 0x8a0000000);
	KUNIT_EXPECT_EQ(test, values[1], 0x1c0000000);
}
#endif

/* Every structure that is written is read in the same way. */
static void cmem_legacy_decodes_what_it_encoded(struct kunit *test)
{
	const u8 *const all[] = { heap_fields, freed_fields, pool_fields,
				  buffer_fields };
	const u64 values[CMEM_LEGACY_FIELDS] = { 0x7fffffff, 0x12345678, 0x5a };
	u8 data[CMEM_LEGACY_SIZE + 1];
	unsigned int i, k, long_size;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		for (long_size = 4; long_size <= 8; long_size += 4) {
			u64 back[CMEM_LEGACY_FIELDS] = {};
			size_t size = cmem_legacy_size(all[i], long_size);

			KUNIT_ASSERT_LE(test, size, CMEM_LEGACY_SIZE);
			memset(data, JUNK, sizeof(data));
			cmem_legacy_encode(all[i], long_size, values, data);
			KUNIT_EXPECT_EQ(test, data[size], JUNK);
			cmem_legacy_decode(all[i], long_size, data, back);
			for (k = 0; k < CMEM_LEGACY_FIELDS && all[i][k]; k++)
				KUNIT_EXPECT_EQ(test, back[k], values[k]);
		}
	}
}

/* An off_t after an arithmetic shift and truncation to 32 bits */
static u64 cmem_legacy_test_mmap2(u32 address)
{
	return (u64)(u32)((s32)address >> 12) << 12;
}

static void cmem_legacy_understands_negative_offsets(struct kunit *test)
{
	const u32 negative[] = { 0x80000000, 0x80001000, 0xa0000000, 0xc7ff0000,
				 0xfffff000 };
	const u64 others[] = { 0, 0x1000, 0x7ffff000, 0x80000000, 0xa0000000,
			       0xfffff000, 0x100000000, 0x8a0000000,
			       0xfff7ffff000, 0x100000000000, 0x8fffa0000000,
			       0xfffffffffffff000 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(negative); i++) {
		u64 offset = cmem_legacy_test_mmap2(negative[i]);

		KUNIT_EXPECT_EQ(test, cmem_legacy_offset(offset), negative[i]);
	}
	KUNIT_EXPECT_EQ(test, cmem_legacy_offset(0xfffa0000000), 0xa0000000);
	for (i = 0; i < ARRAY_SIZE(others); i++)
		KUNIT_EXPECT_EQ(test, cmem_legacy_offset(others[i]), others[i]);
}

static void cmem_legacy_understands_negative_addresses(struct kunit *test)
{
	const u64 others[] = { 0, 0x7ffff000, 0x80000000, 0xfffff000,
			       0x100000000, 0x1a0000000, 0x7fffffffa0000000,
			       0xfffffffea0000000, 0xffffffff7ffff000 };
	unsigned int i;

	KUNIT_EXPECT_EQ(test, cmem_legacy_address(0xffffffffa0000000, 4),
			0xa0000000);
	KUNIT_EXPECT_EQ(test, cmem_legacy_address(0xffffffff80000000, 4),
			0x80000000);
	/* A 64-bit program's address is taken literally. */
	KUNIT_EXPECT_EQ(test, cmem_legacy_address(0xffffffffa0000000, 8),
			0xffffffffa0000000);
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		KUNIT_EXPECT_EQ(test, cmem_legacy_address(others[i], 4),
				others[i]);
		KUNIT_EXPECT_EQ(test, cmem_legacy_address(others[i], 8),
				others[i]);
	}
}

static struct kunit_case cmem_legacy_cases[] = {
	KUNIT_CASE(cmem_legacy_sizes_end_with_the_last_member),
	KUNIT_CASE(cmem_legacy_decodes_native_structs),
	KUNIT_CASE(cmem_legacy_decodes_structs_of_32_bits),
	KUNIT_CASE(cmem_legacy_encodes_and_leaves_no_junk),
#ifdef CONFIG_COMPAT
	KUNIT_CASE(cmem_legacy_has_the_layout_of_compat_programs),
#endif
	KUNIT_CASE(cmem_legacy_decodes_what_it_encoded),
	KUNIT_CASE(cmem_legacy_understands_negative_offsets),
	KUNIT_CASE(cmem_legacy_understands_negative_addresses),
	{}
};

static struct kunit_suite cmem_legacy_suite = {
	.name = "cmem_legacy",
	.test_cases = cmem_legacy_cases,
};

kunit_test_suite(cmem_legacy_suite);

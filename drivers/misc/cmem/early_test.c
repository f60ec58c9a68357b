// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the early kernel command line parameters.
 */
#include "early.h"
#include "kunit.h"

#define K	1024ULL
#define M	(1024 * K)
#define G	(1024 * M)

struct cmem_early_pools_case {
	const char *val;
	int ret;
	struct cmem_pool_config pools[3];
};

static const struct cmem_early_pools_case cmem_early_pools_cases[] __initconst = {
	/* from the documentation of the out-of-tree driver */
	{ "10x4096,8x131072,4x1048576", 3,
		{ { 10, 4096 }, { 8, 131072 }, { 4, 1048576 } } },
	{ "1x1", 1, { { 1, 1 } } },
	{ "4x30000,2x500000", 2, { { 4, 30000 }, { 2, 500000 } } },
	{ "4x0x10000", 1, { { 4, 0x10000 } } },
	{ "4x0X1f", 1, { { 4, 0x1f } } },
	{ "1x64K,2x3m,1x1G", 3, { { 1, 64 * K }, { 2, 3 * M }, { 1, G } } },
	{ "1x0x10K", 1, { { 1, 16 * K } } },
	{ "007x010", 1, { { 7, 10 } } },
	{ "1000000x4096", 1, { { 1000000, 4096 } } },
	{ "", -EINVAL },
	{ "4", -EINVAL },
	{ "4x", -EINVAL },
	{ "x4096", -EINVAL },
	{ "0x4096", -EINVAL },
	{ "4x0", -EINVAL },
	{ "4x0x", -EINVAL },
	{ "-1x4096", -EINVAL },
	{ "4x-4096", -EINVAL },
	{ "4x4096,", -EINVAL },
	{ ",4x4096", -EINVAL },
	{ "4x4096;4x4096", -EINVAL },
	{ "4x4096 ", -EINVAL },
	{ "4x4096KB", -EINVAL },
	{ "4x1T", -EINVAL },
	{ "4xBUFSIZE", -EINVAL },
	{ "4x4096x4", -EINVAL },
	/* more than any memory size */
	{ "1x18446744073709551615", -EINVAL },
	{ "1x18446744073709551616", -EINVAL },
	{ "1x99999999999999999999999999", -EINVAL },
	{ "1x18014398509481984K", -EINVAL },
	{ "2x0x8000000000000000", -EINVAL },
	{ "4294967297x4096", -EINVAL },
	{ "99999999999999999999x1", -EINVAL },
};

static void __init cmem_early_reads_pools(struct kunit *test)
{
	struct cmem_pool_config pools[CMEM_MAX_POOLS];
	int i, j;

	for (i = 0; i < ARRAY_SIZE(cmem_early_pools_cases); i++) {
		const struct cmem_early_pools_case *c = &cmem_early_pools_cases[i];

		KUNIT_EXPECT_EQ_MSG(test, cmem_early_parse_pools(c->val, pools),
				    c->ret, "\"%s\"", c->val);
		for (j = 0; j < c->ret; j++) {
			KUNIT_EXPECT_EQ_MSG(test, pools[j].count,
					    c->pools[j].count, "\"%s\"", c->val);
			KUNIT_EXPECT_EQ_MSG(test, pools[j].length,
					    c->pools[j].length, "\"%s\"", c->val);
		}
	}
}

static void __init cmem_early_reads_as_many_pools_as_a_block_has(struct kunit *test)
{
	struct cmem_pool_config pools[CMEM_MAX_POOLS];
	char val[4 * (CMEM_MAX_POOLS + 1) + 1] = "";
	int i;

	for (i = 0; i < CMEM_MAX_POOLS; i++)
		strcat(val, i ? ",1x1" : "1x1");
	KUNIT_EXPECT_EQ(test, cmem_early_parse_pools(val, pools), CMEM_MAX_POOLS);
	strcat(val, ",1x1");
	KUNIT_EXPECT_EQ(test, cmem_early_parse_pools(val, pools), -E2BIG);
}

struct cmem_early_size_case {
	const char *val;
	int ret;
	u64 size;
};

static const struct cmem_early_size_case cmem_early_size_cases[] __initconst = {
	{ "1", 0, 1 },
	{ "67108864", 0, 64 * M },
	{ "0x4000000", 0, 64 * M },
	{ "64M", 0, 64 * M },
	{ "64m", 0, 64 * M },
	{ "8g", 0, 8 * G },
	{ "0xfffffffffffffffF", 0, U64_MAX },
	{ "", -EINVAL },
	{ "0", -EINVAL },
	{ "0x0", -EINVAL },
	{ "M", -EINVAL },
	{ "64MB", -EINVAL },
	{ "64 M", -EINVAL },
	{ "+64", -EINVAL },
	{ "17179869184G", -EINVAL },
};

static void __init cmem_early_reads_sizes(struct kunit *test)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(cmem_early_size_cases); i++) {
		const struct cmem_early_size_case *c = &cmem_early_size_cases[i];
		u64 size = 0;

		KUNIT_EXPECT_EQ_MSG(test, cmem_early_parse_size(c->val, &size),
				    c->ret, "\"%s\"", c->val);
		KUNIT_EXPECT_EQ_MSG(test, size, c->size, "\"%s\"", c->val);
	}
}

struct cmem_early_regions_case {
	const char *val;
	int ret;
	struct cmem_region_config regions[2];
};

static const struct cmem_early_regions_case cmem_early_regions_cases[] __initconst = {
	{ "64M", 1, { { 0, false, 64 * M } } },
	{ "0x100000@0x50000000", 1, { { 0x50000000, true, M } } },
	{ "1M@0", 1, { { 0, true, M } } },
	{ "64M,32M@1G", 2, { { 0, false, 64 * M }, { G, true, 32 * M } } },
	{ "", -EINVAL },
	{ "64M@", -EINVAL },
	{ "@0x50000000", -EINVAL },
	{ "0@0x50000000", -EINVAL },
	{ "1000@0x50000000", -EINVAL },
	{ "1M@0x50000001", -EINVAL },
	{ "1M@0xfffffffffffff000", -EINVAL },
	{ "1M@0x50000000@1", -EINVAL },
	{ "64M,", -EINVAL },
	{ "1M,1M,1M,1M,1M,1M,1M,1M,1M", -E2BIG },
};

static void __init cmem_early_reads_regions(struct kunit *test)
{
	struct cmem_region_config regions[CMEM_MAX_CARVEOUTS];
	int i, j;

	for (i = 0; i < ARRAY_SIZE(cmem_early_regions_cases); i++) {
		const struct cmem_early_regions_case *c =
			&cmem_early_regions_cases[i];

		KUNIT_EXPECT_EQ_MSG(test, cmem_early_parse_regions(c->val, regions),
				    c->ret, "\"%s\"", c->val);
		for (j = 0; j < c->ret; j++) {
			KUNIT_EXPECT_EQ_MSG(test, regions[j].base,
					    c->regions[j].base, "\"%s\"", c->val);
			KUNIT_EXPECT_EQ_MSG(test, regions[j].fixed,
					    c->regions[j].fixed, "\"%s\"", c->val);
			KUNIT_EXPECT_EQ_MSG(test, regions[j].length,
					    c->regions[j].length, "\"%s\"", c->val);
		}
	}
}

/* Permanent: KUnit reads it again to report the results. */
static struct kunit_case __refdata cmem_early_test_cases[] = {
	KUNIT_CASE(cmem_early_reads_pools),
	KUNIT_CASE(cmem_early_reads_as_many_pools_as_a_block_has),
	KUNIT_CASE(cmem_early_reads_sizes),
	KUNIT_CASE(cmem_early_reads_regions),
	{}
};

static struct kunit_suite cmem_early_test_suite = {
	.name = "cmem_early",
	.test_cases = cmem_early_test_cases,
};

kunit_test_init_section_suites(&cmem_early_test_suite);

MODULE_DESCRIPTION("KUnit tests of CMEM's early parameters");
MODULE_LICENSE("GPL");

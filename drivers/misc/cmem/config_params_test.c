// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the parameter reader: every configuration in the documents of the
 * out-of-tree module, with the documented result, and each possible typing mistake.
 * A mistake must return its errno and log one error line with parameter and value.
 */
#include <linux/device.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "config.h"
#include "config_test_log.h"
#include "kunit.h"

/**
 * struct cmem_params_test - the common fixture
 * @dev: prints the messages
 * @log: the logged messages
 * @config: read by the test
 */
struct cmem_params_test {
	struct device *dev;
	struct cmem_test_log log;
	struct cmem_block_config config;
};

static int cmem_params_test_init(struct kunit *test)
{
	struct cmem_params_test *t;

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	if (!t)
		return -ENOMEM;
	test->priv = t;

	t->dev = kunit_device_register(test, "cmem-params-test");
	if (IS_ERR(t->dev))
		return PTR_ERR(t->dev);
	cmem_test_log_begin(&t->log, t->dev);
	return 0;
}

struct cmem_params_case {
	s32 id;
	struct cmem_block_params params;
	int ret;
	u64 base;
	u64 length;
	unsigned int num_pools;
	struct cmem_pool_config pools[2];
	bool notice;
	const char *words[4];
};

#define SEVEN_POOLS "1x1,1x1,1x1,1x1,1x1,1x1,1x1,"

#define P(start, end, p) { .phys_start = start, .phys_end = end, .pools = p }

static const struct cmem_params_case cmem_params_good_cases[] = {
	/* the configurations in the module's documents, in their order */
	{ 0, P("0x0", "0x3000000", "4x30000,2x500000"), 0,
		0x0, 0x3000000, 2, { { 4, 30000 }, { 2, 500000 } } },
	{ 0, P("0xcaf01000", "0xCB601000", "4x1000"), 0,
		0xcaf01000, 0x700000, 1, { { 4, 1000 } } },
	{ 1, P("0xCB601000", "0xCB701000", "4x1000"), 0,
		0xcb601000, 0x100000, 1, { { 4, 1000 } } },
	{ 0, P("0x40300000", "0x4033FFFF", "4x500"), 0,
		0x40300000, 0x3f000, 1, { { 4, 500 } }, true,
		{ "phys_start=0x40300000", "phys_end=0x4033FFFF", "0x3f000" } },
	{ 1, P("0x4033FFFF", "0x4037ffff", "4x500"), 0,
		0x40340000, 0x3f000, 1, { { 4, 500 } }, true,
		{ "phys_start_1=0x4033FFFF", "phys_end_1=0x4037ffff",
		  "0x3f000" } },
	{ 0, P("0xcaf01000", "0xCB601000", "1x3145728"), 0,
		0xcaf01000, 0x700000, 1, { { 1, 3145728 } } },
	{ 0, P("0x40300000", "0x4037ffff", "1x20000"), 0,
		0x40300000, 0x7f000, 1, { { 1, 20000 } }, true,
		{ "phys_end=0x4037ffff", "0x7f000" } },
	{ 0, P("0x87800000", "0x87F00000", "4x10240"), 0,
		0x87800000, 0x700000, 1, { { 4, 10240 } } },
	{ 1, P("0x87F00000", "0x88000000", "4x10240"), 0,
		0x87f00000, 0x100000, 1, { { 4, 10240 } } },
	{ 0, P("0x88000000", "0x90000000", NULL), 0, 0x88000000, 0x8000000 },

	/* where the user states that there is memory */
	{ 0, { .phys_start = "0x88000000", .phys_end = "0x90000000",
	       .is_memory = true }, 0, 0x88000000, 0x8000000 },

	/* without 0x, in any case, with leading zeros */
	{ 2, P("88000000", "90000000", "1x4096"), 0,
		0x88000000, 0x8000000, 1, { { 1, 4096 } } },
	{ 3, P("0X88000000", "0x0000000090000000", "1x1,0002x008"), 0,
		0x88000000, 0x8000000, 2, { { 1, 1 }, { 2, 8 } } },
	/* with a comma at the end, as in scripts for the module */
	{ 1, P("0x88000000,", "0x90000000,", "1x4096"), 0,
		0x88000000, 0x8000000, 1, { { 1, 4096 } } },
	/* pools that fill a block, each buffer rounded up to a page */
	{ 0, P("0x1000", "0x4000", "1x1,1x4097"), 0,
		0x1000, 0x3000, 2, { { 1, 1 }, { 1, 4097 } } },
	/* 32 pools */
	{ 0, P("0x0", "0x20000",
	       SEVEN_POOLS SEVEN_POOLS SEVEN_POOLS SEVEN_POOLS "1x1,1x1,1x1,1x1"), 0,
		0x0, 0x20000, 32, { { 1, 1 }, { 1, 1 } } },
	/* one page: the last named byte belongs to the next page */
	{ 0, P("0x1001", "0x3fff", "1x4096"), 0,
		0x2000, 0x1000, 1, { { 1, 4096 } }, true, { "0x1000 bytes" } },
#ifdef CONFIG_PHYS_ADDR_T_64BIT
	{ 0, P("0x823000000", "0x880000000", "1x4294967296"), -ENOSPC, 0, 0, 0, {},
		false, { "block 0:", "pools", "0x100000000", "0x5d000000" } },
	{ 0, P("0x823000000", "0xa00000000", "1x4294967296"), 0,
		0x823000000, 0x1dd000000, 1, { { 1, 0x100000000 } } },
#endif
};

static const struct cmem_params_case cmem_params_bad_cases[] = {
	/* documented but impossible: four buffers of 64 KiB in 64 KiB */
	{ 1, P("0x80000000", "0x80010000", "4x65536"), -ENOSPC, 0, 0, 0, {}, false,
		{ "block 1:", "pools_1 needs 0x40000", "has 0x10000" } },
	/* the documents' placeholders for a number and for pools */
	{ 0, P("0x87800000", "0x87F00000", "4xBUFSIZE"), -EINVAL, 0, 0, 0, {}, false,
		{ "block 0:", "pools=4xBUFSIZE", "pool 0 is '4xBUFSIZE'" } },
	{ 1, P("0x87F00000", "0x88000000", "4xBUFSIZE"), -EINVAL, 0, 0, 0, {}, false,
		{ "block 1:", "pools_1=4xBUFSIZE", "pool 0 is '4xBUFSIZE'" } },
	{ 0, P("0x88000000", "0x90000000", "..."), -EINVAL, 0, 0, 0, {}, false,
		{ "block 0:", "pools=...", "decimal" } },

	{ 0, P("0x88000000", NULL, "1x1"), -EINVAL, 0, 0, 0, {}, false,
		{ "phys_start=0x88000000 needs phys_end=" } },
	{ 2, P("0x88000000", NULL, NULL), -EINVAL, 0, 0, 0, {}, false,
		{ "phys_start_2=0x88000000 needs phys_end_2=" } },
	{ 3, P(NULL, "0x88000000", "1x1"), -EINVAL, 0, 0, 0, {}, false,
		{ "phys_end_3=0x88000000 needs phys_start_3=" } },
	{ 0, P("", "0x88000000", NULL), -EINVAL, 0, 0, 0, {}, false,
		{ "phys_start=", "hexadecimal" } },
	{ 0, P("0x", "0x88000000", NULL), -EINVAL, 0, 0, 0, {}, false,
		{ "phys_start=0x ", "hexadecimal" } },
	{ 0, P(",", "0x88000000", NULL), -EINVAL, 0, 0, 0, {}, false,
		{ "phys_start=, ", "hexadecimal" } },
	{ 0, P("0x1000", "0x88000000,,", NULL), -EINVAL, 0, 0, 0, {}, false,
		{ "phys_end=0x88000000,, ", "hexadecimal" } },
	{ 0, P("junk", "0x88000000", NULL), -EINVAL, 0, 0, 0, {}, false,
		{ "phys_start=junk", "hexadecimal" } },
	{ 0, P("0x88000000", "0x90000000h", NULL), -EINVAL, 0, 0, 0, {}, false,
		{ "phys_end=0x90000000h", "hexadecimal" } },
	{ 0, P("0x88000000", "128M", NULL), -EINVAL, 0, 0, 0, {}, false,
		{ "phys_end=128M", "hexadecimal" } },
	{ 0, P("-1", "0x90000000", NULL), -EINVAL, 0, 0, 0, {}, false,
		{ "phys_start=-1", "hexadecimal" } },
	{ 0, P("+1000", "0x90000000", NULL), -EINVAL, 0, 0, 0, {}, false,
		{ "phys_start=+1000", "hexadecimal" } },
	{ 1, P("0x10000000000000000", "0x90000000", NULL), -ERANGE, 0, 0, 0, {}, false,
		{ "phys_start_1=0x10000000000000000", "64 bits" } },
	{ 0, P("0x88000000", "0x88000000", NULL), -EINVAL, 0, 0, 0, {}, false,
		{ "phys_end=0x88000000 is not above phys_start=0x88000000" } },
	{ 0, P("0x90000000", "0x88000000", NULL), -EINVAL, 0, 0, 0, {}, false,
		{ "phys_end=0x88000000 is not above phys_start=0x90000000" } },
	/* up to the end of the 64-bit range: wraps around */
	{ 0, P("0xfffffffffffff000", "0x0", NULL), -EINVAL, 0, 0, 0, {}, false,
		{ "phys_end=0x0 is not above" } },
	{ 0, P("0xfffffffffffff001", "0xffffffffffffffff", NULL), -EINVAL, 0, 0, 0, {},
		false, { "phys_end=0xffffffffffffffff" } },
#ifndef CONFIG_PHYS_ADDR_T_64BIT
	{ 0, P("0xf0000000", "0x100001000", NULL), -EINVAL, 0, 0, 0, {}, false,
		{ "phys_end=0x100001000", "beyond" } },
#endif
	{ 0, P("0x88000000", "0x88000fff", NULL), -EINVAL, 0, 0, 0, {}, false,
		{ "phys_start=0x88000000", "less than a page" } },
	{ 0, P("0x88000001", "0x88001fff", NULL), -EINVAL, 0, 0, 0, {}, false,
		{ "phys_end=0x88001fff", "less than a page" } },
	{ 0, P("0x88000001", "0x88000002", NULL), -EINVAL, 0, 0, 0, {}, false,
		{ "phys_end=0x88000002", "less than a page" } },

	{ 0, P("0x0", "0x100000", ""), -EINVAL, 0, 0, 0, {}, false,
		{ "pools=:", "decimal" } },
	{ 0, P("0x0", "0x100000", "4"), -EINVAL, 0, 0, 0, {}, false,
		{ "pools=4:", "pool 0 is '4'" } },
	{ 0, P("0x0", "0x100000", "x4096"), -EINVAL, 0, 0, 0, {}, false,
		{ "pools=x4096:", "pool 0 is 'x4096'" } },
	{ 0, P("0x0", "0x100000", "4x"), -EINVAL, 0, 0, 0, {}, false,
		{ "pools=4x:", "pool 0 is '4x'" } },
	{ 0, P("0x0", "0x100000", "4x4096,"), -EINVAL, 0, 0, 0, {}, false,
		{ "pools=4x4096,:", "pool 1 is ''" } },
	{ 0, P("0x0", "0x100000", ",4x4096"), -EINVAL, 0, 0, 0, {}, false,
		{ "pools=,4x4096:", "pool 0 is ''" } },
	{ 0, P("0x0", "0x100000", "4x4096,,1x1"), -EINVAL, 0, 0, 0, {}, false,
		{ "pool 1 is ''" } },
	{ 2, P("0x0", "0x100000", "4x0x1000"), -EINVAL, 0, 0, 0, {}, false,
		{ "pools_2=4x0x1000:", "pool 0 is '4x0x1000'", "decimal" } },
	{ 0, P("0x0", "0x100000", "0x4x1000"), -EINVAL, 0, 0, 0, {}, false,
		{ "pool 0 is '0x4x1000'", "decimal" } },
	{ 0, P("0x0", "0x100000", "1x1000h"), -EINVAL, 0, 0, 0, {}, false,
		{ "pool 0 is '1x1000h'", "decimal" } },
	{ 0, P("0x0", "0x100000", "4x64K"), -EINVAL, 0, 0, 0, {}, false,
		{ "pool 0 is '4x64K'", "decimal" } },
	{ 0, P("0x0", "0x100000", "-4x4096"), -EINVAL, 0, 0, 0, {}, false,
		{ "pool 0 is '-4x4096'", "decimal" } },
	{ 0, P("0x0", "0x100000", "4 x4096"), -EINVAL, 0, 0, 0, {}, false,
		{ "pool 0 is '4 x4096'", "decimal" } },
	{ 0, P("0x0", "0x100000", "1x1,0x4096"), -EINVAL, 0, 0, 0, {}, false,
		{ "pools: pool 1 has 0 buffers of 4096" } },
	{ 0, P("0x0", "0x100000", "4x0"), -EINVAL, 0, 0, 0, {}, false,
		{ "pools: pool 0 has 4 buffers of 0" } },
	{ 0, P("0x0", "0x100000", "4294967296x1"), -ERANGE, 0, 0, 0, {}, false,
		{ "'4294967296x1'", "too large" } },
	{ 0, P("0x0", "0x100000", "1x18446744073709551616"), -ERANGE, 0, 0, 0, {}, false,
		{ "'1x18446744073709551616'", "too large" } },
	{ 0, P("0x0", "0x100000", "1x100000000000000000000000"), -ERANGE, 0, 0, 0, {},
		false, { "'1x100000000000000000000000'", "too large" } },
	{ 0, P("0x0", "0x100000", "4294967295x1"), -EOVERFLOW, 0, 0, 0, {}, false,
		{ "pool 0 of 4294967295 buffers" } },
	{ 0, P("0x0", "0x100000", "1x18446744073709551615"), -EOVERFLOW, 0, 0, 0, {}, false,
		{ "0xffffffffffffffff", "larger than any memory" } },
	{ 0, P("0x0", "0x100000", "16x1152921504606846976"), -EOVERFLOW, 0, 0, 0, {}, false,
		{ "16 buffers of 0x1000000000000000" } },
	{ 0, P("0x0", "0x100000", "1x9223372036854775808,1x9223372036854775808"),
		-EOVERFLOW, 0, 0, 0, {}, false, { "pool 1 of 1 buffers" } },
	{ 0, P("0x1000", "0x3000", "1x1,1x4097"), -ENOSPC, 0, 0, 0, {}, false,
		{ "pools needs 0x3000", "rounded up to 4096", "has 0x2000" } },
	{ 3, P("0x0", "0x100000",
	       SEVEN_POOLS SEVEN_POOLS SEVEN_POOLS SEVEN_POOLS "1x1,1x1,1x1,1x1,1x1"),
		-E2BIG, 0, 0, 0, {}, false, { "pools_3=", "more than 32 pools" } },
};

static void cmem_params_describe(const struct cmem_params_case *c, char *text)
{
	snprintf(text, KUNIT_PARAM_DESC_SIZE, "%d: %s %s %s", c->id,
		 c->params.phys_start ?: "-", c->params.phys_end ?: "-",
		 c->params.pools ?: "-");
}

KUNIT_ARRAY_PARAM(cmem_params_good, cmem_params_good_cases, cmem_params_describe);
KUNIT_ARRAY_PARAM(cmem_params_bad, cmem_params_bad_cases, cmem_params_describe);

static void cmem_params_reads_a_block(struct kunit *test)
{
	const struct cmem_params_case *c = test->param_value;
	struct cmem_params_test *t = test->priv;
	int i;

	if (PAGE_SIZE != SZ_4K)
		kunit_skip(test, "the numbers are those of pages of 4 KiB");

	/* Old contents must not remain. */
	memset(&t->config, 0xa5, sizeof(t->config));
	t->config.id = c->id;
	KUNIT_EXPECT_EQ(test, cmem_config_param_block(t->dev, &c->params,
						      &t->config), c->ret);
	KUNIT_EXPECT_EQ(test, t->config.id, c->id);
	KUNIT_EXPECT_EQ(test, t->config.num_pools, c->num_pools);
	if (c->ret) {
		cmem_test_log_expect(test, &t->log, "<3>", c->words,
				     ARRAY_SIZE(c->words));
		return;
	}

	KUNIT_EXPECT_EQ(test, (u64)t->config.base, c->base);
	KUNIT_EXPECT_EQ(test, t->config.length, c->length);
	KUNIT_EXPECT_FALSE(test, t->config.keep_contents);
	KUNIT_EXPECT_EQ(test, t->config.is_memory, c->params.is_memory);
	KUNIT_EXPECT_FALSE(test, t->config.shared);
	KUNIT_EXPECT_FALSE(test, t->config.placed_by_kernel);
	for (i = 0; i < c->num_pools && i < ARRAY_SIZE(c->pools); i++) {
		KUNIT_EXPECT_EQ(test, t->config.pools[i].count,
				c->pools[i].count);
		KUNIT_EXPECT_EQ(test, t->config.pools[i].length,
				c->pools[i].length);
	}
	if (c->notice)
		cmem_test_log_expect(test, &t->log, "<5>", c->words,
				     ARRAY_SIZE(c->words));
	else
		cmem_test_log_expect_silence(test, &t->log);
}

/* How long memory that is not freed stays in quarantine */

struct cmem_params_quarantine_case {
	const char *text;
	int ret;
	u32 ms;
};

static const struct cmem_params_quarantine_case cmem_params_quarantine_cases[] = {
	{ "0", 0, 0 },
	{ "1", 0, 1 },
	{ "0005000", 0, 5000 },
	{ "2147483647", 0, CMEM_MAX_QUARANTINE_MS },
	{ "2147483648", -ERANGE },
	{ "18446744073709551616", -ERANGE },
	{ "1000000000000000000000000", -ERANGE },
	{ "", -EINVAL },
	{ "-1", -EINVAL },
	{ "0x10", -EINVAL },
	{ "5s", -EINVAL },
	{ "yes", -EINVAL },
};

KUNIT_ARRAY_PARAM_DESC(cmem_params_quarantine, cmem_params_quarantine_cases, text);

static void cmem_params_reads_quarantine(struct kunit *test)
{
	const struct cmem_params_quarantine_case *c = test->param_value;
	static const char * const words[] = {
		"block 2:", "quarantine_2=", "milliseconds"
	};
	struct cmem_block_params params = P("0x88000000", "0x90000000", NULL);
	struct cmem_params_test *t = test->priv;

	params.quarantine = (char *)c->text;
	t->config.id = 2;
	KUNIT_EXPECT_EQ(test, cmem_config_param_block(t->dev, &params,
						      &t->config), c->ret);
	KUNIT_EXPECT_EQ(test, t->config.quarantine.all, !c->ret);
	KUNIT_EXPECT_EQ(test, t->config.quarantine.ms, c->ms);
	if (c->ret)
		cmem_test_log_expect(test, &t->log, "<3>", words,
				     ARRAY_SIZE(words));
	else
		cmem_test_log_expect_silence(test, &t->log);
}

/* Amounts of memory, as for cmem.quota= and cmem.cma_share= */

struct cmem_amount_case {
	const char *text;
	int ret;
	u64 pages;
	unsigned long is;
};

static const struct cmem_amount_case cmem_amount_cases[] = {
	{ "none",		0, 1000, ULONG_MAX },
	{ "0",			0, 1000, 0 },
	{ "0%",			0, 1000, 0 },
	{ "1%",			0, 99, 0 },
	{ "1%",			0, 100, 1 },
	{ "25%",		0, 1023, 255 },
	{ "100%",		0, 1023, 1023 },
	{ "33%",		0, 1ULL << 31, 708669603 },
	{ "64K",		0, 1, SZ_64K >> PAGE_SHIFT },
	{ "16m",		0, 1, SZ_16M >> PAGE_SHIFT },
	{ "2G",			0, 1, SZ_2G >> PAGE_SHIFT },
	{ "0x100000",		0, 1, SZ_1M >> PAGE_SHIFT },
	{ "1",			0, 1, 0 },
	{ "101%",		-EINVAL },
	{ "1K%",		-EINVAL },
	{ "%",			-EINVAL },
	{ "5%%",		-EINVAL },
	{ "-1",			-EINVAL },
	{ "+1",			-EINVAL },
	{ " 1",			-EINVAL },
	{ "1 ",			-EINVAL },
	{ "",			-EINVAL },
	{ "K",			-EINVAL },
	{ "1KB",		-EINVAL },
	{ "nonesuch",		-EINVAL },
};

KUNIT_ARRAY_PARAM_DESC(cmem_amount, cmem_amount_cases, text);

static void cmem_params_read_amounts(struct kunit *test)
{
	const struct cmem_amount_case *c = test->param_value;
	struct cmem_amount amount;

	KUNIT_EXPECT_EQ(test, cmem_amount_parse(c->text, &amount), c->ret);
	if (c->ret)
		return;
	KUNIT_EXPECT_TRUE(test, amount.given);
	KUNIT_EXPECT_EQ(test, cmem_amount_pages(&amount, c->pages), c->is);
}

static const struct cmem_again_case {
	const char *name;
	struct cmem_quarantine_config region, asked, is;
} cmem_again_cases[] = {
	{ "board: nothing; caller: nothing" },
	{ "board: nothing; caller: all buffers", { }, { .all = true }, { .all = true } },
	{ "board: nothing; caller: a time", { }, { .ms = 5 }, { .ms = 5 } },
	{ "board: a time; caller: nothing", { .ms = 60000 }, { }, { .ms = 60000 } },
	{ "board: a time; caller: a shorter one", { .ms = 60000 }, { .ms = 1 }, { .ms = 60000 } },
	{ "board: a time; caller: a longer one", { .ms = 5 }, { .ms = 6 }, { .ms = 6 } },
	{ "board: a time; caller: all buffers", { .ms = 5 }, { .all = true }, { .all = true } },
	{ "board: all buffers; caller: nothing", { .all = true }, { }, { .all = true } },
	{ "board: all buffers; caller: a time", { .all = true }, { .ms = 1 }, { .all = true } },
	{ "board: all buffers, a time; caller: nothing",
	  { .all = true, .ms = 5 }, { }, { .all = true, .ms = 5 } },
	{ "board: all buffers, a time; caller: a shorter one",
	  { .all = true, .ms = 5 }, { .all = true, .ms = 1 }, { .all = true, .ms = 5 } },
	{ "board: all buffers, a time; caller: all buffers",
	  { .all = true, .ms = 5 }, { .all = true }, { .all = true } },
	{ "board: a processor; caller: nothing",
	  { .num_rprocs = 1, .rprocs = { 7 } }, { }, { .num_rprocs = 1, .rprocs = { 7 } } },
	{ "board: a processor; caller: a time",
	  { .num_rprocs = 1, .rprocs = { 7 } }, { .ms = 1 }, { .num_rprocs = 1, .rprocs = { 7 } } },
};

KUNIT_ARRAY_PARAM_DESC(cmem_again, cmem_again_cases, name);

static void cmem_params_keep_quarantine(struct kunit *test)
{
	const struct cmem_again_case *c = test->param_value;
	struct cmem_quarantine_config config = c->asked;

	cmem_config_add_quarantine(&c->region, &config);
	KUNIT_EXPECT_MEMEQ(test, &config, &c->is, sizeof(config));
}

static struct kunit_case cmem_params_cases[] = {
	KUNIT_CASE_PARAM(cmem_params_keep_quarantine, cmem_again_gen_params),
	KUNIT_CASE_PARAM(cmem_params_read_amounts, cmem_amount_gen_params),
	KUNIT_CASE_PARAM(cmem_params_reads_a_block, cmem_params_good_gen_params),
	KUNIT_CASE_PARAM(cmem_params_reads_a_block, cmem_params_bad_gen_params),
	KUNIT_CASE_PARAM(cmem_params_reads_quarantine, cmem_params_quarantine_gen_params),
	{}
};

static struct kunit_suite cmem_params_suite = {
	.name = "cmem_config_params",
	.init = cmem_params_test_init,
	.test_cases = cmem_params_cases,
};

kunit_test_suite(cmem_params_suite);

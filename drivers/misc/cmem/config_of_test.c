// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the device tree reader.
 *
 * The trees are in config_of_test.dtso: good ones, and each mistake that a board
 * author can make. A mistake must give its errno, and one line in the log, an
 * error, that names block, property and value.
 *
 * Memory is reserved at boot, which an overlay can't do. So one test reads the
 * regions that the machine was booted with; the device tree in lab/kunit has some
 * of each kind.
 */
#include <linux/device.h>
#include <linux/mm.h>
#include <linux/of.h>
#include <linux/of_address.h>
#include <linux/of_reserved_mem.h>
#include <linux/string.h>

#include "config.h"
#include "config_of_test.h"
#include "config_test_log.h"
#include "kunit.h"

static int cmem_config_test_overlay;

/* Applied once: the time grows with the square of its size. */
static int cmem_config_suite_init(struct kunit_suite *suite)
{
	cmem_config_test_overlay = 0;
	if (!of_root)
		return 0;

	return of_overlay_fdt_apply(__dtbo_config_of_test_begin,
				    __dtbo_config_of_test_end -
				    __dtbo_config_of_test_begin,
				    &cmem_config_test_overlay, NULL);
}

static void cmem_config_suite_exit(struct kunit_suite *suite)
{
	if (cmem_config_test_overlay)
		of_overlay_remove(&cmem_config_test_overlay);
}

/**
 * struct cmem_config_test - the common fixture
 * @dev: prints the messages
 * @root: parent of all trees
 * @log: the logged messages
 * @config: read by the test
 */
struct cmem_config_test {
	struct device *dev;
	struct device_node *root;
	struct cmem_test_log log;
	struct cmem_block_config config;
};

static int cmem_config_test_init(struct kunit *test)
{
	struct cmem_config_test *t;

	if (!of_root)
		kunit_skip(test, "no device tree to add to");

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	if (!t)
		return -ENOMEM;
	test->priv = t;

	t->dev = kunit_device_register(test, "cmem-test");
	if (IS_ERR(t->dev))
		return PTR_ERR(t->dev);

	t->root = of_find_node_by_path("/cmem-test");
	if (!t->root)
		return -ENODEV;
	of_node_put_kunit(test, t->root);

	cmem_test_log_begin(&t->log, t->dev);
	return 0;
}

static void cmem_config_expect_silence(struct kunit *test)
{
	struct cmem_config_test *t = test->priv;

	cmem_test_log_expect_silence(test, &t->log);
}

/* One error that contains all of these words */
static void cmem_config_expect_error(struct kunit *test,
				     const char * const *words, int num_words)
{
	struct cmem_config_test *t = test->priv;

	cmem_test_log_expect(test, &t->log, "<3>", words, num_words);
}

/* The node that represents a ti,cmem node */
static struct device_node *cmem_config_test_node(struct kunit *test,
						 const char *name)
{
	struct cmem_config_test *t = test->priv;
	struct device_node *node = of_get_child_by_name(t->root, name);

	KUNIT_ASSERT_NOT_NULL(test, node);
	of_node_put_kunit(test, node);
	return node;
}

static struct device_node *cmem_config_test_block(struct kunit *test,
						  struct device_node *node)
{
	struct device_node *block = of_get_next_child(node, NULL);

	KUNIT_ASSERT_NOT_NULL(test, block);
	of_node_put_kunit(test, block);
	return block;
}

/* #pool-size-cells */

struct cmem_cells_case {
	const char *name;
	int cells;
	const char *words[2];
};

static const struct cmem_cells_case cmem_cells_cases[] = {
	{ "cells-default",	1 },
	{ "cells-one",		1 },
	{ "cells-two",		2 },
	{ "cells-zero",		-EINVAL, { "#pool-size-cells", "<0>" } },
	{ "cells-three",	-EINVAL, { "#pool-size-cells", "<3>" } },
	{ "cells-max",		-EINVAL, { "#pool-size-cells", "<4294967295>" } },
	{ "cells-empty",	-EINVAL, { "#pool-size-cells" } },
	{ "cells-short",	-EINVAL, { "#pool-size-cells" } },
};

KUNIT_ARRAY_PARAM_DESC(cmem_cells, cmem_cells_cases, name);

static void cmem_config_reads_pool_cells(struct kunit *test)
{
	const struct cmem_cells_case *c = test->param_value;
	struct cmem_config_test *t = test->priv;
	struct device_node *node = cmem_config_test_node(test, c->name);

	KUNIT_EXPECT_EQ(test, cmem_config_pool_cells(t->dev, node), c->cells);
	if (c->cells < 0)
		cmem_config_expect_error(test, c->words, ARRAY_SIZE(c->words));
	else
		cmem_config_expect_silence(test);
}

/* cmem-buf-pools, in a block of a given length in bytes */

struct cmem_pools_case {
	const char *name;
	u64 length;
	int ret;
	unsigned int num_pools;
	struct cmem_pool_config pools[2];
	const char *words[3];
};

static const struct cmem_pools_case cmem_pools_cases[] = {
	{ "pools-none",			0x10000000 },
	{ "pools-one-cell",		0x10000000, 0, 2,
		{ { 1, 0x0c000000 }, { 4, 0x01000000 } } },
	{ "pools-one-cell",		0x10010000, 0, 2,
		{ { 1, 0x0c000000 }, { 4, 0x01000000 } } },
	{ "pools-one-cell",		0x0fffffff, -ENOSPC, 0, {},
		{ "block 7:", "cmem-buf-pools", "0x10000000" } },
	{ "pools-one-cell",		0x10000000 - PAGE_SIZE, -ENOSPC, 0, {},
		{ "block 7:", "cmem-buf-pools", "0x10000000" } },
	{ "pools-two-cells",		0x0c000000, 0, 1, { { 1, 0x0c000000 } } },
	{ "pools-two-cells",		0x0bffffff, -ENOSPC, 0, {},
		{ "block 7:", "cmem-buf-pools", "0xc000000" } },
	{ "pools-in-one-list",		0x10000000, 0, 2,
		{ { 1, 0x0c000000 }, { 4, 0x01000000 } } },
	{ "pools-of-4-gib",		0x300010000, 0, 2,
		{ { 3, 0x100000000 }, { 1, 0x1000 } } },
	/* each buffer is rounded up to pages, the requested size is kept */
	{ "pools-of-bytes",		3 * PAGE_SIZE, 0, 1, { { 3, 1 } } },
	{ "pools-of-bytes",		3 * PAGE_SIZE - 1, -ENOSPC, 0, {},
		{ "block 7:", "cmem-buf-pools" } },
	{ "pools-of-bytes",		2 * PAGE_SIZE, -ENOSPC, 0, {},
		{ "block 7:", "cmem-buf-pools" } },
	{ "pools-32",			32 * PAGE_SIZE, 0, 32,
		{ { 1, 1 }, { 1, 1 } } },
	{ "pools-33",			U64_MAX, -E2BIG, 0, {},
		{ "block 7:", "cmem-buf-pools", "33" } },
	{ "pools-empty",		U64_MAX, -EINVAL, 0, {},
		{ "block 7:", "cmem-buf-pools", "0 bytes" } },
	{ "pools-no-size",		U64_MAX, -EINVAL, 0, {},
		{ "block 7:", "cmem-buf-pools", "12 bytes" } },
	{ "pools-one-cell-for-two",	U64_MAX, -EINVAL, 0, {},
		{ "block 7:", "cmem-buf-pools", "is <2>: must be <1>" } },
	{ "pools-two-cells-for-one",	U64_MAX, -EINVAL, 0, {},
		{ "block 7:", "cmem-buf-pools", "missing, or <1>: must be <2>" } },
	{ "pools-two-cells-for-one-odd", U64_MAX, -EINVAL, 0, {},
		{ "block 7:", "cmem-buf-pools", "missing, or <1>: must be <2>" } },
	{ "pools-no-cells",		U64_MAX, -EINVAL, 0, {},
		{ "block 7:", "cmem-buf-pools", "3 bytes" } },
	{ "pools-count-zero",		U64_MAX, -EINVAL, 0, {},
		{ "block 7:", "cmem-buf-pools", "pool 1" } },
	{ "pools-size-zero",		U64_MAX, -EINVAL, 0, {},
		{ "block 7:", "cmem-buf-pools", "5 buffers of 0" } },
	{ "pools-count-max",		U64_MAX, -EOVERFLOW, 0, {},
		{ "block 7:", "cmem-buf-pools", "4294967295" } },
	{ "pools-size-overflow",	U64_MAX, -EOVERFLOW, 0, {},
		{ "block 7:", "cmem-buf-pools", "0xffffffffffffffff" } },
	{ "pools-product-overflow",	U64_MAX, -EOVERFLOW, 0, {},
		{ "block 7:", "cmem-buf-pools", "0x8000000000000000" } },
	{ "pools-sum-overflow",		U64_MAX, -EOVERFLOW, 0, {},
		{ "block 7:", "cmem-buf-pools", "pool 1" } },
};

static void cmem_pools_describe(const struct cmem_pools_case *c, char *text)
{
	snprintf(text, KUNIT_PARAM_DESC_SIZE, "%s in %#llx bytes", c->name,
		 c->length);
}

KUNIT_ARRAY_PARAM(cmem_pools, cmem_pools_cases, cmem_pools_describe);

static void cmem_config_reads_pools(struct kunit *test)
{
	const struct cmem_pools_case *c = test->param_value;
	struct cmem_config_test *t = test->priv;
	struct device_node *node = cmem_config_test_node(test, c->name);
	struct device_node *block = cmem_config_test_block(test, node);
	int i, cells = cmem_config_pool_cells(t->dev, node);

	KUNIT_ASSERT_GT(test, cells, 0);
	t->config.id = 7;
	KUNIT_EXPECT_EQ(test, cmem_config_of_pools(t->dev, block, cells,
						   c->length, &t->config),
			c->ret);
	KUNIT_EXPECT_EQ(test, t->config.num_pools, c->num_pools);
	if (c->ret) {
		cmem_config_expect_error(test, c->words, ARRAY_SIZE(c->words));
		return;
	}

	cmem_config_expect_silence(test);
	for (i = 0; i < c->num_pools && i < ARRAY_SIZE(c->pools); i++) {
		KUNIT_EXPECT_EQ(test, t->config.pools[i].count,
				c->pools[i].count);
		KUNIT_EXPECT_EQ(test, t->config.pools[i].length,
				c->pools[i].length);
	}
}

/* Unknown properties */

struct cmem_names_case {
	const char *name;
	bool is_block;
	const char *words[3];
};

static const struct cmem_names_case cmem_names_cases[] = {
	{ "names-good",		false },
	{ "names-good",		true },
	{ "names-of-block",	true,
		{ "/cmem-test/names-of-block/cmem_block@7: cmem-buf-pool is",
		  "a misspelt cmem-buf-pools?" } },
	{ "names-without-cmem",	true,
		{ ": buf-pools is", "a misspelt cmem-buf-pools?" } },
	{ "names-underscore",	true,
		{ ": ti,keep_contents is", "a misspelt ti,keep-contents?" } },
	{ "names-of-node",	false,
		{ "/cmem-test/names-of-node: #pools-size-cells is",
		  "a misspelt #pool-size-cells?" } },
	{ "names-too-low",	true,
		{ ": #pool-size-cells is", "the node of ti,cmem" } },
	{ "names-too-high",	false,
		{ ": ti,keep-contents is", "the node of a block" } },
};

KUNIT_ARRAY_PARAM_DESC(cmem_names, cmem_names_cases, name);

static void cmem_config_tells_wrong_names(struct kunit *test)
{
	const struct cmem_names_case *c = test->param_value;
	struct cmem_config_test *t = test->priv;
	struct device_node *node = cmem_config_test_node(test, c->name);

	if (c->is_block)
		node = cmem_config_test_block(test, node);
	cmem_config_of_check_names(t->dev, node, c->is_block);
	if (c->words[0])
		cmem_test_log_expect(test, &t->log, "<4>", c->words,
				     ARRAY_SIZE(c->words));
	else
		cmem_config_expect_silence(test);
}

/* Each once: a disabled node, and pools outside of our nodes */
static void cmem_config_notes_unused(struct kunit *test)
{
	struct cmem_config_test *t = test->priv;
	int disabled = 0, pools = 0;
	const char *line;

	if (!IS_ENABLED(CONFIG_PRINTK))
		kunit_skip(test, "nothing is logged");
	cmem_config_of_note_unused(t->dev);
	while ((line = cmem_test_log_line(&t->log))) {
		KUNIT_EXPECT_EQ_MSG(test, strncmp(line, "<5>", 3), 0,
				    "no notice: %s", line);
		disabled += !!strstr(line, "/cmem-test/unused is disabled");
		pools += !!strstr(line, "/cmem-test/pools-32/cmem_block@7 has cmem-buf-pools");
	}
	KUNIT_EXPECT_EQ(test, disabled, 1);
	KUNIT_EXPECT_EQ(test, pools, 1);
}

/* ti,user-quota and ti,user-quota-percent */

struct cmem_quota_case {
	const char *name;
	int ret;
	struct cmem_amount quota;
	const char *words[3];
};

static const struct cmem_quota_case cmem_quota_cases[] = {
	{ "pools-none",			0, { false, 0, 0 } },
	{ "quota-bytes",		0, { true, 0, 0x4000000 } },
	{ "quota-two-cells",		0, { true, 0, 0x180000000 } },
	{ "quota-percent",		0, { true, 25, 0 } },
	{ "quota-nothing",		0, { true, 0, 0 } },
	{ "quota-long",			-EINVAL, {},
		{ "block 7:", "ti,user-quota", "8 bytes" } },
	{ "quota-short",		-EINVAL, {},
		{ "block 7:", "ti,user-quota", "4 bytes" } },
	{ "quota-too-much",		-EINVAL, {},
		{ "block 7:", "ti,user-quota-percent", "101" } },
	{ "quota-both",			-EINVAL, {},
		{ "block 7:", "ti,user-quota-percent", "beside ti,user-quota" } },
};

KUNIT_ARRAY_PARAM_DESC(cmem_quota, cmem_quota_cases, name);

static void cmem_config_reads_quotas(struct kunit *test)
{
	const struct cmem_quota_case *c = test->param_value;
	struct cmem_config_test *t = test->priv;
	struct device_node *node = cmem_config_test_node(test, c->name);
	struct device_node *block = cmem_config_test_block(test, node);
	int cells = cmem_config_pool_cells(t->dev, node);

	KUNIT_ASSERT_GT(test, cells, 0);
	t->config.id = 7;
	KUNIT_EXPECT_EQ(test, cmem_config_of_quota(t->dev, block, cells,
						   &t->config), c->ret);
	if (c->ret) {
		cmem_config_expect_error(test, c->words, ARRAY_SIZE(c->words));
		return;
	}
	cmem_config_expect_silence(test);
	KUNIT_EXPECT_EQ(test, t->config.quota.given, c->quota.given);
	KUNIT_EXPECT_EQ(test, t->config.quota.percent, c->quota.percent);
	KUNIT_EXPECT_EQ(test, t->config.quota.bytes, c->quota.bytes);
}

/* ti,dma-heap-names and ti,dma-heap-pools */

struct cmem_dma_heap_case {
	const char *name;
	int ret;
	bool from_pools;
	const char *names;
	const char *words[3];
};

#define TEST_LONGEST	"a23456789012345678901234567890123456789012345678901234567890123"

static const struct cmem_dma_heap_case cmem_dma_heap_cases[] = {
	{ "pools-none",		0, false, "" },
	{ "heap-no-names",	0, true, "" },
	{ "heap-names",		0, false, "linux,cma:reserved:a-uncached" },
	{ "heap-longest",	0, false, TEST_LONGEST },
	{ "heap-too-long",	-EINVAL, false, "",
		{ "block 7:", "ti,dma-heap-names", "1 to 63" } },
	{ "heap-cells",		-EINVAL, false, "",
		{ "block 7:", "ti,dma-heap-names", "one or more strings" } },
	{ "heap-half",		-EINVAL, false, "",
		{ "block 7:", "ti,dma-heap-names", "one or more strings" } },
	{ "heap-empty",		-EINVAL, false, "",
		{ "block 7:", "ti,dma-heap-names", "''" } },
	{ "heap-colon",		-EINVAL, false, "",
		{ "block 7:", "ti,dma-heap-names", "a colon" } },
	{ "heap-slash",		-EINVAL, false, "",
		{ "block 7:", "ti,dma-heap-names", "'../a'" } },
	{ "heap-ours",		-EINVAL, false, "",
		{ "block 7:", "ti,dma-heap-names", "'cmem-0'" } },
	{ "heap-many",		-EOVERFLOW, false, "",
		{ "block 7:", "ti,dma-heap-names", "at most 255" } },
};

KUNIT_ARRAY_PARAM_DESC(cmem_dma_heap, cmem_dma_heap_cases, name);

static void cmem_config_reads_dma_heaps(struct kunit *test)
{
	const struct cmem_dma_heap_case *c = test->param_value;
	struct cmem_config_test *t = test->priv;
	struct device_node *node = cmem_config_test_node(test, c->name);

	t->config.id = 7;
	KUNIT_EXPECT_EQ(test, cmem_config_of_dma_heap(t->dev, node, &t->config),
			c->ret);
	KUNIT_EXPECT_STREQ(test, t->config.dma_heap.names, c->names);
	if (c->ret) {
		cmem_config_expect_error(test, c->words, ARRAY_SIZE(c->words));
		return;
	}
	cmem_config_expect_silence(test);
	KUNIT_EXPECT_EQ(test, t->config.dma_heap.from_pools, c->from_pools);
}

/* reg, memory-region and sram of a block */

struct cmem_block_case {
	const char *name;
	int ret;
	const char *words[3];
};

static const struct cmem_block_case cmem_block_cases[] = {
	{ "block-no-reg",		-ENOENT,
		{ "/cmem_block", "reg" } },
	{ "block-empty-reg",		-EINVAL,
		{ "/cmem_block@", "reg" } },
	{ "block-long-reg",		-EINVAL,
		{ "/cmem_block@", "reg" } },
	{ "block-short-reg",		-EINVAL,
		{ "/cmem_block@", "reg" } },
	{ "block-negative-reg",		-EINVAL,
		{ "/cmem_block@", "reg", "<4294967295>" } },
	{ "block-no-memory",		-ENOENT,
		{ "block 7:", "memory-region" } },
	{ "block-dangling-memory",	-ENOENT,
		{ "block 7:", "memory-region" } },
	{ "block-two-regions",		-EINVAL,
		{ "block 7:", "memory-region", "2 nodes" } },
	{ "block-memory-and-sram",	-EINVAL,
		{ "block 7:", "memory-region", "sram" } },
	{ "block-not-reserved",		-ENODEV,
		{ "block 7:", "memory-region", "/cmem-test/not-reserved" } },
	{ "block-of-dsp",		-EBUSY,
		{ "block 7:", "/cmem-test/firmware is for /cmem-test-dsp",
		  "ti,shared-region" } },
	{ "block-of-dsp-behind-a-hole",	-EBUSY,
		{ "block 7:", "/cmem-test/firmware-more is for /cmem-test-dsp" } },
	{ "block-of-disabled-dsp",	-ENODEV,
		{ "block 7:", "/cmem-test/firmware-off was not reserved" } },
	{ "block-of-driver",		-EBUSY,
		{ "block 7:", "/cmem-test/for-driver is for a driver",
		  "cmem,test-log" } },
	{ "block-shared-on-purpose",	-ENODEV,
		{ "block 7:", "/cmem-test/firmware was not reserved" } },
	{ "sram-of-dsp",		-EBUSY,
		{ "block 7:", "sram /cmem-test/sram@40600000/sram@170000 is for /cmem-test-dsp" } },
	{ "sram-dangling",		-ENOENT,
		{ "block 7:", "sram refers to no node" } },
	{ "sram-two",			-EINVAL,
		{ "block 7:", "sram", "2 nodes" } },
	{ "sram-other",			-EINVAL,
		{ "block 7:", "sram /cmem-test/on-chip is neither" } },
	{ "sram-with-parts",		-EINVAL,
		{ "block 7:", "sram /cmem-test/sram@40600000", "partitions" } },
	{ "sram-ragged",		-EINVAL,
		{ "block 7:", "sram@10f800 is 0x21000 bytes at",
		  "0x20000 bytes at 0x40710000 would" } },
	{ "sram-small",			-EINVAL,
		{ "block 7:", "sram@133800 is 0x1000 bytes", "whole pages of" } },
	{ "sram-disabled-part",		-ENODEV,
		{ "block 7:", "sram@140000 is disabled" } },
	{ "sram-disabled",		-ENODEV,
		{ "block 7:", "sram@40800000 is disabled" } },
	{ "sram-of-disabled",		-ENODEV,
		{ "block 7:", "sram@40800000/sram@0 is disabled" } },
	{ "sram-no-memory-wc",		-EINVAL,
		{ "block 7:", "sram@40900000 has no-memory-wc" } },
	{ "sram-protect-exec",		-EINVAL,
		{ "block 7:", "sram@150000 has protect-exec" } },
	{ "sram-no-reg",		-EINVAL,
		{ "block 7:", "sram-no-reg has no address", "ranges" } },
	{ "sram-pools",			-ENOSPC,
		{ "block 7:", "cmem-buf-pools", "0x100000" } },
};

KUNIT_ARRAY_PARAM_DESC(cmem_block, cmem_block_cases, name);

static void cmem_config_refuses_a_bad_block(struct kunit *test)
{
	const struct cmem_block_case *c = test->param_value;
	struct cmem_config_test *t = test->priv;
	struct device_node *node = cmem_config_test_node(test, c->name);
	struct device_node *block = cmem_config_test_block(test, node);

	KUNIT_EXPECT_EQ(test, cmem_config_of_block(t->dev, block, 1,
						   &t->config), c->ret);
	cmem_config_expect_error(test, c->words, ARRAY_SIZE(c->words));
}

/* The quarantine of memory that programs do not free */

struct cmem_quarantine_case {
	const char *name;
	int ret;
	bool all;
	u32 ms;
	unsigned int num_rprocs;
	const char *words[3];
};

static const struct cmem_quarantine_case cmem_quarantine_cases[] = {
	{ "quarantine-none" },
	{ "quarantine-all",		0, true },
	{ "quarantine-for-a-while",	0, true, 5000 },
	{ "quarantine-max",		0, false, CMEM_MAX_QUARANTINE_MS },
	{ "quarantine-rprocs",		0, true, 0, 2 },
	{ "quarantine-eight-rprocs",	0, false, 0, 8 },
	{ "quarantine-zero",		-EINVAL, false, 0, 0,
		{ "block 7:", "ti,quarantine-ms", "from 1" } },
	{ "quarantine-too-long",	-EINVAL, false, 0, 0,
		{ "block 7:", "ti,quarantine-ms", "to 2147483647" } },
	{ "quarantine-no-time",		-EINVAL, false, 0, 0,
		{ "block 7:", "ti,quarantine-ms", "one cell" } },
	{ "quarantine-two-times",	-EINVAL, false, 0, 0,
		{ "block 7:", "ti,quarantine-ms", "one cell" } },
	{ "quarantine-no-rproc",	-ENOENT, false, 0, 0,
		{ "block 7:", "ti,rprocs", "reference 0" } },
	{ "quarantine-dangling-rproc",	-ENOENT, false, 0, 0,
		{ "block 7:", "ti,rprocs", "reference 1" } },
	{ "quarantine-nine-rprocs",	-E2BIG, false, 0, 0,
		{ "block 7:", "ti,rprocs", "9 nodes, at most 8" } },
};

KUNIT_ARRAY_PARAM_DESC(cmem_quarantine, cmem_quarantine_cases, name);

static void cmem_config_reads_quarantine(struct kunit *test)
{
	const struct cmem_quarantine_case *c = test->param_value;
	struct cmem_config_test *t = test->priv;
	struct device_node *node = cmem_config_test_node(test, c->name);
	const struct cmem_quarantine_config *quarantine;
	unsigned int i;

	t->config.id = 7;
	KUNIT_EXPECT_EQ(test, cmem_config_of_quarantine(t->dev, node,
							&t->config), c->ret);
	if (c->ret) {
		cmem_config_expect_error(test, c->words, ARRAY_SIZE(c->words));
		return;
	}
	cmem_config_expect_silence(test);
	quarantine = &t->config.quarantine;
	KUNIT_EXPECT_EQ(test, quarantine->all, c->all);
	KUNIT_EXPECT_EQ(test, quarantine->ms, c->ms);
	KUNIT_EXPECT_EQ(test, quarantine->num_rprocs, c->num_rprocs);
	for (i = 0; i < c->num_rprocs; i++)
		KUNIT_EXPECT_NE(test, quarantine->rprocs[i], 0);
}

/* A block in SRAM: all of it, or a partition */

struct cmem_sram_case {
	const char *name;
	u64 base;
};

static const struct cmem_sram_case cmem_sram_cases[] = {
	{ "good-sram",			0x40500000 },
	{ "good-sram-part",		0x40600000 },
};

KUNIT_ARRAY_PARAM_DESC(cmem_sram, cmem_sram_cases, name);

static void cmem_config_reads_a_block_in_sram(struct kunit *test)
{
	const struct cmem_sram_case *c = test->param_value;
	struct cmem_config_test *t = test->priv;
	struct device_node *node = cmem_config_test_node(test, c->name);
	struct device_node *block = cmem_config_test_block(test, node);

	KUNIT_ASSERT_EQ(test, cmem_config_of_block(t->dev, block, 1,
						   &t->config), 0);
	cmem_config_expect_silence(test);
	KUNIT_EXPECT_EQ(test, t->config.kind, CMEM_KIND_SRAM);
	KUNIT_EXPECT_EQ(test, t->config.base, c->base);
	KUNIT_EXPECT_EQ(test, t->config.length, 0x00100000);
	KUNIT_EXPECT_EQ(test, t->config.num_pools, 1);
}

static void cmem_config_reads_the_words_of_a_block(struct kunit *test)
{
	struct cmem_config_test *t = test->priv;
	struct device_node *node = cmem_config_test_node(test, "block-words");

	KUNIT_ASSERT_EQ(test,
			cmem_config_of_block(t->dev,
					     cmem_config_test_block(test, node),
					     1, &t->config), 0);
	KUNIT_EXPECT_TRUE(test, t->config.is_memory);
	KUNIT_EXPECT_TRUE(test, t->config.shared);
	KUNIT_EXPECT_TRUE(test, t->config.keep_contents);

	node = cmem_config_test_node(test, "good-sram-part");
	KUNIT_ASSERT_EQ(test,
			cmem_config_of_block(t->dev,
					     cmem_config_test_block(test, node),
					     1, &t->config), 0);
	KUNIT_EXPECT_FALSE(test, t->config.is_memory);
	KUNIT_EXPECT_FALSE(test, t->config.shared);
	KUNIT_EXPECT_FALSE(test, t->config.keep_contents);
}

/* A block in each region that this machine was booted with */

KUNIT_DEFINE_ACTION_WRAPPER(cmem_changeset_revert, of_changeset_revert,
			    struct of_changeset *);
KUNIT_DEFINE_ACTION_WRAPPER(cmem_changeset_destroy, of_changeset_destroy,
			    struct of_changeset *);

static void cmem_config_point_at(struct kunit *test, struct device_node *block,
				 struct device_node *region)
{
	struct of_changeset *changes;

	changes = kunit_kzalloc(test, sizeof(*changes), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, changes);
	of_changeset_init(changes);
	KUNIT_ASSERT_EQ(test,
			kunit_add_action_or_reset(test, cmem_changeset_destroy,
						  changes), 0);
	KUNIT_ASSERT_EQ(test,
			of_changeset_add_prop_u32(changes, block,
						  "memory-region",
						  region->phandle), 0);
	KUNIT_ASSERT_EQ(test, of_changeset_apply(changes), 0);
	KUNIT_ASSERT_EQ(test,
			kunit_add_action_or_reset(test, cmem_changeset_revert,
						  changes), 0);
}

/* Stands for the region of a machine that has none */
static struct device_node cmem_no_region;

static const void *cmem_region_gen_params(struct kunit *test, const void *prev,
					  char *text)
{
	struct device_node *region = (struct device_node *)prev;
	struct device_node *regions;

	if (region == &cmem_no_region)
		return NULL;

	/* The reference to @prev moves to the next node. */
	regions = of_find_node_by_path("/reserved-memory");
	do
		region = of_get_next_child(regions, region);
	while (region && !(region->phandle &&
			   of_property_present(region, "reg")));
	of_node_put(regions);
	if (!region && !prev) {
		region = &cmem_no_region;
		strscpy(text, "none", KUNIT_PARAM_DESC_SIZE);
	} else if (region) {
		strscpy(text, kbasename(region->full_name),
			KUNIT_PARAM_DESC_SIZE);
	}
	return region;
}

static void cmem_config_reads_a_block_in_boot_tree(struct kunit *test)
{
	struct device_node *region = (struct device_node *)test->param_value;
	struct cmem_config_test *t = test->priv;
	const char *words[3];
	struct device_node *node, *block, *sram;
	struct reserved_mem *mem;
	struct resource reg;
	int ret;

	if (region == &cmem_no_region)
		kunit_skip(test, "booted without a region under /reserved-memory");

	KUNIT_ASSERT_EQ(test, of_address_to_resource(region, 0, &reg), 0);
	t->config.base = reg.start;
	t->config.length = resource_size(&reg);
	sram = IS_ENABLED(CONFIG_SRAM) ? cmem_config_of_find_sram(&t->config) :
					 NULL;
	of_node_put(sram);
	if (sram)
		kunit_skip(test, "in on-chip memory: its driver says what becomes of it");

	node = cmem_config_test_node(test, "block-in-boot-tree");
	block = cmem_config_test_block(test, node);
	cmem_config_point_at(test, block, region);
	mem = of_reserved_mem_lookup(region);

	words[0] = "block 7:";
	words[1] = "memory-region";
	words[2] = region->name;
	ret = cmem_config_of_block(t->dev, block, 1, &t->config);
	if (ret == -EBUSY) {
		/* of this machine: it is in use, or overlaps one in use */
		cmem_config_expect_error(test, words, 1);
	} else if (!mem || !mem->size) {
		KUNIT_EXPECT_EQ(test, ret, -ENODEV);
		cmem_config_expect_error(test, words, ARRAY_SIZE(words));
	} else if (of_property_present(region, "reusable") ||
		   !PAGE_ALIGNED(reg.start) || !PAGE_ALIGNED(reg.end + 1)) {
		KUNIT_EXPECT_EQ(test, ret, -EINVAL);
		cmem_config_expect_error(test, words, ARRAY_SIZE(words));
	} else if (resource_size(&reg) < 2 * PAGE_SIZE) {
		words[1] = "cmem-buf-pools";
		words[2] = NULL;
		KUNIT_EXPECT_EQ(test, ret, -ENOSPC);
		cmem_config_expect_error(test, words, ARRAY_SIZE(words));
	} else {
		KUNIT_EXPECT_EQ(test, ret, 0);
		cmem_config_expect_silence(test);
		KUNIT_EXPECT_EQ(test, t->config.id, 7);
		KUNIT_EXPECT_EQ(test, t->config.base, reg.start);
		KUNIT_EXPECT_EQ(test, t->config.length, resource_size(&reg));
		KUNIT_EXPECT_EQ(test, t->config.kind,
				of_property_read_bool(region, "no-map") ?
				CMEM_KIND_CARVEOUT : CMEM_KIND_RESERVED);
		KUNIT_EXPECT_FALSE(test, t->config.keep_contents);
		KUNIT_EXPECT_EQ(test, t->config.num_pools, 1);
		KUNIT_EXPECT_EQ(test, t->config.pools[0].count, 2);
		KUNIT_EXPECT_EQ(test, t->config.pools[0].length, 1);
	}
}

static struct kunit_case cmem_config_cases[] = {
	KUNIT_CASE_PARAM(cmem_config_reads_pool_cells, cmem_cells_gen_params),
	KUNIT_CASE_PARAM(cmem_config_reads_pools, cmem_pools_gen_params),
	KUNIT_CASE_PARAM(cmem_config_tells_wrong_names, cmem_names_gen_params),
	KUNIT_CASE(cmem_config_notes_unused),
	KUNIT_CASE_PARAM(cmem_config_reads_quotas, cmem_quota_gen_params),
	KUNIT_CASE_PARAM(cmem_config_reads_dma_heaps, cmem_dma_heap_gen_params),
	KUNIT_CASE_PARAM(cmem_config_refuses_a_bad_block,
			 cmem_block_gen_params),
	KUNIT_CASE_PARAM(cmem_config_reads_quarantine,
			 cmem_quarantine_gen_params),
	KUNIT_CASE_PARAM(cmem_config_reads_a_block_in_sram,
			 cmem_sram_gen_params),
	KUNIT_CASE(cmem_config_reads_the_words_of_a_block),
	KUNIT_CASE_PARAM(cmem_config_reads_a_block_in_boot_tree,
			 cmem_region_gen_params),
	{}
};

static struct kunit_suite cmem_config_suite = {
	.name = "cmem_config_of",
	.suite_init = cmem_config_suite_init,
	.suite_exit = cmem_config_suite_exit,
	.init = cmem_config_test_init,
	.test_cases = cmem_config_cases,
};

kunit_test_suite(cmem_config_suite);

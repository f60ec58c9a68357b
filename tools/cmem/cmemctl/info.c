// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl info: this kernel's CMEM, and the usage of its blocks.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cmemctl.h"

static const struct {
	uint64_t bit;
	const char *name;
} features[] = {
	{ CMEM_FEATURE_SCRUB, "scrub" },
	{ CMEM_FEATURE_PMD, "pmd" },
	{ CMEM_FEATURE_PRIVATE, "private" },
	{ CMEM_FEATURE_BLOCK_ADD, "block-add" },
	{ CMEM_FEATURE_DMABUF, "dma-buf" },
	{ CMEM_FEATURE_QUARANTINE, "quarantine" },
	{ CMEM_FEATURE_PAGES, "pages" },
	{ CMEM_FEATURE_ANY_ADDRESS, "any-address" },
	{ CMEM_FEATURE_IMPORT, "import" },
	{ CMEM_FEATURE_CHANGES, "changes" },
};

static void print_general(const struct cmem_info *info)
{
	printf("CMEM ABI %u, %u block%s, %s\n", info->abi_version, info->num_blocks,
	       info->num_blocks == 1 ? "" : "s",
	       info->out_flags & CMEM_INFO_COHERENT ? "coherent: no cache maintenance needed" :
	       "not coherent: programs maintain the caches");
	printf("alignment %s, cache line %s, features", human(info->alignment),
	       human(info->cache_line));
	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		if (info->features & features[i].bit)
			printf(" %s", features[i].name);
	puts("");
}

/* Which buffers enter it, how they are released, and how much there is */
static void print_quarantine(const struct cmem_block_info *b)
{
	bool all = b->out_flags & CMEM_BLOCK_QUARANTINE;

	if (!all && !b->quarantined_buffers)
		return;
	printf("  quarantine of %s: ", all ? "all that is not freed" : "what asked for it");
	if (b->out_flags & CMEM_BLOCK_RPROC)
		printf("until its remote processors stop, ");
	if (b->quarantine_ms)
		printf("for %u ms, ", b->quarantine_ms);
	if (!b->quarantined_buffers)
		puts("nothing is there");
	else
		printf("%u buffer%s, %s: cmemctl release %d lets them go\n",
		       b->quarantined_buffers, b->quarantined_buffers == 1 ? "" : "s",
		       human(b->quarantined), b->block);
}

/* Memory out of use for good, and how many buffers of which pools are in it */
static void print_failed(const struct block *block)
{
	if (!block->info.failed)
		return;
	printf("  out of use, since memory there has failed: %s", human(block->info.failed));
	for (unsigned int i = 0; i < block->info.num_pools; i++)
		if (block->pool[i].failed)
			printf(", %u of pool %u", block->pool[i].failed, i);
	puts("");
}

/* Buffers that are not free yet, and how many of which pools are among them */
static void print_pinned(const struct block *block)
{
	const struct cmem_block_info *b = &block->info;

	if (!b->pinned_buffers)
		return;
	printf("  pinned, since the kernel still uses pages for I/O: %" PRIu64 " buffer%s, %s, %" PRIu64 " pages in use",
	       (uint64_t)b->pinned_buffers, b->pinned_buffers == 1 ? "" : "s", human(b->pinned),
	       (uint64_t)b->pinned_pages);
	for (unsigned int i = 0; i < b->num_pools; i++)
		if (block->pool[i].pinned)
			printf(", %" PRIu64 " of pool %u", (uint64_t)block->pool[i].pinned, i);
	puts("");
}

static void print_block(const struct block *block, bool all_coherent)
{
	const struct cmem_block_info *b = &block->info;

	printf("\n%sBlock %d%s  %s  %s  %s, %s free%s%s%s%s%s\n", colour("1"), b->block, colour("0"),
	       kind_name(b->kind), block_range(block), human(b->length),
	       human(blocks_free_bytes(block)),
	       b->out_flags & CMEM_BLOCK_KEEP_CONTENTS ? ", keeps contents" : "",
	       b->out_flags & CMEM_BLOCK_IS_MEMORY ? ", is-memory" : "",
	       b->out_flags & CMEM_BLOCK_ADDED ? ", loaded" : "",
	       b->out_flags & CMEM_BLOCK_COHERENT && !all_coherent ? ", coherent" : "",
	       b->out_flags & CMEM_BLOCK_PAGES ? ", page-backed" :
	       b->out_flags & CMEM_BLOCK_CAN_PAGES ? ", can be page-backed" : "");
	if (b->num_pools)
		printf("  %4s %12s %12s %8s %8s %8s %8s %9s\n", "POOL", "BASE", "BUFFER", "COUNT",
		       "FREE", "CLEAN", "DIRTY", "SCRUBBING");
	for (unsigned int i = 0; i < b->num_pools; i++) {
		const struct cmem_pool_info *p = &block->pool[i];

		printf("  %4u %#12" PRIx64 " %12s %8u %8u %8u %8u %9u\n", i, (uint64_t)p->base,
		       human(p->length), p->count, p->free, p->clean, p->dirty, p->scrubbing);
	}
	if (b->heap_size)
		printf("  heap %s, %s free, %s of it clean, largest free extent %s\n",
		       human(b->heap_size), human(b->heap_free), human(b->heap_clean),
		       human(b->heap_largest));
	else
		puts("  no heap");
	print_quarantine(b);
	print_pinned(block);
	print_failed(block);
	if (b->quota != CMEM_NO_QUOTA)
		printf("  quota %s a user, %s charged to you\n", human(b->quota),
		       human(b->charged));
}

static void json_block(const struct block *block)
{
	const struct cmem_block_info *b = &block->info;

	json_open(NULL, '{');
	json_signed("block", b->block);
	json_string("kind", kind_name(b->kind));
	json_number("base", b->base);
	json_number("length", b->length);
	json_number("free", blocks_free_bytes(block));
	json_bool("keep_contents", b->out_flags & CMEM_BLOCK_KEEP_CONTENTS);
	json_bool("is_memory", b->out_flags & CMEM_BLOCK_IS_MEMORY);
	json_bool("loaded", b->out_flags & CMEM_BLOCK_ADDED);
	json_bool("coherent", b->out_flags & CMEM_BLOCK_COHERENT);
	json_bool("dma_heap_pools", b->out_flags & CMEM_BLOCK_DMA_HEAP_POOLS);
	json_bool("page_backed", b->out_flags & CMEM_BLOCK_PAGES);
	json_bool("can_be_page_backed", b->out_flags & CMEM_BLOCK_CAN_PAGES);
	json_open("pools", '[');
	for (unsigned int i = 0; i < b->num_pools; i++) {
		const struct cmem_pool_info *p = &block->pool[i];

		json_open(NULL, '{');
		json_number("pool", p->pool);
		json_number("base", p->base);
		json_number("requested_length", p->requested_length);
		json_number("length", p->length);
		json_number("count", p->count);
		json_number("free", p->free);
		json_number("clean", p->clean);
		json_number("dirty", p->dirty);
		json_number("scrubbing", p->scrubbing);
		json_number("quarantined", p->quarantined);
		json_number("pinned", p->pinned);
		json_number("pinned_pages", p->pinned_pages);
		json_number("failed", p->failed);
		json_close('}');
	}
	json_close(']');
	json_open("heap", '{');
	json_number("size", b->heap_size);
	json_number("free", b->heap_free);
	json_number("clean", b->heap_clean);
	json_number("largest", b->heap_largest);
	json_close('}');
	json_open("quarantine", '{');
	json_bool("all", b->out_flags & CMEM_BLOCK_QUARANTINE);
	json_bool("remote_processors", b->out_flags & CMEM_BLOCK_RPROC);
	json_number("milliseconds", b->quarantine_ms);
	json_number("buffers", b->quarantined_buffers);
	json_number("bytes", b->quarantined);
	json_close('}');
	json_open("pinned", '{');
	json_number("buffers", b->pinned_buffers);
	json_number("bytes", b->pinned);
	json_number("pages", b->pinned_pages);
	json_close('}');
	json_number("failed", b->failed);
	json_quota(b->quota);
	json_number("charged", b->charged);
	json_close('}');
}

static void print_json(const struct blocks *blocks)
{
	const struct cmem_info *info = &blocks->info;

	json_begin(false);
	json_number("abi_version", info->abi_version);
	json_open("features", '[');
	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		if (info->features & features[i].bit)
			json_string(NULL, features[i].name);
	json_close(']');
	json_bool("coherent", info->out_flags & CMEM_INFO_COHERENT);
	json_number("alignment", info->alignment);
	json_number("cache_line", info->cache_line);
	json_open("blocks", '[');
	for (unsigned int i = 0; i < blocks->count; i++)
		json_block(&blocks->block[i]);
	json_close(']');
	json_end();
}

static int run_info(int argc, char **argv)
{
	static const struct option options[] = { COMMON_OPTIONS };
	struct blocks blocks;
	int id = ALL_BLOCKS;
	int fd;

	next_option(&info_command, argc, argv, "", options);
	if (optind < argc)
		id = parse_block(argv[optind++]);
	if (optind < argc)
		usage("one BLOCK at most: '%s' is too many", argv[optind]);

	fd = device_open();
	device_get_blocks(fd, id, &blocks);
	if (settings.json) {
		print_json(&blocks);
		return 0;
	}
	print_general(&blocks.info);
	for (unsigned int i = 0; i < blocks.count; i++)
		print_block(&blocks.block[i], blocks.info.out_flags & CMEM_INFO_COHERENT);
	return 0;
}

const struct command info_command = {
	.name = "info",
	.summary = "what the kernel's CMEM is; blocks, pools and heaps, and how full they are",
	.help =
"Usage: cmemctl info [--json] [BLOCK]\n"
"Prints the version and the features of the kernel's CMEM, and for each block (or\n"
"BLOCK alone) its addresses, pools and heap, and what of these is free.\n"
"\n"
"  --json          print JSON, with sizes in bytes\n"
"  --color=WHEN    auto, always or never\n",
	.run = run_info,
};

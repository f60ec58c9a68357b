// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl load, cmemctl unload: replace insmod of the out-of-tree module with its
 * parameters, and rmmod. They accept the words of an insmod line unchanged.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmemctl.h"

#define HEAP_PARAMETER "/sys/module/cmem/parameters/useHeapIfPoolUnavailable"

/**
 * struct wish - a requested block
 * @number: of the block
 * @start: the value of phys_start, or NULL; likewise the next two
 * @end: of phys_end
 * @pools: of pools
 * @quarantine: of quarantine
 * @is_memory: of is_memory
 * @quota: of quota
 * @dma_heap_names: of dma_heap_names
 * @dma_heap_pools: of dma_heap_pools
 * @page_backed: of page_backed
 * @add: the request to the kernel
 * @pool: its pools
 */
struct wish {
	int number;
	const char *start;
	const char *end;
	const char *pools;
	const char *quarantine;
	const char *is_memory;
	const char *quota;
	const char *dma_heap_names;
	const char *dma_heap_pools;
	const char *page_backed;
	struct cmem_block_add add;
	struct cmem_block_pool pool[CMEM_MAX_POOLS];
};

struct wishes {
	struct wish *wish;
	unsigned int count;
	unsigned int room;
	const char *heap;	/* the value of useHeapIfPoolUnavailable, or NULL */
	bool overlap;		/* allowOverlap=1 */
	bool module;		/* the module was named */
};

/* The suffix of a block's parameter names; overwritten after 4 calls */
static const char *suffix(int number)
{
	static char text[4][16];
	static unsigned int next;
	char *s = text[next++ % ARRAY_SIZE(text)];

	snprintf(s, sizeof(text[0]), number ? "_%d" : "", number);
	return s;
}

static struct wish *wish_of(struct wishes *wishes, int number)
{
	unsigned int at = 0;

	while (at < wishes->count && wishes->wish[at].number < number)
		at++;
	if (at < wishes->count && wishes->wish[at].number == number)
		return &wishes->wish[at];
	grow(wishes->wish, wishes->count, wishes->room);
	memmove(&wishes->wish[at + 1], &wishes->wish[at],
		(wishes->count++ - at) * sizeof(*wishes->wish));
	wishes->wish[at] = (struct wish){ .number = number };
	return &wishes->wish[at];
}

/* The last part of a path */
static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_one_of(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(base_name(word), *words))
			return true;
	return false;
}

static bool is_module(const char *word)
{
	static const char *const names[] = { "cmemk", "cmemk.ko", "cmem", "cmem.ko", NULL };

	return is_one_of(word, names);
}

static bool parse_switch(const char *name, const char *value)
{
	if (!strcmp(value, "0") || !strcmp(value, "1"))
		return *value == '1';
	usage("%s=%s: must be 0 or 1", name, value);
}

/* The block parameter of this name; NULL if none */
static const char **parse_name(struct wishes *wishes, const char *name, size_t length)
{
	static const struct {
		const char *name;
		size_t value;
	} names[] = {
		{ "phys_start", offsetof(struct wish, start) },
		{ "phys_end", offsetof(struct wish, end) },
		{ "pools", offsetof(struct wish, pools) },
		{ "quarantine", offsetof(struct wish, quarantine) },
		{ "is_memory", offsetof(struct wish, is_memory) },
		{ "quota", offsetof(struct wish, quota) },
		{ "dma_heap_names", offsetof(struct wish, dma_heap_names) },
		{ "dma_heap_pools", offsetof(struct wish, dma_heap_pools) },
		{ "page_backed", offsetof(struct wish, page_backed) },
	};
	unsigned int i;
	long number = 0;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		size_t known = strlen(names[i].name);
		char *end;

		if (length < known || strncmp(name, names[i].name, known))
			continue;
		if (length == known)
			break;
		if (name[known] != '_' || !isdigit((unsigned char)name[known + 1]))
			continue;
		number = strtol(name + known + 1, &end, 10);
		if (end == name + length && number > 0 && number < MAX_BLOCKS)
			break;
	}
	if (i == ARRAY_SIZE(names))
		return NULL;
	return (const char **)((char *)wish_of(wishes, number) + names[i].value);
}

static void parse_word(struct wishes *wishes, const char *word)
{
	const char *name = strncmp(word, "cmem.", 5) ? word : word + 5;
	const char *equals = strchr(name, '=');
	const char **value;

	if (!equals) {
		if (!is_module(word))
			usage("'%s' is neither the module's name (cmemk.ko) nor PARAMETER=VALUE",
			      word);
		wishes->module = true;
		return;
	}
	value = parse_name(wishes, name, equals - name);
	if (value) {
		*value = equals + 1;
	} else if (!strncmp(name, "useHeapIfPoolUnavailable=", equals + 1 - name)) {
		wishes->heap = equals + 1;
		parse_switch("useHeapIfPoolUnavailable", wishes->heap);
	} else if (!strncmp(name, "allowOverlap=", equals + 1 - name)) {
		wishes->overlap = parse_switch("allowOverlap", equals + 1);
	} else {
		usage("no parameter '%.*s': phys_start, phys_end, pools, quarantine, is_memory, quota, dma_heap_names, dma_heap_pools, page_backed (with _1, _2, ... for block 1, 2, ...), allowOverlap and useHeapIfPoolUnavailable are there",
		      (int)(equals - name), name);
	}
}

/* Hexadecimal, with or without 0x. A comma may follow, as in the module. */
static uint64_t hex_address(const char *name, int number, const char *text)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 16);
	if (!isxdigit((unsigned char)*text) || (*end && strcmp(end, ",")) || errno)
		usage("%s%s=%s: must be an address in hexadecimal, such as 0x88000000", name,
		      suffix(number), text);
	return value;
}

/* Decimal digits; advances @text past them. */
static uint64_t pool_number(const struct wish *wish, const char **text)
{
	unsigned long long value = 0;
	char *end = (char *)*text;

	errno = 0;
	if (isdigit((unsigned char)**text))
		value = strtoull(*text, &end, 10);
	if (errno)
		usage("pools%s=%s: a number is too large", suffix(wish->number), wish->pools);
	*text = end;
	return value;
}

static void parse_pool(const struct wish *wish, const char *text, int length,
		       struct cmem_block_pool *pool)
{
	const char *x = text, *size, *end;
	uint64_t count, bytes;

	count = pool_number(wish, &x);
	size = *x == 'x' ? x + 1 : x;
	end = size;
	bytes = pool_number(wish, &end);
	if (x == text || size == x || end == size || end != text + length)
		usage("pools%s=%s: '%.*s' is no pool: must be <count>x<bytes>, both decimal numbers, such as 4x30000",
		      suffix(wish->number), wish->pools, length, text);
	if (!count || !bytes || count > UINT32_MAX)
		usage("pools%s=%s: '%.*s' is no pool: its numbers must be from 1 on, the first one to %u",
		      suffix(wish->number), wish->pools, length, text, UINT32_MAX);
	*pool = (struct cmem_block_pool){ .count = count, .length = bytes };
}

static void parse_pools(struct wish *wish)
{
	const char *text = wish->pools;
	unsigned int count = 0;

	do {
		int length = strcspn(text, ",");

		if (count == CMEM_MAX_POOLS)
			usage("pools%s=: more than %d pools", suffix(wish->number),
			      CMEM_MAX_POOLS);
		parse_pool(wish, text, length, &wish->pool[count++]);
		text += length;
	} while (*text++);
	wish->add.num_pools = count;
}

static void parse_quarantine(struct wish *wish)
{
	unsigned long long ms = 0;
	char *end = (char *)wish->quarantine;

	errno = 0;
	if (isdigit((unsigned char)*wish->quarantine))
		ms = strtoull(wish->quarantine, &end, 10);
	if (end == wish->quarantine || *end || errno || ms > CMEM_MAX_QUARANTINE_MS)
		usage("quarantine%s=%s: must be milliseconds, from 0, for ever, to %u",
		      suffix(wish->number), wish->quarantine, CMEM_MAX_QUARANTINE_MS);
	wish->add.flags |= CMEM_BLOCK_QUARANTINE;
	wish->add.quarantine_ms = ms;
}

/* The quota per user: bytes, a percentage of the block, or none */
static uint64_t parse_quota(const struct wish *wish)
{
	char name[32], *end;
	unsigned long percent;

	if (!strcmp(wish->quota, "none"))
		return CMEM_NO_QUOTA;
	percent = strtoul(wish->quota, &end, 10);
	if (isdigit((unsigned char)*wish->quota) && !strcmp(end, "%")) {
		if (!percent || percent > 100)
			usage("quota%s=%s: must be from 1%% to 100%%", suffix(wish->number),
			      wish->quota);
		return wish->add.length / 100 * percent + wish->add.length % 100 * percent / 100;
	}
	snprintf(name, sizeof(name), "quota%s", suffix(wish->number));
	return parse_size(name, wish->quota);
}

/* The kernel validates the names, and logs the errors. */
static void parse_dma_heap_names(struct wish *wish)
{
	if (!*wish->dma_heap_names || strlen(wish->dma_heap_names) >= CMEM_MAX_DMA_HEAP_NAMES)
		usage("dma_heap_names%s=: must be 1 to %d characters", suffix(wish->number),
		      CMEM_MAX_DMA_HEAP_NAMES - 1);
	wish->add.dma_heap_names = (uintptr_t)wish->dma_heap_names;
}

/* The kernel uses whole pages: those of the range. */
static void parse_wish(struct wish *wish)
{
	uint64_t page = sysconf(_SC_PAGESIZE);
	const char *s = suffix(wish->number);
	uint64_t start, end;

	if (!wish->start || !wish->end)
		usage("block %d: %s%s= is missing", wish->number,
		      wish->start ? "phys_end" : "phys_start", s);
	start = hex_address("phys_start", wish->number, wish->start);
	end = hex_address("phys_end", wish->number, wish->end);
	if (end <= start)
		usage("phys_end%s=%s is not above phys_start%s=%s: it is the address behind the last byte",
		      s, wish->end, s, wish->start);
	end &= -page;
	if (start > end || ((start + page - 1) & -page) == end)
		usage("phys_start%s=%s to phys_end%s=%s is less than a page of %" PRIu64 " bytes",
		      s, wish->start, s, wish->end, page);
	wish->add = (struct cmem_block_add){
		.block = wish->number, .base = (start + page - 1) & -page,
	};
	wish->add.length = end - wish->add.base;
	if (wish->is_memory && parse_switch("is_memory", wish->is_memory))
		wish->add.flags |= CMEM_BLOCK_IS_MEMORY;
	if (wish->dma_heap_names)
		parse_dma_heap_names(wish);
	if (wish->dma_heap_pools && parse_switch("dma_heap_pools", wish->dma_heap_pools))
		wish->add.flags |= CMEM_BLOCK_DMA_HEAP_POOLS;
	if (wish->page_backed && parse_switch("page_backed", wish->page_backed))
		wish->add.flags |= CMEM_BLOCK_PAGES;
	if (wish->pools)
		parse_pools(wish);
	if (wish->quarantine)
		parse_quarantine(wish);
	if (wish->quota) {
		wish->add.quota = parse_quota(wish);
		if (!wish->add.quota)
			usage("quota%s=%s: nobody could have anything of the block",
			      suffix(wish->number), wish->quota);
	}
}

/* The kernel's log from this point on, or -1 */
static int log_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

/* The driver's last message about a block since then, or "" */
static void log_read(int fd, int number, char *text, size_t size)
{
	char record[2048], begin[32];
	ssize_t length;

	*text = 0;
	snprintf(begin, sizeof(begin), "cmem: block %d: ", number);
	while (fd >= 0 && ((length = read(fd, record, sizeof(record) - 1)) > 0 ||
			   (length < 0 && errno == EPIPE))) {
		char *said;

		record[length > 0 ? length : 0] = 0;
		said = strstr(record, begin);
		if (!said)
			continue;
		said += strlen(begin);
		said[strcspn(said, "\n")] = 0;
		snprintf(text, size, "%s", said);
	}
}

static const char *add_advice(int error)
{
	switch (error) {
	case ENOTTY:
		return "this kernel's CMEM can't make blocks while it runs";
	case EPERM:
		return geteuid() ? "that is for root" : "no CAP_SYS_ADMIN, or the kernel is locked down";
	case EEXIST:
		return "there is a block of this number: cmemctl unload it first";
	case EBUSY:
		return "the memory is System RAM, in another block, or a driver's (see /proc/iomem)";
	case ENOSPC:
		return "its pools are larger than the block";
	case ENXIO:
		return "nothing says that there is memory: is_memory=1 would, if you are sure";
	default:
		return strerror(error);
	}
}

/* Exits with the kernel's reason, with nothing loaded */
static void die_of_add(const struct wish *wish, int error, int log)
{
	char said[1024];

	log_read(log, wish->number, said, sizeof(said));
	if (*said && error != EEXIST)
		die("block %d: %s\nNothing was loaded.", wish->number, said);
	die("block %d (%#" PRIx64 " to %#" PRIx64 "): %s\nNothing was loaded. More may be in the kernel's log: dmesg | grep cmem",
	    wish->number, (uint64_t)wish->add.base,
	    (uint64_t)(wish->add.base + wish->add.length), add_advice(error));
}

static int write_heap_parameter(const char *value)
{
	int fd = open(HEAP_PARAMETER, O_WRONLY | O_CLOEXEC), ret = -1;

	if (fd >= 0) {
		ret = write(fd, value, 1) == 1 ? 0 : -1;
		close(fd);
	}
	return ret;
}

static void load(struct wishes *wishes, unsigned int flags)
{
	struct cmem_block_info info;
	int fd = device_open(), log = log_open();
	unsigned int done;

	for (done = 0; done < wishes->count; done++) {
		const struct wish *wish = &wishes->wish[done];

		if (!device_get_block(fd, wish->number, &info))
			die("there is a block %d already, at %#" PRIx64 "%s: cmemctl unload %d first. Nothing was loaded.",
			    wish->number, (uint64_t)info.base,
			    info.out_flags & CMEM_BLOCK_ADDED ? "" : ", from the device tree",
			    wish->number);
	}
	for (done = 0; done < wishes->count; done++) {
		struct wish *wish = &wishes->wish[done];
		int ret;

		wish->add.flags |= flags;
		ret = device_add_block(fd, &wish->add, wish->pool);
		if (!ret)
			continue;
		while (done--)
			device_remove_block(fd, wishes->wish[done].number);
		die_of_add(wish, -ret, log);
	}
	if (wishes->heap && write_heap_parameter(wishes->heap)) {
		int error = errno;

		while (done--)
			device_remove_block(fd, wishes->wish[done].number);
		die(HEAP_PARAMETER ": %s\nNothing was loaded.", strerror(error));
	}
	close(log);
	close(fd);
}

static void print_loaded(const struct wishes *wishes)
{
	if (settings.json) {
		json_begin(true);
		json_open("loaded", '[');
	}
	for (unsigned int i = 0; i < wishes->count; i++) {
		const struct cmem_block_add *add = &wishes->wish[i].add;

		if (!settings.json) {
			printf("block %d: %#" PRIx64 "-%#" PRIx64 ", %s, %u pool%s\n", add->block,
			       (uint64_t)add->base, (uint64_t)(add->base + add->length - 1),
			       human(add->length), add->num_pools,
			       add->num_pools == 1 ? "" : "s");
			continue;
		}
		json_open(NULL, '{');
		json_signed("block", add->block);
		json_number("base", add->base);
		json_number("length", add->length);
		json_number("pools", add->num_pools);
		json_close('}');
	}
	if (settings.json) {
		json_close(']');
		json_end();
	}
}

static int run_load(int argc, char **argv)
{
	static const char *const loaders[] = { "insmod", "modprobe", NULL };
	static const struct option options[] = {
		{ "keep-contents", no_argument, NULL, 'k' },
		COMMON_OPTIONS
	};
	struct wishes wishes = {};
	unsigned int flags = 0;

	while (next_option(&load_command, argc, argv, "k", options) != -1)
		flags = CMEM_BLOCK_KEEP_CONTENTS;
	if (optind < argc && is_one_of(argv[optind], loaders))
		optind++;
	if (optind == argc)
		usage("what? phys_start=, phys_end= and pools= describe block 0, phys_start_1= and so on block 1");
	while (optind < argc)
		parse_word(&wishes, argv[optind++]);
	for (unsigned int i = 0; i < wishes.count; i++)
		parse_wish(&wishes.wish[i]);

	if (wishes.overlap)
		warn("allowOverlap=1 is ignored: memory that Linux does not use can be a block wherever it is, and no other can");
	if (!wishes.count && !wishes.heap)
		warn("no block is described: those of the device tree and of the kernel command line are there without being loaded");
	load(&wishes, flags);
	print_loaded(&wishes);
	return 0;
}

const struct command load_command = {
	.name = "load",
	.summary = "make blocks, as insmod cmemk.ko with its parameters did",
	.help =
"Usage: cmemctl load [cmemk.ko] PARAMETER=VALUE...\n"
"Makes blocks out of memory that Linux does not use, or that was reserved for CMEM\n"
"at boot and is in no block now: all that are described, or none. They are there until\n"
"cmemctl unload or the next boot. Takes the words behind insmod or modprobe as they\n"
"are, these two as well:\n"
"\n"
"  phys_start=ADDRESS      first byte of block 0, hexadecimal with or without 0x\n"
"  phys_end=ADDRESS        behind its last byte\n"
"  pools=NxSIZE[,NxSIZE]   N buffers of SIZE bytes each, decimal; the rest is heap\n"
"  quarantine=MS           what programs do not free is kept from others for so many\n"
"                          milliseconds, or, with 0, until cmemctl release\n"
"  quota=SIZE|N%|none      what each user may have of it at a time, but for root\n"
"  phys_start_1= and so on\n"
"                          block 1; any other number works as well\n"
"  is_memory=0|1           there is memory, though nothing else says so: if there is\n"
"                          none, the machine may crash when a buffer is allocated\n"
"  dma_heap_names=NAME[:NAME]\n"
"                          more DMA-BUF heaps of it, for programs that look for these;\n"
"                          what has uncached in its name is not cached\n"
"  dma_heap_pools=0|1      its DMA-BUF heaps take longer buffers of pools when neither a\n"
"                          pool of that length nor the heap has one\n"
"  page_backed=0|1         its cached buffers are page-backed: O_DIRECT, io_uring and\n"
"                          the like take them\n"
"  useHeapIfPoolUnavailable=0|1\n"
"                          programs that name no pool get memory from the heap when\n"
"                          no pool can serve\n"
"  allowOverlap=0|1        ignored\n"
"\n"
"  -k, --keep-contents     never zero this memory: users see what others left\n"
"      --json              print JSON\n",
	.run = run_load,
};

/* A block to create again if another block is in use */
static void remember(const struct block *block, struct wish *wish)
{
	const struct cmem_block_info *info = &block->info;

	wish->number = info->block;
	wish->add = (struct cmem_block_add){
		.block = info->block, .base = info->base, .length = info->length,
		.flags = info->out_flags & (CMEM_BLOCK_KEEP_CONTENTS | CMEM_BLOCK_QUARANTINE |
					    CMEM_BLOCK_IS_MEMORY | CMEM_BLOCK_DMA_HEAP_POOLS |
					    CMEM_BLOCK_PAGES),
		.quarantine_ms = info->quarantine_ms,
		.num_pools = info->num_pools,
		.quota = info->quota == CMEM_NO_QUOTA ? 0 : info->quota,
	};
	for (unsigned int i = 0; i < info->num_pools; i++)
		wish->pool[i] = (struct cmem_block_pool){
			.count = block->pool[i].count,
			.length = block->pool[i].requested_length,
		};
}

static bool is_in_use(const struct block *block)
{
	for (unsigned int i = 0; i < block->info.num_pools; i++)
		if (block->pool[i].free != block->pool[i].count)
			return true;
	return block->info.heap_free != block->info.heap_size;
}

static void die_of_remove(const struct block *block, int error)
{
	int number = block->info.block;
	char holders[900];

	if (error == EBUSY) {
		block_holders(block, holders, sizeof(holders));
		if (*holders)
			die("block %d is in use by %s: cmemctl map --list %d shows what they hold. Nothing was unloaded.",
			    number, holders, number);
		die("block %d is in use: cmemctl map --list %d shows by whom. Nothing was unloaded.",
		    number, number);
	}
	if (error == EPERM && geteuid())
		die("unloading blocks is for root");
	die("block %d: %s. Nothing was unloaded.", number,
	    error == ENOTTY ? "this kernel's CMEM can't remove blocks" : strerror(error));
}

/* Unloads all of these, or none */
static void unload(int fd, struct block *const *block, unsigned int count)
{
	struct wish *wish = xrealloc(NULL, count, sizeof(*wish));
	int ret;

	for (unsigned int i = 0; i < count; i++) {
		if (block[i]->info.quarantined_buffers)
			die("block %d: %u of its buffers are in quarantine: if no device writes there any more, cmemctl release %d first. Nothing was unloaded.",
			    block[i]->info.block, block[i]->info.quarantined_buffers,
			    block[i]->info.block);
		if (is_in_use(block[i]))
			die_of_remove(block[i], EBUSY);
		remember(block[i], &wish[i]);
	}
	for (unsigned int i = 0; i < count; i++) {
		ret = device_remove_block(fd, wish[i].number);
		if (!ret)
			continue;
		for (unsigned int back = i; back--;) {
			int error = -device_add_block(fd, &wish[back].add, wish[back].pool);

			if (error)
				warn("block %d is gone, and can't be made again: %s",
				     wish[back].number, strerror(error));
		}
		die_of_remove(block[i], -ret);
	}
	free(wish);
}

static struct block *find_block(const struct blocks *blocks, int number)
{
	for (unsigned int i = 0; i < blocks->count; i++)
		if (blocks->block[i].info.block == number)
			return &blocks->block[i];
	die("there is no block %d: cmemctl info shows those that are there. Nothing was unloaded.",
	    number);
}

static void print_unloaded(struct block *const *block, unsigned int count)
{
	if (settings.json) {
		json_begin(true);
		json_open("unloaded", '[');
		for (unsigned int i = 0; i < count; i++)
			json_signed(NULL, block[i]->info.block);
		json_close(']');
		json_end();
		return;
	}
	for (unsigned int i = 0; i < count; i++)
		printf("block %d unloaded\n", block[i]->info.block);
}

static int run_unload(int argc, char **argv)
{
	static const char *const unloaders[] = { "rmmod", NULL };
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		COMMON_OPTIONS
	};
	bool all = false, named = false;
	unsigned int count = 0;
	struct blocks blocks;
	struct block **block;
	int fd;

	while (next_option(&unload_command, argc, argv, "a", options) != -1)
		all = true;
	if (optind < argc && is_one_of(argv[optind], unloaders))
		optind++;
	if (optind < argc && is_module(argv[optind]))
		optind++;
	named = optind < argc;
	if (all && named)
		usage("either --all or the numbers of blocks");
	for (int i = optind; i < argc; i++) {
		if (parse_block(argv[i]) < 0)
			usage("the CMA block can't be unloaded");
	}

	fd = device_open();
	device_get_blocks(fd, ALL_BLOCKS, &blocks);
	block = xrealloc(NULL, blocks.count + argc, sizeof(*block));
	for (; optind < argc; optind++) {
		struct block *found = find_block(&blocks, parse_block(argv[optind]));
		unsigned int i = 0;

		while (i < count && block[i] != found)
			i++;
		if (i == count)
			block[count++] = found;
	}
	for (unsigned int i = 0; !named && i < blocks.count; i++)
		if (blocks.block[i].info.block >= 0 &&
		    (all || blocks.block[i].info.out_flags & CMEM_BLOCK_ADDED))
			block[count++] = &blocks.block[i];
	if (!count)
		die("no block was loaded. Those of the device tree go only when they are named: cmemctl unload BLOCK");

	unload(fd, block, count);
	print_unloaded(block, count);
	free(block);
	close(fd);
	return 0;
}

const struct command unload_command = {
	.name = "unload",
	.summary = "remove blocks, as rmmod cmemk did",
	.help =
"Usage: cmemctl unload [cmemk | BLOCK... | --all]\n"
"Removes blocks of which no buffer is in use: all of these, or none. Without BLOCK\n"
"they are those that cmemctl load made, or parameters on the kernel command line. A\n"
"block from the device tree goes only when it is named, or with --all, and is there\n"
"again after the next boot; cmemctl load makes other blocks of its memory meanwhile.\n"
"\n"
"  -a, --all       all blocks, those from the device tree as well\n"
"      --json      print JSON\n",
	.run = run_unload,
};

// SPDX-License-Identifier: GPL-2.0
/*
 * The blocks and pools match the device tree that the kernel booted with: each enabled
 * block of each ti,cmem node, with its memory, and each of its pools. Start with this
 * test on a new board.
 */
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cmem_test.h"

#define DEVICE_TREE	"/sys/firmware/devicetree/base"

#define MAX_NODES	8
#define MAX_PATH	512

static char found[MAX_NODES][MAX_PATH];
static unsigned int num_found;
static __u32 wanted_phandle;

/* Reads a property; returns its length, or -1 if it does not exist. */
static int property(const char *node, const char *name, void *value, size_t size)
{
	char path[MAX_PATH + 64];
	ssize_t length;
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", node, name) >= (int)sizeof(path))
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	length = read(fd, value, size);
	close(fd);
	return length;
}

static __u64 number(const unsigned char *bytes, int cells)
{
	__u64 value = 0;

	for (int i = 0; i < cells * 4; i++)
		value = value << 8 | bytes[i];
	return value;
}

static __u32 cell_property(const char *node, const char *name, __u32 otherwise)
{
	unsigned char bytes[4];

	return property(node, name, bytes, sizeof(bytes)) == 4 ? number(bytes, 1) : otherwise;
}

static bool is_enabled(const char *node)
{
	char status[16] = "";

	return property(node, "status", status, sizeof(status) - 1) < 0 ||
	       !strcmp(status, "okay") || !strcmp(status, "ok");
}

static bool is_compatible(const char *node, const char *with)
{
	char list[256];
	int length = property(node, "compatible", list, sizeof(list) - 1);

	if (length < 0)
		return false;
	list[length] = '\0';
	for (const char *name = list; name < list + length; name += strlen(name) + 1)
		if (!strcmp(name, with))
			return true;
	return false;
}

static void note(const char *path)
{
	if (num_found < MAX_NODES)
		snprintf(found[num_found++], MAX_PATH, "%s", path);
}

static int note_cmem(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	if (type == FTW_D && is_compatible(path, "ti,cmem") && is_enabled(path))
		note(path);
	return 0;
}

static int note_phandle(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	if (type == FTW_D && cell_property(path, "phandle", 0) == wanted_phandle)
		note(path);
	return 0;
}

/* The number of nodes that @note_one accepts, or -1 */
static int find_nodes(int (*note_one)(const char *path, const struct stat *st, int type,
				      struct FTW *ftw))
{
	num_found = 0;
	return nftw(DEVICE_TREE, note_one, 16, FTW_PHYS) ? -1 : (int)num_found;
}

static void parent_of(const char *node, char *parent)
{
	char *slash;

	snprintf(parent, MAX_PATH, "%s", node);
	slash = strrchr(parent, '/');
	if (slash)
		*slash = '\0';
}

/* The memory of a node: what its reg says, as a CPU address */
struct memory {
	bool has_address;
	__u64 base;
	__u64 length;
};

static bool read_memory(const char *node, bool in_sram, struct memory *memory)
{
	char parent[MAX_PATH], above[MAX_PATH];
	unsigned char bytes[64];
	int address, size;

	parent_of(node, parent);
	address = cell_property(parent, "#address-cells", 2);
	size = cell_property(parent, "#size-cells", 1);
	memory->has_address = property(node, "reg", bytes, sizeof(bytes)) == 4 * (address + size);
	if (!memory->has_address)
		return property(node, "size", bytes, sizeof(bytes)) == 4 * size &&
		       (memory->length = number(bytes, size));
	memory->base = number(bytes, address);
	memory->length = number(bytes + 4 * address, size);

	if (in_sram && is_compatible(parent, "mmio-sram")) {
		parent_of(parent, above);
		if (property(parent, "ranges", bytes, sizeof(bytes)) < 4 * (address + 2))
			return false;
		memory->base += number(bytes + 4 * address,
				       cell_property(above, "#address-cells", 2)) -
				number(bytes, address);
	}
	return true;
}

FIXTURE(device_tree)
{
	int fd;
	int num_nodes;
	char nodes[MAX_NODES][MAX_PATH];
};

FIXTURE_SETUP(device_tree)
{
	OPEN_OR_SKIP(self->fd);
	if (access(DEVICE_TREE, F_OK))
		SKIP(return, "no " DEVICE_TREE);
	self->num_nodes = find_nodes(note_cmem);
	ASSERT_LE(0, self->num_nodes);
	if (!self->num_nodes)
		SKIP(return, "the device tree has no ti,cmem node");
	memcpy(self->nodes, found, sizeof(found));
}

FIXTURE_TEARDOWN(device_tree)
{
	close(self->fd);
}

#define check_memory(fd, node, info) __check_memory(_metadata, fd, node, info)
static void __check_memory(struct __test_metadata *_metadata, int fd, const char *node,
			   const struct cmem_block_info *info)
{
	unsigned char bytes[4], keep;
	struct memory memory = {};
	bool in_sram;
	__u32 kind;

	in_sram = property(node, "sram", bytes, sizeof(bytes)) >= 0;
	ASSERT_EQ(4, property(node, in_sram ? "sram" : "memory-region", bytes, sizeof(bytes)));
	wanted_phandle = number(bytes, 1);
	ASSERT_EQ(1, find_nodes(note_phandle));
	ASSERT_TRUE(read_memory(found[0], in_sram, &memory)) TH_LOG("%s", found[0]);

	EXPECT_EQ(memory.length, info->length) TH_LOG("%s", node);
	EXPECT_EQ(memory.has_address ? memory.base : info->base, info->base) TH_LOG("%s", node);
	/* Memory that is not RAM is a carveout, with or without no-map. */
	kind = in_sram ? CMEM_KIND_SRAM : CMEM_KIND_CARVEOUT;
	if (!in_sram && property(found[0], "no-map", &keep, 1) < 0 &&
	    info->kind == CMEM_KIND_RESERVED)
		kind = CMEM_KIND_RESERVED;
	EXPECT_EQ(kind, info->kind) TH_LOG("%s", node);
	EXPECT_EQ(!property(node, "ti,keep-contents", &keep, 1),
		  !!(info->out_flags & CMEM_BLOCK_KEEP_CONTENTS)) TH_LOG("%s", node);
}

#define check_pools(fd, node, cells, info) __check_pools(_metadata, fd, node, cells, info)
static void __check_pools(struct __test_metadata *_metadata, int fd, const char *node, int cells,
			  const struct cmem_block_info *info)
{
	unsigned char bytes[CMEM_MAX_POOLS * 12 + 1], *tuple = bytes;
	int length = property(node, "cmem-buf-pools", bytes, sizeof(bytes));
	__u64 page = page_size(), heap = info->length;

	if (length < 0)
		length = 0;
	ASSERT_EQ(0, length % (4 * (1 + cells)));
	ASSERT_EQ(length / (4 * (1 + cells)), info->num_pools) TH_LOG("%s", node);
	for (__u32 i = 0; i < info->num_pools; i++, tuple += 4 * (1 + cells)) {
		__u64 bytes_each = number(tuple + 4, cells);
		struct cmem_pool_info pool;

		ASSERT_EQ(0, cmem_get_pool(fd, info->block, i, &pool));
		EXPECT_EQ(number(tuple, 1), pool.count) TH_LOG("%s pool %u", node, i);
		EXPECT_EQ(bytes_each, pool.requested_length) TH_LOG("%s pool %u", node, i);
		EXPECT_EQ((bytes_each + page - 1) & -page, pool.length)
			TH_LOG("%s pool %u", node, i);
		EXPECT_LE(info->base, pool.base);
		EXPECT_GE(info->base + info->length, pool.base + pool.count * pool.length);
		heap -= pool.count * pool.length;
	}
	EXPECT_EQ(heap, info->heap_size) TH_LOG("%s", node);
}

struct block_node {
	char path[MAX_PATH];
	int pool_cells;
};

static struct block_node blocks[MAX_BLOCKS];
static unsigned int num_blocks;
static int num_below, below_cells;

static int note_block(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	if (type != FTW_D || ftw->level != 1 || !is_enabled(path))
		return 0;
	if (num_blocks < MAX_BLOCKS) {
		blocks[num_blocks].pool_cells = below_cells;
		snprintf(blocks[num_blocks++].path, MAX_PATH, "%s", path);
	}
	num_below++;
	return 0;
}

TEST_F(device_tree, each_block_is_there_with_its_memory_and_pools)
{
	num_blocks = 0;
	for (int i = 0; i < self->num_nodes; i++) {
		below_cells = cell_property(self->nodes[i], "#pool-size-cells", 1);
		num_below = 0;
		ASSERT_EQ(0, nftw(self->nodes[i], note_block, 16, FTW_PHYS));
		ASSERT_LT(0, num_below) TH_LOG("%s has no blocks", self->nodes[i]);
	}

	for (unsigned int i = 0; i < num_blocks; i++) {
		struct cmem_block_info info;
		__u32 id;

		id = cell_property(blocks[i].path, "reg", ~0U);
		ASSERT_EQ(0, cmem_get_block(self->fd, id, &info))
			TH_LOG("%s: the kernel's log says why it is not there", blocks[i].path);
		check_memory(self->fd, blocks[i].path, &info);
		check_pools(self->fd, blocks[i].path, blocks[i].pool_cells, &info);
	}
}

TEST_HARNESS_MAIN

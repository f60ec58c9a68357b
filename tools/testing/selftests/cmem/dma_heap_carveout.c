// SPDX-License-Identifier: GPL-2.0
/*
 * What programs of TI's vendor kernels do: they allocate from a heap that is named after
 * a device tree node, and ask /dev/dma-buf-phys for the address. The first tests know
 * nothing of CMEM, like those programs; the others check what is behind it.
 */
#include <sys/stat.h>

#include "cmem_dmabuf.h"

#define NODES "/proc/device-tree/reserved-memory"

/* Such programs bring their own header with this */
struct dma_buf_phys_data {
	__u32 fd;
	__u64 phys;
};
#define DMA_BUF_PHYS_IOC_CONVERT _IOWR('D', 0, struct dma_buf_phys_data)

#define LENGTH (1 << 20)

/* The address, or an errno */
static __s64 phys_of(int device, int dmabuf)
{
	struct dma_buf_phys_data data = { .fd = dmabuf, .phys = ~0ULL };

	return ioctl(device, DMA_BUF_PHYS_IOC_CONVERT, &data) ? -errno : (__s64)data.phys;
}

static bool is_carveout(const char *node, bool *no_map)
{
	char path[512], text[64] = "";
	int fd;

	snprintf(path, sizeof(path), NODES "/%s/compatible", node);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) < 0)
		*text = 0;
	close(fd);
	snprintf(path, sizeof(path), NODES "/%s/no-map", node);
	*no_map = !access(path, F_OK);
	return !strcmp(text, "dma-heap-carveout");
}

FIXTURE(heap)
{
	char name[300];
	int heap;
	int phys;
};

FIXTURE_VARIANT(heap)
{
	bool no_map;
};

FIXTURE_VARIANT_ADD(heap, cached) { .no_map = false };
FIXTURE_VARIANT_ADD(heap, no_map) { .no_map = true };

FIXTURE_SETUP(heap)
{
	DIR *dir = opendir(NODES);
	struct dirent *entry;
	bool no_map;

	*self->name = 0;
	while (dir && (entry = readdir(dir)))
		if (is_carveout(entry->d_name, &no_map) && no_map == variant->no_map)
			snprintf(self->name, sizeof(self->name), "carveout_%.*s",
				 (int)strcspn(entry->d_name, "@"), entry->d_name);
	if (dir)
		closedir(dir);
	if (!*self->name)
		SKIP(return, "no such node in this board's device tree");
	self->heap = dma_heap_open_name(self->name);
	ASSERT_LE(0, self->heap) TH_LOG("%s", self->name);
	self->phys = open("/dev/dma-buf-phys", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->phys);
}

FIXTURE_TEARDOWN(heap)
{
	close(self->phys);
	close(self->heap);
}

TEST_F(heap, gives_memory_and_its_address)
{
	int dmabuf = dma_heap_alloc(self->heap, LENGTH), other_fd;
	__s64 phys;
	char *map;

	ASSERT_LE(0, dmabuf);
	EXPECT_EQ(LENGTH, lseek(dmabuf, 0, SEEK_END));
	map = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, dmabuf_sync(dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW));
	EXPECT_EQ(-1, find_nonzero(map, LENGTH));
	fill(map, LENGTH, 3);
	ASSERT_EQ(0, dmabuf_sync(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW));
	phys = phys_of(self->phys, dmabuf);
	ASSERT_LT(0, phys);
	EXPECT_EQ(0, phys & (page_size() - 1));
	/* One request per open file, and each gets the same answer. */
	EXPECT_EQ(-EFAULT, phys_of(self->phys, dmabuf));
	other_fd = open("/dev/dma-buf-phys", O_RDWR);
	ASSERT_LE(0, other_fd);
	EXPECT_EQ(phys, phys_of(other_fd, dmabuf));
	close(other_fd);
	EXPECT_EQ(-1, find_stranger(map, LENGTH, 3));
	ASSERT_EQ(0, munmap(map, LENGTH));
	close(dmabuf);
}

TEST_F(heap, the_address_is_good_until_the_file_is_closed)
{
	int first = dma_heap_alloc(self->heap, LENGTH), second;
	__s64 phys = phys_of(self->phys, first);

	ASSERT_LT(0, phys);
	close(first);
	for (int i = 0; i < 3; i++) {
		int other_fd = open("/dev/dma-buf-phys", O_RDONLY | O_CLOEXEC);

		second = dma_heap_alloc(self->heap, LENGTH);
		ASSERT_LE(0, second);
		EXPECT_NE(phys, phys_of(other_fd, second));
		close(other_fd);
		close(second);
	}
}

TEST_F(heap, what_is_asked_wrong_is_refused_and_another_question_answered)
{
	int dmabuf = dma_heap_alloc(self->heap, LENGTH);
	char *page = mmap(NULL, page_size(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_LE(0, dmabuf);
	ASSERT_MAPPED(page);
	EXPECT_EQ(-EBADF, phys_of(self->phys, -1));
	EXPECT_EQ(-EINVAL, phys_of(self->phys, self->phys));
	EXPECT_EQ(-ENOTTY, cmem_ioctl(self->phys, _IOWR('D', 1, struct dma_buf_phys_data), page));
	EXPECT_EQ(-ENOTTY, cmem_ioctl(self->phys, _IOWR('D', 0, __u32), page));
	EXPECT_EQ(-EFAULT, cmem_ioctl(self->phys, DMA_BUF_PHYS_IOC_CONVERT, NULL));
	EXPECT_LT(0, phys_of(self->phys, dmabuf));
	ASSERT_EQ(0, munmap(page, page_size()));
	close(dmabuf);
}

TEST_F(heap, other_exporters_are_asked_as_well)
{
	int system = dma_heap_open_name("system"), dmabuf;

	if (system < 0)
		SKIP(return, "no DMA-BUF heap \"system\" in this kernel");
	dmabuf = dma_heap_alloc(system, page_size());
	close(system);
	ASSERT_LE(0, dmabuf);
	EXPECT_LT(0, phys_of(self->phys, dmabuf));
	EXPECT_EQ(-EFAULT, phys_of(self->phys, dmabuf));
	close(dmabuf);
}

/* From here on, the tests use /dev/cmem */

static int find_heap_block(int fd, const struct snapshot *s, __s64 phys)
{
	for (unsigned int i = 0; i < s->num_blocks; i++) {
		const struct cmem_block_info *b = &s->block[i];

		if (b->kind != CMEM_KIND_CMA && phys >= (__s64)b->base &&
		    phys < (__s64)(b->base + b->length))
			return i;
	}
	return -1;
}

TEST_F(heap, is_a_block_that_is_all_heap)
{
	int fd = cmem_open(), dmabuf = dma_heap_alloc(self->heap, LENGTH), block;
	static struct snapshot now, later;
	const struct cmem_block_info *b;
	struct cmem_resolve res;
	__s64 phys;
	void *map;

	ASSERT_LE(0, fd);
	ASSERT_LE(0, dmabuf);
	phys = phys_of(self->phys, dmabuf);
	ASSERT_EQ(0, take_snapshot(&now));
	block = find_heap_block(fd, &now, phys);
	ASSERT_LE(0, block);
	b = &now.block[block];
	EXPECT_EQ(0, b->num_pools);
	EXPECT_EQ(b->length, b->heap_size);
	EXPECT_EQ(variant->no_map ? CMEM_KIND_CARVEOUT : CMEM_KIND_RESERVED, b->kind);
	map = dmabuf_map(dmabuf, 0, LENGTH);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, cmem_resolve(fd, map, &res));
	EXPECT_EQ(phys, (__s64)res.phys_addr);
	EXPECT_EQ(variant->no_map ? 0 : CMEM_ALLOC_CACHED, res.buffer_flags);
	ASSERT_EQ(0, munmap(map, LENGTH));
	/* Only the file of the address holds it, and then releases it. */
	close(dmabuf);
	ASSERT_EQ(0, take_snapshot(&later));
	EXPECT_EQ(b->heap_free, later.block[block].heap_free);
	close(self->phys);
	self->phys = -1;
	ASSERT_EQ(0, take_snapshot(&later));
	EXPECT_EQ(b->heap_free + LENGTH, later.block[block].heap_free);
	close(fd);
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of DMA-BUFs for devices, above all for devices that can't reach the memory:
 * attaching must fail, without a bounce buffer, a bad pointer or a warning.
 *
 * The buffer is in an artificial block around some kernel pages. Memory without struct
 * pages does not even exist: no code accesses it.
 */
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/dma-buf.h>
#include <linux/dma-direct.h>
#include <linux/dma-fence.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-resv.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/gfp.h>
#include <linux/iosys-map.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/swiotlb.h>

#include "alloc.h"
#include "block.h"
#include "buffer.h"
#include "cmem.h"
#include "dmabuf.h"
#include "exports.h"
#include "kunit.h"
#include "sync.h"
#include "trace.h"

#define TEST_ORDER	2
#define TEST_LENGTH	(PAGE_SIZE << TEST_ORDER)

/**
 * struct cmem_dmabuf_test - a buffer, its DMA-BUF, and a device to attach
 * @block: its block
 * @heap_buffer: the buffer; this holds a reference
 * @page: its first page
 * @phys: its physical address
 * @dmabuf: its DMA-BUF
 * @dev: the device
 * @mask: the device's DMA mask
 */
struct cmem_dmabuf_test {
	struct cmem_block block;
	struct cmem_heap_buffer heap_buffer;
	struct page *page;
	phys_addr_t phys;
	struct dma_buf *dmabuf;
	struct device *dev;
	u64 mask;
};

/* A DMA-BUF of the buffer's current length, with a reference of its own */
static struct dma_buf *cmem_dmabuf_test_export(struct cmem_dmabuf_test *t, bool heap, int access)
{
	struct cmem_buffer *buffer = &t->heap_buffer.buffer;

	cmem_buffer_get(buffer);
	return cmem_dmabuf_wrap(buffer, "cmem-test", cmem_buffer_length(buffer), heap, access);
}

static void cmem_dmabuf_test_wrap(struct kunit *test, struct cmem_dmabuf_test *t)
{
	struct dma_buf *dmabuf = cmem_dmabuf_test_export(t, false, O_RDWR);

	KUNIT_ASSERT_FALSE(test, IS_ERR(dmabuf));
	t->dmabuf = dmabuf;
}

static void cmem_dmabuf_test_unwrap(struct cmem_dmabuf_test *t)
{
	unsigned int tries = 500;

	/* As when the last registration is dropped */
	t->heap_buffer.buffer.first.file = NULL;
	mutex_lock(&t->block.lock);
	cmem_exports_forget(&t->heap_buffer.buffer);
	mutex_unlock(&t->block.lock);
	if (t->dmabuf)
		dma_buf_put(t->dmabuf);
	t->dmabuf = NULL;
	/* A thread's files are closed later, or are being closed by another thread. */
	flush_delayed_fput();
	while (refcount_read(&t->heap_buffer.buffer.refs) > 1 && tries--)
		msleep(20);
}

/*
 * Skip a test. Older kernels then clean up in a process that never returns to user space,
 * and so never closes files.
 */
static void cmem_dmabuf_test_skip(struct kunit *test, const char *why)
{
	cmem_dmabuf_test_unwrap(test->priv);
	kunit_skip(test, "%s", why);
}

static int cmem_dmabuf_test_init(struct kunit *test)
{
	struct cmem_dmabuf_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	t->page = alloc_pages(GFP_KERNEL | __GFP_ZERO, TEST_ORDER);
	KUNIT_ASSERT_NOT_NULL(test, t->page);
	t->phys = page_to_phys(t->page);

	t->block.ops = &cmem_carved_ops;
	mutex_init(&t->block.lock);
	t->block.kind = CMEM_KIND_RESERVED;
	t->block.is_ram = true;
	t->block.has_pages = true;
	t->block.base_pfn = page_to_pfn(t->page);
	t->block.num_pages = 1 << TEST_ORDER;
	t->block.alias = page_address(t->page);
	t->heap_buffer.block = &t->block;
	t->heap_buffer.pool = CMEM_POOL_HEAP;
	t->heap_buffer.pages = t->block.num_pages;
	t->heap_buffer.buffer.flags = CMEM_BUFFER_LIVE | CMEM_BUFFER_CACHED |
				      CMEM_BUFFER_SHARED;
	refcount_set(&t->heap_buffer.buffer.refs, 1);
	cmem_dmabuf_test_wrap(test, t);

	t->dev = kunit_device_register(test, "cmem-test");
	KUNIT_ASSERT_FALSE(test, IS_ERR(t->dev));
	t->mask = DMA_BIT_MASK(64);
	t->dev->dma_mask = &t->mask;
	return 0;
}

static void cmem_dmabuf_test_exit(struct kunit *test)
{
	struct cmem_dmabuf_test *t = test->priv;

	if (!t)
		return;
	cmem_dmabuf_test_unwrap(t);
	if (t->page)
		__free_pages(t->page, TEST_ORDER);
}

/* Attach the device and map, expecting the errno @expected. */
static void cmem_dmabuf_test_refused(struct kunit *test, struct dma_buf *dmabuf,
				     int expected)
{
	struct cmem_dmabuf_test *t = test->priv;
	struct dma_buf_attachment *attachment;
	struct sg_table *table;

	attachment = dma_buf_attach(dmabuf, t->dev);
	KUNIT_ASSERT_FALSE(test, IS_ERR(attachment));
	table = dma_buf_map_attachment_unlocked(attachment, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(table), expected);
	if (!IS_ERR(table))
		dma_buf_unmap_attachment_unlocked(attachment, table,
						  DMA_BIDIRECTIONAL);
	dma_buf_detach(dmabuf, attachment);
}

static void cmem_dmabuf_test_one_entry(struct kunit *test)
{
	struct cmem_dmabuf_test *t = test->priv;
	struct dma_buf_attachment *attachment;
	struct sg_table *table;

	KUNIT_EXPECT_EQ(test, t->dmabuf->size, TEST_LENGTH);
	attachment = dma_buf_attach(t->dmabuf, t->dev);
	KUNIT_ASSERT_FALSE(test, IS_ERR(attachment));
	table = dma_buf_map_attachment_unlocked(attachment, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(test, IS_ERR(table));
	KUNIT_EXPECT_EQ(test, table->orig_nents, 1);
	KUNIT_EXPECT_EQ(test, table->nents, 1);
	KUNIT_EXPECT_EQ(test, sg_dma_address(table->sgl), t->phys);
	KUNIT_EXPECT_EQ(test, sg_dma_len(table->sgl), TEST_LENGTH);
	/* With debugging, importers must not see the page. */
	if (!IS_ENABLED(CONFIG_DMABUF_DEBUG))
		KUNIT_EXPECT_PTR_EQ(test, sg_page(table->sgl), t->page);

	dma_buf_unmap_attachment_unlocked(attachment, table, DMA_BIDIRECTIONAL);
	dma_buf_detach(t->dmabuf, attachment);
}

static void cmem_dmabuf_test_short_mask(struct kunit *test)
{
	struct cmem_dmabuf_test *t = test->priv;

	/* Only the last byte is out of reach. */
	t->mask = t->phys + TEST_LENGTH - 2;
	cmem_dmabuf_test_refused(test, t->dmabuf, -EIO);
	t->mask++;
	cmem_dmabuf_test_refused(test, t->dmabuf, 0);
}

static void cmem_dmabuf_test_bus_limit(struct kunit *test)
{
	struct cmem_dmabuf_test *t = test->priv;

	t->dev->bus_dma_limit = t->phys + TEST_LENGTH - 2;
	cmem_dmabuf_test_refused(test, t->dmabuf, -EIO);
}

/* Make a bus map some memory elsewhere. */
static void cmem_dmabuf_test_range(struct bus_dma_region *region, u64 cpu_start,
				   u64 dma_start, u64 size)
{
	region->cpu_start = cpu_start;
	region->dma_start = dma_start;
	region->size = size;
}

/* A bus that has the memory elsewhere, and not all of it in one place */
static void cmem_dmabuf_test_bus_offset(struct kunit *test)
{
	struct cmem_dmabuf_test *t = test->priv;
	struct dma_buf_attachment *attachment;
	struct bus_dma_region *map;
	struct sg_table *table;

	map = kunit_kzalloc(test, 3 * sizeof(*map), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, map);
	cmem_dmabuf_test_range(&map[0], t->phys, SZ_1M, TEST_LENGTH);
	t->dev->dma_range_map = map;
	attachment = dma_buf_attach(t->dmabuf, t->dev);
	KUNIT_ASSERT_FALSE(test, IS_ERR(attachment));
	table = dma_buf_map_attachment_unlocked(attachment, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_FALSE(test, IS_ERR(table));
	if (!IS_ERR(table)) {
		KUNIT_EXPECT_EQ(test, sg_dma_address(table->sgl), SZ_1M);
		dma_buf_unmap_attachment_unlocked(attachment, table,
						  DMA_BIDIRECTIONAL);
	}
	dma_buf_detach(t->dmabuf, attachment);

	cmem_dmabuf_test_range(&map[0], t->phys, SZ_1M, TEST_LENGTH / 2);
	cmem_dmabuf_test_range(&map[1], t->phys + TEST_LENGTH / 2, SZ_2M,
			       TEST_LENGTH / 2);
	cmem_dmabuf_test_refused(test, t->dmabuf, -EIO);
	t->dev->dma_range_map = NULL;
}

static void cmem_dmabuf_test_no_mask(struct kunit *test)
{
	struct cmem_dmabuf_test *t = test->priv;

	t->dev->dma_mask = NULL;
	cmem_dmabuf_test_refused(test, t->dmabuf, -EIO);
}

static void cmem_dmabuf_test_forced_bounce(struct kunit *test)
{
#ifdef CONFIG_SWIOTLB
	struct cmem_dmabuf_test *t = test->priv;
	struct io_tlb_mem *mem, *own = t->dev->dma_io_tlb_mem;

	mem = kunit_kzalloc(test, sizeof(*mem), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, mem);
	mem->force_bounce = true;
	t->dev->dma_io_tlb_mem = mem;
	cmem_dmabuf_test_refused(test, t->dmabuf, -EIO);
	t->dev->dma_io_tlb_mem = own;
#else
	cmem_dmabuf_test_skip(test, "a kernel without SWIOTLB does not bounce");
#endif
}

/* The same with memory of this machine, if it has some. */
static void cmem_dmabuf_test_above_4g(struct kunit *test)
{
	struct cmem_request request = {
		.pool = CMEM_POOL_BEST,
		.flags = CMEM_ALLOC_HEAP_FALLBACK,
		.length = PAGE_SIZE,
	};
	struct cmem_dmabuf_test *t = test->priv;
	struct cmem_buffer *buffer = NULL;
	struct cmem_block *block;
	struct dma_buf *dmabuf;
	s32 id = 0;

	while (!buffer && (block = cmem_block_find_from(id))) {
		id = block->id + 1;
		if ((u64)READ_ONCE(block->base_pfn) << PAGE_SHIFT < SZ_4G ||
		    !block->has_pages)
			continue;
		buffer = cmem_buffer_alloc_unowned(block, &request);
		KUNIT_ASSERT_FALSE(test, IS_ERR(buffer));
	}
	if (!buffer)
		cmem_dmabuf_test_skip(test, "no block above 4 GiB has struct pages");

	dmabuf = cmem_dmabuf_wrap(buffer, "cmem-test", TEST_LENGTH, false, O_RDWR);
	KUNIT_ASSERT_FALSE(test, IS_ERR(dmabuf));
	t->mask = DMA_BIT_MASK(32);
	cmem_dmabuf_test_refused(test, dmabuf, -EIO);
	t->mask = DMA_BIT_MASK(64);
	cmem_dmabuf_test_refused(test, dmabuf, 0);
	dma_buf_put(dmabuf);
	flush_delayed_fput();
}

static void cmem_dmabuf_test_invalidate(struct dma_buf_attachment *attachment)
{
}

static const struct dma_buf_attach_ops cmem_dmabuf_test_peer = {
	.allow_peer2peer = true,
	.invalidate_mappings = cmem_dmabuf_test_invalidate,
};

/* Where there is no memory at all, nor anything that the kernel takes for some */
static unsigned long cmem_dmabuf_test_nowhere(unsigned long pages)
{
	unsigned long pfn = PHYS_PFN(SZ_2G), step = PHYS_PFN(SZ_1G);

	while (pfn_valid(pfn) || pfn_valid(pfn + pages / 2) ||
	       pfn_valid(pfn + pages - 1))
		pfn += step;
	return pfn;
}

static void cmem_dmabuf_test_no_pages(struct kunit *test)
{
	struct cmem_dmabuf_test *t = test->priv;
	struct dma_buf_attachment *attachment;
	struct scatterlist *first, *second;
	struct bus_dma_region *map;
	struct sg_table *table;
	u64 phys;

	if (sizeof(dma_addr_t) < sizeof(u64))
		cmem_dmabuf_test_skip(test, "no addresses behind all memory");
	cmem_dmabuf_test_unwrap(t);
	/* Longer than the maximum of one entry */
	t->heap_buffer.pages = PHYS_PFN(3UL << 30);
	t->heap_buffer.buffer.flags &= ~CMEM_BUFFER_CACHED;
	t->block.has_pages = false;
	t->block.base_pfn = cmem_dmabuf_test_nowhere(t->heap_buffer.pages);
	t->block.num_pages = t->heap_buffer.pages;
	phys = (u64)t->block.base_pfn << PAGE_SHIFT;
	cmem_dmabuf_test_wrap(test, t);

	attachment = dma_buf_attach(t->dmabuf, t->dev);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(attachment), -EOPNOTSUPP);
	if (!IS_ERR(attachment))
		dma_buf_detach(t->dmabuf, attachment);

	attachment = dma_buf_dynamic_attach(t->dmabuf, t->dev,
					    &cmem_dmabuf_test_peer, NULL);
	KUNIT_ASSERT_FALSE(test, IS_ERR(attachment));
	table = dma_buf_map_attachment_unlocked(attachment, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(test, IS_ERR(table));
	KUNIT_ASSERT_EQ(test, table->nents, 2);
	first = table->sgl;
	second = sg_next(first);
	KUNIT_EXPECT_EQ(test, sg_dma_address(first), phys);
	KUNIT_EXPECT_EQ(test, sg_dma_len(first), SZ_2G);
	KUNIT_EXPECT_EQ(test, sg_dma_address(second), phys + SZ_2G);
	KUNIT_EXPECT_EQ(test, sg_dma_len(second), SZ_1G);
	if (!IS_ENABLED(CONFIG_DMABUF_DEBUG))
		KUNIT_EXPECT_NULL(test, sg_page(first));
	dma_buf_unmap_attachment_unlocked(attachment, table, DMA_BIDIRECTIONAL);
	dma_buf_detach(t->dmabuf, attachment);

	/* The bus maps it elsewhere. */
	map = kunit_kzalloc(test, 2 * sizeof(*map), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, map);
	cmem_dmabuf_test_range(map, phys, SZ_1M, 3ULL << 30);
	t->dev->dma_range_map = map;
	attachment = dma_buf_dynamic_attach(t->dmabuf, t->dev,
					    &cmem_dmabuf_test_peer, NULL);
	KUNIT_ASSERT_FALSE(test, IS_ERR(attachment));
	table = dma_buf_map_attachment_unlocked(attachment, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_FALSE(test, IS_ERR(table));
	KUNIT_EXPECT_EQ(test, sg_dma_address(table->sgl), SZ_1M);
	dma_buf_unmap_attachment_unlocked(attachment, table, DMA_BIDIRECTIONAL);
	dma_buf_detach(t->dmabuf, attachment);
	t->dev->dma_range_map = NULL;

	/* It does not get memory out of its reach, either. */
	t->mask = phys + SZ_1G;
	attachment = dma_buf_dynamic_attach(t->dmabuf, t->dev,
					    &cmem_dmabuf_test_peer, NULL);
	/* Older kernels map it on attach. */
	table = IS_ERR(attachment) ? ERR_CAST(attachment) :
		dma_buf_map_attachment_unlocked(attachment, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(table), -EIO);
	if (!IS_ERR(table))
		dma_buf_unmap_attachment_unlocked(attachment, table,
						  DMA_BIDIRECTIONAL);
	if (!IS_ERR(attachment))
		dma_buf_detach(t->dmabuf, attachment);
}

/* QEMU's "edu": an IOMMU has a device only after a driver binds to it. */
static const struct pci_device_id cmem_dmabuf_test_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{ }
};

static int cmem_dmabuf_test_pci_probe(struct pci_dev *pci,
				      const struct pci_device_id *id)
{
	return 0;
}

static struct pci_driver cmem_dmabuf_test_driver = {
	.name = "cmem-dmabuf-test",
	.id_table = cmem_dmabuf_test_ids,
	.probe = cmem_dmabuf_test_pci_probe,
};

static bool cmem_dmabuf_test_behind_iommu(struct kunit *test, struct device *dev)
{
	struct cmem_dmabuf_test *t = test->priv;
	struct dma_buf_attachment *attachment = dma_buf_attach(t->dmabuf, dev);
	struct sg_table *table;
	bool behind;

	KUNIT_ASSERT_FALSE(test, IS_ERR(attachment));
	table = dma_buf_map_attachment_unlocked(attachment, DMA_BIDIRECTIONAL);
	behind = !IS_ERR(table) && sg_dma_address(table->sgl) != t->phys;
	/* The pages are mapped as memory: the device decides whether it snoops. */
	if (behind)
		KUNIT_EXPECT_EQ(test, cmem_buffer_must_sync(&t->heap_buffer.buffer),
				!dev_is_dma_coherent(dev));
	if (!IS_ERR(table))
		dma_buf_unmap_attachment_unlocked(attachment, table,
						  DMA_BIDIRECTIONAL);
	dma_buf_detach(t->dmabuf, attachment);
	return behind;
}

static void cmem_dmabuf_test_attach_no_pages(struct kunit *test,
					     struct device *dev)
{
	struct cmem_dmabuf_test *t = test->priv;
	struct dma_buf_attachment *attachment;
	struct sg_table *table;

	cmem_dmabuf_test_unwrap(t);
	t->block.has_pages = false;
	t->block.base_pfn = cmem_dmabuf_test_nowhere(t->heap_buffer.pages);
	cmem_dmabuf_test_wrap(test, t);
	KUNIT_EXPECT_FALSE(test, cmem_buffer_must_sync(&t->heap_buffer.buffer));
	attachment = dma_buf_dynamic_attach(t->dmabuf, dev,
					    &cmem_dmabuf_test_peer, NULL);
	KUNIT_ASSERT_FALSE(test, IS_ERR(attachment));
	KUNIT_EXPECT_EQ(test, cmem_buffer_must_sync(&t->heap_buffer.buffer),
			!CMEM_ALWAYS_COHERENT);
	table = dma_buf_map_attachment_unlocked(attachment, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_FALSE(test, IS_ERR(table));
	if (!IS_ERR(table)) {
		KUNIT_EXPECT_EQ(test, sg_dma_len(table->sgl), TEST_LENGTH);
		dma_buf_unmap_attachment_unlocked(attachment, table,
						  DMA_BIDIRECTIONAL);
	}
	dma_buf_detach(t->dmabuf, attachment);
	KUNIT_EXPECT_FALSE(test, cmem_buffer_must_sync(&t->heap_buffer.buffer));
}

/* An IOMMU maps memory without struct pages like registers: no device snoops. */
static void cmem_dmabuf_test_iommu(struct kunit *test)
{
	const struct pci_device_id *id = &cmem_dmabuf_test_ids[0];
	struct cmem_dmabuf_test *t = test->priv;
	struct pci_dev *pci;
	bool behind = false;

	t->block.coherent = true;
	KUNIT_ASSERT_EQ(test, pci_register_driver(&cmem_dmabuf_test_driver), 0);
	pci = pci_get_device(id->vendor, id->device, NULL);
	if (pci)
		behind = cmem_dmabuf_test_behind_iommu(test, &pci->dev);
	if (behind)
		cmem_dmabuf_test_attach_no_pages(test, &pci->dev);
	pci_dev_put(pci);
	pci_unregister_driver(&cmem_dmabuf_test_driver);
	if (!behind)
		cmem_dmabuf_test_skip(test, "no PCI device \"edu\" behind an IOMMU");
}

static void cmem_dmabuf_test_vmap(struct kunit *test)
{
	struct cmem_dmabuf_test *t = test->priv;
	struct iosys_map map, second;
	u32 *first = page_address(t->page);
	u32 *last = page_address(t->page) + TEST_LENGTH - sizeof(*last);

	KUNIT_ASSERT_EQ(test, dma_buf_vmap_unlocked(t->dmabuf, &map), 0);
	KUNIT_EXPECT_FALSE(test, map.is_iomem);
	KUNIT_EXPECT_EQ(test, dma_buf_vmap_unlocked(t->dmabuf, &second), 0);
	KUNIT_EXPECT_PTR_EQ(test, map.vaddr, second.vaddr);
	*(u32 *)map.vaddr = 0x12345678;
	*(u32 *)(map.vaddr + TEST_LENGTH - sizeof(*last)) = 0x9abcdef0;
	KUNIT_EXPECT_EQ(test, *first, 0x12345678);
	KUNIT_EXPECT_EQ(test, *last, 0x9abcdef0);
	dma_buf_vunmap_unlocked(t->dmabuf, &second);
	dma_buf_vunmap_unlocked(t->dmabuf, &map);
}

static const char *cmem_dmabuf_test_fence_name(struct dma_fence *fence)
{
	return "cmem-test";
}

/* A waiter sees the work done by then. */
static bool cmem_dmabuf_test_fence_enable(struct dma_fence *fence)
{
	return false;
}

static const struct dma_fence_ops cmem_dmabuf_test_fence_ops = {
	.get_driver_name = cmem_dmabuf_test_fence_name,
	.get_timeline_name = cmem_dmabuf_test_fence_name,
	.enable_signaling = cmem_dmabuf_test_fence_enable,
};

/* A fence that the test signals */
static bool cmem_dmabuf_test_fence_wait(struct dma_fence *fence)
{
	return true;
}

static const struct dma_fence_ops cmem_dmabuf_test_late_ops = {
	.get_driver_name = cmem_dmabuf_test_fence_name,
	.get_timeline_name = cmem_dmabuf_test_fence_name,
	.enable_signaling = cmem_dmabuf_test_fence_wait,
};

/**
 * struct cmem_dmabuf_test_order - cache maintenance before and after a fence
 * @lock: the fence's
 * @fence: of a device that is still writing
 * @before: runs maintained while the fence was not signaled
 * @after: runs maintained later
 */
struct cmem_dmabuf_test_order {
	spinlock_t lock;
	struct dma_fence *fence;
	unsigned int before;
	unsigned int after;
};

static void cmem_dmabuf_test_probe(void *data, phys_addr_t phys, size_t length,
				   enum cmem_sync_op op)
{
	struct cmem_dmabuf_test_order *order = data;

	if (dma_fence_is_signaled(order->fence))
		order->after++;
	else
		order->before++;
}

/* The caches must not hold data of an unfinished device write when the CPU reads. */
static void cmem_dmabuf_test_fence_first(struct kunit *test)
{
	struct cmem_dmabuf_test *t = test->priv;
	struct cmem_dmabuf_test_order *order;
	struct dma_resv *resv = t->dmabuf->resv;

	if (CMEM_ALWAYS_COHERENT || !IS_ENABLED(CONFIG_TRACEPOINTS))
		cmem_dmabuf_test_skip(test, "no caches to maintain, or nobody sees it");
	order = kunit_kzalloc(test, sizeof(*order), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, order);
	/* Freed by an RCU callback, so not by the test */
	order->fence = kzalloc(sizeof(*order->fence), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, order->fence);
	spin_lock_init(&order->lock);
	dma_fence_init(order->fence, &cmem_dmabuf_test_fence_ops, &order->lock,
		       dma_fence_context_alloc(1), 1);
	KUNIT_ASSERT_EQ(test, dma_resv_lock(resv, NULL), 0);
	KUNIT_EXPECT_EQ(test, dma_resv_reserve_fences(resv, 1), 0);
	dma_resv_add_fence(resv, order->fence, DMA_RESV_USAGE_WRITE);
	dma_resv_unlock(resv);

	KUNIT_ASSERT_EQ(test,
			register_trace_cmem_sync(cmem_dmabuf_test_probe, order),
			0);
	KUNIT_EXPECT_EQ(test,
			dma_buf_begin_cpu_access(t->dmabuf, DMA_FROM_DEVICE), 0);
	unregister_trace_cmem_sync(cmem_dmabuf_test_probe, order);
	tracepoint_synchronize_unregister();
	KUNIT_EXPECT_EQ(test, order->before, 0);
	KUNIT_EXPECT_GE(test, order->after, 1);
	dma_fence_put(order->fence);
}

/* Repeated exports with the same access return the same DMA-BUF. */
static void cmem_dmabuf_test_one_of_each(struct kunit *test)
{
	static const int access[] = { O_RDWR, O_RDONLY, O_WRONLY };
	struct cmem_dmabuf_test *t = test->priv;
	struct dma_buf *first[ARRAY_SIZE(access)], *second;
	int i;

	cmem_dmabuf_test_unwrap(t);
	/* Never called: only its presence counts. */
	t->heap_buffer.buffer.first.file = (void *)t;
	cmem_dmabuf_test_wrap(test, t);
	for (i = 0; i < ARRAY_SIZE(access); i++) {
		first[i] = cmem_dmabuf_test_export(t, false, access[i]);
		KUNIT_ASSERT_FALSE(test, IS_ERR(first[i]));
		KUNIT_EXPECT_EQ(test, first[i] == t->dmabuf, !i);
		KUNIT_EXPECT_PTR_EQ(test, first[i]->resv, t->dmabuf->resv);
	}
	for (i = 0; i < ARRAY_SIZE(access); i++) {
		second = cmem_dmabuf_test_export(t, false, access[i] | O_CLOEXEC);
		KUNIT_EXPECT_PTR_EQ(test, first[i], second);
		dma_buf_put(second);
		dma_buf_put(first[i]);
		/* It is kept, even without a user. */
		second = cmem_dmabuf_test_export(t, false, access[i]);
		KUNIT_EXPECT_PTR_EQ(test, first[i], second);
		dma_buf_put(second);
	}

	/* A heap's DMA-BUF is separate, and never shared. */
	second = cmem_dmabuf_test_export(t, true, O_RDWR);
	KUNIT_ASSERT_FALSE(test, IS_ERR(second));
	KUNIT_EXPECT_PTR_NE(test, t->dmabuf, second);
	KUNIT_EXPECT_PTR_EQ(test, t->dmabuf->resv, second->resv);
	dma_buf_put(second);
	cmem_dmabuf_test_unwrap(t);
	KUNIT_EXPECT_EQ(test, refcount_read(&t->heap_buffer.buffer.refs), 1);
}

/* A fence of one DMA-BUF is a fence of all of them. */
static void cmem_dmabuf_test_shared_fence(struct kunit *test)
{
	struct cmem_dmabuf_test *t = test->priv;
	struct dma_fence *fence;
	struct dma_buf *second;
	spinlock_t *lock;

	lock = kunit_kzalloc(test, sizeof(*lock), GFP_KERNEL);
	fence = kzalloc(sizeof(*fence), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, lock);
	KUNIT_ASSERT_NOT_NULL(test, fence);
	spin_lock_init(lock);
	/* One that a wait does not signal */
	dma_fence_init(fence, &cmem_dmabuf_test_late_ops, lock,
		       dma_fence_context_alloc(1), 1);
	KUNIT_ASSERT_EQ(test, dma_resv_lock(t->dmabuf->resv, NULL), 0);
	KUNIT_EXPECT_EQ(test, dma_resv_reserve_fences(t->dmabuf->resv, 1), 0);
	dma_resv_add_fence(t->dmabuf->resv, fence, DMA_RESV_USAGE_WRITE);
	dma_resv_unlock(t->dmabuf->resv);

	second = cmem_dmabuf_test_export(t, false, O_RDONLY);
	KUNIT_ASSERT_FALSE(test, IS_ERR(second));
	KUNIT_EXPECT_PTR_NE(test, second, t->dmabuf);
	KUNIT_EXPECT_EQ(test,
			dma_resv_wait_timeout(second->resv, DMA_RESV_USAGE_READ,
					      false, 1), 0);
	dma_fence_signal(fence);
	KUNIT_EXPECT_GT(test,
			dma_resv_wait_timeout(second->resv, DMA_RESV_USAGE_READ,
					      false, 1), 0);
	dma_buf_put(second);
	dma_fence_put(fence);
}

#if defined(CONFIG_ARM) || defined(CONFIG_ARM64)
/**
 * struct cmem_dmabuf_test_count - cache maintenance done
 * @bytes: how many bytes
 * @ops: the operations, one bit for each
 */
struct cmem_dmabuf_test_count {
	size_t bytes;
	unsigned long ops;
};

static void cmem_dmabuf_test_count_probe(void *data, phys_addr_t phys,
					 size_t length, enum cmem_sync_op op)
{
	struct cmem_dmabuf_test_count *count = data;

	count->bytes += length;
	count->ops |= BIT(op);
}

/* Begin or end CPU access: expect nothing, or @op over the whole buffer. */
static void cmem_dmabuf_test_access(struct kunit *test, struct dma_buf *dmabuf,
				    bool begin,
				    enum dma_data_direction direction, int op,
				    const char *what)
{
	struct cmem_dmabuf_test_count *count;

	count = kunit_kzalloc(test, sizeof(*count), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, count);
	KUNIT_ASSERT_EQ(test,
			register_trace_cmem_sync(cmem_dmabuf_test_count_probe,
						 count), 0);
	KUNIT_EXPECT_EQ(test, begin ? dma_buf_begin_cpu_access(dmabuf, direction) :
				      dma_buf_end_cpu_access(dmabuf, direction),
			0);
	unregister_trace_cmem_sync(cmem_dmabuf_test_count_probe, count);
	tracepoint_synchronize_unregister();
	KUNIT_EXPECT_EQ_MSG(test, count->bytes, op ? TEST_LENGTH : 0,
			    "%s, begin %d, direction %d", what, begin,
			    direction);
	KUNIT_EXPECT_EQ_MSG(test, count->ops, op ? BIT(op) : 0,
			    "%s, begin %d, direction %d", what, begin,
			    direction);
}

/*
 * CPU access through a DMA-BUF. Write-only access to a cached buffer begins without
 * maintenance; for an uncached one, cache lines that a device left go first.
 */
static void cmem_dmabuf_test_turn(struct kunit *test, struct dma_buf *dmabuf,
				  bool cached, int begin, int end,
				  const char *what)
{
	cmem_dmabuf_test_access(test, dmabuf, true, DMA_BIDIRECTIONAL, begin,
				what);
	cmem_dmabuf_test_access(test, dmabuf, true, DMA_FROM_DEVICE, begin, what);
	cmem_dmabuf_test_access(test, dmabuf, true, DMA_TO_DEVICE,
				cached ? 0 : begin, what);
	cmem_dmabuf_test_access(test, dmabuf, false, DMA_BIDIRECTIONAL, end,
				what);
	cmem_dmabuf_test_access(test, dmabuf, false, DMA_TO_DEVICE, end, what);
	cmem_dmabuf_test_access(test, dmabuf, false, DMA_FROM_DEVICE, 0, what);
}

static struct dma_buf_attachment *
cmem_dmabuf_test_attach(struct kunit *test, struct dma_buf *dmabuf,
			struct device *dev)
{
	struct dma_buf_attachment *attachment = dma_buf_attach(dmabuf, dev);

	KUNIT_ASSERT_FALSE(test, IS_ERR(attachment));
	return attachment;
}

static void cmem_dmabuf_test_set_snoops(struct device *dev, bool snoops)
{
	dev_assign_dma_coherent(dev, snoops);
}
#endif

/*
 * The buffer's maintenance does not depend on how the CPU accesses it. It depends on the
 * devices that the block is for, and on all attached devices, each of which snoops or
 * does not.
 */
static void cmem_dmabuf_test_who_snoops(struct kunit *test)
{
#if defined(CONFIG_ARM) || defined(CONFIG_ARM64)
	static const struct {
		bool cached, coherent, snooped, unsnooped;
		int begin, end;
		const char *what;
	} cases[] = {
#define BOTH	CMEM_SYNC_WRITE_BACK_INVALIDATE
#define BACK	CMEM_SYNC_WRITE_BACK
		{ true, false, false, false, BOTH, BACK, "no device" },
		{ true, false, true, false, BOTH, BACK, "one that snoops" },
		{ true, false, false, true, BOTH, BACK, "one that does not" },
		{ true, false, true, true, BOTH, BACK, "one of each" },
		{ true, true, false, false, 0, 0, "coherent, no device" },
		{ true, true, true, false, 0, 0, "coherent, one that snoops" },
		{ true, true, false, true, BOTH, BACK, "coherent, one that does not" },
		{ true, true, true, true, BOTH, BACK, "coherent, one of each" },
		{ false, false, false, false, 0, 0, "not cached, no device" },
		{ false, false, true, false, BOTH, BOTH, "not cached, one that snoops" },
		{ false, false, false, true, 0, 0, "not cached, one that does not" },
		{ false, false, true, true, BOTH, BOTH, "not cached, one of each" },
#undef BOTH
#undef BACK
	};
	struct dma_buf_attachment *snooped = NULL, *unsnooped = NULL;
	struct cmem_dmabuf_test *t = test->priv;
	struct device *other_dev;
	struct dma_buf *reader;
	u64 mask = DMA_BIT_MASK(64);
	int i;

	if (!IS_ENABLED(CONFIG_TRACEPOINTS))
		cmem_dmabuf_test_skip(test, "nobody sees it");
	other_dev = kunit_device_register(test, "cmem-test-other");
	KUNIT_ASSERT_FALSE(test, IS_ERR(other_dev));
	other_dev->dma_mask = &mask;
	cmem_dmabuf_test_set_snoops(other_dev, true);
	cmem_dmabuf_test_set_snoops(t->dev, false);
	reader = cmem_dmabuf_test_export(t, false, O_RDONLY);
	KUNIT_ASSERT_FALSE(test, IS_ERR(reader));

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *what = cases[i].what;

		t->block.coherent = cases[i].coherent;
		t->heap_buffer.buffer.flags &= ~CMEM_BUFFER_CACHED;
		if (cases[i].cached)
			t->heap_buffer.buffer.flags |= CMEM_BUFFER_CACHED;
		if (cases[i].snooped)
			snooped = cmem_dmabuf_test_attach(test, reader, other_dev);
		if (cases[i].unsnooped)
			unsnooped = cmem_dmabuf_test_attach(test, t->dmabuf,
							    t->dev);
		cmem_dmabuf_test_turn(test, t->dmabuf, cases[i].cached,
				      cases[i].begin, cases[i].end, what);
		cmem_dmabuf_test_turn(test, reader, cases[i].cached,
				      cases[i].begin, cases[i].end, what);
		KUNIT_EXPECT_EQ(test, cmem_buffer_must_sync(&t->heap_buffer.buffer),
				!!cases[i].begin);
		if (cases[i].snooped)
			dma_buf_detach(reader, snooped);
		if (cases[i].unsnooped)
			dma_buf_detach(t->dmabuf, unsnooped);
		KUNIT_EXPECT_EQ(test, cmem_buffer_must_sync(&t->heap_buffer.buffer),
				cases[i].cached && !cases[i].coherent);
	}
	dma_buf_put(reader);
	other_dev->dma_mask = NULL;
#else
	cmem_dmabuf_test_skip(test, "all devices snoop");
#endif
}

/* Each DMA-BUF holds a reference to the buffer, and drops it. */
static void cmem_dmabuf_test_holds(struct kunit *test)
{
	struct cmem_dmabuf_test *t = test->priv;
	struct dma_buf *second;

	KUNIT_EXPECT_EQ(test, refcount_read(&t->heap_buffer.buffer.refs), 2);
	second = cmem_dmabuf_test_export(t, false, O_RDONLY);
	KUNIT_ASSERT_FALSE(test, IS_ERR(second));
	KUNIT_EXPECT_EQ(test, refcount_read(&t->heap_buffer.buffer.refs), 3);
	dma_buf_put(second);
	cmem_dmabuf_test_unwrap(t);
	KUNIT_EXPECT_EQ(test, refcount_read(&t->heap_buffer.buffer.refs), 1);
}

static struct kunit_case cmem_dmabuf_cases[] = {
	KUNIT_CASE(cmem_dmabuf_test_one_entry),
	KUNIT_CASE(cmem_dmabuf_test_short_mask),
	KUNIT_CASE(cmem_dmabuf_test_bus_limit),
	KUNIT_CASE(cmem_dmabuf_test_bus_offset),
	KUNIT_CASE(cmem_dmabuf_test_no_mask),
	KUNIT_CASE(cmem_dmabuf_test_forced_bounce),
	KUNIT_CASE(cmem_dmabuf_test_above_4g),
	KUNIT_CASE(cmem_dmabuf_test_no_pages),
	KUNIT_CASE(cmem_dmabuf_test_iommu),
	KUNIT_CASE(cmem_dmabuf_test_vmap),
	KUNIT_CASE(cmem_dmabuf_test_fence_first),
	KUNIT_CASE(cmem_dmabuf_test_one_of_each),
	KUNIT_CASE(cmem_dmabuf_test_shared_fence),
	KUNIT_CASE(cmem_dmabuf_test_who_snoops),
	KUNIT_CASE(cmem_dmabuf_test_holds),
	{ }
};

static struct kunit_suite cmem_dmabuf_suite = {
	.name = "cmem_dmabuf",
	.init = cmem_dmabuf_test_init,
	.exit = cmem_dmabuf_test_exit,
	.test_cases = cmem_dmabuf_cases,
};

kunit_test_suite(cmem_dmabuf_suite);

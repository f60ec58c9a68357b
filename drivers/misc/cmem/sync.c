// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cache maintenance of buffers, through the kernel's alias of them (alias.c).
 *
 * A program's request looks up buffers under the mmap_lock, and takes references. It then
 * maintains the caches with no lock held.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "alias.h"
#include "block.h"
#include "buffer.h"
#include "cache.h"
#include "cmem.h"
#include "failure.h"
#include "file.h"
#include "registration.h"
#include "sync.h"
#include "trace.h"
#include "vma.h"

static void cmem_sync_run(struct cmem_block *block, void *va, phys_addr_t phys,
			  size_t length, void *arg)
{
	enum cmem_sync_op *op = arg;

	trace_cmem_sync(phys, length, *op);
	cmem_cache_maintain(va, phys, length, *op);
}

/* Skip pages that have failed. The offset is relative to the block. */
static int cmem_sync_around(struct cmem_block *block,
			    const struct cmem_buffer *buffer, u64 offset,
			    u64 length, bool killable, enum cmem_sync_op op)
{
	unsigned long page, well, last = (offset + length - 1) >> PAGE_SHIFT;
	u64 end = offset + length, next;
	int ret, failed = 0;

	for (; offset < end; offset = next) {
		page = offset >> PAGE_SHIFT;
		well = cmem_failure_before(block, block->base_pfn + page,
					   last - page + 1);
		next = min(end, (u64)(page + well) << PAGE_SHIFT);
		if (!well) {
			next = (u64)(page + 1) << PAGE_SHIFT;
			failed = -EHWPOISON;
			continue;
		}
		ret = cmem_alias_for_each(block, buffer, offset, next - offset,
					  killable, cmem_sync_run, &op);
		if (ret)
			return ret;
	}
	return failed;
}

/*
 * The operation that the caches need when @op is requested, 0 for none. Only this
 * function decides that, from the buffer, whatever the caller and the interface are.
 *
 * A cached buffer needs maintenance if any device that uses it does not snoop. The block
 * tells that for devices that get the physical address. Devices that are attached to a
 * DMA-BUF of the buffer are tracked one by one. The CPU's accesses to a non-cached
 * buffer bypass the caches. But a device that snoops may hit a line that the CPU read
 * speculatively through the alias, and may leave its own writes in the caches. These
 * must not be dropped.
 */
static int cmem_sync_needs(const struct cmem_buffer *buffer,
			   enum cmem_sync_op op)
{
	const struct cmem_block *block = cmem_buffer_block(buffer);
	u16 flags = READ_ONCE(buffer->flags);

	if (CMEM_ALWAYS_COHERENT || block->kind == CMEM_KIND_SRAM)
		return 0;
	if (cmem_buffer_is_cached(buffer))
		return !block->coherent || flags & CMEM_BUFFER_UNSNOOPED ? op : 0;
	return flags & CMEM_BUFFER_SNOOPED ? CMEM_SYNC_WRITE_BACK_INVALIDATE : 0;
}

/**
 * cmem_buffer_must_sync - tell if a buffer's caches need maintenance
 * @buffer: a buffer that the caller holds
 *
 * Return: true unless the CPU and all devices always see the same data.
 */
bool cmem_buffer_must_sync(const struct cmem_buffer *buffer)
{
	return cmem_sync_needs(buffer, CMEM_SYNC_WRITE_BACK);
}

/**
 * cmem_buffer_sync - maintain the caches over a part of a buffer, if needed
 * @buffer: a buffer that the caller holds
 * @offset: offset of the first byte in the buffer
 * @length: length in bytes
 * @killable: stop on a fatal signal
 * @op: the requested operation
 *
 * May sleep.
 *
 * Return: 0, -EINTR, -ENOMEM if the memory can't be mapped, or -EHWPOISON if some pages
 * have failed and the operation is done on all others.
 */
int cmem_buffer_sync(struct cmem_buffer *buffer, u64 offset, u64 length,
		     bool killable, enum cmem_sync_op op)
{
	struct cmem_extent extent;

	op = cmem_sync_needs(buffer, op);
	if (!op) {
		/* Earlier stores must reach memory all the same. */
		wmb();
		return 0;
	}

	cmem_buffer_locate(buffer, &extent);
	offset += (u64)extent.start << PAGE_SHIFT;
	if (cmem_block_has_failed(extent.block))
		return cmem_sync_around(extent.block, buffer, offset, length,
					killable, op);
	return cmem_alias_for_each(extent.block, buffer, offset, length,
				   killable, cmem_sync_run, &op);
}

/**
 * struct cmem_piece - the part of a range that is in one mapping or buffer
 * @buffer: the buffer, held
 * @offset: offset of the first byte in the buffer
 * @length: length in bytes
 * @writable: the mapping is or can become writable, or the file is open for writing
 */
struct cmem_piece {
	struct cmem_buffer *buffer;
	u64 offset;
	u64 length;
	bool writable;
};

/* Look up the mapping at a user address, and hold its buffer. */
static int cmem_sync_find(unsigned long address, unsigned long length,
			  struct cmem_piece *piece)
{
	struct vm_area_struct *vma;
	struct cmem_extent extent;

	vma = cmem_vma_lock(address, &piece->buffer);
	if (IS_ERR(vma))
		return PTR_ERR(vma);

	cmem_buffer_get(piece->buffer);
	cmem_buffer_locate(piece->buffer, &extent);
	piece->offset = cmem_vma_phys(vma, address) - PFN_PHYS(extent.pfn);
	piece->length = min(length, vma->vm_end - address);
	piece->writable = vma->vm_flags & VM_MAYWRITE;
	mmap_read_unlock(current->mm);
	return 0;
}

/*
 * The same for a physical range in a buffer that @file is registered for. A file that is
 * not open for writing must not drop data that others wrote.
 */
static int cmem_sync_find_phys(struct cmem_file *file, u64 phys, u64 length,
			       struct cmem_piece *piece)
{
	u64 last = (phys + length - 1) >> PAGE_SHIFT;
	struct cmem_buffer *buffer;
	struct cmem_extent extent;

	/* The number of pages must fit in an unsigned long. */
	if (last >= ULONG_MAX)
		return -EFAULT;
	buffer = cmem_buffer_get_range(file, phys >> PAGE_SHIFT,
				       last - (phys >> PAGE_SHIFT) + 1);
	if (IS_ERR(buffer))
		return buffer == ERR_PTR(-EINVAL) ? -EFAULT : PTR_ERR(buffer);
	cmem_buffer_locate(buffer, &extent);
	piece->buffer = buffer;
	piece->offset = phys - PFN_PHYS(extent.pfn);
	piece->length = length;
	piece->writable = file->filp->f_mode & FMODE_WRITE;
	return 0;
}

/* Whether to stop. Failed memory does not: it is reported after all work is done. */
static bool cmem_sync_is_over(int ret, int *failed)
{
	if (ret == -EHWPOISON)
		*failed = ret;
	return ret && ret != -EHWPOISON;
}

/*
 * Check the mappings of a range, or with @file its buffer. With @maintain, maintain the
 * caches over them.
 */
static int cmem_sync_range(struct cmem_file *file,
			   const struct cmem_sync_range *range, bool maintain)
{
	u64 address = range->user_addr;
	u64 left = range->length;
	enum cmem_sync_op op = range->op;
	struct cmem_piece piece;
	int ret, failed = 0;

	while (left) {
		if (fatal_signal_pending(current))
			return -EINTR;
		ret = file ? cmem_sync_find_phys(file, address, left, &piece) :
			     cmem_sync_find(address, left, &piece);
		if (ret)
			return ret;
		/* Without write access, never drop data that others wrote. */
		if (op == CMEM_SYNC_INVALIDATE && !piece.writable)
			op = CMEM_SYNC_WRITE_BACK_INVALIDATE;
		if (maintain)
			ret = cmem_buffer_sync(piece.buffer, piece.offset,
					       piece.length, true, op);
		cmem_buffer_put(piece.buffer);
		if (cmem_sync_is_over(ret, &failed))
			return ret;
		address += piece.length;
		left -= piece.length;
		op = range->op;
		cond_resched();
	}
	return failed;
}

static int cmem_sync_check(const struct cmem_sync_range *range, bool user)
{
	unsigned long address, length;
	u64 end;

	if (range->__reserved || range->op < CMEM_SYNC_WRITE_BACK ||
	    range->op > CMEM_SYNC_WRITE_BACK_INVALIDATE)
		return -EOPNOTSUPP;
	if (!range->length)
		return -EINVAL;
	if (check_add_overflow(range->user_addr, range->length, &end))
		return -EOVERFLOW;
	/* On 32 bit, user addresses are below 4 GiB. */
	if (user && (overflows_type(range->user_addr, address) ||
		     overflows_type(range->length, length)))
		return -EFAULT;
	return 0;
}

/**
 * cmem_sync_array - maintain the caches over ranges of addresses
 * @file: NULL for user addresses; for physical addresses, the file that has the buffers
 * @ranges: array of ranges, not checked yet
 * @count: length of @ranges
 *
 * Return: 0 or an errno as documented for struct cmem_sync in the UAPI header.
 */
int cmem_sync_array(struct cmem_file *file, const struct cmem_sync_range *ranges,
		    u32 count)
{
	int ret = 0, failed = 0;
	u32 i;

	for (i = 0; i < count && !ret; i++)
		ret = cmem_sync_check(&ranges[i], !file);
	for (i = 0; i < count && !ret; i++)
		ret = cmem_sync_range(file, &ranges[i], false);
	if (ret)
		return ret;
	for (i = 0; i < count; i++) {
		ret = cmem_sync_range(file, &ranges[i], true);
		if (cmem_sync_is_over(ret, &failed))
			return ret;
	}
	return failed;
}

/* Copy an array whose elements may have another size in user space. */
static int cmem_sync_copy(struct cmem_sync_range *to, const void __user *from,
			  u32 count, u32 size)
{
	int ret = 0;
	u32 i;

	if (size == sizeof(*to))
		return copy_from_user(to, from, (size_t)count * size) ? -EFAULT : 0;
	for (i = 0; i < count && !ret; i++)
		ret = copy_struct_from_user(&to[i], sizeof(*to),
					    from + (size_t)i * size, size);
	return ret;
}

/**
 * cmem_sync_ranges - maintain the caches over ranges of addresses from user space
 * @file: NULL for user addresses; for physical addresses, the file that has the buffers
 * @ranges: array of struct cmem_sync_range in user space
 * @count: length of @ranges, 1 to CMEM_MAX_SYNC_RANGES
 * @size: size of an element in user space
 *
 * Return: 0 or an errno as documented for struct cmem_sync in the UAPI header.
 */
int cmem_sync_ranges(struct cmem_file *file, const void __user *ranges, u32 count,
		     u32 size)
{
	struct cmem_sync_range one, *copy = &one;
	int ret;

	if (count > 1)
		copy = kmalloc_array(count, sizeof(*copy), GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	ret = cmem_sync_copy(copy, ranges, count, size);
	if (!ret)
		ret = cmem_sync_array(file, copy, count);
	if (copy != &one)
		kfree(copy);
	return ret;
}

static int cmem_sync_list(struct cmem_file *file, bool shared,
			  enum cmem_sync_op op)
{
	unsigned long left = READ_ONCE(*(shared ? &file->num_shared :
					 &file->num_allocated));
	struct cmem_buffer *buffers[16];
	unsigned int i, count;
	int ret = 0, failed = 0;
	bool over = false;

	while (left && !over) {
		count = min_t(unsigned long, left, ARRAY_SIZE(buffers));
		count = cmem_file_get_buffers(file, shared, buffers, count);
		if (!count)
			break;

		for (i = 0; i < count; i++) {
			if (!over)
				ret = cmem_buffer_sync(buffers[i], 0,
						       cmem_buffer_length(buffers[i]),
						       true, op);
			over = cmem_sync_is_over(ret, &failed);
			cmem_buffer_put(buffers[i]);
		}
		left -= count;
		cond_resched();
		if (!over && fatal_signal_pending(current))
			return -EINTR;
	}
	return over ? ret : failed;
}

/**
 * cmem_sync_all - maintain the caches over all buffers of a file that need it
 * @file: the file
 * @op: CMEM_SYNC_WRITE_BACK or CMEM_SYNC_WRITE_BACK_INVALIDATE
 *
 * Return: 0, -EINTR, -ENOMEM, or -EHWPOISON if some pages have failed and the operation
 * is done on all others.
 */
int cmem_sync_all(struct cmem_file *file, enum cmem_sync_op op)
{
	int ret, failed = 0;

	if (mutex_lock_killable(&file->sync_lock))
		return -EINTR;

	ret = cmem_sync_list(file, false, op);
	if (!cmem_sync_is_over(ret, &failed))
		ret = cmem_sync_list(file, true, op);
	mutex_unlock(&file->sync_lock);
	return ret ?: failed;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * CMEM, the contiguous memory allocator: /dev/cmem and the ti,cmem device.
 *
 * Gives programs blocks of physically contiguous memory that a DSP, a codec or
 * a DMA engine can read and write. A user's view in a few lines:
 *
 *	struct cmem_alloc a = {
 *		.size = sizeof(a), .block = 0, .pool = CMEM_POOL_BEST,
 *		.flags = CMEM_ALLOC_CACHED, .length = 1920 * 1080 * 2,
 *	};
 *	int fd = open("/dev/cmem", O_RDWR);
 *
 *	ioctl(fd, CMEM_IOCTL_ALLOC, &a);
 *	p = mmap(NULL, a.length, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
 *		 a.mmap_offset);
 *
 * after which a.phys_addr is what the device is told. This file checks what
 * user space says and passes it on; the work is done elsewhere, as cmem.h shows.
 */
#define pr_fmt(fmt) "cmem: " fmt

#include <linux/cache.h>
#include <linux/cacheinfo.h>
#include <linux/capability.h>
#include <linux/compat.h>
#include <linux/cpufeature.h>
#include <linux/dma-buf.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/kdev_t.h>
#include <linux/major.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/nospec.h>
#include <linux/of.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "cmem.h"
#include "dmabuf.h"
#include "early.h"
#include "import.h"

bool cmem_heap_fallback;
module_param_named(useHeapIfPoolUnavailable, cmem_heap_fallback, bool, 0644);
MODULE_PARM_DESC(useHeapIfPoolUnavailable, "programs that name no pool get memory from the heap when no pool can serve (default: no)");

/**
 * struct cmem_command - an ioctl on its way
 * @file: whose
 * @user: the structure in user space
 * @user_size: its length there
 * @data: the kernel's copy, zeroed where the user's is shorter
 * @size: length of @data
 */
struct cmem_command {
	struct cmem_file *file;
	void __user *user;
	u32 user_size;
	void *data;
	u32 size;
};

static int cmem_respond(const struct cmem_command *command)
{
	if (copy_to_user(command->user, command->data,
			 min(command->user_size, command->size)))
		return -EFAULT;
	return 0;
}

/*
 * arm64 lets programs execute DC CVAC and DC CIVAC, and CMEM's memory has no cache
 * behind the point of coherency. Where an erratum wants each of them trapped and
 * replaced, one system call for all of a range is better.
 */
static bool cmem_user_may_sync(void)
{
#ifdef CONFIG_ARM64
	return !cpus_have_final_cap(ARM64_WORKAROUND_CLEAN_CACHE);
#else
	return false;
#endif
}

static int cmem_get_info(struct cmem_command *command)
{
	struct cmem_info *info = command->data;

	if (info->flags)
		return -EOPNOTSUPP;

	cmem_block_count(&info->num_blocks, &info->block_limit);
	info->out_flags = CMEM_ALWAYS_COHERENT ? CMEM_INFO_COHERENT : 0;
	if (cmem_user_may_sync())
		info->out_flags |= CMEM_INFO_USER_SYNC;
	if (READ_ONCE(cmem_heap_fallback))
		info->out_flags |= CMEM_INFO_HEAP_FALLBACK;
	info->abi_version = CMEM_ABI_VERSION;
	info->alignment = PAGE_SIZE;
	info->cache_line = cache_line_size();
	info->features = CMEM_FEATURE_SCRUB | CMEM_FEATURE_PRIVATE |
			 CMEM_FEATURE_BLOCK_ADD | CMEM_FEATURE_DMABUF |
			 CMEM_FEATURE_QUARANTINE | CMEM_FEATURE_ANY_ADDRESS |
			 CMEM_FEATURE_IMPORT | CMEM_FEATURE_CHANGES;
	if (IS_ENABLED(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP))
		info->features |= CMEM_FEATURE_PMD;
	info->owner = command->file->owner;
	info->changes_offset = cmem_changes_offset();
	return cmem_respond(command);
}

static int cmem_get_block(struct cmem_command *command)
{
	struct cmem_block_info *info = command->data;
	struct cmem_block *block;
	struct cmem_heap *heap;
	unsigned int i;

	if (info->flags)
		return -EOPNOTSUPP;
	block = cmem_block_lock(info->block);
	if (!block)
		return -ENOENT;

	heap = &block->heap;
	info->out_flags = block->keep_contents ? CMEM_BLOCK_KEEP_CONTENTS : 0;
	if (block->added)
		info->out_flags |= CMEM_BLOCK_ADDED;
	if (block->quarantine_config.all)
		info->out_flags |= CMEM_BLOCK_QUARANTINE;
	if (block->quarantine_config.num_rprocs)
		info->out_flags |= CMEM_BLOCK_RPROC;
	if (block->is_memory)
		info->out_flags |= CMEM_BLOCK_IS_MEMORY;
	if (block->coherent)
		info->out_flags |= CMEM_BLOCK_COHERENT;
	if (block->dma_heap_config.from_pools)
		info->out_flags |= CMEM_BLOCK_DMA_HEAP_POOLS;
	info->kind = block->kind;
	info->base = cmem_block_phys(block, 0);
	info->length = cmem_block_length(block);
	info->num_pools = block->num_pools;
	info->heap_size = (u64)heap->size << PAGE_SHIFT;
	info->heap_free = (u64)heap->free << PAGE_SHIFT;
	info->heap_clean = (u64)(heap->free - heap->dirty - heap->scrubbing) <<
			   PAGE_SHIFT;
	info->heap_largest = (u64)(block->kind == CMEM_KIND_CMA ?
				   cmem_cma_largest(block) :
				   cmem_heap_largest(heap)) << PAGE_SHIFT;
	info->quarantined = (u64)block->quarantined_pages << PAGE_SHIFT;
	info->quarantined_buffers = block->quarantined;
	info->quarantine_ms = block->quarantine_config.ms;
	info->quota = block->quota == ULONG_MAX ? CMEM_NO_QUOTA :
		      (u64)block->quota << PAGE_SHIFT;
	info->charged = (u64)cmem_quota_used(block, command->file->user) <<
			PAGE_SHIFT;
	info->failed = (u64)block->heap_failed << PAGE_SHIFT;
	for (i = 0; i < block->num_pools; i++)
		info->failed += (u64)block->pools[i].failed *
				block->pools[i].pages << PAGE_SHIFT;
	mutex_unlock(&block->lock);
	return cmem_respond(command);
}

static int cmem_get_pool(struct cmem_command *command)
{
	struct cmem_pool_info *info = command->data;
	const struct cmem_carved_pool *pool;
	struct cmem_block *block;

	if (info->flags || info->__reserved)
		return -EOPNOTSUPP;
	block = cmem_block_lock(info->block);
	if (!block)
		return -ENOENT;
	if (info->pool >= block->num_pools) {
		mutex_unlock(&block->lock);
		return -ENOENT;
	}

	pool = &block->pools[array_index_nospec(info->pool, block->num_pools)];
	info->base = cmem_block_phys(block, pool->start);
	info->requested_length = pool->requested;
	info->length = (u64)pool->pages << PAGE_SHIFT;
	info->count = pool->slots.count;
	info->free = cmem_pool_free(&pool->slots);
	info->clean = pool->slots.num_clean;
	info->dirty = pool->slots.num_dirty;
	info->scrubbing = pool->slots.num_scrubbing;
	info->quarantined = pool->quarantined;
	info->failed = pool->failed;
	mutex_unlock(&block->lock);
	return cmem_respond(command);
}

static int cmem_find_pool(struct cmem_command *command)
{
	struct cmem_find_pool *find = command->data;
	struct cmem_block *block;

	if (find->flags)
		return -EOPNOTSUPP;
	if (!find->length)
		return -EINVAL;
	block = cmem_block_lock(find->block);
	if (!block)
		return -ENOENT;

	find->pool = cmem_block_best_pool(block, find->length);
	mutex_unlock(&block->lock);
	return find->pool < 0 ? find->pool : cmem_respond(command);
}

#define CMEM_ALLOC_FLAGS (CMEM_ALLOC_CACHED | CMEM_ALLOC_PRIVATE | \
			  CMEM_ALLOC_HEAP_FALLBACK | CMEM_ALLOC_QUARANTINE)

static int cmem_alloc(struct cmem_command *command)
{
	struct cmem_alloc *alloc = command->data;
	struct cmem_request request __uninitialized;
	struct cmem_extent *extent = &request.extent;
	int ret;

	if (alloc->flags & ~CMEM_ALLOC_FLAGS)
		return -EOPNOTSUPP;

	request.pool = alloc->pool;
	request.flags = alloc->flags;
	request.length = alloc->length;
	request.alignment = alloc->alignment;
	ret = cmem_buffer_alloc(command->file, alloc->block, &request);
	if (ret)
		return ret;

	alloc->pool = extent->pool;
	alloc->length = (u64)extent->pages << PAGE_SHIFT;
	alloc->phys_addr = PFN_PHYS(extent->pfn);
	alloc->mmap_offset = alloc->phys_addr;
	ret = cmem_respond(command);
	if (ret)
		cmem_buffer_undo_alloc(command->file, request.buffer);
	cmem_buffer_put(request.buffer);
	return ret;
}

static int cmem_free(struct cmem_command *command)
{
	struct cmem_free *free = command->data;
	int ret;

	if (free->flags)
		return -EOPNOTSUPP;
	ret = cmem_check_phys(free->phys_addr);
	if (ret)
		return ret;
	return cmem_buffer_free(command->file, free->phys_addr >> PAGE_SHIFT);
}

static struct cmem_buffer *cmem_find_to_register(struct cmem_file *file,
						 const struct cmem_register *reg)
{
	int ret;

	if (reg->flags & CMEM_REGISTER_DMABUF)
		return cmem_dmabuf_get_buffer(file, reg->dmabuf_fd);
	if (reg->dmabuf_fd)
		return ERR_PTR(-EOPNOTSUPP);
	ret = cmem_check_phys(reg->phys_addr);
	if (ret)
		return ERR_PTR(ret);
	return cmem_buffer_get_to_register(file, reg->phys_addr >> PAGE_SHIFT);
}

static int cmem_register(struct cmem_command *command)
{
	struct cmem_register *reg = command->data;
	bool by_address = !(reg->flags & CMEM_REGISTER_DMABUF);
	struct cmem_buffer *buffer;
	struct cmem_extent extent;
	int ret;

	if (reg->flags & ~CMEM_REGISTER_DMABUF)
		return -EOPNOTSUPP;
	buffer = cmem_find_to_register(command->file, reg);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);

	cmem_buffer_locate(buffer, &extent);
	reg->phys_addr = PFN_PHYS(extent.pfn);
	reg->length = (u64)extent.pages << PAGE_SHIFT;
	reg->mmap_offset = reg->phys_addr;
	reg->block = extent.id;
	reg->pool = extent.pool;
	reg->buffer_flags = cmem_buffer_abi_flags(buffer);
	ret = cmem_respond(command);
	if (!ret)
		ret = cmem_buffer_register(command->file, buffer, by_address);
	cmem_buffer_put(buffer);
	return ret;
}

static int cmem_resolve(struct cmem_command *command)
{
	struct cmem_resolve *resolve = command->data;
	struct vm_area_struct *vma;
	struct cmem_buffer *buffer;
	struct cmem_extent extent;
	unsigned long address;

	if (resolve->flags || resolve->__reserved)
		return -EOPNOTSUPP;
	if (overflows_type(resolve->user_addr, address))
		return -EFAULT;

	address = resolve->user_addr;
	vma = cmem_vma_lock(address, &buffer);
	if (IS_ERR(vma))
		return PTR_ERR(vma);

	cmem_buffer_locate(buffer, &extent);
	resolve->phys_addr = cmem_vma_phys(vma, address);
	resolve->contiguous = vma->vm_end - address;
	resolve->buffer_addr = PFN_PHYS(extent.pfn);
	resolve->buffer_length = (u64)extent.pages << PAGE_SHIFT;
	resolve->buffer_flags = cmem_buffer_abi_flags(buffer);
	resolve->block = extent.id;
	resolve->pool = extent.pool;
	resolve->mapping_addr = vma->vm_start;
	resolve->mapping_owner = cmem_vma_owner(vma);
	mmap_read_unlock(current->mm);
	return cmem_respond(command);
}

/* Of struct cmem_sync_range, the length that it had first */
#define CMEM_SYNC_RANGE_FIRST	offsetofend(struct cmem_sync_range, __reserved)

static int cmem_sync(struct cmem_command *command)
{
	struct cmem_sync *sync = command->data;
	unsigned long address;

	if (sync->flags & ~CMEM_SYNC_BY_PHYS)
		return -EOPNOTSUPP;
	if (!sync->range_size)
		sync->range_size = CMEM_SYNC_RANGE_FIRST;
	if (sync->range_size < CMEM_SYNC_RANGE_FIRST)
		return -EINVAL;
	if (sync->range_size > PAGE_SIZE)
		return -E2BIG;
	if (overflows_type(sync->ranges, address))
		return -EFAULT;
	if (!sync->num_ranges)
		return -EINVAL;
	if (sync->num_ranges > CMEM_MAX_SYNC_RANGES)
		return -EOVERFLOW;
	return cmem_sync_ranges(sync->flags & CMEM_SYNC_BY_PHYS ? command->file :
								  NULL,
				u64_to_user_ptr(sync->ranges), sync->num_ranges,
				sync->range_size);
}

static int cmem_sync_all_cmd(struct cmem_command *command)
{
	struct cmem_sync_all *sync = command->data;

	if (sync->flags || sync->__reserved)
		return -EOPNOTSUPP;
	switch (sync->op) {
	case CMEM_SYNC_WRITE_BACK:
	case CMEM_SYNC_WRITE_BACK_INVALIDATE:
		return cmem_sync_all(command->file, sync->op);
	case CMEM_SYNC_INVALIDATE:
		return -EINVAL;
	default:
		return -EOPNOTSUPP;
	}
}

static int cmem_find_phys(u64 phys, unsigned long *pfn)
{
	*pfn = phys >> PAGE_SHIFT;
	return cmem_check_phys(phys);
}

/* Find the first page of the buffer that a user address is in. */
static int cmem_find_mapped(u64 user_addr, unsigned long *pfn)
{
	struct vm_area_struct *vma;
	struct cmem_buffer *buffer;
	struct cmem_extent extent;
	unsigned long address;

	if (overflows_type(user_addr, address))
		return -EFAULT;
	vma = cmem_vma_lock(user_addr, &buffer);
	if (IS_ERR(vma))
		return PTR_ERR(vma);
	cmem_buffer_locate(buffer, &extent);
	*pfn = extent.pfn;
	mmap_read_unlock(current->mm);
	return 0;
}

static int cmem_export(struct cmem_command *command)
{
	struct cmem_export *export = command->data;
	int access = export->fd_flags & O_ACCMODE;
	struct dma_buf *dmabuf;
	unsigned long pfn;
	int ret;

	if (export->flags & ~CMEM_EXPORT_USER_ADDR ||
	    export->fd_flags & ~(O_CLOEXEC | O_ACCMODE) || access == O_ACCMODE)
		return -EOPNOTSUPP;
	ret = export->flags & CMEM_EXPORT_USER_ADDR ?
	      cmem_find_mapped(export->phys_addr, &pfn) :
	      cmem_find_phys(export->phys_addr, &pfn);
	if (ret)
		return ret;

	dmabuf = cmem_dmabuf_export(command->file, pfn, access);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	ret = get_unused_fd_flags(export->fd_flags);
	if (ret < 0)
		goto err_put;

	export->fd = ret;
	ret = cmem_respond(command);
	if (ret)
		goto err_fd;
	fd_install(export->fd, dmabuf->file);
	return 0;

err_fd:
	put_unused_fd(export->fd);
err_put:
	dma_buf_put(dmabuf);
	return ret;
}

static int cmem_import(struct cmem_command *command)
{
	struct cmem_import_dmabuf *request = command->data;
	struct cmem_import *import;
	struct file *filp;
	int ret;

	if (request->flags || request->fd_flags & ~O_CLOEXEC || request->__reserved)
		return -EOPNOTSUPP;
	import = cmem_import_get(request->dmabuf_fd);
	if (IS_ERR(import))
		return PTR_ERR(import);
	request->phys_addr = import->phys;
	request->length = import->dmabuf->size;
	filp = cmem_import_file(import);
	if (IS_ERR(filp)) {
		cmem_import_put(import);
		return PTR_ERR(filp);
	}
	ret = get_unused_fd_flags(request->fd_flags);
	if (ret < 0)
		goto err_put;

	request->fd = ret;
	ret = cmem_respond(command);
	if (ret)
		goto err_fd;
	fd_install(request->fd, filp);
	return 0;

err_fd:
	put_unused_fd(request->fd);
err_put:
	fput(filp);
	return ret;
}

static struct miscdevice cmem_misc;

static int cmem_add_block(struct cmem_command *command)
{
	const struct cmem_block_add *add = command->data;
	struct device *dev = cmem_misc.this_device;
	struct cmem_block_config *config;
	int ret;

	if (add->flags & ~(CMEM_BLOCK_KEEP_CONTENTS | CMEM_BLOCK_QUARANTINE |
			   CMEM_BLOCK_IS_MEMORY | CMEM_BLOCK_DMA_HEAP_POOLS))
		return -EOPNOTSUPP;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (cmem_early_saves_dump()) {
		dev_err(dev, "block %d: this kernel saves a crash dump: cmem_kdump on its command line is what lets it make blocks\n",
			add->block);
		return -EPERM;
	}

	config = kmalloc(sizeof(*config), GFP_KERNEL);
	if (!config)
		return -ENOMEM;
	ret = cmem_config_user_block(dev, add, config);
	if (!ret)
		ret = cmem_block_add(dev, config);
	kfree(config);
	if (!ret)
		cmem_block_wait_for_names();
	return ret;
}

static int cmem_remove_block(struct cmem_command *command)
{
	const struct cmem_block_remove *remove = command->data;

	if (remove->flags || remove->__reserved)
		return -EOPNOTSUPP;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	return cmem_block_remove(cmem_misc.this_device, remove->block);
}

static int cmem_release_quarantined(struct cmem_command *command)
{
	struct cmem_release *release = command->data;
	u64 buffers = 1, pages;
	int ret;

	if (release->flags & ~CMEM_RELEASE_BUFFER || release->__reserved)
		return -EOPNOTSUPP;
	if (!(release->flags & CMEM_RELEASE_BUFFER) && release->phys_addr)
		return -EOPNOTSUPP;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;

	if (release->flags & CMEM_RELEASE_BUFFER) {
		ret = cmem_check_phys(release->phys_addr);
		if (!ret)
			ret = cmem_quarantine_release_buffer(release->block,
							     release->phys_addr >> PAGE_SHIFT,
							     &pages);
	} else {
		ret = cmem_quarantine_release(release->block, &buffers, &pages);
	}
	if (ret)
		return ret;
	release->buffers = buffers;
	release->bytes = pages << PAGE_SHIFT;
	return cmem_respond(command);
}

union cmem_any_command {
	struct cmem_info info;
	struct cmem_block_info block;
	struct cmem_pool_info pool;
	struct cmem_find_pool find;
	struct cmem_alloc alloc;
	struct cmem_free free;
	struct cmem_register reg;
	struct cmem_resolve resolve;
	struct cmem_sync sync;
	struct cmem_sync_all sync_all;
	struct cmem_export export;
	struct cmem_block_add add;
	struct cmem_block_remove remove;
	struct cmem_release release;
	struct cmem_import_dmabuf import;
};

/**
 * struct cmem_ioctl_op - what an ioctl is
 * @cmd: its whole number
 * @size: of its structure
 * @min_size: of the structure's first version
 * @execute: does it
 */
struct cmem_ioctl_op {
	unsigned int cmd;
	u32 size;
	u32 min_size;
	int (*execute)(struct cmem_command *command);
};

#define CMEM_OP(_cmd, _fn, _struct, _last)				\
	[_IOC_NR(_cmd)] = {						\
		.cmd = _cmd,						\
		.size = sizeof(_struct) +				\
			BUILD_BUG_ON_ZERO(sizeof(_struct) >		\
					  sizeof(union cmem_any_command)), \
		.min_size = offsetofend(_struct, _last),		\
		.execute = _fn,						\
	}

static const struct cmem_ioctl_op cmem_ioctl_ops[] = {
	CMEM_OP(CMEM_IOCTL_GET_INFO, cmem_get_info, struct cmem_info, features),
	CMEM_OP(CMEM_IOCTL_GET_BLOCK, cmem_get_block, struct cmem_block_info,
		heap_largest),
	CMEM_OP(CMEM_IOCTL_GET_POOL, cmem_get_pool, struct cmem_pool_info,
		__reserved),
	CMEM_OP(CMEM_IOCTL_FIND_POOL, cmem_find_pool, struct cmem_find_pool,
		length),
	CMEM_OP(CMEM_IOCTL_ALLOC, cmem_alloc, struct cmem_alloc, mmap_offset),
	CMEM_OP(CMEM_IOCTL_FREE, cmem_free, struct cmem_free, phys_addr),
	CMEM_OP(CMEM_IOCTL_REGISTER, cmem_register, struct cmem_register,
		dmabuf_fd),
	CMEM_OP(CMEM_IOCTL_RESOLVE, cmem_resolve, struct cmem_resolve,
		__reserved),
	CMEM_OP(CMEM_IOCTL_SYNC, cmem_sync, struct cmem_sync, range_size),
	CMEM_OP(CMEM_IOCTL_SYNC_ALL, cmem_sync_all_cmd, struct cmem_sync_all,
		__reserved),
	CMEM_OP(CMEM_IOCTL_EXPORT, cmem_export, struct cmem_export, fd),
	CMEM_OP(CMEM_IOCTL_BLOCK_ADD, cmem_add_block, struct cmem_block_add,
		pools),
	CMEM_OP(CMEM_IOCTL_BLOCK_REMOVE, cmem_remove_block,
		struct cmem_block_remove, __reserved),
	CMEM_OP(CMEM_IOCTL_RELEASE, cmem_release_quarantined,
		struct cmem_release, bytes),
	CMEM_OP(CMEM_IOCTL_IMPORT, cmem_import, struct cmem_import_dmabuf,
		__reserved),
};

/* What is not in the table: old programs' numbers, or unknown ones */
static long cmem_other_ioctl(struct file *filp, unsigned int cmd,
			     unsigned long arg, bool compat)
{
	if (_IOC_TYPE(cmd) != CMEM_LEGACY_TYPE)
		return -ENOTTY;
	return cmem_legacy_ioctl(cmem_file_of(filp), cmd, (void __user *)arg,
				 compat);
}

static long cmem_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	/*
	 * All of these that is read is written first. Zeroing them as well, as
	 * INIT_STACK_ALL does, is a tenth of an allocation.
	 */
	union cmem_any_command data __uninitialized;
	struct cmem_command command __uninitialized;
	const struct cmem_ioctl_op *op;
	int ret;

	if (_IOC_NR(cmd) >= ARRAY_SIZE(cmem_ioctl_ops))
		return cmem_other_ioctl(filp, cmd, arg, false);
	op = &cmem_ioctl_ops[array_index_nospec(_IOC_NR(cmd),
						ARRAY_SIZE(cmem_ioctl_ops))];
	if (op->cmd != cmd)
		return cmem_other_ioctl(filp, cmd, arg, false);

	command.file = cmem_file_of(filp);
	command.user = (void __user *)arg;
	command.data = &data;
	command.size = op->size;
	ret = get_user(command.user_size, (u32 __user *)command.user);
	if (ret)
		return ret;
	if (command.user_size < op->min_size)
		return -EINVAL;
	/* Looking for zeros goes on for as long as user space says. */
	if (command.user_size > PAGE_SIZE)
		return -E2BIG;

	/* All of data is written, with zeros where the user has less. */
	if (likely(command.user_size == op->size))
		ret = copy_from_user(&data, command.user, op->size) ?
		      -EFAULT : 0;
	else
		ret = copy_struct_from_user(&data, op->size, command.user,
					    command.user_size);
	if (!ret)
		ret = op->execute(&command);
	if (ret)
		pr_debug("%s[%d]: ioctl %#x: %pe\n", current->comm,
			 task_pid_nr(current), cmd, ERR_PTR(ret));
	return ret;
}

#ifdef CONFIG_COMPAT
/* Only the structures of old programs have another layout with 32 bits. */
static long cmem_compat_ioctl(struct file *filp, unsigned int cmd,
			      unsigned long arg)
{
	arg = (unsigned long)compat_ptr(arg);
	if (_IOC_TYPE(cmd) == CMEM_LEGACY_TYPE)
		return cmem_other_ioctl(filp, cmd, arg, true);
	return cmem_ioctl(filp, cmd, arg);
}
#endif

/**
 * cmem_is_device - tell if a number is that of /dev/cmem
 * @dev: number of a device
 *
 * Return: true if it is.
 */
bool cmem_is_device(dev_t dev)
{
	return dev == MKDEV(MISC_MAJOR, cmem_misc.minor);
}

static int cmem_open(struct inode *inode, struct file *filp)
{
	struct cmem_file *file;

	file = kmalloc(sizeof(*file), GFP_KERNEL_ACCOUNT);
	if (!file)
		return -ENOMEM;
	cmem_vma_set_space(filp);

	cmem_file_init(file, filp);
	filp->private_data = file;
	return nonseekable_open(inode, filp);
}

static int cmem_release(struct inode *inode, struct file *filp)
{
	struct cmem_file *file = filp->private_data;

	cmem_file_release(file);
	cmem_changes_free(file);
	kfree(file);
	return 0;
}

/**
 * cmem_file_of - the owner behind an open file
 * @filp: an open file of /dev/cmem
 *
 * Return: the owner.
 */
struct cmem_file *cmem_file_of(const struct file *filp)
{
	return filp->private_data;
}

static const struct file_operations cmem_fops = {
	.owner = THIS_MODULE,
	.open = cmem_open,
	.release = cmem_release,
	.unlocked_ioctl = cmem_ioctl,
#ifdef CONFIG_COMPAT
	.compat_ioctl = cmem_compat_ioctl,
#endif
	.mmap = cmem_mmap,
	.get_unmapped_area = thp_get_unmapped_area,
	.show_fdinfo = cmem_show_fdinfo,
	.fop_flags = FOP_UNSIGNED_OFFSET,
};

static struct miscdevice cmem_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "cmem",
	.fops = &cmem_fops,
	.mode = 0660,
};

static int cmem_probe(struct platform_device *pdev)
{
	struct device *dev = &pdev->dev;
	struct cmem_block_config *config;
	bool coherent;
	int cells;

	cmem_config_of_check_names(dev, dev->of_node, false);
	cells = cmem_config_pool_cells(dev, dev->of_node);
	if (cells < 0)
		return cells;

	config = kmalloc(sizeof(*config), GFP_KERNEL);
	if (!config)
		return -ENOMEM;

	coherent = CMEM_ALWAYS_COHERENT ||
		   device_get_dma_attr(dev) == DEV_DMA_COHERENT;

	/* One bad block does not stop the others: it was logged. */
	cmem_cma_create_of(dev, cells, coherent);
	for_each_available_child_of_node_scoped(dev->of_node, child) {
		if (cmem_config_of_block(dev, child, cells, config)) {
			if (config->length && config->kind != CMEM_KIND_SRAM)
				cmem_block_reserve(dev, config, coherent);
			continue;
		}
		if (config->kind == CMEM_KIND_SRAM)
			cmem_sram_add_block(dev, child, config);
		else
			cmem_block_create(dev, config, coherent);
	}

	kfree(config);
	cmem_block_wait_for_names();
	return 0;
}

static const struct of_device_id cmem_of_match[] = {
	{ .compatible = "ti,cmem" },
	{ }
};

static struct platform_driver cmem_driver = {
	.probe = cmem_probe,
	.driver = {
		.name = "cmem",
		.of_match_table = cmem_of_match,
		.suppress_bind_attrs = true,
	},
};

/* What cmem_carveout= reserved becomes blocks, in its order. */
static void __init cmem_create_carveouts(struct device *dev)
{
	phys_addr_t base;
	unsigned int i;
	u64 length;

	for (i = 0; cmem_early_carveout(i, &base, &length); i++)
		cmem_params_create_carveout(dev, base, length);
}

static int __init cmem_init(void)
{
	int ret;

	/* A kernel for ARMv6 and ARMv7 CPUs only sees at boot on which it runs. */
	if (cpu_dcache_is_aliasing()) {
		pr_info("the data cache of this CPU aliases, so that it can't be maintained for programs: no /dev/cmem\n");
		return -ENODEV;
	}

	ret = cmem_buffer_init();
	if (ret)
		return ret;
	ret = cmem_vma_init();
	if (ret)
		goto err_buffer;
	ret = cmem_changes_init();
	if (ret)
		goto err_vma;
	ret = cmem_procfs_init();
	if (ret)
		goto err_changes;
	cmem_debugfs_init();
	ret = cmem_rproc_init();
	if (ret)
		goto err_procfs;
	ret = misc_register(&cmem_misc);
	if (ret)
		goto err_rproc;
	ret = cmem_import_init(cmem_misc.this_device);
	if (ret)
		goto err_misc;
	if (cmem_early_saves_dump()) {
		pr_notice("this kernel saves a crash dump: it makes no blocks and reserves nothing, and their memory stays as it was (cmem_kdump on its command line makes them)\n");
		return 0;
	}
	cmem_params_init(cmem_misc.this_device);
	if (IS_ENABLED(CONFIG_OF)) {
		ret = cmem_sram_init();
		if (ret)
			goto err_misc;
		cmem_config_of_note_unused(cmem_misc.this_device);
		ret = platform_driver_register(&cmem_driver);
		if (ret)
			goto err_sram;
	}

	cmem_power_init(cmem_misc.this_device);
	cmem_failure_init();
	/* Behind those of the device tree, which go first. */
	cmem_params_create_blocks(cmem_misc.this_device);
	cmem_create_carveouts(cmem_misc.this_device);
	cmem_dma_heap_carveouts(cmem_misc.this_device);
	cmem_params_finish(cmem_misc.this_device);
	cmem_cma_create(cmem_misc.this_device);
	cmem_block_wait_for_names();
	return 0;

err_sram:
	cmem_sram_exit();
err_misc:
	misc_deregister(&cmem_misc);
err_rproc:
	cmem_rproc_exit();
err_procfs:
	cmem_debugfs_exit();
	cmem_procfs_exit();
err_changes:
	cmem_changes_exit();
err_vma:
	cmem_vma_exit();
err_buffer:
	cmem_buffer_exit();
	return ret;
}
device_initcall(cmem_init);

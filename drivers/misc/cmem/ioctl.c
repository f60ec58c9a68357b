// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctls of /dev/cmem: checks arguments from user space, and dispatches.
 */
#define pr_fmt(fmt) "cmem: " fmt

#include <linux/compat.h>
#include <linux/dma-buf.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

#include "alloc.h"
#include "block.h"
#include "buffer.h"
#include "dmabuf.h"
#include "file.h"
#include "import.h"
#include "ioctl.h"
#include "legacy.h"
#include "registration.h"
#include "sync.h"
#include "vma.h"

int cmem_respond(const struct cmem_command *command)
{
	if (copy_to_user(command->user, command->data,
			 min(command->user_size, command->size)))
		return -EFAULT;
	return 0;
}

#define CMEM_ALLOC_FLAGS (CMEM_ALLOC_CACHED | CMEM_ALLOC_PRIVATE | \
			  CMEM_ALLOC_HEAP_FALLBACK | CMEM_ALLOC_QUARANTINE | \
			  CMEM_ALLOC_PAGES)

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

/* Size of the first version of struct cmem_sync_range */
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

/* Find the first page of the buffer that is mapped at a user address. */
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
 * struct cmem_ioctl_op - description of an ioctl
 * @cmd: the full ioctl number
 * @size: size of its structure
 * @min_size: size of the structure's first version
 * @execute: the function that executes it
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

/* Ioctls that are not in the table: those of old programs, or unknown ones */
static long cmem_other_ioctl(struct file *filp, unsigned int cmd,
			     unsigned long arg, bool compat)
{
	if (_IOC_TYPE(cmd) != CMEM_LEGACY_TYPE)
		return -ENOTTY;
	return cmem_legacy_ioctl(cmem_file_of(filp), cmd, (void __user *)arg,
				 compat);
}

/**
 * cmem_ioctl - execute an ioctl of /dev/cmem
 * @filp: the open file
 * @cmd: its number
 * @arg: address of its structure
 *
 * Return: 0 or an errno as documented for each ioctl in the UAPI header.
 */
long cmem_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	/*
	 * All that is read of these is written first. Zeroing them (INIT_STACK_ALL)
	 * would take a tenth of the time of an allocation.
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
	/* Limit the size, since copy_struct_from_user() checks all of the rest. */
	if (command.user_size > PAGE_SIZE)
		return -E2BIG;

	/* Fill all of data, with zeros if the user's structure is shorter. */
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
/**
 * cmem_compat_ioctl - execute an ioctl of a 32-bit program
 * @filp: the open file
 * @cmd: its number
 * @arg: address of its structure
 *
 * Only the structures of the old interface have a different layout on 32 bit.
 *
 * Return: as cmem_ioctl().
 */
long cmem_compat_ioctl(struct file *filp, unsigned int cmd,
		       unsigned long arg)
{
	arg = (unsigned long)compat_ptr(arg);
	if (_IOC_TYPE(cmd) == CMEM_LEGACY_TYPE)
		return cmem_other_ioctl(filp, cmd, arg, true);
	return cmem_ioctl(filp, cmd, arg);
}
#endif

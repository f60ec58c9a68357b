// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctls of the out-of-tree CMEM driver, for programs that were built against its
 * library.
 *
 * An ioctl number is 0xfe00 + a number + flags from bit 16 on. The structures consist of
 * int, unsigned long, size_t and unsigned long long, and the result overwrites the
 * arguments. A table describes the members of each structure. A 32-bit caller is one
 * whose longs have four bytes. The functions that do the work depend on neither the
 * layout nor the memory of the caller.
 *
 * Files, registrations and buffers are those of the new interface, with the same rules:
 * an address is translated only in a mapping of a buffer, and only a registered file
 * frees a buffer. So this file has no lock and no state of its own.
 */
#define pr_fmt(fmt) "cmem: " fmt

#include <linux/compat.h>
#include <linux/dma-buf.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/ioctl.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/pagemap.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "alloc.h"
#include "block.h"
#include "buffer.h"
#include "dmabuf.h"
#include "file.h"
#include "legacy.h"
#include "legacy_layout.h"
#include "pins.h"
#include "registration.h"
#include "sync.h"
#include "vma.h"

/* What FREE and GETPOOL return in place of a pool number */
#define CMEM_LEGACY_FROM_HEAP		(-1)
#define CMEM_LEGACY_TRY_HEAP		(-2)

/**
 * struct cmem_legacy_call - an ioctl in progress
 * @file: the file that was called
 * @user: the structure in user space
 * @long_size: bytes in the caller's long
 * @flags: of the ioctl's number
 * @in: the arguments
 * @out: the results
 * @out_size: bytes of the results in user space
 * @allocated: a buffer, held; its allocation is undone if the call fails
 * @to_register: a buffer, held; it is registered when everything else is done
 * @exported: pass @dmabuf to the program, through the last of @out
 * @dmabuf: a DMA-BUF
 */
struct cmem_legacy_call {
	struct cmem_file *file;
	void __user *user;
	unsigned int long_size;
	u32 flags;
	u64 in[CMEM_LEGACY_FIELDS];
	u64 out[CMEM_LEGACY_FIELDS];
	size_t out_size;
	struct cmem_buffer *allocated;
	struct cmem_buffer *to_register;
	bool exported;
	struct dma_buf *dmabuf;
};

static int cmem_legacy_take(struct cmem_legacy_call *call, u64 block,
			    struct cmem_request *request)
{
	int ret;

	if (call->flags & CMEM_LEGACY_CACHED)
		request->flags |= CMEM_ALLOC_CACHED;
	ret = cmem_buffer_alloc(call->file, block, request);
	if (ret)
		return ret;

	call->allocated = request->buffer;
	call->out[0] = PFN_PHYS(request->extent.pfn);
	call->out[1] = (u64)request->extent.pages << PAGE_SHIFT;
	return 0;
}

static int cmem_legacy_alloc(struct cmem_legacy_call *call)
{
	struct cmem_request request = { .pool = call->in[0] };

	/* Negative numbers mean something else to cmem_buffer_alloc(). */
	if (request.pool < 0)
		return -ENOENT;
	return cmem_legacy_take(call, call->in[1], &request);
}

static int cmem_legacy_alloc_heap(struct cmem_legacy_call *call)
{
	struct cmem_request request = {
		.pool = CMEM_POOL_HEAP,
		.length = call->in[0],
		.alignment = call->in[1],
	};
	int ret;

	if (!request.length || request.alignment & (request.alignment - 1))
		return -EINVAL;
	ret = cmem_legacy_take(call, call->in[2], &request);
	/* Only a request longer than the block is left: no room. */
	return ret == -EINVAL ? -ENOMEM : ret;
}

/* Bytes from an address on that map its buffer contiguously, over split mappings too */
static unsigned long cmem_legacy_mapped(const struct vm_area_struct *vma,
					unsigned long address)
{
	const struct cmem_buffer *buffer = cmem_vma_buffer(vma);
	u64 phys = cmem_vma_phys(vma, address);
	unsigned long end = vma->vm_end;

	while ((vma = vma_lookup(vma->vm_mm, end)) &&
	       cmem_vma_buffer(vma) == buffer &&
	       cmem_vma_phys(vma, end) == phys + (end - address))
		end = vma->vm_end;
	return end - address;
}

/*
 * FREE of a user address. The library unmaps as many bytes as this returns. So return the
 * mapped length, not the buffer's length: the memory behind a shorter mapping may belong
 * to something else.
 */
static int cmem_legacy_free(struct cmem_legacy_call *call)
{
	unsigned long address = call->in[0];
	struct vm_area_struct *vma;
	struct cmem_buffer *buffer;
	struct cmem_extent extent;
	u64 phys;
	int ret;

	/* Check now: a free can't be undone when writing the answer fails. */
	if (fault_in_safe_writeable(call->user, call->out_size))
		return -EFAULT;

	vma = cmem_vma_lock(address, &buffer);
	if (IS_ERR(vma))
		return PTR_ERR(vma);
	/* While the buffer is held, no other buffer can take its place. */
	cmem_buffer_get(buffer);
	phys = cmem_vma_phys(vma, address);
	call->out[1] = cmem_legacy_mapped(vma, address);
	mmap_read_unlock(current->mm);

	cmem_buffer_locate(buffer, &extent);
	call->out[0] = extent.pool == CMEM_POOL_HEAP ? CMEM_LEGACY_FROM_HEAP :
						       extent.pool;
	ret = cmem_check_phys(phys);
	if (!ret)
		ret = cmem_buffer_free(call->file, phys >> PAGE_SHIFT);
	cmem_buffer_put(buffer);
	return ret;
}

static int cmem_legacy_free_at(struct cmem_file *file, u64 phys)
{
	int ret = cmem_check_phys(phys);

	return ret ?: cmem_buffer_free(file, phys >> PAGE_SHIFT);
}

/*
 * FREE of a physical address. A 32-bit program without large files passes an off_t of
 * four bytes, followed by any bytes or by no memory at all. Other programs pass eight
 * bytes. So the registrations of the file decide.
 */
static int cmem_legacy_free_phys(struct cmem_legacy_call *call)
{
	u64 phys;
	u32 low;
	int ret, low_ret;

	if (copy_from_user(&phys, call->user, sizeof(phys))) {
		if (call->long_size == sizeof(phys) ||
		    copy_from_user(&low, call->user, sizeof(low)))
			return -EFAULT;
		phys = low;
	}

	ret = cmem_legacy_free_at(call->file, phys);
	if (ret && call->long_size < sizeof(phys) && upper_32_bits(phys)) {
		low_ret = cmem_legacy_free_at(call->file, lower_32_bits(phys));
		/* -EPERM for the first address says more than -ENOENT for the second. */
		if (!low_ret || ret != -EPERM)
			ret = low_ret;
	}
	return ret;
}

static int cmem_legacy_get_phys(struct cmem_legacy_call *call)
{
	unsigned long address = call->in[0];
	struct vm_area_struct *vma;
	struct cmem_buffer *buffer;

	vma = cmem_vma_lock(address, &buffer);
	if (IS_ERR(vma))
		return PTR_ERR(vma);
	call->out[0] = cmem_vma_phys(vma, address);
	mmap_read_unlock(current->mm);
	return 0;
}

static int cmem_legacy_get_size(struct cmem_legacy_call *call)
{
	struct cmem_block *block = cmem_block_lock(call->in[1]);
	u32 pool = call->in[0];
	int ret = -ENOENT;

	if (!block)
		return ret;
	if (pool < block->num_pools) {
		pool = array_index_nospec(pool, block->num_pools);
		call->out[0] = (u64)block->pools[pool].pages << PAGE_SHIFT;
		ret = call->out[0] > S32_MAX ? -EOVERFLOW : 0;
	}
	mutex_unlock(&block->lock);
	return ret;
}

static int cmem_legacy_get_pool(struct cmem_legacy_call *call)
{
	struct cmem_block *block;
	u64 length = call->in[0];
	u64 heap_free;
	int pool;

	block = cmem_pins_find_pool(call->in[1], length, &pool);
	if (!block)
		return -ENOENT;
	if (!length)
		pool = -EINVAL;
	heap_free = (u64)block->heap.free << PAGE_SHIFT;
	mutex_unlock(&block->lock);

	call->out[0] = pool;
	if (pool >= 0)
		return 0;
	if (!length || !READ_ONCE(cmem_heap_fallback))
		return pool;
	/* Only an allocation can tell whether the heap has it in one piece. */
	if (length > heap_free)
		return -ENOMEM;
	call->out[0] = CMEM_LEGACY_TRY_HEAP;
	return 0;
}

static_assert(CMEM_LEGACY_WB >> 16 == CMEM_SYNC_WRITE_BACK);
static_assert(CMEM_LEGACY_INV >> 16 == CMEM_SYNC_INVALIDATE);
static_assert((CMEM_LEGACY_WB | CMEM_LEGACY_INV) >> 16 ==
	      CMEM_SYNC_WRITE_BACK_INVALIDATE);

static int cmem_legacy_cache(struct cmem_legacy_call *call)
{
	struct cmem_sync_range range = {
		.user_addr = call->in[0],
		.length = call->in[1],
		.op = call->flags >> 16,
	};

	if (!range.op)
		return -EINVAL;
	/* Old programs may pass a length of 0. */
	return range.length ? cmem_sync_array(NULL, &range, 1) : 0;
}

static int cmem_legacy_get_version(struct cmem_legacy_call *call)
{
	call->out[0] = READ_ONCE(cmem_legacy_version);
	return 0;
}

/* Programs iterate from block 0 to the last one. An unused number has no memory. */
static int cmem_legacy_get_block(struct cmem_legacy_call *call)
{
	struct cmem_block *block = cmem_block_lock(call->in[0]);
	s32 id = call->in[0];
	u32 count, limit;

	if (!block) {
		cmem_block_count(&count, &limit);
		return id >= 0 && id < limit ? 0 : -ENOENT;
	}
	call->out[0] = cmem_block_phys(block, 0);
	call->out[1] = cmem_block_length(block);
	mutex_unlock(&block->lock);
	return 0;
}

static int cmem_legacy_reg_user(struct cmem_legacy_call *call)
{
	u64 phys = cmem_legacy_address(call->in[0], call->long_size);
	struct cmem_buffer *buffer;
	int ret;

	ret = cmem_check_phys(phys);
	if (ret)
		return ret;
	buffer = cmem_buffer_get_to_register(call->file, phys >> PAGE_SHIFT);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);

	call->to_register = buffer;
	call->out[0] = cmem_buffer_length(buffer);
	if (call->long_size < sizeof(u64) && call->out[0] > U32_MAX)
		return -EOVERFLOW;
	return 0;
}

static int cmem_legacy_get_num_blocks(struct cmem_legacy_call *call)
{
	u32 count, limit;

	cmem_block_count(&count, &limit);
	call->out[0] = limit;
	return 0;
}

static int cmem_legacy_cache_wb_inv_all(struct cmem_legacy_call *call)
{
	return cmem_sync_all(call->file, CMEM_SYNC_WRITE_BACK_INVALIDATE);
}

/* Export the buffer that a user address is in, for reading and writing. */
static int cmem_legacy_export_dmabuf(struct cmem_legacy_call *call)
{
	unsigned long address = call->in[0];
	struct vm_area_struct *vma;
	struct cmem_buffer *buffer;
	struct cmem_extent extent;
	int fd;

	vma = cmem_vma_lock(address, &buffer);
	if (IS_ERR(vma))
		return PTR_ERR(vma);
	cmem_buffer_locate(buffer, &extent);
	mmap_read_unlock(current->mm);

	/*
	 * If the buffer was freed meanwhile, the file must be registered for its
	 * successor.
	 */
	call->dmabuf = cmem_dmabuf_export(call->file, extent.pfn, O_RDWR);
	if (IS_ERR(call->dmabuf))
		return PTR_ERR(call->dmabuf);
	fd = get_unused_fd_flags(O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		dma_buf_put(call->dmabuf);
		return fd;
	}
	call->exported = true;
	call->out[0] = address;
	call->out[1] = fd;
	return 0;
}

/* After the answer was written to user space, or could not be */
static int cmem_legacy_finish_buffer(struct cmem_legacy_call *call, int ret)
{
	if (call->allocated) {
		if (ret)
			cmem_buffer_undo_alloc(call->file, call->allocated);
		cmem_buffer_put(call->allocated);
	}
	if (call->to_register) {
		if (!ret)
			ret = cmem_buffer_register(call->file,
						   call->to_register, true);
		cmem_buffer_put(call->to_register);
	}
	return ret;
}

/* At the end of the call: install the file descriptor, or release it. */
static void cmem_legacy_finish_export(struct cmem_legacy_call *call, bool good)
{
	int fd = call->out[1];

	if (good) {
		fd_install(fd, call->dmabuf->file);
	} else {
		put_unused_fd(fd);
		dma_buf_put(call->dmabuf);
	}
}

/*
 * Old libraries put the flags of CMEM_AllocParams into the number unchanged, and the old
 * driver ignored the flags that it did not know.
 */
#define CMEM_LEGACY_ANY		0xffff0000

/**
 * struct cmem_legacy_op - description of an ioctl
 * @flags: flags that it accepts
 * @in: members of the structure that is read
 * @out: members of the structure that is written to the same place
 * @execute: function that does the work
 */
struct cmem_legacy_op {
	u32 flags;
	u8 in[CMEM_LEGACY_FIELDS];
	u8 out[CMEM_LEGACY_FIELDS];
	int (*execute)(struct cmem_legacy_call *call);
};

#define INT	CMEM_LEGACY_INT
#define LONG	CMEM_LEGACY_LONG
#define U64	CMEM_LEGACY_U64

static const struct cmem_legacy_op cmem_legacy_ops[] = {
	[CMEM_LEGACY_ALLOC] = {
		.flags = CMEM_LEGACY_ANY,
		.in = { INT, INT },	/* pool, block */
		.out = { U64, U64 },	/* physical address, size */
		.execute = cmem_legacy_alloc,
	},
	[CMEM_LEGACY_ALLOC_HEAP] = {
		.flags = CMEM_LEGACY_ANY,
		.in = { LONG, LONG, INT },	/* size, alignment, block */
		.out = { U64 },			/* physical address */
		.execute = cmem_legacy_alloc_heap,
	},
	[CMEM_LEGACY_FREE] = {
		/* The address tells whether it is from a heap. */
		.flags = CMEM_LEGACY_ANY,
		.in = { LONG },		/* user address */
		.out = { INT, LONG },	/* pool, size */
		.execute = cmem_legacy_free,
	},
	[CMEM_LEGACY_GET_PHYS] = {
		.in = { LONG },		/* user address */
		.out = { U64 },		/* physical address */
		.execute = cmem_legacy_get_phys,
	},
	[CMEM_LEGACY_GET_SIZE] = {
		.in = { INT, INT },	/* pool, block */
		.out = { INT },		/* size */
		.execute = cmem_legacy_get_size,
	},
	[CMEM_LEGACY_GET_POOL] = {
		.in = { U64, INT },	/* size, block */
		.out = { INT },		/* pool */
		.execute = cmem_legacy_get_pool,
	},
	[CMEM_LEGACY_CACHE] = {
		.flags = CMEM_LEGACY_WB | CMEM_LEGACY_INV,
		.in = { LONG, LONG },	/* user address, size */
		.execute = cmem_legacy_cache,
	},
	[CMEM_LEGACY_GET_VERSION] = {
		.out = { INT },		/* version */
		.execute = cmem_legacy_get_version,
	},
	[CMEM_LEGACY_GET_BLOCK] = {
		.in = { INT },		/* block */
		.out = { U64, U64 },	/* physical address, size */
		.execute = cmem_legacy_get_block,
	},
	[CMEM_LEGACY_REG_USER] = {
		.in = { U64 },		/* physical address */
		.out = { LONG },	/* size */
		.execute = cmem_legacy_reg_user,
	},
	[CMEM_LEGACY_GET_NUM_BLOCKS] = {
		.out = { INT },		/* count */
		.execute = cmem_legacy_get_num_blocks,
	},
	[CMEM_LEGACY_CACHE_WB_INV_ALL] = {
		.execute = cmem_legacy_cache_wb_inv_all,
	},
	[CMEM_LEGACY_EXPORT_DMABUF] = {
		.in = { LONG },		/* user address */
		.out = { LONG, INT },	/* the same, file descriptor */
		.execute = cmem_legacy_export_dmabuf,
	},
};

static const struct cmem_legacy_op cmem_legacy_free_phys_op = {
	.flags = CMEM_LEGACY_ANY,
	.execute = cmem_legacy_free_phys,
};

#undef INT
#undef LONG
#undef U64

static const struct cmem_legacy_op *cmem_legacy_find(unsigned int cmd)
{
	const struct cmem_legacy_op *op;
	unsigned int nr = _IOC_NR(cmd);

	if (nr >= ARRAY_SIZE(cmem_legacy_ops))
		return NULL;
	nr = array_index_nospec(nr, ARRAY_SIZE(cmem_legacy_ops));
	op = &cmem_legacy_ops[nr];
	if (nr == CMEM_LEGACY_FREE && cmd & CMEM_LEGACY_PHYS)
		op = &cmem_legacy_free_phys_op;
	if (!op->execute || (cmd & ~op->flags) != (CMEM_LEGACY_TYPE << 8 | nr))
		return NULL;
	return op;
}

/**
 * cmem_legacy_ioctl - execute an ioctl of an old program
 * @file: the file that was called
 * @cmd: number of the ioctl, with its flags
 * @user: the structure
 * @compat: the caller is a 32-bit program on a 64-bit kernel
 *
 * Return: 0 or an errno: as the ioctl that does the same in the UAPI header; -ENOTTY for
 * an unknown number, or flags that the ioctl does not accept; -ENOMEM for a length
 * greater than the block's.
 */
long cmem_legacy_ioctl(struct cmem_file *file, unsigned int cmd,
		       void __user *user, bool compat)
{
	const struct cmem_legacy_op *op = cmem_legacy_find(cmd);
	struct cmem_legacy_call call = { .file = file, .user = user };
	u8 data[CMEM_LEGACY_SIZE];
	int ret;

	if (!op)
		return -ENOTTY;

	call.long_size = compat ? sizeof(u32) : sizeof(long);
	call.flags = cmd & op->flags;
	call.out_size = cmem_legacy_size(op->out, call.long_size);
	if (copy_from_user(data, user,
			   cmem_legacy_size(op->in, call.long_size)))
		return -EFAULT;
	cmem_legacy_decode(op->in, call.long_size, data, call.in);

	ret = op->execute(&call);
	if (!ret) {
		cmem_legacy_encode(op->out, call.long_size, call.out, data);
		if (copy_to_user(user, data, call.out_size))
			ret = -EFAULT;
	}
	ret = cmem_legacy_finish_buffer(&call, ret);
	if (call.exported)
		cmem_legacy_finish_export(&call, !ret);
	if (ret)
		pr_debug("%s[%d]: old ioctl %#x: %pe\n", current->comm,
			 task_pid_nr(current), cmd, ERR_PTR(ret));
	return ret;
}

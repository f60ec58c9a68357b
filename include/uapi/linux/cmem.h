/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/*
 * CMEM, the contiguous memory allocator: the interface of /dev/cmem.
 */
#ifndef _UAPI_LINUX_CMEM_H
#define _UAPI_LINUX_CMEM_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: What the objects are
 *
 * A *block* is one range of physically contiguous memory that was set aside for CMEM. It
 * has a number. A block is divided into *pools*, each a number of buffers of one size.
 * The rest of the block is a *heap*, from which buffers of any size are allocated.
 *
 * A *buffer* is a run of pages with one physical address. It belongs to the open files of
 * /dev/cmem that are registered for it: the file that allocated it, and the files that
 * registered its address with CMEM_IOCTL_REGISTER. A file that may register, but maps the
 * buffer without doing so, counts as registered while that mapping exists. It has nothing
 * that CMEM_IOCTL_FREE could drop. The memory of a buffer returns to the pool or heap
 * only when its last registration is dropped (or the file closed), and its last mapping
 * and its last DMA-BUF are gone.
 *
 * A buffer is mapped with mmap(MAP_SHARED) of /dev/cmem. The offset is the physical
 * address. Any part of a buffer may be mapped, any number of times.
 *
 * CMEM_IOCTL_EXPORT makes DMA-BUFs of buffers. If the kernel has DMA-BUF heaps, each
 * block is one as well: /dev/dma_heap/cmem-0 and so on, and /dev/dma_heap/cmem-cma. No
 * file is registered for a buffer from such a heap, until one registers by its DMA-BUF.
 * Buffers from /dev/dma_heap/cmem-0-uncached and the like are not cached. A block may
 * have heaps of other names, too.
 */

/**
 * DOC: General ioctl format
 *
 * Each ioctl takes a pointer to a structure. The first member is the size of that
 * structure in bytes, as the caller knows it. If the caller's structure is longer than
 * the kernel's, the part that the kernel does not know must be zero. If it is shorter,
 * the missing members count as zero, and are not written. A structure that is shorter
 * than its first version is EINVAL.
 *
 * Layouts are the same for 32-bit and 64-bit programs. Addresses, sizes and offsets are
 * in bytes. Members marked "in" are read, "out" are written, "in/out" both. Members
 * called __reserved must be zero.
 *
 * An ioctl that fails has changed nothing. The errnos mean:
 *
 *  - ENOTTY: this ioctl does not exist in this kernel
 *  - E2BIG: the part of the structure that the kernel does not know is not zero, or the
 *    structure is longer than a page
 *  - EOPNOTSUPP: a member that the kernel knows (a flag, a reserved member) has a value
 *    that this kernel does not know; or CMEM_ALLOC_PAGES or CMEM_BLOCK_PAGES, and memory
 *    that can't be page-backed. CMEM_FEATURE_PAGES in cmem_info.features tells the two
 *    apart.
 *  - EINVAL: a member has a value that can never be valid: a size or length of zero, an
 *    alignment that is not a power of two, an address that no page can have
 *  - ENOENT: there is no such block, pool or buffer
 *  - EPERM: the caller is not registered for this buffer, or may not register for it
 *  - ENOMEM: no room: the pool or heap, the user's quota, a cgroup's limit or kernel
 *    memory is exhausted
 *  - EFAULT: a bad pointer, or a user address that is not in a mapping of /dev/cmem or of
 *    one of its DMA-BUFs
 *  - EOVERFLOW: a sum that wraps around, or more than a limit stated below
 *  - EINTR: a fatal signal arrived while the call waited for memory to be zeroed
 *  - EHWPOISON, of mmap(), CMEM_IOCTL_SYNC and CMEM_IOCTL_SYNC_ALL: memory there has
 *    failed, see CMEM_ALLOC_FAILED
 *
 * CMEM_IOCTL_BLOCK_ADD and CMEM_IOCTL_BLOCK_REMOVE describe their further errnos.
 */

/**
 * CMEM_ABI_VERSION - the version of this interface, raised for each addition
 *
 * Version 4 added:
 *
 *  - quarantine: CMEM_ALLOC_QUARANTINE, CMEM_BLOCK_QUARANTINE, CMEM_IOCTL_RELEASE; and
 *    quotas; and for both the last members of struct cmem_block_info, struct
 *    cmem_pool_info and struct cmem_block_add
 *  - CMEM_BLOCK_IS_MEMORY: without it, CMEM_IOCTL_BLOCK_ADD fails with ENXIO for a range
 *    that nothing describes as memory
 *  - memory failure: CMEM_ALLOC_FAILED, and the last members of struct cmem_block_info
 *    and struct cmem_pool_info
 *  - CMEM_BLOCK_COHERENT: each block tells what its buffers need of caches
 *  - addresses of either kind: CMEM_SYNC_BY_PHYS, CMEM_EXPORT_USER_ADDR
 *  - the size of the elements of arrays: cmem_sync.range_size, cmem_block_add.pool_size
 *  - DMA-BUF heaps: cmem_block_add.dma_heap_names, CMEM_BLOCK_DMA_HEAP_POOLS
 *  - CMEM_IOCTL_IMPORT
 *  - for libraries, what they need to know of their own file and mappings: the last
 *    members of struct cmem_info and struct cmem_resolve, and struct cmem_changes
 *
 * Before version 4, mmap() required a registration.
 *
 * Version 5 added page-backed buffers: CMEM_ALLOC_PAGES, CMEM_BLOCK_PAGES,
 * CMEM_BLOCK_CAN_PAGES, and the last members of struct cmem_block_info and struct
 * cmem_pool_info.
 */
#define CMEM_ABI_VERSION	5

/** CMEM_IOCTL_TYPE - the ioctl type, see ioctl-number.rst */
#define CMEM_IOCTL_TYPE		0xC7

/** CMEM_MAX_POOLS - the largest number of pools in a block */
#define CMEM_MAX_POOLS		32

/** CMEM_MAX_REGISTRATIONS - how often one file may register for one buffer */
#define CMEM_MAX_REGISTRATIONS	4095

/** CMEM_MAX_HOLDERS - the largest number of files that are registered for one buffer */
#define CMEM_MAX_HOLDERS	256

/** CMEM_MAX_QUARANTINE_MS - the longest time limit of a quarantine */
#define CMEM_MAX_QUARANTINE_MS	0x7fffffff

/** CMEM_MAX_SYNC_RANGES - the largest number of ranges in one CMEM_IOCTL_SYNC */
#define CMEM_MAX_SYNC_RANGES	1024

/** CMEM_MAX_DMA_HEAP_NAMES - the most bytes in cmem_block_add.dma_heap_names, with NUL */
#define CMEM_MAX_DMA_HEAP_NAMES	256

/** CMEM_MAX_DMA_HEAP_NAME - the most characters in one of these names */
#define CMEM_MAX_DMA_HEAP_NAME	63

/** CMEM_NO_QUOTA - in place of a quota in bytes: no limit */
#define CMEM_NO_QUOTA		(~0ULL)

/** CMEM_BLOCK_CMA - the block number of memory from CMA areas */
#define CMEM_BLOCK_CMA		(-1)

/** CMEM_POOL_BEST - in place of a pool number: the pool that fits best */
#define CMEM_POOL_BEST		(-1)
/** CMEM_POOL_HEAP - in place of a pool number: the heap of the block */
#define CMEM_POOL_HEAP		(-2)

enum {
	CMEM_CMD_GET_INFO	= 0x00,
	CMEM_CMD_GET_BLOCK	= 0x01,
	CMEM_CMD_GET_POOL	= 0x02,
	CMEM_CMD_FIND_POOL	= 0x03,
	CMEM_CMD_ALLOC		= 0x04,
	CMEM_CMD_FREE		= 0x05,
	CMEM_CMD_REGISTER	= 0x06,
	CMEM_CMD_RESOLVE	= 0x07,
	CMEM_CMD_SYNC		= 0x08,
	CMEM_CMD_SYNC_ALL	= 0x09,
	CMEM_CMD_EXPORT		= 0x0a,
	CMEM_CMD_BLOCK_ADD	= 0x0b,
	CMEM_CMD_BLOCK_REMOVE	= 0x0c,
	CMEM_CMD_RELEASE	= 0x0d,
	CMEM_CMD_IMPORT		= 0x0e,
};

/**
 * enum cmem_info_flags - bits of cmem_info.out_flags
 * @CMEM_INFO_COHERENT: every device of this machine snoops the CPU's caches, as on x86:
 *     CMEM_IOCTL_SYNC and CMEM_IOCTL_SYNC_ALL succeed and do nothing, and a program need
 *     not call them. Where this depends on the device, each block tells about the devices
 *     that it is for: CMEM_BLOCK_COHERENT.
 * @CMEM_INFO_USER_SYNC: an AArch64 program may maintain the caches over cached mappings
 *     by itself. DC CVAC on each line, in steps of CTR_EL0.DminLine, followed by DSB SY
 *     does what CMEM_SYNC_WRITE_BACK does. DC CIVAC in the same way does what
 *     CMEM_SYNC_WRITE_BACK_INVALIDATE does. There is no equivalent of
 *     CMEM_SYNC_INVALIDATE. Only AArch64 kernels set this bit, also for 32-bit programs,
 *     which can't use it.
 * @CMEM_INFO_HEAP_FALLBACK: the system is configured to serve programs that name no
 *     pool from the heap when no pool can serve (cmem.useHeapIfPoolUnavailable): such
 *     programs should set CMEM_ALLOC_HEAP_FALLBACK
 */
enum cmem_info_flags {
	CMEM_INFO_COHERENT	= 1 << 0,
	CMEM_INFO_USER_SYNC	= 1 << 1,
	CMEM_INFO_HEAP_FALLBACK	= 1 << 2,
};

/**
 * enum cmem_features - bits of cmem_info.features
 * @CMEM_FEATURE_SCRUB: memory is zeroed before another owner gets it
 * @CMEM_FEATURE_PMD: parts of a buffer that are as long and as aligned as a huge page (2
 *     MiB where pages are 4 KiB) are mapped with one page table entry each, unless they
 *     have no struct pages and the kernel can't handle that
 * @CMEM_FEATURE_PRIVATE: CMEM_ALLOC_PRIVATE is available
 * @CMEM_FEATURE_BLOCK_ADD: CMEM_IOCTL_BLOCK_ADD and CMEM_IOCTL_BLOCK_REMOVE are
 *     available: blocks may come and go while programs run
 * @CMEM_FEATURE_DMABUF: CMEM_IOCTL_EXPORT and CMEM_REGISTER_DMABUF are available
 * @CMEM_FEATURE_QUARANTINE: memory that is not freed may be kept from others:
 *     CMEM_ALLOC_QUARANTINE, CMEM_BLOCK_QUARANTINE and CMEM_IOCTL_RELEASE are available
 * @CMEM_FEATURE_ANY_ADDRESS: CMEM_SYNC_BY_PHYS and CMEM_EXPORT_USER_ADDR are available
 * @CMEM_FEATURE_IMPORT: CMEM_IOCTL_IMPORT is available
 * @CMEM_FEATURE_CHANGES: struct cmem_changes is available
 * @CMEM_FEATURE_PAGES: CMEM_ALLOC_PAGES is available, in blocks with CMEM_BLOCK_CAN_PAGES
 */
enum cmem_features {
	CMEM_FEATURE_SCRUB	= 1 << 0,
	CMEM_FEATURE_PMD	= 1 << 1,
	CMEM_FEATURE_PRIVATE	= 1 << 2,
	CMEM_FEATURE_BLOCK_ADD	= 1 << 3,
	CMEM_FEATURE_DMABUF	= 1 << 4,
	CMEM_FEATURE_QUARANTINE	= 1 << 5,
	CMEM_FEATURE_ANY_ADDRESS = 1 << 6,
	CMEM_FEATURE_IMPORT	= 1 << 7,
	CMEM_FEATURE_CHANGES	= 1 << 8,
	CMEM_FEATURE_PAGES	= 1 << 9,
};

/**
 * struct cmem_changes - whether a program's knowledge of its own mappings is up to date
 * @count: goes up each time that this process unmaps, moves away or replaces a mapping of
 *     /dev/cmem by this file, or a part of one; 0 when nothing is known about that. It
 *     skips 0 when it wraps.
 *
 * A library that remembers its mappings maps this as one page, MAP_SHARED and PROT_READ,
 * at the offset cmem_info.changes_offset. While @count stays the same, all mappings that
 * the process had are still where they were. Only one process can map it at a time: the
 * second mapping fails with EBUSY. A process that got the mapping through fork() reads 0,
 * and has to ask the kernel (CMEM_IOCTL_RESOLVE).
 */
struct cmem_changes {
	__u32 count;
};

/**
 * struct cmem_info - ioctl(CMEM_IOCTL_GET_INFO)
 * @size: sizeof(struct cmem_info)
 * @flags: must be 0
 * @abi_version: out: CMEM_ABI_VERSION of the kernel
 * @num_blocks: out: number of blocks, without the CMA block
 * @block_limit: out: one more than the highest block number, 0 if there is no block.
 *     Numbers below it may be unused: CMEM_IOCTL_GET_BLOCK fails with ENOENT for those.
 * @alignment: out: the unit of allocation in bytes (the page size). The start and the
 *     length of each buffer are multiples of it.
 * @cache_line: out: the unit of cache maintenance in bytes, a power of two. A program
 *     that shares a smaller unit between CPU and device loses data.
 * @out_flags: out: bits of enum cmem_info_flags
 * @features: out: bits of enum cmem_features
 * @owner: out: number of this open file. It is unique: no other file has it, before or
 *     after. /proc and the kernel's tracing identify owners by it.
 * @changes_offset: out: the offset to mmap() struct cmem_changes at
 *
 * Report the version, the properties and the features of this kernel's CMEM.
 */
struct cmem_info {
	__u32 size;
	__u32 flags;
	__u32 abi_version;
	__u32 num_blocks;
	__u32 block_limit;
	__u32 alignment;
	__u32 cache_line;
	__u32 out_flags;
	__aligned_u64 features;
	__aligned_u64 owner;
	__aligned_u64 changes_offset;
};
#define CMEM_IOCTL_GET_INFO	_IO(CMEM_IOCTL_TYPE, CMEM_CMD_GET_INFO)

/**
 * enum cmem_block_kind - the kind of memory of a block
 * @CMEM_KIND_CARVEOUT: a no-map reservation: the kernel itself does not map it
 * @CMEM_KIND_RESERVED: reserved memory that is in the kernel's linear map
 * @CMEM_KIND_SRAM: on-chip memory, whose mappings are never cached
 * @CMEM_KIND_CMA: contiguous memory areas (block CMEM_BLOCK_CMA)
 */
enum cmem_block_kind {
	CMEM_KIND_CARVEOUT	= 0,
	CMEM_KIND_RESERVED	= 1,
	CMEM_KIND_SRAM		= 2,
	CMEM_KIND_CMA		= 3,
};

/**
 * enum cmem_block_flags - bits of cmem_block_info.out_flags and cmem_block_add.flags
 * @CMEM_BLOCK_KEEP_CONTENTS: this block opted out of zeroing: its memory is not zeroed
 *     between owners
 * @CMEM_BLOCK_ADDED: out only: the block comes from CMEM_IOCTL_BLOCK_ADD or from
 *     parameters on the kernel command line (cmem.phys_start), so not from the board's
 *     device tree
 * @CMEM_BLOCK_QUARANTINE: all buffers of the block are as with CMEM_ALLOC_QUARANTINE
 * @CMEM_BLOCK_RPROC: out only: memory leaves quarantine when the remote processors that
 *     the block names have stopped
 * @CMEM_BLOCK_IS_MEMORY: since version 4: the creator of the block asserts that there is
 *     memory. Nothing else needs to describe it.
 * @CMEM_BLOCK_COHERENT: out only, since version 4: the devices that the block is for
 *     snoop the CPU's caches, and all its mappings are cached. CMEM_IOCTL_SYNC does
 *     nothing for a buffer of it, unless a device that does not snoop is attached to a
 *     DMA-BUF of the buffer. The kernel knows that, so a program calls CMEM_IOCTL_SYNC as
 *     for other buffers.
 * @CMEM_BLOCK_DMA_HEAP_POOLS: since version 4: its DMA-BUF heaps use a longer buffer of a
 *     pool when neither a pool of the requested length nor the heap has room
 * @CMEM_BLOCK_PAGES: since version 5: all cached buffers of the block are as with
 *     CMEM_ALLOC_PAGES. With CMEM_BLOCK_COHERENT, these are all its buffers.
 * @CMEM_BLOCK_CAN_PAGES: out only, since version 5: the block has memory for
 *     CMEM_ALLOC_PAGES, which the kernel reaches by a mapping of its own: reserved memory
 *     without no-map and (not on 32-bit arm) cmem_carveout=, unless others use its pages
 *     or they are in ZONE_MOVABLE; and CMA areas if the kernel refuses to pin these for
 *     long.
 */
enum cmem_block_flags {
	CMEM_BLOCK_KEEP_CONTENTS	= 1 << 0,
	CMEM_BLOCK_ADDED		= 1 << 1,
	CMEM_BLOCK_QUARANTINE		= 1 << 2,
	CMEM_BLOCK_RPROC		= 1 << 3,
	CMEM_BLOCK_IS_MEMORY		= 1 << 4,
	CMEM_BLOCK_COHERENT		= 1 << 5,
	CMEM_BLOCK_DMA_HEAP_POOLS	= 1 << 6,
	CMEM_BLOCK_PAGES		= 1 << 7,
	CMEM_BLOCK_CAN_PAGES		= 1 << 8,
};

/**
 * struct cmem_block_info - ioctl(CMEM_IOCTL_GET_BLOCK)
 * @size: sizeof(struct cmem_block_info)
 * @block: in: the number of the block
 * @flags: must be 0
 * @kind: out: one of enum cmem_block_kind
 * @base: out: physical address of the first byte; 0 for CMEM_BLOCK_CMA, whose areas are
 *     apart: each pool tells its own
 * @length: out: length of the block; for CMEM_BLOCK_CMA the sum of its pools and heap
 * @num_pools: out: number of pools, at most CMEM_MAX_POOLS
 * @out_flags: out: bits of enum cmem_block_flags
 * @heap_size: out: bytes of the block that are in no pool
 * @heap_free: out: bytes of the heap that no buffer occupies
 * @heap_clean: out: bytes of @heap_free that are zeroed already
 * @heap_largest: out: the longest run of free bytes in the heap
 * @quarantined: out: bytes of the block that are in quarantine. They are not free.
 * @quarantined_buffers: out: number of buffers in quarantine
 * @quarantine_ms: out: milliseconds after which memory leaves quarantine; 0 if there is
 *     no time limit
 * @quota: out: bytes that each user may have of the block, or CMEM_NO_QUOTA
 * @charged: out: bytes of the block that the user who opened this file has: allocated
 *     with any file or from the block's DMA-BUF heap, and not free yet
 * @failed: out: bytes of the block that are kept out of use because memory there has
 *     failed: in a pool, the whole buffer. They are not free. Always 0 for
 *     CMEM_BLOCK_CMA, where the kernel keeps such memory to itself.
 * @pinned: out: bytes of the buffers that nobody holds any more, but whose pages may be
 *     in use (CMEM_ALLOC_PAGES). They are not free.
 * @pinned_buffers: out: number of these buffers
 * @pinned_pages: out: number of their pages that were in use when the kernel last looked,
 *     each of cmem_info.alignment bytes
 *
 * Describe a block. The heap of CMEM_BLOCK_CMA may be a share of the kernel's global area
 * (cmem.cma_share). What others have taken from that area is not known here, and counts
 * as free.
 *
 * ENOENT: there is no block of that number.
 */
struct cmem_block_info {
	__u32 size;
	__s32 block;
	__u32 flags;
	__u32 kind;
	__aligned_u64 base;
	__aligned_u64 length;
	__u32 num_pools;
	__u32 out_flags;
	__aligned_u64 heap_size;
	__aligned_u64 heap_free;
	__aligned_u64 heap_clean;
	__aligned_u64 heap_largest;
	__aligned_u64 quarantined;
	__u32 quarantined_buffers;
	__u32 quarantine_ms;
	__aligned_u64 quota;
	__aligned_u64 charged;
	__aligned_u64 failed;
	__aligned_u64 pinned;
	__aligned_u64 pinned_buffers;
	__aligned_u64 pinned_pages;
};
#define CMEM_IOCTL_GET_BLOCK	_IO(CMEM_IOCTL_TYPE, CMEM_CMD_GET_BLOCK)

/**
 * struct cmem_pool_info - ioctl(CMEM_IOCTL_GET_POOL)
 * @size: sizeof(struct cmem_pool_info)
 * @block: in: the number of the block
 * @pool: in: the number of the pool, from 0
 * @flags: must be 0
 * @base: out: physical address of the pool's first buffer
 * @requested_length: out: length of a buffer as configured
 * @length: out: actual length of a buffer: rounded up to the alignment
 * @count: out: number of buffers in the pool
 * @free: out: number of free buffers: the sum of the next three
 * @clean: out: free and zeroed
 * @dirty: out: free, not zeroed yet
 * @scrubbing: out: free, being zeroed now
 * @__reserved: must be 0
 * @quarantined: out: number of buffers in quarantine. They are not free.
 * @failed: out: number of buffers that are kept out of use because memory there has
 *     failed. They are not free.
 * @pinned: out: number of buffers that nobody holds any more, but whose pages may be in
 *     use (CMEM_ALLOC_PAGES). They are not free.
 * @pinned_pages: out: number of their pages that were in use when the kernel last looked,
 *     each of cmem_info.alignment bytes
 *
 * Describe a pool. ENOENT: there is no such block, or no such pool in it.
 */
struct cmem_pool_info {
	__u32 size;
	__s32 block;
	__u32 pool;
	__u32 flags;
	__aligned_u64 base;
	__aligned_u64 requested_length;
	__aligned_u64 length;
	__u32 count;
	__u32 free;
	__u32 clean;
	__u32 dirty;
	__u32 scrubbing;
	__u32 __reserved;
	__u32 quarantined;
	__u32 failed;
	__aligned_u64 pinned;
	__aligned_u64 pinned_pages;
};
#define CMEM_IOCTL_GET_POOL	_IO(CMEM_IOCTL_TYPE, CMEM_CMD_GET_POOL)

/**
 * struct cmem_find_pool - ioctl(CMEM_IOCTL_FIND_POOL)
 * @size: sizeof(struct cmem_find_pool)
 * @block: in: the number of the block
 * @flags: must be 0
 * @pool: out: the number of the pool
 * @length: in: wanted bytes, not 0
 *
 * Of the pools that have a free buffer of at least @length bytes, find the one with the
 * smallest buffers. By the time of CMEM_IOCTL_ALLOC, the buffer may be taken:
 * CMEM_POOL_BEST there finds the pool and allocates in one step.
 *
 * ENOENT: no such block, or no pool of it has buffers of that length; ENOMEM: such pools
 * exist, but none of them has a free buffer.
 */
struct cmem_find_pool {
	__u32 size;
	__s32 block;
	__u32 flags;
	__s32 pool;
	__aligned_u64 length;
};
#define CMEM_IOCTL_FIND_POOL	_IO(CMEM_IOCTL_TYPE, CMEM_CMD_FIND_POOL)

/**
 * enum cmem_alloc_flags - bits of cmem_alloc.flags, and of what is reported of a buffer
 * @CMEM_ALLOC_CACHED: mappings are cached (write-back). Without it they are
 *     write-combining. On x86 and other machines whose devices snoop the caches, all
 *     mappings are cached. In a block of CMEM_KIND_SRAM none is: the flag is accepted,
 *     but not reported later.
 * @CMEM_ALLOC_PRIVATE: no other file can register this buffer by its address. It is
 *     passed on as a DMA-BUF (CMEM_IOCTL_EXPORT).
 * @CMEM_ALLOC_HEAP_FALLBACK: with a pool number or CMEM_POOL_BEST: allocate from the heap
 *     when no pool can serve
 * @CMEM_ALLOC_QUARANTINE: a device may still write here when the programs that started it
 *     have ended. Unless each file that was registered has freed the buffer
 *     (CMEM_IOCTL_FREE) before it was closed, the memory goes into quarantine when the
 *     last hold is dropped. Nobody can register for it, map or allocate it before it is
 *     released, see CMEM_IOCTL_RELEASE. Reported for each buffer of a block with
 *     CMEM_BLOCK_QUARANTINE.
 * @CMEM_ALLOC_FAILED: reported only: memory of the buffer has failed, and the hardware
 *     can't correct it. A program that touches that page, or the huge page that it was
 *     mapped with, gets SIGBUS (BUS_MCEERR_AR). The page can no longer be mapped, and
 *     cache maintenance leaves it out. The rest of the buffer is as before. The buffer is
 *     never allocated again after it is freed.
 * @CMEM_ALLOC_PAGES: since version 5: a page-backed buffer: its mappings are of struct
 *     pages, so all system calls accept them that a mapping of a file or of malloc()'s
 *     memory can be passed to: O_DIRECT, io_uring, MSG_ZEROCOPY, vmsplice(),
 *     process_vm_readv(). V4L2's USERPTR, io_uring's registered buffers and all else that
 *     pins pages for long is EFAULT in CMEM_BLOCK_CMA. Not for KVM's guests nor for VFIO,
 *     which never give back pages of reserved memory: the buffer would stay pinned until
 *     the machine is rebooted. Each page has a page table entry of its own. The
 *     block must have CMEM_BLOCK_CAN_PAGES, and CMEM_ALLOC_CACHED is needed unless the
 *     block has CMEM_BLOCK_COHERENT. I/O keeps using the pages after the buffer is freed,
 *     unmapped and its program has ended. Until it has finished, the buffer is pinned: its
 *     memory is not free, and its user stays charged. An allocation does not wait for I/O.
 *     Reported for each cached buffer of a block with CMEM_BLOCK_PAGES.
 */
enum cmem_alloc_flags {
	CMEM_ALLOC_CACHED		= 1 << 0,
	CMEM_ALLOC_PRIVATE		= 1 << 1,
	CMEM_ALLOC_HEAP_FALLBACK	= 1 << 2,
	CMEM_ALLOC_QUARANTINE		= 1 << 3,
	CMEM_ALLOC_FAILED		= 1 << 4,
	CMEM_ALLOC_PAGES		= 1 << 5,
};

/**
 * struct cmem_alloc - ioctl(CMEM_IOCTL_ALLOC)
 * @size: sizeof(struct cmem_alloc)
 * @block: in: the number of the block
 * @pool: in: the number of a pool, CMEM_POOL_BEST or CMEM_POOL_HEAP; out: the pool that
 *     the buffer is from, or CMEM_POOL_HEAP
 * @flags: in: bits of enum cmem_alloc_flags
 * @length: in: wanted bytes. With the number of a pool, 0 asks for one of its buffers
 *     regardless of their length. Otherwise 0 is EINVAL. out: the buffer's length
 * @alignment: in: 0, or a power of two that the physical address must be a multiple of.
 *     Up to the page size is always granted. A pool serves a larger alignment only if all
 *     its buffers have it.
 * @phys_addr: out: the physical address
 * @mmap_offset: out: the offset to mmap() this buffer at
 *
 * Allocate a buffer and register the calling file for it. The best pool is the one with
 * the smallest buffers that are long enough. When it is exhausted, the next larger one is
 * tried. In CMEM_BLOCK_CMA no larger pool is tried, and a pool that is named also gives
 * longer buffers than its own.
 *
 * The bytes of the buffer are zero, except in a block with CMEM_BLOCK_KEEP_CONTENTS, and
 * except when this file gets back what only it has had before. Buffers of at least a huge
 * page from a heap start on a huge page boundary if a free one exists.
 *
 * ENOENT: no such block or pool, or CMEM_POOL_BEST and no pool of the block has buffers
 * of that length and alignment; EOPNOTSUPP: CMEM_ALLOC_PAGES and a block without
 * CMEM_BLOCK_CAN_PAGES; ENOMEM: no room (pinned buffers are not free), or more than the
 * user's quota, which does not apply to files that were opened with CAP_SYS_RESOURCE, or
 * more than the share that CMEM_BLOCK_CMA has of the global area; EINVAL: @length is
 * longer than the buffers of the named pool or than the block, or @alignment is larger
 * than the pool's, or CMEM_ALLOC_PAGES needs CMEM_ALLOC_CACHED; EINTR: a fatal signal
 * arrived.
 */
struct cmem_alloc {
	__u32 size;
	__s32 block;
	__s32 pool;
	__u32 flags;
	__aligned_u64 length;
	__aligned_u64 alignment;
	__aligned_u64 phys_addr;
	__aligned_u64 mmap_offset;
};
#define CMEM_IOCTL_ALLOC	_IO(CMEM_IOCTL_TYPE, CMEM_CMD_ALLOC)

/**
 * struct cmem_free - ioctl(CMEM_IOCTL_FREE)
 * @size: sizeof(struct cmem_free)
 * @flags: must be 0
 * @phys_addr: in: the physical address that CMEM_IOCTL_ALLOC returned
 *
 * Drop one registration of the calling file. When the last registration of all files and
 * the last mapping are gone, the memory becomes free, unless it goes into quarantine
 * (CMEM_ALLOC_QUARANTINE). The order of this and of munmap() does not matter.
 *
 * EINVAL: not a multiple of the alignment; ENOENT: no buffer starts there; EPERM: a
 * buffer starts there, but this file is not registered for it.
 */
struct cmem_free {
	__u32 size;
	__u32 flags;
	__aligned_u64 phys_addr;
};
#define CMEM_IOCTL_FREE		_IO(CMEM_IOCTL_TYPE, CMEM_CMD_FREE)

/**
 * enum cmem_register_flags - bits of cmem_register.flags
 * @CMEM_REGISTER_DMABUF: register for the buffer of a DMA-BUF, private or not, with any
 *     owner
 */
enum cmem_register_flags {
	CMEM_REGISTER_DMABUF	= 1 << 0,
};

/**
 * struct cmem_register - ioctl(CMEM_IOCTL_REGISTER)
 * @size: sizeof(struct cmem_register)
 * @flags: in: CMEM_REGISTER_DMABUF or 0
 * @phys_addr: in: the physical address of a buffer's first byte; ignored with
 *     CMEM_REGISTER_DMABUF; out: that address
 * @length: out: the buffer's length
 * @mmap_offset: out: the offset to mmap() this buffer at
 * @block: out: the number of its block
 * @pool: out: the number of its pool, or CMEM_POOL_HEAP
 * @buffer_flags: out: CMEM_ALLOC_CACHED, CMEM_ALLOC_PRIVATE, CMEM_ALLOC_QUARANTINE and
 *     CMEM_ALLOC_PAGES as allocated; CMEM_ALLOC_FAILED as it is now
 * @dmabuf_fd: in: with CMEM_REGISTER_DMABUF the file descriptor of a DMA-BUF, otherwise 0
 *
 * Register the calling file for a buffer that another file allocated. Each registration
 * counts, and needs a CMEM_IOCTL_FREE of its own (or the file's close).
 *
 * By address: the file must have been opened by the same user as a file that is
 * registered already, and for no more access than that file, or by a user with
 * CAP_SYS_RAWIO, unless the kernel was booted with cmem.share=any. By a DMA-BUF, from
 * CMEM_IOCTL_EXPORT or from a heap of ours: the DMA-BUF must allow the reading and
 * writing that the file is open for.
 *
 * EINVAL: not a multiple of the alignment, or a file that is not a DMA-BUF of ours;
 * ENOENT: no buffer starts there, or no file is registered for it any more; EBADF: no
 * such file descriptor; EPERM: the buffer is another user's or private, or the DMA-BUF
 * allows less than the file; EOVERFLOW: more than CMEM_MAX_REGISTRATIONS or
 * CMEM_MAX_HOLDERS.
 */
struct cmem_register {
	__u32 size;
	__u32 flags;
	__aligned_u64 phys_addr;
	__aligned_u64 length;
	__aligned_u64 mmap_offset;
	__s32 block;
	__s32 pool;
	__u32 buffer_flags;
	__s32 dmabuf_fd;
};
#define CMEM_IOCTL_REGISTER	_IO(CMEM_IOCTL_TYPE, CMEM_CMD_REGISTER)

/**
 * struct cmem_resolve - ioctl(CMEM_IOCTL_RESOLVE)
 * @size: sizeof(struct cmem_resolve)
 * @flags: must be 0
 * @user_addr: in: any address inside a mapping of /dev/cmem or of one of its DMA-BUFs
 * @phys_addr: out: the physical address of that byte
 * @contiguous: out: bytes from there to the end of the mapping, all physically contiguous
 * @buffer_addr: out: the physical address of the buffer's first byte
 * @buffer_length: out: the buffer's length
 * @buffer_flags: out: CMEM_ALLOC_CACHED, CMEM_ALLOC_PRIVATE, CMEM_ALLOC_QUARANTINE and
 *     CMEM_ALLOC_PAGES as allocated; CMEM_ALLOC_FAILED as it is now
 * @block: out: the number of its block
 * @pool: out: the number of its pool, or CMEM_POOL_HEAP
 * @__reserved: must be 0
 * @mapping_addr: out: the user address of the mapping's first byte
 * @mapping_owner: out: number of the open file of /dev/cmem that made the mapping, see
 *     cmem_info.owner; 0 for a mapping of a DMA-BUF
 *
 * Translate a user address of the calling process. Any open file of /dev/cmem may have
 * made the mapping. EFAULT: the address is in no such mapping.
 */
struct cmem_resolve {
	__u32 size;
	__u32 flags;
	__aligned_u64 user_addr;
	__aligned_u64 phys_addr;
	__aligned_u64 contiguous;
	__aligned_u64 buffer_addr;
	__aligned_u64 buffer_length;
	__u32 buffer_flags;
	__s32 block;
	__s32 pool;
	__u32 __reserved;
	__aligned_u64 mapping_addr;
	__aligned_u64 mapping_owner;
};
#define CMEM_IOCTL_RESOLVE	_IO(CMEM_IOCTL_TYPE, CMEM_CMD_RESOLVE)

/**
 * enum cmem_sync_op - what CMEM_IOCTL_SYNC does to a range
 * @CMEM_SYNC_WRITE_BACK: write the CPU's stores back to memory, before a device reads
 * @CMEM_SYNC_INVALIDATE: drop what the CPU has cached, including stores that are not
 *     written back yet, after a device wrote. A line at either end is written back first
 *     if it reaches beyond the range.
 * @CMEM_SYNC_WRITE_BACK_INVALIDATE: both, in one operation for each cache line
 */
enum cmem_sync_op {
	CMEM_SYNC_WRITE_BACK		= 1,
	CMEM_SYNC_INVALIDATE		= 2,
	CMEM_SYNC_WRITE_BACK_INVALIDATE	= 3,
};

/**
 * enum cmem_sync_flags - bits of cmem_sync.flags
 * @CMEM_SYNC_BY_PHYS: since version 4: the ranges are physical addresses, for programs
 *     that map nothing. Each range is in one buffer, which the calling file is registered
 *     for.
 */
enum cmem_sync_flags {
	CMEM_SYNC_BY_PHYS	= 1 << 0,
};

/**
 * struct cmem_sync_range - one range of CMEM_IOCTL_SYNC
 * @user_addr: in: first byte, a user address in a mapping of /dev/cmem or of one of its
 *     DMA-BUFs; with CMEM_SYNC_BY_PHYS a physical address
 * @length: in: bytes, not 0. The range may span several mappings if there is no hole
 *     between them.
 * @op: in: one of enum cmem_sync_op
 * @__reserved: must be 0
 */
struct cmem_sync_range {
	__aligned_u64 user_addr;
	__aligned_u64 length;
	__u32 op;
	__u32 __reserved;
};

/**
 * struct cmem_sync - ioctl(CMEM_IOCTL_SYNC)
 * @size: sizeof(struct cmem_sync)
 * @flags: in: CMEM_SYNC_BY_PHYS or 0
 * @ranges: in: user address of an array of struct cmem_sync_range
 * @num_ranges: in: its length, 1 to CMEM_MAX_SYNC_RANGES
 * @range_size: in: sizeof(struct cmem_sync_range); 0, as before version 4, is the size of
 *     the first version, 24. The rules for the size of structures apply to each element.
 *
 * Maintain the CPU's caches over some ranges, in their order. All ranges are checked
 * before the first one is maintained. Ranges that need nothing are accepted and skipped:
 * those of a buffer that is not cached, or that is coherent (CMEM_BLOCK_COHERENT). Both
 * may need something while devices are attached to the buffer's DMA-BUF. A cached buffer
 * is maintained if a device that does not snoop is attached. A buffer that is not cached
 * is written back and invalidated, for any operation, if a device that snoops is
 * attached. Through a mapping that can't be made writable, CMEM_SYNC_INVALIDATE writes
 * back first: it must not undo what others wrote.
 *
 * EFAULT: a range is not completely in such mappings, or with CMEM_SYNC_BY_PHYS not
 * completely in one buffer; EPERM: with CMEM_SYNC_BY_PHYS, the file is not registered for
 * that buffer; EOVERFLOW: too many ranges, or a range that wraps around; EINTR: a fatal
 * signal arrived. After EINTR, and after EFAULT for a mapping that was unmapped during
 * the call, part of the work may be done. EHWPOISON: memory there has failed; all the
 * rest is done.
 */
struct cmem_sync {
	__u32 size;
	__u32 flags;
	__aligned_u64 ranges;
	__u32 num_ranges;
	__u32 range_size;
};
#define CMEM_IOCTL_SYNC		_IO(CMEM_IOCTL_TYPE, CMEM_CMD_SYNC)

/**
 * struct cmem_sync_all - ioctl(CMEM_IOCTL_SYNC_ALL)
 * @size: sizeof(struct cmem_sync_all)
 * @flags: must be 0
 * @op: in: CMEM_SYNC_WRITE_BACK or CMEM_SYNC_WRITE_BACK_INVALIDATE. CMEM_SYNC_INVALIDATE
 *     is EINVAL.
 * @__reserved: must be 0
 *
 * Maintain the CPU's caches over every buffer that the calling file is registered for and
 * that needs it, as CMEM_IOCTL_SYNC does. EHWPOISON: memory of a buffer has failed; all
 * the rest is done.
 */
struct cmem_sync_all {
	__u32 size;
	__u32 flags;
	__u32 op;
	__u32 __reserved;
};
#define CMEM_IOCTL_SYNC_ALL	_IO(CMEM_IOCTL_TYPE, CMEM_CMD_SYNC_ALL)

/**
 * enum cmem_export_flags - bits of cmem_export.flags
 * @CMEM_EXPORT_USER_ADDR: since version 4: export the buffer that a user address of the
 *     calling process is in, mapped by /dev/cmem or by a DMA-BUF
 */
enum cmem_export_flags {
	CMEM_EXPORT_USER_ADDR	= 1 << 0,
};

/**
 * struct cmem_export - ioctl(CMEM_IOCTL_EXPORT)
 * @size: sizeof(struct cmem_export)
 * @flags: in: CMEM_EXPORT_USER_ADDR or 0
 * @phys_addr: in: the physical address of the first byte of a buffer that the calling
 *     file is registered for; with CMEM_EXPORT_USER_ADDR any user address in a mapping of
 *     such a buffer
 * @fd_flags: in: of the new file descriptor: O_CLOEXEC, and O_RDONLY, O_WRONLY or O_RDWR
 * @fd: out: the file descriptor of a DMA-BUF
 *
 * Get a file descriptor of a buffer's DMA-BUF. The DMA-BUF holds the buffer like a
 * registration does, even when all files have dropped theirs. While a file is registered,
 * each call for the same access returns the same DMA-BUF. A DMA-BUF with less access is
 * another one, and so is the DMA-BUF of a DMA-BUF heap; all share their fences. Each
 * covers the whole buffer, and is cached if the buffer is. A device that is attached to
 * it must reach the memory: DMA is not bounced.
 *
 * EINVAL: not a multiple of the alignment; ENOENT: no buffer starts there, or no file is
 * registered for it any more; EFAULT: with CMEM_EXPORT_USER_ADDR, the address is in no
 * mapping of a buffer; EPERM: this file is not registered for the buffer, or is not open
 * for the access in @fd_flags; EOVERFLOW: on 32 bit, the buffer has 4 GiB or more;
 * EMFILE: no file descriptor is left; ENOMEM.
 */
struct cmem_export {
	__u32 size;
	__u32 flags;
	__aligned_u64 phys_addr;
	__u32 fd_flags;
	__s32 fd;
};
#define CMEM_IOCTL_EXPORT	_IO(CMEM_IOCTL_TYPE, CMEM_CMD_EXPORT)

/**
 * struct cmem_block_pool - a pool of a new block
 * @count: number of buffers
 * @__reserved: must be 0
 * @length: bytes in each buffer, rounded up to the alignment
 */
struct cmem_block_pool {
	__u32 count;
	__u32 __reserved;
	__aligned_u64 length;
};

/**
 * struct cmem_block_add - ioctl(CMEM_IOCTL_BLOCK_ADD)
 * @size: sizeof(struct cmem_block_add)
 * @block: in: the number for the block, 0 or more
 * @flags: in: CMEM_BLOCK_KEEP_CONTENTS, CMEM_BLOCK_QUARANTINE, CMEM_BLOCK_IS_MEMORY,
 *     CMEM_BLOCK_DMA_HEAP_POOLS, CMEM_BLOCK_PAGES
 * @num_pools: in: number of pools, at most CMEM_MAX_POOLS
 * @base: in: physical address of its first byte, a multiple of the alignment
 * @length: in: in bytes, a multiple of the alignment
 * @pools: in: user pointer to an array of @num_pools struct cmem_block_pool. They are
 *     laid out in this order. The rest of the block is the heap.
 * @quarantine_ms: in: milliseconds after which memory leaves quarantine, at most
 *     CMEM_MAX_QUARANTINE_MS; 0 for no time limit. Valid with and without
 *     CMEM_BLOCK_QUARANTINE.
 * @pool_size: in: sizeof(struct cmem_block_pool); 0 is the size of the first version, 16.
 *     The rules for the size of structures apply to each element.
 * @quota: in: bytes that each user may have of the block, or CMEM_NO_QUOTA; 0: the value
 *     of cmem.quota=
 * @dma_heap_names: in: user pointer to a string, the names of more DMA-BUF heaps of the
 *     block, separated by colons, at most CMEM_MAX_DMA_HEAP_NAMES bytes; or 0. Buffers
 *     from a heap that has "uncached" in its name are not cached. A name consists of
 *     letters, digits and _-+.,@ and does not begin with a dot or with "cmem-". If
 *     another heap has a name, that is logged, and the block is made without that heap.
 *
 * Make a block that lasts until it is removed or the machine is rebooted. There are two
 * kinds of memory for it. One is not System RAM, is claimed by no driver (see
 * /proc/iomem), and is not reserved for anything else by firmware or device tree. The
 * other is a part of one region that was reserved for CMEM at boot, by the device tree or
 * by cmem_carveout=, and that is in no block any more. If such a region kept its contents
 * when it was a block, it still does. Its quarantine and the time limit of that stay as
 * well: a caller can't ask for less.
 *
 * Something must say that there is memory: the firmware's memory map or a /memory node of
 * the device tree (also for memory that mem= or memmap= takes from the kernel), an
 * mmio-sram node, a BAR of a PCI device that is enabled, or the caller with
 * CMEM_BLOCK_IS_MEMORY. If the caller is wrong, the machine may crash when the first
 * buffer is allocated. Memory that is not RAM is not touched before.
 *
 * The caller needs CAP_SYS_ADMIN, and for memory that was not reserved for CMEM also
 * CAP_SYS_RAWIO, as for /dev/mem. The kernel's log has the reason for a failure.
 *
 * A DMA-BUF heap is never removed, and the system has room for only 128. An added block
 * has heaps of its number (cmem-0) up to 31. A block with a higher number has only the
 * heaps that are named here.
 *
 * EPERM: the caller lacks a capability, the kernel is locked down and the memory was not
 * reserved for CMEM, or the kernel saves a crash dump; EINVAL: an invalid number,
 * address, length or name, or a range that lies only partly in a reserved region;
 * EOVERFLOW: more than CMEM_MAX_POOLS, more than CMEM_MAX_DMA_HEAP_NAMES, or pools that
 * are larger than any memory; ENOSPC: pools that are larger than the block; EEXIST: there
 * is a block of this number; EBUSY: the memory is System RAM, in another block, or in use
 * by something else; ENXIO: nothing says that there is memory; EOPNOTSUPP: an unknown
 * flag, or CMEM_BLOCK_PAGES for memory that can't have it; EFAULT: @pools or
 * @dma_heap_names can't be read; ENOMEM: no kernel memory; EINTR: a fatal signal arrived.
 */
struct cmem_block_add {
	__u32 size;
	__s32 block;
	__u32 flags;
	__u32 num_pools;
	__aligned_u64 base;
	__aligned_u64 length;
	__aligned_u64 pools;
	__u32 quarantine_ms;
	__u32 pool_size;
	__aligned_u64 quota;
	__aligned_u64 dma_heap_names;
};
#define CMEM_IOCTL_BLOCK_ADD	_IO(CMEM_IOCTL_TYPE, CMEM_CMD_BLOCK_ADD)

/**
 * struct cmem_block_remove - ioctl(CMEM_IOCTL_BLOCK_REMOVE)
 * @size: sizeof(struct cmem_block_remove)
 * @block: in: the number of the block
 * @flags: must be 0
 * @__reserved: must be 0
 *
 * Remove a block of any origin that has no buffer in use. Callers that wait for memory of
 * it get ENOENT. A block from the device tree is back after the next boot. The block's
 * DMA-BUF heap stays, and fails with ENODEV until there is a block of this number again.
 *
 * The caller needs CAP_SYS_ADMIN, otherwise EPERM. ENOENT: there is no block of this
 * number; EINVAL: CMEM_BLOCK_CMA can't be removed; EBUSY: a file is registered for a
 * buffer of the block, or a buffer is mapped, is a DMA-BUF, is in quarantine, is pinned
 * (cmem_block_info.pinned_buffers), or is just being allocated.
 */
struct cmem_block_remove {
	__u32 size;
	__s32 block;
	__u32 flags;
	__u32 __reserved;
};
#define CMEM_IOCTL_BLOCK_REMOVE	_IO(CMEM_IOCTL_TYPE, CMEM_CMD_BLOCK_REMOVE)

/**
 * enum cmem_release_flags - bits of cmem_release.flags
 * @CMEM_RELEASE_BUFFER: release one buffer instead of all of the block
 */
enum cmem_release_flags {
	CMEM_RELEASE_BUFFER	= 1 << 0,
};

/**
 * struct cmem_release - ioctl(CMEM_IOCTL_RELEASE)
 * @size: sizeof(struct cmem_release)
 * @block: in: the number of the block
 * @flags: in: CMEM_RELEASE_BUFFER or 0
 * @__reserved: must be 0
 * @phys_addr: in: with CMEM_RELEASE_BUFFER the physical address of the buffer's first
 *     byte, otherwise 0
 * @buffers: out: number of buffers that were released
 * @bytes: out: their total length
 *
 * Release memory from quarantine: the caller knows that no device writes to it any more.
 * Like all freed memory, it is zeroed before another owner gets it. A page-backed buffer
 * whose pages are in use is pinned then, and becomes free later. Without
 * CMEM_RELEASE_BUFFER, this releases all that was in quarantine in the block when the
 * call began, which may be nothing.
 *
 * Memory leaves quarantine without this call as well, if its block says so: when all
 * remote processors that the block names have stopped or restarted since, or when
 * quarantine_ms have passed.
 *
 * The caller needs CAP_SYS_ADMIN, otherwise EPERM. ENOENT: there is no such block, or no
 * buffer in quarantine starts there; EINVAL: not a multiple of the alignment.
 */
struct cmem_release {
	__u32 size;
	__s32 block;
	__u32 flags;
	__u32 __reserved;
	__aligned_u64 phys_addr;
	__aligned_u64 buffers;
	__aligned_u64 bytes;
};
#define CMEM_IOCTL_RELEASE	_IO(CMEM_IOCTL_TYPE, CMEM_CMD_RELEASE)

/**
 * struct cmem_import_dmabuf - ioctl(CMEM_IOCTL_IMPORT), since version 4
 * @size: sizeof(struct cmem_import_dmabuf)
 * @flags: must be 0
 * @dmabuf_fd: in: the file descriptor of a DMA-BUF of any exporter
 * @fd_flags: in: of the new file descriptor: O_CLOEXEC or 0
 * @phys_addr: out: the physical address of its first byte
 * @length: out: its length in bytes, all physically contiguous
 * @fd: out: a file descriptor that holds it
 * @__reserved: must be 0
 *
 * Get the physical address of a DMA-BUF, for a processor that no driver attaches for.
 * Until the new file is closed, the DMA-BUF is held, and its memory stays in place. A
 * program that reads or writes a mapping of the DMA-BUF brackets that with
 * DMA_BUF_IOCTL_SYNC: the exporter then maintains the caches, for a device that does not
 * snoop. The caller need not be registered for the buffer: having its DMA-BUF is enough.
 *
 * EBADF: no such file descriptor; EINVAL: a file that is not a DMA-BUF, or memory that is
 * not contiguous; EIO: DMA is bounced on this system; EMFILE: no file descriptor is left;
 * EINTR: a signal arrived while the exporter was moving the memory; ENOMEM; and errnos of
 * the exporter for a device that attaches.
 */
struct cmem_import_dmabuf {
	__u32 size;
	__u32 flags;
	__s32 dmabuf_fd;
	__u32 fd_flags;
	__aligned_u64 phys_addr;
	__aligned_u64 length;
	__s32 fd;
	__u32 __reserved;
};
#define CMEM_IOCTL_IMPORT	_IO(CMEM_IOCTL_TYPE, CMEM_CMD_IMPORT)

#endif /* _UAPI_LINUX_CMEM_H */

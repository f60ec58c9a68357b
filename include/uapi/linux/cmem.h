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
 * A *block* is one range of physically contiguous memory that was set aside
 * for CMEM. It has a number. A block is carved into *pools*, each a number of
 * buffers of one size, and the rest of it is a *heap*, from which buffers of
 * any size are taken.
 *
 * A *buffer* is a run of pages with one physical address. It belongs to the
 * open files of /dev/cmem that are registered for it: the one that allocated
 * it, and those that named its address in CMEM_IOCTL_REGISTER. A file that may
 * register, and maps the buffer without, counts as registered as long as that mapping
 * is there, but has nothing that CMEM_IOCTL_FREE could drop. The memory of a buffer
 * returns to the pool or heap when the last registration is dropped (or its
 * file closed), the last mapping and the last DMA-BUF of it are gone, never before.
 *
 * A buffer is mapped with mmap(MAP_SHARED) of /dev/cmem, the offset being the
 * physical address. Any part of a buffer may be mapped, any number of times.
 *
 * CMEM_IOCTL_EXPORT makes DMA-BUFs of buffers. Each block is a DMA-BUF heap as well,
 * /dev/dma_heap/cmem-0 and so on, and /dev/dma_heap/cmem-cma, if the kernel has such
 * heaps: a buffer from there has no file that is registered for it, until one
 * registers by its DMA-BUF. Buffers from /dev/dma_heap/cmem-0-uncached and the like are
 * not cached. A block may have heaps of other names, too.
 */

/**
 * DOC: General ioctl format
 *
 * Each ioctl takes a pointer to a structure whose first member is the size of
 * that structure as the caller knows it, in bytes. A caller that knows a
 * longer structure than the kernel is served as long as the part that the
 * kernel does not know is zero; for a caller that knows a shorter one, the
 * missing members count as zero, and are not written. A structure that is
 * shorter than its first version is EINVAL.
 *
 * Layouts are the same for 32-bit and 64-bit programs. Addresses, sizes and
 * offsets are in bytes. Members marked "in" are read, "out" are written,
 * "in/out" both; members called __reserved must be zero.
 *
 * An ioctl that fails has changed nothing. The errnos mean:
 *
 *  - ENOTTY: this ioctl does not exist in this kernel
 *  - E2BIG: the part of the structure that the kernel does not know is not zero,
 *    or the structure is longer than a page
 *  - EOPNOTSUPP: a member that the kernel knows (a flag, a reserved member) has
 *    a value that this kernel does not know
 *  - EINVAL: a member has a value that can never be right: a size or length of
 *    zero, an alignment that is no power of two, an address that no page can
 *    have
 *  - ENOENT: there is no such block, pool or buffer
 *  - EPERM: the caller is not registered for this buffer, or may not become so
 *  - ENOMEM: no room: the pool or heap is exhausted, the user's quota or a cgroup's
 *    limit is, or kernel memory is
 *  - EFAULT: a bad pointer, or a user address that is not in a mapping of
 *    /dev/cmem or of one of its DMA-BUFs
 *  - EOVERFLOW: a sum that wraps around, or more than a limit stated below
 *  - EINTR: a fatal signal came while the call waited for memory to be cleared
 *  - EHWPOISON, of mmap(), CMEM_IOCTL_SYNC and CMEM_IOCTL_SYNC_ALL: memory there has
 *    failed, see CMEM_ALLOC_FAILED
 *
 * More that CMEM_IOCTL_BLOCK_ADD and CMEM_IOCTL_BLOCK_REMOVE say is told there.
 */

/**
 * CMEM_ABI_VERSION - the version of this interface, raised for each addition
 *
 * 4 added quarantine: CMEM_ALLOC_QUARANTINE, CMEM_BLOCK_QUARANTINE, CMEM_IOCTL_RELEASE,
 * and quotas; and for both the last members of struct cmem_block_info,
 * struct cmem_pool_info and struct cmem_block_add.
 * And CMEM_BLOCK_IS_MEMORY: CMEM_IOCTL_BLOCK_ADD wants somebody's word for memory of which
 * nothing says that it is there (ENXIO).
 * And memory that fails: CMEM_ALLOC_FAILED, and the last members of
 * struct cmem_block_info and struct cmem_pool_info.
 * And what a buffer needs of caches is told for each block: CMEM_BLOCK_COHERENT. And
 * addresses of either kind: CMEM_SYNC_BY_PHYS, CMEM_EXPORT_USER_ADDR. And the size of the
 * elements of arrays: cmem_sync.range_size, cmem_block_add.pool_size. And DMA-BUF heaps:
 * cmem_block_add.dma_heap_names, CMEM_BLOCK_DMA_HEAP_POOLS. And CMEM_IOCTL_IMPORT. And
 * what a library has to know of its own file and mappings: the last members of
 * struct cmem_info and struct cmem_resolve, and struct cmem_changes. Before version 4,
 * mmap() wanted a registration.
 */
#define CMEM_ABI_VERSION	4

/** CMEM_IOCTL_TYPE - the ioctl type, see ioctl-number.rst */
#define CMEM_IOCTL_TYPE		0xC7

/** CMEM_MAX_POOLS - the largest number of pools in a block */
#define CMEM_MAX_POOLS		32

/** CMEM_MAX_REGISTRATIONS - how often one file may register one buffer */
#define CMEM_MAX_REGISTRATIONS	4095

/** CMEM_MAX_HOLDERS - how many files may be registered for one buffer */
#define CMEM_MAX_HOLDERS	256

/** CMEM_MAX_QUARANTINE_MS - the longest time that memory is in quarantine by a clock */
#define CMEM_MAX_QUARANTINE_MS	0x7fffffff

/** CMEM_MAX_SYNC_RANGES - the largest number of ranges in one CMEM_IOCTL_SYNC */
#define CMEM_MAX_SYNC_RANGES	1024

/** CMEM_MAX_DMA_HEAP_NAMES - bytes in cmem_block_add.dma_heap_names at most, with its NUL */
#define CMEM_MAX_DMA_HEAP_NAMES	256

/** CMEM_MAX_DMA_HEAP_NAME - characters in one of these names at most */
#define CMEM_MAX_DMA_HEAP_NAME	63

/** CMEM_NO_QUOTA - in place of a quota in bytes: each user may have all of a block */
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
 *     CMEM_IOCTL_SYNC and CMEM_IOCTL_SYNC_ALL succeed and do nothing, a program need
 *     not call them. Where that depends on the device, each block tells about those
 *     that it is for: CMEM_BLOCK_COHERENT.
 * @CMEM_INFO_USER_SYNC: an AArch64 program may maintain the caches over cached
 *     mappings by itself: DC CVAC on each line, in steps of what CTR_EL0.DminLine
 *     says, and DSB SY after the last one do what CMEM_SYNC_WRITE_BACK does, and
 *     DC CIVAC what CMEM_SYNC_WRITE_BACK_INVALIDATE does. There is nothing like
 *     that for CMEM_SYNC_INVALIDATE. Only AArch64 kernels say so, to 32-bit
 *     programs too, which can make nothing of it.
 * @CMEM_INFO_HEAP_FALLBACK: who set up the system wants programs that leave the
 *     pool to the system to get memory from the heap when no pool can serve
 *     (cmem.useHeapIfPoolUnavailable): they should say CMEM_ALLOC_HEAP_FALLBACK
 */
enum cmem_info_flags {
	CMEM_INFO_COHERENT	= 1 << 0,
	CMEM_INFO_USER_SYNC	= 1 << 1,
	CMEM_INFO_HEAP_FALLBACK	= 1 << 2,
};

/**
 * enum cmem_features - bits of cmem_info.features
 * @CMEM_FEATURE_SCRUB: memory is zeroed before another owner gets it
 * @CMEM_FEATURE_PMD: parts of a buffer that are as long and as aligned as a
 *     huge page (2 MiB where pages are 4 KiB) are mapped with one page table
 *     entry each, unless they have no struct pages and the kernel can't stand
 *     that
 * @CMEM_FEATURE_PRIVATE: CMEM_ALLOC_PRIVATE is there
 * @CMEM_FEATURE_BLOCK_ADD: CMEM_IOCTL_BLOCK_ADD and CMEM_IOCTL_BLOCK_REMOVE are
 *     there: blocks may come and go while programs run
 * @CMEM_FEATURE_DMABUF: CMEM_IOCTL_EXPORT and CMEM_REGISTER_DMABUF are there
 * @CMEM_FEATURE_QUARANTINE: what is not freed may be kept from others:
 *     CMEM_ALLOC_QUARANTINE, CMEM_BLOCK_QUARANTINE and CMEM_IOCTL_RELEASE are there
 * @CMEM_FEATURE_ANY_ADDRESS: CMEM_SYNC_BY_PHYS and CMEM_EXPORT_USER_ADDR are there
 * @CMEM_FEATURE_IMPORT: CMEM_IOCTL_IMPORT is there
 * @CMEM_FEATURE_CHANGES: struct cmem_changes is there
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
};

/**
 * struct cmem_changes - what a program knows of its own mappings
 * @count: goes up with each mapping of /dev/cmem by this file, or part of one, that is
 *     unmapped, moved away or replaced in this process; 0 when nothing is known of
 *     that. It skips 0 when it wraps.
 *
 * A library that remembers what it mapped where maps this as one page, MAP_SHARED and
 * PROT_READ, at the offset that cmem_info.changes_offset tells. As long as @count is as
 * it was, all mappings that the process had are still where they were. One process can
 * have it at a time, EBUSY for the second mapping; one to which fork() passed the mapping
 * on reads 0, and has to ask (CMEM_IOCTL_RESOLVE).
 */
struct cmem_changes {
	__u32 count;
};

/**
 * struct cmem_info - ioctl(CMEM_IOCTL_GET_INFO)
 * @size: sizeof(struct cmem_info)
 * @flags: must be 0
 * @abi_version: out: CMEM_ABI_VERSION of the kernel
 * @num_blocks: out: number of blocks, the CMA block not counted
 * @block_limit: out: one more than the highest block number, 0 if there is no
 *     block. Numbers below it may be unused: CMEM_IOCTL_GET_BLOCK answers
 *     ENOENT for those.
 * @alignment: out: the unit of allocation in bytes (the page size). Buffers
 *     start at a multiple of it and are a multiple of it long.
 * @cache_line: out: the unit of cache maintenance in bytes, a power of two. A
 *     program that shares a smaller unit between CPU and device loses data.
 * @out_flags: out: bits of enum cmem_info_flags
 * @features: out: bits of enum cmem_features
 * @owner: out: number of this open file: no other has it, before or after. /proc and
 *     the kernel's tracing name owners so.
 * @changes_offset: out: the offset to mmap() struct cmem_changes at
 *
 * Tell what this kernel's CMEM is and can do.
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
 * enum cmem_block_kind - what memory is behind a block
 * @CMEM_KIND_CARVEOUT: a no-map reservation: the kernel itself does not map it
 * @CMEM_KIND_RESERVED: reserved memory that is in the kernel's linear map
 * @CMEM_KIND_SRAM: on-chip memory, of which no mapping is cached
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
 * @CMEM_BLOCK_KEEP_CONTENTS: memory is not zeroed between owners: this block
 *     opted out
 * @CMEM_BLOCK_ADDED: out only: the block comes from CMEM_IOCTL_BLOCK_ADD or from
 *     parameters on the kernel command line (cmem.phys_start), so not from the
 *     board's device tree
 * @CMEM_BLOCK_QUARANTINE: all of its buffers are as with CMEM_ALLOC_QUARANTINE
 * @CMEM_BLOCK_RPROC: out only: what is in quarantine is let go when the remote
 *     processors that the block names have stopped
 * @CMEM_BLOCK_IS_MEMORY: somebody gave his word that there is memory, since version 4:
 *     nothing else need say so
 * @CMEM_BLOCK_COHERENT: out only, since version 4: the devices that the block is for
 *     snoop the CPU's caches, and all its mappings are cached. CMEM_IOCTL_SYNC does nothing
 *     for a buffer of it, unless a device is attached to a DMA-BUF of the buffer that
 *     does not snoop: the kernel knows, a program calls it as for other buffers.
 * @CMEM_BLOCK_DMA_HEAP_POOLS: since version 4: its DMA-BUF heaps take a buffer of a pool
 *     that is longer than what was asked for, when neither a pool of that length nor the
 *     heap has one
 */
enum cmem_block_flags {
	CMEM_BLOCK_KEEP_CONTENTS	= 1 << 0,
	CMEM_BLOCK_ADDED		= 1 << 1,
	CMEM_BLOCK_QUARANTINE		= 1 << 2,
	CMEM_BLOCK_RPROC		= 1 << 3,
	CMEM_BLOCK_IS_MEMORY		= 1 << 4,
	CMEM_BLOCK_COHERENT		= 1 << 5,
	CMEM_BLOCK_DMA_HEAP_POOLS	= 1 << 6,
};

/**
 * struct cmem_block_info - ioctl(CMEM_IOCTL_GET_BLOCK)
 * @size: sizeof(struct cmem_block_info)
 * @block: in: the number of the block
 * @flags: must be 0
 * @kind: out: one of enum cmem_block_kind
 * @base: out: physical address of the first byte, 0 for CMEM_BLOCK_CMA, whose
 *     areas are apart: each pool tells its own
 * @length: out: length of the block: for CMEM_BLOCK_CMA the sum of its pools and heap
 * @num_pools: out: number of pools, at most CMEM_MAX_POOLS
 * @out_flags: out: bits of enum cmem_block_flags
 * @heap_size: out: what the pools leave
 * @heap_free: out: bytes of the heap that no buffer occupies
 * @heap_clean: out: bytes of @heap_free that are zeroed already
 * @heap_largest: out: the longest run of free bytes in the heap
 * @quarantined: out: bytes of the block that are in quarantine. They are not free.
 * @quarantined_buffers: out: in how many buffers
 * @quarantine_ms: out: after so many milliseconds they are let go; 0 if time does not
 *     count
 * @quota: out: bytes that each user may have of the block, or CMEM_NO_QUOTA
 * @charged: out: bytes of it that the user has who opened this file: what he
 *     allocated with any file or from its DMA-BUF heap, and that is not free yet
 * @failed: out: bytes of the block that are kept out of use, since memory there has
 *     failed: of pools all of a buffer. They are not free. Always 0 for CMEM_BLOCK_CMA,
 *     of which the kernel keeps them to itself.
 *
 * Describe a block. The heap of CMEM_BLOCK_CMA may be a share of the kernel's global
 * area (cmem.cma_share): what others have taken from that is not known here, and
 * counts as free.
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
};
#define CMEM_IOCTL_GET_BLOCK	_IO(CMEM_IOCTL_TYPE, CMEM_CMD_GET_BLOCK)

/**
 * struct cmem_pool_info - ioctl(CMEM_IOCTL_GET_POOL)
 * @size: sizeof(struct cmem_pool_info)
 * @block: in: the number of the block
 * @pool: in: the number of the pool, from 0
 * @flags: must be 0
 * @base: out: physical address of the pool's first buffer
 * @requested_length: out: length of a buffer as it was configured
 * @length: out: length of a buffer as it is: rounded up to the alignment
 * @count: out: number of buffers in the pool
 * @free: out: number of those that are free: the sum of the next three
 * @clean: out: free and zeroed
 * @dirty: out: free, not zeroed yet
 * @scrubbing: out: free, being zeroed now
 * @__reserved: must be 0
 * @quarantined: out: number of buffers in quarantine. They are not free.
 * @failed: out: number of buffers that are kept out of use, since memory there has
 *     failed. They are not free.
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
 * Find the pool with the smallest buffers of at least @length bytes that has
 * one free. Whether it still has when CMEM_IOCTL_ALLOC comes is another matter:
 * CMEM_POOL_BEST there does both at once.
 *
 * ENOENT: no such block, or no pool of it has buffers that long; ENOMEM: such
 * pools are there, none of them has a free buffer.
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
 * enum cmem_alloc_flags - bits of cmem_alloc.flags, and of what is told of a
 *     buffer later
 * @CMEM_ALLOC_CACHED: mappings are cached (write-back). Without it they are
 *     write-combining; on x86 and other machines whose devices snoop the
 *     caches, all are cached. In a block of CMEM_KIND_SRAM none is: the flag is
 *     taken, and what is told of the buffer later does not have it.
 * @CMEM_ALLOC_PRIVATE: no other file can register this buffer by its address. It is
 *     passed on as a DMA-BUF (CMEM_IOCTL_EXPORT).
 * @CMEM_ALLOC_HEAP_FALLBACK: with a pool number or CMEM_POOL_BEST: take from
 *     the heap when no pool can serve
 * @CMEM_ALLOC_QUARANTINE: a device may go on writing here when the programs that told it
 *     to have ended. Unless each file that was registered has freed the buffer
 *     (CMEM_IOCTL_FREE) before it was closed, the memory goes into quarantine with the
 *     last hold: nobody can register for it, map or allocate it before it is released,
 *     see CMEM_IOCTL_RELEASE. Told of each buffer of a block with CMEM_BLOCK_QUARANTINE.
 * @CMEM_ALLOC_FAILED: told later only: memory of the buffer has failed, in a way that the
 *     hardware can't correct. Who touches that page gets SIGBUS (BUS_MCEERR_AR), or who
 *     touches the huge page that it was mapped with; nobody can map it any more; and
 *     cache maintenance leaves it out. The rest of the buffer is as it was. It is never
 *     given to anybody again once it is freed.
 */
enum cmem_alloc_flags {
	CMEM_ALLOC_CACHED		= 1 << 0,
	CMEM_ALLOC_PRIVATE		= 1 << 1,
	CMEM_ALLOC_HEAP_FALLBACK	= 1 << 2,
	CMEM_ALLOC_QUARANTINE		= 1 << 3,
	CMEM_ALLOC_FAILED		= 1 << 4,
};

/**
 * struct cmem_alloc - ioctl(CMEM_IOCTL_ALLOC)
 * @size: sizeof(struct cmem_alloc)
 * @block: in: the number of the block
 * @pool: in: the number of a pool, CMEM_POOL_BEST or CMEM_POOL_HEAP; out: the
 *     pool that gave the buffer, or CMEM_POOL_HEAP
 * @flags: in: bits of enum cmem_alloc_flags
 * @length: in: wanted bytes. With the number of a pool, 0 asks for one of its
 *     buffers whatever their length; else 0 is EINVAL. out: the buffer's
 *     length
 * @alignment: in: 0, or a power of two that the physical address must be a
 *     multiple of; up to the page size is always granted. A pool serves a
 *     larger one only if all its buffers are so aligned.
 * @phys_addr: out: the physical address
 * @mmap_offset: out: the offset to mmap() this buffer at
 *
 * Allocate a buffer and register the calling file for it. The best pool is
 * the one with the smallest buffers that are long enough; when it is
 * exhausted, the next larger one. In CMEM_BLOCK_CMA it is never left for a
 * larger one, and a pool that is named gives longer buffers than its own, too.
 *
 * Its bytes are zero, except in a block with CMEM_BLOCK_KEEP_CONTENTS, and
 * except when this file gets back what only it has had before. Buffers of a
 * huge page and more from a heap start on a boundary of such if there is one
 * free.
 *
 * ENOENT: no such block or pool, or CMEM_POOL_BEST and no pool of the block has
 * buffers that are so long and so aligned; ENOMEM: no room, or more than the user's
 * quota, which is not for files that were opened with CAP_SYS_RESOURCE, or more than
 * the share that CMEM_BLOCK_CMA has of the global area; EINVAL: @length
 * longer than the buffers of the pool named or than the block, or @alignment
 * more than that pool has; EINTR: a fatal signal came.
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
 * Drop one registration of the calling file. With the last one of all files,
 * and the last mapping, the memory becomes free, unless it goes into quarantine
 * (CMEM_ALLOC_QUARANTINE). The order of this and of munmap() does not matter.
 *
 * EINVAL: not a multiple of the alignment; ENOENT: no buffer starts there;
 * EPERM: one does, but this file is not registered for it.
 */
struct cmem_free {
	__u32 size;
	__u32 flags;
	__aligned_u64 phys_addr;
};
#define CMEM_IOCTL_FREE		_IO(CMEM_IOCTL_TYPE, CMEM_CMD_FREE)

/**
 * enum cmem_register_flags - bits of cmem_register.flags
 * @CMEM_REGISTER_DMABUF: the buffer is the one that a DMA-BUF is of, be it private or
 *     not, and whoever it belongs to
 */
enum cmem_register_flags {
	CMEM_REGISTER_DMABUF	= 1 << 0,
};

/**
 * struct cmem_register - ioctl(CMEM_IOCTL_REGISTER)
 * @size: sizeof(struct cmem_register)
 * @flags: in: CMEM_REGISTER_DMABUF or 0
 * @phys_addr: in: the physical address of a buffer's first byte; with
 *     CMEM_REGISTER_DMABUF it is not looked at; out: that address
 * @length: out: the buffer's length
 * @mmap_offset: out: the offset to mmap() this buffer at
 * @block: out: the number of its block
 * @pool: out: the number of its pool, or CMEM_POOL_HEAP
 * @buffer_flags: out: CMEM_ALLOC_CACHED, CMEM_ALLOC_PRIVATE and
 *     CMEM_ALLOC_QUARANTINE as allocated; CMEM_ALLOC_FAILED as it is now
 * @dmabuf_fd: in: with CMEM_REGISTER_DMABUF the file descriptor of a DMA-BUF, else 0
 *
 * Register the calling file for a buffer that another file allocated. Each
 * registration counts, and wants a CMEM_IOCTL_FREE (or the file's close) of its
 * own.
 *
 * By its address: the file must have been opened by the same user as one that is
 * registered already, for no more than that one is open for, or by one with
 * CAP_SYS_RAWIO, unless the kernel was booted with cmem.share=any. By a DMA-BUF,
 * from CMEM_IOCTL_EXPORT or from a heap of ours: that must be good for reading and
 * for writing, as far as the file is.
 *
 * EINVAL: not a multiple of the alignment, or a file that is no DMA-BUF of ours;
 * ENOENT: no buffer starts there, or nobody is registered for it any more; EBADF: no
 * such file descriptor; EPERM: another user's, or private, or a DMA-BUF that allows
 * less than the file; EOVERFLOW: more than CMEM_MAX_REGISTRATIONS or CMEM_MAX_HOLDERS.
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
 * @contiguous: out: bytes from there to the end of the mapping, all
 *     physically contiguous
 * @buffer_addr: out: the physical address of the buffer's first byte
 * @buffer_length: out: the buffer's length
 * @buffer_flags: out: CMEM_ALLOC_CACHED, CMEM_ALLOC_PRIVATE and
 *     CMEM_ALLOC_QUARANTINE as allocated; CMEM_ALLOC_FAILED as it is now
 * @block: out: the number of its block
 * @pool: out: the number of its pool, or CMEM_POOL_HEAP
 * @__reserved: must be 0
 * @mapping_addr: out: the user address of the mapping's first byte
 * @mapping_owner: out: number of the open file of /dev/cmem that it was made with, see
 *     cmem_info.owner; 0 for a mapping of a DMA-BUF
 *
 * Translate a user address of the calling process. The mapping may have been
 * made with any open file of /dev/cmem. EFAULT: the address is in no such mapping.
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
 * @CMEM_SYNC_WRITE_BACK: what the CPU wrote reaches memory: before a device
 *     reads
 * @CMEM_SYNC_INVALIDATE: what the CPU has cached is dropped, stores not yet
 *     written back included: after a device wrote. The lines at either end are
 *     written back first where they reach beyond the range.
 * @CMEM_SYNC_WRITE_BACK_INVALIDATE: both, in one operation a cache line
 */
enum cmem_sync_op {
	CMEM_SYNC_WRITE_BACK		= 1,
	CMEM_SYNC_INVALIDATE		= 2,
	CMEM_SYNC_WRITE_BACK_INVALIDATE	= 3,
};

/**
 * enum cmem_sync_flags - bits of cmem_sync.flags
 * @CMEM_SYNC_BY_PHYS: since version 4: the ranges are of physical addresses, for programs
 *     that map nothing. Each is in one buffer, which the calling file is registered for.
 */
enum cmem_sync_flags {
	CMEM_SYNC_BY_PHYS	= 1 << 0,
};

/**
 * struct cmem_sync_range - one range of CMEM_IOCTL_SYNC
 * @user_addr: in: first byte, a user address in a mapping of /dev/cmem or of one of
 *     its DMA-BUFs; with CMEM_SYNC_BY_PHYS a physical address
 * @length: in: bytes, not 0. The range may go over several mappings as long as
 *     there is no hole between them.
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
 * @range_size: in: sizeof(struct cmem_sync_range); 0, as before version 4, is that of the
 *     first version, 24. What is said of the size of structures holds for that of each
 *     element.
 *
 * Maintain the CPU's caches over some ranges, in their order. All ranges are
 * checked before the first is worked on. Ranges that need nothing are accepted and
 * left alone: those of a buffer that is not cached, or that is coherent
 * (CMEM_BLOCK_COHERENT). Both may need something while devices are attached to the
 * buffer's DMA-BUF: a cached buffer is maintained if one of them does not snoop the
 * caches, one that is not cached is written back and invalidated, whatever the
 * operation, if one does. Through a mapping that can't be made writable,
 * CMEM_SYNC_INVALIDATE writes back first: it must not undo what others wrote.
 *
 * EFAULT: a range is not all in such mappings, or with CMEM_SYNC_BY_PHYS not all in one
 * buffer; EPERM: with CMEM_SYNC_BY_PHYS, the file is not registered for that; EOVERFLOW:
 * too many ranges, or one that wraps around; EINTR: a fatal signal came. After EINTR, and
 * after EFAULT for a mapping that went away during the call, part of the work
 * may be done. EHWPOISON: memory there has failed; all but that is done.
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
 * @op: in: CMEM_SYNC_WRITE_BACK or CMEM_SYNC_WRITE_BACK_INVALIDATE. There is no
 *     CMEM_SYNC_INVALIDATE of everything: that is EINVAL.
 * @__reserved: must be 0
 *
 * Maintain the CPU's caches over every buffer that the calling file is registered for and
 * that needs it, as CMEM_IOCTL_SYNC does. EHWPOISON: memory of one has failed; all but
 * that is done.
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
 * @CMEM_EXPORT_USER_ADDR: since version 4: the buffer is that which a user address of the
 *     calling process is in, be it mapped by /dev/cmem or by a DMA-BUF
 */
enum cmem_export_flags {
	CMEM_EXPORT_USER_ADDR	= 1 << 0,
};

/**
 * struct cmem_export - ioctl(CMEM_IOCTL_EXPORT)
 * @size: sizeof(struct cmem_export)
 * @flags: in: CMEM_EXPORT_USER_ADDR or 0
 * @phys_addr: in: the physical address of the first byte of a buffer that the
 *     calling file is registered for; with CMEM_EXPORT_USER_ADDR any user address in a
 *     mapping of such a buffer
 * @fd_flags: in: of the new file descriptor: O_CLOEXEC, and O_RDONLY, O_WRONLY or
 *     O_RDWR
 * @fd: out: the file descriptor of a DMA-BUF
 *
 * Get a file descriptor of a buffer's DMA-BUF. It keeps the buffer as a registration
 * does, also when all files have dropped theirs. As long as one is registered, each call
 * has the same DMA-BUF for the same access. One that is open for less is another, and so is
 * that which a DMA-BUF heap made; all share their fences. Each is all of the buffer, cached
 * or not as that is. A device that is attached to it must reach the memory: it is not
 * bounced.
 *
 * EINVAL: not a multiple of the alignment; ENOENT: no buffer starts there, or nobody
 * is registered for it any more; EFAULT: with CMEM_EXPORT_USER_ADDR, it is in no mapping
 * of a buffer; EPERM: this file is not registered for it, or is not open for what
 * @fd_flags say; EOVERFLOW: on 32 bit, the buffer has 4 GiB or more;
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
 * struct cmem_block_pool - a pool of a block that is to be made
 * @count: number of buffers
 * @__reserved: must be 0
 * @length: bytes in each. They are rounded up to the alignment.
 */
struct cmem_block_pool {
	__u32 count;
	__u32 __reserved;
	__aligned_u64 length;
};

/**
 * struct cmem_block_add - ioctl(CMEM_IOCTL_BLOCK_ADD)
 * @size: sizeof(struct cmem_block_add)
 * @block: in: the number that the block is to have, 0 or more
 * @flags: in: CMEM_BLOCK_KEEP_CONTENTS, CMEM_BLOCK_QUARANTINE, CMEM_BLOCK_IS_MEMORY,
 *     CMEM_BLOCK_DMA_HEAP_POOLS
 * @num_pools: in: number of pools, at most CMEM_MAX_POOLS
 * @base: in: physical address of its first byte, a multiple of the alignment
 * @length: in: in bytes, a multiple of the alignment
 * @pools: in: user pointer to an array of @num_pools struct cmem_block_pool. They are
 *     laid out in this order, and what they leave is the heap.
 * @quarantine_ms: in: what is in quarantine is let go after so many milliseconds, at most
 *     CMEM_MAX_QUARANTINE_MS; 0 if time is not to count. With CMEM_BLOCK_QUARANTINE or
 *     without.
 * @pool_size: in: sizeof(struct cmem_block_pool); 0 is that of the first version, 16. What
 *     is said of the size of structures holds for that of each element.
 * @quota: in: bytes that each user may have of it, or CMEM_NO_QUOTA; 0: as cmem.quota=
 *     says
 * @dma_heap_names: in: user pointer to a string, the names of more DMA-BUF heaps of it
 *     with a colon between them, at most CMEM_MAX_DMA_HEAP_NAMES bytes; or 0. Buffers
 *     from a heap that has "uncached" in its name are not cached. A name is of letters,
 *     digits and _-+.,@ and does not begin with a dot or with "cmem-". A name that another
 *     heap has is logged, and the block is made without it.
 *
 * Make a block, until it is removed or the machine is booted again. Its memory is
 * either no System RAM, claimed by no driver (see /proc/iomem), and not reserved for
 * anybody by firmware or device tree; or it is a part of one region that was reserved
 * for CMEM when the kernel booted, by the device tree or by cmem_carveout=, and that no
 * block has any more. Such a region keeps its contents if it did so when it was a block,
 * and what goes into quarantine there, and for how long, it keeps as well: less can't be
 * asked for.
 *
 * That there is memory, something must say: the firmware's memory map or a /memory node
 * of the device tree (also of what mem= or memmap= takes from the kernel), an mmio-sram
 * node, a BAR of a PCI device that is enabled, or the caller, with CMEM_BLOCK_IS_MEMORY:
 * if he is wrong, the machine may crash when the first buffer is allocated. What is no
 * RAM is not touched before.
 *
 * The caller needs CAP_SYS_ADMIN, and for memory that was not reserved for CMEM
 * CAP_SYS_RAWIO as well, as for /dev/mem. The kernel's log says why it failed.
 *
 * A DMA-BUF heap is there for good, and the system has but 128. A block that was added
 * has heaps of its number (cmem-0) up to 31; one of a higher number has those only that
 * are named here.
 *
 * EPERM: no such capability, the kernel is locked down and the memory was not reserved for
 * CMEM, or it is a kernel that saves a crash dump; EINVAL: a number, address, length or
 * name that can't be right, or a range that lies only partly in a region that was
 * reserved; EOVERFLOW: more than CMEM_MAX_POOLS, more than CMEM_MAX_DMA_HEAP_NAMES, or
 * pools that are larger than any memory; ENOSPC: pools that are larger than the block;
 * EEXIST: there is a block of this number; EBUSY: the memory is System RAM, in another
 * block, or another's; ENXIO: nothing says that there is memory; EFAULT: @pools or
 * @dma_heap_names can't be read; ENOMEM: no kernel memory for it; EINTR: a fatal signal
 * came.
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
 * Remove a block, wherever it comes from, of which no buffer is in use. Who waits for
 * memory of it gets ENOENT. A block from the device tree is there again after the next
 * boot.
 *
 * The caller needs CAP_SYS_ADMIN, else EPERM. ENOENT: there is no block of this
 * number; EINVAL: CMEM_BLOCK_CMA, which is not removed; EBUSY: a file is registered
 * for one of its buffers, one is mapped, is a DMA-BUF, is in quarantine, or is just being
 * allocated. Its
 * DMA-BUF heap stays, and answers ENODEV until there is a block of this number again.
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
 * @CMEM_RELEASE_BUFFER: one buffer, not all of the block
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
 *     byte, else 0
 * @buffers: out: how many buffers were released
 * @bytes: out: how long they are in all
 *
 * Let memory out of quarantine: the caller knows that no device writes to it any more.
 * It is zeroed then, like all that was freed, before another owner gets it. Without
 * CMEM_RELEASE_BUFFER, that is all that was in quarantine in that block when the call
 * began, which may be nothing.
 *
 * Memory leaves quarantine without this call as well, if its block says so: when all
 * remote processors that it names have stopped, or restarted, since; or when its
 * quarantine_ms have passed.
 *
 * The caller needs CAP_SYS_ADMIN, else EPERM. ENOENT: there is no such block, or no buffer
 * in quarantine that starts there; EINVAL: not a multiple of the alignment.
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
 * @dmabuf_fd: in: the file descriptor of a DMA-BUF, whoever exports it
 * @fd_flags: in: of the new file descriptor: O_CLOEXEC or 0
 * @phys_addr: out: the physical address of its first byte
 * @length: out: its length in bytes, all physically contiguous
 * @fd: out: a file descriptor that holds it
 * @__reserved: must be 0
 *
 * Have the physical address of a DMA-BUF, for a processor that no driver attaches for.
 * Until the new file is closed, the DMA-BUF is held, and its memory stays where it is. A
 * program that reads or writes a mapping of it says so with DMA_BUF_IOCTL_SYNC, by which
 * its exporter maintains the caches, for a device that does not snoop. The caller need
 * not be registered for the buffer: to have its DMA-BUF is enough.
 *
 * EBADF: no such file descriptor; EINVAL: a file that is no DMA-BUF, or memory that is
 * not contiguous; EIO: DMA is bounced on this system; EMFILE: no file descriptor is left;
 * EINTR: a signal came while its exporter was moving it; ENOMEM; and what its exporter says
 * to a device that attaches.
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

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CMEM, the contiguous memory allocator: an overview of its files, and what several need.
 *
 * Data flows in one direction:
 *
 *	config -> block -> pool / heap -> alloc -> buffer -> registration -> file
 *	       -> sram -> block                           -> quarantine
 *	early  -> cma
 *
 * Configuration describes the blocks: config.c, config_of*.c (device tree),
 * config_params.c and params*.c (parameters), config_user.c (an ioctl), early.c (areas
 * that are reserved during boot), region.c (records what was reserved), memory.c
 * (decides whether a range of memory may be a block).
 *
 * Blocks own the memory. block_table.c lists them, block.c creates and removes them,
 * block_fill.c sets one up. pool.c and heap*.c track what is free. carved.c allocates
 * memory that CMEM owns alone, cma.c memory that is lent to the kernel meanwhile: these
 * are the two struct cmem_block_ops. cma_create.c creates the block of CMA areas, sram.c
 * the blocks in on-chip memory. scrub.c cleans free memory. quota.c counts what each
 * user has. failure.c takes failed memory out of use. power.c takes care of blocks
 * while the machine sleeps.
 *
 * Buffers are made of memory. alloc.c begins and ends a buffer, buffer.c counts its
 * references. registration*.c tracks the files that hold it, file.c what an open file
 * holds. quarantine.c keeps a buffer that its owner did not free, remoteproc.c knows
 * whether a processor may still use it. pins.c keeps a buffer whose pages the kernel
 * still uses.
 *
 * Programs and devices use buffers. vma.c maps one, space.c has the address space of all
 * mappings, changes.c tells a program when a mapping has ended. alias.c has the kernel's
 * own mapping, cache.c maintains caches, and sync.c does so for programs. dmabuf.c exports
 * a buffer, exports.c tracks all its DMA-BUFs, dmabuf_map.c maps it for a device,
 * dma_heap*.c create DMA-BUF heaps, import.c finds the address of any DMA-BUF.
 *
 * Programs call ioctl*.c, programs for the out-of-tree driver legacy*.c. main.c sets up
 * /dev/cmem, procfs.c and debugfs.c report the state.
 *
 * Each file has a header of the same name that declares what other files may use. If
 * several files share a header, it has the name of the first one. A file calls only files
 * in the lines below its own, or beside it:
 *
 *	main
 *	ioctl  legacy  procfs  debugfs  power  dma_heap_carveout
 *	import  dma_heap  dmabuf  sync  vma
 *	params  sram  changes
 *	block  block_fill  cma_create  config_user
 *	file  registration  exports
 *	buffer  carved  cma
 *	quarantine
 *	pins
 *	alloc
 *	scrub  failure  quota  alias  remoteproc
 *	block_table  legacy_layout  memory  config  early
 *	pool  heap  space  cache  region  trace  dmabuf_map
 *
 * Where a call upwards is needed, the upper file passes a pointer down (struct
 * cmem_block_ops, cmem_block_init()).
 *
 * Locks nest in this order:
 *
 *	cmem_blocks_lock	(a mutex, in block_table.c, while a block is made or removed)
 *	cmem_quota_lock		(a mutex, in quota.c, while quotas are set)
 *	cmem_file.sync_lock	(a mutex, for SYNC_ALL alone)
 *	mmap_lock		(taken by the callers of vma.c, and in sync.c)
 *	dma_resv		(of a DMA-BUF, by its importers)
 *	  cmem_block.lock	(a mutex)
 *	    cmem_file.lock	(a spinlock, around a few list entries)
 *	    i_mmap_rwsem	(of the address space of all mappings, while failed
 *				 memory is unmapped)
 *
 * cmem_block.lock and cmem_file.lock are never held across an access to user memory,
 * cache maintenance (but for power.c, with all programs frozen) or zeroing, and never
 * taken interruptibly. cmem_block.lock is held while the kernel maps or unmaps a
 * carveout. cmem_exports_lock (a spinlock, in exports.c) nests inside it.
 * cmem_quarantine_release_lock and cmem_block.pins_lock are taken before it. pins_lock is
 * held while the counts of pages are read. cmem_rprocs_lock is taken with
 * cmem_blocks_lock at most.
 * cmem_dma_heaps_lock is held while a device is created, which may take long, and
 * cmem_dmabuf_phys.lock over mmap_lock and dma_resv: both are taken with no other lock
 * held. sync_lock is held across its maintenance, taken killably, and nests only with
 * locks that SYNC_ALL takes. cmem_blocks_lock is not taken with mmap_lock held.
 */
#ifndef _CMEM_CMEM_H
#define _CMEM_CMEM_H

#include <linux/gfp.h>
#include <linux/kconfig.h>
#include <linux/pgtable.h>

/*
 * Memory that is aligned to this can be mapped with huge pages. With 64 KiB pages, a
 * huge page has 512 MiB: too much to align to.
 */
#if PMD_SHIFT <= 25
#define CMEM_HUGE_SIZE		PMD_SIZE
#else
#define CMEM_HUGE_SIZE		PAGE_SIZE
#endif

/* Return values of a successful allocation from a pool or heap */
#define CMEM_TAKEN_READY	0
#define CMEM_TAKEN_DIRTY	1

/* On these architectures, devices always snoop the CPU's caches. */
#define CMEM_ALWAYS_COHERENT	(!IS_ENABLED(CONFIG_ARM) && !IS_ENABLED(CONFIG_ARM64))

/*
 * For kernel memory that a buffer needs. At the limit of the user's memory cgroup, the
 * allocation fails, which the user can handle, and no process of the cgroup is killed.
 */
#define CMEM_GFP_USER	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

#endif /* _CMEM_CMEM_H */

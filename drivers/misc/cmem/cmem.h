/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CMEM, the contiguous memory allocator: a map of its files, and what several need.
 *
 * Data goes one way:
 *
 *	config -> block -> pool / heap -> alloc -> buffer -> registration -> file
 *	       -> sram -> block                           -> quarantine
 *	early  -> cma
 *
 * Configuration says which blocks there will be: config.c, config_of*.c (device tree),
 * config_params.c and params*.c (parameters), config_user.c (an ioctl), early.c (areas
 * that are reserved while the kernel boots), region.c (what was reserved), memory.c
 * (whether a range of memory may be a block).
 *
 * Blocks have the memory. block_table.c has all of them, block.c makes and removes them,
 * block_fill.c fills one. pool.c and heap*.c keep books of what is free. Memory comes from
 * carved.c if it is all ours, and from cma.c if the kernel uses it meanwhile: these are
 * the two struct cmem_block_ops. cma_create.c makes the block of CMA areas, sram.c those
 * in on-chip memory. scrub.c cleans free memory. quota.c counts what each user has.
 * failure.c takes memory that has failed out of use. power.c takes care of blocks while
 * the machine sleeps.
 *
 * Buffers are made of memory. alloc.c begins and ends one, buffer.c counts who holds it.
 * registration*.c has the files that hold it, file.c what an open file holds.
 * quarantine.c keeps what its owner did not free, remoteproc.c knows whether a processor
 * may still use that.
 *
 * Programs and devices use buffers. vma.c maps one, space.c has the address space of all
 * mappings, changes.c tells a program when a mapping has ended. alias.c has the kernel's
 * own mapping, cache.c maintains caches, and sync.c does so for programs. dmabuf.c exports
 * a buffer, exports.c knows all DMA-BUFs of one, dmabuf_map.c what a device is told,
 * dma_heap*.c make DMA-BUF heaps, import.c finds the address of anybody's DMA-BUF.
 *
 * Programs ask through ioctl*.c, those of the out-of-tree driver through legacy*.c.
 * main.c puts /dev/cmem together, procfs.c and debugfs.c show what there is.
 *
 * Each file has a header of its name with what the others may use. Where several files
 * make one thing, the header has the name of the first one. No file calls one that is
 * above it: where that is needed, the upper one passes a pointer down (struct
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
 *	    i_mmap_rwsem	(of the address space of all mappings, while memory that
 *				 has failed is taken out of them)
 *
 * cmem_block.lock and cmem_file.lock are not held over an access to user memory, over
 * cache maintenance or over zeroing, and not taken interruptibly. The first one is held
 * while the kernel maps a carveout or unmaps it. Below it is cmem_exports_lock (a
 * spinlock, in exports.c). cmem_dma_heaps_lock is held over making a device, which may
 * take long, and cmem_dmabuf_phys.lock over mmap_lock and dma_resv: neither is taken
 * with another held. sync_lock is held over the maintenance that it is for, is taken
 * killably, and nests with nothing but what SYNC_ALL takes. cmem_blocks_lock is not
 * taken with mmap_lock held.
 */
#ifndef _CMEM_CMEM_H
#define _CMEM_CMEM_H

#include <linux/gfp.h>
#include <linux/kconfig.h>
#include <linux/pgtable.h>

/*
 * What begins at a multiple of this can be mapped with huge pages. Those of 64
 * KiB pages are 512 MiB: too much to align to.
 */
#if PMD_SHIFT <= 25
#define CMEM_HUGE_SIZE		PMD_SIZE
#else
#define CMEM_HUGE_SIZE		PAGE_SIZE
#endif

/* What taking memory from a pool or heap says when it does not fail */
#define CMEM_TAKEN_READY	0
#define CMEM_TAKEN_DIRTY	1

/* Devices snoop the CPU's caches on each machine of this architecture. */
#define CMEM_ALWAYS_COHERENT	(!IS_ENABLED(CONFIG_ARM) && !IS_ENABLED(CONFIG_ARM64))

/*
 * For what a buffer takes of the kernel's memory. The limit of the user's memory cgroup
 * is ENOMEM, which he can deal with, and kills none of its processes.
 */
#define CMEM_GFP_USER	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

#endif /* _CMEM_CMEM_H */

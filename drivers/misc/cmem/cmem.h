/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CMEM, the contiguous memory allocator: a map of its files, and what all of them need.
 *
 * Data goes one way:
 *
 *	config -> block -> pool / heap -> alloc -> buffer -> registration -> file
 *	       -> sram -> block                           -> quarantine
 *	early  -> cma
 *
 * vma.c maps a buffer. sync.c maintains its caches, through the mapping that alias.c
 * makes. dmabuf.c exports it. ioctl.c has what programs ask for, on top of all of these.
 * Beside it, legacy.c has the ioctls of the out-of-tree driver. main.c has /dev/cmem.
 *
 * Each file has a header of its name with what the others may use. Where several files
 * make one thing, the header has the name of the first one.
 *
 * Locks nest in this order:
 *
 *	cmem_blocks_lock	(a mutex, in block.c, while a block is made or removed)
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
 * spinlock, in dmabuf.c). cmem_dma_heaps_lock is held over making a device, which may
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

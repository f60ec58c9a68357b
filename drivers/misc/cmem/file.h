/* SPDX-License-Identifier: GPL-2.0-only */
/* An open file of /dev/cmem, which owns buffers (file.c) */
#ifndef _CMEM_FILE_H
#define _CMEM_FILE_H

#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/uidgid.h>

struct cmem_buffer;
struct mm_struct;
struct page;

/**
 * struct cmem_file - an open file of /dev/cmem: an owner of buffers
 * @owner: number of this file, never used again for another
 * @filp: the file, which says who opened it
 * @user: who is charged for what it allocates
 * @sync_lock: one walk at a time over all buffers, for SYNC_ALL: it changes
 *	their order
 * @lock: covers what follows
 * @allocated: its registrations for buffers that it allocated, by
 *	cmem_registration.in_file: each is in its buffer
 * @shared: those for other buffers: each is in a struct cmem_sharer
 * @num_allocated: buffers on @allocated
 * @num_shared: buffers on @shared
 * @num_pages: pages in all of these
 * @changes: the page that counts mappings that have ended, or NULL
 * @changes_mm: of whose mappings, as long as the page is mapped there, else NULL
 * @changes_maps: how often it is
 */
struct cmem_file {
	u64 owner;
	const struct file *filp;
	kuid_t user;
	struct mutex sync_lock;
	spinlock_t lock;
	struct list_head allocated;
	struct list_head shared;
	unsigned long num_allocated;
	unsigned long num_shared;
	u64 num_pages;
	struct page *changes;
	struct mm_struct *changes_mm;
	unsigned int changes_maps;
};

extern struct miscdevice cmem_misc;
extern bool cmem_heap_fallback;

/* The owner behind an open file of /dev/cmem */
static inline struct cmem_file *cmem_file_of(const struct file *filp)
{
	return filp->private_data;
}

/* A physical address that users name: of a page that this machine may have */
static inline int cmem_check_phys(u64 phys)
{
	if (!PAGE_ALIGNED(phys))
		return -EINVAL;
	return phys >> PAGE_SHIFT > ULONG_MAX ? -ENOENT : 0;
}

unsigned int cmem_file_get_buffers(struct cmem_file *file, bool shared,
				   struct cmem_buffer **buffers,
				   unsigned int max);
void cmem_file_init(struct cmem_file *file, const struct file *filp);
void cmem_file_release(struct cmem_file *file);

#endif /* _CMEM_FILE_H */

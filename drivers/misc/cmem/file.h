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
 * @owner: number of this file, never reused for another file
 * @filp: the file, with the credentials of the user who opened it
 * @user: the user who is charged for allocations
 * @sync_lock: serializes walks over all buffers for SYNC_ALL, which reorder the lists
 * @lock: protects the members below
 * @allocated: registrations for buffers that this file allocated, linked by
 *	cmem_registration.in_file. Each is in its buffer.
 * @shared: registrations for other buffers. Each is in a struct cmem_sharer.
 * @num_allocated: buffers on @allocated
 * @num_shared: buffers on @shared
 * @num_pages: pages in the buffers of both lists
 * @num_page_backed: those in page-backed buffers
 * @changes: the page that counts mappings that have ended, or NULL
 * @changes_mm: the mm whose mappings @changes counts, NULL if it does not map the page
 * @changes_maps: number of mappings of @changes in that mm
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
	u64 num_page_backed;
	struct page *changes;
	struct mm_struct *changes_mm;
	unsigned int changes_maps;
};

extern struct miscdevice cmem_misc;
extern bool cmem_heap_fallback;

/* The struct cmem_file of an open file of /dev/cmem */
static inline struct cmem_file *cmem_file_of(const struct file *filp)
{
	return filp->private_data;
}

/* Check that a physical address from user space is page aligned and has a valid pfn. */
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

// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page that tells a program if any of its mappings has ended.
 *
 * A library that caches its mappings in a table saves a system call for each address it
 * translates. But the program may unmap or move a mapping without telling the library,
 * which must not take other memory there for a buffer. So each open file of /dev/cmem
 * counts its mappings that have ended, in a page that the program maps and reads. While
 * the count is unchanged, the library's table is valid.
 *
 * The count is for one process. It starts at 1, since 0 means that nothing is known.
 * Other processes read 0, especially a child after fork(): madvise() may have excluded
 * mappings from the fork.
 */
#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/compat.h>
#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include <uapi/linux/cmem.h>

#include "changes.h"
#include "file.h"

/* Zero page for other processes. File mappings can't use the kernel's own zero page. */
static struct page *cmem_changes_unknown;

static_assert(sizeof(atomic_t) == sizeof_field(struct cmem_changes, count));

static atomic_t *cmem_changes_counter(struct page *page)
{
	return page_address(page);
}

/* Whether a mapping shows the counter. A copy that fork() made does not. */
static bool cmem_changes_is_his(const struct vm_area_struct *vma,
				const struct cmem_file *file)
{
	return vma->vm_private_data &&
	       READ_ONCE(file->changes_mm) == vma->vm_mm;
}

/* fork() does not copy the page table entry, so a child's first read faults. */
static vm_fault_t cmem_changes_fault(struct vm_fault *vmf)
{
	const struct cmem_file *file = cmem_file_of(vmf->vma->vm_file);

	vmf->page = cmem_changes_is_his(vmf->vma, file) ? file->changes :
							  cmem_changes_unknown;
	get_page(vmf->page);
	return 0;
}

/* mremap() makes the new mapping before it unmaps the old one. */
static void cmem_changes_open(struct vm_area_struct *vma)
{
	struct cmem_file *file = cmem_file_of(vma->vm_file);

	spin_lock(&file->lock);
	if (cmem_changes_is_his(vma, file))
		file->changes_maps++;
	else
		vma->vm_private_data = NULL;
	spin_unlock(&file->lock);
}

/* Forget the mm with its last mapping: another mm may reuse its address. */
static void cmem_changes_close(struct vm_area_struct *vma)
{
	struct cmem_file *file = cmem_file_of(vma->vm_file);

	spin_lock(&file->lock);
	if (cmem_changes_is_his(vma, file) && !--file->changes_maps)
		WRITE_ONCE(file->changes_mm, NULL);
	spin_unlock(&file->lock);
}

static const struct vm_operations_struct cmem_changes_vm_ops = {
	.open = cmem_changes_open,
	.close = cmem_changes_close,
	.fault = cmem_changes_fault,
};

static int cmem_changes_begin(struct cmem_file *file, struct mm_struct *mm)
{
	struct page *page = NULL;
	int ret = 0;

	if (!READ_ONCE(file->changes)) {
		page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!page)
			return -ENOMEM;
	}

	spin_lock(&file->lock);
	if (file->changes_mm) {
		ret = -EBUSY;
	} else {
		if (!file->changes) {
			file->changes = page;
			page = NULL;
		}
		atomic_set(cmem_changes_counter(file->changes), 1);
		file->changes_maps = 1;
		WRITE_ONCE(file->changes_mm, mm);
	}
	spin_unlock(&file->lock);
	if (page)
		__free_page(page);
	return ret;
}

int __init cmem_changes_init(void)
{
	cmem_changes_unknown = alloc_page(GFP_KERNEL | __GFP_ZERO);
	return cmem_changes_unknown ? 0 : -ENOMEM;
}

void __init cmem_changes_exit(void)
{
	__free_page(cmem_changes_unknown);
}

/**
 * cmem_changes_offset - get the file offset of the page
 *
 * No memory has such an address: neither above 62 bits nor, where offsets have 44 bits,
 * so close to their end. Old programs use the last 2 GiB, see cmem_legacy_offset().
 *
 * Return: the offset for mmap() by the calling program, in bytes.
 */
u64 cmem_changes_offset(void)
{
	if (BITS_PER_LONG == 64 && !in_compat_syscall())
		return BIT_ULL(63) - SZ_64K;
	return BIT_ULL(44) - SZ_2G - SZ_64K;
}

/**
 * cmem_changes_mmap - map the page of a file
 * @file: the file
 * @vma: the mapping: one page, shared and read-only
 *
 * Return: 0; -EINVAL if @vma has another length or is not shared, -EACCES if it is
 * writable or executable, -EBUSY if the page is already mapped, -ENOMEM.
 */
int cmem_changes_mmap(struct cmem_file *file, struct vm_area_struct *vma)
{
	int ret;

	if (vma_pages(vma) != 1 || !(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_flags & (VM_WRITE | VM_EXEC))
		return -EACCES;
	ret = cmem_changes_begin(file, vma->vm_mm);
	if (ret)
		return ret;
	vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP, VM_MAYWRITE | VM_MAYEXEC);
	vma->vm_private_data = file;
	vma->vm_ops = &cmem_changes_vm_ops;
	return 0;
}

/**
 * cmem_changes_count - count a mapping of a file that ends
 * @file: the file
 * @vma: the mapping
 */
void cmem_changes_count(struct cmem_file *file, const struct vm_area_struct *vma)
{
	if (READ_ONCE(file->changes_mm) != vma->vm_mm)
		return;
	/* Mappings may end in parallel, or race with unmapping the page. Skip 0. */
	if (atomic_inc_return(cmem_changes_counter(file->changes)) == 0)
		atomic_inc(cmem_changes_counter(file->changes));
}

/**
 * cmem_changes_free - free the page of a file that is closed, if it has one
 * @file: the file
 */
void cmem_changes_free(struct cmem_file *file)
{
	if (file->changes)
		__free_page(file->changes);
}

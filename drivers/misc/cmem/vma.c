// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings of buffers.
 *
 * A mapping holds its buffer. Through vm_file it also holds the file that was registered
 * for the buffer, or the DMA-BUF. So its memory can't get another owner while the mapping
 * exists. All mappings are in one address space (space.c).
 *
 * Where the architecture supports it, huge faults map each part with the size and
 * alignment of a huge page (2 MiB with 4 KiB pages) by one page table entry. mmap() maps
 * the rest at once, which is cheaper than one fault per page: at most the two ends, if
 * there are huge pages. Faults map all of it again after a split or a move unmapped it.
 *
 * A page-backed buffer is mapped with its struct pages (VM_MIXEDMAP), each by an entry of
 * its own, so get_user_pages() finds them. The core counts each entry as a reference to
 * its page. pins.c waits for the others.
 *
 * x86 tracks the memory type of mappings of memory that is not RAM. The block's alias
 * reserves the type for its whole lifetime, and all mappings follow it.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/personality.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>

#include "alias.h"
#include "block.h"
#include "buffer.h"
#include "changes.h"
#include "exports.h"
#include "failure.h"
#include "file.h"
#include "legacy.h"
#include "registration.h"
#include "space.h"
#include "trace.h"
#include "vma.h"

/* Size that one fault maps, page by page */
#define CMEM_VMA_AROUND		SZ_2M

/* Size that mmap() maps, page by page, before it may reschedule */
#define CMEM_VMA_STEP		(512 * PAGE_SIZE)

/* Struct pages that are mapped at once */
#define CMEM_VMA_BATCH		32UL

static unsigned long cmem_vma_pfn(const struct vm_area_struct *vma,
				  unsigned long address)
{
	return cmem_space_pfn(vma->vm_pgoff + PHYS_PFN(address - vma->vm_start));
}

/**
 * cmem_vma_phys - translate a user address
 * @vma: a mapping of a buffer, with the mm locked
 * @address: an address in this mapping
 *
 * Return: the physical address of that byte.
 */
u64 cmem_vma_phys(const struct vm_area_struct *vma, unsigned long address)
{
	return PFN_PHYS(cmem_vma_pfn(vma, address)) + offset_in_page(address);
}

/*
 * A young and dirty entry avoids the fault that would set these bits: on arm64 without
 * hardware support for it, a second fault per page. An entry that allows no access
 * needs neither bit, and its value is no valid protection: x86 inverts the page frame
 * number of such an entry.
 */
static pgprot_t cmem_vma_prot(const struct vm_area_struct *vma)
{
	pte_t pte;

	if (!(vma->vm_flags & VM_ACCESS_FLAGS))
		return vma->vm_page_prot;

	pte = pte_mkyoung(pfn_pte(0, vma->vm_page_prot));
	if (vma->vm_flags & VM_WRITE)
		pte = pte_mkdirty(pte);
	return __pgprot(pte_val(pte));
}

/* Whether any page in a range of a mapping has failed, mapped or not */
static bool cmem_vma_failed(const struct vm_area_struct *vma,
			    unsigned long address, unsigned long length)
{
	return cmem_failure_in(cmem_buffer_block(vma->vm_private_data),
			       cmem_vma_pfn(vma, address), PHYS_PFN(length));
}

static void cmem_vma_open(struct vm_area_struct *vma)
{
	struct cmem_buffer *buffer = vma->vm_private_data;

	cmem_buffer_get(buffer);
	/* On fork(), the parent opens the child's mapping. */
	if (vma->vm_mm != current->mm)
		cmem_buffer_share(buffer);
	trace_cmem_map(vma);
}

/* Whether the entries are of struct pages. The buffer was allocated for that. */
static bool cmem_vma_has_pages(const struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_MIXEDMAP;
}

static bool cmem_vma_is_dmabuf(const struct vm_area_struct *vma)
{
	return cmem_space_is_dmabuf(vma->vm_pgoff);
}

/* Whether the mapping ends with its mm, whichever task drops that, and not by munmap() */
static bool cmem_vma_dies(const struct vm_area_struct *vma)
{
	return !atomic_read(&vma->vm_mm->mm_users);
}

static void cmem_vma_close(struct vm_area_struct *vma)
{
	trace_cmem_unmap(vma);
	if (!cmem_vma_is_dmabuf(vma))
		cmem_changes_count(cmem_file_of(vma->vm_file), vma);
	else if (cmem_vma_dies(vma))
		cmem_dmabuf_die(vma->vm_file);
	cmem_buffer_put(vma->vm_private_data);
}

/* Open a mapping that counts as a registration. */
static void cmem_vma_holder_open(struct vm_area_struct *vma)
{
	cmem_buffer_map_again(cmem_file_of(vma->vm_file), vma->vm_private_data);
	cmem_vma_open(vma);
}

static void cmem_vma_holder_close(struct vm_area_struct *vma)
{
	cmem_buffer_unmap(cmem_file_of(vma->vm_file), vma->vm_private_data,
			  cmem_vma_dies(vma));
	cmem_vma_close(vma);
}

#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
/*
 * These conditions change only with both the mmap_lock and the VMA's lock held for
 * writing, so all faults agree. Not with VM_UFFD_WP: userfaultfd makes page tables for
 * its markers under weaker locks.
 */
static bool cmem_vma_allows_huge(const struct vm_area_struct *vma)
{
	return has_transparent_hugepage() &&
	       !(vma->vm_flags & (VM_MIXEDMAP | VM_NOHUGEPAGE | VM_UFFD_WP));
}

/*
 * A fault makes no page table where a huge page can map the surroundings of the address.
 * A page table exists there only from a time when a huge page was impossible, or because
 * mremap() moved it there. It stays.
 */
static vm_fault_t cmem_vma_fault_huge(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long address = ALIGN_DOWN(vmf->address, PMD_SIZE);
	pmd_t pmd = pmdp_get_lockless(vmf->pmd);
	unsigned long pfn;

	if (!pmd_none(pmd) && !pmd_trans_huge(pmd))
		return VM_FAULT_FALLBACK;
	if (address < vma->vm_start || vma->vm_end - address < PMD_SIZE ||
	    !cmem_vma_allows_huge(vma))
		return VM_FAULT_FALLBACK;
	pfn = cmem_vma_pfn(vma, address);
	if (!IS_ALIGNED(pfn, 1UL << PMD_ORDER))
		return VM_FAULT_FALLBACK;
	/* Don't fall back to a page table: a racing fault may not see the failure yet. */
	if (cmem_vma_failed(vma, address, PMD_SIZE))
		return VM_FAULT_HWPOISON;
	/* If another fault wins the race, its entry is the same. */
	return vmf_insert_pfn_pmd(vmf, pfn, vma->vm_flags & VM_WRITE);
}

static vm_fault_t cmem_vma_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	vm_fault_t ret;
	int idx;

	if (order != PMD_ORDER)
		return VM_FAULT_FALLBACK;
	idx = cmem_failure_fault_begin();
	ret = cmem_vma_fault_huge(vmf);
	cmem_failure_fault_end(idx);
	return ret;
}
#else
static bool cmem_vma_allows_huge(const struct vm_area_struct *vma)
{
	return false;
}

static vm_fault_t cmem_vma_fault_huge(struct vm_fault *vmf)
{
	return VM_FAULT_FALLBACK;
}
#endif

/*
 * mmap() has mapped all pages, so a fault is rare: after madvise(MADV_DONTNEED), or
 * after a failure of other pages. It makes the entry itself: if the core made it, from
 * vmf->page, the page could fail and be unmapped before that.
 */
static vm_fault_t cmem_vma_fault_page(struct vm_fault *vmf)
{
	struct page *page = pfn_to_page(cmem_vma_pfn(vmf->vma, vmf->address));
	int ret;

	if (cmem_vma_failed(vmf->vma, vmf->address, PAGE_SIZE))
		return VM_FAULT_HWPOISON;
	/* Only the core replaces the markers of userfaultfd. */
	if (vmf->vma->vm_flags & VM_UFFD_WP) {
		get_page(page);
		vmf->page = page;
		return 0;
	}
	ret = vm_insert_page(vmf->vma, vmf->address, page);
	/* Another fault may have won the race. */
	return ret && ret != -EBUSY ? vmf_error(ret) : VM_FAULT_NOPAGE;
}

/*
 * With PR_SET_THP_DISABLE, the core does not request huge pages, but this fault tries
 * one all the same. Another thread may still be in the huge fault of the same address,
 * with only the VMA's lock held. This fault holds the mmap_lock, so neither waits for
 * the other, and both must make the same entry.
 *
 * Without a huge page, map as many pages around the address as a huge page has: the
 * program will probably touch them as well.
 */
static vm_fault_t cmem_vma_fault_any(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long address = ALIGN_DOWN(vmf->address, CMEM_VMA_AROUND);
	unsigned long end = address + CMEM_VMA_AROUND - 1;
	pgprot_t prot = cmem_vma_prot(vma);
	vm_fault_t ret;

	ret = cmem_vma_fault_huge(vmf);
	if (!(ret & VM_FAULT_FALLBACK))
		return ret;

	if (cmem_vma_failed(vma, vmf->address, PAGE_SIZE))
		return VM_FAULT_HWPOISON;
	ret = vmf_insert_pfn_prot(vma, vmf->address,
				  cmem_vma_pfn(vma, vmf->address), prot);
	address = max(address, vma->vm_start);
	end = min(end, vma->vm_end - 1);
	/* If any of the pages has failed, map only the one that faulted. */
	if (cmem_vma_failed(vma, address, end + 1 - address))
		return ret;
	for (; !(ret & VM_FAULT_ERROR) && address <= end; address += PAGE_SIZE)
		if (vmf_insert_pfn_prot(vma, address, cmem_vma_pfn(vma, address),
					prot) & VM_FAULT_ERROR)
			break;
	return ret;
}

static vm_fault_t cmem_vma_fault(struct vm_fault *vmf)
{
	int idx = cmem_failure_fault_begin();
	vm_fault_t ret;

	if (cmem_vma_has_pages(vmf->vma))
		ret = cmem_vma_fault_page(vmf);
	else
		ret = cmem_vma_fault_any(vmf);
	cmem_failure_fault_end(idx);
	return ret;
}

/* For debuggers: the core can't access VM_PFNMAP memory. It can access struct pages. */
static int cmem_vma_access(struct vm_area_struct *vma, unsigned long address,
			   void *data, int length, int write)
{
	struct cmem_buffer *buffer = vma->vm_private_data;
	struct cmem_extent extent;
	u64 offset;
	int ret;

	/* A debugger may write if the program could after an mprotect(). */
	if (write && !(vma->vm_flags & VM_MAYWRITE))
		return -EACCES;

	length = min_t(unsigned long, length, vma->vm_end - address);
	length = min_t(unsigned long, length,
		       PAGE_SIZE - offset_in_page(address));
	if (cmem_vma_failed(vma, address, PAGE_SIZE))
		return -EHWPOISON;
	cmem_buffer_locate(buffer, &extent);
	offset = cmem_vma_phys(vma, address) - PFN_PHYS(extent.pfn);
	ret = cmem_buffer_copy(buffer, offset, data, length, write);
	return ret ?: length;
}

#ifdef CONFIG_ARCH_SUPPORTS_PMD_PFNMAP
#define CMEM_VMA_HUGE_FAULT	cmem_vma_huge_fault
#else
#define CMEM_VMA_HUGE_FAULT	NULL
#endif

#define CMEM_VM_OPS(_open, _close) {		\
	.open = (_open),			\
	.close = (_close),			\
	.fault = cmem_vma_fault,		\
	.huge_fault = CMEM_VMA_HUGE_FAULT,	\
	.access = cmem_vma_access,		\
}

static const struct vm_operations_struct cmem_vm_ops =
	CMEM_VM_OPS(cmem_vma_open, cmem_vma_close);

static const struct vm_operations_struct cmem_vm_holder_ops =
	CMEM_VM_OPS(cmem_vma_holder_open, cmem_vma_holder_close);

/**
 * cmem_vma_buffer - get the buffer of a mapping
 * @vma: any mapping, with the mm locked
 *
 * Return: the buffer, or NULL if this is not a mapping of a buffer.
 */
struct cmem_buffer *cmem_vma_buffer(const struct vm_area_struct *vma)
{
	if (vma->vm_ops == &cmem_vm_ops || vma->vm_ops == &cmem_vm_holder_ops)
		return vma->vm_private_data;
	return NULL;
}

/**
 * cmem_vma_owner - get the file that a mapping was made with
 * @vma: a mapping of a buffer, with the mm locked
 *
 * Return: the number of the file, 0 for a mapping of a DMA-BUF.
 */
u64 cmem_vma_owner(const struct vm_area_struct *vma)
{
	return cmem_vma_is_dmabuf(vma) ? 0 : cmem_file_of(vma->vm_file)->owner;
}

/**
 * cmem_vma_lock - look up the mapping of a buffer at a user address, and lock the mm
 * @address: an address of the calling process
 * @buffer: set to the buffer, which the mapping holds
 *
 * Return: the mapping, with the mm locked for reading, and the caller unlocks it; -EFAULT
 * if the address is not in a mapping of a buffer, -EINTR on a fatal signal.
 */
struct vm_area_struct *cmem_vma_lock(unsigned long address,
				     struct cmem_buffer **buffer)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;

	if (mmap_read_lock_killable(mm))
		return ERR_PTR(-EINTR);
	vma = vma_lookup(mm, address);
	if (vma) {
		*buffer = cmem_vma_buffer(vma);
		if (*buffer)
			return vma;
	}
	mmap_read_unlock(mm);
	return ERR_PTR(-EFAULT);
}

/* Map struct pages. The VMA is new, so nobody else sees its changed protection. */
static int cmem_vma_insert_pages(struct vm_area_struct *vma, unsigned long start,
				 unsigned long end, unsigned long pfn)
{
	struct page *pages[CMEM_VMA_BATCH];
	pgprot_t prot = vma->vm_page_prot;
	unsigned long i, count, left;
	int ret = 0;

	vma->vm_page_prot = cmem_vma_prot(vma);
	for (; start < end && !ret; start += count * PAGE_SIZE, pfn += count) {
		count = min(PHYS_PFN(end - start), CMEM_VMA_BATCH);
		for (i = 0; i < count; i++)
			pages[i] = pfn_to_page(pfn + i);
		left = count;
		ret = vm_insert_pages(vma, start, pages, &left);
	}
	vma->vm_page_prot = prot;
	return ret;
}

static int cmem_vma_map_range(struct vm_area_struct *vma, unsigned long start,
			      unsigned long end, unsigned long pfn)
{
	if (cmem_vma_has_pages(vma))
		return cmem_vma_insert_pages(vma, start, end, pfn);
	return remap_pfn_range(vma, start, pfn, end - start, cmem_vma_prot(vma));
}

static int cmem_vma_map_pages(struct vm_area_struct *vma, unsigned long start,
			      unsigned long end, unsigned long pfn)
{
	unsigned long next;
	int ret;

	while (start < end) {
		next = min(end, ALIGN(start + 1, CMEM_VMA_STEP));
		ret = cmem_vma_map_range(vma, start, next, pfn);
		if (ret)
			return ret;
		pfn += PHYS_PFN(next - start);
		start = next;
		/* Without huge pages, gigabytes need many entries. */
		if (start < end) {
			cond_resched();
			if (fatal_signal_pending(current))
				return -EINTR;
		}
	}
	return 0;
}

/* Map the parts that huge faults will not map. */
static int cmem_vma_populate(struct vm_area_struct *vma)
{
	unsigned long huge_start = vma->vm_end, huge_end = vma->vm_end;
	unsigned long pfn = cmem_vma_pfn(vma, vma->vm_start);
	int ret;

	if (cmem_vma_allows_huge(vma) &&
	    !((PFN_PHYS(pfn) ^ vma->vm_start) & ~PMD_MASK) &&
	    ALIGN(vma->vm_start, PMD_SIZE) < ALIGN_DOWN(vma->vm_end, PMD_SIZE)) {
		huge_start = ALIGN(vma->vm_start, PMD_SIZE);
		huge_end = ALIGN_DOWN(vma->vm_end, PMD_SIZE);
	}

	ret = cmem_vma_map_pages(vma, vma->vm_start, huge_start, pfn);
	if (ret)
		return ret;
	ret = cmem_vma_map_pages(vma, huge_end, vma->vm_end,
				 pfn + PHYS_PFN(huge_end - vma->vm_start));
	if (ret)
		return ret;
	/*
	 * Check last. cmem_space_unmap() does not find the VMA until the core has linked
	 * it. If memory fails in between, the hardware reports accesses to it.
	 */
	if (cmem_vma_failed(vma, vma->vm_start, vma->vm_end - vma->vm_start))
		return -EHWPOISON;
	return 0;
}

static int cmem_vma_check(struct vm_area_struct *vma)
{
	/* A shared mapping of a file opened read-only is not VM_SHARED. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC) {
		/* With this personality, VM_EXEC is set without a request. */
		if (!(current->personality & READ_IMPLIES_EXEC))
			return -EPERM;
		vm_flags_clear(vma, VM_EXEC);
		vma->vm_page_prot = vm_get_page_prot(vma->vm_flags);
	}
	return 0;
}

/*
 * Map a buffer, and consume the caller's reference on it. vm_pgoff is already the offset
 * in the common address space.
 */
static int cmem_vma_map(struct vm_area_struct *vma, struct cmem_buffer *buffer,
			const struct vm_operations_struct *ops)
{
	const struct cmem_block *block = cmem_buffer_block(buffer);
	int ret;

	if (!block->coherent && !(buffer->flags & CMEM_BUFFER_CACHED))
		vma->vm_page_prot = pgprot_writecombine(vma->vm_page_prot);
	if (buffer->flags & CMEM_BUFFER_PAGES) {
		vm_flags_mod(vma, VM_MIXEDMAP | VM_DONTEXPAND | VM_DONTDUMP,
			     VM_MAYEXEC);
	} else {
		pfnmap_setup_cachemode_pfn(cmem_vma_pfn(vma, vma->vm_start),
					   &vma->vm_page_prot);
		vm_flags_mod(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP,
			     VM_MAYEXEC);
	}

	vma->vm_private_data = buffer;
	ret = cmem_vma_populate(vma);
	if (ret) {
		/*
		 * The core unmaps what was mapped, but only after the put. Struct pages
		 * have references until then, so their buffer becomes pinned.
		 */
		if (!cmem_vma_has_pages(vma))
			zap_special_vma_range(vma, vma->vm_start,
					      vma->vm_end - vma->vm_start);
		cmem_buffer_put(buffer);
		return ret;
	}

	vma->vm_ops = ops;
	trace_cmem_map(vma);
	return 0;
}

/**
 * cmem_mmap - map a part of a buffer, or the page of cmem_changes_mmap()
 * @filp: an open file that is registered for the buffer, or may register
 * @vma: the mapping; its offset is the physical address
 *
 * Return: 0; -EINVAL if @vma is not shared or not within one buffer, -EPERM if @filp is
 * not registered and may not register, or if @vma is executable, -EOVERFLOW if too many
 * files are registered, -EHWPOISON if memory there has failed, -ENOMEM, -EINTR on a
 * fatal signal. For the page, see cmem_changes_mmap().
 */
int cmem_mmap(struct file *filp, struct vm_area_struct *vma)
{
	struct cmem_file *file = cmem_file_of(filp);
	struct cmem_buffer *buffer;
	bool holds;
	int ret;

	if (vma->vm_pgoff == cmem_changes_offset() >> PAGE_SHIFT)
		return cmem_changes_mmap(file, vma);
	ret = cmem_vma_check(vma);
	if (ret)
		return ret;

	vma->vm_pgoff = cmem_legacy_pgoff(vma->vm_pgoff);
	buffer = cmem_buffer_map_range(file, vma->vm_pgoff, vma_pages(vma),
				       &holds);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);
	ret = cmem_vma_map(vma, buffer, holds ? &cmem_vm_holder_ops : &cmem_vm_ops);
	if (ret && holds)
		cmem_buffer_unmap(file, buffer, false);
	return ret;
}

/**
 * cmem_vma_map_dmabuf - map a part of a DMA-BUF
 * @buffer: the buffer of the DMA-BUF
 * @vma: the mapping; its offset is relative to the buffer, and it ends within the buffer
 *
 * Return: 0; -EINVAL if @vma is not shared, -EPERM if it is executable, -EHWPOISON if
 * memory there has failed, -ENOMEM, -EINTR on a fatal signal.
 */
int cmem_vma_map_dmabuf(struct cmem_buffer *buffer, struct vm_area_struct *vma)
{
	struct cmem_extent extent;
	int ret;

	ret = cmem_vma_check(vma);
	if (ret)
		return ret;

	cmem_buffer_locate(buffer, &extent);
	vma->vm_pgoff += cmem_space_dmabuf_offset + extent.pfn;
	cmem_buffer_get(buffer);
	return cmem_vma_map(vma, buffer, &cmem_vm_ops);
}

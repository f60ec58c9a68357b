// SPDX-License-Identifier: GPL-2.0-only
/*
 * The common address space of all mappings.
 *
 * All mappings of /dev/cmem and of DMA-BUFs share one address space, whatever the name of
 * the device node, and whether or not the file is still registered. vm_pgoff is a page
 * frame number there, so a page can be unmapped from all of them at once. With /dev/cmem,
 * programs pass this offset, a physical address. With a DMA-BUF, they pass an offset from
 * its start. /proc/<pid>/maps shows vm_pgoff, but must not tell physical addresses to a
 * program that only has a DMA-BUF. So DMA-BUFs are at an offset, random for each boot.
 */
#include <linux/bits.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/random.h>

#include "space.h"

/* Magic of the internal file system whose inode has the address space */
#define CMEM_SPACE_FS_MAGIC	0x434d454d

/*
 * In pages. Page frame numbers are smaller than the offset of DMA-BUFs, and the sum of
 * both is a valid file offset. The offset is a multiple of the huge page size, so that
 * DMA-BUFs keep their alignment. This exposes the low bits of their addresses.
 */
#define CMEM_SPACE_PFN_BITS	(BITS_PER_LONG == 64 ? 52 - PAGE_SHIFT : 28)
#define CMEM_SPACE_OFFSET_BITS	(BITS_PER_LONG == 64 ? 62 - PAGE_SHIFT : 31)
#define CMEM_SPACE_ALIGN_BITS	(PMD_SHIFT - PAGE_SHIFT)

/* Offset of DMA-BUFs' page frame numbers in the common address space */
unsigned long cmem_space_dmabuf_offset __ro_after_init;
static struct vfsmount *cmem_space_mount;
static struct inode *cmem_space_inode;

static int cmem_space_fs_init(struct fs_context *fc)
{
	return init_pseudo(fc, CMEM_SPACE_FS_MAGIC) ? 0 : -ENOMEM;
}

static struct file_system_type cmem_space_fs = {
	.name = "cmem",
	.init_fs_context = cmem_space_fs_init,
	.kill_sb = kill_anon_super,
};

int __init cmem_space_init(void)
{
	cmem_space_dmabuf_offset = BIT(CMEM_SPACE_PFN_BITS) +
				 (get_random_long() &
				  GENMASK(CMEM_SPACE_OFFSET_BITS - 1,
					  CMEM_SPACE_ALIGN_BITS));
	cmem_space_mount = kern_mount(&cmem_space_fs);
	if (IS_ERR(cmem_space_mount))
		return PTR_ERR(cmem_space_mount);

	cmem_space_inode = alloc_anon_inode(cmem_space_mount->mnt_sb);
	if (IS_ERR(cmem_space_inode)) {
		kern_unmount(cmem_space_mount);
		return PTR_ERR(cmem_space_inode);
	}
	return 0;
}

void __init cmem_space_exit(void)
{
	iput(cmem_space_inode);
	kern_unmount(cmem_space_mount);
}

/**
 * cmem_space_join - put the mappings of a file into the common address space
 * @file: a file of /dev/cmem or of a DMA-BUF, without mappings yet
 */
void cmem_space_join(struct file *file)
{
	file->f_mapping = cmem_space_inode->i_mapping;
}

/**
 * cmem_space_unmap - unmap pages from all mappings
 * @pfn: page frame number of the first page
 * @pages: number of pages
 *
 * May sleep. The next access to such a page faults again.
 */
void cmem_space_unmap(unsigned long pfn, unsigned long pages)
{
	struct address_space *space = cmem_space_inode->i_mapping;

	unmap_mapping_pages(space, pfn, pages, false);
	unmap_mapping_pages(space, cmem_space_dmabuf_offset + pfn, pages, false);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * The address space of all mappings.
 *
 * All mappings, be they of /dev/cmem by whatever name, of a file that is registered no
 * more or of a DMA-BUF, are in one address space, in which vm_pgoff is a page frame
 * number: a page can be taken out of all of them at once. Of /dev/cmem, programs name
 * that offset, a physical address; that of a DMA-BUF they count from 0.
 * /proc/<pid>/maps shows it, and a program that has nothing but a DMA-BUF must not learn
 * addresses there: so DMA-BUFs are in a second place of the address space, a different
 * one in each boot.
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

/* Of a file system that nobody sees, whose inode has the address space */
#define CMEM_SPACE_FS_MAGIC	0x434d454d

/*
 * In pages: page frame numbers are smaller, and the sum of both is an offset that a file
 * may have. What is aligned for huge pages in one place is so in the other: that much of
 * an address is to be seen.
 */
#define CMEM_SPACE_PFN_BITS	(BITS_PER_LONG == 64 ? 52 - PAGE_SHIFT : 28)
#define CMEM_SPACE_OFFSET_BITS	(BITS_PER_LONG == 64 ? 62 - PAGE_SHIFT : 31)
#define CMEM_SPACE_ALIGN_BITS	(PMD_SHIFT - PAGE_SHIFT)

/* What is added to the page frame numbers of DMA-BUFs */
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
 * cmem_space_join - have the mappings of a file in the address space of all
 * @file: of /dev/cmem or of a DMA-BUF, that nobody has mapped yet
 */
void cmem_space_join(struct file *file)
{
	file->f_mapping = cmem_space_inode->i_mapping;
}

/**
 * cmem_space_unmap - take pages out of all mappings
 * @pfn: page frame number of the first page
 * @pages: how many
 *
 * May sleep. Who touches them faults again.
 */
void cmem_space_unmap(unsigned long pfn, unsigned long pages)
{
	struct address_space *space = cmem_space_inode->i_mapping;

	unmap_mapping_pages(space, pfn, pages, false);
	unmap_mapping_pages(space, cmem_space_dmabuf_offset + pfn, pages, false);
}

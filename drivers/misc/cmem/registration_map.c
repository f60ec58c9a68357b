// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings that count as a registration. A file that may register for a buffer may map it
 * without registering, as old programs do. It counts as registered until it is unmapped.
 */
#include <linux/mm.h>
#include <linux/mutex.h>

#include "block.h"
#include "buffer.h"
#include "file.h"
#include "registration.h"

/*
 * Prepare to map a buffer. Returns 1 if the mapping counts as a registration, 0 if the
 * file is registered, -EAGAIN if a spare is needed. The block is locked.
 */
static int cmem_buffer_map_locked(struct cmem_file *file,
				  struct cmem_buffer *buffer,
				  struct cmem_sharer **spare,
				  unsigned long pages)
{
	struct cmem_registration *registration;

	registration = cmem_registration_find(buffer, file);
	if (registration && *cmem_registration_count(buffer, registration))
		return 0;
	if (!registration) {
		if (!cmem_buffer_is_registered(buffer) ||
		    !cmem_buffer_may_register(file, buffer))
			return -EPERM;
		if (!*spare)
			return -EAGAIN;
		registration = cmem_registration_add(file, buffer, spare, pages);
		if (IS_ERR(registration))
			return PTR_ERR(registration);
	}
	cmem_registration_sharer(buffer, registration)->maps++;
	return 1;
}

/**
 * cmem_buffer_map_range - hold the buffer that contains a range of pages, for a mapping
 * @file: the file that maps
 * @pfn: page frame number of the first page
 * @pages: number of pages, at least 1
 * @holds: set to true if the mapping counts as a registration, which
 *	cmem_buffer_unmap() ends
 *
 * A file that may register for the buffer may map it without registering. It counts as
 * registered while the mapping exists.
 *
 * Return: the buffer; -EINVAL if the pages are not all in one buffer; -EPERM if @file is
 * not registered and may not register, or if no file is registered any more; -EOVERFLOW
 * if too many files are registered; -ENOMEM.
 */
struct cmem_buffer *cmem_buffer_map_range(struct cmem_file *file,
					  unsigned long pfn,
					  unsigned long pages, bool *holds)
{
	struct cmem_sharer *spare = NULL;
	struct cmem_buffer *buffer;
	struct cmem_extent extent;
	struct cmem_block *block;
	int ret;

	for (;;) {
		block = cmem_block_lock_pfn(pfn);
		if (!block) {
			ret = -EINVAL;
			break;
		}
		buffer = cmem_buffer_lookup_range(block, pfn, pages, &extent);
		ret = PTR_ERR_OR_ZERO(buffer);
		if (!ret)
			ret = cmem_buffer_map_locked(file, buffer, &spare,
						     extent.pages);
		if (ret >= 0)
			cmem_buffer_get(buffer);
		mutex_unlock(&block->lock);
		if (ret != -EAGAIN)
			break;
		spare = cmem_sharer_alloc();
		if (!spare)
			return ERR_PTR(-ENOMEM);
	}
	cmem_sharer_free(spare);
	*holds = ret > 0;
	return ret < 0 ? ERR_PTR(ret) : buffer;
}

/*
 * The sharer of a file with mappings that count as a registration. The file did not
 * allocate the buffer. The block is locked.
 */
static struct cmem_sharer *cmem_buffer_mapper(struct cmem_file *file,
					      struct cmem_buffer *buffer)
{
	return cmem_registration_sharer(buffer,
					cmem_registration_find(buffer, file));
}

/**
 * cmem_buffer_map_again - count a split or copy of a mapping that is a registration
 * @file: the file that made the mapping
 * @buffer: the buffer
 */
void cmem_buffer_map_again(struct cmem_file *file, struct cmem_buffer *buffer)
{
	struct cmem_block *block = cmem_buffer_block(buffer);

	mutex_lock(&block->lock);
	cmem_buffer_mapper(file, buffer)->maps++;
	mutex_unlock(&block->lock);
}

/**
 * cmem_buffer_unmap - end a mapping that counts as a registration
 * @file: the file that made the mapping
 * @buffer: the buffer, held at least by that registration
 * @abandoned: the process of the mapping dies, and a device may know of the buffer
 */
void cmem_buffer_unmap(struct cmem_file *file, struct cmem_buffer *buffer,
		       bool abandoned)
{
	struct cmem_sharer *sharer;
	struct cmem_extent extent;

	cmem_buffer_locate(buffer, &extent);
	mutex_lock(&extent.block->lock);
	sharer = cmem_buffer_mapper(file, buffer);
	if (!--sharer->maps && !sharer->count) {
		/* Only the last one counts: earlier ones may be a child's. */
		if (abandoned)
			buffer->flags |= CMEM_BUFFER_ABANDONED;
		cmem_buffer_unregister(buffer, &sharer->registration,
				       extent.pages);
	}
	mutex_unlock(&extent.block->lock);
}

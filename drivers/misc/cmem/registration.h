/* SPDX-License-Identifier: GPL-2.0-only */
/* Between a buffer's registrations (registration.c) and the files that have them (file.c). */
#ifndef _CMEM_REGISTRATION_H
#define _CMEM_REGISTRATION_H

#include "cmem.h"

/**
 * struct cmem_sharer - a registration of a file that did not allocate
 * @file: the file
 * @buffer: the buffer
 * @in_file: in @file's list, under its lock
 * @in_buffer: in @buffer's list, under the block's lock
 * @count: how often it is registered, under the block's lock
 * @maps: mappings that the file made without being registered. As long as there is one,
 *	it counts as a registration. Under the block's lock.
 */
struct cmem_sharer {
	struct cmem_file *file;
	struct cmem_buffer *buffer;
	struct list_head in_file;
	struct hlist_node in_buffer;
	u16 count;
	u32 maps;
};

void cmem_buffer_unregister(struct cmem_file *file, struct cmem_buffer *buffer,
			    struct cmem_sharer *sharer, unsigned long pages);

#endif /* _CMEM_REGISTRATION_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The files that hold a buffer, and lookup of buffers by address: registration.c has
 * registrations, registration_map.c mappings that count as one, file.c a file's lists.
 */
#ifndef _CMEM_REGISTRATION_H
#define _CMEM_REGISTRATION_H

#include "buffer.h"

struct cmem_file;
struct file;

typedef void (*cmem_owner_fn)(u64 owner, unsigned int count, void *arg);
int cmem_registration_init(void);
void cmem_registration_exit(void);
bool cmem_buffer_has_user(const struct cmem_buffer *buffer,
			  const struct file *filp);
unsigned int cmem_buffer_owners(const struct cmem_buffer *buffer,
				cmem_owner_fn fn, void *arg);
void cmem_buffer_undo_alloc(struct cmem_file *file, struct cmem_buffer *buffer);
int cmem_buffer_free(struct cmem_file *file, unsigned long pfn);
struct cmem_buffer *cmem_buffer_get_to_register(struct cmem_file *file,
						unsigned long pfn);
int cmem_buffer_register(struct cmem_file *file, struct cmem_buffer *buffer,
			 bool by_address);
struct cmem_buffer *cmem_buffer_get_registered(struct cmem_file *file,
					       unsigned long pfn);
struct cmem_buffer *cmem_buffer_get_range(struct cmem_file *file,
					  unsigned long pfn,
					  unsigned long pages);
struct cmem_buffer *cmem_buffer_map_range(struct cmem_file *file,
					  unsigned long pfn,
					  unsigned long pages, bool *holds);
void cmem_buffer_map_again(struct cmem_file *file, struct cmem_buffer *buffer);
void cmem_buffer_unmap(struct cmem_file *file, struct cmem_buffer *buffer,
		       bool abandoned);

/**
 * struct cmem_sharer - the registration of a file that did not allocate the buffer
 * @registration: the part that all registrations have
 * @buffer: the buffer
 * @maps: mappings that the file made without being registered. While there is any, the
 *	file counts as registered. Under the block's lock.
 * @count: registrations of the file, under the block's lock
 */
struct cmem_sharer {
	struct cmem_registration registration;
	struct cmem_buffer *buffer;
	u32 maps;
	u16 count;
};

/* Find the registration of a file. The block is locked. */
static inline struct cmem_registration *
cmem_registration_find(struct cmem_buffer *buffer, const struct cmem_file *file)
{
	struct cmem_registration *registration = &buffer->first;

	/* Nearly always, it is the first one. */
	if (likely(registration->file == file))
		return registration;
	while ((registration = registration->next))
		if (registration->file == file)
			return registration;
	return NULL;
}

/* The sharer that contains a registration, NULL for the buffer's first registration */
static inline struct cmem_sharer *
cmem_registration_sharer(const struct cmem_buffer *buffer,
			 const struct cmem_registration *registration)
{
	return registration == &buffer->first ? NULL :
	       container_of(registration, struct cmem_sharer, registration);
}

/* The counter of a file's registrations */
static inline u16 *
cmem_registration_count(struct cmem_buffer *buffer,
			struct cmem_registration *registration)
{
	struct cmem_sharer *sharer;

	sharer = cmem_registration_sharer(buffer, registration);
	return sharer ? &sharer->count : &buffer->count;
}

/* Shared by registration.c, registration_map.c and file.c */
struct cmem_sharer *cmem_sharer_alloc(void);
void cmem_sharer_free(struct cmem_sharer *spare);
struct cmem_registration *
cmem_registration_add(struct cmem_file *file, struct cmem_buffer *buffer,
		      struct cmem_sharer **spare, unsigned long pages);
bool cmem_buffer_may_register(const struct cmem_file *file,
			      const struct cmem_buffer *buffer);
struct cmem_buffer *cmem_buffer_lookup_range(struct cmem_block *block,
					     unsigned long pfn,
					     unsigned long pages,
					     struct cmem_extent *extent);
void cmem_buffer_unregister(struct cmem_buffer *buffer,
			    struct cmem_registration *registration,
			    unsigned long pages);

#endif /* _CMEM_REGISTRATION_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How old programs lay out the structures of their ioctls, and what they make of
 * addresses: nothing but computing.
 */
#ifndef _CMEM_LEGACY_H
#define _CMEM_LEGACY_H

#include <linux/types.h>

/* Members of a structure; and the bytes that the longest structure has */
#define CMEM_LEGACY_FIELDS	3
#define CMEM_LEGACY_SIZE	24

/**
 * enum cmem_legacy_field - the type of a member
 * @CMEM_LEGACY_END: no more members
 * @CMEM_LEGACY_INT: int
 * @CMEM_LEGACY_LONG: the caller's unsigned long, pointer or size_t
 * @CMEM_LEGACY_U64: unsigned long long. It follows no shorter member in any
 *	structure, so it is the same that i386 aligns it to 4 bytes and the
 *	others to 8.
 */
enum cmem_legacy_field {
	CMEM_LEGACY_END,
	CMEM_LEGACY_INT,
	CMEM_LEGACY_LONG,
	CMEM_LEGACY_U64,
};

size_t cmem_legacy_size(const u8 *fields, unsigned int long_size);
void cmem_legacy_decode(const u8 *fields, unsigned int long_size,
			const void *from, u64 *values);
void cmem_legacy_encode(const u8 *fields, unsigned int long_size,
			const u64 *values, void *to);
u64 cmem_legacy_offset(u64 offset);
u64 cmem_legacy_address(u64 phys, unsigned int long_size);

#endif /* _CMEM_LEGACY_H */

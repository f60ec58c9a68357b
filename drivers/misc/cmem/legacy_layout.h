/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What programs of the out-of-tree driver rely on: numbers and layouts (legacy_layout.c),
 * for legacy.c
 */
#ifndef _CMEM_LEGACY_LAYOUT_H
#define _CMEM_LEGACY_LAYOUT_H

#include <linux/types.h>

#define CMEM_LEGACY_WB		0x00010000
#define CMEM_LEGACY_INV		0x00020000
#define CMEM_LEGACY_HEAP	0x00040000
#define CMEM_LEGACY_CACHED	0x00080000
#define CMEM_LEGACY_PHYS	0x00100000

enum {
	CMEM_LEGACY_ALLOC		= 1,
	CMEM_LEGACY_ALLOC_HEAP		= 2,
	CMEM_LEGACY_FREE		= 3,
	CMEM_LEGACY_GET_PHYS		= 4,
	CMEM_LEGACY_GET_SIZE		= 5,
	CMEM_LEGACY_GET_POOL		= 6,
	CMEM_LEGACY_CACHE		= 7,
	CMEM_LEGACY_GET_VERSION		= 8,
	CMEM_LEGACY_GET_BLOCK		= 9,
	CMEM_LEGACY_REG_USER		= 10,
	CMEM_LEGACY_GET_NUM_BLOCKS	= 11,
	CMEM_LEGACY_CACHE_WB_INV_ALL	= 12,
	CMEM_LEGACY_EXPORT_DMABUF	= 13,
};

/* Members of a structure at most, and bytes of the longest structure */
#define CMEM_LEGACY_FIELDS	3
#define CMEM_LEGACY_SIZE	24

/**
 * enum cmem_legacy_field - the type of a member
 * @CMEM_LEGACY_END: no more members
 * @CMEM_LEGACY_INT: int
 * @CMEM_LEGACY_LONG: the caller's unsigned long, pointer or size_t
 * @CMEM_LEGACY_U64: unsigned long long. It follows no shorter member in any structure, so
 *	its alignment of 4 bytes on i386 and 8 elsewhere makes no difference.
 */
enum cmem_legacy_field {
	CMEM_LEGACY_END,
	CMEM_LEGACY_INT,
	CMEM_LEGACY_LONG,
	CMEM_LEGACY_U64,
};

extern unsigned int cmem_legacy_version;

size_t cmem_legacy_size(const u8 *fields, unsigned int long_size);
void cmem_legacy_decode(const u8 *fields, unsigned int long_size,
			const void *from, u64 *values);
void cmem_legacy_encode(const u8 *fields, unsigned int long_size,
			const u64 *values, void *to);
u64 cmem_legacy_offset(u64 offset);
u64 cmem_legacy_address(u64 phys, unsigned int long_size);

#endif /* _CMEM_LEGACY_LAYOUT_H */

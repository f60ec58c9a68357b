// SPDX-License-Identifier: GPL-2.0-only
/*
 * What programs built for the out-of-tree driver rely on: its version, the layout of the
 * structures of its ioctls, and how they pass an address in these or as an mmap() offset.
 */
#define pr_fmt(fmt) "cmem: " fmt

#include <linux/align.h>
#include <linux/compat.h>
#include <linux/kernel.h>
#include <linux/kstrtox.h>
#include <linux/moduleparam.h>
#include <linux/printk.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "block.h"
#include "legacy.h"
#include "legacy_layout.h"

/* The layouts are the same from the first version here on. */
#define CMEM_LEGACY_VERSION_MIN		0x04000300
#define CMEM_LEGACY_VERSION_MAX		0x04ffffff

unsigned int cmem_legacy_version = 0x04200001;

static int cmem_legacy_version_set(const char *val,
				   const struct kernel_param *kp)
{
	unsigned int version;

	if (kstrtouint(val, 0, &version) || version < CMEM_LEGACY_VERSION_MIN ||
	    version > CMEM_LEGACY_VERSION_MAX) {
		pr_err("legacy_version=%.*s is no version whose programs can be served, must be from %#010x to %#010x\n",
		       (int)strcspn(val, "\n"), val, CMEM_LEGACY_VERSION_MIN,
		       CMEM_LEGACY_VERSION_MAX);
		return -EINVAL;
	}
	WRITE_ONCE(cmem_legacy_version, version);
	return 0;
}

static int cmem_legacy_version_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%#010x\n", READ_ONCE(cmem_legacy_version));
}

static const struct kernel_param_ops cmem_legacy_version_ops = {
	.set = cmem_legacy_version_set,
	.get = cmem_legacy_version_get,
};
module_param_cb(legacy_version, &cmem_legacy_version_ops, NULL, 0644);
MODULE_PARM_DESC(legacy_version, "version of CMEM that programs built for the out-of-tree driver find (default 0x04200001)");

static size_t cmem_legacy_field_size(u8 field, unsigned int long_size)
{
	switch (field) {
	case CMEM_LEGACY_INT:
		return sizeof(s32);
	case CMEM_LEGACY_LONG:
		return long_size;
	case CMEM_LEGACY_U64:
		return sizeof(u64);
	default:
		return 0;
	}
}

/**
 * cmem_legacy_size - compute the size of a structure, to the end of its last member
 * @fields: CMEM_LEGACY_FIELDS of enum cmem_legacy_field
 * @long_size: bytes in the caller's long
 *
 * Return: the size, at most CMEM_LEGACY_SIZE.
 */
size_t cmem_legacy_size(const u8 *fields, unsigned int long_size)
{
	size_t end = 0;
	int i;

	for (i = 0; i < CMEM_LEGACY_FIELDS && fields[i]; i++) {
		size_t size = cmem_legacy_field_size(fields[i], long_size);

		end = ALIGN(end, size) + size;
	}
	return end;
}

/**
 * cmem_legacy_decode - unpack a structure
 * @fields: its members, as for cmem_legacy_size()
 * @long_size: bytes in the caller's long
 * @from: the structure, on a little-endian machine
 * @values: where to put the members; an int is sign-extended
 */
void cmem_legacy_decode(const u8 *fields, unsigned int long_size,
			const void *from, u64 *values)
{
	size_t at = 0;
	int i;

	for (i = 0; i < CMEM_LEGACY_FIELDS && fields[i]; i++) {
		size_t size = cmem_legacy_field_size(fields[i], long_size);

		at = ALIGN(at, size);
		values[i] = 0;
		memcpy(&values[i], from + at, size);
		if (fields[i] == CMEM_LEGACY_INT)
			values[i] = (s32)values[i];
		at += size;
	}
}

/**
 * cmem_legacy_encode - pack a structure
 * @fields: its members, as for cmem_legacy_size()
 * @long_size: bytes in the caller's long
 * @values: the members, which fit
 * @to: the structure, on a little-endian machine; padding is zeroed
 */
void cmem_legacy_encode(const u8 *fields, unsigned int long_size,
			const u64 *values, void *to)
{
	size_t at = 0;
	int i;

	memset(to, 0, cmem_legacy_size(fields, long_size));
	for (i = 0; i < CMEM_LEGACY_FIELDS && fields[i]; i++) {
		size_t size = cmem_legacy_field_size(fields[i], long_size);

		at = ALIGN(at, size);
		memcpy(to + at, &values[i], size);
		at += size;
	}
}

/**
 * cmem_legacy_offset - find the offset that a 32-bit program meant
 * @offset: the offset of its mmap(), in bytes
 *
 * mmap2() takes the offset in units of 4 KiB. Without large files, an address from 2 GiB
 * on is a negative off_t. C libraries that shift it right with its sign turn 0xa0000000
 * into 0xfffa0000. The result is in the last 2 GiB of 44 bits.
 *
 * Return: the 32-bit address if @offset can be such a result, otherwise @offset.
 */
u64 cmem_legacy_offset(u64 offset)
{
	return offset >> 31 == 0x1fff ? lower_32_bits(offset) : offset;
}

/**
 * cmem_legacy_address - find the physical address that a program meant
 * @phys: the value that it passed
 * @long_size: bytes in its long
 *
 * A 32-bit program without large files sign-extends a negative off_t to a u64. No memory
 * is at the result, so the meaning is unambiguous.
 *
 * Return: the 32-bit address in such a case, otherwise @phys.
 */
u64 cmem_legacy_address(u64 phys, unsigned int long_size)
{
	if (long_size < sizeof(phys) && phys >> 31 == 0x1ffffffff)
		return lower_32_bits(phys);
	return phys;
}

/**
 * cmem_legacy_pgoff - find the mmap() offset that an old program meant
 * @pgoff: of the mapping, in pages
 *
 * The caller checks whether the file may map the memory there.
 *
 * Return: the offset in pages: @pgoff, unless it is a negative offset of a 32-bit program
 * and no memory of ours is there.
 */
unsigned long cmem_legacy_pgoff(unsigned long pgoff)
{
	u64 offset = (u64)pgoff << PAGE_SHIFT;
	u64 meant = cmem_legacy_offset(offset);
	struct cmem_block *block;

	if (meant == offset)
		return pgoff;
	if (IS_ENABLED(CONFIG_64BIT) && !in_compat_syscall())
		return pgoff;
	block = cmem_block_lock_pfn(pgoff);
	if (!block)
		return meant >> PAGE_SHIFT;
	mutex_unlock(&block->lock);
	return pgoff;
}

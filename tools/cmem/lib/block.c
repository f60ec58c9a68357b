// SPDX-License-Identifier: BSD-3-Clause
/*
 * Queries about blocks and pools.
 */
#include "libcmem.h"

/*
 * Whether a block with a higher number exists. Programs iterate from block 0 to the last
 * one; a missing block in between reports no memory.
 */
static bool is_hole(int block)
{
	struct cmem_info info = { .size = sizeof(info) };

	if (block >= 0 && !ioctl(libcmem.fd, CMEM_IOCTL_GET_INFO, &info) &&
	    (unsigned int)block < info.block_limit)
		return true;
	errno = ENOENT;
	return false;
}

/**
 * libcmem_get_block - get the location of a block
 * @block: its number
 * @base: where to put its physical address
 * @size: where to put its size in bytes
 *
 * Return: 0, or -1 and errno.
 */
int libcmem_get_block(int block, uint64_t *base, unsigned long long *size)
{
	struct cmem_block_info info = { .size = sizeof(info), .block = block };

	if (!libcmem_ready())
		return -1;
	if (ioctl(libcmem.fd, CMEM_IOCTL_GET_BLOCK, &info)) {
		if (errno != ENOENT || !is_hole(block))
			return -1;
		info.base = 0;
		info.length = 0;
	}
	*base = info.base;
	*size = info.length;
	return 0;
}

/**
 * libcmem_block_coherent - tell if a block's devices snoop the caches
 * @block: its number
 *
 * Asks the kernel once. If the block is replaced later, the cached answer is still safe:
 * the kernel decides itself, or the caches are maintained.
 *
 * Return: true for unknown blocks.
 */
bool libcmem_block_coherent(int block)
{
	static uint64_t asked, coherent;
	struct cmem_block_info info = { .size = sizeof(info), .block = block };
	const unsigned int bit = block - CMEM_BLOCK_CMA;
	uint64_t mask;

	if (bit >= 64)
		return true;
	mask = (uint64_t)1 << bit;
	if (__atomic_load_n(&asked, __ATOMIC_ACQUIRE) & mask)
		return __atomic_load_n(&coherent, __ATOMIC_RELAXED) & mask;

	if (!libcmem_ready() || ioctl(libcmem.fd, CMEM_IOCTL_GET_BLOCK, &info))
		return true;
	if (info.out_flags & CMEM_BLOCK_COHERENT)
		__atomic_fetch_or(&coherent, mask, __ATOMIC_RELAXED);
	__atomic_fetch_or(&asked, mask, __ATOMIC_RELEASE);
	return info.out_flags & CMEM_BLOCK_COHERENT;
}

PUBLIC int CMEM_getNumBlocks(int *pnblocks)
{
	struct cmem_info info = { .size = sizeof(info) };
	int ret = -1;

	if (!libcmem_ready())
		goto out;
	if (!pnblocks) {
		errno = EFAULT;
		goto out;
	}
	ret = ioctl(libcmem.fd, CMEM_IOCTL_GET_INFO, &info);
	if (!ret)
		*pnblocks = info.block_limit;
out:
	TRACE(ret, "CMEM_getNumBlocks([%d]) = %d", ret ? 0 : *pnblocks, ret);
	return ret;
}

static int find_pool(int block, unsigned long long size)
{
	struct cmem_find_pool request = {
		.size = sizeof(request), .block = block, .length = size,
	};

	if (!libcmem_ready() || ioctl(libcmem.fd, CMEM_IOCTL_FIND_POOL, &request))
		return -1;
	return request.pool;
}

PUBLIC int CMEM_getPool2(int blockid, unsigned long long size)
{
	int pool = find_pool(blockid, size);

	TRACE(pool < 0, "CMEM_getPool2(%d, %llu) = %d", blockid, size, pool);
	return pool;
}

PUBLIC int CMEM_getPool(unsigned long long size)
{
	int pool = find_pool(0, size);

	TRACE(pool < 0, "CMEM_getPool(%llu) = %d", size, pool);
	return pool;
}

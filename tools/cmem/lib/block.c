// SPDX-License-Identifier: BSD-3-Clause
/*
 * What blocks and pools there are.
 */
#include "libcmem.h"

/**
 * libcmem_get_block - tell where a block is
 * @block: its number
 * @base: where to put its physical address
 * @size: where to put its size in bytes
 *
 * Return: 0, or -1 and errno.
 */
int libcmem_get_block(int block, uint64_t *base, unsigned long long *size)
{
	struct cmem_block_info info = { .size = sizeof(info), .block = block };

	if (!libcmem_ready() || ioctl(libcmem.fd, CMEM_IOCTL_GET_BLOCK, &info))
		return -1;
	*base = info.base;
	*size = info.length;
	return 0;
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
		*pnblocks = info.num_blocks;
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

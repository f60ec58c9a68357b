// SPDX-License-Identifier: GPL-2.0
/*
 * The blocks as they were at boot. After a program that created or removed blocks they
 * are created again, and then all of their memory must be free: other memory is lost.
 */
#include "fuzz.h"

#include <time.h>

struct block {
	struct cmem_block_info info;
	struct cmem_pool_info pools[CMEM_MAX_POOLS];
};

static struct block at_boot[MAX_BLOCKS];
static unsigned int num_blocks;

unsigned int blocks_count(void)
{
	return num_blocks;
}

const struct cmem_block_info *block_info(unsigned int number)
{
	return &at_boot[number % num_blocks].info;
}

const struct cmem_pool_info *block_pools(unsigned int number)
{
	return at_boot[number % num_blocks].pools;
}

static bool look(int fd, int number, struct block *block)
{
	memset(block, 0, sizeof(*block));
	block->info.size = sizeof(block->info);
	block->info.block = number;
	if (ioctl(fd, CMEM_IOCTL_GET_BLOCK, &block->info))
		return false;
	for (unsigned int i = 0; i < block->info.num_pools; i++) {
		struct cmem_pool_info *pool = &block->pools[i];

		pool->size = sizeof(*pool);
		pool->block = number;
		pool->pool = i;
		if (ioctl(fd, CMEM_IOCTL_GET_POOL, pool))
			return false;
	}
	return true;
}

/* Removes conflicting blocks, and tells if the block is as at boot, and idle. */
static bool same(const struct block *was, const struct block *is)
{
	if (was->info.base != is->info.base || was->info.length != is->info.length ||
	    was->info.num_pools != is->info.num_pools ||
	    (was->info.out_flags ^ is->info.out_flags) & (CMEM_BLOCK_KEEP_CONTENTS | CMEM_BLOCK_QUARANTINE) ||
	    was->info.quarantine_ms != is->info.quarantine_ms || was->info.quota != is->info.quota)
		return false;
	for (unsigned int i = 0; i < was->info.num_pools; i++)
		if (was->pools[i].count != is->pools[i].count ||
		    was->pools[i].requested_length != is->pools[i].requested_length)
			return false;
	return true;
}

static bool is_free(const struct block *block)
{
	if (block->info.heap_free != block->info.heap_size)
		return false;
	for (unsigned int i = 0; i < block->info.num_pools; i++)
		if (block->pools[i].free != block->pools[i].count)
			return false;
	return true;
}

static int remove_block(int fd, int number)
{
	struct cmem_block_remove remove = { .size = sizeof(remove), .block = number };

	return ioctl(fd, CMEM_IOCTL_BLOCK_REMOVE, &remove) ? -errno : 0;
}

static int add_block(int fd, const struct block *block)
{
	struct cmem_block_pool pools[CMEM_MAX_POOLS] = { 0 };
	struct cmem_block_add add = {
		.size = sizeof(add),
		.block = block->info.block,
		.flags = block->info.out_flags & (CMEM_BLOCK_KEEP_CONTENTS | CMEM_BLOCK_QUARANTINE |
						  CMEM_BLOCK_IS_MEMORY),
		.num_pools = block->info.num_pools,
		.quarantine_ms = block->info.quarantine_ms,
		.quota = block->info.quota,
		.base = block->info.base,
		.length = block->info.length,
		.pools = (uintptr_t)pools,
	};

	for (unsigned int i = 0; i < block->info.num_pools; i++) {
		pools[i].count = block->pools[i].count;
		pools[i].length = block->pools[i].requested_length;
	}
	return ioctl(fd, CMEM_IOCTL_BLOCK_ADD, &add) ? -errno : 0;
}

static void release(int fd, int number)
{
	struct cmem_release release = { .size = sizeof(release), .block = number };

	ioctl(fd, CMEM_IOCTL_RELEASE, &release);
}

static bool try_restore(int fd, char *what, size_t size)
{
	struct block is;
	int ret;

	/* Remove changed blocks first: they may use another block's memory. */
	for (int number = 0; number < MAX_BLOCKS; number++) {
		const struct block *was = NULL;

		for (unsigned int i = 0; i < num_blocks; i++)
			if (at_boot[i].info.block == number)
				was = &at_boot[i];
		if (!look(fd, number, &is) || (was && same(was, &is)))
			continue;
		ret = remove_block(fd, number);
		if (ret && ret != -ENOENT) {
			snprintf(what, size, "block %d can't be removed: %s", number, strerror(-ret));
			return false;
		}
	}
	for (unsigned int i = 0; i < num_blocks; i++) {
		const struct block *was = &at_boot[i];

		if (!look(fd, was->info.block, &is)) {
			ret = add_block(fd, was);
			if (ret) {
				snprintf(what, size, "block %d can't be made again: %s",
					 was->info.block, strerror(-ret));
				return false;
			}
			look(fd, was->info.block, &is);
		}
		if (!is_free(&is)) {
			snprintf(what, size, "block %d is not all free", was->info.block);
			return false;
		}
	}
	if (look(fd, CMEM_BLOCK_CMA, &is) && !is_free(&is)) {
		snprintf(what, size, "the block of CMA is not all free");
		return false;
	}
	return true;
}

/**
 * blocks_restore - restore the blocks as at boot, all free
 * @what: buffer for the error description
 * @size: of @what
 * @tries: how often to check, ten milliseconds apart
 *
 * io_uring and the network close files some time after the process is gone.
 *
 * Return: false if something was lost.
 */
bool blocks_restore(char *what, size_t size, unsigned int tries)
{
	struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
	int quota = open("/sys/module/cmem/parameters/quota", O_WRONLY | O_CLOEXEC);
	int fd = open("/dev/cmem", O_RDWR | O_CLOEXEC);
	bool good = false;

	/* Undo a program's quota, or each block would differ from its state at boot. */
	if (quota >= 0 && write(quota, "\n", 1) != 1)
		return false;
	close(quota);
	for (unsigned int i = 0; i < tries && !good; i++) {
		good = try_restore(fd, what, size);
		if (good)
			break;
		/* Quarantined memory has no holder, but is not free. */
		for (int number = CMEM_BLOCK_CMA; number < MAX_BLOCKS; number++)
			release(fd, number);
		if (i)
			nanosleep(&pause, NULL);
	}
	close(fd);
	return good;
}

void blocks_remember(void)
{
	int fd = open("/dev/cmem", O_RDWR | O_CLOEXEC);

	for (int number = 0; number < MAX_BLOCKS; number++)
		if (look(fd, number, &at_boot[num_blocks]))
			num_blocks++;
	close(fd);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * /dev/cmem: opens it, or prints why that fails and how to fix it; and the ioctls that
 * several verbs use.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmemctl.h"

#define DEVICE "/dev/cmem"

static bool found_node;

static int look_for_node(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	char text[256];
	ssize_t length;
	int fd;

	(void)st;
	if (type != FTW_F || strcmp(path + ftw->base, "compatible"))
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	length = read(fd, text, sizeof(text));
	if (fd >= 0)
		close(fd);
	/* A list of NUL-terminated strings */
	for (ssize_t at = 0; at < length; at += strnlen(text + at, length - at) + 1)
		if (!strncmp(text + at, "ti,cmem", length - at))
			found_node = true;
	return found_node;
}

static bool device_tree_has_cmem(void)
{
	found_node = false;
	nftw("/sys/firmware/devicetree/base", look_for_node, 16, FTW_PHYS);
	return found_node;
}

static const char *device_tree_advice(void)
{
	if (access("/sys/firmware/devicetree/base", F_OK))
		return "This machine has no device tree: its blocks come from the kernel command line (cmem_cma_heapsize=, cmem.phys_start=) or from cmemctl load, see Documentation/misc-devices/cmem.rst.";
	if (!device_tree_has_cmem())
		return "The device tree has no node with compatible = \"ti,cmem\", which blocks come from: see the binding misc/ti,cmem.yaml.";
	return "The device tree has a ti,cmem node; what is wrong with one of its blocks is in the kernel's log: dmesg | grep cmem";
}

/* The name of a group; getgrgid() does not work in a static program. */
static void group_name(gid_t gid, char *name, size_t size)
{
	FILE *f = fopen("/etc/group", "re");
	char line[512], found[64];
	unsigned int id;

	snprintf(name, size, "%u", (unsigned int)gid);
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63[^:]:%*[^:]:%u", found, &id) == 2 && id == gid) {
			snprintf(name, size, "%s", found);
			break;
		}
	}
	if (f)
		fclose(f);
}

static void die_without_device(int error)
{
	char group[64];
	struct stat st;

	if (error == ENOENT && !access("/proc/cmem", F_OK))
		die("there is no " DEVICE ", although the kernel has CMEM: /proc/cmem is there.\nMount devtmpfs on /dev, or have udev or mdev make the node.");
	if (error == ENOENT || error == ENXIO || error == ENODEV)
		die("there is no " DEVICE ": this kernel has no CMEM. Is CONFIG_TI_CMEM on (zgrep TI_CMEM /proc/config.gz)?\n%s",
		    device_tree_advice());
	if (error == EACCES || error == EPERM) {
		if (stat(DEVICE, &st))
			die(DEVICE ": %s", strerror(error));
		group_name(st.st_gid, group, sizeof(group));
		if (!(st.st_mode & 0060) || !st.st_gid)
			die(DEVICE " is for root: run this as root, or give it to a group with a udev rule:\nKERNEL==\"cmem\", GROUP=\"cmem\", MODE=\"0660\"");
		die(DEVICE " is for root and the group '%s', which you (uid %u) are not in:\nusermod -a -G %s USER, and log in again",
		    group, (unsigned int)getuid(), group);
	}
	die(DEVICE ": %s", strerror(error));
}

int device_try_open(void)
{
	return open(DEVICE, O_RDWR | O_CLOEXEC);
}

static int open_for(int mode)
{
	struct cmem_info info = { .size = sizeof(info) };
	int fd = open(DEVICE, mode | O_CLOEXEC);

	if (fd < 0)
		die_without_device(errno);
	if (ioctl(fd, CMEM_IOCTL_GET_INFO, &info))
		die(DEVICE " does not answer as the in-tree driver does (%s): is the old cmemk.ko loaded? rmmod cmemk",
		    strerror(errno));
	return fd;
}

int device_open(void)
{
	return open_for(O_RDWR);
}

/* Mappings of this file are read-only, even for cache maintenance. */
int device_open_to_read(void)
{
	return open_for(O_RDONLY);
}

/* The version of the kernel's interface */
static unsigned int device_abi(int fd)
{
	static struct cmem_info info;

	if (!info.size) {
		info.size = sizeof(info);
		if (ioctl(fd, CMEM_IOCTL_GET_INFO, &info))
			info.abi_version = 1;
	}
	return info.abi_version;
}

int device_get_block(int fd, int id, struct cmem_block_info *info)
{
	*info = (struct cmem_block_info){ .size = sizeof(*info), .block = id };
	if (ioctl(fd, CMEM_IOCTL_GET_BLOCK, info))
		return -errno;
	/* Fields that an older kernel does not fill are zero. */
	if (device_abi(fd) < 4)
		info->quota = CMEM_NO_QUOTA;
	return 0;
}

int device_get_pool(int fd, int id, unsigned int pool, struct cmem_pool_info *info)
{
	*info = (struct cmem_pool_info){ .size = sizeof(*info), .block = id, .pool = pool };
	return ioctl(fd, CMEM_IOCTL_GET_POOL, info) ? -errno : 0;
}

static bool get_block(int fd, int id, struct block *block)
{
	if (device_get_block(fd, id, &block->info))
		return false;
	for (unsigned int i = 0; i < block->info.num_pools; i++)
		if (device_get_pool(fd, id, i, &block->pool[i]))
			return false;
	return true;
}

/* "0, 1 and 3" */
static void list_blocks(const struct blocks *blocks, char *text, size_t size)
{
	size_t length = 0;

	*text = 0;
	for (unsigned int i = 0; i < blocks->count && length < size; i++)
		length += snprintf(text + length, size - length, "%s%d",
				   !i ? "" : i + 1 == blocks->count ? " and " : ", ",
				   blocks->block[i].info.block);
}

void device_get_blocks(int fd, int id, struct blocks *blocks)
{
	unsigned int room = 0, found = 0;
	char text[256];

	*blocks = (struct blocks){ .info.size = sizeof(blocks->info) };
	if (ioctl(fd, CMEM_IOCTL_GET_INFO, &blocks->info))
		die(DEVICE ": GET_INFO: %s", strerror(errno));
	/* Their numbers may be far apart. */
	for (int64_t i = CMEM_BLOCK_CMA; i < blocks->info.block_limit &&
	     found < blocks->info.num_blocks + (i < 0); i++) {
		grow(blocks->block, blocks->count, room);
		if (!get_block(fd, i, &blocks->block[blocks->count]))
			continue;
		blocks->count++;
		found += i >= 0;
	}
	if (!blocks->count)
		die("the kernel has CMEM, but there is no block of memory.\n%s",
		    device_tree_advice());
	if (id == ALL_BLOCKS)
		return;

	for (unsigned int i = 0; i < blocks->count; i++) {
		if (blocks->block[i].info.block != id)
			continue;
		blocks->block[0] = blocks->block[i];
		blocks->count = 1;
		return;
	}
	list_blocks(blocks, text, sizeof(text));
	die("there is no block %d: there %s %s", id, blocks->count == 1 ? "is" : "are", text);
}

uint64_t blocks_free_bytes(const struct block *block)
{
	uint64_t bytes = block->info.heap_free;

	for (unsigned int i = 0; i < block->info.num_pools; i++)
		bytes += block->pool[i].free * block->pool[i].length;
	return bytes;
}

int device_alloc(int fd, struct cmem_alloc *alloc)
{
	alloc->size = sizeof(*alloc);
	return ioctl(fd, CMEM_IOCTL_ALLOC, alloc) ? -errno : 0;
}

int device_free(int fd, uint64_t phys)
{
	struct cmem_free arg = { .size = sizeof(arg), .phys_addr = phys };

	return ioctl(fd, CMEM_IOCTL_FREE, &arg) ? -errno : 0;
}

int device_add_block(int fd, struct cmem_block_add *add, const struct cmem_block_pool *pool)
{
	add->size = sizeof(*add);
	add->pools = (uintptr_t)pool;
	return ioctl(fd, CMEM_IOCTL_BLOCK_ADD, add) ? -errno : 0;
}

int device_remove_block(int fd, int id)
{
	struct cmem_block_remove arg = { .size = sizeof(arg), .block = id };

	return ioctl(fd, CMEM_IOCTL_BLOCK_REMOVE, &arg) ? -errno : 0;
}

int device_release(int fd, struct cmem_release *release)
{
	release->size = sizeof(*release);
	return ioctl(fd, CMEM_IOCTL_RELEASE, release) ? -errno : 0;
}

int device_sync(int fd, volatile void *address, uint64_t length, unsigned int op)
{
	struct cmem_sync_range range = {
		.user_addr = (uintptr_t)address, .length = length, .op = op,
	};
	struct cmem_sync sync = {
		.size = sizeof(sync), .ranges = (uintptr_t)&range, .num_ranges = 1,
	};

	return ioctl(fd, CMEM_IOCTL_SYNC, &sync) ? -errno : 0;
}

bool block_has_range(const struct block *block)
{
	return block->info.kind != CMEM_KIND_CMA;
}

/* A block's location, for people; overwritten by the next call. */
const char *block_range(const struct block *block)
{
	static char text[64];
	uint64_t base = block->info.base, last = base + block->info.length - 1;

	if (!block_has_range(block))
		return "an area for each pool";
	snprintf(text, sizeof(text), "%#" PRIx64 "-%#" PRIx64, base, last);
	return text;
}

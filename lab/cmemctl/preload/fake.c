// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded into cmemctl, a file in place of /dev/cmem: what read, write and fill do with
 * data, errors and caches can be seen without a guest. The file $CMEM_FAKE is block 0, at
 * BASE. A buffer of five pages is at +0x10000, one that is somebody else's at +0x40000,
 * and one of 36 MiB at +0x100000; where the file ends before a buffer does, the memory
 * does not answer. With $CMEM_FAKE_OLD, it is as before version 4 of the interface: mmap()
 * wants a registration. $CMEM_FAKE.log gets what cache maintenance was asked for, and
 * registrations.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/cmem.h>

#include "fake_open.h"

#define BASE 0x80000000ULL
#define LENGTH 0x4000000ULL

static const struct {
	uint64_t at, length;
	int others;
} buffers[] = {
	{ BASE + 0x10000, 0x5000, 0 },
	{ BASE + 0x40000, 0x1000, 1 },
	{ BASE + 0x100000, 0x2400000, 0 },
};

static int device = -1;
static struct {
	char *start;
	size_t length;
	uint64_t phys;
} mapping[4096];
static unsigned int mappings;
static uint64_t registered;

int fake_open(open_function *real, const char *path, int flags)
{
	(void)path;
	device = real(getenv("CMEM_FAKE"), flags);
	return device;
}

/* Of /proc/cmem, it has nothing to say. */
FILE *fopen64(const char *path, const char *mode)
{
	FILE *(*real)(const char *, const char *) = dlsym(RTLD_NEXT, "fopen64");

	return real(strcmp(path, "/proc/cmem") ? path : "/dev/null", mode);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset)
{
	void *(*real)(void *, size_t, int, int, int, off64_t) = dlsym(RTLD_NEXT, "mmap64");
	uint64_t phys = offset;
	void *start;

	if (fd < 0 || fd != device)
		return real(address, length, protection, flags, fd, offset);
	errno = EINVAL;
	for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
		if (phys - buffers[i].at >= buffers[i].length ||
		    length > buffers[i].at + buffers[i].length - phys)
			continue;
		errno = EPERM;
		if (buffers[i].others || (getenv("CMEM_FAKE_OLD") && registered != buffers[i].at))
			break;
		start = real(address, length, protection, flags, fd, phys - BASE);
		if (start != MAP_FAILED) {
			mapping[mappings].start = start;
			mapping[mappings].length = length;
			mapping[mappings++].phys = phys;
		}
		return start;
	}
	return MAP_FAILED;
}

/* The latest mapping of an address is the one that is there. */
static uint64_t phys_of(uint64_t address)
{
	for (unsigned int i = mappings; i-- > 0;)
		if (address - (uintptr_t)mapping[i].start < mapping[i].length)
			return mapping[i].phys + address - (uintptr_t)mapping[i].start;
	return 0;
}

static int resolve(struct cmem_resolve *arg)
{
	uint64_t phys = phys_of(arg->user_addr);

	for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
		if (phys - buffers[i].at >= buffers[i].length)
			continue;
		arg->phys_addr = phys;
		arg->buffer_addr = buffers[i].at;
		arg->buffer_length = buffers[i].length;
		return 0;
	}
	errno = EFAULT;
	return -1;
}

static int log_it(const char *what, uint64_t phys, uint64_t length)
{
	char name[4096];
	FILE *log;

	snprintf(name, sizeof(name), "%s.log", getenv("CMEM_FAKE"));
	log = fopen(name, "a");
	if (!log)
		return -1;
	fprintf(log, "%s %llx %llx\n", what, (unsigned long long)phys, (unsigned long long)length);
	fclose(log);
	return 0;
}

static int maintain(const struct cmem_sync *arg)
{
	const struct cmem_sync_range *range = (void *)(uintptr_t)arg->ranges;
	static const char *const ops[] = { "", "clean", "invalidate", "flush" };

	return log_it(ops[range->op], phys_of(range->user_addr), range->length);
}

static int register_for(uint64_t phys)
{
	for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
		if (phys != buffers[i].at)
			continue;
		if (buffers[i].others)
			break;
		registered = phys;
		return log_it("register", phys, 0);
	}
	errno = EPERM;
	return -1;
}

int ioctl(int fd, unsigned long request, ...)
{
	int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
	struct cmem_block_info *block;
	struct cmem_info *info;
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (fd != device)
		return real(fd, request, arg);
	switch (request) {
	case CMEM_IOCTL_GET_INFO:
		info = arg;
		info->abi_version = CMEM_ABI_VERSION;
		info->num_blocks = info->block_limit = 1;
		return 0;
	case CMEM_IOCTL_GET_BLOCK:
		block = arg;
		errno = ENOENT;
		if (block->block)
			return -1;
		block->base = BASE;
		block->length = LENGTH;
		return 0;
	case CMEM_IOCTL_RESOLVE:
		return resolve(arg);
	case CMEM_IOCTL_REGISTER:
		return register_for(((struct cmem_register *)arg)->phys_addr);
	case CMEM_IOCTL_FREE:
		return log_it("free", ((struct cmem_free *)arg)->phys_addr, 0);
	case CMEM_IOCTL_SYNC:
		return maintain(arg);
	}
	errno = ENOTTY;
	return -1;
}

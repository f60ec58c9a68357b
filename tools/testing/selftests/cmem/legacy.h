/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a program built against the library of the out-of-tree driver sends to
 * /dev/cmem: its numbers and structures, which depend on the size of a long, and
 * one C call an ioctl.
 */
#ifndef CMEM_LEGACY_H
#define CMEM_LEGACY_H

#include "cmem_test.h"

#define OLD(nr)		(0xfe00 | (nr))
#define OLD_WB		0x00010000
#define OLD_INV		0x00020000
#define OLD_HEAP	0x00040000
#define OLD_CACHED	0x00080000
#define OLD_PHYS	0x00100000

#define OLD_ALLOC		OLD(1)
#define OLD_ALLOCHEAP		OLD(2)
#define OLD_FREE		OLD(3)
#define OLD_GETPHYS		OLD(4)
#define OLD_GETSIZE		OLD(5)
#define OLD_GETPOOL		OLD(6)
#define OLD_CACHE		OLD(7)
#define OLD_GETVERSION		OLD(8)
#define OLD_GETBLOCK		OLD(9)
#define OLD_REGUSER		OLD(10)
#define OLD_GETNUMBLOCKS	OLD(11)
#define OLD_CACHEWBINVALL	OLD(12)
#define OLD_EXPORTDMABUF	OLD(13)

struct old_buf {
	__u64 phys;
	__u64 size;
};

union old_alloc {
	struct { int pool, block; } in;
	struct old_buf out;
};

union old_allocheap {
	struct { size_t size, align; int block; } in;
	__u64 phys;
};

union old_free {
	unsigned long addr;
	__u64 phys;
	struct { int pool; size_t size; } out;
};

union old_getphys {
	unsigned long addr;
	__u64 phys;
};

union old_getsize {
	struct { int pool, block; } in;
	int size;
};

union old_getpool {
	struct { __u64 size; int block; } in;
	int pool;
};

struct old_cache {
	unsigned long addr;
	size_t size;
};

union old_getblock {
	int block;
	struct old_buf out;
};

union old_reguser {
	__u64 phys;
	size_t size;
};

struct old_exportdmabuf {
	unsigned long addr;
	int fd;
};

/* Each returns 0 or a negative errno, and on failure sets nothing. */

static inline int old_alloc(int fd, int block, int pool, unsigned int flags,
			    struct old_buf *buf)
{
	union old_alloc arg = { .in = { .pool = pool, .block = block } };
	int ret = cmem_ioctl(fd, OLD_ALLOC | flags, &arg);

	if (!ret)
		*buf = arg.out;
	return ret;
}

/* As size the driver tells nothing: it is what was asked for, in whole pages. */
static inline int old_allocheap(int fd, int block, size_t size, size_t align,
				unsigned int flags, struct old_buf *buf)
{
	union old_allocheap arg = { .in = { .size = size, .align = align, .block = block } };
	int ret = cmem_ioctl(fd, OLD_ALLOCHEAP | flags, &arg);

	if (!ret)
		*buf = (struct old_buf){ arg.phys, (size + page_size() - 1) & -page_size() };
	return ret;
}

static inline int old_free_out(int fd, const volatile void *addr, unsigned int flags,
			       int *pool, size_t *size)
{
	union old_free arg;
	int ret;

	memset(&arg, 0x5a, sizeof(arg));
	arg.addr = (unsigned long)addr;
	ret = cmem_ioctl(fd, OLD_FREE | flags, &arg);
	if (!ret) {
		*pool = arg.out.pool;
		*size = arg.out.size;
	}
	return ret;
}

static inline int old_free(int fd, const volatile void *addr)
{
	size_t size;
	int pool;

	return old_free_out(fd, addr, 0, &pool, &size);
}

static inline int old_freephys(int fd, __u64 phys)
{
	return cmem_ioctl(fd, OLD_FREE | OLD_PHYS, &phys);
}

static inline int old_getphys(int fd, const volatile void *addr, __u64 *phys)
{
	union old_getphys arg;
	int ret;

	/* Behind a long of four bytes there is anything. */
	memset(&arg, 0x5a, sizeof(arg));
	arg.addr = (unsigned long)addr;
	ret = cmem_ioctl(fd, OLD_GETPHYS, &arg);
	if (!ret)
		*phys = arg.phys;
	return ret;
}

static inline int old_getsize(int fd, int block, int pool, int *size)
{
	union old_getsize arg = { .in = { .pool = pool, .block = block } };
	int ret = cmem_ioctl(fd, OLD_GETSIZE, &arg);

	if (!ret)
		*size = arg.size;
	return ret;
}

static inline int old_getpool(int fd, int block, __u64 size, int *pool)
{
	union old_getpool arg = { .in = { .size = size, .block = block } };
	int ret = cmem_ioctl(fd, OLD_GETPOOL, &arg);

	if (!ret)
		*pool = arg.pool;
	return ret;
}

static inline int old_cache(int fd, const volatile void *addr, size_t size, unsigned int flags)
{
	struct old_cache arg = { .addr = (unsigned long)addr, .size = size };

	return cmem_ioctl(fd, OLD_CACHE | flags, &arg);
}

static inline int old_getversion(int fd, unsigned int *version)
{
	return cmem_ioctl(fd, OLD_GETVERSION, version);
}

static inline int old_getblock(int fd, int block, struct old_buf *out)
{
	union old_getblock arg = { .block = block };
	int ret = cmem_ioctl(fd, OLD_GETBLOCK, &arg);

	if (!ret)
		*out = arg.out;
	return ret;
}

static inline int old_reguser(int fd, __u64 phys, size_t *size)
{
	union old_reguser arg = { .phys = phys };
	int ret = cmem_ioctl(fd, OLD_REGUSER, &arg);

	if (!ret)
		*size = arg.size;
	return ret;
}

/* A file descriptor, or a negative errno */
static inline int old_exportdmabuf(int fd, const volatile void *addr)
{
	struct old_exportdmabuf arg = { .addr = (unsigned long)addr, .fd = -1 };
	int ret = cmem_ioctl(fd, OLD_EXPORTDMABUF, &arg);

	return ret ? ret : arg.fd;
}

/* From a pool, or from a heap. */
static inline int old_source_alloc(int fd, const struct source *src, unsigned int flags,
				   struct old_buf *buf)
{
	if (src->pool == CMEM_POOL_HEAP)
		return old_allocheap(fd, src->block, src->length, 0, flags, buf);
	return old_alloc(fd, src->block, src->pool, flags, buf);
}

/* SKIP where the kernel was built without the old interface. */
#define OLD_OR_SKIP(fd) do {						\
	unsigned int _version;						\
									\
	if (old_getversion(fd, &_version) == -ENOTTY)			\
		SKIP(return, "no CONFIG_TI_CMEM_LEGACY_ABI");		\
} while (0)

/* The parameters of the driver. */

#define PARAMETERS "/sys/module/cmem/parameters/"

static inline int parameter_read(const char *name, char *value, size_t size)
{
	char path[128];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	got = read(fd, value, size - 1);
	close(fd);
	if (got < 0)
		return -EIO;
	value[got] = 0;
	value[strcspn(value, "\n")] = 0;
	return 0;
}

static inline int parameter_write(const char *name, const char *value)
{
	int fd, ret = 0;
	char path[128];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

#endif /* CMEM_LEGACY_H */

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DMA-BUFs, for the selftests that create or receive them: one C call per ioctl, the
 * heaps, and vgem, a driver that imports.
 */
#ifndef CMEM_DMABUF_H
#define CMEM_DMABUF_H

#include <dirent.h>
#include <sys/resource.h>

#include <drm/drm.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>

#include "cmem_test.h"

#define DMA_HEAPS "/dev/dma_heap"

#define DMABUF_OR_SKIP(fd) do {						\
	struct cmem_info _info;						\
									\
	ASSERT_EQ(0, cmem_get_info(fd, &_info));			\
	if (!(_info.features & CMEM_FEATURE_DMABUF))			\
		SKIP(return, "no DMA-BUFs in this kernel's CMEM");	\
} while (0)

/* These return a file descriptor or a negative errno. */

static inline int cmem_export(int fd, __u64 phys_addr, __u32 fd_flags)
{
	struct cmem_export arg = {
		.size = sizeof(arg), .phys_addr = phys_addr, .fd_flags = fd_flags, .fd = -1,
	};
	int ret = cmem_ioctl(fd, CMEM_IOCTL_EXPORT, &arg);

	return ret ? ret : arg.fd;
}

static inline int dma_heap_open_name(const char *name)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), DMA_HEAPS "/%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The heap of a block, or its uncached one if @what is "-uncached" */
static inline int dma_heap_open_as(__s32 block, const char *what)
{
	char name[64];

	if (block == CMEM_BLOCK_CMA)
		snprintf(name, sizeof(name), "cmem-cma%s", what);
	else
		snprintf(name, sizeof(name), "cmem-%d%s", block, what);
	return dma_heap_open_name(name);
}

static inline int dma_heap_open(__s32 block)
{
	return dma_heap_open_as(block, "");
}

static inline int dma_heap_alloc_flags(int heap, __u64 length, __u32 fd_flags)
{
	struct dma_heap_allocation_data arg = { .len = length, .fd_flags = fd_flags };
	int ret = cmem_ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &arg);

	return ret ? ret : (int)arg.fd;
}

static inline int dma_heap_alloc(int heap, __u64 length)
{
	return dma_heap_alloc_flags(heap, length, O_RDWR | O_CLOEXEC);
}

/* A DMA-BUF of one page that is not CMEM's */
static inline int foreign_dmabuf(void)
{
	struct udmabuf_create create = { .flags = UDMABUF_FLAGS_CLOEXEC, .size = page_size() };
	int heap = open(DMA_HEAPS "/system", O_RDWR | O_CLOEXEC), device, fd = -ENODEV;

	if (heap >= 0) {
		fd = dma_heap_alloc(heap, page_size());
		close(heap);
		return fd;
	}
	device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	create.memfd = memfd_create("cmem", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (device >= 0 && (int)create.memfd >= 0 && !ftruncate(create.memfd, create.size) &&
	    !fcntl(create.memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		fd = cmem_ioctl(device, UDMABUF_CREATE, &create);
	close(create.memfd);
	close(device);
	return fd;
}

/* These return 0 or a negative errno. */

static inline int cmem_register_dmabuf_info(int fd, int dmabuf, struct cmem_register *reg)
{
	*reg = (struct cmem_register){
		.size = sizeof(*reg), .flags = CMEM_REGISTER_DMABUF, .dmabuf_fd = dmabuf,
		/* Ignored */
		.phys_addr = 0x123456789abcdefULL,
	};
	return cmem_ioctl(fd, CMEM_IOCTL_REGISTER, reg);
}

static inline int cmem_register_dmabuf(int fd, int dmabuf)
{
	struct cmem_register reg;

	return cmem_register_dmabuf_info(fd, dmabuf, &reg);
}

/* DMA_BUF_SYNC_START or _END, with _READ, _WRITE or _RW */
static inline int dmabuf_sync(int dmabuf, __u64 flags)
{
	struct dma_buf_sync sync = { .flags = flags };

	return cmem_ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync);
}

static inline void *dmabuf_map(int dmabuf, __u64 offset, size_t length)
{
	return mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, offset);
}

/* The number of file descriptors of this process, including reserved but unused ones */
static inline int count_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 128; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 || (dup2(0, fd) < 0 && errno == EBUSY))
			count++;
		else
			close(fd);
	}
	return count;
}

/* Whether memory has a struct page, which devices need: true if that is unknown. */
static inline bool has_page(__u64 phys_addr)
{
	int fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	__u64 flags = 0;
	ssize_t got;

	if (fd < 0)
		return true;
	got = pread(fd, &flags, sizeof(flags), phys_addr / page_size() * sizeof(flags));
	close(fd);
	/* Bit 20: KPF_NOPAGE */
	return got == sizeof(flags) && !(flags >> 20 & 1);
}

/* vgem: a virtual GPU driver that imports DMA-BUFs like a real one. -1 without vgem. */
static inline int vgem_open(void)
{
	for (int card = 0; card < 16; card++) {
		char path[32], name[5] = "";
		struct drm_version version = { .name_len = 4, .name = name };
		int fd;

		snprintf(path, sizeof(path), "/dev/dri/card%d", card);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (!ioctl(fd, DRM_IOCTL_VERSION, &version) && !strcmp(name, "vgem"))
			return fd;
		close(fd);
	}
	return -1;
}

/* Attaches the device and maps the memory for it. */
static inline int vgem_import(int vgem, int dmabuf, __u32 *handle)
{
	struct drm_prime_handle arg = { .fd = dmabuf };
	int ret = cmem_ioctl(vgem, DRM_IOCTL_PRIME_FD_TO_HANDLE, &arg);

	if (!ret)
		*handle = arg.handle;
	return ret;
}

static inline int vgem_close_handle(int vgem, __u32 handle)
{
	struct drm_gem_close arg = { .handle = handle };

	return cmem_ioctl(vgem, DRM_IOCTL_GEM_CLOSE, &arg);
}

/* The DMA-BUF that was imported: a file descriptor, or a negative errno */
static inline int vgem_export(int vgem, __u32 handle)
{
	struct drm_prime_handle arg = { .handle = handle, .flags = O_CLOEXEC | O_RDWR, .fd = -1 };
	int ret = cmem_ioctl(vgem, DRM_IOCTL_PRIME_HANDLE_TO_FD, &arg);

	return ret ? ret : arg.fd;
}

#endif /* CMEM_DMABUF_H */

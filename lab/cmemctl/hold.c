// SPDX-License-Identifier: GPL-2.0
/*
 * A program that is not cmemctl and holds a page of block 0: prints its address
 * and waits for a signal. With an argument it closes the file first, so that the buffer
 * is held by something else alone: "mapped", a mapping; "exported", a DMA-BUF; "kept", a
 * mapping of one; "vgem", another driver. With "heap" it is from the block's DMA-BUF heap,
 * and "heap" is printed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <drm/drm.h>
#include <linux/cmem.h>
#include <linux/dma-heap.h>

#define LENGTH 4096

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int from_heap(void)
{
	struct dma_heap_allocation_data data = { .len = LENGTH, .fd_flags = O_RDWR };
	int heap = open("/dev/dma_heap/cmem-0", O_RDWR);

	if (heap < 0 || ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data))
		die("/dev/dma_heap/cmem-0");
	close(heap);
	return data.fd;
}

static int export(int fd, __u64 phys)
{
	struct cmem_export e = { .size = sizeof(e), .phys_addr = phys, .fd_flags = O_RDWR };

	if (ioctl(fd, CMEM_IOCTL_EXPORT, &e))
		die("CMEM_IOCTL_EXPORT");
	return e.fd;
}

static void map(int fd, off_t offset)
{
	if (mmap(NULL, LENGTH, PROT_READ, MAP_SHARED, fd, offset) == MAP_FAILED)
		die("mmap");
}

/* vgem is a GPU that is none, and takes DMA-BUFs as one does. */
static void import(int dmabuf)
{
	struct drm_prime_handle handle = { .fd = dmabuf };
	char path[32], name[16];

	for (int i = 0; i < 8; i++) {
		struct drm_version version = { .name_len = sizeof(name) - 1, .name = name };
		int gpu;

		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		gpu = open(path, O_RDWR);
		memset(name, 0, sizeof(name));
		if (gpu < 0 || ioctl(gpu, DRM_IOCTL_VERSION, &version) || strcmp(name, "vgem")) {
			if (gpu >= 0)
				close(gpu);
			continue;
		}
		if (!ioctl(gpu, DRM_IOCTL_PRIME_FD_TO_HANDLE, &handle))
			return;
		/* It wants struct pages, which a carveout may be without. */
		if (errno != EOPNOTSUPP)
			die("DRM_IOCTL_PRIME_FD_TO_HANDLE");
	}
	puts("no vgem, or none for this memory");
}

int main(int argc, char **argv)
{
	struct cmem_alloc a = { .size = sizeof(a), .pool = CMEM_POOL_BEST, .length = LENGTH };
	const char *how = argc > 1 ? argv[1] : "";
	int fd, dmabuf;

	if (!strcmp(how, "heap")) {
		from_heap();
		puts("heap");
		fflush(stdout);
		pause();
		return 0;
	}
	fd = open("/dev/cmem", O_RDWR);
	if (fd < 0 || ioctl(fd, CMEM_IOCTL_ALLOC, &a))
		die("/dev/cmem");
	if (!strcmp(how, "mapped"))
		map(fd, a.mmap_offset);
	if (!strcmp(how, "exported"))
		export(fd, a.phys_addr);
	if (!strcmp(how, "kept") || !strcmp(how, "vgem")) {
		dmabuf = export(fd, a.phys_addr);
		if (!strcmp(how, "kept"))
			map(dmabuf, 0);
		else
			import(dmabuf);
		close(dmabuf);
	}
	if (*how)
		close(fd);
	printf("%#llx\n", (unsigned long long)a.phys_addr);
	fflush(stdout);
	pause();
	return 0;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * A program that is not cmemctl and holds a page of block 0: prints its address
 * and waits for a signal. With the argument "mapped" or "exported" it closes the file
 * first, so that only a mapping or a DMA-BUF holds the buffer.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/cmem.h>

int main(int argc, char **argv)
{
	struct cmem_alloc a = { .size = sizeof(a), .pool = CMEM_POOL_BEST, .length = 4096 };
	int fd = open("/dev/cmem", O_RDWR);

	if (fd < 0 || ioctl(fd, CMEM_IOCTL_ALLOC, &a)) {
		perror("/dev/cmem");
		return 1;
	}
	if (argc > 1 && !strcmp(argv[1], "exported")) {
		struct cmem_export e = { .size = sizeof(e), .phys_addr = a.phys_addr };

		if (ioctl(fd, CMEM_IOCTL_EXPORT, &e)) {
			perror("CMEM_IOCTL_EXPORT");
			return 1;
		}
		close(fd);
	} else if (argc > 1) {
		if (mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, a.mmap_offset) == MAP_FAILED) {
			perror("mmap");
			return 1;
		}
		close(fd);
	}
	printf("%#llx\n", (unsigned long long)a.phys_addr);
	fflush(stdout);
	pause();
	return 0;
}

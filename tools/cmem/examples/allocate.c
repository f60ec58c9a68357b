// SPDX-License-Identifier: BSD-3-Clause
/*
 * Allocates a buffer, prints its addresses, and maintains the caches before and
 * after a device's work.
 *
 *	cc -o allocate allocate.c $(pkg-config --cflags --libs cmem)
 *	./allocate [BYTES]
 */
#define _FILE_OFFSET_BITS 64	/* physical addresses may have more than 32 bits */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ti/cmem.h>

int main(int argc, char **argv)
{
	CMEM_AllocParams params = { .type = CMEM_HEAP, .flags = CMEM_CACHED, .alignment = 4096 };
	size_t size = argc > 1 ? strtoull(argv[1], NULL, 0) : 100000;
	unsigned char *buf;

	if (CMEM_init()) {
		fprintf(stderr, "CMEM_init: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	buf = CMEM_alloc(size, &params);
	if (!buf) {
		fprintf(stderr, "CMEM_alloc of %zu bytes: %s\n", size, strerror(errno));
		CMEM_exit();
		return EXIT_FAILURE;
	}
	printf("%zu bytes at %p, physical address %#llx\n", size, (void *)buf,
	       (unsigned long long)CMEM_getPhys(buf));

	/* Data for the device must leave the CPU's caches first. */
	memset(buf, 0x55, size);
	CMEM_cacheWbInv(buf, size);

	/* Here the device would read and write the buffer by its physical address. */

	/* The CPU must not keep an older copy of what the device wrote. */
	CMEM_cacheInv(buf, size);
	printf("first byte %#x, last byte %#x\n", buf[0], buf[size - 1]);

	CMEM_free(buf, &params);
	CMEM_exit();
	return EXIT_SUCCESS;
}

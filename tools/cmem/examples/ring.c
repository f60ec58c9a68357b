// SPDX-License-Identifier: BSD-3-Clause
/*
 * A ring of frames from a pool: a camera fills them and a program reads them. It
 * allocates nothing while it runs. Each frame passes back and forth between the CPU
 * and a device, which uses its physical address.
 *
 *	cc -o ring ring.c $(pkg-config --cflags --libs cmem) -pthread
 *	./ring [FRAMES]
 *
 * The camera is a thread here. A real one would get the physical addresses.
 */
#define _FILE_OFFSET_BITS 64	/* physical addresses may have more than 32 bits */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ti/cmem.h>

#define WIDTH 160
#define HEIGHT 120
#define RING 4

struct frame {
	unsigned char *pixels;
	off_t phys;
};

static const size_t frame_size = WIDTH * HEIGHT;
static struct frame ring[RING];
static sem_t empty, filled;	/* frames of the camera, and of the program */
static unsigned int frames = 100;

static void *camera(void *unused)
{
	for (unsigned int n = 0; n < frames; n++) {
		while (sem_wait(&empty))
			continue;
		memset(ring[n % RING].pixels, n & 0xff, frame_size);
		/* A device writes to memory; a thread's data must be written back. */
		CMEM_cacheWb(ring[n % RING].pixels, frame_size);
		sem_post(&filled);
	}
	return unused;
}

/* All from one pool: buffers of other sizes can't fragment it */
static int allocate_ring(CMEM_AllocParams *params)
{
	int pool = CMEM_getPool(frame_size);

	if (pool < 0)
		return -1;
	for (int i = 0; i < RING; i++) {
		ring[i].pixels = CMEM_allocPool(pool, params);
		if (!ring[i].pixels)
			return -1;
		ring[i].phys = CMEM_getPhys(ring[i].pixels);
		/* No cache line may be written back over the camera's data. */
		CMEM_cacheWbInv(ring[i].pixels, frame_size);
		printf("frame %d of pool %d: physical address %#llx\n", i, pool,
		       (unsigned long long)ring[i].phys);
	}
	return 0;
}

int main(int argc, char **argv)
{
	CMEM_AllocParams params = { .type = CMEM_POOL, .flags = CMEM_CACHED };
	unsigned int wrong = 0;
	pthread_t thread;

	if (argc > 1)
		frames = strtoul(argv[1], NULL, 0);
	if (CMEM_init()) {
		fprintf(stderr, "CMEM_init: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	if (allocate_ring(&params)) {
		fprintf(stderr, "no %d buffers of %zu bytes in the pools of block 0: %s\n", RING,
			frame_size, strerror(errno));
		/* The kernel frees this process's buffers when it ends. */
		return EXIT_FAILURE;
	}

	sem_init(&empty, 0, RING);
	sem_init(&filled, 0, 0);
	if (pthread_create(&thread, NULL, camera, NULL)) {
		fprintf(stderr, "no thread for the camera\n");
		return EXIT_FAILURE;
	}
	for (unsigned int n = 0; n < frames; n++) {
		const struct frame *frame = &ring[n % RING];

		while (sem_wait(&filled))
			continue;
		CMEM_cacheInv(frame->pixels, frame_size);
		if (frame->pixels[0] != (n & 0xff) ||
		    memcmp(frame->pixels, frame->pixels + 1, frame_size - 1))
			wrong++;
		CMEM_cacheWbInv(frame->pixels, frame_size);
		sem_post(&empty);
	}
	pthread_join(thread, NULL);
	printf("%u frames, %u of them wrong\n", frames, wrong);

	for (int i = 0; i < RING; i++)
		CMEM_free(ring[i].pixels, &params);
	CMEM_exit();
	return wrong ? EXIT_FAILURE : EXIT_SUCCESS;
}

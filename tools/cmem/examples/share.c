// SPDX-License-Identifier: BSD-3-Clause
/*
 * Two processes share a buffer: one allocates it and sends its physical address,
 * the other registers for it. The memory stays until both release it.
 *
 *	cc -o share share.c $(pkg-config --cflags --libs cmem)
 *	./share
 */
#define _FILE_OFFSET_BITS 64	/* physical addresses may have more than 32 bits */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <ti/cmem.h>
#include <unistd.h>

#define SIZE 4096

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

/* Owns the buffer first. */
static void producer(int pipe_end)
{
	char *buf;
	off_t phys;

	if (CMEM_init())
		die("producer: CMEM_init");
	buf = CMEM_alloc(SIZE, NULL);
	if (!buf)
		die("producer: CMEM_alloc");
	phys = CMEM_getPhys(buf);
	strcpy(buf, "a message in physical memory");
	printf("producer: wrote to %#llx\n", (unsigned long long)phys);
	fflush(stdout);
	if (write(pipe_end, &phys, sizeof(phys)) != sizeof(phys))
		die("producer: write");

	/* The address is valid only while a process holds the buffer: wait. */
	if (wait(NULL) < 0)
		die("producer: wait");
	CMEM_free(buf, NULL);
	CMEM_exit();
}

/* Gets only the address, and registers for the buffer. */
static void consumer(int pipe_end)
{
	char *buf;
	off_t phys;

	if (read(pipe_end, &phys, sizeof(phys)) != sizeof(phys)) {
		fprintf(stderr, "consumer: the producer has sent no address\n");
		exit(1);
	}
	if (CMEM_init())
		die("consumer: CMEM_init");
	buf = CMEM_registerAlloc(phys);
	if (!buf)
		die("consumer: CMEM_registerAlloc");
	printf("consumer: read \"%s\" at %#llx\n", buf, (unsigned long long)phys);
	CMEM_unregister(buf, NULL);
	CMEM_exit();
}

int main(void)
{
	int ends[2];
	pid_t pid;

	/*
	 * Before CMEM_init(): a child forked later shares its parent's file, and so is
	 * the same owner and does not register.
	 */
	if (pipe(ends))
		die("pipe");
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		close(ends[1]);
		consumer(ends[0]);
		return EXIT_SUCCESS;
	}
	close(ends[0]);
	producer(ends[1]);
	return EXIT_SUCCESS;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers with a pattern: each word encodes its physical address.
 *
 *	pattern hold <block>[:cached|:pinned][:heap-size] ... -- <command> ...
 *		allocates a buffer in each of these blocks (from pool 0, or that many bytes of
 *		the heap), fills it, runs the command with the physical addresses in
 *		$ADDRESSES, and then checks the pattern in the same mappings. A pinned buffer
 *		is page-backed: its pages are put into a pipe, it is unmapped and freed, and
 *		the pattern is checked in what the pipe has.
 *	pattern look <address> ...
 *		checks it in unowned memory: /dev/mem
 *	pattern dump <address> ...
 *		checks it in the memory of the crashed kernel: /proc/vmcore
 *	pattern find <block> <address> ...
 *		checks it in buffers: allocates all of pool 0, including those at these
 *		addresses
 *
 *	pattern zero <block>
 *		allocates all of pool 0, and checks that it is all zero
 *
 * It fills and compares the first LENGTH bytes of a buffer. Exit status: 0 on success,
 * 1 on a mismatch, 2 on an earlier error.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/cmem.h>

#define LENGTH		(64 * 1024)
#define MAX_BUFFERS	8

static uint64_t word_at(uint64_t address)
{
	return address ^ 0x636d656d70617474ULL;	/* "cmempatt" */
}

/* How many words of the pattern a mapping of an address contains */
static int compare(const char *what, const volatile uint64_t *words, uint64_t address)
{
	unsigned int i, wrong = 0;

	for (i = 0; i < LENGTH / sizeof(*words); i++) {
		uint64_t at = address + i * sizeof(*words);

		if (words[i] == word_at(at))
			continue;
		if (!wrong++)
			printf("# %s: %#llx is %#llx at %#llx\n", what, (unsigned long long)word_at(at),
			       (unsigned long long)words[i], (unsigned long long)at);
	}
	if (wrong)
		printf("# %s: %u of %u words at %#llx are wrong\n", what, wrong, i,
		       (unsigned long long)address);
	return !!wrong;
}

static int look(int argc, char **argv)
{
	int fd = open("/dev/mem", O_RDONLY | O_SYNC);
	int i, wrong = 0;

	if (fd < 0) {
		perror("/dev/mem");
		return 2;
	}
	for (i = 0; i < argc; i++) {
		uint64_t address = strtoull(argv[i], NULL, 0);
		void *p = mmap(NULL, LENGTH, PROT_READ, MAP_SHARED, fd, address);

		if (p == MAP_FAILED) {
			perror(argv[i]);
			return 2;
		}
		wrong |= compare("/dev/mem", p, address);
		munmap(p, LENGTH);
	}
	return wrong;
}

/* The file offset of a memory address, or -1 */
static off_t dump_offset(int fd, uint64_t address)
{
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	unsigned int i;

	if (pread(fd, &header, sizeof(header), 0) != sizeof(header))
		return -1;
	for (i = 0; i < header.e_phnum; i++) {
		if (pread(fd, &segment, sizeof(segment), header.e_phoff + i * sizeof(segment)) !=
		    sizeof(segment))
			return -1;
		if (segment.p_type == PT_LOAD && address - segment.p_paddr < segment.p_filesz)
			return segment.p_offset + (address - segment.p_paddr);
	}
	return -1;
}

static int dump(int argc, char **argv)
{
	static uint64_t words[LENGTH / sizeof(uint64_t)];
	int fd = open("/proc/vmcore", O_RDONLY);
	int i, wrong = 0;

	if (fd < 0) {
		perror("/proc/vmcore");
		return 2;
	}
	for (i = 0; i < argc; i++) {
		uint64_t address = strtoull(argv[i], NULL, 0);
		off_t offset = dump_offset(fd, address);

		if (offset < 0) {
			printf("# /proc/vmcore does not have %s\n", argv[i]);
			wrong = 1;
		} else if (pread(fd, words, LENGTH, offset) != LENGTH) {
			perror("/proc/vmcore");
			wrong = 1;
		} else {
			wrong |= compare("/proc/vmcore", words, address);
		}
	}
	return wrong;
}

static int find(int block, int argc, char **argv)
{
	struct cmem_alloc alloc;
	int fd = open("/dev/cmem", O_RDWR);
	int i, found = 0, wrong = 0;

	if (fd < 0) {
		perror("/dev/cmem");
		return 2;
	}
	for (;;) {
		void *p;

		alloc = (struct cmem_alloc) {
			.size = sizeof(alloc),
			.block = block,
		};
		if (ioctl(fd, CMEM_IOCTL_ALLOC, &alloc))
			break;
		for (i = 0; i < argc; i++)
			if (alloc.phys_addr == strtoull(argv[i], NULL, 0))
				break;
		if (i == argc)
			continue;
		found++;
		p = mmap(NULL, LENGTH, PROT_READ, MAP_SHARED, fd, alloc.mmap_offset);
		if (p == MAP_FAILED) {
			perror("mmap");
			return 2;
		}
		wrong |= compare("/dev/cmem", p, alloc.phys_addr);
	}
	if (found != argc)
		printf("# block %d: %d of %d buffers found\n", block, found, argc);
	return wrong || found != argc;
}

static int zero(int block)
{
	int fd = open("/dev/cmem", O_RDWR);
	int count = 0, wrong = 0;

	if (fd < 0) {
		perror("/dev/cmem");
		return 2;
	}
	for (;; count++) {
		struct cmem_alloc alloc = {
			.size = sizeof(alloc),
			.block = block,
		};
		const uint64_t *words;
		uint64_t i;

		if (ioctl(fd, CMEM_IOCTL_ALLOC, &alloc))
			break;
		words = mmap(NULL, alloc.length, PROT_READ, MAP_SHARED, fd, alloc.mmap_offset);
		if (words == MAP_FAILED) {
			perror("mmap");
			return 2;
		}
		for (i = 0; i < alloc.length / sizeof(*words) && !words[i]; i++)
			;
		if (i < alloc.length / sizeof(*words)) {
			printf("# block %d: %#llx at %#llx\n", block, (unsigned long long)words[i],
			       (unsigned long long)(alloc.phys_addr + i * sizeof(*words)));
			wrong = 1;
		}
		munmap((void *)words, alloc.length);
	}
	return wrong || !count;
}

/* Puts the pages of a mapping into a pipe. Returns the end to read from, or -1. */
static int put_into_pipe(void *words)
{
	struct iovec iov = { .iov_base = words, .iov_len = LENGTH };
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) || fcntl(fds[1], F_SETPIPE_SZ, LENGTH) < 0 ||
	    vmsplice(fds[1], &iov, 1, SPLICE_F_NONBLOCK) != LENGTH) {
		perror("pattern: vmsplice");
		return -1;
	}
	close(fds[1]);
	return fds[0];
}

/* Reads all that is in a pipe. */
static uint64_t *read_pipe(int fd)
{
	char *words = malloc(LENGTH);
	size_t done;
	ssize_t got;

	for (done = 0; words && done < LENGTH; done += got) {
		got = read(fd, words + done, LENGTH - done);
		if (got <= 0) {
			perror("pattern: the pipe");
			exit(2);
		}
	}
	return (uint64_t *)words;
}

/* Returns the mapping, or NULL for an error. *pipe_fd is the pipe of a pinned buffer. */
static uint64_t *hold_one(int fd, const char *what, uint64_t *address, int *pipe_fd)
{
	struct cmem_alloc alloc = {
		.size = sizeof(alloc),
		.length = LENGTH,
	};
	bool pinned = false;
	unsigned int i;
	uint64_t *words;
	char *rest;

	alloc.block = strtol(what, &rest, 0);
	if (!strncmp(rest, ":cached", 7)) {
		alloc.flags = CMEM_ALLOC_CACHED;
		rest += 7;
	} else if (!strncmp(rest, ":pinned", 7)) {
		alloc.flags = CMEM_ALLOC_CACHED | CMEM_ALLOC_PAGES;
		pinned = true;
		rest += 7;
	}
	if (*rest == ':') {
		alloc.pool = CMEM_POOL_HEAP;
		alloc.length = strtoull(rest + 1, &rest, 0);
	}
	if (*rest) {
		fprintf(stderr, "pattern: '%s' is no block\n", what);
		return NULL;
	}
	if (ioctl(fd, CMEM_IOCTL_ALLOC, &alloc)) {
		fprintf(stderr, "pattern: %s: %s\n", what, strerror(errno));
		return NULL;
	}
	words = mmap(NULL, alloc.length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, alloc.mmap_offset);
	if (words == MAP_FAILED) {
		fprintf(stderr, "pattern: mmap %s: %s\n", what, strerror(errno));
		return NULL;
	}
	for (i = 0; i < LENGTH / sizeof(*words); i++)
		words[i] = word_at(alloc.phys_addr + i * sizeof(*words));
	*address = alloc.phys_addr;
	if (pinned) {
		struct cmem_free free = { .size = sizeof(free), .phys_addr = alloc.phys_addr };

		*pipe_fd = put_into_pipe(words);
		if (*pipe_fd < 0)
			return NULL;
		munmap(words, alloc.length);
		if (ioctl(fd, CMEM_IOCTL_FREE, &free)) {
			perror("pattern: CMEM_IOCTL_FREE");
			return NULL;
		}
	}
	return words;
}

static int hold(int argc, char **argv)
{
	char addresses[MAX_BUFFERS * 20] = "";
	uint64_t *words[MAX_BUFFERS];
	uint64_t address[MAX_BUFFERS];
	int pipe_fds[MAX_BUFFERS];
	int fd, i, count, status, wrong = 0;
	pid_t child;

	fd = open("/dev/cmem", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		perror("/dev/cmem");
		return 2;
	}
	for (count = 0; count < argc && strcmp(argv[count], "--"); count++) {
		if (count == MAX_BUFFERS)
			return 2;
		pipe_fds[count] = -1;
		words[count] = hold_one(fd, argv[count], &address[count], &pipe_fds[count]);
		if (!words[count])
			return 2;
		sprintf(addresses + strlen(addresses), "%s%#llx", count ? " " : "",
			(unsigned long long)address[count]);
	}
	if (argc - count < 2) {
		fprintf(stderr, "pattern: no command\n");
		return 2;
	}
	setenv("ADDRESSES", addresses, 1);
	fflush(stdout);
	child = fork();
	if (!child) {
		execvp(argv[count + 1], argv + count + 1);
		perror(argv[count + 1]);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child) {
		perror("fork");
		return 2;
	}
	if (status) {
		fprintf(stderr, "pattern: the command returned %#x\n", status);
		return 2;
	}
	for (i = 0; i < count; i++) {
		if (pipe_fds[i] >= 0)
			words[i] = read_pipe(pipe_fds[i]);
		wrong |= compare(argv[i], words[i], address[i]);
	}
	return wrong;
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "hold"))
		return hold(argc - 2, argv + 2);
	if (argc > 2 && !strcmp(argv[1], "look"))
		return look(argc - 2, argv + 2);
	if (argc > 2 && !strcmp(argv[1], "dump"))
		return dump(argc - 2, argv + 2);
	if (argc > 3 && !strcmp(argv[1], "find"))
		return find(atoi(argv[2]), argc - 3, argv + 3);
	if (argc == 3 && !strcmp(argv[1], "zero"))
		return zero(atoi(argv[2]));
	fprintf(stderr, "usage: pattern hold BLOCK[:cached|:pinned][:SIZE] ... -- COMMAND ...\n"
		"       pattern look|dump ADDRESS ...\n"
		"       pattern find BLOCK ADDRESS ...\n"
		"       pattern zero BLOCK\n");
	return 2;
}

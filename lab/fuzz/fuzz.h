/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fuzzer's parts:
 *
 *	fuzz.c		the engine: has programs run, watches what they cover, keeps the corpus
 *	program.c	programs as bytes: mutation, and how they run, in which processes
 *	operations.c	what a program can do: a table
 *	blocks.c	the blocks as they were at boot, and whether they are so again
 *
 * A program is a head and records of eight bytes. Any bytes are a program: each byte of
 * a record chooses among the few things that make sense in its place, so that mutation
 * finds sense often. What a byte chooses must stay as it is, or the corpus loses its
 * meaning: new operations go to the end of the table.
 */
#ifndef FUZZ_H
#define FUZZ_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/cmem.h>

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#define PICK(array, byte)	((array)[(byte) % ARRAY_SIZE(array)])

#define RECORD			8	/* bytes in a record, and in the head */
#define ARGS			6	/* of these are arguments */
#define MAX_RECORDS		48
#define MAX_PROGRAM		(RECORD * (1 + MAX_RECORDS))
#define STRANDS			4	/* threads and processes of a program */
#define KCOV_WORDS		(256 << 10)	/* BLOCK_ADD looks at each page */

#define FILES			8	/* of /dev/cmem, and as many DMA-BUFs, and other files */
#define BUFFERS			16
#define MAPS			16
#define MAX_BLOCKS		16

/*
 * Where mappings go: a window each, away from all that the C library has, so that a
 * stale address is never another's memory.
 */
#ifdef __LP64__
#define ARENA			0x100000000UL
#define WINDOW			(64UL << 20)
#else
#define ARENA			0x60000000UL
#define WINDOW			(16UL << 20)
#endif

/**
 * enum file_kind - groups of slots in the table of open files
 */
enum file_kind { CMEM_FILE, DMABUF_FILE, OTHER_FILE, FILE_KINDS };

/**
 * struct known_buffer - what an allocation or registration told
 */
struct known_buffer {
	uint64_t phys, length, offset;
	int32_t block;
};

/**
 * struct shared - what a program's strands share, the processes among them, too
 * @buffers: what was allocated
 * @next_buffer: the slot for the next one
 * @started: strands that have come to their start
 * @meetings: how often a strand came to a meeting, and went on
 * @ended: strands that are at their end
 * @processes: those of strands that are no threads, while the first strand runs
 * @calls: system calls that the strands made on files, DMA-BUFs and mappings of CMEM, or on
 *	what shows them: neither accesses to memory count, nor what is for the fuzzer itself
 * @nanoseconds: that each operation took
 * @counts: how often it was done
 * @scores: bits of what happened: an operation ended with an errno
 * @wrong: what should never be, and was seen
 * @number: of @program
 * @size: of @program
 * @program: the one that is to run
 */
struct shared {
	struct known_buffer buffers[BUFFERS];
	unsigned int next_buffer;
	unsigned int started;
	unsigned int meetings;
	unsigned int ended;
	pid_t processes[STRANDS];
	uint64_t calls;
	uint64_t nanoseconds[256];
	uint32_t counts[256];
	uint32_t scores[256];
	char wrong[200];
	uint64_t number;
	size_t size;
	uint8_t program[MAX_PROGRAM];
};

/**
 * struct map - a mapping in a window
 */
struct map {
	uintptr_t addr;
	size_t length;
};

/**
 * struct process - what the threads of one process share
 * @files: open files, -1 for none
 * @maps: mappings
 * @next: the slot of each kind for the next file
 * @next_map: and for the next mapping
 */
struct process {
	int files[FILE_KINDS][FILES];
	struct map maps[MAPS];
	unsigned int next[FILE_KINDS];
	unsigned int next_map;
	int sockets[2], pipe[2];
};

/**
 * struct strand - one thread, or process, of a program
 * @number: of it
 * @process: its process
 * @fail_nth: of the next operation's allocations that one fails; 0: none
 * @repeat: how often the next operation is done
 * @iteration: which time it is
 * @nth_fd: where to say so
 * @escape: where to go on after a fault
 * @fragile: in an access to a mapping
 */
struct strand {
	unsigned int number;
	struct process *process;
	unsigned int fail_nth, repeat, iteration;
	int nth_fd;
	sigjmp_buf escape;
	volatile sig_atomic_t fragile;
	int strands;
};

struct operation {
	const char *name;
	long (*run)(struct strand *strand, const uint8_t *args);
	unsigned int weight;
};

extern const struct operation operations[];
extern const unsigned int num_operations;
extern struct shared *shared;
extern bool tracing;
extern __thread struct strand *me;

/* program.c */

void random_seed(uint64_t seed);
uint32_t random_below(uint32_t limit);
size_t make_program(uint8_t *program);
size_t mutate(uint8_t *program, size_t size, const uint8_t *donor, size_t donor_size);
bool program_wants_process(const uint8_t *program);
void run_program(void);
void arm(struct strand *strand, unsigned int nth);
bool program_changes_blocks(const uint8_t *program, size_t size);
void print_program(FILE *out, const uint8_t *program, size_t size);
size_t read_program(FILE *in, uint8_t *program);
void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* operations.c */

int *sockets(struct strand *strand);

/* fuzz.c */

void coverage_begin(unsigned int strand);
void coverage_end(unsigned int strand);

/* blocks.c */

void blocks_remember(void);
bool blocks_restore(char *what, size_t size, unsigned int tries);
unsigned int blocks_count(void);
const struct cmem_block_info *block_info(unsigned int number);
const struct cmem_pool_info *block_pools(unsigned int number);

#endif /* FUZZ_H */

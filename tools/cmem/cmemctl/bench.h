/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Declarations shared by the files of cmemctl bench. bench.c has the command line and the
 * output, bench_rows.c the rows, bench_sources.c and bench_peers.c the memory that they
 * are of, bench_measure.c the clock and the counters, bench_machine.c the machine.
 */
#ifndef CMEMCTL_BENCH_H
#define CMEMCTL_BENCH_H

#include <signal.h>

#include "cmemctl.h"

#define KIB		1024ULL
#define MIB		(1024 * KIB)

/* The largest buffer of a row, and the most memory that a row holds besides it */
#define LARGEST_BUFFER	(64 * MIB)
#define MOST_HELD	(64 * MIB)
/* The most that a row writes to a file: flash memory wears out. */
#define MOST_WRITTEN	(1024 * MIB)
/* So many times what a row takes of Linux's own memory has to be free: "a quarter" */
#define SPARE		4

/* bench_measure.c */

#define MAX_SAMPLES	10000

/**
 * struct task - what is measured
 * @operate: the operation; 0 or a negative errno
 * @prepare: NULL, or makes what the next operations need, while nothing is measured;
 *	false if that can't be had
 * @run: with @prepare, how many operations are prepared then
 */
struct task {
	int (*operate)(void *context);
	bool (*prepare)(void *context);
	void *context;
	unsigned int run;
};

/* Per operation; times in nanoseconds. NAN: not counted, or too few samples for it */
struct figures {
	double median;
	double p99;
	double worst;
	double cycles;
	double instructions;
	double faults;
	unsigned int samples;
	unsigned int operations;	/* in each sample */
};

/* What reading the clock takes, and the least difference between two readings */
struct timer {
	double cost;
	double step;
};

extern volatile sig_atomic_t bench_stopped;

/* @cpu: the CPU that this thread stays on, or -1 */
void measure_begin(struct timer *timer, long cpu);
/* 0; -EINTR after a signal; -ETIME if nothing is prepared; or an operation's errno */
int measure(const struct task *task, uint64_t until, unsigned int samples,
	    struct figures *figures);
uint64_t measure_now(void);
void measure_sleep(unsigned int ms);
/* What the counters count, or why there are none */
const char *counters_scope(void);
bool counters_have_cycles(void);
bool counters_have_instructions(void);

/* bench_sources.c, bench_peers.c: where memory comes from */

enum operation {
	ALLOCATE, CYCLE, USE, IOCTL, RESOLVE, SYNC, SYNC_INV, SYNC_WBINV, EXPORT, ACCESS, FILL,
	READ, WRITE, NUM_OPERATIONS
};

#define CAN(operation)	(1U << (operation))

/**
 * struct buffer - one buffer of a source
 * @fd: what maps it, or -1 for anonymous memory
 * @offset: where in @fd
 * @phys: its physical address, of CMEM alone
 * @address: where it is mapped, or NULL
 */
struct buffer {
	int fd;
	uint64_t offset;
	uint64_t phys;
	void *address;
	uint64_t length;
};

/**
 * struct source - a source of memory
 * @name: its part of a row's name, or ""
 * @suffix: the end of the names of rows that allocate, or ""
 * @peer: not CMEM's
 * @operations: bits of enum operation
 * @through_cache: files are written through the page cache
 * @largest: the most bytes in a row of it, or 0
 * @find: looks for room for a buffer, and fills the members below; false and @reason if
 *	there is none
 * @hold: NULL, or makes the state that the row is about; 0 or a negative errno
 * @drop: undoes that, NULL without @hold
 * @settle: NULL, or waits until the memory of @run operations is clean; false and @reason
 *	if that takes too long
 * @where: what it is, for people
 * @fd: the DMA-BUF heap, or udmabuf; of CMEM the owner
 * @second: another owner that takes turns with @fd, or -1
 * @held: buffers that are held during a row
 */
struct source {
	const char *name;
	const char *suffix;
	bool peer;
	bool through_cache;
	unsigned int operations;
	uint64_t largest;
	bool (*find)(struct source *source, uint64_t length);
	int (*hold)(struct source *source, uint64_t length);
	void (*drop)(struct source *source);
	int (*allocate)(struct source *source, uint64_t length, struct buffer *buffer);
	int (*release)(struct source *source, struct buffer *buffer);
	bool (*settle)(void *source);
	char reason[160];
	char where[64];
	int fd;
	int second;
	unsigned int turn;
	int block;
	int pool;
	unsigned int kind;	/* of the block, and its flags */
	uint32_t block_flags;
	uint32_t flags;
	uint64_t buffer_length;
	unsigned int run;
	unsigned int advice;	/* of madvise(), for anonymous memory */
	uint64_t *held;
	unsigned int live;
};

/* Why a source can't be used: returns false */
bool source_lacks(struct source *source, const char *format, ...) printf_like(2, 3);
/* Whether much more than that is free by a line of /proc/meminfo */
bool source_has_memory(struct source *source, const char *line, uint64_t length);
/* Bytes of a line of it, or 0 */
uint64_t memory_of(const char *line);
void *buffer_map(const struct buffer *buffer, uint64_t length);
/* A length, rounded up to pages */
uint64_t whole_pages(uint64_t length);

/* The sources of CMEM: @block is a number or ALL_BLOCKS */
void sources_begin(int cmem, int block);
struct source *sources_of_cmem(unsigned int *count);
/* The blocks that nothing is taken of, unless they are named: a sentence each */
void sources_left_out(void (*each)(const char *text));
/* DMA-BUF heaps that are not CMEM's, udmabuf, anonymous memory */
struct source *sources_of_peers(int cmem, unsigned int *count);
/* The DMA-BUF heaps that are CMEM's */
void peers_own(void (*each)(const char *name, int block));
/* What could be a peer and can't be used */
void peers_unusable(void (*each)(const char *path, const char *why));
int dma_heap_open(const char *name);
int dma_heap_allocate(struct source *source, uint64_t length, struct buffer *buffer);
int dma_heap_release(struct source *source, struct buffer *buffer);

/* bench_rows.c */

struct row {
	char name[96];
	const char *title;
	uint64_t length;	/* or 0 if it makes no difference */
	unsigned int live;	/* buffers that were held meanwhile */
	struct source *source;
	struct figures figures;
};

struct plan {
	char **patterns;
	unsigned int num_patterns;
	double seconds;		/* or 0 with @samples */
	unsigned int samples;
	const char *file;
	int cmem;
	/* What becomes of each row */
	void (*measured)(const struct row *row);
	void (*skipped)(const struct row *row, const char *reason);
};

/* The rows that the patterns choose, measured or not: how many there are */
unsigned int rows_count(const struct plan *plan, void (*each)(const struct row *row));
/* Measures them all; 0, -EINTR, or -EPIPE if nobody gets what is printed */
int rows_measure(const struct plan *plan);

/* bench_machine.c */

struct machine {
	char release[65];
	char version[65];
	char arch[65];
	char model[128];
	char compatible[256];
	char processor[128];
	char implementer[16];
	char part[16];
	char midr[32];
	char governor[32];
	char load[16];
	char affinity[64];
	char virtual[64];	/* what says that it is no board */
	char huge_pages[16];	/* of anonymous memory */
	const char *policy;
	int priority;
	int cpu;
	long cpus;
	unsigned int idle_states; /* enabled, besides waiting for an interrupt */
	uint64_t khz;		/* now and at most, or 0 */
	uint64_t max_khz;
	uint64_t page_size;
	uint64_t memory;
};

/* The first line of a file, or "" and false; NUL characters in it become blanks */
bool read_line(const char *path, char *text, size_t size);
/* The value of the first line with a key, "key : value" */
void read_field(const char *path, const char *key, char *value, size_t size);
/* Before anything is measured */
void machine_read(struct machine *machine);
/* The CPU that this runs on, and its frequency when it has worked for a while */
void machine_read_cpu(struct machine *machine);
void machine_json(const struct machine *machine);
void machine_print(const struct machine *machine);
/* What makes its figures worth less, a sentence each */
void machine_notes(const struct machine *machine, void (*note)(const char *text));

#endif /* CMEMCTL_BENCH_H */

/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmemctl: declarations shared by its files.
 *
 * A verb is a file: info.c, map.c, top.c, alloc.c, free.c, read.c, write.c (with fill),
 * test.c, watch.c, load.c (with unload), release.c, doctor.c (with doctor_tree.c), bench.c
 * (with bench_*.c). They use the files named below, which do not depend on a verb. Sizes
 * and lengths are in bytes, addresses are physical, unless their names say otherwise.
 */
#ifndef CMEMCTL_H
#define CMEMCTL_H

#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <linux/cmem.h>

#define CMEMCTL_VERSION "1.1.0"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define printf_like(text, first) __attribute__((format(printf, text, first)))

#define DEBUGFS "/sys/kernel/debug"

/* Exit statuses */
#define EXIT_FAILED	1
#define EXIT_USAGE	2

/* cmemctl.c: the command line */

/**
 * struct command - a verb
 * @name: the verb
 * @summary: what it does, for the list of verbs
 * @help: the complete output of --help
 * @run: runs it; argv[0] is the verb. Returns the exit status.
 */
struct command {
	const char *name;
	const char *summary;
	const char *help;
	int (*run)(int argc, char **argv);
};

extern const struct command info_command, map_command, top_command, alloc_command;
extern const struct command free_command, test_command, watch_command;
extern const struct command read_command, write_command, fill_command, doctor_command;
extern const struct command load_command, unload_command, release_command, bench_command;

/* Options common to all verbs */
struct settings {
	bool json;
	bool colour;
};

extern struct settings settings;

/* For the verbs' tables of long options */
#define COMMON_OPTIONS							\
	{ "json", no_argument, NULL, OPTION_JSON },			\
	{ "color", required_argument, NULL, OPTION_COLOUR },		\
	{ "colour", required_argument, NULL, OPTION_COLOUR },		\
	{ "help", no_argument, NULL, OPTION_HELP },			\
	{ "version", no_argument, NULL, OPTION_VERSION },		\
	{ }

enum {
	OPTION_JSON = 0x100,
	OPTION_COLOUR,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_OWN,	/* the first of a verb's own options without a letter */
};

/* getopt_long() for a verb: handles the common options itself; -1 at the end */
int next_option(const struct command *command, int argc, char **argv, const char *letters,
		const struct option *options);

/* Exits with a message and advice. */
void die(const char *format, ...) printf_like(1, 2) __attribute__((noreturn));
void usage(const char *format, ...) printf_like(1, 2) __attribute__((noreturn));
void warn(const char *format, ...) printf_like(1, 2);
void *xrealloc(void *old, size_t count, size_t size);

/* Room for one more element in an array that grows by doubling */
#define grow(array, count, room) do {					\
	if ((count) == (room)) {					\
		(room) = (room) ? 2 * (room) : 64;			\
		(array) = xrealloc(array, room, sizeof(*(array)));	\
	}								\
} while (0)

/* Arguments; each exits with what is wrong with option @what. */
uint64_t parse_size(const char *what, const char *text);
uint64_t parse_address(const char *what, const char *text);
long parse_number(const char *what, const char *text, long min, long max);
double parse_seconds(const char *what, const char *text);
int parse_block(const char *text);
/*
 * How many letters to change, swap, insert or delete to turn one word into another:
 * SIZE_MAX if the other has more than 31
 */
size_t word_distance(const char *from, const char *to);

/* text.c: output for people */

/* "16 MiB", "29.3 KiB", "123 B"; overwritten after 32 calls of functions like it */
const char *human(uint64_t bytes);
/* "heap" or the number; valid as human()'s */
const char *pool_name(int pool);
const char *kind_name(unsigned int kind);
/* Columns of the terminal, 80 if it is none */
unsigned int terminal_width(void);
/* The same; UINT_MAX if it is none and COLUMNS is not set */
unsigned int line_width(void);
/* Does the terminal support escape sequences? TERM tells. */
bool terminal_obeys(void);
/* The escape sequence for a colour (an SGR number), or "" if not supported */
const char *colour(const char *sgr);
/* The user's name, or the number */
const char *user_name(uid_t uid);
/* The length and the code of the UTF-8 sequence at the start of a text; 0 if invalid */
size_t utf8_decode(const char *text, uint32_t *code);
/* Moves the cursor, or changes the text direction */
bool is_control(uint32_t code);
/* An untrusted name, made safe for a terminal; valid as human()'s, as are the others */
const char *printable(const char *name);
/* The same for text of any length, cut when @text, of @size bytes, is full */
void make_printable(const char *name, char *text, size_t size);
unsigned int text_columns(const char *text);
/* Limited to so many columns, with a + where it is cut */
const char *cut(const char *text, unsigned int columns);
/* A printable name in exactly so many columns */
const char *column(const char *name, unsigned int columns);
/* A line, cut at line_width() */
void print_line(const char *text);
/* Wraps a line at @width columns, with later lines indented */
void print_folded(const char *text, unsigned int indent, unsigned int width);

/* json.c: one JSON text at a time to stdout */
void json_begin(bool one_line);
void json_end(void);
void json_error(const char *text);
void json_open(const char *key, char bracket);
void json_close(char bracket);
void json_number(const char *key, uint64_t value);
void json_signed(const char *key, int64_t value);
void json_real(const char *key, double value);
void json_string(const char *key, const char *value);
void json_bool(const char *key, bool value);
void json_null(const char *key);
void json_string_or_null(const char *key, const char *value);
void json_number_or_null(const char *key, uint64_t value);
void json_real_or_null(const char *key, double value);
void json_pool(int pool);
/* "quota": bytes, or null */
void json_quota(uint64_t quota);

/* device.c: /dev/cmem */

#define MAX_BLOCKS INT_MAX

struct block {
	struct cmem_block_info info;
	struct cmem_pool_info pool[CMEM_MAX_POOLS];
};

/* All blocks, or one */
struct blocks {
	struct cmem_info info;
	struct block *block;
	unsigned int count;
};

#define ALL_BLOCKS (-2)

int device_open(void);
int device_open_to_read(void);
int device_try_open(void);
int device_get_block(int fd, int id, struct cmem_block_info *info);
int device_get_pool(int fd, int id, unsigned int pool, struct cmem_pool_info *info);
/* Exits with advice if there is no block, or not this one. */
void device_get_blocks(int fd, int id, struct blocks *blocks);
uint64_t blocks_free_bytes(const struct block *block);
/* CMA areas can be anywhere: the block has no single picture. */
bool block_has_range(const struct block *block);
const char *block_range(const struct block *block);
int device_alloc(int fd, struct cmem_alloc *alloc);
int device_free(int fd, uint64_t phys);
int device_add_block(int fd, struct cmem_block_add *add, const struct cmem_block_pool *pool);
int device_remove_block(int fd, int id);
int device_release(int fd, struct cmem_release *release);
int device_sync(int fd, volatile void *address, uint64_t length, unsigned int op);

/* extents.c: the use of each address of a block */

enum extent_state {
	FREE_CLEAN, FREE_DIRTY, FREE_UNKNOWN, SCRUBBING, HELD, QUARANTINE, PINNED,
	FAILED, UNKNOWN, NUM_STATES
};

/* Memory in these states is not free. Each such extent is one buffer. */
static inline bool is_buffer(enum extent_state state)
{
	return state == HELD || state == QUARANTINE || state == PINNED;
}

struct registration {
	uint64_t owner;
	unsigned int count;
};

struct extent {
	uint64_t start;
	uint64_t length;
	int pool;		/* or CMEM_POOL_HEAP */
	enum extent_state state;
	bool cached;
	bool private;
	bool failed;		/* held, quarantined or pinned memory with failures */
	bool pages;		/* page-backed */
	unsigned int mappings;
	struct registration *owner;
	unsigned int owners;
	uint64_t *dmabuf;	/* inodes of its DMA-BUFs */
	unsigned int dmabufs;
	unsigned int share;	/* shares.c: the holder */
	uint64_t last_owner;	/* of quarantined or pinned memory, or 0 */
	uint64_t in_use;	/* pages of pinned memory that are still in use */
	double since;		/* seconds since boot */
};

/**
 * struct extents - a block by address, without gaps
 * @known: from debugfs: owners, and which memory is clean
 */
struct extents {
	struct extent *extent;
	unsigned int count;
	bool known;
};

/* Exits if it can't be read at all. */
void extents_read(const struct block *block, struct extents *extents);
void extents_free(struct extents *extents);
const struct extent *extents_find(const struct extents *extents, uint64_t phys);
/*
 * The block that contains a physical address, or NULL. The caller frees its extents;
 * *@extent is NULL if the kernel does not report the address.
 */
const struct block *extents_at(const struct blocks *blocks, uint64_t phys,
			       struct extents *extents, const struct extent **extent);
/* The longest free range of the heap: 0 if there is none */
uint64_t extents_largest(const struct extents *extents, uint64_t *start);
/* Why owners are unknown, and how to fix it; NULL if the reason is unknown */
const char *extents_advice(void);
const char *state_name(enum extent_state state);

/* owners.c: CMEM memory that processes hold */

/*
 * How a process or another driver holds memory. BY_LOST_DMABUF: no process has it; it is
 * in transit through a socket, or a driver holds it. BY_SOME_DMABUF: not known.
 */
enum holding_kind {
	BY_FILE, BY_MAPPING, BY_DMABUF, BY_DEVICE, BY_LOST_DMABUF, BY_SOME_DMABUF, BY_NOBODY_KNOWN
};

/* An open file, a mapping, or a DMA-BUF that is open or mapped */
struct process {
	pid_t pid;
	enum holding_kind kind;
	uint64_t owner;		/* BY_FILE: its number */
	uint64_t buffers;
	uint64_t bytes;		/* also of a DMA-BUF, if known */
	uint64_t map_start;	/* BY_MAPPING */
	uint64_t map_length;
	uint64_t dmabuf;	/* BY_DMABUF: the inode; may be another exporter's */
	char exporter[32];	/* "" if it is only mapped */
	uid_t uid;
	char command[64];	/* set by the program: not safe for a terminal */
};

/* A device that another driver has attached to a DMA-BUF */
struct importer {
	uint64_t dmabuf;
	char device[64];
};

/* The processes that the caller may see */
struct processes {
	struct process *process;
	unsigned int count;
	struct importer *importer;
	unsigned int importers;
	unsigned int unseen;	/* processes that could not be inspected */
};

/* The name of a program, "?" if it has ended */
void process_command(pid_t pid, char *command, size_t size);
void processes_read(struct processes *processes);
/* Adds devices, if the extents of @count blocks have a DMA-BUF */
void processes_add_importers(struct processes *processes, const struct extents *extents,
			     unsigned int count);
void processes_free(struct processes *processes);
/* Why some holders have no name, and how to fix it; NULL if all were inspected */
const char *processes_advice(const struct processes *processes);
/* The process with the lowest pid, or NULL; @more: the number of others */
const struct process *processes_owner(const struct processes *processes, uint64_t owner,
				      unsigned int *more);
bool process_maps(const struct process *process, const struct extent *extent);

/* importers.c: dma_buf/bufinfo in debugfs; empty if it can't be read */
void importers_read(struct processes *processes);

/* holdings.c: the holders of a buffer */

/**
 * struct holding - a holder of a buffer
 * @process: or NULL
 * @more: how many more processes have the same file
 * @owner: BY_FILE: the file
 * @device: BY_DEVICE
 */
struct holding {
	enum holding_kind kind;
	const struct process *process;
	unsigned int more;
	uint64_t owner;
	const char *device;
};

struct holdings {
	struct holding *holding;
	unsigned int count;
};

/* At least one: each process and device once, files first */
void holdings_get(const struct processes *processes, const struct extent *extent,
		  struct holdings *holdings);
void holdings_free(struct holdings *holdings);
/* "1234 camera", "1234 camera +1 more", "device video0" or "owner 7": see printable() */
const char *holding_name(const struct holding *holding);
/* The same, and how, if it is by a DMA-BUF */
const char *holding_text(const struct holding *holding);
/* The first of them */
const char *holder_name(const struct processes *processes, const struct extent *extent);
/* All holders in a block, for a message: "" if not known */
void block_holders(const struct block *block, char *text, size_t size);

/* users.c: each user's charge per block */

struct user {
	int block;
	uid_t uid;
	uint64_t bytes;
	uint64_t quota;		/* or CMEM_NO_QUOTA */
};

/* All charged users, by block and uid; a non-root caller gets only itself */
struct users {
	struct user *user;
	unsigned int count;
};

void users_read(const struct blocks *blocks, struct users *users);
void users_free(struct users *users);

/* shares.c: how much each holder has of the selected blocks */

/* The number of holders with a letter; the others are grouped. */
#define MAX_LETTERS 27

struct share {
	char name[128];
	uint64_t bytes;
	unsigned int buffers;
	unsigned int rank;	/* by bytes: 0 has most */
};

/* Each holder once */
struct shares {
	struct share *share;
	unsigned int count;
};

/* Sets @share of each held extent to its holder: with several holders, the first. */
void shares_get(struct shares *shares, struct extents *extents, unsigned int count,
		const struct processes *processes);
/* The share with this rank */
const struct share *shares_ranked(const struct shares *shares, unsigned int rank);
/* The sum of all from MAX_LETTERS on: how many, and what they hold */
unsigned int shares_rest(const struct shares *shares, struct share *rest);
void shares_free(struct shares *shares);

/* map.c, svg.c: pictures */

/* Free bytes in the heap, the longest free range, and the fragmentation */
struct heap_use {
	uint64_t free;
	uint64_t largest;
	uint64_t largest_start;
	bool start_known;
	double fragmentation;	/* 0 to 1 */
};

/*
 * A row length in bytes, a power of two, such that @rows are enough; rows start at
 * multiples of it.
 */
uint64_t row_length(const struct block *block, uint64_t least, unsigned int rows);
void heap_use(const struct block *block, const struct extents *extents, struct heap_use *use);
void svg_write(const char *path, const struct blocks *blocks, const struct extents *extents,
	       const struct processes *processes, const struct shares *shares);

/* holder.c: buffers that alloc holds and free gives back */

/**
 * struct holder - buffers that this process holds for a user
 * @fd: /dev/cmem
 * @socket: listens for requests from free
 */
struct holder {
	int fd;
	int socket;
	uint64_t *phys;
	unsigned int count;
};

void holder_listen(struct holder *holder);
void holder_answer(struct holder *holder);
/* Frees all that is left: an exit may quarantine it instead. */
void holder_end(struct holder *holder);
/* Asks all holders of this user (root: of all); returns how many buffers they freed */
unsigned int holders_free(bool all, uint64_t phys);

/* tree.c: the device tree, as a directory of the kernel */

struct property {
	char *name;
	unsigned char *value;
	size_t length;
};

/**
 * struct node - a node of the device tree
 * @path: from the root, which is "/"
 * @name: the last part of the path
 */
struct node {
	char *path;
	const char *name;
	struct node *parent;
	struct node **child;
	unsigned int children;
	struct property *property;
	unsigned int properties;
};

/* NULL, and errno, if the directory has none */
struct node *tree_read(const char *directory);
void tree_free(struct node *node);
const struct property *tree_property(const struct node *node, const char *name);
/* One 32-bit cell of it: 0 beyond its end */
uint32_t tree_cell(const struct property *property, unsigned int cell);
/* Several cells as one number */
uint64_t tree_number(const struct property *property, unsigned int cell, unsigned int cells);
/* The text of a property, or NULL; always terminated */
const char *tree_string(const struct node *node, const char *name);
/* #address-cells and the like */
unsigned int tree_cells(const struct node *node, const char *name, unsigned int otherwise);
bool tree_is_compatible(const struct node *node, const char *compatible);
/* The node, or its nearest ancestor, that is disabled; or NULL */
const struct node *tree_disabled(const struct node *node);
const struct node *tree_find(const struct node *root, const char *path);
const struct node *tree_by_phandle(const struct node *root, uint32_t phandle);
/* Calls a function for each node, from the root. */
void tree_walk(const struct node *node, void (*call)(const struct node *node));

/* contents.c: the bytes of a held buffer */

/**
 * struct contents - a part of a buffer, from an address on
 * @phys: its first byte
 * @room: bytes from there to the end of the buffer
 * @buffer: the buffer's first byte
 * @buffer_length: the buffer's length
 * @done: how many bytes are read or written so far
 * @total: how many in all, or 0 if not known
 */
struct contents {
	uint64_t phys;
	uint64_t room;
	uint64_t buffer;
	uint64_t buffer_length;
	uint64_t done;
	uint64_t total;
};

/* Bytes per step */
#define CONTENTS_STEP (1U << 20)

/* Exits with the reason if this user can't access a buffer there. */
void contents_open(struct contents *contents, uint64_t phys, bool to_write);
/* Exits, before any change, unless so many bytes are available. */
void contents_need(const struct contents *contents, const char *what, uint64_t length);
/* The next bytes; exit when the memory does not respond. */
void contents_get(struct contents *contents, void *data, size_t size);
void contents_put(struct contents *contents, const void *data, size_t size);
/* Writes data back to memory, and releases the buffer. */
void contents_close(void);
/* Progress, on a terminal */
void contents_progress(const struct contents *contents);
void contents_end_progress(void);
/* read() of what is available, 0 at the end, and write() of all; exit on errors. */
ssize_t contents_read_file(const struct contents *contents, int fd, const char *name,
			   void *data, size_t size);
void contents_write_file(const struct contents *contents, int fd, const char *name,
			 const void *data, size_t size);
/* "4096 of 65536 bytes", for messages about incomplete transfers */
const char *contents_so_far(const struct contents *contents);
/* Prints the result, as text or as JSON. */
void contents_print(const struct contents *contents, const char *verb, const char *name);

/* pattern.c: the memory test patterns */

enum pattern { PATTERN_ADDRESS, PATTERN_NOT_ADDRESS, PATTERN_ONES, PATTERN_ZEROS, NUM_PATTERNS };

/**
 * struct faults - the memory errors found
 * @words: how many words
 * @first: address of the first
 * @wanted: the value written there
 * @found: the value read there
 * @wrong_high: bits that were 1 instead of 0
 * @wrong_low: bits that were 0 instead of 1
 * @any_high: bits that were 1 in some word, right or wrong
 * @any_low: bits that were 0 in some word
 * @lines: address bits by which a word had another word's value, with the
 *	address as pattern
 * @not_lines: the same with its complement
 */
struct faults {
	uint64_t words;
	uint64_t first;
	uint64_t wanted;
	uint64_t found;
	uint64_t wrong_high;
	uint64_t wrong_low;
	uint64_t any_high;
	uint64_t any_low;
	uint64_t lines;
	uint64_t not_lines;
};

uint64_t pattern_word(enum pattern pattern, uint64_t phys);
void pattern_fill(volatile uint64_t *memory, size_t words, uint64_t phys, enum pattern pattern);
void pattern_check(const volatile uint64_t *memory, size_t words, uint64_t phys,
		   enum pattern pattern, struct faults *faults);
/* Describes the faults for a board designer, in words */
void faults_describe(const struct faults *faults, char *text, size_t size);

#endif /* CMEMCTL_H */

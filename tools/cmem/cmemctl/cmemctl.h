/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmemctl: what its files share.
 *
 * A verb is a file: info.c, map.c, top.c, alloc.c, free.c, read.c, write.c (with fill),
 * test.c, watch.c, load.c (with unload), release.c, doctor.c (with doctor_tree.c). They
 * stand on the files named below, which know no verb. Sizes and lengths are in bytes,
 * addresses physical, unless their names say otherwise.
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
 * @help: all of what --help prints
 * @run: does it; argv[0] is the verb. Returns the exit status.
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
extern const struct command load_command, unload_command, release_command;

/* What all verbs take */
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

/* getopt_long() for a verb: takes the common options itself; -1 at the end */
int next_option(const struct command *command, int argc, char **argv, const char *letters,
		const struct option *options);

/* Ends the program: a message, and what would be right. */
void die(const char *format, ...) printf_like(1, 2) __attribute__((noreturn));
void usage(const char *format, ...) printf_like(1, 2) __attribute__((noreturn));
void warn(const char *format, ...) printf_like(1, 2);
void *xrealloc(void *old, size_t count, size_t size);

/* Room for one more in an array that grows by doubling */
#define grow(array, count, room) do {					\
	if ((count) == (room)) {					\
		(room) = (room) ? 2 * (room) : 64;			\
		(array) = xrealloc(array, room, sizeof(*(array)));	\
	}								\
} while (0)

/* Arguments; each dies, saying what is wrong with option @what. */
uint64_t parse_size(const char *what, const char *text);
uint64_t parse_address(const char *what, const char *text);
long parse_number(const char *what, const char *text, long min, long max);
double parse_seconds(const char *what, const char *text);
int parse_block(const char *text);
/*
 * How many letters are to be changed, swapped, put in or left out to make a word of another:
 * SIZE_MAX if that one has more than 31
 */
size_t word_distance(const char *from, const char *to);

/* text.c: what is printed for people */

/* "16 MiB", "29.3 KiB", "123 B"; this and what is valid as it are for some 10 columns */
const char *human(uint64_t bytes);
/* "heap" or the number; valid as human()'s */
const char *pool_name(int pool);
const char *kind_name(unsigned int kind);
/* Columns of the terminal, 80 if it is none */
unsigned int terminal_width(void);
/* The same; UINT_MAX if it is none and COLUMNS is not set */
unsigned int line_width(void);
/* Does it have escape sequences? TERM says so. */
bool terminal_obeys(void);
/* The escape sequence for a colour (an SGR number), or "" when there are none */
const char *colour(const char *sgr);
/* The user's name, or the number */
const char *user_name(uid_t uid);
/* The length of the UTF-8 sequence at the start of a text, and its code; 0 if that is none */
size_t utf8_decode(const char *text, uint32_t *code);
/* Moves the cursor, or turns the direction of text */
bool is_control(uint32_t code);
/* A name of another program's making, for a terminal; valid as human()'s, as are the others */
const char *printable(const char *name);
/* The same for a text of any length, cut where @text, of @size bytes, is full */
void make_printable(const char *name, char *text, size_t size);
unsigned int text_columns(const char *text);
/* No longer than so many columns: with a + at the end of what is cut */
const char *cut(const char *text, unsigned int columns);
/* A name, printable, in exactly so many columns */
const char *column(const char *name, unsigned int columns);
/* A line, cut at line_width() */
void print_line(const char *text);
/* A line as several of @width columns, the later ones indented */
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
/* Dies, with advice, when there is no block, or not that one. */
void device_get_blocks(int fd, int id, struct blocks *blocks);
uint64_t blocks_free_bytes(const struct block *block);
/* CMA areas are anywhere: there is no such thing as the block's picture. */
bool block_has_range(const struct block *block);
const char *block_range(const struct block *block);
int device_alloc(int fd, struct cmem_alloc *alloc);
int device_free(int fd, uint64_t phys);
int device_add_block(int fd, struct cmem_block_add *add, const struct cmem_block_pool *pool);
int device_remove_block(int fd, int id);
int device_release(int fd, struct cmem_release *release);
int device_sync(int fd, volatile void *address, uint64_t length, unsigned int op);

/* extents.c: what there is at each address of a block */

enum extent_state {
	FREE_CLEAN, FREE_DIRTY, FREE_UNKNOWN, SCRUBBING, HELD, QUARANTINE, FAILED, UNKNOWN, NUM_STATES
};

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
	bool failed;		/* memory of what is held or in quarantine has */
	unsigned int mappings;
	struct registration *owner;
	unsigned int owners;
	uint64_t *dmabuf;	/* inodes of its DMA-BUFs */
	unsigned int dmabufs;
	unsigned int share;	/* shares.c: whose it is */
	uint64_t last_owner;	/* of what is in quarantine, or 0 */
	double since;		/* seconds since boot */
};

/**
 * struct extents - a block by address, without gaps
 * @known: from debugfs: owners, and what is clean
 */
struct extents {
	struct extent *extent;
	unsigned int count;
	bool known;
};

/* Dies if it can't be read at all. */
void extents_read(const struct block *block, struct extents *extents);
void extents_free(struct extents *extents);
const struct extent *extents_find(const struct extents *extents, uint64_t phys);
/*
 * The block that a physical address is in, or NULL. If there is one, the caller frees its
 * extents; *@extent is NULL where the kernel tells nothing of the address.
 */
const struct block *extents_at(const struct blocks *blocks, uint64_t phys,
			       struct extents *extents, const struct extent **extent);
/* The longest free run of the heap: 0 if there is none */
uint64_t extents_largest(const struct extents *extents, uint64_t *start);
/* Why owners are not known, and what would help; NULL if it is not known */
const char *extents_advice(void);
const char *state_name(enum extent_state state);

/* owners.c: what processes have of CMEM */

/*
 * How a process holds memory, or another driver. BY_LOST_DMABUF: no process has it, so that
 * it is on its way through a socket, or kept by a driver. BY_SOME_DMABUF: nobody knows.
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
	uint64_t bytes;		/* and, if they are known, of a DMA-BUF */
	uint64_t map_start;	/* BY_MAPPING */
	uint64_t map_length;
	uint64_t dmabuf;	/* BY_DMABUF: the inode; it need not be one of CMEM's. */
	char exporter[32];	/* "" of one that is only mapped */
	uid_t uid;
	char command[64];	/* as the program wants it: not for a terminal */
};

/* A device that another driver has attached to a DMA-BUF */
struct importer {
	uint64_t dmabuf;
	char device[64];
};

/* What the caller may see */
struct processes {
	struct process *process;
	unsigned int count;
	struct importer *importer;
	unsigned int importers;
	unsigned int unseen;	/* processes that could not be looked at */
};

/* The name of a program, "?" if it has ended */
void process_command(pid_t pid, char *command, size_t size);
void processes_read(struct processes *processes);
/* Adds devices, if there is a DMA-BUF among the extents of @count blocks */
void processes_add_importers(struct processes *processes, const struct extents *extents,
			     unsigned int count);
void processes_free(struct processes *processes);
/* Why some holders have no name, and what would help; NULL if all were looked at */
const char *processes_advice(const struct processes *processes);
/* The process with the lowest pid, or NULL; @more: how many others there are */
const struct process *processes_owner(const struct processes *processes, uint64_t owner,
				      unsigned int *more);
bool process_maps(const struct process *process, const struct extent *extent);

/* importers.c: dma_buf/bufinfo of debugfs; nothing if it can't be read */
void importers_read(struct processes *processes);

/* holdings.c: by whom a buffer is held, and how */

/**
 * struct holding - somebody who holds a buffer
 * @process: or NULL
 * @more: how many processes more have the same file
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
/* The same with how it is held, where that is by a DMA-BUF */
const char *holding_text(const struct holding *holding);
/* The first of them */
const char *holder_name(const struct processes *processes, const struct extent *extent);
/* All who hold something of a block, for a message: "" if that is not known */
void block_holders(const struct block *block, char *text, size_t size);

/* users.c: who is charged for how much of which block */

struct user {
	int block;
	uid_t uid;
	uint64_t bytes;
	uint64_t quota;		/* or CMEM_NO_QUOTA */
};

/* Those who have something, by block and uid; others than root see themselves */
struct users {
	struct user *user;
	unsigned int count;
};

void users_read(const struct blocks *blocks, struct users *users);
void users_free(struct users *users);

/* shares.c: who has how much of the blocks that are looked at */

/* So many get a letter; the others are one. */
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

/* Whose held extents are is in @share of each then: of several holders, the first. */
void shares_get(struct shares *shares, struct extents *extents, unsigned int count,
		const struct processes *processes);
/* The one of a rank */
const struct share *shares_ranked(const struct shares *shares, unsigned int rank);
/* All from MAX_LETTERS on: how many, and what they have */
unsigned int shares_rest(const struct shares *shares, struct share *rest);
void shares_free(struct shares *shares);

/* map.c, svg.c: pictures */

/* Bytes free in the heap, the longest run of these, and how scattered they are */
struct heap_use {
	uint64_t free;
	uint64_t largest;
	uint64_t largest_start;
	bool start_known;
	double fragmentation;	/* 0 to 1 */
};

/*
 * So many bytes a row that no more than @rows are needed, a power of two; rows start at
 * multiples of that.
 */
uint64_t row_length(const struct block *block, uint64_t least, unsigned int rows);
void heap_use(const struct block *block, const struct extents *extents, struct heap_use *use);
void svg_write(const char *path, const struct blocks *blocks, const struct extents *extents,
	       const struct processes *processes, const struct shares *shares);

/* holder.c: what alloc holds, free gives back */

/**
 * struct holder - buffers that this process holds for a person
 * @fd: /dev/cmem
 * @socket: listens for free
 */
struct holder {
	int fd;
	int socket;
	uint64_t *phys;
	unsigned int count;
};

void holder_listen(struct holder *holder);
void holder_answer(struct holder *holder);
/* Frees all that is left: to end is not to free. */
void holder_end(struct holder *holder);
/* Asks all holders of this user (root: of all); how many buffers were given back */
unsigned int holders_free(bool all, uint64_t phys);

/* tree.c: the device tree, as the kernel shows it in a directory */

struct property {
	char *name;
	unsigned char *value;
	size_t length;
};

/**
 * struct node - a node of the device tree
 * @path: from the root on, "/" for that
 * @name: the last part of it
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

/* NULL, and errno, if there is none in that directory */
struct node *tree_read(const char *directory);
void tree_free(struct node *node);
const struct property *tree_property(const struct node *node, const char *name);
/* Which 32-bit cell of it: 0 if it has not so many */
uint32_t tree_cell(const struct property *property, unsigned int cell);
/* Several cells as one number */
uint64_t tree_number(const struct property *property, unsigned int cell, unsigned int cells);
/* The text of a property, or NULL: never without an end */
const char *tree_string(const struct node *node, const char *name);
/* #address-cells and the like */
unsigned int tree_cells(const struct node *node, const char *name, unsigned int otherwise);
bool tree_is_compatible(const struct node *node, const char *compatible);
/* The node, or the first of those above it, that is disabled; or NULL */
const struct node *tree_disabled(const struct node *node);
const struct node *tree_find(const struct node *root, const char *path);
const struct node *tree_by_phandle(const struct node *root, uint32_t phandle);
/* Calls for each node, from the root on. */
void tree_walk(const struct node *node, void (*call)(const struct node *node));

/* contents.c: the bytes of a buffer that is somebody's */

/**
 * struct contents - a part of a buffer, from an address on
 * @phys: the first byte of it
 * @room: bytes from there to the end of the buffer
 * @buffer: the buffer's first byte
 * @buffer_length: and length
 * @done: how many bytes were read or written by now
 * @total: how many are to be, or 0 if it is not known
 */
struct contents {
	uint64_t phys;
	uint64_t room;
	uint64_t buffer;
	uint64_t buffer_length;
	uint64_t done;
	uint64_t total;
};

/* Bytes that are moved at a time */
#define CONTENTS_STEP (1U << 20)

/* Dies, saying why, when there is no buffer that this user may have a look into. */
void contents_open(struct contents *contents, uint64_t phys, bool to_write);
/* Dies, before anything was changed, unless there are so many bytes. */
void contents_need(const struct contents *contents, const char *what, uint64_t length);
/* The next bytes; die when the memory does not answer. */
void contents_get(struct contents *contents, void *data, size_t size);
void contents_put(struct contents *contents, const void *data, size_t size);
/* Has what was written reach memory, and lets go of the buffer. */
void contents_close(void);
/* How far it is, on a terminal */
void contents_progress(const struct contents *contents);
void contents_end_progress(void);
/* read(), as much as there is, 0 at the end, and write() of all; die of errors. */
ssize_t contents_read_file(const struct contents *contents, int fd, const char *name,
			   void *data, size_t size);
void contents_write_file(const struct contents *contents, int fd, const char *name,
			 const void *data, size_t size);
/* "4096 of 65536 bytes", for messages about what is not complete */
const char *contents_so_far(const struct contents *contents);
/* Prints what came of it, as text or as JSON. */
void contents_print(const struct contents *contents, const char *verb, const char *name);

/* pattern.c: what memory is tested with */

enum pattern { PATTERN_ADDRESS, PATTERN_NOT_ADDRESS, PATTERN_ONES, PATTERN_ZEROS, NUM_PATTERNS };

/**
 * struct faults - what was found wrong
 * @words: how many words
 * @first: address of the first
 * @wanted: what was written there
 * @found: what was read there
 * @wrong_high: bits that were 1 where 0 was right
 * @wrong_low: bits that were 0 where 1 was right
 * @any_high: bits that were 1 in some word, right or wrong
 * @any_low: bits that were 0 in some word
 * @lines: address bits by which a word had what belongs to another, with the
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
/* What a board's designer wants to know of the faults, in words */
void faults_describe(const struct faults *faults, char *text, size_t size);

#endif /* CMEMCTL_H */

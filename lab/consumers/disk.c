// SPDX-License-Identifier: GPL-2.0
/*
 * A slow disk reads and writes page-backed buffers, while their owner lets go of them in
 * every order and somebody else takes all memory that is free. The disk must get what the
 * first one wrote, and nobody else's memory may change.
 *
 * disk [rounds]: on the disk that lab/consumers/check makes slow
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "consumers.h"
#include "taker.h"
#include "uring.h"

#define SERIAL		"cmem-slow"
#define LENGTH		(64 << 10)
#define PLACES		64		/* of LENGTH bytes on the disk */

enum end { WAITS, FREES, UNMAPS, CLOSES, EXITS, DIES, ENDS };

static const char *const ends[ENDS] = {
	[WAITS] = "waits for the disk", [FREES] = "frees", [UNMAPS] = "frees and unmaps",
	[CLOSES] = "frees, unmaps and closes", [EXITS] = "exits", [DIES] = "is killed",
};

/* What the process that does I/O and the one that watches both see */
struct shared {
	int begun;		/* the disk has the request */
	int result;		/* of the request, from WAITS */
};

static struct shared *shared;
static char path[PATH_MAX];	/* of the disk */
static int disk;

/* The owner: begins I/O, and ends in one of the ways. */
static void own(int block, bool writes, enum end end, uint64_t seed, off_t place)
{
	struct io_uring_sqe request = {
		.opcode = writes ? IORING_OP_WRITE : IORING_OP_READ, .fd = disk,
		.len = LENGTH, .off = place,
	};
	struct buffer buffer;
	struct uring ring;
	int cmem = open_cmem();

	uring_open(&ring);
	if (!allocate(cmem, block, LENGTH, CMEM_ALLOC_PAGES, &buffer))
		fail("no memory for the owner");
	put_words(buffer.mapping, LENGTH, seed);
	request.addr = (uintptr_t)buffer.mapping;
	uring_submit(&ring, &request);

	if (end == WAITS) {
		shared->result = uring_wait(&ring);
		if (!writes && !has_words(buffer.mapping, LENGTH, place / LENGTH))
			shared->result = -EIO;
	}
	if (end >= FREES && end <= CLOSES)
		give_buffer(cmem, &buffer);
	if (end >= UNMAPS && end <= CLOSES)
		munmap(buffer.mapping, buffer.length);
	if (end == CLOSES)
		close(cmem);
	say(&shared->begun);
	if (end == DIES)
		raise(SIGKILL);
	_exit(EXIT_SUCCESS);
}

static bool disk_has(off_t place, uint64_t seed)
{
	static uint8_t *memory;

	if (!memory && posix_memalign((void **)&memory, 4096, LENGTH))
		fail("no memory");
	if (pread(disk, memory, LENGTH, place) != LENGTH)
		fail("%s: %s", path, strerror(errno));
	if (has_words(memory, LENGTH, seed))
		return true;
	note("the disk has something else at %lld", (long long)place);
	return false;
}

static void put_on_disk(off_t place, uint64_t seed)
{
	static uint8_t *memory;

	if (!memory && posix_memalign((void **)&memory, 4096, LENGTH))
		fail("no memory");
	put_words(memory, LENGTH, seed);
	if (pwrite(disk, memory, LENGTH, place) != LENGTH)
		fail("%s: %s", path, strerror(errno));
}

static bool round_of(struct taker *taker, bool writes, enum end end, unsigned int number)
{
	off_t place = (off_t)(number % PLACES) * LENGTH;
	uint64_t seed = 1000 + number, other = 1 << 30 | number;
	bool right = true, seen = false;
	unsigned int turns = 0;
	pid_t pid;

	if (!writes)
		put_on_disk(place, place / LENGTH);
	*shared = (struct shared) { .result = LENGTH };
	pid = fork();
	if (!pid)
		own(taker->block, writes, end, seed, place);
	while (!said(&shared->begun))
		sched_yield();
	/* As long as the disk works, and once more */
	do {
		seen = !pinned(taker->cmem, taker->block) && waitpid(pid, NULL, WNOHANG) != 0;
		take_all(taker, other + turns);
		usleep(1000);
		right = give_back(taker, other + turns) && right;
		turns++;
	} while (!seen && turns < 10000);
	if (!seen)
		note("the buffer is still not free");
	if (shared->result != LENGTH)
		note("the owner got %d", shared->result);
	if (writes)
		right = disk_has(place, seed) && right;
	return right && seen && shared->result == LENGTH;
}

static void all_rounds(struct taker *taker, bool writes, enum end end, unsigned int rounds)
{
	static unsigned int number;
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < rounds; i++)
		wrong += !round_of(taker, writes, end, number++);
	check(!wrong, "%s: the owner %s while the disk %s its buffer: %u of %u wrong",
	      block_name(taker->block), ends[end], writes ? "reads" : "writes", wrong, rounds);
}

int main(int argc, char **argv)
{
	static const int blocks[] = { 2, CMEM_BLOCK_CMA };
	unsigned int rounds = argc > 1 ? atoi(argv[1]) : 6;
	static struct taker taker;

	plan(ARRAY_SIZE(blocks) * 2 * ENDS);
	find_disk(SERIAL, path);
	disk = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (disk < 0)
		fail("%s: %s", path, strerror(errno));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
	taker.cmem = open_cmem();
	for (unsigned int i = 0; i < ARRAY_SIZE(blocks); i++) {
		taker.block = blocks[i];
		for (enum end end = WAITS; end < ENDS; end++) {
			all_rounds(&taker, true, end, rounds);
			all_rounds(&taker, false, end, rounds);
		}
	}
	return verdict();
}

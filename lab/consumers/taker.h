/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Buffers with words that tell whose they are, and somebody else who takes all memory that
 * is free: what a device still uses must not be among it.
 */
#ifndef TAKER_H
#define TAKER_H

#define TAKER_LENGTH	(64 << 10)	/* of the largest buffers that a taker takes */
#define MOST		2048		/* buffers that take the rest of the memory */

/* One process tells another, in memory that both see. */
static inline void say(int *word)
{
	__atomic_store_n(word, 1, __ATOMIC_RELEASE);
}

static inline bool said(const int *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline uint64_t word_of(uint64_t seed, size_t i)
{
	return (seed << 32 | (i + 1)) * 0x9e3779b97f4a7c15;
}

static inline void put_words(void *memory, size_t length, uint64_t seed)
{
	volatile uint64_t *word = memory;

	for (size_t i = 0; i < length / sizeof(*word); i++)
		word[i] = word_of(seed, i);
}

static inline bool has_words(const void *memory, size_t length, uint64_t seed)
{
	const volatile uint64_t *word = memory;

	for (size_t i = 0; i < length / sizeof(*word); i++)
		if (word[i] != word_of(seed, i))
			return false;
	return true;
}

static inline int open_cmem(void)
{
	int cmem = open("/dev/cmem", O_RDWR | O_CLOEXEC);

	if (cmem < 0)
		fail("/dev/cmem: %s", strerror(errno));
	return cmem;
}

static inline bool allocate(int cmem, int block, size_t length, unsigned int flags,
			    struct buffer *buffer)
{
	struct cmem_alloc alloc = {
		.size = sizeof(alloc), .block = block, .pool = CMEM_POOL_HEAP, .length = length,
		.flags = flags | CMEM_ALLOC_CACHED,
	};

	if (ioctl(cmem, CMEM_IOCTL_ALLOC, &alloc)) {
		if (errno != ENOMEM)
			fail("CMEM_IOCTL_ALLOC of %zu bytes: %s", length, strerror(errno));
		return false;
	}
	buffer->phys_addr = alloc.phys_addr;
	buffer->length = alloc.length;
	buffer->mapping = mmap(NULL, alloc.length, PROT_READ | PROT_WRITE, MAP_SHARED, cmem,
			       alloc.mmap_offset);
	if (buffer->mapping == MAP_FAILED)
		fail("a mapping of %zu bytes: %s", length, strerror(errno));
	return true;
}

static inline void give_buffer(int cmem, const struct buffer *buffer)
{
	struct cmem_free free = { .size = sizeof(free), .phys_addr = buffer->phys_addr };

	must_ioctl(cmem, CMEM_IOCTL_FREE, &free, "CMEM_IOCTL_FREE");
}

static inline uint64_t pinned(int cmem, int block)
{
	struct cmem_block_info info = { .size = sizeof(info), .block = block };

	must_ioctl(cmem, CMEM_IOCTL_GET_BLOCK, &info, "CMEM_IOCTL_GET_BLOCK");
	return info.pinned_buffers;
}

static inline void await_unpinned(int cmem, int block)
{
	while (pinned(cmem, block))
		usleep(1000);
}

/* Somebody else: takes what is free again and again until the device is done. */
struct taker {
	int cmem, block;
	struct buffer buffers[MOST];
	unsigned int count;
};

static inline void take_all(struct taker *taker, uint64_t seed)
{
	for (size_t length = TAKER_LENGTH; length >= TAKER_LENGTH / 16;) {
		struct buffer *buffer = &taker->buffers[taker->count];

		if (taker->count == MOST || !allocate(taker->cmem, taker->block, length, 0, buffer)) {
			length /= 2;
			continue;
		}
		put_words(buffer->mapping, buffer->length, seed);
		taker->count++;
	}
}

/* Whether nobody has written into what is his, and gives it back */
static inline bool give_back(struct taker *taker, uint64_t seed)
{
	bool right = true;

	for (unsigned int i = 0; i < taker->count; i++) {
		struct buffer *buffer = &taker->buffers[i];

		if (right && !has_words(buffer->mapping, buffer->length, seed)) {
			note("the memory of somebody else at %#llx has changed",
			     (unsigned long long)buffer->phys_addr);
			right = false;
		}
		munmap(buffer->mapping, buffer->length);
		give_buffer(taker->cmem, buffer);
	}
	taker->count = 0;
	return right;
}

#endif /* TAKER_H */

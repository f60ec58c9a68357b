/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs of lab/consumers have in common: lines of TAP; all buffers of a
 * pool at once, so that one sees what happens beside the one that is used; and the way
 * of a picture to the host.
 */
#ifndef CONSUMERS_H
#define CONSUMERS_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/cmem.h>
#include <linux/dma-buf.h>
#include <ti/cmem.h>

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

#define HOARD_MAX	256	/* buffers in the largest pool that a test takes all of */
#define PATIENCE_S	20	/* for what the kernel frees in the background */

static unsigned int checks, failures;

static inline void plan(unsigned int count)
{
	printf("TAP version 13\n1..%u\n", count);
	fflush(stdout);
}

static inline void __attribute__((format(printf, 2, 3)))
check(bool passed, const char *format, ...)
{
	va_list arguments;

	printf("%s %u ", passed ? "ok" : "not ok", ++checks);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
	fflush(stdout);
	if (!passed)
		failures++;
}

/* A line that tells more of the check that comes after it */
static inline void __attribute__((format(printf, 1, 2)))
note(const char *format, ...)
{
	va_list arguments;

	printf("# ");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
}

/* Without this nothing else can be tried: the rest of the plan is missing then. */
static inline void __attribute__((noreturn, format(printf, 1, 2)))
fail(const char *format, ...)
{
	va_list arguments;

	printf("not ok %u ", ++checks);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
	exit(EXIT_FAILURE);
}

static inline int verdict(void)
{
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

static inline int retried_ioctl(int fd, unsigned long command, void *argument)
{
	int ret;

	do {
		ret = ioctl(fd, command, argument);
	} while (ret && (errno == EINTR || errno == EAGAIN));
	return ret;
}

static inline void must_ioctl(int fd, unsigned long command, void *argument, const char *what)
{
	if (retried_ioctl(fd, command, argument))
		fail("%s: %s", what, strerror(errno));
}

/* Buffers */

struct buffer {
	uint8_t *mapping;
	uint64_t phys_addr;
	size_t length;
};

struct hoard {
	int block, pool;
	CMEM_AllocParams params;
	unsigned int count;
	struct buffer buffers[HOARD_MAX];
};

static inline const char *block_name(int block)
{
	static char name[16];

	if (block == CMEM_BLOCK_CMA)
		return "the CMA block";
	snprintf(name, sizeof(name), "block %d", block);
	return name;
}

static inline const char *flags_name(int flags)
{
	return flags & CMEM_CACHED ? "cached" : "not cached";
}

/* The byte that fill() leaves at a physical address: what is not there is seen as much. */
static inline uint64_t pattern(uint64_t phys_addr)
{
	return (phys_addr / sizeof(uint64_t) + 1) * 0x9e3779b97f4a7c15;
}

static inline uint8_t pattern_byte(uint64_t phys_addr)
{
	return pattern(phys_addr) >> phys_addr % sizeof(uint64_t) * 8;
}

/* All of a buffer, and nothing of it left in the CPU's caches */
static inline void fill(const struct buffer *buffer)
{
	uint64_t *words = (uint64_t *)buffer->mapping;

	for (size_t i = 0; i < buffer->length / sizeof(*words); i++)
		words[i] = pattern(buffer->phys_addr + i * sizeof(*words));
	if (CMEM_cacheWbInv(buffer->mapping, buffer->length))
		fail("CMEM_cacheWbInv: %s", strerror(errno));
}

/*
 * Whether the bytes @from to @to (not included) of a buffer, seen through any mapping of
 * it, are as fill() left them
 */
static inline bool filled(const struct buffer *buffer, const uint8_t *mapping, size_t from,
			  size_t to)
{
	for (size_t i = from; i < to; i++) {
		uint64_t address = buffer->phys_addr + i;

		if (i % sizeof(uint64_t) == 0 && to - i >= sizeof(uint64_t) &&
		    *(const uint64_t *)(mapping + i) == pattern(address)) {
			i += sizeof(uint64_t) - 1;
			continue;
		}
		if (mapping[i] != pattern_byte(address)) {
			note("byte %zu of the buffer at %#llx is %#x, was %#x", i,
			     (unsigned long long)buffer->phys_addr, mapping[i],
			     pattern_byte(address));
			return false;
		}
	}
	return true;
}

/**
 * struct frame - how a frame lies in a buffer
 * @width: pixels in a row
 * @height: rows
 * @pitch: bytes from one row to the next
 * @step: bytes from one pixel to the next
 * @rgb: which bytes of a pixel are red, green and blue
 */
struct frame {
	unsigned int width, height, pitch, step;
	uint8_t rgb[3];
};

/* Whether what is right of a frame's rows and below them is as fill() left it */
static inline bool margin_untouched(const struct buffer *buffer, const uint8_t *mapping,
				    const struct frame *frame)
{
	for (unsigned int y = 0; y < frame->height; y++)
		if (!filled(buffer, mapping, y * frame->pitch + frame->width * frame->step,
			    (y + 1) * frame->pitch))
			return false;
	return filled(buffer, mapping, frame->height * frame->pitch, buffer->length);
}

/* The same of all of a buffer as memory has it: what a device wrote there is seen */
static inline bool untouched(const struct buffer *buffer)
{
	if (CMEM_cacheInv(buffer->mapping, buffer->length))
		fail("CMEM_cacheInv: %s", strerror(errno));
	return filled(buffer, buffer->mapping, 0, buffer->length);
}

static inline struct cmem_pool_info get_pool(int block, int pool)
{
	struct cmem_pool_info info = { .size = sizeof(info), .block = block, .pool = pool };
	int cmem = open("/dev/cmem", O_RDWR | O_CLOEXEC);

	if (cmem < 0)
		fail("/dev/cmem: %s", strerror(errno));
	must_ioctl(cmem, CMEM_IOCTL_GET_POOL, &info, "CMEM_IOCTL_GET_POOL");
	close(cmem);
	return info;
}

static inline int by_address(const void *left, const void *right)
{
	const struct buffer *a = left, *b = right;

	return a->phys_addr < b->phys_addr ? -1 : a->phys_addr > b->phys_addr;
}

/* All buffers of the pool that fits best, at least @count, filled, in order of address */
static inline void take_pool(struct hoard *hoard, int block, size_t size, int flags,
			     unsigned int count)
{
	struct cmem_pool_info info;

	hoard->block = block;
	hoard->params = (CMEM_AllocParams) { .type = CMEM_POOL, .flags = flags };
	hoard->pool = CMEM_getPool2(block, size);
	if (hoard->pool < 0)
		fail("no pool of %s has buffers of %zu bytes", block_name(block), size);
	info = get_pool(block, hoard->pool);
	if (info.count < count || info.count > HOARD_MAX || info.free != info.count)
		fail("pool %d of %s has %u buffers, %u free, must be %u to %u, all free",
		     hoard->pool, block_name(block), info.count, info.free, count, HOARD_MAX);

	for (hoard->count = 0; hoard->count < info.count; hoard->count++) {
		struct buffer *buffer = &hoard->buffers[hoard->count];

		buffer->mapping = CMEM_allocPool2(block, hoard->pool, &hoard->params);
		if (!buffer->mapping)
			fail("buffer %u of pool %d of %s: %s", hoard->count, hoard->pool,
			     block_name(block), strerror(errno));
		buffer->phys_addr = CMEM_getPhys64(buffer->mapping);
		buffer->length = info.length;
		fill(buffer);
	}
	qsort(hoard->buffers, hoard->count, sizeof(hoard->buffers[0]), by_address);
	for (unsigned int i = 1; i < hoard->count; i++)
		if (hoard->buffers[i].phys_addr !=
		    hoard->buffers[i - 1].phys_addr + hoard->buffers[i - 1].length)
			fail("buffers %u and %u of pool %d of %s are not side by side", i - 1, i,
			     hoard->pool, block_name(block));
}

/* The buffers that nobody was told of: those with an even number */
static inline bool neighbours_untouched(const struct hoard *hoard)
{
	bool all = true;

	for (unsigned int i = 0; i < hoard->count; i += 2)
		all &= untouched(&hoard->buffers[i]);
	return all;
}

static inline void free_buffer(struct hoard *hoard, struct buffer *buffer)
{
	if (CMEM_free(buffer->mapping, &hoard->params))
		fail("CMEM_free: %s", strerror(errno));
	buffer->mapping = NULL;
}

static inline void free_pool(struct hoard *hoard)
{
	for (unsigned int i = 0; i < hoard->count; i++)
		if (hoard->buffers[i].mapping)
			free_buffer(hoard, &hoard->buffers[i]);
}

/* Whether a pool has so many buffers in use, now or when the kernel has cleaned up */
static inline bool in_use(const struct hoard *hoard, unsigned int count)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	struct cmem_pool_info info;
	struct timespec now;
	time_t end;

	clock_gettime(CLOCK_MONOTONIC, &now);
	end = now.tv_sec + PATIENCE_S;
	do {
		info = get_pool(hoard->block, hoard->pool);
		if (info.count - info.free == count)
			return true;
		nanosleep(&pause, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end);
	note("pool %d of %s has %u of %u buffers free", hoard->pool, block_name(hoard->block),
	     info.free, info.count);
	return false;
}

/* DMA-BUFs */

static inline int export_buffer(const struct buffer *buffer)
{
	int fd = CMEM_export_dmabuf(buffer->mapping);

	if (fd < 0)
		fail("CMEM_export_dmabuf: %s", strerror(errno));
	return fd;
}

static inline uint8_t *map_dmabuf(int fd, size_t length)
{
	uint8_t *mapping = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (mapping == MAP_FAILED)
		fail("mmap of a DMA-BUF: %s", strerror(errno));
	return mapping;
}

/* What the CPU does with a DMA-BUF is between begin_access() and end_access(). */
static inline void begin_access(int fd, uint64_t direction)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | direction };

	must_ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync, "DMA_BUF_IOCTL_SYNC");
}

static inline void end_access(int fd, uint64_t direction)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_END | direction };

	must_ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync, "DMA_BUF_IOCTL_SYNC");
}

/* What sysfs tells */

/* Whether the first word of a file there is this one. Some pad what they tell. */
static inline bool sysfs_has(const char *path, const char *word)
{
	FILE *file = fopen(path, "r");
	char text[64] = "";

	if (!file)
		return false;
	if (fscanf(file, "%63s", text) != 1)
		text[0] = '\0';
	fclose(file);
	return !strcmp(text, word);
}

/*
 * Finds the entry of a directory there of which a file has this word, and copies its name.
 * There are more names of the file than one.
 */
static inline bool sysfs_find(const char *directory, const char *const *files, size_t count,
			      const char *word, char *name)
{
	DIR *all = opendir(directory);
	struct dirent *entry;
	char path[PATH_MAX];
	bool found = false;

	while (all && !found && (entry = readdir(all))) {
		for (size_t i = 0; i < count && !found; i++) {
			snprintf(path, sizeof(path), "%s/%s/%s", directory, entry->d_name, files[i]);
			found = sysfs_has(path, word);
		}
		strcpy(name, entry->d_name);
	}
	if (all)
		closedir(all);
	return found;
}

/* The block device of the disk that lab/consumers/check gave this serial number */
static inline void find_disk(const char *serial, char *path)
{
	static const char *const files[] = { "serial", "device/serial" };
	char name[NAME_MAX + 1];

	if (!sysfs_find("/sys/block", files, ARRAY_SIZE(files), serial, name))
		fail("there is no disk %s: lab/consumers/check makes it", serial);
	sprintf(path, "/dev/%s", name);
}

/* Pictures go to the host over the virtio-serial port org.ti-cmem.pictures. */

static inline FILE *open_pictures(void)
{
	static const char *const files[] = { "name" };
	char path[PATH_MAX], name[NAME_MAX + 1];
	FILE *file;

	if (!sysfs_find("/sys/class/virtio-ports", files, 1, "org.ti-cmem.pictures", name))
		fail("there is no virtio-serial port org.ti-cmem.pictures: lab/consumers/check makes it");
	snprintf(path, sizeof(path), "/dev/%s", name);
	file = fopen(path, "w");
	if (!file)
		fail("%s: %s", path, strerror(errno));
	return file;
}

/* Three bytes a pixel: red, green and blue */
static inline void send_picture(const char *name, const uint8_t *pixels,
				const struct frame *frame)
{
	FILE *port = open_pictures();

	fprintf(port, "picture %s %u %u\n", name, frame->width, frame->height);
	for (unsigned int y = 0; y < frame->height; y++)
		for (unsigned int x = 0; x < frame->width; x++)
			for (int c = 0; c < 3; c++)
				fputc(pixels[y * frame->pitch + x * frame->step + frame->rgb[c]],
				      port);
	if (fclose(port))
		fail("the picture did not get through: %s", strerror(errno));
}

#endif /* CONSUMERS_H */

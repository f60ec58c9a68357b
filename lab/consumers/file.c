// SPDX-License-Identifier: GPL-2.0
/*
 * Files on disks of two kinds are written and read with O_DIRECT: the disk reads and
 * writes page-backed buffers, through each kind of mapping, and by each way that Linux has
 * for that. What is written is read back through the page cache, and lab/consumers/check
 * reads it once more from the disk. What is read is seen in the other mapping of the
 * buffer. The kernel must not put a page of these files into the page cache.
 */
#define _GNU_SOURCE
#include <sys/mount.h>
#include <sys/stat.h>

#include "consumers.h"
#include "taker.h"
#include "uring.h"

/* What is written and read begins and ends between two pages, and two blocks of the file. */
#define SECTOR		512
#define LENGTH		((256 << 10) + 3 * SECTOR)
#define BUFFER_AT	SECTOR			/* in the buffer */
#define BUFFER_LENGTH	(BUFFER_AT + LENGTH + SECTOR)

/*
 * Half of a new file has memory on the disk that was never written (fallocate()), the other
 * half has none (ftruncate()): both are read as zeros. What is written is in both.
 */
#define FILE_LENGTH	(1 << 20)
#define FILE_AT		(FILE_LENGTH / 2 - (64 << 10) + SECTOR)
#define FILE_REST	(FILE_LENGTH - FILE_AT - LENGTH)

/* With the disks of lab/consumers/check, which have an ext4 file system each */
static const struct disk {
	const char *name, *serial, *directory;
} disks[] = {
	{ "NVMe",	"cmem-file-nvme",	"/tmp/nvme" },
	{ "virtio-blk",	"cmem-file-virtio",	"/tmp/virtio" },
};

static const int blocks[] = { 2, CMEM_BLOCK_CMA };

enum mapping { DEVICE, DMABUF, MAPPINGS };

static const char *const mappings[MAPPINGS] = {
	[DEVICE] = "/dev/cmem", [DMABUF] = "a DMA-BUF",
};

enum way { CALLS, URING, FIXED, WAYS };

static const struct {
	const char *name;
	int write, read;	/* opcodes of io_uring */
} ways[WAYS] = {
	[CALLS] = { "system calls" },
	[URING] = { "io_uring", IORING_OP_WRITE, IORING_OP_READ },
	[FIXED] = { "io_uring's fixed buffers", IORING_OP_WRITE_FIXED, IORING_OP_READ_FIXED },
};

/**
 * struct subject - what one pair of checks is about
 * @disk: where the file is
 * @block: the buffer's
 * @mapping: through which it is used
 * @way: by which it is used
 * @name: all of that
 * @memory: that mapping
 * @other: the other mapping of the buffer
 */
struct subject {
	const struct disk *disk;
	int block;
	enum mapping mapping;
	enum way way;
	char name[128];
	uint8_t *memory, *other;
};

static struct uring ring;
static uint8_t contents[FILE_LENGTH];

/* Another one with each call */
static uint64_t next_seed(void)
{
	static uint64_t seed = 5000;

	return ++seed;
}

/* Fills a buffer: what a disk uses with words of @seed, the rest with those of @around. */
static void put_around(uint8_t *memory, uint64_t seed, uint64_t around)
{
	put_words(memory, BUFFER_AT, around);
	put_words(memory + BUFFER_AT, LENGTH, seed);
	put_words(memory + BUFFER_AT + LENGTH, BUFFER_LENGTH - BUFFER_AT - LENGTH, around);
}

static bool has_around(const uint8_t *memory, uint64_t seed, uint64_t around)
{
	if (has_words(memory, BUFFER_AT, around) &&
	    has_words(memory + BUFFER_AT, LENGTH, seed) &&
	    has_words(memory + BUFFER_AT + LENGTH, BUFFER_LENGTH - BUFFER_AT - LENGTH, around))
		return true;
	note("the buffer, seen through its other mapping, has something else");
	return false;
}

/* Files */

static int open_file(const char *path, int flags)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | flags, 0600);

	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	return fd;
}

/* The number of a file's pages that are in the page cache */
static unsigned int cached_pages(int fd)
{
	unsigned int count = 0, pages = FILE_LENGTH / getpagesize();
	unsigned char resident[FILE_LENGTH / 4096];
	void *map = mmap(NULL, FILE_LENGTH, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED || mincore(map, FILE_LENGTH, resident))
		fail("mincore of a file: %s", strerror(errno));
	munmap(map, FILE_LENGTH);
	for (unsigned int i = 0; i < pages; i++)
		count += resident[i] & 1;
	return count;
}

static void drop_cached_pages(int fd)
{
	if (fsync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		fail("dropping a file's pages: %s", strerror(errno));
	if (cached_pages(fd))
		fail("the page cache keeps %u pages of a file", cached_pages(fd));
}

/* Reads all of the file through the page cache into @contents. */
static void read_cached(int fd)
{
	memset(contents, 0xee, FILE_LENGTH);
	if (pread(fd, contents, FILE_LENGTH, 0) != FILE_LENGTH)
		fail("reading a file: %s", strerror(errno));
	if (cached_pages(fd) != FILE_LENGTH / (unsigned int)getpagesize())
		fail("mincore() sees %u pages of a file that was read", cached_pages(fd));
}

static bool is_zero(const uint8_t *memory, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (memory[i]) {
			note("byte %zu of %zu where nothing was written is %#x", i, length, memory[i]);
			return false;
		}
	return true;
}

/* The transfer itself: the number of bytes or a negative errno */

static ssize_t by_calls(uint8_t *memory, int fd, bool writes)
{
	ssize_t ret = writes ? pwrite(fd, memory, LENGTH, FILE_AT) :
			       pread(fd, memory, LENGTH, FILE_AT);

	return ret < 0 ? -errno : ret;
}

static ssize_t by_uring(uint8_t *memory, int fd, int opcode)
{
	struct io_uring_sqe request = {
		.opcode = opcode, .fd = fd, .addr = (uintptr_t)memory, .len = LENGTH,
		.off = FILE_AT,
	};

	uring_submit(&ring, &request);
	return uring_wait(&ring);
}

static void transfer(const struct subject *this, int fd, bool writes)
{
	uint8_t *memory = this->memory + BUFFER_AT;
	ssize_t ret;

	if (this->way == CALLS)
		ret = by_calls(memory, fd, writes);
	else
		ret = by_uring(memory, fd, writes ? ways[this->way].write : ways[this->way].read);
	if (ret < 0)
		fail("%s: %s", this->name, strerror(-ret));
	if (ret != LENGTH)
		fail("%s: %zd of %d bytes", this->name, ret, LENGTH);
}

static void check_not_cached(const struct subject *this, int fd, const char *what)
{
	unsigned int cached = cached_pages(fd);

	check(!cached, "%s, %s: none of the file's pages is in the page cache: %u are", this->name,
	      what, cached);
}

/* The file stays, so that lab/consumers/check can read it. */
static void check_writing(const struct subject *this)
{
	uint64_t seed = next_seed(), around = next_seed();
	char path[64];
	int direct, cached;
	bool kept;

	snprintf(path, sizeof(path), "%s/%llu", this->disk->directory, (unsigned long long)seed);
	direct = open_file(path, O_CREAT | O_EXCL | O_DIRECT);
	if (fallocate(direct, 0, 0, FILE_LENGTH / 2) || ftruncate(direct, FILE_LENGTH))
		fail("%s: %s", path, strerror(errno));
	put_around(this->memory, seed, around);
	transfer(this, direct, true);
	check_not_cached(this, direct, "written");
	close(direct);

	kept = has_around(this->other, seed, around);
	cached = open_file(path, 0);
	read_cached(cached);
	close(cached);
	check(kept && is_zero(contents, FILE_AT) && has_words(contents + FILE_AT, LENGTH, seed) &&
	      is_zero(contents + FILE_AT + LENGTH, FILE_REST),
	      "%s: the file has what was written, and zeros elsewhere", this->name);
	note("written %s %llu %d %d %d", this->disk->serial, (unsigned long long)seed, FILE_AT,
	     LENGTH, FILE_LENGTH);
}

static void check_reading(const struct subject *this)
{
	uint64_t seed = next_seed(), before = next_seed(), around = next_seed();
	char path[64];
	int direct, cached;

	snprintf(path, sizeof(path), "%s/read", this->disk->directory);
	cached = open_file(path, O_CREAT | O_EXCL);
	put_words(contents, FILE_LENGTH, next_seed());
	put_words(contents + FILE_AT, LENGTH, seed);
	if (pwrite(cached, contents, FILE_LENGTH, 0) != FILE_LENGTH)
		fail("%s: %s", path, strerror(errno));
	drop_cached_pages(cached);
	close(cached);

	put_around(this->memory, before, around);
	direct = open_file(path, O_DIRECT);
	transfer(this, direct, false);
	check_not_cached(this, direct, "read");
	check(has_around(this->other, seed, around),
	      "%s: the buffer has what the file has, and nothing beside it has changed", this->name);
	close(direct);
	unlink(path);
}

/* CMA's memory must stay movable, but the kernel pins fixed buffers for long. */
static void check_refusal(const struct subject *this)
{
	int ret = uring_register(&ring, this->memory, BUFFER_LENGTH);

	check(ret == -EFAULT, "%s: refused with EFAULT: %s", this->name, strerror(-ret));
	if (!ret)
		uring_unregister(&ring);
}

static void check_one(struct subject *this)
{
	int ret;

	snprintf(this->name, sizeof(this->name), "%s, %s, mapped by %s, %s", this->disk->name,
		 block_name(this->block), mappings[this->mapping], ways[this->way].name);
	if (this->way == FIXED && this->block == CMEM_BLOCK_CMA) {
		check_refusal(this);
		return;
	}
	ret = this->way == FIXED ? uring_register(&ring, this->memory, BUFFER_LENGTH) : 0;
	if (ret)
		fail("%s: IORING_REGISTER_BUFFERS: %s", this->name, strerror(-ret));
	check_writing(this);
	check_reading(this);
	if (this->way == FIXED)
		uring_unregister(&ring);
}

static int export(int cmem, const struct buffer *buffer)
{
	struct cmem_export export = {
		.size = sizeof(export), .phys_addr = buffer->phys_addr,
		.fd_flags = O_RDWR | O_CLOEXEC,
	};

	must_ioctl(cmem, CMEM_IOCTL_EXPORT, &export, "CMEM_IOCTL_EXPORT");
	return export.fd;
}

static void check_all(int cmem, const struct disk *disk, int block)
{
	uint8_t *maps[MAPPINGS];
	struct buffer buffer;
	int dmabuf;

	if (!allocate(cmem, block, BUFFER_LENGTH, CMEM_ALLOC_PAGES, &buffer))
		fail("no memory in %s", block_name(block));
	dmabuf = export(cmem, &buffer);
	maps[DEVICE] = buffer.mapping;
	maps[DMABUF] = map_dmabuf(dmabuf, buffer.length);
	for (int i = 0; i < MAPPINGS * WAYS; i++) {
		struct subject this = {
			.disk = disk, .block = block, .mapping = i / WAYS, .way = i % WAYS,
		};

		this.memory = maps[this.mapping];
		this.other = maps[MAPPINGS - 1 - this.mapping];
		check_one(&this);
	}
	munmap(maps[DMABUF], buffer.length);
	munmap(maps[DEVICE], buffer.length);
	close(dmabuf);
	give_buffer(cmem, &buffer);
	await_unpinned(cmem, block);
	check(true, "%s, %s: the buffer is free in the end", disk->name, block_name(block));
}

static void mount_disk(const struct disk *disk)
{
	char path[PATH_MAX];

	find_disk(disk->serial, path);
	mkdir(disk->directory, 0700);
	if (mount(path, disk->directory, "ext4", 0, NULL))
		fail("%s: %s", path, strerror(errno));
}

int main(void)
{
	/* Four checks of each combination, less three of fixed buffers of CMA, one of the end */
	const unsigned int each = ARRAY_SIZE(disks) * MAPPINGS;
	int cmem;

	plan(each * (ARRAY_SIZE(blocks) * WAYS * 4 - 3) + ARRAY_SIZE(disks) * ARRAY_SIZE(blocks));
	cmem = open_cmem();
	uring_open(&ring);
	for (unsigned int i = 0; i < ARRAY_SIZE(disks); i++) {
		mount_disk(&disks[i]);
		for (unsigned int j = 0; j < ARRAY_SIZE(blocks); j++)
			check_all(cmem, &disks[i], blocks[j]);
		if (umount(disks[i].directory))
			fail("umount %s: %s", disks[i].directory, strerror(errno));
	}
	return verdict();
}

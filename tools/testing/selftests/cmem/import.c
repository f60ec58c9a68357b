// SPDX-License-Identifier: GPL-2.0
/*
 * The address of a DMA-BUF, whoever exports it: CMEM_IOCTL_IMPORT, and how long its
 * result is valid.
 */
#include "cmem_dmabuf.h"

#define LENGTH (4 * page_size())

static int import_flags(int fd, int dmabuf, __u32 fd_flags, struct cmem_import_dmabuf *arg)
{
	*arg = (struct cmem_import_dmabuf){
		.size = sizeof(*arg), .dmabuf_fd = dmabuf, .fd_flags = fd_flags, .fd = -1,
	};
	return cmem_ioctl(fd, CMEM_IOCTL_IMPORT, arg);
}

static int import(int fd, int dmabuf, struct cmem_import_dmabuf *arg)
{
	return import_flags(fd, dmabuf, O_CLOEXEC, arg);
}

/* What /proc says about a file of this process: the number after a word, or -1 */
static long long told(int fd, const char *word)
{
	char path[64], line[128];
	long long value = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "r");
	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, word, strlen(word)) && line[strlen(word)] == ':')
			value = strtoll(line + strlen(word) + 1, NULL, 0);
	fclose(file);
	return value;
}

static int udmabuf_of_two(int device, int memfd, int first)
{
	struct {
		struct udmabuf_create_list list;
		struct udmabuf_create_item item[2];
	} create = { .list = { .flags = UDMABUF_FLAGS_CLOEXEC, .count = 2 } };

	for (int i = 0; i < 2; i++)
		create.item[i] = (struct udmabuf_create_item){
			.memfd = memfd, .offset = (i ^ first) * page_size(), .size = page_size(),
		};
	return cmem_ioctl(device, UDMABUF_CREATE_LIST, &create);
}

/*
 * A DMA-BUF in pieces: two pages of a file, of which the second does not follow the first
 * in memory. The first DMA-BUF pins the pages, which may move them before. pagemap then
 * shows where they are.
 */
static int scattered_dmabuf(void)
{
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), fd = -ENODEV, pin = -1;
	int memfd = memfd_create("cmem", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char *map = MAP_FAILED;
	__u64 entries[2];

	if (device < 0)
		goto out;
	fd = -EIO;
	if (memfd < 0 || ftruncate(memfd, 2 * page_size()) ||
	    fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		goto out;
	pin = udmabuf_of_two(device, memfd, 0);
	map = dmabuf_map(memfd, 0, 2 * page_size());
	if (pin < 0 || map == MAP_FAILED)
		goto out;
	fill(map, 2 * page_size(), 1);
	if (!read_pagemap(map, entries, 2) || !PM_PFN(entries[0]) || !PM_PFN(entries[1]))
		goto out;
	fd = udmabuf_of_two(device, memfd, PM_PFN(entries[0]) < PM_PFN(entries[1]));
out:
	if (map != MAP_FAILED)
		munmap(map, 2 * page_size());
	close(pin);
	close(memfd);
	close(device);
	return fd;
}

FIXTURE(import)
{
	int fd;
	int foreign;
	int num_fds;
	struct source src;
	struct snapshot before;
};

FIXTURE_SETUP(import)
{
	struct cmem_info info;

	OPEN_OR_SKIP(self->fd);
	ASSERT_EQ(0, cmem_get_info(self->fd, &info));
	if (!(info.features & CMEM_FEATURE_IMPORT))
		SKIP(return, "no CMEM_IOCTL_IMPORT in this kernel's CMEM");
	if (!find_heap_source(ANY_KIND, 2 * LENGTH, &self->src))
		SKIP(return, "no heap with room for two buffers");
	self->src.length = LENGTH;
	self->num_fds = count_fds();
	ASSERT_EQ(0, take_snapshot(&self->before));
}

FIXTURE_TEARDOWN(import)
{
	EXPECT_EQ(self->num_fds, count_fds());
	expect_same(&self->before);
	close(self->fd);
}

TEST_F(import, tells_where_a_buffer_of_ours_is)
{
	struct cmem_alloc buf;
	struct cmem_import_dmabuf arg, second;
	int dmabuf, other_fd = cmem_open();

	ASSERT_LE(0, other_fd);
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, CMEM_ALLOC_PRIVATE, &buf));
	dmabuf = cmem_export(self->fd, buf.phys_addr, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, import(other_fd, dmabuf, &arg));
	EXPECT_EQ(buf.phys_addr, arg.phys_addr);
	EXPECT_EQ(buf.length, arg.length);
	EXPECT_EQ(FD_CLOEXEC, fcntl(arg.fd, F_GETFD));
	EXPECT_EQ((long long)buf.phys_addr, told(arg.fd, "phys"));
	EXPECT_EQ((long long)buf.length, told(arg.fd, "size"));
	/* Each import has its own file. */
	ASSERT_EQ(0, import_flags(self->fd, dmabuf, 0, &second));
	EXPECT_EQ(arg.phys_addr, second.phys_addr);
	EXPECT_NE(arg.fd, second.fd);
	EXPECT_EQ(0, fcntl(second.fd, F_GETFD));
	close(second.fd);
	close(dmabuf);
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	close(other_fd);

	/* The file alone holds the memory: nobody else gets it. */
	EXPECT_EQ((long long)arg.phys_addr, told(arg.fd, "phys"));
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, 0, &buf));
	EXPECT_NE(arg.phys_addr, buf.phys_addr);
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	close(arg.fd);
}

TEST_F(import, who_may_only_read_may_know_it)
{
	struct cmem_import_dmabuf arg;
	struct cmem_alloc buf;
	int dmabuf, reader = open("/dev/cmem", O_RDONLY | O_CLOEXEC);

	ASSERT_LE(0, reader);
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, 0, &buf));
	dmabuf = cmem_export(self->fd, buf.phys_addr, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, import(reader, dmabuf, &arg));
	EXPECT_EQ(buf.phys_addr, arg.phys_addr);
	close(arg.fd);
	close(dmabuf);
	close(reader);
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
}

TEST_F(import, tells_where_another_exporters_buffer_is)
{
	struct cmem_import_dmabuf arg, second;
	int dmabuf = foreign_dmabuf();

	if (dmabuf < 0)
		SKIP(return, "nobody else exports DMA-BUFs");
	ASSERT_EQ(0, import(self->fd, dmabuf, &arg));
	EXPECT_NE(0, arg.phys_addr);
	EXPECT_EQ(0, arg.phys_addr & (page_size() - 1));
	EXPECT_EQ(page_size(), arg.length);
	ASSERT_EQ(0, import(self->fd, dmabuf, &second));
	EXPECT_EQ(arg.phys_addr, second.phys_addr);
	close(second.fd);
	/* Its exporter knows our device, and maintains the CPU caches for it. */
	EXPECT_EQ(0, dmabuf_sync(dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW));
	EXPECT_EQ(0, dmabuf_sync(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW));
	close(dmabuf);
	EXPECT_EQ((long long)arg.phys_addr, told(arg.fd, "phys"));
	close(arg.fd);
}

/* The physical address shows what a program writes. */
TEST_F(import, the_address_is_that_of_the_memory)
{
	int dmabuf = foreign_dmabuf();
	struct cmem_import_dmabuf arg;
	__u64 entry = 0;
	char *map;

	if (dmabuf < 0)
		SKIP(return, "nobody else exports DMA-BUFs");
	map = dmabuf_map(dmabuf, 0, page_size());
	ASSERT_MAPPED(map);
	*map = 1;
	ASSERT_EQ(0, import(self->fd, dmabuf, &arg));
	if (read_pagemap(map, &entry, 1) && PM_PFN(entry)) {
		EXPECT_EQ(PM_PFN(entry) * page_size(), arg.phys_addr);
	}
	close(arg.fd);
	ASSERT_EQ(0, munmap(map, page_size()));
	close(dmabuf);
}

TEST_F(import, what_is_in_pieces_has_no_address)
{
	int dmabuf = scattered_dmabuf();
	struct cmem_import_dmabuf arg;

	if (dmabuf == -ENODEV)
		SKIP(return, "no /dev/udmabuf");
	ASSERT_LE(0, dmabuf);
	EXPECT_EQ(-EINVAL, import(self->fd, dmabuf, &arg));
	EXPECT_EQ(-1, arg.fd);
	close(dmabuf);
}

TEST_F(import, what_is_no_dmabuf_is_refused)
{
	struct cmem_import_dmabuf arg;
	int file = memfd_create("cmem", MFD_CLOEXEC);

	EXPECT_EQ(-EBADF, import(self->fd, -1, &arg));
	EXPECT_EQ(-EBADF, import(self->fd, 1000, &arg));
	EXPECT_EQ(-EINVAL, import(self->fd, self->fd, &arg));
	EXPECT_EQ(-EINVAL, import(self->fd, file, &arg));
	close(file);
}

TEST_F(import, no_file_descriptor_is_left)
{
	struct rlimit limit, none = { 0 };
	struct cmem_import_dmabuf arg;
	struct cmem_alloc buf;
	int dmabuf;

	ASSERT_EQ(0, source_alloc(self->fd, &self->src, 0, &buf));
	dmabuf = cmem_export(self->fd, buf.phys_addr, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	none.rlim_max = limit.rlim_max;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(-EMFILE, import(self->fd, dmabuf, &arg));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	close(dmabuf);
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
}

/* Others can still use an imported buffer: the import only attaches a device. */
TEST_F(import, others_have_the_buffer_as_before)
{
	struct cmem_import_dmabuf arg;
	struct cmem_alloc buf;
	int dmabuf;
	char *map;

	ASSERT_EQ(0, source_alloc(self->fd, &self->src, CMEM_ALLOC_CACHED, &buf));
	dmabuf = cmem_export(self->fd, buf.phys_addr, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, dmabuf);
	map = dmabuf_map(dmabuf, 0, LENGTH);
	ASSERT_MAPPED(map);
	fill(map, LENGTH, 5);
	ASSERT_EQ(0, import(self->fd, dmabuf, &arg));
	close(arg.fd);
	EXPECT_EQ(-1, find_stranger(map, LENGTH, 5));
	ASSERT_EQ(0, munmap(map, LENGTH));
	close(dmabuf);
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
}

TEST_HARNESS_MAIN

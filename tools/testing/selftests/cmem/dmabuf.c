// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers as DMA-BUFs: what EXPORT creates and refuses, how long a DMA-BUF lives, how it
 * is mapped, and how RESOLVE, SYNC and REGISTER treat it. sync_trace.c checks what
 * DMA_BUF_IOCTL_SYNC does to the caches; scrub.c checks the cleaning afterwards.
 */
#include <limits.h>
#include <sys/personality.h>
#include <sys/stat.h>

#include "cmem_dmabuf.h"

#define PAGES 8
#define RW (PROT_READ | PROT_WRITE)
#define RDWR (O_RDWR | O_CLOEXEC)

FIXTURE(dmabuf)
{
	int fd;				/* has a buffer */
	int other_fd;			/* another owner */
	struct source src;
	struct cmem_alloc buf;
	int dmabuf;			/* of that buffer */
	__u64 free_held;		/* free memory while it lives */
	unsigned long page;
	struct snapshot before;
};

SOURCE_VARIANTS(dmabuf);

FIXTURE_SETUP(dmabuf)
{
	self->page = page_size();
	OPEN_OR_SKIP(self->fd);
	DMABUF_OR_SKIP(self->fd);
	self->other_fd = cmem_open();
	ASSERT_LE(0, self->other_fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!find_source(variant->kind, variant->heap, PAGES * self->page, &self->src))
		SKIP(return, "no such memory on this board");
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, variant->flags, &self->buf));
	self->dmabuf = cmem_export(self->fd, self->buf.phys_addr, RDWR);
	ASSERT_LE(0, self->dmabuf) TH_LOG("%s", strerror(-self->dmabuf));
	self->free_held = source_free(self->fd, &self->src);
}

FIXTURE_TEARDOWN(dmabuf)
{
	close(self->dmabuf);
	close(self->fd);
	close(self->other_fd);
	expect_same(&self->before);
}

/* mmap() of a DMA-BUF: the address, or a negative errno. */
static long try_map(int dmabuf, __u64 offset, size_t length, int prot, int flags)
{
	void *addr = mmap(NULL, length, prot, flags, dmabuf, offset);

	return addr == MAP_FAILED ? -errno : (long)addr;
}

/* The value of "key:" in the fdinfo of a file descriptor, empty if it does not exist */
static void read_fdinfo(int fd, const char *key, char *value, size_t size)
{
	char path[64], line[256];
	FILE *info;

	value[0] = 0;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = fopen(path, "re");
	while (info && fgets(line, sizeof(line), info)) {
		char *text = strchr(line, ':');

		if (!text)
			continue;
		*text++ = 0;
		text += strspn(text, "\t ");
		text[strcspn(text, "\n")] = 0;
		if (!strcmp(line, key))
			snprintf(value, size, "%s", text);
	}
	if (info)
		fclose(info);
}

/* What EXPORT creates */

static ino_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_ino;
}

TEST_F(dmabuf, is_as_long_as_the_buffer)
{
	char value[128], length[32];

	EXPECT_EQ(self->buf.length, lseek(self->dmabuf, 0, SEEK_END));
	EXPECT_EQ(0, lseek(self->dmabuf, 0, SEEK_SET));
	EXPECT_EQ(-1, lseek(self->dmabuf, 1, SEEK_SET));
	snprintf(length, sizeof(length), "%llu", self->buf.length);
	read_fdinfo(self->dmabuf, "size", value, sizeof(value));
	EXPECT_STREQ(length, value);
	read_fdinfo(self->dmabuf, "exp_name", value, sizeof(value));
	EXPECT_STREQ("cmem", value);
}

TEST_F(dmabuf, is_open_for_what_was_asked)
{
	const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		for (int cloexec = 0; cloexec < 2; cloexec++) {
			int fd = cmem_export(self->fd, self->buf.phys_addr,
					     modes[i] | (cloexec ? O_CLOEXEC : 0));

			ASSERT_LE(0, fd);
			EXPECT_EQ(modes[i], fcntl(fd, F_GETFL) & O_ACCMODE);
			EXPECT_EQ(cloexec ? FD_CLOEXEC : 0, fcntl(fd, F_GETFD));
			EXPECT_EQ(self->buf.length, lseek(fd, 0, SEEK_END));
			close(fd);
		}
	}
}

TEST_F(dmabuf, has_the_name_that_it_is_given)
{
	char value[128], path[64];
	ssize_t length;

	ASSERT_EQ(0, cmem_ioctl(self->dmabuf, DMA_BUF_SET_NAME, "frame 7"));
	read_fdinfo(self->dmabuf, "name", value, sizeof(value));
	EXPECT_STREQ("frame 7", value);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->dmabuf);
	length = readlink(path, value, sizeof(value) - 1);
	ASSERT_LT(0, length);
	value[length] = 0;
	EXPECT_STREQ("/dmabuf:frame 7", value);
	EXPECT_EQ(-EINVAL, cmem_ioctl(self->dmabuf, DMA_BUF_SET_NAME,
				      "longer than thirty-one characters"));
	read_fdinfo(self->dmabuf, "name", value, sizeof(value));
	EXPECT_STREQ("frame 7", value);
}

TEST_F(dmabuf, EXPORT_answers_with_nothing_else_changed)
{
	struct cmem_export arg = {
		.size = sizeof(arg), .phys_addr = self->buf.phys_addr, .fd_flags = RDWR,
		.fd = -77,
	};
	int fds = count_fds();

	ASSERT_EQ(0, cmem_ioctl(self->fd, CMEM_IOCTL_EXPORT, &arg));
	EXPECT_EQ(sizeof(arg), arg.size);
	EXPECT_EQ(0, arg.flags);
	EXPECT_EQ(self->buf.phys_addr, arg.phys_addr);
	EXPECT_EQ(RDWR, arg.fd_flags);
	ASSERT_LE(0, arg.fd);
	EXPECT_EQ(fds + 1, count_fds());
	EXPECT_EQ(self->buf.length, lseek(arg.fd, 0, SEEK_END));
	EXPECT_EQ(self->free_held, source_free(self->other_fd, &self->src));
	close(arg.fd);
	EXPECT_EQ(self->free_held, source_free(self->other_fd, &self->src));
}

/*
 * What EXPORT refuses
 */

/* @call returns -@err, changes nothing and leaves no new file descriptor. */
#define EXPECT_NO_EXPORT(err, call)					\
	fds_before = count_fds();					\
	EXPECT_REFUSED(err, no_new_fd(call))
#define no_new_fd(ret) __no_new_fd(_metadata, ret)
static int fds_before;

static int __no_new_fd(struct __test_metadata *_metadata, int ret)
{
	EXPECT_EQ(fds_before, count_fds());
	return ret;
}

static int export_with_flags(int fd, const struct cmem_alloc *buf, __u32 flags)
{
	struct cmem_export arg = {
		.size = sizeof(arg), .phys_addr = buf->phys_addr, .fd_flags = RDWR,
		.flags = flags,
	};

	return cmem_ioctl(fd, CMEM_IOCTL_EXPORT, &arg);
}

TEST_F(dmabuf, unknown_flags_are_EOPNOTSUPP)
{
	for (int bit = 0; bit < 32; bit++) {
		if (1U << bit != CMEM_EXPORT_USER_ADDR) {
			EXPECT_NO_EXPORT(EOPNOTSUPP,
					 export_with_flags(self->fd, &self->buf, 1U << bit));
		}
		if (1U << bit & (O_CLOEXEC | O_ACCMODE))
			continue;
		EXPECT_NO_EXPORT(EOPNOTSUPP, cmem_export(self->fd, self->buf.phys_addr,
							 RDWR | 1U << bit))
			TH_LOG("bit %d", bit);
	}
	EXPECT_NO_EXPORT(EOPNOTSUPP, cmem_export(self->fd, self->buf.phys_addr, O_ACCMODE));
	EXPECT_NO_EXPORT(EOPNOTSUPP, cmem_export(self->fd, self->buf.phys_addr,
						 O_ACCMODE | O_CLOEXEC));
}

TEST_F(dmabuf, EXPORT_takes_user_addresses)
{
	char *map = cmem_map(self->fd, &self->buf), *shared;
	struct cmem_export arg = {
		.size = sizeof(arg), .flags = CMEM_EXPORT_USER_ADDR, .fd_flags = RDWR,
	};
	int other_fd = cmem_open();

	ASSERT_MAPPED(map);
	ASSERT_LE(0, other_fd);
	shared = dmabuf_map(self->dmabuf, self->page, self->page);
	ASSERT_MAPPED(shared);
	for (int i = 0; i < 4; i++) {
		arg.phys_addr = (unsigned long)(i == 0 ? map : i == 1 ? map + self->buf.length - 1 :
						i == 2 ? map + self->page + 5 : shared + 7);
		ASSERT_EQ(0, cmem_ioctl(self->fd, CMEM_IOCTL_EXPORT, &arg)) TH_LOG("case %d", i);
		EXPECT_EQ(inode_of(self->dmabuf), inode_of(arg.fd));
		close(arg.fd);
	}
	EXPECT_NO_EXPORT(EPERM, cmem_ioctl(other_fd, CMEM_IOCTL_EXPORT, &arg));
	arg.phys_addr = (unsigned long)&arg;
	EXPECT_NO_EXPORT(EFAULT, cmem_ioctl(self->fd, CMEM_IOCTL_EXPORT, &arg));
	arg.phys_addr = self->buf.phys_addr | 1ULL << 56;
	EXPECT_NO_EXPORT(EFAULT, cmem_ioctl(self->fd, CMEM_IOCTL_EXPORT, &arg));
	ASSERT_EQ(0, munmap(shared, self->page));
	ASSERT_EQ(0, munmap(map, self->buf.length));
	arg.phys_addr = (unsigned long)map;
	EXPECT_NO_EXPORT(EFAULT, cmem_ioctl(self->fd, CMEM_IOCTL_EXPORT, &arg));
	close(other_fd);
}

TEST_F(dmabuf, EXPORT_wants_the_address_of_a_buffer)
{
	const __u64 odd[] = { 1, 8, 64, 2048, 4095 };
	const __u64 far[] = {
		0, self->page, 1ULL << 39, 1ULL << 52, 1ULL << 63, -(__u64)self->page,
		address_outside(),
		self->buf.phys_addr + (1ULL << 32), self->buf.phys_addr + (1ULL << 44),
	};

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		EXPECT_NO_EXPORT(EINVAL, cmem_export(self->fd, self->buf.phys_addr + odd[i], RDWR));
	}
	EXPECT_NO_EXPORT(EINVAL, cmem_export(self->fd, ~0ULL, RDWR));
	for (__u64 off = self->page; off < self->buf.length; off *= 2) {
		EXPECT_NO_EXPORT(ENOENT, cmem_export(self->fd, self->buf.phys_addr + off, RDWR));
	}
	for (size_t i = 0; i < ARRAY_SIZE(far); i++) {
		EXPECT_NO_EXPORT(ENOENT, cmem_export(self->fd, far[i], RDWR))
			TH_LOG("%#llx", far[i]);
	}
}

TEST_F(dmabuf, EXPORT_wants_a_registration)
{
	__u64 phys_addr = self->buf.phys_addr;
	char *map;

	EXPECT_NO_EXPORT(EPERM, cmem_export(self->other_fd, phys_addr, RDWR));
	EXPECT_NO_EXPORT(EPERM, cmem_export(self->other_fd, phys_addr, O_RDONLY));
	ASSERT_EQ(0, cmem_register(self->other_fd, phys_addr));
	close(self->dmabuf);
	self->dmabuf = cmem_export(self->other_fd, phys_addr, RDWR);
	ASSERT_LE(0, self->dmabuf);
	ASSERT_EQ(0, cmem_free(self->other_fd, phys_addr));
	EXPECT_NO_EXPORT(EPERM, cmem_export(self->other_fd, phys_addr, RDWR));

	/* Nobody is registered for a buffer that is only mapped or only a DMA-BUF. */
	map = cmem_map(self->fd, &self->buf);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, cmem_free(self->fd, phys_addr));
	EXPECT_NO_EXPORT(ENOENT, cmem_export(self->fd, phys_addr, RDWR));
	EXPECT_NO_EXPORT(ENOENT, cmem_export(self->other_fd, phys_addr, RDWR));
	close(self->dmabuf);
	EXPECT_NO_EXPORT(ENOENT, cmem_export(self->fd, phys_addr, RDWR));
	ASSERT_EQ(0, munmap(map, self->buf.length));
	EXPECT_NO_EXPORT(ENOENT, cmem_export(self->fd, phys_addr, RDWR));
	self->dmabuf = -1;
}

TEST_F(dmabuf, a_file_gives_no_more_than_it_is_open_for)
{
	const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		int file = open(CMEM_DEVICE, modes[i] | O_CLOEXEC);

		ASSERT_LE(0, file);
		ASSERT_EQ(0, cmem_register(file, self->buf.phys_addr));
		for (size_t k = 0; k < ARRAY_SIZE(modes); k++) {
			int fd;

			if (modes[i] != O_RDWR && modes[i] != modes[k]) {
				EXPECT_NO_EXPORT(EPERM, cmem_export(file, self->buf.phys_addr,
								    modes[k]));
				continue;
			}
			fd = cmem_export(file, self->buf.phys_addr, modes[k]);
			EXPECT_LE(0, fd);
			close(fd);
		}
		close(file);
	}
}

TEST_F(dmabuf, EMFILE_changes_nothing)
{
	struct rlimit old, limit;
	int fds = count_fds();
	int top = dup(self->fd);

	/* The lowest free file descriptor is the first above the limit. */
	ASSERT_LE(0, top);
	close(top);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	limit = (struct rlimit){ .rlim_cur = top, .rlim_max = old.rlim_max };
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	for (int i = 0; i < 10; i++) {
		EXPECT_REFUSED(EMFILE, cmem_export(self->fd, self->buf.phys_addr, RDWR));
	}
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	EXPECT_EQ(fds, count_fds());
	close(self->dmabuf);
	ASSERT_EQ(0, cmem_free(self->fd, self->buf.phys_addr));
	EXPECT_LT(self->free_held, source_free(self->fd, &self->src));
	self->dmabuf = -1;
}

TEST_F(dmabuf, an_answer_that_can_not_be_written_leaves_no_file_descriptor)
{
	struct cmem_export *arg = mmap(NULL, self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_MAPPED(arg);
	*arg = (struct cmem_export){
		.size = sizeof(*arg), .phys_addr = self->buf.phys_addr, .fd_flags = RDWR,
	};
	ASSERT_EQ(0, mprotect(arg, self->page, PROT_READ));
	for (int i = 0; i < 10; i++) {
		EXPECT_NO_EXPORT(EFAULT, cmem_ioctl(self->fd, CMEM_IOCTL_EXPORT, arg));
	}
	ASSERT_EQ(0, munmap(arg, self->page));
	EXPECT_NO_EXPORT(EFAULT, cmem_ioctl(self->fd, CMEM_IOCTL_EXPORT, arg));
	close(self->dmabuf);
	ASSERT_EQ(0, cmem_free(self->fd, self->buf.phys_addr));
	EXPECT_LT(self->free_held, source_free(self->fd, &self->src));
	self->dmabuf = -1;
}

/*
 * How it is mapped
 */

TEST_F(dmabuf, shows_the_buffer)
{
	char *own = cmem_map(self->fd, &self->buf);
	char *map = dmabuf_map(self->dmabuf, 0, self->buf.length);

	ASSERT_MAPPED(own);
	ASSERT_MAPPED(map);
	EXPECT_EQ(-1, find_nonzero(map, self->buf.length));
	fill(own, self->buf.length, 1);
	EXPECT_EQ(-1, find_stranger(map, self->buf.length, 1));
	fill(map, self->buf.length, 2);
	EXPECT_EQ(-1, find_stranger(own, self->buf.length, 2));
	EXPECT_EQ(0, munmap(own, self->buf.length));
	EXPECT_EQ(0, munmap(map, self->buf.length));
}

TEST_F(dmabuf, parts_show_the_bytes_of_their_place)
{
	char *map = dmabuf_map(self->dmabuf, 0, self->buf.length);

	ASSERT_MAPPED(map);
	for (int i = 0; i < PAGES; i++)
		memset(map + i * self->page, 'a' + i, self->page);
	for (int first = 0; first < PAGES; first++) {
		for (int pages = 1; first + pages <= PAGES; pages++) {
			char *part = dmabuf_map(self->dmabuf, first * self->page,
						pages * self->page);

			ASSERT_MAPPED(part);
			for (int i = 0; i < pages; i++) {
				EXPECT_EQ('a' + first + i, part[i * self->page]);
				EXPECT_EQ('a' + first + i, part[(i + 1) * self->page - 1]);
			}
			EXPECT_EQ(0, munmap(part, pages * self->page));
		}
	}
	EXPECT_EQ(0, munmap(map, self->buf.length));
}

TEST_F(dmabuf, several_of_one_buffer_show_the_same_bytes)
{
	enum { SEVERAL = 8 };
	int fd[SEVERAL];
	char *map[SEVERAL];

	for (int i = 0; i < SEVERAL; i++) {
		fd[i] = cmem_export(self->fd, self->buf.phys_addr, RDWR);
		ASSERT_LE(0, fd[i]);
		map[i] = dmabuf_map(fd[i], i * self->page, self->page);
		ASSERT_MAPPED(map[i]);
	}
	EXPECT_EQ(self->free_held, source_free(self->fd, &self->src));
	/* One of them writes each page, and the next one reads it. */
	for (int i = 0; i < SEVERAL; i++)
		fill(map[i], self->page, i);
	for (int i = 0; i < SEVERAL; i++) {
		char *next = dmabuf_map(fd[(i + 1) % SEVERAL], i * self->page, self->page);

		ASSERT_MAPPED(next);
		EXPECT_EQ(-1, find_stranger(next, self->page, i));
		EXPECT_EQ(0, munmap(next, self->page));
		close(fd[i]);
		fd[i] = cmem_export(self->fd, self->buf.phys_addr, RDWR);
		ASSERT_LE(0, fd[i]);
	}
	for (int i = 0; i < SEVERAL; i++) {
		EXPECT_EQ(-1, find_stranger(map[i], self->page, i));
		EXPECT_EQ(0, munmap(map[i], self->page));
		close(fd[i]);
	}
	EXPECT_EQ(self->free_held, source_free(self->fd, &self->src));
}

TEST_F(dmabuf, EXPORT_of_what_is_one_already_is_that_one)
{
	static const int access[] = { O_RDWR, O_RDONLY, O_WRONLY };
	int other_fd = cmem_open(), first[3], second;

	ASSERT_LE(0, other_fd);
	ASSERT_EQ(0, cmem_register(other_fd, self->buf.phys_addr));
	for (int i = 0; i < 3; i++) {
		first[i] = cmem_export(self->fd, self->buf.phys_addr, access[i]);
		ASSERT_LE(0, first[i]);
		/* The same whoever exports it */
		second = cmem_export(other_fd, self->buf.phys_addr, access[i] | O_CLOEXEC);
		ASSERT_LE(0, second);
		EXPECT_EQ(inode_of(first[i]), inode_of(second));
		EXPECT_EQ(FD_CLOEXEC, fcntl(second, F_GETFD));
		EXPECT_EQ(0, fcntl(first[i], F_GETFD));
		close(second);
		/* Other access rights make another file. */
		for (int k = 0; k < i; k++) {
			EXPECT_NE(inode_of(first[k]), inode_of(first[i]));
		}
	}
	EXPECT_EQ(inode_of(self->dmabuf), inode_of(first[0]));
	/* The same after REGISTER by DMA-BUF. */
	close(first[0]);
	ASSERT_EQ(0, cmem_register_dmabuf(other_fd, self->dmabuf));
	second = cmem_export(other_fd, self->buf.phys_addr, RDWR);
	EXPECT_EQ(inode_of(self->dmabuf), inode_of(second));
	close(second);
	for (int i = 1; i < 3; i++)
		close(first[i]);
	close(other_fd);
}

/* An O_PATH descriptor holds the DMA-BUF's inode, but not its file. */
TEST_F(dmabuf, EXPORT_is_a_DMA_BUF_whatever_became_of_its_first_file)
{
	ino_t inode = inode_of(self->dmabuf);
	int path, files[64], fd;
	char name[64];
	void *map;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", self->dmabuf);
	path = open(name, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, path);
	close(self->dmabuf);
	for (int round = 0; round < 10; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(files); i++)
			files[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
		fd = cmem_export(self->fd, self->buf.phys_addr, RDWR);
		ASSERT_LE(0, fd);
		EXPECT_EQ(inode, inode_of(fd));
		map = dmabuf_map(fd, 0, self->buf.length);
		ASSERT_MAPPED(map);
		fill(map, self->page, round);
		ASSERT_EQ(0, munmap(map, self->buf.length));
		close(fd);
		for (size_t i = 0; i < ARRAY_SIZE(files); i++)
			close(files[i]);
	}
	close(path);
	self->dmabuf = cmem_export(self->fd, self->buf.phys_addr, RDWR);
	ASSERT_LE(0, self->dmabuf);
}

TEST_F(dmabuf, more_than_the_buffer_is_not_mapped)
{
	const size_t length = self->buf.length;
	const __u64 far[] = {
		length, 2 * length, 1ULL << 31, 1ULL << 32, 1ULL << 43, (1ULL << 44) - self->page,
		1ULL << 62, (1ULL << 63) - self->page, 1ULL << 63, -(__u64)self->page,
		self->buf.phys_addr,
	};
	void *map;

	EXPECT_REFUSED(EINVAL, try_map(self->dmabuf, 0, length + 1, RW, MAP_SHARED));
	EXPECT_REFUSED(EINVAL, try_map(self->dmabuf, 0, 2 * length, RW, MAP_SHARED));
	EXPECT_REFUSED(EINVAL, try_map(self->dmabuf, self->page, length, RW, MAP_SHARED));
	EXPECT_REFUSED(EINVAL, try_map(self->dmabuf, length - self->page, self->page + 1, RW,
				       MAP_SHARED));
	for (size_t i = 0; i < ARRAY_SIZE(far); i++) {
		for (size_t pages = 1; pages < 4; pages++) {
			long ret;

			if (far[i] < length)
				continue;
			ASSERT_EQ(0, take_snapshot(&before_call));
			ret = try_map(self->dmabuf, far[i], pages * self->page, RW, MAP_SHARED);
			/*
			 * EOVERFLOW: the kernel or C library, before it calls the driver.
			 */
			EXPECT_TRUE(ret == -EINVAL || ret == -EOVERFLOW)
				TH_LOG("%#llx: %ld", far[i], ret);
			expect_same(&before_call);
		}
	}
	/* The last page can be mapped. */
	map = dmabuf_map(self->dmabuf, length - self->page, 1);
	ASSERT_MAPPED(map);
	EXPECT_EQ(0, munmap(map, self->page));
	EXPECT_REFUSED(EINVAL, try_map(self->dmabuf, 1, 1, RW, MAP_SHARED));
	EXPECT_REFUSED(EINVAL, try_map(self->dmabuf, 0, 0, RW, MAP_SHARED));
}

TEST_F(dmabuf, mappings_are_shared)
{
	EXPECT_REFUSED(EINVAL, try_map(self->dmabuf, 0, self->page, RW, MAP_PRIVATE));
	EXPECT_REFUSED(EINVAL, try_map(self->dmabuf, 0, self->page, PROT_READ, MAP_PRIVATE));
	EXPECT_REFUSED(EINVAL, try_map(self->dmabuf, 0, self->buf.length, PROT_NONE, MAP_PRIVATE));
}

TEST_F(dmabuf, mappings_are_not_executed)
{
	int was = personality(0xffffffff);
	char *map;

	EXPECT_REFUSED(EPERM, try_map(self->dmabuf, 0, self->page, RW | PROT_EXEC, MAP_SHARED));
	EXPECT_REFUSED(EPERM, try_map(self->dmabuf, 0, self->page, PROT_READ | PROT_EXEC,
				      MAP_SHARED));
	EXPECT_REFUSED(EPERM, try_map(self->dmabuf, 0, self->page, PROT_EXEC, MAP_SHARED));
	map = dmabuf_map(self->dmabuf, 0, self->buf.length);
	ASSERT_MAPPED(map);
	EXPECT_EQ(-1, mprotect(map, self->page, RW | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(0, munmap(map, self->buf.length));

	/* Programs with a forced PROT_EXEC can map it all the same. */
	ASSERT_LE(0, was);
	ASSERT_LE(0, personality(was | READ_IMPLIES_EXEC));
	map = dmabuf_map(self->dmabuf, 0, self->page);
	ASSERT_MAPPED(map);
	map[0] = 1;
	ASSERT_LE(0, personality(was));
	EXPECT_EQ(-1, mprotect(map, self->page, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(0, munmap(map, self->page));
}

/* A process that receives one may have no right to open /dev/cmem. */
TEST_F(dmabuf, its_mappings_do_not_tell_where_it_is)
{
	char *map = dmabuf_map(self->dmabuf, 0, self->buf.length);
	unsigned long start, end;
	unsigned long long offset;
	bool found = false;
	char line[512];
	FILE *maps;

	ASSERT_MAPPED(map);
	maps = fopen("/proc/self/maps", "re");
	ASSERT_POINTER(maps);
	while (!found && fgets(line, sizeof(line), maps))
		found = sscanf(line, "%lx-%lx %*s %llx", &start, &end, &offset) == 3 &&
			start == (unsigned long)map;
	fclose(maps);
	ASSERT_TRUE(found);
	EXPECT_TRUE(offset < self->buf.phys_addr ||
		    offset >= self->buf.phys_addr + self->buf.length)
		TH_LOG("%#llx", offset);
	EXPECT_EQ(0, munmap(map, self->buf.length));
}

TEST_F(dmabuf, a_read_only_one_is_not_written)
{
	int reader = cmem_export(self->fd, self->buf.phys_addr, O_RDONLY | O_CLOEXEC);
	char *own = cmem_map(self->fd, &self->buf), *map;
	char path[64];

	ASSERT_LE(0, reader);
	ASSERT_MAPPED(own);
	EXPECT_REFUSED(EACCES, try_map(reader, 0, self->page, RW, MAP_SHARED));
	EXPECT_REFUSED(EACCES, try_map(reader, 0, self->page, PROT_WRITE, MAP_SHARED));
	map = mmap(NULL, self->buf.length, PROT_READ, MAP_SHARED, reader, 0);
	ASSERT_MAPPED(map);
	fill(own, self->buf.length, 3);
	EXPECT_EQ(-1, find_stranger(map, self->buf.length, 3));
	EXPECT_EQ(-1, mprotect(map, self->page, RW));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect(map, self->buf.length, PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(SIGSEGV, access_signal(map, true));
	EXPECT_EQ(SIGSEGV, access_signal(map + self->buf.length - 1, true));
	EXPECT_EQ(0, access_signal(map, false));
	/* It cannot be reopened for writing either. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", reader);
	EXPECT_EQ(-1, open(path, O_RDWR | O_CLOEXEC));
	EXPECT_EQ(0, munmap(map, self->buf.length));
	EXPECT_EQ(0, munmap(own, self->buf.length));
	close(reader);
}

TEST_F(dmabuf, a_write_only_one_is_not_mapped)
{
	int writer = cmem_export(self->fd, self->buf.phys_addr, O_WRONLY | O_CLOEXEC);

	ASSERT_LE(0, writer);
	EXPECT_REFUSED(EACCES, try_map(writer, 0, self->page, RW, MAP_SHARED));
	EXPECT_REFUSED(EACCES, try_map(writer, 0, self->page, PROT_READ, MAP_SHARED));
	EXPECT_REFUSED(EACCES, try_map(writer, 0, self->page, PROT_WRITE, MAP_SHARED));
	close(writer);
}

TEST_F(dmabuf, without_access_first_it_maps_the_same_memory_later)
{
	char *own = cmem_map(self->fd, &self->buf), *map;
	const size_t half = PAGES / 2 * self->page;

	ASSERT_MAPPED(own);
	fill(own + half, half, 7);
	map = mmap(NULL, half, PROT_NONE, MAP_SHARED, self->dmabuf, half);
	ASSERT_MAPPED(map);
	EXPECT_EQ(SIGSEGV, access_signal(map, false));
	ASSERT_EQ(0, mprotect(map, half, RW));
	EXPECT_EQ(-1, find_stranger(map, half, 7));
	fill(map, half, 8);
	EXPECT_EQ(-1, find_stranger(own + half, half, 8));
	EXPECT_EQ(0, munmap(map, half));
	EXPECT_EQ(0, munmap(own, self->buf.length));
}

TEST_F(dmabuf, a_mapping_can_be_cut_and_moved)
{
	const size_t length = (PAGES - 1) * self->page;
	char *place = mmap(NULL, PAGES * self->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			   0);
	char *map = dmabuf_map(self->dmabuf, self->page, length);
	struct cmem_resolve res;

	ASSERT_MAPPED(place);
	ASSERT_MAPPED(map);
	for (int i = 0; i < PAGES - 1; i++)
		memset(map + i * self->page, 'b' + i, self->page);
	place += self->page;
	ASSERT_TRUE(mremap(map, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place);
	EXPECT_EQ(SIGSEGV, access_signal(map, false));
	ASSERT_EQ(0, munmap(place + 2 * self->page, self->page));
	ASSERT_EQ(0, mprotect(place + 4 * self->page, self->page, PROT_READ));
	ASSERT_EQ(0, munmap(place, self->page));
	for (int i = 1; i < PAGES - 1; i++) {
		if (i == 2) {
			EXPECT_EQ(SIGSEGV, access_signal(place + i * self->page, false));
			continue;
		}
		EXPECT_EQ('b' + i, place[i * self->page]);
		EXPECT_EQ('b' + i, place[(i + 1) * self->page - 1]);
		ASSERT_EQ(0, cmem_resolve(self->other_fd, place + i * self->page, &res));
		EXPECT_EQ(self->buf.phys_addr + (i + 1) * self->page, res.phys_addr);
	}
	EXPECT_EQ(SIGSEGV, access_signal(place + 4 * self->page, true));
	EXPECT_EQ(0, access_signal(place + 5 * self->page, true));
	/* A mapping in one piece can shrink, but not grow. */
	EXPECT_TRUE(mremap(place + 5 * self->page, 2 * self->page, 3 * self->page,
			   MREMAP_MAYMOVE) == MAP_FAILED);
	EXPECT_EQ(EFAULT, errno);
	EXPECT_TRUE(mremap(place + 5 * self->page, 2 * self->page, self->page, 0) ==
		    place + 5 * self->page);
	EXPECT_EQ('b' + 5, place[6 * self->page - 1]);
	EXPECT_EQ(0, munmap(place - self->page, PAGES * self->page));
}

TEST_F(dmabuf, a_debugger_sees_it)
{
	if (on_32_bit_kernel())
		SKIP(return, "32-bit arm has no ioremap_prot(): its core does not ask the driver");

	char *map = dmabuf_map(self->dmabuf, 2 * self->page, 2 * self->page);
	int reader = cmem_export(self->fd, self->buf.phys_addr, O_RDONLY | O_CLOEXEC);
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	char text[32] = "", *own = cmem_map(self->fd, &self->buf), *readable;

	ASSERT_MAPPED(map);
	ASSERT_MAPPED(own);
	ASSERT_LE(0, mem);
	memcpy(map + self->page - 5, "hello debugger", 15);
	ASSERT_EQ(15, pread(mem, text, 15, (unsigned long)map + self->page - 5));
	EXPECT_STREQ("hello debugger", text);
	ASSERT_EQ(8, pwrite(mem, "patched", 8, (unsigned long)map + 3));
	EXPECT_STREQ("patched", own + 2 * self->page + 3);
	readable = mmap(NULL, self->page, PROT_READ, MAP_SHARED, reader, 2 * self->page);
	ASSERT_MAPPED(readable);
	ASSERT_EQ(8, pread(mem, text, 8, (unsigned long)readable + 3));
	EXPECT_STREQ("patched", text);
	EXPECT_EQ(-1, pwrite(mem, "broken", 7, (unsigned long)readable + 3));
	EXPECT_STREQ("patched", own + 2 * self->page + 3);
	EXPECT_EQ(0, munmap(readable, self->page));
	EXPECT_EQ(0, munmap(own, self->buf.length));
	EXPECT_EQ(0, munmap(map, 2 * self->page));
	close(mem);
	close(reader);
}

/* The first address from @area on that is aligned with physical memory, for huge pages */
static char *in_step(char *area, __u64 phys_addr)
{
	return area + ((phys_addr - (unsigned long)area) & (SZ_2M - 1));
}

TEST_F(dmabuf, every_page_of_2M_mappings_is_the_right_one)
{
	const size_t words = self->page / sizeof(__u64);
	volatile __u64 *map, *odd, *part;
	struct source src;
	struct cmem_alloc buf;
	char *area, *step;
	int dmabuf;

	if (!find_source(variant->kind, variant->heap, variant->heap ? 3 * SZ_2M : SZ_2M, &src))
		SKIP(return, "no buffer of 2 MiB");
	ASSERT_EQ(0, source_alloc(self->fd, &src, variant->flags, &buf));
	dmabuf = cmem_export(self->fd, buf.phys_addr, RDWR);
	ASSERT_LE(0, dmabuf);
	area = mmap(NULL, 3 * buf.length + 6 * SZ_2M, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	ASSERT_MAPPED(area);
	step = in_step(area, buf.phys_addr);
	map = mmap(step, buf.length, RW, MAP_SHARED | MAP_FIXED, dmabuf, 0);
	ASSERT_MAPPED(map);
	/* One page off: this mapping cannot use a large page table entry. */
	step += (buf.length + 2 * SZ_2M - 1) / SZ_2M * SZ_2M;
	odd = mmap(step + self->page, buf.length, RW, MAP_SHARED | MAP_FIXED, dmabuf, 0);
	ASSERT_MAPPED(odd);
	/* Aligned again, but without the first three pages */
	step += (buf.length + 2 * SZ_2M - 1) / SZ_2M * SZ_2M;
	part = mmap(step + 3 * self->page, buf.length - 3 * self->page, RW,
		    MAP_SHARED | MAP_FIXED, dmabuf, 3 * self->page);
	ASSERT_MAPPED(part);
	for (__u64 i = 0; i < buf.length / sizeof(*map); i += words)
		map[i] = i;
	for (__u64 i = 0; i < buf.length / sizeof(*map); i += words) {
		ASSERT_EQ(i, odd[i]);
		if (i >= 3 * words)
			ASSERT_EQ(i, part[i - 3 * words]);
		odd[i + words - 1] = ~i;
	}
	for (__u64 i = 0; i < buf.length / sizeof(*map); i += words) {
		ASSERT_EQ(i, map[i]);
		ASSERT_EQ(~i, map[i + words - 1]);
		if (i >= 3 * words)
			ASSERT_EQ(~i, part[i - 3 * words + words - 1]);
	}
	EXPECT_EQ(0, munmap(area, 3 * buf.length + 6 * SZ_2M));
	close(dmabuf);
}

/* The number of splits of a large page table entry */
TEST_F(dmabuf, parts_of_2M_mappings_can_go_and_change_protection)
{
	struct source src;
	struct cmem_alloc buf;
	char *area, *map;
	size_t first;
	int dmabuf;

	if (!find_source(variant->kind, variant->heap, 2 * SZ_2M, &src))
		SKIP(return, "no buffer of 4 MiB");
	ASSERT_EQ(0, source_alloc(self->fd, &src, variant->flags, &buf));
	dmabuf = cmem_export(self->fd, buf.phys_addr, RDWR);
	ASSERT_LE(0, dmabuf);
	/* The second half, or the part of it that is aligned for huge pages */
	first = buf.length / 2 & -self->page;
	area = mmap(NULL, buf.length + SZ_2M, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(area);
	map = mmap(in_step(area, buf.phys_addr + first), buf.length - first, RW,
		   MAP_SHARED | MAP_FIXED, dmabuf, first);
	ASSERT_MAPPED(map);
	for (size_t i = 0; i < buf.length - first; i += self->page)
		map[i] = i / self->page;
	ASSERT_EQ(0, mprotect(map + 5 * self->page, self->page, PROT_READ));
	ASSERT_EQ(0, munmap(map + 9 * self->page, self->page));
	EXPECT_EQ(SIGSEGV, access_signal(map + 5 * self->page, true));
	EXPECT_EQ(0, access_signal(map + 5 * self->page, false));
	EXPECT_EQ(0, access_signal(map + 4 * self->page, true));
	EXPECT_EQ(SIGSEGV, access_signal(map + 9 * self->page, false));
	for (size_t i = 0; i < buf.length - first; i += self->page) {
		if (i == 4 * self->page) {
			EXPECT_EQ(1, map[i]);
		} else if (i != 9 * self->page) {
			ASSERT_EQ((char)(i / self->page), map[i]);
		}
	}
	EXPECT_EQ(0, munmap(area, buf.length + SZ_2M));
	close(dmabuf);
}

/* KiB of page tables of this process, including the upper levels */
static long page_tables(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[256];
	long size = -1;

	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "VmPTE: %ld kB", &size) == 1)
			break;
	if (status)
		fclose(status);
	return size;
}

TEST_F(dmabuf, huge_pages_map_it)
{
	enum { TIMES = 32 };
	struct cmem_info info;
	struct source src;
	struct cmem_alloc buf;
	long before, after;
	__u64 first;
	char *area;
	int dmabuf;

	ASSERT_EQ(0, cmem_get_info(self->fd, &info));
	if (!(info.features & CMEM_FEATURE_PMD) || !huge_pages_are_2M())
		SKIP(return, "this kernel maps 2 MiB page by page");
	if (!find_source(variant->kind, variant->heap, SZ_2M, &src))
		SKIP(return, "no buffer of 2 MiB");
	ASSERT_EQ(0, source_alloc(self->fd, &src, variant->flags, &buf));
	first = -buf.phys_addr & (SZ_2M - 1);
	if (first + SZ_2M > buf.length)
		SKIP(return, "no 2 MiB at a multiple of it");
	dmabuf = cmem_export(self->fd, buf.phys_addr, RDWR);
	ASSERT_LE(0, dmabuf);
	area = mmap(NULL, (TIMES + 1) * SZ_2M, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(area);

	/* The same 2 MiB repeatedly: with small pages, each mapping has a page table. */
	before = page_tables();
	ASSERT_LT(0, before);
	for (int i = 0; i < TIMES; i++) {
		char *map = mmap(in_step(area, 0) + i * SZ_2M, SZ_2M, RW, MAP_SHARED | MAP_FIXED,
				 dmabuf, first);

		ASSERT_MAPPED(map);
		/* Wherever the first access is */
		map[i * 3 * self->page] = i;
		map[SZ_2M - 1 - i * self->page] = i;
		ASSERT_EQ(i, map[i * 3 * self->page]);
	}
	after = page_tables();
	EXPECT_GT(before + TIMES / 4 * (long)(self->page >> 10), after)
		TH_LOG("%ld KiB of page tables before, %ld after", before, after);
	/* The same measurement for memory that can't use huge pages */
	ASSERT_EQ(0, munmap(area, (TIMES + 1) * SZ_2M));
	area = mmap(NULL, (TIMES + 1) * SZ_2M, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(area);
	before = page_tables();
	for (int i = 0; i < TIMES; i++) {
		char *map = mmap(in_step(area, 0) + i * SZ_2M, SZ_2M - self->page, RW,
				 MAP_SHARED | MAP_FIXED, dmabuf, first);

		ASSERT_MAPPED(map);
		map[0] = i;
	}
	after = page_tables();
	EXPECT_LT(before + TIMES / 2 * (long)(self->page >> 10), after)
		TH_LOG("%ld KiB of page tables before, %ld after", before, after);
	ASSERT_EQ(0, munmap(area, (TIMES + 1) * SZ_2M));
	close(dmabuf);
}

TEST_F(dmabuf, the_kernel_chooses_addresses_that_huge_pages_can_map)
{
	struct cmem_info info;
	struct source src;
	struct cmem_alloc buf;
	void *map[5];
	int dmabuf;

	ASSERT_EQ(0, cmem_get_info(self->fd, &info));
	if (!(info.features & CMEM_FEATURE_PMD) || !huge_pages_are_2M() || sizeof(long) == 4)
		SKIP(return, "no huge pages for this kernel's mappings, or for 32-bit programs");
	if (!find_source(variant->kind, variant->heap, SZ_2M, &src))
		SKIP(return, "no buffer of 2 MiB");
	ASSERT_EQ(0, source_alloc(self->fd, &src, variant->flags, &buf));
	if (buf.phys_addr & (SZ_2M - 1))
		SKIP(return, "it does not begin at a multiple of 2 MiB");
	dmabuf = cmem_export(self->fd, buf.phys_addr, RDWR);
	ASSERT_LE(0, dmabuf);
	/* Whatever the process maps meanwhile */
	for (size_t i = 0; i < ARRAY_SIZE(map); i++) {
		map[i] = dmabuf_map(dmabuf, 0, buf.length);
		ASSERT_MAPPED(map[i]);
		EXPECT_EQ(0, (unsigned long)map[i] & (SZ_2M - 1));
		ASSERT_MAPPED(mmap(NULL, (i + 1) * self->page, PROT_READ,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	}
	for (size_t i = 0; i < ARRAY_SIZE(map); i++) {
		EXPECT_EQ(0, munmap(map[i], buf.length));
	}
	close(dmabuf);
}

/* Alignment costs page tables and gains nothing here. */
TEST_F(dmabuf, mappings_of_other_exporters_are_where_they_were)
{
	enum { TIMES = 64 };
	const size_t length = SZ_2M + self->page;
	int heap = dma_heap_open_name("system"), system, beside = 0;
	char *map[TIMES];

	if (heap < 0)
		SKIP(return, "no DMA-BUF heap \"system\" in this kernel");
	system = dma_heap_alloc(heap, length);
	close(heap);
	ASSERT_LE(0, system);
	for (int i = 0; i < TIMES; i++) {
		map[i] = dmabuf_map(system, 0, length);
		ASSERT_MAPPED(map[i]);
		if (i && (map[i] + length == map[i - 1] || map[i - 1] + length == map[i]))
			beside++;
	}
	/* A few may lie in existing holes. */
	EXPECT_LE(TIMES / 2, beside);
	for (int i = 0; i < TIMES; i++) {
		EXPECT_EQ(0, munmap(map[i], length));
	}
	close(system);
}

/* How long it lives */

TEST_F(dmabuf, holds_the_buffer_when_it_is_freed_and_its_file_closed)
{
	char *map = cmem_map(self->fd, &self->buf);

	ASSERT_MAPPED(map);
	fill(map, self->buf.length, 1);
	ASSERT_EQ(0, munmap(map, self->buf.length));
	ASSERT_EQ(0, cmem_free(self->fd, self->buf.phys_addr));
	EXPECT_EQ(self->free_held, source_free(self->other_fd, &self->src));
	EXPECT_REFUSED(ENOENT, cmem_free(self->fd, self->buf.phys_addr));
	EXPECT_REFUSED(ENOENT, cmem_register(self->other_fd, self->buf.phys_addr));
	close(self->fd);
	EXPECT_EQ(self->free_held, source_free(self->other_fd, &self->src));
	expect_not_given_away(&self->src, &self->buf);
	map = dmabuf_map(self->dmabuf, 0, self->buf.length);
	ASSERT_MAPPED(map);
	EXPECT_EQ(-1, find_stranger(map, self->buf.length, 1));
	fill(map, self->buf.length, 2);
	expect_not_given_away(&self->src, &self->buf);
	EXPECT_EQ(-1, find_stranger(map, self->buf.length, 2));

	/* The mapping outlives the file descriptor, even a mapping of one page. */
	close(self->dmabuf);
	EXPECT_EQ(self->free_held, source_free(self->other_fd, &self->src));
	ASSERT_EQ(0, munmap(map + self->page, self->buf.length - self->page));
	EXPECT_EQ(self->free_held, source_free(self->other_fd, &self->src));
	expect_not_given_away(&self->src, &self->buf);
	EXPECT_EQ(-1, find_stranger(map, self->page, 2));
	ASSERT_EQ(0, munmap(map, self->page));
	EXPECT_LT(self->free_held, source_free(self->other_fd, &self->src));
	self->dmabuf = -1;
	self->fd = cmem_open();
}

TEST_F(dmabuf, close_without_FREE_is_the_same)
{
	close(self->fd);
	EXPECT_EQ(self->free_held, source_free(self->other_fd, &self->src));
	expect_not_given_away(&self->src, &self->buf);
	close(self->dmabuf);
	EXPECT_LT(self->free_held, source_free(self->other_fd, &self->src));
	self->dmabuf = -1;
	self->fd = cmem_open();
}

TEST_F(dmabuf, a_duplicated_descriptor_is_the_same_file)
{
	int twin = dup(self->dmabuf);

	ASSERT_LE(0, twin);
	ASSERT_EQ(0, cmem_free(self->fd, self->buf.phys_addr));
	close(self->dmabuf);
	EXPECT_EQ(self->free_held, source_free(self->other_fd, &self->src));
	close(twin);
	EXPECT_LT(self->free_held, source_free(self->other_fd, &self->src));
	self->dmabuf = -1;
}

/* Everything that can hold a buffer */
enum { OWNER, SHARER, DMABUF, ANOTHER_DMABUF, MAPPING, DMABUF_MAPPING, HOLDERS };

struct holders {
	int fd[4];			/* indexed by holder */
	struct cmem_alloc buf;
	void *map;
	void *dmabuf_map;
};

static void hold(struct __test_metadata *_metadata, const struct source *src, __u32 flags,
		 struct holders *h)
{
	h->fd[OWNER] = cmem_open();
	h->fd[SHARER] = cmem_open();
	ASSERT_LE(0, h->fd[SHARER]);
	ASSERT_EQ(0, source_alloc(h->fd[OWNER], src, flags, &h->buf));
	h->fd[DMABUF] = cmem_export(h->fd[OWNER], h->buf.phys_addr, RDWR);
	ASSERT_LE(0, h->fd[DMABUF]);
	ASSERT_EQ(0, cmem_register_dmabuf(h->fd[SHARER], h->fd[DMABUF]));
	h->fd[ANOTHER_DMABUF] = cmem_export(h->fd[SHARER], h->buf.phys_addr, RDWR);
	ASSERT_LE(0, h->fd[ANOTHER_DMABUF]);
	h->map = cmem_map(h->fd[OWNER], &h->buf);
	ASSERT_MAPPED(h->map);
	h->dmabuf_map = dmabuf_map(h->fd[DMABUF], 0, h->buf.length);
	ASSERT_MAPPED(h->dmabuf_map);
}

static void let_go(struct __test_metadata *_metadata, struct holders *h, int holder)
{
	switch (holder) {
	case OWNER:
		/* Closing is not enough: the mapping holds the file. */
		ASSERT_EQ(0, cmem_free(h->fd[OWNER], h->buf.phys_addr));
		break;
	case MAPPING:
		ASSERT_EQ(0, munmap(h->map, h->buf.length));
		break;
	case DMABUF_MAPPING:
		ASSERT_EQ(0, munmap(h->dmabuf_map, h->buf.length));
		break;
	default:
		close(h->fd[holder]);
	}
}

TEST_F(dmabuf, whoever_goes_last_releases_the_buffer)
{
	__u64 free = source_free(self->other_fd, &self->src), held;
	const unsigned int all = scaled(720);
	struct holders h;

	/* In every order, or in some orders where all would take minutes */
	for (unsigned int n = 0; n < 720; n += 720 / all) {
		int order[HOLDERS], left = HOLDERS, rest = n;

		for (int i = 0; i < HOLDERS; i++)
			order[i] = i;
		hold(_metadata, &self->src, variant->flags, &h);
		held = source_free(self->other_fd, &self->src);
		ASSERT_GT(free, held);
		for (; left; left--) {
			int i = rest % left;

			rest /= left;
			ASSERT_EQ(held, source_free(self->other_fd, &self->src));
			let_go(_metadata, &h, order[i]);
			order[i] = order[left - 1];
		}
		ASSERT_EQ(free, source_free(self->other_fd, &self->src)) TH_LOG("order %u", n);
		close(h.fd[OWNER]);
	}
}

TEST_F(dmabuf, a_child_inherits_it)
{
	char *map = dmabuf_map(self->dmabuf, 0, self->buf.length);
	int go[2], there[2];
	char byte = 0;
	pid_t pid;

	ASSERT_MAPPED(map);
	fill(map, self->buf.length, 1);
	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, pipe(there));
	IN_CHILD(pid) {
		char *remapped;

		close(go[1]);
		close(self->fd);
		ASSERT_EQ(1, write(there[1], &byte, 1));
		/* Until the parent has released everything. */
		ASSERT_EQ(1, read(go[0], &byte, 1));
		ASSERT_EQ(-1, find_stranger(map, self->buf.length, 1));
		remapped = dmabuf_map(self->dmabuf, 0, self->buf.length);
		ASSERT_MAPPED(remapped);
		ASSERT_EQ(0, munmap(map, self->buf.length));
		fill(remapped, self->buf.length, 2);
		ASSERT_EQ(-1, find_stranger(remapped, self->buf.length, 2));
		close(self->dmabuf);
		ASSERT_EQ(-1, find_stranger(remapped, self->buf.length, 2));
	}
	ASSERT_EQ(1, read(there[0], &byte, 1));
	ASSERT_EQ(0, munmap(map, self->buf.length));
	ASSERT_EQ(0, cmem_free(self->fd, self->buf.phys_addr));
	close(self->dmabuf);
	EXPECT_EQ(self->free_held, source_free(self->other_fd, &self->src));
	expect_not_given_away(&self->src, &self->buf);
	ASSERT_EQ(1, write(go[1], &byte, 1));
	join_child(pid);
	EXPECT_LT(self->free_held, source_free(self->other_fd, &self->src));
	self->dmabuf = -1;
}

TEST_F(dmabuf, sent_over_a_socket_it_outlives_its_exporter)
{
	__u64 held, free = source_free(self->other_fd, &self->src);
	int pair[2], fd, status;
	struct cmem_alloc buf;
	struct cmem_resolve res;
	char *map;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
		SKIP(return, "no unix sockets: %s", strerror(errno));
	IN_CHILD(pid) {
		int mine = cmem_open();

		close(self->dmabuf);
		ASSERT_EQ(0, source_alloc(mine, &self->src, variant->flags | CMEM_ALLOC_PRIVATE,
					  &buf));
		map = cmem_map(mine, &buf);
		ASSERT_MAPPED(map);
		fill(map, buf.length, 3);
		fd = cmem_export(mine, buf.phys_addr, RDWR);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, send_fd(pair[1], fd));
		ASSERT_EQ(sizeof(buf), write(pair[1], &buf, sizeof(buf)));
		pause();
	}
	fd = receive_fd(pair[0]);
	ASSERT_LE(0, fd);
	ASSERT_EQ(sizeof(buf), read(pair[0], &buf, sizeof(buf)));
	held = source_free(self->other_fd, &self->src);
	EXPECT_GT(free, held);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

	EXPECT_EQ(held, source_free(self->other_fd, &self->src));
	expect_not_given_away(&self->src, &buf);
	EXPECT_EQ(buf.length, lseek(fd, 0, SEEK_END));
	map = dmabuf_map(fd, 0, buf.length);
	ASSERT_MAPPED(map);
	EXPECT_EQ(-1, find_stranger(map, buf.length, 3));
	ASSERT_EQ(0, cmem_resolve(self->other_fd, map, &res));
	EXPECT_EQ(buf.phys_addr, res.phys_addr);
	EXPECT_EQ(variant->flags | CMEM_ALLOC_PRIVATE, res.buffer_flags);
	ASSERT_EQ(0, munmap(map, buf.length));
	EXPECT_EQ(held, source_free(self->other_fd, &self->src));
	close(fd);
	EXPECT_EQ(free, source_free(self->other_fd, &self->src));
	close(pair[0]);
	close(pair[1]);
}

TEST_F(dmabuf, lost_in_a_socket_it_gives_its_buffer_back)
{
	__u64 free = source_free(self->other_fd, &self->src);
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
		SKIP(return, "no unix sockets: %s", strerror(errno));
	IN_CHILD(pid) {
		struct cmem_alloc buf;
		int mine = cmem_open();

		ASSERT_EQ(0, source_alloc(mine, &self->src, variant->flags, &buf));
		ASSERT_EQ(0, send_fd(pair[1], cmem_export(mine, buf.phys_addr, RDWR)));
	}
	join_child(pid);
	EXPECT_GT(free, source_free(self->other_fd, &self->src));
	close(pair[0]);
	close(pair[1]);
	/* The kernel collects file descriptors in flight whenever it wants. */
	EXPECT_TRUE(eventually(source_free(self->other_fd, &self->src) == free));
}

/*
 * RESOLVE and SYNC
 */

TEST_F(dmabuf, RESOLVE_knows_its_mappings)
{
	struct cmem_resolve res;

	for (int first = 0; first < PAGES; first++) {
		for (int pages = 1; first + pages <= PAGES; pages++) {
			const __u64 at = first * self->page, length = pages * self->page;
			char *part = dmabuf_map(self->dmabuf, at, length);
			const __u64 inside[] = { 0, 1, length / 2 + 5, length - 1 };

			ASSERT_MAPPED(part);
			for (size_t i = 0; i < ARRAY_SIZE(inside); i++) {
				/* Through any file */
				ASSERT_EQ(0, cmem_resolve(self->other_fd, part + inside[i], &res));
				EXPECT_EQ(self->buf.phys_addr + at + inside[i], res.phys_addr);
				EXPECT_EQ(length - inside[i], res.contiguous);
				EXPECT_EQ(self->buf.phys_addr, res.buffer_addr);
				EXPECT_EQ(self->buf.length, res.buffer_length);
				EXPECT_EQ(variant->flags, res.buffer_flags);
				EXPECT_EQ(self->buf.block, res.block);
				EXPECT_EQ(self->buf.pool, res.pool);
			}
			ASSERT_EQ(0, munmap(part, length));
			EXPECT_EQ(-EFAULT, cmem_resolve(self->other_fd, part, &res));
		}
	}
}

TEST_F(dmabuf, RESOLVE_knows_it_when_nobody_is_registered)
{
	char *map = dmabuf_map(self->dmabuf, self->page, 2 * self->page);
	struct cmem_resolve res;

	ASSERT_MAPPED(map);
	ASSERT_EQ(0, cmem_free(self->fd, self->buf.phys_addr));
	close(self->dmabuf);
	ASSERT_EQ(0, cmem_resolve(self->other_fd, map + self->page + 3, &res));
	EXPECT_EQ(self->buf.phys_addr + 2 * self->page + 3, res.phys_addr);
	EXPECT_EQ(self->page - 3, res.contiguous);
	ASSERT_EQ(0, munmap(map, 2 * self->page));
	self->dmabuf = -1;
}

TEST_F(dmabuf, RESOLVE_does_not_know_the_mappings_of_others)
{
	int foreign = foreign_dmabuf();
	struct cmem_resolve res;
	char *map;

	if (foreign < 0)
		SKIP(return, "no other DMA-BUFs in this kernel");
	map = dmabuf_map(foreign, 0, self->page);
	ASSERT_MAPPED(map);
	map[0] = 1;
	EXPECT_EQ(-EFAULT, cmem_resolve(self->fd, map, &res));
	EXPECT_EQ(-EFAULT, cmem_sync(self->fd, map, self->page, CMEM_SYNC_WRITE_BACK));
	ASSERT_EQ(0, munmap(map, self->page));
	close(foreign);
}

TEST_F(dmabuf, SYNC_takes_its_mappings)
{
	const __u32 ops[] = {
		CMEM_SYNC_WRITE_BACK, CMEM_SYNC_INVALIDATE, CMEM_SYNC_WRITE_BACK_INVALIDATE,
	};
	char *area = mmap(NULL, 6 * self->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *map;

	/* Two pages of the DMA-BUF, two of the buffer itself, then a hole */
	ASSERT_MAPPED(area);
	map = mmap(area, 2 * self->page, RW, MAP_SHARED | MAP_FIXED, self->dmabuf, self->page);
	ASSERT_TRUE(map == area);
	ASSERT_MAPPED(mmap(area + 2 * self->page, 2 * self->page, RW, MAP_SHARED | MAP_FIXED,
			   self->fd, self->buf.mmap_offset + 4 * self->page));
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		EXPECT_EQ(0, cmem_sync(self->other_fd, map, 4 * self->page, ops[i]));
		EXPECT_EQ(0, cmem_sync(self->other_fd, map + 1, 1, ops[i]));
		EXPECT_EQ(0, cmem_sync(self->other_fd, map + 2 * self->page - 1, 2, ops[i]));
		EXPECT_EQ(-EFAULT, cmem_sync(self->other_fd, map, 4 * self->page + 1, ops[i]));
	}
	memset(map, 5, 4 * self->page);
	EXPECT_EQ(0, cmem_sync(self->other_fd, map, 4 * self->page,
			       CMEM_SYNC_WRITE_BACK_INVALIDATE));
	EXPECT_EQ(5, map[self->page + 7]);
	EXPECT_EQ(5, map[4 * self->page - 1]);
	ASSERT_EQ(0, munmap(area, 6 * self->page));
}

TEST_F(dmabuf, DMA_BUF_IOCTL_SYNC_changes_no_bytes)
{
	const __u64 rw[] = { DMA_BUF_SYNC_READ, DMA_BUF_SYNC_WRITE, DMA_BUF_SYNC_RW };
	char *map = dmabuf_map(self->dmabuf, 0, self->buf.length);

	ASSERT_MAPPED(map);
	for (size_t i = 0; i < ARRAY_SIZE(rw); i++) {
		EXPECT_EQ(0, dmabuf_sync(self->dmabuf, DMA_BUF_SYNC_START | rw[i]));
		fill(map, self->buf.length, i);
		EXPECT_EQ(0, dmabuf_sync(self->dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW));
		EXPECT_EQ(0, dmabuf_sync(self->dmabuf, DMA_BUF_SYNC_START | rw[i]));
		EXPECT_EQ(-1, find_stranger(map, self->buf.length, i));
		EXPECT_EQ(0, dmabuf_sync(self->dmabuf, DMA_BUF_SYNC_END | rw[i]));
	}
	EXPECT_EQ(-EINVAL, dmabuf_sync(self->dmabuf, DMA_BUF_SYNC_START));
	EXPECT_EQ(-EINVAL, dmabuf_sync(self->dmabuf, DMA_BUF_SYNC_RW | 8));
	EXPECT_EQ(0, munmap(map, self->buf.length));
}

/*
 * REGISTER by a DMA-BUF
 */

TEST_F(dmabuf, REGISTER_tells_what_the_buffer_is)
{
	struct cmem_register reg;
	struct cmem_alloc seen;
	char *map, *own = cmem_map(self->fd, &self->buf);

	ASSERT_MAPPED(own);
	fill(own, self->buf.length, 4);
	ASSERT_EQ(0, cmem_register_dmabuf_info(self->other_fd, self->dmabuf, &reg));
	EXPECT_EQ(self->buf.phys_addr, reg.phys_addr);
	EXPECT_EQ(self->buf.length, reg.length);
	EXPECT_EQ(self->buf.mmap_offset, reg.mmap_offset);
	EXPECT_EQ(self->buf.block, reg.block);
	EXPECT_EQ(self->buf.pool, reg.pool);
	EXPECT_EQ(variant->flags, reg.buffer_flags);
	EXPECT_EQ(CMEM_REGISTER_DMABUF, reg.flags);
	EXPECT_EQ(self->dmabuf, reg.dmabuf_fd);
	/* The answer can be mapped. */
	seen = (struct cmem_alloc){ .length = reg.length, .mmap_offset = reg.mmap_offset };
	map = cmem_map(self->other_fd, &seen);
	ASSERT_MAPPED(map);
	EXPECT_EQ(-1, find_stranger(map, reg.length, 4));
	EXPECT_EQ(0, munmap(map, reg.length));
	EXPECT_EQ(0, munmap(own, self->buf.length));
}

TEST_F(dmabuf, registering_by_it_counts)
{
	__u64 phys_addr = self->buf.phys_addr;

	/* As by address, for the allocating file and for others */
	ASSERT_EQ(0, cmem_register_dmabuf(self->other_fd, self->dmabuf));
	ASSERT_EQ(0, cmem_register_dmabuf(self->other_fd, self->dmabuf));
	ASSERT_EQ(0, cmem_register(self->other_fd, phys_addr));
	ASSERT_EQ(0, cmem_register_dmabuf(self->fd, self->dmabuf));
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, cmem_free(self->other_fd, phys_addr));
	}
	EXPECT_REFUSED(EPERM, cmem_free(self->other_fd, phys_addr));
	ASSERT_EQ(0, cmem_free(self->fd, phys_addr));
	ASSERT_EQ(0, cmem_free(self->fd, phys_addr));
	EXPECT_REFUSED(ENOENT, cmem_free(self->fd, phys_addr));

	/* A buffer without an owner gets one again. */
	EXPECT_REFUSED(ENOENT, cmem_register(self->other_fd, phys_addr));
	ASSERT_EQ(0, cmem_register_dmabuf(self->other_fd, self->dmabuf));
	EXPECT_EQ(0, cmem_register(self->fd, phys_addr));
	EXPECT_EQ(0, cmem_free(self->fd, phys_addr));
	close(self->dmabuf);
	EXPECT_EQ(self->free_held, source_free(self->other_fd, &self->src));
	ASSERT_EQ(0, cmem_free(self->other_fd, phys_addr));
	EXPECT_LT(self->free_held, source_free(self->other_fd, &self->src));
	self->dmabuf = -1;
}

TEST_F(dmabuf, close_drops_what_was_registered_by_it)
{
	for (int n = 0; n < 3; n++) {
		ASSERT_EQ(0, cmem_register_dmabuf(self->other_fd, self->dmabuf));
	}
	close(self->dmabuf);
	ASSERT_EQ(0, cmem_free(self->fd, self->buf.phys_addr));
	EXPECT_EQ(self->free_held, source_free(self->fd, &self->src));
	close(self->other_fd);
	EXPECT_LT(self->free_held, source_free(self->fd, &self->src));
	self->dmabuf = -1;
	self->other_fd = cmem_open();
}

TEST_F(dmabuf, a_private_buffer_is_reached_by_it_alone)
{
	struct cmem_alloc private;
	struct cmem_register reg;
	int third = cmem_open(), dmabuf, second;
	char *map;

	ASSERT_LE(0, third);
	close(self->dmabuf);
	ASSERT_EQ(0, cmem_free(self->fd, self->buf.phys_addr));
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, variant->flags | CMEM_ALLOC_PRIVATE,
				  &private));
	dmabuf = cmem_export(self->fd, private.phys_addr, RDWR);
	ASSERT_LE(0, dmabuf);
	EXPECT_REFUSED(EPERM, cmem_register(self->other_fd, private.phys_addr));
	EXPECT_REFUSED(EPERM, cmem_export(self->other_fd, private.phys_addr, RDWR));
	ASSERT_EQ(0, cmem_register_dmabuf_info(self->other_fd, dmabuf, &reg));
	EXPECT_EQ(private.phys_addr, reg.phys_addr);
	EXPECT_EQ(variant->flags | CMEM_ALLOC_PRIVATE, reg.buffer_flags);
	/* A registered file may do what others may: map, register again, pass on. */
	map = cmem_map(self->other_fd, &private);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, munmap(map, private.length));
	EXPECT_EQ(0, cmem_register(self->other_fd, private.phys_addr));
	EXPECT_EQ(0, cmem_free(self->other_fd, private.phys_addr));
	second = cmem_export(self->other_fd, private.phys_addr, RDWR);
	ASSERT_LE(0, second);
	/* It stays private although it was passed on. */
	EXPECT_REFUSED(EPERM, cmem_register(third, private.phys_addr));
	EXPECT_REFUSED(EPERM, cmem_free(third, private.phys_addr));
	EXPECT_EQ(0, cmem_register_dmabuf(third, second));
	EXPECT_EQ(0, cmem_free(third, private.phys_addr));
	EXPECT_REFUSED(EPERM, cmem_register(third, private.phys_addr));
	close(second);
	close(dmabuf);
	EXPECT_EQ(0, cmem_free(self->fd, private.phys_addr));
	EXPECT_REFUSED(EPERM, cmem_register(third, private.phys_addr));
	EXPECT_EQ(0, cmem_free(self->other_fd, private.phys_addr));
	close(third);
	self->dmabuf = -1;
}

TEST_F(dmabuf, another_user_may_register_by_it)
{
	pid_t pid;

	if (getuid() || anyone_may_share())
		SKIP(return, "wants root, and no cmem.share=any");
	IN_CHILD(pid) {
		struct cmem_register reg;
		void *map;
		int fd;

		ASSERT_EQ(0, become_user(OTHER_UID));
		fd = cmem_open();
		ASSERT_LE(0, fd);
		ASSERT_EQ(-EPERM, cmem_register(fd, self->buf.phys_addr));
		ASSERT_EQ(0, cmem_register_dmabuf_info(fd, self->dmabuf, &reg));
		ASSERT_EQ(self->buf.phys_addr, reg.phys_addr);
		map = cmem_map(fd, &self->buf);
		ASSERT_MAPPED(map);
		/* Now that the user is registered, all the user's files may register. */
		ASSERT_EQ(0, cmem_register(cmem_open(), self->buf.phys_addr));
	}
	join_child(pid);
	/* The user is gone, and with it the right. */
	IN_CHILD(pid) {
		ASSERT_EQ(0, become_user(OTHER_UID));
		ASSERT_EQ(-EPERM, cmem_register(cmem_open(), self->buf.phys_addr));
	}
	join_child(pid);
}

TEST_F(dmabuf, REGISTER_gives_no_more_than_it_allows)
{
	const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		int dmabuf = cmem_export(self->fd, self->buf.phys_addr, modes[i]);

		ASSERT_LE(0, dmabuf);
		for (size_t k = 0; k < ARRAY_SIZE(modes); k++) {
			int file = open(CMEM_DEVICE, modes[k] | O_CLOEXEC);

			ASSERT_LE(0, file);
			if (modes[i] != O_RDWR && modes[i] != modes[k]) {
				EXPECT_REFUSED(EPERM, cmem_register_dmabuf(file, dmabuf))
					TH_LOG("mode %d by %d", modes[k], modes[i]);
				EXPECT_REFUSED(EPERM, cmem_free(file, self->buf.phys_addr));
			} else {
				EXPECT_EQ(0, cmem_register_dmabuf(file, dmabuf))
					TH_LOG("mode %d by %d", modes[k], modes[i]);
				EXPECT_EQ(0, cmem_free(file, self->buf.phys_addr));
			}
			close(file);
		}
		close(dmabuf);
	}
}

TEST_F(dmabuf, REGISTER_takes_DMA_BUFs_of_ours)
{
	int foreign = foreign_dmabuf(), pair[2], closed;
	struct cmem_register reg;
	int others[] = {
		self->fd, self->other_fd, open("/dev/null", O_RDWR | O_CLOEXEC),
		open("/proc/self/exe", O_RDONLY | O_CLOEXEC), open("/", O_PATH | O_CLOEXEC),
		memfd_create("cmem", MFD_CLOEXEC), -1, -1,
	};

	ASSERT_EQ(0, pipe(pair));
	others[6] = pair[0];
	others[7] = pair[1];
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		ASSERT_LE(0, others[i]);
		/* The kernel refuses any use of an O_PATH descriptor. */
		EXPECT_REFUSED(i == 4 ? EBADF : EINVAL,
			       cmem_register_dmabuf(self->other_fd, others[i])) TH_LOG("%zu", i);
	}
	if (foreign >= 0) {
		EXPECT_REFUSED(EINVAL, cmem_register_dmabuf(self->other_fd, foreign));
		close(foreign);
	}
	closed = dup(self->dmabuf);
	ASSERT_LE(0, closed);
	close(closed);
	EXPECT_REFUSED(EBADF, cmem_register_dmabuf(self->other_fd, closed));
	EXPECT_REFUSED(EBADF, cmem_register_dmabuf(self->other_fd, -1));
	EXPECT_REFUSED(EBADF, cmem_register_dmabuf(self->other_fd, INT_MIN));
	EXPECT_REFUSED(EBADF, cmem_register_dmabuf(self->other_fd, INT_MAX));

	/* Without the flag the member is not a file descriptor. */
	reg = (struct cmem_register){
		.size = sizeof(reg), .phys_addr = self->buf.phys_addr, .dmabuf_fd = self->dmabuf,
	};
	EXPECT_REFUSED(EOPNOTSUPP, cmem_ioctl(self->other_fd, CMEM_IOCTL_REGISTER, &reg));
	for (int bit = 0; bit < 32; bit++) {
		reg = (struct cmem_register){
			.size = sizeof(reg), .dmabuf_fd = self->dmabuf,
			.flags = CMEM_REGISTER_DMABUF | 1U << bit,
		};
		if (reg.flags == CMEM_REGISTER_DMABUF)
			continue;
		EXPECT_REFUSED(EOPNOTSUPP, cmem_ioctl(self->other_fd, CMEM_IOCTL_REGISTER, &reg));
	}
	/* None of these calls registered anything. */
	EXPECT_EQ(-EPERM, cmem_free(self->other_fd, self->buf.phys_addr));
	for (size_t i = 2; i < ARRAY_SIZE(others); i++)
		close(others[i]);
}

FIXTURE(limits)
{
	int fd;
	int other_fd;
	struct cmem_alloc buf;
	int dmabuf;
	struct snapshot before;
};

FIXTURE_SETUP(limits)
{
	struct source src;

	OPEN_OR_SKIP(self->fd);
	DMABUF_OR_SKIP(self->fd);
	self->other_fd = cmem_open();
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!find_source(ANY_KIND, false, 1, &src) && !find_source(ANY_KIND, true, 1, &src))
		SKIP(return, "no memory");
	ASSERT_EQ(0, source_alloc(self->fd, &src, 0, &self->buf));
	self->dmabuf = cmem_export(self->fd, self->buf.phys_addr, RDWR);
	ASSERT_LE(0, self->dmabuf);
}

FIXTURE_TEARDOWN(limits)
{
	close(self->dmabuf);
	close(self->fd);
	close(self->other_fd);
	expect_same(&self->before);
}

TEST_F(limits, one_file_registers_CMEM_MAX_REGISTRATIONS_times)
{
	for (int n = 0; n < CMEM_MAX_REGISTRATIONS; n++) {
		ASSERT_EQ(0, cmem_register_dmabuf(self->other_fd, self->dmabuf))
			TH_LOG("after %d", n);
	}
	EXPECT_REFUSED(EOVERFLOW, cmem_register_dmabuf(self->other_fd, self->dmabuf));
	ASSERT_EQ(0, cmem_free(self->other_fd, self->buf.phys_addr));
	EXPECT_EQ(0, cmem_register_dmabuf(self->other_fd, self->dmabuf));
}

TEST_F(limits, CMEM_MAX_HOLDERS_files_are_registered)
{
	struct rlimit limit = { CMEM_MAX_HOLDERS + 64, CMEM_MAX_HOLDERS + 64 };
	static int fd[CMEM_MAX_HOLDERS];

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	for (int n = 0; n < CMEM_MAX_HOLDERS; n++) {
		fd[n] = cmem_open();
		ASSERT_LE(0, fd[n]);
		if (n == CMEM_MAX_HOLDERS - 1) {
			/* Together with the allocating file, this is one too many. */
			EXPECT_REFUSED(EOVERFLOW, cmem_register_dmabuf(fd[n], self->dmabuf));
		} else {
			ASSERT_EQ(0, cmem_register_dmabuf(fd[n], self->dmabuf));
		}
	}
	EXPECT_EQ(0, cmem_free(self->fd, self->buf.phys_addr));
	EXPECT_EQ(0, cmem_register_dmabuf(fd[CMEM_MAX_HOLDERS - 1], self->dmabuf));
	EXPECT_REFUSED(EOVERFLOW, cmem_register_dmabuf(self->fd, self->dmabuf));
	for (int n = 0; n < CMEM_MAX_HOLDERS; n++)
		close(fd[n]);
	EXPECT_EQ(0, cmem_register_dmabuf(self->fd, self->dmabuf));
}

TEST_F(limits, there_may_be_many_of_one_buffer)
{
	struct rlimit limit = { 4096, 4096 };
	const int many = scaled(2000);
	static int fd[2000];

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	for (int i = 0; i < many; i++) {
		fd[i] = cmem_export(self->fd, self->buf.phys_addr, RDWR);
		ASSERT_LE(0, fd[i]) TH_LOG("after %d: %s", i, strerror(-fd[i]));
	}
	close(self->fd);
	close(self->dmabuf);
	for (int i = 0; i < many; i++) {
		EXPECT_FALSE(is_same(&self->before));
		close(fd[i]);
	}
	expect_same(&self->before);
	self->dmabuf = -1;
	self->fd = cmem_open();
}

/*
 * A block whose buffers are DMA-BUFs
 */

FIXTURE(removal)
{
	int fd;
	struct spare_block spare;
	bool gone;
	struct snapshot before;
};

FIXTURE_SETUP(removal)
{
	OPEN_OR_SKIP(self->fd);
	DMABUF_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!find_spare_block(self->fd, CMEM_BLOCK_CMA, &self->spare))
		SKIP(return, "no block to remove");
}

FIXTURE_TEARDOWN(removal)
{
	if (self->gone) {
		EXPECT_EQ(0, put_back_block(self->fd, &self->spare));
	}
	close(self->fd);
	expect_same(&self->before);
}

TEST_F(removal, waits_until_the_last_DMA_BUF_is_gone)
{
	const __s32 id = self->spare.info.block;
	const __s32 pools[] = { self->spare.info.num_pools ? 0 : CMEM_POOL_HEAP, CMEM_POOL_HEAP };
	struct cmem_alloc buf;
	int dmabuf, another;
	char *map;

	for (size_t i = 0; i < ARRAY_SIZE(pools); i++) {
		if (pools[i] == CMEM_POOL_HEAP && !self->spare.info.heap_size)
			continue;
		ASSERT_EQ(0, cmem_alloc(self->fd, id, pools[i], 1, 0, &buf));
		dmabuf = cmem_export(self->fd, buf.phys_addr, RDWR);
		ASSERT_LE(0, dmabuf);
		another = cmem_export(self->fd, buf.phys_addr, O_RDONLY);
		ASSERT_LE(0, another);
		map = dmabuf_map(dmabuf, 0, buf.length);
		ASSERT_MAPPED(map);
		fill(map, buf.length, 6);
		EXPECT_REFUSED(EBUSY, cmem_block_remove(self->fd, id));
		/* Nothing else holds it */
		ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
		close(self->fd);
		self->fd = cmem_open();
		EXPECT_REFUSED(EBUSY, cmem_block_remove(self->fd, id));
		close(dmabuf);
		EXPECT_REFUSED(EBUSY, cmem_block_remove(self->fd, id));
		EXPECT_EQ(-1, find_stranger(map, buf.length, 6));
		ASSERT_EQ(0, munmap(map, buf.length));
		EXPECT_REFUSED(EBUSY, cmem_block_remove(self->fd, id));
		close(another);
		EXPECT_EQ(0, cmem_block_remove(self->fd, id));
		self->gone = true;
		EXPECT_EQ(0, put_back_block(self->fd, &self->spare));
		self->gone = false;
	}
}

/* A device that imports it */

FIXTURE(import)
{
	int vgem;
	int fd;
	int other_fd;
	struct source src;
	struct cmem_alloc buf;		/* filled with tag 1 */
	int dmabuf;
	__u64 free_held;
	struct snapshot before;
};

SOURCE_VARIANTS(import);

FIXTURE_SETUP(import)
{
	char *map;

	OPEN_OR_SKIP(self->fd);
	DMABUF_OR_SKIP(self->fd);
	self->vgem = vgem_open();
	if (self->vgem < 0)
		SKIP(return, "no vgem in this kernel");
	self->other_fd = cmem_open();
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!find_source(variant->kind, variant->heap, PAGES * page_size(), &self->src))
		SKIP(return, "no such memory on this board");
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, variant->flags, &self->buf));
	map = cmem_map(self->fd, &self->buf);
	ASSERT_MAPPED(map);
	fill(map, self->buf.length, 1);
	ASSERT_EQ(0, munmap(map, self->buf.length));
	self->dmabuf = cmem_export(self->fd, self->buf.phys_addr, RDWR);
	ASSERT_LE(0, self->dmabuf);
	self->free_held = source_free(self->fd, &self->src);
}

FIXTURE_TEARDOWN(import)
{
	close(self->dmabuf);
	close(self->fd);
	close(self->other_fd);
	close(self->vgem);
	expect_same(&self->before);
}

TEST_F(import, wants_struct_pages)
{
	bool pages = has_page(self->buf.phys_addr);
	int fds = count_fds();
	__u32 handle;

	for (int i = 0; i < 5; i++) {
		if (!pages) {
			EXPECT_REFUSED(EOPNOTSUPP, vgem_import(self->vgem, self->dmabuf, &handle));
			continue;
		}
		ASSERT_EQ(0, vgem_import(self->vgem, self->dmabuf, &handle));
		ASSERT_EQ(0, vgem_close_handle(self->vgem, handle));
	}
	EXPECT_EQ(fds, count_fds());
	close(self->dmabuf);
	ASSERT_EQ(0, cmem_free(self->fd, self->buf.phys_addr));
	EXPECT_LT(self->free_held, source_free(self->fd, &self->src));
	self->dmabuf = -1;
}

/* The bytes of the imported buffer, through a DMA-BUF that the importer returns */
static void expect_imported(struct __test_metadata *_metadata, int vgem, __u32 handle,
			    const struct cmem_alloc *buf, __u32 tag)
{
	int fd = vgem_export(vgem, handle);
	char *map;

	ASSERT_LE(0, fd) TH_LOG("%s", strerror(-fd));
	EXPECT_EQ(buf->length, lseek(fd, 0, SEEK_END));
	map = dmabuf_map(fd, 0, buf->length);
	ASSERT_MAPPED(map);
	EXPECT_EQ(-1, find_stranger(map, buf->length, tag));
	EXPECT_EQ(0, munmap(map, buf->length));
	close(fd);
}

TEST_F(import, the_importer_alone_keeps_the_buffer)
{
	__u32 handle, second_handle;

	if (!has_page(self->buf.phys_addr))
		SKIP(return, "this memory has no struct pages");
	ASSERT_EQ(0, vgem_import(self->vgem, self->dmabuf, &handle));
	/* The same handle for the same DMA-BUF, counted once */
	ASSERT_EQ(0, vgem_import(self->vgem, self->dmabuf, &second_handle));
	EXPECT_EQ(handle, second_handle);
	close(self->dmabuf);
	ASSERT_EQ(0, cmem_free(self->fd, self->buf.phys_addr));
	close(self->fd);
	EXPECT_EQ(self->free_held, source_free(self->other_fd, &self->src));
	expect_not_given_away(&self->src, &self->buf);
	expect_imported(_metadata, self->vgem, handle, &self->buf, 1);
	ASSERT_EQ(0, vgem_close_handle(self->vgem, handle));
	EXPECT_LT(self->free_held, source_free(self->other_fd, &self->src));
	self->dmabuf = -1;
	self->fd = cmem_open();
}

/* A driver that imports a DMA-BUF again returns its existing handle. */
TEST_F(import, several_importers_of_several_descriptors_have_one_handle_each)
{
	enum { SEVERAL = 4 };
	int vgem[SEVERAL], dmabuf[SEVERAL];
	__u32 handle[SEVERAL][SEVERAL];

	if (!has_page(self->buf.phys_addr))
		SKIP(return, "this memory has no struct pages");
	for (int i = 0; i < SEVERAL; i++) {
		vgem[i] = vgem_open();
		ASSERT_LE(0, vgem[i]);
		dmabuf[i] = cmem_export(self->fd, self->buf.phys_addr, RDWR);
		ASSERT_LE(0, dmabuf[i]);
	}
	for (int i = 0; i < SEVERAL; i++) {
		for (int k = 0; k < SEVERAL; k++) {
			ASSERT_EQ(0, vgem_import(vgem[i], dmabuf[k], &handle[i][k]));
			EXPECT_EQ(handle[i][0], handle[i][k]);
		}
	}
	ASSERT_EQ(0, cmem_free(self->fd, self->buf.phys_addr));
	close(self->dmabuf);
	for (int i = 0; i < SEVERAL; i++)
		close(dmabuf[i]);
	for (int i = 0; i < SEVERAL; i++) {
		EXPECT_EQ(self->free_held, source_free(self->other_fd, &self->src));
		expect_imported(_metadata, vgem[i], handle[i][0], &self->buf, 1);
		ASSERT_EQ(0, vgem_close_handle(vgem[i], handle[i][0]));
		close(vgem[i]);
	}
	EXPECT_LT(self->free_held, source_free(self->other_fd, &self->src));
	self->dmabuf = -1;
}

TEST_F(import, an_importer_that_is_closed_lets_go)
{
	__u32 handle;

	if (!has_page(self->buf.phys_addr))
		SKIP(return, "this memory has no struct pages");
	ASSERT_EQ(0, vgem_import(self->vgem, self->dmabuf, &handle));
	ASSERT_EQ(0, cmem_free(self->fd, self->buf.phys_addr));
	close(self->dmabuf);
	EXPECT_EQ(self->free_held, source_free(self->other_fd, &self->src));
	close(self->vgem);
	EXPECT_LT(self->free_held, source_free(self->other_fd, &self->src));
	self->dmabuf = -1;
	self->vgem = -1;
}

TEST_F(import, the_CPU_takes_turns_with_the_device)
{
	__u32 handle;
	char *map;

	if (!has_page(self->buf.phys_addr))
		SKIP(return, "this memory has no struct pages");
	map = dmabuf_map(self->dmabuf, 0, self->buf.length);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, vgem_import(self->vgem, self->dmabuf, &handle));
	for (__u32 tag = 2; tag < 6; tag++) {
		ASSERT_EQ(0, dmabuf_sync(self->dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW));
		fill(map, self->buf.length, tag);
		ASSERT_EQ(0, dmabuf_sync(self->dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW));
		expect_imported(_metadata, self->vgem, handle, &self->buf, tag);
	}
	ASSERT_EQ(0, vgem_close_handle(self->vgem, handle));
	EXPECT_EQ(-1, find_stranger(map, self->buf.length, 5));
	EXPECT_EQ(0, munmap(map, self->buf.length));
}

TEST_HARNESS_MAIN

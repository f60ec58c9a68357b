// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded into cmemctl, shows it a machine that there is not: what it looks for in
 * /proc, in debugfs and at /dev/cmem it gets from the directory FAKE_ROOT, which
 * lab/cmemctl/views fills, and what ioctls answer from files in FAKE_ROOT/ioctl. All
 * memory of /dev/cmem is another user's.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/cmem.h>

static const char *in_fake(const char *path, char *room, size_t size)
{
	static const char *const roots[] = { "/proc", "/sys/kernel/debug", "/dev/cmem" };
	const char *root = getenv("FAKE_ROOT");

	for (size_t i = 0; root && i < sizeof(roots) / sizeof(roots[0]); i++) {
		size_t length = strlen(roots[i]);

		if (strncmp(path, roots[i], length) || (path[length] && path[length] != '/'))
			continue;
		snprintf(room, size, "%s%s", root, path);
		return room;
	}
	return path;
}

#define REAL(type, name) ((type)dlsym(RTLD_NEXT, name))

FILE *fopen64(const char *path, const char *mode)
{
	char room[4096];

	return REAL(FILE *(*)(const char *, const char *), "fopen64")
		(in_fake(path, room, sizeof(room)), mode);
}

static int device = -1;

int open64(const char *path, int flags, ...)
{
	char room[4096];
	va_list args;
	mode_t mode;
	int fd;

	va_start(args, flags);
	mode = va_arg(args, mode_t);
	va_end(args);
	fd = openat(AT_FDCWD, in_fake(path, room, sizeof(room)), flags, mode);
	if (!strcmp(path, "/dev/cmem"))
		device = fd;
	return fd;
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset)
{
	if (fd >= 0 && fd == device) {
		errno = EPERM;
		return MAP_FAILED;
	}
	return REAL(void *(*)(void *, size_t, int, int, int, off64_t), "mmap64")
		(address, length, protection, flags, fd, offset);
}

DIR *opendir(const char *path)
{
	char room[4096];

	return REAL(DIR *(*)(const char *), "opendir")(in_fake(path, room, sizeof(room)));
}

int stat64(const char *path, struct stat64 *st)
{
	char room[4096];

	return fstatat64(AT_FDCWD, in_fake(path, room, sizeof(room)), st, 0);
}

int access(const char *path, int mode)
{
	char room[4096];

	return faccessat(AT_FDCWD, in_fake(path, room, sizeof(room)), mode, 0);
}

ssize_t readlink(const char *path, char *text, size_t size)
{
	char room[4096];

	return readlinkat(AT_FDCWD, in_fake(path, room, sizeof(room)), text, size);
}

static int answer(const char *name, void *arg, unsigned int size)
{
	char path[4096];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "%s/ioctl/%s", getenv("FAKE_ROOT"), name);
	fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	got = read(fd, arg, size);
	close(fd);
	if (got == (ssize_t)size)
		return 0;
	errno = EINVAL;
	return -1;
}

int ioctl(int fd, unsigned long request, ...)
{
	char name[64];
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (request == CMEM_IOCTL_GET_INFO)
		return answer("info", arg, sizeof(struct cmem_info));
	if (request == CMEM_IOCTL_GET_BLOCK) {
		snprintf(name, sizeof(name), "block%d", ((struct cmem_block_info *)arg)->block);
		return answer(name, arg, sizeof(struct cmem_block_info));
	}
	if (request == CMEM_IOCTL_GET_POOL) {
		const struct cmem_pool_info *pool = arg;

		snprintf(name, sizeof(name), "block%d.pool%u", pool->block, pool->pool);
		return answer(name, arg, sizeof(struct cmem_pool_info));
	}
	return syscall(SYS_ioctl, fd, request, arg);
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The library's one open file of /dev/cmem, counted by CMEM_init() and
 * CMEM_exit(). A forked child shares it with its parent, and has a count of its
 * own.
 */
#include <fcntl.h>
#include <unistd.h>

#include "libcmem.h"

#define CMEM_DEVICE	"/dev/cmem"

struct libcmem libcmem = { .fd = -1 };
pthread_mutex_t libcmem_lock = PTHREAD_MUTEX_INITIALIZER;

static void lock_for_fork(void)
{
	pthread_mutex_lock(&libcmem_lock);
}

static void unlock_after_fork(void)
{
	pthread_mutex_unlock(&libcmem_lock);
}

/* The data cache line that DC works on, the smallest of all CPUs, in bytes */
static size_t cache_line(void)
{
#ifdef __aarch64__
	uint64_t ctr;

	__asm__("mrs %0, ctr_el0" : "=r"(ctr));
	return (size_t)4 << (ctr >> 16 & 0xf);
#else
	return 0;
#endif
}

static int open_session(void)
{
	static bool fork_handled;
	struct cmem_info info = { .size = sizeof(info) };
	int error, fd;

	if (!fork_handled) {
		error = pthread_atfork(lock_for_fork, unlock_after_fork, unlock_after_fork);
		if (error) {
			errno = error;
			return -1;
		}
		fork_handled = true;
	}

	fd = open(CMEM_DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (ioctl(fd, CMEM_IOCTL_GET_INFO, &info)) {
		error = errno;
		close(fd);
		errno = error;
		return -1;
	}

	libcmem.page_size = info.alignment;
	libcmem.coherent = info.out_flags & CMEM_INFO_COHERENT;
	libcmem.heap_fallback = info.out_flags & CMEM_INFO_HEAP_FALLBACK;
	libcmem.cache_line = info.out_flags & CMEM_INFO_USER_SYNC ? cache_line() : 0;
	__atomic_store_n(&libcmem.fd, fd, __ATOMIC_RELEASE);
	return 0;
}

PUBLIC int CMEM_init(void)
{
	int ret = 0;

	pthread_mutex_lock(&libcmem_lock);
	if (!libcmem.count)
		ret = open_session();
	if (!ret)
		libcmem.count++;
	pthread_mutex_unlock(&libcmem_lock);
	TRACE(ret, "CMEM_init() = %d", ret);
	return ret;
}

/*
 * Buffers that are still held: the kernel drops what this file is registered for
 * when nobody has the file any more, neither a forked child nor a mapping. So what
 * the program still has mapped stays as it is. The library frees nothing here: it
 * would take from parent and child what the other one uses.
 */
PUBLIC int CMEM_exit(void)
{
	int fd, ret = -1;

	pthread_mutex_lock(&libcmem_lock);
	if (!libcmem.count) {
		errno = EBADF;
	} else if (--libcmem.count) {
		ret = 0;
	} else {
		fd = libcmem.fd;
		__atomic_store_n(&libcmem.fd, -1, __ATOMIC_RELEASE);
		libcmem.session++;
		ret = close(fd);
	}
	pthread_mutex_unlock(&libcmem_lock);
	TRACE(ret, "CMEM_exit() = %d", ret);
	return ret;
}

PUBLIC int CMEM_getVersion(void)
{
	int ret = libcmem_ready() ? (int)CMEM_VERSION : -1;

	TRACE(ret < 0, "CMEM_getVersion() = %#x", ret);
	return ret;
}

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

static void unlock_in_child(void)
{
	libcmem_trust_fork();
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
		error = pthread_atfork(lock_for_fork, unlock_after_fork, unlock_in_child);
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

	libcmem.owner = info.owner;
	libcmem.page_size = info.alignment;
	libcmem.coherent = info.out_flags & CMEM_INFO_COHERENT;
	libcmem.heap_fallback = info.out_flags & CMEM_INFO_HEAP_FALLBACK;
	libcmem.cache_line = info.out_flags & CMEM_INFO_USER_SYNC ? cache_line() : 0;
	libcmem_trust_begin(fd, &info);
	__atomic_store_n(&libcmem.fd, fd, __ATOMIC_RELEASE);
	return 0;
}

/*
 * Whether the file is ours still. A program that becomes a daemon closes all files that it
 * has; what has the number then is its own.
 */
static bool is_our_file(int fd)
{
	struct cmem_info info = { .size = sizeof(info) };

	return !ioctl(fd, CMEM_IOCTL_GET_INFO, &info) && info.owner == libcmem.owner;
}

/*
 * Who is cancelled is so when the library has done its work: open() and close() are
 * cancellation points.
 */
static int begin_uncancelled(void)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_mutex_lock(&libcmem_lock);
	return state;
}

static void end_uncancelled(int state)
{
	pthread_mutex_unlock(&libcmem_lock);
	pthread_setcancelstate(state, NULL);
}

PUBLIC int CMEM_init(void)
{
	int state = begin_uncancelled(), ret = 0;

	if (!libcmem.count)
		ret = open_session();
	if (!ret)
		libcmem.count++;
	end_uncancelled(state);
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
	int state = begin_uncancelled(), fd, ret = -1;

	if (!libcmem.count) {
		errno = EBADF;
	} else if (--libcmem.count) {
		ret = 0;
	} else {
		fd = libcmem.fd;
		__atomic_store_n(&libcmem.fd, -1, __ATOMIC_RELEASE);
		if (libcmem_trust_end() && libcmem.owner)
			libcmem_add_past_owner(libcmem.owner);
		if (is_our_file(fd))
			ret = close(fd);
		else
			errno = EBADF;
	}
	end_uncancelled(state);
	TRACE(ret, "CMEM_exit() = %d", ret);
	return ret;
}

PUBLIC int CMEM_getVersion(void)
{
	int ret = libcmem_ready() ? (int)CMEM_VERSION : -1;

	TRACE(ret < 0, "CMEM_getVersion() = %#x", ret);
	return ret;
}

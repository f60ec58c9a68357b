// SPDX-License-Identifier: BSD-3-Clause
/*
 * The library's one open file of /dev/cmem, refcounted by CMEM_init() and CMEM_exit(). A
 * forked child shares the file with its parent and has its own count.
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

/* The data cache line size for DC, the smallest of all CPUs, in bytes */
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
 * Whether the file is still ours. A program that becomes a daemon closes all its files;
 * afterwards the number may refer to its own file.
 */
static bool is_our_file(int fd)
{
	struct cmem_info info = { .size = sizeof(info) };

	return !ioctl(fd, CMEM_IOCTL_GET_INFO, &info) && info.owner == libcmem.owner;
}

/*
 * open() and close() are cancellation points: delay cancellation until the library is
 * done.
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
 * The kernel drops this file's registrations when no forked child and no mapping uses the
 * file any more. So buffers that the program still has mapped stay valid. The library
 * frees nothing here: that would free buffers that parent or child still uses.
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

// SPDX-License-Identifier: GPL-2.0
/*
 * Stands for libcmem.so.1 where there is no /dev/cmem, for the tests of the Python package that
 * are about who holds what: a buffer is a memfd, which is its own DMA-BUF, and a number that
 * counts its registrations. fake_registrations() tells all of them. A child of fork() has
 * what its parent has, and goes its own way then.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ti/cmem.h>

#define BUFFERS		64
#define POOL_SIZE	0x100000ULL	/* of each buffer of the one pool, number 0 of block 0 */
#define BASE		0x80000000ULL

static struct buffer {
	size_t size;
	int fd, registrations;
	bool private;
} buffers[BUFFERS];

static struct mapping {
	char *address;
	size_t length;
	struct buffer *buffer;
} mappings[4 * BUFFERS];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int inits, failing_exports;

static void take_lock(void)
{
	pthread_mutex_lock(&lock);
}

static void drop_lock(void)
{
	pthread_mutex_unlock(&lock);
}

static void __attribute__((constructor)) mind_fork(void)
{
	pthread_atfork(take_lock, drop_lock, drop_lock);
}

static long failed(int error, long value)
{
	errno = error;
	return value;
}

int fake_registrations(void)
{
	int sum = 0;

	for (int i = 0; i < BUFFERS; i++)
		sum += buffers[i].registrations;
	return sum;
}

int fake_mappings(void)
{
	int sum = 0;

	for (size_t i = 0; i < 4 * BUFFERS; i++)
		sum += !!mappings[i].address;
	return sum;
}

/* That many exports fail with EMFILE. */
void fake_fail_exports(int count)
{
	failing_exports = count;
}

int fake_inits(void)
{
	return inits;
}

/* As a program does that closes all its files */
void fake_close_device(void)
{
	inits = 0;
}

int CMEM_init(void)
{
	inits++;
	return 0;
}

int CMEM_exit(void)
{
	if (!inits)
		return failed(EBADF, -1);
	inits--;
	return 0;
}

static CMEM_off64_t allocate(size_t length, size_t size, bool private)
{
	CMEM_off64_t phys = failed(ENOMEM, 0);

	if (!inits)
		return failed(EBADF, 0);
	take_lock();
	for (int i = 0; i < BUFFERS; i++) {
		if (buffers[i].registrations)
			continue;
		buffers[i].fd = memfd_create("cmem", MFD_CLOEXEC);
		if (buffers[i].fd < 0 || ftruncate(buffers[i].fd, length))
			break;
		buffers[i].size = size;
		buffers[i].registrations = 1;
		buffers[i].private = private;
		phys = BASE + i * POOL_SIZE;
		break;
	}
	drop_lock();
	return phys;
}

CMEM_off64_t CMEM_allocPhys64(int blockid, size_t size, CMEM_AllocParams *params)
{
	if (blockid)
		return failed(ENOENT, 0);
	if (params->type == CMEM_HEAP && params->alignment & (params->alignment - 1))
		return failed(EINVAL, 0);
	if (size > POOL_SIZE)
		return failed(params->type == CMEM_HEAP ? ENOMEM : ENOENT, 0);
	return allocate(params->type == CMEM_HEAP ? (size + 4095) & ~4095UL : POOL_SIZE, size,
			params->flags & CMEM_PRIVATE);
}

CMEM_off64_t CMEM_allocPoolPhys64(int blockid, int poolid, CMEM_AllocParams *params)
{
	if (blockid || poolid)
		return failed(ENOENT, 0);
	return allocate(POOL_SIZE, POOL_SIZE, params->flags & CMEM_PRIVATE);
}

static struct buffer *find(CMEM_off64_t phys)
{
	unsigned long long i = (phys - BASE) / POOL_SIZE;

	return i < BUFFERS && buffers[i].registrations ? &buffers[i] : NULL;
}

static void drop(struct buffer *buffer)
{
	take_lock();
	if (!--buffer->registrations) {
		close(buffer->fd);
		buffer->fd = -1;
	}
	drop_lock();
}

int CMEM_freePhys64(CMEM_off64_t phys, CMEM_AllocParams *params)
{
	struct buffer *buffer = find(phys);

	(void)params;
	if (!inits)
		return failed(EBADF, -1);
	if (!buffer)
		return failed(ENOENT, -1);
	drop(buffer);
	return 0;
}

static struct mapping *mapping_of(const void *address)
{
	for (size_t i = 0; i < 4 * BUFFERS; i++)
		if (mappings[i].address == address)
			return &mappings[i];
	return NULL;
}

static void *map(struct buffer *buffer, size_t length)
{
	void *address = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, buffer->fd, 0);
	struct mapping *mapping;

	if (address == MAP_FAILED)
		return NULL;
	take_lock();
	mapping = mapping_of(NULL);
	*mapping = (struct mapping) { address, length, buffer };
	drop_lock();
	return address;
}

void *CMEM_map64(CMEM_off64_t phys, size_t size)
{
	struct buffer *buffer = find(phys);

	return buffer ? map(buffer, size) : (void *)failed(EINVAL, 0);
}

int CMEM_unmap(void *address, size_t size)
{
	struct mapping *mapping = mapping_of(address);

	if (!mapping || mapping->length != size)
		return failed(EINVAL, -1);
	take_lock();
	mapping->address = NULL;
	drop_lock();
	return munmap(address, size);
}

int CMEM_free(void *address, CMEM_AllocParams *params)
{
	struct mapping *mapping = mapping_of(address);

	(void)params;
	if (!mapping)
		return failed(EFAULT, -1);
	drop(mapping->buffer);
	return CMEM_unmap(address, mapping->length);
}

void *CMEM_registerAlloc64(CMEM_off64_t phys)
{
	struct buffer *buffer = find(phys);

	if (phys % 4096)
		return (void *)failed(EINVAL, 0);
	if (!buffer || buffer->private)
		return (void *)failed(buffer ? EPERM : ENOENT, 0);
	take_lock();
	buffer->registrations++;
	drop_lock();
	return map(buffer, lseek(buffer->fd, 0, SEEK_END));
}

/* The buffer that an address is in: the memfd tells by its inode. */
int CMEM_export_dmabuf(void *address)
{
	struct mapping *mapping = mapping_of(address);

	if (failing_exports) {
		failing_exports--;
		return failed(EMFILE, -1);
	}
	if (mapping)
		return dup(mapping->buffer->fd);
	for (int i = 0; i < BUFFERS; i++) {
		unsigned long long *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
						buffers[i].fd, 0);
		unsigned long long old;
		bool same;

		if (word == MAP_FAILED)
			continue;
		old = *word;
		*word = ~old;
		same = *(volatile unsigned long long *)address == ~old;
		*word = old;
		munmap(word, 4096);
		if (same)
			return dup(buffers[i].fd);
	}
	return failed(EFAULT, -1);
}

void *CMEM_registerDmabuf(int fd)
{
	(void)fd;
	return (void *)failed(EINVAL, 0);
}

int CMEM_import_dmabuf(int fd, CMEM_off64_t *phys, unsigned long long *size)
{
	(void)size;
	*phys = BASE;
	return dup(fd);
}

CMEM_off64_t CMEM_getPhys64(void *address)
{
	(void)address;
	return failed(EFAULT, 0);
}

int CMEM_cacheWb(void *address, size_t size)
{
	(void)address;
	(void)size;
	return inits ? 0 : failed(EBADF, -1);
}

int CMEM_cacheInv(void *address, size_t size)
{
	return CMEM_cacheWb(address, size);
}

int CMEM_cacheWbInv(void *address, size_t size)
{
	return CMEM_cacheWb(address, size);
}

int CMEM_cacheWbInvAll(void)
{
	return CMEM_cacheWb(NULL, 0);
}

int CMEM_getPool2(int blockid, unsigned long long size)
{
	return blockid || size > POOL_SIZE ? failed(ENOENT, -1) : 0;
}

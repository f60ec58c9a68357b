/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libcmem internals, shared by its files.
 *
 *	init.c		the open file of /dev/cmem, and the lock
 *	table.c		lookup from user to physical address
 *	trust.c		whether the table is still valid
 *	buffer.c	allocating, registering, mapping, freeing
 *	cache.c		cache maintenance
 *	block.c		blocks and pools
 *	offset.c	the public functions with an off_t, compiled once for each
 *			size of off_t
 *	trace.c		the output of CMEM_DEBUG=1
 *
 * CMEM_getPhys() and the cache calls take no lock. libcmem_lock protects changes to
 * the table and to the count of CMEM_init(). fork() takes it too, so that the child
 * sees both in a consistent state. Allocations do not hold it: they may wait for the
 * kernel to zero memory.
 */
#ifndef LIBCMEM_H
#define LIBCMEM_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <linux/cmem.h>
#include <ti/cmem.h>

#define SHARED __attribute__((visibility("hidden")))
#define PUBLIC __attribute__((visibility("default")))

/* init.c */

/**
 * struct libcmem - the library's state
 * @fd: of /dev/cmem, -1 without CMEM_init()
 * @count: CMEM_init() less CMEM_exit(), under libcmem_lock
 * @owner: number of the open file, 0 if the kernel does not report it
 * @page_size: of the kernel
 * @cache_line: the unit of DC instructions in bytes, 0 if unusable
 * @coherent: all devices snoop the caches: no maintenance is needed
 * @heap_fallback: cmem.useHeapIfPoolUnavailable is on
 */
struct libcmem {
	int fd;
	unsigned int count;
	uint64_t owner;
	size_t page_size;
	size_t cache_line;
	bool coherent;
	bool heap_fallback;
};

extern SHARED struct libcmem libcmem;
extern SHARED pthread_mutex_t libcmem_lock;

/* Whether CMEM_init() was called. Sets errno if not. */
static inline bool libcmem_ready(void)
{
	if (__builtin_expect(__atomic_load_n(&libcmem.fd, __ATOMIC_RELAXED) >= 0, 1))
		return true;
	errno = EBADF;
	return false;
}

/* table.c */

#define TABLE_MAPPED	1	/* in a mapping of ours */
#define TABLE_SYNC	2	/* the program can maintain its caches */

/**
 * struct libcmem_mapping - a mapping that the library made
 * @start: user address of its first byte
 * @length: in bytes, whole pages
 * @buffer: physical address of the first byte of the buffer
 */
struct libcmem_mapping {
	uintptr_t start;
	size_t length;
	uint64_t buffer;
};

SHARED bool libcmem_table_phys(uintptr_t address, uint64_t *phys);
SHARED unsigned int libcmem_table_flags(uintptr_t address, size_t length);

/* Call the rest with libcmem_lock held. */
SHARED struct libcmem_mapping *libcmem_table_find(uintptr_t address);
SHARED int libcmem_table_insert(const struct libcmem_mapping *mapping, uint64_t phys,
				unsigned int flags);
SHARED int libcmem_table_unmap(uintptr_t start, size_t length);
SHARED void libcmem_table_clear(void);
SHARED bool libcmem_table_is_empty(void);

/* trust.c */

extern SHARED const struct cmem_changes *libcmem_changes;
extern SHARED uint32_t libcmem_trusted;

/* Whether the table is valid: check before each lookup, with or without the lock */
static inline bool libcmem_trusts(void)
{
	const struct cmem_changes *page = __atomic_load_n(&libcmem_changes, __ATOMIC_RELAXED);
	uint32_t count = __atomic_load_n(&page->count, __ATOMIC_RELAXED);

	return count && count == __atomic_load_n(&libcmem_trusted, __ATOMIC_ACQUIRE);
}

/* Call these with libcmem_lock held. */
SHARED void libcmem_trust_begin(int fd, const struct cmem_info *info);
SHARED bool libcmem_trust_end(void);
SHARED void libcmem_trust_fork(void);
SHARED void libcmem_trust_lose(void);
SHARED bool libcmem_trust_check(void);
SHARED int libcmem_trust_munmap(void *start, size_t length, size_t mappings);

/* buffer.c: 64-bit physical addresses, 0 or NULL on failure */

SHARED void libcmem_add_past_owner(uint64_t owner);
SHARED int libcmem_resolve(uintptr_t address, struct cmem_resolve *resolve);
SHARED uint64_t libcmem_alloc_phys(int block, int pool, size_t size,
				   const CMEM_AllocParams *params);
SHARED int libcmem_free_phys(uint64_t phys);
SHARED void *libcmem_map(uint64_t phys, size_t size);
SHARED void *libcmem_register(uint64_t phys);

/* block.c */

SHARED int libcmem_get_block(int block, uint64_t *base, unsigned long long *size);
SHARED bool libcmem_block_coherent(int block);

/* trace.c */

extern SHARED bool libcmem_debug;

/**
 * TRACE - print a public function's arguments and result
 * @failed: whether the call failed, with the reason in errno
 * @format: as for printf(): "CMEM_map(%#llx, %zu) = %p"
 */
#define TRACE(failed, format, ...) do {					\
	if (__builtin_expect(libcmem_debug, 0))				\
		libcmem_trace(failed, format, __VA_ARGS__);		\
} while (0)

SHARED void libcmem_trace(bool failed, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Room for CMEM_AllocParams as text */
struct libcmem_params_text {
	char text[80];
};

SHARED const char *libcmem_params_text(const CMEM_AllocParams *params,
				       struct libcmem_params_text *text);

#define PARAMS_TEXT(params) \
	libcmem_params_text(params, &(struct libcmem_params_text) { "" })

#endif /* LIBCMEM_H */

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Allocate, register, map and free buffers. Physical addresses are 64-bit here; offset.c
 * converts them to off_t.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "libcmem.h"

PUBLIC CMEM_AllocParams CMEM_DEFAULTPARAMS = { CMEM_POOL, CMEM_NONCACHED, 1 };

/* Files closed by CMEM_exit() that may still be mapped: under libcmem_lock */
static uint64_t *past_owners;
static size_t num_past_owners;

static int cmem_ioctl(unsigned long command, void *argument)
{
	return libcmem_ready() ? ioctl(libcmem.fd, command, argument) : -1;
}

static unsigned int table_flags(unsigned int alloc_flags, int block)
{
	/* Skip the query where the answer makes no difference. */
	if (!libcmem.cache_line || !(alloc_flags & CMEM_ALLOC_CACHED) ||
	    libcmem_block_coherent(block))
		return TABLE_MAPPED;
	return TABLE_MAPPED | TABLE_SYNC;
}

static int free_buffer(uint64_t buffer)
{
	struct cmem_free request = { .size = sizeof(request), .phys_addr = buffer };

	return cmem_ioctl(CMEM_IOCTL_FREE, &request);
}

/* Undo an allocation or registration after an error; keep its errno. */
static void drop_buffer(uint64_t buffer)
{
	int error = errno;

	free_buffer(buffer);
	errno = error;
}

/**
 * libcmem_resolve - ask the kernel what a user address maps
 * @address: any byte of a mapping of /dev/cmem
 * @resolve: the result
 *
 * Return: 0, or -1 and errno.
 */
int libcmem_resolve(uintptr_t address, struct cmem_resolve *resolve)
{
	*resolve = (struct cmem_resolve) { .size = sizeof(*resolve), .user_addr = address };
	return cmem_ioctl(CMEM_IOCTL_RESOLVE, resolve);
}

/*
 * Map a part of a buffer. @flags tells which buffer it is and whether it is cached; 0
 * means to ask the kernel.
 */
static void *map_buffer(uint64_t phys, uint64_t size, uint64_t buffer, unsigned int flags)
{
	const size_t page_mask = libcmem.page_size - 1;
	struct libcmem_mapping mapping = { .buffer = buffer };
	struct cmem_resolve resolve;
	size_t counted = 1;
	int error = 0;
	void *address;

	if (!size || size > SIZE_MAX - page_mask) {
		errno = size ? ENOMEM : EINVAL;
		return NULL;
	}
	mapping.length = (size + page_mask) & ~page_mask;

	pthread_mutex_lock(&libcmem_lock);
	address = mmap(NULL, mapping.length, PROT_READ | PROT_WRITE, MAP_SHARED, libcmem.fd, phys);
	if (address == MAP_FAILED) {
		address = NULL;
		goto out;
	}
	mapping.start = (uintptr_t)address;
	if (!flags) {
		if (libcmem_resolve(mapping.start, &resolve)) {
			error = errno;
			counted = 0;
		}
		mapping.buffer = resolve.buffer_addr;
		flags = table_flags(resolve.buffer_flags, resolve.block);
	}
	if (!error && libcmem_trust_check() && libcmem_table_insert(&mapping, phys, flags))
		error = errno;
	if (error) {
		libcmem_trust_munmap(address, mapping.length, counted);
		address = NULL;
		errno = error;
	}
out:
	pthread_mutex_unlock(&libcmem_lock);
	return address;
}

/*
 * Allocate from one pool, the best pool or the heap. Only the heap uses the alignment:
 * programs leave it undefined for pools.
 */
static int alloc_from(int block, int pool, size_t size, const CMEM_AllocParams *params,
		      struct cmem_alloc *request)
{
	const bool aligned = pool == CMEM_POOL_HEAP && params->type == CMEM_HEAP;

	*request = (struct cmem_alloc) {
		.size = sizeof(*request), .block = block, .pool = pool,
		.flags = (params->flags & CMEM_CACHED ? CMEM_ALLOC_CACHED : 0) |
			 (params->flags & CMEM_PRIVATE ? CMEM_ALLOC_PRIVATE : 0) |
			 (params->flags & CMEM_PAGES ? CMEM_ALLOC_PAGES : 0),
		.length = size,
		.alignment = aligned ? params->alignment : 0,
	};
	return cmem_ioctl(CMEM_IOCTL_ALLOC, request);
}

/*
 * TI's library accepts any value here: a type other than CMEM_HEAP is a pool, and only
 * the flags that describe a buffer count. Programs that name a pool leave the type
 * undefined.
 */
static void note_ignored(int pool, const CMEM_AllocParams *params)
{
	const int flags = params->flags & ~(CMEM_CACHED | CMEM_PRIVATE | CMEM_PAGES);

	if (flags)
		TRACE(false, "flags %#x: %#x of it is ignored", params->flags, flags);
	if (pool == CMEM_POOL_BEST && params->type != CMEM_POOL && params->type != CMEM_HEAP)
		TRACE(false, "type %#x: taken for CMEM_POOL", params->type);
}

/* Allocate as the params say, or from @pool unless it is CMEM_POOL_BEST. */
static int alloc_buffer(int block, int pool, size_t size, const CMEM_AllocParams *params,
			struct cmem_alloc *request)
{
	int ret;

	if (!params)
		params = &CMEM_DEFAULTPARAMS;
	note_ignored(pool, params);
	if (pool == CMEM_POOL_BEST && params->type == CMEM_HEAP)
		pool = CMEM_POOL_HEAP;

	ret = alloc_from(block, pool, size, params, request);
	if (ret && pool == CMEM_POOL_BEST && libcmem.heap_fallback &&
	    (errno == ENOMEM || errno == ENOENT))
		ret = alloc_from(block, CMEM_POOL_HEAP, size, params, request);
	return ret;
}

static void *alloc_mapped(int block, int pool, size_t size, const CMEM_AllocParams *params)
{
	struct cmem_alloc request;
	void *address;

	if (alloc_buffer(block, pool, size, params, &request))
		return NULL;
	/* The whole buffer: programs that ask for less than a pool's size expect it. */
	address = map_buffer(request.phys_addr, request.length, request.phys_addr,
			     table_flags(request.flags, block));
	if (!address)
		drop_buffer(request.phys_addr);
	return address;
}

/* The kernel treats some negative numbers as other things than a pool. */
static bool is_pool(int pool)
{
	if (pool >= 0)
		return true;
	errno = ENOENT;
	return false;
}

/**
 * libcmem_alloc_phys - allocate without mapping
 * @block: the number of the block
 * @pool: the number of a pool, or CMEM_POOL_BEST to follow the params
 * @size: in bytes; 0 with a pool number: the pool's buffer size
 * @params: may be NULL
 *
 * Return: the physical address, or 0 and errno.
 */
uint64_t libcmem_alloc_phys(int block, int pool, size_t size, const CMEM_AllocParams *params)
{
	struct cmem_alloc request;

	if (alloc_buffer(block, pool, size, params, &request))
		return 0;
	return request.phys_addr;
}

/**
 * libcmem_free_phys - drop a registration by physical address
 * @phys: the buffer's first byte
 *
 * Return: 0, or -1 and errno.
 */
int libcmem_free_phys(uint64_t phys)
{
	return free_buffer(phys);
}

/**
 * libcmem_map - map a part of a buffer
 * @phys: physical address of the first byte, page-aligned
 * @size: in bytes
 *
 * Return: the user address, or NULL and errno.
 */
void *libcmem_map(uint64_t phys, size_t size)
{
	return libcmem_ready() ? map_buffer(phys, size, 0, 0) : NULL;
}

static void *register_buffer(struct cmem_register *request)
{
	void *address;

	if (cmem_ioctl(CMEM_IOCTL_REGISTER, request))
		return NULL;
	address = map_buffer(request->phys_addr, request->length, request->phys_addr,
			     table_flags(request->buffer_flags, request->block));
	if (!address)
		drop_buffer(request->phys_addr);
	return address;
}

/**
 * libcmem_register - register for an existing buffer, and map it
 * @phys: the buffer's first byte
 *
 * Return: the user address, or NULL and errno.
 */
void *libcmem_register(uint64_t phys)
{
	struct cmem_register request = { .size = sizeof(request), .phys_addr = phys };

	return register_buffer(&request);
}

PUBLIC void *CMEM_alloc2(int blockid, size_t size, CMEM_AllocParams *params)
{
	void *ptr = alloc_mapped(blockid, CMEM_POOL_BEST, size, params);

	TRACE(!ptr, "CMEM_alloc2(%d, %zu, %s) = %p", blockid, size, PARAMS_TEXT(params), ptr);
	return ptr;
}

PUBLIC void *CMEM_alloc(size_t size, CMEM_AllocParams *params)
{
	void *ptr = alloc_mapped(0, CMEM_POOL_BEST, size, params);

	TRACE(!ptr, "CMEM_alloc(%zu, %s) = %p", size, PARAMS_TEXT(params), ptr);
	return ptr;
}

PUBLIC void *CMEM_allocPool2(int blockid, int poolid, CMEM_AllocParams *params)
{
	void *ptr = is_pool(poolid) ? alloc_mapped(blockid, poolid, 0, params) : NULL;

	TRACE(!ptr, "CMEM_allocPool2(%d, %d, %s) = %p", blockid, poolid, PARAMS_TEXT(params),
	      ptr);
	return ptr;
}

PUBLIC void *CMEM_allocPool(int poolid, CMEM_AllocParams *params)
{
	void *ptr = is_pool(poolid) ? alloc_mapped(0, poolid, 0, params) : NULL;

	TRACE(!ptr, "CMEM_allocPool(%d, %s) = %p", poolid, PARAMS_TEXT(params), ptr);
	return ptr;
}

static bool is_past_owner(uint64_t owner)
{
	for (size_t i = 0; i < num_past_owners; i++)
		if (past_owners[i] == owner)
			return true;
	return false;
}

/**
 * libcmem_add_past_owner - record a file before it is closed
 * @owner: its number
 *
 * Call with libcmem_lock held. If out of memory, its mappings can't be freed later.
 */
void libcmem_add_past_owner(uint64_t owner)
{
	uint64_t *owners = realloc(past_owners, (num_past_owners + 1) * sizeof(*owners));

	if (!owners)
		return;
	past_owners = owners;
	past_owners[num_past_owners++] = owner;
}

/**
 * struct unknown - mappings that the table does not know
 * @length: in bytes
 * @counted: how many the kernel counts on unmap: those of the open file
 */
struct unknown {
	size_t length;
	size_t counted;
};

/*
 * Ask the kernel for the mapping at an address, and check that the library made it, in
 * this session or an earlier one. A DMA-BUF or another code's mapping is not ours.
 */
static int add_unknown(struct unknown *unknown, uintptr_t address, struct cmem_resolve *resolve)
{
	if (libcmem_resolve(address, resolve))
		return -1;
	if (libcmem.owner && resolve->mapping_owner != libcmem.owner &&
	    !is_past_owner(resolve->mapping_owner)) {
		errno = EINVAL;
		return -1;
	}
	unknown->length += resolve->contiguous;
	unknown->counted += resolve->mapping_owner == libcmem.owner;
	return 0;
}

/*
 * Free a mapping that the table does not know, for example after mremap(). It may be
 * split into adjacent pieces. Closing a file drops its registrations.
 */
static int free_unknown(uintptr_t address)
{
	struct unknown unknown = { 0 }, more;
	struct cmem_resolve resolve, next;

	if (add_unknown(&unknown, address, &resolve))
		return -1;
	/* The kernel does not report the start */
	if (!resolve.mapping_addr && resolve.phys_addr == resolve.buffer_addr)
		resolve.mapping_addr = address;
	if (resolve.mapping_addr != address) {
		errno = EINVAL;
		return -1;
	}
	more = unknown;
	while (!add_unknown(&more, address + unknown.length, &next) &&
	       next.mapping_owner == resolve.mapping_owner &&
	       next.buffer_addr == resolve.buffer_addr &&
	       next.phys_addr == resolve.phys_addr + unknown.length)
		unknown = more;
	if (!is_past_owner(resolve.mapping_owner) && free_buffer(resolve.buffer_addr))
		return -1;
	return libcmem_trust_munmap((void *)address, unknown.length, unknown.counted);
}

static int free_mapped(uintptr_t address)
{
	const struct libcmem_mapping *mapping;
	int ret = -1;

	if (!libcmem_ready())
		return -1;

	pthread_mutex_lock(&libcmem_lock);
	mapping = libcmem_trust_check() ? libcmem_table_find(address) : NULL;
	if (!mapping)
		ret = free_unknown(address);
	else if (mapping->start != address)
		errno = EINVAL;
	else if (!free_buffer(mapping->buffer))
		ret = libcmem_table_unmap(mapping->start, mapping->length);
	pthread_mutex_unlock(&libcmem_lock);
	return ret;
}

PUBLIC int CMEM_free(void *ptr, CMEM_AllocParams *params)
{
	int ret = free_mapped((uintptr_t)ptr);

	TRACE(ret, "CMEM_free(%p, %s) = %d", ptr, PARAMS_TEXT(params), ret);
	return ret;
}

PUBLIC int CMEM_unregister(void *ptr, CMEM_AllocParams *params)
{
	int ret = free_mapped((uintptr_t)ptr);

	TRACE(ret, "CMEM_unregister(%p, %s) = %d", ptr, PARAMS_TEXT(params), ret);
	return ret;
}

/*
 * Unmap a range that the table knows only in part, if the library made it. Drop the known
 * part from the table.
 */
static int unmap_unknown(uintptr_t address, size_t length)
{
	struct unknown unknown = { 0 };
	struct cmem_resolve resolve;
	bool known = false;

	while (unknown.length < length) {
		known = known || libcmem_table_find(address + unknown.length);
		if (add_unknown(&unknown, address + unknown.length, &resolve)) {
			errno = errno == EFAULT ? EINVAL : errno;
			return -1;
		}
	}
	if (known)
		libcmem_trust_lose();
	return libcmem_trust_munmap((void *)address, length, unknown.counted);
}

static int unmap(uintptr_t address, size_t size)
{
	size_t length;
	int ret;

	if (!libcmem_ready())
		return -1;
	length = (size + libcmem.page_size - 1) & -libcmem.page_size;
	if (!size || length < size || address & (libcmem.page_size - 1) ||
	    address + length - 1 < address) {
		errno = EINVAL;
		return -1;
	}

	pthread_mutex_lock(&libcmem_lock);
	ret = libcmem_trust_check() ? libcmem_table_unmap(address, length) : -1;
	if (ret && (!libcmem_trust_check() || errno == EINVAL))
		ret = unmap_unknown(address, length);
	pthread_mutex_unlock(&libcmem_lock);
	return ret;
}

PUBLIC int CMEM_unmap(void *userp, size_t size)
{
	int ret = unmap((uintptr_t)userp, size);

	TRACE(ret, "CMEM_unmap(%p, %zu) = %d", userp, size, ret);
	return ret;
}

PUBLIC int CMEM_export_dmabuf(void *ptr)
{
	struct cmem_export request = { .size = sizeof(request), .fd_flags = O_RDWR | O_CLOEXEC };
	struct cmem_resolve resolve;
	int fd = -1;

	if (!libcmem_resolve((uintptr_t)ptr, &resolve)) {
		request.phys_addr = resolve.buffer_addr;
		if (!cmem_ioctl(CMEM_IOCTL_EXPORT, &request))
			fd = request.fd;
	}
	TRACE(fd < 0, "CMEM_export_dmabuf(%p) = %d", ptr, fd);
	return fd;
}

PUBLIC void *CMEM_registerDmabuf(int fd)
{
	struct cmem_register request = {
		.size = sizeof(request), .flags = CMEM_REGISTER_DMABUF, .dmabuf_fd = fd,
	};
	void *ptr = register_buffer(&request);

	TRACE(!ptr, "CMEM_registerDmabuf(%d) = %p", fd, ptr);
	return ptr;
}

PUBLIC int CMEM_import_dmabuf(int fd, CMEM_off64_t *pphys, unsigned long long *psize)
{
	struct cmem_import_dmabuf request = {
		.size = sizeof(request), .dmabuf_fd = fd, .fd_flags = O_CLOEXEC, .fd = -1,
	};
	int hold = -1;

	if (!pphys) {
		errno = EFAULT;
	} else if (!cmem_ioctl(CMEM_IOCTL_IMPORT, &request)) {
		hold = request.fd;
		*pphys = request.phys_addr;
		if (psize)
			*psize = request.length;
	}
	TRACE(hold < 0, "CMEM_import_dmabuf(%d, [%#llx], [%llu]) = %d", fd,
	      (unsigned long long)request.phys_addr, (unsigned long long)request.length, hold);
	return hold;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * Cache maintenance. The kernel decides what a buffer needs: it knows the attached
 * devices. The library skips the kernel if only one answer is possible: nothing, if all
 * devices snoop; the requested operation, if the buffer is cached and its block is not
 * coherent. On AArch64 the program can then write back, with or without
 * invalidating, by itself, if the kernel says that this is enough.
 */
#include "libcmem.h"

static int sync_by_kernel(uintptr_t address, size_t size, unsigned int op)
{
	struct cmem_sync_range range = {
		.user_addr = address, .length = size, .op = op,
	};
	struct cmem_sync request = {
		.size = sizeof(request), .ranges = (uintptr_t)&range, .num_ranges = 1,
	};

	return ioctl(libcmem.fd, CMEM_IOCTL_SYNC, &request);
}

#ifdef __aarch64__
/* To the point of coherency, one instruction for each line that the range touches */
static void sync_by_program(uintptr_t address, size_t size, unsigned int op)
{
	const size_t line = libcmem.cache_line;
	uintptr_t end = address + size;

	address &= -line;
	if (op == CMEM_SYNC_WRITE_BACK) {
		for (; address < end; address += line)
			__asm__ volatile("dc cvac, %0" : : "r"(address) : "memory");
	} else {
		for (; address < end; address += line)
			__asm__ volatile("dc civac, %0" : : "r"(address) : "memory");
	}
	/* A device may read the data as soon as we return. */
	__asm__ volatile("dsb sy" : : : "memory");
}
#else
static void sync_by_program(uintptr_t address, size_t size, unsigned int op)
{
	(void)address;
	(void)size;
	(void)op;
}
#endif

/*
 * Without cache maintenance, stores must still leave the CPU before the program tells a
 * device to read.
 */
static void wait_for_stores(void)
{
#if defined(__aarch64__) || (defined(__arm__) && __ARM_ARCH >= 7)
	__asm__ volatile("dsb st" : : : "memory");
#else
	__sync_synchronize();
#endif
}

static int cache_sync(void *ptr, size_t size, unsigned int op)
{
	uintptr_t address = (uintptr_t)ptr;
	unsigned int flags;

	if (!libcmem_ready())
		return -1;
	if (!size)
		return 0;
	if (address + size - 1 < address) {
		errno = EOVERFLOW;
		return -1;
	}

	flags = libcmem_trusts() ? libcmem_table_flags(address, size) : 0;
	if (flags & TABLE_SYNC && op != CMEM_SYNC_INVALIDATE) {
		sync_by_program(address, size, op);
		return 0;
	}
	if (!(flags & TABLE_SYNC))
		wait_for_stores();
	return flags && libcmem.coherent ? 0 : sync_by_kernel(address, size, op);
}

PUBLIC int CMEM_cacheWb(void *ptr, size_t size)
{
	int ret = cache_sync(ptr, size, CMEM_SYNC_WRITE_BACK);

	TRACE(ret, "CMEM_cacheWb(%p, %zu) = %d", ptr, size, ret);
	return ret;
}

PUBLIC int CMEM_cacheInv(void *ptr, size_t size)
{
	int ret = cache_sync(ptr, size, CMEM_SYNC_INVALIDATE);

	TRACE(ret, "CMEM_cacheInv(%p, %zu) = %d", ptr, size, ret);
	return ret;
}

PUBLIC int CMEM_cacheWbInv(void *ptr, size_t size)
{
	int ret = cache_sync(ptr, size, CMEM_SYNC_WRITE_BACK_INVALIDATE);

	TRACE(ret, "CMEM_cacheWbInv(%p, %zu) = %d", ptr, size, ret);
	return ret;
}

/* Only the buffers that this file is registered for: others are not ours to flush. */
PUBLIC int CMEM_cacheWbInvAll(void)
{
	struct cmem_sync_all request = {
		.size = sizeof(request), .op = CMEM_SYNC_WRITE_BACK_INVALIDATE,
	};
	int ret = -1;

	if (libcmem_ready())
		ret = libcmem.coherent ? 0 : ioctl(libcmem.fd, CMEM_IOCTL_SYNC_ALL, &request);
	TRACE(ret, "CMEM_cacheWbInvAll() = %d", ret);
	return ret;
}

// SPDX-License-Identifier: BSD-3-Clause
/*
 * The public functions that take or return a physical address, as an off_t and as 64
 * bits.
 *
 * Where off_t may be 32-bit or 64-bit, offset32.c compiles the off_t functions again for
 * 32 bits. <ti/cmem.h> then gives each its own name.
 */
#include "libcmem.h"

/* A 32-bit off_t holds 4 GiB of addresses, some as negative numbers. */
static bool fits_off_t(uint64_t phys)
{
	if (sizeof(off_t) >= sizeof(phys) || phys <= UINT32_MAX)
		return true;
	errno = EOVERFLOW;
	return false;
}

static uint64_t from_off_t(off_t phys)
{
	return sizeof(off_t) >= sizeof(uint64_t) ? (uint64_t)phys : (uint32_t)phys;
}

static off_t alloc_off_t(int block, int pool, size_t size, const CMEM_AllocParams *params)
{
	uint64_t phys = libcmem_alloc_phys(block, pool, size, params);
	int error;

	if (fits_off_t(phys))
		return phys;
	error = errno;
	libcmem_free_phys(phys);
	errno = error;
	return 0;
}

static off_t alloc_pool_off_t(int block, int pool, const CMEM_AllocParams *params)
{
	if (pool >= 0)
		return alloc_off_t(block, pool, 0, params);
	/* The kernel treats some negative numbers as other things than a pool. */
	errno = ENOENT;
	return 0;
}

PUBLIC off_t CMEM_allocPhys(size_t size, CMEM_AllocParams *params)
{
	off_t phys = alloc_off_t(0, CMEM_POOL_BEST, size, params);

	TRACE(!phys, "CMEM_allocPhys(%zu, %s) = %#llx", size, PARAMS_TEXT(params),
	      (unsigned long long)from_off_t(phys));
	return phys;
}

PUBLIC off_t CMEM_allocPhys2(int blockid, size_t size, CMEM_AllocParams *params)
{
	off_t phys = alloc_off_t(blockid, CMEM_POOL_BEST, size, params);

	TRACE(!phys, "CMEM_allocPhys2(%d, %zu, %s) = %#llx", blockid, size, PARAMS_TEXT(params),
	      (unsigned long long)from_off_t(phys));
	return phys;
}

PUBLIC off_t CMEM_allocPoolPhys(int poolid, CMEM_AllocParams *params)
{
	off_t phys = alloc_pool_off_t(0, poolid, params);

	TRACE(!phys, "CMEM_allocPoolPhys(%d, %s) = %#llx", poolid, PARAMS_TEXT(params),
	      (unsigned long long)from_off_t(phys));
	return phys;
}

PUBLIC off_t CMEM_allocPoolPhys2(int blockid, int poolid, CMEM_AllocParams *params)
{
	off_t phys = alloc_pool_off_t(blockid, poolid, params);

	TRACE(!phys, "CMEM_allocPoolPhys2(%d, %d, %s) = %#llx", blockid, poolid,
	      PARAMS_TEXT(params), (unsigned long long)from_off_t(phys));
	return phys;
}

PUBLIC int CMEM_freePhys(off_t physp, CMEM_AllocParams *params)
{
	int ret = libcmem_free_phys(from_off_t(physp));

	TRACE(ret, "CMEM_freePhys(%#llx, %s) = %d", (unsigned long long)from_off_t(physp),
	      PARAMS_TEXT(params), ret);
	return ret;
}

PUBLIC void *CMEM_map(off_t physp, size_t size)
{
	void *ptr = libcmem_map(from_off_t(physp), size);

	TRACE(!ptr, "CMEM_map(%#llx, %zu) = %p", (unsigned long long)from_off_t(physp), size,
	      ptr);
	return ptr;
}

PUBLIC void *CMEM_registerAlloc(off_t physp)
{
	void *ptr = libcmem_register(from_off_t(physp));

	TRACE(!ptr, "CMEM_registerAlloc(%#llx) = %p", (unsigned long long)from_off_t(physp), ptr);
	return ptr;
}

static uint64_t get_phys(void *ptr)
{
	struct cmem_resolve resolve;
	uint64_t phys;

	if (!libcmem_ready())
		return 0;
	if (libcmem_trusts() && libcmem_table_phys((uintptr_t)ptr, &phys))
		return phys;
	return libcmem_resolve((uintptr_t)ptr, &resolve) ? 0 : resolve.phys_addr;
}

PUBLIC off_t CMEM_getPhys(void *ptr)
{
	uint64_t phys = get_phys(ptr);

	if (!fits_off_t(phys))
		phys = 0;
	TRACE(!phys, "CMEM_getPhys(%p) = %#llx", ptr, (unsigned long long)phys);
	return phys;
}

static int get_block(int block, off_t *base, unsigned long long *size)
{
	unsigned long long length;
	uint64_t phys;

	if (libcmem_get_block(block, &phys, &length))
		return -1;
	if (!fits_off_t(phys))
		return -1;
	*base = phys;
	*size = length;
	return 0;
}

PUBLIC int CMEM_getBlock(off_t *pphys_base, unsigned long long *psize)
{
	int ret = -1;

	if (pphys_base && psize)
		ret = get_block(0, pphys_base, psize);
	else
		errno = EFAULT;
	TRACE(ret, "CMEM_getBlock([%#llx], [%llu]) = %d",
	      ret ? 0 : (unsigned long long)from_off_t(*pphys_base), ret ? 0 : *psize, ret);
	return ret;
}

PUBLIC int CMEM_getBlockAttrs(int blockid, CMEM_BlockAttrs *pattrs)
{
	int ret = -1;

	if (pattrs)
		ret = get_block(blockid, &pattrs->phys_base, &pattrs->size);
	else
		errno = EFAULT;
	TRACE(ret, "CMEM_getBlockAttrs(%d, [{%#llx, %llu}]) = %d", blockid,
	      ret ? 0 : (unsigned long long)from_off_t(pattrs->phys_base),
	      ret ? 0 : pattrs->size, ret);
	return ret;
}

#ifndef LIBCMEM_OFF_T_ONLY

PUBLIC CMEM_off64_t CMEM_allocPhys64(int blockid, size_t size, CMEM_AllocParams *params)
{
	uint64_t phys = libcmem_alloc_phys(blockid, CMEM_POOL_BEST, size, params);

	TRACE(!phys, "CMEM_allocPhys64(%d, %zu, %s) = %#llx", blockid, size, PARAMS_TEXT(params),
	      (unsigned long long)phys);
	return phys;
}

PUBLIC CMEM_off64_t CMEM_allocPoolPhys64(int blockid, int poolid, CMEM_AllocParams *params)
{
	uint64_t phys = alloc_pool_off_t(blockid, poolid, params);

	TRACE(!phys, "CMEM_allocPoolPhys64(%d, %d, %s) = %#llx", blockid, poolid,
	      PARAMS_TEXT(params), (unsigned long long)phys);
	return phys;
}

PUBLIC int CMEM_freePhys64(CMEM_off64_t physp, CMEM_AllocParams *params)
{
	int ret = libcmem_free_phys(physp);

	TRACE(ret, "CMEM_freePhys64(%#llx, %s) = %d", (unsigned long long)physp,
	      PARAMS_TEXT(params), ret);
	return ret;
}

PUBLIC void *CMEM_map64(CMEM_off64_t physp, size_t size)
{
	void *ptr = libcmem_map(physp, size);

	TRACE(!ptr, "CMEM_map64(%#llx, %zu) = %p", (unsigned long long)physp, size, ptr);
	return ptr;
}

PUBLIC void *CMEM_registerAlloc64(CMEM_off64_t physp)
{
	void *ptr = libcmem_register(physp);

	TRACE(!ptr, "CMEM_registerAlloc64(%#llx) = %p", (unsigned long long)physp, ptr);
	return ptr;
}

PUBLIC CMEM_off64_t CMEM_getPhys64(void *ptr)
{
	uint64_t phys = get_phys(ptr);

	TRACE(!phys, "CMEM_getPhys64(%p) = %#llx", ptr, (unsigned long long)phys);
	return phys;
}

#endif /* LIBCMEM_OFF_T_ONLY */

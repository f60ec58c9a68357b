/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libcmem: buffers of physically contiguous memory to share with a DSP, a codec
 * or a DMA engine, through /dev/cmem. libcmem(7) is the overview; each function
 * has a man page.
 *
 * Functions whose name ends in 2 take a block number; the others use block 0.
 * Those with Phys allocate without mapping. Those with 64 take or return a
 * 64-bit physical address regardless of off_t.
 *
 * Functions that return a pointer or a physical address return NULL or 0 on
 * failure; the others return -1. errno has the reason.
 */
#ifndef TI_CMEM_H
#define TI_CMEM_H

#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this interface, as CMEM_getVersion() returns it */
#define CMEM_VERSION		0x04000300U

/* The maximum number of pools in a block */
#define MAX_POOLS		32

/* The block number of memory from CMA areas */
#define CMEM_CMABLOCKID		-1

/* Cache maintenance: command bits of the old driver */
#define CMEM_WB			0x00010000
#define CMEM_INV		0x00020000

/* CMEM_AllocParams.type */
#define CMEM_HEAP		0x00040000
#define CMEM_POOL		0x00000000

/* CMEM_AllocParams.flags */
#define CMEM_CACHED		0x00080000
#define CMEM_NONCACHED		0x00000000
#define CMEM_PRIVATE		0x01000000	/* with one of these: see CMEM_alloc(3) */
#define CMEM_PAGES		0x02000000	/* with CMEM_CACHED: see CMEM_alloc(3) */

/*
 * The commands of the old driver, for programs that call ioctl() directly. The library
 * uses the commands in <linux/cmem.h>.
 */
#define CMEM_PHYS		0x00100000

#define CMEM_IOCMAGIC		0x0000fe00
#define CMEM_IOCALLOC		1
#define CMEM_IOCALLOCHEAP	2
#define CMEM_IOCFREE		3
#define CMEM_IOCGETPHYS		4
#define CMEM_IOCGETSIZE		5
#define CMEM_IOCGETPOOL		6
#define CMEM_IOCCACHE		7
#define CMEM_IOCGETVERSION	8
#define CMEM_IOCGETBLOCK	9
#define CMEM_IOCREGUSER		10
#define CMEM_IOCGETNUMBLOCKS	11
#define CMEM_IOCCACHEWBINVALL	12
#define CMEM_IOCEXPORTDMABUF	13
#define CMEM_IOCCACHEWBINV	CMEM_IOCCACHE | CMEM_WB | CMEM_INV
#define CMEM_IOCCACHEWB		CMEM_IOCCACHE | CMEM_WB
#define CMEM_IOCCACHEINV	CMEM_IOCCACHE | CMEM_INV
#define CMEM_IOCALLOCCACHED	CMEM_IOCALLOC | CMEM_CACHED
#define CMEM_IOCALLOCHEAPCACHED	CMEM_IOCALLOCHEAP | CMEM_CACHED
#define CMEM_IOCFREEHEAP	CMEM_IOCFREE | CMEM_HEAP
#define CMEM_IOCFREEPHYS	CMEM_IOCFREE | CMEM_PHYS
#define CMEM_IOCFREEHEAPPHYS	CMEM_IOCFREE | CMEM_HEAP | CMEM_PHYS
#define CMEM_IOCCMDMASK		0x000000ff

/* Input and output of these commands, each at offset 0. The comments name the command. */
union CMEM_AllocUnion {
	struct {
		int poolid;
		int blockid;
	} alloc_pool_inparams;			/* CMEM_IOCALLOC */
	struct {
		unsigned long long physp;
		unsigned long long size;
	} alloc_pool_outparams;
	struct {
		size_t size;
		size_t align;
		int blockid;
	} alloc_heap_inparams;			/* CMEM_IOCALLOCHEAP, and physp out */
	struct {
		int poolid;
		size_t size;
	} free_outparams;			/* CMEM_IOCFREE, of virtp or physp */
	struct {
		int poolid;
		int blockid;
	} get_size_inparams;			/* CMEM_IOCGETSIZE, and an int out */
	struct {
		unsigned long long size;
		int blockid;
	} get_pool_inparams;			/* CMEM_IOCGETPOOL, and poolid out */
	struct {
		unsigned long long physp;
		unsigned long long size;
	} get_block_outparams;			/* CMEM_IOCGETBLOCK, of blockid */
	unsigned long virtp;			/* CMEM_IOCGETPHYS, and physp out */
	unsigned long long physp;		/* CMEM_IOCREGUSER, and size out */
	unsigned long long alloc_heap_outparams;
	size_t size;
	int poolid;
	int blockid;
};

/* CMEM_IOCCACHE */
struct CMEM_block_struct {
	unsigned long addr;
	size_t size;
};

/* CMEM_IOCEXPORTDMABUF */
struct CMEM_dmabuf_struct {
	unsigned long virtp;
	int fd_dmabuf;
};

/*
 * A 32-bit program may be compiled with a 32-bit or a 64-bit off_t
 * (_FILE_OFFSET_BITS=64). The library has a function for each. This selects the matching
 * one, as the C library does for lseek() and lseek64(). A physical address that does not
 * fit a 32-bit off_t is an error (EOVERFLOW). Addresses from 2 GiB to 4 GiB are negative
 * there, but correct after a cast to unsigned.
 */
#if defined(__GLIBC__) && __SIZEOF_LONG__ == 4 && !defined(__OFF_T_MATCHES_OFF64_T)
#define CMEM_OFF_T_VARIES	1
#endif

#if defined(CMEM_OFF_T_VARIES) && defined(__USE_FILE_OFFSET64)
#define CMEM_OFF_T(function)	__asm__(CMEM_OFF_T_STRING(__USER_LABEL_PREFIX__) #function "_off64")
#define CMEM_OFF_T_STRING(x)	CMEM_OFF_T_STRING_(x)
#define CMEM_OFF_T_STRING_(x)	#x
#else
#define CMEM_OFF_T(function)
#endif

/* off64_t, regardless of the program's feature macros */
#ifdef __GLIBC__
typedef __off64_t CMEM_off64_t;
#else
typedef long long CMEM_off64_t;
#endif

/**
 * CMEM_AllocParams - what memory to allocate
 * @type: CMEM_HEAP or CMEM_POOL
 * @flags: CMEM_CACHED or CMEM_NONCACHED for the mapping; CMEM_PRIVATE prevents other
 *	processes from registering for the buffer by its address; CMEM_PAGES makes it
 *	page-backed, for O_DIRECT and the like
 * @alignment: of a heap buffer's physical address in bytes, a power of two; at
 *	least a page, even for 0
 */
typedef struct CMEM_AllocParams {
	int type;
	int flags;
	size_t alignment;
} CMEM_AllocParams;

/**
 * CMEM_BlockAttrs - where a block is
 * @phys_base: physical address of its first byte
 * @size: in bytes
 */
typedef struct CMEM_BlockAttrs {
	off_t phys_base;
	unsigned long long size;
} CMEM_BlockAttrs;

/* The default when params is NULL: CMEM_POOL, CMEM_NONCACHED, 1 */
extern CMEM_AllocParams CMEM_DEFAULTPARAMS;

/* CMEM_init(3): before and after all other calls */
int CMEM_init(void);
int CMEM_exit(void);
int CMEM_getVersion(void);

/* CMEM_alloc(3): mapped buffers */
void *CMEM_alloc(size_t size, CMEM_AllocParams *params);
void *CMEM_alloc2(int blockid, size_t size, CMEM_AllocParams *params);
void *CMEM_allocPool(int poolid, CMEM_AllocParams *params);
void *CMEM_allocPool2(int blockid, int poolid, CMEM_AllocParams *params);
int CMEM_free(void *ptr, CMEM_AllocParams *params);

/* CMEM_allocPhys(3): unmapped buffers */
off_t CMEM_allocPhys(size_t size, CMEM_AllocParams *params)
	CMEM_OFF_T(CMEM_allocPhys);
off_t CMEM_allocPhys2(int blockid, size_t size, CMEM_AllocParams *params)
	CMEM_OFF_T(CMEM_allocPhys2);
CMEM_off64_t CMEM_allocPhys64(int blockid, size_t size, CMEM_AllocParams *params);
off_t CMEM_allocPoolPhys(int poolid, CMEM_AllocParams *params)
	CMEM_OFF_T(CMEM_allocPoolPhys);
off_t CMEM_allocPoolPhys2(int blockid, int poolid, CMEM_AllocParams *params)
	CMEM_OFF_T(CMEM_allocPoolPhys2);
CMEM_off64_t CMEM_allocPoolPhys64(int blockid, int poolid, CMEM_AllocParams *params);
int CMEM_freePhys(off_t physp, CMEM_AllocParams *params)
	CMEM_OFF_T(CMEM_freePhys);
int CMEM_freePhys64(CMEM_off64_t physp, CMEM_AllocParams *params);

/* CMEM_map(3): map these buffers, whole or in part */
void *CMEM_map(off_t physp, size_t size)
	CMEM_OFF_T(CMEM_map);
void *CMEM_map64(CMEM_off64_t physp, size_t size);
int CMEM_unmap(void *userp, size_t size);

/* CMEM_registerAlloc(3): buffers of other processes */
void *CMEM_registerAlloc(off_t physp)
	CMEM_OFF_T(CMEM_registerAlloc);
void *CMEM_registerAlloc64(CMEM_off64_t physp);
int CMEM_unregister(void *ptr, CMEM_AllocParams *params);

/* CMEM_export_dmabuf(3): share buffers as DMA-BUFs */
int CMEM_export_dmabuf(void *ptr);
void *CMEM_registerDmabuf(int fd);

/* CMEM_import_dmabuf(3): the address of a DMA-BUF from any exporter */
int CMEM_import_dmabuf(int fd, CMEM_off64_t *pphys, unsigned long long *psize);

/* CMEM_getPhys(3): the address to give to a device */
off_t CMEM_getPhys(void *ptr)
	CMEM_OFF_T(CMEM_getPhys);
CMEM_off64_t CMEM_getPhys64(void *ptr);

/* CMEM_cacheWb(3): the CPU's caches */
int CMEM_cacheWb(void *ptr, size_t size);
int CMEM_cacheInv(void *ptr, size_t size);
int CMEM_cacheWbInv(void *ptr, size_t size);
int CMEM_cacheWbInvAll(void);

/* CMEM_getBlock(3), CMEM_getPool(3): blocks and pools */
int CMEM_getNumBlocks(int *pnblocks);
int CMEM_getBlock(off_t *pphys_base, unsigned long long *psize)
	CMEM_OFF_T(CMEM_getBlock);
int CMEM_getBlockAttrs(int blockid, CMEM_BlockAttrs *pattrs)
	CMEM_OFF_T(CMEM_getBlockAttrs);
int CMEM_getPool(unsigned long long size);
int CMEM_getPool2(int blockid, unsigned long long size);

#undef CMEM_OFF_T
#undef CMEM_OFF_T_STRING
#undef CMEM_OFF_T_STRING_

#ifdef __cplusplus
}
#endif

#endif /* TI_CMEM_H */

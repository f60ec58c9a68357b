/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What <ti/cmem.h> promised to the programs of the out-of-tree driver's users: each
 * macro has its value, each function its signature. Compiled, and linked with the
 * library, as C and as C++, by lab/library/check.
 */
#include <stddef.h>

#include <ti/cmem.h>

#ifdef __cplusplus
#define VALUE(macro, value) typedef char macro##_is_wrong[(macro) == (value) ? 1 : -1]; \
	extern macro##_is_wrong macro##_is_right
#else
#define VALUE(macro, value) extern char macro##_is_right[(macro) == (value) ? 1 : -1]
#endif

VALUE(CMEM_VERSION, 0x04000300U);
VALUE(MAX_POOLS, 32);
VALUE(CMEM_CMABLOCKID, -1);
VALUE(CMEM_WB, 0x00010000);
VALUE(CMEM_INV, 0x00020000);
VALUE(CMEM_HEAP, 0x00040000);
VALUE(CMEM_POOL, 0x00000000);
VALUE(CMEM_CACHED, 0x00080000);
VALUE(CMEM_NONCACHED, 0x00000000);
VALUE(CMEM_PHYS, 0x00100000);
VALUE(CMEM_IOCMAGIC, 0x0000fe00);
VALUE(CMEM_IOCALLOC, 1);
VALUE(CMEM_IOCALLOCHEAP, 2);
VALUE(CMEM_IOCFREE, 3);
VALUE(CMEM_IOCGETPHYS, 4);
VALUE(CMEM_IOCGETSIZE, 5);
VALUE(CMEM_IOCGETPOOL, 6);
VALUE(CMEM_IOCCACHE, 7);
VALUE(CMEM_IOCGETVERSION, 8);
VALUE(CMEM_IOCGETBLOCK, 9);
VALUE(CMEM_IOCREGUSER, 10);
VALUE(CMEM_IOCGETNUMBLOCKS, 11);
VALUE(CMEM_IOCCACHEWBINVALL, 12);
VALUE(CMEM_IOCEXPORTDMABUF, 13);
VALUE(CMEM_IOCCACHEWBINV, 0x30007);
VALUE(CMEM_IOCCACHEWB, 0x10007);
VALUE(CMEM_IOCCACHEINV, 0x20007);
VALUE(CMEM_IOCALLOCCACHED, 0x80001);
VALUE(CMEM_IOCALLOCHEAPCACHED, 0x80002);
VALUE(CMEM_IOCFREEHEAP, 0x40003);
VALUE(CMEM_IOCFREEPHYS, 0x100003);
VALUE(CMEM_IOCFREEHEAPPHYS, 0x140003);
VALUE(CMEM_IOCCMDMASK, 0xff);

VALUE(CMEM_PRIVATE, 0x01000000);

/* What programs that call ioctl() themselves fill in, as a long and an alignment have it */
#define AT(name, where, value) typedef char name##_is_wrong[(where) == (value) ? 1 : -1]; \
	extern name##_is_wrong name##_is_right
#define IN_UNION(member) offsetof(union CMEM_AllocUnion, member)

AT(alloc_pool, IN_UNION(alloc_pool_inparams.blockid), 4);
AT(alloc_pool_out, IN_UNION(alloc_pool_outparams.size), 8);
AT(alloc_heap_align, IN_UNION(alloc_heap_inparams.align), sizeof(size_t));
AT(alloc_heap_block, IN_UNION(alloc_heap_inparams.blockid), 2 * sizeof(size_t));
AT(free_out, IN_UNION(free_outparams.size), sizeof(size_t));
AT(get_size, IN_UNION(get_size_inparams.blockid), 4);
AT(get_pool, IN_UNION(get_pool_inparams.blockid), 8);
AT(get_block, IN_UNION(get_block_outparams.size), 8);
AT(one_place, IN_UNION(virtp) + IN_UNION(physp) + IN_UNION(size) + IN_UNION(poolid) +
	      IN_UNION(blockid) + IN_UNION(alloc_heap_outparams), 0);
AT(virtp, sizeof(((union CMEM_AllocUnion *)0)->virtp), sizeof(long));
AT(cache, offsetof(struct CMEM_block_struct, size), sizeof(long));
AT(dmabuf, offsetof(struct CMEM_dmabuf_struct, fd_dmabuf), sizeof(long));

/* Programs set these by their place as well. */
CMEM_AllocParams params = { CMEM_HEAP, CMEM_CACHED, 4096 };
CMEM_BlockAttrs attrs = { 0x80000000U, 1ULL << 32 };

typedef off_t phys_t;
#ifdef __USE_LARGEFILE64
typedef off64_t phys64_t;
#else
typedef CMEM_off64_t phys64_t;
#endif

struct functions {
	int (*init)(void);
	int (*getPool)(unsigned long long size);
	int (*getPool2)(int blockid, unsigned long long size);
	void *(*allocPool)(int poolid, CMEM_AllocParams *params);
	void *(*allocPool2)(int blockid, int poolid, CMEM_AllocParams *params);
	void *(*alloc)(size_t size, CMEM_AllocParams *params);
	void *(*alloc2)(int blockid, size_t size, CMEM_AllocParams *params);
	phys_t (*allocPoolPhys)(int poolid, CMEM_AllocParams *params);
	phys_t (*allocPoolPhys2)(int blockid, int poolid, CMEM_AllocParams *params);
	phys64_t (*allocPoolPhys64)(int blockid, int poolid, CMEM_AllocParams *params);
	phys_t (*allocPhys)(size_t size, CMEM_AllocParams *params);
	phys_t (*allocPhys2)(int blockid, size_t size, CMEM_AllocParams *params);
	phys64_t (*allocPhys64)(int blockid, size_t size, CMEM_AllocParams *params);
	void *(*registerAlloc)(phys_t physp);
	void *(*registerAlloc64)(phys64_t physp);
	int (*free)(void *ptr, CMEM_AllocParams *params);
	int (*freePhys)(phys_t physp, CMEM_AllocParams *params);
	int (*freePhys64)(phys64_t physp, CMEM_AllocParams *params);
	int (*unregister)(void *ptr, CMEM_AllocParams *params);
	phys_t (*getPhys)(void *ptr);
	phys64_t (*getPhys64)(void *ptr);
	int (*cacheWbInvAll)(void);
	int (*cacheWb)(void *ptr, size_t size);
	void *(*map)(phys_t physp, size_t size);
	void *(*map64)(phys64_t physp, size_t size);
	int (*unmap)(void *userp, size_t size);
	int (*cacheInv)(void *ptr, size_t size);
	int (*cacheWbInv)(void *ptr, size_t size);
	int (*getVersion)(void);
	int (*getBlock)(phys_t *pphys_base, unsigned long long *psize);
	int (*getBlockAttrs)(int blockid, CMEM_BlockAttrs *pattrs);
	int (*getNumBlocks)(int *pnblocks);
	int (*exit)(void);
	int (*export_dmabuf)(void *ptr);
	void *(*registerDmabuf)(int fd);
	int (*import_dmabuf)(int fd, phys64_t *pphys, unsigned long long *psize);
};

struct functions functions = {
	CMEM_init, CMEM_getPool, CMEM_getPool2, CMEM_allocPool, CMEM_allocPool2, CMEM_alloc,
	CMEM_alloc2, CMEM_allocPoolPhys, CMEM_allocPoolPhys2, CMEM_allocPoolPhys64,
	CMEM_allocPhys, CMEM_allocPhys2, CMEM_allocPhys64, CMEM_registerAlloc,
	CMEM_registerAlloc64, CMEM_free, CMEM_freePhys, CMEM_freePhys64, CMEM_unregister,
	CMEM_getPhys, CMEM_getPhys64, CMEM_cacheWbInvAll, CMEM_cacheWb, CMEM_map, CMEM_map64,
	CMEM_unmap, CMEM_cacheInv, CMEM_cacheWbInv, CMEM_getVersion, CMEM_getBlock,
	CMEM_getBlockAttrs, CMEM_getNumBlocks, CMEM_exit, CMEM_export_dmabuf,
	CMEM_registerDmabuf, CMEM_import_dmabuf,
};

int main(void)
{
	CMEM_AllocParams defaults = CMEM_DEFAULTPARAMS;

	return defaults.type == CMEM_POOL && defaults.flags == CMEM_NONCACHED &&
	       defaults.alignment == 1 ? 0 : 1;
}

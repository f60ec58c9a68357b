/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The configuration of a block, from whichever source.
 */
#ifndef _CMEM_CONFIG_H
#define _CMEM_CONFIG_H

#include <linux/types.h>
#include <uapi/linux/cmem.h>

struct device;
struct device_node;

/**
 * struct cmem_pool_config - requested configuration of one pool
 * @count: number of buffers, at least 1
 * @length: bytes in each buffer, at least 1, not rounded
 */
struct cmem_pool_config {
	u32 count;
	u64 length;
};

/* The largest number of remote processors that a block can name */
#define CMEM_MAX_RPROCS		8

/**
 * struct cmem_quarantine_config - what a block does with buffers that are not freed
 * @all: quarantine all of them, even if the allocation did not ask for it
 * @ms: release a buffer after this many milliseconds; 0 for no time limit
 * @num_rprocs: number of entries in @rprocs
 * @rprocs: phandles of the remote processors whose stop releases a buffer
 */
struct cmem_quarantine_config {
	bool all;
	u32 ms;
	unsigned int num_rprocs;
	u32 rprocs[CMEM_MAX_RPROCS];
};

/**
 * struct cmem_amount - an amount of some memory
 * @given: the amount is configured
 * @percent: percentage of the memory, or 0
 * @bytes: bytes if @percent is 0; U64_MAX for no limit
 */
struct cmem_amount {
	bool given;
	u8 percent;
	u64 bytes;
};

/* In bytes: no limit */
#define CMEM_AMOUNT_ALL	U64_MAX

int cmem_amount_parse(const char *text, struct cmem_amount *amount);
unsigned long cmem_amount_pages(const struct cmem_amount *amount, u64 pages);
int cmem_amount_emit(const struct cmem_amount *amount, char *buffer, int at);

/**
 * struct cmem_dma_heap_config - the DMA-BUF heaps of a block
 * @from_pools: the heaps fall back to longer pool buffers when nothing else is left
 * @uncached: the heaps in @names are not cached, whatever their names are
 * @names: additional heap names, separated by colons
 */
struct cmem_dma_heap_config {
	bool from_pools;
	bool uncached;
	char names[CMEM_MAX_DMA_HEAP_NAMES];
};

/**
 * struct cmem_block_config - requested configuration of one block
 * @id: the block's number
 * @kind: the kind of memory
 * @base: physical address of the first byte
 * @length: in bytes
 * @keep_contents: never zero this memory
 * @is_memory: the device tree, a parameter or an ioctl vouches that there is memory
 * @shared: others use the memory as well, on purpose
 * @placed_by_kernel: the region had no address of its own
 * @quota: how much each user may have of the block
 * @is_ram: the kernel or the firmware lists the memory as RAM. cmem_memory_check()
 *	sets this and @has_pages.
 * @has_pages: all of the memory has struct pages
 * @can_pages: buffers can be page-backed. cmem_memory_check() sets this, too.
 * @pages: all cached buffers are page-backed
 * @quarantine: what the block does with buffers that are not freed
 * @dma_heap: the DMA-BUF heaps of the block
 * @num_pools: number of entries in @pools
 * @pools: the pools, in the order of their numbers
 */
struct cmem_block_config {
	s32 id;
	enum cmem_block_kind kind;
	phys_addr_t base;
	u64 length;
	bool keep_contents;
	bool is_memory;
	bool shared;
	bool placed_by_kernel;
	bool is_ram;
	struct cmem_amount quota;
	bool has_pages;
	bool can_pages;
	bool pages;
	struct cmem_quarantine_config quarantine;
	struct cmem_dma_heap_config dma_heap;
	unsigned int num_pools;
	struct cmem_pool_config pools[CMEM_MAX_POOLS];
};

int cmem_config_set_pools(struct device *dev, const char *source,
			  unsigned int num_pools, u64 length,
			  struct cmem_block_config *config);
int cmem_config_set_dma_heap_names(struct device *dev, const char *source,
				   const char *text,
				   struct cmem_block_config *config);
void cmem_config_add_quarantine(const struct cmem_quarantine_config *region,
				struct cmem_quarantine_config *config);

/* The device tree (config_of.c, config_of_check.c, config_of_memory.c) */

int cmem_config_pool_cells(struct device *dev, const struct device_node *node);
int cmem_config_of_pools(struct device *dev, const struct device_node *node,
			 int pool_cells, u64 length,
			 struct cmem_block_config *config);
int cmem_config_of_quarantine(struct device *dev, const struct device_node *node,
			      struct cmem_block_config *config);
int cmem_config_of_quota(struct device *dev, const struct device_node *node,
			 int pool_cells, struct cmem_block_config *config);
int cmem_config_of_dma_heap(struct device *dev, const struct device_node *node,
			    struct cmem_block_config *config);
int cmem_config_of_carveout(struct device *dev, struct device_node *region,
			    s32 id, struct cmem_block_config *config);
int cmem_config_of_block(struct device *dev, const struct device_node *node,
			 int pool_cells, struct cmem_block_config *config);
void cmem_config_of_check_names(struct device *dev,
				const struct device_node *node, bool is_block);
void cmem_config_of_note_unused(struct device *dev);

#ifdef CONFIG_OF
bool cmem_config_of_has_block(s32 id);
bool cmem_config_of_has_areas(void);
bool cmem_config_of_coherent(void);
int cmem_config_of_check_unused(struct device *dev,
				const struct cmem_block_config *config);
struct device_node *
cmem_config_of_find_sram(const struct cmem_block_config *config);
#else
static inline bool cmem_config_of_has_block(s32 id)
{
	return false;
}

static inline bool cmem_config_of_has_areas(void)
{
	return false;
}

static inline bool cmem_config_of_coherent(void)
{
	return false;
}

static inline int
cmem_config_of_check_unused(struct device *dev,
			    const struct cmem_block_config *config)
{
	return 0;
}

static inline struct device_node *
cmem_config_of_find_sram(const struct cmem_block_config *config)
{
	return NULL;
}
#endif

/* Parameters (config_params.c) */

/* A parameter without a number at the end of its name is for block 0. */
#define CMEM_PARAM_BLOCKS	4

/**
 * struct cmem_block_params - the parameters of one block
 * @phys_start: address of the first byte, in hexadecimal
 * @phys_end: address after the last byte, in hexadecimal
 * @pools: <count>x<bytes>[,<count>x<bytes>...], in decimal
 * @quarantine: milliseconds, in decimal, 0 for no time limit
 * @is_memory: there is memory, whatever the firmware and the device tree say
 * @dma_heap_pools: its DMA-BUF heaps fall back to longer pool buffers
 * @page_backed: its cached buffers are page-backed
 *
 * A string is NULL if its parameter is not given.
 */
struct cmem_block_params {
	char *phys_start;
	char *phys_end;
	char *pools;
	char *quarantine;
	bool is_memory;
	bool dma_heap_pools;
	bool page_backed;
};

/* From the kernel command line (params.c) */
extern struct cmem_block_params cmem_params[CMEM_PARAM_BLOCKS];

int cmem_config_param_pools(struct device *dev, const char *text,
			    struct cmem_block_config *config);
int cmem_config_param_quarantine(struct device *dev, const char *text,
				 struct cmem_block_config *config);
int cmem_config_param_block(struct device *dev,
			    const struct cmem_block_params *params,
			    struct cmem_block_config *config);
const char *cmem_param_suffix(s32 id);

/* CMEM_IOCTL_BLOCK_ADD (config_user.c) */

int cmem_config_user_block(struct device *dev, const struct cmem_block_add *add,
			   struct cmem_block_config *config);

#endif /* _CMEM_CONFIG_H */

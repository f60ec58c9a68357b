// SPDX-License-Identifier: BSD-3-Clause
/*
 * The library's table: a lookup from user address to physical address for the mappings
 * that the library made, without asking the kernel.
 *
 * It is a tree of nodes laid out like CPU page tables: a slot covers a page, or at higher
 * levels all the memory below it. Filling it costs a few stores for each page table entry
 * that the kernel writes for the mapping. A lookup costs the same for any number of
 * mappings.
 *
 * Readers take no lock. Each slot has all its information in one word, and a reader loads
 * at most one slot and one pointer per level. So a reader never sees half a change,
 * because a slot changes with one store. It never sees freed memory, because a node is
 * never freed. (A node takes 8 KiB for each 2 MiB of address space that once had small
 * mappings.) A lookup that races with an unmap may return the old answer or none.
 *
 * Each slot also has its owner, the mapping that contains it, for free and unmap, which
 * hold libcmem_lock.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "libcmem.h"

#define PAGE_SHIFT	12	/* the smallest of any architecture */
#define PAGE_SIZE	((size_t)1 << PAGE_SHIFT)

#if __SIZEOF_POINTER__ == 8
#define NODE_SHIFT	9
#define LEVELS		4	/* 48 bits: the limit of mmap() by default */
#else
#define NODE_SHIFT	10
#define LEVELS		2
#endif
#define NODE_SLOTS	((size_t)1 << NODE_SHIFT)
#define TOP_SHIFT	(PAGE_SHIFT + (LEVELS - 1) * NODE_SHIFT)

/*
 * 0, or the page frame number of the slot's start, above the TABLE_* bits. For 32-bit
 * programs this covers 40 bits of physical address space, the LPAE limit.
 */
typedef uintptr_t slot_t;

#define SLOT_FRAME_SHIFT	4

/**
 * struct node - a part of the tree
 * @slots: a value for all the memory of a slot
 * @owners: the mapping that contains all this memory, or NULL
 * @used: how many slots have an owner
 * @children: the nodes below; once set, never changed. If a slot has an owner, no
 *	slot below it has one. The lowest nodes have no children.
 */
struct node {
	slot_t slots[NODE_SLOTS];
	struct libcmem_mapping *owners[NODE_SLOTS];
	size_t used;
	struct node *children[];
};

#define LEAF_SIZE	sizeof(struct node)
#define INNER_SIZE	(sizeof(struct node) + NODE_SLOTS * sizeof(struct node *))

static union {
	struct node node;
	char room[INNER_SIZE];
} root;

static size_t slot_index(uintptr_t address, unsigned int shift)
{
	return address >> shift & (NODE_SLOTS - 1);
}

static bool out_of_reach(uintptr_t address)
{
	return address >> (TOP_SHIFT - 1) >> (NODE_SHIFT + 1);
}

/* Find the slot that contains an address, and how much memory it covers. */
static inline slot_t find_slot(uintptr_t address, unsigned int *shift)
{
	struct node *node = &root.node;

	*shift = TOP_SHIFT;
	if (out_of_reach(address))
		return 0;
	for (;;) {
		size_t index = slot_index(address, *shift);
		slot_t slot = __atomic_load_n(&node->slots[index], __ATOMIC_RELAXED);

		if (slot || *shift == PAGE_SHIFT)
			return slot;
		node = __atomic_load_n(&node->children[index], __ATOMIC_ACQUIRE);
		if (!node)
			return 0;
		*shift -= NODE_SHIFT;
	}
}

/**
 * libcmem_table_phys - translate a user address
 * @address: any byte of a mapping
 * @phys: its physical address
 *
 * Return: whether the table knows it.
 */
bool libcmem_table_phys(uintptr_t address, uint64_t *phys)
{
	unsigned int shift;
	slot_t slot = find_slot(address, &shift);

	*phys = ((uint64_t)(slot >> SLOT_FRAME_SHIFT) << PAGE_SHIFT) +
		(address & (((uintptr_t)1 << shift) - 1));
	return slot;
}

/**
 * libcmem_table_flags - get the flags of a range
 * @address: its first byte
 * @length: in bytes, not 0; the end is within the address space
 *
 * Return: TABLE_MAPPED, with or without TABLE_SYNC, if all of it is in mappings of
 * that kind; otherwise 0: ask the kernel.
 */
unsigned int libcmem_table_flags(uintptr_t address, size_t length)
{
	const uintptr_t last = address + length - 1;
	unsigned int flags = TABLE_MAPPED | TABLE_SYNC, shift;
	bool first = true;

	for (;;) {
		unsigned int here = find_slot(address, &shift) & (TABLE_MAPPED | TABLE_SYNC);

		if (!here || (!first && here != flags))
			return 0;
		flags = here;
		first = false;
		address |= ((uintptr_t)1 << shift) - 1;
		if (address >= last)
			return flags;
		address++;
	}
}

static size_t slot_size(unsigned int shift)
{
	return (size_t)1 << shift;
}

static void set_slot(slot_t *slot, slot_t value)
{
	__atomic_store_n(slot, value, __ATOMIC_RELAXED);
}

static slot_t make_slot(uint64_t phys, unsigned int flags)
{
	return (slot_t)(phys >> PAGE_SHIFT) << SLOT_FRAME_SHIFT | flags;
}

/* The difference between adjacent slots that cover that many bytes */
static slot_t slot_step(size_t bytes)
{
	return (slot_t)(bytes >> PAGE_SHIFT) << SLOT_FRAME_SHIFT;
}

/* Get the node below a slot. The new node's slots inherit the slot's value. */
static struct node *get_child(struct node *node, size_t index, unsigned int shift)
{
	const slot_t slot = node->slots[index];
	const slot_t step = slot ? slot_step(slot_size(shift - NODE_SHIFT)) : 0;
	struct node *child = node->children[index];

	if (!child) {
		child = calloc(1, shift - NODE_SHIFT == PAGE_SHIFT ? LEAF_SIZE : INNER_SIZE);
		if (!child)
			return NULL;
		__atomic_store_n(&node->children[index], child, __ATOMIC_RELEASE);
	}
	if (node->owners[index]) {
		for (size_t i = 0; i < NODE_SLOTS; i++) {
			child->owners[i] = node->owners[index];
			set_slot(&child->slots[i], slot + i * step);
		}
		child->used = NODE_SLOTS;
		node->owners[index] = NULL;
		node->used--;
		/* Readers see this store only after the others. */
		__atomic_store_n(&node->slots[index], 0, __ATOMIC_RELEASE);
	}
	return child;
}

/* Split slots so that one ends at an address. */
static int split_slots(uintptr_t address)
{
	struct node *node = &root.node;

	if (out_of_reach(address))
		return 0;
	for (unsigned int shift = TOP_SHIFT; address & (slot_size(shift) - 1);
	     shift -= NODE_SHIFT) {
		node = get_child(node, slot_index(address, shift), shift);
		if (!node)
			return -1;
	}
	return 0;
}

static bool is_empty(const struct node *node, unsigned int shift)
{
	if (node->used || shift == PAGE_SHIFT)
		return !node->used;
	for (size_t i = 0; i < NODE_SLOTS; i++)
		if (node->children[i] && !is_empty(node->children[i], shift - NODE_SHIFT))
			return false;
	return true;
}

/**
 * struct filling - slots to set or clear
 * @at: the next address to process
 * @end: where to stop
 * @slot: of @at, 0 to clear it or if it can't be represented
 * @step: its increment per page
 * @owner: of all of them, NULL to clear them
 */
struct filling {
	uintptr_t at;
	uintptr_t end;
	slot_t slot;
	slot_t step;
	struct libcmem_mapping *owner;
};

static void fill_advance(struct filling *fill, size_t bytes)
{
	fill->at += bytes;
	fill->slot += (bytes >> PAGE_SHIFT) * fill->step;
}

/*
 * The loops that run for each page: unrolled, and with nothing that the compiler must
 * reload after a store.
 */
static bool any_owner(struct libcmem_mapping *const *owners, size_t count)
{
	uintptr_t any = 0;

#pragma GCC unroll 8
	for (size_t i = 0; i < count; i++)
		any |= (uintptr_t)owners[i];
	return any;
}

static void set_slots(slot_t *slots, size_t count, slot_t slot, slot_t step)
{
#pragma GCC unroll 8
	for (size_t i = 0; i < count; i++) {
		set_slot(&slots[i], slot);
		slot += step;
	}
}

static void set_owners(struct libcmem_mapping **owners, size_t count,
		       struct libcmem_mapping *owner)
{
#pragma GCC unroll 8
	for (size_t i = 0; i < count; i++)
		owners[i] = owner;
}

static int fill_leaf(struct node *leaf, struct filling *fill)
{
	const size_t first = slot_index(fill->at, PAGE_SHIFT);
	size_t count = (fill->end - fill->at) >> PAGE_SHIFT;

	if (count > NODE_SLOTS - first)
		count = NODE_SLOTS - first;
	if (fill->owner && leaf->used && any_owner(&leaf->owners[first], count))
		return -EEXIST;

	set_slots(&leaf->slots[first], count, fill->slot, fill->step);
	set_owners(&leaf->owners[first], count, fill->owner);
	leaf->used += fill->owner ? count : -count;
	fill_advance(fill, count << PAGE_SHIFT);
	return 0;
}

/*
 * Fill the slots of a node and of the nodes below. Clear a range only if all of it
 * has one owner. Returns 0, -EEXIST if a slot to set is not free, or -ENOMEM;
 * on failure, fill->at tells how far it went.
 */
static int fill_node(struct node *node, unsigned int shift, struct filling *fill)
{
	const size_t size = slot_size(shift);
	int error;

	if (shift == PAGE_SHIFT)
		return fill_leaf(node, fill);

	for (size_t i = slot_index(fill->at, shift); i < NODE_SLOTS && fill->at < fill->end; i++) {
		const bool whole = !(fill->at & (size - 1)) && fill->end - fill->at >= size;
		struct node *child = node->children[i];

		if (fill->owner && node->owners[i])
			return -EEXIST;
		if (fill->owner && whole && child && !is_empty(child, shift - NODE_SHIFT))
			return -EEXIST;
		if (fill->owner ? whole : !!node->owners[i]) {
			node->used += fill->owner ? 1 : -1;
			node->owners[i] = fill->owner;
			set_slot(&node->slots[i], fill->slot);
			fill_advance(fill, size);
			continue;
		}
		child = get_child(node, i, shift);
		if (!child)
			return -ENOMEM;
		error = fill_node(child, shift - NODE_SHIFT, fill);
		if (error)
			return error;
	}
	return 0;
}

static void clear_range(uintptr_t start, uintptr_t end)
{
	struct filling fill = { .at = start, .end = end };

	fill_node(&root.node, TOP_SHIFT, &fill);
}

/* Find the lowest slot that contains an address: it has the owner. */
static struct libcmem_mapping **find_owner(uintptr_t address, unsigned int *shift)
{
	struct node *node = &root.node;

	for (*shift = TOP_SHIFT; ; *shift -= NODE_SHIFT) {
		size_t index = slot_index(address, *shift);

		if (node->owners[index] || *shift == PAGE_SHIFT || !node->children[index])
			return &node->owners[index];
		node = node->children[index];
	}
}

/**
 * libcmem_table_find - find the mapping of a user address
 * @address: the address
 *
 * Return: the mapping, valid while the lock is held, or NULL.
 */
struct libcmem_mapping *libcmem_table_find(uintptr_t address)
{
	unsigned int shift;

	return out_of_reach(address) ? NULL : *find_owner(address, &shift);
}

/* Replace the owner of a mapping's slots with that mapping. */
static void own_slots(struct libcmem_mapping *mapping)
{
	uintptr_t at = mapping->start;
	unsigned int shift;

	while (at - mapping->start < mapping->length) {
		*find_owner(at, &shift) = mapping;
		at = (at | (slot_size(shift) - 1)) + 1;
	}
}

/* Split a mapping at an address, and tell if there was one. */
static int split(uintptr_t address, bool *was_split)
{
	struct libcmem_mapping *head = libcmem_table_find(address), *tail;

	*was_split = false;
	if (!head || head->start == address)
		return 0;
	if (split_slots(address))
		return -1;
	tail = malloc(sizeof(*tail));
	if (!tail)
		return -1;
	*tail = *head;
	tail->start = address;
	tail->length -= address - head->start;
	head->length -= tail->length;
	own_slots(tail);
	*was_split = true;
	return 0;
}

/* Undo the split. */
static void join(uintptr_t address)
{
	struct libcmem_mapping *tail = libcmem_table_find(address);
	struct libcmem_mapping *head = libcmem_table_find(address - 1);

	head->length += tail->length;
	own_slots(head);
	free(tail);
}

/* Remove a range from the table; mappings are split at both ends. */
static void forget(uintptr_t start, size_t length)
{
	uintptr_t at = start;
	unsigned int shift;

	while (at - start < length) {
		struct libcmem_mapping *mapping = *find_owner(at, &shift);

		if (mapping) {
			at = mapping->start + mapping->length;
			clear_range(mapping->start, at);
			free(mapping);
		} else {
			at = (at | (slot_size(shift) - 1)) + 1;
		}
	}
}

/**
 * libcmem_table_insert - add a new mapping
 * @mapping: the mapping; it is copied
 * @phys: physical address of its first byte
 * @flags: TABLE_MAPPED, with or without TABLE_SYNC
 *
 * Lookups fall back to the kernel for what the slots can't hold.
 *
 * Return: 0, or -1 if out of memory.
 */
int libcmem_table_insert(const struct libcmem_mapping *mapping, uint64_t phys,
			 unsigned int flags)
{
	const uintptr_t start = mapping->start, end = start + mapping->length;
	const uint64_t last_phys = phys + mapping->length - 1;
	struct libcmem_mapping *copy;
	struct filling fill;
	bool was_split;
	int error;

	if (out_of_reach(end - 1))
		return 0;
	copy = malloc(sizeof(*copy));
	if (!copy)
		goto no_memory;
	*copy = *mapping;

	for (;;) {
		fill = (struct filling) { .at = start, .end = end, .owner = copy };
		if (make_slot(last_phys, 0) >> SLOT_FRAME_SHIFT == last_phys >> PAGE_SHIFT) {
			fill.slot = make_slot(phys, flags);
			fill.step = slot_step(PAGE_SIZE);
		}
		error = fill_node(&root.node, TOP_SHIFT, &fill);
		if (!error)
			return 0;
		clear_range(start, fill.at);
		if (error != -EEXIST || split(start, &was_split) || split(end, &was_split))
			break;
		/* The program unmapped the old one: the kernel reused its address. */
		forget(start, mapping->length);
	}
	free(copy);
no_memory:
	errno = ENOMEM;
	return -1;
}

static void clear_node(struct node *node, unsigned int shift, uintptr_t address)
{
	for (size_t i = 0; i < NODE_SLOTS; i++, address += slot_size(shift)) {
		struct libcmem_mapping *mapping = node->owners[i];

		if (mapping) {
			set_slot(&node->slots[i], 0);
			node->owners[i] = NULL;
			/* Its last slot: no lookup can find the owner any more. */
			if (mapping->start + mapping->length - 1 - address < slot_size(shift))
				free(mapping);
		} else if (shift != PAGE_SHIFT && node->children[i]) {
			clear_node(node->children[i], shift - NODE_SHIFT, address);
		}
	}
	node->used = 0;
}

/* libcmem_table_clear - forget all mappings */
void libcmem_table_clear(void)
{
	clear_node(&root.node, TOP_SHIFT, 0);
}

/* libcmem_table_is_empty - tell if nothing is mapped */
bool libcmem_table_is_empty(void)
{
	return is_empty(&root.node, TOP_SHIFT);
}

/**
 * struct gone - a mapping removed from the table, to restore on failure
 * @mapping: the mapping
 * @phys: physical address of its first byte
 * @flags: TABLE_MAPPED, with or without TABLE_SYNC; 0 if its slots are empty
 */
struct gone {
	struct libcmem_mapping mapping;
	uint64_t phys;
	unsigned int flags;
};

static void remember(struct gone *gone, const struct libcmem_mapping *mapping)
{
	unsigned int shift;

	gone->mapping = *mapping;
	gone->flags = find_slot(mapping->start, &shift) & (TABLE_MAPPED | TABLE_SYNC);
	/* If the slots could not hold it before, they can't now. */
	if (!gone->flags || !libcmem_table_phys(mapping->start, &gone->phys))
		gone->phys = (uint64_t)1 << 63;
}

/*
 * Unmap a range that begins and ends with mappings of the table. Remove it from the table
 * first: once it is unmapped, the kernel may give the address to another thread for
 * another mapping.
 */
static int forget_and_unmap(uintptr_t start, size_t length)
{
	struct gone one, *gone = &one;
	size_t count = 0, i = 0;
	uintptr_t at;
	int error;

	for (at = start; at - start < length; count++)
		at += libcmem_table_find(at)->length;
	if (count > 1) {
		gone = calloc(count, sizeof(*gone));
		if (!gone)
			return -1;
	}
	for (at = start; at - start < length; at += gone[i++].mapping.length)
		remember(&gone[i], libcmem_table_find(at));

	forget(start, length);
	error = libcmem_trust_munmap((void *)start, length, count) ? errno : 0;
	/* Its nodes still exist. If the rest lacks memory, ask the kernel. */
	for (i = 0; error && i < count; i++)
		libcmem_table_insert(&gone[i].mapping, gone[i].phys, gone[i].flags);
	if (gone != &one)
		free(gone);
	if (!error)
		return 0;
	errno = error;
	return -1;
}

/**
 * libcmem_table_unmap - unmap a range
 * @start: where, page-aligned
 * @length: in bytes, whole pages, not 0
 *
 * Return: 0; or -1 with nothing changed, and errno EINVAL if not all of it is in
 * mappings of the table, or ENOMEM if out of memory.
 */
int libcmem_table_unmap(uintptr_t start, size_t length)
{
	const uintptr_t last = start + length - 1;
	struct libcmem_mapping *mapping = libcmem_table_find(start);
	bool whole = mapping && mapping->start == start && mapping->length == length;
	bool split_start = false, split_end = false;
	int error;

	while (mapping && mapping->start + mapping->length - 1 < last)
		mapping = libcmem_table_find(mapping->start + mapping->length);
	if (!mapping) {
		errno = EINVAL;
		return -1;
	}

	if ((whole || (!split(start, &split_start) && !split(start + length, &split_end))) &&
	    !forget_and_unmap(start, length))
		return 0;

	error = errno;
	if (split_start)
		join(start);
	if (split_end)
		join(start + length);
	errno = error;
	return -1;
}

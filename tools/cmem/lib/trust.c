// SPDX-License-Identifier: BSD-3-Clause
/*
 * When the table is valid.
 *
 * The program may unmap, move or replace the library's mappings without the library. The
 * kernel counts such changes to mappings of our file, and shows the count in a page. The
 * table is valid as long as the count equals the last accounted one; the library accounts
 * for its own unmaps. Otherwise the library clears the table and asks the kernel about
 * those mappings.
 *
 * In a child of fork() the page shows 0, since the child may lack some of the mappings
 * (MADV_DONTFORK). So the child asks the kernel for each address, as the library does
 * with kernels that do not have that page.
 */
#include <sys/mman.h>

#include "libcmem.h"

static const struct cmem_changes unknown;

const struct cmem_changes *libcmem_changes = &unknown;
uint32_t libcmem_trusted;
static bool lost;	/* the table lost a mapping of this file */
static void *place;	/* address of the count page or a zero page; never unmapped */

static uint32_t read_count(void)
{
	return __atomic_load_n(&libcmem_changes->count, __ATOMIC_RELAXED);
}

static void set_trusted(uint32_t count)
{
	__atomic_store_n(&libcmem_trusted, count, __ATOMIC_RELEASE);
}

/**
 * libcmem_trust_begin - make the kernel count
 * @fd: open file of /dev/cmem
 * @info: its information about itself
 */
void libcmem_trust_begin(int fd, const struct cmem_info *info)
{
	void *page;

	if (!(info->features & CMEM_FEATURE_CHANGES))
		return;
	page = mmap64(place, libcmem.page_size, PROT_READ, MAP_SHARED | (place ? MAP_FIXED : 0),
		      fd, info->changes_offset);
	if (page == MAP_FAILED) {
		/* The mapping at this address may be gone already. */
		__atomic_store_n(&libcmem_changes, &unknown, __ATOMIC_RELEASE);
		place = NULL;
		return;
	}
	place = page;
	__atomic_store_n(&libcmem_changes, page, __ATOMIC_RELEASE);
	set_trusted(read_count());
}

/* A racing call that reads the page now reads zeros. */
static void drop_page(void)
{
	if (place)
		mmap(place, libcmem.page_size, PROT_READ,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/**
 * libcmem_trust_end - the file is closed; stop counting
 *
 * Return: whether it may still have mappings.
 */
bool libcmem_trust_end(void)
{
	bool mapped = lost || !read_count() || !libcmem_table_is_empty();

	lost = false;
	libcmem_table_clear();
	drop_page();
	return mapped;
}

/* libcmem_trust_fork - drop a page that would show 0 and keep the parent's file open */
void libcmem_trust_fork(void)
{
	drop_page();
}

/* libcmem_trust_lose - remove all mappings from the table */
void libcmem_trust_lose(void)
{
	lost = lost || !libcmem_table_is_empty();
	libcmem_table_clear();
}

/**
 * libcmem_trust_check - check that the table is valid
 *
 * Call with libcmem_lock held.
 *
 * Return: whether new mappings can be added to it.
 */
bool libcmem_trust_check(void)
{
	uint32_t count = read_count();

	if (count != libcmem_trusted) {
		libcmem_trust_lose();
		set_trusted(count);
	}
	return count;
}

/**
 * libcmem_trust_munmap - unmap a mapping of the library
 * @start: where
 * @length: in bytes, whole pages
 * @mappings: how many of them the kernel counts
 *
 * Call with libcmem_lock held.
 *
 * Return: 0, or -1 and errno.
 */
int libcmem_trust_munmap(void *start, size_t length, size_t mappings)
{
	uint32_t count = read_count(), next = count + mappings;

	if (munmap(start, length))
		return -1;
	/* If the program split them, the count differs: then the table is cleared. */
	if (count && count == libcmem_trusted)
		set_trusted(next > count ? next : next + 1);
	return 0;
}

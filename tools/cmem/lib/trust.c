// SPDX-License-Identifier: BSD-3-Clause
/*
 * When the table can be believed.
 *
 * The program may unmap, move or replace what the library mapped, without the library. The
 * kernel counts how often that happens to mappings of our file, and shows the count in a
 * page. The table is right as long as the count is as it was when all that had changed was
 * accounted for: what the library itself unmaps, it counts along. If not, the table is
 * forgotten, and the kernel is asked about what was in it.
 *
 * In a child of fork() the page shows 0, since the child may lack some of the mappings
 * (MADV_DONTFORK). So it asks the kernel for each address, as it does with kernels that do
 * not have that page.
 */
#include <sys/mman.h>

#include "libcmem.h"

static const struct cmem_changes unknown;

const struct cmem_changes *libcmem_changes = &unknown;
uint32_t libcmem_trusted;
static bool lost;	/* something was forgotten that was mapped by this file */
static void *place;	/* where the page is, or another one with zeros; once there, for good */

static uint32_t read_count(void)
{
	return __atomic_load_n(&libcmem_changes->count, __ATOMIC_RELAXED);
}

static void set_trusted(uint32_t count)
{
	__atomic_store_n(&libcmem_trusted, count, __ATOMIC_RELEASE);
}

/**
 * libcmem_trust_begin - have the kernel count
 * @fd: open file of /dev/cmem
 * @info: what it says of itself
 */
void libcmem_trust_begin(int fd, const struct cmem_info *info)
{
	void *page;

	if (!(info->features & CMEM_FEATURE_CHANGES))
		return;
	page = mmap64(place, libcmem.page_size, PROT_READ, MAP_SHARED | (place ? MAP_FIXED : 0),
		      fd, info->changes_offset);
	if (page == MAP_FAILED) {
		/* What was at this place may be gone already. */
		__atomic_store_n(&libcmem_changes, &unknown, __ATOMIC_RELEASE);
		place = NULL;
		return;
	}
	place = page;
	__atomic_store_n(&libcmem_changes, page, __ATOMIC_RELEASE);
	set_trusted(read_count());
}

/* Who looks at the page just now, in a call that races with this, finds zeros. */
static void drop_page(void)
{
	if (place)
		mmap(place, libcmem.page_size, PROT_READ,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/**
 * libcmem_trust_end - the file is closed, and nothing is counted any more
 *
 * Return: whether there may be mappings of it still.
 */
bool libcmem_trust_end(void)
{
	bool mapped = lost || !read_count() || !libcmem_table_is_empty();

	lost = false;
	libcmem_table_clear();
	drop_page();
	return mapped;
}

/* libcmem_trust_fork - in a child, the page would show 0, and hold the parent's file */
void libcmem_trust_fork(void)
{
	drop_page();
}

/* libcmem_trust_lose - forget all that is mapped */
void libcmem_trust_lose(void)
{
	lost = lost || !libcmem_table_is_empty();
	libcmem_table_clear();
}

/**
 * libcmem_trust_check - see that the table is right
 *
 * Wants libcmem_lock.
 *
 * Return: whether what is mapped now can be put into it.
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
 * libcmem_trust_munmap - unmap what the library mapped
 * @start: where
 * @length: in bytes, whole pages
 * @mappings: how many of them the kernel counts
 *
 * Wants libcmem_lock.
 *
 * Return: 0, or -1 and errno.
 */
int libcmem_trust_munmap(void *start, size_t length, size_t mappings)
{
	uint32_t count = read_count(), next = count + mappings;

	if (munmap(start, length))
		return -1;
	/* If the program has cut them into more, they are not as many: then it is forgotten. */
	if (count && count == libcmem_trusted)
		set_trusted(next > count ? next : next + 1);
	return 0;
}

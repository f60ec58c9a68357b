// SPDX-License-Identifier: GPL-2.0
/*
 * Code that walks the page tables of programs, over mappings of buffers: with and
 * without struct pages, by huge pages and page by page. It must harm neither the kernel
 * nor a byte. Any user can do almost all of this.
 *
 * The mappings are VM_IO | VM_PFNMAP, their entries special. What follows from that
 * (6.12; 6.1 is the same, except that all entries are PTEs there):
 *
 * - walk_page_range() skips VM_PFNMAP by itself: pagemap, mincore, DAMON of virtual
 *   addresses, mlock, the memory cgroup. clear_refs, PAGEMAP_SCAN, HMM and the
 *   multi-generational LRU skip it with a test of their own. smaps and numa_maps look at
 *   each entry, and count none that is special;
 * - two do not skip it: mbind(MPOL_MF_STRICT), and MADV_HWPOISON's search for users of a
 *   page. mbind() took a special PMD for a folio's, and memory without struct pages was
 *   an oops: the series changes that in mm/mempolicy.c. The search only compares pfns;
 * - GUP refuses VM_IO and VM_PFNMAP, and fast GUP refuses special entries:
 *   process_vm_readv(), vmsplice(), shared futexes, MADV_POPULATE_*, MADV_HWPOISON,
 *   get_mempolicy();
 * - KSM, khugepaged, MADV_COLLAPSE, mlock() and userfaultfd do not take VM_SPECIAL;
 *   MADV_COLD, PAGEOUT, FREE and DONTNEED do not take VM_PFNMAP; NUMA balancing,
 *   migrate_pages() and move_pages() take neither VM_IO nor VM_PFNMAP;
 * - fork(), mprotect(), mremap() and munmap() handle special PMDs. Where they split one,
 *   as the walk for L1TF in mprotect(PROT_NONE) does, they unmap it, and a fault maps it
 *   again;
 * - code that goes by physical addresses (DAMON, page_idle, compaction, /proc/kpage*)
 *   only takes pages that are online and on an LRU list, which these never are;
 * - ptdump reads the kernel's own page tables, with a block's alias.
 *
 * The mappings of page-backed buffers are VM_MIXEDMAP | VM_DONTEXPAND, their entries
 * normal PTEs. The pages are mapped, but on no LRU list, and in no page cache. What
 * follows from that (6.1, 6.12 and 7.3):
 *
 * - walk_page_range() walks them: pagemap, PAGEMAP_SCAN, mincore and clear_refs tell what
 *   they tell of any page of a file. smaps counts them. numa_maps counts them unless they
 *   are PageReserved, which those of CMA areas are not;
 * - GUP takes them. A shared futex is still EFAULT: its key is a place in a page cache;
 * - KSM, khugepaged, MADV_COLLAPSE, guard regions, mlock(), the multi-generational LRU and
 *   NUMA balancing do not take VM_SPECIAL or VM_MIXEDMAP. Neither does userfaultfd, except
 *   that some kernels allow asynchronous write protection of any memory;
 * - MADV_COLD and PAGEOUT walk them, and skip what is not on an LRU list. MADV_DONTNEED
 *   unmaps them, and a fault maps them again;
 * - mbind(), move_pages() and migrate_pages() walk them, but cannot isolate them: EIO and
 *   EBUSY, where a page is not where it should be. mbind() skips PageReserved first;
 * - MADV_HWPOISON really takes a page away. MADV_SOFT_OFFLINE does not, since it only
 *   takes pages on LRU lists.
 */
#include <limits.h>
#include <dirent.h>
#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "cmem_dmabuf.h"

#define RW		(PROT_READ | PROT_WRITE)
#define LENGTH		(2 * SZ_2M)

#define DEFAULT		0	/* for mbind() */
#define PREFERRED	1
#define BIND		2
#define INTERLEAVE	3
#define STRICT		1
#define MOVE		2
#define F_NODE		1	/* for get_mempolicy() */
#define F_ADDR		2

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED	24
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE	101
#endif
#define GUARD_INSTALL		102
#define GUARD_REMOVE		103

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE	67
#endif

enum memory { WITHOUT_PAGES, WITH_PAGES, OF_CMA };
enum mapped { HUGE, SMALL, OUT_OF_STEP };

FIXTURE(walk)
{
	int fd;
	int dmabuf;
	struct cmem_alloc buf;
	char *area;		/* our addresses */
	char *map;		/* the mapping, within area */
	unsigned long page;
	unsigned long taint;
	struct snapshot before;
};

FIXTURE_VARIANT(walk)
{
	enum memory memory;
	enum mapped mapped;
	bool dmabuf;
	bool page_backed;
};

#define WALK_VARIANT(name, _memory, _mapped, _dmabuf)				\
	FIXTURE_VARIANT_ADD(walk, name) {					\
		.memory = _memory, .mapped = _mapped, .dmabuf = _dmabuf }
WALK_VARIANT(without_pages_huge, WITHOUT_PAGES, HUGE, false);
WALK_VARIANT(without_pages_small, WITHOUT_PAGES, SMALL, false);
WALK_VARIANT(without_pages_out_of_step, WITHOUT_PAGES, OUT_OF_STEP, false);
WALK_VARIANT(without_pages_dmabuf, WITHOUT_PAGES, HUGE, true);
WALK_VARIANT(pages_huge, WITH_PAGES, HUGE, false);
WALK_VARIANT(pages_small, WITH_PAGES, SMALL, false);
WALK_VARIANT(pages_dmabuf, WITH_PAGES, HUGE, true);
WALK_VARIANT(cma_huge, OF_CMA, HUGE, false);
WALK_VARIANT(cma_small, OF_CMA, SMALL, false);

/* Whatever the place allows, they are mapped page by page. */
#define WALK_PAGE_BACKED_VARIANT(name, _memory, _dmabuf)			\
	FIXTURE_VARIANT_ADD(walk, name) {					\
		.memory = _memory, .mapped = HUGE, .dmabuf = _dmabuf,		\
		.page_backed = true }
WALK_PAGE_BACKED_VARIANT(page_backed, WITH_PAGES, false);
WALK_PAGE_BACKED_VARIANT(page_backed_dmabuf, WITH_PAGES, true);
WALK_PAGE_BACKED_VARIANT(page_backed_cma, OF_CMA, false);
WALK_PAGE_BACKED_VARIANT(page_backed_cma_dmabuf, OF_CMA, true);

/* The number in a file, or -1 if there is none. */
static long long number_in(const char *path)
{
	FILE *file = fopen(path, "re");
	long long n = -1;

	if (file && fscanf(file, "%lli", &n) != 1)
		n = -1;
	if (file)
		fclose(file);
	return n;
}

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

static bool put_number(const char *path, unsigned long long n)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", n);
	return put(path, text);
}

/* Reads all of a file: bytes, or a negative errno. */
static long long read_all(const char *path)
{
	static char bytes[1 << 16];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	long long total = 0;
	ssize_t got;

	if (fd < 0)
		return -errno;
	while ((got = read(fd, bytes, sizeof(bytes))) > 0)
		total += got;
	if (got < 0)
		total = -errno;
	close(fd);
	return total;
}

#define VMSTAT "/proc/vmstat"

/*
 * The number with a name in a file, or -1 if there is none. In smaps, the one for the
 * mapping at @map.
 */
static long long number_of(const char *path, const char *map, const char *name)
{
	FILE *file = fopen(path, "re");
	unsigned long start, end;
	long long n = -1, value;
	bool here = !map;
	char line[512];

	while (file && fgets(line, sizeof(line), file)) {
		char word[64];

		if (map && sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start == (unsigned long)map;
		else if (here && sscanf(line, "%63[^ :]%*[ :]%lld", word, &value) == 2 &&
			 !strcmp(word, name))
			n = value;
	}
	if (file)
		fclose(file);
	return n;
}

/* A counter of the kernel */
static long long vmstat(const char *name)
{
	return number_of(VMSTAT, NULL, name);
}

#define SMAPS "/proc/self/smaps"

/* In KiB */
static long long smaps(const char *map, const char *name)
{
	return number_of(SMAPS, map, name);
}

/* A buffer for the variant, of LENGTH bytes, at a multiple of 2 MiB. */
static bool alloc_for(int fd, const FIXTURE_VARIANT(walk) *variant, struct cmem_alloc *buf)
{
	static struct snapshot s;
	__u32 flags;

	if (take_snapshot(&s))
		return false;
	for (unsigned int i = 0; i < s.num_blocks; i++) {
		const struct cmem_block_info *b = &s.block[i];
		enum memory is = b->kind == CMEM_KIND_CMA ? OF_CMA :
				 has_page(b->base) ? WITH_PAGES : WITHOUT_PAGES;

		if (is != variant->memory || b->heap_largest < LENGTH ||
		    b->out_flags & CMEM_BLOCK_KEEP_CONTENTS)
			continue;
		/* Buffers of some blocks can't be page-backed, those of others always are. */
		if (variant->page_backed ? !(b->out_flags & CMEM_BLOCK_CAN_PAGES) :
					   b->out_flags & CMEM_BLOCK_PAGES)
			continue;
		flags = b->kind == CMEM_KIND_SRAM ? 0 : CMEM_ALLOC_CACHED;
		if (variant->page_backed)
			flags |= CMEM_ALLOC_PAGES;
		if (!cmem_alloc_aligned(fd, b->block, CMEM_POOL_HEAP, LENGTH, SZ_2M, flags, buf))
			return true;
	}
	return false;
}

/* One byte per page identifies the page. */
static void mark(const FIXTURE_DATA(walk) *self, volatile char *map, char with)
{
	for (size_t i = 0; i < LENGTH; i += self->page)
		map[i + 1] = with + i / self->page * 7;
}

static long find_unmarked(const FIXTURE_DATA(walk) *self, const volatile char *map, char with)
{
	for (size_t i = 0; i < LENGTH; i += self->page)
		if (map[i + 1] != (char)(with + i / self->page * 7))
			return i;
	return -1;
}

/* The mapping for the variant, at @place, a multiple of 2 MiB. */
static char *map_at(const FIXTURE_DATA(walk) *self, const FIXTURE_VARIANT(walk) *variant,
		    char *place)
{
	char *map;

	if (variant->mapped == OUT_OF_STEP)
		place += self->page;
	map = mmap(place, LENGTH, RW, MAP_SHARED | MAP_FIXED,
		   variant->dmabuf ? self->dmabuf : self->fd,
		   variant->dmabuf ? 0 : self->buf.mmap_offset);
	if (map != MAP_FAILED && variant->mapped == SMALL)
		madvise(map, LENGTH, MADV_NOHUGEPAGE);
	return map;
}

/* Ordinary memory, to see that a walker works */
static char *map_own(size_t length)
{
	return mmap(NULL, length, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* The first multiple of 2 MiB from @addr on */
static char *aligned(char *addr)
{
	return addr + (-(unsigned long)addr & (SZ_2M - 1));
}

FIXTURE_SETUP(walk)
{
	self->page = page_size();
	self->dmabuf = -1;
	self->map = MAP_FAILED;
	self->taint = number_in("/proc/sys/kernel/tainted");
	OPEN_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!alloc_for(self->fd, variant, &self->buf))
		SKIP(return, "no such memory on this board");
	if (variant->dmabuf) {
		self->dmabuf = cmem_export(self->fd, self->buf.phys_addr, O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, self->dmabuf);
	}
	self->area = mmap(NULL, 2 * LENGTH + 2 * SZ_2M, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	ASSERT_MAPPED(self->area);
	self->map = map_at(self, variant, aligned(self->area));
	ASSERT_MAPPED(self->map);
	mark(self, self->map, 'a');
}

FIXTURE_TEARDOWN(walk)
{
	if (self->map != MAP_FAILED) {
		EXPECT_EQ(-1, find_unmarked(self, self->map, 'a'));
	}
	EXPECT_EQ(self->taint, number_in("/proc/sys/kernel/tainted"));
	munmap(self->area, 2 * LENGTH + 2 * SZ_2M);
	close(self->dmabuf);
	close(self->fd);
	/* The memory of a page-backed buffer may be free a moment later. */
	if (variant->page_backed) {
		EXPECT_TRUE(eventually(is_same(&self->before)));
	}
	expect_same(&self->before);
}

/* From here on, the test runs as a user who got the files. /proc/self stays its own. */
#define BE_A_USER() do {							\
	ASSERT_EQ(0, become_user(OTHER_UID));					\
	ASSERT_EQ(0, prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));			\
} while (0)

TEST_F(walk, it_is_mapped_as_this_test_says)
{
	long long before = vmstat("thp_split_pmd");
	struct cmem_info info;

	ASSERT_EQ(0, cmem_get_info(self->fd, &info));
	if (before < 0)
		SKIP(return, "no transparent huge pages in this kernel");
	/* Unmapping a part splits a huge page. */
	ASSERT_EQ(0, munmap(self->map + self->page, self->page));
	if (variant->mapped != HUGE || variant->page_backed ||
	    !(info.features & CMEM_FEATURE_PMD) || !huge_pages_are_2M()) {
		EXPECT_EQ(before, vmstat("thp_split_pmd"));
	} else {
		/*
		 * All memory is, as this series changes mm/mempolicy.c. Without that, a
		 * kernel with NUMA maps memory without struct pages page by page.
		 */
		EXPECT_LT(before, vmstat("thp_split_pmd"))
			TH_LOG("small pages: does mbind() skip special PMDs in this kernel?");
	}
	self->map = map_at(self, variant, aligned(self->area));
	ASSERT_MAPPED(self->map);
}

/*
 * mbind(): 0 or a negative errno. If @counts, the kernel counts the buffer's pages, which
 * it cannot move. They are on @node.
 */
static int bind_to(char *map, int mode, unsigned long nodes, int flags, bool counts, int node,
		   int *right)
{
	*right = counts && mode != DEFAULT && flags & STRICT && !(nodes & 1UL << node) ? -EIO : 0;
	return syscall(SYS_mbind, map, LENGTH, mode, mode == DEFAULT ? NULL : &nodes,
		       mode == DEFAULT ? 0 : 64, flags) ? -errno : 0;
}

TEST_F(walk, mbind)
{
	const int modes[] = { DEFAULT, PREFERRED, BIND, INTERLEAVE };
	bool counts = variant->page_backed && variant->memory == OF_CMA;
	unsigned long nodes = 1, far = 2;
	int mode, node = -1, ret, right;

	BE_A_USER();
	if (syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0) && errno == ENOSYS)
		SKIP(return, "no NUMA in this kernel");
	ret = syscall(SYS_get_mempolicy, &node, NULL, 0, self->map, F_NODE | F_ADDR);
	if (variant->page_backed) {
		ASSERT_EQ(0, ret);
		ASSERT_LE(0, node);
		ASSERT_GT(64, node);
	} else {
		EXPECT_EQ(-1, ret);
		EXPECT_EQ(EFAULT, errno);
	}
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		for (int flags = 0; flags <= (STRICT | MOVE); flags++) {
			ret = bind_to(self->map, modes[i], nodes, flags, counts, node, &right);
			EXPECT_EQ(right, ret)
				TH_LOG("mode %d flags %d: %s", modes[i], flags, strerror(-ret));
			/* A part of it, and more than the mapping */
			syscall(SYS_mbind, self->map + self->page, self->page, modes[i], &nodes,
				64, flags);
			syscall(SYS_mbind, self->area, LENGTH + SZ_2M, modes[i], &nodes, 64,
				flags);
			/*
			 * Another node, if there is one, makes a difference only where the
			 * kernel counts the pages.
			 */
			if (modes[i] != BIND)
				continue;
			ret = bind_to(self->map, BIND, far, flags, counts, node, &right);
			EXPECT_TRUE(ret == right || ret == -EINVAL)
				TH_LOG("flags %d: %s", flags, strerror(-ret));
		}
	}
	/* No page has gone elsewhere. */
	ret = syscall(SYS_get_mempolicy, &mode, NULL, 0, self->map, F_NODE | F_ADDR);
	if (variant->page_backed) {
		EXPECT_EQ(0, ret);
		EXPECT_EQ(node, mode);
	} else {
		EXPECT_EQ(-1, ret);
		EXPECT_EQ(EFAULT, errno);
	}
	EXPECT_EQ(0, syscall(SYS_get_mempolicy, &mode, &nodes, 64, self->map, F_ADDR));
}

TEST_F(walk, migrate_pages_and_move_pages)
{
	void *pages[] = { self->map, self->map + self->page, self->map + SZ_2M,
			  self->map + LENGTH - self->page };
	int to[ARRAY_SIZE(pages)] = { 0 }, status[ARRAY_SIZE(pages)] = { 0 };
	int node[ARRAY_SIZE(pages)];
	unsigned long nodes = 1;

	BE_A_USER();
	if (syscall(SYS_move_pages, 0, ARRAY_SIZE(pages), pages, NULL, status, 0) &&
	    errno == ENOSYS)
		SKIP(return, "no NUMA or no migration in this kernel");
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		EXPECT_EQ(variant->page_backed, status[i] >= 0)
			TH_LOG("page %zu: %d", i, status[i]);
		node[i] = status[i];
	}
	/* To node 0, and to another one, if there is one */
	for (int n = 0; n < 2; n++) {
		for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
			to[i] = n;
			status[i] = -EINVAL;
		}
		if (syscall(SYS_move_pages, 0, ARRAY_SIZE(pages), pages, to, status, MOVE) < 0 &&
		    n)
			break;
		/* A page may be there already, but none was moved. */
		for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
			if (variant->page_backed) {
				EXPECT_EQ(node[i] == n ? n : -EBUSY, status[i])
					TH_LOG("page %zu, from %d to %d", i, node[i], n);
			} else {
				EXPECT_GT(0, status[i]) TH_LOG("page %zu was moved", i);
			}
		}
	}
	EXPECT_LE(0, syscall(SYS_migrate_pages, 0, 64, &nodes, &nodes));
	syscall(SYS_move_pages, 0, ARRAY_SIZE(pages), pages, NULL, status, 0);
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		EXPECT_EQ(node[i], status[i]) TH_LOG("page %zu", i);
	}
}

TEST_F(walk, madvise)
{
	const int advice[] = {
		MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED, MADV_FREE,
		MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK, MADV_MERGEABLE, MADV_UNMERGEABLE,
		MADV_HUGEPAGE, MADV_COLLAPSE, MADV_NOHUGEPAGE, MADV_COLLAPSE, MADV_DONTDUMP,
		MADV_DODUMP, MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_COLD, MADV_PAGEOUT,
		MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_DONTNEED_LOCKED, GUARD_INSTALL,
		GUARD_REMOVE,
	};
	/* What walks the pages of page-backed buffers, and what never does */
	const int done[] = {
		MADV_DONTNEED, MADV_COLD, MADV_PAGEOUT, MADV_POPULATE_READ, MADV_POPULATE_WRITE,
		MADV_DONTNEED_LOCKED,
	};
	const int refused[] = {
		MADV_FREE, MADV_REMOVE, MADV_COLLAPSE, MADV_WIPEONFORK, GUARD_INSTALL,
	};

	BE_A_USER();
	for (size_t i = 0; variant->page_backed && i < ARRAY_SIZE(done); i++) {
		EXPECT_EQ(0, madvise(self->map, LENGTH, done[i])) TH_LOG("advice %d", done[i]);
		ASSERT_EQ(-1, find_unmarked(self, self->map, 'a')) TH_LOG("advice %d", done[i]);
	}
	for (size_t i = 0; variant->page_backed && i < ARRAY_SIZE(refused); i++) {
		EXPECT_EQ(-1, madvise(self->map, LENGTH, refused[i]))
			TH_LOG("advice %d", refused[i]);
	}
	/* The kernel decides which of the others it refuses. */
	for (size_t i = 0; i < ARRAY_SIZE(advice); i++) {
		madvise(self->map, LENGTH, advice[i]);
		madvise(self->map + self->page, SZ_2M, advice[i]);
		ASSERT_EQ(-1, find_unmarked(self, self->map, 'a')) TH_LOG("advice %d", advice[i]);
	}
}

TEST_F(walk, process_madvise)
{
	const int advice[] = { MADV_COLD, MADV_PAGEOUT, MADV_WILLNEED, MADV_COLLAPSE };
	struct iovec part = { self->map, LENGTH };
	int pidfd;

	BE_A_USER();
	pidfd = syscall(SYS_pidfd_open, getpid(), 0);
	if (pidfd < 0)
		SKIP(return, "no pidfd_open() in this kernel");
	for (size_t i = 0; i < ARRAY_SIZE(advice); i++)
		syscall(SYS_process_madvise, pidfd, &part, 1, advice[i], 0);
	close(pidfd);
}

TEST_F(walk, mlock)
{
	BE_A_USER();
	EXPECT_EQ(0, mlock(self->map, LENGTH));
	EXPECT_EQ(0, munlock(self->map, LENGTH));
	EXPECT_EQ(0, mlock(self->map + self->page, self->page));
	/* 1: on fault */
	EXPECT_EQ(0, syscall(SYS_mlock2, self->map, LENGTH, 1));
	EXPECT_EQ(0, munlockall());
	mlockall(MCL_CURRENT | MCL_FUTURE);
	mark(self, self->map, 'a');
	EXPECT_EQ(0, munlockall());
}

/* <linux/fs.h>: older headers lack this, and it conflicts with C libraries */
struct scan_arg {
	__u64 size, flags, start, end, walk_end, vec, vec_len, max_pages;
	__u64 category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN		_IOWR('f', 16, struct scan_arg)
#define SCAN_WP		1	/* PM_SCAN_WP_MATCHING */

#define PRESENT		8	/* PAGE_IS_PRESENT */
#define OF_FILE		4	/* PAGE_IS_FILE */
/* PAGE_IS_WRITTEN and PAGE_IS_SOFT_DIRTY: what a kernel can track */
#define MAYBE		(2ULL | 128)

/* What pagemap has of a page of a file, and of one that is mapped once */
#define PM_FILE		(1ULL << 61)
#define PM_EXCLUSIVE	(1ULL << 56)

TEST_F(walk, maps_of_oneself)
{
	/* What is counted of page-backed buffers: all of their pages have been written. */
	static const struct { const char *name; bool page_backed; } counted[] = {
		{ "Rss", true }, { "Pss", true }, { "Shared_Clean", false },
		{ "Shared_Dirty", false }, { "Private_Clean", false }, { "Private_Dirty", true },
		{ "Referenced", true }, { "Anonymous", false }, { "AnonHugePages", false },
		{ "FilePmdMapped", false }, { "ShmemPmdMapped", false }, { "Swap", false },
		{ "Locked", false },
	};
	const char *rollup = "/proc/self/smaps_rollup";
	long long kb = LENGTH / 1024, mapped = variant->page_backed ? kb : 0, rss, without;
	char *own = map_own(LENGTH);

	ASSERT_MAPPED(own);
	BE_A_USER();
	EXPECT_LT(0, read_all("/proc/self/maps"));
	if (smaps(self->map, "Size") < 0)
		SKIP(return, "no " SMAPS " in this kernel");
	EXPECT_EQ(kb, smaps(self->map, "Size"));
	for (size_t i = 0; i < ARRAY_SIZE(counted); i++) {
		long long n = smaps(self->map, counted[i].name);

		/* Some are newer than the oldest kernel. */
		EXPECT_TRUE(n == (counted[i].page_backed ? mapped : 0) || (i && n == -1))
			TH_LOG("%s: %lld", counted[i].name, n);
	}
	/* The process's own pages all count. */
	rss = number_of(rollup, NULL, "Rss");
	memset(own, 1, LENGTH);
	EXPECT_EQ(kb, smaps(own, "Rss"));
	EXPECT_LE(rss + kb, number_of(rollup, NULL, "Rss"));
	/* Without our mapping, the sum is smaller by what was counted, or hardly changes. */
	rss = number_of(rollup, NULL, "Rss");
	ASSERT_EQ(0, munmap(self->map, LENGTH));
	without = number_of(rollup, NULL, "Rss");
	EXPECT_LE(rss - mapped, without);
	EXPECT_GT(rss - mapped + kb / 2, without);
	self->map = map_at(self, variant, aligned(self->area));
	ASSERT_MAPPED(self->map);
	EXPECT_EQ(0, munmap(own, LENGTH));
}

/* The line of the mapping at @map, empty if there is none. */
static void find_numa_maps(const char *map, char *line, size_t size)
{
	FILE *file = fopen("/proc/self/numa_maps", "re");
	unsigned long start = 0;

	while (file && start != (unsigned long)map && fgets(line, size, file))
		start = strtoul(line, NULL, 16);
	if (start != (unsigned long)map)
		line[0] = 0;
	if (file)
		fclose(file);
}

/* The sum of what a line of numa_maps has on nodes: N0=12 N1=34 */
static unsigned long pages_on_nodes(const char *line)
{
	unsigned long sum = 0, pages;

	for (; (line = strstr(line, " N")); line++)
		if (sscanf(line, " N%*u=%lu", &pages) == 1)
			sum += pages;
	return sum;
}

TEST_F(walk, numa_maps_of_oneself)
{
	char *own = map_own(LENGTH), line[512];
	bool counts = variant->page_backed && variant->memory == OF_CMA;

	ASSERT_MAPPED(own);
	memset(own, 1, LENGTH);
	BE_A_USER();
	if (access("/proc/self/numa_maps", F_OK))
		SKIP(return, "no /proc/self/numa_maps in this kernel");
	/* It shows the file, but no page of it on any node. It skips PageReserved. */
	find_numa_maps(self->map, line, sizeof(line));
	EXPECT_TRUE(!!strstr(line, " file=")) TH_LOG("%s", line);
	EXPECT_EQ(counts ? LENGTH / self->page : 0, pages_on_nodes(line)) TH_LOG("%s", line);
	EXPECT_EQ(counts, !!strstr(line, "kernelpagesize_kB=")) TH_LOG("%s", line);
	find_numa_maps(own, line, sizeof(line));
	EXPECT_TRUE(!!strstr(line, "kernelpagesize_kB=")) TH_LOG("%s", line);
	EXPECT_EQ(0, munmap(own, LENGTH));
}

TEST_F(walk, pagemap_of_oneself)
{
	static __u64 entries[LENGTH >> 12];
	static __u64 regions[64][3];
	struct scan_arg scan = {
		.size = sizeof(scan), .start = (unsigned long)self->map,
		.end = (unsigned long)self->map + LENGTH,
		.vec = (unsigned long)regions, .vec_len = 64, .return_mask = 0xff,
	};
	char *own = map_own(LENGTH);
	int pagemap, found;
	__u64 right = 0;

	ASSERT_MAPPED(own);
	memset(own, 1, LENGTH);
	/* Only root is told the page frame. */
	if (variant->page_backed && read_pagemap(self->map, entries, LENGTH / self->page)) {
		for (size_t i = 0; i < LENGTH / self->page; i++) {
			ASSERT_EQ(self->buf.phys_addr / self->page + i, PM_PFN(entries[i]))
				TH_LOG("page %zu", i);
		}
	}
	BE_A_USER();
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (pagemap < 0)
		SKIP(return, "no /proc/self/pagemap in this kernel");
	/* pagemap shows nothing mapped, or pages as of a file that is mapped once. */
	if (variant->page_backed)
		right = PM_PRESENT | PM_FILE | PM_EXCLUSIVE;
	ASSERT_TRUE(read_pagemap(self->map, entries, LENGTH / self->page));
	for (size_t i = 0; i < LENGTH / self->page; i++) {
		ASSERT_EQ(right, entries[i] & ~PM_SOFT_DIRTY) TH_LOG("page %zu", i);
	}
	/* A user sees that its own pages are present, but not where. */
	ASSERT_TRUE(read_pagemap(own, entries, LENGTH / self->page));
	for (size_t i = 0; i < LENGTH / self->page; i++) {
		ASSERT_EQ(PM_PRESENT, entries[i] & PM_PRESENT) TH_LOG("page %zu", i);
		ASSERT_EQ(0, PM_PFN(entries[i])) TH_LOG("page %zu", i);
	}
	for (unsigned int mask = 1; mask < 1 << 8; mask <<= 1) {
		scan.category_mask = mask;
		for (scan.flags = 0; scan.flags <= SCAN_WP; scan.flags += SCAN_WP) {
			found = ioctl(pagemap, SCAN, &scan);
			if (found < 0) {
				/* Before v6.7 */
				ASSERT_EQ(ENOTTY, errno) TH_LOG("mask %u", mask);
				continue;
			}
			ASSERT_EQ(scan.end, scan.walk_end);
			if (!variant->page_backed || scan.flags) {
				ASSERT_EQ(0, found) TH_LOG("mask %u", mask);
			} else if (mask & (PRESENT | OF_FILE)) {
				ASSERT_EQ(1, found) TH_LOG("mask %u", mask);
				ASSERT_EQ(scan.start, regions[0][0]);
				ASSERT_EQ(scan.end, regions[0][1]);
				ASSERT_EQ(PRESENT | OF_FILE, regions[0][2] & ~MAYBE);
			} else if (mask & ~MAYBE) {
				ASSERT_EQ(0, found) TH_LOG("mask %u", mask);
			}
		}
	}
	scan.flags = 0;
	scan.category_mask = PRESENT;
	scan.start = (unsigned long)own;
	scan.end = scan.start + LENGTH;
	if (ioctl(pagemap, SCAN, &scan) < 0) {
		EXPECT_EQ(ENOTTY, errno);
	} else {
		EXPECT_EQ(scan.start, regions[0][0]);
	}
	close(pagemap);
	EXPECT_EQ(0, munmap(own, LENGTH));
}

TEST_F(walk, clear_refs)
{
	char *second = aligned(self->area) + LENGTH + SZ_2M, *fresh;
	char *own = map_own(self->page);
	bool soft_dirty;
	__u64 entry;

	ASSERT_MAPPED(own);
	*own = 1;
	BE_A_USER();
	if (access("/proc/self/clear_refs", F_OK))
		SKIP(return, "no /proc/self/clear_refs in this kernel");
	ASSERT_TRUE(read_pagemap(own, &entry, 1));
	soft_dirty = entry & PM_SOFT_DIRTY;
	for (char n = '1'; n <= '5'; n++) {
		/* Nothing has touched that page yet. */
		fresh = map_at(self, variant, second);
		ASSERT_MAPPED(fresh);
		ASSERT_TRUE(put("/proc/self/clear_refs", (char []){ n, 0 })) TH_LOG("%c", n);
		/* 1: all pages, 3: those of files */
		if (variant->page_backed && (n == '1' || n == '3')) {
			ASSERT_GT((long long)LENGTH / 1024, smaps(fresh, "Referenced"))
				TH_LOG("%c", n);
		}
		/* 4: reports writes from now on. */
		if (soft_dirty && n == '4') {
			ASSERT_TRUE(read_pagemap(own, &entry, 1));
			ASSERT_EQ(0, entry & PM_SOFT_DIRTY);
			*own = 2;
			ASSERT_TRUE(read_pagemap(own, &entry, 1));
			ASSERT_EQ(PM_SOFT_DIRTY, entry & PM_SOFT_DIRTY);
		}
		if (soft_dirty && n == '4' && variant->page_backed) {
			ASSERT_TRUE(read_pagemap(fresh, &entry, 1));
			ASSERT_EQ(PM_PRESENT, entry & (PM_PRESENT | PM_SOFT_DIRTY));
			fresh[1] = 'a';
			ASSERT_TRUE(read_pagemap(fresh, &entry, 1));
			ASSERT_EQ(PM_SOFT_DIRTY, entry & PM_SOFT_DIRTY);
		}
		ASSERT_EQ(-1, find_unmarked(self, self->map, 'a')) TH_LOG("%c", n);
		ASSERT_EQ(-1, find_unmarked(self, fresh, 'a')) TH_LOG("%c", n);
		mark(self, fresh, n);
		ASSERT_EQ(-1, find_unmarked(self, self->map, n)) TH_LOG("%c", n);
		mark(self, self->map, 'a');
		ASSERT_EQ(-1, find_unmarked(self, fresh, 'a')) TH_LOG("%c", n);
	}
	EXPECT_EQ(0, munmap(own, self->page));
}

TEST_F(walk, mincore)
{
	unsigned char resident[LENGTH >> 12];

	BE_A_USER();
	EXPECT_EQ(0, mincore(self->map + self->page, SZ_2M, resident));
	EXPECT_EQ(0, mincore(self->map, LENGTH, resident));
	for (size_t i = 0; variant->page_backed && i < LENGTH / self->page; i++) {
		ASSERT_EQ(1, resident[i] & 1) TH_LOG("page %zu", i);
	}
}

TEST_F(walk, get_user_pages)
{
	char own[64] = "";
	struct iovec local = { own, sizeof(own) }, remote = { self->map, sizeof(own) };
	ssize_t right = variant->page_backed ? sizeof(own) : -EFAULT, got;
	int pipes[2];

	BE_A_USER();
	ASSERT_EQ(0, pipe(pipes));
	got = vmsplice(pipes[1], &remote, 1, 0);
	EXPECT_EQ(right, got < 0 ? -errno : got);
	if (got > 0) {
		ASSERT_EQ(sizeof(own), read(pipes[0], own, sizeof(own)));
		EXPECT_EQ(0, memcmp(own, self->map, sizeof(own)));
		memset(own, 0, sizeof(own));
	}
	got = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
	EXPECT_TRUE(got < 0 ? -errno == right || errno == ENOSYS : got == right);
	if (got > 0) {
		EXPECT_EQ(0, memcmp(own, self->map, sizeof(own)));
		own[2] = 'w';
	}
	got = process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
	EXPECT_TRUE(got < 0 ? -errno == right || errno == ENOSYS : got == right);
	if (got > 0) {
		EXPECT_EQ('w', self->map[2]);
	}
	/* A shared futex is known by its page's place in a file; a private one by its address. */
	EXPECT_EQ(-1, syscall(SYS_futex, self->map, FUTEX_WAKE, 1, NULL, NULL, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, syscall(SYS_futex, self->map, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL,
			     0));
	/* Ordinary copies work: they are accesses of the program. */
	EXPECT_EQ(sizeof(own), write(pipes[1], self->map + SZ_2M - 8, sizeof(own)));
	EXPECT_EQ(sizeof(own), read(pipes[0], self->map + SZ_2M - 8, sizeof(own)));
	close(pipes[0]);
	close(pipes[1]);
}

/* What older headers lack */
#define WP_UNPOPULATED	0x2000
#define WP_ASYNC	0x8000

TEST_F(walk, userfaultfd)
{
	const __u64 modes[] = { UFFDIO_REGISTER_MODE_MISSING, UFFDIO_REGISTER_MODE_WP,
				UFFDIO_REGISTER_MODE_MINOR };
	const __u64 features[] = { 0, WP_UNPOPULATED | WP_ASYNC };

	BE_A_USER();
	for (size_t f = 0; f < ARRAY_SIZE(features); f++) {
		struct uffdio_api api = { .api = UFFD_API, .features = features[f] };
		int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

		if (uffd < 0)
			SKIP(return, "no userfaultfd in this kernel");
		if (ioctl(uffd, UFFDIO_API, &api)) {
			close(uffd);
			continue;
		}
		for (size_t m = 0; m < ARRAY_SIZE(modes); m++) {
			struct uffdio_register reg = {
				.range = { (unsigned long)self->map, LENGTH }, .mode = modes[m],
			};
			struct uffdio_writeprotect protect = {
				.range = reg.range, .mode = UFFDIO_WRITEPROTECT_MODE_WP,
			};

			/*
			 * A few kernels accept any memory for asynchronous write
			 * protection. There the memory stays mapped.
			 */
			if (ioctl(uffd, UFFDIO_REGISTER, &reg))
				continue;
			ASSERT_TRUE(modes[m] == UFFDIO_REGISTER_MODE_WP && features[f]);
			ioctl(uffd, UFFDIO_WRITEPROTECT, &protect);
			/* Pages can be written, and lose their protection with that. */
			if (variant->page_backed) {
				mark(self, self->map, 'a');
				ioctl(uffd, UFFDIO_WRITEPROTECT, &protect);
				EXPECT_EQ(0, madvise(self->map, LENGTH, MADV_DONTNEED));
				EXPECT_EQ(-1, find_unmarked(self, self->map, 'a'));
				mark(self, self->map, 'a');
			}
			ioctl(uffd, UFFDIO_UNREGISTER, &reg.range);
		}
		close(uffd);
	}
}

TEST_F(walk, mremap)
{
	char *second = aligned(self->area) + LENGTH + SZ_2M;
	char *here = self->map;

	BE_A_USER();
	/* At an aligned place, one page off, and in pieces */
	ASSERT_TRUE(mremap(here, LENGTH, LENGTH, MREMAP_MAYMOVE | MREMAP_FIXED, second) == second);
	ASSERT_EQ(-1, find_unmarked(self, second, 'a'));
	ASSERT_TRUE(mremap(second, LENGTH, LENGTH, MREMAP_MAYMOVE | MREMAP_FIXED,
			   aligned(self->area) + self->page) == aligned(self->area) + self->page);
	ASSERT_EQ(-1, find_unmarked(self, aligned(self->area) + self->page, 'a'));
	ASSERT_TRUE(mremap(aligned(self->area) + self->page, LENGTH, LENGTH,
			   MREMAP_MAYMOVE | MREMAP_FIXED, second) == second);
	mark(self, second, 'a');
	for (size_t i = 0; i < LENGTH; i += SZ_2M / 2)
		ASSERT_TRUE(mremap(second + i, SZ_2M / 2, SZ_2M / 2,
				   MREMAP_MAYMOVE | MREMAP_FIXED, here + i) == here + i);
	ASSERT_EQ(-1, find_unmarked(self, here, 'a'));
	mark(self, here, 'a');
}

TEST_F(walk, mprotect)
{
	const struct { size_t from, length; } part[] = {
		{ 0, LENGTH }, { 0, SZ_2M }, { self->page, self->page }, { SZ_2M, SZ_2M },
		{ SZ_2M - self->page, 2 * self->page },
	};

	BE_A_USER();
	for (size_t i = 0; i < ARRAY_SIZE(part); i++) {
		char *from = self->map + part[i].from;

		ASSERT_EQ(0, mprotect(from, part[i].length, PROT_NONE));
		EXPECT_EQ(SIGSEGV, access_signal(from, false));
		ASSERT_EQ(0, mprotect(from, part[i].length, PROT_READ));
		EXPECT_EQ(SIGSEGV, access_signal(from, true));
		EXPECT_EQ(0, access_signal(from, false));
		ASSERT_EQ(0, mprotect(from, part[i].length, RW));
		ASSERT_EQ(-1, find_unmarked(self, self->map, 'a'));
		mark(self, self->map, 'a');
	}
}

TEST_F(walk, fork)
{
	pid_t pid;

	BE_A_USER();
	IN_CHILD(pid) {
		ASSERT_EQ(-1, find_unmarked(self, self->map, 'a'));
		/* Part of the child's mapping goes, and the child forks. */
		ASSERT_EQ(0, munmap(self->map + self->page, self->page));
		self->map[SZ_2M] = 1;
		ASSERT_EQ(0, access_signal(self->map, true));
		ASSERT_EQ(SIGSEGV, access_signal(self->map + self->page, true));
	}
	join_child(pid);
	madvise(self->map, LENGTH, MADV_DONTFORK);
	IN_CHILD(pid)
		ASSERT_EQ(SIGSEGV, access_signal(self->map, false));
	join_child(pid);
}

TEST_F(walk, remap_file_pages)
{
	BE_A_USER();
	/* Only what may be mapped with mmap() */
	syscall(SYS_remap_file_pages, self->map, SZ_2M, 0, 0, 0);
	syscall(SYS_remap_file_pages, self->map + self->page, self->page, 0, 1, 0);
	self->map = map_at(self, variant, aligned(self->area));
	ASSERT_MAPPED(self->map);
}

/* The test turns transparent huge pages off for the process, and on again. */
TEST_F(walk, PR_SET_THP_DISABLE)
{
	BE_A_USER();
	for (int disable = 0; disable < 4; disable++) {
		ASSERT_EQ(0, prctl(PR_SET_THP_DISABLE, disable & 1, 0, 0, 0));
		ASSERT_EQ(0, munmap(self->map + self->page, self->page));
		self->map[0] = 'x';
		self->map = map_at(self, variant, aligned(self->area));
		ASSERT_MAPPED(self->map);
		mark(self, self->map, 'a');
	}
}

/* What takes root to start */

TEST_F(walk, memory_failure_by_address)
{
	/*
	 * A page that is really offlined does not come back, so a refusal counts. The kernel
	 * would find a page that has a struct page, and CMEM would lose it.
	 */
	if (!variant->page_backed) {
		EXPECT_EQ(-1, madvise(self->map, self->page, MADV_HWPOISON));
	}
	EXPECT_EQ(-1, madvise(self->map + SZ_2M, self->page, MADV_SOFT_OFFLINE));
}

#define KSM_DIR "/sys/kernel/mm/ksm/"

TEST_F(walk, KSM)
{
	long long scans = number_in(KSM_DIR "full_scans");
	char *own;

	if (scans < 0)
		SKIP(return, "no KSM in this kernel");
	EXPECT_EQ(0, madvise(self->map, LENGTH, MADV_MERGEABLE));
	prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0);
	own = mmap(NULL, 4 * self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(own);
	memset(own, 1, 4 * self->page);
	ASSERT_EQ(0, madvise(own, 4 * self->page, MADV_MERGEABLE));
	ASSERT_TRUE(put(KSM_DIR "pages_to_scan", "10000"));
	ASSERT_TRUE(put(KSM_DIR "run", "1"));
	EXPECT_TRUE(eventually(number_in(KSM_DIR "full_scans") >= scans + 3));
	/* 2: and undo the merging */
	EXPECT_TRUE(put(KSM_DIR "run", "2"));
	EXPECT_TRUE(put(KSM_DIR "run", "0"));
	EXPECT_TRUE(put(KSM_DIR "pages_to_scan", "100"));
	EXPECT_EQ(0, munmap(own, 4 * self->page));
}

#define KHUGEPAGED "/sys/kernel/mm/transparent_hugepage/khugepaged/"

/* Whether it is off for all programs */
static bool never_huge(void)
{
	FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
	char line[64] = "[never]";
	bool never;

	never = !file || !fgets(line, sizeof(line), file) || strstr(line, "[never]");
	if (file)
		fclose(file);
	return never;
}

TEST_F(walk, khugepaged)
{
	const char *sleep = KHUGEPAGED "scan_sleep_millisecs", *pages = KHUGEPAGED "pages_to_scan";
	long long scans = number_in(KHUGEPAGED "full_scans"), kb = LENGTH / 1024;
	long long sleep_was = number_in(sleep), pages_was = number_in(pages);
	char *area, *own;

	if (never_huge() || smaps(self->map, "AnonHugePages") < 0 || SZ_2M != 512 * self->page)
		SKIP(return, "no khugepaged for pages of 2 MiB in this kernel");
	area = map_own(LENGTH + SZ_2M);
	ASSERT_MAPPED(area);
	/* Small pages for khugepaged: a huge page in their place shows that it ran. */
	own = aligned(area);
	ASSERT_EQ(0, madvise(own, LENGTH, MADV_NOHUGEPAGE));
	memset(own, 1, LENGTH);
	ASSERT_EQ(0, smaps(own, "AnonHugePages"));
	EXPECT_EQ(0, madvise(self->map, LENGTH, MADV_HUGEPAGE));
	ASSERT_EQ(0, madvise(own, LENGTH, MADV_HUGEPAGE));
	ASSERT_TRUE(put(pages, "65536"));
	ASSERT_TRUE(put(sleep, "0"));
	EXPECT_TRUE(eventually(number_in(KHUGEPAGED "full_scans") >= scans + 2 &&
			       smaps(own, "AnonHugePages") == kb))
		TH_LOG("%lld scans, %lld KiB", number_in(KHUGEPAGED "full_scans") - scans,
		       smaps(own, "AnonHugePages"));
	EXPECT_EQ(0, smaps(self->map, "AnonHugePages"));
	EXPECT_TRUE(put_number(sleep, sleep_was));
	EXPECT_TRUE(put_number(pages, pages_was));
	EXPECT_EQ(0, munmap(area, LENGTH + SZ_2M));
}

/* Moves for good to a CPU of another node than @node: returns its node, or -1. */
static int leave_node(int node)
{
	unsigned int is;
	cpu_set_t cpus;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		CPU_ZERO(&cpus);
		CPU_SET(cpu, &cpus);
		if (!sched_setaffinity(0, sizeof(cpus), &cpus) &&
		    !syscall(SYS_getcpu, NULL, &is, NULL) && (int)is != node)
			return is;
	}
	return -1;
}

/* How often the kernel has scanned all of this program's memory */
static long long numa_scans(void)
{
	return number_of("/proc/self/sched", NULL, "mm->numa_scan_seq");
}

#define NUMA_BALANCING "/sys/kernel/debug/sched/numa_balancing/"

TEST_F(walk, NUMA_balancing)
{
	const char *sysctl = "/proc/sys/kernel/numa_balancing";
	static const char * const times[] = {
		NUMA_BALANCING "scan_delay_ms", NUMA_BALANCING "scan_period_min_ms",
		NUMA_BALANCING "scan_period_max_ms",
	};
	long long was = number_in(sysctl), updates = vmstat("numa_pte_updates");
	long long times_were[ARRAY_SIZE(times)];
	int here = leave_node(-1), far = leave_node(here), n = 0;
	pid_t pid;

	if (was < 0 || updates < 0 || numa_scans() < 0)
		SKIP(return, "no NUMA balancing in this kernel");
	if (far < 0)
		SKIP(return, "one node: there is nothing to balance");
	ASSERT_TRUE(put(sysctl, "1"));
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		times_were[i] = number_in(times[i]);
		put(times[i], "1");
	}
	/* A new program, for which the delay counts */
	IN_CHILD(pid) {
		long long scans = numa_scans();
		size_t length = 16 * self->page;
		char *own = map_own(length);
		int node;

		/*
		 * The kernel scans all memory, and marks what is on another node than the
		 * program: this memory. The first node has room for it.
		 */
		ASSERT_MAPPED(own);
		ASSERT_EQ(here, leave_node(far));
		memset(own, 1, length);
		ASSERT_EQ(0, syscall(SYS_get_mempolicy, &node, NULL, 0, own, F_NODE | F_ADDR));
		ASSERT_EQ(here, node);
		ASSERT_EQ(far, leave_node(here));
		ASSERT_TRUE(eventually(memset(own, n++, length) &&
				       find_unmarked(self, self->map, 'a') == -1 &&
				       numa_scans() >= scans + 2 &&
				       vmstat("numa_pte_updates") >= updates + 16))
			TH_LOG("%lld scans, %lld entries", numa_scans() - scans,
			       vmstat("numa_pte_updates") - updates);
	}
	/* It has ended, but nothing is checked yet. */
	EXPECT_EQ(0, waitid(P_PID, pid, NULL, WEXITED | WNOWAIT));
	for (size_t i = 0; i < ARRAY_SIZE(times); i++)
		put_number(times[i], times_were[i]);
	ASSERT_TRUE(put_number(sysctl, was));
	join_child(pid);
}

#define LRU_GEN "/sys/kernel/mm/lru_gen/enabled"
#define LRU_GEN_DEBUG "/sys/kernel/debug/lru_gen"

/*
 * Ages all memory once. Returns the number of program pages in the youngest generation
 * but one before, or -1.
 */
static long long age(void)
{
	struct { unsigned int memcg, node; unsigned long generation, pages, older; } list[64];
	FILE *file = fopen(LRU_GEN_DEBUG, "re");
	unsigned int memcg = 0, node;
	unsigned long generation, pages;
	long long older = 0;
	char line[512];
	int lists = 0;

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "memcg %u", &memcg) == 1)
			continue;
		if (sscanf(line, " node %u", &node) == 1 && lists < ARRAY_SIZE(list)) {
			memset(&list[lists], 0, sizeof(list[0]));
			list[lists].memcg = memcg;
			list[lists++].node = node;
		} else if (lists && sscanf(line, "%lu %*u %lu", &generation, &pages) == 2) {
			list[lists - 1].older = list[lists - 1].pages;
			list[lists - 1].pages = pages;
			list[lists - 1].generation = generation;
		}
	}
	if (file)
		fclose(file);
	for (int i = 0; i < lists; i++) {
		older += list[i].older;
		/* 1 1: also memory of programs, and even if not needed */
		snprintf(line, sizeof(line), "+ %u %u %lu 1 1", list[i].memcg, list[i].node,
			 list[i].generation);
		if (!put(LRU_GEN_DEBUG, line))
			return -1;
	}
	return lists ? older : -1;
}

TEST_F(walk, multi_generational_LRU)
{
	long long was = number_in(LRU_GEN), found;
	char *own;

	if (was < 0 || access(LRU_GEN_DEBUG, F_OK))
		SKIP(return, "no multi-generational LRU in this kernel");
	ASSERT_TRUE(put(LRU_GEN, "y"));
	/* Bit 1: it walks page tables. Not where software marks entries as young. */
	if (!(number_in(LRU_GEN) & 2)) {
		put_number(LRU_GEN, was);
		SKIP(return, "it walks no page tables on this processor");
	}
	own = map_own(LENGTH);
	ASSERT_MAPPED(own);
	/* Memory in use would age like the rest if the walk did not find it. */
	for (int i = 0; i < 4; i++) {
		mark(self, own, i);
		mark(self, self->map, 'a');
		EXPECT_LE(0, age());
	}
	/*
	 * A walk skips a process whose mmap_lock it does not get at once. The next walk
	 * finds it.
	 */
	EXPECT_TRUE(eventually((mark(self, own, 0), mark(self, self->map, 'a'), found = age(),
				found < 0 || found >= LENGTH / (long long)self->page / 2)));
	EXPECT_LE(LENGTH / (long long)self->page / 2, found);
	EXPECT_EQ(-1, find_unmarked(self, own, 0));
	EXPECT_TRUE(put_number(LRU_GEN, was));
	EXPECT_EQ(0, munmap(own, LENGTH));
}

#define KDAMOND "/sys/kernel/mm/damon/admin/kdamonds/"
#define CONTEXT KDAMOND "0/contexts/0/"

/* DAMON watches addresses, and has checked them all a few times. */
static bool damon(const char *operations, unsigned long long start, unsigned long long end)
{
	bool ok;

	if (!put(KDAMOND "nr_kdamonds", "1") || !put(KDAMOND "0/contexts/nr_contexts", "1"))
		return false;
	ok = put(CONTEXT "operations", operations) &&
	     put(CONTEXT "targets/nr_targets", "1") &&
	     put(CONTEXT "monitoring_attrs/intervals/sample_us", "1000") &&
	     put(CONTEXT "monitoring_attrs/intervals/aggr_us", "5000") &&
	     put(CONTEXT "monitoring_attrs/intervals/update_us", "5000") &&
	     put(CONTEXT "schemes/nr_schemes", "1") &&
	     put(CONTEXT "schemes/0/action", "stat") &&
	     put_number(CONTEXT "schemes/0/access_pattern/sz/max", ULONG_MAX) &&
	     put_number(CONTEXT "schemes/0/access_pattern/nr_accesses/max", 1000) &&
	     put_number(CONTEXT "schemes/0/access_pattern/age/max", 1000000);
	if (!strcmp(operations, "paddr") ||
	    put_number(CONTEXT "targets/0/pid_target", getpid())) {
		ok = ok && put(CONTEXT "targets/0/regions/nr_regions", "1") &&
		     put_number(CONTEXT "targets/0/regions/0/start", start) &&
		     put_number(CONTEXT "targets/0/regions/0/end", end);
	}
	ok = ok && put(KDAMOND "0/state", "on");
	ok = ok && eventually(put(KDAMOND "0/state", "update_schemes_stats") &&
			      number_in(CONTEXT "schemes/0/stats/nr_tried") > 5);
	put(KDAMOND "0/state", "off");
	put(KDAMOND "nr_kdamonds", "0");
	return ok;
}

TEST_F(walk, DAMON)
{
	unsigned long start = (unsigned long)self->map;

	if (access(KDAMOND, F_OK))
		SKIP(return, "no DAMON in this kernel");
	EXPECT_TRUE(damon("vaddr", start, start + LENGTH));
	EXPECT_TRUE(damon("fvaddr", start, start + LENGTH));
	/* It has no addresses longer than a long. */
	if (self->buf.phys_addr + LENGTH <= ULONG_MAX)
		EXPECT_TRUE(damon("paddr", self->buf.phys_addr, self->buf.phys_addr + LENGTH));
}

/* Bits of /proc/kpageflags */
#define KPF(bit)	(1ULL << (bit))
#define KPF_LRU		KPF(5)
#define KPF_BUDDY	KPF(10)
#define KPF_MMAP	KPF(11)
#define KPF_ANON	KPF(12)
#define KPF_NOPAGE	KPF(20)

/* Words of a file with one word per page, or per 64 pages; -1 without the file. */
static ssize_t words_of(const char *path, __u64 *words, size_t length, __u64 at)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : pread(fd, words, length, at);

	close(fd);
	return got;
}

#define PAGE_IDLE "/sys/kernel/mm/page_idle/bitmap"

TEST_F(walk, by_physical_address)
{
	static __u64 words[LENGTH >> 12];
	__u64 first = self->buf.phys_addr / self->page, pfn, right;
	size_t pages = LENGTH / self->page, bit = first % 64, bytes = (bit + pages + 63) / 64 * 8;
	char *own = map_own(self->page);
	ssize_t got;
	int fd;

	ASSERT_MAPPED(own);
	*own = 1;
	/* This moves pages, and puts pages in transit on an LRU list. */
	EXPECT_TRUE(put("/proc/sys/vm/compact_memory", "1") || errno == ENOENT);
	EXPECT_TRUE(put("/proc/sys/vm/drop_caches", "3"));
	ASSERT_TRUE(read_pagemap(own, &pfn, 1));
	pfn = PM_PFN(pfn);
	ASSERT_LT(0, pfn);

	/* To the kernel core, each is unowned, absent or mapped. The file may end early. */
	right = variant->memory == WITHOUT_PAGES ? KPF_NOPAGE : 0;
	if (variant->page_backed)
		right = KPF_MMAP;
	got = words_of("/proc/kpageflags", words, pages * 8, first * 8);
	EXPECT_TRUE(got == -1 || got == pages * 8 || variant->memory == WITHOUT_PAGES);
	for (ssize_t i = 0; i < got / 8; i++) {
		ASSERT_EQ(right, words[i] & (KPF_LRU | KPF_BUDDY | KPF_MMAP | KPF_ANON |
					     KPF_NOPAGE))
			TH_LOG("page %zd: %llx", i, (unsigned long long)words[i]);
	}
	if (words_of("/proc/kpageflags", words, 8, pfn * 8) >= 0) {
		EXPECT_EQ(KPF_MMAP | KPF_ANON, words[0] & (KPF_MMAP | KPF_ANON | KPF_NOPAGE));
	}
	got = words_of("/proc/kpagecount", words, pages * 8, first * 8);
	for (ssize_t i = 0; i < got / 8; i++) {
		ASSERT_EQ(variant->page_backed, words[i]) TH_LOG("page %zd", i);
	}
	if (words_of("/proc/kpagecount", words, 8, pfn * 8) >= 0) {
		EXPECT_EQ(1, words[0]);
	}
	got = words_of("/proc/kpagecgroup", words, pages * 8, first * 8);
	for (ssize_t i = 0; i < got / 8; i++) {
		ASSERT_EQ(0, words[i]) TH_LOG("page %zd", i);
	}

	/* Only pages that were marked idle and are on an LRU list are idle. */
	fd = open(PAGE_IDLE, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		/* The first and the last word also cover pages of others. */
		memset(words, 0, bytes);
		for (size_t i = bit; i < bit + pages; i++)
			words[i / 64] |= KPF(i % 64);
		pwrite(fd, words, bytes, first / 64 * 8);
		got = words_of(PAGE_IDLE, words, bytes, first / 64 * 8);
		for (size_t i = bit; i < bit + pages && (ssize_t)(i / 64) < got / 8; i++) {
			ASSERT_EQ(0, words[i / 64] & KPF(i % 64)) TH_LOG("page %zu", i - bit);
		}
		words[0] = KPF(pfn % 64);
		EXPECT_EQ(8, pwrite(fd, words, 8, pfn / 64 * 8));
		EXPECT_EQ(8, words_of(PAGE_IDLE, words, 8, pfn / 64 * 8));
		EXPECT_EQ(KPF(pfn % 64), words[0] & KPF(pfn % 64));
		close(fd);
	}
	EXPECT_EQ(0, munmap(own, self->page));
}

TEST_F(walk, page_tables_of_the_kernel)
{
	static const char * const files[] = {
		"/sys/kernel/debug/kernel_page_tables", "/sys/kernel/debug/page_tables/kernel",
		"/sys/kernel/debug/page_tables/current_kernel",
		"/sys/kernel/debug/page_tables/current_user",
	};
	bool any = false;
	pid_t pid;

	/* The buffer's alias comes and goes meanwhile, where the kernel has one. */
	IN_CHILD(pid)
		for (int i = 0; i < 100; i++)
			ASSERT_EQ(0, cmem_sync(self->fd, self->map, LENGTH, CMEM_SYNC_WRITE_BACK));
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		long long got = read_all(files[i]);

		EXPECT_TRUE(got > 0 || got == -ENOENT) TH_LOG("%s: %lld", files[i], got);
		any = any || got > 0;
	}
	join_child(pid);
	if (!any)
		SKIP(return, "no page tables in debugfs");
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0
/*
 * The rules common to all ioctls: struct sizes from zero to larger than the kernel's,
 * good and bad pointers, reserved members and unknown flags, and numbers that are not
 * ioctls; and the layouts, which are the same for 32-bit and 64-bit programs.
 */
#include <assert.h>
#include <stddef.h>

#include "cmem_dmabuf.h"

static_assert(sizeof(struct cmem_info) == 56, "layout");
static_assert(offsetof(struct cmem_info, owner) == 40, "layout");
static_assert(offsetof(struct cmem_info, features) == 32, "layout");
static_assert(sizeof(struct cmem_block_info) == 136, "layout");
static_assert(offsetof(struct cmem_block_info, base) == 16, "layout");
static_assert(offsetof(struct cmem_block_info, heap_size) == 40, "layout");
static_assert(offsetof(struct cmem_block_info, quarantined) == 72, "layout");
static_assert(offsetof(struct cmem_block_info, failed) == 104, "layout");
static_assert(offsetof(struct cmem_block_info, pinned_pages) == 128, "layout");
static_assert(sizeof(struct cmem_pool_info) == 88, "layout");
static_assert(offsetof(struct cmem_pool_info, quarantined) == 64, "layout");
static_assert(offsetof(struct cmem_pool_info, failed) == 68, "layout");
static_assert(offsetof(struct cmem_pool_info, pinned_pages) == 80, "layout");
static_assert(offsetof(struct cmem_pool_info, base) == 16, "layout");
static_assert(offsetof(struct cmem_pool_info, count) == 40, "layout");
static_assert(sizeof(struct cmem_find_pool) == 24, "layout");
static_assert(offsetof(struct cmem_find_pool, length) == 16, "layout");
static_assert(sizeof(struct cmem_alloc) == 48, "layout");
static_assert(offsetof(struct cmem_alloc, length) == 16, "layout");
static_assert(offsetof(struct cmem_alloc, mmap_offset) == 40, "layout");
static_assert(sizeof(struct cmem_free) == 16, "layout");
static_assert(sizeof(struct cmem_register) == 48, "layout");
static_assert(offsetof(struct cmem_register, block) == 32, "layout");
static_assert(offsetof(struct cmem_register, dmabuf_fd) == 44, "layout");
static_assert(sizeof(struct cmem_resolve) == 80, "layout");
static_assert(offsetof(struct cmem_resolve, mapping_addr) == 64, "layout");
static_assert(sizeof(struct cmem_changes) == 4, "layout");
static_assert(offsetof(struct cmem_resolve, buffer_flags) == 48, "layout");
static_assert(sizeof(struct cmem_sync_range) == 24, "layout");
static_assert(sizeof(struct cmem_sync) == 24, "layout");
static_assert(offsetof(struct cmem_sync, num_ranges) == 16, "layout");
static_assert(sizeof(struct cmem_sync_all) == 16, "layout");
static_assert(sizeof(struct cmem_export) == 24, "layout");
static_assert(offsetof(struct cmem_export, phys_addr) == 8, "layout");
static_assert(offsetof(struct cmem_export, fd) == 20, "layout");
static_assert(sizeof(struct cmem_block_pool) == 16, "layout");
static_assert(sizeof(struct cmem_block_add) == 64, "layout");
static_assert(offsetof(struct cmem_block_add, base) == 16, "layout");
static_assert(offsetof(struct cmem_block_add, quarantine_ms) == 40, "layout");
static_assert(sizeof(struct cmem_block_remove) == 16, "layout");
static_assert(sizeof(struct cmem_release) == 40, "layout");
static_assert(offsetof(struct cmem_release, phys_addr) == 16, "layout");
static_assert(sizeof(struct cmem_import_dmabuf) == 40, "layout");
static_assert(offsetof(struct cmem_import_dmabuf, phys_addr) == 16, "layout");
static_assert(offsetof(struct cmem_import_dmabuf, fd) == 32, "layout");

union any_arg {
	__u32 size;
	struct cmem_info info;
	struct cmem_block_info block;
	struct cmem_pool_info pool;
	struct cmem_find_pool find;
	struct cmem_alloc alloc;
	struct cmem_free free;
	struct cmem_register reg;
	struct cmem_resolve res;
	struct cmem_sync sync;
	struct cmem_sync_all all;
	struct cmem_export export;
	struct cmem_block_add add;
	struct cmem_block_remove remove;
	struct cmem_release release;
	struct cmem_import_dmabuf import;
	unsigned char bytes[96];
};

/* A 32-bit member that refuses all bits except @known. */
struct strict {
	size_t offset;
	__u32 known;
};

FIXTURE(abi)
{
	int fd;
	int other_fd;			/* owns a buffer that @fd may register */
	struct cmem_alloc own;
	struct cmem_alloc others;
	int dmabuf;			/* of @others */
	struct source src;
	void *map;			/* of @own */
	struct cmem_sync_range range;
	struct spare_block spare;
	unsigned char *mem;		/* four pages, the last one inaccessible */
	unsigned long page;
	struct snapshot before;
};

FIXTURE_VARIANT(abi)
{
	unsigned long cmd;
	size_t size;
	size_t first_size;		/* of its first version, if different */
	bool writes;			/* writes the struct back */
	bool pools;			/* needs a pool */
	bool spare;			/* needs a removable block */
	bool away;			/* and needs it removed */
	struct strict strict[3];
	/* Prepares a call that succeeds; members that are only written hold junk. */
	void (*prepare)(FIXTURE_DATA(abi) *self, union any_arg *arg);
	/* Undoes what the successful call did. */
	int (*undo)(FIXTURE_DATA(abi) *self, union any_arg *arg);
};

static int undo_nothing(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	return 0;
}

static void prepare_info(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	arg->info.flags = 0;
}

static void prepare_block(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	arg->block.block = self->src.block;
	arg->block.flags = 0;
}

static void prepare_pool(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	arg->pool.block = self->src.block;
	arg->pool.pool = self->src.pool;
	arg->pool.flags = 0;
	arg->pool.__reserved = 0;
}

static void prepare_find(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	arg->find.block = self->src.block;
	arg->find.flags = 0;
	arg->find.length = self->src.length;
}

static void prepare_alloc(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	arg->alloc.block = self->src.block;
	arg->alloc.pool = self->src.pool;
	arg->alloc.flags = CMEM_ALLOC_CACHED;
	arg->alloc.length = self->src.length;
	arg->alloc.alignment = 0;
}

static int undo_alloc(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	return cmem_free(self->fd, arg->alloc.phys_addr);
}

static void prepare_free(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	arg->free.flags = 0;
	arg->free.phys_addr = self->others.phys_addr;
}

static int undo_free(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	return cmem_register(self->fd, self->others.phys_addr);
}

static void prepare_register(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	arg->reg.flags = 0;
	arg->reg.phys_addr = self->others.phys_addr;
	arg->reg.dmabuf_fd = 0;
}

static void prepare_register_dmabuf(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	arg->reg.flags = CMEM_REGISTER_DMABUF;
	arg->reg.dmabuf_fd = self->dmabuf;
}

static int undo_register(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	return cmem_free(self->fd, self->others.phys_addr);
}

static void prepare_resolve(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	arg->res.flags = 0;
	arg->res.user_addr = (unsigned long)self->map;
	arg->res.__reserved = 0;
}

static void prepare_sync(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	self->range = (struct cmem_sync_range){
		.user_addr = (unsigned long)self->map,
		.length = self->page,
		.op = CMEM_SYNC_WRITE_BACK,
	};
	arg->sync.flags = 0;
	arg->sync.ranges = (unsigned long)&self->range;
	arg->sync.num_ranges = 1;
	arg->sync.range_size = 0;
}

static void prepare_sync_all(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	arg->all.flags = 0;
	arg->all.op = CMEM_SYNC_WRITE_BACK;
	arg->all.__reserved = 0;
}

static void prepare_export(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	arg->export.flags = 0;
	arg->export.phys_addr = self->own.phys_addr;
	arg->export.fd_flags = O_RDWR | O_CLOEXEC;
}

static int undo_export(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	return close(arg->export.fd) ? -errno : 0;
}

static void prepare_import(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	arg->import.flags = 0;
	arg->import.dmabuf_fd = self->dmabuf;
	arg->import.fd_flags = O_CLOEXEC;
	arg->import.__reserved = 0;
}

static int undo_import(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	return close(arg->import.fd) ? -errno : 0;
}

static void prepare_block_add(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	arg->add = (struct cmem_block_add){
		.block = self->spare.info.block, .num_pools = self->spare.info.num_pools,
		.base = self->spare.info.base, .length = self->spare.info.length,
		.pools = (unsigned long)self->spare.pool,
	};
}

static int undo_block_add(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	return cmem_block_remove(self->fd, self->spare.info.block);
}

static void prepare_block_remove(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	arg->remove = (struct cmem_block_remove){ .block = self->spare.info.block };
}

static int undo_block_remove(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	return put_back_block(self->fd, &self->spare);
}

/* Nothing is in quarantine. */
static void prepare_release(FIXTURE_DATA(abi) *self, union any_arg *arg)
{
	arg->release.block = self->src.block;
	arg->release.flags = 0;
	arg->release.__reserved = 0;
	arg->release.phys_addr = 0;
}

#define FLAGS(type, known) { offsetof(struct type, flags), known }
#define RESERVED(type) { offsetof(struct type, __reserved), 0 }

FIXTURE_VARIANT_ADD(abi, get_info) {
	.cmd = CMEM_IOCTL_GET_INFO, .size = sizeof(struct cmem_info), .writes = true,
	.first_size = offsetof(struct cmem_info, owner),
	.strict = { FLAGS(cmem_info, 0) },
	.prepare = prepare_info, .undo = undo_nothing,
};

FIXTURE_VARIANT_ADD(abi, get_block) {
	.cmd = CMEM_IOCTL_GET_BLOCK, .size = sizeof(struct cmem_block_info), .writes = true,
	.first_size = offsetof(struct cmem_block_info, quarantined),
	.strict = { FLAGS(cmem_block_info, 0) },
	.prepare = prepare_block, .undo = undo_nothing,
};

FIXTURE_VARIANT_ADD(abi, get_pool) {
	.cmd = CMEM_IOCTL_GET_POOL, .size = sizeof(struct cmem_pool_info), .writes = true,
	.first_size = offsetof(struct cmem_pool_info, quarantined),
	.pools = true,
	.strict = { FLAGS(cmem_pool_info, 0), RESERVED(cmem_pool_info) },
	.prepare = prepare_pool, .undo = undo_nothing,
};

FIXTURE_VARIANT_ADD(abi, find_pool) {
	.cmd = CMEM_IOCTL_FIND_POOL, .size = sizeof(struct cmem_find_pool), .writes = true,
	.pools = true,
	.strict = { FLAGS(cmem_find_pool, 0) },
	.prepare = prepare_find, .undo = undo_nothing,
};

FIXTURE_VARIANT_ADD(abi, alloc) {
	.cmd = CMEM_IOCTL_ALLOC, .size = sizeof(struct cmem_alloc), .writes = true,
	.strict = { FLAGS(cmem_alloc, CMEM_ALLOC_CACHED | CMEM_ALLOC_PRIVATE |
				      CMEM_ALLOC_HEAP_FALLBACK | CMEM_ALLOC_QUARANTINE |
				      CMEM_ALLOC_PAGES) },
	.prepare = prepare_alloc, .undo = undo_alloc,
};

FIXTURE_VARIANT_ADD(abi, free) {
	.cmd = CMEM_IOCTL_FREE, .size = sizeof(struct cmem_free), .writes = false,
	.strict = { FLAGS(cmem_free, 0) },
	.prepare = prepare_free, .undo = undo_free,
};

FIXTURE_VARIANT_ADD(abi, register) {
	.cmd = CMEM_IOCTL_REGISTER, .size = sizeof(struct cmem_register), .writes = true,
	.strict = { FLAGS(cmem_register, CMEM_REGISTER_DMABUF),
		    { offsetof(struct cmem_register, dmabuf_fd), 0 } },
	.prepare = prepare_register, .undo = undo_register,
};

FIXTURE_VARIANT_ADD(abi, register_dmabuf) {
	.cmd = CMEM_IOCTL_REGISTER, .size = sizeof(struct cmem_register), .writes = true,
	.strict = { FLAGS(cmem_register, CMEM_REGISTER_DMABUF) },
	.prepare = prepare_register_dmabuf, .undo = undo_register,
};

FIXTURE_VARIANT_ADD(abi, resolve) {
	.cmd = CMEM_IOCTL_RESOLVE, .size = sizeof(struct cmem_resolve), .writes = true,
	.first_size = offsetof(struct cmem_resolve, mapping_addr),
	.strict = { FLAGS(cmem_resolve, 0), RESERVED(cmem_resolve) },
	.prepare = prepare_resolve, .undo = undo_nothing,
};

FIXTURE_VARIANT_ADD(abi, sync) {
	.cmd = CMEM_IOCTL_SYNC, .size = sizeof(struct cmem_sync), .writes = false,
	.strict = { FLAGS(cmem_sync, CMEM_SYNC_BY_PHYS) },
	.prepare = prepare_sync, .undo = undo_nothing,
};

FIXTURE_VARIANT_ADD(abi, sync_all) {
	.cmd = CMEM_IOCTL_SYNC_ALL, .size = sizeof(struct cmem_sync_all), .writes = false,
	.strict = { FLAGS(cmem_sync_all, 0), RESERVED(cmem_sync_all) },
	.prepare = prepare_sync_all, .undo = undo_nothing,
};

FIXTURE_VARIANT_ADD(abi, export) {
	.cmd = CMEM_IOCTL_EXPORT, .size = sizeof(struct cmem_export), .writes = true,
	.strict = { FLAGS(cmem_export, CMEM_EXPORT_USER_ADDR),
		    { offsetof(struct cmem_export, fd_flags), O_CLOEXEC | O_ACCMODE } },
	.prepare = prepare_export, .undo = undo_export,
};

FIXTURE_VARIANT_ADD(abi, block_add) {
	.cmd = CMEM_IOCTL_BLOCK_ADD, .size = sizeof(struct cmem_block_add), .writes = false,
	.first_size = offsetof(struct cmem_block_add, quarantine_ms),
	.spare = true, .away = true,
	.strict = { FLAGS(cmem_block_add, CMEM_BLOCK_KEEP_CONTENTS | CMEM_BLOCK_QUARANTINE |
					   CMEM_BLOCK_IS_MEMORY | CMEM_BLOCK_DMA_HEAP_POOLS |
					   CMEM_BLOCK_PAGES) },
	.prepare = prepare_block_add, .undo = undo_block_add,
};

FIXTURE_VARIANT_ADD(abi, block_remove) {
	.cmd = CMEM_IOCTL_BLOCK_REMOVE, .size = sizeof(struct cmem_block_remove),
	.writes = false, .spare = true,
	.strict = { FLAGS(cmem_block_remove, 0), RESERVED(cmem_block_remove) },
	.prepare = prepare_block_remove, .undo = undo_block_remove,
};

FIXTURE_VARIANT_ADD(abi, release) {
	.cmd = CMEM_IOCTL_RELEASE, .size = sizeof(struct cmem_release), .writes = true,
	.strict = { FLAGS(cmem_release, CMEM_RELEASE_BUFFER), RESERVED(cmem_release) },
	.prepare = prepare_release, .undo = undo_nothing,
};

FIXTURE_VARIANT_ADD(abi, import) {
	.cmd = CMEM_IOCTL_IMPORT, .size = sizeof(struct cmem_import_dmabuf), .writes = true,
	.strict = { FLAGS(cmem_import_dmabuf, 0), RESERVED(cmem_import_dmabuf),
		    { offsetof(struct cmem_import_dmabuf, fd_flags), O_CLOEXEC } },
	.prepare = prepare_import, .undo = undo_import,
};

FIXTURE_SETUP(abi)
{
	self->page = page_size();
	OPEN_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	/* Two buffers exist, and the call under test may need a third. */
	if (!find_pool_source(ANY_KIND, 1, 3, &self->src) &&
	    (variant->pools || !find_heap_source(ANY_KIND, 3 * self->page, &self->src)))
		SKIP(return, "no %s with room for three buffers",
		     variant->pools ? "pool" : "pool or heap");
	if (self->src.pool == CMEM_POOL_HEAP)
		self->src.length = self->page;
	self->other_fd = cmem_open();
	ASSERT_LE(0, self->other_fd);
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, CMEM_ALLOC_CACHED, &self->own));
	ASSERT_EQ(0, source_alloc(self->other_fd, &self->src, 0, &self->others));
	ASSERT_EQ(0, cmem_register(self->fd, self->others.phys_addr));
	self->dmabuf = cmem_export(self->other_fd, self->others.phys_addr, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->dmabuf);
	self->map = cmem_map(self->fd, &self->own);
	ASSERT_MAPPED(self->map);
	self->mem = mmap(NULL, 4 * self->page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(self->mem);
	ASSERT_EQ(0, mprotect(self->mem + 3 * self->page, self->page, PROT_NONE));
	if (variant->spare && !find_spare_block(self->fd, self->src.block, &self->spare))
		SKIP(return, "no block to remove");
	if (variant->away) {
		ASSERT_EQ(0, cmem_block_remove(self->fd, self->spare.info.block));
	}
}

FIXTURE_TEARDOWN(abi)
{
	munmap(self->map, self->own.length);
	munmap(self->mem, 4 * self->page);
	if (variant->away) {
		EXPECT_EQ(0, put_back_block(self->fd, &self->spare));
	}
	close(self->dmabuf);
	close(self->fd);
	close(self->other_fd);
	expect_same(&self->before);
}

/* A call that succeeds, with a struct as long as the kernel's. */
static void valid(FIXTURE_DATA(abi) *self, const FIXTURE_VARIANT(abi) *variant,
		  union any_arg *arg)
{
	memset(arg, 0xa5, sizeof(*arg));
	variant->prepare(self, arg);
	arg->size = variant->size;
}

/* Writes the call to memory at @at, with @size in its first member. */
static void put(FIXTURE_DATA(abi) *self, const FIXTURE_VARIANT(abi) *variant, void *at,
		__u32 size)
{
	union any_arg arg;

	valid(self, variant, &arg);
	memcpy(at, &arg, variant->size);
	memcpy(at, &size, sizeof(size));
}

#define call(at) cmem_ioctl(self->fd, variant->cmd, at)

/* The call at @at succeeds and is undone. */
#define EXPECT_SERVED(at) do {						\
	union any_arg _done;						\
	ASSERT_EQ(0, call(at));						\
	memcpy(&_done, at, variant->size);				\
	ASSERT_EQ(0, variant->undo(self, &_done));			\
} while (0)

TEST_F(abi, a_correct_call_is_served_and_size_is_left_alone)
{
	union any_arg arg, sent;

	valid(self, variant, &arg);
	sent = arg;
	ASSERT_EQ(0, call(&arg));
	EXPECT_EQ(variant->size, arg.size);
	if (!variant->writes) {
		EXPECT_EQ(0, memcmp(&sent, &arg, sizeof(arg)));
	} else {
		EXPECT_NE(0, memcmp(&sent, &arg, variant->size));
	}
	/* The kernel touches nothing behind the struct. */
	EXPECT_EQ(0, memcmp(sent.bytes + variant->size, arg.bytes + variant->size,
			    sizeof(arg) - variant->size));
	ASSERT_EQ(0, variant->undo(self, &arg));
}

TEST_F(abi, a_struct_at_an_odd_address_is_served)
{
	put(self, variant, self->mem + 1, variant->size);
	EXPECT_SERVED(self->mem + 1);
}

TEST_F(abi, a_struct_across_a_page_boundary_is_served)
{
	unsigned char *at = self->mem + self->page - variant->size / 2;

	put(self, variant, at, variant->size);
	EXPECT_SERVED(at);
}

TEST_F(abi, a_struct_that_ends_where_memory_ends_is_served)
{
	unsigned char *at = self->mem + 3 * self->page - variant->size;

	put(self, variant, at, variant->size);
	EXPECT_SERVED(at);
}

TEST_F(abi, every_size_from_the_first_version_on_is_served)
{
	size_t first = variant->first_size ?: variant->size;

	for (size_t size = first; size <= variant->size; size++) {
		unsigned char *at = self->mem + 3 * self->page - size;
		union any_arg arg;

		/* Missing members count as zero and are not written. */
		valid(self, variant, &arg);
		arg.size = size;
		memcpy(at, &arg, size);
		ASSERT_EQ(0, call(at)) TH_LOG("size %zu", size);
		memcpy(&arg, at, size);
		ASSERT_EQ(0, variant->undo(self, &arg));
	}
}

TEST_F(abi, shorter_than_the_first_version_is_EINVAL)
{
	size_t first = variant->first_size ?: variant->size;

	/* Not every size where that takes minutes. */
	for (__u32 size = 0; size < first; size += 1 + size % (100 / scaled(100))) {
		put(self, variant, self->mem, size);
		EXPECT_REFUSED(EINVAL, call(self->mem)) TH_LOG("size %u", size);
	}
}

/* A program that was built when the struct was shorter */
TEST_F(abi, as_long_as_the_first_version_is_served_and_no_more_is_written)
{
	union any_arg arg, sent, done;

	if (!variant->first_size)
		SKIP(return, "it is the first version");
	valid(self, variant, &arg);
	memset(arg.bytes + variant->first_size, 0xa5, sizeof(arg) - variant->first_size);
	arg.size = variant->first_size;
	sent = arg;
	ASSERT_EQ(0, call(&arg));
	EXPECT_EQ(0, memcmp(sent.bytes + variant->first_size, arg.bytes + variant->first_size,
			    sizeof(arg) - variant->first_size));
	done = arg;
	ASSERT_EQ(0, variant->undo(self, &done));
}

TEST_F(abi, longer_with_a_zero_tail_is_served_and_the_tail_stays_zero)
{
	const __u32 tails[] = { 1, 4, 8, 64, 1024, self->page - variant->size };

	for (size_t i = 0; i < ARRAY_SIZE(tails); i++) {
		memset(self->mem, 0, 3 * self->page);
		put(self, variant, self->mem, variant->size + tails[i]);
		EXPECT_SERVED(self->mem);
		EXPECT_EQ(variant->size + tails[i], *(__u32 *)self->mem);
		for (size_t b = variant->size; b < variant->size + tails[i]; b++) {
			ASSERT_EQ(0, self->mem[b]);
		}
	}
}

TEST_F(abi, longer_with_a_nonzero_tail_is_E2BIG)
{
	const __u32 tails[] = { 1, 4, 8, 64, 1024, self->page - variant->size };

	for (size_t i = 0; i < ARRAY_SIZE(tails); i++) {
		const __u32 at[] = { 0, tails[i] / 2, tails[i] - 1 };

		for (size_t j = 0; j < ARRAY_SIZE(at); j++) {
			memset(self->mem, 0, 3 * self->page);
			put(self, variant, self->mem, variant->size + tails[i]);
			self->mem[variant->size + at[j]] = 0x80;
			EXPECT_REFUSED(E2BIG, call(self->mem))
				TH_LOG("tail of %u, byte %u", tails[i], at[j]);
		}
	}
}

TEST_F(abi, longer_with_a_tail_that_can_not_be_read_is_EFAULT)
{
	unsigned char *at = self->mem + 3 * self->page - variant->size;
	const __u32 tails[] = { 1, 4, 8, 64, self->page - variant->size };

	for (size_t i = 0; i < ARRAY_SIZE(tails); i++) {
		put(self, variant, at, variant->size + tails[i]);
		EXPECT_REFUSED(EFAULT, call(at)) TH_LOG("tail of %u", tails[i]);
	}
	/* All but its last byte is readable. */
	at = self->mem + 2 * self->page + 1;
	memset(self->mem, 0, 3 * self->page);
	put(self, variant, at, self->page);
	EXPECT_REFUSED(EFAULT, call(at));
}

TEST_F(abi, longer_than_a_page_is_E2BIG_whatever_is_in_it)
{
	unsigned char *end = self->mem + 3 * self->page - variant->size;
	const __u32 sizes[] = {
		self->page + 1, 2 * self->page, 3 * self->page, 1u << 30, 1u << 31, ~0u,
	};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		memset(self->mem, 0, 3 * self->page);
		put(self, variant, self->mem, sizes[i]);
		EXPECT_REFUSED(E2BIG, call(self->mem)) TH_LOG("size %u", sizes[i]);
		put(self, variant, end, sizes[i]);
		EXPECT_REFUSED(E2BIG, call(end)) TH_LOG("size %u", sizes[i]);
	}
}

TEST_F(abi, bad_pointers_are_EFAULT)
{
	void *unmapped = mmap(NULL, self->page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *const bad[] = {
		NULL, (void *)8, unmapped, self->mem + 3 * self->page,
		(void *)(~0UL - 4095), (void *)(~0UL - 3), (void *)~0UL,
		/* kernel addresses: the linear map of arm64, arm, x86_64 */
		(void *)(1UL << (sizeof(long) * 8 - 1) | 1UL << (sizeof(long) * 8 - 2)),
		(void *)(~0UL << (sizeof(long) == 8 ? 48 : 30)),
	};

	ASSERT_MAPPED(unmapped);
	ASSERT_EQ(0, munmap(unmapped, self->page));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_REFUSED(EFAULT, call(bad[i])) TH_LOG("pointer %p", bad[i]);
	}
}

TEST_F(abi, a_struct_that_reaches_into_nothing_is_EFAULT)
{
	unsigned char *end = self->mem + 3 * self->page;

	for (size_t in = 1; in < variant->size; in += 1 + in % (100 / scaled(100))) {
		union any_arg arg;

		valid(self, variant, &arg);
		memcpy(end - in, &arg, in);
		EXPECT_REFUSED(EFAULT, call(end - in)) TH_LOG("%zu bytes readable", in);
	}
}

TEST_F(abi, a_result_that_can_not_be_written_is_EFAULT_and_nothing_is_left_behind)
{
	unsigned char *second = self->mem + self->page;
	unsigned char *const at[] = { second, second - variant->size + 8 };
	__u64 had = source_free(self->fd, &self->src);
	int fds = count_fds();

	/* The whole struct is read-only, then all but its last 8 bytes. */
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		/* FIND_POOL has no result in its last 8 bytes. */
		if (i && variant->cmd == CMEM_IOCTL_FIND_POOL)
			continue;
		put(self, variant, at[i], variant->size);
		ASSERT_EQ(0, mprotect(second, self->page, PROT_READ));
		if (variant->writes) {
			EXPECT_REFUSED(EFAULT, call(at[i]));
		} else {
			EXPECT_SERVED(at[i]);
		}
		ASSERT_EQ(0, mprotect(second, self->page, PROT_READ | PROT_WRITE));
	}
	EXPECT_EQ(had, source_free(self->fd, &self->src));
	EXPECT_EQ(fds, count_fds());

	/* The file's registrations are as before, too: one registration. */
	EXPECT_EQ(0, cmem_free(self->fd, self->others.phys_addr));
	EXPECT_EQ(-EPERM, cmem_free(self->fd, self->others.phys_addr));
}

TEST_F(abi, unknown_flags_and_reserved_members_are_EOPNOTSUPP)
{
	for (size_t i = 0; i < ARRAY_SIZE(variant->strict); i++) {
		const struct strict *s = &variant->strict[i];

		for (int bit = 0; s->offset && bit < 32; bit++) {
			union any_arg arg;
			__u32 word;

			if (s->known >> bit & 1)
				continue;
			valid(self, variant, &arg);
			memcpy(&word, arg.bytes + s->offset, sizeof(word));
			word |= 1u << bit;
			memcpy(arg.bytes + s->offset, &word, sizeof(word));
			EXPECT_REFUSED(EOPNOTSUPP, call(&arg))
				TH_LOG("offset %zu bit %d", s->offset, bit);
		}
	}
}

TEST_F(abi, another_direction_size_or_type_is_ENOTTY)
{
	unsigned int nr = _IOC_NR(variant->cmd);
	const unsigned int types[] = { CMEM_IOCTL_TYPE - 1, CMEM_IOCTL_TYPE + 1 };
	const unsigned int dirs[] = { _IOC_READ, _IOC_WRITE, _IOC_READ | _IOC_WRITE };
	union any_arg arg;

	ASSERT_EQ(variant->cmd, _IO(CMEM_IOCTL_TYPE, nr));
	valid(self, variant, &arg);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		EXPECT_REFUSED(ENOTTY, cmem_ioctl(self->fd, _IO(types[i], nr), &arg));
	}
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		unsigned long cmd = _IOC(dirs[i], CMEM_IOCTL_TYPE, nr, variant->size);

		EXPECT_REFUSED(ENOTTY, cmem_ioctl(self->fd, cmd, &arg));
		cmd = _IOC(dirs[i], CMEM_IOCTL_TYPE, nr, 0);
		EXPECT_REFUSED(ENOTTY, cmem_ioctl(self->fd, cmd, &arg));
	}
	/* A size alone, without a direction. */
	EXPECT_REFUSED(ENOTTY, cmem_ioctl(self->fd, variant->cmd | variant->size << 16, &arg));
}

FIXTURE(numbers)
{
	int fd;
};

FIXTURE_SETUP(numbers)
{
	OPEN_OR_SKIP(self->fd);
}

FIXTURE_TEARDOWN(numbers)
{
	close(self->fd);
}

TEST_F(numbers, unknown_ioctls_are_ENOTTY_whatever_their_argument)
{
	unsigned char page[4096] = { 64 };
	struct cmem_info info;

	ASSERT_EQ(0, cmem_get_info(self->fd, &info));
	if (info.abi_version != CMEM_ABI_VERSION)
		SKIP(return, "ABI version %u may have more", info.abi_version);
	for (unsigned int nr = CMEM_CMD_IMPORT + 1; nr < 256; nr++) {
		unsigned long cmd = _IO(CMEM_IOCTL_TYPE, nr);

		EXPECT_EQ(-ENOTTY, cmem_ioctl(self->fd, cmd, page)) TH_LOG("number %u", nr);
		EXPECT_EQ(-ENOTTY, cmem_ioctl(self->fd, cmd, NULL)) TH_LOG("number %u", nr);
		EXPECT_EQ(-ENOTTY, cmem_ioctl(self->fd, cmd, (void *)~0UL));
	}
}

TEST_F(numbers, each_version_has_what_it_came_with)
{
	struct cmem_export export = { .size = sizeof(export), .fd_flags = O_RDWR };
	struct cmem_release release = { .size = sizeof(release), .block = 1 << 30 };
	struct cmem_block_info block = { .size = sizeof(block) };
	struct cmem_info info;

	EXPECT_EQ(5, CMEM_ABI_VERSION);
	ASSERT_EQ(0, cmem_get_info(self->fd, &info));
	/* Version 4 introduced quotas: before it, nothing was written there. */
	block.quota = 1;
	if (!cmem_ioctl(self->fd, CMEM_IOCTL_GET_BLOCK, &block)) {
		EXPECT_EQ(info.abi_version >= 4, block.quota != 1);
	}
	/* Version 3 introduced DMA-BUFs. There is no buffer at 0. */
	EXPECT_EQ(info.abi_version >= 3, !!(info.features & CMEM_FEATURE_DMABUF));
	EXPECT_EQ(info.abi_version >= 3 ? -ENOENT : -ENOTTY,
		  cmem_ioctl(self->fd, CMEM_IOCTL_EXPORT, &export));
	/* Version 4 introduced quarantine. There is no such block. */
	EXPECT_EQ(info.abi_version >= 4, !!(info.features & CMEM_FEATURE_QUARANTINE));
	EXPECT_EQ(info.abi_version < 4 ? -ENOTTY : getuid() ? -EPERM : -ENOENT,
		  cmem_ioctl(self->fd, CMEM_IOCTL_RELEASE, &release));
}

TEST_HARNESS_MAIN

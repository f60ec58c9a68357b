// SPDX-License-Identifier: GPL-2.0
/*
 * DMA-BUFs under fire: exporters and importers are killed at every stage and at any
 * moment. A buffer that a process still holds stays unchanged, and afterwards every block
 * is as full as before.
 */
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>

#include "cmem_dmabuf.h"

#define RDWR (O_RDWR | O_CLOEXEC)
#define PAGES 4

/* A process that reports when it reaches the place where it is to be killed */
struct victim {
	pid_t pid;
	int done;			/* a byte arrives here when it is there */
};

#define VICTIM(v) for ((v) = fork_victim(_metadata); !(v).pid; pause())

static int tell_parent;

static struct victim fork_victim(struct __test_metadata *_metadata)
{
	struct victim v;
	int ends[2];

	ASSERT_EQ(0, pipe(ends));
	v.pid = fork_child(_metadata);
	v.done = ends[0];
	if (v.pid) {
		close(ends[1]);
		return v;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(ends[0]);
	tell_parent = ends[1];
	return v;
}

static void there(struct __test_metadata *_metadata)
{
	ASSERT_EQ(1, write(tell_parent, "", 1));
}

static void wait_for(struct __test_metadata *_metadata, struct victim v)
{
	char byte;

	ASSERT_EQ(1, read(v.done, &byte, 1)) TH_LOG("he died on his way");
}

static void kill_victim(struct __test_metadata *_metadata, struct victim v)
{
	int status;

	ASSERT_EQ(0, kill(v.pid, SIGKILL));
	ASSERT_EQ(v.pid, waitpid(v.pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		TH_LOG("he ended by himself");
	close(v.done);
}

FIXTURE(stage)
{
	int fd;
	struct source src;
	int pair[2];
	__u64 free;
	struct snapshot before;
};

FIXTURE_VARIANT(stage)
{
	int kind;
	bool heap;
};

FIXTURE_VARIANT_ADD(stage, pool) { .kind = ANY_KIND, .heap = false };
FIXTURE_VARIANT_ADD(stage, heap) { .kind = ANY_KIND, .heap = true };
FIXTURE_VARIANT_ADD(stage, cma_pool) { .kind = CMEM_KIND_CMA, .heap = false };
FIXTURE_VARIANT_ADD(stage, cma_heap) { .kind = CMEM_KIND_CMA, .heap = true };
FIXTURE_VARIANT_ADD(stage, sram_pool) { .kind = CMEM_KIND_SRAM, .heap = false };

FIXTURE_SETUP(stage)
{
	OPEN_OR_SKIP(self->fd);
	DMABUF_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!find_source(variant->kind, variant->heap, PAGES * page_size(), &self->src))
		SKIP(return, "no such memory on this board");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, self->pair))
		SKIP(return, "no unix sockets: %s", strerror(errno));
	self->free = source_free(self->fd, &self->src);
}

FIXTURE_TEARDOWN(stage)
{
	close(self->pair[0]);
	close(self->pair[1]);
	close(self->fd);
	expect_same(&self->before);
}

/* What an exporter does, step by step */
enum {
	ALLOCATED, FILLED, EXPORTED, EXPORTED_AGAIN, MAPPED_IT, PASSED, FREED, FILE_CLOSED,
	DMABUF_CLOSED, UNMAPPED, STAGES
};

static void export_until(struct __test_metadata *_metadata, const struct source *src, int socket,
			 int stage)
{
	struct cmem_alloc buf;
	int fd = cmem_open(), dmabuf = -1, second = -1;
	char *own = NULL, *map = NULL;

	ASSERT_LE(0, fd);
	for (int i = 0; i <= stage; i++) {
		switch (i) {
		case ALLOCATED:
			ASSERT_EQ(0, source_alloc(fd, src, CMEM_ALLOC_CACHED, &buf));
			break;
		case FILLED:
			own = cmem_map(fd, &buf);
			ASSERT_MAPPED(own);
			fill(own, buf.length, 9);
			break;
		case EXPORTED:
			dmabuf = cmem_export(fd, buf.phys_addr, RDWR);
			ASSERT_LE(0, dmabuf);
			/* Importers invalidate. */
			ASSERT_EQ(0, dmabuf_sync(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE));
			break;
		case EXPORTED_AGAIN:
			second = cmem_export(fd, buf.phys_addr, O_RDONLY);
			ASSERT_LE(0, second);
			break;
		case MAPPED_IT:
			map = dmabuf_map(dmabuf, 0, buf.length);
			ASSERT_MAPPED(map);
			ASSERT_EQ(-1, find_stranger(map, buf.length, 9));
			break;
		case PASSED:
			ASSERT_EQ(0, send_fd(socket, dmabuf));
			ASSERT_EQ(sizeof(buf), write(socket, &buf, sizeof(buf)));
			break;
		case FREED:
			ASSERT_EQ(0, cmem_free(fd, buf.phys_addr));
			break;
		case FILE_CLOSED:
			close(fd);
			break;
		case DMABUF_CLOSED:
			close(dmabuf);
			close(second);
			break;
		case UNMAPPED:
			ASSERT_EQ(0, munmap(map, buf.length));
			ASSERT_EQ(0, munmap(own, buf.length));
			break;
		}
	}
}

TEST_F(stage, an_exporter_that_is_killed_takes_nothing_from_the_importer)
{
	for (int stage = 0; stage < STAGES; stage++) {
		struct cmem_alloc buf;
		struct victim exporter;
		__u64 held;
		char *map;
		int fd;

		VICTIM(exporter) {
			export_until(_metadata, &self->src, self->pair[1], stage);
			there(_metadata);
		}
		wait_for(_metadata, exporter);
		held = source_free(self->fd, &self->src);
		ASSERT_GT(self->free, held) TH_LOG("stage %d", stage);
		if (stage < PASSED) {
			/* No other process holds it. */
			kill_victim(_metadata, exporter);
			ASSERT_EQ(self->free, source_free(self->fd, &self->src))
				TH_LOG("stage %d", stage);
			continue;
		}
		/* Still in flight, or received, or mapped as well */
		fd = -1;
		map = MAP_FAILED;
		if (stage % 2) {
			fd = receive_fd(self->pair[0]);
			ASSERT_LE(0, fd);
			map = dmabuf_map(fd, 0, PAGES * page_size());
			ASSERT_MAPPED(map);
		}
		kill_victim(_metadata, exporter);
		ASSERT_EQ(held, source_free(self->fd, &self->src)) TH_LOG("stage %d", stage);
		if (fd < 0) {
			fd = receive_fd(self->pair[0]);
			ASSERT_LE(0, fd);
			map = dmabuf_map(fd, 0, PAGES * page_size());
			ASSERT_MAPPED(map);
		}
		ASSERT_EQ(sizeof(buf), read(self->pair[0], &buf, sizeof(buf)));
		expect_not_given_away(&self->src, &buf);
		EXPECT_EQ(-1, find_stranger(map, PAGES * page_size(), 9)) TH_LOG("stage %d", stage);
		EXPECT_EQ(0, cmem_register_dmabuf(self->fd, fd));
		EXPECT_EQ(0, cmem_free(self->fd, buf.phys_addr));
		close(fd);
		ASSERT_EQ(held, source_free(self->fd, &self->src)) TH_LOG("stage %d", stage);
		ASSERT_EQ(0, munmap(map, PAGES * page_size()));
		ASSERT_EQ(self->free, source_free(self->fd, &self->src)) TH_LOG("stage %d", stage);
	}
}

/* Maps, checks, registers and releases, over and over, until @go is readable. */
static void import_over_and_over(struct __test_metadata *_metadata, int dmabuf,
				 const struct cmem_alloc *buf, int go)
{
	struct pollfd ready = { .fd = go, .events = POLLIN };
	int fd = cmem_open();
	int vgem = vgem_open();
	bool attach = vgem >= 0 && has_page(buf->phys_addr);
	unsigned int rounds = 0;

	ASSERT_LE(0, fd);
	do {
		const __u64 at = rounds % PAGES * page_size();
		char *map = dmabuf_map(dmabuf, at, page_size()), *all;
		__u32 handle;

		ASSERT_MAPPED(map);
		ASSERT_EQ(fill_word(9, at / 8), *(volatile __u64 *)map);
		ASSERT_EQ(0, dmabuf_sync(dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ));
		if (attach)
			ASSERT_EQ(0, vgem_import(vgem, dmabuf, &handle));
		ASSERT_EQ(0, cmem_register_dmabuf(fd, dmabuf));
		all = cmem_map(fd, buf);
		ASSERT_MAPPED(all);
		ASSERT_EQ(-1, find_stranger(all, PAGES * page_size(), 9));
		ASSERT_EQ(0, munmap(map, page_size()));
		ASSERT_EQ(0, cmem_free(fd, buf->phys_addr));
		if (attach)
			ASSERT_EQ(0, vgem_close_handle(vgem, handle));
		ASSERT_EQ(0, munmap(all, buf->length));
		ASSERT_EQ(0, dmabuf_sync(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ));
		if (++rounds == 3)
			there(_metadata);
	} while (rounds < 10 || !poll(&ready, 1, 0));
}

TEST_F(stage, an_exporter_is_killed_while_importers_map)
{
	enum { IMPORTERS = 3 };

	for (unsigned int n = 0; n < scaled(20); n++) {
		struct victim exporter, importer[IMPORTERS];
		struct cmem_alloc buf;
		int fd, go[2], status;
		char byte;

		ASSERT_EQ(0, pipe(go));
		VICTIM(exporter) {
			export_until(_metadata, &self->src, self->pair[1], PASSED + n % 3);
			there(_metadata);
		}
		fd = receive_fd(self->pair[0]);
		ASSERT_LE(0, fd);
		ASSERT_EQ(sizeof(buf), read(self->pair[0], &buf, sizeof(buf)));
		wait_for(_metadata, exporter);
		for (int i = 0; i < IMPORTERS; i++) {
			VICTIM(importer[i]) {
				close(go[1]);
				import_over_and_over(_metadata, fd, &buf, go[0]);
				_exit(CHILD_EXIT_OK);
			}
		}
		close(fd);
		for (int i = 0; i < IMPORTERS; i++)
			wait_for(_metadata, importer[i]);
		kill_victim(_metadata, exporter);
		/* They continue, and one of them dies as well. */
		kill_victim(_metadata, importer[0]);
		EXPECT_GT(self->free, source_free(self->fd, &self->src));
		close(go[1]);
		for (int i = 1; i < IMPORTERS; i++) {
			ASSERT_EQ(importer[i].pid, waitpid(importer[i].pid, &status, 0));
			ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == CHILD_EXIT_OK)
				TH_LOG("an importer saw something else: status %#x", status);
			close(importer[i].done);
		}
		close(go[0]);
		ASSERT_EQ(self->free, source_free(self->fd, &self->src)) TH_LOG("time %u", n);
		ASSERT_EQ(-1, recv(self->pair[0], &byte, 1, MSG_DONTWAIT));
	}
}

/* What an importer does with a DMA-BUF of another process, and a device of its own */
enum { HAS_IT, MAPPED, IMPORTED, IMPORTED_TWICE, FD_CLOSED, GIVEN_BACK, SYNCED, IMPORTER_STAGES };

static void import_until(struct __test_metadata *_metadata, int dmabuf, int stage)
{
	int vgem[2] = { vgem_open(), vgem_open() }, back = -1;
	__u32 handle[2];
	char *map;

	ASSERT_LE(0, vgem[0]);
	ASSERT_LE(0, vgem[1]);
	for (int i = 0; i <= stage; i++) {
		switch (i) {
		case MAPPED:
			map = dmabuf_map(dmabuf, 0, PAGES * page_size());
			ASSERT_MAPPED(map);
			ASSERT_EQ(-1, find_stranger(map, PAGES * page_size(), 9));
			break;
		case IMPORTED:
			ASSERT_EQ(0, vgem_import(vgem[0], dmabuf, &handle[0]));
			break;
		case IMPORTED_TWICE:
			ASSERT_EQ(0, vgem_import(vgem[1], dmabuf, &handle[1]));
			break;
		case FD_CLOSED:
			close(dmabuf);
			break;
		case GIVEN_BACK:
			back = vgem_export(vgem[1], handle[1]);
			ASSERT_LE(0, back);
			break;
		case SYNCED:
			ASSERT_EQ(0, dmabuf_sync(back, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ));
			break;
		}
	}
}

TEST_F(stage, an_importer_that_is_killed_while_a_device_has_it_lets_go)
{
	int vgem = vgem_open();

	if (vgem < 0)
		SKIP(return, "no vgem in this kernel");
	close(vgem);
	for (int stage = 0; stage < IMPORTER_STAGES; stage++) {
		/* Whether the exporter dies first */
		for (int gone = 0; gone < 2; gone++) {
			struct victim importer;
			struct cmem_alloc buf;
			int fd = cmem_open(), dmabuf;
			char *map;

			ASSERT_EQ(0, source_alloc(fd, &self->src, CMEM_ALLOC_CACHED, &buf));
			if (!has_page(buf.phys_addr)) {
				close(fd);
				SKIP(return, "this memory has no struct pages");
			}
			map = cmem_map(fd, &buf);
			ASSERT_MAPPED(map);
			fill(map, buf.length, 9);
			dmabuf = cmem_export(fd, buf.phys_addr, RDWR);
			ASSERT_LE(0, dmabuf);
			VICTIM(importer) {
				ASSERT_EQ(0, munmap(map, buf.length));
				close(fd);
				import_until(_metadata, dmabuf, stage);
				there(_metadata);
			}
			wait_for(_metadata, importer);
			if (gone) {
				close(dmabuf);
				ASSERT_EQ(0, munmap(map, buf.length));
				close(fd);
				EXPECT_GT(self->free, source_free(self->fd, &self->src));
			}
			kill_victim(_metadata, importer);
			if (!gone) {
				EXPECT_GT(self->free, source_free(self->fd, &self->src));
				EXPECT_EQ(-1, find_stranger(map, buf.length, 9));
				close(dmabuf);
				ASSERT_EQ(0, munmap(map, buf.length));
				close(fd);
			}
			ASSERT_TRUE(eventually(source_free(self->fd, &self->src) == self->free))
				TH_LOG("stage %d", stage);
		}
	}
}

/*
 * At any moment
 */

FIXTURE(random)
{
	struct snapshot before;
};

FIXTURE_SETUP(random)
{
	int fd;

	OPEN_OR_SKIP(fd);
	DMABUF_OR_SKIP(fd);
	close(fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!self->before.num_blocks)
		SKIP(return, "no block");
}

FIXTURE_TEARDOWN(random)
{
	expect_same(&self->before);
}

#define HELD 10
#define CHILDREN 4

/* What the children share with their parent: only the numbers it needs. */
struct shared {
	volatile unsigned int steps[CHILDREN];
	volatile unsigned int allocated;
	volatile unsigned int exported;
	volatile unsigned int from_heaps;
	volatile unsigned int registered;
	volatile unsigned int imported;
	volatile unsigned int received;
	volatile unsigned int forked;
};

struct thing {
	int dmabuf;			/* or -1 */
	struct cmem_alloc buf;		/* of fd, if its length is not 0 */
	char *map;			/* of one page, or NULL */
	__u32 tag;			/* what it was filled with */
	__u32 handle;			/* of vgem, or 0 */
	bool registered;		/* also by this process */
};

struct life {
	const struct snapshot *blocks;
	struct shared *shared;
	unsigned int seed;
	int fd;
	int vgem;
	int socket;
	struct thing thing[HELD];
};

/* Children report errors through exit codes of their own. */
#define MUST(condition) do {						\
	if (!(condition)) {						\
		fprintf(stderr, "# %s:%d: %s: %s\n", __FILE__, __LINE__,	\
			#condition, strerror(errno));			\
		_exit(1);						\
	}								\
} while (0)

static unsigned int pick(struct life *l, unsigned int n)
{
	return rand_r(&l->seed) % n;
}

/* The first page is what it was when filled, whoever filled it. */
static void look(const struct thing *t)
{
	if (t->map)
		MUST(find_stranger(t->map, page_size(), t->tag) == -1);
}

static void map_it(struct life *l, struct thing *t, bool fresh)
{
	void *map;

	if (t->map)
		return;
	map = t->dmabuf >= 0 ? dmabuf_map(t->dmabuf, 0, page_size()) :
	      mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, l->fd,
		   t->buf.mmap_offset);
	MUST(map != MAP_FAILED);
	t->map = map;
	if (fresh)
		fill(t->map, page_size(), t->tag);
	look(t);
}

static void drop(struct life *l, struct thing *t)
{
	unsigned int order = pick(l, 2);

	look(t);
	/* Two entries may be one DMA-BUF, and share one handle. */
	if (t->handle && pick(l, 2))
		vgem_close_handle(l->vgem, t->handle);
	if (t->map && order)
		MUST(!munmap(t->map, page_size()));
	if (t->dmabuf >= 0)
		close(t->dmabuf);
	if (t->registered)
		MUST(!cmem_free(l->fd, t->buf.phys_addr));
	if (t->map && !order) {
		look(t);
		MUST(!munmap(t->map, page_size()));
	}
	*t = (struct thing){ .dmabuf = -1 };
}

static void allocate(struct life *l, struct thing *t)
{
	const struct cmem_block_info *b = &l->blocks->block[pick(l, l->blocks->num_blocks)];
	__u64 length = 1 + pick(l, 1 << (8 + pick(l, 10)));
	int ret;

	t->tag = pick(l, 1 << 30) + 1;
	if (pick(l, 3) == 0) {
		int heap = dma_heap_open(b->block);

		if (heap < 0)
			return;
		t->dmabuf = dma_heap_alloc(heap, length);
		close(heap);
		MUST(t->dmabuf >= 0 || t->dmabuf == -ENOMEM);
		if (t->dmabuf < 0) {
			t->dmabuf = -1;
			return;
		}
		l->shared->from_heaps++;
	} else {
		ret = cmem_alloc(l->fd, b->block, pick(l, 2) ? CMEM_POOL_BEST : CMEM_POOL_HEAP,
				 length, pick(l, 8), &t->buf);
		errno = -ret;
		MUST(!ret || ret == -ENOMEM || ret == -ENOENT);
		if (ret)
			return;
		t->registered = true;
		l->shared->allocated++;
	}
	map_it(l, t, true);
}

static void export_it(struct life *l, struct thing *t)
{
	int fd;

	if (!t->registered)
		return;
	fd = cmem_export(l->fd, t->buf.phys_addr, O_RDWR | O_CLOEXEC);
	MUST(fd >= 0);
	if (t->dmabuf >= 0)
		close(t->dmabuf);
	t->dmabuf = fd;
	l->shared->exported++;
}

static void register_it(struct life *l, struct thing *t)
{
	struct cmem_register reg;

	if (t->dmabuf < 0 || t->registered)
		return;
	MUST(!cmem_register_dmabuf_info(l->fd, t->dmabuf, &reg));
	t->buf.phys_addr = reg.phys_addr;
	t->buf.mmap_offset = reg.mmap_offset;
	t->registered = true;
	l->shared->registered++;
}

static void import_it(struct life *l, struct thing *t)
{
	int ret;

	if (t->dmabuf < 0 || t->handle || l->vgem < 0)
		return;
	ret = vgem_import(l->vgem, t->dmabuf, &t->handle);
	errno = -ret;
	/* Some memory has no struct pages. */
	MUST(!ret || ret == -EOPNOTSUPP);
	if (ret)
		t->handle = 0;
	else
		l->shared->imported++;
}

/* Sends it to whichever child receives it, if any; the page has the tag. */
static void pass_on(struct life *l, struct thing *t)
{
	if (t->dmabuf >= 0)
		send_fd(l->socket, t->dmabuf);
}

static void receive(struct life *l, struct thing *t)
{
	t->dmabuf = receive_fd(l->socket);
	if (t->dmabuf < 0) {
		t->dmabuf = -1;
		return;
	}
	t->map = dmabuf_map(t->dmabuf, 0, page_size());
	MUST(t->map != MAP_FAILED);
	t->tag = fill_tag(*(volatile __u64 *)t->map);
	MUST(t->tag);
	look(t);
	l->shared->received++;
}

static void maintain(struct life *l, struct thing *t)
{
	static const __u32 ops[] = {
		CMEM_SYNC_WRITE_BACK, CMEM_SYNC_WRITE_BACK_INVALIDATE,
	};

	if (t->map && pick(l, 2))
		MUST(!cmem_sync(l->fd, t->map + 1, page_size() - 2, ops[pick(l, 2)]));
	if (t->dmabuf >= 0) {
		MUST(!dmabuf_sync(t->dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE));
		MUST(!dmabuf_sync(t->dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ));
	}
}

/* A child that holds all of it for a moment. It ends with its parent at the latest. */
static void multiply(struct life *l)
{
	int status;
	pid_t pid = fork();

	MUST(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i < HELD; i++) {
			look(&l->thing[i]);
			if (i % 2 && l->thing[i].dmabuf >= 0)
				close(l->thing[i].dmabuf);
		}
		_exit(CHILD_EXIT_OK);
	}
	MUST(waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	     WEXITSTATUS(status) == CHILD_EXIT_OK);
	l->shared->forked++;
}

static void live(const struct snapshot *blocks, struct shared *shared, int number, int socket,
		 unsigned int seed)
{
	static struct life life;
	struct life *l = &life;

	*l = (struct life){
		.blocks = blocks, .shared = shared, .seed = seed, .socket = socket,
		.fd = cmem_open(), .vgem = vgem_open(),
	};
	MUST(l->fd >= 0);
	for (int i = 0; i < HELD; i++)
		l->thing[i].dmabuf = -1;
	for (;;) {
		struct thing *t = &l->thing[pick(l, HELD)];
		bool empty = t->dmabuf < 0 && !t->registered && !t->map;

		if (empty) {
			if (pick(l, 3))
				allocate(l, t);
			else
				receive(l, t);
		} else {
			switch (pick(l, 16)) {
			case 0 ... 3:
				export_it(l, t);
				break;
			case 4 ... 5:
				register_it(l, t);
				break;
			case 6 ... 7:
				import_it(l, t);
				break;
			case 8:
				pass_on(l, t);
				break;
			case 9 ... 10:
				maintain(l, t);
				break;
			case 11:
				if (!pick(l, 4))
					multiply(l);
				break;
			case 12:
				map_it(l, t, false);
				break;
			default:
				drop(l, t);
			}
		}
		shared->steps[number]++;
	}
}

/* 100, or 1,000 in kernels with kmemleak; CMEM_TEST_KILLS overrides it. */
static unsigned int kills(void)
{
	const char *number = getenv("CMEM_TEST_KILLS");

	if (number)
		return atoi(number);
	return access("/sys/kernel/debug/kmemleak", F_OK) ? 100 : 1000;
}

TEST_F_TIMEOUT(random, kills_lose_nothing, 3600)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int number = kills(), seed = 1;
	pid_t pid[CHILDREN] = {};
	int pair[2], status;

	ASSERT_MAPPED(shared);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair));
	for (unsigned int n = 0; n < number + CHILDREN; n++) {
		unsigned int i = n % CHILDREN, steps = rand_r(&seed) % 60;

		/* After this many of its steps, in the middle of the next one */
		while (pid[i] && shared->steps[i] < steps) {
			ASSERT_EQ(0, waitpid(pid[i], &status, WNOHANG))
				TH_LOG("one ended by himself: status %#x", status);
			sched_yield();
		}
		if (pid[i]) {
			ASSERT_EQ(0, kill(pid[i], SIGKILL));
			ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
			ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
				TH_LOG("one ended by himself: status %#x", status);
			pid[i] = 0;
		}
		if (n >= number)
			continue;
		shared->steps[i] = 0;
		pid[i] = fork_child(_metadata);
		if (!pid[i]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			live(&self->before, shared, i, pair[n % 2], n);
		}
	}
	TH_LOG("%u kills; %u allocated, %u from heaps, %u exported, %u registered",
	       number, shared->allocated, shared->from_heaps, shared->exported,
	       shared->registered);
	TH_LOG("%u imported, %u received, %u forks", shared->imported, shared->received,
	       shared->forked);
	EXPECT_LT(0, shared->allocated);
	EXPECT_LT(0, shared->exported);
	EXPECT_LT(0, shared->registered);
	EXPECT_LT(0, shared->received);
	/* What is still in flight, and what the kernel does later */
	close(pair[0]);
	close(pair[1]);
	EXPECT_TRUE(eventually(is_same(&self->before)));
}

TEST_HARNESS_MAIN

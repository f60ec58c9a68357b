/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One request at a time through io_uring, and one registered buffer, by its system calls
 * alone: there is no liburing for all architectures of the lab.
 */
#ifndef URING_H
#define URING_H

#include <sys/syscall.h>
#include <sys/uio.h>

#include <linux/io_uring.h>

struct uring {
	int fd;
	unsigned int *sq_tail, *sq_mask, *sq_array;
	unsigned int *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static inline void *uring_map(int fd, size_t length, off_t offset)
{
	void *map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
			 offset);

	if (map == MAP_FAILED)
		fail("a mapping of io_uring: %s", strerror(errno));
	return map;
}

static inline void uring_open(struct uring *ring)
{
	struct io_uring_params p = { 0 };
	char *sq, *cq;

	ring->fd = syscall(__NR_io_uring_setup, 4, &p);
	if (ring->fd < 0)
		fail("io_uring_setup: %s", strerror(errno));
	sq = uring_map(ring->fd, p.sq_off.array + p.sq_entries * sizeof(unsigned int),
		       IORING_OFF_SQ_RING);
	cq = uring_map(ring->fd, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe),
		       IORING_OFF_CQ_RING);
	ring->sqes = uring_map(ring->fd, p.sq_entries * sizeof(struct io_uring_sqe),
			       IORING_OFF_SQES);
	ring->sq_tail = (unsigned int *)(sq + p.sq_off.tail);
	ring->sq_mask = (unsigned int *)(sq + p.sq_off.ring_mask);
	ring->sq_array = (unsigned int *)(sq + p.sq_off.array);
	ring->cq_head = (unsigned int *)(cq + p.cq_off.head);
	ring->cq_tail = (unsigned int *)(cq + p.cq_off.tail);
	ring->cq_mask = (unsigned int *)(cq + p.cq_off.ring_mask);
	ring->cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
}

/* Returns once the kernel has the request; it may take long to finish. */
static inline void uring_submit(struct uring *ring, const struct io_uring_sqe *request)
{
	unsigned int tail = *ring->sq_tail, at = tail & *ring->sq_mask;
	int ret;

	ring->sqes[at] = *request;
	ring->sq_array[at] = at;
	__atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
	ret = syscall(__NR_io_uring_enter, ring->fd, 1, 0, 0, NULL, 0);
	if (ret != 1)
		fail("io_uring_enter: %s", strerror(errno));
}

/* Waits for a request; returns its result. */
static inline int uring_wait(struct uring *ring)
{
	unsigned int head = *ring->cq_head;
	int result;

	while (__atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE) == head)
		if (syscall(__NR_io_uring_enter, ring->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0 &&
		    errno != EINTR)
			fail("io_uring_enter: %s", strerror(errno));
	result = ring->cqes[head & *ring->cq_mask].res;
	__atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
	return result;
}

/* Has the kernel pin a buffer for requests of fixed buffers; returns 0 or a negative errno. */
static inline int uring_register(struct uring *ring, void *memory, size_t length)
{
	struct iovec buffer = { .iov_base = memory, .iov_len = length };

	return syscall(__NR_io_uring_register, ring->fd, IORING_REGISTER_BUFFERS, &buffer, 1) ?
	       -errno : 0;
}

static inline void uring_unregister(struct uring *ring)
{
	if (syscall(__NR_io_uring_register, ring->fd, IORING_UNREGISTER_BUFFERS, NULL, 0))
		fail("IORING_UNREGISTER_BUFFERS: %s", strerror(errno));
}

#endif /* URING_H */

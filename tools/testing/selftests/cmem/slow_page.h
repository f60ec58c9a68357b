/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A page that does not come before the test says so: whoever copies to it sleeps in the
 * kernel, as with a page of a file on a network, or of FUSE.
 */
#ifndef SLOW_PAGE_H
#define SLOW_PAGE_H

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <linux/userfaultfd.h>

#include "cmem_test.h"

struct slow_page {
	int userfault;
	char *page;
};

static inline int slow_page_make(struct slow_page *slow)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	slow->userfault = syscall(__NR_userfaultfd, O_CLOEXEC);
	if (slow->userfault < 0)
		return -errno;
	slow->page = mmap(NULL, page_size(), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (slow->page == MAP_FAILED)
		return -errno;
	reg.range.start = (unsigned long)slow->page;
	reg.range.len = page_size();
	return ioctl(slow->userfault, UFFDIO_API, &api) ||
	       ioctl(slow->userfault, UFFDIO_REGISTER, &reg) ? -errno : 0;
}

/* The kernel sleeps in a copy to the page. */
static inline bool slow_page_is_missed(const struct slow_page *slow)
{
	struct pollfd in = { .fd = slow->userfault, .events = POLLIN };
	struct uffd_msg msg;

	return poll(&in, 1, 300 * 1000) == 1 &&
	       read(slow->userfault, &msg, sizeof(msg)) == sizeof(msg) &&
	       msg.event == UFFD_EVENT_PAGEFAULT;
}

static inline void slow_page_let_come(const struct slow_page *slow)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (unsigned long)slow->page, .len = page_size() },
	};

	ioctl(slow->userfault, UFFDIO_ZEROPAGE, &zero);
}

static inline void slow_page_end(const struct slow_page *slow)
{
	munmap(slow->page, page_size());
	close(slow->userfault);
}

#endif

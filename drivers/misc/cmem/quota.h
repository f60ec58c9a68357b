/* SPDX-License-Identifier: GPL-2.0-only */
/* Accounting and quotas of a block's memory, by user (quota.c) */
#ifndef _CMEM_QUOTA_H
#define _CMEM_QUOTA_H

#include <linux/minmax.h>
#include <linux/types.h>
#include <linux/uidgid.h>

#include "alloc.h"
#include "block.h"

struct cred;

/**
 * struct cmem_account - what a user has of a block
 * @user: the user
 * @pages: pages in buffers that the user allocated and that are not free yet
 */
struct cmem_account {
	kuid_t user;
	unsigned long pages;
};

kuid_t cmem_quota_user(const struct cred *cred);
int cmem_quota_find(struct cmem_block *block, struct cmem_request *request);
bool cmem_quota_excess(const struct cmem_request *request);
void cmem_quota_uncharge(struct cmem_block *block, kuid_t user,
			 unsigned long pages);
unsigned long cmem_quota_used(struct cmem_block *block, kuid_t user);
struct cmem_account *cmem_quota_next(struct cmem_block *block,
				     unsigned long *index);
void cmem_quota_init(struct cmem_block *block);
void cmem_quota_exit(struct cmem_block *block);
void cmem_quota_apply(struct cmem_block *block);

/**
 * cmem_quota_begin - find the account that a request will be charged to
 * @block: the block, which stays locked until the request is charged
 * @request: the request
 *
 * Return: 0 or -ENOBUFS, as cmem_heap_take().
 */
static inline int cmem_quota_begin(struct cmem_block *block,
				   struct cmem_request *request)
{
	request->account = block->account;
	if (likely(request->account &&
		   uid_eq(request->account->user, request->user)))
		return 0;
	return cmem_quota_find(block, request);
}

/* Tell if a user may have this many more pages. The block is locked. */
static inline bool cmem_quota_allows(const struct cmem_block *block,
				     const struct cmem_request *request,
				     unsigned long pages)
{
	unsigned long used = min(request->account->pages, block->quota);

	return likely(pages <= block->quota - used) ||
	       cmem_quota_excess(request);
}

/* Charge a user, after cmem_quota_begin(). The block is still locked. */
static inline void cmem_quota_charge(const struct cmem_request *request,
				     unsigned long pages)
{
	request->account->pages += pages;
}

#endif /* _CMEM_QUOTA_H */

// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much memory of a block each user has, and may have.
 *
 * Memory is charged to the user who allocated it until it is free again, no matter who
 * else received or holds it. So passing memory on does not evade a quota, and receiving
 * it costs nothing. Other users can't register for a buffer by its address, except with
 * CAP_SYS_RAWIO or share=any.
 *
 * Usage is always counted, even without a quota, so that a quota can be set at any
 * time. While the same user allocates repeatedly, this takes no lookup.
 */
#define pr_fmt(fmt) "cmem: " fmt

#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/kstrtox.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/user_namespace.h>
#include <linux/xarray.h>

#include "alloc.h"
#include "block.h"
#include "config.h"
#include "quota.h"

/* Maximum number of rules in cmem.quota= */
#define CMEM_QUOTA_RULES	32

/**
 * struct cmem_quota_rule - one rule of cmem.quota=
 * @any: applies to all blocks that have no quota of their own
 * @block: number of the block that it applies to, unless @any
 * @amount: the quota
 */
struct cmem_quota_rule {
	bool any;
	s32 block;
	struct cmem_amount amount;
};

/* Protects the rules of cmem.quota=. Taken before any block's lock. */
static DEFINE_MUTEX(cmem_quota_lock);
static struct cmem_quota_rule cmem_quota_rules[CMEM_QUOTA_RULES];
static unsigned int cmem_quota_num_rules;

/**
 * cmem_quota_user - find the user who is charged for what a process allocates
 * @cred: credentials of the process, or those with which a file was opened
 *
 * An ordinary user who created a user namespace assigns its uids: they all count as that
 * user. In a namespace that root created, each uid counts by itself.
 *
 * Return: the user.
 */
kuid_t cmem_quota_user(const struct cred *cred)
{
	const struct user_namespace *ns = cred->user_ns;
	kuid_t user = cred->euid;

	for (; ns != &init_user_ns; ns = ns->parent)
		if (!uid_eq(ns->owner, GLOBAL_ROOT_UID))
			user = ns->owner;
	return user;
}

static void cmem_quota_forget(struct cmem_block *block,
			      struct cmem_account *account)
{
	xa_erase(&block->accounts, __kuid_val(account->user));
	kfree(account);
}

/**
 * cmem_quota_find - find or create the account of a user other than the last one
 * @block: the block, locked
 * @request: has the user; where to put the account
 *
 * Return: 0 or -ENOBUFS, as cmem_heap_take().
 */
int cmem_quota_find(struct cmem_block *block, struct cmem_request *request)
{
	unsigned long index = __kuid_val(request->user);
	gfp_t gfp = GFP_NOWAIT | __GFP_ACCOUNT | __GFP_NOWARN;
	struct cmem_account *account, *last = block->account;

	account = xa_load(&block->accounts, index);
	if (!account) {
		account = kmalloc(sizeof(*account), gfp);
		if (!account)
			return -ENOBUFS;
		account->user = request->user;
		account->pages = 0;
		if (xa_is_err(xa_store(&block->accounts, index, account, gfp))) {
			kfree(account);
			return -ENOBUFS;
		}
	}
	block->account = account;
	if (last && !last->pages)
		cmem_quota_forget(block, last);
	request->account = account;
	return 0;
}

/**
 * cmem_quota_excess - tell if a request may exceed the quota
 * @request: the request
 *
 * Return: true if its credentials have CAP_SYS_RESOURCE. This capability exempts its
 * holder from the quotas of file systems as well.
 */
bool cmem_quota_excess(const struct cmem_request *request)
{
	return !security_capable(request->cred, &init_user_ns,
				 CAP_SYS_RESOURCE, CAP_OPT_NOAUDIT);
}

/**
 * cmem_quota_uncharge - uncharge memory that is free again
 * @block: the block, locked
 * @user: the user who was charged
 * @pages: number of pages
 */
void cmem_quota_uncharge(struct cmem_block *block, kuid_t user,
			 unsigned long pages)
{
	struct cmem_account *account = block->account;

	if (!uid_eq(account->user, user))
		account = xa_load(&block->accounts, __kuid_val(user));
	if (WARN_ON_ONCE(!account))
		return;
	account->pages -= pages;
	if (!account->pages && account != block->account)
		cmem_quota_forget(block, account);
}

/**
 * cmem_quota_used - get the memory that a user has
 * @block: the block, locked
 * @user: the user
 *
 * Return: pages.
 */
unsigned long cmem_quota_used(struct cmem_block *block, kuid_t user)
{
	const struct cmem_account *account;

	account = xa_load(&block->accounts, __kuid_val(user));
	return account ? account->pages : 0;
}

/**
 * cmem_quota_next - iterate over the users of a block
 * @block: the block, locked
 * @index: in: the lowest uid to look at; out: the uid that was found
 *
 * Return: the account of a user who has memory, or NULL if there is none.
 */
struct cmem_account *cmem_quota_next(struct cmem_block *block,
				     unsigned long *index)
{
	struct cmem_account *account;

	account = xa_find(&block->accounts, index, U32_MAX, XA_PRESENT);
	while (account && !account->pages)
		account = xa_find_after(&block->accounts, index, U32_MAX,
					XA_PRESENT);
	return account;
}

/**
 * cmem_quota_init - initialize the accounts of a new struct cmem_block
 * @block: the block
 */
void cmem_quota_init(struct cmem_block *block)
{
	xa_init_flags(&block->accounts, XA_FLAGS_ACCOUNT);
}

/**
 * cmem_quota_exit - free the accounts of a block without buffers in use
 * @block: the block, locked
 */
void cmem_quota_exit(struct cmem_block *block)
{
	struct cmem_account *account;
	unsigned long index;

	xa_for_each(&block->accounts, index, account)
		kfree(account);
	xa_destroy(&block->accounts);
}

static unsigned long cmem_quota_pages(struct cmem_block *block)
{
	const struct cmem_amount *amount = NULL, *any = NULL;
	u64 pages = cmem_block_length(block) >> PAGE_SHIFT;
	unsigned int i;

	for (i = 0; i < cmem_quota_num_rules; i++) {
		const struct cmem_quota_rule *rule = &cmem_quota_rules[i];

		if (rule->any)
			any = &rule->amount;
		else if (rule->block == block->id)
			amount = &rule->amount;
	}
	if (!amount)
		amount = block->own_quota.given ? &block->own_quota : any;
	return amount ? cmem_amount_pages(amount, pages) : ULONG_MAX;
}

/**
 * cmem_quota_apply - determine the quota of a block
 * @block: the block, not locked, with its length and its own quota
 */
void cmem_quota_apply(struct cmem_block *block)
{
	mutex_lock(&cmem_quota_lock);
	mutex_lock(&block->lock);
	block->quota = cmem_quota_pages(block);
	mutex_unlock(&block->lock);
	mutex_unlock(&cmem_quota_lock);
}

static void cmem_quota_apply_all(void)
{
	struct cmem_block *block;

	/* cmem_block_publish() takes care of a block that is not present yet. */
	cmem_for_each_block(block)
		if (READ_ONCE(block->present))
			cmem_quota_apply(block);
}

/* Parse [<block>:]<amount> of the given length. */
static int cmem_quota_parse_rule(const char *text, size_t length,
				 struct cmem_quota_rule *rule)
{
	const char *colon = memchr(text, ':', length);
	char word[40];
	int ret;

	rule->any = !colon;
	if (colon) {
		if (colon - text >= sizeof(word))
			return -EINVAL;
		strscpy(word, text, colon - text + 1);
		ret = kstrtos32(word, 10, &rule->block);
		if (ret || rule->block < CMEM_BLOCK_CMA)
			return -EINVAL;
		length -= colon + 1 - text;
		text = colon + 1;
	}
	if (length >= sizeof(word))
		return -EINVAL;
	strscpy(word, text, length + 1);
	return cmem_amount_parse(word, &rule->amount);
}

static int cmem_quota_set(const char *val, const struct kernel_param *kp)
{
	static struct cmem_quota_rule rules[CMEM_QUOTA_RULES];
	size_t length = strcspn(val, "\n"), part;
	const char *end = val + length, *at;
	unsigned int count = 0;

	/* The core serializes writes to parameters, which protects the static array. */
	for (at = val; at < end; at += part + 1) {
		part = min_t(size_t, strcspn(at, ","), end - at);
		if (count == CMEM_QUOTA_RULES ||
		    cmem_quota_parse_rule(at, part, &rules[count])) {
			pr_err("quota=%.*s: must be up to %d of [<block>:]<amount> with commas between, an amount being bytes, with K, M or G behind, a percentage such as 25%%, or none\n",
			       (int)length, val, CMEM_QUOTA_RULES);
			return -EINVAL;
		}
		count++;
	}

	mutex_lock(&cmem_quota_lock);
	memcpy(cmem_quota_rules, rules, sizeof(rules));
	cmem_quota_num_rules = count;
	mutex_unlock(&cmem_quota_lock);
	cmem_quota_apply_all();
	return 0;
}

static int cmem_quota_get(char *buffer, const struct kernel_param *kp)
{
	unsigned int i;
	int length = 0;

	for (i = 0; i < cmem_quota_num_rules; i++) {
		const struct cmem_quota_rule *rule = &cmem_quota_rules[i];

		if (i)
			length += sysfs_emit_at(buffer, length, ",");
		if (!rule->any)
			length += sysfs_emit_at(buffer, length, "%d:",
						rule->block);
		length += cmem_amount_emit(&rule->amount, buffer, length);
	}
	return length + sysfs_emit_at(buffer, length, "\n");
}

static const struct kernel_param_ops cmem_quota_ops = {
	.set = cmem_quota_set,
	.get = cmem_quota_get,
};
module_param_cb(quota, &cmem_quota_ops, NULL, 0644);
MODULE_PARM_DESC(quota, "what each user may have of a block: [<block>:]<amount>[,...], bytes with K, M or G, a percentage of the block, or none");

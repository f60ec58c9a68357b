// SPDX-License-Identifier: GPL-2.0
/*
 * Holds calls of kernel functions up, so that a test can do something meanwhile: what else
 * takes a race, or a kill at the right moment. The lab's own kernels have it, and no series.
 *
 * /sys/kernel/debug/hold/<n>/, each for one function:
 *
 *	function	its name; writing it takes the place, for calls by the writer's
 *			process alone, and an empty line leaves it
 *	hold		1: who calls it waits before anything of it is done, until this is 0 or a
 *			fatal signal comes
 *	waiting		how many do
 *	calls		how often it has been called since it was named
 *
 * A function that may not sleep, or has more than six arguments, is none for this.
 */
#include <linux/debugfs.h>
#include <linux/init.h>
#include <linux/kprobes.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#define HOLD_PLACES	4
#define HOLD_TASKS	16

typedef unsigned long (*hold_fn)(unsigned long a, unsigned long b, unsigned long c,
				 unsigned long d, unsigned long e, unsigned long f);

/**
 * struct hold - a function whose calls may have to wait
 * @probe: where it begins
 * @name: of it, empty while this place is free
 * @detour: what is called instead
 * @tgid: whose calls count
 * @on: they wait
 * @waiting: how many do
 * @calls: how many there were
 * @passing: tasks that have waited, and call the function itself next
 * @queue: where they wait
 */
struct hold {
	struct kprobe probe;
	char name[KSYM_NAME_LEN];
	hold_fn detour;
	pid_t tgid;
	u32 on;
	atomic_t waiting;
	atomic_t calls;
	struct task_struct *passing[HOLD_TASKS];
	wait_queue_head_t queue;
};

static struct hold holds[HOLD_PLACES];
static DEFINE_MUTEX(hold_lock);

/* Replaces the one @old in the list, true if there was one. */
static bool hold_replace(struct hold *hold, struct task_struct *old, struct task_struct *new)
{
	unsigned int i;

	for (i = 0; i < HOLD_TASKS; i++)
		if (cmpxchg(&hold->passing[i], old, new) == old)
			return true;
	return false;
}

static unsigned long hold_call(struct hold *hold, unsigned long a, unsigned long b,
			       unsigned long c, unsigned long d, unsigned long e, unsigned long f)
{
	hold_fn function = (hold_fn)hold->probe.addr;

	atomic_inc(&hold->waiting);
	wait_event_killable(hold->queue, !READ_ONCE(hold->on));
	while (!hold_replace(hold, NULL, current))
		schedule_timeout_uninterruptible(1);
	atomic_dec(&hold->waiting);
	return function(a, b, c, d, e, f);
}

#define HOLD_DETOUR(n)								\
static unsigned long hold_detour_##n(unsigned long a, unsigned long b, unsigned long c,	\
				   unsigned long d, unsigned long e, unsigned long f)	\
{										\
	return hold_call(&holds[n], a, b, c, d, e, f);				\
}

HOLD_DETOUR(0)
HOLD_DETOUR(1)
HOLD_DETOUR(2)
HOLD_DETOUR(3)

static const hold_fn hold_detours[HOLD_PLACES] = {
	hold_detour_0, hold_detour_1, hold_detour_2, hold_detour_3,
};

/* Nothing of the function has run yet: the detour is called as the function would have been. */
static int hold_begin(struct kprobe *probe, struct pt_regs *regs)
{
	struct hold *hold = container_of(probe, struct hold, probe);

	if (current->tgid != READ_ONCE(hold->tgid) || hold_replace(hold, current, NULL))
		return 0;
	atomic_inc(&hold->calls);
	if (!READ_ONCE(hold->on))
		return 0;
	instruction_pointer_set(regs, (unsigned long)hold->detour);
	return 1;
}
NOKPROBE_SYMBOL(hold_begin);

#ifndef CONFIG_KPROBES_ON_FTRACE
/* With one, the probe is not optimised into a jump, which would come back. */
static void hold_after(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}
#endif

static ssize_t hold_function_write(struct file *file, const char __user *user, size_t length,
				   loff_t *position)
{
	struct hold *hold = file_inode(file)->i_private;
	char name[KSYM_NAME_LEN] = "";
	int ret = 0;

	if (length >= sizeof(name))
		return -EINVAL;
	if (copy_from_user(name, user, length))
		return -EFAULT;
	strim(name);

	mutex_lock(&hold_lock);
	if (hold->name[0]) {
		WRITE_ONCE(hold->on, 0);
		wake_up_all(&hold->queue);
		unregister_kprobe(&hold->probe);
		hold->name[0] = 0;
	}
	if (name[0]) {
		memset(&hold->probe, 0, sizeof(hold->probe));
		strscpy(hold->name, name, sizeof(hold->name));
		hold->probe.symbol_name = hold->name;
		hold->probe.pre_handler = hold_begin;
#ifndef CONFIG_KPROBES_ON_FTRACE
		hold->probe.post_handler = hold_after;
#endif
		hold->tgid = current->tgid;
		atomic_set(&hold->calls, 0);
		memset(hold->passing, 0, sizeof(hold->passing));
		ret = register_kprobe(&hold->probe);
		if (ret)
			hold->name[0] = 0;
	}
	mutex_unlock(&hold_lock);
	return ret ?: length;
}

static const struct file_operations hold_function_fops = {
	.open = simple_open,
	.write = hold_function_write,
};

static int hold_on_get(void *data, u64 *value)
{
	*value = ((struct hold *)data)->on;
	return 0;
}

static int hold_on_set(void *data, u64 value)
{
	struct hold *hold = data;

	WRITE_ONCE(hold->on, !!value);
	wake_up_all(&hold->queue);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(hold_on_fops, hold_on_get, hold_on_set, "%llu\n");

static int __init hold_init(void)
{
	struct dentry *top = debugfs_create_dir("hold", NULL);
	unsigned int i;

	for (i = 0; i < HOLD_PLACES; i++) {
		struct hold *hold = &holds[i];
		struct dentry *dir;
		char name[4];

		hold->detour = hold_detours[i];
		init_waitqueue_head(&hold->queue);
		snprintf(name, sizeof(name), "%u", i);
		dir = debugfs_create_dir(name, top);
		debugfs_create_file("function", 0200, dir, hold, &hold_function_fops);
		debugfs_create_file_unsafe("hold", 0600, dir, hold, &hold_on_fops);
		debugfs_create_atomic_t("waiting", 0400, dir, &hold->waiting);
		debugfs_create_atomic_t("calls", 0400, dir, &hold->calls);
	}
	return 0;
}
late_initcall(hold_init);

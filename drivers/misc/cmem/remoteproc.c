// SPDX-License-Identifier: GPL-2.0-only
/*
 * Remote processors that blocks name. A block releases its buffers from quarantine when
 * its remote processors have stopped.
 *
 * One counter counts the stops of all processors. A buffer stores its value on entry to
 * quarantine, and a processor at its last stop: it has stopped since then if its value
 * is greater. A processor that is found off counts as stopped at that moment. A restart
 * after a crash is a stop. A processor that is detached from keeps running.
 *
 * A processor may appear later than the block, may go and come again with its driver, and
 * may stay locked while its firmware is loaded. So each processor that was ever named has
 * a permanent struct with a work that looks at it. Nothing but this work waits for the
 * processor, and nothing pins its driver.
 */
#define pr_fmt(fmt) "cmem: " fmt

#include <linux/atomic.h>
#include <linux/device.h>
#include <linux/device/bus.h>
#include <linux/init.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/of.h>
#include <linux/platform_device.h>
#include <linux/rculist.h>
#include <linux/remoteproc.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "block.h"
#include "config.h"
#include "quarantine.h"
#include "remoteproc.h"

/**
 * struct cmem_rproc - a remote processor that a block names
 * @in_rprocs: entry in the list of all of them
 * @phandle: of its node
 * @work: looks at the processor
 * @rproc: the processor, NULL while it is absent. A reference to its device is held. Only
 *	@work changes this.
 * @subdev: tells when the processor stops
 * @missed: the absence of the processor was logged
 * @left: cmem_rproc_count when the processor stopped or was detached from. Its state
 *	tells later which of these; 0 if it is known. @rproc's lock protects this.
 * @stopped: cmem_rproc_count at the last stop
 */
struct cmem_rproc {
	struct list_head in_rprocs;
	u32 phandle;
	struct work_struct work;
	struct rproc *rproc;
	struct rproc_subdev subdev;
	bool missed;
	unsigned long left;
	unsigned long stopped;
};

/* Entries are only added, under the lock. */
static LIST_HEAD(cmem_rprocs);
static DEFINE_MUTEX(cmem_rprocs_lock);

static atomic_long_t cmem_rproc_count = ATOMIC_LONG_INIT(1);

/**
 * cmem_rproc_stops - get the count of stops of all processors
 *
 * Return: a number for cmem_rproc_have_stopped().
 */
unsigned long cmem_rproc_stops(void)
{
	return atomic_long_read(&cmem_rproc_count);
}

/**
 * cmem_rproc_have_stopped - tell if a block's processors have stopped since a moment
 * @block: the block, locked
 * @stops: result of cmem_rproc_stops() at that moment
 *
 * Return: true if the block names any, and all of them have stopped.
 */
bool cmem_rproc_have_stopped(const struct cmem_block *block, unsigned long stops)
{
	unsigned int i;

	for (i = 0; i < block->quarantine_config.num_rprocs; i++) {
		unsigned long stopped = READ_ONCE(block->rprocs[i]->stopped);

		/* The count may have wrapped around. */
		if ((long)(stopped - stops) <= 0)
			return false;
	}
	return i;
}

/*
 * The core stopped the processor or detached from it, and holds its lock. Only the next
 * state of the processor tells which.
 */
static void cmem_rproc_unprepare(struct rproc_subdev *subdev)
{
	struct cmem_rproc *named = container_of(subdev, struct cmem_rproc,
						subdev);
	struct rproc *rproc = named->rproc;
	unsigned long now = atomic_long_inc_return(&cmem_rproc_count);

	/* Only an ATTACHED one may run on. A CRASHED one is reset, even on detach. */
	if (rproc->state == RPROC_RUNNING || rproc->state == RPROC_CRASHED)
		WRITE_ONCE(named->stopped, now);
	else
		named->left = now;
	queue_work(system_unbound_wq, &named->work);
}

/* Watch the processor that currently has the phandle. */
static void cmem_rproc_find(struct cmem_rproc *named)
{
	struct rproc *rproc = rproc_get_by_phandle(named->phandle);

	if (!rproc)
		return;
	if (rproc != named->rproc) {
		if (named->rproc) {
			mutex_lock(&named->rproc->lock);
			rproc_remove_subdev(named->rproc, &named->subdev);
			mutex_unlock(&named->rproc->lock);
			put_device(&named->rproc->dev);
		}
		/* The driver may be unloaded: this only uses data of the core. */
		get_device(&rproc->dev);
		mutex_lock(&rproc->lock);
		named->rproc = rproc;
		named->left = 0;
		rproc_add_subdev(rproc, &named->subdev);
		mutex_unlock(&rproc->lock);
	}
	rproc_put(rproc);
}

/* Evaluate the processor's state. The processor is locked. */
static void cmem_rproc_note(struct cmem_rproc *named)
{
	switch (named->rproc->state) {
	case RPROC_OFFLINE:
		WRITE_ONCE(named->stopped,
			   atomic_long_inc_return(&cmem_rproc_count));
		break;
	case RPROC_RUNNING:
	case RPROC_SUSPENDED:
	case RPROC_CRASHED:
		/* It stopped and was started again. */
		if (named->left)
			WRITE_ONCE(named->stopped, named->left);
		break;
	default:
		/* It was detached from, or is being removed: it may still run. */
		break;
	}
	named->left = 0;
}

/* For blocks that do not name the processor, nothing changes. */
static void cmem_rproc_tell(struct cmem_rproc *named)
{
	struct cmem_block *block;
	bool waiting = false;

	cmem_for_each_block(block) {
		waiting |= READ_ONCE(block->quarantined);
		cmem_quarantine_check(block);
	}
	if (waiting && !named->rproc && !named->missed) {
		struct device_node *node = of_find_node_by_phandle(named->phandle);

		named->missed = true;
		pr_notice("%pOF: there is no remote processor of this node, or not yet: what is in quarantine waits for one, or for cmemctl release\n",
			  node);
		of_node_put(node);
	}
}

static void cmem_rproc_work(struct work_struct *work)
{
	struct cmem_rproc *named = container_of(work, struct cmem_rproc, work);

	cmem_rproc_find(named);
	if (named->rproc) {
		mutex_lock(&named->rproc->lock);
		cmem_rproc_note(named);
		mutex_unlock(&named->rproc->lock);
	}
	cmem_rproc_tell(named);
}

/**
 * cmem_rproc_look - look at the state of the processors that a block names
 * @block: the block, locked or not present
 */
void cmem_rproc_look(const struct cmem_block *block)
{
	unsigned int i;

	for (i = 0; i < block->quarantine_config.num_rprocs; i++)
		queue_work(system_unbound_wq, &block->rprocs[i]->work);
}

static struct cmem_rproc *cmem_rproc_get(u32 phandle)
{
	struct cmem_rproc *named;

	guard(mutex)(&cmem_rprocs_lock);

	list_for_each_entry(named, &cmem_rprocs, in_rprocs)
		if (named->phandle == phandle)
			return named;

	named = kzalloc(sizeof(*named), GFP_KERNEL);
	if (!named)
		return NULL;
	named->phandle = phandle;
	named->subdev.unprepare = cmem_rproc_unprepare;
	INIT_WORK(&named->work, cmem_rproc_work);
	list_add_tail_rcu(&named->in_rprocs, &cmem_rprocs);
	return named;
}

/**
 * cmem_rproc_configure - look up or create the structs of a block's processors
 * @block: a block that is not present, with its @quarantine_config
 *
 * The processors need not exist yet.
 *
 * Return: 0 or -ENOMEM.
 */
int cmem_rproc_configure(struct cmem_block *block)
{
	const struct cmem_quarantine_config *config = &block->quarantine_config;
	unsigned int i;

	for (i = 0; i < config->num_rprocs; i++) {
		block->rprocs[i] = cmem_rproc_get(config->rprocs[i]);
		if (!block->rprocs[i])
			return -ENOMEM;
	}
	cmem_rproc_look(block);
	return 0;
}

/* The bound device may be a processor, or contain some, like K3's R5F clusters. */
static int cmem_rproc_notify(struct notifier_block *nb, unsigned long action,
			     void *data)
{
	const struct device *dev = data;
	struct device_node *node;
	struct cmem_rproc *named;

	if (action != BUS_NOTIFY_BOUND_DRIVER || !dev->of_node)
		return NOTIFY_DONE;
	list_for_each_entry_lockless(named, &cmem_rprocs, in_rprocs) {
		node = of_find_node_by_phandle(named->phandle);
		if (node && (node == dev->of_node || node->parent == dev->of_node))
			queue_work(system_unbound_wq, &named->work);
		of_node_put(node);
	}
	return NOTIFY_DONE;
}

static struct notifier_block cmem_rproc_notifier = {
	.notifier_call = cmem_rproc_notify,
};

int __init cmem_rproc_init(void)
{
	return bus_register_notifier(&platform_bus_type, &cmem_rproc_notifier);
}

void __init cmem_rproc_exit(void)
{
	bus_unregister_notifier(&platform_bus_type, &cmem_rproc_notifier);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Remote processors that blocks name: what is in quarantine there is let go when they
 * have stopped.
 *
 * Stops are counted, over all of them: a buffer keeps the count of when it came, a
 * processor that of its last stop, and it has stopped since if its count is the greater
 * one. A processor that is found off counts as one that stopped at that moment. One that
 * restarts after a crash has stopped; one that is detached from goes on running.
 *
 * A processor may come later than the block, go and come again with its driver, and be
 * held up for long while its firmware is loaded. So there is one struct for each that is
 * ever named, which stays, and a work that looks at the processor: nobody else waits for
 * it, and nothing pins its driver.
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
 * @in_rprocs: in the list of all
 * @phandle: of its node
 * @work: looks at it
 * @rproc: the processor, NULL as long as it is not there. Its device is held. Only @work
 *	touches this.
 * @subdev: tells when it stops
 * @missed: it has been said that it is not there
 * @left: what cmem_rproc_count was when it stopped or was detached from, which of these
 *	its state tells later; 0 if there is nothing to tell. Under @rproc's lock.
 * @stopped: what cmem_rproc_count was when it stopped last
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

/* Only ever added to, under the lock */
static LIST_HEAD(cmem_rprocs);
static DEFINE_MUTEX(cmem_rprocs_lock);

static atomic_long_t cmem_rproc_count = ATOMIC_LONG_INIT(1);

/**
 * cmem_rproc_stops - tell how often processors have stopped
 *
 * Return: a number for cmem_rproc_have_stopped().
 */
unsigned long cmem_rproc_stops(void)
{
	return atomic_long_read(&cmem_rproc_count);
}

/**
 * cmem_rproc_have_stopped - tell if a block's processors have stopped since
 * @block: the block, locked
 * @stops: what cmem_rproc_stops() told then
 *
 * Return: true if there are any, and all of them have.
 */
bool cmem_rproc_have_stopped(const struct cmem_block *block, unsigned long stops)
{
	unsigned int i;

	for (i = 0; i < block->quarantine_config.num_rprocs; i++) {
		unsigned long stopped = READ_ONCE(block->rprocs[i]->stopped);

		/* The count may have gone round. */
		if ((long)(stopped - stops) <= 0)
			return false;
	}
	return i;
}

/*
 * The processor is off, or on its own. Called when it is, by the core, which has it
 * locked, and tells which of these only by the state that follows.
 */
static void cmem_rproc_unprepare(struct rproc_subdev *subdev)
{
	struct cmem_rproc *named = container_of(subdev, struct cmem_rproc,
						subdev);
	struct rproc *rproc = named->rproc;
	unsigned long now = atomic_long_inc_return(&cmem_rproc_count);

	/* Nobody detaches from one that we started, nor from a crashed one: that reset. */
	if (rproc->state == RPROC_RUNNING || rproc->state == RPROC_CRASHED)
		WRITE_ONCE(named->stopped, now);
	else
		named->left = now;
	queue_work(system_unbound_wq, &named->work);
}

/* The processor that is there now becomes the one to watch. */
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
		/* The driver may be unloaded; what is looked at here is the core's. */
		get_device(&rproc->dev);
		mutex_lock(&rproc->lock);
		named->rproc = rproc;
		named->left = 0;
		rproc_add_subdev(rproc, &named->subdev);
		mutex_unlock(&rproc->lock);
	}
	rproc_put(rproc);
}

/* Take note of what its state tells. It is locked. */
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
		/* It has stopped, and been started again. */
		if (named->left)
			WRITE_ONCE(named->stopped, named->left);
		break;
	default:
		/* It was let alone, or is being removed: nobody knows that it stopped. */
		break;
	}
	named->left = 0;
}

/* Blocks that do not name the processor find that nothing has changed. */
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
 * cmem_rproc_look - see what the processors that a block names do
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
 * cmem_rproc_configure - find what is kept of the processors that a block names
 * @block: a block that is not present, with its @quarantine_config
 *
 * The processors need not be there yet.
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

/* A device that a driver was bound to may be one, or have some in it, as K3's R5F do. */
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

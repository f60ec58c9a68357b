// SPDX-License-Identifier: GPL-2.0-only
/*
 * A remote processor that is none, for the lab's boards: it starts and stops when it is
 * told to, and runs nothing. With "running" in its node, a boot loader has started it.
 */
#include <linux/device.h>
#include <linux/init.h>
#include <linux/of.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/remoteproc.h>

static int cmem_lab_rproc_nothing(struct rproc *rproc)
{
	return 0;
}

static int cmem_lab_rproc_load(struct rproc *rproc, const struct firmware *fw)
{
	return 0;
}

static const struct rproc_ops cmem_lab_rproc_ops = {
	.start = cmem_lab_rproc_nothing,
	.stop = cmem_lab_rproc_nothing,
	.attach = cmem_lab_rproc_nothing,
	.detach = cmem_lab_rproc_nothing,
	.load = cmem_lab_rproc_load,
};

static int cmem_lab_rproc_probe(struct platform_device *pdev)
{
	struct device *dev = &pdev->dev;
	struct rproc *rproc;

	rproc = devm_rproc_alloc(dev, dev->of_node->name, &cmem_lab_rproc_ops,
				 "cmem-lab-rproc", 0);
	if (!rproc)
		return -ENOMEM;
	rproc->auto_boot = false;
	if (device_property_read_bool(dev, "running"))
		rproc->state = RPROC_DETACHED;
	return devm_rproc_add(dev, rproc);
}

static const struct of_device_id cmem_lab_rproc_match[] = {
	{ .compatible = "cmem-lab,rproc" },
	{ }
};

static struct platform_driver cmem_lab_rproc_driver = {
	.probe = cmem_lab_rproc_probe,
	.driver = {
		.name = "cmem-lab-rproc",
		.of_match_table = cmem_lab_rproc_match,
	},
};
builtin_platform_driver(cmem_lab_rproc_driver);

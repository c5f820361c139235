// SPDX-License-Identifier: GPL-2.0-only
/*
 * What sysfs shows of a device and its users.
 *
 * Design: original vfio/uiommu, Tom Lyon, Cisco Systems, 2010
 */
#include <linux/cleanup.h>
#include <linux/pm_runtime.h>
#include <linux/sysfs.h>

#include "private.h"

static ssize_t locked_pages_show(struct device *device,
				 struct device_attribute *attr, char *buf)
{
	struct uiommu_pci *dev = to_uiommu_pci(device);

	return sysfs_emit(buf, "%ld\n", atomic_long_read(&dev->locked_pages));
}
static DEVICE_ATTR_RO(locked_pages);

static ssize_t config_map_read(struct file *filp, struct kobject *kobj,
			       const struct bin_attribute *attr, char *buf,
			       loff_t pos, size_t count)
{
	struct uiommu_pci *dev = to_uiommu_pci(kobj_to_dev(kobj));
	int ret;

	guard(srcu)(&dev->srcu);
	if (uiommu_pci_gone(dev))
		return -ENODEV;

	/* Nothing answers below a bridge that sleeps. */
	PM_RUNTIME_ACQUIRE(&dev->pdev->dev, awake);
	ret = PM_RUNTIME_ACQUIRE_ERR(&awake);
	if (ret)
		return ret;
	return uiommu_pci_config_map(dev, buf, pos, count);
}
static const BIN_ATTR_RO(config_map, PCI_CFG_SPACE_EXP_SIZE);

static ssize_t config_rules_read(struct file *filp, struct kobject *kobj,
				 const struct bin_attribute *attr, char *buf,
				 loff_t pos, size_t count)
{
	struct uiommu_pci *dev = to_uiommu_pci(kobj_to_dev(kobj));
	int ret;

	guard(srcu)(&dev->srcu);
	if (uiommu_pci_gone(dev))
		return -ENODEV;

	/* Nothing answers below a bridge that sleeps. */
	PM_RUNTIME_ACQUIRE(&dev->pdev->dev, awake);
	ret = PM_RUNTIME_ACQUIRE_ERR(&awake);
	if (ret)
		return ret;
	return uiommu_pci_config_rules(dev, buf, pos, count);
}
static const BIN_ATTR_RO(config_rules, 2 * PCI_CFG_SPACE_EXP_SIZE);

static struct attribute *dev_attrs[] = {
	&dev_attr_locked_pages.attr,
	NULL,
};

static const struct bin_attribute *const dev_bin_attrs[] = {
	&bin_attr_config_map,
	&bin_attr_config_rules,
	NULL,
};

static const struct attribute_group dev_group = {
	.attrs = dev_attrs,
	.bin_attrs = dev_bin_attrs,
};

const struct attribute_group *uiommu_pci_dev_groups[] = {
	&dev_group,
	NULL,
};

/*
 * The directory "vfio" of the PCI device, where user-level drivers have looked
 * for the name of their node since 2010.
 */
static ssize_t node_show(struct device *device, struct device_attribute *attr,
			 char *buf)
{
	struct uiommu_pci *dev = dev_get_drvdata(device);

	return sysfs_emit(buf, "%s\n", dev_name(&dev->dev));
}
static DEVICE_ATTR_RO(node);

static struct attribute *vfio_attrs[] = {
	&dev_attr_node.attr,
	NULL,
};

static const struct attribute_group vfio_group = {
	.name = "vfio",
	.attrs = vfio_attrs,
};

int uiommu_pci_sysfs_add(struct uiommu_pci *dev)
{
	struct kobject *kobj = &dev->pdev->dev.kobj;
	int ret;

	ret = sysfs_create_group(kobj, &vfio_group);
	if (ret)
		return ret;
	ret = sysfs_add_link_to_group(kobj, vfio_group.name, &dev->dev.kobj,
				      dev_name(&dev->dev));
	if (ret)
		sysfs_remove_group(kobj, &vfio_group);
	return ret;
}

void uiommu_pci_sysfs_remove(struct uiommu_pci *dev)
{
	struct kobject *kobj = &dev->pdev->dev.kobj;

	sysfs_remove_link_from_group(kobj, vfio_group.name,
				     dev_name(&dev->dev));
	sysfs_remove_group(kobj, &vfio_group);
}

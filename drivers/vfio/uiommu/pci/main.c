// SPDX-License-Identifier: GPL-2.0-only
/*
 * PCI bus driver "vfio": a character device for each PCI device that an
 * administrator binds to it.
 *
 * Design: original vfio/uiommu, Tom Lyon, Cisco Systems, 2010
 */
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/idr.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pm_runtime.h>
#include <linux/pseudo_fs.h>
#include <linux/slab.h>

#include "private.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

#define MAX_DEVICES	BIT(MINORBITS)

/* "UIOM" */
#define UIOMMU_PCI_MAGIC	0x55494f4d

static char ids[1024];
module_param_string(ids, ids, sizeof(ids), 0);
MODULE_PARM_DESC(ids, "PCI ids to drive from the start, as vendor:device[:subvendor[:subdevice[:class[:class mask]]]], in hex, separated by commas");

static dev_t first_devt;
static DEFINE_IDA(minors);
static struct vfsmount *inode_mount;

static int init_fs_context(struct fs_context *fc)
{
	return init_pseudo(fc, UIOMMU_PCI_MAGIC) ? 0 : -ENOMEM;
}

/* Never mounted by others: it holds the inodes that hold BAR mappings. */
static struct file_system_type inode_fs = {
	.name = "uiommu_pci",
	.init_fs_context = init_fs_context,
	.kill_sb = kill_anon_super,
};

static int dev_uevent(const struct device *device, struct kobj_uevent_env *env)
{
	const struct uiommu_pci *dev = container_of(device, struct uiommu_pci,
						    dev);

	return add_uevent_var(env, "PCI_SLOT_NAME=%s", pci_name(dev->pdev));
}

static void dev_release(struct device *device)
{
	struct uiommu_pci *dev = to_uiommu_pci(device);

	kvfree(dev->rom);
	iput(dev->inode);
	ida_free(&minors, MINOR(dev->dev.devt) - MINOR(first_devt));
	cleanup_srcu_struct(&dev->srcu);
	pci_dev_put(dev->bridge);
	pci_dev_put(dev->pdev);
	kfree(dev);
}

static const struct class uiommu_pci_class = {
	.name = "uiommu",
	.dev_groups = uiommu_pci_dev_groups,
	.dev_uevent = dev_uevent,
};

static struct uiommu_pci *alloc_dev(struct pci_dev *pdev)
{
	struct uiommu_pci *dev;
	int minor, ret;

	dev = kzalloc_obj(*dev);
	if (!dev)
		return ERR_PTR(-ENOMEM);

	ret = init_srcu_struct(&dev->srcu);
	if (ret)
		goto err_free;
	dev->inode = alloc_anon_inode(inode_mount->mnt_sb);
	if (IS_ERR(dev->inode)) {
		ret = PTR_ERR(dev->inode);
		goto err_srcu;
	}
	minor = ida_alloc_max(&minors, MAX_DEVICES - 1, GFP_KERNEL);
	if (minor < 0) {
		ret = minor;
		goto err_inode;
	}

	dev->pdev = pci_dev_get(pdev);
	dev->has_set_reset = uiommu_pci_has_set_reset(pdev);
	dev->bridge = pci_dev_get(pci_upstream_bridge(pdev));
	init_rwsem(&dev->gate);
	dev->gated = UIOMMU_PCI_UNSET;
	mutex_init(&dev->lock);
	INIT_LIST_HEAD(&dev->files);
	mutex_init(&dev->bars_lock);
	mutex_init(&dev->config_lock);
	mutex_init(&dev->files_lock);
	uiommu_pci_irq_prepare(dev);

	device_initialize(&dev->dev);
	dev->dev.release = dev_release;
	dev->dev.class = &uiommu_pci_class;
	dev->dev.parent = &pdev->dev;
	dev->dev.devt = MKDEV(MAJOR(first_devt), MINOR(first_devt) + minor);
	cdev_init(&dev->cdev, &uiommu_pci_fops);
	dev->cdev.owner = THIS_MODULE;
	ret = dev_set_name(&dev->dev, "vfio%d", minor);
	if (ret) {
		put_device(&dev->dev);
		return ERR_PTR(ret);
	}
	return dev;

err_inode:
	iput(dev->inode);
err_srcu:
	cleanup_srcu_struct(&dev->srcu);
err_free:
	kfree(dev);
	return ERR_PTR(ret);
}

/* Can a user-level driver be let at this device at all? */
static int check_device(struct pci_dev *pdev)
{
	if (pdev->hdr_type != PCI_HEADER_TYPE_NORMAL) {
		pci_info(pdev, "a bridge is not for user-level drivers\n");
		return -EINVAL;
	}
	if (!device_iommu_mapped(&pdev->dev)) {
		pci_info(pdev, "no IOMMU contains its DMA\n");
		return -EINVAL;
	}
	if (!pdev->reset_methods[0] && !uiommu_pci_has_set_reset(pdev)) {
		pci_info(pdev, "no method resets it between users\n");
		return -EINVAL;
	}
	if (pci_num_vf(pdev)) {
		pci_info(pdev, "its virtual functions are in use\n");
		return -EBUSY;
	}
	return 0;
}

static int uiommu_pci_probe(struct pci_dev *pdev,
			    const struct pci_device_id *id)
{
	struct uiommu_pci *dev;
	int ret;

	ret = check_device(pdev);
	if (ret)
		return ret;

	dev = alloc_dev(pdev);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	pci_set_drvdata(pdev, dev);

	/* Who hears of the device finds all of it. */
	dev_set_uevent_suppress(&dev->dev, true);
	uiommu_pci_bind(dev);
	ret = cdev_device_add(&dev->cdev, &dev->dev);
	if (ret)
		goto err_revoke;
	ret = uiommu_pci_sysfs_add(dev);
	if (ret)
		goto err_del;
	dev_set_uevent_suppress(&dev->dev, false);
	kobject_uevent(&dev->dev.kobj, KOBJ_ADD);

	/* It rests until it is opened. */
	pm_runtime_allow(&pdev->dev);
	pm_runtime_put(&pdev->dev);
	return 0;

err_del:
	cdev_device_del(&dev->cdev, &dev->dev);
err_revoke:
	uiommu_pci_unbind(dev);
	/* An open may be waiting for the device lock. */
	uiommu_pci_revoke(dev);
	pci_set_drvdata(pdev, NULL);
	put_device(&dev->dev);
	return ret;
}

static void uiommu_pci_remove(struct pci_dev *pdev)
{
	struct uiommu_pci *dev = pci_get_drvdata(pdev);

	pm_runtime_get_noresume(&pdev->dev);
	pm_runtime_forbid(&pdev->dev);

	uiommu_pci_sysfs_remove(dev);
	cdev_device_del(&dev->cdev, &dev->dev);
	uiommu_pci_unbind(dev);
	uiommu_pci_revoke(dev);
	pci_set_drvdata(pdev, NULL);
	put_device(&dev->dev);
}

static struct pci_driver uiommu_pci_driver = {
	.name = "vfio",
	.probe = uiommu_pci_probe,
	.remove = uiommu_pci_remove,
	.err_handler = &uiommu_pci_err_handlers,
	.driver.pm = pm_sleep_ptr(&uiommu_pci_pm_ops),
	/* Claimed from the kernel at first open and not at bind. */
	.driver_managed_dma = true,
};

/* What new_id in sysfs does, for a driver that is built in. */
static void __init add_ids(void)
{
	char *rest = ids, *id;

	while ((id = strsep(&rest, ","))) {
		unsigned int vendor, device, subvendor = PCI_ANY_ID,
			     subdevice = PCI_ANY_ID, class = 0, class_mask = 0;
		int fields, ret;

		if (!*id)
			continue;
		fields = sscanf(id, "%x:%x:%x:%x:%x:%x", &vendor, &device,
				&subvendor, &subdevice, &class, &class_mask);
		if (fields < 2) {
			pr_warn("malformed id \"%s\"\n", id);
			continue;
		}
		ret = pci_add_dynid(&uiommu_pci_driver, vendor, device,
				    subvendor, subdevice, class, class_mask, 0);
		if (ret)
			pr_warn("cannot add id \"%s\": %d\n", id, ret);
	}
}

static int __init uiommu_pci_init(void)
{
	int ret;

	inode_mount = kern_mount(&inode_fs);
	if (IS_ERR(inode_mount))
		return PTR_ERR(inode_mount);
	ret = alloc_chrdev_region(&first_devt, 0, MAX_DEVICES, "uiommu_pci");
	if (ret)
		goto err_mount;
	ret = class_register(&uiommu_pci_class);
	if (ret)
		goto err_region;
	ret = pci_register_driver(&uiommu_pci_driver);
	if (ret)
		goto err_class;
	add_ids();
	return 0;

err_class:
	class_unregister(&uiommu_pci_class);
err_region:
	unregister_chrdev_region(first_devt, MAX_DEVICES);
err_mount:
	kern_unmount(inode_mount);
	return ret;
}
module_init(uiommu_pci_init);

static void __exit uiommu_pci_exit(void)
{
	pci_unregister_driver(&uiommu_pci_driver);
	class_unregister(&uiommu_pci_class);
	unregister_chrdev_region(first_devt, MAX_DEVICES);
	kern_unmount(inode_mount);
}
module_exit(uiommu_pci_exit);

MODULE_IMPORT_NS("UIOMMU");
MODULE_DESCRIPTION("PCI bus driver for user-level drivers");
MODULE_LICENSE("GPL");

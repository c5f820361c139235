// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests: QEMU's edu becomes a device whose INTx cannot be disabled by its
 * command register, like those that drivers/pci/quirks.c knows. Load it before a
 * driver takes the device.
 */
#include <linux/module.h>
#include <linux/pci.h>

static int __init no_disintx_init(void)
{
	struct pci_dev *pdev = pci_get_device(0x1234, 0x11e8, NULL);

	if (!pdev)
		return -ENODEV;
	pdev->broken_intx_masking = true;
	pci_dev_put(pdev);
	return 0;
}
module_init(no_disintx_init);

static void __exit no_disintx_exit(void)
{
}
module_exit(no_disintx_exit);

MODULE_DESCRIPTION("Take the interrupt disable bit from edu");
MODULE_LICENSE("GPL");

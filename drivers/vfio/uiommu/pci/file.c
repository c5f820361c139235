// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/vfioN: what the user API says, turned into calls of the other files.
 *
 * Design: original vfio/uiommu, Tom Lyon, Cisco Systems, 2010
 */
#include <linux/cleanup.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/uiommu.h>

#include <uapi/linux/uiommu.h>

#include "private.h"

#define SPACE_MASK	(VFIO_PCI_SPACE_TO_OFFSET(1) - 1)
#define NUM_SPACES	(VFIO_PCI_CONFIG_RESOURCE + 1)

/* Bytes of a bitmap of CPUs; NR_CPUS is at most 8192. */
#define MAX_MASK_SIZE	1024

static_assert(VFIO_PCI_SPACE_SHIFT == UIOMMU_PCI_SPACE_SHIFT);
static_assert(VFIO_PCI_ROM_RESOURCE == PCI_ROM_RESOURCE);

/*
 * What the file maps through; made at the first mapping.  Until put_owner() the
 * device stays attached.
 */
static struct uiommu_owner *get_owner(struct uiommu_pci_file *file)
{
	struct uiommu_pci *dev = file->dev;

	guard(mutex)(&dev->lock);
	if (uiommu_pci_gone(dev))
		return ERR_PTR(-ENODEV);
	if (!dev->space)
		return ERR_PTR(-EINVAL);
	if (!file->owner) {
		file->owner = uiommu_owner_create(dev->space,
						  &dev->locked_pages,
						  file->events);
		if (!file->owner)
			return ERR_PTR(-ENOMEM);
	}
	file->owner_users++;
	return file->owner;
}

static void put_owner(struct uiommu_pci_file *file)
{
	guard(mutex)(&file->dev->lock);
	file->owner_users--;
}

static long ioctl_space(struct uiommu_pci_file *file, unsigned int cmd,
			void __user *uarg)
{
	struct uiommu_owner *owner = get_owner(file);
	long ret;

	if (IS_ERR(owner))
		return PTR_ERR(owner);
	ret = uiommu_ioctl(owner, cmd, uarg);
	put_owner(file);
	return ret;
}

static int ioctl_domain_set(struct uiommu_pci *dev, void __user *uarg)
{
	struct uiommu_space *space;
	int fd, ret;

	if (get_user(fd, (int __user *)uarg))
		return -EFAULT;
	space = uiommu_space_fdget(fd);
	if (IS_ERR(space))
		return PTR_ERR(space);

	scoped_guard(srcu, &dev->srcu)
		ret = uiommu_pci_gone(dev) ? -ENODEV :
					     uiommu_pci_attach(dev, space);
	uiommu_space_put(space);
	return ret;
}

static int ioctl_domain_unset(struct uiommu_pci *dev)
{
	guard(srcu)(&dev->srcu);
	return uiommu_pci_gone(dev) ? -ENODEV : uiommu_pci_detach(dev);
}

static int set_irqs(struct uiommu_pci *dev, enum uiommu_pci_irq_type type,
		    unsigned int num, const s32 *fds)
{
	guard(srcu)(&dev->srcu);
	if (uiommu_pci_gone(dev))
		return -ENODEV;

	/* It stays attached until they are off. */
	guard(mutex)(&dev->lock);
	if (!dev->space)
		return -EINVAL;
	return uiommu_pci_irq_set(dev, type, num, fds);
}

static int ioctl_eventfd(struct uiommu_pci *dev, enum uiommu_pci_irq_type type,
			 void __user *uarg)
{
	s32 fd;

	if (get_user(fd, (s32 __user *)uarg))
		return -EFAULT;
	return set_irqs(dev, type, fd < 0 ? 0 : 1, &fd);
}

static int ioctl_eventfds(struct uiommu_pci *dev, enum uiommu_pci_irq_type type,
			  void __user *uarg)
{
	s32 num;

	if (get_user(num, (s32 __user *)uarg))
		return -EFAULT;
	if (num < 0 || num > UIOMMU_PCI_MAX_VECTORS)
		return -EINVAL;
	if (!num)
		return set_irqs(dev, type, 0, NULL);

	s32 *fds __free(kfree) = memdup_array_user(uarg + sizeof(num), num,
						   sizeof(*fds));
	if (IS_ERR(fds))
		return PTR_ERR(fds);
	return set_irqs(dev, type, num, fds);
}

static int ioctl_bar_len(struct uiommu_pci *dev, void __user *uarg)
{
	u32 i;
	u64 len;

	if (get_user(i, (u32 __user *)uarg))
		return -EFAULT;
	if (i > VFIO_PCI_ROM_RESOURCE)
		return -EINVAL;
	if (uiommu_pci_gone(dev))
		return -ENODEV;
	len = dev->bars[array_index_nospec(i, ARRAY_SIZE(dev->bars))].len;
	if (len > U32_MAX)
		return -EOVERFLOW;
	return put_user((u32)len, (u32 __user *)uarg);
}

/* Copy an answer out, no longer than the user's structure. */
static int respond(void __user *uarg, const void *arg, size_t size)
{
	u32 user_size = *(const u32 *)arg;

	return copy_to_user(uarg, arg, min_t(size_t, user_size, size)) ?
		       -EFAULT : 0;
}

static int ioctl_device_info(struct uiommu_pci *dev, void __user *uarg)
{
	struct uiommu_device_info info;
	struct pci_dev *pdev = dev->pdev;
	int ret;

	ret = uiommu_copy_arg(&info, sizeof(info), 0, uarg);
	if (ret)
		return ret;
	if (info.__reserved)
		return -EINVAL;

	scoped_guard(srcu, &dev->srcu) {
		if (uiommu_pci_gone(dev))
			return -ENODEV;

		info.out_flags = 0;
		if (uiommu_pci_has_own_reset(dev))
			info.out_flags |= UIOMMU_DEVICE_RESET;
		if (dev->has_set_reset)
			info.out_flags |= UIOMMU_DEVICE_RESET_SET;
		if (pdev->is_virtfn)
			info.out_flags |= UIOMMU_DEVICE_VF;
		if (pci_is_pcie(pdev))
			info.out_flags |= UIOMMU_DEVICE_PCIE;
		if (uiommu_pci_irq_max(dev, UIOMMU_PCI_IRQ_INTX))
			info.out_flags |= UIOMMU_DEVICE_INTX;
		if (uiommu_isolated_msi(&pdev->dev))
			info.out_flags |= UIOMMU_DEVICE_ISOLATED_MSI;
		if (!(READ_ONCE(dev->gated) & UIOMMU_PCI_UNSET))
			info.out_flags |= UIOMMU_DEVICE_ATTACHED;
		info.out_domain = pci_domain_nr(pdev->bus);
		info.out_bus = pdev->bus->number;
		info.out_devfn = pdev->devfn;
		info.out_num_msi = uiommu_pci_irq_max(dev, UIOMMU_PCI_IRQ_MSI);
		info.out_num_msix =
			uiommu_pci_irq_max(dev, UIOMMU_PCI_IRQ_MSIX);
		info.out_config_size = pdev->cfg_size;
	}
	return respond(uarg, &info, sizeof(info));
}

static int ioctl_region_info(struct uiommu_pci *dev, void __user *uarg)
{
	const struct uiommu_pci_bar *bar;
	struct uiommu_region_info info;
	int ret;

	ret = uiommu_copy_arg(&info, sizeof(info), 0, uarg);
	if (ret)
		return ret;
	if (info.index > VFIO_PCI_ROM_RESOURCE &&
	    info.index != VFIO_PCI_CONFIG_RESOURCE)
		return -EINVAL;

	info.out_flags = 0;
	info.out_size = 0;
	info.out_offset = VFIO_PCI_SPACE_TO_OFFSET(info.index);

	scoped_guard(srcu, &dev->srcu) {
		if (uiommu_pci_gone(dev))
			return -ENODEV;

		if (info.index == VFIO_PCI_CONFIG_RESOURCE) {
			info.out_size = dev->pdev->cfg_size;
			info.out_flags = UIOMMU_REGION_READ |
					 UIOMMU_REGION_WRITE;
		} else {
			bar = &dev->bars[array_index_nospec(info.index,
						ARRAY_SIZE(dev->bars))];
			info.out_size = bar->len;
			if (bar->len)
				info.out_flags |= UIOMMU_REGION_READ;
			if (bar->claimed)
				info.out_flags |= UIOMMU_REGION_WRITE;
			if (uiommu_pci_bar_mappable(dev, bar - dev->bars))
				info.out_flags |= UIOMMU_REGION_MMAP;
			if (uiommu_pci_bar_combines(dev, bar - dev->bars))
				info.out_flags |= UIOMMU_REGION_WC;
		}
	}
	return respond(uarg, &info, sizeof(info));
}

/* An open file of a device, referenced */
static struct file *get_file_of_device(int fd)
{
	struct file *filp = fget(fd);

	if (!filp)
		return ERR_PTR(-EBADF);
	if (filp->f_op != &uiommu_pci_fops) {
		fput(filp);
		return ERR_PTR(-EINVAL);
	}
	return filp;
}

static int reset_set(const s32 *fds, unsigned int num)
{
	unsigned int i;
	int ret = 0;

	struct file **files __free(kfree) =
		kmalloc_objs(*files, num, GFP_KERNEL_ACCOUNT);
	struct uiommu_pci **devs __free(kfree) =
		kmalloc_objs(*devs, num, GFP_KERNEL_ACCOUNT);
	if (!files || !devs)
		return -ENOMEM;

	for (i = 0; i < num; i++) {
		struct uiommu_pci_file *file;

		files[i] = get_file_of_device(fds[i]);
		if (IS_ERR(files[i])) {
			ret = PTR_ERR(files[i]);
			break;
		}
		file = files[i]->private_data;
		devs[i] = file->dev;
	}
	if (!ret)
		ret = uiommu_pci_reset_set(devs, num);
	while (i--)
		fput(files[i]);
	return ret;
}

static int ioctl_reset(struct uiommu_pci_file *file, void __user *uarg)
{
	struct uiommu_reset arg;
	int ret;

	ret = uiommu_copy_arg(&arg, sizeof(arg), UIOMMU_RESET_SET, uarg);
	if (ret)
		return ret;
	if (arg.__reserved)
		return -EINVAL;
	if (!(arg.flags & UIOMMU_RESET_SET))
		return arg.num_fds ? -EINVAL : uiommu_pci_reset(file);
	if (!arg.num_fds || arg.num_fds > UIOMMU_PCI_MAX_SET)
		return -EINVAL;
	if (arg.fds > ULONG_MAX)
		return -EFAULT;

	s32 *fds __free(kfree) = memdup_array_user(u64_to_user_ptr(arg.fds),
						   arg.num_fds, sizeof(*fds));
	if (IS_ERR(fds))
		return PTR_ERR(fds);
	return reset_set(fds, arg.num_fds);
}

static int ioctl_irq_eoi(struct uiommu_pci *dev, void __user *uarg)
{
	struct uiommu_irq_eoi arg;
	int ret;

	ret = uiommu_copy_arg(&arg, sizeof(arg), 0, uarg);
	if (ret)
		return ret;

	guard(srcu)(&dev->srcu);
	if (uiommu_pci_gone(dev))
		return -ENODEV;
	if (READ_ONCE(dev->gated) & UIOMMU_PCI_DOWN)
		return -EBUSY;
	return uiommu_pci_intx_eoi(dev);
}

static int ioctl_irq_eoi_eventfd(struct uiommu_pci *dev, void __user *uarg)
{
	struct uiommu_irq_eoi_eventfd arg;
	int ret;

	ret = uiommu_copy_arg(&arg, sizeof(arg), 0, uarg);
	if (ret)
		return ret;
	if (arg.__reserved)
		return -EINVAL;

	guard(srcu)(&dev->srcu);
	if (uiommu_pci_gone(dev))
		return -ENODEV;

	guard(mutex)(&dev->lock);
	if (!dev->space)
		return -EINVAL;
	return uiommu_pci_eoi_set(dev, arg.fd);
}

/* Vectors of one kind, as UIOMMU_IRQ_SET names them */
struct irq_range {
	enum uiommu_pci_irq_type type;
	unsigned int first;
	unsigned int num;
};

static int set_irq_range(struct uiommu_pci *dev, const struct irq_range *range,
			 u32 op, const s32 *fds, const struct cpumask *mask)
{
	guard(srcu)(&dev->srcu);
	if (uiommu_pci_gone(dev))
		return -ENODEV;

	guard(mutex)(&dev->lock);
	if (!dev->space)
		return -EINVAL;
	switch (op) {
	case UIOMMU_IRQ_OP_TRIGGER:
		return uiommu_pci_irq_trigger(dev, range->type, range->first,
					      range->num);
	case UIOMMU_IRQ_OP_AFFINITY:
		return uiommu_pci_irq_affinity(dev, range->type, range->first,
					       range->num, mask);
	default:
		return uiommu_pci_irq_set_range(dev, range->type, range->first,
						range->num, fds);
	}
}

/* Eventfds for a range: the user's, or none. */
static int ioctl_irq_eventfds(struct uiommu_pci *dev,
			      const struct irq_range *range,
			      const struct uiommu_irq_set *arg)
{
	bool none = arg->op == UIOMMU_IRQ_OP_NONE;

	if (arg->data_size != (none ? 0 : arg->num * sizeof(s32)))
		return -EINVAL;

	s32 *fds __free(kfree) = none ?
		kmalloc_objs(*fds, arg->num, GFP_KERNEL_ACCOUNT) :
		memdup_array_user(u64_to_user_ptr(arg->data), arg->num,
				  sizeof(*fds));
	if (IS_ERR_OR_NULL(fds))
		return fds ? PTR_ERR(fds) : -ENOMEM;
	if (none)
		memset(fds, 0xff, array_size(arg->num, sizeof(*fds)));
	return set_irq_range(dev, range, arg->op, fds, NULL);
}

static int ioctl_irq_affinity(struct uiommu_pci *dev,
			      const struct irq_range *range,
			      const struct uiommu_irq_set *arg)
{
	cpumask_var_t mask __free(free_cpumask_var) = CPUMASK_VAR_NULL;
	unsigned int cpu;

	if (!arg->data_size || arg->data_size > MAX_MASK_SIZE)
		return -EINVAL;
	if (!zalloc_cpumask_var(&mask, GFP_KERNEL_ACCOUNT))
		return -ENOMEM;

	u8 *bytes __free(kfree) = memdup_user(u64_to_user_ptr(arg->data),
					      arg->data_size);
	if (IS_ERR(bytes))
		return PTR_ERR(bytes);
	for (cpu = 0; cpu < arg->data_size * BITS_PER_BYTE; cpu++) {
		if (!(bytes[cpu / BITS_PER_BYTE] & BIT(cpu % BITS_PER_BYTE)))
			continue;
		/* There is no such CPU, so nobody may run there. */
		if (cpu >= nr_cpu_ids)
			return -EPERM;
		cpumask_set_cpu(cpu, mask);
	}
	return set_irq_range(dev, range, arg->op, NULL, mask);
}

static int ioctl_irq_set(struct uiommu_pci *dev, void __user *uarg)
{
	static const enum uiommu_pci_irq_type types[] = {
		[UIOMMU_IRQ_KIND_INTX] = UIOMMU_PCI_IRQ_INTX,
		[UIOMMU_IRQ_KIND_MSI] = UIOMMU_PCI_IRQ_MSI,
		[UIOMMU_IRQ_KIND_MSIX] = UIOMMU_PCI_IRQ_MSIX,
	};
	struct uiommu_irq_set arg;
	struct irq_range range;
	int ret;

	ret = uiommu_copy_arg(&arg, sizeof(arg), 0, uarg);
	if (ret)
		return ret;
	if (!arg.kind || arg.kind >= ARRAY_SIZE(types) || !arg.num ||
	    arg.num > UIOMMU_PCI_MAX_VECTORS || arg.__reserved)
		return -EINVAL;
	range = (struct irq_range) {
		.type = types[array_index_nospec(arg.kind, ARRAY_SIZE(types))],
		.first = arg.first,
		.num = arg.num,
	};

	switch (arg.op) {
	case UIOMMU_IRQ_OP_EVENTFDS:
	case UIOMMU_IRQ_OP_NONE:
		return ioctl_irq_eventfds(dev, &range, &arg);
	case UIOMMU_IRQ_OP_TRIGGER:
		if (arg.data_size)
			return -EINVAL;
		return set_irq_range(dev, &range, arg.op, NULL, NULL);
	case UIOMMU_IRQ_OP_AFFINITY:
		return ioctl_irq_affinity(dev, &range, &arg);
	default:
		return -EOPNOTSUPP;
	}
}

static long pci_fops_ioctl(struct file *filp, unsigned int cmd,
			   unsigned long arg)
{
	struct uiommu_pci_file *file = filp->private_data;
	struct uiommu_pci *dev = file->dev;
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case VFIO_DMA_MAP_IOVA:
	case VFIO_DMA_UNMAP:
	case UIOMMU_INFO:
	case UIOMMU_MAP_BATCH:
	case UIOMMU_UNMAP_BATCH:
	case UIOMMU_UNMAP_ALL:
	case UIOMMU_MAP:
		return ioctl_space(file, cmd, uarg);
	case UIOMMU_EVENT_FD:
		return uiommu_events_fd(file->events, uarg);
	case VFIO_DOMAIN_SET:
		return ioctl_domain_set(dev, uarg);
	case VFIO_DOMAIN_UNSET:
		return ioctl_domain_unset(dev);
	case VFIO_EVENTFD_IRQ:
		return ioctl_eventfd(dev, UIOMMU_PCI_IRQ_INTX, uarg);
	case VFIO_EVENTFD_MSI:
		return ioctl_eventfd(dev, UIOMMU_PCI_IRQ_MSI, uarg);
	case VFIO_EVENTFDS_MSI:
		return ioctl_eventfds(dev, UIOMMU_PCI_IRQ_MSI, uarg);
	case VFIO_EVENTFDS_MSIX:
		return ioctl_eventfds(dev, UIOMMU_PCI_IRQ_MSIX, uarg);
	case VFIO_BAR_LEN:
		return ioctl_bar_len(dev, uarg);
	case UIOMMU_DEVICE_INFO:
		return ioctl_device_info(dev, uarg);
	case UIOMMU_REGION_INFO:
		return ioctl_region_info(dev, uarg);
	case UIOMMU_RESET:
		return ioctl_reset(file, uarg);
	case UIOMMU_IRQ_EOI:
		return ioctl_irq_eoi(dev, uarg);
	case UIOMMU_IRQ_EOI_EVENTFD:
		return ioctl_irq_eoi_eventfd(dev, uarg);
	case UIOMMU_IRQ_SET:
		return ioctl_irq_set(dev, uarg);
	default:
		return -ENOIOCTLCMD;
	}
}

static ssize_t read_write(struct file *filp, char __user *buf, size_t count,
			  loff_t *ppos, bool write)
{
	struct uiommu_pci_file *file = filp->private_data;
	u64 pos = *ppos & SPACE_MASK;
	ssize_t done;

	switch (VFIO_OFFSET_TO_PCI_SPACE(*ppos)) {
	case VFIO_PCI_BAR0_RESOURCE ... VFIO_PCI_BAR5_RESOURCE:
		done = uiommu_pci_bar_rw(file->dev,
					 VFIO_OFFSET_TO_PCI_SPACE(*ppos), buf,
					 count, pos, write);
		break;
	case VFIO_PCI_ROM_RESOURCE:
		done = write ? -EINVAL :
			       uiommu_pci_rom_read(file->dev, buf, count, pos);
		break;
	case VFIO_PCI_CONFIG_RESOURCE:
		done = uiommu_pci_config_rw(file, buf, count, pos, write);
		break;
	default:
		return -EINVAL;
	}
	if (done > 0)
		*ppos += done;
	return done;
}

static ssize_t pci_fops_read(struct file *filp, char __user *buf, size_t count,
			     loff_t *ppos)
{
	return read_write(filp, buf, count, ppos, false);
}

static ssize_t pci_fops_write(struct file *filp, const char __user *buf,
			      size_t count, loff_t *ppos)
{
	return read_write(filp, (char __user *)buf, count, ppos, true);
}

static loff_t pci_fops_llseek(struct file *filp, loff_t offset, int whence)
{
	return fixed_size_llseek(filp, offset, whence,
				 VFIO_PCI_SPACE_TO_OFFSET(NUM_SPACES));
}

static int pci_fops_mmap(struct file *filp, struct vm_area_struct *vma)
{
	u64 offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	u64 space = VFIO_OFFSET_TO_PCI_SPACE(offset);
	bool wc = false;

	if (space >= VFIO_PCI_WC_RESOURCE(0) &&
	    space <= VFIO_PCI_WC_RESOURCE(VFIO_PCI_BAR5_RESOURCE)) {
		space -= VFIO_PCI_WC_RESOURCE(0);
		wc = true;
	}
	if (space > VFIO_PCI_BAR5_RESOURCE)
		return -EINVAL;
	return uiommu_pci_bar_mmap(filp->private_data, vma, space, wc,
				   offset & SPACE_MASK);
}

static int pci_fops_open(struct inode *inode, struct file *filp)
{
	struct uiommu_pci *dev = container_of(inode->i_cdev, struct uiommu_pci,
					      cdev);
	int ret;

	struct uiommu_pci_file *file __free(kfree) =
		kzalloc_obj(*file, GFP_KERNEL_ACCOUNT);
	if (!file)
		return -ENOMEM;

	file->events = uiommu_events_create();
	if (!file->events)
		return -ENOMEM;

	ret = uiommu_pci_open(dev);
	if (ret) {
		uiommu_events_close(file->events);
		return ret;
	}

	get_device(&dev->dev);
	file->dev = dev;
	uiommu_pci_file_add(file);

	/* One place to find the BAR mappings of every node and file. */
	filp->f_mapping = dev->inode->i_mapping;
	filp->private_data = no_free_ptr(file);
	return 0;
}

static int pci_fops_release(struct inode *inode, struct file *filp)
{
	struct uiommu_pci_file *file = filp->private_data;
	struct uiommu_pci *dev = file->dev;

	uiommu_pci_file_remove(file);

	/* The last close stops the device's DMA before its memory goes. */
	uiommu_pci_close(dev);
	if (file->owner)
		uiommu_owner_destroy(file->owner);
	uiommu_events_close(file->events);
	if (file->dummy)
		__free_page(file->dummy);
	kfree(file);
	put_device(&dev->dev);
	return 0;
}

static void show_gate(struct seq_file *seq, unsigned int gated)
{
	static const struct {
		enum uiommu_pci_gate why;
		const char *name;
	} reasons[] = {
		{ UIOMMU_PCI_GONE, "gone" },
		{ UIOMMU_PCI_ERROR, "error" },
		{ UIOMMU_PCI_RESET, "reset" },
		{ UIOMMU_PCI_MEMOFF, "memory-off" },
		{ UIOMMU_PCI_UNSET, "not-attached" },
		{ UIOMMU_PCI_D3, "d3" },
		{ UIOMMU_PCI_SLEEP, "sleep" },
	};
	unsigned int i;

	seq_puts(seq, "gate:\t");
	if (!gated)
		seq_puts(seq, " open");
	for (i = 0; i < ARRAY_SIZE(reasons); i++)
		if (gated & reasons[i].why)
			seq_printf(seq, " %s", reasons[i].name);
	seq_putc(seq, '\n');
}

static void pci_fops_show_fdinfo(struct seq_file *seq, struct file *filp)
{
	static const char *const kinds[] = {
		[UIOMMU_PCI_IRQ_NONE] = "none",
		[UIOMMU_PCI_IRQ_INTX] = "intx",
		[UIOMMU_PCI_IRQ_MSI] = "msi",
		[UIOMMU_PCI_IRQ_MSIX] = "msix",
	};
	struct uiommu_pci_file *file = filp->private_data;
	struct uiommu_pci *dev = file->dev;

	seq_printf(seq, "device:\t%s\n", pci_name(dev->pdev));
	show_gate(seq, READ_ONCE(dev->gated));
	scoped_guard(mutex, &dev->irqs.lock)
		seq_printf(seq, "vectors:\t%s %u\n", kinds[dev->irqs.type],
			   dev->irqs.num_vectors);

	guard(mutex)(&dev->lock);
	seq_printf(seq, "opens:\t%u\n", dev->opens);
	if (file->owner)
		uiommu_show_fdinfo(file->owner, seq);
}

const struct file_operations uiommu_pci_fops = {
	.owner = THIS_MODULE,
	.open = pci_fops_open,
	.release = pci_fops_release,
	.read = pci_fops_read,
	.write = pci_fops_write,
	.mmap = pci_fops_mmap,
	.llseek = pci_fops_llseek,
	.unlocked_ioctl = pci_fops_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.show_fdinfo = pci_fops_show_fdinfo,
};

// SPDX-License-Identifier: GPL-2.0-only
/*
 * BARs and ROM: read, write and mmap, each behind the gate.
 *
 * Design: original vfio/uiommu, Tom Lyon, Cisco Systems, 2010
 */
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/refcount.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uiommu.h>
#include <linux/unaligned.h>

#include "private.h"

/* PCI Express r5.0 7.7.2: the table has 16 bytes for each vector, the PBA a bit. */
static void find_msix(struct uiommu_pci *dev)
{
	struct pci_dev *pdev = dev->pdev;
	u32 table, pba, num;
	u16 flags;

	dev->msix_table = (struct uiommu_pci_msix_range) {};
	dev->msix_pba = (struct uiommu_pci_msix_range) {};
	if (!pdev->msix_cap)
		return;
	pci_read_config_word(pdev, pdev->msix_cap + PCI_MSIX_FLAGS, &flags);
	pci_read_config_dword(pdev, pdev->msix_cap + PCI_MSIX_TABLE, &table);
	pci_read_config_dword(pdev, pdev->msix_cap + PCI_MSIX_PBA, &pba);
	num = (flags & PCI_MSIX_FLAGS_QSIZE) + 1;

	dev->msix_table.bar = table & PCI_MSIX_TABLE_BIR;
	dev->msix_table.first = table & PCI_MSIX_TABLE_OFFSET;
	dev->msix_table.end = dev->msix_table.first + num * PCI_MSIX_ENTRY_SIZE;
	dev->msix_pba.bar = pba & PCI_MSIX_PBA_BIR;
	dev->msix_pba.first = pba & PCI_MSIX_PBA_OFFSET;
	dev->msix_pba.end = dev->msix_pba.first + ALIGN(num, 64) / 8;
}

static bool overlaps(const struct uiommu_pci_msix_range *range,
		     unsigned int bar, u64 first, u64 end)
{
	return range->end && bar == range->bar && first < range->end &&
	       end > range->first;
}

/*
 * Take the BARs for the user, at first open.  One that another driver holds, or
 * that has no address, is as good as absent.
 *
 * Return: 0; -ENOMEM, then some are taken.
 */
int uiommu_pci_claim_bars(struct uiommu_pci *dev)
{
	struct pci_dev *pdev = dev->pdev;
	unsigned int i;

	for (i = 0; i <= PCI_ROM_RESOURCE; i++) {
		struct uiommu_pci_bar *bar = &dev->bars[i];
		struct resource *res = &pdev->resource[i];

		*bar = (struct uiommu_pci_bar) {};
		if (!resource_size(res) || res->flags & IORESOURCE_UNSET ||
		    !(res->flags & (IORESOURCE_MEM | IORESOURCE_IO)))
			continue;
		if (i != PCI_ROM_RESOURCE) {
			if (pci_request_selected_regions(pdev, BIT(i), "vfio")) {
				/* When nobody holds it there was no memory. */
				if (res->parent && !READ_ONCE(res->child))
					return -ENOMEM;
				continue;
			}
			bar->claimed = true;
		}
		bar->len = resource_size(res);
		bar->start = res->start;
		bar->flags = res->flags;
	}
	find_msix(dev);
	return 0;
}

/* Nobody uses them: the last file is closed or the device is leaving. */
void uiommu_pci_release_bars(struct uiommu_pci *dev)
{
	unsigned int i;

	for (i = 0; i < PCI_STD_NUM_BARS; i++) {
		struct uiommu_pci_bar *bar = &dev->bars[i];

		uiommu_pci_bar_unmap(dev, i);
		if (bar->claimed)
			pci_release_selected_regions(dev->pdev, BIT(i));
		bar->claimed = false;
	}
	/* Who copies from it meanwhile has it to the end: it goes with the object. */
	if (READ_ONCE(dev->opens))
		return;
	kvfree(dev->rom);
	dev->rom = NULL;
	dev->rom_read = false;
}

/* Widest access that is aligned, wanted and allowed. */
static unsigned int access_width(u64 pos, size_t count, bool io)
{
	unsigned int width = !io && IS_ENABLED(CONFIG_64BIT) ? 8 : 4;

	while (width > 1 && (!IS_ALIGNED(pos, width) || count < width))
		width /= 2;
	return width;
}

/* Registers are little-endian, and so are they in user memory. */
static void io_read(void __iomem *addr, unsigned int width, u8 *raw)
{
	switch (width) {
	case 1:
		*raw = ioread8(addr);
		break;
	case 2:
		put_unaligned_le16(ioread16(addr), raw);
		break;
	case 4:
		put_unaligned_le32(ioread32(addr), raw);
		break;
	default:
		put_unaligned_le64(ioread64(addr), raw);
	}
}

static void io_write(void __iomem *addr, unsigned int width, const u8 *raw)
{
	switch (width) {
	case 1:
		iowrite8(*raw, addr);
		break;
	case 2:
		iowrite16(get_unaligned_le16(raw), addr);
		break;
	case 4:
		iowrite32(get_unaligned_le32(raw), addr);
		break;
	default:
		iowrite64(get_unaligned_le64(raw), addr);
	}
}

/* One access to a register, or to the closed gate. */
static int access_gate(struct uiommu_pci *dev, unsigned int i, void __iomem *at,
		       u64 pos, unsigned int width, u8 *raw, bool write)
{
	/* MEMORY in the COMMAND register is not about I/O ports. */
	unsigned int ignore = dev->bars[i].flags & IORESOURCE_IO ?
				      UIOMMU_PCI_MEMOFF : 0;

	lockdep_assert_held_read(&dev->gate);

	if (dev->gated & ~ignore) {
		if (dev->gated & UIOMMU_PCI_UNSET && !uiommu_pci_gone(dev))
			return -EINVAL;
		if (!write)
			memset(raw, 0xff, width);
	} else if (!write) {
		io_read(at, width, raw);
	} else if (!overlaps(&dev->msix_table, i, pos, pos + width) &&
		   !overlaps(&dev->msix_pba, i, pos, pos + width)) {
		/* Both are the kernel's: what is written there is dropped. */
		io_write(at, width, raw);
	}
	return 0;
}

/* The kernel has not mapped the BAR, or may not map all of it. */
static int access_unmapped(struct uiommu_pci *dev, unsigned int i, u64 pos,
			   unsigned int width, u8 *raw, bool write)
{
	void __iomem *at;
	int ret;

	guard(mutex)(&dev->bars_lock);
	at = uiommu_pci_bar_map_page(dev, i, pos);
	if (IS_ERR(at))
		return PTR_ERR(at);
	scoped_guard(rwsem_read, &dev->gate)
		ret = access_gate(dev, i, at, pos, width, raw, write);
	uiommu_pci_bar_unmap_page(dev, i, at);
	return ret;
}

static int access_bar(struct uiommu_pci *dev, unsigned int i, u64 pos,
		      unsigned int width, u8 *raw, bool write)
{
	void __iomem *io;

	guard(srcu)(&dev->srcu);

	scoped_guard(rwsem_read, &dev->gate) {
		/* Pairs with the release in uiommu_pci_bar_map_page(). */
		io = smp_load_acquire(&dev->bars[i].io);
		if (io || uiommu_pci_gone(dev))
			return access_gate(dev, i, io + pos, pos, width, raw,
					   write);
	}
	return access_unmapped(dev, i, pos, width, raw, write);
}

/**
 * uiommu_pci_bar_rw - read() or write() of a BAR
 * @dev: the device
 * @i: number of the BAR, 0 to 5
 * @buf: user buffer
 * @count: bytes
 * @pos: offset into the BAR
 * @write: to the device
 *
 * In accesses as wide as their alignment allows.  Nothing is held while user
 * memory is touched: it can be a mapping of the same BAR.
 *
 * Return: bytes done, up to the end of the BAR; or, when that is none, -EINVAL
 * without such a BAR or before the device is attached, -EBUSY where it is mapped
 * write-combining, -EINTR when killed, -EFAULT, -ENOMEM.
 */
ssize_t uiommu_pci_bar_rw(struct uiommu_pci *dev, unsigned int i,
			  char __user *buf, size_t count, u64 pos, bool write)
{
	struct uiommu_pci_bar *bar = &dev->bars[array_index_nospec(i,
							PCI_STD_NUM_BARS)];
	bool is_io = bar->flags & IORESOURCE_IO;
	size_t done = 0;
	u8 raw[8] = {};
	int ret = 0;

	if (!bar->len)
		return -EINVAL;
	if (pos >= bar->len)
		return write ? -EINVAL : 0;
	count = min_t(u64, count, bar->len - pos);

	while (done < count) {
		unsigned int width = access_width(pos + done, count - done,
						  is_io);

		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		if (write && copy_from_user(raw, buf + done, width)) {
			ret = -EFAULT;
			break;
		}
		ret = access_bar(dev, bar - dev->bars, pos + done, width, raw,
				 write);
		if (ret)
			break;
		if (!write && copy_to_user(buf + done, raw, width)) {
			ret = -EFAULT;
			break;
		}
		done += width;
		cond_resched();
	}
	return done ?: ret;
}

static int copy_rom(struct uiommu_pci *dev, void __iomem *rom, size_t size)
{
	size_t done = 0, n;
	int ret = -EBUSY;

	lockdep_assert_held(&dev->lock);

	dev->rom = kvmalloc(size, GFP_KERNEL_ACCOUNT);
	if (!dev->rom)
		return -ENOMEM;
	for (; done < size; done += n) {
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		cond_resched();
		n = min(size - done, PAGE_SIZE);
		guard(rwsem_read)(&dev->gate);
		if (dev->gated)
			break;
		memcpy_fromio(dev->rom + done, rom + done, n);
	}
	if (done < size) {
		kvfree(dev->rom);
		dev->rom = NULL;
		return ret;
	}
	dev->rom_size = size;
	dev->rom_read = true;
	return 0;
}

/*
 * Copy the image once: enabling the ROM may disable BARs that share a decoder
 * with it, and the PCI core logs what is wrong with an image each time.
 */
static int load_rom(struct uiommu_pci *dev)
{
	void __iomem *rom = NULL;
	size_t size = 0;
	int ret = -EBUSY;

	guard(srcu)(&dev->srcu);
	if (uiommu_pci_gone(dev))
		return -EBUSY;

	guard(mutex)(&dev->lock);
	if (!dev->space)
		return -EINVAL;
	if (dev->rom_read)
		return 0;
	/* A reset would save and restore config space with the ROM enabled. */
	if (!uiommu_pci_lock_config(dev))
		return -EBUSY;

	if (!READ_ONCE(dev->gated)) {
		rom = pci_map_rom(dev->pdev, &size);
		if (rom) {
			ret = copy_rom(dev, rom, size);
			pci_unmap_rom(dev->pdev, rom);
		} else if (size) {
			/* It has a size when it only could not be mapped. */
			ret = -ENOMEM;
		} else {
			dev->rom_size = 0;
			dev->rom_read = true;
			ret = 0;
		}
	}
	pci_cfg_access_unlock(dev->pdev);
	return ret;
}

static size_t copy_ones(char __user *buf, size_t count)
{
	size_t done = 0, n, failed = 0;
	u8 ones[64];

	memset(ones, 0xff, sizeof(ones));
	for (; done < count && !failed; done += n - failed) {
		n = min(count - done, sizeof(ones));
		failed = copy_to_user(buf + done, ones, n);
		cond_resched();
	}
	return done;
}

/**
 * uiommu_pci_rom_read - read() of the expansion ROM
 * @dev: the device
 * @buf: user buffer
 * @count: bytes
 * @pos: offset
 *
 * The image, and all-ones behind it up to the end of the ROM BAR.
 *
 * Return: bytes done, or -EINVAL without a ROM or before the device is
 * attached, -EFAULT, -ENOMEM, -EINTR when killed.
 */
ssize_t uiommu_pci_rom_read(struct uiommu_pci *dev, char __user *buf,
			    size_t count, u64 pos)
{
	u64 len = dev->bars[PCI_ROM_RESOURCE].len;
	size_t done = 0, image = 0;
	int ret;

	if (!len)
		return -EINVAL;
	if (pos >= len || !count)
		return 0;
	count = min_t(u64, count, len - pos);

	ret = load_rom(dev);
	if (ret && ret != -EBUSY)
		return ret;

	/*
	 * The copy does not change, and stays as long as a file is open, the device
	 * bound or not: removal does not wait for who sleeps here.
	 */
	if (!ret && pos < dev->rom_size) {
		image = min_t(u64, count, dev->rom_size - pos);
		done = image - copy_to_user(buf, dev->rom + pos, image);
	}
	if (done == image)
		done += copy_ones(buf + done, count - done);
	return done ?: -EFAULT;
}

/*
 * Whole pages of memory, so that a mapping reaches nothing else.  mmap() of a
 * character device takes offsets up to ULONG_MAX.
 */
bool uiommu_pci_bar_mappable(struct uiommu_pci *dev, unsigned int i)
{
	const struct uiommu_pci_bar *bar = &dev->bars[i];

	return bar->claimed && bar->flags & IORESOURCE_MEM &&
	       PAGE_ALIGNED(bar->start) && PAGE_ALIGNED(bar->len) &&
	       !dev->pdev->non_mappable_bars &&
	       (IS_ENABLED(CONFIG_64BIT) || !i);
}

/*
 * PCI Express r5.0 7.5.1.2.1: to read prefetchable memory does nothing else, and
 * writes to it may be merged.
 */
bool uiommu_pci_bar_combines(struct uiommu_pci *dev, unsigned int i)
{
	return IS_ENABLED(CONFIG_64BIT) && uiommu_pci_bar_mappable(dev, i) &&
	       dev->bars[i].flags & IORESOURCE_PREFETCH;
}

/*
 * The register page while the gate is open, else the file's page of all-ones:
 * nobody gets SIGBUS, and nothing reaches the device.  Under the gate in both
 * cases: whoever turns it zaps afterwards, and so finds what was put in before.
 */
static vm_fault_t bar_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct uiommu_pci_mapping *m = vma->vm_private_data;
	struct uiommu_pci *dev = m->file->dev;
	u64 pos = (u64)vmf->pgoff << PAGE_SHIFT;

	pos &= GENMASK_ULL(UIOMMU_PCI_SPACE_SHIFT - 1, 0);

	guard(rwsem_read)(&dev->gate);

	if (dev->gated)
		return vmf_insert_pfn_prot(vma, vmf->address,
					   page_to_pfn(m->file->dummy),
					   vm_get_page_prot(vma->vm_flags));
	return vmf_insert_pfn(vma, vmf->address,
			      (dev->bars[m->bar].start + pos) >> PAGE_SHIFT);
}

/* Copied at fork(), split, or moved */
static void bar_open(struct vm_area_struct *vma)
{
	struct uiommu_pci_mapping *m = vma->vm_private_data;

	refcount_inc(&m->ref);
}

static void bar_close(struct vm_area_struct *vma)
{
	uiommu_pci_mapping_put(vma->vm_private_data);
}

static const struct vm_operations_struct bar_vm_ops = {
	.open = bar_open,
	.close = bar_close,
	.fault = bar_fault,
};

static int get_dummy(struct uiommu_pci_file *file)
{
	struct page *page;

	if (READ_ONCE(file->dummy))
		return 0;
	page = alloc_page(GFP_KERNEL_ACCOUNT);
	if (!page)
		return -ENOMEM;
	memset(page_address(page), 0xff, PAGE_SIZE);
	/* Another thread's is as good. */
	if (cmpxchg(&file->dummy, NULL, page))
		__free_page(page);
	return 0;
}

/* Is this a part of a BAR that can be mapped in this way? */
static bool can_mmap(struct uiommu_pci *dev, unsigned int i, bool wc, u64 pos,
		     u64 len)
{
	if (wc ? !uiommu_pci_bar_combines(dev, i) :
		 !uiommu_pci_bar_mappable(dev, i))
		return false;
	if (pos >= dev->bars[i].len || len > dev->bars[i].len - pos ||
	    pos + len > BIT_ULL(UIOMMU_PCI_SPACE_SHIFT))
		return false;
	/* The kernel maps these pages, uncached, when MSI-X is on. */
	return !overlaps(&dev->msix_table, i, pos, pos + len) ||
	       (!wc && uiommu_isolated_msi(&dev->pdev->dev));
}

/**
 * uiommu_pci_bar_mmap - mmap() of a BAR
 * @file: the file
 * @vma: to be filled by faults; the lower bits of its page offset are @pos
 * @i: the BAR's number, 0 to 5
 * @wc: write-combining
 * @pos: offset of the mapping into the BAR
 *
 * Context: mmap_lock held for write.
 * Return: 0; -EINVAL for a private mapping, beyond the BAR, a BAR that cannot
 * be mapped so, before the device is attached, or the MSI-X table without isolated
 * interrupts; -EBUSY when a page is mapped in the other way; -ENODEV, -ENOMEM.
 */
int uiommu_pci_bar_mmap(struct uiommu_pci_file *file,
			struct vm_area_struct *vma, unsigned int i, bool wc,
			u64 pos)
{
	struct uiommu_pci *dev = file->dev;
	u64 len = vma->vm_end - vma->vm_start;
	struct uiommu_pci_mapping *m;

	i = array_index_nospec(i, PCI_STD_NUM_BARS);
	/* VM_SHARED is not there when the file was opened for reading only. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;

	guard(srcu)(&dev->srcu);
	if (uiommu_pci_gone(dev))
		return -ENODEV;
	if (READ_ONCE(dev->gated) & UIOMMU_PCI_UNSET)
		return -EINVAL;
	if (!can_mmap(dev, i, wc, pos, len))
		return -EINVAL;

	if (get_dummy(file))
		return -ENOMEM;
	m = uiommu_pci_mapping_create(file, i, wc, pos >> PAGE_SHIFT,
				      (pos + len - 1) >> PAGE_SHIFT);
	if (IS_ERR(m))
		return PTR_ERR(m);

	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_page_prot = wc ? pgprot_writecombine(vma->vm_page_prot) :
				 pgprot_noncached(vma->vm_page_prot);
	vma->vm_page_prot = pgprot_decrypted(vma->vm_page_prot);
	vma->vm_private_data = m;
	vma->vm_ops = &bar_vm_ops;
	return 0;
}

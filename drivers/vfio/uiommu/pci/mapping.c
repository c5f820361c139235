// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which pages of BARs are mapped into processes, and how: uncached or
 * write-combining, never both.
 *
 * Two ways to cache one page are undefined on x86 (Intel SDM volume 3, 12.12.4).
 * The kernel's own mappings count, too: while a page of a BAR is mapped
 * write-combining, read() and write() map the page they need, and leave those
 * alone.
 */
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/interval_tree.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/smp.h>

#include "private.h"

/*
 * Mappings of a BAR that can be write-combining at once: x86 keeps the types of
 * memory in one tree for all of the machine, and searches it under a spinlock.
 */
#define MAX_COMBINED	4096

static struct uiommu_pci_bar *bar_of(const struct uiommu_pci_mapping *m)
{
	return &m->file->dev->bars[m->bar];
}

static resource_size_t mapping_start(const struct uiommu_pci_mapping *m)
{
	return bar_of(m)->start + ((u64)m->node.start << PAGE_SHIFT);
}

static resource_size_t mapping_size(const struct uiommu_pci_mapping *m)
{
	return (u64)(m->node.last - m->node.start + 1) << PAGE_SHIFT;
}

static void add(struct uiommu_pci_mapping *m)
{
	interval_tree_insert(&m->node, &bar_of(m)->mapped[m->wc]);
	m->added = true;
	bar_of(m)->num_combined += m->wc;
}

static void drop(struct uiommu_pci_mapping *m)
{
	lockdep_assert_held(&m->file->dev->bars_lock);

	if (!m->added)
		return;
	interval_tree_remove(&m->node, &bar_of(m)->mapped[m->wc]);
	m->added = false;
	bar_of(m)->num_combined -= m->wc;
	if (m->wc)
		arch_io_free_memtype_wc(mapping_start(m), mapping_size(m));
}

/* The kernel's mapping of a whole BAR goes before a page is mapped differently. */
static void unmap_bar(struct uiommu_pci *dev, struct uiommu_pci_bar *bar)
{
	void __iomem *io;

	lockdep_assert_held(&dev->bars_lock);

	io = bar->io;
	if (!io)
		return;
	scoped_guard(rwsem_write, &dev->gate)
		bar->io = NULL;
	pci_iounmap(dev->pdev, io);
}

static int reserve(struct uiommu_pci_mapping *m)
{
	struct uiommu_pci *dev = m->file->dev;
	struct uiommu_pci_bar *bar = bar_of(m);
	int ret;

	guard(mutex)(&dev->bars_lock);

	if (interval_tree_iter_first(&bar->mapped[!m->wc], m->node.start,
				     m->node.last))
		return -EBUSY;
	if (m->wc) {
		if (bar->num_combined == MAX_COMBINED)
			return -ENOMEM;
		unmap_bar(dev, bar);
		/* As others have mapped it uncached, so is it here, too. */
		ret = arch_io_reserve_memtype_wc(mapping_start(m),
						 mapping_size(m));
		if (ret)
			return ret == -ENOMEM ? ret : -EBUSY;
		WRITE_ONCE(dev->combined, true);
	}
	add(m);
	return 0;
}

/**
 * uiommu_pci_mapping_create - map pages of a BAR
 * @file: the file they are mapped through, which lives longer
 * @bar: number of the BAR, which is the user's
 * @wc: write-combining
 * @first: number of the first page in the BAR
 * @last: number of the last one
 *
 * Context: dev->srcu held for read and nothing inside it; mmap_lock held.
 * Return: the mapping, with one reference; an ERR_PTR(): -EBUSY when one of the
 * pages is mapped in the other way, -ENOMEM, also with too many mappings.
 */
struct uiommu_pci_mapping *
uiommu_pci_mapping_create(struct uiommu_pci_file *file, unsigned int bar,
			  bool wc, unsigned long first, unsigned long last)
{
	int ret;

	struct uiommu_pci_mapping *m __free(kfree) =
		kzalloc_obj(*m, GFP_KERNEL_ACCOUNT);
	if (!m)
		return ERR_PTR(-ENOMEM);

	refcount_set(&m->ref, 1);
	m->file = file;
	m->bar = bar;
	m->wc = wc;
	m->node.start = first;
	m->node.last = last;
	ret = reserve(m);
	if (ret)
		return ERR_PTR(ret);
	return no_free_ptr(m);
}

/**
 * uiommu_pci_mapping_put - one VMA of a mapping less
 * @m: the mapping
 *
 * Context: may sleep; mmap_lock held.
 */
void uiommu_pci_mapping_put(struct uiommu_pci_mapping *m)
{
	if (!refcount_dec_and_test(&m->ref))
		return;
	scoped_guard(mutex, &m->file->dev->bars_lock)
		drop(m);
	kfree(m);
}

static void drain(void *unused)
{
	/* Orders what was stored write-combining before all that follows. */
	wmb();
}

/**
 * uiommu_pci_drain - no store to a BAR is left in a processor
 * @dev: the device, without a page of it in any process
 *
 * A processor can gather write-combining stores for as long as nothing makes it
 * send them, and a TLB is flushed without an interrupt where hardware can do so.
 * Costs each processor one, at the rate at which a user who combines closes gates.
 *
 * Context: process context, interrupts enabled.
 */
void uiommu_pci_drain(struct uiommu_pci *dev)
{
	if (READ_ONCE(dev->combined))
		on_each_cpu(drain, NULL, true);
}

/**
 * uiommu_pci_bar_unmap - nobody reaches a BAR any more
 * @dev: the device, its gate closed
 * @i: number of the BAR
 *
 * VMAs can outlive that, with pages of all-ones: what the pages of the BAR are
 * cached like is then for its next user to say.
 *
 * Context: may sleep; may be called again.
 */
void uiommu_pci_bar_unmap(struct uiommu_pci *dev, unsigned int i)
{
	struct uiommu_pci_bar *bar = &dev->bars[i];
	struct interval_tree_node *node;
	unsigned int wc;

	guard(mutex)(&dev->bars_lock);

	unmap_bar(dev, bar);
	for (wc = 0; wc < ARRAY_SIZE(bar->mapped); wc++) {
		while ((node = interval_tree_iter_first(&bar->mapped[wc], 0,
							ULONG_MAX))) {
			drop(container_of(node, struct uiommu_pci_mapping,
					  node));
			cond_resched();
		}
	}
}

/**
 * uiommu_pci_bar_map_page - map what one access to a BAR needs for the kernel
 * @dev: the device
 * @i: number of the BAR
 * @pos: offset into the BAR
 *
 * All of the BAR, for good, as long as none of it is mapped write-combining; else
 * a page of it, until uiommu_pci_bar_unmap_page().
 *
 * Context: dev->bars_lock held, until then.
 * Return: the address of @pos; an IOMEM_ERR_PTR(): -EBUSY when it is mapped
 * write-combining, -ENOMEM.
 */
void __iomem *uiommu_pci_bar_map_page(struct uiommu_pci *dev, unsigned int i,
				      u64 pos)
{
	struct uiommu_pci_bar *bar = &dev->bars[i];
	unsigned long page = pos >> PAGE_SHIFT;
	void __iomem *io = bar->io;

	lockdep_assert_held(&dev->bars_lock);

	if (RB_EMPTY_ROOT(&bar->mapped[true].rb_root)) {
		if (!io)
			io = pci_iomap(dev->pdev, i, 0);
		/* Pairs with the acquire in access_bar(). */
		smp_store_release(&bar->io, io);
		return io ? io + pos : IOMEM_ERR_PTR(-ENOMEM);
	}
	if (interval_tree_iter_first(&bar->mapped[true], page, page))
		return IOMEM_ERR_PTR(-EBUSY);
	io = ioremap(bar->start + ((u64)page << PAGE_SHIFT), PAGE_SIZE);
	return io ? io + offset_in_page(pos) : IOMEM_ERR_PTR(-ENOMEM);
}

/**
 * uiommu_pci_bar_unmap_page - undo uiommu_pci_bar_map_page()
 * @dev: the device
 * @i: number of the BAR
 * @at: what that returned
 */
void uiommu_pci_bar_unmap_page(struct uiommu_pci *dev, unsigned int i,
			       void __iomem *at)
{
	lockdep_assert_held(&dev->bars_lock);

	if (!dev->bars[i].io)
		iounmap(at);
}

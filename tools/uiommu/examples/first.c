// SPDX-License-Identifier: GPL-2.0-only
/*
 * A first user-level driver: QEMU's "edu" device computes 10! and interrupts.
 *
 * Usage: first /dev/vfioN
 */
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/uiommu.h>

/* Accesses that the compiler does not drop, repeat or split. */
#define reg_read(p)		__atomic_load_n(p, __ATOMIC_RELAXED)
#define reg_write(p, val)	__atomic_store_n(p, val, __ATOMIC_RELAXED)

int main(int argc, char **argv)
{
	struct vfio_dma_map map = { .size = sysconf(_SC_PAGESIZE) };
	struct pollfd irq = { .events = POLLIN };
	int space, dev;
	__u16 id[2], command;
	__u32 *bar;
	__u64 count;
	void *mem;

	if (argc != 2)
		errx(2, "usage: first /dev/vfioN");

	/* Each open of /dev/uiommu is a new, empty I/O address space. */
	space = open("/dev/uiommu", O_RDWR);
	dev = open(argv[1], O_RDWR);
	if (space < 0 || dev < 0)
		err(1, "open");

	/* From here on the device can reach what is mapped there, no more. */
	if (ioctl(dev, VFIO_DOMAIN_SET, &space))
		err(1, "VFIO_DOMAIN_SET");

	/* Give it a page, which it will find at the address 0x100000. */
	mem = mmap(NULL, map.size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	map.vaddr = (uintptr_t)mem;
	map.dmaaddr = 0x100000;
	map.flags = VFIO_FLAG_WRITE;
	if (mem == MAP_FAILED || ioctl(dev, VFIO_DMA_MAP_IOVA, &map))
		err(1, "VFIO_DMA_MAP_IOVA");

	/* The upper bits of the file offset pick config space or a BAR. */
	if (pread(dev, id, 4, VFIO_PCI_CONFIG_OFF + PCI_VENDOR_ID) != 4)
		err(1, "config space");
	if (id[0] != 0x1234 || id[1] != 0x11e8)
		errx(1, "%04x:%04x is no edu device", id[0], id[1]);

	/* Neither DMA nor MSI before the driver makes it a bus master. */
	command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	if (pwrite(dev, &command, 2, VFIO_PCI_CONFIG_OFF + PCI_COMMAND) != 2)
		err(1, "config space");

	bar = mmap(NULL, map.size, PROT_READ | PROT_WRITE, MAP_SHARED, dev,
		   VFIO_PCI_SPACE_TO_OFFSET(0));
	if (bar == MAP_FAILED)
		err(1, "BAR 0");
	printf("identification 0x%08x\n", reg_read(&bar[0x00 / 4]));

	/* Interrupts are counted in an eventfd. */
	irq.fd = eventfd(0, 0);
	if (irq.fd < 0 || ioctl(dev, VFIO_EVENTFD_MSI, &irq.fd))
		err(1, "VFIO_EVENTFD_MSI");
	reg_write(&bar[0x20 / 4], 0x80);	/* interrupt when done */
	reg_write(&bar[0x08 / 4], 10);		/* compute 10! */
	if (poll(&irq, 1, 5000) != 1 || read(irq.fd, &count, 8) != 8)
		errx(1, "no interrupt");
	reg_write(&bar[0x64 / 4], reg_read(&bar[0x24 / 4])); /* acknowledge */
	printf("10! = %u, interrupts: %llu\n", reg_read(&bar[0x08 / 4]), count);

	/* The end of the process undoes all of it. */
	return 0;
}

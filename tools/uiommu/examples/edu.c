// SPDX-License-Identifier: GPL-2.0-only
/*
 * Drive QEMU's "edu" device from user space: registers, INTx, MSI and DMA.
 *
 * Usage: edu BDF
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/uiommu.h>

#include "uiommu.h"

#define EDU_VENDOR		0x1234
#define EDU_DEVICE		0x11e8

#define EDU_ID			0x00	/* 0xRRrr00ed: version RR.rr */
#define EDU_LIVE		0x04	/* reads as the inverse of what was written */
#define EDU_FACTORIAL		0x08
#define EDU_STATUS		0x20
#define EDU_STATUS_COMPUTING	0x01
#define EDU_STATUS_IRQ		0x80	/* interrupt after a factorial */
#define EDU_IRQ_STATUS		0x24
#define EDU_IRQ_RAISE		0x60
#define EDU_IRQ_ACK		0x64
#define EDU_DMA_SRC		0x80
#define EDU_DMA_DST		0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_CMD		0x98
#define EDU_DMA_RUN		0x01
#define EDU_DMA_TO_RAM		0x02
#define EDU_DMA_IRQ		0x04

#define EDU_IRQ_FACTORIAL	0x001
#define EDU_IRQ_DMA		0x100

#define EDU_BUFFER		0x40000	/* the device's own memory */
#define EDU_BUFFER_LEN		4096

/* The DMA engine drives 28 address lines. */
#define IOVA_OUT		0x00100000
#define IOVA_BACK		0x0ffff000
#define BUFFER_LEN		4096

#define TIMEOUT_MS		5000
#define QUIET_MS		200	/* this long nothing may arrive */

static int passed, failed;

static bool check(bool ok, const char *what)
{
	printf("edu: %-6s %s\n", ok ? "ok" : "FAILED", what);
	fflush(stdout);
	if (ok)
		passed++;
	else
		failed++;
	return ok;
}

/* Acknowledge at the device and return what it interrupted for. */
static __u32 irq_ack(void *bar)
{
	__u32 cause = ud_read32(bar, EDU_IRQ_STATUS);

	ud_write32(bar, EDU_IRQ_ACK, cause);
	return cause;
}

/* Start a factorial, and return whether an interrupt announced the result. */
static bool factorial(void *bar, int efd, __u32 n, __u32 result)
{
	ud_write32(bar, EDU_STATUS, EDU_STATUS_IRQ);
	ud_write32(bar, EDU_FACTORIAL, n);
	if (ud_wait(efd, TIMEOUT_MS) <= 0)
		return false;
	return irq_ack(bar) == EDU_IRQ_FACTORIAL &&
	       !(ud_read32(bar, EDU_STATUS) & EDU_STATUS_COMPUTING) &&
	       ud_read32(bar, EDU_FACTORIAL) == result;
}

/* Raise an interrupt, and return whether it arrives. */
static bool raise_irq(void *bar, int efd, __u32 cause, int timeout_ms)
{
	ud_write32(bar, EDU_IRQ_RAISE, cause);
	return ud_wait(efd, timeout_ms) > 0;
}

static void test_registers(struct ud_device *ud, void *bar)
{
	__u32 id;

	check(!ud_config_read(ud, PCI_VENDOR_ID, 4, &id) &&
	      id == (EDU_DEVICE << 16 | EDU_VENDOR),
	      "config space: vendor and device id");

	id = ud_read32(bar, EDU_ID);
	printf("edu:        identification 0x%08x\n", id);
	check((id & 0xffff) == 0x00ed, "BAR 0: identification register");

	ud_write32(bar, EDU_LIVE, 0x12345678);
	check(ud_read32(bar, EDU_LIVE) == ~0x12345678u,
	      "BAR 0: write and read back");
}

static void test_intx(struct ud_device *ud, void *bar, int efd)
{
	if (!check(!ud_irq_intx(ud, efd), "INTx: on"))
		return;
	check(factorial(bar, efd, 5, 120), "INTx: factorial of 5");

	/*
	 * The kernel has masked the line. An interrupt that comes now waits
	 * until the line is unmasked in the way of 2010, by clearing
	 * INTX_DISABLE.
	 */
	check(!raise_irq(bar, efd, 2, QUIET_MS), "INTx: masked after it");
	check(!ud_command(ud, PCI_COMMAND_INTX_DISABLE, 0) &&
	      ud_wait(efd, TIMEOUT_MS) > 0 && irq_ack(bar) == 2,
	      "INTx: arrives when INTX_DISABLE is cleared");

	/* The same with the request for it. */
	check(!raise_irq(bar, efd, 4, QUIET_MS), "INTx: masked again");
	check(!ud_irq_intx_eoi(ud) && ud_wait(efd, TIMEOUT_MS) > 0 &&
	      irq_ack(bar) == 4, "INTx: arrives at end of interrupt");

	check(!ud_irq_intx_eoi(ud) && factorial(bar, efd, 6, 720),
	      "INTx: factorial of 6");
	check(!ud_irq_intx(ud, -1), "INTx: off");
}

/* One transfer, and whether an interrupt announced its end. */
static bool transfer(void *bar, int efd, __u32 src, __u32 dst,
		     __u32 cmd)
{
	ud_write32(bar, EDU_DMA_SRC, src);
	ud_write32(bar, EDU_DMA_DST, dst);
	ud_write32(bar, EDU_DMA_COUNT, EDU_BUFFER_LEN);
	ud_barrier();
	ud_write32(bar, EDU_DMA_CMD, cmd | EDU_DMA_RUN | EDU_DMA_IRQ);
	if (ud_wait(efd, TIMEOUT_MS) <= 0)
		return false;
	ud_barrier();
	return irq_ack(bar) == EDU_IRQ_DMA &&
	       !(ud_read32(bar, EDU_DMA_CMD) & EDU_DMA_RUN);
}

static void test_dma(struct ud_device *ud, void *bar, int efd)
{
	/* The device may read the one and write the other. */
	__u8 *out = ud_dma_alloc(ud, BUFFER_LEN, IOVA_OUT, 0);
	__u8 *back = ud_dma_alloc(ud, BUFFER_LEN, IOVA_BACK,
				     VFIO_FLAG_WRITE);
	int i;

	if (!check(out && back, "DMA: map two buffers"))
		return;
	for (i = 0; i < BUFFER_LEN; i++)
		out[i] = i * 7 + (i >> 8);
	memset(back, 0xee, BUFFER_LEN);

	check(transfer(bar, efd, IOVA_OUT, EDU_BUFFER, 0),
	      "DMA: memory to device");
	check(transfer(bar, efd, EDU_BUFFER, IOVA_BACK, EDU_DMA_TO_RAM),
	      "DMA: device to memory");
	check(!memcmp(out, back, BUFFER_LEN), "DMA: contents are the same");
	check(!ud_dma_free(ud, out, BUFFER_LEN, IOVA_OUT) &&
	      !ud_dma_free(ud, back, BUFFER_LEN, IOVA_BACK), "DMA: unmap");
}

int main(int argc, char **argv)
{
	struct ud_device ud;
	void *bar;
	int efd;

	if (argc != 2) {
		fputs("usage: edu BDF\n", stderr);
		return 2;
	}
	if (ud_open(&ud, argv[1]))
		return 1;
	printf("edu: %s is %s, user %d\n", ud.bdf, ud.node, (int)getuid());
	efd = ud_eventfd();
	bar = ud_map_bar(&ud, 0, NULL);
	if (efd < 0 || !bar ||
	    ud_command(&ud, 0, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)) {
		ud_close(&ud);
		return 1;
	}

	test_registers(&ud, bar);
	test_intx(&ud, bar, efd);
	if (check(!ud_irq_msi(&ud, efd), "MSI: on")) {
		check(factorial(bar, efd, 10, 3628800),
		      "MSI: factorial of 10");
		check(raise_irq(bar, efd, 8, TIMEOUT_MS) && irq_ack(bar) == 8,
		      "MSI: needs no end of interrupt");
		test_dma(&ud, bar, efd);
		check(!ud_irq_msi(&ud, -1), "MSI: off");
	}
	ud_close(&ud);
	printf("edu: %d passed, %d failed\n", passed, failed);
	return failed ? 1 : 0;
}

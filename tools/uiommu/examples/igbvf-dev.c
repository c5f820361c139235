// SPDX-License-Identifier: GPL-2.0-only
/*
 * User-level driver for a virtual function of Intel's 82576 network adapter.
 *
 * It resets the function and asks the physical function (PF) for a MAC address
 * through the mailbox, runs one receive and one transmit ring in mapped memory,
 * and takes interrupts through MSI-X.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/uiommu.h>

#include "igbvf-dev.h"

/*
 * The device
 */
#define VF_VENDOR		0x8086
#define VF_DEVICE		0x10ca

#define VF_CTRL			0x0000
#define VF_CTRL_RST		0x04000000
#define VF_STATUS		0x0008
#define VF_STATUS_LINK_UP	0x00000002
#define VF_MBMEM(n)		(0x0800 + 4 * (n))
#define VF_MAILBOX		0x0c40
#define VF_MAILBOX_REQ		0x00000001	/* to PF: there is a message */
#define VF_MAILBOX_ACK		0x00000002	/* to PF: message was read */
#define VF_MAILBOX_VFU		0x00000004	/* buffer is ours */
#define VF_MAILBOX_PFSTS	0x00000010	/* the PF wrote a message */
#define VF_MAILBOX_PFACK	0x00000020	/* the PF read our message */
#define VF_MAILBOX_RSTI		0x00000040	/* the PF is in reset */
#define VF_MAILBOX_RSTD		0x00000080	/* the PF has left reset */
#define VF_MAILBOX_CLEARED	(VF_MAILBOX_PFSTS | VF_MAILBOX_PFACK | \
				 VF_MAILBOX_RSTD) /* by reading */

#define VF_EIMS			0x1524		/* interrupts: enable */
#define VF_EIMC			0x1528		/* disable */
#define VF_EIAC			0x152c		/* clear cause when sent */
#define VF_EIAM			0x1530		/* disable when sent */
#define VF_EICR			0x1580		/* causes, cleared by reading */
#define VF_EITR(n)		(0x1680 + 4 * (n)) /* least time between two */
#define VF_IVAR0		0x1700		/* vector of receive queue 0 */
#define VF_IVAR_MISC		0x1740		/* vector of the mailbox */
#define VF_IVAR_VALID		0x80

#define VF_RDBAL		0x2800
#define VF_RDBAH		0x2804
#define VF_RDLEN		0x2808
#define VF_SRRCTL		0x280c
#define VF_SRRCTL_BSIZE_1K	1u		/* unit of the buffer length */
#define VF_SRRCTL_ADV_ONEBUF	0x02000000
#define VF_SRRCTL_DROP_EN	0x80000000
#define VF_RDH			0x2810
#define VF_RDT			0x2818
#define VF_RXDCTL		0x2828
#define VF_TDBAL		0x3800
#define VF_TDBAH		0x3804
#define VF_TDLEN		0x3808
#define VF_TDH			0x3810
#define VF_TDT			0x3818
#define VF_TXDCTL		0x3828
#define VF_QUEUE_ENABLE		0x02000000	/* of RXDCTL and TXDCTL */

/* A transmit descriptor: address and command; done is written back. */
#define TXD_DATA		0x00300000
#define TXD_EOP			0x01000000
#define TXD_FCS			0x02000000
#define TXD_REPORT		0x08000000
#define TXD_ADVANCED		0x20000000
#define TXD_PAYLEN_SHIFT	14
#define TXD_DONE		0x00000001

/* A receive descriptor: addresses; status and length are written back. */
#define RXD_DONE		0x00000001
#define RXD_EOP			0x00000002
#define RXD_ERRORS		0x97000000u	/* of the frame */

/* Messages to the PF. The answer is the message with ACK or NACK. */
#define MSG_RESET		0x01
#define MSG_SET_MAC		0x02
#define MSG_TYPE		0x0000ffffu
#define MSG_NACK		0x40000000u
#define MSG_ACK			0x80000000u

union descriptor {
	struct {
		__u64 address;
		__u64 header;
	} rx;
	struct {
		__u64 info;
		__u32 status;
		__u16 length;
		__u16 vlan;
	} rx_done;
	struct {
		__u64 address;
		__u32 command;
		__u32 status;
	} tx;
};

#define RING_SIZE		256		/* descriptors: a 4 KiB page */
#define RING_BYTES		(RING_SIZE * sizeof(union descriptor))
#define BUF_BYTES		2048
#define BUFS_BYTES		(RING_SIZE * BUF_BYTES)

#define IOVA_RX_RING		0x00100000
#define IOVA_TX_RING		0x00110000
#define IOVA_RX_BUFS		0x00200000
#define IOVA_TX_BUFS		0x00300000

/*
 * The mailbox has vector 2. QEMU 10.0 takes this number for a mask and signals
 * vector 1 instead, which is free: both lead to the same eventfd.
 */
enum { VECTOR_QUEUE, VECTOR_MAILBOX_QEMU, VECTOR_MAILBOX, NUM_VECTORS };

/* A bit for each vector. */
#define VECTORS_QUEUE		0x1
#define VECTORS_MAILBOX		0x6
#define VECTORS_ALL		0x7

#define FRAME_MIN		60

#define TIMEOUT_MS		5000
#define LINK_TIMEOUT_MS		15000

static int error(const char *what, int err)
{
	fprintf(stderr, "igbvf: %s\n", what);
	return err;
}

/*
 * Mailbox: a buffer that driver and PF take turns to use
 */
static bool mailbox_test(struct vf *vf, __u32 bit)
{
	__u32 seen = ud_read32(vf->bar, VF_MAILBOX);
	bool ret = (vf->mailbox | seen) & bit;

	/* Whatever was read is cleared: keep what nobody asked for yet. */
	vf->mailbox |= seen & VF_MAILBOX_CLEARED;
	vf->mailbox &= ~bit;
	return ret;
}

static int mailbox_wait(struct vf *vf, __u32 bit, bool set)
{
	__u64 end = ud_now_us() + TIMEOUT_MS * 1000ull;

	while (mailbox_test(vf, bit) != set) {
		if (ud_now_us() > end)
			return -ETIMEDOUT;
		usleep(500);
	}
	return 0;
}

static int mailbox_take(struct vf *vf)
{
	__u64 end = ud_now_us() + TIMEOUT_MS * 1000ull;

	do {
		ud_write32(vf->bar, VF_MAILBOX, VF_MAILBOX_VFU);
		if (mailbox_test(vf, VF_MAILBOX_VFU))
			return 0;
		usleep(500);
	} while (ud_now_us() < end);
	return error("the PF does not let go of the mailbox", -ETIMEDOUT);
}

static int mailbox_send(struct vf *vf, const __u32 *msg, int words)
{
	int i, ret;

	ret = mailbox_take(vf);
	if (ret)
		return ret;
	/* What the buffer held is about to be overwritten. */
	mailbox_test(vf, VF_MAILBOX_PFSTS);
	mailbox_test(vf, VF_MAILBOX_PFACK);
	for (i = 0; i < words; i++)
		ud_write32(vf->bar, VF_MBMEM(i), msg[i]);
	ud_write32(vf->bar, VF_MAILBOX, VF_MAILBOX_REQ);
	if (mailbox_wait(vf, VF_MAILBOX_PFACK, true))
		return error("the PF does not read the mailbox: is it up?",
			     -ETIMEDOUT);
	return 0;
}

static int mailbox_receive(struct vf *vf, __u32 *msg, int words)
{
	int i, ret;

	ret = mailbox_take(vf);
	if (ret)
		return ret;
	for (i = 0; i < words; i++)
		msg[i] = ud_read32(vf->bar, VF_MBMEM(i));
	ud_write32(vf->bar, VF_MAILBOX, VF_MAILBOX_ACK);
	return 0;
}

/* The answer to a message; others that come before it are read and dropped. */
static int mailbox_answer(struct vf *vf, __u32 type, __u32 *msg,
			  int words, bool by_interrupt)
{
	__u64 end = ud_now_us() + TIMEOUT_MS * 1000ull;
	__s64 n;
	int ret;

	while (ud_now_us() < end) {
		if (by_interrupt) {
			n = ud_wait(vf->mailbox_efd, TIMEOUT_MS);
			if (n < 0)
				return n;
			vf->mailbox_irqs += n;
			ud_write32(vf->bar, VF_EIMS, VECTORS_MAILBOX);
			if (n == 0)
				break;
			if (!mailbox_test(vf, VF_MAILBOX_PFSTS))
				continue;
		} else if (mailbox_wait(vf, VF_MAILBOX_PFSTS, true)) {
			break;
		}
		ret = mailbox_receive(vf, msg, words);
		if (ret)
			return ret;
		if ((msg[0] & MSG_TYPE) == type &&
		    (msg[0] & (MSG_ACK | MSG_NACK)))
			return 0;
	}
	return error("no answer from the PF", -ETIMEDOUT);
}

/*
 * Setting up
 */
static int vf_reset(struct vf *vf)
{
	__u32 msg[3] = { MSG_RESET };
	int ret;

	ud_write32(vf->bar, VF_CTRL, VF_CTRL_RST);
	if (mailbox_wait(vf, VF_MAILBOX_RSTI, false))
		return error("the PF is in reset: is it up?", -ETIMEDOUT);
	vf->mailbox = 0;

	ret = mailbox_send(vf, msg, 1);
	if (!ret)
		ret = mailbox_answer(vf, MSG_RESET, msg, 3, false);
	if (ret)
		return ret;

	if (msg[0] & MSG_ACK) {
		__u32 raw[2] = { htole32(msg[1]), htole32(msg[2]) };

		memcpy(vf->mac, raw, sizeof(vf->mac));
	}
	return 0;
}

/* A local address that is the same each time: nobody's ARP entry goes stale. */
static void make_mac(struct vf *vf)
{
	unsigned int domain, bus, dev, fn;

	if (sscanf(vf->ud.bdf, "%x:%x:%x.%x", &domain, &bus, &dev, &fn) != 4)
		return;
	vf->mac[0] = 0x02;
	vf->mac[1] = 0x75;
	vf->mac[2] = domain >> 8;
	vf->mac[3] = domain;
	vf->mac[4] = bus;
	vf->mac[5] = dev << 3 | fn;
}

/* Have the PF steer the address to us; the answer arrives by interrupt. */
static int vf_set_mac(struct vf *vf)
{
	__u32 msg[3] = { MSG_SET_MAC }, raw[2] = { 0 };
	int ret;

	memcpy(raw, vf->mac, sizeof(vf->mac));
	msg[1] = le32toh(raw[0]);
	msg[2] = le32toh(raw[1]);
	ret = mailbox_send(vf, msg, 3);
	if (!ret)
		ret = mailbox_answer(vf, MSG_SET_MAC, msg, 1, true);
	if (!ret && (msg[0] & MSG_NACK))
		ret = error("the PF refuses the MAC address", -EPERM);
	return ret;
}

static int vf_irq_on(struct vf *vf)
{
	int efds[NUM_VECTORS], i, ret;

	vf->queue_efd = ud_eventfd();
	vf->mailbox_efd = ud_eventfd();
	if (vf->queue_efd < 0 || vf->mailbox_efd < 0)
		return -EMFILE;
	efds[VECTOR_QUEUE] = vf->queue_efd;
	efds[VECTOR_MAILBOX] = vf->mailbox_efd;
	efds[VECTOR_MAILBOX_QEMU] = vf->mailbox_efd;
	ret = ud_irq_msix(&vf->ud, NUM_VECTORS, efds);
	if (ret)
		return ret;
	vf->irqs_on = true;

	/*
	 * An interrupt disables itself when it is sent, until the driver has
	 * seen to its cause. Transmitting needs none: whatever was sent is
	 * cleaned up before the descriptor is used again.
	 */
	ud_write32(vf->bar, VF_IVAR0, VF_IVAR_VALID | VECTOR_QUEUE);
	ud_write32(vf->bar, VF_IVAR_MISC, VF_IVAR_VALID | VECTOR_MAILBOX);
	ud_write32(vf->bar, VF_EIAC, VECTORS_ALL);
	ud_write32(vf->bar, VF_EIAM, VECTORS_ALL);
	for (i = 0; i < NUM_VECTORS; i++)
		ud_write32(vf->bar, VF_EITR(i), 0);
	ud_read32(vf->bar, VF_EICR);
	ud_write32(vf->bar, VF_EIMS, VECTORS_ALL);
	return 0;
}

static void rx_give(struct vf *vf, unsigned int i)
{
	vf->rx_ring[i].rx.address = htole64(IOVA_RX_BUFS + i * BUF_BYTES);
	vf->rx_ring[i].rx.header = 0;
}

static int queue_enable(struct vf *vf, size_t reg)
{
	__u64 end = ud_now_us() + TIMEOUT_MS * 1000ull;

	ud_write32(vf->bar, reg, ud_read32(vf->bar, reg) | VF_QUEUE_ENABLE);
	while (!(ud_read32(vf->bar, reg) & VF_QUEUE_ENABLE)) {
		if (ud_now_us() > end)
			return error("a queue cannot be enabled", -ETIMEDOUT);
		usleep(500);
	}
	return 0;
}

static int vf_queues_on(struct vf *vf)
{
	unsigned int i;
	int ret;

	/* The device reads and writes the rings, but writes no sent frame. */
	vf->rx_ring = ud_dma_alloc(&vf->ud, RING_BYTES, IOVA_RX_RING,
				   VFIO_FLAG_WRITE);
	vf->tx_ring = ud_dma_alloc(&vf->ud, RING_BYTES, IOVA_TX_RING,
				   VFIO_FLAG_WRITE);
	vf->rx_bufs = ud_dma_alloc(&vf->ud, BUFS_BYTES, IOVA_RX_BUFS,
				   VFIO_FLAG_WRITE);
	vf->tx_bufs = ud_dma_alloc(&vf->ud, BUFS_BYTES, IOVA_TX_BUFS, 0);
	if (!vf->rx_ring || !vf->tx_ring || !vf->rx_bufs || !vf->tx_bufs)
		return -ENOMEM;

	ud_write32(vf->bar, VF_TDBAL, IOVA_TX_RING);
	ud_write32(vf->bar, VF_TDBAH, 0);
	ud_write32(vf->bar, VF_TDLEN, RING_BYTES);
	ud_write32(vf->bar, VF_TDH, 0);
	ud_write32(vf->bar, VF_TDT, 0);
	ret = queue_enable(vf, VF_TXDCTL);
	if (ret)
		return ret;

	for (i = 0; i < RING_SIZE; i++)
		rx_give(vf, i);
	ud_write32(vf->bar, VF_RDBAL, IOVA_RX_RING);
	ud_write32(vf->bar, VF_RDBAH, 0);
	ud_write32(vf->bar, VF_RDLEN, RING_BYTES);
	ud_write32(vf->bar, VF_SRRCTL,
		   BUF_BYTES / 1024 * VF_SRRCTL_BSIZE_1K |
		   VF_SRRCTL_ADV_ONEBUF | VF_SRRCTL_DROP_EN);
	ud_write32(vf->bar, VF_RDH, 0);
	ud_write32(vf->bar, VF_RDT, 0);
	ret = queue_enable(vf, VF_RXDCTL);
	if (ret)
		return ret;
	/* Head and tail being equal means empty: one is always held back. */
	ud_barrier();
	ud_write32(vf->bar, VF_RDT, RING_SIZE - 1);
	return 0;
}

static int vf_wait_link(struct vf *vf)
{
	__u64 end = ud_now_us() + LINK_TIMEOUT_MS * 1000ull;

	while (!(ud_read32(vf->bar, VF_STATUS) & VF_STATUS_LINK_UP)) {
		if (ud_now_us() > end)
			return error("no link", -ENETDOWN);
		usleep(10000);
	}
	return 0;
}

/* Open the function and bring it up; vf_stop() is due even when this fails. */
int vf_start(struct vf *vf, const char *bdf)
{
	__u32 id, command;
	int ret;

	vf->bar = NULL;
	vf->irqs_on = false;
	ret = ud_open(&vf->ud, bdf);
	if (ret)
		return ret;
	/* The hardware of a VF reads 0xffff here: the kernel fills it in. */
	ret = ud_config_read(&vf->ud, PCI_VENDOR_ID, 4, &id);
	if (ret)
		return ret;
	if (id != (VF_DEVICE << 16 | VF_VENDOR)) {
		fprintf(stderr, "igbvf: %s is %04x:%04x, not %04x:%04x\n",
			vf->ud.bdf, id & 0xffff, id >> 16, VF_VENDOR,
			VF_DEVICE);
		return -ENODEV;
	}
	ret = ud_command(&vf->ud, 0, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	if (!ret)
		ret = ud_config_read(&vf->ud, PCI_COMMAND, 2, &command);
	if (ret)
		return ret;
	if (!(command & PCI_COMMAND_MASTER))
		return error("bus master cannot be set", -EIO);

	vf->bar = ud_map_bar(&vf->ud, 0, NULL);
	if (!vf->bar)
		return -EIO;
	ret = vf_reset(vf);
	if (!ret)
		ret = vf_irq_on(vf);
	if (ret)
		return ret;
	if (!memcmp(vf->mac, "\0\0\0\0\0", 6))
		make_mac(vf);
	ret = vf_set_mac(vf);
	if (!ret)
		ret = vf_queues_on(vf);
	if (!ret)
		ret = vf_wait_link(vf);
	return ret;
}

void vf_stop(struct vf *vf)
{
	if (vf->bar) {
		ud_write32(vf->bar, VF_EIMC, VECTORS_ALL);
		ud_write32(vf->bar, VF_RXDCTL, 0);
		ud_write32(vf->bar, VF_TXDCTL, 0);
	}
	if (vf->irqs_on)
		ud_irq_msix(&vf->ud, 0, NULL);
	ud_close(&vf->ud);
}

/* Whether there is room for one more frame. */
bool vf_tx_room(struct vf *vf)
{
	while (vf->tx_clean != vf->tx_next) {
		__u32 *status = &vf->tx_ring[vf->tx_clean].tx.status;

		if (!(ud_read32(status, 0) & TXD_DONE))
			break;
		vf->tx_clean = (vf->tx_clean + 1) % RING_SIZE;
	}
	return (vf->tx_next + 1) % RING_SIZE != vf->tx_clean;
}

/* The buffer of the next frame to send: only after vf_tx_room(). */
void *vf_tx_buffer(struct vf *vf)
{
	return vf->tx_bufs + vf->tx_next * BUF_BYTES;
}

/* Put the frame in the next buffer into the ring. */
void vf_tx_add(struct vf *vf, unsigned int len)
{
	union descriptor *d = &vf->tx_ring[vf->tx_next];

	if (len < FRAME_MIN) {
		memset((__u8 *)vf_tx_buffer(vf) + len, 0, FRAME_MIN - len);
		len = FRAME_MIN;
	}
	d->tx.address = htole64(IOVA_TX_BUFS + vf->tx_next * BUF_BYTES);
	d->tx.command = htole32(TXD_ADVANCED | TXD_DATA | TXD_EOP | TXD_FCS |
				TXD_REPORT | len);
	d->tx.status = htole32(len << TXD_PAYLEN_SHIFT);
	vf->tx_next = (vf->tx_next + 1) % RING_SIZE;
}

/* Tell the device of what was added. */
void vf_tx_kick(struct vf *vf)
{
	ud_barrier();
	ud_write32(vf->bar, VF_TDT, vf->tx_next);
}

/* Take all frames that have arrived out of the ring. */
static void rx_drain(struct vf *vf)
{
	unsigned int first = vf->rx_next;

	for (;;) {
		unsigned int i = vf->rx_next;
		__u32 status = ud_read32(&vf->rx_ring[i].rx_done.status, 0);
		unsigned int len;

		if (!(status & RXD_DONE))
			break;
		ud_barrier();
		len = le16toh(vf->rx_ring[i].rx_done.length);
		if (!(status & RXD_EOP) || (status & RXD_ERRORS) ||
		    len > BUF_BYTES)
			vf->rx_errors++;
		else
			vf->frame(vf->owner, vf->rx_bufs + i * BUF_BYTES, len);
		rx_give(vf, i);
		vf->rx_next = (i + 1) % RING_SIZE;
	}
	if (vf->rx_next != first) {
		ud_barrier();
		ud_write32(vf->bar, VF_RDT,
			   (vf->rx_next + RING_SIZE - 1) % RING_SIZE);
	}
}

/* A message of the PF that nobody asked for. */
static int got_mail(struct vf *vf)
{
	__u32 msg;

	if (mailbox_test(vf, VF_MAILBOX_RSTI | VF_MAILBOX_RSTD))
		return error("the PF was reset", -ENETRESET);
	if (mailbox_test(vf, VF_MAILBOX_PFSTS))
		return mailbox_receive(vf, &msg, 1);
	return 0;
}

/*
 * Wait for an interrupt and see to it. Returns 1 when there was one of the
 * queue, 0 when the time is over.
 */
int vf_poll(struct vf *vf, int timeout_ms)
{
	struct pollfd pfd[2] = {
		{ .fd = vf->queue_efd, .events = POLLIN },
		{ .fd = vf->mailbox_efd, .events = POLLIN },
	};
	__u64 n;
	int ret;

	ret = poll(pfd, 2, timeout_ms);
	if (ret < 0 && errno != EINTR)
		return -errno;
	if (ret <= 0)
		return 0;
	if (pfd[1].revents) {
		if (read(vf->mailbox_efd, &n, sizeof(n)) == sizeof(n))
			vf->mailbox_irqs += n;
		ret = got_mail(vf);
		if (ret)
			return ret;
		ud_write32(vf->bar, VF_EIMS, VECTORS_MAILBOX);
	}
	if (!pfd[0].revents)
		return 0;
	if (read(vf->queue_efd, &n, sizeof(n)) == sizeof(n))
		vf->queue_irqs += n;
	rx_drain(vf);
	/* A frame that came since then interrupts at once. */
	ud_write32(vf->bar, VF_EIMS, VECTORS_QUEUE);
	return 1;
}

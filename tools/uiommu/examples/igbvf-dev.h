/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A virtual function of Intel's 82576 network adapter: send and receive frames.
 *
 * What fails says so on stderr.
 */
#ifndef IGBVF_DEV_H
#define IGBVF_DEV_H

#include <stdbool.h>

#include "uiommu.h"

union descriptor;

/**
 * struct vf - the driver's state
 * @ud: device
 * @bar: registers
 * @mailbox: bits of the mailbox register that reading has cleared
 * @irqs_on: interrupts are on
 * @queue_efd: interrupts of the receive queue
 * @mailbox_efd: interrupts of the mailbox
 * @queue_irqs: interrupts of the receive queue so far
 * @mailbox_irqs: interrupts of the mailbox so far
 * @rx_errors: received frames that were not whole
 * @mac: our address, as given by the PF, or a local one
 * @rx_ring: descriptors of empty buffers
 * @tx_ring: descriptors of frames to send
 * @rx_bufs: a buffer for each receive descriptor
 * @tx_bufs: a buffer for each transmit descriptor
 * @rx_next: the next descriptor that the device fills
 * @tx_next: the next descriptor to use
 * @tx_clean: the oldest descriptor in use
 * @frame: called for each received frame
 * @owner: its first argument
 */
struct vf {
	struct ud_device ud;
	void *bar;
	__u32 mailbox;
	bool irqs_on;
	int queue_efd;
	int mailbox_efd;
	__u64 queue_irqs;
	__u64 mailbox_irqs;
	__u64 rx_errors;
	__u8 mac[6];
	union descriptor *rx_ring;
	union descriptor *tx_ring;
	__u8 *rx_bufs;
	__u8 *tx_bufs;
	unsigned int rx_next;
	unsigned int tx_next;
	unsigned int tx_clean;
	void (*frame)(void *owner, const void *data, unsigned int len);
	void *owner;
};

int vf_start(struct vf *vf, const char *bdf);
void vf_stop(struct vf *vf);

bool vf_tx_room(struct vf *vf);
void *vf_tx_buffer(struct vf *vf);
void vf_tx_add(struct vf *vf, unsigned int len);
void vf_tx_kick(struct vf *vf);

int vf_poll(struct vf *vf, int timeout_ms);

#endif /* IGBVF_DEV_H */

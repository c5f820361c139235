/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether INTx of a device is masked: a state machine that knows neither a
 * struct pci_dev nor a lock, so that every event can be tested in every state.
 */
#ifndef _UIOMMU_PCI_INTX_H
#define _UIOMMU_PCI_INTX_H

#include <linux/types.h>

/**
 * struct uiommu_intx_hw - what masks INTx
 * @mask_asserted: set INTX_DISABLE if the device asserts its line; did it?
 * @unmask_quiet: clear INTX_DISABLE unless the device asserts its line; done?
 * @enable: clear INTX_DISABLE, or set it
 * @enable_line: enable the line at the interrupt controller, or disable it;
 *	each call is the opposite of the last one
 *
 * PCI Local Bus 3.0 sections 6.2.2 and 6.2.3.
 */
struct uiommu_intx_hw {
	bool (*mask_asserted)(void *priv);
	bool (*unmask_quiet)(void *priv);
	void (*enable)(void *priv, bool on);
	void (*enable_line)(void *priv, bool on);
};

/**
 * struct uiommu_intx - INTx of a device
 * @hw: the hardware
 * @priv: first argument of the functions in @hw
 * @exclusive: INTX_DISABLE does not work: the line is ours alone, and is masked
 *	instead
 * @on: there is a handler
 * @line: the line is enabled; only when it is exclusive
 * @disabled: the user wants it masked
 * @masked: it is, by the user or by an interrupt; what the user sees as
 *	INTX_DISABLE
 * @down: the device is in reset or in error, its registers are not touched
 */
struct uiommu_intx {
	const struct uiommu_intx_hw *hw;
	void *priv;
	bool exclusive;
	bool on;
	bool line;
	bool disabled;
	bool masked;
	bool down;
};

/**
 * enum uiommu_intx_event - whose an interrupt is
 * @UIOMMU_INTX_OTHERS: another device's
 * @UIOMMU_INTX_EARLY: ours, but it was masked meanwhile: it comes again
 * @UIOMMU_INTX_SIGNAL: ours, to be signalled; it is masked now
 */
enum uiommu_intx_event {
	UIOMMU_INTX_OTHERS,
	UIOMMU_INTX_EARLY,
	UIOMMU_INTX_SIGNAL,
};

void uiommu_intx_start(struct uiommu_intx *intx);
void uiommu_intx_stop(struct uiommu_intx *intx);
enum uiommu_intx_event
uiommu_intx_interrupt(struct uiommu_intx *intx);
bool uiommu_intx_user(struct uiommu_intx *intx, bool mask);
void uiommu_intx_sync(struct uiommu_intx *intx, bool down);

#endif /* _UIOMMU_PCI_INTX_H */

// SPDX-License-Identifier: GPL-2.0-only
/*
 * INTx is level-triggered and shared: an interrupt is masked when it comes, as
 * nobody can wait for a user with the line asserted, and unmasked when the user
 * says so, by clearing INTX_DISABLE or by an end of interrupt.  A line that is
 * still asserted then is not unmasked, it would only fire at once: it counts as
 * the next interrupt.
 *
 * Design: original vfio/uiommu, Tom Lyon, Cisco Systems, 2010
 */
#include "intx.h"

/* Make hardware what the state says, as far as it is in reach. */
static void apply(struct uiommu_intx *intx)
{
	bool line = intx->on && !intx->masked && !intx->down;

	if (!intx->down)
		intx->hw->enable(intx->priv, intx->on && (intx->exclusive ||
							  !intx->masked));
	if (intx->exclusive && intx->line != line) {
		intx->line = line;
		intx->hw->enable_line(intx->priv, line);
	}
}

/**
 * uiommu_intx_start - the handler is there
 * @intx: INTx, off; its line disabled when it is exclusive
 */
void uiommu_intx_start(struct uiommu_intx *intx)
{
	intx->on = true;
	intx->line = false;
	apply(intx);
}

/**
 * uiommu_intx_stop - the handler is about to go
 * @intx: INTx
 *
 * What an interrupt masked is not masked for the next handler; what the user
 * masked is.
 */
void uiommu_intx_stop(struct uiommu_intx *intx)
{
	intx->on = false;
	intx->masked = intx->disabled;
	apply(intx);
}

/**
 * uiommu_intx_interrupt - the handler is called
 * @intx: INTx
 *
 * Return: whose the interrupt is.
 */
enum uiommu_intx_event
uiommu_intx_interrupt(struct uiommu_intx *intx)
{
	if (intx->exclusive) {
		if (!intx->line)
			return UIOMMU_INTX_EARLY;
		intx->masked = true;
		intx->line = false;
		intx->hw->enable_line(intx->priv, false);
		return UIOMMU_INTX_SIGNAL;
	}
	if (!intx->on || intx->down)
		return UIOMMU_INTX_OTHERS;
	/*
	 * One that is masked does not interrupt, although it may assert; it is
	 * masked again in case that somebody else wrote its register.
	 */
	if (!intx->hw->mask_asserted(intx->priv) || intx->masked)
		return UIOMMU_INTX_OTHERS;
	intx->masked = true;
	return UIOMMU_INTX_SIGNAL;
}

/**
 * uiommu_intx_user - the user masks or unmasks
 * @intx: INTx
 * @mask: mask
 *
 * Remembered while INTx is off or out of reach.
 *
 * Return: true when it stays masked, as the device still asserts its line: that
 * is the next interrupt, to be signalled.
 */
bool uiommu_intx_user(struct uiommu_intx *intx, bool mask)
{
	intx->disabled = mask;
	if (mask == intx->masked)
		return false;
	if (!mask && intx->on && !intx->exclusive && !intx->down) {
		intx->masked = !intx->hw->unmask_quiet(intx->priv);
		return intx->masked;
	}
	intx->masked = mask;
	if (intx->on)
		apply(intx);
	return false;
}

/**
 * uiommu_intx_sync - the device goes out of reach, is back, or others wrote its
 * registers
 * @intx: INTx
 * @down: it is out of reach from now on
 */
void uiommu_intx_sync(struct uiommu_intx *intx, bool down)
{
	/* While the registers can be reached: it may still assert its line. */
	if (down && !intx->down)
		intx->hw->enable(intx->priv, false);
	intx->down = down;
	apply(intx);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the mask of INTx: every event in every state, on a device whose
 * registers and line are modelled.
 */
#include <kunit/test.h>
#include <linux/bitmap.h>

#include "intx.h"

/**
 * struct model - a device, its line, and the interrupt controller
 * @intx: under test
 * @wants: the device has something to tell: Interrupt Status
 * @disable: INTX_DISABLE
 * @dead: in reset, and asserts nothing
 * @sync: what goes out of reach can still be reached
 * @broken: INTX_DISABLE does nothing
 * @line: the line is enabled at the controller
 * @touched: registers were accessed while they are out of reach
 * @unbalanced: the line was enabled or disabled twice
 * @signals: interrupts that the user saw
 */
struct model {
	struct uiommu_intx intx;
	bool wants;
	bool disable;
	bool dead;
	bool sync;
	bool broken;
	bool line;
	unsigned int touched;
	unsigned int unbalanced;
	unsigned int signals;
};

static void touch(struct model *m)
{
	m->touched += m->intx.down && !m->sync;
}

static bool mask_asserted(void *priv)
{
	struct model *m = priv;

	touch(m);
	if (m->wants)
		m->disable = true;
	return m->wants;
}

static bool unmask_quiet(void *priv)
{
	struct model *m = priv;

	touch(m);
	if (!m->wants)
		m->disable = false;
	return !m->wants;
}

static void enable(void *priv, bool on)
{
	struct model *m = priv;

	touch(m);
	m->disable = !on;
}

static void enable_line(void *priv, bool on)
{
	struct model *m = priv;

	m->unbalanced += m->line == on;
	m->line = on;
}

static const struct uiommu_intx_hw model_hw = {
	.mask_asserted = mask_asserted,
	.unmask_quiet = unmask_quiet,
	.enable = enable,
	.enable_line = enable_line,
};

/* Does it reach a CPU now? */
static bool asserted(const struct model *m)
{
	return m->wants && !m->dead && (m->broken || !m->disable) &&
	       (!m->intx.exclusive || m->line);
}

enum event {
	START, STOP, WANT, DONE, INTERRUPT, MASK, UNMASK,
	RESET,		/* the device goes down and forgets everything */
	ERROR,		/* it goes down, and runs on */
	BACK,
	NUM_EVENTS
};

static bool possible(const struct model *m, enum event event)
{
	switch (event) {
	case START:
		return !m->intx.on;
	case STOP:
		return m->intx.on;
	case RESET:
	case ERROR:
		return !m->intx.down;
	case BACK:
		return m->intx.down;
	/* On a shared line others can interrupt at any time. */
	case INTERRUPT:
		return m->intx.on && (!m->intx.exclusive || m->line);
	default:
		return true;
	}
}

static void happen(struct kunit *test, struct model *m, enum event event)
{
	bool ours = asserted(m), masked = m->intx.masked;
	enum uiommu_intx_event whose;

	switch (event) {
	case START:
		uiommu_intx_start(&m->intx);
		break;
	case STOP:
		uiommu_intx_stop(&m->intx);
		KUNIT_EXPECT_EQ(test, m->intx.masked, m->intx.disabled);
		break;
	case WANT:
	case DONE:
		m->wants = event == WANT && !m->dead;
		break;
	case INTERRUPT:
		whose = uiommu_intx_interrupt(&m->intx);
		/* Ours is taken for ours, and nobody else's is. */
		if (!m->intx.exclusive)
			KUNIT_EXPECT_EQ(test, whose, ours && !masked ?
					UIOMMU_INTX_SIGNAL :
					UIOMMU_INTX_OTHERS);
		m->signals += whose == UIOMMU_INTX_SIGNAL;
		break;
	case MASK:
	case UNMASK:
		m->signals += uiommu_intx_user(&m->intx, event == MASK);
		KUNIT_EXPECT_EQ(test, m->intx.disabled, event == MASK);
		if (event == MASK)
			KUNIT_EXPECT_TRUE(test, m->intx.masked);
		break;
	case RESET:
	case ERROR:
		m->sync = true;
		uiommu_intx_sync(&m->intx, true);
		m->sync = false;
		if (event == ERROR)
			break;
		m->dead = true;
		m->wants = false;
		break;
	case BACK:
		/* Reset leaves INTX_DISABLE clear. */
		if (m->dead)
			m->disable = false;
		m->dead = false;
		uiommu_intx_sync(&m->intx, false);
		break;
	default:
		break;
	}

	/* Nothing of what an interrupt does can come twice without the user. */
	if (m->intx.on && !m->dead) {
		if (m->intx.masked || m->intx.down)
			KUNIT_EXPECT_FALSE(test, asserted(m));
		else if (m->wants)
			KUNIT_EXPECT_TRUE(test, asserted(m));
	}
	if (!m->intx.on && !m->broken)
		KUNIT_EXPECT_FALSE(test, asserted(m));
	if (m->intx.disabled)
		KUNIT_EXPECT_TRUE(test, m->intx.masked);
	KUNIT_EXPECT_EQ(test, m->touched, 0);
	KUNIT_EXPECT_EQ(test, m->unbalanced, 0);
	if (m->intx.exclusive)
		KUNIT_EXPECT_EQ(test, m->line, m->intx.line);
}

static struct model new_model(bool exclusive)
{
	struct model m = {
		.intx = { .hw = &model_hw, .exclusive = exclusive },
		.broken = exclusive,
		.disable = true,
	};

	return m;
}

/* What there is of a state, in a number */
static unsigned int state_of(const struct model *m)
{
	return m->intx.on | m->intx.disabled << 1 | m->intx.masked << 2 |
	       m->intx.down << 3 | m->wants << 4 | m->disable << 5 |
	       m->line << 6 | m->dead << 7;
}

/* Every event in every state that can be reached, found breadth first. */
static void explore(struct kunit *test, bool exclusive)
{
	DECLARE_BITMAP(seen, 256) = {};
	struct model *queue;
	unsigned int head = 0, tail = 0, steps = 0;
	enum event event;

	queue = kunit_kcalloc(test, 256, sizeof(*queue), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, queue);
	queue[tail++] = new_model(exclusive);
	__set_bit(state_of(&queue[0]), seen);
	while (head < tail) {
		for (event = START; event < NUM_EVENTS; event++) {
			struct model m = queue[head];

			m.intx.priv = &m;
			if (!possible(&m, event))
				continue;
			happen(test, &m, event);
			steps++;
			if (!__test_and_set_bit(state_of(&m), seen))
				queue[tail++] = m;
		}
		head++;
	}
	kunit_info(test, "%u states, %u steps\n", tail, steps);
	KUNIT_EXPECT_GT(test, tail, 10);
}

static void shared(struct kunit *test)
{
	explore(test, false);
}

static void exclusive(struct kunit *test)
{
	explore(test, true);
}

/* One interrupt for one reason to interrupt, and none is lost. */
static void cycle(struct kunit *test)
{
	struct model m;
	int i;

	for (i = 0; i < 2; i++) {
		m = new_model(i);
		m.intx.priv = &m;
		happen(test, &m, START);
		happen(test, &m, WANT);
		KUNIT_EXPECT_TRUE(test, asserted(&m));
		happen(test, &m, INTERRUPT);
		KUNIT_EXPECT_EQ(test, m.signals, 1);
		happen(test, &m, DONE);
		happen(test, &m, UNMASK);
		KUNIT_EXPECT_EQ(test, m.signals, 1);
		KUNIT_EXPECT_FALSE(test, m.intx.masked);
		/* Unmasked while it is asserted: again, one way or the other */
		happen(test, &m, WANT);
		happen(test, &m, INTERRUPT);
		happen(test, &m, UNMASK);
		if (asserted(&m))
			happen(test, &m, INTERRUPT);
		KUNIT_EXPECT_EQ(test, m.signals, 3);
		KUNIT_EXPECT_TRUE(test, m.intx.masked);
	}
}

/* The mask of the user is there after a reset, and after a time with MSI. */
static void kept(struct kunit *test)
{
	struct model m;
	int i;

	for (i = 0; i < 2; i++) {
		m = new_model(i);
		m.intx.priv = &m;
		happen(test, &m, START);
		happen(test, &m, MASK);
		happen(test, &m, RESET);
		happen(test, &m, BACK);
		happen(test, &m, WANT);
		KUNIT_EXPECT_FALSE(test, asserted(&m));
		happen(test, &m, STOP);
		happen(test, &m, START);
		KUNIT_EXPECT_FALSE(test, asserted(&m));
		/* Unmasked in a reset: it comes when that is over */
		happen(test, &m, RESET);
		happen(test, &m, UNMASK);
		happen(test, &m, BACK);
		happen(test, &m, WANT);
		KUNIT_EXPECT_TRUE(test, asserted(&m));
	}
}

static struct kunit_case intx_cases[] = {
	KUNIT_CASE(shared),
	KUNIT_CASE(exclusive),
	KUNIT_CASE(cycle),
	KUNIT_CASE(kept),
	{}
};

static struct kunit_suite intx_suite = {
	.name = "uiommu-intx",
	.test_cases = intx_cases,
};

kunit_test_suite(intx_suite);

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts: INTx, MSI and MSI-X, raised by devices and counted by eventfds.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "util.h"

#define CONFIG_SPACE	VFIO_PCI_CONFIG_RESOURCE

/* How long to wait for what comes, and for what must not come */
#define COMES_MS	3000
#define QUIET_MS	150

static void expect_quiet(struct __test_metadata *_metadata, struct log *log)
{
	log_read(log);
	EXPECT_EQ(0, log->splats + log->faults) {
		TH_LOG("%s", log->first);
	}
	log_close(log);
}

/*
 * edu: INTx, and one MSI
 */
FIXTURE(edu)
{
	struct device dev;
	int efd;
};

FIXTURE_SETUP(edu)
{
	self->dev.fd = -1;
	self->dev.space = -1;
	if (!getenv("UIOMMU_EDU"))
		SKIP(return, "no edu device");
	ASSERT_EQ(0, device_open(&self->dev, getenv("UIOMMU_EDU")));
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, device_map_bar(&self->dev, 0));
	self->efd = eventfd_new();
	ASSERT_LE(0, self->efd);
	/* Nothing pending of an earlier test */
	reg_write(&self->dev, EDU_IRQ_ACK, UINT32_MAX);
	ASSERT_EQ(0, reg_read(&self->dev, EDU_IRQ_STATUS));
}

FIXTURE_TEARDOWN(edu)
{
	if (self->dev.bar && self->dev.fd >= 0)
		reg_write(&self->dev, EDU_IRQ_ACK, UINT32_MAX);
	device_close(&self->dev);
	expect_quiet(_metadata, &self->dev.log);
}

static bool intx_disabled(struct device *dev)
{
	return config_read(dev->fd, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE;
}

/* Masked after each interrupt, until an EOI; a line still asserted counts. */
/*
 * UIOMMU_EXCLUSIVE says that edu cannot disable INTx, so that its line is masked,
 * which it has to have for itself.
 */
static bool edu_is_exclusive(void)
{
	return getenv("UIOMMU_EXCLUSIVE");
}

TEST_F_TIMEOUT(edu, intx_is_masked_until_eoi, TEST_SECONDS)
{
	int i;

	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, self->efd));
	EXPECT_EQ(0, eventfd_wait(self->efd, QUIET_MS));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
	EXPECT_EQ(!edu_is_exclusive(),
		  !!(pci_config_word(self->dev.bdf, PCI_COMMAND) &
		     PCI_COMMAND_INTX_DISABLE));
	/* Asserted still, but masked */
	EXPECT_EQ(0, eventfd_wait(self->efd, QUIET_MS));
	reg_write(&self->dev, EDU_IRQ_RAISE, 2);
	EXPECT_EQ(0, eventfd_wait(self->efd, QUIET_MS));
	/* Unmasked with the line asserted: again, and once */
	EXPECT_EQ(0, irq_eoi(self->dev.fd));
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
	EXPECT_EQ(0, eventfd_wait(self->efd, QUIET_MS));
	/* Served, then unmasked: nothing is left. */
	reg_write(&self->dev, EDU_IRQ_ACK, 3);
	EXPECT_EQ(0, irq_eoi(self->dev.fd));
	EXPECT_EQ(0, eventfd_wait(self->efd, QUIET_MS));
	for (i = 0; i < 20; i++) {
		reg_write(&self->dev, EDU_IRQ_RAISE, 1);
		ASSERT_EQ(1, eventfd_wait(self->efd, COMES_MS));
		reg_write(&self->dev, EDU_IRQ_ACK, 1);
		ASSERT_EQ(0, irq_eoi(self->dev.fd));
	}
	EXPECT_EQ(0, eventfd_wait(self->efd, QUIET_MS));
}

/* Raised while it is masked: delivered when it is unmasked. */
TEST_F_TIMEOUT(edu, intx_raised_while_masked, TEST_SECONDS)
{
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, self->efd));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
	reg_write(&self->dev, EDU_IRQ_ACK, 1);
	reg_write(&self->dev, EDU_IRQ_RAISE, 4);
	EXPECT_EQ(0, eventfd_wait(self->efd, QUIET_MS));
	EXPECT_EQ(0, irq_eoi(self->dev.fd));
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
}

/* More EOIs than interrupts do no harm. */
TEST_F_TIMEOUT(edu, eoi_without_interrupt, TEST_SECONDS)
{
	EXPECT_EQ(-EINVAL, irq_eoi(self->dev.fd));
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, self->efd));
	EXPECT_EQ(0, irq_eoi(self->dev.fd));
	EXPECT_EQ(0, irq_eoi(self->dev.fd));
	EXPECT_EQ(0, eventfd_wait(self->efd, QUIET_MS));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, -1));
	EXPECT_EQ(-EINVAL, irq_eoi(self->dev.fd));
}

/* The way of 2010: INTX_DISABLE is set by the interrupt, cleared by the user. */
TEST_F_TIMEOUT(edu, intx_is_rearmed_by_command, TEST_SECONDS)
{
	int i;

	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, self->efd));
	EXPECT_FALSE(intx_disabled(&self->dev));
	for (i = 0; i < 5; i++) {
		reg_write(&self->dev, EDU_IRQ_RAISE, 1);
		EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
		EXPECT_TRUE(intx_disabled(&self->dev));
		reg_write(&self->dev, EDU_IRQ_ACK, 1);
		EXPECT_EQ(0, config_command(self->dev.fd,
					    PCI_COMMAND_INTX_DISABLE, 0));
		EXPECT_FALSE(intx_disabled(&self->dev));
	}
	/* EOI does the same to the bit. */
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
	reg_write(&self->dev, EDU_IRQ_ACK, 1);
	EXPECT_EQ(0, irq_eoi(self->dev.fd));
	EXPECT_FALSE(intx_disabled(&self->dev));
}

/* Its single bytes do as well, and other bits of COMMAND leave it alone. */
TEST_F_TIMEOUT(edu, intx_and_the_bytes_of_command, TEST_SECONDS)
{
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, self->efd));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
	reg_write(&self->dev, EDU_IRQ_ACK, 1);
	/* The lower byte does not hold the bit. */
	EXPECT_EQ(0, config_write(self->dev.fd, PCI_COMMAND, 1,
				  config_read(self->dev.fd, PCI_COMMAND, 1)));
	EXPECT_TRUE(intx_disabled(&self->dev));
	EXPECT_EQ(0, config_write(self->dev.fd, PCI_COMMAND + 1, 1, 0));
	EXPECT_FALSE(intx_disabled(&self->dev));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
}

/* INTX_DISABLE set by the user masks; it is not forgotten by turning off. */
TEST_F_TIMEOUT(edu, intx_is_masked_by_command, TEST_SECONDS)
{
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, self->efd));
	EXPECT_EQ(0, config_command(self->dev.fd, 0,
				    PCI_COMMAND_INTX_DISABLE));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(0, eventfd_wait(self->efd, QUIET_MS));
	EXPECT_EQ(0, config_command(self->dev.fd, PCI_COMMAND_INTX_DISABLE,
				    0));
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
	reg_write(&self->dev, EDU_IRQ_ACK, 1);
}

/*
 * An asserted line is no danger while nobody wants it, and signals when it is
 * turned on: what was masked by an interrupt before is not masked then.
 */
TEST_F_TIMEOUT(edu, intx_asserted_when_turned_on_and_off, TEST_SECONDS)
{
	int i;

	for (i = 0; i < 20; i++) {
		reg_write(&self->dev, EDU_IRQ_RAISE, 1);
		ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ,
				     self->efd));
		EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
		ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, -1));
		EXPECT_EQ(0, eventfd_wait(self->efd, 5));
	}
	/* Raised and off: nothing comes. */
	reg_write(&self->dev, EDU_IRQ_RAISE, 2);
	EXPECT_EQ(0, eventfd_wait(self->efd, QUIET_MS));
}

/* Another eventfd takes over; the first one gets nothing any more. */
TEST_F_TIMEOUT(edu, intx_swapped_in_place, TEST_SECONDS)
{
	int other = eventfd_new();
	int i;

	for (i = 0; i < 10; i++) {
		int to = i & 1 ? other : self->efd;
		int from = i & 1 ? self->efd : other;

		ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, to));
		reg_write(&self->dev, EDU_IRQ_RAISE, 1);
		EXPECT_EQ(1, eventfd_wait(to, COMES_MS));
		EXPECT_EQ(0, eventfd_wait(from, 5));
		reg_write(&self->dev, EDU_IRQ_ACK, 1);
		EXPECT_EQ(0, irq_eoi(self->dev.fd));
	}
	/* Swapped while masked: it stays masked, and unmasks into the new one. */
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(other, COMES_MS));
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, self->efd));
	EXPECT_EQ(0, eventfd_wait(other, 5));
	EXPECT_EQ(0, irq_eoi(self->dev.fd));
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
	EXPECT_EQ(0, eventfd_wait(other, 5));
	close(other);
}

static void wrong_eventfds(struct __test_metadata *_metadata, int fd,
			   unsigned long cmd)
{
	int null = open("/dev/null", O_RDWR), closed = dup(null);
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	signal(SIGPIPE, SIG_IGN);
	close(closed);
	EXPECT_EQ(-EBADF, irq_set(fd, cmd, closed));
	EXPECT_EQ(-EBADF, irq_set(fd, cmd, INT_MAX));
	EXPECT_EQ(-EINVAL, irq_set(fd, cmd, null));
	EXPECT_EQ(-EINVAL, irq_set(fd, cmd, fd));
	EXPECT_EQ(-EINVAL, irq_set(fd, cmd, pipes[0]));
	/* Refused, it is not held either. */
	close(pipes[0]);
	EXPECT_EQ(-1, write(pipes[1], "", 1));
	EXPECT_EQ(EPIPE, errno);
	close(pipes[1]);
	close(null);
}

TEST_F_TIMEOUT(edu, intx_with_wrong_eventfds, TEST_SECONDS)
{
	wrong_eventfds(_metadata, self->dev.fd, VFIO_EVENTFD_IRQ);
	/* It is not on, so the device may leave. */
	EXPECT_EQ(-EINVAL, irq_eoi(self->dev.fd));
	ASSERT_EQ(0, domain_unset(self->dev.fd));
	ASSERT_EQ(0, device_attach(&self->dev));

	/* A wrong one does not replace a right one. */
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, self->efd));
	wrong_eventfds(_metadata, self->dev.fd, VFIO_EVENTFD_IRQ);
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
}

TEST_F_TIMEOUT(edu, msi_with_wrong_eventfds, TEST_SECONDS)
{
	wrong_eventfds(_metadata, self->dev.fd, VFIO_EVENTFD_MSI);
	ASSERT_EQ(0, domain_unset(self->dev.fd));
	ASSERT_EQ(0, device_attach(&self->dev));

	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_MSI, self->efd));
	wrong_eventfds(_metadata, self->dev.fd, VFIO_EVENTFD_MSI);
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
}

/* Off when it is off already is no error. */
TEST_F_TIMEOUT(edu, off_twice, TEST_SECONDS)
{
	EXPECT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, -1));
	EXPECT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, INT_MIN));
	EXPECT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_MSI, -1));
	EXPECT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSI, 0, NULL));
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, self->efd));
	EXPECT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, -1));
	EXPECT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, -1));
	EXPECT_EQ(0, domain_unset(self->dev.fd));
}

/* As many as were raised are seen, each one by itself. */
TEST_F_TIMEOUT(edu, msi_counts, TEST_SECONDS)
{
	int i;

	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_MSI, self->efd));
	EXPECT_EQ(0, eventfd_wait(self->efd, QUIET_MS));
	for (i = 0; i < 200; i++) {
		reg_write(&self->dev, EDU_IRQ_RAISE, 1);
		ASSERT_EQ(1, eventfd_wait(self->efd, COMES_MS));
		reg_write(&self->dev, EDU_IRQ_ACK, 1);
	}
	EXPECT_EQ(0, eventfd_wait(self->efd, QUIET_MS));
	/* Not read between, they add up. */
	for (i = 0; i < 10; i++) {
		reg_write(&self->dev, EDU_IRQ_RAISE, 1);
		sleep_ms(20);
	}
	sleep_ms(QUIET_MS);
	EXPECT_EQ(10, eventfd_wait(self->efd, COMES_MS));
	/* MSI is not masked, so there is nothing to end. */
	EXPECT_EQ(-EINVAL, irq_eoi(self->dev.fd));
}

/* A message is a DMA write: without MASTER in COMMAND it does not get out. */
TEST_F_TIMEOUT(edu, msi_needs_bus_master, TEST_SECONDS)
{
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_MSI, self->efd));
	ASSERT_EQ(0, config_command(self->dev.fd, PCI_COMMAND_MASTER, 0));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(0, eventfd_wait(self->efd, QUIET_MS));
	ASSERT_EQ(0, config_command(self->dev.fd, 0, PCI_COMMAND_MASTER));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
}

TEST_F_TIMEOUT(edu, msi_by_the_array_request, TEST_SECONDS)
{
	int fds[2] = { self->efd, self->efd };

	ASSERT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSI, 1, fds));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
	reg_write(&self->dev, EDU_IRQ_ACK, 1);
	ASSERT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSI, 0, NULL));
	/* It has one message. */
	EXPECT_EQ(-EINVAL, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSI, 2,
					fds));
	EXPECT_EQ(-EINVAL, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSI, -1,
					NULL));
	EXPECT_EQ(0, domain_unset(self->dev.fd));
}

/* One kind at a time */
TEST_F_TIMEOUT(edu, two_kinds, TEST_SECONDS)
{
	int other = eventfd_new();

	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, self->efd));
	EXPECT_EQ(-EBUSY, irq_set(self->dev.fd, VFIO_EVENTFD_MSI, other));
	EXPECT_EQ(-EBUSY, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSI, 1,
				       &other));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
	reg_write(&self->dev, EDU_IRQ_ACK, 1);
	/* Turning another kind off, which is off, turns nothing off. */
	EXPECT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_MSI, -1));
	EXPECT_EQ(0, irq_eoi(self->dev.fd));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
	reg_write(&self->dev, EDU_IRQ_ACK, 1);
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, -1));

	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_MSI, other));
	EXPECT_EQ(-EBUSY, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, self->efd));
	EXPECT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, -1));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(other, COMES_MS));
	EXPECT_EQ(0, eventfd_wait(self->efd, 5));
	reg_write(&self->dev, EDU_IRQ_ACK, 1);
	/* Refused while it is on, unset leaves it working. */
	EXPECT_EQ(-EBUSY, domain_unset(self->dev.fd));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(other, COMES_MS));
	close(other);
}

TEST_F_TIMEOUT(edu, kinds_that_it_lacks, TEST_SECONDS)
{
	EXPECT_EQ(-EOPNOTSUPP, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX,
					    1, &self->efd));
}

/* The user closes the eventfd first, interrupts go on and end. */
TEST_F_TIMEOUT(edu, eventfd_closed_first, TEST_SECONDS)
{
	static const unsigned long kinds[] = {
		VFIO_EVENTFD_IRQ, VFIO_EVENTFD_MSI,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		int efd = eventfd_new();

		ASSERT_EQ(0, irq_set(self->dev.fd, kinds[i], efd));
		close(efd);
		reg_write(&self->dev, EDU_IRQ_RAISE, 1);
		sleep_ms(20);
		reg_write(&self->dev, EDU_IRQ_ACK, 1);
		/* It is still set. */
		EXPECT_EQ(-EBUSY, domain_unset(self->dev.fd));
		ASSERT_EQ(0, irq_set(self->dev.fd, kinds[i], -1));
	}
	EXPECT_EQ(0, domain_unset(self->dev.fd));
}

/* The fd is closed with interrupts on and coming; the next user has none. */
TEST_F_TIMEOUT(edu, device_closed_with_interrupts_on, TEST_SECONDS)
{
	static const unsigned long kinds[] = {
		VFIO_EVENTFD_IRQ, VFIO_EVENTFD_MSI,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		ASSERT_EQ(0, irq_set(self->dev.fd, kinds[i], self->efd));
		reg_write(&self->dev, EDU_IRQ_RAISE, 1);
		EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
		reg_write(&self->dev, EDU_IRQ_RAISE, 2);
		device_close(&self->dev);
		log_read(&self->dev.log);
		EXPECT_EQ(0, self->dev.log.splats);
		log_close(&self->dev.log);

		ASSERT_EQ(0, device_open(&self->dev, getenv("UIOMMU_EDU")));
		ASSERT_EQ(0, device_attach(&self->dev));
		ASSERT_EQ(0, device_map_bar(&self->dev, 0));
		reg_write(&self->dev, EDU_IRQ_RAISE, 1);
		/* MSI counted the second raise maybe, before the close. */
		eventfd_wait(self->efd, QUIET_MS);
		reg_write(&self->dev, EDU_IRQ_RAISE, 1);
		EXPECT_EQ(0, eventfd_wait(self->efd, QUIET_MS));
		EXPECT_EQ(0, domain_unset(self->dev.fd));
		ASSERT_EQ(0, device_attach(&self->dev));
		reg_write(&self->dev, EDU_IRQ_ACK, UINT32_MAX);
	}
}

/* Interrupts are set by one file of the device and belong to all of them. */
TEST_F_TIMEOUT(edu, set_by_another_file, TEST_SECONDS)
{
	int second = node_open(self->dev.bdf, O_RDWR);

	ASSERT_LE(0, second);
	ASSERT_EQ(0, irq_set(second, VFIO_EVENTFD_MSI, self->efd));
	close(second);
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
	reg_write(&self->dev, EDU_IRQ_ACK, 1);
	EXPECT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_MSI, -1));
}

TEST_F_TIMEOUT(edu, msi_survives_reset, TEST_SECONDS)
{
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_MSI, self->efd));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
	reg_write(&self->dev, EDU_IRQ_ACK, 1);
	ASSERT_EQ(0, device_reset(self->dev.fd));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
	reg_write(&self->dev, EDU_IRQ_ACK, 1);
	EXPECT_EQ(0, eventfd_wait(self->efd, QUIET_MS));
}

TEST_F_TIMEOUT(edu, intx_survives_reset, TEST_SECONDS)
{
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, self->efd));
	ASSERT_EQ(0, device_reset(self->dev.fd));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
	reg_write(&self->dev, EDU_IRQ_ACK, 1);
	/* Masked before it, masked after it */
	EXPECT_TRUE(intx_disabled(&self->dev));
	ASSERT_EQ(0, device_reset(self->dev.fd));
	EXPECT_TRUE(intx_disabled(&self->dev));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(0, eventfd_wait(self->efd, QUIET_MS));
	EXPECT_EQ(0, irq_eoi(self->dev.fd));
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
}

struct raiser {
	struct device *dev;
	int stop;
	unsigned long raised;
};

static void *raise_always(void *arg)
{
	struct raiser *r = arg;

	while (!get_once(&r->stop)) {
		reg_write(r->dev, EDU_IRQ_RAISE, 1);
		reg_write(r->dev, EDU_IRQ_ACK, 1);
		r->raised++;
	}
	return NULL;
}

static void *write_command_always(void *arg)
{
	struct raiser *r = arg;
	__u32 val = config_read(r->dev->fd, PCI_COMMAND, 2);

	val &= ~PCI_COMMAND_INTX_DISABLE;
	while (!get_once(&r->stop)) {
		/* STATUS is the upper half: nothing of it is to be cleared. */
		if (config_write(r->dev->fd, PCI_COMMAND, 4, val))
			break;
		r->raised++;
	}
	return NULL;
}

/* COMMAND is written all the time while INTx fires: each one is seen. */
TEST_F_TIMEOUT(edu, intx_under_writes_to_command, TEST_SECONDS)
{
	struct raiser r = { .dev = &self->dev };
	pthread_t thread;
	int i;

	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, self->efd));
	ASSERT_EQ(0, pthread_create(&thread, NULL, write_command_always, &r));
	for (i = 0; i < 100; i++) {
		reg_write(&self->dev, EDU_IRQ_RAISE, 1);
		ASSERT_LT(0, eventfd_wait(self->efd, COMES_MS)) {
			TH_LOG("interrupt %d is lost", i);
		}
		reg_write(&self->dev, EDU_IRQ_ACK, 1);
		/* Unmasked by a write before, it may have come once more. */
		eventfd_wait(self->efd, 2);
	}
	set_once(&r.stop, 1);
	pthread_join(thread, NULL);
	EXPECT_LT(0, r.raised);
	EXPECT_EQ(0, config_command(self->dev.fd, PCI_COMMAND_INTX_DISABLE,
				    0));
	eventfd_wait(self->efd, QUIET_MS);
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
}

/* On, off and swapped while interrupts rain: no crash, and it works afterwards. */
TEST_F_TIMEOUT(edu, turned_on_and_off_under_load, TEST_SECONDS)
{
	static const unsigned long kinds[] = {
		VFIO_EVENTFD_MSI, VFIO_EVENTFD_IRQ,
	};
	struct raiser r = { .dev = &self->dev };
	pthread_t thread;
	size_t kind;
	int i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, raise_always, &r));
	for (kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
		for (i = 0; i < 30; i++) {
			int efd = eventfd_new();

			EXPECT_EQ(0, irq_set(self->dev.fd, kinds[kind], efd));
			usleep(2000);
			EXPECT_EQ(0, irq_set(self->dev.fd, kinds[kind],
					     self->efd));
			close(efd);
			if (kinds[kind] == VFIO_EVENTFD_IRQ)
				EXPECT_EQ(0, irq_eoi(self->dev.fd));
			EXPECT_EQ(0, irq_set(self->dev.fd, kinds[kind], -1));
		}
	}
	set_once(&r.stop, 1);
	pthread_join(thread, NULL);
	EXPECT_LT(0, r.raised);
	/*
	 * edu cannot mask its message. Raised while the kernel has taken the
	 * address back and not yet disabled it, it is a write to 0, and stopped.
	 */
	log_take_faults(&self->dev.log, 100);
	eventfd_wait(self->efd, 5);
	reg_write(&self->dev, EDU_IRQ_ACK, UINT32_MAX);
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_MSI, self->efd));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
}

static void write_eventfd(int efd)
{
	__u64 one = 1;

	if (write(efd, &one, sizeof(one)) != sizeof(one))
		abort();
}

/* Unmasked by writing an eventfd; one that is still asserted counts again. */
TEST_F_TIMEOUT(edu, eoi_eventfd, TEST_SECONDS)
{
	int eoi = eventfd_new(), i;

	/* Before INTx is on, and in place of another */
	ASSERT_EQ(0, irq_eoi_eventfd(self->dev.fd, self->efd));
	ASSERT_EQ(0, irq_eoi_eventfd(self->dev.fd, eoi));
	write_eventfd(eoi);
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, self->efd));
	for (i = 0; i < 20; i++) {
		reg_write(&self->dev, EDU_IRQ_RAISE, 1);
		ASSERT_EQ(1, eventfd_wait(self->efd, COMES_MS));
		EXPECT_TRUE(intx_disabled(&self->dev));
		reg_write(&self->dev, EDU_IRQ_ACK, 1);
		write_eventfd(eoi);
		EXPECT_FALSE(intx_disabled(&self->dev));
		/* The count is taken. */
		EXPECT_EQ(0, eventfd_wait(eoi, 0));
	}
	EXPECT_EQ(0, eventfd_wait(self->efd, QUIET_MS));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	ASSERT_EQ(1, eventfd_wait(self->efd, COMES_MS));
	write_eventfd(eoi);
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
	EXPECT_EQ(0, eventfd_wait(self->efd, QUIET_MS));
	/* The request works beside it. */
	EXPECT_EQ(0, irq_eoi(self->dev.fd));
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
	/* None any more: masked it stays. */
	ASSERT_EQ(0, irq_eoi_eventfd(self->dev.fd, -1));
	write_eventfd(eoi);
	EXPECT_EQ(0, eventfd_wait(self->efd, QUIET_MS));
	EXPECT_EQ(1, eventfd_wait(eoi, 0));
	/* Written before it is set: that is an end of interrupt, too. */
	write_eventfd(eoi);
	ASSERT_EQ(0, irq_eoi_eventfd(self->dev.fd, eoi));
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
}

/* What would interrupt for ever is refused, in both orders. */
TEST_F_TIMEOUT(edu, eoi_eventfd_is_not_the_trigger, TEST_SECONDS)
{
	int eoi = eventfd_new();

	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, self->efd));
	EXPECT_EQ(-EINVAL, irq_eoi_eventfd(self->dev.fd, self->efd));
	ASSERT_EQ(0, irq_eoi_eventfd(self->dev.fd, eoi));
	EXPECT_EQ(-EINVAL, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, eoi));
	EXPECT_EQ(-EINVAL, irq_range(self->dev.fd, UIOMMU_IRQ_KIND_INTX,
				     UIOMMU_IRQ_OP_EVENTFDS, 0, 1, &eoi, 4));
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, -1));
	EXPECT_EQ(-EINVAL, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, eoi));
	/* The refused ones changed nothing. */
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, self->efd));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
	reg_write(&self->dev, EDU_IRQ_ACK, 1);
	write_eventfd(eoi);
	EXPECT_FALSE(intx_disabled(&self->dev));
	/* For MSI it means nothing. */
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, -1));
	EXPECT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_MSI, eoi));
}

TEST_F_TIMEOUT(edu, eoi_eventfd_lifetime, TEST_SECONDS)
{
	int eoi = eventfd_new(), pipes[2], i;

	EXPECT_EQ(-EBADF, irq_eoi_eventfd(self->dev.fd, INT_MAX));
	ASSERT_EQ(0, pipe(pipes));
	EXPECT_EQ(-EINVAL, irq_eoi_eventfd(self->dev.fd, pipes[0]));
	EXPECT_EQ(-EINVAL, irq_eoi_eventfd(self->dev.fd, self->dev.space));
	EXPECT_EQ(0, irq_eoi_eventfd(self->dev.fd, -1));
	ASSERT_EQ(0, irq_eoi_eventfd(self->dev.fd, eoi));
	/* It rests on the device as the others do. */
	EXPECT_EQ(-EBUSY, domain_unset(self->dev.fd));
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, self->efd));
	/* Closed with the mask on and off, and while it is the last to know */
	close(eoi);
	for (i = 0; i < 3; i++) {
		reg_write(&self->dev, EDU_IRQ_RAISE, 1);
		ASSERT_EQ(1, eventfd_wait(self->efd, COMES_MS));
		reg_write(&self->dev, EDU_IRQ_ACK, 1);
		EXPECT_EQ(0, irq_eoi(self->dev.fd));
	}
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, -1));
	EXPECT_EQ(-EBUSY, domain_unset(self->dev.fd));
	ASSERT_EQ(0, irq_eoi_eventfd(self->dev.fd, -1));
	EXPECT_EQ(0, domain_unset(self->dev.fd));
	ASSERT_EQ(0, domain_set(self->dev.fd, self->dev.space));
	/* The device closed with it set */
	eoi = eventfd_new();
	ASSERT_EQ(0, irq_eoi_eventfd(self->dev.fd, eoi));
	device_close(&self->dev);
	write_eventfd(eoi);
	EXPECT_EQ(1, eventfd_wait(eoi, 0));
}

struct writer {
	int fd;
	int stop;
};

static void *write_always(void *arg)
{
	struct writer *w = arg;

	while (!get_once(&w->stop))
		write_eventfd(w->fd);
	return NULL;
}

/* Written all the time, while it comes and goes and the device interrupts */
TEST_F_TIMEOUT(edu, eoi_eventfd_under_load, TEST_SECONDS)
{
	struct writer w = { .fd = eventfd_new() };
	pthread_t thread;
	int i;

	ASSERT_EQ(0, fcntl(w.fd, F_SETFL, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, write_always, &w));
	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, irq_eoi_eventfd(self->dev.fd, w.fd));
		ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ,
				     self->efd));
		reg_write(&self->dev, EDU_IRQ_RAISE, 1);
		/* Asserted all the time, so it comes again and again. */
		EXPECT_LE(1, eventfd_wait(self->efd, COMES_MS));
		EXPECT_LE(1, eventfd_wait(self->efd, COMES_MS));
		reg_write(&self->dev, EDU_IRQ_ACK, 1);
		if (i % 2)
			ASSERT_EQ(0, irq_eoi_eventfd(self->dev.fd, -1));
		if (i % 3 == 1)
			ASSERT_EQ(0, device_reset(self->dev.fd));
		ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, -1));
	}
	set_once(&w.stop, 1);
	/* The count may be at its end. */
	eventfd_wait(w.fd, 0);
	pthread_join(thread, NULL);
	eventfd_wait(self->efd, 0);
}

/* Signalled without an interrupt, and only if it is in use */
TEST_F_TIMEOUT(edu, loopback, TEST_SECONDS)
{
	unsigned char cpu = 1;

	EXPECT_EQ(-EBUSY, irq_range(self->dev.fd, UIOMMU_IRQ_KIND_INTX,
				    UIOMMU_IRQ_OP_TRIGGER, 0, 1, NULL, 0));
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, self->efd));
	EXPECT_EQ(0, irq_range(self->dev.fd, UIOMMU_IRQ_KIND_INTX,
			       UIOMMU_IRQ_OP_TRIGGER, 0, 1, NULL, 0));
	EXPECT_EQ(1, eventfd_wait(self->efd, 0));
	EXPECT_FALSE(intx_disabled(&self->dev));
	EXPECT_EQ(-EINVAL, irq_range(self->dev.fd, UIOMMU_IRQ_KIND_INTX,
				     UIOMMU_IRQ_OP_TRIGGER, 1, 1, NULL, 0));
	EXPECT_EQ(-EBUSY, irq_range(self->dev.fd, UIOMMU_IRQ_KIND_MSI,
				    UIOMMU_IRQ_OP_TRIGGER, 0, 1, NULL, 0));
	EXPECT_EQ(-EOPNOTSUPP, irq_range(self->dev.fd, UIOMMU_IRQ_KIND_MSIX,
					 UIOMMU_IRQ_OP_TRIGGER, 0, 1, NULL, 0));
	/* The line is shared. */
	EXPECT_EQ(-EOPNOTSUPP, irq_range(self->dev.fd, UIOMMU_IRQ_KIND_INTX,
					 UIOMMU_IRQ_OP_AFFINITY, 0, 1, &cpu,
					 1));
	EXPECT_EQ(0, irq_range(self->dev.fd, UIOMMU_IRQ_KIND_INTX,
			       UIOMMU_IRQ_OP_NONE, 0, 1, NULL, 0));
	EXPECT_EQ(0, irq_range(self->dev.fd, UIOMMU_IRQ_KIND_INTX,
			       UIOMMU_IRQ_OP_TRIGGER, 0, 1, NULL, 0));
	EXPECT_EQ(0, eventfd_wait(self->efd, QUIET_MS));
}

/*
 * A virtual function of the 82576: three MSI-X vectors, which it raises when its
 * software interrupt register is written
 */
FIXTURE(msix)
{
	struct device dev;
	int efds[VF_VECTORS];
};

FIXTURE_SETUP(msix)
{
	int i;

	self->dev.fd = -1;
	self->dev.space = -1;
	if (!getenv("UIOMMU_VF"))
		SKIP(return, "no 82576 virtual function");
	ASSERT_EQ(0, device_open(&self->dev, getenv("UIOMMU_VF")));
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, device_map_bar(&self->dev, 0));
	for (i = 0; i < VF_VECTORS; i++) {
		self->efds[i] = eventfd_new();
		ASSERT_LE(0, self->efds[i]);
	}
}

FIXTURE_TEARDOWN(msix)
{
	device_close(&self->dev);
	expect_quiet(_metadata, &self->dev.log);
}

static void vf_raise(struct device *dev, unsigned int vectors)
{
	/* Causes are edges: take back what was raised before. */
	reg_write(dev, VF_EICR, vectors);
	reg_write(dev, VF_EIMS, vectors);
	reg_write(dev, VF_EICS, vectors);
}

TEST_F_TIMEOUT(msix, each_vector_has_its_eventfd, TEST_SECONDS)
{
	int i, j;

	ASSERT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX, VF_VECTORS,
				  self->efds));
	for (i = 0; i < VF_VECTORS; i++) {
		EXPECT_EQ(0, eventfd_wait(self->efds[i], 20));
		vf_raise(&self->dev, 1 << i);
		EXPECT_EQ(1, eventfd_wait(self->efds[i], COMES_MS));
		for (j = 0; j < VF_VECTORS; j++)
			EXPECT_EQ(0, eventfd_wait(self->efds[j], 5));
	}
	vf_raise(&self->dev, 7);
	for (i = 0; i < VF_VECTORS; i++)
		EXPECT_EQ(1, eventfd_wait(self->efds[i], COMES_MS));
}

/* Some vectors, and no others */
TEST_F_TIMEOUT(msix, ranges, TEST_SECONDS)
{
	int fd = self->dev.fd, none = -1, other = eventfd_new();

	EXPECT_EQ(-EBUSY, irq_range(fd, UIOMMU_IRQ_KIND_MSIX,
				    UIOMMU_IRQ_OP_EVENTFDS, 0, 1, &other, 4));
	ASSERT_EQ(0, irq_set_many(fd, VFIO_EVENTFDS_MSIX, VF_VECTORS,
				  self->efds));
	EXPECT_EQ(0, irq_range(fd, UIOMMU_IRQ_KIND_MSIX, UIOMMU_IRQ_OP_EVENTFDS,
			       1, 1, &other, 4));
	vf_raise(&self->dev, 7);
	EXPECT_EQ(1, eventfd_wait(self->efds[0], COMES_MS));
	EXPECT_EQ(1, eventfd_wait(self->efds[2], COMES_MS));
	EXPECT_EQ(1, eventfd_wait(other, COMES_MS));
	EXPECT_EQ(0, eventfd_wait(self->efds[1], 0));
	EXPECT_EQ(0, irq_range(fd, UIOMMU_IRQ_KIND_MSIX, UIOMMU_IRQ_OP_NONE, 1,
			       2, NULL, 0));
	vf_raise(&self->dev, 7);
	EXPECT_EQ(1, eventfd_wait(self->efds[0], COMES_MS));
	EXPECT_EQ(0, eventfd_wait(self->efds[2], QUIET_MS));
	EXPECT_EQ(0, eventfd_wait(other, 0));
	EXPECT_EQ(0, irq_range(fd, UIOMMU_IRQ_KIND_MSIX, UIOMMU_IRQ_OP_TRIGGER,
			       0, 3, NULL, 0));
	EXPECT_EQ(1, eventfd_wait(self->efds[0], 0));
	EXPECT_EQ(0, eventfd_wait(self->efds[1], 0));

	/* What is wrong changes nothing. */
	EXPECT_EQ(-EINVAL, irq_range(fd, UIOMMU_IRQ_KIND_MSIX,
				     UIOMMU_IRQ_OP_NONE, 0, 0, NULL, 0));
	EXPECT_EQ(-EINVAL, irq_range(fd, UIOMMU_IRQ_KIND_MSIX,
				     UIOMMU_IRQ_OP_NONE, 1, VF_VECTORS, NULL,
				     0));
	EXPECT_EQ(-EINVAL, irq_range(fd, UIOMMU_IRQ_KIND_MSIX,
				     UIOMMU_IRQ_OP_NONE, UINT_MAX, 2, NULL, 0));
	EXPECT_EQ(-EINVAL, irq_range(fd, UIOMMU_IRQ_KIND_MSIX,
				     UIOMMU_IRQ_OP_NONE, 0, UINT_MAX, NULL, 0));
	EXPECT_EQ(-EINVAL, irq_range(fd, UIOMMU_IRQ_KIND_MSIX,
				     UIOMMU_IRQ_OP_NONE, 0, 1, &none, 4));
	EXPECT_EQ(-EINVAL, irq_range(fd, UIOMMU_IRQ_KIND_MSIX,
				     UIOMMU_IRQ_OP_EVENTFDS, 0, 1, &none, 8));
	EXPECT_EQ(-EFAULT, irq_range(fd, UIOMMU_IRQ_KIND_MSIX,
				     UIOMMU_IRQ_OP_EVENTFDS, 0, 1, NULL, 4));
	EXPECT_EQ(-EINVAL, irq_range(fd, 0, UIOMMU_IRQ_OP_NONE, 0, 1, NULL, 0));
	EXPECT_EQ(-EINVAL, irq_range(fd, 4, UIOMMU_IRQ_OP_NONE, 0, 1, NULL, 0));
	EXPECT_EQ(-EOPNOTSUPP, irq_range(fd, UIOMMU_IRQ_KIND_MSIX, 0, 0, 1,
					 NULL, 0));
	EXPECT_EQ(-EOPNOTSUPP, irq_range(fd, UIOMMU_IRQ_KIND_MSIX, 5, 0, 1,
					 NULL, 0));
	none = INT_MAX;
	EXPECT_EQ(-EBADF, irq_range(fd, UIOMMU_IRQ_KIND_MSIX,
				    UIOMMU_IRQ_OP_EVENTFDS, 0, 1, &none, 4));
	vf_raise(&self->dev, 1);
	EXPECT_EQ(1, eventfd_wait(self->efds[0], COMES_MS));
}

/* Vectors come while others are in use, and count from then on. */
TEST_F_TIMEOUT(msix, added_vectors, TEST_SECONDS)
{
	int fd = self->dev.fd, i, ret;

	ASSERT_EQ(0, irq_set_many(fd, VFIO_EVENTFDS_MSIX, 1, self->efds));
	ret = irq_range(fd, UIOMMU_IRQ_KIND_MSIX, UIOMMU_IRQ_OP_EVENTFDS, 2, 1,
			&self->efds[2], 4);
	if (ret == -EOPNOTSUPP)
		SKIP(return, "vectors cannot be added here");
	ASSERT_EQ(0, ret);
	for (i = 0; i < 20; i++) {
		vf_raise(&self->dev, 5);
		EXPECT_EQ(1, eventfd_wait(self->efds[0], COMES_MS));
		EXPECT_EQ(1, eventfd_wait(self->efds[2], COMES_MS));
	}
	/* Three now, one of them not there */
	EXPECT_EQ(-EBUSY, irq_set_many(fd, VFIO_EVENTFDS_MSIX, 1, self->efds));
	EXPECT_EQ(0, irq_range(fd, UIOMMU_IRQ_KIND_MSIX, UIOMMU_IRQ_OP_TRIGGER,
			       0, 3, NULL, 0));
	EXPECT_EQ(1, eventfd_wait(self->efds[0], 0));
	EXPECT_EQ(0, eventfd_wait(self->efds[1], 0));
	EXPECT_EQ(1, eventfd_wait(self->efds[2], 0));
	EXPECT_EQ(0, irq_set_many(fd, VFIO_EVENTFDS_MSIX, 3, self->efds));
	vf_raise(&self->dev, 7);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(1, eventfd_wait(self->efds[i], COMES_MS));
	ASSERT_EQ(0, device_reset(fd));
	vf_raise(&self->dev, 7);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(1, eventfd_wait(self->efds[i], COMES_MS));
	EXPECT_EQ(0, irq_set_many(fd, VFIO_EVENTFDS_MSIX, 0, NULL));
	EXPECT_EQ(0, irq_set_many(fd, VFIO_EVENTFDS_MSIX, 2, self->efds));
}

/* How often an interrupt came to a CPU, by /proc/interrupts */
static long interrupts_on(const char *bdf, unsigned int vector, int cpu)
{
	char line[4096], name[64], *at;
	long count = -1;
	FILE *f;
	int i;

	snprintf(name, sizeof(name), "vfio-msix[%u](%s)", vector, bdf);
	f = fopen("/proc/interrupts", "r");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (!strstr(line, name))
			continue;
		at = strchr(line, ':') + 1;
		for (i = 0; i <= cpu; i++)
			count = strtol(at, &at, 10);
	}
	fclose(f);
	return count;
}

/* Where a thread may run its interrupts may come, and nowhere else. */
TEST_F_TIMEOUT(msix, affinity, TEST_SECONDS)
{
	int fd = self->dev.fd, cpu, other, tries, i;
	unsigned char mask[16] = {};
	cpu_set_t all, one;
	long before;

	ASSERT_EQ(0, sched_getaffinity(0, sizeof(all), &all));
	if (CPU_COUNT(&all) < 2)
		SKIP(return, "one CPU");
	ASSERT_EQ(0, irq_set_many(fd, VFIO_EVENTFDS_MSIX, 2, self->efds));
	for (cpu = 0; cpu < 2; cpu++) {
		mask[0] = 1 << cpu;
		ASSERT_EQ(0, irq_range(fd, UIOMMU_IRQ_KIND_MSIX,
				       UIOMMU_IRQ_OP_AFFINITY, 0, 2, mask, 1));
		for (i = 0; i < 2; i++) {
			/* Some may still come to where they went before. */
			before = interrupts_on(self->dev.bdf, i, cpu);
			ASSERT_LE(0, before);
			for (tries = 0; tries < 20 &&
			     interrupts_on(self->dev.bdf, i, cpu) == before;
			     tries++) {
				vf_raise(&self->dev, 1 << i);
				EXPECT_EQ(1, eventfd_wait(self->efds[i],
							  COMES_MS));
				sleep_ms(5);
			}
			EXPECT_GT(20, tries);
			before = interrupts_on(self->dev.bdf, i, cpu);
			for (tries = 0; tries < 5; tries++) {
				vf_raise(&self->dev, 1 << i);
				EXPECT_EQ(1, eventfd_wait(self->efds[i],
							  COMES_MS));
			}
			EXPECT_EQ(before + 5,
				  interrupts_on(self->dev.bdf, i, cpu));
		}
	}
	/* As long as the kernel's, and longer */
	EXPECT_EQ(0, irq_range(fd, UIOMMU_IRQ_KIND_MSIX, UIOMMU_IRQ_OP_AFFINITY,
			       0, 2, mask, sizeof(mask)));
	EXPECT_EQ(-EINVAL, irq_range(fd, UIOMMU_IRQ_KIND_MSIX,
				     UIOMMU_IRQ_OP_AFFINITY, 0, 2, mask, 1025));
	EXPECT_EQ(-EINVAL, irq_range(fd, UIOMMU_IRQ_KIND_MSIX,
				     UIOMMU_IRQ_OP_AFFINITY, 0, 2, mask, 0));
	EXPECT_EQ(-EFAULT, irq_range(fd, UIOMMU_IRQ_KIND_MSIX,
				     UIOMMU_IRQ_OP_AFFINITY, 0, 2, NULL, 8));
	/* One that is not in use, and no CPU at all */
	EXPECT_EQ(-EINVAL, irq_range(fd, UIOMMU_IRQ_KIND_MSIX,
				     UIOMMU_IRQ_OP_AFFINITY, 2, 1, mask, 1));
	mask[0] = 0;
	EXPECT_EQ(-EINVAL, irq_range(fd, UIOMMU_IRQ_KIND_MSIX,
				     UIOMMU_IRQ_OP_AFFINITY, 0, 1, mask, 1));
	mask[15] = 0x80;
	EXPECT_EQ(-EPERM, irq_range(fd, UIOMMU_IRQ_KIND_MSIX,
				    UIOMMU_IRQ_OP_AFFINITY, 0, 1, mask,
				    sizeof(mask)));
	/* Not where the thread is kept away from */
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	other = 2;
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	mask[0] = other;
	EXPECT_EQ(-EPERM, irq_range(fd, UIOMMU_IRQ_KIND_MSIX,
				    UIOMMU_IRQ_OP_AFFINITY, 0, 1, mask, 1));
	mask[0] = other | 1;
	EXPECT_EQ(-EPERM, irq_range(fd, UIOMMU_IRQ_KIND_MSIX,
				    UIOMMU_IRQ_OP_AFFINITY, 0, 1, mask, 1));
	mask[0] = 1;
	EXPECT_EQ(0, irq_range(fd, UIOMMU_IRQ_KIND_MSIX, UIOMMU_IRQ_OP_AFFINITY,
			       0, 1, mask, 1));
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(all), &all));
}

TEST_F_TIMEOUT(msix, counts, TEST_SECONDS)
{
	int i;

	ASSERT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX, VF_VECTORS,
				  self->efds));
	for (i = 0; i < 300; i++) {
		vf_raise(&self->dev, 1 << i % VF_VECTORS);
		ASSERT_EQ(1, eventfd_wait(self->efds[i % VF_VECTORS],
					  COMES_MS));
	}
}

/* Counts that are wrong, and nothing changes: the old ones go on. */
TEST_F_TIMEOUT(msix, wrong_counts, TEST_SECONDS)
{
	static const int wrong[] = {
		-1, INT_MIN, VF_VECTORS + 1, 64, 2048, 2049, 65536, INT_MAX,
		INT_MAX / 4, 0x40000000,
	};
	int *arg = calloc(1 + 65536, sizeof(*arg));
	int round, i;
	size_t w;

	ASSERT_NE(NULL, arg);
	for (i = 0; i < 65536; i++)
		arg[1 + i] = self->efds[i % VF_VECTORS];
	for (round = 0; round < 2; round++) {
		for (w = 0; w < ARRAY_SIZE(wrong); w++) {
			arg[0] = wrong[w];
			EXPECT_EQ(-EINVAL, request(self->dev.fd,
						   VFIO_EVENTFDS_MSIX, arg)) {
				TH_LOG("count %d", wrong[w]);
			}
		}
		if (round) {
			for (i = 0; i < VF_VECTORS; i++) {
				vf_raise(&self->dev, 1 << i);
				EXPECT_EQ(1, eventfd_wait(self->efds[i],
							  COMES_MS));
			}
			break;
		}
		/* Nothing was turned on by them. */
		ASSERT_EQ(0, domain_unset(self->dev.fd));
		ASSERT_EQ(0, device_attach(&self->dev));
		ASSERT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX,
					  VF_VECTORS, self->efds));
	}
	free(arg);
}

/* A bad fd at each place of the array (2010: unwound but for the first) */
TEST_F_TIMEOUT(msix, wrong_eventfds, TEST_SECONDS)
{
	int null = open("/dev/null", O_RDWR), closed = dup(null);
	int fds[VF_VECTORS], pipes[2];
	int round, i;

	close(closed);
	for (round = 0; round < 2; round++) {
		for (i = 0; i < VF_VECTORS; i++) {
			memcpy(fds, self->efds, sizeof(fds));
			fds[i] = closed;
			EXPECT_EQ(-EBADF, irq_set_many(self->dev.fd,
						       VFIO_EVENTFDS_MSIX,
						       VF_VECTORS, fds));
			fds[i] = null;
			EXPECT_EQ(-EINVAL, irq_set_many(self->dev.fd,
							VFIO_EVENTFDS_MSIX,
							VF_VECTORS, fds));
			fds[i] = self->dev.fd;
			EXPECT_EQ(-EINVAL, irq_set_many(self->dev.fd,
							VFIO_EVENTFDS_MSIX,
							VF_VECTORS, fds));
		}
		if (round)
			break;
		ASSERT_EQ(0, domain_unset(self->dev.fd));
		ASSERT_EQ(0, device_attach(&self->dev));
		ASSERT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX,
					  VF_VECTORS, self->efds));
	}
	/* All of the old ones are in place. */
	for (i = 0; i < VF_VECTORS; i++) {
		vf_raise(&self->dev, 1 << i);
		EXPECT_EQ(1, eventfd_wait(self->efds[i], COMES_MS));
	}
	/* No reference is left at the refused ones. */
	ASSERT_EQ(0, pipe(pipes));
	signal(SIGPIPE, SIG_IGN);
	fds[0] = self->efds[0];
	fds[1] = pipes[0];
	fds[2] = self->efds[2];
	EXPECT_EQ(-EINVAL, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX,
					VF_VECTORS, fds));
	close(pipes[0]);
	EXPECT_EQ(-1, write(pipes[1], "", 1));
	EXPECT_EQ(EPIPE, errno);
}

/* Vectors without eventfd are quiet, and can get one later. */
TEST_F_TIMEOUT(msix, some_vectors_without_eventfd, TEST_SECONDS)
{
	int fds[VF_VECTORS] = { -1, self->efds[1], -1 };
	int none[VF_VECTORS] = { -1, -1, -1 };

	ASSERT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX, VF_VECTORS,
				  fds));
	vf_raise(&self->dev, 7);
	EXPECT_EQ(1, eventfd_wait(self->efds[1], COMES_MS));
	EXPECT_EQ(0, eventfd_wait(self->efds[0], 20));
	EXPECT_EQ(0, eventfd_wait(self->efds[2], 20));
	ASSERT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX, VF_VECTORS,
				  self->efds));
	vf_raise(&self->dev, 1);
	EXPECT_EQ(1, eventfd_wait(self->efds[0], COMES_MS));
	ASSERT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX, VF_VECTORS,
				  none));
	vf_raise(&self->dev, 7);
	EXPECT_EQ(0, eventfd_wait(self->efds[0], QUIET_MS));
	EXPECT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX, 0, NULL));
}

/* The same eventfd for all of them counts all of them. */
TEST_F_TIMEOUT(msix, one_eventfd_for_all, TEST_SECONDS)
{
	int fds[VF_VECTORS] = {
		self->efds[0], self->efds[0], self->efds[0],
	};

	ASSERT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX, VF_VECTORS,
				  fds));
	vf_raise(&self->dev, 7);
	sleep_ms(QUIET_MS);
	EXPECT_EQ(3, eventfd_wait(self->efds[0], COMES_MS));
}

TEST_F_TIMEOUT(msix, fewer_than_there_are, TEST_SECONDS)
{
	int num;

	for (num = 1; num <= VF_VECTORS; num++) {
		ASSERT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX,
					  num, self->efds));
		vf_raise(&self->dev, 1 << (num - 1));
		EXPECT_EQ(1, eventfd_wait(self->efds[num - 1], COMES_MS));
		/* Another number takes turning it off before. */
		EXPECT_EQ(-EBUSY, irq_set_many(self->dev.fd,
					       VFIO_EVENTFDS_MSIX,
					       num % VF_VECTORS + 1,
					       self->efds));
		vf_raise(&self->dev, 1 << (num - 1));
		EXPECT_EQ(1, eventfd_wait(self->efds[num - 1], COMES_MS));
		ASSERT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX, 0,
					  NULL));
	}
}

TEST_F_TIMEOUT(msix, other_kinds, TEST_SECONDS)
{
	struct uiommu_device_info info;

	/* A virtual function has neither. */
	ASSERT_EQ(0, device_info(self->dev.fd, &info));
	ASSERT_EQ(0, info.out_flags & UIOMMU_DEVICE_INTX);
	ASSERT_EQ(0, info.out_num_msi);
	EXPECT_EQ(-EOPNOTSUPP, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ,
				       self->efds[0]));
	EXPECT_EQ(-EOPNOTSUPP, irq_set(self->dev.fd, VFIO_EVENTFD_MSI,
				       self->efds[0]));
	EXPECT_EQ(-EOPNOTSUPP, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSI, 1,
					    self->efds));
}

TEST_F_TIMEOUT(msix, survives_reset, TEST_SECONDS)
{
	int i;

	ASSERT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX, VF_VECTORS,
				  self->efds));
	ASSERT_EQ(0, device_reset(self->dev.fd));
	/* Its driver, the network card's, hears of the reset. */
	sleep_ms(100);
	for (i = 0; i < VF_VECTORS; i++) {
		vf_raise(&self->dev, 1 << i);
		EXPECT_EQ(1, eventfd_wait(self->efds[i], COMES_MS));
	}
}

struct swapper {
	int fd;
	const int *one;
	const int *two;
	int stop;
	unsigned long swaps;
	int failed;
};

static void *swap_always(void *arg)
{
	struct swapper *s = arg;

	while (!get_once(&s->stop)) {
		if (irq_set_many(s->fd, VFIO_EVENTFDS_MSIX, VF_VECTORS,
				 s->swaps & 1 ? s->one : s->two))
			s->failed++;
		s->swaps++;
	}
	return NULL;
}

/*
 * Eventfds are swapped all the time. Each interrupt is in one of the two, and
 * the next is raised when it is: none may be lost, none may be there twice.
 */
TEST_F_TIMEOUT(msix, none_lost_by_swapping_under_load, TEST_SECONDS)
{
	int two[VF_VECTORS] = { eventfd_new(), eventfd_new(), eventfd_new() };
	struct swapper s = {
		.fd = self->dev.fd,
		.one = self->efds,
		.two = two,
	};
	unsigned long seen[2] = {};
	pthread_t thread;
	int i;

	ASSERT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX, VF_VECTORS,
				  self->efds));
	ASSERT_EQ(0, pthread_create(&thread, NULL, swap_always, &s));
	for (i = 0; i < 1500; i++) {
		int v = i % VF_VECTORS;
		struct pollfd p[2] = {
			{ .fd = self->efds[v], .events = POLLIN },
			{ .fd = two[v], .events = POLLIN },
		};
		__u64 now[2] = {};

		vf_raise(&self->dev, 1 << v);
		ASSERT_LT(0, poll(p, 2, COMES_MS)) {
			TH_LOG("interrupt %d is lost after %lu swaps", i,
			       s.swaps);
		}
		now[0] = eventfd_wait(self->efds[v], 0);
		now[1] = eventfd_wait(two[v], 0);
		ASSERT_EQ(1, now[0] + now[1]);
		seen[0] += now[0];
		seen[1] += now[1];
	}
	set_once(&s.stop, 1);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, s.failed);
	EXPECT_LT(1, s.swaps);
	/* It was really both of them. */
	EXPECT_LT(0, seen[0]);
	EXPECT_LT(0, seen[1]);
}

/* Threads set, unset, reset and count wrongly, all at the same time. */
static void *set_always(void *arg)
{
	struct swapper *s = arg;

	while (!get_once(&s->stop)) {
		int num = s->swaps++ % (VF_VECTORS + 2);
		long ret = irq_set_many(s->fd, VFIO_EVENTFDS_MSIX, num,
					s->one);

		if (ret && ret != -EBUSY && ret != -EINVAL)
			s->failed = ret;
	}
	return NULL;
}

TEST_F_TIMEOUT(msix, contended, TEST_SECONDS)
{
	int fds[VF_VECTORS + 2] = {
		self->efds[0], self->efds[1], self->efds[2], self->efds[0],
		self->efds[0],
	};
	struct swapper s[3];
	pthread_t threads[3];
	int i;

	for (i = 0; i < 3; i++) {
		s[i] = (struct swapper){
			.fd = self->dev.fd, .one = fds, .swaps = i,
		};
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, set_always,
					    &s[i]));
	}
	for (i = 0; i < 200; i++) {
		vf_raise(&self->dev, 7);
		usleep(2000);
		if (i % 50 == 49)
			EXPECT_EQ(0, device_reset(self->dev.fd));
	}
	for (i = 0; i < 3; i++) {
		set_once(&s[i].stop, 1);
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, s[i].failed);
	}
	EXPECT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX, 0, NULL));
	EXPECT_EQ(0, domain_unset(self->dev.fd));
}

/*
 * Other kinds of devices
 */
FIXTURE(other)
{
	struct device dev;
};

FIXTURE_SETUP(other)
{
	self->dev.fd = -1;
	self->dev.space = -1;
}

FIXTURE_TEARDOWN(other)
{
	if (!self->dev.bdf)
		return;
	device_close(&self->dev);
	expect_quiet(_metadata, &self->dev.log);
}

/* pci-testdev has no interrupt at all. */
TEST_F_TIMEOUT(other, device_without_interrupts, TEST_SECONDS)
{
	int efd = eventfd_new();

	if (!getenv("UIOMMU_TESTDEV"))
		SKIP(return, "no pci-testdev device");
	ASSERT_EQ(0, device_open(&self->dev, getenv("UIOMMU_TESTDEV")));
	ASSERT_EQ(0, device_attach(&self->dev));
	EXPECT_EQ(-EOPNOTSUPP, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, efd));
	EXPECT_EQ(-EOPNOTSUPP, irq_set(self->dev.fd, VFIO_EVENTFD_MSI, efd));
	EXPECT_EQ(-EOPNOTSUPP, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSI, 1,
					    &efd));
	EXPECT_EQ(-EOPNOTSUPP, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX,
					    1, &efd));
	EXPECT_EQ(0, domain_unset(self->dev.fd));
}

/* All vectors of an NVMe drive, which has more than a page of them */
TEST_F_TIMEOUT(other, many_vectors, TEST_SECONDS)
{
	struct uiommu_device_info info;
	int *arg, num, i, efd = eventfd_new();

	if (!getenv("UIOMMU_NVME"))
		SKIP(return, "no nvme device");
	ASSERT_EQ(0, device_open(&self->dev, getenv("UIOMMU_NVME")));
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, device_info(self->dev.fd, &info));
	num = info.out_num_msix;
	ASSERT_LT(VF_VECTORS, num);
	arg = calloc(2 + num, sizeof(*arg));
	ASSERT_NE(NULL, arg);
	for (i = 0; i < num + 1; i++)
		arg[1 + i] = efd;
	arg[0] = num + 1;
	EXPECT_EQ(-EINVAL, request(self->dev.fd, VFIO_EVENTFDS_MSIX, arg));
	arg[0] = num;
	EXPECT_EQ(0, request(self->dev.fd, VFIO_EVENTFDS_MSIX, arg));
	EXPECT_EQ(-EBUSY, domain_unset(self->dev.fd));
	/* A bad one at the end */
	arg[num] = INT_MAX;
	EXPECT_EQ(-EBADF, request(self->dev.fd, VFIO_EVENTFDS_MSIX, arg));
	arg[0] = 0;
	EXPECT_EQ(0, request(self->dev.fd, VFIO_EVENTFDS_MSIX, arg));
	EXPECT_EQ(0, domain_unset(self->dev.fd));
	free(arg);
}

/* Shared memory with a doorbell: a register that rings a vector of a peer */
#define DOOR_ID		0x08
#define DOORBELL	0x0c
#define DOOR_VECTORS	8

/* Another process rings, through a file of its own that it was not given. */
static int ring_as_another(struct device *dev, int times)
{
	pid_t pid = fork();
	int status, i, fd;
	__u32 id, val;

	if (!pid) {
		fd = node_open(dev->bdf, O_RDWR);
		if (space_read(fd, 0, DOOR_ID, &id, 4) != 4)
			_exit(1);
		for (i = 0; i < times * DOOR_VECTORS; i++) {
			val = id << 16 | i % DOOR_VECTORS;
			if (space_write(fd, 0, DOORBELL, &val, 4) != 4)
				_exit(1);
		}
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

TEST_F_TIMEOUT(other, vectors_rung_by_another, TEST_SECONDS)
{
	int efds[DOOR_VECTORS], i;
	__u64 seen;

	if (!getenv("UIOMMU_DOORBELL"))
		SKIP(return, "no ivshmem device with a doorbell");
	ASSERT_EQ(0, device_open(&self->dev, getenv("UIOMMU_DOORBELL")));
	ASSERT_EQ(0, device_attach(&self->dev));
	for (i = 0; i < DOOR_VECTORS; i++)
		efds[i] = eventfd_new();
	ASSERT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX,
				  DOOR_VECTORS, efds));
	ASSERT_EQ(0, ring_as_another(&self->dev, 1));
	for (i = 0; i < DOOR_VECTORS; i++) {
		EXPECT_EQ(1, eventfd_wait(efds[i], COMES_MS));
		EXPECT_EQ(0, eventfd_wait(efds[i], 5));
	}
	/* Those that the emulation has not sent yet fall together. */
	ASSERT_EQ(0, ring_as_another(&self->dev, 50));
	for (i = 0; i < DOOR_VECTORS; i++) {
		seen = eventfd_wait(efds[i], COMES_MS);
		EXPECT_LE(1, seen);
		EXPECT_GE(50, seen);
	}
	ASSERT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX, 0, NULL));
	/* What came late came before that. */
	for (i = 0; i < DOOR_VECTORS; i++)
		eventfd_wait(efds[i], 0);
	ASSERT_EQ(0, ring_as_another(&self->dev, 1));
	for (i = 0; i < DOOR_VECTORS; i++)
		EXPECT_EQ(0, eventfd_wait(efds[i], 20));
	EXPECT_EQ(0, domain_unset(self->dev.fd));
}

/* Registers of the 82574, and the cause that none of its queues has */
#define E1000E_ICR	0xc0
#define E1000E_ICS	0xc8
#define E1000E_IMS	0xd0
#define E1000E_IMC	0xd8
#define E1000E_IVAR	0xe4
#define E1000E_OTHER	0x01000000

/* From each kind to each other one and back, with interrupts in each */
TEST_F_TIMEOUT(other, kinds_in_turn, TEST_SECONDS)
{
	static const unsigned long kinds[] = {
		VFIO_EVENTFD_IRQ, VFIO_EVENTFD_MSI, VFIO_EVENTFDS_MSIX,
		VFIO_EVENTFD_IRQ, VFIO_EVENTFDS_MSIX, VFIO_EVENTFD_MSI,
		VFIO_EVENTFD_IRQ,
	};
	int efd = eventfd_new();
	size_t k;
	int i;

	if (!getenv("UIOMMU_E1000E"))
		SKIP(return, "no e1000e device");
	ASSERT_EQ(0, device_open(&self->dev, getenv("UIOMMU_E1000E")));
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, device_map_bar(&self->dev, 0));
	reg_write(&self->dev, E1000E_IMC, UINT32_MAX);
	reg_write(&self->dev, E1000E_IVAR, 8 << 16);
	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		bool intx = kinds[k] == VFIO_EVENTFD_IRQ;

		reg_read(&self->dev, E1000E_ICR);
		if (kinds[k] == VFIO_EVENTFDS_MSIX) {
			ASSERT_EQ(0, irq_set_many(self->dev.fd, kinds[k], 1,
						  &efd));
		} else {
			ASSERT_EQ(0, irq_set(self->dev.fd, kinds[k], efd));
		}
		EXPECT_EQ(0, eventfd_wait(efd, 20));
		for (i = 0; i < 10; i++) {
			reg_write(&self->dev, E1000E_IMS, E1000E_OTHER);
			reg_write(&self->dev, E1000E_ICS, E1000E_OTHER);
			/* Emulated, it can send one message too many. */
			EXPECT_LE(1, eventfd_wait(efd, COMES_MS)) {
				TH_LOG("kind %zu, interrupt %d", k, i);
			}
			EXPECT_EQ(intx, !!(config_read(self->dev.fd,
						       PCI_COMMAND, 2) &
					   PCI_COMMAND_INTX_DISABLE));
			reg_write(&self->dev, E1000E_IMC, E1000E_OTHER);
			reg_read(&self->dev, E1000E_ICR);
			if (intx)
				EXPECT_EQ(0, irq_eoi(self->dev.fd));
		}
		eventfd_wait(efd, 20);
		if (kinds[k] == VFIO_EVENTFDS_MSIX) {
			ASSERT_EQ(0, irq_set_many(self->dev.fd, kinds[k], 0,
						  NULL));
		} else {
			ASSERT_EQ(0, irq_set(self->dev.fd, kinds[k], -1));
		}
	}
	EXPECT_EQ(0, domain_unset(self->dev.fd));
}

/* The line of a device whose interrupts are off */
static long irq_line(const char *bdf)
{
	char text[32];

	if (pci_attr_read(bdf, "irq", text, sizeof(text)) < 0)
		return -1;
	return strtol(text, NULL, 10);
}

/* Devices on one line have their own interrupts alone, or one has it alone. */
TEST_F_TIMEOUT(edu, line_of_another, TEST_SECONDS)
{
	int *efds = (int[]){ self->efd, eventfd_new() };
	struct device other;
	long line;
	int i;

	if (!getenv("UIOMMU_E1000E"))
		SKIP(return, "no e1000e device");
	ASSERT_EQ(0, device_open(&other, getenv("UIOMMU_E1000E")));
	ASSERT_EQ(0, device_attach(&other));
	ASSERT_EQ(0, device_map_bar(&other, 0));
	line = irq_line(self->dev.bdf);
	ASSERT_LT(0, line);
	if (line != irq_line(other.bdf))
		SKIP(goto out, "edu and e1000e have different lines");
	reg_write(&other, E1000E_IMC, UINT32_MAX);
	reg_read(&other, E1000E_ICR);
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, efds[0]));
	EXPECT_EQ(edu_is_exclusive() ? -EBUSY : 0,
		  irq_set(other.fd, VFIO_EVENTFD_IRQ, efds[1]));
	for (i = 0; i < 3; i++) {
		reg_write(&self->dev, EDU_IRQ_RAISE, 1);
		EXPECT_EQ(1, eventfd_wait(efds[0], COMES_MS));
		reg_write(&self->dev, EDU_IRQ_ACK, 1);
		EXPECT_EQ(0, irq_eoi(self->dev.fd));
	}
	EXPECT_EQ(0, eventfd_wait(efds[1], QUIET_MS));

	if (edu_is_exclusive()) {
		ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, -1));
		ASSERT_EQ(0, irq_set(other.fd, VFIO_EVENTFD_IRQ, efds[1]));
		EXPECT_EQ(-EBUSY, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ,
					  efds[0]));
	}
	for (i = 0; i < 3; i++) {
		reg_write(&other, E1000E_IMS, E1000E_OTHER);
		reg_write(&other, E1000E_ICS, E1000E_OTHER);
		EXPECT_EQ(1, eventfd_wait(efds[1], COMES_MS));
		reg_write(&other, E1000E_IMC, E1000E_OTHER);
		reg_read(&other, E1000E_ICR);
		EXPECT_EQ(0, irq_eoi(other.fd));
	}
	EXPECT_EQ(0, eventfd_wait(efds[0], QUIET_MS));

	/* Masked for one, for the other not */
	if (!edu_is_exclusive()) {
		reg_write(&self->dev, EDU_IRQ_RAISE, 1);
		EXPECT_EQ(1, eventfd_wait(efds[0], COMES_MS));
		reg_write(&other, E1000E_IMS, E1000E_OTHER);
		reg_write(&other, E1000E_ICS, E1000E_OTHER);
		EXPECT_EQ(1, eventfd_wait(efds[1], COMES_MS));
		EXPECT_EQ(0, eventfd_wait(efds[0], QUIET_MS));
		reg_write(&other, E1000E_IMC, UINT32_MAX);
		reg_write(&self->dev, EDU_IRQ_ACK, 1);
	}
out:
	device_close(&other);
	log_close(&other.log);
}

/**
 * struct stress - one of the threads of edu:stress
 * @work: what it does again and again
 * @fd: its own file of the device, which it closes at its end
 * @stop: it is time to end
 * @seed: of its random numbers
 * @done: what it did, all rounds together
 */
struct stress {
	void (*work)(struct stress *s);
	int fd;
	int stop;
	unsigned int seed;
	unsigned long done;
};

static int is_allowed(int ret)
{
	return !ret || ret == -EBUSY || ret == -EINVAL || ret == -ENODEV;
}

static void stress_reg(int fd, __u64 reg, __u32 val)
{
	ssize_t ret = space_write(fd, 0, reg, &val, sizeof(val));

	if (ret != sizeof(val) && !is_allowed(ret))
		abort();
}

static void stress_device(struct stress *s)
{
	stress_reg(s->fd, EDU_IRQ_RAISE, 1);
	if (rand_r(&s->seed) % 2)
		stress_reg(s->fd, EDU_IRQ_ACK, UINT32_MAX);
}

static void stress_kinds(struct stress *s)
{
	unsigned long cmd = rand_r(&s->seed) % 2 ? VFIO_EVENTFD_IRQ :
						   VFIO_EVENTFD_MSI;
	int efd = rand_r(&s->seed) % 3 ? eventfd_new() : -1;

	if (!is_allowed(irq_set(s->fd, cmd, efd)))
		abort();
	if (efd >= 0)
		close(efd);
}

static void stress_masks(struct stress *s)
{
	int efd = eventfd_new(), ret = 0, i;
	__u32 val;

	for (i = 0; i < 5; i++) {
		switch (rand_r(&s->seed) % 5) {
		case 0:
			ret = irq_eoi(s->fd);
			break;
		case 1:
			ret = irq_eoi_eventfd(s->fd, rand_r(&s->seed) % 2 ?
						     efd : -1);
			break;
		case 2:
			write_eventfd(efd);
			break;
		case 3:
			ret = irq_range(s->fd, UIOMMU_IRQ_KIND_INTX,
					UIOMMU_IRQ_OP_TRIGGER, 0, 1, NULL, 0);
			break;
		default:
			val = rand_r(&s->seed) % 2 ? 0x0402 : 0x0006;
			ret = space_write(s->fd, CONFIG_SPACE, PCI_COMMAND,
					  &val, 2);
			ret = ret > 0 ? 0 : ret;
		}
		if (!is_allowed(ret))
			abort();
	}
	close(efd);
}

static void stress_resets(struct stress *s)
{
	if (!is_allowed(device_reset(s->fd)))
		abort();
	usleep(20000);
}

static void (*const stress_work[])(struct stress *) = {
	stress_device, stress_kinds, stress_kinds, stress_masks, stress_masks,
	stress_resets,
};

#define STRESS_THREADS	ARRAY_SIZE(stress_work)

static void *stress_thread(void *arg)
{
	struct stress *s = arg;

	while (!get_once(&s->stop)) {
		s->work(s);
		s->done++;
	}
	close(s->fd);
	return NULL;
}

/*
 * For UIOMMU_STRESS seconds, in rounds of a part of one: interrupts, eventfds that
 * are swapped and closed, kinds that change, masks, ends of interrupt and resets
 * at once, by threads with a file each, which they close in the middle of it. The
 * kernel must not complain, and in the end interrupts come as in the beginning.
 */
TEST_F_TIMEOUT(edu, stress, 600)
{
	const char *bdf = self->dev.bdf, *seconds = getenv("UIOMMU_STRESS");
	struct stress s[STRESS_THREADS] = {};
	__u64 end = now_ms() + 1000 * (seconds ? atoi(seconds) : 3);
	pthread_t threads[STRESS_THREADS];
	unsigned int rounds = 0, seed = 1;
	struct log log;
	size_t i;

	log = self->dev.log;
	do {
		for (i = 0; i < STRESS_THREADS; i++) {
			s[i].work = stress_work[i];
			s[i].seed = ++seed;
			s[i].stop = 0;
			s[i].fd = node_open(bdf, O_RDWR);
			ASSERT_LE(0, s[i].fd);
			ASSERT_EQ(0, pthread_create(&threads[i], NULL,
						    stress_thread, &s[i]));
		}
		device_close(&self->dev);
		sleep_ms(50 + rand_r(&seed) % 300);
		for (i = 0; i < STRESS_THREADS; i++)
			set_once(&s[(i + rounds) % STRESS_THREADS].stop, 1);
		for (i = 0; i < STRESS_THREADS; i++)
			pthread_join(threads[i], NULL);
		ASSERT_EQ(0, device_open(&self->dev, bdf));
		log_close(&self->dev.log);
		self->dev.log = log;
		ASSERT_EQ(0, device_attach(&self->dev));
		rounds++;
	} while (now_ms() < end);
	ASSERT_EQ(0, device_map_bar(&self->dev, 0));
	for (i = 0; i < STRESS_THREADS; i++) {
		EXPECT_LT(0, s[i].done);
		TH_LOG("thread %zu: %lu", i, s[i].done);
	}
	TH_LOG("%u times closed", rounds);
	/* edu's message cannot be masked, see above. */
	log_take_faults(&self->dev.log, 100);
	irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, -1);
	irq_set(self->dev.fd, VFIO_EVENTFD_MSI, -1);
	ASSERT_EQ(0, irq_eoi_eventfd(self->dev.fd, -1));
	ASSERT_EQ(0, device_reset(self->dev.fd));
	ASSERT_EQ(0, config_command(self->dev.fd, PCI_COMMAND_INTX_DISABLE,
				    PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER));
	reg_write(&self->dev, EDU_IRQ_ACK, UINT32_MAX);
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, self->efd));
	EXPECT_EQ(0, eventfd_wait(self->efd, QUIET_MS));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
	reg_write(&self->dev, EDU_IRQ_ACK, 1);
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, -1));
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_MSI, self->efd));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(self->efd, COMES_MS));
}

/*
 * A device with several MSI messages (nec-usb-xhci,msi=on,msix=off). Interrupts
 * of its command ring come by the first.
 */
#define XHCI_COMMANDS	4
#define XHCI_EVENTS	64
#define TRB_NO_OP	(23 << 10)
#define TRB_CYCLE	1

TEST_F_TIMEOUT(other, several_msi_messages, TEST_SECONDS)
{
	unsigned int op, run, db, i;
	struct uiommu_device_info info;
	int efds[33], none[] = { -1, -1 }, num, other;
	__u32 *mem;
	__u64 *table;

	if (!getenv("UIOMMU_XHCI"))
		SKIP(return, "no device with several MSI messages");
	ASSERT_EQ(0, device_open(&self->dev, getenv("UIOMMU_XHCI")));
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, device_info(self->dev.fd, &info));
	num = info.out_num_msi;
	if (num < 2)
		SKIP(return, "the device has %d MSI messages", num);
	if (!device_isolated(self->dev.fd) &&
	    irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSI, 2, none) == -ENOSPC)
		SKIP(return, "the platform has one message for a device");
	for (i = 0; i < 33; i++)
		efds[i] = eventfd_new();
	EXPECT_EQ(-EINVAL, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSI,
					num + 1, efds));
	for (i = 1; i <= num; i *= 2) {
		EXPECT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSI, i,
					  efds)) {
			TH_LOG("%u messages", i);
		}
		EXPECT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSI, 0,
					  NULL));
	}
	EXPECT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSI, num, efds));
	/* VFIO_EVENTFD_MSI is about one of them. */
	EXPECT_EQ(-EBUSY, irq_set(self->dev.fd, VFIO_EVENTFD_MSI, efds[0]));

	/* One page each: command ring, event ring, its table, contexts */
	mem = pages_alloc(4);
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, dma_map(self->dev.space, mem, IOVA_A, 4 * page_size(),
			     VFIO_FLAG_WRITE));
	ASSERT_EQ(0, device_map_bar(&self->dev, 0));
	op = reg_read(&self->dev, 0) & 0xff;
	run = reg_read(&self->dev, 0x18) & ~0x1fU;
	db = reg_read(&self->dev, 0x14) & ~3U;
	reg_write(&self->dev, op, 1 << 1);
	for (i = 0; i < 100 && reg_read(&self->dev, op) & 2; i++)
		sleep_ms(10);
	table = (void *)((char *)mem + 2 * page_size());
	table[0] = IOVA_A + page_size();
	table[1] = XHCI_EVENTS;
	reg_write(&self->dev, op + 0x38, 1);
	reg_write64(&self->dev, op + 0x30, IOVA_A + 3 * page_size());
	reg_write64(&self->dev, op + 0x18, IOVA_A | TRB_CYCLE);
	reg_write(&self->dev, run + 0x28, 1);
	reg_write64(&self->dev, run + 0x38, IOVA_A + page_size());
	reg_write64(&self->dev, run + 0x30, IOVA_A + 2 * page_size());
	reg_write(&self->dev, run + 0x20, 3);
	reg_write(&self->dev, op, 1 << 2 | 1);
	for (i = 0; i < XHCI_COMMANDS; i++) {
		__u64 seen;

		/* Ports may have events of their own at the beginning. */
		do {
			seen = eventfd_wait(efds[0], QUIET_MS);
			reg_write(&self->dev, run + 0x20, 3);
			reg_write64(&self->dev, run + 0x38,
				    (reg_read64(&self->dev, run + 0x38) &
				     ~0xfULL) | 1 << 3);
		} while (seen && i == 0);
		mem[i * 4 + 3] = TRB_NO_OP | TRB_CYCLE;
		__sync_synchronize();
		reg_write(&self->dev, db, 0);
		EXPECT_LT(0, eventfd_wait(efds[0], COMES_MS)) {
			TH_LOG("command %u", i);
		}
	}
	for (other = 1; other < num; other++)
		EXPECT_EQ(0, eventfd_wait(efds[other], 0));
	reg_write(&self->dev, op, 0);
	sleep_ms(20);
	EXPECT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSI, 0, NULL));
	EXPECT_EQ(0, dma_unmap(self->dev.space, IOVA_A, 4 * page_size()));
}

TEST_HARNESS_MAIN

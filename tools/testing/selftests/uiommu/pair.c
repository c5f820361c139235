// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two functions of one device, in one IOMMU group, that are only reset together.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "util.h"

FIXTURE(pair)
{
	struct device dev[2];
	int fds[2];
	void *mem;
};

FIXTURE_SETUP(pair)
{
	const char *bdf[2] = { getenv("UIOMMU_PAIR1"), getenv("UIOMMU_PAIR2") };
	int i;

	for (i = 0; i < 2; i++) {
		self->dev[i].fd = -1;
		self->dev[i].space = -1;
	}
	if (!bdf[0] || !bdf[1])
		SKIP(return, "no such devices");
	for (i = 0; i < 2; i++) {
		if (!geteuid() && !pci_driver_is(bdf[i], "vfio"))
			ASSERT_EQ(0, pci_bind(bdf[i]));
		ASSERT_EQ(0, device_open(&self->dev[i], bdf[i]));
		self->fds[i] = self->dev[i].fd;
	}
	self->mem = pages_alloc(2);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(pair)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (!self->dev[i].bdf)
			continue;
		device_close(&self->dev[i]);
		log_read(&self->dev[i].log);
		EXPECT_EQ(0, self->dev[i].log.splats +
			     self->dev[i].log.faults) {
			TH_LOG("%s", self->dev[i].log.first);
		}
		log_close(&self->dev[i].log);
		if (!geteuid() && !pci_driver_is(self->dev[i].bdf, "vfio"))
			EXPECT_EQ(0, pci_bind(self->dev[i].bdf));
	}
	EXPECT_EQ(0, file_field("/proc/self/status", "VmPin"));
}

/* Nobody knows what they do, until they are reset. */
TEST_F_TIMEOUT(pair, attached_after_a_reset, TEST_SECONDS)
{
	struct uiommu_device_info info;
	struct device *dev = self->dev;
	__u32 val;
	int i;

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, device_info(dev[i].fd, &info));
		EXPECT_EQ(0, info.out_flags & UIOMMU_DEVICE_RESET);
		EXPECT_NE(0, info.out_flags & UIOMMU_DEVICE_RESET_SET);
		EXPECT_EQ(-EBUSY, domain_set(dev[i].fd, dev[i].space));
		EXPECT_EQ(-EBUSY, space_read(dev[i].fd,
					     VFIO_PCI_CONFIG_RESOURCE, 0, &val,
					     4));
		EXPECT_EQ(-EOPNOTSUPP, device_reset(dev[i].fd));
	}
	ASSERT_EQ(0, device_reset_set(dev[1].fd, self->fds, 2));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0x11e81234, config_read(dev[i].fd, 0, 4));
		ASSERT_EQ(0, domain_set(dev[i].fd, dev[0].space));
		ASSERT_EQ(0, device_map_bar(&dev[i], 0));
		EXPECT_EQ(EDU_ID_VALUE, reg_read(&dev[i], EDU_ID));
		/* Not one of them alone */
		EXPECT_EQ(-EOPNOTSUPP, device_reset(dev[i].fd));
		EXPECT_EQ(EDU_ID_VALUE, reg_read(&dev[i], EDU_ID));
	}
	/* The group is in one space. */
	ASSERT_EQ(0, domain_unset(dev[1].fd));
	EXPECT_EQ(-EBUSY, domain_set(dev[1].fd, dev[1].space));
	EXPECT_EQ(0, domain_set(dev[1].fd, dev[0].space));
}

TEST_F_TIMEOUT(pair, both_do_dma, TEST_SECONDS)
{
	struct engine engine[2] = {};
	struct device *dev = self->dev;
	int i;

	ASSERT_EQ(0, device_reset_set(dev[0].fd, self->fds, 2));
	ASSERT_EQ(0, engine_attach(&engine[0], &dev[0]));
	/* The engine's own memory is in the space already. */
	ASSERT_EQ(0, domain_set(dev[1].fd, dev[0].space));
	ASSERT_EQ(0, device_map_bar(&dev[1], 0));
	ASSERT_EQ(0, config_command(dev[1].fd, 0, PCI_COMMAND_MASTER |
						  PCI_COMMAND_MEMORY));
	engine[1] = engine[0];
	engine[1].dev = &dev[1];
	for (i = 0; i < 2; i++) {
		engine[i].loaded = false;
		ASSERT_EQ(0, dma_map(dev[i].fd, self->mem + i * page_size(),
				     IOVA_A + i * page_size(), page_size(),
				     VFIO_FLAG_WRITE));
	}
	for (i = 0; i < 2; i++)
		EXPECT_TRUE(engine_reaches(&engine[i],
					   IOVA_A + i * page_size(),
					   self->mem + i * page_size()));
	/* In the middle of their work */
	ASSERT_EQ(0, device_reset_set(dev[0].fd, self->fds, 2));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(EDU_ID_VALUE, reg_read(&dev[i], EDU_ID));
		ASSERT_EQ(0, config_command(dev[i].fd, 0,
					    PCI_COMMAND_MASTER));
		engine[i].loaded = false;
		EXPECT_TRUE(engine_reaches(&engine[i],
					   IOVA_A + i * page_size(),
					   self->mem + i * page_size()));
	}
	/* One leaves, the other goes on. */
	close(dev[0].fd);
	dev[0].fd = -1;
	engine[1].loaded = false;
	EXPECT_TRUE(engine_reaches(&engine[1], IOVA_A + page_size(),
				   self->mem + page_size()));
	engine_stop(&engine[1]);
}

/* Who does not have them all, or shows something else */
TEST_F_TIMEOUT(pair, fds_are_looked_at, TEST_SECONDS)
{
	struct uiommu_reset reset = { .size = sizeof(reset) };
	int fd = self->dev[0].fd, fds[3], closed, other = -1;
	const char *nvme = getenv("UIOMMU_NVME");

	EXPECT_EQ(-EPERM, device_reset_set(fd, &self->fds[0], 1));
	EXPECT_EQ(-EPERM, device_reset_set(fd, &self->fds[1], 1));
	fds[0] = self->fds[0];
	fds[1] = self->fds[0];
	EXPECT_EQ(-EPERM, device_reset_set(fd, fds, 2));

	closed = dup(fd);
	close(closed);
	fds[1] = closed;
	EXPECT_EQ(-EBADF, device_reset_set(fd, fds, 2));
	fds[1] = -1;
	EXPECT_EQ(-EBADF, device_reset_set(fd, fds, 2));
	fds[1] = self->dev[0].space;
	EXPECT_EQ(-EINVAL, device_reset_set(fd, fds, 2));
	EXPECT_EQ(-EINVAL, device_reset_set(fd, fds, 0));
	EXPECT_EQ(-EINVAL, device_reset_set(fd, fds, 257));
	EXPECT_EQ(-EINVAL, device_reset_set(fd, fds, UINT32_MAX));
	EXPECT_EQ(-EFAULT, device_reset_set(fd, (void *)16, 2));
	reset.num_fds = 1;
	EXPECT_EQ(-EINVAL, request(fd, UIOMMU_RESET, &reset));
	reset.flags = UIOMMU_RESET_SET << 1;
	EXPECT_EQ(-EOPNOTSUPP, request(fd, UIOMMU_RESET, &reset));
	reset.flags = UIOMMU_RESET_SET;
	reset.__reserved = 1;
	EXPECT_EQ(-EINVAL, request(fd, UIOMMU_RESET, &reset));

	/* A device that is elsewhere would be taken for reset. */
	if (nvme)
		other = node_open(nvme, O_RDWR);
	if (other >= 0) {
		fds[0] = self->fds[0];
		fds[1] = self->fds[1];
		fds[2] = other;
		EXPECT_EQ(-EINVAL, device_reset_set(fd, fds, 3));
		close(other);
	}
	/* None of that was a reset. */
	EXPECT_EQ(-EBUSY, domain_set(fd, self->dev[0].space));
	/* Twice is as good as once. */
	fds[0] = self->fds[0];
	fds[1] = self->fds[1];
	fds[2] = self->fds[0];
	EXPECT_EQ(0, device_reset_set(fd, fds, 3));
	EXPECT_EQ(0, domain_set(fd, self->dev[0].space));
}

/* The other one belongs to somebody else, or to nobody. */
TEST_F_TIMEOUT(pair, others_are_not_reset, TEST_SECONDS)
{
	struct device *dev = self->dev;

	if (geteuid())
		SKIP(return, "needs root");
	ASSERT_EQ(0, device_reset_set(dev[0].fd, self->fds, 2));
	ASSERT_EQ(0, pci_unbind(dev[1].bdf));
	EXPECT_EQ(-ENODEV, device_reset_set(dev[0].fd, self->fds, 2));
	EXPECT_EQ(-EPERM, device_reset_set(dev[0].fd, self->fds, 1));
	/* It is attached as it was reset before. */
	EXPECT_EQ(0, domain_set(dev[0].fd, dev[0].space));
	ASSERT_EQ(0, pci_bind(dev[1].bdf));
	EXPECT_EQ(-EPERM, device_reset_set(dev[0].fd, self->fds, 1));
	device_close(&dev[1]);
	log_close(&dev[1].log);
	ASSERT_EQ(0, device_open(&dev[1], dev[1].bdf));
	self->fds[1] = dev[1].fd;
	EXPECT_EQ(-EBUSY, domain_set(dev[1].fd, dev[0].space));
	EXPECT_EQ(0, device_reset_set(dev[0].fd, self->fds, 2));
	EXPECT_EQ(0, domain_set(dev[1].fd, dev[0].space));
}

/* Each user is told, and each new one has to reset them again. */
TEST_F_TIMEOUT(pair, two_users_in_turn, TEST_SECONDS)
{
	struct uiommu_event event;
	struct device *dev = self->dev;
	int i, j, events[2];

	for (j = 0; j < 3; j++) {
		for (i = 0; i < 2; i++) {
			events[i] = event_fd(dev[i].fd, 0, false);
			ASSERT_LE(0, events[i]);
		}
		ASSERT_EQ(0, device_reset_set(dev[0].fd, self->fds, 2));
		for (i = 0; i < 2; i++) {
			EXPECT_EQ(1, event_read(events[i], &event, 1));
			EXPECT_EQ(UIOMMU_EVENT_RESET, event.type);
			EXPECT_EQ(UIOMMU_EVENT_WAS_RESET, event.flags);
			EXPECT_EQ(-EAGAIN, event_read(events[i], &event, 1));
			ASSERT_EQ(0, domain_set(dev[i].fd, dev[0].space));
			close(events[i]);
		}
		/* One by one, and both at once */
		for (i = 0; i < 2; i++) {
			device_close(&dev[i]);
			log_close(&dev[i].log);
		}
		for (i = 0; i < 2; i++) {
			ASSERT_EQ(0, device_open(&dev[i], dev[i].bdf));
			self->fds[i] = dev[i].fd;
			EXPECT_EQ(-EBUSY, domain_set(dev[i].fd, dev[i].space));
		}
	}
}

struct resetter {
	int fds[2];
	int stop;
	long wrong;
	unsigned long done;
};

static void *reset_all_the_time(void *arg)
{
	struct resetter *r = arg;
	int ret;

	while (!get_once(&r->stop)) {
		ret = device_reset_set(r->fds[0], r->fds, 2);
		if (!ret)
			r->done++;
		else if (ret != -EBUSY && ret != -ENODEV && ret != -EPERM &&
			 ret != -EINVAL)
			r->wrong = ret;
	}
	return NULL;
}

/* Two at a time, and one of the devices is taken away. */
TEST_F_TIMEOUT(pair, resets_meet_unbind, TEST_SECONDS)
{
	struct device *dev = self->dev;
	struct resetter r[2] = {};
	pthread_t threads[2];
	__u64 begin;
	int i;

	if (geteuid())
		SKIP(return, "needs root");
	for (i = 0; i < 2; i++) {
		memcpy(r[i].fds, self->fds, sizeof(self->fds));
		ASSERT_EQ(0, pthread_create(&threads[i], NULL,
					    reset_all_the_time, &r[i]));
	}
	sleep_ms(1000);
	for (i = 0; i < 5; i++) {
		begin = now_ms();
		ASSERT_EQ(0, pci_unbind(dev[1].bdf));
		EXPECT_GT(begin + 60000, now_ms());
		ASSERT_EQ(0, pci_bind(dev[1].bdf));
		sleep_ms(50);
	}
	for (i = 0; i < 2; i++) {
		set_once(&r[i].stop, 1);
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, r[i].wrong);
	}
	EXPECT_LT(0, r[0].done + r[1].done);
}

/*
 * Behind QEMU's ports the link of some devices does not come up after a reset of
 * the bus, as the core sees it: the device is out of reach then.
 */
TEST(failed_reset)
{
	const char *bdf = getenv("UIOMMU_NVME");
	struct device dev;
	__u32 val = 0;
	int ret;

	if (!bdf)
		SKIP(return, "no NVMe device");
	ASSERT_EQ(0, device_open(&dev, bdf));
	ASSERT_EQ(0, device_attach(&dev));
	ASSERT_EQ(0, device_map_bar(&dev, 0));
	ret = device_reset_set(dev.fd, &dev.fd, 1);
	if (!ret || ret == -EOPNOTSUPP) {
		device_close(&dev);
		log_close(&dev.log);
		SKIP(return, "it does not fail");
	}
	EXPECT_EQ(-EIO, ret);
	EXPECT_EQ(UINT32_MAX, reg_read(&dev, 0));
	EXPECT_EQ(4, space_read(dev.fd, 0, 0, &val, 4));
	EXPECT_EQ(UINT32_MAX, val);
	EXPECT_EQ(-EBUSY, space_read(dev.fd, VFIO_PCI_CONFIG_RESOURCE, 0, &val,
				     4));
	EXPECT_EQ(-EBUSY, domain_unset(dev.fd));
	EXPECT_EQ(0, device_reset(dev.fd));
	EXPECT_NE(UINT32_MAX, reg_read(&dev, 0));
	EXPECT_EQ(0, domain_unset(dev.fd));
	device_close(&dev);
	log_read(&dev.log);
	EXPECT_EQ(0, dev.log.splats + dev.log.faults);
	log_close(&dev.log);
}

TEST_HARNESS_MAIN

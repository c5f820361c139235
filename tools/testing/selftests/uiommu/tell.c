// SPDX-License-Identifier: GPL-2.0-only
/*
 * What users of a device are told, and what others can see of it: events of
 * devices that are reset, fail, sleep or go, power, fdinfo, tracepoints. Needs root.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "util.h"

/* Of a network card, which can report errors and sleep; else of edu */
FIXTURE(tell)
{
	struct device dev;
	const char *bdf;
	int fd;
};

FIXTURE_VARIANT(tell)
{
	const char *name;
};

FIXTURE_VARIANT_ADD(tell, e1000e) { .name = "UIOMMU_E1000E" };
FIXTURE_VARIANT_ADD(tell, nvme) { .name = "UIOMMU_NVME" };
FIXTURE_VARIANT_ADD(tell, virtio) { .name = "UIOMMU_VIRTIO" };
FIXTURE_VARIANT_ADD(tell, edu) { .name = "UIOMMU_EDU" };

FIXTURE_SETUP(tell)
{
	self->dev.fd = -1;
	self->dev.space = -1;
	if (geteuid())
		SKIP(return, "needs root");
	self->bdf = getenv(variant->name);
	if (!self->bdf)
		SKIP(return, "no such device");
	if (!pci_driver_is(self->bdf, "vfio"))
		ASSERT_EQ(0, pci_bind(self->bdf));
	ASSERT_EQ(0, device_open(&self->dev, self->bdf));
	self->fd = event_fd(self->dev.fd, 0, false);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(tell)
{
	close(self->fd);
	device_close(&self->dev);
	log_read(&self->dev.log);
	EXPECT_EQ(0, self->dev.log.splats + self->dev.log.faults) {
		TH_LOG("%s", self->dev.log.first);
	}
	log_close(&self->dev.log);
	if (self->bdf && !pci_driver_is(self->bdf, "vfio"))
		EXPECT_EQ(0, pci_bind(self->bdf));
}

static bool is_event(const struct uiommu_event *event, unsigned int type,
		     unsigned int flags, __u64 sequence)
{
	return event->type == type && event->flags == flags &&
	       event->sequence == sequence && !event->iova && !event->length;
}

TEST_F_TIMEOUT(tell, reset_by_others, TEST_SECONDS)
{
	struct uiommu_event events[4];
	int second = node_open(self->bdf, O_RDWR), other;

	ASSERT_LE(0, second);
	other = event_fd(second, 0, false);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, device_attach(&self->dev));
	EXPECT_EQ(0, event_poll(self->fd));

	/* By the administrator: nobody has asked for it. */
	ASSERT_EQ(0, pci_attr_write(self->bdf, "reset", "1"));
	EXPECT_EQ(POLLIN, event_poll(self->fd));
	EXPECT_EQ(1, event_read(self->fd, events, 4));
	EXPECT_TRUE(is_event(&events[0], UIOMMU_EVENT_RESET,
			     UIOMMU_EVENT_WAS_RESET, 1));
	EXPECT_EQ(1, event_read(other, events, 4));
	EXPECT_TRUE(is_event(&events[0], UIOMMU_EVENT_RESET,
			     UIOMMU_EVENT_WAS_RESET, 1));

	/* By one of two users: the other one is told. */
	ASSERT_EQ(0, device_reset(self->dev.fd));
	EXPECT_EQ(-EAGAIN, event_read(self->fd, events, 4));
	EXPECT_EQ(1, event_read(other, events, 4));
	EXPECT_TRUE(is_event(&events[0], UIOMMU_EVENT_RESET,
			     UIOMMU_EVENT_WAS_RESET, 2));

	/* One that is refused is none. */
	ASSERT_EQ(0, pci_attr_write(self->bdf, "reset_method", "\n"));
	EXPECT_EQ(-EOPNOTSUPP, device_reset(self->dev.fd));
	ASSERT_EQ(0, pci_attr_write(self->bdf, "reset_method", "default"));
	EXPECT_EQ(0, event_poll(other));
	/* and leaves it in reach */
	EXPECT_NE(UINT32_MAX, config_read(self->dev.fd, 0, 4));
	close(other);
	close(second);
}

TEST_F_TIMEOUT(tell, removal, TEST_SECONDS)
{
	struct uiommu_event events[4];
	void *mem = pages_alloc(1);
	struct pollfd p = { .events = POLLIN };
	int status, ms;
	pid_t child;

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, dma_map(self->dev.fd, mem, IOVA_A, page_size(), 0));

	/* Somebody sleeps in poll(), and wakes. */
	child = fork();
	if (!child) {
		p.fd = self->fd;
		_exit(poll(&p, 1, 20000) == 1 ? 0 : 1);
	}
	sleep_ms(100);
	ASSERT_EQ(0, pci_unbind(self->bdf));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(POLLIN | POLLHUP, event_poll(self->fd));
	EXPECT_EQ(1, event_read(self->fd, events, 4));
	EXPECT_TRUE(is_event(&events[0], UIOMMU_EVENT_REMOVED, 0, 1));
	/* Then the end */
	EXPECT_EQ(0, event_read(self->fd, events, 4));
	EXPECT_EQ(POLLHUP, event_poll(self->fd));

	/* Its mappings are the process's yet, and it is told when they go. */
	ASSERT_EQ(0, munmap(mem, page_size()));
	for (ms = 0; ms < 20000 && !(event_poll(self->fd) & POLLIN); ms += 10)
		sleep_ms(10);
	EXPECT_EQ(1, event_read(self->fd, events, 4));
	EXPECT_EQ(UIOMMU_EVENT_MAPPING_LOST, events[0].type);
	EXPECT_EQ(2, events[0].sequence);
	EXPECT_EQ(0, event_read(self->fd, events, 4));
}

/* Who was told before, and who opens while it goes */
TEST_F_TIMEOUT(tell, removal_meets_open, TEST_SECONDS)
{
	unsigned int seen = 0, i;
	int ready[2], status;
	pid_t child;
	char c;

	device_close(&self->dev);
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, pipe(ready));
		child = fork();
		if (!child) {
			struct uiommu_device_info info;
			int num = 0, fd, ev;

			/* Until it is gone */
			for (;;) {
				fd = node_open(self->bdf, O_RDWR);
				if (fd == -ENODEV || fd == -ENOENT ||
				    fd == -ENXIO)
					_exit(num ? 0 : 3);
				if (fd < 0)
					continue;
				ev = event_fd(fd, 0, false);
				if (ev < 0)
					_exit(1);
				if (!num++ && write(ready[1], "", 1) != 1)
					_exit(2);
				if (device_info(fd, &info) == -ENODEV &&
				    !(event_poll(ev) & POLLHUP))
					_exit(4);
				close(ev);
				close(fd);
			}
		}
		close(ready[1]);
		ASSERT_EQ(1, read(ready[0], &c, 1));
		close(ready[0]);
		sleep_ms(7 * i);
		ASSERT_EQ(0, pci_unbind(self->bdf));
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_EQ(0, status);
		seen++;
		ASSERT_EQ(0, pci_bind(self->bdf));
	}
	EXPECT_EQ(5, seen);
	log_close(&self->dev.log);
	ASSERT_EQ(0, device_open(&self->dev, self->bdf));
}

/*
 * Bus errors: the machine makes them, at the device or at the port above it.
 */
static int inject(const char *bdf, const char *at, const char *error)
{
	int slot = slot_of(bdf);

	if (!getenv("UIOMMU_MONITOR") || slot < 0)
		return -ENOENT;
	return monitor("pcie_aer_inject_error %s%d %s", at, slot, error);
}

/* The device itself reports what hardware has corrected. */
TEST_F_TIMEOUT(tell, corrected_errors, TEST_SECONDS)
{
	struct uiommu_event event;
	unsigned int command, i;
	char text[4096];

	if (pci_attr_read(self->bdf, "aer_dev_correctable", text,
			  sizeof(text)) < 0 ||
	    inject(self->bdf, "dev", "BAD_TLP"))
		SKIP(return, "the device reports no errors");
	if (!event_wait(self->fd))
		SKIP(return, "the device reports no errors");
	ASSERT_EQ(0, device_attach(&self->dev));
	command = config_read(self->dev.fd, PCI_COMMAND, 2);
	for (i = 2; i < 5; i++) {
		ASSERT_EQ(0, inject(self->bdf, "dev", "BAD_TLP"));
		while (i == 2 && event_read(self->fd, &event, 1) == 1)
			EXPECT_EQ(UIOMMU_EVENT_CORRECTED, event.type);
		if (i == 2)
			continue;
		ASSERT_EQ(0, event_wait_for(self->fd, UIOMMU_EVENT_CORRECTED,
					    &event));
		EXPECT_EQ(i, event.length);
		EXPECT_EQ(i, event.sequence);
	}
	/* Nothing else happens. */
	EXPECT_EQ(command, config_read(self->dev.fd, PCI_COMMAND, 2));
}

TEST_F_TIMEOUT(tell, errors, TEST_SECONDS)
{
	struct uiommu_event event;
	unsigned int command;
	int ret;

	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, config_command(self->dev.fd, 0,
				    PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY));
	if (bar_len(self->dev.fd, 0))
		ASSERT_EQ(0, device_map_bar(&self->dev, 0));
	command = config_read(self->dev.fd, PCI_COMMAND, 2);
	EXPECT_NE(0, command & PCI_COMMAND_MASTER);

	/* Not fatal: it stops, and goes on as it was. */
	ret = inject(self->bdf, "rp", "COMP_TIME");
	if (ret == -ENOENT)
		SKIP(return, "this machine makes no errors");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, event_wait_for(self->fd, UIOMMU_EVENT_ERROR, &event));
	EXPECT_EQ(0, event.flags);
	ASSERT_EQ(0, event_wait_for(self->fd, UIOMMU_EVENT_RECOVERED, &event));
	EXPECT_EQ(0, event.flags);
	EXPECT_EQ(2, event.sequence);
	EXPECT_EQ(command, config_read(self->dev.fd, PCI_COMMAND, 2));

	/* Fatal: it is reset, and no bus master. */
	ASSERT_EQ(0, inject(self->bdf, "rp", "MALF_TLP"));
	ASSERT_EQ(0, event_wait_for(self->fd, UIOMMU_EVENT_ERROR, &event));
	EXPECT_EQ(UIOMMU_EVENT_FATAL, event.flags);
	/* A touch meanwhile reaches nothing. */
	if (self->dev.bar)
		reg_read(&self->dev, 0);
	ASSERT_EQ(0, event_wait_for(self->fd, UIOMMU_EVENT_RECOVERED, &event));
	EXPECT_EQ(UIOMMU_EVENT_WAS_RESET, event.flags);
	EXPECT_EQ(0, config_read(self->dev.fd, PCI_COMMAND, 2) &
		     PCI_COMMAND_MASTER);
	ASSERT_EQ(0, config_command(self->dev.fd, 0, PCI_COMMAND_MASTER));
	EXPECT_EQ(0, device_reset(self->dev.fd));
	EXPECT_EQ(0, event_poll(self->fd));
}

/* While nobody has it open, while somebody opens it, and while it goes */
TEST_F_TIMEOUT(tell, errors_without_users, TEST_SECONDS)
{
	int i, fd, ret;

	close(self->fd);
	device_close(&self->dev);
	for (i = 0; i < 4; i++) {
		ret = inject(self->bdf, "rp", i % 2 ? "MALF_TLP" : "COMP_TIME");
		if (ret == -ENOENT)
			SKIP(return, "this machine makes no errors");
		ASSERT_EQ(0, ret);
		do {
			fd = node_open(self->bdf, O_RDWR);
		} while (fd == -EBUSY);
		EXPECT_LE(0, fd);
		if (i == 3) {
			ASSERT_EQ(0, inject(self->bdf, "rp", "MALF_TLP"));
			ASSERT_EQ(0, pci_unbind(self->bdf));
			ASSERT_EQ(0, pci_bind(self->bdf));
		}
		close(fd);
	}
	log_close(&self->dev.log);
	do {
		fd = node_open(self->bdf, O_RDWR);
	} while (fd == -EBUSY);
	EXPECT_LE(0, fd);
	close(fd);
	ASSERT_EQ(0, device_open(&self->dev, self->bdf));
	self->fd = event_fd(self->dev.fd, 0, false);
	EXPECT_EQ(0, device_attach(&self->dev));
	EXPECT_EQ(0, device_reset(self->dev.fd));
}

/*
 * The core gives up all that is below a port when something there has no driver
 * that knows of errors: to its users the device is gone, until it is bound anew.
 */
FIXTURE(slot)
{
	int unused;
};

FIXTURE_SETUP(slot)
{
}

FIXTURE_TEARDOWN(slot)
{
}

TEST_F_TIMEOUT(slot, permanent_failure, TEST_SECONDS)
{
	const char *bdf = getenv("UIOMMU_PAIR1");
	const char *sibling = getenv("UIOMMU_PAIR2");
	struct uiommu_device_info info;
	struct uiommu_event event;
	struct device dev;
	int fd, ret, both[2];

	if (geteuid() || !bdf || !sibling)
		SKIP(return, "needs root and two functions in a slot");
	ASSERT_EQ(0, device_open(&dev, bdf));
	both[0] = dev.fd;
	both[1] = node_open(sibling, O_RDWR);
	ASSERT_EQ(0, device_reset_set(dev.fd, both, 2));
	close(both[1]);
	ASSERT_EQ(0, device_attach(&dev));
	fd = event_fd(dev.fd, 0, false);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, pci_unbind(sibling));
	ret = inject(bdf, "rp", "COMP_TIME");
	if (!ret) {
		EXPECT_EQ(0, event_wait_for(fd, UIOMMU_EVENT_ERROR, &event));
		EXPECT_EQ(0, event_wait_for(fd, UIOMMU_EVENT_REMOVED, &event));
		EXPECT_EQ(0, event_read(fd, &event, 1));
		EXPECT_EQ(POLLHUP, event_poll(fd));
		EXPECT_EQ(-ENODEV, device_info(dev.fd, &info));
		EXPECT_EQ(-ENODEV, device_reset(dev.fd));
		EXPECT_EQ(0, pci_config_word(bdf, PCI_COMMAND) &
			     PCI_COMMAND_MASTER);
		close(fd);
		device_close(&dev);
		EXPECT_EQ(-ENODEV, node_open(bdf, O_RDWR));
		ASSERT_EQ(0, pci_unbind(bdf));
		ASSERT_EQ(0, pci_bind(bdf));
	}
	EXPECT_EQ(0, pci_bind(sibling));
	if (!ret) {
		log_read(&dev.log);
		EXPECT_EQ(0, dev.log.splats + dev.log.faults);
		log_close(&dev.log);
		ASSERT_EQ(0, device_open(&dev, bdf));
		both[0] = dev.fd;
		both[1] = node_open(sibling, O_RDWR);
		EXPECT_EQ(0, device_reset_set(dev.fd, both, 2));
		EXPECT_EQ(0, device_attach(&dev));
		close(both[1]);
	}
	device_close(&dev);
	log_read(&dev.log);
	EXPECT_EQ(0, dev.log.splats + dev.log.faults);
	log_close(&dev.log);
	if (ret == -ENOENT)
		SKIP(return, "this machine makes no errors");
	EXPECT_EQ(0, ret);
}

/*
 * Sleep of the machine, as far as can be tried without: "platform" does all but
 * that.
 */
TEST_F_TIMEOUT(tell, sleep, TEST_SECONDS)
{
	static const char test[] = "/sys/power/pm_test";
	struct uiommu_event events[4];
	__u32 command;
	glob_t found;

	/* virtio-iommu does, and CPUs then wait for it in vain. */
	if (!glob("/sys/bus/virtio/drivers/virtio_iommu/virtio*", 0, NULL, &found)) {
		globfree(&found);
		SKIP(return, "the IOMMU falls asleep before its devices");
	}
	if (file_write(test, "platform"))
		SKIP(return, "no CONFIG_PM_DEBUG");
	file_write("/sys/module/suspend/parameters/pm_test_delay", "1");
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, config_command(self->dev.fd, 0, PCI_COMMAND_MASTER |
						     PCI_COMMAND_MEMORY));
	command = config_read(self->dev.fd, PCI_COMMAND, 2);
	EXPECT_EQ(0, file_write("/sys/power/state", "mem"));
	EXPECT_EQ(0, file_write(test, "none"));
	EXPECT_EQ(2, event_read(self->fd, events, 4));
	EXPECT_TRUE(is_event(&events[0], UIOMMU_EVENT_SUSPEND, 0, 1));
	EXPECT_TRUE(is_event(&events[1], UIOMMU_EVENT_RESUME,
			     UIOMMU_EVENT_WAS_RESET, 2));
	EXPECT_EQ(command, config_read(self->dev.fd, PCI_COMMAND, 2));
	EXPECT_EQ(0, device_reset(self->dev.fd));
}

/* Idle devices rest. */
TEST_F_TIMEOUT(tell, power, TEST_SECONDS)
{
	char state[32] = "", status[32] = "";
	const char *rests = "D0";
	__u64 end;
	int i;

	if (config_cap(self->dev.fd, PCI_CAP_ID_PM))
		rests = "D3hot";
	for (i = 0; i < 3; i++) {
		ASSERT_LT(0, pci_attr_read(self->bdf, "power_state", state,
					   sizeof(state)));
		EXPECT_STREQ("D0", state);
		ASSERT_LT(0, pci_attr_read(self->bdf, "power/runtime_status",
					   status, sizeof(status)));
		EXPECT_STREQ("active", status);

		close(self->fd);
		device_close(&self->dev);
		end = now_ms() + 5000;
		do {
			sleep_ms(20);
			pci_attr_read(self->bdf, "power/runtime_status",
				      status, sizeof(status));
		} while (strcmp(status, "suspended") && now_ms() < end);
		EXPECT_STREQ("suspended", status);
		pci_attr_read(self->bdf, "power_state", state, sizeof(state));
		EXPECT_STREQ(rests, state);

		/* It can be looked at, reset and bound anew meanwhile. */
		EXPECT_NE(0xffff, pci_config_word(self->bdf, PCI_COMMAND));
		if (i == 1)
			EXPECT_EQ(0, pci_attr_write(self->bdf, "reset", "1"));
		if (i == 2) {
			EXPECT_EQ(0, pci_unbind(self->bdf));
			EXPECT_EQ(0, pci_bind(self->bdf));
		}
		log_close(&self->dev.log);
		ASSERT_EQ(0, device_open(&self->dev, self->bdf));
		self->fd = event_fd(self->dev.fd, 0, false);
		ASSERT_EQ(0, device_attach(&self->dev));
		EXPECT_EQ(0, config_command(self->dev.fd, 0,
					    PCI_COMMAND_MEMORY));
	}
}

/*
 * What others can see
 */

/* Is there a line "NAME: VALUE" in what /proc tells of a file? */
static bool info_is(int fd, const char *name, const char *value)
{
	char path[64], text[4096], line[128];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (file_read(path, text, sizeof(text) - 1) <= 0)
		return false;
	strcat(text, "\n");
	snprintf(line, sizeof(line), "\n%s:\t%s\n", name, value);
	return strstr(text, line);
}

TEST_F_TIMEOUT(tell, fdinfo, TEST_SECONDS)
{
	size_t len = 3 * page_size();
	char kb[32];
	void *mem = pages_alloc(3);

	ASSERT_NE(NULL, mem);
	EXPECT_TRUE(info_is(self->dev.fd, "device", self->bdf));
	EXPECT_TRUE(info_is(self->dev.fd, "gate", " not-attached"));
	EXPECT_TRUE(info_is(self->dev.fd, "vectors", "none 0"));
	EXPECT_TRUE(info_is(self->dev.fd, "opens", "1"));
	EXPECT_TRUE(info_is(self->dev.space, "mappings", "0"));
	EXPECT_TRUE(info_is(self->dev.space, "space-groups", "0"));

	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, config_command(self->dev.fd, 0, PCI_COMMAND_MEMORY));
	ASSERT_EQ(0, dma_map(self->dev.fd, mem, IOVA_A, len, 0));
	ASSERT_EQ(0, dma_map(self->dev.space, mem, IOVA_B, page_size(), 0));
	snprintf(kb, sizeof(kb), "%zu kB", (len + page_size()) / 1024);
	EXPECT_TRUE(info_is(self->dev.fd, "gate", " open"));
	EXPECT_TRUE(info_is(self->dev.fd, "mappings", "1"));
	EXPECT_TRUE(info_is(self->dev.fd, "space-mappings", "2"));
	EXPECT_TRUE(info_is(self->dev.space, "mappings", "1"));
	EXPECT_TRUE(info_is(self->dev.space, "space-pinned", kb));
	EXPECT_TRUE(info_is(self->dev.space, "space-charged", kb));
	EXPECT_TRUE(info_is(self->dev.space, "space-groups", "1"));
	EXPECT_TRUE(info_is(self->dev.space, "space-domains", "1"));

	ASSERT_EQ(0, pci_unbind(self->bdf));
	EXPECT_TRUE(info_is(self->dev.fd, "device", self->bdf));
	EXPECT_TRUE(info_is(self->dev.fd, "gate", " gone not-attached"));
}

static const char *mount_tracefs(void)
{
	static const char path[] = "/sys/kernel/tracing";

	mkdir(path, 0700);
	if (access("/sys/kernel/tracing/events", F_OK))
		mount("tracefs", path, "tracefs", 0, NULL);
	return access("/sys/kernel/tracing/events", F_OK) ? NULL : path;
}

TEST_F_TIMEOUT(tell, tracepoints, TEST_SECONDS)
{
	static const char *const wanted[] = {
		"uiommu_attach: ", "uiommu_map: iova=0x400000 ",
		"uiommu_unmap: iova=0x400000 ", "uiommu_lost: iova=0x800000 ",
		"uiommu_detach: ", "uiommu_pci_open: ", "uiommu_pci_gate: ",
		"uiommu_pci_reset: ", "uiommu_pci_tell: ",
		"uiommu_pci_config_denied: ", "uiommu_pci_close: ",
	};
	size_t len = 1 << 20, i;
	struct uiommu_info info = {};
	char *text = malloc(len);
	void *mem = pages_alloc(1);
	ssize_t n;

	ASSERT_NE(NULL, text);
	if (!mount_tracefs()) {
		free(text);
		SKIP(return, "the kernel does not trace");
	}
	ASSERT_EQ(0, file_write("/sys/kernel/tracing/trace", "\n"));
	ASSERT_EQ(0, file_write("/sys/kernel/tracing/events/uiommu/enable",
				"1"));
	ASSERT_EQ(0, file_write("/sys/kernel/tracing/events/uiommu_pci/enable",
				"1"));
	device_close(&self->dev);
	log_close(&self->dev.log);
	ASSERT_EQ(0, device_open(&self->dev, self->bdf));
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, dma_map(self->dev.fd, mem, IOVA_A, page_size(), 0));
	ASSERT_EQ(0, dma_unmap(self->dev.fd, IOVA_A, page_size()));
	ASSERT_EQ(0, dma_map(self->dev.fd, mem, IOVA_B, page_size(), 0));
	ASSERT_EQ(0, munmap(mem, page_size()));
	ASSERT_EQ(0, space_info(self->dev.fd, &info));
	/* Nobody gives a device another name. */
	EXPECT_EQ(0, config_write(self->dev.fd, PCI_VENDOR_ID, 2, 0xffff));
	ASSERT_EQ(0, pci_attr_write(self->bdf, "reset", "1"));
	ASSERT_EQ(0, domain_unset(self->dev.fd));
	device_close(&self->dev);
	file_write("/sys/kernel/tracing/events/uiommu/enable", "0");
	file_write("/sys/kernel/tracing/events/uiommu_pci/enable", "0");

	n = file_read("/sys/kernel/tracing/trace", text, len);
	ASSERT_LT(0, n);
	for (i = 0; i < ARRAY_SIZE(wanted); i++) {
		EXPECT_NE(NULL, strstr(text, wanted[i])) {
			TH_LOG("no \"%s\"", wanted[i]);
		}
	}
	free(text);
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that come and go: bind and unbind, removal, resets by others, DMA in
 * flight, suspend. Needs root.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "util.h"

/* Longer than anything here may take, much shorter than for ever */
#define SOON_MS		60000
#define COMES_MS	3000

/* edu takes 100 ms for a transfer: long enough to do something meanwhile. */
#define EDU_TRANSFER_MS	100

#define NVME_CC		0x14

FIXTURE(edu)
{
	struct device dev;
	struct engine engine;
	const char *bdf;
	unsigned char *mem;
};

FIXTURE_SETUP(edu)
{
	self->dev.fd = -1;
	self->dev.space = -1;
	if (geteuid())
		SKIP(return, "needs root");
	self->bdf = getenv("UIOMMU_EDU");
	if (!self->bdf)
		SKIP(return, "no edu device");
	if (!pci_driver_is(self->bdf, "vfio"))
		ASSERT_EQ(0, pci_bind(self->bdf));
	ASSERT_EQ(0, device_open(&self->dev, self->bdf));
	self->mem = pages_alloc(4);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(edu)
{
	device_close(&self->dev);
	log_read(&self->dev.log);
	EXPECT_EQ(0, self->dev.log.splats + self->dev.log.faults) {
		TH_LOG("%s", self->dev.log.first);
	}
	log_close(&self->dev.log);
	/* The next test wants it bound. */
	if (self->bdf && !pci_driver_is(self->bdf, "vfio"))
		EXPECT_EQ(0, pci_bind(self->bdf));
}

/* Does edu work, from its registers to DMA? The page is mapped at IOVA_A. */
static bool edu_works(struct engine *engine, void *mem)
{
	engine->loaded = false;
	return reg_read(engine->dev, EDU_ID) == EDU_ID_VALUE &&
	       engine_reaches(engine, IOVA_A, mem);
}

/*
 * Where things are in sysfs: the path of 2010, and what udev is told
 */
TEST_F_TIMEOUT(edu, sysfs_layout, TEST_SECONDS)
{
	char path[PATH_MAX], text[4096], name[64], real[PATH_MAX], *entry;
	struct stat node;
	unsigned int major, minor;
	int num;

	ASSERT_EQ(0, node_name(self->bdf, name, sizeof(name)));
	entry = strrchr(name, '/') + 1;
	ASSERT_EQ(0, stat(name, &node));
	EXPECT_TRUE(S_ISCHR(node.st_mode));

	ASSERT_EQ(0, node_attr(self->bdf, "dev", path, sizeof(path)));
	ASSERT_LT(0, file_read(path, text, sizeof(text)));
	num = sscanf(text, "%u:%u", &major, &minor);
	ASSERT_EQ(2, num);
	EXPECT_EQ(major, major(node.st_rdev));
	EXPECT_EQ(minor, minor(node.st_rdev));

	ASSERT_EQ(0, node_attr(self->bdf, "uevent", path, sizeof(path)));
	ASSERT_LT(0, file_read(path, text, sizeof(text)));
	snprintf(path, sizeof(path), "DEVNAME=%s", entry);
	EXPECT_NE(NULL, strstr(text, path));
	snprintf(path, sizeof(path), "PCI_SLOT_NAME=%s", self->bdf);
	EXPECT_NE(NULL, strstr(text, path));

	/* Where drivers have looked since 2010 */
	ASSERT_LT(0, pci_attr_read(self->bdf, "vfio/node", text, sizeof(text)));
	EXPECT_STREQ(entry, strtok(text, "\n"));

	/* The class has it, too, and leads back to the PCI device. */
	snprintf(path, sizeof(path), "/sys/class/uiommu/%s/device", entry);
	ASSERT_NE(NULL, realpath(path, real));
	EXPECT_STREQ(self->bdf, strrchr(real, '/') + 1);

	ASSERT_EQ(0, node_attr(self->bdf, "locked_pages", path, sizeof(path)));
	ASSERT_EQ(0, stat(path, &node));
	EXPECT_EQ(0444, node.st_mode & 0777);
	ASSERT_EQ(0, node_attr(self->bdf, "config_map", path, sizeof(path)));
	ASSERT_EQ(0, stat(path, &node));
	EXPECT_EQ(0444, node.st_mode & 0777);

	/* Address spaces are for everybody. */
	ASSERT_EQ(0, stat("/dev/uiommu", &node));
	EXPECT_EQ(0666, node.st_mode & 0777);
}

TEST_F_TIMEOUT(edu, open_and_close, TEST_SECONDS)
{
	int i, fd;

	device_close(&self->dev);
	for (i = 0; i < 5; i++) {
		fd = node_open(self->bdf, O_RDWR);
		ASSERT_LE(0, fd);
		close(fd);
	}
	for (i = 0; i < 3; i++) {
		log_close(&self->dev.log);
		ASSERT_EQ(0, device_open(&self->dev, self->bdf));
		ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
		ASSERT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A,
				     page_size(), VFIO_FLAG_WRITE));
		EXPECT_TRUE(edu_works(&self->engine, self->mem));
		engine_stop(&self->engine);
		device_close(&self->dev);
	}
}

TEST_F_TIMEOUT(edu, opened_by_two, TEST_SECONDS)
{
	int second = node_open(self->bdf, O_RDWR);
	__u32 val = 0;

	ASSERT_LE(0, second);
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	ASSERT_EQ(0, dma_map(second, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_EQ(4, space_read(second, 0, EDU_ID, &val, 4));
	EXPECT_EQ(EDU_ID_VALUE, val);
	EXPECT_TRUE(edu_works(&self->engine, self->mem));
	close(second);
	/* Only the last close resets. */
	EXPECT_EQ(EDU_ID_VALUE, reg_read(&self->dev, EDU_ID));
	EXPECT_NE(0, pci_config_word(self->bdf, PCI_COMMAND) &
		     PCI_COMMAND_MASTER);
}

/* A second process opens while the first one opens, closes, opens. */
TEST_F_TIMEOUT(edu, opened_and_closed_by_many, TEST_SECONDS)
{
	pid_t child[4];
	int status, i, j;

	device_close(&self->dev);
	for (i = 0; i < 4; i++) {
		child[i] = fork();
		if (child[i])
			continue;
		for (j = 0; j < 5; j++) {
			int fd = node_open(self->bdf, O_RDWR);

			if (fd < 0)
				_exit(1);
			if (config_read(fd, 0, 4) != 0x11e81234)
				_exit(2);
			close(fd);
		}
		_exit(0);
	}
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(child[i], waitpid(child[i], &status, 0));
		EXPECT_EQ(0, status);
	}
}

TEST_F_TIMEOUT(edu, killed_with_everything_open, TEST_SECONDS)
{
	int ready[2], status;
	pid_t child;
	char c;

	device_close(&self->dev);
	ASSERT_EQ(0, pipe(ready));
	child = fork();
	if (!child) {
		log_close(&self->dev.log);
		if (device_open(&self->dev, self->bdf) ||
		    device_attach(&self->dev) ||
		    engine_start(&self->engine, &self->dev) ||
		    dma_map(self->dev.fd, self->mem, IOVA_A, page_size(),
			    VFIO_FLAG_WRITE) ||
		    irq_set(self->dev.fd, VFIO_EVENTFD_MSI, eventfd_new()))
			_exit(1);
		engine_begin_write(&self->engine, IOVA_A, ENGINE_BYTES);
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(2);
	}
	ASSERT_EQ(1, read(ready[0], &c, 1));
	kill(child, SIGKILL);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(0, locked_pages(self->bdf));
	EXPECT_EQ(0, pci_config_word(self->bdf, PCI_COMMAND) &
		     PCI_COMMAND_MASTER);
	/* QEMU's edu keeps its transfers across a reset: not into our time. */
	sleep_ms(2 * EDU_TRANSFER_MS);
	log_close(&self->dev.log);
	ASSERT_EQ(0, device_open(&self->dev, self->bdf));
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	ASSERT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_TRUE(edu_works(&self->engine, self->mem));
}

/*
 * Unbind
 */
TEST_F_TIMEOUT(edu, unbind_leaves_nothing_behind, TEST_SECONDS)
{
	char name[64], path[PATH_MAX];
	int i;

	device_close(&self->dev);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, node_name(self->bdf, name, sizeof(name)));
		EXPECT_EQ(0, access(name, F_OK));
		snprintf(path, sizeof(path), "/sys/class/uiommu/%s",
			 strrchr(name, '/') + 1);
		EXPECT_EQ(0, access(path, F_OK));

		ASSERT_EQ(0, pci_unbind(self->bdf));
		EXPECT_EQ(-1, access(path, F_OK));
		/* devtmpfs removes it in the background. */
		for (int ms = 0; ms < 1000 && !access(name, F_OK); ms += 10)
			sleep_ms(10);
		EXPECT_EQ(-1, access(name, F_OK));
		pci_path(path, sizeof(path), self->bdf, "vfio");
		EXPECT_EQ(-1, access(path, F_OK));

		ASSERT_EQ(0, pci_bind(self->bdf));
	}
}

/* All that a user can have of a device that is gone */
static void expect_gone(struct __test_metadata *_metadata, struct device *dev,
			void *mem)
{
	struct uiommu_device_info device;
	struct uiommu_region_info region;
	struct uiommu_info info = {};
	__u32 val = 0;
	ssize_t ret;

	EXPECT_EQ(UINT32_MAX, reg_read(dev, EDU_ID));
	reg_write(dev, EDU_LIVENESS, 1);
	EXPECT_EQ(UINT32_MAX, reg_read(dev, EDU_DMA_FROM));
	ret = space_read(dev->fd, 0, EDU_ID, &val, 4);
	EXPECT_TRUE((ret == 4 && val == UINT32_MAX) || ret == -ENODEV) {
		TH_LOG("%zd, %x", ret, val);
	}
	ret = space_write(dev->fd, 0, EDU_ID, &val, 4);
	EXPECT_TRUE(ret == 4 || ret == -ENODEV) {
		TH_LOG("%zd", ret);
	}
	EXPECT_EQ(-ENODEV, space_read(dev->fd, VFIO_PCI_CONFIG_RESOURCE, 0,
				      &val, 4));
	EXPECT_EQ(-ENODEV, config_write(dev->fd, PCI_COMMAND, 2, 7));
	EXPECT_EQ(-ENODEV, domain_set(dev->fd, dev->space));
	EXPECT_EQ(-ENODEV, domain_unset(dev->fd));
	EXPECT_EQ(-ENODEV, dma_map(dev->fd, mem, IOVA_C, page_size(), 0));
	EXPECT_EQ(-ENODEV, device_info(dev->fd, &device));
	EXPECT_EQ(-ENODEV, region_info(dev->fd, 0, &region));
	EXPECT_EQ(-ENODEV, bar_len(dev->fd, 0));
	EXPECT_EQ(-ENODEV, device_reset(dev->fd));
	EXPECT_EQ(-ENODEV, irq_eoi(dev->fd));
	EXPECT_EQ(-ENODEV, irq_set(dev->fd, VFIO_EVENTFD_MSI, -1));
	EXPECT_EQ(-ENODEV, space_info(dev->fd, &info));
	EXPECT_EQ(NULL, space_mmap(dev->fd, 0, 0, page_size()));
	EXPECT_EQ(ENODEV, errno);
	/* What is no request at all is none here either. */
	EXPECT_EQ(-ENOTTY, request(dev->fd, _IO(';', 100), NULL));
}

/* Everything is open and in use, and unbind does not wait for any of it. */
TEST_F_TIMEOUT(edu, unbind_in_use, TEST_SECONDS)
{
	struct uiommu_info info = {};
	int efd = eventfd_new();
	__u64 begin;
	char old[64], new[64];
	struct device dev;

	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	ASSERT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	ASSERT_EQ(0, dma_map(self->dev.space, self->mem, IOVA_B, page_size(),
			     VFIO_FLAG_WRITE));
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_MSI, efd));
	EXPECT_TRUE(edu_works(&self->engine, self->mem));
	ASSERT_EQ(0, node_name(self->bdf, old, sizeof(old)));
	ASSERT_EQ(0, engine_begin_write(&self->engine, IOVA_A, ENGINE_BYTES));
	begin = now_ms();
	ASSERT_EQ(0, pci_unbind(self->bdf));
	EXPECT_GT(begin + SOON_MS, now_ms());
	EXPECT_EQ(0, pci_config_word(self->bdf, PCI_COMMAND) &
		     PCI_COMMAND_MASTER);
	expect_gone(_metadata, &self->dev, self->mem);

	/* The space is not the device's. */
	ASSERT_EQ(0, space_info(self->dev.space, &info));
	EXPECT_LE(1, info.out_mappings);
	EXPECT_EQ(0, dma_unmap(self->dev.space, IOVA_B, page_size()));

	/*
	 * Bound again it is a new device with a new user, beside the old fd.
	 * QEMU's edu keeps its transfers across a reset: not into his time.
	 */
	sleep_ms(2 * EDU_TRANSFER_MS);
	ASSERT_EQ(0, pci_bind(self->bdf));
	ASSERT_EQ(0, node_name(self->bdf, new, sizeof(new)));
	EXPECT_STRNE(old, new);
	ASSERT_EQ(0, device_open(&dev, self->bdf));
	ASSERT_EQ(0, device_attach(&dev));
	ASSERT_EQ(0, device_map_bar(&dev, 0));
	EXPECT_EQ(EDU_ID_VALUE, reg_read(&dev, EDU_ID));
	expect_gone(_metadata, &self->dev, self->mem);
	device_close(&self->dev);
	EXPECT_EQ(EDU_ID_VALUE, reg_read(&dev, EDU_ID));
	EXPECT_EQ(0, file_field("/proc/self/status", "VmPin"));
	device_close(&dev);
	log_close(&dev.log);
	munmap(self->engine.mem, self->engine.mem_len);
}

/* Only a mapping is left of the file. */
TEST_F_TIMEOUT(edu, unbind_with_a_mapping_alone, TEST_SECONDS)
{
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, device_map_bar(&self->dev, 0));
	EXPECT_EQ(EDU_ID_VALUE, reg_read(&self->dev, EDU_ID));
	close(self->dev.fd);
	self->dev.fd = -1;
	EXPECT_EQ(EDU_ID_VALUE, reg_read(&self->dev, EDU_ID));
	ASSERT_EQ(0, pci_unbind(self->bdf));
	EXPECT_EQ(UINT32_MAX, reg_read(&self->dev, EDU_ID));
	reg_write(&self->dev, EDU_LIVENESS, 1);
}

/* Not attached, not even that */
TEST_F_TIMEOUT(edu, unbind_when_only_opened, TEST_SECONDS)
{
	__u32 val;

	ASSERT_EQ(0, pci_unbind(self->bdf));
	EXPECT_EQ(-ENODEV, space_read(self->dev.fd, VFIO_PCI_CONFIG_RESOURCE,
				      0, &val, 4));
	EXPECT_EQ(-ENODEV, domain_set(self->dev.fd, self->dev.space));
	ASSERT_EQ(0, pci_bind(self->bdf));
	EXPECT_EQ(-ENODEV, domain_set(self->dev.fd, self->dev.space));
}

struct user {
	struct device *dev;
	void *mem;
	int number;
	int stop;
	unsigned long rounds;
	long wrong;
};

static bool is_fine(struct user *u, long ret)
{
	/* Gone, or about to be */
	if (ret >= 0 || ret == -ENODEV || ret == -EBUSY)
		return true;
	u->wrong = ret;
	return false;
}

static void *use_registers(void *arg)
{
	struct user *u = arg;
	__u32 val;

	while (!get_once(&u->stop)) {
		val = reg_read(u->dev, EDU_ID);
		if (val != EDU_ID_VALUE && val != UINT32_MAX)
			u->wrong = val;
		is_fine(u, space_read(u->dev->fd, 0, EDU_ID, &val, 4));
		is_fine(u, space_read(u->dev->fd, VFIO_PCI_CONFIG_RESOURCE, 0,
				      &val, 4));
		is_fine(u, config_write(u->dev->fd, PCI_INTERRUPT_LINE, 1, 1));
		u->rounds++;
	}
	return NULL;
}

static void *use_memory(void *arg)
{
	struct user *u = arg;
	long ret;

	while (!get_once(&u->stop)) {
		is_fine(u, dma_map(u->dev->fd, u->mem, IOVA_C, page_size(),
				   0));
		ret = dma_unmap(u->dev->space, IOVA_C, page_size());
		if (ret != -ENXIO)
			is_fine(u, ret);
		u->rounds++;
	}
	return NULL;
}

static void *use_interrupts(void *arg)
{
	struct user *u = arg;
	int efd = eventfd_new();

	while (!get_once(&u->stop)) {
		is_fine(u, irq_set(u->dev->fd, VFIO_EVENTFD_MSI, efd));
		is_fine(u, irq_set(u->dev->fd, VFIO_EVENTFD_MSI, -1));
		u->rounds++;
	}
	close(efd);
	return NULL;
}

static void *use_mmap(void *arg)
{
	struct user *u = arg;
	__u32 *bar;

	while (!get_once(&u->stop)) {
		bar = space_mmap(u->dev->fd, 0, 0, page_size());
		if (bar) {
			if (*bar != EDU_ID_VALUE && *bar != UINT32_MAX)
				u->wrong = *bar;
			munmap(bar, page_size());
		} else if (errno != ENODEV) {
			u->wrong = -errno;
		}
		u->rounds++;
	}
	return NULL;
}

#define USERS	4

static int start_users(struct user *u, pthread_t *threads, struct device *dev,
		       void *mem)
{
	static void *(*const functions[USERS])(void *) = {
		use_registers, use_memory, use_interrupts, use_mmap,
	};
	int i;

	for (i = 0; i < USERS; i++) {
		u[i] = (struct user){ .dev = dev, .mem = mem, .number = i };
		if (pthread_create(&threads[i], NULL, functions[i], &u[i]))
			return -EAGAIN;
	}
	sleep_ms(50);
	return 0;
}

static void stop_users(struct __test_metadata *_metadata, struct user *u,
		       pthread_t *threads)
{
	int i;

	for (i = 0; i < USERS; i++) {
		set_once(&u[i].stop, 1);
		pthread_join(threads[i], NULL);
		EXPECT_LT(0, u[i].rounds);
		EXPECT_EQ(0, u[i].wrong) {
			TH_LOG("user %d", i);
		}
	}
}

TEST_F_TIMEOUT(edu, unbind_under_load, TEST_SECONDS)
{
	pthread_t threads[USERS];
	struct user u[USERS];
	__u64 begin;
	int i;

	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, device_attach(&self->dev));
		ASSERT_EQ(0, device_map_bar(&self->dev, 0));
		ASSERT_EQ(0, start_users(u, threads, &self->dev, self->mem));
		begin = now_ms();
		ASSERT_EQ(0, pci_unbind(self->bdf));
		EXPECT_GT(begin + SOON_MS, now_ms());
		sleep_ms(20);
		stop_users(_metadata, u, threads);
		EXPECT_EQ(UINT32_MAX, reg_read(&self->dev, EDU_ID));
		device_close(&self->dev);
		EXPECT_EQ(0, file_field("/proc/self/status", "VmPin"));

		log_read(&self->dev.log);
		EXPECT_EQ(0, self->dev.log.splats + self->dev.log.faults);
		log_close(&self->dev.log);
		ASSERT_EQ(0, pci_bind(self->bdf));
		ASSERT_EQ(0, device_open(&self->dev, self->bdf));
	}
}

/*
 * Removal
 */
static int rescan_bus(const char *bdf)
{
	__u64 end = now_ms() + 5000;
	char path[PATH_MAX];
	int ret;

	ret = file_write("/sys/bus/pci/rescan", "1");
	if (ret)
		return ret;
	pci_path(path, sizeof(path), bdf, "driver_override");
	while (access(path, F_OK)) {
		if (now_ms() > end)
			return -ENODEV;
		sleep_ms(10);
	}
	return pci_bind(bdf);
}

TEST_F_TIMEOUT(edu, removed_in_use, TEST_SECONDS)
{
	pthread_t threads[USERS];
	struct user u[USERS];
	struct device dev;
	__u64 begin;

	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	ASSERT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_TRUE(edu_works(&self->engine, self->mem));
	ASSERT_EQ(0, start_users(u, threads, &self->dev, self->mem));
	ASSERT_EQ(0, engine_begin_write(&self->engine, IOVA_A, ENGINE_BYTES));
	begin = now_ms();
	ASSERT_EQ(0, pci_attr_write(self->bdf, "remove", "1"));
	EXPECT_GT(begin + SOON_MS, now_ms());
	sleep_ms(2 * EDU_TRANSFER_MS);
	stop_users(_metadata, u, threads);
	expect_gone(_metadata, &self->dev, self->mem);

	ASSERT_EQ(0, rescan_bus(self->bdf));
	ASSERT_EQ(0, device_open(&dev, self->bdf));
	ASSERT_EQ(0, device_attach(&dev));
	ASSERT_EQ(0, device_map_bar(&dev, 0));
	EXPECT_EQ(EDU_ID_VALUE, reg_read(&dev, EDU_ID));
	expect_gone(_metadata, &self->dev, self->mem);
	device_close(&self->dev);
	EXPECT_EQ(EDU_ID_VALUE, reg_read(&dev, EDU_ID));
	device_close(&dev);
	log_close(&dev.log);
	munmap(self->engine.mem, self->engine.mem_len);
}

/* With another device in the space, which goes on */
TEST_F_TIMEOUT(edu, removed_from_a_shared_space, TEST_SECONDS)
{
	struct uiommu_info info = {};
	struct device other;

	if (!getenv("UIOMMU_VF"))
		SKIP(return, "no second device");
	ASSERT_EQ(0, device_open(&other, getenv("UIOMMU_VF")));
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	ASSERT_EQ(0, domain_set(other.fd, self->dev.space));
	ASSERT_EQ(0, dma_map(other.fd, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_TRUE(edu_works(&self->engine, self->mem));
	ASSERT_EQ(0, pci_unbind(self->bdf));
	ASSERT_EQ(0, space_info(other.fd, &info));
	EXPECT_EQ(2, info.out_mappings);
	EXPECT_EQ(0, dma_unmap(other.fd, IOVA_A, page_size()));
	EXPECT_EQ(0, dma_map(other.fd, self->mem, IOVA_B, page_size(), 0));
	EXPECT_EQ(0, dma_unmap(other.fd, IOVA_B, page_size()));
	EXPECT_EQ(0, domain_unset(other.fd));
	EXPECT_EQ(0, domain_set(other.fd, self->dev.space));
	device_close(&other);
	log_close(&other.log);
	device_close(&self->dev);
	munmap(self->engine.mem, self->engine.mem_len);
}

/*
 * Reset
 */

/* By the administrator, behind the user's back: all is as it was. */
TEST_F_TIMEOUT(edu, reset_by_others, TEST_SECONDS)
{
	__u32 command;
	int efd = eventfd_new();
	int i;

	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	ASSERT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_MSI, efd));
	command = config_read(self->dev.fd, PCI_COMMAND, 2);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, pci_attr_write(self->bdf, "reset", "1"));
		EXPECT_EQ(command, config_read(self->dev.fd, PCI_COMMAND, 2));
		EXPECT_TRUE(edu_works(&self->engine, self->mem));
		reg_write(&self->dev, EDU_IRQ_RAISE, 1);
		EXPECT_EQ(1, eventfd_wait(efd, COMES_MS));
		reg_write(&self->dev, EDU_IRQ_ACK, 1);
	}
}

/* Registers are gated while it lasts: no access meets a device in reset. */
TEST_F_TIMEOUT(edu, reset_by_others_under_load, TEST_SECONDS)
{
	pthread_t threads[USERS];
	struct user u[USERS];
	int i;

	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	ASSERT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	ASSERT_EQ(0, start_users(u, threads, &self->dev, self->mem));
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, pci_attr_write(self->bdf, "reset", "1"));
		usleep(10000);
	}
	stop_users(_metadata, u, threads);
	EXPECT_TRUE(edu_works(&self->engine, self->mem));
}

static void *reset_by_user(void *arg)
{
	struct user *u = arg;

	while (!get_once(&u->stop)) {
		is_fine(u, device_reset(u->dev->fd));
		u->rounds++;
	}
	return NULL;
}

/* Both at the same time, with users beside, and unbound in the middle */
TEST_F_TIMEOUT(edu, resets_meet_unbind, TEST_SECONDS)
{
	pthread_t threads[USERS], resetter;
	struct user u[USERS], r = { .dev = &self->dev };
	__u64 begin;
	int i;

	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, device_map_bar(&self->dev, 0));
	ASSERT_EQ(0, start_users(u, threads, &self->dev, self->mem));
	ASSERT_EQ(0, pthread_create(&resetter, NULL, reset_by_user, &r));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, pci_attr_write(self->bdf, "reset", "1"));
	begin = now_ms();
	ASSERT_EQ(0, pci_unbind(self->bdf));
	EXPECT_GT(begin + SOON_MS, now_ms());
	set_once(&r.stop, 1);
	pthread_join(resetter, NULL);
	EXPECT_EQ(0, r.wrong);
	stop_users(_metadata, u, threads);
}

/* The device was reset between two users, and the first starts from scratch. */
TEST(close_resets_the_device)
{
	const char *bdf = getenv("UIOMMU_NVME");
	struct engine engine;
	struct device dev;

	if (!bdf)
		SKIP(return, "no nvme device");
	ASSERT_EQ(0, device_open(&dev, bdf));
	ASSERT_EQ(0, device_attach(&dev));
	ASSERT_EQ(0, engine_start(&engine, &dev));
	EXPECT_EQ(1, reg_read(&dev, NVME_CC) & 1);
	device_close(&dev);
	log_close(&dev.log);
	ASSERT_EQ(0, device_open(&dev, bdf));
	ASSERT_EQ(0, device_attach(&dev));
	ASSERT_EQ(0, device_map_bar(&dev, 0));
	EXPECT_EQ(0, reg_read(&dev, NVME_CC));
	/* And by request */
	engine.mem = NULL;
	ASSERT_EQ(0, engine_start(&engine, &dev));
	EXPECT_EQ(1, reg_read(&dev, NVME_CC) & 1);
	ASSERT_EQ(0, device_reset(dev.fd));
	EXPECT_EQ(0, reg_read(&dev, NVME_CC));
	device_close(&dev);
	log_read(&dev.log);
	EXPECT_EQ(0, dev.log.splats + dev.log.faults);
	log_close(&dev.log);
}

/*
 * DMA in flight. The IOMMU would tell of any that comes too late, so see first
 * that it may speak, and afterwards that it can.
 */
static void expect_no_late_dma(struct __test_metadata *_metadata,
			       struct log *log, void *mem)
{
	EXPECT_EQ(0, log_take_faults(log, 3 * EDU_TRANSFER_MS)) {
		TH_LOG("%s", log->first);
	}
	EXPECT_TRUE(memory_is(mem, 0, page_size()));
}

TEST_F_TIMEOUT(edu, dma_in_flight_at_close, TEST_SECONDS)
{
	sleep_ms(FAULT_INTERVAL_MS);
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	ASSERT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_TRUE(edu_works(&self->engine, self->mem));
	memset(self->mem, 0, page_size());
	ASSERT_EQ(0, engine_begin_write(&self->engine, IOVA_A, ENGINE_BYTES));
	device_close(&self->dev);
	expect_no_late_dma(_metadata, &self->dev.log, self->mem);
	munmap(self->engine.mem, self->engine.mem_len);

	/* The same transfer without a mapping is one that it tells of. */
	log_close(&self->dev.log);
	ASSERT_EQ(0, device_open(&self->dev, self->bdf));
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	EXPECT_TRUE(engine_is_stopped(&self->engine, IOVA_A, self->mem));
	engine_stop(&self->engine);
}

TEST_F_TIMEOUT(edu, dma_in_flight_at_unset, TEST_SECONDS)
{
	sleep_ms(FAULT_INTERVAL_MS);
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	ASSERT_EQ(0, dma_map(self->dev.space, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_TRUE(edu_works(&self->engine, self->mem));
	memset(self->mem, 0, page_size());
	ASSERT_EQ(0, engine_begin_write(&self->engine, IOVA_A, ENGINE_BYTES));
	ASSERT_EQ(0, domain_unset(self->dev.fd));
	expect_no_late_dma(_metadata, &self->dev.log, self->mem);
	engine_stop(&self->engine);
}

TEST_F_TIMEOUT(edu, dma_in_flight_at_unbind, TEST_SECONDS)
{
	sleep_ms(FAULT_INTERVAL_MS);
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	ASSERT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_TRUE(edu_works(&self->engine, self->mem));
	memset(self->mem, 0, page_size());
	ASSERT_EQ(0, engine_begin_write(&self->engine, IOVA_A, ENGINE_BYTES));
	ASSERT_EQ(0, pci_unbind(self->bdf));
	expect_no_late_dma(_metadata, &self->dev.log, self->mem);
	device_close(&self->dev);
	munmap(self->engine.mem, self->engine.mem_len);
}

/*
 * The attack of 2010: attach, map the registers, leave the address space, and
 * let the device do DMA by the mapping that is left.
 */
TEST_F_TIMEOUT(edu, dma_after_unset, TEST_SECONDS)
{
	__u64 from;

	sleep_ms(FAULT_INTERVAL_MS);
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	ASSERT_EQ(0, dma_map(self->dev.space, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_TRUE(edu_works(&self->engine, self->mem));
	memset(self->mem, 0, page_size());
	reg_write64(&self->dev, EDU_DMA_FROM, EDU_BUFFER);
	from = reg_read64(&self->dev, EDU_DMA_FROM);
	EXPECT_EQ(EDU_BUFFER, from);
	ASSERT_EQ(0, domain_unset(self->dev.fd));

	/* Neither the registers nor the bus is open to it any more. */
	reg_write64(&self->dev, EDU_DMA_FROM, EDU_BUFFER + 8);
	reg_write64(&self->dev, EDU_DMA_TO, IOVA_A);
	reg_write64(&self->dev, EDU_DMA_COUNT, ENGINE_BYTES);
	reg_write64(&self->dev, EDU_DMA_COMMAND,
		    EDU_DMA_RUN | EDU_DMA_TO_MEMORY);
	EXPECT_EQ(-EINVAL, config_command(self->dev.fd, 0,
					  PCI_COMMAND_MASTER));
	EXPECT_EQ(0, pci_config_word(self->bdf, PCI_COMMAND) &
		     PCI_COMMAND_MASTER);
	expect_no_late_dma(_metadata, &self->dev.log, self->mem);

	ASSERT_EQ(0, domain_set(self->dev.fd, self->dev.space));
	EXPECT_EQ(EDU_BUFFER, reg_read64(&self->dev, EDU_DMA_FROM));
	EXPECT_EQ(0, reg_read64(&self->dev, EDU_DMA_COMMAND) & EDU_DMA_RUN);
	engine_stop(&self->engine);
}

/* An opened device that is not attached has never been a bus master. */
TEST_F_TIMEOUT(edu, no_master_before_set, TEST_SECONDS)
{
	EXPECT_EQ(0, pci_config_word(self->bdf, PCI_COMMAND) &
		     PCI_COMMAND_MASTER);
	device_close(&self->dev);
	EXPECT_EQ(0, pci_config_word(self->bdf, PCI_COMMAND) &
		     PCI_COMMAND_MASTER);
}

/*
 * The one thing an administrator can allow
 */
TEST_F_TIMEOUT(edu, interrupt_isolation, TEST_SECONDS)
{
	static const char pattern[] =
		"/sys/module/*uiommu*/parameters/allow_unsafe_interrupts";
	struct uiommu_device_info info;
	glob_t found;
	char was[8];
	int want;

	ASSERT_EQ(0, glob(pattern, 0, NULL, &found));
	ASSERT_EQ(1, found.gl_pathc);
	ASSERT_LT(0, file_read(found.gl_pathv[0], was, sizeof(was)));
	ASSERT_EQ(0, device_info(self->dev.fd, &info));
	want = info.out_flags & UIOMMU_DEVICE_ISOLATED_MSI ? 0 : -EPERM;
	ASSERT_EQ(0, file_write(found.gl_pathv[0], "N"));
	EXPECT_EQ(want, domain_set(self->dev.fd, self->dev.space));
	if (!want)
		EXPECT_EQ(0, domain_unset(self->dev.fd));
	ASSERT_EQ(0, file_write(found.gl_pathv[0], "Y"));
	EXPECT_EQ(0, domain_set(self->dev.fd, self->dev.space));
	EXPECT_EQ(0, domain_unset(self->dev.fd));
	EXPECT_EQ(0, file_write(found.gl_pathv[0], was));
	globfree(&found);
}

/*
 * Ways to bind
 */
FIXTURE(bind)
{
	struct log log;
	const char *bdf;
};

FIXTURE_SETUP(bind)
{
	if (geteuid())
		SKIP(return, "needs root");
	self->bdf = getenv("UIOMMU_TESTDEV") ?: getenv("UIOMMU_EDU");
	if (!self->bdf)
		SKIP(return, "neither pci-testdev nor edu");
	if (!pci_driver_is(self->bdf, "vfio"))
		ASSERT_EQ(0, pci_bind(self->bdf));
	ASSERT_EQ(0, log_open(&self->log));
}

FIXTURE_TEARDOWN(bind)
{
	if (!pci_driver_is(self->bdf, "vfio"))
		EXPECT_EQ(0, pci_bind(self->bdf));
	log_read(&self->log);
	EXPECT_EQ(0, self->log.splats + self->log.faults) {
		TH_LOG("%s", self->log.first);
	}
	log_close(&self->log);
}

/* It takes nothing by itself. */
TEST_F_TIMEOUT(bind, only_when_asked_for, TEST_SECONDS)
{
	ASSERT_EQ(0, pci_unbind(self->bdf));
	ASSERT_EQ(0, pci_attr_write(self->bdf, "driver_override", "\n"));
	file_write("/sys/bus/pci/drivers_probe", self->bdf);
	EXPECT_FALSE(pci_driver_is(self->bdf, "vfio"));
	EXPECT_GT(0, pci_driver_write("vfio", "bind", self->bdf));
	EXPECT_FALSE(pci_driver_is(self->bdf, "vfio"));
	ASSERT_EQ(0, pci_attr_write(self->bdf, "driver_override", "vfio"));
	EXPECT_EQ(0, pci_driver_write("vfio", "bind", self->bdf));
	EXPECT_TRUE(pci_driver_is(self->bdf, "vfio"));
}

/* The way of 2010 */
TEST_F_TIMEOUT(bind, by_new_id, TEST_SECONDS)
{
	char vendor[16], device[16], ids[40];
	__u64 end;

	ASSERT_LT(0, pci_attr_read(self->bdf, "vendor", vendor,
				   sizeof(vendor)));
	ASSERT_LT(0, pci_attr_read(self->bdf, "device", device,
				   sizeof(device)));
	snprintf(ids, sizeof(ids), "%s %s", vendor + 2, device + 2);
	ASSERT_EQ(0, pci_unbind(self->bdf));
	ASSERT_EQ(0, pci_attr_write(self->bdf, "driver_override", "\n"));
	ASSERT_EQ(0, pci_driver_write("vfio", "new_id", ids));
	end = now_ms() + 2000;
	while (!pci_driver_is(self->bdf, "vfio") && now_ms() < end)
		sleep_ms(10);
	EXPECT_TRUE(pci_driver_is(self->bdf, "vfio"));
	EXPECT_EQ(0, pci_driver_write("vfio", "remove_id", ids));
	/* It stays, but would not be taken again. */
	EXPECT_TRUE(pci_driver_is(self->bdf, "vfio"));
	ASSERT_EQ(0, pci_unbind(self->bdf));
	file_write("/sys/bus/pci/drivers_probe", self->bdf);
	EXPECT_FALSE(pci_driver_is(self->bdf, "vfio"));
}

/* Try to bind a device that must not be: neither bound nor left behind. */
static void expect_refused(struct __test_metadata *_metadata, const char *bdf)
{
	char path[PATH_MAX];

	ASSERT_EQ(0, pci_attr_write(bdf, "driver_override", "vfio"));
	EXPECT_GT(0, pci_driver_write("vfio", "bind", bdf)) {
		TH_LOG("%s", bdf);
	}
	EXPECT_FALSE(pci_driver_is(bdf, "vfio"));
	pci_path(path, sizeof(path), bdf, "vfio");
	EXPECT_EQ(-1, access(path, F_OK));
	if (pci_driver_is(bdf, "vfio"))
		pci_unbind(bdf);
	EXPECT_EQ(0, pci_attr_write(bdf, "driver_override", "\n"));
}

/* The root port above the device */
TEST_F_TIMEOUT(bind, bridge_is_refused, TEST_SECONDS)
{
	char path[PATH_MAX], real[PATH_MAX], class[16], *port;

	pci_path(path, sizeof(path), self->bdf, "");
	ASSERT_NE(NULL, realpath(path, real));
	*strrchr(real, '/') = 0;
	port = strrchr(real, '/') + 1;
	if (pci_attr_read(port, "class", class, sizeof(class)) < 0 ||
	    strncmp(class, "0x0604", 6))
		SKIP(return, "the device is behind no bridge");
	if (pci_driver_is(port, "pcieport"))
		ASSERT_EQ(0, pci_driver_write("pcieport", "unbind", port));
	expect_refused(_metadata, port);
	EXPECT_EQ(0, file_write("/sys/bus/pci/drivers_probe", port));
}

/* Some device of the machine that nothing drives and nothing can reset */
TEST_F_TIMEOUT(bind, device_without_reset_is_refused, TEST_SECONDS)
{
	char path[PATH_MAX], class[16], *bdf;
	glob_t all;
	size_t i;

	ASSERT_EQ(0, glob("/sys/bus/pci/devices/*", 0, NULL, &all));
	for (i = 0; i < all.gl_pathc; i++) {
		bdf = strrchr(all.gl_pathv[i], '/') + 1;
		pci_path(path, sizeof(path), bdf, "reset_method");
		if (!access(path, F_OK))
			continue;
		pci_path(path, sizeof(path), bdf, "driver");
		if (!access(path, F_OK))
			continue;
		/* Not a bridge, which is refused anyway */
		if (pci_attr_read(bdf, "class", class, sizeof(class)) < 0 ||
		    !strncmp(class, "0x06", 4))
			continue;
		expect_refused(_metadata, bdf);
		break;
	}
	if (i == all.gl_pathc)
		SKIP(globfree(&all); return, "every device can be reset");
	globfree(&all);
}

/* The administrator has taken the ways to reset it away. */
TEST_F_TIMEOUT(bind, device_with_resets_disabled_is_refused, TEST_SECONDS)
{
	const char *bdf = getenv("UIOMMU_VF");
	bool was_open;
	int fd;

	if (!bdf)
		SKIP(return, "needs a device that its slot does not reset");
	/* Before it is bound */
	ASSERT_EQ(0, pci_unbind(bdf));
	ASSERT_EQ(0, pci_attr_write(bdf, "reset_method", "\n"));
	expect_refused(_metadata, bdf);
	EXPECT_EQ(0, pci_attr_write(bdf, "reset_method", "default"));
	ASSERT_EQ(0, pci_bind(bdf));

	/* After it is bound: then it cannot be opened. */
	ASSERT_EQ(0, pci_attr_write(bdf, "reset_method", "\n"));
	fd = node_open(bdf, O_RDWR);
	was_open = fd >= 0;
	EXPECT_FALSE(was_open);
	if (was_open)
		close(fd);
	EXPECT_EQ(0, pci_attr_write(bdf, "reset_method", "default"));
	fd = node_open(bdf, O_RDWR);
	EXPECT_LE(0, fd);

	/* While it is open: closed without a reset, it stays without DMA. */
	EXPECT_EQ(0, pci_attr_write(bdf, "reset_method", "\n"));
	close(fd);
	EXPECT_EQ(0, pci_config_word(bdf, PCI_COMMAND) & PCI_COMMAND_MASTER);
	fd = node_open(bdf, O_RDWR);
	EXPECT_GT(0, fd);
	EXPECT_EQ(0, pci_attr_write(bdf, "reset_method", "default"));
	fd = node_open(bdf, O_RDWR);
	EXPECT_LE(0, fd);
	close(fd);
}

/* A driver can leave virtual functions behind, which others drive. */
TEST_F_TIMEOUT(bind, physical_function_in_use_is_refused, TEST_SECONDS)
{
	static const char stub[] = "pci-pf-stub";
	const char *bdf = getenv("UIOMMU_IGB");
	char num[16];

	if (!bdf || pci_attr_read(bdf, "sriov_totalvfs", num, sizeof(num)) <= 0)
		SKIP(return, "no device with virtual functions");
	if (access("/sys/bus/pci/drivers/pci-pf-stub", F_OK))
		SKIP(return, "no CONFIG_PCI_PF_STUB");
	ASSERT_EQ(0, pci_unbind(bdf));
	ASSERT_EQ(0, pci_attr_write(bdf, "driver_override", stub));
	ASSERT_EQ(0, pci_driver_write(stub, "bind", bdf));
	ASSERT_EQ(0, pci_attr_write(bdf, "sriov_numvfs", "1"));
	ASSERT_EQ(0, pci_driver_write(stub, "unbind", bdf));
	expect_refused(_metadata, bdf);

	ASSERT_EQ(0, pci_attr_write(bdf, "driver_override", stub));
	ASSERT_EQ(0, pci_driver_write(stub, "bind", bdf));
	ASSERT_EQ(0, pci_attr_write(bdf, "sriov_numvfs", "0"));
	ASSERT_EQ(0, pci_driver_write(stub, "unbind", bdf));
	EXPECT_EQ(0, pci_bind(bdf));
}

/* An open fd holds the module; asking does not wait for it. */
TEST_F_TIMEOUT(bind, module_cannot_go_while_in_use, TEST_SECONDS)
{
	int fd;

	if (access("/sys/module/vfio_uiommu_pci/refcnt", F_OK))
		SKIP(return, "the driver is built in");
	fd = node_open(self->bdf, O_RDWR);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-1, syscall(SYS_delete_module, "vfio_uiommu_pci",
			      O_NONBLOCK));
	EXPECT_EQ(EWOULDBLOCK, errno);
	close(fd);
}

/*
 * Suspend with a device in use; the real-time clock wakes the machine. Not every
 * machine comes back, so the way is to be given: UIOMMU_SUSPEND is what goes to
 * /sys/power/state.
 */
TEST_F_TIMEOUT(edu, suspend_and_resume, TEST_SECONDS)
{
	int wake = timerfd_create(CLOCK_BOOTTIME_ALARM, TFD_CLOEXEC);
	struct itimerspec alarm = { .it_value.tv_sec = 4 };
	const char *state = getenv("UIOMMU_SUSPEND");
	int efd = eventfd_new();
	__u32 command;

	if (!state)
		SKIP(return, "UIOMMU_SUSPEND is not set");
	ASSERT_LE(0, wake);
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	ASSERT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	ASSERT_EQ(0, irq_set(self->dev.fd, VFIO_EVENTFD_MSI, efd));
	EXPECT_TRUE(edu_works(&self->engine, self->mem));
	command = config_read(self->dev.fd, PCI_COMMAND, 2);
	ASSERT_EQ(0, timerfd_settime(wake, 0, &alarm, NULL));
	ASSERT_EQ(0, file_write("/sys/power/state", state));
	EXPECT_EQ(command, config_read(self->dev.fd, PCI_COMMAND, 2));
	EXPECT_TRUE(edu_works(&self->engine, self->mem));
	reg_write(&self->dev, EDU_IRQ_RAISE, 1);
	EXPECT_EQ(1, eventfd_wait(efd, COMES_MS));
	reg_write(&self->dev, EDU_IRQ_ACK, 1);
}

/*
 * The slot is switched off under a device in use. Last, as the device may not
 * come back.
 */
TEST_F_TIMEOUT(edu, hot_unplugged_in_use, TEST_SECONDS)
{
	char path[PATH_MAX], address[32];
	pthread_t threads[USERS];
	struct user u[USERS];
	__u64 begin;
	glob_t slots;
	size_t i;

	if (glob("/sys/bus/pci/slots/*/power", 0, NULL, &slots))
		SKIP(return, "no slots");
	for (i = 0; i < slots.gl_pathc; i++) {
		snprintf(path, sizeof(path), "%.*s/address",
			 (int)(strrchr(slots.gl_pathv[i], '/') -
			       slots.gl_pathv[i]), slots.gl_pathv[i]);
		if (file_read(path, address, sizeof(address)) > 0 &&
		    !strncmp(address, self->bdf, strlen(address)))
			break;
	}
	if (i == slots.gl_pathc)
		SKIP(return, "the device is in no slot");
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	ASSERT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_TRUE(edu_works(&self->engine, self->mem));
	ASSERT_EQ(0, start_users(u, threads, &self->dev, self->mem));
	begin = now_ms();
	ASSERT_EQ(0, file_write(slots.gl_pathv[i], "0"));
	EXPECT_GT(begin + SOON_MS, now_ms());
	stop_users(_metadata, u, threads);
	expect_gone(_metadata, &self->dev, self->mem);
	device_close(&self->dev);
	munmap(self->engine.mem, self->engine.mem_len);
	EXPECT_EQ(0, file_field("/proc/self/status", "VmPin"));

	if (file_write(slots.gl_pathv[i], "1") ||
	    file_write("/sys/bus/pci/rescan", "1") || rescan_bus(self->bdf)) {
		TH_LOG("the device did not come back, others go on without");
		self->bdf = NULL;
		return;
	}
	log_close(&self->dev.log);
	ASSERT_EQ(0, device_open(&self->dev, self->bdf));
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, device_map_bar(&self->dev, 0));
	EXPECT_EQ(EDU_ID_VALUE, reg_read(&self->dev, EDU_ID));
}

TEST_HARNESS_MAIN

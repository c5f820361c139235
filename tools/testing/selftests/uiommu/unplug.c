// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that are pulled out, virtual functions that are taken away, processes
 * that do not let go, and files that are closed in every order. Needs root.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "util.h"

/* Longer than anything here may take, much shorter than for ever */
#define SOON_MS		60000
/* The kernel waits 5 seconds before it switches a slot off. */
#define PLUG_MS		20000

static bool is_present(const char *bdf)
{
	char path[PATH_MAX];

	pci_path(path, sizeof(path), bdf, "vendor");
	return !access(path, F_OK);
}

/*
 * Wait until the kernel has seen to it. Events of a slot get lost in some versions
 * of QEMU when the slot was reset shortly before, so push the button once more.
 */
static bool wait_present(const char *bdf, int slot, bool present)
{
	__u64 end = now_ms() + PLUG_MS, push = now_ms() + 9000;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/bus/pci/slots/%d/power", slot);
	while (is_present(bdf) != present) {
		if (now_ms() > end)
			return false;
		if (slot >= 0 && now_ms() > push)
			file_write(path, present ? "1" : "0");
		sleep_ms(20);
	}
	return true;
}

static bool plug_in(const char *bdf, int slot)
{
	int tries;

	/* The kernel and the machine take a moment to forget the old one. */
	sleep_ms(2500);
	for (tries = 0; tries < 3; tries++) {
		monitor("device_add edu,id=dev%d,bus=rp%d", slot, slot);
		if (wait_present(bdf, slot, true))
			return true;
	}
	return false;
}

FIXTURE(plug)
{
	struct device dev;
	struct engine engine;
	const char *bdf;
	char port[PATH_MAX];
	int slot;
	int events;
	unsigned char *mem;
};

FIXTURE_SETUP(plug)
{
	char path[PATH_MAX];

	self->dev.fd = -1;
	self->dev.space = -1;
	if (geteuid())
		SKIP(return, "needs root");
	self->bdf = getenv("UIOMMU_EDU");
	if (!self->bdf || !getenv("UIOMMU_MONITOR"))
		SKIP(return, "no edu device, or none that can be pulled out");
	self->slot = slot_of(self->bdf);
	if (self->slot < 0)
		SKIP(return, "the device is in no slot");
	if (!pci_driver_is(self->bdf, "vfio"))
		ASSERT_EQ(0, pci_bind(self->bdf));
	pci_path(path, sizeof(path), self->bdf, "");
	ASSERT_NE(NULL, realpath(path, self->port));
	*strrchr(self->port, '/') = 0;
	ASSERT_EQ(0, device_open(&self->dev, self->bdf));
	self->events = event_fd(self->dev.fd, 0, false);
	ASSERT_LE(0, self->events);
	self->mem = pages_alloc(4);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	ASSERT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
}

FIXTURE_TEARDOWN(plug)
{
	close(self->events);
	device_close(&self->dev);
	log_read(&self->dev.log);
	EXPECT_EQ(0, self->dev.log.splats) {
		TH_LOG("%s", self->dev.log.first);
	}
	log_close(&self->dev.log);
	EXPECT_EQ(0, file_field("/proc/self/status", "VmPin"));
	if (self->bdf && !pci_driver_is(self->bdf, "vfio"))
		EXPECT_EQ(0, pci_bind(self->bdf));
}

struct user {
	struct device *dev;
	int stop;
	unsigned long rounds;
	long wrong;
};

/* Everything at once, until it is told to stop */
static void *use(void *arg)
{
	struct user *u = arg;
	int efd = eventfd_new();
	__u32 val;
	long ret;

	while (!get_once(&u->stop)) {
		val = reg_read(u->dev, EDU_ID);
		if (val != EDU_ID_VALUE && val != UINT32_MAX)
			u->wrong = val;
		reg_write(u->dev, EDU_LIVENESS, val);
		ret = space_read(u->dev->fd, VFIO_PCI_CONFIG_RESOURCE, 0, &val,
				 4);
		if (ret < 0 && ret != -ENODEV && ret != -EBUSY)
			u->wrong = ret;
		ret = irq_set(u->dev->fd, VFIO_EVENTFD_MSI, efd);
		if (ret < 0 && ret != -ENODEV && ret != -EBUSY)
			u->wrong = ret;
		u->rounds++;
	}
	close(efd);
	return NULL;
}

static void expect_removed(struct __test_metadata *_metadata,
			   struct device *dev, int events)
{
	struct uiommu_event event;
	__u32 val;

	ASSERT_EQ(0, event_wait_for(events, UIOMMU_EVENT_REMOVED, &event));
	EXPECT_EQ(POLLHUP, event_poll(events));
	EXPECT_EQ(UINT32_MAX, reg_read(dev, EDU_ID));
	EXPECT_EQ(-ENODEV, space_read(dev->fd, VFIO_PCI_CONFIG_RESOURCE, 0,
				      &val, 4));
	EXPECT_EQ(-ENODEV, device_reset(dev->fd));
}

/* What is plugged in again works, while the old files are open. */
static void expect_works(struct __test_metadata *_metadata, const char *bdf,
			 void *mem)
{
	struct engine engine = {};
	struct device dev;

	ASSERT_EQ(0, pci_bind(bdf));
	ASSERT_EQ(0, device_open(&dev, bdf));
	ASSERT_EQ(0, engine_attach(&engine, &dev));
	ASSERT_EQ(0, dma_map(dev.fd, mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_TRUE(engine_reaches(&engine, IOVA_A, mem));
	engine_stop(&engine);
	device_close(&dev);
	log_close(&dev.log);
}

/* By the button: the kernel lets it go first. */
TEST_F_TIMEOUT(plug, pulled_out, TEST_SECONDS)
{
	struct user u = { .dev = &self->dev };
	pthread_t thread;

	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, self->mem));
	ASSERT_EQ(0, pthread_create(&thread, NULL, use, &u));
	ASSERT_EQ(0, engine_begin_write(&self->engine, IOVA_A, ENGINE_BYTES));
	ASSERT_EQ(0, monitor("device_del dev%d", self->slot));
	EXPECT_TRUE(wait_present(self->bdf, self->slot, false));
	set_once(&u.stop, 1);
	pthread_join(thread, NULL);
	EXPECT_LT(0, u.rounds);
	EXPECT_EQ(0, u.wrong);
	expect_removed(_metadata, &self->dev, self->events);

	ASSERT_TRUE(plug_in(self->bdf, self->slot));
	expect_works(_metadata, self->bdf, self->mem + page_size());
	EXPECT_EQ(UINT32_MAX, reg_read(&self->dev, EDU_ID));
	munmap(self->engine.mem, self->engine.mem_len);
}

/* Position of the PCI Express capability, by the config space in sysfs */
static int express_cap(int config)
{
	unsigned char pos, id;

	if (pread(config, &pos, 1, PCI_CAPABILITY_LIST) != 1)
		return -EIO;
	while (pos) {
		if (pread(config, &id, 1, pos) != 1)
			return -EIO;
		if (id == PCI_CAP_ID_EXP)
			return pos;
		if (pread(config, &pos, 1, pos + 1) != 1)
			return -EIO;
	}
	return -ENOENT;
}

/*
 * Let QEMU take the device out of its slot, as it does when the power is off, while
 * the kernel hears nothing; and then hear that the slot is empty, with the power on.
 */
static int tear_out(const char *port)
{
	char path[PATH_MAX + sizeof("/config")];
	__u16 control, off;
	int fd, pos, ret = -EIO;

	snprintf(path, sizeof(path), "%s/config", port);
	fd = open(path, O_RDWR);
	if (fd < 0)
		return -errno;
	pos = express_cap(fd);
	if (pos < 0 || pread(fd, &control, 2, pos + PCI_EXP_SLTCTL) != 2)
		goto out;
	off = (control | PCI_EXP_SLTCTL_PIC | PCI_EXP_SLTCTL_PCC) &
	      ~PCI_EXP_SLTCTL_HPIE;
	if (pwrite(fd, &off, 2, pos + PCI_EXP_SLTCTL) == 2 &&
	    pwrite(fd, &control, 2, pos + PCI_EXP_SLTCTL) == 2)
		ret = 0;
out:
	close(fd);
	return ret;
}

/* Without a word: the device is gone before the kernel hears of it. */
TEST_F_TIMEOUT(plug, torn_out, TEST_SECONDS)
{
	struct user u = { .dev = &self->dev };
	pthread_t thread;

	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, self->mem));
	ASSERT_EQ(0, pthread_create(&thread, NULL, use, &u));
	ASSERT_EQ(0, engine_begin_write(&self->engine, IOVA_A, ENGINE_BYTES));
	ASSERT_EQ(0, tear_out(self->port));
	EXPECT_TRUE(wait_present(self->bdf, self->slot, false));
	set_once(&u.stop, 1);
	pthread_join(thread, NULL);
	EXPECT_LT(0, u.rounds);
	EXPECT_EQ(0, u.wrong);
	expect_removed(_metadata, &self->dev, self->events);

	ASSERT_TRUE(plug_in(self->bdf, self->slot));
	expect_works(_metadata, self->bdf, self->mem + page_size());
	EXPECT_EQ(UINT32_MAX, reg_read(&self->dev, EDU_ID));
	munmap(self->engine.mem, self->engine.mem_len);
}

/*
 * A process that does not run
 */
TEST_F_TIMEOUT(plug, unbind_of_a_stopped_process, TEST_SECONDS)
{
	int ready[2], status;
	__u64 begin, took;
	pid_t child;
	char c;

	munmap(self->engine.mem, self->engine.mem_len);
	device_close(&self->dev);
	ASSERT_EQ(0, pipe(ready));
	child = fork();
	if (!child) {
		struct engine engine = {};
		struct device dev;

		if (device_open(&dev, self->bdf) ||
		    engine_attach(&engine, &dev) ||
		    dma_map(dev.fd, self->mem, IOVA_A, page_size(),
			    VFIO_FLAG_WRITE) ||
		    irq_set(dev.fd, VFIO_EVENTFD_MSI, eventfd_new()) ||
		    event_fd(dev.fd, 2, true) < 0)
			_exit(1);
		engine_begin_write(&engine, IOVA_A, ENGINE_BYTES);
		if (write(ready[1], "", 1) == 1)
			raise(SIGSTOP);
		/* Let go again: what it has is gone. */
		_exit(reg_read(&dev, EDU_ID) == UINT32_MAX ? 0 : 2);
	}
	close(ready[1]);
	ASSERT_EQ(1, read(ready[0], &c, 1));
	close(ready[0]);
	ASSERT_EQ(child, waitpid(child, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));

	begin = now_ms();
	ASSERT_EQ(0, pci_unbind(self->bdf));
	took = now_ms() - begin;
	TH_LOG("unbind took %llu ms", took);
	EXPECT_GT(SOON_MS, took);
	/* and is anybody else's */
	sleep_ms(200);
	expect_works(_metadata, self->bdf, self->mem + page_size());
	EXPECT_EQ(0, kill(child, SIGCONT));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	log_close(&self->dev.log);
	ASSERT_EQ(0, device_open(&self->dev, self->bdf));
}

/*
 * Virtual functions
 */
FIXTURE(global)
{
	int unused;
};

FIXTURE_SETUP(global)
{
}

FIXTURE_TEARDOWN(global)
{
}

TEST_F_TIMEOUT(global, virtual_functions_taken_away, TEST_SECONDS)
{
	const char *bdf = getenv("UIOMMU_VF"), *pf = getenv("UIOMMU_PF");
	struct uiommu_event event;
	char num[16], node[64];
	struct device dev;
	__u64 begin;
	int events;

	if (geteuid() || !bdf || !pf)
		SKIP(return, "needs root and a virtual function");
	ASSERT_LT(0, pci_attr_read(pf, "sriov_numvfs", num, sizeof(num)));
	ASSERT_EQ(0, node_name(bdf, node, sizeof(node)));
	ASSERT_EQ(0, device_open(&dev, bdf));
	ASSERT_EQ(0, device_attach(&dev));
	ASSERT_EQ(0, device_map_bar(&dev, 0));
	events = event_fd(dev.fd, 0, false);
	ASSERT_LE(0, events);
	begin = now_ms();
	ASSERT_EQ(0, pci_attr_write(pf, "sriov_numvfs", "0"));
	EXPECT_GT(begin + SOON_MS, now_ms());
	EXPECT_EQ(0, event_wait_for(events, UIOMMU_EVENT_REMOVED, &event));
	EXPECT_EQ(UINT32_MAX, reg_read(&dev, 0));
	EXPECT_EQ(-ENODEV, device_reset(dev.fd));

	/* At once again, while the old files are open */
	ASSERT_EQ(0, pci_attr_write(pf, "sriov_numvfs", num));
	ASSERT_TRUE(wait_present(bdf, -1, true));
	ASSERT_EQ(0, pci_bind(bdf));
	if (getenv("UIOMMU_VF2"))
		EXPECT_EQ(0, pci_bind(getenv("UIOMMU_VF2")));
	close(events);
	device_close(&dev);
	log_close(&dev.log);
	ASSERT_EQ(0, device_open(&dev, bdf));
	ASSERT_EQ(0, device_attach(&dev));
	EXPECT_EQ(0, device_reset(dev.fd));
	device_close(&dev);
	log_read(&dev.log);
	EXPECT_EQ(0, dev.log.splats + dev.log.faults);
	log_close(&dev.log);
}

/* A user-level driver of a physical function makes none: nobody would own them. */
TEST_F_TIMEOUT(global, virtual_functions_are_not_made_by_users, TEST_SECONDS)
{
	const char *bdf = getenv("UIOMMU_IGB");
	unsigned int pos = PCI_CFG_SPACE_SIZE;
	struct device dev;
	char num[16];
	__u32 head;

	if (geteuid() || !bdf)
		SKIP(return, "needs root and a physical function");
	/* Not where pages are larger than its BARs are */
	if (pci_attr_read(bdf, "sriov_totalvfs", num, sizeof(num)) <= 0)
		SKIP(return, "the kernel makes it no virtual functions");
	EXPECT_GT(0, pci_attr_write(bdf, "sriov_numvfs", "1"));
	ASSERT_EQ(0, device_open(&dev, bdf));
	ASSERT_EQ(0, device_attach(&dev));
	EXPECT_GT(0, pci_attr_write(bdf, "sriov_numvfs", "1"));

	/* Nor by its registers */
	for (;;) {
		head = config_read(dev.fd, pos, 4);
		if (PCI_EXT_CAP_ID(head) == PCI_EXT_CAP_ID_SRIOV ||
		    !PCI_EXT_CAP_NEXT(head))
			break;
		pos = PCI_EXT_CAP_NEXT(head);
	}
	if (PCI_EXT_CAP_ID(head) == PCI_EXT_CAP_ID_SRIOV) {
		config_write(dev.fd, pos + PCI_SRIOV_NUM_VF, 2, 1);
		config_write(dev.fd, pos + PCI_SRIOV_CTRL, 2,
			     PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE);
	}
	ASSERT_LT(0, pci_attr_read(bdf, "sriov_numvfs", num, sizeof(num)));
	EXPECT_STREQ("0", num);
	device_close(&dev);
	log_read(&dev.log);
	EXPECT_EQ(0, dev.log.splats + dev.log.faults);
	log_close(&dev.log);
}

/*
 * Last close, in every order, of all that keeps a device or a space
 */
enum thing { FD, SPACE, EVENTS, BAR, SENT, CHILD, NUM_THINGS };

struct things {
	struct device dev;
	int events;
	int pair[2];
	int to_child;
	pid_t child;
};

/* A descriptor in flight between two processes, received by nobody yet */
static int send_fd(int sock, int fd)
{
	char data = 0, control[CMSG_SPACE(sizeof(fd))] = {};
	struct iovec iov = { .iov_base = &data, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(sock, &msg, 0) == 1 ? 0 : -errno;
}

static int get_things(struct things *t, const char *bdf, void *mem)
{
	int to_child[2];
	char c;

	if (device_open(&t->dev, bdf) || device_attach(&t->dev) ||
	    device_map_bar(&t->dev, 0) ||
	    dma_map(t->dev.fd, mem, IOVA_A, page_size(), 0) ||
	    dma_map(t->dev.space, mem, IOVA_B, page_size(), 0))
		return -EIO;
	t->events = event_fd(t->dev.fd, 0, false);
	if (t->events < 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, t->pair) ||
	    send_fd(t->pair[0], t->dev.fd) || pipe(to_child))
		return -EIO;
	t->child = fork();
	if (!t->child) {
		close(to_child[1]);
		close(t->pair[0]);
		close(t->pair[1]);
		_exit(read(to_child[0], &c, 1));
	}
	close(to_child[0]);
	t->to_child = to_child[1];
	return t->child < 0 ? -errno : 0;
}

static void let_go(struct things *t, enum thing thing)
{
	switch (thing) {
	case FD:
		close(t->dev.fd);
		break;
	case SPACE:
		close(t->dev.space);
		break;
	case EVENTS:
		close(t->events);
		break;
	case BAR:
		munmap(t->dev.bar, t->dev.bar_len);
		break;
	case SENT:
		close(t->pair[0]);
		close(t->pair[1]);
		break;
	case CHILD:
		kill(t->child, SIGKILL);
		waitpid(t->child, NULL, 0);
		close(t->to_child);
		break;
	default:
		abort();
	}
}

/* The @n-th order of the things */
static void order(unsigned int n, enum thing *things)
{
	unsigned int left = NUM_THINGS, i, j;
	enum thing all[NUM_THINGS];

	for (i = 0; i < NUM_THINGS; i++)
		all[i] = i;
	for (i = 0; i < NUM_THINGS; i++) {
		j = n % left;
		n /= left;
		things[i] = all[j];
		all[j] = all[--left];
	}
}

/* All of the orders take many resets. */
TEST_F_TIMEOUT(global, last_close_in_every_order, 10 * TEST_SECONDS)
{
	const char *bdf = getenv("UIOMMU_VF");
	const unsigned int num = 720;
	enum thing things[NUM_THINGS];
	unsigned int n, i, step = 1;
	void *mem = pages_alloc(1);
	struct things t;

	if (geteuid() || !bdf)
		SKIP(return, "needs root and a device that is quick to reset");
	/* Each takes some resets: a part of them, each time another one */
	if (!getenv("UIOMMU_TORTURE"))
		step = 29;
	for (n = getpid() % step; n < num; n += step) {
		ASSERT_EQ(0, get_things(&t, bdf, mem));
		order(n, things);
		for (i = 0; i < NUM_THINGS; i++)
			let_go(&t, things[i]);
		EXPECT_EQ(0, locked_pages(bdf));
		EXPECT_EQ(0, file_field("/proc/self/status", "VmPin"));
		EXPECT_EQ(0, pci_config_word(bdf, PCI_COMMAND) &
			     PCI_COMMAND_MASTER) {
			TH_LOG("order %u", n);
		}
		log_read(&t.dev.log);
		EXPECT_EQ(0, t.dev.log.splats + t.dev.log.faults) {
			TH_LOG("order %u: %s", n, t.dev.log.first);
		}
		log_close(&t.dev.log);
	}
	munmap(mem, page_size());
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Torture: some processes use devices in every way, are killed and stopped, while
 * others unbind, remove, switch off and reset the devices. Each step is bounded;
 * when one takes longer all stacks go to the kernel log. Needs root.
 *
 * UIOMMU_TORTURE is for how many seconds (default: 10), UIOMMU_SEED for what to
 * begin with (default: the time). With UIOMMU_TORTURE_ERRORS the machine makes bus
 * errors, too: recovery from those and removal by a slot take locks of the PCI core
 * in different orders, which lockdep tells.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "util.h"

#define SECONDS		10
/* No step may take so long; one waits for others' steps, and this for a slot */
#define STEP_MS		90000
#define USERS		3
#define DEVICES		3
#define MAX_FDS		6
/* Of what slot_of() gives: a virtual function */
#define NOT_ALONE	(-1000)

enum step {
	OPEN, SET, UNSET, MAP, UNMAP, LOSE, DMA, BAR_READ, BAR_WRITE, CONFIG,
	IRQ, EVENTS, RESET, FORK, CLOSE, EXIT,
	UNBIND, BIND, REMOVE, RESCAN, POWER_OFF, POWER_ON, SYSFS_RESET, ERROR,
	LOOK, REST, NUM_STEPS
};

static const char *const names[NUM_STEPS] = {
	"open", "set", "unset", "map", "unmap", "lose", "dma", "bar-read",
	"bar-write", "config", "irq", "events", "reset", "fork", "close",
	"exit", "unbind", "bind", "remove", "rescan", "power-off", "power-on",
	"sysfs-reset", "error", "look", "rest",
};

/**
 * struct worker - a process, in memory that it shares with its parent
 * @pid: the process
 * @step: what it is doing
 * @begin: since when, 0 for nothing
 * @done: how often it did what
 * @good: how often that worked
 * @wrong: the first thing that should not be
 * @stopped: it does not run
 */
struct worker {
	pid_t pid;
	enum step step;
	__u64 begin;
	unsigned int done[NUM_STEPS];
	unsigned int good[NUM_STEPS];
	char wrong[100];
	int stopped;
};

static void begin(struct worker *w, enum step step)
{
	set_once(&w->step, step);
	set_once(&w->begin, now_ms());
}

/* Any error is an answer, but for those that say that something is broken. */
static long end(struct worker *w, long ret)
{
	enum step step = w->step;

	set_once(&w->begin, 0);
	w->done[step]++;
	if (ret >= 0)
		w->good[step]++;
	else if ((ret == -EFAULT || ret == -ENOTTY ||
		  (ret == -EIO && (step == MAP || step == UNMAP))) &&
		 !w->wrong[0])
		snprintf(w->wrong, sizeof(w->wrong), "%s: %s", names[step],
			 strerror(-ret));
	return ret;
}

struct user {
	struct worker *w;
	const char *bdf;
	unsigned int seed;
	int fd[MAX_FDS];
	int space;
	int efd;
	int events;
	unsigned char *bar;
	char *mem;
};

static unsigned int any(struct user *u, unsigned int num)
{
	return rand_r(&u->seed) % num;
}

static __u64 any_iova(struct user *u)
{
	return IOVA_A + any(u, 8) * page_size();
}

static void use_once(struct user *u)
{
	struct uiommu_event events[4];
	int *fd = &u->fd[any(u, MAX_FDS)];
	struct worker *w = u->w;
	__u32 val;
	pid_t child;

	if (*fd < 0) {
		begin(w, OPEN);
		*fd = end(w, node_open(u->bdf, O_RDWR));
		if (*fd < 0)
			sleep_ms(5);
		return;
	}
	begin(w, any(u, EXIT));
	switch (w->step) {
	case SET:
		end(w, domain_set(*fd, u->space));
		break;
	case UNSET:
		end(w, domain_unset(*fd));
		break;
	case MAP:
		end(w, dma_map(any(u, 2) ? *fd : u->space,
			       u->mem + any(u, 8) * page_size(), any_iova(u),
			       (1 + any(u, 3)) * page_size(),
			       any(u, 2) ? VFIO_FLAG_WRITE : 0));
		break;
	case UNMAP:
		end(w, dma_unmap(any(u, 2) ? *fd : u->space, IOVA_A,
				 16 * page_size()));
		break;
	case LOSE:
		end(w, mmap(u->mem + any(u, 8) * page_size(), page_size(),
			    PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED |
			    MAP_POPULATE, -1, 0) == MAP_FAILED ? -errno : 0);
		break;
	case DMA:
		/* edu's; other devices take it for what they like. */
		if (u->bar) {
			__u64 *regs = (__u64 *)(u->bar + EDU_DMA_FROM);

			set_once(&regs[0], EDU_BUFFER);
			set_once(&regs[1], any_iova(u));
			set_once(&regs[2], page_size());
			set_once(&regs[3], EDU_DMA_RUN | EDU_DMA_TO_MEMORY);
		}
		end(w, 0);
		break;
	case BAR_READ:
		if (!u->bar)
			u->bar = space_mmap(*fd, 0, 0, page_size());
		else
			(void)get_once((__u32 *)u->bar);
		end(w, space_read(*fd, 0, 0, &val, 4));
		break;
	case BAR_WRITE:
		if (u->bar && !any(u, 4)) {
			munmap(u->bar, page_size());
			u->bar = NULL;
		}
		val = any(u, 2);
		end(w, space_write(*fd, 0, EDU_LIVENESS, &val, 4));
		break;
	case CONFIG:
		end(w, any(u, 2) ? config_write(*fd, PCI_COMMAND, 2,
						any(u, 8)) :
				   config_write(*fd, any(u, 64) * 4, 4,
						any(u, UINT_MAX)));
		break;
	case IRQ:
		end(w, irq_set(*fd, any(u, 2) ? VFIO_EVENTFD_MSI :
						VFIO_EVENTFD_IRQ,
			       any(u, 3) ? u->efd : -1));
		break;
	case EVENTS:
		if (u->events >= 0 && !any(u, 4)) {
			close(u->events);
			u->events = -1;
		}
		if (u->events < 0)
			u->events = event_fd(any(u, 4) ? *fd : u->space, 8,
					     false);
		if (u->events >= 0)
			event_read(u->events, events, 4);
		end(w, u->events);
		break;
	case RESET:
		end(w, any(u, 4) ? 0 : device_reset(*fd));
		break;
	case FORK:
		child = fork();
		if (!child) {
			/* The files outlive their opener, for a while. */
			sleep_ms(rand_r(&u->seed) % 20);
			_exit(0);
		}
		end(w, child < 0 ? -errno : 0);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		break;
	default:
		close(*fd);
		*fd = -1;
		if (!any(u, 8)) {
			close(u->space);
			u->space = space_open();
		}
		end(w, 0);
	}
}

static void be_user(struct worker *w, const char *bdf, unsigned int seed)
{
	struct user u = {
		.w = w,
		.bdf = bdf,
		.seed = seed,
		.space = space_open(),
		.efd = eventfd_new(),
		.events = -1,
		.mem = pages_alloc(16),
	};
	int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; i < MAX_FDS; i++)
		u.fd[i] = -1;
	for (;;) {
		use_once(&u);
		if (!any(&u, 400)) {
			begin(w, EXIT);
			_exit(0);
		}
	}
}

static int switch_slot(int slot, const char *state)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/slots/%d/power", slot);
	return file_write(path, state);
}

static bool wait_absent(const char *bdf)
{
	__u64 limit = now_ms() + 30000;
	char path[PATH_MAX];

	pci_path(path, sizeof(path), bdf, "vendor");
	while (!access(path, F_OK) && now_ms() < limit)
		sleep_ms(20);
	return access(path, F_OK);
}

static int bring_back(struct worker *w, const char *bdf, int slot)
{
	__u64 limit = now_ms() + 30000;
	char path[PATH_MAX];

	pci_path(path, sizeof(path), bdf, "vendor");
	while (access(path, F_OK)) {
		begin(w, POWER_ON);
		/* The machine takes the card out of a slot without power. */
		if (slot >= 0 && getenv("UIOMMU_MONITOR"))
			monitor("device_add edu,id=dev%d,bus=rp%d", slot, slot);
		end(w, slot >= 0 && switch_slot(slot, "1") ? 0 : 0);
		begin(w, RESCAN);
		end(w, file_write("/sys/bus/pci/rescan", "1"));
		if (now_ms() > limit)
			return -ENODEV;
		sleep_ms(100);
	}
	begin(w, BIND);
	return end(w, pci_driver_is(bdf, "vfio") ? 0 : pci_bind(bdf));
}

static void be_admin(struct worker *w, const char *bdf, int slot,
		     unsigned int seed)
{
	char text[4096];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		unsigned int what = rand_r(&seed) % 12;

		switch (what) {
		case 0:
		case 1:
			begin(w, UNBIND);
			end(w, pci_unbind(bdf));
			break;
		case 2:
			/*
			 * A virtual function is not found again; for a device
			 * in a slot see below.
			 */
			if (slot != -1)
				break;
			begin(w, REMOVE);
			end(w, pci_attr_write(bdf, "remove", "1"));
			break;
		case 3:
			if (slot < 0 || !getenv("UIOMMU_MONITOR"))
				break;
			begin(w, POWER_OFF);
			if (rand_r(&seed) % 2 ||
			    monitor("device_del dev%d", slot))
				switch_slot(slot, "0");
			/*
			 * Until it is done: a slot, a removal by sysfs and a
			 * reset by the slot at once are a deadlock of the PCI
			 * core, by its reset_lock, pci_rescan_remove_lock and
			 * device lock.
			 */
			end(w, wait_absent(bdf) ? 0 : -ETIMEDOUT);
			break;
		case 4:
		case 5:
			begin(w, SYSFS_RESET);
			end(w, pci_attr_write(bdf, "reset", "1") ? 0 : 0);
			break;
		case 6:
			if (slot < 0 || !getenv("UIOMMU_TORTURE_ERRORS"))
				break;
			begin(w, ERROR);
			end(w, monitor("pcie_aer_inject_error rp%d %s", slot,
				       seed & 64 ? "COMP_TIME" : "MALF_TLP") ?
				       0 : 0);
			break;
		default:
			begin(w, LOOK);
			if (!node_attr(bdf, "config_rules", text,
				       sizeof(text)))
				file_read(text, text, sizeof(text));
			end(w, 0);
			begin(w, REST);
			sleep_ms(rand_r(&seed) % 200);
			end(w, 0);
		}
		if (bring_back(w, bdf, slot)) {
			snprintf(w->wrong, sizeof(w->wrong),
				 "%s does not come back", bdf);
			_exit(1);
		}
	}
}

static void dump_stacks(void)
{
	file_write("/proc/sys/kernel/sysrq", "1");
	file_write("/proc/sysrq-trigger", "w");
	file_write("/proc/sysrq-trigger", "t");
	sleep_ms(2000);
}

/* Is everybody at something that began a short while ago? */
static bool is_alive(struct worker *w)
{
	__u64 since = get_once(&w->begin);

	return !since || w->stopped || now_ms() - since < STEP_MS;
}

FIXTURE(torture)
{
	int unused;
};

FIXTURE_SETUP(torture)
{
}

FIXTURE_TEARDOWN(torture)
{
}

/* The harness has a limit for a test; each step has its own. */
TEST_F_TIMEOUT(torture, all_at_once, 86400)
{
	static const char edu[] = "UIOMMU_EDU", vf[] = "UIOMMU_VF";
	static const char *const vars[DEVICES] = { edu, vf, "UIOMMU_NVME" };
	const unsigned int num = DEVICES * (USERS + 1);
	const char *bdf[DEVICES], *seconds = getenv("UIOMMU_TORTURE");
	unsigned int seed = getenv("UIOMMU_SEED") ?
				    strtoul(getenv("UIOMMU_SEED"), NULL, 0) :
				    now_ms();
	unsigned int i, j, s, killed = 0, done, good;
	int slot[DEVICES];
	struct worker *w;
	struct log log;
	bool alive = true;
	__u64 stop;
	pid_t pid;

	if (geteuid())
		SKIP(return, "needs root");
	w = mmap(NULL, num * sizeof(*w), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, w);
	ASSERT_EQ(0, log_open(&log));
	for (i = 0; i < DEVICES; i++) {
		bdf[i] = getenv(vars[i]);
		slot[i] = vars[i] == edu && bdf[i] ? slot_of(bdf[i]) :
			  vars[i] == vf ? NOT_ALONE : -1;
	}
	TH_LOG("UIOMMU_SEED=%u", seed);
	stop = now_ms() + 1000 * (seconds ? atoi(seconds) : SECONDS);

	while (alive && now_ms() < stop) {
		for (i = 0; i < num; i++) {
			const char *dev = bdf[i / (USERS + 1)];

			if (!dev)
				continue;
			if (w[i].pid && waitpid(w[i].pid, NULL, WNOHANG) > 0)
				w[i].pid = 0;
			if (w[i].pid) {
				alive &= is_alive(&w[i]);
				continue;
			}
			w[i].begin = 0;
			w[i].stopped = 0;
			pid = fork();
			ASSERT_LE(0, pid);
			if (pid) {
				w[i].pid = pid;
				continue;
			}
			if (i % (USERS + 1))
				be_user(&w[i], dev, seed + i + killed * num);
			else
				be_admin(&w[i], dev, slot[i / (USERS + 1)],
					 seed + i);
		}
		/* One of them dies, or stands still for a while. */
		i = rand_r(&seed) % num;
		if (w[i].pid && i % (USERS + 1)) {
			j = rand_r(&seed) % 8;
			if (j < 2) {
				kill(w[i].pid, SIGKILL);
				killed++;
			} else if (j == 2) {
				set_once(&w[i].stopped, 1);
				kill(w[i].pid, SIGSTOP);
			}
		}
		i = rand_r(&seed) % num;
		if (w[i].pid && w[i].stopped) {
			set_once(&w[i].begin, 0);
			set_once(&w[i].stopped, 0);
			kill(w[i].pid, SIGCONT);
		}
		sleep_ms(rand_r(&seed) % 100);
	}
	if (!alive)
		dump_stacks();

	/* Users first: an administrator leaves no device behind. */
	for (i = 0; i < num; i++) {
		if (!w[i].pid)
			continue;
		kill(w[i].pid, SIGKILL);
		waitpid(w[i].pid, NULL, 0);
	}
	for (s = 0; s < NUM_STEPS; s++) {
		for (i = done = good = 0; i < num; i++) {
			done += w[i].done[s];
			good += w[i].good[s];
		}
		if (done)
			TH_LOG("%-12s %8u, %8u worked", names[s], done, good);
	}
	TH_LOG("%u processes killed", killed);
	for (i = 0; i < num; i++) {
		EXPECT_STREQ("", w[i].wrong);
		EXPECT_TRUE(is_alive(&w[i])) {
			TH_LOG("%s since %llu ms", names[w[i].step],
			       now_ms() - w[i].begin);
		}
	}
	/* Nothing is left, and all of them work. */
	for (i = 0; i < DEVICES; i++) {
		struct worker last = {};
		struct device dev;

		if (!bdf[i])
			continue;
		ASSERT_EQ(0, bring_back(&last, bdf[i], slot[i]));
		EXPECT_EQ(0, locked_pages(bdf[i]));
		EXPECT_EQ(0, pci_config_word(bdf[i], PCI_COMMAND) &
			     PCI_COMMAND_MASTER);
		for (j = 0; j < 50; j++) {
			dev.fd = node_open(bdf[i], O_RDWR);
			if (dev.fd != -EBUSY)
				break;
			sleep_ms(100);
		}
		close(dev.fd);
		ASSERT_EQ(0, device_open(&dev, bdf[i]));
		EXPECT_EQ(0, device_attach(&dev));
		EXPECT_EQ(0, device_reset(dev.fd));
		device_close(&dev);
		log_close(&dev.log);
	}
	log_read(&log);
	/* DMA to where nothing is mapped is what the users do. */
	EXPECT_EQ(0, log.splats) {
		TH_LOG("%s", log.first);
	}
	log_close(&log);
	munmap(w, num * sizeof(*w));
}

TEST_HARNESS_MAIN

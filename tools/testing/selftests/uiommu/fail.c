// SPDX-License-Identifier: GPL-2.0-only
/*
 * What cannot be allocated or copied: each call with its first such fault, with its
 * second, and so on, until it gets through without one. After each fault the call
 * has failed with an error that it may have, and has changed nothing, and works when
 * it is made again; or it has worked as if nothing had been.
 *
 * Needs root, and a kernel with CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC,
 * CONFIG_FAULT_INJECTION_USERCOPY and CONFIG_FAULT_INJECTION_DEBUG_FS.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <linux/mman.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "util.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE	0x100000
#endif

#define KNOBS		"/sys/kernel/debug/"
#define CACHES		"/sys/kernel/slab/"
#define MIB		(1024 * 1024UL)

/* A call with more faults than that has no end. */
#define MAX_FAULTS	3000

/* Pages that are not contiguous: more than two chunks of extents, and than 2 MiB */
#define MANY_PAGES	1200
#define ENTRIES		16
#define EVENTFDS	4
#define WINDOWS		8
#define COMES_MS	3000

/* Nothing else is near: what is mapped there needs page tables of its own. */
#define FAR_AWAY	((void *)0x123400000000UL)

/**
 * struct world - what the calls act on
 * @dev: a device and an address space
 * @other: another device; its space is not used
 * @fd: what a call is made on, most often one of those
 * @made: what it made, or -1
 * @vaddr: memory
 * @size: bytes of it
 * @flags: how to map it
 * @iova: where it was mapped
 * @entries: a batch
 * @done: how many of these were
 * @eventfds: for interrupts
 * @signalled: the first of those that get some
 * @kind: enum uiommu_irq_kind
 * @cmd: the request that turns it on and off
 * @vectors: vectors to begin with
 * @node: path of the device's node
 * @path: a file to be read, or written
 * @space: what to read of a device
 * @pos: where
 * @len: how much
 * @want: what is to be found there
 * @num: how much was read
 * @got: what was read
 * @type: of the IOMMU group, as it was before
 */
struct world {
	struct device dev;
	struct device other;
	int fd;
	int made;
	char *vaddr;
	__u64 size;
	__u64 flags;
	__u64 iova;
	struct vfio_dma_map entries[ENTRIES];
	unsigned int done;
	int eventfds[EVENTFDS + 1];
	int *signalled;
	unsigned int kind;
	unsigned long cmd;
	unsigned int vectors;
	char node[PATH_MAX];
	char path[PATH_MAX];
	unsigned int space;
	__u64 pos;
	ssize_t len;
	char want[32768];
	ssize_t num;
	char got[32768];
	char type[32];
};

typedef long (*step_t)(struct world *w);

/**
 * enum call_flags - about a call
 * @CANNOT_FAIL: it does all that it is for, whatever happens
 * @ONLY_ARGUMENT: it does, once its argument is copied (EFAULT)
 * @IN_PART: what is done when an error comes stays done
 * @NO_NUMBERS: to lack memory can mean to lack a vector, or a number of the
 *	IOMMU (ENOSPC)
 * @MAY_LACK: there may be nothing in it that could fail
 */
enum call_flags {
	CANNOT_FAIL	= 1 << 0,
	ONLY_ARGUMENT	= 1 << 1,
	IN_PART		= 1 << 2,
	NO_NUMBERS	= 1 << 3,
	MAY_LACK	= 1 << 4,
};

/**
 * struct call - a call that is made to fail
 * @name: for the log
 * @before: makes what it needs, or NULL
 * @call: gives a result that is not negative, or the negative error number
 * @check: whether it did what it is for, 0, or NULL
 * @after: undoes it, or NULL; with IN_PART also when it failed
 * @flags: enum call_flags
 */
struct call {
	const char *name;
	step_t before;
	step_t call;
	step_t check;
	step_t after;
	unsigned int flags;
};

/*
 * Faults
 */

/* /proc/self/fail-nth: the n-th thing that can fail does, then no more */
static int fail_nth = -1;

static void arm(unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	if (pwrite(fail_nth, text, len, 0) != len)
		abort();
}

/*
 * Was there a fault?  These read and write user memory, which can fail, too: then
 * the fault was here, and not in the call.
 */
static bool disarm(void)
{
	char left[16] = "";
	bool failed = pread(fail_nth, left, sizeof(left) - 1, 0) > 0 &&
		      !atoi(left);

	while (pwrite(fail_nth, "0", 1, 0) != 1)
		;
	return failed;
}

static int set_knob(const char *attr, const char *name, const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), KNOBS "%s/%s", attr, name);
	return file_write(path, text);
}

/* Let all fail that fails without memory, and say nothing in the log. */
static int set_knobs(void)
{
	static const struct {
		const char *attr;
		const char *name;
		const char *text;
	} knobs[] = {
		{ "failslab", "verbose", "0" },
		{ "failslab", "ignore-gfp-wait", "N" },
		{ "failslab", "cache-filter", "N" },
		{ "fail_page_alloc", "verbose", "0" },
		{ "fail_page_alloc", "ignore-gfp-wait", "N" },
		{ "fail_page_alloc", "ignore-gfp-highmem", "N" },
		{ "fail_page_alloc", "min-order", "0" },
		{ "fail_usercopy", "verbose", "0" },
	};
	size_t i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(knobs); i++) {
		ret = set_knob(knobs[i].attr, knobs[i].name, knobs[i].text);
		if (ret)
			return ret;
	}
	return 0;
}

/*
 * Spare what the interrupt core warns of and goes on without: an entry of
 * /proc/irq that it could not make is missed when it is removed, and there is no way
 * back from a number that could not be put into its tree. Whole pages are spared
 * as well, as these come from some.
 */
static int spare_irq_core(void)
{
	static const char *const spared[] = { "proc_dir_entry", "maple_node" };
	bool found = false;
	char path[PATH_MAX];
	glob_t caches;
	size_t i;

	if (glob(CACHES "*/failslab", 0, NULL, &caches))
		return -ENOENT;
	for (i = 0; i < caches.gl_pathc; i++) {
		/* Those that are merged with others refuse, and are spared. */
		file_write(caches.gl_pathv[i], "1");
		found |= file_number(caches.gl_pathv[i]) == 1;
	}
	globfree(&caches);
	for (i = 0; i < ARRAY_SIZE(spared); i++) {
		snprintf(path, sizeof(path), CACHES "%s/failslab", spared[i]);
		file_write(path, "0");
		if (file_number(path) > 0)
			return -EIO;
	}
	if (!found)
		return -ENOENT;
	return set_knob("failslab", "cache-filter", "Y") ?:
	       set_knob("fail_page_alloc", "min-order", "20");
}

/*
 * State
 */
struct state {
	char text[16384];
	size_t len;
};

static void say(struct state *s, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(s->text + s->len, sizeof(s->text) - s->len, format,
			args);
	va_end(args);
	s->len += len;
	if (s->len >= sizeof(s->text))
		abort();
}

static void say_fdinfo(struct state *s, const char *name, int fd)
{
	char path[64], text[2048], *of_space;

	if (fd < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (file_read(path, text, sizeof(text)) < 0)
		abort();
	/* A device's tells of the space from the first request about it on. */
	of_space = strstr(text, "\nmappings:");
	if (of_space && strstr(text, "\ndevice:"))
		*of_space = 0;
	say(s, "%s:\n%s\n", name, text);
}

static void say_device(struct state *s, const struct device *dev)
{
	struct uiommu_device_info info;
	char path[PATH_MAX];

	if (!dev->bdf)
		return;
	pci_path(path, sizeof(path), dev->bdf, "vfio");
	say(s, "%s: driver %d folder %d locked %ld\n", dev->bdf,
	    pci_driver_is(dev->bdf, "vfio"), !access(path, F_OK),
	    locked_pages(dev->bdf));
	if (dev->fd < 0)
		return;
	say_fdinfo(s, "device", dev->fd);
	if (!device_info(dev->fd, &info))
		say(s, "flags %#x command %#lx\n", info.out_flags,
		    pci_config_word(dev->bdf, PCI_COMMAND));
}

static void say_space(struct state *s, int fd)
{
	struct uiommu_window windows[WINDOWS];
	struct uiommu_info info = {
		.num_windows = WINDOWS,
		.windows = (uintptr_t)windows,
	};
	unsigned int i;

	if (fd < 0)
		return;
	say_fdinfo(s, "space", fd);
	if (space_info(fd, &info))
		abort();
	say(s, "page sizes %#llx mappings %llu pinned %llu charged %llu\n",
	    info.out_page_sizes, info.out_mappings, info.out_pinned,
	    info.out_charged);
	for (i = 0; i < info.num_windows && i < WINDOWS; i++)
		say(s, "window %#llx-%#llx\n", windows[i].first,
		    windows[i].last);
}

/* All that can be seen of what the calls change */
static void see(struct world *w, struct state *s)
{
	s->len = 0;
	say_device(s, &w->dev);
	say_device(s, &w->other);
	say_space(s, w->dev.space);
	if (w->fd != w->dev.fd && w->fd != w->dev.space)
		say_fdinfo(s, "file", w->fd);
	say(s, "VmPin %ld VmLck %ld\n",
	    file_field("/proc/self/status", "VmPin"),
	    file_field("/proc/self/status", "VmLck"));
}

static void expect_same(struct __test_metadata *_metadata, const char *when,
			const struct state *was, const struct state *is)
{
	const char *a = was->text, *b = is->text;
	size_t i = 0;

	if (!strcmp(a, b))
		return;
	while (a[i] == b[i])
		i++;
	while (i && a[i - 1] != '\n')
		i--;
	EXPECT_STREQ(a, b) {
		TH_LOG("%s: \"%.*s\" was \"%.*s\"", when,
		       (int)strcspn(b + i, "\n"), b + i,
		       (int)strcspn(a + i, "\n"), a + i);
	}
}

/**
 * struct totals - what takes long to count, or is not of this process alone
 * @pins: pinned pages
 * @tables: pages of I/O page tables
 * @irqs: interrupts that the driver has
 * @fds: open files of this process
 */
struct totals {
	long pins;
	long tables;
	long irqs;
	long fds;
};

static long count_irqs(void)
{
	static char text[65536];
	const char *line = text;
	long num = 0;

	if (file_read("/proc/interrupts", text, sizeof(text)) < 0)
		return -1;
	for (; (line = strstr(line, "vfio-")); line++)
		num++;
	return num;
}

static void count_all(struct totals *totals)
{
	glob_t fds;

	totals->pins = pins_outstanding();
	totals->tables = file_field("/proc/vmstat", "nr_iommu_pages");
	totals->irqs = count_irqs();
	totals->fds = -1;
	if (!glob("/proc/self/fd/*", 0, NULL, &fds)) {
		totals->fds = fds.gl_pathc;
		globfree(&fds);
	}
}

/*
 * Sweeps
 */
static bool may_say(const struct call *c, long ret)
{
	if (c->flags & CANNOT_FAIL)
		return false;
	if (ret == -ENOMEM)
		return !(c->flags & ONLY_ARGUMENT);
	return ret == -EFAULT || (ret == -ENOSPC && c->flags & NO_NUMBERS);
}

static long run(struct world *w, step_t step)
{
	return step ? step(w) : 0;
}

/**
 * struct sweep - what happened up to now
 * @n: number of the fault, 0 for none
 * @faults: faults that there were
 * @failed: calls that failed
 */
struct sweep {
	unsigned int n;
	unsigned int faults;
	unsigned int failed;
};

/* With the n-th fault; false when there was none, or something is wrong. */
static bool sweep_on(struct __test_metadata *_metadata, struct world *w,
		     const struct call *c, struct sweep *s)
{
	struct state first, before, now;
	bool fault;
	long ret;

	see(w, &first);
	ret = run(w, c->before);
	EXPECT_LE(0, ret);
	see(w, &before);
	if (s->n)
		arm(s->n);
	ret = c->call(w);
	fault = disarm() && s->n;
	s->faults += fault;
	if (ret < 0) {
		s->failed++;
		EXPECT_TRUE(fault && may_say(c, ret)) {
			TH_LOG("result %ld", ret);
		}
		if (c->flags & IN_PART) {
			ret = run(w, c->after);
			EXPECT_LE(0, ret);
			see(w, &now);
			expect_same(_metadata, "failed and undone", &first,
				    &now);
			ret = run(w, c->before);
			EXPECT_LE(0, ret);
		} else {
			see(w, &now);
			expect_same(_metadata, "failed", &before, &now);
		}
		ret = c->call(w);
		EXPECT_LE(0, ret) {
			TH_LOG("again, without a fault");
		}
	}
	ret = run(w, c->check);
	EXPECT_EQ(0, ret) {
		TH_LOG("it did not do what it is for");
	}
	ret = run(w, c->after);
	EXPECT_LE(0, ret) {
		TH_LOG("it cannot be undone");
	}
	see(w, &now);
	expect_same(_metadata, "undone", &first, &now);
	log_read(&w->dev.log);
	EXPECT_EQ(0, w->dev.log.splats + w->dev.log.faults) {
		TH_LOG("%s", w->dev.log.first);
	}
	return __test_passed(_metadata) && (fault || !s->n);
}

static void sweep(struct __test_metadata *_metadata, struct world *w,
		  const struct call *c)
{
	int others = _metadata->exit_code;
	struct totals before, after;
	struct sweep s = {};

	_metadata->exit_code = KSFT_PASS;
	/* First without: what is made once and kept is not counted. */
	sweep_on(_metadata, w, c, &s);
	count_all(&before);
	do
		s.n++;
	while (sweep_on(_metadata, w, c, &s) && s.n <= MAX_FAULTS);
	TH_LOG("%s: %u faults, %u of them seen", c->name, s.faults, s.failed);
	EXPECT_TRUE(__test_passed(_metadata)) {
		TH_LOG("%s: wrong with fault %u", c->name, s.n);
	}
	EXPECT_GE(MAX_FAULTS, s.n);
	/* What is never made to fail would pass every test. */
	EXPECT_TRUE(s.faults || c->flags & MAY_LACK);
	count_all(&after);
	EXPECT_EQ(before.pins, after.pins);
	EXPECT_EQ(before.tables, after.tables);
	EXPECT_EQ(before.irqs, after.irqs);
	EXPECT_EQ(before.fds, after.fds);
	if (others != KSFT_PASS)
		_metadata->exit_code = others;
}

/*
 * Steps
 */
static long open_path(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static long close_fd(int *fd)
{
	int ret = close(*fd) ? -errno : 0;

	*fd = -1;
	return ret;
}

static long do_close_made(struct world *w)
{
	return close_fd(&w->made);
}

static long do_open_space(struct world *w)
{
	w->made = open_path("/dev/uiommu", O_RDWR);
	return w->made;
}

/* As one that was never used before */
static long do_new_space(struct world *w)
{
	w->fd = space_open();
	return w->fd;
}

static long do_close_fd(struct world *w)
{
	return close_fd(&w->fd);
}

static long do_map(struct world *w)
{
	return dma_map(w->fd, w->vaddr, IOVA_LARGE, w->size, w->flags);
}

static long do_unmap(struct world *w)
{
	return dma_unmap(w->fd, IOVA_LARGE, w->size);
}

static long do_unmap_and_close(struct world *w)
{
	return do_unmap(w) ?: do_close_fd(w);
}

/* Empty I/O page tables, where there are any */
static long do_new_tables(struct world *w)
{
	if (w->dev.fd < 0)
		return 0;
	return domain_unset(w->dev.fd) ?: device_attach(&w->dev);
}

static long do_new_space_and_map(struct world *w)
{
	long ret = do_new_space(w);

	return ret < 0 ? ret : do_map(w);
}

static long do_forget_memory(struct world *w)
{
	return madvise(w->vaddr, w->size, MADV_DONTNEED) ? -errno : 0;
}

static long do_map_lowest(struct world *w)
{
	return dma_map_lowest(w->fd, w->vaddr, w->size, w->flags, 0, &w->iova);
}

static long do_unmap_lowest(struct world *w)
{
	return dma_unmap(w->fd, w->iova, w->size);
}

static long check_lowest(struct world *w)
{
	/* The first page is not given away. */
	return w->iova == page_size() ? 0 : -EBADMSG;
}

static long do_map_batch(struct world *w)
{
	return dma_batch(w->fd, UIOMMU_MAP_BATCH, w->entries, ENTRIES,
			 &w->done);
}

static long do_unmap_batch(struct world *w)
{
	return dma_batch(w->fd, UIOMMU_UNMAP_BATCH, w->entries, ENTRIES,
			 &w->done);
}

static long check_batch(struct world *w)
{
	return w->done == ENTRIES ? 0 : -EBADMSG;
}

static long do_unmap_all(struct world *w)
{
	__u64 mappings;

	return dma_unmap_all(w->fd, &mappings);
}

static long do_map_each(struct world *w)
{
	unsigned int i;
	long ret = 0;

	for (i = 0; i < ENTRIES && !ret; i++)
		ret = dma_map(w->fd, (void *)(uintptr_t)w->entries[i].vaddr,
			      w->entries[i].dmaaddr, w->entries[i].size,
			      w->entries[i].flags);
	return ret;
}

static long check_empty(struct world *w)
{
	struct uiommu_info info = {};

	return space_info(w->fd, &info) ?: (long)info.out_mappings;
}

static long do_populate(struct world *w)
{
	void *mem = mmap(w->vaddr, w->size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE |
			 MAP_FIXED, -1, 0);

	return mem == w->vaddr ? 0 : -errno;
}

static long do_populate_and_map(struct world *w)
{
	return do_populate(w) ?: do_map(w);
}

static long do_munmap(struct world *w)
{
	return munmap(w->vaddr, w->size) ? -errno : 0;
}

static long do_set(struct world *w)
{
	return domain_set(w->dev.fd, w->dev.space);
}

static long do_unset(struct world *w)
{
	return domain_unset(w->dev.fd);
}

/*
 * Is it attached, with all that was mapped before?  Not the windows: an IOMMU driver
 * leaves a reserved region out that it has no memory to tell of, and cannot say so.
 */
static long check_set(struct world *w)
{
	struct state s = {};

	say_fdinfo(&s, "space", w->dev.space);
	return strcmp(s.text, w->want) ? -EBADMSG : 0;
}

static long do_set_other(struct world *w)
{
	return domain_set(w->other.fd, w->dev.space);
}

static long do_unset_other(struct world *w)
{
	return domain_unset(w->other.fd);
}

/* The windows can stay narrower than they need be, until the next is set. */
static long do_set_and_unset_other(struct world *w)
{
	return do_set_other(w) ?: do_unset_other(w);
}

static long do_info(struct world *w)
{
	struct uiommu_window windows[WINDOWS];
	struct uiommu_info info = {
		.num_windows = WINDOWS,
		.windows = (uintptr_t)windows,
	};

	return space_info(w->fd, &info);
}

static long do_event_fd(struct world *w)
{
	w->made = event_fd(w->fd, 0, true);
	return w->made;
}

/* An event to be read */
static long do_lose(struct world *w)
{
	long ret = do_populate_and_map(w) ?: do_munmap(w);
	struct uiommu_info info = {};
	int ms;

	if (ret || !event_wait(w->made))
		return ret ?: -ETIMEDOUT;
	/* It is told of before it is no longer counted. */
	for (ms = 0; ms < 20000; ms += 10) {
		ret = space_info(w->dev.space, &info);
		if (ret || !info.out_mappings)
			return ret;
		sleep_ms(10);
	}
	return -ETIMEDOUT;
}

static long do_read_event(struct world *w)
{
	struct uiommu_event *event = (void *)w->got;

	memset(event, 0, sizeof(*event));
	return event_read(w->made, event, 1);
}

static long check_event(struct world *w)
{
	struct uiommu_event *event = (void *)w->got;

	return event->type == UIOMMU_EVENT_MAPPING_LOST &&
	       event->iova == IOVA_LARGE &&
	       !(event_poll(w->made) & POLLIN) ? 0 : -EBADMSG;
}

static long do_read_path(struct world *w)
{
	w->num = file_read(w->path, w->got, sizeof(w->got));
	return w->num;
}

static long check_whole(struct world *w)
{
	return w->num == w->len && !memcmp(w->got, w->want, w->len) ? 0 :
								       -EBADMSG;
}

static long do_read_space(struct world *w)
{
	w->num = space_read(w->dev.fd, w->space, w->pos, w->got, w->len);
	return w->num;
}

/* It can end in the middle. */
static long check_start(struct world *w)
{
	return w->num > 0 && !memcmp(w->got, w->want, w->num) ? 0 : -EBADMSG;
}

static long do_write_space(struct world *w)
{
	return space_write(w->dev.fd, w->space, w->pos, w->want, w->len);
}

/* Written in part, it is written again. */
static long check_written(struct world *w)
{
	return do_write_space(w) == w->len && do_read_space(w) == w->len &&
	       !memcmp(w->got, w->want, w->len) ? 0 : -EBADMSG;
}

/* A register that reads as the complement of what was written */
static long check_liveness(struct world *w)
{
	__u32 val, wrote;

	memcpy(&wrote, w->want, sizeof(wrote));
	if (space_read(w->dev.fd, 0, EDU_LIVENESS, &val, 4) != 4)
		return -EIO;
	return val == ~wrote ? 0 : -EBADMSG;
}

static long do_open_node(struct world *w)
{
	w->made = open_path(w->node, O_RDWR);
	return w->made;
}

static long do_new_node(struct world *w)
{
	w->fd = open_path(w->node, O_RDWR);
	return w->fd;
}

static long do_new_node_and_map(struct world *w)
{
	long ret = do_new_node(w);

	return ret < 0 ? ret : do_map(w);
}

/* All that a device says of itself */
static ssize_t know(int fd, char *what)
{
	struct uiommu_device_info *device = (void *)what;
	struct uiommu_region_info *region = (void *)(device + 1);
	unsigned int i;

	if (device_info(fd, device))
		return -EIO;
	for (i = 0; i <= VFIO_PCI_ROM_RESOURCE; i++)
		if (region_info(fd, i, region++))
			return -EIO;
	return (char *)region - what;
}

/* Can it be used, and is nothing missing? */
static long check_node(struct world *w)
{
	w->num = know(w->made, w->got);
	return check_whole(w) ?: domain_set(w->made, w->dev.space) ?:
	       config_command(w->made, 0, PCI_COMMAND_MASTER) ?:
	       domain_unset(w->made);
}

/* As one that nobody has used yet */
static long do_reopen(struct world *w)
{
	if (w->dev.fd >= 0)
		close_fd(&w->dev.fd);
	w->dev.fd = open_path(w->node, O_RDWR);
	return w->dev.fd < 0 ? w->dev.fd : device_attach(&w->dev);
}

static long do_mmap(struct world *w)
{
	w->dev.bar_len = page_size();
	w->dev.bar = space_mmap(w->fd, 0, 0, w->dev.bar_len);
	return w->dev.bar ? 0 : -errno;
}

static long check_bar(struct world *w)
{
	return reg_read(&w->dev, EDU_ID) == EDU_ID_VALUE ? 0 : -EBADMSG;
}

static long do_munmap_bar(struct world *w)
{
	long ret = munmap(w->dev.bar, w->dev.bar_len) ? -errno : 0;

	w->dev.bar = NULL;
	return ret;
}

static long do_munmap_bar_and_close(struct world *w)
{
	return do_munmap_bar(w) ?: do_close_fd(w);
}

static long do_mmap_far_away(struct world *w)
{
	w->dev.bar_len = page_size();
	w->dev.bar = mmap(FAR_AWAY, w->dev.bar_len, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_FIXED_NOREPLACE, w->dev.fd, 0);
	return w->dev.bar == MAP_FAILED ? -errno : 0;
}

/* No call: a page fault, made again until it does not fail */
static long do_touch(struct world *w)
{
	return check_bar(w);
}

static long do_reset(struct world *w)
{
	return device_reset(w->dev.fd);
}

static long do_reset_set(struct world *w)
{
	const int fds[] = { w->dev.fd, w->other.fd };

	return device_reset_set(w->dev.fd, fds, ARRAY_SIZE(fds));
}

/* Do both answer? */
static long check_both(struct world *w)
{
	__u32 val;

	if (space_read(w->other.fd, 0, EDU_ID, &val, 4) != 4)
		return -EIO;
	return val == EDU_ID_VALUE ? check_bar(w) : -EBADMSG;
}

static long do_device_info(struct world *w)
{
	struct uiommu_device_info info;

	return device_info(w->dev.fd, &info);
}

static long do_region_info(struct world *w)
{
	struct uiommu_region_info info;

	return region_info(w->dev.fd, 0, &info);
}

static long do_bar_len(struct world *w)
{
	return bar_len(w->dev.fd, 0);
}

static long do_irq_turn(struct world *w, unsigned int num, int *eventfds)
{
	w->signalled = eventfds;
	if (w->cmd == VFIO_EVENTFDS_MSI || w->cmd == VFIO_EVENTFDS_MSIX)
		return irq_set_many(w->dev.fd, w->cmd, num, eventfds);
	return irq_set(w->dev.fd, w->cmd, num ? *eventfds : -1);
}

static long do_irq_on(struct world *w)
{
	return do_irq_turn(w, w->vectors, w->eventfds);
}

static long do_irq_off(struct world *w)
{
	return do_irq_turn(w, 0, w->eventfds);
}

static long do_irq_swap(struct world *w)
{
	return do_irq_turn(w, w->vectors, w->eventfds + 1);
}

static long do_irq_set(struct world *w)
{
	w->signalled = w->eventfds + 1;
	return irq_range(w->dev.fd, w->kind, UIOMMU_IRQ_OP_EVENTFDS, 0,
			 w->vectors, w->signalled,
			 w->vectors * sizeof(*w->signalled));
}

static long do_irq_none(struct world *w)
{
	return irq_range(w->dev.fd, w->kind, UIOMMU_IRQ_OP_NONE, 0, w->vectors,
			 NULL, 0);
}

static long do_irq_trigger(struct world *w)
{
	return irq_range(w->dev.fd, w->kind, UIOMMU_IRQ_OP_TRIGGER, 0,
			 w->vectors, NULL, 0);
}

static long do_irq_affinity(struct world *w)
{
	static const unsigned char first_cpu = 1;

	return irq_range(w->dev.fd, w->kind, UIOMMU_IRQ_OP_AFFINITY, 0,
			 w->vectors, &first_cpu, sizeof(first_cpu));
}

/* More vectors than it was turned on with */
static long do_irq_add(struct world *w)
{
	unsigned int num = EVENTFDS - w->vectors;

	return irq_range(w->dev.fd, w->kind, UIOMMU_IRQ_OP_EVENTFDS, w->vectors,
			 num, w->eventfds + w->vectors, num * sizeof(int));
}

/* Each signals its own. */
static long check_signals(struct world *w, unsigned int num)
{
	unsigned int i;

	for (i = 0; i < num; i++)
		if (eventfd_wait(w->signalled[i], COMES_MS) != 1)
			return -EBADMSG;
	for (i = 0; i <= EVENTFDS; i++)
		if (eventfd_wait(w->eventfds[i], 0))
			return -EEXIST;
	return 0;
}

static long check_triggered(struct world *w)
{
	return check_signals(w, w->vectors);
}

static long check_none(struct world *w)
{
	return do_irq_trigger(w) ?: check_signals(w, 0);
}

static long check_added(struct world *w)
{
	return irq_range(w->dev.fd, w->kind, UIOMMU_IRQ_OP_TRIGGER, 0, EVENTFDS,
			 NULL, 0) ?: check_signals(w, EVENTFDS);
}

/* Do interrupts come?  From the device where it is one that can be told. */
static long check_irq(struct world *w)
{
	long ret = do_irq_trigger(w) ?: check_signals(w, w->vectors);

	if (ret || !w->dev.bar)
		return ret;
	reg_write(&w->dev, EDU_IRQ_RAISE, 1);
	ret = check_signals(w, 1);
	reg_write(&w->dev, EDU_IRQ_ACK, 1);
	if (w->kind == UIOMMU_IRQ_KIND_INTX)
		ret = ret ?: irq_eoi(w->dev.fd);
	return ret;
}

static long check_off(struct world *w)
{
	return do_irq_trigger(w) == -EBUSY ? 0 : -EBADMSG;
}

static long do_eoi(struct world *w)
{
	return irq_eoi(w->dev.fd);
}

static long do_eoi_eventfd(struct world *w)
{
	return irq_eoi_eventfd(w->dev.fd, w->eventfds[1]);
}

static long do_other_eoi_eventfd(struct world *w)
{
	return irq_eoi_eventfd(w->dev.fd, w->eventfds[2]);
}

static long do_no_eoi_eventfd(struct world *w)
{
	return irq_eoi_eventfd(w->dev.fd, -1);
}

/* A line that is still asserted at an end of interrupt signals again. */
static long check_eoi(struct world *w, int eventfd, unsigned int times)
{
	__u64 one = 1;
	long ret = 0;

	reg_write(&w->dev, EDU_IRQ_RAISE, 1);
	if (eventfd_wait(w->eventfds[0], COMES_MS) != 1 ||
	    write(eventfd, &one, sizeof(one)) != sizeof(one) ||
	    eventfd_wait(w->eventfds[0], times ? COMES_MS : 100) != times)
		ret = -EBADMSG;
	reg_write(&w->dev, EDU_IRQ_ACK, 1);
	eventfd_wait(eventfd, 0);
	return ret ?: irq_eoi(w->dev.fd);
}

static long check_eoi_eventfd(struct world *w)
{
	return check_eoi(w, w->eventfds[1], 1);
}

static long check_other_eoi_eventfd(struct world *w)
{
	return check_eoi(w, w->eventfds[2], 1) ?:
	       check_eoi(w, w->eventfds[1], 0);
}

static long check_no_eoi_eventfd(struct world *w)
{
	return check_eoi(w, w->eventfds[1], 0);
}

/* Everything that the last close, or the loss of the device, has to undo */
static long do_use(struct world *w)
{
	long ret = do_reopen(w);

	if (ret < 0)
		return ret;
	w->fd = w->dev.fd;
	ret = do_map(w) ?: do_irq_on(w) ?: do_mmap(w);
	if (ret)
		return ret;
	reg_read(&w->dev, 0);
	return do_munmap_bar(w);
}

static long do_close_device(struct world *w)
{
	w->fd = -1;
	return close_fd(&w->dev.fd);
}

/* Is it quiet, and left for the next one? */
static long check_closed(struct world *w)
{
	if (pci_config_word(w->dev.bdf, PCI_COMMAND) & PCI_COMMAND_MASTER ||
	    count_irqs())
		return -EBUSY;
	return 0;
}

static long do_bind(struct world *w)
{
	return pci_driver_write("vfio", "bind", w->dev.bdf);
}

/* At the same number as before */
static long check_bound(struct world *w)
{
	char node[PATH_MAX];

	if (!pci_driver_is(w->dev.bdf, "vfio") ||
	    node_name(w->dev.bdf, node, sizeof(node)) ||
	    strcmp(node, w->node))
		return -EBADMSG;
	return 0;
}

static long do_unbind(struct world *w)
{
	return pci_unbind(w->dev.bdf);
}

static long do_bind_again(struct world *w)
{
	return pci_bind(w->dev.bdf);
}

static long check_unbound(struct world *w)
{
	char path[PATH_MAX];

	pci_path(path, sizeof(path), w->dev.bdf, "vfio");
	if (pci_driver_is(w->dev.bdf, "vfio") || !access(path, F_OK) ||
	    count_irqs())
		return -EBADMSG;
	return 0;
}

/* Those who have it open know, too. */
static long check_gone(struct world *w)
{
	struct uiommu_region_info info;

	return check_unbound(w) ?:
	       region_info(w->dev.fd, 0, &info) == -ENODEV ? 0 : -EBADMSG;
}

static long do_close_and_bind_again(struct world *w)
{
	return do_close_device(w) ?: do_bind_again(w);
}

/*
 * Memory
 */

/* How many runs of contiguous pages there are */
static size_t count_runs(const char *mem, size_t npages)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	__u64 entry, before = 0;
	size_t i, runs = 0;

	for (i = 0; i < npages; i++) {
		if (pread(fd, &entry, sizeof(entry),
			  ((uintptr_t)mem / page_size() + i) * 8) != 8)
			break;
		entry &= (1ULL << 55) - 1;
		runs += entry != before + 1;
		before = entry;
	}
	close(fd);
	return runs;
}

/* Every other page is somewhere else. */
static char *pages_scattered(size_t npages)
{
	size_t size = npages * page_size(), i;
	char *mem = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED || madvise(mem, 2 * size, MADV_NOHUGEPAGE))
		return NULL;
	for (i = 0; i < size; i += page_size()) {
		mem[i] = 1;
		mem[size + i] = 1;
	}
	return mem;
}

static char *pages_huge(size_t size)
{
	size_t huge = 2 * MIB;
	char *mem = mmap(NULL, size + huge, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		return NULL;
	mem = (char *)(((uintptr_t)mem + huge - 1) & ~(huge - 1));
	if (madvise(mem, size, MADV_HUGEPAGE))
		return NULL;
	memset(mem, 1, size);
	return mem;
}

static char *pages_hugetlb(size_t size)
{
	char *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
			 MAP_HUGE_2MB | MAP_POPULATE, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

/*
 * Tests
 */
FIXTURE(fail)
{
	struct world w;
};

/*
 * The driver of a virtual IOMMU allocates memory in order to unmap. What cannot be
 * unmapped is a defect of the IOMMU here, that is warned of.
 */
static bool iommu_needs_memory(void)
{
	glob_t found;
	bool ret = glob("/sys/class/iommu/virtio*", 0, NULL, &found) == 0;

	if (ret)
		globfree(&found);
	return ret;
}

FIXTURE_SETUP(fail)
{
	struct world *w = &self->w;
	int i;

	w->dev.fd = -1;
	w->dev.space = -1;
	w->dev.log.fd = -1;
	w->other.fd = -1;
	w->other.space = -1;
	w->other.log.fd = -1;
	w->fd = -1;
	w->made = -1;
	for (i = 0; i <= EVENTFDS; i++)
		w->eventfds[i] = -1;
	if (geteuid())
		SKIP(return, "needs root");
	fail_nth = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fail_nth < 0 || set_knobs())
		SKIP(return, "the kernel cannot be made to fail");
	if (iommu_needs_memory())
		SKIP(return, "the IOMMU needs memory to give memory back");
	ASSERT_EQ(0, log_open(&w->dev.log));
	w->dev.space = space_open();
	ASSERT_LE(0, w->dev.space);
	w->size = page_size();
	w->vaddr = pages_alloc(ENTRIES * 2);
	ASSERT_NE(NULL, w->vaddr);
	w->flags = VFIO_FLAG_WRITE;
	for (i = 0; i <= EVENTFDS; i++)
		w->eventfds[i] = eventfd_new();
	/* So that it is there before anything is counted */
	ASSERT_EQ(0, do_new_space_and_map(w));
	ASSERT_EQ(0, do_unmap_and_close(w));
}

static void set_group_type(struct __test_metadata *_metadata, struct world *w,
			   const char *type)
{
	char path[PATH_MAX];

	pci_path(path, sizeof(path), w->dev.bdf, "iommu_group/type");
	if (!*w->type)
		ASSERT_LT(0, file_read(path, w->type, sizeof(w->type)));
	ASSERT_EQ(0, file_write(path, type));
}

FIXTURE_TEARDOWN(fail)
{
	struct world *w = &self->w;

	if (w->dev.bar)
		munmap(w->dev.bar, w->dev.bar_len);
	w->dev.bar = NULL;
	if (w->fd >= 0 && w->fd != w->dev.fd && w->fd != w->dev.space)
		close(w->fd);
	if (w->made >= 0)
		close(w->made);
	device_close(&w->other);
	device_close(&w->dev);
	log_close(&w->dev.log);
	if (w->dev.bdf && !pci_driver_is(w->dev.bdf, "vfio"))
		EXPECT_EQ(0, pci_bind(w->dev.bdf));
	if (*w->type)
		set_group_type(_metadata, w, w->type);
}

/* Some device, by the name that run.sh gave it */
static bool find_device(struct world *w, const char *name)
{
	w->dev.bdf = getenv(name);
	return w->dev.bdf && !node_name(w->dev.bdf, w->node, sizeof(w->node));
}

static void open_device(struct __test_metadata *_metadata, struct world *w)
{
	w->dev.fd = open_path(w->node, O_RDWR);
	ASSERT_LE(0, w->dev.fd);
}

static void attach_device(struct __test_metadata *_metadata, struct world *w)
{
	open_device(_metadata, w);
	ASSERT_EQ(0, device_attach(&w->dev));
}

#define SWEEP(w, ...) \
	sweep(_metadata, w, &(const struct call) { __VA_ARGS__ })

TEST_F_TIMEOUT(fail, open_space, TEST_SECONDS)
{
	SWEEP(&self->w, .name = "open of a space", .call = do_open_space,
	      .after = do_close_made);
}

TEST_F_TIMEOUT(fail, close_space, TEST_SECONDS)
{
	SWEEP(&self->w, .name = "close of a space", .flags = CANNOT_FAIL | MAY_LACK,
	      .before = do_new_space_and_map, .call = do_close_fd);
}

static void sweep_map(struct __test_metadata *_metadata, struct world *w,
		      const char *name, const char *unmap)
{
	SWEEP(w, .name = name, .before = do_new_tables, .call = do_map,
	      .after = do_unmap);
	SWEEP(w, .name = unmap, .flags = ONLY_ARGUMENT, .before = do_map,
	      .call = do_unmap);
}

static void sweep_map_of(struct __test_metadata *_metadata, struct world *w,
			 char *mem, size_t size, const char *name,
			 const char *unmap)
{
	char *vaddr = w->vaddr;

	ASSERT_NE(NULL, mem);
	w->vaddr = mem;
	w->size = size;
	sweep_map(_metadata, w, name, unmap);
	w->vaddr = vaddr;
	w->size = page_size();
}

static void sweep_sizes(struct __test_metadata *_metadata, struct world *w)
{
	size_t many = MANY_PAGES * page_size();
	char *mem;

	sweep_map(_metadata, w, "map a page", "unmap a page");
	w->flags |= UIOMMU_FLAG_KEEP;
	sweep_map(_metadata, w, "map and keep", "unmap what was kept");
	w->flags &= ~UIOMMU_FLAG_KEEP;

	mem = pages_scattered(MANY_PAGES);
	ASSERT_NE(NULL, mem);
	EXPECT_LT(MANY_PAGES * 9 / 10, count_runs(mem, MANY_PAGES));
	sweep_map_of(_metadata, w, mem, many, "map many pages",
		     "unmap many pages");
	munmap(mem, 2 * many);

	sweep_map_of(_metadata, w, pages_huge(4 * MIB), 4 * MIB,
		     "map huge pages", "unmap huge pages");
	mem = pages_hugetlb(4 * MIB);
	if (!mem) {
		TH_LOG("no hugetlb pages");
		return;
	}
	sweep_map_of(_metadata, w, mem, 4 * MIB, "map hugetlb pages",
		     "unmap hugetlb pages");
	munmap(mem, 4 * MIB);
}

/* Every @step-th page, for entries that are to be mapped together or not */
static void make_batch(struct world *w, unsigned int step)
{
	unsigned int i;

	for (i = 0; i < ENTRIES; i++) {
		w->entries[i] = (struct vfio_dma_map) {
			.vaddr = (uintptr_t)w->vaddr + i * step * page_size(),
			.dmaaddr = IOVA_A + i * step * page_size(),
			.size = page_size(),
			.flags = VFIO_FLAG_WRITE,
		};
	}
}

static void sweep_batches(struct __test_metadata *_metadata, struct world *w)
{
	unsigned int step;

	for (step = 1; step <= 2; step++) {
		make_batch(w, step);
		SWEEP(w, .name = step == 1 ? "map a batch" :
					     "map a batch with gaps",
		      .flags = IN_PART, .before = do_new_tables,
		      .call = do_map_batch,
		      .check = check_batch, .after = do_unmap_all);
		SWEEP(w, .name = step == 1 ? "unmap a batch" :
					     "unmap a batch with gaps",
		      .flags = IN_PART, .before = do_map_each,
		      .call = do_unmap_batch, .check = check_batch,
		      .after = do_unmap_all);
	}
	SWEEP(w, .name = "unmap all", .flags = ONLY_ARGUMENT,
	      .before = do_map_each, .call = do_unmap_all,
	      .check = check_empty);
}

static void sweep_maps(struct __test_metadata *_metadata, struct world *w)
{
	sweep_sizes(_metadata, w);
	SWEEP(w, .name = "map what was not touched yet",
	      .before = do_forget_memory, .call = do_map, .after = do_unmap);
	SWEEP(w, .name = "map anywhere", .call = do_map_lowest,
	      .check = check_lowest, .after = do_unmap_lowest);
	sweep_batches(_metadata, w);
	/* Its memory goes, or the call does nothing. */
	SWEEP(w, .name = "munmap what is mapped",
	      .before = do_populate_and_map, .call = do_munmap,
	      .check = check_empty, .after = do_populate);
}

TEST_F_TIMEOUT(fail, map_without_device, TEST_SECONDS)
{
	struct world *w = &self->w;

	SWEEP(w, .name = "map through a new file", .before = do_new_space,
	      .call = do_map, .after = do_unmap_and_close);
	w->fd = w->dev.space;
	sweep_maps(_metadata, w);
}

TEST_F_TIMEOUT(fail, map_through_device, TEST_SECONDS)
{
	struct world *w = &self->w;

	if (!find_device(w, "UIOMMU_EDU"))
		SKIP(return, "no edu device");
	attach_device(_metadata, w);
	SWEEP(w, .name = "map through a new file of a device",
	      .before = do_new_node, .call = do_map,
	      .after = do_unmap_and_close);
	/* Not the last one: the device stays as it is. */
	SWEEP(w, .name = "close of a file of a device",
	      .flags = CANNOT_FAIL | MAY_LACK, .before = do_new_node_and_map,
	      .call = do_close_fd);
	w->fd = w->dev.fd;
	sweep_maps(_metadata, w);
}

TEST_F_TIMEOUT(fail, tell_of_space, TEST_SECONDS)
{
	struct world *w = &self->w;

	w->fd = w->dev.space;
	SWEEP(w, .name = "info of a space", .call = do_info);
	SWEEP(w, .name = "event fd of a space", .call = do_event_fd,
	      .after = do_close_made);
	w->made = event_fd(w->fd, 0, false);
	ASSERT_LE(0, w->made);
	SWEEP(w, .name = "read of an event", .before = do_lose,
	      .call = do_read_event, .check = check_event,
	      .after = do_populate);
}

static void sweep_file(struct __test_metadata *_metadata, struct world *w,
		       const char *name)
{
	w->len = file_read(w->path, w->want, sizeof(w->want));
	ASSERT_LT(0, w->len);
	SWEEP(w, .name = name, .call = do_read_path, .check = check_whole);
}

static void sweep_fdinfo(struct __test_metadata *_metadata, struct world *w,
			 int fd, const char *name)
{
	snprintf(w->path, sizeof(w->path), "/proc/self/fdinfo/%d", fd);
	sweep_file(_metadata, w, name);
}

static void sweep_attr(struct __test_metadata *_metadata, struct world *w,
		       const char *name)
{
	ASSERT_EQ(0, node_attr(w->dev.bdf, name, w->path, sizeof(w->path)));
	sweep_file(_metadata, w, name);
}

TEST_F_TIMEOUT(fail, tell_of_device, TEST_SECONDS)
{
	struct world *w = &self->w;

	if (!find_device(w, "UIOMMU_EDU"))
		SKIP(return, "no edu device");
	/* The rules are made for the reader while nobody has it open. */
	sweep_attr(_metadata, w, "config_map");
	sweep_attr(_metadata, w, "config_rules");
	attach_device(_metadata, w);
	w->fd = w->dev.fd;
	ASSERT_EQ(0, do_map(w));
	sweep_attr(_metadata, w, "config_map");
	sweep_attr(_metadata, w, "config_rules");
	sweep_attr(_metadata, w, "locked_pages");
	sweep_fdinfo(_metadata, w, w->dev.fd, "fdinfo of a device");
	sweep_fdinfo(_metadata, w, w->dev.space, "fdinfo of a space");
	SWEEP(w, .name = "info of the space of a device", .call = do_info);
	SWEEP(w, .name = "info of a device", .call = do_device_info);
	SWEEP(w, .name = "info of a region", .call = do_region_info);
	SWEEP(w, .name = "length of a BAR", .flags = MAY_LACK,
	      .call = do_bar_len);
	SWEEP(w, .name = "event fd of a device", .call = do_event_fd,
	      .after = do_close_made);
}

TEST_F_TIMEOUT(fail, open_device, TEST_SECONDS)
{
	struct world *w = &self->w;

	/* It has no INTx, which ACPI would be asked about. */
	if (!find_device(w, "UIOMMU_TESTDEV"))
		SKIP(return, "no pci-testdev");
	ASSERT_LE(0, do_open_node(w));
	w->len = know(w->made, w->want);
	ASSERT_LT(0, w->len);
	ASSERT_EQ(0, do_close_made(w));
	SWEEP(w, .name = "first open of a device", .call = do_open_node,
	      .check = check_node, .after = do_close_made);
	open_device(_metadata, w);
	SWEEP(w, .name = "second open of a device", .call = do_open_node,
	      .check = check_node, .after = do_close_made);
}

/* Does a page that is mapped reach the device? */
static void expect_dma(struct __test_metadata *_metadata, struct world *w)
{
	struct engine engine;

	ASSERT_EQ(0, engine_attach(&engine, &w->dev));
	w->fd = w->dev.space;
	ASSERT_EQ(0, dma_map(w->fd, w->vaddr, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_TRUE(engine_reaches(&engine, IOVA_A, w->vaddr));
	EXPECT_EQ(0, dma_unmap(w->fd, IOVA_A, page_size()));
	engine_stop(&engine);
}

static void sweep_set(struct __test_metadata *_metadata, struct world *w,
		      const char *name)
{
	struct state s = {};

	ASSERT_EQ(0, do_set(w));
	say_fdinfo(&s, "space", w->dev.space);
	strcpy(w->want, s.text);
	ASSERT_EQ(0, do_unset(w));
	SWEEP(w, .name = name, .flags = NO_NUMBERS, .call = do_set,
	      .check = check_set, .after = do_unset);
}

TEST_F_TIMEOUT(fail, attach, TEST_SECONDS)
{
	size_t many = MANY_PAGES * page_size();
	struct world *w = &self->w;
	char *mem;

	if (!find_device(w, "UIOMMU_EDU"))
		SKIP(return, "no edu device");
	open_device(_metadata, w);
	sweep_set(_metadata, w, "set of an empty space");

	mem = pages_scattered(MANY_PAGES);
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, dma_map(w->dev.space, mem, IOVA_LARGE, many,
			     VFIO_FLAG_WRITE));
	mem = pages_huge(2 * MIB);
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, dma_map(w->dev.space, mem, IOVA_LARGE + 8 * MIB, 2 * MIB,
			     VFIO_FLAG_WRITE));
	sweep_set(_metadata, w, "set of a space");
	SWEEP(w, .name = "unset", .flags = CANNOT_FAIL | MAY_LACK,
	      .before = do_set, .call = do_unset);

	w->other.bdf = getenv("UIOMMU_NVME");
	if (w->other.bdf) {
		w->other.fd = node_open(w->other.bdf, O_RDWR);
		ASSERT_LE(0, w->other.fd);
		ASSERT_EQ(0, do_set(w));
		SWEEP(w, .name = "set of another device", .flags = NO_NUMBERS,
		      .call = do_set_other, .after = do_unset_other);
		SWEEP(w, .name = "unset of another device",
		      .flags = CANNOT_FAIL, .before = do_set_other,
		      .call = do_unset_other, .after = do_set_and_unset_other);
		ASSERT_EQ(0, do_unset(w));
	}
	expect_dma(_metadata, w);
}

static void sweep_read(struct __test_metadata *_metadata, struct world *w,
		       const char *name, unsigned int space, __u64 pos,
		       ssize_t len, step_t before)
{
	w->space = space;
	w->pos = pos;
	w->len = len;
	ASSERT_EQ(len, space_read(w->dev.fd, space, pos, w->want, len));
	SWEEP(w, .name = name, .before = before, .call = do_read_space,
	      .check = check_start);
}

TEST_F_TIMEOUT(fail, registers, TEST_SECONDS)
{
	struct world *w = &self->w;
	__u16 command;

	if (!find_device(w, "UIOMMU_EDU"))
		SKIP(return, "no edu device");
	attach_device(_metadata, w);
	w->fd = w->dev.fd;
	sweep_read(_metadata, w, "first read of a BAR", 0, EDU_ID, 4,
		   do_reopen);
	sweep_read(_metadata, w, "read of a BAR", 0, EDU_ID, 4, NULL);
	sweep_read(_metadata, w, "read of config space",
		   VFIO_PCI_CONFIG_RESOURCE, PCI_VENDOR_ID, 16, NULL);

	w->space = 0;
	w->pos = EDU_LIVENESS;
	w->len = 4;
	memcpy(w->want, "\x12\x34\x56\x78", 4);
	SWEEP(w, .name = "write of a BAR", .call = do_write_space,
	      .check = check_liveness);
	w->space = VFIO_PCI_CONFIG_RESOURCE;
	w->pos = PCI_COMMAND;
	w->len = 2;
	command = config_read(w->dev.fd, PCI_COMMAND, 2);
	memcpy(w->want, &command, sizeof(command));
	SWEEP(w, .name = "write of config space", .call = do_write_space,
	      .check = check_written);

	SWEEP(w, .name = "mmap of a BAR", .before = do_new_node,
	      .call = do_mmap, .check = check_bar,
	      .after = do_munmap_bar_and_close);
	w->fd = w->dev.fd;
	SWEEP(w, .name = "touch of a BAR", .flags = CANNOT_FAIL,
	      .before = do_mmap_far_away, .call = do_touch,
	      .after = do_munmap_bar);
}

TEST_F_TIMEOUT(fail, rom, TEST_SECONDS)
{
	struct world *w = &self->w;

	if (!find_device(w, "UIOMMU_E1000E"))
		SKIP(return, "no e1000e device");
	attach_device(_metadata, w);
	if (bar_len(w->dev.fd, VFIO_PCI_ROM_RESOURCE) <= 0)
		SKIP(return, "it has no ROM");
	sweep_read(_metadata, w, "first read of the ROM",
		   VFIO_PCI_ROM_RESOURCE, 0, 256, do_reopen);
	EXPECT_EQ(0, memcmp(w->want, "\x55\xaa", 2));
	sweep_read(_metadata, w, "read of the ROM", VFIO_PCI_ROM_RESOURCE, 0,
		   256, NULL);
}

TEST_F_TIMEOUT(fail, reset, TEST_SECONDS)
{
	struct world *w = &self->w;

	if (!find_device(w, "UIOMMU_EDU"))
		SKIP(return, "no edu device");
	attach_device(_metadata, w);
	ASSERT_EQ(0, device_map_bar(&w->dev, 0));
	SWEEP(w, .name = "reset", .call = do_reset, .check = check_bar);
}

TEST_F_TIMEOUT(fail, reset_set, TEST_SECONDS)
{
	struct world *w = &self->w;

	w->other.bdf = getenv("UIOMMU_SIBLING2");
	if (!find_device(w, "UIOMMU_SIBLING1") || !w->other.bdf)
		SKIP(return, "no two devices that are reset together");
	open_device(_metadata, w);
	w->other.fd = node_open(w->other.bdf, O_RDWR);
	ASSERT_LE(0, w->other.fd);
	ASSERT_EQ(0, do_reset_set(w));
	ASSERT_EQ(0, device_attach(&w->dev));
	ASSERT_EQ(0, do_set_other(w));
	ASSERT_EQ(0, device_map_bar(&w->dev, 0));
	SWEEP(w, .name = "reset of a set", .call = do_reset_set,
	      .check = check_both);
}

static void sweep_irqs(struct __test_metadata *_metadata, struct world *w)
{
	SWEEP(w, .name = "turn interrupts on", .flags = NO_NUMBERS,
	      .call = do_irq_on, .check = check_irq, .after = do_irq_off);
	SWEEP(w, .name = "turn interrupts off",
	      .flags = CANNOT_FAIL | MAY_LACK, .before = do_irq_on,
	      .call = do_irq_off, .check = check_off);
	SWEEP(w, .name = "swap eventfds", .before = do_irq_on,
	      .call = do_irq_swap, .check = check_irq, .after = do_irq_off);
	SWEEP(w, .name = "set eventfds of a range", .before = do_irq_on,
	      .call = do_irq_set, .check = check_irq, .after = do_irq_off);
	SWEEP(w, .name = "take eventfds of a range away", .before = do_irq_on,
	      .call = do_irq_none, .check = check_none, .after = do_irq_off);
	SWEEP(w, .name = "trigger", .flags = ONLY_ARGUMENT,
	      .before = do_irq_on, .call = do_irq_trigger,
	      .check = check_triggered, .after = do_irq_off);
	if (w->kind != UIOMMU_IRQ_KIND_INTX)
		SWEEP(w, .name = "affinity", .before = do_irq_on,
		      .call = do_irq_affinity, .check = check_irq,
		      .after = do_irq_off);
}

TEST_F_TIMEOUT(fail, intx, TEST_SECONDS)
{
	struct world *w = &self->w;

	if (!find_device(w, "UIOMMU_EDU"))
		SKIP(return, "no edu device");
	if (spare_irq_core())
		SKIP(return, "the interrupt core cannot be spared");
	attach_device(_metadata, w);
	ASSERT_EQ(0, device_map_bar(&w->dev, 0));
	w->kind = UIOMMU_IRQ_KIND_INTX;
	w->cmd = VFIO_EVENTFD_IRQ;
	w->vectors = 1;
	sweep_irqs(_metadata, w);
	ASSERT_EQ(0, do_irq_on(w));
	SWEEP(w, .name = "end of interrupt", .flags = ONLY_ARGUMENT,
	      .call = do_eoi);
	SWEEP(w, .name = "set an EOI eventfd", .call = do_eoi_eventfd,
	      .check = check_eoi_eventfd, .after = do_no_eoi_eventfd);
	SWEEP(w, .name = "swap an EOI eventfd", .before = do_eoi_eventfd,
	      .call = do_other_eoi_eventfd, .check = check_other_eoi_eventfd,
	      .after = do_no_eoi_eventfd);
	SWEEP(w, .name = "take an EOI eventfd away", .flags = ONLY_ARGUMENT,
	      .before = do_eoi_eventfd, .call = do_no_eoi_eventfd,
	      .check = check_no_eoi_eventfd);
}

TEST_F_TIMEOUT(fail, msi, TEST_SECONDS)
{
	struct world *w = &self->w;

	if (!find_device(w, "UIOMMU_EDU"))
		SKIP(return, "no edu device");
	if (spare_irq_core())
		SKIP(return, "the interrupt core cannot be spared");
	attach_device(_metadata, w);
	ASSERT_EQ(0, device_map_bar(&w->dev, 0));
	w->kind = UIOMMU_IRQ_KIND_MSI;
	w->cmd = VFIO_EVENTFD_MSI;
	w->vectors = 1;
	sweep_irqs(_metadata, w);
}

TEST_F_TIMEOUT(fail, several_msi, TEST_SECONDS)
{
	struct world *w = &self->w;

	if (!find_device(w, "UIOMMU_XHCI"))
		SKIP(return, "no xhci device");
	if (spare_irq_core())
		SKIP(return, "the interrupt core cannot be spared");
	attach_device(_metadata, w);
	w->kind = UIOMMU_IRQ_KIND_MSI;
	w->cmd = VFIO_EVENTFDS_MSI;
	w->vectors = 2;
	sweep_irqs(_metadata, w);
}

TEST_F_TIMEOUT(fail, msix, TEST_SECONDS)
{
	struct world *w = &self->w;

	if (!find_device(w, "UIOMMU_NVME"))
		SKIP(return, "no nvme device");
	if (spare_irq_core())
		SKIP(return, "the interrupt core cannot be spared");
	attach_device(_metadata, w);
	w->kind = UIOMMU_IRQ_KIND_MSIX;
	w->cmd = VFIO_EVENTFDS_MSIX;
	w->vectors = 2;
	sweep_irqs(_metadata, w);
	if (do_irq_on(w) || do_irq_add(w)) {
		TH_LOG("vectors cannot be added here");
		return;
	}
	ASSERT_EQ(0, do_irq_off(w));
	SWEEP(w, .name = "add vectors", .flags = NO_NUMBERS,
	      .before = do_irq_on, .call = do_irq_add, .check = check_added,
	      .after = do_irq_off);
}

/*
 * The IOMMU core gives a group back to the domain that the kernel has for it; it
 * does not expect that to fail and warns, and goes on without. The domain that maps
 * all memory needs no memory to go back to.
 */
TEST_F_TIMEOUT(fail, close_device, TEST_SECONDS)
{
	struct world *w = &self->w;

	/* It has no INTx, which ACPI would be asked about. */
	if (!find_device(w, "UIOMMU_VF"))
		SKIP(return, "no virtual function");
	if (spare_irq_core())
		SKIP(return, "the interrupt core cannot be spared");
	set_group_type(_metadata, w, "identity");
	w->kind = UIOMMU_IRQ_KIND_MSIX;
	w->cmd = VFIO_EVENTFDS_MSIX;
	w->vectors = 2;
	SWEEP(w, .name = "last close of a device",
	      .flags = CANNOT_FAIL | MAY_LACK,
	      .before = do_use, .call = do_close_device,
	      .check = check_closed);
}

TEST_F_TIMEOUT(fail, bind, TEST_SECONDS)
{
	struct world *w = &self->w;

	if (!find_device(w, "UIOMMU_TESTDEV"))
		SKIP(return, "no pci-testdev");
	/* With the lowest free number, which it gets again each time */
	ASSERT_EQ(0, do_unbind(w));
	ASSERT_EQ(0, do_bind_again(w));
	ASSERT_TRUE(find_device(w, "UIOMMU_TESTDEV"));
	ASSERT_EQ(0, do_unbind(w));
	SWEEP(w, .name = "bind", .call = do_bind, .check = check_bound,
	      .after = do_unbind);
	ASSERT_EQ(0, do_bind_again(w));
	SWEEP(w, .name = "unbind", .call = do_unbind, .check = check_unbound,
	      .after = do_bind_again);
}

TEST_F_TIMEOUT(fail, unbind_in_use, TEST_SECONDS)
{
	struct world *w = &self->w;

	/* It has no INTx, which ACPI would be asked about. */
	if (!find_device(w, "UIOMMU_VF"))
		SKIP(return, "no virtual function");
	if (spare_irq_core())
		SKIP(return, "the interrupt core cannot be spared");
	set_group_type(_metadata, w, "identity");
	w->kind = UIOMMU_IRQ_KIND_MSIX;
	w->cmd = VFIO_EVENTFDS_MSIX;
	w->vectors = 2;
	SWEEP(w, .name = "unbind in use", .before = do_use,
	      .call = do_unbind, .check = check_gone,
	      .after = do_close_and_bind_again);
}

TEST_HARNESS_MAIN

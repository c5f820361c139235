// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzz: threads of some processes make every request and access with arguments
 * that are right, nearly right and hostile, share files, lose memory and die, while
 * an administrator takes the devices away and brings them back.
 *
 * UIOMMU_FUZZ is for how many seconds (default: 10), UIOMMU_SEED for what to begin
 * with (default: the time). Each step draws from the seed, the process, how often
 * that was started, the thread and the step alone: what comes back from the kernel
 * changes none of the others. UIOMMU_FUZZ_PROCESS=N or N.M runs only process N, from
 * its M-th start on; the last process is the administrator. UIOMMU_FUZZ_WITHOUT names
 * devices to leave alone ("NVME XHCI").
 *
 * What a request may answer is from <linux/uiommu.h>. What a driver without faults
 * has no reason for (EIO of a mapping) is not accepted, although the header has it.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/mman.h>
#include <linux/userfaultfd.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest.h"
#include "util.h"

#define SECONDS		10
/* In so many each request has to work that was made so often. */
#define LONG_RUN	60
#define ENOUGH		200
/* A process lives for so long or so many steps at most. */
#define LIFE_MS		30000
#define LIFE_STEPS	8000
#define PROCESSES	3
#define ADMIN		PROCESSES
#define THREADS		3
/* A process gets on with something in this time. */
#define STALL_MS	60000
#define MAX_DEVICES	16
#define MAX_WRONG	24
#define MAX_CHILDREN	4
#define NUM_SLOTS	8
#define NUM_ERRNO	134
#define MAX_ROWS	80
#define RING		16
#define WORDS		6

#define LIMIT_MEMLOCK	(128UL << 20)
#define LIMIT_MEMORY	(512UL << 20)
#define LIMIT_FILES	256

/* Offsets in one reserved range; nobody can map anything in between. */
#define HUGE		(2UL << 20)
#define ARENA_AT	HUGE
#define ARENA_SIZE	(2 * HUGE)
#define BARS_AT		(4 * HUGE)
#define BARS_SIZE	(2 * HUGE)
#define BAR_ROOM	0x100000UL
#define SHARED_AT	(7 * HUGE)
#define SHARED_SIZE	(HUGE / 2)
#define HUGETLB_AT	(8 * HUGE)
#define AREA_SIZE	(10 * HUGE)
/* An argument ends before a page that cannot be touched. */
#define ARG_SIZE	(64UL << 10)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

enum file_kind { DEVICE, SPACE, EVENTS, EVENTFD, OTHER, NUM_KINDS };

#define ON(kind)	(1 << (kind))
#define ON_BOTH		(ON(DEVICE) | ON(SPACE))

/**
 * struct record - a step
 * @row: what was done
 * @fd: of what
 * @step: number of the step
 * @ret: what came back
 * @word: the first bytes of the argument
 */
struct record {
	int row;
	int fd;
	__u64 step;
	long ret;
	__u64 word[WORDS];
};

/**
 * struct state - what others see of a thread
 * @begin: since when it is in the kernel, 0 for not at all
 * @end: when it was back
 * @num: records that were made
 * @ring: the last of them
 */
struct state {
	__u64 begin;
	__u64 end;
	unsigned int num;
	struct record ring[RING];
};

/**
 * struct worker - a process
 * @pid: the process, 0 for none
 * @generation: how often it was started
 * @until: when to end it
 * @steps: of all threads, after which to end it, too
 * @ending: it is told to end, or was killed
 * @states: of its threads
 */
struct worker {
	pid_t pid;
	unsigned int generation;
	__u64 until;
	unsigned int steps;
	int ending;
	struct state states[THREADS];
};

/**
 * struct stats - what came of a row
 * @done: how often
 * @good: with success
 * @errors: with an error
 */
struct stats {
	unsigned long done;
	unsigned long good;
	unsigned int errors[NUM_ERRNO];
};

/* In memory that all processes have */
static struct shared {
	struct worker workers[PROCESSES + 1];
	struct stats stats[MAX_ROWS];
	unsigned char seen[MAX_ROWS][NUM_ERRNO];
	unsigned int num_wrong;
	char wrong[MAX_WRONG][400];
} *shared;

static struct {
	const char *name;
	const char *bdf;
	unsigned int unit;
	bool edu;
	bool removable;
} devices[MAX_DEVICES];

static unsigned int num_devices, num_units;
static __u64 seed;
/* A userfaultfd of this process, -1 for none */
static int pager = -1;
/* Files that processes give to each other */
static int mailbox[2] = { -1, -1 };

/* Of this process */
static __u64 slots[NUM_KINDS][NUM_SLOTS];
static unsigned int mine[MAX_DEVICES], num_mine, num_children, files_made;
/* Of each device, what was turned on last */
static unsigned char irq_kinds[MAX_DEVICES];
static unsigned char *area, *read_only, *no_access;

/**
 * struct thread - a thread
 * @process: its number
 * @generation: how often the process was started
 * @index: of the process
 * @step: number of the step
 * @random: what is drawn next
 * @state: what others see
 * @record: the record of the step
 * @arg: ARG_SIZE bytes for arguments
 * @array: the same for what they point at
 * @fd: used in this step
 * @device: whose, if it is one of a device
 * @slot: where that is, and must be afterwards for its errors to tell something
 * @was: what was in there
 * @num: entries of the array
 * @wild: an argument is not what it should be
 * @signals: the step can be interrupted
 * @forked: it is in a child of the process
 * @touches: a fault is expected
 * @fault: where to go on after it
 */
struct thread {
	unsigned int process;
	unsigned int generation;
	unsigned int index;
	__u64 step;
	__u64 random;
	struct state *state;
	struct record *record;
	unsigned char *arg;
	unsigned char *array;
	int fd;
	unsigned int device;
	__u64 *slot;
	__u64 was;
	__u32 num;
	bool wild;
	bool signals;
	bool forked;
	bool touches;
	sigjmp_buf fault;
};

static __thread struct thread *self;

enum source {
	SIZE, FLAGS, ZERO, VADDR, IOVA, LENGTH, HIGHEST, COUNT, VALUE, SMALL,
	SPACE_FD, EVENT_FD, REGION, KIND, FOUND, FDS_SIZE, MASK_SIZE,
	MAPS, WINDOWS, DEVICE_FDS, EVENT_FDS, EVENT_FDS_HERE, CPUS,
};

/**
 * struct field - a field of an argument
 * @pos: offset
 * @width: bytes
 * @source: where its value is from
 * @arg: flags there are, the value, the highest or the like
 */
struct field {
	unsigned char pos;
	unsigned char width;
	unsigned char source;
	unsigned int arg;
};

/**
 * struct row - something to do
 * @name: of it
 * @weight: how often, compared with others
 * @run: does it, NULL for a request
 * @cmd: the request
 * @size: of its argument
 * @on: kinds of files that it is for
 * @fields: of its argument
 * @errors: that it can give
 * @common: more of those; any when there are none in both
 * @fails: never works
 * @extra: needs more than there may be: it is none that has to work
 */
struct row {
	const char *name;
	unsigned int weight;
	long (*run)(struct thread *t);
	unsigned long cmd;
	unsigned int size;
	unsigned int on;
	const struct field *fields;
	const short *errors;
	unsigned int common;
	bool fails;
	bool extra;
};

#define FIELDS(...)	((const struct field[]) { __VA_ARGS__, {} })
#define ERRORS(...)	((const short []) { __VA_ARGS__, 0 })

/* What many have in common */
enum {
	EXTENSIBLE = 1 << 0,	/* every extensible structure */
	OF_DEVICE = 1 << 1,	/* what needs the device or its space */
	OF_MAP = 1 << 2,
	OF_UNMAP = 1 << 3,
	OF_MMAP = 1 << 4,
	OF_IRQ = 1 << 5,
};

static const short common_errors[][8] = {
	{ EFAULT, EINVAL, E2BIG, EOPNOTSUPP },
	{ EINVAL, ENODEV, ENOMEM },
	{ EFAULT, EINVAL, EOPNOTSUPP, EBUSY, EADDRNOTAVAIL, ENOMEM },
	{ EFAULT, EINVAL, EOPNOTSUPP, EBUSY, ENXIO },
	{ EINVAL, ENODEV, ENOMEM, EBUSY, EACCES, EPERM, EAGAIN },
	{ EFAULT, EINVAL, EBADF, EBUSY, EOPNOTSUPP, ENOSPC },
};

/*
 * Chance
 */
static __u64 mix(__u64 val)
{
	val += 0x9e3779b97f4a7c15ULL;
	val = (val ^ (val >> 30)) * 0xbf58476d1ce4e5b9ULL;
	val = (val ^ (val >> 27)) * 0x94d049bb133111ebULL;
	return val ^ (val >> 31);
}

static __u64 draw(struct thread *t)
{
	return t->random = mix(t->random);
}

static unsigned int any(struct thread *t, unsigned int num)
{
	return (draw(t) >> 16) % num;
}

static void begin_draw(struct thread *t)
{
	t->random = mix(mix(seed + t->process) ^ t->generation);
	t->random = mix(mix(t->random + t->index) ^ t->step);
}

/*
 * What is wrong
 */
static void wrong(const char *format, ...)
{
	unsigned int i = __atomic_fetch_add(&shared->num_wrong, 1,
					    __ATOMIC_RELAXED);
	va_list args;

	if (i >= MAX_WRONG)
		return;
	va_start(args, format);
	vsnprintf(shared->wrong[i], sizeof(shared->wrong[i]), format, args);
	va_end(args);
}

/*
 * Files: a slot has the file descriptor + 1, its device and a number that is new
 * each time.
 */
static int slot_fd(__u64 val)
{
	return (int)(val & 0xffff) - 1;
}

static unsigned int slot_device(__u64 val)
{
	return val >> 16 & 0xffff;
}

static void slot_put(struct thread *t, enum file_kind kind, int fd,
		     unsigned int device)
{
	__u64 val = (__u64)__atomic_add_fetch(&files_made, 1,
					      __ATOMIC_RELAXED) << 32;
	__u64 *slot = &slots[kind][any(t, NUM_SLOTS)];

	val |= device << 16 | (fd + 1);
	val = __atomic_exchange_n(slot, val, __ATOMIC_SEQ_CST);
	if (val)
		close(slot_fd(val));
}

/* A file of that kind, in @t; false when there is none. */
static bool slot_use(struct thread *t, enum file_kind kind)
{
	unsigned int first = any(t, NUM_SLOTS), i;

	for (i = 0; i < NUM_SLOTS; i++) {
		t->slot = &slots[kind][(first + i) % NUM_SLOTS];
		t->was = __atomic_load_n(t->slot, __ATOMIC_SEQ_CST);
		if (!t->was)
			continue;
		t->fd = slot_fd(t->was);
		t->device = slot_device(t->was);
		return true;
	}
	t->slot = NULL;
	t->fd = -1;
	return false;
}

/* Another one beside that of the step, -1 for none */
static int slot_look(struct thread *t, enum file_kind kind)
{
	unsigned int first = any(t, NUM_SLOTS), i;
	__u64 val;

	for (i = 0; i < NUM_SLOTS; i++) {
		val = slots[kind][(first + i) % NUM_SLOTS];
		if (val)
			return slot_fd(val);
	}
	return -1;
}

/* What a file that came from others is */
static enum file_kind kind_of(int fd)
{
	static const struct {
		const char *text;
		enum file_kind kind;
	} kinds[] = {
		{ "/dev/vfio", DEVICE },
		{ "/dev/uiommu", SPACE },
		{ "anon_inode:[uiommu-events]", EVENTS },
		{ "anon_inode:[eventfd]", EVENTFD },
	};
	char path[40], link[64] = {};
	unsigned int i;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, link, sizeof(link) - 1) < 0)
		return OTHER;
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strncmp(link, kinds[i].text, strlen(kinds[i].text)))
			return kinds[i].kind;
	return OTHER;
}

static int other_fd(struct thread *t)
{
	switch (any(t, 8)) {
	case 0:
		return -1;
	case 1:
		return INT_MIN;
	case 2:
		return LIMIT_FILES + any(t, 1000);
	default:
		return slot_look(t, any(t, NUM_KINDS));
	}
}

/*
 * Is what the step came back with about the file that it was meant for? A child
 * does not know: its slots were copied later than its files.
 */
static bool is_same_file(struct thread *t)
{
	return t->slot && !t->forked &&
	       __atomic_load_n(t->slot, __ATOMIC_SEQ_CST) == t->was;
}

/*
 * Memory
 */
static size_t page(void)
{
	return 4096;
}

static unsigned char *any_bar(struct thread *t)
{
	return area + BARS_AT + any(t, BARS_SIZE / BAR_ROOM) * BAR_ROOM;
}

/*
 * Somewhere in a BAR mapping; what the kernel puts there goes to the device, and
 * QEMU ends itself when the DMA registers of edu, below 0x100, have such values.
 */
static unsigned char *in_bar(struct thread *t)
{
	return any_bar(t) + 0x100 + any(t, 0xe00);
}

static unsigned char *in_arena(struct thread *t)
{
	unsigned int pages = any(t, 4) ? 64 : ARENA_SIZE / page();

	return area + ARENA_AT + any(t, pages) * page();
}

/* Memory that can be mapped, most of the time */
static __u64 any_vaddr(struct thread *t)
{
	switch (any(t, 16)) {
	case 0:
		return (uintptr_t)area + SHARED_AT + any(t, 64) * page();
	case 1:
		return (uintptr_t)area + HUGETLB_AT + any(t, 2) * page();
	case 2:
		return (uintptr_t)area + ARENA_AT + HUGE;
	case 3:
		return any(t, 2) ? (uintptr_t)any_bar(t) : (uintptr_t)read_only;
	default:
		return (uintptr_t)in_arena(t);
	}
}

static void *hostile(struct thread *t)
{
	static const __u64 addresses[] = {
		0, 1, 4095, 0x7ffffffff000ULL, 0x7ffffffffffcULL,
		0x800000000000ULL, 0x8000000000000000ULL,
		0xffff888000001000ULL, 0xffffffff81000000ULL,
		0xffffffffff600000ULL, -4096ULL, -8ULL, -1ULL,
	};

	t->wild = true;
	switch (any(t, 8)) {
	case 0:
		return no_access + any(t, 64) * 8;
	case 1:
		return no_access - any(t, 64);
	case 2:
		return read_only + any(t, 64) * 8;
	case 3:
		return in_bar(t);
	case 4:
		return in_arena(t) + any(t, 4096);
	case 5:
		/* Runs out of the arena */
		return area + ARENA_AT + ARENA_SIZE - any(t, 64);
	default:
		return (void *)(uintptr_t)
			addresses[any(t, ARRAY_SIZE(addresses))];
	}
}

static __u64 any_iova(struct thread *t)
{
	static const __u64 bases[] = {
		IOVA_A, IOVA_A, IOVA_A, IOVA_A, IOVA_A, IOVA_B, IOVA_B,
		0, 0x10000000ULL - 0x8000, 0x7ff8000, 0xfedf8000ULL,
		0xfeef8000ULL, 0xffff8000ULL, 0x7fffff8000ULL,
		0xffffffff8000ULL, 0x1ffffffffff8000ULL,
		0xffffffffffff8000ULL,
	};

	/* Often where there can be a mapping */
	if (any(t, 2))
		return IOVA_A + any(t, 6) * page();
	return bases[any(t, ARRAY_SIZE(bases))] + any(t, 16) * page();
}

static __u64 any_length(struct thread *t)
{
	switch (any(t, 16)) {
	case 0:
		return HUGE;
	case 1:
		return 64 * page();
	case 2:
		return any(t, 4) * page();
	default:
		return (1 + any(t, 4)) * page();
	}
}

/*
 * Arguments
 */
static void put(void *to, unsigned int width, __u64 val)
{
	memcpy(to, &val, width);
}

static __u64 get(const void *from, unsigned int width)
{
	__u64 val = 0;

	memcpy(&val, from, width);
	return val;
}

static void mutate(struct thread *t, unsigned char *arg, unsigned int size)
{
	static const __u64 values[] = {
		0, 1, 2, 3, 4, 63, 64, 65, 127, 255, 256, 257, 1023, 1024, 1025,
		2047, 2048, 2049, 4095, 4096, 4097, 16384, 16385, 65535, 65536,
		INT_MAX, 0x80000000ULL, UINT_MAX, 0x100000000ULL,
		0xfffffffff000ULL, INT64_MAX, 1ULL << 63, -4096ULL, -1ULL,
	};
	unsigned int width = any(t, 2) && size >= 8 ? 8 : 4;
	unsigned int pos = any(t, size / width) * width;
	__u64 val = get(arg + pos, width);

	t->wild = true;
	switch (any(t, 7)) {
	case 0:
		val++;
		break;
	case 1:
		val--;
		break;
	case 2:
		val += page();
		break;
	case 3:
		val -= page();
		break;
	case 4:
		val ^= 1ULL << any(t, width * 8);
		break;
	default:
		val = values[any(t, ARRAY_SIZE(values))];
	}
	put(arg + pos, width, val);
}

/*
 * Chance must not lead the kernel or a device to memory that the program itself
 * uses: that is where the pointer is neither here nor outside of what can be.
 */
static __u64 tame(struct thread *t, __u64 val)
{
	if (val - (uintptr_t)area < AREA_SIZE ||
	    val - (uintptr_t)t->array < ARG_SIZE ||
	    val - (uintptr_t)t->arg < ARG_SIZE ||
	    val < 0x10000 || val >= 0x7ffffffff000ULL)
		return val;
	return (uintptr_t)hostile(t);
}

static void tame_maps(struct thread *t, unsigned int num)
{
	struct vfio_dma_map *map = (void *)t->array;

	while (num--)
		map[num].vaddr = tame(t, map[num].vaddr);
}

static __u64 make_maps(struct thread *t)
{
	struct vfio_dma_map *map = (void *)t->array;
	bool ordered = any(t, 4);
	__u64 vaddr = any_vaddr(t), iova = any_iova(t);
	unsigned int i;

	for (i = 0; i < t->num && i < ARG_SIZE / sizeof(*map); i++) {
		map[i].vaddr = ordered ? vaddr + i * page() : any_vaddr(t);
		map[i].dmaaddr = ordered ? iova + i * page() : any_iova(t);
		map[i].size = ordered ? page() : any_length(t);
		map[i].flags = any(t, 4);
	}
	if (!any(t, 8) && i)
		mutate(t, t->array, i * sizeof(*map));
	tame_maps(t, i);
	return (uintptr_t)map;
}

/* All functions that a process has open of what is reset together */
static __u64 make_device_fds(struct thread *t)
{
	unsigned int unit = devices[t->device].unit, num = 0, i, d;
	__s32 *fds = (void *)t->array;
	bool seen[MAX_DEVICES] = {};
	__u64 val;

	for (i = 0; i < NUM_SLOTS; i++) {
		val = slots[DEVICE][i];
		d = slot_device(val);
		if (!val || devices[d].unit != unit ||
		    (seen[d] && any(t, 8)))
			continue;
		seen[d] = true;
		fds[num++] = slot_fd(val);
	}
	if (!any(t, 8))
		fds[num++] = other_fd(t);
	t->num = num;
	return (uintptr_t)fds;
}

static __u64 make_event_fds(struct thread *t, void *to)
{
	unsigned int i;

	for (i = 0; i < t->num && i < 4096; i++)
		put(to + i * 4, 4, any(t, 8) ? slot_look(t, EVENTFD) :
			any(t, 2) ? -1 : other_fd(t));
	return (uintptr_t)to;
}

static __u64 make_cpus(struct thread *t)
{
	memset(t->array, 0, 1024);
	t->array[0] = any(t, 8) ? 1 + any(t, 3) : any(t, 256);
	if (!any(t, 8))
		t->array[any(t, 1024)] = 1;
	return (uintptr_t)t->array;
}

static __u64 any_count(struct thread *t, unsigned int max)
{
	return t->num = any(t, 2) ? 1 : any(t, 4) ? 1 + any(t, 4) :
				any(t, max + 2);
}

static __u64 make(struct thread *t, const struct field *f, unsigned char *arg,
		  unsigned int size)
{
	switch (f->source) {
	case SIZE:
		return size;
	case FLAGS:
		return draw(t) & f->arg;
	case VADDR:
		return any_vaddr(t);
	case IOVA:
		return any_iova(t);
	case LENGTH:
		return any_length(t);
	case HIGHEST:
		return any(t, 2) ? 0 : (1ULL << (20 + any(t, 45))) - 1;
	case COUNT:
		return any_count(t, f->arg);
	case VALUE:
		return f->arg;
	case SMALL:
		return any(t, f->arg);
	case SPACE_FD:
		return any(t, 8) ? slot_look(t, SPACE) : other_fd(t);
	case EVENT_FD:
		return any(t, 4) ? slot_look(t, EVENTFD) :
		       any(t, 4) ? -1 : other_fd(t);
	case REGION:
		return any(t, 8) ? any(t, 7) : any(t, 32);
	case KIND:
		return any(t, 4) ? irq_kinds[t->device] : any(t, 4);
	case FOUND:
		return t->num;
	case FDS_SIZE:
		return t->num * 4;
	case MASK_SIZE:
		return any(t, 8) ? 1 + any(t, 8) : any(t, 1026);
	case MAPS:
		return make_maps(t);
	case WINDOWS:
		return (uintptr_t)t->array;
	case DEVICE_FDS:
		return make_device_fds(t);
	case EVENT_FDS:
		return make_event_fds(t, t->array);
	case EVENT_FDS_HERE:
		make_event_fds(t, arg + f->pos);
		return get(arg + f->pos, 4);
	case CPUS:
		return make_cpus(t);
	default:
		return 0;
	}
}

/* Longer or shorter than it is */
static void resize(struct thread *t, unsigned char *arg, unsigned int size)
{
	static const unsigned int sizes[] = {
		0, 1, 4, 4095, 4096, 4097, 8192, INT_MAX, UINT_MAX,
	};
	unsigned int val = sizes[any(t, ARRAY_SIZE(sizes))];

	t->wild = true;
	switch (any(t, 4)) {
	case 0:
		val = size - 1 - any(t, size / 2);
		break;
	case 1:
		val = size + 1 + any(t, 64);
		break;
	case 2:
		val = size + 4 * (1 + any(t, 32));
		arg[size + any(t, val - size)] = 1 + any(t, 255);
		break;
	}
	put(arg, 4, val);
}

/* The argument of a request, and where it is */
static void *make_arg(struct thread *t, const struct row *row)
{
	const struct field *f;
	unsigned int n;

	memset(t->arg, 0, 8192);
	for (f = row->fields; f->width; f++)
		put(t->arg + f->pos, f->width, make(t, f, t->arg, row->size));
	/* A pointer that goes with it */
	for (f = row->fields; f->width; f++)
		if (f->width == 8 && f->source >= MAPS && !any(t, 16))
			put(t->arg + f->pos, 8, (uintptr_t)hostile(t));
	if (!any(t, 8) && row->fields->source == SIZE)
		resize(t, t->arg, row->size);
	if (!any(t, 4))
		for (n = 1 + any(t, 2); n; n--)
			mutate(t, t->arg, row->size);
	for (f = row->fields; f->width; f++)
		if (f->source == VADDR || (f->width == 8 && f->source >= MAPS))
			put(t->arg + f->pos, 8,
			    tame(t, get(t->arg + f->pos, 8)));
	memcpy(t->record->word, t->arg, sizeof(t->record->word));
	if (any(t, 16))
		return t->arg;
	/* Up to the end of what can be read, or beyond */
	if (any(t, 2)) {
		n = row->size - (any(t, 2) ? 0 : any(t, row->size));
		return memcpy(t->arg + ARG_SIZE - n, t->arg, n);
	}
	return hostile(t);
}

static void note_irq_kind(struct thread *t, unsigned long cmd)
{
	unsigned int kind;

	switch (cmd) {
	case VFIO_EVENTFD_IRQ:
		kind = UIOMMU_IRQ_KIND_INTX;
		break;
	case VFIO_EVENTFD_MSI:
	case VFIO_EVENTFDS_MSI:
		kind = UIOMMU_IRQ_KIND_MSI;
		break;
	case VFIO_EVENTFDS_MSIX:
		kind = UIOMMU_IRQ_KIND_MSIX;
		break;
	default:
		return;
	}
	/* Not when it was turned off */
	if ((__s32)t->record->word[0] > 0)
		irq_kinds[t->device] = kind;
}

static long run_request(struct thread *t, const struct row *row)
{
	void *arg = make_arg(t, row);
	long ret = request(t->fd, row->cmd, arg);

	if (!ret)
		note_irq_kind(t, row->cmd);
	if (row->cmd == UIOMMU_EVENT_FD && ret >= 0) {
		if (any(t, 2))
			fcntl(ret, F_SETFL, O_NONBLOCK);
		slot_put(t, EVENTS, ret, t->device);
	}
	return ret;
}

/*
 * Everything else
 */
static long err(long ret)
{
	return ret == -1 ? -errno : ret;
}

static long run_open_device(struct thread *t)
{
	static const int modes[] = { O_RDWR, O_RDWR, O_RDWR, O_RDWR, O_RDONLY,
				     O_WRONLY, O_RDWR | O_NONBLOCK,
				     O_RDWR | O_APPEND };
	unsigned int d = mine[any(t, num_mine)];
	int fd = node_open(devices[d].bdf, modes[any(t, ARRAY_SIZE(modes))]);

	if (fd >= 0)
		slot_put(t, DEVICE, fd, d);
	return fd;
}

static long run_open_space(struct thread *t)
{
	int fd = err(open("/dev/uiommu",
			  (any(t, 4) ? O_RDWR : O_RDONLY) | O_CLOEXEC));

	if (fd >= 0)
		slot_put(t, SPACE, fd, 0);
	return fd;
}

static long run_eventfd(struct thread *t)
{
	int fd = err(eventfd(any(t, 4) ? 0 : any(t, 3), EFD_CLOEXEC |
			     EFD_NONBLOCK | (any(t, 2) ? EFD_SEMAPHORE : 0)));

	if (fd >= 0)
		slot_put(t, EVENTFD, fd, 0);
	return fd;
}

static long run_open_other(struct thread *t)
{
	int fd = any(t, 2) ? open("/dev/null", O_RDWR | O_CLOEXEC) :
		 any(t, 2) ? memfd_create("fuzz", MFD_CLOEXEC) :
			     open("/", O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		slot_put(t, OTHER, fd, 0);
	return err(fd);
}

static long run_close(struct thread *t)
{
	__u64 val = __atomic_exchange_n(&slots[any(t, NUM_KINDS)]
					      [any(t, NUM_SLOTS)], 0,
					__ATOMIC_SEQ_CST);

	return val ? err(close(slot_fd(val))) : 0;
}

static long run_dup(struct thread *t)
{
	int fd;

	if (!slot_use(t, any(t, NUM_KINDS)))
		return 0;
	fd = err(fcntl(t->fd, F_DUPFD_CLOEXEC, 0));
	if (fd >= 0)
		slot_put(t, kind_of(fd), fd, t->device);
	return fd;
}

/* A buffer of @len bytes, with something in it */
static void *make_buffer(struct thread *t, size_t len)
{
	size_t i;

	if (!any(t, 8))
		return hostile(t);
	if (!any(t, 8))
		return in_arena(t) + any(t, 8);
	for (i = 0; i < len && i < 64; i += 8)
		put(t->arg + i, 8, any(t, 2) ? draw(t) : any(t, 16));
	return t->arg;
}

static size_t any_size(struct thread *t)
{
	static const size_t sizes[] = { 0, 3, 64, 255, 4096, 8192, ARG_SIZE };
	static const size_t all[] = { INT_MAX, UINT_MAX, LONG_MAX, -1UL, -4096UL };

	if (!any(t, 256))
		return all[any(t, ARRAY_SIZE(all))];
	return any(t, 8) ? 1UL << any(t, 4) :
			   sizes[any(t, ARRAY_SIZE(sizes))];
}

static __u64 any_pos(struct thread *t)
{
	static const unsigned int registers[] = {
		EDU_LIVENESS, EDU_IRQ_STATUS, EDU_IRQ_RAISE, EDU_IRQ_ACK,
		VF_EICS, VF_EIMS, VF_EICR, 0, 0x14, 0x1000, 0x1ffc, 0x2000,
	};
	struct uiommu_region_info info = {};

	switch (any(t, 8)) {
	case 0:
		return any(t, 1 << 20);
	case 1:
		/* Around its end */
		if (!region_info(t->fd, any(t, 6), &info))
			return info.out_size - 8 + any(t, 16);
		return 0;
	case 2:
		return draw(t) >> (24 + any(t, 40));
	case 3:
		return any(t, 4096);
	default:
		return registers[any(t, ARRAY_SIZE(registers))];
	}
}

/* The DMA registers of edu, with which QEMU is hard to please */
static bool is_touchy(struct thread *t, __u64 pos, size_t len)
{
	return devices[t->device].edu && pos < 0x100 && pos + len > 0x80;
}

static bool is_in_bars(const void *at)
{
	return (size_t)((const unsigned char *)at - area - BARS_AT) < BARS_SIZE;
}

/* Most devices have the first. */
static unsigned int any_bar_number(struct thread *t)
{
	return any(t, 2) ? 0 : any(t, 6);
}

/* One that cannot be read: the other ways to map a BAR are among them. */
static bool is_no_space(unsigned int space)
{
	return space > VFIO_PCI_ROM_RESOURCE &&
	       space != VFIO_PCI_CONFIG_RESOURCE;
}

static long rw(struct thread *t, unsigned int space, __u64 pos, size_t len,
	       bool out)
{
	__u64 at = VFIO_PCI_SPACE_TO_OFFSET(space) + pos;
	/* No mapping of a BAR runs over to the next. */
	void *any_buf = make_buffer(t, len);
	void *buf = is_in_bars(any_buf) && len > ARG_SIZE ? NULL : any_buf;
	struct iovec vec[2] = { { buf, len / 2 }, { buf, len - len / 2 } };

	t->record->word[0] = at;
	t->record->word[1] = len;
	t->record->word[2] = (uintptr_t)buf;
	t->record->word[3] = get(t->arg, 8);
	if (any(t, 8) || is_no_space(space))
		return err(out ? pwrite(t->fd, buf, len, at) :
				   pread(t->fd, buf, len, at));
	if (any(t, 2))
		return err(out ? pwritev(t->fd, vec, 2, at) :
				   preadv(t->fd, vec, 2, at));
	/* At the position of the file, wherever others put it */
	if (devices[t->device].edu && out)
		return err(lseek(t->fd, at, SEEK_SET));
	lseek(t->fd, at, SEEK_SET);
	return err(out ? write(t->fd, buf, len) : read(t->fd, buf, len));
}

static long run_bar_read(struct thread *t)
{
	return rw(t, any_bar_number(t), any_pos(t), any_size(t), false);
}

static long run_bar_write(struct thread *t)
{
	__u64 pos = any_pos(t);
	size_t len = any_size(t);

	if (is_touchy(t, pos, len))
		pos = EDU_IRQ_RAISE, len = 4;
	return rw(t, any_bar_number(t), pos, len, true);
}

static long run_dma(struct thread *t)
{
	__u64 regs[] = {
		EDU_BUFFER, any_iova(t) & 0xfffffffULL, 8 << any(t, 9),
		EDU_DMA_RUN | EDU_DMA_TO_MEMORY,
	};
	long ret = 0;
	unsigned int i;

	if (!devices[t->device].edu)
		return config_command(t->fd, 0, PCI_COMMAND_MEMORY |
				      PCI_COMMAND_MASTER);
	if (any(t, 2)) {
		/* From memory to its buffer */
		regs[0] = regs[1];
		regs[1] = EDU_BUFFER;
		regs[3] = EDU_DMA_RUN;
	}
	for (i = 0; i < 4 && ret >= 0; i++)
		ret = space_write(t->fd, 0, EDU_DMA_FROM + i * 8, &regs[i], 8);
	return ret;
}

static long run_rom_read(struct thread *t)
{
	return rw(t, VFIO_PCI_ROM_RESOURCE, any_pos(t), any_size(t), false);
}

static long run_config_read(struct thread *t)
{
	return rw(t, VFIO_PCI_CONFIG_RESOURCE, any(t, 8) ? any(t, 256) :
			any(t, 4104), any_size(t), false);
}

/* Registers that do something, if the device has them */
static long config_capability(struct thread *t)
{
	static const struct {
		unsigned char id, pos;
		__u16 val;
	} writes[] = {
		{ PCI_CAP_ID_PM, PCI_PM_CTRL, 3 },
		{ PCI_CAP_ID_PM, PCI_PM_CTRL, 0 },
		{ PCI_CAP_ID_EXP, PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR },
		{ PCI_CAP_ID_EXP, PCI_EXP_DEVCTL, 0xffff },
		{ PCI_CAP_ID_EXP, PCI_EXP_DEVCTL2, 0xffff },
		{ PCI_CAP_ID_AF, PCI_AF_CTRL, PCI_AF_CTRL_FLR },
		{ PCI_CAP_ID_MSI, PCI_MSI_FLAGS, 0xffff },
		{ PCI_CAP_ID_MSIX, PCI_MSIX_FLAGS, 0xffff },
		{ PCI_CAP_ID_VPD, PCI_VPD_ADDR, 0x8000 },
	};
	unsigned int i = any(t, ARRAY_SIZE(writes));
	unsigned int pos = config_cap(t->fd, writes[i].id);

	if (!pos)
		return 0;
	t->record->word[0] = pos + writes[i].pos;
	t->record->word[1] = writes[i].val;
	return config_write(t->fd, pos + writes[i].pos, 2, writes[i].val);
}

static long run_config_write(struct thread *t)
{
	switch (any(t, 8)) {
	case 0:
		return config_capability(t);
	case 1:
		return rw(t, VFIO_PCI_CONFIG_RESOURCE, any(t, 4104),
			  any_size(t), true);
	case 2:
		return rw(t, VFIO_PCI_CONFIG_RESOURCE, any(t, 64) * 4, 4,
			  true);
	case 3:
		return config_write(t->fd, PCI_COMMAND, 2, any(t, 0x800));
	default:
		return config_write(t->fd, PCI_COMMAND, 2, PCI_COMMAND_IO |
				    PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	}
}

/* There are no such spaces, and some that can only be mapped. */
static long run_no_space(struct thread *t)
{
	static const unsigned int spaces[] = {
		7, 14, 16, 31, 1 << 16, (1 << 23) - 1, 1 << 23, (1 << 24) - 1,
	};
	unsigned int space = spaces[any(t, ARRAY_SIZE(spaces))];
	void *mem;

	if (!any(t, 4))
		return rw(t, VFIO_PCI_WC_RESOURCE(any(t, 6)), 0,
			  1 + any(t, 64), any(t, 2)) ?: -EINVAL;
	if (any(t, 4))
		return rw(t, space, any(t, 2) ? 0 : any_pos(t),
			  1 + any(t, 64), any(t, 2)) ?: -EINVAL;
	mem = mmap(NULL, page(), PROT_READ, MAP_SHARED, t->fd,
		   VFIO_PCI_SPACE_TO_OFFSET(space));
	if (mem == MAP_FAILED)
		return -errno;
	munmap(mem, page());
	return 0;
}

static int any_prot(struct thread *t)
{
	return any(t, 4) ? PROT_READ | PROT_WRITE : any(t, 8);
}

static long map_space(struct thread *t, unsigned int space)
{
	static const size_t lengths[] = { 1, 1, 1, 2, 4, 8, 16, 64 };
	size_t len = lengths[any(t, ARRAY_SIZE(lengths))] * page();
	__u64 pos = any(t, 4) ? 0 : any(t, 4) ? any(t, 16) * page() :
		    draw(t) >> (24 + any(t, 40)) & ~(__u64)(page() - 1);
	unsigned int flags = any(t, 16) ? MAP_SHARED : MAP_PRIVATE;
	void *to = any_bar(t), *mem;

	if (!any(t, 16))
		flags |= any(t, 2) ? MAP_POPULATE : MAP_LOCKED;
	/* In place of memory that may be mapped */
	if (!any(t, 8) && !devices[t->device].edu)
		to = in_arena(t), len = page();
	t->record->word[0] = pos;
	t->record->word[1] = len;
	t->record->word[2] = space;
	mem = mmap(to, len, any_prot(t), flags | MAP_FIXED, t->fd,
		   VFIO_PCI_SPACE_TO_OFFSET(space) + pos);
	return mem == MAP_FAILED ? -errno : 0;
}

static long run_bar_mmap(struct thread *t)
{
	return map_space(t, any_bar_number(t));
}

static long run_bar_mmap_wc(struct thread *t)
{
	/* Those that are prefetchable, of many devices */
	static const unsigned int bars[] = { 2, 2, 4, 4, 4, 0, 1, 3, 5 };

	return map_space(t, VFIO_PCI_WC_RESOURCE(bars[any(t, ARRAY_SIZE(bars))]));
}

static long run_bar_munmap(struct thread *t)
{
	return err(munmap(any_bar(t) + any(t, 4) / 3 * page(),
			  any(t, 2) ? BAR_ROOM / 4 : page()));
}

static const char *step_name(struct thread *t);

static void on_fault(int sig, siginfo_t *info, void *context)
{
	if (self && self->touches)
		siglongjmp(self->fault, sig);
	if (self)
		wrong("process %u.%u thread %u step %llu: fault at %p in %s%s",
		      self->process, self->generation, self->index, self->step,
		      info->si_addr, step_name(self),
		      self->forked ? " of a child" : "");
	/* Once more, and that is the end */
	signal(sig, SIG_DFL);
}

static void touch(void *at, unsigned int width, bool write)
{
	if (write)
		switch (width) {
		case 1:
			set_once((__u8 *)at, 1);
			break;
		case 2:
			set_once((__u16 *)at, 1);
			break;
		case 4:
			set_once((__u32 *)at, 1);
			break;
		default:
			set_once((__u64 *)at, 1);
		}
	else
		switch (width) {
		case 1:
			(void)get_once((__u8 *)at);
			break;
		case 2:
			(void)get_once((__u16 *)at);
			break;
		case 4:
			(void)get_once((__u32 *)at);
			break;
		default:
			(void)get_once((__u64 *)at);
		}
}

static long touch_safely(struct thread *t, unsigned char *at,
			 unsigned int width, bool write)
{
	int sig = sigsetjmp(t->fault, 0);

	if (!sig) {
		t->touches = true;
		touch(at, width, write);
	}
	t->touches = false;
	if (!sig)
		return 0;
	return sig == SIGBUS ? -EIO : -EFAULT;
}

/* By the processor: registers, all-ones or nothing, and never a bus error */
static long run_bar_touch(struct thread *t)
{
	unsigned int width = 1 << any(t, 4);
	unsigned int pos = (0x100 + any(t, 4 * page())) & -width;

	return touch_safely(t, any_bar(t) + pos, width, any(t, 2));
}

static long run_memory_touch(struct thread *t)
{
	unsigned int i, pages = 1 + any(t, 8);
	unsigned char *at = in_arena(t);
	long ret = 0;

	/* Not from one area into another */
	for (i = 0; i < pages && at < area + ARENA_AT + ARENA_SIZE; i++) {
		if (touch_safely(t, at, 8, true))
			ret = -EFAULT;
		at += page();
	}
	return ret;
}

static size_t arena_left(unsigned char *at, size_t len)
{
	size_t left = area + ARENA_AT + ARENA_SIZE - at;

	return len < left ? len : left;
}

static long run_memory_mmap(struct thread *t)
{
	unsigned char *at = in_arena(t);
	size_t len = arena_left(at, any(t, 32) ? any_length(t) : ARENA_SIZE);
	int flags = MAP_FIXED | (any(t, 4) ? MAP_PRIVATE : MAP_SHARED);
	int fd = -1;

	if (any(t, 8))
		flags |= MAP_ANONYMOUS;
	else
		fd = slot_look(t, OTHER);
	if (!any(t, 4))
		flags |= MAP_POPULATE;
	if (!len)
		return 0;
	return mmap(at, len, any_prot(t), flags, fd, 0) == MAP_FAILED ?
		       -errno : 0;
}

static long run_memory_munmap(struct thread *t)
{
	unsigned char *at = in_arena(t);

	return err(munmap(at, arena_left(at, (1 + any(t, 4)) * page())));
}

static long run_mremap(struct thread *t)
{
	bool bars = any(t, 2);
	unsigned char *from = bars ? any_bar(t) : in_arena(t);
	unsigned char *to = bars ? any_bar(t) : in_arena(t);
	size_t len = bars ? page() : arena_left(from, any_length(t));
	size_t new_len = any(t, 4) ? len : any(t, 4) * page();
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED;

	if (!bars)
		new_len = arena_left(to, new_len);
	if (!any(t, 8))
		flags |= MREMAP_DONTUNMAP;
	return mremap(from, len, new_len, flags, to) == MAP_FAILED ?
		       -errno : 0;
}

static long run_mprotect(struct thread *t)
{
	unsigned char *at = any(t, 2) ? any_bar(t) : in_arena(t);

	return err(mprotect(at, page() * (1 + any(t, 2)), any_prot(t)));
}

/*
 * But MADV_WIPEONFORK: memory that has it and was moved keeps its page offsets in a
 * child, which Linux 7.3 with DEBUG_VM warns of when the child unmaps part of it.
 */
static long run_madvise(struct thread *t)
{
	static const int advice[] = {
		MADV_DONTNEED, MADV_DONTNEED, MADV_FREE, MADV_COLD,
		MADV_PAGEOUT, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DONTFORK,
		MADV_DOFORK, MADV_REMOVE, MADV_WILLNEED, MADV_POPULATE_WRITE,
		MADV_COLLAPSE,
	};
	unsigned char *at = any(t, 4) ? in_arena(t) : any_bar(t);
	size_t len = any(t, 4) ? any_length(t) : HUGE;

	if (at < area + BARS_AT)
		len = arena_left(at, len);
	return err(madvise(at, len, advice[any(t, ARRAY_SIZE(advice))]));
}

/* Memory that who touches it has to wait for, in the kernel, too: see be_pager() */
static long run_memory_wait(struct thread *t)
{
	struct uffdio_register arg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	unsigned char *at = in_arena(t);
	size_t len = arena_left(at, (1 + any(t, 4)) * page());

	if (pager < 0)
		return 0;
	if (mmap(at, len, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE |
		 MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
		return -errno;
	arg.range.start = (uintptr_t)at;
	arg.range.len = len;
	return err(ioctl(pager, UFFDIO_REGISTER, &arg));
}

static void let_signals(bool in)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(in ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

static long run_event_read(struct thread *t)
{
	static const size_t sizes[] = { 0, 31, 32, 33, 64, 4096, ARG_SIZE };
	size_t len = sizes[any(t, ARRAY_SIZE(sizes))];
	void *buf = any(t, 8) ? t->array : hostile(t);
	long ret;

	t->record->word[0] = (uintptr_t)buf;
	t->record->word[1] = len;
	/* It may wait. */
	t->signals = true;
	let_signals(true);
	ret = err(read(t->fd, buf, len));
	let_signals(false);
	if (ret > 0 && ret % 32)
		wrong("event-read: %ld bytes", ret);
	return ret;
}

static long run_event_poll(struct thread *t)
{
	struct pollfd p = { .fd = t->fd, .events = POLLIN | POLLOUT };

	return err(poll(&p, 1, any(t, 4)));
}

static long run_eventfd_write(struct thread *t)
{
	static const __u64 values[] = { 0, 1, 1, 1, 2, UINT_MAX, -2ULL, -1ULL };

	return err(write(t->fd, &values[any(t, ARRAY_SIZE(values))], 8));
}

static long run_eventfd_read(struct thread *t)
{
	return err(read(t->fd, t->array, 8));
}

static long run_fdinfo(struct thread *t)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", t->fd);
	return file_read(path, (char *)t->array, 4096);
}

/* The file goes in a message that says of which device it is. */
static long run_send(struct thread *t)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {};
	unsigned char text;
	struct iovec vec = { &text, 1 };
	struct msghdr msg = {
		.msg_iov = &vec, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};

	if (!slot_use(t, any(t, NUM_KINDS)))
		return 0;
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.head), &t->fd, sizeof(int));
	text = t->device;
	return err(sendmsg(mailbox[0], &msg, MSG_DONTWAIT));
}

static int receive(unsigned char *device)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct iovec vec = { device, 1 };
	struct msghdr msg = {
		.msg_iov = &vec, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	int fd, ret = err(recvmsg(mailbox[1], &msg,
				  MSG_DONTWAIT | MSG_CMSG_CLOEXEC));

	if (ret < 0)
		return ret;
	if (msg.msg_controllen < CMSG_LEN(sizeof(int)))
		return -EMFILE;
	memcpy(&fd, CMSG_DATA(&control.head), sizeof(int));
	return fd;
}

static long run_receive(struct thread *t)
{
	unsigned char device;
	int fd = receive(&device);

	if (fd >= 0)
		slot_put(t, kind_of(fd), fd, device);
	return fd;
}

static void interrupt_often(void)
{
	const struct itimerval often = { { 0, 20000 }, { 0, 20000 } };

	setitimer(ITIMER_REAL, &often, NULL);
}

static void step(struct thread *t);

static void be_child(struct thread *t)
{
	static char *const argv[] = { "fuzz", "--end", NULL };
	struct state state = {};
	unsigned int steps = any(t, 16), how = any(t, 4);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	interrupt_often();
	let_signals(false);
	t->state = &state;
	t->forked = true;
	t->generation = mix(t->step);
	num_children = MAX_CHILDREN;
	while (steps--)
		step(t);
	if (how == 0)
		execv("/proc/self/exe", argv);
	if (how == 1)
		raise(SIGKILL);
	_exit(0);
}

static long run_fork(struct thread *t)
{
	pid_t pid;

	while (num_children && waitpid(-1, NULL, WNOHANG) > 0)
		__atomic_fetch_sub(&num_children, 1, __ATOMIC_RELAXED);
	if (__atomic_fetch_add(&num_children, 1, __ATOMIC_RELAXED) >=
	    MAX_CHILDREN) {
		__atomic_fetch_sub(&num_children, 1, __ATOMIC_RELAXED);
		return 0;
	}
	pid = fork();
	if (!pid)
		be_child(t);
	if (pid < 0)
		__atomic_fetch_sub(&num_children, 1, __ATOMIC_RELAXED);
	return err(pid);
}

static long run_no_request(struct thread *t);

/*
 * What there is to do
 */
#define REQUEST(cmd_, name_, weight_, on_, size_, fields_, ...)		\
	{ .name = name_, .weight = weight_, .cmd = cmd_, .on = on_,	\
	  .size = size_, .fields = fields_, __VA_ARGS__ }
#define STRUCT(cmd_, name_, weight_, on_, type_, fields_, ...)		\
	REQUEST(cmd_, name_, weight_, on_, sizeof(struct type_), fields_, \
		__VA_ARGS__)
#define FIELD(type, field, source_, arg_)				\
	{ offsetof(struct type, field),					\
	  sizeof(((struct type *)0)->field), source_, arg_ }

#define IRQ_SET(op_, name_, size_, data_, ...)				\
	STRUCT(UIOMMU_IRQ_SET, name_, 8, ON(DEVICE), uiommu_irq_set,	\
	       FIELDS(FIELD(uiommu_irq_set, size, SIZE, 0),		\
		      FIELD(uiommu_irq_set, kind, KIND, 0),		\
		      FIELD(uiommu_irq_set, op, VALUE, op_),		\
		      FIELD(uiommu_irq_set, first, SMALL, 3),		\
		      FIELD(uiommu_irq_set, num, COUNT, 2048),		\
		      FIELD(uiommu_irq_set, data_size, size_, 0),	\
		      FIELD(uiommu_irq_set, data, data_, 0)),		\
	       .common = OF_IRQ | OF_DEVICE,				\
	       .errors = ERRORS(E2BIG, EPERM))

static const struct row rows[] = {
	STRUCT(VFIO_DMA_MAP_IOVA, "map", 30, ON_BOTH, vfio_dma_map,
	       FIELDS(FIELD(vfio_dma_map, vaddr, VADDR, 0),
		      FIELD(vfio_dma_map, dmaaddr, IOVA, 0),
		      FIELD(vfio_dma_map, size, LENGTH, 0),
		      FIELD(vfio_dma_map, flags, FLAGS, 3)),
	       .common = OF_MAP, .errors = ERRORS(ENODEV)),
	STRUCT(VFIO_DMA_UNMAP, "unmap", 20, ON_BOTH, vfio_dma_map,
	       FIELDS(FIELD(vfio_dma_map, dmaaddr, IOVA, 0),
		      FIELD(vfio_dma_map, size, LENGTH, 0),
		      FIELD(vfio_dma_map, flags, FLAGS, 3)),
	       .common = OF_UNMAP | OF_DEVICE),
	REQUEST(VFIO_EVENTFD_IRQ, "intx", 8, ON(DEVICE), 4,
		FIELDS({ 0, 4, EVENT_FD, 0 }),
		.common = OF_IRQ | OF_DEVICE),
	REQUEST(VFIO_EVENTFD_MSI, "msi", 8, ON(DEVICE), 4,
		FIELDS({ 0, 4, EVENT_FD, 0 }),
		.common = OF_IRQ | OF_DEVICE),
	REQUEST(VFIO_EVENTFDS_MSI, "msi-many", 8, ON(DEVICE), 8,
		FIELDS({ 0, 4, COUNT, 32 }, { 4, 4, EVENT_FDS_HERE, 0 }),
		.common = OF_IRQ | OF_DEVICE),
	REQUEST(VFIO_EVENTFDS_MSIX, "msix", 12, ON(DEVICE), 8,
		FIELDS({ 0, 4, COUNT, 2048 }, { 4, 4, EVENT_FDS_HERE, 0 }),
		.common = OF_IRQ | OF_DEVICE),
	REQUEST(VFIO_BAR_LEN, "bar-len", 2, ON(DEVICE), 4,
		FIELDS({ 0, 4, REGION, 0 }),
		.errors = ERRORS(EFAULT, EINVAL, EOVERFLOW, ENODEV)),
	REQUEST(VFIO_DOMAIN_SET, "set", 25, ON(DEVICE), 4,
		FIELDS({ 0, 4, SPACE_FD, 0 }),
		.errors = ERRORS(EFAULT, EBADF, EINVAL, EBUSY,
				EADDRNOTAVAIL, EOPNOTSUPP, ENOMEM, ENODEV)),
	REQUEST(VFIO_DOMAIN_UNSET, "unset", 4, ON(DEVICE), 4,
		FIELDS({ 0, 4, SPACE_FD, 0 }),
		.errors = ERRORS(EINVAL, EBUSY, ENODEV)),
	STRUCT(UIOMMU_INFO, "info", 4, ON_BOTH, uiommu_info,
	       FIELDS(FIELD(uiommu_info, size, SIZE, 0),
		      FIELD(uiommu_info, num_windows, COUNT, 100),
		      FIELD(uiommu_info, windows, WINDOWS, 0)),
	       .common = EXTENSIBLE | OF_DEVICE),
	STRUCT(UIOMMU_DEVICE_INFO, "device-info", 2, ON(DEVICE),
	       uiommu_device_info,
	       FIELDS(FIELD(uiommu_device_info, size, SIZE, 0)),
	       .common = EXTENSIBLE, .errors = ERRORS(ENODEV)),
	STRUCT(UIOMMU_REGION_INFO, "region-info", 2, ON(DEVICE),
	       uiommu_region_info,
	       FIELDS(FIELD(uiommu_region_info, size, SIZE, 0),
		      FIELD(uiommu_region_info, index, REGION, 0)),
	       .common = EXTENSIBLE, .errors = ERRORS(ENODEV)),
	STRUCT(UIOMMU_RESET, "reset", 1, ON(DEVICE), uiommu_reset,
	       FIELDS(FIELD(uiommu_reset, size, SIZE, 0)),
	       .common = EXTENSIBLE | OF_DEVICE,
	       .errors = ERRORS(EBUSY, EBADF, EPERM, EIO)),
	STRUCT(UIOMMU_RESET, "reset-set", 2, ON(DEVICE), uiommu_reset,
	       FIELDS(FIELD(uiommu_reset, size, SIZE, 0),
		      FIELD(uiommu_reset, flags, VALUE, UIOMMU_RESET_SET),
		      FIELD(uiommu_reset, fds, DEVICE_FDS, 0),
		      FIELD(uiommu_reset, num_fds, FOUND, 0)),
	       .common = EXTENSIBLE | OF_DEVICE,
	       .errors = ERRORS(EBUSY, EBADF, EPERM, EIO), .extra = true),
	STRUCT(UIOMMU_IRQ_EOI, "eoi", 6, ON(DEVICE), uiommu_irq_eoi,
	       FIELDS(FIELD(uiommu_irq_eoi, size, SIZE, 0)),
	       .common = EXTENSIBLE, .errors = ERRORS(ENODEV, EBUSY)),
	STRUCT(UIOMMU_IRQ_EOI_EVENTFD, "eoi-eventfd", 6, ON(DEVICE),
	       uiommu_irq_eoi_eventfd,
	       FIELDS(FIELD(uiommu_irq_eoi_eventfd, size, SIZE, 0),
		      FIELD(uiommu_irq_eoi_eventfd, fd, EVENT_FD, 0)),
	       .common = EXTENSIBLE | OF_DEVICE,
	       .errors = ERRORS(EBADF, EBUSY)),
	IRQ_SET(UIOMMU_IRQ_OP_EVENTFDS, "irq-eventfds", FDS_SIZE, EVENT_FDS),
	IRQ_SET(UIOMMU_IRQ_OP_NONE, "irq-none", ZERO, ZERO),
	IRQ_SET(UIOMMU_IRQ_OP_TRIGGER, "irq-trigger", ZERO, ZERO),
	IRQ_SET(UIOMMU_IRQ_OP_AFFINITY, "irq-affinity", MASK_SIZE, CPUS),
	STRUCT(UIOMMU_EVENT_FD, "event-fd", 4, ON_BOTH, uiommu_event_fd,
	       FIELDS(FIELD(uiommu_event_fd, size, SIZE, 0),
		      FIELD(uiommu_event_fd, num, COUNT, UIOMMU_EVENTS_MAX)),
	       .common = EXTENSIBLE,
	       .errors = ERRORS(EBUSY, ENOMEM, EMFILE, ENFILE)),
	STRUCT(UIOMMU_MAP_BATCH, "map-batch", 10, ON_BOTH, uiommu_batch,
	       FIELDS(FIELD(uiommu_batch, size, SIZE, 0),
		      FIELD(uiommu_batch, num, COUNT, 1100),
		      FIELD(uiommu_batch, entries, MAPS, 0)),
	       .common = OF_MAP, .errors = ERRORS(E2BIG, ENODEV)),
	STRUCT(UIOMMU_UNMAP_BATCH, "unmap-batch", 10, ON_BOTH, uiommu_batch,
	       FIELDS(FIELD(uiommu_batch, size, SIZE, 0),
		      FIELD(uiommu_batch, num, COUNT, 1100),
		      FIELD(uiommu_batch, entries, MAPS, 0)),
	       .common = OF_UNMAP | OF_DEVICE, .errors = ERRORS(E2BIG)),
	STRUCT(UIOMMU_UNMAP_ALL, "unmap-all", 2, ON_BOTH, uiommu_unmap_all,
	       FIELDS(FIELD(uiommu_unmap_all, size, SIZE, 0)),
	       .common = EXTENSIBLE | OF_DEVICE),
	STRUCT(UIOMMU_MAP, "map-lowest", 20, ON_BOTH, uiommu_map,
	       FIELDS(FIELD(uiommu_map, size, SIZE, 0),
		      FIELD(uiommu_map, flags, FLAGS, 3),
		      FIELD(uiommu_map, vaddr, VADDR, 0),
		      FIELD(uiommu_map, length, LENGTH, 0),
		      FIELD(uiommu_map, max, HIGHEST, 0)),
	       .common = EXTENSIBLE,
	       .errors = ERRORS(ENOMEM, ENOSPC, ENODEV, EBUSY)),
	{ .name = "no-request", .weight = 4, .run = run_no_request,
	  .on = ON_BOTH, .errors = ERRORS(ENOTTY), .fails = true },
	{ .name = "open-device", .weight = 4, .run = run_open_device,
	  .errors = ERRORS(EBUSY, EPERM, ENODEV, ENOENT, ENXIO,
				ENOMEM, EMFILE, ENFILE, EACCES) },
	{ .name = "open-space", .weight = 6, .run = run_open_space,
	  .errors = ERRORS(ENOMEM, EMFILE, ENFILE) },
	{ .name = "eventfd", .weight = 6, .run = run_eventfd },
	{ .name = "open-other", .weight = 2, .run = run_open_other },
	{ .name = "close", .weight = 4, .run = run_close },
	{ .name = "dup", .weight = 3, .run = run_dup },
	{ .name = "bar-read", .weight = 10, .run = run_bar_read,
	  .on = ON(DEVICE), .errors = ERRORS(EINVAL, EFAULT, ENOMEM, EBADF, EBUSY) },
	{ .name = "bar-write", .weight = 15, .run = run_bar_write,
	  .on = ON(DEVICE), .errors = ERRORS(EINVAL, EFAULT, ENOMEM, EBADF, EBUSY) },
	{ .name = "dma", .weight = 5, .run = run_dma, .on = ON(DEVICE),
	  .errors = ERRORS(EINVAL, ENOMEM, EBADF, EBUSY, ENODEV) },
	{ .name = "rom-read", .weight = 1, .run = run_rom_read,
	  .on = ON(DEVICE), .errors = ERRORS(EINVAL, EFAULT, ENOMEM, EBADF) },
	{ .name = "config-read", .weight = 6, .run = run_config_read,
	  .on = ON(DEVICE),
	  .errors = ERRORS(EINVAL, EFAULT, EBUSY, ENODEV, EBADF) },
	{ .name = "config-write", .weight = 12, .run = run_config_write,
	  .on = ON(DEVICE),
	  .errors = ERRORS(EINVAL, EFAULT, EBUSY, ENODEV, EBADF,
				EOPNOTSUPP, ENOMEM, EIO) },
	{ .name = "no-space", .weight = 3, .run = run_no_space,
	  .on = ON(DEVICE), .fails = true,
	  .errors = ERRORS(EINVAL, EFAULT, EBADF, EACCES, EOVERFLOW, ENODEV) },
	{ .name = "bar-mmap", .weight = 10, .run = run_bar_mmap,
	  .on = ON(DEVICE),
	  .common = OF_MMAP },
	{ .name = "bar-mmap-wc", .weight = 10, .run = run_bar_mmap_wc,
	  .on = ON(DEVICE), .common = OF_MMAP, .extra = true },
	{ .name = "bar-munmap", .weight = 2, .run = run_bar_munmap },
	{ .name = "bar-touch", .weight = 15, .run = run_bar_touch,
	  .errors = ERRORS(EFAULT) },
	{ .name = "memory-touch", .weight = 10, .run = run_memory_touch },
	{ .name = "memory-mmap", .weight = 8, .run = run_memory_mmap },
	{ .name = "memory-munmap", .weight = 4, .run = run_memory_munmap },
	{ .name = "memory-wait", .weight = 3, .run = run_memory_wait },
	{ .name = "mremap", .weight = 4, .run = run_mremap },
	{ .name = "mprotect", .weight = 4, .run = run_mprotect },
	{ .name = "madvise", .weight = 6, .run = run_madvise },
	{ .name = "event-read", .weight = 5, .run = run_event_read,
	  .on = ON(EVENTS), .errors = ERRORS(EINVAL, EFAULT, EAGAIN) },
	{ .name = "event-poll", .weight = 3, .run = run_event_poll,
	  .on = ON(EVENTS), .errors = ERRORS(0) },
	{ .name = "eventfd-write", .weight = 6, .run = run_eventfd_write,
	  .on = ON(EVENTFD) },
	{ .name = "eventfd-read", .weight = 4, .run = run_eventfd_read,
	  .on = ON(EVENTFD) },
	{ .name = "fdinfo", .weight = 2, .run = run_fdinfo, .on = ON_BOTH },
	{ .name = "send", .weight = 3, .run = run_send },
	{ .name = "receive", .weight = 3, .run = run_receive },
	{ .name = "fork", .weight = 1, .run = run_fork },
	/* The administrator's */
	{ .name = "unbind" }, { .name = "bind" }, { .name = "remove" },
	{ .name = "rescan" }, { .name = "sysfs-reset" }, { .name = "sysfs-look" },
};

enum { UNBIND = ARRAY_SIZE(rows) - 6, BIND, REMOVE, RESCAN, SYSFS_RESET, LOOK };

static_assert(ARRAY_SIZE(rows) <= MAX_ROWS, "rows");

/* Nearly one, in a bit of its number, size or direction */
static long run_no_request(struct thread *t)
{
	const struct row *row;
	unsigned long cmd;
	unsigned int i;

	do {
		row = &rows[any(t, ARRAY_SIZE(rows))];
	} while (!row->cmd);
	cmd = row->cmd ^ (1UL << any(t, 32));
	/* Those that every file has are of another type. */
	if (_IOC_TYPE(cmd) != ';')
		cmd = row->cmd ^ _IOC(_IOC_READ, 0, 0, 0);
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].cmd == cmd)
			return -ENOTTY;
	t->record->word[0] = cmd;
	return request(t->fd, cmd, any(t, 2) ? t->arg : hostile(t));
}

/*
 * Steps
 */
static const char *step_name(struct thread *t)
{
	return t->record ? rows[t->record->row].name : "nothing";
}

static bool is_in(const short *errors, int error)
{
	for (; errors && *errors; errors++)
		if (*errors == error)
			return true;
	return false;
}

static bool may_answer(const struct row *row, int error)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(common_errors); i++)
		if (row->common & 1 << i && is_in(common_errors[i], error))
			return true;
	return is_in(row->errors, error);
}

static bool is_right(struct thread *t, const struct row *row, long ret)
{
	if (ret >= 0)
		return !row->fails || !is_same_file(t);
	if ((!row->errors && !row->common) || may_answer(row, -ret))
		return true;
	if (ret == -EINTR)
		return t->signals;
	/* Of another kind, or closed meanwhile: another may have its number. */
	return row->on && !is_same_file(t);
}

static void tell_wrong(struct thread *t, const struct row *row, long ret)
{
	const struct record *r = t->record;

	if (ret < 0 && ret > -NUM_ERRNO) {
		if (__atomic_exchange_n(&shared->seen[row - rows][-ret], 1,
					__ATOMIC_RELAXED))
			return;
	}
	wrong("%s: %s (%ld), %s, process %u.%u thread %u step %llu: %llx %llx %llx %llx %llx %llx",
	      row->name, ret < 0 ? strerror(-ret) : "worked", ret,
	      t->fd < 0 ? "-" : devices[t->device].name, t->process,
	      t->generation, t->index, t->step, r->word[0], r->word[1],
	      r->word[2], r->word[3], r->word[4], r->word[5]);
}

static void begin(struct thread *t, const struct row *row)
{
	struct state *s = t->state;

	t->record = &s->ring[s->num % RING];
	memset(t->record, 0, sizeof(*t->record));
	t->record->row = row - rows;
	t->record->fd = t->fd;
	t->record->step = t->step;
	t->record->ret = 1;
	set_once(&s->begin, now_ms());
}

static void end(struct thread *t, const struct row *row, long ret)
{
	struct stats *stats = &shared->stats[row - rows];
	struct state *s = t->state;

	set_once(&s->end, now_ms());
	set_once(&s->begin, 0);
	t->record->ret = ret;
	set_once(&s->num, s->num + 1);
	__atomic_fetch_add(&stats->done, 1, __ATOMIC_RELAXED);
	if (ret >= 0)
		__atomic_fetch_add(&stats->good, 1, __ATOMIC_RELAXED);
	else if (ret > -NUM_ERRNO)
		__atomic_fetch_add(&stats->errors[-ret], 1, __ATOMIC_RELAXED);
	if (!is_right(t, row, ret))
		tell_wrong(t, row, ret);
}

static const struct row *any_row(struct thread *t)
{
	static unsigned int total;
	unsigned int i, sum = 0, at;

	if (!total) {
		for (i = 0; i < ARRAY_SIZE(rows); i++)
			sum += rows[i].weight;
		set_once(&total, sum);
	}
	at = any(t, total);
	for (i = 0; at >= rows[i].weight; i++)
		at -= rows[i].weight;
	return &rows[i];
}

/* The file for a row, sometimes one of a wrong kind; false when there is none */
static bool use_file(struct thread *t, const struct row *row)
{
	unsigned int kind = any(t, NUM_KINDS);

	t->fd = -1;
	t->slot = NULL;
	if (!row->on)
		return true;
	if (row->cmd && !any(t, 64)) {
		t->wild = true;
		t->fd = other_fd(t);
		return true;
	}
	while (!(row->on & ON(kind)))
		kind = (kind + 1) % NUM_KINDS;
	return slot_use(t, kind);
}

static void step(struct thread *t)
{
	const struct row *row;
	bool signals;
	long ret;

	begin_draw(t);
	t->num = 0;
	t->wild = false;
	row = any_row(t);
	signals = !any(t, 8);
	t->signals = signals;
	if (use_file(t, row)) {
		begin(t, row);
		if (signals)
			let_signals(true);
		ret = row->run ? row->run(t) : run_request(t, row);
		if (signals)
			let_signals(false);
		end(t, row, ret);
	}
	t->step++;
}

/*
 * Processes
 */
static void *map_at(size_t at, size_t len, int flags, int fd)
{
	return mmap(area + at, len, PROT_READ | PROT_WRITE, MAP_FIXED | flags,
		    fd, 0);
}

static bool make_area(void)
{
	unsigned char *mem = mmap(NULL, AREA_SIZE + HUGE, PROT_NONE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (mem == MAP_FAILED || fd < 0 || ftruncate(fd, SHARED_SIZE))
		return false;
	area = mem + (-(uintptr_t)mem & (HUGE - 1));
	no_access = area + AREA_SIZE - page();
	read_only = no_access - 2 * page();
	if (mmap(read_only, page(), PROT_READ, MAP_FIXED | MAP_PRIVATE |
		 MAP_ANONYMOUS, -1, 0) == MAP_FAILED ||
	    mmap(no_access - page(), page(), PROT_READ | PROT_WRITE, MAP_FIXED |
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ||
	    map_at(ARENA_AT, ARENA_SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1) ==
	    MAP_FAILED ||
	    map_at(SHARED_AT, SHARED_SIZE, MAP_SHARED, fd) == MAP_FAILED)
		return false;
	close(fd);
	/* Where there are some left */
	map_at(HUGETLB_AT, HUGE,
	       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, -1);
	madvise(area + ARENA_AT + HUGE, HUGE, MADV_HUGEPAGE);
	return true;
}

static unsigned char *make_room(void)
{
	unsigned char *mem = mmap(NULL, ARG_SIZE + page(), PROT_NONE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED ||
	    mprotect(mem, ARG_SIZE, PROT_READ | PROT_WRITE))
		return NULL;
	return mem;
}

static void limit(int what, unsigned long val)
{
	struct rlimit limit;

	getrlimit(what, &limit);
	if (val < limit.rlim_max)
		limit.rlim_max = val;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(what, &limit);
}

/* Of root, too, pinned memory is limited. */
static void drop_ipc_lock(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data))
		return;
	data[0].effective &= ~(1U << CAP_IPC_LOCK);
	syscall(SYS_capset, &head, data);
}

/* All processes often have one device, and each another one; all of a unit. */
static void choose_devices(unsigned int process, unsigned int generation)
{
	unsigned int units[] = {
		mix(seed ^ mix(generation / 2)) % num_units,
		mix(mix(seed + process) + generation) % num_units,
	};
	unsigned int i;

	num_mine = 0;
	for (i = 0; i < num_devices; i++)
		if (devices[i].unit == units[0] || devices[i].unit == units[1])
			mine[num_mine++] = i;
}

static void ignore(int sig)
{
}

static void handle_signals(void)
{
	struct sigaction fault = {
		.sa_sigaction = on_fault, .sa_flags = SA_NODEFER | SA_SIGINFO,
	};
	struct sigaction nothing = { .sa_handler = ignore };

	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGBUS, &fault, NULL);
	sigaction(SIGALRM, &nothing, NULL);
	let_signals(false);
	interrupt_often();
}

/*
 * The first one makes holes in the area, which nobody may get who asks for memory
 * afterwards.
 */
static pthread_barrier_t all_there;

static void *be_thread(void *arg)
{
	struct thread *t = arg;
	struct worker *w = &shared->workers[t->process];

	self = t;
	pthread_barrier_wait(&all_there);
	while (!get_once(&w->ending))
		step(t);
	return NULL;
}

/* Only for those who may have the kernel wait */
static void open_pager(void)
{
	struct uffdio_api api = { .api = UFFD_API };

	pager = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (pager >= 0 && ioctl(pager, UFFDIO_API, &api)) {
		close(pager);
		pager = -1;
	}
}

/* Give memory to those who wait for it, after a while; in the end all get it. */
static void *be_pager(void *arg)
{
	struct pollfd p = { .fd = pager, .events = POLLIN };
	struct worker *w = arg;
	struct uffd_msg msg;

	while (!get_once(&w->ending)) {
		struct uffdio_zeropage zero = { .range.len = page() };

		if (poll(&p, 1, 50) != 1 ||
		    read(pager, &msg, sizeof(msg)) != sizeof(msg) ||
		    msg.event != UFFD_EVENT_PAGEFAULT)
			continue;
		zero.range.start = msg.arg.pagefault.address & -page();
		sleep_ms(mix(seed ^ zero.range.start ^ now_ms()) % 30);
		/* It may be there by now, or be other memory. */
		if (ioctl(pager, UFFDIO_ZEROPAGE, &zero))
			ioctl(pager, UFFDIO_WAKE, &zero.range);
	}
	close(pager);
	return NULL;
}

static void start_pager(struct worker *w)
{
	pthread_t id;

	open_pager();
	if (pager >= 0 && pthread_create(&id, NULL, be_pager, w))
		_exit(1);
}

static void close_all(void)
{
	unsigned char device;
	unsigned int i, j;
	__u64 val;
	int fd;

	for (i = 0; i < NUM_KINDS; i++) {
		for (j = 0; j < NUM_SLOTS; j++) {
			val = __atomic_exchange_n(&slots[i][j], 0,
						  __ATOMIC_SEQ_CST);
			if (val)
				close(slot_fd(val));
		}
	}
	while ((fd = receive(&device)) >= 0)
		close(fd);
}

/* Nobody else has its files: nothing is pinned when they are closed. */
static void check_pins(void)
{
	__u64 limit = now_ms() + 10000;
	long pins;

	while (waitpid(-1, NULL, 0) > 0)
		;
	close_all();
	/* Mappings of BARs are open files, too. */
	munmap(area, AREA_SIZE);
	do {
		pins = file_field("/proc/self/status", "VmPin");
		if (!pins)
			return;
		sleep_ms(20);
	} while (now_ms() < limit);
	wrong("%ld kB pinned by a process without files", pins);
}

static void be_worker(unsigned int process, unsigned int generation, bool alone)
{
	struct worker *w = &shared->workers[process];
	struct thread threads[THREADS] = {};
	pthread_t ids[THREADS];
	unsigned int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Children go when their parent does. */
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	limit(RLIMIT_NOFILE, LIMIT_FILES);
	limit(RLIMIT_MEMLOCK, LIMIT_MEMLOCK);
	limit(RLIMIT_AS, LIMIT_MEMORY);
	limit(RLIMIT_CORE, 0);
	drop_ipc_lock();
	choose_devices(process, generation);
	handle_signals();
	start_pager(w);
	pthread_barrier_init(&all_there, NULL, THREADS);
	if (!make_area())
		_exit(1);
	for (i = 0; i < THREADS; i++) {
		threads[i].process = process;
		threads[i].generation = generation;
		threads[i].index = i;
		threads[i].state = &w->states[i];
		threads[i].arg = make_room();
		threads[i].array = make_room();
		if (!threads[i].arg || !threads[i].array ||
		    pthread_create(&ids[i], NULL, be_thread, &threads[i]))
			_exit(1);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(ids[i], NULL);
	if (alone)
		check_pins();
	_exit(0);
}

/*
 * The administrator
 */
static long do_as_admin(struct thread *t, unsigned int row, long ret)
{
	end(t, &rows[row], ret);
	t->step++;
	begin_draw(t);
	return ret;
}

static bool is_there(const char *bdf)
{
	char path[PATH_MAX];

	pci_path(path, sizeof(path), bdf, "vendor");
	return !access(path, F_OK);
}

static bool bring_back(struct thread *t, const char *bdf)
{
	__u64 limit = now_ms() + 30000;

	while (!is_there(bdf) || !pci_driver_is(bdf, "vfio")) {
		if (!is_there(bdf)) {
			begin(t, &rows[RESCAN]);
			do_as_admin(t, RESCAN,
				    file_write("/sys/bus/pci/rescan", "1"));
		}
		begin(t, &rows[BIND]);
		do_as_admin(t, BIND, pci_bind(bdf));
		if (now_ms() > limit)
			return false;
	}
	return true;
}

static long look(const char *bdf, const char *attr)
{
	char path[PATH_MAX], text[8192];
	long ret = node_attr(bdf, attr, path, sizeof(path));

	return ret ?: file_read(path, text, sizeof(text));
}

static void admin_step(struct thread *t)
{
	static const char *const attrs[] = {
		"config_map", "config_rules", "locked_pages",
	};
	unsigned int d = any(t, num_devices);
	const char *bdf = devices[d].bdf;

	t->device = d;
	switch (any(t, 8)) {
	case 0:
	case 1:
		begin(t, &rows[UNBIND]);
		do_as_admin(t, UNBIND, pci_unbind(bdf));
		break;
	case 2:
		/* A virtual function is not found again. */
		if (!devices[d].removable)
			break;
		begin(t, &rows[REMOVE]);
		do_as_admin(t, REMOVE, pci_attr_write(bdf, "remove", "1"));
		break;
	case 3:
	case 4:
		begin(t, &rows[SYSFS_RESET]);
		do_as_admin(t, SYSFS_RESET, pci_attr_write(bdf, "reset", "1"));
		break;
	default:
		begin(t, &rows[LOOK]);
		do_as_admin(t, LOOK, look(bdf, attrs[any(t, 3)]));
		sleep_ms(any(t, 100));
	}
	if (!bring_back(t, bdf)) {
		wrong("%s %s does not come back", devices[d].name, bdf);
		_exit(1);
	}
}

static void be_admin(unsigned int generation)
{
	struct worker *w = &shared->workers[ADMIN];
	struct thread t = {
		.process = ADMIN,
		.generation = generation,
		.state = &w->states[0],
		.fd = -1,
	};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!get_once(&w->ending)) {
		begin_draw(&t);
		admin_step(&t);
		t.step++;
	}
	_exit(0);
}

/*
 * Those who look after them
 */
static void start(unsigned int process, bool alone)
{
	struct worker *w = &shared->workers[process];
	unsigned int generation = w->generation++;
	unsigned int i;
	pid_t pid;

	w->ending = 0;
	for (i = 0; i < THREADS; i++) {
		w->states[i].begin = 0;
		w->states[i].end = now_ms();
		w->states[i].num = 0;
	}
	w->until = process == ADMIN || alone ? UINT64_MAX : now_ms() + LIFE_MS;
	w->steps = mix(seed ^ mix(process * 1000 + generation)) % LIFE_STEPS;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (process == ADMIN)
			be_admin(generation);
		be_worker(process, generation, alone);
	}
	if (pid > 0)
		w->pid = pid;
}

static void bury(pid_t pid, int status)
{
	unsigned int i;

	for (i = 0; i <= PROCESSES; i++) {
		struct worker *w = &shared->workers[i];

		if (w->pid != pid)
			continue;
		w->pid = 0;
		if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
			wrong("process %u.%u died of signal %d", i,
			      w->generation - 1, WTERMSIG(status));
		else if (WIFEXITED(status) && WEXITSTATUS(status))
			wrong("process %u.%u ended with %d", i,
			      w->generation - 1, WEXITSTATUS(status));
	}
}

static void bury_all(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		bury(pid, status);
}

static bool is_stuck(struct worker *w)
{
	__u64 last = 0;
	unsigned int i;

	if (!w->pid)
		return false;
	for (i = 0; i < THREADS; i++)
		if (get_once(&w->states[i].end) > last)
			last = w->states[i].end;
	return now_ms() > last + STALL_MS;
}

static void show_file(const char *path)
{
	char text[8192], *line, *save;

	if (file_read(path, text, sizeof(text)) < 0)
		return;
	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		ksft_print_msg("  %s: %s\n", path, line);
}

/* Where a process is in the kernel */
static void show_tasks(pid_t pid)
{
	static const char *const files[] = { "wchan", "syscall", "stack" };
	char path[PATH_MAX];
	glob_t tasks;
	size_t i, j;

	snprintf(path, sizeof(path), "/proc/%d/task/*", pid);
	if (glob(path, 0, NULL, &tasks))
		return;
	for (i = 0; i < tasks.gl_pathc; i++) {
		for (j = 0; j < ARRAY_SIZE(files); j++) {
			snprintf(path, sizeof(path), "%s/%s",
				 tasks.gl_pathv[i], files[j]);
			show_file(path);
		}
	}
	globfree(&tasks);
}

static void show_record(const struct record *r)
{
	ksft_print_msg("  %8llu %-13s fd %d: %ld: %llx %llx %llx %llx %llx %llx\n",
		       r->step, rows[r->row].name, r->fd, r->ret, r->word[0],
		       r->word[1], r->word[2], r->word[3], r->word[4],
		       r->word[5]);
}

/* What everybody did last; the last one may be under way. */
static void show_last(unsigned int process)
{
	struct worker *w = &shared->workers[process];
	unsigned int i, j, num;

	for (i = 0; i < THREADS; i++) {
		struct state *s = &w->states[i];

		num = get_once(&s->num);
		if (!num && !s->begin)
			continue;
		ksft_print_msg("process %u.%u thread %u, %s %llu ms\n", process,
			       w->generation - 1, i,
			       s->begin ? "in a step for" : "between steps",
			       s->begin ? now_ms() - s->begin : 0);
		for (j = num < RING ? 0 : num + 1 - RING; j < num + !!s->begin;
		     j++)
			show_record(&s->ring[j % RING]);
	}
}

static void show_stuck(unsigned int process)
{
	ksft_print_msg("process %u gets nowhere\n", process);
	show_tasks(shared->workers[process].pid);
	if (geteuid())
		return;
	file_write("/proc/sys/kernel/sysrq", "1");
	file_write("/proc/sysrq-trigger", "w");
	file_write("/proc/sysrq-trigger", "l");
	sleep_ms(1000);
}

static unsigned int num_steps(struct worker *w)
{
	unsigned int i, num = 0;

	for (i = 0; i < THREADS; i++)
		num += get_once(&w->states[i].num);
	return num;
}

/* False when it is over, for one of them gets nowhere */
static bool look_after(unsigned int process, bool alone)
{
	struct worker *w = &shared->workers[process];

	if (is_stuck(w))
		return false;
	if (!w->pid)
		start(process, alone);
	if (process == ADMIN || (now_ms() < w->until && num_steps(w) < w->steps))
		return true;
	/* Killed with all in flight, or told to end */
	if (!w->ending) {
		set_once(&w->ending, 1);
		if (w->steps % 2)
			kill(w->pid, SIGKILL);
	}
	return true;
}

static bool wait_all(unsigned int ms)
{
	__u64 limit = now_ms() + ms;
	unsigned int i, left;

	do {
		bury_all();
		for (i = left = 0; i <= PROCESSES; i++)
			left += !!shared->workers[i].pid;
		if (left)
			sleep_ms(20);
	} while (left && now_ms() < limit);
	return !left;
}

/* Wait for the end of those who were told to; false when one does not end. */
static bool end_all(void)
{
	__u64 limit = now_ms() + 2 * STALL_MS;
	unsigned int i;

	for (i = 0; i <= PROCESSES; i++)
		set_once(&shared->workers[i].ending, 1);
	if (!wait_all(STALL_MS)) {
		for (i = 0; i <= PROCESSES; i++) {
			if (!shared->workers[i].pid)
				continue;
			show_last(i);
			show_stuck(i);
			kill(shared->workers[i].pid, SIGKILL);
		}
		wait_all(STALL_MS / 4);
		return false;
	}
	/* Children of theirs */
	while (now_ms() < limit && waitpid(-1, NULL, WNOHANG) != -1)
		sleep_ms(20);
	return true;
}

static void show_everybody(void)
{
	unsigned int i;

	for (i = 0; i <= PROCESSES; i++)
		show_last(i);
}

/*
 * How many pages the user of this process is charged for, found by the limit with
 * which one more can be pinned
 */
static long find_charge(void)
{
	struct rlimit limit = { .rlim_max = LIMIT_MEMLOCK };
	unsigned long low = 0, high = LIMIT_MEMLOCK / page(), mid;
	void *mem = pages_alloc(1);
	int space = space_open();

	drop_ipc_lock();
	getrlimit(RLIMIT_MEMLOCK, &limit);
	while (low < high) {
		mid = (low + high) / 2;
		limit.rlim_cur = (mid + 1) * page();
		if (limit.rlim_cur > limit.rlim_max)
			limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_MEMLOCK, &limit);
		if (dma_map(space, mem, IOVA_A, page(), 0)) {
			low = mid + 1;
		} else {
			dma_unmap(space, IOVA_A, page());
			high = mid;
		}
	}
	return low;
}

/* In a child, as it changes its limits */
static long charged_pages(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(find_charge() < 255 ? find_charge() : 255);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static void show_stats(void)
{
	char text[400];
	unsigned int i, e, len;
	__u64 total = 0;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stats *s = &shared->stats[i];

		total += s->done;
		for (e = len = 0; e < NUM_ERRNO && len < sizeof(text); e++)
			if (s->errors[e])
				len += snprintf(text + len, sizeof(text) - len,
						" %s %u", strerrorname_np(e),
						s->errors[e]);
		text[len < sizeof(text) ? len : sizeof(text) - 1] = 0;
		ksft_print_msg("%-14s %8lu, %8lu worked;%s\n", rows[i].name,
			       s->done, s->good, text);
	}
	ksft_print_msg("%llu executions\n", total);
}

/* A run that is long enough for all sees each of them work. */
static bool all_worked(bool admin)
{
	bool all = true;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].fails || rows[i].extra || shared->stats[i].good ||
		    shared->stats[i].done < ENOUGH || (i >= UNBIND && !admin))
			continue;
		ksft_print_msg("%s never worked\n", rows[i].name);
		all = false;
	}
	return all;
}

/* Nothing is left of the others, and it works. */
static bool device_works(const char *name, const char *bdf)
{
	struct device dev;
	unsigned int i;
	int ret = 0;
	bool good;

	for (i = 0; i < 100; i++) {
		dev.fd = node_open(bdf, O_RDWR);
		if (dev.fd >= 0)
			close(dev.fd);
		if (dev.fd != -EBUSY)
			break;
		sleep_ms(100);
	}
	good = !locked_pages(bdf) &&
	       !(pci_config_word(bdf, PCI_COMMAND) & PCI_COMMAND_MASTER);
	if (!good)
		ksft_print_msg("%s: %ld pages locked, or bus master\n", name,
			       locked_pages(bdf));
	ret = device_open(&dev, bdf);
	if (!ret) {
		ret = device_attach(&dev);
		/* One that is only reset together with others */
		if (ret == -EBUSY && !strncmp(name, "PAIR", 4))
			ret = 0;
	}
	if (ret)
		ksft_print_msg("%s: %s\n", name, strerror(-ret));
	if (dev.fd >= 0)
		device_close(&dev);
	log_close(&dev.log);
	return good && !ret;
}

static void find_devices(void)
{
	static const char *const names[] = {
		"VF", "VF2", "EDU", "PAIR1", "PAIR2", "TESTDEV", "NVME", "E1000E",
		"IGB", "VIRTIO", "IVSHMEM", "DOORBELL", "XHCI",
	};
	const char *without = getenv("UIOMMU_FUZZ_WITHOUT");
	char var[40];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		const char *bdf;

		snprintf(var, sizeof(var), "UIOMMU_%s", names[i]);
		bdf = getenv(var);
		if (!bdf || (without && strstr(without, names[i])))
			continue;
		devices[num_devices].name = names[i];
		devices[num_devices].bdf = bdf;
		devices[num_devices].edu = !strcmp(names[i], "EDU") ||
					   !strncmp(names[i], "PAIR", 4);
		/* A slot and its reset are the PCI core's to sort out. */
		devices[num_devices].removable = !devices[num_devices].edu &&
						 strncmp(names[i], "VF", 2);
		if (num_devices && (!strcmp(names[i], "VF2") ||
				    !strcmp(names[i], "PAIR2")))
			num_units--;
		devices[num_devices++].unit = num_units++;
	}
}

/**
 * struct run - what the environment asks for
 * @seconds: for how long
 * @only: one process, or all when < 0
 * @admin: with an administrator
 */
struct run {
	unsigned int seconds;
	int only;
	bool admin;
};

static bool is_wanted(const struct run *run, unsigned int process)
{
	if (run->only >= 0)
		return process == (unsigned int)run->only;
	return process != ADMIN || run->admin;
}

/* False when one got nowhere */
static bool run_all(const struct run *run, struct log *log)
{
	__u64 stop = now_ms() + 1000ULL * run->seconds;
	bool alive = true;
	unsigned int i;

	while (alive && now_ms() < stop && !log->splats) {
		bury_all();
		for (i = 0; i <= PROCESSES && alive; i++) {
			if (is_wanted(run, i))
				alive = look_after(i, false);
			if (!alive)
				show_stuck(i);
		}
		log_read(log);
		sleep_ms(20);
	}
	if (!alive || log->splats)
		show_everybody();
	return alive;
}

/* One for itself, of which all that it pins can be told */
static bool run_alone(void)
{
	start(0, true);
	sleep_ms(2000);
	return end_all();
}

static struct run ask_environment(void)
{
	const char *seconds = getenv("UIOMMU_FUZZ");
	const char *from = getenv("UIOMMU_SEED");
	const char *only = getenv("UIOMMU_FUZZ_PROCESS");
	struct run run = { .seconds = SECONDS, .only = -1 };
	unsigned int generation = 0;

	if (seconds)
		run.seconds = atoi(seconds);
	seed = from ? strtoull(from, NULL, 0) : now_ms();
	run.admin = !geteuid();
	if (only && sscanf(only, "%d.%u", &run.only, &generation) < 1)
		run.only = -1;
	if (run.only > ADMIN)
		run.only = -1;
	if (run.only >= 0)
		shared->workers[run.only].generation = generation;
	return run;
}

static void test_answers(void)
{
	unsigned int i;

	for (i = 0; i < shared->num_wrong && i < MAX_WRONG; i++)
		ksft_print_msg("%s\n", shared->wrong[i]);
	ksft_test_result(!shared->num_wrong, "what is answered can be\n");
}

static void test_leftovers(long pins, long charge)
{
	__u64 limit = now_ms() + 10000;
	long pins_now, charge_now;

	do {
		pins_now = pins_outstanding();
		charge_now = charged_pages();
		if (pins_now == pins && charge_now == charge)
			break;
		sleep_ms(100);
	} while (now_ms() < limit);
	if (pins_now != pins || charge_now != charge)
		ksft_print_msg("pinned %ld, was %ld; charged %ld, was %ld\n",
			       pins_now, pins, charge_now, charge);
	ksft_test_result(pins_now == pins && charge_now == charge,
			 "nothing stays pinned or charged\n");
}

static void test_devices(void)
{
	struct thread t = {
		.process = ADMIN, .state = &shared->workers[ADMIN].states[0],
		.fd = -1,
	};
	bool all = true;
	unsigned int i;

	for (i = 0; i < num_devices; i++) {
		if (!geteuid() && !bring_back(&t, devices[i].bdf)) {
			ksft_print_msg("%s is gone\n", devices[i].name);
			all = false;
			continue;
		}
		all &= device_works(devices[i].name, devices[i].bdf);
	}
	ksft_test_result(all, "the devices work\n");
}

static void fuzz(void)
{
	struct run run = ask_environment();
	long pins = pins_outstanding(), charge = charged_pages();
	struct log log;
	bool alive;

	ksft_set_plan(6);
	ksft_print_msg("UIOMMU_SEED=%llu, %u s, %u devices\n", seed,
		       run.seconds, num_devices);
	if (log_open(&log))
		ksft_print_msg("cannot read the kernel log\n");
	alive = run_all(&run, &log);
	alive &= end_all();
	close_all();
	if (alive && run.only < 0)
		alive = run_alone();
	close_all();
	show_stats();
	test_answers();
	if (run.seconds >= LONG_RUN && run.only < 0)
		ksft_test_result(all_worked(run.admin), "each request worked\n");
	else
		ksft_test_result_skip("each request worked: needs %u s\n",
				      LONG_RUN);
	ksft_test_result(alive, "everybody gets on\n");
	test_leftovers(pins, charge);
	test_devices();
	log_read(&log);
	if (log.splats)
		ksft_print_msg("%s\n", log.first);
	ksft_test_result(!log.splats, "the kernel does not complain\n");
	log_close(&log);
}

int main(int argc, char **argv)
{
	/* A process that became another program */
	if (argc > 1 && !strcmp(argv[1], "--end"))
		return 0;

	ksft_print_header();
	/* From brk() alone: elsewhere threads could map something over it. */
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	find_devices();
	if (!num_devices)
		ksft_exit_skip("no device\n");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED ||
	    socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, mailbox))
		ksft_exit_fail_msg("no memory\n");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (!geteuid())
		file_write("/sys/bus/pci/drivers_autoprobe", "0");
	fuzz();
	if (!geteuid())
		file_write("/sys/bus/pci/drivers_autoprobe", "1");
	ksft_finished();
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that goes away: mappings end when the process unmaps or moves what is
 * behind them, or exits, and for no other reason.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "util.h"

#define MIB		(1024 * 1024UL)
#define HUGE_SIZE	(2 * MIB)
#define NPAGES		16

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

/* What an exec test turns into: it has the fds, and waits for the end. */
static void __attribute__((constructor)) after_exec(void)
{
	if (!getenv("UIOMMU_TEST_EXEC"))
		return;
	for (;;)
		pause();
}

FIXTURE(memory)
{
	struct device dev;
	struct engine engine;
	unsigned char *mem;
	size_t len;
	long pins;
	int fd;
};

FIXTURE_VARIANT(memory)
{
	bool by_device;
};

FIXTURE_VARIANT_ADD(memory, device) {
	.by_device = true,
};

FIXTURE_VARIANT_ADD(memory, space) {
	.by_device = false,
};

FIXTURE_SETUP(memory)
{
	self->dev.fd = -1;
	self->dev.space = -1;
	if (!getenv("UIOMMU_EDU"))
		SKIP(return, "no edu device");
	ASSERT_EQ(0, device_open(&self->dev, getenv("UIOMMU_EDU")));
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	self->fd = variant->by_device ? self->dev.fd : self->dev.space;
	self->pins = pins_outstanding();
	self->len = NPAGES * page_size();
	self->mem = pages_alloc(NPAGES);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(memory)
{
	struct uiommu_info info = {};

	if (self->dev.fd < 0)
		return;
	EXPECT_EQ(0, space_info(self->dev.space, &info));
	EXPECT_EQ(self->engine.mem ? 1 : 0, info.out_mappings);
	EXPECT_EQ(info.out_pinned, info.out_charged);
	EXPECT_EQ(self->pins, pins_outstanding());
	engine_stop(&self->engine);
	device_close(&self->dev);
	log_read(&self->dev.log);
	EXPECT_EQ(0, self->dev.log.splats + self->dev.log.faults) {
		TH_LOG("%s", self->dev.log.first);
	}
	log_close(&self->dev.log);
}

static struct uiommu_info info_of(int fd)
{
	struct uiommu_info info = {};

	if (space_info(fd, &info))
		abort();
	return info;
}

static __u64 mappings(int fd)
{
	return info_of(fd).out_mappings;
}

static __u64 pinned(int fd)
{
	return info_of(fd).out_pinned;
}

/* Ways to lose memory; each gets a buffer of NPAGES, populated */
static void lose_all(unsigned char *mem)
{
	munmap(mem, NPAGES * page_size());
}

static void lose_first(unsigned char *mem)
{
	munmap(mem, page_size());
}

static void lose_last(unsigned char *mem)
{
	munmap(mem + (NPAGES - 1) * page_size(), page_size());
}

static void lose_one(unsigned char *mem)
{
	munmap(mem + 5 * page_size(), page_size());
}

static void lose_more(unsigned char *mem)
{
	munmap(mem - page_size(), (NPAGES + 2) * page_size());
}

static void replace_one(unsigned char *mem)
{
	if (mmap(mem + 7 * page_size(), page_size(), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1,
		 0) == MAP_FAILED)
		abort();
}

static void move_all(unsigned char *mem)
{
	void *to = mmap(NULL, 2 * NPAGES * page_size(), PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mremap(mem, NPAGES * page_size(), NPAGES * page_size(),
		   MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
		abort();
}

static void shrink(unsigned char *mem)
{
	if (mremap(mem, NPAGES * page_size(), page_size(), 0) != mem)
		abort();
}

static void (*const ways[])(unsigned char *mem) = {
	lose_all, lose_first, lose_last, lose_one, lose_more, replace_one,
	move_all, shrink,
};

/* A buffer with a page on either side that is nobody's */
static unsigned char *buffer(void)
{
	unsigned char *mem = mmap(NULL, (NPAGES + 2) * page_size(),
				  PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
				  -1, 0);

	return mem == MAP_FAILED ? NULL : mem + page_size();
}

TEST_F_TIMEOUT(memory, goes, TEST_SECONDS)
{
	__u64 before = mappings(self->fd);
	unsigned char *mem;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		mem = buffer();
		ASSERT_NE(NULL, mem);
		ASSERT_EQ(0, dma_map(self->fd, mem, IOVA_A, self->len,
				     VFIO_FLAG_WRITE));
		EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, mem));
		EXPECT_EQ(before + 1, mappings(self->fd));
		ways[i](mem);
		EXPECT_EQ(before, mappings(self->fd)) {
			TH_LOG("way %zu", i);
		}
		EXPECT_EQ(-ENXIO, dma_unmap(self->fd, IOVA_A, self->len));
		EXPECT_TRUE(engine_is_stopped(&self->engine, IOVA_A,
					      self->mem));
		EXPECT_EQ(self->pins, pins_outstanding());
		munmap(mem - page_size(), (NPAGES + 2) * page_size());
	}
}

/* The others in the same memory stay, and those of the same goes. */
TEST_F_TIMEOUT(memory, all_of_it_and_no_other, TEST_SECONDS)
{
	size_t size = page_size();
	__u64 before = mappings(self->fd);

	ASSERT_EQ(0, dma_map(self->fd, self->mem, IOVA_A, 4 * size,
			     VFIO_FLAG_WRITE));
	ASSERT_EQ(0, dma_map(self->dev.space, self->mem + 2 * size, IOVA_B,
			     4 * size, VFIO_FLAG_WRITE));
	ASSERT_EQ(0, dma_map(self->fd, self->mem + 3 * size, IOVA_B + 4 * size,
			     8 * size, VFIO_FLAG_WRITE));
	ASSERT_EQ(0, dma_map(self->fd, self->mem + 4 * size, IOVA_C, 4 * size,
			     VFIO_FLAG_WRITE));
	ASSERT_EQ(before + 4, mappings(self->fd));
	/* Neither memory beside it nor a page that none has */
	ASSERT_EQ(0, munmap(self->mem + 11 * size, 5 * size));
	EXPECT_EQ(before + 4, mappings(self->fd));
	ASSERT_EQ(0, munmap(self->mem + 3 * size, size));
	EXPECT_EQ(before + 1, mappings(self->fd));
	EXPECT_EQ(-ENXIO, dma_unmap(self->fd, IOVA_A, 4 * size));
	EXPECT_EQ(-ENXIO, dma_unmap(self->fd, IOVA_B, 12 * size));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_C,
				   self->mem + 4 * size));
	EXPECT_EQ(0, dma_unmap(self->fd, IOVA_C, 4 * size));
}

TEST_F_TIMEOUT(memory, is_kept_on_request, TEST_SECONDS)
{
	unsigned int flags = VFIO_FLAG_WRITE | UIOMMU_FLAG_KEEP;
	__u64 before = mappings(self->fd), bytes = pinned(self->fd);

	ASSERT_EQ(0, dma_map(self->fd, self->mem, IOVA_A, self->len, flags));
	ASSERT_EQ(0, dma_map(self->fd, self->mem, IOVA_B, self->len,
			     VFIO_FLAG_WRITE));
	ASSERT_EQ(0, munmap(self->mem, self->len));
	EXPECT_EQ(before + 1, mappings(self->fd));
	EXPECT_EQ(0, engine_write(&self->engine, IOVA_A, ENGINE_BYTES));
	EXPECT_EQ(0, log_take_faults(&self->dev.log, 100));
	EXPECT_EQ(bytes + self->len, pinned(self->fd));
	EXPECT_EQ(0, dma_unmap(self->fd, IOVA_A, self->len));
	EXPECT_EQ(-ENXIO, dma_unmap(self->fd, IOVA_B, self->len));
}

/* What does not take memory away leaves the mapping, and the device on it. */
TEST_F_TIMEOUT(memory, stays, TEST_SECONDS)
{
	unsigned char *mem = mmap(NULL, 2 * HUGE_SIZE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *huge = (void *)(((uintptr_t)mem + HUGE_SIZE - 1) &
				       ~(HUGE_SIZE - 1));
	__u64 before = mappings(self->fd);
	int status = -1;
	pid_t child;

	ASSERT_NE(MAP_FAILED, mem);
	memset(huge, 1, HUGE_SIZE);
	ASSERT_EQ(0, dma_map(self->fd, huge, IOVA_A, self->len,
			     VFIO_FLAG_WRITE));
	/* Each can be refused; none may take the mapping away. */
	madvise(huge, HUGE_SIZE, MADV_HUGEPAGE);
	madvise(huge, HUGE_SIZE, MADV_COLLAPSE);
	madvise(huge, HUGE_SIZE, MADV_NOHUGEPAGE);
	madvise(huge, HUGE_SIZE, MADV_MERGEABLE);
	madvise(huge, HUGE_SIZE, MADV_PAGEOUT);
	madvise(huge, HUGE_SIZE, MADV_COLD);
	ASSERT_EQ(0, mprotect(huge, HUGE_SIZE, PROT_READ));
	ASSERT_EQ(0, mprotect(huge, HUGE_SIZE, PROT_READ | PROT_WRITE));
	mlock(huge, self->len);
	munlock(huge, self->len);
	child = fork();
	if (!child) {
		munmap(huge, HUGE_SIZE);
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(before + 1, mappings(self->fd));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, huge));
	ASSERT_EQ(0, madvise(huge, self->len, MADV_DONTNEED));
	EXPECT_EQ(before + 1, mappings(self->fd));
	EXPECT_EQ(0, dma_unmap(self->fd, IOVA_A, self->len));
	munmap(mem, 2 * HUGE_SIZE);
}

/* Gone when the next request comes, not a little later. */
TEST_F_TIMEOUT(memory, goes_at_once, TEST_SECONDS)
{
	unsigned char *mem;
	int i;

	for (i = 0; i < 300; i++) {
		mem = pages_alloc(NPAGES);
		ASSERT_NE(NULL, mem);
		ASSERT_EQ(0, dma_map(self->fd, mem, IOVA_A, self->len, 0)) {
			TH_LOG("round %d", i);
		}
		munmap(mem, self->len);
	}
	EXPECT_EQ(-ENXIO, dma_unmap(self->fd, IOVA_A, self->len));
}

/* A device can leave, or come, when what was in the way went with its memory. */
TEST_F_TIMEOUT(memory, is_no_more_in_the_way, TEST_SECONDS)
{
	engine_stop(&self->engine);
	self->pins = pins_outstanding();
	ASSERT_EQ(0, dma_map(self->fd, self->mem, IOVA_A, self->len, 0));
	if (variant->by_device)
		EXPECT_EQ(-EBUSY, domain_unset(self->dev.fd));
	ASSERT_EQ(0, munmap(self->mem, self->len));
	ASSERT_EQ(0, domain_unset(self->dev.fd));

	/* Where interrupts are, no device can have memory. */
	self->mem = pages_alloc(NPAGES);
	ASSERT_EQ(0, dma_map(self->dev.space, self->mem,
			     reserved_iova(self->dev.bdf), self->len, 0));
	EXPECT_EQ(-EADDRNOTAVAIL, domain_set(self->dev.fd, self->dev.space));
	ASSERT_EQ(0, munmap(self->mem, self->len));
	EXPECT_EQ(0, domain_set(self->dev.fd, self->dev.space));
}

static void wait_for_mappings(struct __test_metadata *_metadata, int fd,
			      __u64 num)
{
	__u64 end = now_ms() + 20000;

	while (mappings(fd) != num && now_ms() < end)
		sleep_ms(10);
	EXPECT_EQ(num, mappings(fd));
}

static void *wait_always(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

enum end { EXITS, EXECS, IS_KILLED, IS_KILLED_WITH_THREADS, NUM_ENDS };

/* Map, tell so, and come to an end, or wait for one */
static void map_and_end(int dev, int space, int fd, void *mem, size_t len,
			int tell, enum end end)
{
	pthread_t thread;
	int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; end == IS_KILLED_WITH_THREADS && i < 4; i++)
		if (pthread_create(&thread, NULL, wait_always, NULL))
			_exit(1);
	if (dma_map(fd, mem, IOVA_A, len, 0))
		_exit(2);
	if (dma_map(fd, mem, IOVA_B, len, UIOMMU_FLAG_KEEP))
		_exit(3);
	if (write(tell, "", 1) != 1)
		_exit(4);
	if (end == EXITS)
		_exit(0);
	if (end == EXECS) {
		setenv("UIOMMU_TEST_EXEC", "", 1);
		fcntl(dev, F_SETFD, 0);
		fcntl(space, F_SETFD, 0);
		execl("/proc/self/exe", "memory", NULL);
		_exit(5);
	}
	wait_always(NULL);
}

/* The process that mapped exits or becomes another program; the files stay. */
TEST_F_TIMEOUT(memory, goes_with_the_process, TEST_SECONDS)
{
	__u64 before = mappings(self->fd);
	int status, up[2];
	enum end end;
	pid_t child;
	char c;

	for (end = EXITS; end < NUM_ENDS; end++) {
		ASSERT_EQ(0, pipe2(up, O_CLOEXEC));
		child = fork();
		if (!child)
			map_and_end(self->dev.fd, self->dev.space, self->fd,
				    self->mem, self->len, up[1], end);
		close(up[1]);
		ASSERT_EQ(1, read(up[0], &c, 1));
		if (end != EXITS && end != EXECS) {
			sleep_ms(100);
			EXPECT_EQ(before + 2, mappings(self->fd));
			kill(child, SIGKILL);
		}
		if (end != EXECS)
			ASSERT_EQ(child, waitpid(child, &status, 0));
		wait_for_mappings(_metadata, self->fd, before + 1);
		EXPECT_EQ(-ENXIO, dma_unmap(self->fd, IOVA_A, self->len));
		EXPECT_EQ(0, dma_unmap(self->fd, IOVA_B, self->len));
		if (end == EXECS) {
			/* It was that program that ran meanwhile. */
			EXPECT_EQ(0, waitpid(child, &status, WNOHANG));
			kill(child, SIGKILL);
			ASSERT_EQ(child, waitpid(child, &status, 0));
		}
		close(up[0]);
	}
}

/* Very many at once */
TEST_F_TIMEOUT(memory, many_go, TEST_SECONDS)
{
	__u64 before = mappings(self->fd), begin;
	unsigned char *mem = pages_alloc(1);
	int i, num = pages_to_lock(20000);

	for (i = 0; i < num; i++) {
		ASSERT_EQ(0, dma_map(self->fd, mem, IOVA_HIGH + i * page_size(),
				     page_size(), 0));
	}
	EXPECT_EQ(before + num, mappings(self->fd));
	begin = now_ms();
	munmap(mem, page_size());
	EXPECT_EQ(before, mappings(self->fd));
	EXPECT_GT(begin + 60000, now_ms());
}

/* What a thread maps, another one takes away, without a word between them. */
struct racer {
	int fd;
	unsigned char *mem;
	__u64 iova;
	int stop;
	unsigned long done;
	unsigned long refused;
};

static void *map_always(void *arg)
{
	struct racer *r = arg;
	size_t len = NPAGES * page_size();
	int ret;

	while (!get_once(&r->stop)) {
		ret = dma_map(r->fd, r->mem, r->iova, len, VFIO_FLAG_WRITE);
		if (ret && ret != -EFAULT && ret != -EBUSY)
			abort();
		r->refused += !!ret;
		if (!ret && r->done % 2) {
			ret = dma_unmap(r->fd, r->iova, len);
			if (ret && ret != -ENXIO && ret != -EBUSY)
				abort();
		}
		r->done++;
	}
	return NULL;
}

static void *unmap_always(void *arg)
{
	struct racer *r = arg;
	size_t len = NPAGES * page_size();

	while (!get_once(&r->stop)) {
		if (mmap(r->mem, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED |
			 (r->done % 3 ? MAP_POPULATE : 0), -1, 0) != r->mem)
			abort();
		if (r->done % 4)
			usleep(r->done % 50 * 10);
		else if (madvise(r->mem, len, MADV_DONTNEED))
			abort();
		munmap(r->mem, len);
		r->done++;
	}
	return NULL;
}

TEST_F_TIMEOUT(memory, goes_while_it_is_mapped, TEST_SECONDS)
{
	__u64 before = mappings(self->fd), iova;
	struct racer r[4] = {};
	pthread_t threads[4];
	void *places;
	int i;

	/* Two pairs, each at a place of its own that nobody else gets */
	places = mmap(NULL, 4 * self->len, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, places);
	for (i = 0; i < 4; i++) {
		r[i].fd = i % 2 ? self->dev.space : self->fd;
		r[i].mem = (unsigned char *)places + (i / 2) * 2 * self->len;
		r[i].iova = IOVA_A + (i / 2) * MIB;
		ASSERT_EQ(0, pthread_create(&threads[i], NULL,
					    i % 2 ? unmap_always : map_always,
					    &r[i]));
	}
	sleep_ms(3000);
	for (i = 3; i >= 0; i--) {
		set_once(&r[i].stop, 1);
		pthread_join(threads[i], NULL);
		EXPECT_LT(0, r[i].done);
		TH_LOG("thread %d: %lu, %lu refused", i, r[i].done,
		       r[i].refused);
	}
	/* Nothing is left there, so that nothing can be mapped. */
	EXPECT_EQ(before, mappings(self->fd));
	for (i = 0; i < 2; i++) {
		iova = IOVA_A + i * MIB;
		EXPECT_EQ(-ENXIO, dma_unmap(self->fd, iova, self->len));
	}
}

TEST_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events: who is told what, how often, and what becomes of those that nobody
 * reads.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "util.h"

#define NPAGES	16

FIXTURE(event)
{
	struct device dev;
	size_t len;
	int fd;
	int other;
};

FIXTURE_VARIANT(event)
{
	bool by_device;
};

FIXTURE_VARIANT_ADD(event, device) {
	.by_device = true,
};

FIXTURE_VARIANT_ADD(event, space) {
	.by_device = false,
};

FIXTURE_SETUP(event)
{
	self->dev.fd = -1;
	self->dev.space = -1;
	if (!device_any())
		SKIP(return, "no device");
	ASSERT_EQ(0, device_open(&self->dev, device_any()));
	ASSERT_EQ(0, device_attach(&self->dev));
	self->fd = variant->by_device ? self->dev.fd : self->dev.space;
	self->other = variant->by_device ? self->dev.space : self->dev.fd;
	self->len = NPAGES * page_size();
}

FIXTURE_TEARDOWN(event)
{
	if (self->dev.fd < 0 && !self->dev.bdf)
		return;
	device_close(&self->dev);
	log_read(&self->dev.log);
	EXPECT_EQ(0, self->dev.log.splats + self->dev.log.faults) {
		TH_LOG("%s", self->dev.log.first);
	}
	log_close(&self->dev.log);
}

static bool is_loss(const struct uiommu_event *event, __u64 sequence,
		    __u64 iova, __u64 length)
{
	return event->type == UIOMMU_EVENT_MAPPING_LOST && !event->flags &&
	       event->sequence == sequence && event->iova == iova &&
	       event->length == length;
}

static bool is_overflow(const struct uiommu_event *event, __u64 sequence,
			__u64 num)
{
	return event->type == UIOMMU_EVENT_OVERFLOW && !event->flags &&
	       event->sequence == sequence && event->length == num;
}

/* Map pages at @iova and lose the memory; done when this returns. */
static int lose(int fd, __u64 iova, size_t npages)
{
	size_t len = npages * page_size();
	void *mem = pages_alloc(npages);
	struct uiommu_info info = {};
	int ret;

	if (!mem)
		return -ENOMEM;
	ret = dma_map(fd, mem, iova, len, VFIO_FLAG_WRITE);
	if (munmap(mem, len))
		return -errno;
	return ret ?: space_info(fd, &info);
}

TEST_F_TIMEOUT(event, arguments, TEST_SECONDS)
{
	struct uiommu_event_fd arg = { .size = sizeof(arg) };
	struct uiommu_event event;
	int fd;

	arg.num = 1;
	EXPECT_EQ(-EINVAL, request(self->fd, UIOMMU_EVENT_FD, &arg));
	arg.num = UIOMMU_EVENTS_MAX + 1;
	EXPECT_EQ(-EINVAL, request(self->fd, UIOMMU_EVENT_FD, &arg));
	arg.num = -1;
	EXPECT_EQ(-EINVAL, request(self->fd, UIOMMU_EVENT_FD, &arg));
	arg.num = 2;
	arg.__reserved = 1;
	EXPECT_EQ(-EINVAL, request(self->fd, UIOMMU_EVENT_FD, &arg));

	fd = event_fd(self->fd, UIOMMU_EVENTS_MAX, false);
	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(-1, write(fd, &event, sizeof(event)));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(-EAGAIN, event_read(fd, &event, 1));
	EXPECT_EQ(0, event_poll(fd));
	EXPECT_EQ(-ENOTTY, request(fd, UIOMMU_EVENT_FD, &arg));
	close(fd);
}

TEST_F_TIMEOUT(event, tells_of_lost_mappings, TEST_SECONDS)
{
	int one = event_fd(self->fd, 0, false), two, other;
	struct uiommu_event events[8];
	void *mem = pages_alloc(NPAGES);

	two = event_fd(self->fd, 2, false);
	other = event_fd(self->other, 0, false);
	ASSERT_LE(0, one);
	ASSERT_LE(0, two);
	ASSERT_LE(0, other);
	ASSERT_NE(NULL, mem);

	/* Nothing of what the process asks for itself, and of what is kept */
	ASSERT_EQ(0, dma_map(self->fd, mem, IOVA_A, self->len, 0));
	ASSERT_EQ(0, dma_unmap(self->fd, IOVA_A, self->len));
	ASSERT_EQ(0, dma_map(self->fd, mem, IOVA_A, self->len,
			     UIOMMU_FLAG_KEEP));
	ASSERT_EQ(0, munmap(mem, self->len));
	ASSERT_EQ(0, dma_unmap(self->fd, IOVA_A, self->len));
	EXPECT_EQ(0, event_poll(one));
	EXPECT_EQ(-EAGAIN, event_read(one, events, 8));

	/* The event comes without a request. */
	mem = pages_alloc(NPAGES);
	ASSERT_EQ(0, dma_map(self->fd, mem, IOVA_A, self->len, 0));
	ASSERT_EQ(0, munmap(mem + page_size(), page_size()));
	EXPECT_TRUE(event_wait(one));
	EXPECT_EQ(1, event_read(one, events, 8));
	EXPECT_TRUE(is_loss(&events[0], 1, IOVA_A, self->len));
	EXPECT_EQ(0, lose(self->fd, IOVA_B, 3));
	EXPECT_EQ(POLLIN, event_poll(one));
	EXPECT_EQ(1, event_read(one, events, 8));
	EXPECT_TRUE(is_loss(&events[0], 2, IOVA_B, 3 * page_size()));
	EXPECT_EQ(0, event_poll(one));

	/* All are told, in one piece or several. */
	EXPECT_EQ(2, event_read(two, events, 8));
	EXPECT_TRUE(is_loss(&events[0], 1, IOVA_A, self->len));
	EXPECT_TRUE(is_loss(&events[1], 2, IOVA_B, 3 * page_size()));

	/* But those who have to do with it, by the file it belongs to */
	EXPECT_EQ(0, event_poll(other));
	EXPECT_EQ(0, lose(self->other, IOVA_C, 1));
	EXPECT_EQ(1, event_read(other, events, 8));
	EXPECT_TRUE(is_loss(&events[0], 1, IOVA_C, page_size()));
	EXPECT_EQ(-EAGAIN, event_read(one, events, 8));

	/* Who comes later is told what comes later. */
	close(two);
	two = event_fd(self->fd, 2, false);
	EXPECT_EQ(0, event_poll(two));
	EXPECT_EQ(0, lose(self->fd, IOVA_C, 1));
	EXPECT_EQ(1, event_read(two, events, 8));
	EXPECT_TRUE(is_loss(&events[0], 3, IOVA_C, page_size()));
	close(one);
	close(two);
	close(other);
	munmap(mem, self->len);
}

TEST_F_TIMEOUT(event, tells_how_many_are_missing, TEST_SECONDS)
{
	int fd = event_fd(self->fd, 4, false), small;
	struct uiommu_event events[8];
	unsigned int i;

	small = event_fd(self->fd, 2, false);
	ASSERT_LE(0, fd);
	ASSERT_LE(0, small);
	for (i = 1; i <= 10; i++)
		ASSERT_EQ(0, lose(self->fd, IOVA_A, i));

	/* In its place, as soon as there is room for both */
	EXPECT_EQ(1, event_read(fd, events, 1));
	EXPECT_TRUE(is_loss(&events[0], 1, IOVA_A, page_size()));
	ASSERT_EQ(0, lose(self->fd, IOVA_B, 1));
	EXPECT_EQ(1, event_read(fd, events, 1));
	EXPECT_TRUE(is_loss(&events[0], 2, IOVA_A, 2 * page_size()));
	ASSERT_EQ(0, lose(self->fd, IOVA_B, 2));
	EXPECT_EQ(4, event_read(fd, events, 8));
	EXPECT_TRUE(is_loss(&events[0], 3, IOVA_A, 3 * page_size()));
	EXPECT_TRUE(is_loss(&events[1], 4, IOVA_A, 4 * page_size()));
	EXPECT_TRUE(is_overflow(&events[2], 11, 7));
	EXPECT_TRUE(is_loss(&events[3], 12, IOVA_B, 2 * page_size()));
	EXPECT_EQ(-EAGAIN, event_read(fd, events, 8));

	/* Or when there is nothing else */
	EXPECT_EQ(2, event_read(small, events, 2));
	EXPECT_TRUE(is_loss(&events[1], 2, IOVA_A, 2 * page_size()));
	EXPECT_EQ(POLLIN, event_poll(small));
	EXPECT_EQ(1, event_read(small, events, 8));
	EXPECT_TRUE(is_overflow(&events[0], 12, 10));
	EXPECT_EQ(0, event_poll(small));
	ASSERT_EQ(0, lose(self->fd, IOVA_A, 1));
	EXPECT_EQ(1, event_read(small, events, 8));
	EXPECT_TRUE(is_loss(&events[0], 13, IOVA_A, page_size()));
	close(fd);
	close(small);
}

/* A buffer that is too short or cannot be written loses nothing. */
TEST_F_TIMEOUT(event, loses_nothing, TEST_SECONDS)
{
	char *pages = mmap(NULL, 2 * page_size(), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const size_t size = sizeof(struct uiommu_event);
	int fd = event_fd(self->fd, 0, false);
	struct uiommu_event events[8];

	ASSERT_NE(MAP_FAILED, pages);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, mprotect(pages + page_size(), page_size(), PROT_NONE));
	ASSERT_EQ(0, lose(self->fd, IOVA_A, 1));
	ASSERT_EQ(0, lose(self->fd, IOVA_B, 1));

	EXPECT_EQ(-1, read(fd, events, size - 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, read(fd, events, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, read(fd, pages + page_size(), size));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, read(fd, pages + page_size() - size / 2, 2 * size));
	EXPECT_EQ(EFAULT, errno);
	/* One fits, half of the next does. */
	EXPECT_EQ(size, read(fd, pages + page_size() - size * 3 / 2, 8 * size));
	EXPECT_EQ(size, read(fd, events, size + size / 2));
	EXPECT_TRUE(is_loss(&events[0], 2, IOVA_B, page_size()));
	EXPECT_EQ(-EAGAIN, event_read(fd, events, 8));
	close(fd);
	munmap(pages, 2 * page_size());
}

/* An event tells of what was at its IOVA before. */
TEST_F_TIMEOUT(event, is_told_apart_from_a_newer_mapping, TEST_SECONDS)
{
	struct uiommu_map map = { .size = sizeof(map), .length = page_size() };
	int fd = event_fd(self->fd, 0, false);
	struct uiommu_event events[2];
	void *mem = pages_alloc(1);
	__u64 iova;

	ASSERT_LE(0, fd);
	ASSERT_NE(NULL, mem);
	map.vaddr = (uintptr_t)mem;
	ASSERT_EQ(0, request(self->fd, UIOMMU_MAP, &map));
	EXPECT_EQ(0, map.out_sequence);
	iova = map.out_iova;
	ASSERT_EQ(0, munmap(mem, page_size()));
	mem = pages_alloc(1);
	map.vaddr = (uintptr_t)mem;
	ASSERT_EQ(0, request(self->fd, UIOMMU_MAP, &map));
	EXPECT_EQ(iova, map.out_iova);
	EXPECT_EQ(1, map.out_sequence);
	EXPECT_EQ(1, event_read(fd, events, 2));
	EXPECT_TRUE(is_loss(&events[0], 1, iova, page_size()));
	ASSERT_EQ(0, munmap(mem, page_size()));
	EXPECT_TRUE(event_wait(fd));
	EXPECT_EQ(1, event_read(fd, events, 2));
	EXPECT_TRUE(is_loss(&events[0], 2, iova, page_size()));
	close(fd);
}

/* Their memory is charged, and they are not without number. */
TEST_F_TIMEOUT(event, is_bounded, TEST_SECONDS)
{
	const size_t pages = UIOMMU_EVENTS_MAX * sizeof(struct uiommu_event) /
			     page_size();
	struct rlimit limit, old;
	int fds[65], i;

	for (i = 0; i < 64; i++) {
		fds[i] = event_fd(self->fd, 2, false);
		ASSERT_LE(0, fds[i]);
	}
	EXPECT_EQ(-EBUSY, event_fd(self->fd, 2, false));
	close(fds[63]);
	fds[63] = event_fd(self->fd, 2, false);
	EXPECT_LE(0, fds[63]);
	fds[64] = event_fd(self->other, 2, false);
	EXPECT_LE(0, fds[64]);
	for (i = 0; i < 65; i++)
		close(fds[i]);

	if (limit_is_lifted())
		SKIP(return, "this user has no limit");
	ASSERT_EQ(0, getrlimit(RLIMIT_MEMLOCK, &old));
	limit = old;
	limit.rlim_cur = pages * page_size();
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	EXPECT_EQ(-ENOMEM, event_fd(self->fd, UIOMMU_EVENTS_MAX, false));
	limit.rlim_cur += page_size();
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &limit));
	for (i = 0; i < 3; i++) {
		fds[0] = event_fd(self->fd, UIOMMU_EVENTS_MAX, false);
		EXPECT_LE(0, fds[0]);
		EXPECT_EQ(-ENOMEM, event_fd(self->fd, 2, false));
		close(fds[0]);
	}
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &old));
}

struct reader {
	int fd;
	unsigned int seen;
	__u64 sum;
};

static void *read_to_the_end(void *arg)
{
	struct reader *r = arg;
	struct uiommu_event event;
	int ret;

	while ((ret = event_read(r->fd, &event, 1)) == 1) {
		if (event.type != UIOMMU_EVENT_MAPPING_LOST)
			abort();
		r->seen++;
		r->sum += event.sequence;
	}
	if (ret)
		abort();
	return NULL;
}

/* Of several readers each gets other events, and each the end. */
TEST_F_TIMEOUT(event, several_readers, TEST_SECONDS)
{
	const unsigned int num = 200;
	struct reader r[3] = {};
	pthread_t threads[3];
	unsigned int i, seen = 0;
	__u64 sum = 0;
	int fd;

	fd = event_fd(self->fd, 1000, true);
	ASSERT_LE(0, fd);
	for (i = 0; i < 3; i++) {
		r[i].fd = fd;
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, read_to_the_end,
					    &r[i]));
	}
	for (i = 0; i < num; i++)
		ASSERT_EQ(0, lose(self->fd, IOVA_A, 1));
	device_close(&self->dev);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		seen += r[i].seen;
		sum += r[i].sum;
	}
	EXPECT_EQ(num, seen);
	EXPECT_EQ((__u64)num * (num + 1) / 2, sum);
	EXPECT_EQ(POLLIN | POLLHUP, event_poll(fd) | POLLIN);
	close(fd);
}

/* The end comes after what was left, and only with the last close. */
TEST_F_TIMEOUT(event, ends_with_the_file, TEST_SECONDS)
{
	int fd = event_fd(self->fd, 2, false), again;
	struct uiommu_event events[8];

	ASSERT_LE(0, fd);
	again = dup(self->fd);
	ASSERT_LE(0, again);
	ASSERT_EQ(0, lose(self->fd, IOVA_A, 1));
	ASSERT_EQ(0, lose(self->fd, IOVA_A, 1));
	ASSERT_EQ(0, lose(self->fd, IOVA_A, 1));
	device_close(&self->dev);
	EXPECT_EQ(POLLIN, event_poll(fd));
	close(again);
	EXPECT_EQ(POLLIN | POLLHUP, event_poll(fd));
	EXPECT_EQ(2, event_read(fd, events, 2));
	EXPECT_EQ(POLLIN | POLLHUP, event_poll(fd));
	EXPECT_EQ(1, event_read(fd, events, 8));
	EXPECT_TRUE(is_overflow(&events[0], 3, 1));
	EXPECT_EQ(POLLHUP, event_poll(fd));
	EXPECT_EQ(0, event_read(fd, events, 8));
	EXPECT_EQ(0, event_read(fd, events, 8));
	close(fd);
}

/* A process that exits has its mappings told to those who are left. */
TEST_F_TIMEOUT(event, tells_of_a_process_that_exits, TEST_SECONDS)
{
	int fd = event_fd(self->fd, 0, true), status = -1;
	struct uiommu_event events[2];
	pid_t child;

	ASSERT_LE(0, fd);
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(dma_map(self->fd, pages_alloc(NPAGES), IOVA_A, self->len,
			      VFIO_FLAG_WRITE) ? 1 : 0);
	}
	EXPECT_TRUE(event_wait(fd));
	EXPECT_EQ(1, event_read(fd, events, 2));
	EXPECT_TRUE(is_loss(&events[0], 1, IOVA_A, self->len));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	close(fd);
}

/*
 * io_uring, without a library: one request at a time
 */
struct ring {
	int fd;
	void *rings;
	size_t len;
	struct io_uring_sqe *sqe;
	struct io_uring_params p;
};

static int ring_open(struct ring *ring)
{
	ring->fd = syscall(SYS_io_uring_setup, 2, &ring->p);
	if (ring->fd < 0)
		return -errno;
	ring->len = ring->p.cq_off.cqes +
		    ring->p.cq_entries * sizeof(struct io_uring_cqe);
	ring->rings = mmap(NULL, ring->len, PROT_READ | PROT_WRITE, MAP_SHARED,
			   ring->fd, IORING_OFF_SQ_RING);
	ring->sqe = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED,
			 ring->fd, IORING_OFF_SQES);
	return ring->rings == MAP_FAILED || ring->sqe == MAP_FAILED ?
		       -ENOMEM : 0;
}

static void ring_close(struct ring *ring)
{
	munmap(ring->rings, ring->len);
	munmap(ring->sqe, page_size());
	close(ring->fd);
}

static int ring_submit(struct ring *ring, const struct io_uring_sqe *sqe)
{
	__u32 *tail = ring->rings + ring->p.sq_off.tail;
	__u32 *array = ring->rings + ring->p.sq_off.array;
	__u32 at = *tail % ring->p.sq_entries;

	ring->sqe[at] = *sqe;
	ring->sqe[at].user_data = sqe->opcode;
	array[at] = at;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	return syscall(SYS_io_uring_enter, ring->fd, 1, 0, 0, NULL, 0);
}

static bool ring_done(struct ring *ring)
{
	__u32 *head = ring->rings + ring->p.cq_off.head;
	__u32 *tail = ring->rings + ring->p.cq_off.tail;

	return *head != __atomic_load_n(tail, __ATOMIC_ACQUIRE);
}

/* What became of the first request that is done, and which one it was */
static int ring_wait(struct ring *ring, unsigned int *opcode)
{
	__u32 *head = ring->rings + ring->p.cq_off.head;
	struct io_uring_cqe *cqes = ring->rings + ring->p.cq_off.cqes;
	int ret;

	while (!ring_done(ring))
		if (syscall(SYS_io_uring_enter, ring->fd, 0, 1,
			    IORING_ENTER_GETEVENTS, NULL, 0) < 0)
			return -errno;
	ret = cqes[*head % ring->p.cq_entries].res;
	*opcode = cqes[*head % ring->p.cq_entries].user_data;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return ret;
}

TEST_F_TIMEOUT(event, works_with_io_uring, TEST_SECONDS)
{
	struct uiommu_event event = {};
	struct io_uring_sqe read = {
		.opcode = IORING_OP_READ,
		.addr = (unsigned long)&event,
		.len = sizeof(event),
		.off = -1,
	};
	struct io_uring_sqe poll = {
		.opcode = IORING_OP_POLL_ADD,
		.poll32_events = POLLIN,
	};
	struct ring ring = {};
	unsigned int op;
	void *mem[2];
	int fd, i, ret;

	ret = ring_open(&ring);
	if (ret && ret != -ENOMEM)
		SKIP(return, "no io_uring");
	ASSERT_EQ(0, ret);
	fd = event_fd(self->fd, 0, true);
	ASSERT_LE(0, fd);
	read.fd = fd;
	poll.fd = fd;
	for (i = 0; i < 2; i++) {
		mem[i] = pages_alloc(1);
		ASSERT_NE(NULL, mem[i]);
		ASSERT_EQ(0, dma_map(self->fd, mem[i],
				     IOVA_A + i * page_size(), page_size(),
				     0));
	}

	/* Asked before there is something to read */
	ASSERT_EQ(1, ring_submit(&ring, &read));
	sleep_ms(20);
	EXPECT_FALSE(ring_done(&ring));
	munmap(mem[0], page_size());
	EXPECT_EQ(sizeof(event), ring_wait(&ring, &op));
	EXPECT_EQ(UIOMMU_EVENT_MAPPING_LOST, event.type);
	EXPECT_EQ(IOVA_A, event.iova);

	/* and after it */
	ASSERT_EQ(1, ring_submit(&ring, &poll));
	sleep_ms(20);
	EXPECT_FALSE(ring_done(&ring));
	munmap(mem[1], page_size());
	EXPECT_EQ(POLLIN, ring_wait(&ring, &op) & POLLIN);
	ASSERT_EQ(1, ring_submit(&ring, &read));
	EXPECT_EQ(sizeof(event), ring_wait(&ring, &op));
	EXPECT_EQ(IOVA_A + page_size(), event.iova);

	/* The end of the file, while it is waited for */
	ASSERT_EQ(1, ring_submit(&ring, &read));
	ASSERT_EQ(1, ring_submit(&ring, &poll));
	device_close(&self->dev);
	for (i = 0; i < 2; i++) {
		ret = ring_wait(&ring, &op);
		if (op != IORING_OP_READ)
			ret = ret & POLLHUP ? 0 : -1;
		EXPECT_EQ(0, ret);
	}
	close(fd);
	ring_close(&ring);
}

TEST_HARNESS_MAIN

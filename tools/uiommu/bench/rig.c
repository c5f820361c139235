// SPDX-License-Identifier: GPL-2.0-only
/* rig.c - clocks, statistics, memory and sysfs helpers of the rig. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rig.h"

#define SZ_2M (2ul << 20)

noreturn void rig_die(const char *fmt, ...)
{
	int e = errno;
	va_list ap;

	va_start(ap, fmt);
	printf("FATAL ");
	vprintf(fmt, ap);
	printf(" (errno %d %s)\n", e, strerror(e));
	va_end(ap);
	exit(1);
}

void rig_must(int ret, const char *what)
{
	if (ret < 0) {
		errno = -ret;
		rig_die("%s", what);
	}
}

const struct rig_backend *rig_find(const char *name)
{
	for (int i = 0; rig_backends[i]; i++)
		if (!strcmp(rig_backends[i]->name, name))
			return rig_backends[i];
	return NULL;
}

int rig_open(struct rig_dev *d, const struct rig_backend *be, const char *bdf)
{
	int ret;

	memset(d, 0, sizeof(*d));
	d->be = be;
	snprintf(d->bdf, sizeof(d->bdf), "%s", bdf);
	if (be->driver) {
		ret = rig_bind(bdf, be->driver);
		if (ret)
			return ret;
	}
	return be->open(d);
}

void *rig_bar(struct rig_dev *d)
{
	if (!d->bar && d->be->bar_mmap) {
		d->bar_len = EDU_BAR_LEN;
		d->bar = d->be->bar_mmap(d, 0, d->bar_len);
	}
	return d->bar;
}

void rig_close(struct rig_dev *d)
{
	/* A mapped BAR would keep the device open. */
	if (d->bar)
		munmap(d->bar, d->bar_len);
	d->bar = NULL;
	d->be->close(d);
}

void rig_step(struct rig_dev *d, const char *what, int optional)
{
	if (d->nstep == RIG_MAXSTEP)
		return;
	d->step[d->nstep].what = what;
	d->step[d->nstep].optional = optional;
	d->step[d->nstep].cpu = rig_cpu_now();
	d->step[d->nstep++].t = rig_now();
}

/* ---- sysfs ---- */

int rig_read_file(const char *path, char *buf, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, len - 1);
	close(fd);
	if (n < 0)
		return -EIO;
	while (n && buf[n - 1] == '\n')
		n--;
	buf[n] = 0;
	return (int)n;
}

int rig_write_file(const char *path, const char *val)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, val, strlen(val)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

uint64_t rig_slab_bytes(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long kb = 0;
	char line[128];

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Slab: %lu", &kb) == 1)
			break;
	fclose(f);
	return (uint64_t)kb * 1024;
}

/* Name of the driver the function is bound to; -ENODEV if none. */
static int driver_of(const char *bdf, char *name, size_t len)
{
	char path[128], link[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", bdf);
	n = readlink(path, link, sizeof(link) - 1);
	if (n <= 0)
		return -ENODEV;
	link[n] = 0;
	snprintf(name, len, "%s", strrchr(link, '/') + 1);
	return 0;
}

int rig_unbind(const char *bdf)
{
	char path[128], cur[64];

	if (driver_of(bdf, cur, sizeof(cur)))
		return 0;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver/unbind",
		 bdf);
	return rig_write_file(path, bdf);
}

int rig_bind(const char *bdf, const char *driver)
{
	char path[128], cur[64];
	int ret;

	if (!driver_of(bdf, cur, sizeof(cur)) && !strcmp(cur, driver))
		return 0;
	ret = rig_unbind(bdf);
	if (ret)
		return ret;
	snprintf(path, sizeof(path),
		 "/sys/bus/pci/devices/%s/driver_override", bdf);
	ret = rig_write_file(path, driver);
	if (ret)
		return ret;
	ret = rig_write_file("/sys/bus/pci/drivers_probe", bdf);
	if (ret)
		return ret;
	ret = driver_of(bdf, cur, sizeof(cur));
	if (ret)
		return ret;
	return strcmp(cur, driver) ? -ENODEV : 0;
}

/* ---- statistics ---- */

static int cmp_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

struct rig_stat rig_stat(const uint64_t *v, size_t n)
{
	struct rig_stat s = { .n = n };
	uint64_t *c = malloc(n * sizeof(*c)), sum = 0;

	if (!c || !n)
		rig_die("statistics of %zu samples", n);
	memcpy(c, v, n * sizeof(*c));
	qsort(c, n, sizeof(*c), cmp_u64);
	for (size_t i = 0; i < n; i++)
		sum += c[i];
	s.first = v[0];
	s.min = c[0];
	s.p50 = c[n / 2];
	s.max = c[n - 1];
	s.mean = (sum + n / 2) / n;
	free(c);
	return s;
}

void rig_print(const char *prog, const char *be, const char *what,
	       const struct rig_stat *s)
{
	printf("R prog=%s be=%s %s n=%lu first=%lu min=%lu p50=%lu mean=%lu max=%lu\n",
	       prog, be, what, s->n, s->first, s->min, s->p50, s->mean, s->max);
	fflush(stdout);
}

uint64_t rig_clock_cost(void)
{
	uint64_t v[101];

	for (int i = 0; i < 101; i++) {
		uint64_t t = rig_now();

		v[i] = rig_now() - t;
	}
	return rig_stat(v, 101).p50;
}

/* ---- memory ---- */

const char *const rig_mem_name[MEM_NR] = {
	[MEM_4K] = "4k", [MEM_4K_CONTIGUOUS] = "4kcont",
	[MEM_4K_SCATTERED] = "4kscat",
	[MEM_THP] = "thp", [MEM_HUGETLB] = "hugetlb",
};

/* Count physically contiguous runs of base pages; needs CAP_SYS_ADMIN. */
static size_t count_runs(const char *va, size_t size)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t e[512], prev = 0;
	size_t runs = 0;

	if (fd < 0)
		return 0;
	for (size_t off = 0; off < size; off += sizeof(e) / 8 * 4096) {
		size_t n = (size - off) / 4096;

		if (n > sizeof(e) / 8)
			n = sizeof(e) / 8;
		if (pread(fd, e, n * 8, (off_t)(((uintptr_t)va + off) / 4096 * 8)) !=
		    (ssize_t)(n * 8)) {
			runs = 0;
			break;
		}
		for (size_t i = 0; i < n; i++) {
			uint64_t pfn = e[i] & ((1ull << 55) - 1);

			if (pfn != prev + 1)
				runs++;
			prev = pfn;
		}
	}
	close(fd);
	return runs;
}

/* Sum AnonHugePages and Private_Hugetlb of the areas that hold the buffer. */
static size_t huge_kb(const char *va, size_t size)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long lo, hi, kb, sum = 0;
	char line[256];
	int in = 0;

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &lo, &hi) == 2)
			in = lo < (uintptr_t)va + size && hi > (uintptr_t)va;
		else if (in && (sscanf(line, "AnonHugePages: %lu", &kb) == 1 ||
				sscanf(line, "Private_Hugetlb: %lu", &kb) == 1))
			sum += kb;
	}
	fclose(f);
	return sum;
}

/*
 * Touch the pages in a fixed pseudo-random order, so that neighbours in virtual
 * memory are not neighbours in physical memory.
 */
static int touch_shuffled(char *va, size_t npages)
{
	uint32_t *order = malloc(npages * sizeof(*order));
	uint64_t x = 88172645463325252ull;	/* xorshift64 state */

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < npages; i++)
		order[i] = (uint32_t)i;
	for (size_t i = npages; i > 1; i--) {
		uint32_t t = order[i - 1];

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		order[i - 1] = order[x % i];
		order[x % i] = t;
	}
	for (size_t i = 0; i < npages; i++)
		rig_store(va + (size_t)order[i] * 4096, 1);
	free(order);
	return 0;
}

static void touch(char *va, size_t npages)
{
	for (size_t i = 0; i < npages; i++)
		rig_store(va + i * 4096, 1);
}

/* Make base pages out of huge pages; they stay where they are. */
static int split_huge(const char *va, size_t size)
{
	char cmd[96];

	snprintf(cmd, sizeof(cmd), "%d,0x%lx,0x%lx,0", getpid(),
		 (unsigned long)va, (unsigned long)va + size);
	return rig_write_file("/sys/kernel/debug/split_huge_pages", cmd);
}

int rig_alloc(struct rig_buf *b, enum rig_mem kind, size_t size)
{
	size_t span = (size + SZ_2M - 1) & ~(SZ_2M - 1);
	int huge = kind == MEM_THP || kind == MEM_4K_CONTIGUOUS;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	int ret = 0;

	/* A small scattered buffer is a part of a larger scattered area. */
	if (kind == MEM_4K_SCATTERED && span < 8 * SZ_2M)
		span = 8 * SZ_2M;
	memset(b, 0, sizeof(*b));
	b->size = size;
	b->base_size = span;
	if (kind == MEM_HUGETLB)
		flags |= MAP_HUGETLB | 21 << MAP_HUGE_SHIFT;
	else
		b->base_size += SZ_2M;	/* room for alignment */
	b->base = mmap(NULL, b->base_size, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (b->base == MAP_FAILED) {
		b->base = NULL;
		return -errno;
	}
	b->va = (char *)(((uintptr_t)b->base + SZ_2M - 1) & ~(SZ_2M - 1));
	if (kind != MEM_HUGETLB &&
	    madvise(b->base, b->base_size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
		ret = -errno;
	if (!ret) {
		if (kind == MEM_4K_SCATTERED)
			ret = touch_shuffled(b->va, span / 4096);
		else
			touch(b->va, size / 4096);
	}
	if (!ret && kind == MEM_4K_CONTIGUOUS) {
		ret = split_huge(b->va, span);
		if (!ret && madvise(b->base, b->base_size, MADV_NOHUGEPAGE))
			ret = -errno;
	}
	if (ret) {
		rig_free(b);
		return ret;
	}
	b->runs = count_runs(b->va, size);
	b->huge_kb = huge_kb(b->va, size);
	return 0;
}

void rig_free(struct rig_buf *b)
{
	if (b->base)
		munmap(b->base, b->base_size);
	b->base = NULL;
}

/* ---- process state ---- */

int rig_drop_ipc_lock(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct c[2];
	struct rlimit rl = { 8ul << 30, 8ul << 30 };

	if (setrlimit(RLIMIT_MEMLOCK, &rl) || syscall(SYS_capget, &h, c))
		return -errno;
	c[0].effective &= ~(1u << CAP_IPC_LOCK);
	c[0].permitted &= ~(1u << CAP_IPC_LOCK);
	return syscall(SYS_capset, &h, c) ? -errno : 0;
}

int rig_pin_cpu(int cpu)
{
	cpu_set_t s;

	CPU_ZERO(&s);
	CPU_SET(cpu, &s);
	return sched_setaffinity(0, sizeof(s), &s) ? -errno : 0;
}

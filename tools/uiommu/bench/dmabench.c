// SPDX-License-Identifier: GPL-2.0-only
/* dmabench - cost of giving memory to a device, by backend. */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "rig.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define IOVA_BASE	(UINT64_C(1) << 32)

static int reps = 15;
static int keep_cap;
static int verbose;
static uint64_t clk;	/* cost of one time stamp pair */
static const char *bdf = "none";
static const struct rig_backend *list[16];
static int nlist;

static void usage(void)
{
	printf("Usage: dmabench [-r REPS] [-k] [-v] -b BACKEND[,BACKEND...] -d BDF COMMAND\n"
	       "  All backends are measured with the same memory: same pages, same order.\n"
	       "  -k  keep CAP_IPC_LOCK (default: drop it, so that pinned pages are accounted)\n"
	       "  -v  print every sample\n"
	       "  region [SIZE...]  map and unmap one region, for each kind of memory\n"
	       "  scale [N...]      N single-page mappings, last 1000 of them timed\n"
	       "  batch             1024 mappings in a call, adjacent and not\n"
	       "  threads           maps and unmaps in a second, by one thread and two\n"
	       "  setup             from nothing to the first mapping, step by step\n"
	       "  verify            let the edu device DMA through a mapping\n"
	       "  count             single operations, each marked in config space\n");
	exit(2);
}

static uint64_t since(uint64_t t0)
{
	uint64_t t = rig_now() - t0;

	return t > clk ? t - clk : 0;
}

/* ---- region ---- */

static void samples(const char *op, const uint64_t *v, int n)
{
	if (!verbose)
		return;
	printf("S %s", op);
	for (int i = 0; i < n; i++)
		printf(" %lu", v[i]);
	printf("\n");
}

static void region_one(const struct rig_backend *be, const struct rig_buf *b,
		       enum rig_mem kind)
{
	/* Long operations vary less and cost more: a third of the samples. */
	int n = b->size < 64ul << 20 ? reps : reps / 3 < 3 ? 3 : reps / 3;
	uint64_t *m = calloc((size_t)n, 8), *u = calloc((size_t)n, 8);
	struct rig_dev d;
	char what[160];

	if (!m || !u)
		rig_die("no memory");
	rig_must(rig_open(&d, be, bdf), be->name);
	if (be->prepare)
		rig_must(be->prepare(&d, b->va, b->size), "prepare");
	for (int i = 0; i < n; i++) {
		uint64_t t = rig_now();
		int ret = be->map(&d, b->va, IOVA_BASE, b->size, RIG_R | RIG_W);

		m[i] = since(t);
		rig_must(ret, "map");
		t = rig_now();
		ret = be->unmap(&d, IOVA_BASE, b->size);
		u[i] = since(t);
		rig_must(ret, "unmap");
	}
	if (be->finish)
		be->finish(&d);
	rig_close(&d);
	for (int op = 0; op < 2; op++) {
		/*
		 * The first sample, with an empty IOMMU page table, is reported
		 * as such and left out of the statistics.
		 */
		uint64_t *v = op ? u : m;
		struct rig_stat s = rig_stat(v + 1, (size_t)n - 1);

		s.first = v[0];
		snprintf(what, sizeof(what),
			 "cmd=region mem=%s size=%zu runs=%zu hugekb=%zu cap=%d op=%s",
			 rig_mem_name[kind], b->size, b->runs, b->huge_kb,
			 keep_cap, op ? "unmap" : "map");
		rig_print("dmabench", be->name, what, &s);
		samples(op ? "unmap" : "map", v, n);
	}
	free(m);
	free(u);
}

static void cmd_region(int argc, char **argv)
{
	static const size_t def[] = { 4096, 65536, 2ul << 20, 256ul << 20 };
	int n = argc ? argc : (int)ARRAY_SIZE(def);

	for (int kind = 0; kind < MEM_NR; kind++) {
		for (int i = 0; i < n; i++) {
			size_t size = argc ? strtoul(argv[i], NULL, 0) : def[i];
			struct rig_buf b;
			int ret = rig_alloc(&b, kind, size);

			if (ret) {
				printf("SKIP region mem=%s size=%zu: memory (%d)\n",
				       rig_mem_name[kind], size, ret);
				continue;
			}
			for (int k = 0; k < nlist; k++)
				region_one(list[k], &b, kind);
			rig_free(&b);
		}
	}
}

/* ---- scale ---- */

#define TAIL 1000u
#define STRIDE 8192u	/* no two mappings touch */

static void scale_one(const struct rig_backend *be, const struct rig_buf *b,
		      size_t n)
{
	size_t tail = n < TAIL ? n : TAIL, pages = b->size / 4096, i;
	uint64_t *v, t, map_all, unmap_all, slab;
	struct rig_dev d;
	char what[160];
	struct rig_stat s;

	if (be->max_maps && n > be->max_maps) {
		printf("SKIP scale be=%s N=%zu: limit %u\n", be->name, n,
		       be->max_maps);
		return;
	}
	v = calloc(tail, 8);
	if (!v)
		rig_die("no memory");
	rig_must(rig_open(&d, be, bdf), be->name);
	if (be->prepare)
		rig_must(be->prepare(&d, b->va, n * 4096), "prepare");

	slab = rig_slab_bytes();
	t = rig_now();
	for (i = 0; i < n - tail; i++)
		rig_must(be->map(&d, b->va + i % pages * 4096,
				 IOVA_BASE + i * STRIDE, 4096, RIG_R | RIG_W),
			 "map");
	map_all = since(t);
	for (; i < n; i++) {
		int ret;

		t = rig_now();
		ret = be->map(&d, b->va + i % pages * 4096,
			      IOVA_BASE + i * STRIDE, 4096, RIG_R | RIG_W);
		v[i - (n - tail)] = since(t);
		map_all += v[i - (n - tail)];
		rig_must(ret, "map");
	}
	s = rig_stat(v, tail);
	slab = (rig_slab_bytes() - slab + n / 2) / n;
	snprintf(what, sizeof(what), "cmd=scale N=%zu all=%lu slab=%lu op=map",
		 n, map_all / n, slab);
	rig_print("dmabench", be->name, what, &s);

	/* The newest ones first, so that N mappings exist while measured. */
	unmap_all = 0;
	for (i = n; i-- > n - tail;) {
		int ret;

		t = rig_now();
		ret = be->unmap(&d, IOVA_BASE + i * STRIDE, 4096);
		v[n - 1 - i] = since(t);
		unmap_all += v[n - 1 - i];
		rig_must(ret, "unmap");
	}
	t = rig_now();
	for (i = 0; i < n - tail; i++)
		rig_must(be->unmap(&d, IOVA_BASE + i * STRIDE, 4096), "unmap");
	unmap_all += since(t);
	s = rig_stat(v, tail);
	snprintf(what, sizeof(what), "cmd=scale N=%zu all=%lu op=unmap", n,
		 unmap_all / n);
	rig_print("dmabench", be->name, what, &s);

	if (be->finish)
		be->finish(&d);
	rig_close(&d);
	free(v);
}

static void cmd_scale(int argc, char **argv)
{
	static const size_t def[] = { 100, 1000, 10000, 60000 };
	int cnt = argc ? argc : (int)ARRAY_SIZE(def);

	for (int i = 0; i < cnt; i++) {
		size_t n = argc ? strtoul(argv[i], NULL, 0) : def[i];
		struct rig_buf b;

		/* Very many share their pages. */
		rig_must(rig_alloc(&b, MEM_4K_SCATTERED,
				   (n > 100000 ? 1024 : n) * 4096), "memory");
		for (int k = 0; k < nlist; k++)
			scale_one(list[k], &b, n);
		rig_free(&b);
	}
}

/* ---- batch ---- */

static int map_many(const struct rig_backend *be, struct rig_dev *d, char *va,
		    size_t stride)
{
	int i, ret = 0;

	if (be->map_batch)
		return be->map_batch(d, va, IOVA_BASE, 4096, stride,
				     RIG_MAXBATCH);
	for (i = 0; i < RIG_MAXBATCH && !ret; i++)
		ret = be->map(d, va + i * stride, IOVA_BASE + i * stride, 4096,
			      RIG_R | RIG_W);
	return ret;
}

static int unmap_many(const struct rig_backend *be, struct rig_dev *d,
		      size_t stride)
{
	int i, ret = 0;

	if (be->unmap_batch)
		return be->unmap_batch(d, IOVA_BASE, 4096, stride,
				       RIG_MAXBATCH);
	for (i = 0; i < RIG_MAXBATCH && !ret; i++)
		ret = be->unmap(d, IOVA_BASE + i * stride, 4096);
	return ret;
}

static void batch_one(const struct rig_backend *be, const struct rig_buf *b,
		      size_t stride)
{
	uint64_t *m = calloc((size_t)reps, 8), *u = calloc((size_t)reps, 8), t;
	struct rig_dev d;
	char what[160];

	if (!m || !u)
		rig_die("no memory");
	rig_must(rig_open(&d, be, bdf), be->name);
	if (be->prepare)
		rig_must(be->prepare(&d, b->va, b->size), "prepare");
	for (int i = 0; i < reps; i++) {
		t = rig_now();
		rig_must(map_many(be, &d, b->va, stride), "map");
		m[i] = since(t) / RIG_MAXBATCH;
		t = rig_now();
		rig_must(unmap_many(be, &d, stride), "unmap");
		u[i] = since(t) / RIG_MAXBATCH;
	}
	if (be->finish)
		be->finish(&d);
	rig_close(&d);
	for (int op = 0; op < 2; op++) {
		struct rig_stat s = rig_stat((op ? u : m) + 1,
					     (size_t)reps - 1);

		snprintf(what, sizeof(what), "cmd=batch stride=%zu op=%s",
			 stride, op ? "unmap" : "map");
		rig_print("dmabench", be->name, what, &s);
	}
	free(m);
	free(u);
}

static void cmd_batch(void)
{
	static const size_t strides[] = { 4096, 8192 };
	struct rig_buf b;

	rig_must(rig_alloc(&b, MEM_4K_SCATTERED, RIG_MAXBATCH * 8192),
		 "memory");
	for (size_t i = 0; i < ARRAY_SIZE(strides); i++)
		for (int k = 0; k < nlist; k++)
			batch_one(list[k], &b, strides[i]);
	rig_free(&b);
}

/* ---- count ---- */

/*
 * For whoever follows the emulated IOMMU and config accesses from outside: each
 * operation that has an id is between a write of that to the device's interrupt
 * line, which has no effect there, and one of 0.
 */
static void mark(int id)
{
	unsigned char byte = (unsigned char)id;
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || pwrite(fd, &byte, 1, PCI_INTERRUPT_LINE) != 1)
		rig_die("mark");
	close(fd);
}

static int next_id = 1;

static void count_op(const struct rig_backend *be, const char *what,
		     const char *op)
{
	printf("C be=%s what=%s op=%s id=%d\n", be->name, what, op, next_id);
	mark(next_id++);
}

static void count_one(const struct rig_backend *be, const struct rig_buf *b,
		      const char *what)
{
	struct rig_dev d;

	rig_must(rig_open(&d, be, bdf), be->name);
	if (be->prepare)
		rig_must(be->prepare(&d, b->va, b->size), "prepare");
	for (int i = 0; i < 2; i++) {
		if (i)
			count_op(be, what, "map");
		rig_must(be->map(&d, b->va, IOVA_BASE, b->size, RIG_R | RIG_W),
			 "map");
		if (i) {
			mark(0);
			count_op(be, what, "unmap");
		}
		rig_must(be->unmap(&d, IOVA_BASE, b->size), "unmap");
		if (i)
			mark(0);
	}
	if (be->finish)
		be->finish(&d);
	rig_close(&d);
}

static void count_batch(const struct rig_backend *be, const struct rig_buf *b)
{
	struct rig_dev d;

	rig_must(rig_open(&d, be, bdf), be->name);
	if (be->prepare)
		rig_must(be->prepare(&d, b->va, b->size), "prepare");
	count_op(be, "batch", "map");
	rig_must(map_many(be, &d, b->va, 4096), "map");
	mark(0);
	count_op(be, "batch", "unmap");
	rig_must(unmap_many(be, &d, 4096), "unmap");
	mark(0);
	if (be->finish)
		be->finish(&d);
	rig_close(&d);
}

static void cmd_count(void)
{
	static const struct {
		const char *what;
		enum rig_mem kind;
		size_t size;
	} kinds[] = {
		{ "4k", MEM_4K, 4096 },
		{ "2m-scattered", MEM_4K_SCATTERED, 2 << 20 },
		{ "2m-thp", MEM_THP, 2 << 20 },
		{ "batch", MEM_4K_SCATTERED, RIG_MAXBATCH * 4096 },
	};
	struct rig_buf b;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		rig_must(rig_alloc(&b, kinds[i].kind, kinds[i].size), "memory");
		for (int k = 0; k < nlist; k++) {
			if (!strcmp(kinds[i].what, "batch"))
				count_batch(list[k], &b);
			else
				count_one(list[k], &b, kinds[i].what);
		}
		rig_free(&b);
	}
}

/* ---- threads ---- */

#define THREAD_SIZE	65536u

struct thread {
	struct rig_dev *d;
	pthread_t id;
	char *va;
	uint64_t iova;
	int cpu;
	uint32_t *stop;
	uint64_t done;
};

static void *map_and_unmap(void *arg)
{
	struct thread *t = arg;

	rig_pin_cpu(t->cpu);
	while (!rig_load(t->stop)) {
		rig_must(t->d->be->map(t->d, t->va, t->iova, THREAD_SIZE,
				       RIG_R | RIG_W), "map");
		rig_must(t->d->be->unmap(t->d, t->iova, THREAD_SIZE), "unmap");
		t->done++;
	}
	return NULL;
}

/* Pairs of map and unmap in a second, by threads with memory of their own */
static uint64_t pairs(struct rig_dev *d, const struct rig_buf *b, int num)
{
	struct thread t[2];
	uint64_t start, sum = 0;
	uint32_t stop = 0;

	start = rig_now();
	for (int i = 0; i < num; i++) {
		t[i] = (struct thread){
			.d = d,
			.va = b->va + i * THREAD_SIZE,
			.iova = IOVA_BASE + i * (UINT64_C(1) << 30),
			.cpu = i,
			.stop = &stop,
		};
		if (pthread_create(&t[i].id, NULL, map_and_unmap, &t[i]))
			rig_die("thread");
	}
	usleep(1000000);
	rig_store(&stop, 1);
	for (int i = 0; i < num; i++) {
		pthread_join(t[i].id, NULL);
		sum += t[i].done;
	}
	return sum * 1000000000 / (rig_now() - start);
}

/* In turn, and the median: this is time, not instructions. */
static void threads_one(const struct rig_backend *be, const struct rig_buf *b)
{
	uint64_t *v[2] = { calloc((size_t)reps, 8), calloc((size_t)reps, 8) };
	char what[160];
	struct rig_dev d;

	rig_must(rig_open(&d, be, bdf), be->name);
	for (int i = 0; i < reps; i++)
		for (int num = 1; num <= 2; num++)
			v[num - 1][i] = pairs(&d, b, num);
	rig_close(&d);
	for (int num = 1; num <= 2; num++) {
		struct rig_stat s = rig_stat(v[num - 1], (size_t)reps);

		snprintf(what, sizeof(what), "cmd=threads threads=%d", num);
		rig_print("dmabench", be->name, what, &s);
		free(v[num - 1]);
	}
}

static void cmd_threads(void)
{
	struct rig_buf b;

	rig_must(rig_alloc(&b, MEM_4K_SCATTERED, 2 * THREAD_SIZE), "memory");
	for (int k = 0; k < nlist; k++)
		threads_one(list[k], &b);
	rig_free(&b);
}

/* ---- setup ---- */

static void print_step(const struct rig_backend *be, const char *what,
		       int optional, uint64_t ns, uint64_t cpu)
{
	printf("R prog=dmabench be=%s cmd=setup step=%s optional=%d", be->name,
	       what, optional);
	printf(" ns=%lu cpu=%lu\n", ns, cpu);
}

static void setup_one(const struct rig_backend *be, const struct rig_buf *b,
		      uint64_t stamp)
{
	for (int r = 0; r < reps; r++) {
		uint64_t sum[2] = { 0 }, cpu[2] = { 0 }, t;
		int calls[2] = { 0 };
		struct rig_dev d;

		rig_must(rig_open(&d, be, bdf), be->name);
		rig_must(be->map(&d, b->va, IOVA_BASE, 4096, RIG_R | RIG_W), "map");
		rig_step(&d, "map", 0);
		for (int i = 1; i < d.nstep; i++) {
			uint64_t c = d.step[i].cpu - d.step[i - 1].cpu;
			int o = d.step[i].optional;

			t = d.step[i].t - d.step[i - 1].t;
			t = t > stamp ? t - stamp : 0;
			c = c > stamp ? c - stamp : 0;
			sum[o] += t;
			cpu[o] += c;
			calls[o]++;
			if (r == reps - 1)
				print_step(be, d.step[i].what, o, t, c);
		}
		t = rig_now();
		rig_must(be->unmap(&d, IOVA_BASE, 4096), "unmap");
		rig_close(&d);
		t = since(t);
		printf("R prog=dmabench be=%s cmd=setup rep=%d ns=%lu cpu=%lu",
		       be->name, r, sum[0], cpu[0]);
		printf(" calls=%d optional_ns=%lu optional_calls=%d", calls[0],
		       sum[1], calls[1]);
		printf(" teardown=%lu\n", t);
	}
}

static void cmd_setup(void)
{
	struct rig_dev d = { 0 };
	uint64_t stamp[20];
	struct rig_buf b;

	for (int i = 0; i < 20; i++)
		rig_step(&d, "cost of a step", 0);
	for (int i = 0; i < 19; i++)
		stamp[i] = d.step[i + 1].t - d.step[i].t;
	rig_must(rig_alloc(&b, MEM_4K, 4096), "memory");
	for (int k = 0; k < nlist; k++)
		setup_one(list[k], &b, rig_stat(stamp, 19).p50);
	rig_free(&b);
}

/* ---- verify ---- */

static void edu_dma(char *bar, uint64_t src, uint64_t dst, uint64_t len,
		    uint64_t cmd)
{
	rig_store64(bar + EDU_DMA_SRC, src);
	rig_store64(bar + EDU_DMA_DST, dst);
	rig_store64(bar + EDU_DMA_CNT, len);
	rig_store64(bar + EDU_DMA_CMD, cmd | 1);
	while (rig_load64(bar + EDU_DMA_CMD) & 1)
		usleep(1000);
}

/* Returns 0 if a mapping works and its removal stops DMA. */
static int verify_one(const struct rig_backend *be)
{
	const uint64_t iova = 0x200000;	/* edu reaches 28 bits */
	uint16_t cmd, was;
	struct rig_buf b;
	struct rig_dev d;
	char *bar;
	int good, blocked;

	rig_must(rig_alloc(&b, MEM_4K_SCATTERED, 2 * 4096), "memory");
	rig_must(rig_open(&d, be, bdf), be->name);
	if (!be->cfg_rd || !be->bar_mmap)
		rig_die("%s cannot be verified", be->name);
	rig_must(be->cfg_rd(&d, PCI_COMMAND, &was, 2), "config read");
	cmd = was | PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY;
	rig_must(be->cfg_wr(&d, PCI_COMMAND, &cmd, 2), "config write");
	bar = rig_bar(&d);
	if (!bar)
		rig_die("no BAR");
	for (int i = 0; i < 4096; i++) {
		b.va[i] = (char)(i * 7 + 3);
		b.va[4096 + i] = 0;
	}
	rig_must(be->map(&d, b.va, iova, 2 * 4096, RIG_R | RIG_W), "map");
	edu_dma(bar, iova, EDU_DMA_BUF, 4096, 0);
	edu_dma(bar, EDU_DMA_BUF, iova + 4096, 4096, 2);
	good = !memcmp(b.va, b.va + 4096, 4096);

	rig_must(be->unmap(&d, iova, 2 * 4096), "unmap");
	memset(b.va + 4096, 0x55, 4096);
	edu_dma(bar, EDU_DMA_BUF, iova + 4096, 4096, 2);
	blocked = 1;
	for (int i = 0; i < 4096; i++)
		blocked &= b.va[4096 + i] == 0x55;
	printf("R prog=dmabench be=%s cmd=verify id=%08x copied=%d blocked_after_unmap=%d\n",
	       be->name, rig_load(bar + EDU_ID), good, blocked);
	rig_must(be->cfg_wr(&d, PCI_COMMAND, &was, 2), "config write");
	rig_close(&d);
	rig_free(&b);
	return !(good && blocked);
}

static void parse_backends(char *arg)
{
	for (char *p = strtok(arg, ","); p; p = strtok(NULL, ",")) {
		const struct rig_backend *be = rig_find(p);

		if (!be || nlist == 16)
			rig_die("backend %s", p);
		if (!be->map)
			rig_die("backend %s maps no memory", p);
		list[nlist++] = be;
	}
}

int main(int argc, char **argv)
{
	const char *cmd;
	int c, failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((c = getopt(argc, argv, "b:d:r:kv")) != -1) {
		switch (c) {
		case 'b':
			parse_backends(optarg);
			break;
		case 'd':
			bdf = optarg;
			break;
		case 'r':
			reps = atoi(optarg);
			break;
		case 'k':
			keep_cap = 1;
			break;
		case 'v':
			verbose = 1;
			break;
		default:
			usage();
		}
	}
	if (!nlist || optind >= argc || reps < 2)
		usage();
	cmd = argv[optind++];
	if (!keep_cap)
		rig_must(rig_drop_ipc_lock(), "drop CAP_IPC_LOCK");
	rig_pin_cpu(0);
	clk = rig_clock_cost();

	if (!strcmp(cmd, "region"))
		cmd_region(argc - optind, argv + optind);
	else if (!strcmp(cmd, "scale"))
		cmd_scale(argc - optind, argv + optind);
	else if (!strcmp(cmd, "batch"))
		cmd_batch();
	else if (!strcmp(cmd, "threads"))
		cmd_threads();
	else if (!strcmp(cmd, "count"))
		cmd_count();
	else if (!strcmp(cmd, "setup"))
		cmd_setup();
	else if (!strcmp(cmd, "verify"))
		for (int k = 0; k < nlist; k++)
			failed |= verify_one(list[k]);
	else
		usage();
	return failed;
}

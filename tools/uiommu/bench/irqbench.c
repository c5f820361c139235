// SPDX-License-Identifier: GPL-2.0-only
/*
 * irqbench - from a device's interrupt to the process that owns it.
 *
 * The edu device raises its interrupt inside the store to EDU_IRQ_RAISE, so
 * the interval from before that store to the return of read() has everything:
 * the store, interrupt entry, the kernel's handler, the signal, the read.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rig.h"

static int reps = 1000;
static int waiter_cpu;
static uint64_t clk;

static uint64_t span(uint64_t a, uint64_t b)
{
	return b - a > clk ? b - a - clk : 0;
}

static void wr(char *bar, unsigned int off, uint32_t val)
{
	rig_store(bar + off, val);
}

static void wait_irq(const struct rig_dev *d, int fd)
{
	char buf[8];

	if (read(fd, buf, d->be->irq_width) != (ssize_t)d->be->irq_width)
		rig_die("read of the interrupt fd");
}

static void print(const struct rig_dev *d, const char *what, uint64_t *v, int n)
{
	/* Leave out the first tenth: first uses of everything. */
	struct rig_stat s = rig_stat(v + n / 10, (size_t)(n - n / 10));

	s.first = v[0];
	rig_print("irqbench", d->be->name, what, &s);
}

/* ---- one thread raises and reads ---- */

enum unmask { NONE, BY_CALL, BY_FD };
static const char *const unmask_name[] = { "none", "call", "eventfd" };

static void same_thread(struct rig_dev *d, char *bar, int fd,
			enum rig_irq kind, enum unmask how, int unmask_fd)
{
	const char *k = kind == RIG_MSI ? "msi" : "intx";
	uint64_t *a = calloc((size_t)reps, 8);
	uint64_t *b = calloc((size_t)reps, 8);
	uint64_t *c = calloc((size_t)reps, 8);
	const uint64_t one = 1;
	char what[96];

	for (int i = 0; i < reps; i++) {
		uint64_t t0, t1, t2, t3;

		t0 = rig_now();
		wr(bar, EDU_IRQ_RAISE, 1);
		wait_irq(d, fd);
		t1 = rig_now();
		wr(bar, EDU_IRQ_ACK, 1);
		t2 = rig_now();
		if (how == BY_CALL)
			rig_must(d->be->irq_unmask(d), "unmask");
		else if (how == BY_FD && write(unmask_fd, &one, 8) != 8)
			rig_die("unmask eventfd");
		t3 = rig_now();
		a[i] = span(t0, t1);
		b[i] = span(t2, t3);
		c[i] = t3 - t0 > 3 * clk ? t3 - t0 - 3 * clk : 0;
	}
	snprintf(what, sizeof(what), "irq=%s unmask=%s part=raise_to_read", k,
		 unmask_name[how]);
	print(d, what, a, reps);
	if (how != NONE) {
		snprintf(what, sizeof(what), "irq=%s unmask=%s part=unmask", k,
			 unmask_name[how]);
		print(d, what, b, reps);
	}
	snprintf(what, sizeof(what), "irq=%s unmask=%s part=whole_cycle", k,
		 unmask_name[how]);
	print(d, what, c, reps);
	free(a);
	free(b);
	free(c);
}

/* ---- a second thread sleeps in read() ---- */

struct waiter {
	const struct rig_dev *d;
	int fd;
	uint64_t woke;	/* time stamp; 0: none yet */
	uint32_t stop;
};

static void *waiter_main(void *arg)
{
	struct waiter *w = arg;

	rig_pin_cpu(waiter_cpu);
	while (!rig_load(&w->stop)) {
		wait_irq(w->d, w->fd);
		rig_store64(&w->woke, rig_now());
	}
	return NULL;
}

static void two_threads(struct rig_dev *d, char *bar, int fd)
{
	struct waiter w = { .d = d, .fd = fd };
	uint64_t *v = calloc((size_t)reps, 8);
	pthread_t t;
	int n = reps;

	if (pthread_create(&t, NULL, waiter_main, &w))
		rig_die("thread");
	for (int i = 0; i < n; i++) {
		uint64_t t0, t1;

		usleep(200);	/* the waiter is asleep in read() again */
		rig_store64(&w.woke, 0);
		if (i == n - 1)
			rig_store(&w.stop, 1);
		t0 = rig_now();
		wr(bar, EDU_IRQ_RAISE, 1);
		while (1) {
			t1 = rig_load64(&w.woke);
			if (t1)
				break;
			usleep(50);
		}
		v[i] = span(t0, t1);
		wr(bar, EDU_IRQ_ACK, 1);
	}
	pthread_join(t, NULL);
	print(d, "irq=msi unmask=none part=raise_to_wakeup", v, n);
	free(v);
}

int main(int argc, char **argv)
{
	const struct rig_backend *be = NULL;
	const char *bdf = NULL;
	struct rig_dev d;
	char *bar;
	uint16_t cmd;
	int c, fd, ufd;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((c = getopt(argc, argv, "b:d:r:w:")) != -1) {
		switch (c) {
		case 'b':
			be = rig_find(optarg);
			break;
		case 'd':
			bdf = optarg;
			break;
		case 'r':
			reps = atoi(optarg);
			break;
		case 'w':
			waiter_cpu = atoi(optarg);
			break;
		default:
			goto usage;
		}
	}
	if (!be || !bdf || reps < 10) {
usage:
		puts("usage: irqbench [-r REPS] [-w CPU of the waiting thread] -b BACKEND -d BDF");
		return 2;
	}
	if (!be->irq_on)
		rig_die("backend %s has no interrupts", be->name);
	rig_pin_cpu(0);
	rig_must(rig_open(&d, be, bdf), "open");
	rig_must(be->cfg_rd(&d, 4, &cmd, 2), "config read");
	cmd |= 6;	/* memory space, bus master (MSI is a write) */
	rig_must(be->cfg_wr(&d, 4, &cmd, 2), "config write");
	bar = rig_bar(&d);
	if (!bar)
		rig_die("no BAR");
	wr(bar, EDU_IRQ_ACK, ~0u);
	clk = rig_clock_cost();

	fd = be->irq_on(&d, RIG_MSI);
	if (fd >= 0) {
		same_thread(&d, bar, fd, RIG_MSI, NONE, -1);
		two_threads(&d, bar, fd);
		be->irq_off(&d);
	} else {
		printf("SKIP irq be=%s msi (%d)\n", be->name, fd);
	}
	fd = be->irq_on(&d, RIG_INTX);
	if (fd >= 0) {
		same_thread(&d, bar, fd, RIG_INTX, BY_CALL, -1);
		ufd = be->irq_unmask_fd ? be->irq_unmask_fd(&d) : -EOPNOTSUPP;
		if (ufd >= 0)
			same_thread(&d, bar, fd, RIG_INTX, BY_FD, ufd);
		else
			printf("SKIP irq be=%s intx unmask=eventfd (%d)\n",
			       be->name, ufd);
		be->irq_off(&d);
	} else {
		printf("SKIP irq be=%s intx (%d)\n", be->name, fd);
	}
	rig_close(&d);
	return 0;
}

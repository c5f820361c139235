// SPDX-License-Identifier: GPL-2.0-only
/* cfgbench - configuration space and BAR accesses, by backend. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "rig.h"

static int reps = 1000;
static uint64_t clk;

static void print(const struct rig_dev *d, const char *what, uint64_t *v, int n)
{
	struct rig_stat s = rig_stat(v + n / 10, (size_t)(n - n / 10));

	s.first = v[0];
	rig_print("cfgbench", d->be->name, what, &s);
}

static uint64_t since(uint64_t t0)
{
	uint64_t t = rig_now() - t0;

	return t > clk ? t - clk : 0;
}

static void cfg(struct rig_dev *d, const char *name, unsigned int off,
		unsigned int len, int write)
{
	uint64_t *v = calloc((size_t)reps, 8);
	uint32_t val = 0;
	char what[96];

	rig_must(d->be->cfg_rd(d, off, &val, len), name);
	for (int i = 0; i < reps; i++) {
		uint64_t t = rig_now();
		int ret = write ? d->be->cfg_wr(d, off, &val, len) :
				  d->be->cfg_rd(d, off, &val, len);

		v[i] = since(t);
		rig_must(ret, name);
	}
	snprintf(what, sizeof(what), "op=%s reg=%s off=0x%x len=%u",
		 write ? "cfg_wr" : "cfg_rd", name, off, len);
	print(d, what, v, reps);
	free(v);
}

/* What opening a device in any driver has to do, by the files of sysfs. */
static void sysfs_file(struct rig_dev *d, const char *bdf, const char *file,
		       const char *on, const char *off)
{
	uint64_t v[10];
	char path[96], what[96];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	for (int i = 0; i < 10; i++) {
		uint64_t t = rig_now();
		ssize_t ret = pwrite(fd, on, 1, 0);

		v[i] = since(t);
		if (ret != 1) {
			printf("SKIP cfg sysfs %s\n", file);
			break;
		}
		if (off && pwrite(fd, off, 1, 0) != 1)
			rig_die("sysfs %s", file);
		if (i == 9) {
			snprintf(what, sizeof(what), "op=sysfs_%s len=1", file);
			print(d, what, v, 10);
		}
	}
	close(fd);
}

int main(int argc, char **argv)
{
	const struct rig_backend *be = NULL;
	const char *bdf = NULL;
	struct rig_dev d;
	char *bar;
	uint64_t *v;
	uint32_t x = 0;
	uint16_t cmd, was;
	int c;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((c = getopt(argc, argv, "b:d:r:")) != -1) {
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
		default:
			goto usage;
		}
	}
	if (!be || !bdf || reps < 10) {
usage:
		printf("usage: cfgbench [-r REPS] -b BACKEND -d BDF\n");
		return 2;
	}
	rig_pin_cpu(0);
	rig_must(rig_open(&d, be, bdf), "open");
	clk = rig_clock_cost();
	v = calloc((size_t)reps, 8);

	cfg(&d, "vendor_device", 0x00, 4, 0);
	cfg(&d, "command_status", 0x04, 4, 0);
	cfg(&d, "class_rev", 0x08, 4, 0);
	cfg(&d, "vendor", 0x00, 2, 0);
	cfg(&d, "cacheline_dword", 0x0c, 4, 0);
	cfg(&d, "cacheline_dword", 0x0c, 4, 1);
	cfg(&d, "cacheline_byte", 0x0c, 1, 1);
	cfg(&d, "intline_byte", 0x3c, 1, 1);

	rig_must(be->cfg_rd(&d, 4, &was, 2), "command");
	cmd = was | 2;	/* memory space on */
	rig_must(be->cfg_wr(&d, 4, &cmd, 2), "command");
	if (be->bar_rd) {
		rig_must(be->bar_rd(&d, 0, EDU_ID, &x, 4), "BAR read");
		for (int i = 0; i < reps; i++) {
			uint64_t t = rig_now();
			int ret = be->bar_rd(&d, 0, EDU_ID, &x, 4);

			v[i] = since(t);
			rig_must(ret, "BAR read");
		}
		print(&d, "op=bar_pread len=4", v, reps);
		printf("# BAR id by pread %08x\n", x);
	} else {
		printf("SKIP cfg be=%s bar_pread\n", be->name);
	}
	bar = rig_bar(&d);
	if (bar) {
		x = rig_load(bar + EDU_ID);
		/*
		 * Single loads are near the resolution of the clock: time
		 * blocks of 100 and divide.
		 */
		for (int i = 0; i < reps; i++) {
			uint64_t t = rig_now();

			for (int k = 0; k < 100; k++)
				x = rig_load(bar + EDU_ID);
			v[i] = since(t);
		}
		print(&d, "op=bar_mmap_load_x100 len=4", v, reps);
		printf("# BAR id by mmap %08x\n", x);
	} else {
		printf("SKIP cfg be=%s bar_mmap\n", be->name);
	}
	rig_must(be->cfg_wr(&d, 4, &was, 2), "command");
	rig_close(&d);
	if (!be->driver) {
		/* "enable" refuses a function that has a driver. */
		rig_must(rig_unbind(bdf), "unbind");
		sysfs_file(&d, bdf, "enable", "1", "0");
		sysfs_file(&d, bdf, "reset", "1", NULL);
	}
	return 0;
}

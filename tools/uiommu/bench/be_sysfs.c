// SPDX-License-Identifier: GPL-2.0-only
/*
 * be_sysfs.c - ways without DMA mapping: the PCI files of sysfs, and
 * uio_pci_generic (interrupt through /dev/uioN, the rest through sysfs).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rig.h"

#define PCI_COMMAND		0x04
#define PCI_CMD_INTX_DISABLE	0x400

struct sysfs {
	int cfg;
	int uio;
	uint16_t cmd;	/* command register with INTx enabled */
};

static int sysfs_open(struct rig_dev *d)
{
	struct sysfs *s = calloc(1, sizeof(*s));
	char path[96];

	if (!s)
		return -ENOMEM;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", d->bdf);
	rig_step(d, "start", 0);
	s->cfg = open(path, O_RDWR | O_CLOEXEC);
	rig_step(d, "open(config)", 0);
	s->uio = -1;
	if (s->cfg < 0) {
		free(s);
		return -errno;
	}
	d->priv = s;
	return 0;
}

static void sysfs_close(struct rig_dev *d)
{
	struct sysfs *s = d->priv;

	if (s->uio >= 0)
		close(s->uio);
	close(s->cfg);
	free(s);
	d->priv = NULL;
}

static int sysfs_cfg_rd(struct rig_dev *d, unsigned int off, void *buf,
			unsigned int len)
{
	struct sysfs *s = d->priv;

	return pread(s->cfg, buf, len, off) == (ssize_t)len ? 0 : -EIO;
}

static int sysfs_cfg_wr(struct rig_dev *d, unsigned int off, const void *buf,
			unsigned int len)
{
	struct sysfs *s = d->priv;

	return pwrite(s->cfg, buf, len, off) == (ssize_t)len ? 0 : -EIO;
}

static void *sysfs_bar_mmap(struct rig_dev *d, unsigned int bar, size_t len)
{
	char path[96];
	void *p;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource%u",
		 d->bdf, bar);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

const struct rig_backend be_sysfs = {
	.name = "sysfs",
	.what = "/sys/bus/pci/devices/*/config and resourceN",
	.open = sysfs_open, .close = sysfs_close,
	.cfg_rd = sysfs_cfg_rd, .cfg_wr = sysfs_cfg_wr,
	.bar_mmap = sysfs_bar_mmap,
};

/* ---- uio_pci_generic ---- */

static int uio_open(struct rig_dev *d)
{
	char path[300];
	struct sysfs *s;
	struct dirent *e;
	DIR *dir;
	int ret;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/uio", d->bdf);
	dir = opendir(path);
	if (!dir)
		return -errno;
	path[0] = 0;
	while ((e = readdir(dir)))
		if (!strncmp(e->d_name, "uio", 3))
			snprintf(path, sizeof(path), "/dev/%s", e->d_name);
	closedir(dir);

	ret = sysfs_open(d);
	if (ret)
		return ret;
	s = d->priv;
	s->uio = open(path, O_RDWR | O_CLOEXEC);
	rig_step(d, "open(uio)", 0);
	if (s->uio < 0) {
		ret = -errno;
		sysfs_close(d);
	}
	return ret;
}

static int uio_irq_unmask(struct rig_dev *d)
{
	struct sysfs *s = d->priv;

	/* The handler of uio_pci_generic sets INTx Disable each time. */
	return sysfs_cfg_wr(d, PCI_COMMAND, &s->cmd, 2);
}

static int uio_irq_on(struct rig_dev *d, enum rig_irq kind)
{
	struct sysfs *s = d->priv;
	int ret;

	if (kind != RIG_INTX)
		return -EOPNOTSUPP;
	ret = sysfs_cfg_rd(d, PCI_COMMAND, &s->cmd, 2);
	if (ret)
		return ret;
	s->cmd &= (uint16_t)~PCI_CMD_INTX_DISABLE;
	ret = uio_irq_unmask(d);
	return ret ? ret : s->uio;
}

static void uio_irq_off(struct rig_dev *d)
{
	struct sysfs *s = d->priv;
	uint16_t cmd = s->cmd | PCI_CMD_INTX_DISABLE;

	sysfs_cfg_wr(d, PCI_COMMAND, &cmd, 2);
}

const struct rig_backend be_uio = {
	.name = "uio",
	.driver = "uio_pci_generic",
	.what = "uio_pci_generic, INTx enabled again through sysfs config",
	.open = uio_open, .close = sysfs_close,
	.cfg_rd = sysfs_cfg_rd, .cfg_wr = sysfs_cfg_wr,
	.bar_mmap = sysfs_bar_mmap,
	.irq_on = uio_irq_on, .irq_off = uio_irq_off, .irq_width = 4,
	.irq_unmask = uio_irq_unmask,
};

// SPDX-License-Identifier: GPL-2.0-only
/*
 * revoke - does a device come back from a process that does not run?
 * A child opens the device, maps memory, a BAR and an interrupt, and is stopped.
 * Then the driver is unbound from the device: how long does that take, or does it
 * wait until the child is killed?
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig.h"

#define NS_IN_MS	1000000u
#define POLL_US		1000

static void hold(const struct rig_backend *be, const char *bdf)
{
	static struct rig_dev d;
	void *mem = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		rig_die("no memory");
	rig_must(rig_open(&d, be, bdf), "open");
	rig_must(be->map(&d, mem, 0x100000, 4096, RIG_R | RIG_W), "map");
	if (!rig_bar(&d) || rig_load((char *)d.bar + EDU_ID) != 0x010000ed)
		rig_die("no BAR");
	rig_must(be->irq_on(&d, RIG_MSI), "interrupt");
	raise(SIGSTOP);
	_exit(0);
}

static pid_t spawn(void)
{
	pid_t pid = fork();

	if (pid < 0)
		rig_die("fork");
	return pid;
}

/* Milliseconds until a child is gone, up to a limit; -1 when it still runs */
static long wait_for(pid_t pid, unsigned long limit)
{
	uint64_t begin = rig_now();
	unsigned long ms;
	int status;

	do {
		ms = (rig_now() - begin) / NS_IN_MS;
		if (waitpid(pid, &status, WNOHANG) == pid) {
			if (status)
				rig_die("it failed, status %d", status);
			return ms;
		}
		usleep(POLL_US);
	} while (ms < limit);
	return -1;
}

static void measure(const struct rig_backend *be, const char *bdf,
		    unsigned long limit)
{
	pid_t holder, unbinder;
	long took, after = 0;
	int status;

	holder = spawn();
	if (!holder)
		hold(be, bdf);
	if (waitpid(holder, &status, WUNTRACED) != holder ||
	    !WIFSTOPPED(status))
		rig_die("%s: the device is not held", be->name);

	unbinder = spawn();
	if (!unbinder)
		_exit(rig_unbind(bdf) < 0);
	took = wait_for(unbinder, limit);
	kill(holder, SIGKILL);
	waitpid(holder, &status, 0);
	if (took < 0)
		after = wait_for(unbinder, 60000);
	if (after < 0)
		rig_die("%s: unbind has no end", be->name);
	if (took >= 0)
		printf("R prog=revoke be=%s unbind_ms=%ld waits=0\n", be->name,
		       took);
	else
		printf("R prog=revoke be=%s limit_ms=%lu waits=1 after_kill_ms=%ld\n",
		       be->name, limit, after);
}

int main(int argc, char **argv)
{
	char *names = NULL, *name;
	const char *bdf = NULL;
	unsigned long limit = 10000;
	int c;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((c = getopt(argc, argv, "b:d:l:")) != -1) {
		if (c == 'b')
			names = optarg;
		else if (c == 'd')
			bdf = optarg;
		else if (c == 'l')
			limit = strtoul(optarg, NULL, 0);
		else
			return 2;
	}
	if (!names || !bdf) {
		fprintf(stderr,
			"usage: %s -b BACKEND[,BACKEND]... -d ADDRESS [-l MS]\n",
			argv[0]);
		return 2;
	}
	for (name = strtok(names, ","); name; name = strtok(NULL, ",")) {
		const struct rig_backend *be = rig_find(name);

		if (!be || !be->map || !be->irq_on)
			rig_die("no way %s", name);
		measure(be, bdf, limit);
	}
	return 0;
}

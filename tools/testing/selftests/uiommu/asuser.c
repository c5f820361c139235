// SPDX-License-Identifier: GPL-2.0-only
/*
 * asuser UID MEMLOCK PROGRAM [ARGUMENT]...
 *
 * Run a program as an ordinary user without any capability, who may lock
 * MEMLOCK bytes.
 */
#include <err.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct rlimit limit;
	unsigned long id;

	if (argc < 4)
		errx(1, "usage: asuser UID MEMLOCK PROGRAM [ARGUMENT]...");
	id = strtoul(argv[1], NULL, 0);
	limit.rlim_cur = strtoul(argv[2], NULL, 0);
	limit.rlim_max = limit.rlim_cur;
	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		err(1, "setrlimit");
	if (setgroups(0, NULL) || setgid(id) || setuid(id))
		err(1, "setuid");
	execv(argv[3], argv + 3);
	err(1, "%s", argv[3]);
}

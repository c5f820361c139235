// SPDX-License-Identifier: GPL-2.0-only
/*
 * The peer of igbvf: sends each UDP datagram back to where it came from.
 *
 * Usage: udpecho [-a ADDRESS] [-p PORT]
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(7),
	};
	int buffer = 4 << 20;
	char data[65536];
	int opt, fd;

	while ((opt = getopt(argc, argv, "a:p:")) != -1) {
		switch (opt) {
		case 'a':
			if (inet_pton(AF_INET, optarg, &addr.sin_addr) != 1)
				errx(2, "'%s' is no IPv4 address", optarg);
			break;
		case 'p':
			addr.sin_port = htons(atoi(optarg));
			break;
		default:
			fputs("usage: udpecho [-a ADDRESS] [-p PORT]\n",
			      stderr);
			return 2;
		}
	}

	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		err(1, "UDP port %d", ntohs(addr.sin_port));
	/* As much as the system allows: nothing may be lost here. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));

	for (;;) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		ssize_t n;

		n = recvfrom(fd, data, sizeof(data), 0,
			     (struct sockaddr *)&from, &len);
		if (n < 0)
			err(1, "receive");
		if (sendto(fd, data, n, 0, (struct sockaddr *)&from, len) != n)
			warn("send");
	}
}

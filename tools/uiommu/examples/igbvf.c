// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exchange UDP datagrams with an echo server through a virtual function of
 * Intel's 82576 network adapter, driven from user space without any privilege.
 *
 * ARP, IPv4 and UDP are built by hand. No datagram is sent twice: what does not
 * come back is lost, and what comes back is compared.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "igbvf-dev.h"

/* What goes over the wire. */
#pragma pack(push, 1)
struct eth {
	__u8 dst[6];
	__u8 src[6];
	__u16 type;
};

#define ETH_ARP			0x0806
#define ETH_IPV4		0x0800

struct arp {
	__u16 hardware;
	__u16 protocol;
	__u8 hardware_len;
	__u8 protocol_len;
	__u16 op;
	__u8 sender_mac[6];
	__u32 sender_ip;
	__u8 target_mac[6];
	__u32 target_ip;
};

#define ARP_REQUEST		1
#define ARP_REPLY		2

struct ipv4 {
	__u8 version;
	__u8 tos;
	__u16 length;
	__u16 id;
	__u16 fragment;
	__u8 ttl;
	__u8 protocol;
	__u16 checksum;
	__u32 src;
	__u32 dst;
};

#define IPV4_VERSION_5_WORDS	0x45
#define IPV4_DONT_FRAGMENT	0x4000
#define IPV4_UDP		17

struct udp {
	__u16 src;
	__u16 dst;
	__u16 length;
	__u16 checksum;
};

/* Payload: this, and a pattern that depends on the sequence number. */
struct probe {
	__u32 magic;
	__u32 session;	/* a datagram of a killed run is none of ours */
	__u64 sequence;
	__u8 pattern[];
};

#pragma pack(pop)

#define PROBE_MAGIC		0x75696f6d
#define PROBE_MAX		1472
#define UDP_PORT		7

/* Outstanding datagrams are remembered by sequence number modulo this. */
#define SLOTS			256
#define WINDOW_MAX		128

#define TIMEOUT_MS		5000

struct app {
	struct vf vf;
	__u32 ip;			/* network order, as all of these */
	__u8 peer_mac[6];
	__u32 peer_ip;
	__u16 peer_port;
	bool peer_known;

	__u64 count;			/* datagrams to send */
	unsigned int window;		/* outstanding ones at a time */
	unsigned int payload;		/* length, 0: all lengths in turn */
	__u32 session;

	__u64 sent;
	__u64 received;		/* answers, good or not */
	__u64 round_trips;		/* datagrams that came back unharmed */
	__u64 damaged;
	__u64 unexpected;		/* twice, or never sent */
	__u64 stale;			/* answers to a run before this one */
	unsigned int outstanding;
	__u64 slot[SLOTS];		/* sequence number + 1, 0: none */
};

static int stop;

static int error(const char *what, int err)
{
	fprintf(stderr, "igbvf: %s\n", what);
	return err;
}

static void on_signal(int sig)
{
	(void)sig;
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
}

static bool stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

/* Sum of 16-bit words in network order, not yet complemented. */
static __u32 sum16(__u32 sum, const void *data, size_t len)
{
	const __u8 *p = data;

	for (; len > 1; len -= 2, p += 2)
		sum += p[0] << 8 | p[1];
	if (len)
		sum += p[0] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* The checksum of a datagram that holds one must be 0, when it is right. */
static __u16 udp_checksum(const struct ipv4 *ip, const struct udp *udp)
{
	unsigned int len = ntohs(udp->length);
	__u32 sum;

	sum = sum16(IPV4_UDP + len, &ip->src, 2 * sizeof(ip->src));
	return ~sum16(sum, udp, len);
}

static void add_arp(struct app *app, int op, const __u8 *dst_mac,
		    const __u8 *target_mac, __u32 target_ip)
{
	struct eth *eth = vf_tx_buffer(&app->vf);
	struct arp *arp = (void *)(eth + 1);

	memcpy(eth->dst, dst_mac, 6);
	memcpy(eth->src, app->vf.mac, 6);
	eth->type = htons(ETH_ARP);
	arp->hardware = htons(1);
	arp->protocol = htons(ETH_IPV4);
	arp->hardware_len = 6;
	arp->protocol_len = 4;
	arp->op = htons(op);
	memcpy(arp->sender_mac, app->vf.mac, 6);
	arp->sender_ip = app->ip;
	memcpy(arp->target_mac, target_mac, 6);
	arp->target_ip = target_ip;
	vf_tx_add(&app->vf, sizeof(*eth) + sizeof(*arp));
}

static unsigned int payload_len(const struct app *app, __u64 sequence)
{
	if (app->payload)
		return app->payload;
	return sizeof(struct probe) +
	       sequence * 101 % (PROBE_MAX - sizeof(struct probe) + 1);
}

static __u8 pattern(__u64 sequence, unsigned int i)
{
	return sequence * 31 + i * 7 + (i >> 8);
}

static void add_probe(struct app *app, __u64 sequence)
{
	struct eth *eth = vf_tx_buffer(&app->vf);
	struct ipv4 *ip = (void *)(eth + 1);
	struct udp *udp = (void *)(ip + 1);
	struct probe *probe = (void *)(udp + 1);
	unsigned int len = payload_len(app, sequence), i;

	memcpy(eth->dst, app->peer_mac, 6);
	memcpy(eth->src, app->vf.mac, 6);
	eth->type = htons(ETH_IPV4);

	memset(ip, 0, sizeof(*ip));
	ip->version = IPV4_VERSION_5_WORDS;
	ip->length = htons(sizeof(*ip) + sizeof(*udp) + len);
	ip->id = htons(sequence);
	ip->fragment = htons(IPV4_DONT_FRAGMENT);
	ip->ttl = 64;
	ip->protocol = IPV4_UDP;
	ip->src = app->ip;
	ip->dst = app->peer_ip;
	ip->checksum = htons(~sum16(0, ip, sizeof(*ip)));

	probe->magic = htonl(PROBE_MAGIC);
	probe->session = app->session;
	probe->sequence = htobe64(sequence);
	for (i = 0; i < len - sizeof(*probe); i++)
		probe->pattern[i] = pattern(sequence, i);

	udp->src = htons(UDP_PORT);
	udp->dst = app->peer_port;
	udp->length = htons(sizeof(*udp) + len);
	udp->checksum = 0;
	udp->checksum = htons(udp_checksum(ip, udp));
	if (!udp->checksum)
		udp->checksum = 0xffff;	/* 0 stands for none */
	vf_tx_add(&app->vf, sizeof(*eth) + sizeof(*ip) + sizeof(*udp) + len);
}

static void got_arp(struct app *app, const struct arp *arp)
{
	if (arp->target_ip != app->ip || arp->sender_ip != app->peer_ip)
		return;
	memcpy(app->peer_mac, arp->sender_mac, 6);
	app->peer_known = true;
	if (ntohs(arp->op) == ARP_REQUEST && vf_tx_room(&app->vf)) {
		add_arp(app, ARP_REPLY, arp->sender_mac, arp->sender_mac,
			arp->sender_ip);
		vf_tx_kick(&app->vf);
	}
}

static bool probe_good(struct app *app, const struct ipv4 *ip,
		       const struct udp *udp, const struct probe *probe)
{
	__u64 sequence = be64toh(probe->sequence);
	unsigned int len = ntohs(udp->length) - sizeof(*udp), i;

	if (len != payload_len(app, sequence) ||
	    sum16(0, ip, sizeof(*ip)) != 0xffff ||
	    (udp->checksum && udp_checksum(ip, udp)))
		return false;
	for (i = 0; i < len - sizeof(*probe); i++)
		if (probe->pattern[i] != pattern(sequence, i))
			return false;
	return true;
}

static void got_ipv4(struct app *app, const struct ipv4 *ip, unsigned int len)
{
	const struct udp *udp = (const void *)(ip + 1);
	const struct probe *probe = (const void *)(udp + 1);
	__u64 sequence, *slot;

	if (len < sizeof(*ip) + sizeof(*udp) + sizeof(*probe) ||
	    ip->version != IPV4_VERSION_5_WORDS || ip->protocol != IPV4_UDP ||
	    ip->src != app->peer_ip || ip->dst != app->ip ||
	    udp->src != app->peer_port || ntohs(ip->length) > len ||
	    ntohs(udp->length) != ntohs(ip->length) - sizeof(*ip) ||
	    ntohs(udp->length) < sizeof(*udp) + sizeof(*probe) ||
	    ntohl(probe->magic) != PROBE_MAGIC)
		return;
	if (probe->session != app->session) {
		app->stale++;
		return;
	}
	app->received++;
	sequence = be64toh(probe->sequence);
	slot = &app->slot[sequence % SLOTS];
	if (*slot != sequence + 1) {
		app->unexpected++;
		return;
	}
	*slot = 0;
	app->outstanding--;
	if (probe_good(app, ip, udp, probe))
		app->round_trips++;
	else
		app->damaged++;
}

static void got_frame(void *owner, const void *data, unsigned int len)
{
	const struct eth *eth = data;
	struct app *app = owner;

	if (len < sizeof(*eth) + sizeof(struct arp))
		return;
	if (ntohs(eth->type) == ETH_ARP)
		got_arp(app, (const void *)(eth + 1));
	else if (ntohs(eth->type) == ETH_IPV4)
		got_ipv4(app, (const void *)(eth + 1), len - sizeof(*eth));
}

/* Ask for the peer's MAC address. */
static int find_peer(struct app *app)
{
	static const __u8 broadcast[6] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff
	};
	static const __u8 unknown[6];
	int attempt, ret;

	for (attempt = 0; attempt < 10 && !stop; attempt++) {
		__u64 end = ud_now_us() + 1000000;

		if (!vf_tx_room(&app->vf))
			return error("nothing is transmitted", -EIO);
		add_arp(app, ARP_REQUEST, broadcast, unknown, app->peer_ip);
		vf_tx_kick(&app->vf);
		while (!app->peer_known && ud_now_us() < end) {
			ret = vf_poll(&app->vf, 100);
			if (ret < 0)
				return ret;
		}
		if (app->peer_known)
			return 0;
	}
	return error("the peer does not answer", -EHOSTUNREACH);
}

/* As many datagrams as the window has room for. */
static void send_probes(struct app *app)
{
	bool added = false;

	while (app->sent < app->count && app->outstanding < app->window &&
	       vf_tx_room(&app->vf)) {
		__u64 *slot = &app->slot[app->sent % SLOTS];

		/* One that many younger ones have overtaken is lost. */
		if (*slot)
			app->outstanding--;
		*slot = app->sent + 1;
		app->outstanding++;
		add_probe(app, app->sent++);
		added = true;
	}
	if (added)
		vf_tx_kick(&app->vf);
}

static int exchange(struct app *app)
{
	__u64 last = ud_now_us(), said = last, before, now;
	int ret;

	while ((app->sent < app->count && !stopped()) || app->outstanding) {
		if (!stopped())
			send_probes(app);
		before = app->received;
		ret = vf_poll(&app->vf, 1000);
		if (ret < 0)
			return ret;
		now = ud_now_us();
		if (app->received != before)
			last = now;
		else if (now - last > TIMEOUT_MS * 1000ull)
			return error("nothing comes back any more", -ETIMEDOUT);
		if (now - said > 1000000) {
			said = now;
			printf("igbvf: sent %llu received %llu\n",
			       app->sent, app->received);
			fflush(stdout);
		}
	}
	return 0;
}

/* Exchange all datagrams and print what became of them. */
static int run(struct app *app)
{
	__u64 us = ud_now_us(), lost;
	int ret;

	ret = exchange(app);
	us = ud_now_us() - us;
	lost = app->sent - app->round_trips - app->damaged;
	printf("igbvf: %llu ms, mailbox interrupts %llu, frame errors %llu\n",
	       us / 1000, app->vf.mailbox_irqs, app->vf.rx_errors);
	printf("igbvf: damaged %llu, unexpected %llu, of runs before %llu\n",
	       app->damaged, app->unexpected, app->stale);
	printf("sent %llu received %llu lost %llu ", app->sent, app->received,
	       lost);
	printf("interrupts %llu round trips %llu\n", app->vf.queue_irqs,
	       app->round_trips);
	if (!ret && (lost || app->damaged || app->unexpected ||
		     !app->vf.queue_irqs || !app->round_trips))
		ret = -EIO;
	return ret;
}

static void print_address(const char *name, const __u8 *mac, __u32 ip)
{
	char text[INET_ADDRSTRLEN];

	printf("igbvf: %s %02x:%02x:%02x:%02x:%02x:%02x %s\n", name, mac[0],
	       mac[1], mac[2], mac[3], mac[4], mac[5],
	       inet_ntop(AF_INET, &ip, text, sizeof(text)));
	fflush(stdout);
}

static int help(void)
{
	fputs("usage: igbvf [OPTION]... BDF\n"
	      "  -n COUNT    datagrams to exchange (10000)\n"
	      "  -f          go on until SIGTERM or SIGINT\n"
	      "  -w WINDOW   outstanding datagrams, 1 to 128 (32)\n"
	      "  -l LENGTH   payload, 16 to 1472 bytes (all of them)\n"
	      "  -s ADDRESS  our IPv4 address (192.168.76.2)\n"
	      "  -p ADDRESS  the echo server's (192.168.76.1)\n"
	      "  -P PORT     its UDP port (7)\n", stderr);
	return 2;
}

static int parse(struct app *app, int argc, char **argv)
{
	const char *ours = "192.168.76.2", *peer = "192.168.76.1";
	unsigned int port = UDP_PORT;
	int opt;

	while ((opt = getopt(argc, argv, "n:fw:l:s:p:P:")) != -1) {
		switch (opt) {
		case 'n':
			app->count = strtoull(optarg, NULL, 0);
			break;
		case 'f':
			app->count = ~0ull;
			break;
		case 'w':
			app->window = strtoul(optarg, NULL, 0);
			break;
		case 'l':
			app->payload = strtoul(optarg, NULL, 0);
			if (app->payload < sizeof(struct probe) ||
			    app->payload > PROBE_MAX)
				return help();
			break;
		case 's':
			ours = optarg;
			break;
		case 'p':
			peer = optarg;
			break;
		case 'P':
			port = strtoul(optarg, NULL, 0);
			break;
		default:
			return help();
		}
	}
	app->peer_port = htons(port);
	if (optind != argc - 1 || !port || port > 0xffff || !app->window ||
	    app->window > WINDOW_MAX || inet_pton(AF_INET, ours, &app->ip) != 1 ||
	    inet_pton(AF_INET, peer, &app->peer_ip) != 1)
		return help();
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = on_signal };
	static struct app app = {
		.vf.frame = got_frame,
		.vf.owner = &app,
		.count = 10000,
		.window = 32,
	};
	int ret;

	ret = parse(&app, argc, argv);
	if (ret)
		return ret;
	if (getrandom(&app.session, sizeof(app.session), GRND_NONBLOCK) < 0)
		app.session = ud_now_us() ^ (__u32)getpid() << 16;
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);

	ret = vf_start(&app.vf, argv[argc - 1]);
	if (!ret) {
		printf("igbvf: %s is %s, user %d\n", app.vf.ud.bdf,
		       app.vf.ud.node, (int)getuid());
		print_address("we are ", app.vf.mac, app.ip);
		ret = find_peer(&app);
	}
	if (!ret) {
		print_address("peer is", app.peer_mac, app.peer_ip);
		ret = run(&app);
	}
	vf_stop(&app.vf);
	return ret ? 1 : 0;
}

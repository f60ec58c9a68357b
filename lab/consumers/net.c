// SPDX-License-Identifier: GPL-2.0
/*
 * Page-backed buffers are sent without a copy (MSG_ZEROCOPY), by TCP and UDP, through two
 * network devices of one kind that a hub of QEMU's joins: lab/consumers/check makes them.
 * The sender lets go of a buffer as soon as the kernel has it, and somebody else takes all
 * memory that is free, before the receiver reads. It must read what the sender wrote.
 *
 * The receiver is another process with a network of its own. Otherwise, the kernel would
 * pass on the bytes without any device.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <linux/errqueue.h>

#include "consumers.h"
#include "taker.h"

#define PORT		5000
#define LENGTH		(256 << 10)
#define DATAGRAM	1024
#define DATAGRAMS	16		/* few enough for the ring of any device */
#define RECEIVE_BUFFER	8192		/* so that most of LENGTH waits in the sender */

/* A device without scatter/gather gets a copy, which the kernel makes when it sends. */
static const struct device {
	const char *driver, *network;
	bool copies;
} devices[] = {
	{ "e1000e",	"10.9.1", false },
	{ "virtio_net",	"10.9.2", true },	/* QEMU's hub can't do what it needs for that */
};

static const struct protocol {
	const char *name;
	int type;
} protocols[] = {
	{ "TCP", SOCK_STREAM },
	{ "UDP", SOCK_DGRAM },
};

static const int blocks[] = { 2, CMEM_BLOCK_CMA };

/* What both processes see */
static struct shared {
	int ready;		/* the receiver has its socket */
	int go;			/* it may read */
	int done;		/* it has read */
	bool right;		/* what the sender wrote */
} *shared;

static pid_t receiver;		/* while it runs */

static void await(const int *word)
{
	while (!said(word)) {
		if (receiver && waitpid(receiver, NULL, WNOHANG))
			fail("the receiver has ended");
		usleep(1000);
	}
}

static void run(const char *format, ...)
{
	char command[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	if (system(command))
		fail("%s", command);
}

/* The @number-th network device of a driver */
static void find_interface(const char *driver, int number, char *name)
{
	DIR *all = opendir("/sys/class/net");
	char path[PATH_MAX], link[PATH_MAX], names[8][IFNAMSIZ];
	struct dirent *entry;
	int count = 0;
	ssize_t length;

	while (all && (entry = readdir(all)) && count < 8) {
		snprintf(path, sizeof(path), "/sys/class/net/%s/device/driver", entry->d_name);
		length = readlink(path, link, sizeof(link) - 1);
		if (length < 0)
			continue;
		link[length] = '\0';
		if (!strcmp(strrchr(link, '/') + 1, driver))
			snprintf(names[count++], sizeof(names[0]), "%.15s", entry->d_name);
	}
	if (all)
		closedir(all);
	qsort(names, count, sizeof(names[0]), (int (*)(const void *, const void *))strcmp);
	if (count <= number)
		fail("there are %d network devices of %s, not 2", count, driver);
	strcpy(name, names[number]);
}

/* Waits until a device, that is up, has its link. */
static void await_link(const char *name)
{
	int sock = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq interface = { 0 };

	strcpy(interface.ifr_name, name);
	do {
		usleep(1000);
		must_ioctl(sock, SIOCGIFFLAGS, &interface, "SIOCGIFFLAGS");
	} while (!(interface.ifr_flags & IFF_RUNNING));
	close(sock);
}

static struct sockaddr_in address_of(const struct device *device)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	char text[32];

	snprintf(text, sizeof(text), "%s.2", device->network);
	inet_pton(AF_INET, text, &address.sin_addr);
	return address;
}

static bool receive(int sock, uint8_t *memory, size_t length, bool datagrams)
{
	ssize_t count;

	for (size_t got = 0; got < length; got += count) {
		count = recv(sock, memory + got, length - got, 0);
		if (count <= 0 || (datagrams && count != DATAGRAM)) {
			note("received %zd bytes after %zu: %s", count, got, strerror(errno));
			return false;
		}
	}
	return true;
}

/* The receiver: once for each protocol and block */
static void receive_one(const struct device *device, const struct protocol *protocol,
			uint64_t seed)
{
	bool datagrams = protocol->type == SOCK_DGRAM;
	size_t length = datagrams ? DATAGRAM * DATAGRAMS : LENGTH;
	struct sockaddr_in address = address_of(device);
	int listener, sock, room = RECEIVE_BUFFER, on = 1;
	uint8_t *memory = malloc(length);

	listener = socket(AF_INET, protocol->type, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (!datagrams)
		setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) ||
	    (!datagrams && listen(listener, 1)))
		fail("the receiver's socket: %s", strerror(errno));
	say(&shared->ready);
	sock = datagrams ? listener : accept(listener, NULL, NULL);
	await(&shared->go);
	shared->right = receive(sock, memory, length, datagrams) &&
			has_words(memory, length, seed);
	if (sock != listener)
		close(sock);
	close(listener);
	free(memory);
	say(&shared->done);
}

static int send_words(const struct device *device, const struct protocol *protocol,
		      const struct buffer *buffer, unsigned int *calls)
{
	bool datagrams = protocol->type == SOCK_DGRAM;
	size_t length = datagrams ? DATAGRAM * DATAGRAMS : LENGTH;
	struct sockaddr_in address = address_of(device);
	int sock = socket(AF_INET, protocol->type, 0), on = 1, room = 2 * LENGTH;
	ssize_t count;

	if (setsockopt(sock, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)) ||
	    setsockopt(sock, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) ||
	    connect(sock, (struct sockaddr *)&address, sizeof(address)))
		fail("the sender's socket: %s", strerror(errno));
	*calls = 0;
	for (size_t sent = 0; sent < length; sent += count) {
		count = send(sock, buffer->mapping + sent, datagrams ? DATAGRAM : length - sent,
			     MSG_ZEROCOPY);
		if (count <= 0)
			fail("send: %s", strerror(errno));
		++*calls;
	}
	return sock;
}

/* Waits until the kernel has said of each call that it is done. Returns how many were copied. */
static unsigned int await_completions(int sock, unsigned int calls)
{
	unsigned int done = 0, copied = 0;

	while (done < calls) {
		char control[128];
		struct msghdr message = { .msg_control = control, .msg_controllen = sizeof(control) };
		struct pollfd pollfd = { .fd = sock };
		struct sock_extended_err *error;
		struct cmsghdr *header;

		poll(&pollfd, 1, -1);
		if (recvmsg(sock, &message, MSG_ERRQUEUE) < 0) {
			if (errno == EAGAIN)
				continue;
			fail("the error queue: %s", strerror(errno));
		}
		header = CMSG_FIRSTHDR(&message);
		error = header ? (struct sock_extended_err *)CMSG_DATA(header) : NULL;
		if (!error || error->ee_origin != SO_EE_ORIGIN_ZEROCOPY || error->ee_errno)
			fail("the error queue has something else");
		done += error->ee_data - error->ee_info + 1;
		if (error->ee_code & SO_EE_CODE_ZEROCOPY_COPIED)
			copied += error->ee_data - error->ee_info + 1;
	}
	return copied;
}

static void send_one(const struct device *device, const struct protocol *protocol,
		     struct taker *taker, uint64_t seed)
{
	unsigned int calls, copied;
	struct buffer buffer;
	bool kept, right;
	char what[64];
	int sock, cmem = open_cmem();

	snprintf(what, sizeof(what), "%s, %s, %s", device->driver, protocol->name,
		 block_name(taker->block));
	if (!allocate(cmem, taker->block, LENGTH, CMEM_ALLOC_PAGES, &buffer))
		fail("no memory for the sender");
	put_words(buffer.mapping, LENGTH, seed);
	await(&shared->ready);
	sock = send_words(device, protocol, &buffer, &calls);
	give_buffer(cmem, &buffer);
	munmap(buffer.mapping, buffer.length);
	close(cmem);
	kept = pinned(taker->cmem, taker->block) == 1;
	take_all(taker, seed + 1);
	say(&shared->go);
	await(&shared->done);
	right = give_back(taker, seed + 1);
	check(shared->right && right,
	      "%s: what the sender wrote is received, and nobody else's memory changes", what);

	copied = await_completions(sock, calls);
	check(device->copies ? copied == calls : !copied, "%s: the kernel has copied %u of %u calls",
	      what, copied, calls);
	if (protocol->type == SOCK_STREAM && !device->copies)
		check(kept, "%s: the buffer is pinned while nobody reads", what);
	close(sock);
	await_unpinned(taker->cmem, taker->block);
	check(true, "%s: the buffer is free in the end", what);
}

/* The receiver begins when it sees that it is not done. */
static void begin(void)
{
	shared->ready = 0;
	shared->go = 0;
	shared->right = false;
	__atomic_store_n(&shared->done, 0, __ATOMIC_RELEASE);
}

static void all_of(const struct device *device, struct taker *taker)
{
	static uint64_t seed = 77;
	char names[2][IFNAMSIZ];
	int ready[2];
	pid_t pid;
	char byte;

	for (int i = 0; i < 2; i++)
		find_interface(device->driver, i, names[i]);
	if (pipe(ready))
		fail("pipe: %s", strerror(errno));
	*shared = (struct shared) { 0 };
	fflush(stdout);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET))
			fail("no network of its own: %s", strerror(errno));
		/* The device comes when the sender has given it. */
		if (write(ready[1], "n", 1) != 1)
			_exit(EXIT_FAILURE);
		await(&shared->go);
		shared->go = 0;
		run("ip addr add %s.2/24 dev %s && ip link set %s up", device->network, names[1],
		    names[1]);
		await_link(names[1]);
		say(&shared->done);
		for (size_t i = 0; i < ARRAY_SIZE(protocols) * ARRAY_SIZE(blocks); i++) {
			while (said(&shared->done))
				usleep(1000);
			receive_one(device, &protocols[i / ARRAY_SIZE(blocks)], seed + i);
		}
		_exit(EXIT_SUCCESS);
	}
	receiver = pid;
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		fail("no receiver");
	run("ip link set %s netns %d", names[1], pid);
	run("ip addr add %s.1/24 dev %s && ip link set %s up", device->network, names[0], names[0]);
	await_link(names[0]);
	say(&shared->go);
	await(&shared->done);
	for (size_t i = 0; i < ARRAY_SIZE(protocols) * ARRAY_SIZE(blocks); i++) {
		begin();
		taker->block = blocks[i % ARRAY_SIZE(blocks)];
		send_one(device, &protocols[i / ARRAY_SIZE(blocks)], taker, seed + i);
	}
	seed += 10;
	waitpid(pid, NULL, 0);
	receiver = 0;
	close(ready[0]);
}

int main(void)
{
	static struct taker taker;

	plan(ARRAY_SIZE(devices) * ARRAY_SIZE(protocols) * ARRAY_SIZE(blocks) * 3 +
	     ARRAY_SIZE(blocks));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
	taker.cmem = open_cmem();
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		all_of(&devices[i], &taker);
	return verdict();
}

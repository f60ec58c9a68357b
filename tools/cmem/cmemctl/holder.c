// SPDX-License-Identifier: BSD-3-Clause
/*
 * How free reaches the buffers of alloc. A buffer belongs to the file that allocated it,
 * so only the process with this file can free it. Each alloc listens on a socket with the
 * abstract name cmemctl/<pid>, which disappears with the process. free asks all such
 * sockets. A holder accepts requests from its own user and from root; the kernel
 * authenticates both ends.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "cmemctl.h"

#define NAME "cmemctl/"

static socklen_t make_address(struct sockaddr_un *address, const char *name)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1, "%s", name);
	return offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address->sun_path + 1);
}

/* The timeout for an unresponsive peer */
static void set_timeout(int socket, unsigned int seconds)
{
	struct timeval time = { .tv_sec = seconds };

	setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
	setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time));
}

/* Does the other end belong to root or to the same user? */
static bool peer_counts(int socket)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	return !getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) &&
	       (!peer.uid || peer.uid == geteuid());
}

void holder_listen(struct holder *holder)
{
	struct sockaddr_un address;
	char name[32];
	socklen_t length;

	snprintf(name, sizeof(name), NAME "%d", (int)getpid());
	length = make_address(&address, name);
	holder->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (holder->socket < 0 || bind(holder->socket, (struct sockaddr *)&address, length) ||
	    listen(holder->socket, 8)) {
		warn("cmemctl free will not reach this: no socket @%s: %s", name, strerror(errno));
		if (holder->socket >= 0)
			close(holder->socket);
		holder->socket = -1;
	}
}

static unsigned int give_back(struct holder *holder, bool all, uint64_t phys)
{
	unsigned int freed = 0, kept = 0;

	for (unsigned int i = 0; i < holder->count; i++) {
		if ((all || holder->phys[i] == phys) &&
		    !device_free(holder->fd, holder->phys[i]))
			freed++;
		else
			holder->phys[kept++] = holder->phys[i];
	}
	holder->count = kept;
	return freed;
}

void holder_end(struct holder *holder)
{
	give_back(holder, true, 0);
}

void holder_answer(struct holder *holder)
{
	int peer = accept4(holder->socket, NULL, NULL, SOCK_CLOEXEC);
	unsigned int freed = 0;
	char text[64];
	uint64_t phys;
	ssize_t got;

	if (peer < 0)
		return;
	set_timeout(peer, 1);
	got = peer_counts(peer) ? recv(peer, text, sizeof(text) - 1, 0) : -1;
	if (got > 0) {
		text[got] = 0;
		if (!strcmp(text, "free all"))
			freed = give_back(holder, true, 0);
		else if (sscanf(text, "free %" SCNx64, &phys) == 1)
			freed = give_back(holder, false, phys);
		snprintf(text, sizeof(text), "freed %u", freed);
		send(peer, text, strlen(text), MSG_NOSIGNAL);
	}
	close(peer);
}

/* How many buffers one holder frees */
static unsigned int ask(const char *name, const char *request)
{
	int holder = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;
	unsigned int freed = 0;
	char text[64];
	ssize_t got;

	if (holder < 0)
		return 0;
	set_timeout(holder, 5);
	if (!connect(holder, (struct sockaddr *)&address, make_address(&address, name)) &&
	    (peer_counts(holder) || !geteuid()) &&
	    send(holder, request, strlen(request), MSG_NOSIGNAL) > 0) {
		got = recv(holder, text, sizeof(text) - 1, 0);
		if (got > 0) {
			text[got] = 0;
			if (sscanf(text, "freed %u", &freed) != 1)
				freed = 0;
		}
	}
	close(holder);
	return freed;
}

/*
 * The names of all sockets that an alloc listens on, each ending with its 0. The caller
 * reads all of them before it asks the first holder. A holder that has freed everything
 * exits, and the kernel's list gets shorter: a reader in the middle of it would miss
 * entries.
 */
static char *list_holders(size_t *length)
{
	FILE *f = fopen("/proc/net/unix", "re");
	char line[256], *names = NULL, *name;

	if (!f)
		die("/proc/net/unix: %s: 'cmemctl alloc' can't be reached", strerror(errno));
	*length = 0;
	while (fgets(line, sizeof(line), f)) {
		name = strstr(line, " @" NAME);
		/* A connected socket has the same name: select listeners. */
		if (!name || !strstr(line, " 00010000 "))
			continue;
		name += 2;
		name[strcspn(name, "\n")] = 0;
		names = xrealloc(names, *length + sizeof(line), 1);
		memcpy(names + *length, name, strlen(name) + 1);
		*length += strlen(name) + 1;
	}
	fclose(f);
	return names;
}

unsigned int holders_free(bool all, uint64_t phys)
{
	unsigned int freed = 0;
	char request[64];
	size_t length;
	char *names = list_holders(&length);

	if (all)
		snprintf(request, sizeof(request), "free all");
	else
		snprintf(request, sizeof(request), "free %#" PRIx64, phys);
	for (size_t i = 0; i < length; i += strlen(names + i) + 1)
		freed += ask(names + i, request);
	free(names);
	return freed;
}

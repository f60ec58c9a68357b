// SPDX-License-Identifier: GPL-2.0
/*
 * typed KEYS COMMAND: has a shell run COMMAND on a terminal of its own, types one
 * key a second there, and prints what the terminal shows.
 */
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct winsize size = { .ws_row = 40, .ws_col = 100 };
	const char *key;
	char text[4096];
	int terminal, status;
	ssize_t got;
	pid_t pid;

	if (argc != 3)
		return 2;
	key = argv[1];
	pid = forkpty(&terminal, NULL, NULL, &size);
	if (!pid) {
		execl("/bin/sh", "sh", "-c", argv[2], (char *)NULL);
		_exit(127);
	}
	if (pid < 0)
		return 1;
	for (;;) {
		struct pollfd out = { .fd = terminal, .events = POLLIN };

		if (!poll(&out, 1, *key ? 1000 : -1)) {
			if (write(terminal, key++, 1) != 1)
				break;
			continue;
		}
		/* EIO when the last program has gone from it */
		got = read(terminal, text, sizeof(text));
		if (got <= 0 || write(STDOUT_FILENO, text, got) != got)
			break;
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

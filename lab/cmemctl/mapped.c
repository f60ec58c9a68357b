// SPDX-License-Identifier: GPL-2.0
/*
 * mapped FILE OFFSET LENGTH: maps a part of a file, says so, and waits for a signal.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int fd;

	if (argc != 4)
		return 2;
	fd = open(argv[1], O_RDWR);
	if (fd < 0 || mmap(NULL, strtoul(argv[3], NULL, 0), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			   strtoul(argv[2], NULL, 0)) == MAP_FAILED) {
		perror(argv[1]);
		return 1;
	}
	puts("mapped");
	fflush(stdout);
	pause();
	return 0;
}

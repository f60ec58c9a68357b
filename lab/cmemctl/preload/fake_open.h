/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Preloaded, opens something else in place of /dev/cmem and of DMA-BUF heaps: what,
 * fake_open() says.
 */
#ifndef FAKE_OPEN_H
#define FAKE_OPEN_H

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

typedef int open_function(const char *path, int flags, ...);

int fake_open(open_function *real, const char *path, int flags);

int open64(const char *path, int flags, ...)
{
	open_function *real = dlsym(RTLD_NEXT, "open64");
	va_list args;
	int mode;

	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, int) : 0;
	va_end(args);
	if (!strcmp(path, "/dev/cmem") || !strncmp(path, "/dev/dma_heap/", 14))
		return fake_open(real, path, flags);
	return real(path, flags, mode);
}

#endif /* FAKE_OPEN_H */

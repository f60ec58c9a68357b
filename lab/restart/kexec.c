// SPDX-License-Identifier: GPL-2.0
/*
 * Loads another kernel with kexec_file_load().
 *
 *	kexec crash <kernel> <initrd> <command line>	boots it when this one panics
 *	kexec boot <kernel> <initrd> <command line>	and boots it, without going through
 *							the firmware
 */
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int crash = argc > 1 && !strcmp(argv[1], "crash");
	int kernel, initrd;

	if (argc != 5 || (!crash && strcmp(argv[1], "boot"))) {
		fprintf(stderr, "usage: kexec crash|boot KERNEL INITRD COMMAND-LINE\n");
		return 2;
	}
	kernel = open(argv[2], O_RDONLY);
	if (kernel < 0) {
		perror(argv[2]);
		return 1;
	}
	initrd = open(argv[3], O_RDONLY);
	if (initrd < 0) {
		perror(argv[3]);
		return 1;
	}
	if (syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[4]) + 1, argv[4],
		    crash ? KEXEC_FILE_ON_CRASH : 0)) {
		perror("kexec_file_load");
		return 1;
	}
	if (crash)
		return 0;
	sync();
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
	perror("reboot");
	return 1;
}

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ioctls of /dev/cmem: ioctl.c dispatches them and has the ioctls on buffers,
 * ioctl_block.c has those on blocks.
 */
#ifndef _CMEM_IOCTL_H
#define _CMEM_IOCTL_H

#include <linux/types.h>

struct cmem_file;
struct file;

long cmem_ioctl(struct file *filp, unsigned int cmd, unsigned long arg);
long cmem_compat_ioctl(struct file *filp, unsigned int cmd, unsigned long arg);

/**
 * struct cmem_command - an ioctl call
 * @file: the file
 * @user: the structure in user space
 * @user_size: size of @user
 * @data: the kernel's copy of @user, with zeros after @user_size
 * @size: size of @data
 */
struct cmem_command {
	struct cmem_file *file;
	void __user *user;
	u32 user_size;
	void *data;
	u32 size;
};

int cmem_respond(const struct cmem_command *command);

int cmem_get_info(struct cmem_command *command);
int cmem_get_block(struct cmem_command *command);
int cmem_get_pool(struct cmem_command *command);
int cmem_find_pool(struct cmem_command *command);
int cmem_add_block(struct cmem_command *command);
int cmem_remove_block(struct cmem_command *command);
int cmem_release_quarantined(struct cmem_command *command);

#endif /* _CMEM_IOCTL_H */

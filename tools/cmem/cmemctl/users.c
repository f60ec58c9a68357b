// SPDX-License-Identifier: BSD-3-Clause
/*
 * Each user's charge per block: from debugfs, for root; otherwise the kernel's data about
 * the caller.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmemctl.h"

static void add(struct users *users, unsigned int *room, const struct user *user)
{
	grow(users->user, users->count, *room);
	users->user[users->count++] = *user;
}

/* Lines of Documentation/ABI/testing/debugfs-cmem; false if it can't be read */
static bool read_debugfs(const struct block *block, struct users *users, unsigned int *room)
{
	char path[300], line[128];
	unsigned int uid;
	FILE *f;

	snprintf(path, sizeof(path), DEBUGFS "/cmem/%d/users", block->info.block);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		struct user user = { .block = block->info.block, .quota = block->info.quota };

		if (sscanf(line, "uid=%u bytes=%" SCNu64, &uid, &user.bytes) != 2)
			continue;
		user.uid = uid;
		add(users, room, &user);
	}
	fclose(f);
	return true;
}

void users_read(const struct blocks *blocks, struct users *users)
{
	unsigned int room = 0;

	*users = (struct users){ };
	/* Older drivers charge no user. */
	if (blocks->info.abi_version < 4)
		return;
	for (unsigned int i = 0; i < blocks->count; i++) {
		const struct cmem_block_info *info = &blocks->block[i].info;
		struct user self = {
			.block = info->block, .uid = geteuid(), .bytes = info->charged,
			.quota = info->quota,
		};

		if (!read_debugfs(&blocks->block[i], users, &room) && self.bytes)
			add(users, &room, &self);
	}
}

void users_free(struct users *users)
{
	free(users->user);
	*users = (struct users){ };
}

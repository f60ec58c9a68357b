/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the readers of configurations log, for their KUnit tests: a mistake must give
 * one line, which names what is wrong.
 */
#ifndef _CMEM_CONFIG_TEST_LOG_H
#define _CMEM_CONFIG_TEST_LOG_H

#include <linux/device.h>
#include <linux/kmsg_dump.h>
#include <linux/string.h>

#include "kunit.h"

/**
 * struct cmem_test_log - the log from a test's beginning on
 * @dev: whose lines count
 * @iter: where it goes on
 * @line: buffer for a line of it
 */
struct cmem_test_log {
	struct device *dev;
	struct kmsg_dump_iter iter;
	char line[1024];
};

static inline void cmem_test_log_begin(struct cmem_test_log *log,
				       struct device *dev)
{
	log->dev = dev;
	kmsg_dump_rewind(&log->iter);
	log->iter.cur_seq = log->iter.next_seq;
}

/* The next line that the driver logged in this test, or NULL */
static inline const char *cmem_test_log_line(struct cmem_test_log *log)
{
	size_t length;

	while (kmsg_dump_get_line(&log->iter, true, log->line,
				  sizeof(log->line) - 1, &length)) {
		log->line[length] = '\0';
		if (strstr(log->line, dev_name(log->dev)))
			return log->line;
	}
	return NULL;
}

static inline void cmem_test_log_expect_silence(struct kunit *test,
						struct cmem_test_log *log)
{
	KUNIT_EXPECT_STREQ(test, cmem_test_log_line(log) ?: "", "");
}

/* One line of this level, such as "<3>", with all of these words */
static inline void cmem_test_log_expect(struct kunit *test,
					struct cmem_test_log *log,
					const char *level,
					const char * const *words, int num_words)
{
	const char *line;
	int i;

	if (!IS_ENABLED(CONFIG_PRINTK))
		return;

	line = cmem_test_log_line(log);
	KUNIT_ASSERT_NOT_NULL_MSG(test, line, "nothing was logged");
	KUNIT_EXPECT_EQ_MSG(test, strncmp(line, level, strlen(level)), 0,
			    "not %s: %s", level, line);
	for (i = 0; i < num_words && words[i]; i++)
		KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(line, words[i]),
					  "no \"%s\" in: %s", words[i], line);
	cmem_test_log_expect_silence(test, log);
}

#endif /* _CMEM_CONFIG_TEST_LOG_H */

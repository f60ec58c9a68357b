// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reads the device tree from /sys/firmware/devicetree/base, or a copy of it: directories
 * are nodes, files are properties. The contents are big-endian, as in the tree, and are
 * not trusted to be well-formed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmemctl.h"

/* Only firmware makes a property longer, and no caller needs that. */
#define MAX_PROPERTY 65536
#define MAX_DEPTH 64

static char *join(const char *a, const char *b)
{
	char *text = xrealloc(NULL, strlen(a) + strlen(b) + 2, 1);

	sprintf(text, "%s%s%s", a, strcmp(a, "/") ? "/" : "", b);
	return text;
}

static void read_property(struct property *property, const char *path, const char *name)
{
	unsigned char *value = xrealloc(NULL, MAX_PROPERTY + 1, 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t got;

	*property = (struct property){ .name = strdup(name) };
	if (!property->name)
		die("out of memory");
	while (fd >= 0 && property->length < MAX_PROPERTY) {
		got = read(fd, value + property->length, MAX_PROPERTY - property->length);
		if (got <= 0)
			break;
		property->length += got;
	}
	if (fd >= 0)
		close(fd);
	/* So that a string is always terminated */
	value[property->length] = 0;
	property->value = xrealloc(value, property->length + 1, 1);
}

static struct node *read_node(const char *directory, const char *path, struct node *parent,
			      unsigned int depth)
{
	unsigned int property_room = 0, child_room = 0;
	struct dirent *entry;
	struct node *node;
	DIR *dir;

	dir = opendir(directory);
	if (!dir || depth > MAX_DEPTH) {
		if (dir)
			closedir(dir);
		return NULL;
	}
	node = xrealloc(NULL, 1, sizeof(*node));
	*node = (struct node){ .path = strdup(path), .parent = parent };
	if (!node->path)
		die("out of memory");
	node->name = parent ? strrchr(node->path, '/') + 1 : node->path;
	while ((entry = readdir(dir))) {
		char *file, *below;
		struct stat st;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		file = join(directory, entry->d_name);
		if (lstat(file, &st)) {
			free(file);
			continue;
		}
		if (S_ISREG(st.st_mode)) {
			grow(node->property, node->properties, property_room);
			read_property(&node->property[node->properties++], file, entry->d_name);
		} else if (S_ISDIR(st.st_mode)) {
			below = join(path, entry->d_name);
			grow(node->child, node->children, child_room);
			node->child[node->children] = read_node(file, below, node, depth + 1);
			node->children += !!node->child[node->children];
			free(below);
		}
		free(file);
	}
	closedir(dir);
	return node;
}

struct node *tree_read(const char *directory)
{
	return read_node(directory, "/", NULL, 0);
}

void tree_free(struct node *node)
{
	if (!node)
		return;
	for (unsigned int i = 0; i < node->children; i++)
		tree_free(node->child[i]);
	for (unsigned int i = 0; i < node->properties; i++) {
		free(node->property[i].name);
		free(node->property[i].value);
	}
	free(node->property);
	free(node->child);
	free(node->path);
	free(node);
}

const struct property *tree_property(const struct node *node, const char *name)
{
	for (unsigned int i = 0; i < node->properties; i++)
		if (!strcmp(node->property[i].name, name))
			return &node->property[i];
	return NULL;
}

uint32_t tree_cell(const struct property *property, unsigned int cell)
{
	const unsigned char *at;

	if (!property || property->length / 4 <= cell)
		return 0;
	at = property->value + 4 * (size_t)cell;
	return (uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
}

uint64_t tree_number(const struct property *property, unsigned int cell, unsigned int cells)
{
	uint64_t number = 0;

	while (cells--)
		number = number << 32 | tree_cell(property, cell++);
	return number;
}

const char *tree_string(const struct node *node, const char *name)
{
	const struct property *property = tree_property(node, name);

	return property ? (const char *)property->value : NULL;
}

unsigned int tree_cells(const struct node *node, const char *name, unsigned int otherwise)
{
	const struct property *property = tree_property(node, name);

	return property && property->length == 4 ? tree_cell(property, 0) : otherwise;
}

bool tree_is_compatible(const struct node *node, const char *compatible)
{
	const struct property *property = tree_property(node, "compatible");
	size_t at = 0;

	while (property && at < property->length) {
		if (!strcmp((const char *)property->value + at, compatible))
			return true;
		at += strlen((const char *)property->value + at) + 1;
	}
	return false;
}

const struct node *tree_disabled(const struct node *node)
{
	for (; node; node = node->parent) {
		const char *status = tree_string(node, "status");

		if (status && strcmp(status, "okay") && strcmp(status, "ok"))
			return node;
	}
	return NULL;
}

const struct node *tree_find(const struct node *node, const char *path)
{
	if (!strcmp(node->path, path))
		return node;
	for (unsigned int i = 0; i < node->children; i++) {
		const struct node *found = tree_find(node->child[i], path);

		if (found)
			return found;
	}
	return NULL;
}

const struct node *tree_by_phandle(const struct node *node, uint32_t phandle)
{
	const struct property *own = tree_property(node, "phandle");

	if (!own)
		own = tree_property(node, "linux,phandle");
	if (phandle && own && own->length == 4 && tree_cell(own, 0) == phandle)
		return node;
	for (unsigned int i = 0; i < node->children; i++) {
		const struct node *found = tree_by_phandle(node->child[i], phandle);

		if (found)
			return found;
	}
	return NULL;
}

void tree_walk(const struct node *node, void (*call)(const struct node *node))
{
	call(node);
	for (unsigned int i = 0; i < node->children; i++)
		tree_walk(node->child[i], call);
}

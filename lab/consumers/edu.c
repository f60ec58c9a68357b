// SPDX-License-Identifier: GPL-2.0
/*
 * A PCI DMA engine that uses physical addresses of CMEM: QEMU's device "edu", driven
 * from user space. It copies between two buffers, through its own memory, and gets only
 * the addresses from CMEM_getPhys(). Every byte must arrive, and no byte outside of the
 * target may change.
 *
 * QEMU's docs/specs/edu.rst describes the device.
 */
#include <sched.h>

#include "consumers.h"

#define DEVICES		"/sys/bus/pci/devices"
#define EDU_VENDOR	0x1234
#define EDU_DEVICE	0x11e8

/* Registers, in bytes from the start of BAR 0 */
#define EDU_ID		0x00	/* 0x010000ed, the upper half is the version */
#define EDU_LIVENESS	0x04	/* reads as the inverse of the written value */
#define EDU_DMA_SOURCE	0x80
#define EDU_DMA_TARGET	0x88
#define EDU_DMA_COUNT	0x90
#define EDU_DMA_COMMAND	0x98
#define EDU_DMA_START	0x01	/* reads as set while it works */
#define EDU_DMA_TO_RAM	0x02

#define EDU_MEMORY	0x40000	/* the device's own, in its addresses */
#define EDU_LARGEST	4095	/* maximum bytes per transfer */

#define PCI_COMMAND		4
#define PCI_COMMAND_MASTER	0x0004
#define PCI_COMMAND_NO_INTX	0x0400

/* Odd lengths, across pages, and longer than the device's memory */
#define SOURCE_OFFSET	4099
#define TARGET_OFFSET	12345
#define LENGTH		9001
#define BUFFER_SIZE	(64 << 10)
#define CHECKS		3	/* of each case */

static const struct edu_case {
	int from, from_flags, to, to_flags;
} cases[] = {
	{ 0,			CMEM_CACHED,	0,			CMEM_CACHED },
	{ 0,			CMEM_CACHED,	2,			CMEM_NONCACHED },
	{ 2,			CMEM_NONCACHED,	CMEM_BLOCK_CMA,		CMEM_CACHED },
	{ CMEM_BLOCK_CMA,	CMEM_CACHED,	5,			CMEM_NONCACHED },
	{ 5,			CMEM_NONCACHED,	0,			CMEM_CACHED },
};

static volatile uint8_t *registers;
static int config = -1;

static uint32_t read_register(unsigned int offset)
{
	return *(volatile uint32_t *)(registers + offset);
}

static void write_register(unsigned int offset, uint32_t value)
{
	*(volatile uint32_t *)(registers + offset) = value;
}

/* Registers from EDU_DMA_SOURCE on are 64-bit. */
static void write_register64(unsigned int offset, uint64_t value)
{
	*(volatile uint64_t *)(registers + offset) = value;
}

static unsigned int read_number(const char *device, const char *name)
{
	char path[PATH_MAX];
	unsigned int number = 0;
	FILE *file;

	snprintf(path, sizeof(path), DEVICES "/%s/%s", device, name);
	file = fopen(path, "r");
	if (file) {
		if (fscanf(file, "%x", &number) != 1)
			number = 0;
		fclose(file);
	}
	return number;
}

/* Allow the device to access memory, or not. */
static void set_bus_master(bool on)
{
	uint16_t command;

	if (pread(config, &command, sizeof(command), PCI_COMMAND) != sizeof(command))
		fail("reading the device's PCI configuration: %s", strerror(errno));
	command |= PCI_COMMAND_MASTER | PCI_COMMAND_NO_INTX;
	if (!on)
		command &= ~PCI_COMMAND_MASTER;
	if (pwrite(config, &command, sizeof(command), PCI_COMMAND) != sizeof(command))
		fail("writing the device's PCI configuration: %s", strerror(errno));
}

static void enable_device(const char *device, const char *what)
{
	char path[PATH_MAX];
	int enable;

	snprintf(path, sizeof(path), DEVICES "/%s/enable", device);
	enable = open(path, O_WRONLY | O_CLOEXEC);
	if (enable < 0 || write(enable, what, 1) != 1)
		fail("%s: %s", path, strerror(errno));
	close(enable);
}

/* Find the device, and map its registers. */
static const char *open_device(void)
{
	static char device[NAME_MAX + 1];
	DIR *devices = opendir(DEVICES);
	char path[PATH_MAX];
	struct dirent *entry;
	int resource;

	while (devices && (entry = readdir(devices)))
		if (read_number(entry->d_name, "vendor") == EDU_VENDOR &&
		    read_number(entry->d_name, "device") == EDU_DEVICE)
			snprintf(device, sizeof(device), "%s", entry->d_name);
	if (!device[0])
		fail("there is no PCI device edu: QEMU has to have -device edu");
	closedir(devices);

	enable_device(device, "1");
	snprintf(path, sizeof(path), DEVICES "/%s/config", device);
	config = open(path, O_RDWR | O_CLOEXEC);
	snprintf(path, sizeof(path), DEVICES "/%s/resource0", device);
	resource = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
	if (config < 0 || resource < 0)
		fail("%s: %s", path, strerror(errno));
	registers = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, resource, 0);
	if (registers == MAP_FAILED)
		fail("mmap of %s: %s", path, strerror(errno));
	close(resource);
	return device;
}

static void transfer(uint64_t source, uint64_t target, size_t count, uint32_t direction)
{
	write_register64(EDU_DMA_SOURCE, source);
	write_register64(EDU_DMA_TARGET, target);
	write_register64(EDU_DMA_COUNT, count);
	write_register64(EDU_DMA_COMMAND, EDU_DMA_START | direction);
	while (read_register(EDU_DMA_COMMAND) & EDU_DMA_START)
		sched_yield();
}

/* Copies between physical addresses, in parts that fit the device's memory. */
static void copy(uint64_t source, uint64_t target, size_t length)
{
	while (length) {
		size_t count = length < EDU_LARGEST ? length : EDU_LARGEST;

		transfer(source, EDU_MEMORY, count, 0);
		transfer(EDU_MEMORY, target, count, EDU_DMA_TO_RAM);
		source += count;
		target += count;
		length -= count;
	}
}

static void copy_between(const struct edu_case *this)
{
	static struct hoard from, to;
	struct buffer *source, *target;
	uint8_t *data;
	char what[96];
	bool same;

	/* Two buffers of one pool, or of two pools */
	take_pool(&from, this->from, BUFFER_SIZE, this->from_flags, 5);
	same = this->from == this->to;
	if (!same)
		take_pool(&to, this->to, BUFFER_SIZE, this->to_flags, 5);
	source = &from.buffers[1];
	target = same ? &from.buffers[3] : &to.buffers[3];
	snprintf(what, sizeof(what), "from %s, %s, to ", block_name(this->from),
		 flags_name(this->from_flags));
	snprintf(what + strlen(what), sizeof(what) - strlen(what), "%s, %s", block_name(this->to),
		 flags_name(this->to_flags));

	/* fill() wrote different bytes to the target than to the source. */
	data = malloc(LENGTH);
	if (!data)
		fail("no memory");
	memcpy(data, source->mapping + SOURCE_OFFSET, LENGTH);
	set_bus_master(true);
	copy(CMEM_getPhys64(source->mapping + SOURCE_OFFSET),
	     CMEM_getPhys64(target->mapping + TARGET_OFFSET), LENGTH);
	set_bus_master(false);

	if (CMEM_cacheInv(target->mapping, target->length))
		fail("CMEM_cacheInv: %s", strerror(errno));
	check(!memcmp(target->mapping + TARGET_OFFSET, data, LENGTH), "edu, %s: %d bytes arrive",
	      what, LENGTH);
	check(filled(target, target->mapping, 0, TARGET_OFFSET) &&
	      filled(target, target->mapping, TARGET_OFFSET + LENGTH, target->length) &&
	      untouched(source) && neighbours_untouched(&from) &&
	      (same || neighbours_untouched(&to)), "edu, %s: and none beside them", what);

	free(data);
	free_pool(&from);
	if (!same)
		free_pool(&to);
	check(in_use(&from, 0) && (same || in_use(&to, 0)),
	      "edu, %s: the pools are full after that", what);
}

int main(void)
{
	const char *device;

	plan(ARRAY_SIZE(cases) * CHECKS + 1);
	if (CMEM_init())
		fail("CMEM_init: %s", strerror(errno));
	device = open_device();
	write_register(EDU_LIVENESS, 0x12345678);
	check((read_register(EDU_ID) & 0xffff) == 0x00ed &&
	      read_register(EDU_LIVENESS) == ~0x12345678U, "edu, its registers are there");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		copy_between(&cases[i]);
	enable_device(device, "0");
	CMEM_exit();
	return verdict();
}

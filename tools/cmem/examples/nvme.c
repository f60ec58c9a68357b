// SPDX-License-Identifier: BSD-3-Clause
/*
 * A user-space driver for NVMe disks, as in SPDK: it drives the disk's controller
 * through the PCI registers. The queues and the data are in CMEM buffers; the
 * controller gets their physical addresses.
 *
 *	cc -o nvme nvme.c $(pkg-config --cflags --libs cmem)
 *	./nvme DEVICE [identify]
 *	./nvme DEVICE read LBA COUNT >FILE
 *	./nvme DEVICE write LBA COUNT <FILE
 *
 * DEVICE is the controller's directory in sysfs. No kernel driver may be bound to it,
 * and no IOMMU may translate for it: the device uses physical addresses.
 *
 * A controller writes to memory on its own. So the program turns it off, and disables its
 * DMA, before it frees a buffer, also after an error and after Ctrl-C. It can't do so
 * after SIGKILL; then the controller may still execute one command at most.
 *
 * "NVM Express" below is the base specification, revision 1.4, at nvmexpress.org.
 */
#define _FILE_OFFSET_BITS 64	/* physical addresses may have more than 32 bits */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ti/cmem.h>
#include <time.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "queues and PCI configuration are little-endian"
#endif

/* Registers (NVM Express, 3.1), in bytes from the start of BAR 0 */
#define CAP		0x00	/* capabilities, 64 bits */
#define CAP_ENTRIES(cap)	(((cap) & 0xffff) + 1)
#define CAP_TIMEOUT_MS(cap)	(((cap) >> 24 & 0xff) * 500)
#define CAP_STRIDE(cap)		(4 << ((cap) >> 32 & 0xf))
#define CAP_NVM_COMMANDS(cap)	((cap) >> 37 & 1)
#define CAP_PAGE_MIN(cap)	(4096 << ((cap) >> 48 & 0xf))
#define INTMS		0x0c	/* interrupt mask */
#define CC		0x14	/* configuration */
#define CC_ENABLE	0x1
#define CC_SHUTDOWN	(1 << 14)
#define CC_ENTRY_SIZES	(6 << 16 | 4 << 20)	/* 1 << 6 and 1 << 4 bytes */
#define CSTS		0x1c	/* status */
#define CSTS_READY	0x1
#define CSTS_FATAL	0x2
#define CSTS_SHUTDOWN	(3 << 2)
#define CSTS_SHUT_DOWN	(2 << 2)
#define AQA		0x24	/* entries of the admin queues */
#define ASQ		0x28	/* address of the admin submission queue, 64 bits */
#define ACQ		0x30	/* address of the admin completion queue, 64 bits */
#define DOORBELLS	0x1000

/* Commands, NVM Express 5 and 6 */
#define ADMIN_CREATE_SQ		0x01
#define ADMIN_CREATE_CQ		0x05
#define ADMIN_IDENTIFY		0x06
#define ADMIN_SET_FEATURES	0x09
#define FEATURE_QUEUES		0x07
#define IDENTIFY_NAMESPACE	0
#define IDENTIFY_CONTROLLER	1
#define NVM_FLUSH		0x00
#define NVM_WRITE		0x01
#define NVM_READ		0x02

/* PCI configuration, in bytes */
#define PCI_COMMAND		4
#define PCI_COMMAND_MASTER	0x0004
#define PCI_COMMAND_NO_INTX	0x0400
#define PCI_CLASS_NVME		0x010802

#define PAGE		4096u	/* for the controller's page lists */
#define NAMESPACE	1
#define ENTRIES		16	/* of each queue */
#define DATA_SIZE	(512u << 10)
#define COMMAND_MS	30000

struct command {
	uint8_t opcode, flags;
	uint16_t id;
	uint32_t namespace;
	uint64_t reserved, metadata;
	uint64_t data[2];	/* PRP entries: a page, and a second one or a page list */
	uint32_t dword10, dword11, dword12, dword13, dword14, dword15;
};

struct completion {
	uint32_t result, reserved;
	uint16_t head, queue;
	uint16_t id, status;	/* bit 0 of the status is the phase */
};

struct buffer {
	void *address;
	uint64_t phys;
};

struct queue {
	struct buffer submissions, completions;
	unsigned int id, tail, head, phase;
};

static struct {
	const char *device;
	int config;		/* its PCI configuration, also locked */
	bool enabled;		/* in sysfs */
	volatile uint8_t *registers;
	size_t registers_size;
	uint64_t cap;
	struct queue admin, io;
	struct buffer data;	/* DATA_SIZE bytes */
	struct buffer pages;	/* addresses of all its pages but the first */
	uint64_t blocks;
	uint32_t block_size;
	uint32_t transfer;	/* maximum bytes per command */
} disk = { .config = -1, .transfer = DATA_SIZE };

/* Both sides poll this all the time; the CPU computes with this */
static CMEM_AllocParams for_queues = {
	.type = CMEM_HEAP, .flags = CMEM_NONCACHED, .alignment = PAGE,
};
static CMEM_AllocParams for_data = {
	.type = CMEM_HEAP, .flags = CMEM_CACHED, .alignment = PAGE,
};

static volatile sig_atomic_t stop;

/* Make read() or write(), blocking or about to block, return: no file, EBADF. */
static void interrupt(int signal_number)
{
	stop = signal_number;
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
}

static int __attribute__((format(printf, 1, 2)))
error(const char *format, ...)
{
	va_list arguments;

	if (stop)
		return -1;	/* the user asked for it and needs no reason */
	fprintf(stderr, "nvme: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\n");
	return -1;
}

/* Access device memory and registers in program order. */
static void barrier(void)
{
#if defined(__aarch64__)
	__asm__ volatile("dsb sy" ::: "memory");
#elif defined(__arm__)
	__asm__ volatile("dsb" ::: "memory");
#else
	__sync_synchronize();
#endif
}

static uint32_t read_register(unsigned int offset)
{
	return *(volatile uint32_t *)(disk.registers + offset);
}

static void write_register(unsigned int offset, uint32_t value)
{
	barrier();
	*(volatile uint32_t *)(disk.registers + offset) = value;
}

static uint64_t read_register64(unsigned int offset)
{
	return read_register(offset) | (uint64_t)read_register(offset + 4) << 32;
}

static void write_register64(unsigned int offset, uint64_t value)
{
	write_register(offset, value);
	write_register(offset + 4, value >> 32);
}

static void ring(const struct queue *queue, bool completions, uint32_t value)
{
	write_register(DOORBELLS + (2 * queue->id + completions) * CAP_STRIDE(disk.cap), value);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* Wait up to the timeout that the controller reports. */
static int wait_for_status(uint32_t mask, uint32_t value)
{
	int64_t end = now_ms() + CAP_TIMEOUT_MS(disk.cap) + 500;

	while ((read_register(CSTS) & mask) != value) {
		if (now_ms() > end)
			return error("status %#x of the controller: of %#x it does not become %#x",
				     read_register(CSTS), mask, value);
		sched_yield();
	}
	return 0;
}

/* Buffers */

static int allocate(struct buffer *buffer, size_t size, CMEM_AllocParams *params)
{
	buffer->address = CMEM_alloc(size, params);
	if (!buffer->address)
		return error("no buffer of %zu bytes in the heap of block 0: %s", size,
			     strerror(errno));
	buffer->phys = CMEM_getPhys(buffer->address);
	return 0;
}

static void release(struct buffer *buffer, CMEM_AllocParams *params)
{
	if (buffer->address)
		CMEM_free(buffer->address, params);
	buffer->address = NULL;
}

static int allocate_queue(struct queue *queue, unsigned int id)
{
	queue->id = id;
	queue->phase = 1;
	if (allocate(&queue->submissions, PAGE, &for_queues) ||
	    allocate(&queue->completions, PAGE, &for_queues))
		return -1;
	/* An old phase would look like an answer. */
	memset(queue->completions.address, 0, PAGE);
	return 0;
}

static int allocate_all(void)
{
	uint64_t *pages;

	if (allocate_queue(&disk.admin, 0) || allocate_queue(&disk.io, 1) ||
	    allocate(&disk.pages, PAGE, &for_queues) || allocate(&disk.data, DATA_SIZE, &for_data))
		return -1;
	pages = disk.pages.address;
	for (unsigned int i = 1; i < DATA_SIZE / PAGE; i++)
		pages[i - 1] = disk.data.phys + i * PAGE;
	return 0;
}

static void release_all(void)
{
	release(&disk.admin.submissions, &for_queues);
	release(&disk.admin.completions, &for_queues);
	release(&disk.io.submissions, &for_queues);
	release(&disk.io.completions, &for_queues);
	release(&disk.pages, &for_queues);
	release(&disk.data, &for_data);
}

/* Commands */

/* Put a command into a queue and wait for its completion. */
static int execute(struct queue *queue, struct command *command)
{
	volatile struct completion *completion =
		(struct completion *)queue->completions.address + queue->head;
	int64_t end = now_ms() + COMMAND_MS;
	uint16_t status;

	if (stop)
		return -1;
	command->id = queue->tail;
	((struct command *)queue->submissions.address)[queue->tail] = *command;
	queue->tail = (queue->tail + 1) % ENTRIES;
	ring(queue, false, queue->tail);

	while (((status = completion->status) & 1) != queue->phase) {
		if (stop)
			return -1;
		if (read_register(CSTS) & CSTS_FATAL)
			return error("the controller has failed: its status is %#x",
				     read_register(CSTS));
		if (now_ms() > end)
			return error("command %#x of queue %u is not done after %d ms",
				     command->opcode, queue->id, COMMAND_MS);
		sched_yield();
	}
	barrier();

	if (++queue->head == ENTRIES) {
		queue->head = 0;
		queue->phase = !queue->phase;
	}
	ring(queue, true, queue->head);
	if (status >> 1 & 0x7ff)
		return error("command %#x of queue %u failed: status code type %u, status code %#x",
			     command->opcode, queue->id, status >> 9 & 7, status >> 1 & 0xff);
	return 0;
}

/* Point a command at the first bytes of the data buffer. */
static void set_data(struct command *command, size_t length)
{
	command->data[0] = disk.data.phys;
	command->data[1] = length > 2 * PAGE ? disk.pages.phys :
			   length > PAGE ? disk.data.phys + PAGE : 0;
}

/* Copy the caller's data into the data buffer. */
static const uint8_t *identify(unsigned int what)
{
	struct command command = {
		.opcode = ADMIN_IDENTIFY, .dword10 = what,
		.namespace = what == IDENTIFY_NAMESPACE ? NAMESPACE : 0,
	};

	set_data(&command, PAGE);
	CMEM_cacheWbInv(disk.data.address, PAGE);
	if (execute(&disk.admin, &command))
		return NULL;
	CMEM_cacheInv(disk.data.address, PAGE);
	return disk.data.address;
}

/* Text in an Identify structure, padded with blanks */
static void print_text(const char *title, const uint8_t *text, int length)
{
	while (length && (text[length - 1] == ' ' || !text[length - 1]))
		length--;
	printf("%-12s%.*s\n", title, length, (const char *)text);
}

static int identify_all(bool print)
{
	const uint8_t *data = identify(IDENTIFY_CONTROLLER);
	uint32_t format;

	if (!data)
		return -1;
	if (print) {
		print_text("model", data + 24, 40);
		print_text("serial", data + 4, 20);
		print_text("firmware", data + 64, 8);
	}
	/* The maximum transfer, as a power of two of pages; 0: no limit */
	if (data[77] && data[77] < 16 && PAGE << data[77] < DATA_SIZE)
		disk.transfer = PAGE << data[77];

	data = identify(IDENTIFY_NAMESPACE);
	if (!data)
		return -1;
	memcpy(&disk.blocks, data, sizeof(disk.blocks));
	memcpy(&format, data + 128 + 4 * (data[26] & 0xf), sizeof(format));
	if (!disk.blocks)
		return error("the disk has no namespace %d", NAMESPACE);
	if (format & 0xffff)
		return error("the disk's blocks have metadata, which this can't handle");
	if ((format >> 16 & 0xff) < 9 || (format >> 16 & 0xff) > 16)
		return error("the disk's blocks have 1 << %u bytes, must be 512 to 65536",
			     format >> 16 & 0xff);
	disk.block_size = 1 << (format >> 16 & 0xff);
	if (print) {
		printf("%-12s%llu blocks of %u bytes\n", "capacity",
		       (unsigned long long)disk.blocks, disk.block_size);
		printf("%-12s%u bytes a command\n", "transfers", disk.transfer);
	}
	return 0;
}

static int create_queues(void)
{
	struct command features = {
		.opcode = ADMIN_SET_FEATURES, .dword10 = FEATURE_QUEUES, .dword11 = 0 /* 1 and 1 */,
	};
	struct command completions = {
		.opcode = ADMIN_CREATE_CQ, .data = { disk.io.completions.phys },
		.dword10 = (ENTRIES - 1) << 16 | disk.io.id, .dword11 = 1 /* contiguous */,
	};
	struct command submissions = {
		.opcode = ADMIN_CREATE_SQ, .data = { disk.io.submissions.phys },
		.dword10 = (ENTRIES - 1) << 16 | disk.io.id,
		.dword11 = disk.io.id << 16 | 1 /* contiguous */,
	};

	return execute(&disk.admin, &features) || execute(&disk.admin, &completions) ||
	       execute(&disk.admin, &submissions) ? -1 : 0;
}

static int transfer(uint8_t opcode, uint64_t lba, uint32_t count)
{
	struct command command = {
		.opcode = opcode, .namespace = NAMESPACE, .dword10 = lba, .dword11 = lba >> 32,
		.dword12 = count - 1,
	};

	set_data(&command, (size_t)count * disk.block_size);
	return execute(&disk.io, &command);
}

static int flush(void)
{
	struct command command = { .opcode = NVM_FLUSH, .namespace = NAMESPACE };

	return execute(&disk.io, &command);
}

/* Read a whole part of the data; it is shorter only at the end of the input. */
static ssize_t read_input(uint8_t *data, size_t length)
{
	size_t done = 0;

	while (done < length && !stop) {
		ssize_t count = read(STDIN_FILENO, data + done, length - done);

		if (!count)
			break;
		if (count < 0 && errno != EINTR)
			return error("reading the standard input: %s", strerror(errno));
		if (count > 0)
			done += count;
	}
	return done;
}

static int write_output(const uint8_t *data, size_t length)
{
	size_t done = 0;

	while (done < length && !stop) {
		ssize_t count = write(STDOUT_FILENO, data + done, length - done);

		if (count < 0 && errno != EINTR)
			return error("writing the standard output: %s", strerror(errno));
		if (count > 0)
			done += count;
	}
	return 0;
}

/* Read or write blocks, as many per command as the disk supports. */
static int move_blocks(uint8_t opcode, uint64_t lba, uint64_t count)
{
	uint32_t limit = disk.transfer / disk.block_size;

	if (count > disk.blocks || lba > disk.blocks - count)
		return error("there are no %llu blocks from block %llu on: the disk has %llu",
			     (unsigned long long)count, (unsigned long long)lba,
			     (unsigned long long)disk.blocks);
	for (uint64_t done = 0; done < count && !stop;) {
		uint32_t part = count - done < limit ? count - done : limit;
		size_t length = (size_t)part * disk.block_size;

		if (opcode == NVM_WRITE) {
			ssize_t got = read_input(disk.data.address, length);

			if (got < 0)
				return -1;
			if ((size_t)got < length)
				return error("the input ends after %llu of %llu bytes; %llu blocks are written",
					     (unsigned long long)(done * disk.block_size + got),
					     (unsigned long long)(count * disk.block_size),
					     (unsigned long long)done);
			/* The disk reads memory, not the CPU's caches. */
			CMEM_cacheWb(disk.data.address, length);
		} else {
			/* No cache line may be written back over the disk's data. */
			CMEM_cacheWbInv(disk.data.address, length);
		}
		if (transfer(opcode, lba + done, part))
			return -1;
		if (opcode == NVM_READ) {
			CMEM_cacheInv(disk.data.address, length);
			if (write_output(disk.data.address, length))
				return -1;
		}
		done += part;
	}
	return opcode == NVM_WRITE ? flush() : 0;
}

/* The device */

static int open_in_sysfs(const char *name, int flags)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", disk.device, name);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		error("%s: %s", path, strerror(errno));
	return fd;
}

static int write_enable(const char *what)
{
	int fd = open_in_sysfs("enable", O_WRONLY), ret = 0;

	if (fd < 0)
		return -1;
	if (write(fd, what, 1) != 1)
		ret = error("%s/enable: %s", disk.device, strerror(errno));
	close(fd);
	return ret;
}

static int set_bus_master(bool on)
{
	uint16_t command;

	if (pread(disk.config, &command, sizeof(command), PCI_COMMAND) != sizeof(command))
		return error("%s/config can't be read: %s", disk.device, strerror(errno));
	command |= PCI_COMMAND_NO_INTX;
	command = on ? command | PCI_COMMAND_MASTER : command & ~PCI_COMMAND_MASTER;
	if (pwrite(disk.config, &command, sizeof(command), PCI_COMMAND) != sizeof(command))
		return error("%s/config can't be written: %s", disk.device, strerror(errno));
	return 0;
}

static const char *last_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Check that no other driver has it, and that it is an NVMe controller. */
static int check_device(void)
{
	char path[PATH_MAX], text[PATH_MAX] = "";
	unsigned int class = 0;
	ssize_t length;
	int fd;

	fd = open_in_sysfs("class", O_RDONLY);
	if (fd < 0)
		return -1;
	if (read(fd, text, sizeof(text) - 1) > 0)
		class = strtoul(text, NULL, 16);
	close(fd);
	if (class != PCI_CLASS_NVME)
		return error("%s is no NVMe controller: its PCI class is 0x%06x, not 0x%06x",
			     disk.device, class, PCI_CLASS_NVME);

	snprintf(path, sizeof(path), "%s/driver", disk.device);
	length = readlink(path, text, sizeof(text) - 1);
	if (length > 0) {
		text[length] = '\0';
		return error("the kernel's driver %s has it: unbind that with echo %s >%s/unbind",
			     last_name(text), last_name(disk.device), path);
	}

	snprintf(path, sizeof(path), "%s/iommu_group/type", disk.device);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		length = read(fd, text, sizeof(text) - 1);
		close(fd);
		if (length > 0 && strncmp(text, "identity", strlen("identity")))
			return error("%s is behind an IOMMU: boot with iommu.passthrough=1",
				     disk.device);
	}
	return 0;
}

static int open_device(void)
{
	struct stat status;
	void *registers;
	int fd;

	if (check_device())
		return -1;
	disk.config = open_in_sysfs("config", O_RDWR);
	if (disk.config < 0)
		return -1;
	if (flock(disk.config, LOCK_EX | LOCK_NB))
		return error("another process drives %s", disk.device);
	if (write_enable("1"))
		return -1;
	disk.enabled = true;

	fd = open_in_sysfs("resource0", O_RDWR | O_SYNC);
	if (fd < 0)
		return -1;
	if (fstat(fd, &status) || status.st_size < DOORBELLS + (int)PAGE) {
		close(fd);
		return error("%s/resource0 is shorter than the registers", disk.device);
	}
	registers = mmap(NULL, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (registers == MAP_FAILED)
		return error("%s/resource0 can't be mapped: %s", disk.device, strerror(errno));
	disk.registers_size = status.st_size;
	disk.registers = registers;
	return 0;
}

/* Before it may access memory, and before buffers are freed */
static int reset(void)
{
	write_register(CC, read_register(CC) & ~CC_ENABLE);
	return wait_for_status(CSTS_READY, 0);
}

static int start(void)
{
	disk.cap = read_register64(CAP);
	if (read_register(CSTS) == UINT32_MAX)
		return error("the controller does not answer");
	if (!CAP_NVM_COMMANDS(disk.cap) || CAP_PAGE_MIN(disk.cap) != PAGE ||
	    CAP_ENTRIES(disk.cap) < ENTRIES ||
	    disk.registers_size < DOORBELLS + 4 * (size_t)CAP_STRIDE(disk.cap))
		return error("the controller lacks NVM commands, pages of %u bytes or queues of %d",
			     PAGE, ENTRIES);
	if (reset() || allocate_all())
		return -1;
	write_register(INTMS, UINT32_MAX);
	write_register(AQA, (ENTRIES - 1) << 16 | (ENTRIES - 1));
	write_register64(ASQ, disk.admin.submissions.phys);
	write_register64(ACQ, disk.admin.completions.phys);
	if (set_bus_master(true))
		return -1;
	write_register(CC, CC_ENTRY_SIZES | CC_ENABLE);
	return wait_for_status(CSTS_READY | CSTS_FATAL, CSTS_READY);
}

/* In any state. Fails if the controller may still access its buffers. */
static int shut_down(void)
{
	int ret = 0;

	if (disk.registers) {
		if (read_register(CSTS) & CSTS_READY) {
			write_register(CC, read_register(CC) | CC_SHUTDOWN);
			wait_for_status(CSTS_SHUTDOWN, CSTS_SHUT_DOWN);
		}
		ret = reset();
		/* This alone also blocks its access to memory. */
		if (!set_bus_master(false))
			ret = 0;
		munmap((void *)disk.registers, disk.registers_size);
	}
	if (disk.enabled)
		write_enable("0");
	return ret;
}

static const char usage[] =
	"usage: nvme DEVICE [identify]\n"
	"       nvme DEVICE read LBA COUNT >FILE\n"
	"       nvme DEVICE write LBA COUNT <FILE\n"
	"\n"
	"Drives an NVMe controller from user space, with its queues and all data in CMEM\n"
	"buffers, which are from the heap of block 0.\n"
	"\n"
	"  DEVICE    its directory, such as /sys/bus/pci/devices/0000:00:04.0\n"
	"  LBA       number of the first block, from 0\n"
	"  COUNT     number of blocks, from 1. How many the disk has, and how many bytes are\n"
	"            in one, identify tells.\n"
	"\n"
	"read writes COUNT blocks to the standard output, write takes them from the standard\n"
	"input, and has flushed them when it ends. Numbers may be in hexadecimal, with 0x.\n"
	"The exit status is 0 if all is done, 1 after an error, 2 for wrong arguments.\n";

static bool parse(const char *text, uint64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 0);
	return !errno && end != text && !*end && *text >= '0' && *text <= '9';
}

static int wrong_arguments(const char *what, const char *argument)
{
	fprintf(stderr, "nvme: %s%s%s%s; nvme --help tells more\n", what, argument ? " '" : "",
		argument ? argument : "", argument ? "'" : "");
	return 2;
}

static void catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGQUIT };
	/* Without SA_RESTART: blocking calls must return. */
	struct sigaction action = { .sa_handler = interrupt };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
	if (signal(SIGHUP, SIG_IGN) != SIG_IGN)	/* nohup wants it ignored */
		sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[2] : "identify";
	uint64_t lba = 0, count = 0;
	int ret;

	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc < 2)
		return wrong_arguments("which DEVICE?", NULL);
	if (strcmp(verb, "identify") && strcmp(verb, "read") && strcmp(verb, "write"))
		return wrong_arguments("neither identify, read nor write:", verb);
	if (argc != (strcmp(verb, "identify") ? 5 : argc > 2 ? 3 : 2))
		return wrong_arguments("wrong number of arguments for", verb);
	if (argc == 5 && !parse(argv[3], &lba))
		return wrong_arguments("LBA is no number of a block:", argv[3]);
	if (argc == 5 && (!parse(argv[4], &count) || !count))
		return wrong_arguments("COUNT is no number of blocks, from 1:", argv[4]);

	disk.device = argv[1];
	catch_signals();
	if (CMEM_init()) {
		error("CMEM_init: %s", strerror(errno));
		return 1;
	}
	ret = open_device() || start() || identify_all(argc != 5);
	if (!ret && argc == 5)
		ret = create_queues() ||
		      move_blocks(*verb == 'w' ? NVM_WRITE : NVM_READ, lba, count);
	if (!shut_down()) {
		release_all();
		CMEM_exit();
	} else {
		/* While this process lives, it keeps its buffers. */
		fprintf(stderr, "nvme: the controller can't be stopped: process %d holds its buffers\n",
			getpid());
		for (;;)
			pause();
	}
	if (!ret && fflush(stdout))
		ret = error("writing the standard output: %s", strerror(errno));
	if (stop) {
		signal(stop, SIG_DFL);
		raise(stop);
	}
	return ret ? 1 : 0;
}

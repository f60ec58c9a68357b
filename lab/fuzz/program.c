// SPDX-License-Identifier: GPL-2.0
/*
 * Programs as bytes: how they are created, and how they run.
 *
 * The head tells how many strands there are. Each is a thread of the first strand's
 * process, a separate process, one of another user, or one that is killed after a while.
 * The first strand alone runs the operations before "start"; all strands run the ones
 * after it at the same time.
 */
#include "fuzz.h"

#include <linux/futex.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

/* Bytes of the head */
enum { HEAD_STRANDS, HEAD_KINDS, HEAD_KILL, HEAD_FLAGS };

/* The kind of a strand: two bits each of HEAD_KINDS */
enum { KIND_THREAD, KIND_PROCESS, KIND_OTHER_USER, KIND_KILLED };

/* Bits of HEAD_FLAGS */
enum {
	FLAG_USER	= 1 << 0,	/* not root */
	FLAG_FEW_FILES	= 1 << 1,
	FLAG_NO_THP	= 1 << 2,
	FLAG_RARE	= 3 << 6,	/* the others count only if both bits are set */
};

#define USER			1000
#define START			0	/* its index in the table of operations */
#define STACK			(256 << 10)

static uint64_t random_state;
__thread struct strand *me;

/* xorshift64*: the same numbers for the same seed, on every machine */
void random_seed(uint64_t seed)
{
	random_state = seed ?: 1;
}

static uint64_t random_next(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545F4914F6CDD1DULL;
}

uint32_t random_below(uint32_t limit)
{
	return (random_next() >> 32) % limit;
}

static uint8_t random_operation(void)
{
	unsigned int total = 0, i, at;

	for (i = 0; i < num_operations; i++)
		total += operations[i].weight;
	at = random_below(total);
	for (i = 0; at >= operations[i].weight; i++)
		at -= operations[i].weight;
	return i;
}

/* Small numbers are more often valid: they name the slot used before. */
static uint8_t random_byte(void)
{
	switch (random_below(4)) {
	case 0:
		return 0;
	case 1:
		return random_below(4);
	case 2:
		return random_below(32);
	default:
		return random_below(256);
	}
}

static void make_record(uint8_t *record)
{
	record[0] = random_operation();
	record[1] = random_below(STRANDS);
	for (unsigned int i = 2; i < RECORD; i++)
		record[i] = random_byte();
}

static void make_head(uint8_t *head)
{
	for (unsigned int i = 0; i < RECORD; i++)
		head[i] = random_below(2) ? random_below(256) : 0;
}

size_t make_program(uint8_t *program)
{
	unsigned int records = 4 + random_below(MAX_RECORDS - 4);

	make_head(program);
	for (unsigned int i = 1; i <= records; i++)
		make_record(program + i * RECORD);
	return (1 + records) * RECORD;
}

/**
 * mutate - change a program a little
 * @program: the program, with room for MAX_PROGRAM bytes
 * @size: its size
 * @donor: another program, as a source of parts
 * @donor_size: its size
 *
 * Return: the new size.
 */
size_t mutate(uint8_t *program, size_t size, const uint8_t *donor, size_t donor_size)
{
	unsigned int changes = 1 + random_below(6);

	while (changes--) {
		unsigned int records = size / RECORD - 1, room = MAX_RECORDS - records;
		unsigned int at = 1 + random_below(records + 1);
		uint8_t *record = program + at * RECORD;
		unsigned int from, count;

		switch (random_below(10)) {
		case 0 ... 2:	/* insert a record */
			if (!room)
				break;
			memmove(record + RECORD, record, size - at * RECORD);
			make_record(record);
			size += RECORD;
			break;
		case 3:		/* delete some */
			if (at > records)
				break;
			count = 1 + random_below(random_below(4) ? 1 : records + 1 - at);
			memmove(record, record + count * RECORD, size - (at + count) * RECORD);
			size -= count * RECORD;
			break;
		case 4 ... 6:	/* change an argument, or the strand */
			if (at > records)
				break;
			record[1 + random_below(RECORD - 1)] = random_byte();
			break;
		case 7:		/* a part of the donor program */
			if (!room || donor_size < 2 * RECORD)
				break;
			from = 1 + random_below(donor_size / RECORD - 1);
			count = 1 + random_below(donor_size / RECORD - from);
			if (count > room)
				count = room;
			memmove(record + count * RECORD, record, size - at * RECORD);
			memcpy(record, donor + from * RECORD, count * RECORD);
			size += count * RECORD;
			break;
		case 8:		/* the head */
			program[random_below(4)] = random_below(256);
			break;
		case 9:		/* repeat a part */
			if (!room || at > records)
				break;
			memmove(record + RECORD, record, size - at * RECORD);
			size += RECORD;
			break;
		}
	}
	if (size < 2 * RECORD) {
		make_record(program + RECORD);
		size = 2 * RECORD;
	}
	return size;
}

/* The bytes of a record after the first, without zeroes at its end */
static void print_bytes(FILE *out, const uint8_t *bytes, unsigned int count)
{
	while (count && !bytes[count - 1])
		count--;
	for (unsigned int i = 0; i < count; i++)
		fprintf(out, " %u", bytes[i]);
	fprintf(out, "\n");
}

/**
 * print_program - write a program in the format of read_program()
 */
void print_program(FILE *out, const uint8_t *program, size_t size)
{
	fprintf(out, "program");
	print_bytes(out, program, 4);
	for (size_t at = RECORD; at + RECORD <= size; at += RECORD) {
		fprintf(out, "%s", operations[program[at] % num_operations].name);
		print_bytes(out, program + at + 1, RECORD - 1);
	}
}

static bool read_bytes(char *text, uint8_t *bytes, unsigned int count)
{
	char *word;

	memset(bytes, 0, count);
	while ((word = strtok_r(text, " \t\n", &text))) {
		char *end;
		unsigned long value = strtoul(word, &end, 0);

		if (!count-- || *end || value > 255)
			return false;
		*bytes++ = value;
	}
	return true;
}

/**
 * read_program - read the next program of a text
 * @in: lines: "program" and the bytes of the head; then for each record the operation's
 *	name, the strand, and the arguments. Omitted bytes are zero; # begins a comment.
 * @program: buffer for the program
 *
 * Return: its size, 0 at the end.
 */
size_t read_program(FILE *in, uint8_t *program)
{
	size_t size = 0;
	char line[200];
	long before;

	for (before = ftell(in); fgets(line, sizeof(line), in); before = ftell(in)) {
		char *rest = line, *name;
		unsigned int number = 0;

		line[strcspn(line, "#\n")] = 0;
		name = strtok_r(rest, " \t", &rest);
		if (!name)
			continue;
		if (!strcmp(name, "program")) {
			if (size) {
				fseek(in, before, SEEK_SET);
				break;
			}
			size = RECORD;
			memset(program, 0, RECORD);
			if (read_bytes(rest, program, 4))
				continue;
		}
		while (number < num_operations && strcmp(name, operations[number].name))
			number++;
		if (number == num_operations || !size || size == MAX_PROGRAM ||
		    !read_bytes(rest, program + size + 1, RECORD - 1)) {
			fprintf(stderr, "fuzz: this is no line of a program: %s ...\n", name);
			exit(EXIT_FAILURE);
		}
		program[size] = number;
		size += RECORD;
	}
	return size;
}

bool program_changes_blocks(const uint8_t *program, size_t size)
{
	for (size_t at = RECORD; at + RECORD <= size; at += RECORD)
		if (!strncmp(operations[program[at] % num_operations].name, "block_", 6))
			return true;
	return false;
}

/* An error that no program may cause */
void wrong(const char *format, ...)
{
	va_list arguments;

	if (shared->wrong[0])
		return;
	va_start(arguments, format);
	vsnprintf(shared->wrong, sizeof(shared->wrong), format, arguments);
	va_end(arguments);
}

void trace(const char *format, ...)
{
	char line[400];
	int length;
	va_list arguments;

	length = snprintf(line, sizeof(line), "    %u: ", me ? me->number : 0);
	va_start(arguments, format);
	length += vsnprintf(line + length, sizeof(line) - length - 1, format, arguments);
	va_end(arguments);
	if (length > (int)sizeof(line) - 2)
		length = sizeof(line) - 2;
	line[length++] = '\n';
	if (write(STDOUT_FILENO, line, length) != length)
		return;
}

static void on_fault(int signal)
{
	if (me && me->fragile)
		siglongjmp(me->escape, 1);
	_exit(100 + signal);
}

/* Make the nth allocation from now on fail; 0: none */
void arm(struct strand *strand, unsigned int nth)
{
	char text[12];
	int length = snprintf(text, sizeof(text), "%u", nth);

	if (nth && strand->nth_fd < 0)
		strand->nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (strand->nth_fd >= 0 && pwrite(strand->nth_fd, text, length, 0) < 0)
		return;
}

static void run_record(struct strand *strand, const uint8_t *record)
{
	unsigned int number = record[0] % num_operations;
	const struct operation *operation = &operations[number];
	unsigned int repeat = strand->repeat ?: 1, nth = strand->fail_nth;
	struct timespec begin, end;

	strand->repeat = strand->fail_nth = 0;
	if (tracing)
		trace("%s(%u, %u, %u, %u, %u, %u)%s", operation->name, record[2], record[3],
		      record[4], record[5], record[6], record[7], nth ? " with faults" : "");
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (strand->iteration = 0; strand->iteration < repeat; strand->iteration++) {
		long ret;

		/* In each iteration the next allocation fails. */
		if (nth)
			arm(strand, nth + strand->iteration);
		ret = operation->run(strand, record + 2);
		if (nth)
			arm(strand, 0);
		if (ret >= 0)
			ret = ret ? 31 : 0;
		else
			ret = -ret > 29 ? -ret % 30 : -ret;
		__atomic_or_fetch(&shared->scores[number], 1u << ret, __ATOMIC_RELAXED);
	}
	strand->iteration = 0;
	clock_gettime(CLOCK_MONOTONIC, &end);
	__atomic_add_fetch(&shared->nanoseconds[number], (end.tv_sec - begin.tv_sec) * 1000000000LL +
			   end.tv_nsec - begin.tv_nsec, __ATOMIC_RELAXED);
	__atomic_add_fetch(&shared->counts[number], repeat, __ATOMIC_RELAXED);
}

static struct run {
	const uint8_t *program;
	size_t size, start;
	unsigned int strands;
	struct strand strand[STRANDS];
	struct process process;
} run;

static void disarm(struct strand *strand)
{
	if (strand->nth_fd >= 0)
		close(strand->nth_fd);
	strand->nth_fd = -1;
}

/* Sleep, so that late strands get the CPU; but not for long, if one has died. */
static void wait_for_all(unsigned int *count, unsigned int wanted)
{
	struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };
	unsigned int seen = __atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);

	if (seen >= wanted)
		syscall(SYS_futex, count, FUTEX_WAKE, STRANDS, NULL, NULL, 0);
	for (int i = 0; i < 4 && seen < wanted; i++) {
		syscall(SYS_futex, count, FUTEX_WAIT, seen, &pause, NULL, 0);
		seen = __atomic_load_n(count, __ATOMIC_SEQ_CST);
	}
}

static void *run_strand(void *arg)
{
	struct strand *strand = arg;

	me = strand;
	coverage_begin(strand->number);
	wait_for_all(&shared->started, run.strands);
	for (size_t at = run.start; at + RECORD <= run.size; at += RECORD)
		if (run.program[at + 1] % run.strands == strand->number)
			run_record(strand, run.program + at);
	coverage_end(strand->number);
	disarm(strand);
	__atomic_add_fetch(&shared->ended, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

struct killer {
	pid_t process;
	unsigned int after;
};

/* The threads of this process do not wait for it. */
static void *run_killer(void *arg)
{
	const struct killer *killer = arg;
	struct timespec pause = {
		.tv_nsec = killer->after < 128 ? killer->after * 40000 : (killer->after - 127) * 2000000,
	};

	nanosleep(&pause, NULL);
	kill(killer->process, SIGKILL);
	return NULL;
}

static void become_user(void)
{
	if (setgroups(0, NULL) || setresgid(USER, USER, USER) || setresuid(USER, USER, USER))
		_exit(98);
	/* Otherwise root owns its files in /proc. */
	prctl(PR_SET_DUMPABLE, 1);
}

static void limit(int resource, unsigned long value)
{
	struct rlimit limits = { value, value };

	setrlimit(resource, &limits);
}

/* Remains of the last program */
static void clear_process(struct process *process)
{
	for (unsigned int kind = 0; kind < FILE_KINDS; kind++)
		for (unsigned int i = 0; i < FILES; i++) {
			if (process->files[kind][i] > 0)
				close(process->files[kind][i]);
			process->files[kind][i] = -1;
		}
	for (unsigned int i = 0; i < 2; i++) {
		if (process->sockets[i] > 0)
			close(process->sockets[i]);
		if (process->pipe[i] > 0)
			close(process->pipe[i]);
		process->sockets[i] = process->pipe[i] = -1;
	}
	munmap((void *)ARENA, MAPS * WINDOW);
	memset(process->maps, 0, sizeof(process->maps));
	memset(process->next, 0, sizeof(process->next));
	process->next_map = 0;
}

static unsigned int head_flags(const uint8_t *program)
{
	uint8_t flags = program[HEAD_FLAGS];

	return (flags & FLAG_RARE) == FLAG_RARE ? flags : 0;
}

/**
 * program_wants_process - tell if no other program can run in the same process
 */
bool program_wants_process(const uint8_t *program)
{
	return head_flags(program);
}

/**
 * run_program - run the program in shared memory
 */
void run_program(void)
{
	struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
	const uint8_t *program = shared->program;
	unsigned int flags = head_flags(program);
	size_t at, size = shared->size;
	pthread_t threads[STRANDS], killer_threads[STRANDS];
	pid_t processes[STRANDS] = { 0 };
	bool is_thread[STRANDS] = { false }, is_killed[STRANDS] = { false };
	struct killer killers[STRANDS];
	pthread_attr_t attributes;
	char name[16];

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	limit(RLIMIT_CORE, 0);
	clear_process(&run.process);
	snprintf(name, sizeof(name), "fuzz/%llu", (unsigned long long)shared->number);
	prctl(PR_SET_NAME, name);
	prctl(PR_SET_THP_DISABLE, flags & FLAG_NO_THP, 0, 0, 0);

	run.program = program;
	run.size = size;
	run.start = RECORD;
	run.strands = 1 + program[HEAD_STRANDS] % STRANDS;
	for (unsigned int i = 0; i < STRANDS; i++)
		run.strand[i] = (struct strand){
			.number = i, .process = &run.process, .nth_fd = -1, .strands = run.strands,
		};
	if (flags & FLAG_FEW_FILES)
		limit(RLIMIT_NOFILE, 20);
	if (flags & FLAG_USER)
		become_user();

	/* The first part */
	for (at = RECORD; at + RECORD <= size; at += RECORD)
		if (program[at] % num_operations == START)
			break;
	if (at + RECORD <= size) {
		run.start = at;
		me = &run.strand[0];
		coverage_begin(0);
		for (at = RECORD; at < run.start; at += RECORD)
			run_record(me, program + at);
		coverage_end(0);
		disarm(me);
	}

	/* Processes before threads: do not fork a multi-threaded process. */
	for (unsigned int i = 1; i < run.strands; i++) {
		unsigned int kind = program[HEAD_KINDS] >> (2 * i) & 3;

		if (kind == KIND_THREAD)
			continue;
		sockets(&run.strand[0]);
		processes[i] = fork();
		if (processes[i] > 0)
			shared->processes[i] = processes[i];
		if (processes[i])
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (kind == KIND_OTHER_USER)
			become_user();
		run_strand(&run.strand[i]);
		_exit(0);
	}
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	for (unsigned int i = 1; i < run.strands; i++) {
		if (!processes[i]) {
			is_thread[i] = !pthread_create(&threads[i], &attributes, run_strand,
						       &run.strand[i]);
		} else if (processes[i] > 0 &&
			   (program[HEAD_KINDS] >> (2 * i) & 3) == KIND_KILLED) {
			killers[i] = (struct killer){ processes[i], program[HEAD_KILL] };
			is_killed[i] = !pthread_create(&killer_threads[i], &attributes, run_killer,
						       &killers[i]);
		}
	}
	run_strand(&run.strand[0]);
	for (unsigned int i = 1; i < run.strands; i++) {
		if (is_thread[i])
			pthread_join(threads[i], NULL);
		if (processes[i] <= 0)
			continue;
		/* The pid is not reused until it is reaped. */
		if (is_killed[i]) {
			waitid(P_PID, processes[i], &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
			pthread_cancel(killer_threads[i]);
			pthread_join(killer_threads[i], NULL);
		}
		waitpid(processes[i], NULL, 0);
	}
	me = NULL;
	/* The process drops everything at its end: this is not part of the program. */
	clear_process(&run.process);
}

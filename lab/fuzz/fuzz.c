// SPDX-License-Identifier: GPL-2.0
/*
 * A fuzzer for CMEM: it runs programs (program.c) of operations (operations.c), and
 * records with KCOV which code of the driver and of the DMA-BUF core they reach. It keeps
 * programs that reach new code, and mutates them.
 *
 *	fuzz [options] [file...]
 *
 *	--calls N	stop after so many operations
 *	--seconds N	run at most so long
 *	--seed N	of the random numbers
 *	--port FILE	output for each program before it runs, and for findings
 *	--replay	only run the programs of the files, and report on them
 *	--times N	with --replay: how often
 *	--print		only print them
 *	--corpus	at the end, minimize the corpus
 *
 * The files contain programs as text. The port gets records: a letter, the length in four
 * bytes, and text: P a program about to run; N a program that did something new; K
 * addresses of code reached since the last time; R the number of calls and programs; C a
 * program of the minimized corpus. A program has a number, which is also in the name of
 * its processes: the kernel's log shows fuzz/<number>.
 *
 * Exits with 1 if memory is lost, if memory has wrong contents, or if a program does not
 * end. The kernel's log reports all other errors.
 */
#include "fuzz.h"

#include <linux/kcov.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

/* The kernel's word size, also for a 32-bit program */
#define KCOV_INIT		_IOC(_IOC_READ, 'c', 1, 8)
#define PCS			(1 << 16)
#define FEATURES		(1 << 18)
#define CORPUS			20000
#define PATIENCE_S		300	/* for a program: TCG is slow, KASAN and lockdep are slower */
#define RESTORE_EACH		200	/* programs */
#define WORKER_PROGRAMS		50	/* in one process */
#define REPORT_S		10
#define QUEUE			16	/* programs reported to the host at once */

struct input {
	uint16_t size;
	uint16_t chosen;
	uint8_t bytes[];
};

struct shared *shared;
bool tracing;

static int kcov[STRANDS] = { -1, -1, -1, -1 };
static uint64_t *covered[STRANDS];
static int port = -1;

static uint64_t pcs[PCS], new_pcs[PCS / 2];
static unsigned int num_pcs, num_new_pcs;
static uint8_t features[FEATURES / 8];
static unsigned int num_features;
static struct input *corpus[CORPUS];
static unsigned int corpus_size;
static uint64_t calls, programs;
static struct {
	size_t size;
	uint8_t program[MAX_PROGRAM];
} queue[QUEUE];
static uint8_t known_scores[256][4];
static uint64_t nanoseconds[256], counts[256];
static double restoring;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void __attribute__((noreturn)) fail(const char *what)
{
	printf("fuzz: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

/* Records on the port */

/*
 * Use as few writes as possible: each waits for the host. If the next record finds no
 * room, the current one is sent with those before it.
 */
static char records[24 << 10];
static size_t records_length;

static void flush_records(void)
{
	size_t at = 0;

	while (at < records_length) {
		ssize_t wrote = write(port, records + at, records_length - at);

		if (wrote <= 0)
			fail("the port");
		at += wrote;
	}
	records_length = 0;
}

static void put_record(char type, const char *text, size_t length)
{
	uint32_t word = length;

	if (port < 0)
		return;
	if (records_length + 5 + length > sizeof(records))
		flush_records();
	records[records_length++] = type;
	memcpy(records + records_length, &word, sizeof(word));
	records_length += sizeof(word);
	while (length) {
		size_t part = sizeof(records) - records_length;

		if (part > length)
			part = length;
		memcpy(records + records_length, text, part);
		records_length += part;
		text += part;
		length -= part;
		if (length)
			flush_records();
	}
}

static void put_program(char type, uint64_t number, const uint8_t *program, size_t size)
{
	char *text;
	size_t length;
	FILE *out;

	if (port < 0)
		return;
	out = open_memstream(&text, &length);
	if (number)
		fprintf(out, "# %" PRIu64 "\n", number);
	print_program(out, program, size);
	fclose(out);
	put_record(type, text, length);
	free(text);
}

/* Coverage */

static void coverage_init(void)
{
	for (unsigned int i = 0; i < STRANDS; i++) {
		kcov[i] = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
		if (kcov[i] < 0) {
			printf("fuzz: no KCOV: without it there is nothing but chance\n");
			return;
		}
		if (ioctl(kcov[i], KCOV_INIT, KCOV_WORDS))
			fail("KCOV_INIT_TRACE");
		covered[i] = mmap(NULL, KCOV_WORDS * sizeof(uint64_t), PROT_READ | PROT_WRITE,
				  MAP_SHARED, kcov[i], 0);
		if (covered[i] == MAP_FAILED)
			fail("mapping KCOV's memory");
	}
}

void coverage_begin(unsigned int strand)
{
	if (kcov[strand] >= 0)
		ioctl(kcov[strand], KCOV_ENABLE, KCOV_TRACE_PC);
}

void coverage_end(unsigned int strand)
{
	if (kcov[strand] >= 0)
		ioctl(kcov[strand], KCOV_DISABLE, 0);
}

static bool add_pc(uint64_t pc)
{
	uint32_t slot = (pc * 0x9E3779B97F4A7C15ULL) >> 48;

	while (pcs[slot % PCS]) {
		if (pcs[slot++ % PCS] == pc)
			return false;
	}
	if (num_pcs == PCS / 2)
		return false;
	pcs[slot % PCS] = pc;
	new_pcs[num_pcs++] = pc;
	return true;
}

static bool add_feature(uint64_t feature)
{
	uint32_t bit = (feature * 0x9E3779B97F4A7C15ULL) >> 46;

	if (features[bit / 8] & 1 << bit % 8)
		return false;
	features[bit / 8] |= 1 << bit % 8;
	num_features++;
	return true;
}

/*
 * Whether the program that just ended did something new: reached new code, or reached
 * code after other code than before; or an operation ended in another way.
 */
static bool collect(void)
{
	bool new = false;

	for (unsigned int i = 0; i < STRANDS && covered[i]; i++) {
		uint64_t count = covered[i][0], last = 0;

		if (count > KCOV_WORDS - 1)
			count = KCOV_WORDS - 1;
		for (uint64_t at = 1; at <= count; at++) {
			uint64_t pc = covered[i][at];

			if (add_pc(pc))
				new = true;
			if (add_feature(pc * 31 + last))
				new = true;
			last = pc;
		}
	}
	for (unsigned int i = 0; i < num_operations; i++) {
		uint32_t before;

		memcpy(&before, known_scores[i], sizeof(before));
		if (shared->scores[i] & ~before) {
			before |= shared->scores[i];
			memcpy(known_scores[i], &before, sizeof(before));
			new = true;
		}
	}
	return new;
}

/* Running */

static void hangs(void)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY);

	printf("fuzz: a program does not end:\n");
	print_program(stdout, shared->program, shared->size);
	fflush(stdout);
	/* Blocked tasks, with their stacks, for the log */
	if (fd >= 0 && write(fd, "w", 1) != 1)
		printf("fuzz: and no SysRq\n");
	sleep(2);
	exit(EXIT_FAILURE);
}

/*
 * The worker: a process that runs some dozens of programs on request. It reports the end
 * of each on the other pipe.
 */
static pid_t worker;
static int to_worker = -1, from_worker = -1;
static unsigned int worker_programs;

static void end_worker(void)
{
	double since = now();

	if (!worker)
		return;
	close(to_worker);
	close(from_worker);
	kill(-worker, SIGKILL);
	/* Also reap its programs' remaining processes: they are our children now. */
	while (waitpid(-1, NULL, WNOHANG) >= 0 || errno != ECHILD) {
		usleep(1000);
		if (now() - since > PATIENCE_S)
			hangs();
	}
	worker = 0;
}

static void start_worker(void)
{
	int there[2], back[2];
	char byte;

	if (pipe2(there, O_CLOEXEC) || pipe2(back, O_CLOEXEC))
		fail("a pipe");
	fflush(stdout);
	worker = fork();
	if (worker < 0)
		fail("fork");
	if (!worker) {
		setpgid(0, 0);
		close(there[1]);
		close(back[0]);
		while (read(there[0], &byte, 1) == 1) {
			run_program();
			if (write(back[1], &byte, 1) != 1)
				break;
		}
		_exit(0);
	}
	setpgid(worker, worker);
	close(there[0]);
	close(back[1]);
	to_worker = there[1];
	from_worker = back[0];
	worker_programs = 0;
}

static void run(const uint8_t *program, size_t size)
{
	struct pollfd poll_fd;
	char byte = 0;

	if (worker && program_wants_process(program))
		end_worker();
	if (!worker)
		start_worker();
	memset(shared, 0, offsetof(struct shared, program));
	memcpy(shared->program, program, size);
	shared->size = size;
	shared->number = programs + 1;
	for (unsigned int i = 0; i < STRANDS; i++)
		if (covered[i])
			covered[i][0] = 0;
	if (write(to_worker, &byte, 1) != 1)
		fail("the worker");
	poll_fd = (struct pollfd){ from_worker, POLLIN, 0 };
	if (!poll(&poll_fd, 1, PATIENCE_S * 1000)) {
		printf("fuzz: a program takes long:\n");
		print_program(stdout, program, size);
		end_worker();
	} else if (read(from_worker, &byte, 1) != 1 || program_wants_process(program) ||
		   ++worker_programs == WORKER_PROGRAMS) {
		end_worker();
	}
	calls += shared->calls;
	programs++;
	for (unsigned int i = 0; i < num_operations; i++) {
		nanoseconds[i] += shared->nanoseconds[i];
		counts[i] += shared->counts[i];
	}
	if (shared->wrong[0]) {
		printf("not ok - %s:\n", shared->wrong);
		print_program(stdout, program, size);
		exit(EXIT_FAILURE);
	}
}

/* Tells the host first. */
static void put_and_run(const uint8_t *program, size_t size)
{
	put_program('P', programs + 1, program, size);
	flush_records();
	run(program, size);
}

static void keep(const uint8_t *program, size_t size)
{
	struct input *input;

	if (corpus_size == CORPUS)
		return;
	input = malloc(sizeof(*input) + size);
	input->size = size;
	input->chosen = 0;
	memcpy(input->bytes, program, size);
	corpus[corpus_size++] = input;
	put_program('N', 0, program, size);
}

/* Mostly choose the least chosen programs. */
static struct input *choose(void)
{
	struct input *best = corpus[random_below(corpus_size)];

	for (int i = 0; i < 3; i++) {
		struct input *input = corpus[random_below(corpus_size)];

		if (input->chosen < best->chosen)
			best = input;
	}
	best->chosen++;
	return best;
}

static void restore(void)
{
	double since = now();
	char what[100];
	bool good;

	/* Nothing remains between two programs. */
	good = blocks_restore(what, sizeof(what), 2);
	if (!good) {
		/*
		 * If an ioctl of DMA-BUF heaps could not return the number of the file
		 * that it opened, the file stays open in the process.
		 */
		end_worker();
		good = blocks_restore(what, sizeof(what), 3000);
	}
	restoring += now() - since;
	if (good)
		return;
	printf("not ok - after %" PRIu64 " programs: %s\n", programs, what);
	exit(EXIT_FAILURE);
}

/* Send this to the host even if the guest does not reach its end */
static void put_progress(void)
{
	char *text;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	for (; num_new_pcs < num_pcs; num_new_pcs++)
		fprintf(out, "%" PRIx64 "\n", new_pcs[num_new_pcs]);
	fclose(out);
	put_record('K', text, length);
	free(text);
	out = open_memstream(&text, &length);
	fprintf(out, "%" PRIu64 " %" PRIu64 "\n", calls, programs);
	fclose(out);
	put_record('R', text, length);
	free(text);
}

static void report(double since)
{
	put_progress();
	printf("# %" PRIu64 " calls, %" PRIu64 " programs, %u places of code, %u ways, %u in the corpus, %.0f calls/s\n",
	       calls, programs, num_pcs, num_features, corpus_size, calls / (now() - since));
	fflush(stdout);
}

/*
 * A minimal set of programs that reaches all code: first those that reach most code that
 * no other reached. Code reached once by chance and not again is left out.
 */
static void put_corpus(void)
{
	uint64_t **reached = calloc(corpus_size, sizeof(*reached));
	unsigned int *counts = calloc(corpus_size, sizeof(*counts)), kept = 0;

	for (unsigned int i = 0; i < corpus_size; i++) {
		static uint64_t list[PCS];
		unsigned int count = 0;

		memset(pcs, 0, sizeof(pcs));
		num_pcs = 0;
		put_and_run(corpus[i]->bytes, corpus[i]->size);
		for (unsigned int s = 0; s < STRANDS && covered[s]; s++)
			for (uint64_t at = 1; at <= covered[s][0] && at < KCOV_WORDS; at++)
				if (count < PCS && add_pc(covered[s][at]))
					list[count++] = covered[s][at];
		reached[i] = malloc(count * sizeof(uint64_t));
		memcpy(reached[i], list, count * sizeof(uint64_t));
		counts[i] = count;
		if (program_changes_blocks(corpus[i]->bytes, corpus[i]->size))
			restore();
	}
	memset(pcs, 0, sizeof(pcs));
	num_pcs = 0;
	for (;;) {
		unsigned int best = 0;
		double most = 0;

		for (unsigned int i = 0; i < corpus_size; i++) {
			unsigned int new = 0;

			for (unsigned int j = 0; j < counts[i]; j++) {
				uint32_t slot = (reached[i][j] * 0x9E3779B97F4A7C15ULL) >> 48;

				while (pcs[slot % PCS] && pcs[slot % PCS] != reached[i][j])
					slot++;
				new += !pcs[slot % PCS];
			}
			if (new / (corpus[i]->size + 100.0) > most) {
				most = new / (corpus[i]->size + 100.0);
				best = i;
			}
		}
		if (!most)
			break;
		put_program('C', 0, corpus[best]->bytes, corpus[best]->size);
		for (unsigned int j = 0; j < counts[best]; j++)
			add_pc(reached[best][j]);
		kept++;
	}
	printf("# a corpus of %u programs reaches %u places of code again\n", kept, num_pcs);
}

/* The time of each operation, to find room for more calls */
static void report_operations(double since)
{
	uint64_t sum = 0;

	printf("# %10s %8s %8s  operation\n", "calls", "ms", "us each");
	for (unsigned int i = 0; i < num_operations; i++) {
		sum += nanoseconds[i];
		if (counts[i])
			printf("# %10" PRIu64 " %8" PRIu64 " %8" PRIu64 "  %s\n", counts[i],
			       nanoseconds[i] / 1000000, nanoseconds[i] / counts[i] / 1000,
			       operations[i].name);
	}
	printf("# %.0f s in operations of all strands, and %.0f s to restore blocks, of %.0f s\n",
	       sum / 1e9, restoring, now() - since);
}

static size_t next_program(uint8_t *program)
{
	const struct input *input, *donor;

	if (!random_below(20))
		return make_program(program);
	input = choose();
	memcpy(program, input->bytes, input->size);
	donor = corpus[random_below(corpus_size)];
	return mutate(program, input->size, donor->bytes, donor->size);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "calls", required_argument, NULL, 'c' },
		{ "seconds", required_argument, NULL, 't' },
		{ "seed", required_argument, NULL, 's' },
		{ "port", required_argument, NULL, 'p' },
		{ "times", required_argument, NULL, 'n' },
		{ "replay", no_argument, NULL, 'r' },
		{ "print", no_argument, NULL, 'P' },
		{ "corpus", no_argument, NULL, 'C' },
		{ 0 },
	};
	static uint8_t program[MAX_PROGRAM];
	uint64_t wanted = 10000, seconds = 0, seed = 1, times = 1;
	bool replay = false, print = false, corpus_wanted = false;
	double start, reported;
	size_t size;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			wanted = strtoull(optarg, NULL, 0);
			break;
		case 't':
			seconds = strtoull(optarg, NULL, 0);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'p':
			port = open(optarg, O_RDWR | O_CLOEXEC);
			if (port < 0)
				fail(optarg);
			break;
		case 'n':
			times = strtoull(optarg, NULL, 0);
			break;
		case 'r':
			replay = true;
			break;
		case 'P':
			print = true;
			break;
		case 'C':
			corpus_wanted = true;
			break;
		default:
			return EXIT_FAILURE;
		}
	}

	if (!print) {
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (shared == MAP_FAILED)
			fail("shared memory");
		blocks_remember();
		if (!blocks_count())
			fail("no block of CMEM");
		coverage_init();
		signal(SIGPIPE, SIG_IGN);
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	}
	random_seed(seed);
	tracing = replay;
	start = reported = now();
	restore();

	for (int i = optind; i < argc; i++) {
		FILE *in = fopen(argv[i], "re");

		if (!in)
			fail(argv[i]);
		while ((size = read_program(in, program))) {
			if (print || replay)
				print_program(stdout, program, size);
			if (print)
				continue;
			for (uint64_t n = 0; n < (replay ? times : 1); n++)
				put_and_run(program, size);
			if (collect() && !replay)
				keep(program, size);
			if (program_changes_blocks(program, size))
				restore();
		}
		fclose(in);
	}
	if (print)
		return EXIT_SUCCESS;
	if (!replay) {
		report(start);
		while (corpus_size < 10) {
			size = make_program(program);
			put_and_run(program, size);
			collect();
			keep(program, size);
		}
	}

	while (!replay && calls < wanted && (!seconds || now() - start < seconds)) {
		/* Some at a time, to contact the host once for all of them */
		for (unsigned int i = 0; i < QUEUE; i++) {
			queue[i].size = next_program(queue[i].program);
			put_program('P', programs + 1 + i, queue[i].program, queue[i].size);
		}
		flush_records();
		for (unsigned int i = 0; i < QUEUE; i++) {
			run(queue[i].program, queue[i].size);
			if (collect())
				keep(queue[i].program, queue[i].size);
			if (program_changes_blocks(queue[i].program, queue[i].size) ||
			    programs % RESTORE_EACH == 0)
				restore();
		}
		if (now() - reported >= REPORT_S) {
			reported = now();
			report(start);
		}
	}
	restore();
	report(start);
	report_operations(start);
	if (corpus_wanted)
		put_corpus();
	flush_records();
	return EXIT_SUCCESS;
}

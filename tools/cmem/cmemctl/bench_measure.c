// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl bench: times operations with CLOCK_MONOTONIC_RAW, and counts the cycles and
 * instructions of this thread with perf_event_open(), where that is permitted.
 *
 * A sample is one operation, or as many as it takes for the clock to tell within 2 %. The
 * cost of reading the clock is subtracted from each sample. The counters are read only
 * before and after a run of samples, because reading them is a system call.
 */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/perf_event.h>

#include "bench.h"

/* So many times what the clock itself may be wrong by */
#define WORTH_TIMING	50
#define MOST_OPERATIONS	10000
/* However long they take: fewer have no median */
#define FEWEST_SAMPLES	3
/* Fewer have no 99th percentile: it would be the worst one. */
#define FEWEST_OF_100	100
#define CALIBRATION	1000
#define EMPTY_RUNS	101
#define EMPTY_SAMPLES	20

volatile sig_atomic_t bench_stopped;

enum counter { CYCLES, INSTRUCTIONS, NUM_COUNTERS };

static struct {
	int fd[NUM_COUNTERS];
	int error;
	long cpu;			/* the only one that is counted on, or -1 */
	bool user_only;
	bool missed;			/* they did not count all the time */
	double of_run[NUM_COUNTERS];	/* the cost of a run, and of a sample in it */
	double of_sample[NUM_COUNTERS];
} counters;

static struct timer timer;

/* What a counter has counted, and the nanoseconds that it was on and did count */
struct reading {
	uint64_t value;
	uint64_t enabled;
	uint64_t running;
};

/* @ready: how many operations are prepared, if they have to be */
struct sums {
	double counted[NUM_COUNTERS];
	double faults;
	unsigned int runs;
	unsigned int samples;
	unsigned int ready;
};

static double sample[MAX_SAMPLES];

uint64_t measure_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

void measure_sleep(unsigned int ms)
{
	const struct timespec pause = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&pause, NULL);
}

/* The counters */

/* Old PMUs of Arm can exclude nothing. On one CPU, the PMU of its kind takes the event. */
static int counter_open(uint64_t config)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE, .size = sizeof(attr), .config = config,
		.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
		.exclude_kernel = counters.user_only, .exclude_hv = counters.user_only,
	};

	return syscall(SYS_perf_event_open, &attr, 0, counters.cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

static void counters_open(bool user_only)
{
	static const uint64_t configs[] = { PERF_COUNT_HW_CPU_CYCLES, PERF_COUNT_HW_INSTRUCTIONS };

	counters.user_only = user_only;
	counters.error = 0;
	for (int c = 0; c < NUM_COUNTERS; c++) {
		counters.fd[c] = counter_open(configs[c]);
		if (counters.fd[c] < 0)
			counters.error = errno;
	}
}

/* Also where the PMU can't count user space alone */
static bool counters_are_forbidden(void)
{
	return counters.error == EACCES || counters.error == EPERM ||
	       (counters.user_only && counters.error == EOPNOTSUPP);
}

bool counters_have_cycles(void)
{
	return counters.fd[CYCLES] >= 0;
}

bool counters_have_instructions(void)
{
	return counters.fd[INSTRUCTIONS] >= 0;
}

static const char *counters_advice(void)
{
	if (counters_are_forbidden())
		return " (root may, or all with kernel.perf_event_paranoid=1)";
	switch (counters.error) {
	case ENOSYS:
		return " (CONFIG_PERF_EVENTS)";
	case ENOENT:
	case ENODEV:
	case EOPNOTSUPP:
		return " (no driver of the CPU's counters)";
	}
	return "";
}

const char *counters_scope(void)
{
	static char text[320];
	char where[32] = "";

	if (!counters_have_cycles() && !counters_have_instructions()) {
		snprintf(text, sizeof(text), "no cycles, no instructions: perf_event_open: %s%s",
			 strerror(counters.error), counters_advice());
		return text;
	}
	if (counters.cpu >= 0)
		snprintf(where, sizeof(where), " on CPU %ld", counters.cpu);
	snprintf(text, sizeof(text), "%s of this thread%s, %s%s",
		 !counters_have_instructions() ? "cycles (no instructions: not counted here)" :
		 !counters_have_cycles() ? "instructions (no cycles: not counted here)" :
		 "cycles and instructions", where,
		 counters.user_only ?
		 "in user space alone (root, or kernel.perf_event_paranoid=1, also has the kernel's)" :
		 "in user space and in the kernel",
		 counters.missed ?
		 "; some rows have none, because the counters did not count all the time: others use them, or the CPU was one of another kind (--cpu)" :
		 "");
	return text;
}

static void counters_read(struct reading now[NUM_COUNTERS])
{
	for (int c = 0; c < NUM_COUNTERS; c++)
		if (counters.fd[c] < 0 ||
		    read(counters.fd[c], &now[c], sizeof(now[c])) != sizeof(now[c]))
			now[c] = (struct reading){ };
}

/* What was counted between two readings, or NAN if that is not all */
static double counted(const struct reading *before, const struct reading *after)
{
	uint64_t running = after->running - before->running;

	if (!after->enabled)
		return NAN;
	if (running && running == after->enabled - before->enabled)
		return after->value - before->value;
	counters.missed = true;
	return NAN;
}

static double count_faults(void)
{
	struct rusage usage = { };

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_minflt + usage.ru_majflt;
}

/* Samples */

/* NAN is last. */
static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return isnan(x) || isnan(y) ? !!isnan(x) - !!isnan(y) : (x > y) - (x < y);
}

static int take_sample(const struct task *task, unsigned int operations, double *ns)
{
	uint64_t start = measure_now(), end;
	int ret = 0;

	for (unsigned int i = 0; i < operations && !ret; i++)
		ret = task->operate(task->context);
	end = measure_now();
	*ns = (end - start - timer.cost) / operations;
	/* Shorter than the clock's step */
	if (*ns < 0)
		*ns = 0;
	return ret;
}

/* It reads the clock each time, so that each sample has the same cost. */
static bool is_enough(const struct sums *sums, uint64_t until, unsigned int samples)
{
	bool is_over = measure_now() >= until;

	return sums->samples >= samples || (is_over && sums->samples >= FEWEST_SAMPLES);
}

static int take_run(const struct task *task, unsigned int operations, uint64_t until,
		    unsigned int samples, struct sums *sums)
{
	unsigned int most = task->prepare ? sums->ready / operations : UINT_MAX;
	struct reading before[NUM_COUNTERS], after[NUM_COUNTERS];
	double faults = count_faults();
	int ret = 0;

	counters_read(before);
	for (unsigned int i = 0; !ret && !is_enough(sums, until, samples) && i < most; i++) {
		ret = bench_stopped ? -EINTR :
		      take_sample(task, operations, &sample[sums->samples]);
		sums->samples += !ret;
		sums->ready -= task->prepare ? operations : 0;
	}
	counters_read(after);
	for (int c = 0; c < NUM_COUNTERS; c++)
		sums->counted[c] += counted(&before[c], &after[c]);
	sums->faults += count_faults() - faults;
	sums->runs++;
	return ret;
}

/* Prepares if fewer operations are ready than the caller runs next */
static int get_ready(const struct task *task, unsigned int operations, struct sums *sums)
{
	if (bench_stopped)
		return -EINTR;
	if (!task->prepare || sums->ready >= operations)
		return 0;
	if (!task->prepare(task->context))
		return bench_stopped ? -EINTR : -ETIME;
	sums->ready = task->run;
	return 0;
}

/* How many operations the clock can tell the length of */
static unsigned int operations_in_sample(const struct task *task, struct sums *sums, int *ret)
{
	double least = WORTH_TIMING * (timer.cost > timer.step ? timer.cost : timer.step);
	double shortest = INFINITY, all = 0, ns, count;

	for (int i = 0; i < 10 && all < least; i++) {
		*ret = get_ready(task, 1, sums) ?: take_sample(task, 1, &ns);
		if (*ret)
			break;
		sums->ready -= !!task->prepare;
		shortest = ns < shortest ? ns : shortest;
		all += ns;
	}
	count = shortest >= least ? 1 : least / (shortest > 1 ? shortest : 1) + 1;
	if (count > MOST_OPERATIONS)
		count = MOST_OPERATIONS;
	return task->prepare && count > task->run ? task->run : count;
}

/* The smallest that so many per cent of the samples do not exceed */
static double percentile(unsigned int count, unsigned int percent)
{
	return sample[(count * percent + 99) / 100 - 1];
}

static double per_operation(const struct sums *sums, int counter, unsigned int operations)
{
	double own = counters.of_run[counter] * sums->runs +
		     counters.of_sample[counter] * sums->samples;
	double all = sums->counted[counter] - own;

	return all > 0 ? all / sums->samples / operations : isnan(all) ? NAN : 0;
}

static void summarise(const struct sums *sums, unsigned int operations, struct figures *figures)
{
	qsort(sample, sums->samples, sizeof(*sample), compare);
	*figures = (struct figures){
		.median = percentile(sums->samples, 50),
		.p99 = sums->samples < FEWEST_OF_100 ? NAN : percentile(sums->samples, 99),
		.worst = sample[sums->samples - 1],
		.cycles = per_operation(sums, CYCLES, operations),
		.instructions = per_operation(sums, INSTRUCTIONS, operations),
		.faults = sums->faults / sums->samples / operations,
		.samples = sums->samples,
		.operations = operations,
	};
}

int measure(const struct task *task, uint64_t until, unsigned int samples,
	    struct figures *figures)
{
	struct sums sums = { };
	unsigned int operations;
	int ret;

	/* The first one finds nothing in the caches. */
	ret = get_ready(task, 1, &sums) ?: take_sample(task, 1, &(double){ 0 });
	if (ret)
		return ret;
	sums.ready -= !!task->prepare;
	operations = operations_in_sample(task, &sums, &ret);
	while (!ret && !is_enough(&sums, until, samples))
		ret = get_ready(task, operations, &sums) ?:
		      take_run(task, operations, until, samples, &sums);
	/* What it needs may run out; a few samples are enough. */
	if (ret == -ETIME && sums.samples >= FEWEST_SAMPLES)
		ret = 0;
	if (!ret)
		summarise(&sums, operations, figures);
	return ret;
}

static int nothing(void *context)
{
	(void)context;
	return 0;
}

/* Of many, so that a clock with long steps is right as well */
static void calibrate_timer(void)
{
	uint64_t first = measure_now(), last = first, now;

	timer.step = INFINITY;
	for (int i = 0; i < CALIBRATION || isinf(timer.step); i++) {
		now = measure_now();
		if (now != last && now - last < timer.step)
			timer.step = now - last;
		last = now;
		if (i < CALIBRATION)
			timer.cost = (double)(now - first) / (i + 1);
	}
}

/* What a run of so many samples counts of its own: the median of many, or NAN */
static void count_empty_runs(unsigned int samples, double own[NUM_COUNTERS])
{
	const struct task task = { .operate = nothing };
	static double runs[NUM_COUNTERS][EMPTY_RUNS];

	for (int i = 0; i < EMPTY_RUNS; i++) {
		struct sums sums = { };

		take_run(&task, 1, UINT64_MAX, samples, &sums);
		for (int c = 0; c < NUM_COUNTERS; c++)
			runs[c][i] = sums.counted[c];
	}
	for (int c = 0; c < NUM_COUNTERS; c++) {
		qsort(runs[c], EMPTY_RUNS, sizeof(runs[c][0]), compare);
		own[c] = runs[c][EMPTY_RUNS / 2];
	}
}

static void calibrate_counters(void)
{
	double many[NUM_COUNTERS];

	count_empty_runs(0, counters.of_run);
	count_empty_runs(EMPTY_SAMPLES, many);
	/* A run that missed some does no harm: the median is of the others. */
	counters.missed = false;
	for (int c = 0; c < NUM_COUNTERS; c++) {
		counters.of_sample[c] = (many[c] - counters.of_run[c]) / EMPTY_SAMPLES;
		counters.missed |= counters.fd[c] >= 0 && isnan(counters.of_sample[c]);
	}
}

void measure_begin(struct timer *result, long cpu)
{
	/* Its pages are there before the clock runs. */
	memset(sample, 1, sizeof(sample));
	counters.cpu = cpu;
	counters_open(false);
	if (counters_are_forbidden())
		counters_open(true);
	calibrate_timer();
	calibrate_counters();
	*result = timer;
}

/* Preloaded into a server, this adds the seconds in the file CLOCK_STEP_FILE, eight bytes, to its wall clock. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile long long *step;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("CLOCK_STEP_FILE");
  int file = path ? open(path, O_RDONLY) : -1;
  if (file < 0) abort();
  step = mmap(NULL, sizeof *step, PROT_READ, MAP_SHARED, file, 0);
  if (step == MAP_FAILED) abort();
}

int clock_gettime(clockid_t id, struct timespec *now) {
  int failed = (int)syscall(SYS_clock_gettime, id, now);
  if (!failed && step && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) now->tv_sec += *step;
  return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
  int failed = (int)syscall(SYS_gettimeofday, now, zone);
  if (!failed && step) now->tv_sec += *step;
  return failed;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}

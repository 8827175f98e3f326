/* Preloaded into a worker (LD_PRELOAD), it lets system calls fail as its rules say, while it is armed.

   A rule is for one function of the C library, and for one detail of its arguments: the number of a raw syscall(), the
   operation of an epoll_ctl() and the like. It fires with a probability, or at its n-th call exactly. A child between
   clone() and exec runs this code too, in its parent's memory and on a stack of a few kilobytes: nothing here takes a
   lock, allocates memory, or is resolved late (it is linked with -z now). */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/* ---- rules ---- */

#define RULES 128
#define ANY (-1L)

typedef struct {
    char call[24];
    long detail;
    int error;
    uint32_t threshold; /* the probability, times 2**32 */
    uint64_t at;        /* 0, or the number of the call that fails */
    uint64_t seen;
    uint64_t fired;
} Rule;

static Rule rules[RULES];
static volatile int count, armed;
static volatile long left;
static uint64_t seed, ticks;
static uintptr_t spared_from, spared_to; /* code some of whose calls are left alone */

int
campaign_add(const char *call, long detail, int error, uint32_t threshold, uint64_t at)
{
    if (count == RULES)
        return -1;
    Rule rule = {.detail = detail, .error = error, .threshold = threshold, .at = at};
    strncpy(rule.call, call, sizeof rule.call - 1);
    rules[count] = rule;
    return count++;
}

void
campaign_clear(void)
{
    armed = 0;
    count = 0;
}

/* At most `limit` faults from now on. */
void
campaign_arm(uint64_t with_seed, long limit)
{
    seed = with_seed;
    ticks = 0;
    left = limit;
    __atomic_store_n(&armed, 1, __ATOMIC_SEQ_CST);
}

void
campaign_disarm(void)
{
    __atomic_store_n(&armed, 0, __ATOMIC_SEQ_CST);
}

void
campaign_spare(uintptr_t from, uintptr_t to)
{
    spared_from = from;
    spared_to = to;
}

uint64_t
campaign_seen(int number)
{
    return rules[number].seen;
}

uint64_t
campaign_fired(int number)
{
    return rules[number].fired;
}

static uint32_t
random_number(void)
{
    uint64_t word = seed + 0x9e3779b97f4a7c15ULL * __atomic_add_fetch(&ticks, 1, __ATOMIC_RELAXED); /* splitmix64 */
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9ULL;
    word = (word ^ (word >> 27)) * 0x94d049bb133111ebULL;
    return (uint32_t)((word ^ (word >> 31)) >> 32);
}

static int
fires(Rule *rule)
{
    uint64_t number = __atomic_add_fetch(&rule->seen, 1, __ATOMIC_RELAXED);
    if (rule->at != 0 ? rule->at != number : random_number() >= rule->threshold)
        return 0;
    if (__atomic_sub_fetch(&left, 1, __ATOMIC_RELAXED) < 0)
        return 0;
    __atomic_add_fetch(&rule->fired, 1, __ATOMIC_RELAXED);
    return 1;
}

/* Returns the errno with which this call is to fail, or 0. */
static int
fault(const char *call, long detail)
{
    if (!armed)
        return 0;
    for (int number = 0; number < count; number++) {
        Rule *rule = &rules[number];
        if ((rule->detail == ANY || rule->detail == detail) && strcmp(rule->call, call) == 0 && fires(rule))
            return rule->error;
    }
    return 0;
}

static int
fails(const char *call, long detail)
{
    int error = fault(call, detail);
    if (error != 0)
        errno = error;
    return error != 0;
}

/* ---- the functions of the C library ---- */

static void *
find(void **place, const char *name)
{
    if (*place == NULL)
        *place = dlsym(RTLD_NEXT, name);
    return *place;
}
#define REAL(name) ((__typeof__(real_##name))find((void **)&real_##name, #name))

#define WRAP(type, name, parameters, arguments, detail)                                                                \
    static type(*real_##name) parameters;                                                                              \
    type name parameters                                                                                               \
    {                                                                                                                  \
        return fails(#name, detail) ? (type)-1 : REAL(name) arguments;                                                 \
    }

WRAP(int, pipe, (int ends[2]), (ends), 0)
WRAP(int, eventfd, (unsigned value, int flags), (value, flags), 0)
WRAP(int, epoll_create1, (int flags), (flags), 0)
WRAP(int, epoll_wait, (int epoll, struct epoll_event *events, int most, int timeout), (epoll, events, most, timeout), 0)
WRAP(int, epoll_pwait, (int epoll, struct epoll_event *events, int most, int timeout, const sigset_t *mask),
     (epoll, events, most, timeout, mask), 0)
WRAP(int, poll, (struct pollfd *all, nfds_t number, int timeout), (all, number, timeout), 0)
WRAP(int, socketpair, (int domain, int type, int protocol, int ends[2]), (domain, type, protocol, ends), 0)
WRAP(int, dup, (int descriptor), (descriptor), 0)
WRAP(int, dup2, (int from, int to), (from, to), 0)
WRAP(int, chdir, (const char *path), (path), 0)
WRAP(pid_t, setsid, (void), (), 0)
WRAP(int, setpgid, (pid_t pid, pid_t group), (pid, group), 0)
WRAP(int, setpriority, (__priority_which_t which, id_t who, int value), (which, who, value), 0)
WRAP(int, setrlimit64, (__rlimit_resource_t resource, const struct rlimit64 *limit), (resource, limit), 0)
WRAP(int, unshare, (int flags), (flags), 0)
WRAP(int, sched_getaffinity, (pid_t pid, size_t size, cpu_set_t *set), (pid, size, set), 0)
WRAP(int, nanosleep, (const struct timespec *time, struct timespec *rest), (time, rest), 0)
WRAP(int, execve, (const char *file, char *const argv[], char *const envp[]), (file, argv, envp), 0)
WRAP(pid_t, fork, (void), (), 0)
WRAP(pid_t, waitpid, (pid_t pid, int *status, int options), (pid, status, options), options &WNOHANG)
WRAP(pid_t, wait4, (pid_t pid, int *status, int options, struct rusage *usage), (pid, status, options, usage),
     options &WNOHANG)
WRAP(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int options), (type, id, info, options), type)
WRAP(int, openpty, (int *ours, int *theirs, char *name, const struct termios *mode, const struct winsize *size),
     (ours, theirs, name, mode, size), 0)

static DIR *(*real_opendir)(const char *path);
DIR *
opendir(const char *path)
{
    return fails("opendir", 0) ? NULL : REAL(opendir)(path);
}

static int (*real_pthread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int
pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *), void *argument)
{
    int error = fault("pthread_create", 0);
    return error != 0 ? error : REAL(pthread_create)(thread, attributes, function, argument);
}

static int
is_spared(void *caller)
{
    return (uintptr_t)caller >= spared_from && (uintptr_t)caller < spared_to;
}

static int (*real_pipe2)(int *, int);
int
pipe2(int ends[2], int flags)
{
    return !is_spared(__builtin_return_address(0)) && fails("pipe2", 0) ? -1 : REAL(pipe2)(ends, flags);
}

static int (*real_epoll_ctl)(int, int, int, struct epoll_event *);
int
epoll_ctl(int epoll, int operation, int descriptor, struct epoll_event *event)
{
    if (!is_spared(__builtin_return_address(0)) && fails("epoll_ctl", operation))
        return -1;
    return REAL(epoll_ctl)(epoll, operation, descriptor, event);
}

/* Small mappings alone: those of the interpreter's memory and of threads' stacks are left alone. */
#define WRAP_MMAP(name)                                                                                                \
    static void *(*real_##name)(void *, size_t, int, int, int, off_t);                                                 \
    void *name(void *address, size_t size, int protection, int flags, int descriptor, off_t offset)                    \
    {                                                                                                                  \
        if (size <= 8192 && (flags & MAP_ANONYMOUS) && fails("mmap", 0))                                               \
            return MAP_FAILED;                                                                                         \
        return REAL(name)(address, size, protection, flags, descriptor, offset);                                       \
    }
WRAP_MMAP(mmap)
WRAP_MMAP(mmap64)

/* 1: a pipe that does not block, where EAGAIN means "later". */
static long
is_patient(int descriptor)
{
    struct stat found;
    return armed && fstat(descriptor, &found) == 0 && S_ISFIFO(found.st_mode) &&
           (fcntl(descriptor, F_GETFL) & O_NONBLOCK);
}
WRAP(ssize_t, read, (int descriptor, void *buffer, size_t size), (descriptor, buffer, size), is_patient(descriptor))
WRAP(ssize_t, write, (int descriptor, const void *buffer, size_t size), (descriptor, buffer, size),
     is_patient(descriptor))
WRAP(ssize_t, send, (int descriptor, const void *buffer, size_t size, int flags), (descriptor, buffer, size, flags), 0)
WRAP(ssize_t, recv, (int descriptor, void *buffer, size_t size, int flags), (descriptor, buffer, size, flags), 0)

/* ---- those with a variable number of arguments ---- */

#define WRAP_OPEN(name)                                                                                                \
    static int (*real_##name)(const char *, int, ...);                                                                 \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;                                              \
        va_end(rest);                                                                                                  \
        return fails("open", 0) ? -1 : REAL(name)(path, flags, mode);                                                  \
    }
WRAP_OPEN(open)
WRAP_OPEN(open64)

#define WRAP_CONTROL(name, type, told)                                                                                 \
    static int (*real_##name)(int, type, ...);                                                                         \
    int name(int descriptor, type operation, ...)                                                                      \
    {                                                                                                                  \
        va_list rest;                                                                                                  \
        va_start(rest, operation);                                                                                     \
        void *argument = va_arg(rest, void *);                                                                         \
        va_end(rest);                                                                                                  \
        return fails(told, (long)operation) ? -1 : REAL(name)(descriptor, operation, argument);                        \
    }
WRAP_CONTROL(fcntl, int, "fcntl")
WRAP_CONTROL(fcntl64, int, "fcntl")
WRAP_CONTROL(ioctl, unsigned long, "ioctl")

static int (*real_prctl)(int, ...);
int
prctl(int operation, ...)
{
    va_list rest;
    va_start(rest, operation);
    unsigned long a = va_arg(rest, unsigned long), b = va_arg(rest, unsigned long), c = va_arg(rest, unsigned long),
                  d = va_arg(rest, unsigned long);
    va_end(rest);
    return fails("prctl", operation) ? -1 : REAL(prctl)(operation, a, b, c, d);
}

static long (*real_syscall)(long, ...);
long
syscall(long number, ...)
{
    va_list rest;
    va_start(rest, number);
    long a = va_arg(rest, long), b = va_arg(rest, long), c = va_arg(rest, long), d = va_arg(rest, long),
         e = va_arg(rest, long), f = va_arg(rest, long);
    va_end(rest);
    return fails("syscall", number) ? -1 : REAL(syscall)(number, a, b, c, d, e, f);
}

static int (*real_clone)(int (*)(void *), void *, int, void *, ...);
int
clone(int (*function)(void *), void *stack, int flags, void *argument, ...)
{
    va_list rest;
    va_start(rest, argument);
    void *parent = va_arg(rest, void *), *storage = va_arg(rest, void *), *child = va_arg(rest, void *);
    va_end(rest);
    if (fails("clone", flags & CLONE_PIDFD ? 1 : 0))
        return -1;
    return REAL(clone)(function, stack, flags, argument, parent, storage, child);
}

/* vfork() returns twice, and so its frame must not be one of C. */
#ifdef __x86_64__
__attribute__((used)) static pid_t (*real_vfork)(void);
__attribute__((used)) static int
vfork_fails(void)
{
    (void)REAL(vfork);
    return fails("vfork", 0);
}
__asm__(".text\n"
        ".globl vfork\n"
        ".type vfork, @function\n"
        "vfork:\n"
        "    sub $8, %rsp\n"
        "    call vfork_fails\n"
        "    add $8, %rsp\n"
        "    test %eax, %eax\n"
        "    jne 1f\n"
        "    jmp *real_vfork(%rip)\n"
        "1:  mov $-1, %eax\n"
        "    ret\n"
        ".size vfork, .-vfork\n");
#endif

__attribute__((constructor)) static void
resolve(void)
{
    (void)REAL(clone), (void)REAL(syscall), (void)REAL(prctl), (void)REAL(ioctl), (void)REAL(fcntl), (void)REAL(fcntl64);
    (void)REAL(open), (void)REAL(open64), (void)REAL(dup), (void)REAL(dup2), (void)REAL(chdir), (void)REAL(setsid);
    (void)REAL(setpgid), (void)REAL(setpriority), (void)REAL(setrlimit64), (void)REAL(nanosleep), (void)REAL(execve);
    (void)REAL(pthread_create), (void)REAL(read), (void)REAL(write), (void)REAL(waitid), (void)REAL(waitpid);
#ifdef __x86_64__
    (void)REAL(vfork);
#endif
}

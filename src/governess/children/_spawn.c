/* Starts children in threads of its own, which need neither the GIL nor Python.

   Channel.submit() copies everything that a child needs into a Request and queues it. A few threads, as old as the
   first need and as long-lived as the process, take requests from the queue, start the child, and put the outcome into
   the channel's list; the channel's descriptor is readable as long as that list is not empty. Channel.take() gives the
   outcomes one by one.

   A child is started as posix_spawn(3) of glibc does it: clone() with CLONE_VM and CLONE_VFORK, on a stack of its own,
   with all signals blocked, plus CLONE_PIDFD (Linux 5.2), so that pid and pidfd come together and before the child
   runs. Where that is refused, without the pidfd; where clone() is, or is not there, vfork(2). Between birth and exec
   the child shares our memory: it makes system calls and nothing else, and tells by two fields of its Request which of
   them failed. The wrappers of setuid(2) and its like reach for the other threads (nptl(7)), so the calls are raw.

   One lock guards the queue, the channels and the requests' states. A fork in another thread (pthread_atfork) takes it
   first, and drops all of this in the new process. */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#if !defined(Py_LIMITED_API) && !defined(Py_GIL_DISABLED)
#define Py_LIMITED_API 0x030B0000
#endif
#include <Python.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#define SIGNAL_GROUP (1U << 2) /* PIDFD_SIGNAL_PROCESS_GROUP of linux/pidfd.h */
#define A_PIDFD 3 /* P_PIDFD, which older headers lack */
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#else
#include <grp.h>
#endif

/* AddressSanitizer takes the child's stack for damage of ours. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNCHECKED __attribute__((no_sanitize("address")))
#endif
#endif
#if !defined(UNCHECKED) && defined(__SANITIZE_ADDRESS__)
#define UNCHECKED __attribute__((no_sanitize_address))
#endif
#ifndef UNCHECKED
#define UNCHECKED
#endif

extern char **environ;

#define THREADS 16
#define STALL 0.02 /* seconds */
#define CHILD_STACK (64 * 1024)
#define THREAD_STACK (256 * 1024)

/* What a standard descriptor can be besides a descriptor; the first three as in the subprocess module, the others no
   number that somebody takes for a descriptor by mistake. */
enum { PIPE = -1, STDOUT = -2, DEVNULL = -3, INHERIT = INT32_MIN, A_FILE = INT32_MIN + 1 };

static const char *const STREAMS[] = {"stdin", "stdout", "stderr"};

/* How children are started, the best first; what is refused is not tried again. */
enum { WITH_PIDFD, WITHOUT_PIDFD, BY_VFORK };

#ifdef __linux__
static volatile int way = WITH_PIDFD;
#else
static volatile int way = BY_VFORK;
#endif

/* ---- what is asked for, and what came of it ---- */

typedef struct Block {
    struct Block *next;
} Block;

typedef struct {
    int resource;
    struct rlimit value;
} Limit;

typedef struct Request {
    struct Request *next;
    struct Channel *channel; /* NULL: nobody waits any more */
    unsigned long long key;
    Block *memory;

    char **argv;
    char **envp;
    char *program;
    char *path;    /* where to look for a program without a slash; NULL: it has one */
    char *scratch; /* room for an entry of path and the program */
    char *cwd;
    int stdio[3];
    char *files[3];
    int close_fds;
    int pass_count;
    int *pass_fds; /* sorted */
    int restore_signals;
    int new_session;
    int process_group;
    long long gid;
    long long uid;
    int group_count; /* -1: as the parent's */
    gid_t *groups;
    int umask;
    int pipesize;
    int nice;
    int death_signal;
    int terminal;
    int limit_count;
    Limit *limits;
    sigset_t mask;
    pid_t parent;
    int last_descriptor;

    int pipes[3][2]; /* the kernel writes them before the descriptors are open, so that a fork knows them */
    int pidfd;
    volatile pid_t pid;
    volatile int cancelled;
    volatile int error;
    const char *volatile step;
} Request;

static void *
reserve(Request *request, size_t size)
{
    Block *block = malloc(sizeof(Block) + size);
    if (block == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    block->next = request->memory;
    request->memory = block;
    return block + 1;
}

static void
free_request(Request *request)
{
    while (request->memory != NULL) {
        Block *block = request->memory;
        request->memory = block->next;
        free(block);
    }
    free(request);
}

static void
close_descriptor(int *descriptor)
{
    if (*descriptor >= 0) {
        close(*descriptor);
        *descriptor = -1;
    }
}

static int
ours(int number)
{
    return number == 0 ? 1 : 0; /* we write to its input and read from its outputs */
}

static void
close_pipes(Request *request, int both)
{
    for (int number = 0; number < 3; number++) {
        close_descriptor(&request->pipes[number][!ours(number)]);
        if (both)
            close_descriptor(&request->pipes[number][ours(number)]);
    }
}

/* ---- in the child, up to exec: system calls alone ---- */

#define NOT(call, name)                                                                                                \
    do {                                                                                                               \
        if ((call) < 0)                                                                                                \
            fail(request, name, errno);                                                                                \
    } while (0)

UNCHECKED static void
fail(Request *request, const char *step, int error)
{
    request->error = error;
    request->step = step;
    _exit(255);
}

UNCHECKED static void
stop_if_cancelled(Request *request)
{
    if (request->cancelled)
        fail(request, "cancelled", ECANCELED);
}

UNCHECKED static int
source_of(Request *request, int number)
{
    switch (request->stdio[number]) {
    case PIPE:
        return request->pipes[number][!ours(number)];
    case DEVNULL:
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    case A_FILE:
        return open(request->files[number], O_CLOEXEC | (number == 0 ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC), 0666);
    default:
        return request->stdio[number];
    }
}

UNCHECKED static void
set_standard_descriptors(Request *request)
{
    int source[3];
    for (int number = 0; number < 3; number++) {
        source[number] = source_of(request, number);
        if (source[number] == -1) /* the one value that no wish has by now */
            fail(request, STREAMS[number], errno);
    }
    if (request->stdio[2] == STDOUT)
        source[2] = source[1] == INHERIT ? 1 : source[1];
    if (request->terminal >= 0 && request->terminal < 3)
        NOT(request->terminal = fcntl(request->terminal, F_DUPFD_CLOEXEC, 3), "controlling_terminal");
    for (int number = 1; number < 3; number++) { /* save what would be overwritten before its turn */
        if (source[number] >= 0 && source[number] < number)
            NOT(source[number] = fcntl(source[number], F_DUPFD_CLOEXEC, 3), STREAMS[number]);
    }
    for (int number = 0; number < 3; number++) {
        if (source[number] == number)
            NOT(fcntl(number, F_SETFD, 0), STREAMS[number]); /* inheritable */
        else if (source[number] != INHERIT)
            NOT(dup2(source[number], number), STREAMS[number]);
    }
}

#if defined(__linux__) && defined(SYS_rt_sigaction) && !defined(__mips__)
/* As the kernel has it: the handler first, then what is all zero for SIG_DFL. glibc's own sigaction takes a lock, which a
   child that is killed just then would leave locked in the memory that is its parent's too. */
typedef union {
    void (*handler)(int);
    unsigned long words[8];
} Disposition;
#define HANDLER(found) ((found).handler)
#define disposition_of(number, found) syscall(SYS_rt_sigaction, number, NULL, found, 8)
#define set_disposition(number, wanted) syscall(SYS_rt_sigaction, number, wanted, NULL, 8)
#else
typedef struct sigaction Disposition;
#define HANDLER(found) ((found).sa_handler)
#define disposition_of(number, found) sigaction(number, NULL, found)
#define set_disposition(number, wanted) sigaction(number, wanted, NULL)
#endif

UNCHECKED static void
reset_signals(Request *request)
{
    const Disposition by_default = {0}; /* SIG_DFL */
    Disposition found = {0};
    for (int number = 1; number < NSIG; number++) {
        if (disposition_of(number, &found) < 0)
            continue;
        int is_set = HANDLER(found) != SIG_DFL && HANDLER(found) != SIG_IGN;
        int is_pythons = request->restore_signals && (number == SIGPIPE || number == SIGXFSZ);
        if (is_set || is_pythons)
            set_disposition(number, &by_default);
    }
}

UNCHECKED static void
set_identity(Request *request)
{
#ifdef __linux__
#ifdef SYS_setgroups32 /* the ABIs that began with 16 bits */
    const long set_groups = SYS_setgroups32, set_gid = SYS_setregid32, set_uid = SYS_setreuid32;
#else
    const long set_groups = SYS_setgroups, set_gid = SYS_setregid, set_uid = SYS_setreuid;
#endif
    if (request->group_count >= 0)
        NOT(syscall(set_groups, request->group_count, request->groups), "extra_groups");
    if (request->gid >= 0)
        NOT(syscall(set_gid, (gid_t)request->gid, (gid_t)request->gid), "group");
    if (request->uid >= 0)
        NOT(syscall(set_uid, (uid_t)request->uid, (uid_t)request->uid), "user");
#else
    if (request->group_count >= 0)
        NOT(setgroups(request->group_count, request->groups), "extra_groups");
    if (request->gid >= 0)
        NOT(setregid((gid_t)request->gid, (gid_t)request->gid), "group");
    if (request->uid >= 0)
        NOT(setreuid((uid_t)request->uid, (uid_t)request->uid), "user");
#endif
}

UNCHECKED static void
set_limits(Request *request)
{
    for (int i = 0; i < request->limit_count; i++)
        NOT(setrlimit(request->limits[i].resource, &request->limits[i].value), "rlimits");
    if (request->nice != 0) {
        errno = 0;
        int now = getpriority(PRIO_PROCESS, 0);
        if (now == -1 && errno != 0)
            fail(request, "nice", errno);
        NOT(setpriority(PRIO_PROCESS, 0, now + request->nice), "nice");
    }
}

/* Until exec the child dies with its parent in any case: it may wait for a FIFO, and nobody knows of it. */
UNCHECKED static void
die_with_parent_for_now(Request *request)
{
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0, 0, 0);
    if (getppid() != request->parent) /* it died before */
        _exit(255);
#else
    (void)request;
#endif
}

/* After the change of user, which takes it back: prctl(2). */
UNCHECKED static void
die_with_parent_as_asked(Request *request)
{
#ifdef __linux__
    if (prctl(PR_SET_PDEATHSIG, (unsigned long)request->death_signal, 0, 0, 0) < 0 && request->death_signal != 0)
        fail(request, "parent_death_signal", errno);
    if (request->death_signal != 0 && getppid() != request->parent)
        _exit(255);
#else
    if (request->death_signal != 0)
        fail(request, "parent_death_signal", ENOSYS);
#endif
}

UNCHECKED static int
is_kept(Request *request, int descriptor)
{
    for (int i = 0; i < request->pass_count; i++) {
        if (request->pass_fds[i] == descriptor)
            return 1;
    }
    return 0;
}

UNCHECKED static int
close_by_range(Request *request)
{
#if defined(__linux__) && !defined(WITHOUT_CLOSE_RANGE)
    unsigned first = 3;
    for (int i = 0; i < request->pass_count; i++) {
        unsigned kept = (unsigned)request->pass_fds[i];
        if (kept > first && syscall(SYS_close_range, first, kept - 1, 0) < 0)
            return 0;
        if (kept >= first)
            first = kept + 1;
    }
    return syscall(SYS_close_range, first, ~0U, 0) == 0;
#else
    (void)request;
    return 0;
#endif
}

/* Before Linux 5.9. As proc(5) allows, descriptors are closed while the directory is read. */
UNCHECKED static int
close_by_list(Request *request)
{
#ifdef __linux__
    struct Entry {
        uint64_t inode;
        int64_t offset;
        unsigned short size;
        unsigned char type;
        char name[];
    };
    int directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return 0;
    char buffer[1024] __attribute__((aligned(8)));
    long size;
    while ((size = syscall(SYS_getdents64, directory, buffer, sizeof buffer)) > 0) {
        for (long at = 0; at < size; at += ((struct Entry *)(buffer + at))->size) {
            int descriptor = 0;
            const char *name = ((struct Entry *)(buffer + at))->name;
            while (*name >= '0' && *name <= '9')
                descriptor = 10 * descriptor + (*name++ - '0');
            if (*name == '\0' && descriptor > 2 && descriptor != directory && !is_kept(request, descriptor))
                close(descriptor);
        }
    }
    close(directory);
    return size == 0;
#else
    (void)request;
    return 0;
#endif
}

UNCHECKED static void
close_others(Request *request)
{
    if (close_by_range(request) || close_by_list(request))
        return;
    for (int descriptor = 3; descriptor <= request->last_descriptor; descriptor++) {
        if (!is_kept(request, descriptor))
            close(descriptor);
    }
}

UNCHECKED static void
execute(Request *request)
{
    if (request->path == NULL) {
        execve(request->program, request->argv, request->envp);
        fail(request, "exec", errno);
    }
    int error = 0;
    const char *entry = request->path;
    for (;;) {
        size_t length = 0;
        while (entry[length] != '\0' && entry[length] != ':')
            length++;
        char *end = request->scratch;
        for (size_t i = 0; i < length; i++)
            *end++ = entry[i];
        if (length > 0 && entry[length - 1] != '/')
            *end++ = '/';
        for (const char *from = request->program; (*end++ = *from++) != '\0';)
            ;
        execve(request->scratch, request->argv, request->envp);
        if (errno != ENOENT && errno != ENOTDIR && error == 0)
            error = errno;
        if (entry[length] == '\0')
            break;
        entry += length + 1;
    }
    fail(request, "exec", error != 0 ? error : errno);
}

/* The order is that of CPython's _posixsubprocess. */
UNCHECKED static int
be_the_child(void *argument)
{
    Request *request = argument;
    die_with_parent_for_now(request);
    stop_if_cancelled(request);
    for (int i = 0; i < request->pass_count; i++)
        NOT(fcntl(request->pass_fds[i], F_SETFD, 0), "pass_fds");
    set_standard_descriptors(request);
    if (request->cwd != NULL)
        NOT(chdir(request->cwd), "cwd");
    if (request->umask >= 0)
        umask((mode_t)request->umask);
    reset_signals(request);
    if (request->new_session)
        NOT(setsid(), "start_new_session");
    if (request->process_group >= 0)
        NOT(setpgid(0, request->process_group), "process_group");
    if (request->terminal >= 0)
        NOT(ioctl(request->terminal, TIOCSCTTY, 0), "controlling_terminal");
    set_limits(request);
    set_identity(request);
    die_with_parent_as_asked(request);
    if (request->close_fds)
        close_others(request);
    stop_if_cancelled(request);
    sigprocmask(SIG_SETMASK, &request->mask, NULL);
    execute(request);
    return 255; /* never */
}

/* ---- in a thread of the pool ---- */

static void
start_by_vfork(Request *request)
{
    pid_t pid = vfork();
    if (pid == 0)
        be_the_child(request);
    request->pid = pid;
}

#ifdef __linux__

static void
start_by_clone(Request *request, char *stack)
{
    int flags = CLONE_VM | CLONE_VFORK | SIGCHLD;
    char *top = stack + CHILD_STACK;
    if (way == WITH_PIDFD) {
        request->pid = clone(be_the_child, top, flags | CLONE_PIDFD, request, &request->pidfd);
        if (request->pid >= 0)
            return;
        if (errno == EAGAIN || errno == ENOMEM)
            return;
        if (errno != EMFILE && errno != ENFILE) /* those are of the moment */
            way = WITHOUT_PIDFD;
        request->pidfd = -1;
    }
    request->pid = clone(be_the_child, top, flags, request);
    if (request->pid < 0 && errno != EAGAIN && errno != ENOMEM) {
        way = BY_VFORK;
        start_by_vfork(request);
    }
}

#endif

/* A change of identity makes the memory, which child and parent share until exec, one that may not be traced or dumped
   (PR_SET_DUMPABLE in prctl(2)): rightly, but only for so long. Such starts are made one after the other. */
#ifdef __linux__
static pthread_mutex_t one_identity = PTHREAD_MUTEX_INITIALIZER;

static int
hold_identity(Request *request)
{
    if (request->uid < 0 && request->gid < 0)
        return -1;
    pthread_mutex_lock(&one_identity);
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
}

static void
release_identity(int dumpable)
{
    if (dumpable < 0)
        return;
    if (dumpable == 1) /* the only other value that prctl() takes is 0 */
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    pthread_mutex_unlock(&one_identity);
}
#endif

static int
make_pipe(int *ends)
{
#ifdef __linux__
    return pipe2(ends, O_CLOEXEC);
#else
    if (pipe(ends) < 0)
        return -1;
    for (int i = 0; i < 2; i++)
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    return 0;
#endif
}

static int
make_pipes(Request *request)
{
    for (int number = 0; number < 3; number++) {
        if (request->stdio[number] != PIPE)
            continue;
        if (make_pipe(request->pipes[number]) < 0) {
            request->error = errno;
            request->step = "pipe";
            return -1;
        }
#ifdef F_SETPIPE_SZ
        if (request->pipesize > 0 && fcntl(request->pipes[number][0], F_SETPIPE_SZ, request->pipesize) < 0) {
            request->error = errno;
            request->step = "pipesize";
            return -1;
        }
#endif
    }
    return 0;
}

static void
reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* Returns when the child has exec'ed or failed. */
static void
start_child(Request *request, char *stack)
{
    if (make_pipes(request) < 0)
        return;
    request->parent = getpid();
#ifdef __linux__
    int dumpable = hold_identity(request);
    if (way != BY_VFORK)
        start_by_clone(request, stack);
    else
        start_by_vfork(request);
    int error = errno;
    release_identity(dumpable);
#else
    (void)stack;
    start_by_vfork(request);
    int error = errno;
#endif
    if (request->pid < 0) {
        request->error = error;
        request->step = "fork";
    }
    else if (request->step != NULL)
        reap(request->pid);
}

static void
send_kill(Request *request)
{
#ifdef __linux__
    if (request->pidfd >= 0) {
        syscall(SYS_pidfd_send_signal, request->pidfd, SIGKILL, NULL, 0);
        return;
    }
#endif
    if (request->pid > 0)
        kill(request->pid, SIGKILL);
}

/* Whoever is in the group that it leads: by its pidfd (Linux 6.9), or by its number, which it keeps until the reap. */
static void
kill_group(Request *request)
{
    siginfo_t info;
    if (!request->new_session && request->process_group != 0)
        return;
#ifdef __linux__
    if (request->pidfd >= 0 && syscall(SYS_pidfd_send_signal, request->pidfd, SIGKILL, NULL, SIGNAL_GROUP) == 0)
        return;
#endif
    if (waitid(P_PID, (id_t)request->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
        kill(-request->pid, SIGKILL);
}

/* A child that nobody wants any more. */
static void
undo(Request *request)
{
    if (request->pid > 0 && request->step == NULL) {
        send_kill(request);
        kill_group(request);
        reap(request->pid);
    }
}

/* ---- the pool and the channels, all under one lock ---- */

typedef struct Channel {
    PyObject_HEAD
    struct Channel *next;
    int wake_read;
    int wake_write;
    unsigned generation;
    Request *done;
    Request **done_end;
} Channel;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t work;
    pthread_cond_t rest;
    Request *queue;
    Request **queue_end;
    Request *running; /* linked by next */
    Channel *channels;
    int threads;
    int idle;
    int busy;
    int is_watched;   /* whether an idle thread looks for a stall */
    double last_step; /* when a thread last took a request or came back from one */
    unsigned generation; /* how many forks this process is away from the first one that had a pool */
} pool = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .work = PTHREAD_COND_INITIALIZER,
    .rest = PTHREAD_COND_INITIALIZER,
    .queue_end = &pool.queue,
};

static double
seconds_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What pthread_cond_timedwait() takes. */
static struct timespec
moment_in(double seconds)
{
    double until = seconds_of(CLOCK_REALTIME) + seconds;
    struct timespec moment = {.tv_sec = (time_t)until};
    moment.tv_nsec = (long)((until - (double)moment.tv_sec) * 1e9);
    return moment;
}

/* So many children are started at a time: one a processor. More would only make everybody else wait for one, the event
   loop too. */
static int
starters(void)
{
    static int count = 0;
    if (count == 0) {
#ifdef __linux__
        cpu_set_t set;
        count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 4;
#else
        count = (int)sysconf(_SC_NPROCESSORS_ONLN);
#endif
        count = count < 1 ? 1 : count > THREADS / 2 ? THREADS / 2 : count;
    }
    return count;
}

/* Waits until there is a request, and this thread may take it: if not all starters are busy, or if they are, but none
   has got anywhere for a while. Then an exec is slow, and the next one need not be. */
static void
await_turn(void)
{
    pool.idle++;
    for (;;) {
        if (pool.queue != NULL && pool.busy < starters())
            break;
        if (pool.queue == NULL || pool.is_watched) {
            pthread_cond_wait(&pool.work, &pool.lock);
            continue;
        }
        double left = pool.last_step + STALL - seconds_of(CLOCK_MONOTONIC);
        if (left <= 0)
            break;
        struct timespec stall = moment_in(left);
        pool.is_watched = 1;
        pthread_cond_timedwait(&pool.work, &pool.lock, &stall);
        pool.is_watched = 0;
    }
    pool.idle--;
}

static Request *
take_request(void)
{
    Request *request = pool.queue;
    pool.queue = request->next;
    if (pool.queue == NULL)
        pool.queue_end = &pool.queue;
    request->next = pool.running;
    pool.running = request;
    pool.busy++;
    pool.last_step = seconds_of(CLOCK_MONOTONIC);
    return request;
}

static void
unlink_running(Request *request)
{
    for (Request **place = &pool.running; *place != NULL; place = &(*place)->next) {
        if (*place == request) {
            *place = request->next;
            break;
        }
    }
    pool.busy--;
    pool.last_step = seconds_of(CLOCK_MONOTONIC);
    if (pool.running == NULL && pool.queue == NULL)
        pthread_cond_broadcast(&pool.rest);
}

static void
report(Request *request)
{
    Channel *channel = request->channel;
    int was_empty = channel->done == NULL;
    request->next = NULL;
    *channel->done_end = request;
    channel->done_end = &request->next;
    if (was_empty) {
        uint64_t one = 1;
        while (write(channel->wake_write, &one, sizeof one) < 0 && errno == EINTR)
            ;
    }
}

static int see_to_a_thread(void);

static void *
work(void *stack)
{
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        await_turn();
        Request *request = take_request();
        if (pool.queue != NULL)
            see_to_a_thread();
        int is_wanted = !request->cancelled;
        pthread_mutex_unlock(&pool.lock);

        if (is_wanted)
            start_child(request, stack);

        pthread_mutex_lock(&pool.lock);
        is_wanted = is_wanted && !request->cancelled;
        close_pipes(request, !is_wanted || request->step != NULL);
        if (is_wanted) {
            if (request->step != NULL)
                close_descriptor(&request->pidfd);
            unlink_running(request);
            report(request);
            continue;
        }
        pthread_mutex_unlock(&pool.lock);
        undo(request);
        pthread_mutex_lock(&pool.lock);
        close_descriptor(&request->pidfd);
        unlink_running(request);
        free_request(request);
    }
    return NULL;
}

static int
start_thread(void)
{
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    char *area = mmap(NULL, guard + CHILD_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (area == MAP_FAILED)
        return errno;
    mprotect(area, guard, PROT_NONE);
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, THREAD_STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, &attributes, work, area + guard);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (error != 0)
        munmap(area, guard + CHILD_STACK);
    else
        pool.threads++;
    return error;
}

/* Wakes one if it may take a request, or has to look for a stall; there is always one that can. */
static int
see_to_a_thread(void)
{
    if (pool.idle == 0)
        return pool.threads < THREADS ? start_thread() : 0;
    if (pool.busy < starters() || !pool.is_watched)
        pthread_cond_signal(&pool.work);
    return 0;
}

static int
enqueue(Request *request)
{
    request->next = NULL;
    *pool.queue_end = request;
    pool.queue_end = &request->next;
    return see_to_a_thread();
}

/* Nobody waits for it any more: it is dropped, or killed as soon as it can be. Under the lock. */
static void
cancel_running(Request *request)
{
    request->channel = NULL;
    request->cancelled = 1;
    if (request->pidfd >= 0)
        send_kill(request);
}

static void
cancel_done(Request *request)
{
    request->channel = NULL;
    request->cancelled = 1;
    enqueue(request); /* the threads kill and reap it */
}

static void
cancel_queued(Request **place)
{
    Request *request = *place;
    *place = request->next;
    if (*place == NULL)
        pool.queue_end = place;
    free_request(request);
}

/* Cancels the requests of a channel, or the one with that key. Under the lock. */
static void
cancel_requests(Channel *channel, int all, unsigned long long key)
{
    for (Request **place = &pool.queue; *place != NULL;) {
        Request *request = *place;
        if (request->channel == channel && (all || request->key == key))
            cancel_queued(place);
        else
            place = &request->next;
    }
    for (Request *request = pool.running; request != NULL; request = request->next) {
        if (request->channel == channel && (all || request->key == key))
            cancel_running(request);
    }
    for (Request **place = &channel->done; *place != NULL;) {
        Request *request = *place;
        if (all || request->key == key) {
            *place = request->next;
            if (*place == NULL)
                channel->done_end = place;
            cancel_done(request);
        }
        else
            place = &request->next;
    }
}

static void
drain(Channel *channel)
{
    uint64_t count;
    while (read(channel->wake_read, &count, sizeof count) < 0 && errno == EINTR)
        ;
}

/* ---- fork: the new process has no threads, and the children are not its own ---- */

static void
before_fork(void)
{
    pthread_mutex_lock(&pool.lock);
}

static void
after_fork_in_parent(void)
{
    pthread_mutex_unlock(&pool.lock);
}

static void
after_fork_in_child(void)
{
    for (Request *request = pool.running; request != NULL; request = request->next) {
        close_pipes(request, 1);
        close_descriptor(&request->pidfd);
    }
    /* What is queued or running stays allocated: free() is no concern of a fork handler. */
    pool.running = pool.queue = NULL;
    pool.channels = NULL;
    pool.queue_end = &pool.queue;
    pool.threads = pool.idle = pool.busy = pool.is_watched = 0;
    pool.generation++;
    pthread_cond_init(&pool.work, NULL);
    pthread_cond_init(&pool.rest, NULL);
#ifdef __linux__
    pthread_mutex_init(&one_identity, NULL);
#endif
    pthread_mutex_unlock(&pool.lock);
}

/* ---- from Python's objects ---- */

/* Not Py_RETURN_NONE: the headers of 3.12 and later take None for immortal, which it is not in 3.11. */
static PyObject *
none(void)
{
    return Py_NewRef(Py_None);
}

static char *
copy_bytes(Request *request, PyObject *bytes)
{
    char *text;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(bytes, &text, &size) < 0)
        return NULL;
    char *copy = reserve(request, (size_t)size + 1);
    if (copy != NULL)
        memcpy(copy, text, (size_t)size + 1);
    return copy;
}

/* A str, bytes or PathLike, without NUL. */
static char *
copy_path(Request *request, PyObject *object)
{
    PyObject *bytes;
    if (object == NULL || !PyUnicode_FSConverter(object, &bytes))
        return NULL;
    char *copy = copy_bytes(request, bytes);
    Py_DECREF(bytes);
    return copy;
}

static int
copy_optional_path(Request *request, PyObject *object, char **place)
{
    *place = NULL;
    return object == Py_None || (*place = copy_path(request, object)) != NULL;
}

static int
copy_argv(Request *request, PyObject *list)
{
    Py_ssize_t count = PyList_Size(list);
    if (count < 0)
        return 0;
    request->argv = reserve(request, ((size_t)count + 1) * sizeof(char *));
    if (request->argv == NULL)
        return 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        if ((request->argv[i] = copy_path(request, PyList_GetItem(list, i))) == NULL)
            return 0;
    }
    request->argv[count] = NULL;
    return 1;
}

/* In one block, as they stand: PyOS's own os.environ writes through to them. */
static int
copy_our_environment(Request *request)
{
    size_t count = 0, size = 0;
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        count++;
        size += strlen(*entry) + 1;
    }
    request->envp = reserve(request, (count + 1) * sizeof(char *) + size);
    if (request->envp == NULL)
        return 0;
    char *room = (char *)(request->envp + count + 1);
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(environ[i]) + 1;
        request->envp[i] = memcpy(room, environ[i], length);
        room += length;
    }
    request->envp[count] = NULL;
    return 1;
}

static char *
copy_variable(Request *request, PyObject *item)
{
    PyObject *name = NULL, *value = NULL;
    char *name_text, *value_text, *copy = NULL;
    Py_ssize_t name_size, value_size;
    if (!PyUnicode_FSConverter(PyTuple_GetItem(item, 0), &name) ||
        !PyUnicode_FSConverter(PyTuple_GetItem(item, 1), &value) ||
        PyBytes_AsStringAndSize(name, &name_text, &name_size) < 0 ||
        PyBytes_AsStringAndSize(value, &value_text, &value_size) < 0)
        goto done;
    if (memchr(name_text, '=', (size_t)name_size) != NULL) {
        PyErr_SetString(PyExc_ValueError, "illegal environment variable name");
        goto done;
    }
    copy = reserve(request, (size_t)(name_size + value_size) + 2);
    if (copy != NULL) {
        memcpy(copy, name_text, (size_t)name_size);
        copy[name_size] = '=';
        memcpy(copy + name_size + 1, value_text, (size_t)value_size + 1);
    }
done:
    Py_XDECREF(name);
    Py_XDECREF(value);
    return copy;
}

static int
copy_environment(Request *request, PyObject *mapping)
{
    if (mapping == Py_None)
        return copy_our_environment(request);
    PyObject *items = PyMapping_Items(mapping);
    if (items == NULL)
        return 0;
    int ok = 0;
    Py_ssize_t count = PyList_Size(items);
    request->envp = reserve(request, ((size_t)count + 1) * sizeof(char *));
    if (request->envp == NULL)
        goto done;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PyList_GetItem(items, i);
        if (!PyTuple_Check(item) || PyTuple_Size(item) != 2) {
            PyErr_SetString(PyExc_TypeError, "env must be a mapping");
            goto done;
        }
        if ((request->envp[i] = copy_variable(request, item)) == NULL)
            goto done;
    }
    request->envp[count] = NULL;
    ok = 1;
done:
    Py_DECREF(items);
    return ok;
}

static int
compare_ints(const void *left, const void *right)
{
    int a = *(const int *)left, b = *(const int *)right;
    return (a > b) - (a < b);
}

static int
as_int(PyObject *object, int *place)
{
    long value = PyLong_AsLong(object);
    if (value == -1 && PyErr_Occurred())
        return 0;
    if (value < INT32_MIN || value > INT32_MAX) {
        PyErr_Format(PyExc_OverflowError, "%ld does not fit a C int", value);
        return 0;
    }
    *place = (int)value;
    return 1;
}

/* Each is a number, or the path of a file that the child opens. */
static int
copy_stdio(Request *request, PyObject *wishes)
{
    for (int number = 0; number < 3; number++) {
        PyObject *wish = PyTuple_GetItem(wishes, number);
        if (wish == NULL)
            return 0;
        if (PyLong_Check(wish)) {
            if (!as_int(wish, &request->stdio[number]))
                return 0;
            continue;
        }
        request->stdio[number] = A_FILE;
        if ((request->files[number] = copy_path(request, wish)) == NULL)
            return 0;
    }
    return 1;
}

static int
copy_pass_fds(Request *request, PyObject *tuple)
{
    Py_ssize_t count = PyTuple_Size(tuple);
    if (count < 0)
        return 0;
    request->pass_count = (int)count;
    request->pass_fds = reserve(request, (size_t)count * sizeof(int) + 1);
    if (request->pass_fds == NULL)
        return 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        int is_int = as_int(PyTuple_GetItem(tuple, i), &request->pass_fds[i]);
        if (!is_int || request->pass_fds[i] < 0) {
            PyErr_Format(PyExc_ValueError, "bad value(s) in fds_to_keep");
            return 0;
        }
    }
    qsort(request->pass_fds, (size_t)count, sizeof(int), compare_ints);
    return 1;
}

/* What is cut off would make another user of it: 2**32 is root's number then. */
static int
is_an_id(long long number)
{
    if (number >= -1 && number <= UINT32_MAX)
        return 1;
    PyErr_Format(PyExc_OverflowError, "%lld is not the number of a user or group", number);
    return 0;
}

static int
copy_groups(Request *request, PyObject *groups)
{
    request->group_count = -1;
    if (groups == Py_None)
        return 1;
    if (!PyList_Check(groups)) {
        PyErr_SetString(PyExc_TypeError, "groups must be a list");
        return 0;
    }
    Py_ssize_t count = PyList_Size(groups);
    if (count > sysconf(_SC_NGROUPS_MAX)) {
        PyErr_SetString(PyExc_ValueError, "too many extra_groups");
        return 0;
    }
    request->groups = reserve(request, (size_t)count * sizeof(gid_t) + 1);
    if (request->groups == NULL)
        return 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        long long gid = PyLong_AsLongLong(PyList_GetItem(groups, i));
        if (PyErr_Occurred() || gid < 0 || gid > UINT32_MAX) {
            PyErr_SetString(PyExc_ValueError, "invalid group id");
            return 0;
        }
        request->groups[i] = (gid_t)gid;
    }
    request->group_count = (int)count;
    return 1;
}

static int
as_limit(PyObject *object, rlim_t *place)
{
    long long value = PyLong_AsLongLong(object);
    if (value == -1 && PyErr_Occurred())
        return 0;
    *place = value < 0 ? RLIM_INFINITY : (rlim_t)value;
    return 1;
}

static int
copy_limits(Request *request, PyObject *limits)
{
    Py_ssize_t count = PyList_Size(limits);
    if (count < 0)
        return 0;
    request->limit_count = (int)count;
    request->limits = reserve(request, (size_t)count * sizeof(Limit) + 1);
    if (request->limits == NULL)
        return 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *limit = PyList_GetItem(limits, i);
        if (!PyTuple_Check(limit) || PyTuple_Size(limit) != 3) {
            PyErr_SetString(PyExc_TypeError, "a limit is (resource, soft, hard)");
            return 0;
        }
        if (!as_int(PyTuple_GetItem(limit, 0), &request->limits[i].resource) ||
            !as_limit(PyTuple_GetItem(limit, 1), &request->limits[i].value.rlim_cur) ||
            !as_limit(PyTuple_GetItem(limit, 2), &request->limits[i].value.rlim_max))
            return 0;
    }
    return 1;
}

static int
make_scratch(Request *request)
{
    if (request->path == NULL)
        return 1;
    request->scratch = reserve(request, strlen(request->path) + strlen(request->program) + 2);
    return request->scratch != NULL;
}

static Request *
new_request(PyObject *arguments)
{
    PyObject *argv, *program, *path, *env, *cwd, *stdio, *pass_fds, *groups, *limits;
    Request *request = calloc(1, sizeof(Request));
    if (request == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    request->pidfd = -1;
    for (int number = 0; number < 3; number++)
        request->pipes[number][0] = request->pipes[number][1] = -1;
    if (PyArg_ParseTuple(arguments,
                         "KO!OOOOO!pO!ppiOLLiiiiiO!:submit",
                         &request->key,
                         &PyList_Type, &argv,
                         &program, &path, &env, &cwd,
                         &PyTuple_Type, &stdio,
                         &request->close_fds,
                         &PyTuple_Type, &pass_fds,
                         &request->restore_signals, &request->new_session, &request->process_group,
                         &groups, &request->gid, &request->uid,
                         &request->umask, &request->pipesize,
                         &request->nice, &request->death_signal, &request->terminal,
                         &PyList_Type, &limits) &&
        copy_argv(request, argv) && (request->program = copy_path(request, program)) != NULL &&
        copy_optional_path(request, path, &request->path) && copy_optional_path(request, cwd, &request->cwd) &&
        copy_environment(request, env) && copy_stdio(request, stdio) && copy_pass_fds(request, pass_fds) &&
        is_an_id(request->gid) && is_an_id(request->uid) && copy_groups(request, groups) &&
        copy_limits(request, limits) && make_scratch(request)) {
        pthread_sigmask(SIG_BLOCK, NULL, &request->mask);
        request->last_descriptor = (int)sysconf(_SC_OPEN_MAX) - 1;
        return request;
    }
    free_request(request);
    return NULL;
}

/* ---- the type Channel ---- */

static PyObject *
channel_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    if (PyTuple_Size(arguments) != 0 || (keywords != NULL && PyDict_Size(keywords) != 0)) {
        PyErr_SetString(PyExc_TypeError, "Channel takes no arguments");
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Channel *self = (Channel *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    self->done_end = &self->done;
    self->wake_read = self->wake_write = -1;
#ifdef __linux__
    self->wake_read = self->wake_write = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
#else
    int ends[2];
    if (make_pipe(ends) == 0) {
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        fcntl(ends[1], F_SETFL, O_NONBLOCK);
        self->wake_read = ends[0];
        self->wake_write = ends[1];
    }
#endif
    if (self->wake_read < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        Py_DECREF(self);
        return NULL;
    }
    pthread_mutex_lock(&pool.lock);
    self->generation = pool.generation;
    self->next = pool.channels;
    pool.channels = self;
    pthread_mutex_unlock(&pool.lock);
    return (PyObject *)self;
}

static void
unlink_channel(Channel *self)
{
    for (Channel **place = &pool.channels; *place != NULL; place = &(*place)->next) {
        if (*place == self) {
            *place = self->next;
            break;
        }
    }
}

static void
forget_parents_outcomes(Channel *self)
{
    while (self->done != NULL) {
        Request *request = self->done;
        self->done = request->next;
        close_pipes(request, 1);
        close_descriptor(&request->pidfd);
        free_request(request);
    }
}

static void
shut(Channel *self)
{
    pthread_mutex_lock(&pool.lock);
    if (self->generation == pool.generation)
        cancel_requests(self, 1, 0);
    else
        forget_parents_outcomes(self);
    unlink_channel(self);
    if (self->wake_write != self->wake_read)
        close_descriptor(&self->wake_write);
    close_descriptor(&self->wake_read);
    self->wake_write = -1;
    pthread_mutex_unlock(&pool.lock);
}

static void
channel_dealloc(Channel *self)
{
    shut(self);
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(fileno_doc, "fileno()\n--\n\nReturn the descriptor that is readable while there are outcomes to take.");

static PyObject *
channel_fileno(Channel *self, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLong(self->wake_read);
}

PyDoc_STRVAR(submit_doc,
             "submit(key, argv, program, path, env, cwd, stdio, close_fds, pass_fds, restore_signals,\n"
             "       new_session, process_group, groups, gid, uid, umask, pipesize, nice, death_signal,\n"
             "       terminal, limits)\n--\n\nHave a child started; -1, 0 and None stand for what is not wanted.");

static PyObject *
channel_submit(Channel *self, PyObject *arguments)
{
    Request *request = new_request(arguments);
    if (request == NULL)
        return NULL;
    if (self->wake_read < 0 || self->generation != pool.generation) {
        free_request(request);
        PyErr_SetString(PyExc_ValueError, "the channel is closed");
        return NULL;
    }
    request->channel = self;
    int error = 0;
    pthread_mutex_lock(&pool.lock);
    error = pool.threads == 0 ? start_thread() : 0;
    if (error == 0)
        enqueue(request); /* if there can be no further thread, the others will do */
    pthread_mutex_unlock(&pool.lock);
    if (error != 0) {
        free_request(request);
        PyErr_SetString(PyExc_RuntimeError, "can't start new thread");
        return NULL;
    }
    return none();
}

PyDoc_STRVAR(take_doc,
             "take()\n--\n\n"
             "Return an outcome, (key, pid, pidfd, stdin, stdout, stderr, errno, step), or None if there is none.\n\n"
             "Descriptors are -1 where there is none; step names what failed, and is None for a child that lives.");

static PyObject *
channel_take(Channel *self, PyObject *Py_UNUSED(ignored))
{
    pthread_mutex_lock(&pool.lock);
    Request *request = self->generation == pool.generation ? self->done : NULL;
    if (request != NULL) {
        self->done = request->next;
        if (self->done == NULL) {
            self->done_end = &self->done;
            drain(self);
        }
    }
    pthread_mutex_unlock(&pool.lock);
    if (request == NULL)
        return none();
    PyObject *outcome = Py_BuildValue("Kiiiiiiz", request->key, (int)request->pid, request->pidfd,
                                      request->pipes[0][1], request->pipes[1][0], request->pipes[2][0],
                                      request->error, request->step);
    if (outcome != NULL) {
        free_request(request);
        return outcome;
    }
    pthread_mutex_lock(&pool.lock);
    cancel_done(request);
    pthread_mutex_unlock(&pool.lock);
    return NULL;
}

PyDoc_STRVAR(cancel_doc,
             "cancel(key)\n--\n\nDrop what was asked for under this key; a child that lives already is killed and reaped.");

static PyObject *
channel_cancel(Channel *self, PyObject *key)
{
    unsigned long long number = PyLong_AsUnsignedLongLong(key);
    if (PyErr_Occurred())
        return NULL;
    pthread_mutex_lock(&pool.lock);
    if (self->generation == pool.generation) {
        int had_outcomes = self->done != NULL;
        cancel_requests(self, 0, number);
        if (had_outcomes && self->done == NULL)
            drain(self);
    }
    pthread_mutex_unlock(&pool.lock);
    return none();
}

PyDoc_STRVAR(close_doc, "close()\n--\n\nCancel everything that is left, and close the descriptor.");

static PyObject *
channel_close(Channel *self, PyObject *Py_UNUSED(ignored))
{
    shut(self);
    return none();
}

static PyMethodDef channel_methods[] = {
    {"fileno", (PyCFunction)channel_fileno, METH_NOARGS, fileno_doc},
    {"submit", (PyCFunction)channel_submit, METH_VARARGS, submit_doc},
    {"take", (PyCFunction)channel_take, METH_NOARGS, take_doc},
    {"cancel", (PyCFunction)channel_cancel, METH_O, cancel_doc},
    {"close", (PyCFunction)channel_close, METH_NOARGS, close_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot channel_slots[] = {
    {Py_tp_new, channel_new},
    {Py_tp_dealloc, channel_dealloc},
    {Py_tp_methods, channel_methods},
    {Py_tp_doc, "The children that are being started for one event loop."},
    {0, NULL},
};

static PyType_Spec channel_spec = {
    .name = "governess.children._spawn.Channel",
    .basicsize = sizeof(Channel),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = channel_slots,
};

/* ---- the module ---- */

PyDoc_STRVAR(finish_doc,
             "finish(timeout)\n--\n\n"
             "Cancel every child in the making or not taken yet, and wait at most `timeout` seconds for their ends; tell whether it was enough.");

static PyObject *
finish(PyObject *Py_UNUSED(module), PyObject *argument)
{
    double timeout = PyFloat_AsDouble(argument);
    if (PyErr_Occurred())
        return NULL;
    if (!(timeout >= 0 && timeout < 1e9)) {
        PyErr_SetString(PyExc_ValueError, "the timeout must be a number of seconds");
        return NULL;
    }
    struct timespec until = moment_in(timeout);
    int is_at_rest;
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(&pool.lock);
    for (Channel *channel = pool.channels; channel != NULL; channel = channel->next)
        cancel_requests(channel, 1, 0);
    while (pool.running != NULL || pool.queue != NULL) {
        if (pthread_cond_timedwait(&pool.rest, &pool.lock, &until) != 0)
            break;
    }
    is_at_rest = pool.running == NULL && pool.queue == NULL;
    pthread_mutex_unlock(&pool.lock);
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(is_at_rest);
}

PyDoc_STRVAR(get_way_doc, "get_way()\n--\n\nReturn 'clone with a pidfd', 'clone' or 'vfork': how children are started.");

static const char *const WAYS[] = {"clone with a pidfd", "clone", "vfork"};

static PyObject *
get_way(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return PyUnicode_FromString(WAYS[way]);
}

PyDoc_STRVAR(set_way_doc, "set_way(name)\n--\n\nStart children in this way from now on; for tests.");

static PyObject *
set_way(PyObject *Py_UNUSED(module), PyObject *name)
{
    for (int number = 0; number < 3; number++) {
        if (PyUnicode_CompareWithASCIIString(name, WAYS[number]) != 0)
            continue;
#ifndef __linux__
        if (number != BY_VFORK)
            break;
#endif
        way = number;
        return none();
    }
    PyErr_Format(PyExc_ValueError, "there is no way %R to start a child here", name);
    return NULL;
}

#ifdef __linux__
PyDoc_STRVAR(reap_doc,
             "reap(pidfd)\n--\n\n"
             "Reap a child of ours; return (returncode, core_dumped, rusage), or None while it lives.\n\n"
             "The rusage is a tuple for resource.struct_rusage. ChildProcessError: somebody else has reaped it.");

/* As waitid(2) has it in the kernel: os.waitid() leaves the rusage out, and os.wait4() takes no pidfd. It does not block,
   so the GIL stays. */
static PyObject *
reap_child(PyObject *Py_UNUSED(module), PyObject *object)
{
    int pidfd;
    siginfo_t info = {0};
    long usage[18] = {0}; /* linux/resource.h: two times, then numbers */
    if (!as_int(object, &pidfd))
        return NULL;
    if (syscall(SYS_waitid, A_PIDFD, pidfd, &info, WEXITED | WNOHANG, usage) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    if (info.si_pid == 0)
        return none();
    PyObject *numbers = PyTuple_New(16);
    for (int place = 0; numbers != NULL && place < 16; place++) {
        long *time = usage + 2 * place;
        PyObject *number = place < 2 ? PyFloat_FromDouble((double)time[0] + 1e-6 * (double)time[1])
                                     : PyLong_FromLong(usage[place + 2]);
        if (number == NULL || PyTuple_SetItem(numbers, place, number) < 0)
            Py_CLEAR(numbers);
    }
    if (numbers == NULL)
        return NULL;
    int returncode = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    return Py_BuildValue("iNN", returncode, PyBool_FromLong(info.si_code == CLD_DUMPED), numbers);
}
#endif

static PyMethodDef functions[] = {
    {"finish", finish, METH_O, finish_doc},
    {"get_way", get_way, METH_NOARGS, get_way_doc},
#ifdef __linux__
    {"reap", reap_child, METH_O, reap_doc},
#endif
    {"set_way", set_way, METH_O, set_way_doc},
    {NULL, NULL, 0, NULL},
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
prepare_for_forks(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

static int
execute_module(PyObject *module)
{
    pthread_once(&once, prepare_for_forks);
    PyObject *type = PyType_FromModuleAndSpec(module, &channel_spec, NULL);
    int result = type == NULL ? -1 : PyModule_AddObjectRef(module, "Channel", type);
    Py_XDECREF(type);
    if (result == 0)
        result = PyModule_AddIntConstant(module, "INHERIT", INHERIT);
    return result;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, execute_module},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_spawn",
    .m_doc = "Starting children without Python and without the GIL.",
    .m_size = 0,
    .m_methods = functions,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__spawn(void)
{
    return PyModuleDef_Init(&module_definition);
}

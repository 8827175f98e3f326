/* A child is started as posix_spawn(3) of glibc does it: clone() with CLONE_VM, on a stack of its own, with all signals
   blocked. Three things are added or different:

   - CLONE_PIDFD (Linux 5.2): pid and pidfd come together, and before the child runs.
   - CLONE_CHILD_CLEARTID instead of CLONE_VFORK: the thread waits for the exec on a futex, where signals reach it.
     setuid(2) and its like of glibc send one to every thread and wait for the answer; a thread in vfork gives none
     before the exec, which can take long. (musl's clone() refuses this flag.)
   - What the system refuses is not tried again. */

#include "spawn.h"

#include <fcntl.h>
#include <pthread.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sched.h>
#include <sys/prctl.h>
#endif

/* ---- the ways to start a child, the best first ---- */

enum { CLONE_WITH_PIDFD, VFORK_WITH_PIDFD, PLAIN_CLONE, PLAIN_VFORK };

static const char *const WAYS[] = {"clone with a pidfd", "vfork with a pidfd", "clone", "vfork"};

#ifdef __linux__
static volatile int way = CLONE_WITH_PIDFD;
#else
static volatile int way = PLAIN_VFORK;
#endif

int
name_way(const char *name)
{
    for (int number = 0; number <= PLAIN_VFORK; number++) {
        if (strcmp(name, WAYS[number]) != 0)
            continue;
#ifndef __linux__
        if (number != PLAIN_VFORK)
            break;
#endif
        return number;
    }
    return -1;
}

const char *
get_way_name(void)
{
    return WAYS[way];
}

void
set_way_number(int number)
{
    way = number;
}

/* Whether a start that takes long is noticed: a thread in vfork notices nothing. */
int
tells_slow_starts(void)
{
    return way == CLONE_WITH_PIDFD || way == PLAIN_CLONE;
}

/* ---- descriptors ---- */

void
close_descriptor(int *descriptor)
{
    if (*descriptor >= 0) {
        close(*descriptor);
        *descriptor = -1;
    }
}

void
close_childs_ends(Request *request)
{
    for (int number = 0; number < 3; number++)
        close_descriptor(&request->pipes[number][!ours(number)]);
}

void
close_pipes(Request *request)
{
    close_childs_ends(request);
    for (int number = 0; number < 3; number++)
        close_descriptor(&request->pipes[number][ours(number)]);
}

int
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
            request->pipes[number][0] = request->pipes[number][1] = -1;
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
keep(Request *request, int descriptor)
{
    if (descriptor < 3)
        return;
    int place = request->keep_count;
    for (; place > 0 && request->keep_fds[place - 1] >= descriptor; place--) {
        if (request->keep_fds[place - 1] == descriptor)
            return;
    }
    memmove(request->keep_fds + place + 1, request->keep_fds + place, (size_t)(request->keep_count - place) * sizeof(int));
    request->keep_fds[place] = descriptor;
    request->keep_count++;
}

/* A descriptor that a path leads through. */
static void
keep_named(Request *request, const char *path)
{
    static const char *const PREFIXES[] = {"/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/"};
    for (int i = 0; path != NULL && i < 3; i++) {
        size_t length = strlen(PREFIXES[i]);
        if (strncmp(path, PREFIXES[i], length) == 0 && path[length] >= '0' && path[length] <= '9')
            keep(request, atoi(path + length));
    }
}

/* Makes the pipes, and the list of what the child needs until exec. */
int
prepare_descriptors(Request *request)
{
    if (make_pipes(request) < 0)
        return -1;
    for (int i = 0; i < request->pass_count; i++)
        keep(request, request->pass_fds[i]);
    for (int number = 0; number < 3; number++) {
        keep(request, request->stdio[number] == PIPE ? request->pipes[number][!ours(number)] : request->stdio[number]);
        keep_named(request, request->files[number]);
    }
    keep(request, request->terminal);
    if (request->guardian != NULL)
        keep(request, request->guardian->descriptor);
    keep_named(request, request->cwd);
    if (!request->close_fds)
        keep_named(request, request->program);
    return 0;
}

/* ---- clone ---- */

UNCHECKED static void
start_by_vfork(Request *request)
{
    pid_t pid = vfork();
    if (pid == 0) {
        if (getppid() == request->parent) /* else its number here is not its number there: pid_namespaces(7) */
            request->pid = getpid();
        be_the_child(request);
    }
    request->pid = pid;
}

#ifdef __linux__

static int
start_by_clone(Request *request, char *stack, int by)
{
    static const int FLAGS[] = {
        [CLONE_WITH_PIDFD] = CLONE_CHILD_CLEARTID | CLONE_PIDFD,
        [VFORK_WITH_PIDFD] = CLONE_VFORK | CLONE_PIDFD,
        [PLAIN_CLONE] = CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID,
    };
    volatile int *told = &request->pid;
    if (FLAGS[by] & CLONE_PIDFD)
        told = FLAGS[by] & CLONE_VFORK ? &request->pidfd : &request->told_pidfd;
    request->before_exec = FLAGS[by] & CLONE_VFORK ? 0 : 1;
    pid_t pid = clone(be_the_child, stack + CHILD_STACK, CLONE_VM | SIGCHLD | FLAGS[by], request, told, NULL,
                      &request->before_exec);
    if (pid < 0) {
        request->before_exec = 0;
        request->pidfd = request->told_pidfd = -1;
    }
    else if (told == &request->told_pidfd) {
        request->pidfd = request->told_pidfd;
        __sync_synchronize(); /* a fork at this point sees at least one of the two */
        request->told_pidfd = -1; /* its number may mean something else when the pidfd is closed */
    }
    request->pid = pid;
    return pid >= 0;
}

/* Tries one way after the other; what is refused for good is left out from then on. */
static void
clone_child(Request *request, char *stack)
{
    int is_lasting = 1;
    for (int by = way; by < PLAIN_VFORK; by++) {
        if (start_by_clone(request, stack, by)) {
            if (is_lasting)
                way = by;
            return;
        }
        if (errno == EAGAIN || errno == ENOMEM)
            return;
        if (errno == EMFILE || errno == ENFILE) { /* those are of the moment */
            is_lasting = 0;
            by = VFORK_WITH_PIDFD;
        }
    }
    if (is_lasting)
        way = PLAIN_VFORK;
    start_by_vfork(request);
}

#define SLOW 20 /* milliseconds */

/* Not by syscall(): it would write into errno, which the child, that has our thread's memory, reads just then. */
static void
wait_while_set(int *word, long milliseconds)
{
    struct {
        long seconds, nanoseconds;
    } limit = {milliseconds / 1000, milliseconds % 1000 * 1000000};
#if defined(__x86_64__) && !defined(__ILP32__)
    long result;
    register void *timeout __asm__("r10") = &limit;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(SYS_futex), "D"(word), "S"(FUTEX_WAIT), "d"(1), "r"(timeout)
                     : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long number __asm__("x8") = SYS_futex;
    register void *place __asm__("x0") = word;
    register long operation __asm__("x1") = FUTEX_WAIT, value __asm__("x2") = 1;
    register void *timeout __asm__("x3") = &limit;
    __asm__ volatile("svc 0" : "+r"(place) : "r"(number), "r"(operation), "r"(value), "r"(timeout) : "memory");
#elif defined(SYS_futex)
    syscall(SYS_futex, word, FUTEX_WAIT, 1, &limit);
#else
    (void)word;
    usleep(1000);
    (void)limit;
#endif
}

/* Kernels before 4.8 leave the word alone when a signal kills the child, and later ones when it dumps core: so look from
   time to time. */
static void
wait_for_exec(Request *request, void (*when_slow)(Request *))
{
    for (long limit = SLOW; __atomic_load_n(&request->before_exec, __ATOMIC_ACQUIRE) != 0; limit = 1000) {
        wait_while_set(&request->before_exec, limit);
        siginfo_t info = {0};
        if (limit == SLOW && __atomic_load_n(&request->before_exec, __ATOMIC_ACQUIRE) != 0)
            when_slow(request);
        if (__atomic_load_n(&request->before_exec, __ATOMIC_ACQUIRE) != 0 &&
            (waitid(P_PID, (id_t)request->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ? errno == ECHILD
                                                                                        : info.si_pid != 0))
            return;
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

void
forget_identity_lock(void)
{
#ifdef __linux__
    pthread_mutex_init(&one_identity, NULL);
#endif
}

/* Returns when the child has exec'ed or failed. All signals are blocked. */
void
start_child(Request *request, char *stack, void (*when_slow)(Request *))
{
    if (prepare_descriptors(request) < 0)
        return;
    request->parent = getpid();
#ifdef __linux__
    int dumpable = hold_identity(request);
    if (way != PLAIN_VFORK)
        clone_child(request, stack);
    else
        start_by_vfork(request);
    int error = errno;
    if (request->pid > 0) {
        request->is_born = 1;
        __sync_synchronize(); /* cancel_running() sets `cancelled`, and then looks for the child */
        if (request->cancelled) /* perhaps before there was anybody to kill */
            kill_child(request);
        wait_for_exec(request, when_slow);
    }
    release_identity(dumpable);
#else
    (void)stack;
    (void)when_slow;
    start_by_vfork(request);
    int error = errno;
#endif
    if (request->pid < 0) {
        request->error = error;
        request->step = "fork";
    }
}

/* ---- the end of a child that is not wanted, or has failed ---- */

static int
is_unreaped(pid_t pid)
{
    siginfo_t info;
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

static int
signal_by_pidfd(Request *request, unsigned flags)
{
#ifdef __linux__
    return request->pidfd >= 0 && syscall(SYS_pidfd_send_signal, request->pidfd, SIGKILL, NULL, flags) == 0;
#else
    (void)request;
    (void)flags;
    return 0;
#endif
}

/* In a fork of this process: closes the pidfd of a child that was being made, if the kernel has installed it already.
   Until the child runs, nothing but the kernel knows whether it does. */
void
forget_parents_pidfd(Request *request)
{
    if (request->pidfd < 0)
        request->pidfd = request->told_pidfd;
#ifdef __linux__
    if (!request->is_born && (request->pidfd < 0 ||
                              (syscall(SYS_pidfd_send_signal, request->pidfd, 0, NULL, 0) < 0 && errno != ESRCH)))
        return;
#endif
    close_descriptor(&request->pidfd);
}

/* By its pidfd, or where there is none or the call is refused, by its number, which it keeps until it is reaped. */
void
kill_child(Request *request)
{
    if (!request->is_born || signal_by_pidfd(request, 0))
        return;
    if (request->pid > 0 && is_unreaped(request->pid))
        kill(request->pid, SIGKILL);
}

/* Whoever is in the group that it leads (PIDFD_SIGNAL_PROCESS_GROUP: Linux 6.9). */
static void
kill_group(Request *request)
{
    const unsigned its_group = 1U << 2;
    if (!request->new_session && request->process_group != 0)
        return;
    if (!signal_by_pidfd(request, its_group) && is_unreaped(request->pid))
        kill(-request->pid, SIGKILL);
}

/* Kills the child, if it has not failed by itself, and reaps it. */
void
end_child(Request *request)
{
    if (request->pid <= 0)
        return;
    if (request->step == NULL) {
        kill_child(request);
        kill_group(request);
    }
    while (waitpid(request->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    tell_guardian(request, 0); /* it may have told, and been killed before it could note that */
}

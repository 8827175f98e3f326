/* The floor: what one machine can do. Children by posix_spawn, watched by pidfd and epoll, in one thread or more.

   floor THREADS COUNT AT_ONCE PIPES COMMAND...

   With PIPES = 1 the output of each child is read to its end as well. Prints seconds, its own CPU seconds, and those of
   the children. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct child {
    pid_t pid;
    int pidfd, pipe; /* -1 when done with */
};

extern char **environ;
static atomic_int left;
static int per_thread, with_pipes;
static char **command;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* Have epoll tell of `fd`; the lowest bit of a child's address says which of its two descriptors it is. */
static void watch(int poll, int fd, struct child *child, int is_pipe)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uintptr_t)child | (uintptr_t)is_pipe};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

static void start(int poll, struct child *child)
{
    posix_spawn_file_actions_t actions;
    int ends[2] = {-1, -1}, error;
    posix_spawn_file_actions_init(&actions);
    if (with_pipes) {
        if (pipe2(ends, O_CLOEXEC) != 0) fail("pipe2");
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    }
    if ((error = posix_spawn(&child->pid, command[0], &actions, NULL, command, environ)) != 0) {
        fprintf(stderr, "posix_spawn: %s\n", strerror(error));
        exit(1);
    }
    posix_spawn_file_actions_destroy(&actions);
    child->pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
    if (child->pidfd < 0) fail("pidfd_open");
    watch(poll, child->pidfd, child, 0);
    child->pipe = ends[0];
    if (with_pipes) {
        close(ends[1]);
        watch(poll, child->pipe, child, 1);
    }
}

/* Unregister before closing: a child of another thread that has not exec'ed yet holds the same file, and epoll would
   tell of it for ever. */
static void forget(int poll, int *fd)
{
    epoll_ctl(poll, EPOLL_CTL_DEL, *fd, NULL);
    close(*fd);
    *fd = -1;
}

/* Take what is ready; return whether the child is done with. */
static int take(int poll, struct child *child, int is_pipe)
{
    char buffer[65536];
    if (is_pipe) {
        if (read(child->pipe, buffer, sizeof buffer) > 0) return 0;
        forget(poll, &child->pipe);
    } else {
        int status;
        waitpid(child->pid, &status, 0);
        forget(poll, &child->pidfd);
    }
    return child->pipe < 0 && child->pidfd < 0;
}

static void *work(void *unused)
{
    int poll = epoll_create1(EPOLL_CLOEXEC), living = 0;
    struct child *free_ones[per_thread], *children = calloc((size_t)per_thread, sizeof *children);
    (void)unused;
    for (int i = 0; i < per_thread; i++) free_ones[i] = &children[i];
    for (;;) {
        while (living < per_thread && atomic_fetch_sub(&left, 1) > 0) start(poll, free_ones[per_thread - ++living]);
        if (living == 0) break;
        struct epoll_event events[64];
        int count = epoll_wait(poll, events, 64, -1);
        for (int i = 0; i < count; i++) {
            struct child *child = (struct child *)(uintptr_t)(events[i].data.u64 & ~(uint64_t)1);
            if (take(poll, child, events[i].data.u64 & 1)) free_ones[per_thread - living--] = child;
        }
    }
    free(children);
    close(poll);
    return NULL;
}

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

static double cpu_of(const struct rusage *used) { return seconds(used->ru_utime) + seconds(used->ru_stime); }

int main(int argc, char **argv)
{
    if (argc < 6) return fprintf(stderr, "floor THREADS COUNT AT_ONCE PIPES COMMAND...\n"), 2;
    int threads = atoi(argv[1]), at_once = atoi(argv[3]);
    if (threads > at_once) threads = at_once;
    left = atoi(argv[2]);
    per_thread = at_once / threads;
    with_pipes = atoi(argv[4]);
    command = argv + 5;
    struct timespec a, b;
    pthread_t ids[threads];
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (int i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, work, NULL) != 0) fail("pthread_create");
    for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
    clock_gettime(CLOCK_MONOTONIC, &b);
    struct rusage own, children;
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &children);
    printf("%.9f %.9f %.9f\n", (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9, cpu_of(&own),
           cpu_of(&children));
    return 0;
}

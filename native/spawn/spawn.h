/* What the files of the extension _spawn share: a request, and the functions from file to file.

   Channel.submit() copies everything that a child needs into a Request (request.c) and hands it to a new thread, which
   the calling thread makes (pool.c): the child gets what that thread has inherited from its maker. The thread starts the
   child (start.c, and child.c up to exec) and puts the outcome into the list of the channel (channel.c), whose
   descriptor is readable as long as that list is not empty. */

#ifndef GOVERNESS_SPAWN_H
#define GOVERNESS_SPAWN_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define PY_SSIZE_T_CLEAN
/* One build serves 3.11 and later. A free-threaded Python, which says so in pyconfig.h, has no limited API before 3.15;
   from then on it has one of its own (PEP 803), which setup.py asks for by Py_TARGET_ABI3T. */
#include <pyconfig.h>
#if !defined(Py_LIMITED_API) && !defined(Py_GIL_DISABLED) && !defined(Py_TARGET_ABI3T)
#define Py_LIMITED_API 0x030B0000
#endif
#include <Python.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#endif

/* AddressSanitizer takes the child's stack for damage of ours; its own functions need more of one. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif
#ifdef SANITIZED
#define UNCHECKED __attribute__((no_sanitize_address))
#define CHILD_STACK (64 * 1024)
#else
#define UNCHECKED
#define CHILD_STACK (6 * 1024)
#endif

/* What a standard descriptor can be besides a descriptor; the first three as in the subprocess module, the others no
   number that somebody takes for a descriptor by mistake. */
enum { PIPE = -1, STDOUT = -2, DEVNULL = -3, INHERIT = INT32_MIN, A_FILE = INT32_MIN + 1 };

typedef struct Block {
    struct Block *next;
} Block;

typedef struct {
    int resource;
    struct rlimit value;
} Limit;

/* A copy of the socket to the guardian, which the requests share that were made with it. */
typedef struct Connection {
    struct Connection *next;
    int descriptor;
    int references;
    unsigned long long number;
} Connection;

typedef struct Request {
    struct Request *next;    /* in a list of running, waiting or finished requests */
    struct Channel *channel; /* NULL: nobody waits any more */
    void *interpreter;
    unsigned long long key;
    Block *memory;

    /* What is asked for. */
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
    int keep_count;
    int *keep_fds; /* pass_fds, and what the child needs until exec; sorted */
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
    Connection *guardian; /* who reads there ends the child when this process is gone; NULL: nobody */
    long long guard_key;
    int guard_scope;
    int limit_count;
    Limit *limits;
    sigset_t mask;
    int last_descriptor;

    /* What comes of it. */
    pid_t parent;
    int pipes[3][2];         /* under the pool's lock once they are open, so that a fork knows them */
    volatile int is_born;    /* set by the child: until then neither pid nor pidfd mean anything */
    volatile pid_t pid;
    int pidfd;
    volatile int told_pidfd; /* written by the kernel during clone(); invalid if clone() fails */
    int before_exec;         /* the kernel sets it to 0 when the child execs or dies (CLONE_CHILD_CLEARTID) */
    volatile int is_guarded; /* set by the child: the guardian was told of it */
    volatile int cancelled;
    volatile int error;
    const char *volatile step;
    int is_slow;             /* it counts no more among those on their way */
    int is_over;             /* the child is being reaped: it is not signalled any more */
} Request;

/* request.c: from Python's objects */
Request *new_request(PyObject *arguments);
void free_request(Request *request);
int as_int(PyObject *object, int *place);

/* connection.c: the socket to the guardian */
Connection *share_connection(PyObject *socket, unsigned long long number);
void release_connection(Connection *connection);
void forget_connections(void);

/* child.c: in the child, up to exec */
int be_the_child(void *request);
void tell_guardian(Request *request, int is_to_guard);
extern const char *const STREAMS[3];

/* start.c: clone(2) and its kin */
int name_way(const char *name); /* -1: there is none of that name here */
const char *get_way_name(void);
void set_way_number(int number);
int make_pipe(int *ends);
int prepare_descriptors(Request *request);
void start_child(Request *request, char *stack, void (*when_slow)(Request *));
int tells_slow_starts(void);
void kill_child(Request *request);
void end_child(Request *request);
void forget_parents_pidfd(Request *request);
void close_descriptor(int *descriptor);
void close_childs_ends(Request *request);
void close_pipes(Request *request);
void forget_identity_lock(void);

static inline int
ours(int number)
{
    return number == 0 ? 1 : 0; /* we write to its input and read from its outputs */
}

#endif

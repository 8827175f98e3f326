/* The child between clone and exec.

   It shares our memory, so it makes system calls and nothing else, and tells by two fields of its Request which of them
   failed. It must not call what glibc resolves late (the extension is linked with -z now) or takes a lock for. The
   wrappers of setuid(2) and its like reach for the other threads (nptl(7)), so those calls are raw. */

#include "spawn.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/ioctl.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/socket.h>
#endif

const char *const STREAMS[3] = {"stdin", "stdout", "stderr"};

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

/* ---- life and death with the parent ---- */

#ifdef __linux__
/* getppid() is 0 in a new PID namespace (pid_namespaces(7)), whose parent outside cannot be seen. */
UNCHECKED static void
stop_without_parent(Request *request)
{
    pid_t parent = getppid();
    if (parent != request->parent && parent != 0)
        _exit(255);
}
#endif

/* Until exec the child dies with its parent in any case: it may wait for a FIFO, and nobody knows of it. */
UNCHECKED static int
die_with_parent_for_now(Request *request)
{
#ifdef __linux__
    int is_set = prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0, 0, 0) == 0;
    stop_without_parent(request);
    return is_set;
#else
    (void)request;
    return 0;
#endif
}

/* After the change of user, which takes it back: prctl(2). A child that cannot take it back would be killed with the
   thread that starts it. */
UNCHECKED static void
die_with_parent_as_asked(Request *request, int dies_with_it_now)
{
#ifdef __linux__
    if (prctl(PR_SET_PDEATHSIG, (unsigned long)request->death_signal, 0, 0, 0) < 0 &&
        (request->death_signal != 0 || dies_with_it_now))
        fail(request, "parent_death_signal", errno);
    if (request->death_signal != 0)
        stop_without_parent(request);
#else
    (void)dies_with_it_now;
    if (request->death_signal != 0)
        fail(request, "parent_death_signal", ENOSYS);
#endif
}

/* A message as children/_guardian/main.py reads it: a key, what is to be ended, a pid, whether the kernel sends a TERM, and
   with it the pidfd. The child tells of itself before its first instruction, as its parent may be killed at any moment
   after that. If there is no room in the socket for a while, nobody is told; the parent looks at `is_guarded`. */
UNCHECKED void
tell_guardian(Request *request, int is_to_guard)
{
#if defined(__linux__) && defined(SYS_sendmsg)
    enum { FORGET = 1 };
    int pidfd = -1;
    int64_t words[4] = {request->guard_key, FORGET, 0, 0};
    struct iovec part = {words, sizeof words};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    char rights[CMSG_SPACE(sizeof(int))] __attribute__((aligned(sizeof(size_t)))) = {0};
    if (request->guardian == NULL)
        return;
    if (is_to_guard) {
        if (getppid() != request->parent) /* our number means another one there: pid_namespaces(7) */
            return;
        words[1] = request->guard_scope;
        words[2] = getpid();
        words[3] = 1;
        pidfd = (int)syscall(SYS_pidfd_open, words[2], 0);
        if (pidfd < 0)
            return;
        message.msg_control = rights;
        message.msg_controllen = sizeof rights;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        *(int *)CMSG_DATA(header) = pidfd;
    }
    int flags = is_to_guard ? MSG_NOSIGNAL : MSG_NOSIGNAL | MSG_DONTWAIT;
    int is_sent = syscall(SYS_sendmsg, request->guardian->descriptor, &message, flags) == (long)sizeof words;
    if (is_to_guard) {
        request->is_guarded = is_sent;
        close(pidfd);
    }
#else
    (void)request;
    (void)is_to_guard;
#endif
}

/* ---- descriptors ---- */

UNCHECKED static int
is_in(const int *numbers, int count, int wanted)
{
    for (int i = 0; i < count; i++) {
        if (numbers[i] == wanted)
            return 1;
    }
    return 0;
}

UNCHECKED static int
close_by_range(Request *request)
{
#if defined(__linux__) && !defined(WITHOUT_CLOSE_RANGE)
    unsigned first = 3;
    for (int i = 0; i < request->keep_count; i++) {
        unsigned kept = (unsigned)request->keep_fds[i];
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

/* As proc(5) allows, descriptors are closed while the directory is read. */
UNCHECKED static int
close_by_list(Request *request, int only_close_on_exec)
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
            if (*name != '\0' || descriptor <= 2 || descriptor == directory ||
                is_in(request->keep_fds, request->keep_count, descriptor))
                continue;
            if (!only_close_on_exec || (fcntl(descriptor, F_GETFD) & FD_CLOEXEC))
                close(descriptor);
        }
    }
    close(directory);
    return size == 0;
#else
    (void)request;
    (void)only_close_on_exec;
    return 0;
#endif
}

/* First of all, before any open, chdir or exec that can take long: meanwhile nobody shall wait for the end of a file
   that this child alone holds, and no script be busy. */
UNCHECKED static void
close_others(Request *request)
{
    int only_close_on_exec = !request->close_fds;
    if ((!only_close_on_exec && close_by_range(request)) || close_by_list(request, only_close_on_exec))
        return;
    for (int descriptor = 3; descriptor <= request->last_descriptor; descriptor++) {
        if (is_in(request->keep_fds, request->keep_count, descriptor))
            continue;
        if (!only_close_on_exec || (fcntl(descriptor, F_GETFD) & FD_CLOEXEC))
            close(descriptor);
    }
}

UNCHECKED static void
pass_descriptors(Request *request)
{
    for (int i = 0; i < request->pass_count; i++)
        NOT(fcntl(request->pass_fds[i], F_SETFD, 0), "pass_fds");
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

/* A descriptor of the caller's that the child needs only until exec. */
UNCHECKED static void
close_at_exec(Request *request, int descriptor)
{
    if (request->close_fds && descriptor > 2 && !is_in(request->pass_fds, request->pass_count, descriptor))
        fcntl(descriptor, F_SETFD, FD_CLOEXEC);
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
    close_at_exec(request, request->terminal);
    for (int number = 1; number < 3; number++) { /* save what would be overwritten before its turn */
        if (source[number] >= 0 && source[number] < number)
            NOT(source[number] = fcntl(source[number], F_DUPFD_CLOEXEC, 3), STREAMS[number]);
    }
    for (int number = 0; number < 3; number++) {
        if (source[number] == number)
            NOT(fcntl(number, F_SETFD, 0), STREAMS[number]); /* inheritable */
        else if (source[number] != INHERIT)
            NOT(dup2(source[number], number), STREAMS[number]);
        close_at_exec(request, source[number]);
    }
}

/* ---- signals ---- */

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
    for (int number = 1; number < NSIG; number++) {
        Disposition found = {0};
        if (disposition_of(number, &found) < 0)
            continue;
        int is_set = HANDLER(found) != SIG_DFL && HANDLER(found) != SIG_IGN;
        int is_pythons = request->restore_signals && (number == SIGPIPE || number == SIGXFSZ);
        if (is_set || is_pythons)
            set_disposition(number, &by_default);
    }
}

/* ---- identity and limits ---- */

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

/* ---- exec ---- */

/* A program is "Text file busy" while somebody has it open for writing: often a child of another thread that is between
   fork and exec, and holds a copy of the descriptor (golang.org/issue/22315). So try again, for a quarter of a second. */
UNCHECKED static void
execute_file(Request *request, const char *file)
{
    for (long pause = 1000000; ; pause *= 2) { /* nanoseconds */
        execve(file, request->argv, request->envp);
        if (errno != ETXTBSY || pause > 128000000)
            return;
        stop_if_cancelled(request);
        struct timespec time = {.tv_sec = 0, .tv_nsec = pause};
        nanosleep(&time, NULL);
        errno = ETXTBSY;
    }
}

UNCHECKED static void
execute(Request *request)
{
    if (request->path == NULL) {
        execute_file(request, request->program);
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
        execute_file(request, request->scratch);
        if (errno != ENOENT && errno != ENOTDIR && error == 0)
            error = errno;
        if (entry[length] == '\0')
            break;
        entry += length + 1;
    }
    fail(request, "exec", error != 0 ? error : errno);
}

/* The order is that of CPython's _posixsubprocess, but that other descriptors are closed first. */
UNCHECKED int
be_the_child(void *argument)
{
    Request *request = argument;
    request->is_born = 1;
    int dies_with_it_now = die_with_parent_for_now(request);
    stop_if_cancelled(request);
    close_others(request);
    tell_guardian(request, 1);
    pass_descriptors(request);
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
    die_with_parent_as_asked(request, dies_with_it_now);
    stop_if_cancelled(request);
    sigprocmask(SIG_SETMASK, &request->mask, NULL);
    execute(request);
    return 255; /* never */
}

/* Every exec below this process waits inside the kernel, as it does when the program lies on a slow disk.

   slow_exec MILLISECONDS COMMAND...

   A seccomp filter sends each execve to this supervisor (SECCOMP_RET_USER_NOTIF, seccomp_unotify(2)), which lets it go
   on after that time. The exec of COMMAND itself is not delayed. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAITING 4096

static void fail(const char *what)
{
    perror(what);
    exit(125);
}

static int listen_for_exec(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execve, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execveat, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("PR_SET_NO_NEW_PRIVS");
    int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    if (listener < 0) fail("seccomp");
    return listener;
}

static union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
} control;

static struct msghdr message_with_descriptor(struct iovec *byte)
{
    struct msghdr message = {.msg_iov = byte, .msg_iovlen = 1};
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    return message;
}

static void send_descriptor(int socket, int fd)
{
    char zero = 0;
    struct iovec byte = {&zero, 1};
    struct msghdr message = message_with_descriptor(&byte);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    if (sendmsg(socket, &message, 0) < 0) fail("sendmsg");
}

static int receive_descriptor(int socket)
{
    char zero;
    int fd;
    struct iovec byte = {&zero, 1};
    struct msghdr message = message_with_descriptor(&byte);
    if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) <= 0 || CMSG_FIRSTHDR(&message) == NULL) exit(125);
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void let_go(int listener, uint64_t id)
{
    struct seccomp_notif_resp answer = {.id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) != 0 && errno != ENOENT) fail("SECCOMP_IOCTL_NOTIF_SEND");
}

/* All wait equally long, so they go in the order in which they came. */
static void supervise(int listener, int pidfd, int delay)
{
    static struct { uint64_t id; int64_t due; } waiting[WAITING];
    unsigned first = 0, next = 0;
    int is_command = 1;
    for (;;) {
        while (first != next && waiting[first % WAITING].due <= now()) let_go(listener, waiting[first++ % WAITING].id);
        int patience = first == next ? -1 : (int)(waiting[first % WAITING].due - now());
        struct pollfd sources[] = {{listener, POLLIN, 0}, {pidfd, POLLIN, 0}};
        poll(sources, 2, first == next ? -1 : patience < 0 ? 0 : patience);
        if (sources[1].revents) return;
        if (!(sources[0].revents & POLLIN)) continue;
        struct seccomp_notif request = {0};
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) != 0) continue; /* killed meanwhile */
        if (next - first == WAITING) fail("too many at once");
        waiting[next % WAITING].id = request.id;
        waiting[next++ % WAITING].due = is_command ? 0 : now() + delay;
        is_command = 0;
    }
}

int main(int argc, char **argv)
{
    int sockets[2], status;
    if (argc < 3) return fprintf(stderr, "slow_exec MILLISECONDS COMMAND...\n"), 2;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) fail("socketpair");
    pid_t pid = fork();
    if (pid < 0) fail("fork");
    if (pid == 0) {
        int listener = listen_for_exec();
        send_descriptor(sockets[1], listener);
        close(listener);
        execvp(argv[2], argv + 2);
        fail(argv[2]);
    }
    close(sockets[1]);
    supervise(receive_descriptor(sockets[0]), (int)syscall(SYS_pidfd_open, pid, 0), atoi(argv[1]));
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Each child is started in a thread of its own, which the calling thread makes.

   The kernel gives a child what the thread has that calls clone(2): affinity, niceness, I/O priority, scheduler,
   capabilities, no_new_privs, seccomp filters, Landlock rules, namespaces. And it gives a thread what its maker has at
   that moment. There is no way to copy all of these from thread to thread later.

   Of one loop only as many children are on their way at a time as there are processors. Further requests wait in a
   backlog, until the loop's thread has taken an outcome and makes the next thread.

   One lock guards the channels and the requests' states. A fork in another thread takes it first (pthread_atfork(3)).
   In the new process there are no threads of ours, and the children are not its own: whoever comes first there, a fork
   handler of somebody else perhaps, makes the pool new, without a lock. */

#include "pool.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#ifdef __linux__
#include <sys/eventfd.h>
#endif

/* glibc gives the pages of a larger stack back when its thread ends (advise_stack_range() in nptl), and the next thread
   gets them again, page by page. The small one does not do where libraries have much thread-local memory. */
#define LARGE_STACK (1024 * 1024)
#ifdef SANITIZED
#define SMALL_STACK LARGE_STACK
#else
#define SMALL_STACK (20 * 1024)
#endif

/* It is held for a moment only: who finds it held tries again before sleeping, where the C library can do that. */
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
#define LOCK PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
#else
#define LOCK PTHREAD_MUTEX_INITIALIZER
#endif

Pool pool = {
    .lock = LOCK,
    .rest = PTHREAD_COND_INITIALIZER,
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

/* ---- waking a loop ---- */

Wakeup *
new_wakeup(void)
{
    Wakeup *wakeup = malloc(sizeof(Wakeup));
    if (wakeup == NULL)
        return NULL;
    wakeup->lock = (pthread_mutex_t)LOCK;
    wakeup->references = 1;
#ifdef __linux__
    wakeup->read = wakeup->write = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wakeup->read >= 0)
        return wakeup;
#else
    int ends[2];
    if (make_pipe(ends) == 0) {
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        fcntl(ends[1], F_SETFL, O_NONBLOCK);
        wakeup->read = ends[0];
        wakeup->write = ends[1];
        return wakeup;
    }
#endif
    free(wakeup);
    return NULL;
}

void
wake(Wakeup *wakeup)
{
    uint64_t one = 1;
    pthread_mutex_lock(&wakeup->lock);
    while (wakeup->write >= 0 && write(wakeup->write, &one, sizeof one) < 0 && errno == EINTR)
        ;
    pthread_mutex_unlock(&wakeup->lock);
}

void
drain(Wakeup *wakeup)
{
    uint64_t count;
    while (read(wakeup->read, &count, sizeof count) < 0 && errno == EINTR)
        ;
}

static void
release_wakeup(Wakeup *wakeup)
{
    if (__atomic_sub_fetch(&wakeup->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    pthread_mutex_destroy(&wakeup->lock);
    free(wakeup);
}

/* Closes the descriptors at once, also while a thread is about to write: it finds them closed. */
void
close_wakeup(Wakeup *wakeup)
{
    pthread_mutex_lock(&wakeup->lock);
    if (wakeup->write != wakeup->read)
        close(wakeup->write);
    close(wakeup->read);
    wakeup->read = wakeup->write = -1;
    pthread_mutex_unlock(&wakeup->lock);
    release_wakeup(wakeup);
}

/* In a new process: the threads that were about to wake the loop are the parent's, and are not here. */
void
abandon_wakers(Wakeup *wakeup)
{
    wakeup->lock = (pthread_mutex_t)LOCK;
    wakeup->references = 1;
}

/* ---- the gate ---- */

/* How many starts of a loop are on their way at a time: as many as there are processors for this thread, and for its
   children. With more, everybody would wait for a processor, the loop too; with fewer, a processor for the loop. */
static int
most_under_way(void)
{
    if (!tells_slow_starts())
        return THREADS; /* those that wait for a FIFO, say, must not keep all others from their start */
#ifdef __linux__
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 4;
#else
    int count = (int)sysconf(_SC_NPROCESSORS_ONLN);
#endif
    return count < 1 ? 1 : count > THREADS / 4 ? THREADS / 4 : count;
}

static void
count_in(Request *request)
{
    request->channel->threads++;
    request->channel->under_way++;
}

static void
count_out(Request *request)
{
    if (request->channel == NULL)
        return;
    request->channel->threads--;
    if (!request->is_slow)
        request->channel->under_way--;
}

/* ---- a request on its way ---- */

static void
link_running(Request *request)
{
    request->next = pool.running;
    pool.running = request;
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
    pthread_cond_broadcast(&pool.rest);
}

/* Returns what to wake after the lock is released: the loop takes the lock as it wakes up. */
static Wakeup *
report(Request *request)
{
    Channel *channel = request->channel;
    int was_empty = channel->done == NULL;
    count_out(request);
    request->next = NULL;
    *channel->done_end = request;
    channel->done_end = &request->next;
    if (!was_empty)
        return NULL;
    __atomic_add_fetch(&channel->wakeup->references, 1, __ATOMIC_RELAXED);
    return channel->wakeup;
}

static void
wake_and_release(Wakeup *wakeup)
{
    if (wakeup != NULL) {
        wake(wakeup);
        release_wakeup(wakeup);
    }
}

static pid_t
thread_number(void)
{
#ifdef __linux__
    return (pid_t)syscall(SYS_gettid);
#else
    return 0;
#endif
}

static void
leave(pid_t thread)
{
    pool.leaving[pool.left++ % LEAVING] = thread;
}

/* Lets the loop make a thread for another one. */
static void
tell_of_slow_start(Request *request)
{
    Wakeup *wakeup = NULL;
    pthread_mutex_lock(&pool.lock);
    if (request->channel != NULL) {
        request->channel->under_way--;
        request->is_slow = 1;
        if (request->channel->backlog != NULL) {
            wakeup = request->channel->wakeup;
            __atomic_add_fetch(&wakeup->references, 1, __ATOMIC_RELAXED);
        }
    }
    pthread_mutex_unlock(&pool.lock);
    wake_and_release(wakeup);
}

/* Starts the child and reports; ends one that nobody waits for any more. Returns the pid of a child that needs this
   thread to live on, or 0. */
static pid_t
serve(Request *request, char *stack, pid_t thread)
{
    Wakeup *wakeup = NULL;
    if (!request->cancelled)
        start_child(request, stack, tell_of_slow_start);
    pthread_mutex_lock(&pool.lock);
    int is_wanted = !request->cancelled;
    if (!is_wanted || request->step != NULL) {
        request->is_over = 1;
        close_pipes(request);
        pthread_mutex_unlock(&pool.lock);
        end_child(request);
        pthread_mutex_lock(&pool.lock);
        close_descriptor(&request->pidfd);
        is_wanted = !request->cancelled;
    }
    else
        close_childs_ends(request);
    pid_t dependent = is_wanted && request->step == NULL && request->death_signal != 0 ? request->pid : 0;
    unlink_running(request);
    if (is_wanted)
        wakeup = report(request);
    else
        free_request(request);
    if (dependent == 0)
        leave(thread);
    pthread_mutex_unlock(&pool.lock);
    wake_and_release(wakeup);
    return dependent;
}

/* ---- threads ---- */

/* What a child gets as its parent_death_signal comes when the thread ends that started it (prctl(2)): so that one lives
   as long as the child. */
static void
stay_for(pid_t child)
{
    siginfo_t info;
    while (waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        ;
}

static void *
start_in_thread(void *argument)
{
    char stack[CHILD_STACK] __attribute__((aligned(16)));
#ifdef __linux__
    unshare(CLONE_FS); /* what the caller changes from now on by chdir() or umask() is not this child's */
#endif
    pid_t thread = thread_number();
    pid_t dependent = serve(argument, stack, thread);
    if (dependent != 0)
        stay_for(dependent);
    return NULL;
}

static void
end_request(Request *request)
{
    end_child(request);
    close_pipes(request);
    close_descriptor(&request->pidfd);
    free_request(request);
}

static void *
end_of_child(void *argument)
{
    end_request(argument);
    pid_t thread = thread_number();
    pthread_mutex_lock(&pool.lock);
    leave(thread);
    pthread_mutex_unlock(&pool.lock);
    return NULL;
}

/* A thread that blocks all signals, and that nobody joins; returns errno. */
static int
make_thread(void *(*function)(void *), Request *request)
{
    static _Atomic size_t size = SMALL_STACK;
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, size);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, &attributes, function, request);
    if (error == EINVAL && size == SMALL_STACK) {
        pthread_attr_setstacksize(&attributes, LARGE_STACK);
        error = pthread_create(&thread, &attributes, function, request);
        if (error == 0)
            size = LARGE_STACK;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

static int
opens_a_fifo(Request *request)
{
    struct stat found;
    for (int number = 0; number < 3; number++) {
        if (request->files[number] != NULL && stat(request->files[number], &found) == 0 && S_ISFIFO(found.st_mode))
            return 1;
    }
    return 0;
}

static int
is_main_thread(void)
{
#ifdef __linux__
    return syscall(SYS_gettid) == getpid();
#else
    return 0;
#endif
}

/* Without a thread to be had (EAGAIN), or where a thread may not be made (EINVAL after unshare(CLONE_NEWPID)), the
   calling thread starts the child itself, and waits for the exec; not where that could be for ever. */
static int
start_here(Request *request, int error)
{
    if (opens_a_fifo(request) || (request->death_signal != 0 && !is_main_thread()))
        return error;
    char *stack = mmap(NULL, CHILD_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (stack == MAP_FAILED)
        return errno;
    sigset_t all, before;
    sigfillset(&all);
    Py_BEGIN_ALLOW_THREADS
    pthread_sigmask(SIG_SETMASK, &all, &before);
    serve(request, stack, 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    Py_END_ALLOW_THREADS
    munmap(stack, CHILD_STACK);
    return 0;
}

/* ---- the backlog ---- */

static int
has_room(Channel *channel, int most)
{
    return channel->under_way < most && channel->threads < THREADS;
}

static void
admit(Request *request)
{
    count_in(request);
    link_running(request);
}

/* Gives an admitted request a thread. Returns errno; then the request is the caller's again. */
static int
begin(Request *request)
{
    int error = make_thread(start_in_thread, request);
    if (error != 0)
        error = start_here(request, error);
    if (error != 0) {
        pthread_mutex_lock(&pool.lock);
        unlink_running(request);
        count_out(request);
        pthread_mutex_unlock(&pool.lock);
    }
    return error;
}

/* Gives the request of a channel a thread, or a place in the channel's backlog if that has as many as it may. Returns
   errno, ECANCELED if the channel is closed; then the request is the caller's again. */
int
launch(Request *request)
{
    Channel *channel = request->channel;
    int most = most_under_way();
    pthread_mutex_lock(&pool.lock);
    int is_open = channel->wakeup != NULL;
    int waits = !has_room(channel, most);
    request->next = NULL;
    if (is_open && waits) {
        *channel->backlog_end = request;
        channel->backlog_end = &request->next;
    }
    else if (is_open)
        admit(request);
    pthread_mutex_unlock(&pool.lock);
    if (!is_open)
        return ECANCELED;
    return waits ? 0 : begin(request);
}

/* Takes a request out of the backlog and admits it, if one may start; at no moment it is in neither list, where a
   cancel would miss it. */
static Request *
admit_next(Channel *channel, int most)
{
    Request *request = has_room(channel, most) ? channel->backlog : NULL;
    if (request == NULL)
        return NULL;
    channel->backlog = request->next;
    if (channel->backlog == NULL)
        channel->backlog_end = &channel->backlog;
    admit(request);
    return request;
}

/* Gives threads to requests in the backlog; called by the thread that the loop runs in. What fails is an outcome. */
void
launch_backlog(Channel *channel)
{
    for (;;) {
        pthread_mutex_lock(&pool.lock);
        Request *request = channel->backlog == NULL ? NULL : admit_next(channel, most_under_way());
        pthread_mutex_unlock(&pool.lock);
        if (request == NULL)
            return;
        int error = begin(request);
        if (error == 0)
            continue;
        request->error = error;
        request->step = "thread";
        Wakeup *wakeup = NULL;
        pthread_mutex_lock(&pool.lock);
        if (request->cancelled)
            free_request(request);
        else {
            count_in(request);
            wakeup = report(request);
        }
        pthread_mutex_unlock(&pool.lock);
        wake_and_release(wakeup);
    }
}

/* Kills and reaps a child that nobody has taken or wants; not in this thread, if another can be had. */
void
end_in_thread(Request *request)
{
    if (request->step != NULL || make_thread(end_of_child, request) != 0)
        end_request(request);
}

/* ---- cancelling; under the lock ---- */

static void
cancel_running(Request *request)
{
    count_out(request);
    request->channel = NULL;
    request->cancelled = 1;
    __sync_synchronize(); /* start_child() sets the pid, and then looks whether it is cancelled */
    if (!request->is_over)
        kill_child(request);
}

/* Takes the requests of a channel, all or those with that key, out of a list. */
static Request *
take_out(Request **list, Request ***end, int all, unsigned long long key)
{
    Request *taken = NULL;
    for (Request **place = list; *place != NULL;) {
        Request *request = *place;
        if (!all && request->key != key) {
            place = &request->next;
            continue;
        }
        *place = request->next;
        if (*place == NULL)
            *end = place;
        request->next = taken;
        taken = request;
    }
    return taken;
}

/* Cancels the requests of a channel, or the one with that key. */
void
cancel_requests(Channel *channel, int all, unsigned long long key)
{
    Request *next;
    for (Request *request = take_out(&channel->backlog, &channel->backlog_end, all, key); request != NULL; request = next) {
        next = request->next;
        free_request(request);
    }
    for (Request *request = pool.running; request != NULL; request = request->next) {
        if (request->channel == channel && (all || request->key == key))
            cancel_running(request);
    }
    for (Request *request = take_out(&channel->done, &channel->done_end, all, key); request != NULL; request = next) {
        next = request->next;
        end_in_thread(request);
    }
}

/* Waits until no request of this interpreter is on its way; tells whether `timeout` seconds were enough. */
int
wait_for_rest(void *interpreter, double timeout)
{
    struct timespec until = moment_in(timeout);
    for (;;) {
        Request *request = pool.running;
        while (request != NULL && request->interpreter != interpreter)
            request = request->next;
        if (request == NULL)
            return 1;
        if (pthread_cond_timedwait(&pool.rest, &pool.lock, &until) != 0)
            return 0;
    }
}

/* ---- fork ---- */

/* A thread has left the lock a moment before the kernel counts it no more, and CPython warns of a fork beside others. */
static void
wait_for_leavers(void)
{
#ifdef __linux__
    double until = seconds_of(CLOCK_MONOTONIC) + 0.02;
    for (int i = 0; i < LEAVING; i++) {
        while (pool.leaving[i] != 0 && syscall(SYS_tgkill, getpid(), pool.leaving[i], 0) == 0 &&
               seconds_of(CLOCK_MONOTONIC) < until)
            sched_yield();
        pool.leaving[i] = 0;
    }
#endif
}

static void
before_fork(void)
{
    enter_pool();
    pthread_mutex_lock(&pool.lock);
    pool.is_forking = 1;
    wait_for_leavers();
}

static void
after_fork_in_parent(void)
{
    pool.is_forking = 0;
    pthread_mutex_unlock(&pool.lock);
}

/* Makes the pool new if this process is a fork of the one that it was. Whoever calls this first in the new process, there
   is no other thread that could hold the lock, but the one that forked, which is this one. */
void
enter_pool(void)
{
    pid_t process = getpid();
    if (pool.owner == process)
        return;
    /* What was on its way stays allocated: free() is no concern of a fork handler. After a fork without handlers, by a
       system call, the lists may be in disorder. */
    if (pool.is_forking) {
        for (Request *request = pool.running; request != NULL; request = request->next) {
            close_pipes(request);
            forget_parents_pidfd(request);
        }
    }
    pool.lock = (pthread_mutex_t)LOCK;
    pthread_cond_init(&pool.rest, NULL);
    forget_identity_lock();
    forget_connections();
    pool.running = NULL;
    pool.channels = NULL;
    pool.is_forking = 0;
    memset(pool.leaving, 0, sizeof pool.leaving);
    pool.generation++;
    pool.owner = process;
}

static void
install_fork_handlers(void)
{
    pool.owner = getpid();
    pthread_atfork(before_fork, after_fork_in_parent, enter_pool);
}

void
prepare_for_forks(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_fork_handlers);
}

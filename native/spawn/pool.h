/* The threads that start children, and the channels, under one lock. */

#ifndef GOVERNESS_POOL_H
#define GOVERNESS_POOL_H

#include "spawn.h"

/* The descriptors by which a loop is woken. Their lock is held for a write and for the close, not the pool's: the loop
   takes that one as it wakes up. Whoever is about to wake the loop has a reference, which keeps the memory alone. */
typedef struct {
    pthread_mutex_t lock;
    int references;
    int read; /* -1: closed */
    int write;
} Wakeup;

/* What the type Channel has behind its object. */
typedef struct Channel {
    struct Channel *next;
    void *interpreter;
    Wakeup *wakeup; /* NULL: closed */
    unsigned generation;
    int threads;      /* those of its requests */
    int under_way;    /* of these, those whose start does not take long */
    Request *backlog; /* requests that wait for a thread */
    Request **backlog_end;
    Request *done; /* outcomes that nobody has taken yet */
    Request **done_end;
} Channel;

#define LEAVING 32

/* How many threads a channel has at most: further requests wait in its backlog. */
#define THREADS 64

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t rest;
    Request *running; /* linked by next */
    Channel *channels;
    unsigned generation; /* how many forks this process is away from the first one that had a pool */
    pid_t owner;         /* the process that this is the pool of */
    int is_forking;      /* a thread that forks holds the lock */
    pid_t leaving[LEAVING]; /* the threads that have come to their end lately */
    unsigned left;
} Pool;

extern Pool pool;

Wakeup *new_wakeup(void);
void wake(Wakeup *wakeup);
void drain(Wakeup *wakeup);
void close_wakeup(Wakeup *wakeup);
void abandon_wakers(Wakeup *wakeup);

void prepare_for_forks(void);
void enter_pool(void);
int launch(Request *request);
void launch_backlog(Channel *channel);
void end_in_thread(Request *request);
void cancel_requests(Channel *channel, int all, unsigned long long key);
int wait_for_rest(void *interpreter, double timeout);

#endif

/* A thread that reaps whichever child of this process it finds dead, as careless libraries do. */

#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_t thread;
static volatile int works;
static volatile unsigned long taken;
static unsigned state;

static void *
steal(void *argument)
{
    (void)argument;
    while (works) {
        if (waitpid(-1, NULL, WNOHANG) > 0)
            taken++;
        else
            usleep(rand_r(&state) % 300);
    }
    return NULL;
}

int
thief_start(unsigned seed)
{
    state = seed;
    works = 1;
    return pthread_create(&thread, NULL, steal, NULL);
}

/* Returns how many children it has reaped since the process began. */
unsigned long
thief_stop(void)
{
    works = 0;
    pthread_join(thread, NULL);
    return taken;
}

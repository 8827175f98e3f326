/* The program that most children run: it starts fast, and does what its words say.

   exit CODE            exits with CODE
   die SIGNAL           ends by SIGNAL
   say TEXT CODE        writes TEXT and a newline to both outputs, exits with CODE
   fill BYTES CODE      writes so many bytes to its output
   copy CODE            copies its input to its output
   sleep MILLISECONDS CODE
   stubborn MILLISECONDS CODE   the same; it ignores TERM, and says "ready" first
   leave MILLISECONDS CODE      a process of its own, which holds its descriptors, sleeps; it exits at once */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static void
put(int descriptor, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(descriptor, bytes, size);
        if (written <= 0)
            _exit(99);
        bytes += written;
        size -= (size_t)written;
    }
}

static void
say(const char *text)
{
    for (int descriptor = 1; descriptor < 3; descriptor++) {
        put(descriptor, text, strlen(text));
        put(descriptor, "\n", 1);
    }
}

static void
fill(long size)
{
    static char bytes[65536];
    memset(bytes, 'x', sizeof bytes);
    for (; size > 0; size -= (long)sizeof bytes)
        put(1, bytes, size < (long)sizeof bytes ? (size_t)size : sizeof bytes);
}

static void
copy(void)
{
    static char bytes[65536];
    for (ssize_t size; (size = read(0, bytes, sizeof bytes)) > 0;)
        put(1, bytes, (size_t)size);
}

static void
rest(const char *milliseconds)
{
    long all = atol(milliseconds);
    struct timespec time = {.tv_sec = all / 1000, .tv_nsec = all % 1000 * 1000000};
    while (nanosleep(&time, &time) < 0)
        ;
}

static void
die(int number)
{
    sigset_t none;
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(number, SIG_DFL);
    kill(getpid(), number);
    pause();
}

int
main(int count, char **words)
{
    if (count < 3)
        return 98;
    const char *verb = words[1];
    if (strcmp(verb, "die") == 0)
        die(atoi(words[2]));
    else if (strcmp(verb, "say") == 0)
        say(words[2]);
    else if (strcmp(verb, "fill") == 0)
        fill(atol(words[2]));
    else if (strcmp(verb, "copy") == 0)
        copy();
    else if (strcmp(verb, "sleep") == 0)
        rest(words[2]);
    else if (strcmp(verb, "stubborn") == 0) {
        signal(SIGTERM, SIG_IGN);
        put(1, "ready\n", 6);
        rest(words[2]);
    }
    else if (strcmp(verb, "leave") == 0 && fork() == 0)
        rest(words[2]);
    return atoi(words[count - 1]);
}

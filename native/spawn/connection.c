/* The socket to the guardian, as the requests have it.

   Python closes its descriptor when a guardian has ended, and the number may be given away while a request waits for its
   thread. So requests have a copy: one for all that were made with the same connection, whose number tells it apart. */

#include "spawn.h"

#include <fcntl.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Connection *connections;

static Connection *
find(unsigned long long number)
{
    for (Connection *connection = connections; connection != NULL; connection = connection->next) {
        if (connection->number == number) {
            connection->references++;
            return connection;
        }
    }
    return NULL;
}

/* NULL where there is none to be had: it is closed by now, or no descriptor is left. */
Connection *
share_connection(PyObject *socket, unsigned long long number)
{
    pthread_mutex_lock(&lock);
    Connection *connection = find(number);
    pthread_mutex_unlock(&lock);
    if (connection != NULL)
        return connection;
    int descriptor = PyObject_AsFileDescriptor(socket);
    if (descriptor < 0) {
        PyErr_Clear();
        return NULL;
    }
    connection = malloc(sizeof(Connection));
    if (connection == NULL)
        return NULL;
    connection->descriptor = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
    if (connection->descriptor < 0) {
        free(connection);
        return NULL;
    }
    connection->references = 1;
    connection->number = number;
    pthread_mutex_lock(&lock);
    connection->next = connections;
    connections = connection;
    pthread_mutex_unlock(&lock);
    return connection;
}

void
release_connection(Connection *connection)
{
    if (connection == NULL)
        return;
    pthread_mutex_lock(&lock);
    int is_last = --connection->references == 0;
    for (Connection **place = &connections; is_last && *place != NULL; place = &(*place)->next) {
        if (*place == connection) {
            *place = connection->next;
            break;
        }
    }
    pthread_mutex_unlock(&lock);
    if (is_last) {
        close(connection->descriptor);
        free(connection);
    }
}

/* In a forked child, in which no other thread runs: what is closed here is its copies. The requests keep the memory. */
void
forget_connections(void)
{
    pthread_mutex_init(&lock, NULL);
    for (Connection *connection = connections; connection != NULL; connection = connection->next)
        close_descriptor(&connection->descriptor);
    connections = NULL;
}

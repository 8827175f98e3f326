#ifndef GOVERNESS_READY_H
#define GOVERNESS_READY_H

/* What ready.py has, for loops whose own call_soon() is written in C: the same names with the same meaning.

   A Level is a list of handles, linked through them; the queue owns one reference to each. The GIL makes every step
   here atomic until it lets go of a reference or calls something: either may run any Python code, which may add to the
   queue, cancel, or clear it. So all links are set before, and read again after. */

#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include <Python.h>
#include <structmember.h>

#include <stddef.h>
#include <stdint.h>

/* Those of priority.py. */
enum { MOST_URGENT = -20, LEAST_URGENT = 19, LEVELS = LEAST_URGENT - MOST_URGENT + 1 };

typedef struct Handle {
    PyObject_HEAD
    PyObject *callback;
    PyObject *args; /* NULL: it is cancelled */
    PyObject *context;
    PyObject *weak_references;
    struct Handle *next;
    long long due;
    signed char level; /* the number of the one that it is in, or was in last */
    char is_queued;
    char is_timer;
} Handle;

typedef struct {
    Handle base;
    PyObject *loop;
    PyObject *inner; /* NULL: the timer has fired, or is cancelled */
    PyObject *when; /* NULL: the inner handle knows */
} Timer;

typedef struct {
    Handle *first;
    Handle *last;
    Py_ssize_t count;
} Level;

/* Python's own functions: the limited API has nothing of contexts. */
typedef struct {
    PyTypeObject *handle_type;
    PyTypeObject *timer_type;
    PyObject *copy_context;
    PyObject *current_priority;
    PyObject *get_priority; /* of the current context */
    PyObject *get_from;     /* a context */
    PyObject *run_in;       /* a context */
    PyObject *zero;
} Tools;

typedef struct {
    PyObject_HEAD
    Tools tools;
    Level levels[LEVELS];
    uint64_t filled; /* a bit for each level that is not empty */
    long long step;
    long long ran;
    PyObject *handle_class;
    PyObject *timer_class;
    PyObject *schedule; /* this and those that follow: NULL or None where there is no loop */
    PyObject *wake;
    PyObject *start_at;
    PyObject *start_later;
    PyObject *report;
    PyObject *others;
    PyObject *batch_context;
    PyObject *after_step;
    PyObject *level_of;
    PyObject *inner_type; /* of the underlying loop's timers, if that is not asyncio's */
    PyObject *starting; /* borrowed: the timer that the underlying loop is asked to start now */
    PyObject *waits;   /* a dict, as the next one */
    PyObject *waiters;
    int least_urgent;
    char is_scheduled;
    char starts_at;
    char knows_context; /* whether a handle of `inner_type` references the context in which it fires */
} ReadyQueue;

/* Not Py_RETURN_NONE: the headers of 3.12 and later take None for immortal, which it is not in 3.11. */
static inline PyObject *
none(void)
{
    return Py_NewRef(Py_None);
}

/* Neither NULL nor None. */
static inline int
is_given(PyObject *object)
{
    return object != NULL && object != Py_None;
}

#pragma GCC visibility push(hidden)

/* ---- module.c ---- */

extern PyObject *queue_name, *schedule_name, *wake_name, *check_name, *time_name, *cancel_name, *self_name;
extern PyObject *future_name, *context_name, *when_name, *cancelled_name, *run_name, *pop_name;
PyObject *imported(const char *module_name, const char *name);

/* ---- handle.c ---- */

Handle *new_handle(PyTypeObject *type, PyObject *callback, PyObject *args, PyObject *context);
int handle_traverse(Handle *self, visitproc visit, void *arg);
int handle_clear(Handle *self);
void handle_dealloc(Handle *self);
PyObject *handle_cancel(Handle *self, PyObject *ignored);
extern PyType_Spec handle_spec;

/* ---- order.c ---- */

int level_of(PyObject *priority);
void append(ReadyQueue *self, int number, Handle *handle);
Handle *take(ReadyQueue *self);
void forget_all(ReadyQueue *self);
PyObject *attribute(PyObject *object, PyObject *name);
int is_in(PyObject *task, PyObject *tasks);
PyObject *run(ReadyQueue *self, Py_ssize_t count, PyObject *report);
int schedule(ReadyQueue *self);

/* ---- queue.c ---- */

int line_up(ReadyQueue *self, PyObject *handle, int number);
int join(ReadyQueue *self, PyObject *handle, int number);
void ready_dealloc(ReadyQueue *self);
extern PyType_Spec ready_spec;

/* ---- call_soon.c ---- */

ReadyQueue *line_of(PyObject *loop);
int read_keywords(const char *method, PyObject *given, PyObject *const *given_values, const char *const *expected,
                  PyObject **values, int count);
PyObject *tuple_of(PyObject *const *items, Py_ssize_t count);
int see_to_a_turn(PyObject *loop, ReadyQueue *queue, PyObject *callback);
int level_in(ReadyQueue *queue, PyObject *context);
int check_callback(PyObject *loop, ReadyQueue *queue, const char *method, PyObject *callback);
void cancel_after_error(Handle *handle);
extern PyMethodDef call_soon_methods[];

/* ---- timers.c ---- */

extern PyMethodDef timer_methods_of_loops[];
extern PyType_Spec timer_spec;

#pragma GCC visibility pop

#endif

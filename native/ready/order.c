/* The order in which handles are run, and running them. */

#include "ready.h"

/* -1 if there is no such priority. */
int
level_of(PyObject *priority)
{
    int overflow;
    long number = PyLong_AsLongAndOverflow(priority, &overflow);
    if (number == -1 && PyErr_Occurred())
        return -1;
    if (overflow || number < MOST_URGENT || number > LEAST_URGENT) {
        PyErr_Format(PyExc_ValueError, "a priority is from %d, the most urgent, to %d, not %R", MOST_URGENT,
                     LEAST_URGENT, priority);
        return -1;
    }
    return (int)number - MOST_URGENT;
}

/* Takes over the reference. */
void
append(ReadyQueue *self, int number, Handle *handle)
{
    Level *level = &self->levels[number];
    handle->due = self->ran + self->step * (number + MOST_URGENT);
    handle->is_queued = 1;
    handle->level = (signed char)number;
    if (number + MOST_URGENT > self->least_urgent)
        self->least_urgent = number + MOST_URGENT;
    if (level->last == NULL)
        level->first = handle;
    else
        level->last->next = handle;
    level->last = handle;
    level->count++;
    self->filled |= UINT64_C(1) << number;
}

/* Gives the reference away. */
static Handle *
pop(Level *level)
{
    Handle *handle = level->first;
    level->first = handle->next;
    if (level->first == NULL)
        level->last = NULL;
    level->count--;
    handle->next = NULL;
    handle->is_queued = 0;
    return handle;
}

static int
next_level(ReadyQueue *self)
{
    if ((self->filled & (self->filled - 1)) == 0) /* it is the only one */
        return __builtin_ctzll(self->filled);
    int next = 0;
    long long least = INT64_MAX;
    for (uint64_t left = self->filled; left != 0;) {
        int number = 63 - __builtin_clzll(left);
        left ^= UINT64_C(1) << number;
        /* Of two that are due together, the first here, the least urgent, is the one that has waited longer. */
        if (self->levels[number].first->due < least) {
            least = self->levels[number].first->due;
            next = number;
        }
    }
    return next;
}

/* A new reference; NULL, without an error, if none is left that is not cancelled. */
Handle *
take(ReadyQueue *self)
{
    while (self->filled != 0) {
        int number = next_level(self);
        Handle *handle = pop(&self->levels[number]);
        if (self->levels[number].first == NULL)
            self->filled ^= UINT64_C(1) << number;
        if (handle->args != NULL) {
            self->ran++;
            return handle;
        }
        Py_DECREF((PyObject *)handle);
    }
    return NULL;
}

void
forget_all(ReadyQueue *self)
{
    for (int number = 0; number < LEVELS; number++) {
        Level level = self->levels[number];
        self->levels[number] = (Level){NULL, NULL, 0};
        self->filled &= ~(UINT64_C(1) << number);
        while (level.first != NULL)
            Py_DECREF((PyObject *)pop(&level));
    }
}

/* In its context. It may cancel its own handle, so what it is called with is held here too. */
static PyObject *
call(ReadyQueue *self, Handle *handle)
{
    PyObject *callback = Py_NewRef(handle->callback), *args = Py_NewRef(handle->args);
    PyObject *context = Py_NewRef(handle->context), *all, *result = NULL;
    Py_ssize_t count = PyTuple_Size(args);
    if (count == 0)
        result = PyObject_CallFunctionObjArgs(self->tools.run_in, context, callback, NULL);
    else if (count == 1)
        result = PyObject_CallFunctionObjArgs(self->tools.run_in, context, callback, PyTuple_GetItem(args, 0), NULL);
    else if ((all = PyTuple_New(count + 2)) != NULL) {
        PyTuple_SetItem(all, 0, Py_NewRef(context));
        PyTuple_SetItem(all, 1, Py_NewRef(callback));
        for (Py_ssize_t i = 0; i < count; i++)
            PyTuple_SetItem(all, i + 2, Py_NewRef(PyTuple_GetItem(args, i)));
        result = PyObject_Call(self->tools.run_in, all, NULL);
        Py_DECREF(all);
    }
    Py_DECREF(callback);
    Py_DECREF(args);
    Py_DECREF(context);
    return result;
}

/* As an `except BaseException as error:` does, with `report(handle, error)` in it; what that returns. */
static PyObject *
report_error(PyObject *report, Handle *handle)
{
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(error, traceback);
    PyObject *before = PyErr_GetHandledException();
    PyErr_SetHandledException(error);
    PyObject *result = PyObject_CallFunctionObjArgs(report, (PyObject *)handle, error, NULL);
    PyErr_SetHandledException(before);
    Py_XDECREF(before);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    return result;
}

/* NULL, without an error, if it has none. */
PyObject *
attribute(PyObject *object, PyObject *name)
{
    PyObject *found = PyObject_GetAttr(object, name);
    if (found == NULL)
        PyErr_Clear();
    return found;
}

int
is_in(PyObject *task, PyObject *tasks)
{
    int found = tasks == NULL || PyDict_Size(tasks) == 0 ? 0 : PyDict_Contains(tasks, task);
    if (found < 0) /* the callback is a method of something that has no hash */
        PyErr_Clear();
    return found > 0;
}

/* Tell of a task that waits now for something less urgent, perhaps, or that has waited. */
static int
look_after_step(ReadyQueue *self, Handle *handle, PyObject *callback)
{
    int is_urgent = handle->level + MOST_URGENT < self->least_urgent;
    if ((!is_urgent && (self->waits == NULL || PyDict_Size(self->waits) == 0)) || !is_given(self->after_step))
        return 0;
    PyObject *task = attribute(callback, self_name), *future = NULL, *told = Py_None;
    if (task != NULL && is_urgent)
        future = attribute(task, future_name);
    if (is_given(future) || (task != NULL && is_in(task, self->waits))) {
        PyObject *function = Py_NewRef(self->after_step);
        told = PyObject_CallFunctionObjArgs(function, task, handle->context, NULL);
        Py_DECREF(function);
        Py_XDECREF(told);
    }
    Py_XDECREF(future);
    Py_XDECREF(task);
    return told == NULL ? -1 : 0;
}

/* A new reference to the last. */
PyObject *
run(ReadyQueue *self, Py_ssize_t count, PyObject *report)
{
    Handle *handle = NULL;
    for (; count > 0; count--) {
        Py_XDECREF((PyObject *)handle);
        if ((handle = take(self)) == NULL)
            break;
        PyObject *callback = Py_NewRef(handle->callback);
        PyObject *result = call(self, handle);
        if (result != NULL && look_after_step(self, handle, callback) < 0)
            Py_CLEAR(result);
        Py_DECREF(callback);
        if (result == NULL && !PyErr_ExceptionMatches(PyExc_SystemExit) &&
            !PyErr_ExceptionMatches(PyExc_KeyboardInterrupt))
            result = report_error(report, handle);
        Py_XDECREF(result);
        /* As between two steps of Python: callbacks may be in C too. */
        if (result == NULL || PyErr_CheckSignals() < 0) {
            Py_DECREF((PyObject *)handle);
            return NULL;
        }
    }
    return handle == NULL ? none() : (PyObject *)handle;
}

/* For the turn in which those that are queued are called. */
int
schedule(ReadyQueue *self)
{
    if (!is_given(self->schedule))
        return 0;
    PyObject *function = Py_NewRef(self->schedule);
    PyObject *asked = PyObject_CallNoArgs(function);
    Py_DECREF(function);
    if (asked == NULL)
        return -1;
    self->is_scheduled = 1;
    Py_DECREF(asked);
    return 0;
}

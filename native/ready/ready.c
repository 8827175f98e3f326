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
    PyObject *waits;   /* a dict, as the next one */
    PyObject *waiters;
    int least_urgent;
    char is_scheduled;
    char starts_at;
} ReadyQueue;

/* Names of attributes. Strings alone: they serve every interpreter of the process. */
static PyObject *queue_name, *schedule_name, *wake_name, *check_name, *time_name, *cancel_name, *self_name;
static PyObject *future_name, *context_name, *when_name, *cancelled_name, *run_name, *pop_name;

static const struct {
    PyObject **name;
    const char *text;
} names[] = {
    {&queue_name, "_ready_queue"},      {&schedule_name, "_schedule_batch"}, {&wake_name, "_wake_for_batch"},
    {&check_name, "_check_callback_of"}, {&time_name, "time"},               {&cancel_name, "cancel"},
    {&self_name, "__self__"},           {&future_name, "_fut_waiter"},       {&context_name, "_context"},
    {&cancelled_name, "_cancelled"},    {&run_name, "_run"},                 {&pop_name, "popleft"},
    {&when_name, "when"},
};

/* Not Py_RETURN_NONE: the headers of 3.12 and later take None for immortal, which it is not in 3.11. */
static PyObject *
none(void)
{
    return Py_NewRef(Py_None);
}

static PyObject *
imported(const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *object = module == NULL ? NULL : PyObject_GetAttrString(module, name);
    Py_XDECREF(module);
    return object;
}

/* ---- the type ReadyHandle ---- */

static int
handle_init(Handle *self, PyObject *arguments, PyObject *keywords)
{
    PyObject *callback, *args, *context;
    if (keywords != NULL && PyDict_Size(keywords) != 0) {
        PyErr_SetString(PyExc_TypeError, "ReadyHandle takes no keyword arguments");
        return -1;
    }
    if (!PyArg_ParseTuple(arguments, "OO!O:ReadyHandle", &callback, &PyTuple_Type, &args, &context))
        return -1;
    PyObject *before[] = {self->callback, self->args, self->context};
    self->callback = Py_NewRef(callback);
    self->args = Py_NewRef(args);
    self->context = Py_NewRef(context);
    for (int i = 0; i < 3; i++)
        Py_XDECREF(before[i]);
    return 0;
}

/* Takes over the references; context and args may be NULL after an error. */
static Handle *
new_handle(PyTypeObject *type, PyObject *callback, PyObject *args, PyObject *context)
{
    Handle *self = context == NULL || args == NULL ? NULL : PyObject_GC_New(Handle, type);
    if (self == NULL) {
        Py_DECREF(callback);
        Py_XDECREF(args);
        Py_XDECREF(context);
        return NULL;
    }
    self->callback = callback;
    self->args = args;
    self->context = context;
    self->weak_references = NULL;
    self->next = NULL;
    self->due = 0;
    self->is_queued = self->is_timer = 0;
    self->level = 0;
    PyObject_GC_Track((PyObject *)self);
    return self;
}

static int
handle_traverse(Handle *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->callback);
    Py_VISIT(self->args);
    Py_VISIT(self->context);
    return 0;
}

static int
handle_clear(Handle *self)
{
    Py_CLEAR(self->args);
    Py_CLEAR(self->callback);
    Py_CLEAR(self->context);
    if (self->is_timer) {
        Timer *timer = (Timer *)self;
        Py_CLEAR(timer->loop);
        Py_CLEAR(timer->inner);
        Py_CLEAR(timer->when);
    }
    return 0;
}

static void
free_handle(Handle *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    handle_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

/* A handle may be the callback of another one, and so on: as CPython's trashcan does (Py_TRASHCAN_BEGIN, which the limited
   API has not), put those too deep inside others aside, lest the C stack overflow. */
static void
handle_dealloc(Handle *self)
{
    enum { DEEPEST = 50 };
    static _Thread_local int depth = 0;
    static _Thread_local Handle *aside = NULL;
    PyObject_GC_UnTrack(self);
    if (self->weak_references != NULL)
        PyObject_ClearWeakRefs((PyObject *)self);
    if (depth >= DEEPEST) {
        self->next = aside;
        aside = self;
        return;
    }
    depth++;
    free_handle(self);
    while (depth == 1 && aside != NULL) {
        Handle *next = aside;
        aside = next->next;
        free_handle(next);
    }
    depth--;
}

static PyObject *
handle_cancel(Handle *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *callback = self->callback, *args = self->args;
    self->callback = self->args = NULL;
    Py_XDECREF(callback);
    Py_XDECREF(args);
    return none();
}

static PyObject *
handle_cancelled(Handle *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(self->args == NULL);
}

static PyObject *
handle_get_context(Handle *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self->context == NULL ? Py_None : self->context);
}

static PyObject *
handle_repr(PyObject *self)
{
    PyObject *describe = imported("governess.loops._priority.ready", "describe");
    PyObject *text = describe == NULL ? NULL : PyObject_CallFunctionObjArgs(describe, self, NULL);
    Py_XDECREF(describe);
    return text;
}

static PyObject *
handle_due(Handle *self, void *Py_UNUSED(closure))
{
    return self->is_queued ? PyLong_FromLongLong(self->due) : none();
}

/* For isinstance(): to inherit asyncio's fields makes it twice as large. */
static PyObject *
handle_class(PyObject *Py_UNUSED(self), void *Py_UNUSED(closure))
{
    return imported("asyncio.events", "Handle");
}

static PyMethodDef handle_methods[] = {
    {"cancel", (PyCFunction)handle_cancel, METH_NOARGS,
     "cancel()\n--\n\nDo not call it; what it was to be called with is let go at once."},
    {"cancelled", (PyCFunction)handle_cancelled, METH_NOARGS,
     "cancelled()\n--\n\nReturn whether it was cancelled."},
    {"get_context", (PyCFunction)handle_get_context, METH_NOARGS,
     "get_context()\n--\n\nReturn the context in which it is called."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef handle_members[] = {
    {"callback", T_OBJECT, offsetof(Handle, callback), READONLY, NULL},
    {"args", T_OBJECT, offsetof(Handle, args), READONLY, NULL},
    {"context", T_OBJECT, offsetof(Handle, context), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Handle, weak_references), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef handle_properties[] = {
    {"__class__", handle_class, NULL, NULL, NULL},
    {"due", (getter)handle_due, NULL, "What the queue orders it by; None when it is not queued any more.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot handle_slots[] = {
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, handle_init},
    {Py_tp_traverse, handle_traverse},
    {Py_tp_clear, handle_clear},
    {Py_tp_dealloc, handle_dealloc},
    {Py_tp_repr, handle_repr},
    {Py_tp_methods, handle_methods},
    {Py_tp_members, handle_members},
    {Py_tp_getset, handle_properties},
    {Py_tp_doc, "ReadyHandle(callback, args, context)\n--\n\nOne callback that waits for its turn."},
    {0, NULL},
};

static PyType_Spec handle_spec = {
    .name = "governess.loops._priority._ready.ReadyHandle",
    .basicsize = sizeof(Handle),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = handle_slots,
};

/* ---- the queue itself ---- */

/* -1 if there is no such priority. */
static int
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
static void
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
static Handle *
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

static void
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

static int
is_given(PyObject *object)
{
    return object != NULL && object != Py_None;
}

/* NULL, without an error, if it has none. */
static PyObject *
attribute(PyObject *object, PyObject *name)
{
    PyObject *found = PyObject_GetAttr(object, name);
    if (found == NULL)
        PyErr_Clear();
    return found;
}

static int
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
static PyObject *
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
static int
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

/* ---- the type ReadyQueue ---- */

static PyObject *
ready_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    long long step;
    static char *names[] = {"step", NULL};
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "L:ReadyQueue", names, &step))
        return NULL;
    if (step < 0 || step > INT32_MAX) { /* multiplied and added, it must fit a long long */
        PyErr_Format(PyExc_ValueError, "a step is from 0 to %ld, not %lld", (long)INT32_MAX, step);
        return NULL;
    }
    Tools *tools = PyType_GetModuleState(type);
    if (tools != NULL && tools->handle_type == NULL) /* the interpreter is coming to its end */
        PyErr_SetString(PyExc_RuntimeError, "the module _ready is gone");
    ReadyQueue *self = tools == NULL || tools->handle_type == NULL ? NULL : (ReadyQueue *)PyType_GenericAlloc(type, 0);
    if (self == NULL)
        return NULL;
    self->step = step;
    self->handle_class = Py_NewRef((PyObject *)tools->handle_type);
    self->timer_class = Py_NewRef((PyObject *)tools->timer_type);
    self->least_urgent = MOST_URGENT;
    self->tools = *tools;
    PyObject **tool = (PyObject **)&self->tools;
    for (size_t i = 0; i < sizeof(Tools) / sizeof(PyObject *); i++)
        Py_INCREF(tool[i]);
    return (PyObject *)self;
}

static int
ready_traverse(ReadyQueue *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->handle_class);
    Py_VISIT(self->timer_class);
    Py_VISIT(self->schedule);
    Py_VISIT(self->wake);
    Py_VISIT(self->start_at);
    Py_VISIT(self->start_later);
    Py_VISIT(self->report);
    Py_VISIT(self->others);
    Py_VISIT(self->batch_context);
    Py_VISIT(self->after_step);
    Py_VISIT(self->level_of);
    Py_VISIT(self->waits);
    Py_VISIT(self->waiters);
    for (int number = 0; number < LEVELS; number++) {
        for (Handle *handle = self->levels[number].first; handle != NULL; handle = handle->next)
            Py_VISIT((PyObject *)handle);
    }
    return 0;
}

static int
ready_tp_clear(ReadyQueue *self)
{
    forget_all(self);
    Py_CLEAR(self->handle_class);
    Py_CLEAR(self->timer_class);
    Py_CLEAR(self->schedule);
    Py_CLEAR(self->wake);
    Py_CLEAR(self->start_at);
    Py_CLEAR(self->start_later);
    Py_CLEAR(self->report);
    Py_CLEAR(self->others);
    Py_CLEAR(self->batch_context);
    Py_CLEAR(self->after_step);
    Py_CLEAR(self->level_of);
    Py_CLEAR(self->waits);
    Py_CLEAR(self->waiters);
    return 0;
}

static void
ready_dealloc(ReadyQueue *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    PyObject_GC_UnTrack(self);
    ready_tp_clear(self);
    PyObject **tool = (PyObject **)&self->tools;
    for (size_t i = 0; i < sizeof(Tools) / sizeof(PyObject *); i++)
        Py_XDECREF(tool[i]);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static Py_ssize_t
ready_length(ReadyQueue *self)
{
    Py_ssize_t length = 0;
    for (int number = 0; number < LEVELS; number++)
        length += self->levels[number].count;
    return length;
}

static int
line_up(ReadyQueue *self, PyObject *handle, int number)
{
    if (!PyObject_TypeCheck(handle, self->tools.handle_type)) {
        PyErr_Format(PyExc_TypeError, "%R is no ReadyHandle", handle);
        return -1;
    }
    if (((Handle *)handle)->is_queued) {
        PyErr_Format(PyExc_ValueError, "%R is queued already", handle);
        return -1;
    }
    append(self, number, (Handle *)Py_NewRef(handle));
    return 0;
}

static PyObject *
ready_add(ReadyQueue *self, PyObject *arguments)
{
    PyObject *handle, *priority;
    if (!PyArg_ParseTuple(arguments, "OO:add", &handle, &priority))
        return NULL;
    int number = level_of(priority);
    return number < 0 || line_up(self, handle, number) < 0 ? NULL : none();
}

static PyObject *
ready_take(ReadyQueue *self, PyObject *Py_UNUSED(ignored))
{
    Handle *handle = take(self);
    return handle == NULL ? none() : (PyObject *)handle;
}

static PyObject *
ready_run(ReadyQueue *self, PyObject *arguments)
{
    Py_ssize_t count;
    PyObject *report;
    if (!PyArg_ParseTuple(arguments, "nO:run", &count, &report))
        return NULL;
    return run(self, count, report);
}

/* The next of the underlying loop's handles in this turn, a new reference; NULL, perhaps with an error, if there is none,
   or it is a batch too. */
static PyObject *
take_other(ReadyQueue *self)
{
    if (!is_given(self->others) || PyObject_Size(self->others) <= 0)
        return NULL;
    PyObject *other = PySequence_GetItem(self->others, 0);
    PyObject *context = other == NULL ? NULL : attribute(other, context_name);
    int is_batch = context == self->batch_context;
    Py_XDECREF(context);
    Py_XDECREF(other);
    return other == NULL || is_batch ? NULL : PyObject_CallMethodObjArgs(self->others, pop_name, NULL);
}

/* In the place of a batch, which then comes last in this turn: what fires in it is in the batch. */
static PyObject *
let_another_go_first(ReadyQueue *self, PyObject *other)
{
    if (schedule(self) < 0)
        return NULL;
    PyObject *cancelled = PyObject_GetAttr(other, cancelled_name), *result = NULL;
    int skip = cancelled == NULL ? -1 : PyObject_IsTrue(cancelled);
    Py_XDECREF(cancelled);
    if (skip >= 0)
        result = skip ? none() : PyObject_CallMethodObjArgs(other, run_name, NULL);
    return result;
}

static PyObject *
ready_run_batch(ReadyQueue *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *other = take_other(self);
    if (other != NULL) {
        PyObject *result = let_another_go_first(self, other);
        Py_DECREF(other);
        return result;
    }
    if (PyErr_Occurred())
        return NULL;
    self->is_scheduled = 1;
    PyObject *type, *error, *traceback, *report = Py_NewRef(self->report == NULL ? Py_None : self->report);
    PyObject *last = run(self, ready_length(self), report);
    PyErr_Fetch(&type, &error, &traceback);
    self->is_scheduled = 0;
    int asked = self->filled == 0 ? 0 : schedule(self);
    if (asked == 0) {
        PyErr_Restore(type, error, traceback);
    } else {
        Py_XDECREF(type);
        Py_XDECREF(error);
        Py_XDECREF(traceback);
    }
    Py_DECREF(report);
    if (last == NULL)
        return NULL;
    Py_DECREF(last);
    return asked < 0 ? NULL : none();
}

/* Like add, for a batch in this turn of the underlying loop; in debug mode the caller schedules it. */
static int
join(ReadyQueue *self, PyObject *handle, int number)
{
    if (line_up(self, handle, number) < 0)
        return -1;
    if (self->is_scheduled || self->handle_class != (PyObject *)self->tools.handle_type)
        return 0;
    if (!is_given(self->others))
        return schedule(self);
    PyObject *result = ready_run_batch(self, NULL);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static PyObject *
ready_join(ReadyQueue *self, PyObject *arguments)
{
    PyObject *handle, *priority;
    if (!PyArg_ParseTuple(arguments, "OO:join", &handle, &priority))
        return NULL;
    int number = level_of(priority);
    return number < 0 || join(self, handle, number) < 0 ? NULL : none();
}

/* Returns whether it was there. */
static int
unlink_handle(ReadyQueue *self, int number, Handle *handle)
{
    Level *level = &self->levels[number];
    Handle *before = NULL;
    for (Handle *it = level->first; it != NULL; before = it, it = it->next) {
        if (it != handle)
            continue;
        if (before == NULL)
            level->first = it->next;
        else
            before->next = it->next;
        if (level->last == it)
            level->last = before;
        if (--level->count == 0)
            self->filled &= ~(UINT64_C(1) << number);
        it->next = NULL;
        it->is_queued = 0;
        return 1;
    }
    return 0;
}

static PyObject *
ready_promote(ReadyQueue *self, PyObject *arguments)
{
    PyObject *task, *priority, *queued = PyList_New(0);
    if (queued == NULL)
        return NULL;
    int number = PyArg_ParseTuple(arguments, "OO:promote", &task, &priority) ? level_of(priority) : -1;
    /* A list of its own: to look for the attribute may run any code. */
    for (int i = number + 1; number >= 0 && i < LEVELS; i++) {
        for (Handle *it = self->levels[i].first; it != NULL; it = it->next) {
            if (PyList_Append(queued, (PyObject *)it) < 0)
                number = -1;
        }
    }
    for (Py_ssize_t i = 0; number >= 0 && i < PyList_Size(queued); i++) {
        Handle *handle = (Handle *)PyList_GetItem(queued, i);
        if (handle->callback == NULL)
            continue;
        PyObject *callback = Py_NewRef(handle->callback), *found = attribute(callback, self_name);
        if (found == task && handle->is_queued && unlink_handle(self, handle->level, handle))
            append(self, number, handle); /* takes over the reference that the other level had */
        Py_XDECREF(found);
        Py_DECREF(callback);
    }
    Py_DECREF(queued);
    return number < 0 ? NULL : none();
}

static PyObject *
ready_clear(ReadyQueue *self, PyObject *Py_UNUSED(ignored))
{
    forget_all(self);
    return none();
}

static int
ready_bool(ReadyQueue *self)
{
    return self->filled != 0;
}

static PyMethodDef ready_methods[] = {
    {"add", (PyCFunction)ready_add, METH_VARARGS,
     "add(handle, priority)\n--\n\nLet it wait for its turn."},
    {"join", (PyCFunction)ready_join, METH_VARARGS,
     "join(handle, priority)\n--\n\nAdd a handle whose timer or descriptor has fired, for a batch in this turn."},
    {"promote", (PyCFunction)ready_promote, METH_VARARGS,
     "promote(task, priority)\n--\n\nMove the callbacks of a task that are queued with a less urgent priority."},
    {"take", (PyCFunction)ready_take, METH_NOARGS,
     "take()\n--\n\nTake the one that is next; None if none is left that is not cancelled."},
    {"run", (PyCFunction)ready_run, METH_VARARGS,
     "run(count, report)\n--\n\n"
     "Call so many of those that are queued, or what there is; return the last.\n\n"
     "What one raises goes to `report(handle, error)`, but for SystemExit and KeyboardInterrupt."},
    {"run_batch", (PyCFunction)ready_run_batch, METH_NOARGS,
     "run_batch()\n--\n\nRun those that are queued now, and ask for another turn if some are there then."},
    {"clear", (PyCFunction)ready_clear, METH_NOARGS,
     "clear()\n--\n\nForget them all."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef ready_members[] = {
    {"ran", T_LONGLONG, offsetof(ReadyQueue, ran), READONLY, NULL},
    {"is_scheduled", T_BOOL, offsetof(ReadyQueue, is_scheduled), 0, NULL},
    {"handle_class", T_OBJECT, offsetof(ReadyQueue, handle_class), 0, NULL},
    {"starts_at", T_BOOL, offsetof(ReadyQueue, starts_at), 0, NULL},
    {"least_urgent", T_INT, offsetof(ReadyQueue, least_urgent), READONLY, NULL},
    {"timer_class", T_OBJECT, offsetof(ReadyQueue, timer_class), 0, NULL},
    {"schedule", T_OBJECT, offsetof(ReadyQueue, schedule), 0, NULL},
    {"wake", T_OBJECT, offsetof(ReadyQueue, wake), 0, NULL},
    {"start_at", T_OBJECT, offsetof(ReadyQueue, start_at), 0, NULL},
    {"start_later", T_OBJECT, offsetof(ReadyQueue, start_later), 0, NULL},
    {"others", T_OBJECT, offsetof(ReadyQueue, others), 0, NULL},
    {"batch_context", T_OBJECT, offsetof(ReadyQueue, batch_context), 0, NULL},
    {"after_step", T_OBJECT, offsetof(ReadyQueue, after_step), 0, NULL},
    {"level_of", T_OBJECT, offsetof(ReadyQueue, level_of), 0, NULL},
    {"report", T_OBJECT, offsetof(ReadyQueue, report), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

/* C code here relies on these being dicts. */
static PyObject *
get_tasks(ReadyQueue *self, void *closure)
{
    PyObject *tasks = *(PyObject **)((char *)self + (size_t)closure);
    return tasks == NULL ? PyDict_New() : Py_NewRef(tasks);
}

static int
set_tasks(ReadyQueue *self, PyObject *tasks, void *closure)
{
    PyObject **place = (PyObject **)((char *)self + (size_t)closure), *before = *place;
    if (tasks == NULL || !PyDict_Check(tasks)) {
        PyErr_SetString(PyExc_TypeError, "a dict is required");
        return -1;
    }
    *place = Py_NewRef(tasks);
    Py_XDECREF(before);
    return 0;
}

static PyGetSetDef ready_properties[] = {
    {"waits", (getter)get_tasks, (setter)set_tasks, NULL, (void *)offsetof(ReadyQueue, waits)},
    {"waiters", (getter)get_tasks, (setter)set_tasks, NULL, (void *)offsetof(ReadyQueue, waiters)},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot ready_slots[] = {
    {Py_tp_new, ready_new},
    {Py_tp_traverse, ready_traverse},
    {Py_tp_clear, ready_tp_clear},
    {Py_tp_dealloc, ready_dealloc},
    {Py_tp_methods, ready_methods},
    {Py_tp_members, ready_members},
    {Py_tp_getset, ready_properties},
    {Py_sq_length, ready_length},
    {Py_nb_bool, ready_bool},
    {Py_tp_doc, "ReadyQueue(step)\n--\n\nThe callbacks that are ready: by priority, inside one first come first served."},
    {0, NULL},
};

static PyType_Spec ready_spec = {
    .name = "governess.loops._priority._ready.ReadyQueue",
    .basicsize = sizeof(ReadyQueue),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = ready_slots,
};

/* ---- call_soon ---- */

static ReadyQueue *
line_of(PyObject *loop)
{
    PyObject *queue = PyObject_GetAttr(loop, queue_name);
    /* The type can have no subclass, so only itself has this slot. */
    if (queue != NULL && PyType_GetSlot(Py_TYPE(queue), Py_tp_dealloc) != (void *)ready_dealloc) {
        PyErr_Format(PyExc_TypeError, "the queue of a loop is a ReadyQueue, not %R", queue);
        Py_CLEAR(queue);
    }
    return (ReadyQueue *)queue;
}

/* What a method was given by keyword; `values` has what it was given by position. */
static int
read_keywords(const char *method, PyObject *given, PyObject *const *given_values, const char *const *expected,
              PyObject **values, int count)
{
    Py_ssize_t given_count = given == NULL ? 0 : PyTuple_Size(given);
    for (Py_ssize_t i = 0; i < given_count; i++) {
        PyObject *name = PyTuple_GetItem(given, i);
        int number = 0;
        while (number < count && PyUnicode_CompareWithASCIIString(name, expected[number]) != 0)
            number++;
        if (number == count || values[number] != NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument %R", method, name);
            return -1;
        }
        values[number] = given_values[i];
    }
    for (int number = 0; number < count - 1; number++) { /* the last one is the context */
        if (values[number] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() missing 1 required positional argument: '%s'", method, expected[number]);
            return -1;
        }
    }
    if (values[count - 1] == Py_None)
        values[count - 1] = NULL;
    return 0;
}

static PyObject *
tuple_of(PyObject *const *items, Py_ssize_t count)
{
    PyObject *tuple = PyTuple_New(count);
    for (Py_ssize_t i = 0; tuple != NULL && i < count; i++)
        PyTuple_SetItem(tuple, i, Py_NewRef(items[i]));
    return tuple;
}

static int
makes_plain_handles(ReadyQueue *queue)
{
    return queue->handle_class == (PyObject *)queue->tools.handle_type;
}

static PyObject *
make_handle(ReadyQueue *queue, PyObject *callback, PyObject *args, PyObject *context)
{
    if (makes_plain_handles(queue))
        return (PyObject *)new_handle(queue->tools.handle_type, Py_NewRef(callback), args, Py_NewRef(context));
    PyObject *handle_class = Py_XNewRef(queue->handle_class), *handle = NULL;
    if (args != NULL)
        handle = PyObject_CallFunctionObjArgs(handle_class, callback, args, context, NULL);
    Py_XDECREF(args);
    Py_XDECREF(handle_class);
    return handle;
}

static int
see_to_a_turn(PyObject *loop, ReadyQueue *queue, PyObject *callback)
{
    if (queue->is_scheduled)
        return 0;
    if (makes_plain_handles(queue) && is_given(queue->schedule))
        return schedule(queue);
    PyObject *asked = PyObject_CallMethodObjArgs(loop, schedule_name, callback, NULL);
    Py_XDECREF(asked);
    return asked == NULL ? -1 : 0;
}

PyDoc_STRVAR(call_soon_doc,
             "call_soon($self, callback, *args, context=None)\n--\n\n"
             "Call `callback` when nothing that is ready is more urgent; arguments and errors are those of asyncio.");

static const char *const soon_names[] = {"callback", "context"};

/* -1 after an error. */
static int
level_in(ReadyQueue *queue, PyObject *context)
{
    PyObject *priority = PyObject_CallFunctionObjArgs(queue->tools.get_from, context, queue->tools.current_priority,
                                                      queue->tools.zero, NULL);
    int number = priority == NULL ? -1 : level_of(priority);
    Py_XDECREF(priority);
    return number;
}

static int
current_level(ReadyQueue *queue)
{
    PyObject *priority = PyObject_CallNoArgs(queue->tools.get_priority);
    int number = priority == NULL ? -1 : level_of(priority);
    Py_XDECREF(priority);
    return number;
}

/* The level of a step of a task, or of a callback that is told of its end, if others wait for that task. */
static int
inherited(ReadyQueue *queue, PyObject *callback, PyObject *argument, int number)
{
    if (number < 0 || queue->waiters == NULL || PyDict_Size(queue->waiters) == 0 || !is_given(queue->level_of))
        return number;
    PyObject *task = attribute(callback, self_name);
    if (task == NULL || !is_in(task, queue->waiters)) {
        Py_XDECREF(task);
        task = Py_XNewRef(argument);
    }
    if (task != NULL && is_in(task, queue->waiters)) {
        PyObject *function = Py_NewRef(queue->level_of);
        PyObject *priority = PyObject_CallFunction(function, "Oi", task, number + MOST_URGENT);
        Py_DECREF(function);
        number = priority == NULL ? -1 : level_of(priority);
        Py_XDECREF(priority);
    }
    Py_XDECREF(task);
    return number;
}

static PyObject *
call_soon(PyObject *loop, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    PyObject *values[] = {count > 0 ? args[0] : NULL, NULL}, *handle = NULL;
    if (read_keywords("call_soon", keywords, args + count, soon_names, values, 2) < 0)
        return NULL;
    ReadyQueue *queue = line_of(loop);
    if (queue == NULL)
        return NULL;
    PyObject *callback = values[0], *given = values[1];
    PyObject *context = given != NULL ? Py_NewRef(given) : PyObject_CallNoArgs(queue->tools.copy_context);
    int number = context == NULL ? -1 : given == NULL ? current_level(queue) : level_in(queue, context);
    number = inherited(queue, callback, count == 2 ? args[1] : NULL, number);
    if (number >= 0 && see_to_a_turn(loop, queue, callback) == 0) {
        handle = make_handle(queue, callback, tuple_of(args + 1, count > 0 ? count - 1 : 0), context);
        if (handle != NULL && line_up(queue, handle, number) < 0)
            Py_CLEAR(handle);
    }
    Py_XDECREF(context);
    Py_DECREF((PyObject *)queue);
    return handle;
}

/* ---- call_soon_threadsafe ---- */

static int
check_callback(PyObject *loop, ReadyQueue *queue, const char *method, PyObject *callback)
{
    if (makes_plain_handles(queue))
        return 0;
    PyObject *text = PyUnicode_FromString(method);
    PyObject *checked = text == NULL ? NULL : PyObject_CallMethodObjArgs(loop, check_name, text, callback, NULL);
    Py_XDECREF(text);
    Py_XDECREF(checked);
    return checked == NULL ? -1 : 0;
}

/* The batch looks into the queue after it has set is_scheduled to 0, and this looks at it after something was added to the
   queue: one of them sees the other's change. A loop whose batch is scheduled does not sleep. */
static int
wake(PyObject *loop, ReadyQueue *queue)
{
    PyObject *woken;
    int is_plain = makes_plain_handles(queue);
    if (queue->is_scheduled && is_plain)
        return 0;
    if (is_plain && is_given(queue->wake)) {
        PyObject *function = Py_NewRef(queue->wake);
        queue->is_scheduled = 1;
        woken = PyObject_CallNoArgs(function);
        Py_DECREF(function);
    } else {
        woken = PyObject_CallMethodObjArgs(loop, wake_name, NULL);
    }
    if (woken == NULL)
        queue->is_scheduled = 0;
    Py_XDECREF(woken);
    return woken == NULL ? -1 : 0;
}

static void
cancel_after_error(Handle *handle)
{
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    Py_DECREF(handle_cancel(handle, NULL));
    PyErr_Restore(type, error, traceback);
}

PyDoc_STRVAR(call_soon_threadsafe_doc,
             "call_soon_threadsafe($self, callback, *args, context=None)\n--\n\n"
             "Do what `call_soon` does, from any thread or signal handler.");

static PyObject *
call_soon_threadsafe(PyObject *loop, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    PyObject *values[] = {count > 0 ? args[0] : NULL, NULL}, *handle = NULL;
    if (read_keywords("call_soon_threadsafe", keywords, args + count, soon_names, values, 2) < 0)
        return NULL;
    ReadyQueue *queue = line_of(loop);
    if (queue == NULL)
        return NULL;
    PyObject *context = values[1] != NULL ? Py_NewRef(values[1]) : PyObject_CallNoArgs(queue->tools.copy_context);
    int number = context == NULL ? -1 : values[1] == NULL ? current_level(queue) : level_in(queue, context);
    if (number >= 0 && check_callback(loop, queue, "call_soon_threadsafe", values[0]) == 0)
        handle = make_handle(queue, values[0], tuple_of(args + 1, count > 0 ? count - 1 : 0), context);
    if (handle != NULL && line_up(queue, handle, number) < 0)
        Py_CLEAR(handle);
    if (handle != NULL && wake(loop, queue) < 0) {
        cancel_after_error((Handle *)handle);
        Py_CLEAR(handle);
    }
    Py_XDECREF(context);
    Py_DECREF((PyObject *)queue);
    return handle;
}

/* ---- timers ---- */

static PyObject *
new_timer(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    PyObject *self = PyType_GenericNew(type, arguments, keywords);
    if (self != NULL)
        ((Handle *)self)->is_timer = 1;
    return self;
}

static int
timer_traverse(Timer *self, visitproc visit, void *arg)
{
    Py_VISIT(self->loop);
    Py_VISIT(self->inner);
    Py_VISIT(self->when);
    return handle_traverse(&self->base, visit, arg);
}

/* A new reference. */
static PyObject *
timer_when(Timer *self, PyObject *Py_UNUSED(ignored))
{
    if (self->when != NULL)
        return Py_NewRef(self->when);
    PyObject *when = self->inner == NULL ? NULL : PyObject_CallMethodObjArgs(self->inner, when_name, NULL);
    if (when != NULL || (self->inner != NULL && !PyErr_ExceptionMatches(PyExc_AttributeError)))
        return when;
    PyErr_Clear(); /* for a delay of 0, uvloop's call_later returns a handle without this method */
    return self->loop == NULL ? none() : PyObject_CallMethodObjArgs(self->loop, time_name, NULL);
}

/* Takes the inner handle, a new reference, which may be NULL. */
static PyObject *
take_inner(Timer *self)
{
    if (self->inner != NULL && self->when == NULL) {
        self->when = timer_when(self, NULL);
        if (self->when == NULL)
            PyErr_Clear();
    }
    PyObject *inner = self->inner;
    self->inner = NULL;
    return inner;
}

static PyObject *
timer_cancel(Timer *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *inner = take_inner(self);
    Py_DECREF(handle_cancel(&self->base, NULL));
    if (inner == NULL)
        return none();
    PyObject *cancelled = PyObject_CallMethodObjArgs(inner, cancel_name, NULL);
    Py_DECREF(inner);
    return cancelled;
}

/* It has fired. */
static PyObject *
timer_call(Timer *self, PyObject *Py_UNUSED(arguments), PyObject *Py_UNUSED(keywords))
{
    Py_XDECREF(take_inner(self));
    if (self->base.args == NULL || self->loop == NULL)
        return none();
    ReadyQueue *queue = line_of(self->loop);
    if (queue == NULL)
        return NULL;
    int number = level_in(queue, self->base.context);
    int joined = number < 0 ? -1 : join(queue, (PyObject *)self, number);
    Py_DECREF((PyObject *)queue);
    return joined < 0 ? NULL : none();
}

static Py_hash_t
timer_hash(Timer *self)
{
    PyObject *when = timer_when(self, NULL);
    Py_hash_t hash = when == NULL ? -1 : PyObject_Hash(when);
    Py_XDECREF(when);
    return hash;
}

static PyObject *
timer_compare(PyObject *self, PyObject *other, int operation)
{
    static const char *const operations[] = {"lt", "le", "eq", "ne", "gt", "ge"};
    if (operation == Py_EQ || operation == Py_NE) /* each is equal to itself alone */
        return Py_NewRef(Py_NotImplemented);
    PyObject *compare = imported("governess.loops._priority.ready", "compare_timers");
    PyObject *result = compare == NULL ? NULL : PyObject_CallFunction(compare, "OOs", self, other, operations[operation]);
    Py_XDECREF(compare);
    return result;
}

static PyObject *
timer_class(PyObject *Py_UNUSED(self), void *Py_UNUSED(closure))
{
    return imported("asyncio.events", "TimerHandle");
}

static PyMethodDef timer_methods[] = {
    {"cancel", (PyCFunction)timer_cancel, METH_NOARGS, "cancel()\n--\n\nCancel the timer, before it fires or while it is queued."},
    {"when", (PyCFunction)timer_when, METH_NOARGS,
     "when()\n--\n\nReturn the time at which it fires, by the loop's clock."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef timer_members[] = {
    {"loop", T_OBJECT, offsetof(Timer, loop), READONLY, NULL},
    {"inner", T_OBJECT, offsetof(Timer, inner), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef timer_properties[] = {
    {"__class__", timer_class, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot timer_slots[] = {
    {Py_tp_new, new_timer},
    {Py_tp_traverse, timer_traverse},
    {Py_tp_clear, handle_clear},
    {Py_tp_dealloc, handle_dealloc},
    {Py_tp_call, timer_call},
    {Py_tp_hash, timer_hash},
    {Py_tp_richcompare, timer_compare},
    {Py_tp_methods, timer_methods},
    {Py_tp_members, timer_members},
    {Py_tp_getset, timer_properties},
    {Py_tp_doc, "TimerHandle(callback, args, context)\n--\n\n"
                "The callback of the underlying loop's timer, and then a handle in the ready queue."},
    {0, NULL},
};

static PyType_Spec timer_spec = {
    .name = "governess.loops._priority._ready.TimerHandle",
    .basicsize = sizeof(Timer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = timer_slots,
};

/* Takes over the reference to `args`. */
static Timer *
make_timer(PyObject *loop, ReadyQueue *queue, PyObject *when, PyObject *callback, PyObject *args, PyObject *given)
{
    PyObject *context = given != NULL ? Py_NewRef(given) : PyObject_CallNoArgs(queue->tools.copy_context);
    PyObject *timer = NULL;
    if (queue->timer_class == (PyObject *)queue->tools.timer_type) {
        Handle *plain = new_handle(queue->tools.timer_type, Py_NewRef(callback), args, context);
        timer = (PyObject *)plain;
        if (plain != NULL) {
            /* The collector may look at it only after this: new_handle() has told it, but nothing was allocated since. */
            ((Timer *)plain)->loop = ((Timer *)plain)->inner = ((Timer *)plain)->when = NULL;
            plain->is_timer = 1;
        }
    } else {
        PyObject *timer_class = Py_XNewRef(queue->timer_class);
        if (args != NULL && context != NULL && check_callback(loop, queue, "call_at", callback) == 0)
            timer = PyObject_CallFunctionObjArgs(timer_class, callback, args, context, NULL);
        Py_XDECREF(timer_class);
        Py_XDECREF(args);
        Py_XDECREF(context);
    }
    if (timer != NULL) {
        ((Timer *)timer)->loop = Py_NewRef(loop);
        ((Timer *)timer)->when = Py_XNewRef(when);
    }
    return (Timer *)timer;
}

/* Starts it in the underlying loop. Takes over the reference; NULL after an error. */
static PyObject *
start(Timer *timer, PyObject *start_function, PyObject *time)
{
    if (timer == NULL)
        return NULL;
    PyObject *inner = NULL;
    if (is_given(start_function)) {
        PyObject *function = Py_NewRef(start_function);
        inner = PyObject_CallFunctionObjArgs(function, time, (PyObject *)timer, NULL);
        Py_DECREF(function);
    } else {
        PyErr_SetString(PyExc_RuntimeError, "Event loop is closed");
    }
    if (inner == NULL) {
        cancel_after_error(&timer->base);
        Py_DECREF((PyObject *)timer);
        return NULL;
    }
    timer->inner = inner;
    return (PyObject *)timer;
}

/* uvloop rounds a delay to milliseconds, and gives a callback without any to call_soon. */
#define UVLOOP_NOW 0.001

/* If it was given to call_soon, and not to a timer, then it is queued at once, for the same turn. */
static int
join_at_once(PyObject *loop, ReadyQueue *queue, Timer *timer)
{
    PyObject *when = timer->inner == NULL ? NULL : attribute(timer->inner, when_name);
    if (timer->inner == NULL || when != NULL || timer->base.is_queued) {
        Py_XDECREF(when);
        return 0;
    }
    PyObject *inner = take_inner(timer), *cancelled = PyObject_CallMethodObjArgs(inner, cancel_name, NULL);
    Py_DECREF(inner);
    Py_XDECREF(cancelled);
    int number = cancelled == NULL ? -1 : level_in(queue, timer->base.context);
    if (number < 0 || see_to_a_turn(loop, queue, timer->base.callback) < 0)
        return -1;
    return line_up(queue, (PyObject *)timer, number);
}

/* Of call_at and call_later: `absolute` says which. */
static PyObject *
call_timer(PyObject *loop, PyObject *const *args, Py_ssize_t count, PyObject *keywords, int absolute)
{
    const char *method = absolute ? "call_at" : "call_later";
    const char *const expected[] = {absolute ? "when" : "delay", "callback", "context"};
    PyObject *values[] = {count > 0 ? args[0] : NULL, count > 1 ? args[1] : NULL, NULL}, *result = NULL;
    if (read_keywords(method, keywords, args + count, expected, values, 3) < 0)
        return NULL;
    ReadyQueue *queue = line_of(loop);
    if (queue == NULL)
        return NULL;
    PyObject *time = values[0], *callback = values[1];
    PyObject *below = absolute ? queue->start_at : queue->start_later;
    if (PyObject_TypeCheck(callback, queue->tools.timer_type)) {
        /* call_later of the underlying loop calls call_at, or the other way round. */
        result = is_given(below) ? PyObject_CallFunctionObjArgs(below, time, callback, NULL) : NULL;
        if (!is_given(below))
            PyErr_SetString(PyExc_RuntimeError, "Event loop is closed");
    } else if (time == Py_None) {
        PyErr_SetString(PyExc_TypeError, absolute ? "when cannot be None" : "delay must not be None");
    } else {
        PyObject *rest = tuple_of(args + 2, count > 2 ? count - 2 : 0), *now, *when = absolute ? Py_NewRef(time) : NULL;
        if (!absolute && queue->starts_at && (now = PyObject_CallMethodObjArgs(loop, time_name, NULL)) != NULL) {
            when = PyNumber_Add(now, time);
            Py_DECREF(now);
        }
        if (PyErr_Occurred()) /* the time is no number, or rest is NULL */
            Py_XDECREF(rest);
        else
            result = start(make_timer(loop, queue, when, callback, rest, values[2]),
                           when == NULL ? queue->start_later : queue->start_at, when == NULL ? time : when);
        if (result != NULL && !queue->starts_at && (absolute || PyFloat_AsDouble(time) < UVLOOP_NOW) &&
            join_at_once(loop, queue, (Timer *)result) < 0)
            Py_CLEAR(result);
        Py_XDECREF(when);
    }
    Py_DECREF((PyObject *)queue);
    return result;
}

PyDoc_STRVAR(call_later_doc,
             "call_later($self, delay, callback, *args, context=None)\n--\n\n"
             "Add `callback` to the ready queue after `delay` seconds; arguments and errors are those of asyncio.");

static PyObject *
call_later(PyObject *loop, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    return call_timer(loop, args, count, keywords, 0);
}

PyDoc_STRVAR(call_at_doc,
             "call_at($self, when, callback, *args, context=None)\n--\n\n"
             "Add `callback` to the ready queue at the time `when`; arguments and errors are those of asyncio.");

static PyObject *
call_at(PyObject *loop, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    return call_timer(loop, args, count, keywords, 1);
}

static PyMethodDef loop_methods[] = {
    {"call_soon", (PyCFunction)(void (*)(void))call_soon, METH_FASTCALL | METH_KEYWORDS, call_soon_doc},
    {"call_soon_threadsafe", (PyCFunction)(void (*)(void))call_soon_threadsafe, METH_FASTCALL | METH_KEYWORDS,
     call_soon_threadsafe_doc},
    {"call_later", (PyCFunction)(void (*)(void))call_later, METH_FASTCALL | METH_KEYWORDS, call_later_doc},
    {"call_at", (PyCFunction)(void (*)(void))call_at, METH_FASTCALL | METH_KEYWORDS, call_at_doc},
    {NULL, NULL, 0, NULL},
};

/* ---- the module ---- */

static int
find_tools(Tools *tools)
{
    PyObject *context_class = imported("contextvars", "Context");
    tools->copy_context = imported("contextvars", "copy_context");
    tools->current_priority = imported("governess.loops._priority.ready", "current_priority");
    tools->zero = PyLong_FromLong(0);
    if (context_class != NULL && tools->current_priority != NULL) {
        tools->get_priority = PyObject_GetAttrString(tools->current_priority, "get");
        tools->get_from = PyObject_GetAttrString(context_class, "get");
        tools->run_in = PyObject_GetAttrString(context_class, "run");
    }
    Py_XDECREF(context_class);
    PyObject **tool = (PyObject **)tools;
    for (size_t i = 0; i < sizeof(Tools) / sizeof(PyObject *); i++) {
        if (tool[i] == NULL)
            return -1;
    }
    return 0;
}

static int
add_object(PyObject *module, const char *name, PyObject *object)
{
    int result = object == NULL ? -1 : PyModule_AddObjectRef(module, name, object);
    Py_XDECREF(object);
    return result;
}

static int
execute_module(PyObject *module)
{
    Tools *tools = PyModule_GetState(module);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (*names[i].name == NULL && (*names[i].name = PyUnicode_InternFromString(names[i].text)) == NULL)
            return -1;
    }
    tools->handle_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &handle_spec, NULL);
    if (tools->handle_type == NULL)
        return -1;
    tools->timer_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &timer_spec, (PyObject *)tools->handle_type);
    if (tools->timer_type == NULL || find_tools(tools) < 0)
        return -1;
    /* What asyncio's handles have: where they were made, which only those of debug mode know. */
    if (PyObject_SetAttrString((PyObject *)tools->handle_type, "source_traceback", Py_None) < 0 ||
        PyModule_AddObjectRef(module, "ReadyHandle", (PyObject *)tools->handle_type) < 0)
        return -1;
    if (PyModule_AddObjectRef(module, "TimerHandle", (PyObject *)tools->timer_type) < 0)
        return -1;
    /* Methods of every object: a base class for them would change the layout of loop classes, as Python sees it. */
    for (PyMethodDef *method = loop_methods; method->ml_name != NULL; method++) {
        if (add_object(module, method->ml_name, PyDescr_NewMethod(&PyBaseObject_Type, method)) < 0)
            return -1;
    }
    return add_object(module, "ReadyQueue", PyType_FromModuleAndSpec(module, &ready_spec, NULL));
}

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    PyObject **tool = PyModule_GetState(module);
    for (size_t i = 0; tool != NULL && i < sizeof(Tools) / sizeof(PyObject *); i++)
        Py_VISIT(tool[i]);
    return 0;
}

static int
module_clear(PyObject *module)
{
    PyObject **tool = PyModule_GetState(module);
    for (size_t i = 0; tool != NULL && i < sizeof(Tools) / sizeof(PyObject *); i++)
        Py_CLEAR(tool[i]);
    return 0;
}

static void
module_free(void *module)
{
    module_clear(module);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, execute_module},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_ready",
    .m_doc = "Callbacks that are ready, in the order in which they are to run; in C.",
    .m_size = sizeof(Tools),
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC
PyInit__ready(void)
{
    return PyModuleDef_Init(&module_definition);
}

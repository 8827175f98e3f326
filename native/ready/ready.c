/* What ready.py has, for loops whose own call_soon() is written in C: the same three names with the same meaning.

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
    char is_queued;
} Handle;

typedef struct {
    Handle *first;
    Handle *last;
    Py_ssize_t count;
} Level;

/* Python's own functions: the limited API has nothing of contexts. */
typedef struct {
    PyTypeObject *handle_type;
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
    PyObject *schedule; /* this and the next: NULL or None where there is no loop */
    PyObject *report;
    char is_scheduled;
} ReadyQueue;

/* Attributes of the loop. Strings alone: they serve every interpreter of the process. */
static PyObject *queue_name, *schedule_name;

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
    self->is_queued = 0;
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

/* A new reference to the last. */
static PyObject *
run(ReadyQueue *self, Py_ssize_t count, PyObject *report)
{
    Handle *handle = NULL;
    for (; count > 0; count--) {
        Py_XDECREF((PyObject *)handle);
        if ((handle = take(self)) == NULL)
            break;
        PyObject *result = call(self, handle);
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

static int
is_given(PyObject *object)
{
    return object != NULL && object != Py_None;
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
    Py_VISIT(self->schedule);
    Py_VISIT(self->report);
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
    Py_CLEAR(self->schedule);
    Py_CLEAR(self->report);
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

static PyObject *
ready_run_batch(ReadyQueue *self, PyObject *Py_UNUSED(ignored))
{
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
    {"schedule", T_OBJECT, offsetof(ReadyQueue, schedule), 0, NULL},
    {"report", T_OBJECT, offsetof(ReadyQueue, report), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot ready_slots[] = {
    {Py_tp_new, ready_new},
    {Py_tp_traverse, ready_traverse},
    {Py_tp_clear, ready_tp_clear},
    {Py_tp_dealloc, ready_dealloc},
    {Py_tp_methods, ready_methods},
    {Py_tp_members, ready_members},
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

static int
read_keywords(PyObject *names, PyObject *const *values, PyObject **callback, PyObject **context)
{
    Py_ssize_t count = names == NULL ? 0 : PyTuple_Size(names);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *name = PyTuple_GetItem(names, i);
        if (PyUnicode_CompareWithASCIIString(name, "context") == 0) {
            *context = values[i] == Py_None ? NULL : values[i];
        } else if (PyUnicode_CompareWithASCIIString(name, "callback") == 0 && *callback == NULL) {
            *callback = values[i];
        } else {
            PyErr_Format(PyExc_TypeError, "call_soon() got an unexpected keyword argument %R", name);
            return -1;
        }
    }
    if (*callback != NULL)
        return 0;
    PyErr_SetString(PyExc_TypeError, "call_soon() missing 1 required positional argument: 'callback'");
    return -1;
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

static PyObject *
call_soon(PyObject *loop, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *callback = count > 0 ? args[0] : NULL, *given = NULL, *handle = NULL;
    if (read_keywords(names, args + count, &callback, &given) < 0)
        return NULL;
    ReadyQueue *queue = line_of(loop);
    if (queue == NULL)
        return NULL;
    Tools *tools = &queue->tools;
    PyObject *context = given != NULL ? Py_NewRef(given) : PyObject_CallNoArgs(tools->copy_context);
    PyObject *priority = NULL;
    if (context != NULL && given == NULL)
        priority = PyObject_CallNoArgs(tools->get_priority);
    else if (context != NULL)
        priority = PyObject_CallFunctionObjArgs(tools->get_from, context, tools->current_priority, tools->zero, NULL);
    int number = priority == NULL ? -1 : level_of(priority);
    if (number >= 0 && see_to_a_turn(loop, queue, callback) == 0) {
        handle = make_handle(queue, callback, tuple_of(args + 1, count > 0 ? count - 1 : 0), context);
        if (handle != NULL && line_up(queue, handle, number) < 0)
            Py_CLEAR(handle);
    }
    Py_XDECREF(priority);
    Py_XDECREF(context);
    Py_DECREF((PyObject *)queue);
    return handle;
}

static PyMethodDef call_soon_method = {
    "call_soon", (PyCFunction)(void (*)(void))call_soon, METH_FASTCALL | METH_KEYWORDS, call_soon_doc};

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
    if (queue_name == NULL)
        queue_name = PyUnicode_InternFromString("_ready_queue");
    if (schedule_name == NULL)
        schedule_name = PyUnicode_InternFromString("_schedule_batch");
    tools->handle_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &handle_spec, NULL);
    if (queue_name == NULL || schedule_name == NULL || tools->handle_type == NULL || find_tools(tools) < 0)
        return -1;
    /* What asyncio's handles have: where they were made, which only those of debug mode know. */
    if (PyObject_SetAttrString((PyObject *)tools->handle_type, "source_traceback", Py_None) < 0 ||
        PyModule_AddObjectRef(module, "ReadyHandle", (PyObject *)tools->handle_type) < 0)
        return -1;
    /* A method of every object: a base class for it would change the layout of loop classes, as Python sees it. */
    if (add_object(module, "call_soon", PyDescr_NewMethod(&PyBaseObject_Type, &call_soon_method)) < 0)
        return -1;
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

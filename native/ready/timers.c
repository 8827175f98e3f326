/* The methods call_later and call_at of a loop, and the type TimerHandle. */

#include "ready.h"

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

/* uvloop runs a timer in a copy of the context, which its handle references: so a timer needs no copy of its own. There is
   no method that returns it, but the garbage collector knows it. A new reference; NULL, perhaps with an error, if there is
   none. */
static PyObject *
context_of(PyObject *inner)
{
    PyObject *get_referents = imported("gc", "get_referents"), *context_class = imported("contextvars", "Context");
    PyObject *found = NULL, *referents = NULL;
    if (get_referents != NULL && context_class != NULL)
        referents = PyObject_CallFunctionObjArgs(get_referents, inner, NULL);
    for (Py_ssize_t i = 0; referents != NULL && found == NULL && i < PyList_Size(referents); i++) {
        PyObject *each = PyList_GetItem(referents, i);
        if ((PyObject *)Py_TYPE(each) == context_class)
            found = Py_NewRef(each);
    }
    Py_XDECREF(referents);
    Py_XDECREF(context_class);
    Py_XDECREF(get_referents);
    return found;
}

static PyObject *
timer_get_context(Timer *self, PyObject *Py_UNUSED(ignored))
{
    if (self->base.context == NULL && self->inner != NULL)
        self->base.context = context_of(self->inner);
    if (self->base.context == NULL && PyErr_Occurred())
        return NULL;
    return Py_NewRef(self->base.context == NULL ? Py_None : self->base.context);
}

/* Copies the current context, in which it is made or fires, if it has none of its own yet. */
static int
see_to_a_context(ReadyQueue *queue, Timer *self)
{
    if (self->base.context == NULL)
        self->base.context = PyObject_CallNoArgs(queue->tools.copy_context);
    return self->base.context == NULL ? -1 : 0;
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
    /* It stays where it alone knows the context. */
    PyObject *inner = self->base.context == NULL ? Py_XNewRef(self->inner) : take_inner(self);
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
    int number = see_to_a_context(queue, self) < 0 ? -1 : level_in(queue, self->base.context);
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
    {"get_context", (PyCFunction)timer_get_context, METH_NOARGS,
     "get_context()\n--\n\nReturn the context in which it is called."},
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

PyType_Spec timer_spec = {
    .name = "governess.loops._priority._ready.TimerHandle",
    .basicsize = sizeof(Timer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = timer_slots,
};

/* Takes over the reference to `args`. */
static Timer *
make_timer(PyObject *loop, ReadyQueue *queue, PyObject *when, PyObject *callback, PyObject *args, PyObject *given)
{
    int is_plain = queue->timer_class == (PyObject *)queue->tools.timer_type;
    int needs_none = given == NULL && is_plain && queue->knows_context;
    PyObject *context = Py_XNewRef(given), *timer = NULL;
    if (given == NULL && !needs_none)
        context = PyObject_CallNoArgs(queue->tools.copy_context);
    if (context == NULL && !needs_none) {
        Py_XDECREF(args);
    } else if (is_plain) {
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
start(ReadyQueue *queue, Timer *timer, PyObject *start_function, PyObject *time)
{
    if (timer == NULL)
        return NULL;
    PyObject *inner = NULL, *outer = queue->starting;
    if (is_given(start_function)) {
        PyObject *function = Py_NewRef(start_function);
        queue->starting = (PyObject *)timer;
        inner = PyObject_CallFunctionObjArgs(function, time, (PyObject *)timer, NULL);
        queue->starting = outer;
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

/* uvloop rounds a delay to milliseconds, and gives a callback without any to call_soon. If it was given to call_soon, and
   not to a timer, then it is queued at once, for the same turn. */
static int
join_at_once(PyObject *loop, ReadyQueue *queue, Timer *timer)
{
    PyObject *inner = take_inner(timer), *cancelled = PyObject_CallMethodObjArgs(inner, cancel_name, NULL);
    Py_DECREF(inner);
    Py_XDECREF(cancelled);
    int number = cancelled == NULL ? -1 : level_in(queue, timer->base.context);
    if (number < 0 || see_to_a_turn(loop, queue, timer->base.callback) < 0)
        return -1;
    return line_up(queue, (PyObject *)timer, number);
}

/* Looks at what another loop than asyncio's has made of a timer, and remembers what its handles are like. */
static int
look_at_inner(PyObject *loop, ReadyQueue *queue, Timer *timer)
{
    if (timer->inner == NULL || (PyObject *)Py_TYPE(timer->inner) == queue->inner_type)
        return 0;
    if (see_to_a_context(queue, timer) < 0)
        return -1;
    PyObject *when = attribute(timer->inner, when_name), *context;
    if (when == NULL)
        return timer->base.is_queued ? 0 : join_at_once(loop, queue, timer);
    Py_DECREF(when);
    context = context_of(timer->inner);
    if (context == NULL && PyErr_Occurred())
        return -1;
    queue->knows_context = context != NULL;
    Py_XDECREF(context);
    PyObject *before = queue->inner_type;
    queue->inner_type = Py_NewRef((PyObject *)Py_TYPE(timer->inner));
    Py_XDECREF(before);
    return 0;
}

/* Of call_at and call_later: `absolute` says which. */
static PyObject *
call_timer(PyObject *loop, PyObject *const *args, Py_ssize_t count, PyObject *keywords, int absolute)
{
    const char *method = absolute ? "call_at" : "call_later";
    const char *const expected[] = {absolute ? "when" : "delay", "callback", "context"};
    PyObject *values[] = {count > 0 ? args[0] : NULL, count > 1 ? args[1] : NULL, NULL}, *result = NULL;
    if ((keywords != NULL || count < 2) && read_keywords(method, keywords, args + count, expected, values, 3) < 0)
        return NULL;
    ReadyQueue *queue = line_of(loop);
    if (queue == NULL)
        return NULL;
    PyObject *time = values[0], *callback = values[1];
    PyObject *below = absolute ? queue->start_at : queue->start_later;
    if (callback == queue->starting) {
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
            result = start(queue, make_timer(loop, queue, when, callback, rest, values[2]),
                           when == NULL ? queue->start_later : queue->start_at, when == NULL ? time : when);
        if (result != NULL && !queue->starts_at && look_at_inner(loop, queue, (Timer *)result) < 0)
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

PyMethodDef timer_methods_of_loops[] = {
    {"call_later", (PyCFunction)(void (*)(void))call_later, METH_FASTCALL | METH_KEYWORDS, call_later_doc},
    {"call_at", (PyCFunction)(void (*)(void))call_at, METH_FASTCALL | METH_KEYWORDS, call_at_doc},
    {NULL, NULL, 0, NULL},
};

/* The type ReadyQueue. */

#include "ready.h"

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
    Py_VISIT(self->inner_type);
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
    Py_CLEAR(self->inner_type);
    Py_CLEAR(self->waits);
    Py_CLEAR(self->waiters);
    return 0;
}

void
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

int
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
    if (((Handle *)handle)->context == NULL && ((Handle *)handle)->args != NULL) {
        PyErr_Format(PyExc_ValueError, "%R has not fired", handle);
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
int
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
     "Call the next `count` of those that are queued, or all if there are fewer; return the last.\n\n"
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

PyType_Spec ready_spec = {
    .name = "governess.loops._priority._ready.ReadyQueue",
    .basicsize = sizeof(ReadyQueue),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = ready_slots,
};

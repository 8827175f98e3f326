/* One callback that waits for its turn: the type ReadyHandle. */

#include "ready.h"

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

/* Takes over the references; `args` may be NULL after an error, `context` as long as a timer needs none. */
Handle *
new_handle(PyTypeObject *type, PyObject *callback, PyObject *args, PyObject *context)
{
    Handle *self = args == NULL ? NULL : PyObject_GC_New(Handle, type);
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

int
handle_traverse(Handle *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->callback);
    Py_VISIT(self->args);
    Py_VISIT(self->context);
    return 0;
}

int
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
void
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

PyObject *
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

PyType_Spec handle_spec = {
    .name = "governess.loops._priority._ready.ReadyHandle",
    .basicsize = sizeof(Handle),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = handle_slots,
};

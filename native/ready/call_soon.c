/* The methods call_soon and call_soon_threadsafe of a loop. */

#include "ready.h"

ReadyQueue *
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
int
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

PyObject *
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

int
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
int
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

int
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

void
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

PyMethodDef call_soon_methods[] = {
    {"call_soon", (PyCFunction)(void (*)(void))call_soon, METH_FASTCALL | METH_KEYWORDS, call_soon_doc},
    {"call_soon_threadsafe", (PyCFunction)(void (*)(void))call_soon_threadsafe, METH_FASTCALL | METH_KEYWORDS,
     call_soon_threadsafe_doc},
    {NULL, NULL, 0, NULL},
};

/* The module _spawn, and its types: Channel, where a loop has children started, and Started, what came of one. */

#include "pool.h"

#ifdef __linux__
#define A_PIDFD 3 /* P_PIDFD, which older headers lack */
#endif

/* Not Py_RETURN_NONE: the headers of 3.12 and later take None for immortal, which it is not in 3.11. */
static PyObject *
none(void)
{
    return Py_NewRef(Py_None);
}

/* The data of an object lies behind its head. PEP 803's ABI does not tell how long that is: there Python finds the data, for
   a class that nobody can derive from. */
#ifdef Py_TARGET_ABI3T
#define SIZE_WITH(data) (-(int)sizeof(data))

static void *
data_of(PyObject *object)
{
    return PyObject_GetTypeData(object, Py_TYPE(object));
}
#else
#define SIZE_WITH(data) ((int)(sizeof(PyObject) + sizeof(data)))

static void *
data_of(PyObject *object)
{
    return object + 1;
}
#endif

static PyObject *
allocate(PyTypeObject *type)
{
    return ((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
}

static void
release(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

typedef struct {
    PyObject *started_type;
} State;

/* Of the parent process: the children are not ours, but the copies of its descriptors are. */
static void
forget_request(Request *request)
{
    close_pipes(request);
    close_descriptor(&request->pidfd);
    free_request(request);
}

/* ---- the type Started ---- */

typedef struct {
    Request *request; /* NULL: released */
    unsigned generation;
} Started;

static void
started_dealloc(PyObject *object)
{
    Started *self = data_of(object);
    enter_pool();
    if (self->request != NULL && self->generation == pool.generation)
        end_in_thread(self->request);
    else if (self->request != NULL)
        forget_request(self->request);
    release(object);
}

PyDoc_STRVAR(outcome_doc,
             "outcome()\n--\n\n"
             "Return (key, pid, pidfd, stdin, stdout, stderr, is_guarded, errno, step).\n\n"
             "Descriptors are -1 where there is none; is_guarded says whether the guardian knows of the child; step names\n"
             "what failed, and is None for a child that lives.");

static PyObject *
started_outcome(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    Started *self = data_of(object);
    Request seen;
    enter_pool();
    pthread_mutex_lock(&pool.lock);
    int is_here = self->request != NULL;
    if (is_here)
        seen = *self->request;
    pthread_mutex_unlock(&pool.lock);
    if (!is_here) {
        PyErr_SetString(PyExc_ValueError, "the child is released");
        return NULL;
    }
    return Py_BuildValue("Kiiiiiiiz", seen.key, (int)seen.pid, seen.pidfd, seen.pipes[0][1], seen.pipes[1][0],
                         seen.pipes[2][0], seen.is_guarded, seen.error, seen.step);
}

PyDoc_STRVAR(release_doc, "release()\n--\n\nGive the child and the descriptors to the caller, who owns them from now on.");

static PyObject *
started_release(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    Started *self = data_of(object);
    enter_pool();
    pthread_mutex_lock(&pool.lock);
    Request *request = self->request;
    self->request = NULL;
    pthread_mutex_unlock(&pool.lock);
    if (request != NULL)
        free_request(request);
    return none();
}

static PyMethodDef started_methods[] = {
    {"outcome", started_outcome, METH_NOARGS, outcome_doc},
    {"release", started_release, METH_NOARGS, release_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot started_slots[] = {
    {Py_tp_dealloc, started_dealloc},
    {Py_tp_methods, started_methods},
    {Py_tp_doc, "What came of a start; dropped before release(), it kills and reaps the child and closes the descriptors."},
    {0, NULL},
};

static PyType_Spec started_spec = {
    .name = "governess.children._spawn._native.Started",
    .basicsize = SIZE_WITH(Started),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = started_slots,
};

/* ---- the type Channel ---- */

static PyObject *
channel_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    if (PyTuple_Size(arguments) != 0 || (keywords != NULL && PyDict_Size(keywords) != 0)) {
        PyErr_SetString(PyExc_TypeError, "Channel takes no arguments");
        return NULL;
    }
    PyObject *object = allocate(type);
    if (object == NULL)
        return NULL;
    Channel *self = data_of(object);
    self->done_end = &self->done;
    self->backlog_end = &self->backlog;
    self->interpreter = PyInterpreterState_Get();
    if ((self->wakeup = new_wakeup()) == NULL) {
        PyErr_SetFromErrno(PyExc_OSError);
        Py_DECREF(object);
        return NULL;
    }
    enter_pool();
    pthread_mutex_lock(&pool.lock);
    self->generation = pool.generation;
    self->next = pool.channels;
    pool.channels = self;
    pthread_mutex_unlock(&pool.lock);
    return object;
}

static void
unlink_channel(Channel *self)
{
    for (Channel **place = &pool.channels; *place != NULL; place = &(*place)->next) {
        if (*place == self) {
            *place = self->next;
            break;
        }
    }
}

static void
shut(Channel *self)
{
    enter_pool();
    pthread_mutex_lock(&pool.lock);
    if (self->generation == pool.generation)
        cancel_requests(self, 1, 0);
    else if (self->wakeup != NULL)
        abandon_wakers(self->wakeup);
    while (self->done != NULL) {
        Request *request = self->done;
        self->done = request->next;
        forget_request(request);
    }
    unlink_channel(self);
    if (self->wakeup != NULL)
        close_wakeup(self->wakeup);
    self->wakeup = NULL;
    pthread_mutex_unlock(&pool.lock);
}

static void
channel_dealloc(PyObject *object)
{
    shut(data_of(object));
    release(object);
}

PyDoc_STRVAR(fileno_doc, "fileno()\n--\n\nReturn the descriptor that is readable while there are outcomes to take.");

static PyObject *
channel_fileno(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    Channel *self = data_of(object);
    enter_pool();
    pthread_mutex_lock(&pool.lock);
    int descriptor = self->wakeup == NULL ? -1 : self->wakeup->read;
    pthread_mutex_unlock(&pool.lock);
    return PyLong_FromLong(descriptor);
}

PyDoc_STRVAR(submit_doc,
             "submit(key, argv, program, path, env, cwd, stdio, close_fds, pass_fds, restore_signals,\n"
             "       new_session, process_group, groups, gid, uid, umask, pipesize, nice, death_signal,\n"
             "       terminal, limits, guardian=None, guardian_number=0, guard_key=0, guard_scope=0)\n--\n\n"
             "Have a child started; -1, 0 and None stand for what is not wanted.");

static PyObject *
channel_submit(PyObject *object, PyObject *arguments)
{
    Channel *self = data_of(object);
    Request *request = new_request(arguments);
    if (request == NULL)
        return NULL;
    enter_pool();
    request->channel = self;
    int error = self->generation == pool.generation ? launch(request) : ECANCELED;
    if (error == 0)
        return none();
    free_request(request);
    if (error == ECANCELED) {
        PyErr_SetString(PyExc_ValueError, "the channel is closed");
        return NULL;
    }
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

static int
has_outcome(Channel *self)
{
    pthread_mutex_lock(&pool.lock);
    int found = self->done != NULL;
    if (!found && self->wakeup != NULL) /* closed while the lock was free */
        drain(self->wakeup);
    pthread_mutex_unlock(&pool.lock);
    return found;
}

PyDoc_STRVAR(take_doc,
             "take()\n--\n\n"
             "Return a Started, or None if there is no outcome to take.\n\n"
             "Called in the loop's thread: requests that waited for a thread get theirs now.");

static PyObject *
channel_take(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    Channel *self = data_of(object);
    enter_pool();
    if (self->generation != pool.generation)
        return none();
    launch_backlog(self);
    if (!has_outcome(self))
        return none();
    State *state = PyModule_GetState(PyType_GetModule(Py_TYPE(object)));
    PyObject *result = allocate((PyTypeObject *)state->started_type);
    if (result == NULL)
        return NULL;
    Started *started = data_of(result);
    started->generation = pool.generation;
    pthread_mutex_lock(&pool.lock);
    Request *request = self->done;
    if (request != NULL) {
        self->done = request->next;
        if (self->done == NULL)
            self->done_end = &self->done;
    }
    pthread_mutex_unlock(&pool.lock);
    started->request = request;
    return result;
}

PyDoc_STRVAR(cancel_doc,
             "cancel(key)\n--\n\nDrop what was asked for under this key; a child that lives already is killed and reaped.");

static PyObject *
channel_cancel(PyObject *object, PyObject *key)
{
    Channel *self = data_of(object);
    unsigned long long number = PyLong_AsUnsignedLongLong(key);
    if (PyErr_Occurred())
        return NULL;
    enter_pool();
    pthread_mutex_lock(&pool.lock);
    if (self->generation == pool.generation) {
        cancel_requests(self, 0, number);
        if (self->backlog != NULL) /* take() gives them a thread */
            wake(self->wakeup);
    }
    pthread_mutex_unlock(&pool.lock);
    return none();
}

PyDoc_STRVAR(close_doc, "close()\n--\n\nCancel everything that is left, and close the descriptor.");

static PyObject *
channel_close(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    shut(data_of(object));
    return none();
}

static PyMethodDef channel_methods[] = {
    {"fileno", channel_fileno, METH_NOARGS, fileno_doc},
    {"submit", channel_submit, METH_VARARGS, submit_doc},
    {"take", channel_take, METH_NOARGS, take_doc},
    {"cancel", channel_cancel, METH_O, cancel_doc},
    {"close", channel_close, METH_NOARGS, close_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot channel_slots[] = {
    {Py_tp_new, channel_new},
    {Py_tp_dealloc, channel_dealloc},
    {Py_tp_methods, channel_methods},
    {Py_tp_doc, "The children that are being started for one event loop."},
    {0, NULL},
};

static PyType_Spec channel_spec = {
    .name = "governess.children._spawn._native.Channel",
    .basicsize = SIZE_WITH(Channel),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = channel_slots,
};

/* ---- the module ---- */

PyDoc_STRVAR(finish_doc,
             "finish(timeout)\n--\n\n"
             "Cancel every child in the making or not taken yet, and wait at most `timeout` seconds for their ends; tell whether it was enough.");

static PyObject *
finish(PyObject *Py_UNUSED(module), PyObject *argument)
{
    double timeout = PyFloat_AsDouble(argument);
    if (PyErr_Occurred())
        return NULL;
    if (!(timeout >= 0 && timeout < 1e9)) {
        PyErr_SetString(PyExc_ValueError, "the timeout must be a number of seconds");
        return NULL;
    }
    void *interpreter = PyInterpreterState_Get();
    int is_at_rest;
    enter_pool();
    Py_BEGIN_ALLOW_THREADS
    pthread_mutex_lock(&pool.lock);
    for (Channel *channel = pool.channels; channel != NULL; channel = channel->next) {
        if (channel->interpreter == interpreter)
            cancel_requests(channel, 1, 0);
    }
    is_at_rest = wait_for_rest(interpreter, timeout);
    pthread_mutex_unlock(&pool.lock);
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(is_at_rest);
}

PyDoc_STRVAR(get_way_doc, "get_way()\n--\n\nReturn how children are started: 'clone with a pidfd', 'vfork with a pidfd', 'clone' or 'vfork'.");

static PyObject *
get_way(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return PyUnicode_FromString(get_way_name());
}

PyDoc_STRVAR(set_way_doc, "set_way(name)\n--\n\nStart children in this way from now on; for tests.");

static PyObject *
set_way(PyObject *Py_UNUSED(module), PyObject *name)
{
    PyObject *ascii = PyUnicode_AsEncodedString(name, "ascii", "replace");
    if (ascii == NULL)
        return NULL;
    int number = name_way(PyBytes_AsString(ascii));
    Py_DECREF(ascii);
    if (number < 0) {
        PyErr_Format(PyExc_ValueError, "there is no way %R to start a child here", name);
        return NULL;
    }
    set_way_number(number);
    return none();
}

#ifdef __linux__
PyDoc_STRVAR(reap_doc,
             "reap(pidfd)\n--\n\n"
             "Reap a child of ours; return (returncode, core_dumped, rusage), or None while it lives.\n\n"
             "The rusage is a tuple for resource.struct_rusage. ChildProcessError: somebody else has reaped it.");

/* As waitid(2) has it in the kernel: os.waitid() leaves the rusage out, and os.wait4() takes no pidfd. It does not block,
   so the GIL stays. */
static PyObject *
reap_child(PyObject *Py_UNUSED(module), PyObject *object)
{
    int pidfd;
    siginfo_t info = {0};
    long usage[18] = {0}; /* linux/resource.h: two times, then numbers */
    if (!as_int(object, &pidfd))
        return NULL;
    if (syscall(SYS_waitid, A_PIDFD, pidfd, &info, WEXITED | WNOHANG, usage) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    if (info.si_pid == 0)
        return none();
    PyObject *numbers = PyTuple_New(16);
    for (int place = 0; numbers != NULL && place < 16; place++) {
        long *time = usage + 2 * place;
        PyObject *number = place < 2 ? PyFloat_FromDouble((double)time[0] + 1e-6 * (double)time[1])
                                     : PyLong_FromLong(usage[place + 2]);
        if (number == NULL || PyTuple_SetItem(numbers, place, number) < 0)
            Py_CLEAR(numbers);
    }
    if (numbers == NULL)
        return NULL;
    int returncode = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    return Py_BuildValue("iNN", returncode, PyBool_FromLong(info.si_code == CLD_DUMPED), numbers);
}
#endif

static PyMethodDef functions[] = {
    {"finish", finish, METH_O, finish_doc},
    {"get_way", get_way, METH_NOARGS, get_way_doc},
#ifdef __linux__
    {"reap", reap_child, METH_O, reap_doc},
#endif
    {"set_way", set_way, METH_O, set_way_doc},
    {NULL, NULL, 0, NULL},
};

static int
add_types(PyObject *module)
{
    State *state = PyModule_GetState(module);
    state->started_type = PyType_FromModuleAndSpec(module, &started_spec, NULL);
    PyObject *channel_type = PyType_FromModuleAndSpec(module, &channel_spec, NULL);
    int result = -1;
    if (state->started_type != NULL && channel_type != NULL)
        result = PyModule_AddObjectRef(module, "Started", state->started_type);
    if (result == 0)
        result = PyModule_AddObjectRef(module, "Channel", channel_type);
    Py_XDECREF(channel_type);
    return result;
}

static int
execute_module(PyObject *module)
{
    prepare_for_forks();
    return add_types(module);
}

static int
traverse_module(PyObject *module, visitproc visit, void *arg) /* the name that Py_VISIT wants */
{
    State *state = PyModule_GetState(module);
    if (state != NULL)
        Py_VISIT(state->started_type);
    return 0;
}

static int
clear_module(PyObject *module)
{
    State *state = PyModule_GetState(module);
    if (state != NULL)
        Py_CLEAR(state->started_type);
    return 0;
}

#define NAME "_spawn"
#define DOC "Starting children without the GIL."

#ifdef Py_TARGET_ABI3T
PyABIInfo_VAR(abi);

static PySlot module_slots[] = {
    PySlot_STATIC_DATA(Py_mod_abi, &abi),
    PySlot_STATIC_DATA(Py_mod_name, NAME),
    PySlot_STATIC_DATA(Py_mod_doc, DOC),
    PySlot_SIZE(Py_mod_state_size, sizeof(State)),
    PySlot_STATIC_DATA(Py_mod_methods, functions),
    PySlot_UINT64(Py_mod_gil, (uint64_t)(uintptr_t)Py_MOD_GIL_NOT_USED),
    PySlot_FUNC(Py_mod_exec, execute_module),
    PySlot_FUNC(Py_mod_state_traverse, traverse_module),
    PySlot_FUNC(Py_mod_state_clear, clear_module),
    PySlot_END,
};

PyMODEXPORT_FUNC
PyModExport__native(void)
{
    return module_slots;
}
#else
static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, execute_module},
#ifdef Py_MOD_GIL_NOT_USED /* since 3.13; 3.15 has Py_mod_gil alone for older stable ABIs */
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = NAME,
    .m_doc = DOC,
    .m_size = sizeof(State),
    .m_methods = functions,
    .m_slots = module_slots,
    .m_traverse = traverse_module,
    .m_clear = clear_module,
};

PyMODINIT_FUNC
PyInit__native(void)
{
    return PyModuleDef_Init(&module_definition);
}
#endif

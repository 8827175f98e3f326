/* A Request from Python's objects.

   What is borrowed from a list or a dictionary is gone as soon as Python code changes that, and __fspath__, __index__ and
   the methods of a mapping are Python code. So everything comes in tuples, which nobody can change. */

#include "spawn.h"

static void *
reserve(Request *request, size_t size)
{
    Block *block = malloc(sizeof(Block) + size);
    if (block == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    block->next = request->memory;
    request->memory = block;
    return block + 1;
}

void
free_request(Request *request)
{
    release_connection(request->guardian);
    while (request->memory != NULL) {
        Block *block = request->memory;
        request->memory = block->next;
        free(block);
    }
    free(request);
}

static char *
copy_bytes(Request *request, PyObject *bytes)
{
    char *text;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(bytes, &text, &size) < 0)
        return NULL;
    char *copy = reserve(request, (size_t)size + 1);
    if (copy != NULL)
        memcpy(copy, text, (size_t)size + 1);
    return copy;
}

/* A str, bytes or PathLike, without NUL. */
static char *
copy_path(Request *request, PyObject *object)
{
    PyObject *bytes;
    if (object == NULL || !PyUnicode_FSConverter(object, &bytes))
        return NULL;
    char *copy = copy_bytes(request, bytes);
    Py_DECREF(bytes);
    return copy;
}

static int
copy_optional_path(Request *request, PyObject *object, char **place)
{
    *place = NULL;
    return object == Py_None || (*place = copy_path(request, object)) != NULL;
}

static int
copy_argv(Request *request, PyObject *words)
{
    Py_ssize_t count = PyTuple_Size(words);
    if (count < 0)
        return 0;
    request->argv = reserve(request, ((size_t)count + 1) * sizeof(char *));
    if (request->argv == NULL)
        return 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        if ((request->argv[i] = copy_path(request, PyTuple_GetItem(words, i))) == NULL)
            return 0;
    }
    request->argv[count] = NULL;
    return 1;
}

/* In one block, as they stand: PyOS's own os.environ writes through to them. */
static int
copy_our_environment(Request *request)
{
    size_t count = 0, size = 0;
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        count++;
        size += strlen(*entry) + 1;
    }
    request->envp = reserve(request, (count + 1) * sizeof(char *) + size);
    if (request->envp == NULL)
        return 0;
    char *room = (char *)(request->envp + count + 1);
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(environ[i]) + 1;
        request->envp[i] = memcpy(room, environ[i], length);
        room += length;
    }
    request->envp[count] = NULL;
    return 1;
}

static char *
copy_variable(Request *request, PyObject *item)
{
    PyObject *name = NULL, *value = NULL;
    char *name_text, *value_text, *copy = NULL;
    Py_ssize_t name_size, value_size;
    if (!PyUnicode_FSConverter(PyTuple_GetItem(item, 0), &name) ||
        !PyUnicode_FSConverter(PyTuple_GetItem(item, 1), &value) ||
        PyBytes_AsStringAndSize(name, &name_text, &name_size) < 0 ||
        PyBytes_AsStringAndSize(value, &value_text, &value_size) < 0)
        goto done;
    if (memchr(name_text, '=', (size_t)name_size) != NULL) {
        PyErr_SetString(PyExc_ValueError, "illegal environment variable name");
        goto done;
    }
    copy = reserve(request, (size_t)(name_size + value_size) + 2);
    if (copy != NULL) {
        memcpy(copy, name_text, (size_t)name_size);
        copy[name_size] = '=';
        memcpy(copy + name_size + 1, value_text, (size_t)value_size + 1);
    }
done:
    Py_XDECREF(name);
    Py_XDECREF(value);
    return copy;
}

static int
copy_environment(Request *request, PyObject *mapping)
{
    if (mapping == Py_None)
        return copy_our_environment(request);
    PyObject *list = PyMapping_Items(mapping);
    PyObject *items = list == NULL ? NULL : PyList_AsTuple(list);
    Py_XDECREF(list);
    if (items == NULL)
        return 0;
    int ok = 0;
    Py_ssize_t count = PyTuple_Size(items);
    request->envp = reserve(request, ((size_t)count + 1) * sizeof(char *));
    if (request->envp == NULL)
        goto done;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PyTuple_GetItem(items, i);
        if (!PyTuple_Check(item) || PyTuple_Size(item) != 2) {
            PyErr_SetString(PyExc_TypeError, "env must be a mapping");
            goto done;
        }
        if ((request->envp[i] = copy_variable(request, item)) == NULL)
            goto done;
    }
    request->envp[count] = NULL;
    ok = 1;
done:
    Py_DECREF(items);
    return ok;
}

static int
compare_ints(const void *left, const void *right)
{
    int a = *(const int *)left, b = *(const int *)right;
    return (a > b) - (a < b);
}

int
as_int(PyObject *object, int *place)
{
    long value = PyLong_AsLong(object);
    if (value == -1 && PyErr_Occurred())
        return 0;
    if (value < INT32_MIN || value > INT32_MAX) {
        PyErr_Format(PyExc_OverflowError, "%ld does not fit a C int", value);
        return 0;
    }
    *place = (int)value;
    return 1;
}

/* Each is None, a number, or the path of a file that the child opens. */
static int
copy_stdio(Request *request, PyObject *wishes)
{
    for (int number = 0; number < 3; number++) {
        PyObject *wish = PyTuple_GetItem(wishes, number);
        if (wish == NULL)
            return 0;
        if (wish == Py_None) {
            request->stdio[number] = INHERIT;
            continue;
        }
        if (PyLong_Check(wish)) {
            if (!as_int(wish, &request->stdio[number]))
                return 0;
            continue;
        }
        request->stdio[number] = A_FILE;
        if ((request->files[number] = copy_path(request, wish)) == NULL)
            return 0;
    }
    return 1;
}

static int
copy_pass_fds(Request *request, PyObject *tuple)
{
    Py_ssize_t count = PyTuple_Size(tuple);
    if (count < 0)
        return 0;
    request->pass_count = (int)count;
    request->pass_fds = reserve(request, (size_t)count * sizeof(int) + 1);
    if (request->pass_fds == NULL)
        return 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        int is_int = as_int(PyTuple_GetItem(tuple, i), &request->pass_fds[i]);
        if (!is_int || request->pass_fds[i] < 0) {
            PyErr_Format(PyExc_ValueError, "bad value(s) in fds_to_keep");
            return 0;
        }
    }
    qsort(request->pass_fds, (size_t)count, sizeof(int), compare_ints);
    return 1;
}

/* What is cut off would make another user of it: 2**32 is root's number then; and 2**32-1 means "as it is" to the kernel
   (setreuid(2)). -1 is how our callers say that. */
static int
is_an_id(long long number)
{
    if (number >= -1 && number < UINT32_MAX)
        return 1;
    PyErr_Format(PyExc_OverflowError, "%lld is not the number of a user or group", number);
    return 0;
}

static int
copy_groups(Request *request, PyObject *groups)
{
    request->group_count = -1;
    if (groups == Py_None)
        return 1;
    if (!PyTuple_Check(groups)) {
        PyErr_SetString(PyExc_TypeError, "groups must be a tuple");
        return 0;
    }
    Py_ssize_t count = PyTuple_Size(groups);
    if (count > sysconf(_SC_NGROUPS_MAX)) {
        PyErr_SetString(PyExc_ValueError, "too many extra_groups");
        return 0;
    }
    request->groups = reserve(request, (size_t)count * sizeof(gid_t) + 1);
    if (request->groups == NULL)
        return 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        long long gid = PyLong_AsLongLong(PyTuple_GetItem(groups, i));
        if (PyErr_Occurred() || gid < 0 || gid >= UINT32_MAX) {
            PyErr_SetString(PyExc_ValueError, "invalid group id");
            return 0;
        }
        request->groups[i] = (gid_t)gid;
    }
    request->group_count = (int)count;
    return 1;
}

static int
as_limit(PyObject *object, rlim_t *place)
{
    long long value = PyLong_AsLongLong(object);
    if (value == -1 && PyErr_Occurred())
        return 0;
    *place = value < 0 ? RLIM_INFINITY : (rlim_t)value;
    return 1;
}

static int
copy_limits(Request *request, PyObject *limits)
{
    Py_ssize_t count = PyTuple_Size(limits);
    if (count < 0)
        return 0;
    request->limit_count = (int)count;
    request->limits = reserve(request, (size_t)count * sizeof(Limit) + 1);
    if (request->limits == NULL)
        return 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *limit = PyTuple_GetItem(limits, i);
        if (!PyTuple_Check(limit) || PyTuple_Size(limit) != 3) {
            PyErr_SetString(PyExc_TypeError, "a limit is (resource, soft, hard)");
            return 0;
        }
        if (!as_int(PyTuple_GetItem(limit, 0), &request->limits[i].resource) ||
            !as_limit(PyTuple_GetItem(limit, 1), &request->limits[i].value.rlim_cur) ||
            !as_limit(PyTuple_GetItem(limit, 2), &request->limits[i].value.rlim_max))
            return 0;
    }
    return 1;
}

/* Room for the passed descriptors, three standard ones, a terminal, the guardian's, and what five paths lead through. */
static int
make_room_to_keep(Request *request)
{
    request->keep_fds = reserve(request, ((size_t)request->pass_count + 10) * sizeof(int));
    return request->keep_fds != NULL;
}

static int
make_scratch(Request *request)
{
    if (request->path == NULL)
        return 1;
    request->scratch = reserve(request, strlen(request->path) + strlen(request->program) + 2);
    return request->scratch != NULL;
}

Request *
new_request(PyObject *arguments)
{
    PyObject *argv, *program, *path, *env, *cwd, *stdio, *pass_fds, *groups, *limits, *guardian = Py_None;
    unsigned long long guardian_number = 0;
    Request *request = calloc(1, sizeof(Request));
    if (request == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    request->pidfd = request->told_pidfd = -1;
    for (int number = 0; number < 3; number++)
        request->pipes[number][0] = request->pipes[number][1] = -1;
    if (PyArg_ParseTuple(arguments,
                         "KO!OOOOO!pO!ppiOLLiiiiiO!|OKLi:submit",
                         &request->key,
                         &PyTuple_Type, &argv,
                         &program, &path, &env, &cwd,
                         &PyTuple_Type, &stdio,
                         &request->close_fds,
                         &PyTuple_Type, &pass_fds,
                         &request->restore_signals, &request->new_session, &request->process_group,
                         &groups, &request->gid, &request->uid,
                         &request->umask, &request->pipesize,
                         &request->nice, &request->death_signal, &request->terminal,
                         &PyTuple_Type, &limits,
                         &guardian, &guardian_number, &request->guard_key, &request->guard_scope) &&
        copy_argv(request, argv) && (request->program = copy_path(request, program)) != NULL &&
        copy_optional_path(request, path, &request->path) && copy_optional_path(request, cwd, &request->cwd) &&
        copy_environment(request, env) && copy_stdio(request, stdio) && copy_pass_fds(request, pass_fds) &&
        is_an_id(request->gid) && is_an_id(request->uid) && copy_groups(request, groups) &&
        copy_limits(request, limits) && make_room_to_keep(request) && make_scratch(request)) {
        if (guardian != Py_None)
            request->guardian = share_connection(guardian, guardian_number);
        request->interpreter = PyInterpreterState_Get();
        pthread_sigmask(SIG_BLOCK, NULL, &request->mask);
        request->last_descriptor = (int)sysconf(_SC_OPEN_MAX) - 1;
        return request;
    }
    free_request(request);
    return NULL;
}


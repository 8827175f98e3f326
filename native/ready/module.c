/* The module: its names, its types, and what it needs of Python. */

#include "ready.h"

/* Names of attributes. Strings alone: they serve every interpreter of the process. */
PyObject *queue_name, *schedule_name, *wake_name, *check_name, *time_name, *cancel_name, *self_name;
PyObject *future_name, *context_name, *when_name, *cancelled_name, *run_name, *pop_name;

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

PyObject *
imported(const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *object = module == NULL ? NULL : PyObject_GetAttrString(module, name);
    Py_XDECREF(module);
    return object;
}

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
add_methods(PyObject *module, PyMethodDef *method)
{
    for (; method->ml_name != NULL; method++) {
        if (add_object(module, method->ml_name, PyDescr_NewMethod(&PyBaseObject_Type, method)) < 0)
            return -1;
    }
    return 0;
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
    if (add_methods(module, call_soon_methods) < 0 || add_methods(module, timer_methods_of_loops) < 0)
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

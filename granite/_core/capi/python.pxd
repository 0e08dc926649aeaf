# The parts of CPython's C API that granite uses and Cython does not declare, and the build's variant.
# Functions that return a new reference as PyObject * say so; "borrowed" is said where it is.

from cpython.object cimport PyObject, PyTypeObject

cdef extern from "Python.h":
    ctypedef enum PySendResult:
        PYGEN_RETURN
        PYGEN_ERROR
        PYGEN_NEXT

    ctypedef PySendResult (*sendfunc)(PyObject *, PyObject *, PyObject **) noexcept

    ctypedef struct PyAsyncMethods:
        sendfunc am_send

    ctypedef struct PyMethodDef:
        const char *ml_name
        void *ml_meth
        int ml_flags
        const char *ml_doc

    ctypedef PyObject *(*iternextfunc)(PyObject *) noexcept

    ctypedef struct _AsyncType "PyTypeObject":
        PyAsyncMethods *tp_as_async
        iternextfunc tp_iternext

    const int METH_O
    const int METH_FASTCALL
    const int METH_KEYWORDS
    const int METH_NOARGS

    PySendResult PyIter_Send(PyObject *, PyObject *, PyObject **) except PYGEN_ERROR
    object PyCFunction_New(PyMethodDef *, object)
    object PyContext_Copy(object)
    int PyContext_Enter(object) except -1
    int PyContext_Exit(object) except -1
    object PyContextVar_Set(object, object)
    bint PyCoro_CheckExact(object)

    # borrowed; NULL without an exception when missing
    PyObject *PyDict_GetItemWithError(object, object) except? NULL
    bint PyDict_Next(object, Py_ssize_t *, PyObject **, PyObject **)
    int PyDict_SetItem(object, object, object) except -1
    object PyDict_Copy(object)
    PyObject *PyDict_SetDefault(object, object, object) except NULL     # borrowed
    Py_ssize_t PyDict_GET_SIZE(object)

    object PyBytes_FromStringAndSize(const char *, Py_ssize_t)
    PyObject *PyBytes_New "PyBytes_FromStringAndSize"(const char *, Py_ssize_t) except NULL     # a new reference
    int _PyBytes_Resize(PyObject **, Py_ssize_t) except -1      # the only reference; NULL where it fails
    char *PyBytes_AS_STRING(PyObject *)
    Py_ssize_t PyBytes_GET_SIZE(PyObject *)
    bint PyBytes_CheckExact(PyObject *)
    bint PyTuple_CheckExact(PyObject *)
    bint PyList_CheckExact(PyObject *)
    bint PyDict_CheckExact(PyObject *)
    Py_ssize_t PyTuple_GET_SIZE(PyObject *)
    Py_ssize_t PyList_GET_SIZE(PyObject *)
    long PyLong_AsLong(PyObject *) except? -1
    PyObject *PyTuple_GET_ITEM(PyObject *, Py_ssize_t)
    PyObject *PyList_GET_ITEM(PyObject *, Py_ssize_t)

    object PyUnicode_FromObject(object)         # a plain str of a subclass's
    object PyUnicode_DecodeASCII(const char *, Py_ssize_t, const char *)
    bint PyUnicode_IS_COMPACT_ASCII(PyObject *)
    Py_ssize_t PyUnicode_GET_LENGTH(PyObject *)
    void *PyUnicode_DATA(PyObject *)
    object PyUnicode_New(Py_ssize_t, unsigned int)
    const char *PyUnicode_AsUTF8AndSize(object, Py_ssize_t *) except NULL
    bytes PyUnicode_AsLatin1String(object)
    bint PyUnicode_CheckExact(PyObject *)
    object PyUnicode_DecodeLatin1(const char *, Py_ssize_t, const char *)
    object PyUnicode_DecodeUTF8(const char *, Py_ssize_t, const char *)

    object PyObject_Call(object, object, object)
    PyObject *PyIter_Next(object) except? NULL     # NULL without an exception at the end

    PyObject *PyErr_Occurred()          # borrowed
    void Py_INCREF "Py_INCREF"(PyObject *)
    void Py_DECREF "Py_DECREF"(PyObject *)
    void Py_XDECREF "Py_XDECREF"(PyObject *)
    Py_ssize_t Py_REFCNT(PyObject *)

cdef extern from *:
    """
    #ifdef GRANITE_DEBUG
    #define GRANITE_IS_DEBUG 1
    #else
    #define GRANITE_IS_DEBUG 0
    #endif
    #ifdef GRANITE_SANITIZE
    #define GRANITE_IS_SANITIZED 1
    #else
    #define GRANITE_IS_SANITIZED 0
    #endif
    """
    const bint GRANITE_IS_DEBUG
    const bint GRANITE_IS_SANITIZED

cdef extern from *:
    """
    /* Whether something is a string with the text of `known`, which is ASCII. */
    static inline int granite_is_text(PyObject *given, PyObject *known)
    {
        if (given == known)
            return 1;
        if (!PyUnicode_Check(given))
            return 0;
        if (!PyUnicode_IS_COMPACT_ASCII(given))
            return PyUnicode_Compare(given, known) == 0;
        return PyUnicode_GET_LENGTH(given) == PyUnicode_GET_LENGTH(known) &&
            memcmp(PyUnicode_DATA(given), PyUnicode_DATA(known), PyUnicode_GET_LENGTH(known)) == 0;
    }
    """
    bint granite_is_text(PyObject *, PyObject *) noexcept

cdef extern from *:
    """
    static PyObject *granite_refuse_new(PyTypeObject *type, PyObject *args, PyObject *named)
    {
        PyErr_Format(PyExc_TypeError, "cannot create '%.100s' instances", type->tp_name);
        return NULL;
    }

    static inline void granite_forbid_making(PyObject *type)
    {
        /* Not NULL, which __new__ would call. */
        ((PyTypeObject *)type)->tp_new = granite_refuse_new;
        ((PyTypeObject *)type)->tp_vectorcall = NULL;
    }
    """
    void granite_forbid_making(PyObject *) noexcept

cdef inline void forbid_making(object made) noexcept:
    """Only the module of a type makes its objects from now on: one that Python made would lack what its methods rely on."""
    granite_forbid_making(<PyObject *>made)

# What ``fit`` reads a declaration into, and checks of numbers, values and memory.

cimport numpy as cnp
from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint64_t

cdef enum:
    MOST_ITEMS = 48
    MOST_SIZES = 24
    MOST_DIMS = 4
    MOST_TYPES = 3
    UNKNOWN = -1

cdef enum Kind:
    ARRAY, OUT, SCRATCH, NUMBER, ONE, ABOVE_ZERO, FLAG, CHOICE, PAIR

cdef enum Way:    # a rule, or a shape for the raw kernel
    NONE, PYTHON
    RAVEL, COLUMN, LINES, BATCH_OF_ONE, IMAGES, ONE_IMAGE
    FRACTION, NOT_NEGATIVE, NOT_TINY, REAL_NUMBER, BELOW_ONE, LIMIT, COUNT, WHOLE
    TWO_COLOURS, TWO_ACTIONS, ACTIONS_BELOW, SOME_ACTIONS, SPARSE_FRAMES, CHANNELS
    STEPS_OF_BATCH, MIRRORED, BATCH_AND_MIRROR, ROWS_ABOVE, VARIANCES, ROW_COUNT

cdef struct Dim:    # times * sizes[size] + plus, or plus alone where size is UNKNOWN
    int size
    Py_ssize_t times, plus

cdef struct Slot:    # an item of the declaration
    Kind kind
    Way rule, shaped
    bint takes, shared, flags, optional, any_shape, starred, row, line, written, added
    int ndim, type_count
    int types[MOST_TYPES]
    Dim dims[MOST_DIMS]
    uint64_t aliases    # a bit for each slot

cdef struct Entry:    # an argument of the raw kernel: a slot, or a tuple of some
    int first, count
    bint group, named

cdef struct State:    # of a call under way
    Py_ssize_t sizes[MOST_SIZES]
    int float_type
    PyObject *arrays[MOST_ITEMS]    # as the caller has them, borrowed
    char *begin[MOST_ITEMS]
    Py_ssize_t length[MOST_ITEMS]    # in bytes
    int first    # slot of the first array
    bint short, tall    # see arguments.Call
    uint64_t given    # a bit for each output of the caller's


cdef inline bint overlap(const State *state, int i, int j) noexcept nogil:
    # An array without elements has no memory.
    return (
        state.length[i] > 0 and state.length[j] > 0
        and state.begin[i] < state.begin[j] + state.length[j]
        and state.begin[j] < state.begin[i] + state.length[i])


cdef inline bint in_range(Way rule, double number) noexcept nogil:
    if rule == FRACTION:
        return 0 <= number <= 1
    if rule == BELOW_ONE:
        return 0 <= number < 1
    if rule == NOT_NEGATIVE:
        return number >= 0
    if rule == LIMIT:
        return number > 0
    return rule == REAL_NUMBER or (rule == NOT_TINY and number >= 1e-12)


cdef inline bint bytes_below(
        const uint8_t *values, Py_ssize_t size, Py_ssize_t limit) noexcept nogil:
    cdef Py_ssize_t k
    cdef uint8_t most = 0
    for k in range(size):    # without a way out, so that it is vectorised
        most = values[k] if values[k] > most else most
    return size == 0 or most < limit


cdef inline bint sparse_below(
        const int64_t *indptr, Py_ssize_t count, const uint16_t *indices, Py_ssize_t size,
        Py_ssize_t limit) noexcept nogil:
    # Frames in CSR form. indptr has an entry or more.
    cdef Py_ssize_t k
    cdef uint16_t most = 0
    if indptr[0] < 0 or indptr[count - 1] > size:
        return False
    for k in range(1, count):
        if indptr[k] < indptr[k - 1]:
            return False
    for k in range(indptr[0], indptr[count - 1]):
        most = indices[k] if indices[k] > most else most
    return indptr[0] == indptr[count - 1] or most < limit


cdef inline bint within(
        const int64_t *values, Py_ssize_t size, Py_ssize_t below) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(size):
        if not 0 <= values[k] < below:
            return False
    return True


cdef inline bint mirrored(const int32_t *mirror, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(size):
        if not 0 <= mirror[k] < size or mirror[mirror[k]] != k:
            return False
    return True


cdef inline bint rows_above(
        const int32_t *parents, Py_ssize_t size, Py_ssize_t base, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(size):
        if parents[k] != -1 and not base <= parents[k] < rows:
            return False
    return rows >= base


cdef inline bint to_flags(
        const char *values, int type_number, Py_ssize_t size, uint8_t *out) noexcept nogil:
    # out = values != 0, of floats. False where one is NaN.
    cdef Py_ssize_t k
    cdef bint whole = True
    if type_number == cnp.NPY_FLOAT32:
        for k in range(size):
            out[k] = (<const float *>values)[k] != 0
            whole &= (<const float *>values)[k] == (<const float *>values)[k]
    else:
        for k in range(size):
            out[k] = (<const double *>values)[k] != 0
            whole &= (<const double *>values)[k] == (<const double *>values)[k]
    return whole

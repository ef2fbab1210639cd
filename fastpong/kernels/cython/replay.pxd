# The cores of replay.pyx, for other Cython code: unchecked, no allocation, no GIL.

from libc.stdint cimport int64_t, uint8_t

# The levels of a tree, from its leaves to its root: beginnings in the array, and widths.
cdef struct Levels:
    Py_ssize_t count
    Py_ssize_t start[23]
    Py_ssize_t width[23]

# Of a buffer: slots of one environment, frames of an observation, zeros before an episode's start.
cdef struct Shape:
    Py_ssize_t slots
    Py_ssize_t frame_stack
    bint zero

cdef Levels c_tree_levels(Py_ssize_t capacity) noexcept nogil
# Return the first entry that cannot be stored, or -1 when all are stored.
cdef Py_ssize_t c_tree_update(
    double[::1] tree, Py_ssize_t capacity, const int64_t[::1] indices,
    const double[::1] priorities) noexcept nogil
# Return the first sum that lies outside of the tree, or -1.
cdef Py_ssize_t c_tree_find(
    const double[::1] tree, Py_ssize_t capacity, const double[::1] sums,
    int64_t[::1] out) noexcept nogil
# Return the first uniform number outside of [0, 1), or -1.
cdef Py_ssize_t c_tree_sample(
    const double[::1] tree, Py_ssize_t capacity, const double[::1] uniforms,
    int64_t[::1] indices, double[::1] priorities) noexcept nogil
# Copy the stack of frames that ends with a slot: (frame_stack, bytes of a frame).
cdef void c_gather_stack(
    const uint8_t[:, ::1] frames, const uint8_t[::1] ages, Shape shape, Py_ssize_t slot,
    uint8_t[:, ::1] out) noexcept nogil

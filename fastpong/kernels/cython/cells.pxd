# The cores of cells.pyx, for other Cython code: unchecked, no allocation, no GIL.
#
# Inputs and Tree hold the arrays of whole numbers. Make them once, with the GIL, from NumPy arrays
# or memoryviews: Inputs((indptr, indices, values), mirror), Tree((mirror, parents, scales, seen)).

from cython cimport floating
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t

# Inputs in CSR form, and the numbers of their rows' mirror images.
cdef class Inputs:
    cdef const int64_t[::1] indptr
    cdef const uint16_t[::1] indices
    cdef const int8_t[::1] values
    cdef const int32_t[::1] mirror

# Parents of rows, and rows that were ever reached.
cdef class Tree:
    cdef const int32_t[:, ::1] parents
    cdef const double[::1] scales
    cdef const uint8_t[::1] seen

cdef struct CellsAdam:    # step counts from 1
    double factor, learning_rate, beta1, beta2, epsilon
    int64_t step

# Returns the number of non-zero cells.
cdef Py_ssize_t c_encode_cells(
    const uint8_t[:, ::1] screen, const uint8_t[:, ::1] previous, const uint8_t[::1] table,
    Py_ssize_t cell_size, Py_ssize_t pixel_stride, uint16_t[::1] indices,
    int8_t[::1] values) noexcept nogil
cdef void c_cells_forward(
    const int64_t[::1] order, Inputs inputs, const floating[:, ::1] rows,
    const floating[:, ::1] units, floating[:, :, ::1] hidden) noexcept nogil
cdef void c_cells_heads(
    const floating[:, :, ::1] hidden, const floating[:, ::1] units, floating[::1] logit,
    floating[::1] value) noexcept nogil
cdef void c_cells_backward(
    const int64_t[::1] order, Inputs inputs, Tree tree, const floating[:, :, ::1] hidden,
    const floating[:, ::1] units, const floating[::1] dlogit, const floating[::1] dvalue,
    floating[:, ::1] gradient, double[::1] squares) noexcept nogil
cdef void c_cells_adam(
    floating[:, ::1] rows, floating[:, ::1] units, floating[:, ::1] gradient,
    floating[:, ::1] mean, floating[:, ::1] square, Tree tree, CellsAdam adam) noexcept nogil

# The cores of conv.pyx, for other Cython code: unchecked, no allocation, no GIL.
#
# The convolution's kernel comes as (36 C, F). Frames holds sparse frames, and room (2, P) of zeros
# for the positions that one of them touches. Make it once, with the GIL, from NumPy arrays or
# memoryviews: Frames((indptr, indices, signs), touched). P is 27 or 27 x 27.

from cython cimport floating
from libc.stdint cimport int8_t, int64_t, uint16_t

cdef class Frames:
    cdef const int64_t[::1] indptr
    cdef const uint16_t[::1] indices
    cdef const int8_t[::1] signs
    cdef int64_t[:, ::1] touched

# values (P, F) and base (H,) are room to work in.
cdef void c_sparse_conv_forward(
    Frames frames, const floating[:, ::1] kernel, const floating[::1] bias,
    const floating[:, ::1] w, const floating[::1] b, floating[:, ::1] values,
    floating[::1] base, floating[:, ::1] hidden) noexcept nogil
# Adds to the gradients. values (P, F) and total (H,) are room to work in.
cdef void c_sparse_conv_backward(
    Frames frames, const floating[:, ::1] kernel, const floating[::1] bias,
    const floating[:, ::1] w, const floating[:, ::1] dhidden, floating[:, ::1] values,
    floating[::1] total, floating[:, ::1] grad_kernel, floating[::1] grad_bias,
    floating[:, ::1] grad_w, floating[::1] grad_b) noexcept nogil

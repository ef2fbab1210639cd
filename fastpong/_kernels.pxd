# The compiled cores, for other Cython code:
#
#     from fastpong._kernels cimport c_sparse_policy_forward
#
# No core checks its arguments, allocates, or needs the GIL: shapes as in fastpong.kernels. Pass a
# writeable buffer, double[::1], as it is where const floating[::1] is declared. It needs no const
# view of its own, and no cast, which Cython refuses. The cores of the other families are declared
# in fastpong/kernels/cython: cells.pxd, conv.pxd, losses.pxd, returns.pxd.

from cython cimport floating
from libc.math cimport exp
from libc.stdint cimport int8_t, int64_t, uint8_t, uint16_t

from fastpong._clones cimport inlined

# Families with a file of their own, under this name, too.
from fastpong.kernels.cython.optimizers cimport (
    AdamRates, adam_moments, adam_rates, adam_step, c_adam_update, c_rmsprop_update)
from fastpong.kernels.cython.returns cimport c_discount_rewards, c_gae
from fastpong.kernels.cython.statistics cimport c_standardize

cdef class Step:
    # Of a policy bound to buffers: see the kernels policy_step, conv_step and cells_step.
    cdef int choose(
        self, Py_ssize_t t, double uniform, bint fresh, Py_ssize_t last_action) noexcept nogil

ctypedef fused pixel:
    uint8_t
    float
    double

cdef void c_preprocess_frame(
    const uint8_t[:, ::1] screen, const uint8_t[::1] table, pixel[::1] out) noexcept nogil
cdef void c_preprocess_frame_rgb(const uint8_t[:, :, ::1] frame, pixel[::1] out) noexcept nogil
cdef void c_difference_frame(
    const floating[::1] current, const floating[::1] previous, floating[::1] out) noexcept nogil
cdef void c_difference_frame_u8(
    const uint8_t[::1] current, const uint8_t[::1] previous, int8_t[::1] out) noexcept nogil
cdef Py_ssize_t c_sparse_difference_frame(
    const uint8_t[:, ::1] screen, const uint8_t[:, ::1] previous, const uint8_t[::1] table,
    uint16_t[::1] indices, int8_t[::1] signs) noexcept nogil

cdef void c_policy_forward(
    const floating[:, ::1] x, const floating[:, ::1] w1, const floating[::1] w2,
    floating[:, ::1] hidden, floating[::1] probability) noexcept nogil
cdef void c_policy_backward(
    const floating[:, ::1] x, const floating[:, ::1] hidden, const floating[::1] dlogit,
    const floating[::1] w2, floating[:, ::1] grad_w1, floating[::1] grad_w2) noexcept nogil
cdef floating c_sparse_frame_forward(
    const uint16_t[::1] indices, const int8_t[::1] signs,
    const floating[:, ::1] w1, const floating[::1] w2, floating[::1] hidden) noexcept nogil
cdef void c_sparse_policy_forward(
    const int64_t[::1] indptr, const uint16_t[::1] indices, const int8_t[::1] signs,
    const floating[:, ::1] w1, const floating[::1] w2,
    floating[:, ::1] hidden, floating[::1] probability) noexcept nogil
cdef void c_sparse_policy_backward(
    const int64_t[::1] indptr, const uint16_t[::1] indices, const int8_t[::1] signs,
    const floating[:, ::1] hidden, const floating[::1] dlogit, const floating[::1] w2,
    floating[:, ::1] grad_w1, floating[::1] grad_w2) noexcept nogil

cdef void c_dense_forward(
    const floating[:, ::1] x, const floating[:, ::1] w, const floating[::1] b, bint relu,
    floating[:, ::1] out) noexcept nogil
cdef void c_dense_backward(
    const floating[:, ::1] x, const floating[:, ::1] w, const floating[:, ::1] dout, bint relu,
    floating[:, ::1] grad_w, floating[::1] grad_b, floating[:, ::1] dx) noexcept nogil

# Inline parts that several kernels share, to the last bit.

cdef inline double sigmoid(double logit) noexcept nogil:
    # exp() of a negative number only: it may vanish but cannot overflow.
    cdef double e
    if logit >= 0:
        return 1.0 / (1.0 + exp(-logit))
    e = exp(logit)
    return e / (1.0 + e)


cdef inline inlined dot(
        const floating[::1] x, const floating[::1] y, floating *out) noexcept nogil:
    # Eight interleaved sums: a fixed order that a vector unit can follow.
    cdef floating s[8]
    cdef Py_ssize_t j, k, size = x.shape[0], whole = size - size % 8
    for k in range(8):
        s[k] = 0
    for j in range(0, whole, 8):
        for k in range(8):
            s[k] += x[j + k] * y[j + k]
    for j in range(whole, size):
        s[j - whole] += x[j] * y[j]
    out[0] = ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]))


# A row of a dense layer.
cdef inline inlined row_forward(
        const floating[::1] x, const floating[:, ::1] w, const floating[::1] b, bint relu,
        floating[::1] out) noexcept nogil:
    cdef Py_ssize_t i, j
    for j in range(out.shape[0]):
        out[j] = b[j]
    for i in range(x.shape[0]):
        if x[i] != 0:    # half of what comes out of a ReLU is zero
            for j in range(out.shape[0]):
                out[j] += x[i] * w[i, j]
    if relu:
        for j in range(out.shape[0]):
            out[j] = 0 if out[j] < 0 else out[j]

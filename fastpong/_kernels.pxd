# The compiled cores, for other Cython code:
#
#     from fastpong._kernels cimport c_sparse_policy_forward
#
# No core checks its arguments, allocates, or needs the GIL: shapes as in fastpong.kernels.

from cython cimport floating
from libc.stdint cimport int8_t, int64_t, uint8_t, uint16_t

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

cdef void c_discount_rewards(
    const floating[::1] rewards, double gamma, floating[::1] out,
    bint reset_on_reward) noexcept nogil
cdef void c_standardize(
    const floating[::1] values, floating[::1] out, bint center) noexcept nogil
cdef void c_rmsprop_update(
    floating[::1] parameter, const floating[::1] gradient, floating[::1] cache,
    double learning_rate, double decay, double epsilon) noexcept nogil

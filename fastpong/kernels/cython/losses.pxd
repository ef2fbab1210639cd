# The cores of losses.pyx, for other Cython code: unchecked, no allocation, no GIL.

from cython cimport floating
from libc.math cimport exp
from libc.stdint cimport int64_t, uint8_t

# Of PPO's loss: where the ratio is clipped, the weights of the other parts, the minibatch's size,
# and in its losses the first step of the part that is computed.
cdef struct PpoTerms:
    double clip_range
    double ent_coef
    double vf_coef
    Py_ssize_t size
    Py_ssize_t first

cdef void c_softmax(const floating[:, ::1] logits, floating[:, ::1] out) noexcept nogil
cdef void c_cross_entropy_gradient(
    const floating[:, ::1] probability, const uint8_t[::1] actions,
    const floating[::1] advantage, double step, floating[:, ::1] dlogit,
    floating[::1] loss) noexcept nogil
# For a part of a minibatch: all but losses are sliced to it.
cdef void c_ppo_gradient(
    const int64_t[::1] order, const floating[::1] logit, const floating[::1] value,
    const uint8_t[::1] actions, const floating[::1] old_logit, const floating[::1] advantage,
    const floating[::1] returns, PpoTerms terms, floating[::1] dlogit, floating[::1] dvalue,
    double[:, ::1] losses) noexcept nogil
cdef void c_td_gradient(
    const floating[:, ::1] heads, const floating[:, ::1] target_heads,
    const uint8_t[::1] actions, const double[::1] rewards, const double[::1] discount,
    floating[::1] dlogit, floating[::1] dvalue, double[:, ::1] parts) noexcept nogil


cdef inline void row_softmax(const floating[::1] logits, floating[::1] out) noexcept nogil:
    # exp() of numbers <= 0 only: it may vanish but cannot overflow.
    cdef Py_ssize_t i
    cdef double top = -1.0 / 0.0 if logits.shape[0] == 0 else logits[0], total = 0
    for i in range(logits.shape[0]):
        top = logits[i] if logits[i] > top else top
    for i in range(logits.shape[0]):
        total += exp(logits[i] - top)
    for i in range(logits.shape[0]):
        out[i] = <floating>(exp(logits[i] - top) / total)

# The cores of returns.pyx, for other Cython code: unchecked, no allocation, no GIL.
#
# Arrays are (T, N), time first, last_value is (N,). next_values is read where a step is truncated.
# Where none is, pass any array of the type.

from cython cimport floating
from libc.stdint cimport uint8_t

# Flags of steps that ended an episode, one byte each. NULL: there are none.
cdef struct Ends:
    const uint8_t *rows         # N for each step but the last one
    const uint8_t *last         # N for the last step
    const uint8_t *truncated    # (T, N), of steps whose next_value counts, unless they ended above

cdef struct VtraceTerms:
    double gamma
    double lambda_
    double clip_rho
    double clip_c
    double clip_pg_rho

# Either terminated, or dones_before and last_done: those of the observation before each step.
cdef Ends find_ends(
    const uint8_t[:, ::1] terminated, const uint8_t[:, ::1] truncated,
    const uint8_t[:, ::1] dones_before, const uint8_t[::1] last_done) noexcept nogil

cdef void c_discount_rewards(
    const floating[::1] rewards, double gamma, floating[::1] out,
    bint reset_on_reward) noexcept nogil
cdef void c_discount_rollout(
    const floating[:, ::1] rewards, Ends ends, double gamma, bint reset_on_reward,
    floating[:, ::1] out) noexcept nogil
cdef void c_gae(
    const floating[:, ::1] rewards, const floating[:, ::1] values, const uint8_t[:, ::1] terminated,
    const floating[::1] last_value, double gamma, double lambda_,
    floating[:, ::1] out) noexcept nogil
cdef void c_gae_rollout(
    const floating[:, ::1] rewards, const floating[:, ::1] values, Ends ends,
    const floating[:, ::1] next_values, const floating[::1] last_value, double gamma,
    double lambda_, floating[:, ::1] out) noexcept nogil
cdef void c_lambda_returns(
    const floating[:, ::1] rewards, const floating[:, ::1] values, Ends ends,
    const floating[:, ::1] next_values, const floating[::1] last_value, double gamma,
    double lambda_, floating[:, ::1] out) noexcept nogil
# values is not read where n >= T.
cdef void c_n_step_returns(
    const floating[:, ::1] rewards, const floating[:, ::1] values, Ends ends,
    const floating[:, ::1] next_values, const floating[::1] last_value, Py_ssize_t n,
    double gamma, floating[:, ::1] out) noexcept nogil
cdef void c_vtrace(
    const floating[:, ::1] log_rhos, const floating[:, ::1] rewards,
    const floating[:, ::1] values, Ends ends, const floating[:, ::1] next_values,
    const floating[::1] last_value, VtraceTerms terms, floating[:, ::1] vs,
    floating[:, ::1] pg_advantages) noexcept nogil

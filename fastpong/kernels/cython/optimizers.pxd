# The cores of optimizers.pyx, for other Cython code: unchecked, no allocation, no GIL.

from cython cimport floating
from libc.math cimport pow, sqrt
from libc.stdint cimport int64_t

from fastpong._clones cimport inlined

cdef struct AdamRates:    # made by adam_rates()
    double rate
    double root_scale
    double beta1
    double beta2
    double epsilon

# Climbs if maximize, else descends.
cdef void c_rmsprop_update(
    floating[::1] parameter, const floating[::1] gradient, floating[::1] cache,
    double learning_rate, double decay, double epsilon, bint maximize=*) noexcept nogil
cdef void c_adam_update(
    floating[::1] parameter, const floating[::1] gradient, floating[::1] mean,
    floating[::1] square, AdamRates rates) noexcept nogil
# Gradient clipping of several arrays: add up their squared norms, then scale each by clip_factor().
cdef double c_squared_norm(const floating[::1] gradient) noexcept nogil
cdef void c_scale(floating[::1] gradient, double factor) noexcept nogil

# PyTorch's: 1e-6 keeps a norm of 0 from 0 / 0. Not a number where the norm is none.
cdef inline double clip_factor(double norm, double max_norm) noexcept nogil:
    cdef double factor = max_norm / (norm + 1e-6)
    return 1 if factor > 1 else factor


# Adam, an element at a time:
#
#     m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
#     step = rate m / (root_scale sqrt(v) + epsilon)
#
# The bias corrections are folded into two numbers. With "epsilon hat" (Kingma and Ba, section 2,
# and Keras) epsilon stands beside the uncorrected root: rate has both corrections, root_scale is
# 1. Otherwise, as in algorithm 1 and PyTorch, root_scale has the root's.
cdef inline AdamRates adam_rates(
        int64_t step, double learning_rate, double beta1, double beta2, double epsilon,
        bint epsilon_hat) noexcept nogil:
    cdef AdamRates rates
    if epsilon_hat:
        rates.rate = learning_rate * (sqrt(1 - pow(beta2, step)) / (1 - pow(beta1, step)))
        rates.root_scale = 1
    else:
        rates.rate = learning_rate / (1 - pow(beta1, step))
        rates.root_scale = 1 / sqrt(1 - pow(beta2, step))
    rates.beta1 = beta1
    rates.beta2 = beta2
    rates.epsilon = epsilon
    return rates


# take1 and take2 are 1 - beta, from before beta is rounded: in float32 the difference would be off
# by 3e-5 of itself.
cdef inline inlined adam_moments(
        floating g, floating keep1, floating take1, floating keep2, floating take2,
        floating *mean, floating *square) noexcept nogil:
    mean[0] = keep1 * mean[0] + take1 * g
    square[0] = keep2 * square[0] + take2 * g * g


cdef inline inlined adam_step(
        floating mean, floating square, floating rate, floating root_scale, floating epsilon,
        floating *step) noexcept nogil:
    step[0] = rate * mean / (root_scale * <floating>sqrt(square) + epsilon)

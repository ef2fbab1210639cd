"""Optimizers in Cython: raw, for callers that have checked their arguments.

Use them through ``fastpong.kernels``. ``fastpong.oracle.optimizers`` states the mathematics.
"""

from libc.math cimport sqrt

from fastpong._clones cimport cloned
from fastpong.kernels.cython.statistics cimport sum_of_squares

from fastpong.kernels.cython.cells import cells_adam  # no-cython-lint


# --- RMSProp ------------------------------------------------------------------------------------

cdef cloned cloned_rmsprop(
        floating[::1] parameter, const floating[::1] gradient, floating[::1] cache,
        double learning_rate, double decay, double epsilon, bint maximize) noexcept nogil:
    # c = decay c + (1 - decay) g^2;  w = w +- rate g / (sqrt(c) + epsilon)
    cdef Py_ssize_t i
    cdef floating rate = <floating>(learning_rate if maximize else -learning_rate)
    cdef floating keep = <floating>decay, take = <floating>(1.0 - decay), e = <floating>epsilon
    cdef floating g, c
    for i in range(parameter.shape[0]):
        g = gradient[i]
        c = keep * cache[i] + take * g * g
        cache[i] = c
        parameter[i] += rate * g / (<floating>sqrt(c) + e)


cdef void c_rmsprop_update(
        floating[::1] parameter, const floating[::1] gradient, floating[::1] cache,
        double learning_rate, double decay, double epsilon, bint maximize=True) noexcept nogil:
    cloned_rmsprop(parameter, gradient, cache, learning_rate, decay, epsilon, maximize)


def rmsprop_update(
        floating[::1] parameter, const floating[::1] gradient, floating[::1] cache,
        double learning_rate, double decay, double epsilon, bint maximize):
    """Climb, or descend, along the gradient, in place; epsilon stands outside the root."""
    with nogil:
        c_rmsprop_update(parameter, gradient, cache, learning_rate, decay, epsilon, maximize)


# --- Adam ---------------------------------------------------------------------------------------

cdef cloned cloned_adam(
        floating[::1] parameter, const floating[::1] gradient, floating[::1] mean,
        floating[::1] square, AdamRates rates) noexcept nogil:
    cdef Py_ssize_t i
    cdef floating m, v, step = 0
    cdef floating rate = <floating>rates.rate, root_scale = <floating>rates.root_scale
    cdef floating keep1 = <floating>rates.beta1, take1 = <floating>(1 - rates.beta1)
    cdef floating keep2 = <floating>rates.beta2, take2 = <floating>(1 - rates.beta2)
    cdef floating epsilon = <floating>rates.epsilon
    for i in range(parameter.shape[0]):
        m = mean[i]
        v = square[i]
        adam_moments(gradient[i], keep1, take1, keep2, take2, &m, &v)
        adam_step(m, v, rate, root_scale, epsilon, &step)
        mean[i] = m
        square[i] = v
        parameter[i] -= step


cdef void c_adam_update(
        floating[::1] parameter, const floating[::1] gradient, floating[::1] mean,
        floating[::1] square, AdamRates rates) noexcept nogil:
    cloned_adam(parameter, gradient, mean, square, rates)


def adam_update(
        floating[::1] parameter, const floating[::1] gradient, floating[::1] mean,
        floating[::1] square, int64_t step, double learning_rate, double beta1, double beta2,
        double epsilon, bint epsilon_hat):
    """Descend in place, by Adam's step number ``step`` >= 1."""
    with nogil:
        c_adam_update(parameter, gradient, mean, square, adam_rates(
            step, learning_rate, beta1, beta2, epsilon, epsilon_hat))


# --- gradient clipping --------------------------------------------------------------------------

cdef cloned cloned_norm(const floating[::1] gradient, double *out) noexcept nogil:
    sum_of_squares(gradient, 0, out)


cdef double c_squared_norm(const floating[::1] gradient) noexcept nogil:
    cdef double norm = 0
    cloned_norm(gradient, &norm)
    return norm


cdef cloned cloned_scale(floating[::1] gradient, double factor) noexcept nogil:
    cdef Py_ssize_t i
    cdef floating by = <floating>factor
    for i in range(gradient.shape[0]):
        gradient[i] *= by


cdef void c_scale(floating[::1] gradient, double factor) noexcept nogil:
    cloned_scale(gradient, factor)


def squared_norm(const floating[::1] gradient):
    """Return the sum of the squares."""
    cdef double norm
    with nogil:
        norm = c_squared_norm(gradient)
    return norm


def scale(floating[::1] gradient, double factor):
    """Multiply by a factor, in place."""
    with nogil:
        c_scale(gradient, factor)

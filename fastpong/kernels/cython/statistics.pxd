# The cores of statistics.pyx, for other Cython code: unchecked, no allocation, no GIL.

from cython cimport floating
from libc.stdint cimport uint8_t

from fastpong._clones cimport inlined

# The deviation is the population's, or the sample's with ddof 1. Sums are taken element by element
# if sequential.
cdef void c_standardize(
    const floating[::1] values, floating[::1] out, bint center, Py_ssize_t ddof=*,
    double epsilon=*, bint sequential=*) noexcept nogil
# mean, var and count (1,) are updated in place.
cdef void c_update_mean_var(
    const floating[:, ::1] batch, double[::1] mean, double[::1] var,
    double[::1] count) noexcept nogil
cdef void c_normalize_observations(
    const floating[:, ::1] observations, const double[::1] mean, const double[::1] var,
    double epsilon, double clip, floating[:, ::1] out) noexcept nogil
# returns (N,), mean, var and count (1,) are updated in place if update.
cdef void c_normalize_rewards(
    const floating[:, ::1] rewards, const uint8_t[:, ::1] episode_starts, double[::1] returns,
    double[::1] mean, double[::1] var, double[::1] count, double gamma, double epsilon,
    double clip, bint update, floating[:, ::1] out) noexcept nogil

# Inline parts that several kernels share, to the last bit.

# Eight interleaved sums and one of the rest: a fixed order that a vector unit can follow. One
# running sum waits for each addition in turn: 195 us instead of 57 to standardize 100,000 numbers.
cdef inline inlined sum_of(const floating[::1] values, double *out) noexcept nogil:
    cdef double s[8]
    cdef double rest = 0
    cdef Py_ssize_t t, k, size = values.shape[0], whole = size - size % 8
    for k in range(8):
        s[k] = 0
    for t in range(0, whole, 8):
        for k in range(8):
            s[k] += values[t + k]
    for t in range(whole, size):
        rest += values[t]
    out[0] = ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7])) + rest


# sum of (v - mean)^2
cdef inline inlined sum_of_squares(
        const floating[::1] values, double mean, double *out) noexcept nogil:
    cdef double s[8]
    cdef double d, rest = 0
    cdef Py_ssize_t t, k, size = values.shape[0], whole = size - size % 8
    for k in range(8):
        s[k] = 0
    for t in range(0, whole, 8):
        for k in range(8):
            d = values[t + k] - mean
            s[k] += d * d
    for t in range(whole, size):
        d = values[t] - mean
        rest += d * d
    out[0] = ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7])) + rest


# Mean and variance of count numbers and one more, by Welford: share is 1 / (count + 1), keep the
# rest.
cdef inline inlined add_one(
        double value, double keep, double share, double *mean, double *var) noexcept nogil:
    cdef double delta = value - mean[0]
    mean[0] += share * delta
    var[0] = keep * (var[0] + share * delta * delta)


cdef inline double clipped(double value, double clip) noexcept nogil:
    return clip if value > clip else (-clip if value < -clip else value)

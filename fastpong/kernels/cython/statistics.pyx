"""Statistics in Cython: raw, for callers that have checked their arguments.

Use them through ``fastpong.kernels``. ``fastpong.oracle.statistics`` states the mathematics. Sums,
means and variances are double whatever the arrays are.
"""

from libc.math cimport sqrt

from fastpong._clones cimport cloned

cdef enum:
    COLUMNS = 64    # that are worked on together: their statistics stay in the cache


# --- standardize --------------------------------------------------------------------------------

cdef inline bint are_equal(const floating[::1] values) noexcept nogil:
    # Asked of the values: rounding of the mean can make a zero variance non-zero.
    cdef Py_ssize_t t
    for t in range(values.shape[0]):
        if not values[t] == values[0]:
            return False
    return True


cdef inline double mean_in_order(const floating[::1] values) noexcept nogil:
    cdef Py_ssize_t t
    cdef double total = 0
    for t in range(values.shape[0]):
        total += values[t]
    return total / values.shape[0]


cdef inline double squares_in_order(const floating[::1] values, double mean) noexcept nogil:
    cdef Py_ssize_t t
    cdef double total = 0
    for t in range(values.shape[0]):
        total += (values[t] - mean) * (values[t] - mean)
    return total


cdef cloned cloned_standardize(
        const floating[::1] values, floating[::1] out, bint center, Py_ssize_t ddof,
        double epsilon, bint sequential) noexcept nogil:
    cdef Py_ssize_t t, size = values.shape[0]
    cdef double mean = 0, squares = 0, scale
    if size == 0:
        return
    if are_equal(values):
        mean = values[0]
    elif sequential:
        mean = mean_in_order(values)
        squares = squares_in_order(values, mean)
    else:
        sum_of(values, &mean)
        mean /= size
        sum_of_squares(values, mean, &squares)
    scale = sqrt(squares / (size - ddof)) + epsilon
    mean = mean if center else 0
    if scale == 0:
        for t in range(size):
            out[t] = 0
        return
    for t in range(size):
        out[t] = <floating>((values[t] - mean) / scale)


cdef void c_standardize(
        const floating[::1] values, floating[::1] out, bint center, Py_ssize_t ddof=0,
        double epsilon=0, bint sequential=False) noexcept nogil:
    cloned_standardize(values, out, center, ddof, epsilon, sequential)


def standardize(
        const floating[::1] values, floating[::1] out, bint center, Py_ssize_t ddof,
        double epsilon, bint sequential):
    """Write (v - mean, or v) / (deviation + epsilon); 0 for a divisor of 0."""
    with nogil:
        c_standardize(values, out, center, ddof, epsilon, sequential)


# --- running statistics -------------------------------------------------------------------------

cdef cloned cloned_update(
        const floating[:, ::1] batch, double[::1] mean, double[::1] var,
        double[::1] count) noexcept nogil:
    cdef Py_ssize_t low, n, j
    cdef double share, keep
    for low in range(0, mean.shape[0], 64):    # by COLUMNS
        for n in range(batch.shape[0]):
            share = 1 / (count[0] + n + 1)
            keep = (count[0] + n) * share
            for j in range(low, min(low + COLUMNS, mean.shape[0])):
                add_one(batch[n, j], keep, share, &mean[j], &var[j])
    count[0] += batch.shape[0]


cdef void c_update_mean_var(
        const floating[:, ::1] batch, double[::1] mean, double[::1] var,
        double[::1] count) noexcept nogil:
    cloned_update(batch, mean, var, count)


def update_mean_var(
        const floating[:, ::1] batch, double[::1] mean, double[::1] var, double[::1] count):
    """Add a batch (N, D) to running means and variances (D,) of ``count`` rows (1,)."""
    with nogil:
        c_update_mean_var(batch, mean, var, count)


cdef cloned cloned_observations(
        const floating[:, ::1] observations, const double[::1] mean, const double[::1] var,
        double epsilon, double clip, floating[:, ::1] out) noexcept nogil:
    cdef Py_ssize_t low, n, j, width
    cdef double scale[COLUMNS]
    for low in range(0, mean.shape[0], 64):    # by COLUMNS
        width = min(<Py_ssize_t>COLUMNS, mean.shape[0] - low)
        for j in range(width):
            scale[j] = sqrt(var[low + j] + epsilon)
        for n in range(out.shape[0]):
            for j in range(width):
                out[n, low + j] = <floating>clipped(
                    (observations[n, low + j] - mean[low + j]) / scale[j], clip)


cdef void c_normalize_observations(
        const floating[:, ::1] observations, const double[::1] mean, const double[::1] var,
        double epsilon, double clip, floating[:, ::1] out) noexcept nogil:
    cloned_observations(observations, mean, var, epsilon, clip, out)


def normalize_observations(
        const floating[:, ::1] observations, const double[::1] mean, const double[::1] var,
        double epsilon, double clip, floating[:, ::1] out):
    """Write (x - mean) / sqrt(var + epsilon), clipped: (N, D)."""
    with nogil:
        c_normalize_observations(observations, mean, var, epsilon, clip, out)


cdef cloned cloned_rewards(
        const floating[:, ::1] rewards, const uint8_t[:, ::1] episode_starts,
        double[::1] returns, double[::1] mean, double[::1] var, double[::1] count, double gamma,
        double epsilon, double clip, bint update, floating[:, ::1] out) noexcept nogil:
    cdef Py_ssize_t t, n
    cdef double share, scale
    for t in range(rewards.shape[0]):
        if update:
            for n in range(returns.shape[0]):
                returns[n] = rewards[t, n] + (
                    0 if episode_starts[t, n] else gamma * returns[n])
                share = 1 / (count[0] + 1)
                add_one(returns[n], count[0] * share, share, &mean[0], &var[0])
                count[0] += 1
        scale = sqrt(var[0] + epsilon)
        for n in range(returns.shape[0]):
            out[t, n] = <floating>clipped(rewards[t, n] / scale, clip)


cdef void c_normalize_rewards(
        const floating[:, ::1] rewards, const uint8_t[:, ::1] episode_starts,
        double[::1] returns, double[::1] mean, double[::1] var, double[::1] count, double gamma,
        double epsilon, double clip, bint update, floating[:, ::1] out) noexcept nogil:
    cloned_rewards(
        rewards, episode_starts, returns, mean, var, count, gamma, epsilon, clip, update, out)


def normalize_rewards(
        const floating[:, ::1] rewards, const uint8_t[:, ::1] episode_starts,
        double[::1] returns, double[::1] mean, double[::1] var, double[::1] count, double gamma,
        double epsilon, double clip, bint update, floating[:, ::1] out):
    """Write r / sqrt(var + epsilon), clipped; before each step add the returns to var."""
    with nogil:
        c_normalize_rewards(
            rewards, episode_starts, returns, mean, var, count, gamma, epsilon, clip, update, out)

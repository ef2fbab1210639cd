"""Returns and advantages in Cython: raw, for callers that have checked their arguments.

Use them through ``fastpong.kernels``; ``returns.pxd`` gives the cores to other Cython code.
``fastpong.oracle.returns`` states the mathematics.

Design
------
(A) All are one recursion backwards in time, y_t = x_t + decay_t y_{t+1}, where y_{t+1} counts as 0
    after the end of an episode. Only x, decay and what is made of y differ.
(B) It goes by chunks of up to ROOM numbers that lie side by side in memory. Loops over a whole
    chunk, along time and environments alike, make x and use y. Only the recursion itself goes
    row by row.
(C) A step of the recursion waits for the one before it, six cycles for a product and a sum. So up
    to eight environments go side by side, and of a single one up to four episodes, which do not
    depend on each other: 2.1 us instead of 3.2 for 2,048 steps in twenty episodes.
(D) Each number has one order of sums, whatever goes beside it: the same bits alone and among many.
(E) Sums are double, whatever the dtype. An end selects, it does not multiply by 0: what is not
    finite stays within its episode.
"""

cimport numpy as cnp
from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset

from fastpong._clones cimport cloned, inlined

cnp.import_array()

cdef enum:
    ROOM = 1024    # 8 KB of doubles each: the nearest cache holds what a kernel works on
    APART = 1048   # and they do not all begin in the same place of it

# A run of numbers in (T, N) arrays: whole rows, or a part of one.
cdef struct Chunk:
    Py_ssize_t row        # its first one
    Py_ssize_t first      # the index of its first number
    Py_ssize_t columns    # numbers of a row
    Py_ssize_t size
    const uint8_t *ended    # or NULL

# What a kernel makes of a chunk. y has a row more: the one after the chunk.
cdef struct Work:
    double[APART] x
    double[APART] decay
    double[2 * ROOM] y
    uint8_t[ROOM] cut      # not 0 where an episode ended
    Py_ssize_t cuts
    Py_ssize_t[ROOM] place    # of each cut
    double[ROOM] after        # V' of the oracle at each cut


# --- chunks -------------------------------------------------------------------------------------

cdef inline Py_ssize_t panel(Py_ssize_t n) noexcept nogil:
    # How many columns a chunk has: all, or parts of even width.
    cdef Py_ssize_t parts = (n + ROOM - 1) // ROOM
    return (n + parts - 1) // parts


# The rows just before row t, from ``stop`` on. The last row of all is a chunk of its own: what
# comes after it, and whether it ended, stands in other arrays.
cdef inline Chunk chunk_before(
        Py_ssize_t t, Py_ssize_t steps, Py_ssize_t n, Py_ssize_t column, const Ends *ends,
        Work *work, Py_ssize_t stop=0) noexcept nogil:
    cdef Chunk chunk
    cdef Py_ssize_t rows = 1
    chunk.columns = min(panel(n), n - column)
    if t < steps and chunk.columns == n:
        rows = min(ROOM // n, t - stop)
    chunk.row = t - rows
    chunk.size = rows * chunk.columns
    chunk.first = chunk.row * n + column
    chunk.ended = NULL
    if t == steps:
        memset(work.y + chunk.size, 0, chunk.columns * sizeof(double))
        if ends.last != NULL:
            chunk.ended = ends.last + column
    else:
        memcpy(work.y + chunk.size, work.y, chunk.columns * sizeof(double))
        if ends.rows != NULL:
            chunk.ended = ends.rows + chunk.first
    return chunk


cdef inline Py_ssize_t next_set(
        const uint8_t *flags, Py_ssize_t k, Py_ssize_t size) noexcept nogil:
    # The first flag from k on that is set, or size.
    cdef uint64_t word
    while k + 8 <= size:
        memcpy(&word, flags + k, 8)
        if word != 0:
            break
        k += 8
    while k < size and flags[k] == 0:
        k += 1
    return k


# Where episodes end: their places, and V' of the oracle there.
cdef inline inlined find_cuts(
        const Ends *ends, const floating *next_value, Chunk chunk, Work *work) noexcept nogil:
    cdef const uint8_t *truncated
    cdef Py_ssize_t i
    work.cuts = 0
    if chunk.ended == NULL:
        memset(work.cut, 0, chunk.size)
    else:
        memcpy(work.cut, chunk.ended, chunk.size)
        i = next_set(work.cut, 0, chunk.size)
        while i < chunk.size:
            add_cut(i, 0, work)
            i = next_set(work.cut, i + 1, chunk.size)
    if ends.truncated != NULL:
        truncated = ends.truncated + chunk.first
        i = next_set(truncated, 0, chunk.size)
        while i < chunk.size:
            if work.cut[i] == 0:
                work.cut[i] = 1
                add_cut(i, 0 if next_value == NULL else <double>next_value[chunk.first + i], work)
            i = next_set(truncated, i + 1, chunk.size)


cdef inline void add_cut(Py_ssize_t i, double after, Work *work) noexcept nogil:
    work.place[work.cuts] = i
    work.after[work.cuts] = after
    work.cuts += 1


cdef inline void fill_decay(double decay, Py_ssize_t size, Work *work) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(min(size, ROOM)):
        work.decay[i] = decay


# --- the recursion ------------------------------------------------------------------------------

# Of ``width`` neighbouring columns, a constant: the sums stay in registers.
cdef inline inlined scan_columns(
        Work *work, Chunk chunk, Py_ssize_t column, Py_ssize_t width) noexcept nogil:
    cdef Py_ssize_t t = chunk.size + column, j
    cdef uint64_t word = 0
    cdef double[8] sums
    for j in range(width):
        sums[j] = work.y[t + j]
    while t > column:
        t -= chunk.columns
        memcpy(&word, work.cut + t, width)
        if word != 0:
            for j in range(width):
                sums[j] = 0 if work.cut[t + j] else sums[j]
        for j in range(width):
            sums[j] = work.x[t + j] + work.decay[t + j] * sums[j]
        for j in range(width):
            work.y[t + j] = sums[j]


# The last columns may be computed twice, with the same result.
cdef inline inlined scan(Work *work, Chunk chunk) noexcept nogil:
    cdef Py_ssize_t column = 0, n = chunk.columns
    if n == 1:
        scan_columns(work, chunk, 0, 1)
    elif n < 4:
        scan_columns(work, chunk, 0, 2)
        scan_columns(work, chunk, n - 2, 2)
    elif n < 8:
        scan_columns(work, chunk, 0, 4)
        scan_columns(work, chunk, n - 4, 4)
    else:
        while column < n:
            scan_columns(work, chunk, min(column, n - 8), 8)
            column += 8


# --- a single environment, episode by episode ---------------------------------------------------

cdef struct Lane:
    Py_ssize_t at        # its next step, going backwards
    Py_ssize_t end       # the one before its episode's first
    double carried       # y_{t+1}
    double after         # V' of the oracle


# The last step before k that ended an episode, or -1. Step k is one of the rollout. Points, where
# given, end an episode where they are not 0.
cdef inline Py_ssize_t end_before(
        const Ends *ends, const floating *points, Py_ssize_t k) noexcept nogil:
    cdef uint64_t word = 0, truncated = 0, magnitudes = 0x7fffffffffffffff
    cdef uint64_t[8] numbers
    cdef Py_ssize_t j
    cdef bint point = False
    if sizeof(floating) == 4:
        magnitudes = 0x7fffffff7fffffff    # of two numbers
    while k >= 8:
        if ends.rows != NULL:
            memcpy(&word, ends.rows + k - 8, 8)
        if ends.truncated != NULL:
            memcpy(&truncated, ends.truncated + k - 8, 8)
        if points != NULL:
            memcpy(numbers, points + k - 8, 8 * sizeof(floating))
            for j in range(<Py_ssize_t>sizeof(floating)):
                point |= (numbers[j] & magnitudes) != 0    # neither 0 nor -0
        if word | truncated or point:
            break
        k -= 8
    while k > 0 and not (
            ends.rows != NULL and ends.rows[k - 1]
            or ends.truncated != NULL and ends.truncated[k - 1]
            or points != NULL and points[k - 1] != 0):
        k -= 1
    return k - 1


# The lane of the last episode that has no step after t.
cdef inline inlined enter_lane(
        const floating *points, const Ends *ends, const floating *next_value,
        const floating *last_value, Py_ssize_t t, Py_ssize_t steps, Lane *lane) noexcept nogil:
    cdef const uint8_t *ended = ends.last
    if t < steps - 1:
        ended = ends.rows
        if ended != NULL:
            ended += t
    lane.at = t
    lane.end = end_before(ends, points, t)
    lane.carried = lane.after = 0
    if ended != NULL and ended[0]:
        return
    if ends.truncated != NULL and ends.truncated[t]:
        if next_value != NULL:
            lane.after = next_value[t]
    elif last_value != NULL:    # t is the rollout's last step: all others ended an episode
        lane.after = last_value[0]


# The next steps of some episodes, side by side: x_t = r_t + gamma V'_t - V_t, r_t without values.
cdef inline inlined run_lanes(
        const floating *reward, const floating *value, double gamma, double decay, bint returns,
        Lane *lanes, Py_ssize_t steps, Py_ssize_t count, floating *out) noexcept nogil:
    cdef Py_ssize_t i, j, t
    cdef double[4] carried, after
    cdef Py_ssize_t[4] start
    for j in range(count):
        carried[j] = lanes[j].carried
        after[j] = lanes[j].after
        start[j] = lanes[j].at
    for i in range(steps):
        for j in range(count):
            t = start[j] - i
            if value == NULL:
                carried[j] = reward[t] + decay * carried[j]
            else:
                carried[j] = reward[t] + gamma * after[j] - value[t] + decay * carried[j]
                after[j] = value[t]
            out[t] = <floating>(carried[j] + after[j] if returns else carried[j])
    for j in range(count):
        lanes[j].carried = carried[j]
        lanes[j].after = after[j]
        lanes[j].at = start[j] - steps


# An episode that is through gives its lane to the next one.
cdef inline inlined scan_episodes(
        const floating *reward, const floating *value, const floating *points, Py_ssize_t steps,
        const Ends *ends, const floating *next_value, const floating *last_value, double gamma,
        double decay, bint returns, floating *out) noexcept nogil:
    cdef Lane[4] lanes
    cdef Py_ssize_t count = 0, below = steps, j, shortest
    while count > 0 or below > 0:
        while count < 4 and below > 0:
            enter_lane(points, ends, next_value, last_value, below - 1, steps, &lanes[count])
            below = lanes[count].end + 1
            count += 1
        shortest = lanes[0].at - lanes[0].end
        for j in range(1, count):
            shortest = min(shortest, lanes[j].at - lanes[j].end)
        if count == 4:
            run_lanes(reward, value, gamma, decay, returns, lanes, shortest, 4, out)
        elif count == 3:
            run_lanes(reward, value, gamma, decay, returns, lanes, shortest, 3, out)
        elif count == 2:
            run_lanes(reward, value, gamma, decay, returns, lanes, shortest, 2, out)
        else:
            run_lanes(reward, value, gamma, decay, returns, lanes, shortest, 1, out)
        for j in range(count - 1, -1, -1):
            if lanes[j].at == lanes[j].end:
                count -= 1
                lanes[j] = lanes[count]


# --- arguments ----------------------------------------------------------------------------------

cdef inline Ends point_at_ends(
        const uint8_t *terminated, const uint8_t *truncated, const uint8_t *dones_before,
        const uint8_t *last_done, Py_ssize_t steps, Py_ssize_t n) noexcept nogil:
    cdef Ends ends
    ends.rows = terminated
    ends.last = NULL
    ends.truncated = truncated
    if terminated != NULL:
        ends.last = terminated + (steps - 1) * n
    elif dones_before != NULL:
        # Row t + 1 says of step t whether it ended an episode.
        ends.rows = dones_before + n
        ends.last = last_done
    return ends


cdef inline const uint8_t *first_flag(const uint8_t[:, ::1] flags) noexcept nogil:
    if flags is None or flags.shape[0] == 0 or flags.shape[1] == 0:
        return NULL
    return &flags[0, 0]


cdef Ends find_ends(
        const uint8_t[:, ::1] terminated, const uint8_t[:, ::1] truncated,
        const uint8_t[:, ::1] dones_before, const uint8_t[::1] last_done) noexcept nogil:
    cdef Py_ssize_t steps = 0, n = 0
    cdef const uint8_t *last = NULL
    if terminated is not None:
        steps, n = terminated.shape[0], terminated.shape[1]
    elif last_done is not None and last_done.shape[0] > 0:
        n, last = last_done.shape[0], &last_done[0]
    return point_at_ends(
        first_flag(terminated), first_flag(truncated), first_flag(dones_before), last, steps, n)


# Of the functions for Python, which take arrays: views would cost 0.7 us a call.

cdef inline void *data(array):
    return NULL if array is None else cnp.PyArray_DATA(<cnp.ndarray>array)


cdef inline bint is_float(array):
    return cnp.PyArray_TYPE(<cnp.ndarray>array) == cnp.NPY_FLOAT32


cdef struct Rollout:
    Py_ssize_t steps
    Py_ssize_t n
    bint empty
    Ends ends


cdef inline Rollout rollout_of(rewards, terminated, truncated, dones_before, last_done):
    cdef Rollout rollout
    rollout.steps = cnp.PyArray_DIM(<cnp.ndarray>rewards, 0)
    rollout.n = cnp.PyArray_DIM(<cnp.ndarray>rewards, 1)
    rollout.empty = rollout.steps == 0 or rollout.n == 0
    rollout.ends = point_at_ends(
        <const uint8_t *>data(terminated), <const uint8_t *>data(truncated),
        <const uint8_t *>data(dones_before), <const uint8_t *>data(last_done), rollout.steps,
        rollout.n)
    return rollout


# --- discounted returns -------------------------------------------------------------------------

cdef cloned cloned_discount(
        const floating *rewards, Py_ssize_t steps, Py_ssize_t n, const Ends *ends, double gamma,
        bint reset_on_reward, floating *out) noexcept nogil:
    cdef Work work
    cdef Chunk chunk
    cdef const floating *reward
    cdef const floating *none = NULL
    cdef Py_ssize_t column = 0, t, i
    if n == 1:
        scan_episodes(
            rewards, none, rewards if reset_on_reward else none, steps, ends, none, none, 0, gamma,
            False, out)
        return
    fill_decay(gamma, steps * n, &work)
    while column < n:
        t = steps
        while t > 0:
            chunk = chunk_before(t, steps, n, column, ends, &work)
            t = chunk.row
            reward = rewards + chunk.first
            find_cuts(ends, none, chunk, &work)
            for i in range(chunk.size):
                work.x[i] = reward[i]
            if reset_on_reward:
                for i in range(chunk.size):
                    work.cut[i] |= reward[i] != 0
            scan(&work, chunk)
            for i in range(chunk.size):
                out[chunk.first + i] = <floating>work.y[i]
        column += chunk.columns


cdef void c_discount_rewards(
        const floating[::1] rewards, double gamma, floating[::1] out,
        bint reset_on_reward) noexcept nogil:
    cdef Ends ends
    ends.rows = ends.last = ends.truncated = NULL
    if rewards.shape[0] > 0:
        cloned_discount(
            &rewards[0], rewards.shape[0], 1, &ends, gamma, reset_on_reward, &out[0])


cdef void c_discount_rollout(
        const floating[:, ::1] rewards, Ends ends, double gamma, bint reset_on_reward,
        floating[:, ::1] out) noexcept nogil:
    if rewards.shape[0] > 0 and rewards.shape[1] > 0:
        cloned_discount(
            &rewards[0, 0], rewards.shape[0], rewards.shape[1], &ends, gamma, reset_on_reward,
            &out[0, 0])


def discount_rewards(
        rewards, double gamma, out, bint reset_on_reward, terminated=None, truncated=None,
        dones_before=None, last_done=None):
    """Write the discounted return of every step."""
    cdef Rollout r = rollout_of(rewards, terminated, truncated, dones_before, last_done)
    cdef void *given = data(rewards)
    cdef void *written = data(out)
    cdef bint single = is_float(rewards)
    if r.empty:
        return
    with nogil:
        if single:
            cloned_discount(
                <const float *>given, r.steps, r.n, &r.ends, gamma, reset_on_reward,
                <float *>written)
        else:
            cloned_discount(
                <const double *>given, r.steps, r.n, &r.ends, gamma, reset_on_reward,
                <double *>written)


# --- advantages and lambda returns --------------------------------------------------------------

cdef cloned cloned_lambda(
        const floating *rewards, const floating *values, Py_ssize_t steps, Py_ssize_t n,
        const Ends *ends, const floating *next_values, const floating *last_value, double gamma,
        double lambda_, bint returns, floating *out) noexcept nogil:
    cdef Work work
    cdef Chunk chunk
    cdef const floating *reward
    cdef const floating *value
    cdef const floating *after
    cdef Py_ssize_t column = 0, t, i, k
    if n == 1:
        scan_episodes(
            rewards, values, <const floating *>NULL, steps, ends, next_values, last_value, gamma,
            gamma * lambda_, returns, out)
        return
    fill_decay(gamma * lambda_, steps * n, &work)
    while column < n:
        t = steps
        while t > 0:
            chunk = chunk_before(t, steps, n, column, ends, &work)
            reward = rewards + chunk.first
            value = values + chunk.first
            after = last_value + column if t == steps else value + n
            t = chunk.row
            find_cuts(ends, next_values, chunk, &work)
            for i in range(chunk.size):
                work.x[i] = reward[i] + gamma * after[i] - value[i]
            for k in range(work.cuts):
                i = work.place[k]
                work.x[i] = reward[i] + gamma * work.after[k] - value[i]
            scan(&work, chunk)
            if returns:
                for i in range(chunk.size):
                    out[chunk.first + i] = <floating>(work.y[i] + value[i])
            else:
                for i in range(chunk.size):
                    out[chunk.first + i] = <floating>work.y[i]
        column += chunk.columns


cdef inline inlined lambda_rollout(
        const floating[:, ::1] rewards, const floating[:, ::1] values, const Ends *ends,
        const floating[:, ::1] next_values, const floating[::1] last_value, double gamma,
        double lambda_, bint returns, floating[:, ::1] out) noexcept nogil:
    if rewards.shape[0] > 0 and rewards.shape[1] > 0:
        cloned_lambda(
            &rewards[0, 0], &values[0, 0], rewards.shape[0], rewards.shape[1], ends,
            &next_values[0, 0], &last_value[0], gamma, lambda_, returns, &out[0, 0])


cdef void c_gae(
        const floating[:, ::1] rewards, const floating[:, ::1] values,
        const uint8_t[:, ::1] terminated, const floating[::1] last_value, double gamma,
        double lambda_, floating[:, ::1] out) noexcept nogil:
    cdef Ends ends = find_ends(terminated, None, None, None)
    lambda_rollout(rewards, values, &ends, values, last_value, gamma, lambda_, False, out)


cdef void c_gae_rollout(
        const floating[:, ::1] rewards, const floating[:, ::1] values, Ends ends,
        const floating[:, ::1] next_values, const floating[::1] last_value, double gamma,
        double lambda_, floating[:, ::1] out) noexcept nogil:
    lambda_rollout(rewards, values, &ends, next_values, last_value, gamma, lambda_, False, out)


cdef void c_lambda_returns(
        const floating[:, ::1] rewards, const floating[:, ::1] values, Ends ends,
        const floating[:, ::1] next_values, const floating[::1] last_value, double gamma,
        double lambda_, floating[:, ::1] out) noexcept nogil:
    lambda_rollout(rewards, values, &ends, next_values, last_value, gamma, lambda_, True, out)


cdef int run_lambda(
        rewards, values, last_value, next_values, Rollout r, double gamma, double lambda_,
        bint returns, out) except -1:
    cdef void *reward = data(rewards)
    cdef void *value = data(values)
    cdef void *last = data(last_value)
    cdef void *following = data(next_values)
    cdef void *written = data(out)
    cdef bint single = is_float(rewards)
    if r.empty:
        return 0
    with nogil:
        if single:
            cloned_lambda(
                <const float *>reward, <const float *>value, r.steps, r.n, &r.ends,
                <const float *>following, <const float *>last, gamma, lambda_, returns,
                <float *>written)
        else:
            cloned_lambda(
                <const double *>reward, <const double *>value, r.steps, r.n, &r.ends,
                <const double *>following, <const double *>last, gamma, lambda_, returns,
                <double *>written)
    return 0


def gae(
        rewards, values, terminated, last_value, double gamma, double lambda_, out,
        truncated=None, next_values=None, dones_before=None, last_done=None):
    """Write A_t = delta_t + gamma lambda A_{t+1}, column by column."""
    run_lambda(
        rewards, values, last_value, next_values,
        rollout_of(rewards, terminated, truncated, dones_before, last_done), gamma, lambda_,
        False, out)


def lambda_returns(
        rewards, values, terminated, last_value, double gamma, double lambda_, out,
        truncated=None, next_values=None, dones_before=None, last_done=None):
    """Write A_t + V_t, column by column."""
    run_lambda(
        rewards, values, last_value, next_values,
        rollout_of(rewards, terminated, truncated, dones_before, last_done), gamma, lambda_,
        True, out)


# --- n-step returns -----------------------------------------------------------------------------

# The last n rows: to the end of the rollout, or of the episode.
cdef inline inlined discount_tail(
        const floating *rewards, Py_ssize_t steps, Py_ssize_t first, Py_ssize_t n,
        const Ends *ends, const floating *next_values, const floating *last_value, double gamma,
        floating *out) noexcept nogil:
    cdef Work work
    cdef Chunk chunk
    cdef const floating *reward
    cdef Py_ssize_t column = 0, t, i, k
    fill_decay(gamma, steps * n, &work)
    while column < n:
        t = steps
        while t > first:
            chunk = chunk_before(t, steps, n, column, ends, &work, first)
            reward = rewards + chunk.first
            find_cuts(ends, next_values, chunk, &work)
            for i in range(chunk.size):
                work.x[i] = reward[i]
            if t == steps:
                for i in range(chunk.size):
                    work.x[i] += gamma * last_value[column + i]
            t = chunk.row
            for k in range(work.cuts):
                i = work.place[k]
                work.x[i] = reward[i] + gamma * work.after[k]
            scan(&work, chunk)
            for i in range(chunk.size):
                out[chunk.first + i] = <floating>work.y[i]
        column += chunk.columns


# The rows before them: exactly n rewards, unless an episode ends.
cdef inline inlined sum_n_steps(
        const floating *rewards, const floating *values, Py_ssize_t size, Py_ssize_t stride,
        const Ends *ends, const floating *next_values, Py_ssize_t n, double gamma,
        floating *out) noexcept nogil:
    cdef double[ROOM] sums
    cdef Py_ssize_t first = 0, count, k, e, i
    while first < size:
        count = min(size - first, ROOM)
        for i in range(count):
            sums[i] = values[first + n * stride + i]
        for k in range(n - 1, -1, -1):
            e = first + k * stride
            for i in range(count):
                sums[i] = rewards[e + i] + gamma * sums[i]
            if ends.truncated != NULL:
                i = next_set(ends.truncated + e, 0, count)
                while i < count:
                    sums[i] = rewards[e + i] + gamma * next_values[e + i]
                    i = next_set(ends.truncated + e, i + 1, count)
            if ends.rows != NULL:
                i = next_set(ends.rows + e, 0, count)
                while i < count:
                    sums[i] = rewards[e + i]
                    i = next_set(ends.rows + e, i + 1, count)
        for i in range(count):
            out[first + i] = <floating>sums[i]
        first += count


cdef cloned cloned_n_step(
        const floating *rewards, const floating *values, Py_ssize_t steps, Py_ssize_t columns,
        const Ends *ends, const floating *next_values, const floating *last_value, Py_ssize_t n,
        double gamma, floating *out) noexcept nogil:
    cdef Py_ssize_t first = max(steps - n, 0)
    sum_n_steps(
        rewards, values, first * columns, columns, ends, next_values, n, gamma, out)
    discount_tail(
        rewards, steps, first, columns, ends, next_values, last_value, gamma, out)


cdef void c_n_step_returns(
        const floating[:, ::1] rewards, const floating[:, ::1] values, Ends ends,
        const floating[:, ::1] next_values, const floating[::1] last_value, Py_ssize_t n,
        double gamma, floating[:, ::1] out) noexcept nogil:
    if rewards.shape[0] > 0 and rewards.shape[1] > 0:
        cloned_n_step(
            &rewards[0, 0], &values[0, 0], rewards.shape[0], rewards.shape[1], &ends,
            &next_values[0, 0], &last_value[0], n, gamma, &out[0, 0])


def n_step_returns(
        rewards, values, terminated, last_value, Py_ssize_t n, double gamma, out,
        truncated=None, next_values=None, dones_before=None, last_done=None):
    """Write the sum of n rewards and the value after them."""
    cdef Rollout r = rollout_of(rewards, terminated, truncated, dones_before, last_done)
    cdef void *reward = data(rewards)
    cdef void *value = data(values)
    cdef void *last = data(last_value)
    cdef void *following = data(next_values)
    cdef void *written = data(out)
    cdef bint single = is_float(rewards)
    if r.empty:
        return
    with nogil:
        if single:
            cloned_n_step(
                <const float *>reward, <const float *>value, r.steps, r.n, &r.ends,
                <const float *>following, <const float *>last, n, gamma, <float *>written)
        else:
            cloned_n_step(
                <const double *>reward, <const double *>value, r.steps, r.n, &r.ends,
                <const double *>following, <const double *>last, n, gamma, <double *>written)


# --- V-trace ------------------------------------------------------------------------------------

# e^x = 2^k e^r with |r| <= ln(2) / 2, to the last bit or the one before. The C library's function
# takes one number at a time, 4.5 ns instead of 1, and not the same bits on every machine.
cdef inline double exp_of(double x) noexcept nogil:
    cdef double bounded = -708.0 if x < -708.0 else (709.0 if x > 709.0 else x), k, r, p
    cdef uint64_t bits
    # Adding 1.5 * 2^52 leaves a whole number in the last bits of the sum.
    k = bounded * 1.4426950408889634 + 6755399441055744.0
    memcpy(&bits, &k, 8)
    k -= 6755399441055744.0
    r = bounded - k * 6.93147180369123816490e-01 - k * 1.90821492927058770002e-10
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600
    p = p * r + 1.0 / 39916800
    p = p * r + 1.0 / 3628800
    p = p * r + 1.0 / 362880
    p = p * r + 1.0 / 40320
    p = p * r + 1.0 / 5040
    p = p * r + 1.0 / 720
    p = p * r + 1.0 / 120
    p = p * r + 1.0 / 24
    p = p * r + 1.0 / 6
    p = p * r + 0.5
    p = p * r * r + r
    # Masked, so that nothing overflows: the debug build would raise without the GIL.
    bits = (((bits & 2047) + 1023) & 2047) << 52
    memcpy(&k, &bits, 8)
    return 0.0 if x < -708.0 else k + k * p


cdef inline double least(double bound, double x) noexcept nogil:
    # NaN stays NaN.
    return bound if x > bound else x


cdef cloned cloned_vtrace(
        const floating *log_rhos, const floating *rewards, const floating *values,
        Py_ssize_t steps, Py_ssize_t n, const Ends *ends, const floating *next_values,
        const floating *last_value, const VtraceTerms *terms, floating *vs,
        floating *pg_advantages) noexcept nogil:
    cdef Work work
    cdef Chunk chunk
    cdef const floating *reward
    cdef const floating *value
    cdef const floating *after
    cdef double[ROOM] rho
    cdef double gamma = terms.gamma, decay = terms.gamma * terms.lambda_
    cdef Py_ssize_t column = 0, t, i, k
    while column < n:
        t = steps
        while t > 0:
            chunk = chunk_before(t, steps, n, column, ends, &work)
            reward = rewards + chunk.first
            value = values + chunk.first
            after = last_value + column if t == steps else value + n
            t = chunk.row
            find_cuts(ends, next_values, chunk, &work)
            for i in range(chunk.size):
                rho[i] = exp_of(log_rhos[chunk.first + i])
            for i in range(chunk.size):
                work.decay[i] = decay * least(terms.clip_c, rho[i])
                work.x[i] = least(terms.clip_rho, rho[i]) * (
                    reward[i] + gamma * after[i] - value[i])
            for k in range(work.cuts):
                i = work.place[k]
                work.x[i] = least(terms.clip_rho, rho[i]) * (
                    reward[i] + gamma * work.after[k] - value[i])
            scan(&work, chunk)
            for i in range(chunk.size):
                vs[chunk.first + i] = <floating>(value[i] + work.y[i])
            # The target of the step after is its value and what the recursion carries.
            for i in range(chunk.size):
                pg_advantages[chunk.first + i] = <floating>(
                    least(terms.clip_pg_rho, rho[i])
                    * (reward[i] + gamma * (after[i] + work.y[i + chunk.columns]) - value[i]))
            for k in range(work.cuts):
                i = work.place[k]
                pg_advantages[chunk.first + i] = <floating>(
                    least(terms.clip_pg_rho, rho[i])
                    * (reward[i] + gamma * work.after[k] - value[i]))
        column += chunk.columns


cdef void c_vtrace(
        const floating[:, ::1] log_rhos, const floating[:, ::1] rewards,
        const floating[:, ::1] values, Ends ends, const floating[:, ::1] next_values,
        const floating[::1] last_value, VtraceTerms terms, floating[:, ::1] vs,
        floating[:, ::1] pg_advantages) noexcept nogil:
    if rewards.shape[0] > 0 and rewards.shape[1] > 0:
        cloned_vtrace(
            &log_rhos[0, 0], &rewards[0, 0], &values[0, 0], rewards.shape[0], rewards.shape[1],
            &ends, &next_values[0, 0], &last_value[0], &terms, &vs[0, 0], &pg_advantages[0, 0])


def vtrace(
        log_rhos, rewards, values, terminated, last_value, double gamma, double lambda_,
        double clip_rho, double clip_c, double clip_pg_rho, vs, pg_advantages, truncated=None,
        next_values=None, dones_before=None, last_done=None):
    """Write V-trace's targets and advantages."""
    cdef Rollout r = rollout_of(rewards, terminated, truncated, dones_before, last_done)
    cdef VtraceTerms terms = VtraceTerms(gamma, lambda_, clip_rho, clip_c, clip_pg_rho)
    cdef void *log_rho = data(log_rhos)
    cdef void *reward = data(rewards)
    cdef void *value = data(values)
    cdef void *last = data(last_value)
    cdef void *following = data(next_values)
    cdef void *target = data(vs)
    cdef void *advantage = data(pg_advantages)
    cdef bint single = is_float(rewards)
    if r.empty:
        return
    with nogil:
        if single:
            cloned_vtrace(
                <const float *>log_rho, <const float *>reward, <const float *>value, r.steps, r.n,
                &r.ends, <const float *>following, <const float *>last, &terms, <float *>target,
                <float *>advantage)
        else:
            cloned_vtrace(
                <const double *>log_rho, <const double *>reward, <const double *>value, r.steps,
                r.n, &r.ends, <const double *>following, <const double *>last, &terms,
                <double *>target, <double *>advantage)

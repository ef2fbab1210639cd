"""The actor-critic agent's kernels in Cython: raw, for callers that have checked their arguments.

Use them through ``fastpong.kernels``. ``fastpong.oracle.cells`` states the mathematics.

Design
------
(A) As for the first agent an input is sparse, and a row of weights is one contiguous run of H
    numbers: forward a sum of some rows, backward sums into some rows. Each input is met twice,
    upright and mirrored, by the same rows in another place.
(B) Learning is shared out among threads by hidden units: a thread owns the units [first, last) and
    computes all that belongs to them for the whole minibatch. No sum of a unit depends on where
    the shares lie, so any number of threads gives the same bits. Log odds and values need all
    units: each thread adds up its groups of GROUP, and the groups' sums are added up by decisions,
    in their order. So what threads tell each other is little: bringing the hidden layer from one
    core to another would take as long as computing it.
(C) Units are worked on BLOCK at a time: a constant length, so that sums stay in registers.
(D) Of the weights W of a row and its parents only their sum is kept. The gradient of parents and
    their steps are made from those of the rows, so nothing is ever folded together.
(E) Rows that no input has ever reached have no gradient and no moments: they are left alone.
(F) As in _kernels.pyx: every sum has one fixed order, a worker's step and the learner share their
    cores, hot functions are compiled for each vector unit, nothing is allocated.
"""

from cython cimport floating
from libc.math cimport exp, fabs, isfinite, pow, sqrt
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint64_t
from libc.string cimport memcpy, memset

from fastpong._clones cimport cloned, fetch, inlined
from fastpong._geometry cimport FIELD, TOP, WORDS
from fastpong._meeting cimport Place, c_abandon, core_of_this_thread, hold, meet, release
from fastpong.kernels.cython.losses cimport PpoTerms, c_ppo_gradient

cdef enum:
    BLOCK = 64
    GROUP = 16        # units whose part of the heads is added up by itself; ppo_learner.GROUP

# Moments that decay for ever would become denormal numbers, which some processors are slow with.
cdef double TINY = 1e-35


# --- input --------------------------------------------------------------------------------------

cdef inline Py_ssize_t flush(
        int *counts, Py_ssize_t side, Py_ssize_t place, uint16_t[::1] indices,
        int8_t[::1] values, Py_ssize_t n) noexcept nogil:
    # Append a row's non-zero cells, the first of them numbered ``place``; clear the counts.
    cdef Py_ssize_t x
    for x in range(side):
        if counts[x] != 0:
            indices[n] = <uint16_t>(place + x)
            values[n] = <int8_t>counts[x]
            counts[x] = 0
            n += 1
    return n


cdef inline uint64_t word_at(
        const uint8_t[:, ::1] screen, Py_ssize_t row, Py_ssize_t word) noexcept nogil:
    cdef uint64_t found
    memcpy(&found, &screen[row, 8 * word], 8)
    return found


cdef cloned cloned_unlike(
        const uint8_t *screen, const uint8_t *other, Py_ssize_t pace,
        uint8_t *unlike) noexcept nogil:
    # For every row of the field whether it differs from that of ``other``, whose rows lie ``pace``
    # bytes apart. Most do not: they are told apart by whole vectors.
    cdef Py_ssize_t y, w
    cdef uint64_t found, a, b
    for y in range(FIELD):
        found = 0
        for w in range(WORDS):
            memcpy(&a, screen + FIELD * y + 8 * w, 8)
            memcpy(&b, other + pace * y + 8 * w, 8)
            found |= a ^ b
        unlike[y] = found != 0


cdef inline bint add_word(
        const uint8_t *pixels, const uint8_t[::1] table, int sign, Py_ssize_t place, int resolution,
        int stride, int *counts) noexcept nogil:
    # Add every stride-th of eight pixels, the field's from ``place`` on, to the counts of its row's
    # cells; return whether one is foreground. A division a word: one a pixel took most of the time.
    cdef int k, cell = <int>place // resolution, left = resolution - <int>place % resolution
    cdef int one
    cdef bint found = False
    for k in range(8 // stride):
        one = table[pixels[stride * k]]
        found = found or one != 0
        counts[cell] += sign * one
        left -= 1
        if left == 0:
            cell += 1
            left = resolution
    return found


cdef bint find_ground(
        const uint8_t[:, ::1] screen, const uint8_t[::1] table, uint8_t *ground) noexcept nogil:
    # Fill a row with the field's first background colour; return whether there is one.
    cdef Py_ssize_t y, x
    for y in range(TOP, TOP + FIELD):
        for x in range(FIELD):
            if table[screen[y, x]] == 0:
                memset(ground, screen[y, x], FIELD)
                return True
    return False


cdef Py_ssize_t c_encode_frame(
        const uint8_t[:, ::1] screen, const uint8_t[::1] table, Py_ssize_t resolution,
        Py_ssize_t stride, uint16_t[::1] indices, int8_t[::1] values) noexcept nogil:
    # Rows and words of the first background colour, as most are, are skipped.
    cdef Py_ssize_t side = FIELD // stride // resolution, n = 0, y, r, row, w, k
    cdef Py_ssize_t wide = 8 // stride
    cdef int counts[FIELD]
    cdef uint8_t ground[FIELD]
    cdef uint8_t unlike[FIELD]
    cdef uint64_t blank
    cdef bint found
    for k in range(side):
        counts[k] = 0
    if find_ground(screen, table, ground):
        cloned_unlike(&screen[TOP, 0], ground, 0, unlike)
    else:
        memset(ground, screen[TOP, 0], FIELD)
        memset(unlike, 1, FIELD)
    memcpy(&blank, ground, 8)
    for y in range(side):
        found = False
        for r in range(resolution):
            row = stride * (y * resolution + r)
            if not unlike[row]:
                continue
            row += TOP
            for w in range(WORDS):
                if word_at(screen, row, w) == blank and table[ground[0]] == 0:
                    continue
                if add_word(&screen[row, 8 * w], table, 1, wide * w, <int>resolution, <int>stride,
                            counts):
                    found = True
        if found:
            n = flush(counts, side, y * side, indices, values, n)
    return n


cdef Py_ssize_t c_encode_difference(
        const uint8_t[:, ::1] screen, const uint8_t[:, ::1] previous, const uint8_t[::1] table,
        Py_ssize_t resolution, Py_ssize_t stride, Py_ssize_t channel, uint16_t[::1] indices,
        int8_t[::1] values, Py_ssize_t n) noexcept nogil:
    # Words that did not change are skipped. Goes on at n; returns the position after it.
    cdef Py_ssize_t side = FIELD // stride // resolution, y, r, row, w, k
    cdef Py_ssize_t wide = 8 // stride
    cdef int counts[FIELD]
    cdef uint8_t unlike[FIELD]
    cdef bint found
    for k in range(side):
        counts[k] = 0
    cloned_unlike(&screen[TOP, 0], &previous[TOP, 0], FIELD, unlike)
    for y in range(side):
        found = False
        for r in range(resolution):
            row = stride * (y * resolution + r)
            if not unlike[row]:
                continue
            row += TOP
            found = True
            for w in range(WORDS):
                if word_at(screen, row, w) == word_at(previous, row, w):
                    continue
                add_word(&screen[row, 8 * w], table, 1, wide * w, <int>resolution, <int>stride,
                         counts)
                add_word(&previous[row, 8 * w], table, -1, wide * w, <int>resolution, <int>stride,
                         counts)
        if found:
            n = flush(counts, side, (channel * side + y) * side, indices, values, n)
    return n


def encode_cells(
        const uint8_t[:, ::1] screen, const uint8_t[:, ::1] previous, const uint8_t[::1] table,
        Py_ssize_t resolution, Py_ssize_t stride, uint16_t[::1] indices, int8_t[::1] values):
    """Write the non-zero cells of frame and difference frame; return their number."""
    cdef Py_ssize_t n
    with nogil:
        n = c_encode_frame(screen, table, resolution, stride, indices, values)
        n = c_encode_difference(screen, previous, table, resolution, stride, 1, indices, values, n)
    return n


# --- network ------------------------------------------------------------------------------------

cdef inline inlined fetch_ahead(
        const int64_t[::1] order, Py_ssize_t q, const int64_t[::1] indptr,
        const uint16_t[::1] indices, const int8_t[::1] values) noexcept nogil:
    # Bring near the inputs of the decisions after the q-th: drawn from a large replay, they are in
    # no cache and no processor can guess where they lie. 0.7 us a decision and network for 1.1.
    cdef Py_ssize_t i, k, last = indices.shape[0] - 1
    if q + 8 < order.shape[0]:
        fetch(&indptr[order[q + 8]])
    if q + 4 < order.shape[0] and last >= 0:
        i = indptr[order[q + 4]]
        for k in range(3):    # lines of 32 indices, as many as most decisions have
            fetch(&indices[min(i + 32 * k, last)])
            fetch(&values[min(i + 32 * k, last)])


cdef inline inlined one_forward(
        const uint16_t[::1] indices, const int8_t[::1] values, Py_ssize_t start, Py_ssize_t stop,
        const floating[:, ::1] rows, const int32_t[::1] mirror, const floating[:, ::1] units,
        Py_ssize_t first, Py_ssize_t last, floating[:, ::1] hidden) noexcept nogil:
    # hidden[k] = relu(b + sum of value * row), k = 0 upright, 1 mirrored
    cdef Py_ssize_t i, j, low, d, e, width
    cdef floating value
    cdef floating s[BLOCK]
    cdef floating m[BLOCK]
    for low in range(first, last, 64):    # by BLOCK
        width = last - low
        if width >= BLOCK:
            for j in range(BLOCK):
                s[j] = units[0, low + j]
                m[j] = units[0, low + j]
            for i in range(start, stop):
                d = indices[i]
                e = mirror[d]
                value = values[i]
                for j in range(BLOCK):
                    s[j] += value * rows[d, low + j]
                for j in range(BLOCK):
                    m[j] += value * rows[e, low + j]
            for j in range(BLOCK):
                hidden[0, low + j] = 0 if s[j] < 0 else s[j]
                hidden[1, low + j] = 0 if m[j] < 0 else m[j]
        else:
            for j in range(width):
                s[j] = units[0, low + j]
                m[j] = units[0, low + j]
            for i in range(start, stop):
                d = indices[i]
                e = mirror[d]
                value = values[i]
                for j in range(width):
                    s[j] += value * rows[d, low + j]
                for j in range(width):
                    m[j] += value * rows[e, low + j]
            for j in range(width):
                hidden[0, low + j] = 0 if s[j] < 0 else s[j]
                hidden[1, low + j] = 0 if m[j] < 0 else m[j]


cdef cloned cloned_pyramid_forward(
        const int64_t[::1] order, const int64_t[::1] indptr, const uint16_t[::1] indices,
        const int8_t[::1] values, const floating[:, ::1] rows, const int32_t[::1] mirror,
        const floating[:, ::1] units, Py_ssize_t first, Py_ssize_t last,
        floating[:, :, ::1] hidden) noexcept nogil:
    cdef Py_ssize_t q, t
    for q in range(order.shape[0]):
        t = order[q]
        fetch_ahead(order, q, indptr, indices, values)
        one_forward(indices, values, indptr[t], indptr[t + 1], rows, mirror, units, first, last,
                    hidden[q])


def pyramid_forward(
        const int64_t[::1] order, const int64_t[::1] indptr, const uint16_t[::1] indices,
        const int8_t[::1] values, const floating[:, ::1] rows, const int32_t[::1] mirror,
        const floating[:, ::1] units, Py_ssize_t first, Py_ssize_t last,
        floating[:, :, ::1] hidden):
    """Write the hidden layer, upright and mirrored, of the units [first, last)."""
    with nogil:
        cloned_pyramid_forward(
            order, indptr, indices, values, rows, mirror, units, first, last, hidden)


cdef inline inlined group_sums(
        const floating[:, ::1] hidden, const floating[:, ::1] units, Py_ssize_t first,
        floating *advice, floating *estimate) noexcept nogil:
    # (h - h') . a and (h + h') . v over the GROUP of units from ``first``, or as many as there are.
    # Eight interleaved sums each: a fixed order that a vector unit can follow.
    cdef Py_ssize_t j, k, last = min(first + GROUP, units.shape[1])
    cdef Py_ssize_t whole = first + (last - first) // 8 * 8
    cdef floating a[8]
    cdef floating v[8]
    for k in range(8):
        a[k] = 0
        v[k] = 0
    for j in range(first, whole, 8):
        for k in range(8):
            a[k] += (hidden[0, j + k] - hidden[1, j + k]) * units[1, j + k]
            v[k] += (hidden[0, j + k] + hidden[1, j + k]) * units[2, j + k]
    for j in range(whole, last):
        a[j - whole] += (hidden[0, j] - hidden[1, j]) * units[1, j]
        v[j - whole] += (hidden[0, j] + hidden[1, j]) * units[2, j]
    advice[0] = ((a[0] + a[4]) + (a[1] + a[5])) + ((a[2] + a[6]) + (a[3] + a[7]))
    estimate[0] = ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7]))


cdef cloned cloned_group_sums(
        const floating[:, :, ::1] hidden, const floating[:, ::1] units, Py_ssize_t count,
        floating[:, :, ::1] sums) noexcept nogil:
    # sums (at least as many as there are groups, at least count, 2)
    cdef Py_ssize_t q, j
    for q in range(count):
        for j in range(0, units.shape[1], 16):    # by GROUP
            group_sums(hidden[q], units, j, &sums[j // GROUP, q, 0], &sums[j // GROUP, q, 1])


cdef void add_groups(
        const floating[:, :, ::1] sums, Py_ssize_t first, Py_ssize_t last, floating[::1] logit,
        floating[::1] estimate) noexcept nogil:
    # Of the decisions [first, last), group after group.
    cdef Py_ssize_t q, g
    for q in range(first, last):
        logit[q] = 0
        estimate[q] = 0
    for g in range(sums.shape[0]):
        for q in range(first, last):
            logit[q] += sums[g, q, 0]
            estimate[q] += sums[g, q, 1]
    for q in range(first, last):
        logit[q] *= 2


cdef cloned cloned_actor_critic(
        const floating[:, :, ::1] hidden, const floating[:, ::1] units, Py_ssize_t first,
        Py_ssize_t last, floating[::1] logit, floating[::1] estimate) noexcept nogil:
    cdef Py_ssize_t q, j
    cdef floating a, v
    for q in range(first, last):
        logit[q] = 0
        estimate[q] = 0
        for j in range(0, units.shape[1], 16):    # by GROUP
            group_sums(hidden[q], units, j, &a, &v)
            logit[q] += a
            estimate[q] += v
        logit[q] *= 2


def actor_critic(
        const floating[:, :, ::1] hidden, const floating[:, ::1] units, Py_ssize_t first,
        Py_ssize_t last, floating[::1] logit, floating[::1] estimate):
    """Write log odds of RIGHT and value of the decisions [first, last)."""
    with nogil:
        cloned_actor_critic(hidden, units, first, last, logit, estimate)


cdef inline inlined one_backward(
        const uint16_t[::1] indices, const int8_t[::1] values, Py_ssize_t start, Py_ssize_t stop,
        const int32_t[::1] mirror, const floating[:, ::1] hidden, const floating[:, ::1] units,
        floating du, floating dv, Py_ssize_t first, Py_ssize_t last, Py_ssize_t own,
        floating[:, ::1] gradient) noexcept nogil:
    # dz = (+-du a + dv v) where h > 0, added into the rows of the input and, own and the next
    # two, into those of the units. A product stands where a branch would be mispredicted.
    cdef Py_ssize_t i, j, low, d, e, width
    cdef floating value, h, g
    cdef floating s[BLOCK]
    cdef floating m[BLOCK]
    for low in range(first, last, 64):    # by BLOCK
        width = last - low
        if width >= BLOCK:
            for j in range(BLOCK):
                h = hidden[0, low + j]
                g = hidden[1, low + j]
                s[j] = (dv * units[2, low + j] + du * units[1, low + j]) * <floating>(h > 0)
                m[j] = (dv * units[2, low + j] - du * units[1, low + j]) * <floating>(g > 0)
            for j in range(BLOCK):
                gradient[own, low + j] += s[j] + m[j]
            for j in range(BLOCK):
                gradient[own + 1, low + j] += du * (hidden[0, low + j] - hidden[1, low + j])
            for j in range(BLOCK):
                gradient[own + 2, low + j] += dv * (hidden[0, low + j] + hidden[1, low + j])
            for i in range(start, stop):
                d = indices[i]
                e = mirror[d]
                value = values[i]
                for j in range(BLOCK):
                    gradient[d, low + j] += value * s[j]
                for j in range(BLOCK):
                    gradient[e, low + j] += value * m[j]
        else:
            for j in range(width):
                h = hidden[0, low + j]
                g = hidden[1, low + j]
                s[j] = (dv * units[2, low + j] + du * units[1, low + j]) * <floating>(h > 0)
                m[j] = (dv * units[2, low + j] - du * units[1, low + j]) * <floating>(g > 0)
                gradient[own, low + j] += s[j] + m[j]
                gradient[own + 1, low + j] += du * (h - g)
                gradient[own + 2, low + j] += dv * (h + g)
            for i in range(start, stop):
                d = indices[i]
                e = mirror[d]
                value = values[i]
                for j in range(width):
                    gradient[d, low + j] += value * s[j]
                for j in range(width):
                    gradient[e, low + j] += value * m[j]


cdef inline inlined to_parents(
        const int32_t[:, ::1] parents, const double[::1] scales, const uint8_t[::1] seen,
        Py_ssize_t first, Py_ssize_t last, floating[:, ::1] gradient) noexcept nogil:
    cdef Py_ssize_t k, r, j, above
    cdef floating scale
    for k in range(scales.shape[0]):
        scale = <floating>scales[k]
        for r in range(parents.shape[1]):
            above = parents[k, r]
            if seen[r] and above >= 0:
                for j in range(first, last):
                    gradient[above, j] += scale * gradient[r, j]


cdef cloned cloned_pyramid_backward(
        const int64_t[::1] order, const int64_t[::1] indptr, const uint16_t[::1] indices,
        const int8_t[::1] values, const int32_t[::1] mirror, const int32_t[:, ::1] parents,
        const double[::1] scales, const uint8_t[::1] seen, const floating[:, :, ::1] hidden,
        const floating[:, ::1] units, const floating[::1] dlogit, const floating[::1] dvalue,
        Py_ssize_t first, Py_ssize_t last, floating[:, ::1] gradient,
        double[::1] squares) noexcept nogil:
    cdef Py_ssize_t q, t, r, j, own = seen.shape[0]
    for r in range(own + 3):
        if r >= own or seen[r]:
            for j in range(first, last):
                gradient[r, j] = 0
    for q in range(order.shape[0]):
        t = order[q]
        fetch_ahead(order, q, indptr, indices, values)
        one_backward(indices, values, indptr[t], indptr[t + 1], mirror, hidden[q], units,
                     2 * dlogit[q], dvalue[q], first, last, own, gradient)
    to_parents(parents, scales, seen, first, last, gradient)
    for j in range(first, last):
        squares[j] = 0
    for r in range(own + 3):
        if r >= own or seen[r]:
            for j in range(first, last):
                squares[j] += <double>gradient[r, j] * <double>gradient[r, j]


def pyramid_backward(
        const int64_t[::1] order, const int64_t[::1] indptr, const uint16_t[::1] indices,
        const int8_t[::1] values, const int32_t[::1] mirror, const int32_t[:, ::1] parents,
        const double[::1] scales, const uint8_t[::1] seen, const floating[:, :, ::1] hidden,
        const floating[:, ::1] units, const floating[::1] dlogit, const floating[::1] dvalue,
        Py_ssize_t first, Py_ssize_t last, floating[:, ::1] gradient, double[::1] squares):
    """Write the gradient by all weights of the units [first, last), and its squares' sums."""
    with nogil:
        cloned_pyramid_backward(order, indptr, indices, values, mirror, parents, scales, seen,
                                hidden, units, dlogit, dvalue, first, last, gradient, squares)


# --- optimizer ----------------------------------------------------------------------------------

cdef cloned cloned_moments(
        floating[:, ::1] gradient, floating[:, ::1] mean, floating[:, ::1] square,
        const uint8_t[::1] seen, floating factor, double beta1, double beta2, floating rate,
        floating root_scale, floating epsilon, Py_ssize_t first,
        Py_ssize_t last) noexcept nogil:
    # Of every row: moments, and the step in place of the gradient.
    cdef Py_ssize_t r, j
    cdef floating g, m, v, tiny = <floating>TINY
    # 1 - beta before rounding: in float32 the difference would be off by 3e-5 of itself.
    cdef floating keep1 = <floating>beta1, take1 = <floating>(1 - beta1)
    cdef floating keep2 = <floating>beta2, take2 = <floating>(1 - beta2)
    for r in range(seen.shape[0] + 3):
        if r >= seen.shape[0] or seen[r]:
            for j in range(first, last):
                g = factor * gradient[r, j]
                m = keep1 * mean[r, j] + take1 * g
                v = keep2 * square[r, j] + take2 * g * g
                m *= <floating>(fabs(m) > tiny)    # a product, as above: a choice is not vectorised
                v *= <floating>(v > tiny)
                mean[r, j] = m
                square[r, j] = v
                gradient[r, j] = -rate * m / (root_scale * <floating>sqrt(v) + epsilon)


cdef cloned cloned_move(
        floating[:, ::1] rows, floating[:, ::1] units, const floating[:, ::1] steps,
        const uint8_t[::1] seen, const int32_t[:, ::1] parents, const double[::1] scales,
        Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef Py_ssize_t r, j, k, above
    cdef floating scale
    for r in range(rows.shape[0]):
        if seen[r]:
            for j in range(first, last):
                rows[r, j] += steps[r, j]
        for k in range(scales.shape[0]):
            above = parents[k, r]
            if above >= 0 and seen[above]:
                scale = <floating>scales[k]
                for j in range(first, last):
                    rows[r, j] += scale * steps[above, j]
    for r in range(3):
        for j in range(first, last):
            units[r, j] += steps[seen.shape[0] + r, j]


def pyramid_adam(
        floating[:, ::1] rows, floating[:, ::1] units, floating[:, ::1] gradient,
        floating[:, ::1] mean, floating[:, ::1] square, const uint8_t[::1] seen,
        const int32_t[:, ::1] parents, const double[::1] scales, double factor, int64_t step,
        double learning_rate, double beta1, double beta2, double epsilon, Py_ssize_t first,
        Py_ssize_t last):
    """Take one step of Adam with ``factor`` times the gradient, of the units [first, last)."""
    with nogil:
        adam(rows, units, gradient, mean, square, seen, parents, scales, factor, step,
             learning_rate, beta1, beta2, epsilon, first, last)


cdef void adam(
        floating[:, ::1] rows, floating[:, ::1] units, floating[:, ::1] gradient,
        floating[:, ::1] mean, floating[:, ::1] square, const uint8_t[::1] seen,
        const int32_t[:, ::1] parents, const double[::1] scales, double factor, int64_t step,
        double learning_rate, double beta1, double beta2, double epsilon, Py_ssize_t first,
        Py_ssize_t last) noexcept nogil:
    cdef floating rate = <floating>(learning_rate / (1 - pow(beta1, <double>step)))
    cdef floating root_scale = <floating>(1 / sqrt(1 - pow(beta2, <double>step)))
    cloned_moments(gradient, mean, square, seen, <floating>factor, beta1, beta2, rate,
                   root_scale, <floating>epsilon, first, last)
    cloned_move(rows, units, gradient, seen, parents, scales, first, last)


# --- passes -------------------------------------------------------------------------------------

def abandon(int32_t[::1] meeting):
    """Let no thread wait, now or later, for one that will not come: they end their passes."""
    c_abandon(&meeting[0])


def current_core():
    """Return the number of the core that the calling thread runs on, -1 where that is unknown."""
    return core_of_this_thread()


def ppo_passes(
        const int64_t[::1] order, const int64_t[::1] edges, const int64_t[::1] indptr,
        const uint16_t[::1] indices, const int8_t[::1] values, const uint8_t[::1] actions,
        const floating[::1] old_logit, const floating[::1] advantage,
        const floating[::1] returns, const int32_t[::1] mirror, const int32_t[:, ::1] parents,
        const double[::1] scales, const uint8_t[::1] seen, floating[:, ::1] rows,
        floating[:, ::1] units, floating[:, ::1] mean, floating[:, ::1] square,
        floating[:, ::1] gradient, floating[:, :, ::1] hidden, double[::1] squares,
        floating[:, :, ::1] sums, floating[:, ::1] heads, double[:, ::1] losses, double clip,
        double entropy_weight, double value_weight, double max_norm, double learning_rate,
        double beta1, double beta2, double epsilon, int64_t step, Py_ssize_t first,
        Py_ssize_t thread, Py_ssize_t threads, int core, int32_t[::1] meeting,
        double[:, ::1] found):
    """Take a step of Adam for every minibatch order[edges[k]:edges[k + 1]], as one of the threads.

    The same as the kernels above one after the other, to the last bit, without Python in between:
    all threads call this with the same arguments but for ``thread``, ``first`` and what is its
    own: rows to hidden, of W units from ``first`` on, a multiple of GROUP. step is the number of
    steps before; hidden (M, 2, W), gradient (R + 3, W), squares (H,), sums (groups, M, 2), heads
    (4, M) and losses (5, M) are room, the largest minibatch's; meeting (3,) is 0. Writes for each
    minibatch the means of the five losses and the gradient's norm, found (steps, 6); ends early
    where that is not finite, or when the meeting is abandoned. core: where thread 0 is; while
    this runs each thread keeps to a processor, on Linux, unless that is -1.
    """
    cdef Py_ssize_t k, j, q, low, high, width = rows.shape[1]
    cdef const int64_t[::1] part
    cdef double total
    cdef Place place
    cdef PpoTerms terms
    terms.clip, terms.entropy_weight, terms.value_weight = clip, entropy_weight, value_weight
    with nogil:
        if threads > 1:
            hold(&place, core, <int>thread, <int>threads)
        for k in range(edges.shape[0] - 1):
            part = order[edges[k]:edges[k + 1]]
            low = part.shape[0] * thread // threads
            high = part.shape[0] * (thread + 1) // threads
            cloned_pyramid_forward(part, indptr, indices, values, rows, mirror, units, 0, width,
                                   hidden)
            cloned_group_sums(hidden, units, part.shape[0], sums[first // GROUP:])
            if not meet(&meeting[0], <int32_t>threads):
                break
            add_groups(sums, low, high, heads[0], heads[1])
            terms.size = part.shape[0]
            terms.first = low
            c_ppo_gradient(part[low:high], heads[0][low:high], heads[1][low:high], actions,
                           old_logit, advantage, returns, terms, heads[2][low:high],
                           heads[3][low:high], losses)
            if not meet(&meeting[0], <int32_t>threads):
                break
            if thread == 0:
                for j in range(5):
                    total = 0
                    for q in range(part.shape[0]):
                        total += losses[j, q]
                    found[k, j] = total / part.shape[0]
            cloned_pyramid_backward(part, indptr, indices, values, mirror, parents, scales, seen,
                                    hidden, units, heads[2], heads[3], 0, width, gradient,
                                    squares[first:])
            if not meet(&meeting[0], <int32_t>threads):
                break
            total = 0
            for j in range(squares.shape[0]):
                total += squares[j]
            if thread == 0:
                found[k, 5] = sqrt(total)
            if not isfinite(total):
                break
            total = sqrt(total)
            adam(rows, units, gradient, mean, square, seen, parents, scales,
                 min(1.0, max_norm / max(total, 1e-12)), step + k + 1, learning_rate, beta1,
                 beta2, epsilon, 0, width)
        if threads > 1:
            release(&place)


# --- a worker's step ----------------------------------------------------------------------------

cdef class ActorStep:
    """Decide one step of a segment: encode the screen, forward, choose. See ``kernels``."""

    cdef const uint8_t[:, :, ::1] screens
    cdef const uint8_t[::1] table
    cdef Py_ssize_t resolution, stride, spread, kept, channels, places
    cdef const int32_t[::1] mirror
    cdef const float[:, ::1] rows_float, units_float
    cdef float[:, :, ::1] hidden_float
    cdef float[::1] logits_float, estimates_float
    cdef const double[:, ::1] rows_double, units_double
    cdef double[:, :, ::1] hidden_double
    cdef double[::1] logits_double, estimates_double
    cdef int64_t[::1] indptr
    cdef uint16_t[::1] indices
    cdef int8_t[::1] values
    cdef uint8_t[::1] actions
    cdef bint single

    def __init__(self, screens, table, resolution, stride, spread, rows, mirror, units, scratch,
                 indptr, indices, values, actions, logits, estimates):
        self.screens, self.table, self.mirror = screens, table, mirror
        self.indptr, self.indices, self.values, self.actions = indptr, indices, values, actions
        self.resolution, self.stride, self.spread = resolution, stride, spread
        self.kept = len(screens)
        self.channels = len(rows) // (FIELD // self.stride // self.resolution) ** 2
        self.places = self.channels * (FIELD // self.stride // self.resolution) ** 2
        self.single = rows.dtype == "f4"
        if self.single:
            self.rows_float, self.units_float, self.hidden_float = rows, units, scratch
            self.logits_float, self.estimates_float = logits, estimates
        else:
            self.rows_double, self.units_double, self.hidden_double = rows, units, scratch
            self.logits_double, self.estimates_double = logits, estimates

    def __call__(self, Py_ssize_t t, double uniform, bint fresh, Py_ssize_t last_action):
        """Record step t; return 1 (RIGHT) with its probability, else 0 (LEFT); -1: no room."""
        cdef int action
        with nogil:
            action = self.decide(t, uniform, fresh, last_action)
        return action

    cdef int decide(
            self, Py_ssize_t t, double uniform, bint fresh,
            Py_ssize_t last_action) noexcept nogil:
        cdef Py_ssize_t start, end, age, newer
        cdef double logit
        if t < 0 or t >= self.actions.shape[0] or last_action > 1:
            return -1
        start = self.indptr[t]
        # This way round nothing overflows.
        if start < 0 or start > self.indices.shape[0] - self.mirror.shape[0]:
            return -1
        end = start + c_encode_frame(
            self.screens[t % self.kept], self.table, self.resolution, self.stride,
            self.indices[start:], self.values[start:])
        for age in range(0 if fresh else self.channels - 1):
            newer = t + self.kept - age * self.spread
            end = c_encode_difference(
                self.screens[newer % self.kept], self.screens[(newer - self.spread) % self.kept],
                self.table, self.resolution, self.stride, age + 1, self.indices, self.values, end)
        if last_action >= 0 and self.mirror.shape[0] > self.places:
            self.indices[end] = <uint16_t>(self.places + last_action)
            self.values[end] = 1
            end += 1
        self.indptr[t + 1] = end
        if self.single:
            cloned_one_forward(self.indices[start:end], self.values[start:end], self.rows_float,
                               self.mirror, self.units_float, self.hidden_float[0])
            cloned_actor_critic(self.hidden_float, self.units_float, 0, 1,
                                self.logits_float[t:t + 1], self.estimates_float[t:t + 1])
            logit = self.logits_float[t]
        else:
            cloned_one_forward(self.indices[start:end], self.values[start:end], self.rows_double,
                               self.mirror, self.units_double, self.hidden_double[0])
            cloned_actor_critic(self.hidden_double, self.units_double, 0, 1,
                                self.logits_double[t:t + 1], self.estimates_double[t:t + 1])
            logit = self.logits_double[t]
        self.actions[t] = uniform < 1 / (1 + exp(-logit))
        return self.actions[t]


cdef cloned cloned_one_forward(
        const uint16_t[::1] indices, const int8_t[::1] values, const floating[:, ::1] rows,
        const int32_t[::1] mirror, const floating[:, ::1] units,
        floating[:, ::1] hidden) noexcept nogil:
    one_forward(indices, values, 0, indices.shape[0], rows, mirror, units, 0, units.shape[1],
                hidden)

"""Kernels of the cells network in Cython: raw, for callers that have checked their arguments.

Use them through ``fastpong.kernels``. ``fastpong.oracle`` states the mathematics.

Design
------
(A) As for the first agent an input is sparse, and a row of weights is one contiguous run of H
    numbers: forward a sum of some rows, backward sums into some rows. Each input is met twice,
    upright and mirrored, by the same rows in another place.
(B) Learning divides hidden units among threads: a thread has some units, in arrays of its own, and
    computes all that belongs to them for the whole minibatch. No sum of a unit depends on where
    the shares lie, so any number of threads gives the same bits. Log odds and values need all
    units: each thread adds up its groups of GROUP, and the groups' sums are added up by steps,
    in their order. So threads tell each other little: bringing the hidden layer from one core to
    another would take as long as computing it.
(C) Units are worked on BLOCK at a time: a constant length, so that sums stay in registers.
(D) Of the weights W of a row and its parents only their sum is kept. The gradient of parents and
    their steps are made from those of the rows, so nothing is ever folded together.
(E) Rows that no input has ever reached have no gradient and no moments: they are left alone.
(F) As in _kernels.pyx: every sum has one fixed order, a worker's step and the learner share their
    cores, hot functions are compiled for each vector unit, nothing is allocated.
(G) Arguments come in tuples, see ``kernels/bundles``. Inputs and Tree unpack those of whole
    numbers, whose type is always the same. Arrays of a fused type cannot be members.
"""

from cython cimport floating
from libc.math cimport exp, fabs, isfinite, sqrt
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint64_t
from libc.string cimport memcpy, memset

from fastpong._clones cimport cloned, fetch, inlined
from fastpong._geometry cimport FIELD, TOP, WORDS
from fastpong._kernels cimport AdamRates, Step, adam_moments, adam_rates, adam_step
from fastpong._meeting cimport Place, c_abandon, core_of_this_thread, hold, meet, release
from fastpong.kernels.cython.losses cimport PpoTerms, c_ppo_gradient

import numpy as np

cdef enum:
    BLOCK = 64

cpdef enum:
    GROUP = 16        # units whose part of the heads is added up by itself

# Moments that decay for ever would become denormal numbers, which some processors are slow with.
cdef double TINY = 1e-35


cdef class Inputs:
    """Inputs in CSR form, and the numbers of their rows' mirror images."""

    def __init__(self, inputs, mirror):
        self.indptr, self.indices, self.values = inputs
        self.mirror = mirror


cdef class Tree:
    """Parents of rows, and rows that were ever reached."""

    def __init__(self, tree):
        self.parents, self.scales, self.seen = tree[1:]


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
        const uint8_t *pixels, const uint8_t[::1] table, int sign, Py_ssize_t place, int cell_size,
        int pixel_stride, int *counts) noexcept nogil:
    # Add every pixel_stride-th of eight pixels, the field's from ``place`` on, to the counts of its
    # row's cells. Return whether one is foreground. A division a word: one a pixel took most of the
    # time.
    cdef int k, cell = <int>place // cell_size, left = cell_size - <int>place % cell_size
    cdef int one
    cdef bint found = False
    for k in range(8 // pixel_stride):
        one = table[pixels[pixel_stride * k]]
        found = found or one != 0
        counts[cell] += sign * one
        left -= 1
        if left == 0:
            cell += 1
            left = cell_size
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
        const uint8_t[:, ::1] screen, const uint8_t[::1] table, Py_ssize_t cell_size,
        Py_ssize_t pixel_stride, uint16_t[::1] indices, int8_t[::1] values) noexcept nogil:
    # Rows and words of the first background colour, as most are, are skipped.
    cdef Py_ssize_t side = FIELD // pixel_stride // cell_size, n = 0, y, r, row, w, k
    cdef Py_ssize_t wide = 8 // pixel_stride
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
        for r in range(cell_size):
            row = pixel_stride * (y * cell_size + r)
            if not unlike[row]:
                continue
            row += TOP
            for w in range(WORDS):
                if word_at(screen, row, w) == blank and table[ground[0]] == 0:
                    continue
                if add_word(&screen[row, 8 * w], table, 1, wide * w, <int>cell_size,
                            <int>pixel_stride, counts):
                    found = True
        if found:
            n = flush(counts, side, y * side, indices, values, n)
    return n


cdef Py_ssize_t c_encode_difference(
        const uint8_t[:, ::1] screen, const uint8_t[:, ::1] previous, const uint8_t[::1] table,
        Py_ssize_t cell_size, Py_ssize_t pixel_stride, Py_ssize_t channel, uint16_t[::1] indices,
        int8_t[::1] values, Py_ssize_t n) noexcept nogil:
    # Words that did not change are skipped. Goes on at n; returns the position after it.
    cdef Py_ssize_t side = FIELD // pixel_stride // cell_size, y, r, row, w, k
    cdef Py_ssize_t wide = 8 // pixel_stride
    cdef int counts[FIELD]
    cdef uint8_t unlike[FIELD]
    cdef bint found
    for k in range(side):
        counts[k] = 0
    cloned_unlike(&screen[TOP, 0], &previous[TOP, 0], FIELD, unlike)
    for y in range(side):
        found = False
        for r in range(cell_size):
            row = pixel_stride * (y * cell_size + r)
            if not unlike[row]:
                continue
            row += TOP
            found = True
            for w in range(WORDS):
                if word_at(screen, row, w) == word_at(previous, row, w):
                    continue
                add_word(&screen[row, 8 * w], table, 1, wide * w, <int>cell_size,
                         <int>pixel_stride, counts)
                add_word(&previous[row, 8 * w], table, -1, wide * w, <int>cell_size,
                         <int>pixel_stride, counts)
        if found:
            n = flush(counts, side, (channel * side + y) * side, indices, values, n)
    return n


cdef Py_ssize_t c_encode_cells(
        const uint8_t[:, ::1] screen, const uint8_t[:, ::1] previous, const uint8_t[::1] table,
        Py_ssize_t cell_size, Py_ssize_t pixel_stride, uint16_t[::1] indices,
        int8_t[::1] values) noexcept nogil:
    cdef Py_ssize_t n = c_encode_frame(screen, table, cell_size, pixel_stride, indices, values)
    return c_encode_difference(
        screen, previous, table, cell_size, pixel_stride, 1, indices, values, n)


def encode_cells(
        const uint8_t[:, ::1] screen, const uint8_t[:, ::1] previous, const uint8_t[::1] table,
        Py_ssize_t cell_size, Py_ssize_t pixel_stride, out):
    """Write the non-zero cells, return their number."""
    cdef uint16_t[::1] indices = out[0]
    cdef int8_t[::1] values = out[1]
    cdef Py_ssize_t n
    with nogil:
        n = c_encode_cells(screen, previous, table, cell_size, pixel_stride, indices, values)
    return n


# --- network ------------------------------------------------------------------------------------

cdef inline inlined fetch_ahead(
        const int64_t[::1] order, Py_ssize_t q, Inputs inputs) noexcept nogil:
    # Prefetch the inputs of the steps after the q-th: drawn from a large replay, they are in no
    # cache and no processor can guess where they lie. 0.7 us a step and network for 1.1.
    cdef Py_ssize_t i, k, last = inputs.indices.shape[0] - 1
    if q + 8 < order.shape[0]:
        fetch(&inputs.indptr[order[q + 8]])
    if q + 4 < order.shape[0] and last >= 0:
        i = inputs.indptr[order[q + 4]]
        for k in range(3):    # lines of 32 indices, as many as most steps have
            fetch(&inputs.indices[min(i + 32 * k, last)])
            fetch(&inputs.values[min(i + 32 * k, last)])


cdef inline inlined one_forward(
        Inputs inputs, Py_ssize_t t, const floating[:, ::1] rows, const floating[:, ::1] units,
        floating[:, ::1] hidden) noexcept nogil:
    # hidden[k] = relu(b + sum of value * row), k = 0 upright, 1 mirrored
    cdef Py_ssize_t i, j, low, d, e, width, size = units.shape[1]
    cdef Py_ssize_t start = inputs.indptr[t], stop = inputs.indptr[t + 1]
    cdef floating value
    cdef floating s[BLOCK]
    cdef floating m[BLOCK]
    for low in range(0, size, 64):    # by BLOCK
        width = size - low
        if width >= BLOCK:
            for j in range(BLOCK):
                s[j] = units[0, low + j]
                m[j] = units[0, low + j]
            for i in range(start, stop):
                d = inputs.indices[i]
                e = inputs.mirror[d]
                value = inputs.values[i]
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
                d = inputs.indices[i]
                e = inputs.mirror[d]
                value = inputs.values[i]
                for j in range(width):
                    s[j] += value * rows[d, low + j]
                for j in range(width):
                    m[j] += value * rows[e, low + j]
            for j in range(width):
                hidden[0, low + j] = 0 if s[j] < 0 else s[j]
                hidden[1, low + j] = 0 if m[j] < 0 else m[j]


cdef cloned cloned_forward(
        const int64_t[::1] order, Inputs inputs, const floating[:, ::1] rows,
        const floating[:, ::1] units, floating[:, :, ::1] hidden) noexcept nogil:
    cdef Py_ssize_t q
    for q in range(order.shape[0]):
        fetch_ahead(order, q, inputs)
        one_forward(inputs, order[q], rows, units, hidden[q])


cdef void c_cells_forward(
        const int64_t[::1] order, Inputs inputs, const floating[:, ::1] rows,
        const floating[:, ::1] units, floating[:, :, ::1] hidden) noexcept nogil:
    cloned_forward(order, inputs, rows, units, hidden)


def cells_forward(
        const int64_t[::1] order, inputs, network, mirror, floating[:, :, ::1] hidden):
    """Write the hidden layer, upright and mirrored."""
    cdef Inputs given = Inputs(inputs, mirror)
    cdef const floating[:, ::1] rows = network[0]
    cdef const floating[:, ::1] units = network[1]
    with nogil:
        c_cells_forward(order, given, rows, units, hidden)


cdef inline inlined group_sums(
        const floating[:, ::1] hidden, const floating[:, ::1] units, Py_ssize_t first,
        floating *advice, floating *value) noexcept nogil:
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
    value[0] = ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7]))


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
        floating[::1] value) noexcept nogil:
    # Of the steps [first, last), group after group.
    cdef Py_ssize_t q, g
    for q in range(first, last):
        logit[q] = 0
        value[q] = 0
    for g in range(sums.shape[0]):
        for q in range(first, last):
            logit[q] += sums[g, q, 0]
            value[q] += sums[g, q, 1]
    for q in range(first, last):
        logit[q] *= 2


cdef cloned cloned_heads(
        const floating[:, :, ::1] hidden, const floating[:, ::1] units, floating[::1] logit,
        floating[::1] value) noexcept nogil:
    cdef Py_ssize_t q, j
    cdef floating a, v
    for q in range(logit.shape[0]):
        logit[q] = 0
        value[q] = 0
        for j in range(0, units.shape[1], 16):    # by GROUP
            group_sums(hidden[q], units, j, &a, &v)
            logit[q] += a
            value[q] += v
        logit[q] *= 2


cdef void c_cells_heads(
        const floating[:, :, ::1] hidden, const floating[:, ::1] units, floating[::1] logit,
        floating[::1] value) noexcept nogil:
    cloned_heads(hidden, units, logit, value)


def cells_heads(const floating[:, :, ::1] hidden, const floating[:, ::1] units, out):
    """Write log odds of RIGHT and value."""
    cdef floating[::1] logit = out[0]
    cdef floating[::1] value = out[1]
    with nogil:
        c_cells_heads(hidden, units, logit, value)


cdef inline inlined one_backward(
        Inputs inputs, Py_ssize_t t, const floating[:, ::1] hidden, const floating[:, ::1] units,
        floating du, floating dv, floating[:, ::1] gradient) noexcept nogil:
    # dz = (+-du a + dv v) where h > 0, added into the rows of the input and, own and the next
    # two, into those of the units. A product stands where a branch would be mispredicted.
    cdef Py_ssize_t i, j, low, d, e, width, size = units.shape[1], own = gradient.shape[0] - 3
    cdef Py_ssize_t start = inputs.indptr[t], stop = inputs.indptr[t + 1]
    cdef floating value, h, g
    cdef floating s[BLOCK]
    cdef floating m[BLOCK]
    for low in range(0, size, 64):    # by BLOCK
        width = size - low
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
                d = inputs.indices[i]
                e = inputs.mirror[d]
                value = inputs.values[i]
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
                d = inputs.indices[i]
                e = inputs.mirror[d]
                value = inputs.values[i]
                for j in range(width):
                    gradient[d, low + j] += value * s[j]
                for j in range(width):
                    gradient[e, low + j] += value * m[j]


cdef inline inlined to_parents(Tree tree, floating[:, ::1] gradient) noexcept nogil:
    cdef Py_ssize_t k, r, j, above
    cdef floating scale
    for k in range(tree.scales.shape[0]):
        scale = <floating>tree.scales[k]
        for r in range(tree.parents.shape[1]):
            above = tree.parents[k, r]
            if tree.seen[r] and above >= 0:
                for j in range(gradient.shape[1]):
                    gradient[above, j] += scale * gradient[r, j]


cdef cloned cloned_backward(
        const int64_t[::1] order, Inputs inputs, Tree tree, const floating[:, :, ::1] hidden,
        const floating[:, ::1] units, const floating[::1] dlogit, const floating[::1] dvalue,
        floating[:, ::1] gradient) noexcept nogil:
    cdef Py_ssize_t q, r, j, own = tree.seen.shape[0]
    for r in range(own + 3):
        if r >= own or tree.seen[r]:
            for j in range(gradient.shape[1]):
                gradient[r, j] = 0
    for q in range(order.shape[0]):
        fetch_ahead(order, q, inputs)
        one_backward(inputs, order[q], hidden[q], units, 2 * dlogit[q], dvalue[q], gradient)
    to_parents(tree, gradient)


cdef cloned cloned_squares(
        Tree tree, const floating[:, ::1] gradient, double[::1] squares) noexcept nogil:
    # The sum of the squares of each unit's gradient.
    cdef Py_ssize_t r, j, own = tree.seen.shape[0]
    for j in range(gradient.shape[1]):
        squares[j] = 0
    for r in range(own + 3):
        if r >= own or tree.seen[r]:
            for j in range(gradient.shape[1]):
                squares[j] += <double>gradient[r, j] * <double>gradient[r, j]


cdef void c_cells_backward(
        const int64_t[::1] order, Inputs inputs, Tree tree, const floating[:, :, ::1] hidden,
        const floating[:, ::1] units, const floating[::1] dlogit, const floating[::1] dvalue,
        floating[:, ::1] gradient, double[::1] squares) noexcept nogil:
    cloned_backward(order, inputs, tree, hidden, units, dlogit, dvalue, gradient)
    cloned_squares(tree, gradient, squares)


def cells_backward(
        const int64_t[::1] order, inputs, tree, const floating[:, :, ::1] hidden,
        const floating[:, ::1] units, upward, out):
    """Write the gradient by all weights, and its squares' sums."""
    cdef Inputs given = Inputs(inputs, tree[0])
    cdef Tree above = Tree(tree)
    cdef const floating[::1] dlogit = upward[0]
    cdef const floating[::1] dvalue = upward[1]
    cdef floating[:, ::1] gradient = out[0]
    cdef double[::1] squares = out[1]
    with nogil:
        c_cells_backward(
            order, given, above, hidden, units, dlogit, dvalue, gradient, squares)


# --- optimizer ----------------------------------------------------------------------------------

cdef cloned cloned_moments(
        floating[:, ::1] gradient, floating[:, ::1] mean, floating[:, ::1] square, Tree tree,
        const CellsAdam *adam) noexcept nogil:
    # Of every row: moments, and the step in place of the gradient.
    cdef Py_ssize_t r, j, own = tree.seen.shape[0]
    cdef floating g, m, v, tiny = <floating>TINY, factor = <floating>adam.factor
    # 1 - beta before rounding: in float32 the difference would be off by 3e-5 of itself.
    cdef floating keep1 = <floating>adam.beta1, take1 = <floating>(1 - adam.beta1)
    cdef floating keep2 = <floating>adam.beta2, take2 = <floating>(1 - adam.beta2)
    cdef floating epsilon = <floating>adam.epsilon
    cdef AdamRates rates = adam_rates(
        adam.step, adam.learning_rate, adam.beta1, adam.beta2, adam.epsilon, False)
    cdef floating rate = <floating>rates.rate, root_scale = <floating>rates.root_scale
    for r in range(own + 3):
        if r >= own or tree.seen[r]:
            for j in range(gradient.shape[1]):
                g = factor * gradient[r, j]
                m = mean[r, j]
                v = square[r, j]
                adam_moments(g, keep1, take1, keep2, take2, &m, &v)
                m *= <floating>(fabs(m) > tiny)    # a product, as above: a choice is not vectorised
                v *= <floating>(v > tiny)
                mean[r, j] = m
                square[r, j] = v
                adam_step(-m, v, rate, root_scale, epsilon, &gradient[r, j])


cdef cloned cloned_move(
        floating[:, ::1] rows, floating[:, ::1] units, const floating[:, ::1] steps,
        Tree tree) noexcept nogil:
    cdef Py_ssize_t r, j, k, above, width = steps.shape[1]
    cdef floating scale
    for r in range(rows.shape[0]):
        if tree.seen[r]:
            for j in range(width):
                rows[r, j] += steps[r, j]
        for k in range(tree.scales.shape[0]):
            above = tree.parents[k, r]
            if above >= 0 and tree.seen[above]:
                scale = <floating>tree.scales[k]
                for j in range(width):
                    rows[r, j] += scale * steps[above, j]
    for r in range(3):
        for j in range(width):
            units[r, j] += steps[tree.seen.shape[0] + r, j]


cdef void c_cells_adam(
        floating[:, ::1] rows, floating[:, ::1] units, floating[:, ::1] gradient,
        floating[:, ::1] mean, floating[:, ::1] square, Tree tree, CellsAdam adam) noexcept nogil:
    cloned_moments(gradient, mean, square, tree, &adam)
    cloned_move(rows, units, gradient, tree)


def cells_adam(network, floating[:, ::1] gradient, moments, tree, int64_t step, coefficients):
    """Take one step of Adam with ``factor`` times the gradient."""
    cdef floating[:, ::1] rows = network[0]
    cdef floating[:, ::1] units = network[1]
    cdef floating[:, ::1] mean = moments[0]
    cdef floating[:, ::1] square = moments[1]
    cdef Tree above = Tree(tree)
    cdef CellsAdam adam
    adam.factor, adam.learning_rate, adam.beta1, adam.beta2, adam.epsilon = coefficients
    adam.step = step
    with nogil:
        c_cells_adam(rows, units, gradient, mean, square, above, adam)


# --- PPO's update -------------------------------------------------------------------------------

cdef class PpoUpdate:
    """Passes over a batch by threads, each of them a share's; see ``kernels``.

    The same as the kernels above one after the other, to the last bit, without Python in between.
    """

    cdef Inputs inputs
    cdef Tree tree
    cdef PpoTerms terms
    cdef CellsAdam adam
    cdef double max_grad_norm
    cdef tuple shares, steps, firsts, room
    cdef double[::1] squares
    cdef double[:, ::1] losses
    # of one run
    cdef const int64_t[::1] order, edges
    cdef double[:, ::1] metrics
    cdef int32_t[::1] meeting
    cdef int core

    def __init__(self, shares, tree, inputs, steps, coefficients):
        self.inputs, self.tree = Inputs(inputs, tree[0]), Tree(tree)
        self.shares, self.steps = tuple(shares), steps
        self.terms.clip_range, self.terms.vf_coef, self.max_grad_norm = coefficients[:3]
        self.adam.beta1, self.adam.beta2, self.adam.epsilon = coefficients[3:]
        widths = [share[2].shape[1] for share in shares]
        self.firsts = tuple(sum(widths[:k]) for k in range(len(widths)))
        largest, dtype, size = len(shares[0][3]), shares[0][3].dtype, sum(widths)
        # Sums of groups, (groups, M, 2); log odds, values and their gradients, (4, M).
        self.room = (
            np.empty((-(-size // GROUP), largest, 2), dtype), np.empty((4, largest), dtype))
        self.squares, self.losses = np.empty(size), np.empty((5, largest))

    def run(self, order, edges, step, learning_rate, ent_coef, each, metrics):
        """Take a step of Adam for every minibatch order[edges[k]:edges[k + 1]].

        step    : the number of steps before
        each    : calls a function with the number of each share, all at the same time, and another
                  one where it fails
        metrics : (steps, 6), the means of the five losses and the gradient's norm. It ends early
                  where that is not finite.
        """
        self.order, self.edges, self.metrics = order, edges, metrics
        self.adam.step, self.adam.learning_rate = step, learning_rate
        self.terms.ent_coef = ent_coef
        self.meeting = np.zeros(3, np.int32)
        self.core = core_of_this_thread()
        each(self.work, self.abandon)

    def work(self, thread):
        """Do one share's part."""
        try:
            if self.room[1].dtype == "f4":
                passes[float](self, thread, self.shares[thread][2], self.room[1])
            else:
                passes[double](self, thread, self.shares[thread][2], self.room[1])
        except BaseException:
            self.abandon()    # or the others would wait for ever
            raise

    def abandon(self):
        """Let no thread wait for another one any more."""
        c_abandon(&self.meeting[0])


cdef int passes(
        PpoUpdate run, Py_ssize_t thread, floating[:, ::1] gradient,
        floating[:, ::1] heads) except -1:
    # While this runs each thread keeps to a processor, on Linux, thread 0 to where it was.
    share = run.shares[thread]
    cdef floating[:, ::1] rows = share[0][0]
    cdef floating[:, ::1] units = share[0][1]
    cdef floating[:, ::1] mean = share[1][0]
    cdef floating[:, ::1] square = share[1][1]
    cdef floating[:, :, ::1] hidden = share[3]
    cdef floating[:, :, ::1] sums = run.room[0]
    cdef floating[::1] logit = heads[0], value = heads[1], dlogit = heads[2], dvalue = heads[3]
    cdef const uint8_t[::1] actions = run.steps[0]
    cdef const floating[::1] old_logit = run.steps[1]
    cdef const floating[::1] advantage = run.steps[2]
    cdef const floating[::1] returns = run.steps[3]
    cdef int32_t threads = <int32_t>len(run.shares)
    cdef Py_ssize_t k, j, low, high, size, first = run.firsts[thread]
    cdef Inputs inputs = run.inputs
    cdef Tree tree = run.tree
    cdef const int64_t[::1] part
    cdef int32_t *meeting = &run.meeting[0]
    cdef double total
    cdef PpoTerms terms = run.terms
    cdef CellsAdam adam = run.adam
    cdef Place place
    with nogil:
        if threads > 1:
            hold(&place, run.core, <int>thread, threads)
        for k in range(run.edges.shape[0] - 1):
            part = run.order[run.edges[k]:run.edges[k + 1]]
            size = terms.size = part.shape[0]
            low = terms.first = size * thread // threads
            high = size * (thread + 1) // threads
            cloned_forward(part, inputs, rows, units, hidden)
            cloned_group_sums(hidden, units, size, sums[first // GROUP:])
            if not meet(meeting, threads):
                break
            add_groups(sums, low, high, logit, value)
            c_ppo_gradient(part[low:high], logit[low:high], value[low:high], actions, old_logit,
                           advantage, returns, terms, dlogit[low:high], dvalue[low:high],
                           run.losses)
            if not meet(meeting, threads):
                break
            if thread == 0:
                for j in range(5):
                    total = 0
                    for low in range(size):
                        total += run.losses[j, low]
                    run.metrics[k, j] = total / size
            cloned_backward(part, inputs, tree, hidden, units, dlogit, dvalue, gradient)
            cloned_squares(tree, gradient, run.squares[first:])
            if not meet(meeting, threads):
                break
            total = 0
            for j in range(run.squares.shape[0]):
                total += run.squares[j]
            if thread == 0:
                run.metrics[k, 5] = sqrt(total)
            if not isfinite(total):
                break
            adam.factor = min(1.0, run.max_grad_norm / max(sqrt(total), 1e-12))
            adam.step += 1
            cloned_moments(gradient, mean, square, tree, &adam)
            cloned_move(rows, units, gradient, tree)
        if threads > 1:
            release(&place)
    return 0


# --- a worker's step ----------------------------------------------------------------------------

cdef class CellsStep(Step):
    """Play one step of a rollout: encode, forward, choose."""

    cdef const uint8_t[:, :, ::1] screens
    cdef const uint8_t[::1] table
    cdef Py_ssize_t cell_size, pixel_stride, spread, kept, channels, places, base
    cdef Inputs inputs
    cdef const float[:, ::1] rows_float, units_float
    cdef float[:, :, ::1] hidden_float
    cdef float[::1] logits_float, results_float
    cdef const double[:, ::1] rows_double, units_double
    cdef double[:, :, ::1] hidden_double
    cdef double[::1] logits_double, results_double
    cdef int64_t[::1] indptr
    cdef uint16_t[::1] indices
    cdef int8_t[::1] values
    cdef uint8_t[::1] actions
    cdef bint single

    def __init__(self, screens, table, geometry, network, mirror, scratch, inputs, record):
        self.screens, self.table = screens, table
        self.inputs = Inputs(inputs, mirror)
        self.indptr, self.indices, self.values = inputs
        self.cell_size, self.pixel_stride, self.spread = geometry
        self.kept, self.base = len(screens), len(mirror)
        cells = (FIELD // self.pixel_stride // self.cell_size) ** 2
        self.channels = self.base // cells
        self.places = self.channels * cells
        self.single = scratch.dtype == "f4"
        self.actions = record[0]
        if self.single:
            (self.rows_float, self.units_float), self.hidden_float = network, scratch
            self.logits_float, self.results_float = record[1:]
        else:
            (self.rows_double, self.units_double), self.hidden_double = network, scratch
            self.logits_double, self.results_double = record[1:]

    def __call__(self, Py_ssize_t t, double uniform, bint fresh, Py_ssize_t last_action):
        """Record step t, return 1 (RIGHT), 0 (LEFT), or -1: no room."""
        cdef int action
        with nogil:
            action = self.choose(t, uniform, fresh, last_action)
        return action

    cdef int choose(
            self, Py_ssize_t t, double uniform, bint fresh,
            Py_ssize_t last_action) noexcept nogil:
        cdef Py_ssize_t start, end, age, newer
        cdef double logit
        if t < 0 or t >= self.actions.shape[0] or last_action > 1:
            return -1
        start = self.indptr[t]
        # This way round nothing overflows.
        if start < 0 or start > self.indices.shape[0] - self.base:
            return -1
        end = start + c_encode_frame(
            self.screens[t % self.kept], self.table, self.cell_size, self.pixel_stride,
            self.indices[start:], self.values[start:])
        for age in range(0 if fresh else self.channels - 1):
            newer = t + self.kept - age * self.spread
            end = c_encode_difference(
                self.screens[newer % self.kept], self.screens[(newer - self.spread) % self.kept],
                self.table, self.cell_size, self.pixel_stride, age + 1, self.indices, self.values,
                end)
        if last_action >= 0 and self.base > self.places:
            self.indices[end] = <uint16_t>(self.places + last_action)
            self.values[end] = 1
            end += 1
        self.indptr[t + 1] = end
        if self.single:
            cloned_one_forward(
                self.inputs, t, self.rows_float, self.units_float, self.hidden_float[0])
            cloned_heads(self.hidden_float, self.units_float, self.logits_float[t:t + 1],
                         self.results_float[t:t + 1])
            logit = self.logits_float[t]
        else:
            cloned_one_forward(
                self.inputs, t, self.rows_double, self.units_double, self.hidden_double[0])
            cloned_heads(self.hidden_double, self.units_double, self.logits_double[t:t + 1],
                         self.results_double[t:t + 1])
            logit = self.logits_double[t]
        self.actions[t] = uniform < 1 / (1 + exp(-logit))
        return self.actions[t]


cdef cloned cloned_one_forward(
        Inputs inputs, Py_ssize_t t, const floating[:, ::1] rows, const floating[:, ::1] units,
        floating[:, ::1] hidden) noexcept nogil:
    one_forward(inputs, t, rows, units, hidden)

"""The convolutional agent's kernels in Cython: raw, for callers that have checked their arguments.

Use them through ``fastpong.kernels``. ``fastpong.oracle.conv`` states the mathematics.

Design
------
(A) A pixel of a sparse frame meets the kernel (6, stride 3) in at most two places along an axis:
    output o and place k with row + 2 = 3 o + k, so o = (row + 2) // 3 or one less (`find_tap`).
    As one row of 80 columns with 80 channels a pixel's column is its channel, and of the six
    rows of the kernel all but row 2 only ever meet padding: they are not read.
(B) What an empty frame gives is known: relu(bias) at every position. So of the first dense layer
    only the positions that a frame touches are computed, as a difference to that; the rest is
    one vector for all frames (`cloned_base`), and in the backward pass one for all steps.
(C) `touched` is a set of positions that needs no clearing: its first row lists them, its second
    says where in the list a position would stand.
(D) As in _kernels.pyx: every sum has one fixed order, the step and the trainer's forward pass
    share their cores, hot functions are compiled for each vector unit, nothing is allocated.
"""

from cython cimport floating
from libc.stdint cimport int8_t, int64_t, uint8_t, uint16_t

from fastpong._clones cimport cloned, inlined
from fastpong._geometry cimport PIXELS, SIDE
from fastpong._kernels cimport Step, c_sparse_difference_frame, dot, row_forward
from fastpong.kernels.cython.losses cimport row_softmax

cdef enum:
    OUT = 27          # positions along an axis: 80 / 3, rounded up
    BEFORE = 2        # padding before the first pixel, of 4 in all; of 5 where the axis is 1 long
    BLOCK = 64


cdef struct Pixels:    # of one sparse frame
    const uint16_t *indices
    const int8_t *signs
    Py_ssize_t count


cdef inline Pixels pixels_between(
        const uint16_t[::1] indices, const int8_t[::1] signs, Py_ssize_t first,
        Py_ssize_t last) noexcept nogil:
    cdef Pixels pixels
    pixels.count = last - first
    pixels.indices = NULL
    pixels.signs = NULL
    if pixels.count > 0:
        pixels.indices = &indices[first]
        pixels.signs = &signs[first]
    return pixels


# --- convolution and first dense layer ----------------------------------------------------------

cdef inline bint find_tap(
        Py_ssize_t pixel, Py_ssize_t n, bint image, Py_ssize_t *position,
        Py_ssize_t *line) noexcept nogil:
    # The n-th place where a pixel meets the kernel: output position and line of the kernel as
    # (36 C, F). False where that position lies outside. n < 2, or n < 4 for an image.
    cdef Py_ssize_t row = pixel // SIDE, column = pixel % SIDE
    cdef Py_ssize_t back = n >> 1 if image else n
    cdef Py_ssize_t y = (row + BEFORE) // 3 - back, i = (row + BEFORE) % 3 + 3 * back, x, j
    if y < 0 or y >= OUT:
        return False
    if not image:
        position[0] = y
        line[0] = (BEFORE * 6 + i) * SIDE + column
        return True
    x = (column + BEFORE) // 3 - (n & 1)
    j = (column + BEFORE) % 3 + 3 * (n & 1)
    position[0] = y * OUT + x
    line[0] = i * 6 + j
    return 0 <= x < OUT


cdef inline inlined convolve(
        Pixels pixels, const floating[:, ::1] kernel, const floating[::1] bias,
        floating[:, ::1] values, int64_t[:, ::1] touched, Py_ssize_t *count) noexcept nogil:
    # values[p] = bias + sum of sign * kernel[line] for every touched position p.
    cdef Py_ssize_t i, n, f, position, line, slot, size = 0, filters = bias.shape[0]
    cdef bint image = kernel.shape[0] == 36
    cdef floating sign
    for i in range(pixels.count):
        sign = pixels.signs[i]
        for n in range(4 if image else 2):
            if not find_tap(pixels.indices[i], n, image, &position, &line):
                continue
            slot = touched[1, position]
            if slot < 0 or slot >= size or touched[0, slot] != position:
                touched[0, size] = position
                touched[1, position] = size
                size += 1
                for f in range(filters):
                    values[position, f] = bias[f]
            for f in range(filters):
                values[position, f] += sign * kernel[line, f]
    count[0] = size


cdef cloned cloned_base(
        const floating[::1] bias, const floating[:, ::1] w, const floating[::1] b,
        floating[::1] base) noexcept nogil:
    # base = b + sum_{p, f} relu(bias_f) w[p F + f]: the hidden layer of an empty frame.
    cdef Py_ssize_t row, h, filters = bias.shape[0]
    cdef floating value
    for h in range(b.shape[0]):
        base[h] = b[h]
    for row in range(w.shape[0]):
        value = bias[row % filters]
        if value > 0:
            for h in range(b.shape[0]):
                base[h] += value * w[row, h]


cdef inline inlined frame_forward(
        Pixels pixels, const floating[:, ::1] kernel, const floating[::1] bias,
        const floating[:, ::1] w, const floating[::1] base, floating[:, ::1] values,
        int64_t[:, ::1] touched, floating[::1] hidden) noexcept nogil:
    # hidden = relu(base + sum over touched p, f of (relu(z_pf) - relu(bias_f)) w[p F + f])
    cdef Py_ssize_t k, f, h, low, position, count = 0, filters = bias.shape[0]
    cdef Py_ssize_t size = base.shape[0], whole = size - size % BLOCK
    cdef floating value
    cdef floating s[BLOCK]
    convolve(pixels, kernel, bias, values, touched, &count)
    for k in range(count):
        position = touched[0, k]
        for f in range(filters):
            value = values[position, f]
            value = 0 if value < 0 else value
            values[position, f] = value - bias[f] if bias[f] > 0 else value
    for low in range(0, whole, 64):
        for h in range(BLOCK):
            s[h] = base[low + h]
        for k in range(count):
            position = touched[0, k]
            for f in range(filters):
                value = values[position, f]
                if value != 0:
                    for h in range(BLOCK):    # a constant length: the sum stays in registers
                        s[h] += value * w[position * filters + f, low + h]
        for h in range(BLOCK):
            hidden[low + h] = 0 if s[h] < 0 else s[h]
    if whole < size:
        for h in range(whole, size):
            hidden[h] = base[h]
        for k in range(count):
            position = touched[0, k]
            for f in range(filters):
                value = values[position, f]
                if value != 0:
                    for h in range(whole, size):
                        hidden[h] += value * w[position * filters + f, h]
        for h in range(whole, size):
            hidden[h] = 0 if hidden[h] < 0 else hidden[h]


cdef cloned cloned_frame_forward(
        Pixels pixels, const floating[:, ::1] kernel, const floating[::1] bias,
        const floating[:, ::1] w, const floating[::1] base, floating[:, ::1] values,
        int64_t[:, ::1] touched, floating[::1] hidden) noexcept nogil:
    frame_forward(pixels, kernel, bias, w, base, values, touched, hidden)


cdef class Frames:
    """Sparse frames, and room for the positions that one of them touches."""

    def __init__(self, frames, touched):
        self.indptr, self.indices, self.signs = frames
        self.touched = touched


cdef cloned cloned_forward(
        Frames frames, const floating[:, ::1] kernel, const floating[::1] bias,
        const floating[:, ::1] w, const floating[::1] base, floating[:, ::1] values,
        floating[:, ::1] hidden) noexcept nogil:
    cdef Py_ssize_t t
    for t in range(hidden.shape[0]):
        frame_forward(
            pixels_between(
                frames.indices, frames.signs, frames.indptr[t], frames.indptr[t + 1]),
            kernel, bias, w, base, values, frames.touched, hidden[t])


cdef void c_sparse_conv_forward(
        Frames frames, const floating[:, ::1] kernel, const floating[::1] bias,
        const floating[:, ::1] w, const floating[::1] b, floating[:, ::1] values,
        floating[::1] base, floating[:, ::1] hidden) noexcept nogil:
    cloned_base(bias, w, b, base)
    cloned_forward(frames, kernel, bias, w, base, values, hidden)


def sparse_conv_forward(frames, layer, scratch, floating[:, ::1] hidden):
    """Write h = ReLU(flatten(ReLU(conv(x))) W + b) (T, H) of sparse frames."""
    cdef const floating[:, ::1] kernel, w
    cdef const floating[::1] bias, b
    cdef floating[:, ::1] values
    cdef floating[::1] base
    kernel, bias, w, b = layer
    values, base, touched = scratch
    cdef Frames bound = Frames(frames, touched)
    with nogil:
        c_sparse_conv_forward(bound, kernel, bias, w, b, values, base, hidden)


cdef cloned cloned_convolve(
        Pixels pixels, const floating[:, ::1] kernel, const floating[::1] bias,
        floating[:, ::1] values, int64_t[:, ::1] touched, Py_ssize_t *count) noexcept nogil:
    convolve(pixels, kernel, bias, values, touched, count)


cdef cloned touched_backward(
        Py_ssize_t count, const int64_t[:, ::1] touched, const floating[::1] bias,
        const floating[:, ::1] w, const floating[::1] dhidden, floating[:, ::1] values,
        floating[::1] grad_bias, floating[:, ::1] grad_w) noexcept nogil:
    # For the touched positions: dW and dbias less what `untouched_backward` will add for them,
    # and values = the gradient of the convolution's output.
    cdef Py_ssize_t k, f, h, position, row, filters = bias.shape[0]
    cdef floating value, slope = 0
    for k in range(count):
        position = touched[0, k]
        for f in range(filters):
            row = position * filters + f
            value = values[position, f]
            if not value > 0 and not bias[f] > 0:
                values[position, f] = 0
                continue
            dot(dhidden, w[row], &slope)
            values[position, f] = slope if value > 0 else 0
            grad_bias[f] += values[position, f] - (slope if bias[f] > 0 else 0)
            value = (value if value > 0 else 0) - (bias[f] if bias[f] > 0 else 0)
            for h in range(dhidden.shape[0]):
                grad_w[row, h] += value * dhidden[h]


cdef cloned untouched_backward(
        const floating[::1] bias, const floating[:, ::1] w, const floating[::1] total,
        floating[::1] grad_bias, floating[:, ::1] grad_w) noexcept nogil:
    # What T empty frames would give: all positions relu(bias), total = sum_t dhidden_t.
    cdef Py_ssize_t row, h, f, filters = bias.shape[0]
    cdef floating slope = 0
    for row in range(w.shape[0]):
        f = row % filters
        if bias[f] > 0:
            for h in range(total.shape[0]):
                grad_w[row, h] += bias[f] * total[h]
            dot(total, w[row], &slope)
            grad_bias[f] += slope


cdef cloned kernel_backward(
        Pixels pixels, const floating[:, ::1] values,
        floating[:, ::1] grad_kernel) noexcept nogil:
    # values: the gradient of the convolution's output.
    cdef Py_ssize_t i, n, f, position, line
    cdef bint image = grad_kernel.shape[0] == 36
    cdef floating sign
    for i in range(pixels.count):
        sign = pixels.signs[i]
        for n in range(4 if image else 2):
            if find_tap(pixels.indices[i], n, image, &position, &line):
                for f in range(grad_kernel.shape[1]):
                    grad_kernel[line, f] += sign * values[position, f]


cdef void c_sparse_conv_backward(
        Frames frames, const floating[:, ::1] kernel, const floating[::1] bias,
        const floating[:, ::1] w, const floating[:, ::1] dhidden, floating[:, ::1] values,
        floating[::1] total, floating[:, ::1] grad_kernel, floating[::1] grad_bias,
        floating[:, ::1] grad_w, floating[::1] grad_b) noexcept nogil:
    cdef Py_ssize_t t, h, count = 0
    cdef Pixels pixels
    for h in range(total.shape[0]):
        total[h] = 0
    for t in range(frames.indptr.shape[0] - 1):
        pixels = pixels_between(
            frames.indices, frames.signs, frames.indptr[t], frames.indptr[t + 1])
        cloned_convolve(pixels, kernel, bias, values, frames.touched, &count)
        for h in range(total.shape[0]):
            total[h] += dhidden[t, h]
        touched_backward(count, frames.touched, bias, w, dhidden[t], values, grad_bias, grad_w)
        kernel_backward(pixels, values, grad_kernel)
    untouched_backward(bias, w, total, grad_bias, grad_w)
    for h in range(total.shape[0]):
        grad_b[h] += total[h]


def sparse_conv_backward(frames, layer, const floating[:, ::1] dhidden, scratch, grads):
    """Add the gradient of sum_t dhidden_t . (flatten(ReLU(conv(x_t))) W + b)."""
    cdef const floating[:, ::1] kernel, w
    cdef const floating[::1] bias
    cdef floating[:, ::1] values, grad_kernel, grad_w
    cdef floating[::1] total, grad_bias, grad_b
    kernel, bias, w = layer
    values, total, touched = scratch
    grad_kernel, grad_bias, grad_w, grad_b = grads
    cdef Frames bound = Frames(frames, touched)
    with nogil:
        c_sparse_conv_backward(bound, kernel, bias, w, dhidden, values, total, grad_kernel,
                               grad_bias, grad_w, grad_b)


# --- a worker's step ----------------------------------------------------------------------------

cdef cloned cloned_dense_row(
        const floating[::1] x, const floating[:, ::1] w, const floating[::1] b, bint relu,
        floating[::1] out) noexcept nogil:
    row_forward(x, w, b, relu, out)


cdef class _FloatNetwork:
    """Weights and scratch of one decision, float32."""

    cdef const float[:, ::1] kernel, w1, w2, w3
    cdef const float[::1] bias, b1, b2, b3
    cdef float[:, ::1] values
    cdef float[::1] base, h1, h2, p
    cdef int64_t[:, ::1] touched

    def __init__(self, network, scratch):
        self.kernel, self.bias, self.w1, self.b1, self.w2, self.b2, self.w3, self.b3 = network
        self.values, self.base, self.h1, self.h2, self.p, self.touched = scratch
        cloned_base(self.bias, self.w1, self.b1, self.base)

    cdef void compute(self, Pixels pixels) noexcept nogil:
        cloned_frame_forward(pixels, self.kernel, self.bias, self.w1, self.base, self.values,
                             self.touched, self.h1)
        cloned_dense_row(self.h1, self.w2, self.b2, True, self.h2)
        cloned_dense_row(self.h2, self.w3, self.b3, False, self.p)
        row_softmax(self.p, self.p)


cdef class _DoubleNetwork:
    """The same, float64."""

    cdef const double[:, ::1] kernel, w1, w2, w3
    cdef const double[::1] bias, b1, b2, b3
    cdef double[:, ::1] values
    cdef double[::1] base, h1, h2, p
    cdef int64_t[:, ::1] touched

    def __init__(self, network, scratch):
        self.kernel, self.bias, self.w1, self.b1, self.w2, self.b2, self.w3, self.b3 = network
        self.values, self.base, self.h1, self.h2, self.p, self.touched = scratch
        cloned_base(self.bias, self.w1, self.b1, self.base)

    cdef void compute(self, Pixels pixels) noexcept nogil:
        cloned_frame_forward(pixels, self.kernel, self.bias, self.w1, self.base, self.values,
                             self.touched, self.h1)
        cloned_dense_row(self.h1, self.w2, self.b2, True, self.h2)
        cloned_dense_row(self.h2, self.w3, self.b3, False, self.p)
        row_softmax(self.p, self.p)


cdef int drawn(const floating[::1] probability, double uniform, bint greedy) noexcept nogil:
    # The first action for which uniform < its share and those before it; greedy: the likeliest.
    cdef int a, best = 0, last = <int>probability.shape[0] - 1
    cdef double total = 0, below = 0
    for a in range(last + 1):
        total += probability[a]
        best = a if probability[a] > probability[best] else best
    if greedy:
        return best
    for a in range(last):
        below += probability[a]
        if uniform < below / total:
            return a
    return last


cdef class ConvStep(Step):
    """Decide one step of an episode: encode the screen, forward, choose. See ``kernels``."""

    cdef const uint8_t[:, :, ::1] screens
    cdef const uint8_t[::1] table
    cdef _FloatNetwork single
    cdef _DoubleNetwork double
    cdef int64_t[::1] indptr
    cdef uint16_t[::1] indices
    cdef int8_t[::1] signs
    cdef uint8_t[::1] actions
    cdef bint greedy

    def __init__(self, screens, table, network, scratch, indptr, indices, signs, actions, greedy):
        self.screens, self.table, self.greedy = screens, table, greedy
        self.indptr, self.indices, self.signs, self.actions = indptr, indices, signs, actions
        if network[0].dtype == "f4":
            self.single = _FloatNetwork(network, scratch)
        else:
            self.double = _DoubleNetwork(network, scratch)

    def __call__(self, Py_ssize_t t, double uniform):
        """Record step t and return the action; -1: no room."""
        cdef int action
        with nogil:
            action = self.choose(t, uniform, False, -1)
        return action

    cdef int choose(
            self, Py_ssize_t t, double uniform, bint fresh,
            Py_ssize_t last_action) noexcept nogil:
        cdef Py_ssize_t start, n = 0
        cdef int action
        cdef Pixels pixels
        if t < 0 or t >= self.actions.shape[0]:
            return -1
        start = self.indptr[t]
        if start < 0 or start > self.indices.shape[0] - PIXELS:
            return -1
        if t > 0:
            n = c_sparse_difference_frame(
                self.screens[t & 1], self.screens[(t - 1) & 1], self.table,
                self.indices[start:], self.signs[start:])
        self.indptr[t + 1] = start + n
        pixels = pixels_between(self.indices, self.signs, start, start + n)
        if self.single is not None:
            self.single.compute(pixels)
            action = drawn(self.single.p, uniform, self.greedy)
        else:
            self.double.compute(pixels)
            action = drawn(self.double.p, uniform, self.greedy)
        self.actions[t] = action
        return action

"""The kernels in Cython: raw, for callers that have checked their arguments.

Use them through ``fastpong.kernels``, which validates, allocates and explains; ``_kernels.pxd``
gives the cores to other Cython code. ``fastpong.oracle`` states the mathematics.

Design
------
(A) Sparse frames. A difference frame has ~22 non-zero pixels of 6,400, so a forward pass is a
    signed sum of ~22 rows of W1, and the backward pass adds into ~22 rows of its gradient.
(B) W1 is pixel-major, (D, H): such a row is one contiguous run of H numbers.
(C) Rows are worked on BLOCK columns at a time, in a small array on the stack. Its length is a
    constant, so it stays in registers, and the kernel needs no scratch memory of its own.
(D) Every sum has one fixed order, so that the same input gives the same bits, alone or in a
    batch: the worker's step and the trainer's forward pass share `frame_forward`.
(E) A float32 kernel adds up in float32 along D and H and in the gradients; returns, mean,
    deviation and exp() are double, where that costs nothing.
(F) The hot functions are compiled once for each vector unit (`cloned`) and the loader takes the
    best one that the machine has; 0.4 us instead of 1.0 for a forward pass with AVX-512.
    Without fused multiply-adds (setup.py) all copies compute the same bits. A product with a
    comparison stands where a branch on h > 0, which is true half of the time, would be
    mispredicted. GCC cannot clone a function whose address a .pxd exports, so the exported
    cores call the cloned ones.
"""

from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from fastpong._clones cimport cloned, inlined
from fastpong._geometry cimport PIXELS, SIDE, TOP, WORDS

cdef enum:
    BLOCK = 64


# --- frames -------------------------------------------------------------------------------------

cdef void c_preprocess_frame(
        const uint8_t[:, ::1] screen, const uint8_t[::1] table, pixel[::1] out) noexcept nogil:
    cdef Py_ssize_t row, column
    for row in range(SIDE):
        for column in range(SIDE):
            out[row * SIDE + column] = table[screen[TOP + 2 * row, 2 * column]]


def preprocess_frame(const uint8_t[:, ::1] screen, const uint8_t[::1] table, pixel[::1] out):
    """Write table[screen] of the field into ``out`` (6400,)."""
    with nogil:
        c_preprocess_frame(screen, table, out)


cdef void c_preprocess_frame_rgb(
        const uint8_t[:, :, ::1] frame, pixel[::1] out) noexcept nogil:
    cdef Py_ssize_t row, column
    cdef uint8_t red
    for row in range(SIDE):
        for column in range(SIDE):
            red = frame[TOP + 2 * row, 2 * column, 0]
            out[row * SIDE + column] = red != 0 and red != 144 and red != 109


def preprocess_frame_rgb(const uint8_t[:, :, ::1] frame, pixel[::1] out):
    """Write 0 where the red value is 0, 109 or 144, else 1, into ``out`` (6400,)."""
    with nogil:
        c_preprocess_frame_rgb(frame, out)


cdef void c_difference_frame(
        const floating[::1] current, const floating[::1] previous,
        floating[::1] out) noexcept nogil:
    cdef Py_ssize_t d
    for d in range(out.shape[0]):
        out[d] = current[d] - previous[d]


cdef void c_difference_frame_u8(
        const uint8_t[::1] current, const uint8_t[::1] previous, int8_t[::1] out) noexcept nogil:
    cdef Py_ssize_t d
    for d in range(out.shape[0]):
        out[d] = <int8_t>(<int>current[d] - <int>previous[d])


def _difference_frame(
        const floating[::1] current, const floating[::1] previous, floating[::1] out):
    with nogil:
        c_difference_frame(current, previous, out)


def _difference_frame_u8(
        const uint8_t[::1] current, const uint8_t[::1] previous, int8_t[::1] out):
    with nogil:
        c_difference_frame_u8(current, previous, out)


def difference_frame(current, previous, out):
    """Write current - previous into ``out``; two uint8 frames give int8."""
    if current.dtype == "u1":
        _difference_frame_u8(current, previous, out)
    else:
        _difference_frame(current, previous, out)


cdef cloned cloned_difference(
        const uint8_t[:, ::1] screen, const uint8_t[:, ::1] previous, const uint8_t[::1] table,
        uint16_t[::1] indices, int8_t[::1] signs, Py_ssize_t *count) noexcept nogil:
    # Rows are compared eight pixels at a time, and most of them do not differ; only where they
    # do are single pixels looked at. Element by element the frame takes twice as long.
    cdef uint64_t now, before, changed
    cdef Py_ssize_t row, y, k, column, n = 0
    cdef int sign
    for row in range(SIDE):
        y = TOP + 2 * row
        changed = 0
        for k in range(WORDS):
            memcpy(&now, &screen[y, 8 * k], 8)
            memcpy(&before, &previous[y, 8 * k], 8)
            changed |= now ^ before
        if changed == 0:
            continue
        for k in range(WORDS):
            memcpy(&now, &screen[y, 8 * k], 8)
            memcpy(&before, &previous[y, 8 * k], 8)
            if now != before:
                for column in range(4 * k, 4 * k + 4):
                    sign = <int>table[screen[y, 2 * column]] - <int>table[previous[y, 2 * column]]
                    # Written in any case and kept if it counts: no branch to mispredict.
                    indices[n] = <uint16_t>(row * SIDE + column)
                    signs[n] = <int8_t>sign
                    n += sign != 0
    count[0] = n


cdef Py_ssize_t c_sparse_difference_frame(
        const uint8_t[:, ::1] screen, const uint8_t[:, ::1] previous, const uint8_t[::1] table,
        uint16_t[::1] indices, int8_t[::1] signs) noexcept nogil:
    cdef Py_ssize_t n
    cloned_difference(screen, previous, table, indices, signs, &n)
    return n


def sparse_difference_frame(
        const uint8_t[:, ::1] screen, const uint8_t[:, ::1] previous, const uint8_t[::1] table,
        uint16_t[::1] indices, int8_t[::1] signs):
    """Write indices and signs of the difference frame's non-zeros; return their number."""
    cdef Py_ssize_t n
    with nogil:
        n = c_sparse_difference_frame(screen, previous, table, indices, signs)
    return n


# --- the network: h = ReLU(x W1), p = sigmoid(h . W2) -------------------------------------------

cdef inline inlined relu_dot(
        floating[::1] h, const floating[::1] w2, floating *dot) noexcept nogil:
    # h = max(h, 0) in place; dot = h . w2, as eight interleaved sums: a fixed order that a
    # vector unit can follow, where one running sum would wait for each addition in turn.
    cdef floating s[8]
    cdef Py_ssize_t j, k, size = h.shape[0], whole = size - size % 8
    for k in range(8):
        s[k] = 0
    for j in range(size):
        h[j] = 0 if h[j] < 0 else h[j]
    for j in range(0, whole, 8):
        for k in range(8):
            s[k] += h[j + k] * w2[j + k]
    for j in range(whole, size):
        s[j - whole] += h[j] * w2[j]
    dot[0] = ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]))


cdef void c_policy_forward(
        const floating[:, ::1] x, const floating[:, ::1] w1, const floating[::1] w2,
        floating[:, ::1] hidden, floating[::1] probability) noexcept nogil:
    cdef Py_ssize_t t, d, j
    cdef floating value, logit
    for t in range(x.shape[0]):
        for j in range(w1.shape[1]):
            hidden[t, j] = 0
        for d in range(x.shape[1]):
            value = x[t, d]
            if value != 0:    # nearly all are: this is what makes even the dense form quick
                for j in range(w1.shape[1]):
                    hidden[t, j] += value * w1[d, j]
        relu_dot(hidden[t], w2, &logit)
        probability[t] = <floating>sigmoid(logit)


def policy_forward(
        const floating[:, ::1] x, const floating[:, ::1] w1, const floating[::1] w2,
        floating[:, ::1] hidden, floating[::1] probability):
    """Write h = ReLU(x W1) (T, H) and p = sigmoid(h . W2) (T,)."""
    with nogil:
        c_policy_forward(x, w1, w2, hidden, probability)


cdef void c_policy_backward(
        const floating[:, ::1] x, const floating[:, ::1] hidden, const floating[::1] dlogit,
        const floating[::1] w2, floating[:, ::1] grad_w1, floating[::1] grad_w2) noexcept nogil:
    cdef Py_ssize_t t, d, j, block, low, width, size = w2.shape[0]
    cdef floating value
    cdef floating delta[BLOCK]
    for t in range(x.shape[0]):
        for j in range(size):
            grad_w2[j] += dlogit[t] * hidden[t, j]
        for block in range((size + BLOCK - 1) // BLOCK):
            low = block * BLOCK
            width = min(BLOCK, size - low)
            for j in range(width):
                delta[j] = dlogit[t] * w2[low + j] * <floating>(hidden[t, low + j] > 0)
            for d in range(x.shape[1]):
                value = x[t, d]
                if value != 0:
                    for j in range(width):
                        grad_w1[d, low + j] += value * delta[j]


def policy_backward(
        const floating[:, ::1] x, const floating[:, ::1] hidden, const floating[::1] dlogit,
        const floating[::1] w2, floating[:, ::1] grad_w1, floating[::1] grad_w2):
    """Add dW1 = x^T (dlogit W2^T where h > 0) and dW2 = h^T dlogit."""
    with nogil:
        c_policy_backward(x, hidden, dlogit, w2, grad_w1, grad_w2)


cdef inline inlined frame_forward(
        const uint16_t[::1] indices, const int8_t[::1] signs, Py_ssize_t first, Py_ssize_t last,
        const floating[:, ::1] w1, const floating[::1] w2, floating[::1] hidden,
        floating *logit) noexcept nogil:
    # hidden = ReLU(sum_i signs_i W1[indices_i]) over first <= i < last; logit = hidden . W2.
    cdef Py_ssize_t i, j, d, low, size = w2.shape[0]
    cdef floating sign
    cdef floating s[BLOCK]
    for low in range(0, size - BLOCK + 1, 64):    # by BLOCK; Cython wants a literal here
        for j in range(BLOCK):
            s[j] = 0
        for i in range(first, last):
            d = indices[i]
            sign = signs[i]
            for j in range(BLOCK):    # a constant length: the sum stays in registers
                s[j] += sign * w1[d, low + j]
        for j in range(BLOCK):
            hidden[low + j] = s[j]
    low = size - size % BLOCK
    for j in range(low, size):
        hidden[j] = 0
    for i in range(first, last):
        d = indices[i]
        sign = signs[i]
        for j in range(low, size):
            hidden[j] += sign * w1[d, j]
    relu_dot(hidden, w2, logit)


cdef cloned cloned_frame_forward(
        const uint16_t[::1] indices, const int8_t[::1] signs,
        const floating[:, ::1] w1, const floating[::1] w2,
        floating[::1] hidden, floating *logit) noexcept nogil:
    frame_forward(indices, signs, 0, indices.shape[0], w1, w2, hidden, logit)


cdef cloned cloned_forward(
        const int64_t[::1] indptr, const uint16_t[::1] indices, const int8_t[::1] signs,
        const floating[:, ::1] w1, const floating[::1] w2,
        floating[:, ::1] hidden, floating[::1] probability) noexcept nogil:
    cdef Py_ssize_t t
    cdef floating logit
    for t in range(indptr.shape[0] - 1):
        frame_forward(indices, signs, indptr[t], indptr[t + 1], w1, w2, hidden[t], &logit)
        probability[t] = <floating>sigmoid(logit)


cdef floating c_sparse_frame_forward(
        const uint16_t[::1] indices, const int8_t[::1] signs,
        const floating[:, ::1] w1, const floating[::1] w2, floating[::1] hidden) noexcept nogil:
    cdef floating logit
    cloned_frame_forward(indices, signs, w1, w2, hidden, &logit)
    return logit


cdef void c_sparse_policy_forward(
        const int64_t[::1] indptr, const uint16_t[::1] indices, const int8_t[::1] signs,
        const floating[:, ::1] w1, const floating[::1] w2,
        floating[:, ::1] hidden, floating[::1] probability) noexcept nogil:
    cloned_forward(indptr, indices, signs, w1, w2, hidden, probability)


def sparse_policy_forward(
        const int64_t[::1] indptr, const uint16_t[::1] indices, const int8_t[::1] signs,
        const floating[:, ::1] w1, const floating[::1] w2,
        floating[:, ::1] hidden, floating[::1] probability):
    """Write ``policy_forward`` of sparse frames."""
    with nogil:
        c_sparse_policy_forward(indptr, indices, signs, w1, w2, hidden, probability)


cdef cloned cloned_backward(
        const int64_t[::1] indptr, const uint16_t[::1] indices, const int8_t[::1] signs,
        const floating[:, ::1] hidden, const floating[::1] dlogit, const floating[::1] w2,
        floating[:, ::1] grad_w1, floating[::1] grad_w2) noexcept nogil:
    cdef Py_ssize_t t, i, j, d, low, size = w2.shape[0], tail = size - size % BLOCK
    cdef floating sign
    cdef floating delta[BLOCK]
    for t in range(indptr.shape[0] - 1):
        for j in range(size):
            grad_w2[j] += dlogit[t] * hidden[t, j]
        for low in range(0, size - BLOCK + 1, 64):    # by BLOCK
            for j in range(BLOCK):
                delta[j] = dlogit[t] * w2[low + j] * <floating>(hidden[t, low + j] > 0)
            for i in range(indptr[t], indptr[t + 1]):
                d = indices[i]
                sign = signs[i]
                for j in range(BLOCK):
                    grad_w1[d, low + j] += sign * delta[j]
        for j in range(tail, size):
            delta[j - tail] = dlogit[t] * w2[j] * <floating>(hidden[t, j] > 0)
        for i in range(indptr[t], indptr[t + 1]):
            d = indices[i]
            sign = signs[i]
            for j in range(tail, size):
                grad_w1[d, j] += sign * delta[j - tail]


cdef void c_sparse_policy_backward(
        const int64_t[::1] indptr, const uint16_t[::1] indices, const int8_t[::1] signs,
        const floating[:, ::1] hidden, const floating[::1] dlogit, const floating[::1] w2,
        floating[:, ::1] grad_w1, floating[::1] grad_w2) noexcept nogil:
    cloned_backward(indptr, indices, signs, hidden, dlogit, w2, grad_w1, grad_w2)


def sparse_policy_backward(
        const int64_t[::1] indptr, const uint16_t[::1] indices, const int8_t[::1] signs,
        const floating[:, ::1] hidden, const floating[::1] dlogit, const floating[::1] w2,
        floating[:, ::1] grad_w1, floating[::1] grad_w2):
    """Add ``policy_backward`` of sparse frames."""
    with nogil:
        c_sparse_policy_backward(
            indptr, indices, signs, hidden, dlogit, w2, grad_w1, grad_w2)


cdef class Step:
    """Choose an action for step t and record it. Returns -1 where there is no room."""

    cdef int choose(
            self, Py_ssize_t t, double uniform, bint fresh,
            Py_ssize_t last_action) noexcept nogil:
        return -1


cdef class PolicyStep(Step):
    """Decide one step of an episode: encode the screen, forward, choose. See ``kernels``.

    A class because a call with nine arrays would spend more time on unpacking them than on the
    step itself; it holds references to the caller's buffers and no state of its own but scratch.
    """

    cdef const uint8_t[:, :, ::1] screens
    cdef const uint8_t[::1] table
    cdef const float[:, ::1] w1_float
    cdef const float[::1] w2_float
    cdef float[::1] hidden_float
    cdef const double[:, ::1] w1_double
    cdef const double[::1] w2_double
    cdef double[::1] hidden_double
    cdef int64_t[::1] indptr
    cdef uint16_t[::1] indices
    cdef int8_t[::1] signs
    cdef uint8_t[::1] actions
    cdef bint single

    def __init__(self, screens, table, w1, w2, indptr, indices, signs, actions):
        self.screens, self.table = screens, table
        self.indptr, self.indices, self.signs, self.actions = indptr, indices, signs, actions
        self.single = w1.dtype == "f4"
        if self.single:
            self.w1_float, self.w2_float, self.hidden_float = w1, w2, w2.copy()
        else:
            self.w1_double, self.w2_double, self.hidden_double = w1, w2, w2.copy()

    def __call__(self, Py_ssize_t t, double uniform):
        """Record step t; return 1 (RIGHT) with probability p, else 0 (LEFT); -1: no room."""
        cdef int action
        with nogil:
            action = self.choose(t, uniform, False, -1)
        return action

    cdef int choose(
            self, Py_ssize_t t, double uniform, bint fresh,
            Py_ssize_t last_action) noexcept nogil:
        cdef Py_ssize_t start, n = 0
        cdef float logit_float
        cdef double logit_double
        cdef int action
        if t < 0 or t >= self.actions.shape[0]:
            return -1
        start = self.indptr[t]
        if start < 0 or start > self.indices.shape[0] - PIXELS:
            return -1
        if t > 0:
            cloned_difference(
                self.screens[t & 1], self.screens[(t - 1) & 1], self.table,
                self.indices[start:], self.signs[start:], &n)
        self.indptr[t + 1] = start + n
        if self.single:
            cloned_frame_forward(
                self.indices[start:start + n], self.signs[start:start + n],
                self.w1_float, self.w2_float, self.hidden_float, &logit_float)
            # Rounded as sparse_policy_forward rounds it, so that both speak of one policy.
            action = uniform < <float>sigmoid(logit_float)
        else:
            cloned_frame_forward(
                self.indices[start:start + n], self.signs[start:start + n],
                self.w1_double, self.w2_double, self.hidden_double, &logit_double)
            action = uniform < sigmoid(logit_double)
        self.actions[t] = action
        return action


# --- dense layers: y = x W + b, or its ReLU -----------------------------------------------------

cdef cloned cloned_dense_forward(
        const floating[:, ::1] x, const floating[:, ::1] w, const floating[::1] b, bint relu,
        floating[:, ::1] out) noexcept nogil:
    cdef Py_ssize_t t
    for t in range(x.shape[0]):
        row_forward(x[t], w, b, relu, out[t])


cdef void c_dense_forward(
        const floating[:, ::1] x, const floating[:, ::1] w, const floating[::1] b, bint relu,
        floating[:, ::1] out) noexcept nogil:
    cloned_dense_forward(x, w, b, relu, out)


def dense_forward(
        const floating[:, ::1] x, const floating[:, ::1] w, const floating[::1] b, bint relu,
        floating[:, ::1] out):
    """Write y = x W + b, or its ReLU: (T, N) -> (T, M)."""
    with nogil:
        c_dense_forward(x, w, b, relu, out)


cdef cloned cloned_dense_backward(
        const floating[:, ::1] x, const floating[:, ::1] w, const floating[:, ::1] dout,
        bint relu, floating[:, ::1] grad_w, floating[::1] grad_b,
        floating[:, ::1] dx) noexcept nogil:
    cdef Py_ssize_t t, i, j
    for t in range(x.shape[0]):
        for j in range(dout.shape[1]):
            grad_b[j] += dout[t, j]
        for i in range(x.shape[1]):
            if x[t, i] != 0:
                for j in range(dout.shape[1]):
                    grad_w[i, j] += x[t, i] * dout[t, j]
            if relu and not x[t, i] > 0:
                dx[t, i] = 0
            else:
                dot(dout[t], w[i], &dx[t, i])


cdef void c_dense_backward(
        const floating[:, ::1] x, const floating[:, ::1] w, const floating[:, ::1] dout,
        bint relu, floating[:, ::1] grad_w, floating[::1] grad_b,
        floating[:, ::1] dx) noexcept nogil:
    cloned_dense_backward(x, w, dout, relu, grad_w, grad_b, dx)


def dense_backward(
        const floating[:, ::1] x, const floating[:, ::1] w, const floating[:, ::1] dout,
        bint relu, floating[:, ::1] grad_w, floating[::1] grad_b, floating[:, ::1] dx):
    """Add dW = x^T dout, db = sum_t dout_t; write dx = dout W^T, 0 where x <= 0 if ``relu``."""
    with nogil:
        c_dense_backward(x, w, dout, relu, grad_w, grad_b, dx)

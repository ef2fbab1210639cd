"""Frames of any Atari game in Cython: raw, for callers that have checked their arguments.

Use them through ``fastpong.kernels``. ``fastpong.oracle`` states the mathematics.

Design
------
(A) The work is done in C, in ``core``: shuffles and multiply-adds of SSSE3 have no name in Cython.
    ``area.h`` has the formula, ``screens.h`` how two screens become one row of grey values, and
    ``vectors.c`` the vector units, which are chosen when a plan is made. All give the same bytes.
(B) A row that equals the one above on both screens is not computed again. On Atari's screens that
    is 40 to 80 % of them.
(C) A plan holds all tables of two sizes. Plans are kept, since each takes 0.1 ms to make.
"""

cimport numpy as cnp
from libc.stdint cimport int32_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove, memset

cdef extern from "vectors.h" nogil:
    ctypedef struct Axis:
        int32_t size
        int32_t out

    ctypedef struct Plan:
        Axis x
        Axis y

    ctypedef struct Picture:
        pass

    Plan *plan_make(
        int32_t rows, int32_t columns, int32_t out_rows, int32_t out_columns, int32_t vectors)
    void plan_free(Plan *plan)
    void resize_picture(
        const Plan *plan, const Picture *picture, uint8_t *out, int32_t step, uint8_t *room)
    void grey_of_all(const uint8_t *rgb, size_t n, int32_t compat, uint8_t *out)
    void greatest_of(const uint8_t *a, const uint8_t *b, size_t n, uint8_t *out)
    Picture picture_of(
        const uint8_t *frame, int32_t columns, int32_t channels, int32_t channel, int32_t vectors)
    void frame_of(
        const Plan *plan, const uint8_t *frame, const uint8_t *previous, int32_t screen,
        const uint8_t *palette, int32_t compat, int32_t vectors, uint8_t *out, uint8_t *room)
    size_t frame_room(const Plan *plan)
    int32_t vectors_here()

cnp.import_array()

VECTORS = ("plain", "ssse3", "avx512")
"""Vector units, the slowest first."""

cdef enum:    # of screens.h
    GREY, PALETTE, RGB

KEPT_PLANS = 64

_plans = {}
cdef int32_t _vectors = vectors_here()


def use_vectors(name):
    """Compute with a vector unit or none from here on, and return the one before.

    For tests and benchmarks: ``vectors_here`` is what is used by itself.

    Raises ValueError for one that this processor does not have.
    """
    global _vectors
    here = VECTORS[:vectors_here() + 1]
    if name not in here:
        raise ValueError(f"name: expected one of {', '.join(here)}, got {name!r}")
    before, _vectors = VECTORS[_vectors], VECTORS.index(name)
    _plans.clear()
    return before


cdef class AreaPlan:
    """Hold how to resize (rows, columns) to (out_rows, out_columns)."""

    def __cinit__(self, int32_t rows, int32_t columns, int32_t out_rows, int32_t out_columns):
        if min(rows, columns, out_rows, out_columns) < 1:
            raise ValueError("rows, columns, out_rows, out_columns: expected 1 or more each")
        self.vectors = _vectors
        self.plan = plan_make(rows, columns, out_rows, out_columns, self.vectors)
        if self.plan is NULL:
            raise MemoryError
        self.room = frame_room(<Plan *>self.plan)

    def __dealloc__(self):
        plan_free(<Plan *>self.plan)


cdef AreaPlan plan_of(Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t high, Py_ssize_t wide):
    """Return the plan of two sizes."""
    key = (rows, columns, high, wide)
    plan = _plans.get(key)
    if plan is None:
        if len(_plans) >= KEPT_PLANS:
            _plans.clear()
        plan = _plans[key] = AreaPlan(rows, columns, high, wide)
    return <AreaPlan>plan


cdef void c_max_pool_frames(
        const uint8_t[::1] frame, const uint8_t[::1] previous, uint8_t[::1] out) noexcept nogil:
    if out.shape[0]:
        greatest_of(&frame[0], &previous[0], out.shape[0], &out[0])


def max_pool_frames(
        const uint8_t[::1] frame, const uint8_t[::1] previous, uint8_t[::1] out):
    """Write the greater of each two bytes."""
    with nogil:
        c_max_pool_frames(frame, previous, out)


cdef void c_grayscale(
        const uint8_t[:, ::1] colours, int32_t compat, uint8_t[::1] out) noexcept nogil:
    if out.shape[0]:
        grey_of_all(&colours[0, 0], out.shape[0], compat, &out[0])


def grayscale(const uint8_t[:, ::1] colours, int32_t compat, uint8_t[::1] out):
    """Write the greys of (n, 3) colours."""
    with nogil:
        c_grayscale(colours, compat, out)


cdef void c_resize_area(
        AreaPlan plan, const uint8_t[:, :, ::1] frame, uint8_t[:, :, ::1] out,
        uint8_t *room) noexcept nogil:
    cdef int32_t channel, channels = <int32_t>frame.shape[2]
    cdef Picture picture
    for channel in range(channels):
        picture = picture_of(
            &frame[0, 0, 0], <int32_t>frame.shape[1], channels, channel, plan.vectors)
        resize_picture(<Plan *>plan.plan, &picture, &out[0, 0, channel], channels, room)


def resize_area(const uint8_t[:, :, :, ::1] frame, size, uint8_t[:, :, :, ::1] out):
    """Resize (N, rows, columns, channels)."""
    cdef AreaPlan plan = plan_of(frame.shape[1], frame.shape[2], out.shape[1], out.shape[2])
    cdef uint8_t *room = <uint8_t *>malloc(plan.room)
    cdef Py_ssize_t n
    if room is NULL:
        raise MemoryError
    with nogil:
        for n in range(frame.shape[0]):
            c_resize_area(plan, frame[n], out[n], room)
        free(room)


cdef void c_frame_stack_push(
        uint8_t[:, :, :, ::1] stack, const uint8_t[:, :, ::1] frame, const uint8_t[::1] fresh,
        bint repeat) noexcept nogil:
    cdef Py_ssize_t n, k, depth = stack.shape[1]
    cdef Py_ssize_t size = stack.shape[2] * stack.shape[3]
    if not depth or not size:
        return
    for n in range(stack.shape[0]):
        if fresh[n] and repeat:
            for k in range(depth - 1):
                memcpy(&stack[n, k, 0, 0], &frame[n, 0, 0], size)
        elif fresh[n]:
            memset(&stack[n, 0, 0, 0], 0, (depth - 1) * size)
        elif depth > 1:
            memmove(&stack[n, 0, 0, 0], &stack[n, 1, 0, 0], (depth - 1) * size)
        memcpy(&stack[n, depth - 1, 0, 0], &frame[n, 0, 0], size)


def frame_stack_push(
        uint8_t[:, :, :, ::1] stack, const uint8_t[:, :, ::1] frame, const uint8_t[::1] fresh,
        int32_t padding):
    """Drop each stack's oldest frame, append one. padding: 0 repeats it, 1 is zeros."""
    with nogil:
        c_frame_stack_push(stack, frame, fresh, padding == 0)


cdef void c_atari_frame(
        AreaPlan plan, const uint8_t *frame, const uint8_t *previous, int32_t screen,
        const uint8_t *palette, int32_t compat, uint8_t *out, uint8_t *room) noexcept nogil:
    frame_of(<Plan *>plan.plan, frame, previous, screen, palette, compat, plan.vectors, out, room)


cdef frames(
        cnp.ndarray frame, cnp.ndarray previous, int32_t screen, const uint8_t *palette,
        int32_t compat, cnp.ndarray out):
    """Make one frame of each pair of screens."""
    cdef cnp.npy_intp *before = cnp.PyArray_DIMS(frame)
    cdef cnp.npy_intp *after = cnp.PyArray_DIMS(out)
    cdef AreaPlan plan = plan_of(before[1], before[2], after[1], after[2])
    cdef Py_ssize_t n, count = after[0], pixels = before[1] * before[2]
    cdef Py_ssize_t size = 3 * pixels if screen == RGB else pixels
    cdef const uint8_t *one = <const uint8_t *>cnp.PyArray_DATA(frame)
    cdef const uint8_t *other = <const uint8_t *>cnp.PyArray_DATA(previous)
    cdef uint8_t *to = <uint8_t *>cnp.PyArray_DATA(out)
    cdef uint8_t *room = <uint8_t *>malloc(plan.room)
    if room is NULL:
        raise MemoryError
    with nogil:
        for n in range(count):
            c_atari_frame(
                plan, one + n * size, other + n * size, screen, palette, compat,
                to + n * after[1] * after[2], room)
        free(room)


# Typed as arrays, whose memory is at hand: four memoryviews took 0.7 us, a frame of Pong 3.

def atari_frame(
        cnp.ndarray frame, cnp.ndarray previous, size, int32_t compat, cnp.ndarray out):
    """Make frames of (N, rows, columns) grey screens."""
    frames(frame, previous, GREY, NULL, compat, out)


def atari_frame_palette(
        cnp.ndarray frame, cnp.ndarray previous, cnp.ndarray palette, size, int32_t compat,
        cnp.ndarray out):
    """Make frames of (N, rows, columns) screens of palette indices."""
    frames(
        frame, previous, PALETTE, <const uint8_t *>cnp.PyArray_DATA(palette), compat, out)


def atari_frame_rgb(
        cnp.ndarray frame, cnp.ndarray previous, size, int32_t compat, cnp.ndarray out):
    """Make frames of (N, rows, columns, 3) screens in colour."""
    frames(frame, previous, RGB, NULL, compat, out)

# The cores of atari.pyx, for other Cython code: unchecked, no allocation, no GIL.

from libc.stdint cimport int32_t, uint8_t

# How to resize from one size to another, made once. `room` is the bytes that a core works in.
cdef class AreaPlan:
    cdef void *plan
    cdef readonly size_t room
    cdef int32_t vectors

cdef void c_max_pool_frames(
    const uint8_t[::1] frame, const uint8_t[::1] previous, uint8_t[::1] out) noexcept nogil
cdef void c_grayscale(
    const uint8_t[:, ::1] colours, int32_t compat, uint8_t[::1] out) noexcept nogil
cdef void c_resize_area(
    AreaPlan plan, const uint8_t[:, :, ::1] frame, uint8_t[:, :, ::1] out,
    uint8_t *room) noexcept nogil
cdef void c_frame_stack_push(
    uint8_t[:, :, :, ::1] stack, const uint8_t[:, :, ::1] frame, const uint8_t[::1] fresh,
    bint repeat) noexcept nogil
# One frame of a screen and the one before. `palette` may be NULL but for palette indices.
cdef void c_atari_frame(
    AreaPlan plan, const uint8_t *frame, const uint8_t *previous, int32_t screen,
    const uint8_t *palette, int32_t compat, uint8_t *out, uint8_t *room) noexcept nogil

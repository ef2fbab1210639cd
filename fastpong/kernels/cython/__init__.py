"""The kernels in Cython, a module a family; raw, for callers that have checked their arguments."""

"""Wrappers and parts for other libraries' agents, built on the kernels."""

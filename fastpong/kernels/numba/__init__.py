"""The kernels compiled by Numba, a module a family: names and argument order of the oracle's.

Raw: ``fastpong.kernels`` validates, converts and allocates. Here shapes and layouts are trusted.
"""

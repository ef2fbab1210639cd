"""Build episode.pyx in place: python setup.py build_ext --inplace."""

from setuptools import Extension, setup

setup(name="episode", ext_modules=[Extension("episode", ["episode.pyx"])])

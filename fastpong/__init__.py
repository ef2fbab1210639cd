"""fastpong: a high-throughput trainer for Atari Pong from pixels, on ordinary CPUs.

``fastpong.kernels`` holds the compiled kernels, ``fastpong.oracle`` their NumPy reference;
``fastpong train --help`` is the way in from the command line.
"""

from importlib.metadata import version

__version__ = version("fastpong")

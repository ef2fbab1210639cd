"""fastpong: a high-throughput trainer for Atari Pong from pixels, on ordinary CPUs.

``fastpong.kernels`` holds the compiled kernels, ``fastpong.oracle`` their NumPy reference,
``fastpong train --help`` is the way in from the command line.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    # Asked for by few, and importlib.metadata takes longer than all the rest of an import.
    if name == "__version__":
        from importlib.metadata import version

        return version("fastpong")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

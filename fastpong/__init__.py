"""fastpong: a high-throughput trainer for Atari Pong from pixels, on ordinary CPUs.

``fastpong.load`` makes a trained agent a policy for other loops, ``fastpong.train`` and
``fastpong.evaluate`` serve scripts and notebooks. ``fastpong.kernels`` holds the compiled kernels,
``fastpong.oracle`` their NumPy reference. ``fastpong train --help`` is the way in from the command
line.
"""

from importlib import import_module

# No import of typing: `python -m fastpong` comes by here while the current directory is searched
# before all others.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fastpong.api.evaluation import evaluate as evaluate
    from fastpong.api.loading import load as load
    from fastpong.api.policy import Policy as Policy
    from fastpong.api.training import train as train

_HOMES = {
    "Policy": "fastpong.api.policy",
    "load": "fastpong.api.loading",
    "train": "fastpong.api.training",
    "evaluate": "fastpong.api.evaluation",
}
"""Public functions and their modules, imported when they are asked for."""


def __getattr__(name: str) -> "Any":
    # Asked for by few, and importlib.metadata takes longer than all the rest of an import.
    if name == "__version__":
        from importlib.metadata import version

        return version("fastpong")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, "__version__"})

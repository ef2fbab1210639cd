"""New Python processes that import what this one does, and nothing from the current directory."""

from __future__ import annotations

import os
import subprocess
import sys
from multiprocessing import spawn
from pathlib import Path

import fastpong


def python_command(program: str, *arguments: str) -> list[str]:
    """Return the command that runs a program of fastpong's in a new interpreter.

    It has our path of imports and our interpreter's flags. Our own package is that which runs here,
    on the path or not: of a checkout, the path never has the directory.
    """
    home = str(Path(fastpong.__file__).parents[1])
    found = [str(entry) or str(Path.cwd()) for entry in sys.path]
    begin = f"import sys; sys.path[:] = [*{found!r}, {home!r}]; import fastpong; sys.path.pop(); "
    # -P: else the current directory came before all others.
    flags = [*subprocess._args_from_interpreter_flags(), "-P"]  # type: ignore[attr-defined]
    return [os.fsdecode(spawn.get_executable()), *flags, "-c", begin + program, *arguments]

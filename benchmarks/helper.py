"""Run a program of programs/ that answers questions: python helper.py NAME [ARGUMENT ...].

Started by ``measure.Helper``. It lies here so that Python puts this directory on its path.
"""

from __future__ import annotations

import importlib
import sys

if __name__ == "__main__":
    importlib.import_module(f"programs.{sys.argv[1]}").main(*sys.argv[2:])

"""What all tests share: helper modules on the path, hypothesis without chance or clock."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

# --import-mode=importlib leaves sys.path alone, and tests import tolerances and cases by name.
sys.path.insert(0, str(Path(__file__).parent))

settings.register_profile(
    "deterministic", derandomize=True, deadline=None, database=None, max_examples=40
)
settings.load_profile("deterministic")

"""What all tests share: signals as a terminal has them, hypothesis without chance or clock.

Tests start Python with -P: what is tested is the installed package, in child processes too, and
not the checkout that they are started in.
"""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

# Under nohup, or in a script's background job, signals come ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGTERM, signal.SIG_DFL)

settings.register_profile(
    "deterministic", derandomize=True, deadline=None, database=None, max_examples=40
)
settings.load_profile("deterministic")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for no garbage while 11,000 tests are collected, and never again among them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()

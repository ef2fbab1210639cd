"""Fixtures of all tests of kernels: backends, dtypes, a stretch of a real game."""

from __future__ import annotations

from typing import Any

import pytest
from kernel_cases import BACKENDS, DTYPES
from recorded_game import Game, play_game

from fastpong import kernels


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    return kernels.get_backend(request.param)


@pytest.fixture(scope="module")
def exact() -> Any:
    return kernels.get_backend("numpy")


@pytest.fixture(params=DTYPES, ids=str)
def dtype(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="session")
def game() -> Game:
    return play_game()

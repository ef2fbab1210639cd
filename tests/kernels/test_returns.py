"""Returns against the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tolerances import assert_close, assert_same

from fastpong import oracle

pytestmark = pytest.mark.filterwarnings("error")

LENGTHS = (0, 1, 2, 3, 17, 1500)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("reset", [True, False])
def test_returns_are_the_oracles(
    backend: Any, dtype: Any, length: int, gamma: float, reset: bool
) -> None:
    rng = np.random.default_rng(length)
    rewards = rng.choice([-1, 0, 1], length, p=[0.05, 0.9, 0.05]).astype(dtype)
    want = np.zeros(length)
    oracle.discount_rewards(rewards, gamma, want, reset)
    got = backend.discount_rewards(rewards, gamma, reset_on_reward=reset)
    assert got.dtype == dtype and got is not rewards
    assert_close(got, want)
    inplace = rewards.copy()
    assert backend.discount_rewards(inplace, gamma, inplace, reset) is inplace
    assert_same(inplace, got)


def test_returns_reset_by_default(backend: Any) -> None:
    got = backend.discount_rewards(np.array([0.0, 1.0, 0.0, 0.0, -1.0, 0.0]), 0.5)
    assert got.tolist() == [0.5, 1.0, -0.25, -0.5, -1.0, 0.0]

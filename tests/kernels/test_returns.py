"""Returns against the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tolerances import assert_close, assert_same

from fastpong import oracle

pytestmark = pytest.mark.filterwarnings("error")

F64 = np.dtype(np.float64)

LENGTHS = (0, 1, 2, 3, 17, 1500)


def normal(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


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


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("shift", [0.0, -3.0, 100.0])
def test_standardizing_is_the_oracles(backend: Any, dtype: Any, length: int, shift: float) -> None:
    values = (normal(length, length) + shift).astype(dtype)
    want = np.zeros(length)
    oracle.standardize(values, want)
    got = backend.standardize(values)
    assert got.dtype == dtype and got is not values
    assert_close(got, want, scale=1 + abs(shift))  # the mean's rounding, in deviations
    assert backend.standardize(values, out=values) is values
    assert_same(values, got)


@pytest.mark.parametrize("value", [0.0, 0.1, -1.0, 1e-30, 1e30, 1 / 3])
def test_equal_values_standardize_to_zeros(backend: Any, dtype: Any, value: float) -> None:
    for length in LENGTHS:
        assert_same(backend.standardize(np.full(length, value, dtype)), np.zeros(length, dtype))


def test_returns_over_their_deviation(backend: Any, exact: Any, dtype: Any) -> None:
    values = np.random.default_rng(5).standard_normal(99).astype(dtype) + 3
    want = values / np.std(values.astype(F64) - np.mean(values.astype(F64)))
    assert_close(backend.standardize(values, center=False), want)
    assert_close(exact.standardize(values, center=False), want)
    for equal in (np.zeros(4, dtype), np.full(4, -1, dtype), np.zeros(0, dtype)):
        assert_same(backend.standardize(equal, center=False), np.zeros(len(equal), dtype))

"""Statistics against the oracle, NumPy's own, and sums in the order that is promised."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from kernel_cases import BACKENDS
from tolerances import assert_close, assert_same

from fastpong import kernels, oracle

pytestmark = pytest.mark.filterwarnings("error")

F64 = np.dtype(np.float64)
LENGTHS = (0, 1, 2, 3, 17, 1500)


def normal(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


# --- standardize --------------------------------------------------------------------------------


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("shift", [0.0, -3.0, 100.0])
@pytest.mark.parametrize("sequential", [False, True])
def test_standardizing_is_the_oracles(
    backend: Any, dtype: Any, length: int, shift: float, sequential: bool
) -> None:
    values = (normal(length, length) + shift).astype(dtype)
    want = np.zeros(length)
    oracle.standardize(values, want)
    got = backend.standardize(values, sequential=sequential)
    assert got.dtype == dtype and got is not values
    assert_close(got, want, scale=1 + abs(shift))  # the mean's rounding, in deviations
    assert backend.standardize(values, out=values, sequential=sequential) is values
    assert_same(values, got)


@pytest.mark.parametrize("value", [0.0, 0.1, -1.0, 1e-30, 1e30, 1 / 3])
@pytest.mark.parametrize("epsilon", [0.0, 1e-8])
def test_equal_values_standardize_to_zeros(
    backend: Any, dtype: Any, value: float, epsilon: float
) -> None:
    for length in LENGTHS:
        got = backend.standardize(np.full(length, value, dtype), epsilon=epsilon)
        assert_same(got, np.zeros(length, dtype))


def test_returns_over_their_deviation(backend: Any, exact: Any, dtype: Any) -> None:
    values = np.random.default_rng(5).standard_normal(99).astype(dtype) + 3
    want = values / np.std(values.astype(F64) - np.mean(values.astype(F64)))
    assert_close(backend.standardize(values, center=False), want)
    assert_close(exact.standardize(values, center=False), want)
    for equal in (np.zeros(4, dtype), np.full(4, -1, dtype), np.zeros(0, dtype)):
        assert_same(backend.standardize(equal, center=False), np.zeros(len(equal), dtype))
    got = backend.standardize(np.full(4, 3, dtype), center=False, epsilon=0.25)
    assert_same(got, np.full(4, 12, dtype))  # v / epsilon


@pytest.mark.parametrize("shape", [(2,), (9,), (128, 8), (3, 1), (2, 3, 4), (1024,)])
@pytest.mark.parametrize("ddof, epsilon", [(0, 0.0), (1, 0.0), (1, 1e-8), (0, 0.5)])
def test_standardized_values_of_any_shape_are_numpys(
    backend: Any, dtype: Any, shape: tuple[int, ...], ddof: int, epsilon: float
) -> None:
    values = normal(3, *shape).astype(dtype)
    exact = values.astype(F64)
    want = (exact - exact.mean()) / (exact.std(ddof=ddof) + epsilon)
    assert_close(backend.standardize(values, ddof=ddof, epsilon=epsilon), want)
    out = np.full(shape, 7, dtype)
    assert backend.standardize(values, out, ddof=ddof, epsilon=epsilon) is out
    assert_close(out, want)


def test_a_single_number_is_standardized_to_0(backend: Any, dtype: Any) -> None:
    assert_same(backend.standardize(np.array(3, dtype)), np.array(0, dtype))


def test_no_number_stays_none(backend: Any, dtype: Any) -> None:
    for values in ([np.nan, 1, 2], [1, 2, np.nan], [np.nan]):
        assert np.isnan(backend.standardize(np.array(values, dtype))).all()


def eight_sums(terms: Iterable[float]) -> float:
    """Add up as promised: eight interleaved sums, then the rest."""
    numbers = list(terms)
    whole = len(numbers) - len(numbers) % 8
    s = [sum_in_order(numbers[k:whole:8]) for k in range(8)]
    return (
        ((s[0] + s[4]) + (s[1] + s[5]))
        + ((s[2] + s[6]) + (s[3] + s[7]))
        + sum_in_order(numbers[whole:])
    )


def sum_in_order(terms: Iterable[float]) -> float:
    total = 0.0
    for term in terms:  # sum() compensates, from Python 3.12 on
        total += term
    return total


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize("length", [3, 8, 17, 1501])
def test_sums_have_the_order_that_is_promised(
    name: str, dtype: Any, sequential: bool, length: int
) -> None:
    """To the bit: weights of earlier runs depend on the sequential one."""
    add = sum_in_order if sequential else eight_sums
    for seed in range(12):  # another order has the same last bit three times of four
        values = (normal(seed, length) + 1000).astype(dtype)
        numbers = [float(value) for value in values]
        mean = add(numbers) / length
        deviation = math.sqrt(add((v - mean) * (v - mean) for v in numbers) / length)
        want = np.array([(v - mean) / deviation for v in numbers]).astype(dtype)
        assert_same(kernels.get_backend(name).standardize(values, sequential=sequential), want)


def test_a_ddof_that_leaves_nothing_is_refused(backend: Any, dtype: Any) -> None:
    for size, ddof in ((1, 1), (0, 1), (3, 3), (3, 2**61)):
        with pytest.raises(ValueError, match=r"^ddof: .* number of values"):
            backend.standardize(np.zeros(size, dtype), ddof=ddof)
    wrong = ((-1, ValueError), (10**30, ValueError), (1.0, TypeError), (True, TypeError))
    for value, error in (*wrong, ("1", TypeError)):
        with pytest.raises(error, match=r"^ddof"):
            backend.standardize(np.zeros(4, dtype), ddof=value)
    with pytest.raises(ValueError, match=r"^epsilon"):
        backend.standardize(np.zeros(4, dtype), epsilon=-1e-8)


# --- running statistics -------------------------------------------------------------------------


def state(size: int) -> tuple[Any, Any, Any]:
    """Return mean, var and count as they begin."""
    return np.zeros(size), np.ones(size), np.full(1, 1e-4)


@pytest.mark.parametrize("width", [1, 3, 64, 65, 200])
def test_running_moments_are_those_of_all_rows(backend: Any, dtype: Any, width: int) -> None:
    rows = (normal(width, 50, width) * 3 + 100).astype(dtype)
    mean, var, count = np.zeros(width), np.zeros(width), np.zeros(1)
    for batch in (rows[:1], rows[1:1], rows[1:33], rows[33:]):
        assert backend.update_mean_var(batch, mean, var, count) is None
    exact = rows.astype(F64)
    assert_close(mean, exact.mean(0))
    assert_close(var, exact.var(0), scale=100)
    assert count == 50


def test_what_they_begin_with_weighs_its_count(backend: Any) -> None:
    mean, var, count = np.zeros(1), np.ones(1), np.full(1, 2.0)
    backend.update_mean_var(np.array([[3.0], [3.0]]), mean, var, count)
    # Two numbers of mean 0 and variance 1, -1 and 1, with 3 and 3
    assert_close(mean, [1.5])
    assert_close(var, [np.var([-1, 1, 3, 3])])
    assert count == 4


def test_no_rows_change_nothing(backend: Any, dtype: Any) -> None:
    for rows in (np.zeros((0, 3), dtype), np.zeros((0, 0), dtype)):
        mean, var, count = state(rows.shape[1])
        backend.update_mean_var(rows, mean, var, count)
        for got, want in zip((mean, var, count), state(rows.shape[1]), strict=True):
            assert_same(got, want)


@pytest.mark.parametrize("clip", [None, 10.0, 0.25])
@pytest.mark.parametrize("width", [1, 3, 130])
def test_normalized_observations_are_the_formula(
    backend: Any, dtype: Any, clip: float | None, width: int
) -> None:
    x = normal(2, 7, width).astype(dtype)
    mean, var = normal(3, width), normal(4, width) ** 2
    want = (x.astype(F64) - mean) / np.sqrt(var + 1e-3)
    want = want if clip is None else np.clip(want, -clip, clip)
    assert_close(backend.normalize_observations(x, mean, var, 1e-3, clip), want)
    assert backend.normalize_observations(x, mean, var, 1e-3, clip, out=x) is x
    assert_close(x, want)


def test_nothing_clips_nothing(backend: Any, dtype: Any) -> None:
    x = np.array([[1e30, -np.inf, np.nan]], dtype)
    got = backend.normalize_observations(x, np.zeros(3), np.ones(3), 1e-12, None)
    np.testing.assert_allclose(got, x, rtol=1e-6)
    got = backend.normalize_observations(x, np.zeros(3), np.ones(3), 1e-12, 5.0)
    np.testing.assert_array_equal(got, np.array([[5, -5, np.nan]], dtype))


def test_normalized_rewards_are_the_oracles(backend: Any, exact: Any, dtype: Any) -> None:
    rng = np.random.default_rng(3)
    rewards, starts = normal(5, 40, 6).astype(dtype), rng.random((40, 6)) < 0.1
    mine, theirs = (
        tuple(np.zeros(6) if k == 0 else a for k, a in enumerate((0, *state(1)))) for _ in range(2)
    )
    want = exact.normalize_rewards(rewards.astype(F64), starts, *theirs, gamma=0.9)
    assert_close(backend.normalize_rewards(rewards, starts, *mine, gamma=0.9), want)
    for got, exactly in zip(mine, theirs, strict=True):
        assert_close(got, exactly)


def test_steps_one_by_one_are_all_of_them(backend: Any, dtype: Any) -> None:
    """To the bit."""
    rng = np.random.default_rng(4)
    rewards, starts = normal(6, 30, 3).astype(dtype), rng.integers(0, 2, (30, 3), np.uint8)
    together, apart = (np.zeros(3), *state(1)), (np.zeros(3), *state(1))
    want = backend.normalize_rewards(rewards, starts, *together)
    for t in range(30):
        got = backend.normalize_rewards(rewards[t], starts[t], *apart, out=rewards[t])
        assert_same(got, want[t])
    for one, other in zip(together, apart, strict=True):
        assert_same(one, other)


def test_without_update_rewards_change_no_statistics(backend: Any, dtype: Any) -> None:
    before = (np.full(2, 5.0), np.full(1, 3.0), np.full(1, 4.0), np.full(1, 9.0))
    after = tuple(array.copy() for array in before)
    rewards, starts = np.array([1, -100], dtype), np.zeros(2, bool)
    got = backend.normalize_rewards(rewards, starts, *after, epsilon=1e-12, update=False)
    assert_close(got, [0.5, -10], rtol=1e-6)
    for one, other in zip(before, after, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("name", ["var", "count"])
@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_moments_that_cannot_be(backend: Any, name: str, value: float) -> None:
    state = {"mean": np.zeros(2), "var": np.ones(2), "count": np.ones(1)}
    state[name][0] = value
    with pytest.raises(ValueError, match=rf"^{name}: expected finite numbers >= 0, got {value}"):
        backend.update_mean_var(np.ones((3, 2)), *state.values())
    if name == "var":
        with pytest.raises(ValueError, match=r"^var: expected finite numbers >= 0"):
            backend.normalize_observations(np.ones((3, 2)), state["mean"], state["var"])

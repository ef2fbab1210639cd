"""Returns and advantages against the oracle, and bit for bit against the plain recursion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_cases import BACKENDS
from rollouts import ENDS, FUNCTIONS, columns, compute, rollout, wide
from tolerances import assert_close, assert_same

from fastpong import kernels

pytestmark = pytest.mark.filterwarnings("error")

F64 = np.dtype(np.float64)
ALL = ("discount_rewards", *FUNCTIONS)
SHAPES = [
    *((0,), (1,), (2,), (40,), (0, 3), (3, 0), (1, 1), (1, 4)),
    *((7, columns) for columns in (1, 2, 3, 4, 5, 7, 8, 9, 17)),
]
LARGE = [(1500,), (2100, 1), (300, 8), (90, 40), (3, 1100)]
"""More than a chunk of the compiled kernels holds."""


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ALL)
def test_all_are_the_oracles(
    exact: Any, dtype: Any, name: str, shape: tuple[int, ...], ends: str
) -> None:
    given = rollout(shape, dtype, ends, often=0.25)
    for gamma in (0.99, 1, 0):
        want = compute(exact, name, wide(given), gamma=gamma)
        for backend in map(kernels.get_backend, BACKENDS):
            got = compute(backend, name, given, gamma=gamma)
            for mine, theirs in zip(got, want, strict=True):
                assert (mine.dtype, mine.shape) == (dtype, shape), backend.name
                assert_close(mine, theirs, name=backend.name)


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("shape", LARGE, ids=str)
@pytest.mark.parametrize("name", ALL)
def test_long_and_wide_rollouts_are_the_oracles(
    exact: Any, name: str, shape: tuple[int, ...], ends: str
) -> None:
    given = rollout(shape, F64, ends, often=0.02)
    want = compute(exact, name, given)
    for backend in map(kernels.get_backend, BACKENDS):
        for mine, theirs in zip(compute(backend, name, given), want, strict=True):
            assert_close(mine, theirs, name=backend.name)


@pytest.mark.parametrize("lambda_", [0, 0.5, 1])
@pytest.mark.parametrize("name", ["gae", "lambda_returns", "vtrace"])
def test_any_lambda(backend: Any, exact: Any, dtype: Any, name: str, lambda_: float) -> None:
    given = rollout((40, 5), dtype, "truncated")
    got = compute(backend, name, given, lambda_=lambda_)
    for mine, theirs in zip(got, compute(exact, name, wide(given), lambda_=lambda_), strict=True):
        assert_close(mine, theirs)


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("n", [1, 2, 5, 39, 40, 41, 2**40])
def test_any_number_of_steps(exact: Any, n: int, ends: str) -> None:
    for shape in ((40,), (40, 5), (300, 8)):
        given = rollout(shape, F64, ends, often=0.05)
        (want,) = compute(exact, "n_step_returns", given, n=n)
        for backend in map(kernels.get_backend, BACKENDS):
            assert_close(compute(backend, "n_step_returns", given, n=n)[0], want, name=backend.name)


# --- bits -----------------------------------------------------------------------------------------


def plain_gae(given: Any, gamma: float, lambda_: float) -> Any:
    """Return the recursion in Python's floats, rounded once: the agents' weights follow from it."""
    rewards, values, ends = (given[key].tolist() for key in ("rewards", "values", "terminated"))
    out, carried, after = np.zeros_like(given["rewards"]), 0.0, float(given["last_value"])
    for t in reversed(range(len(rewards))):
        if ends[t]:
            carried = after = 0.0
        carried = rewards[t] + gamma * after - values[t] + gamma * lambda_ * carried
        after = values[t]
        out[t] = carried
    return out


def plain_discount(rewards: Any, gamma: float, reset: bool) -> Any:
    out, later = np.zeros_like(rewards), 0.0
    for t in reversed(range(len(rewards))):
        reward = float(rewards[t])
        later = reward + gamma * (0.0 if reset and reward != 0 else later)
        out[t] = later
    return out


def assert_bits(got: Any, want: Any) -> None:
    assert_same(got, want)
    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("often", [0.0, 0.001, 0.02, 0.5])
@pytest.mark.parametrize("shape", [(1,), (9,), (2500,), (200, 3), (200, 8), (70, 19)], ids=str)
def test_advantages_have_the_bits_of_the_plain_recursion(
    backend: Any, dtype: Any, shape: tuple[int, ...], often: float
) -> None:
    given = rollout(shape, dtype, often=often, seed=len(shape))
    got = backend.gae(**given, gamma=0.99, lambda_=0.95)
    for n in range(shape[1] if len(shape) > 1 else 1):
        one, mine = (given, got) if len(shape) == 1 else (columns(given, n), got[:, n].copy())
        assert_bits(mine, plain_gae(one, 0.99, 0.95))


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("length", [1, 17, 2500])
def test_discounted_returns_have_the_bits_of_the_plain_recursion(
    backend: Any, dtype: Any, length: int, reset: bool
) -> None:
    rng = np.random.default_rng(length)
    rewards = rng.choice([-1, 0, 1], (length, 5), p=[0.02, 0.96, 0.02]).astype(dtype)
    got = backend.discount_rewards(rewards, 0.99, reset_on_reward=reset)
    for n in range(5):
        want = plain_discount(rewards[:, n].copy(), 0.99, reset)
        assert_bits(got[:, n].copy(), want)
        assert_bits(backend.discount_rewards(rewards[:, n], 0.99, reset_on_reward=reset), want)


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("name", ALL)
def test_a_rollout_has_the_same_bits_alone_and_among_others(
    backend: Any, dtype: Any, name: str, ends: str
) -> None:
    for shape in ((30, 3), (30, 7), (200, 9), (2, 1030)):
        many = rollout(shape, dtype, ends)
        whole = compute(backend, name, many)
        for n in {0, 1, shape[1] // 2, shape[1] - 1}:
            for got, want in zip(compute(backend, name, columns(many, n)), whole, strict=True):
                assert_bits(got, want[:, n].copy())


# --- outputs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("name", ["discount_rewards", "gae", "lambda_returns"])
def test_outputs_may_be_the_rewards(backend: Any, dtype: Any, name: str, ends: str) -> None:
    for shape in ((30,), (2100,), (30, 4), (300, 8)):
        given = rollout(shape, dtype, ends)
        (want,) = compute(backend, name, given)
        out = given["rewards"].copy()
        (got,) = compute(backend, name, given | {"rewards": out}, out=out)
        assert got is out
        assert_same(out, want)


@pytest.mark.parametrize("name", ["n_step_returns", "vtrace"])
def test_outputs_in_the_memory_of_rewards_are_refused(backend: Any, name: str) -> None:
    given = rollout((5, 2))
    out = (given["rewards"], np.zeros((5, 2))) if name == "vtrace" else given["rewards"]
    with pytest.raises(ValueError, match=r"^(out|vs): shares memory with rewards"):
        compute(backend, name, given, out=out)


# --- what is not finite ---------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(12,), (12, 5), (12, 8)], ids=str)
def test_what_is_not_finite_stays_in_its_episode(
    backend: Any, dtype: Any, name: str, bad: float, shape: tuple[int, ...]
) -> None:
    given = rollout(shape, dtype, "terminated", often=0)
    given["terminated"][5] = True
    clean = compute(backend, name, given)
    given["rewards"][8] = bad
    given["values"][9] = bad
    spoilt = compute(backend, name, given)
    for got, want in zip(spoilt, clean, strict=True):
        assert_same(got[:6], want[:6])
        assert not np.isfinite(got[8]).any()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_only_values_that_count_are_read(backend: Any, dtype: Any, name: str) -> None:
    """NaN after a terminal step, and in next_values where no step is cut short."""
    given = rollout((30, 3), dtype, "truncated")
    cut = given["truncated"] & ~given["terminated"]
    want = compute(backend, name, given)
    given["next_values"][~cut] = np.nan
    given["terminated"][-1] = True
    given["last_value"][:] = np.nan
    for got, clean in zip(compute(backend, name, given), want, strict=True):
        assert np.isfinite(got).all()
        assert_same(got[0], clean[0]) if name == "n_step_returns" else None


# --- importance ratios ----------------------------------------------------------------------------


def ratios(backend: Any, log_rhos: Any) -> Any:
    """Return exp(log_rhos), as V-trace has it."""
    zeros = np.zeros_like(log_rhos)
    vs, _ = backend.vtrace(log_rhos, zeros + 1, zeros, zeros + 1, 0.0, clip_rho=1e308)
    return vs


def test_ratios_are_exponentials_to_the_last_bits(backend: Any) -> None:
    log_rhos = np.concatenate([np.linspace(-708, 709, 5000), np.linspace(-3, 3, 5001)])
    np.testing.assert_allclose(ratios(backend, log_rhos), np.exp(log_rhos), rtol=5e-16)
    assert ratios(backend, np.zeros(1))[0] == 1.0


def test_ratios_that_float64_cannot_hold(backend: Any) -> None:
    with np.errstate(all="ignore"):
        got = ratios(backend, np.array([-np.inf, -800.0, 800.0, np.inf, np.nan]))
    assert got[0] == 0 and 0 <= got[1] < 1e-300 and np.isnan(got[4])
    assert got[2] >= 8e307 and got[3] >= 8e307  # clipped at 1e308, or at the largest ratio

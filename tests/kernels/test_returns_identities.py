"""What returns and advantages must be, whatever the rollout (hypothesis)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import ALL_BACKENDS
from rollouts import FUNCTIONS, Given, compute, rollout

from fastpong import kernels

pytestmark = pytest.mark.filterwarnings("error")

SHAPES = st.tuples(st.integers(1, 12)) | st.tuples(st.integers(1, 12), st.integers(1, 9))
GAMMAS = st.floats(0, 1)
SEEDS = st.integers(0, 2**32)
ENDS = st.sampled_from(["none", "terminated", "truncated", "dones before"])


@pytest.fixture(scope="module", params=ALL_BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    return kernels.get_backend(request.param)


def same(got: Any, want: Any) -> None:
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-12 * (1 + np.max(np.abs(want))))


def after(given: Given) -> Any:
    """Return V' of every step, from the formula in the documentation."""
    values, ended = given["values"], given["terminated"]
    last = np.broadcast_to(given["last_value"], values.shape[1:])
    following = np.concatenate([values[1:], last[None]])
    if "truncated" in given:
        following = np.where(given["truncated"], given["next_values"], following)
    if "dones_before" in given:
        last_done = np.broadcast_to(given["last_done"], values.shape[1:])
        ended = np.concatenate([given["dones_before"], last_done[None]])[1:]
    return following if ended is None else np.where(ended, 0.0, following)


def monte_carlo(given: Given, gamma: float) -> Any:
    """Return the rewards to the end of the episode or of the rollout, and the value there."""
    follow, out = after(given), np.zeros_like(given["rewards"])
    cut = np.zeros(out.shape, bool)
    for name in ("terminated", "truncated"):
        if given.get(name) is not None:
            cut |= given[name]
    if "dones_before" in given:
        last = np.broadcast_to(given["last_done"], out.shape[1:])
        cut |= np.concatenate([given["dones_before"], last[None]])[1:] != 0
    cut[-1] = True
    later = np.zeros(out.shape[1:])
    for t in reversed(range(len(out))):
        later = given["rewards"][t] + gamma * np.where(cut[t], follow[t], later)
        out[t] = later
    return out


rollouts = st.builds(rollout, SHAPES, st.just(np.float64), ENDS, SEEDS, st.floats(0, 0.6))


@given(rollouts, GAMMAS)
def test_lambda_1_is_monte_carlo(backend: Any, given: Given, gamma: float) -> None:
    want = monte_carlo(given, gamma)
    same(backend.gae(**given, gamma=gamma, lambda_=1) + given["values"], want)
    same(backend.lambda_returns(**given, gamma=gamma, lambda_=1), want)
    steps = len(want)
    for n in (steps, steps + 1, 10**9):
        same(backend.n_step_returns(**given, n=n, gamma=gamma), want)
        no_values = backend.n_step_returns(**given | {"values": None}, n=n, gamma=gamma)
        same(no_values, want)


@given(rollouts, GAMMAS)
def test_lambda_0_is_one_step(backend: Any, given: Given, gamma: float) -> None:
    want = given["rewards"] + gamma * after(given)
    same(backend.gae(**given, gamma=gamma, lambda_=0) + given["values"], want)
    same(backend.lambda_returns(**given, gamma=gamma, lambda_=0), want)
    same(backend.n_step_returns(**given, n=1, gamma=gamma), want)


@given(rollouts, GAMMAS, st.floats(0, 1))
def test_lambda_returns_are_advantages_and_values(
    backend: Any, given: Given, gamma: float, lambda_: float
) -> None:
    advantages = backend.gae(**given, gamma=gamma, lambda_=lambda_)
    returns = backend.lambda_returns(**given, gamma=gamma, lambda_=lambda_)
    same(returns, advantages + given["values"])


@given(rollouts, GAMMAS, st.floats(0, 1))
def test_v_trace_on_policy_is_td_lambda(
    backend: Any, given: Given, gamma: float, lambda_: float
) -> None:
    zeros = np.zeros_like(given["rewards"])
    vs, advantages = backend.vtrace(zeros, **given, gamma=gamma, lambda_=lambda_)
    same(vs, backend.lambda_returns(**given, gamma=gamma, lambda_=lambda_))
    if lambda_ == 1:
        same(advantages, backend.gae(**given, gamma=gamma, lambda_=1))


@given(rollouts, GAMMAS)
def test_v_trace_without_ratios_keeps_the_values(backend: Any, given: Given, gamma: float) -> None:
    """A policy that never acts so learns nothing of it."""
    never = np.full_like(given["rewards"], -np.inf)
    vs, advantages = backend.vtrace(never, **given, gamma=gamma)
    same(vs, given["values"])
    same(advantages, np.zeros_like(vs))


@given(rollouts, GAMMAS, st.floats(0, 2), st.floats(0, 2))
def test_v_trace_clips_ratios(
    backend: Any, given: Given, gamma: float, clip: float, clip_pg: float
) -> None:
    """Where all ratios are larger than the bound they are the bound."""
    large = np.full_like(given["rewards"], 5.0)
    clips = {"clip_rho": clip, "clip_c": clip, "clip_pg_rho": clip_pg}
    one = np.zeros_like(large)
    vs, advantages = backend.vtrace(large, **given, gamma=gamma, **clips)
    delta = given["rewards"] + gamma * after(given) - given["values"]
    same(vs[-1], given["values"][-1] + clip * delta[-1])
    same(advantages[-1], clip_pg * delta[-1])
    if clip <= 1:
        ones = backend.vtrace(one, **given, gamma=gamma, **clips)
        same(vs, ones[0])


@pytest.mark.parametrize("name", FUNCTIONS)
@given(shape=SHAPES, seed=SEEDS, often=st.floats(0, 0.6), gamma=GAMMAS)
def test_a_truncation_is_an_end_with_its_value_in_the_reward(
    backend: Any, name: str, shape: tuple[int, ...], seed: int, often: float, gamma: float
) -> None:
    """What Stable-Baselines3 does: r + gamma V(s'), and done."""
    given = rollout(shape, np.float64, "truncated", seed, often)
    cut = given["truncated"] & ~given["terminated"]
    plain = {
        **given,
        "rewards": given["rewards"] + gamma * np.where(cut, given["next_values"], 0),
        "terminated": given["terminated"] | cut, "truncated": None, "next_values": None,
    }  # fmt: skip
    for got, want in zip(
        compute(backend, name, given, gamma=gamma), compute(backend, name, plain, gamma=gamma),
        strict=True,
    ):  # fmt: skip
        same(got, want)


@pytest.mark.parametrize("name", ["discount_rewards", *FUNCTIONS])
@given(shape=SHAPES, seed=SEEDS, often=st.floats(0, 0.6))
def test_dones_before_are_the_ends_of_the_step_before(
    backend: Any, name: str, shape: tuple[int, ...], seed: int, often: float
) -> None:
    given = rollout(shape, np.float64, "dones before", seed, often)
    last = np.broadcast_to(given["last_done"], shape[1:])
    shifted = {
        **{key: value for key, value in given.items() if "done" not in key},
        "terminated": np.concatenate([given["dones_before"], last[None]])[1:],
    }
    for got, want in zip(
        compute(backend, name, given), compute(backend, name, shifted), strict=True
    ):
        np.testing.assert_array_equal(got, want)


@given(shape=SHAPES, seed=SEEDS, often=st.floats(0, 0.6), gamma=GAMMAS)
def test_discounted_returns_are_advantages_over_nothing(
    backend: Any, shape: tuple[int, ...], seed: int, often: float, gamma: float
) -> None:
    given = rollout(shape, np.float64, "terminated", seed, often)
    zeros = np.zeros(shape)
    want = backend.gae(given["rewards"], zeros, given["terminated"], 0, gamma, 1)
    got = backend.discount_rewards(given["rewards"], gamma, terminated=given["terminated"])
    np.testing.assert_array_equal(got, want)
    rewards = np.sign(given["rewards"]) * given["terminated"]
    resets = backend.discount_rewards(rewards, gamma)
    np.testing.assert_array_equal(
        resets, backend.discount_rewards(rewards, gamma, terminated=rewards != 0)
    )


# --- what a caller may pass -----------------------------------------------------------------------

FLOATS = st.sampled_from(["float32", "float64"])
FLAGS = st.sampled_from(["bool", "uint8", "int8", "int64", "float32", "float64"])
SCALARS = st.sampled_from([float, int, np.float32, np.float64, np.int64])
LAYOUTS = st.sampled_from(["C", "F", "read only", "strided"])


def laid(array: Any, layout: str) -> Any:
    if layout == "F":
        return np.asfortranarray(array)
    if layout == "strided":
        return np.repeat(array, 2, axis=0)[::2]
    array = array.copy()
    array.flags.writeable = layout != "read only"
    return array


@settings(max_examples=200)
@given(
    name=st.sampled_from(["discount_rewards", *FUNCTIONS]), shape=SHAPES, ends=ENDS, seed=SEEDS,
    dtype=FLOATS, flags=FLAGS, whole=st.booleans(), scalar=SCALARS, layout=LAYOUTS,
)  # fmt: skip
def test_kinds_of_arguments_make_no_difference(
    name: str, shape: tuple[int, ...], ends: str, seed: int, dtype: str, flags: str, whole: bool,
    scalar: Any, layout: str,
) -> None:  # fmt: skip
    backend = kernels.get_backend()
    plain = rollout(shape, dtype, ends, seed)
    if whole:
        plain["rewards"] = np.rint(plain["rewards"])
    bent = dict(plain)
    for key in ("terminated", "truncated", "dones_before"):
        if plain.get(key) is not None:
            bent[key] = laid(plain[key].astype(flags) * 1, layout)
    for key in ("rewards", "values", "next_values"):
        if plain.get(key) is not None:
            bent[key] = laid(plain[key], layout)
    if whole and name != "discount_rewards":
        bent["rewards"] = laid(plain["rewards"].astype(np.int8), layout)
    gamma = scalar(1)
    for got, want in zip(
        compute(backend, name, bent, gamma=gamma), compute(backend, name, plain, gamma=1.0),
        strict=True,
    ):  # fmt: skip
        assert got.dtype == dtype and got.shape == shape
        np.testing.assert_array_equal(got, want)

"""Identities that every backend, the oracle included, keeps for any input (hypothesis)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from kernel_cases import ALL_BACKENDS, DTYPES, PIXELS, sparse_frames
from tolerances import assert_close, assert_same

from fastpong import kernels, oracle

pytestmark = pytest.mark.filterwarnings("error")

POINTS = st.lists(st.sampled_from([0, 0, 0, 1, -1]), max_size=60)
GAMMAS = st.floats(0, 1)
# Far from the ends of float32's range, so that squares neither overflow nor vanish.
LEAST, MOST = 2.0**-33, 2.0**33
NUMBERS = st.just(0.0) | st.floats(LEAST, MOST, width=32) | st.floats(-MOST, -LEAST, width=32)
SMALL = st.integers(-1000, 1000).map(lambda k: k / 64)


@pytest.fixture(scope="module", params=ALL_BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    return kernels.get_backend(request.param)


@pytest.fixture(scope="module", params=DTYPES, ids=str)
def dtype(request: pytest.FixtureRequest) -> Any:
    return request.param


def returns(backend: Any, dtype: Any, rewards: Any, gamma: float, reset: bool = True) -> Any:
    return backend.discount_rewards(np.array(rewards, dtype), gamma, reset_on_reward=reset)


# --- returns ------------------------------------------------------------------------------------


@given(rewards=POINTS, reset=st.booleans())
def test_gamma_0_returns_the_rewards(backend: Any, dtype: Any, rewards: Any, reset: bool) -> None:
    got = returns(backend, dtype, rewards, 0, reset)
    assert_same(got, np.array(rewards, dtype))


@given(rewards=POINTS)
def test_gamma_1_sums_what_is_to_come(backend: Any, dtype: Any, rewards: Any) -> None:
    got = returns(backend, dtype, rewards, 1, reset=False)
    assert_same(got, np.cumsum(rewards[::-1], dtype=dtype)[::-1])


@given(rewards=POINTS)
def test_gamma_1_with_reset_is_the_rallys_point(backend: Any, dtype: Any, rewards: Any) -> None:
    want = [next((r for r in rewards[t:] if r), 0) for t in range(len(rewards))]
    assert_same(returns(backend, dtype, rewards, 1), np.array(want, dtype))


@given(rewards=POINTS, gamma=GAMMAS)
def test_each_return_follows_from_the_next(
    backend: Any, dtype: Any, rewards: Any, gamma: float
) -> None:
    got = returns(backend, dtype, rewards, gamma, reset=False)
    assert_close(got, np.array(rewards) + gamma * np.append(got[1:], 0.0)[: len(got)])


@given(first=POINTS, second=POINTS, gamma=GAMMAS, point=st.sampled_from([-1, 1]))
def test_a_point_parts_the_rallies(
    backend: Any, dtype: Any, first: Any, second: Any, gamma: float, point: int
) -> None:
    whole = returns(backend, dtype, [*first, point, *second], gamma)
    parts = [returns(backend, dtype, part, gamma) for part in ([*first, point], second)]
    assert_close(whole, np.concatenate(parts))


# --- standardize --------------------------------------------------------------------------------


@given(values=st.lists(NUMBERS, min_size=2, max_size=60, unique=True))
def test_standardized_is_mean_0_deviation_1(backend: Any, dtype: Any, values: Any) -> None:
    exact = np.array(values, dtype)
    got = backend.standardize(exact)
    worst = float(np.max(np.abs(exact)) / np.std(exact.astype("f8")))
    assert_close(np.mean(got, dtype="f8", keepdims=True).astype(dtype), [0.0], scale=1 + worst)
    assert_close(np.std(got.astype("f8"), keepdims=True).astype(dtype), [1.0], scale=1 + worst)
    assert np.all(np.diff(got[np.argsort(exact)]) >= 0)  # the order is kept


@given(
    values=st.lists(SMALL, min_size=2, max_size=60, unique=True),
    shift=SMALL,
    scale=st.sampled_from([0.5, 2.0, 1024.0, -1.0, -0.25]),
)
def test_standardizing_forgets_shift_and_scale(
    backend: Any, dtype: Any, values: Any, shift: float, scale: float
) -> None:
    plain = np.array(values, dtype)
    got = backend.standardize(plain * dtype.type(scale) + dtype.type(shift))
    # These sums are exact in either dtype; only the mean is rounded, by its own size.
    worst = (np.abs(plain * scale + shift).max() + 1) / np.std(plain * scale)
    assert_close(got, np.sign(scale) * backend.standardize(plain), scale=1 + worst)


@given(value=st.floats(-(2.0**100), 2.0**100, width=32) | st.just(0.1), length=st.integers(0, 300))
def test_equal_values_are_standard_zeros(
    backend: Any, dtype: Any, value: float, length: int
) -> None:
    assert_same(backend.standardize(np.full(length, value, dtype)), np.zeros(length, dtype))


@given(values=st.lists(NUMBERS, min_size=2, max_size=60, unique=True), ddof=st.integers(0, 1))
def test_epsilon_only_shrinks(backend: Any, dtype: Any, values: Any, ddof: int) -> None:
    exact = np.array(values, dtype)
    plain = backend.standardize(exact, ddof=ddof).astype("f8")
    got = backend.standardize(
        exact, ddof=ddof, epsilon=float(np.std(exact.astype("f8"), ddof=ddof))
    )
    worst = float(np.max(np.abs(exact)) / np.std(exact.astype("f8")))
    assert_close(got, plain / 2, scale=1 + worst)  # an epsilon of a deviation halves it


# --- running statistics -------------------------------------------------------------------------

ROWS = arrays(np.float64, st.tuples(st.integers(0, 20), st.integers(1, 70)), elements=SMALL)


@given(rows=ROWS, cut=st.integers(0, 20))
def test_parts_have_the_moments_of_the_whole(backend: Any, dtype: Any, rows: Any, cut: int) -> None:
    rows = rows.astype(dtype)
    whole, parts = (
        (np.zeros(rows.shape[1]), np.ones(rows.shape[1]), np.full(1, 0.5)) for _ in range(2)
    )
    backend.update_mean_var(rows, *whole)
    for part in (rows[:cut], rows[cut:]):
        backend.update_mean_var(part, *parts)
    for one, other in zip(whole, parts, strict=True):
        assert_close(one, other, scale=300)  # of squares of up to 16


@given(rows=ROWS, clip=st.sampled_from([None, 0.5, 3.0]))
def test_rows_normalized_by_their_moments_are_standard(
    backend: Any, dtype: Any, rows: Any, clip: float | None
) -> None:
    moments = np.zeros(rows.shape[1]), np.zeros(rows.shape[1]), np.zeros(1)
    backend.update_mean_var(rows.astype(dtype), *moments)
    got = backend.normalize_observations(rows.astype(dtype), *moments[:2], 1e-12, clip)
    assert got.dtype == dtype and got.shape == rows.shape
    assert clip is None or not got.size or np.abs(got).max() <= clip
    if clip is None and len(rows):
        assert_close(got.mean(0, dtype="f8"), np.zeros(rows.shape[1]), scale=3000, rtol=1e-7)
        assert np.all(got.std(0, dtype="f8") < 1 + 1e-5)


@given(
    rewards=arrays(np.float64, st.tuples(st.integers(0, 12), st.integers(1, 5)), elements=SMALL),
    seed=st.integers(0, 2**32), gamma=GAMMAS, update=st.booleans(),
)  # fmt: skip
def test_rewards_keep_their_sign_and_order(
    backend: Any, dtype: Any, rewards: Any, seed: int, gamma: float, update: bool
) -> None:
    starts = np.random.default_rng(seed).random(rewards.shape) < 0.2
    state = np.zeros(rewards.shape[1]), np.zeros(1), np.ones(1), np.full(1, 1e-4)
    got = backend.normalize_rewards(
        rewards.astype(dtype), starts, *state, gamma=gamma, clip=None, update=update
    )
    assert np.all(got * rewards >= 0) and np.all((got == 0) == (rewards == 0))
    for row, exact in zip(got, rewards, strict=True):  # a step has one divisor
        assert np.all(np.diff(row[np.argsort(exact)]) >= 0)
    assert state[3][0] == pytest.approx(1e-4 + (rewards.size if update else 0), rel=1e-12)


@given(
    sizes=st.lists(st.integers(0, 30), max_size=4), seed=st.integers(0, 2**32),
    max_norm=st.floats(0, 10),
)  # fmt: skip
def test_no_norm_is_above_what_it_is_clipped_to(
    backend: Any, dtype: Any, sizes: Any, seed: int, max_norm: float
) -> None:
    rng = np.random.default_rng(seed)
    gradients = [rng.standard_normal(size).astype(dtype) for size in sizes]
    before = [gradient.copy() for gradient in gradients]
    norm = backend.clip_grad_norm(gradients, max_norm)
    after = backend.clip_grad_norm(gradients, np.inf)
    assert after <= max_norm * (1 + 1e-6) and after <= norm
    for one, other in zip(gradients, before, strict=True):
        assert np.all(one * other >= 0)


# --- network ------------------------------------------------------------------------------------

SIZES = st.lists(st.sampled_from([0, 1, 5, 22, 200]), max_size=6)
SEEDS = st.integers(0, 2**32)
UNITS = st.integers(1, 70)


def network(dtype: Any, seed: int, sizes: Any, units: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    w1, w2 = rng.standard_normal((PIXELS, units)) / 80, rng.standard_normal(units)
    dlogit = rng.standard_normal((2, len(sizes)))
    frames = sparse_frames(rng, sizes)
    return frames, *(array.astype(dtype) for array in (w1, w2, dlogit))


@given(seed=SEEDS, sizes=SIZES, units=UNITS)
def test_sparse_is_dense(backend: Any, dtype: Any, seed: int, sizes: Any, units: int) -> None:
    frames, w1, w2, dlogit = network(dtype, seed, sizes, units)
    x = oracle.dense_frames(*frames).astype(dtype)
    dense = backend.policy_forward(x, w1, w2)
    for one, two in zip(backend.sparse_policy_forward(*frames, w1, w2), dense, strict=True):
        assert_close(one, two)
    hidden = dense[0]
    wanted = backend.policy_backward(x, hidden, dlogit[0], w2)
    sparse = backend.sparse_policy_backward(*frames, hidden, dlogit[0], w2)
    for one, two in zip(sparse, wanted, strict=True):
        assert_close(one, two)


@given(seed=SEEDS, sizes=SIZES, units=UNITS, a=SMALL, b=SMALL)
def test_backward_is_linear_in_dlogit(
    backend: Any, dtype: Any, seed: int, sizes: Any, units: int, a: float, b: float
) -> None:
    frames, w1, w2, (one, two) = network(dtype, seed, sizes, units)
    x = oracle.dense_frames(*frames).astype(dtype)
    hidden, _ = backend.sparse_policy_forward(*frames, w1, w2)
    mixed = (a * one + b * two).astype(dtype)
    size = (1 + abs(a) + abs(b)) * (1 + np.abs(w2).max(initial=0) + np.abs(hidden).max(initial=0))
    size *= 1 + np.abs(one).sum() + np.abs(two).sum()
    for backward in (
        lambda dlogit: backend.sparse_policy_backward(*frames, hidden, dlogit, w2),
        lambda dlogit: backend.policy_backward(x, hidden, dlogit, w2),
    ):
        parts = zip(backward(mixed), backward(one), backward(two), strict=True)
        for got, first, second in parts:
            assert_close(got, a * first.astype("f8") + b * second.astype("f8"), scale=size)
        assert not any(gradient.any() for gradient in backward(np.zeros_like(one)))


@given(logit=st.sampled_from([1000.0, 1e4, 1e30, 750.0, 709.5, 88.9]) | st.floats(0, 100))
def test_extreme_logits_give_probabilities(backend: Any, dtype: Any, logit: float) -> None:
    x, w1 = np.eye(1, PIXELS, dtype=dtype), np.ones((PIXELS, 2), dtype)
    frames = np.array([0, 1], np.int64), np.zeros(1, np.uint16), np.ones(1, np.int8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for sign in (1, -1):
            # Two hidden units of 1, and half of the logit from either.
            w2 = np.full(2, sign * logit / 2, dtype)
            exact = 1 / (1 + np.exp(-min(float(sign * w2.sum(dtype="f8")), 800)))
            for _, p in (
                backend.policy_forward(x, w1, w2),
                backend.sparse_policy_forward(*frames, w1, w2),
            ):
                assert p.dtype == dtype and np.isfinite(p[0]) and 0 <= p[0] <= 1
                assert_close(p, [exact if sign > 0 else 1 - exact], scale=1)
                if logit >= 1000:
                    assert p[0] == (sign > 0)


def test_no_light_is_an_even_chance(backend: Any, dtype: Any) -> None:
    w1, w2 = np.ones((PIXELS, 3), dtype), np.ones(3, dtype)
    hidden, p = backend.policy_forward(np.zeros((2, PIXELS), dtype), w1, w2)
    assert not hidden.any() and p.tolist() == [0.5, 0.5]


# --- frames -------------------------------------------------------------------------------------

SCREENS = st.builds(
    # Rows of one colour and specks: differences from none to many, as on a screen.
    lambda seed, specks: _screen(np.random.default_rng(seed), specks),
    SEEDS,
    st.integers(0, 2000),
)
TABLES = arrays(np.uint8, 256, elements=st.integers(0, 1))


def _screen(rng: Any, specks: int) -> Any:
    screen = np.repeat(rng.integers(0, 4, (210, 1), dtype=np.uint8), 160, axis=1)
    screen[rng.integers(0, 210, specks), rng.integers(0, 160, specks)] = rng.integers(256)
    return screen


@given(screen=SCREENS, colours=TABLES)
def test_a_screen_does_not_differ_from_itself(backend: Any, screen: Any, colours: Any) -> None:
    for previous in (screen, screen.copy(), None):
        for part in backend.sparse_difference_frame(screen, previous, colours):
            assert part.size == 0
    frame = backend.preprocess_frame(screen, colours)
    assert not backend.difference_frame(frame, frame).any()


@given(one=SCREENS, two=SCREENS, colours=TABLES)
def test_differences_lead_from_frame_to_frame(
    backend: Any, one: Any, two: Any, colours: Any
) -> None:
    indices, signs = backend.sparse_difference_frame(two, one, colours)
    back = backend.sparse_difference_frame(one, two, colours)
    assert_same(back[0], indices)
    assert_same(back[1], -signs)
    assert np.all(np.diff(indices.astype(int)) > 0) and set(signs.tolist()) <= {-1, 1}
    frame, after = (backend.preprocess_frame(screen, colours) for screen in (one, two))
    assert_same(backend.difference_frame(after, frame)[indices], signs.astype(np.float32))
    frame[indices] += signs
    assert_same(frame, after)


@given(screen=arrays(np.uint8, (210, 160), elements=st.integers(0, 255), fill=st.integers(0, 255)))
def test_colours_and_indices_agree(backend: Any, screen: Any) -> None:
    """Of a palette whose red is the index itself, RGB and table say the same."""
    colours = np.ones(256, np.uint8)
    colours[[0, 109, 144]] = 0
    rgb = np.stack([screen, 255 - screen, screen // 2], axis=-1)
    assert_same(backend.preprocess_frame(rgb), backend.preprocess_frame(screen, colours))


# --- optimizer ----------------------------------------------------------------------------------

WEIGHTS = st.lists(SMALL, max_size=40)
RATES = st.floats(0, 1)
DECAYS = st.sampled_from([0.0, 0.25, 0.5, 0.99, 1.0])


@given(weights=WEIGHTS, decay=DECAYS, rate=RATES)
def test_no_gradient_only_decays_the_cache(
    backend: Any, dtype: Any, weights: Any, decay: float, rate: float
) -> None:
    parameter = np.array(weights, dtype)
    cache = np.square(parameter) + dtype.type(1)
    before, squares = parameter.copy(), cache.copy()
    backend.rmsprop_update(parameter, np.zeros_like(parameter), cache, rate, decay, 1e-5)
    assert_same(parameter, before)
    assert_close(cache, decay * squares.astype("f8"))


@given(gradients=WEIGHTS, decay=DECAYS, rate=RATES)
def test_a_climb_is_odd_and_bounded(
    backend: Any, dtype: Any, gradients: Any, decay: float, rate: float
) -> None:
    gradient = np.array(gradients, dtype)
    moves, caches = [], []
    for sign in (1, -1):
        parameter, cache = np.zeros_like(gradient), np.zeros_like(gradient)
        backend.rmsprop_update(parameter, sign * gradient, cache, rate, decay, 1e-5)
        moves.append(parameter)
        caches.append(cache)
    assert_same(moves[0], -moves[1])
    assert_same(caches[0], caches[1])
    assert_close(caches[0], (1 - decay) * np.square(gradient.astype("f8")))
    assert np.all(moves[0] * gradient >= 0)  # uphill
    if decay < 1:  # from an empty cache |move| = rate |g| / (sqrt(1 - decay) |g| + eps)
        assert np.all(np.abs(moves[0]) <= rate / np.sqrt(1 - decay) * (1 + 1e-5))

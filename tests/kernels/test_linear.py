"""The compiled kernels against the oracle, through the public API, and against mathematics."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import ale_py
import numpy as np
import pytest
from ale_py import roms
from kernel_cases import (
    BACKENDS,
    CASES,
    DTYPES,
    PIXELS,
    kernel_case,
    sparse_frames,
    step_buffers,
    table,
)
from tolerances import GRADIENT, KERNEL, assert_close, assert_same

from fastpong import kernels, oracle

pytestmark = pytest.mark.filterwarnings("error")

UNITS = (1, 3, 7, 63, 64, 65, 200)
LENGTHS = (0, 1, 2, 3, 17, 1500)
F64 = np.dtype(np.float64)


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    return kernels.get_backend(request.param)


@pytest.fixture(params=DTYPES, ids=str)
def dtype(request: pytest.FixtureRequest) -> Any:
    return request.param


@dataclass
class Game:
    """A stretch of Pong: (N, 210, 160) indices, (N, 210, 160, 3) colours, the table of both."""

    palette: Any
    rgb: Any
    table: Any


@pytest.fixture(scope="module")
def game() -> Game:
    """Play 300 steps of 3 frames each: the colours after a reset, serves, rallies, points."""
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", 0)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(roms.get_rom_path("pong"))
    ale.reset_game()
    palette, rgb = [], []
    for action in np.random.default_rng(3).choice([3, 4], 300):
        palette.append(ale.getScreen())
        rgb.append(ale.getScreenRGB())
        assert sum(ale.act(int(action)) for _ in range(3)) <= 0
    colours = np.ones(256, np.uint8)
    screens, reds = np.array(palette), np.array(rgb)[..., 0]
    colours[np.unique(screens[np.isin(reds, (0, 109, 144))])] = 0
    return Game(screens, np.array(rgb), colours)


def encode(backend: Any, game: Game) -> tuple[Any, Any, Any]:
    """Return the game as sparse frames (indptr, indices, signs)."""
    pairs = zip(game.palette, (None, *game.palette[:-1]), strict=True)
    frames = [backend.sparse_difference_frame(*pair, game.table) for pair in pairs]
    indptr = np.concatenate([[0], np.cumsum([len(indices) for indices, _ in frames])])
    indices, signs = (np.concatenate(part) for part in zip(*frames, strict=True))
    return indptr.astype(np.int64), indices, signs


def normal(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


# --- frames -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["uint8", "float32", "float64"])
def test_preprocessing_is_the_oracles(backend: Any, game: Game, kind: str) -> None:
    want, out = np.zeros(PIXELS, kind), np.full(PIXELS, 9, kind)
    lit = 0
    for palette, rgb in zip(game.palette, game.rgb, strict=True):
        oracle.preprocess_frame_rgb(rgb, want)
        assert_same(backend.preprocess_frame(rgb, out=out), want)
        assert_same(backend.preprocess_frame(palette, game.table, out=out), want)
        lit += int(np.count_nonzero(want))
    assert 0 < lit < 0.2 * want.size * len(game.palette)  # paddles, ball: not everything


def test_preprocessing_of_any_bytes_is_the_oracles(backend: Any) -> None:
    rng = np.random.default_rng(5)
    want = np.zeros(PIXELS, np.float32)
    for _ in range(20):
        frame = rng.integers(0, 256, (210, 160, 3), dtype=np.uint8)
        frame[rng.random((210, 160)) < 0.5, 0] = rng.choice([0, 109, 144])
        oracle.preprocess_frame_rgb(frame, want)
        assert_same(backend.preprocess_frame(frame), want)
        colours = table(rng)
        oracle.preprocess_frame(frame[..., 1], colours, want)
        assert_same(backend.preprocess_frame(frame[..., 1], colours), want)


@pytest.mark.parametrize("kind", ["uint8", "float32", "float64"])
def test_difference_is_the_oracles_in_place_too(backend: Any, kind: str) -> None:
    current, previous = np.random.default_rng(1).integers(0, 2, (2, PIXELS)).astype(kind)
    want = np.zeros(PIXELS, np.int8 if kind == "uint8" else kind)
    oracle.difference_frame(current, previous, want)
    assert set(np.unique(want)) == {-1, 0, 1}
    assert_same(backend.difference_frame(current, previous), want)
    assert_same(backend.difference_frame(current, None), np.zeros_like(want))
    for reused in (current, previous):
        pair = [current.copy(), previous.copy()]
        out = pair[0 if reused is current else 1].view(want.dtype)
        assert backend.difference_frame(*pair, out=out) is out
        assert_same(out, want)


def test_sparse_difference_is_the_oracles(backend: Any, game: Game) -> None:
    rng = np.random.default_rng(2)
    pairs = [*zip(game.palette[1:], game.palette[:-1], strict=True)]
    trials = [(now, before, game.table) for now, before in pairs]
    trials += [(*rng.integers(0, 256, (2, 210, 160), dtype=np.uint8), table(rng))]
    everything = np.array([0] + [1] * 255, np.uint8)
    trials += [(np.ones((210, 160), np.uint8), np.zeros((210, 160), np.uint8), everything)]
    counts = []
    for trial in trials:
        want = np.full(PIXELS, 9, np.uint16), np.full(PIXELS, 9, np.int8)
        n = oracle.sparse_difference_frame(*trial, *want)
        out = np.full(PIXELS, 9, np.uint16), np.full(PIXELS, 9, np.int8)
        got = backend.sparse_difference_frame(*trial, out=out)
        for part, whole, exact in zip(got, out, want, strict=True):
            assert_same(part, exact[:n])
            assert np.shares_memory(part, whole) or n == 0
            assert_same(whole[n + 1 :], exact[n + 1 :])  # a kernel may write one element too many
        counts.append(n)
    assert counts[-1] == PIXELS and 1000 < counts[-2] < 5000 and 3 < np.median(counts) < 60


def test_sparse_difference_sees_exactly_the_kept_pixels(backend: Any) -> None:
    colours = np.array([0] + [1] * 255, np.uint8)
    blank = np.zeros((210, 160), np.uint8)
    for y in (0, 33, 34, 35, 36, 37, 113, 192, 193, 194, 195, 209):
        for x in (0, 1, 2, 31, 32, 79, 80, 157, 158, 159):
            screen = blank.copy()
            screen[y, x] = 200
            indices, signs = backend.sparse_difference_frame(screen, blank, colours)
            kept = 35 <= y < 195 and (y - 35) % 2 == 0 and x % 2 == 0
            assert indices.tolist() == ([(y - 35) // 2 * 80 + x // 2] if kept else [])
            assert signs.tolist() == [1] * kept
    # Another background is no difference, another foreground neither.
    assert backend.sparse_difference_frame(blank + 1, blank + 2, colours)[0].size == 0


# --- network ------------------------------------------------------------------------------------


def forward_exact(x: Any, w1: Any, w2: Any) -> tuple[Any, Any]:
    """Return the oracle's hidden and probability, unrounded."""
    hidden, probability = np.zeros((len(x), len(w2))), np.zeros(len(x))
    oracle.policy_forward(x, w1, w2, hidden, probability)
    return hidden, probability


def backward_exact(x: Any, hidden: Any, dlogit: Any, w2: Any) -> tuple[Any, Any]:
    grads = np.zeros((x.shape[1], len(w2))), np.zeros(len(w2))
    oracle.policy_backward(x, hidden, dlogit, w2, *grads)
    return grads


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("steps", [0, 1, 5])
@pytest.mark.parametrize("pixels", [1, 33, PIXELS])
def test_dense_network_is_the_oracles(
    backend: Any, dtype: Any, units: int, steps: int, pixels: int
) -> None:
    x = normal(0, steps, pixels) * (normal(1, steps, pixels) > 0)  # half of them are zero
    w1, w2, dlogit = normal(2, pixels, units) / 80, normal(3, units), normal(4, steps)
    x, w1, w2, dlogit = (array.astype(dtype) for array in (x, w1, w2, dlogit))
    hidden, probability = backend.policy_forward(x, w1, w2)
    exact = forward_exact(x, w1, w2)
    assert_close(hidden, exact[0])
    assert_close(probability, exact[1])
    grads = backend.policy_backward(x, hidden, dlogit, w2)
    for got, want in zip(grads, backward_exact(x, hidden, dlogit, w2), strict=True):
        assert got.dtype == dtype
        assert_close(got, want)


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("sizes", [[], [0], [1], [22, 0, 6400, 0, 1, 300]], ids=str)
def test_sparse_network_is_the_oracles(
    backend: Any, dtype: Any, units: int, sizes: list[int]
) -> None:
    frames = sparse_frames(np.random.default_rng(6), sizes)
    w1, w2, dlogit = normal(2, PIXELS, units) / 80, normal(3, units), normal(4, len(sizes))
    w1, w2, dlogit = (array.astype(dtype) for array in (w1, w2, dlogit))
    x = oracle.dense_frames(*frames)
    hidden, probability = backend.sparse_policy_forward(*frames, w1, w2)
    exact = forward_exact(x, w1, w2)
    assert_close(hidden, exact[0])
    assert_close(probability, exact[1])
    grads = backend.sparse_policy_backward(*frames, hidden, dlogit, w2)
    for got, want in zip(grads, backward_exact(x, hidden, dlogit, w2), strict=True):
        assert got.dtype == dtype
        assert_close(got, want)
    assert not np.any(grads[0][~np.any(x, axis=0)])  # pixels that were never lit


def test_network_on_a_real_game_is_the_oracles(backend: Any, dtype: Any, game: Game) -> None:
    frames = encode(backend, game)
    x = oracle.dense_frames(*frames).astype(dtype)
    w1, w2 = (normal(8, PIXELS, 200) / 80).astype(dtype), (normal(9, 200) / 14).astype(dtype)
    dlogit = normal(10, len(x)).astype(dtype)
    exact = forward_exact(x, w1, w2)
    hidden = exact[0].astype(dtype)
    gradient = backward_exact(x, hidden, dlogit, w2)
    for got, want in (
        (backend.policy_forward(x, w1, w2), exact),
        (backend.sparse_policy_forward(*frames, w1, w2), exact),
        (backend.policy_backward(x, hidden, dlogit, w2), gradient),
        (backend.sparse_policy_backward(*frames, hidden, dlogit, w2), gradient),
    ):
        assert_close(got[0], want[0])
        assert_close(got[1], want[1])


def test_sparse_frames_may_be_a_part_of_their_buffers(backend: Any, dtype: Any) -> None:
    indptr, indices, signs = sparse_frames(np.random.default_rng(6), [9, 30, 2, 50])
    w1, w2 = normal(2, PIXELS, 7).astype(dtype), normal(3, 7).astype(dtype)
    dlogit = normal(4, 4).astype(dtype)
    whole = backend.sparse_policy_forward(indptr, indices, signs, w1, w2)
    part = backend.sparse_policy_forward(indptr[1:3], indices, signs, w1, w2)
    assert_same(part[0], whole[0][1:2])
    assert_same(part[1], whole[1][1:2])
    got = backend.sparse_policy_backward(indptr[1:3], indices, signs, part[0], dlogit[1:2], w2)
    x = oracle.dense_frames(indptr[1:3], indices, signs)
    assert_close(got[0], backward_exact(x, part[0], dlogit[1:2], w2)[0])


def test_sparse_network_has_as_many_pixels_as_rows(backend: Any, dtype: Any) -> None:
    frames = sparse_frames(np.random.default_rng(6), [9, 0, 33], pixels=33)
    x = oracle.dense_frames(*frames)[:, :33]
    w1, w2 = normal(2, 33, 7).astype(dtype), normal(3, 7).astype(dtype)
    dlogit = normal(4, 3).astype(dtype)
    hidden, probability = backend.sparse_policy_forward(*frames, w1, w2)
    exact = forward_exact(x, w1, w2)
    assert_close(hidden, exact[0])
    assert_close(probability, exact[1])
    out = np.zeros((33, 7), dtype), np.zeros(7, dtype)
    got = backend.sparse_policy_backward(*frames, hidden, dlogit, w2, out=out)
    assert_close(got[0], backward_exact(x, hidden, dlogit, w2)[0])


def test_weights_gone_astray_are_seen(backend: Any, dtype: Any) -> None:
    """The ReLU must not turn NaN into a healthy 0."""
    frames = sparse_frames(np.random.default_rng(6), [9, 3])
    x = oracle.dense_frames(*frames).astype(dtype)
    w1, w2 = np.ones((PIXELS, 7), dtype), np.ones(7, dtype)
    w1[:, 5] = np.nan
    for hidden, probability in (
        backend.policy_forward(x, w1, w2),
        backend.sparse_policy_forward(*frames, w1, w2),
    ):
        assert np.isnan(hidden[:, 5]).all() and np.isfinite(hidden[:, :5]).all()
        assert np.isnan(probability).all()


def test_one_frame_is_the_first_of_one(backend: Any, dtype: Any) -> None:
    x, w1, w2 = normal(1, PIXELS), normal(2, PIXELS, 7) / 80, normal(3, 7)
    x, w1, w2 = (array.astype(dtype) for array in (x, w1, w2))
    hidden, probability = backend.policy_forward(x, w1, w2)
    batch = backend.policy_forward(x[None], w1, w2)
    assert_same(hidden, batch[0][0])
    assert probability == batch[1][0] and np.ndim(probability) == 0


@pytest.mark.parametrize("name", ["policy_backward", "sparse_policy_backward"])
def test_accumulating_adds_and_the_default_overwrites(backend: Any, dtype: Any, name: str) -> None:
    case = kernel_case(name, dtype)
    kernel = getattr(backend, case.kernel)
    fresh = case.call(backend, given=False)
    sums = tuple(np.full_like(array, 2) for array in fresh)
    returned = kernel(**case.inputs, out=sums, accumulate=True)
    for got, one in zip(returned, fresh, strict=True):
        assert_close(got, one.astype(F64) + 2)
    assert returned[0] is sums[0] and returned[1] is sums[1]
    for got, one in zip(kernel(**case.inputs, out=sums), fresh, strict=True):
        assert_same(got, one)


# --- gradients by central differences -----------------------------------------------------------


@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_gradients_are_central_differences(backend: Any, game: Game, form: str) -> None:
    indptr, indices, signs = encode(backend, game)
    steps, units = 40, 9
    frames = indptr[100 : 101 + steps], indices, signs
    x = oracle.dense_frames(*frames)
    inputs = (x,) if form == "dense" else frames
    prefix = "" if form == "dense" else "sparse_"
    forward = getattr(backend, f"{prefix}policy_forward")
    backward = getattr(backend, f"{prefix}policy_backward")
    w1, w2 = normal(1, PIXELS, units) / 5, normal(2, units)  # |logit| of about 1
    weights, advantage = normal(3, steps), normal(4, steps)
    right = np.random.default_rng(5).random(steps) < 0.5
    hidden, probability = forward(*inputs, w1, w2)

    def logits(w1: Any, w2: Any) -> float:
        return float(weights @ (forward(*inputs, w1, w2)[0] @ w2))

    def likelihood(w1: Any, w2: Any) -> float:
        p = forward(*inputs, w1, w2)[1]
        return float(advantage @ np.log(np.where(right, p, 1 - p)))

    touched, rng = np.unique(np.flatnonzero(x.any(axis=0))), np.random.default_rng(6)
    untouched = np.setdiff1d(np.arange(PIXELS), touched)
    sample = [*rng.choice(touched, 20, replace=False), *rng.choice(untouched, 4)]
    for value, dlogit in ((logits, weights), (likelihood, (right - probability) * advantage)):
        grad_w1, grad_w2 = backward(*inputs, hidden, dlogit, w2)
        slopes = np.array([[slope(value, (w1, w2), 0, (d, h)) for h in range(units)]
                           for d in sample])  # fmt: skip
        assert np.count_nonzero(slopes[:20]) > 40 and not slopes[20:].any()
        assert_close(grad_w1[sample], slopes, GRADIENT)
        slopes = np.array([slope(value, (w1, w2), 1, (h,)) for h in range(units)])
        assert_close(grad_w2, slopes, GRADIENT)


def slope(value: Any, weights: tuple[Any, ...], which: int, at: tuple[int, ...]) -> float:
    step, ends = 1e-5, []
    for move in (step, -step):
        moved = [array.copy() for array in weights]
        moved[which][at] += move
        ends.append(value(*moved))
    return (ends[0] - ends[1]) / (2 * step)


# --- returns and optimizer ----------------------------------------------------------------------


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


@pytest.mark.parametrize("shape", [(0,), (1,), (7,), (200,), (64, 65), (6400, 3), (2, 3, 4)])
def test_rmsprop_is_the_oracles(backend: Any, dtype: Any, shape: tuple[int, ...]) -> None:
    parameter, gradient = normal(1, *shape).astype(dtype), normal(2, *shape).astype(dtype)
    cache = (normal(3, *shape) ** 2).astype(dtype)
    rates = (1e-2, 0.99, 1e-5)
    exact = [array.astype(np.float64).reshape(-1) for array in (parameter, gradient, cache)]
    for _ in range(3):
        oracle.rmsprop_update(exact[0], exact[1], exact[2], *rates)
        assert backend.rmsprop_update(parameter, gradient, cache, *rates) is None
    assert_close(parameter.reshape(-1), exact[0])
    assert_close(cache.reshape(-1), exact[2])


def test_rmsprop_has_the_references_rates(backend: Any, dtype: Any) -> None:
    parameter, cache = np.zeros(1, dtype), np.zeros(1, dtype)
    backend.rmsprop_update(parameter, np.array([2.0], dtype), cache)
    assert_close(parameter, [1e-4 * 2 / (0.2 + 1e-5)])
    # To the last bit or two: 1 - decay must be taken before decay is rounded to float32.
    assert_close(cache, [0.01 * 4], rtol=2 * np.finfo(dtype).eps)


# --- the fused step -----------------------------------------------------------------------------


def play(backend: Any, buffers: dict[str, Any], game: Game, draws: Any) -> list[int]:
    buffers["table"][:] = game.table
    step = backend.policy_step(**buffers)
    actions = []
    for t, draw in enumerate(draws):
        buffers["screens"][t % 2] = game.palette[t]
        actions.append(step(t, float(draw)))
    return actions


@pytest.mark.parametrize("units", [1, 7, 200])
def test_step_plays_a_real_game_as_the_oracle(
    backend: Any, dtype: Any, game: Game, units: int
) -> None:
    draws = np.random.default_rng(1).random(120)
    numpy, played = kernels.get_backend("numpy"), []
    for judge in (numpy, backend):
        buffers = step_buffers(dtype, units, cap=len(draws), room=PIXELS + 60 * len(draws))
        buffers["screens"][:] = 255  # what an earlier episode left must not be seen at t = 0
        played.append((play(judge, buffers, game, draws), buffers))
    (actions, want), (got_actions, got) = played
    assert got_actions == actions == got["actions"].tolist()
    assert set(actions) == {0, 1}
    assert want["indptr"][1] == 0 and want["indptr"][-1] > 500
    end = int(want["indptr"][-1])
    assert_same(got["indptr"], want["indptr"])
    for name in ("indices", "signs"):
        assert_same(got[name][:end], want[name][:end])
        assert_same(got[name][end + 1 :], want[name][end + 1 :])  # as in sparse_difference_frame


def test_step_and_forward_speak_of_one_policy(backend: Any, dtype: Any, game: Game) -> None:
    frames = encode(backend, game)
    steps = 60
    buffers = step_buffers(dtype, 65, cap=steps, room=PIXELS + 60 * steps)
    _, probability = backend.sparse_policy_forward(*frames, buffers["w1"], buffers["w2"])
    buffers["table"][:] = game.table
    step = backend.policy_step(**buffers)
    for t in range(steps):
        buffers["screens"][t % 2] = game.palette[t]
        p = float(probability[t])
        assert step(t, p) == 0 == buffers["actions"][t]  # RIGHT only where uniform < p
        assert step(t, np.nextafter(p, 0)) == 1 == buffers["actions"][t]
    assert_same(buffers["indptr"], frames[0][: steps + 1])


@pytest.mark.parametrize("cap, room, t", [(3, 3 * PIXELS, 3), (3, PIXELS + 9, 1), (0, PIXELS, 0)])
def test_step_without_room_writes_nothing(
    backend: Any, dtype: Any, cap: int, room: int, t: int
) -> None:
    buffers = step_buffers(dtype, cap=cap, room=room)
    buffers["indptr"][:] = 10
    before = {name: array.copy() for name, array in buffers.items()}
    step = backend.policy_step(**buffers)
    assert step(t, 0.5) == -1
    assert step(t + 1000, 0.5) == -1
    for name, array in buffers.items():
        assert_same(array, before[name])


def test_step_needs_no_more_than_its_room(backend: Any, dtype: Any) -> None:
    buffers = step_buffers(dtype, cap=2, room=PIXELS + 10)
    buffers["screens"][:] = [[[0]], [[1]]]
    buffers["table"][:2] = [0, 1]
    buffers["indptr"][:] = 10
    step = backend.policy_step(**buffers)
    assert step(0, 0.0) == 1 and step(1, 1.0) == 0
    assert buffers["indptr"].tolist() == [10, 10, 10 + PIXELS]
    assert_same(buffers["indices"][10:], np.arange(PIXELS, dtype=np.uint16))
    assert_same(buffers["signs"], np.array([0] * 10 + [1] * PIXELS, np.int8))
    assert buffers["actions"].tolist() == [1, 0]


def test_step_of_a_negative_number_has_no_room(backend: Any, dtype: Any) -> None:
    buffers = step_buffers(dtype)
    assert backend.policy_step(**buffers)(-1, 0.5) == -1
    assert not buffers["indptr"].any() and not buffers["actions"].any()


def test_step_reads_weights_anew_through_read_only_views(backend: Any, dtype: Any) -> None:
    buffers = step_buffers(dtype, units=7)
    shared = buffers["w1"], buffers["w2"]
    for name in ("w1", "w2"):
        buffers[name] = buffers[name].view()
        buffers[name].flags.writeable = False
    buffers["screens"][:] = [[[0]], [[1]]]
    buffers["table"][:2] = [0, 1]
    step = backend.policy_step(**buffers)
    step(0, 0.5)
    shared[0][:], shared[1][:] = 1, 1
    assert step(1, 0.999) == 1
    shared[1][:] = -1
    assert step(1, 0.001) == 0


# --- every kernel -------------------------------------------------------------------------------


def read_only(array: Any) -> Any:
    array = array.copy()
    array.flags.writeable = False
    return array


def strided(array: Any) -> Any:
    spread = np.repeat(array, 2, axis=-1)
    spread[..., 1::2] = 77
    return spread[..., ::2]


def backwards(array: Any) -> Any:
    return np.ascontiguousarray(array[::-1])[::-1]


def fortran(array: Any) -> Any:
    return np.asfortranarray(array)


def unaligned(array: Any) -> Any:
    raw = np.zeros(array.nbytes + 1, np.uint8)
    shifted = raw[1:].view(array.dtype).reshape(array.shape)
    shifted[...] = array
    return shifted


@pytest.mark.parametrize("form", [read_only, strided, backwards, fortran, unaligned])
@pytest.mark.parametrize("name", CASES)
def test_inputs_of_any_layout(backend: Any, dtype: Any, name: str, form: Any) -> None:
    want = kernel_case(name, dtype).call(backend)
    for given in (True, False):
        case = kernel_case(name, dtype)
        case.inputs = {key: form(array) for key, array in case.inputs.items()}
        before = {key: array.copy() for key, array in case.inputs.items()}
        if case.in_place and not given:
            continue
        for got, exact in zip(case.call(backend, given), want, strict=True):
            assert_same(got, exact if given else exact.astype(got.dtype))
        for key, array in case.inputs.items():
            assert_same(array, before[key])


@pytest.mark.parametrize("name", [n for n in CASES if not kernel_case(n, DTYPES[0]).in_place])
def test_given_outputs_are_what_is_returned(backend: Any, dtype: Any, name: str) -> None:
    case = kernel_case(name, dtype)
    for got, out in zip(case.call(backend), case.outputs.values(), strict=True):
        assert got is out or got.base is out
    for got, out in zip(case.call(backend, given=False), case.call(backend), strict=True):
        allocated = "float32" if case.kernel == "preprocess_frame" else out.dtype
        assert_same(got, out.astype(allocated))


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_the_oracles(backend: Any, dtype: Any, name: str) -> None:
    """The cases that other tests bend, unbent; and the public oracle is the raw one."""
    want = kernel_case(name, dtype).call(kernels.get_backend("numpy"))
    got = kernel_case(name, dtype).call(backend)
    assert len(got) == len(want)
    for mine, exact in zip(got, want, strict=True):
        assert mine.dtype == exact.dtype
        if mine.dtype.kind == "f":
            assert_close(mine, exact, KERNEL[dtype])  # a float64 output may come of float32 sums
        else:
            assert_same(mine, exact)


def test_calls_give_the_same_bits_again_and_in_batches(backend: Any, dtype: Any) -> None:
    frames = sparse_frames(np.random.default_rng(6), [22, 0, 300, 40])
    w1, w2 = normal(2, PIXELS, 200).astype(dtype), normal(3, 200).astype(dtype)
    together = backend.sparse_policy_forward(*frames, w1, w2)
    again = backend.sparse_policy_forward(*frames, w1, w2)
    for t in range(4):
        alone = backend.sparse_policy_forward(frames[0][t : t + 2], *frames[1:], w1, w2)
        for one, two, three in zip(together, again, alone, strict=True):
            assert one[t].tobytes() == two[t].tobytes() == three[0].tobytes()


@pytest.mark.parametrize("name", ["dense forward", "sparse forward", "sparse backward"])
def test_the_gil_is_released(backend: Any, name: str) -> None:
    steps, units = 60 if name == "dense forward" else 1500, 200
    x, w1, w2 = np.ones((60, PIXELS)), np.ones((PIXELS, units)), np.ones(units)
    frames = sparse_frames(np.random.default_rng(1), [300] * 1500)
    hidden, dlogit = np.ones((steps, units)), np.ones(steps)

    def work() -> None:
        if name == "dense forward":
            backend.policy_forward(x, w1, w2)
        elif name == "sparse forward":
            backend.sparse_policy_forward(*frames, w1, w2)
        else:
            backend.sparse_policy_backward(*frames, hidden, dlogit, w2)

    work()
    ticks: list[float] = []
    done = threading.Event()

    def tick() -> None:
        while not done.wait(0.0005):
            ticks.append(time.perf_counter())

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        # Ticks of another thread from the middle of the call: with the GIL held there are none,
        # however often it is tried; a busy machine may miss a few of the tries.
        inside = 0
        for _ in range(20):
            start = time.perf_counter()
            work()
            quarter = (time.perf_counter() - start) / 4
            inside += sum(start + quarter < at < start + 3 * quarter for at in ticks)
            if inside:
                break
    finally:
        done.set()
        thread.join(10)
    assert inside

"""The convolutional agent's kernels against the oracle, and against mathematics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_cases import BACKENDS, DTYPES, PIXELS, screens, sparse_frames, table
from tolerances import GRADIENT, assert_close, assert_same

from fastpong import kernels, oracle

pytestmark = pytest.mark.filterwarnings("error")

CHANNELS = {"row": 80, "image": 1}
FRAMES = {"none": [], "empty": [0], "one": [1], "real": [22, 0, 30, 25], "full": [0, PIXELS, 3]}
F64 = np.dtype(np.float64)


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    return kernels.get_backend(request.param)


@pytest.fixture(scope="module")
def exact() -> Any:
    return kernels.get_backend("numpy")


@pytest.fixture(params=DTYPES, ids=str)
def dtype(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=CHANNELS)
def mode(request: pytest.FixtureRequest) -> Any:
    return request.param


def network(mode: str, dtype: Any, filters: int = 4, units: int = 7, bias: float = 0.3) -> Any:
    """Return kernel, bias (of both signs), w and b."""
    rng, channels = np.random.default_rng(1), CHANNELS[mode]
    positions = 27 if mode == "row" else 729
    arrays = (
        rng.standard_normal((6, 6, channels, filters)) / 3,
        rng.standard_normal(filters) * bias,
        rng.standard_normal((positions * filters, units)) / 9,
        rng.standard_normal(units),
    )
    return tuple(array.astype(dtype) for array in arrays)


def doubles(arrays: Any) -> Any:
    return tuple(array.astype(F64) for array in arrays)


def head(dtype: Any, units: int = 7, middle: int = 5, actions: int = 6) -> Any:
    rng = np.random.default_rng(2)
    shapes = [(units, middle), (middle,), (middle, actions), (actions,)]
    return tuple(rng.standard_normal(shape).astype(dtype) for shape in shapes)


# --- convolution --------------------------------------------------------------------------------


def test_the_oracles_convolution_is_the_sum_it_says() -> None:
    rng = np.random.default_rng(3)
    for height, width, channels in ((1, 80, 5), (80, 80, 1), (7, 11, 2)):
        x = rng.standard_normal((1, height, width, channels))
        kernel, bias = rng.standard_normal((6, 6, channels, 2)), rng.standard_normal(2)
        got = oracle.convolve(x, kernel, bias)[0]
        assert got.shape == (-(-height // 3), -(-width // 3), 2)
        top = max(0, 3 * (got.shape[0] - 1) + 6 - height) // 2
        left = max(0, 3 * (got.shape[1] - 1) + 6 - width) // 2
        for y, z in [(0, 0), (got.shape[0] - 1, got.shape[1] - 1), (0, got.shape[1] // 2)]:
            want = bias.copy()
            for i, j in np.ndindex(6, 6):
                row, column = 3 * y + i - top, 3 * z + j - left
                if 0 <= row < height and 0 <= column < width:
                    want += x[0, row, column] @ kernel[i, j]
            assert_close(got[y, z], want)


def test_of_a_row_only_one_row_of_the_kernel_meets_data(backend: Any) -> None:
    """All six rows of the padded convolution give what the one row gives, whatever the others."""
    frames = sparse_frames(np.random.default_rng(4), [22, 300])
    kernel, bias, w, b = network("row", F64)
    x = oracle.dense_frames(*frames).reshape(-1, 1, 80, 80)
    full = oracle.convolve(x, kernel, bias)
    others = kernel.copy()
    others[[0, 1, 3, 4, 5]] = 1e6
    assert_same(oracle.convolve(x, others, bias), full)
    row = np.zeros_like(kernel)
    row[2] = kernel[2]
    assert_same(oracle.convolve(x, row, bias), full)
    others[[0, 1, 3, 4, 5]] = np.nan
    hidden = backend.sparse_conv_forward(*frames, kernel, bias, w, b)
    assert_same(backend.sparse_conv_forward(*frames, others, bias, w, b), hidden)
    assert_close(hidden, np.maximum(np.maximum(full, 0).reshape(2, -1) @ w + b, 0))
    grad = backend.sparse_conv_backward(*frames, kernel, bias, w, np.ones((2, 7)))[0]
    assert grad[2].any() and not grad[[0, 1, 3, 4, 5]].any()


@pytest.mark.parametrize("bias", [0.0, 0.3])
@pytest.mark.parametrize("units", [1, 7, 64, 70])
@pytest.mark.parametrize("sizes", FRAMES.values(), ids=FRAMES)
def test_sparse_convolution_is_the_oracles(
    backend: Any, exact: Any, dtype: Any, mode: str, sizes: list[int], units: int, bias: float
) -> None:
    frames = sparse_frames(np.random.default_rng(6), sizes)
    arrays = network(mode, dtype, units=units, bias=bias)
    hidden = backend.sparse_conv_forward(*frames, *arrays)
    assert hidden.dtype == dtype
    assert_close(hidden, exact.sparse_conv_forward(*frames, *doubles(arrays)))
    up = np.random.default_rng(7).standard_normal((len(sizes), units)).astype(dtype)
    got = backend.sparse_conv_backward(*frames, *arrays[:3], up)
    want = exact.sparse_conv_backward(*frames, *doubles((*arrays[:3], up)))
    for mine, theirs in zip(got, want, strict=True):
        assert mine.dtype == dtype
        # The bias's gradient sums over all positions what nearly cancels.
        assert_close(mine, theirs, scale=max(1.0, np.abs(theirs).max(initial=0)))


def test_gradients_of_the_network_are_central_differences(backend: Any, mode: str) -> None:
    frames = sparse_frames(np.random.default_rng(8), [22, 0, 40])
    weights = [*network(mode, F64), *head(F64)]
    actions = np.array([1, 5, 0], np.uint8)
    advantage, step = np.array([1.5, -2.0, 0.7]), 0.3

    def forward(p: list[Any]) -> tuple[Any, Any, Any]:
        h1 = backend.sparse_conv_forward(*frames, *p[:4])
        h2 = backend.dense_forward(h1, p[4], p[5])
        logits = backend.dense_forward(h2, p[6], p[7], relu=False)
        return h1, h2, backend.softmax(logits)

    h1, h2, probability = forward(weights)
    targets = oracle.soft_targets(probability, actions, advantage, step)
    dlogit, losses = backend.cross_entropy_gradient(probability, actions, advantage, step)
    assert_close(losses, oracle.cross_entropy(targets, probability))
    gw3, gb3, dh2 = backend.dense_backward(h2, weights[6], dlogit)
    gw2, gb2, dh1 = backend.dense_backward(h1, weights[4], dh2)
    first = backend.sparse_conv_backward(*frames, *weights[:3], dh1)
    gradients = [*first, gw2, gb2, gw3, gb3]
    rng = np.random.default_rng(9)
    for which, gradient in enumerate(gradients):
        lit = np.flatnonzero(gradient.reshape(-1))
        assert lit.size > 0
        at = rng.choice(lit, min(12, lit.size), replace=False)
        slopes = []
        for place in at:
            ends = []
            for move in (1e-5, -1e-5):
                moved = [array.copy() for array in weights]
                moved[which].reshape(-1)[place] += move
                loss = oracle.cross_entropy(targets, forward(moved)[2])
                ends.append(loss.sum())
            slopes.append((ends[0] - ends[1]) / 2e-5)
        assert_close(gradient.reshape(-1)[at], slopes, GRADIENT)


@pytest.mark.parametrize("name", ["conv", "dense"])
def test_accumulating_adds_and_the_default_overwrites(
    backend: Any, dtype: Any, mode: str, name: str
) -> None:
    if name == "conv":
        frames = sparse_frames(np.random.default_rng(6), FRAMES["real"])
        inputs = (*frames, *network(mode, dtype)[:3], np.ones((4, 7), dtype))
        kernel, sums = backend.sparse_conv_backward, 4
    else:
        inputs = np.ones((4, 3), dtype), np.ones((3, 2), dtype), np.ones((4, 2), dtype)
        kernel, sums = backend.dense_backward, 2
    fresh = kernel(*inputs)
    given = tuple(np.full_like(array, 2) for array in fresh)
    for k, (got, one) in enumerate(
        zip(kernel(*inputs, out=given, accumulate=True), fresh, strict=True)
    ):
        assert got is given[k]
        assert_close(got, one.astype(F64) + (2 if k < sums else 0))
    for got, one in zip(kernel(*inputs, out=given), fresh, strict=True):
        assert_same(got, one)


# --- dense layers, softmax, loss ----------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 1, 5])
@pytest.mark.parametrize("inputs, outputs", [(1, 1), (3, 6), (64, 32), (33, 70)])
@pytest.mark.parametrize("relu", [True, False])
def test_dense_layers_are_the_oracles(
    backend: Any, exact: Any, dtype: Any, steps: int, inputs: int, outputs: int, relu: bool
) -> None:
    rng = np.random.default_rng(1)
    x = np.maximum(rng.standard_normal((steps, inputs)), 0).astype(dtype)
    w, b = rng.standard_normal((inputs, outputs)).astype(dtype), np.ones(outputs, dtype)
    up = rng.standard_normal((steps, outputs)).astype(dtype)
    want = exact.dense_forward(*doubles((x, w, b)), relu=relu)
    assert_close(backend.dense_forward(x, w, b, relu=relu), want)
    got = backend.dense_backward(x, w, up, relu=relu)
    want = exact.dense_backward(*doubles((x, w, up)), relu=relu)
    for mine, theirs in zip(got, want, strict=True):
        assert_close(mine, theirs)


def test_softmax_is_the_oracles_and_never_overflows(backend: Any, exact: Any, dtype: Any) -> None:
    logits = np.random.default_rng(2).standard_normal((50, 6)).astype(dtype)
    logits[:10] *= 300
    logits[0, 3], logits[1] = 1e30, -1e30
    p = backend.softmax(logits)
    assert_close(p, exact.softmax(logits.astype(F64)))
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    assert_same(backend.softmax((logits + 0)[:0]), p[:0])
    assert backend.softmax(logits, out=logits) is logits
    assert_same(logits, p)


def test_loss_and_gradient_are_the_oracles(backend: Any, exact: Any, dtype: Any) -> None:
    rng = np.random.default_rng(3)
    p = exact.softmax(rng.standard_normal((60, 6)) * rng.choice([1, 5, 20], (60, 1))).astype(dtype)
    actions = rng.integers(0, 6, 60).astype(np.uint8)
    advantage = rng.standard_normal(60).astype(dtype)
    for step in (0.0, 1e-3, 0.5):
        got = backend.cross_entropy_gradient(p, actions, advantage, step)
        want = exact.cross_entropy_gradient(*doubles((p,)), actions, *doubles((advantage,)), step)
        # In float32 rounded probabilities do not quite add up to 1, as those of the formula do.
        scale = 1.0 if dtype == F64 else 1.0 + 1e-2
        assert_close(got[0], want[0], scale=scale)
        assert_close(got[1], want[1])
    plain = np.full((1, 6), 1 / 6, dtype)
    tiny = backend.cross_entropy_gradient(plain, actions[:1], np.ones(1, dtype), 1e-3)[0][0]
    onehot = np.eye(6)[actions[0]]
    assert_close(tiny, 1e-3 * (1 / 6 - onehot))  # nothing of it is lost to cancellation


def test_a_clipped_probability_has_no_slope(backend: Any) -> None:
    p = np.array([[1.0, 0, 0, 0, 0, 0]])
    dlogit, loss = backend.cross_entropy_gradient(p, np.zeros(1, np.uint8), np.ones(1), 0.1)
    assert not dlogit.any()
    assert_close(loss, [-np.log(1 - 1e-7)], 1e-6)


@pytest.mark.parametrize("size", [0, 1, 7, 1000])
def test_adam_is_the_oracles_over_many_steps(
    backend: Any, exact: Any, dtype: Any, size: int
) -> None:
    rng = np.random.default_rng(4)
    mine = [rng.standard_normal(size).astype(dtype), np.zeros(size, dtype), np.zeros(size, dtype)]
    theirs = doubles(mine)
    for step in (1, 2, 3, 1000, 10**9):
        gradient = (rng.standard_normal(size) * 1e-3).astype(dtype)
        backend.adam_update(mine[0], gradient, *mine[1:], step, 0.01)
        exact.adam_update(theirs[0], gradient.astype(F64), *theirs[1:], step, 0.01)
    for got, want in zip(mine, theirs, strict=True):
        assert_close(got, want)


def test_adams_first_step_is_as_long_as_the_rate(backend: Any, dtype: Any) -> None:
    w, zero = np.zeros(3, dtype), np.zeros(3, dtype)
    backend.adam_update(w, np.array([5, -2, 0], dtype), zero, zero.copy(), 1, 0.25, epsilon=1e-30)
    np.testing.assert_allclose(w[:2], [-0.25, 0.25], rtol=1e-6)
    assert w[2] == 0  # it is epsilon that keeps a weight without gradient in place
    with pytest.raises(ValueError, match="epsilon"):
        backend.adam_update(w, zero * 0, zero * 0, zero * 0, 1, 0.25, epsilon=0)
    w = np.zeros(3, dtype)
    backend.adam_update(w, zero * 0, zero * 0, zero * 0, 1)
    assert not w.any()


def test_returns_over_their_deviation(backend: Any, exact: Any, dtype: Any) -> None:
    values = np.random.default_rng(5).standard_normal(99).astype(dtype) + 3
    want = values / np.std(values.astype(F64) - np.mean(values.astype(F64)))
    assert_close(backend.standardize(values, center=False), want)
    assert_close(exact.standardize(values, center=False), want)
    for equal in (np.zeros(4, dtype), np.full(4, -1, dtype), np.zeros(0, dtype)):
        assert_same(backend.standardize(equal, center=False), np.zeros(len(equal), dtype))


# --- the step -----------------------------------------------------------------------------------


def buffers(mode: str, dtype: Any, cap: int = 3, room: int = 3 * PIXELS) -> dict[str, Any]:
    rng = np.random.default_rng(11)
    kernel, bias, w, b = network(mode, dtype)
    return {
        "screens": screens(rng, 2),
        "table": table(rng),
        "network": (kernel / 30, bias, w, b / 3, *(array / 3 for array in head(dtype))),
        "indptr": np.zeros(cap + 1, np.int64),
        "indices": np.zeros(room, np.uint16),
        "signs": np.zeros(room, np.int8),
        "actions": np.zeros(cap, np.uint8),
    }


def policy(backend: Any, frames: Any, p: Any) -> Any:
    hidden = backend.sparse_conv_forward(*frames, *p[:4])
    hidden = backend.dense_forward(hidden, *p[4:6])
    return backend.softmax(backend.dense_forward(hidden, *p[6:], relu=False))


def test_the_step_records_and_chooses_as_the_oracles(backend: Any, exact: Any, mode: str) -> None:
    steps, rng = 40, np.random.default_rng(12)
    runs = []
    for one in (backend, exact):
        given = buffers(mode, F64, cap=steps, room=steps * PIXELS)
        step, rng = one.conv_step(**given), np.random.default_rng(12)
        chosen = []
        for t in range(steps):
            screen = given["screens"][t % 2]
            screen[:] = given["screens"][(t - 1) % 2]
            screen[35 + t : 60 + t, 20:90] = rng.integers(0, 256, (25, 70))
            chosen.append(step(t, rng.random()))
        runs.append((chosen, given))
    (chosen, got), (want_chosen, want) = runs
    assert chosen == want_chosen == got["actions"].tolist() and len(set(chosen)) > 3
    for name in ("indptr", "indices", "signs", "actions"):
        used = int(want["indptr"][-1]) if name in ("indices", "signs") else None
        assert_same(got[name][:used], want[name][:used])


def test_step_and_forward_speak_of_one_policy(backend: Any, dtype: Any, mode: str) -> None:
    given = buffers(mode, dtype)
    step = backend.conv_step(**given)
    step(0, 0.5), step(1, 0.5)
    frames = given["indptr"][:3], given["indices"], given["signs"]
    for t, p in enumerate(policy(backend, frames, given["network"])):
        edges = np.cumsum(p.astype(F64)) / p.sum(dtype=F64)
        for action, edge in enumerate(edges[:-1]):
            below, above = edge * (1 - 1e-14), edge * (1 + 1e-14)
            assert step(t, below) == action and step(t, above) == action + 1
        assert step(t, 0.0) == 0 and step(t, 1 - 1e-16) == 5
        greedy = backend.conv_step(**given, greedy=True)
        assert greedy(t, 0.99) == greedy(t, 0.0) == int(np.argmax(p)) == given["actions"][t]


def test_the_step_without_room_writes_nothing(backend: Any, dtype: Any, mode: str) -> None:
    for cap, room, t in ((3, 3 * PIXELS, 3), (3, PIXELS + 9, 1), (0, PIXELS, 0), (3, PIXELS, -1)):
        given = buffers(mode, dtype, cap, room)
        given["indptr"][:] = 10
        before = {name: np.copy(a) for name, a in given.items() if name != "network"}
        assert backend.conv_step(**given)(t, 0.5) == -1
        for name, array in before.items():
            assert_same(given[name], array)


def test_the_step_refuses_what_does_not_fit(backend: Any) -> None:
    def wrong(error: Any, match: str, **changes: Any) -> None:
        with pytest.raises(error, match=match):
            backend.conv_step(**(buffers("row", F64) | changes))

    good = buffers("row", F64)["network"]
    wrong(TypeError, "^network", network=list(good))
    wrong(TypeError, "^network", network=good[:7])
    for k, name in enumerate(("kernel", "bias", "w1", "b1", "w2", "b2", "w3", "b3")):
        for bad in (good[k][..., :-1], good[k][None]):
            changed = (*good[:k], np.ascontiguousarray(bad), *good[k + 1 :])
            with pytest.raises(ValueError, match="expected shape"):
                backend.conv_step(**(buffers("row", F64) | {"network": changed}))
        changed = (*good[:k], good[k].astype("f4"), *good[k + 1 :])
        wrong(TypeError, "expected dtype", network=changed)
        wrong(TypeError, f"^{name}", network=(*good[:k], None, *good[k + 1 :]))
    wrong(ValueError, "^(indptr|actions)", indptr=np.zeros(3, np.int64))
    wrong(TypeError, "^actions", actions=np.zeros(3, np.int64))
    wrong(ValueError, "^table", table=np.full(256, 2, np.uint8))
    wrong(ValueError, "^screens", screens=np.zeros((2, 160, 210), np.uint8))


@pytest.mark.parametrize("channels", [0, 2, 3, 79, 81])
def test_kernels_of_other_channels_are_refused(backend: Any, channels: int) -> None:
    frames = sparse_frames(np.random.default_rng(1), [3])
    kernel, w = np.zeros((6, 6, channels, 2)), np.zeros((54, 4))
    with pytest.raises(ValueError, match=r"^kernel"):
        backend.sparse_conv_forward(*frames, kernel, np.zeros(2), w, np.zeros(4))


def test_values_out_of_range_are_refused(backend: Any) -> None:
    p, actions = np.full((1, 6), 1 / 6), np.array([6], np.uint8)
    with pytest.raises(ValueError, match=r"^actions"):
        backend.cross_entropy_gradient(p, actions, np.ones(1), 0.1)
    arrays = [np.ones(2) for _ in range(4)]
    for name, value, error in (
        *(("step", 0, ValueError), ("step", 1.0, TypeError), ("step", True, TypeError)),
        *(("beta1", 1.0, ValueError), ("beta2", -0.1, ValueError), ("epsilon", -1, ValueError)),
        *(("learning_rate", np.nan, ValueError), ("beta1", "high", TypeError)),
    ):
        with pytest.raises(error, match=f"^{name}"):
            backend.adam_update(*arrays, **({"step": 1} | {name: value}))

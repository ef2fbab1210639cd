"""The convolution and its step against the oracle, and against mathematics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_cases import (
    PIXELS,
    screens,
    sparse_frames,
    table,
)
from tolerances import GRADIENT, assert_close, assert_same

from fastpong import oracle

pytestmark = pytest.mark.filterwarnings("error")

F64 = np.dtype(np.float64)

CHANNELS = {"row": 80, "image": 1}
FRAMES = {"none": [], "empty": [0], "one": [1], "real": [22, 0, 30, 25], "full": [0, PIXELS, 3]}


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


def test_accumulating_adds_and_the_default_overwrites(backend: Any, dtype: Any, mode: str) -> None:
    frames = sparse_frames(np.random.default_rng(6), FRAMES["real"])
    inputs = (*frames, *network(mode, dtype)[:3], np.ones((4, 7), dtype))
    fresh = backend.sparse_conv_backward(*inputs)
    given = tuple(np.full_like(array, 2) for array in fresh)
    added = backend.sparse_conv_backward(*inputs, out=given, accumulate=True)
    for got, mine, one in zip(added, given, fresh, strict=True):
        assert got is mine
        assert_close(got, one.astype(F64) + 2)
    for got, one in zip(backend.sparse_conv_backward(*inputs, out=given), fresh, strict=True):
        assert_same(got, one)


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

"""Linear layers and the policy's step against the oracle, and against mathematics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_cases import (
    PIXELS,
    kernel_case,
    sparse_frames,
    step_buffers,
)
from recorded_game import Game, encode
from tolerances import GRADIENT, assert_close, assert_same

from fastpong import kernels, oracle

pytestmark = pytest.mark.filterwarnings("error")

F64 = np.dtype(np.float64)

UNITS = (1, 3, 7, 63, 64, 65, 200)


def normal(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


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


def test_calls_give_the_same_bits_again_and_in_batches(backend: Any, dtype: Any) -> None:
    frames = sparse_frames(np.random.default_rng(6), [22, 0, 300, 40])
    w1, w2 = normal(2, PIXELS, 200).astype(dtype), normal(3, 200).astype(dtype)
    together = backend.sparse_policy_forward(*frames, w1, w2)
    again = backend.sparse_policy_forward(*frames, w1, w2)
    for t in range(4):
        alone = backend.sparse_policy_forward(frames[0][t : t + 2], *frames[1:], w1, w2)
        for one, two, three in zip(together, again, alone, strict=True):
            assert one[t].tobytes() == two[t].tobytes() == three[0].tobytes()


def doubles(arrays: Any) -> Any:
    return tuple(array.astype(F64) for array in arrays)


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


def test_dense_gradients_accumulate_but_for_dx(backend: Any, dtype: Any) -> None:
    inputs = np.ones((4, 3), dtype), np.ones((3, 2), dtype), np.ones((4, 2), dtype)
    fresh = backend.dense_backward(*inputs)
    given = tuple(np.full_like(array, 2) for array in fresh)
    added = backend.dense_backward(*inputs, out=given, accumulate=True)
    for got, mine, one, more in zip(added, given, fresh, (2, 2, 0), strict=True):
        assert got is mine
        assert_close(got, one.astype(F64) + more)
    for got, one in zip(backend.dense_backward(*inputs, out=given), fresh, strict=True):
        assert_same(got, one)


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

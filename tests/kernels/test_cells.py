"""The actor-critic agent's kernels against the oracle, and against mathematics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import ALL_BACKENDS, BACKENDS, DTYPES, screens, table
from tolerances import GRADIENT, assert_close, assert_same

from fastpong import kernels, oracle
from fastpong.agents.pyramid import Level, Pyramid
from fastpong.oracle import dense_frames

pytestmark = pytest.mark.filterwarnings("error")

F64 = np.dtype(np.float64)
LEVELS = (Level(16, 16, 0.35), Level(40, 16, 0.5))
TREES = {
    "two levels": Pyramid(8, LEVELS, False),
    "last action": Pyramid(8, LEVELS[:1], True),
    "history": Pyramid(10, (Level(40, 20, 0.35),), True, 1, 2),
    "flat": Pyramid(10, (), False),
}
SIZES = {
    **{"none": [], "empty": [0], "real": [22, 0, 30, 25, 1], "full": [3, 200]},
    "many": [5, 22, 0, 30, 40, 1, 9, 0, 25, 14, 60, 3, 0, 0],
}


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    return kernels.get_backend(request.param)


@pytest.fixture(scope="module")
def exact() -> Any:
    return kernels.get_backend("numpy")


@pytest.fixture(params=DTYPES, ids=str)
def dtype(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=TREES.values(), ids=TREES)
def tree(request: pytest.FixtureRequest) -> Any:
    return request.param


def batch(tree: Pyramid, sizes: list[int], seed: int = 3) -> dict[str, Any]:
    """Return the inputs of a batch, of so many entries each, and a shuffled minibatch of it."""
    rng = np.random.default_rng(seed)
    picked = [np.sort(rng.choice(tree.base, size, replace=False)) for size in sizes]
    return {
        "order": rng.permutation(len(sizes))[: max(0, len(sizes) - 1) or len(sizes)],
        "indptr": np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        "indices": np.concatenate([np.zeros(0), *picked]).astype(np.uint16),
        "values": rng.choice(np.array([-2, -1, 1, 3], np.int8), sum(sizes)),
    }


def weights(tree: Pyramid, units: int, dtype: Any) -> dict[str, Any]:
    rng = np.random.default_rng(4)
    return {
        "rows": rng.standard_normal((tree.base, units)).astype(dtype),
        "mirror": tree.mirror,
        "units": rng.standard_normal((3, units)).astype(dtype),
    }


def seen_by(tree: Pyramid, frames: dict[str, Any]) -> Any:
    """Return the rows that the inputs reach, by plain means."""
    lit = np.zeros(tree.rows, np.uint8)
    for d in frames["indices"]:
        for row in (d, tree.mirror[d]):
            lit[row] = 1
            lit[[p for p in tree.parents[:, row] if p >= 0]] = 1
    return lit


def upward(count: int, dtype: Any) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    return {name: rng.standard_normal(count).astype(dtype) for name in ("dlogit", "dvalue")}


def doubles(arrays: dict[str, Any]) -> dict[str, Any]:
    return {n: a.astype(F64) if a.dtype in DTYPES else a for n, a in arrays.items()}


# --- input --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resolution", "stride"), [*((r, 2) for r in (1, 2, 4, 8, 10)), (1, 1), (4, 1), (5, 1), (10, 1)]
)
def test_cells_are_the_oracles_exactly(
    backend: Any, exact: Any, resolution: int, stride: int
) -> None:
    rng = np.random.default_rng(6)
    pair, lookup = screens(rng, 2), table(rng)
    pair[1, :100] = pair[0, :100]  # nothing changes there, and below it everything
    blank = np.full((210, 160), np.flatnonzero(lookup == 0)[0], np.uint8)
    ball = blank.copy()
    ball[100:104, 60:64] = np.flatnonzero(lookup)[0]
    for now, before in ((*pair,), (pair[0], None), (ball, blank), (blank, ball), (blank, None)):
        got = backend.encode_cells(now, before, lookup, resolution, stride)
        want = exact.encode_cells(now, before, lookup, resolution, stride)
        for mine, theirs in zip(got, want, strict=True):
            assert_same(mine, theirs)
    with pytest.raises(ValueError, match=r"^resolution"):
        backend.encode_cells(blank, None, lookup, 3)
    for bad in (0, 3):
        with pytest.raises(ValueError, match=r"^stride: expected"):
            backend.encode_cells(blank, None, lookup, 4, bad)


@pytest.mark.parametrize(("resolution", "stride"), [(2, 2), (4, 1)])
@pytest.mark.parametrize("ground", [[], [3], [3, 7], [9]])
def test_cells_do_not_depend_on_which_colours_are_background(
    backend: Any, exact: Any, resolution: int, stride: int, ground: list[int]
) -> None:
    """None; that of most rows; two in turn; one that is first met in the last row."""
    lookup = np.ones(256, np.uint8)
    lookup[ground] = 0
    now = np.full((210, 160), 3, np.uint8)
    now[60:80], now[80:84, 8:17], now[194, 155:] = 7, 5, 9
    before = np.roll(now, 3, axis=1)
    before[70, 50], before[100, 159] = 3, 5
    for pair in ((now, before), (now, now), (before, None)):
        got = backend.encode_cells(*pair, lookup, resolution, stride)
        want = exact.encode_cells(*pair, lookup, resolution, stride)
        for mine, theirs in zip(got, want, strict=True):
            assert_same(mine, theirs)


def test_the_oracles_cells_are_sums_of_the_frames_pixels(exact: Any) -> None:
    rng = np.random.default_rng(7)
    (now, before), lookup = screens(rng, 2), table(rng)
    frames = [exact.preprocess_frame(s, lookup).reshape(80, 80) for s in (now, before)]
    indices, values = exact.encode_cells(now, before, lookup, 2)
    dense = np.zeros((2, 40, 40))
    dense.reshape(-1)[indices] = values
    for y, x in np.ndindex(40, 40):
        block = np.s_[2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        assert dense[0, y, x] == frames[0][block].sum()
        assert dense[1, y, x] == frames[0][block].sum() - frames[1][block].sum()


def test_cells_of_all_pixels_are_sums_over_the_screen(exact: Any) -> None:
    rng = np.random.default_rng(8)
    (now, before), lookup = screens(rng, 2), table(rng)
    indices, values = exact.encode_cells(now, before, lookup, 4, 1)
    dense = np.zeros((2, 40, 40))
    dense.reshape(-1)[indices] = values
    for y, x in np.ndindex(40, 40):
        block = np.s_[35 + 4 * y : 39 + 4 * y, 4 * x : 4 * x + 4]
        count, former = (int(lookup[screen[block]].sum()) for screen in (now, before))
        assert (dense[0, y, x], dense[1, y, x]) == (count, count - former)


# --- network ------------------------------------------------------------------------------------


@pytest.mark.parametrize("units", [1, 7, 64, 150])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_the_network_and_its_gradient_are_the_oracles(
    backend: Any, exact: Any, dtype: Any, tree: Pyramid, sizes: list[int], units: int
) -> None:
    sizes = [min(size, tree.base) for size in sizes]
    frames, p = batch(tree, sizes), weights(tree, units, dtype)
    hidden = backend.pyramid_forward(**frames, **p)
    assert hidden.dtype == dtype
    assert_close(hidden, exact.pyramid_forward(**frames, **doubles(p)))
    heads = backend.actor_critic(hidden, p["units"])
    want = exact.actor_critic(hidden.astype(F64), p["units"].astype(F64))
    for mine, theirs in zip(heads, want, strict=True):
        # Sums over the units of what may cancel.
        assert_close(mine, theirs, scale=max(1.0, np.abs(theirs).max(initial=0.0)) * units**0.5)
    family = {"parents": tree.parents, "scales": tree.scales, "seen": seen_by(tree, frames)}
    rest = {"units": p["units"], "hidden": hidden, **upward(len(frames["order"]), dtype)}
    given = {**frames, "mirror": tree.mirror, **family}
    gradient, squares = backend.pyramid_backward(**given, **rest)
    want_gradient, want_squares = exact.pyramid_backward(**given, **doubles(rest))
    assert gradient.dtype == dtype and squares.dtype == F64
    assert_close(gradient, want_gradient)
    np.testing.assert_allclose(squares, want_squares, rtol=1e-4 if dtype != F64 else 1e-12)


def test_shares_add_up_to_the_whole_bit_for_bit(backend: Any, dtype: Any, tree: Pyramid) -> None:
    units, rng = 150, np.random.default_rng(8)
    frames, p = batch(tree, SIZES["real"]), weights(tree, units, dtype)
    family = {"parents": tree.parents, "scales": tree.scales, "seen": seen_by(tree, frames)}
    up = upward(len(frames["order"]), dtype)
    moments = rng.standard_normal((2, tree.rows + 3, units)).astype(dtype)

    def learn(parts: list[tuple[int, int]]) -> list[Any]:
        size = len(frames["order"])
        hidden = np.full((size, 2, units), np.nan, dtype)
        gradient = np.zeros((tree.rows + 3, units), dtype)
        squares, moved = np.full(units, np.nan), {n: a.copy() for n, a in p.items()}
        mean, square = moments[0].copy(), np.abs(moments[1])
        for part in parts:
            backend.pyramid_forward(**frames, **p, share=part, out=hidden)
        logit, estimate = np.full((2, size), np.nan, dtype)
        for part in ((0, 1), (1, size)):
            backend.actor_critic(hidden, p["units"], part, out=(logit, estimate))
        for part in parts:
            backend.pyramid_backward(
                **frames, mirror=tree.mirror, **family, hidden=hidden, units=p["units"], **up,
                share=part, out=(gradient, squares),
            )  # fmt: skip
        kept = gradient.copy()
        for part in parts:
            backend.pyramid_adam(
                moved["rows"], moved["units"], gradient, mean, square, family["seen"],
                tree.parents, tree.scales, 3, 0.5, share=part,
            )  # fmt: skip
        return [hidden, logit, estimate, kept, squares, moved["rows"], moved["units"], mean]

    whole = learn([(0, units)])
    for parts in ([(0, 64), (64, 150)], [(0, 1), (1, 17), (17, 17), (17, 149), (149, 150)]):
        for mine, theirs in zip(learn(parts), whole, strict=True):
            assert_same(mine, theirs)


def pyramid_of(images: Any, tree: Pyramid) -> Any:
    """Return the sums of dense images (T, 2, S, S) over base cells and coarser ones: (T, R)."""
    parts = [images.reshape(len(images), -1)]
    for height, width, _ in tree.levels:
        h, w = height // tree.resolution, width // tree.resolution
        rows = np.add.reduceat(images, np.arange(0, tree.side, h), axis=2)
        cells = np.add.reduceat(rows, np.arange(0, tree.side, w), axis=3)
        parts.append(cells.reshape(len(images), -1))
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("which", ["two levels", "flat"])
def test_folded_weights_see_what_weights_of_every_level_see(backend: Any, which: str) -> None:
    """The network, written out with dense images, weights of its own for all cells, and a flip."""
    tree, rng = TREES[which], np.random.default_rng(9)
    frames = batch(tree, SIZES["real"])
    frames["order"] = np.arange(5)
    w, units = rng.standard_normal((tree.rows, 6)), rng.standard_normal((3, 6))
    scale = np.ones(tree.rows)
    for above, s in zip(tree.parents, tree.scales, strict=True):
        scale[above] = s
    rows = w[: tree.base].copy()
    for above, s in zip(tree.parents, tree.scales, strict=True):
        rows += s * w[above]
    x = oracle.dense_inputs(*frames.values(), tree.base)
    images = x.reshape(5, 2, tree.side, tree.side)
    hidden = backend.pyramid_forward(**frames, rows=rows, mirror=tree.mirror, units=units)
    for k, seen in enumerate((images, images[:, :, ::-1])):
        z = (pyramid_of(seen, tree) * scale) @ w + units[0]
        assert_close(hidden[:, k], np.maximum(z, 0))


def test_upside_down_the_actions_exchange_and_the_value_stays(backend: Any, tree: Pyramid) -> None:
    frames, p = batch(tree, [20, 30]), weights(tree, 9, F64)
    frames["order"] = np.arange(2)
    flipped = {**frames, "indices": tree.mirror[frames["indices"]].astype(np.uint16)}
    one, other = (
        backend.actor_critic(backend.pyramid_forward(**f, **p), p["units"])
        for f in (frames, flipped)
    )
    assert_close(other[0], -one[0])
    assert_close(other[1], one[1])
    assert np.abs(one[0]).min() > 1e-3


# --- loss ---------------------------------------------------------------------------------------


def loss_inputs(count: int, dtype: Any, seed: int = 10) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    old = rng.standard_normal(count)
    return {
        "order": rng.permutation(count),
        "logit": (old + rng.standard_normal(count) * 0.5).astype(dtype),
        "estimate": rng.standard_normal(count).astype(dtype),
        "actions": rng.integers(0, 2, count).astype(np.uint8),
        "old_logit": old.astype(dtype),
        "advantage": rng.standard_normal(count).astype(dtype),
        "returns": rng.standard_normal(count).astype(dtype),
    }


@pytest.mark.parametrize("count", [0, 1, 300])
@pytest.mark.parametrize("clip", [0.0, 0.2])
def test_the_loss_and_its_gradient_are_the_oracles(
    backend: Any, exact: Any, dtype: Any, count: int, clip: float
) -> None:
    given = loss_inputs(count, dtype)
    if count > 9:
        given["logit"][:4], given["old_logit"][:6] = 60, -60
        given["advantage"][:9:2] = 0
    scalars = {"clip": clip, "entropy_weight": 0.03, "value_weight": 0.7}
    got = backend.ppo_gradient(**given, **scalars)
    want = exact.ppo_gradient(**doubles(given), **scalars)
    for mine, theirs, kind in zip(got, want, (dtype, dtype, F64), strict=True):
        assert mine.dtype == kind
        np.testing.assert_allclose(mine, theirs, rtol=3e-5 if dtype != F64 else 1e-9, atol=1e-12)


def test_the_losses_by_hand(backend: Any) -> None:
    third = np.log(1 / 2)  # log odds of a third
    given = {
        "order": np.array([0, 1]), "logit": np.array([0.0, 0.0]), "estimate": np.array([1.0, 3]),
        "actions": np.array([1, 0], np.uint8), "old_logit": np.array([third, third]),
        "advantage": np.array([2.0, 2.0]), "returns": np.array([0.0, 1.0]),
    }  # fmt: skip
    _, dvalue, losses = backend.ppo_gradient(**given, clip=0.2, value_weight=1)
    # RIGHT went from a third to a half, 1.5 times, LEFT from two thirds to a half, 0.75 times.
    assert_close(losses[0], [-1.2 * 2, -0.75 * 2])
    assert_close(losses[1], [0.5, 2.0])
    assert_close(losses[2], np.log([2, 2]))
    assert_close(losses[3], [0.5 - np.log(1.5), -0.25 - np.log(0.75)])
    assert losses[4].tolist() == [1, 1]
    assert_close(dvalue, [0.5, 1.0])


@pytest.mark.parametrize("name", ALL_BACKENDS)
def test_an_action_of_no_probability_has_a_gradient(name: str) -> None:
    """LEFT has e^-800 now and had e^-799: a ratio of 1/e, though either is 0 as a number."""
    given = {
        "order": np.arange(2), "logit": np.full(2, 800.0), "estimate": np.zeros(2),
        "actions": np.array([0, 1], np.uint8), "old_logit": np.full(2, 799.0),
        "advantage": np.ones(2), "returns": np.zeros(2),
    }  # fmt: skip
    dlogit, _, _ = kernels.get_backend(name).ppo_gradient(**given, clip=0.2, entropy_weight=0.1)
    assert_close(dlogit, [np.exp(-1) / 2, 0.0])


@pytest.mark.parametrize("which", TREES)
def test_gradients_of_the_whole_are_central_differences(backend: Any, which: str) -> None:
    """From the loss, through heads and hidden layer, to every level's weights."""
    tree = TREES[which]
    frames, p = batch(tree, [20, 0, 30, 25, 5]), weights(tree, 6, F64)
    p["rows"] /= 5
    past = {n: a for n, a in loss_inputs(5, F64).items() if n not in ("order", "logit", "estimate")}
    scalars = {"clip": 0.9, "entropy_weight": 0.3, "value_weight": 0.7}
    order = frames["order"]

    def forward(q: dict[str, Any]) -> Any:
        hidden = backend.pyramid_forward(**frames, **q)
        return hidden, backend.actor_critic(hidden, q["units"])

    def loss(q: dict[str, Any]) -> float:
        picked = [past[n][order] for n in ("actions", "old_logit", "advantage", "returns")]
        parts = oracle.ppo_losses(*forward(q)[1], *picked, scalars["clip"])
        return float(np.mean(parts[0] + 0.7 * parts[1] - 0.3 * parts[2]))

    hidden, heads = forward(p)
    dlogit, dvalue, _ = backend.ppo_gradient(order, *heads, **past, **scalars)
    gradient, squares = backend.pyramid_backward(
        **frames, mirror=tree.mirror, parents=tree.parents, scales=tree.scales,
        seen=np.ones(tree.rows, np.uint8), hidden=hidden, units=p["units"], dlogit=dlogit,
        dvalue=dvalue,
    )  # fmt: skip
    assert_close(squares, np.square(gradient).sum(axis=0))
    rng = np.random.default_rng(11)

    def moved(row: int, unit: int, by: float) -> dict[str, Any]:
        q = {name: array.copy() for name, array in p.items()}
        if row >= tree.rows:
            q["units"][row - tree.rows, unit] += by
        elif row < tree.base:
            q["rows"][row, unit] += by
        else:
            for above, scale in zip(tree.parents, tree.scales, strict=True):
                q["rows"][above == row, unit] += scale * by
        return q

    lit = np.argwhere(np.abs(gradient) > 1e-6)
    own = lit[lit[:, 0] >= tree.rows]
    coarse = lit[(lit[:, 0] >= tree.base) & (lit[:, 0] < tree.rows)]
    for group in (lit, own, coarse):
        if not len(group):
            assert which == "flat"
            continue
        picked = group[rng.choice(len(group), min(15, len(group)), replace=False)]
        slopes = [(loss(moved(r, j, 1e-5)) - loss(moved(r, j, -1e-5))) / 2e-5 for r, j in picked]
        assert_close(gradient[tuple(picked.T)], slopes, GRADIENT, scale=max(1, abs(gradient).max()))


# --- optimizer ----------------------------------------------------------------------------------


def test_adam_is_the_oracles_over_many_steps(
    backend: Any, exact: Any, dtype: Any, tree: Pyramid
) -> None:
    rng, units = np.random.default_rng(12), 5
    frames = batch(tree, SIZES["real"])
    family = {"parents": tree.parents, "scales": tree.scales, "seen": seen_by(tree, frames)}
    p = weights(tree, units, dtype)
    names = ("rows", "units", "mean", "square")
    start = [p["rows"], p["units"], *np.zeros((2, tree.rows + 3, units), dtype)]
    mine = {n: a.copy() for n, a in zip(names, start, strict=True)}
    theirs = {n: a.astype(F64) for n, a in mine.items()}
    untouched = np.append(family["seen"] == 0, [False] * 3)
    for step in (1, 2, 3, 1000, 10**9):
        gradient = (rng.standard_normal((tree.rows + 3, units)) * 1e-3).astype(dtype)
        gradient[untouched] = 0
        for one, arrays in ((backend, mine), (exact, theirs)):
            one.pyramid_adam(
                **arrays, gradient=gradient.astype(arrays["rows"].dtype), **family, step=step,
                factor=0.3, learning_rate=0.01,
            )  # fmt: skip
    for name in names:
        assert_close(mine[name], theirs[name])


def test_moments_that_decay_end_at_zero(backend: Any) -> None:
    tree = TREES["flat"]
    moments = np.full((2, tree.rows + 3, 2), 2e-35, np.float32)
    rows, units = np.ones((tree.base, 2), np.float32), np.ones((3, 2), np.float32)
    backend.pyramid_adam(
        rows, units, np.zeros_like(moments[0]), *moments, np.ones(tree.rows, np.uint8),
        tree.parents, tree.scales, 5, beta1=0.4, beta2=0.4,
    )  # fmt: skip
    assert not moments.any()
    assert_close(rows, np.ones((tree.base, 2)))


# --- advantages ---------------------------------------------------------------------------------


def rollout(shape: tuple[int, ...], dtype: Any, seed: int = 13) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "rewards": rng.choice([-1, 0, 0, 0, 1], shape).astype(dtype),
        "values": rng.standard_normal(shape).astype(dtype),
        "dones": rng.random(shape) < 0.1,
        "last_value": rng.standard_normal(shape[1:]).astype(dtype),
    }


@pytest.mark.parametrize("shape", [(0,), (1,), (40,), (0, 3), (7, 1), (40, 5), (3, 0)])
def test_gae_is_the_oracles(backend: Any, exact: Any, dtype: Any, shape: tuple[int, ...]) -> None:
    given = rollout(shape, dtype)
    if len(shape) == 1:
        given["last_value"] = float(given["last_value"])
    for gamma, lambda_ in ((0.99, 0.95), (1, 1), (0.9, 0), (0, 0.5)):
        wide = {n: np.asarray(a, F64) if n != "dones" else a for n, a in given.items()}
        if len(shape) == 1:
            wide["last_value"] = float(np.asarray(given["last_value"], dtype))
        got = backend.gae(**given, gamma=gamma, lambda_=lambda_)
        assert got.dtype == dtype and got.shape == shape
        assert_close(got, exact.gae(**wide, gamma=gamma, lambda_=lambda_))


def test_gae_of_one_row_is_a_column_of_many(backend: Any, exact: Any, dtype: Any) -> None:
    many = rollout((30, 4), dtype)
    whole = backend.gae(**many)
    for n in range(4):
        one = {name: np.ascontiguousarray(array[..., n]) for name, array in many.items()}
        got = backend.gae(**one)
        assert_same(got, np.ascontiguousarray(whole[:, n]))
    out = many["rewards"].copy()
    assert backend.gae(**{**many, "rewards": out}, out=out) is out
    assert_same(out, whole)
    as_numbers = {**many, "dones": many["dones"].astype(np.uint8) * 3}
    assert_same(backend.gae(**as_numbers), whole)
    assert_close(exact.gae(**as_numbers), whole)


@given(st.integers(0, 2**32), st.integers(1, 30), st.floats(0, 1))
def test_gae_identities(seed: int, steps: int, gamma: float) -> None:
    """With lambda 1 the discounted return less the value, with lambda 0 the error of one step."""
    backend = kernels.get_backend("cython")
    given = rollout((steps,), F64, seed)
    r, v, dones, last = (given[n] for n in ("rewards", "values", "dones", "last_value"))
    returns, after = np.zeros(steps), float(last)
    for t in reversed(range(steps)):
        after = returns[t] = r[t] + gamma * (0 if dones[t] else after)
    np.testing.assert_allclose(backend.gae(r, v, dones, last, gamma, 1) + v, returns, atol=1e-12)
    following = np.where(dones, 0, np.append(v[1:], last))
    np.testing.assert_allclose(backend.gae(r, v, dones, last, gamma, 0), r + gamma * following - v)


# --- the step -----------------------------------------------------------------------------------


def buffers(
    dtype: Any, resolution: int = 4, last: bool = False, cap: int = 40, stride: int = 2,
    history: int = 0, spread: int = 1,
) -> dict[str, Any]:  # fmt: skip
    rng, tree = np.random.default_rng(14), Pyramid(resolution, (), last, stride, history)
    p = weights(tree, 9, dtype)
    p["rows"] /= 9
    return {
        "screens": screens(rng, 1 + (1 + history) * spread), "table": table(rng),
        "resolution": resolution, "stride": stride, "spread": spread, **p,
        "indptr": np.zeros(cap + 1, np.int64), "indices": np.zeros(cap * tree.base, np.uint16),
        "values": np.zeros(cap * tree.base, np.int8), "actions": np.zeros(cap, np.uint8),
        "logits": np.zeros(cap, dtype), "estimates": np.zeros(cap, dtype),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("last", "stride", "history", "spread"),
    [(False, 2, 0, 1), (True, 2, 0, 1), (True, 1, 0, 1), (True, 1, 2, 1), (True, 1, 2, 2)],
)
def test_the_step_records_and_chooses_as_the_oracles(
    backend: Any, exact: Any, dtype: Any, last: bool, stride: int, history: int, spread: int
) -> None:
    runs = []
    for one in (backend, exact):
        resolution = 4 if stride == 2 else 10
        given = buffers(
            dtype, resolution, last, stride=stride, history=history, spread=spread
        )  # fmt: skip
        given["rows"] /= 1 if stride == 2 else 20  # so large are the counts of such cells
        kept = len(given["screens"])
        step, rng, before, chosen = one.actor_step(**given), np.random.default_rng(15), -1, []
        for t in range(40):
            given["screens"][t % kept, 60:90] = rng.integers(0, 256, (30, 160))
            before = step(t, rng.random(), before < 0 or t % 9 == 0, before)
            chosen.append(before)
        runs.append((chosen, given))
    (chosen, got), (want_chosen, want) = runs
    if dtype == F64:
        assert chosen == want_chosen == got["actions"].tolist() and len(set(chosen)) == 2
    # In float32 a choice may differ; with it the next input does, which is the last action's.
    same = int(np.argmin([a == b for a, b in zip(chosen, want_chosen, strict=True)])) or 40
    assert same > 20
    assert_same(got["indptr"][: same + 1], want["indptr"][: same + 1])
    for name in ("indices", "values"):
        assert_same(got[name][: want["indptr"][same]], want[name][: want["indptr"][same]])
    for name in ("logits", "estimates"):
        assert_close(got[name][:same], want[name][:same], scale=10)


def test_step_and_learner_speak_of_one_policy(backend: Any, dtype: Any) -> None:
    given = buffers(dtype, cap=3)
    step = backend.actor_step(**given)
    step(0, 0.5, True, -1), step(1, 0.5, False, 0), step(2, 0.5, False, 1)
    frames = {n: given[n] for n in ("indptr", "indices", "values")}
    network = {n: given[n] for n in ("rows", "mirror", "units")}
    hidden = backend.pyramid_forward(np.arange(3), **frames, **network)
    logit, estimate = backend.actor_critic(hidden, given["units"])
    assert_same(given["logits"], logit)
    assert_same(given["estimates"], estimate)
    for t in range(3):
        p = 1 / (1 + np.exp(-float(logit[t])))
        for by, action in ((-1e-12, 1), (1e-12, 0)):
            assert step(t, p * (1 + by), t == 0, -1) == action


@pytest.mark.parametrize(("spread", "kept"), [(1, 4), (1, 7), (2, 7), (2, 9)])
def test_earlier_differences_are_those_of_earlier_steps(
    backend: Any, spread: int, kept: int
) -> None:
    """Channel c of step t is the difference channel of step t - (c - 1) d, d the spread."""
    given = buffers(F64, 10, stride=1, history=2, cap=17, spread=spread)
    given["screens"] = np.zeros((kept, 210, 160), np.uint8)
    step, places, found = backend.actor_step(**given), 256, []
    rng = np.random.default_rng(16)
    for t in range(17):
        given["screens"][t % kept, 60:90] = rng.integers(0, 256, (30, 160))
        step(t, 0.5, t == 0, 0)
        x = np.zeros((4, places))
        mine = slice(*given["indptr"][t : t + 2])
        x.reshape(-1)[given["indices"][mine]] = given["values"][mine]
        found.append(x)
    first = 3 * spread
    assert not found[0][1:].any() and all(x[1:].any(axis=1).all() for x in found[first:])
    for t in range(first, 17):
        assert_same(found[t][2], found[t - spread][1])
        assert_same(found[t][3], found[t - 2 * spread][1])
        assert_same(found[t][1], found[t][0] - found[t - spread][0])


def test_a_fresh_step_has_no_difference(backend: Any) -> None:
    given = buffers(F64, cap=2)
    step, places = backend.actor_step(**given), 400
    step(0, 0.5, True, -1), step(1, 0.5, False, 0)
    first, second = np.split(given["indices"][: given["indptr"][2]], given["indptr"][1:2])
    assert first.max() < places <= second.max()


def test_the_step_without_room_writes_nothing(backend: Any, dtype: Any) -> None:
    for t, changes in ((40, {}), (-1, {}), (0, {"indices": 799}), (0, {"values": 0})):
        given = buffers(dtype)
        for name, size in changes.items():
            room = {"indices": np.uint16, "values": np.int8}
            given |= {n: np.zeros(size, kind) for n, kind in room.items()} if name else {}
        before = {n: np.copy(a) for n, a in given.items()}
        assert backend.actor_step(**given)(t, 0.5, True, -1) == -1
        for name, array in before.items():
            assert np.array_equal(given[name], array)
    given = buffers(dtype)
    for far in (2**63 - 1, 2**63 - 400, len(given["indices"]) - 799, -1):
        given["indptr"][0] = far
        assert backend.actor_step(**given)(0, 0.5, True, -1) == -1
    assert backend.actor_step(**buffers(dtype))(0, 0.5, True, 2) == -1


# --- bad input ----------------------------------------------------------------------------------


def test_numbers_out_of_range_are_refused(backend: Any) -> None:
    tree = TREES["two levels"]
    frames, p = batch(tree, [3, 4]), weights(tree, 5, F64)
    forward = {**frames, **p}

    def refuse(kernel: Any, given: dict[str, Any], error: Any = ValueError, **bad: Any) -> None:
        with pytest.raises(error, match=f"^{next(iter(bad))}"):
            kernel(**{**given, **bad})

    refuse(backend.pyramid_forward, forward, order=np.array([2]))
    round_about = np.roll(np.arange(tree.base, dtype=np.int32), 1)
    refuse(backend.pyramid_forward, forward, mirror=round_about)
    refuse(backend.pyramid_forward, forward, order=np.array([-1]))
    refuse(backend.pyramid_forward, forward, mirror=tree.mirror + np.int32(1))
    refuse(backend.pyramid_forward, forward, indices=frames["indices"] + np.uint16(tree.base))
    refuse(backend.pyramid_forward, forward, share=(0, 6))
    refuse(backend.pyramid_forward, forward, share=(3, 2))
    refuse(backend.pyramid_forward, forward, TypeError, share=[0, 5])
    refuse(backend.pyramid_forward, forward, TypeError, share=(0.0, 5))
    hidden = backend.pyramid_forward(**forward)
    family = {"parents": tree.parents, "scales": tree.scales, "seen": np.ones(tree.rows, np.uint8)}
    back = {**frames, "mirror": tree.mirror, **family, "hidden": hidden, "units": p["units"]}
    back |= upward(len(frames["order"]), F64)
    wrong = np.where(tree.parents == tree.parents.max(), np.int32(0), tree.parents)
    refuse(backend.pyramid_backward, back, parents=wrong)
    refuse(backend.pyramid_backward, back, parents=tree.parents + np.int32(1))
    moments = np.zeros((3, tree.rows + 3, 5))
    adam = {"rows": p["rows"], "units": p["units"], "gradient": moments[0], "mean": moments[1],
            "square": moments[2], **family, "step": 1}  # fmt: skip
    refuse(backend.pyramid_adam, adam, seen=np.ones(tree.rows - 1, np.uint8))
    for name, value, error in (
        *(("step", 0, ValueError), ("step", 1.0, TypeError), ("factor", -1.0, ValueError)),
        *(("beta1", 1.0, ValueError), ("epsilon", 0.0, ValueError)),
        *(("learning_rate", np.nan, ValueError), ("beta2", "high", TypeError)),
    ):
        refuse(backend.pyramid_adam, adam, error, **{name: value})
    loss = loss_inputs(4, F64)
    refuse(backend.ppo_gradient, loss, actions=np.array([0, 1, 2, 0], np.uint8))
    refuse(backend.ppo_gradient, loss, order=np.array([0, 1, 2, 4]))
    refuse(backend.ppo_gradient, loss, clip=1.0)
    refuse(backend.ppo_gradient, loss, entropy_weight=-0.1)
    path = rollout((5, 2), F64)
    refuse(backend.gae, path, gamma=1.1)
    refuse(backend.gae, path, lambda_=-0.1)
    refuse(backend.gae, path, last_value=np.zeros(3))
    refuse(backend.gae, path, TypeError, last_value=0.0)
    refuse(backend.gae, rollout((5,), F64), TypeError, last_value=np.zeros(2))
    refuse(backend.gae, path, TypeError, dones=np.zeros((5, 2)))
    step = buffers(F64)
    refuse(backend.actor_step, step, resolution=3)
    refuse(backend.actor_step, step, TypeError, resolution=4.0)
    refuse(backend.actor_step, step, stride=3)
    refuse(backend.actor_step, step, screens=step["screens"][:1].copy())
    refuse(backend.actor_step, step, spread=0)
    refuse(backend.actor_step, step | {"spread": 2}, screens=step["screens"])
    refuse(backend.actor_step, step, TypeError, spread=1.0)
    refuse(backend.actor_step, step, screens=step["screens"][0])
    many = 3 * 160 * 160
    room = {"rows": np.zeros((many, 9)), "mirror": np.arange(many, dtype=np.int32)}
    wide = {"stride": 1, "resolution": 1, "screens": np.zeros((3, 210, 160), np.uint8)}
    refuse(backend.actor_step, step | wide | room, rows=room["rows"])
    fewer = {"mirror": np.arange(799, dtype=np.int32), "rows": step["rows"][:-1].copy()}
    refuse(backend.actor_step, step | fewer, rows=fewer["rows"])
    refuse(backend.actor_step, step, indptr=np.zeros(3, np.int64))


def test_dense_inputs_are_dense_frames() -> None:
    tree = Pyramid(1, (), False)
    frames = batch(tree, [5, 6])
    x = oracle.dense_inputs(np.arange(2), *list(frames.values())[1:], tree.base)
    low = frames["indices"] < 6400
    indptr = np.searchsorted(np.flatnonzero(low), frames["indptr"])
    dense = dense_frames(indptr, frames["indices"][low], frames["values"][low])
    assert_same(x[:, :6400], dense)

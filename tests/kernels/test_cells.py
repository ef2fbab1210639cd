"""Kernels of the cells network against the oracle, and against mathematics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from kernel_cases import ALL_BACKENDS, BACKENDS, DTYPES, screens, table
from tolerances import GRADIENT, UPDATE, assert_close, assert_same
from waiting import PATIENCE

from fastpong import kernels, oracle
from fastpong.agents.pyramid import Level, Pyramid
from fastpong.kernels.bundles import (
    CellNetwork,
    CellTree,
    Moments,
    PpoCoefficients,
    RolloutSteps,
    SparseInputs,
    UnitShare,
)
from fastpong.learning.team import Team
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
    """Return the inputs of a batch, of so many entries each, and a shuffled minibatch."""
    rng = np.random.default_rng(seed)
    picked = [np.sort(rng.choice(tree.base, size, replace=False)) for size in sizes]
    return {
        "order": rng.permutation(len(sizes))[: max(0, len(sizes) - 1) or len(sizes)],
        "inputs": SparseInputs(
            np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            np.concatenate([np.zeros(0), *picked]).astype(np.uint16),
            rng.choice(np.array([-2, -1, 1, 3], np.int8), sum(sizes)),
        ),
    }


def weights(tree: Pyramid, units: int, dtype: Any) -> dict[str, Any]:
    rng = np.random.default_rng(4)
    rows, own = rng.standard_normal((tree.base, units)), rng.standard_normal((3, units))
    return {
        "network": CellNetwork(rows.astype(dtype), own.astype(dtype)),
        "mirror": tree.mirror,
    }


def family(tree: Pyramid, frames: dict[str, Any] | None = None) -> CellTree:
    """Return the rows' relations, with all rows or those that the inputs reach seen."""
    seen = np.ones(tree.rows, np.uint8) if frames is None else seen_by(tree, frames)
    return CellTree(tree.mirror, tree.parents, tree.scales, seen)


def seen_by(tree: Pyramid, frames: dict[str, Any]) -> Any:
    """Return the rows that the inputs reach, by plain means."""
    lit = np.zeros(tree.rows, np.uint8)
    for d in frames["inputs"].indices:
        for row in (d, tree.mirror[d]):
            lit[row] = 1
            lit[[p for p in tree.parents[:, row] if p >= 0]] = 1
    return lit


def upward(count: int, dtype: Any) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    return {name: rng.standard_normal(count).astype(dtype) for name in ("dlogit", "dvalue")}


def double(value: Any) -> Any:
    if isinstance(value, tuple):
        return type(value)(*map(double, value))
    return value.astype(F64) if value.dtype in DTYPES else value


def doubles(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: double(value) for name, value in arrays.items()}


# --- input --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell_size", "pixel_stride"),
    [*((r, 2) for r in (1, 2, 4, 8, 10)), *((r, 1) for r in (1, 4, 5, 10))],
)
def test_cells_are_the_oracles_exactly(
    backend: Any, exact: Any, cell_size: int, pixel_stride: int
) -> None:
    rng = np.random.default_rng(6)
    pair, lookup = screens(rng, 2), table(rng)
    pair[1, :100] = pair[0, :100]  # nothing changes there, and below it everything
    blank = np.full((210, 160), np.flatnonzero(lookup == 0)[0], np.uint8)
    ball = blank.copy()
    ball[100:104, 60:64] = np.flatnonzero(lookup)[0]
    for now, before in ((*pair,), (pair[0], None), (ball, blank), (blank, ball), (blank, None)):
        got = backend.encode_cells(now, before, lookup, cell_size, pixel_stride)
        want = exact.encode_cells(now, before, lookup, cell_size, pixel_stride)
        for mine, theirs in zip(got, want, strict=True):
            assert_same(mine, theirs)
    with pytest.raises(ValueError, match=r"^cell_size"):
        backend.encode_cells(blank, None, lookup, 3)
    for bad in (0, 3):
        with pytest.raises(ValueError, match=r"^pixel_stride: expected"):
            backend.encode_cells(blank, None, lookup, 4, bad)


@pytest.mark.parametrize(("cell_size", "pixel_stride"), [(2, 2), (4, 1)])
@pytest.mark.parametrize("ground", [[], [3], [3, 7], [9]])
def test_cells_do_not_depend_on_which_colours_are_background(
    backend: Any, exact: Any, cell_size: int, pixel_stride: int, ground: list[int]
) -> None:
    """None; that of most rows; two in turn; one that is first met in the last row."""
    lookup = np.ones(256, np.uint8)
    lookup[ground] = 0
    now = np.full((210, 160), 3, np.uint8)
    now[60:80], now[80:84, 8:17], now[194, 155:] = 7, 5, 9
    before = np.roll(now, 3, axis=1)
    before[70, 50], before[100, 159] = 3, 5
    for pair in ((now, before), (now, now), (before, None)):
        got = backend.encode_cells(*pair, lookup, cell_size, pixel_stride)
        want = exact.encode_cells(*pair, lookup, cell_size, pixel_stride)
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
    hidden = backend.cells_forward(**frames, **p)
    assert hidden.dtype == dtype
    assert_close(hidden, exact.cells_forward(**frames, **doubles(p)))
    own = p["network"].units
    heads = backend.cells_heads(hidden, own)
    want = exact.cells_heads(hidden.astype(F64), own.astype(F64))
    for mine, theirs in zip(heads, want, strict=True):
        # Sums over the units of what may cancel.
        assert_close(mine, theirs, scale=max(1.0, np.abs(theirs).max(initial=0.0)) * units**0.5)
    rest = {"units": own, "hidden": hidden, **upward(len(frames["order"]), dtype)}
    given = {**frames, "tree": family(tree, frames)}
    gradient, squares = backend.cells_backward(**given, **rest)
    want_gradient, want_squares = exact.cells_backward(**given, **doubles(rest))
    assert gradient.dtype == dtype and squares.dtype == F64
    assert_close(gradient, want_gradient)
    np.testing.assert_allclose(squares, want_squares, rtol=1e-4 if dtype != F64 else 1e-12)


def columns(value: Any, part: tuple[int, int]) -> Any:
    """Return copies of some columns, of arrays in any tuples."""
    if isinstance(value, tuple):
        return type(value)(*(columns(v, part) for v in value))
    return value[..., slice(*part)].copy()


def test_columns_are_those_of_the_whole_bit_for_bit(
    backend: Any, dtype: Any, tree: Pyramid
) -> None:
    units, rng = 150, np.random.default_rng(8)
    frames, p = batch(tree, SIZES["real"]), weights(tree, units, dtype)
    relations, up = family(tree, frames), upward(len(frames["order"]), dtype)
    moments = rng.standard_normal((2, tree.rows + 3, units)).astype(dtype)

    def learn(part: tuple[int, int]) -> list[Any]:
        network = columns(p["network"], part)
        mine = Moments(columns(moments[0], part), np.abs(columns(moments[1], part)))
        hidden = backend.cells_forward(**frames, network=network, mirror=tree.mirror)
        gradient, squares = backend.cells_backward(
            **frames, tree=relations, hidden=hidden, units=network.units, **up
        )
        steps = gradient.copy()
        backend.cells_adam(network, steps, mine, relations, 3, 0.5)
        return [hidden, gradient, squares, *network, *mine]

    whole = learn((0, units))
    for part in ((0, 64), (64, 150), (0, 1), (1, 17), (17, 17), (17, 149), (149, 150)):
        for mine, theirs in zip(learn(part), whole, strict=True):
            assert_same(mine, columns(theirs, part))


def pyramid_of(images: Any, tree: Pyramid) -> Any:
    """Return the sums of dense images (T, 2, S, S) over base cells and coarser ones: (T, R)."""
    parts = [images.reshape(len(images), -1)]
    for height, width, _ in tree.levels:
        h, w = height // tree.cell_size, width // tree.cell_size
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
    x = oracle.dense_inputs(frames["order"], frames["inputs"], tree.base)
    images = x.reshape(5, 2, tree.side, tree.side)
    hidden = backend.cells_forward(**frames, network=CellNetwork(rows, units), mirror=tree.mirror)
    for k, seen in enumerate((images, images[:, :, ::-1])):
        z = (pyramid_of(seen, tree) * scale) @ w + units[0]
        assert_close(hidden[:, k], np.maximum(z, 0))


def test_upside_down_the_actions_exchange_and_the_value_stays(backend: Any, tree: Pyramid) -> None:
    frames, p = batch(tree, [20, 30]), weights(tree, 9, F64)
    frames["order"] = np.arange(2)
    turned = tree.mirror[frames["inputs"].indices].astype(np.uint16)
    flipped = {**frames, "inputs": frames["inputs"]._replace(indices=turned)}
    one, other = (
        backend.cells_heads(backend.cells_forward(**f, **p), p["network"].units)
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
        "value": rng.standard_normal(count).astype(dtype),
        "steps": RolloutSteps(
            rng.integers(0, 2, count).astype(np.uint8), old.astype(dtype),
            rng.standard_normal(count).astype(dtype), rng.standard_normal(count).astype(dtype),
        ),
    }  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 300])
@pytest.mark.parametrize("clip", [0.0, 0.2])
def test_the_loss_and_its_gradient_are_the_oracles(
    backend: Any, exact: Any, dtype: Any, count: int, clip: float
) -> None:
    given = loss_inputs(count, dtype)
    if count > 9:
        given["logit"][:4], given["steps"].old_logit[:6] = 60, -60
        given["steps"].advantage[:9:2] = 0
    scalars = {"clip_range": clip, "ent_coef": 0.03, "vf_coef": 0.7}
    got = backend.ppo_gradient(**given, **scalars)
    want = exact.ppo_gradient(**doubles(given), **scalars)
    for mine, theirs, kind in zip(got, want, (dtype, dtype, F64), strict=True):
        assert mine.dtype == kind
        np.testing.assert_allclose(mine, theirs, rtol=3e-5 if dtype != F64 else 1e-9, atol=1e-12)


def test_the_losses_by_hand(backend: Any) -> None:
    third = np.log(1 / 2)  # log odds of a third
    given = {
        "order": np.array([0, 1]), "logit": np.array([0.0, 0.0]), "value": np.array([1.0, 3]),
        "steps": RolloutSteps(
            np.array([1, 0], np.uint8), np.array([third, third]), np.array([2.0, 2.0]),
            np.array([0.0, 1.0]),
        ),
    }  # fmt: skip
    _, dvalue, losses = backend.ppo_gradient(**given, clip_range=0.2, vf_coef=1)
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
        "order": np.arange(2), "logit": np.full(2, 800.0), "value": np.zeros(2),
        "steps": RolloutSteps(
            np.array([0, 1], np.uint8), np.full(2, 799.0), np.ones(2), np.zeros(2)
        ),
    }  # fmt: skip
    dlogit, _, _ = kernels.get_backend(name).ppo_gradient(**given, clip_range=0.2, ent_coef=0.1)
    assert_close(dlogit, [np.exp(-1) / 2, 0.0])


@pytest.mark.parametrize("which", TREES)
def test_gradients_of_the_whole_are_central_differences(backend: Any, which: str) -> None:
    """From the loss, through heads and hidden layer, to every level's weights."""
    tree = TREES[which]
    frames, p = batch(tree, [20, 0, 30, 25, 5]), weights(tree, 6, F64)
    p["network"].rows[:] /= 5
    past = loss_inputs(5, F64)["steps"]
    scalars = {"clip_range": 0.9, "ent_coef": 0.3, "vf_coef": 0.7}
    order = frames["order"]

    def forward(network: CellNetwork) -> Any:
        hidden = backend.cells_forward(**frames, network=network, mirror=tree.mirror)
        return hidden, backend.cells_heads(hidden, network.units)

    def loss(network: CellNetwork) -> float:
        picked = tuple(array[order] for array in past)
        parts = oracle.ppo_losses(*forward(network)[1], picked, scalars["clip_range"])
        return float(np.mean(parts[0] + 0.7 * parts[1] - 0.3 * parts[2]))

    hidden, heads = forward(p["network"])
    dlogit, dvalue, _ = backend.ppo_gradient(order, *heads, past, **scalars)
    gradient, squares = backend.cells_backward(
        **frames, tree=family(tree), hidden=hidden, units=p["network"].units, dlogit=dlogit,
        dvalue=dvalue,
    )  # fmt: skip
    assert_close(squares, np.square(gradient).sum(axis=0))
    rng = np.random.default_rng(11)

    def moved(row: int, unit: int, by: float) -> CellNetwork:
        rows, units = (array.copy() for array in p["network"])
        if row >= tree.rows:
            units[row - tree.rows, unit] += by
        elif row < tree.base:
            rows[row, unit] += by
        else:
            for above, scale in zip(tree.parents, tree.scales, strict=True):
                rows[above == row, unit] += scale * by
        return CellNetwork(rows, units)

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


def td_inputs(count: int, dtype: Any, seed: int = 17) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "heads": rng.standard_normal((2, 2 * count)).astype(dtype),
        "target_heads": rng.standard_normal((2, count)).astype(dtype),
        "actions": rng.integers(0, 2, count).astype(np.uint8),
        "rewards": rng.standard_normal(count),
        "discount": rng.random(count),
    }


@pytest.mark.parametrize("count", [0, 1, 300])
def test_the_td_loss_is_the_oracles(backend: Any, exact: Any, dtype: Any, count: int) -> None:
    given = td_inputs(count, dtype)
    got, want = backend.td_gradient(**given), exact.td_gradient(**given)
    for mine, theirs in zip(got, want, strict=True):
        assert_same(mine, theirs)


@pytest.mark.parametrize("name", ALL_BACKENDS)
def test_the_td_loss_by_hand(name: str) -> None:
    """RIGHT is worth 3 + 1; after it LEFT seems better, which the target says is worth 5 + 2."""
    got = kernels.get_backend(name).td_gradient(
        np.array([[2.0, -0.1], [3.0, 9.0]]), np.array([[-4.0], [5.0]]), np.array([1], np.uint8),
        np.array([1.0]), np.array([0.5]),
    )  # fmt: skip
    for array, want in zip(got, ([-0.25], [-0.5], [[-0.5], [4.5]]), strict=True):
        assert array.tolist() == want


@pytest.mark.parametrize("name", ALL_BACKENDS)
def test_the_td_gradient_is_central_differences(name: str) -> None:
    backend, given = kernels.get_backend(name), td_inputs(20, F64)
    dlogit, dvalue, _ = backend.td_gradient(**given)

    def loss(which: int, step: int, by: float) -> float:
        heads = given["heads"].copy()
        heads[which, step] += by
        return float(np.mean(backend.td_gradient(**{**given, "heads": heads})[2][0] ** 2) / 2)

    for which, gradient in enumerate((dlogit, dvalue)):
        slopes = [(loss(which, k, 1e-5) - loss(which, k, -1e-5)) / 2e-5 for k in range(20)]
        assert_close(gradient, slopes, GRADIENT)
    # No gradient flows through the target, nor through the choice of the action after.
    later = [(loss(w, 20 + k, 1e-5) - loss(w, 20 + k, -1e-5)) for w in (0, 1) for k in range(20)]
    assert not np.any(later)


def test_td_identities(backend: Any, dtype: Any) -> None:
    """Without a discount the target is the reward; upside down actions exchange."""
    given = td_inputs(50, dtype)
    ended = backend.td_gradient(**{**given, "discount": np.zeros(50)})
    assert_same(ended[2][1], given["rewards"])
    flip = np.array([[-1], [1]], dtype)
    flipped = {
        **given, "heads": flip * given["heads"], "target_heads": flip * given["target_heads"],
        "actions": 1 - given["actions"],
    }  # fmt: skip
    one, other = backend.td_gradient(**given), backend.td_gradient(**flipped)
    assert_same(other[0], -one[0])
    assert_same(other[1], one[1])
    assert_same(other[2], one[2])


# --- optimizer ----------------------------------------------------------------------------------


def test_adam_is_the_oracles_over_many_steps(exact: Any, dtype: Any, tree: Pyramid) -> None:
    rng, units = np.random.default_rng(12), 5
    frames = batch(tree, SIZES["real"])
    relations = family(tree, frames)
    start = weights(tree, units, dtype)["network"]
    moments = np.zeros((2, tree.rows + 3, units), dtype)
    mine = {
        kernels.get_backend(name): (
            CellNetwork(*(a.copy() for a in start)),
            Moments(*moments.copy()),
        )
        for name in BACKENDS
    }
    theirs = CellNetwork(*map(double, start)), Moments(*moments.astype(F64))
    untouched = np.append(relations.seen == 0, [False] * 3)
    for step in (1, 2, 3, 1000, 10**9):
        gradient = (rng.standard_normal((tree.rows + 3, units)) * 1e-3).astype(dtype)
        gradient[untouched] = 0
        for one, (network, own) in (*mine.items(), (exact, theirs)):
            one.cells_adam(
                network, gradient.astype(network.rows.dtype), own, relations, step, factor=0.3,
                learning_rate=0.01,
            )  # fmt: skip
    for one, (network, own) in mine.items():
        for got, want in zip((*network, *own), (*theirs[0], *theirs[1]), strict=True):
            assert_close(got, want, name=one.name)


def test_moments_that_decay_end_at_zero(backend: Any) -> None:
    tree = TREES["flat"]
    moments = np.full((2, tree.rows + 3, 2), 2e-35, np.float32)
    network = CellNetwork(np.ones((tree.base, 2), np.float32), np.ones((3, 2), np.float32))
    backend.cells_adam(
        network, np.zeros_like(moments[0]), Moments(*moments), family(tree), 5, beta1=0.4, beta2=0.4
    )
    assert not moments.any()
    assert_close(network.rows, np.ones((tree.base, 2)))


# --- PPO's update -------------------------------------------------------------------------------

COEFFICIENTS = PpoCoefficients(0.2, 0.7, 0.3, 0.8, 0.95, 1e-4)
RATE, ENTROPY, BEFORE = 3e-3, 0.02, 7


@dataclass
class Update:
    """The arguments of an update: N steps of a batch, minibatches, weights and moments."""

    relations: CellTree
    inputs: SparseInputs
    steps: RolloutSteps
    orders: list[Any]
    network: CellNetwork
    moments: Moments

    @classmethod
    def of(cls, tree: Pyramid, dtype: Any, units: int) -> Update:
        rng, frames = np.random.default_rng(18), batch(tree, SIZES["many"])
        relations, count = family(tree, frames), len(SIZES["many"])
        moments = 0.1 * rng.standard_normal((2, tree.rows + 3, units)).astype(dtype)
        moments[:, np.append(relations.seen == 0, [False] * 3)] = 0
        network = weights(tree, units, dtype)["network"]
        network.rows[:] /= 20
        network.units[1:] /= 5
        return cls(
            relations, frames["inputs"], loss_inputs(count, dtype)["steps"],
            [part for _ in range(3) for part in np.array_split(rng.permutation(count), 3)],
            network, Moments(moments[0], np.square(moments[1])),
        )  # fmt: skip

    def shares(self, edges: list[int]) -> list[UnitShare]:
        found = []
        for part in pairwise(edges):
            moments = columns(self.moments, part)
            hidden = np.full((6, 2, part[1] - part[0]), np.nan, moments.mean.dtype)
            gradient = np.zeros_like(moments.mean)
            found.append(UnitShare(columns(self.network, part), moments, gradient, hidden))
        return found

    def run(self, backend: Any, edges: list[int]) -> list[Any]:
        """Return rows, units, moments and metrics."""
        shares = self.shares(edges)
        update = backend.ppo_update(shares, self.relations, self.inputs, self.steps, COEFFICIENTS)
        team = Team(len(shares))
        metrics = [
            update.run(part, BEFORE + k, RATE, ENTROPY, team.each)
            for k, part in ((1, self.orders[:4]), (5, self.orders[4:]))
        ]
        joined = [(*share.network, *share.moments) for share in shares]
        arrays = [np.concatenate(parts, axis=1) for parts in zip(*joined, strict=True)]
        return [*arrays, np.concatenate(metrics)]


def test_an_update_is_the_oracles(backend: Any, exact: Any, dtype: Any, tree: Pyramid) -> None:
    given = Update.of(tree, dtype, 37)
    got = given.run(backend, [0, 37])
    wide = replace(
        given, steps=double(given.steps), network=double(given.network),
        moments=double(given.moments),
    )  # fmt: skip
    want = wide.run(exact, [0, 37])
    for mine, theirs in zip(got, want, strict=True):
        # Nine steps of Adam, each of which may enlarge a rounding.
        assert_close(mine, theirs, UPDATE[np.dtype(dtype)])
    assert len(got[-1]) == 9 and (got[-1][:, 5] > COEFFICIENTS.max_grad_norm).any()


@pytest.mark.parametrize("name", ALL_BACKENDS)
def test_an_update_is_the_public_kernels_bit_for_bit(name: str, dtype: Any, tree: Pyramid) -> None:
    given, k = Update.of(tree, dtype, 37), kernels.get_backend(name)
    got = given.run(k, [0, 37])
    network, moments = columns(given.network, (0, 37)), columns(given.moments, (0, 37))
    c, metrics = COEFFICIENTS, []
    for number, order in enumerate(given.orders, BEFORE + 1):
        hidden = k.cells_forward(order, given.inputs, network, given.relations.mirror)
        heads = k.cells_heads(hidden, network.units)
        dlogit, dvalue, losses = k.ppo_gradient(
            order, *heads, given.steps, c.clip_range, ENTROPY, c.vf_coef
        )
        gradient, squares = k.cells_backward(
            order, given.inputs, given.relations, hidden, network.units, dlogit, dvalue
        )
        norm = np.sqrt(np.add.accumulate(squares)[-1])
        k.cells_adam(
            network, gradient, moments, given.relations, number, min(1, c.max_grad_norm / norm),
            RATE, c.beta1, c.beta2, c.epsilon,
        )  # fmt: skip
        metrics.append([*losses.mean(axis=1), norm])
    for mine, theirs in zip(got, (*network, *moments), strict=False):
        assert_same(mine, theirs)
    np.testing.assert_allclose(got[-1], metrics, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("edges", [[0, 64, 150], [0, 16, 48, 150], [0, 16, 32, 48, 150]])
def test_shares_of_an_update_add_up_bit_for_bit(backend: Any, dtype: Any, edges: list[int]) -> None:
    given = Update.of(TREES["last action"], dtype, 150)
    for mine, theirs in zip(given.run(backend, edges), given.run(backend, [0, 150]), strict=True):
        assert_same(mine, theirs)


@pytest.mark.parametrize("which", ["two levels", "history"])
def test_an_update_descends_with_weights_of_every_level(backend: Any, which: str) -> None:
    """The same by plain Adam on all rows of W, and E = P W put together anew for each minibatch."""
    tree = TREES[which]
    given = Update.of(tree, F64, 11)
    got, fold = given.run(backend, [0, 11]), np.eye(tree.base, tree.rows)
    for above, scale in zip(tree.parents, tree.scales, strict=True):
        has = np.flatnonzero(above >= 0)
        fold[has, above[has]] = scale
    w = np.concatenate([np.zeros((tree.rows, 11)), given.network.units])
    w[: tree.base] = given.network.rows
    m, v = (array.copy() for array in given.moments)
    c = COEFFICIENTS
    for t, order in enumerate(given.orders, BEFORE + 1):
        x = oracle.dense_inputs(order, given.inputs, tree.base)
        pair, (b, a, value) = np.stack([x @ fold, x[:, tree.mirror] @ fold]), w[tree.rows :]
        h = np.maximum(pair @ w[: tree.rows] + b, 0)
        heads = 2 * (h[0] - h[1]) @ a, (h[0] + h[1]) @ value
        dlogit, dvalue, losses = np.zeros(len(x)), np.zeros(len(x)), np.zeros((5, len(x)))
        oracle.ppo_gradient(
            order, *heads, given.steps, (c.clip_range, ENTROPY, c.vf_coef), (dlogit, dvalue, losses)
        )
        signs = np.array([1.0, -1.0])[:, None]
        dh = (2 * signs * dlogit)[..., None] * a + dvalue[:, None] * value
        dz = dh * (h > 0)
        g = np.concatenate([
            np.einsum("kmr,kmh->rh", pair, dz), dz.sum(axis=(0, 1))[None],
            (2 * dlogit @ (h[0] - h[1]))[None], (dvalue @ (h[0] + h[1]))[None],
        ])  # fmt: skip
        g *= min(1.0, c.max_grad_norm / np.linalg.norm(g))
        m, v = c.beta1 * m + (1 - c.beta1) * g, c.beta2 * v + (1 - c.beta2) * g**2
        root = np.sqrt(v / (1 - c.beta2**t)) + c.epsilon
        w -= RATE * m / (1 - c.beta1**t) / root
    for mine, theirs in zip(got, (fold @ w[: tree.rows], w[tree.rows :], m, v), strict=False):
        assert_close(mine, theirs, UPDATE[F64])


def test_an_update_ends_where_the_gradient_is_not_finite(backend: Any) -> None:
    given = Update.of(TREES["flat"], F64, 20)
    given.network.units[2, 3] = np.inf
    with np.errstate(invalid="ignore"):
        got = given.run(backend, [0, 20])
    assert not np.isfinite(got[-1][0, 5]) and not got[-1][1:4].any()
    assert_same(got[0], given.network.rows)


@pytest.mark.parametrize("name", ALL_BACKENDS)
def test_an_update_is_checked_when_it_is_bound_and_run(name: str) -> None:
    backend, given = kernels.get_backend(name), Update.of(TREES["two levels"], F64, 20)

    def bind(**changes: Any) -> Any:
        arguments = {
            "shares": given.shares([0, 20]), "tree": given.relations, "inputs": given.inputs,
            "steps": given.steps, "coefficients": COEFFICIENTS, **changes,
        }  # fmt: skip
        return backend.ppo_update(**arguments)

    def refuse(start: str, error: Any = ValueError, **changes: Any) -> None:
        with pytest.raises(error, match=f"^{start}\\b"):
            bind(**changes)

    share, steps, indices = given.shares([0, 20])[0], given.steps, given.inputs.indices
    refuse("shares", shares=[])
    if name == "cython":
        refuse("shares", shares=given.shares([0, 7, 20]))
    refuse("shares", TypeError, shares=[share[:3]])
    refuse("moments", TypeError, shares=[share._replace(moments=share.moments.mean)])
    short = share.moments._replace(square=share.moments.square[:-1])
    refuse("square", shares=[share._replace(moments=short)])
    single = share.moments._replace(mean=share.moments.mean.astype(np.float32))
    refuse("mean", TypeError, shares=[share._replace(moments=single)])
    refuse("rows of share 0", shares=[share, share] if name != "cython" else
           [share._replace(network=CellNetwork(share.moments.mean[: len(share.network.rows)],
                                               share.network.units))])  # fmt: skip
    refuse("actions", steps=steps._replace(actions=steps.actions + np.uint8(2)))
    refuse("returns", steps=steps._replace(returns=steps.returns[:-1]))
    refuse("advantage", TypeError, steps=steps._replace(advantage=[1.0]))
    refuse("indices", inputs=given.inputs._replace(indices=indices + np.uint16(9000)))
    refuse("inputs", TypeError, inputs=given.inputs[:2])
    refuse("parents", tree=given.relations._replace(seen=given.relations.seen[:-1]))
    more = np.append(given.relations.seen, np.uint8(1))
    refuse("mean", tree=given.relations._replace(seen=more))
    refuse("clip_range", coefficients=COEFFICIENTS._replace(clip_range=1.0))
    refuse("epsilon", coefficients=COEFFICIENTS._replace(epsilon=0.0))
    refuse("coefficients", TypeError, coefficients=tuple(COEFFICIENTS))
    update = bind()
    for start, error, arguments in (
        ("orders", ValueError, ([np.array([0, 14])], 1, 1e-3, 0.1)),
        ("orders", ValueError, ([np.arange(7)], 1, 1e-3, 0.1)),
        ("orders", ValueError, ([np.arange(0)], 1, 1e-3, 0.1)),
        ("orders", TypeError, ([np.arange(2.0)], 1, 1e-3, 0.1)),
        ("step", ValueError, ([np.arange(2)], 0, 1e-3, 0.1)),
        ("learning_rate", ValueError, ([np.arange(2)], 1, np.nan, 0.1)),
        ("ent_coef", ValueError, ([np.arange(2)], 1, 1e-3, -0.1)),
    ):
        with pytest.raises(error, match=f"^{start}\\b"):
            update.run(*arguments)
    assert update.run([], 1, 1e-3, 0.1).shape == (0, 6)
    two = bind(shares=given.shares([0, 16, 20]))
    with pytest.raises(TypeError, match=r"^each\b"):
        two.run([np.arange(2)], 1, 1e-3, 0.1)


@pytest.mark.timeout(PATIENCE, method="thread")  # a main thread that waits in C hears no signal
@pytest.mark.parametrize("begun", [True, False])
def test_a_share_that_fails_leaves_no_other_waiting(begun: bool) -> None:
    given = Update.of(TREES["flat"], F64, 48)
    backend = kernels.get_backend("cython")
    update = backend.ppo_update(
        given.shares([0, 16, 48]), given.relations, given.inputs, given.steps, COEFFICIENTS
    )
    team = Team(2)

    def each(work: Any, failed: Any) -> None:
        team.each(lambda k: work(k) if k else (work if begun else int)([]), failed)

    with pytest.raises(TypeError):
        update.run(given.orders, 1, RATE, ENTROPY, each)
    assert np.isfinite(update.run(given.orders, 1, RATE, ENTROPY, team.each)).all()


# --- the step -----------------------------------------------------------------------------------


def buffers(
    dtype: Any, cell_size: int = 4, last: bool = False, cap: int = 40, pixel_stride: int = 2,
    history: int = 0, spread: int = 1,
) -> dict[str, Any]:  # fmt: skip
    rng, tree = np.random.default_rng(14), Pyramid(cell_size, (), last, pixel_stride, history)
    network = weights(tree, 9, dtype)["network"]
    network.rows[:] /= 9
    return {
        "screens": screens(rng, 1 + (1 + history) * spread), "table": table(rng),
        "cell_size": cell_size, "pixel_stride": pixel_stride, "spread": spread,
        **network._asdict(), "mirror": tree.mirror,
        "indptr": np.zeros(cap + 1, np.int64), "indices": np.zeros(cap * tree.base, np.uint16),
        "values": np.zeros(cap * tree.base, np.int8), "actions": np.zeros(cap, np.uint8),
        "logits": np.zeros(cap, dtype), "estimates": np.zeros(cap, dtype),
    }  # fmt: skip


def bound(backend: Any, **given: Any) -> Any:
    """Return a step with these buffers."""
    network = CellNetwork(given.pop("rows"), given.pop("units"))
    inputs = SparseInputs(*(given.pop(name) for name in SparseInputs._fields))
    record = tuple(given.pop(name) for name in ("actions", "logits", "estimates"))
    return backend.cells_step(**given, network=network, inputs=inputs, record=record)


@pytest.mark.parametrize(
    ("last", "pixel_stride", "history", "spread"),
    [(False, 2, 0, 1), (True, 2, 0, 1), (True, 1, 0, 1), (True, 1, 2, 1), (True, 1, 2, 2)],
)
def test_the_step_records_and_chooses_as_the_oracles(
    backend: Any, exact: Any, dtype: Any, last: bool, pixel_stride: int, history: int, spread: int
) -> None:
    runs = []
    for one in (backend, exact):
        cell_size = 4 if pixel_stride == 2 else 10
        given = buffers(
            dtype, cell_size, last, pixel_stride=pixel_stride, history=history, spread=spread
        )  # fmt: skip
        given["rows"] /= 1 if pixel_stride == 2 else 20  # so large are the counts of such cells
        kept = len(given["screens"])
        step, rng, before, chosen = bound(one, **given), np.random.default_rng(15), -1, []
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
    step = bound(backend, **given)
    step(0, 0.5, True, -1), step(1, 0.5, False, 0), step(2, 0.5, False, 1)
    inputs = SparseInputs(*(given[n] for n in SparseInputs._fields))
    network = CellNetwork(given["rows"], given["units"])
    hidden = backend.cells_forward(np.arange(3), inputs, network, given["mirror"])
    logit, value = backend.cells_heads(hidden, given["units"])
    assert_same(given["logits"], logit)
    assert_same(given["estimates"], value)
    for t in range(3):
        p = 1 / (1 + np.exp(-float(logit[t])))
        for by, action in ((-1e-12, 1), (1e-12, 0)):
            assert step(t, p * (1 + by), t == 0, -1) == action


@pytest.mark.parametrize(("spread", "kept"), [(1, 4), (1, 7), (2, 7), (2, 9)])
def test_earlier_differences_are_those_of_earlier_steps(
    backend: Any, spread: int, kept: int
) -> None:
    """Channel c of step t is the difference channel of step t - (c - 1) d, d the spread."""
    given = buffers(F64, 10, pixel_stride=1, history=2, cap=17, spread=spread)
    given["screens"] = np.zeros((kept, 210, 160), np.uint8)
    step, places, found = bound(backend, **given), 256, []
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
    step, places = bound(backend, **given), 400
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
        assert bound(backend, **given)(t, 0.5, True, -1) == -1
        for name, array in before.items():
            assert np.array_equal(given[name], array)
    given = buffers(dtype)
    for far in (2**63 - 1, 2**63 - 400, len(given["indices"]) - 799, -1):
        given["indptr"][0] = far
        assert bound(backend, **given)(0, 0.5, True, -1) == -1
    assert bound(backend, **buffers(dtype))(0, 0.5, True, 2) == -1


# --- bad input ----------------------------------------------------------------------------------


def test_numbers_out_of_range_are_refused(backend: Any) -> None:
    tree = TREES["two levels"]
    frames, p = batch(tree, [3, 4]), weights(tree, 5, F64)
    forward = {**frames, **p}

    def refuse(kernel: Any, given: dict[str, Any], error: Any = ValueError, **bad: Any) -> None:
        with pytest.raises(error, match=f"^{next(iter(bad))}"):
            kernel(**{**given, **bad})

    refuse(backend.cells_forward, forward, order=np.array([2]))
    round_about = np.roll(np.arange(tree.base, dtype=np.int32), 1)
    refuse(backend.cells_forward, forward, mirror=round_about)
    refuse(backend.cells_forward, forward, order=np.array([-1]))
    refuse(backend.cells_forward, forward, mirror=tree.mirror + np.int32(1))
    beyond = frames["inputs"].indices + np.uint16(tree.base)

    def forward_of(**arrays: Any) -> None:
        given = {**forward, "inputs": frames["inputs"]._replace(**arrays)}
        backend.cells_forward(**given)

    refuse(forward_of, {}, indices=beyond)
    refuse(forward_of, {}, TypeError, values=beyond)
    refuse(backend.cells_forward, forward, TypeError, inputs=frames["inputs"][:2])
    refuse(backend.cells_forward, forward, TypeError, network=p["network"].rows)
    hidden, units = backend.cells_forward(**forward), p["network"].units
    up = upward(len(frames["order"]), F64)

    def backward_of(**arrays: Any) -> None:
        relations = family(tree)._replace(**arrays)
        backend.cells_backward(**frames, tree=relations, hidden=hidden, units=units, **up)

    wrong = np.where(tree.parents == tree.parents.max(), np.int32(0), tree.parents)
    refuse(backward_of, {}, parents=wrong)
    refuse(backward_of, {}, parents=tree.parents + np.int32(1))
    moments = np.zeros((3, tree.rows + 3, 5))
    adam = {"network": p["network"], "gradient": moments[0], "moments": Moments(*moments[1:]),
            "tree": family(tree), "step": 1}  # fmt: skip
    fewer_rows = family(tree)._replace(seen=np.ones(tree.rows - 1, np.uint8))
    with pytest.raises(ValueError, match=r"^seen"):
        backend.cells_adam(**{**adam, "tree": fewer_rows})
    for name, value, error in (
        *(("step", 0, ValueError), ("step", 1.0, TypeError), ("factor", -1.0, ValueError)),
        *(("beta1", 1.0, ValueError), ("epsilon", 0.0, ValueError)),
        *(("learning_rate", np.nan, ValueError), ("beta2", "high", TypeError)),
        ("moments", moments[1], TypeError),
    ):
        refuse(backend.cells_adam, adam, error, **{name: value})
    loss = loss_inputs(4, F64)
    with pytest.raises(ValueError, match=r"^actions"):
        steps = loss["steps"]._replace(actions=np.array([0, 1, 2, 0], np.uint8))
        backend.ppo_gradient(**{**loss, "steps": steps})
    refuse(backend.ppo_gradient, loss, order=np.array([0, 1, 2, 4]))
    refuse(backend.ppo_gradient, loss, clip_range=1.0)
    refuse(backend.ppo_gradient, loss, ent_coef=-0.1)
    refuse(backend.td_gradient, td_inputs(2, F64), actions=np.array([0, 2], np.uint8))
    step = buffers(F64)

    def bind(**given: Any) -> None:
        bound(backend, **given)

    refuse(bind, step, cell_size=3)
    refuse(bind, step, TypeError, cell_size=4.0)
    refuse(bind, step, pixel_stride=3)
    refuse(bind, step, screens=step["screens"][:1].copy())
    refuse(bind, step, spread=0)
    refuse(bind, step | {"spread": 2}, screens=step["screens"])
    refuse(bind, step, TypeError, spread=1.0)
    refuse(bind, step, screens=step["screens"][0])
    many = 3 * 160 * 160
    room = {"rows": np.zeros((many, 9)), "mirror": np.arange(many, dtype=np.int32)}
    wide = {"pixel_stride": 1, "cell_size": 1, "screens": np.zeros((3, 210, 160), np.uint8)}
    refuse(bind, step | wide | room, rows=room["rows"])
    fewer = {"mirror": np.arange(799, dtype=np.int32), "rows": step["rows"][:-1].copy()}
    refuse(bind, step | fewer, rows=fewer["rows"])
    with pytest.raises(ValueError, match=r"^(indptr|actions): expected shape \(cap"):
        bind(**{**step, "indptr": np.zeros(3, np.int64)})


def test_dense_inputs_are_dense_frames() -> None:
    tree = Pyramid(1, (), False)
    frames = batch(tree, [5, 6])
    inputs = frames["inputs"]
    x = oracle.dense_inputs(np.arange(2), inputs, tree.base)
    low = inputs.indices < 6400
    indptr = np.searchsorted(np.flatnonzero(low), inputs.indptr)
    dense = dense_frames(indptr, inputs.indices[low], inputs.values[low])
    assert_same(x[:, :6400], dense)

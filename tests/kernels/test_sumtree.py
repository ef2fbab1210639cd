"""The sum tree: exact sums, exact searches, the same bits in every backend."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import ALL_BACKENDS
from tolerances import assert_same

from fastpong.kernels import SumTree

pytestmark = pytest.mark.filterwarnings("error")

CAPACITIES = st.sampled_from([1, 2, 7, 8, 9, 63, 64, 65, 100, 511, 512, 513, 5000])
LARGEST = 2.0**900


@pytest.fixture(params=ALL_BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    return request.param


def filled(backend: str, priorities: Any) -> SumTree:
    tree = SumTree(len(priorities), backend)
    tree.update(np.arange(len(priorities)), np.asarray(priorities, np.float64))
    return tree


def sum_of_halves(values: Any) -> float:
    """Return the sum of a binary tree over 2^k values, by recursion."""
    if len(values) == 1:
        return float(values[0])
    half = len(values) // 2
    return sum_of_halves(values[:half]) + sum_of_halves(values[half:])


def batches(seed: int, capacity: int) -> list[tuple[Any, Any]]:
    """Draw updates of any size, with duplicates, zeros and very different magnitudes."""
    rng = np.random.default_rng(seed)
    drawn = []
    for size in rng.choice([0, 1, 3, 40, 200], 5):
        priorities = rng.random(size) * 10.0 ** rng.integers(-15, 15, size)
        drawn.append((rng.integers(0, capacity, size), priorities * (rng.random(size) < 0.7)))
    return drawn


# --- what it computes ---------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32), capacity=CAPACITIES)
def test_backends_give_the_same_bits(seed: int, capacity: int) -> None:
    trees = [SumTree(capacity, name) for name in ALL_BACKENDS]
    uniforms = np.random.default_rng(seed).random(70)
    uniforms[:3] = 0.0, np.nextafter(1.0, 0), 0.5
    for indices, priorities in batches(seed, capacity):
        for tree in trees:
            tree.update(indices, priorities)
        assert len({tree.nodes.tobytes() for tree in trees}) == 1
        if trees[0].sum() > 0:
            drawn = [tree.sample(70, uniforms) for tree in trees]
            sums = uniforms * trees[0].sum()
            found = [tree.find(sums) for tree in trees]
            for (places, values), leaves in zip(drawn[1:], found[1:], strict=True):
                assert_same(places, drawn[0][0])
                assert_same(values, drawn[0][1])
                assert_same(leaves, found[0])
            assert (drawn[0][1] > 0).all() and (trees[0].get(found[0]) > 0).all()


@given(seed=st.integers(0, 2**32), capacity=CAPACITIES)
def test_it_holds_what_a_dictionary_holds(seed: int, capacity: int) -> None:
    tree, held = SumTree(capacity), dict.fromkeys(range(capacity), 0.0)
    for indices, priorities in batches(seed, capacity):
        tree.update(indices, priorities)
        held.update(zip(indices.tolist(), priorities.tolist(), strict=True))  # the last one counts
        leaves = np.array(list(held.values()))
        assert_same(tree.get(np.arange(capacity)), leaves)
        room = np.zeros(8 ** next(k for k in range(1, 9) if 8**k >= capacity))
        room[:capacity] = leaves
        assert tree.sum() == sum_of_halves(room)
        if leaves.any():
            assert tree.min() == leaves[leaves > 0].min()


@given(seed=st.integers(0, 2**32), capacity=CAPACITIES)
def test_whole_numbers_are_searched_as_cumulative_sums(seed: int, capacity: int) -> None:
    """Sums of whole numbers are exact in any order."""
    rng = np.random.default_rng(seed)
    priorities = rng.integers(0, 4, capacity).astype(np.float64)
    priorities[rng.integers(capacity)] = 2.0
    edges = np.cumsum(priorities)
    sums = np.concatenate([rng.random(50) * edges[-1], edges[edges < edges[-1]]])
    for backend in ALL_BACKENDS:
        tree = filled(backend, priorities)
        assert_same(tree.find(sums), np.searchsorted(edges, sums, "right"))
        uniforms = rng.random(33)
        places, values = tree.sample(33, uniforms)
        wanted = (np.arange(33) + uniforms) / 33 * edges[-1]
        assert_same(places, np.searchsorted(edges, wanted, "right"))
        assert_same(values, priorities[places])


def test_no_error_builds_up(backend: Any) -> None:
    rng, tree = np.random.default_rng(1), SumTree(100, backend)
    for _ in range(300):
        tree.update(rng.integers(0, 100, 10), rng.random(10) * 10.0 ** rng.integers(-9, 9))
    assert_same(tree.nodes, filled(backend, tree.get(np.arange(100))).nodes)
    tree.update(np.arange(100), np.zeros(100))
    assert tree.sum() == 0.0


@pytest.mark.parametrize("capacity", [1, 5, 9, 64, 65, 1000])
def test_zeros_are_never_drawn_not_even_at_the_end(backend: Any, capacity: int) -> None:
    """0.1 is rounded in every sum: the rest of a search may reach what is left of the tree."""
    last = np.nextafter(1.0, 0)
    for used in {1, capacity // 2 + 1, capacity}:
        priorities = np.zeros(capacity)
        priorities[:used] = 0.1
        tree = filled(backend, priorities)
        total = tree.sum()
        below = np.array([total, np.nextafter(total, 0), np.nextafter(total, 0) * last])
        assert (tree.find(below) == used - 1).all()
        places, values = tree.sample(50, np.full(50, last))
        assert (values == 0.1).all() and places[-1] == used - 1
        middle = np.zeros(capacity)
        middle[capacity // 2] = 1e-300
        assert (filled(backend, middle).sample(9, np.full(9, last))[0] == capacity // 2).all()


def test_samples_are_in_proportion() -> None:
    priorities = np.array([0.0, 1, 2, 3, 4, 0, 0, 10])
    tree = filled("cython", priorities)
    places, _ = tree.sample(20_000, np.random.default_rng(3))
    counts = np.bincount(places, minlength=8)
    assert np.abs(counts - priorities * 1000).max() <= 2  # one draw in each of 20,000 strata


def test_one_draw_from_every_stratum(backend: Any) -> None:
    tree = filled(backend, np.ones(64))
    assert_same(tree.sample(64, np.random.default_rng(1))[0], np.arange(64))


def test_a_generator_and_its_numbers_give_the_same(backend: Any) -> None:
    tree = filled(backend, np.arange(30.0))
    one = tree.sample(12, np.random.default_rng(5))
    two = tree.sample(12, np.random.default_rng(5).random(12))
    for a, b in zip(one, two, strict=True):
        assert_same(a, b)


# --- arguments ----------------------------------------------------------------------------------


def test_other_layouts_and_dtypes_are_converted(backend: Any) -> None:
    rng = np.random.default_rng(2)
    places, values = rng.permutation(40), rng.random(40).astype(np.float32)
    want = SumTree(40, backend)
    want.update(places, values.astype(np.float64))
    forms = [
        (places.astype(np.int32), values),
        (np.repeat(places, 2)[::2], np.repeat(values, 2)[::2]),
        (places[::-1].copy()[::-1], np.asfortranarray(values.astype(np.float64))),
    ]
    for indices, priorities in forms:
        tree = SumTree(40, backend)
        tree.update(indices, priorities)
        assert_same(tree.nodes, want.nodes)
    sums = rng.random(9).astype(np.float32)
    assert_same(want.find(sums), want.find(sums.astype(np.float64)))
    assert_same(want.get(places.astype(np.int32)), want.get(places))


def test_tensors_are_read(backend: Any) -> None:
    torch = pytest.importorskip("torch")
    tree, want = SumTree(9, backend), filled(backend, np.arange(9.0))
    tree.update(torch.arange(9), torch.arange(9, dtype=torch.float32))
    assert_same(tree.nodes, want.nodes)
    out = torch.zeros(3, dtype=torch.int64)
    assert tree.find(torch.tensor([0.5, 9.0, 30.0]), out=out) is out
    assert_same(out.numpy(), want.find(np.array([0.5, 9.0, 30.0])))


def test_outputs_are_written_to_what_is_given(backend: Any) -> None:
    tree = filled(backend, np.arange(1.0, 20))
    sums, out = np.linspace(0, tree.sum(), 30), np.full(30, -1)
    assert tree.find(sums, out) is out
    assert_same(out, tree.find(sums))
    given = np.full(8, -1), np.full(8, -1.0)
    uniforms = np.linspace(0, 0.9, 8)
    got = tree.sample(8, uniforms, out=given)
    for array, mine, want in zip(got, given, tree.sample(8, uniforms), strict=True):
        assert array is mine
        assert_same(mine, want)


def test_empty_batches_are_allowed_even_in_an_empty_tree(backend: Any) -> None:
    tree = SumTree(10, backend)
    tree.update(np.zeros(0, np.int64), np.zeros(0))
    places, values = tree.sample(0, np.random.default_rng(1))
    assert places.shape == values.shape == (0,)
    assert tree.find(np.zeros(0)).shape == tree.get(np.zeros(0, np.int64)).shape == (0,)
    assert len(tree) == tree.capacity == 10 and tree.sum() == 0


@pytest.mark.parametrize(
    "indices, priorities, error, named",
    [
        ([0, 10], [1.0, 1.0], ValueError, "indices"),
        ([0, -1], [1.0, 1.0], ValueError, "indices"),
        ([2**62, 1], [1.0, 1.0], ValueError, "indices"),
        ([0, 1], [1.0, -1e-9], ValueError, "priorities"),
        ([0, 1], [np.nan, 1.0], ValueError, "priorities"),
        ([0, 1], [1.0, np.inf], ValueError, "priorities"),
        ([0, 1], [1.0, np.nextafter(LARGEST, np.inf)], ValueError, "priorities"),
        ([0, 1, 2], [1.0, 1.0], ValueError, "priorities"),
        ([[0, 1]], [1.0, 1.0], ValueError, "indices"),
        ([0, 1], [[1.0], [1.0]], ValueError, "priorities"),
        ([0.0, 1.0], [1.0, 1.0], TypeError, "indices"),
        ([True, False], [1.0, 1.0], TypeError, "indices"),
        ([0, 1], [1, 1], TypeError, "priorities"),
        ([0, 1], [1j, 1j], TypeError, "priorities"),
    ],
)
def test_updates_that_are_refused_change_nothing(
    backend: Any, indices: Any, priorities: Any, error: Any, named: str
) -> None:
    tree = filled(backend, np.arange(10.0))
    before = tree.nodes.copy()
    with pytest.raises(error, match=rf"^{named}\b.*expected"):
        tree.update(np.array(indices), np.array(priorities))
    assert_same(tree.nodes, before)


@pytest.mark.parametrize("bad", [None, 3, [1, 2], "12", object()])
def test_arguments_that_are_no_arrays(backend: Any, bad: Any) -> None:
    tree = filled(backend, np.arange(10.0))
    places, values = np.arange(2), np.ones(2)
    for name, call in {
        "indices": lambda: tree.update(bad, values),
        "priorities": lambda: tree.update(places, bad),
        "sums": lambda: tree.find(bad),
        "rng": lambda: tree.sample(2, bad),
        "out": lambda: tree.sample(2, values / 2, out=bad or 1),
    }.items():
        with pytest.raises(TypeError, match=rf"^{name}\b.*expected"):
            call()
    with pytest.raises(TypeError, match=r"^indices\b.*expected"):
        tree.get(bad)


def test_searches_outside_of_the_tree(backend: Any) -> None:
    tree = filled(backend, np.ones(10))
    for bad in (-1e-9, np.nextafter(10.0, 11), np.nan, np.inf):
        with pytest.raises(ValueError, match=r"^sums: expected numbers from 0 to 10"):
            tree.find(np.array([1.0, bad]))
    for bad in (-1e-9, 1.0, np.nan):
        with pytest.raises(ValueError, match=r"^rng: expected .* in \[0, 1\)"):
            tree.sample(2, np.array([0.5, bad]))
    with pytest.raises(ValueError, match=r"^indices: expected numbers in \[0, 10\)"):
        tree.get(np.array([10]))


def test_an_all_zero_tree_cannot_be_sampled(backend: Any) -> None:
    tree = SumTree(10, backend)
    for call in (
        lambda: tree.sample(1, np.random.default_rng(1)),
        lambda: tree.sample(1, np.zeros(1)),
        lambda: tree.find(np.zeros(1)),
        tree.min,
    ):
        with pytest.raises(ValueError, match=r"^priorities: expected one above 0"):
            call()


def test_counts_and_outputs_that_do_not_fit(backend: Any) -> None:
    tree, rng = filled(backend, np.ones(10)), np.random.default_rng(1)
    for n, error in ((-1, ValueError), (1.0, TypeError), (True, TypeError), (None, TypeError)):
        with pytest.raises(error, match=r"^n: expected"):
            tree.sample(n, rng)
    with pytest.raises(ValueError, match=r"^rng: expected shape \(n=3,\), got \(2,\)"):
        tree.sample(3, np.zeros(2))
    with pytest.raises(TypeError, match=r"^rng: expected a generator .*, got int"):
        tree.sample(3, 1)  # type: ignore[arg-type]
    short = np.zeros(2, np.int64), np.zeros(3)
    with pytest.raises(ValueError, match=r"^indices: expected shape"):
        tree.sample(3, rng, out=short)
    shared = np.zeros(3)
    with pytest.raises(ValueError, match=r"shares memory"):
        tree.sample(3, shared, out=(np.zeros(3, np.int64), shared))
    with pytest.raises(ValueError, match=r"^out: expected a writeable"):
        tree.find(np.zeros(3), np.zeros(6, np.int64)[::2])
    for capacity, error in ((0, ValueError), (-1, ValueError), (2.0, TypeError), (True, TypeError)):
        with pytest.raises(error, match=r"^capacity: expected"):
            SumTree(capacity, backend)
    with pytest.raises(ValueError, match=r"^backend: expected"):
        SumTree(3, "fortran")


def test_the_largest_priorities_have_a_finite_sum(backend: Any) -> None:
    tree = filled(backend, np.full(100, LARGEST))
    assert np.isfinite(tree.sum())
    assert_same(tree.sample(100, np.full(100, 0.5))[0], np.arange(100))


def test_minus_zero_is_zero(backend: Any) -> None:
    tree = filled(backend, np.full(9, -0.0))
    assert not np.signbit(tree.nodes[: tree.capacity]).any()


def test_copies_are_of_their_own(backend: Any) -> None:
    tree = filled(backend, np.arange(77.0))
    for twin in (copy.deepcopy(tree), pickle.loads(pickle.dumps(tree))):
        assert_same(twin.nodes, tree.nodes)
        twin.update(np.array([0]), np.array([5.0]))
        assert twin.sum() != tree.sum()
        assert twin._raw is tree._raw


def test_nodes_lie_in_cache_lines() -> None:
    assert all(SumTree(n, "cython").nodes.ctypes.data % 64 == 0 for n in (1, 9, 100, 70_000))


def test_what_has_no_plain_array_is_refused_by_all(backend: Any) -> None:
    tree = SumTree(10, backend)
    masked = np.ma.array(np.ones(10), mask=[1] * 10)
    for indices, priorities in (
        (None, None), (None, np.empty(0)), (np.arange(10), masked), (memoryview(b"1"), np.ones(1))
    ):  # fmt: skip
        with pytest.raises(TypeError, match=r"^(indices|priorities): expected"):
            tree.update(indices, priorities)
    tree.update(np.arange(10), np.ones(10))
    with pytest.raises(TypeError, match=r"^sums: expected"):
        tree.find(masked)

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pool_players
import psutil
import pytest

from fastpong.runtime.sharedmem import ALIGNMENT, SharedArrays

SHAPES = {"a": (3,), "b": (2, 5), "empty": (0, 4)}
METHODS = multiprocessing.get_all_start_methods()


@pytest.fixture(params=["memfd", "file"])
def backing(request: pytest.FixtureRequest) -> Any:
    return request.param


def run(method: str, target: Any, *arguments: Any) -> int | None:
    process = multiprocessing.get_context(method).Process(target=target, args=arguments)
    process.start()
    process.join(20)
    return process.exitcode


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_slots_are_separate_aligned_zeroed_arrays(backing: Any, dtype: Any) -> None:
    arrays = SharedArrays(SHAPES, dtype, 3, backing=backing)
    filled = 0
    for index in range(3):
        for name, view in arrays.slot(index).items():
            assert view.shape == SHAPES[name] and view.dtype == dtype
            assert view.flags.c_contiguous and view.ctypes.data % ALIGNMENT == 0
            assert not view.any()
            view += filled + 1
            filled += 1
    values = [view.ravel().tolist() for i in range(3) for view in arrays.slot(i).values()]
    assert values == [
        [n + 1] * int(np.prod(shape)) for n, shape in enumerate(list(SHAPES.values()) * 3)
    ]


@pytest.mark.parametrize("method", METHODS)
def test_a_child_process_maps_the_same_memory(backing: Any, method: str) -> None:
    arrays = SharedArrays(SHAPES, np.float64, 2, backing=backing)
    arrays.slot(1)["b"][...] = 40
    assert run(method, pool_players.add_one, arrays) == 0
    assert arrays.slot(0)["a"].tolist() == [1, 1, 1]
    assert (arrays.slot(1)["b"] == 41).all()


@pytest.mark.parametrize("method", METHODS)
def test_read_only_views_cannot_be_written_even_by_pointer(backing: Any, method: str) -> None:
    arrays = SharedArrays(SHAPES, np.float64, 1, backing=backing)
    ours, theirs = multiprocessing.get_context(method).Pipe()
    assert run(method, pool_players.write_to_read_only, arrays, theirs) == -signal.SIGSEGV
    assert "read-only" in ours.recv()
    assert not ours.poll()
    view = arrays.slot(0, writeable=False)["a"]
    with pytest.raises(ValueError, match="WRITEABLE"):
        view.flags.writeable = True
    arrays.slot(0)["a"][1] = 5
    assert view.tolist() == [0, 5, 0]


def test_nothing_has_a_name(backing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(Path("/dev/shm").iterdir())
    arrays = SharedArrays(SHAPES, np.float64, 1, backing=backing)
    arrays.slot(0)["a"][0] = 1
    assert set(Path("/dev/shm").iterdir()) <= before
    assert list(tmp_path.iterdir()) == []


def test_a_file_serves_where_memfd_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SharedArrays(SHAPES, np.float32, 1).backing == "memfd"
    monkeypatch.delattr(os, "memfd_create")
    assert SharedArrays(SHAPES, np.float32, 1).backing == "file"
    with pytest.raises(ValueError, match="no memfd"):
        SharedArrays(SHAPES, np.float32, 1, backing="memfd")


def test_close_frees_descriptors_and_keeps_views_valid(backing: Any) -> None:
    before = psutil.Process().num_fds()
    for _ in range(3):
        arrays = SharedArrays(SHAPES, np.float64, 2, backing=backing)
        view = arrays.slot(1)["b"]
        view[...] = 3
        arrays.slot(1, writeable=False)
        arrays.close()
        arrays.close()
        assert view.sum() == 30
        with pytest.raises(ValueError, match="closed"):
            arrays.slot(0)
        del view
    assert psutil.Process().num_fds() == before
    SharedArrays(SHAPES, np.float64, 2, backing=backing).slot(0)
    assert psutil.Process().num_fds() == before  # also without close()


def test_it_is_pickled_only_into_a_starting_process() -> None:
    with pytest.raises(RuntimeError, match="at its start"):
        pickle.dumps(SharedArrays(SHAPES, np.float64, 1))


def test_write_copies_all_or_nothing() -> None:
    arrays = SharedArrays({"a": (2,), "b": (2, 2)}, np.float32, 2)
    good = {"a": np.ones(2, np.float32), "b": np.ones((4, 2), np.float32)[::2]}
    arrays.write(1, good)
    assert arrays.slot(1)["b"].sum() == 4 and arrays.slot(0)["b"].sum() == 0
    good["a"][0] = 9
    assert arrays.slot(1)["a"][0] == 1
    for bad, error, text in [
        ({"a": good["a"]}, ValueError, r"named \['a', 'b'\], got \['a'\]"),
        (good | {"c": good["a"]}, ValueError, "'c'"),
        (good | {"b": np.ones((2, 3), np.float32)}, ValueError, r"'b' of shape \(2, 2\)"),
        (good | {"b": np.ones((2, 2))}, TypeError, "'b' to be an array of float32, got float64"),
        (good | {"b": [[1, 1], [1, 1]]}, TypeError, "'b' .* got list"),
    ]:
        with pytest.raises(error, match=text):
            arrays.write(0, bad)
    assert arrays.slot(0)["a"].sum() == 0


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"shapes": {}}, ValueError, "no shapes"),
        ({"shapes": {"a": (-1,)}}, ValueError, "'a'"),
        ({"shapes": {"a": (1.5,)}}, TypeError, "'a'"),
        ({"dtype": object}, TypeError, "without Python objects"),
        ({"slots": 0}, ValueError, "slots >= 1, got 0"),
        ({"slots": True}, TypeError, "slots"),
        ({"backing": "disk"}, ValueError, "'disk'"),
    ],
)
def test_bad_arguments_are_named(change: dict[str, Any], error: Any, text: str) -> None:
    arguments: dict[str, Any] = {"shapes": SHAPES, "dtype": np.float32, "slots": 1} | change
    with pytest.raises(error, match=text):
        SharedArrays(**arguments)


def test_slot_out_of_range() -> None:
    arrays = SharedArrays(SHAPES, np.float32, 2)
    for index in (-1, 2):
        with pytest.raises(ValueError, match=r"slot in \[0, 2\)"):
            arrays.slot(index)

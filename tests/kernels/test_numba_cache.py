"""What only Numba's kernels have: compilation, and the code they keep on disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from waiting import PATIENCE

from fastpong.kernels.numba import returns
from fastpong.kernels.numba.cache import Kernel

pytestmark = pytest.mark.filterwarnings("error")

REWARDS = np.array([[0.0], [0.0], [1.0]])
WANT = [[0.25], [0.5], [1.0]]
NO_ENDS = (None,) * 4
SOME = ("discount_rewards", "gae", "adam_update")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    yield tmp_path / "cache"


def fresh() -> Any:
    """Return ``discount_rewards`` as a process has it that starts now."""
    old = returns.discount_rewards
    return Kernel(old.dispatcher.py_func, old.key, old.signature)


def misses(kernel: Any) -> int:
    """Run the kernel, and return how often it was compiled rather than loaded."""
    out = np.zeros((3, 1))
    kernel(REWARDS, 0.5, out, True, *NO_ENDS)
    assert out.tolist() == WANT
    return sum(kernel.dispatcher.stats.cache_misses.values())


def files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache with the code of one kernel."""
    path = tmp_path_factory.mktemp("compiled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba.config, "CACHE_DIR", str(path))
        assert misses(fresh()) == 1
    return path


@pytest.fixture
def kept(compiled: Path, directory: Path) -> Path:
    """Return the only file of the cache in use."""
    shutil.copytree(compiled, directory)
    assert misses(fresh()) == 0
    (path,) = files(directory)
    return path


def test_code_is_compiled_once_and_loaded_ever_after(directory: Path) -> None:
    assert misses(fresh()) == 1
    (kept,) = files(directory)
    before = kept.read_bytes()
    assert misses(fresh()) == misses(fresh()) == 0
    assert files(directory) == [kept] and kept.read_bytes() == before


def test_one_compilation_serves_read_only_and_writeable_arrays(directory: Path) -> None:
    kernel = fresh()
    assert misses(kernel) == 1
    frozen, out = REWARDS.copy(), np.zeros((3, 1))
    frozen.flags.writeable = False
    kernel(frozen, 0.5, out, True, *NO_ENDS)
    assert out.tolist() == WANT
    assert len(kernel.dispatcher.signatures) == 1 and len(files(directory)) == 1
    with pytest.raises(TypeError):
        kernel(REWARDS, 0.5, frozen, True, *NO_ENDS)  # an output is not


def test_wrong_arrays_are_refused(directory: Path) -> None:
    kernel, out = fresh(), np.zeros((3, 1))
    misses(kernel)
    for rewards in (REWARDS[None], np.zeros((6, 1))[::2], REWARDS.astype("f4")):
        with pytest.raises(TypeError):
            kernel(rewards, 0.5, out, True, *NO_ENDS)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: b"garbage",
        lambda content: content[:31],
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: content[:400] + bytes([content[400] ^ 1]) + content[401:],
        lambda content: content[:-9] + bytes([content[-9] ^ 128]) + content[-8:],
        lambda content: bytes(len(content)),
        lambda content: bytes([content[0] ^ 1]) + content[1:],
    ],
)
def test_spoilt_code_is_never_run_but_replaced(directory: Path, kept: Path, spoil: Any) -> None:
    good = kept.read_bytes()
    kept.write_bytes(spoil(good))
    assert misses(fresh()) == 1
    assert files(directory) == [kept]
    assert misses(fresh()) == 0


def test_code_of_one_kernel_is_not_taken_for_anothers(directory: Path, kept: Path) -> None:
    """As a whole file under another's name: the content is sound, the signature is not."""
    fresh().compile("f4")
    (single,) = set(files(directory)) - {kept}
    shutil.copy(single, kept)
    assert misses(fresh()) == 1


def test_code_of_other_source_is_not_run(
    directory: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamp = "numba.core.caching._SourceFileBackedLocatorMixin.get_source_stamp"
    monkeypatch.setattr(stamp, lambda self: b"another source")
    assert misses(fresh()) == 1 and misses(fresh()) == 0
    assert files(directory) == [kept]  # overwritten


def test_a_directory_in_the_place_of_a_file_is_a_miss(directory: Path, kept: Path) -> None:
    kept.unlink()
    kept.mkdir()
    assert misses(fresh()) == 1
    assert files(directory) == []  # nor is a temporary file left


def test_a_directory_that_vanishes_costs_a_compilation(directory: Path) -> None:
    kernel = fresh()
    shutil.rmtree(directory)
    assert misses(kernel) == 1
    assert not directory.exists() or misses(fresh()) == 0


PROGRAM = """
import sys
import numpy as np
from fastpong.kernels.numba.kernels import KERNELS, compile_kernels
compile_kernels("float64", sys.argv[1:])
out = np.zeros((3, 1))
rewards = np.array([[0.0], [0.0], [1.0]])
KERNELS["discount_rewards"](rewards, 0.5, out, True, None, None, None, None)
assert out.tolist() == [[0.25], [0.5], [1.0]]
print(sum(sum(kernel.dispatcher.stats.cache_misses.values()) for kernel in KERNELS.values()))
"""


def start(names: Sequence[str], cache: Path, **environment: str) -> Any:
    command = [sys.executable, "-P", "-W", "error", "-c", PROGRAM, *names]
    environ = {**os.environ, "NUMBA_CACHE_DIR": str(cache), **environment}
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)


def printed(process: Any) -> int:
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    return int(output)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    # The second variable leaves Numba no other place: else it would use __pycache__.
    only = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}
    processes = [
        start(["discount_rewards"], tmp_path / "file" / "cache", **more) for more in ({}, only)
    ]
    assert printed(processes[1]) == 1
    assert printed(processes[0]) <= 1


def test_processes_that_compile_at_once_leave_whole_code(tmp_path: Path) -> None:
    processes = [start(SOME, tmp_path) for _ in range(2)]
    assert all(printed(process) <= len(SOME) for process in processes)
    assert len(files(tmp_path)) == len(SOME)
    assert printed(start(SOME, tmp_path)) == 0  # what a worker finds

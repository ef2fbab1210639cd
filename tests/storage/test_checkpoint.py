"""Checkpoints: exact round trips, every damage refused, every crash and full disk survived."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import PATIENCE

from fastpong.storage import checkpoint, files
from fastpong.storage.checkpoint import CheckpointError
from fastpong.storage.manifest import signed

FIELDS = {
    "counters": {"episode": 7, "running_mean": None, "wall_seconds": 0.1 + 0.2, "big": 2**60},
    "tiny": 5e-324,
    "text": "Pong é",
}


def arrays(value: float = 1.0) -> dict[str, np.ndarray]:
    return {
        "parameters/0/w1": np.full((5, 3), value, dtype=np.float32),
        "state/cache": np.arange(4, dtype=np.float64) / 3,
        "empty": np.zeros((0, 3)),
        "scalar": np.array(7, dtype=np.int64),
    }


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_arrays_and_fields_come_back_exactly(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path / "checkpoints", 7, arrays(), FIELDS)
    assert names(path.parent) == ["00000007.json", "00000007.safetensors"]
    for given_path in (path, path.with_suffix(".safetensors"), str(path)):
        loaded = checkpoint.load(given_path)
        assert loaded.episode == 7
        assert loaded.path == path
        assert {name: loaded.manifest[name] for name in FIELDS} == FIELDS
        assert loaded.arrays.keys() == arrays().keys()
        for name, array in arrays().items():
            assert loaded.arrays[name].dtype == array.dtype
            assert loaded.arrays[name].flags.writeable
            np.testing.assert_array_equal(loaded.arrays[name], array, strict=True)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers())
def test_numbers_in_the_manifest_survive_bit_for_bit(real: float, integer: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = checkpoint.save(directory, 1, {}, {"real": real, "integer": integer})
        manifest = checkpoint.load(path).manifest
    assert manifest["integer"] == integer
    assert manifest["real"].hex() == real.hex()


def test_layout_byte_order_and_numpy_scalars_do_not_matter(tmp_path: Path) -> None:
    base = np.arange(12.0).reshape(3, 4)
    given_arrays = {"f": np.asfortranarray(base), "s": base[:, ::2], "b": base.astype(">f8")}
    given_arrays["s"].flags.writeable = False
    loaded = checkpoint.load(checkpoint.save(tmp_path, 1, given_arrays, {"n": np.float32(0.1)}))
    for name, array in given_arrays.items():
        np.testing.assert_array_equal(loaded.arrays[name], array)
    assert loaded.manifest["n"] == float(np.float32(0.1))


@pytest.mark.parametrize(
    ("bad_arrays", "fields", "word"),
    [
        ({"o": np.array([None])}, {}, "o: expected an array"),
        ({"c": np.zeros(2, complex)}, {}, "c: expected an array"),
        ({}, {"digest": "mine"}, "reserved"),
        ({}, {"x": float("nan")}, "NaN|JSON|nan"),
        ({}, {"x": object()}, "JSON"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_leaves_nothing(
    tmp_path: Path, bad_arrays: dict, fields: dict, word: str
) -> None:
    with pytest.raises(ValueError, match=word):
        checkpoint.save(tmp_path / "checkpoints", 1, bad_arrays, fields)
    assert names(tmp_path) == []


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_every_flipped_bit_is_refused(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = checkpoint.save(directory, 1, arrays(), FIELDS | {"rate": 1e-05})
        victim = path.with_suffix(data.draw(st.sampled_from([".json", ".safetensors"])))
        content = bytearray(victim.read_bytes())
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] ^= 1 << data.draw(st.integers(0, 7))
        victim.write_bytes(content)
        with pytest.raises(CheckpointError, match="use "):
            checkpoint.load(path)


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
@pytest.mark.parametrize("change", ["half", "empty", "last byte", "one byte more", "gone"])
def test_files_of_another_length_are_refused(tmp_path: Path, suffix: str, change: str) -> None:
    path = checkpoint.save(tmp_path, 1, arrays(), FIELDS)
    victim = path.with_suffix(suffix)
    content = victim.read_bytes()
    cut = {"half": len(content) // 2, "empty": 0, "last byte": len(content) - 1}
    if change == "gone":
        victim.unlink()
    else:
        victim.write_bytes(content[: cut[change]] if change in cut else content + b"\0")
    with pytest.raises(CheckpointError, match="older checkpoint"):
        checkpoint.load(path)


def test_a_manifest_of_another_schema_is_refused_by_number(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 1, arrays(), FIELDS)
    manifest = json.loads(path.read_text()) | {"schema": 99}
    path.write_bytes(signed(manifest))
    with pytest.raises(CheckpointError, match="expected schema 2, got 99"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    "content",
    [b"[1]", b"null", b"{}", b"\xff", b"[" * 100_000, b'{"schema": 2, "data": 3}', b"1" * 5000],
)
def test_files_that_are_no_manifest_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "00000001.json"
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        checkpoint.load(path)


@pytest.mark.parametrize(
    "change",
    [{"file": "../other.safetensors"}, {"bytes": "5"}, {"bytes": -1}, {"file": 5}, {"file": None}],
)
def test_a_hostile_manifest_with_a_right_digest_is_refused(tmp_path: Path, change: dict) -> None:
    path = checkpoint.save(tmp_path, 1, arrays(), FIELDS)
    manifest = json.loads(path.read_text())
    manifest["data"] |= change
    path.write_bytes(signed(manifest))
    with pytest.raises(CheckpointError):
        checkpoint.load(path)


def test_swapped_data_is_refused(tmp_path: Path) -> None:
    first = checkpoint.save(tmp_path, 1, arrays(1), FIELDS).with_suffix(".safetensors")
    second = checkpoint.save(tmp_path, 2, arrays(2), FIELDS).with_suffix(".safetensors")
    assert first.stat().st_size == second.stat().st_size
    first.rename(tmp_path / "x")
    second.rename(first)
    (tmp_path / "x").rename(second)
    for path in (first, second):
        with pytest.raises(CheckpointError, match="expected sha256"):
            checkpoint.load(path)


def test_arrays_that_differ_from_the_manifest_are_refused(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 1, arrays(), FIELDS)
    manifest = json.loads(path.read_text())
    manifest["arrays"]["scalar"]["dtype"] = "float64"
    path.write_bytes(signed(manifest))
    with pytest.raises(CheckpointError, match=r"array .scalar.: expected .*float64"):
        checkpoint.load(path)


def test_only_the_newest_few_are_kept(tmp_path: Path) -> None:
    for episode in (5, 10, 15, 20):
        checkpoint.save(tmp_path, episode, arrays(), FIELDS, keep=2)
    stems = ["00000015", "00000020"]
    assert names(tmp_path) == [f"{s}.{e}" for s in stems for e in ("json", "safetensors")]


def test_refused_newer_ones_do_not_crowd_out_the_one_just_saved(tmp_path: Path) -> None:
    for episode in (50, 60):
        checkpoint.save(tmp_path, episode, arrays(), FIELDS)
        (tmp_path / f"{episode:08d}.safetensors").write_bytes(b"broken")
    checkpoint.save(tmp_path, 20, arrays(), FIELDS, keep=1)
    found, refusals = checkpoint.newest(tmp_path)
    assert found.episode == 20
    assert len(refusals) == 2


def test_newest_skips_broken_ones_and_says_why(tmp_path: Path) -> None:
    for episode in (1, 2, 3, 4):
        checkpoint.save(tmp_path, episode, arrays(episode), FIELDS, keep=9)
    (tmp_path / "00000004.json").unlink()
    (tmp_path / "00000003.safetensors").write_bytes(b"")
    (tmp_path / "notes.json").write_text("{}")
    found, refusals = checkpoint.newest(tmp_path)
    assert found.episode == 2
    assert found.arrays["parameters/0/w1"][0, 0] == 2
    assert [("missing" in refusals[0]), ("bytes, got 0" in refusals[1])] == [True, True]
    assert len(refusals) == 2


def test_newest_without_a_whole_one_tells_what_it_found(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is none"):
        checkpoint.newest(tmp_path / "nowhere")
    checkpoint.save(tmp_path, 1, arrays(), FIELDS).unlink()
    with pytest.raises(CheckpointError, match="is missing"):
        checkpoint.newest(tmp_path)


def test_an_episode_saved_again_replaces_its_checkpoint(tmp_path: Path) -> None:
    for value in (1, 2, 3):
        path = checkpoint.save(tmp_path, 4, arrays(value), FIELDS, keep=1)
        assert checkpoint.load(path).arrays["parameters/0/w1"][0, 0] == value
        assert len(names(tmp_path)) == 2


@pytest.mark.parametrize("name", ["x.pkl", "directory", "00000001"])
def test_load_names_what_it_takes(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match="expected a checkpoint"):
        checkpoint.load(tmp_path / name)


# In a child of its own for every n: kill -9 at the n-th file operation of a save. The audit hook
# sees opens, renames and removals before they happen.
KILLED_AT_EVERY_STEP = """
import os, signal, sys
from pathlib import Path
import numpy as np
from fastpong.storage import checkpoint

directory, episode = Path(sys.argv[1]), int(sys.argv[2])
for n in range(1, 100):
    child = os.fork()
    if child == 0:
        left = n
        def hook(event, arguments):
            global left
            if event in ("open", "os.rename", "os.remove", "os.listdir", "os.scandir"):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        checkpoint.save(directory, episode, {"w": np.full(1000, 2.0)}, {"value": 2.0}, keep=1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    found, refusals = checkpoint.newest(directory)
    print(n, status, found.manifest["value"], set(found.arrays["w"]), len(refusals))
    assert set(found.arrays["w"]) == {found.manifest["value"]}
    if status == 0:
        assert found.manifest["value"] == 2.0 and n > 8
        break
    assert os.WTERMSIG(status) == signal.SIGKILL
    checkpoint.save(directory, 4, {"w": np.full(1000, 1.0)}, {"value": 1.0}, keep=1)
    assert not list(directory.glob("*.tmp"))
    for path in directory.glob("*5.*"):
        path.unlink()
else:
    raise SystemExit("the save never ended")
"""


@pytest.mark.parametrize("episode", [4, 5])
def test_a_kill_at_any_file_operation_leaves_a_whole_checkpoint(
    tmp_path: Path, episode: int
) -> None:
    """Also when episode 4, the only checkpoint there is, is being saved again."""
    checkpoint.save(tmp_path, 4, {"w": np.full(1000, 1.0)}, {"value": 1.0})
    command = [sys.executable, "-P", "-c", KILLED_AT_EVERY_STEP, str(tmp_path), str(episode)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(names(tmp_path)) == 2


SAVING_IN_A_LOOP = """
import sys
import numpy as np
from fastpong.storage import checkpoint

for episode in range(int(sys.argv[2]), 10**6):
    w = np.full(20_000, float(episode))
    checkpoint.save(sys.argv[1], episode, {"w": w}, {"running_mean": None})
    print(episode, flush=True)
"""


def test_kill_9_at_random_moments_never_loses_the_last_whole_one(tmp_path: Path) -> None:
    rng, last = random.Random(7), 0
    for _ in range(6):
        command = [sys.executable, "-P", "-c", SAVING_IN_A_LOOP, str(tmp_path), str(last + 1)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            acknowledged = int(process.stdout.readline())
            time.sleep(rng.uniform(0, 0.03))
            process.kill()
            acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
        assert process.returncode == -signal.SIGKILL
        found, _ = checkpoint.newest(tmp_path)
        assert found.episode >= acknowledged
        assert set(found.arrays["w"]) == {float(found.episode)}
        last = found.episode


FULL_DISK = """
import errno, resource, sys
from pathlib import Path
import numpy as np
from fastpong.storage import checkpoint

directory, limit = Path(sys.argv[1]), int(sys.argv[2])
before = {path.name: path.read_bytes() for path in directory.iterdir()}
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    fields = {"long": "x" * int(sys.argv[3])}
    checkpoint.save(directory, int(sys.argv[4]), {"w": np.zeros(10_000)}, fields, keep=1)
except OSError as error:
    assert error.errno == errno.EFBIG, error
else:
    raise SystemExit("expected an OSError")
assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
assert checkpoint.newest(directory)[0].manifest["value"] == 1.0
"""


@pytest.mark.parametrize("episode", [1, 2])
@pytest.mark.parametrize(("limit", "long"), [(0, 0), (4096, 0), (100_000, 200_000)])
def test_a_file_too_large_for_the_disk(tmp_path: Path, limit: int, long: int, episode: int) -> None:
    """No room for the data, or room for the data and none for the manifest."""
    checkpoint.save(tmp_path, 1, arrays(), {"value": 1.0})
    command = [sys.executable, "-P", "-c", FULL_DISK, *map(str, (tmp_path, limit, long, episode))]
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture
def small_disk(tmp_path: Path):
    """A real file system of 256 KiB, where we may mount one."""
    target = tmp_path / "disk"
    target.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(target)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, timeout=PATIENCE).returncode:
        pytest.skip("mounting a file system needs root")
    yield target
    subprocess.run(["umount", "-l", str(target)], check=True, timeout=PATIENCE)


def test_a_really_full_disk(small_disk: Path) -> None:
    path = checkpoint.save(small_disk, 1, {"w": np.ones(10_000)}, {"value": 1.0})
    before = names(small_disk)
    for episode in (1, 2):
        with pytest.raises(OSError) as caught:
            checkpoint.save(small_disk, episode, {"w": np.zeros(30_000)}, {}, keep=1)
        assert caught.value.errno == errno.ENOSPC
        assert names(small_disk) == before
    assert set(checkpoint.load(path).arrays["w"]) == {1.0}
    checkpoint.save(small_disk, 3, {"w": np.zeros(5_000)}, {}, keep=1)
    assert checkpoint.newest(small_disk)[0].episode == 3


def test_write_atomically_replaces_or_leaves(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    files.write_atomically(path, b"one")
    files.write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert names(tmp_path) == ["config.toml"]
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError):
        files.write_atomically(tmp_path / "directory", b"three")
    assert names(tmp_path) == ["config.toml", "directory"]

"""Manifests that were edited and signed again: one message, and the next older checkpoint.

``fuzz_files.fuzz_manifest`` changes every field in every way. Here are those that once did harm.
"""

from __future__ import annotations

import hashlib
import json
import resource
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fuzz_files
import numpy as np
import pytest
import safetensors.numpy
from commands import complaint, fastpong, inside
from fuzz_files import changed, newest_files

import fastpong as package
from fastpong.storage.checkpoint import CheckpointError
from fastpong.storage.manifest import signed

Manifest = dict[str, Any]
GONE = object()


def sign(run: Path, manifest: Mapping[str, Any]) -> None:
    """Write a run's newest manifest with a digest that fits."""
    rest = {name: value for name, value in manifest.items() if name != "digest"}
    newest_files(run)[0].write_bytes(signed(rest))


def edit(run: Path, field: str, value: object) -> None:
    """Change a field of a run's newest manifest, and sign it."""

    def change(inner: Any, name: str) -> None:
        inner[name] = value
        if value is GONE:
            del inner[name]

    manifest = json.loads(newest_files(run)[0].read_bytes())
    sign(run, changed(manifest, tuple(field.split(".")), change))


def edit_arrays(run: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    """Change the arrays of a run's newest checkpoint, and sign them."""
    manifest_path, path = newest_files(run)
    arrays = safetensors.numpy.load(path.read_bytes())
    change(arrays)
    data = safetensors.numpy.save(arrays)
    path.write_bytes(data)
    about = {"file": path.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    signature = {
        name: {"shape": list(array.shape), "dtype": array.dtype.name}
        for name, array in arrays.items()
    }
    manifest = json.loads(manifest_path.read_bytes())
    sign(run, manifest | {"data": about, "arrays": signature})


HARMFUL = [
    ("counters", GONE, "counters: expected a table, got none"),
    ("counters.task", None, "counters.task: expected an integer from 0"),
    ("counters.task", 10**12, "counters.update: expected 500000000000, that is task"),
    ("counters.update", 7, "counters.update: expected 1, that is task 3 / 2, got 7"),
    ("counters.episode", 2, "counters.episode: expected 3, that is episode, got 2"),
    ("counters.total_steps", -1, "counters.total_steps: expected an integer from 0"),
    ("counters.recent", [1e308], "counters.recent: expected a list of up to 100 finite numbers"),
    ("counters.wall_seconds", "x", "counters.wall_seconds: expected a finite number"),
    ("config", [], "config: expected a table, got []"),
    ("config.hidden", 2**62, r"config: hidden: expected an integer in [1, 16384]"),
    ("config.hidden", 5, "arrays: parameters/0/w1: expected {'shape': [6400, 5], 'dtype'"),
    ("config.agent", "other", "config: agent: expected one of karpathy"),
    ("seed", 1, "seed: expected 0, that is config.seed, got 1"),
    ("data.bytes", 6_000_000_000, "data.bytes: expected 409664 and a header"),
    ("data.file", "/etc/passwd", "data.file: expected the name of a file beside it"),
    ("arrays", {"w": {"shape": [1 << 33], "dtype": "uint8"}}, "data.bytes: expected 8589934592"),
]


@pytest.mark.parametrize(
    ("field", "value", "words"), HARMFUL, ids=lambda v: "gone" if v is GONE else str(v)[:24]
)
def test_a_field_that_cannot_be_is_named(run: Path, field: str, value: object, words: str) -> None:
    path, _ = newest_files(run)
    edit(run, field, value)
    with pytest.warns(UserWarning, match="checkpoint refused") as heard:
        assert package.load(run).agent == "karpathy"
    (refusal,) = [str(warning.message) for warning in heard]
    assert f"00000003.json: {words}" in refusal
    assert refusal.endswith("use an older checkpoint")
    with pytest.raises(CheckpointError, match="use an older checkpoint"):
        package.load(path)


def test_all_commands_say_it_alike(run: Path, tmp_path: Path) -> None:
    edit(run, "counters.update", 7)
    words = "refused: run/checkpoints/00000003.json: counters.update: expected 1, that is task 3 / "
    for arguments, status in (
        (["eval", "run", "--episodes", "1"], 0),
        (["info", "run"], 0),
        (["export", "run", "w.safetensors"], 0),
        (["plot", "weights", "run", "-o", "w.png"], 0),
        (["train", "--resume", "run", "--episodes", "4"], 0),
    ):
        copy = Path(shutil.copytree(run, tmp_path / "here" / "run"))
        done = inside(*arguments, cwd=copy.parent)
        assert (done.returncode, done.stderr.count("\n")) == (status, 1), done
        assert words in done.stderr
        shutil.rmtree(copy.parent)
    report = ["report", "run", "-o", "r.html", "--episodes", "0", "--seconds", "0"]
    assert fastpong(*report, cwd=tmp_path).returncode == 0
    assert "counters.update: expected 1" in (tmp_path / "r.html").read_text()
    begun = inside("train", "--init-from", newest_files(run)[0], "--episodes", "1", cwd=tmp_path)
    assert "counters.update: expected 1, that is task 3 / 2, got 7" in complaint(begun)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["parameters/0/w2", "state/cache/w1"])
def test_weights_that_are_not_finite_are_refused(run: Path, name: str, value: float) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays[name].reshape(-1)[1] = value

    edit_arrays(run, change)
    with pytest.warns(UserWarning, match=f"{name}: expected finite numbers, got NaN or infinity"):
        package.load(run)


def test_a_checkpoint_under_another_number_is_refused(run: Path, tmp_path: Path) -> None:
    for path in newest_files(run):
        shutil.copy(path, path.with_name(path.name.replace("00000003", "00000009")))
    done = inside("train", "--resume", run, "--episodes", 4, cwd=tmp_path)
    assert done.returncode == 0, done
    assert (
        "00000009.json: episode: expected 9, as its name says, got 3; use an older" in done.stderr
    )
    assert "going on after episode 3" in done.stdout


def test_six_gigabytes_are_not_allocated(run: Path) -> None:
    """A sparse file of the size that the manifest declares, with arrays that fit it."""
    manifest_path, path = newest_files(run)
    size = 6 << 30
    manifest = json.loads(manifest_path.read_bytes())
    manifest["arrays"]["state/huge"] = {"shape": [size - 409_664 - 4096], "dtype": "uint8"}
    manifest["data"]["bytes"] = size
    sign(run, manifest)
    with path.open("r+b") as file:
        file.truncate(size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.warns(UserWarning, match="arrays: 'state/huge': expected none of that name"):
        package.load(run)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + (1 << 20)


def test_without_an_older_one_there_is_one_message(run: Path, tmp_path: Path) -> None:
    for path in (run / "checkpoints").glob("0000000[012].*"):
        path.unlink()
    edit(run, "counters.recent", None)
    for arguments in (["eval", "run"], ["train", "--resume", "run"], ["info", "run"]):
        done = inside(*arguments, cwd=tmp_path)
        assert "00000003.json: counters.recent: expected a list" in complaint(done)


def test_a_training_that_diverged_is_not_saved_over_good_ones(run: Path) -> None:
    from fastpong.storage.run import Run
    from fastpong.training.state import TrainerState

    with Run.resume(run) as opened:
        assert opened.checkpoint is not None
        found = opened.checkpoint
        counters = found.manifest["counters"] | {"episode": 4, "task": 4, "update": 2}
        arrays = dict(found.arrays)
        arrays["parameters/0/w1"][0, 0] = np.nan
        with pytest.raises(ArithmeticError, match="diverged: parameters/0/w1 has numbers that"):
            opened.save(TrainerState(counters, arrays))
    assert package.load(run) is not None


def test_changes_at_random() -> None:
    assert fuzz_files.fuzz_manifest(seconds=1, seed=0) >= 1

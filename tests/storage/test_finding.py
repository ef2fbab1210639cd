"""Agents by a path: renamed checkpoints, exported files, names of pretrained weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from policy_cases import make_player, random_parameters

import fastpong
from fastpong.cli import errors as cli
from fastpong.storage import checkpoint
from fastpong.storage.checkpoint import CheckpointError
from fastpong.storage.finding import find
from fastpong.storage.weights import exported
from fastpong.training.trained import read_trained


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three stages, in its last one."""
    directory = tmp_path_factory.mktemp("finding") / "run"
    stages = [{"from_step": 64, "frame_skip": 2}, {"from_step": 128, "agent": "ppo"}]
    fastpong.train(
        agent="dqn", env="PongDeterministic-v4", hidden=4, n_envs=2, n_steps=16, workers=1,
        n_step=4, buffer_size=1000, learning_starts=32, total_timesteps=200, stages=stages,
        run_dir=directory, progress=False,
    ).run()  # fmt: skip
    return directory


def pair(run: Path, directory: Path, name: str) -> Path:
    """Copy the newest checkpoint under another name, and return its manifest."""
    found = checkpoint.newest(run / "checkpoints")[0]
    shutil.copy(found.path, directory / f"{name}.json")
    data = found.path.with_name(found.manifest["data"]["file"])
    shutil.copy(data, directory / f"{name}.safetensors")
    return directory / f"{name}.json"


# --- renamed pairs ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["best", "my.best-2", "00000009"])
def test_a_renamed_pair_loads(run: Path, tmp_path: Path, name: str) -> None:
    path = pair(run, tmp_path, name)
    expected = checkpoint.newest(run / "checkpoints")[0].arrays
    for given in (path, path.with_suffix(".safetensors")):
        found, refusals = find(given)
        assert found.path == path and refusals == []
        assert all(np.array_equal(a, expected[n]) for n, a in found.arrays.items())
    assert fastpong.load(path).agent == "ppo"


def test_the_sha256_and_not_the_name_joins_a_pair(run: Path, tmp_path: Path) -> None:
    path = pair(run, tmp_path, "best")
    data = path.with_suffix(".safetensors")
    name = json.loads(path.read_text())["data"]["file"]
    (tmp_path / name).write_bytes(b"another run's")  # the name it was saved under, taken
    assert find(path)[0].path == path
    content = bytearray(data.read_bytes())
    content[-1] ^= 1
    data.write_bytes(content)
    for given in (path, data):
        with pytest.raises(CheckpointError, match="expected sha256"):
            find(given)
    data.unlink()
    with pytest.raises(CheckpointError, match=f"{name}: expected .* bytes, got 13"):
        find(path)


# --- exported files -----------------------------------------------------------------------------


def test_an_exported_file_plays_the_games_of_its_run(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "weights.safetensors"
    assert cli.run(["export", str(run), str(file)]) == 0
    games = {}
    for path in (run, file):
        assert cli.run(["eval", str(path), "--episodes", "2", "--workers", "1"]) == 0
        out = capfd.readouterr().out
        assert str(path) in out and "ppo after" in out
        games[path] = [line for line in out.splitlines() if line.startswith("episode ")]
    assert len(games[run]) == 2 and games[run] == games[file]
    policy, mine = fastpong.load(file), fastpong.load(run)
    assert policy.env_kwargs == mine.env_kwargs and policy.env_kwargs["frameskip"] == 2
    again = tmp_path / "again.safetensors"
    assert cli.run(["export", str(file), str(again)]) == 0
    assert again.read_bytes() == file.read_bytes()
    about = exported.read(file).about
    assert (about["frame_skip"], about["frame_spread"], about["stage"]) == ([2], 2, 2)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (None, "expected a file of fastpong export, or a checkpoint beside its manifest w.json"),
        ({"other": "x"}, "expected a file of fastpong export"),
        ({"fastpong": "{"}, "not readable as safetensors"),
        ({"fastpong": "[1]"}, "expected a file of fastpong export"),
        ({"fastpong": '{"agent": "ppo"}'}, "got one without config, episode, stage, steps; export"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, metadata: Any, words: str) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes(safetensors.numpy.save({"w": np.zeros(3)}, metadata))
    with pytest.raises(CheckpointError, match=words):
        find(file)


def test_a_damaged_or_foreign_file_is_refused_with_its_path(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes(b"no safetensors at all")
    with pytest.raises(CheckpointError, match=r"w\.safetensors: is not readable as safetensors"):
        find(file)
    trained = read_trained(find(run)[0], "cython")
    for change, words in (
        ({"rows": np.zeros((3, 4), np.float32)}, "rows: expected .*, got"),
        ({"rows": trained.parameters["rows"].astype(np.int32)}, "rows: expected floats, or int8"),
        ({"rows": trained.parameters["rows"].astype(np.int8)}, "rows: expected floats, or int8"),
    ):
        file.write_bytes(exported.dump({**trained.parameters, **change}, trained.about()))
        with pytest.raises(CheckpointError, match=words):
            fastpong.load(file)
    for about, words in (
        ({"stage": 7}, "expected a checkpoint of a run, got another"),
        ({"config": 5}, "config: expected a table, got 5"),
        ({"stage": "x"}, "stage: expected an integer"),
        ({"stage": -1}, "stage: expected an integer"),
    ):
        file.write_bytes(exported.dump(trained.parameters, {**trained.about(), **about}))
        with pytest.raises(CheckpointError, match=words):
            fastpong.load(file)


def test_packed_weights_are_within_half_a_factor() -> None:
    parameters = random_parameters(make_player("ppo"))
    parameters["rows"][:, 3] = 0
    packed = exported.pack(parameters)
    assert packed["rows"].dtype == np.int8 and packed["rows.scale"].shape == (8,)
    assert packed["units"].dtype == np.float32
    found = exported.Exported(Path("x"), {}, packed).parameters("float32")
    assert found.keys() == parameters.keys()
    error = np.abs(found["rows"] - parameters["rows"]).max(0)
    largest = np.abs(parameters["rows"]).max(0)
    assert (error <= 1.001 * largest / 254).all() and error.max() > 0
    assert np.array_equal(found["units"], parameters["units"])


# --- names --------------------------------------------------------------------------------------


def test_what_is_nowhere_is_refused_with_what_can_be_named(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"pongg: does not exist; name a run's directory, .*pong"
    ):
        fastpong.load("pongg")
    with pytest.raises(CheckpointError, match="does not exist"):
        fastpong.load(tmp_path / "pong")


def test_a_path_comes_before_a_name(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert fastpong.load("pong").player.env == "PongDeterministic-v4"
    assert fastpong.load("pong")._planned.spec.hidden == 128
    shutil.copytree(run, "pong")
    assert fastpong.load("pong")._planned.spec.hidden == 4

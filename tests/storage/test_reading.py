"""Runs as others read them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from run_cases import config, snapshot
from waiting import PATIENCE

from fastpong.storage.reading import checkpoint_paths, is_training, read_facts, read_versions
from fastpong.storage.run import Run, RunError

_ASKED = """
import sys
from pathlib import Path
from fastpong.storage.reading import is_training
print(is_training(Path(sys.argv[1])))
"""


def test_a_run_is_in_training_while_it_is_open(tmp_path: Path) -> None:
    with Run.create(tmp_path / "run", config()):
        assert is_training(tmp_path / "run")
        assert read_facts(tmp_path / "run").training
    assert not is_training(tmp_path / "run")
    with Run.create(tmp_path / "other", config()):
        assert not is_training(tmp_path / "run")


def test_looking_does_not_take_the_lock(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    with Run.create(directory, config()) as run:
        run.save(snapshot(0))
    before = (directory / ".lock").read_bytes()
    for _ in range(3):
        assert not is_training(directory)
    assert (directory / ".lock").read_bytes() == before


def test_what_a_run_says_of_itself(tmp_path: Path) -> None:
    with Run.create(tmp_path / "run", config(seed=7)) as run:
        for episode in (0, 12, 3):
            run.save(snapshot(episode))
    facts = read_facts(tmp_path / "run")
    assert facts.config == config(seed=7)
    assert facts.versions["backend"] == "numpy"
    found = [path.name for path in checkpoint_paths(tmp_path / "run")]
    assert found == ["00000000.json", "00000003.json", "00000012.json"]


def test_only_names_of_digits_are_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    for name in ("²2", "\u0663", "3", "-4", "5a"):
        (tmp_path / "checkpoints" / f"{name}.json").touch()
    assert [path.name for path in checkpoint_paths(tmp_path)] == ["3.json"]


@pytest.mark.parametrize("text", ["", "[1]", "{", "[" * 100_000])
def test_versions_that_cannot_be_read_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "versions.json").write_text(text)
    assert read_versions(tmp_path) == {}


@pytest.mark.parametrize("pid", ["", "x", "-", "99999999"])
def test_a_lock_that_is_not_held(tmp_path: Path, pid: str) -> None:
    (tmp_path / ".lock").write_text(pid)
    assert not is_training(tmp_path)


def test_a_lock_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.lock")
    for target in ("fifo.lock", "/dev/zero"):
        (tmp_path / ".lock").symlink_to(target)
        assert not is_training(tmp_path)
        (tmp_path / ".lock").unlink()
    os.mkfifo(tmp_path / ".lock")
    asked = [sys.executable, "-c", _ASKED, str(tmp_path)]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout == "False\n"


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"expected a run, a directory with a config.toml"):
        read_facts(tmp_path / "missing")
    (tmp_path / "config.toml").write_text("hidden = 'many'")
    with pytest.raises(RunError, match=r"config.toml: expected a run's settings: hidden"):
        read_facts(tmp_path)
    (tmp_path / "config.toml").write_text("x = " + 6000 * "[" + 6000 * "]")
    with pytest.raises(RunError, match=r"config.toml: expected a TOML file: expected tables"):
        read_facts(tmp_path)

"""A run of three episodes, and commands that must fail."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from commands import (
    SMALL,
    fastpong,
)  # fmt: skip

from fastpong.cli import errors as cli


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Train three episodes in the default directory; return its parent and what was printed."""
    home = tmp_path_factory.mktemp("first")
    done = fastpong("train", *SMALL, "--episodes", 3, "--save-every", 2, cwd=home)
    assert done.returncode == 0, done
    assert done.stderr == ""
    return home, done.stdout


@pytest.fixture(scope="module")
def trained(home: Path, first_run: tuple[Path, str]) -> tuple[Path, str]:
    """Return a run of three episodes below ``home``, and what its training printed."""
    shutil.copytree(first_run[0] / "runs", home / "runs")
    (run,) = (home / "runs").iterdir()
    return run, first_run[1]


@pytest.fixture
def run_copy(trained: tuple[Path, str], tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained[0], tmp_path / "copy"))


@pytest.fixture
def complain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Any:
    """Run a command that must fail before it starts a process; return its status and complaint."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str]:
        status = cli.run([str(argument) for argument in arguments])
        printed, errors = capfd.readouterr()
        assert printed == ""
        assert errors.startswith("fastpong: error: ")
        assert errors.count("\n") == 1, errors
        return status, errors

    return run

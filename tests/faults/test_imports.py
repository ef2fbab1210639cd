"""No command imports from the current directory, in any of its processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import hostile
import pool_parent
import pytest
from commands import COMMAND, SMALL
from waiting import PATIENCE

import fastpong
from fastpong.cli.main import cli

# As the installed script starts it: the current directory is not searched, without Python's -P.
SCRIPT = [sys.executable, "-c", "import sys; sys.path.remove(''); from fastpong.__main__ import "
          "main; main()"]  # fmt: skip
COMMANDS = {
    "train": ["train", *SMALL, "--episodes", "2", "--workers", "2", "--run-dir", "new"],
    "train --seeds": ["train", *SMALL, "--episodes", "1", "--seeds", "1-2", "--run-dir", "sweep"],
    "eval": ["eval", "run", "--episodes", "2", "--workers", "2"],
    "play": ["play", "run"],
    "video": ["video", "run", "-o", "film.gif", "--fps", "10"],
    "plot": ["plot", "run", "-o", "curve.png"],
    "report": ["report", "run", "-o", "page.html", "--episodes", "1", "--seconds", "1"],
    "board": ["board", ".", "--port", "0"],
    "recipes": ["recipes"],
    "info": ["info"],
    "import": ["import", "nothing.p", "imported"],
    "export": ["export", "run", "out.safetensors"],
}
"""All commands. Some fail for want of a terminal or a file, and import all the same."""

ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in ("PYTHONSAFEPATH", "PYTHONPATH")}


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Make a directory that holds a run, and is full of modules that nobody may import."""
    directory = hostile.fill(tmp_path / "hostile", tmp_path / "marker")
    done = subprocess.run(
        [*COMMAND, "train", *SMALL, "--episodes", "1", "--run-dir", str(directory / "run")],
        env=ENVIRONMENT, capture_output=True, text=True, check=True, timeout=PATIENCE,
    )  # fmt: skip
    assert not done.stderr
    yield directory
    assert hostile.imported(tmp_path / "marker") == []


def start(
    command: list[str], directory: Path, environment: Mapping[str, str] = ENVIRONMENT
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    printed, errors = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in errors
    return printed + errors


def test_no_command_imports_from_the_current_directory(directory: Path) -> None:
    assert {words[0] for words in COMMANDS.values()} == set(cli.commands)
    with contextlib.ExitStack() as stack:
        running = {name: start([*SCRIPT, *words], directory) for name, words in COMMANDS.items()}
        for process in running.values():
            stack.callback(process.kill)
        board = running.pop("board")
        said = {name: finish(process) for name, process in running.items()}
        assert board.stdout is not None
        assert "http://" in board.stdout.readline()
        board.send_signal(signal.SIGINT)
        finish(board)
    assert "trained 2 episodes" in said["train"]
    assert "wins" in said["eval"]
    assert "terminal" in said["play"]
    for file in ("film.gif", "curve.png", "page.html", "out.safetensors"):
        assert (directory / file).exists()


def test_python_m_imports_from_there_only_what_python_does_by_itself(tmp_path: Path) -> None:
    before = subprocess.run(
        [sys.executable, "-P", "-c", "import runpy, pkgutil, sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    marker = tmp_path / "marker"
    directory = hostile.fill(tmp_path / "hostile", marker, besides={"fastpong", *before})
    said = finish(start([sys.executable, "-m", "fastpong", *COMMANDS["train"]], directory))
    assert "trained 2 episodes" in said
    assert hostile.imported(marker) == []


def test_a_checkout_runs_from_its_own_directory(tmp_path: Path) -> None:
    """Its package comes from there, and nothing else does."""
    package = Path(fastpong.__file__).parent
    before = set(sys.stdlib_module_names) - {"json", "struct"}
    directory = hostile.fill(
        tmp_path / "checkout", tmp_path / "marker", besides={"fastpong", *before}
    )
    (directory / "fastpong").symlink_to(package)
    command = [sys.executable, "-m", "fastpong", *COMMANDS["train"]]
    assert "trained 2 episodes" in finish(start(command, directory))
    assert hostile.imported(tmp_path / "marker") == []


def test_no_start_method_imports_from_the_current_directory(tmp_path: Path) -> None:
    directory = hostile.fill(tmp_path / "hostile", tmp_path / "marker")
    environment = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    running = []
    for method in multiprocessing.get_all_start_methods():
        (tmp_path / method).mkdir()
        command = [sys.executable, pool_parent.__file__, method, "answer", str(tmp_path / method)]
        running.append(start(command, directory, environment))
    for process in running:
        assert "results" in finish(process)
    assert hostile.imported(tmp_path / "marker") == []

"""Packages that are broken: what does not need them goes on, the rest says so in one line.

A package breaks at its import or later, and raises anything: of another NumPy AttributeError, of
another protobuf TypeError. Each is put before the real one on the path of real commands.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from commands import SMALL, complaint, fastpong, rows
from run_cases import config, stats

from fastpong.extras import in_short, unusable
from fastpong.storage.run import Run

PROTOBUF = '''raise TypeError("""Descriptors cannot be created directly.
If this call came from a _pb2.py file, your generated code is out of date and must be regenerated.
""")'''
NUMPY = "import numpy\nnumpy.float_of_another_version"
LIBRARY = 'raise ImportError("libopenblas.so.0: cannot open shared object file")'
OPTIONAL = (
    "tensorboardX", "numba", "llvmlite", "matplotlib", "pygame", "PIL", "av", "h5py", "onnx",
    "starlette", "uvicorn", "wandb", "mlflow",
)  # fmt: skip
"""All packages that a training on the Cython kernels does without."""


def broken(directory: Path, packages: Mapping[str, str]) -> dict[str, str]:
    """Write packages that raise at import. Returns the environment that prefers them."""
    for name, code in packages.items():
        package = directory.joinpath(*name.split("."))
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(code + "\n")
    return {"PYTHONPATH": str(directory)}


def train(tmp_path: Path, env: dict[str, str], *more: object) -> str:
    """Train three episodes, which must end well, with a checkpoint. Returns standard error."""
    run = tmp_path / "run"
    done = fastpong(
        "train", "--run-dir", run, *SMALL, "--episodes", 3, "--save-every", 2, *more,
        cwd=tmp_path, env=env,
    )  # fmt: skip
    assert done.returncode == 0, done
    assert len(rows(run)) == 3
    saved = sorted((run / "checkpoints").glob("*.json"))
    assert json.loads(saved[-1].read_text())["episode"] == 3
    return done.stderr


# --- TensorBoard --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("package", "code", "said"),
    [
        ("tensorboardX", LIBRARY, "ImportError: libopenblas.so.0: cannot open"),
        ("google.protobuf", PROTOBUF, "TypeError: Descriptors cannot be created directly."),
    ],
)
def test_training_without_tensorboard(tmp_path: Path, package: str, code: str, said: str) -> None:
    errors = train(tmp_path, broken(tmp_path / "path", {package: code}))
    (line,) = errors.splitlines()
    assert f"nothing can be written for TensorBoard: {said}" in line
    assert "training goes on" in line and "pip install" in line
    assert not list((tmp_path / "run").glob("events*"))


@pytest.mark.parametrize(
    "error", [AttributeError("module 'numpy' has no attribute 'float_'"), RuntimeError(), OSError()]
)
def test_an_event_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """At the second event: the first one is in the file."""
    from tensorboardX.proto import event_pb2

    said: list[str] = []
    heard: list[int] = []
    with Run.create(tmp_path / "run", config(), warn=said.append) as run:
        run.listeners.append(lambda step, scalars: heard.append(len(scalars)))
        run.log(stats(1))

        def fails(**event: Any) -> Any:
            raise error

        monkeypatch.setattr(event_pb2, "Event", fails)
        run.log(stats(2))
        run.log(stats(3))
    (line,) = said
    assert in_short(error) in line
    assert len(heard) == 3 and min(heard) > 5  # trackers hear all of it
    assert len(rows(tmp_path / "run")) == 3
    assert next((tmp_path / "run").glob("events*")).stat().st_size > 0


def test_the_message_of_a_broken_package_is_one_short_line() -> None:
    assert in_short(TypeError("one\ntwo")) == "TypeError: one two"
    assert in_short(RuntimeError()) == "RuntimeError"
    assert len(in_short(ValueError("x" * 5000))) < 250
    gone = ModuleNotFoundError("No module named 'h5py'", name="h5py")
    assert unusable("h5py", gone) == "is not installed"
    assert unusable("onnx", gone).startswith("cannot be imported (ModuleNotFoundError: No module")


# --- everything else ----------------------------------------------------------------------------


def test_everything_optional_is_broken(tmp_path: Path) -> None:
    """A run is trained, resumed, played, drawn in characters and reported."""
    env = broken(tmp_path / "path", dict.fromkeys(OPTIONAL, NUMPY))
    said = train(tmp_path, env).splitlines()
    assert len(said) == 1 and "TensorBoard" in said[0], said
    run = tmp_path / "run"
    for command in (
        ["train", "--resume", run, "--episodes", 4],
        ["eval", run, "--episodes", 1],
        ["plot", run],
        ["info"],
        ["export", run, tmp_path / "weights.safetensors"],
    ):
        done = fastpong(*command, cwd=tmp_path, env=env)
        assert done.returncode == 0, (command, done)
        assert "Traceback" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("words", "package"),
    [
        (["plot", "{run}", "--output", "curve.png"], "Matplotlib"),
        (["video", "{run}", "--output", "film.mp4"], "PyAV"),
        (["play", "{run}", "--window"], "pygame"),
        (["board", "{run}"], "Starlette"),
        (["export", "{run}", "model.onnx"], "onnx"),
        (["train", "--backend", "numba"], "numba"),
        (["train", "--track", "wandb"], "wandb"),
        (["train", "--track", "mlflow"], "mlflow"),
    ],
)
def test_what_needs_a_broken_package_says_so_in_one_line(
    run: Path, broken_path: dict[str, str], tmp_path: Path, words: list[str], package: str
) -> None:
    arguments = [word.format(run=run) for word in words]
    done = fastpong(*arguments, cwd=tmp_path, env=broken_path)
    said = complaint(done)
    assert package in said and "AttributeError" in said, said
    assert not [path for path in tmp_path.iterdir() if path.name != "runs"]
    assert not list(tmp_path.glob("runs/*")), "work was begun before"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train two episodes."""
    home = tmp_path_factory.mktemp("whole")
    done = fastpong("train", "--run-dir", "run", *SMALL, "--episodes", 2, cwd=home)
    assert done.returncode == 0, done
    return home / "run"


@pytest.fixture(scope="module")
def broken_path(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return broken(tmp_path_factory.mktemp("path"), dict.fromkeys(OPTIONAL, NUMPY))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_numbas_cache_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    done = fastpong("info", cwd=tmp_path, env={"NUMBA_CACHE_DIR": str(tmp_path / "none")})
    assert done.returncode == 0, done

"""Full disks, limits of the shell, and directories that go away: what is lost is said and counted.

RLIMIT_FSIZE is the limit of ``ulimit -f``, a real error of the kernel that needs no root.
"""

from __future__ import annotations

import contextlib
import json
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import COMMAND, SMALL, complaint, fastpong, inside, training
from waiting import PATIENCE

from fastpong.storage import checkpoint

MORE = ["--episodes", 6, "--save-every", 1]


def limited(size: int) -> Callable[[], None]:
    """Return a preparation of a process that may write files of ``size`` bytes only."""

    def prepare() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return prepare


def newest(run: Path) -> int:
    return checkpoint.newest(run / "checkpoints")[0].episode


def test_a_run_whose_last_checkpoint_is_missing_fails(run: Path, tmp_path: Path) -> None:
    done = fastpong("train", "--resume", run, *MORE, cwd=tmp_path, preexec_fn=limited(250_000))
    assert done.returncode == 1
    message = complaint(done)
    assert "trained 6 episodes" in message
    assert f"the newest checkpoint is of episode 3, {run}/checkpoints/00000003.json" in message
    assert f"fastpong train --resume {run}" in message
    assert "File too large, see ulimit -f" in done.stderr
    assert newest(run) == 3
    done = inside("train", "--resume", run, *MORE, cwd=tmp_path)
    assert done.returncode == 0, done
    assert newest(run) == 6


def test_a_run_without_any_checkpoint_fails(tmp_path: Path) -> None:
    done = fastpong(
        "train", *SMALL, "--episodes", 1, "--run-dir", "new", cwd=tmp_path,
        preexec_fn=limited(250_000),
    )  # fmt: skip
    assert done.returncode == 1
    assert "and there is no checkpoint; make room and begin" in complaint(done)


def test_a_really_full_disk(trained: Path, small_disk: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, small_disk / "run"))
    with contextlib.suppress(OSError), (small_disk / "filling").open("wb") as file:
        while True:
            file.write(bytes(4096))
    done = inside("train", "--resume", run, *MORE, cwd=tmp_path)
    message = complaint(done)
    assert done.returncode == 1 and "the newest checkpoint is of episode 3" in message
    assert "No space left on device" in done.stderr
    (small_disk / "filling").unlink()
    assert newest(run) == 3
    assert inside("train", "--resume", run, *MORE, cwd=tmp_path).returncode == 0
    assert newest(run) == 6


@pytest.mark.parametrize("what", ["removed", "replaced"])
def test_a_directory_that_goes_away_ends_the_run(tmp_path: Path, what: str) -> None:
    arguments = ["--run-dir", "run", "--episodes", 1000, "--save-every", 1]
    with training(*arguments, cwd=tmp_path) as process:
        (tmp_path / "run").rename(tmp_path / "away")
        if what == "replaced":
            shutil.copytree(tmp_path / "away", tmp_path / "run")
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    (message,) = [line for line in errors.splitlines() if "Traceback" not in line]
    assert "error: run: was removed or replaced while it was trained" in message
    assert (tmp_path / "run").exists() == (what == "replaced"), list((tmp_path / "run").rglob("*"))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["export", "RUN", "w.safetensors"], "w.safetensors"),
        (["export", "RUN", "w.onnx"], "w.onnx"),
        (["plot", "RUN", "-o", "curves.png"], "curves.png"),
        (["plot", "RUN", "-o", "curves.svg"], "curves.svg"),
        (["plot", "RUN", "--csv", "curves.csv"], "curves.csv"),
        (["plot", "weights", "RUN", "-o", "weights.png"], "weights.png"),
        (["report", "RUN", "-o", "r.html", "--episodes", 0, "--seconds", 0], "r.html"),
        (["video", "RUN", "-o", "film.gif", "--seconds", 1], "film.gif"),
        (["video", "RUN", "-o", "film.webp", "--seconds", 1], "film.webp"),
        (["video", "RUN", "-o", "film.mp4", "--seconds", 1], "film.mp4"),
        (["import", "save.npz", "made"], "made"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_every_writer_names_its_file_and_leaves_nothing(
    trained: Path, tmp_path: Path, arguments: list[object], name: str
) -> None:
    np.savez(tmp_path / "save.npz", W1=np.zeros((2, 6400)), W2=np.zeros(2))
    words = [trained if word == "RUN" else word for word in arguments]
    done = fastpong(*words, cwd=tmp_path, preexec_fn=limited(60))
    message = complaint(done)
    assert done.returncode == 1
    assert f"{name}: " in message and "File too large, see ulimit -f" in message, message
    assert "Errno" not in message
    left = sorted(path.name for path in tmp_path.rglob("*"))
    assert [path for path in left if path != "save.npz"] in ([], ["made"], [".lock", "made"])


@pytest.mark.parametrize("arguments", [["eval", "--json"], ["info"], ["plot"]])
def test_a_full_output_is_said(trained: Path, tmp_path: Path, arguments: list[str]) -> None:
    words = [*arguments, str(trained), *(["--episodes", "1"] if "eval" in arguments else [])]
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [*COMMAND, *words], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True,
            timeout=PATIENCE,
        )  # fmt: skip
    message = complaint(done)
    assert done.returncode == 1 and message.endswith("standard output: No space left on device")


def test_what_says_json_is_whole_or_an_error(trained: Path, tmp_path: Path) -> None:
    done = inside("eval", trained, "--episodes", 1, "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["episodes"] == 1

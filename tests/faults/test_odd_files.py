"""Pipes, devices, sockets, directories and loops of links where a file should be."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import SMALL, complaint, fastpong, inside

from fastpong.storage.opening import open_descriptor, read_regular


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def listening(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path has at most 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


ODD = [pipe, device, listening, loop, Path.mkdir]


def put(path: Path, odd: Callable[[Path], None]) -> None:
    """Put an odd file in the place of another one."""
    path.unlink(missing_ok=True)
    odd(path)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_RDWR])
def test_only_regular_files_are_opened(
    tmp_path: Path, odd: Callable[[Path], None], flags: int
) -> None:
    path = tmp_path / "odd"
    odd(path)
    with pytest.raises(OSError, match=r"expected a regular file, got a|symbolic links") as caught:
        open_descriptor(path, flags)
    assert caught.value.filename == str(path)
    with pytest.raises(OSError, match=r"odd"):
        read_regular(path)


def test_a_larger_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="expected at most 1000 bytes, got 1099511627776"):
        read_regular(path, 1000)


CHECKPOINT = "checkpoints/00000003.json"
DATA = "checkpoints/00000003.safetensors"


@pytest.mark.parametrize(
    ("name", "odd", "arguments", "words"),
    [
        (CHECKPOINT, pipe, ["eval", "run", "--episodes", 1], None),
        (DATA, device, ["eval", "run", "--episodes", 1], None),
        (CHECKPOINT, pipe, ["eval", f"run/{CHECKPOINT}"], "got a named pipe"),
        (DATA, listening, ["train", "--resume", "run", "--episodes", 4], None),
        ("config.toml", pipe, ["train", "--resume", "run"], "expected a run, got none"),
        ("config.toml", loop, ["plot", "run", "--csv", "-"], None),
        ("metrics.csv", pipe, ["train", "--resume", "run"], "metrics.csv: expected a regular file"),
        ("metrics.csv", pipe, ["plot", "run"], "metrics.csv"),
        (
            ".lock",
            pipe,
            ["train", "--resume", "run"],
            ".lock: expected a regular file, got a named",
        ),
        (".lock", device, ["report", "run", "-o", "r.html", "--episodes", 0, "--seconds", 0], None),
        ("versions.json", pipe, ["train", "--resume", "run", "--episodes", 4], None),
        ("evaluations.csv", pipe, ["train", "--resume", "run"], "evaluations.csv: expected a reg"),
        ("best.safetensors", pipe, ["eval", "run/best.safetensors"], "got a named pipe"),
        ("settings.toml", pipe, ["train", *SMALL, "--config", "run/settings.toml"], "named pipe"),
        ("save.p", pipe, ["import", "run/save.p", "made"], "no ordinary file"),
        ("out.html", pipe, ["report", "run", "-o", "run/out.html"], "got a pipe, a socket or"),
        ("out.gif", device, ["video", "run", "-o", "run/out.gif"], "got a pipe, a socket or"),
        ("w.onnx", pipe, ["export", "run", "run/w.onnx"], "got a pipe, a socket or a device"),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", ""),
)
def test_no_command_waits_for_an_odd_file(
    run: Path, tmp_path: Path, name: str, odd: Callable[[Path], None], arguments: list[object],
    words: str | None,
) -> None:  # fmt: skip
    put(run / name, odd)
    done = fastpong(*arguments, cwd=tmp_path)
    if words is None:
        assert done.returncode == 0, done
        assert "Traceback" not in done.stderr
    else:
        assert words in complaint(done)


def test_a_link_in_the_place_of_the_lock_empties_nothing(run: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("precious")
    put(run / ".lock", lambda path: path.symlink_to(mine))
    done = inside("train", "--resume", run, "--episodes", 4, cwd=tmp_path)
    assert ".lock" in complaint(done)
    assert mine.read_text() == "precious"


def test_what_lies_in_the_way_of_a_temporary_file_is_replaced(run: Path, tmp_path: Path) -> None:
    pipe(tmp_path / "w.safetensors.tmp")
    pipe(run / "checkpoints" / "00000004.json.tmp")
    assert inside("export", run, "w.safetensors", cwd=tmp_path).returncode == 0
    done = inside("train", "--resume", run, "--episodes", 4, cwd=tmp_path)
    assert done.returncode == 0, done
    assert not list(run.rglob("*.tmp"))

"""``fastpong video``: files of games, side by side too, and what it refuses."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pytest
from commands import COMMAND, complaint, inside
from waiting import PATIENCE

pytest.importorskip("PIL.Image")


def test_a_gif_of_a_run(home: Path, trained: tuple[Path, str], tmp_path: Path) -> None:
    from PIL import Image

    film = tmp_path / "pong.gif"
    done = inside("video", trained[0], "-o", film, "--seconds", 3, cwd=home)
    assert done.returncode == 0, done
    assert re.search(r"wrote .*pong.gif: 3.0 s, 90 frames of 320x264, [\d,]+ kB", done.stdout)
    with Image.open(film) as image:
        assert image.size == (320, 264)


def test_checkpoints_and_runs_stand_side_by_side(
    home: Path, trained: tuple[Path, str], tmp_path: Path
) -> None:
    from PIL import Image

    run, film = trained[0], tmp_path / "pong.webp"
    short = ("--seconds", 1, "--scale", 1, "-o", film)
    for arguments in (
        (run, "--checkpoint", 0, "--checkpoint", 2, "--checkpoint", 3),
        (run, run / "checkpoints" / "00000002.json", run),
    ):
        done = inside("video", *arguments, *short, cwd=home)
        assert done.returncode == 0, done
        with Image.open(film) as image:
            assert image.size == (3 * 160 + 2 * 2, 144)


def test_a_whole_game_as_mp4_has_evals_length(
    home: Path, trained: tuple[Path, str], tmp_path: Path
) -> None:
    av = pytest.importorskip("av")
    done = inside("eval", trained[0], "--episodes", 1, "--seed", 3, cwd=home)
    frames = int(done.stdout.split(" steps, ")[1].split()[0])
    film = tmp_path / "pong.mp4"
    asked = ("--seed", 3, "--scale", 1, "--fps", 10, "--speed", 3)
    done = inside("video", trained[0], *asked, "-o", film, cwd=home)
    assert done.returncode == 0, done
    with av.open(str(film)) as file:
        (stream,) = file.streams.video
        assert stream.average_rate == 10
        count = sum(1 for _ in file.decode(stream))
    assert count == -(-(frames - 1) // 18) + 1


def test_ctrl_c_keeps_the_film_so_far(
    home: Path, trained: tuple[Path, str], tmp_path: Path
) -> None:
    film = tmp_path / "pong.gif"
    command = [*COMMAND, "video", str(trained[0]), "-o", str(film), "--episodes", "100000"]
    with subprocess.Popen(
        [*command, "--seconds", "1000000"], stdout=subprocess.PIPE, text=True, cwd=home
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(str(film))
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "stopped early by SIGINT" in rest
    assert film.exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("-o", "pong.avi"), "expected a file .mp4, .gif or .webp, got '.avi'"),
        (("-o", "pong.gif", "--fps", "60"), "expected up to 30 for a .gif file"),
        (("-o", "pong.gif", "--fps", "25"), "'25' is not one of"),
        (("-o", "pong.gif", "--caption", "a", "--caption", "b"), "for each of 1 pictures, got 2"),
        (("-o", "pong.gif", "--checkpoint", "7"), "0, 2, 3, got 7"),
        (
            ("-o", "missing/pong.gif", "--seconds", "0.1"),
            "expected a directory missing, found none",
        ),
        ((), "Missing option '-o'"),
    ],
)
def test_what_is_refused(
    arguments: tuple[str, ...], expected: str, home: Path, trained: tuple[Path, str]
) -> None:
    assert expected in complaint(inside("video", trained[0], *arguments, cwd=home))


def test_several_runs_have_no_checkpoints(home: Path, trained: tuple[Path, str]) -> None:
    run = trained[0]
    done = inside("video", run, run, "--checkpoint", 3, "-o", "pong.gif", cwd=home)
    assert "--checkpoint: expected one run" in complaint(done)

"""Training by the command to its end: files, displays, goals."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

from commands import (
    COMMAND,
    SMALL,
    fastpong,
    read_terminal,
    rows,
)  # fmt: skip
from waiting import PATIENCE

from fastpong.settings.config import Config
from fastpong.storage import checkpoint


def test_a_run_leaves_its_files(trained: tuple[Path, str]) -> None:
    run, _ = trained
    assert re.fullmatch(r"PongDeterministic-v4__karpathy__0__\d{8}T\d{6}Z", run.name)
    names = {path.name.split(".tfevents")[0] for path in run.iterdir()} - {".lock"}
    assert names == {"config.toml", "versions.json", "metrics.csv", "events.out", "checkpoints"}
    saved = sorted(path.stem for path in (run / "checkpoints").glob("*.json"))
    assert saved == ["00000000", "00000002", "00000003"]
    assert [row["episode"] for row in rows(run)] == ["1", "2", "3"]
    assert [row["update"] for row in rows(run)] == ["0", "1", "1"]
    assert Config.build(Config.load(run / "config.toml")).settings.hidden == 4


def test_without_a_terminal_there_is_a_line_per_episode(trained: tuple[Path, str]) -> None:
    run, printed = trained
    note, *lines = printed.splitlines()
    assert "recommended for PongDeterministic-v4: fastpong train --recipe pong" in note
    assert str(run.name) in lines[0]
    for line, row in zip(lines[1:4], rows(run), strict=True):
        assert line.startswith(f"episode {row['episode']}  return {float(row['return']):+.0f}  ")
        assert f"length {row['length']}  " in line
        assert re.search(r"[\d,]+ frames/s  [\d,]+ steps/s$", line)
    assert "checkpoints/00000003.json" in lines[4]
    assert "\x1b" not in printed


def test_command_line_comes_before_config_file_before_defaults(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(
        'gamma = 0.5\nrmsprop_decay = 0.9\nenv = "ALE/Pong-v5"\nhidden = 3\n'
    )
    settings = ["--config", "my.toml", "--env", "Pong-v4", "--gamma", "0.75", "--workers", "1"]
    done = fastpong("train", *settings, "--episodes", 1, "--run-dir", "a/b", cwd=tmp_path)
    assert done.returncode == 0, done
    config = Config.build(Config.load(tmp_path / "a" / "b" / "config.toml"))
    assert (config.settings.gamma, config.env) == (0.75, "Pong-v4")
    assert (config.settings.rmsprop_decay, config.settings.hidden) == (0.9, 3)
    assert (config.settings.batch_size, config.episodes) == (10, 1)


def test_a_live_display_on_a_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "train", *SMALL, "--episodes", "3"],
        cwd=tmp_path,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"},
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    screen = b"".join(iter(lambda: read_terminal(ours), b"")).decode()
    assert process.wait(PATIENCE) == 0
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)
    for words in ("episodic return", "mean of last", "episode length", "emulated frames/s"):
        assert words in text
    for words in ("steps/s", "workers", "0 / 3 episodes", "3 / 3 episodes", "elapsed", "left 0:00"):
        assert words in text
    assert screen.rindex("\x1b[?25h") > screen.rindex("\x1b[?25l"), "the cursor stays hidden"
    assert "trained 3 episodes" in text
    assert "episode 1  reward" not in text


def test_no_progress_gives_plain_lines_on_a_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [*COMMAND, "train", *SMALL, "--episodes", "1", "--no-progress"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=theirs, stderr=theirs)
    os.close(theirs)
    screen = b"".join(iter(lambda: read_terminal(ours), b"")).decode()
    assert process.wait(PATIENCE) == 0
    os.close(ours)
    assert "episode 1  return" in screen
    assert "\x1b" not in screen


def test_output_that_is_closed_or_full_does_not_end_a_run(tmp_path: Path) -> None:
    for number, target in enumerate(("pipe", "/dev/full")):
        if target == "pipe":
            reader, writer = os.pipe()
            os.close(reader)
        else:
            writer = os.open(target, os.O_WRONLY)
        run = tmp_path / str(number)
        process = subprocess.Popen(
            [*COMMAND, "train", *SMALL, "--episodes", "2", "--run-dir", str(run)],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(writer)
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
        assert "Traceback" not in errors
        assert "training goes on" in errors
        assert "checkpoints/00000002.json" in errors, "what matters is said where it can be"
        assert checkpoint.newest(run / "checkpoints")[0].episode == 2

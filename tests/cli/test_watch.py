"""``fastpong train --watch``: a game beside the display, and a training that is as without."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from commands import SMALL, fastpong, played
from terminals import Screen, echoes_controls, session

WIDE = (120, 40)


def both(screen: Screen) -> bool:
    return "UP " in screen.text and "episodic return" in screen.text


def test_a_game_beside_the_panel_and_the_same_run(tmp_path: Path) -> None:
    settings = (*SMALL, "--episodes", 4, "--seed", 3)
    done = fastpong("train", *settings, "--run-dir", "plain", cwd=tmp_path)
    assert done.returncode == 0, done
    watched = (*settings, "--run-dir", "watched", "--watch")
    with session("train", *watched, cwd=tmp_path, size=WIDE) as shown:
        shown.until(both)
        assert "?1049" in shown.screen.modes
        assert "computer 0 : 0 karpathy" in shown.screen.text
        assert shown.end() == 0
        assert shown.restored
    after = shown.raw.rsplit("?1049l", 1)[1]
    assert "episodic return" in after
    assert "trained 4 episodes" in after
    assert played(tmp_path / "plain") == played(tmp_path / "watched")


def test_ctrl_c_saves_and_gives_the_terminal_back(tmp_path: Path) -> None:
    with session("train", *SMALL, "--watch", "--run-dir", "run", cwd=tmp_path, size=WIDE) as shown:
        shown.until(both)
        shown.press("\x03")
        assert shown.end() == 130
        assert shown.restored and echoes_controls(shown.terminal)
    assert "stopped by SIGINT" in shown.raw and "^C" not in shown.raw
    assert list((tmp_path / "run" / "checkpoints").iterdir())


def test_sizes_change_while_it_trains(tmp_path: Path) -> None:
    with session("train", *SMALL, "--watch", "--run-dir", "run", cwd=tmp_path, size=WIDE) as shown:
        shown.until(both)
        shown.resize(60, 20)
        shown.until(lambda screen: "episodic return" in screen.text and "UP " not in screen.text)
        assert max(column for _, column in shown.screen.cells) < 60
        shown.until(lambda screen: "no picture below 69x16 characters" in screen.text)
        shown.resize(80, 24)
        shown.until(both)
        assert "no picture" not in shown.screen.text
        shown.press("\x03")
        assert shown.end() == 130


def test_a_terminal_that_hangs_up_ends_as_ever(tmp_path: Path) -> None:
    with session("train", *SMALL, "--watch", "--run-dir", "run", cwd=tmp_path, size=WIDE) as shown:
        shown.until(both)
        os.kill(shown.pid, signal.SIGHUP)
        assert shown.end() == 128 + signal.SIGHUP
        assert shown.restored


def test_messages_wait_below_the_panel_and_arrive(tmp_path: Path) -> None:
    options = ("--watch", "--run-dir", "run", "--save-every", 2)
    with session("train", *SMALL, *options, cwd=tmp_path, size=WIDE) as shown:
        shown.until(both)
        checkpoints = tmp_path / "run" / "checkpoints"
        checkpoints.rename(tmp_path / "away")
        checkpoints.touch()  # no directory
        shown.until(lambda screen: "cannot be saved" in screen.text)
        checkpoints.unlink()
        shown.press("\x03")
        assert shown.end() == 130
    after = shown.raw.rsplit("?1049l", 1)[1]
    assert "cannot be saved" in after


def test_without_a_terminal_it_trains_and_says_that_there_is_no_picture(tmp_path: Path) -> None:
    done = fastpong("train", *SMALL, "--episodes", 1, "--watch", cwd=tmp_path)
    assert done.returncode == 0, done
    assert "--watch: no picture: expected a terminal" in done.stdout
    assert "trained 1 episode, " in done.stdout

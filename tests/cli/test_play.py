"""``fastpong play`` on a terminal: pictures, keys, sizes, and the terminal as it was."""

from __future__ import annotations

import os
import re
import signal
import termios
import time
from pathlib import Path

import pytest
from commands import complaint, fastpong, inside
from terminals import Screen, session


def begun(screen: Screen) -> bool:
    """Return whether a whole picture is there."""
    return "UP " in screen.text and "?2026" not in screen.modes


def test_a_game_in_eighty_columns(home: Path, trained: tuple[Path, str]) -> None:
    run, _ = trained
    with session("play", run, "--seed", 4, cwd=home) as shown:
        before = termios.tcgetattr(shown.terminal)
        shown.until(begun)
        assert shown.screen.modes >= {"?1049"}
        assert not shown.screen.modes & {"?25", "?7"}
        assert "computer 0 : 0 karpathy" in shown.screen.text
        assert re.search(r"UP .* +\d+%", shown.screen.text)
        assert "3 episodes" in shown.screen.text
        assert "60 frames/s" in shown.screen.text
        colours = {cell[2] for cell in shown.screen.cells.values()}
        assert {code.split(";")[1] for code in colours if code} == {"5"}  # of 256
        shown.until(lambda screen: "0:01" in screen.text)
        shown.press("q")
        assert shown.end() == 0
        assert shown.restored
        assert termios.tcgetattr(shown.terminal) == before
    assert "plays PongDeterministic-v4" in shown.raw.rsplit("?1049l", 1)[1]


def test_the_games_are_those_of_eval(home: Path, trained: tuple[Path, str]) -> None:
    run, _ = trained
    done = inside("eval", run, "--episodes", 2, "--seed", 6, cwd=home)
    expected = [line for line in done.stdout.splitlines() if line.startswith("episode ")]
    options = ("--episodes", 2, "--seed", 6, "--speed", "max")
    with session("play", run, *options, cwd=home) as shown:
        assert shown.end() == 0
        assert shown.restored
    after = shown.raw.rsplit("?1049l", 1)[1]
    assert [line for line in after.splitlines() if line.startswith("episode ")] == expected


def test_keys_pause_change_the_speed_and_begin_the_next_game(
    home: Path, trained: tuple[Path, str]
) -> None:
    with session("enjoy", trained[0], cwd=home) as shown:
        shown.until(begun)
        shown.press("+")
        shown.until(lambda screen: "120 frames/s (x2)" in screen.text)
        shown.press("--")
        shown.until(lambda screen: "30 frames/s (x0.5)" in screen.text)
        shown.press(" ")
        shown.until(lambda screen: "paused" in screen.text)
        while shown.read(0.2) and shown.screen.touched:
            shown.screen.touched.clear()
        shown.press(" n")
        shown.until(lambda screen: "episode 2" in screen.text)
        shown.press("\x1b[A")  # an arrow is no escape
        shown.press("q")
        assert shown.end() == 0


def test_another_size_is_drawn_at_once(home: Path, trained: tuple[Path, str]) -> None:
    with session("play", trained[0], cwd=home, size=(120, 40)) as shown:
        shown.until(lambda screen: "the network sees" in screen.text)
        wide = {column for _, column in shown.screen.cells}
        assert max(wide) >= 100
        shown.resize(40, 24)
        shown.until(lambda screen: screen.cells != {} and max(c for _, c in screen.cells) < 40)
        shown.until(begun)
        assert "computer 0 : 0 karpathy" in shown.screen.text
        shown.resize(20, 5)
        shown.until(lambda screen: "needs 24x10" in screen.text)
        shown.resize(80, 24)
        shown.until(begun)
        shown.press("q")
        assert shown.end() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_give_the_terminal_back(number: int, home: Path, trained: tuple[Path, str]) -> None:
    with session("play", trained[0], cwd=home) as shown:
        before = termios.tcgetattr(shown.terminal)
        shown.until(begun)
        if number == signal.SIGINT:
            shown.press("\x03")
        else:
            os.kill(shown.pid, number)
        assert shown.end() == (0 if number == signal.SIGINT else 128 + number)
        assert shown.restored
        assert termios.tcgetattr(shown.terminal) == before


def test_ctrl_z_gives_the_terminal_back_and_fg_draws_all(
    home: Path, trained: tuple[Path, str]
) -> None:
    with session("play", trained[0], cwd=home) as shown:
        shown.until(begun)
        os.kill(shown.pid, signal.SIGTSTP)
        shown.until(lambda screen: "?25" in screen.modes)
        assert os.waitpid(shown.pid, os.WUNTRACED)[1] == 0x7F | signal.SIGSTOP << 8
        assert shown.restored
        shown.screen.cells.clear()
        os.kill(shown.pid, signal.SIGCONT)
        shown.until(begun)
        assert "?1049" in shown.screen.modes
        shown.press("q")
        assert shown.end() == 0


def test_without_colours(home: Path, trained: tuple[Path, str]) -> None:
    with session("play", trained[0], cwd=home, env={"NO_COLOR": "1"}) as shown:
        shown.until(begun)
        assert {cell[1:] for cell in shown.screen.cells.values()} == {("", "")}
        assert {"█", " "} <= {cell[0] for cell in shown.screen.cells.values()}
        shown.press("q")
        assert shown.end() == 0


def test_in_truecolor_with_the_games_own(home: Path, trained: tuple[Path, str]) -> None:
    with session("play", trained[0], cwd=home, env={"COLORTERM": "truecolor"}) as shown:
        shown.until(begun)
        shown.until(lambda screen: any("144;72;16" in cell[2] for cell in screen.cells.values()))
        shown.press("q")
        assert shown.end() == 0


def test_in_ascii(home: Path, trained: tuple[Path, str]) -> None:
    env = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    with session("play", trained[0], cwd=home, env=env) as shown:
        shown.until(begun)
        shown.press("q")
        assert shown.end() == 0
    assert shown.raw.isascii()


def test_frames_come_at_the_games_own_pace(home: Path, trained: tuple[Path, str]) -> None:
    """The clock on the screen is not ahead of that on the wall."""
    start = time.monotonic()
    with session("play", trained[0], cwd=home) as shown:
        shown.until(lambda screen: "0:04" in screen.text)
        assert time.monotonic() - start >= 4
        shown.press("q")
        assert shown.end() == 0


def test_the_newest_run_is_shown_without_a_name(home: Path, trained: tuple[Path, str]) -> None:
    with session("play", cwd=home) as shown:
        shown.until(begun)
        shown.press("q")
        assert shown.end() == 0
    assert trained[0].name in shown.raw


def test_pretrained_weights_are_shown_where_there_is_no_run(tmp_path: Path) -> None:
    for name in ((), ("pong-sticky",)):
        with session("play", *name, cwd=tmp_path) as shown:
            shown.until(begun)
            assert "computer 0 : 0 ppo" in shown.screen.text
            shown.press("q")
            assert shown.end() == 0
        assert f"{name[0] if name else 'pong'}.safetensors: ppo after" in shown.raw


def test_an_older_checkpoint(home: Path, trained: tuple[Path, str]) -> None:
    with session("play", trained[0], "--checkpoint", 2, cwd=home) as shown:
        shown.until(begun)
        assert "2 episodes" in shown.screen.text
        shown.press("q")
        assert shown.end() == 0


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_says_so(term: str, home: Path, trained: tuple[Path, str]) -> None:
    with session("play", trained[0], cwd=home, env={"TERM": term}) as shown:
        while shown.read():
            pass
        assert shown.end() == 1
    assert f"got TERM={term!r}" in shown.raw
    assert "fastpong video" in shown.raw
    assert "\x1b" not in shown.raw


def test_a_pipe_is_told_what_else_there_is(home: Path, trained: tuple[Path, str]) -> None:
    message = complaint(fastpong("play", trained[0], cwd=home))
    assert "expected a terminal to draw on, got a pipe or a file" in message
    assert "fastpong eval" in message


def test_what_cannot_be_shown(home: Path, trained: tuple[Path, str], tmp_path: Path) -> None:
    for arguments, expected in (
        (("missing",), "missing: does not exist"),
        ((trained[0], "--checkpoint", 9), "0, 2, 3, got 9"),
        (
            (trained[0], "--speed", "fast"),
            "expected a factor from 0.01 to 1000, or max, got 'fast'",
        ),
        ((trained[0], "--episodes", 0), "0 is not in the range"),
    ):
        with session("play", *arguments, cwd=home) as shown:
            assert shown.end() in (1, 2)
        assert expected in " ".join(shown.raw.split())
        assert "\x1b" not in shown.raw


def paddle_rows(screen: Screen, colour: str) -> set[int]:
    """Return the terminal's rows that a colour of truecolor is in."""
    return {
        row for (row, column), cell in screen.cells.items()
        if row > 3 and column < 53 and (colour in cell[1] or colour in cell[2])
    }  # fmt: skip


@pytest.mark.parametrize(("side", "colour"), [("left", "212;128;72"), ("right", "92;184;92")])
def test_a_persons_paddle_follows_the_mouse_and_the_arrows(
    side: str, colour: str, home: Path, trained: tuple[Path, str]
) -> None:
    run = [trained[0]] if side == "left" else []
    env = {"COLORTERM": "truecolor"}
    with session("play", *run, "--human", side, cwd=home, env=env) as shown:
        shown.until(lambda screen: "0:01" in screen.text)
        assert {"?1003", "?1006"} <= shown.screen.modes
        for row in (8, 16):
            shown.press(f"\x1b[<35;10;{row + 1}M")
            shown.until(lambda screen, row=row: row in paddle_rows(screen, colour))  # type: ignore[misc]
        for _ in range(20):
            shown.press("\x1b[A")
            shown.read(0.05)
        shown.until(lambda screen: max(paddle_rows(screen, colour), default=0) < 14)
        shown.press("q")
        assert shown.end() == 0
        assert shown.restored


def test_a_person_at_the_right_needs_no_run(home: Path, trained: tuple[Path, str]) -> None:
    with session("play", trained[0], "--human", "right", cwd=home) as shown:
        assert shown.end() == 2
    assert "--human right: expected no RUN" in " ".join(shown.raw.split())


def test_a_window_shows_the_same_games(home: Path, trained: tuple[Path, str]) -> None:
    pytest.importorskip("pygame")
    asked = ("--episodes", 1, "--seed", 6)
    expected = inside("eval", trained[0], *asked, cwd=home).stdout.splitlines()[1]
    done = fastpong(
        "play", trained[0], "--window", "--episodes", 1, "--seed", 6, "--speed", "max", cwd=home,
        env={"SDL_VIDEODRIVER": "dummy"},
    )  # fmt: skip
    assert done.returncode == 0, done
    assert done.stdout.splitlines()[-1] == expected

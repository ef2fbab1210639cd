"""The panel of a training: what it says in which width."""

from __future__ import annotations

import io
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from commands import SMALL
from rich.console import Console
from run_cases import stats as episode
from terminals import echoes_controls, session

from fastpong.cli import display
from fastpong.cli.figures import Rates, RecentMean, sparkline
from fastpong.cli.panel import Heading, Progress, make_panel

HEADING = Heading(
    "ALE/Pong-v5", "dqn then ppo", "cython", "float32", 2, 1000, "runs/a", None, 40
)  # fmt: skip
RATES = Rates(36_071.0, 9_017.0, 2.0)


def progress(heading: Heading = HEADING, episodes: int = 60, first: int = 1) -> Progress:
    """A training whose episodes have the returns -21, -20, ..."""
    found = Progress(heading, RecentMean(heading.until, heading.until_episodes))
    for number in range(first, first + episodes):
        found.update(
            replace(
                episode(number), score=number - 22.0, update=7 * number, total_steps=1000 * number
            ),
            RATES,
            restarts=3,
        )
    found.elapsed = 83.0
    return found


def drawn(progress: Progress, width: int, encoding: str = "utf-8") -> list[str]:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding)
    Console(file=file, width=width, force_terminal=True, color_system=None).print(
        make_panel(progress)
    )
    file.flush()
    lines = raw.getvalue().decode(encoding).splitlines()
    assert all(len(line) <= width for line in lines)
    return [line.strip("│| ") for line in lines]


@pytest.mark.parametrize("width", [120, 80, 76, 60, 40, 34])
def test_every_number_is_there_in_any_width(width: int) -> None:
    shown = progress()
    shown.exploration = 0.314
    text = "\n".join(drawn(shown, width))
    for number in ("60 / 1,000 episodes", "+38", "+18.50", "60,000", "0.314", "420", "36,071",
                   "9,017", "0:01:23", "left 0:07:50"):  # fmt: skip
        assert number in text, text
    for label in ("mean of last 40", "episodic return", "step", "updates", "speed", "workers"):
        assert label in text, text


def test_the_mean_is_of_the_last_episodes() -> None:
    shown = progress()
    lines = [line for line in drawn(shown, 80) if line.startswith("mean of last 40")]
    assert len(lines) == 1 and "+18.50" in lines[0]  # of -1 ... +38, where 0.99 old lags behind
    assert any(line.startswith("mean of last 3 ") for line in drawn(progress(episodes=3), 80))


def test_the_curve_has_a_scale() -> None:
    means = [float(n) for n in range(-21, 11)]
    whole = sparkline(means, 44).split(" ")
    assert (whole[0], len(whole[1]), whole[2]) == ("-21.0", 32, "+10.0")
    low, line, high = sparkline(means, 20).split(" ")
    assert (line[0], line[-1], len(line), high) == ("▁", "█", 8, "+10.0")
    assert float(low) == means[3]  # the lowest of those drawn
    assert sparkline(means, 20, ascii_only=True) == f"{low} to +10.0"
    assert sparkline([1.0]) == "" and sparkline(means, 8) == ""
    wide = next(line for line in drawn(progress(), 120) if line.startswith("mean"))
    assert wide.endswith("+18.5") and "█" in wide
    after = drawn(progress(), 40)
    curve = after[1 + next(n for n, line in enumerate(after) if line.startswith("mean"))]
    assert re.fullmatch(r"-2\d\.\d ▁.*█ \+18\.5", curve)


@pytest.mark.parametrize("width", [120, 72, 40])
def test_a_full_bar_hides_no_figure(width: int) -> None:
    lines = drawn(progress(replace(HEADING, until=18.5)), width)
    text = "\n".join(lines)
    for words in ("60 episodes, limit 1,000", "elapsed 0:01:23", "of +18.5"):
        assert words in text, text
    assert "━━━" in text and not any("━" in line and "episodes" in line for line in lines[2:])


def test_a_goal_has_no_total_and_no_time_left() -> None:
    heading = replace(HEADING, until=18.5)
    text = "\n".join(drawn(progress(heading), 80))
    assert "60 episodes, limit 1,000" in text and "of +18.5" in text
    assert "left" not in text and " / " not in text
    assert progress(heading).share == 1.0
    assert progress(heading, 20).share == pytest.approx((-11.5 + 21) / (18.5 + 21))
    assert progress(heading, 1, first=60).mean.share == 1 / 40  # one lucky episode is not forty
    steps = replace(HEADING, total_timesteps=240_000)
    assert progress(steps).share == 0.25 and progress(steps).done == "60,000 / 240,000 steps"


def test_a_resumed_run_begins_where_it_was() -> None:
    shown = Progress(HEADING, RecentMean(None, 40))
    recent = [5.0] * 60
    shown.begin({"episode": 500, "total_steps": 1_234_567, "update": 50, "recent": recent})
    text = "\n".join(drawn(shown, 80))
    assert "500 / 1,000 episodes" in text and "1,234,567" in text and "+5.00" in text


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(39_000, "1 of 3  dqn to step 40,000"), (40_000, "2 of 3  dqn, frame skip 2 to step 90,000"),
     (90_000, "3 of 3  ppo, frame skip 1, the last")],
)  # fmt: skip
def test_the_stage_is_that_of_the_steps(steps: int, expected: str) -> None:
    stages = ((0, "dqn"), (40_000, "dqn, frame skip 2"), (90_000, "ppo, frame skip 1"))
    shown = progress(replace(HEADING, stages=stages))
    shown.steps = steps
    line = next(line for line in drawn(shown, 80) if line.startswith("stage"))
    assert " ".join(expected.split()) in " ".join(line.split())
    assert "stage" not in "\n".join(drawn(progress(), 80))  # one stage is none


def test_exploration_is_the_newest_that_was_told() -> None:
    shown = progress()
    assert shown.exploration is None
    told = replace(episode(61), diagnostics={"exploration_rate": 0.5})
    shown.update(told, RATES, 0)
    shown.update(replace(episode(62), diagnostics={}), RATES, 0)
    assert shown.exploration == 0.5
    shown.update(replace(episode(63), diagnostics={"policy_loss": 0.1}), RATES, 0)
    assert shown.exploration is None  # of a later stage, of another agent


def test_in_ascii() -> None:
    text = "\n".join(drawn(progress(), 80, "ascii"))
    assert "-21.0 to +18.5" in text


def test_a_dqn_on_a_terminal_of_forty_columns(tmp_path: Path) -> None:
    settings = (
        "--agent", "dqn", "--env", "PongDeterministic-v4", "--hidden", 4, "--n-envs", 2,
        "--n-steps", 16, "--buffer-size", 1000, "--learning-starts", 64, "--workers", 1,
        "--episodes", 2, "--exploration-steps", 1000, "--run-dir", "run",
    )  # fmt: skip
    with session("train", *settings, cwd=tmp_path, size=(40, 40), drawn=False) as shown:
        assert shown.end() == 0
    last = shown.raw.rsplit("╭", 1)[-1]
    for words in ("2 / 2 episodes", "exploration", "0.010", "mean of last 2", "-2", "step"):
        assert words in last, last


def test_a_resumed_run_never_shows_that_nothing_was_done(run_copy: Path) -> None:
    more = ("--resume", run_copy, "--episodes", 4)
    with session("train", *more, cwd=run_copy, size=(80, 40), drawn=False) as shown:
        assert shown.end() == 0
    counts = re.findall(r"\d+ / 4 episodes", shown.raw)
    assert (counts[0], counts[-1]) == ("3 / 4 episodes", "4 / 4 episodes")


@pytest.mark.parametrize("presses", [1, 20])
def test_ctrl_c_is_not_shown_in_the_panel(tmp_path: Path, presses: int) -> None:
    """It would move the cursor, and the last panel would stand a line too low.

    Many of them end the command at once, by another way.
    """
    with session("train", *SMALL, cwd=tmp_path, size=(120, 40), drawn=False) as shown:
        assert echoes_controls(shown.terminal)
        shown.until(lambda screen: "episodic return" in shown.raw)
        assert not echoes_controls(shown.terminal)
        for _ in range(presses):
            shown.press("\x03")
        assert shown.end() == 130
        assert echoes_controls(shown.terminal)
    assert "^C" not in shown.raw


def test_ctrl_c_is_not_shown_in_a_sweep(tmp_path: Path) -> None:
    words = ("train", *SMALL, "--seeds", 1, "--run-dir", "it")
    with session(*words, cwd=tmp_path, size=(120, 40), drawn=False) as shown:
        shown.until(lambda screen: "running" in shown.raw)
        assert not echoes_controls(shown.terminal)
        shown.press("\x03")
        assert shown.end() == 130
        assert echoes_controls(shown.terminal)
    assert "^C" not in shown.raw


def test_a_name_that_the_terminal_cannot_show_is_spelled_out(tmp_path: Path) -> None:
    words = ("train", *SMALL, "--episodes", 1, "--run-dir", "l\u00e4ufe")
    env = {"PYTHONIOENCODING": "ascii"}
    with session(*words, cwd=tmp_path, size=(100, 40), env=env, drawn=False) as shown:
        assert shown.end() == 0
        assert shown.restored and echoes_controls(shown.terminal)
    assert "l\\xe4ufe" in shown.raw
    assert (tmp_path / "l\u00e4ufe" / "metrics.csv").exists()


def test_a_stream_that_cannot_be_written_to_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it still holds fails again with every line."""

    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            raise UnicodeEncodeError("ascii", "\u00e4", 0, 1, "not in range")

    monkeypatch.setattr(display, "_gone", set())
    monkeypatch.setattr(display, "_silence", lambda error: display._gone.add(error))
    monkeypatch.setattr(sys, "stderr", Stuck())
    assert not display.say("a full disk \u00e4", error=True)
    assert display._gone == {True}

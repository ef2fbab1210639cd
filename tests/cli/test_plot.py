"""The commands plot and plot weights, as people type them."""

from __future__ import annotations

import csv
import io
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import fastpong
from curve_cases import write_run

from fastpong.cli import errors as cli
from fastpong.cli.plot import OTHER_AXES
from fastpong.cli.plot_weights import default_output
from fastpong.viewing import curves, groups

PNG = b"\x89PNG\r\n\x1a\n"
SEEDS = {"agent": "ppo", "recipe": "pong", "env": "Pong-v0"}


@pytest.fixture
def plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    """Run a plot command; return its status, output and errors."""
    monkeypatch.chdir(tmp_path)
    for name in ("COLUMNS", "LINES", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object) -> tuple[int, str, str]:
        status = cli.run(["plot", *map(str, arguments)])
        printed, errors = capfd.readouterr()
        assert "Traceback" not in errors
        return status, printed, errors

    return run


def test_a_picture(plot: Any, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", range(-21, 10))
    assert plot(run, "-o", "curve.png", "--x", "time") == (0, "wrote curve.png\n", "")
    assert (tmp_path / "curve.png").read_bytes().startswith(PNG)


def test_without_a_file_it_is_drawn_in_characters(plot: Any, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", range(-21, 10))
    status, printed, errors = plot(run, "--window", 3)
    assert (status, errors) == (0, "")
    assert printed.splitlines()[:2] == ["run", "points per episode: mean of the last 3"]
    assert "steps of the agent" in printed and "+8.00 run" in printed
    assert "\x1b" not in printed
    assert max(map(len, printed.splitlines())) <= 80
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("columns", [40, 120])
@pytest.mark.parametrize("term", ["dumb", "xterm-256color"])
def test_widths_and_terminals(
    plot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int, term: str
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", term)
    status, printed, _ = plot(write_run(tmp_path / "run", range(-21, 10)))
    widths = [len(line) for line in printed.splitlines()]
    assert status == 0 and columns - 1 <= max(widths) <= columns


def test_a_narrow_terminal_is_told(
    plot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    status, printed, errors = plot(write_run(tmp_path / "run", [1]))
    assert (status, printed) == (1, "")
    assert "at least 40 columns, got 30" in errors


def test_numbers_are_those_that_were_drawn(plot: Any, tmp_path: Path) -> None:
    for seed in (1, 2):
        write_run(tmp_path / "runs" / f"s{seed}", [-21, seed, 10], seed=seed, **SEEDS)
    words = ("runs", "--x", "core-minutes", "--window", 2)
    assert plot(*words, "--csv", "numbers.csv") == (0, "wrote numbers.csv\n", "")
    text = (tmp_path / "numbers.csv").read_text()
    assert plot(*words, "--csv", "-") == (0, text, "")
    header, *rows = csv.reader(io.StringIO(text))
    assert header == ["group", "run", "core_minutes", "return", "mean", "low", "high"]
    assert rows[1] == ["pong", "s1", "0.1", "1", "-10", "", ""]
    read = curves.read_curves([tmp_path / "runs"], "core-minutes", 2)[0]
    (group,) = groups.make_groups(read)
    assert group.band is not None
    found = np.array([[float(row[n]) for n in (2, 4, 5, 6)] for row in rows if not row[1]])
    expected = [group.band.x, group.band.mean, group.band.low, group.band.high]
    np.testing.assert_array_equal(found.T, expected)
    assert len(rows) == 6 + len(group.band.x)


def test_a_picture_and_numbers_at_once(plot: Any, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [1, 2])
    status, printed, errors = plot(run, "-o", "a.svg", "--csv", "-")
    assert (status, errors) == (0, "wrote a.svg\n")
    assert printed.startswith("group,run,steps,return")
    status, printed, _ = plot(run, "-o", "b.svg", "--csv", "b.csv", "--terminal")
    assert status == 0
    assert printed.startswith("wrote b.csv\nwrote b.svg\nrun\n")


def test_what_a_file_says_does_not_steer_the_terminal(plot: Any, tmp_path: Path) -> None:
    for seed in (1, 2):
        run = write_run(tmp_path / f"runs/{seed}", [0, 1], agent="ppo", seed=seed)
        with (run / "config.toml").open("a") as file:
            file.write('recipe = "\\u001b]0;title\\u0007"\n')
    status, printed, _ = plot("runs", "--title", "\x1b[2J")
    assert status == 0
    assert printed.startswith(r"\x1b[2J")
    assert r"\x1b]0;title\x07, 2 seeds" in printed
    assert "\x1b" not in printed
    status, _, errors = plot("runs", "--x", "time", tmp_path / "no\x1b[2J")
    assert status == 0
    assert r"no\x1b[2J: expected" in errors
    assert "\x1b" not in errors


def test_steps_below_one_are_refused(plot: Any, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [0, 1, 2])
    text = (run / "metrics.csv").read_text()
    for step in (100, 200, 300):
        text = text.replace(f",{step},", f",{step - 300},")
    (run / "metrics.csv").write_text(text)
    status, _, errors = plot("run")
    assert status == 1
    assert "has no total_steps above 0, which --x steps needs" in errors


def test_numbers_of_a_name_that_is_not_utf_8(plot: Any, tmp_path: Path) -> None:
    write_run(tmp_path / "a\udcff", [0, 1])
    assert plot("a\udcff", "--csv", "numbers.csv")[0] == 0
    assert r"a\udcff" in (tmp_path / "numbers.csv").read_text(encoding="utf-8")


def test_seeds_and_groups(plot: Any, tmp_path: Path) -> None:
    for name, seed, hidden in (("a", 1, 8), ("b", 2, 8), ("c", 1, 16)):
        returns = [7 * seed, -10, -15]
        write_run(tmp_path / "r" / name, returns, seed=seed, hidden=hidden, **SEEDS)
    assert re.findall(r"^[ab] +\S+ (.*)$", plot("r")[1], re.M) == ["pong, 2 seeds", "c"]
    printed = plot("r", "--group-by", "env", "--band", "range")[1]
    assert printed.startswith("Pong-v0, 3 runs\n")
    assert "shaded: lowest to highest run\n" in printed and "░" in printed
    assert plot("r", "--group-by", "run", "--title", "All")[1].startswith("All\n")


def test_without_a_run_the_newest_is_drawn(plot: Any, tmp_path: Path) -> None:
    status, _, errors = plot()
    assert status == 2 and "RUN: expected a run, and there is none under runs/" in errors
    for age, name in enumerate(("new", "old")):
        path = write_run(tmp_path / "runs" / name, [1]) / "metrics.csv"
        os.utime(path, (1e9 - age, 1e9 - age))
    assert plot()[1].startswith("new\n")


def test_damaged_and_empty_runs_are_one_message(plot: Any, tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "good", [1, 2])
    write_run(tmp_path / "runs" / "none", [])
    torn = write_run(tmp_path / "runs" / "torn", [1, 2, 3]) / "metrics.csv"
    torn.write_text(torn.read_text().replace("2,2.0", "2,?"))
    for n in range(3):
        write_run(tmp_path / "runs" / f"x{n}", [])
    status, printed, errors = plot("runs", "nowhere")
    assert status == 0
    assert errors.count("\n") == 1
    assert errors.startswith("fastpong: runs/none/metrics.csv: has no episodes yet, nothing")
    assert "1 damaged line, the first is line 3" in errors
    assert errors.endswith("; and 3 more; all else is drawn\n")
    assert "good" in printed and "torn" in printed
    status, printed, errors = plot("runs/none")
    assert (status, printed) == (1, "")
    assert errors.startswith("fastpong: error: runs/none/metrics.csv: has no episodes yet")


def test_a_run_that_lacks_the_axis_is_left_out_in_words(plot: Any, tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "new", [1, 2])
    path = write_run(tmp_path / "runs" / "old", [1, 2]) / "metrics.csv"
    lines = [line.rpartition(",")[0] for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")
    status, printed, errors = plot("runs", "--x", "core-minutes")
    assert status == 0 and printed.startswith("new\n")
    assert "old/metrics.csv: has no cpu_seconds, which --x core-minutes needs" in errors


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (["--x", "wall"], "'wall' is called time here", 2),
        (["--x", "timesteps"], "'timesteps' is called steps here", 2),
        (["--x", "y"], "expected one of steps, frames, episodes, time, core-minutes, got 'y'", 2),
        (["--window", "0"], "--window", 2),
        (["--group-by", "seed"], "--group-by", 2),
        (["--csv", "-", "--terminal"], "--terminal and --csv -: expected one of them", 2),
        (["--csv", "no-such/x.csv"], "no-such/x.csv: expected a directory no-such, found none", 1),
        (["--csv", "run"], "run: expected a file to write, got a directory", 1),
        (["--csv", "/dev/full"], "--csv: cannot write /dev/full: No space left on device", 1),
        (["-o", "a.gif"], "a.gif: expected a name that ends in .png, .svg, .pdf", 1),
        (["-o", "no-such/a.png"], "no-such/a.png: expected a directory no-such, found none", 1),
    ],
)
def test_a_bad_command_is_refused(
    plot: Any, tmp_path: Path, arguments: list[str], message: str, status: int
) -> None:
    found = plot(write_run(tmp_path / "run", [1]), *arguments)
    assert found[:2] == (status, "")
    assert message in found[2]
    assert found[2].startswith("fastpong: error: ") and found[2].count("\n") == 1


def test_other_names_lead_to_axes() -> None:
    assert {*OTHER_AXES.values()} == {*curves.AXES}
    assert not {*OTHER_AXES} & {*curves.AXES}


def test_without_matplotlib_there_are_characters_and_the_way_to_it(
    plot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    run = write_run(tmp_path / "run", [1, 2])
    status, printed, errors = plot(run, "-o", "curve.png")
    assert status == 1
    assert printed.startswith("run\n")
    assert "curve.png: needs Matplotlib" in errors and 'pip install "matplotlib' in errors
    assert plot(run)[0] == 0


def test_only_a_picture_imports_matplotlib(tmp_path: Path) -> None:
    write_run(tmp_path / "run", [1, 2])
    environment = {"PYTHONPROFILEIMPORTTIME": "1"}
    for arguments in (["--help"], ["plot", "--help"], ["plot", "weights", "-h"], ["plot", "run"]):
        done = fastpong(*arguments, cwd=tmp_path, env=environment)
        assert done.returncode == 0
        loaded = set(re.findall(r"\| +(\w+)$", done.stderr, re.M))
        assert not loaded & {"matplotlib", "numba", "gymnasium"}, arguments


# --- weights ------------------------------------------------------------------------------------


def test_weights_of_pretrained_agents(plot: Any, tmp_path: Path) -> None:
    assert plot("weights", "pong", "--units", 2) == (0, "wrote weights-pong.png\n", "")
    assert (tmp_path / "weights-pong.png").read_bytes().startswith(PNG)
    assert plot("weights", "keras", "-o", "k.svg", "--title", "My filters")[0] == 0
    text = (tmp_path / "k.svg").read_text()
    assert "My filters" in text and "Filters of the convolution" in text


def test_weights_of_a_run_and_its_checkpoint(
    plot: Any, trained: tuple[Path, str], run_copy: Path
) -> None:
    assert plot("weights", run_copy)[0] == 0
    assert plot("weights", run_copy / "checkpoints" / "00000003.json")[0] == 0
    one, other = (run_copy / name for name in ("weights.png", "weights-00000003.png"))
    assert one.read_bytes() == other.read_bytes()
    plot("weights", run_copy, "-o", run_copy / "w.svg")
    text = (run_copy / "w.svg").read_text()
    assert "What the hidden units of karpathy see, after 3 episodes of PongDet" in text
    assert "all 4 hidden units" in text


@pytest.mark.parametrize(
    ("run", "picture"),
    [
        (".", "weights.png"),
        ("r/checkpoints/00000100.json", "r/weights-00000100.png"),
        ("out/pong.safetensors", "out/weights-pong.png"),
        ("pong", "weights-pong.png"),
    ],
)
def test_the_picture_stands_beside_what_it_shows(run: str, picture: str) -> None:
    assert default_output(Path(run)) == Path(picture)


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (["weights"], "Missing argument 'RUN'", 2),
        (["weights", "nowhere"], "nowhere: does not exist; name a run's directory", 1),
        (["weights", "pong", "-o", "a.jpg"], "a.jpg: expected a name that ends in", 1),
        (["weights", "pong", "--units", "0"], "--units", 2),
        (["-o", "a.png", "weights", "pong"], "the word comes first: fastpong plot weights RUN", 1),
        (["./weights"], "weights: expected a run's directory", 1),
    ],
)
def test_a_bad_weights_command_is_refused(
    plot: Any, arguments: list[str], message: str, status: int
) -> None:
    found = plot(*arguments)
    assert found[0] == status and message in found[2]
    assert "Traceback" not in found[2]


def test_a_directory_named_weights_is_a_run(plot: Any, tmp_path: Path) -> None:
    write_run(tmp_path / "weights", [1, 2])
    assert plot("./weights")[1].startswith("weights\n")
    assert plot("--window", 2, "weights")[0] == 0

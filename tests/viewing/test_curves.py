"""Learning curves as numbers: what is read, what is left out, and means by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from curve_cases import HEADER, write_run
from hypothesis import given
from hypothesis import strategies as st

from fastpong.viewing.curves import (
    AXES,
    PlotError,
    axis_scale,
    find_runs,
    make_curve,
    read_curves,
    read_record,
    windowed_mean,
)


def test_the_mean_of_the_last_three_by_hand() -> None:
    means = windowed_mean(np.array([1.0, 2.0, 6.0, 1.0, -7.0]), 3)
    np.testing.assert_array_equal(means, [1, 1.5, 3, 3, 0])


@given(st.lists(st.integers(-21, 21), min_size=1, max_size=90), st.integers(1, 100))
def test_the_windowed_mean_is_the_mean_of_slices(returns: list[int], window: int) -> None:
    slices = [returns[max(0, end - window) : end] for end in range(1, len(returns) + 1)]
    expected = [np.mean(part) for part in slices]
    found = windowed_mean(np.array(returns, np.float64), window)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_a_window_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="window: expected an integer >= 1, got 0"):
        windowed_mean(np.zeros(3), 0)


@pytest.mark.parametrize(
    ("axis", "unit"),
    [("steps", 100), ("frames", 400), ("episodes", 1), ("time", 1.5), ("core-minutes", 0.05)],
)
def test_a_curve_against_every_axis(tmp_path: Path, axis: str, unit: float) -> None:
    run = write_run(tmp_path / "some_run", [-20, -19, -15])
    for source in (run, run / "metrics.csv"):
        curve = make_curve(read_record(source), axis, 2)
        assert curve.name == "some_run"
        np.testing.assert_allclose(curve.x, [unit, 2 * unit, 3 * unit], rtol=1e-15)
        np.testing.assert_array_equal(curve.returns, [-20, -19, -15])
        np.testing.assert_array_equal(curve.means, [-20, -19.5, -17])


def test_every_axis_was_tried() -> None:
    assert list(AXES) == ["steps", "frames", "episodes", "time", "core-minutes"]


@pytest.mark.parametrize(
    ("longest", "divisor", "unit"),
    [(119, 1, "seconds"), (120, 60, "minutes"), (7200, 3600, "hours"), (2e5, 86400, "days")],
)
def test_time_has_a_unit_that_fits(longest: float, divisor: float, unit: str) -> None:
    assert axis_scale("time", longest) == (divisor, f"time ({unit})")
    assert axis_scale("steps", longest) == (1, "steps of the agent")


def test_a_run_is_named_as_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "some_run", [0])
    (tmp_path / "link").symlink_to(run)
    (run / "inner").mkdir()
    assert read_record(tmp_path / "link").name == "link"
    for inside, path in ((run, "."), (run, "metrics.csv"), (run / "inner", "..")):
        monkeypatch.chdir(inside)
        assert read_record(Path(path)).name == "some_run"


def test_a_name_that_is_not_utf_8_is_written_out(tmp_path: Path) -> None:
    assert read_record(write_run(tmp_path / "a\udcff", [0])).name == r"a\udcff"


def test_more_columns_in_any_order_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "thin.csv"
    path.write_text("extra,return,episode\nx,-2,10\ny,-1,20\n")
    curve = make_curve(read_record(path), "episodes")
    assert curve.name == "thin"
    np.testing.assert_array_equal(curve.x, [10, 20])
    np.testing.assert_array_equal(curve.means, [-2, -1.5])


def test_a_file_that_a_spreadsheet_saved(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [-20, -19])
    before = make_curve(read_record(run))
    path = run / "metrics.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    after = make_curve(read_record(run))
    np.testing.assert_array_equal(after.x, before.x)
    np.testing.assert_array_equal(after.returns, before.returns)


@pytest.mark.parametrize("torn", [
    "4,-17.0,100,3", "4,-17.0,100,400,-17.", "4", "4,what",
    "4,-17.0,100,400,-17.0,4,400,1600,6.0,1",
])  # fmt: skip
def test_a_last_line_still_being_written_is_no_damage(tmp_path: Path, torn: str) -> None:
    path = write_run(tmp_path / "run", [-20, -19, -18]) / "metrics.csv"
    path.write_text(path.read_text() + torn)
    record = read_record(path)
    assert len(record.columns["return"]) == 3
    assert record.damaged == ()


@pytest.mark.parametrize("broken", ["what", "nan", "inf", "", "1,2"])
def test_a_damaged_line_costs_itself_alone(tmp_path: Path, broken: str) -> None:
    path = write_run(tmp_path / "run", [-20, -19, -18]) / "metrics.csv"
    path.write_text(path.read_text().replace("2,-19.0", f"2,{broken}", 1))
    record = read_record(path)
    np.testing.assert_array_equal(record.columns["return"], [-20, -18])
    assert record.damaged == (3,)
    curves, notes = read_curves([path])
    assert len(curves) == 1
    assert notes == [f"{path}: 1 damaged line, the first is line 3"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected a metrics.csv, but it is empty"),
        ("a,b\n1,2\n", "with a column return, got a first line of 'a, b'"),
        (HEADER + "\n", "has no episodes yet"),
        (HEADER + "\n1,", "has no episodes yet"),
        ("\0\0", "column return|cannot be read"),
        (b"\xff\xfe\x00r", "it is no text"),
    ],
)
def test_what_is_no_run_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    data = content.encode() if isinstance(content, str) else content
    (tmp_path / "metrics.csv").write_bytes(data)
    with pytest.raises(PlotError, match=message):
        read_record(tmp_path)


@pytest.mark.parametrize("line", ['2,"-19.0', '"2,-19.0', '2,-19.0"'])
def test_a_stray_quote_costs_its_line_alone(tmp_path: Path, line: str) -> None:
    path = write_run(tmp_path / "run", [-20, -19, -18, -17]) / "metrics.csv"
    path.write_text(path.read_text().replace("2,-19.0", line, 1))
    record = read_record(path)
    np.testing.assert_array_equal(record.columns["return"], [-20, -18, -17])
    assert record.damaged == (3,)


@pytest.mark.parametrize("last", ["4,what", "4,-17.0", '4,"'])
def test_a_damaged_last_line_that_has_its_end_is_told(tmp_path: Path, last: str) -> None:
    path = write_run(tmp_path / "run", [-20, -19, -18]) / "metrics.csv"
    path.write_text(f"{path.read_text()}{last}\n")
    record = read_record(path)
    assert len(record.columns["return"]) == 3
    assert record.damaged == (5,)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlotError, match="nowhere: expected a run's directory"):
        read_record(tmp_path / "nowhere")


def test_a_run_without_the_axis_says_what_it_has(tmp_path: Path) -> None:
    run = write_run(tmp_path / "old", [-20, -19])
    path = run / "metrics.csv"
    lines = [line.rpartition(",")[0] + "\n" for line in path.read_text().splitlines()]
    path.write_text("".join(lines))
    with pytest.raises(
        PlotError, match="has no cpu_seconds, which --x core-minutes needs; it has steps, frames"
    ):
        make_curve(read_record(run), "core-minutes")
    assert len(make_curve(read_record(run), "time").x) == 2


def test_two_runs_in_one_file_are_refused(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", [-20, -19, -18]) / "metrics.csv"
    path.write_text(path.read_text().replace(",300,", ",150,"))
    with pytest.raises(PlotError, match="total_steps falls after row 2; expected the rows of one"):
        make_curve(read_record(path))
    make_curve(read_record(path), "frames")


def test_an_unknown_axis_is_a_mistake(tmp_path: Path) -> None:
    record = read_record(write_run(tmp_path / "run", [0]))
    with pytest.raises(ValueError, match="axis: expected one of steps, frames"):
        make_curve(record, "wall")


def test_directories_of_runs_are_searched(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "runs" / name, [0]) for name in ("b", "a")]
    deep = write_run(tmp_path / "sweep" / "lr" / "seed1", [0])
    expected = [run / "metrics.csv" for run in reversed(runs)]
    assert find_runs(tmp_path / "runs") == expected
    assert find_runs(tmp_path / "sweep") == [deep / "metrics.csv"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(PlotError, match=r"empty: expected a run's directory or its metrics\.csv"):
        find_runs(tmp_path / "empty")


def test_runs_at_different_depths_are_all_found(tmp_path: Path) -> None:
    first = write_run(tmp_path / "first", [0])
    second = write_run(tmp_path / "sweep" / "s0", [0])
    third = write_run(tmp_path / "sweep" / "lr" / "s1", [0])
    write_run(first / "kept", [1])  # of that run
    write_run(tmp_path / "1" / "2" / "3" / "too deep", [1])
    found = find_runs(tmp_path)
    assert found == [run / "metrics.csv" for run in (first, third, second)]


def test_a_run_without_episodes_has_none_from_below_it(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [0], seed=1)
    (run / "metrics.csv").unlink()
    write_run(run / "kept", [1])
    for reading in (read_record, find_runs):
        with pytest.raises(PlotError, match=r"run: has no metrics.csv, so no episodes yet"):
            reading(run)
    with pytest.raises(PlotError, match="expected a run's directory"):
        read_record(tmp_path)  # a directory of runs is no run


def test_what_cannot_be_drawn_is_left_out_and_the_rest_is_not(tmp_path: Path) -> None:
    good = write_run(tmp_path / "runs" / "good", [1, 2])
    write_run(tmp_path / "runs" / "none", [])
    sources = [tmp_path / "runs", good, tmp_path / "nowhere"]
    curves, notes = read_curves(sources)
    assert [curve.name for curve in curves] == ["good"], "and once only"
    assert len(notes) == 2
    assert "none/metrics.csv: has no episodes yet" in notes[0]
    assert "nowhere: expected" in notes[1]


@pytest.mark.parametrize(
    ("until", "episodes", "at_goal"), [(20.0, 2, True), (20.5, 2, False), (10, 5, False)]
)
def test_a_run_knows_whether_it_reached_its_goal(
    tmp_path: Path, until: float, episodes: int, at_goal: bool
) -> None:
    run = write_run(tmp_path / "run", [0, 20, 20], until=until, until_episodes=episodes)
    assert make_curve(read_record(run)).at_goal is at_goal


def test_a_broken_config_is_none(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [0, 20], until=20.0)
    for text in ("until = ", "until = " + 6000 * "[" + 6000 * "]"):
        (run / "config.toml").write_text(text)
        assert read_record(run).settings == {}


def test_numbers_need_nothing_of_training() -> None:
    code = (
        "import sys, fastpong.viewing.groups\n"
        "heavy = {'numba', 'matplotlib', 'rich', 'gymnasium', 'fastpong.kernels', 'click'}\n"
        "print(heavy & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"

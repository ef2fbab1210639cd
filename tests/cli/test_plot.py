"""Learning curves: what is read, what is refused, and that a picture comes out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fastpong.cli import plot

HEADER = "episode,return,length,frames,running_mean,update,total_steps,total_frames,wall_seconds"
PNG, PDF = b"\x89PNG\r\n\x1a\n", b"%PDF"


def write_run(directory: Path, episodes: int) -> Path:
    """Write the metrics of a run in which every episode is a little better than the last."""
    directory.mkdir(parents=True)
    rows = [
        f"{e},{e - 21}.0,100,300,{e - 21.5},{e // 10},{100 * e},{300 * e},{0.5 * e}"
        for e in range(1, episodes + 1)
    ]
    (directory / "metrics.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return directory


@pytest.mark.parametrize(
    ("axis", "unit"), [("steps", 100), ("frames", 300), ("episodes", 1), ("wall", 0.5)]
)
def test_a_curve_is_read_against_every_axis(tmp_path: Path, axis: str, unit: float) -> None:
    run = write_run(tmp_path / "some_run", 3)
    for source in (run, run / "metrics.csv"):
        curve = plot.read_curve(source, axis)
        assert curve.name == "some_run"
        np.testing.assert_array_equal(curve.x, [unit, 2 * unit, 3 * unit])
        np.testing.assert_array_equal(curve.returns, [-20, -19, -18])
        np.testing.assert_array_equal(curve.means, [-20.5, -19.5, -18.5])


def test_more_columns_in_any_order_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "thin.csv"
    path.write_text("extra,running_mean,return,episode\nx,-1.5,-2,10\ny,-0.5,-1,20\n")
    curve = plot.read_curve(path, "episodes")
    assert curve.name == "thin"
    np.testing.assert_array_equal(curve.x, [10, 20])
    np.testing.assert_array_equal(curve.means, [-1.5, -0.5])


@pytest.mark.parametrize("torn", ["4,-17.0,100,3", "4,-17.0,100,300,-17.", "4"])
def test_a_last_line_still_being_written_is_left_out(tmp_path: Path, torn: str) -> None:
    path = write_run(tmp_path / "run", 3) / "metrics.csv"
    path.write_text(path.read_text() + torn)
    assert len(plot.read_curve(path, "episodes").x) == 3


def test_a_broken_line_in_the_middle_is_refused_with_its_number(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", 3) / "metrics.csv"
    path.write_text(path.read_text().replace("2,-19.0", "2,what", 1))
    with pytest.raises(plot.PlotError, match=r"metrics\.csv, line 3: expected 9 columns of num"):
        plot.read_curve(path, "steps")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "return, running_mean not found"),
        ("a,b\n1,2\n", "expected a metrics.csv with the columns total_steps, return"),
        (HEADER + "\n", "no episodes yet"),
        ("\0", "not found|cannot read"),
    ],
)
def test_what_is_no_metrics_file_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "metrics.csv").write_text(content)
    with pytest.raises(plot.PlotError, match=message):
        plot.read_curve(tmp_path, "steps")


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(plot.PlotError, match="nowhere: expected a run's directory"):
        plot.read_curve(tmp_path / "nowhere", "steps")


@pytest.mark.parametrize("axis", list(plot.AXES))
def test_pictures_of_one_and_two_runs(tmp_path: Path, axis: str) -> None:
    runs = [write_run(tmp_path / "one", 1), write_run(tmp_path / "two", 400)]
    plot.draw(runs[1:], tmp_path / "one.png", axis)
    plot.draw(runs, tmp_path / "two.pdf", axis)
    assert (tmp_path / "one.png").read_bytes().startswith(PNG)
    assert (tmp_path / "two.pdf").read_bytes().startswith(PDF)


def test_a_picture_names_its_runs_and_axes(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "alpha", 3), write_run(tmp_path / "beta", 30)]
    plot.draw(runs, tmp_path / "curves.svg", "wall", "A title")
    picture = (tmp_path / "curves.svg").read_text()
    for word in ("alpha", "beta", "A title", "wall time (seconds)", "points per episode", "parity"):
        assert word in picture


def test_the_axis_ends_above_the_best_episode(tmp_path: Path) -> None:
    plot.draw([write_run(tmp_path / "short", 3)], tmp_path / "short.svg")
    picture = (tmp_path / "short.svg").read_text()
    assert "-14" in picture.replace("\u2212", "-")
    assert "parity" not in picture


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", 3)
    with pytest.raises(
        FileNotFoundError, match=r"expected a directory .*no-such-folder, found none"
    ):
        plot.draw([run], tmp_path / "no-such-folder" / "a.png")
    wanted = r"expected a name that ends in \.png, \.svg, \.pdf"
    for name in ("a.xyz", "a", "a.jpg"):
        with pytest.raises(plot.PlotError, match=wanted):
            plot.draw([run], tmp_path / name)


def test_without_matplotlib_the_message_says_what_to_install(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", 3)
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from pathlib import Path; from fastpong.cli import plot\n"
        f"try: plot.draw([Path({str(run)!r})], Path('x.png'))\n"
        "except plot.PlotError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith('which is not installed: pip install "matplotlib>=3.8"\n')

"""Curves as pictures: what is written in them, what is refused, and that equal ones are equal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from curve_cases import curve

from fastpong.viewing.chart import check_output, draw_groups, score_ticks
from fastpong.viewing.curves import AXES, PlotError
from fastpong.viewing.groups import Group, make_groups

PNG, PDF = b"\x89PNG\r\n\x1a\n", b"%PDF"


def ramp(name: str, count: int, best: float = 21, **settings: object) -> Group:
    """Return a run whose returns climb from -21 to ``best``."""
    x = [100 * n for n in range(1, count + 1)]
    returns = list(np.linspace(-21, best, count))
    return make_groups([curve(name, x, returns, window=40, **settings)])[0]


def draw(groups: list[Group], path: Path, axis: str = "steps", **words: object) -> Path:
    arguments = {"window": 40, "band": "std"} | words
    draw_groups(groups, path, axis, **arguments)  # type: ignore[arg-type]
    return path


def pixels(path: Path) -> np.ndarray:
    from matplotlib.image import imread

    return np.rint(imread(path)[..., :3] * 255).astype(np.int64)


@pytest.mark.parametrize("axis", list(AXES))
def test_pictures_of_one_and_two_runs(tmp_path: Path, axis: str) -> None:
    groups = [ramp("one", 1, -21), ramp("two", 400)]
    assert draw(groups[1:], tmp_path / "one.PNG", axis).read_bytes().startswith(PNG)
    assert draw(groups, tmp_path / "two.pdf", axis).read_bytes().startswith(PDF)


def test_a_picture_names_its_runs_and_axes(tmp_path: Path) -> None:
    groups = [ramp("alpha", 3), ramp("beta", 30)]
    picture = draw(groups, tmp_path / "c.svg", "time", title="A title", window=7).read_text()
    for word in (
        "alpha", "beta", "A title", "time (minutes)", "points per episode", "parity",
        "mean of the last 7",
    ):  # fmt: skip
        assert word in picture
    assert "band" not in picture


@pytest.mark.parametrize("name", ["_first", r"a$\frac$", "$x$", "__", "x_$"])
def test_names_are_taken_as_they_are(tmp_path: Path, name: str) -> None:
    alone = draw([ramp(name, 50)], tmp_path / "alone.svg").read_text()
    both = draw([ramp(name, 50), ramp("second", 60)], tmp_path / "both.svg").read_text()
    for text in (alone, both):
        assert f">{name}</text>" in text
    assert ">second</text>" in both


def test_seeds_have_a_band_and_one_name(tmp_path: Path) -> None:
    runs = [
        curve(f"r{seed}", range(100), [seed] * 100, seed=seed, agent="ppo", recipe="pong")
        for seed in (1, 5)
    ]
    groups = make_groups(runs)
    picture = draw(groups, tmp_path / "band.svg").read_text()
    assert "pong, 2 seeds" in picture and "± std" in picture
    assert ">r1<" not in picture
    assert "lowest to highest" in draw(groups, tmp_path / "b.svg", band="range").read_text()


def test_the_line_is_where_the_mean_is(tmp_path: Path) -> None:
    """Two flat runs, +14 and -14: their lines cross the picture at the heights of these ticks."""
    low, high = curve("low", range(1, 9), [-14] * 8), curve("high", range(1, 9), [14] * 8)
    image = pixels(draw(make_groups([low, high]), tmp_path / "flat.png"))
    assert image.shape == (736, 1280, 3)
    blue, orange = (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)
    rows = [
        np.flatnonzero((np.abs(image - colour).max(axis=2) < 12).sum(axis=1) > 600).mean()
        for colour in (blue, orange)
    ]
    # The axis has a unit of pixels per point: 28 points are as far apart as its ends allow.
    assert rows[0] > rows[1]
    assert 28 * 9 < rows[0] - rows[1] < 28 * 16


def test_equal_pictures_are_equal_files(tmp_path: Path) -> None:
    groups = [ramp("alpha", 30)]
    for suffix in ("png", "svg", "pdf"):
        first, second = (draw(groups, tmp_path / f"{n}.{suffix}").read_bytes() for n in "ab")
        assert first == second


@pytest.mark.parametrize(("best", "top"), [(-21, -14), (-14, -7), (0, 7), (20, 21), (21, 21)])
def test_the_axis_ends_above_the_best_episode(best: float, top: int) -> None:
    assert score_ticks([ramp("r", 3, best)]) == list(range(-21, top + 1, 7))


def test_no_parity_line_below_it(tmp_path: Path) -> None:
    assert "parity" not in draw([ramp("short", 3, -18)], tmp_path / "s.svg").read_text()


def test_many_groups_have_their_legend_beside(tmp_path: Path) -> None:
    groups = [ramp(f"run {n}", 5) for n in range(9)]
    image = pixels(draw(groups, tmp_path / "many.png"))
    assert image.shape == (736, 1760, 3)


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"a\.png: expected a directory .*no-such, found"):
        draw([ramp("r", 3)], tmp_path / "no-such" / "a.png")
    for name in ("a.xyz", "a", "a.jpg"):
        with pytest.raises(PlotError, match=r"expected a name that ends in \.png, \.svg, \.pdf"):
            check_output(tmp_path / name)
    (tmp_path / "dir.png").mkdir()
    with pytest.raises(IsADirectoryError, match=r"dir\.png: expected a file to write"):
        draw([ramp("r", 3)], tmp_path / "dir.png")


def test_without_matplotlib_the_message_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from pathlib import Path\n"
        "from fastpong.viewing import chart\n"
        "try: chart.save(Path('x.png'), (1, 1), None)\n"
        "except chart.Missing as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert "x.png: needs Matplotlib" in done.stdout and 'pip install "matplotlib' in done.stdout

"""Weights on a sheet: known weights in known colours at known places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastpong.viewing.curves import PlotError
from fastpong.viewing.sheet import STOPS, colours, draw_sheet, mosaic, scaled
from fastpong.viewing.weights import Section, Unit

RED, BLUE, NOTHING = STOPS[-1].tolist(), STOPS[0].tolist(), STOPS[2].tolist()


def test_the_colours_of_a_scale() -> None:
    found = colours(np.array([-9, -1, -0.5, 0, 0.25, 1, 9]))
    assert found[:4].tolist() == [BLUE, BLUE, STOPS[1].tolist(), NOTHING]
    np.testing.assert_array_equal(found[4], np.rint((STOPS[2] + STOPS[3]) / 2))
    assert found[5:].tolist() == [RED, RED]


def test_a_unit_has_its_own_symmetric_scale() -> None:
    image = np.zeros((4, 4))
    image[0, 0], image[1, 1] = -6.0, 3.0
    one, two = scaled(Unit("u", (image, image / 3)))
    assert one[0, 0] == pytest.approx(-1, rel=0.05) and one[1, 1] == pytest.approx(0.5, rel=0.05)
    np.testing.assert_allclose(two, one / 3)
    assert not np.any(scaled(Unit("zero", (np.zeros((2, 2)),)))[0])
    rare = np.zeros((80, 80))
    rare[3, 3] = -0.5
    assert scaled(Unit("rare", (rare,)))[0][3, 3] == -1, "beyond the percentile, not lost"


def checker(sign: float) -> np.ndarray:
    image = np.full((8, 8), sign)
    image[::2, ::2] = 0
    return image


def test_images_stand_at_their_places_in_their_colours() -> None:
    units = tuple(Unit(str(n), (checker(1), checker(-1))) for n in range(3))
    made = mosaic(Section("t", ("a", "b"), units), across=2, text_rows=5)
    assert len(made.places) == 3
    assert made.places[0][0] == made.places[1][0] < made.places[2][0]
    for row, column in made.places:
        for k, colour in enumerate((RED, BLUE)):
            left = column + k * made.step[1]
            part = made.pixels[row : row + 8, left : left + 8]
            assert part[0, 0].tolist() == NOTHING and part[1, 1].tolist() == colour
            np.testing.assert_array_equal(part, colours(checker(1 - 2 * k)))
    assert (made.pixels[: made.places[0][0] - 1] == 255).all(), "room for names"


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_sheet_is_written(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    many = tuple(Unit(f"{n}: up", (rng.random((80, 80)),)) for n in range(9))
    strips = tuple(Unit(str(n), (rng.random((6, 80)),)) for n in range(5))
    sections = [
        Section("Many", ("one",), many),
        Section("Strips", ("one",), strips),
        Section("Wide", tuple("abcdefg"), (Unit("3", tuple(rng.random((7, 80, 80)))),)),
    ]
    for name in "ab":
        draw_sheet(sections, tmp_path / f"{name}.{suffix}", "What units see")
    data = (tmp_path / f"a.{suffix}").read_bytes()
    assert data == (tmp_path / f"b.{suffix}").read_bytes()
    if suffix == "svg":
        text = data.decode()
        for word in ("Many", "Strips", "Wide", "8: up", ">g<", "3, a", "What units see", "largest"):
            assert word in text


def test_a_sheet_shows_its_images(tmp_path: Path) -> None:
    from matplotlib.image import imread

    unit = Unit("0: up", (np.ones((80, 80)),))
    draw_sheet([Section("One", ("one",), (unit,))], tmp_path / "one.png", "t")
    image = np.rint(imread(tmp_path / "one.png")[..., :3] * 255)
    red = (image[120:] == RED).all(axis=2)  # below the key of the colours
    rows, columns = np.nonzero(red)
    assert red.sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1), "a square, nothing over it"
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=2)
    assert np.ptp(rows) > 80
    assert (tmp_path / "one.png").stat().st_size < 20_000
    assert (image[0] == 255).all() and (image.reshape(-1, 3) == 190).all(axis=1).any()


def test_a_sheet_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    section = Section("One", ("one",), (Unit("0", (np.ones((4, 4)),)),))
    with pytest.raises(PlotError, match="expected a name that ends in"):
        draw_sheet([section], tmp_path / "a.gif", "t")

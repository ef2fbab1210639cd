"""The numbering of inputs and coarser cells."""

from __future__ import annotations

import numpy as np
import pytest

from fastpong.agents.pyramid import Level, Pyramid, parse_levels


@pytest.mark.parametrize(
    ("last_action", "stride", "history"), [(False, 2, 0), (True, 2, 0), (True, 1, 0), (True, 2, 3)]
)
@pytest.mark.parametrize(
    ("cell_size", "levels"), [(1, "2x2:0.35 4x4:0.35 8x8:0.35"), (2, "4x8:0.3 80x2:1"), (8, "")]
)
def test_rows_mirror_and_parents(
    cell_size: int, levels: str, last_action: bool, stride: int, history: int
) -> None:
    tree = Pyramid(cell_size, parse_levels(levels), last_action, stride, history)
    side, channels = 160 // stride // cell_size, 2 + history
    assert tree.base == channels * side * side + 2 * last_action
    assert np.array_equal(tree.mirror[tree.mirror], np.arange(tree.base))
    assert tree.parents.shape == (len(tree.levels), tree.base)
    rng = np.random.default_rng(0)
    counts = dict.fromkeys(range(tree.base, tree.rows), 0)
    for above in tree.parents:
        for row in above[above >= 0]:
            counts[int(row)] += 1
    assert all(counts.values())
    for channel, y, x in zip(*rng.integers(0, (channels, side, side), (50, 3)).T, strict=True):
        row = (channel * side + y) * side + x
        assert tree.mirror[row] == (channel * side + side - 1 - y) * side + x
        for (height, width, _), above in zip(tree.levels, tree.parents, strict=True):
            # All that lies in one cell, and nothing else, has one parent.
            h, w = height // cell_size, width // cell_size
            other = (channel * side + y // h * h) * side + x // w * w
            elsewhere = (channel + 1) % channels * side * side + row % side**2
            assert above[other] == above[row] != above[elsewhere]
            assert counts[int(above[row])] <= h * w
            # Cells are mirrored onto cells.
            assert above[tree.mirror[other]] == above[tree.mirror[row]]
    if last_action:
        assert tree.mirror[-2:].tolist() == [tree.base - 1, tree.base - 2]
        assert (tree.parents[:, -2:] == -1).all()


def test_levels_are_read() -> None:
    assert parse_levels("") == ()
    assert parse_levels(" 4x4:0.35  80x2:1 ") == (Level(4, 4, 0.35), Level(80, 2, 1.0))
    for text in ("4x4", "4:1", "axb:1", "4x4:high", "4x4:0", "4x4:-1", "4x4:nan", "4x4:inf", "x"):
        with pytest.raises(ValueError, match=r"^coarse_cells: expected"):
            parse_levels(text)


@pytest.mark.parametrize(
    ("cell_size", "levels"),
    [(3, ""), (0, ""), (16, ""), (2, "3x4:1"), (2, "4x3:1"), (2, "12x4:1"), (2, "0x2:1"),
     (2, "160x2:1"), (2, "4x160:1")],
)  # fmt: skip
def test_what_does_not_fit_is_refused(cell_size: int, levels: str) -> None:
    with pytest.raises(ValueError, match=r"^(coarse_cells|cell_size): expected"):
        Pyramid(cell_size, parse_levels(levels), False)


def test_no_more_inputs_than_uint16_can_number() -> None:
    assert Pyramid(1, (), True, 1, 0).base == 2 * 160 * 160 + 2
    with pytest.raises(ValueError, match=r"^cell_size: expected at most 65536 inputs, got 76800"):
        Pyramid(1, (), False, 1, 1)

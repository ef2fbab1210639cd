"""Places on terminals of all sizes: on the terminal, apart from each other, in proportion."""

from __future__ import annotations

import pytest

from fastpong.viewing.layout import LEAST, Box, arrange

LINES = 14


def overlap(one: Box, other: Box) -> bool:
    return (
        one.top < other.top + other.rows
        and other.top < one.top + one.rows
        and one.left < other.left + other.columns
        and other.left < one.left + one.columns
    )


@pytest.mark.parametrize("rows", [*range(LEAST[1], 60, 3), 24, 100, 200])
def test_every_size(rows: int) -> None:
    for columns in [*range(LEAST[0], 130), 200, 400]:
        layout = arrange(columns, rows, LINES)
        assert layout is not None
        boxes = [box for box in (layout.picture, layout.text, layout.seen) if box is not None]
        for box in boxes:
            assert box.rows >= 1
            assert box.columns >= 1
            assert 0 <= box.top <= box.top + box.rows <= rows
            assert 0 <= box.left <= box.left + box.columns <= columns
        for n, box in enumerate(boxes):
            assert not any(overlap(box, other) for other in boxes[n + 1 :]), (columns, rows)
        assert layout.text.rows >= (LINES if layout.beside else 4)
        picture = layout.picture
        assert picture.columns / (2 * picture.rows) == pytest.approx(4 / 3, rel=0.2)


def test_known_sizes() -> None:
    usual = arrange(80, 24, LINES)
    assert usual is not None
    assert usual.beside
    assert usual.picture.columns >= 53
    narrow = arrange(40, 24, LINES)
    assert narrow is not None
    assert not narrow.beside
    assert narrow.picture.columns == 40
    large = arrange(120, 40, LINES)
    assert large is not None
    assert large.seen is not None
    assert large.seen.rows >= 10
    assert arrange(LEAST[0] - 1, 24, LINES) is None
    assert arrange(80, LEAST[1] - 1, LINES) is None

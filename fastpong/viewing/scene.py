"""The scene on a terminal: picture, score, odds, difference frame, and the keys' help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastpong.viewing.canvas import Lines, Picture, go
from fastpong.viewing.colours import DIM, RGB, Painter, Piece
from fastpong.viewing.games import COLOURS, FRAMES_PER_SECOND, SCREEN, Moment, Odds
from fastpong.viewing.layout import LEAST, Box, Layout, arrange

LEFT: RGB = (213, 130, 74)
RIGHT: RGB = (92, 186, 92)
"""The paddles' colours."""

_ZERO = 128
_SEEN = np.zeros((256, 3), np.uint8)
"""Colours of the difference frame: what came is bright, what went is blue."""
_SEEN[:] = (32, 32, 40)
_SEEN[_ZERO + 1 :] = (240, 240, 240)
_SEEN[:_ZERO] = (70, 110, 220)

_TITLE = "the network sees"


@dataclass(frozen=True)
class Caption:
    """The words beside a game.

    title : lines about the agent
    left, right : names of the players
    game  : its number, and of how many
    keys  : lines of help, the first ones more useful
    """

    title: Sequence[str]
    left: str
    right: str
    game: str
    keys: Sequence[str]


class Scene:
    """Draw moments on a terminal of one size, or its left and upper part, which is empty."""

    def __init__(self, columns: int, rows: int, caption: Caption, painter: Painter) -> None:
        self.size, self.caption, self._painter = (columns, rows), caption, painter
        self._lines_before_seen = len(caption.title) + len(caption.keys) + 9
        self.layout = arrange(columns, rows, self._lines_before_seen)
        if self.layout is None:
            return
        self._picture = Picture(self.layout.picture, SCREEN, COLOURS, painter)
        self._text = Lines(self.layout.text)
        self._seen: Picture | None = None
        self._words: object = None

    def draw(self, moment: Moment, odds: Odds | None, pace: str) -> str:
        """Return what shows a moment.

        pace : a word about the speed
        """
        if self.layout is None:
            note = f"needs {LEAST[0]}x{LEAST[1]}"
            return f"{go(0, 0)}{note[: self.size[0]]}"
        text = self._picture.draw(moment.screen) + self._draw_text(self.layout, moment, odds, pace)
        return text + self._draw_seen(self.layout, moment)

    def _draw_text(self, layout: Layout, moment: Moment, odds: Odds | None, pace: str) -> str:
        words = moment.score, moment.frame // FRAMES_PER_SECOND, odds, pace
        if words == self._words:  # as for most frames
            return ""
        self._words = words
        lines = (self._beside if layout.beside else self._below)(moment, odds, pace)
        return self._text.draw([self._painter.line(line, layout.text.columns) for line in lines])

    def _draw_seen(self, layout: Layout, moment: Moment) -> str:
        if layout.seen is None or moment.thought is None:
            return ""
        frame, text = moment.thought.difference, ""
        if self._seen is None:
            box = layout.seen
            title = Lines(Box(box.top, box.left, 1, layout.text.columns))
            text = title.draw([self._painter.line([Piece(_TITLE, DIM)], layout.text.columns)])
            inner = Box(box.top + 1, box.left, box.rows - 1, box.columns - 2)
            self._seen = Picture(inner, (frame.shape[0], frame.shape[1]), _SEEN, self._painter)
        return text + self._seen.draw((frame.astype(np.int16) + _ZERO).astype(np.uint8))

    def _beside(self, moment: Moment, odds: Odds | None, pace: str) -> list[list[Piece]]:
        caption = self.caption
        return [
            *([Piece(line, None, n == 0)] for n, line in enumerate(caption.title)),
            [],
            self._score(moment),
            [],
            self._odds(odds, self._width - 9),
            [],
            [Piece(f"{caption.game}  {_clock(moment.frame)}")],
            [Piece(pace, DIM)],
            [],
            *([Piece(line, DIM)] for line in caption.keys),
            [],
        ]

    def _below(self, moment: Moment, odds: Odds | None, pace: str) -> list[list[Piece]]:
        caption = self.caption
        game = f"{caption.game}  {_clock(moment.frame)}"
        score = self._score(moment)
        space = self._width - sum(len(piece.text) for piece in score) - len(game)
        lines = [
            [*score, Piece(" " * max(2, space) + game)],
            self._odds(odds, min(40, self._width - 9)),
            [Piece(", ".join([*caption.title[:2], pace, *caption.title[2:]]), DIM)],
            [Piece("  ".join(caption.keys), DIM)],
        ]
        return lines if self._rows == len(lines) else [[], *lines]

    @property
    def _rows(self) -> int:
        assert self.layout is not None
        return self.layout.text.rows

    @property
    def _width(self) -> int:
        assert self.layout is not None
        return self.layout.text.columns

    def _score(self, moment: Moment) -> list[Piece]:
        left, right = moment.score
        return [
            Piece(f"{self.caption.left} ", LEFT),
            Piece(f"{left}", LEFT, True),
            Piece(" : "),
            Piece(f"{right}", RIGHT, True),
            Piece(f" {self.caption.right}", RIGHT),
        ]

    def _odds(self, odds: Odds | None, width: int) -> list[Piece]:
        if odds is None:
            return []
        bar = self._painter.bar(odds.up, max(1, width), RIGHT)
        return [Piece("UP "), *bar, Piece(f" {odds.up:4.0%}")]


def _clock(frame: int) -> str:
    seconds = frame // FRAMES_PER_SECOND
    return f"{seconds // 60}:{seconds % 60:02d}"

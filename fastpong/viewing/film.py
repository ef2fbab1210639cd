"""The frames of a film: games side by side, with captions, scores and odds.

A frame is palette indices all over, so that a GIF needs no conversion. The console's colours are
the even indices. Text has the odd ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastpong.viewing.games import COLOURS, FRAMES_PER_SECOND, SCREEN, Moment, Odds, Watcher
from fastpong.viewing.scene import LEFT, RIGHT

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Frame = NDArray[np.uint8]

_LEVELS = 16
_INKS = {"plain": (235, 235, 235), "dim": (130, 130, 130), "left": LEFT, "right": RIGHT}
_PAPER = (24, 24, 28)


def _palette() -> NDArray[np.uint8]:
    palette: NDArray[np.uint8] = COLOURS.copy()
    share = np.linspace(0, 1, _LEVELS)[:, None]
    for n, ink in enumerate(_INKS.values()):
        ramp = (1 - share) * np.array(_PAPER) + share * np.array(ink)
        palette[1 + 2 * _LEVELS * n :: 2][:_LEVELS] = ramp.round()
    return palette


PALETTE = _palette()
"""Red, green and blue of a frame's indices, (256, 3) uint8."""

_BLANK = 1
"""Index of the paper."""


@dataclass(frozen=True)
class Part:
    """One of the games side by side.

    caption     : above it
    left, right : names of the players
    games       : numbers of the games, one after the other
    """

    watcher: Watcher
    caption: str
    left: str
    right: str
    games: Sequence[int]


class Panel:
    """Draw one game's part of the frames.

    caption     : above it
    left, right : names of the players
    scale       : the picture has 160 times so many columns and 105 times so many rows. A pixel of
                  the console is twice as wide as high, about as on a television

    frame   : the part, as it was drawn last
    top     : of the picture in it
    picture : its rows and columns
    """

    def __init__(self, caption: str, left: str, right: str, scale: int) -> None:
        self._names = left, right
        self.top = self._line = 8 + 5 * scale
        self.picture = 105 * scale, SCREEN[1] * scale
        self._rows = np.arange(self.picture[0]) * SCREEN[0] // self.picture[0]
        self._columns = np.arange(self.picture[1]) * SCREEN[1] // self.picture[1]
        height = self._line + self.picture[0] + 2 * self._line
        self.frame = np.full((height + height % 2, self.picture[1]), _BLANK, np.uint8)
        self._score: tuple[int, int] | None = None
        self._write(0, 4, caption, "plain")

    def draw(self, moment: Moment, odds: Odds | None) -> Frame:
        """Return the part's frame. The next call changes it."""
        top = self.top
        self.frame[top : top + self.picture[0]] = moment.screen[self._rows][:, self._columns]
        if moment.score != self._score:
            self._score = moment.score
            self._write_score(top + self.picture[0], moment.score)
        if odds is not None:
            self._draw_odds(top + self.picture[0] + self._line, odds)
        return self.frame

    def _write_score(self, top: int, score: tuple[int, int]) -> None:
        self.frame[top : top + self._line] = _BLANK
        at = 4
        for text, ink in (
            (f"{self._names[0]} {score[0]}", "left"),
            (" : ", "plain"),
            (f"{score[1]} {self._names[1]}", "right"),
        ):
            at = self._write(top, at, text, ink)

    def _draw_odds(self, top: int, odds: Odds) -> None:
        self.frame[top:, :] = _BLANK
        begin = self._write(top, 4, "UP ", "dim") + 2
        end = self.frame.shape[1] - 4
        thick = max(2, self._line // 3)
        row = top + (self._line - thick) // 2
        filled = begin + round(odds.up * (end - begin))
        self.frame[row : row + thick, begin:end] = _ink("dim", 5)
        self.frame[row : row + thick, begin:filled] = _ink("right", _LEVELS - 1)

    def _write(self, top: int, left: int, text: str, ink: str) -> int:
        """Write a line of text, and return the column behind it."""
        levels = _rendered(text, self._line)[:, : max(0, self.frame.shape[1] - left)]
        place = self.frame[top : top + self._line, left : left + levels.shape[1]]
        place[...] = _ink(ink, 0) + 2 * levels
        return left + int(levels.shape[1])


class Film:
    """Draw frames of several games side by side."""

    def __init__(self, parts: Sequence[Part], scale: int) -> None:
        self.parts = parts
        self.panels = [Panel(p.caption, p.left, p.right, scale) for p in parts]
        gap = 2 * (len(parts) > 1)
        heights, widths = zip(*(panel.frame.shape for panel in self.panels), strict=True)
        self._lefts = [sum(widths[:n]) + gap * n for n in range(len(parts))]
        self.size = max(heights), self._lefts[-1] + widths[-1]

    def frames(self, every: int, most: int | None = None) -> Iterator[Frame]:
        """Play the games, and yield frames, each a new array.

        every : of so many frames of the console one is shown
        most  : frames to yield at most

        It ends with the longest part. The others keep their last picture.
        """
        running = [_moments(part) for part in self.parts]
        last: list[Moment | None] = [None] * len(running)
        shown = 0
        while most is None or shown < most:
            found = [_after(moments, every if shown else 1) for moments in running]
            if all(moment is None for moment in found):
                return
            last = [new or old for new, old in zip(found, last, strict=True)]
            yield self._frame(last)
            shown += 1

    def _frame(self, moments: Sequence[Moment | None]) -> Frame:
        frame = np.full(self.size, _BLANK, np.uint8)
        for part, panel, moment, left in zip(
            self.parts, self.panels, moments, self._lefts, strict=True
        ):
            if moment is not None:
                thought = moment.thought
                odds = part.watcher.odds(thought) if thought is not None else None
                panel.draw(moment, odds)
            rows, columns = panel.frame.shape
            frame[:rows, left : left + columns] = panel.frame
        return frame


def _moments(part: Part) -> Iterator[Moment]:
    for number in part.games:
        yield from part.watcher.game(number)


def _after(moments: Iterator[Moment], count: int) -> Moment | None:
    """Return the moment so many frames later, the last one at the end, None after it."""
    moment = None
    for _ in range(count):
        moment = next(moments, moment)
    return moment


def _ink(ink: str, level: int) -> int:
    return 1 + 2 * (_LEVELS * list(_INKS).index(ink) + level)


@cache
def _rendered(text: str, height: int) -> Frame:
    """Return a line of text, (height, width) of levels 0 to 15."""
    from PIL import Image, ImageDraw

    font = _font(height - 6)
    width = max(1, round(font.getlength(text)))
    image = Image.new("L", (width, height))
    ImageDraw.Draw(image).text((0, height // 2), text, fill=255, font=font, anchor="lm")
    return np.asarray(image) // (256 // _LEVELS)


@cache
def _font(size: int) -> FreeTypeFont:
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise ImportError("Pillow was built without FreeType, which draws the captions")
    return font


def steps_between(frames_per_second: int, speed: int) -> int:
    """Return how many frames of the console go from one frame of a film to the next."""
    return FRAMES_PER_SECOND // frames_per_second * speed

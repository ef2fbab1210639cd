"""Showing games, at their own pace."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from fastpong.viewing.front import Front
from fastpong.viewing.games import Games, Moment
from fastpong.viewing.hand import Hand
from fastpong.viewing.pace import MOST, Pace
from fastpong.viewing.scene import Caption

_END_SECONDS = 1.0  # a game's last picture stays so long
_POLL_SECONDS = 1 / 30


@dataclass(frozen=True)
class Result:
    """Describe a game that was shown to its end.

    number : from 0 on
    score  : of the left and the right player
    steps, frames : its length
    """

    number: int
    score: tuple[int, int]
    steps: int
    frames: int


class Show:
    """Show games until someone has enough.

    front   : to show them on
    caption : of all games, without their numbers
    stop    : polled at every frame
    hand    : of a person who plays
    """

    def __init__(
        self,
        front: Front,
        games: Games,
        caption: Caption,
        speed: float,
        stop: Callable[[], bool],
        hand: Hand | None = None,
    ) -> None:
        self.front, self.games, self.caption = front, games, caption
        self.pace, self._stop, self._hand = Pace(speed), stop, hand
        self._quit = self._next = False

    def run(self, numbers: Iterator[int], total: int | None) -> Iterator[Result]:
        """Show the games of some numbers, and yield those that came to their end."""
        for number in numbers:
            of = f" of {total}" if total else ""
            self.caption = replace(self.caption, game=f"episode {number + 1}{of}")
            last = self._game(number)
            if self.over:
                return
            if last is not None:
                self._linger()
                yield Result(number, last.score, last.step, last.frame)

    @property
    def over(self) -> bool:
        """Return whether nobody watches any more."""
        return self._quit or self.front.gone or self._stop()

    def _game(self, number: int) -> Moment | None:
        """Show a game, and return its last moment if it came to its end."""
        moment, self._next = None, False
        for moment in self.games.game(number):
            self._wait(moment)
            if self.over or self._next:
                return None
            if self.pace.draws():
                self._draw(moment)
        if moment is not None:
            self._draw(moment)
        return moment

    def _wait(self, moment: Moment) -> None:
        """Wait until a frame is due."""
        self._press()
        while self.pace.paused and not self.over and not self._next:
            self._draw(moment)
            time.sleep(_POLL_SECONDS)
            self._press()
        if (seconds := self.pace.advance()) > 0:
            time.sleep(seconds)

    def _linger(self) -> None:
        end = time.monotonic() + (_END_SECONDS if self.pace.speed != MOST else 0)
        while time.monotonic() < end and not self.over:
            time.sleep(_POLL_SECONDS)
            self._press()

    def _press(self) -> None:
        """Do as the keys say."""
        for key in self.front.pressed():
            if self._hand is not None:
                self._hand.releases = self.front.releases
                if self._hand.obey(key):
                    continue
            if key.released:
                continue
            if key.name in ("q", "Q", "\x03", "escape"):
                self._quit = True
            elif key.name in (" ", "p"):
                self.pace.paused = not self.pace.paused
            elif key.name == "n":
                self._next = True
            elif key.name in ("+", "=", "-", "_"):
                self.pace.change(2.0 if key.name in "+=" else 0.5)

    def _draw(self, moment: Moment) -> None:
        odds = self.games.odds(moment.thought) if moment.thought is not None else None
        self.front.draw(moment, odds, self.caption, self.pace.words)

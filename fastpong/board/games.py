"""Games of the newest checkpoints, played for those who look at the page.

A thread plays the games of one run while someone looks, at the game's own speed, and draws every
third frame. Nobody looks: nobody plays.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np

from fastpong.board.library import newest_checkpoint, own_checkpoints
from fastpong.pages.png import encode_png
from fastpong.storage import checkpoint
from fastpong.storage.checkpoint import CheckpointError
from fastpong.viewing.games import COLOURS, FRAMES_PER_SECOND, Moment, Watcher
from fastpong.viewing.pace import Pace
from fastpong.viewing.shown import Shown, load_shown

FRAMES_PER_PICTURE = 3
MOST_PLAYED = 4
"""Runs whose games are played at once."""

_WAIT_SECONDS = 2.0  # for a first checkpoint
_LOOK_SECONDS = 2.0  # for a newer checkpoint
_LOAD_SHARE = 0.02  # of the time, that loading takes at most


class TooManyError(Exception):
    """Report that too many runs are looked at."""


class Player(threading.Thread):
    """Play the games of a run until nobody looks.

    latest : number and text of the newest picture. The text is JSON, see ``_picture``
    """

    def __init__(self, run: Path) -> None:
        super().__init__(name=f"games of {run.name}", daemon=True)
        self._run, self._over = run, threading.Event()
        self.viewers = 0
        self.latest: tuple[int, str] = 0, ""

    def stop(self) -> None:
        """End the games soon."""
        self._over.set()

    def run(self) -> None:
        """Play, in the thread."""
        try:
            for text in self._texts():
                self.latest = self.latest[0] + 1, text
                if self._over.is_set():
                    return
        except Exception as error:  # told on the page: the board goes on
            self._tell(f"The game ended: {type(error).__name__}: {error}")

    def _tell(self, sentence: str) -> None:
        self.latest = self.latest[0] + 1, json.dumps({"note": sentence})

    def _texts(self) -> Iterator[str]:
        """Yield pictures, of newer weights when there are some."""
        while not self._over.is_set():
            loaded = _Loaded.of(self._run)
            if loaded is None:
                yield json.dumps({"note": "There is no whole checkpoint yet."})
                self._over.wait(_WAIT_SECONDS)
                continue
            yield from self._games(loaded)

    def _games(self, loaded: _Loaded) -> Iterator[str]:
        """Yield pictures until the run has come to another stage."""
        watcher, pace = loaded.shown.watcher(), Pace(1 / FRAMES_PER_PICTURE)
        for number in count():
            for moment in watcher.game(number):
                if moment.frame % FRAMES_PER_PICTURE:
                    continue
                if moment.frame % FRAMES_PER_SECOND == 0 and not loaded.renew():
                    return
                self._over.wait(pace.advance())
                yield _picture(moment, watcher, number, loaded.shown)


class _Loaded:
    """Hold the weights of a checkpoint, renewed in place."""

    def __init__(self, run: Path, path: Path) -> None:
        self._run, self._path, self._next = run, path, 0.0
        begun = time.monotonic()
        self.shown = load_shown(checkpoint.load(path))
        self._rest(begun)

    @classmethod
    def of(cls, run: Path) -> _Loaded | None:
        """Load the newest whole checkpoint, None without one."""
        for path in reversed(own_checkpoints(run)):
            with contextlib.suppress(CheckpointError):  # deleted meanwhile, or damaged
                return cls(run, path)
        return None

    def renew(self) -> bool:
        """Take newer weights if it is time, and return whether they fit the same player."""
        if time.monotonic() < self._next:
            return True
        begun = time.monotonic()
        path = newest_checkpoint(self._run)
        if path is None or path == self._path:
            self._next = begun + _LOOK_SECONDS
            return True
        try:
            shown = load_shown(checkpoint.load(path))
        except CheckpointError:
            self._rest(begun)
            return True
        if shown.player != self.shown.player:
            return False
        for name, array in shown.parameters.items():
            np.copyto(self.shown.parameters[name], array)
        self._path, self.shown = path, Shown(shown.found, shown.player, self.shown.parameters)
        self._rest(begun)
        return True

    def _rest(self, begun: float) -> None:
        now = time.monotonic()
        self._next = now + max(_LOOK_SECONDS, (now - begun) / _LOAD_SHARE)


class Games:
    """Hold the players of the runs that someone looks at. Calls may come from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._players: dict[Path, Player] = {}

    def join(self, run: Path) -> Player:
        """Return a run's player, begun if it is the first to look.

        Raises TooManyError.
        """
        with self._lock:
            if run not in self._players:
                if len(self._players) >= MOST_PLAYED:
                    raise TooManyError(f"expected up to {MOST_PLAYED} runs to be watched at once")
                self._players[run] = Player(run)
                self._players[run].start()
            player = self._players[run]
            player.viewers += 1
            return player

    def leave(self, run: Path) -> None:
        """End a run's games when nobody looks at it any more."""
        with self._lock:
            player = self._players[run]
            player.viewers -= 1
            if not player.viewers:
                self._players.pop(run).stop()

    @property
    def played(self) -> int:
        """Return the number of runs that are played."""
        return len(self._players)


def _picture(moment: Moment, watcher: Watcher, number: int, shown: Shown) -> str:
    odds = watcher.odds(moment.thought) if moment.thought is not None else None
    png = encode_png(moment.screen, COLOURS)
    return json.dumps({
        "png": base64.b64encode(png).decode("ascii"),
        "score": moment.score,
        "up": None if odds is None else round(odds.up, 3),
        "game": number + 1,
        "second": moment.frame // FRAMES_PER_SECOND,
        "agent": shown.player.agent,
        "trained": shown.trained,
    })  # fmt: skip

"""Games of the newest checkpoints, played for those who look at the page.

A thread plays the games of one run while someone looks, at the game's own speed, and draws every
third frame. Nobody looks: nobody plays.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np

from fastpong.board.library import own_checkpoints
from fastpong.pages.png import encode_png
from fastpong.storage import verified
from fastpong.storage.checkpoint import CheckpointError
from fastpong.viewing.games import COLOURS, FRAMES_PER_SECOND, Moment, Watcher
from fastpong.viewing.pace import Pace
from fastpong.viewing.shown import Shown, load_shown

FRAMES_PER_PICTURE = 3
MOST_PLAYED = 4
"""Runs whose games are played at once."""

_NONE = "There is no whole checkpoint yet."
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
            loaded = _Loaded(self._run)
            if not loaded.renew():
                note = f"No checkpoint is whole: {loaded.refused}." if loaded.refused else _NONE
                yield json.dumps({"note": note})
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
                yield _picture(moment, watcher, number, loaded)


class _Loaded:
    """Hold the weights of a run's newest whole checkpoint, renewed in place.

    refused : a sentence about newer checkpoints that are damaged, empty without any
    """

    shown: Shown

    def __init__(self, run: Path) -> None:
        self._run, self._next = run, 0.0
        self._path: Path | None = None
        self.refused = ""

    def renew(self) -> bool:
        """Take newer weights if it is time.

        Returns False without any, and if those that there are need another player.
        """
        begun = time.monotonic()
        if begun < self._next:
            return True
        shown = self._load_newer()
        self._next = time.monotonic() + max(_LOOK_SECONDS, (time.monotonic() - begun) / _LOAD_SHARE)
        if shown is None:
            return self._path is not None
        path, found = shown
        if self._path is None:
            self._path, self.shown = path, found
            return True
        if found.player != self.shown.player:
            return False
        for name, array in found.parameters.items():
            np.copyto(self.shown.parameters[name], array)
        self._path, self.shown = path, Shown(found.found, found.player, self.shown.parameters)
        return True

    def _load_newer(self) -> tuple[Path, Shown] | None:
        """Return the newest whole checkpoint if it is another one, and note refusals."""
        refused = []
        newer: tuple[Path, Shown] | None = None
        for path in reversed(own_checkpoints(self._run)):
            if path == self._path:
                break
            try:
                newer = path, load_shown(verified.load(path))
                break
            except CheckpointError:
                refused += [path.name] * path.exists()  # else deleted meanwhile
        self.refused = f"{', '.join(refused)} refused as damaged" if refused else ""
        return newer


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


def _picture(moment: Moment, watcher: Watcher, number: int, loaded: _Loaded) -> str:
    shown, refused = loaded.shown, loaded.refused
    odds = watcher.odds(moment.thought) if moment.thought is not None else None
    png = encode_png(moment.screen, COLOURS)
    return json.dumps({
        "png": base64.b64encode(png).decode("ascii"),
        "score": moment.score,
        "up": None if odds is None else round(odds.up, 3),
        "game": number + 1,
        "second": moment.frame // FRAMES_PER_SECOND,
        "agent": shown.player.agent,
        "trained": shown.trained + (f" ({refused})" if refused else ""),
    })  # fmt: skip

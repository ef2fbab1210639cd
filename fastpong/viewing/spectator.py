"""A game with weights that change while it goes on, in a thread of its own.

For people who watch a training. Training never waits for it: it hands over a copy of its weights
when one is wanted, once a second, and what is played here goes nowhere. At 60 frames and 30
pictures a second it takes about 1.5 % of a core.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from itertools import count
from typing import Protocol

import numpy as np

from fastpong.agents.plan import Plan
from fastpong.agents.protocol import Chance
from fastpong.arrays import Array, Arrays
from fastpong.envs.draws import EVAL
from fastpong.viewing.games import FRAMES_PER_SECOND, Moment, Odds, Watcher
from fastpong.viewing.pace import Pace

SHARE = 0.006
"""Of the cores, that a spectator takes at most. Its beginning takes 0.06 s of CPU besides.

Measured: 15 pictures a second take 0.014 of a core beside a training that fills the caches.
"""

_FRAMES_PER_DRAW = (2, 12)

_RENEWED_FRAMES = FRAMES_PER_SECOND  # with new weights from then on
_POLL_SECONDS = 0.1
_END_SECONDS = 2.0


class Show(Protocol):
    """Show a moment, called in the spectator's thread."""

    def __call__(self, moment: Moment, odds: Odds | None, game: int) -> None:
        """Show a moment of a game."""


class Spectator:
    """Play games with the newest weights.

    plan    : returns the plan of the run, with kernels of its own: it is called in the thread
    seed    : of the games, which are those of evaluation
    cores   : that the training has
    show    : is given every picture
    failure : the exception that ended it, None so far
    """

    def __init__(self, plan: Callable[[], Plan], seed: int, cores: int, show: Show) -> None:
        self._plan, self._chance, self._show = plan, Chance(seed, EVAL), show
        self._budget = Budget(SHARE * cores)
        self._wanted, self._came, self._over = (threading.Event() for _ in range(3))
        self._wanted.set()
        self._offered: tuple[int, dict[str, Array]] = 0, {}
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="spectator", daemon=True)
        self._thread.start()

    def offer(self, stage: int, parameters: Arrays) -> None:
        """Hand the newest weights over, if some are wanted.

        stage : of the plan, that they belong to

        A copy is made, so they may change afterwards. It never blocks.
        """
        if self._wanted.is_set():
            self._offered = stage, {name: array.copy() for name, array in parameters.items()}
            self._wanted.clear()
            self._came.set()

    def close(self) -> None:
        """End the games. Nothing is shown afterwards."""
        self._over.set()
        self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        try:
            while not self._came.wait(_POLL_SECONDS):
                if self._over.is_set():
                    return
            plan, pace = self._plan(), Pace(1.0)
            while not self._over.is_set():
                self._play_stage(plan, pace)
        except Exception as error:  # nobody's training ends because a picture failed
            self.failure = error

    def _play_stage(self, plan: Plan, pace: Pace) -> None:
        """Play games until a new stage has other rules."""
        stage, parameters = self._offered
        self._came.clear()
        watcher = Watcher(plan.stages[stage], parameters, self._chance)
        for number in count():
            for moment in watcher.game(number):
                if moment.frame % self._budget.frames_per_draw == 0:
                    self._draw(watcher, moment, number, pace)
                if moment.frame % _RENEWED_FRAMES == 0:
                    self._budget.check()
                    self._wanted.set()
                if self._over.is_set() or not self._renewed(parameters, stage):
                    return

    def _draw(self, watcher: Watcher, moment: Moment, number: int, pace: Pace) -> None:
        """Show a moment when it is due."""
        pace.speed = 1 / self._budget.frames_per_draw
        if (seconds := pace.advance()) > 0:
            time.sleep(seconds)
        if not self._over.is_set():
            odds = watcher.odds(moment.thought) if moment.thought is not None else None
            self._show(moment, odds, number)

    def _renewed(self, parameters: Mapping[str, Array], stage: int) -> bool:
        """Take new weights if there are some, and return whether they are of this stage."""
        if not self._came.is_set():
            return True
        offered, weights = self._offered
        if offered != stage:
            return False
        self._came.clear()
        for name, array in weights.items():
            np.copyto(parameters[name], array)
        return True


class Budget:
    """Choose how many pictures a thread draws, by the CPU time that it takes.

    most            : seconds of CPU in a second
    frames_per_draw : of so many frames one is drawn
    """

    def __init__(
        self,
        most: float,
        cpu: Callable[[], float] = time.thread_time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most, self.frames_per_draw = most, 6
        self._cpu, self._clock = cpu, clock
        self._mark: tuple[float, float] | None = None

    def check(self) -> None:
        """Count the time since the check before, and draw more or fewer from here on."""
        now, used = self._clock(), self._cpu()
        if self._mark is not None and now > self._mark[0]:
            share = (used - self._mark[1]) / (now - self._mark[0])
            fewest, most = _FRAMES_PER_DRAW
            # Drawing costs about the same for every picture.
            fit = self.frames_per_draw * share / self.most
            self.frames_per_draw = min(most, max(fewest, math.ceil(fit)))
        self._mark = now, used

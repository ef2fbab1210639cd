"""Which trainings are struck, when, whom and by what, from a number alone."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from itertools import product
from signal import Signals

from reliability.trainings import AGENTS, EMULATORS, METHODS, SEEDS, Training

BLOWS = 3
"""Of a trial, at most."""

EVALUATED = ("--eval-every", "4", "--eval-episodes", "3")
PHASES: dict[str, tuple[str, ...]] = {
    "start": (),
    "play": (),
    "writing": (),
    "evaluation": EVALUATED,
    "end": EVALUATED,
    "watch": ("--watch",),
    "sweep": ("--seeds", *SEEDS),
}
"""Where a run is when it is struck, and the options that bring it there."""

KINDS: tuple[tuple[str, tuple[Signals, ...]], ...] = (
    ("parent", (signal.SIGKILL,)),
    ("group", (signal.SIGINT,)),
    ("worker", (signal.SIGKILL,)),
    ("parent", (signal.SIGTERM,)),
    ("parent", (signal.SIGINT, signal.SIGINT)),
    ("both", (signal.SIGKILL,)),
    ("parent", (signal.SIGHUP,)),
    ("group", (signal.SIGKILL,)),
    ("worker", (signal.SIGTERM,)),
    ("group", (signal.SIGTERM,)),
    ("helper", (signal.SIGKILL,)),
    ("group", (signal.SIGINT, signal.SIGINT)),
    ("group", (signal.SIGHUP,)),
)
"""Who is struck, by what. The parent is the command. Its helpers are the fork server and Python's
resource tracker. A group is what a terminal's Ctrl-C or its end reaches."""


@dataclass(frozen=True)
class Blow:
    """When, whom, by what."""

    phase: str
    target: str
    signals: tuple[Signals, ...]

    @property
    def name(self) -> str:
        """Return the signals in words."""
        return self.signals[0].name + " twice" * (len(self.signals) - 1)

    def __str__(self) -> str:
        return f"{self.name} to {self.target} in {self.phase}"


@dataclass(frozen=True)
class Trial:
    """A training and the blows that it gets, from a number alone."""

    number: int
    training: Training
    blows: tuple[Blow, ...]

    @classmethod
    def of(cls, number: int) -> Trial:
        """Return the trial of a number. The numbers up to 2184 cover every combination."""
        combined = list(product(METHODS, EMULATORS, AGENTS))
        method, emulator, agent = combined[number % len(combined)]
        phase = list(PHASES)[number % len(PHASES)]
        kinds = [KINDS[(number + k) % len(KINDS)] for k in range(BLOWS)]
        method = "forkserver" if phase == "sweep" else method
        training = Training(agent, emulator, method, PHASES[phase])
        return cls(number, training, tuple(Blow(phase, *kind) for kind in kinds))

"""A number that changes during training: ``1e-4``, or ``linear:1.5e-3:1.5e-4:800000``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from fastpong.printable import brief

KINDS = ("linear",)


@dataclass(frozen=True)
class Schedule:
    """Describe a constant, or a line over some steps.

    start, end : values at the beginning and from ``steps`` steps on
    steps      : 0 for a constant
    """

    start: float
    end: float
    steps: int = 0

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read a number, or ``linear:START:END:STEPS``.

        Raises ValueError for anything else.
        """
        if isinstance(value, cls):
            return value
        try:
            if isinstance(value, str) and ":" in value:
                kind, start, end, steps = value.split(":")
                if kind not in KINDS or int(steps) < 1:
                    raise ValueError
                return cls(float(start), float(end), int(steps))
            if isinstance(value, bool) or not isinstance(value, (int, float, str)):
                raise ValueError
            return cls(float(value), float(value))
        except (ValueError, OverflowError):
            raise ValueError(
                f"expected a number or linear:START:END:STEPS, got {brief(value)}"
            ) from None

    def at(self, steps: int) -> float:
        """Return the value after ``steps`` steps of the schedule."""
        if not self.steps:
            return self.start
        done = min(1.0, steps / self.steps)
        if not self.start:
            return done * self.end
        # Rounded, so that 1.5e-3 to 1.5e-4 is a tenth exactly, as it is written.
        share = round(self.end / self.start, 12)
        return self.start * (1 - done * (1 - share))

    def __str__(self) -> str:
        """Return the text that ``parse`` reads."""
        if not self.steps:
            return repr(self.start)
        return f"linear:{self.start!r}:{self.end!r}:{self.steps}"

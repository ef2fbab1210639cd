"""The facts that ALE adds to a cartridge: its start, its controllers and its rewards.

Found by comparing with ale_py as a black box.
"""

from __future__ import annotations

from dataclasses import dataclass

_RANGES = (
    ("reset_frames", 0, 1000),
    ("paddle", -1, 3),
    ("points_to_win", 0, 255),
    ("first_line", 0, 300),
    ("rows", 1, 300),
)
"""Of the facts, by their names: the lowest and the highest value."""


@dataclass(frozen=True)
class ConsoleGame:
    """Describe how ALE plays a cartridge.

    sha256        : of the ROM that lockstep tests cover, empty for none
    reset_frames  : frames with the RESET switch held, after 60 frames untouched
    paddle        : the player's paddle, 0 to 3, or -1 for a joystick
    score_bytes   : RAM addresses of the points for and against the player, or (-1, -1) where
                    rewards and the end of a game are not known
    points_to_win : a game ends when either has so many
    first_line    : the scanline that is the screen's first row
    rows          : of the screen
    actions       : ALE's numbers of the actions that do something, its minimal set

    Raises ValueError for a fact that would lead the console outside its memory.
    """

    sha256: str = ""
    reset_frames: int = 4
    paddle: int = -1
    score_bytes: tuple[int, int] = (-1, -1)
    points_to_win: int = 0
    first_line: int = 34
    rows: int = 210
    actions: tuple[int, ...] = tuple(range(18))

    def __post_init__(self) -> None:
        """Check every fact."""
        for name, lowest, highest in _RANGES:
            value = getattr(self, name)
            if not lowest <= value <= highest:
                raise ValueError(f"{name}: expected {lowest} to {highest}, got {value}")
        if self.score_bytes != (-1, -1) and not all(0 <= byte < 128 for byte in self.score_bytes):
            raise ValueError(
                f"score_bytes: expected two addresses of RAM, 0 to 127, or (-1, -1), "
                f"got {self.score_bytes}"
            )


PONG = ConsoleGame(
    sha256="41623e3c26148f96cbe77d56512845d224a63c8fe5bf90e38527155e39ec96d3",
    reset_frames=12,
    paddle=1,
    score_bytes=(14, 13),
    points_to_win=21,
    actions=(0, 1, 3, 4, 11, 12),
)

COVERED = {"pong": PONG}
"""Games whose RAM, screen and rewards equal ale_py's in the lockstep tests, by ROM."""

"""The facts that ALE adds to a cartridge: its start, its controllers and its rewards.

Found by comparing with ale_py as a black box.
"""

from __future__ import annotations

from dataclasses import dataclass


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
    """

    sha256: str = ""
    reset_frames: int = 4
    paddle: int = -1
    score_bytes: tuple[int, int] = (-1, -1)
    points_to_win: int = 0
    first_line: int = 34
    rows: int = 210
    actions: tuple[int, ...] = tuple(range(18))


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

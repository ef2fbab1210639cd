"""The facts of each game. A second game goes here.

Add a ``GameSpec`` beside ``PONG`` and name it in the game's rows of ``variants.VARIANTS``. The
emulator, the players, the logs' scales and the plots read every fact of a game from there. The
compiled encoders are made for Pong's geometry, so a game with another one needs encoders of its
own.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastpong import geometry
from fastpong.geometry import BACKGROUND_REDS, Geometry


@dataclass(frozen=True)
class GameSpec:
    """Describe a game: its ROM, screen, actions and scores.

    rom                  : ale_py's name of the ROM
    geometry             : the field on the screen
    actions              : ALE's numbers of all actions that do something in this game
    move_actions         : ALE's numbers that an agent of two actions plays for 0 and for 1
    mirror_swaps_actions : the game upside down is the game with ``move_actions`` exchanged
    background_reds      : red values of the colours that are background
    score_range          : lowest and highest score of an episode
    point_ends_return    : a discounted return ends at the next point, won or lost
    """

    rom: str
    geometry: Geometry
    actions: tuple[int, ...]
    move_actions: tuple[int, int]
    mirror_swaps_actions: bool
    background_reds: tuple[int, ...]
    score_range: tuple[int, int]
    point_ends_return: bool

    @property
    def worst_score(self) -> int:
        """Return the lowest score of an episode."""
        return self.score_range[0]

    @property
    def best_score(self) -> int:
        """Return the highest score of an episode."""
        return self.score_range[1]


PONG = GameSpec(
    rom="pong",
    geometry=geometry.PONG,
    # NOOP, FIRE, RIGHT, LEFT, RIGHTFIRE, LEFTFIRE. ALE's 2, UP, never moves Pong's paddle.
    actions=(0, 1, 3, 4, 11, 12),
    move_actions=(4, 3),  # LEFT and RIGHT
    mirror_swaps_actions=True,
    background_reds=BACKGROUND_REDS,
    score_range=(-21, 21),
    point_ends_return=True,
)
"""Pong against the game's own player, first to 21 points."""

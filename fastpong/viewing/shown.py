"""Agents to be shown: loaded weights, with words about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastpong.agents.protocol import Chance
from fastpong.envs.draws import EVAL
from fastpong.printable import counted
from fastpong.settings.config import default_backend
from fastpong.training.evaluation import restore
from fastpong.viewing.games import Watcher

if TYPE_CHECKING:
    from fastpong.arrays import Arrays
    from fastpong.envs.machine import Machine
    from fastpong.storage.finding import Found
    from fastpong.training.evaluation import Player


@dataclass(frozen=True)
class Shown:
    """Hold an agent to be shown, with its weights."""

    found: Found
    player: Player
    parameters: Arrays

    @property
    def about(self) -> str:
        """Return a line about it."""
        player, after = self.player, counted(self.found.episode, "episode")
        return f"{self.found.path}: {player.agent} after {after}, plays {player.place}"

    @property
    def trained(self) -> str:
        """Return how long it was trained, in words."""
        episodes = counted(self.found.episode, "episode")
        counters = getattr(self.found, "manifest", {}).get("counters", {})
        seconds = float(counters.get("wall_seconds", 0))
        return f"{episodes}, {_duration(seconds)}" if seconds else episodes

    def watcher(self, machine: Machine | None = None) -> Watcher:
        """Return a player of the episodes of ``fastpong eval``, or of some on another machine."""
        player = self.player
        chance = Chance(player.seed, EVAL, player.greedy)
        return Watcher(player.plan().stages[player.stage], self.parameters, chance, machine)


def load_shown(
    found: Found,
    *,
    seed: int = 0,
    greedy: bool = False,
    env: str | None = None,
    emulator: str | None = None,
    backend: str | None = None,
) -> Shown:
    """Load an agent to be shown.

    env, emulator : others than the run's
    backend       : kernels to compute with, by default the best there are

    Raises CheckpointError and EmulatorError as ``restore``.
    """
    player, parameters = restore(
        found, backend or default_backend(), env=env, seed=seed, greedy=greedy, emulator=emulator
    )
    return Shown(found, player, parameters)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"

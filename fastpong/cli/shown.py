"""Agents that commands show: a run's, a checkpoint's or pretrained ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastpong.cli.checkpoints import default_agent, find_checkpoint

if TYPE_CHECKING:
    from fastpong.arrays import Arrays
    from fastpong.envs.machine import Machine
    from fastpong.storage.finding import Found
    from fastpong.training.evaluation import Player
    from fastpong.viewing.games import Watcher


@dataclass(frozen=True)
class Shown:
    """Hold an agent to be shown, with its weights."""

    found: Found
    player: Player
    parameters: Arrays

    @property
    def about(self) -> str:
        """Return a line about it."""
        found, player = self.found, self.player
        return f"{found.path}: {player.agent} after {found.episode:,} episodes, plays {player.env}"

    @property
    def trained(self) -> str:
        """Return how long it was trained, in words."""
        episodes = f"{self.found.episode:,} episodes"
        counters = getattr(self.found, "manifest", {}).get("counters", {})
        seconds = float(counters.get("wall_seconds", 0))
        return f"{episodes}, {_duration(seconds)}" if seconds else episodes

    def watcher(self, machine: Machine | None = None) -> Watcher:
        """Return a player of the episodes of ``fastpong eval``, or of some on another machine."""
        from fastpong.agents.protocol import Chance
        from fastpong.envs.draws import EVAL
        from fastpong.viewing.games import Watcher

        player = self.player
        chance = Chance(player.seed, EVAL, player.greedy)
        return Watcher(player.plan().stages[player.stage], self.parameters, chance, machine)


def find_shown(
    run: Path | None,
    episode: int | None,
    *,
    seed: int,
    greedy: bool,
    env: str | None = None,
    emulator: str | None = None,
    backend: str | None = None,
) -> Shown:
    """Load an agent to be shown.

    run     : as for ``find_checkpoint``. None: the newest run under runs/, else pretrained weights
    episode : of the run's checkpoint. None: the newest

    Raises click.UsageError without anything to show, CheckpointError and EmulatorError as
    ``restore``.
    """
    from fastpong.settings.config import default_backend
    from fastpong.training.evaluation import restore

    path = run or default_agent()
    found = find_checkpoint(path if episode is None else _checkpoint_of(path, episode))
    player, parameters = restore(
        found, backend or default_backend(), env=env, seed=seed, greedy=greedy, emulator=emulator
    )
    return Shown(found, player, parameters)


def _checkpoint_of(run: Path, episode: int) -> Path:
    """Return the file of a run's checkpoint."""
    directory = run / "checkpoints"
    path = directory / f"{episode:08d}.json"
    if path.exists():
        return path
    there = sorted(int(file.stem) for file in directory.glob("*.json") if file.stem.isdigit())
    if not there:
        raise click.UsageError(f"--checkpoint: expected a run with checkpoints, got {run}")
    raise click.UsageError(
        f"--checkpoint: expected an episode that {run} has a checkpoint of, "
        f"{', '.join(map(str, there))}, got {episode}"
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"

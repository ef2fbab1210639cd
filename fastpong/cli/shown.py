"""Agents that commands show: a run's, a checkpoint's or pretrained ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastpong.cli.checkpoints import default_agent, find_checkpoint

if TYPE_CHECKING:
    from fastpong.viewing.shown import Shown


def find_shown(
    run: Path | None,
    checkpoint: str | None,
    *,
    seed: int,
    greedy: bool,
    env: str | None = None,
    emulator: str | None = None,
    backend: str | None = None,
) -> Shown:
    """Load an agent to be shown.

    run        : as for ``find_checkpoint``. None: the newest run under runs/, else pretrained ones
    checkpoint : episode or file of the run's checkpoint. None: the newest

    Raises click.UsageError without anything to show, CheckpointError and EmulatorError as
    ``restore``.
    """
    from fastpong.viewing.shown import load_shown

    found = find_checkpoint(run or default_agent(), checkpoint)
    return load_shown(found, seed=seed, greedy=greedy, env=env, emulator=emulator, backend=backend)

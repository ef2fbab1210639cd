"""The words at the end of a training, with the command that goes on with it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fastpong.cli.display import announce
from fastpong.printable import counted

if TYPE_CHECKING:
    from fastpong.cli.interrupt import Interrupt
    from fastpong.storage.checkpoint import Checkpoint
    from fastpong.storage.run import Run, RunError
    from fastpong.training.session import Outcome


def resume_command(directory: Path, words: Sequence[object]) -> str:
    """Return the command that goes on with a run or a sweep.

    words : further options. Those that the run keeps in its settings need not be among them
    """
    quoted = (shlex.quote(str(word)) for word in (directory, *words))
    return f"fastpong train --resume {' '.join(quoted)}"


def nothing_left(run: Run, found: Checkpoint, words: Sequence[str]) -> str | None:
    """Explain why a run is over. None: it is not.

    words : options for the command to train on, besides those that move the limits
    """
    from fastpong.training.periodic import lacks_last
    from fastpong.training.session import goal_of

    config, counters = run.config, found.manifest["counters"]
    if lacks_last(run, counters):
        return None
    reasons: list[str] = []
    more: list[object] = []
    episodes = counted(found.episode, "episode")
    if found.episode >= config.episodes:
        reasons.append(f"has {episodes}, and {config.episodes:,} were asked for")
        more += ["--episodes", 2 * max(found.episode, 1)]
    limit, steps = config.total_timesteps, counters["total_steps"]
    if limit is not None and steps >= limit:
        reasons.append(f"has {counted(steps, 'step')}, and {limit:,} were asked for")
        more += ["--total-timesteps", 2 * steps]
    if goal_of(config).reached(counters):
        reasons.append(
            f"has reached a mean return of {config.until:g} over "
            f"{counted(config.until_episodes, 'episode')} after {episodes}"
        )
        more += ["--until", "never"]
    if not reasons:
        return None
    command = resume_command(run.directory, [*more, *words])
    return f"{run.directory} {', '.join(reasons)}; to train on: {command}"


def report(run: Run, outcome: Outcome, interrupt: Interrupt, words: Sequence[str]) -> int:
    """Announce the checkpoint, and return the exit status.

    words : options for the command to go on
    """
    config = run.config
    manifest = run.directory / "checkpoints" / f"{outcome.saved:08d}.json"
    where = str(manifest) if outcome.saved >= 0 else "none, see above"
    if outcome.reached:
        announce(
            f"reached a mean return of {config.until:g} over the last "
            f"{counted(config.until_episodes, 'episode')}"
        )
    _report_best(run)
    if outcome.unsaved:
        raise _unsaved(run, outcome, where, words)
    if outcome.finished:
        trained = f"{counted(outcome.episode, 'episode')}, {counted(outcome.steps, 'step')}"
        announce(f"trained {trained}; checkpoint {where}")
        announce(f"to see how well it plays: fastpong eval {shlex.quote(str(run.directory))}")
        return 0
    announce(f"stopped by {interrupt.name} after episode {outcome.episode:,}; checkpoint {where}")
    announce(f"to go on: {resume_command(run.directory, words)}")
    return interrupt.status


def _unsaved(run: Run, outcome: Outcome, where: str, words: Sequence[str]) -> RunError:
    """Return the error of a run whose last checkpoint could not be saved.

    It is raised, and so the last line of all.
    """
    from fastpong.storage.run import RunError

    trained = f"{counted(outcome.episode, 'episode')}, {counted(outcome.steps, 'step')}"
    cause, way = "the last checkpoint could not be saved", "make room, then"
    if run.diverged:
        cause, way = "training diverged", "with a smaller --learning-rate"
    there = f"there is no checkpoint; {way} begin again"
    if outcome.saved >= 0:
        there = (
            f"the newest checkpoint is of episode {outcome.saved:,}, {where}; {way} train on: "
            f"{resume_command(run.directory, words)}"
        )
    return RunError(f"trained {trained}, but {cause}, and {there}")


def _report_best(run: Run) -> None:
    """Announce the best weights, if the run is evaluated."""
    from fastpong.storage.checkpoint import CheckpointError
    from fastpong.training.periodic import BEST, read_best

    if run.config.eval_every is None:
        return
    with suppress(CheckpointError):
        if (best := read_best(run.directory)) is not None:
            announce(
                f"best evaluation {best.mean:+.2f}, after episode {best.episode:,}; weights "
                f"{run.directory / BEST}"
            )

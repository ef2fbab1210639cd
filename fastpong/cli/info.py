"""The command ``fastpong info``: facts for a bug report, or about an agent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastpong.cli.checkpoints import PATH, find_checkpoint
from fastpong.cli.display import say_table
from fastpong.cli.ending import resume_command
from fastpong.cli.figures import clock
from fastpong.printable import counted

if TYPE_CHECKING:
    from fastpong.storage.checkpoint import Checkpoint
    from fastpong.storage.logs import Row

WINDOW = 40
"""Episodes of the mean return."""


@click.command(short_help="Print versions for a bug report, or facts about a run.")
@click.argument("run", type=PATH, required=False)
def info(run: Path | None) -> int:
    """Print versions, CPU and kernels for a bug report, or facts about a run.

    RUN is as for fastpong eval. Its environment is printed as the call of gymnasium.make that
    equals it.
    """
    say_table(_machine() if run is None else _agent(run))
    return 0


def _machine() -> dict[str, str]:
    from fastpong import kernels
    from fastpong.settings.config import available_cores, default_backend
    from fastpong.storage.versions import versions

    backend = default_backend()
    found = versions(backend)
    for name in ("time", "backend"):
        del found[name]
    usable = [name for name in kernels.MODULES if _loads(name)]
    table = {name: str(value) for name, value in found.items() if value is not None}
    table["cores usable"] = str(available_cores())
    table["backends"] = ", ".join(usable) + f" (default: {backend})"
    table["emulator"] = _emulator()
    return table


def _agent(run: Path) -> dict[str, str]:
    """Describe an agent and its environment, and the run that it is of."""
    from fastpong.settings.config import default_backend
    from fastpong.storage.checkpoint import Checkpoint
    from fastpong.training.trained import read_trained

    found = find_checkpoint(run)
    trained = read_trained(found, default_backend())
    config, number, count = trained.config, trained.stage + 1, len(trained.config.stages)
    stage = config.stages[trained.stage]
    table = {
        "agent": stage.agent,
        "checkpoint": str(trained.path),
        "trained": f"{counted(trained.episode, 'episode')}, {counted(trained.steps, 'step')}",
        "environment": config.env,
        "in gymnasium": trained.planned.variant.gymnasium_make,
        "recipe": config.recipe or "none",
    }
    if config.init_from is not None:
        table["begun with"] = f"the weights of {config.init_from}"
    if count > 1:
        table["stage"] = f"{number} of {count}: {stage.about}"
    table["seed"] = str(config.seed)
    if isinstance(found, Checkpoint):
        table["wall time"] = clock(found.manifest["counters"]["wall_seconds"])
        if run.is_dir():
            table |= _run(run, found)
    return table


def _run(run: Path, found: Checkpoint) -> dict[str, str]:
    """Describe the state of a run, and how well it plays."""
    from fastpong.storage.sweep import read_rows
    from fastpong.training.periodic import read_best

    rows, best = read_rows(run, newest=True), read_best(run)
    recent = [row.score for row in rows[-WINDOW:]]
    table = {"state": _state(run, found, rows)}
    if recent:
        mean = sum(recent) / len(recent)
        table["mean return"] = f"{mean:+.2f}, of the last {counted(len(recent), 'episode')}"
    table["best evaluation"] = "none, trained without --eval-every"
    if best is not None:
        games = counted(best.eval_episodes, "episode")
        table["best evaluation"] = f"{best.mean:+.2f} of {games}, after episode {best.episode:,}"
    return table


def _state(run: Path, found: Checkpoint, rows: Sequence[Row]) -> str:
    """Return whether a run goes on, has ended, or can be resumed."""
    from fastpong.settings.config import Config
    from fastpong.storage.evaluations import read_evaluations
    from fastpong.storage.finding import CONFIG
    from fastpong.storage.reading import is_training, read_facts
    from fastpong.training.session import goal_of

    if is_training(run):
        return f"running, at episode {rows[-1].episode if rows else 0:,}"
    counters, path = found.manifest["counters"], run / CONFIG
    config = read_facts(run).config if path.is_file() else Config.stored(found.manifest["config"])
    judged = [row.total_steps for row in read_evaluations(run)]
    missing = config.eval_every is not None and (judged or [0])[-1] < counters["total_steps"]
    if goal_of(config).over(counters) and not missing:
        return "ended"
    return f"interrupted; to go on: {resume_command(run, ())}"


def _emulator() -> str:
    """Describe the emulator that training plays on."""
    from fastpong.console.cartridge import EmulatorError
    from fastpong.envs.choice import why_not_console
    from fastpong.envs.games import PONG

    try:
        obstacle = why_not_console(PONG.rom)
    except EmulatorError as error:
        return f"none: {error}"
    return f"ale: {obstacle}" if obstacle else f"console, fastpong's own, for the ROM {PONG.rom}"


def _loads(backend: str) -> bool:
    from fastpong import kernels

    try:
        kernels.get_backend(backend)
    except ImportError:
        return False
    return True

"""The command ``fastpong info``: facts for a bug report, or about an agent."""

from __future__ import annotations

from pathlib import Path

import click

from fastpong.cli.checkpoints import PATH, find_checkpoint
from fastpong.cli.display import say_table


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
    """Describe an agent and its environment."""
    from fastpong.settings.config import default_backend
    from fastpong.training.trained import read_trained

    trained = read_trained(find_checkpoint(run), default_backend())
    config, number, count = trained.config, trained.stage + 1, len(trained.config.stages)
    stage = config.stages[trained.stage]
    table = {
        "agent": stage.agent,
        "checkpoint": str(trained.path),
        "trained": f"{trained.episode:,} episodes, {trained.steps:,} steps",
        "environment": config.env,
        "in gymnasium": trained.planned.variant.gymnasium_make,
        "recipe": config.recipe or "none",
    }
    if config.init_from is not None:
        table["begun with"] = f"the weights of {config.init_from}"
    if count > 1:
        table["stage"] = f"{number} of {count}: {stage.about}"
    return table


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

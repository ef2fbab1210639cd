"""The command ``fastpong info``: facts for a bug report."""

from __future__ import annotations

import click

from fastpong.cli.display import say_table


@click.command()
def info() -> int:
    """Print versions, CPU and kernels for a bug report."""
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
    say_table(table)
    return 0


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

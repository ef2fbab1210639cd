"""Every way to run the console, for tests that run each of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from fastpong.console.cartridge import load_rom
from fastpong.console.games import COVERED
from fastpong.console.lockstep import Console, Lockstep
from fastpong.console.machine import Cartridge, Machine
from fastpong.console.translate.translation import attach, is_supported
from fastpong.envs.ale import AleMachine

MAX_FRAMES = 108_000


@cache
def cartridge() -> Cartridge:
    """Return Pong without machine code."""
    return Cartridge(load_rom("pong"))


def interpreter(max_frames: int) -> Console:
    return Machine(cartridge(), COVERED["pong"], max_frames)


def translated(max_frames: int) -> Console:
    return Machine(translated_cartridge(), COVERED["pong"], max_frames)


@cache
def translated_cartridge() -> Cartridge:
    made = Cartridge(load_rom("pong"))
    attach(made, background=False)
    assert made.translated
    return made


CONSOLES: dict[str, Callable[[int], Console]] = {"interpreter": interpreter}
"""Makers of Pong machines by their names."""
if is_supported():
    CONSOLES["translated"] = translated


def consoles(max_frames: int = MAX_FRAMES) -> dict[str, Console]:
    """Return one of each kind."""
    return {name: make(max_frames) for name, make in CONSOLES.items()}


def pong(max_frames: int = MAX_FRAMES) -> Lockstep:
    """Return Pong on ALE and on all consoles."""
    return Lockstep(AleMachine("pong", max_frames).ale, consoles(max_frames))

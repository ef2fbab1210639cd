"""Programs of our own on ale_py and on the console: equal RAM and screens, frame for frame."""

from __future__ import annotations

import hashlib

import black_box
import numpy as np
import pytest
from cpu_cases import opcodes, programs, registers
from probes import Probe, probes

from fastpong.console.cartridge import Rom
from fastpong.console.games import ConsoleGame
from fastpong.console.machine import Cartridge, Machine

GAME = ConsoleGame(reset_frames=black_box.FRAMES_OF_RESET)


def run(rom: bytes, actions: tuple[int, ...]) -> black_box.Trace:
    """Run a program on the console, as ``black_box.run`` does on ale_py."""
    data = Rom("probe", rom, hashlib.sha256(rom).hexdigest())
    machine = Machine(Cartridge(data), GAME, 108_000)
    screen = np.empty(machine.screen_shape, np.uint8)

    def read_screen() -> np.ndarray:
        machine.read_screen(screen)
        return screen.copy()

    ram, screens = [machine.read_ram()], [read_screen()]
    for action in actions:
        machine.act(action)
        ram.append(machine.read_ram())
        screens.append(read_screen())
    return black_box.Trace(np.array(ram), np.array(screens))


def same(rom: bytes, actions: tuple[int, ...]) -> None:
    want, got = black_box.run(rom, actions), run(rom, actions)
    np.testing.assert_array_equal(got.ram[1:], want.ram[1:])
    np.testing.assert_array_equal(got.screens[1:], want.screens[1:])


@pytest.mark.parametrize("name", probes())
def test_a_probe_shows_the_same(name: str) -> None:
    probe: Probe = probes()[name]
    same(probe.rom, probe.actions)


CASES = [(code, r) for code in (*opcodes(), *opcodes(unstable=True)) for r in registers(code, 4)]


@pytest.mark.parametrize("rom", list(programs(CASES)), ids=lambda rom: rom[:4].hex())
def test_every_instruction_does_the_same(rom: bytes) -> None:
    same(rom, (0,) * 3)

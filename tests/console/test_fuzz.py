"""No cartridge and no saved state makes the console leave its memory or hang."""

from __future__ import annotations

import hashlib
import itertools
from functools import cache
from pathlib import Path
from typing import Any

import fuzzing
import numpy as np
import pytest
from consoles import CONSOLES, MAX_FRAMES
from hypothesis import example, given
from hypothesis import strategies as st

from fastpong.console.cartridge import Rom
from fastpong.console.games import ConsoleGame
from fastpong.console.lockstep import Console
from fastpong.console.machine import Cartridge, Machine

CARTRIDGES = 60
"""About 5 s. `benchmarks/fuzz_console.py` runs as many as there is time for."""


def test_random_cartridges_and_damaged_states_under_sanitizers(tmp_path: Path) -> None:
    program = fuzzing.build(tmp_path)
    if program is None:
        pytest.skip("no C compiler with -fsanitize=address")
    assert f"cartridges {CARTRIDGES}," in fuzzing.run(program, 90, 0, CARTRIDGES)


def machine_of(data: bytes, game: ConsoleGame) -> Any:
    rom = Rom("random", data, hashlib.sha256(data).hexdigest())
    return Machine(Cartridge(rom), game, MAX_FRAMES)


@pytest.mark.parametrize("seed", range(8))
def test_a_cartridge_of_random_bytes(seed: int) -> None:
    """The extension as it is built: in the debug build with traps."""
    rng = np.random.default_rng(seed)
    game = ConsoleGame(
        reset_frames=seed, paddle=seed % 5 - 1, score_bytes=(127, 0), points_to_win=3
    )
    first, second = (
        machine_of(data, game)
        for data in [rng.integers(0, 256, 2048 << seed % 2, np.uint8).tobytes()] * 2
    )
    screens = np.zeros((2, 210, 160), np.uint8)
    for _ in range(50):
        actions = rng.integers(0, 18, 2, np.uint8).tobytes()
        assert first.play(actions) == second.act(actions[0]) + second.act(actions[1])
        for machine, screen in zip((first, second), screens, strict=True):
            machine.read_screen(screen)
        assert np.array_equal(*screens)
        assert np.array_equal(first.read_ram(), second.read_ram())
        if first.over:
            assert second.over
            first.reset_game()
            second.reset_game()


@pytest.mark.parametrize("first", range(0, 256, 32))
def test_an_opcode_all_over_the_cartridge(first: int) -> None:
    """Each of them takes time, wherever it is, so that every frame ends."""
    for opcode, operand in itertools.product(range(first, first + 32), (0x00, 0x3F, 0xFF)):
        data = bytes([opcode, operand] * 1022) + bytes([0, 0xF0, 0x80, 0x00])
        machine = machine_of(data, ConsoleGame(reset_frames=1))
        machine.act(0)
        assert machine.frames == 1


def damaged(saved: bytes, at: int, value: bytes) -> bytes:
    """Return a state with other bytes and the digest that fits them."""
    head = len(saved) - STATE
    body = bytearray(saved[head:])
    body[at : at + len(value)] = value
    return saved[: head - 8] + hashlib.sha256(bytes(body)).digest()[:8] + bytes(body)


@cache
def console(name: str = "interpreter") -> Console:
    """Return one console for all examples."""
    return CONSOLES[name](MAX_FRAMES)


HEAD = len(b"fastpong console 1\n") + 8
STATE = len(console().save()) - HEAD


@given(
    st.sampled_from(list(CONSOLES)),
    st.integers(0, 3000),
    st.lists(
        st.tuples(st.integers(0, STATE - 1), st.binary(min_size=1, max_size=8)),
        min_size=1,
        max_size=4,
    ),
)
@example("interpreter", 0, [(0, b"\xff")])
def test_a_damaged_state_is_refused_or_harmless(
    name: str, frames: int, damages: list[tuple[int, bytes]]
) -> None:
    machine = console(name)
    machine.reset_game()
    machine.play(bytes([3]) * (frames % 200 + 1))
    saved = machine.save()
    for at, value in damages:
        saved = damaged(saved, at, value[: STATE - at])
    try:
        machine.restore(saved)
    except ValueError:
        return
    for _ in range(3):
        machine.act(4)
    machine.restore(machine.save())


@pytest.mark.parametrize(
    "value", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80"]
)
@pytest.mark.parametrize("name", CONSOLES)
def test_every_word_of_a_state_at_its_extremes(name: str, value: bytes) -> None:
    machine = console(name)
    machine.reset_game()
    saved = machine.save()
    for at in range(0, STATE, 4):
        try:
            machine.restore(damaged(saved, at, value[: STATE - at]))
        except ValueError:
            continue
        machine.act(3)
        machine.restore(machine.save())


def test_a_state_that_was_cut_off_or_changed() -> None:
    machine = console()
    saved = machine.save()
    for wrong in (b"", saved[:-1], saved + b"\0", b"x" + saved[1:], saved.replace(b"1\n", b"2\n")):
        with pytest.raises(ValueError, match=r"^saved: expected \d+ bytes"):
            machine.restore(wrong)
    changed = saved[:-1] + bytes([saved[-1] ^ 1])
    with pytest.raises(ValueError, match="got damaged ones"):
        machine.restore(changed)


@pytest.mark.parametrize(
    "wrong",
    [
        {"score_bytes": (128, 0)},
        {"score_bytes": (0, -2)},
        {"score_bytes": (-1, 3)},
        {"paddle": 4},
        {"rows": 0},
        {"rows": 100_000},
        {"first_line": -1},
        {"reset_frames": -1},
        {"points_to_win": 256},
    ],
)
def test_a_game_outside_the_consoles_memory(wrong: dict[str, Any]) -> None:
    name = next(iter(wrong))
    with pytest.raises(ValueError, match=f"^{name}: expected .* got "):
        ConsoleGame(**wrong)


def test_a_cartridge_of_another_size() -> None:
    with pytest.raises(ValueError, match="expected a cartridge of 2048 or 4096 bytes, got 8192"):
        machine_of(bytes(8192), ConsoleGame())

"""Fuzzers of compiled code: kernels with odd arguments, the console with random cartridges.

``fuzz_NAME(seconds, seed)`` returns the number of inputs that it tried, and raises at the first
fault, with the words that repeat it. A crash ends the process.
"""

from __future__ import annotations

import hashlib
import re
import time
import warnings
from typing import Any

import numpy as np
import odd_values
from kernel_cases import ALL_BACKENDS, CASES, Case, declaration, kernel_case, step_buffers
from random_programs import random_rom

from fastpong import kernels
from fastpong.console.cartridge import Rom
from fastpong.console.games import ConsoleGame
from fastpong.console.machine import Cartridge, Machine
from fastpong.kernels import checks
from fastpong.kernels.numbers import MOST_PIXELS, Size

NAMED = re.compile(r"^[A-Za-z_]\w*(\.\w+|\[\d+\])?( of share \d+)?: ")
"""How a message begins: with the argument."""

FRAMES = 60
HEAD = len(b"fastpong console 1\n") + 8
"""Bytes of a saved state before the state itself."""


class Fault(AssertionError):
    """Report an input that was neither taken nor refused as it should be."""


# --- kernels ------------------------------------------------------------------------------------


def fuzz_kernels(seconds: float, seed: int, backends: tuple[str, ...] = ALL_BACKENDS) -> int:
    """Call declared kernels with bent arguments.

    They return, or raise TypeError or ValueError that begins with an argument's name.
    """
    ends, tried = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        bend_a_call(seed, tried, backends)
        tried += 1
    return tried


def bend_a_call(seed: int, number: int, backends: tuple[str, ...] = ALL_BACKENDS) -> None:
    """Make one call with up to three bent arguments."""
    rng = np.random.default_rng((seed, number))
    name = CASES[rng.integers(len(CASES))]
    backend = backends[rng.integers(len(backends))]
    case = kernel_case(name, ("f4", "f8")[rng.integers(2)])
    bent = [_bend(rng, name, case) for _ in range(rng.integers(1, 4))]
    words = f"seed {seed}, number {number}: {name} by {backend} with another {', '.join(bent)}"
    check_refusal(lambda: case.call(kernels.get_backend(backend), bool(rng.random() < 0.7)), words)


def _bend(rng: np.random.Generator, name: str, case: Case) -> str:
    """Bend an argument, and return its name."""
    parts = [case.inputs, case.outputs, case.scalars]
    held = [(part, key) for part in parts for key in part]
    part, key = held[rng.integers(len(held))]
    value = odd_values.bent(rng, part[key])
    item = next(item for item in declaration(name).flat() if item.name == key)
    # A picture of 32,767 squared is allowed, and takes a second.
    if not (isinstance(item, Size) and _is_large(value)):
        part[key] = value
    return key


def _is_large(size: Any) -> bool:
    numbers = size if isinstance(size, tuple) else (size,)
    return any(checks.is_whole(number) and 300 < number <= MOST_PIXELS for number in numbers)


def check_refusal(call: Any, words: str, named: bool = True) -> Any:
    """Call, and return (True, result), or (False, None) for a proper refusal."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return True, call()
    except (TypeError, ValueError) as error:
        if named and not NAMED.match(str(error)):
            raise Fault(f"{words}: a {type(error).__name__} without a name: {error}") from error
        return False, None
    except MemoryError:
        return False, None
    except Exception as error:
        raise Fault(f"{words}: {type(error).__name__}: {error}") from error


def fuzz_steps(seconds: float, seed: int, backends: tuple[str, ...] = ALL_BACKENDS) -> int:
    """Bind ``policy_step`` to bent buffers, and step where they are taken."""
    ends, tried = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        rng = np.random.default_rng((seed, tried))
        backend = backends[rng.integers(len(backends))]
        buffers: dict[str, Any] = dict(step_buffers(("f4", "f8")[rng.integers(2)]))
        key = list(buffers)[rng.integers(len(buffers))]
        buffers[key] = odd_values.bent(rng, buffers[key])
        words = f"seed {seed}, number {tried}: policy_step by {backend} with another {key}"
        bind = kernels.get_backend(backend).policy_step
        taken, step = check_refusal(lambda: bind(**buffers), words)  # noqa: B023
        for t in (0, 1, 2, 3, 2**40, -1) if taken else ():
            check_refusal(lambda: step(t, 0.5), words, named=False)  # noqa: B023
        tried += 1
    return tried


# --- the console --------------------------------------------------------------------------------


def fuzz_cartridges(seconds: float, seed: int) -> int:
    """Play random cartridges on the console, and restore damaged states.

    Frames played at once are those played one by one, and a state that was saved goes on as it did.
    """
    ends, tried = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        play_a_cartridge(seed, tried)
        tried += 1
    return tried


def play_a_cartridge(seed: int, number: int) -> None:
    """Play one random cartridge."""
    rng = np.random.default_rng((seed, number))
    game = ConsoleGame(
        reset_frames=int(rng.integers(0, 8)),
        paddle=int(rng.integers(-1, 4)),
        score_bytes=(int(rng.integers(0, 128)), int(rng.integers(0, 128))),
        points_to_win=int(rng.integers(1, 30)),
    )
    rom = _random_rom(rng)
    one, other = (Machine(Cartridge(rom), game, 10**6) for _ in range(2))
    words = f"seed {seed}, number {number}: {rom.name}"
    for _ in range(FRAMES // 2):
        actions = rng.integers(0, 18, 2, np.uint8).tobytes()
        if one.play(actions) != sum(other.act(action) for action in actions):
            raise Fault(f"{words}: other rewards frame by frame")
        if one.over != other.over or not np.array_equal(one.read_ram(), other.read_ram()):
            raise Fault(f"{words}: another memory frame by frame")
        if one.over:
            one.reset_game()
            other.reset_game()
    saved = one.save()
    other.restore(saved)
    if other.save() != saved:
        raise Fault(f"{words}: a restored state is another one")
    _restore_damaged(rng, other, saved)


def _random_rom(rng: np.random.Generator) -> Rom:
    """Return random bytes, or random instructions that end their frames as games do."""
    if rng.random() < 0.5:
        return random_rom(int(rng.integers(2**31)))
    data = rng.integers(0, 256, 2048 << rng.integers(2), np.uint8).tobytes()
    return Rom("random bytes", data, hashlib.sha256(data).hexdigest())


def _restore_damaged(rng: np.random.Generator, machine: Machine, saved: bytes) -> None:
    """Restore states with other bytes and the digest that fits them: refused, or harmless."""
    for _ in range(4):
        body = bytearray(saved[HEAD:])
        for at in rng.integers(0, len(body), rng.integers(1, 5)):
            body[at] = rng.integers(256)
        digest = hashlib.sha256(bytes(body)).digest()[:8]
        try:
            machine.restore(saved[: HEAD - 8] + digest + bytes(body))
        except ValueError:
            continue
        machine.play(bytes(rng.integers(0, 18, 3, np.uint8)))
        machine.restore(machine.save())

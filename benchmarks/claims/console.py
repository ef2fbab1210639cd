"""Claim k: the console emulates ten times as many frames a second as ale-py."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from measure import Effort, Report, Table, alternate, figure, quartiles, ratios
from programs.emulators import LEFT, RIGHT, Bare, load

from fastpong.console.cartridge import load_rom
from fastpong.console.games import COVERED
from fastpong.console.machine import Cartridge, Machine, play_all
from fastpong.console.translate.translation import attach

# rounds, frames of one console a round, seconds of bare emulators a round
PLAN = {"quick": (1, 400, 0.2), "normal": (3, 8_000, 1.0), "full": (9, 20_000, 2.0)}
MAX_FRAMES, FRAME_SKIP, CONSOLES = 108_000, 4, 16

HOW = """\
Pong, one game after the other. ale-py: `ale.act` at frameskip 1, `game_over()` after each frame,
nothing read from the screen, which ALE draws all the same. The console: `Machine.play` with the
frames of a step, of which it draws the last one, that is every fourth frame, or each one where the
step has one frame. \"Interpreter\" is what runs where nothing can be compiled, \"translated\" the
ROM as machine code. In the last rows 16 consoles are played by `play_all`, on one thread and on
two, against one and two processes of ale-py. Screens, RAM and rewards are compared with ale-py's
for the first frames before anything is timed."""


def measure(effort: Effort) -> Report:
    """Check, then measure."""
    rounds, frames, seconds = PLAN[effort]
    interpreter, translated = cartridge(False), cartridge(True)
    check(interpreter, translated)
    with Bare(1) as one, Bare(2) as two:
        bare: dict[str, Callable[[], float]] = {
            "ale-py": partial(one.window, seconds),
            "ale-py, 2 processes": partial(two.window, seconds),
        }
        rates = alternate(
            bare
            | {
                f"{name}, {drawn}": partial(single, machine(rom), skip, frames)
                for name, rom in (("interpreter", interpreter), ("translated", translated))
                for drawn, skip in (("every 4th frame", FRAME_SKIP), ("every frame", 1))
            }
            | {
                f"16 translated, {threads} thread" + "s" * (threads > 1): partial(
                    many, [machine(translated) for _ in range(CONSOLES)], threads, frames
                )
                for threads in (1, 2)
            },
            rounds,
        )
    ale = rates["ale-py"]
    targets = {
        "translated, every 4th frame": 11.0,
        "interpreter, every 4th frame": 6.0,
        "16 translated, 1 thread": 10.0,
    }
    figures = [
        figure(f"{name} / ale-py", ratios(rates[name], ale), at_least=targets.get(name))
        for name in rates
        if not name.startswith("ale-py") and "threads" not in name
    ]
    name = "16 translated, 2 threads"
    below = rates["ale-py, 2 processes"]
    figures.append(figure(f"{name} / ale-py, 2 processes", ratios(rates[name], below), at_least=10))
    rows = []
    for what, values in rates.items():
        low, middle, high = quartiles(values)
        spread = f"{low:,.0f} to {high:,.0f}"
        rows.append([what, f"{middle:,.0f}", spread, f"{1e6 / middle:.2f}"])
    header = ["what", "frames a second", "quartiles", "us a frame"]
    return Report("The console against ale-py", HOW, figures, [Table("Rates", header, rows)])


def cartridge(translated: bool) -> Cartridge:
    made = Cartridge(load_rom("pong"))
    if translated:
        attach(made, background=False)
        assert made.translated, "expected the ROM to be translated on this machine"
    return made


def machine(rom: Cartridge) -> Machine:
    return Machine(rom, COVERED["pong"], MAX_FRAMES)


def check(*cartridges: Cartridge) -> None:
    """Compare each with ale-py for 300 frames."""
    for rom in cartridges:
        ale, console = load(), machine(rom)
        screen = np.empty(console.screen_shape, np.uint8)
        for action in np.random.default_rng(1).choice((LEFT, RIGHT), 300):
            assert console.act(action) == ale.act(int(action))
            console.read_screen(screen)
            assert np.array_equal(screen, ale.getScreen())
            assert np.array_equal(console.read_ram(), ale.getRAM())


def single(console: Machine, skip: int, frames: int) -> float:
    """Return the frames per second of one console."""
    actions = np.random.default_rng(1).choice((LEFT, RIGHT), (512, 1)).astype(np.uint8)
    steps = list(np.repeat(actions, skip, axis=1))
    start = time.perf_counter()
    for step in range(frames // skip):
        console.play(steps[step % 512])
        if console.over:
            console.reset_game()
    return frames // skip * skip / (time.perf_counter() - start)


def many(consoles: Sequence[Machine], threads: int, frames: int) -> float:
    """Return the frames per second of all consoles together, per round as many as one plays."""
    share = len(consoles) // threads
    parts = [consoles[k * share : (k + 1) * share] for k in range(threads)]
    steps = frames // FRAME_SKIP // share

    def play(part: Sequence[Machine]) -> None:
        rewards = np.empty(len(part), np.int32)
        actions = np.random.default_rng(1).choice((LEFT, RIGHT), (64, len(part), 1))
        drawn = list(np.repeat(actions, FRAME_SKIP, axis=2).astype(np.uint8))
        for step in range(steps):
            play_all(part, drawn[step % 64], rewards)
            for console in part:
                if console.over:
                    console.reset_game()

    with ThreadPoolExecutor(threads) as pool:
        start = time.perf_counter()
        list(pool.map(play, parts))
        return steps * share * threads * FRAME_SKIP / (time.perf_counter() - start)

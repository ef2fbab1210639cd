"""Coverage: on which of ale_py's ROMs does the console equal ALE?

The console has no facts of these games. So their start is found by search: the frames with RESET
held and the frames that follow, until RAM equals ALE's. Where no start does, ALE is given the
console's RAM for a while, and what follows is compared.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from fastpong.console.cartridge import SIZES, Rom, load_rom, rom_directory
from fastpong.console.games import COVERED, ConsoleGame
from fastpong.envs.ale import Ale, AleMachine
from fastpong.envs.machine import NOOP

if TYPE_CHECKING:
    from fastpong.console.machine import Cartridge, Machine

FIRE = 1
RESET_FRAMES = range(1, 17)
TAILS: tuple[tuple[int, ...], ...] = ((), (NOOP,), (NOOP, NOOP), (FIRE,), (FIRE, FIRE))
"""Actions that ALE may play before it hands a game over."""

TRIED_FRAMES = 6
"""Frames by which a start is chosen."""

COPIED_FRAMES = 40
"""Frames with the same RAM for both, where the start differs."""

MAX_FRAMES = 1_000_000


@dataclass(frozen=True)
class Start:
    """Describe how a game begins.

    game   : its facts as far as they were found
    tail   : actions after the console's own start
    differ : bytes of RAM that differ from ALE's in the first frames. 0: the start is ALE's
    """

    game: ConsoleGame
    tail: tuple[int, ...] = ()
    differ: int = 0


@dataclass
class Result:
    """Hold what was found on a ROM.

    obstacle     : why it was not run, or ""
    frames       : played
    ram_differs  : the first frame whose RAM differs, after which nothing is compared, or None
    screens      : frames whose screen differs
    first_screen : the first of these, or None
    pixels       : most pixels that differ in a frame
    """

    name: str
    size: int
    obstacle: str = ""
    start: Start | None = None
    frames: int = 0
    ram_differs: int | None = None
    detail: str = ""
    screens: int = 0
    first_screen: int | None = None
    pixels: int = 0
    games: int = field(default=0)

    @property
    def ram_equal(self) -> bool:
        """Return whether RAM was equal in all frames."""
        return not self.obstacle and self.ram_differs is None

    @property
    def equal(self) -> bool:
        """Return whether all was equal, from the start on."""
        return self.ram_equal and not self.screens and not (self.start and self.start.differ)


def compare(name: str, frames: int, seed: int = 5) -> Result:
    """Play a ROM with random actions on ALE and on the console, frame by frame."""
    rom = load_rom(name)
    result = Result(name, len(rom.data))
    if len(rom.data) not in SIZES:
        result.obstacle = "switches banks"
        return result
    if not _is_supported(name):
        result.obstacle = "ALE does not play it alone"
        return result
    reference = AleMachine(name, MAX_FRAMES)
    result.start = find_start(rom, reference)
    _play(result, rom, reference, frames, seed)
    return result


def _is_supported(name: str) -> bool:
    """Return whether ALE knows the ROM. Loading an unknown one ends the process."""
    import ale_py

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    return ale_py.ALEInterface.isSupportedROM(rom_directory() / f"{name}.bin") is not None


# --- the start ----------------------------------------------------------------------------------


def find_start(rom: Rom, reference: AleMachine) -> Start:
    """Return the start whose first frames are nearest to ALE's."""
    if rom.name in COVERED:
        return Start(COVERED[rom.name])
    from fastpong.console.machine import Cartridge

    cartridge = Cartridge(rom)
    actions = [NOOP] * TRIED_FRAMES
    ale = reference.ale
    reference.reset_game()
    screen, expected = np.zeros(reference.screen_shape, np.uint8), [ale.getRAM()]
    reference.read_screen(screen)
    for action in actions:
        ale.act(action)
        expected.append(ale.getRAM())
    game = ConsoleGame(rows=screen.shape[0])
    best = Start(game, differ=128 * len(expected) + 1)
    for start in _starts(game):
        machine = _begin(cartridge, start)
        differ = int((machine.read_ram() != expected[0]).sum())
        for action, ram in zip(actions, expected[1:], strict=True):
            machine.act(action)
            differ += int((machine.read_ram() != ram).sum())
        if differ < best.differ:
            best = replace(start, differ=differ)
        if not differ:
            break
    return replace(
        best, game=_find_paddle(cartridge, _find_line(cartridge, best, screen), reference)
    )


def _starts(game: ConsoleGame) -> Iterator[Start]:
    """Yield starts to try, the plain ones first."""
    for tail in TAILS:
        for frames in RESET_FRAMES:
            yield Start(replace(game, reset_frames=frames), tail)


def _begin(cartridge: Cartridge, start: Start) -> Machine:
    """Return a machine at the beginning of a game."""
    from fastpong.console.machine import Machine

    machine = Machine(cartridge, start.game, MAX_FRAMES)
    for action in start.tail:
        machine.act(action)
    return machine


def _find_line(cartridge: Cartridge, start: Start, screen: np.ndarray) -> Start:
    """Return the start with the first line that shows ALE's picture."""

    def differing(line: int) -> int:
        machine = _begin(cartridge, replace(start, game=replace(start.game, first_line=line)))
        shown = np.zeros_like(screen)
        machine.read_screen(shown)
        return int((shown != screen).sum())

    usual = start.game.first_line
    line = min(sorted(range(20, 60), key=lambda line: abs(line - usual)), key=differing)
    return replace(start, game=replace(start.game, first_line=line))


def _find_paddle(cartridge: Cartridge, start: Start, reference: AleMachine) -> ConsoleGame:
    """Return the facts with the controller under which RAM stays equal longest."""
    ale = reference.ale
    rng = random.Random(1)
    actions = [rng.choice((0, 1, 3, 4)) for _ in range(20) for _ in range(6)]

    def equal_frames(paddle: int) -> int:
        machine = _begin(cartridge, replace(start, game=replace(start.game, paddle=paddle)))
        reference.reset_game()
        if start.differ:
            _copy_ram(machine, ale)
        for frame, action in enumerate(actions):
            if ale.getRAM().tobytes() != machine.read_ram().tobytes():
                return frame
            ale.act(action)
            machine.act(action)
        return len(actions)

    # The joystick first: of equal ones max() takes the first.
    return replace(start.game, paddle=max((-1, 0, 1), key=equal_frames))


def _copy_ram(machine: Machine, ale: Ale) -> None:
    """Play some frames and give ALE the console's RAM after each."""
    for _ in range(COPIED_FRAMES):
        ale.act(NOOP)
        machine.act(NOOP)
        for address, value in enumerate(machine.read_ram()):
            ale.setRAM(address, int(value))


# --- the comparison -----------------------------------------------------------------------------


def _play(result: Result, rom: Rom, reference: AleMachine, frames: int, seed: int) -> None:
    """Play both until RAM differs, and note it."""
    from fastpong.console.machine import Cartridge

    assert result.start is not None
    start, cartridge, ale = result.start, Cartridge(rom), reference.ale
    rng, action = random.Random(seed), NOOP
    shown, screen = np.zeros(reference.screen_shape, np.uint8), ale.getScreen()

    def begin() -> Machine:
        reference.reset_game()
        machine = _begin(cartridge, start)
        if start.differ:
            _copy_ram(machine, ale)
        return machine

    machine = begin()
    choices = reference.actions if start.game.paddle >= 0 else range(18)
    for frame in range(frames):
        if not rng.randrange(6):
            action = rng.choice(choices)
        ale.act(action)
        machine.act(action)
        expected, got = ale.getRAM(), machine.read_ram()
        result.frames = frame + 1
        if expected.tobytes() != got.tobytes():
            at = np.flatnonzero(expected != got)
            result.ram_differs, result.detail = frame + 1, f"{len(at)} bytes, first {at[0]}"
            return
        ale.getScreen(screen)
        machine.read_screen(shown)
        if differing := int((shown != screen).sum()):
            result.screens += 1
            result.pixels = max(result.pixels, differing)
            result.first_screen = result.first_screen or frame + 1
        if ale.game_over():
            result.games += 1
            machine = begin()


# --- the document -------------------------------------------------------------------------------

HEADING = """\
# Games on the console

Written by `python -m fastpong.console coverage`. Edit the program and not this file.

Every ROM that ale-py ships is played with {frames:,} frames of random actions on ale-py and on the
console, and RAM and screen are compared after each. Only Pong is offered by `--emulator`: its
facts are known, and lockstep tests cover it. For the others the start is found by search.

start
: frames without and with RESET, and further ones. "differs" where none leads to ALE's RAM. ALE is
  then given the console's RAM for {copied} frames, and what follows is compared.

RAM
: "equal", or the first frame that differs. Nothing is compared after it.

screen
: "equal", or how many frames differ, in at most how many pixels.
"""


def document(results: Sequence[Result], frames: int) -> str:
    """Return the table of all results as Markdown."""
    run = [r for r in results if not r.obstacle]
    equal, ram = sum(r.equal for r in run), sum(r.ram_equal for r in run)
    both = sum(r.ram_equal and not r.screens for r in run)
    lines = [
        HEADING.format(frames=frames, copied=COPIED_FRAMES),
        f"{len(results)} ROMs: {len(run)} run, {equal} equal from the start on in RAM and screen, "
        f"{both} equal in both once the start is given, {ram} equal in RAM.",
        "",
        "| ROM | bytes | start | controller | RAM | screen |",
        "|---|---:|---|---|---|---|",
        *map(_row, results),
    ]
    return "\n".join(lines) + "\n"


def _row(result: Result) -> str:
    """Return a line of the table."""
    cells = [result.name, str(result.size)]
    if result.obstacle or result.start is None:
        return _line([*cells, "", "", result.obstacle, ""])
    start = result.start
    tail = f" + {len(start.tail)}{' FIRE' * (FIRE in start.tail)}" if start.tail else ""
    begin = f"60 + {start.game.reset_frames}{tail}"
    cells.append(f"differs (nearest {begin})" if start.differ else begin)
    cells.append("joystick" if start.game.paddle < 0 else f"paddle {start.game.paddle}")
    if result.ram_differs is None:
        cells.append("equal")
    else:
        cells.append(f"differs at frame {result.ram_differs} ({result.detail})")
    if not result.screens:
        cells.append("equal")
    else:
        cells.append(
            f"{result.screens} frames differ, first {result.first_screen}, "
            f"at most {result.pixels} pixels"
        )
    return _line(cells)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

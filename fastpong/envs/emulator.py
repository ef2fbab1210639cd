"""An emulator, one game at a time, as a pure function of its draws.

The machine below, fastpong's console or ALE, runs at frameskip 1 and without sticky actions. Both
are drawn here, from the episode's own source of uniforms. An episode is then decided by (seed,
stream, episode number) and the actions chosen. It does not depend on earlier episodes of this
emulator or any other, nor on the kind of machine.

Order of draws in an episode, part of the format of a run (changing it changes runs):

1. ``Emulator.reset`` draws nothing.
2. ``Emulator.step`` draws one uniform for the frameskip, if there is more than one choice, and
   then one for every frame of that skip, if the game is sticky. This includes the frames of a
   skip that are never emulated because the game ended before them.
3. The policy draws between the steps, from the same source.

Importing this module imports neither ale_py nor gymnasium, and neither does an `Emulator` that
plays on the console.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from fastpong.console.cartridge import EmulatorError
from fastpong.envs.choice import choose, kind_of, load_machine, why_not_console
from fastpong.envs.draws import Draw
from fastpong.envs.machine import NOOP, Machine, Screen
from fastpong.envs.palette import foreground_table
from fastpong.envs.variants import Variant

if TYPE_CHECKING:
    from fastpong.console.machine import Machine as Console

_ACTIONS = 18


class Emulator:
    """Play one variant: ``reset(draw)``, then ``step(action)`` until ``over``.

    Without randomness, screens, rewards, ends and frame counts equal gymnasium's frame for frame.
    With randomness, gymnasium draws from ALE's own generator and the distributions are equal.

    kind         : "console" or "ale", the emulator of the episodes that begin here
    over         : the game has ended or has not begun, and ``step`` emulates nothing
    actions      : ALE's numbers of the actions that do something in this game
    screen_shape : (height, width) of a screen
    last_action  : ALE's number of the action executed last, where frames may repeat it
    machine      : the one in use. Of another kind than ``kind`` in an episode that was saved by
                   another, until it ends
    """

    __slots__ = (
        "_draw",
        "_frameskip",
        "_machines",
        "_own",
        "_play",
        "_see",
        "_single_skip",
        "_sticky",
        "actions",
        "kind",
        "last_action",
        "machine",
        "over",
        "screen_shape",
        "variant",
    )

    def __init__(self, variant: Variant, kind: str = "auto") -> None:
        """Load the game's ROM.

        kind : as for ``choose``

        Raises ValueError for an unknown game, and for one that the console cannot play.
        """
        self.variant = variant
        self.kind = choose(variant.game.rom, kind)
        self._machines: dict[str, Machine] = {}
        self._frameskip = variant.frameskip
        self._single_skip = variant.frameskip[0] if len(variant.frameskip) == 1 else 0
        self._sticky = variant.sticky
        self._see: Callable[[int], None] | None = None
        self._own = False
        self._use(self._machine(self.kind))
        self.actions: tuple[int, ...] = self.machine.actions
        self.screen_shape = self.machine.screen_shape
        self._to_start()

    @property
    def console(self) -> Console | None:
        """Return the console that a compiled loop may play on.

        None where ALE plays, and where someone looks at every frame.
        """
        if self._see is None and not self._own and self.machine is self._machines.get("console"):
            return cast("Console", self.machine)
        return None

    def use(self, machine: Machine) -> None:
        """Play on a machine of somebody's own from the next episode on, without compiled loops."""
        self._own = True
        self._machines = {self.kind: machine}
        self._use(machine)
        self._to_start()

    def _machine(self, kind: str) -> Machine:
        """Return the machine of a kind."""
        if kind not in self._machines:
            variant = self.variant
            self._machines[kind] = load_machine(variant.game.rom, kind, variant.max_frames)
        return self._machines[kind]

    def _use(self, machine: Machine) -> None:
        """Play on a machine from here on."""
        self.machine = machine
        self._play = machine.play if self._see is None else self._play_seen

    def observe(self, see: Callable[[int], None] | None) -> None:
        """Call ``see(points)`` after every frame, None: no more.

        points : won minus lost in that frame. ``read_screen`` reads its picture

        The episode is the same, and slower: no frame is played without Python.
        """
        self._see = see
        self._use(self.machine)

    def _play_seen(self, actions: bytes | bytearray) -> int:
        """Emulate a frame for each action, and show each of them."""
        assert self._see is not None
        reward = 0
        for action in actions:
            if self.machine.over:
                break
            points = self.machine.play(bytes((action,)))
            reward += points
            self._see(points)
        return reward

    def _to_start(self) -> None:
        """Restore the start state without beginning an episode."""
        if self.machine is not self._machines[self.kind]:
            self._use(self._machine(self.kind))
        self.machine.reset_game()
        self.last_action = NOOP
        self._draw: Draw = _no_draw
        self.over = True

    def reset(self, draw: Draw) -> None:
        """Begin an episode with the randomness of ``draw``."""
        self._to_start()
        self._draw = draw
        self.over = False

    def step(self, ale_action: int) -> float:
        """Play one action and return the reward.

        ``ale_action`` is a number of ALE's, one of ``actions``, and not gymnasium's index. The
        machine emulates nothing, and counts nothing, once the episode has ended or reached
        ``max_frames``. So a skip is played out without a test on every frame.
        """
        draw = self._draw
        count = self._single_skip
        if not count:
            frameskip = self._frameskip
            count = frameskip[int(draw() * len(frameskip))]
        sticky = self._sticky
        if sticky:
            action = self.last_action
            actions = bytearray(count)
            for frame in range(count):
                # As in ALE: what is repeated is the action executed last, whoever chose it.
                if draw() >= sticky:
                    action = ale_action
                actions[frame] = action
            self.last_action = action
            points = self._play(actions)
        else:
            points = self._play(bytes((ale_action,)) * count)
        self.over = self.machine.over
        return float(points)

    def idle(self, frames: int) -> None:
        """Emulate frames without action or draw."""
        self._play(bytes((NOOP,)) * frames)
        self.over = self.machine.over

    def save(self) -> bytes:
        """Return the state of the episode, for ``restore``.

        0.5 kB, or 8 kB of ALE's. The picture on the screen is no part of it.
        """
        return bytes((self.last_action,)) + self.machine.save()

    def restore(self, saved: bytes, draw: Draw) -> None:
        """Resume a saved episode, here or in another process.

        An episode goes on with the kind of machine that saved it. 0.02 ms. Do not read the screen
        before the next ``step``: it still shows the picture from before. Raises ValueError for
        bytes that are not of ``save``, or of another version of the console.
        """
        if not saved or saved[0] >= _ACTIONS:
            raise ValueError("saved: expected bytes from Emulator.save, got others")
        kind = kind_of(saved[1:])
        known = kind == "ale" or kind in self._machines
        if not known and (obstacle := why_not_console(self.variant.game.rom)):
            raise EmulatorError(
                f"saved: expected an episode that can go on, got one of the console, but {obstacle}"
            )
        machine = self._machine(kind)
        machine.restore(saved[1:])
        if machine is not self.machine:
            self._use(machine)
        self.last_action = saved[0]
        self._draw = draw
        self.over = self.machine.over

    def read_screen(self, out: Screen) -> None:
        """Write the screen's palette indices into ``out``.

        out : of ``screen_shape``, uint8, C-contiguous

        Raises TypeError, ValueError or RuntimeError, the machine's own, for an array of another
        kind.
        """
        self.machine.read_screen(out)

    @property
    def terminated(self) -> bool:
        """Return whether the game itself has ended."""
        return self.machine.terminated

    @property
    def truncated(self) -> bool:
        """Return whether ``variant.max_frames`` cut the episode off."""
        return self.machine.truncated

    @property
    def frames(self) -> int:
        """Return the frames emulated in this episode so far."""
        return self.machine.frames

    def foreground_table(self, background_reds: Sequence[int] | None = None) -> Screen:
        """Return a (256,) uint8 table: 0 background, 1 foreground.

        background_reds : the red values of the background, by default the game's

        Ends the current episode. The next ``reset`` begins as ever. See ``palette``.
        """
        reds = self.variant.game.background_reds if background_reds is None else background_reds
        table = foreground_table(self.machine, reds)
        self._to_start()
        return table


def is_of_console(saved: bytes) -> bool:
    """Return whether an emulator on the console saved a state."""
    return kind_of(saved[1:]) == "console"


def _no_draw() -> float:
    raise RuntimeError("no episode has begun: call Emulator.reset(draw) before Emulator.step")

"""The Arcade Learning Environment, one game at a time, as a pure function of its draws.

ALE runs at frameskip 1 and without sticky actions; both are drawn here, from the episode's own
source of uniforms. An episode is then decided by (seed, stream, episode number) and the actions
chosen, and not by what this emulator or any other has played before.

Order of draws in an episode, which belongs to the format of a run (changing it changes runs):

1. ``Emulator.reset`` draws nothing.
2. ``Emulator.step`` draws one uniform for the frameskip, if there is more than one choice, and
   then one for every frame of that skip, if the game is sticky; also for the frames of a skip
   that are never emulated, because the game ended before them.
3. What chooses the actions draws between the steps, from the same source.

Importing this module imports neither ale_py nor gymnasium; building an `Emulator` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

TRAIN, EVAL, INIT = 0, 1, 2
"""Streams of `uniforms`: episodes of training, episodes of evaluation, initial parameters."""

ALE_SEED = 1
"""ALE's own generator fills the console's memory at power-on; one seed, one start state."""

NOOP = 0
"""ALE's number of the action that touches nothing."""

PALETTE_SAMPLE_FRAMES = 160
"""Frames played to see a game's colours; in Pong the first serve comes within them."""

UNSEEN = -1
"""Red of a palette index that was not seen: no colour's."""

_BLOCK = 1024

Screen = npt.NDArray[np.uint8]
Draw = Callable[[], float]


@dataclass(frozen=True)
class Variant:
    """A game and its randomness, under the name gymnasium knows it by.

    frameskip  : the numbers of frames one action may be played for, each as likely
    sticky     : probability, per frame, that the action played last is played again instead
    max_frames : frames after which an episode is cut off
    """

    name: str
    game: str = "pong"
    frameskip: tuple[int, ...] = (1,)
    sticky: float = 0.0
    max_frames: int = 108_000

    def __post_init__(self) -> None:
        """Raise ValueError for a variant that cannot be played."""
        if not self.frameskip or min(self.frameskip) < 1:
            raise ValueError(
                f"frameskip: expected at least one number of frames, each 1 or more, "
                f"got {self.frameskip!r}"
            )
        if not 0.0 <= self.sticky <= 1.0:
            raise ValueError(f"sticky: expected a probability in [0, 1], got {self.sticky!r}")
        if self.max_frames < 1:
            raise ValueError(f"max_frames: expected 1 or more, got {self.max_frames!r}")

    def halved(self, times: int) -> Variant:
        """Return the same with actions played for half as many frames, so many times over.

        Raises ValueError where that is no whole number of frames, or the number is drawn.
        """
        if not times:
            return self
        if len(self.frameskip) > 1 or self.frameskip[0] % 2**times:
            frames = ", ".join(map(str, self.frameskip))
            raise ValueError(
                f"expected an environment that plays an action for a multiple of {2**times} "
                f"frames, got {self.name}, which plays it for {frames}"
            )
        return replace(self, frameskip=(self.frameskip[0] // 2**times,))


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("Pong-v0", frameskip=(2, 3, 4), sticky=0.25),
        Variant("Pong-v4", frameskip=(2, 3, 4)),
        Variant("PongNoFrameskip-v4", frameskip=(1,)),
        Variant("PongDeterministic-v4", frameskip=(4,)),
        Variant("ALE/Pong-v5", frameskip=(4,), sticky=0.25),
    )
}


def find_variant(name: str) -> Variant:
    """Return the variant of that name; ValueError lists the names there are."""
    if name in VARIANTS:
        return VARIANTS[name]
    near = get_close_matches(name, VARIANTS, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ValueError(f"unknown environment {name!r}: expected one of {', '.join(VARIANTS)}.{hint}")


def uniforms(seed: int, stream: int, episode: int) -> Draw:
    """Return an endless source of float64 uniforms in [0, 1): call it for the next one.

    They are those of ``Generator(PCG64(SeedSequence(seed, spawn_key=(stream, episode))))``, so
    every (seed, stream, episode) has a sequence of its own. Drawn in blocks and handed out by an
    iterator written in C: about 40 ns each, where a call of ``Generator.random`` takes ten times
    as long.

    Raises ValueError when an argument is negative.
    """
    for name, value in (("seed", seed), ("stream", stream), ("episode", episode)):
        if value < 0:
            raise ValueError(f"{name}: expected 0 or more, got {value}")
    sequence = np.random.SeedSequence(seed, spawn_key=(stream, episode))
    random = np.random.Generator(np.random.PCG64(sequence)).random
    return chain.from_iterable(random(_BLOCK).tolist() for _ in repeat(None)).__next__


class Emulator:
    """One game of one variant: ``reset(draw)``, then ``step(action)`` until ``over``.

    Where nothing is random, screens, rewards, ends and frame counts equal gymnasium's frame for
    frame. Where ALE draws from its own generator gymnasium's are equalled in distribution.

    over         : the game has ended, or was never begun; ``step`` then emulates nothing
    actions      : ALE's numbers of the actions that do something in this game
    screen_shape : (height, width) of a screen
    """

    __slots__ = (
        "_act",
        "_ale",
        "_at_start",
        "_draw",
        "_frameskip",
        "_game_over",
        "_get_screen",
        "_last_action",
        "_single_skip",
        "_start",
        "_start_screen",
        "_sticky",
        "actions",
        "over",
        "screen_shape",
        "variant",
    )

    def __init__(self, variant: Variant) -> None:
        """Load the game's ROM and keep its start state; ValueError for a game unknown to ALE."""
        ale = _load(variant)
        self.variant = variant
        self.actions: tuple[int, ...] = tuple(
            int(action.value) for action in ale.getMinimalActionSet()
        )
        self.screen_shape: tuple[int, int] = tuple(ale.getScreenDims())
        self._ale = ale
        # ALE's methods, bound once: a lookup less for every frame.
        self._act: Callable[[int], int] = ale.act
        self._game_over: Callable[[], bool] = ale.game_over
        self._get_screen: Callable[[Screen], None] = ale.getScreen
        self._frameskip = variant.frameskip
        self._single_skip = variant.frameskip[0] if len(variant.frameskip) == 1 else 0
        self._sticky = variant.sticky
        ale.reset_game()
        # With ALE's generator, so that a game which draws from it starts alike every time too.
        self._start = ale.cloneState(include_rng=True)
        self._start_screen: Screen = ale.getScreen()
        self._to_start()

    def _to_start(self) -> None:
        """Restore the start state, with no episode begun."""
        # reset_game() leads to the same state in 3-4 ms, restoreState() in 0.1 ms.
        self._ale.restoreState(self._start)
        self._at_start = True
        self._last_action = NOOP
        self._draw: Draw = _no_draw
        self.over = True

    def reset(self, draw: Draw) -> None:
        """Begin an episode whose randomness is drawn from ``draw``, uniforms in [0, 1)."""
        self._to_start()
        self._draw = draw
        self.over = False

    def step(self, ale_action: int) -> float:
        """Play one action for as many frames as the variant draws; return the points it made.

        ``ale_action`` is a number of ALE's, one of ``actions``, and not gymnasium's index. ALE
        itself emulates nothing, and counts nothing, once the episode has ended or reached
        ``max_frames``; so a skip is played out without a test on every frame.
        """
        draw = self._draw
        act = self._act
        count = self._single_skip
        if not count:
            frameskip = self._frameskip
            count = frameskip[int(draw() * len(frameskip))]
        points = 0.0
        sticky = self._sticky
        if sticky:
            action = self._last_action
            for _ in range(count):
                # As in ALE: what is repeated is the action executed last, whoever chose it.
                if draw() >= sticky:
                    action = ale_action
                points += act(action)
            self._last_action = action
        else:
            for _ in range(count):
                points += act(ale_action)
        self._at_start = False
        self.over = self._game_over()
        return points

    def idle(self, frames: int) -> None:
        """Emulate so many frames with nothing touched; no stickiness, nothing is drawn."""
        for _ in range(frames):
            self._act(NOOP)
        self._at_start = self._at_start and not frames
        self.over = self._game_over()

    def save(self) -> bytes:
        """Return where the episode stands, for ``restore``: 8 kB, 0.06 ms.

        What the screen shows is no part of it: ALE keeps that elsewhere.
        """
        state: bytes = self._ale.cloneState(include_rng=False).serialize()
        return bytes([self._last_action]) + state

    def restore(self, saved: bytes, draw: Draw) -> None:
        """Go on with an episode that was saved, here or in another process: 0.02 ms.

        The screen must not be read before the next ``step``: it shows what it showed before.
        Raises ValueError for what ALE did not save.
        """
        import ale_py

        try:
            self._ale.restoreState(ale_py.ALEState(saved[1:]))
        except Exception as error:
            raise ValueError("saved: expected what Emulator.save returned, got other") from error
        self._last_action = saved[0]
        self._at_start = False
        self._draw = draw
        self.over = self._game_over()

    def read_screen(self, out: Screen) -> None:
        """Write the screen's palette indices into ``out`` (210, 160) uint8, C-contiguous.

        Raises TypeError or RuntimeError, ALE's own, for an array of another kind.
        """
        # restoreState() leaves the screen as it was until a frame is emulated.
        if self._at_start:
            out[...] = self._start_screen
        else:
            self._get_screen(out)

    @property
    def terminated(self) -> bool:
        """Whether the game itself has ended."""
        return bool(self._ale.game_over(with_truncation=False))

    @property
    def truncated(self) -> bool:
        """Whether the episode was cut off at ``variant.max_frames``."""
        return bool(self._ale.game_truncated())

    @property
    def frames(self) -> int:
        """Frames emulated in this episode so far."""
        return int(self._ale.getEpisodeFrameNumber())

    def foreground_table(self, background_reds: Sequence[int] = (0, 144, 109)) -> Screen:
        """Return a (256,) uint8 table from palette index to 0, background, or 1, foreground.

        Background are the colours whose red is one of ``background_reds``, by ALE's own RGB of
        the start screen and of a short stretch of play. An index not seen there is foreground:
        a game draws its background all the time, so what stays unseen that long is an object.

        Ends the episode that is being played; the next ``reset`` begins as ever.
        """
        ale = self._ale
        screen: Screen = np.empty(self.screen_shape, np.uint8)
        rgb = np.empty((*self.screen_shape, 3), np.uint8)
        reds = np.full(256, UNSEEN, np.int16)
        # After restoreState() the screens are stale (see read_screen); reset_game() shows the
        # same start.
        ale.reset_game()
        for frame in range(PALETTE_SAMPLE_FRAMES):
            ale.getScreen(screen)
            ale.getScreenRGB(rgb)
            reds[screen] = rgb[..., 0]
            # Every action of the game in turn, for long enough to move something.
            ale.act(self.actions[frame // 8 % len(self.actions)])
        self._to_start()
        return (~np.isin(reds, background_reds)).astype(np.uint8)


def _load(variant: Variant) -> Any:
    """Return an ALEInterface with the variant's game loaded, silent, all randomness off."""
    # Here and not above: it imports gymnasium, 0.14 s that `--help` need not wait for.
    import ale_py

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setInt("frame_skip", 1)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.setInt("max_num_frames_per_episode", variant.max_frames)
    ale.setInt("random_seed", ALE_SEED)
    ale.loadROM(_rom_path(variant.game))
    return ale


def _rom_path(game: str) -> Path:
    """Return the path of a game's ROM; ValueError names the nearest game there is."""
    from ale_py import roms

    games = sorted(roms.get_all_rom_ids())
    if game not in games:
        near = get_close_matches(game.lower(), games, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"unknown game {game!r}: expected the name of a ROM of ale_py, in snake_case, such "
            f"as 'pong' or 'space_invaders'.{hint} All: ale_py.roms.get_all_rom_ids()"
        )
    return Path(roms.get_rom_path(game))


def _no_draw() -> float:
    raise RuntimeError("no episode has begun: call Emulator.reset(draw) before Emulator.step")

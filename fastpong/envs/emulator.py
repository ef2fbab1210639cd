"""The Arcade Learning Environment, one game at a time, as a pure function of its draws.

ALE runs at frameskip 1 and without sticky actions. Both are drawn here, from the episode's own
source of uniforms. An episode is then decided by (seed, stream, episode number) and the actions
chosen. It does not depend on earlier episodes of this emulator or any other.

Order of draws in an episode, part of the format of a run (changing it changes runs):

1. ``Emulator.reset`` draws nothing.
2. ``Emulator.step`` draws one uniform for the frameskip, if there is more than one choice, and
   then one for every frame of that skip, if the game is sticky. This includes the frames of a
   skip that are never emulated because the game ended before them.
3. The policy draws between the steps, from the same source.

Importing this module imports neither ale_py nor gymnasium. Building an `Emulator` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastpong.envs.ale import NOOP, Ale, AleState, Screen, load_game, parse_state
from fastpong.envs.draws import Draw
from fastpong.envs.palette import foreground_table
from fastpong.envs.variants import Variant


class Emulator:
    """Play one variant: ``reset(draw)``, then ``step(action)`` until ``over``.

    Without randomness, screens, rewards, ends and frame counts equal gymnasium's frame for frame.
    With randomness, gymnasium draws from ALE's own generator and the distributions are equal.

    over         : the game has ended or has not begun, and ``step`` emulates nothing
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
        """Load the game's ROM and store its start state.

        Raises ValueError for a game unknown to ALE.
        """
        ale = load_game(variant.game.rom, variant.max_frames)
        self.variant = variant
        self.actions: tuple[int, ...] = tuple(
            int(action.value) for action in ale.getMinimalActionSet()
        )
        height, width = ale.getScreenDims()
        self.screen_shape = (height, width)
        self._ale: Ale = ale
        # ALE's methods, bound once: a lookup less for every frame.
        self._act: Callable[[int], int] = ale.act
        self._game_over: Callable[[], bool] = ale.game_over
        self._get_screen: Callable[[Screen], object] = ale.getScreen
        self._frameskip = variant.frameskip
        self._single_skip = variant.frameskip[0] if len(variant.frameskip) == 1 else 0
        self._sticky = variant.sticky
        ale.reset_game()
        # With ALE's generator, so that a game which draws from it starts alike every time too.
        self._start: AleState = ale.cloneState(include_rng=True)
        self._start_screen: Screen = ale.getScreen()
        self._to_start()

    def _to_start(self) -> None:
        """Restore the start state without beginning an episode."""
        # reset_game() leads to the same state in 3-4 ms, restoreState() in 0.1 ms.
        self._ale.restoreState(self._start)
        self._at_start = True
        self._last_action = NOOP
        self._draw: Draw = _no_draw
        self.over = True

    def reset(self, draw: Draw) -> None:
        """Begin an episode with the randomness of ``draw``."""
        self._to_start()
        self._draw = draw
        self.over = False

    def step(self, ale_action: int) -> float:
        """Play one action and return the reward.

        ``ale_action`` is a number of ALE's, one of ``actions``, and not gymnasium's index. ALE
        itself emulates nothing, and counts nothing, once the episode has ended or reached
        ``max_frames``. So a skip is played out without a test on every frame.
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
        """Emulate frames without action or draw."""
        for _ in range(frames):
            self._act(NOOP)
        self._at_start = self._at_start and not frames
        self.over = self._game_over()

    def save(self) -> bytes:
        """Return the state of the episode, for ``restore``.

        8 kB, 0.06 ms. The picture on the screen is no part of it: ALE keeps that elsewhere.
        """
        state: bytes = self._ale.cloneState(include_rng=False).serialize()
        return bytes([self._last_action]) + state

    def restore(self, saved: bytes, draw: Draw) -> None:
        """Resume a saved episode, here or in another process.

        0.02 ms. Do not read the screen before the next ``step``: it still shows the picture from
        before. Raises ValueError for bytes that ALE did not save.
        """
        try:
            self._ale.restoreState(parse_state(saved[1:]))
        except Exception as error:
            raise ValueError("saved: expected bytes from Emulator.save, got others") from error
        self._last_action = saved[0]
        self._at_start = False
        self._draw = draw
        self.over = self._game_over()

    def read_screen(self, out: Screen) -> None:
        """Write the screen's palette indices into ``out``.

        out : of ``screen_shape``, uint8, C-contiguous

        Raises TypeError or RuntimeError, ALE's own, for an array of another kind.
        """
        # restoreState() leaves the screen as it was until a frame is emulated.
        if self._at_start:
            out[...] = self._start_screen
        else:
            self._get_screen(out)

    @property
    def terminated(self) -> bool:
        """Return whether the game itself has ended."""
        return bool(self._ale.game_over(with_truncation=False))

    @property
    def truncated(self) -> bool:
        """Return whether ``variant.max_frames`` cut the episode off."""
        return bool(self._ale.game_truncated())

    @property
    def frames(self) -> int:
        """Return the frames emulated in this episode so far."""
        return int(self._ale.getEpisodeFrameNumber())

    def foreground_table(self, background_reds: Sequence[int] | None = None) -> Screen:
        """Return a (256,) uint8 table: 0 background, 1 foreground.

        background_reds : the red values of the background, by default the game's

        Ends the current episode. The next ``reset`` begins as ever. See ``palette``.
        """
        reds = self.variant.game.background_reds if background_reds is None else background_reds
        table = foreground_table(self._ale, self.actions, reds)
        self._to_start()
        return table


def _no_draw() -> float:
    raise RuntimeError("no episode has begun: call Emulator.reset(draw) before Emulator.step")

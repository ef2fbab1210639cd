"""ale_py as a machine, and the part of its interface in use.

Importing this module imports neither ale_py nor gymnasium. Building an `AleMachine` does.
"""

from __future__ import annotations

from typing import Protocol, cast

from fastpong.console.cartridge import load_rom, rom_directory
from fastpong.envs.machine import Screen

ALE_SEED = 1
"""ALE's own generator fills the console's memory at power-on. One seed, one start state."""


class AleState(Protocol):
    """Type a saved state of the console."""

    def serialize(self) -> bytes: ...


class AleAction(Protocol):
    """Type a member of ALE's enumeration of actions."""

    value: int


class Ale(Protocol):
    """Type the methods of ``ale_py.ALEInterface`` in use."""

    # ruff: noqa: D102
    def act(self, action: int) -> int: ...
    def game_over(self, *, with_truncation: bool = True) -> bool: ...
    def game_truncated(self) -> bool: ...
    def reset_game(self) -> None: ...
    def cloneState(self, *, include_rng: bool = False) -> AleState: ...
    def restoreState(self, state: AleState) -> None: ...
    def getScreen(self, out: Screen = ...) -> Screen: ...
    def getScreenRGB(self, out: Screen = ...) -> Screen: ...
    def getScreenDims(self) -> tuple[int, int]: ...
    def getMinimalActionSet(self) -> list[AleAction]: ...
    def getEpisodeFrameNumber(self) -> int: ...
    def getInt(self, key: str) -> int: ...
    def getRAM(self, out: Screen = ...) -> Screen: ...
    def setRAM(self, index: int, value: int) -> None: ...
    def lives(self) -> int: ...


class AleMachine:
    """Play a game on ``ale_py.ALEInterface``, as `Machine` describes.

    game       : ale_py's name of the ROM
    max_frames : an episode is cut off there

    Raises ValueError for an unknown game.
    """

    def __init__(self, game: str, max_frames: int) -> None:
        self.ale = ale = _load(game, max_frames)
        self.actions = tuple(int(action.value) for action in ale.getMinimalActionSet())
        height, width = ale.getScreenDims()
        self.screen_shape = (height, width)
        ale.reset_game()
        # With ALE's generator, so that a game which draws from it starts alike every time too.
        self._start: AleState = ale.cloneState(include_rng=True)
        self._start_screen: Screen = ale.getScreen()
        self._start_rgb: Screen = ale.getScreenRGB()
        self._act = ale.act
        self.reset_game()

    @property
    def max_frames(self) -> int:
        """Return the frames at which an episode is cut off."""
        return self.ale.getInt("max_num_frames_per_episode")

    @property
    def frames(self) -> int:
        """Return the frames of this episode."""
        return int(self.ale.getEpisodeFrameNumber())

    @property
    def over(self) -> bool:
        """Return whether the episode has ended."""
        return bool(self.ale.game_over())

    @property
    def terminated(self) -> bool:
        """Return whether the game itself has ended."""
        return bool(self.ale.game_over(with_truncation=False))

    @property
    def truncated(self) -> bool:
        """Return whether ``max_frames`` cut the episode off."""
        return bool(self.ale.game_truncated())

    def reset_game(self) -> None:
        """Begin an episode. 0.1 ms, where ALE's own reset takes 3 to 4."""
        self.ale.restoreState(self._start)
        self._at_start = True

    def play(self, actions: bytes | bytearray) -> int:
        """Emulate a frame for each action and return the summed reward.

        ALE itself emulates nothing, and counts nothing, once the episode has ended. So all actions
        are played without a test on every frame.
        """
        act, reward = self._act, 0
        for action in actions:
            reward += act(action)
        self._at_start = self._at_start and not actions
        return int(reward)

    def read_screen(self, out: Screen) -> None:
        """Write the screen's palette indices into ``out``.

        Raises TypeError or RuntimeError, ALE's own, for an array of another kind.
        """
        # restoreState() leaves the screen as it was until a frame is emulated.
        if self._at_start:
            out[...] = self._start_screen
        else:
            self.ale.getScreen(out)

    def read_rgb(self, out: Screen) -> None:
        """Write the screen's colours into ``out``."""
        if self._at_start:
            out[...] = self._start_rgb
        else:
            self.ale.getScreenRGB(out)

    def save(self) -> bytes:
        """Return the state of the episode. 8 kB, 0.06 ms."""
        return self.ale.cloneState(include_rng=False).serialize()

    def restore(self, saved: bytes) -> None:
        """Resume a saved episode, here or in another process. 0.02 ms.

        Raises ValueError for bytes that ALE did not save.
        """
        import ale_py

        try:
            self.ale.restoreState(cast(AleState, ale_py.ALEState(saved)))
        except Exception as error:
            raise ValueError("saved: expected bytes from Emulator.save, got others") from error
        self._at_start = False


def _load(game: str, max_frames: int) -> Ale:
    """Return an ALEInterface with the game loaded.

    It is silent, and all of its randomness is off. Raises ValueError for an unknown game.
    """
    load_rom(game)  # ALE itself would play any file of that name
    # Here and not above: it imports gymnasium, 0.14 s that `--help` need not wait for.
    import ale_py

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setInt("frame_skip", 1)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.setInt("max_num_frames_per_episode", max_frames)
    ale.setInt("random_seed", ALE_SEED)
    ale.loadROM(rom_directory() / f"{game}.bin")
    return cast(Ale, ale)

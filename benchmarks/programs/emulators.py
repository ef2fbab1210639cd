"""Bare emulators: the fastest that ALE itself goes, in as many processes as one likes.

As a helper process it is one of them. Two loops:

canonical : one ``act`` per frame at frameskip 1, ``game_over`` after each, ``reset_game`` at the
            end of a game; the loop of ALE's own examples
strict    : ``game_over`` after every third frame only, and ``restoreState`` for ``reset_game``,
            of which it takes a fraction of the time: what a tuned program could reach

Both take actions drawn beforehand, RIGHT or LEFT, and look at no screen.
"""

from __future__ import annotations

import random
import time
from typing import Any

from measure import Helper, serve

RIGHT, LEFT = 3, 4
STRICT_SKIP = 3
# Frames between two looks at the clock, about 50 ms; a multiple of STRICT_SKIP.
BLOCK = 999


def load() -> Any:
    """Return ALE with Pong loaded: frameskip 1, nothing sticky, no limit of frames in reach."""
    import ale_py
    from ale_py import roms

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setInt("frame_skip", 1)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.setInt("max_num_frames_per_episode", 108_000)
    ale.setInt("random_seed", 1)
    ale.loadROM(roms.get_rom_path("pong"))
    ale.reset_game()
    return ale


def draw_actions(seed: int) -> list[int]:
    """Return the actions of one block."""
    return random.Random(seed).choices((RIGHT, LEFT), k=BLOCK)


def canonical(ale: Any, actions: list[int]) -> float:
    """Play one block; return its points."""
    act, game_over, reset_game = ale.act, ale.game_over, ale.reset_game
    points = 0
    for action in actions:
        points += act(action)
        if game_over():
            reset_game()
    return points


def strict(ale: Any, start: Any, triples: list[tuple[int, int, int]]) -> float:
    """Play one block; return its points."""
    act, game_over = ale.act, ale.game_over
    points = 0
    for first, second, third in triples:
        points += act(first)
        points += act(second)
        points += act(third)
        if game_over():
            ale.restoreState(start)
    return points


class Player:
    """One emulator and its blocks of actions; ``play(seconds, tuned)`` counts frames."""

    def __init__(self, seed: int) -> None:
        self.ale = load()
        self.start = self.ale.cloneState(include_rng=True)
        self.blocks = [draw_actions(seed * 100 + k) for k in range(50)]
        self.triples = [list(zip(*[iter(b)] * STRICT_SKIP, strict=True)) for b in self.blocks]
        self._next = 0

    def block(self, tuned: bool) -> None:
        k = self._next = (self._next + 1) % len(self.blocks)
        if tuned:
            strict(self.ale, self.start, self.triples[k])
        else:
            canonical(self.ale, self.blocks[k])

    def play(self, seconds: float, tuned: bool) -> dict[str, float]:
        """Play for so long; return frames and the seconds they took."""
        frames, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < seconds or not frames:
            self.block(tuned)
            frames += BLOCK
        return {"frames": frames, "seconds": time.perf_counter() - begin}


class Bare:
    """So many bare emulators, each alone in its process; idle between windows."""

    def __init__(self, count: int) -> None:
        self._helpers = [Helper("emulators", str(seed)) for seed in range(count)]

    def window(self, seconds: float, *, tuned: bool = False) -> float:
        """Return the frames per second of all together while all of them run."""
        for helper in self._helpers:
            helper.ask({"seconds": seconds, "tuned": tuned})
        answers = [helper.answer() for helper in self._helpers]
        return sum(answer["frames"] / answer["seconds"] for answer in answers)

    def close(self) -> None:
        for helper in self._helpers:
            helper.close()

    def __enter__(self) -> Bare:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check() -> None:
    """Raise AssertionError unless both loops play the very frames they count."""
    ale, actions = load(), draw_actions(0)
    before = ale.getFrameNumber()
    points = canonical(ale, actions)
    assert ale.getFrameNumber() - before == BLOCK
    other = load()
    triples = list(zip(*[iter(actions)] * STRICT_SKIP, strict=True))
    assert strict(other, other.cloneState(include_rng=True), triples) == points
    assert (other.getRAM() == ale.getRAM()).all()


def main(seed: str) -> None:
    player = Player(int(seed))
    serve(lambda question: player.play(**question))

"""Pong on the console equals ale_py: frame for frame, whatever is played."""

from __future__ import annotations

import random

import pytest
from consoles import consoles, pong
from hypothesis import example, given, settings
from hypothesis import strategies as st
from players import ACTIONS, FIRE, LEFT, NOOP, PLAYERS, RIGHT

from fastpong.console.lockstep import Difference, Lockstep
from fastpong.envs.ale import AleMachine
from fastpong.envs.draws import TRAIN, uniforms
from fastpong.envs.variants import VARIANTS

FRAMES = 12_000
"""Of each player, in games one after the other."""


@pytest.fixture(scope="module")
def lockstep() -> Lockstep:
    return pong()


def test_the_start_is_ales(lockstep: Lockstep) -> None:
    for _ in range(3):
        lockstep.reset()


@pytest.mark.parametrize("name", PLAYERS)
def test_every_frame_of_a_players_games(name: str, lockstep: Lockstep) -> None:
    act = PLAYERS[name](random.Random(f"{name} 1"))
    lockstep.reset()
    for _ in range(FRAMES):
        lockstep.step([act(lockstep.ram)])
        if lockstep.over:
            lockstep.reset()


@pytest.mark.parametrize("env", VARIANTS)
@pytest.mark.parametrize("name", ["random, 4 frames", "tracker, noise 0.1"])
def test_the_frames_of_a_variants_steps(env: str, name: str, lockstep: Lockstep) -> None:
    """Frames as envs.emulator draws them, those of a step in one call."""
    variant = VARIANTS[env]
    act, draw = PLAYERS[name](random.Random(f"{env} {name}")), uniforms(1, TRAIN, 0)
    last, played = NOOP, 0
    lockstep.reset()
    while played < FRAMES:
        action, skip = act(lockstep.ram), variant.frameskip
        count = skip[int(draw() * len(skip))] if len(skip) > 1 else skip[0]
        frames = []
        for _ in range(count):
            last = last if variant.sticky and draw() < variant.sticky else action
            frames.append(last)
        lockstep.step(frames)
        played += count
        if lockstep.over:
            last = NOOP
            lockstep.reset()


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(1, 90)), min_size=1, max_size=30))
@example([(FIRE, 1)])
@example([(LEFT, 90), (RIGHT, 90), (LEFT, 1), (RIGHT, 1)])
def test_adversarial_sequences(held: list[tuple[int, int]]) -> None:
    """A failing sequence is shrunk. Keep it as an example."""
    lockstep = shared()
    lockstep.reset()
    for action, frames in held:
        for _ in range(frames):
            lockstep.step([action])


def shared(made: list[Lockstep] = []) -> Lockstep:  # noqa: B006
    """Return one lockstep for all examples: loading a game takes longer than an example."""
    if not made:
        made.append(pong())
    return made[0]


def last_frame() -> int:
    """Return the frame in which a game without any action ends."""
    ale = AleMachine("pong", 108_000).ale
    ale.reset_game()
    while not ale.game_over():
        ale.act(NOOP)
    return ale.getEpisodeFrameNumber()


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_the_cap_beside_the_end_of_a_game(offset: int) -> None:
    end = last_frame()
    lockstep = pong(max_frames=end + offset)
    for skip in (1, 4):  # a step of several frames must draw the last one that is played
        lockstep.reset()
        for _ in range(0, end + 3 * skip, skip):
            lockstep.step([NOOP] * skip)
        assert lockstep.over


@pytest.mark.parametrize("cap", [1, 2, 7, 500])
def test_a_cap_within_a_game(cap: int) -> None:
    lockstep = pong(max_frames=cap)
    act = PLAYERS["random, 4 frames"](random.Random(cap))
    for _ in range(3):
        lockstep.reset()
        for _ in range(cap + 5):
            lockstep.step([act(lockstep.ram), act(lockstep.ram), act(lockstep.ram)])
        assert lockstep.over


@pytest.mark.parametrize("name", consoles())
def test_a_saved_game_resumes(name: str) -> None:
    """What was saved goes on as ALE's game did, in another console."""
    lockstep = pong()
    act = PLAYERS["tracker, noise 0.1"](random.Random(5))
    source, target = lockstep.consoles[name], consoles()[name]
    for start in (0, 1, 400, 2500):
        lockstep.reset()
        for _ in range(start):
            lockstep.step([act(lockstep.ram)])
        target.restore(source.save())
        resumed = Lockstep(lockstep.ale, {"resumed": target})
        for _ in range(300):
            resumed.step([act(lockstep.ram)])
            lockstep.ale.getRAM(lockstep.ram)


def test_equal_states_are_saved_alike() -> None:
    first, second = consoles()["interpreter"], consoles()["interpreter"]
    assert first.save() == second.save()
    for console in (first, second):
        console.play(bytes([RIGHT]) * 100)
    assert first.save() == second.save()


def test_a_difference_is_found(lockstep: Lockstep) -> None:
    """The harness compares: a console one frame ahead is caught."""
    ahead = consoles()["interpreter"]
    other = Lockstep(lockstep.ale, {"ahead": ahead})
    lockstep.ale.reset_game()
    ahead.reset_game()
    ahead.act(NOOP)
    with pytest.raises(Difference, match="ahead, frame 1: reward, over"):
        other.step([NOOP])

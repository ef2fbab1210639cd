"""Pong on the console equals ale_py: frame for frame, whatever is played."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from consoles import CONSOLES, consoles, pong
from hypothesis import example, given, settings
from hypothesis import strategies as st
from players import ACTIONS, FIRE, LEFT, NOOP, PLAYERS, RIGHT, variant_frames

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


TRAINED = np.load(Path(__file__).resolve().parents[1] / "golden" / "trained-games.npz")
"""Every frame's action in games of an agent of `fastpong train --recipe pong`, each of them won.

The emulators are deterministic, so the actions are the games.
"""


@pytest.mark.parametrize("frames", [1, 4])
@pytest.mark.parametrize("name", TRAINED.files)
def test_the_games_of_a_trained_agent(name: str, frames: int, lockstep: Lockstep) -> None:
    actions, points = TRAINED[name].tolist(), 0
    lockstep.reset()
    for at in range(0, len(actions), frames):
        points += lockstep.step(actions[at : at + frames])
    assert lockstep.over and points > 10


@pytest.mark.parametrize("env", VARIANTS)
@pytest.mark.parametrize("name", ["random, 4 frames", "tracker, noise 0.1"])
def test_the_frames_of_a_variants_steps(env: str, name: str, lockstep: Lockstep) -> None:
    """Frames as envs.emulator draws them, those of a step in one call."""
    act = PLAYERS[name](random.Random(f"{env} {name}"))
    step, played = variant_frames(VARIANTS[env], act, uniforms(1, TRAIN, 0)), 0
    lockstep.reset()
    while played < FRAMES:
        frames = step(lockstep.ram)
        lockstep.step(frames)
        played += len(frames)
        if lockstep.over:
            step(None)
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


def test_the_cap_of_108000_frames() -> None:
    lockstep = pong()
    act = PLAYERS["endless rally"](random.Random(0))
    lockstep.reset()
    while not lockstep.over:
        lockstep.step([act(lockstep.ram)] * 4)
    assert lockstep.ale.game_truncated()
    assert lockstep.ale.getEpisodeFrameNumber() == 108_000


@pytest.mark.parametrize("cap", [1, 2, 7, 500])
def test_a_cap_within_a_game(cap: int) -> None:
    lockstep = pong(max_frames=cap)
    act = PLAYERS["random, 4 frames"](random.Random(cap))
    for _ in range(3):
        lockstep.reset()
        for _ in range(cap + 5):
            lockstep.step([act(lockstep.ram), act(lockstep.ram), act(lockstep.ram)])
        assert lockstep.over


@pytest.mark.parametrize("name", CONSOLES)
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
    """So a state does not tell which console it is from, nor what memory held before."""
    saved = []
    for console in (*consoles().values(), *consoles().values()):
        saved.append([console.save()])
        console.play(bytes([RIGHT]) * 100)
        saved[-1].append(console.save())
    assert all(states == saved[0] for states in saved)


def test_a_difference_is_found(lockstep: Lockstep) -> None:
    """The harness compares: a console one frame ahead is caught."""
    ahead = consoles()["interpreter"]
    other = Lockstep(lockstep.ale, {"ahead": ahead})
    lockstep.ale.reset_game()
    ahead.reset_game()
    ahead.act(NOOP)
    with pytest.raises(Difference, match="ahead, frame 1: reward, over"):
        other.step([NOOP])

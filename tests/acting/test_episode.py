from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fastpong.acting.episode import BindStep, Buffers, Step, play_episode
from fastpong.acting.trajectory import Trajectory
from fastpong.envs.draws import TRAIN, Draw, uniforms
from fastpong.envs.emulator import Emulator
from fastpong.envs.games import PONG
from fastpong.envs.variants import Variant, find_variant

Array = npt.NDArray[np.generic]
D = 6400


def dense(screen: Array, table: npt.NDArray[np.uint8]) -> npt.NDArray[np.int8]:
    """One screen as the reference sees it: rows 35-194, every second pixel, background 0."""
    binary: npt.NDArray[np.int8] = table[screen[35:195:2, ::2]].ravel().astype(np.int8)
    return binary


def tiny_policy(table: npt.NDArray[np.uint8], weights: npt.NDArray[np.float64]) -> BindStep:
    """A policy in NumPy, with the semantics of the compiled PolicyStep; no hidden layer."""

    def bind_step(
        screens: npt.NDArray[np.uint8],
        indptr: npt.NDArray[np.int64],
        indices: npt.NDArray[np.uint16],
        signs: npt.NDArray[np.int8],
        actions: npt.NDArray[np.uint8],
    ) -> Step:
        def step(t: int, uniform: float) -> int:
            if t >= len(actions) or indptr[t] + D > len(indices):
                return -1
            now = dense(screens[t & 1], table)
            before = dense(screens[(t - 1) & 1], table) if t else np.zeros(D, np.int8)
            changed = np.flatnonzero(now != before)
            start = int(indptr[t])
            end = start + len(changed)
            indices[start:end] = changed
            signs[start:end] = (now - before)[changed]
            indptr[t + 1] = end
            logit = float(((now - before) * weights).sum())
            y = int(uniform < 1 / (1 + np.exp(-logit)))
            actions[t] = y
            return y

        return step

    return bind_step


@pytest.fixture(scope="module")
def emulator() -> Emulator:
    """Pong-v0 with its randomness, cut at 1500 frames to keep the tests short."""
    return Emulator(dataclasses.replace(find_variant("Pong-v0"), max_frames=1500))


@pytest.fixture(scope="module")
def policy(emulator: Emulator) -> BindStep:
    weights = np.random.default_rng(0).normal(size=D)
    return tiny_policy(emulator.foreground_table(), weights)


def replay(
    emulator: Emulator, draw: Draw, weights: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int8], list[int], list[float]]:
    """The same episode by plain means: dense difference frames, actions, rewards."""
    table = emulator.foreground_table()
    screen = np.empty((210, 160), np.uint8)
    before = np.zeros(D, np.int8)
    frames, actions, rewards = [], [], []
    emulator.reset(draw)
    while not emulator.over:
        emulator.read_screen(screen)
        now = dense(screen, table)
        frames.append(now - before)
        before = now
        probability = 1 / (1 + np.exp(-float((frames[-1] * weights).sum())))
        actions.append(int(draw() < probability))
        rewards.append(emulator.step(3 if actions[-1] else 4))
    return np.array(frames), actions, rewards


def densified(trajectory: Trajectory) -> npt.NDArray[np.int8]:
    frames = np.zeros((trajectory.length, D), np.int8)
    for t in range(trajectory.length):
        span = slice(trajectory.indptr[t], trajectory.indptr[t + 1])
        frames[t, trajectory.indices[span]] = trajectory.signs[span]
    return frames


def same(one: Trajectory, other: Trajectory) -> bool:
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name))
        for field in dataclasses.fields(Trajectory)
    )


def test_trajectory_equals_the_episode_played_by_plain_means(
    emulator: Emulator, policy: BindStep
) -> None:
    trajectory = play_episode(emulator, policy, uniforms(1, TRAIN, 2))
    frames = emulator.frames
    trajectory.check()
    weights = np.random.default_rng(0).normal(size=D)
    dense_frames, actions, rewards = replay(emulator, uniforms(1, TRAIN, 2), weights)
    np.testing.assert_array_equal(densified(trajectory), dense_frames)
    assert trajectory.actions.tolist() == actions
    assert trajectory.rewards.tolist() == rewards
    assert trajectory.length == len(actions)
    assert trajectory.score == sum(rewards) < 0
    assert trajectory.frames == frames == 1500
    assert trajectory.truncated is True
    assert {0, 1} == set(actions)
    # The first frame is the start screen, against nothing: no stale screen of the game before.
    assert (trajectory.signs[: trajectory.indptr[1]] == 1).all()


@pytest.mark.parametrize(("steps", "entries"), [(1, 1), (1, 1 << 18), (4096, 6400), (37, 7001)])
def test_buffers_grow_without_a_trace(
    emulator: Emulator, policy: BindStep, steps: int, entries: int
) -> None:
    buffers = Buffers(steps=steps, entries=entries)
    roomy = play_episode(emulator, policy, uniforms(3, TRAIN, 0))
    grown = play_episode(emulator, policy, uniforms(3, TRAIN, 0), buffers=buffers)
    assert same(grown, roomy)
    assert len(buffers.actions) >= grown.length
    assert len(buffers.indptr) == len(buffers.actions) + 1
    assert len(buffers.indices) == len(buffers.signs) < 2 * len(grown.indices) + 4 * D + entries


def test_buffers_are_allocated_once(emulator: Emulator, policy: BindStep) -> None:
    buffers = Buffers()
    before = [getattr(buffers, name) for name in Buffers.__slots__]
    first = play_episode(emulator, policy, uniforms(0, TRAIN, 0), buffers=buffers)
    kept = pickle.loads(pickle.dumps(first))
    second = play_episode(emulator, policy, uniforms(0, TRAIN, 1), buffers=buffers)
    assert not same(first, second)
    # The first trajectory is a copy: playing on did not change it.
    assert same(first, kept)
    after = [getattr(buffers, name) for name in Buffers.__slots__]
    assert all(a is b for a, b in zip(before, after, strict=True))
    arrays = (first.indptr, first.indices, first.signs, first.actions, first.rewards)
    for array in arrays:
        assert array.base is None
        assert not any(np.shares_memory(array, buffer) for buffer in before)


def test_an_episode_does_not_depend_on_those_before(emulator: Emulator, policy: BindStep) -> None:
    buffers = Buffers(steps=10, entries=6400)
    first = play_episode(emulator, policy, uniforms(0, TRAIN, 5), buffers=buffers)
    play_episode(emulator, policy, uniforms(0, TRAIN, 6), buffers=buffers)
    again = play_episode(emulator, policy, uniforms(0, TRAIN, 5), buffers=buffers)
    elsewhere = play_episode(Emulator(emulator.variant), policy, uniforms(0, TRAIN, 5))
    assert same(first, again)
    assert same(first, elsewhere)


def test_a_whole_game_ends_by_itself() -> None:
    emulator = Emulator(find_variant("PongDeterministic-v4"))
    bind = tiny_policy(emulator.foreground_table(), np.zeros(D))
    trajectory = play_episode(emulator, bind, uniforms(0, TRAIN, 0), ale_actions=(4, 4))
    trajectory.check()
    assert trajectory.truncated is False
    assert trajectory.score == -21
    assert trajectory.frames == emulator.frames
    assert 4 * (trajectory.length - 1) < trajectory.frames <= 4 * trajectory.length
    # The points are where the game made them.
    emulator.reset(uniforms(0, TRAIN, 0))
    assert trajectory.rewards.tolist() == [emulator.step(4) for _ in range(trajectory.length)]


def test_choices_become_the_actions_given() -> None:
    emulator = Emulator(Variant("short", max_frames=50))
    bind_step = tiny_policy(emulator.foreground_table(), np.zeros(D))
    played: list[int] = []
    play = emulator._play

    def noting(actions: bytes | bytearray) -> int:
        played.extend(actions)
        return play(actions)

    emulator._play = noting
    trajectory = play_episode(emulator, bind_step, uniforms(0, TRAIN, 0), ale_actions=(12, 11))
    # With no weights p = 1/2, and with nothing else random the draws are the choices' alone.
    draw = uniforms(0, TRAIN, 0)
    choices = [int(draw() < 0.5) for _ in range(50)]
    assert trajectory.actions.tolist() == choices
    assert played == [(12, 11)[choice] for choice in choices]


def test_a_step_that_never_has_room_is_an_error(emulator: Emulator) -> None:
    def bind_step(*arrays: Array) -> Step:
        return lambda t, uniform: -1

    with pytest.raises(RuntimeError, match="step 0 found no room"):
        play_episode(emulator, bind_step, uniforms(0, TRAIN, 0))
    with pytest.raises(RuntimeError, match="step 0 found no room"):
        play_episode(
            emulator, bind_step, uniforms(0, TRAIN, 0), buffers=Buffers(steps=1, entries=1)
        )


def test_an_error_in_a_step_leaves_the_next_episode_whole(
    emulator: Emulator, policy: BindStep
) -> None:
    def bind_step(*arrays: Array) -> Step:
        def step(t: int, uniform: float) -> int:
            raise ZeroDivisionError

        return step

    buffers = Buffers()
    whole = play_episode(emulator, policy, uniforms(0, TRAIN, 0), buffers=buffers)
    with pytest.raises(ZeroDivisionError):
        play_episode(emulator, bind_step, uniforms(0, TRAIN, 0), buffers=buffers)
    assert same(play_episode(emulator, policy, uniforms(0, TRAIN, 0), buffers=buffers), whole)


@pytest.mark.parametrize("ale_actions", [(2, 3), (4, 99), (-1, 3)])
def test_actions_the_game_does_not_know(
    emulator: Emulator, policy: BindStep, ale_actions: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match="ale_actions"):
        play_episode(emulator, policy, uniforms(0, TRAIN, 0), ale_actions=ale_actions)


def test_buffers_without_room() -> None:
    with pytest.raises(ValueError, match="steps: expected 1 or more, got 0"):
        Buffers(steps=0)
    with pytest.raises(ValueError, match="entries: expected 1 or more, got -1"):
        Buffers(entries=-1)


def test_left_and_right_are_ales_numbers() -> None:
    import ale_py

    left, right = PONG.move_actions
    assert (left, right) == (ale_py.Action.LEFT.value, ale_py.Action.RIGHT.value)


# -- Trajectory ---------------------------------------------------------------------------------


def example() -> Trajectory:
    return Trajectory(
        indptr=np.array([0, 2, 2, 3], np.int64),
        indices=np.array([5, 6399, 0], np.uint16),
        signs=np.array([1, -1, 1], np.int8),
        actions=np.array([1, 0, 1], np.uint8),
        rewards=np.array([0, -1, 1], np.float32),
        frames=9,
        truncated=False,
    )


def test_trajectory_measures() -> None:
    trajectory = example()
    trajectory.check()
    assert (trajectory.length, trajectory.score) == (3, 0.0)


def test_trajectory_pickles_small() -> None:
    data = pickle.dumps(example(), protocol=5)
    assert same(pickle.loads(data), example())
    assert len(data) < 1000


BROKEN: dict[str, Callable[[Trajectory], Any]] = {
    "indptr": lambda t: np.array([0, 2, 1, 3]),
    "indices": lambda t: np.array([5, 6400, 0], np.uint16),
    "signs": lambda t: np.array([1, 0, 1], np.int8),
    "actions": lambda t: np.array([1, 0, 2], np.uint8),
    "rewards": lambda t: t.rewards[:2],
    "frames": lambda t: 2,
    "indices ascend": lambda t: np.array([6399, 5, 0], np.uint16),
    "indices twice": lambda t: np.array([5, 5, 0], np.uint16),
    "signs dtype": lambda t: t.signs.astype(np.int64),
    "indptr start": lambda t: np.array([1, 2, 2, 3]),
    "indptr end": lambda t: np.array([0, 2, 2, 2]),
    "rewards shape": lambda t: t.rewards[None],
}


@pytest.mark.parametrize("what", BROKEN)
def test_trajectory_check_names_what_is_wrong(what: str) -> None:
    name = what.split()[0]
    broken = dataclasses.replace(example(), **{name: BROKEN[what](example())})
    with pytest.raises(ValueError, match=name):
        broken.check()

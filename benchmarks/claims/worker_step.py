"""Claim c, first half: what a worker does in a step besides the emulator.

One recorded episode is played over and over by four arms, in turn, on ale-py, where Python calls
the emulator step by step:

acts    : the episode's calls of the emulator alone, one a step
screens : the same, and ``read_screen`` before every step
steps   : the same, and the compiled step on each screen
worker  : all that a worker does for a task, from the task's bytes to the result's

The clock is read around every call of the emulator, and what counts is the time outside of them. A
gap between two of them is the same work in every round, so its median over the rounds is free of
the interruptions that a whole episode always meets.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

import numpy as np
from cases.recorded import Recording, record
from measure import Figure, figure
from numpy.typing import NDArray

from fastpong.acting.episode import Buffers
from fastpong.acting.trajectory import Trajectory
from fastpong.runtime.pool import Task

HOW_WORKER = """\
Worker: the first 1,500 frames of an episode of Pong-v0 (float32, 200 hidden units) are played
again on ale-py from its task's bytes to its result's, and so are, in turn and on the same one,
their calls of the emulator alone. The clock is read before and after every call; each gap between
two of them is taken as its median over the rounds, and their sum, less that of the calls alone, is
what a worker does besides the emulator, with the caches as the emulator leaves them. The parts are
differences between arms that add one thing each. What a cold cache costs the emulator afterwards
is not in it (it is in claim a). The quartiles are of ten groups of rounds."""

FRAMES = 1_500
GROUPS = 10

PARTS = {
    "reading the screen": ("screens", "acts"),
    "the compiled step": ("steps", "screens"),
    "draws, loop, task and result": ("worker", "steps"),
}


def measure(rounds: int) -> tuple[list[Figure], list[Figure]]:
    """Return the figure of the claim and its parts, in µs per step."""
    recording = record(max_frames=FRAMES, emulator_kind="ale")
    arms = make_arms(recording)
    check(recording, arms)
    timed: dict[str, list[Any]] = {name: [] for name in arms}
    for _ in range(rounds):
        for name, arm in arms.items():
            timed[name].append(time_calls(recording, arm))
    groups = np.array_split(np.arange(rounds), min(GROUPS, rounds))

    def per_step(arm: str, side: int) -> list[float]:
        sums = [np.median([timed[arm][i][side] for i in group], axis=0).sum() for group in groups]
        return [1e-3 * ns / recording.trajectory.length for ns in sums]

    outside = {name: per_step(name, 0) for name in arms}

    def cost(what: str, more: str, less: str, **target: float) -> Figure:
        values = [a - b for a, b in zip(outside[more], outside[less], strict=True)]
        return figure(what, values, "µs", **target)

    total = cost("a worker's step besides the emulator", "worker", "acts", at_most=6.0)
    parts = [cost(f"worker: {what}", *between) for what, between in PARTS.items()]
    return [total], [
        *parts,
        figure("worker: the emulator, for comparison", per_step("acts", 1), "µs"),
    ]


def time_calls(
    recording: Recording, arm: Callable[[], object]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Run an arm; return the ns outside of its n emulator calls, (n + 1,), and inside, (n,)."""
    emulator = recording.emulator
    play, clock = emulator._play, perf_counter_ns
    marks: list[int] = []

    def timed_play(actions: bytes | bytearray) -> int:
        marks.append(clock())
        points = play(actions)
        marks.append(clock())
        return points

    emulator._play = timed_play
    try:
        marks.append(clock())
        arm()
        marks.append(clock())
    finally:
        emulator._play = play
    spans = np.diff(marks)
    return spans[::2], spans[1::2]


def make_arms(recording: Recording) -> dict[str, Callable[[], object]]:
    """Return the four arms; each plays the whole episode and returns what ``check`` looks at."""
    emulator, actor = recording.emulator, recording.actor
    by_step = recording.frame_actions
    uniform = [0.0 if right else 1.0 for right in recording.trajectory.actions]
    replayed = Buffers(steps=len(by_step) + 1, entries=1 << 20)
    screens = tuple(replayed.screens)
    w1, w2 = recording.parameters["w1"], recording.parameters["w2"]
    choose = actor.spec.kernels.policy_step(
        replayed.screens, actor.table, w1, w2,
        replayed.indptr, replayed.indices, replayed.signs, replayed.actions,
    )  # fmt: skip
    task = pickle.dumps(Task(recording.episode, version=0))

    def begin() -> tuple[Callable[[bytes], int], Callable[[np.ndarray], None]]:
        emulator.reset(lambda: 0.0)
        return emulator._play, emulator.read_screen

    def acts() -> int:
        play, _ = begin()
        points = 0
        for actions in by_step:
            points += play(actions)
        return points

    def shown() -> int:
        play, read_screen = begin()
        points = 0
        for t, actions in enumerate(by_step):
            read_screen(screens[t & 1])
            points += play(actions)
        return points

    def stepped() -> int:
        play, read_screen = begin()
        points = 0
        for t, actions in enumerate(by_step):
            read_screen(screens[t & 1])
            choose(t, uniform[t])
            points += play(actions)
        return points

    def worker() -> Trajectory:
        pickle.loads(task)
        trajectory = recording.play()
        # The bytes that go through the pipe, with the kind of message before them.
        _ = b"R" + pickle.dumps(trajectory, pickle.HIGHEST_PROTOCOL)
        return trajectory

    worker_arms = {"acts": acts, "screens": shown, "steps": stepped, "worker": worker}
    stepped.buffers = replayed  # type: ignore[attr-defined]
    return worker_arms


def check(recording: Recording, arms: dict[str, Callable[[], object]]) -> None:
    """Raise AssertionError unless every arm plays the very episode that was recorded."""
    wanted = recording.trajectory
    for name in ("acts", "screens", "steps"):
        assert arms[name]() == wanted.score
        assert recording.emulator.frames == wanted.frames
    replayed = arms["steps"].buffers  # type: ignore[attr-defined]
    again = arms["worker"]()
    assert isinstance(again, Trajectory)
    for name in ("indptr", "indices", "signs", "actions"):
        size = len(getattr(wanted, name))
        np.testing.assert_array_equal(getattr(again, name), getattr(wanted, name))
        np.testing.assert_array_equal(getattr(replayed, name)[:size], getattr(wanted, name))
    np.testing.assert_array_equal(again.rewards, wanted.rewards)

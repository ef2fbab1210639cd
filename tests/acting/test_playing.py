"""The compiled loop and the loop in Python play the same steps, bit for bit."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from training_cases import stages_of

from fastpong.acting import playing
from fastpong.acting.episode import Buffers, play_episode
from fastpong.acting.rollout import EnvState
from fastpong.agents import AGENTS, make_plan
from fastpong.agents.protocol import Chance
from fastpong.envs.draws import EVAL, TRAIN, uniforms
from fastpong.envs.emulator import Emulator
from fastpong.envs.variants import find_variant

pytestmark = pytest.mark.skipif(not playing.COMPILED, reason="built without a C compiler")

STEP = {
    "karpathy": ("ALE/Pong-v5", "Pong-v0", "PongDeterministic-v4"),
    "keras": ("Pong-v4", "PongDeterministic-v4"),
    "ppo": ("PongDeterministic-v4", "ALE/Pong-v5"),
    "dqn": ("ALE/Pong-v5",),
}
CASES = [(agent, env) for agent, envs in STEP.items() for env in envs]


def actor_of(agent: str, env: str, dtype: str, greedy: bool) -> Any:
    """An agent's actor on the console."""
    settings = {"n_steps": 90, "n_envs": 1} if agent in ("ppo", "dqn") else {}
    plan = make_plan(env, stages_of(agent, env=env, **settings), "cython", dtype, "console")
    stage = plan.stages[0]
    short = dataclasses.replace(stage, variant=dataclasses.replace(stage.variant, max_frames=1200))
    return short.spec.actor(short, Chance(3, TRAIN, greedy)), short.spec.initial_parameters(1)


def same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if dataclasses.is_dataclass(a):
            same(a, b)
        elif isinstance(a, np.ndarray):
            assert a.dtype == b.dtype and np.array_equal(a, b), field.name
        else:
            assert a == b, field.name


def play(agent: str, env: str, dtype: str, greedy: bool, tasks: int) -> list[Any]:
    actor, parameters = actor_of(agent, env, dtype, greedy)
    results, state = [], EnvState() if agent in ("ppo", "dqn") else None
    for task in range(tasks):
        results.append(actor.play(task, parameters, state))
        if state is not None:
            state = results[-1].state
    results.append(actor.play(99, parameters))  # one whole episode, as evaluation plays it
    return results


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize(("agent", "env"), CASES)
def test_both_loops_play_the_same(
    agent: str, env: str, greedy: bool, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = 5 if agent in ("ppo", "dqn") else 1
    compiled = play(agent, env, dtype, greedy, tasks)
    monkeypatch.setattr(playing, "COMPILED", False)
    for one, other in zip(compiled, play(agent, env, dtype, greedy, tasks), strict=True):
        same(one, other)


def test_a_console_is_played_by_the_compiled_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the tests above would compare Python's loop with itself."""

    def refuse(*_: Any) -> None:
        raise AssertionError("the compiled loop was asked for")

    for agent in AGENTS:
        actor, parameters = actor_of(agent, "PongDeterministic-v4", "float32", False)
        monkeypatch.setattr(playing, "ConsoleLoop", refuse)
        with pytest.raises(AssertionError, match="was asked for"):
            actor.play(0, parameters)
        monkeypatch.undo()


@pytest.mark.parametrize("steps", [1, 7])
def test_buffers_grow_in_the_middle_of_an_episode(steps: int) -> None:
    variant = dataclasses.replace(find_variant("ALE/Pong-v5"), max_frames=400)
    emulator = Emulator(variant, "console")
    stage = make_plan(
        "ALE/Pong-v5", stages_of("karpathy", env="ALE/Pong-v5"), "cython", "float32", "console"
    ).stages[0]
    parameters, table = stage.spec.initial_parameters(1), emulator.foreground_table()

    def bind(*buffers: Any) -> Any:
        screens, *rest = buffers
        return stage.spec.kernels.policy_step(
            screens, table, parameters["w1"], parameters["w2"], *rest
        )

    roomy = play_episode(emulator, bind, uniforms(3, EVAL, 0))
    grown = play_episode(
        emulator, bind, uniforms(3, EVAL, 0), buffers=Buffers(steps=steps, entries=1)
    )
    same(roomy, grown)


def test_uniforms_are_numpy_s() -> None:
    sequence = np.random.SeedSequence(7, spawn_key=(EVAL, 12))
    want = np.random.Generator(np.random.PCG64(sequence)).random(3000)
    draw = uniforms(7, EVAL, 12)
    assert [draw() for _ in range(3000)] == want.tolist()


def loop(**changes: Any) -> playing.ConsoleLoop:
    console = Emulator(find_variant("PongDeterministic-v4"), "console").console
    given = {
        "machine": console,
        "screens": np.zeros((2, 210, 160), np.uint8),
        "rewards": np.zeros(8, np.float32),
        "moves": (3, 4),
        "frameskip": (4,),
        "sticky": 0.0,
    }
    return playing.ConsoleLoop(**given | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"screens": np.zeros((0, 210, 160), np.uint8)},
            r"screens: expected shape \(K, 210, 160\)",
        ),
        ({"screens": np.zeros((2, 84, 84), np.uint8)}, r"screens: expected shape \(K, 210, 160\)"),
        ({"moves": ()}, "moves: expected numbers from 0 to 17"),
        ({"moves": (3, 18)}, "moves: expected numbers from 0 to 17"),
        ({"moves": (-1, 3)}, "moves: expected numbers from 0 to 17"),
        ({"frameskip": ()}, "frameskip: expected numbers of 1 or more"),
        ({"frameskip": (2, 0)}, "frameskip: expected numbers of 1 or more"),
    ],
)
def test_buffers_that_would_be_overrun_are_refused(changes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loop(**changes)


def test_a_loop_begins_with_no_action_and_nothing_drawn() -> None:
    begun = loop()
    assert (begun.last_action, begun.waiting) == (-1, -1.0)
    with pytest.raises(TypeError):
        loop(machine=None)


def test_an_episode_that_has_not_begun_is_not_played() -> None:
    actor, parameters = actor_of("karpathy", "PongDeterministic-v4", "float32", False)
    buffers = actor.buffers
    weights = parameters["w1"], parameters["w2"]
    step = actor.spec.kernels.policy_step(
        buffers.screens, actor.table, *weights, buffers.indptr, buffers.indices, buffers.signs,
        buffers.actions,
    )  # fmt: skip
    assert isinstance(step, playing.CompiledStep) and actor.emulator.over
    player, draw = playing.StepPlayer(actor.emulator, (3, 4)), uniforms(1, TRAIN, 1)
    arrays = buffers.screens, buffers.rewards
    assert player.play(playing.Policy(step), draw, *arrays, 0, 8) == 0
    assert draw() == uniforms(1, TRAIN, 1)()
    actor.emulator.reset(draw)
    assert player.play(playing.Policy(step), draw, *arrays, 0, 8) == 8

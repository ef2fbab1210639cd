"""The agent against a program of its own: the reference's loop, through gymnasium, dense, in NumPy.

The trainer's tests compare backends, which share the agent's code; here nothing is shared but the
uniforms. The program is the one that benchmarks/bench_reference.py times.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import ale_py
import gymnasium
import numpy as np
from programs.reference import Reference
from tolerances import TRAINING
from training_cases import stages_of

from fastpong.agents import make_plan
from fastpong.agents.protocol import Chance
from fastpong.envs.draws import TRAIN, uniforms

SEED = 3


def test_learns_what_the_reference_program_learns() -> None:
    """The same moves, points and weights, over two updates of one whole game each."""
    env = "PongDeterministic-v4"
    stages = stages_of("karpathy", env=env, batch_size=1, lag=0)
    stage = make_plan(env, stages, "cython", "float64").stages[0]
    actor: Any = stage.spec.actor(stage, Chance(SEED, TRAIN))
    parameters = stage.spec.initial_parameters(SEED)
    learner = stage.spec.learner(stage, parameters, 1)

    program = Reference(seed=0)
    program.w1, program.w2 = parameters["w1"].T.copy(), parameters["w2"].copy()
    gymnasium.register_envs(ale_py)
    screens = gymnasium.make("ALE/Pong-v5", frameskip=4, repeat_action_probability=0.0)
    assert screens.observation_space.shape == (210, 160, 3)

    for number in range(2):  # the second divides by what the first has left in the cache
        episode = actor.play(number, parameters)
        learner.add(episode, parameters)
        learner.update()

        # Nothing is random in this variant but the choices: one uniform a step.
        program.rng = SimpleNamespace(random=uniforms(SEED, TRAIN, number))
        played = program.play(screens, seed=0)
        program.update(*program.gradient(played))

        assert np.array_equal(episode.actions, np.array(played.right, np.uint8))
        assert np.array_equal(episode.rewards, np.array(played.rewards, np.float32))
        np.testing.assert_allclose(parameters["w1"].T, program.w1, rtol=TRAINING)
        np.testing.assert_allclose(parameters["w2"], program.w2, rtol=TRAINING)
    assert np.abs(parameters["w1"] - stage.spec.initial_parameters(SEED)["w1"]).max() > 1e-4

"""The agent against a program of its own: the reference's loop, through gymnasium, dense, in NumPy.

The trainer's tests compare backends, which share the agent's code; here nothing is shared but the
uniforms. The program is the one that benchmarks/bench_reference.py times.
"""

from types import SimpleNamespace

import ale_py
import gymnasium
import numpy as np
from programs.reference import Reference
from tolerances import TRAINING

from fastpong.agents import create
from fastpong.agents.karpathy import Settings
from fastpong.envs.draws import TRAIN, uniforms

SEED = 3


def test_learns_what_the_reference_program_learns():
    """The same moves, points and weights, over three updates of one whole game each."""
    agent = create("pg", Settings(batch_size=1, lag=0), "cython", "float64")
    play = agent.player("PongDeterministic-v4", SEED, TRAIN, False)
    parameters, state = agent.initial_parameters(SEED), agent.initial_state()

    program = Reference(seed=0)
    program.w1, program.w2 = parameters["w1"].T.copy(), parameters["w2"].copy()
    gymnasium.register_envs(ale_py)
    env = gymnasium.make("ALE/Pong-v5", frameskip=4, repeat_action_probability=0.0)
    assert env.observation_space.shape == (210, 160, 3)

    for number in range(3):
        episode = play(number, parameters)
        agent.add(episode, parameters, state)
        agent.update(parameters, state)

        # Nothing is random in this variant but the choices: one uniform a step.
        program.rng = SimpleNamespace(random=uniforms(SEED, TRAIN, number))
        played = program.play(env, seed=0)
        program.update(*program.gradient(played))

        assert np.array_equal(episode.actions, np.array(played.right, np.uint8))
        assert np.array_equal(episode.rewards, np.array(played.rewards, np.float32))
        np.testing.assert_allclose(parameters["w1"].T, program.w1, rtol=TRAINING)
        np.testing.assert_allclose(parameters["w2"], program.w2, rtol=TRAINING)
    assert np.abs(parameters["w1"] - agent.initial_parameters(SEED)["w1"]).max() > 1e-4

"""Real Pong data: one training episode, with the screens it showed and the frames it took."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastpong import agents
from fastpong.acting.episode import Buffers, Step, play_episode
from fastpong.acting.trajectory import Trajectory
from fastpong.agents.karpathy import PolicyGradient
from fastpong.envs.draws import TRAIN, uniforms
from fastpong.envs.emulator import Emulator
from fastpong.envs.variants import find_variant

Array = NDArray[Any]

ENV, SEED = "Pong-v0", 0
KEPT_SCREENS = 512


@dataclass(frozen=True)
class Recording:
    """Episode ``episode`` of seed 0, as the weights at the very beginning play it.

    frame_actions : ALE's action of every frame, step by step
    screens       : (n, 210, 160) uint8 palette indices, of the first steps
    rgb           : (2, 210, 160, 3) uint8, of the last two frames
    frames_emulated : by ALE's own count, of all ``act`` calls one by one
    """

    agent: PolicyGradient
    parameters: dict[str, Array]
    emulator: Emulator
    table: Array
    episode: int
    trajectory: Trajectory
    frame_actions: list[list[int]]
    screens: Array
    rgb: Array
    frames_emulated: int

    def play(self, buffers: Buffers) -> Trajectory:
        """Play the episode again, as a worker does."""
        weights, step = self.parameters, self.agent.kernels.policy_step

        def bind(screens: Array, indptr: Array, indices: Array, signs: Array, acts: Array) -> Step:
            return step(
                screens, self.table, weights["w1"], weights["w2"], indptr, indices, signs, acts
            )

        draw = uniforms(SEED, TRAIN, self.episode)
        return play_episode(self.emulator, bind, draw, buffers=buffers)


def make_agent(dtype: str = "float32", backend: str = "cython") -> PolicyGradient:
    agent = agents.create("pg", PolicyGradient.Hyperparameters(), backend, dtype)
    assert isinstance(agent, PolicyGradient)
    return agent


@functools.cache
def record(episode: int = 0, dtype: str = "float32", max_frames: int = 108_000) -> Recording:
    """Play an episode, or its first frames, once with every frame counted; cached."""
    agent = make_agent(dtype)
    parameters = agent.initial_parameters(SEED)
    emulator = Emulator(dataclasses.replace(find_variant(ENV), max_frames=max_frames))
    table = emulator.foreground_table()
    act, ale = emulator._act, emulator._ale
    acted: list[list[int]] = []
    screens: list[Array] = []
    rgb = [ale.getScreenRGB(), ale.getScreenRGB()]
    emulated = 0

    def counting_act(action: int) -> int:
        nonlocal emulated
        acted[-1].append(action)
        before = ale.getEpisodeFrameNumber()
        points = act(action)
        emulated += ale.getEpisodeFrameNumber() - before
        return points

    def bind(shown: Array, indptr: Array, indices: Array, signs: Array, actions: Array) -> Step:
        step = agent.kernels.policy_step(
            shown, table, parameters["w1"], parameters["w2"], indptr, indices, signs, actions
        )

        def recording_step(t: int, uniform: float) -> int:
            acted.append([])
            if len(screens) < KEPT_SCREENS:
                screens.append(shown[t & 1].copy())
                rgb[t & 1] = ale.getScreenRGB()
            return step(t, uniform)

        return recording_step

    emulator._act = counting_act
    try:
        # Room for any episode, so that no step is asked for twice.
        buffers = Buffers(steps=60_000, entries=1 << 23)
        draw = uniforms(SEED, TRAIN, episode)
        trajectory = play_episode(emulator, bind, draw, buffers=buffers)
    finally:
        emulator._act = act
    trajectory.check()
    return Recording(
        agent, parameters, emulator, table, episode, trajectory, acted,
        np.array(screens), np.array(rgb), emulated,
    )  # fmt: skip

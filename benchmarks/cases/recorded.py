"""Real Pong data: one training episode, with the screens it showed and the frames it took."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from cases.stages import only_stage
from numpy.typing import NDArray

from fastpong.acting.episode import Buffers, Step, play_episode
from fastpong.acting.trajectory import Trajectory
from fastpong.agents.episodic import EpisodicActor
from fastpong.agents.protocol import Chance
from fastpong.envs.draws import TRAIN, uniforms
from fastpong.envs.emulator import Emulator

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

    actor: EpisodicActor
    parameters: dict[str, Array]
    episode: int
    trajectory: Trajectory
    frame_actions: list[bytes]
    screens: Array
    rgb: Array
    frames_emulated: int

    @property
    def emulator(self) -> Emulator:
        return self.actor.emulator

    def play(self) -> Trajectory:
        """Play the episode again, as a worker does."""
        return self.actor.play(self.episode, self.parameters)


@functools.cache
def record(
    episode: int = 0, dtype: str = "float32", max_frames: int = 108_000, emulator_kind: str = "auto"
) -> Recording:
    """Play an episode, or its first frames, once with every frame counted; cached."""
    stage = only_stage("karpathy", ENV, dtype=dtype)
    variant = dataclasses.replace(stage.variant, max_frames=max_frames)
    stage = dataclasses.replace(stage, variant=variant, emulator=emulator_kind)
    parameters = stage.spec.initial_parameters(SEED)
    actor = stage.spec.actor(stage, Chance(SEED, TRAIN))
    assert isinstance(actor, EpisodicActor)
    emulator, weights = actor.emulator, (parameters["w1"], parameters["w2"])
    play, machine = emulator._play, emulator.machine
    acted: list[bytes] = []
    screens: list[Array] = []
    rgb = np.empty((2, *emulator.screen_shape, 3), np.uint8)
    emulated = 0

    def counting_play(actions: bytes | bytearray) -> int:
        nonlocal emulated
        acted.append(bytes(actions))
        before = machine.frames
        points = play(actions)
        emulated += machine.frames - before
        return points

    def bind(shown: Array, indptr: Array, indices: Array, signs: Array, actions: Array) -> Step:
        step = actor.spec.kernels.policy_step(
            shown, actor.table, *weights, indptr, indices, signs, actions
        )

        def recording_step(t: int, uniform: float) -> int:
            if len(screens) < KEPT_SCREENS:
                screens.append(shown[t & 1].copy())
                machine.read_rgb(rgb[t & 1])
            return step(t, uniform)

        return recording_step

    emulator._play = counting_play
    try:
        # Room for any episode, so that no step is asked for twice.
        buffers = Buffers(steps=60_000, entries=1 << 23)
        draw = uniforms(SEED, TRAIN, episode)
        trajectory = play_episode(emulator, bind, draw, buffers=buffers)
    finally:
        emulator._play = play
    trajectory.check()
    return Recording(
        actor, parameters, episode, trajectory, acted, np.array(screens), rgb, emulated
    )  # fmt: skip

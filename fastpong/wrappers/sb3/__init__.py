"""Parts for Stable-Baselines3: its Atari wrapper, and buffers that algorithms take by class."""

from __future__ import annotations

from fastpong.wrappers.sb3.atari import AtariWrapper as AtariWrapper
from fastpong.wrappers.sb3.replay import PrioritizedDQN as PrioritizedDQN
from fastpong.wrappers.sb3.replay import PrioritizedReplayBuffer as PrioritizedReplayBuffer
from fastpong.wrappers.sb3.rollout import GaeRolloutBuffer as GaeRolloutBuffer

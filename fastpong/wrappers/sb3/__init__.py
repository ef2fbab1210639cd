"""Parts for Stable-Baselines3: buffers that its algorithms take by their class."""

from __future__ import annotations

from fastpong.wrappers.sb3.replay import PrioritizedDQN as PrioritizedDQN
from fastpong.wrappers.sb3.replay import PrioritizedReplayBuffer as PrioritizedReplayBuffer
from fastpong.wrappers.sb3.rollout import GaeRolloutBuffer as GaeRolloutBuffer

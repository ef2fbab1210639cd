"""Prioritised replay for the DQN of Stable-Baselines3."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.vec_env import VecNormalize
from torch.nn import functional

from fastpong.arrays import Array, Order
from fastpong.kernels import checks
from fastpong.kernels.replay_settings import Prioritized, priorities_of
from fastpong.kernels.sumtree import SumTree


class PrioritizedSamples(NamedTuple):
    """Hold SB3's ``ReplayBufferSamples``, and weights and indices.

    weights : tensor (B, 1) float32, of importance sampling, 1 at most
    indices : (B,) int64, for ``PrioritizedReplayBuffer.update_priorities``
    """

    observations: torch.Tensor
    actions: torch.Tensor
    next_observations: torch.Tensor
    dones: torch.Tensor
    rewards: torch.Tensor
    discounts: torch.Tensor | None
    weights: torch.Tensor
    indices: Order


class PrioritizedReplayBuffer(ReplayBuffer):  # type: ignore[misc]
    """Sample transitions by priority.

        P(i) ~ p_i = (|td_error_i| + epsilon)^alpha,   w_i = (p_i / min_k p_k)^-beta

    alpha   : in [0, 1]. With 0 the samples are those of SB3's ``ReplayBuffer``
    beta    : in [0, 1], an attribute that may change
    epsilon : > 0

    Other arguments are those of ``ReplayBuffer``. New transitions have the highest priority so far.
    Random numbers are NumPy's global ones, as in SB3, which its ``seed`` sets. An algorithm has to
    use the weights and to call ``update_priorities``: ``PrioritizedDQN`` does.

    Source: Schaul et al., "Prioritized Experience Replay" (2016), algorithm 1.
    """

    def __init__(
        self,
        *args: object,
        alpha: float = 0.6,
        beta: float = 0.4,
        epsilon: float = 1e-6,
        **kwargs: object,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.alpha = checks.fraction("alpha", alpha)
        self.beta = self.initial_beta = checks.fraction("beta", beta)
        self.epsilon = checks.not_tiny("epsilon", epsilon)
        self.tree = SumTree(self.buffer_size * self.n_envs)
        self._highest = 1.0

    def add(self, *args: object, **kwargs: object) -> None:
        """Store a step of every environment, with the highest priority so far."""
        row = self.pos
        super().add(*args, **kwargs)
        self._set_row(row, self._highest)
        if self.optimize_memory_usage:  # the observations here are the successors of the last ones
            self._set_row(self.pos, 0.0)

    def reset(self) -> None:
        """Forget all transitions."""
        super().reset()
        self.tree, self._highest = SumTree(len(self.tree)), 1.0

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> PrioritizedSamples:
        """Sample a batch.

        env : a ``VecNormalize`` that normalises it, or None
        """
        if self.alpha == 0:
            samples: PrioritizedSamples = super().sample(batch_size, env)
            return samples
        uniforms = np.random.random_sample(batch_size)
        rows, priorities = self.tree.sample(batch_size, uniforms)
        weights = (priorities / self.tree.min()) ** -self.beta
        return self._gather(rows, weights, env)

    def update_priorities(self, indices: Order, td_errors: torch.Tensor | Array) -> None:
        """Set the priorities of a batch's transitions.

        indices   : (B,) int64, of the batch
        td_errors : (B,) tensor or array of finite numbers of either sign
        """
        if isinstance(td_errors, torch.Tensor):
            td_errors = td_errors.detach().cpu().numpy()
        errors = np.asarray(td_errors, np.float64).ravel()
        priorities = priorities_of(errors, Prioritized(self.alpha, self.beta, self.epsilon))
        # Those of 0 are not there: never stored, or their observation is overwritten meanwhile.
        there = self.tree.get(indices) > 0
        if there.shape != priorities.shape:
            raise ValueError(f"td_errors: expected {len(there)} numbers, got {len(priorities)}")
        self.tree.update(np.asarray(indices)[there], priorities[there])
        self._highest = max(self._highest, float(priorities[there].max(initial=0.0)))

    def _set_row(self, row: int, priority: float) -> None:
        first = row * self.n_envs
        self.tree.update(np.arange(first, first + self.n_envs), np.full(self.n_envs, priority))

    def _get_samples(
        self, batch_inds: Array, env: VecNormalize | None = None
    ) -> PrioritizedSamples:
        """Return the batch of some steps, each of an environment that is drawn as SB3 does."""
        envs = np.random.randint(0, high=self.n_envs, size=(len(batch_inds),))
        return self._gather(batch_inds * self.n_envs + envs, np.ones(len(batch_inds)), env)

    def _gather(self, rows: Order, weights: Array, env: VecNormalize | None) -> PrioritizedSamples:
        """Return the batch of some rows, by the formulas of ``ReplayBuffer._get_samples``."""
        steps, envs = np.divmod(rows, self.n_envs)
        if self.optimize_memory_usage:
            after = self.observations[(steps + 1) % self.buffer_size, envs]
        else:
            after = self.next_observations[steps, envs]
        dones = self.dones[steps, envs] * (1 - self.timeouts[steps, envs])
        rewards = self.rewards[steps, envs].reshape(-1, 1)
        return PrioritizedSamples(
            self.to_torch(self._normalize_obs(self.observations[steps, envs], env)),
            self.to_torch(self.actions[steps, envs]),
            self.to_torch(self._normalize_obs(after, env)),
            self.to_torch(dones.reshape(-1, 1)),
            self.to_torch(self._normalize_reward(rewards, env)),
            None,
            self.to_torch(weights.astype(np.float32).reshape(-1, 1)),
            rows,
        )


class PrioritizedDQN(DQN):  # type: ignore[misc]
    """DQN that weighs its loss and updates priorities.

    final_beta : of importance sampling at the end of learning. It rises linearly from the buffer's

    Other arguments are those of ``DQN``, ``replay_buffer_kwargs`` those of
    ``PrioritizedReplayBuffer``. With alpha 0 it is ``DQN``, to the last bit.
    """

    def __init__(
        self,
        *args: object,
        replay_buffer_class: type[ReplayBuffer] | None = None,
        final_beta: float = 1.0,
        **kwargs: object,
    ) -> None:
        self.final_beta = checks.fraction("final_beta", final_beta)
        chosen = replay_buffer_class or PrioritizedReplayBuffer
        if not issubclass(chosen, PrioritizedReplayBuffer):
            raise TypeError(
                f"replay_buffer_class: expected PrioritizedReplayBuffer, got {chosen.__name__}; "
                "use DQN with it"
            )
        super().__init__(*args, replay_buffer_class=chosen, **kwargs)

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Take gradient steps as ``DQN.train`` does, with weights and priorities."""
        buffer = self.replay_buffer
        done = 1.0 - self._current_progress_remaining
        buffer.beta = buffer.initial_beta + done * (self.final_beta - buffer.initial_beta)
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        losses = []
        for _ in range(gradient_steps):
            batch = buffer.sample(batch_size, env=self._vec_normalize_env)
            errors, loss = self._loss(batch)
            losses.append(loss.item())
            self.policy.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
            self.policy.optimizer.step()
            buffer.update_priorities(batch.indices, errors)
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/loss", np.mean(losses))
        self.logger.record("train/beta", buffer.beta)

    def _loss(self, batch: PrioritizedSamples) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the temporal-difference errors, (B, 1), and the weighted mean loss."""
        with torch.no_grad():
            later = self.q_net_target(batch.next_observations).max(dim=1).values.reshape(-1, 1)
            target = batch.rewards + (1 - batch.dones) * self.gamma * later
        value = torch.gather(self.q_net(batch.observations), dim=1, index=batch.actions.long())
        losses = functional.smooth_l1_loss(value, target, reduction="none")
        return value - target, (batch.weights * losses).mean()

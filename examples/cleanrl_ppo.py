"""PPO in one file, in CleanRL's manner, with fastpong's frames, advantages and clipping.

    python examples/cleanrl_ppo.py                   Pong on fastpong's console
    python examples/cleanrl_ppo.py --env ALE/Breakout-v5

What is fastpong's is marked with (*). The arrays are CleanRL's: float32 tensors of (T, N), and
``dones`` that mark the step after an episode's end.
"""

from __future__ import annotations

import argparse
import time

import ale_py
import gymnasium as gym
import torch
from torch import nn
from torch.distributions import Categorical

from fastpong import kernels
from fastpong.wrappers import AtariFrame

gym.register_envs(ale_py)

STEPS, GAMES, EPOCHS, MINIBATCHES = 128, 8, 4, 4
GAMMA, LAMBDA, CLIP, ENT_COEF, VF_COEF, MAX_GRAD_NORM = 0.99, 0.95, 0.1, 0.01, 0.5, 0.5


def make_env(name: str) -> gym.Env:
    """Return a game of 84x84 frames, four of them an observation."""
    env = gym.make(name, frameskip=1, repeat_action_probability=0.0)
    env = gym.wrappers.RecordEpisodeStatistics(AtariFrame(env))  # (*) for AtariPreprocessing
    return gym.wrappers.FrameStackObservation(env, 4)


class Agent(nn.Module):
    """The network of Mnih et al. (2015), with a policy and a value."""

    def __init__(self, actions: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(4, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(),
            nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64 * 7 * 7, 512), nn.ReLU(),
        )  # fmt: skip
        self.policy, self.value = nn.Linear(512, actions), nn.Linear(512, 1)

    def forward(self, observations: torch.Tensor) -> tuple[Categorical, torch.Tensor]:
        """Return the policy and the values of observations."""
        hidden = self.body(observations / 255.0)
        return Categorical(logits=self.policy(hidden)), self.value(hidden).flatten()


def set_advantages(
    advantages: torch.Tensor, rewards: torch.Tensor, values: torch.Tensor, dones: torch.Tensor,
    next_value: torch.Tensor, next_done: torch.Tensor,
) -> None:  # fmt: skip
    """Write the advantages of a rollout. (*) Tensors go in and out as they are."""
    kernels.gae(
        rewards, values, None, next_value, GAMMA, LAMBDA, out=advantages,
        dones_before=dones, last_done=next_done,
    )  # fmt: skip


def standardized(advantages: torch.Tensor) -> torch.Tensor:
    """Return (a - mean) / (std + 1e-8) of the sample. (*)"""
    out = torch.empty_like(advantages)
    kernels.standardize(advantages, out=out, ddof=1, epsilon=1e-8)
    return out


def clip(weights: list[nn.Parameter]) -> None:
    """Scale the gradients down to a norm, in place. (*)"""
    kernels.clip_grad_norm([p.grad for p in weights], MAX_GRAD_NORM)


def train(env: str, total_steps: int, seed: int = 1) -> Agent:
    """Return the trained agent."""
    torch.manual_seed(seed)
    games = gym.vector.SyncVectorEnv(
        [lambda: make_env(env)] * GAMES,
        autoreset_mode=gym.vector.AutoresetMode.SAME_STEP,
    )
    agent = Agent(int(games.single_action_space.n))
    optimizer = torch.optim.Adam(agent.parameters(), lr=2.5e-4, eps=1e-5)

    observations = torch.zeros((STEPS, GAMES, 4, 84, 84), dtype=torch.uint8)
    actions = torch.zeros((STEPS, GAMES), dtype=torch.long)
    log_probs, rewards, dones, values, advantages = torch.zeros((5, STEPS, GAMES))

    start, first = time.perf_counter(), games.reset(seed=seed)[0]
    next_observation, next_done = torch.from_numpy(first), torch.zeros(GAMES)
    for update in range(1, total_steps // (STEPS * GAMES) + 1):
        for t in range(STEPS):
            observations[t], dones[t] = next_observation, next_done
            with torch.no_grad():
                policy, values[t] = agent(next_observation.float())
            actions[t] = policy.sample()
            log_probs[t] = policy.log_prob(actions[t])
            observation, reward, terminated, truncated, _ = games.step(actions[t].numpy())
            next_observation = torch.from_numpy(observation)
            rewards[t] = torch.from_numpy(reward).sign()
            next_done = torch.from_numpy(terminated | truncated).float()
        with torch.no_grad():
            _, next_value = agent(next_observation.float())

        set_advantages(advantages, rewards, values, dones, next_value, next_done)
        learn(agent, optimizer, (observations, actions, log_probs, advantages, values))
        speed = update * STEPS * GAMES / (time.perf_counter() - start)
        print(f"step {update * STEPS * GAMES}, {speed:,.0f} steps a second", flush=True)
    games.close()
    return agent


def learn(
    agent: Agent, optimizer: torch.optim.Optimizer, rollout: tuple[torch.Tensor, ...]
) -> None:
    """Update the agent by a rollout, in some epochs of minibatches."""
    observations, actions, log_probs, advantages, values = (part.flatten(0, 1) for part in rollout)
    returns, weights = advantages + values, list(agent.parameters())
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(actions)).chunk(MINIBATCHES):
            policy, value = agent(observations[rows].float())
            gain = standardized(advantages[rows])
            ratio = (policy.log_prob(actions[rows]) - log_probs[rows]).exp()
            clipped = ratio.clamp(1 - CLIP, 1 + CLIP)
            loss = (
                -torch.min(gain * ratio, gain * clipped).mean()
                - ENT_COEF * policy.entropy().mean()
                + VF_COEF * 0.5 * ((value - returns[rows]) ** 2).mean()
            )
            optimizer.zero_grad()
            loss.backward()
            clip(weights)
            optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default="fastpong/Pong-v5")
    parser.add_argument("--steps", type=int, default=100_000)
    given = parser.parse_args()
    train(given.env, given.steps)


if __name__ == "__main__":
    main()

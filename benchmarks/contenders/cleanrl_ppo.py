"""A PPO in one file, in the style of CleanRL's for Atari, on ale-py's own vector of emulators.

    python benchmarks/contenders/cleanrl_ppo.py --seconds 200 --output build/cleanrl.json

Settings are those of CleanRL's `ppo_atari_envpool` (vwxyzjn/cleanrl): the network of Mnih et al.
(Nature, 2015), 8 games x 128 steps, 4 epochs of 4 minibatches, Adam with 2.5e-4 that falls to 0
over 10 million steps, clip 0.1 for policy and value alike. Written anew here; what EnvPool does
there, ale-py's `AtariVectorEnv` does here: the emulators are threads of one process, frames are
skipped, pooled, shrunk and stacked in C++. Threads are PyTorch's and ale-py's defaults.

A game that ends is begun anew within the same step (`AutoresetMode.SAME_STEP`): the reward is the
old game's, the observation the new one's. So every transition is a step that was played, and
only the advantage must not reach across the end.
"""

from __future__ import annotations

import argparse
from typing import Any

import contender
import numpy as np
import torch
from ale_py.vector_env import AtariVectorEnv
from gymnasium.vector import AutoresetMode
from torch import Tensor, nn
from torch.distributions import Categorical
from torch.nn.functional import mse_loss

from fastpong.runtime.cputime import cpu_seconds

SETTINGS = "CleanRL's for Atari: Nature CNN, 8 games x 128, 4 epochs of 256, 2.5e-4, clip 0.1"
ENVS, STEPS, EPOCHS, MINIBATCHES = 8, 128, 4, 4
BATCH = ENVS * STEPS
ALL_STEPS = 10_000_000
LEARNING_RATE, CLIP, MAX_NORM = 2.5e-4, 0.1, 0.5
GAMMA, LAMBDA = 0.99, 0.95
ENTROPY_WEIGHT, VALUE_WEIGHT = 0.01, 0.5


def orthogonal(layer: Any, gain: float = 2.0**0.5) -> Any:
    """Make a layer's weights orthogonal, its biases zero."""
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


class Agent(nn.Module):
    """Policy and value on a common trunk."""

    def __init__(self, actions: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            orthogonal(nn.Conv2d(4, 32, 8, stride=4)), nn.ReLU(),
            orthogonal(nn.Conv2d(32, 64, 4, stride=2)), nn.ReLU(),
            orthogonal(nn.Conv2d(64, 64, 3)), nn.ReLU(),
            nn.Flatten(),
            orthogonal(nn.Linear(64 * 7 * 7, 512)), nn.ReLU(),
        )  # fmt: skip
        self.policy = orthogonal(nn.Linear(512, actions), 0.01)
        self.value = orthogonal(nn.Linear(512, 1), 1.0)

    def forward(self, screens: Tensor) -> tuple[Categorical, Tensor]:
        """(B, 4, 84, 84) uint8 -> distribution of actions, (B,) values."""
        hidden = self.trunk(screens / 255.0)
        return Categorical(logits=self.policy(hidden)), self.value(hidden).squeeze(1)


class Rollout:
    """STEPS steps of all games; ``over[t]``: step t ended its game."""

    def __init__(self) -> None:
        self.screens = torch.zeros(STEPS, ENVS, 4, 84, 84, dtype=torch.uint8)
        self.actions = torch.zeros(STEPS, ENVS, dtype=torch.int64)
        self.log_p, self.values = torch.zeros(STEPS, ENVS), torch.zeros(STEPS, ENVS)
        self.rewards, self.over = torch.zeros(STEPS, ENVS), torch.zeros(STEPS, ENVS)

    def advantages(self, last_value: Tensor) -> Tensor:
        """Return generalised advantages, (STEPS, ENVS).

        A_t = d_t + gamma lambda (1 - over_t) A_{t+1},
        d_t = r_t + gamma (1 - over_t) V_{t+1} - V_t
        """
        result, following, value = torch.zeros(STEPS, ENVS), torch.zeros(ENVS), last_value
        for t in reversed(range(STEPS)):
            go_on = GAMMA * (1.0 - self.over[t])
            surprise = self.rewards[t] + go_on * value - self.values[t]
            result[t] = following = surprise + LAMBDA * go_on * following
            value = self.values[t]
        return result


class Trainer:
    """The loop: play a rollout, learn from it."""

    def __init__(self, variant: str, seed: int) -> None:
        torch.manual_seed(seed)
        self.env = games(variant, ENVS)
        self.agent = Agent(int(self.env.single_action_space.n))
        self.adam = torch.optim.Adam(self.agent.parameters(), lr=LEARNING_RATE, eps=1e-5)
        self.now = torch.from_numpy(self.env.reset(seed=seed)[0])
        self.rollout, self.scores = Rollout(), contender.Scores()
        self.score, self.frames, self.steps = np.zeros(ENVS), 0, 0

    @torch.no_grad()
    def play(self) -> Tensor:
        """Fill the rollout; return the values of where it ends."""
        rollout = self.rollout
        for t in range(STEPS):
            chances, rollout.values[t] = self.agent(self.now)
            action = chances.sample()
            rollout.screens[t], rollout.actions[t] = self.now, action
            rollout.log_p[t] = chances.log_prob(action)
            screens, points, ended, cut, info = self.env.step(action.numpy())
            rollout.rewards[t] = torch.from_numpy(points)
            rollout.over[t] = torch.from_numpy(ended | cut)
            self.now = torch.from_numpy(screens)
            self.count(points, ended | cut, int(info["frame_number"].sum()))
        last: Tensor = self.agent(self.now)[1]
        return last

    def count(self, points: Any, over: Any, frames: int) -> None:
        self.score += points
        self.steps += ENVS
        self.frames = frames
        for i in np.flatnonzero(over):
            self.scores.add(float(self.score[i]), frames)
            self.score[i] = 0.0

    def learn(self, last_value: Tensor) -> float:
        """Make EPOCHS passes over the rollout; return the last minibatch's loss."""
        advantages = self.rollout.advantages(last_value)
        names = ("screens", "actions", "log_p", "values")
        flat = [getattr(self.rollout, name).flatten(0, 1) for name in names]
        flat += [advantages.flatten(), (advantages + self.rollout.values).flatten()]
        rate = LEARNING_RATE * max(0.0, 1.0 - (self.steps - BATCH) / ALL_STEPS)
        self.adam.param_groups[0]["lr"] = rate
        loss = torch.zeros(())
        for _ in range(EPOCHS):
            for chosen in torch.randperm(BATCH).chunk(MINIBATCHES):
                loss = self.loss(*(part[chosen] for part in flat))
                self.adam.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.agent.parameters(), MAX_NORM)
                self.adam.step()
        return loss.item()

    def loss(
        self, screens: Tensor, actions: Tensor, log_p: Tensor, values: Tensor,
        advantages: Tensor, returns: Tensor,
    ) -> Tensor:  # fmt: skip
        """Return PPO's loss, with the value held near what it was, too."""
        chances, value = self.agent(screens)
        scaled = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        ratio = (chances.log_prob(actions) - log_p).exp()
        gain = torch.min(scaled * ratio, scaled * ratio.clamp(1 - CLIP, 1 + CLIP)).mean()
        near = values + (value - values).clamp(-CLIP, CLIP)
        errors = [mse_loss(v, returns, reduction="none") for v in (value, near)]
        value_loss = 0.5 * torch.max(*errors).mean()
        entropy: Tensor = chances.entropy().mean()
        return VALUE_WEIGHT * value_loss - gain - ENTROPY_WEIGHT * entropy


def games(variant: str, count: int) -> AtariVectorEnv:
    """Return so many games of a variant; all else is ale-py's default, which is DeepMind's."""
    return AtariVectorEnv(
        "pong",
        count,
        repeat_action_probability=contender.STICKY[variant],
        autoreset_mode=AutoresetMode.SAME_STEP,
    )


@torch.no_grad()
def evaluate(given: argparse.Namespace, agent: Agent, greedy: bool) -> dict[str, float]:
    env = games(given.env_variant, given.games)

    def act(screens: Any) -> Any:
        chances = agent(torch.from_numpy(screens))[0]
        return (chances.mode if greedy else chances.sample()).numpy()

    def step(actions: Any) -> Any:
        screens, points, ended, cut, _ = env.step(actions)
        return screens, points, ended | cut

    first = env.reset(seed=given.seed + 1_000)[0]
    return contender.evaluate(first, act, step, given.games)


def main() -> None:
    given = contender.parser(str(__doc__)).parse_args()
    contender.set_threads(given.threads)
    trainer = Trainer(given.env_variant, given.seed)
    losses = []
    while contender.wall_seconds() < given.seconds:
        losses.append(trainer.learn(trainer.play()))
    cost = contender.Cost(contender.wall_seconds(), cpu_seconds(), trainer.steps, trainer.frames)
    print(f"loss: {losses[0]:+.4f} at first, {losses[-1]:+.4f} after {len(losses)} updates")
    ways = {"sampled": False, "greedy": True} if given.games else {}
    evaluations = {name: evaluate(given, trainer.agent, greedy) for name, greedy in ways.items()}
    packages = ("torch", "ale-py", "gymnasium")
    contender.write(given, cost, trainer.scores, evaluations, SETTINGS, packages)


if __name__ == "__main__":
    main()

"""Play an agent through gymnasium's own Pong by `fastpong.load`, and through `fastpong eval`.

    python benchmarks/same_game.py RUN --games 100

RUN is what `fastpong.load` takes. Both are the same agent in the same game, so the means must agree
within their standard errors: gymnasium draws frame skips and sticky actions from ALE's generator,
and fastpong from its own. An agent that begins with no-op frames in training gets them here, too.
"""

from __future__ import annotations

import argparse
import math
import statistics
from typing import Any

import ale_py
import gymnasium
import numpy as np

import fastpong


def through_gymnasium(policy: fastpong.Policy, games: int) -> list[tuple[float, int]]:
    """Return score and steps of each game of an ordinary loop."""
    gymnasium.register_envs(ale_py)
    env: Any = gymnasium.make(**policy.env_kwargs)
    assert policy.check(env) == []
    most = getattr(policy.player.stages[0].settings, "noop_max", 0)
    rng, played = np.random.default_rng(1), []
    for game in range(games):
        observation, _ = env.reset(seed=game)
        for _ in range(int(rng.integers(most + 1))):
            env.unwrapped.ale.act(0)
        policy.reset()
        score, steps, over = 0.0, 0, False
        while not over:
            action, _ = policy.predict(observation)
            observation, reward, terminated, truncated, _ = env.step(action)
            score, steps, over = score + float(reward), steps + 1, terminated or truncated
        played.append((score, steps))
    return played


def through_fastpong(policy: fastpong.Policy, games: int) -> list[tuple[float, int]]:
    """Return score and steps of each game as `fastpong eval` plays them."""
    played = fastpong.evaluate(policy, episodes=games, seed=1).games
    return [(game.score, game.length) for game in played]


def show(name: str, games: list[tuple[float, int]]) -> None:
    """Print means and their standard errors."""
    root = math.sqrt(len(games))
    parts = [
        f"{word} {statistics.fmean(values):.2f} ± {statistics.stdev(values) / root:.2f}"
        for word, values in zip(("score", "steps"), zip(*games, strict=True), strict=True)
    ]
    print(f"{name}: {', '.join(parts)} over {len(games)} games", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run")
    parser.add_argument("--games", type=int, default=100)
    given = parser.parse_args()
    policy = fastpong.load(given.run, seed=1)
    show("fastpong", through_fastpong(policy, given.games))
    show("gymnasium", through_gymnasium(policy, given.games))


if __name__ == "__main__":
    main()

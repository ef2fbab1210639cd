"""Play a checkpoint's weights through gymnasium's own Pong-v0 with NumPy, and through fastpong.

    python benchmarks/same_game.py RUN --games 100

Both are the same agent in the same game, so the means must agree within their standard errors. It
shows that a trained policy, too, meets the same distribution of games in our emulator.
"""

from __future__ import annotations

import argparse
import math
import statistics
from pathlib import Path

import numpy as np
from programs.reference import Reference, make_env

from fastpong.settings.config import available_cores, default_backend
from fastpong.storage import checkpoint
from fastpong.training.evaluation import evaluate, restore


def through_gymnasium(w1: np.ndarray, w2: np.ndarray, games: int) -> list[tuple[float, int]]:
    """Return score and steps of each game of the reference's loop, without learning."""
    agent, env = Reference(seed=1), make_env()
    agent.w1, agent.w2 = w1.T.astype(np.float64), w2.astype(np.float64)
    env.reset(seed=1)
    episodes = [agent.play(env) for _ in range(games)]
    return [(sum(episode.rewards), len(episode.rewards)) for episode in episodes]


def through_fastpong(found: checkpoint.Checkpoint, games: int) -> list[tuple[float, int]]:
    """Return score and steps of each game as `fastpong eval` plays them."""
    player, parameters = restore(found, default_backend(), env="Pong-v0", seed=1)
    played = evaluate(player, parameters, episodes=games, workers=available_cores())
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
    parser.add_argument("run", type=Path)
    parser.add_argument("--games", type=int, default=100)
    given = parser.parse_args()
    found, _ = checkpoint.newest(given.run / "checkpoints")
    show("fastpong", through_fastpong(found, given.games))
    w1, w2 = found.arrays["parameters/0/w1"], found.arrays["parameters/0/w2"]
    show("gymnasium and NumPy", through_gymnasium(w1, w2, given.games))


if __name__ == "__main__":
    main()

"""Stable-Baselines3's PPO on Pong, with rl-zoo's settings for Atari, for so many seconds.

    python benchmarks/contenders/sb3_ppo.py --seconds 200 --output build/sb3.json
    python benchmarks/contenders/sb3_ppo.py --env-variant ALE/Pong-v5 --seconds 600 --output b.json

Settings: the entry "atari" of hyperparams/ppo.yml of DLR-RM/rl-baselines3-zoo; what it does not
name is SB3's default. Learning rate and clip fall to 0 over its 10 million steps, of which only
the beginning is seen here. The game comes from SB3's own `make_atari_env`, as its users make it: an
emulator of single frames, the four of a step played by SB3's wrapper, 1 to 30 no-ops and FIRE
at the beginning.

The games are played by `DummyVecEnv`, in turn, rl-zoo's default, or in processes of their own by
`SubprocVecEnv` (--vec fork; which is quicker side_by_side.py tries on the machine).
"""

from __future__ import annotations

import argparse
from typing import Any

import contender
import numpy as np

from fastpong.runtime.cputime import cpu_seconds

SETTINGS = "rl-zoo's for Atari: CnnPolicy, 8 games x 128, 4 epochs of 256, 2.5e-4, clip 0.1"
ALL_STEPS = 10_000_000
GAME = {
    "PongDeterministic-v4": ("PongNoFrameskip-v4", {}),
    "ALE/Pong-v5": ("ALE/Pong-v5", {"frameskip": 1, "repeat_action_probability": 0.25}),
}
"""Variant -> the name of its game of single frames, and what that is made with."""


def falling(start: float) -> Any:
    """Return the schedule ``start * (share of training that is left)``."""
    return lambda left: start * left


def games(given: argparse.Namespace, count: int, seed: int, vec: str) -> Any:
    """Return so many games side by side, four screens deep."""
    import ale_py
    import gymnasium
    from stable_baselines3.common.env_util import make_atari_env
    from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecFrameStack

    gymnasium.register_envs(ale_py)
    name, options = GAME[given.env_variant]
    kind: Any = {"env_kwargs": options, "vec_env_cls": DummyVecEnv}
    if vec != "dummy":
        kind |= {"vec_env_cls": SubprocVecEnv, "vec_env_kwargs": {"start_method": vec}}
    return VecFrameStack(make_atari_env(name, n_envs=count, seed=seed, **kind), n_stack=4)


def build(given: argparse.Namespace, env: Any) -> Any:
    from stable_baselines3 import PPO

    return PPO(
        "CnnPolicy",
        env,
        n_steps=128,
        n_epochs=4,
        batch_size=256,
        learning_rate=falling(2.5e-4),
        clip_range=falling(0.1),
        vf_coef=0.5,
        ent_coef=0.01,
        seed=given.seed,
        device="cpu",
    )


def train(given: argparse.Namespace, vec: str) -> tuple[Any, contender.Cost, contender.Scores]:
    """Train until the time is over; return the model, what it took and the games' scores."""
    env = games(given, 8, given.seed, vec)
    model, scores = build(given, env), contender.Scores()
    frames = np.zeros(8, np.int64)

    def after_step(names: dict[str, Any], _: Any) -> bool:
        frames[:] = [info["frame_number"] for info in names["infos"]]
        for info in names["infos"]:
            if "episode" in info:  # SB3's Monitor: a whole game, its points not clipped
                scores.add(float(info["episode"]["r"]), int(frames.sum()))
        return contender.wall_seconds() < given.seconds

    model.learn(ALL_STEPS, callback=after_step)
    wall = contender.wall_seconds()
    cost = contender.Cost(wall, cpu_seconds(), model.num_timesteps, int(frames.sum()))
    env.close()
    return model, cost, scores


def evaluate(given: argparse.Namespace, model: Any, greedy: bool) -> dict[str, float]:
    env = games(given, given.games, given.seed + 1_000, "dummy")

    def step(actions: Any) -> Any:
        return env.step(actions)[:3]

    def act(observation: Any) -> Any:
        return model.predict(observation, deterministic=greedy)[0]

    return contender.evaluate(env.reset(), act, step, given.games)


def main() -> None:
    parser = contender.parser(str(__doc__))
    parser.add_argument("--vec", choices=("dummy", "fork"), default="dummy")
    given = parser.parse_args()
    contender.set_threads(given.threads)
    model, cost, scores = train(given, given.vec)
    ways = {"sampled": False, "greedy": True} if given.games else {}
    evaluations = {name: evaluate(given, model, greedy) for name, greedy in ways.items()}
    packages = ("stable-baselines3", "torch", "ale-py", "gymnasium", "opencv-python-headless")
    contender.write(given, cost, scores, evaluations, SETTINGS, packages)


if __name__ == "__main__":
    main()

"""Hashes of what SB3's and CleanRL's own wrappers return, for ``tests/golden/sb3.json``.

    python tests/support/sb3_golden.py

Needs Stable-Baselines3 and OpenCV, which need not be installed where the tests run.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from wrapped_games import make

GOLDEN = Path(__file__).parent.parent / "golden" / "sb3.json"
GAMES = ("Breakout", "Pong", "MsPacman", "AirRaid")
STEPS, LIMIT = 400, 1001


def play(env: Any) -> str:
    """Return a hash of all that an environment returns in some episodes."""
    found, rng = hashlib.sha256(), np.random.default_rng(0)
    found.update(env.reset(seed=5)[0].tobytes())
    for _ in range(STEPS):
        frame, reward, terminated, truncated, _ = env.step(int(rng.integers(4)))
        found.update(frame.tobytes() + repr((reward, terminated, truncated)).encode())
        if terminated or truncated:
            found.update(env.reset()[0].tobytes())
    return found.hexdigest()


def game(name: str) -> Any:
    return make(name, max_num_frames_per_episode=LIMIT)


def main() -> None:
    import cv2
    import gymnasium as gym
    import stable_baselines3
    from stable_baselines3.common.atari_wrappers import MaxAndSkipEnv, WarpFrame

    class Resized(gym.ObservationWrapper):  # type: ignore[type-arg]
        """CleanRL's ResizeObservation and GrayScaleObservation, of gymnasium 0.29."""

        def observation(self, frame: Any) -> Any:
            small = cv2.resize(frame, (84, 84), interpolation=cv2.INTER_AREA)
            return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)

    hashes = {
        name: {
            "sb3": play(WarpFrame(MaxAndSkipEnv(game(name)))),
            "cleanrl": play(Resized(MaxAndSkipEnv(game(name)))),
        }
        for name in GAMES
    }
    made = f"stable_baselines3 {stable_baselines3.__version__}, OpenCV {cv2.__version__}"
    GOLDEN.write_text(json.dumps({"made with": made, **hashes}, indent=1) + "\n")


if __name__ == "__main__":
    main()

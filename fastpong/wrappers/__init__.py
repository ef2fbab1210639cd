"""Gymnasium environments and wrappers on fastpong's kernels and console.

AtariFrame       gymnasium's AtariPreprocessing, the same observations faster
MaxAndSkipFrame  SB3's MaxAndSkipEnv and WarpFrame in one, or CleanRL's order of these
DifferenceFrame  the reference program's 80 x 80 difference frame
ConsoleEnv       a game on fastpong's console, ale-py's AtariEnv faster. Registered as
                 ``fastpong/Pong-v5``, with the arguments of ``ALE/Pong-v5``
sb3              parts for Stable-Baselines3, imported when asked for

Importing this package registers the environments with gymnasium. Without an import:
``gymnasium.make("fastpong.wrappers:fastpong/Pong-v5")``.
"""

from __future__ import annotations

import gymnasium

from fastpong.wrappers.atari import AtariFrame as AtariFrame
from fastpong.wrappers.console import ConsoleEnv as ConsoleEnv
from fastpong.wrappers.difference import DifferenceFrame as DifferenceFrame
from fastpong.wrappers.skip import MaxAndSkipFrame as MaxAndSkipFrame

_DEFAULTS = {"game": "pong", "max_num_frames_per_episode": 108_000}
_VARIANTS: dict[str, dict[str, object]] = {
    "fastpong/Pong-v5": {"frameskip": 4, "repeat_action_probability": 0.25},
    "fastpong/PongNoFrameskip-v4": {"frameskip": 1, "repeat_action_probability": 0.0},
}

for _name, _arguments in _VARIANTS.items():
    gymnasium.register(
        _name, "fastpong.wrappers.console:ConsoleEnv", kwargs={**_DEFAULTS, **_arguments}
    )

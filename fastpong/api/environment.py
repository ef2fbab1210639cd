"""The settings of somebody else's environment, and how they differ from training's."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fastpong.envs.variants import Variant

ALL_ACTIONS = tuple(range(18))
"""ALE's numbers of the actions of all games, in an environment with ``full_action_space``."""

_PREPROCESSING = (
    "FrameStack", "FrameStackObservation", "ResizeObservation", "MaxAndSkipObservation",
    "MaxAndSkipEnv", "AtariPreprocessing", "AtariWrapper", "WarpFrame", "NormalizeObservation",
    "StickyAction", "StickyActionEnv",
)  # fmt: skip
"""Wrappers that change what an agent of fastpong was trained on."""


@dataclass(frozen=True)
class Environment:
    """Describe an environment. None: it does not say.

    game      : ALE's name, or of another environment its id
    frameskip : the numbers of frames that an action may be played for
    sticky    : probability of repeating the last action, per frame
    full      : its actions are those of all games
    wrappers  : those that change screens, skips or actions
    """

    game: str | None = None
    frameskip: tuple[int, ...] | None = None
    sticky: float | None = None
    full: bool | None = None
    wrappers: tuple[str, ...] = ()


def read_environment(env: object) -> Environment:
    """Read an environment's settings.

    env : of gymnasium, single or vector, or of Stable-Baselines3

    Raises ValueError for a continuous action space, TypeError for what is no environment.
    """
    if not any(hasattr(env, name) for name in ("step", "step_async")):
        raise TypeError(
            f"env: expected an environment, got {env!r}; give what gymnasium.make returns"
        )
    settings = _settings(env)
    if settings.get("continuous"):
        raise ValueError(
            "env: expected discrete actions, got a continuous action space; make it without "
            "continuous=True"
        )
    skip, sticky = settings.get("frameskip"), settings.get("repeat_action_probability")
    return Environment(
        settings.get("game", _other_game(env)),
        None if skip is None else (skip,) if isinstance(skip, int) else tuple(range(*skip)),
        None if sticky is None else float(sticky),
        settings.get("full_action_space"),
        _wrappers(env),
    )


def differences(found: Environment, trained: Variant) -> list[str]:
    """Describe the differences to the environment of training.

    Raises ValueError for another game.
    """
    if found.game not in (None, trained.game.rom):
        raise ValueError(
            f"env: expected the game {trained.game.rom}, got {found.game}; make ALE/Pong-v5"
        )
    sentences = [f"env: {told}" for told in trained.differences(found.frameskip, found.sticky)]
    if found.wrappers:
        sentences.append(f"env: {', '.join(found.wrappers)} changes what the agent was trained on")
    return sentences


def _settings(env: object) -> Mapping[str, Any]:
    """Return the arguments that the environment was made with."""
    inner = getattr(env, "unwrapped", env)
    first = getattr(inner, "envs", None)
    if first:  # of SyncVectorEnv, or Stable-Baselines3's DummyVecEnv
        return _settings(first[0])
    kwargs = getattr(inner, "_ezpickle_kwargs", None)
    if kwargs:
        return dict(kwargs)
    return getattr(_spec(env), "kwargs", {})


def _other_game(env: object) -> str | None:
    """Return the name of an environment that is not Pong by its name, None for others."""
    name = getattr(_spec(env), "id", None)
    return name if isinstance(name, str) and "pong" not in name.lower() else None


def _spec(env: object) -> Any:
    spec = getattr(env, "spec", None)
    if spec is None and hasattr(env, "get_attr"):  # Stable-Baselines3's in other processes
        with suppress(AttributeError):
            spec = next(iter(env.get_attr("spec")), None)
    return spec


def _wrappers(env: object) -> tuple[str, ...]:
    """Return the names of wrappers that matter, from outside in."""
    first = getattr(env, "envs", None)
    if first:
        env = first[0]
    found = []
    while env is not None:
        if type(env).__name__ in _PREPROCESSING:
            found.append(type(env).__name__)
        env = getattr(env, "env", None)
    return tuple(found)

"""Claim: what PPO of Stable-Baselines3, and in CleanRL's manner, gains with ours, end to end."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import ale_py
import cv2
import gymnasium as gym
import numpy as np
import torch
from cases import played_games as games
from measure import ROOT, Effort, Report, Table, alternate, figure, ratios

HOW = """\
The programs of `examples/` as they stand, and with the packages' own in place of ours: 8 games, 128
steps a rollout, 4 epochs of 4 minibatches, the network of Mnih et al. on PyTorch with two threads.
"Plain" is SB3's AtariWrapper and RolloutBuffer, or gymnasium's AtariPreprocessing and CleanRL's
loop. "Environment" is the vector environment's step, "advantages" GAE and what is copied for it,
"learning" the epochs. "Acting" is the rest: the network's forward pass, frame stacks, bookkeeping.
Wall time of whole rollouts and updates, after one that warms up. Learning is PyTorch's alone, so no
kernel of ours can make these programs much faster; a faster environment can."""

ALE, CONSOLE = "PongNoFrameskip-v4", "fastpong/PongNoFrameskip-v4"
PARTS = ("environment", "acting", "advantages", "learning")
SETUP = "setup"  # not counted
STEPS = 1024

Seconds = dict[str, float]


def measure(effort: Effort) -> Report:
    """Measure each program plain, with ours on ALE, and with ours on the console."""
    gym.register_envs(ale_py)
    cv2.setNumThreads(1)
    torch.set_num_threads(2)
    games.console_is_compiled()
    check()
    rounds, updates = {"quick": (1, 1), "normal": (1, 2), "full": (5, 3)}[effort]
    arms: dict[str, Callable[[], Seconds]] = {
        "SB3, plain": functools.partial(sb3, ALE, True, updates),
        "SB3, ours": functools.partial(sb3, ALE, False, updates),
        "SB3, ours on the console": functools.partial(sb3, CONSOLE, False, updates),
        "CleanRL, plain": functools.partial(cleanrl, ALE, True, updates),
        "CleanRL, ours": functools.partial(cleanrl, ALE, False, updates),
        "CleanRL, ours on the console": functools.partial(cleanrl, CONSOLE, False, updates),
    }
    runs: dict[str, list[Seconds]] = alternate(arms, rounds)  # type: ignore[arg-type, assignment]
    totals = {name: [sum(parts.values()) for parts in values] for name, values in runs.items()}
    figures = [
        figure(f"steps/s: {name} / plain", ratios(totals[f"{name.split(',')[0]}, plain"], values))
        for name, values in totals.items()
        if not name.endswith("plain")
    ]
    header = ["program", "steps/s", *(f"{part}, %" for part in PARTS)]
    rows = [_row(name, values, updates * STEPS) for name, values in runs.items()]
    return Report("PPO end to end", HOW, figures, [Table("Pong", header, rows)])


def _row(name: str, runs: list[Seconds], steps: int) -> list[str]:
    middle = sorted(runs, key=lambda parts: sum(parts.values()))[len(runs) // 2]
    total = sum(middle.values())
    shares = [f"{100 * middle[part] / total:.3g}" for part in PARTS]
    return [name, f"{steps / total:,.0f}", *shares]


class Watch:
    """Add up the seconds of calls by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return the call, timed."""

        @functools.wraps(call)
        def wrapped(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            result = call(*arguments, **named)
            self.seconds[name] += time.perf_counter() - start
            return result

        return wrapped

    def all_timed(self, owner: Any, names: dict[str, str]) -> dict[str, Any]:
        """Return functions of a module or class, timed, by their names."""
        return {name: self.timed(part, getattr(owner, name)) for name, part in names.items()}

    def parts(self) -> Seconds:
        """Return the seconds of each part. Acting is what is left."""
        others = {part: self.seconds[part] for part in PARTS if part != "acting"}
        acting = self.seconds["all"] - self.seconds[SETUP] - sum(others.values())
        return {"acting": acting} | others


# --- the two programs -----------------------------------------------------------------------------


def sb3(env: str, plain: bool, updates: int) -> Seconds:
    """Train SB3's PPO for some updates, one more to warm up."""
    example, watch = _example("sb3_ppo"), Watch()
    make_games = example.make_vec_env

    def timed_games(*arguments: Any, **named: Any) -> Any:
        envs = make_games(*arguments, **named)
        envs.step_wait = watch.timed("environment", envs.step_wait)
        return envs

    buffer = example.RolloutBuffer if plain else example.GaeRolloutBuffer
    timed_buffer = _subclass(buffer, watch, compute_returns_and_advantage="advantages")
    ppo = _subclass(example.PPO, watch, train="learning")
    changes = {
        "make_vec_env": timed_games, "PPO": ppo, "RolloutBuffer": timed_buffer,
        "GaeRolloutBuffer": timed_buffer,
    }  # fmt: skip
    with _changed(example, **changes):
        model = example.train(env, STEPS, plain, verbose=0)
        watch.seconds.clear()
        watch.timed("all", model.learn)(updates * STEPS, reset_num_timesteps=False)
    return watch.parts()


def cleanrl(env: str, plain: bool, updates: int) -> Seconds:
    """Train the program in CleanRL's manner for some updates, one before to warm up."""
    example = _example("cleanrl_ppo")
    changes: dict[str, Any] = {}
    if plain:
        changes = {
            "make_env": _plain_env, "set_advantages": _plain_advantages,
            "standardized": lambda a: (a - a.mean()) / (a.std() + 1e-8),
            "clip": lambda w: torch.nn.utils.clip_grad_norm_(w, example.MAX_GRAD_NORM),
        }  # fmt: skip
    with _changed(example, **changes), contextlib.redirect_stdout(io.StringIO()):
        _timed_cleanrl(example, env, 1)
        return _timed_cleanrl(example, env, updates)


def _timed_cleanrl(example: ModuleType, env: str, updates: int) -> Seconds:
    watch = Watch()
    functions = {"set_advantages": "advantages", "learn": "learning"}
    methods = {"step": "environment", "__init__": SETUP, "reset": SETUP, "close": SETUP}
    vector = gym.vector.SyncVectorEnv
    with (
        _changed(example, **watch.all_timed(example, functions)),
        _changed(vector, **watch.all_timed(vector, methods)),
    ):
        watch.timed("all", example.train)(env, updates * STEPS)
    return watch.parts()


def _plain_env(name: str) -> gym.Env[Any, Any]:
    """Return a game as CleanRL's scripts have it, on gymnasium 1."""
    env = gym.wrappers.AtariPreprocessing(gym.make(name))
    return gym.wrappers.FrameStackObservation(gym.wrappers.RecordEpisodeStatistics(env), 4)


def _plain_advantages(
    advantages: Any, rewards: Any, values: Any, dones: Any, next_value: Any, next_done: Any
) -> None:
    """Write the advantages, step by step from the last, as CleanRL's scripts do."""
    example = sys.modules["examples.cleanrl_ppo"]
    after, value, last = 1.0 - next_done, next_value, torch.zeros_like(next_value)
    for t in reversed(range(len(rewards))):
        delta = rewards[t] + example.GAMMA * value * after - values[t]
        last = delta + example.GAMMA * example.LAMBDA * after * last
        advantages[t], after, value = last, 1.0 - dones[t], values[t]


# --- examples as modules --------------------------------------------------------------------------


def _example(name: str) -> ModuleType:
    if (module := sys.modules.get(f"examples.{name}")) is not None:
        return module
    path = ROOT / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"examples.{name}", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _changed(owner: Any, **names: Any) -> Iterator[None]:
    """Give names of a module or class other values for a while."""
    before = {name: getattr(owner, name) for name in names}
    for name, value in names.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)


def _subclass(kind: Any, watch: Watch, **methods: str) -> Any:
    """Return a subclass with timed methods."""
    return type(kind.__name__, (kind,), watch.all_timed(kind, methods))


def check() -> None:
    """Raise unless both ways write the same advantages."""
    example, rng = _example("cleanrl_ppo"), np.random.default_rng(1)
    shape = (example.STEPS, example.GAMES)
    rewards, values = (torch.from_numpy(rng.normal(size=shape)).float() for _ in range(2))
    dones = torch.from_numpy(rng.random(shape) < 0.02).float()
    last = rewards[0], dones[0]
    ours, theirs = torch.zeros(shape), torch.zeros(shape)
    example.set_advantages(ours, rewards, values, dones, *last)
    _plain_advantages(theirs, rewards, values, dones, *last)
    torch.testing.assert_close(ours, theirs)

"""The one configuration of a run: frozen, checked, and flat in TOML.

An agent's hyperparameters stand beside the shared settings, in the file as on the command line;
which names there are depends on the agent alone. A new field needs a use, a default, a help line
and a check, and gets its line in config.toml and its option by being declared here.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastpong import kernels
from fastpong.agents import AGENTS
from fastpong.envs.variants import VARIANTS
from fastpong.settings import fields as options
from fastpong.settings.fields import option

#: What a resumed run may change, because the weights do not depend on it. (Backends agree up to
#: rounding, so that a run may go on with another one.)
CHANGEABLE = frozenset({"workers", "episodes", "until", "until_games", "save_every", "backend"})

_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available_cores() -> int:
    """Return the cores this process may use: its affinity, within its container's quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = _CPU_QUOTA.read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no cgroup v2 here, or "max": no quota
        return cores


def default_backend() -> str:
    """Return the name of the kernels' default: FASTPONG_BACKEND, else the best there is."""
    return kernels.get_backend().name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What a run is, besides its directory.

    hyper : the agent's ``Hyperparameters``; None gives its defaults

    Raises ValueError, naming the field, what was expected and what came.
    """

    agent: str = option("pg", "learning algorithm", choices=AGENTS)
    env: str = option("Pong-v0", "environment, by its gymnasium name", choices=VARIANTS)
    workers: int = option(
        available_cores,
        "worker processes; as many as there are cores is fastest",
        minimum=1,
        maximum=1024,
    )
    episodes: int = option(
        8000,
        "episodes to train for, in all; ppo, dqn: and those that end with the same update",
        minimum=1,
    )
    until: float = option(
        22.0,
        "stop as soon as the mean score of the last games of training is this; Pong's best is 21, "
        "so the default is never reached",
    )
    until_games: int = option(40, "games that this mean is taken of", minimum=1, maximum=100)
    seed: int = option(
        0, "of all randomness: equal seeds and settings give equal weights", minimum=0
    )
    backend: str = option(
        default_backend,
        "kernels to compute with; numpy is the slow oracle",
        choices=kernels.MODULES,
    )
    dtype: str = option(
        "float32",
        "of weights and gradients; float64 for comparisons",
        choices=("float32", "float64"),
    )
    save_every: int = option(100, "episodes from one checkpoint to the next", minimum=1)
    hyper: Any = None

    def __post_init__(self) -> None:
        """Check every field and fill in the agent's defaults."""
        options.check(self)
        cls = AGENTS[self.agent].Hyperparameters
        if self.hyper is None:
            object.__setattr__(self, "hyper", cls())
        elif not isinstance(self.hyper, cls):
            raise ValueError(
                f"hyper: expected the Hyperparameters of agent {self.agent!r}, "
                f"got {type(self.hyper).__name__}"
            )
        if hasattr(self.hyper, "check_env"):
            self.hyper.check_env(self.env)

    @classmethod
    def build(cls, values: Mapping[str, Any]) -> Config:
        """Make a Config from flat values; whatever is not given keeps its default.

        An agent may have ``defaults`` of its own for settings that all agents share.
        Raises ValueError for an unknown key, naming the nearest known one, and for a wrong value.
        """
        agent = options.convert(cls, "agent", values.get("agent", cls.agent))
        hyper = AGENTS[agent].Hyperparameters
        owners = {name: owner for owner in (hyper, cls) for name in options.types(owner)}
        given: dict[type, dict[str, Any]] = {cls: {}, hyper: {}}
        for name, value in {**own_defaults(agent), **values}.items():
            if name not in owners:
                raise ValueError(_unknown(name, value, agent, owners))
            given[owners[name]][name] = options.convert(owners[name], name, value)
        return cls(**given[cls], hyper=hyper(**given[hyper]))

    @staticmethod
    def load(path: str | Path) -> dict[str, Any]:
        """Read a TOML file's keys and values, for ``build``, perhaps after others were merged in.

        Raises ValueError, naming file and line, where it is no TOML; OSError where it cannot be
        read.
        """
        try:
            return tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: expected a TOML file: {error}") from error

    def flat(self) -> dict[str, Any]:
        """Return all settings as ``build`` takes them: name -> int, float, str or bool."""
        return {
            name: kind(getattr(owner, name))
            for owner in (self, self.hyper)
            for name, kind in options.types(type(owner)).items()
        }

    def to_toml(self) -> str:
        """Write the settings as TOML, each under its help line; ``load`` gives ``flat()`` again."""
        lines = ["# Settings of a fastpong run. Use them again with `fastpong train --config`.\n"]
        for owner in (self, self.hyper):
            cls = type(owner)
            for name, kind in options.types(cls).items():
                help, values = options.help_text(cls, name), options.describe(cls, name)
                lines += [f"# {help} ({values})", f"{name} = {_toml(kind(getattr(owner, name)))}\n"]
        return "\n".join(lines)


def owners(name: str) -> str:
    """Return the agents that have a setting of that name of their own, or nothing."""
    return " or ".join(
        agent for agent, cls in AGENTS.items() if name in options.types(cls.Hyperparameters)
    )


def own_defaults(agent: str) -> Mapping[str, Any]:
    """Return the shared settings for which an agent has another default than all: name -> value."""
    found: Mapping[str, Any] = getattr(AGENTS[agent], "defaults", {})
    return found


def _unknown(name: str, value: Any, agent: str, known: Mapping[str, Any]) -> str:
    if isinstance(value, dict):
        return f"{name}: expected a setting, got a table; put its keys above the first [table]"
    if whose := owners(name):
        return (
            f"{name}: expected a setting of agent {agent}, got one of agent {whose}; choose agent "
            f"{whose}, or leave it out"
        )
    (nearest,) = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return (
        f"{name}: expected a setting of agent {agent!r}, got an unknown name; "
        f"the nearest is {nearest}, all are {', '.join(sorted(known))}"
    )


def _toml(value: int | float | str | bool) -> str:
    """Write a TOML value: Python's repr of numbers is TOML, and JSON's of text is but for DEL."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)

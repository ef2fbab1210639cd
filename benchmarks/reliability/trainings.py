"""Short trainings that end by themselves, and the commands that begin them and go on with them."""

from __future__ import annotations

import csv
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from measure import HERE, plain_environment

from fastpong.storage import checkpoint

SETTINGS = {
    "karpathy": 'env = "PongDeterministic-v4"\nhidden = 4\nbatch_size = 2\nlag = 1\n',
    "keras": 'env = "PongDeterministic-v4"\nbatch_size = 2\nlag = 1\n',
    "ppo": """\
env = "PongDeterministic-v4"
hidden = 4
n_envs = 2
n_steps = 64
cell_size = 8
coarse_cells = "16x16:0.35"
batch_size = 64
n_epochs = 2
""",
    # Values, then a policy, as the recipe of the sticky game.
    "dqn": """\
env = "ALE/Pong-v5"
hidden = 4
n_envs = 2
n_steps = 32
cell_size = 8
coarse_cells = "16x16:0.35"
batch_size = 64
n_step = 5
replay_ratio = 1.0
buffer_size = 1000
learning_starts = 500
exploration_steps = 2000

[[stages]]
from_step = 1536
agent = "ppo"
policy_temperature = 0.1
""",
}
"""Of every agent: a network as small as it can be, and all that a checkpoint can hold."""

LENGTH = {
    ("karpathy", "console"): "episodes = 24\nsave_every = 2\n",
    ("karpathy", "ale"): "episodes = 4\nsave_every = 1\n",
    ("keras", "console"): "episodes = 8\nsave_every = 1\n",
    ("keras", "ale"): "episodes = 4\nsave_every = 1\n",
    ("ppo", "console"): "total_timesteps = 16000\nsave_every = 1\n",
    ("ppo", "ale"): "total_timesteps = 4000\nsave_every = 1\n",
    ("dqn", "console"): "total_timesteps = 9000\nsave_every = 1\n",
    ("dqn", "ale"): "total_timesteps = 4000\nsave_every = 1\n",
}
"""About a second of play on each emulator, with a checkpoint every few episodes."""

AGENTS = tuple(SETTINGS)
EMULATORS = ("console", "ale")
METHODS = ("forkserver", "fork", "spawn")
WORKERS = 2
SEEDS = ("1", "2")
"""Of a sweep."""

TIMES = ("wall_seconds", "cpu_seconds")
"""Columns that alone may differ from run to run."""


@dataclass(frozen=True)
class Training:
    """What is trained, and how.

    method  : by which workers start. A sweep's runs are always started by the fork server
    options : of the command besides
    """

    agent: str
    emulator: str
    method: str = "forkserver"
    options: tuple[str, ...] = ()

    @property
    def sweep(self) -> bool:
        return "--seeds" in self.options

    def command(self, *words: str) -> list[str]:
        """Return the command line of fastpong with these arguments."""
        if self.method == "forkserver":
            return [sys.executable, "-P", "-m", "fastpong", *words]
        program = HERE / "programs" / "started_by.py"
        return [sys.executable, "-P", str(program), self.method, *words]

    def begin(self, home: Path) -> list[str]:
        """Write the settings, and return the command that begins the run."""
        agent, emulator = self.agent, self.emulator
        text = f'agent = "{agent}"\nemulator = "{emulator}"\nworkers = {WORKERS}\n'
        (home / "small.toml").write_text(text + LENGTH[agent, emulator] + SETTINGS[agent])
        return self.command("train", "--config", "small.toml", "--run-dir", "run", *self.options)

    def resume(self) -> list[str]:
        """Return the command that goes on with the run."""
        watch = ("--watch",) if "--watch" in self.options else ()
        return self.command("train", "--resume", "run", *watch)

    def runs(self, home: Path) -> list[Path]:
        """Return the directories of its runs."""
        run = home / "run"
        return [run / f"seed-{seed}" for seed in SEEDS] if self.sweep else [run]


@dataclass(frozen=True)
class End:
    """Where a run ended.

    weights     : sha256 of the newest checkpoint's arrays: weights, optimizer, buffers, all
    rows        : of metrics.csv, without times
    evaluations : the same of evaluations.csv
    """

    weights: str
    rows: list[dict[str, str]]
    evaluations: list[dict[str, str]]


def end_of(run: Path) -> End | None:
    """Return where a run stands, None without a checkpoint.

    Raises AssertionError if the newest checkpoint is not whole.
    """
    if not any((run / "checkpoints").glob("*.json")):
        return None
    newest, refusals = checkpoint.newest(run / "checkpoints")
    assert not refusals, refusals
    weights = newest.manifest["data"]["sha256"]
    return End(weights, rows(run / "metrics.csv"), rows(run / "evaluations.csv"))


def rows(path: Path) -> list[dict[str, str]]:
    """Return the whole rows of a table, without times."""
    if not path.exists():
        return []
    text = path.read_text()
    table = csv.DictReader(text[: text.rfind("\n") + 1].splitlines())
    return [{name: v for name, v in row.items() if name not in TIMES} for row in table]


def environment(home: Path, mark: str) -> dict[str, str]:
    """Return the environment of a run's processes: a temporary directory of their own, a mark."""
    temporary = home / "tmp"
    temporary.mkdir(exist_ok=True)
    return plain_environment() | {"TMPDIR": str(temporary), MARK: mark, "LC_ALL": "C.UTF-8"}


MARK = "FASTPONG_FAULTS"
"""Variable that tells the processes of a run, however far they are from their parent."""


def left_behind(home: Path) -> list[str]:
    """Return temporary files in the run and in the temporary directory."""
    temporary = home / "tmp"
    found = [*temporary.rglob("*"), *(home / "run").rglob("*.tmp")]
    return sorted(os.path.relpath(path, home) for path in found)

"""What each agent takes of memory: at its start, in training, saved, resumed and evaluated."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from measure import Effort, Figure, Table
from programs.watched import Peak, Watched

from fastpong.storage.logs import Row

MB = 1e6
WORKERS = 2
PHASES = ("start", "training", "checkpoint", "resumed", "eval")
# steps until the checkpoint, and until the end of the resumed run
STEPS = {"quick": (40_000, 50_000), "normal": (320_000, 330_000), "full": (320_000, 330_000)}
PLAN = {
    "karpathy": ["--agent", "karpathy"],
    "keras": ["--agent", "keras"],
    "ppo": ["--agent", "ppo"],
    "dqn": ["--agent", "dqn", "--learning-starts", "300000"],
    "recipe pong": ["--recipe", "pong"],
    "recipe pong-sticky": ["--recipe", "pong-sticky"],
}
"""Options of a run. dqn begins to learn when its replay buffer is full, which takes less time."""

EPISODIC = {"karpathy": 8_000, "keras": 8_000}
"""Agents that have no buffers to fill: some steps are enough."""

HOW = f"""\
Each agent is trained by `fastpong train` with {WORKERS} workers until its replay buffer, if it has
one, is full, then interrupted, resumed and evaluated. Resident is the most memory that the
command's own process had (VmHWM, which the kernel keeps). In all is what all its processes had
together, with shared pages counted once (PSS)."""


_TOTAL_STEPS = Row._fields.index("total_steps")


@dataclass(frozen=True)
class Agent:
    """The peaks of an agent by phase."""

    name: str
    peaks: dict[str, Peak]

    @property
    def most(self) -> Peak:
        first, *others = self.peaks.values()
        for other in others:
            first |= other
        return first


def measure(effort: Effort) -> tuple[list[Figure], Table]:
    """Train every agent, and return the figures and a table."""
    until, end = STEPS[effort]
    agents = []
    for name, options in PLAN.items():
        steps = EPISODIC.get(name, until)
        agents.append(measure_one(name, options, steps, steps + end - until))
    figures = [
        Figure(f"{agent.name}, resident at most", agent.most.main / MB, "MB") for agent in agents
    ]
    return figures, table(agents)


def measure_one(name: str, options: list[str], until: int, end: int) -> Agent:
    """Train one agent for so many steps, go on to ``end``, and evaluate it."""
    peaks = {}
    with tempfile.TemporaryDirectory() as directory:
        run = Path(directory) / "run"
        given = ["train", "--run-dir", str(run), "--workers", str(WORKERS), "--seed", "1"]
        with Watched([*given, *options, "--save-every", "1000000"]) as training:
            peaks["start"] = training.phase(_steps_reach(run, 1))
            peaks["training"] = training.phase(_steps_reach(run, until))
            peaks["checkpoint"] = training.end()
            training.check(0, 130)
        with Watched(["train", "--resume", str(run), "--total-timesteps", str(end)]) as resumed:
            peaks["resumed"] = resumed.phase()
            resumed.check(0)
        with Watched(["eval", str(run), "--episodes", "2", "--workers", str(WORKERS)]) as playing:
            peaks["eval"] = playing.phase()
            playing.check(0)
    return Agent(name, peaks)


def _steps_reach(run: Path, steps: int) -> Callable[[], bool]:
    """Return a function that tells whether the run's table has come so far."""

    def reached() -> bool:
        path = run / "metrics.csv"
        if not path.exists():
            return False
        text = path.read_text()
        rows = text[: text.rfind("\n") + 1].splitlines()[1:]  # the last may be half written
        return bool(rows) and int(rows[-1].split(",")[_TOTAL_STEPS]) >= steps

    return reached


def table(agents: list[Agent]) -> Table:
    rows = [
        [agent.name, kind, *(f"{getattr(agent.peaks[phase], field) / MB:.0f}" for phase in PHASES)]
        for agent in agents
        for kind, field in (("resident", "main"), ("in all", "total"))
    ]
    return Table("Memory of each agent, MB at most", ["agent", "of", *PHASES], rows)

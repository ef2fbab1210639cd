"""Claim f: what a worker keeps in memory, whether that grows, and what each agent takes."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from claims import agent_memory
from measure import Effort, Figure, Report, Table
from programs import training
from programs.training import Training

# episode from which on growth is counted, episode at which it ends
PLAN = {"quick": (10, 16), "normal": (30, 120), "full": (50, 550)}
WORKERS = 2
SAMPLE_SECONDS = 0.5
MB = 1e6

HOW = f"""\
`fastpong train` with {WORKERS} workers, looked at from outside every {SAMPLE_SECONDS:g} s: resident
memory (RSS, which counts pages shared with other processes, too) and what belongs to the process
alone (USS). Growth is of a worker's USS from the first episodes to the last, each the median of
three looks, the worse worker's; episodes are the run's, shared between its workers. The slope is
that of a straight line through all looks at USS from there on.

{agent_memory.HOW}"""


@dataclass
class Looks:
    """Memory of one process, in bytes, by the number of episodes finished by then."""

    episodes: list[int] = field(default_factory=list)
    rss: list[int] = field(default_factory=list)
    uss: list[int] = field(default_factory=list)

    def since(self, episode: int) -> Looks:
        first = next(i for i, e in enumerate(self.episodes) if e >= episode)
        return Looks(self.episodes[first:], self.rss[first:], self.uss[first:])

    @property
    def growth(self) -> float:
        return statistics.median(self.uss[-3:]) - statistics.median(self.uss[:3])

    @property
    def slope(self) -> float:
        """Bytes per episode."""
        if len(set(self.episodes)) < 2:
            return 0.0
        return statistics.linear_regression(self.episodes, self.uss).slope


def measure(effort: Effort) -> Report:
    """Check, then measure."""
    first, last = PLAN[effort]
    with tempfile.TemporaryDirectory() as directory:
        with Training(WORKERS, Path(directory)) as run:
            workers = find_workers(run.process.pid)
            assert len(workers) == WORKERS
            looks, own = _watch(run, workers, last)
            # The very same processes at the end: none was replaced, which would hide a growth.
            assert {p.pid for p in find_workers(run.process.pid)} == set(looks)
        training.check(run.run, run.rows())
    late = {pid: look.since(first) for pid, look in looks.items()}
    episodes = max(look.episodes[-1] - look.episodes[0] for look in late.values())
    of_agents, peaks = agent_memory.measure(effort)
    figures = [*_figures(looks, late, episodes), *of_agents]
    return Report("Memory", HOW, figures, [_table(late, own), peaks])


def find_workers(pid: int) -> list[psutil.Process]:
    """Return the worker processes of a run: children of the fork server, its own only child's."""
    main = psutil.Process(pid)
    return [worker for child in main.children() for worker in child.children()]


def _watch(
    run: Training, workers: list[psutil.Process], last: int
) -> tuple[dict[int, Looks], Looks]:
    """Look at the workers and at the trainer until so many episodes are done."""
    looks = {worker.pid: Looks() for worker in workers}
    own = Looks()
    processes = [*((w, looks[w.pid]) for w in workers), (psutil.Process(run.process.pid), own)]
    done = 0
    while done < last:
        done = len(run.rows())
        for process, look in processes:
            with contextlib.suppress(psutil.NoSuchProcess):  # the check afterwards will tell
                info = process.memory_full_info()
                look.episodes.append(done)
                look.rss.append(info.rss)
                look.uss.append(info.uss)
        run.wait_for(done + 1)  # raises when the run has ended or stalls
        time.sleep(SAMPLE_SECONDS)
    return looks, own


def _figures(looks: dict[int, Looks], late: dict[int, Looks], episodes: int) -> list[Figure]:
    worst = max(late.values(), key=lambda look: look.growth)
    steepest = max(look.slope for look in late.values())
    return [
        Figure("a worker's resident memory, at most",
               max(max(look.rss) for look in looks.values()) / MB, "MB", at_most=100.0),
        Figure(f"its growth over {episodes} episodes of the run (none: below 0.5)",
               worst.growth / MB, "MB", at_most=0.5),
        Figure("slope of its memory", steepest * 100 / 1e3, "kB per 100 episodes"),
    ]  # fmt: skip


def _table(late: dict[int, Looks], own: Looks) -> Table:
    rows = []
    named = {f"worker {k}": look for k, look in enumerate(late.values(), 1)}
    for name, look in {**named, "trainer": own}.items():
        uss = (look.uss[0], look.uss[-1], max(look.uss))
        row = [f"{value / MB:.1f}" for value in (*uss, look.rss[-1])]
        rows.append([name, str(look.episodes[0]), str(look.episodes[-1]), *row])
    header = ["process", "from episode", "to", "USS, first", "last", "most", "RSS, last"]
    return Table("Memory, MB", header, rows)

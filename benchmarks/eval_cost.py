"""What periodic evaluation costs: a run with and without ``--eval-every 20``, in turn.

    python benchmarks/eval_cost.py         three pairs of runs, two minutes on an idle machine

Both runs of a pair have a seed, and end with the same weights, which is checked. The figures go to
docs/sweeps.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from marked import Marked, add_print
from measure import fastpong_command, figure, plain_environment

EVERY, GAMES = 20, 10


@dataclass(frozen=True)
class Run:
    """Hold what a run took, and the digest of its weights."""

    wall: float
    cpu: float
    evaluations: int
    sha256: str


def run(steps: int, seed: int, *options: str) -> Run:
    """Train the recipe pong for so many steps."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name) / "run"
        words = ["--recipe", "pong", "--seed", str(seed), "--until", "never", "--no-progress"]
        words += ["--total-timesteps", str(steps), "--run-dir", str(directory), *options]
        command = [*fastpong_command(), "train", *words]
        subprocess.run(command, check=True, env=plain_environment(), stdout=subprocess.DEVNULL)
        newest = max((directory / "checkpoints").glob("*.json"))
        manifest = json.loads(newest.read_bytes())
        table = directory / "evaluations.csv"
        rows = [*csv.DictReader(table.open())] if table.exists() else []
        # The last evaluation comes after the last checkpoint.
        rows = [row for row in rows if int(row["total_steps"]) < steps]
        counters = manifest["counters"]
        sha256 = manifest["data"]["sha256"]
        return Run(counters["wall_seconds"], counters["cpu_seconds"], len(rows), sha256)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=500_000)
    add_print(parser)
    asked = parser.parse_args()
    page = Marked("eval_cost.py", "sweeps.md", not asked.print)
    wall, cpu, ratio = [], [], []
    for seed in range(asked.pairs):
        plain = run(asked.steps, seed)
        judged = run(asked.steps, seed, "--eval-every", str(EVERY), "--eval-episodes", str(GAMES))
        assert plain.sha256 == judged.sha256, "evaluations change nothing of the training"
        wall.append((judged.wall - plain.wall) / judged.evaluations)
        cpu.append((judged.cpu - plain.cpu) / judged.evaluations)
        ratio.append(judged.cpu / plain.cpu)
        print(f"seed {seed}: {plain}\n  {judged}", flush=True)
    page.end(
        f"Recipe `pong`, {asked.steps:,} steps, {GAMES} episodes after every {EVERY}, "
        f"{asked.pairs} seeds with and without in turn.",
        [
            figure("wall time of an evaluation", wall, "s"),
            figure("CPU time of an evaluation, its workers' start included", cpu, "core-seconds"),
            figure("CPU time of the run with evaluations, over that without", ratio),
        ],
    )


if __name__ == "__main__":
    main()

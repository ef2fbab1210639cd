"""How long `fastpong train --recipe pong` takes from the command typed to its exit.

    python benchmarks/time_to_goal.py                  twenty seeds, six minutes
    python benchmarks/time_to_goal.py --seeds 1001 1002

The run ends by itself at the recipe's goal: a mean return of 18 over the last 40 games of training.
The seeds are none that a trial of settings has used. Nothing else should run on the machine.
Writes docs/time-to-goal.md and .json.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measure import ROOT, fastpong_command, plain_environment
from results import commit, environment, table

from fastpong.storage import files

SEEDS = range(1001, 1021)
COMMAND = ("train", "--recipe", "pong")
LIMIT_SECONDS = 600.0
NUMBERS, PAGE = ROOT / "docs" / "time-to-goal.json", ROOT / "docs" / "time-to-goal.md"


def run(seed: int) -> dict[str, Any]:
    """Train once, and return what it took."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory) / "run"
        command = [*fastpong_command(), *COMMAND, "--seed", str(seed), "--run-dir", str(home)]
        start = time.perf_counter()
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=LIMIT_SECONDS, env=plain_environment(),
        )  # fmt: skip
        wall = time.perf_counter() - start
        assert done.returncode == 0, done.stdout
        with (home / "metrics.csv").open() as lines:
            last = list(csv.DictReader(lines))[-1]
    return {
        "seed": seed,
        "wall": wall,
        "reached": "reached a mean return of 18" in done.stdout,
        "cpu": float(last["cpu_seconds"]),
        "frames": int(last["total_frames"]),
        "episodes": int(last["episode"]),
        "load": load,
    }


def page(found: dict[str, Any]) -> str:
    """Return the document."""
    runs = found["runs"]
    walls = sorted(r["wall"] if r["reached"] else float("inf") for r in runs)
    ninth = walls[min(len(walls) - 1, -(-9 * len(walls) // 10) - 1)]
    rows = [
        [
            str(r["seed"]), f"{r['wall']:.1f} s" if r["reached"] else "not reached",
            f"{r['cpu'] / 60:.2f}", f"{r['frames'] / 1e6:.2f} M", f"{r['episodes']:,}",
        ]
        for r in runs
    ]  # fmt: skip
    return "\n".join([
        "# Time to the goal", "",
        "Written by `python benchmarks/time_to_goal.py`, which says how it is measured. Edit "
        "that and not this file.", "",
        *table(["measured on", ""], [[*x] for x in found["environment"].items()]), "",
        f"`fastpong {' '.join(COMMAND)}`, from the command typed to its exit at a mean return of "
        f"18 over the last 40 games of training. {len(runs)} seeds that no trial of settings has "
        f"used. Commit {found['commit']}, {found['date']}.", "",
        *table(["", "wall time"], [
            ["median", f"{statistics.median(walls):.1f} s"],
            ["nine of ten within", f"{ninth:.1f} s"],
            ["quickest and slowest", f"{walls[0]:.1f} s and {walls[-1]:.1f} s"],
            ["reached", f"{sum(r['reached'] for r in runs)} of {len(runs)}"],
        ]), "",
        *table(["seed", "wall time", "core-minutes", "frames", "games"], rows), "",
    ])  # fmt: skip


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    given = parser.parse_args()
    runs = []
    for seed in given.seeds:
        runs.append(run(seed))
        print(f"seed {seed}: {runs[-1]['wall']:.1f} s, {runs[-1]['frames']:,} frames", flush=True)
    found = {
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "environment": environment(),
        "runs": runs,
    }
    files.write_atomically(NUMBERS, (json.dumps(found, indent=1) + "\n").encode())
    PAGE.write_text(page(found).rstrip() + "\n")


if __name__ == "__main__":
    main()

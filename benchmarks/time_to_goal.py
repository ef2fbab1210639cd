"""How long `fastpong train --recipe NAME` takes from the command typed to its exit at a goal.

    python benchmarks/time_to_goal.py                        both recipes, about an hour
    python benchmarks/time_to_goal.py pong --seeds 2001 2002
    python benchmarks/time_to_goal.py --limit 20             begins no run after 20 minutes

The run ends by itself at its goal, a mean return over the last 40 games of training. The seeds are
none that a trial of settings has used. Nothing else should run on the machine.

Resumable: every run stands in docs/time-to-goal.json as soon as it is over, and is not repeated
while the recipe's settings are the same. Writes docs/time-to-goal.md too.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shlex
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measure import ROOT, fastpong_command, plain_environment
from results import commit, environment, table

from fastpong.recipes import load
from fastpong.storage import files

NUMBERS, PAGE = ROOT / "docs" / "time-to-goal.json", ROOT / "docs" / "time-to-goal.md"


@dataclass(frozen=True)
class Plan:
    """How a recipe is timed.

    options : that override the recipe
    goal    : the mean return that ends the run
    seeds   : that no trial of settings has used
    limit   : seconds after which a run has not reached the goal
    """

    options: str
    goal: float
    seeds: range
    limit: float


PLANS = {
    "pong": Plan("", 18.0, range(2001, 2021), 300.0),
    "pong-sticky": Plan("--until 18", 18.0, range(3001, 3011), 600.0),
}


def command(recipe: str) -> list[str]:
    """Return the arguments of ``fastpong``, but for the seed."""
    return ["train", "--recipe", recipe, *shlex.split(PLANS[recipe].options)]


def run(recipe: str, seed: int) -> dict[str, Any]:
    """Train once, and return what it took."""
    plan, load_before = PLANS[recipe], os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory) / "run"
        arguments = [*command(recipe), "--seed", str(seed), "--run-dir", str(home)]
        start = time.perf_counter()
        output = finish([*fastpong_command(), *arguments], plan.limit)
        wall = time.perf_counter() - start
        last = last_episode(home / "metrics.csv", output)
    return {
        "wall": wall,
        "reached": f"reached a mean return of {plan.goal:g}" in output,
        "cpu": float(last["cpu_seconds"]),
        "frames": int(last["total_frames"]),
        "steps": int(last["total_steps"]),
        "episodes": int(last["episode"]),
        "load": load_before,
        "settings": load(recipe).values,
        "command": command(recipe),
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def last_episode(metrics: Path, output: str) -> dict[str, str]:
    """Return the last row of a run's metrics."""
    rows = list(csv.DictReader(metrics.open())) if metrics.exists() else []
    if not rows:
        raise RuntimeError(f"no episode ended within the limit; is the machine busy?\n{output}")
    return rows[-1]


def finish(command: list[str], limit: float) -> str:
    """Return what a command printed. After ``limit`` seconds it is asked to end."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, env=plain_environment(),
    ) as process:  # fmt: skip
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            process.terminate()
            return process.communicate(timeout=60)[0]
        except BaseException:  # Ctrl-C: no run is left behind
            process.terminate()
            raise
        assert process.returncode == 0, output
        return output


def measured(numbers: dict[str, Any], recipe: str) -> dict[str, Any]:
    """Return the runs by seed that were made with today's recipe and command."""
    now = {"settings": load(recipe).values, "command": command(recipe)}
    found = numbers.get(recipe, {}).get("runs", {})
    return {
        seed: r
        for seed, r in sorted(found.items(), key=lambda item: int(item[0]))
        if all(r[name] == value for name, value in now.items())
    }


def seconds(value: float) -> str:
    """Return a time as text. One that was not reached is infinite."""
    return f"{value:.1f} s" if value < float("inf") else "not reached"


def ninth(values: Iterable[float]) -> float:
    """Return the least bound that nine of ten values keep."""
    ordered = sorted(values)
    return ordered[-(-9 * len(ordered) // 10) - 1]


def section(recipe: str, numbers: dict[str, Any]) -> list[str]:
    """Return a recipe's part of the document."""
    runs, plan = measured(numbers, recipe), PLANS[recipe]
    if not runs:
        return []
    walls = [r["wall"] if r["reached"] else float("inf") for r in runs.values()]
    rows = [
        [
            seed, seconds(wall), f"{r['cpu'] / 60:.2f}", f"{r['frames'] / 1e6:.2f} M",
            f"{r['steps'] / 1e6:.2f} M", f"{r['episodes']:,}",
        ]
        for (seed, r), wall in zip(runs.items(), walls, strict=True)
    ]  # fmt: skip
    commits = sorted({f"{r['commit']}, {r['date']}" for r in runs.values()})
    return [
        f"## {recipe}", "",
        f"`fastpong {shlex.join(command(recipe))}`, from the command typed to its exit at a mean "
        f"return of {plan.goal:g} over the last 40 games of training. {len(runs)} seeds that no "
        f"trial of settings has used. A run is ended after {plan.limit:g} s. "
        f"Commit {' and '.join(commits)}.", "",
        *table(["", "wall time"], [
            ["median", seconds(statistics.median(walls))],
            ["nine of ten within", seconds(ninth(walls))],
            ["quickest and slowest", f"{seconds(min(walls))} and {seconds(max(walls))}"],
            ["reached", f"{sum(r['reached'] for r in runs.values())} of {len(runs)}"],
        ]), "",
        *table(["seed", "wall time", "core-minutes", "frames", "steps", "games"], rows), "",
    ]  # fmt: skip


def page(numbers: dict[str, Any]) -> str:
    """Return the document."""
    return "\n".join([
        "# Time to the goal", "",
        "Written by `python benchmarks/time_to_goal.py`, which says how it is measured. Edit "
        "that and not this file.", "",
        *table(["measured on", ""], [[*x] for x in environment().items()]), "",
        *(line for recipe in PLANS for line in section(recipe, numbers)),
    ])  # fmt: skip


def read() -> dict[str, Any]:
    """Return what has been measured."""
    numbers: dict[str, Any] = json.loads(NUMBERS.read_text()) if NUMBERS.exists() else {}
    return {recipe: numbers[recipe] for recipe in PLANS if recipe in numbers}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help=f"of {', '.join(PLANS)}")
    parser.add_argument("--seeds", nargs="+", type=int, help="instead of the recipe's own")
    parser.add_argument("--limit", type=float, default=float("inf"), metavar="MINUTES",
                        help="minutes after which no run begins")  # fmt: skip
    given = parser.parse_args()
    if unknown := set(given.recipes) - set(PLANS):
        parser.error(f"expected recipes of {', '.join(PLANS)}, got {', '.join(sorted(unknown))}")
    began = time.monotonic()
    for recipe in given.recipes or PLANS:
        for seed in given.seeds or PLANS[recipe].seeds:
            numbers = read()
            if str(seed) in measured(numbers, recipe):
                continue
            if time.monotonic() - began > 60 * given.limit:
                return
            found = run(recipe, seed)
            print(f"{recipe} {seed}: {found['wall']:.1f} s, {found['frames']:,} frames", flush=True)
            numbers.setdefault(recipe, {}).setdefault("runs", {})[str(seed)] = found
            files.write_atomically(NUMBERS, (json.dumps(numbers, indent=1) + "\n").encode())
            PAGE.write_text(page(numbers).rstrip() + "\n")


if __name__ == "__main__":
    main()

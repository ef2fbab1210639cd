"""What `--pool ray` costs on one machine, written to docs/design/ray.md.

    python benchmarks/ray_cost.py                     four pairs of runs of four recipes, 15 minutes
    python benchmarks/ray_cost.py pong --pairs 3 --no-write

Steps a second on Ray and on the local pool, in turn, each with a worker for each core. Starting Ray
is not counted: steps are those after a run's first episodes. The weights at the end of all runs are
compared. Then the round trip of a task of the same size that plays nothing, and the bytes that a
step sends.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import scale
from measure import ROOT, alternate, fastpong_command, plain_environment, quartiles, ratios
from results import commit, environment, table

SKIPPED = 0.2
"""Share of a run's episodes that is not counted."""

PAGE = ROOT / "docs" / "design" / "ray.md"
BEGIN, END = "<!-- written by benchmarks/ray_cost.py -->", "<!-- end -->"
POOLS = ("local", "ray")
STEPS = {"karpathy": 2_000_000, "keras": 400_000, "pong": 700_000, "pong-sticky": 300_000}
"""Of a run, by recipe: about 20 seconds."""
UPDATES = 8
"""Of which the costs of a task are taken."""


@dataclass
class Runs:
    """Collect what all runs come to.

    ends : hashes of the last weights
    wire : bytes a step on the loopback interface, by pool
    """

    ends: set[str] = field(default_factory=set)
    wire: dict[str, list[float]] = field(default_factory=lambda: {pool: [] for pool in POOLS})


def step_rate(recipe: str, steps: int, pool: str, runs: Runs) -> float:
    """Train, and return steps a second."""
    with tempfile.TemporaryDirectory() as directory:
        run = Path(directory) / "run"
        command = [*fastpong_command(), "train", "--recipe", recipe, "--seed", "5"]
        command += ["--total-timesteps", str(steps), "--until", "never", "--no-progress"]
        command += ["--pool", pool, "--run-dir", str(run)]
        before = loopback()
        subprocess.run(command, env=plain_environment(), check=True, stdout=subprocess.DEVNULL)
        sent = loopback() - before
        with (run / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        weights = max((run / "checkpoints").glob("*.safetensors"))
        runs.ends.add(hashlib.sha256(weights.read_bytes()).hexdigest())
    first, last = rows[int(SKIPPED * len(rows))], rows[-1]
    runs.wire[pool].append(sent / int(last["total_steps"]))
    played = int(last["total_steps"]) - int(first["total_steps"])
    return played / (float(last["wall_seconds"]) - float(first["wall_seconds"]))


def loopback() -> int:
    """Return the bytes that this machine has sent to itself by its network."""
    lines = Path("/proc/net/dev").read_text().splitlines()
    return next(int(line.split(":")[1].split()[8]) for line in lines if line.strip()[:3] == "lo:")


NAMES = [
    *(f"steps/s, `--pool {pool}`" for pool in POOLS),
    "Ray over local",
    "round trip of a task that plays nothing, its result as large as the agent's, ms",
    "of it CPU time of the driver, ms",
    "new weights into the object store, ms",
    "bytes a step, tasks and results",
    "bytes a step, weights for each node",
    "bytes a step on the loopback interface",
]
"""Of the table's lines."""


def compare(recipe: str, pairs: int, steps: int) -> list[str]:
    """Return a column of the table."""
    runs = Runs()
    rates = alternate(
        {pool: lambda pool=pool: step_rate(recipe, steps, pool, runs) for pool in POOLS}, pairs
    )
    if len(runs.ends) != 1:
        raise SystemExit(f"{recipe}: the pools came to different weights")
    costs = scale.measure(recipe, {}, scale.WARM.get(recipe, 1), UPDATES)
    ray = scale.measure_ray(costs)
    return [
        *(spread(rates[pool], ",.0f") for pool in POOLS),
        spread(ratios(rates["ray"], rates["local"]), ".3f"),
        *(f"{1e3 * seconds:.2f}" for seconds in (ray.trip, ray.task, ray.publish)),
        *(f"{size:.0f}" for size in (costs.bytes_per_step, costs.weights_per_step)),
        spread(runs.wire["ray"], ".0f"),
    ]


def spread(values: Sequence[float], form: str) -> str:
    """Return the median and quartiles."""
    low, middle, high = (format(value, form) for value in quartiles(values))
    return f"{middle} ({low} to {high})"


def write(lines: list[str], pairs: int) -> None:
    """Replace the table on the page."""
    text = PAGE.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE}: expected the marks {BEGIN} and {END}, found none")
    machine, day = environment()["CPU"], f"{datetime.now(UTC):%Y-%m-%d}"
    caption = (
        f"{pairs} pairs of runs of each recipe, {machine}, {day}, commit {commit()}. "
        "Medians and quartiles."
    )
    PAGE.write_text(before + "\n".join([begin, "", *lines, "", caption, "", end]) + after)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipes", nargs="*", help=f"default: {' '.join(STEPS)}")
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--steps", type=int, help="of a run")
    parser.add_argument("--no-write", action="store_true", help="print the table only")
    asked = parser.parse_args()
    recipes = asked.recipes or list(STEPS)
    columns = [
        compare(name, asked.pairs, asked.steps or STEPS.get(name, 500_000)) for name in recipes
    ]
    rows = [list(row) for row in zip(NAMES, *columns, strict=True)]
    lines = table(["", *(f"`{name}`" for name in recipes)], rows)
    print("\n".join(lines))
    if not asked.no_write:
        write(lines, asked.pairs)


if __name__ == "__main__":
    main()

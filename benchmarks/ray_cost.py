"""What `--pool ray` costs on one machine, written to docs/design/ray.md.

    python benchmarks/ray_cost.py                     karpathy, four pairs of runs, four minutes
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
from collections.abc import Mapping, Sequence
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


def rows_of(
    rates: Mapping[str, Sequence[float]], runs: Runs, ray: scale.RayCosts, costs: scale.Costs
) -> list[list[str]]:
    """Return the lines of the table."""
    ratio = quartiles(ratios(rates["ray"], rates["local"]))
    return [
        *([f"steps/s, `--pool {pool}`", *_spread(rates[pool], ",.0f")] for pool in POOLS),
        ["Ray over local", f"{ratio[1]:.3f}", f"{ratio[0]:.3f} to {ratio[2]:.3f}"],
        [
            "round trip of a task that plays nothing, its result as large as the agent's, ms",
            f"{1e3 * ray.trip:.2f}",
            "",
        ],
        ["of it CPU time of the driver, ms", f"{1e3 * ray.task:.2f}", ""],
        ["new weights into the object store, ms", f"{1e3 * ray.publish:.2f}", ""],
        ["bytes a step, tasks and results", f"{costs.bytes_per_step:.0f}", ""],
        ["bytes a step, weights for each node", f"{costs.weights_per_step:.0f}", ""],
        [
            "bytes a step on the loopback interface, which large results do not take",
            *_spread(runs.wire["ray"], ".0f"),
        ],
    ]


def _spread(values: Sequence[float], form: str) -> list[str]:
    low, middle, high = (format(value, form) for value in quartiles(values))
    return [middle, f"{low} to {high}"]


def write(recipe: str, pairs: int, steps: int, rows: list[list[str]]) -> None:
    """Replace the table on the page."""
    about = environment()
    text = PAGE.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE}: expected the marks {BEGIN} and {END}, found none")
    caption = (
        f"Recipe `{recipe}`, {pairs} pairs of runs of {steps:,} steps, {about['CPU']}, "
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commit()}. Medians, and quartiles."
    )
    lines = [begin, "", *table(["", "median", "quartiles"], rows), "", caption, "", end]
    PAGE.write_text(before + "\n".join(lines) + after)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipe", nargs="?", default="karpathy")
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--no-write", action="store_true", help="print the table only")
    asked = parser.parse_args()
    runs = Runs()
    rates = alternate(
        {
            pool: lambda pool=pool: step_rate(asked.recipe, asked.steps, pool, runs)
            for pool in POOLS
        },
        asked.pairs,
    )
    if len(runs.ends) != 1:
        raise SystemExit("the pools came to different weights")
    warm = scale.WARM.get(asked.recipe, 1)
    costs = scale.measure(asked.recipe, {}, warm, UPDATES)
    rows = rows_of(rates, runs, scale.measure_ray(costs), costs)
    print("\n".join(table(["", "median", "quartiles"], rows)))
    if not asked.no_write:
        write(asked.recipe, asked.pairs, asked.steps, rows)


if __name__ == "__main__":
    main()

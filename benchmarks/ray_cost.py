"""What `--pool ray` costs on one machine: steps a second on Ray and on the local pool, in turn.

    python benchmarks/ray_cost.py                     karpathy, six pairs of runs, ten minutes
    python benchmarks/ray_cost.py pong --pairs 3

Starting Ray is not counted: steps are those after a run's first episodes. The weights at the end of
both are compared.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import subprocess
import tempfile
from pathlib import Path

from measure import alternate, fastpong_command, plain_environment, quartiles, ratios

SKIPPED = 0.2
"""Share of a run's episodes that is not counted."""


def step_rate(recipe: str, steps: int, pool: str, ends: set[str]) -> float:
    """Train, return steps a second, and add the hash of the last weights to ``ends``."""
    with tempfile.TemporaryDirectory() as directory:
        run = Path(directory) / "run"
        command = [*fastpong_command(), "train", "--recipe", recipe, "--seed", "5"]
        command += ["--total-timesteps", str(steps), "--until", "never", "--no-progress"]
        command += ["--pool", pool, "--run-dir", str(run)]
        subprocess.run(command, env=plain_environment(), check=True, stdout=subprocess.DEVNULL)
        with (run / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        weights = max((run / "checkpoints").glob("*.safetensors"))
        ends.add(hashlib.sha256(weights.read_bytes()).hexdigest())
    first, last = rows[int(SKIPPED * len(rows))], rows[-1]
    played = int(last["total_steps"]) - int(first["total_steps"])
    return played / (float(last["wall_seconds"]) - float(first["wall_seconds"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("recipe", nargs="?", default="karpathy")
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--steps", type=int, default=1_500_000)
    asked = parser.parse_args()
    ends: set[str] = set()
    pools = ("local", "ray")
    rates = alternate(
        {p: lambda p=p: step_rate(asked.recipe, asked.steps, p, ends) for p in pools}, asked.pairs
    )
    assert len(ends) == 1, "the pools came to different weights"
    low, middle, high = quartiles(ratios(rates["ray"], rates["local"]))
    spread = f"quartiles {low:.3f} to {high:.3f}"
    print(f"{asked.recipe}: steps/s on ray / local: {middle:.3f}, {spread}")


if __name__ == "__main__":
    main()

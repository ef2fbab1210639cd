"""Make the pictures of docs/plotting.md.

    python benchmarks/plot_pictures.py runs/pictures -o docs/figures

trains the recipe pong with five seeds, each with 128 and with 32 hidden units, unless the runs are
in the directory already, and draws their curves. Against steps they are the same on any machine. It
draws the weights of pretrained agents, too, and with ``--karpathy RUN`` those of such a run.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

from measure import fastpong_command, plain_environment

SEEDS, HIDDEN, STEPS = "1-5", (128, 32), 1_000_000


def train(runs: Path, hidden: int) -> None:
    """Train all seeds, unless they are there."""
    if not runs.exists():
        words = ["--recipe", "pong", "--seeds", SEEDS, "--hidden", hidden]
        words += ["--total-timesteps", STEPS, "--no-progress", "--run-dir", runs]
        fastpong("train", *words)


def fastpong(*words: object) -> None:
    command = [*fastpong_command(), *map(str, words)]
    subprocess.run(command, check=True, env=plain_environment())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--karpathy", type=Path, metavar="RUN", help="a run of agent karpathy")
    asked = parser.parse_args()
    for hidden in HIDDEN:
        train(asked.runs / f"hidden-{hidden}", hidden)
    curves = ["plot", asked.runs, "--title", "Recipe pong, five seeds"]
    fastpong(*curves, "-o", asked.output / "plot-seeds.png")
    fastpong("plot", "weights", "pong", "-o", asked.output / "weights-pong.png")
    if asked.karpathy:
        picture = asked.output / "weights-karpathy.png"
        fastpong("plot", "weights", asked.karpathy, "-o", picture)


if __name__ == "__main__":
    main()

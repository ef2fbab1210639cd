"""Try settings of the agent ppo: how good it is after so many steps, one run a trial.

    python benchmarks/recipe_trials.py --env ALE/Pong-v5 --steps 600000 --seed 3 -- --n-envs 32

trains with one worker and the options after --, stops after so many steps, and adds a line to
docs/recipe-trials.csv and .md: the mean score of the last 25 training games at some points. What a
run learns depends on steps alone, so that trials may run side by side and beside other work.
"""

from __future__ import annotations

import argparse
import csv
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import ROOT, fastpong_command, plain_environment
from results import table

POINTS = (
    0.1,
    0.15,
    0.2,
    0.25,
    0.3,
    0.4,
    0.5,
    0.6,
    0.7,
    0.8,
    1.0,
    1.2,
    1.5,
    2.0,
    2.5,
    3.0,
    3.5,
    4.0,
)
"""Millions of steps."""
GAMES = 25
TRIALS = ROOT / "docs" / "recipe-trials.csv"
HEADING = f"""\
# What was tried

Trials of settings of the agent ppo, one run each: the mean score of the last {GAMES}
training games after so many million steps (4 frames each, on ale-py about 190 µs of a core, on the
console about 40). Written by
`python benchmarks/recipe_trials.py`, which says how to add to them. The options are those that
differ from the defaults, of the commit that stands before them and under its names. Two seeds
of the same settings differ by up to a factor of two in steps, so that a line alone says little.

The lines of 98bb28b are runs of `fastpong train` from that commit up to 96120b3, gathered from
their metrics.csv by the same functions; many were cut off by a limit of time on a busy machine.
Left out are runs too short for a point, and three with a cost for every step, a patch.
Those of da315a7 were made with today's defaults and gathered in the same way.
Those of c1bfcf6 were played on the console and gathered in the same way. They end where the
goal of 18 was reached, or at a limit.
"""


def scores(metrics: Path) -> tuple[list[int], list[float]]:
    """Return the steps made when each game ended, and its score."""
    with metrics.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [int(row["total_steps"]) for row in rows], [float(row["return"]) for row in rows]


def means(metrics: Path) -> list[str]:
    """Return the mean of the last games at every point that the run came to."""
    steps, found = scores(metrics)
    return [
        f"{statistics.fmean([x for s, x in zip(steps, found, strict=True) if s <= p][-GAMES:]):.1f}"
        if steps and steps[0] <= p <= steps[-1] + 30_000
        else ""
        for p in (round(1e6 * point) for point in POINTS)
    ]


def train(env: str, seed: int, steps: int, options: list[str]) -> list[str]:
    """Train until so many steps are made; return the means."""
    with tempfile.TemporaryDirectory() as directory:
        run = Path(directory) / "run"
        command = [*fastpong_command(), "train", "--agent", "ppo", "--env", env, "--workers", "1"]
        command += ["--seed", str(seed), "--run-dir", str(run), "--episodes", "1000000"]
        command += ["--total-timesteps", str(steps), *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=plain_environment())
        return means(run / "metrics.csv")


def write(lines: list[list[str]]) -> None:
    """Write the page: a table for each variant, without the points that nobody came to."""
    page = [HEADING]
    for env in dict.fromkeys(line[1] for line in lines):
        own = [line for line in lines if line[1] == env]
        used = [k for k in range(len(POINTS)) if any(line[4 + k] for line in own)]
        header = ["settings", "seed", *(f"{POINTS[k]:g}" for k in used)]
        rows = [[f"{o[0]}: `{o[3]}`", o[2], *(o[4 + k] for k in used)] for o in own]
        page += [f"## {env}", "", *table(header, rows), ""]
    TRIALS.with_suffix(".md").write_text("\n".join(page).rstrip() + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--env", default="PongDeterministic-v4")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=400_000)
    parser.add_argument("--defaults", default="now", help="a name for the defaults of this commit")
    parser.add_argument("options", nargs="*", help="of fastpong train, after --")
    given = parser.parse_args()
    found = train(given.env, given.seed, given.steps, given.options)
    line = [given.defaults, given.env, str(given.seed), shlex.join(given.options), *found]
    with TRIALS.open("a", newline="") as file:
        csv.writer(file).writerow(line)
    with TRIALS.open(newline="") as file:
        write(list(csv.reader(file)))


if __name__ == "__main__":
    sys.exit(main())

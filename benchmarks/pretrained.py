"""Train the weights that ship in fastpong/pretrained/, evaluate them, and write the files.

    python benchmarks/pretrained.py                 all four
    python benchmarks/pretrained.py pong keras      these

One command makes a file: `fastpong train` with the options of ``PLANS``, in a run under
build/pretrained, which is resumed if it was interrupted. What is evaluated is what the file holds:
weights of 8 bits. Games are those of `fastpong eval --seed 0`. Also writes the table of
docs/pretrained.md. Two runs of the same commit give the same weights.

--plans OTHER.json trains with other options, name -> list of options.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measure import ROOT, fastpong_command, plain_environment
from results import commit, table

import fastpong
from fastpong import pretrained
from fastpong.settings.config import default_backend
from fastpong.settings.fields import plain_values
from fastpong.storage.finding import find
from fastpong.storage.weights import exported
from fastpong.storage.weights.exchange import write
from fastpong.training.trained import Trained, read_trained

PLANS = {
    "karpathy": ["--recipe", "karpathy", "--learning-rate", "1e-3"],
    "keras": ["--recipe", "keras", "--episodes", "3000"],
    "pong": ["--recipe", "pong", "--until", "20", "--episodes", "3000"],
    "pong-sticky": ["--recipe", "pong-sticky"],
}
"""Options of `fastpong train` for each file."""

RUNS = ROOT / "build" / "pretrained"
PAGE = ROOT / "docs" / "pretrained.md"
BEGIN, END = "<!-- written by benchmarks/pretrained.py -->", "<!-- end -->"


def train(name: str, options: list[str], runs: Path) -> Path:
    """Train, or go on with what was interrupted, and return the run's directory."""
    run = runs / name
    begun = any((run / "checkpoints").glob("*.json"))
    arguments = ["--resume", str(run)] if begun else [*options, "--run-dir", str(run)]
    command = [*fastpong_command(), "train", *arguments, "--no-progress"]
    subprocess.run(command, check=True, env=plain_environment(), stdout=subprocess.DEVNULL)
    return run


def play(file: Path, games: int, deterministic: bool) -> dict[str, Any]:
    """Evaluate a file's weights."""
    found = fastpong.evaluate(file, episodes=games, deterministic=deterministic)
    return {
        "mean": round(found.mean, 2),
        "deviation": round(found.deviation, 2),
        "wins": found.wins,
        "games": found.episodes,
    }


def save(file: Path, trained: Trained, about: dict[str, Any]) -> None:
    """Write weights of 8 bits."""
    stage = trained.config.stages[trained.stage]
    weights = exported.pack(trained.parameters)
    write(file, stage.agent, plain_values(stage.settings), weights, {**trained.about(), **about})


def make(name: str, options: list[str], runs: Path, games: int) -> None:
    """Make one file."""
    run = train(name, options, runs)
    found, _ = find(run)
    trained = read_trained(found, default_backend())
    counters = found.manifest["counters"]  # type: ignore[union-attr]
    facts: dict[str, Any] = {
        "command": shlex.join(["fastpong", "train", *options]),
        "commit": json.loads((run / "versions.json").read_text())["commit"] or commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "cpu_seconds": round(counters["cpu_seconds"]),
        "seed": trained.config.seed,
    }
    file = pretrained.path(name)
    save(file, trained, {"trained": facts})
    facts |= {"sampled": play(file, games, False), "deterministic": play(file, games, True)}
    save(file, trained, {"trained": facts})
    print(f"{name}: {facts}", flush=True)


def lines() -> list[str]:
    """Return the table of docs/pretrained.md, from the files."""
    rows = []
    for name in pretrained.NAMES:
        path = pretrained.path(name)
        if not path.exists():
            continue
        about = exported.read(path).about
        facts = about["trained"]
        cells = [
            f"{facts[kind]['mean']:+.2f} ± {facts[kind]['deviation']:.2f}, "
            f"{facts[kind]['wins']} of {facts[kind]['games']}"
            for kind in ("sampled", "deterministic")
        ]
        size = f"{path.stat().st_size / 1000:,.0f} kB"
        work = f"{about['steps'] / 1e6:.2f} M, {facts['cpu_seconds'] / 60:.1f}"
        env = about["config"]["env"]
        rows.append([f"`{name}`", f"`{env}`", size, *cells, work, f"`{facts['command']}`"])
    header = ["name", "environment", "size", "sampled: mean ± deviation, won"]
    header += ["deterministic", "steps, core-minutes", "command"]
    return table(header, rows)


def write_page() -> None:
    """Replace the table in docs/pretrained.md."""
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text("\n".join([before + BEGIN, *lines(), END]) + after)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", choices=[[], *PLANS], default=[])
    parser.add_argument("--games", type=int, default=100, help="of each evaluation")
    parser.add_argument("--runs", type=Path, default=RUNS, help="directory of the runs")
    parser.add_argument("--plans", type=Path, help="JSON file of other options")
    given = parser.parse_args()
    plans = json.loads(given.plans.read_text()) if given.plans else PLANS
    for name in given.names or plans:
        make(name, plans[name], given.runs, given.games)
    write_page()


if __name__ == "__main__":
    main()

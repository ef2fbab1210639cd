"""Other software's PPO on Pong beside `fastpong train --agent ppo`, on one machine, in one run.

    python benchmarks/side_by_side.py                  PongDeterministic-v4, one seed, 20 minutes
    python benchmarks/side_by_side.py ALE/Pong-v5 --seeds 1 2 --seconds 900

Needs the packages of `pip install "fastpong[compare]"`; a contender whose packages are missing is
left out with a word. Everything runs alone, one after another: first fastpong until the mean of its
last 40 training games is 18, then every contender for --seconds of wall time from the start of its
process. The default is three times our median wall time to a mean of 18 over 100 games, from
docs/time-to-solve.json, or three times what fastpong just took where there is none, and at least
200. What is evaluated, is off the clock.

How a contender runs fastest is its own business and differs between machines: before its first run
each way it offers is tried for half a minute, and the one that makes most steps is taken.

Resumable: what is measured stands in docs/side-by-side.json. Nothing else should run on the
machine. Writes docs/side-by-side.md.
"""

from __future__ import annotations

import argparse
import csv
import functools
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import time_to_solve
from contenders.contender import RECENT, STICKY
from measure import HERE, ROOT, fastpong_command, plain_environment
from results import commit, environment, table

GOAL, MOST_GAMES = 18, 3000
LEAST_SECONDS, TIMES, TRIAL_SECONDS = 200.0, 3, 30.0
# An evaluation may take 300 s, there are two, and a run ends some seconds late.
PATIENCE_SECONDS, OUR_PATIENCE_SECONDS = 900.0, 3600.0
NUMBERS, PAGE = ROOT / "docs" / "side-by-side.json", ROOT / "docs" / "side-by-side.md"
RUNS = ROOT / "build" / "side-by-side"
OURS = "fastpong"


@dataclass(frozen=True)
class Contender:
    """A program, what it imports, and the ways in which it may run."""

    title: str
    script: str
    modules: tuple[str, ...]
    ways: tuple[tuple[str, ...], ...]

    def missing(self) -> list[str]:
        return [name for name in self.modules if find_spec(name) is None]


THREADS: tuple[tuple[str, ...], ...] = ((), ("--threads", "1"))
VECS: tuple[tuple[str, ...], ...] = ((), ("--vec", "fork"))
CONTENDERS = {
    "sb3": Contender(
        "Stable-Baselines3", "contenders/sb3_ppo.py", ("torch", "stable_baselines3", "cv2"),
        tuple((*vec, *threads) for vec in VECS for threads in THREADS),
    ),
    "cleanrl": Contender("CleanRL-style", "contenders/cleanrl_ppo.py", ("torch",), THREADS),
}  # fmt: skip


# Asked for once: the files written here are tracked, and would make the checkout look changed.
commit_at_start = functools.cache(commit)

# --- running ------------------------------------------------------------------------------------


def circumstances() -> dict[str, Any]:
    """Return when and in what state of the machine a run begins."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"date": now, "commit": commit_at_start(), "load": round(os.getloadavg()[0], 2)}


def run(
    it: Contender, env: str, seed: int, seconds: float, options: Iterable[str]
) -> dict[str, Any]:
    """Run a contender in a process of its own; return what it wrote."""
    output = RUNS / f"{Path(it.script).stem}.json"
    output.unlink(missing_ok=True)
    command = [sys.executable, str(HERE / it.script), "--env-variant", env, "--seed", str(seed)]
    command += ["--seconds", f"{seconds:g}", "--output", str(output), *options]
    facts = circumstances()
    subprocess.run(command, check=True, timeout=seconds + PATIENCE_SECONDS, env=plain_environment())
    found: dict[str, Any] = json.loads(output.read_text())
    return facts | {"title": it.title} | found


def quickest(it: Contender, env: str) -> dict[str, Any]:
    """Try all ways of a contender; return the one with the most steps, and the rates of all."""
    rates = {}
    for way in it.ways:
        print(f"{it.title}: trying {' '.join(way) or 'its defaults'}", flush=True)
        tried = run(it, env, 1, TRIAL_SECONDS, (*way, "--games", "0"))
        rates[way] = tried["steps"] / tried["wall"]
    best = max(rates, key=lambda way: rates[way])
    return {"way": list(best), "rates": {" ".join(way): rate for way, rate in rates.items()}}


def ours(env: str, seed: int) -> dict[str, Any]:
    """Train fastpong until it is good; return what the others return.

    CPU time is the run's own count. The system's for ended children (RUSAGE_CHILDREN) misses the
    workers, whose parent is a fork server: it said 1.8 s where the run said 19.5.
    """
    home = RUNS / f"{OURS}-{env.replace('/', '-')}-{seed}"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    command = [*fastpong_command(), "train", "--agent", "ppo", "--env", env, "--seed", str(seed)]
    command += ["--until", str(GOAL), "--episodes", str(MOST_GAMES), "--run-dir", str(home / "run")]
    facts, start = circumstances(), time.perf_counter()
    with (home / "progress.txt").open("wb") as output:
        subprocess.run(
            command, check=True, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, env=plain_environment(), timeout=OUR_PATIENCE_SECONDS,
        )  # fmt: skip
    wall = time.perf_counter() - start
    last = max((home / "run" / "checkpoints").glob("*.json"), key=episode)
    counters = json.loads(last.read_bytes())["counters"]
    curve = our_curve(home / "run" / "metrics.csv")
    return facts | {
        "title": OURS,
        "env": env,
        "seed": seed,
        "seconds": None,
        "settings": f"`--agent ppo --until {GOAL}`",
        "wall": wall,
        "cpu": counters["cpu_seconds"],
        "steps": counters["total_steps"],
        "frames": counters["total_frames"],
        "games": len(curve),
        "recent": curve[-1][2],
        "sampled": judged(last, False),
        "greedy": judged(last, True),
        "curve": curve,
    }


def episode(manifest: Path) -> int:
    found: int = json.loads(manifest.read_bytes())["counters"]["episode"]
    return found


def judged(path: Path, greedy: bool) -> dict[str, float]:
    games = time_to_solve.GAMES
    return time_to_solve.judge(path, greedy) | {"games": games, "finished": games}


def our_curve(metrics: Path) -> list[tuple[float, int, float]]:
    """Return (wall seconds, frames, mean of the last games) of every game."""
    with metrics.open(newline="") as file:
        rows = list(csv.DictReader(file))
    scores = [float(row["return"]) for row in rows]
    return [
        (
            round(float(row["wall_seconds"]), 2),
            int(row["total_frames"]),
            statistics.fmean(scores[max(0, k + 1 - RECENT) : k + 1]),
        )
        for k, row in enumerate(rows)
    ]


def median_wall(env: str) -> float | None:
    """Return our median wall time to the goal, if it has been measured and was reached."""
    path = time_to_solve.NUMBERS
    seeds = json.loads(path.read_text()).get(env, {}) if path.exists() else {}
    planned = time_to_solve.planned(env, seeds)
    found = [entry["goals"][str(GOAL)] for _, entry in planned if "goals" in entry]
    middle = statistics.median([point["wall"] if point else math.inf for point in found or [None]])
    return middle if math.isfinite(middle) else None


def measure(env: str, seed: int, given: float | None, numbers: dict[str, Any]) -> None:
    """Run whoever has not yet run for so long."""
    done = numbers.setdefault("runs", {}).setdefault(env, {}).setdefault(str(seed), {})
    if OURS not in done:
        print(f"{OURS}: {env}, seed {seed}", flush=True)
        done[OURS] = ours(env, seed)
        write(numbers)
    wall = median_wall(env) or done[OURS]["wall"]
    seconds = given or max(LEAST_SECONDS, 10.0 * math.ceil(TIMES * wall / 10))
    for name, it in CONTENDERS.items():
        if missing := it.missing():
            print(f"{it.title}: left out, not installed: {', '.join(missing)}", flush=True)
            continue
        if name in done and done[name]["seconds"] >= seconds:
            continue
        choices = numbers.setdefault("choices", {})
        if name not in choices:
            choices[name] = quickest(it, env)
            write(numbers)
        print(f"{it.title}: {env}, seed {seed}, {seconds:.0f} s", flush=True)
        done[name] = run(it, env, seed, seconds, choices[name]["way"])
        write(numbers)


# --- writing ------------------------------------------------------------------------------------


def write(numbers: dict[str, Any]) -> None:
    """Write what has been measured so far, and the document."""
    NUMBERS.write_text(json.dumps(numbers, indent=1) + "\n")
    PAGE.write_text(page(numbers).rstrip() + "\n")


def page(numbers: dict[str, Any]) -> str:
    """Return the document."""
    lines = [
        "# Side by side", "",
        "Written by `python benchmarks/side_by_side.py`, which says how it is measured; edit that "
        "and not this file.", "",
        f"fastpong trained until the mean of its last {RECENT} games was {GOAL}, the others for a "
        "given wall time. Imports are included, evaluations are off the clock. The settings of the "
        "others are those published for all Atari games, made for ten million steps; "
        "fastpong's were found on Pong. So this compares what one gets, and not one algorithm with "
        "another.", "",
        *table(["measured on", ""], [[*x] for x in machine(numbers).items()]), "",
    ]  # fmt: skip
    for env, seeds in numbers.get("runs", {}).items():
        rows = [row(seed, found) for seed, runs in seeds.items() for found in runs.values()]
        header = [
            "who", "settings", "seed", "wall time", "core-minutes", "frames", "frames/s",
            f"last {RECENT} games", "sampled (games)", "greedy (games)", "commit",
        ]  # fmt: skip
        lines += [f"## {env}", "", *table(header, rows), ""]
    if numbers.get("choices"):
        lines += ["## How the others ran", "", *ways(numbers["choices"]), ""]
    return "\n".join(lines)


def machine(numbers: dict[str, Any]) -> dict[str, str]:
    """Return the environment, with the versions that the contenders named."""
    found = environment()
    for seeds in numbers.get("runs", {}).values():
        for runs in seeds.values():
            for it in runs.values():
                found |= it.get("versions", {})
    return found


def row(seed: str, found: dict[str, Any]) -> list[str]:
    recent = "no game over" if found["recent"] is None else f"{found['recent']:+.2f}"
    return [
        found["title"], found["settings"], seed, f"{found['wall']:.0f} s",
        f"{found['cpu'] / 60:.2f}", f"{found['frames'] / 1e6:.2f} M",
        f"{found['frames'] / found['wall']:,.0f}", recent,
        played(found["sampled"]), played(found["greedy"]), f"`{found['commit'][:10]}`",
    ]  # fmt: skip


def played(found: dict[str, float]) -> str:
    """Return an evaluation's mean; games that were stopped are named."""
    stopped = found["games"] - found["finished"]
    note = f", {stopped:.0f} stopped" if stopped else ""
    return f"{found['mean']:+.2f} ({found['games']:.0f}{note})"


def ways(choices: dict[str, Any]) -> list[str]:
    """Return the table of the ways that were tried."""
    rows = [
        [
            CONTENDERS[name].title,
            f"`{way}`" if way else "its defaults",
            f"{rate:,.0f}",
            "yes" if way.split() == choice["way"] else "",
        ]
        for name, choice in choices.items()
        for way, rate in choice["rates"].items()
    ]
    header = ["who", "options", "steps/s, start included", "taken"]
    return [f"Each way was tried for {TRIAL_SECONDS:.0f} s.", "", *table(header, rows)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=f"of {', '.join(STICKY)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--seconds", type=float, help="of each contender")
    given = parser.parse_args()
    for env in given.variants:
        if env not in STICKY:
            parser.error(f"expected a variant of {', '.join(STICKY)}, got {env}")
    RUNS.mkdir(parents=True, exist_ok=True)
    numbers = json.loads(NUMBERS.read_text()) if NUMBERS.exists() else {}
    for env in given.variants or ["PongDeterministic-v4"]:
        for seed in given.seeds:
            measure(env, seed, given.seconds, numbers)
    if numbers:
        write(numbers)


if __name__ == "__main__":
    main()

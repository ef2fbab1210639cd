"""How long `fastpong train` takes from the command typed to an agent that plays well.

    python benchmarks/time_to_solve.py                 both variants, several hours
    python benchmarks/time_to_solve.py ALE/Pong-v5 --seeds 3001 3002

Training runs alone, as a person types it, with frequent checkpoints, all of which are kept; what a
checkpoint has cost is what its own counters say, and the wall time from the start of the command to
the moment at which it was on disk. Afterwards checkpoints are evaluated, over 100 games that are
none of training's: for each goal those whose training games came near, one after the other, until
one reaches it. One whose first 20 games stay too far below is not looked at further. The seeds are
none that a trial of settings has used.

Resumable: what is measured stands in docs/time-to-solve.json, runs in build/time-to-solve. A
training run that was interrupted is begun anew, since its time must be of one piece; so is one with
other options or another recipe. That an agent's default has changed is not noticed: delete the runs
then. Nothing else should run on the machine while it trains. Writes docs/time-to-solve.md and .png.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import ROOT, fastpong_command, plain_environment
from results import commit, environment, table
from time_to_goal import ninth, seconds

from fastpong.recipes import load
from fastpong.settings.config import available_cores, default_backend
from fastpong.storage import checkpoint, files
from fastpong.training.evaluation import evaluate, restore

GOALS = (0, 18, 20)
GAMES, FIRST_GAMES, EVALUATION_SEED = 100, 20, 1
# A checkpoint is worth evaluating when its last training games came near to a goal (see Plan), and
# worth going on with when its first games did.
LAST, FAR = 16, 1.0
NUMBERS, PAGE = ROOT / "docs" / "time-to-solve.json", ROOT / "docs" / "time-to-solve.md"
RUNS = ROOT / "build" / "time-to-solve"


@dataclass(frozen=True)
class Plan:
    """How a variant is trained, and for how many core-minutes at most.

    recipe, options : what it is trained with, and what overrides the recipe
    seeds  : that no trial of settings has used
    target : of the median, in seconds of wall time
    near   : how far training's games may stay below a goal; averaged weights play better than the
             newest, and fewer of the actions by values are blind than in training
    """

    recipe: str
    options: str
    seeds: range
    core_minutes: float
    target: dict[int, float]
    near: dict[int, float]
    note: str = ""


VARIANTS = {
    "PongDeterministic-v4": Plan(
        "pong",
        "--until 20.5 --save-every 8",
        range(2001, 2021),
        4,
        {0: 5, 18: 12, 20: 30},
        {0: 6, 18: 3, 20: 2.5},
        "Games of the evaluation are drawn from the policy.",
    ),
    "ALE/Pong-v5": Plan(
        "pong-sticky",
        "--until 20 --save-every 20",
        range(3001, 3011),
        16,
        {0: 25, 18: 150, 20: 300},
        {0: 6, 18: 2, 20: 2},
        "An action is played for four frames, the variant's number, up to 400,000 steps, then "
        "for two, and from 1.5 million on for one: gymnasium's `frameskip` 4, 2 and 1, sticky all "
        "the time. From 3.25 million on the policy itself is learned, by PPO. Games of the "
        "evaluation are played with as many frames as training's at that stage. Where the policy "
        "is learned they are drawn from it; before, the better action is played, but one in a "
        "thousand is drawn blindly. The run ends with its recipe, or at 16 core-minutes.",
    ),
}


@dataclass(frozen=True)
class Saved:
    """A checkpoint that was kept, and what it had cost: seconds, frames, steps."""

    path: Path
    episode: int
    wall: float
    cpu: float
    frames: int
    steps: int
    recent: float


# --- training -----------------------------------------------------------------------------------


def home_of(env: str, seed: int) -> Path:
    """Return where a run and all its checkpoints are kept."""
    return RUNS / f"{env.replace('/', '-')}-{seed}"


def arguments(env: str, seed: int) -> list[str]:
    """Return those of the command that trains."""
    plan, where = VARIANTS[env], (home_of(env, seed) / "run").relative_to(ROOT)
    return [
        *("train", "--recipe", plan.recipe, "--seed", str(seed)),
        *("--run-dir", str(where), *shlex.split(plan.options)),
    ]


def is_current(found: dict[str, Any], env: str, seed: int) -> bool:
    """Return whether a run was made with today's command and recipe."""
    settings = load(VARIANTS[env].recipe).values
    return found["command"] == arguments(env, seed) and found.get("settings") == settings


def train(env: str, seed: int, plan: Plan) -> Path:
    """Train, unless that is done, keeping all checkpoints; return the run's directory."""
    home = home_of(env, seed)
    command = arguments(env, seed)
    if (home / "done.json").exists() and is_current(facts(home), env, seed):
        return home
    shutil.rmtree(home, ignore_errors=True)
    (home / "kept").mkdir(parents=True)
    expected, known = 0, {"began": time.time(), "commit": commit(), "load": os.getloadavg()[0]}
    with (home / "progress.txt").open("wb") as output:
        process = subprocess.Popen(
            [*fastpong_command(), *command], stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, env=plain_environment(), cwd=ROOT,
        )  # fmt: skip
        try:
            while process.poll() is None:
                keep(home)
                time.sleep(0.1)
                if spent(home) > 60 * plan.core_minutes:
                    expected = 128 + signal.SIGTERM
                    break
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(20)
    keep(home)
    if process.returncode != expected:
        raise RuntimeError(f"training failed:\n{(home / 'progress.txt').read_text()[-2000:]}")
    known |= {"command": command, "settings": load(plan.recipe).values}
    (home / "done.json").write_text(json.dumps(known))
    return home


def spent(home: Path) -> float:
    """Return the CPU time that a run had cost when its last game ended, in seconds."""
    metrics = home / "run" / "metrics.csv"
    lines = metrics.read_text().split("\n")[:-1] if metrics.exists() else []  # only whole ones
    if len(lines) < 2:
        return 0.0
    return float(lines[-1].split(",")[lines[0].split(",").index("cpu_seconds")])


def facts(home: Path) -> dict[str, Any]:
    """Return when and how a run was made."""
    found: dict[str, Any] = json.loads((home / "done.json").read_text())
    return found


def keep(home: Path) -> None:
    """Link the checkpoints there are to where the run does not delete them."""
    for manifest in (home / "run" / "checkpoints").glob("*.json"):
        target = home / "kept" / manifest.name
        if not target.exists():
            with contextlib.suppress(OSError, ValueError):  # it may vanish while we look
                data = json.loads(manifest.read_bytes())["data"]["file"]
                (home / "kept" / data).hardlink_to(manifest.with_name(data))
                target.hardlink_to(manifest)


def saved(home: Path) -> list[Saved]:
    """Return the checkpoints kept, in order."""
    began = facts(home)["began"]
    found = []
    for path in sorted((home / "kept").glob("*.json")):
        counters = json.loads(path.read_bytes())["counters"]
        recent = counters["recent"][-LAST:]
        if recent:
            found.append(
                Saved(path, counters["episode"], path.stat().st_mtime - began,
                      counters["cpu_seconds"], counters["total_frames"],
                      counters["total_steps"], statistics.fmean(recent))
            )  # fmt: skip
    return found


# --- evaluation ---------------------------------------------------------------------------------


def judge(path: Path, greedy: bool, goal: float = -21.0) -> dict[str, float]:
    """Return mean and deviation of 100 games, and the share won.

    Of a checkpoint that is too far from the goal only the first games are played.
    """
    player, parameters = restore(
        checkpoint.load(path), default_backend(), seed=EVALUATION_SEED, greedy=greedy
    )
    scores: list[float] = []
    for game in evaluate(player, parameters, episodes=GAMES, workers=available_cores()):
        scores.append(game.score)
        if len(scores) == FIRST_GAMES and statistics.fmean(scores) < goal - FAR:
            break
    return {
        "mean": statistics.fmean(scores),
        "deviation": statistics.pstdev(scores),
        "wins": sum(score > 0 for score in scores) / len(scores),
        "games": len(scores),
    }


Judge = Callable[..., dict[str, float]]


def search(home: Path, means: Judge, near: dict[int, float]) -> dict[str, Any]:
    """Return for every goal the first checkpoint that reaches it, of those near, and the last."""
    points = saved(home)
    goals: dict[str, Any] = {}
    for goal in GOALS:
        goals[str(goal)] = None
        for point in points:
            if point.recent >= goal - near[goal]:
                found = means(point.path, False, goal)
                if reaches(found, goal):
                    goals[str(goal)] = cost(point) | {"sampled": found}
                    break
    last = points[-1]
    both = {"sampled": means(last.path, False), "greedy": means(last.path, True)}
    return {"goals": goals, "last": cost(last) | both}


def reaches(found: dict[str, float], goal: float) -> bool:
    return found["games"] == GAMES and found["mean"] >= goal


def cost(point: Saved) -> dict[str, Any]:
    """Return what a checkpoint had cost."""
    return {
        "episode": point.episode,
        "wall": point.wall,
        "cpu": point.cpu,
        "frames": point.frames,
        "steps": point.steps,
    }


def measure(env: str, seed: int, numbers: dict[str, Any]) -> None:
    """Train and evaluate one seed, noting every evaluation at once."""
    home = train(env, seed, VARIANTS[env])
    entry = numbers.setdefault(env, {}).get(str(seed), {})
    if entry.get("facts") != facts(home):  # what was measured is of another run
        entry = {"facts": facts(home), "evaluations": {}}
    numbers[env][str(seed)] = entry
    done = entry["evaluations"]

    def means(path: Path, greedy: bool, goal: float = -21.0) -> dict[str, float]:
        key = f"{path.stem}{'-greedy' if greedy else ''}"
        if key not in done or (done[key]["games"] < GAMES and done[key]["mean"] >= goal - FAR):
            done[key] = judge(path, greedy, goal)
            print(f"  {env} seed {seed} {key}: {done[key]['mean']:+.2f}", flush=True)
            write(numbers)
        found: dict[str, float] = done[key]
        return found

    entry |= search(home, means, VARIANTS[env].near)
    entry["curve"] = curve(home)
    write(numbers)


def curve(home: Path) -> list[list[float]]:
    """Return (wall seconds, mean of the last 40 games) of every fourth game."""
    lines = (home / "run" / "metrics.csv").read_text().splitlines()
    names = lines[0].split(",")
    rows = [dict(zip(names, line.split(","), strict=True)) for line in lines[1:]]
    scores = [float(row["return"]) for row in rows]
    return [
        [round(float(row["wall_seconds"]), 2), statistics.fmean(scores[max(0, k - 39) : k + 1])]
        for k, row in enumerate(rows)
        if k % 4 == 3
    ]


# --- writing ------------------------------------------------------------------------------------


def write(numbers: dict[str, Any]) -> None:
    """Write what has been measured so far, a line for each seed.

    Where that fails the file stays as it was.
    """
    variants = (
        f"{json.dumps(env)}: {{\n"
        + ",\n".join(f"{json.dumps(seed)}: {json.dumps(entry)}" for seed, entry in seeds.items())
        + "\n}"
        for env, seeds in numbers.items()
    )
    files.write_atomically(NUMBERS, ("{" + ",\n".join(variants) + "}\n").encode())


def page(numbers: dict[str, Any]) -> str:
    """Return the document."""
    lines = [
        "# Time to solve", "",
        "Written by `python benchmarks/time_to_solve.py`, which says how it is measured; edit that "
        "and not this file.", "",
        *table(["measured on", ""], [[*x] for x in environment().items()]), "",
        "![Mean score of the last 40 training games](time-to-solve.png)", "",
    ]  # fmt: skip
    for env, seeds in numbers.items():
        whole = {seed: entry for seed, entry in planned(env, seeds) if "goals" in entry}
        if whole:
            plan = VARIANTS[env]
            command = f"fastpong train --recipe {plan.recipe} {plan.options}"
            lines += [
                f"## {env}",
                "",
                f"`{command}`",
                "",
                *paragraph(plan.note),
                *medians(env, whole),
                "",
                *each(whole),
                "",
            ]
    return "\n".join(lines)


def paragraph(text: str) -> list[str]:
    return [text, ""] if text else []


def planned(env: str, seeds: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Return the seeds that were trained as it is planned now."""
    for seed, entry in sorted(seeds.items(), key=lambda item: int(item[0])):
        if is_current(entry["facts"], env, int(seed)):
            yield seed, entry


def medians(env: str, seeds: dict[str, Any]) -> Iterator[str]:
    """Return the table of medians over the seeds; a goal that was not reached is infinitely far."""
    rows = []
    for goal in GOALS:
        found = [entry["goals"][str(goal)] for entry in seeds.values()]
        far = float("inf")

        def all_of(name: str, found: list[Any] = found, far: float = far) -> list[float]:
            return [point[name] if point else far for point in found]

        target = VARIANTS[env].target.get(goal)
        middle = statistics.median(all_of("wall"))
        rows.append([
            f"mean >= {goal}", f"{sum(p is not None for p in found)} of {len(found)}",
            seconds(middle), seconds(ninth(all_of("wall"))),
            f"{target:g} s" if target else "",
            "" if middle == far else f"{statistics.median(all_of('cpu')) / 60:.2f}",
            "" if middle == far else f"{statistics.median(all_of('frames')) / 1e6:.2f} M",
        ])  # fmt: skip
    header = ["over 100 games", "seeds", "median of wall time", "nine of ten within",
              "target of the median", "core-minutes", "frames"]  # fmt: skip
    yield f"Medians of {len(seeds)} seeds:"
    yield ""
    yield from table(header, rows)


def each(seeds: dict[str, Any]) -> Iterator[str]:
    """Return the table of all seeds, goal by goal, and how well they play in the end."""
    rows = []
    for seed, entry in seeds.items():
        points = [*entry["goals"].items(), ("the end", entry["last"])]
        rows += [
            [
                seed, goal, seconds(p["wall"]), f"{p['cpu'] / 60:.2f}",
                f"{p['frames'] / 1e6:.2f} M", f"{p['episode']:,}",
                f"{p['sampled']['mean']:+.2f}",
                f"{p['greedy']['mean']:+.2f}" if "greedy" in p else "",
            ]
            for goal, p in points
            if p
        ]  # fmt: skip
    header = ["seed", "goal", "wall time", "core-minutes", "frames", "games", "mean", "greedy"]
    yield "Each seed, at the first checkpoint found to reach the goal:"
    yield ""
    yield from table(header, rows)


def draw(numbers: dict[str, Any]) -> None:
    """Draw the curves of all seeds, a panel for each variant."""
    from matplotlib.figure import Figure

    curves = {
        env: [entry["curve"] for _, entry in planned(env, seeds) if "curve" in entry]
        for env, seeds in numbers.items()
    }
    shown = {env: lines for env, lines in curves.items() if lines}
    figure = Figure(figsize=(8.0, 3.6 * len(shown)), layout="constrained")
    panels = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
    for axes, (env, lines) in zip(panels, shown.items(), strict=True):
        for line in lines:
            axes.plot(*zip(*line, strict=True), color="C0", alpha=0.6, linewidth=1.2)
        for goal in GOALS:
            axes.axhline(goal, color="0.7", linewidth=0.7, zorder=0)
        axes.set(title=f"{env}, {len(lines)} seeds", xlabel="wall time, seconds",
                 ylabel="mean of the last 40 games", ylim=(-21.5, 21.5))  # fmt: skip
    figure.savefig(PAGE.with_suffix(".png"), dpi=140)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=f"of {', '.join(VARIANTS)}")
    parser.add_argument("--seeds", nargs="+", type=int, help="instead of the variant's own")
    parser.add_argument("--limit", type=float, default=float("inf"), metavar="MINUTES",
                        help="minutes after which no seed begins")  # fmt: skip
    parser.add_argument("--train-only", action="store_true", help="evaluate later, when all is run")
    given = parser.parse_args()
    found = json.loads(NUMBERS.read_text()) if NUMBERS.exists() else {}
    numbers = {env: dict(planned(env, seeds)) for env, seeds in found.items()}
    if unknown := set(given.variants) - set(VARIANTS):
        parser.error(
            f"expected variants of {', '.join(VARIANTS)}, got {', '.join(sorted(unknown))}"
        )
    began = time.monotonic()
    for env in given.variants or VARIANTS:
        for seed in given.seeds or VARIANTS[env].seeds:
            if time.monotonic() - began > 60 * given.limit:
                return
            if given.train_only:
                train(env, seed, VARIANTS[env])
                continue
            measure(env, seed, numbers)
            PAGE.write_text(page(numbers).rstrip() + "\n")
            draw(numbers)


if __name__ == "__main__":
    main()

"""Play Pong on ale-py and on the console, compare every step, and write docs/lockstep.md.

    python benchmarks/lockstep.py                    2,016 seeds of 10,000 frames, 20 minutes of CPU
    python benchmarks/lockstep.py --seeds 20         a short one
    python benchmarks/lockstep.py --report           only write what has been played so far

A seed decides policy, environment and every action. What each has found is appended to
build/lockstep.jsonl, so Ctrl-C loses no more than the seeds being played, and the same command goes
on. The trained agent is that of --run, or `fastpong train --recipe pong` is run first.

A difference is printed and recorded, and the other seeds are played all the same. Exit status 1.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from measure import ROOT
from results import commit, environment, table
from shared import load

from fastpong.console.lockstep import Difference, Lockstep
from fastpong.envs.ale import AleMachine
from fastpong.envs.draws import TRAIN, uniforms
from fastpong.envs.variants import VARIANTS
from fastpong.settings.config import available_cores, default_backend

players, consoles = load("players"), load("consoles")

AGENT = "trained agent"
POLICIES = (*players.PLAYERS, AGENT)
ENVIRONMENTS = tuple(VARIANTS)
SEEDS = 2016
FRAMES = 10_000
WHOLE = 100
"""Seeds that play their last game to its end. The others stop at FRAMES."""

MAX_FRAMES = 108_000

NOTHING = {"frames": 0, "compared": 0, "games": 0, "won": 0, "lost": 0, "longest": 0}
"""What a seed has met before it is played."""


# --- one seed -----------------------------------------------------------------------------------


@cache
def lockstep() -> Lockstep:
    """Return this process's games, on ALE and on every console."""
    return consoles.pong(MAX_FRAMES)


def play_seed(seed: int, frames: int, run: Path) -> dict[str, Any]:
    """Play a seed and return what it met, plain data."""
    policy = POLICIES[seed % len(POLICIES)]
    env = ENVIRONMENTS[seed // len(POLICIES) % len(ENVIRONMENTS)]
    found: dict[str, Any] = {
        "seed": seed, "policy": policy, "env": env, **NOTHING, "differences": [],
    }  # fmt: skip
    try:
        if policy == AGENT:
            play_agent(found, frames, run)
        else:
            play_player(found, frames)
    except Difference as error:
        found["differences"].append({"frame": error.frame, "text": str(error)})
    return found


def play_player(found: dict[str, Any], frames: int) -> None:
    """Play a policy of tests/support/players.py."""
    game, seed = lockstep(), found["seed"]
    act = players.PLAYERS[found["policy"]](random.Random(seed))
    step = players.variant_frames(VARIANTS[found["env"]], act, uniforms(seed, TRAIN, 0))
    whole = seed < WHOLE
    while found["frames"] < frames:
        step(None)
        game.reset()
        while not game.over and (whole or found["frames"] < frames):
            actions = step(game.ram)
            note(found, game, game.step(actions), len(actions))


def note(found: dict[str, Any], game: Lockstep, reward: int, frames: int) -> None:
    """Count a step."""
    found["frames"] += frames
    found["compared"] += 1
    found["won" if reward > 0 else "lost"] += abs(reward)
    found["longest"] = max(found["longest"], game.ale.getEpisodeFrameNumber())
    found["games"] += game.over


class ComparedMachine(AleMachine):
    """ALE as a machine, with the consoles beside it."""

    def __init__(self, game: str, kind: str, max_frames: int) -> None:
        self.lockstep: Lockstep | None = None
        super().__init__(game, max_frames)
        self.lockstep = Lockstep(self.ale, consoles.consoles(max_frames))

    def reset_game(self) -> None:
        super().reset_game()
        if self.lockstep:
            for console in self.lockstep.consoles.values():
                console.reset_game()

    def play(self, actions: bytes | bytearray) -> int:
        if not actions or self.lockstep is None:
            return super().play(actions)
        self._at_start = False
        reward = self.lockstep.step(list(actions))
        note(COUNTED, self.lockstep, reward, len(actions))
        return reward


COUNTED: dict[str, Any] = dict(NOTHING)
"""What the agent's seed being played has met."""


@cache
def agent(run: Path, env: str) -> Any:
    """Return ``play(episode)`` of a run's agent in an environment."""
    from fastpong.agents.protocol import Chance
    from fastpong.envs.draws import EVAL
    from fastpong.runtime.pool import Task
    from fastpong.storage import checkpoint
    from fastpong.training.evaluation import restore
    from fastpong.training.players import make_player

    found, _ = checkpoint.newest(run / "checkpoints")
    player, parameters = restore(found, default_backend(), env=env, seed=1)
    chance = Chance(player.seed, EVAL, player.greedy)
    stages = (player.env, player.stages, player.backend, player.dtype)
    with patch("fastpong.envs.emulator.load_machine", ComparedMachine):
        play = make_player(*stages, chance, player.stage, "ale")
        play(Task(0, version=0), parameters)
    return lambda number: play(Task(number, version=0), parameters)


def play_agent(found: dict[str, Any], frames: int, run: Path) -> None:
    """Play whole games of a trained agent."""
    play = agent(run, found["env"])
    COUNTED.clear()
    COUNTED.update(found)
    try:
        number = 1000 * found["seed"]
        while COUNTED["frames"] < frames:
            number += 1
            play(number)
    finally:
        found.update(COUNTED)


# --- all seeds ----------------------------------------------------------------------------------


def read(path: Path) -> dict[int, dict[str, Any]]:
    """Return what was played, by seed. A line that was cut off is left out."""
    found = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            result = json.loads(line)
        except ValueError:
            continue
        found[result["seed"]] = result
    return found


def play_all(seeds: Iterable[int], frames: int, run: Path, workers: int) -> Iterator[dict]:
    """Play seeds in processes of their own and yield what they find."""
    with ProcessPoolExecutor(workers) as pool:
        tasks = [pool.submit(play_seed, seed, frames, run) for seed in seeds]
        try:
            for task in as_completed(tasks):
                yield task.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def train(run: Path) -> None:
    """Train the agent, unless it is there."""
    if (run / "checkpoints").is_dir():
        return
    print(f"training the agent into {run} ...", flush=True)
    command = [sys.executable, "-m", "fastpong", "train", "--recipe", "pong", "--run-dir", str(run)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


# --- the document -------------------------------------------------------------------------------

HEADING = """\
# Lockstep

Written by `python benchmarks/lockstep.py`. Edit the script and not this file.

Pong is played with the same actions on ale-py and on fastpong's console, by its interpreter and, on
Linux on x86-64, by its translated code. After every step RAM, screen, reward, ends, lives and the
episode's frame number are compared. A step has as many frames as the environment's frame skip.
"""


COLUMNS = ["seeds", "frames", "steps compared", "games", "won", "lost", "longest game"]


def rows_by(found: Iterable[Mapping[str, Any]], key: str) -> list[list[str]]:
    """Return a row of the table for every policy or environment."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for result in found:
        groups.setdefault(result[key], []).append(result)
    rows = []
    for name in sorted(groups):
        # Points won and lost.
        counts = [
            len(groups[name]),
            *(sum(r[k] for r in groups[name]) for k in ("frames", "compared", "games")),
            *(sum(r[k] for r in groups[name]) for k in ("won", "lost")),
            max(r["longest"] for r in groups[name]),
        ]
        rows.append([name, *(f"{count:,}" for count in counts)])
    return rows


def document(found: list[Mapping[str, Any]], about: Mapping[str, Any]) -> str:
    """Return lockstep.md."""
    bad = [(result, d) for result in found for d in result["differences"]]
    frames, policies = sum(r["frames"] for r in found), {r["policy"] for r in found}
    lines = [
        HEADING,
        f"**{frames:,} frames over {len(found):,} seeds and {len(policies)} policies: "
        f"{len(bad)} differences.** Compared with ale-py: {' and '.join(about['consoles'])}.",
        "",
    ]
    if bad:
        rows = [[str(r["seed"]), r["policy"], r["env"], d["text"]] for r, d in bad]
        lines += [*table(["seed", "policy", "environment", "difference"], rows), ""]
    lines += [*table(["policy", *COLUMNS], rows_by(found, "policy")), ""]
    lines += [*table(["environment", *COLUMNS], rows_by(found, "env")), ""]
    lines += table(["measured on", ""], [[*pair] for pair in about["environment"].items()])
    lines += ["", f"Finished {about['date']} at commit `{about['commit']}`."]
    return "\n".join(lines) + "\n"


def write(output: Path, results: Mapping[int, Mapping[str, Any]]) -> None:
    """Write the document and its numbers."""
    found = [results[seed] for seed in sorted(results)]
    about = {
        "consoles": list(consoles.CONSOLES),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "environment": environment(),
    }
    output.write_text(document(found, about))
    by = {"policies": rows_by(found, "policy"), "environments": rows_by(found, "env")}
    bad = [result for result in found if result["differences"]]
    numbers = {"frames": sum(r["frames"] for r in found), "seeds": len(found), "differences": bad}
    text = json.dumps({**about, **numbers, "columns": COLUMNS, **by}, indent=1)
    output.with_suffix(".json").write_text(text + "\n")
    print(f"wrote {output}: {numbers['frames']:,} frames, {len(bad)} seeds with differences")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--frames", type=int, default=FRAMES, help="of each seed, at least")
    parser.add_argument("--workers", type=int, default=available_cores())
    parser.add_argument("--run", type=Path, default=ROOT / "build" / "lockstep" / "run")
    parser.add_argument("--log", type=Path, default=ROOT / "build" / "lockstep" / "seeds.jsonl")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "lockstep.md")
    parser.add_argument("--report", action="store_true", help="play nothing, write the document")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    given.log.parent.mkdir(parents=True, exist_ok=True)
    results = read(given.log)
    remaining = [] if given.report else [s for s in range(given.seeds) if s not in results]
    if remaining:
        train(given.run)
    try:
        with given.log.open("a") as log:
            for result in play_all(remaining, given.frames, given.run, given.workers):
                results[result["seed"]] = result
                log.write(json.dumps(result) + "\n")
                log.flush()
                for difference in result["differences"]:
                    print(f"seed {result['seed']}, {result['policy']}: {difference['text']}")
                if len(results) % 50 == 0:
                    played = sum(r["frames"] for r in results.values())
                    print(f"{len(results):,} seeds, {played:,} frames", flush=True)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on", flush=True)
    if results:
        write(given.output, results)
    return int(any(result["differences"] for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())

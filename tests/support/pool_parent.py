"""A parent to be killed or interrupted: python pool_parent.py METHOD VERB DIRECTORY."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pool_players

from fastpong.runtime.pool import Pool, Task
from fastpong.runtime.sharedmem import SharedArrays
from fastpong.runtime.signals import STOPS


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def main(method: str, verb: str, directory: Path) -> None:
    interrupts: list[int] = []
    for number in STOPS:
        signal.signal(number, lambda number, frame: interrupts.append(number))
    say(handler="installed")
    weights = SharedArrays({"w": (1,)}, np.float64, 1)
    with Pool(
        pool_players.make_player, (directory,), weights, workers=2, start_method=method
    ) as pool:
        say(pids=pool.pids)
        pool.publish(0, {"w": np.zeros(1)})
        tasks = 0 if verb == "idle" else 4
        for number in range(tasks):
            pool.submit(Task(number, 0, (verb,)))
        results = {}
        deadline = time.monotonic() + 30
        while len(results) < max(tasks, 1) and time.monotonic() < deadline:
            results.update((task.number, result) for task, result in pool.collect(0.05))
        say(results=results, restarts=pool.restarts, interrupts=len(interrupts))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))

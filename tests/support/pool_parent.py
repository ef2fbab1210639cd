"""A parent to be killed or interrupted: python pool_parent.py METHOD VERB DIRECTORY.

VERB is that of four tasks, or idle: after four answers it goes on with nothing to do.
"""

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
    def hear(number: int, frame: object) -> None:
        with (directory / "interrupts").open("a") as file:
            file.write("!")

    for number in STOPS:
        signal.signal(number, hear)
    say(handler="installed")
    weights = SharedArrays({"w": (1,)}, np.float64, 1)
    with Pool(
        pool_players.make_player, (directory,), weights, workers=2, start_method=method
    ) as pool:
        say(pids=pool.pids)
        pool.publish(0, {"w": np.zeros(1)})
        for number in range(4):
            pool.submit(Task(number, 0, ("answer" if verb == "idle" else verb,)))
        results: dict[int, float] = {}
        while len(results) < 4:
            results.update((task.number, result) for task, result in pool.collect(0.05))
        heard = pool_players.interrupts(directory)
        say(results=results, restarts=pool.restarts, interrupts=heard)
        if verb == "idle":
            time.sleep(pool_players.ENDLESS)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))

"""Claim e: how soon one can begin, with the kernels alone and with a training run."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cases.recorded import record
from measure import (
    Effort,
    Figure,
    Report,
    alternate,
    differences,
    fastpong_command,
    figure,
    plain_environment,
    seconds_of,
)

# rounds of imports, rounds of commands
PLAN = {"quick": (1, 1), "normal": (5, 3), "full": (21, 9)}
HEAVY = ("numba", "gymnasium", "ale_py")
LIMIT_SECONDS = 60.0

HOW = """\
Import: fresh interpreters run `import fastpong.kernels` and `import numpy` in turn, the whole
process is timed, and the difference of a round's two is the figure. None of numba, gymnasium and
ale_py may be loaded afterwards.

First step: `fastpong train --episodes 1` prints a line when its first episode has been played,
learned from and logged. From the moment the command is started to the moment that line can be
read, less the time that the very same episode takes to be played alone (measured before and
after, the shorter one), is when its first step was played, at the latest: the episode's gradient,
the first log entry and whatever the episode took longer there are still in the figure. Files are in
the page cache."""


def measure(effort: Effort) -> Report:
    """Check, then measure."""
    imports, commands = PLAN[effort]
    check_imports()
    return Report("Start", HOW, [_import_cost(imports), *_first_step(commands)])


def check_imports() -> None:
    """Raise AssertionError if the kernels bring anything heavy along, or do not work."""
    code = (
        "import sys, json; import numpy as np; from fastpong import kernels; "
        "r = kernels.discount_rewards(np.array([0., 0., 1.]), gamma=0.5); "
        f"print(json.dumps([kernels.get_backend().name, r.tolist(), "
        f"[m for m in {HEAVY!r} if m in sys.modules]]))"
    )
    output = subprocess.run(
        [sys.executable, "-P", "-c", code],
        stdout=subprocess.PIPE, check=True, timeout=LIMIT_SECONDS, env=plain_environment(),
    ).stdout  # fmt: skip
    assert json.loads(output) == ["cython", [0.25, 0.5, 1.0], []]


def _import_cost(rounds: int) -> Figure:
    def interpreter(code: str) -> float:
        command = [sys.executable, "-P", "-c", code]
        env = plain_environment()
        return seconds_of(
            lambda: subprocess.run(command, check=True, timeout=LIMIT_SECONDS, env=env)
        )

    arms = {
        name: lambda name=name: interpreter(f"import {name}")
        for name in ("numpy", "fastpong.kernels")
    }
    alternate(arms, 1)  # warms the page cache
    times = alternate(arms, rounds)
    costs = differences(times["fastpong.kernels"], times["numpy"])
    return figure("import fastpong.kernels over import numpy", costs, "s", at_most=0.15)


def _first_step(rounds: int) -> list[Figure]:
    recording = record()
    starts, totals = [], []
    with tempfile.TemporaryDirectory() as directory:
        for number in range(rounds):
            alone = seconds_of(lambda: recording.play())
            total = _first_line(Path(directory) / str(number), recording.trajectory.length)
            alone = min(alone, seconds_of(lambda: recording.play()))
            totals.append(total)
            starts.append(total - alone)
    return [
        figure("command typed to first step played", starts, "s", at_most=0.8),
        figure("command typed to first episode logged", totals, "s"),
    ]


def _first_line(run: Path, length: int) -> float:
    """Return the seconds until the first episode's line is there; check that it is that one."""
    command = [*fastpong_command(), "train", "--episodes", "1", "--seed", "0"]
    start = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--run-dir", str(run)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
        env=plain_environment(),
    )  # fmt: skip
    seconds = 0.0
    try:
        assert process.stdout is not None
        for line in process.stdout:
            # "episode 1", however it is aligned; the heading before it names 1 episode, too.
            if line.split()[:2] == [b"episode", b"1"]:
                seconds = seconds or time.perf_counter() - start
        assert process.wait(LIMIT_SECONDS) == 0 and seconds
    finally:
        process.kill()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()
    row = (run / "metrics.csv").read_text().splitlines()[1].split(",")
    assert (int(row[0]), int(row[2])) == (1, length)
    return seconds

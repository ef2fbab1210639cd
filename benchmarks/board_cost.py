"""Measure what the board costs: its CPU time with a page open, and a training's frames a second.

    python benchmarks/board_cost.py

trains the recipe pong again and again for some seconds, in turn without and with a board. A client
reads the game's stream and asks for the state every two seconds, as the page does. A browser on the
same machine takes more than the board, and is left out. Run it on a machine that does nothing else:
the default takes a minute and a half. The figures go to docs/report-and-board.md.
"""

from __future__ import annotations

import argparse
import csv
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
from marked import Marked, add_print
from measure import fastpong_command, figure, plain_environment

STATE_SECONDS = 2.0


def train(home: Path, name: str, seconds: float, beside: Callable[[], object]) -> float:
    """Train for some seconds, call a function then, and return the frames a second."""
    command = [*fastpong_command(), "train", "--recipe", "pong", "--until", "21", "--no-progress",
               "--save-every", "25", "--run-dir", f"runs/{name}"]  # fmt: skip
    with subprocess.Popen(
        command, cwd=home, env=plain_environment(), stdout=subprocess.DEVNULL
    ) as training:
        time.sleep(2)
        beside()
        time.sleep(seconds)
        training.send_signal(signal.SIGINT)
    with (home / "runs" / name / "metrics.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    return float(last["total_frames"]) / float(last["wall_seconds"])


def look(address: str, name: str, ends: float) -> None:
    """Read a game's stream and ask for the state as the page does."""
    told = 0.0
    with urllib.request.urlopen(f"{address}game?run={name}", timeout=60) as stream:
        while time.monotonic() < ends and stream.readline():
            if time.monotonic() - told > STATE_SECONDS:
                told = time.monotonic()
                urllib.request.urlopen(f"{address}state?axis=time&run={name}").read()


def with_board(home: Path, name: str, seconds: float) -> tuple[float, float]:
    """Return a training's frames a second, and the board's share of a core in percent."""
    command = [*fastpong_command(), "board", "--port", "0"]
    with subprocess.Popen(
        command, cwd=home, env=plain_environment(), stdout=subprocess.PIPE, text=True
    ) as board:
        assert board.stdout is not None
        found = re.search(r"http://\S+", board.stdout.readline())
        assert found is not None
        ends = time.monotonic() + 2 + seconds
        viewer = threading.Thread(target=look, args=(found[0], name, ends), daemon=True)
        begun, before = time.monotonic(), sum(psutil.Process(board.pid).cpu_times()[:2])
        rate = train(home, name, seconds, viewer.start)
        used = sum(psutil.Process(board.pid).cpu_times()[:2]) - before
        share = 100 * used / (time.monotonic() - begun)
        viewer.join(10)
        board.send_signal(signal.SIGINT)
    return rate, share


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=12.0, help="of each training")
    add_print(parser)
    asked = parser.parse_args()
    page = Marked("board_cost.py", "report-and-board.md", not asked.print)
    kept, shares = [], []
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        (home / "runs").mkdir()
        for n in range(asked.rounds):
            alone = train(home, f"alone-{n}", asked.seconds, lambda: None)
            beside, share = with_board(home, f"beside-{n}", asked.seconds)
            kept.append(beside / alone)
            shares.append(share)
    page.end(
        f"Recipe `pong` for {asked.seconds:g} s, with and without a board whose page is open, "
        f"{asked.rounds} pairs of runs in turn.",
        [
            figure("CPU time of the board", shares, "% of a core"),
            figure("frames a second of a training with a board, over those without", kept),
        ],
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

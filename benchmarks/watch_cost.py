"""What `fastpong train --watch` costs: frames a second with and without it, in turn.

    python benchmarks/watch_cost.py            six pairs of runs, three minutes on an idle machine

Each run has a terminal of its own, 120 x 40 in full colour, whose output is read at once. The
figure goes to docs/watching.md.
"""

from __future__ import annotations

import argparse
import csv
import fcntl
import os
import pty
import struct
import subprocess
import tempfile
import termios
from pathlib import Path

from marked import Marked, add_print
from measure import alternate, fastpong_command, figure, plain_environment, ratios


def frame_rate(episodes: int, *options: str) -> float:
    """Train karpathy in a terminal, return emulated frames a second."""
    with tempfile.TemporaryDirectory() as directory:
        run = Path(directory) / "run"
        command = [*fastpong_command(), "train", "--recipe", "karpathy", "--seed", "5", *options]
        command += ["--episodes", str(episodes), "--run-dir", str(run)]
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        environment = plain_environment() | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        with subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment,
            start_new_session=True,
        ) as training:  # fmt: skip
            os.close(theirs)
            while _read(ours):
                pass
            os.close(ours)
        assert training.returncode == 0
        with (run / "metrics.csv").open() as file:
            last = list(csv.DictReader(file))[-1]
    return int(last["total_frames"]) / float(last["wall_seconds"])


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # its other end is closed
        return b""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--episodes", type=int, default=1200)
    add_print(parser)
    asked = parser.parse_args()
    page = Marked("watch_cost.py", "watching.md", not asked.print)
    rates = alternate(
        {
            "without": lambda: frame_rate(asked.episodes),
            "with": lambda: frame_rate(asked.episodes, "--watch"),
        },
        asked.pairs,
    )
    kept = ratios(rates["with"], rates["without"])
    page.end(
        f"Recipe `karpathy`, {asked.episodes:,} episodes on a terminal of 120x40, {asked.pairs} "
        "pairs of runs in turn.",
        [figure("frames a second with `--watch`, over those without", kept, at_least=0.99)],
    )


if __name__ == "__main__":
    main()

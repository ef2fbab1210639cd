"""How soon `fastpong play` shows a picture: from the command to its first frame on a terminal.

    python benchmarks/first_picture.py         nine rounds, half a minute on an idle machine

Each command has a terminal of its own, 80 x 24 in full colour. It is asked to quit at the first
frame, and its end is checked. Files are in the page cache. The figures go to docs/watching.md.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import struct
import subprocess
import tempfile
import termios
import time
from pathlib import Path

from marked import Marked, add_print
from measure import alternate, fastpong_command, figure, plain_environment

COMMANDS = {
    "`fastpong play`, pretrained weights": ("play",),
    "`fastpong play RUN`": ("play", "runs/first"),
    "`fastpong play RUN --human left`": ("play", "runs/first", "--human", "left"),
}
PIXELS, FRAME = "\N{UPPER HALF BLOCK}".encode(), b"\x1b[?2026l"
"""What pictures are made of, and the end of a frame."""

LIMIT_SECONDS = 60.0


def first_picture(home: Path, arguments: tuple[str, ...]) -> float:
    """Return the seconds from the command to the end of its first frame."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = plain_environment() | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    start = time.perf_counter()
    with subprocess.Popen(
        [*fastpong_command(), *arguments], stdin=theirs, stdout=theirs, stderr=theirs, cwd=home,
        env=environment, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        try:
            shown = b""
            while not (PIXELS in shown and shown.endswith(FRAME)):
                shown += _read(ours, shown)
            seconds = time.perf_counter() - start
            os.write(ours, b"q")
            while _read(ours, b"", ends=True):
                pass
            assert process.wait(LIMIT_SECONDS) == 0, process.returncode
        finally:
            process.kill()
            os.close(ours)
    assert b"episode 1" in shown, "no figures beside the picture"
    return seconds


def _read(terminal: int, shown: bytes, *, ends: bool = False) -> bytes:
    """Return what a command writes, nothing at its end.

    Raises TimeoutError, and RuntimeError for an end before the picture.
    """
    if not select.select([terminal], [], [], LIMIT_SECONDS)[0]:
        raise TimeoutError(shown.decode(errors="replace"))
    try:
        found = os.read(terminal, 1 << 16)
    except OSError:  # its other end is closed
        found = b""
    if not (found or ends):
        raise RuntimeError(shown.decode(errors="replace"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    add_print(parser)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        # Without runs/ below it, a bare `play` takes pretrained weights.
        (home / "away").mkdir()
        train = [*fastpong_command(), "train", "--recipe", "pong", "--episodes", "20",
                 "--no-progress", "--run-dir", "runs/first"]  # fmt: skip
        subprocess.run(
            train, cwd=home, env=plain_environment(), check=True, stdout=subprocess.DEVNULL
        )
        arms = {
            what: lambda a=arguments: first_picture(home if a[1:] else home / "away", a)
            for what, arguments in COMMANDS.items()
        }
        alternate(arms, 1)  # warms the page cache
        page = Marked("first_picture.py", "watching.md", not asked.print)
        times = alternate(arms, asked.rounds)
    page.end(
        f"From the command to the first frame on a terminal of 80x24, {asked.rounds} rounds in "
        "turn.",
        [figure(what, values, "s", at_most=1.5) for what, values in times.items()],
    )


if __name__ == "__main__":
    main()

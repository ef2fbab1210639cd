"""The command as a person uses it: real processes, real runs of a few episodes."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from threading import Thread
from typing import IO, Any

from waiting import PATIENCE

COMMAND = [sys.executable, "-P", "-m", "fastpong"]
# A small network on the variant without chance of its own.
SMALL = ["--env", "PongDeterministic-v4", "--hidden", "4", "--batch-size", "2", "--workers", "1"]


class Process(subprocess.Popen[str]):
    """Run a command of which a test reads lines before the rest.

    Popen's own ``communicate`` loses lines that came together with those.
    """

    def communicate(self, input: Any = None, timeout: float | None = PATIENCE) -> tuple[str, str]:
        """Return what the process has written since the last line that was read, to its end."""
        found = {stream: "" for stream in (self.stdout, self.stderr) if stream}

        def read(stream: IO[str]) -> None:
            if not stream.closed:
                found[stream] = stream.read()
                stream.close()

        readers = [Thread(target=read, args=(stream,), daemon=True) for stream in found]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join(timeout)
            assert not reader.is_alive(), "somebody holds its output open"
        out, err = (found[stream] if stream else "" for stream in (self.stdout, self.stderr))
        return out, err


def fastpong(
    *arguments: object, cwd: Path, env: dict[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        **options,
    )


def inside(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, for tests that need none of its own.

    So there is no start of an interpreter, of imports and of a fork server.
    """
    from fastpong.cli.errors import run

    assert arguments[:1] not in (("report",), ("board",)), "it lowers the priority of its process"
    words, out, err = [str(argument) for argument in arguments], io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), redirect_stdout(out), redirect_stderr(err):
        status = run(words)
    return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one error message of a command that failed as it should."""
    lines = done.stderr.splitlines()
    assert done.returncode in (1, 2), done
    assert "Traceback" not in done.stderr
    assert [line for line in lines if line.startswith("fastpong: error: ")] == lines[-1:], lines
    return lines[-1]


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def played(run: Path) -> list[dict[str, str]]:
    """Return a run's rows without the times, which alone may differ from run to run."""
    times = ("wall_seconds", "cpu_seconds")
    return [{name: v for name, v in row.items() if name not in times} for row in rows(run)]


def read_terminal(terminal: int) -> bytes:
    """Return the bytes of a terminal, none once its other side is closed."""
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other side is closed
        return b""


@contextlib.contextmanager
def training(*arguments: object, cwd: Path) -> Iterator[Process]:
    """Start a long run in a session of its own; go on when its first episode is played."""
    process = Process(
        [*COMMAND, "train", *SMALL, *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("episode "):
                break
        else:
            raise AssertionError(process.communicate())
        yield process
    finally:
        process.kill()
        process.communicate()

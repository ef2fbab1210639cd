"""The command ``fastpong board``: a live page about runs."""

from __future__ import annotations

import signal
from pathlib import Path

import click

from fastpong.cli.checkpoints import PATH
from fastpong.cli.display import announce, warn
from fastpong.cli.interrupt import Interrupt


@click.command(short_help="Show a live page about runs.")
@click.argument("runs", type=PATH, required=False, metavar="[RUNS]")
@click.option("--port", type=click.IntRange(0, 65535), default=2600, show_default=True,
              help="Port of the page; 0 takes any that is free.")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
              help="Address to listen on. Others than the loopback let other machines look.",
              )  # fmt: skip
def board(runs: Path | None, port: int, host: str) -> int:
    """Show a live page about runs, in a browser.

    RUNS is a directory of runs, by default runs/, or one run. The page follows those that are
    trained, compares their curves and throughput, and plays games of the newest checkpoints. It
    reads the directories and changes nothing.

    Needs Starlette and uvicorn: pip install starlette uvicorn
    """
    with Interrupt() as interrupt:
        from fastpong.board.guard import is_loopback
        from fastpong.board.serve import serve
        from fastpong.runtime.priority import lower
        from fastpong.storage.run import ROOT

        if not is_loopback(host):
            warn(
                f"--host {host}: other machines can look at these runs, without a password; "
                "without --host only this machine can"
            )
        lower()
        interrupt.deferred = True
        serve(runs or ROOT, host, port, announce, interrupt)
        return 0 if interrupt.number in (0, signal.SIGINT) else interrupt.status

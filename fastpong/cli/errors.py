"""The end of a command: exit status and error messages.

Every error that a person can do something about is one line on standard error and an exit status of
2 (the command line or config file) or 1 (everything else). A traceback is a bug of ours, or comes
from a worker.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import click

from fastpong.cli.display import refused, say, warn
from fastpong.cli.interrupt import Interrupted
from fastpong.cli.main import cli


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Expected errors are printed and not raised.
    """
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: warn(f"warning: {message}")
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        status = cli.main(arguments, prog_name="fastpong", standalone_mode=False)
        if not status and (error := refused()) is not None:
            raise error
        return status if isinstance(status, int) else 0
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # unknown to click 8.1
            say(error.format_message(), error=True)
            return error.exit_code
        return _complain(_with_hint(error), error.exit_code)
    except Interrupted as interrupted:
        warn(f"stopped by {interrupted}; nothing was under way yet")
        return 128 + interrupted.number
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if not _expected(error):
            raise
        return _complain(_said(error), 1)


def _with_hint(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f" (see {context.command_path} --help)" if context else ""
    return error.format_message().rstrip(".") + hint


def _said(error: Exception) -> str:
    """Return an error's message, of the system's errors without their numbers."""
    if isinstance(error, OSError) and error.strerror:
        from fastpong.storage.files import named

        return named(error)
    return str(error) or type(error).__name__


def _complain(message: str, status: int) -> int:
    warn(f"error: {message}")
    return status


def _expected(error: Exception) -> bool:
    """Return whether a person can mend an error."""
    if _about_backend(error):  # first, for then the modules below cannot be imported
        return True
    from fastpong.board.serve import BoardError
    from fastpong.console.cartridge import EmulatorError
    from fastpong.runtime.pool import WorkerError
    from fastpong.storage.checkpoint import CheckpointError
    from fastpong.storage.run import RunError
    from fastpong.storage.weights.pickle import ForeignError
    from fastpong.viewing.curves import PlotError
    from fastpong.viewing.terminal import TerminalError
    from fastpong.viewing.window import WindowError
    from fastpong.viewing.writers import FilmError

    known = (
        BoardError,
        CheckpointError,
        EmulatorError,
        ForeignError,
        WorkerError,
        RunError,
        PlotError,
        TerminalError,
        FilmError,
        WindowError,
    )
    # ArithmeticError: training diverged. MemoryError: more hidden units than this machine holds.
    return isinstance(error, (*known, OSError, ArithmeticError, MemoryError))


def _about_backend(error: Exception) -> bool:
    # `kernels` raises these, one of them when it is imported with a wrong FASTPONG_BACKEND.
    return isinstance(error, (ValueError, ImportError)) and str(error).startswith("backend")

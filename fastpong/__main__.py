"""The command ``fastpong``, also ``python -m fastpong``."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run the command line and exit with its status."""
    try:
        # Here and not above: worker processes import this module again, and need none of it.
        from fastpong.cli.errors import run

        status = run()
    except KeyboardInterrupt:  # before the command has taken the signals over
        status = 130
    # What is left is the interpreter's own end: one more Ctrl-C must not change the status.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(status)


if __name__ == "__main__":
    main()

"""The command ``fastpong``, also ``python -m fastpong``."""

import os
import sys

END_SECONDS = 2.0
"""How long the interpreter's own end may take, after all has been said and saved."""


def leave_current_directory() -> None:
    """Import nothing from the current directory, which ``python -m`` puts before all others.

    Our own package may be in it, in a checkout, and knows where it is.
    """
    here = os.getcwd()  # noqa: PTH109  # pathlib would come from there
    if sys.path and sys.path[0] == here and not sys.flags.safe_path:
        del sys.path[0]


if __name__ == "__main__":  # before any other import
    leave_current_directory()


def main() -> None:
    """Run the command line and exit with its status."""
    try:
        # All imports are here: above, Ctrl-C would end in a traceback. And worker processes import
        # this module again, and need none of it.
        import signal
        import threading

        from fastpong.cli.errors import run

        status = run()
    except KeyboardInterrupt:  # before the command has taken the signals over
        os._exit(130)
    # What is left is the interpreter's own end: one more Ctrl-C must not change the status.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end, args=(status,), daemon=True).start()
    sys.exit(status)


def _end(status: int) -> None:
    """End the process, should anything keep the interpreter."""
    import time

    time.sleep(END_SECONDS)
    os._exit(status)


if __name__ == "__main__":
    main()

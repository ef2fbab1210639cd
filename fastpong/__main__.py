"""The command ``fastpong``; also ``python -m fastpong``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its status."""
    # Here and not above: worker processes import this module again, and need none of it.
    from fastpong.cli import run

    sys.exit(run())


if __name__ == "__main__":
    main()

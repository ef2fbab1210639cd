"""The command ``fastpong``, its workers started by another method: METHOD ARGUMENTS...

The command has no option for it. Everything else is the command as it is.
"""

from __future__ import annotations

import sys

from fastpong.__main__ import main


def choose(method: str) -> None:
    """Let pools start their workers by this method."""
    from fastpong.runtime import pool

    checked = pool.checked_method
    pool.checked_method = lambda given: checked(given or method)


if __name__ == "__main__":
    try:
        choose(sys.argv.pop(1))
    except KeyboardInterrupt:  # as the command answers one in its own imports
        sys.exit(130)
    main()

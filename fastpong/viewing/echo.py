"""The echo of a typed Ctrl-C, which has no place in a picture."""

from __future__ import annotations

import contextlib
import os
import termios
from typing import IO

_LOCAL = 3  # of the attributes that termios returns


class QuietControls:
    """Keep a terminal from showing control characters, such as ``^C``, while it is drawn on.

    They would move the cursor that the next drawing begins at.

    stream : that is drawn on. Nothing happens to another than the terminal that commands the
             process, or while the process is in the background: the system would stop it
    """

    def __init__(self, stream: IO[str]) -> None:
        self._descriptor, self._changed = -1, False
        with contextlib.suppress(AttributeError, OSError, ValueError):
            self._descriptor = stream.fileno()

    def begin(self) -> None:
        """Show them no more.

        Called again it does so again, for a shell that has the terminal meanwhile shows them.
        """
        if self._set(shown=False):
            self._changed = True

    def end(self) -> None:
        """Show them as before.

        May be called twice, and from a signal's handler.
        """
        if self._changed:
            self._changed = False
            self._set(shown=True)

    def _set(self, *, shown: bool) -> bool:
        """Change the terminal, if it is another, and return whether it did."""
        with contextlib.suppress(OSError, termios.error):
            if os.tcgetpgrp(self._descriptor) != os.getpgrp():
                return False
            attributes = termios.tcgetattr(self._descriptor)
            if bool(attributes[_LOCAL] & termios.ECHOCTL) != shown:
                attributes[_LOCAL] ^= termios.ECHOCTL
                termios.tcsetattr(self._descriptor, termios.TCSANOW, attributes)
                return True
        return False

"""Keys and the mouse, from a terminal or a window."""

from __future__ import annotations

from typing import NamedTuple


class Key(NamedTuple):
    """Describe a key that was pressed, or the mouse that was moved.

    name     : a character, or up, down, left, right, escape, mouse
    released : it was let go. Few terminals tell
    height   : of the mouse: its place on the picture from 0, the top, to 1
    """

    name: str
    released: bool = False
    height: float = 0.0

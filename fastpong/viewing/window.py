"""A window for games, by pygame, which is imported only here."""

from __future__ import annotations

import os
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

from fastpong.extras import how_to_install, in_short
from fastpong.viewing.film import PALETTE, Panel
from fastpong.viewing.games import Moment, Odds
from fastpong.viewing.keys import Key
from fastpong.viewing.scene import Caption

if TYPE_CHECKING:
    import pygame

_NAMES = {"space": " "}
_UNSEEN = ("offscreen", "dummy")
"""Drivers that SDL takes where there is no display."""


class WindowError(Exception):
    """Report that no window can be opened. The message says what to do."""


class Window:
    """Show moments in a window, and read its keys and the mouse.

    A context manager, which closes it.

    caption : above the picture
    scale   : as of `Panel`. The window can be made larger and smaller

    Raises WindowError without pygame or a display.
    """

    releases = True

    def __init__(self, caption: Caption, scale: int = 4) -> None:
        self._pygame = _pygame()
        words = ", ".join(caption.title)
        self._panel = Panel(words, caption.left, caption.right, scale)
        rows, columns = self._panel.frame.shape
        self._size = columns, rows
        self._window = self._opened()
        self.gone = False

    def _opened(self) -> Any:
        pygame = self._pygame
        try:
            pygame.display.init()
            driver = pygame.display.get_driver()
            if driver in _UNSEEN and "SDL_VIDEODRIVER" not in os.environ:
                raise pygame.error(f"SDL found only {driver}")
            return pygame.display.set_mode(self._size, pygame.RESIZABLE)
        except pygame.error as error:
            pygame.quit()
            raise WindowError(
                f"--window: expected a display, got none ({error}); without --window fastpong "
                "play draws on the terminal, over ssh too"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pygame.quit()

    def pressed(self) -> list[Key]:
        """Return the keys pressed since the last time. Closing the window makes it ``gone``."""
        found = [self._key(event) for event in self._pygame.event.get()]
        return [key for key in found if key is not None]

    def draw(self, moment: Moment, odds: Odds | None, caption: Caption, pace: str) -> None:
        """Show a moment."""
        pygame = self._pygame
        pygame.display.set_caption(f"fastpong: {caption.game}, {pace}")
        frame = self._panel.draw(moment, odds)
        picture = pygame.image.frombuffer(frame.tobytes(), self._size, "P")
        picture.set_palette(PALETTE.tolist())
        left, top, width, height = self._place()
        scaled = pygame.transform.scale(picture, (width, height))
        self._window.fill(tuple(PALETTE[frame[0, 0]].tolist()))
        self._window.blit(scaled, (left, top))
        pygame.display.flip()

    def _place(self) -> tuple[int, int, int, int]:
        """Return left, top, width and height of the picture, as large as the window allows."""
        columns, rows = self._window.get_size()
        by = max(1e-3, min(columns / self._size[0], rows / self._size[1]))
        width, height = max(1, int(self._size[0] * by)), max(1, int(self._size[1] * by))
        return (columns - width) // 2, (rows - height) // 2, width, height

    def _key(self, event: pygame.event.Event) -> Key | None:
        pygame = self._pygame
        if event.type == pygame.QUIT:
            self.gone = True
        elif event.type in (pygame.KEYDOWN, pygame.KEYUP):
            name = pygame.key.name(event.key)
            if len(event.unicode) == 1 and event.unicode.isprintable():
                name = event.unicode
            return Key(_NAMES.get(name, name), released=event.type == pygame.KEYUP)
        elif event.type == pygame.MOUSEMOTION:
            _, top, _, height = self._place()
            row = (event.pos[1] - top) * self._size[1] / height - self._panel.top
            return Key("mouse", height=row / self._panel.picture[0])
        return None


def _pygame() -> ModuleType:
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        import PIL.Image  # noqa: F401
        import pygame
    except Exception as error:  # a broken package's own
        raise WindowError(
            f"--window needs pygame and Pillow ({in_short(error)}): {how_to_install('play')}"
        ) from error
    return pygame

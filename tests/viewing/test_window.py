"""The window, by SDL's driver that shows nothing: what is drawn, and what its events mean."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fastpong.viewing.film import PALETTE, Panel
from fastpong.viewing.games import Moment, Odds
from fastpong.viewing.keys import Key
from fastpong.viewing.scene import Caption
from fastpong.viewing.window import Window, WindowError

pygame: Any = pytest.importorskip("pygame")
pytest.importorskip("PIL.Image")

CAPTION = Caption(["ppo", "3 episodes"], "computer", "ppo", "episode 1", [])


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> Iterator[Window]:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with Window(CAPTION, 2) as opened:
        yield opened


def moment() -> Moment:
    screen = np.full((210, 160), 34, np.uint8)
    screen[100:104, 80:82] = 14
    return Moment(screen, (3, 12), 1, 1, None)


def pixels() -> np.ndarray:
    return np.asarray(pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1))


def test_it_shows_the_frame_of_a_film(window: Window) -> None:
    window.draw(moment(), Odds(0.25, 0.75), CAPTION, "60 frames/s")
    panel = Panel("ppo, 3 episodes", "computer", "ppo", 2)
    assert np.array_equal(pixels(), PALETTE[panel.draw(moment(), Odds(0.25, 0.75))])
    assert pygame.display.get_caption()[0] == "fastpong: episode 1, 60 frames/s"


def test_another_size_keeps_the_proportions(window: Window) -> None:
    pygame.display.set_mode((1000, 264), pygame.RESIZABLE)
    window._window = pygame.display.get_surface()
    window.draw(moment(), None, CAPTION, "")
    shown = pixels()
    assert np.array_equal(
        shown[:, 340:660],
        PALETTE[Panel("ppo, 3 episodes", "computer", "ppo", 2).draw(moment(), None)],
    )
    assert (shown[:, :340] == shown[0, 0]).all()


def test_keys_the_mouse_and_the_cross(window: Window) -> None:
    window.pressed()
    post = pygame.event.post
    event = pygame.event.Event
    for kind, key, text in (
        (pygame.KEYDOWN, pygame.K_UP, ""),
        (pygame.KEYUP, pygame.K_UP, ""),
        (pygame.KEYDOWN, pygame.K_SPACE, " "),
        (pygame.KEYDOWN, pygame.K_EQUALS, "+"),
        (pygame.KEYDOWN, pygame.K_ESCAPE, "\x1b"),
    ):
        post(event(kind, key=key, unicode=text))
    assert window.pressed() == [
        Key("up"), Key("up", released=True), Key(" "), Key("+"), Key("escape"),
    ]  # fmt: skip
    post(event(pygame.MOUSEMOTION, pos=(5, 18 + 105), rel=(0, 0), buttons=(0, 0, 0)))
    (mouse,) = window.pressed()
    assert mouse == Key("mouse", height=pytest.approx(0.5))
    assert not window.gone
    post(event(pygame.QUIT))
    assert window.pressed() == []
    assert window.gone


def test_without_a_display_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SDL_VIDEODRIVER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(WindowError, match="expected a display, got none"):
        Window(CAPTION)
    monkeypatch.setenv("SDL_VIDEODRIVER", "nonsense")
    with pytest.raises(WindowError, match="expected a display, got none"):
        Window(CAPTION)


def test_without_pygame_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(WindowError, match=r'pip install "pygame>=2.5"'):
        Window(CAPTION)

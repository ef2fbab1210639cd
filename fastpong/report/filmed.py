"""A short film of the newest weights, as text that a page can hold."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator

from fastpong.pages.html import Html, tag
from fastpong.pages.png import data_uri
from fastpong.viewing.film import Film, Frame, Part, steps_between
from fastpong.viewing.shown import Shown
from fastpong.viewing.writers import check_packages, write_into

_RATE, _SCALE = 30, 3
_WEBP_SECONDS = 5.0  # a second of frames takes 33 MB
_TYPES = {".mp4": "video/mp4", ".webp": "image/webp"}


def film(shown: Shown, seconds: float, stop: Callable[[], bool]) -> Html:
    """Return the element of a film, with all its data.

    seconds : its length at most. A .webp has up to 5 s: its frames stay in memory until its end
    stop    : whether to end it with the next frame

    Raises FilmError where a package is missing.
    """
    kind = _kind()
    check_packages(kind)
    if kind == ".webp":
        seconds = min(seconds, _WEBP_SECONDS)
    player = shown.player
    part = Part(shown.watcher(), shown.trained, "computer", player.agent, range(1000))
    frames = Film([part], _SCALE).frames(steps_between(_RATE, 1), round(seconds * _RATE))
    file = io.BytesIO()
    write_into(file, kind, _until(frames, stop), _RATE)
    source = data_uri(file.getvalue(), _TYPES[kind])
    words = f"A game of {player.agent} {shown.trained}"
    if kind == ".webp":
        return tag("img", src=source, alt=words, class_="film")
    return tag(
        "video", src=source, aria_label=words, class_="film", controls="", muted="", loop="",
        playsinline="",
    )  # fmt: skip


def _until(frames: Iterable[Frame], stop: Callable[[], bool]) -> Iterator[Frame]:
    """Yield frames, the first one in any case."""
    for frame in frames:
        yield frame
        if stop():
            return


def _kind() -> str:
    """Return .mp4 where PyAV has the coder of videos that browsers show, else .webp."""
    try:
        import av
    except Exception:  # a broken package's own
        return ".webp"
    return ".mp4" if "libx264" in av.codecs_available else ".webp"

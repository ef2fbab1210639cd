"""Files of films: MP4 by PyAV, GIF and WebP by Pillow, which are imported only here.

A frame of 1/60 s has no whole number of a GIF's hundredths of a second, nor of a WebP's
thousandths. So each frame lasts until the rounded time of the next one: at 30 frames a second a GIF
has delays of 3, 4 and 3 hundredths, and no time is lost or won.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from fastpong.extras import how_to_install, in_short
from fastpong.storage.files import blame_asked, check_output
from fastpong.viewing.film import PALETTE, Frame

if TYPE_CHECKING:
    from PIL.Image import Image

Output: TypeAlias = Path | BinaryIO

RATES = {".mp4": 60, ".gif": 30, ".webp": 30}
"""Kinds of files, and the frames a second that they have by default."""

FASTEST = {".mp4": 60, ".gif": 30, ".webp": 60}
"""Most frames a second. Programs that show GIFs slow down delays below two hundredths."""

_CRF = "20"  # of x264: flat colours and sharp edges show what is lost


class FilmError(Exception):
    """Report a film that cannot be made. The message says what to do."""


def check_kind(path: Path) -> str:
    """Return the kind of a file, after its packages were imported.

    Raises FilmError for another kind, and where a package is missing, OSError as ``check_output``.
    """
    kind = path.suffix.lower()
    if kind not in RATES:
        raise FilmError(f"{path}: expected a file .mp4, .gif or .webp, got {kind or 'no ending'!r}")
    check_output(path)
    check_packages(kind)
    return kind


def check_packages(kind: str) -> None:
    """Import what a kind of film needs.

    Raises FilmError where it is missing.
    """
    try:
        import PIL.Image  # noqa: F401

        if kind == ".mp4":
            import av  # noqa: F401
    except Exception as error:  # a broken package's own
        raise FilmError(
            f"a {kind[1:]} file needs {'PyAV and ' * (kind == '.mp4')}Pillow ({in_short(error)}): "
            f"{how_to_install('video')}"
        ) from error


def write(path: Path, frames: Iterable[Frame], frames_per_second: int) -> int:
    """Write a film, and return the number of its frames.

    path   : of a kind of ``RATES``. It appears when it is complete
    frames : (rows, columns) uint8 each, indices of ``PALETTE``, at least one, of even sizes

    Raises FilmError for none, OSError when the disk fails.
    """
    unfinished = path.with_name(path.name + ".part")
    try:
        count = write_into(unfinished, path.suffix.lower(), frames, frames_per_second)
        unfinished.replace(path)
    except OSError as error:
        raise blame_asked(error, {path: unfinished}) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def write_into(file: Output, kind: str, frames: Iterable[Frame], frames_per_second: int) -> int:
    """Write a film of a kind into a file as it comes, and return the number of its frames.

    file : its path, or an open one

    Raises as ``write``.
    """
    makers: dict[str, Callable[[Output, Iterator[Frame], int], None]] = {
        ".mp4": _write_mp4,
        ".gif": _write_gif,
        ".webp": _write_webp,
    }
    counted = _Counted(frames)
    makers[kind](file, iter(counted), frames_per_second)
    return counted.number


class _Counted:
    """Count what is taken."""

    def __init__(self, frames: Iterable[Frame]) -> None:
        self._frames, self.number = frames, 0

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._frames:
            self.number += 1
            yield frame
        if not self.number:
            raise FilmError("expected at least one frame, got none")


def _write_mp4(file: Output, frames: Iterator[Frame], frames_per_second: int) -> None:
    import av

    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    first = next(frames)
    # FFmpeg opens the file a second time to move its index to the front.
    options = {"movflags": "+faststart"} if isinstance(file, Path) else {}
    target = str(file) if isinstance(file, Path) else file
    with av.open(target, "w", format="mp4", options=options) as container:
        stream = container.add_stream(codec, rate=frames_per_second)
        stream.height, stream.width = first.shape
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, frames_per_second)
        if codec == "libx264":
            stream.options = {"crf": _CRF}
        for n, frame in enumerate(chain([first], frames)):
            picture = av.VideoFrame.from_ndarray(PALETTE[frame], "rgb24")
            picture.pts, picture.time_base = n, Fraction(1, frames_per_second)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def _write_gif(file: Output, frames: Iterator[Frame], frames_per_second: int) -> None:
    images = [_image(frame) for frame in frames]
    durations = [10 * d for d in durations_of(len(images), frames_per_second, 100)]
    images[0].save(
        file, format="GIF", save_all=True, append_images=images[1:], duration=durations, loop=0
    )


def _write_webp(file: Output, frames: Iterator[Frame], frames_per_second: int) -> None:
    images = [_image(frame) for frame in frames]
    images[0].convert("RGB").save(
        file,
        format="WEBP",
        save_all=True,
        append_images=(image.convert("RGB") for image in images[1:]),
        duration=durations_of(len(images), frames_per_second, 1000),
        loop=0,
        lossless=True,
        quality=50,
    )


def durations_of(count: int, frames_per_second: int, parts: int) -> list[int]:
    """Return how long each frame lasts, in parts of a second.

    Their sum is never further than half a part from the exact time.
    """
    times = [round(n * parts / frames_per_second) for n in range(count + 1)]
    return [after - before for before, after in pairwise(times)]


def _image(frame: Frame) -> Image:
    from PIL import Image

    image = Image.fromarray(frame, "P")
    image.putpalette(PALETTE.tobytes())
    return image

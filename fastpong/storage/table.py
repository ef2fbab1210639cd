"""Tables of rows by episode: their lines, and their end at the episode that a run goes on from."""

from __future__ import annotations

import codecs
import contextlib
import itertools
import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from fastpong.storage.files import Warn
from fastpong.storage.opening import open_descriptor

_MOST = 1e15
"""Of a number in a row. Floats are exact up to there."""


class Numbered(Protocol):
    """Describe a row of a table by episodes."""

    @property
    def episode(self) -> int:
        """Return the number of the episode."""


R = TypeVar("R", bound=Numbered)


def format_line(values: Mapping[str, float], real: Collection[str]) -> bytes:
    """Return numbers as a line of a table.

    real : names of floats. They are written by their repr, so that they are read back exactly

    The others are written as integers.
    """
    texts = (repr(float(v)) if name in real else str(int(v)) for name, v in values.items())
    return (",".join(texts) + "\n").encode("ascii")


def parse_line(line: bytes, names: Iterable[str], real: Collection[str]) -> list[float]:
    """Parse a line of ``format_line``.

    Raises ValueError for any other line, and for numbers beyond those of any run. NaN is one of a
    run: the deviation of a single episode.
    """
    named = zip(names, line.decode("ascii").split(","), strict=True)
    values: list[float] = [float(v) if name in real else int(v) for name, v in named]
    if any(abs(value) > _MOST for value in values):
        raise ValueError(f"expected numbers of a run, got {values}")
    return values


def cut_table(
    path: Path, header: bytes, parse: Callable[[bytes], R], episode: int, warn: Warn, most: int
) -> list[R]:
    """Cut a table back to an episode and return its last rows.

    Another file of that name is kept aside, since no log is worth a run. Line ends and the mark at
    the beginning may be those of a spreadsheet.

    Returns at most ``most`` rows. A torn last row goes, too. The file is shortened in place, one
    operation that needs no room on the disk and does no harm when repeated: writing a shorter
    copy and renaming it fails on the very disk that was full.
    Raises OSError if it cannot be read or shortened.
    """
    rows: deque[R] = deque(maxlen=most)
    size = 0
    with contextlib.suppress(FileNotFoundError), _open_to_cut(path) as file:
        for line in file:
            if size == 0 and not header.startswith(_plain(line)):
                aside = _keep_aside(path)
                warn(f"{path}: expected the header {header!r}, got {line[:200]!r}; kept as {aside}")
                return []
            if not line.endswith(b"\n"):
                break
            if size:
                row = _parsed(line, parse)
                if row is not None and row.episode > episode:
                    break
                rows += [row] if row is not None else []
            size += len(line)
        file.truncate(size)
    return list(rows)


def _open_to_cut(path: Path) -> BinaryIO:
    return os.fdopen(open_descriptor(path, os.O_RDWR), "r+b")


def _plain(line: bytes) -> bytes:
    """Return a line without a spreadsheet's mark and line end."""
    return line.removeprefix(codecs.BOM_UTF8).rstrip(b"\r\n")


def _keep_aside(path: Path) -> Path:
    """Rename a file, to a name that is free."""
    names = (path.with_name(f"{path.name}.kept-{n}") for n in itertools.count(1))
    aside = next(name for name in names if not name.exists())
    path.rename(aside)
    return aside


def _parsed(line: bytes, parse: Callable[[bytes], R]) -> R | None:
    try:
        return parse(line)
    except ValueError:
        return None

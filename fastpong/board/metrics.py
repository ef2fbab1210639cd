"""metrics.csv while it grows: only new rows are read."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fastpong.arrays import Doubles
from fastpong.storage.logs import HEADER, Row
from fastpong.storage.opening import open_regular
from fastpong.viewing.curves import COLUMNS, Record

_PART = 1 << 22
"""Bytes that are read at once."""

TAIL = 1 << 15
"""Bytes at the end of a file, enough for 200 rows."""


class GrowingMetrics:
    """Read a metrics.csv again and again.

    A resumed run cuts rows off and writes others: then it is read from the beginning. Calls may
    come from several threads.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        self._lock = threading.Lock()
        self._forget()

    def read(self) -> Record | None:
        """Return all whole rows so far, None without any."""
        with self._lock:
            try:
                with open_regular(self._path) as file:
                    self._read(file)
            except OSError:
                self._forget()
            if not len(self._table):
                return None
            columns = {name: self._table[:, n] for n, name in enumerate(COLUMNS)}
            return Record(self._path, self._name, columns)

    def _forget(self) -> None:
        self._offset, self._last = 0, b""
        self._table: Doubles = np.zeros((0, len(COLUMNS)))

    def _read(self, file: BinaryIO) -> None:
        size = os.fstat(file.fileno()).st_size
        file.seek(self._offset - len(self._last))
        if size < self._offset or file.read(len(self._last)) != self._last:
            self._forget()
            file.seek(0)
        tables, missing = [self._table], _missing(file)
        while lines := self._next_lines(file):
            rows = list(parse_rows(lines, missing))
            tables += [np.array(rows, np.float64)] if rows else []
        self._table = np.concatenate(tables)

    def _next_lines(self, file: BinaryIO) -> list[bytes]:
        """Return the next whole lines, none at the end."""
        file.seek(self._offset)
        data = file.read(_PART)
        lines = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
        if lines:
            self._offset += sum(map(len, lines))
            self._last = lines[-1]
        return lines


def read_tail(path: Path) -> list[Row]:
    """Return the last rows of a metrics.csv, none if it cannot be read."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - TAIL))
            data = file.read(TAIL)
            missing = _missing(file)
    except OSError:
        return []
    lines = data[: data.rfind(b"\n") + 1].splitlines()
    return [Row._make(row) for row in parse_rows(lines, missing)]


def _missing(file: BinaryIO) -> bytes:
    """Return what rows lack: older files have no column of CPU time."""
    file.seek(0)
    header = file.readline(len(HEADER)).strip()
    return b",0.0" if header + b",cpu_seconds" == HEADER.strip() else b""


def parse_rows(lines: list[bytes], missing: bytes = b"") -> Iterator[Row]:
    """Yield the rows of lines. The header and what is no row are left out.

    missing : end of every line that the file has not
    """
    for line in lines:
        try:
            row = Row.parse(line.rstrip(b"\r\n") + missing)
            whole = all(map(math.isfinite, row))
        except (ValueError, OverflowError):  # the last of an integer above all floats
            continue
        if whole:
            yield row

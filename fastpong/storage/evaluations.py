"""The evaluations of a run while it trains: evaluations.csv, a row each."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import NamedTuple

from fastpong.storage.files import Warn
from fastpong.storage.logs import AppendFile
from fastpong.storage.opening import open_regular
from fastpong.storage.table import cut_table, format_line, parse_line

NAME = "evaluations.csv"


class EvaluationRow(NamedTuple):
    """Hold a row of evaluations.csv.

    episode, update, total_steps, total_frames, wall_seconds : of the run before it
    eval_episodes                : that were played
    mean, lowest, highest        : of their returns
    deviation                    : the standard one, with n - 1. None for one episode, in the file
                                   nan
    wins                         : episodes with more points won than lost
    mean_length                  : steps an episode
    """

    episode: int
    update: int
    total_steps: int
    total_frames: int
    wall_seconds: float
    eval_episodes: int
    mean: float
    deviation: float | None
    lowest: float
    highest: float
    wins: int
    mean_length: float

    @classmethod
    def parse(cls, line: bytes) -> EvaluationRow:
        """Parse a line of evaluations.csv.

        Raises ValueError for any other line.
        """
        cells = line.split(b",")
        if alone := cells[_DEVIATION:][:1] == [_NONE]:
            cells[_DEVIATION] = b"0"
        row = cls._make(parse_line(b",".join(cells), cls._fields, _REAL))
        return row._replace(deviation=None) if alone else row

    def line(self) -> bytes:
        """Return the row as a line of evaluations.csv."""
        line = format_line(self._asdict() | {"deviation": self.deviation or 0.0}, _REAL)
        if self.deviation is not None:
            return line
        cells = line.split(b",")
        cells[_DEVIATION] = _NONE
        return b",".join(cells)

    @property
    def scalars(self) -> dict[str, float]:
        """Return the scalars for TensorBoard, by Stable-Baselines3's names."""
        return {"eval/mean_reward": self.mean, "eval/mean_ep_length": self.mean_length}


_DEVIATION, _NONE = EvaluationRow._fields.index("deviation"), b"nan"
_REAL = frozenset({"wall_seconds", "mean", "deviation", "lowest", "highest", "mean_length"})
HEADER = (",".join(EvaluationRow._fields) + "\n").encode("ascii")


def read_evaluations(directory: Path) -> list[EvaluationRow]:
    """Return the rows of a run's evaluations.csv, whole ones, none if it cannot be read."""
    rows = []
    with contextlib.suppress(OSError), open_regular(directory / NAME) as file:
        for line in file:
            with contextlib.suppress(ValueError):  # the header, or a row that is being written
                rows.append(EvaluationRow.parse(line))
    return rows


class Evaluations:
    """Write evaluations.csv, from the first evaluation on.

    last : the newest row, None without any

    episode : cut the file back to this one. None: a new run
    """

    def __init__(self, directory: Path, warn: Warn, episode: int | None = None) -> None:
        self._path, self._warn = directory / NAME, warn
        self._file: AppendFile | None = None
        rows: list[EvaluationRow] = []
        if episode is not None:
            rows = cut_table(self._path, HEADER, EvaluationRow.parse, episode, warn, 1)
        self.last = rows[-1] if rows else None

    def log(self, row: EvaluationRow) -> None:
        """Append the row of an evaluation."""
        if self._file is None:
            self._file = AppendFile(self._path, self._warn)
            if not self._path.exists() or self._path.stat().st_size == 0:
                self._file.append(HEADER)
        self._file.append(row.line())
        self.last = row

    def close(self) -> None:
        """Close the file.

        May be called again.
        """
        if self._file is not None:
            self._file.close()

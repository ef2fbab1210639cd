"""The logs of a run: metrics.csv for people and programs, event files for TensorBoard.

Both grow by whole rows, and outlive a full disk: rows that could not be written stay in memory and
are tried again with the next one.

tensorboardX gives the format (protocol buffers and checksums) but not the writer. Its writer
hands events to a thread through a queue of ten. The first failed write ends the thread, and the
eleventh event after that blocks the run for ever.
"""

from __future__ import annotations

import codecs
import contextlib
import itertools
import os
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from fastpong.training.stats import EpisodeStats

Warn = Callable[[str], None]

#: Means and rates in TensorBoard are over so many episodes, as Stable-Baselines3 has them.
WINDOW = 100


class Row(NamedTuple):
    """Hold a row of metrics.csv, one episode."""

    episode: int
    score: float
    length: int
    frames: int
    running_mean: float
    update: int
    total_steps: int
    total_frames: int
    wall_seconds: float
    cpu_seconds: float = 0.0

    @classmethod
    def of(cls, stats: EpisodeStats) -> Row:
        """Make a row of an episode's statistics."""
        return cls(*(getattr(stats, name) for name in cls._fields))

    @classmethod
    def parse(cls, line: bytes) -> Row:
        """Parse a line of metrics.csv.

        Raises ValueError for any other line.
        """
        return cls._make(parse_line(line, cls._fields, _REAL))

    def line(self) -> bytes:
        """Return the row as a line of metrics.csv."""
        return format_line(self._asdict(), _REAL)


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

    Raises ValueError for any other line.
    """
    named = zip(names, line.decode("ascii").split(","), strict=True)
    return [float(v) if name in real else int(v) for name, v in named]


_REAL = frozenset({"score", "running_mean", "wall_seconds", "cpu_seconds"})
HEADER = (",".join(Row._fields).replace("score", "return") + "\n").encode("ascii")


class AppendFile:
    """Append whole rows to a file, despite disk failures.

    ``warn`` hears of the first failure, of the recovery, and of rows that were lost in the end.
    """

    def __init__(self, path: Path, warn: Warn) -> None:
        self.path = path
        self._warn = warn
        self._descriptor: int | None = None
        self._size = 0
        self._pending: list[bytes] = []
        self._failing = False

    def append(self, row: bytes) -> None:
        """Write a row after the pending ones."""
        self._pending.append(row)
        try:
            self._flush()
        except OSError as error:
            self._recover(error)
        else:
            if self._failing:
                self._failing = False
                self._warn(f"{self.path}: there is room again, every row is written")

    def sync(self) -> None:
        """Flush the written rows to the disk."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.fsync(self._descriptor)

    def close(self) -> None:
        """Try a last time, report lost rows, close.

        May be called again.
        """
        if self._pending:
            try:
                self._flush()
            except OSError as error:
                self._recover(error)
                self._warn(f"{self.path}: {len(self._pending)} rows are lost ({error.strerror})")
        self._pending.clear()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _flush(self) -> None:
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
            self._size = os.fstat(self._descriptor).st_size
        data = b"".join(self._pending)
        done = 0
        while done < len(data):  # a disk that fills up writes a part first, and fails then
            done += os.pwrite(self._descriptor, data[done:], self._size + done)
        self._size += done
        self._pending.clear()

    def _recover(self, error: OSError) -> None:
        """Cut off a partly written row."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
        if not self._failing:
            self._failing = True
            self._warn(
                f"{self.path}: cannot be written ({error.strerror}); training goes on, the rows "
                "are kept in memory and written when there is room"
            )


def cut_metrics(path: Path, episode: int, warn: Warn) -> list[Row]:
    """Cut metrics.csv back and return its last rows, as ``cut_table`` does."""
    return cut_table(path, HEADER, Row.parse, episode, warn)


def cut_table(
    path: Path, header: bytes, parse: Callable[[bytes], R], episode: int, warn: Warn
) -> list[R]:
    """Cut a table back to an episode and return its last rows.

    Another file of that name is kept aside, since no log is worth a run. Line ends and the mark at
    the beginning may be those of a spreadsheet.

    Returns at most WINDOW + 1 rows. A torn last row goes, too. The file is shortened in place, one
    operation that needs no room on the disk and does no harm when repeated: writing a shorter
    copy and renaming it fails on the very disk that was full.
    Raises OSError if it cannot be read or shortened.
    """
    rows: deque[R] = deque(maxlen=WINDOW + 1)
    size = 0
    with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
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


class Metrics:
    """Write metrics.csv: a header and a row per episode."""

    def __init__(self, path: Path, warn: Warn) -> None:
        self._file = AppendFile(path, warn)
        if not path.exists() or path.stat().st_size == 0:
            self._file.append(HEADER)
        self.sync, self.close = self._file.sync, self._file.close

    def log(self, row: Row) -> None:
        """Append the row of an episode."""
        self._file.append(row.line())


class TensorBoard:
    """Write an event file of scalars, with well-known names.

    They are those of Stable-Baselines3 and CleanRL.

    rollout/ep_rew_mean, ep_len_mean : means over the last WINDOW episodes
    time/fps                         : emulated frames per second over them
    charts/SPS                       : the agent's steps per second over them
    charts/episodic_return, _length  : of the episode
    train/<name>                     : the agent's diagnostics
    eval/mean_reward, mean_ep_length : of an evaluation

    The x axis is the run's total of steps. With ``purge_step`` TensorBoard drops the scalars of
    earlier files of the directory from that step on.
    """

    def __init__(
        self, directory: Path, warn: Warn, rows: Iterable[Row] = (), purge_step: int | None = None
    ) -> None:
        self._directory, self._warn, self._purge_step = directory, warn, purge_step
        self._rows = deque([_START, *rows], maxlen=WINDOW + 1)
        self._file: AppendFile | None = None

    def log(self, row: Row, diagnostics: Mapping[str, float]) -> dict[str, float]:
        """Append the scalars of an episode, as one event, and return them."""
        self._rows.append(row)
        scalars = self._scalars(row) | {f"train/{name}": v for name, v in diagnostics.items()}
        self.write(row.total_steps, scalars)
        return scalars

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Append scalars, as one event."""
        # Imported with the first episode, while the workers play on: 0.05 s that a run's start
        # need not wait for.
        from tensorboardX.proto import summary_pb2

        value = summary_pb2.Summary.Value
        values = [value(tag=tag, simple_value=float(number)) for tag, number in scalars.items()]
        self._append(step=step, summary=summary_pb2.Summary(value=values))

    def close(self) -> None:
        """Close the file.

        May be called again.
        """
        if self._file is not None:
            self._file.close()

    def _scalars(self, row: Row) -> dict[str, float]:
        first, *window = self._rows
        scalars: dict[str, float] = {
            "rollout/ep_rew_mean": sum(other.score for other in window) / len(window),
            "rollout/ep_len_mean": sum(other.length for other in window) / len(window),
            "time/total_timesteps": row.total_steps,
            "charts/episodic_return": row.score,
            "charts/episodic_length": row.length,
        }
        seconds = row.wall_seconds - first.wall_seconds
        if seconds > 0:
            scalars["time/fps"] = (row.total_frames - first.total_frames) / seconds
            scalars["charts/SPS"] = (row.total_steps - first.total_steps) / seconds
        return scalars

    def _append(self, **event: object) -> None:
        if self._file is None:
            self._file = AppendFile(self._new_path(), self._warn)
            self._file.append(_record(file_version="brain.Event:2"))
            if self._purge_step is not None:
                self._file.append(_record(step=self._purge_step, session_log={"status": "START"}))
        self._file.append(_record(**event))

    def _new_path(self) -> Path:
        """Return a name that TensorBoard sorts after the others."""
        start = int(time.time())
        for path in self._directory.glob("events.out.tfevents.*"):
            with contextlib.suppress(ValueError, IndexError):
                start = max(start, int(path.name.split(".")[3]) + 1)
        return self._directory / f"events.out.tfevents.{start:010d}.{socket.gethostname()}"


#: Before the first episode.
_START = Row(0, 0.0, 0, 0, 0.0, 0, 0, 0, 0.0)


def _record(**event: object) -> bytes:
    """Frame an event as TensorBoard reads it.

    The frame is the length, its checksum, the event and its checksum.
    """
    from tensorboardX.proto import event_pb2
    from tensorboardX.record_writer import masked_crc32c

    data: bytes = event_pb2.Event(wall_time=time.time(), **event).SerializeToString()
    length = struct.pack("<Q", len(data))
    checks = (struct.pack("<I", masked_crc32c(part)) for part in (length, data))
    return length + next(checks) + data + next(checks)

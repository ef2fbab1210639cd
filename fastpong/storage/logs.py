"""The logs of a run: metrics.csv for people and programs, event files for TensorBoard.

Both grow by whole rows, and outlive a full disk: rows that could not be written stay in memory and
are tried again with the next one.

tensorboardX gives the format (protocol buffers and checksums) but not the writer. Its writer
hands events to a thread through a queue of ten. The first failed write ends the thread, and the
eleventh event after that blocks the run for ever.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fastpong.extras import in_short
from fastpong.storage.files import Warn as Warn
from fastpong.storage.files import reason
from fastpong.storage.opening import open_descriptor
from fastpong.storage.table import cut_table, format_line, parse_line

if TYPE_CHECKING:
    from fastpong.training.stats import EpisodeStats

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
                self._warn(f"{self.path}: {len(self._pending)} rows are lost ({reason(error)})")
        self._pending.clear()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _flush(self) -> None:
        if self._descriptor is None:
            self._descriptor = open_descriptor(self.path, os.O_WRONLY | os.O_CREAT)
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
                f"{self.path}: cannot be written ({reason(error)}); training goes on, the rows "
                "are kept in memory and written when there is room"
            )


def cut_metrics(path: Path, episode: int, warn: Warn) -> list[Row]:
    """Cut metrics.csv back and return its last rows, as ``cut_table`` does.

    ``warn`` hears of episodes up to ``episode`` that have no row.
    """
    gaps = _Gaps(episode)
    rows = cut_table(path, HEADER, gaps.parse, episode, warn, WINDOW + 1)
    gaps.reach(episode + 1)
    if gaps.missing:
        warn(
            f"{path}: has no rows of {gaps.missing:,} episode{'s' * (gaps.missing > 1)}, the first "
            f"is {gaps.first:,}; training goes on, and they stay missing"
        )
    return rows


class _Gaps:
    """Count the episodes up to a last one that have no row.

    missing : their number
    first   : the first of them
    """

    def __init__(self, last: int) -> None:
        self.missing, self.first = 0, 0
        self._next, self._end = 1, last + 1

    def parse(self, line: bytes) -> Row:
        """Parse the next row of the table."""
        row = Row.parse(line)
        self.reach(row.episode)
        self._next = max(self._next, row.episode + 1)
        return row

    def reach(self, episode: int) -> None:
        """Count those before an episode."""
        until = min(episode, self._end)
        if until > self._next:
            self.first = self.first or self._next
            self.missing += until - self._next
            self._next = until


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

    Where tensorboardX or protobuf is broken ``warn`` hears of it once, and nothing is written.
    """

    def __init__(
        self, directory: Path, warn: Warn, rows: Iterable[Row] = (), purge_step: int | None = None
    ) -> None:
        self._directory, self._warn, self._purge_step = directory, warn, purge_step
        self._rows = deque([_START, *rows], maxlen=WINDOW + 1)
        self._file: AppendFile | None = None
        self._failed = False

    def log(self, row: Row, diagnostics: Mapping[str, float]) -> dict[str, float]:
        """Append the scalars of an episode, as one event, and return them."""
        self._rows.append(row)
        scalars = self._scalars(row) | {f"train/{name}": v for name, v in diagnostics.items()}
        self.write(row.total_steps, scalars)
        return scalars

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Append scalars, as one event."""
        if self._failed:
            return
        try:
            self._append(step=step, summary=_summary(scalars))
        except Exception as error:  # of a version that does not fit: of any kind
            self._failed = True
            self._warn(
                f"{self._directory}: nothing can be written for TensorBoard: {in_short(error)}; "
                "training goes on, and metrics.csv has every row; pip install --upgrade "
                "--force-reinstall tensorboardX mends it"
            )

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


def _summary(scalars: Mapping[str, float]) -> object:
    # Imported with the first episode, while the workers play on: 0.05 s that a run's start need
    # not wait for.
    from tensorboardX.proto import summary_pb2

    value = summary_pb2.Summary.Value
    values = [value(tag=tag, simple_value=float(number)) for tag, number in scalars.items()]
    return summary_pb2.Summary(value=values)


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

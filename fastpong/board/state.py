"""The state of the runs, as the page is told it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastpong.board.library import Library, metrics_path, newest_checkpoint
from fastpong.board.metrics import GrowingMetrics, read_tail
from fastpong.pages import words
from fastpong.pages.trainings import returns_chart, throughput_chart
from fastpong.settings.config import Config
from fastpong.storage.finding import CONFIG
from fastpong.storage.logs import Row
from fastpong.storage.reading import is_training
from fastpong.viewing.curves import AXES, WINDOW, PlotError, Record, make_curve

MOST_COMPARED = 8
_RATE_SECONDS = 15.0
_REMEMBERED = 64  # runs whose rows stay in memory


class State:
    """Tell the state of the runs of a library. Calls may come from several threads."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._lock = threading.Lock()
        self._metrics: dict[Path, GrowingMetrics] = {}
        self._about: dict[tuple[Path, int], str] = {}
        self._tails: dict[Path, tuple[tuple[int, int], list[Row]]] = {}

    def tell(self, chosen: Sequence[str], axis: str) -> dict[str, object]:
        """Return the list of runs, and the charts of chosen ones.

        chosen : names of runs. Those that are gone are left out
        axis   : x axis of the curves

        Raises ValueError for another axis or too many runs.
        """
        if axis not in AXES:
            raise ValueError(f"axis: expected one of {', '.join(AXES)}, got {axis[:40]!r}")
        if len(chosen) > MOST_COMPARED:
            raise ValueError(f"run: expected up to {MOST_COMPARED}, got {len(chosen)}")
        runs = self.library.runs()
        records = {
            place: self._guarded_record(runs[name], name)
            for place, name in enumerate(chosen)
            if name in runs
        }
        return {
            "runs": [self._guarded_summary(name, path) for name, path in runs.items()],
            "charts": _charts({n: r for n, r in records.items() if r is not None}, axis),
        }

    def _guarded_record(self, directory: Path, name: str) -> Record | None:
        try:
            return self._record(directory, name)
        except Exception:  # a damaged run costs the others nothing, and its summary says so
            return None

    def _guarded_summary(self, name: str, directory: Path) -> dict[str, object]:
        try:
            return self._summary(name, directory)
        except Exception as error:
            about = f"cannot be read: {type(error).__name__}"
            changed = _changed(directory)
            return {
                "name": name, "training": False, "about": about, "checkpoint": None,
                "changed": changed,
            }  # fmt: skip

    def _record(self, directory: Path, name: str) -> Record | None:
        path = metrics_path(directory)
        if path is None:
            return None
        with self._lock:
            while len(self._metrics) >= _REMEMBERED and path not in self._metrics:
                self._metrics.pop(next(iter(self._metrics)))
            metrics = self._metrics.setdefault(path, GrowingMetrics(path, name))
        return metrics.read()

    def _summary(self, name: str, directory: Path) -> dict[str, object]:
        path = metrics_path(directory)
        rows = self._tail(path) if path else []
        checkpoint = newest_checkpoint(directory)
        training = is_training(directory)
        return {
            "name": name,
            "training": training,
            "about": self._told(directory),
            "checkpoint": int(checkpoint.stem) if checkpoint else None,
            "changed": _changed(path or directory),
            **(_figures(rows, training) if rows else {}),
        }

    def _tail(self, path: Path) -> list[Row]:
        """Return the last rows of a metrics.csv, read again only after a change."""
        try:
            found = path.stat()
        except OSError:
            return []
        key = found.st_mtime_ns, found.st_size
        with self._lock:
            known = self._tails.get(path)
        if known is None or known[0] != key:
            known = key, read_tail(path)
            with self._lock:
                self._tails[path] = known
        return known[1]

    def _told(self, directory: Path) -> str:
        """Return what a run trains, in words."""
        path = directory / CONFIG
        try:
            key = path, path.stat().st_mtime_ns
            with self._lock:
                if key not in self._about:
                    self._about[key] = _about(Config.stored(Config.load(path)))
                return self._about[key]
        except (OSError, ValueError):
            return "settings that cannot be read"


def _about(config: Config) -> str:
    agents = " then ".join(dict.fromkeys(stage.agent for stage in config.stages))
    return f"{agents} on {config.env}"


def _changed(path: Path) -> float:
    """Return when a file was changed, in seconds since 1970."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _figures(rows: Sequence[Row], training: bool) -> dict[str, str]:
    last, recent = rows[-1], rows[-WINDOW:]
    wins = sum(row.score > 0 for row in recent)
    return {
        "episodes": words.count(last.episode),
        "mean": words.points(sum(row.score for row in recent) / len(recent)),
        "won": f"{wins} of {len(recent)}",
        "steps": words.short(last.total_steps),
        "frames": words.short(last.total_frames),
        "time": words.duration(last.wall_seconds),
        "rate": _rate(rows) if training else _average(last),
    }


def _rate(rows: Sequence[Row]) -> str:
    """Return the frames a second of the last seconds."""
    last = rows[-1]
    first = next((r for r in rows if r.wall_seconds >= last.wall_seconds - _RATE_SECONDS), last)
    seconds = last.wall_seconds - first.wall_seconds
    if seconds <= 0:
        return _average(last)
    return f"{words.short((last.total_frames - first.total_frames) / seconds)}/s"


def _average(last: Row) -> str:
    return f"{words.short(last.total_frames / last.wall_seconds)}/s" if last.wall_seconds else ""


def _charts(records: Mapping[int, Record], axis: str) -> dict[str, str]:
    """Return the charts as HTML, empty without runs that have episodes.

    records : by their places among the chosen, which are those of their colours
    """
    curves, told, places = [], [], []
    for place, record in records.items():
        try:
            curves.append(make_curve(record, axis))
            told.append(record)
            places.append(place)
        except PlotError:  # such as a metrics.csv that was put together by hand
            continue
    if not curves:
        return {"returns": "", "throughput": ""}
    return {
        "returns": returns_chart(curves, axis, places=places),
        "throughput": throughput_chart(told, places),
    }

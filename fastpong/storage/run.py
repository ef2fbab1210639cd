"""The directory of a run: its settings, logs and checkpoints, and its resumption.

    config.toml       the settings
    versions.json     of all software that computes, under "resumed" those of every resumption
    metrics.csv       a row per episode
    evaluations.csv   a row per evaluation while it trained, if there are any
    best.safetensors  the weights with the best of these, as fastpong export writes them
    events.out.*      all rows for TensorBoard
    checkpoints/      the newest few
    .lock             held by the process that trains

A disk that fills up while the run goes on costs it nothing but the checkpoints that do not fit, and
``warn`` hears of it. Troubles that can be put right before the training begins are RunErrors.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fastpong.arrays import Arrays
from fastpong.envs.choice import choose_for
from fastpong.settings.config import Config
from fastpong.settings.fields import spelled
from fastpong.storage import checkpoint, verified
from fastpong.storage.checkpoint import Checkpoint, CheckpointError
from fastpong.storage.evaluations import EvaluationRow, Evaluations
from fastpong.storage.files import named, reason, remove_leftovers, write_atomically
from fastpong.storage.finding import CHECKPOINTS, CONFIG, list_runs, origin
from fastpong.storage.lock import LOCK as LOCK
from fastpong.storage.lock import Place, claimed, release
from fastpong.storage.lock import RunError as RunError
from fastpong.storage.logs import Metrics, Row, TensorBoard, Warn, cut_metrics
from fastpong.storage.versions import VERSIONS, read_versions, versions, written_by

if TYPE_CHECKING:
    from fastpong.training.state import TrainerState
    from fastpong.training.stats import EpisodeStats

ROOT = Path("runs")

_WRITTEN = (CONFIG, VERSIONS, "best.safetensors", "tracking.json")
"""Files that are written whole, besides those of checkpoints."""


class _Past(NamedTuple):
    """Hold the past of a resumed run."""

    checkpoint: Checkpoint
    refusals: list[str]
    rows: list[Row]
    total_steps: int


class Run:
    """Log and save an open run.

    Made by ``create`` or ``resume``. It is a context manager that closes itself.

    directory  : of the run
    config     : its settings
    checkpoint : the one to resume from, None for a new run
    refusals   : a sentence for each newer checkpoint that was refused
    warn       : hears of troubles with the disk
    listeners  : are called with the steps so far and the scalars for TensorBoard
    """

    def __init__(
        self, directory: Path, config: Config, lock: int, warn: Warn, past: _Past | None = None
    ) -> None:
        self.directory, self.config = directory, config
        self.checkpoint = past.checkpoint if past else None
        self.refusals = past.refusals if past else []
        self._lock: int | None = lock
        self._place = Place(directory, lock)
        self.listeners: list[Callable[[int, Mapping[str, float]], None]] = []
        self.warn = warn
        self._metrics = Metrics(directory / "metrics.csv", warn)
        rows, purge_step = (past.rows, past.total_steps + 1) if past else ([], None)
        self._tensorboard = TensorBoard(directory, warn, rows, purge_step)
        episode = past.checkpoint.episode if past else None
        self._evaluations = Evaluations(directory, warn, episode)

    @classmethod
    def create(
        cls, directory: str | Path | None, config: Config, *, warn: Warn = warnings.warn
    ) -> Run:
        """Begin a run in a new or empty directory.

        directory : None for one named after the settings and the time

        Raises RunError for a directory that is not empty, in use, or cannot be written.
        """
        given = directory is not None
        directory = Path(directory) if directory is not None else default_directory(config)
        try:
            if given:
                directory.mkdir(parents=True, exist_ok=True)
            else:
                directory = make_own(directory)
            with claimed(directory, warn) as lock:
                if any(path.name != LOCK for path in directory.iterdir()):
                    raise RunError(
                        f"{directory}: expected a new or an empty directory, got one with files; "
                        "resume the run in it, or name another directory"
                    )
                _write_settings(directory, config, _first_versions(config))
                return cls(directory, config, lock, warn)
        except OSError as error:
            raise RunError(f"{directory}: cannot make a run here: {reason(error)}") from error

    @classmethod
    def resume(
        cls,
        directory: str | Path,
        *,
        overrides: Mapping[str, object] | None = None,
        warn: Warn = warnings.warn,
    ) -> Run:
        """Resume a run from its newest whole checkpoint.

        overrides : settings, flat, instead of the run's, none that changes the mathematics

        Rows of the logs from after the checkpoint are cut off. Raises RunError if there is no run,
        no whole checkpoint or one of other settings or of an older version, or if another process
        trains here.
        """
        directory = Path(directory)
        if not (directory / CONFIG).is_file():
            found_here = list_runs(directory) or f"none, no directory with a {CONFIG}"
            raise RunError(f"{directory}: expected a run, got {found_here}")
        try:
            with claimed(directory, warn) as lock:
                remove_leftovers(directory / name for name in _WRITTEN)
                # First: settings of an older version have other names.
                found, refusals = verified.newest(_checkpoints(directory))
                config = _resumed_config(directory, overrides or {})
                past = _past(directory, config, found, refusals, warn)
                return cls(directory, config, lock, warn, past)
        except (CheckpointError, ValueError) as error:
            by = written_by(directory)
            raise RunError(f"{directory}: cannot be resumed: {error}{by}") from error
        except OSError as error:
            raise RunError(f"{directory}: cannot be resumed: {named(error)}") from error

    def begin(self) -> None:
        """Record the settings and versions of a resumption.

        When its workers are there: a run that cannot go on with new settings keeps the old ones.
        """
        if self.checkpoint is None:
            return
        now: dict[str, object] = {"episode": self.checkpoint.episode} | _versions_of(self.config)
        history = read_versions(self.directory)  # lost or edited: not worth a run
        before = history.get("resumed", [])
        history = {**history, "resumed": [*(before if isinstance(before, list) else []), now]}
        try:
            _write_settings(self.directory, self.config, history)
        except OSError as error:
            self.warn(f"{self.directory}: {VERSIONS} cannot be updated: {reason(error)}")

    def log(self, stats: EpisodeStats) -> None:
        """Log an episode, in metrics.csv and for TensorBoard.

        It never fails with the disk.
        """
        row = Row.of(stats)
        self._metrics.log(row)
        self._tell(row.total_steps, self._tensorboard.log(row, stats.diagnostics))

    @property
    def evaluated(self) -> EvaluationRow | None:
        """Return the newest evaluation."""
        return self._evaluations.last

    def log_evaluation(self, row: EvaluationRow) -> None:
        """Log an evaluation, in evaluations.csv and for TensorBoard.

        It never fails with the disk.
        """
        self._evaluations.log(row)
        self._tensorboard.write(row.total_steps, row.scalars)
        self._tell(row.total_steps, row.scalars)

    def _tell(self, step: int, scalars: Mapping[str, float]) -> None:
        for listener in self.listeners:
            listener(step, scalars)

    def save(self, snapshot: TrainerState) -> bool:
        """Save a checkpoint and return the success.

        A disk that fails is a warning. Raises RunError for a directory that was removed or
        replaced, ArithmeticError as ``require_finite``.
        """
        self._require_place()
        self.require_finite(snapshot.arrays)
        self._metrics.sync()  # so that no row is missing that the checkpoint counts
        fields = {
            "counters": snapshot.counters,
            "config": self.config.flat(),
            "agent": self.config.agent,
            "env": self.config.env,
            "seed": self.config.seed,
        }
        episode = snapshot.counters["episode"]
        try:
            checkpoint.save(_checkpoints(self.directory), episode, snapshot.arrays, fields)
        except OSError as error:
            self._require_place()  # it may have gone meanwhile
            self.warn(
                f"{self.directory}: the checkpoint of episode {episode} cannot be saved: "
                f"{named(error)}; the older ones are intact, training goes on"
            )
            return False
        return True

    def _require_place(self) -> None:
        if not self._place.is_there:
            raise RunError(
                f"{self.directory}: was removed or replaced while it was trained, and nothing more "
                "can be saved in it; begin again, or go on with a copy of it"
            )

    def require_finite(self, arrays: Arrays) -> None:
        """Raise ArithmeticError for numbers that are not finite: all trained from them is lost."""
        if (name := verified.not_finite(arrays)) is not None:
            raise ArithmeticError(
                f"{self.directory}: training diverged: {name} has numbers that are not finite; "
                "the older checkpoints are intact; train on from them, or begin again, with a "
                "smaller --learning-rate"
            )

    def close(self) -> None:
        """Write pending rows, close the files, release the directory.

        May be called again.
        """
        self._metrics.close()
        self._tensorboard.close()
        self._evaluations.close()
        if self._lock is not None:
            release(self._lock)
            self._lock = None

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def default_directory(config: Config, seed: str | None = None) -> Path:
    """Return runs/<env>__<agent>__<seed>__<UTC time>.

    seed : another word in its place
    """
    env = config.env.replace("/", "-")
    time = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return ROOT / f"{env}__{config.agent}__{seed or config.seed}__{time}"


def make_own(directory: Path) -> Path:
    """Make a new directory of this name, or of the next free one.

    Two runs may begin in the same second.
    """
    for name in itertools.chain([directory.name], (f"{directory.name}-{n}" for n in range(2, 100))):
        with contextlib.suppress(FileExistsError):
            own = directory.with_name(name)
            own.mkdir(parents=True)
            return own
    raise RunError(f"{directory}: expected a free name, got 99 runs of this one; choose another")


def _versions_of(config: Config) -> dict[str, object]:
    """Return ``versions`` with the emulator that plays."""
    return versions(config.backend) | {"emulator": choose_for(config.env, config.emulator)}


def _first_versions(config: Config) -> dict[str, object]:
    """Return the record of a new run: versions, and where its weights come from."""
    begun = {"init_from": origin(config.init_from)} if config.init_from is not None else {}
    return _versions_of(config) | begun


def _checkpoints(directory: Path) -> Path:
    return directory / CHECKPOINTS


def _write_settings(directory: Path, config: Config, history: Mapping[str, object]) -> None:
    """Write versions.json, then config.toml, the mark of a run."""
    text = json.dumps(history, indent=1) + "\n"
    write_atomically(directory / VERSIONS, text.encode())
    write_atomically(directory / CONFIG, config.to_toml().encode())


def _resumed_config(directory: Path, overrides: Mapping[str, object]) -> Config:
    """Return the run's settings with the overrides.

    Raises RunError for one that may not change.
    """
    try:
        own = Config.stored(Config.load(directory / CONFIG))
    except ValueError as error:
        raise ValueError(f"{directory / CONFIG}: {error}") from error
    config = own.changed(overrides)
    typed = " ".join(spelled(n, v) for n, v in overrides.items() if n != "stages")
    _refuse_changes(directory, own, config, "asked for", typed)
    return config


def _past(
    directory: Path, config: Config, found: Checkpoint, refusals: list[str], warn: Warn
) -> _Past:
    """Compare settings and cut metrics.csv back to the checkpoint."""
    settings = Config.stored(found.manifest["config"])
    _refuse_changes(directory, config, settings, f"in {found.path.name}", "")
    rows = cut_metrics(directory / "metrics.csv", found.episode, warn)
    return _Past(found, refusals, rows, found.manifest["counters"]["total_steps"])


def _refuse_changes(directory: Path, run: Config, other: Config, where: str, typed: str) -> None:
    """Raise RunError for settings that differ, with the command for a new run.

    typed : options of the command that was refused
    """
    again = f"fastpong train {spelled('init_from', directory)} {typed}".rstrip()
    mine, others = run.fixed(), other.fixed()
    for name in mine | others:
        if mine.get(name) != others.get(name):
            raise RunError(
                f"{directory}: {name} is {mine.get(name)!r} in the run's {CONFIG}, "
                f"{others.get(name)!r} {where}; it cannot change within a run; to begin a new run "
                f"with its weights: {again}"
            )

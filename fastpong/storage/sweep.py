"""The directory of a sweep: one run for each of several seeds.

settings.toml         the settings that all runs share
sweep.json            the seeds
initial.safetensors   the weights that all runs begin with, if they are those of a file
seed-N/               the run of seed N
seed-N.log            what it printed
curves.png            the learning curves, in the end
.lock                 held by the process that runs it
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fastpong.settings.config import Config
from fastpong.storage.files import named, write_atomically
from fastpong.storage.lock import LOCK, RunError, claimed
from fastpong.storage.logs import Row
from fastpong.storage.opening import open_regular, read_regular
from fastpong.storage.run import default_directory, make_own

_SETTINGS, _SWEEP, _WEIGHTS = "settings.toml", "sweep.json", "initial.safetensors"
_TAIL_BYTES = 16384
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Sweep:
    """Describe a sweep that this process has locked.

    config : the settings of all runs, but for their seed
    lock   : the descriptor that holds the lock, until ``close``
    """

    directory: Path
    config: Config
    seeds: tuple[int, ...]
    lock: int

    @classmethod
    def create(
        cls,
        directory: Path | None,
        config: Config,
        seeds: Sequence[int],
        weights: bytes | None = None,
    ) -> Sweep:
        """Make the directory of a new sweep.

        directory : None for one under runs/, named after the settings and the time
        weights   : exported, for all runs to begin with

        Raises RunError for a directory that is not empty, in use, or cannot be written.
        """
        try:
            if directory is None:
                directory = make_own(default_directory(config, "sweep"))
            else:
                directory.mkdir(parents=True, exist_ok=True)
            with claimed(directory, warnings.warn) as lock:
                if any(path.name != LOCK for path in directory.iterdir()):
                    raise RunError(
                        f"{directory}: expected a new or an empty directory, got one with files; "
                        "go on with the sweep in it by --resume, or name another directory"
                    )
                if weights is not None:
                    initial = directory.resolve() / _WEIGHTS
                    write_atomically(initial, weights)
                    config = dataclasses.replace(config, init_from=str(initial))
                sweep = cls(directory, config, tuple(seeds), lock)
                sweep.write()
        except OSError as error:
            raise RunError(f"{directory}: cannot make a sweep here: {named(error)}") from error
        return sweep

    @classmethod
    def open(cls, directory: Path) -> Sweep:
        """Read the sweep in a directory.

        Raises RunError for one that is not readable, or in use.
        """
        try:
            with claimed(directory, warnings.warn) as lock:
                seeds = _read_seeds(directory / _SWEEP)
                config = Config.stored(Config.load(directory / _SETTINGS))
                return cls(directory, config, seeds, lock)
        except OSError as error:
            raise RunError(f"{directory}: cannot be resumed as a sweep: {named(error)}") from error
        except ValueError as error:
            raise RunError(f"{directory}: cannot be resumed as a sweep: {error}") from error

    def write(self) -> None:
        """Write the settings, then the seeds, the mark of a sweep."""
        write_atomically(self.settings, self.config.to_toml().encode())
        text = json.dumps({"seeds": self.seeds}) + "\n"
        write_atomically(self.directory / _SWEEP, text.encode())

    def changed(self, config: Config) -> Sweep:
        """Return the sweep with other settings, written.

        Raises RunError for one that no run may change.
        """
        mine, others = self.config.fixed(), config.fixed()
        for name in mine | others:
            if mine.get(name) != others.get(name):
                raise RunError(
                    f"{self.directory}: {name} is {mine.get(name)!r} in this sweep, "
                    f"{others.get(name)!r} asked for; it cannot change within a sweep, begin a new "
                    "one for that"
                )
        sweep = dataclasses.replace(self, config=config)
        sweep.write()
        return sweep

    def close(self) -> None:
        """Release the directory."""
        os.close(self.lock)

    @property
    def settings(self) -> Path:
        """Return the file of the settings, for ``--config``."""
        return self.directory / _SETTINGS

    def run(self, seed: int) -> Path:
        """Return the directory of a run."""
        return self.directory / f"seed-{seed}"

    def log(self, seed: int) -> Path:
        """Return the file of what a run printed."""
        return self.directory / f"seed-{seed}.log"

    def begun(self, seed: int) -> bool:
        """Return whether a run has a checkpoint.

        What a run left that ended before its first one is removed. Raises RunError for one that
        still goes on.
        """
        run = self.run(seed)
        if run.is_dir() and not _saved(run) and not read_rows(run):
            with claimed(run, warnings.warn) as lock:
                if not _saved(run):  # meanwhile
                    shutil.rmtree(run)
            os.close(lock)
        return _saved(run)


def _read_seeds(path: Path) -> tuple[int, ...]:
    """Read the seeds of a sweep.

    Raises ValueError for another file, OSError.
    """
    try:
        seeds = json.loads(read_regular(path, _MAX_BYTES))["seeds"]
        sound = isinstance(seeds, list) and bool(seeds)
        sound = sound and all(type(seed) is int and seed >= 0 for seed in seeds)
    except (ValueError, KeyError, TypeError, RecursionError):
        sound = False
    if not sound or len(set(seeds)) < len(seeds):
        raise ValueError(
            f'{path}: expected {{"seeds": [...]}}, a list of different integers of 0 '
            "or more, got another file"
        )
    return tuple(seeds)


def _saved(run: Path) -> bool:
    return any(run.glob("checkpoints/*.json"))


def read_rows(run: Path, *, newest: bool = False) -> list[Row]:
    """Read a run's metrics.csv, as far as it is written and whole.

    newest : only its end, 100 rows or more
    """
    rows: list[Row] = []
    try:
        with open_regular(run / "metrics.csv") as file:
            start = max(0, file.seek(0, 2) - _TAIL_BYTES) if newest else 0
            file.seek(start)
            lines = file.read().split(b"\n")[1:-1]  # the first is the header or cut off
    except OSError:
        return []
    for line in lines:
        try:
            rows.append(Row.parse(line))
        except ValueError:
            continue
    return rows

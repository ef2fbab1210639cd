"""Runs as others read them, while they are trained or later. Nothing is written or locked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastpong.settings.config import Config
from fastpong.storage.finding import CHECKPOINTS, CONFIG, list_runs
from fastpong.storage.lock import LOCK, RunError
from fastpong.storage.opening import open_regular
from fastpong.storage.versions import read_versions

_LOCKS = Path("/proc/locks")
_PID_BYTES = 32


@dataclass(frozen=True)
class Facts:
    """Hold what a run says of itself.

    versions : of software, as in versions.json, empty if it cannot be read
    training : whether a process trains in it
    """

    directory: Path
    config: Config
    versions: Mapping[str, object]
    training: bool


def read_facts(directory: Path) -> Facts:
    """Read a run's settings and versions.

    Raises RunError if there is no run, or one whose settings cannot be read.
    """
    path = directory / CONFIG
    if not path.is_file():
        if directory.is_dir() and (listed := list_runs(directory)):
            raise RunError(f"{directory}: expected a run, got {listed}")
        raise RunError(
            f"{directory}: expected a run, a directory with a {CONFIG}, found none; name the "
            "directory that training made, by default one under runs/"
        )
    try:
        config = Config.stored(Config.load(path))
    except (ValueError, OSError) as error:
        raise RunError(f"{path}: expected a run's settings: {error}") from error
    return Facts(directory, config, read_versions(directory), is_training(directory))


def is_training(directory: Path) -> bool:
    """Return whether a process trains in a directory.

    The lock is looked up and never taken, not even for a moment: a training that begins in that
    moment would be refused.
    """
    try:
        with open_regular(directory / LOCK) as file:
            found, pid = os.fstat(file.fileno()), int(file.read(_PID_BYTES))
    except (OSError, ValueError):
        return False
    try:
        lines = [line.split() for line in _LOCKS.read_text().splitlines()]
    except OSError:  # another system than Linux
        return _is_alive(pid)
    return any(line[1] == "FLOCK" and line[5].endswith(f":{found.st_ino}") for line in lines)


def checkpoint_paths(directory: Path) -> list[Path]:
    """Return the manifests of a run's checkpoints, the oldest first."""
    found = [path for path in directory.glob(f"{CHECKPOINTS}/*.json") if _is_number(path.stem)]
    return sorted(found, key=lambda path: int(path.stem))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True

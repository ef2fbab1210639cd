"""Trained agents and runs by a path: a run, a checkpoint, exported weights."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import TypeAlias

from fastpong import pretrained
from fastpong.printable import counted
from fastpong.storage import checkpoint, verified
from fastpong.storage.checkpoint import Checkpoint, CheckpointError
from fastpong.storage.kinds import what_is
from fastpong.storage.manifest import CHECKPOINTS as CHECKPOINTS
from fastpong.storage.manifest import CONFIG as CONFIG
from fastpong.storage.opening import read_regular
from fastpong.storage.weights import exported
from fastpong.storage.weights.exported import Exported

Found: TypeAlias = Checkpoint | Exported

SEEDS = "*/seed-*"
"""The runs of sweeps, in a directory of them."""

_SOURCES = (
    "name a run's directory, a checkpoint in its checkpoints/, a file of fastpong export, or "
    f"pretrained weights: {', '.join(pretrained.NAMES)}"
)
_LISTED = 5


def find(path: Path) -> tuple[Found, list[str]]:
    """Load the agent at a path, with the reasons why newer checkpoints were refused.

    path : a run's directory, for its newest whole checkpoint, or a file, or, where no such path
           exists, the name of pretrained weights

    Raises CheckpointError.
    """
    if not path.exists():
        if str(path) in pretrained.NAMES:
            return exported.read(pretrained.path(str(path))), []
        raise CheckpointError(f"{path}: does not exist; {_SOURCES}")
    if path.is_dir():
        inner = path / CHECKPOINTS
        if not inner.is_dir() and (listed := list_runs(path)):
            raise CheckpointError(f"{path}: expected a run, got {listed}")
        if not inner.is_dir() and not any(path.glob("*.json")):
            kind = "another directory" if any(path.iterdir()) else "an empty directory"
            raise CheckpointError(f"{path}: expected a run, got {kind}; {_SOURCES}")
        return verified.newest(inner if inner.is_dir() else path)
    if path.suffix == ".safetensors" and not checkpoint.manifest_path(path).exists():
        return exported.read(path), []
    if path.suffix not in (".json", ".safetensors"):
        raise CheckpointError(_refusal(path))
    return verified.load(path), []


def origin(source: str) -> dict[str, object]:
    """Return the file that weights come from, its sha256 and its episode, for a run's records."""
    found, _ = find(Path(source))
    if isinstance(found, Checkpoint):
        digest = found.manifest["data"]["sha256"]
    else:
        digest = hashlib.sha256(read_regular(found.path)).hexdigest()
    return {"path": str(found.path), "sha256": digest, "episode": found.episode}


def runs(directory: Path) -> list[Path]:
    """Return the runs in a directory that have a checkpoint, the newest first.

    The runs of its sweeps are among them.
    """
    found = [
        (path.stat().st_mtime_ns, path.parent)
        for pattern in ("*", SEEDS)
        for path in directory.glob(f"{pattern}/{CONFIG}")
        if any(path.parent.glob(f"{CHECKPOINTS}/*.json"))
    ]
    return [path for _, path in sorted(found, reverse=True)]


def list_runs(directory: Path) -> str:
    """Describe a directory of runs and name them, the newest first. Empty without any."""
    found = runs(directory)
    if not found:
        return ""
    names = ", ".join(map(str, found[:_LISTED])) + (", ..." if len(found) > _LISTED else "")
    count = counted(len(found), "run")
    return f"a directory with {count}; name one of them, the newest first: {names}"


def run_of(path: Path) -> Path:
    """Return the run that a path in it belongs to: its checkpoint, config.toml and the like.

    Raises CheckpointError for a checkpoint that is not the newest, since a run goes on from that,
    and for exported weights.
    """
    inside = path.parent if path.is_file() or path.name == CHECKPOINTS else path
    directory = inside.parent if inside.name == CHECKPOINTS else inside
    if directory == path or not (directory / CONFIG).is_file():
        return path
    if path.is_file() and (inside.name == CHECKPOINTS or path.suffix == ".safetensors"):
        _check_newest(directory, path)
    return directory


def _check_newest(directory: Path, path: Path) -> None:
    newest = verified.newest(directory / CHECKPOINTS)[0]
    if checkpoint.manifest_path(path).name != newest.path.name:
        raise CheckpointError(
            f"{path}: expected the newest checkpoint of a run, since a run goes on from that, "
            f"{newest.path.name}, got another; to go on from there: fastpong train --resume "
            f"{shlex.quote(str(directory))}; to begin a new run with these weights: fastpong train "
            f"--init-from {shlex.quote(str(path))}"
        )


def _refusal(path: Path) -> str:
    kind = what_is(path)
    if kind.importable:
        return (
            f"{path}: is {kind.name}; to make a run of it: fastpong import "
            f"{shlex.quote(str(path))} runs/imported, then fastpong eval runs/imported"
        )
    return f"{path}: expected an agent, got {kind.name}; {_SOURCES}"

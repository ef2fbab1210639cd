"""The runs below a directory, and nothing outside of it.

A request names a run, and the name is looked up among those that were found. No path is made from a
request. Links are not followed, so a found run lies where it seems to lie.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from fastpong.printable import printable
from fastpong.storage.finding import CONFIG
from fastpong.storage.reading import checkpoint_paths
from fastpong.viewing.curves import METRICS

_DEPTH = 3
"""Directories below the root in which runs are found."""


class Library:
    """Find the runs below a directory.

    root : the directory, resolved. It may be a run itself
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def runs(self) -> dict[str, Path]:
        """Return the directories of the runs there are now, by their names below the root.

        Names are printable: those of other bytes than UTF-8 could not be told to a page.
        """
        if _is_own_file(self.root / CONFIG):
            return {printable(self.root.name): self.root}
        found = sorted(self._below(self.root, _DEPTH))
        return {printable(path.relative_to(self.root).as_posix()): path for path in found}

    def _below(self, directory: Path, depth: int) -> Iterator[Path]:
        try:
            with os.scandir(directory) as found:
                paths = [Path(entry.path) for entry in found if entry.is_dir(follow_symlinks=False)]
        except OSError:  # removed meanwhile, or another user's
            return
        for path in paths:
            if _is_own_file(path / CONFIG):
                yield path
            elif depth > 1:
                yield from self._below(path, depth - 1)


def metrics_path(run: Path) -> Path | None:
    """Return a run's metrics.csv, None if it has none of its own."""
    path = run / METRICS
    return path if _is_own_file(path) else None


def own_checkpoints(run: Path) -> list[Path]:
    """Return the manifests of a run's own checkpoints, the oldest first."""
    return [path for path in checkpoint_paths(run) if _has_own_data(path)]


def newest_checkpoint(run: Path) -> Path | None:
    """Return the manifest of a run's newest checkpoint, None without one of its own."""
    own = own_checkpoints(run)
    return own[-1] if own else None


def _has_own_data(manifest: Path) -> bool:
    files = [manifest, *manifest.parent.glob(f"{manifest.stem}.*safetensors")]
    return len(files) > 1 and all(map(_is_own_file, files))


def _is_own_file(path: Path) -> bool:
    """Return whether a file is where its path says, with no link on the way."""
    try:
        return path.is_file() and path.resolve() == path
    except OSError:
        return False

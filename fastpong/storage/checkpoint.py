"""Checkpoints: arrays and counters on disk, written whole or not at all, verified before use.

A checkpoint is two files, ``<episode:08d>.safetensors`` with the arrays and ``<episode:08d>.json``,
its manifest: schema version, size and sha256 of the data file, names, shapes and dtypes of the
arrays, the caller's own fields, and a digest over all of this. safetensors has no checksum of its
own (a quarter of single-bit flips load silently), hence the manifest's. The sha256 is what joins
the two: a pair that was renamed or copied elsewhere loads.

Both files are written under temporary names and reach the disk before the first rename. The data
file is renamed first and the manifest last, so the checkpoint comes into being at one moment, the
manifest's rename. A crash leaves temporary files. The next save removes them.

Nothing here knows agents or training: arrays and JSON in, arrays and JSON out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from fastpong.arrays import Array, Arrays
from fastpong.storage import tensors
from fastpong.storage.files import TEMPORARY, make_directory, write_files
from fastpong.storage.manifest import (
    CHECKPOINTS,
    DTYPES,
    NAME,
    OWN,
    SCHEMA,
    Fields,
    broken,
    opened,
    read_manifest,
    signed,
)
from fastpong.storage.manifest import CheckpointError as CheckpointError
from fastpong.storage.manifest import OlderVersionError as OlderVersionError

Check: TypeAlias = Callable[[Path, Fields], object]
"""A check of a manifest, of the file named first. Raises CheckpointError."""


@dataclass(frozen=True)
class Checkpoint:
    """Hold a verified checkpoint.

    path   : of the manifest
    arrays : read from the file when asked for, each time anew. See ``tensors.Stored``
    """

    path: Path
    manifest: Fields
    arrays: Arrays

    @property
    def episode(self) -> int:
        """Return the number of episodes before it."""
        return int(self.manifest["episode"])

    def close(self) -> None:
        """Close the file of the arrays, which can no longer be read then."""
        if isinstance(self.arrays, tensors.Stored):
            self.arrays.close()


def save(
    directory: str | Path,
    episode: int,
    arrays: Mapping[str, Array],
    manifest: Mapping[str, object],
    keep: int = 3,
) -> Path:
    """Save a checkpoint and return its manifest's path.

    episode  : the number of episodes so far

    arrays   : name -> array of a numeric dtype, any shape and layout
    manifest : the caller's fields, JSON. Floats come back exactly
    keep     : checkpoints older than the newest ``keep``, this one included, are deleted

    Raises ValueError for values without a stored form (NaN in the manifest, a reserved field, an
    object array), and OSError when the disk fails or is full: then every older checkpoint is
    intact, also one of the same episode, and the temporary files are gone.
    """
    if episode < 0 or keep < 1:
        raise ValueError(f"expected episode >= 0 and keep >= 1, got {episode} and {keep}")
    directory = Path(directory)
    stored = {name: _storable(name, array) for name, array in arrays.items()}
    path = directory / f"{episode:08d}.json"
    target, data = _free_data_path(path), tensors.pieces(stored)
    text = _manifest_text(episode, target.name, data, stored, manifest)
    make_directory(directory)
    _remove_leftovers(directory)
    write_files({target: data, path: [text]})
    _delete_old(directory, episode, keep, target)
    return path


def load(path: str | Path, check: Check | None = None) -> Checkpoint:
    """Load one checkpoint by its manifest or data file.

    check : of the caller's fields, before any array is read

    The manifest's digest and the data's size and sha256 are verified before the data is parsed.
    Both files may have other names than they were saved under, one name but for the suffix. In a
    run's directory the name is the episode. Raises CheckpointError with the expectation, the
    finding and the remedy.
    """
    given = Path(path)
    if given.suffix not in (".json", ".safetensors"):
        raise CheckpointError(
            f"{given}: expected a checkpoint, a file .json or .safetensors; name one of a run's "
            "checkpoints/ directory. Of another program's model fastpong import makes a run"
        )
    path = manifest_path(given)
    if given.exists() and not path.exists():
        raise CheckpointError(
            f"{path}: is missing, without which {given.name} is no checkpoint; use an older one"
        )
    manifest = read_manifest(path)
    _check_number(path, manifest)
    if check is not None:
        check(path, manifest)
    parse = _read_data if given == path else _parse
    return Checkpoint(path=path, manifest=manifest, arrays=parse(given, manifest))


def _check_number(path: Path, manifest: Fields) -> None:
    """Refuse a checkpoint that was copied under another number in a run."""
    match, episode = NAME.fullmatch(path.name), manifest["episode"]
    if match and path.parent.name == CHECKPOINTS and int(match[1]) != episode:
        raise broken(path, f"episode: expected {int(match[1])}, as its name says, got {episode}")


def manifest_path(path: Path) -> Path:
    """Return the path of a checkpoint's manifest.

    path : of the manifest or the data file
    """
    if path.suffix == ".json":
        return path
    stem = path.name.removesuffix(".safetensors").removesuffix(".1")
    return path.with_name(stem + ".json")


def newest(
    directory: str | Path, load: Callable[[Path], Checkpoint] = load
) -> tuple[Checkpoint, list[str]]:
    """Return a directory's newest whole checkpoint and refusals.

    load : loads and checks one

    There is a reason for each newer one that was refused. Raises CheckpointError, with the
    reasons, when none is whole, and OlderVersionError if one of them is of an older version.
    """
    refusals: list[str] = []
    older: OlderVersionError | None = None
    for episode in sorted({number for number, _ in _files(Path(directory))}, reverse=True):
        try:
            return load(Path(directory) / f"{episode:08d}.json"), refusals
        except CheckpointError as error:
            refusals.append(str(error))
            older = error if isinstance(error, OlderVersionError) else older
    if older is not None:
        raise older
    found = "; ".join(refusals) or "there is none"
    raise CheckpointError(
        f"{directory}: expected a whole checkpoint: {found}; begin again in another directory"
    )


def _storable(name: str, array: Array) -> Array:
    array = np.asarray(array)
    if array.dtype.name not in DTYPES:
        raise ValueError(
            f"{name}: expected an array of one of {', '.join(DTYPES)}, got {array.dtype}"
        )
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def _manifest_text(
    episode: int, file: str, data: list[memoryview], arrays: Arrays, fields: Mapping[str, object]
) -> bytes:
    if taken := OWN & fields.keys():
        raise ValueError(f"manifest fields {sorted(taken)} are reserved; rename yours")
    manifest = dict(fields) | {
        "schema": SCHEMA,
        "episode": episode,
        "data": {
            "file": file,
            "bytes": sum(piece.nbytes for piece in data),
            "sha256": tensors.digest(data),
        },
        "arrays": tensors.signature(arrays),
    }
    return signed(manifest)


def _free_data_path(manifest: Path) -> Path:
    """Choose an unused name for the data file.

    Saving an episode again spares its old data file. The old manifest keeps pointing to it until
    the new manifest replaces it.
    """
    stem = manifest.with_suffix("")
    plain, other = stem.with_suffix(".safetensors"), stem.with_suffix(".1.safetensors")
    try:
        used = read_manifest(manifest)["data"]["file"]
    except CheckpointError:
        return plain
    return other if used == plain.name else plain


def _remove_leftovers(directory: Path) -> None:
    """Remove a killed save's temporary files."""
    for path in directory.glob(f"*{TEMPORARY}"):
        if NAME.fullmatch(path.name.removesuffix(TEMPORARY)):
            with contextlib.suppress(OSError):  # what cannot be removed, the save will name
                path.unlink(missing_ok=True)


def _files(directory: Path) -> Iterator[tuple[int, Path]]:
    for path in directory.glob("*"):
        if match := NAME.fullmatch(path.name):
            yield int(match[1]), path


def _delete_old(directory: Path, episode: int, keep: int, data: Path) -> None:
    """Delete all but the newest ``keep`` checkpoints.

    They count up to ``episode``, just saved with ``data``. Higher episodes can only be refused ones
    of an abandoned future: they must not crowd out good ones. A file that cannot be deleted now is
    tried again by the next save, no reason to call this one failed.
    """
    files = [(number, path) for number, path in _files(directory) if number <= episode]
    kept = sorted({number for number, _ in files})[-keep:]
    for number, path in files:
        replaced = number == episode and path.suffix != ".json" and path != data
        if number not in kept or replaced:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _read_data(path: Path, manifest: Fields) -> Arrays:
    """Parse the data file of the manifest at ``path``.

    It has the name that it was saved under, or that of the manifest.
    """
    named, renamed = path.with_name(manifest["data"]["file"]), path.with_suffix(".safetensors")
    try:
        return _parse(named, manifest)
    except CheckpointError:
        if named == renamed or not renamed.exists():
            raise
    return _parse(renamed, manifest)


def _parse(path: Path, manifest: Fields) -> Arrays:
    """Verify the data file, and keep it open for its arrays."""
    size, digest = manifest["data"]["bytes"], manifest["data"]["sha256"]
    descriptor, found = opened(path)
    # Closed with the object, also after an error.
    arrays = tensors.Stored(descriptor, manifest["arrays"], lambda reason: broken(path, reason))
    if found != size:
        raise broken(path, f"expected {size} bytes, got {found}")
    if arrays.nbytes != size:
        raise broken(path, f"expected arrays of {size} bytes in all, got {arrays.nbytes}")
    if (actual := arrays.digest()) != digest:
        raise broken(path, f"was altered: expected sha256 {digest}, got {actual}")
    if (difference := arrays.difference()) is not None:
        raise broken(path, difference)
    return arrays

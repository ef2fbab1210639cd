"""The manifest of a checkpoint: one table of its fields, and its one form as text.

``HEAD`` are the fields of every manifest, ``RUN`` those of a run's. A manifest is checked against
these tables before anything in it is used, and before any array is read. Its text is JSON in a
canonical form, with a digest over all of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from fastpong.printable import brief
from fastpong.storage import tensors
from fastpong.storage.files import reason
from fastpong.storage.opening import open_descriptor, read_regular

#: Version of the format. fastpong 0.1 wrote 1, with settings of other names.
SCHEMA = 2
#: A manifest is a few kilobytes. A larger one is refused unread.
MAX_MANIFEST_BYTES = 16 << 20
DTYPES = tuple(tensors.NAMES)
NAME = re.compile(r"([0-9]{8,18})(\.1)?\.(json|safetensors)")
"""Names of a run's checkpoints."""

CONFIG, CHECKPOINTS = "config.toml", "checkpoints"
"""Names in a run's directory."""

Fields: TypeAlias = dict[str, Any]
"""A manifest, or a part of it: JSON."""


class CheckpointError(Exception):
    """Report a checkpoint missing, cut short, altered or unknown."""


class OlderVersionError(CheckpointError):
    """Report a checkpoint of an older version of fastpong."""


class Field(NamedTuple):
    """Describe a field: its values in words, and a test of them."""

    expected: str
    fits: Callable[[Any], bool]


_MOST = 1e15  # of what is counted in steps, points or seconds: floats are exact up to there
_RECENT = 100
_HEX = re.compile(r"[0-9a-f]{64}")
_MISSING = object()


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and -_MOST <= value <= _MOST  # type: ignore[operator]


def _is_array(value: object) -> bool:
    """Return whether a value describes an array."""
    if not isinstance(value, dict) or value.keys() != {"shape", "dtype"}:
        return False
    shape = value["shape"]
    return (
        value["dtype"] in DTYPES
        and isinstance(shape, list)
        and len(shape) <= 32
        and all(type(n) is int and 0 <= n <= 1 << 40 for n in shape)
    )


COUNT = Field(
    f"an integer from 0 to {_MOST:g}",
    lambda value: type(value) is int and 0 <= value <= _MOST,
)
NUMBER = Field("a finite number", _is_number)
SECONDS = Field(
    "a finite number of 0 or more", lambda value: _is_number(value) and bool(value >= 0)
)
TABLE = Field("a table", lambda value: isinstance(value, dict))
TEXT = Field("text", lambda value: isinstance(value, str))
DIGEST = Field("a sha256", lambda value: isinstance(value, str) and bool(_HEX.fullmatch(value)))

HEAD: Mapping[str, Field] = {
    "episode": COUNT,
    "data": TABLE,
    "data.file": Field(
        "the name of a file beside it",
        lambda value: isinstance(value, str) and value not in ("", ".", "..")
        and Path(value).name == value and "\0" not in value,
    ),
    "data.bytes": COUNT,
    "data.sha256": DIGEST,
    "arrays": Field(
        "a table of arrays, each with a shape and a dtype",
        lambda value: isinstance(value, dict) and all(map(_is_array, value.values())),
    ),
    "digest": DIGEST,
}  # fmt: skip
"""Fields of every manifest, those of tables inside it behind a dot."""

RUN: Mapping[str, Field] = {
    "agent": TEXT,
    "env": TEXT,
    "seed": Field("an integer of 0 or more", lambda value: type(value) is int and value >= 0),
    "config": TABLE,
    "counters": TABLE,
    **{
        f"counters.{name}": COUNT
        for name in ("task", "episode", "update", "total_steps", "total_frames")
    },
    "counters.running_mean": Field(
        "a finite number, or null", lambda value: value is None or _is_number(value)
    ),
    "counters.recent": Field(
        f"a list of up to {_RECENT} finite numbers",
        lambda value: isinstance(value, list) and len(value) <= _RECENT
        and all(map(_is_number, value)),
    ),
    "counters.wall_seconds": SECONDS,
    "counters.cpu_seconds": SECONDS,
}  # fmt: skip
"""Fields of the manifest of a run's checkpoint besides these."""

OWN = frozenset({"schema", *(name for name in HEAD if "." not in name)})
"""Names that a caller's fields may not have."""

_HEADER_BYTES = 1 << 20  # of a safetensors file, at most, and a KB an array


def read_manifest(path: Path) -> Fields:
    """Read a manifest and check the fields of every manifest.

    Raises CheckpointError, OlderVersionError for one of an older version.
    """
    raw = read(path, MAX_MANIFEST_BYTES)
    try:
        manifest = json.loads(raw)
        schema = manifest["schema"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise broken(path, "is not a checkpoint's manifest") from error
    if type(schema) is int and schema < SCHEMA:
        raise OlderVersionError(
            f"{path}: is from an older version of fastpong (schema {schema}, expected {SCHEMA}), "
            "whose runs cannot be resumed or played; begin a new one, or use the fastpong that "
            "wrote it"
        )
    if type(schema) is not int or schema != SCHEMA:
        raise CheckpointError(
            f"{path}: expected schema {SCHEMA}, got {brief(schema)}; use the fastpong that wrote it"
        )
    # Compared byte for byte: a digest of the values alone would let 1e-05 become 1E-05.
    try:
        intact = manifest.get("digest") == digest(manifest) and render(manifest) == raw
    except (ValueError, RecursionError) as error:
        raise broken(path, "is not a checkpoint's manifest") from error
    if not intact:
        raise broken(path, "was altered: its digest does not fit its content")
    check(path, manifest, HEAD)
    _check_size(path, manifest)
    return dict(manifest)


def check(path: Path, manifest: Mapping[str, object], fields: Mapping[str, Field]) -> None:
    """Raise CheckpointError for the first field that is missing or ill-typed."""
    for name, field in fields.items():
        found: object = manifest
        for part in name.split("."):
            found = found.get(part, _MISSING) if isinstance(found, Mapping) else _MISSING
        if not field.fits(found):
            got = "none" if found is _MISSING else brief(found)
            raise broken(path, f"{name}: expected {field.expected}, got {got}")


def _check_size(path: Path, manifest: Fields) -> None:
    """Raise CheckpointError for a data file that is not of its arrays' size."""
    size, arrays = manifest["data"]["bytes"], manifest["arrays"].values()
    least = sum(math.prod(array["shape"]) * np.dtype(array["dtype"]).itemsize for array in arrays)
    most = least + _HEADER_BYTES + 1024 * len(arrays)
    if not least <= size <= most:
        raise broken(
            path, f"data.bytes: expected {least} and a header, the bytes of its arrays, got {size}"
        )
    if size > (limit := _memory()):
        raise broken(
            path, f"data.bytes: expected at most this machine's memory, {limit}, got {size}"
        )


def _memory() -> int:
    """Return the bytes of memory of this machine."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # unknown here
        return 1 << 40


def broken(path: Path, found: str) -> CheckpointError:
    """Return the refusal of a checkpoint, with the way on."""
    # A file that nobody named like a checkpoint may be anything: no older one would help.
    ours = path.parent.name == CHECKPOINTS or NAME.fullmatch(path.name)
    way = "use an older checkpoint" if ours else "name a run, or a checkpoint in its checkpoints/"
    return CheckpointError(f"{path}: {found}; {way}")


def read(path: Path, limit: int) -> bytes:
    """Return the bytes of a checkpoint's file.

    Raises CheckpointError for one that is missing, is no regular file or has more than ``limit``.
    """
    with _readable(path):
        return read_regular(path, limit)


def opened(path: Path) -> tuple[int, int]:
    """Open a checkpoint's file, and return its descriptor and size.

    Raises CheckpointError as ``read``.
    """
    with _readable(path):
        descriptor = open_descriptor(path, os.O_RDONLY)
        return descriptor, os.fstat(descriptor).st_size


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise broken(path, "is missing") from error
    except OSError as error:
        raise broken(path, f"cannot be read ({reason(error)})") from error


def render(manifest: Mapping[str, object]) -> bytes:
    """Write JSON in its one canonical form.

    Python's floats survive it bit for bit.
    """
    text = json.dumps(manifest, sort_keys=True, indent=1, allow_nan=False, default=_plain)
    return text.encode("ascii") + b"\n"


def digest(manifest: Mapping[str, object]) -> str:
    """Return the sha256 of all fields but the digest."""
    rest = {name: value for name, value in manifest.items() if name != "digest"}
    return hashlib.sha256(render(rest)).hexdigest()


def signed(manifest: Mapping[str, object]) -> bytes:
    """Write a manifest with its digest."""
    return render({**manifest, "digest": digest(manifest)})


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise ValueError(f"manifest: expected JSON values, got a {type(value).__name__}")

"""What a file is, by its first bytes and its name, for messages about foreign files."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import NamedTuple

from fastpong.storage.opening import open_regular


class Kind(NamedTuple):
    """Describe a file.

    name       : with an article, as in "an ONNX model"
    importable : fastpong import may find a reference program's weights in it
    known      : it is of that kind for certain
    """

    name: str
    importable: bool = False
    known: bool = True


_PICKLE = Kind("a pickle", True)
_NPZ = Kind("NumPy's .npz", True)
_KERAS = Kind("a whole model of Keras 3, .keras", True)
_SIGNATURES = (
    (b"\x89HDF\r\n\x1a\n", Kind("an HDF5 file, as Keras writes", True)),
    (b"\x1f\x8b", Kind("a gzip file", True)),
    (b"\x93NUMPY", Kind("one NumPy array, .npy")),
    (b"\x89PNG", Kind("a PNG picture")),
    (b"GIF8", Kind("a GIF picture")),
    (b"%PDF", Kind("a PDF document")),
    (b"\x7fELF", Kind("a program")),
    (b"BZh", Kind("a bzip2 file, unpack it first")),
    (b"\xfd7zXZ", Kind("an xz file, unpack it first")),
    (b"(\xb5/\xfd", Kind("a zstd file, unpack it first")),
)
_SUFFIXES = {
    ".onnx": Kind("an ONNX model, which onnxruntime plays"),
    ".toml": Kind("settings in TOML, for fastpong train --config"),
    ".csv": Kind("a table, for fastpong plot"),
    ".json": Kind("JSON that is no checkpoint's manifest"),
    ".safetensors": Kind("a safetensors file"),
    ".pt": Kind("a PyTorch file"),
    ".pth": Kind("a PyTorch file"),
}
_PICKLED = re.compile(rb"\x80[\x01-\x05]|\(dp|\(lp|c[\w.]+\n\w+\n")


def what_is(path: Path) -> Kind:
    """Tell what kind of file it is. Nothing in it is executed or unpacked."""
    if path.is_dir():
        return Kind("a directory")
    try:
        if not path.is_file():
            return Kind("no ordinary file")
        with open_regular(path) as file:
            start = file.read(256)
        return _by_start(path, start)
    except OSError as error:
        return Kind(f"a file that cannot be read ({error.strerror})")


def _by_start(path: Path, start: bytes) -> Kind:
    if not start:
        return Kind("an empty file")
    if start.startswith(b"PK\x03\x04"):
        return _zip(path)
    for signature, kind in _SIGNATURES:
        if start.startswith(signature):
            return kind
    if (known := _SUFFIXES.get(path.suffix.lower())) is not None:
        return known
    if _PICKLED.match(start):
        return _PICKLE
    return Kind(f"a file of an unknown kind, {path.suffix or 'without an ending'}", known=False)


def _zip(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return Kind("a damaged zip file")
    if any(name.endswith(".npy") for name in names):
        return _NPZ
    if "model.weights.h5" in names:
        return _KERAS
    if "policy.pth" in names:
        return Kind("a model of Stable-Baselines3")
    if any(name.endswith("data.pkl") for name in names):
        return Kind("a PyTorch file")
    return Kind("a zip file")

"""Weights from and to other programs, by the format of the file."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastpong.arrays import Array
from fastpong.printable import summary
from fastpong.storage.files import write_atomically
from fastpong.storage.kinds import what_is
from fastpong.storage.weights import exported, onnx
from fastpong.storage.weights import keras as keras_weights
from fastpong.storage.weights.pickle import (
    MAX_FILE_BYTES,
    ForeignError,
    read_arrays,
    read_file,
    read_pickled,
)

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"


@dataclass(frozen=True)
class Foreign:
    """Hold weights of another program.

    settings : of the agent, as the weights imply them
    """

    agent: str
    settings: dict[str, int | bool]
    parameters: dict[str, Array]


def read(path: str | Path) -> Foreign:
    """Read a reference program's pickle or Keras weights.

    The pickle may be an .npz of the same arrays. Pickle and Keras's file may be inside a gzip file.

    Raises ForeignError, which names what the file is.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        raise ForeignError(
            f"{path}: expected a file of a reference program, save.p or .h5; weights of fastpong "
            "itself begin a new run by fastpong train --init-from"
        )
    if not (kind := what_is(path)).importable and kind.known:
        raise ForeignError(
            f"{path}: expected a file of a reference program, save.p or .npz, or of Keras, .h5 or "
            f".keras, got {kind.name}"
        )
    data = read_file(path)
    return _of_bytes(path, _unpacked(path, data) if data.startswith(_GZIP) else data)


def _of_bytes(path: Path, data: bytes) -> Foreign:
    if data.startswith(keras_weights.SIGNATURE):
        return _of_keras(path, data)
    if data.startswith(_ZIP):
        return _of_zip(path, data)
    return _of_model(read_pickled(path, data))


def _unpacked(path: Path, data: bytes) -> bytes:
    try:
        with gzip.open(io.BytesIO(data)) as file:
            found = file.read(MAX_FILE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ForeignError(
            f"{path}: expected a gzip file, got a damaged one ({summary(error)})"
        ) from error
    if len(found) > MAX_FILE_BYTES:
        raise ForeignError(f"{path}: expected at most {MAX_FILE_BYTES} bytes in it, got more")
    return found


def _of_zip(path: Path, data: bytes) -> Foreign:
    """Read NumPy's .npz, or Keras's whole model."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_FILE_BYTES:
                raise ForeignError(f"{path}: expected at most {MAX_FILE_BYTES} bytes in it")
            names = archive.namelist()
            if keras_weights.MEMBER in names:
                return _of_keras(path, archive.read(keras_weights.MEMBER))
            wanted = [name for name in names if name.endswith(".npy")]
            found = {name.removesuffix(".npy"): archive.read(name) for name in wanted}
    except ForeignError:
        raise
    except Exception as error:  # an archive that is made to harm raises anything
        raise ForeignError(
            f"{path}: expected NumPy's .npz, got a damaged one ({summary(error)})"
        ) from error
    return _of_model(read_arrays(path, found))


def _of_model(model: Mapping[str, Array]) -> Foreign:
    # The reference keeps a row per hidden unit, we a row per pixel.
    parameters = {"w1": np.ascontiguousarray(model["W1"].T), "w2": model["W2"]}
    return Foreign("karpathy", {"hidden": len(model["W2"])}, parameters)


def _of_keras(path: Path, data: bytes) -> Foreign:
    parameters = keras_weights.read(path, data)
    return Foreign("keras", {"image_conv": parameters["kernel"].shape[2] == 1}, parameters)


def write(
    path: str | Path,
    agent: str,
    settings: Mapping[str, object],
    parameters: Mapping[str, Array],
    about: Mapping[str, object] | None = None,
) -> None:
    """Write an agent's parameters for another program.

    The suffix .h5 is for Keras and the agent keras, .safetensors for anybody, see ``exported``,
    .onnx for runtimes of ONNX, see ``onnx``. Whole or not at all. Raises ForeignError, OSError.

    about : more metadata of a .safetensors or .onnx file, for the latter with ``frame_spread``
    """
    path = Path(path)
    metadata = {"agent": agent, "settings": dict(settings), **(about or {})}
    if path.suffix == ".safetensors":
        write_atomically(path, exported.dump(parameters, metadata))
    elif path.suffix == ".onnx":
        write_atomically(path, onnx.dump(agent, parameters, metadata))
    elif path.suffix != ".h5":
        raise ForeignError(
            f"{path}: expected a name ending in .safetensors or .onnx, or for Keras in .weights.h5 "
            f"or .h5"
        )
    elif agent != "keras":
        raise ForeignError(
            f"{path}: expected a run of agent keras, got one of {agent}, which Keras's reference "
            f"has no model for; name a .safetensors file"
        )
    else:
        keras_weights.write(path, parameters)

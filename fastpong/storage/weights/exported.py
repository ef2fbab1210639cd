"""Exported weights: a safetensors file that other programs read, and fastpong too.

The arrays have the names and shapes that the agent's class describes. The metadata "fastpong" is
JSON:

    agent, settings : the agent's name, and its settings
    config, stage   : the settings of the run, as in its config.toml, and the number of the stage
    frame_skip      : the numbers of frames that a step may take
    frame_spread    : steps from one compared screen to the next
    episode, steps  : of the run so far
    trained         : of pretrained weights: the command that trained them, and their evaluation

Weights may be stored in float16, or as int8 with float32 factors, one for each column, in an array
of the same name with ".scale" at its end. Whoever reads the file multiplies.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from fastpong.arrays import Array, Arrays
from fastpong.printable import summary
from fastpong.storage.checkpoint import CheckpointError
from fastpong.storage.files import reason
from fastpong.storage.manifest import COUNT, TABLE, Field, check
from fastpong.storage.opening import read_regular

KEY = "fastpong"
SCALE = ".scale"
FIELDS: Mapping[str, Field] = {"config": TABLE, "stage": COUNT, "episode": COUNT, "steps": COUNT}
"""Fields of the metadata that are needed."""

MAX_BYTES = 1 << 30
"""Of a file. The largest network of all settings takes less."""


@dataclass(frozen=True)
class Exported:
    """Hold exported weights.

    about  : the metadata, see above
    arrays : by name, as they are stored
    """

    path: Path
    about: Mapping[str, Any]
    arrays: dict[str, Array]

    @property
    def episode(self) -> int:
        """Return the number of episodes before it."""
        return int(self.about["episode"])

    def parameters(self, dtype: str) -> dict[str, Array]:
        """Return the weights in a dtype.

        Raises ValueError for other arrays than those of floats, and of int8 with factors.
        """
        return {
            name: _unpacked(name, self.arrays, dtype)
            for name in self.arrays
            if not name.endswith(SCALE)
        }


def dump(parameters: Arrays, about: Mapping[str, object]) -> bytes:
    """Return the bytes of a file."""
    # One entry: of several the order would be another one every time.
    metadata = {KEY: json.dumps(about)}
    arrays = {name: np.ascontiguousarray(array) for name, array in parameters.items()}
    return bytes(safetensors.numpy.save(arrays, metadata))


def read(path: Path) -> Exported:
    """Read exported weights.

    Raises CheckpointError for any other file.
    """
    try:
        data = read_regular(path, MAX_BYTES)
        text = _metadata(data).get(KEY)
        arrays = {name: np.array(array) for name, array in safetensors.numpy.load(data).items()}
        about = json.loads(text) if text else None
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: is missing; name a file of fastpong export") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({reason(error)}); name another") from error
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: is not readable as safetensors ({summary(error)}); export the run again"
        ) from error
    if not isinstance(about, dict):
        raise CheckpointError(
            f"{path}: expected a file of fastpong export, or a checkpoint beside its manifest "
            f"{path.stem}.json; found neither in it"
        )
    if missing := FIELDS.keys() - about.keys():
        raise CheckpointError(
            f"{path}: expected a file of this fastpong's export, got one without "
            f"{', '.join(sorted(missing))}; export the run again"
        )
    check(path, about, FIELDS)
    return Exported(path, about, arrays)


def _metadata(data: bytes) -> dict[str, str]:
    """Return the metadata of a safetensors file, which its reader of bytes leaves out."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    found = header.get("__metadata__", {}) if isinstance(header, dict) else {}
    return found if isinstance(found, dict) else {}


def pack(parameters: Arrays) -> dict[str, Array]:
    """Return matrices as int8 with factors, and the rest as float32.

    A factor is 1/127 of the largest absolute value of a column, 1 of a column of zeros. The error
    of a weight is at most half of it.
    """
    packed: dict[str, Array] = {}
    for name, array in parameters.items():
        if array.ndim < 2 or array.size < 1024:
            packed[name] = array.astype(np.float32)
            continue
        largest = np.abs(array).reshape(-1, array.shape[-1]).max(0)
        scale = np.where(largest > 0, largest / 127, 1).astype(np.float32)
        packed[name] = np.rint(array / scale).astype(np.int8)
        packed[name + SCALE] = scale
    return packed


def _unpacked(name: str, arrays: Arrays, dtype: str) -> Array:
    array, scale = arrays[name], arrays.get(name + SCALE)
    with np.errstate(all="ignore"):  # who uses the weights checks that they are finite
        if scale is None and array.dtype.kind == "f":
            return array.astype(dtype)
        if scale is not None and array.dtype == np.int8 and scale.shape == array.shape[-1:]:
            return (array.astype(np.float64) * scale).astype(dtype)
    raise ValueError(f"{name}: expected floats, or int8 with {name}{SCALE}, got {array.dtype}")

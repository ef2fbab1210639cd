"""Weights from and to other programs, by the format of the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastpong.arrays import Array
from fastpong.storage.files import write_atomically
from fastpong.storage.weights import exported, onnx
from fastpong.storage.weights import keras as keras_weights
from fastpong.storage.weights.pickle import ForeignError, read_reference_pickle


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

    Raises ForeignError.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        raise ForeignError(
            f"{path}: expected a file of a reference program, save.p or .h5; to go on with a run "
            "of your own: fastpong train --resume"
        )
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(keras_weights.SIGNATURE)) == keras_weights.SIGNATURE:
                return _read_keras(path)
    return _read_pickle(path)


def _read_pickle(path: Path) -> Foreign:
    model = read_reference_pickle(path)
    # The reference keeps a row per hidden unit, we a row per pixel.
    parameters = {"w1": np.ascontiguousarray(model["W1"].T), "w2": model["W2"]}
    return Foreign("karpathy", {"hidden": len(model["W2"])}, parameters)


def _read_keras(path: Path) -> Foreign:
    parameters = keras_weights.read(path)
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

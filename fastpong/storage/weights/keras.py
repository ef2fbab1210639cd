"""Weights of the convolutional agent in Keras's HDF5 files, both layouts, by h5py alone.

    *.weights.h5   Keras 3's: layers/<class>[_<k>]/vars/<n>, in the order of the model
    *.h5           the older one: groups named in the attribute layer_names, arrays in weight_names

A whole model has the same in it: *.keras a file of the first kind in a zip, *.h5 a group
model_weights of the second kind.

Keras itself chooses the layout by the file's name, and so does ``write``. ``read`` looks inside. It
reads floating-point arrays of the network's shapes and nothing else.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from fastpong.agents.keras.agent import shapes
from fastpong.arrays import Array
from fastpong.extras import how_to_install, unusable
from fastpong.kernels import NETWORK
from fastpong.printable import summary
from fastpong.storage.files import write_atomically
from fastpong.storage.weights.pickle import ForeignError

Untyped: TypeAlias = Any
"""An object of h5py, imported only when needed and without types."""

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MEMBER, _WHOLE = "model.weights.h5", "model_weights"
"""The weights in a whole model: the file in a .keras, the group in an .h5."""
# The layers of the reference's model that have weights, and what Keras calls these.
LAYERS = ("conv2d", "dense", "dense_1", "dense_2")
PARTS = ("kernel", "bias")


def read(path: str | Path, data: bytes) -> dict[str, Array]:
    """Read weights of the reference's model.

    In float64. Its image form is allowed, too. Raises ForeignError for any other file, and without
    h5py.

    path : for messages
    data : the content of the file
    """
    h5py = _h5py()
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            root = _root(h5py, file)
            arrays = [_array(h5py, root, name) for name in _names(h5py, root)]
    except Exception as error:  # a file that is made to harm raises anything
        raise ForeignError(
            f"{path}: expected weights saved by Keras, got a file that cannot be read so "
            f"({summary(error)}); save them again with model.save_weights()"
        ) from error
    found = dict(zip(NETWORK, arrays, strict=False))
    sizes = {name: array.shape for name, array in found.items()}
    if len(arrays) != len(NETWORK) or sizes not in (shapes(False), shapes(True)):
        raise ForeignError(
            f"{path}: expected the eight arrays of the reference's model, {shapes(False)}, "
            f"got {len(arrays)}: {sizes}"
        )
    if not all(np.isfinite(array).all() for array in arrays):
        raise ForeignError(f"{path}: expected finite weights, got NaN or infinity")
    return found


def write(path: str | Path, parameters: Mapping[str, Array]) -> None:
    """Write weights for the reference's model.

    In float32, whole or not at all. Keras goes by the name: .weights.h5 for Keras 3, another .h5
    for the older layout. Raises ForeignError without h5py, OSError as the disk.
    """
    path = Path(path)
    h5py = _h5py()
    layout = _write_keras3 if path.name.endswith(".weights.h5") else _write_older
    arrays = [np.asarray(parameters[name], np.float32) for name in NETWORK]
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        layout(file, arrays)
    write_atomically(path, content.getvalue())


def _write_keras3(file: Untyped, arrays: list[Array]) -> None:
    for layer in ("reshape", "flatten"):  # layers without weights have an empty group
        file.create_group(f"layers/{layer}/vars")
    for k, array in enumerate(arrays):
        file[f"layers/{LAYERS[k // 2]}/vars/{k % 2}"] = array
    file.create_group("vars")


def _write_older(file: Untyped, arrays: list[Array]) -> None:
    names = ("reshape", "conv2d", "flatten", *LAYERS[1:])
    # Text of fixed length, which every h5py gives back as the bytes that old Keras decodes.
    file.attrs["layer_names"] = np.array([name.encode() for name in names], "S")
    file.attrs["backend"], file.attrs["keras_version"] = np.bytes_("tensorflow"), np.bytes_("2.2.4")
    for name in names:
        group = file.create_group(name)
        has_weights = name in LAYERS
        parts = [f"{name}/{part}:0" for part in PARTS] if has_weights else []
        group.attrs["weight_names"] = np.array([part.encode() for part in parts], "S")
        for k, part in enumerate(parts):
            group[part] = arrays[2 * LAYERS.index(name) + k]


def _root(h5py: Untyped, file: Untyped) -> Untyped:
    """Return what holds the weights: the file, or a group of a whole model."""
    inside = isinstance(file.get(_WHOLE, getlink=True), h5py.HardLink)
    return file[_WHOLE] if inside else file


def _names(h5py: Untyped, file: Untyped) -> list[str]:
    """Return the weights' paths in the model's order."""
    if "layer_names" in file.attrs:
        layers = [_text(name) for name in file.attrs["layer_names"]]
        return [
            f"{layer}/{_text(part)}"
            for layer in layers
            for part in file[layer].attrs["weight_names"]
        ]
    return [f"layers/{layer}/vars/{k}" for layer in LAYERS for k in (0, 1)]


def _text(name: object) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _array(h5py: Untyped, file: Untyped, name: str) -> Array:
    """Return a dataset of floats.

    Raises ValueError for one in another file or too large.
    """
    parts = name.split("/")
    for k in range(len(parts)):  # no step of the way may lead out of the file
        if not isinstance(file.get("/".join(parts[: k + 1]), getlink=True), h5py.HardLink):
            raise ValueError(f"{name} is missing or a link")
    data = file[name]
    if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external:
        raise ValueError(f"{name} is no array of this file")
    largest = max(math.prod(shape) for shape in shapes(True).values())
    if data.dtype.kind != "f" or math.prod(data.shape) > largest:
        raise ValueError(f"{name} has {data.shape} of {data.dtype}")
    with np.errstate(all="ignore"):  # that all are finite is checked after the casts
        return np.asarray(data[()], np.float64)


def _h5py() -> Untyped:
    try:
        import h5py
    except Exception as error:  # a broken package's own
        raise ForeignError(
            f"Keras's files need h5py, which {unusable('h5py', error)}: {how_to_install('keras')}"
        ) from error
    return h5py

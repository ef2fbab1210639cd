"""Weights from and to other programs: which file is whose, and what it says of the settings.

An agent whose weights other programs have, too, is registered here; one without needs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastpong import keras_weights
from fastpong.foreign import ForeignError, read_reference_pickle

Array = NDArray[Any]


@dataclass(frozen=True)
class Foreign:
    """Weights of another program: the agent's name, the settings they imply, the parameters."""

    agent: str
    settings: dict[str, Any]
    parameters: dict[str, Array]


def read(path: str | Path) -> Foreign:
    """Read the file of a reference program: a pickle, or weights of Keras. Raises ForeignError."""
    path = Path(path)
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(keras_weights.SIGNATURE)) == keras_weights.SIGNATURE:
                return _read_keras(path)
    return _read_pickle(path)


def _read_pickle(path: Path) -> Foreign:
    model = read_reference_pickle(path)
    # The reference keeps a row per hidden unit, we a row per pixel.
    parameters = {"w1": np.ascontiguousarray(model["W1"].T), "w2": model["W2"]}
    return Foreign("pg", {"hidden": len(model["W2"])}, parameters)


def _read_keras(path: Path) -> Foreign:
    parameters = keras_weights.read(path)
    return Foreign("conv", {"image_conv": parameters["kernel"].shape[2] == 1}, parameters)


WRITERS: dict[str, Callable[[Path, Mapping[str, Array]], None]] = {"conv": keras_weights.write}
"""By agent: write its parameters to a file of another program. Raises ForeignError, OSError."""


def write(agent: str, path: str | Path, parameters: Mapping[str, Array]) -> None:
    """Write an agent's parameters for the program that it was taken from."""
    if agent not in WRITERS:
        raise ForeignError(
            f"expected a run of agent {', '.join(WRITERS)}, got one of {agent}, whose weights "
            f"have no other form"
        )
    WRITERS[agent](Path(path), parameters)

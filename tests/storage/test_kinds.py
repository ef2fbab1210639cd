"""What a file is, by its content."""

from __future__ import annotations

import gzip
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fastpong.storage.kinds import what_is


def write(path: Path, kind: str) -> None:
    if kind == "npz":
        np.savez(path, a=np.zeros(2))
    elif kind == "npy":
        np.save(path, np.zeros(2))
    elif kind in ("zip", "sb3", "torch", "keras"):
        members = {"sb3": "policy.pth", "torch": "m/data.pkl", "keras": "model.weights.h5"}
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(members.get(kind, "readme"), b"")
    elif kind == "gzip":
        path.write_bytes(gzip.compress(b"x"))
    elif kind.startswith("pickle"):
        path.write_bytes(pickle.dumps({"a": 1}, int(kind[-1])))
    else:
        path.write_bytes(b"\x89HDF\r\n\x1a\n" if kind == "hdf5" else kind.encode())


@pytest.mark.parametrize(
    ("kind", "name", "importable"),
    [
        ("pickle0", "a pickle", True),
        ("pickle2", "a pickle", True),
        ("pickle5", "a pickle", True),
        ("npz", "NumPy's .npz", True),
        ("npy", "one NumPy array, .npy", False),
        ("gzip", "a gzip file", True),
        ("hdf5", "an HDF5 file, as Keras writes", True),
        ("keras", "a whole model of Keras 3, .keras", True),
        ("sb3", "a model of Stable-Baselines3", False),
        ("torch", "a PyTorch file", False),
        ("zip", "a zip file", False),
        ("", "an empty file", False),
        ("PK\x03\x04 cut", "a damaged zip file", False),
        ("nonsense", "a file of an unknown kind, .dat", False),
    ],
)
def test_content_decides(tmp_path: Path, kind: str, name: str, importable: bool) -> None:
    path = tmp_path / "file.dat"
    write(path.with_suffix({"npz": ".npz", "npy": ".npy"}.get(kind, ".dat")), kind)
    (path,) = tmp_path.iterdir()
    assert what_is(path)[:2] == (name, importable)


def test_names_decide_where_the_content_does_not(tmp_path: Path) -> None:
    for name, expected in (("a.onnx", "an ONNX model"), ("a.toml", "settings in TOML")):
        (tmp_path / name).write_text("x = 1")
        assert what_is(tmp_path / name).name.startswith(expected)
    assert what_is(tmp_path).name == "a directory"
    assert what_is(tmp_path / "missing").name == "no ordinary file"

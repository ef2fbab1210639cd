"""Weights of the reference programs in other wrappings, and files that have none."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import keras_golden as golden
import numpy as np
import pytest

from fastpong.storage.weights import exchange
from fastpong.storage.weights import keras as keras_weights
from fastpong.storage.weights.pickle import MAX_FILE_BYTES, ForeignError


def model() -> dict[str, Any]:
    rng = np.random.default_rng(5)
    return {"W1": rng.standard_normal((3, 6400)), "W2": rng.standard_normal(3)}


def check(path: Path, expected: dict[str, Any]) -> None:
    found = exchange.read(path)
    assert (found.agent, found.settings) == ("karpathy", {"hidden": 3})
    np.testing.assert_array_equal(found.parameters["w1"], expected["W1"].T)
    np.testing.assert_array_equal(found.parameters["w2"], expected["W2"])


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_in_gzip(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "save.p.gz"
    path.write_bytes(gzip.compress(pickle.dumps(model(), protocol)))
    check(path, model())


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_numpys_npz(tmp_path: Path, save: Any) -> None:
    path = tmp_path / "save.npz"
    save(path, **model(), episode=np.array(7))
    check(path, model())
    with path.open("rb") as file:
        (tmp_path / "save.npz.gz").write_bytes(gzip.compress(file.read()))
    check(tmp_path / "save.npz.gz", model())


@pytest.mark.parametrize("protocol", range(6))
def test_dictionaries_with_more_in_them(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "save.p"
    more = {
        "episode": 12, "running_reward": -20.5, "mean": np.float64(-3.25), "count": np.int64(4),
        "rmsprop_cache": {k: v**2 for k, v in model().items()}, "returns": [1.0, -2, []],
        "name": "mine", "none": None,
    }  # fmt: skip
    path.write_bytes(pickle.dumps(model() | more, protocol))
    check(path, model())
    path.write_bytes(pickle.dumps({"episode": 12, "model": model(), "flags": (True, [])}, protocol))
    check(path, model())


def test_a_network_with_biases_is_another(tmp_path: Path) -> None:
    path = tmp_path / "save.p"
    path.write_bytes(pickle.dumps(model() | {"b1": np.zeros(3)}, 2))
    with pytest.raises(ForeignError, match="expected a dictionary of W1 and W2, got a dictionary"):
        exchange.read(path)
    np.savez(tmp_path / "save.npz", **model(), W3=np.zeros(3))
    with pytest.raises(ForeignError, match="expected a dictionary of W1 and W2"):
        exchange.read(tmp_path / "save.npz")


def test_nothing_is_executed_in_any_wrapping(tmp_path: Path) -> None:
    evil = b"cos\nmkdir\n(V" + str(tmp_path / "owned").encode() + b"\ntR."
    (tmp_path / "a.gz").write_bytes(gzip.compress(evil))
    with pytest.raises(ForeignError, match=r"names 'os' 'mkdir'; nothing of it was executed"):
        exchange.read(tmp_path / "a.gz")
    objects = model() | {"W2": np.array([Evil(tmp_path / "owned")] * 3, object)}
    np.savez(tmp_path / "b.npz", **objects)
    with pytest.raises(
        ForeignError, match=r"expected NumPy's .npz, got a damaged one .*allow_pick"
    ):
        exchange.read(tmp_path / "b.npz")
    assert not (tmp_path / "owned").exists()
    np.load(tmp_path / "b.npz", allow_pickle=True)["W2"]
    assert (tmp_path / "owned").exists()  # the attack is real


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_bombs_are_refused_unpacked(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        for _ in range(MAX_FILE_BYTES >> 20):
            file.write(bytes(1 << 20))
        file.write(b"x")
    with pytest.raises(ForeignError, match="bytes in it, got more"):
        exchange.read(bomb)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("W1.npy", bytes(MAX_FILE_BYTES + 1))
    with pytest.raises(ForeignError, match="bytes in it"):
        exchange.read(tmp_path / "bomb.npz")
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        content, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40, 6400)}
    )
    with zipfile.ZipFile(tmp_path / "shape.npz", "w") as archive:
        for name in ("W1.npy", "W2.npy"):
            archive.writestr(name, content.getvalue())
    with pytest.raises(ForeignError, match="got a damaged one"):
        exchange.read(tmp_path / "shape.npz")


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': (",
        "{'descr': '<f8', 1: 2}",
        "{'descr': (), 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1" + 24 * "0" + ",)}",
        "(" * 5000,
    ],
)
def test_a_header_that_is_made_to_harm_is_refused(tmp_path: Path, header: str) -> None:
    text = header.encode() + b"\n"
    with zipfile.ZipFile(tmp_path / "save.npz", "w") as archive:
        for name in ("W1.npy", "W2.npy"):
            archive.writestr(name, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text)
    with pytest.raises(ForeignError, match=r"save.npz: .* got a damaged one \(W1\.npy: "):
        exchange.read(tmp_path / "save.npz")


@pytest.mark.parametrize("kind", ["complex128", "M8[s]", "bool", "S8", "i4,i4"])
def test_arrays_of_other_things_than_numbers_are_refused(tmp_path: Path, kind: str) -> None:
    np.savez(tmp_path / "save.npz", W1=np.zeros((3, 6400), kind), W2=np.zeros(3))
    with pytest.raises(ForeignError, match="W1: expected an array of numbers, got"):
        exchange.read(tmp_path / "save.npz")


def test_only_the_weights_of_an_npz_are_read(tmp_path: Path) -> None:
    """Others may be of objects, which only a pickle holds."""
    np.savez(tmp_path / "save.npz", **model(), about=np.array([{"episode": 1}], object))
    check(tmp_path / "save.npz", model())


@pytest.mark.parametrize("cut", [3, 12, 200, 3000])
def test_what_is_cut_short_is_refused(tmp_path: Path, cut: int) -> None:
    np.savez_compressed(tmp_path / "whole.npz", **model())
    for name, data in (
        ("a.npz", (tmp_path / "whole.npz").read_bytes()),
        ("a.gz", gzip.compress(pickle.dumps(model(), 2))),
    ):
        (tmp_path / name).write_bytes(data[:cut])
        with pytest.raises(ForeignError, match=name):
            exchange.read(tmp_path / name)


def test_other_objects_are_refused_by_their_name(tmp_path: Path) -> None:
    path = tmp_path / "save.p"
    path.write_bytes(pickle.dumps(OrderedDict(model()), 2))
    with pytest.raises(ForeignError, match="names 'collections' 'OrderedDict'"):
        exchange.read(path)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.png", b"\x89PNG\r\n\x1a\n", "a PNG picture"),
        ("a.onnx", b"\x08\x07", "an ONNX model, which onnxruntime plays"),
        ("a.toml", b"gamma = 0.9", "settings in TOML, for fastpong train --config"),
        ("a.p", b"", "an empty file"),
        ("a.npy", b"\x93NUMPY\x01\x00", "one NumPy array, .npy"),
    ],
)
def test_a_foreign_file_is_named(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ForeignError, match=f"expected a file of a reference program, .*{kind}"):
        exchange.read(tmp_path / name)


# --- whole models of Keras ----------------------------------------------------------------------


@pytest.mark.parametrize("mode", golden.MODES)
def test_a_whole_model_of_keras_3(tmp_path: Path, mode: str) -> None:
    pytest.importorskip("h5py")
    weights = golden.initial_weights(mode)
    keras_weights.write(tmp_path / "w.weights.h5", weights)
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", "{}")
        archive.write(tmp_path / "w.weights.h5", "model.weights.h5")
    found = exchange.read(tmp_path / "model.keras")
    assert (found.agent, found.settings) == ("keras", {"image_conv": mode == "image"})
    for name, array in weights.items():
        np.testing.assert_array_equal(found.parameters[name], array)


@pytest.mark.parametrize("mode", golden.MODES)
def test_a_whole_model_of_older_keras(tmp_path: Path, mode: str) -> None:
    h5py = pytest.importorskip("h5py")
    weights = golden.initial_weights(mode)
    keras_weights.write(tmp_path / "w.h5", weights)
    with h5py.File(tmp_path / "w.h5") as source, h5py.File(tmp_path / "m.h5", "w") as whole:
        whole.attrs["model_config"] = "{}"
        group = whole.create_group("model_weights")
        for name in source:
            source.copy(name, group)
        for name, value in source.attrs.items():
            group.attrs[name] = value
        whole.create_group("optimizer_weights")
    found = exchange.read(tmp_path / "m.h5")
    for name, array in weights.items():
        np.testing.assert_array_equal(found.parameters[name], array)
    (tmp_path / "m.h5.gz").write_bytes(gzip.compress((tmp_path / "m.h5").read_bytes()))
    assert exchange.read(tmp_path / "m.h5.gz").agent == "keras"

"""Weights to and from Keras's files: what h5py reads, what Keras reads, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras_golden as golden
import numpy as np
import pytest
from waiting import PATIENCE

from fastpong.cli import errors as cli
from fastpong.storage.checkpoint import newest
from fastpong.storage.weights import exchange
from fastpong.storage.weights import keras as keras_weights
from fastpong.storage.weights.pickle import ForeignError

h5py = pytest.importorskip("h5py")

NAMES = ("pong.weights.h5", "pong.h5")


def weights(mode: str = "row") -> dict[str, Any]:
    return golden.initial_weights(mode)


@pytest.mark.parametrize("mode", golden.MODES)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_read(tmp_path: Path, name: str, mode: str) -> None:
    keras_weights.write(tmp_path / name, weights(mode))
    found = exchange.read(tmp_path / name)
    assert (found.agent, found.settings) == ("keras", {"image_conv": mode == "image"})
    for key, array in weights(mode).items():
        assert found.parameters[key].dtype == np.float64
        assert np.array_equal(found.parameters[key], array)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_layouts_are_those_of_keras(tmp_path: Path) -> None:
    for name in NAMES:
        keras_weights.write(tmp_path / name, weights())
    with h5py.File(tmp_path / NAMES[0]) as file:
        assert file["layers/conv2d/vars/0"].shape == (6, 6, 80, 32)
        assert file["layers/dense_2/vars/1"].dtype == np.float32
    with h5py.File(tmp_path / NAMES[1]) as file:
        assert [*file.attrs["layer_names"]][1] == b"conv2d"
        assert [*file["dense_1"].attrs["weight_names"]] == [b"dense_1/kernel:0", b"dense_1/bias:0"]


def test_other_names_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ForeignError, match=r"pong\.npz: expected a name ending in .*\.weights\.h5"):
        exchange.write(tmp_path / "pong.npz", "keras", {}, weights())
    with pytest.raises(KeyError):
        keras_weights.write(tmp_path / "pong.h5", {})
    with pytest.raises(OSError):
        keras_weights.write(tmp_path / "nowhere" / "pong.h5", weights())
    assert not list(tmp_path.iterdir())


def spoil(path: Path, how: str) -> None:
    with h5py.File(path, "r+") as file:
        place = "layers/dense/vars/1"
        value = file[place][()]
        del file[place]
        if how == "shape":
            file[place] = value[:-1]
        elif how == "integers":
            file[place] = value.astype(int)
        elif how == "nan":
            file[place] = value * np.nan
        elif how == "huge":
            file.create_dataset(place, shape=(2**40,), dtype="f4", chunks=(1024,))
        elif how == "soft link":
            file[place] = h5py.SoftLink("/layers/dense_1/vars/0")
        elif how == "external link":
            file[place] = h5py.ExternalLink("other.h5", "/x")
        elif how == "raw file":
            raw = [(str(path.with_name("raw")), 0, 256)]
            file.create_dataset(place, shape=(64,), dtype="f4", external=raw)
        elif how == "group":
            file.create_group(place)


@pytest.mark.parametrize(
    "how",
    ["missing", "shape", "integers", "nan", "huge", "soft link", "external link", "raw file",
     "group"],
)  # fmt: skip
def test_spoilt_files_are_refused(tmp_path: Path, how: str) -> None:
    path = tmp_path / NAMES[0]
    keras_weights.write(path, weights())
    keras_weights.write(tmp_path / "other.h5", weights())
    (tmp_path / "raw").write_bytes(bytes(256))
    spoil(path, how)
    with pytest.raises(ForeignError, match=r"pong\.weights\.h5: expected"):
        exchange.read(path)


@pytest.mark.parametrize("keep", [9, 600, 200_000])
def test_truncated_files_are_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / NAMES[0]
    keras_weights.write(path, weights())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ForeignError, match="expected"):
        exchange.read(path)


def test_without_h5py_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keras_weights.write(tmp_path / NAMES[0], weights())
    monkeypatch.setitem(sys.modules, "h5py", None)
    for call in (
        lambda: exchange.read(tmp_path / NAMES[0]),
        lambda: exchange.write(tmp_path / NAMES[1], "keras", {}, weights()),
    ):
        with pytest.raises(ForeignError, match=r'h5py.*pip install "h5py>=3.10"'):
            call()


# --- the command --------------------------------------------------------------------------------


def run(*arguments: object) -> int:
    return cli.run([str(argument) for argument in arguments])


def test_a_run_goes_to_keras_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = ["--agent", "keras", "--env", "PongDeterministic-v4", "--workers", 1]
    assert run("train", *settings, "--episodes", 1, "--run-dir", "a", "--no-progress") == 0
    assert run("export", "a", "pong.weights.h5") == 0
    assert run("export", "a", "pong.weights.h5") == 2
    assert "--overwrite" in capfd.readouterr().err
    assert run("export", "a", "pong.weights.h5", "--overwrite") == 0
    assert run("export", "a", "pong.npz") == 1
    assert run("import", "pong.weights.h5", "b", "--image-conv") == 2
    assert "--image-conv: expected False, the model's" in capfd.readouterr().err
    assert run("import", "pong.weights.h5", "b", "--agent", "karpathy") == 2
    assert run("import", "pong.weights.h5", "b", "--learning-rate", "0.5") == 0
    first, second = (newest(tmp_path / name / "checkpoints")[0] for name in "ab")
    assert second.manifest["config"]["learning_rate"] == 0.5 and second.episode == 0
    for name in golden.NAMES:
        key = f"parameters/0/{name}"
        assert np.array_equal(first.arrays[key], second.arrays[key])
    assert not any(second.arrays[f"state/mean/{name}"].any() for name in golden.NAMES)
    assert run("eval", "b", "--episodes", 1, "--workers", 1) == 0
    assert run("train", "--resume", "b", "--episodes", 1, "--workers", 1, "--no-progress") == 0


def test_runs_of_the_other_agent_have_no_keras_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = ["--env", "PongDeterministic-v4", "--hidden", 2, "--workers", 1]
    assert run("train", *settings, "--episodes", 1, "--run-dir", "a", "--no-progress") == 0
    capfd.readouterr()
    assert run("export", "a", "pong.weights.h5") == 1
    assert "expected a run of agent keras, got one of karpathy" in capfd.readouterr().err
    assert run("export", "a", "pong.pt") == 1
    assert "expected a name ending in .safetensors" in capfd.readouterr().err
    assert not list(tmp_path.glob("pong*"))
    assert run("export", "nowhere", "pong.weights.h5") == 1


# --- Keras --------------------------------------------------------------------------------------

PROGRAM = """
import sys
import numpy as np
import keras_golden as golden
mode, exported, saved = sys.argv[1:]
model = golden.build_model(mode)
model.load_weights(exported)
np.save(saved + ".npy", model.predict(golden.episodes()[0].dense(), verbose=0))
model.set_weights([array / 2 for array in golden.initial_weights(mode).values()])
model.save_weights(saved)
"""


@pytest.mark.keras
@pytest.mark.parametrize("mode", golden.MODES)
@pytest.mark.parametrize("name", NAMES)
def test_keras_reads_ours_and_we_read_keras(tmp_path: Path, name: str, mode: str) -> None:
    pytest.importorskip("torch")
    if subprocess.run([sys.executable, "-P", "-c", "import keras"], env=_environment()).returncode:
        pytest.skip("Keras is not installed")
    keras_weights.write(tmp_path / name, weights(mode))
    saved = tmp_path / "keras.weights.h5"
    command = [sys.executable, "-P", "-c", PROGRAM, mode, str(tmp_path / name), str(saved)]
    subprocess.run(command, env=_environment(), check=True, timeout=PATIENCE)
    with np.load(golden.PATH) as kept:
        want = kept[f"{mode}/float64/probability"][0]
    np.testing.assert_allclose(np.load(f"{saved}.npy"), want, rtol=0, atol=1e-6)
    for key, array in exchange.read(saved).parameters.items():
        assert np.array_equal(array, weights(mode)[key] / 2)


def _environment() -> dict[str, str]:
    return {**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": str(Path(golden.__file__).parent)}

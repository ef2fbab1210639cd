"""Files that are made to harm: every loader takes them or refuses them in one line.

The fuzzers go on for minutes by ``python tests/support/fuzz_files.py SECONDS SEED``.
"""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import fuzz_files
import numpy as np
import pytest
import safetensors.numpy
from commands import complaint, inside

from fastpong.cli import errors as cli
from fastpong.settings.config import Config
from fastpong.storage.checkpoint import CheckpointError
from fastpong.storage.finding import find
from fastpong.training.evaluation import restore

FUZZERS = sorted(fuzz_files.FUZZERS.keys() - {"manifest"})


@pytest.mark.parametrize("name", FUZZERS)
def test_changes_at_random(name: str) -> None:
    assert fuzz_files.FUZZERS[name](0.4, 0) >= 1


def test_a_fault_is_found_and_its_input_saved(tmp_path: Path) -> None:
    def read(path: Path) -> None:
        assert path.read_bytes() != b"bad"

    with pytest.raises(fuzz_files.Fault, match=r"fastpong-fault-probe-0-2\.bin") as caught:
        fuzz_files.run_fuzz("probe", 9, 0, iter([b"good", b"bad"]), ".bin", read, ())
    saved = Path(str(caught.value).partition(": ")[0])
    assert saved.read_bytes() == b"bad"
    saved.unlink()


def model(kind: str, value: float) -> bytes:
    """Return a reference's model with one weight."""
    weights = {"W1": np.zeros((2, 6400)), "W2": np.full(2, value)}
    if kind == "p":
        return pickle.dumps(weights)
    data = io.BytesIO()
    np.savez(data, **weights)
    return data.getvalue()


@pytest.mark.parametrize("kind", ["p", "npz"])
def test_weights_beyond_the_range_of_float32_are_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / f"save.{kind}").write_bytes(model(kind, 1e308))
    done = inside("import", f"save.{kind}", "made", cwd=tmp_path)
    assert "w2: expected finite weights, got NaN or infinity in float32" in complaint(done)
    assert not (tmp_path / "made").exists()
    done = inside("import", f"save.{kind}", "made", "--dtype", "float64", cwd=tmp_path)
    assert done.returncode == 0, done
    done = inside(
        "train", "--init-from", "made", "--dtype", "float32", "--episodes", 1, cwd=tmp_path
    )
    assert "w2: expected finite weights" in complaint(done)


def test_keras_weights_beyond_the_range_of_float32_are_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    from fastpong.agents.keras.agent import shapes
    from fastpong.storage.weights import exchange

    weights = {name: np.zeros(shape) for name, shape in shapes(False).items()}
    path = tmp_path / "w.weights.h5"
    exchange.write(path, "keras", {}, weights)
    with h5py.File(path, "r+") as file:
        name = "layers/dense_2/vars/1"
        shape = file[name].shape
        del file[name]
        file[name] = np.full(shape, 1e308)
    status = cli.run(["import", str(path), str(tmp_path / "made")])
    assert status == 1
    assert not (tmp_path / "made").exists()


def exported(run: Path, change: Any) -> bytes:
    """Return the exported weights of a run, changed."""
    trained = restore(find(run)[0], "numpy")[1]
    arrays = {name: np.array(array) for name, array in trained.items()}
    about = {"config": json.loads(max(run.glob("checkpoints/*.json")).read_text())["config"]}
    about |= {"agent": "karpathy", "stage": 0, "episode": 3, "steps": 9}
    change(arrays, about)
    return bytes(safetensors.numpy.save(arrays, {"fastpong": json.dumps(about)}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda arrays, about: arrays["w1"].fill(np.nan), "w1: expected finite weights"),
        (lambda arrays, about: arrays.update(w2=np.full(4, 1e308)), "w2: expected finite weights"),
        (lambda arrays, about: about.update(stage=-1), "stage: expected an integer from 0"),
        (lambda arrays, about: about.update(stage=10**14), "another kind"),
        (lambda arrays, about: about.update(config={"hidden": 2**62}), "hidden: expected"),
        (lambda arrays, about: about.update(episode="x"), "episode: expected an integer"),
    ],
)
def test_exported_weights_are_checked_alike(
    run: Path, tmp_path: Path, change: Any, words: str
) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(exported(run, lambda arrays, about: None))
    restore(find(path)[0], "numpy")
    path.write_bytes(exported(run, change))
    with pytest.raises(CheckpointError, match=words):
        restore(find(path)[0], "numpy")


HUGE = "9" * 4000
DEEP = 5000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "hidden = 4611686018427387904",
            r"hidden: expected an integer in [1, 16384], got 46116860",
        ),
        (f"hidden = {HUGE}", "hidden: expected an integer in [1, 16384], below 2^63, got 9999"),
        (f"hidden = {'9' * 9000}", "expected a TOML file"),
        (
            f"hidden = 0x{'f' * 9000}",
            "hidden: expected an integer in [1, 16384], below 2^63, got a",
        ),
        ("episodes = 9223372036854775808", "episodes: expected an integer >= 1, below 2^63"),
        (f"gamma = {HUGE}", "gamma: expected a number in [0, 1], got 9999"),
        (f"x = {'[' * DEEP}{']' * DEEP}", "expected a TOML file"),
        (f"{'a.' * DEEP}a = 1", "expected up to 500 dots in a line"),
        (f"hidden.{'a.' * 400}a = 1", "hidden: expected"),
        (f"{'a.' * 400}a = 1", "a: expected a setting, got a table"),
        (f"env = '{'x' * 100_000}'", "env: expected one of"),
        (f"{'x' * 100_000} = 1", "expected a setting of agent karpathy, got an unknown name"),
        ("[[stages]]\n" * 2000, "stages: expected up to 100, got 2000"),
        ("agent = 'ppo'\ncoarse_cells = '" + "4x4:1 " * 1000 + "'", "coarse_cells: expected up to"),
        ("#" * (2 << 20), "expected at most 262144 bytes"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_settings_that_are_made_to_harm_are_one_message(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    # What is not refused ends with the next message: a run has no room in a file.
    assert cli.run(["train", "--config", str(path), "--run-dir", str(path)]) == 2
    message = capfd.readouterr().err
    assert words in message
    assert message.count("\n") == 1
    assert len(message) < 2000
    with pytest.raises((ValueError, OSError)):
        Config.build(Config.load(path))

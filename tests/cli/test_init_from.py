"""``fastpong train --init-from``: a new run with the weights of another agent, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import complaint, inside, rows

import fastpong as api
from fastpong.settings.config import Config
from fastpong.storage import checkpoint
from fastpong.training.trained import read_trained

PPO = (
    "--agent", "ppo", "--env", "PongDeterministic-v4", "--hidden", 8, "--n-envs", 2,
    "--n-steps", 64, "--workers", 1, "--episodes", 1,
)  # fmt: skip


@pytest.fixture(scope="module")
def ppo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("ppo")
    done = inside("train", *PPO, "--run-dir", "run", cwd=home)
    assert done.returncode == 0, done
    return home / "run"


def first(run: Path) -> dict[str, Any]:
    """Return the arrays of a run's checkpoint before training."""
    return checkpoint.load(run / "checkpoints" / "00000000.json").arrays


def newest(run: Path) -> dict[str, Any]:
    return checkpoint.newest(run / "checkpoints")[0].arrays


def test_a_run_begins_with_the_weights_of_another_and_its_settings(
    trained: tuple[Path, str], tmp_path: Path
) -> None:
    run = trained[0]
    changed = ("--learning-rate", "5e-4", "--gamma", "0.5", "--episodes", 2)
    done = inside("train", "--init-from", run, *changed, "--run-dir", "new", cwd=tmp_path)
    assert done.returncode == 0, done
    source = checkpoint.newest(run / "checkpoints")[0]
    assert f"begins with the weights of {source.path}, after 3 episodes\n" in done.stdout
    new = tmp_path / "new"
    arrays, before = first(new), source.arrays
    for name in ("w1", "w2"):
        np.testing.assert_array_equal(
            arrays[f"parameters/0/{name}"], before[f"parameters/0/{name}"]
        )
    assert before["state/cache/w2"].any() and not arrays["state/cache/w2"].any()
    assert [row["episode"] for row in rows(new)] == ["1", "2"]
    config = Config.build(Config.load(new / "config.toml"))
    assert (config.settings.hidden, config.settings.gamma, config.env) == (
        4, 0.5, "PongDeterministic-v4",
    )  # fmt: skip
    assert config.init_from == str(run)
    told = json.loads((new / "versions.json").read_text())["init_from"]
    sha256 = source.manifest["data"]["sha256"]
    assert told == {"path": str(source.path), "sha256": sha256, "episode": 3}


def test_a_resumed_run_needs_the_source_no_more(ppo: Path, tmp_path: Path) -> None:
    copy = tmp_path / "w.safetensors"
    assert inside("export", ppo, copy, cwd=tmp_path).returncode == 0
    settings = ("--init-from", copy, "--run-dir", "new", "--until", "never")
    done = inside("train", *settings, cwd=tmp_path)
    assert done.returncode == 0, done
    exported = {k: v for k, v in newest(ppo).items() if k.startswith("state/average/")}
    for name, array in exported.items():
        own = first(tmp_path / "new")["parameters/0/" + name.removeprefix("state/average/")]
        np.testing.assert_array_equal(own, array)
    copy.unlink()
    done = inside("train", "--resume", "new", "--episodes", 3, cwd=tmp_path)
    assert done.returncode == 0 and "trained" in done.stdout, done


def test_pretrained_weights_play_on_as_they_did(tmp_path: Path) -> None:
    done = inside("train", "--init-from", "pong", "--run-dir", "new", "--episodes", 1, cwd=tmp_path)
    assert done.returncode == 0, done
    assert float(rows(tmp_path / "new")[0]["return"]) > 10


def test_the_same_from_a_script(ppo: Path, tmp_path: Path) -> None:
    training = api.train(init_from=ppo, run_dir=tmp_path / "new", gamma=0.9, progress=False)
    next(training)
    training.close()
    assert training.config.settings.gamma == 0.9  # type: ignore[attr-defined]
    average = newest(ppo)["state/average/rows"]
    np.testing.assert_array_equal(first(tmp_path / "new")["parameters/0/rows"], average)
    with pytest.raises(ValueError, match=r"init_from: expected weights of agent ppo, .*rows"):
        api.train("pong", init_from=ppo, run_dir=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_weights_that_do_not_fit_are_one_message(
    complain: Any, trained: tuple[Path, str], tmp_path: Path
) -> None:
    run = trained[0]
    for words, expected in (
        (("--hidden", 8), "expected weights of agent karpathy, w1 6400x8, w2 8, got those of"),
        (("--recipe", "pong"), "expected weights of agent ppo"),
        (("--agent", "keras"), "expected weights of agent keras"),
    ):
        status, message = complain("train", "--init-from", run, *words)
        assert status == 2 and "--init-from: " + expected in message
        assert "agent karpathy, w1 6400x4, w2 4, in " in message
    assert "nowhere: does not exist" in complain("train", "--init-from", "nowhere")[1]
    assert not (tmp_path / "runs").exists()
    message = complain("train", "--resume", run, "--init-from", run)[1]
    assert "--resume and --init-from: expected one of them" in message


def test_a_refused_resume_names_the_way(run_copy: Path) -> None:
    message = complaint(inside("train", "--resume", run_copy, "--gamma", 0.5, cwd=run_copy))
    assert "gamma is 0.99 in the run's config.toml, 0.5 asked for" in message
    assert f"fastpong train --init-from {run_copy} --gamma 0.5" in message


def test_an_agent_of_a_later_stage_plays_on_with_its_frame_skip(tmp_path: Path) -> None:
    """It compares screens as before, over the time of the environment's own frame skip."""
    words = ("--init-from", "pong-sticky", "--run-dir", "new", "--episodes", 1, "--n-envs", 2)
    done = inside("train", *words, cwd=tmp_path)
    assert done.returncode == 0, done
    assert float(rows(tmp_path / "new")[0]["return"]) > 10
    stage = Config.build(Config.load(tmp_path / "new" / "config.toml")).stages[0]
    assert (stage.agent, stage.frame_skip, stage.from_step) == ("ppo", 1, 0)
    planned = read_trained(checkpoint.newest(tmp_path / "new" / "checkpoints")[0], "numpy").planned
    assert (planned.frame_spread, planned.variant.frameskip) == (4, (1,))


def test_a_refused_checkpoint_of_the_source_is_said(run_copy: Path, tmp_path: Path) -> None:
    newest = run_copy / "checkpoints" / "00000003.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    settings = ("--init-from", run_copy, "--run-dir", "new", "--episodes", 1)
    done = inside("train", *settings, cwd=tmp_path)
    assert done.returncode == 0 and ", after 2 episodes" in done.stdout, done
    assert done.stderr.count("fastpong: checkpoint refused: ") == 1, done.stderr
    with pytest.warns(UserWarning, match=r"checkpoint refused: .*00000003"):
        api.train(init_from=run_copy, run_dir=tmp_path / "other", progress=False).close()

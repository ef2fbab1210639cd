"""The examples as they stand, against the real packages. Without these they are skipped."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tolerances import assert_close
from waiting import PATIENCE

import fastpong
from fastpong import kernels

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(path: Path) -> ModuleType:
    """Import a file by its path."""
    spec = importlib.util.spec_from_file_location(path.name.partition(".")[0], path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def weights(model: Any) -> list[Any]:
    return [value.detach().numpy() for value in model.parameters()]


def test_a_function_compiled_by_numba_calls_a_kernel() -> None:
    scores = np.random.default_rng(1).standard_normal(50)
    ranks = np.argsort(np.argsort(scores)).astype(np.float64)
    assert_close(
        load(EXAMPLES / "numba_returns.py").ranked(scores), (ranks - ranks.mean()) / ranks.std()
    )


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_a_cython_module_cimports_a_core(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "cython_returns", tmp_path, dirs_exist_ok=True)
    built = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        env=os.environ | {"PYTHONPATH": str(Path(fastpong.__file__).parents[1])},
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    rewards, out = np.random.default_rng(1).choice([-1.0, 0.0, 1.0], 40), np.empty(40)
    load(next(tmp_path.glob("episode.*.so"))).advantages(rewards, 0.9, out)
    np.testing.assert_array_equal(out, kernels.standardize(kernels.discount_rewards(rewards, 0.9)))


def test_tianshous_ppo_has_the_same_numbers() -> None:
    pytest.importorskip("tianshou")
    example = load(EXAMPLES / "tianshou_ppo.py")
    from tianshou.algorithm import PPO

    ours, theirs = (example.train(kind, epochs=2) for kind in (example.FastPPO, PPO))
    for mine, its in zip(weights(ours.policy), weights(theirs.policy), strict=True):
        np.testing.assert_allclose(mine, its, rtol=0, atol=1e-4)


def test_sb3s_ppo_has_the_same_numbers() -> None:
    pytest.importorskip("stable_baselines3")
    pytest.importorskip("cv2")
    example = load(EXAMPLES / "sb3_ppo.py")
    ours, theirs = (
        example.train("BreakoutNoFrameskip-v4", 2_048, plain, verbose=0) for plain in (False, True)
    )
    for mine, its in zip(weights(ours.policy), weights(theirs.policy), strict=True):
        np.testing.assert_allclose(mine, its, rtol=0, atol=1e-4)


def test_sb3s_dqn_trains_on_prioritised_replay() -> None:
    pytest.importorskip("stable_baselines3")
    pytest.importorskip("cv2")
    model = load(EXAMPLES / "sb3_dqn.py").train(
        "fastpong/PongNoFrameskip-v4", 400, size=1_000, verbose=0
    )
    assert model.num_timesteps == 400
    leaves = model.replay_buffer.tree.get(np.arange(400))
    assert len(set(leaves.tolist())) > 10  # priorities were updated


def test_cleanrls_loop_trains(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    agent = load(EXAMPLES / "cleanrl_ppo.py").train("fastpong/Pong-v5", 2 * 128 * 8)
    assert "step 2048," in capsys.readouterr().out
    assert all(np.isfinite(value).all() for value in weights(agent))

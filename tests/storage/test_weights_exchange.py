"""Exported weights, as a program of somebody else reads and uses them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open

from fastpong.acting.rollout import EnvState
from fastpong.cli import errors as cli
from fastpong.envs.draws import TRAIN
from fastpong.envs.emulator import Emulator
from fastpong.envs.variants import find_variant
from fastpong.storage.checkpoint import newest

Array = NDArray[Any]
ENV = "PongDeterministic-v4"


def run(*arguments: object) -> int:
    return cli.run([str(argument) for argument in arguments])


def read(path: Path) -> tuple[dict[str, Array], str, dict[str, Any]]:
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(file.metadata()["fastpong"])
    return arrays, about["agent"], about["settings"]


@pytest.mark.parametrize("agent", ["karpathy", "keras", "ppo", "dqn"])
def test_safetensors_have_every_parameter_and_setting(
    agent: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = ["--agent", agent, "--env", ENV, "--workers", 1, "--episodes", 1, "--no-progress"]
    if agent == "karpathy":
        settings += ["--hidden", 6]
    assert run("train", *settings, "--run-dir", tmp_path / "a") == 0
    file = tmp_path / "weights.safetensors"
    assert run("export", tmp_path / "a", file) == 0
    assert run("export", tmp_path / "a", file) == 2
    assert run("export", tmp_path / "a", tmp_path / "nowhere" / "w.safetensors") == 1
    assert f"expected a directory {tmp_path / 'nowhere'}" in capfd.readouterr().err
    first = file.read_bytes()
    assert run("export", tmp_path / "a", file, "--overwrite") == 0
    assert file.read_bytes() == first
    assert run("import", file, tmp_path / "b") == 1
    assert "expected a file of a reference program" in capfd.readouterr().err
    assert run("eval", file, "--episodes", 1, "--workers", 1) == 0
    assert re.search(rf"{file}: {agent} after \d+ episodes?, plays {ENV}", capfd.readouterr().out)
    found, _ = newest(tmp_path / "a" / "checkpoints")
    arrays, name, hyper = read(file)
    assert name == agent and hyper.items() <= found.manifest["config"].items()
    # The agents of rollouts export averages; in one game the last of them has learned nothing yet.
    kept = "state/average/" if agent == "ppo" else "parameters/0/"
    assert arrays.keys() == {k.removeprefix(kept) for k in found.arrays if k.startswith(kept)}
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, found.arrays[kept + key], strict=True)


def test_the_actor_critic_can_be_computed_from_them_as_documented(tmp_path: Path) -> None:
    """The formula of docs/design/exported-weights.md, for screens that the agent saw itself."""
    from fastpong.agents import make_plan
    from fastpong.agents.ppo.settings import PPOSettings
    from fastpong.agents.protocol import Chance
    from fastpong.settings.stages import Stage
    from fastpong.storage.weights.exchange import write

    settings = PPOSettings(n_envs=1, n_steps=60)
    (stage,) = make_plan(ENV, [Stage(agent="ppo", settings=settings)], "cython", "float32").stages
    parameters = stage.spec.initial_parameters(3)
    parameters["units"][0] = np.random.default_rng(0).normal(size=settings.hidden)
    write(tmp_path / "w.safetensors", "ppo", {"cell_size": settings.cell_size}, parameters)
    actor = stage.spec.actor(stage, Chance(0, TRAIN))
    first = actor.play(0, parameters, EnvState())
    second = actor.play(1, parameters, first.state)

    arrays, _, hyper = read(tmp_path / "w.safetensors")
    rows, (bias, policy, value) = arrays["rows"], arrays["units"]
    size = hyper["cell_size"]
    background = Emulator(find_variant(ENV)).foreground_table() == 0
    fields = ~background[first.state.screens[:, 35:195:2, ::2]]
    now, before = fields.reshape(2, 80 // size, size, 80 // size, size).sum(axis=(2, 4))

    def hidden(now: Array, before: Array) -> Array:
        x = np.concatenate([now.ravel(), (now - before).ravel()])
        hidden: Array = np.maximum(x @ rows + bias, 0)
        return hidden

    upright, mirrored = hidden(now, before), hidden(now[::-1], before[::-1])
    assert now.any() and (now != before).any()
    np.testing.assert_allclose(2 * (upright - mirrored) @ policy, second.logits[0], rtol=1e-4)
    np.testing.assert_allclose((upright + mirrored) @ value, second.values[0], rtol=1e-4)
    np.testing.assert_allclose(first.values[-1], second.values[0], rtol=1e-6)

"""ONNX models, run by onnxruntime: the oracle's probabilities and the policy's actions."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from policy_cases import AGENTS, make_player, random_parameters, screens
from tolerances import assert_close

from fastpong import kernels, oracle
from fastpong.api.observation import foreground_values
from fastpong.api.policy import Policy
from fastpong.oracle.cells import encode_channels
from fastpong.settings.fields import plain_values
from fastpong.storage.weights import exchange
from fastpong.storage.weights.pickle import ForeignError

Array = Any
LEFT, RIGHT = 3, 2
TABLE = foreground_values()


def export(name: str, path: Path) -> tuple[Any, Policy]:
    """Write a model of random weights, and return its session and the same agent as a policy."""
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    player = make_player(name)
    parameters = random_parameters(player)
    stage = player.plan().stages[player.stage]
    settings = plain_values(player.stages[player.stage].settings)
    about = {"frame_spread": stage.frame_spread}
    exchange.write(path, player.agent, settings, parameters, about)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session, Policy(player, parameters)


def observations(spread: int, count: int) -> list[tuple[Array, list[Array]]]:
    """Return screens of a game, newest first, as a model takes them."""
    game = screens(40)
    return [
        (game[t], [game[max(0, t - spread * back)] for back in range(count)]) for t in range(40)
    ]


def expected(name: str, policy: Policy, history: list[Array], last: int) -> Array:
    """Return the probabilities by the oracle, or the values of dqn, in float64."""
    p: Mapping[str, Array] = policy.parameters
    reds = [screen[..., 0] for screen in history]
    if name in ("karpathy", "keras"):
        indices, signs = kernels.sparse_difference_frame(reds[0], reds[1], TABLE)
        x = np.zeros(6400)
        x[indices] = signs
        if name == "karpathy":
            logit = np.maximum(x @ p["w1"], 0) @ p["w2"]
            return 1 / (1 + np.exp([logit, -logit]))
        hidden = np.zeros((1, 64))
        frames = (np.array([0, len(indices)]), indices, signs)
        kernel = p["kernel"].reshape(-1, 32)
        oracle.sparse_conv_forward(frames, (kernel, p["bias"], p["w1"], p["b1"]), (), hidden)
        hidden = np.maximum(hidden @ p["w2"] + p["b2"], 0)
        logits = (hidden @ p["w3"] + p["b3"])[0]
        return np.exp(logits - np.logaddexp.reduce(logits))
    settings: Any = policy.player.stages[policy.player.stage].settings
    tree = settings.pyramid()
    out = np.zeros(tree.base, np.uint16), np.zeros(tree.base, np.int8)
    used = encode_channels(reds, TABLE, settings.cell_size, settings.pixel_stride, out)
    x = np.zeros(tree.base)
    x[out[0][:used]] = out[1][:used]
    if settings.last_action and last in (LEFT, RIGHT):
        x[-2:] = last == LEFT, last == RIGHT
    bias, a, v = p["units"].astype(np.float64)
    h, image = (np.maximum(y @ p["rows"] + bias, 0) for y in (x, x[tree.mirror]))
    half, value = (h - image) @ a, (h + image) @ v
    if name == "ppo":
        return 1 / (1 + np.exp([2 * half, -2 * half]))
    return np.array([value - half, value + half])


@pytest.mark.parametrize("name", AGENTS)
def test_onnxruntime_computes_the_same_probabilities(name: str, tmp_path: Path) -> None:
    session, policy = export(name, tmp_path / "agent.onnx")
    model = session.get_modelmeta().custom_metadata_map
    spread, (first, *more) = int(model["frame_spread"]), session.get_inputs()
    assert json.loads(model["fastpong"])["agent"] == policy.agent
    assert spread == (2 if name == "dqn, finer" else 1) and len(more) == ("dqn" in name)
    numbers, last, chosen = json.loads(model["actions"]), -1, []
    for screen, history in observations(spread, first.shape[1]):
        feed: dict[str, Array] = {"screens": np.stack(history)[None]}
        if more:
            feed["last_action"] = np.array([last])
        scores, action = session.run(None, feed)
        wanted = expected(name, policy, history, last)
        assert_close(scores[0], wanted)
        assert action[0] == numbers[int(np.argmax(wanted))]
        last = int(policy.predict(screen, deterministic=True)[0])
        assert last == action[0]
        chosen.append(last)
    assert len(set(chosen)) > 1


def test_a_batch_is_that_of_its_parts(tmp_path: Path) -> None:
    session, _ = export("dqn", tmp_path / "agent.onnx")
    histories = [np.stack(history) for _, history in observations(1, 4)][10:13]
    last = np.array([-1, LEFT, RIGHT])
    scores, actions = session.run(None, {"screens": np.stack(histories), "last_action": last})
    for k, history in enumerate(histories):
        one = session.run(None, {"screens": history[None], "last_action": last[k : k + 1]})
        np.testing.assert_allclose(scores[k], one[0][0], rtol=1e-6)
        assert actions[k] == one[1][0]


def test_without_onnx_the_way_out_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    player = make_player("karpathy")
    with pytest.raises(
        ForeignError,
        match=r"needs the package onnx, which is not installed: pip install .onnx>=1.15",
    ):
        exchange.write(
            tmp_path / "x.onnx", "karpathy", {}, random_parameters(player), {"frame_spread": 1}
        )
    assert not any(tmp_path.iterdir())

"""Parts of a report: settings, versions, stages, weights, evaluation."""

from __future__ import annotations

import base64
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from run_cases import config, snapshot

from fastpong import recipes
from fastpong.report.evaluated import Evaluated, evaluate_checkpoints
from fastpong.report.settings import settings_section, versions_section
from fastpong.report.weights import picture, weights_section
from fastpong.settings.config import Config
from fastpong.storage.reading import Facts, checkpoint_paths
from fastpong.storage.run import Run
from fastpong.training.evaluation import Game
from fastpong.viewing.sheet import STOPS
from fastpong.viewing.weights import Section, Unit


def facts(config: Config, **versions: object) -> Facts:
    return Facts(Path("run"), config, versions, training=False)


def test_settings_that_differ_stand_first() -> None:
    html = settings_section(facts(config(hidden=7)))
    first, _, rest = html.partition("<details>")
    assert '<th scope="row">hidden</th><td>7</td><td>200</td>' in first
    assert "gamma" not in first
    assert '<th scope="row">gamma</th><td>0.99</td><td>' in rest
    assert "hidden = 7" in rest  # config.toml


def test_later_stages_have_their_changes() -> None:
    values = recipes.load("pong-sticky").values
    html = settings_section(facts(Config.build(values)))
    assert [f"<h3>Stage {n}</h3>" in html for n in (1, 2, 3, 4, 5)] == [False, *3 * [True], False]
    assert '<th scope="row">from_step</th><td>400,000</td>' in html


def test_versions_and_resumptions() -> None:
    again = {"episode": 12, "time": "later", "numpy": "2.0", "cpu": "<b>"}
    html = versions_section(facts(config(), numpy="1.26", cpu=None, resumed=[again, 5]))
    assert '<th scope="row">cpu</th><td>missing</td>' in html
    assert "Resumed after episode 12, later" in html
    assert '<th scope="row">numpy</th><td>2.0</td>' in html
    assert "&lt;b&gt;" in html
    assert "missing or cannot be read" in versions_section(facts(config()))


def test_weights_have_the_colours_of_their_sign() -> None:
    image = pytest.importorskip("PIL.Image")
    data = base64.b64decode(picture(np.array([[-1.0, -9], [1, 5]])).partition(",")[2])
    with image.open(io.BytesIO(data)) as read:
        pixels = np.asarray(read.convert("RGB"))
    np.testing.assert_array_equal(pixels, [[STOPS[0], STOPS[0]], [STOPS[-1], STOPS[-1]]])


def test_units_have_all_their_images() -> None:
    unit = Unit("3: up", (np.eye(4), -np.eye(4)))
    html = weights_section([Section("Weights", ("frame", "difference"), (unit,))])
    assert html.count("<img") == 2
    assert 'alt="unit 3: up, difference"' in html
    assert "From left to right: frame, difference." in html
    assert weights_section([]) == ""


def test_the_error_of_a_mean() -> None:
    games = [Game(n, score, 10, 40) for n, score in enumerate([1.0, 3, 5, 3])]
    evaluated = Evaluated("checkpoint", 1, 2, "ppo", games)
    np.testing.assert_allclose(evaluated.error, np.std([1, 3, 5, 3], ddof=1) / 2)
    assert Evaluated("checkpoint", 1, 2, "ppo", games[:1]).error is None


def test_a_handful_of_checkpoints_is_asked_for(tmp_path: Path) -> None:
    with Run.create(tmp_path, config()) as run:
        run.save(snapshot(0))
    (first,) = checkpoint_paths(tmp_path)
    for episode in range(1, 40):
        shutil.copy(first, first.with_name(f"{episode:08d}.json"))
    first.unlink()
    results = evaluate_checkpoints(tmp_path, episodes=1, workers=1, seed=0, stop=lambda: False)
    told = list(results)  # none of them has its own number
    assert len(told) == 6
    assert all(isinstance(sentence, str) for sentence in told)
    assert "00000001" in str(told[0])
    assert "00000039" in str(told[-1])
    assert (
        list(evaluate_checkpoints(tmp_path, episodes=1, workers=1, seed=0, stop=lambda: True)) == []
    )


def test_checkpoints_that_are_deleted_meanwhile_are_evaluated(tmp_path: Path) -> None:
    with Run.create(tmp_path, config()) as run:
        run.save(snapshot(0))
        run.save(snapshot(1))
    results = evaluate_checkpoints(tmp_path, episodes=1, workers=1, seed=0, stop=lambda: False)
    first = next(results)
    shutil.rmtree(tmp_path / "checkpoints")  # as training does with old ones, one by one
    assert isinstance(first, Evaluated)
    then = [one.episode for one in results if isinstance(one, Evaluated)]
    assert [first.episode, *then] == [0, 1]
